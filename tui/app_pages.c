/* app_pages.c - pages of the frame over a view: help (?) and options (o). */
#include <stdio.h>
#include <string.h>

#include "io/str.h"
#include "tui/app_impl.h"

static void popup_ground(struct canvas *c)
{
    for (int row = 0; row < c->rows; row++)
        canvas_ground(c, row, 0, c->cols, INK_POPUP);
}

/* -- help -------------------------------------------------------------------------------- */

static const struct view_term *find_term(const struct view *v, const char *word)
{
    for (const struct view_term *t = v->ops->terms; t && word && t->word; t++)
        if (strcmp(t->word, word) == 0)
            return t;
    return NULL;
}

static int paint_term(struct canvas *c, int row, const struct view_term *t)
{
    struct canvas text = canvas_sub(c, 0, 22, c->rows, c->cols - 22);

    canvas_fit(c, row, 2, 18, ALIGN_LEFT, INK_LABEL, t->word);
    return canvas_wrap(&text, row, INK_TEXT, t->text);
}

static int paint_key(const struct app *app, struct canvas *c, int row, enum action a,
                     const char *text)
{
    struct canvas right = canvas_sub(c, 0, 22, c->rows, c->cols - 22);
    const char *bar = text ? strchr(text, '|') : NULL;
    char keys[64];

    keymap_text(&app->config.keys, a, false, keys, sizeof keys);
    canvas_fit(c, row, 2, 18, ALIGN_LEFT, INK_KEY, keys);
    text = bar ? bar + 1 : text;
    return canvas_wrap(&right, row, INK_TEXT, text ? text : action_info[a].help);
}

static int paint_view_help(const struct app *app, const struct view *v, struct canvas *c,
                           int row)
{
    const char *word = v->ops->explain ? v->ops->explain(v) : NULL;
    const struct view_term *here = find_term(v, word);

    char title[256];

    snprintf(title, sizeof title, "%s: %s", v->ops->name, v->ops->purpose);
    row = canvas_wrap(c, row, INK_TITLE, title) + 1;
    if (here) {
        canvas_text(c, row++, 0, INK_TITLE, "under the cursor");
        row = paint_term(c, row, here) + 1;
    }
    if (v->ops->keys) {
        canvas_text(c, row++, 0, INK_TITLE, "keys of this view");
        for (const struct view_key *k = v->ops->keys; k->action != ACT_NONE; k++)
            row = paint_key(app, c, row, k->action, k->text);
        row++;
    }
    if (v->ops->terms) {
        canvas_text(c, row++, 0, INK_TITLE, "definitions");
        for (const struct view_term *t = v->ops->terms; t->word; t++)
            row = paint_term(c, row, t);
        row++;
    }
    return row;
}

static bool is_of_view(const struct view *v, enum action a)
{
    for (const struct view_key *k = v ? v->ops->keys : NULL; k && k->action; k++)
        if (k->action == a)
            return true;
    return false;
}

/* Does it do something here, and is it not among the view's own keys? Those have been told
 * above; of moving about every view has its share. */
static bool is_common(const struct app *app, const struct view *v, enum action a)
{
    if (is_of_view(v, a))
        return false;
    if (a >= ACT_VIEW_1 && a <= ACT_VIEW_9) {
        for (int i = 0; i < app->n_views; i++)
            if (app->views[i].ops->digit == (int)(a - ACT_VIEW_1) + 1)
                return true;
        return false;
    }
    switch (a) {
    case ACT_SEARCH:
    case ACT_FILTER: return v && (v->ops->answer || v->ops->searched_in);
    case ACT_COPY:
    case ACT_COPY_ALL: return v && v->ops->copy;
    case ACT_WRITE: return v && v->ops->export;
    default: return action_info[a].group == GROUP_MOVE || app_handles(a);
    }
}

/* Everything from `row` on; returns the row after. Rows above the canvas are clipped, so
 * scrolling is a negative first row. */
static int paint_help(struct app *app, struct canvas *c, int row)
{
    struct view *v = app_shown(app);

    if (v)
        row = paint_view_help(app, v, c, row);
    for (int g = 0; g < GROUP_COUNT; g++) {
        bool begun = false;
        for (int a = 1; a < ACT_COUNT; a++) {
            if ((int)action_info[a].group != g || !is_common(app, v, (enum action)a))
                continue;
            if (!begun)
                canvas_text(c, row++, 0, INK_TITLE, action_group_name[g]);
            begun = true;
            row = paint_key(app, c, row, (enum action)a, NULL);
        }
        row += begun;
    }
    canvas_text(c, row++, 2, INK_DIM, "Alt and digits before a key are a count.");
    for (int i = 0; i < app->options.config->n_warnings; i++)
        row = canvas_wrap(c, row, INK_WARNING, app->options.config->warnings[i]);
    return row;
}

void help_open(struct app *app)
{
    app->mode = MODE_HELP;
    app->help_top = 0;
}

static int help_rows(struct app *app)
{
    struct canvas page;
    int rows;

    canvas_init(&page, 1, app->cols - 4);
    rows = paint_help(app, &page, 0);
    canvas_finish(&page);
    return rows;
}

void help_act(struct app *app, const struct press *p)
{
    int page = app_content_rows(app) - 2;
    int last = help_rows(app) - page;
    int top = app->help_top;

    switch (p->action) {
    case ACT_DOWN: top += p->count; break;
    case ACT_UP: top -= p->count; break;
    case ACT_HALF_DOWN: top += page / 2; break;
    case ACT_HALF_UP: top -= page / 2; break;
    case ACT_PAGE_DOWN: top += page; break;
    case ACT_PAGE_UP: top -= page; break;
    case ACT_FIRST: top = 0; break;
    case ACT_LAST: top = last; break;
    case ACT_BACK:
    case ACT_HELP:
    case ACT_OPEN: app->mode = MODE_VIEW; break;
    case ACT_QUIT: app_request_set(app, APP_QUIT); break;
    default: break;
    }
    app->help_top = top > last ? last : top;
    if (app->help_top < 0)
        app->help_top = 0;
}

void help_paint(struct app *app, struct canvas *c)
{
    struct canvas inside;

    inside = canvas_box(c, "keys and definitions  (j k scroll, q closes)", INK_RULE);
    inside = canvas_sub(&inside, 0, 1, inside.rows, inside.cols - 2);
    paint_help(app, &inside, -app->help_top);
    popup_ground(c);
}

/* -- options ------------------------------------------------------------------------------- */

/* Option i: those of the program first, then the view's. */
struct entry {
    const char *name, *help;
    const char *const *choices; /* NULL: free text */
    char value[128];
    int of_view; /* index in the view's table, -1: the program's */
};

static bool entry_at(struct app *app, int i, struct entry *e)
{
    struct view *v = app_shown(app);
    int n = 0;

    while (config_name(n))
        n++;
    *e = (struct entry){.of_view = -1};
    if (i < n) {
        e->name = config_name(i);
        e->help = config_help(e->name);
        e->choices = config_choices(e->name);
        snprintf(e->value, sizeof e->value, "%s", config_value(&app->config, e->name));
        return true;
    }
    i -= n;
    if (!v || !v->ops->options)
        return false;
    for (n = 0; v->ops->options[n].name; n++)
        if (n == i) {
            const struct view_option *o = &v->ops->options[i];
            *e = (struct entry){o->name, o->help, o->choices, "", i};
            v->ops->option_get(v, i, e->value, sizeof e->value);
            return true;
        }
    return false;
}

static bool entry_set(struct app *app, const struct entry *e, const char *value,
                      struct err *err)
{
    struct view *v = app_shown(app);

    if (e->of_view >= 0)
        return v->ops->option_set(v, e->of_view, value, err);
    if (!config_set(&app->config, e->name, value, err))
        return false;
    app_settings_changed(app);
    return true;
}

bool options_set(struct app *app, const char *name, const char *value, struct err *err)
{
    struct entry e;

    for (int i = 0; entry_at(app, i, &e); i++)
        if (strcmp(e.name, name) == 0)
            return entry_set(app, &e, value, err);
    return err_set(err, ERR_USAGE, "%s: no such option", name);
}

const char *options_word(struct app *app, const char *typed, int i)
{
    struct entry e;

    typed += strspn(typed, " ");
    size_t name = strcspn(typed, "= ");
    if (!strchr(typed, '='))
        return entry_at(app, i, &e) ? e.name : NULL;
    for (int k = 0; entry_at(app, k, &e); k++)
        if (strlen(e.name) == name && strncmp(e.name, typed, name) == 0)
            for (int c = 0; e.choices && e.choices[c]; c++)
                if (c == i)
                    return e.choices[c];
    return NULL;
}

bool options_answer(struct app *app, int option, const char *value, struct err *err)
{
    struct entry e;

    return !entry_at(app, option, &e) || entry_set(app, &e, value, err);
}

/* The next of the choices, or a prompt where anything may be typed. */
static void change(struct app *app, int step)
{
    struct entry e;
    struct err err = {0};
    int n = 0, at = -1;

    if (!entry_at(app, app->option_cursor, &e))
        return;
    if (!e.choices) {
        char label[64];
        snprintf(label, sizeof label, "%s = ", e.name);
        prompt_open(app, PROMPT_OPTION, label, e.value);
        app->prompt.option = app->option_cursor;
        return;
    }
    for (; e.choices[n]; n++)
        if (strcmp(e.choices[n], e.value) == 0)
            at = n;
    at = at < 0 ? 0 : (at + step + n) % n;
    if (!entry_set(app, &e, e.choices[at], &err))
        app_error(app, &err);
}

void options_act(struct app *app, const struct press *p)
{
    struct entry e;

    switch (p->action) {
    case ACT_DOWN: app->option_cursor += entry_at(app, app->option_cursor + 1, &e); break;
    case ACT_UP: app->option_cursor -= app->option_cursor > 0; break;
    case ACT_OPEN:
    case ACT_RIGHT:
    case ACT_SELECT: change(app, 1); break;
    case ACT_LEFT: change(app, -1); break;
    case ACT_BACK:
    case ACT_OPTIONS: app->mode = MODE_VIEW; break;
    case ACT_QUIT: app_request_set(app, APP_QUIT); break;
    default: break;
    }
}

enum { OPTION_DETAIL = 6 }; /* rows below the list */

/* What did not fit beside it: all of the help, of the value and of what it may be. */
static void paint_option_detail(struct canvas *c, const struct entry *e)
{
    struct str choices = {0};
    int row = canvas_wrap(c, 0, INK_TEXT, e->help);

    for (int i = 0; e->choices && e->choices[i]; i++)
        str_appendf(&choices, "%s%s", i ? " · " : "one of  ", e->choices[i]);
    row = canvas_wrap(c, row, INK_DIM, str_text(&choices));
    if (text_width(e->value) > 20)
        canvas_wrap(c, row, INK_VALUE, e->value);
    str_finish(&choices);
}

void options_paint(struct app *app, struct canvas *c)
{
    struct canvas in;
    struct entry e;

    in = canvas_box(c, "options  (Enter or l next, h previous, q closes)", INK_RULE);
    int list = in.rows > OPTION_DETAIL + 2 ? in.rows - OPTION_DETAIL - 1 : in.rows, row = 0;
    int top = app->option_cursor >= list ? app->option_cursor - list + 1 : 0;
    for (; row < list && entry_at(app, top + row, &e); row++) {
        canvas_fit(&in, row, 1, 16, ALIGN_LEFT, INK_LABEL, e.name);
        canvas_fit(&in, row, 18, 20, ALIGN_LEFT, INK_VALUE, e.value);
        canvas_fit(&in, row, 40, in.cols - 41, ALIGN_LEFT, INK_DIM, e.help);
    }
    if (list < in.rows && entry_at(app, app->option_cursor, &e)) {
        struct canvas below = canvas_sub(&in, row + 1, 1, in.rows - row - 1, in.cols - 2);
        paint_option_detail(&below, &e);
    }
    popup_ground(c);
    canvas_ground(&in, app->option_cursor - top, 0, in.cols, INK_CURSOR);
}
