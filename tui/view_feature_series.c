/* view_feature_series.c - view 3: one feature at the steps of a training run; see
 * view_feature.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/mem.h"
#include "model/series.h"
#include "tui/view_feature.h"
#include "tui/wid_hist.h"

#define SERIES_ROOM ((int64_t)1 << 20) /* features times steps: 24 MB; beyond there is no row */

struct feature_series {
    struct series series;
    int64_t d_sae;
    int scanned;                /* members that the desk knew to be scanned */
    struct series_feature *of;  /* [series.n, d_sae] owned */
};

void feature_series_free(struct feature_series *s)
{
    if (s)
        free(s->of);
    free(s);
}

bool feature_has_series(const struct view *v)
{
    const struct feature_view *s = v->state;

    return s->series && series_has(&s->series->series, v->target.sae);
}

/* -- reading it ---------------------------------------------------------------------------- */

struct series_job {
    struct job job;
    const struct session *session;
    struct feature_series *series; /* owned; take it and leave NULL */
};

static void series_job_free(struct job *job)
{
    struct series_job *j = (struct series_job *)job;
    feature_series_free(j->series);
    free(j);
}

static bool series_run(struct job *job, const struct progress *p, struct err *err)
{
    struct series_job *j = (struct series_job *)job;
    struct feature_series *s = j->series;

    s->of = mem_try((size_t)(s->series.n * s->d_sae), sizeof *s->of, "steps", err);
    return s->of && series_features(j->session, &s->series, 0, s->d_sae, p, s->of, err);
}

static const struct job_ops series_ops = {"steps", series_run, series_job_free};

static int scanned(const struct view *v, const struct series *s)
{
    int n = 0;

    for (int k = 0; k < s->n; k++)
        n += desk_sae(v->desk, s->members[k].sae)->state == DESK_COMPLETE;
    return n;
}

void feature_series_need(struct view *v)
{
    struct feature_view *s = v->state;
    const struct sae *sae = feature_sae(v);
    struct series series;

    if (!sae || view_busy(v, SLOT_SERIES) || v->slots[SLOT_SERIES].err.code)
        return;
    series_around(v->session, v->target.sae, &series);
    int known = scanned(v, &series);
    if (!series_has(&series, v->target.sae) || series.n > SERIES_ROOM / sae->d_sae ||
        (feature_has_series(v) && s->series->scanned == known))
        return;
    struct series_job *j = job_new(&series_ops, sizeof *j);
    j->session = v->session;
    j->series = xcalloc(1, sizeof *j->series);
    j->series->series = series;
    j->series->d_sae = sae->d_sae;
    j->series->scanned = known;
    view_start(v, SLOT_SERIES, LANE_QUICK, &j->job);
}

void feature_series_loaded(struct view *v, struct job *job)
{
    struct feature_view *s = v->state;
    struct series_job *j = (struct series_job *)job;

    feature_series_free(s->series);
    s->series = j->series;
    j->series = NULL;
}

/* -- as text --------------------------------------------------------------------------------- */

/* "bias ▁▂▅█ -0.018 → -1.8": from the first step that knows it to the last. */
static size_t put_one(const struct feature_series *s, int64_t id, size_t field, const char *name,
                      char *buf, size_t size)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double x[SERIES_MAX], lo = INFINITY, hi = -INFINITY;
    char first[32], last[32];
    int n = 0;

    for (int k = 0; k < s->series.n; k++) {
        const struct series_feature *f = &s->of[k * s->d_sae + id];
        double y = *(const double *)((const char *)f + field);
        if (!isfinite(y))
            continue;
        x[n++] = y;
        lo = fmin(lo, y);
        hi = fmax(hi, y);
    }
    if (n < 2)
        return 0;
    size_t at = (size_t)snprintf(buf, size, "%s ", name);
    for (int k = 0; k < n && at < size; k++) {
        int bar = hi > lo ? (int)((x[k] - lo) / (hi - lo) * 7 + .5) : 0;
        at += (size_t)snprintf(buf + at, size - at, "%s", bars[bar]);
    }
    if (at < size)
        at += (size_t)snprintf(buf + at, size - at, " %s → %s  ",
                               number_text(x[0], 8, first, sizeof first),
                               number_text(x[n - 1], 8, last, sizeof last));
    return at < size ? at : size;
}

void feature_series_text(const struct view *v, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    int64_t id = s->page->p.id;
    size_t n = 0;

    snprintf(buf, size, "·");
    if (!feature_has_series(v) || id >= s->series->d_sae)
        return;
    n += put_one(s->series, id, offsetof(struct series_feature, bias), "bias", buf, size);
    n += put_one(s->series, id, offsetof(struct series_feature, threshold), "threshold", buf + n,
                 size - n);
    put_one(s->series, id, offsetof(struct series_feature, density), "density", buf + n, size - n);
}
