/* opening.c - see opening.h. */
#include "tui/opening.h"

#include <stdlib.h>
#include <string.h>

#include "io/str.h"
#include "model/session.h"
#include "tui/view.h"

struct opening {
    const char *what;
    struct session *session; /* owned until opening_ended gives it away */
};

struct opening_job {
    struct job job;
    opening_fn *fn;
    void *ctx;
    struct session *session;
};

static bool run(struct job *job, const struct progress *p, struct err *err)
{
    struct opening_job *j = (struct opening_job *)job;

    j->session = j->fn(j->ctx, p, err);
    return j->session != NULL;
}

static void release(struct job *job)
{
    struct opening_job *j = (struct opening_job *)job;

    session_close(j->session);
    free(j);
}

static const struct job_ops job_ops = {"opening", run, release};

static void loaded(struct view *v, int slot, struct job *job)
{
    struct opening_job *j = (struct opening_job *)job;
    struct opening *o = v->state;

    (void)slot;
    o->session = j->session;
    j->session = NULL;
}

static void draw(const struct view *v, struct canvas *c)
{
    const struct opening *o = v->state;
    struct canvas below = canvas_sub(c, 3, 1, c->rows - 3, c->cols - 2);
    struct str text = {0};

    str_puts(&text, "opening ");
    str_visible(&text, o->what, strlen(o->what), STR_SYMBOLS);
    canvas_fit(c, 1, 1, c->cols - 2, ALIGN_LEFT, INK_TEXT, str_text(&text));
    str_finish(&text);
    view_paint_missing(v, 0, &below);
}

static void finish(struct view *v)
{
    struct opening *o = v->state;

    session_close(o->session);
}

static const struct view_key keys[] = {{ACT_CANCEL, NULL}, {ACT_NONE, NULL}};

const struct view_ops opening_view_ops = {
    .name = "opening",
    .purpose = "What is compressed is unpacked once, into the cache directory.",
    .state_size = sizeof(struct opening),
    .keys = keys,
    .loaded = loaded,
    .draw = draw,
    .close = finish,
};

void opening_start(struct view *v, const char *what, opening_fn *fn, void *ctx)
{
    struct opening *o = v->state;
    struct opening_job *j = job_new(&job_ops, sizeof *j);

    o->what = what;
    j->fn = fn;
    j->ctx = ctx;
    view_start(v, 0, LANE_QUICK, &j->job);
}

bool opening_ended(struct view *v, struct session **session, struct err *err)
{
    struct opening *o = v->state;

    if (view_busy(v, 0))
        return false;
    *session = o->session;
    if (!o->session)
        *err = v->slots[0].err;
    o->session = NULL;
    return true;
}
