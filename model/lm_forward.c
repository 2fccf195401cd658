/*
 * lm_forward.c - one sequence through the layers, by chunks of LM_CHUNK positions.
 *
 * Formulas: as in the families' own code in Hugging Face transformers; attention as in
 * Vaswani et al. 2017, rotary positions (half-split pairs) as in GPT-NeoX. Names: C a
 * chunk's rows, T positions, d d_model.
 */
#include "model/lm_impl.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/kern.h"

/* ---- memory */

/* Arrays of a run and how many floats each has. */
struct part {
    float **p;
    size_t n;
};

#define N_PARTS 15

static void run_parts(struct lm_run *r, const struct lm *lm, int64_t T,
                      struct part parts[N_PARTS])
{
    const struct lm_config *c = &lm->c;
    size_t t = (size_t)T, chunk = LM_CHUNK, d = (size_t)c->d_model;
    size_t kv = (size_t)lm_kv_width(lm), mlp = chunk * (size_t)c->d_mlp;
    size_t turns = t * (size_t)(c->rope.dims / 2), rows = LM_STREAMS * chunk;
    const struct part all[N_PARTS] = {
        {&r->keys, t * kv},
        {&r->values, t * kv},
        {&r->qkv, chunk * (size_t)lm_qkv_width(lm)},
        {&r->z, chunk * (size_t)lm_q_width(lm)},
        {&r->scores, chunk * t},
        {&r->normed, chunk * d},
        {&r->attn, chunk * d},
        {&r->mlp, chunk * d},
        {&r->gate, mlp},
        {&r->up, mlp},
        {&r->cosines, turns},
        {&r->sines, turns},
        {&r->stack, rows * d},
        {&r->tile, rows * LM_TILE},
        {&r->block, lm_block_floats(lm)},
    };
    memcpy(parts, all, sizeof all);
}

size_t lm_run_bytes(const struct lm *lm, int64_t T)
{
    struct lm_run r;
    struct part parts[N_PARTS];
    size_t n = 0;
    run_parts(&r, lm, T, parts);
    for (int i = 0; i < N_PARTS; i++)
        n += parts[i].n;
    return n * sizeof(float);
}

struct lm_run *lm_run_new(const struct lm *lm, int64_t T, struct lm_work *work,
                          struct err *err)
{
    float *memory = mem_try(lm_run_bytes(lm, T), 1, "language model", err);
    if (!memory)
        return NULL;
    struct lm_run *r = xcalloc(1, sizeof *r);
    *r = (struct lm_run){.lm = lm, .work = work, .T = T, .memory = memory};
    struct part parts[N_PARTS];
    run_parts(r, lm, T, parts);
    for (int i = 0; i < N_PARTS; i++) {
        *parts[i].p = memory;
        memory += parts[i].n;
    }
    int64_t half = lm->c.rope.dims / 2;
    for (int64_t i = 0; i < half; i++) {
        double f = lm_rope_frequency(&lm->c.rope, T, i), scale = lm->c.rope.attention;
        for (int64_t p = 0; p < T; p++) {
            r->cosines[p * half + i] = (float)(scale * cos((double)p * f));
            r->sines[p * half + i] = (float)(scale * sin((double)p * f));
        }
    }
    return r;
}

void lm_run_free(struct lm_run *r)
{
    if (!r)
        return;
    free(r->memory);
    free(r);
}

/* ---- progress */

int64_t lm_layer_cost(const struct lm *lm)
{
    const struct lm_config *c = &lm->c;
    int64_t mlp = (lm->family->names.gate ? 3 : 2) * c->d_mlp;
    return c->d_model * (lm_qkv_width(lm) + lm_q_width(lm) + mlp);
}

int64_t lm_cost_to(const struct lm *lm, const struct lm_hook *hook)
{
    return lm_layer_cost(lm) * (hook->layer + (hook->site != LM_RESID_PRE));
}

/* Does some of the hook's own layer still run after it? */
static bool ends_layer(const struct lm *lm, const struct lm_hook *hook)
{
    return hook->site == LM_MLP_OUT || hook->site == LM_RESID_POST ||
           (hook->site == LM_ATTN_OUT && lm->c.parallel);
}

int64_t lm_cost_from(const struct lm *lm, const struct lm_hook *hook)
{
    return lm_layer_cost(lm) * (lm->c.n_layers - hook->layer - ends_layer(lm, hook));
}

int64_t lm_cost_losses(const struct lm *lm)
{
    return lm->c.vocab * lm->c.d_model;
}

bool lm_worked(struct lm_run *r, int64_t units, struct err *err)
{
    struct lm_work *w = r->work;
    if (!w)
        return true;
    int64_t done = atomic_fetch_add(&w->done, units) + units;
    double share = w->of > 0 && done < w->of ? (double)done / (double)w->of : 1;
    return progress_step(w->progress, w->what, (int64_t)(share * (double)w->tokens),
                         w->tokens) ||
           err_set(err, ERR_CANCELLED, "cancelled");
}

/* ---- norms and activations */

static void layer_norm(const struct lm_norm *norm, double eps, const float *x, int64_t d,
                       float *y)
{
    double sum = 0, squares = 0;
    for (int64_t k = 0; k < d; k++)
        sum += (double)x[k];
    float mean = (float)(sum / (double)d);
    for (int64_t k = 0; k < d; k++) {
        double v = (double)(x[k] - mean);
        squares += v * v;
    }
    float scale = (float)(1 / sqrt(squares / (double)d + eps));
    for (int64_t k = 0; k < d; k++)
        y[k] = (x[k] - mean) * scale * norm->w[k] + norm->b[k];
}

static void rms_norm(const struct lm_norm *norm, double eps, const float *x, int64_t d,
                     float *y)
{
    float scale = (float)(1 / sqrt(kern_sum_squares(x, d) / (double)d + eps));
    for (int64_t k = 0; k < d; k++)
        y[k] = x[k] * scale * norm->w[k];
}

void lm_apply_norm(const struct lm *lm, const struct lm_norm *norm, const float *x,
                   int64_t n, float *y)
{
    int64_t d = lm->c.d_model;
    for (int64_t i = 0; i < n; i++) {
        if (lm->family->rms)
            rms_norm(norm, lm->c.eps, x + i * d, d, y + i * d);
        else
            layer_norm(norm, lm->c.eps, x + i * d, d, y + i * d);
    }
}

#define ACTIVATED 512 /* values at a time: they stay in the first cache */

/* At most ACTIVATED of them. */
static void activate_some(enum lm_act act, float *u, int64_t n)
{
    float e[ACTIVATED];
    switch (act) {
    case LM_GELU_TANH: /* (1 + tanh t) / 2 = 1 / (1 + exp(-2 t)) */
        for (int64_t i = 0; i < n; i++)
            e[i] = -1.5957691216f * (u[i] + 0.044715f * u[i] * u[i] * u[i]);
        kern_best()->exp(e, n);
        for (int64_t i = 0; i < n; i++)
            u[i] = u[i] / (1 + e[i]);
        break;
    case LM_SILU:
        for (int64_t i = 0; i < n; i++)
            e[i] = -u[i];
        kern_best()->exp(e, n);
        for (int64_t i = 0; i < n; i++)
            u[i] = u[i] / (1 + e[i]);
        break;
    case LM_GELU_ERF:
        for (int64_t i = 0; i < n; i++)
            u[i] = 0.5f * u[i] * (1 + erff(u[i] * 0.7071067812f));
        break;
    case LM_RELU:
        for (int64_t i = 0; i < n; i++)
            u[i] = u[i] > 0 ? u[i] : 0;
        break;
    }
}

static void activate(enum lm_act act, float *u, int64_t n)
{
    for (int64_t i = 0; i < n; i += ACTIVATED)
        activate_some(act, u + i, n - i < ACTIVATED ? n - i : ACTIVATED);
}

/* ---- attention */

void lm_rotate(const struct lm_run *r, int64_t p, float *v, bool back)
{
    int64_t half = r->lm->c.rope.dims / 2;
    const float *c = r->cosines + p * half, *s = r->sines + p * half;
    float sign = back ? -1 : 1;
    for (int64_t i = 0; i < half; i++) {
        float a = v[i], b = v[i + half], sine = sign * s[i];
        v[i] = a * c[i] - b * sine;
        v[i + half] = b * c[i] + a * sine;
    }
}

/* q, k and v of positions [first, first + n); k and v go where later ones find them. */
static void project_qkv(struct lm_run *r, const struct lm_layer *l, int64_t first,
                        int64_t n)
{
    const struct lm *lm = r->lm;
    int64_t width = lm_qkv_width(lm), kv = lm_kv_width(lm), dh = lm->c.d_head, column = 0;
    for (int i = 0; i < 3 && l->qkv[i].W.t; i++) {
        lm_linear(&l->qkv[i], r->normed, lm->c.d_model, n, r->qkv + column, width,
                  r->block);
        column += l->qkv[i].W.rows;
    }
    for (int64_t i = 0; i < n; i++) {
        float *row = r->qkv + i * width;
        for (int64_t h = 0; h < lm->c.n_heads; h++)
            lm_rotate(r, first + i, row + lm_qkv_column(lm, 0, h), false);
        for (int64_t g = 0; g < lm->c.n_kv; g++) {
            float *key = r->keys + (first + i) * kv + g * dh;
            memcpy(key, row + lm_qkv_column(lm, 1, g), (size_t)dh * sizeof *key);
            lm_rotate(r, first + i, key, false);
            memcpy(r->values + (first + i) * kv + g * dh, row + lm_qkv_column(lm, 2, g),
                   (size_t)dh * sizeof *key);
        }
    }
}

/* Scores [m] of one query to weights: keys [from, to) are seen, the others get 0. */
static void softmax(float *s, int64_t m, int64_t from, int64_t to, float scale, float cap)
{
    float max = -INFINITY;
    double sum = 0;
    for (int64_t j = from; j < to; j++) {
        s[j] *= scale;
        if (cap > 0)
            s[j] = cap * tanhf(s[j] / cap);
        max = s[j] > max ? s[j] : max;
    }
    for (int64_t j = from; j < to; j++)
        s[j] -= max;
    kern_best()->exp(s + from, to - from);
    for (int64_t j = from; j < to; j++)
        sum += (double)s[j];
    float inverse = (float)(1 / sum);
    for (int64_t j = from; j < to; j++)
        s[j] *= inverse;
    memset(s, 0, (size_t)from * sizeof *s);
    memset(s + to, 0, (size_t)(m - to) * sizeof *s);
}

/* Attention of layer `index` for positions [first, first + n), r->normed -> r->attn. The
 * positions before have been here. */
static void attend(struct lm_run *r, int64_t index, int64_t first, int64_t n)
{
    const struct lm *lm = r->lm;
    const struct lm_config *c = &lm->c;
    const struct lm_layer *l = &lm->layers[index];
    int64_t kv = lm_kv_width(lm), qw = lm_q_width(lm), dh = c->d_head, m = first + n;
    float scale = (float)(c->attn_scale / (c->scale_by_layer ? (double)(index + 1) : 1));
    project_qkv(r, l, first, n);
    for (int64_t h = 0; h < c->n_heads; h++) {
        int64_t g = h / (c->n_heads / c->n_kv);
        kern_gemm_nt(n, m, dh, r->qkv + lm_qkv_column(lm, 0, h), lm_qkv_width(lm),
                     r->keys + g * dh, kv, r->scores, m);
        for (int64_t i = 0; i < n; i++) {
            int64_t p = first + i;
            softmax(r->scores + i * m, m, lm_first_key(lm, index, p), p + 1, scale, (float)c->attn_cap);
        }
        kern_gemm_nn(n, dh, m, r->scores, m, r->values + g * dh, kv, r->z + h * dh, qw,
                     false);
    }
    lm_linear(&l->o, r->z, qw, n, r->attn, c->d_model, r->block);
    if (l->attn_post.w)
        lm_apply_norm(lm, &l->attn_post, r->attn, n, r->attn);
}

/* ---- MLP */

/* x [n, d] -> r->mlp. */
static void feed_forward(struct lm_run *r, const struct lm_layer *l, const float *x,
                         int64_t n)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model, width = lm->c.d_mlp;
    lm_apply_norm(lm, &l->norm2, x, n, r->normed);
    lm_linear(&l->up, r->normed, d, n, r->up, width, r->block);
    if (l->gate.W.t) {
        lm_linear(&l->gate, r->normed, d, n, r->gate, width, r->block);
        activate(lm->c.act, r->gate, n * width);
        for (int64_t i = 0; i < n * width; i++)
            r->up[i] *= r->gate[i];
    } else {
        activate(lm->c.act, r->up, n * width);
    }
    lm_linear(&l->down, r->up, width, n, r->mlp, d, r->block);
    if (l->mlp_post.w)
        lm_apply_norm(lm, &l->mlp_post, r->mlp, n, r->mlp);
}

/* ---- layers */

static void add(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

/* Where a layer stops. What attention or the MLP writes there goes to x [n, d], and the
 * stream is left as what it would have been added to. */
struct tap {
    enum lm_site site;
    float *x;
};

static void copy(float *to, const float *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

/* A chunk of the stream [n, d], from its position `first` on, through a layer whose MLP
 * reads what attention wrote. mlp_only: attention has been added already. */
static void sequential_chunk(struct lm_run *r, int64_t index, float *stream, int64_t first,
                             int64_t n, bool mlp_only, const struct tap *tap)
{
    const struct lm_layer *l = &r->lm->layers[index];
    int64_t size = n * r->lm->c.d_model;
    if (!mlp_only) {
        lm_apply_norm(r->lm, &l->norm1, stream, n, r->normed);
        attend(r, index, first, n);
        if (tap && tap->site == LM_ATTN_OUT) {
            copy(tap->x, r->attn, size);
            return;
        }
        add(stream, r->attn, size);
        if (tap && tap->site == LM_RESID_MID)
            return;
    }
    feed_forward(r, l, stream, n);
    if (tap && tap->site == LM_MLP_OUT)
        copy(tap->x, r->mlp, size);
    else
        add(stream, r->mlp, size);
}

/* The same where attention and MLP read the same stream. */
static void parallel_chunk(struct lm_run *r, int64_t index, float *stream, int64_t first,
                           int64_t n, const struct tap *tap)
{
    const struct lm_layer *l = &r->lm->layers[index];
    int64_t size = n * r->lm->c.d_model;
    lm_apply_norm(r->lm, &l->norm1, stream, n, r->normed);
    attend(r, index, first, n);
    feed_forward(r, l, stream, n);
    if (tap && tap->site == LM_ATTN_OUT)
        copy(tap->x, r->attn, size);
    else
        add(stream, r->attn, size);
    if (tap && tap->site == LM_MLP_OUT)
        copy(tap->x, r->mlp, size);
    else
        add(stream, r->mlp, size);
}

/* Positions [first, T): the keys and values of those before are in place. */
static bool run_layer(struct lm_run *r, int64_t index, float *stream, int64_t first,
                      int64_t T, bool mlp_only, const struct tap *tap, struct err *err)
{
    int64_t d = r->lm->c.d_model;
    for (int64_t p = first; p < T; p += LM_CHUNK) {
        int64_t n = T - p < LM_CHUNK ? T - p : LM_CHUNK;
        struct tap here;
        if (tap)
            here = (struct tap){tap->site, tap->x + p * d};
        if (r->lm->c.parallel)
            parallel_chunk(r, index, stream + p * d, p, n, tap ? &here : NULL);
        else
            sequential_chunk(r, index, stream + p * d, p, n, mlp_only, tap ? &here : NULL);
        if (!lm_worked(r, n * lm_layer_cost(r->lm), err))
            return false;
    }
    return true;
}

bool lm_run_part(struct lm_run *r, int64_t index, enum lm_part part, float *stream,
                 int64_t T, struct err *err)
{
    const struct tap tap = {LM_RESID_MID, stream};
    return run_layer(r, index, stream, 0, T, part == LM_MLP,
                     part == LM_ATTENTION ? &tap : NULL, err);
}

static void embed(const struct lm_run *r, const int64_t *ids, int64_t T, float *stream)
{
    const struct lm *lm = r->lm;
    int64_t d = lm->c.d_model;
    for (int64_t p = 0; p < T; p++) {
        float *row = stream + p * d;
        mat_read_rows(&lm->embed, ids[p], 1, row);
        if (lm->c.embed_scale != 1)
            for (int64_t k = 0; k < d; k++)
                row[k] *= lm->c.embed_scale;
        if (lm->positions.t) {
            mat_read_rows(&lm->positions, p, 1, r->normed);
            add(row, r->normed, d);
        }
    }
}

bool lm_run_to(struct lm_run *r, const int64_t *ids, int64_t T, const struct lm_hook *hook,
               float *x, float *rest, struct err *err)
{
    assert(T <= r->T);
    size_t bytes = (size_t)(T * r->lm->c.d_model) * sizeof *x;
    bool beside = hook->site == LM_ATTN_OUT || hook->site == LM_MLP_OUT;
    float *stream = beside ? rest : x;
    embed(r, ids, T, stream);
    for (int64_t i = 0; i < hook->layer; i++)
        if (!run_layer(r, i, stream, 0, T, false, NULL, err))
            return false;
    struct tap tap = {hook->site, x};
    if (hook->site != LM_RESID_PRE &&
        !run_layer(r, hook->layer, stream, 0, T, false, &tap, err))
        return false;
    if (!beside)
        memset(rest, 0, bytes);
    return true;
}

/* ---- from the hook on */

struct lm_cache {
    int64_t first_layer, T; /* of the layers that attend after the hook; room */
    float *memory;          /* owned; a layer's keys [T, kv], its values [T, kv], ... */
};

int64_t lm_first_attending(const struct lm_hook *hook)
{
    return hook->layer + (hook->site != LM_RESID_PRE);
}

bool lm_begins_with_mlp(const struct lm *lm, const struct lm_hook *hook)
{
    return hook->site != LM_RESID_PRE && !ends_layer(lm, hook);
}

size_t lm_cache_bytes(const struct lm *lm, const struct lm_hook *hook, int64_t T)
{
    int64_t layers = lm->c.n_layers - lm_first_attending(hook);
    return (size_t)(2 * layers * T * lm_kv_width(lm)) * sizeof(float);
}

struct lm_cache *lm_cache_new(const struct lm *lm, const struct lm_hook *hook, int64_t T,
                              struct err *err)
{
    float *memory = mem_try(lm_cache_bytes(lm, hook, T) + 1, 1, "keys and values", err);
    if (!memory)
        return NULL;
    struct lm_cache *c = xcalloc(1, sizeof *c);
    *c = (struct lm_cache){lm_first_attending(hook), T, memory};
    return c;
}

void lm_cache_free(struct lm_cache *c)
{
    if (!c)
        return;
    free(c->memory);
    free(c);
}

static float *cached(const struct lm_run *r, const struct lm_cache *c, int64_t layer)
{
    return c->memory + 2 * (layer - c->first_layer) * c->T * lm_kv_width(r->lm);
}

/* Rows [first, T) of resid through the rest of the model. from: where the keys and values
 * of positions before `first` are; to: where to leave those of all. Either may be NULL. */
static bool run_tail(struct lm_run *r, const struct lm_hook *hook, float *resid,
                     int64_t first, int64_t T, const struct lm_cache *from,
                     struct lm_cache *to, struct err *err)
{
    assert(T <= r->T && (first == 0 || from));
    const struct lm *lm = r->lm;
    int64_t kv = lm_kv_width(lm), d = lm->c.d_model, next = lm_first_attending(hook);
    if (lm_begins_with_mlp(lm, hook) &&
        !run_layer(r, hook->layer, resid, first, T, true, NULL, err))
        return false;
    for (; next < lm->c.n_layers; next++) {
        if (first > 0) {
            copy(r->keys, cached(r, from, next), first * kv);
            copy(r->values, cached(r, from, next) + from->T * kv, first * kv);
        }
        if (!run_layer(r, next, resid, first, T, false, NULL, err))
            return false;
        if (to) {
            copy(cached(r, to, next), r->keys, T * kv);
            copy(cached(r, to, next) + to->T * kv, r->values, T * kv);
        }
    }
    lm_apply_norm(lm, &lm->final_norm, resid + first * d, T - first, resid + first * d);
    return true;
}

bool lm_run_from(struct lm_run *r, const struct lm_hook *hook, float *resid, int64_t T,
                 struct err *err)
{
    return run_tail(r, hook, resid, 0, T, NULL, NULL, err);
}

bool lm_run_keep(struct lm_run *r, const struct lm_hook *hook, float *resid, int64_t T,
                 struct lm_cache *cache, struct err *err)
{
    return run_tail(r, hook, resid, 0, T, NULL, cache, err);
}

bool lm_run_again(struct lm_run *r, const struct lm_hook *hook, float *resid, int64_t first,
                  int64_t T, const struct lm_cache *cache, struct err *err)
{
    return run_tail(r, hook, resid, first, T, cache, NULL, err);
}
