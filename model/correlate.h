/*
 * correlate.h - do two features fire together? From the postings of two indexes over the
 * same samples.
 */
#pragma once

#include <stdint.h>

#include "model/index.h"

/*
 * Pearson's correlation of two features' activations over all `tokens`, those where one or
 * both are 0 included. Hits are by token, as index_hits gives them (values there are
 * rounded to 11 bits). NaN where one of them is the same everywhere, as when it is dead.
 */
double correlate_hits(const struct hit *a, int64_t n_a, const struct hit *b, int64_t n_b,
                      int64_t tokens);
