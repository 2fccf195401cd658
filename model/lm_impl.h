/* lm_impl.h - what lm_*.c share; lm.h is for everyone else. */
#pragma once

#include <jansson.h>

#include "io/container.h"
#include "io/tensor.h"
#include "model/lm.h"

#define LM_MAX_LAYERS 1024
#define LM_MAX_DIM    ((int64_t)1 << 20) /* of d_model, d_mlp, heads times d_head */
#define LM_MAX_VOCAB  ((int64_t)1 << 24)

enum lm_act { LM_GELU_TANH, LM_GELU_ERF, LM_SILU, LM_RELU };

enum lm_rope_kind {
    LM_ROPE_PLAIN, LM_ROPE_LINEAR, LM_ROPE_DYNAMIC, LM_ROPE_LLAMA3, LM_ROPE_YARN
};

struct lm_rope {
    enum lm_rope_kind kind;
    int64_t dims;        /* how many of a head's dimensions rotate; 0: none */
    double base, factor;
    double original;     /* the context that the factor stretches */
    double low, high;    /* llama3: frequency factors; yarn: turns of slow and fast pairs */
    bool whole;          /* yarn: its bounds are whole pairs */
    double attention;    /* cosines and sines are multiplied by it */
};

/* What config.json says, in one spelling. */
struct lm_config {
    int64_t d_model, n_layers, n_heads, n_kv, d_head, d_mlp, vocab, context;
    double eps;
    enum lm_act act;
    struct lm_rope rope;
    bool parallel;         /* attention and MLP read the same stream */
    bool tied;             /* unembedding = embedding */
    bool tied_said;        /* and config.json says which */
    bool scale_by_layer;   /* scores / (L + 1) */
    double attn_scale;     /* of q.k */
    double attn_cap, final_cap; /* cap tanh(x / cap); 0: none */
    int64_t window;        /* of attention, on the layers that slide */
    bool slides[LM_MAX_LAYERS];
    float embed_scale;     /* of the token embedding */
};

/* What a family calls its tensors. "%lld" stands for the layer. NULL: it has none. */
struct lm_names {
    const char *embed, *positions, *final_norm, *unembed;
    const char *norm1, *norm2;             /* before attention, before the MLP */
    const char *attn_post, *mlp_post;      /* norms of what these write */
    const char *qkv;                       /* all three in one, or */
    const char *q, *k, *v;
    const char *o, *gate, *up, *down;
};

struct lm_family {
    const char *model_type;   /* config.json's "model_type"; NULL ends the table */
    const char *architecture; /* and "architectures" */
    struct lm_names names;
    bool conv1d;              /* linear weights are stored [in, out] */
    bool qkv_by_head;         /* rows of qkv are (head, q/k/v, d_head), not (q/k/v, head, ..) */
    bool rms;                 /* norms are RMS, without a bias */
    bool one_plus;            /* their gain is 1 + w */
    bool biases;              /* linear layers must have one; else they may */
    bool (*configure)(const json_t *cfg, struct lm_config *c, struct err *err);
};

/* ---- lm_rope.c */

/* Base (under base_key) and scaling; .dims is the caller's. */
bool lm_rope_read(const json_t *cfg, const char *base_key, int64_t context,
                  struct lm_rope *out, struct err *err);

/* How fast pair i turns in sequences of T, in radians a position. */
double lm_rope_frequency(const struct lm_rope *r, int64_t T, int64_t i);

/* ---- lm_family.c */

/* A number > 0, if it is there. ERR_RANGE. */
bool lm_get_positive(const json_t *cfg, const char *key, double *out, struct err *err);

extern const struct lm_family lm_families[];
const struct lm_family *lm_family_of(const json_t *cfg, struct err *err);
/* Read and check the configuration. */
bool lm_configure(const struct lm_family *family, const json_t *cfg, struct lm_config *c,
                  struct err *err);

/* y = x W' + b, W [out, in] as stored or transposed. */
struct lm_linear {
    struct mat W; /* .t NULL: none */
    float *b;     /* [out] owned, NULL: none */
};

struct lm_norm {
    float *w, *b; /* [d] owned; b NULL for RMS; w NULL: no such norm */
};

struct lm_layer {
    struct lm_norm norm1, norm2, attn_post, mlp_post;
    struct lm_linear qkv[3]; /* side by side in a row of q, k and v; .W.t NULL: no more */
    struct lm_linear o, gate, up, down;
};

struct lm {
    char *path, *config_path;
    int64_t bos;              /* bos_token_id, -1: none */
    const struct lm_family *family;
    struct lm_config c;
    struct container **files; /* owned */
    int n_files;
    struct lm_used {          /* tensors that the model is made of */
        const struct tensor *t;
        const struct container *file;
    } *used;                  /* owned */
    int n_used, cap_used;
    struct mat embed, positions, unembed;
    struct lm_norm final_norm;
    struct lm_layer *layers;  /* [n_layers] owned */
};

/* The first key that the query at position p sees in a layer. */
static inline int64_t lm_first_key(const struct lm *lm, int64_t layer, int64_t p)
{
    return lm->c.slides[layer] && p + 1 > lm->c.window ? p + 1 - lm->c.window : 0;
}

/* Columns of a row of q, k and v, and where head h's (kv head g's) begin. */
static inline int64_t lm_q_width(const struct lm *lm)
{
    return lm->c.n_heads * lm->c.d_head;
}
static inline int64_t lm_kv_width(const struct lm *lm)
{
    return lm->c.n_kv * lm->c.d_head;
}
static inline int64_t lm_qkv_width(const struct lm *lm)
{
    return lm_q_width(lm) + 2 * lm_kv_width(lm);
}
/* which: 0 q, 1 k, 2 v. */
static inline int64_t lm_qkv_column(const struct lm *lm, int which, int64_t h)
{
    int64_t dh = lm->c.d_head;
    if (lm->family->qkv_by_head)
        return (3 * h + which) * dh;
    return (which > 0 ? lm_q_width(lm) : 0) + (which > 1 ? lm_kv_width(lm) : 0) + h * dh;
}

/* ---- lm_weights.c */

/* Open the files of lm->path and fill in all weights. */
bool lm_bind(struct lm *lm, const struct progress *progress, struct err *err);
void lm_unbind(struct lm *lm);

/* Room for a block of converted weights: what lm_linear needs beside x and y. */
#define LM_BLOCK ((int64_t)1 << 19) /* floats */
size_t lm_block_floats(const struct lm *lm);

/* y [n, out] (row stride ldy) = x [n, in] (ldx) . W' + b. */
void lm_linear(const struct lm_linear *l, const float *x, int64_t ldx, int64_t n, float *y,
               int64_t ldy, float *block);

/* y [n, rows of W from `first`, `width` of them] = x . W'. */
void lm_multiply(const struct mat *W, int64_t first, int64_t width, const float *x,
                 int64_t ldx, int64_t n, float *y, int64_t ldy, float *block);

/* ---- lm_forward.c */

struct lm_run {
    const struct lm *lm;
    struct lm_work *work;
    int64_t T;              /* room for so many positions */
    float *keys, *values;   /* [T, kv width] of the layer that runs */
    float *qkv, *z, *scores; /* [CHUNK, ..] */
    float *normed, *attn, *mlp, *gate, *up;
    float *stack, *tile;    /* [LM_STREAMS CHUNK, d], and their logits of a block */
    float *cosines, *sines; /* [T, rope.dims / 2] */
    float *block;           /* converted weights */
    float *memory;          /* owned; all of the above */
};

/* A layer of all positions, or the half of it up to the end of attention, or the other one
 * (sequential layers only): what is kept for lm_backward.c. */
enum lm_part { LM_LAYER, LM_ATTENTION, LM_MLP };
bool lm_run_part(struct lm_run *r, int64_t index, enum lm_part part, float *stream,
                 int64_t T, struct err *err);

/* The first layer whose attention runs after the hook, and whether the MLP of the layer
 * before that does. */
int64_t lm_first_attending(const struct lm_hook *hook);
bool lm_begins_with_mlp(const struct lm *lm, const struct lm_hook *hook);

/* Turn the first rope.dims of a head's vector at position p, pairs (i, i + dims / 2);
 * back: the other way. */
void lm_rotate(const struct lm_run *r, int64_t p, float *v, bool back);

/* What one position of a layer costs. */
int64_t lm_layer_cost(const struct lm *lm);

/* ---- lm_backward.c */

struct lm_back {
    int64_t T;              /* room for so many positions */
    float *in, *mid;        /* [layers after the hook, T, d]: what they read, and what
                               their MLP reads */
    float *stream, *final;  /* [T, d] */
    float *qkv, *d_qkv;     /* [T, qkv width] */
    float *z, *d_z;         /* [T, q width] */
    float *scores, *d_scores, *slopes; /* [CHUNK, T] */
    float *chunk[3];        /* [CHUNK, d] */
    float *up, *gate, *d_up, *d_gate;  /* [CHUNK, d_mlp] */
    float *tile, *log_sums; /* [CHUNK, LM_TILE]; [CHUNK] */
    float *memory;          /* owned; all of the above */
};

/* dx += the gradient through a norm, of n rows: x what it read, dy of what it gave. */
void lm_norm_back(const struct lm *lm, const struct lm_norm *norm, const float *x,
                  const float *dy, int64_t n, float *dx);

/* ---- lm_backward_head.c */

/* b->stream, which the final norm reads, to its losses and their gradient. */
bool lm_head_back(struct lm_run *r, struct lm_back *b, const int64_t *ids, int64_t T,
                  const double *weight, double *ce, float *grad, struct err *err);

#define LM_CHUNK 128 /* positions at a time */
#define LM_TILE  1024 /* tokens of the vocabulary at a time */

void lm_apply_norm(const struct lm *lm, const struct lm_norm *norm, const float *x,
                   int64_t n, float *y);

/* Count work that is done; false: ERR_CANCELLED. */
bool lm_worked(struct lm_run *r, int64_t units, struct err *err);
