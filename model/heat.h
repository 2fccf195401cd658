/*
 * heat.h - a matrix of cosines as a picture: the whole or a part of it, in an order.
 *
 * The matrix [rows, columns] is not held when it is large. What is held are *blocks* of
 * block_r x block_c neighbouring cosines (powers of two, the smallest for which there are
 * at most HEAT_CELLS blocks; 1 x 1 up to 2048 x 2048), two numbers each: their mean, and
 * the strongest, the one of greatest |cosine| with its sign; and the same of 8 x 8 blocks
 * each, so that the whole is drawn from few. That is at most 33 MiB. What is finer is computed again for the part that is looked at, a struct heat_blocks of its
 * own (heat_part). Where rows stand against themselves, blocks leave the diagonal out.
 *
 * Rows and columns have *places* in the order that they are shown in; place p of the rows
 * is row heat_row(h, p). One thread computes (heat_sample, then heat_compute or heat_tile)
 * while another looks (heat_look): bands of rows become exact one by one, and before that
 * one cosine stands for a block.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/match.h"

#define HEAT_CELLS ((int64_t)1 << 22)

enum heat_pool { HEAT_STRONGEST, HEAT_MEAN };

/* Blocks over the places [row, row + rows) x [column, column + columns). */
struct heat_blocks {
    int64_t row, column, rows, columns;
    int64_t block_r, block_c, n_r, n_c; /* n_r = ceil(rows / block_r) */
    float *mean, *strongest;            /* [n_r, n_c] owned; one array for 1 x 1 */
};
void heat_blocks_finish(struct heat_blocks *b); /* a zeroed one is fine */

struct heat {
    struct match_rows a, b;       /* in the order shown; b is a when self */
    struct match_rows own[2];     /* what of these is a copy */
    bool self;
    int64_t *row_at, *column_at;  /* ids by place; owned; NULL: by id */
    struct heat_blocks blocks, coarse;
    float *sample;                /* [n_r, n_c] one cosine a block; NULL for 1 x 1 */
    atomic_bool sampled;
    atomic_uchar *exact;          /* by bands of MATCH_TILE_ROWS rows; owned */
};

/*
 * Room for a map of rows of a against rows of b, borrowed (NULL: a against itself). row_at
 * [a->rows] and column_at [b->rows] are permutations, owned by the map from here on even
 * if this fails; NULL: by id (then column_at of self too). Permuted rows are copied, in
 * scratch memory. ERR_NOMEM, ERR_OS.
 */
bool heat_init(struct heat *h, const struct match_rows *a, const struct match_rows *b,
               int64_t *row_at, int64_t *column_at, struct err *err);
void heat_finish(struct heat *h); /* a zeroed one is fine */

int64_t heat_row(const struct heat *h, int64_t place);
int64_t heat_column(const struct heat *h, int64_t place);

/* One cosine a block: a first look, at 1 / (block_r block_c) of the price. */
bool heat_sample(struct heat *h, int threads, const struct progress *progress,
                 struct err *err);

/* All blocks. ERR_CANCELLED: those that are done stay. */
bool heat_compute(struct heat *h, int threads, const struct progress *progress,
                  struct err *err);

/* The same piece by piece, for who goes through the matrix for other reasons: ctx is the
 * map, which must be in the order of ids (see page_cosine_look). */
void heat_tile(void *ctx, const struct match_tile *tile);

/* How much of it is exact, 0 .. 1. */
double heat_done(const struct heat *h);

/* Blocks over a part that begins at a multiple of them; block_r is a power of two. Blocks of
 * the map's own are not used: this is for finer ones. ERR_NOMEM, ERR_CANCELLED. */
bool heat_part(const struct heat *h, int64_t row, int64_t column, int64_t rows,
               int64_t columns, int64_t block_r, int64_t block_c, int threads,
               const struct progress *progress, struct heat_blocks *out, struct err *err);

/* What of it is on the screen: n_r x n_c cells of block_r x block_c (each a multiple of the
 * map's own blocks, or a power of two if smaller), the first at a multiple of these. */
struct heat_window {
    int64_t row, column, block_r, block_c;
    int64_t n_r, n_c;
    enum heat_pool pool;
};

/* How good the worst cell is. */
enum heat_quality {
    HEAT_UNKNOWN, /* NaN: not computed yet */
    HEAT_SAMPLED, /* one cosine of many */
    HEAT_COARSE,  /* of a larger block that the cell is in */
    HEAT_EXACT,
};

/* Fill value [n_r, n_c]; cells beyond the matrix are NaN and do not count. part, which may
 * be NULL, is used where it has blocks of that size. */
enum heat_quality heat_look(const struct heat *h, const struct heat_blocks *part,
                            const struct heat_window *w, float *value);
