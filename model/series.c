/* series.c - see series.h. */
#include "model/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

static size_t directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool same_run(const struct session_sae *a, const struct session_sae *b)
{
    size_t n = directory_of(a->path);
    return a->step >= 0 && b->step >= 0 && n == directory_of(b->path) &&
           memcmp(a->path, b->path, n) == 0;
}

static int run_size(const struct session *s, int i)
{
    int n = 0;

    for (int k = 0; k < s->n_saes; k++)
        n += same_run(&s->saes[i], &s->saes[k]);
    return n;
}

/* A checkpoint of the run that is to be shown, -1: there is none. */
static int find_run(const struct session *s, int i)
{
    if (i >= 0 && i < s->n_saes && run_size(s, i) > 1)
        return i;
    for (int k = 0; k < s->n_saes; k++)
        if (run_size(s, k) > 1)
            return k;
    return -1;
}

static void add(struct series *out, const struct session *s, int i)
{
    const struct session_sae *e = &s->saes[i];
    struct series_member *m = &out->members[out->n++];

    *m = (struct series_member){.sae = i, .step = e->step, .l1 = e->sae ? e->sae->l1 : NAN};
    if (m->step < 0 && e->sae)
        m->step = e->sae->step;
}

/* The k-th of n that are kept of `of`. */
static int evenly(int k, int n, int of)
{
    return n > 1 ? (int)((int64_t)k * (of - 1) / (n - 1)) : 0;
}

static void add_some(struct series *out, const struct session *s, const int *saes, int of)
{
    int n = of < SERIES_MAX ? of : SERIES_MAX;

    for (int k = 0; k < n; k++)
        add(out, s, saes[evenly(k, n, of)]);
    out->left_out = of - n;
}

void series_around(const struct session *s, int i, struct series *out)
{
    *out = (struct series){0};
    if (s->n_chosen > 1) {
        add_some(out, s, s->chosen, s->n_chosen);
    } else {
        int *run = xcalloc((size_t)s->n_saes + 1, sizeof *run), n = 0, first = find_run(s, i);
        for (int k = 0; first >= 0 && k < s->n_saes; k++)
            if (same_run(&s->saes[first], &s->saes[k]))
                run[n++] = k;
        if (n > 1)
            add_some(out, s, run, n);
        free(run);
    }
    series_place(out);
}

static int compare_members(const void *x, const void *y)
{
    const struct series_member *a = x, *b = y;

    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return a->sae - b->sae;
}

/* Sort by x; are all of them known, and different? */
static bool place_by(struct series *s, bool step)
{
    for (int k = 0; k < s->n; k++) {
        struct series_member *m = &s->members[k];
        if (step ? m->step < 0 : !isfinite(m->l1))
            return false;
    }
    for (int k = 0; k < s->n; k++)
        s->members[k].x = step ? (double)s->members[k].step : s->members[k].l1;
    qsort(s->members, (size_t)s->n, sizeof *s->members, compare_members);
    for (int k = 1; k < s->n; k++)
        if (s->members[k].x == s->members[k - 1].x)
            return false;
    return true;
}

void series_place(struct series *s)
{
    struct series before = *s;

    s->by = SERIES_BY_STEP;
    if (place_by(s, true))
        return;
    *s = before;
    s->by = SERIES_BY_L1;
    if (place_by(s, false))
        return;
    *s = before;
    s->by = SERIES_BY_ORDER;
    for (int k = 0; k < s->n; k++)
        s->members[k].x = k;
}

/* -- features -------------------------------------------------------------------- */

bool series_has(const struct series *s, int i)
{
    for (int k = 0; k < s->n && s->by == SERIES_BY_STEP; k++)
        if (s->members[k].sae == i)
            return true;
    return false;
}

static struct series_feature feature_of(const struct sae *sae, const struct index *index,
                                        int64_t id)
{
    struct series_feature f = {NAN, NAN, NAN};
    const float *bias = sae_bias(sae);

    f.bias = bias ? (double)bias[id] : NAN;
    f.threshold = sae->threshold ? (double)sae->threshold[id] : NAN;
    if (index && id < index_d_sae(index)) {
        double counted = (double)index_totals(index)->tokens;
        f.density = counted > 0 ? (double)index_record(index, id)->count / counted : NAN;
    }
    return f;
}

static void look_at(const struct session *session, int i, int64_t first, int64_t n,
                    const struct progress *progress, struct series_feature *out)
{
    struct err why = {0};
    struct sae *sae = sae_open(session->saes[i].path, &session->options.sae, progress, &why);
    struct index *index = sae ? session_read_index(session, i, &why) : NULL;

    for (int64_t k = 0; k < n; k++)
        out[k] = sae && first + k < sae->d_sae ? feature_of(sae, index, first + k)
                                               : (struct series_feature){NAN, NAN, NAN};
    index_close(index);
    sae_close(sae);
}

bool series_features(const struct session *session, const struct series *s, int64_t first,
                     int64_t n, const struct progress *progress, struct series_feature *out,
                     struct err *err)
{
    for (int k = 0; k < s->n; k++) {
        if (!progress_step(progress, "checkpoints", k, s->n))
            return err_set(err, ERR_CANCELLED, "cancelled");
        look_at(session, s->members[k].sae, first, n, progress, out + k * n);
    }
    return true;
}
