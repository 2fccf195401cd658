/*
 * pairs.h - how alike are a feature of one checkpoint and one of another? Beside match.h,
 * which finds them, this measures pairs that are already known.
 */
#pragma once

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/index.h"
#include "model/sae.h"

/* NaN: not known, or not defined. */
struct pair_figures {
    float decoder, encoder; /* cosines of their rows; 0 with a zero row */
    float correlation;      /* of their activations over the samples: correlate.h */
};
#define PAIR_UNKNOWN ((struct pair_figures){NAN, NAN, NAN})

struct pairs_side {
    const struct sae *sae;
    const struct index *index; /* NULL: no correlations */
};

/*
 * The figures of pairs (i, partner[i]) for i of [0, n), a's feature first; partner -1: none
 * (PAIR_UNKNOWN). Both indexes are of the same samples. While it runs, what is in the first
 * *done (NULL: nobody looks) of out is final and may be read by other threads.
 * ERR_CANCELLED, ERR_FORMAT (a damaged index), ERR_OS.
 */
bool pairs_measure(const struct pairs_side *a, const struct pairs_side *b,
                   const int64_t *partner, int64_t n, int threads,
                   const struct progress *progress, struct pair_figures *out,
                   _Atomic int64_t *done, struct err *err);
