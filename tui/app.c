/* app.c - the frame: life, jobs, events. Painting is in app_frame.c, views and places in
 * app_places.c. */
#include "tui/app.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/app_impl.h"
#include "tui/desk.h"

/* -- life ------------------------------------------------------------------------------- */

struct app *app_new(const struct app_options *o, struct err *err)
{
    struct worker *worker = worker_new(err);
    struct app *app;

    if (!worker)
        return NULL;
    app = xcalloc(1, sizeof *app);
    app->options = *o;
    app->config = *o->config;
    app->worker = worker;
    app->shown = -1;
    app->rows = 24;
    app->cols = 80;
    app->title = xstrdup(o->title ? o->title : "");
    while (o->views[app->n_views])
        app->n_views++;
    app->views = xcalloc((size_t)app->n_views, sizeof *app->views);
    app->is_open = xcalloc((size_t)app->n_views, sizeof *app->is_open);
    for (int i = 0; i < app->n_views; i++)
        app->views[i] = (struct view){.ops = o->views[i], .app = app,
                                      .session = o->session, .target = TARGET_NONE};
    if (o->session) {
        app->desk = desk_new(app, o->session);
        for (int i = 0; i < app->n_views; i++)
            app->views[i].desk = app->desk;
    }
    return app;
}

void app_free(struct app *app)
{
    if (!app)
        return;
    worker_free(app->worker);
    for (int i = 0; i < app->n_views; i++) {
        if (app->is_open[i] && app->views[i].ops->close)
            app->views[i].ops->close(&app->views[i]);
        free(app->views[i].state);
    }
    for (size_t i = 0; i < sizeof app->histories / sizeof *app->histories; i++)
        edit_history_finish(&app->histories[i]);
    edit_finish(&app->prompt.edit);
    desk_free(app->desk);
    free(app->waiters);
    free(app->views);
    free(app->is_open);
    free(app->title);
    free(app->clipboard);
    free(app);
}

struct view *app_shown(struct app *app)
{
    return app->shown >= 0 ? &app->views[app->shown] : NULL;
}

const char *app_where(const struct app *app, struct target *at)
{
    if (app->shown < 0)
        return NULL;
    *at = app->views[app->shown].target;
    return app->views[app->shown].ops->name;
}

int app_content_rows(const struct app *app)
{
    return app->rows > 4 ? app->rows - 3 : 1;
}

static void fit_views(struct app *app)
{
    for (int i = 0; i < app->n_views; i++) {
        app->views[i].rows = app_content_rows(app);
        app->views[i].cols = app->cols;
    }
}

void app_resize(struct app *app, int rows, int cols)
{
    app->rows = rows < 1 ? 1 : rows;
    app->cols = cols < 1 ? 1 : cols;
    fit_views(app);
}

/* -- messages, requests ------------------------------------------------------------------ */

static void say(struct app *app, enum ink ink, const char *fmt, va_list ap)
{
    vsnprintf(app->message, sizeof app->message, fmt, ap);
    app->message_ink = ink;
}

void app_message(struct app *app, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(app, INK_TEXT, fmt, ap);
    va_end(ap);
}

void app_warning(struct app *app, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(app, INK_WARNING, fmt, ap);
    va_end(ap);
}

void app_error(struct app *app, const struct err *err)
{
    if (err->code == ERR_CANCELLED)
        return;
    app_warning(app, "%s", err->msg);
    app->message_ink = INK_ERROR;
}

void app_title(struct app *app, const char *title)
{
    char *copy = xstrdup(title ? title : "");
    free(app->title);
    app->title = copy;
}

void app_request_set(struct app *app, enum app_request r)
{
    app->requests |= 1u << r;
}

enum app_request app_next_request(struct app *app)
{
    for (int r = APP_QUIT; r <= APP_RESTYLE; r++)
        if (app->requests & 1u << r) {
            app->requests &= ~(1u << r);
            return (enum app_request)r;
        }
    return APP_NOTHING;
}

const char *app_clipboard(const struct app *app)
{
    return app->clipboard ? app->clipboard : "";
}

const struct config *app_config(const struct app *app)
{
    return &app->config;
}

void app_settings_changed(struct app *app)
{
    app_request_set(app, APP_RESTYLE);
}

/* -- jobs -------------------------------------------------------------------------------- */

void view_start(struct view *v, int slot, enum lane lane, struct job *job)
{
    struct view_slot *s = &v->slots[slot];

    if (s->job)
        worker_cancel(v->app->worker, s->job);
    *s = (struct view_slot){0};
    if (job)
        s->job = worker_submit(v->app->worker, lane, job);
}

static void take_result(struct view *v, int slot, struct job *job)
{
    struct view_slot *s = &v->slots[slot];

    s->job = 0;
    if (job->state == JOB_DONE) {
        if (v->ops->loaded)
            v->ops->loaded(v, slot, job);
    } else if (job->state == JOB_FAILED) {
        s->err = job->err;
    } else {
        err_set(&s->err, ERR_CANCELLED, "cancelled");
    }
}

uint64_t app_start(struct app *app, enum lane lane, struct job *job, app_done_fn *done,
                   void *ctx)
{
    uint64_t id = worker_submit(app->worker, lane, job);

    array_grow(app->waiters, app->n_waiters, app->cap_waiters);
    app->waiters[app->n_waiters++] = (struct app_waiter){id, done, ctx};
    return id;
}

/* Hand a job back to the view that waits for it, or to who has started it. */
static void hand_back(struct app *app, struct job *job)
{
    for (int i = 0; i < app->n_views; i++)
        for (int slot = 0; slot < VIEW_SLOTS; slot++)
            if (app->views[i].slots[slot].job == job->id) {
                take_result(&app->views[i], slot, job);
                return;
            }
    for (int i = 0; i < app->n_waiters; i++)
        if (app->waiters[i].job == job->id) {
            struct app_waiter w = app->waiters[i];
            app->waiters[i] = app->waiters[--app->n_waiters];
            w.done(w.ctx, job);
            return;
        }
}

int app_worker_fd(const struct app *app)
{
    return worker_fd(app->worker);
}

void app_reap(struct app *app)
{
    struct job *job;

    while ((job = worker_reap(app->worker))) {
        hand_back(app, job);
        job_free(job);
    }
    app_settle(app);
}

bool app_busy(const struct app *app)
{
    return worker_pending(app->worker) > 0;
}

void app_tick(struct app *app)
{
    struct view *v = app_shown(app);

    if (app->desk)
        desk_tick(app->desk);
    if (v && v->ops->tick && app_busy(app))
        v->ops->tick(v);
    app_settle(app);
}

/* ^C: the long job first, for that is what one waits for. */
static void cancel(struct app *app)
{
    struct job_status s;

    if (worker_status(app->worker, LANE_LONG, &s)) {
        worker_cancel(app->worker, s.id);
        app_message(app, "%s: cancelled", s.name);
    } else if (worker_status(app->worker, LANE_QUICK, &s)) {
        worker_cancel_lane(app->worker, LANE_QUICK);
        app_message(app, "%s: cancelled", s.name);
    } else {
        app_message(app, "nothing is running; Q quits");
    }
}

/* -- actions ------------------------------------------------------------------------------ */

static void copy(struct app *app, bool all)
{
    struct view *v = app_shown(app);
    char *text = v && v->ops->copy ? v->ops->copy(v, all) : NULL;

    if (!text) {
        app_warning(app, "nothing to copy here");
        return;
    }
    free(app->clipboard);
    app->clipboard = text;
    app_request_set(app, APP_COPY);
    app_message(app, "copied %zu bytes", strlen(text));
}

static void switch_view(struct app *app, int digit)
{
    for (int i = 0; i < app->n_views; i++)
        if (app->views[i].ops->digit == digit) {
            if (i != app->shown)
                app_visit(app, i, &TARGET_NONE);
            return;
        }
    app_message(app, "there is no view %d", digit);
}

struct view *app_searched(struct app *app)
{
    struct view *v = app_shown(app);
    int i = v && v->ops->searched_in ? app_view_index(app, v->ops->searched_in) : -1;

    if (i >= 0)
        app_visit(app, i, &TARGET_NONE);
    return app_shown(app);
}

static void ask_view(struct app *app, enum ask what, const char *label)
{
    struct view *v = app_searched(app);

    if (v && v->ops->answer)
        view_ask(v, what, label, what == ASK_FILTER ? v->target.filter : "");
    else
        app_message(app, "nothing to %s here", label);
}

static void reload(struct app *app)
{
    struct view *v = app_shown(app);

    if (app->desk)
        desk_retry(app->desk, desk_current(app->desk));
    if (v && v->ops->changed)
        v->ops->changed(v);
}

static void toggle_ascii(struct app *app)
{
    app->config.ascii = !app->config.ascii;
    app_settings_changed(app);
}

/* What the frame does before a view is asked. True: it was the frame's. */
static bool frame_first(struct app *app, const struct press *p)
{
    switch (p->action) {
    case ACT_QUIT: app_request_set(app, APP_QUIT); return true;
    case ACT_SUSPEND: app_request_set(app, APP_SUSPEND); return true;
    case ACT_REDRAW: app_request_set(app, APP_REPAINT); return true;
    case ACT_CANCEL: cancel(app); return true;
    case ACT_HELP: help_open(app); return true;
    case ACT_COMMAND: prompt_open(app, PROMPT_COMMAND, ":", ""); return true;
    case ACT_GOTO: prompt_open(app, PROMPT_GOTO, "#", ""); return true;
    case ACT_HISTORY_BACK: app_travel(app, -1); return true;
    case ACT_HISTORY_ON: app_travel(app, 1); return true;
    case ACT_MARK_SET: app_mark_set(app, p->letter); return true;
    case ACT_MARK_GO: app_mark_go(app, p->letter); return true;
    case ACT_ASCII: toggle_ascii(app); return true;
    default: break;
    }
    if (p->action >= ACT_VIEW_1 && p->action <= ACT_VIEW_9) {
        switch_view(app, (int)p->action - ACT_VIEW_1 + 1);
        return true;
    }
    return false;
}

/* Better said than left to be wondered about; moving about is its own answer. */
static void idle_key(struct app *app, const struct press *p)
{
    const struct action_info *a = &action_info[p->action];
    struct view *v = app_shown(app);
    char keys[32];

    if (a->group == GROUP_MOVE || !v)
        return;
    keymap_text(&app->config.keys, p->action, true, keys, sizeof keys);
    app_message(app, "%s (%s) has no use in %s; ? shows the keys that have", keys, a->name,
                v->ops->name);
}

static bool has_two(struct app *app)
{
    if (app->desk && desk_partner(app->desk) >= 0)
        return true;
    app_message(app, "only one checkpoint is open (saescope A B, or a bundle with several)");
    return false;
}

/* From a feature its match is shown. */
static void visit_compare(struct app *app)
{
    int i = app_view_index(app, "compare");
    struct view *v = app_shown(app);

    if (i >= 0 && i != app->shown && has_two(app))
        app_visit(app, i, v ? &v->target : &TARGET_NONE);
}

static void swap(struct app *app)
{
    if (has_two(app) && desk_swap(app->desk)) {
        const struct session *s = app->options.session;
        app_message(app, "A is %s, B is %s", s->saes[desk_current(app->desk)].name,
                    s->saes[desk_partner(app->desk)].name);
    }
}

/* What frame_first and frame_last do something with, whatever the view. */
bool app_handles(enum action a)
{
    switch (a) {
    case ACT_QUIT: case ACT_SUSPEND: case ACT_REDRAW: case ACT_CANCEL: case ACT_HELP:
    case ACT_COMMAND: case ACT_GOTO: case ACT_HISTORY_BACK: case ACT_HISTORY_ON:
    case ACT_MARK_SET: case ACT_MARK_GO: case ACT_ASCII: case ACT_BACK: case ACT_OPTIONS:
    case ACT_RELOAD: case ACT_PARTNER: case ACT_COMPARE: case ACT_SWAP: return true;
    default: return false;
    }
}

/* What the frame does with what a view has no use for. */
static void frame_last(struct app *app, const struct press *p)
{
    switch (p->action) {
    case ACT_BACK: app_travel(app, -1); break;
    case ACT_SEARCH: ask_view(app, ASK_SEARCH, "search"); break;
    case ACT_FILTER: ask_view(app, ASK_FILTER, "filter"); break;
    case ACT_OPTIONS:
        app->mode = MODE_OPTIONS;
        app->option_cursor = 0;
        break;
    case ACT_COPY: copy(app, false); break;
    case ACT_COPY_ALL: copy(app, true); break;
    case ACT_WRITE: prompt_open(app, PROMPT_WRITE, "write to ", ""); break;
    case ACT_RELOAD: reload(app); break;
    case ACT_PARTNER:
        if (has_two(app))
            prompt_open(app, PROMPT_COMMAND, ":", "partner ");
        break;
    case ACT_COMPARE: visit_compare(app); break;
    case ACT_SWAP: swap(app); break;
    default: idle_key(app, p); break;
    }
}

void app_press(struct app *app, const struct press *p)
{
    struct view *v = app_shown(app);

    if (frame_first(app, p))
        return;
    if (v && v->ops->act && v->ops->act(v, p) != OUT_IGNORED)
        return;
    frame_last(app, p);
}

/* -- events ------------------------------------------------------------------------------- */

static void key(struct app *app, int32_t k)
{
    struct press p;

    if (app->mode == MODE_PROMPT) {
        prompt_key(app, k);
        return;
    }
    bool said = app->message[0] != 0;
    app->message[0] = 0;
    if (k == K_ESC && said && app->mode == MODE_VIEW)
        return; /* it is the message that one wants to be rid of, not the view */
    if (!keymap_feed(&app->config.keys, &app->typed, k, &p))
        return;
    if (app->mode == MODE_HELP)
        help_act(app, &p);
    else if (app->mode == MODE_OPTIONS)
        options_act(app, &p);
    else
        app_press(app, &p);
}

static void wheel(struct app *app, int direction)
{
    struct press p = {.action = direction < 0 ? ACT_UP : ACT_DOWN, .count = 3};

    if (app->mode == MODE_HELP)
        help_act(app, &p);
    else if (app->mode == MODE_OPTIONS)
        options_act(app, &p);
    else
        app_press(app, &p);
}

static void mouse(struct app *app, struct mouse m)
{
    struct view *v = app_shown(app);
    int rows = app_content_rows(app);

    if (app->mode == MODE_PROMPT)
        return;
    if (m.kind == MOUSE_PRESS && m.row == 0) {
        int digit = frame_tab_at(app, m.col);
        if (digit > 0) {
            app->mode = MODE_VIEW;
            switch_view(app, digit);
        }
        return;
    }
    m.row -= 1;
    bool over_view = app->mode == MODE_VIEW && m.row >= 0 && m.row < rows;
    if (over_view && v && v->ops->mouse && v->ops->mouse(v, &m) != OUT_IGNORED)
        return;
    if (m.kind == MOUSE_WHEEL)
        wheel(app, m.button);
    else if (m.kind == MOUSE_PRESS && app->mode != MODE_VIEW)
        app->mode = MODE_VIEW;
}

void app_event(struct app *app, const struct event *e)
{
    for (int i = 0; i < app->n_views; i++) {
        app->views[i].ascii = app->config.ascii;
    }
    switch (e->kind) {
    case EVENT_KEY: key(app, e->key); break;
    case EVENT_PASTE:
        if (app->mode == MODE_PROMPT) /* a line break ends no line that is pasted */
            prompt_key(app, e->key < ' ' ? ' ' : e->key);
        break;
    case EVENT_MOUSE: mouse(app, e->mouse); break;
    case EVENT_NONE: break;
    }
    app_settle(app);
}
