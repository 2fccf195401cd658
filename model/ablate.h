/*
 * ablate.h - what the language model loses when one feature is taken out, exactly.
 *
 * With c the feature's contribution (what x_hat loses when its activation becomes 0 and
 * everything else stays), the stream at the hook is
 *
 *   reconstruction   x_hat - c, against x_hat
 *   error-kept       x - c,     against x
 *
 * at all positions. Only sequences where the feature is active are run again, and these
 * from its first firing on: keys and values of the positions before are kept. Everything
 * else is as in score.h; sums are added in the order of the sequences.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/lm.h"
#include "model/sae.h"
#include "model/samples.h"
#include "model/scan.h"

#define ABLATE_WORST 10 /* positions listed of each feature */

struct ablate_options {
    struct scan_options scan; /* what counts, memory, threads */
    bool error_kept;
};

struct ablate_worst {
    int64_t sequence, position; /* the loss of predicting the token at position + 1 */
    int64_t token;              /* that token's id */
    double delta;
};

/* One feature. NaN stands for null. */
struct page_ablation {
    int64_t id, active_tokens;  /* tokens that count, of the sequences used */
    double delta_fvu;           /* of these x */
    double ce_before, ce_after, delta_ce;
    double score_before, score_after, delta_score; /* reconstruction score */
    struct ablate_worst worst[ABLATE_WORST]; /* by delta descending, sequence, position */
    int n_worst;
};

struct page_ablations {
    int64_t sequences, positions;
    struct page_ablation *features; /* owned; as asked for */
    int64_t n;
};

/* ids [n]: distinct features, in range (assert). Errors as score_run. */
bool ablate_run(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
                const struct samples *samples, const int64_t *ids, int64_t n,
                const struct ablate_options *options, const struct progress *progress,
                struct page_ablations *out, struct err *err);
void page_ablations_finish(struct page_ablations *p); /* a zeroed one is fine */

/*
 * One feature in one sequence, token by token: how long the contribution is that is taken
 * out (0 where the feature is not active), the loss of predicting the next token, and by
 * how much it changes. All positions, whether they count or not; the last one predicts
 * nothing (NaN).
 */
struct page_ablation_tokens {
    int64_t id, sequence, n;         /* n: tokens of the sequence */
    int64_t *ids;                    /* [n] owned, as are the others */
    double *taken, *before, *delta;  /* [n] */
};

/* sequence: of those that there are (ERR_RANGE). Errors as ablate_run. */
bool ablate_tokens(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
                   const struct samples *samples, int64_t id, int64_t sequence,
                   const struct ablate_options *options, const struct progress *progress,
                   struct page_ablation_tokens *out, struct err *err);
void page_ablation_tokens_finish(struct page_ablation_tokens *p); /* zeroed is fine */
