/*
 * logitlens.h - which tokens a feature promotes and suppresses: its decoder row through the
 * language model's unembedding.
 *
 *   logits = W_U (W_dec[i] * gain)        gain: of the final norm (Gemma: 1 + w)
 *
 * without what depends on the rest of the stream: no centring, no bias, no scale, no cap,
 * no later layers. raw leaves the gain out. Equals are ordered by token.
 * Source: nostalgebraist, "interpreting GPT: the logit lens", 2020.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/lm.h"
#include "model/sae.h"

struct logit {
    int64_t token;
    float logit;
};

#define LOGITLENS_SHOWN 10 /* each way, where nothing else was asked for */

/* Of one feature. Both lists are owned and have n entries. */
struct logits {
    struct logit *top, *bottom; /* greatest first; smallest first */
    int n;
};

/* Do the SAE's output and the model's stream have one size? ERR_SHAPE names both. */
bool logitlens_check(const struct lm *lm, const struct sae *sae, struct err *err);

/* At most n each way, of feature id (in range: assert). ERR_SHAPE, ERR_FORMAT (a file that
 * shrank). */
bool logitlens_feature(const struct lm *lm, const struct sae *sae, int64_t id, int n,
                       bool raw, struct logits *out, struct err *err);
void logits_finish(struct logits *l); /* a zeroed one is fine */

/*
 * The n tokens that every feature promotes most, greatest first, into tokens [d_sae, n];
 * n <= vocabulary (assert). All of W_dec through all of the unembedding, by blocks, on all
 * threads. ERR_CANCELLED beside the above.
 */
bool logitlens_promoted(const struct lm *lm, const struct sae *sae, int n, bool raw,
                        int threads, const struct progress *progress, uint32_t *tokens,
                        struct err *err);
