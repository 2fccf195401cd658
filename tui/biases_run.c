/* biases_run.c - view 4 over several checkpoints on an axis. See biases.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/biases.h"

void biases_run_drop(struct biases_run *r)
{
    for (int k = 0; k < r->series.n; k++) {
        free(r->points[k].v);
        summary_finish(&r->points[k].summary);
        r->points[k] = (struct biases_point){0};
    }
    r->known = 0;
}

int biases_run_known(const struct biases_run *r)
{
    int n = 0;

    for (int k = 0; k < r->series.n; k++)
        n += r->points[k].state == POINT_KNOWN;
    return n;
}

/* -- one member: a job that keeps nothing open ---------------------------------------------- */

struct run_job {
    struct job job;
    const struct session *session;
    int i;
    const struct sae *sae; /* borrowed; NULL: to be opened here */
    enum quantity of;
    double *v;             /* [n] the result; NULL: wants_scan, or it has no such quantity */
    int64_t n;
    bool wants_scan, does_not_apply;
    struct err why;        /* it cannot be had: no reason to give up the others */
    int64_t step;
    double l1;
};

static void run_job_free(struct job *job)
{
    struct run_job *j = (struct run_job *)job;
    free(j->v);
    free(j);
}

static bool read_values(struct run_job *j, const struct sae *sae, const struct progress *p,
                        struct err *err)
{
    const struct session *s = j->session;
    const struct quantity_info *q = &quantities[j->of];
    struct feature_table table = {0};
    struct index *index = NULL;
    bool ok = true;

    j->step = sae->step;
    j->l1 = sae->l1;
    j->does_not_apply = !quantity_applies(sae, j->of);
    if (j->does_not_apply)
        return true;
    if (q->is_scanned) {
        struct err why = {0};
        index = session_read_index(s, j->i, &why);
        j->wants_scan = !index;
        ok = !index || feature_table_from_index(sae, index, &table, err);
    } else if (!q->is_stored) {
        ok = feature_table_from_weights(sae, s->options.threads, p, &table, err);
    }
    if (ok && !j->wants_scan)
        j->v = quantity_values(sae, &table, j->of, &j->n);
    feature_table_finish(&table);
    index_close(index);
    return ok && (j->v || j->wants_scan ||
                  err_set(err, ERR_MISSING, "%s: %s is not known", sae->path, q->name));
}

/* The headers are enough: nothing of the size of the weights is read unless it must be. */
static bool run_run(struct job *job, const struct progress *p, struct err *err)
{
    struct run_job *j = (struct run_job *)job;
    const struct session *s = j->session;
    struct sae *own = NULL;

    if (!j->sae)
        own = sae_open(s->saes[j->i].path, &s->options.sae, p, err);
    bool ok = (j->sae || own) && read_values(j, j->sae ? j->sae : own, p, err);
    sae_close(own);
    if (ok || err->code == ERR_CANCELLED)
        return ok;
    j->why = *err;
    return true;
}

static const struct job_ops run_ops = {"series", run_run, run_job_free};

/* -- one after the other ---------------------------------------------------------------------- */

static void take(struct biases_point *p, const double *v, int64_t n)
{
    p->v = mem_try((size_t)n, sizeof *p->v, "series", &p->err);
    p->state = p->v ? POINT_KNOWN : POINT_FAILED;
    p->n = p->v ? n : 0;
    for (int64_t i = 0; i < p->n; i++)
        p->v[i] = (float)v[i];
}

static void fail(struct biases_point *p, enum err_code code, const char *why)
{
    p->state = POINT_FAILED;
    err_set(&p->err, code, "%s", why);
}

/* The desk has it scanned, is at it, or has given up. False: wait for it. */
static bool look_at_desk(struct view *v, int k)
{
    struct biases *b = v->state;
    struct biases_point *p = &b->run.points[k];
    int i = b->run.series.members[k].sae;
    const struct desk_sae *e = desk_sae(v->desk, i);
    const struct sae *sae = v->session->saes[i].sae;
    int64_t n;

    if (e->state == DESK_COMPLETE) {
        double *values = quantity_values(sae, &e->table, b->run.of, &n);
        p->wants_scan = false; /* or its table was let go of: then there is an index now */
        if (values)
            take(p, values, n);
        free(values);
        return true;
    }
    if (e->err.code) {
        fail(p, e->err.code, e->err.msg);
        return true;
    }
    desk_need(v->desk, i);
    return false;
}

static void start(struct view *v, int k)
{
    struct biases *b = v->state;
    struct run_job *j = job_new(&run_ops, sizeof *j);

    j->session = v->session;
    j->i = b->run.series.members[k].sae;
    j->sae = v->session->saes[j->i].sae;
    j->of = b->run.of;
    view_start(v, BIASES_SLOT_RUN, LANE_QUICK, &j->job);
}

/* Ask for the first that is missing; several are never loaded or scanned at once. */
static void go_on(struct view *v)
{
    struct biases *b = v->state;
    bool has_samples = samples_have_features(v->session->samples);

    for (int k = 0; k < b->run.series.n; k++) {
        struct biases_point *p = &b->run.points[k];
        if (p->state != POINT_WAITING)
            continue;
        if (p->wants_scan && !has_samples)
            fail(p, ERR_MISSING, "needs activation samples (--acts FILE)");
        else if (p->wants_scan && !look_at_desk(v, k))
            return;
        if (p->state == POINT_WAITING) {
            start(v, k);
            return;
        }
    }
}

/* -- all of them --------------------------------------------------------------------------------- */

static bool same_members(const struct series *a, const struct series *b)
{
    if (a->n != b->n)
        return false;
    for (int k = 0; k < a->n; k++) { /* in any order */
        int j = 0;
        while (j < b->n && b->members[j].sae != a->members[k].sae)
            j++;
        if (j == b->n)
            return false;
    }
    return true;
}

/* Has anything changed that the summaries depend on? Takes note of it. */
static bool is_stale(struct biases *b)
{
    struct biases_run *r = &b->run;
    bool log_values = b->scale == SCALE_LOG ||
                      (b->scale == SCALE_AUTO && quantities[r->of].log_values);
    int bins = b->bins ? b->bins : STATS_BINS, known = biases_run_known(r);
    bool same_range = memcmp(&r->range_lo, &b->range_lo, sizeof r->range_lo) == 0 &&
                      memcmp(&r->range_hi, &b->range_hi, sizeof r->range_hi) == 0;

    if (r->bins == bins && r->known == known && r->log_values == log_values && same_range)
        return false;
    r->bins = bins;
    r->known = known;
    r->log_values = log_values;
    r->range_lo = b->range_lo;
    r->range_hi = b->range_hi;
    return true;
}

void biases_run_summarise(struct view *v)
{
    struct biases *b = v->state;
    struct biases_run *r = &b->run;
    double lo = INFINITY, hi = -INFINITY, *wide = NULL;
    int64_t most = 0;

    if (!b->run_shown || !is_stale(b))
        return;
    for (int k = 0; k < r->series.n; k++)
        most = r->points[k].n > most ? r->points[k].n : most;
    wide = xmalloc((size_t)(most + 1) * sizeof *wide);
    struct summary_options o = {.bins = r->bins, .log = r->log_values};
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < r->series.n; k++) {
            struct biases_point *p = &r->points[k];
            for (int64_t i = 0; i < p->n; i++)
                wide[i] = (double)p->v[i];
            double from = b->range_lo, to = b->range_hi;
            if (pass == 0 && quantity_range(wide, p->n, r->log_values, &from, &to)) {
                lo = from < lo ? from : lo;
                hi = to > hi ? to : hi;
            }
            if (pass == 0 || p->state != POINT_KNOWN)
                continue;
            o.lo = r->lo = lo;
            o.hi = r->hi = hi;
            o.ranged = lo <= hi;
            summary_finish(&p->summary);
            summary_of(wide, p->n, &o, &p->summary);
            stats_quantiles(wide, p->n, p->quantiles);
        }
    free(wide);
}

void biases_run_update(struct view *v)
{
    struct biases *b = v->state;
    struct series now;

    if (!b->run_shown || !v->desk)
        return;
    series_around(v->session, v->target.sae, &now);
    if (!same_members(&now, &b->run.series) || b->run.of != b->of) {
        view_start(v, BIASES_SLOT_RUN, LANE_QUICK, NULL);
        biases_run_drop(&b->run);
        if (!same_members(&now, &b->run.series)) {
            b->run.series = now;
            b->run.cursor = b->run.top = 0;
        }
        b->run.of = b->of;
        for (int k = 0; k < now.n; k++)
            if (b->run.series.members[k].sae == v->target.sae)
                b->run.cursor = k;
    }
    if (!view_busy(v, BIASES_SLOT_RUN) && !v->slots[BIASES_SLOT_RUN].err.code)
        go_on(v);
    biases_run_summarise(v);
}

void biases_run_retry(struct view *v)
{
    struct biases *b = v->state;

    if (view_busy(v, BIASES_SLOT_RUN))
        return;
    for (int k = 0; k < b->run.series.n; k++)
        if (b->run.points[k].state == POINT_FAILED) {
            desk_retry(v->desk, b->run.series.members[k].sae);
            b->run.points[k] = (struct biases_point){0};
        }
    view_start(v, BIASES_SLOT_RUN, LANE_QUICK, NULL); /* forget that it was cancelled */
    biases_run_update(v);
}

void biases_run_show(struct view *v, bool shown)
{
    struct biases *b = v->state;
    struct series series;

    if (shown) {
        series_around(v->session, v->target.sae, &series);
        if (series.n < 2) {
            app_message(v->app, "no series: open several checkpoints, or a directory of step_*");
            return;
        }
    }
    b->run_shown = shown;
    b->pane = BIASES_HIST;
    if (shown)
        biases_run_retry(v);
}

/* What was found goes with its member, which may change its place for it. */
static void place(struct biases_run *r, int k, const struct run_job *j)
{
    struct series_member *m = &r->series.members[k];
    struct series before;
    struct biases_point points[SERIES_MAX];
    int at = r->series.members[r->cursor].sae;

    if (m->step < 0)
        m->step = j->step;
    if (isnan(m->l1))
        m->l1 = j->l1;
    before = r->series;
    memcpy(points, r->points, sizeof points);
    series_place(&r->series);
    for (int to = 0; to < r->series.n; to++) {
        for (int from = 0; from < before.n; from++)
            if (before.members[from].sae == r->series.members[to].sae)
                r->points[to] = points[from];
        if (r->series.members[to].sae == at)
            r->cursor = to;
    }
}

void biases_run_loaded(struct view *v, struct job *job)
{
    struct biases *b = v->state;
    struct run_job *j = (struct run_job *)job;

    for (int k = 0; k < b->run.series.n; k++) {
        struct biases_point *p = &b->run.points[k];
        if (b->run.series.members[k].sae != j->i || p->state != POINT_WAITING || j->of != b->run.of)
            continue;
        if (j->why.code)
            fail(p, j->why.code, j->why.msg);
        else if (j->does_not_apply)
            fail(p, ERR_MISSING, "it has none");
        else if (j->wants_scan)
            p->wants_scan = true;
        else
            take(p, j->v, j->n);
        place(&b->run, k, j);
        break;
    }
    biases_run_update(v);
}
