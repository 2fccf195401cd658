/*
 * score.h - what a language model loses when a hook is replaced by the SAE's reconstruction.
 *
 * For every sequence the model runs once up to the hook, which gives x and from it x_hat,
 * and three times from the hook on: with x, with x_hat and with zeros, at all positions.
 *
 *   reconstruction score = (ce_zero - ce_reconstructed) / (ce_zero - ce_original)
 *
 * Cross-entropies are means over the losses that count: of positions 0 .. T - 2 of every
 * sequence, without those of skipped positions and tokens (the loss at p, of token p + 1,
 * belongs to p). l0 and fvu are of these x, over all tokens that count. Sequences are
 * summed in their order, so the thread count changes nothing.
 *
 * Zeros are the definition. Another baseline stands where they do, if asked for: the mean
 * of x over the tokens that count, or what the SAE gives when no feature is active (b_dec,
 * and where the input is normalised, what undoing that makes of it).
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

struct page_score;

enum score_baseline { SCORE_ZERO, SCORE_MEAN, SCORE_B_DEC, SCORE_BASELINE_COUNT };
extern const char *const score_baseline_names[SCORE_BASELINE_COUNT]; /* "zero", ... */

struct score_options {
    struct scan_options scan; /* what counts, memory, threads */
    bool from_samples;        /* x_hat of the given samples, not of the model's own x */
    enum score_baseline baseline;

    /* Told now and then, on the caller's thread, what the sequences so far say; may be
     * NULL. */
    void (*partial)(void *ctx, const struct page_score *so_far);
    void *ctx;
};

/* Samples and the model's own activations are compared on so many sequences, */
#define SCORE_COMPARED 4
/* and |samples - own| / |own| above this is worth a warning. */
#define SCORE_DIFFERENCE 1e-2

/* docs/commands.md, command score. Nats; NaN stands for null. */
struct page_score {
    int64_t sequences, positions; /* used; losses in the means */
    double ce_original, ce_reconstructed;
    double ce_zero;               /* of the baseline, if it is another one */
    double reconstruction_score, nats_lost, bits_lost;
    double kl;                    /* KL(original || reconstructed) */
    double l0, fvu;
    double seconds;
    double samples_difference;    /* NaN: no samples to compare with */
    enum score_baseline baseline; /* that ce_zero is of */
};

/*
 * samples must have token ids; only its whole sequences are used. Warnings about the
 * samples are the caller's: samples_difference.
 *
 * ERR_MISSING (no token ids, no samples with from_samples, no position counts), ERR_SHAPE
 * (hook and SAE of different sizes), ERR_RANGE (ids beyond the vocabulary, sequences
 * too short or longer than the model's context), ERR_UNSUPPORTED (a transcoder),
 * ERR_FORMAT (a loss that is not finite; the tensor is named where weights are to blame),
 * ERR_NOMEM, ERR_CANCELLED.
 */
bool score_run(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
               const struct samples *samples, const struct score_options *options,
               const struct progress *progress, struct page_score *out, struct err *err);

/* Multiplications that score_run would take with these samples (token ids in whole
 * sequences); 0 without. */
int64_t score_cost(const struct lm *lm, const struct lm_hook *hook,
                   const struct samples *samples);

/* The warning that samples_difference is worth; false: none. */
bool score_warning(const struct page_score *p, const char *samples, char *buf, size_t size);
