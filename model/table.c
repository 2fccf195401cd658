/* table.c - the table of all features; see page.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/fidx.h"
#include "io/fs.h"
#include "io/mem.h"
#include "model/match.h"
#include "model/page.h"
#include "model/weights.h"

const struct feature_column_info feature_columns[FCOL_COUNT] = {
#define X(name, key, heading, help) [FCOL_##name] = {key, heading, help},
    FEATURE_COLUMNS(X)
#undef X
};

static double *column(struct feature_table *t, int c)
{
    if (!t->v[c])
        t->v[c] = xmalloc((size_t)t->n * sizeof(double));
    return t->v[c];
}

static void fill_parameter(struct feature_table *t, int c, const float *v)
{
    if (!v)
        return;
    double *out = column(t, c);
    for (int64_t j = 0; j < t->n; j++)
        out[j] = (double)v[j];
}

void feature_table_from_parameters(const struct sae *sae, struct feature_table *t)
{
    *t = (struct feature_table){.n = sae->d_sae, .tokens = NAN, .partial = 1};
    fill_parameter(t, FCOL_BIAS, sae_bias(sae));
    fill_parameter(t, FCOL_THRESHOLD, sae->threshold);
    fill_parameter(t, FCOL_RELATIVE_NORM, sae->relative_norm);
}

/* What broken features have not: they are left out, which is not to be dead. */
static void blank_broken(const struct sae *sae, struct feature_table *t)
{
    static const int columns[] = {FCOL_DENSITY, FCOL_MAX, FCOL_DELTA_FVU};
    for (int64_t j = 0; sae->broken && j < t->n; j++)
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
            if (sae->broken[j] && t->v[columns[c]])
                t->v[columns[c]][j] = NAN;
}

bool feature_table_from_index(const struct sae *sae, const struct index *ix,
                              struct feature_table *out, struct err *err)
{
    if (index_d_sae(ix) != sae->d_sae)
        return err_set(err, ERR_SHAPE, "%s: index of another SAE (found %lld features, expected %lld)",
                       index_path(ix), (long long)index_d_sae(ix), (long long)sae->d_sae);
    feature_table_from_parameters(sae, out);
    out->tokens = (double)index_totals(ix)->tokens;
    double *density = column(out, FCOL_DENSITY), *count = column(out, FCOL_ACTIVE);
    double *mean = column(out, FCOL_MEAN), *max = column(out, FCOL_MAX);
    double *norm = column(out, FCOL_DECODER_NORM);
    double *cosine = column(out, FCOL_ENCODER_DECODER_COSINE);
    double *delta = column(out, FCOL_DELTA_FVU);
    for (int64_t j = 0; j < out->n; j++) {
        const struct index_record *r = index_record(ix, j);
        count[j] = (double)r->count;
        density[j] = count[j] / out->tokens;
        mean[j] = r->count ? r->sum / count[j] : NAN;
        max[j] = (double)r->max;
        norm[j] = (double)r->decoder_norm;
        cosine[j] = (double)r->encoder_decoder_cosine;
        delta[j] = r->delta_fvu;
    }
    blank_broken(sae, out);
    return true;
}

bool feature_table_from_weights(const struct sae *sae, int threads,
                                const struct progress *progress,
                                struct feature_table *out, struct err *err)
{
    float *norm = xmalloc((size_t)sae->d_sae * sizeof *norm);
    float *cosine = xmalloc((size_t)sae->d_sae * sizeof *cosine);
    bool ok = weights_geometry(sae, threads, progress, norm, cosine, err);
    if (ok) {
        feature_table_from_parameters(sae, out);
        fill_parameter(out, FCOL_DECODER_NORM, norm);
        fill_parameter(out, FCOL_ENCODER_DECODER_COSINE, cosine);
    }
    free(norm);
    free(cosine);
    return ok;
}

void feature_table_from_live(const struct sae *sae, const struct scan_live *live,
                             struct feature_table *t)
{
    double *density = column(t, FCOL_DENSITY), *count = column(t, FCOL_ACTIVE);
    double *mean = column(t, FCOL_MEAN), *max = column(t, FCOL_MAX);
    double tokens = (double)atomic_load(&live->tokens);
    double of = (double)atomic_load(&live->tokens_of);
    for (int64_t j = 0; j < t->n; j++) {
        count[j] = atomic_load_explicit(&live->count[j], memory_order_relaxed);
        max[j] = (double)atomic_load_explicit(&live->max[j], memory_order_relaxed);
        double sum = (double)atomic_load_explicit(&live->sum[j], memory_order_relaxed);
        mean[j] = count[j] > 0 ? sum / count[j] : NAN;
        /* Hits of blocks that are not merged yet may be counted already. */
        density[j] = tokens > 0 ? fmin(count[j] / tokens, 1) : 0;
    }
    blank_broken(sae, t);
    t->tokens = tokens;
    t->partial = of > 0 ? tokens / of : 0;
}

/* ---- nearest cosines, cached by checkpoint ---------------------------------------- */

#define NEAREST_VERSION 1

static char *nearest_path(const struct sae *sae)
{
    char *dir = fs_cache_dir(NULL);
    char *path = dir ? xasprintf("%s/nearest-%016llx.fidx", dir,
                                 (unsigned long long)sae_id(sae))
                     : NULL;
    free(dir);
    return path;
}

static bool nearest_load(const char *path, float *out, int64_t n)
{
    struct fidx *f = fidx_open(path, NEAREST_VERSION, NULL);
    size_t size;
    const float *stored = f ? fidx_section(f, "nearest", &size, NULL) : NULL;
    bool ok = stored && size == (size_t)n * sizeof *out;
    if (ok)
        memcpy(out, stored, size);
    fidx_close(f);
    return ok;
}

/* A cache: when it cannot be written, the values are there all the same. */
static void nearest_store(const char *path, const float *v, int64_t n)
{
    struct fidx_writer *w = fidx_create(path, NEAREST_VERSION, NULL);
    if (!w)
        return;
    if (fidx_begin(w, "nearest", true, NULL) &&
        fidx_append(w, v, (size_t)n * sizeof *v, NULL))
        fidx_commit(w, NULL);
    else
        fidx_abort(w);
}

bool feature_table_nearest(struct feature_table *t, const struct sae *sae, int threads,
                           const struct progress *progress, struct err *err)
{
    float *nearest = xmalloc((size_t)t->n * sizeof *nearest);
    char *path = nearest_path(sae);
    bool ok = path && nearest_load(path, nearest, t->n);
    if (!ok) {
        ok = match_nearest_all(&sae->W_dec, threads, progress, nearest, err);
        if (ok && path)
            nearest_store(path, nearest, t->n);
    }
    for (int64_t j = 0; ok && j < t->n; j++) /* one that is alone has no neighbour */
        nearest[j] = t->n > 1 ? nearest[j] : NAN;
    if (ok)
        fill_parameter(t, FCOL_NEAREST_COSINE, nearest);
    free(path);
    free(nearest);
    return ok;
}

void feature_table_finish(struct feature_table *t)
{
    for (int c = 0; c < FCOL_COUNT; c++)
        free(t->v[c]);
    *t = (struct feature_table){0};
}

/* ---- order ------------------------------------------------------------------------ */

struct keyed {
    uint64_t key;
    uint32_t id;
};

/* Doubles as integers of the same order; then turned so that ascending keys are the order
 * asked for, NaN last either way. */
static uint64_t sort_key(double v, bool reverse)
{
    uint64_t bits;
    if (isnan(v))
        return UINT64_MAX;
    v += 0.0; /* -0 and 0 are equal */
    memcpy(&bits, &v, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
    return reverse ? bits : ~bits;
}

/* Least significant digit first, 11 bits at a time; a digit that all keys share is passed
 * over. Stable. The result is in a. */
static void radix_sort(struct keyed *a, struct keyed *b, int64_t n)
{
    enum { BITS = 11, DIGITS = 1 << BITS };
    int64_t *start = xmalloc(DIGITS * sizeof *start);
    struct keyed *from = a, *to = b;
    for (int shift = 0; shift < 64; shift += BITS) {
        memset(start, 0, DIGITS * sizeof *start);
        for (int64_t i = 0; i < n; i++)
            start[from[i].key >> shift & (DIGITS - 1)]++;
        if (n > 0 && start[from[0].key >> shift & (DIGITS - 1)] == n)
            continue;
        int64_t before = 0;
        for (int d = 0; d < DIGITS; d++) {
            int64_t count = start[d];
            start[d] = before;
            before += count;
        }
        for (int64_t i = 0; i < n; i++)
            to[start[from[i].key >> shift & (DIGITS - 1)]++] = from[i];
        struct keyed *t = from;
        from = to;
        to = t;
    }
    if (from != a)
        memcpy(a, from, (size_t)n * sizeof *a);
    free(start);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void feature_table_sort(const struct feature_table *t, int c, bool reverse, uint32_t *ids,
                        int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (ids[i] < ids[i - 1]) {
            qsort(ids, (size_t)n, sizeof *ids, by_id);
            break;
        }
    if (c != FCOL_ID && !t->v[c])
        return;
    struct keyed *a = xmalloc((size_t)n * sizeof *a), *b = xmalloc((size_t)n * sizeof *b);
    for (int64_t i = 0; i < n; i++)
        a[i] = (struct keyed){sort_key(feature_table_at(t, c, ids[i]), reverse), ids[i]};
    radix_sort(a, b, n);
    for (int64_t i = 0; i < n; i++)
        ids[i] = a[i].id;
    free(a);
    free(b);
}
