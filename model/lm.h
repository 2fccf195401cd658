/*
 * lm.h - language models: from token ids to a hook, and from the hook to the loss.
 *
 * A model is a Hugging Face directory: config.json beside model.safetensors, or beside
 * model.safetensors.index.json and the shards that it names. Which families are read, and
 * what they call things, is a table in lm_family.c. Weights are f32, f16, bf16 or f64 and
 * stay mapped: f32 is used where it lies, other types are converted by blocks as they are
 * multiplied, so that memory beyond the mapping does not grow with the model.
 *
 * Everything is computed in f32, one sequence at a time on one thread; callers give every
 * thread an lm_run of its own. A number depends on its own sequence alone, so the thread
 * count changes nothing.
 *
 * T positions, d = d_model; arrays are [T, d], row-major. Mapped weights are read: the
 * lm_* functions that compute are called inside map_guard.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"

struct lm;

/* NULL on failure: ERR_OS, ERR_FORMAT, ERR_MISSING (a file or tensor), ERR_SHAPE (tensor,
 * found, expected), ERR_UNSUPPORTED (another family, another option of one). Reads headers
 * and the small vectors. */
struct lm *lm_open(const char *dir, const struct progress *progress, struct err *err);
void lm_close(struct lm *lm); /* NULL is fine */

const char *lm_path(const struct lm *lm);
/* The files that it is read from: config.json, then those of the weights; NULL after the
 * last. Borrowed. */
const char *lm_file(const struct lm *lm, int i);
int64_t lm_d_model(const struct lm *lm);
int64_t lm_vocab(const struct lm *lm);
int64_t lm_context(const struct lm *lm); /* positions that it was made for */
int64_t lm_bos(const struct lm *lm);     /* config.json's bos_token_id, -1: none */

/* Can a sequence of T positions run? */
bool lm_fits(const struct lm *lm, int64_t T);

/* Can a sequence of T positions run, and are all ids in the vocabulary? ERR_RANGE, both
 * sizes named; `what` is what messages call the ids ("tokens.npy"). */
bool lm_check_ids(const struct lm *lm, const char *what, const int64_t *ids, int64_t n,
                  struct err *err);
bool lm_check_length(const struct lm *lm, const char *what, int64_t T, struct err *err);

/* ---- hooks (names and meaning: TransformerLens) */

enum lm_site { LM_RESID_PRE, LM_ATTN_OUT, LM_RESID_MID, LM_MLP_OUT, LM_RESID_POST };

struct lm_hook {
    int64_t layer;
    enum lm_site site;
};

/* "blocks.L.hook_resid_pre", _mid, _post, "blocks.L.hook_attn_out", "blocks.L.hook_mlp_out".
 * ERR_RANGE for a layer that is not there, ERR_UNSUPPORTED for other places (also
 * resid_mid where attention and MLP are parallel). */
bool lm_hook_parse(const struct lm *lm, const char *name, struct lm_hook *out,
                   struct err *err);

/* ---- running */

/* How far the runs of all threads together are: `done` counts multiplications, `of` (of
 * them, by lm_cost_*) and `tokens` are the caller's; progress is told in tokens. */
struct lm_work {
    const struct progress *progress;
    const char *what;
    int64_t of, tokens;
    _Atomic int64_t done;
};

/* Multiplications of one position: up to the hook, from the hook on, of one stream of
 * lm_losses. */
int64_t lm_cost_to(const struct lm *lm, const struct lm_hook *hook);
int64_t lm_cost_from(const struct lm *lm, const struct lm_hook *hook);
int64_t lm_cost_losses(const struct lm *lm);

/* Scratch of one thread, for sequences of up to T positions. (Rotary positions of the kind
 * "dynamic" depend on how long sequences are: they are taken to be of T.) */
struct lm_run;
size_t lm_run_bytes(const struct lm *lm, int64_t T);
struct lm_run *lm_run_new(const struct lm *lm, int64_t T, struct lm_work *work,
                          struct err *err);
void lm_run_free(struct lm_run *r); /* NULL is fine */

/*
 * ids [T] -> x, the activation at the hook, and rest, what the stream gets beside it: after
 * the hook the residual stream is rest + x (rest is 0 at a residual hook). False:
 * ERR_CANCELLED.
 */
bool lm_run_to(struct lm_run *r, const int64_t *ids, int64_t T, const struct lm_hook *hook,
               float *x, float *rest, struct err *err);

/* The stream `resid` as it is after the hook -> `resid` after the last layer and the final
 * norm, in place. ERR_CANCELLED. */
bool lm_run_from(struct lm_run *r, const struct lm_hook *hook, float *resid, int64_t T,
                 struct err *err);

/*
 * The same for a stream that differs from an earlier one only from position `first` on:
 * keys and values of the positions before are those that the earlier run left in the
 * cache. lm_run_keep is lm_run_from and fills it; lm_run_again reads rows [first, T) of
 * resid and replaces them.
 */
struct lm_cache;
size_t lm_cache_bytes(const struct lm *lm, const struct lm_hook *hook, int64_t T);
struct lm_cache *lm_cache_new(const struct lm *lm, const struct lm_hook *hook, int64_t T,
                              struct err *err);
void lm_cache_free(struct lm_cache *c); /* NULL is fine */
bool lm_run_keep(struct lm_run *r, const struct lm_hook *hook, float *resid, int64_t T,
                 struct lm_cache *cache, struct err *err);
bool lm_run_again(struct lm_run *r, const struct lm_hook *hook, float *resid, int64_t first,
                  int64_t T, const struct lm_cache *cache, struct err *err);

/*
 * Next-token losses of n_streams (at most LM_STREAMS) versions of one sequence. final[s]
 * [T, d] from lm_run_from; ce[s] [T - 1] gets -log p(ids[p + 1] | ids[0..p]) in nats, and
 * kl [T - 1] (may be NULL) KL(version 0 || version 1). ERR_CANCELLED.
 */
#define LM_STREAMS 3
bool lm_losses(struct lm_run *r, int n_streams, const float *const *final,
               const int64_t *ids, int64_t T, double *const *ce, double *kl,
               struct err *err);

/* ---- backwards */

/*
 * The gradient of sum over p of weight[p] -log p(ids[p + 1] | ids[0..p]) with respect to
 * `resid` [T, d], the stream as it is after the hook, and so with respect to what is at
 * the hook. weight [T - 1]; ce [T - 1] gets the losses as from lm_losses; resid is left
 * alone. Exact, by hand for every kind of layer: the streams between the layers are kept
 * from a run forwards, what is inside of a layer is computed again. ERR_CANCELLED.
 */
struct lm_back; /* scratch of one thread, beside its lm_run */
size_t lm_back_bytes(const struct lm *lm, const struct lm_hook *hook, int64_t T);
struct lm_back *lm_back_new(const struct lm *lm, const struct lm_hook *hook, int64_t T,
                            struct err *err);
void lm_back_free(struct lm_back *b); /* NULL is fine */
bool lm_run_back(struct lm_run *r, struct lm_back *b, const struct lm_hook *hook,
                 const float *resid, const int64_t *ids, int64_t T, const double *weight,
                 double *ce, float *grad, struct err *err);

/* Multiplications of one position in lm_run_back. */
int64_t lm_cost_back(const struct lm *lm, const struct lm_hook *hook);

/* Logits [vocab] of one position: h [d] after the final norm, soft cap included. */
void lm_logits(struct lm_run *r, const float *h, float *logits);

/* ---- the unembedding by itself */

/* The final norm's gain [d] (Gemma: 1 + w). */
const float *lm_final_gain(const struct lm *lm);

/* out [n, vocab] = v [n, d] through the unembedding: no norm, no cap. Makes room of its
 * own for a block of weights; runs in a map_guard of its own. */
bool lm_unembed(const struct lm *lm, const float *v, int64_t n, float *out,
                struct err *err);

/* A loss is not finite: is it the weights? ERR_FORMAT names the tensor, the count and the
 * first index; true when all are finite. Reads everything. */
bool lm_check_finite(const struct lm *lm, const struct progress *progress, struct err *err);
