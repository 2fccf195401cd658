/* app_command.c - ":" lines: a table of commands, then actions, views, the view itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/str.h"
#include "model/session.h"
#include "tui/app_impl.h"
#include "tui/desk.h"

/* `rest` is what follows the name, blanks taken off. */
static bool cmd_open(struct app *app, const char *rest, struct err *err)
{
    if (app_view_index(app, rest) < 0)
        return err_set(err, ERR_USAGE, "there is no view \"%s\"", rest);
    app_open(app, rest, &TARGET_NONE);
    return true;
}

static bool cmd_set(struct app *app, const char *rest, struct err *err)
{
    char name[64] = "", value[512] = "";

    if (sscanf(rest, "%63[^= ] = %511[^\n]", name, value) < 1 || !strchr(rest, '='))
        return err_set(err, ERR_USAGE, "set: expected NAME=VALUE");
    return options_set(app, name, value, err);
}

static bool cmd_write(struct app *app, const char *rest, struct err *err)
{
    bool force = *rest == '!';

    rest += force;
    rest += strspn(rest, " ");
    if (!*rest)
        return err_set(err, ERR_USAGE, "write: expected a file name");
    return app_write(app, rest, force, err);
}

static bool cmd_answer(struct app *app, enum ask what, const char *rest, struct err *err)
{
    struct view *v = app_searched(app);

    if (!v || !v->ops->answer)
        return err_set(err, ERR_USAGE, "nothing to do that with here");
    return v->ops->answer(v, what, rest, err);
}

static bool cmd_filter(struct app *app, const char *rest, struct err *err)
{
    return cmd_answer(app, ASK_FILTER, rest, err);
}

static bool cmd_search(struct app *app, const char *rest, struct err *err)
{
    return cmd_answer(app, ASK_SEARCH, rest, err);
}

/* The names of what could be meant, as many as fit on a line. */
static bool no_such_sae(const struct session *s, const char *name, struct err *err)
{
    struct str names = {0};

    for (int i = 0; i < s->n_saes && names.len < 160; i++)
        str_appendf(&names, "%s%s", i ? ", " : "", s->saes[i].name);
    err_set(err, ERR_MISSING, "no checkpoint \"%s\" (found %s%s)", name, str_text(&names),
            names.len < 160 ? "" : ", ...");
    str_finish(&names);
    return false;
}

static bool cmd_sae(struct app *app, const char *rest, struct err *err)
{
    if (!app->desk)
        return err_set(err, ERR_USAGE, "nothing is open");
    int i = desk_find(app->desk, rest);
    if (i < 0)
        return no_such_sae(app->options.session, rest, err);
    desk_choose(app->desk, i);
    return true;
}

static bool cmd_partner(struct app *app, const char *rest, struct err *err)
{
    if (!app->desk)
        return err_set(err, ERR_USAGE, "nothing is open");
    int i = desk_find(app->desk, rest);
    if (i < 0)
        return no_such_sae(app->options.session, rest, err);
    if (i == desk_current(app->desk))
        return err_set(err, ERR_USAGE, "%s is A itself (expected another to compare it with)",
                       app->options.session->saes[i].name);
    desk_set_partner(app->desk, i);
    app_message(app, "B is %s", app->options.session->saes[i].name);
    return true;
}

static bool cmd_rescan(struct app *app, const char *rest, struct err *err)
{
    if (!app->options.rescan)
        return err_set(err, ERR_USAGE, "rescan: nothing to scan here");
    if (!app->options.rescan(app->options.rescan_ctx, rest, err))
        return false;
    app_request_set(app, APP_REOPEN);
    return true;
}

static const struct {
    const char *name;
    bool (*run)(struct app *app, const char *rest, struct err *err);
    bool takes_words; /* without any, an action of the same name is meant */
} commands[] = {
    {"open", cmd_open, true},           {"feature", app_go_feature, true},
    {"set", cmd_set, false},            {"write", cmd_write, true},
    {"filter", cmd_filter, false},      {"search", cmd_search, true},
    {"sae", cmd_sae, true},             {"partner", cmd_partner, true},
    {"rescan", cmd_rescan, false},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static bool run_action(struct app *app, const char *name, const char *rest, struct err *err)
{
    enum action a = strcmp(name, "q") == 0 ? ACT_QUIT : action_find(name);
    int count = atoi(rest);
    struct press p = {.action = a, .count = count > 0 ? count : 1, .counted = count > 0};

    if (a == ACT_NONE)
        return err_set(err, ERR_USAGE, "no such command (found \"%s\")", name);
    if (a == ACT_MARK_SET || a == ACT_MARK_GO) {
        if (!*rest)
            return err_set(err, ERR_USAGE, "%s: expected a letter", name);
        p.letter = (unsigned char)rest[0];
    }
    app_press(app, &p);
    return true;
}

bool app_command(struct app *app, const char *line, struct err *err)
{
    struct err refused = {0};
    struct view *v = app_shown(app);
    char name[64];
    size_t len;

    line += strspn(line, " :");
    if (!*line)
        return true;
    if (strspn(line, "#0123456789") > 0)
        return app_go_feature(app, line, err);
    len = strcspn(line, " !");
    snprintf(name, sizeof name, "%.*s", (int)len, line);
    const char *rest = line + len + strspn(line + len, " ");
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0 && (*rest || !commands[i].takes_words))
            return commands[i].run(app, rest, err);
    if (v && v->ops->answer) {
        if (v->ops->answer(v, ASK_COMMAND, line, &refused))
            return true;
        if (refused.code != ERR_USAGE) {
            *err = refused;
            return false;
        }
    }
    if (app_view_index(app, name) >= 0 && !*rest)
        return cmd_open(app, name, err);
    if (action_find(name) == ACT_NONE && strcmp(name, "q") != 0 && refused.msg[0]) {
        *err = refused;
        return false;
    }
    return run_action(app, name, rest, err);
}

static const char *view_name(const struct app *app, int i)
{
    return i < app->n_views ? app->views[i].ops->name : NULL;
}

static const char *sae_name(const struct app *app, int i)
{
    const struct session *s = app->options.session;
    return s && i < s->n_saes ? s->saes[i].name : NULL;
}

static const char *const rescan_words[] = {"skip-first=", "skip-tokens=", "sequences=",
                                           "tokens-limit=", "seq-len="};
enum { N_RESCAN_WORDS = sizeof rescan_words / sizeof *rescan_words };

const char *app_command_word(void *ctx, int i)
{
    struct app *app = ctx;
    struct view *v = app_shown(app);
    const char *line = app->prompt.edit.text + strspn(app->prompt.edit.text, " ");

    if (strncmp(line, "set ", 4) == 0)
        return options_word(app, line + 4, i);
    if (strncmp(line, "rescan ", 7) == 0)
        return i < N_RESCAN_WORDS ? rescan_words[i] : NULL;
    if (strncmp(line, "open ", 5) == 0)
        return view_name(app, i);
    if (strncmp(line, "sae ", 4) == 0 || strncmp(line, "partner ", 8) == 0)
        return sae_name(app, i);
    if (strncmp(line, "filter ", 7) == 0)
        return v && v->ops->word ? v->ops->word(v, ASK_FILTER, i) : NULL;
    if (i < N_COMMANDS)
        return commands[i].name;
    i -= N_COMMANDS;
    if (i < app->n_views)
        return view_name(app, i);
    i -= app->n_views;
    if (i < ACT_COUNT - 1)
        return action_info[i + 1].name;
    i -= ACT_COUNT - 1;
    return v && v->ops->word ? v->ops->word(v, ASK_COMMAND, i) : NULL;
}
