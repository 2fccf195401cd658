/* info.c - the page about one checkpoint. */
#include "model/page.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/weights.h"

#define ROWS 64 /* of W_dec at a time */

const char *const page_parameter_name[PARAM_COUNT] = {
    [PARAM_B_ENC] = "b_enc",   [PARAM_B_DEC] = "b_dec",
    [PARAM_THRESHOLD] = "threshold", [PARAM_B_GATE] = "b_gate",
    [PARAM_B_MAG] = "b_mag",   [PARAM_R_MAG] = "r_mag",
    [PARAM_DECODER_NORM] = "decoder_norm",
};

/* --- the parameters --- */

static void add_parameter(struct page_info *p, enum page_parameter which, const float *v,
                          int64_t n)
{
    if (!v)
        return;
    double *wide = xmalloc((size_t)n * sizeof *wide);
    for (int64_t i = 0; i < n; i++)
        wide[i] = v[i];
    summary_of(wide, n, NULL, &p->parameter[which]);
    p->has[which] = true;
    free(wide);
}

/* BatchTopK has one threshold, which is stored for every feature. */
static int64_t n_thresholds(const struct sae *sae)
{
    bool one = strcmp(sae->arch->name, "batchtopk") == 0 ||
               strcmp(sae->arch->name, "matryoshka") == 0;
    for (int64_t j = 1; one && j < sae->d_sae; j++)
        one = sae->threshold[j] == sae->threshold[0];
    return one ? 1 : sae->d_sae;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Sorts v; NaN, which is nothing to compare, is left out. */
static double median(float *v, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(v[i]))
            v[kept++] = v[i];
    if (!kept)
        return NAN;
    qsort(v, (size_t)kept, sizeof *v, compare_floats);
    return (v[(kept - 1) / 2] + (double)v[kept / 2]) / 2;
}

/* --- equal rows of the decoder --- */

struct hashing {
    const struct sae *sae;
    const struct progress *progress;
    uint64_t *hash; /* [d_sae] */
    _Atomic int64_t done;
    _Atomic bool stop;
    struct err *errs; /* [threads] */
};

struct hash_part {
    struct hashing *h;
    int64_t first, n;
    float *rows; /* [ROWS, d_out] */
};

static void hash_rows(void *ctx)
{
    struct hash_part *p = ctx;
    int64_t d = p->h->sae->d_out;
    mat_read_rows(&p->h->sae->W_dec, p->first, p->n, p->rows);
    for (int64_t i = 0; i < p->n; i++)
        p->h->hash[p->first + i] = XXH3_64bits(p->rows + i * d, (size_t)d * sizeof *p->rows);
}

static void hash_item(void *ctx, size_t i, int thread)
{
    struct hashing *h = ctx;
    if (h->stop)
        return;
    int64_t first = (int64_t)i * ROWS, left = h->sae->d_sae - first;
    struct hash_part p = {h, first, left < ROWS ? left : ROWS, NULL};
    p.rows = xmalloc((size_t)(ROWS * h->sae->d_out) * sizeof *p.rows);
    if (!map_guard(hash_rows, &p, &h->errs[thread]))
        h->stop = true;
    free(p.rows);
    int64_t done = atomic_fetch_add(&h->done, p.n) + p.n;
    if (!progress_step(h->progress, "comparing rows", done, h->sae->d_sae)) {
        err_set(&h->errs[thread], ERR_CANCELLED, "cancelled");
        h->stop = true;
    }
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Rows of W_dec that equal an earlier one, told by their hashes (64 bits: two different
 * rows in a hundred thousand are taken for equal once in 10^9 checkpoints). */
static bool count_duplicates(const struct sae *sae, int threads,
                             const struct progress *progress, int64_t *out,
                             struct err *err)
{
    struct hashing h = {.sae = sae, .progress = progress};
    threads = threads > 0 ? threads : team_default_threads();
    h.hash = mem_try((size_t)sae->d_sae, sizeof *h.hash, "row hashes", err);
    if (!h.hash)
        return false;
    h.errs = xcalloc((size_t)threads, sizeof *h.errs);
    team_each(threads, (size_t)((sae->d_sae + ROWS - 1) / ROWS), hash_item, &h);
    for (int t = threads - 1; h.stop && t >= 0; t--)
        if (h.errs[t].code && err)
            *err = h.errs[t];
    if (!h.stop) {
        qsort(h.hash, (size_t)sae->d_sae, sizeof *h.hash, compare_hashes);
        *out = 0;
        for (int64_t j = 1; j < sae->d_sae; j++)
            *out += h.hash[j] == h.hash[j - 1];
    }
    free(h.errs);
    free(h.hash);
    return !h.stop;
}

/* --- the page --- */

bool page_info_make(const struct sae *sae, int threads, const struct progress *progress,
                    struct page_info *out, struct err *err)
{
    struct page_info p = {.sae = sae};
    size_t n = (size_t)sae->d_sae;
    float *norm = mem_try(n, sizeof *norm, "decoder norms", err);
    float *cosine = norm ? mem_try(n, sizeof *cosine, "cosines", err) : NULL;
    bool ok = cosine && weights_geometry(sae, threads, progress, norm, cosine, err) &&
              count_duplicates(sae, threads, progress, &p.duplicate_decoder_rows, err);
    if (ok) {
        add_parameter(&p, PARAM_B_ENC, sae->b_enc, sae->d_sae);
        add_parameter(&p, PARAM_B_DEC, sae->b_dec, sae->d_out);
        add_parameter(&p, PARAM_THRESHOLD, sae->threshold,
                      sae->threshold ? n_thresholds(sae) : 0);
        add_parameter(&p, PARAM_B_GATE, sae->b_gate, sae->d_sae);
        add_parameter(&p, PARAM_B_MAG, sae->b_mag, sae->d_sae);
        add_parameter(&p, PARAM_R_MAG, sae->r_mag, sae->d_sae);
        add_parameter(&p, PARAM_DECODER_NORM, norm, sae->d_sae);
        p.median_encoder_decoder_cosine = median(cosine, sae->d_sae);
        *out = p;
    }
    free(cosine);
    free(norm);
    return ok;
}

void page_info_finish(struct page_info *p)
{
    for (int i = 0; i < PARAM_COUNT; i++)
        summary_finish(&p->parameter[i]);
    *p = (struct page_info){0};
}
