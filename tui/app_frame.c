/* app_frame.c - painting the frame: title, tabs, status line, key bar. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tui/app_impl.h"

/* -- tabs: placed by one function for painter and mouse --------------------------------- */

static void tab_text(const struct app *app, int i, bool names, char *buf, size_t size)
{
    const struct view_ops *ops = app->views[i].ops;

    if (names || i == app->shown)
        snprintf(buf, size, " %d %c%s ", ops->digit, toupper((unsigned char)ops->name[0]),
                 ops->name + 1);
    else
        snprintf(buf, size, " %d ", ops->digit);
}

static int tabs_width(const struct app *app, bool names)
{
    char buf[64];
    int width = 0;

    for (int i = 0; i < app->n_views; i++)
        if (app->views[i].ops->digit > 0) {
            tab_text(app, i, names, buf, sizeof buf);
            width += text_width(buf);
        }
    return width;
}

/* All names when the title fits beside them, else only the name of the view shown. */
static bool tabs_have_names(const struct app *app)
{
    return tabs_width(app, true) + text_width(app->title) + 12 <= app->cols;
}

int frame_tab_at(const struct app *app, int col)
{
    bool names = tabs_have_names(app);
    int at = app->cols - tabs_width(app, names);
    char buf[64];

    for (int i = 0; i < app->n_views; i++) {
        if (app->views[i].ops->digit == 0)
            continue;
        tab_text(app, i, names, buf, sizeof buf);
        int width = text_width(buf);
        if (col >= at && col < at + width)
            return app->views[i].ops->digit;
        at += width;
    }
    return 0;
}

static void paint_title(const struct app *app, struct canvas *c)
{
    bool names = tabs_have_names(app);
    int at = c->cols - tabs_width(app, names), left;
    char buf[64];

    left = canvas_text(c, 0, 1, INK_TITLE, "saescope") + 2;
    canvas_fit(c, 0, left, at - left - 1, ALIGN_LEFT, INK_STATUS, app->title);
    for (int i = 0; i < app->n_views; i++)
        if (app->views[i].ops->digit > 0) {
            tab_text(app, i, names, buf, sizeof buf);
            at = canvas_text(c, 0, at, i == app->shown ? INK_TAB_ON : INK_TAB, buf);
        }
}

/* -- status line -------------------------------------------------------------------------- */

static void job_text(struct app *app, char *buf, size_t size)
{
    struct job_status s;

    buf[0] = 0;
    if (worker_status(app->worker, LANE_LONG, &s) ||
        worker_status(app->worker, LANE_QUICK, &s))
        job_status_text(&s, buf, size);
}

/* What Tab goes through, the present one lit; nothing while there is but one. */
static bool paint_candidates(const struct app *app, struct canvas *c, int row)
{
    const struct edit *e = &app->prompt.edit;
    int col = 1, from = 0, n = 0;
    const char *word;

    if (app->mode != MODE_PROMPT || e->candidate < 0 || !edit_candidate(e, 1))
        return false;
    for (; (word = edit_candidate(e, n)); n++) { /* lines of them; the one it is on */
        int width = text_width(word) + 2;
        if (col + width > c->cols - 2 && n > e->candidate)
            break;
        if (col + width > c->cols - 2) {
            from = n;
            col = 1;
        }
        col += width;
    }
    col = 1;
    for (int i = from; i < n; i++)
        col = canvas_text(c, row, col, i == e->candidate ? INK_TAB_ON : INK_STATUS,
                          edit_candidate(e, i)) + 2;
    if (word)
        canvas_text(c, row, col, INK_DIM, "…");
    return true;
}

static void paint_status(struct app *app, struct canvas *c, int row)
{
    struct view *v = app_shown(app);
    char job[160], text[512] = "";
    uint32_t ink = INK_STATUS;
    int right;

    if (paint_candidates(app, c, row))
        return;
    job_text(app, job, sizeof job);
    right = text_width(job);
    canvas_text(c, row, c->cols - right - 1, INK_STATUS, job);
    if (app->mode == MODE_PROMPT && app->prompt.error[0]) {
        snprintf(text, sizeof text, "%s", app->prompt.error);
        ink = INK_ERROR;
    } else if (app->message[0]) {
        snprintf(text, sizeof text, "%s", app->message);
        ink = app->message_ink;
    } else if (v && v->ops->status) {
        v->ops->status(v, text, sizeof text);
    }
    canvas_fit(c, row, 1, c->cols - 2 - (right ? right + 2 : 0), ALIGN_LEFT, ink, text);
}

/* -- key bar ------------------------------------------------------------------------------- */

static int paint_bar_key(const struct app *app, struct canvas *c, int row, int col,
                         int limit, enum action a, const char *text)
{
    const char *bar = text ? strchr(text, '|') : NULL;
    char keys[32], word[32];

    keymap_text(&app->config.keys, a, true, keys, sizeof keys);
    if (bar) {
        snprintf(word, sizeof word, "%.*s", (int)(bar - text), text);
        text = word;
    } else if (!text || strlen(text) > 16) { /* a sentence for help, not for the bar */
        text = action_info[a].brief;
    }
    if (!keys[0] || !text[0] || col + text_width(keys) + 1 + text_width(text) > limit)
        return col;
    col = canvas_text(c, row, col, INK_KEY, keys) + 1;
    return canvas_text(c, row, col, INK_KEY_TEXT, text) + 2;
}

static void typed_text(const struct app *app, char *buf, size_t size)
{
    size_t n = 0;

    buf[0] = 0;
    if (app->typed.count > 0)
        n = (size_t)snprintf(buf, size, "%d", app->typed.count);
    for (int i = 0; i < app->typed.n && n < size; i++) {
        char name[24];
        n += (size_t)snprintf(buf + n, size - n, "%s",
                              key_text(app->typed.keys[i], name, sizeof name));
    }
}

/* Where there is little room it is for what can be done here. */
static void paint_bar(const struct app *app, const struct view *v, struct canvas *c, int row)
{
    static const enum action always[] = {ACT_HELP, ACT_BACK, ACT_COMMAND, ACT_QUIT};
    enum { NARROW = 100, NARROW_ALWAYS = 2 };
    char typed[64];
    int col = 1, limit;
    size_t n = c->cols < NARROW && v && v->ops->keys ? NARROW_ALWAYS
                                                     : sizeof always / sizeof *always;

    typed_text(app, typed, sizeof typed);
    limit = c->cols - 1 - text_width(typed);
    canvas_text(c, row, limit, INK_KEY, typed);
    for (size_t i = 0; i < n; i++)
        col = paint_bar_key(app, c, row, col, limit, always[i], NULL);
    for (const struct view_key *k = v ? v->ops->keys : NULL; k && k->action; k++)
        col = paint_bar_key(app, c, row, col, limit, k->action, k->text);
    for (; n < sizeof always / sizeof *always; n++)
        col = paint_bar_key(app, c, row, col, limit, always[n], NULL);
}

/* -- all ----------------------------------------------------------------------------------- */

static void paint_content(struct app *app, struct canvas *c)
{
    struct view *v = app_shown(app);

    if (app->mode == MODE_HELP ||
        (app->mode == MODE_PROMPT && app->prompt.back_to == MODE_HELP))
        help_paint(app, c);
    else if (app->mode == MODE_OPTIONS ||
             (app->mode == MODE_PROMPT && app->prompt.back_to == MODE_OPTIONS))
        options_paint(app, c);
    else if (v)
        v->ops->draw(v, c);
    else
        canvas_wrap(c, 0, INK_DIM, "nothing to show");
}

void app_draw(struct app *app, struct canvas *c, int *cursor_row, int *cursor_col)
{
    struct view *v = app_shown(app);
    struct canvas content;

    app_resize(app, c->rows, c->cols);
    for (int i = 0; i < app->n_views; i++) {
        app->views[i].ascii = c->ascii;
        app->views[i].mono = c->mono;
    }
    *cursor_row = *cursor_col = -1;
    canvas_clear(c, INK_TEXT);
    if (c->rows < APP_MIN_ROWS || c->cols < APP_MIN_COLS) {
        char text[64];
        snprintf(text, sizeof text, "needs %dx%d (found %dx%d)", APP_MIN_COLS, APP_MIN_ROWS,
                 c->cols, c->rows);
        canvas_wrap(c, 0, INK_WARNING, text);
        return;
    }
    paint_title(app, c);
    content = canvas_sub(c, 1, 0, app_content_rows(app), c->cols);
    paint_content(app, &content);
    paint_status(app, c, c->rows - 2);
    if (app->mode == MODE_PROMPT) {
        *cursor_row = c->rows - 1;
        *cursor_col = edit_paint(c, c->rows - 1, app->prompt.label, &app->prompt.edit);
    } else {
        paint_bar(app, v, c, c->rows - 1);
    }
}

const char *app_job_text(const struct app *app, uint64_t job, char *buf, size_t size)
{
    struct job_status status;

    snprintf(buf, size, "waiting");
    for (int lane = 0; lane < LANE_COUNT; lane++)
        if (worker_status(app->worker, (enum lane)lane, &status) && status.id == job)
            job_status_text(&status, buf, size);
    return buf;
}

bool view_paint_missing(const struct view *v, int slot, struct canvas *c)
{
    const struct view_slot *s = &v->slots[slot];
    char text[1200];

    if (s->job) {
        canvas_wrap(c, 0, INK_DIM, app_job_text(v->app, s->job, text, sizeof text));
        return true;
    }
    if (s->err.code == ERR_NONE)
        return false;
    char key[32];
    keymap_text(&v->app->config.keys, ACT_RELOAD, true, key, sizeof key);
    snprintf(text, sizeof text, "%s\n%s tries again", s->err.msg, key);
    canvas_wrap(c, 0, s->err.code == ERR_CANCELLED ? INK_DIM : INK_ERROR, text);
    return true;
}
