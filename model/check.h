/*
 * check.h - do these samples look like what a checkpoint was made for?
 *
 * A look at a part of the samples (runs of tokens spread evenly over them), for the check
 * panel of the overview: how long are they, and is b_dec near their mean?
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/sae.h"
#include "model/samples.h"

#define CHECK_TOKENS 2048 /* looked at, at most */

struct check {
    int64_t tokens;       /* looked at: those without NaN or Inf */
    int64_t broken;       /* with one */
    double median_length; /* median of |x|; NaN when tokens is 0, like all that follows */
    double factor;        /* sqrt(d_in) over the mean of |x| */
    double mean_length;   /* |mean(x)| */
    double b_dec_length;
    double b_dec_cosine;  /* of b_dec and mean(x); 0 with a zero vector */
};

/* samples->d_in must be sae->d_in (assert). ERR_CANCELLED, ERR_OS. */
bool check_make(const struct sae *sae, const struct samples *samples,
                const struct progress *progress, struct check *out, struct err *err);
