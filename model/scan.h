/*
 * scan.h - one pass over the samples that finds every firing of every feature.
 *
 * Blocks of tokens stream through
 *
 *   read -> norm, - b_in -> encode (hits) -> decode, error -> delta_fvu per hit -> spill
 *
 * and a merge that sees each feature's hits together writes the index (index.h). Every
 * thread works on its own block with products of its own; sums are merged in block order
 * and hits in (feature, token) order, so the result does not depend on the number of
 * threads. Anonymous memory stays within options.memory; what does not fit is spilled to
 * an unlinked file beside the index.
 *
 * Samples that are a cache of firings (firings.h) are read instead of encoded; what is
 * said of the error is NaN then.
 *
 * The encode is a stage of its own (encode.h): it yields hits (token, feature, value),
 * never a [tokens, d_sae] matrix beyond a tile.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/sae.h"
#include "model/samples.h"

struct scan_options {
    const struct samples *target; /* of transcoders: what y should be; NULL: not known, and
                                     all about the error is NaN. Borrowed */
    int64_t skip_first;         /* leave positions < skip_first out */
    const int64_t *skip_tokens; /* ids to leave out */
    int n_skip_tokens;
    size_t memory;              /* bytes of anonymous memory */
    int threads;                /* 0: all cores */
};

/* What a scan says about the whole: docs/commands.md, command scan. NaN stands for null. */
struct scan_totals {
    int64_t tokens;         /* counted: all but skipped and left out */
    int64_t sequences;
    int64_t skipped_tokens; /* NaN or Inf in the sample, or no norm */
    int64_t nonzeros;
    int64_t dead;           /* features that never fire, broken ones left out */
    double l0, l1, dead_fraction; /* NaN when all features are broken */
    double fvu, explained_variance, mse, cosine;
    double sum_squares;     /* sum |x - mean(x)|^2, what delta_fvu is divided by */
    double seconds, tokens_per_second; /* of the pass that made the index */
    int64_t cut_activations; /* of a cache of firings: beyond half precision, taken as its
                                greatest number */
    int64_t finite_weights; /* sae->finite: who finds this index need not look again */
};

/*
 * What a running scan shows while it runs: readable from any thread at any time. Counts
 * lag by at most a block; they are approximate until the scan ends.
 */
struct scan_live {
    int64_t d_sae;
    _Atomic int64_t tokens;    /* counted so far */
    _Atomic int64_t tokens_of; /* of about that many */
    _Atomic uint32_t *count;   /* [d_sae] active tokens so far */
    _Atomic float *max;        /* [d_sae] greatest activation so far */
    _Atomic float *sum;        /* [d_sae] sum of activations so far */
};
struct scan_live *scan_live_new(int64_t d_sae);
void scan_live_free(struct scan_live *live); /* NULL is fine */
void scan_live_add(struct scan_live *live, uint32_t feature, float value); /* a firing */

/*
 * Scan all samples and write the index to `index_path` (write beside, fsync, rename; on
 * failure or cancellation nothing is left behind). `key` identifies the inputs and options
 * and is stored in the index. live may be NULL. sae->W_enc must have d_in columns as the
 * samples do, if they have any (assert).
 *
 * ERR_CANCELLED, ERR_OS (ENOSPC, a file that changed), ERR_NOMEM, ERR_MISSING when every
 * token is left out.
 */
bool scan_run(const struct sae *sae, const struct samples *samples,
              const struct scan_options *options, const char *index_path,
              const char *key, struct scan_live *live, const struct progress *progress,
              struct scan_totals *totals, struct err *err);

/* Does token t (its id, its position) count under these options? */
bool scan_counts(const struct scan_options *options, const struct samples *samples,
                 int64_t t, int64_t id);
