/*
 * assign.h - one-to-one assignments of rows to rows by their cosines.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/match.h"

/*
 * The assignment of n rows to different ones of m >= n columns (assert) that maximises the
 * sum of value [n, m], finite: column_of [n]. Augmenting row reduction, then shortest
 * augmenting paths: Jonker and Volgenant, A shortest augmenting path algorithm for dense
 * and sparse linear assignment problems, Computing 38 (1987); rectangular as in Crouse, On
 * implementing 2D rectangular assignment algorithms, IEEE TAES 52 (2016). Exact up to
 * rounding in double; O(n^2 m) at worst, on one thread.
 * ERR_NOMEM, ERR_CANCELLED.
 */
bool assign_optimal(const float *value, int64_t n, int64_t m,
                    const struct progress *progress, int64_t *column_of,
                    struct err *err);

/*
 * Pairs in the order of falling cosine (then of row and column), each row of a and of b at
 * most once, until one side is used up: b_of_a [a->rows], -1 for those that go without.
 * Never the matrix of cosines: each row keeps its best candidates, and looks again among
 * what is left when they are gone.
 * ERR_NOMEM, ERR_CANCELLED.
 */
bool assign_greedy(const struct match_rows *a, const struct match_rows *b, int threads,
                   const struct progress *progress, int64_t *b_of_a, struct err *err);
