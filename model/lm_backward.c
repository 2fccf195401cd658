/*
 * lm_backward.c - from the losses back to the hook, layer by layer.
 *
 * The run forwards keeps what every layer reads, and what its MLP reads. The way back makes
 * the rest of a layer again: q, k and v of all positions, the weights of attention of a
 * head and a chunk of queries, the MLP of a chunk. d_x is the gradient with respect to x.
 *
 *   linear     y = x W' + b          d_x = d_y W
 *   norm       y = w (x - m) s       d_x = s (g - mean(g) - n mean(g n)), g = w d_y,
 *                                    n = (x - m) s; RMS: m = 0 and no mean(g)
 *   softmax    p of scores a         d_a = p (d_p - p . d_p)
 *   soft cap   c tanh(a / c)         times 1 - tanh(a / c)^2
 *   rotation   a turn and a scale    turned back, scaled
 */
#include "model/lm_impl.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/kern.h"

/* ---- memory */

struct part {
    float **p;
    size_t n;
};

#define N_PARTS 20

static int64_t layers_after(const struct lm *lm, const struct lm_hook *hook)
{
    return lm->c.n_layers - lm_first_attending(hook) + lm_begins_with_mlp(lm, hook);
}

static void back_parts(struct lm_back *b, const struct lm *lm, const struct lm_hook *hook,
                       int64_t T, struct part parts[N_PARTS])
{
    const struct lm_config *c = &lm->c;
    size_t t = (size_t)T, size = t * (size_t)c->d_model, chunk = LM_CHUNK;
    size_t kept = (size_t)layers_after(lm, hook) * size;
    size_t qkv = t * (size_t)lm_qkv_width(lm), q = t * (size_t)lm_q_width(lm);
    size_t row = chunk * (size_t)c->d_model, mlp = chunk * (size_t)c->d_mlp;
    const struct part all[N_PARTS] = {
        {&b->in, kept},
        {&b->mid, c->parallel ? 0 : kept},
        {&b->stream, size},
        {&b->qkv, qkv},
        {&b->d_qkv, qkv},
        {&b->z, lm->family->names.attn_post ? q : 0},
        {&b->d_z, q},
        {&b->scores, chunk * t},
        {&b->d_scores, chunk * t},
        {&b->slopes, c->attn_cap > 0 ? chunk * t : 0},
        {&b->chunk[0], row},
        {&b->chunk[1], row},
        {&b->chunk[2], row},
        {&b->up, mlp},
        {&b->gate, mlp},
        {&b->d_up, mlp},
        {&b->d_gate, mlp},
        {&b->tile, chunk * LM_TILE},
        {&b->log_sums, chunk},
        {&b->final, size},
    };
    memcpy(parts, all, sizeof all);
}

size_t lm_back_bytes(const struct lm *lm, const struct lm_hook *hook, int64_t T)
{
    struct lm_back b;
    struct part parts[N_PARTS];
    size_t n = 0;
    back_parts(&b, lm, hook, T, parts);
    for (int i = 0; i < N_PARTS; i++)
        n += parts[i].n;
    return n * sizeof(float);
}

struct lm_back *lm_back_new(const struct lm *lm, const struct lm_hook *hook, int64_t T,
                            struct err *err)
{
    float *memory = mem_try(lm_back_bytes(lm, hook, T), 1, "gradients", err);
    if (!memory)
        return NULL;
    struct lm_back *b = xcalloc(1, sizeof *b);
    struct part parts[N_PARTS];
    *b = (struct lm_back){.T = T, .memory = memory};
    back_parts(b, lm, hook, T, parts);
    for (int i = 0; i < N_PARTS; i++) {
        *parts[i].p = memory;
        memory += parts[i].n;
    }
    return b;
}

void lm_back_free(struct lm_back *b)
{
    if (!b)
        return;
    free(b->memory);
    free(b);
}

int64_t lm_cost_back(const struct lm *lm, const struct lm_hook *hook)
{
    return 3 * lm_layer_cost(lm) * layers_after(lm, hook) + 3 * lm_cost_losses(lm);
}

/* ---- what layers are made of */

static void add(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void norm_back_row(const struct lm *lm, const struct lm_norm *norm, const float *x,
                          const float *dy, float *dx)
{
    int64_t d = lm->c.d_model;
    double sum = 0, squares = 0, g_sum = 0, g_n = 0;
    for (int64_t k = 0; k < d && !lm->family->rms; k++)
        sum += (double)x[k];
    double mean = sum / (double)d;
    for (int64_t k = 0; k < d; k++) {
        double v = (double)x[k] - mean;
        squares += v * v;
    }
    double scale = 1 / sqrt(squares / (double)d + lm->c.eps);
    for (int64_t k = 0; k < d; k++) {
        double g = (double)dy[k] * (double)norm->w[k];
        g_sum += g;
        g_n += g * ((double)x[k] - mean) * scale;
    }
    double g_mean = lm->family->rms ? 0 : g_sum / (double)d;
    for (int64_t k = 0; k < d; k++) {
        double g = (double)dy[k] * (double)norm->w[k];
        double n = ((double)x[k] - mean) * scale;
        dx[k] += (float)(scale * (g - g_mean - n * g_n / (double)d));
    }
}

void lm_norm_back(const struct lm *lm, const struct lm_norm *norm, const float *x,
                  const float *dy, int64_t n, float *dx)
{
    int64_t d = lm->c.d_model;
    for (int64_t i = 0; i < n; i++)
        norm_back_row(lm, norm, x + i * d, dy + i * d, dx + i * d);
}

/* dx [n, in] = dy [n, out] W. */
static void linear_back(const struct lm_linear *l, const float *dy, int64_t ldy, int64_t n,
                        float *dx, int64_t ldx, float *block)
{
    struct mat turned = l->W;
    turned.rows = l->W.cols, turned.cols = l->W.rows;
    turned.row_stride = l->W.col_stride, turned.col_stride = l->W.row_stride;
    lm_multiply(&turned, 0, turned.rows, dy, ldy, n, dx, ldx, block);
}

/* u to act(u), and its derivative. */
static void activate_both(enum lm_act act, float *u, float *slope, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double v = (double)u[i], s, inner;
        switch (act) {
        case LM_GELU_TANH: /* (1 + tanh t) / 2 = 1 / (1 + exp(-2 t)) */
            s = 1 / (1 + exp(-1.5957691216057308 * (v + 0.044715 * v * v * v)));
            inner = 1.5957691216057308 * (1 + 3 * 0.044715 * v * v);
            break;
        case LM_SILU:
            s = 1 / (1 + exp(-v));
            inner = 1;
            break;
        case LM_GELU_ERF: /* the derivative of s is the density of the normal */
            s = 0.5 * (1 + erf(v * M_SQRT1_2));
            u[i] = (float)(v * s);
            slope[i] = (float)(s + v * exp(-0.5 * v * v) * 0.3989422804014327);
            continue;
        default:
            u[i] = v > 0 ? u[i] : 0;
            slope[i] = v > 0 ? 1 : 0;
            continue;
        }
        u[i] = (float)(v * s);
        slope[i] = (float)(s + v * s * (1 - s) * inner);
    }
}

/* ---- MLP */

/* Rows of the stream x [n, d] that the MLP reads, and d_y of what it adds: dx += . */
static void feed_forward_back(struct lm_run *r, struct lm_back *b, const struct lm_layer *l,
                              const float *x, const float *d_y, int64_t n, float *dx)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model, width = lm->c.d_mlp, size = n * width;
    float *normed = b->chunk[0], *d_out = b->chunk[1];
    lm_apply_norm(lm, &l->norm2, x, n, normed);
    lm_linear(&l->up, normed, d, n, b->up, width, r->block);
    /* gated: act(gate) up, and d_gate holds the slope first */
    float *acted = b->up, *slope = b->d_up;
    if (l->gate.W.t) {
        lm_linear(&l->gate, normed, d, n, b->gate, width, r->block);
        acted = b->gate, slope = b->d_gate;
    }
    activate_both(lm->c.act, acted, slope, size);
    if (l->mlp_post.w) {
        float *product = l->gate.W.t ? b->d_up : b->gate, *out = b->chunk[2];
        for (int64_t i = 0; i < size; i++)
            product[i] = b->up[i] * (l->gate.W.t ? b->gate[i] : 1);
        lm_linear(&l->down, product, width, n, out, d, r->block);
        memset(d_out, 0, (size_t)(n * d) * sizeof *d_out);
        lm_norm_back(lm, &l->mlp_post, out, d_y, n, d_out);
        d_y = d_out;
    }
    float *d_normed = b->chunk[0], *part = b->chunk[2];
    if (l->gate.W.t) {
        linear_back(&l->down, d_y, d, n, b->d_up, width, r->block);
        for (int64_t i = 0; i < size; i++) {
            b->d_gate[i] *= b->d_up[i] * b->up[i];
            b->d_up[i] *= b->gate[i];
        }
        linear_back(&l->gate, b->d_gate, width, n, part, d, r->block);
    } else {
        linear_back(&l->down, d_y, d, n, b->up, width, r->block);
        for (int64_t i = 0; i < size; i++)
            b->d_up[i] *= b->up[i];
    }
    linear_back(&l->up, b->d_up, width, n, d_normed, d, r->block);
    if (l->gate.W.t)
        add(d_normed, part, n * d);
    lm_norm_back(lm, &l->norm2, x, d_normed, n, dx);
}

/* ---- attention */

/* The norm of the stream x [T, d], and q, k and v of it, turned. */
static void project_all(struct lm_run *r, struct lm_back *b, const struct lm_layer *l,
                        const float *x, int64_t T)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model, width = lm_qkv_width(lm);
    for (int64_t p = 0; p < T; p += LM_CHUNK) {
        int64_t n = T - p < LM_CHUNK ? T - p : LM_CHUNK, column = 0;
        lm_apply_norm(lm, &l->norm1, x + p * d, n, b->chunk[0]);
        for (int i = 0; i < 3 && l->qkv[i].W.t; i++) {
            lm_linear(&l->qkv[i], b->chunk[0], d, n, b->qkv + p * width + column, width,
                      r->block);
            column += l->qkv[i].W.rows;
        }
    }
    for (int64_t p = 0; p < T; p++) {
        for (int64_t h = 0; h < lm->c.n_heads; h++)
            lm_rotate(r, p, b->qkv + p * width + lm_qkv_column(lm, 0, h), false);
        for (int64_t g = 0; g < lm->c.n_kv; g++)
            lm_rotate(r, p, b->qkv + p * width + lm_qkv_column(lm, 1, g), false);
    }
}

/* One query's scores [m] to weights, as softmax in lm_forward.c, and the derivative of what
 * the soft cap makes of a score (NULL without one). */
static void weigh(float *s, float *slope, int64_t m, int64_t from, int64_t to, double scale,
                  double cap)
{
    double max = -INFINITY, sum = 0;
    for (int64_t j = from; j < to; j++) {
        double v = scale * (double)s[j];
        if (slope) {
            double t = tanh(v / cap);
            slope[j] = (float)(1 - t * t);
            v = cap * t;
        }
        s[j] = (float)v;
        max = v > max ? v : max;
    }
    for (int64_t j = from; j < to; j++)
        s[j] -= (float)max;
    kern_best()->exp(s + from, to - from);
    for (int64_t j = from; j < to; j++)
        sum += (double)s[j];
    for (int64_t j = from; j < to; j++)
        s[j] = (float)((double)s[j] / sum);
    memset(s, 0, (size_t)from * sizeof *s);
    memset(s + to, 0, (size_t)(m - to) * sizeof *s);
}

/* The scale of the scores of a layer. */
static double score_scale(const struct lm_config *c, int64_t index)
{
    return c->attn_scale / (c->scale_by_layer ? (double)(index + 1) : 1);
}

/* Head h's weights of queries [first, first + n) into b->scores [n, first + n]. */
static void attention_weights(const struct lm_run *r, struct lm_back *b, int64_t index,
                              int64_t h, int64_t first, int64_t n)
{
    const struct lm *lm = r->lm;
    const struct lm_config *c = &lm->c;
    int64_t width = lm_qkv_width(lm), m = first + n, g = h / (c->n_heads / c->n_kv);
    kern_gemm_nt(n, m, c->d_head, b->qkv + first * width + lm_qkv_column(lm, 0, h), width,
                 b->qkv + lm_qkv_column(lm, 1, g), width, b->scores, m);
    for (int64_t i = 0; i < n; i++)
        weigh(b->scores + i * m, c->attn_cap > 0 ? b->slopes + i * m : NULL, m,
              lm_first_key(lm, index, first + i), first + i + 1, score_scale(c, index),
              c->attn_cap);
}

/* b->z: what the heads give to the output projection. */
static void mix_values(const struct lm_run *r, struct lm_back *b, int64_t index, int64_t T)
{
    const struct lm *lm = r->lm;
    int64_t width = lm_qkv_width(lm), qw = lm_q_width(lm), dh = lm->c.d_head;
    for (int64_t h = 0; h < lm->c.n_heads; h++) {
        int64_t g = h / (lm->c.n_heads / lm->c.n_kv);
        for (int64_t p = 0; p < T; p += LM_CHUNK) {
            int64_t n = T - p < LM_CHUNK ? T - p : LM_CHUNK;
            attention_weights(r, b, index, h, p, n);
            kern_gemm_nn(n, dh, p + n, b->scores, p + n, b->qkv + lm_qkv_column(lm, 2, g),
                         width, b->z + p * qw + h * dh, qw, false);
        }
    }
}

/* d_y [T, d] of what attention adds -> b->d_z. */
static void project_back(struct lm_run *r, struct lm_back *b, int64_t index,
                         const float *d_y, int64_t T)
{
    const struct lm *lm = r->lm;
    const struct lm_layer *l = &lm->layers[index];
    int64_t d = lm->c.d_model, qw = lm_q_width(lm);
    if (l->attn_post.w)
        mix_values(r, b, index, T);
    for (int64_t p = 0; p < T; p += LM_CHUNK) {
        int64_t n = T - p < LM_CHUNK ? T - p : LM_CHUNK;
        const float *d_out = d_y + p * d;
        if (l->attn_post.w) {
            float *out = b->chunk[0], *d_in = b->chunk[1];
            lm_linear(&l->o, b->z + p * qw, qw, n, out, d, r->block);
            memset(d_in, 0, (size_t)(n * d) * sizeof *d_in);
            lm_norm_back(lm, &l->attn_post, out, d_out, n, d_in);
            d_out = d_in;
        }
        linear_back(&l->o, d_out, d, n, b->d_z + p * qw, qw, r->block);
    }
}

/* Head h, queries [first, first + n): b->d_z to b->d_qkv. */
static void head_back(const struct lm_run *r, struct lm_back *b, int64_t index, int64_t h,
                      int64_t first, int64_t n)
{
    const struct lm *lm = r->lm;
    const struct lm_config *c = &lm->c;
    int64_t width = lm_qkv_width(lm), qw = lm_q_width(lm), dh = c->d_head, m = first + n;
    int64_t g = h / (c->n_heads / c->n_kv), k = lm_qkv_column(lm, 1, g);
    int64_t q = first * width + lm_qkv_column(lm, 0, h), v = lm_qkv_column(lm, 2, g);
    const float *d_z = b->d_z + first * qw + h * dh;
    float scale = (float)score_scale(c, index);
    attention_weights(r, b, index, h, first, n);
    kern_gemm_tn(m, dh, n, b->scores, m, d_z, qw, b->d_qkv + v, width);
    kern_gemm_nt(n, m, dh, d_z, qw, b->qkv + v, width, b->d_scores, m);
    for (int64_t i = 0; i < n; i++) {
        const float *p = b->scores + i * m, *slope = b->slopes + i * m;
        float *d_s = b->d_scores + i * m;
        double both = kern_dot_double(p, d_s, first + i + 1);
        for (int64_t j = 0; j < m; j++) /* p is 0 where a query does not look */
            d_s[j] = p[j] == 0 ? 0
                               : p[j] * (d_s[j] - (float)both) * scale *
                                     (c->attn_cap > 0 ? slope[j] : 1);
    }
    kern_gemm_nn(n, dh, m, b->d_scores, m, b->qkv + k, width, b->d_qkv + q, width, true);
    kern_gemm_tn(m, dh, n, b->d_scores, m, b->qkv + q, width, b->d_qkv + k, width);
}

/* b->d_qkv -> dx +=, x the stream that attention read. */
static void normed_back(struct lm_run *r, struct lm_back *b, const struct lm_layer *l,
                        const float *x, int64_t T, float *dx)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model, width = lm_qkv_width(lm);
    for (int64_t p = 0; p < T; p++) {
        for (int64_t h = 0; h < lm->c.n_heads; h++)
            lm_rotate(r, p, b->d_qkv + p * width + lm_qkv_column(lm, 0, h), true);
        for (int64_t g = 0; g < lm->c.n_kv; g++)
            lm_rotate(r, p, b->d_qkv + p * width + lm_qkv_column(lm, 1, g), true);
    }
    for (int64_t p = 0; p < T; p += LM_CHUNK) {
        int64_t n = T - p < LM_CHUNK ? T - p : LM_CHUNK, column = 0;
        for (int i = 0; i < 3 && l->qkv[i].W.t; i++) {
            linear_back(&l->qkv[i], b->d_qkv + p * width + column, width, n,
                        b->chunk[i > 0], d, r->block);
            if (i > 0)
                add(b->chunk[0], b->chunk[1], n * d);
            column += l->qkv[i].W.rows;
        }
        lm_norm_back(lm, &l->norm1, x + p * d, b->chunk[0], n, dx + p * d);
    }
}

/* The stream x [T, d] that attention reads, d_y of what it adds: dx += . Cancelled between
 * heads: false. */
static bool attention_back(struct lm_run *r, struct lm_back *b, int64_t index,
                           const float *x, const float *d_y, int64_t T, float *dx,
                           struct err *err)
{
    const struct lm *lm = r->lm;
    const struct lm_layer *l = &lm->layers[index];
    project_all(r, b, l, x, T);
    project_back(r, b, index, d_y, T);
    memset(b->d_qkv, 0, (size_t)(T * lm_qkv_width(lm)) * sizeof *b->d_qkv);
    for (int64_t h = 0; h < lm->c.n_heads; h++) {
        for (int64_t p = 0; p < T; p += LM_CHUNK)
            head_back(r, b, index, h, p, T - p < LM_CHUNK ? T - p : LM_CHUNK);
        if (!lm_worked(r, 0, err))
            return false;
    }
    normed_back(r, b, l, x, T, dx);
    return true;
}

/* ---- layers */

/* grad [T, d] of what the MLP's half of layer i gives to that of what it reads. */
static bool mlp_half_back(struct lm_run *r, struct lm_back *b, int64_t index, const float *x,
                          const float *d_y, int64_t T, float *grad, struct err *err)
{
    int64_t d = r->lm->c.d_model;
    for (int64_t p = 0; p < T; p += LM_CHUNK) {
        int64_t n = T - p < LM_CHUNK ? T - p : LM_CHUNK;
        feed_forward_back(r, b, &r->lm->layers[index], x + p * d, d_y + p * d, n,
                          grad + p * d);
        if (!lm_worked(r, 2 * n * lm_layer_cost(r->lm), err))
            return false;
    }
    return true;
}

/* Layer `index`, the at-th after the hook; both: attention belongs to it too. grad [T, d]
 * in place. b->stream is free for what comes from above. */
static bool layer_back(struct lm_run *r, struct lm_back *b, int64_t index, int64_t at,
                       bool both, int64_t T, float *grad, struct err *err)
{
    int64_t size = T * r->lm->c.d_model;
    const float *in = b->in + at * size;
    const float *mid = r->lm->c.parallel ? in : b->mid + at * size;
    memcpy(b->stream, grad, (size_t)size * sizeof *grad);
    if (!mlp_half_back(r, b, index, mid, b->stream, T, grad, err))
        return false;
    if (!both)
        return true;
    if (!r->lm->c.parallel)
        memcpy(b->stream, grad, (size_t)size * sizeof *grad);
    return attention_back(r, b, index, in, b->stream, T, grad, err);
}

/* b->stream through layer `index`, keeping what its halves read. */
static bool layer_keep(struct lm_run *r, struct lm_back *b, int64_t index, int64_t at,
                       bool both, int64_t T, struct err *err)
{
    size_t size = (size_t)(T * r->lm->c.d_model), bytes = size * sizeof(float);
    memcpy(b->in + (size_t)at * size, b->stream, bytes);
    if (r->lm->c.parallel)
        return lm_run_part(r, index, LM_LAYER, b->stream, T, err);
    if (both && !lm_run_part(r, index, LM_ATTENTION, b->stream, T, err))
        return false;
    memcpy(b->mid + (size_t)at * size, b->stream, bytes);
    return lm_run_part(r, index, LM_MLP, b->stream, T, err);
}

bool lm_run_back(struct lm_run *r, struct lm_back *b, const struct lm_hook *hook,
                 const float *resid, const int64_t *ids, int64_t T, const double *weight,
                 double *ce, float *grad, struct err *err)
{
    assert(T <= b->T && T <= r->T);
    int64_t n = layers_after(r->lm, hook), first = r->lm->c.n_layers - n;
    int64_t attends = lm_first_attending(hook);
    memcpy(b->stream, resid, (size_t)(T * r->lm->c.d_model) * sizeof *resid);
    for (int64_t at = 0; at < n; at++)
        if (!layer_keep(r, b, first + at, at, first + at >= attends, T, err))
            return false;
    if (!lm_head_back(r, b, ids, T, weight, ce, grad, err))
        return false;
    for (int64_t at = n; at-- > 0;)
        if (!layer_back(r, b, first + at, at, first + at >= attends, T, grad, err))
            return false;
    return true;
}
