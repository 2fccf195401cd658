/* lm_head.c - from the final norm to logits, losses and divergences, by blocks of the
 * vocabulary: no array of [positions, vocab] is ever made. */
#include "model/lm_impl.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "model/kern.h"

static void cap_logits(const struct lm *lm, float *logits, int64_t n)
{
    float cap = (float)lm->c.final_cap;
    for (int64_t i = 0; cap > 0 && i < n; i++)
        logits[i] = cap * tanhf(logits[i] / cap);
}

void lm_logits(struct lm_run *r, const float *h, float *logits)
{
    const struct lm *lm = r->lm;
    lm_multiply(&lm->unembed, 0, lm->c.vocab, h, lm->c.d_model, 1, logits, lm->c.vocab,
                r->block);
    cap_logits(lm, logits, lm->c.vocab);
}

struct unembedding {
    const struct lm *lm;
    const float *v;
    int64_t n;
    float *out, *block;
};

static void unembed(void *ctx)
{
    struct unembedding *u = ctx;
    int64_t vocab = u->lm->c.vocab;
    lm_multiply(&u->lm->unembed, 0, vocab, u->v, u->lm->c.d_model, u->n, u->out, vocab,
                u->block);
}

bool lm_unembed(const struct lm *lm, const float *v, int64_t n, float *out, struct err *err)
{
    struct unembedding u = {.lm = lm, .v = v, .n = n, .out = out};
    u.block = xmalloc(lm_block_floats(lm) * sizeof *u.block);
    bool ok = map_guard(unembed, &u, err);
    free(u.block);
    return ok;
}

/* ---- losses */

/* What is known of one distribution after some blocks: sum of exp(logit - max). */
struct row {
    float max, target;
    double sum;
    double cross; /* of row 0: sum of exp(logit - max) (logit - other's logit) */
};

/* Take in the logits l [n], n <= LM_TILE; other: those of the distribution to compare with,
 * or NULL. */
static void row_add(struct row *row, const float *l, const float *other, int64_t n)
{
    float max = row->max;
    for (int64_t j = 0; j < n; j++)
        max = l[j] > max ? l[j] : max;
    if (max > row->max) {
        double shrink = exp((double)row->max - (double)max);
        row->sum *= shrink;
        row->cross *= shrink;
        row->max = max;
    }
    float e[LM_TILE];
    for (int64_t j = 0; j < n; j++)
        e[j] = l[j] - max;
    kern_best()->exp(e, n);
    double sum = 0, cross = 0;
    for (int64_t j = 0; j < n; j++)
        sum += (double)e[j];
    for (int64_t j = 0; other && j < n; j++)
        cross += (double)e[j] * (double)(l[j] - other[j]);
    row->sum += sum;
    row->cross += cross;
}

static double log_sum_exp(const struct row *row)
{
    return (double)row->max + log(row->sum);
}

/* Positions [first, first + n) of all streams; rows [n_streams * n]. */
static void chunk_rows(struct lm_run *r, int n_streams, const float *const *final,
                       const int64_t *ids, int64_t first, int64_t n, bool compare,
                       struct row *rows)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model, vocab = lm->c.vocab, all = n_streams * n;
    for (int s = 0; s < n_streams; s++)
        memcpy(r->stack + s * n * d, final[s] + first * d,
               (size_t)(n * d) * sizeof *r->stack);
    for (int64_t i = 0; i < all; i++)
        rows[i] = (struct row){.max = -INFINITY, .target = NAN};
    for (int64_t v = 0; v < vocab; v += LM_TILE) {
        int64_t width = vocab - v < LM_TILE ? vocab - v : LM_TILE;
        lm_multiply(&lm->unembed, v, width, r->stack, d, all, r->tile, width, r->block);
        cap_logits(lm, r->tile, all * width);
        for (int64_t i = 0; i < all; i++) {
            const float *l = r->tile + i * width;
            int64_t target = ids[first + i % n + 1] - v;
            if (target >= 0 && target < width)
                rows[i].target = l[target];
            row_add(&rows[i], l, compare && i < n ? l + n * width : NULL, width);
        }
    }
}

bool lm_losses(struct lm_run *r, int n_streams, const float *const *final,
               const int64_t *ids, int64_t T, double *const *ce, double *kl,
               struct err *err)
{
    assert(n_streams >= 1 && n_streams <= LM_STREAMS && (!kl || n_streams >= 2));
    struct row rows[LM_STREAMS * LM_CHUNK];
    for (int64_t p = 0; p < T - 1; p += LM_CHUNK) {
        int64_t n = T - 1 - p < LM_CHUNK ? T - 1 - p : LM_CHUNK;
        chunk_rows(r, n_streams, final, ids, p, n, kl != NULL, rows);
        for (int64_t i = 0; i < n_streams * n; i++)
            ce[i / n][p + i % n] = log_sum_exp(&rows[i]) - (double)rows[i].target;
        for (int64_t i = 0; kl && i < n; i++)
            kl[p + i] = rows[i].cross / rows[i].sum - log_sum_exp(&rows[i]) +
                        log_sum_exp(&rows[n + i]);
        if (!lm_worked(r, n_streams * n * lm_cost_losses(r->lm), err))
            return false;
    }
    return true;
}
