/* config.c - see config.h. */
#include "tui/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

void config_init(struct config *c)
{
    const char *no_color = getenv("NO_COLOR");

    *c = (struct config){.theme = theme_at(0), .colour = COLOUR_AUTO, .mouse = true};
    if (no_color && *no_color)
        c->colour = COLOUR_MONO;
    keymap_init(&c->keys);
}

void config_finish(struct config *c)
{
    keymap_finish(&c->keys);
    for (int i = 0; i < c->n_warnings; i++)
        free(c->warnings[i]);
    free(c->warnings);
    *c = (struct config){0};
}

/* -- options ---------------------------------------------------------------------------- */

static bool parse_bool(const char *value, bool *out)
{
    if (strcmp(value, "on") == 0 || strcmp(value, "yes") == 0 || strcmp(value, "true") == 0)
        return *out = true, true;
    if (strcmp(value, "off") == 0 || strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
        return *out = false, true;
    return false;
}

static bool set_theme(struct config *c, const char *value)
{
    const struct theme *t = theme_find(value);

    if (t)
        c->theme = t;
    return t != NULL;
}

static bool set_color(struct config *c, const char *value)
{
    return theme_colour_word(value, &c->colour);
}

static bool set_ascii(struct config *c, const char *value)
{
    return parse_bool(value, &c->ascii);
}

static bool set_mouse(struct config *c, const char *value)
{
    return parse_bool(value, &c->mouse);
}

static const char *get_theme(const struct config *c)
{
    return theme_name(c->theme);
}

static const char *get_color(const struct config *c)
{
    static const char *const words[] = {
        [COLOUR_MONO] = "never", [COLOUR_16] = "16", [COLOUR_256] = "256",
        [COLOUR_TRUE] = "truecolor", [COLOUR_AUTO] = "auto",
    };
    return words[c->colour];
}

static const char *get_ascii(const struct config *c)
{
    return c->ascii ? "on" : "off";
}

static const char *get_mouse(const struct config *c)
{
    return c->mouse ? "on" : "off";
}

static const char *const theme_words[] = {"default", "light", "dark", "mono", "contrast",
                                          NULL};
/* "always" is taken too, and is 256. */
static const char *const color_words[] = {"auto", "never", "16", "256", "truecolor", NULL};
static const char *const bool_words[] = {"on", "off", NULL};

static const struct option {
    const char *name, *help;
    const char *const *choices;
    bool (*set)(struct config *c, const char *value);
    const char *(*get)(const struct config *c);
} options[] = {
    {"theme", "colours for the terminal's ground", theme_words, set_theme, get_theme},
    {"color", "how many colours are used", color_words, set_color, get_color},
    {"ascii", "nothing but ASCII on the screen", bool_words, set_ascii, get_ascii},
    {"mouse", "clicks and the wheel; off leaves selecting text to the terminal",
     bool_words, set_mouse, get_mouse},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static const struct option *find(const char *name)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

bool config_set(struct config *c, const char *name, const char *value, struct err *err)
{
    const struct option *o = find(name);
    char words[128] = "";

    if (!o)
        return err_set(err, ERR_USAGE, "%s: no such option", name);
    if (o->set(c, value))
        return true;
    for (int i = 0; o->choices[i]; i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s",
                 i ? ", " : "", o->choices[i]);
    return err_set(err, ERR_USAGE, "%s: bad value (found \"%s\", expected one of %s)", name,
                   value, words);
}

const char *config_name(int i)
{
    return i >= 0 && i < N_OPTIONS ? options[i].name : NULL;
}

const char *config_value(const struct config *c, const char *name)
{
    const struct option *o = find(name);
    return o ? o->get(c) : NULL;
}

const char *config_help(const char *name)
{
    const struct option *o = find(name);
    return o ? o->help : NULL;
}

const char *const *config_choices(const char *name)
{
    const struct option *o = find(name);
    return o ? o->choices : NULL;
}

/* -- the file --------------------------------------------------------------------------- */

static void warn(struct config *c, const char *path, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void warn(struct config *c, const char *path, int line, const char *fmt, ...)
{
    struct err shown = {0}; /* makes control characters of the file visible */
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&shown, ERR_USAGE, "%s: warning: line %d: %s", path, line, text);
    array_grow(c->warnings, c->n_warnings, c->cap_warnings);
    c->warnings[c->n_warnings++] = xstrdup(shown.msg);
}

static char *trim(char *s)
{
    char *end;

    s += strspn(s, " \t\r\n");
    end = s + strlen(s);
    while (end > s && strchr(" \t\r\n", end[-1]))
        end--;
    *end = 0;
    return s;
}

/* "KEY = ACTION" or "OPTION = VALUE". The '=' key itself is written "= = lock". */
static void take_line(struct config *c, const char *path, int number, char *line)
{
    struct err err = {0};
    char *left = trim(line), *equals, *right;

    if (!*left || *left == '#')
        return;
    equals = strchr(left + 1, '=');
    if (!equals) {
        warn(c, path, number, "no \"=\" (found \"%s\", expected KEY = ACTION or OPTION = VALUE)",
             left);
        return;
    }
    *equals = 0;
    right = trim(equals + 1);
    left = trim(left);
    if (find(left)) {
        if (!config_set(c, left, right, &err))
            warn(c, path, number, "%s", err.msg);
        return;
    }
    enum action action = action_find(right);
    if (action == ACT_NONE && strcmp(right, "none") != 0)
        warn(c, path, number, "no such action or option (found \"%s = %s\")", left, right);
    else if (!keymap_bind(&c->keys, left, action))
        warn(c, path, number, "no such key (found \"%s\")", left);
}

static char *usual_path(void)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (xdg && *xdg == '/')
        return xasprintf("%s/saescope/config", xdg);
    return home && *home ? xasprintf("%s/.config/saescope/config", home) : NULL;
}

bool config_read(struct config *c, const char *path, struct err *err)
{
    enum { LINES = 10000 };
    char *usual = path ? NULL : usual_path(), line[1024];
    FILE *f;
    int number = 0;

    if (!path && !usual)
        return true;
    f = fopen(path ? path : usual, "re");
    if (!f) {
        bool absent = !path && (errno == ENOENT || errno == ENOTDIR);
        if (!absent)
            err_os(err, errno, path ? path : usual, "opening");
        free(usual);
        return absent;
    }
    while (number < LINES && fgets(line, sizeof line, f))
        take_line(c, path ? path : usual, ++number, line);
    bool ok = !ferror(f) || err_os(err, errno, path ? path : usual, "reading");
    fclose(f);
    free(usual);
    return ok;
}
