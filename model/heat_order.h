/*
 * heat_order.h - orders in which a matrix of cosines shows what belongs together.
 *
 * An order is a permutation: at[place] is the id that stands there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/cosine.h"

/* Clustering holds the cosines of all pairs while it works: 64 MiB at this size. */
#define HEAT_CLUSTER_MAX 4096

/*
 * By best match: the rows from the greatest best cosine to the least, each column where
 * the first row that it is the best of has it, rows of the same best column together; so
 * the matches form a staircase from the top left. Columns that are nobody's best come
 * last, by id, and so do rows whose best cosine is not above 0. Against itself every row is followed by its best, in one order for both
 * (column_at is not written). p->best is there; row_at [rows], column_at [columns].
 */
void heat_order_match(const struct page_cosine *p, int64_t *row_at, int64_t *column_at);

/*
 * The leaves of a hierarchical clustering of the rows by their cosines with each other:
 * average linkage, by nearest-neighbour chains (Murtagh, A survey of recent advances in
 * hierarchical clustering algorithms, The Computer Journal 26, 1983), O(n^2); where two
 * clusters join, their most similar ends are neighbours. n <= HEAT_CLUSTER_MAX (assert).
 * ERR_NOMEM, ERR_CANCELLED.
 */
bool heat_order_cluster(const struct match_rows *r, int threads,
                        const struct progress *progress, int64_t *at, struct err *err);
