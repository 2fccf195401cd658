/*
 * match.h - cosines between rows of weight matrices. Cosines with a zero row, and with one
 * that has a NaN or Inf, are 0.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/scratch.h"
#include "io/tensor.h"

struct match_near {
    int64_t id;
    float cosine;
};

/* The n rows of m whose cosine with row `id` is greatest, by cosine descending, then id;
 * row `id` itself left out. out [n]; returns how many there are, -1 on failure
 * (ERR_CANCELLED, a file that shrank). One pass over the matrix at memory speed. */
int match_nearest_rows(const struct mat *m, int64_t id, int n, int threads,
                       const struct progress *progress, struct match_near *out,
                       struct err *err);

/* For every row of m the greatest cosine with any other row, into out [rows] (0 when
 * there is no other row). All pairs by blocks, each pair once: never the matrix of
 * cosines, nothing of its size. */
bool match_nearest_all(const struct mat *m, int threads, const struct progress *progress,
                       float *out, struct err *err);

/* ---- rows of one matrix against rows of another ------------------------------------- */

/* A copy of a matrix with rows of length 1 (or 0), f32, row-major, in scratch memory. */
struct match_rows {
    struct scratch room;
    const float *unit; /* [rows, cols] */
    int64_t rows, cols;
};

/* ERR_OS (no room), ERR_FORMAT (a file that shrank). */
bool match_rows_init(struct match_rows *r, const struct mat *m, struct err *err);
void match_rows_finish(struct match_rows *r); /* a zeroed one is fine */

/* A piece of the matrix of cosines: cosine[i * n_j + j] of rows i0 + i of a and j0 + j of
 * b, within [-1, 1]. */
struct match_tile {
    int64_t i0, j0, n_i, n_j;
    const float *cosine;
};

#define MATCH_TILE_ROWS 256 /* of a: pieces begin at multiples of it */

/*
 * All cosines between rows of a and of b (as many columns in both: assert), by pieces. The
 * pieces that share rows of a come in order of j0 and on one thread; others come at the
 * same time on other threads, in any order. What is in a piece does not depend on the
 * number of threads. ERR_CANCELLED.
 */
bool match_tiles(const struct match_rows *a, const struct match_rows *b, int threads,
                 const struct progress *progress,
                 void (*each)(void *ctx, const struct match_tile *tile), void *ctx,
                 struct err *err);

/* The best match of every row of a among those of b, into best_of_a [a->rows], and the
 * other way round into best_of_b [b->rows]; of equals the one of the smallest id. */
bool match_best(const struct match_rows *a, const struct match_rows *b, int threads,
                const struct progress *progress, struct match_near *best_of_a,
                struct match_near *best_of_b, struct err *err);

/*
 * The MATCH_TOP best of every row, both ways: of_a [a->rows, MATCH_TOP] and of_b
 * [b->rows, MATCH_TOP], by cosine descending, then id; id -1 where there are no more.
 * While it runs, what is in the first *rows_done (NULL: nobody looks) rows of of_a is final
 * and may be read by other threads. ERR_CANCELLED.
 */
#define MATCH_TOP 8
bool match_top(const struct match_rows *a, const struct match_rows *b, int threads,
               const struct progress *progress, struct match_near *of_a,
               struct match_near *of_b, _Atomic int64_t *rows_done, struct err *err);

/* Of row i of a and row j of b. */
float match_cosine(const struct match_rows *a, int64_t i, const struct match_rows *b,
                   int64_t j);

/* MMCS: the mean of n cosines. */
double match_mean(const struct match_near *best, int64_t n);
