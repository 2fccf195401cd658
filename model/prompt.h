/*
 * prompt.h - a text through language model and SAE: what is active at each of its tokens,
 * what each loss is, and what becomes of the next token when features are taken out.
 *
 * The loss at position p is that of predicting the token at p + 1, so the last has none.
 * With c the sum of the contributions of the features taken out (docs/commands.md), the
 * stream at the hook is, at all positions,
 *
 *   error-kept       x - c,     against x
 *   reconstruction   x_hat - c, against x_hat
 *
 * An engine is a model and an SAE made ready for many texts. It is immutable, counts its
 * users, and may be used from several threads; what it was made of must outlive it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/token_encoder.h"
#include "model/lm.h"
#include "model/sae.h"

#define PROMPT_MAX_TOKENS 8192

/* ---- the text's tokens */

enum prompt_bos { PROMPT_BOS_AUTO, PROMPT_BOS_YES, PROMPT_BOS_NO };

struct prompt_ids {
    int64_t *id; /* owned */
    int64_t n;
    int64_t n_bos; /* of them, put in front */
};

/*
 * What goes in front of a text: the tokenizer's own (token_encoder_bos), else the model's
 * bos_token_id where the checkpoint was trained with one (sae->prepend_bos; sae may be
 * NULL: then too). YES: ERR_MISSING when there is none. Appended to out.
 */
bool prompt_bos_ids(const struct token_encoder *te, const struct sae *sae,
                    const struct lm *lm, enum prompt_bos bos, struct token_ids *out,
                    struct err *err);

/* text [n] as ids, checked against the model. ERR_RANGE (too long for the model or beyond
 * PROMPT_MAX_TOKENS, ids beyond its vocabulary) and what token_encoder_run gives. */
bool prompt_encode(const struct token_encoder *te, const struct sae *sae,
                   const struct lm *lm, enum prompt_bos bos, const char *text, size_t n,
                   struct prompt_ids *out, struct err *err);
void prompt_ids_finish(struct prompt_ids *ids); /* a zeroed one is fine */

/* ---- running it */

struct prompt_engine;

/* ERR_SHAPE when the hook's and the SAE's sizes differ; else what reconstructor_init gives. */
struct prompt_engine *prompt_engine_new(const struct lm *lm, const struct lm_hook *hook,
                                        const struct sae *sae, int threads,
                                        const struct progress *progress, struct err *err);
struct prompt_engine *prompt_engine_ref(struct prompt_engine *e);
void prompt_engine_unref(struct prompt_engine *e); /* NULL is fine */

struct prompt_options {
    int top;               /* features listed of each token; 0: 20 */
    const int64_t *ablate; /* [n_ablate] features to take out, in range (assert) */
    int n_ablate;
    bool reconstruction;   /* the mode; false: error-kept */
};

struct prompt_feature {
    int64_t id;
    float activation;
};

/* NaN stands for null. */
struct prompt_token {
    int64_t id;
    double ce;                /* of the model as it is */
    double before, after, kl; /* with features taken out: against what, and without them */
    int32_t n_active;
    int32_t n_features;
    const struct prompt_feature *features; /* by |activation| descending, then id */
};

struct page_prompt {
    struct prompt_token *tokens; /* [n] */
    int64_t n;
    double ce;                   /* means over positions 0 .. n - 2; NaN: none */
    double before, after, kl;    /* NaN: nothing is taken out */
    struct prompt_feature *features; /* what tokens' point to */
    float *final[3];             /* [n, d] after the final norm: as it is, before, after;
                                    the last two NULL when nothing is taken out */
    int64_t d;
};

/* ERR_UNSUPPORTED (features taken out of a transcoder), ERR_FORMAT (a loss that is not
 * finite), ERR_NOMEM, ERR_CANCELLED. */
bool prompt_run(const struct prompt_engine *e, const int64_t *ids, int64_t n,
                const struct prompt_options *options, const struct progress *progress,
                struct page_prompt *out, struct err *err);
void page_prompt_finish(struct page_prompt *p); /* a zeroed one is fine */

/* ---- the next token */

struct prompt_next {
    int64_t id;
    double before, after; /* probabilities; after NaN: nothing is taken out */
};

struct page_next {
    struct prompt_next *tokens; /* owned; by the greater of the two, descending, then id */
    int n;
    double kl;                  /* KL(before || after); NaN: nothing is taken out */
};

/* The `top` most probable tokens after one position, of both distributions; before, after:
 * a row [d] of page.final each, after may be NULL. */
bool prompt_next(const struct lm *lm, const float *before, const float *after, int top,
                 struct page_next *out, struct err *err);
void page_next_finish(struct page_next *p); /* a zeroed one is fine */
