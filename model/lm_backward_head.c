/*
 * lm_backward_head.c - the gradient of the losses with respect to what the final norm reads.
 *
 * With l the logits, c = cap tanh(l / cap) and p their softmax, a loss of weight w has
 * d_l[v] = w (p[v] - [v is the next token]) (1 - (c / cap)^2). By blocks of the vocabulary,
 * twice: for the losses, then for this, so that no [positions, vocab] is ever made.
 */
#include "model/lm_impl.h"

#include <math.h>
#include <string.h>

#include "model/kern.h"

/* Rows [first, first + n) of W, where they lie or converted into block. */
static const float *rows_at(const struct mat *W, int64_t first, int64_t n, float *block,
                            int64_t *ld)
{
    const float *w = mat_f32(W, ld);
    if (w)
        return w + first * *ld;
    mat_read_rows(W, first, n, block);
    *ld = W->cols;
    return block;
}

/* A logit l as it is after the cap, and the cap's derivative there. */
static float capped(double cap, float l, float *slope)
{
    if (cap <= 0) {
        *slope = 1;
        return l;
    }
    float t = tanhf(l / (float)cap);
    *slope = 1 - t * t;
    return (float)cap * t;
}

/* log sum exp of the logits of position p, from its loss. */
static float log_sum(struct lm_run *r, const float *h, int64_t target, double loss)
{
    const struct lm *lm = r->lm;
    int64_t ld;
    float slope;
    const float *w = rows_at(&lm->unembed, target, 1, r->block, &ld);
    float l = (float)kern_dot_double(h, w, lm->c.d_model);
    return (float)(loss + (double)capped(lm->c.final_cap, l, &slope));
}

/* Logits l [n] of the tokens from v on, to their gradient. */
static void logits_back(double cap, float *l, int64_t n, float log_sum, int64_t target,
                        float weight)
{
    float p[LM_TILE], slope[LM_TILE];
    for (int64_t j = 0; j < n; j++)
        p[j] = capped(cap, l[j], &slope[j]) - log_sum;
    kern_best()->exp(p, n);
    if (target >= 0 && target < n)
        p[target] -= 1;
    for (int64_t j = 0; j < n; j++)
        l[j] = weight * p[j] * slope[j];
}

/* Positions [first, first + n), h [n, d] after the final norm -> d_h. */
static void chunk_back(struct lm_run *r, struct lm_back *b, const int64_t *ids,
                       int64_t first, int64_t n, const double *weight, const double *ce,
                       const float *h, float *d_h)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model, vocab = lm->c.vocab, ld;
    int64_t tile = LM_BLOCK / d < LM_TILE ? LM_BLOCK / d : LM_TILE;
    tile = tile > 0 ? tile : 1;
    for (int64_t i = 0; i < n; i++)
        b->log_sums[i] = log_sum(r, h + i * d, ids[first + i + 1], ce[first + i]);
    memset(d_h, 0, (size_t)(n * d) * sizeof *d_h);
    for (int64_t v = 0; v < vocab; v += tile) {
        int64_t width = vocab - v < tile ? vocab - v : tile;
        const float *w = rows_at(&lm->unembed, v, width, r->block, &ld);
        kern_gemm_nt(n, width, d, h, d, w, ld, b->tile, width);
        for (int64_t i = 0; i < n; i++)
            logits_back(lm->c.final_cap, b->tile + i * width, width, b->log_sums[i],
                        ids[first + i + 1] - v, (float)weight[first + i]);
        kern_gemm_nn(n, d, width, b->tile, width, w, ld, d_h, d, true);
    }
}

bool lm_head_back(struct lm_run *r, struct lm_back *b, const int64_t *ids, int64_t T,
                  const double *weight, double *ce, float *grad, struct err *err)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model;
    const float *final = b->final;
    lm_apply_norm(lm, &lm->final_norm, b->stream, T, b->final);
    if (!lm_losses(r, 1, &final, ids, T, &ce, NULL, err))
        return false;
    memset(grad, 0, (size_t)(T * d) * sizeof *grad);
    for (int64_t p = 0; p < T - 1; p += LM_CHUNK) {
        int64_t n = T - 1 - p < LM_CHUNK ? T - 1 - p : LM_CHUNK;
        chunk_back(r, b, ids, p, n, weight, ce, final + p * d, b->chunk[0]);
        lm_norm_back(lm, &lm->final_norm, b->stream + p * d, b->chunk[0], n, grad + p * d);
        if (!lm_worked(r, 2 * n * lm_cost_losses(lm), err))
            return false;
    }
    return true;
}
