/* toy.c - see toy.h. */
#include "toy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/mem.h"

/* -- a list of 1000 rows ------------------------------------------------------------------ */

struct list {
    int64_t cursor;
    char filter[64];
    char width[16];
};

static void list_go(struct view *v, const struct target *at)
{
    struct list *l = v->state;

    if (at->feature >= 0)
        l->cursor = at->feature;
    if (at->filter[0])
        snprintf(l->filter, sizeof l->filter, "%s", at->filter);
    v->target.feature = l->cursor;
}

static bool list_open(struct view *v, struct err *err)
{
    struct list *l = v->state;

    (void)err;
    snprintf(l->width, sizeof l->width, "wide");
    return true;
}

static void list_draw(const struct view *v, struct canvas *c)
{
    const struct list *l = v->state;

    for (int i = 0; i < c->rows; i++)
        canvas_printf(c, i, 0, INK_VALUE, "row %d", i);
    canvas_ground(c, (int)l->cursor, 0, c->cols, INK_CURSOR);
}

static void list_status(const struct view *v, char *buf, size_t size)
{
    const struct list *l = v->state;

    snprintf(buf, size, "%d/1000 filter %s width %s", (int)l->cursor + 1,
             l->filter[0] ? l->filter : "none", l->width);
}

static enum outcome list_act(struct view *v, const struct press *p)
{
    struct list *l = v->state;

    switch (p->action) {
    case ACT_DOWN: l->cursor += p->count; break;
    case ACT_UP: l->cursor -= p->count; break;
    case ACT_LAST: l->cursor = 999; break;
    case ACT_OPEN: app_open(v->app, "feature", &v->target); break;
    case ACT_LABEL: view_ask(v, ASK_LABEL, "label", "old"); break;
    default: return OUT_IGNORED;
    }
    v->target.feature = l->cursor;
    return OUT_DONE;
}

static enum outcome list_mouse(struct view *v, const struct mouse *m)
{
    struct list *l = v->state;

    if (m->kind != MOUSE_PRESS)
        return OUT_IGNORED;
    v->target.feature = l->cursor = m->row;
    return OUT_DONE;
}

static bool list_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    struct list *l = v->state;

    if (what == ASK_COMMAND || what == ASK_GOTO)
        return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
    if (strchr(text, '!'))
        return err_set(err, ERR_FORMAT, "filter: a mistake at character %zu",
                       strcspn(text, "!"));
    if (what == ASK_FILTER)
        snprintf(l->filter, sizeof l->filter, "%s", text);
    else
        app_message(v->app, "%s: %s", what == ASK_LABEL ? "labelled" : "searched", text);
    return true;
}

static const char *list_word(const struct view *v, enum ask what, int i)
{
    static const char *const words[] = {"density", "decoder_norm"};

    (void)v;
    return what == ASK_FILTER && i < 2 ? words[i] : NULL;
}

static char *list_copy(const struct view *v, bool all)
{
    return xasprintf("%s %d", all ? "all" : "row", (int)v->target.feature);
}

static bool list_export(const struct view *v, enum export_format format, FILE *out,
                        struct err *err)
{
    (void)err;
    fprintf(out, format == EXPORT_JSON ? "{\"row\": %d}\n" : "row\n%d\n",
            (int)v->target.feature);
    return true;
}

static void list_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct list *l = v->state;

    (void)i;
    snprintf(buf, size, "%s", l->width);
}

static bool list_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct list *l = v->state;

    (void)i;
    if (strcmp(value, "wide") != 0 && strcmp(value, "narrow") != 0)
        return err_set(err, ERR_USAGE, "width: expected wide or narrow");
    snprintf(l->width, sizeof l->width, "%s", value);
    return true;
}

static const char *const widths[] = {"wide", "narrow", NULL};
static const struct view_key list_keys[] = {{ACT_OPEN, NULL}, {ACT_FILTER, NULL}, {0}};
static const struct view_term list_terms[] = {
    {"density", "Fraction of tokens where a feature is active."}, {NULL, NULL}};
static const struct view_option list_options[] = {{"width", "of rows", widths}, {0}};

static const struct view_ops list_ops = {
    .name = "features", .digit = 2, .purpose = "all rows", .state_size = sizeof(struct list),
    .keys = list_keys, .terms = list_terms, .options = list_options, .open = list_open,
    .go = list_go, .draw = list_draw, .status = list_status, .act = list_act,
    .mouse = list_mouse, .answer = list_answer, .word = list_word, .copy = list_copy,
    .export = list_export, .option_get = list_option_get, .option_set = list_option_set,
};

/* -- one row, computed by a job -------------------------------------------------------------- */

struct square_job {
    struct job job;
    int64_t n, square;
};

static bool square_run(struct job *job, const struct progress *p, struct err *err)
{
    struct square_job *s = (struct square_job *)job;

    if (s->n == 13)
        return err_set(err, ERR_RANGE, "row 13: no such row");
    while (s->n == 500) { /* for ever, until it is told to stop */
        if (!progress_step(p, "steps", 37, 100))
            return err_set(err, ERR_CANCELLED, "cancelled");
        usleep(1000);
    }
    s->square = s->n * s->n;
    return true;
}

static void square_free(struct job *job)
{
    free(job);
}

static const struct job_ops square_ops = {"square", square_run, square_free};

struct detail {
    int64_t n, square;
    int loads;
};

static void detail_go(struct view *v, const struct target *at)
{
    struct detail *d = v->state;
    struct square_job *job;

    if (at->feature < 0)
        return;
    v->target.feature = d->n = at->feature;
    job = job_new(&square_ops, sizeof *job);
    job->n = d->n;
    view_start(v, 0, LANE_QUICK, &job->job);
}

static void detail_loaded(struct view *v, int slot, struct job *job)
{
    struct detail *d = v->state;

    (void)slot; /* there is one */
    d->square = ((struct square_job *)job)->square;
    d->loads++;
}

static void detail_draw(const struct view *v, struct canvas *c)
{
    const struct detail *d = v->state;

    if (!view_paint_missing(v, 0, c))
        canvas_printf(c, 0, 0, INK_VALUE, "%d squared is %d (%d loads)", (int)d->n,
                      (int)d->square, d->loads);
}

static const struct view_ops detail_ops = {
    .name = "feature", .digit = 3, .purpose = "one row", .go = detail_go,
    .state_size = sizeof(struct detail), .loaded = detail_loaded, .draw = detail_draw,
};

const struct view_ops *const toy_views[] = {&list_ops, &detail_ops, NULL};
