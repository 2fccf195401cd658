/*
 * cosine.h - the rows of a decoder or encoder against directions: given ones, those of
 * another checkpoint, or each other. What command cosine prints. In the style of page.h:
 * made at once, then only read; NaN in a double stands for null.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/container.h"
#include "io/err.h"
#include "io/progress.h"
#include "model/match.h"
#include "model/sae.h"

enum cosine_weights { COSINE_DECODER, COSINE_ENCODER };

/* Directions to stand against, one a row. Borrowed. */
struct cosine_against {
    const struct mat *rows;      /* NULL: the SAE's own */
    const char *path;            /* for messages; NULL when rows is */
    enum cosine_weights weights; /* which rows of the SAE stand against them */
};

struct cosine_best {
    int64_t column; /* -1: there is none to choose from */
    float cosine;
};

struct page_cosine {
    struct match_rows decoder, other; /* owned, rows of length 1: of the SAE (encoder rows if
                                         asked for); other is empty for these themselves */
    bool self;
    int64_t rows, columns;
    double mean, std;          /* of all cosines; of itself: off the diagonal */
    double min, max;           /* likewise */
    float *bias_row;           /* [columns] cosines of b_dec; NaN where the columns are not
                                  of its dimension */
    struct cosine_best *best;  /* [rows]; of itself: with another row */
};

/* The rows of an SAE: views of its weights. */
const struct mat *cosine_rows(const struct sae *sae, enum cosine_weights weights);

/* ERR_SHAPE names both files and both shapes. ERR_OS, ERR_NOMEM, ERR_CANCELLED. */
bool page_cosine_make(const struct sae *sae, const struct cosine_against *against,
                      int threads, const struct progress *progress,
                      struct page_cosine *out, struct err *err);
void page_cosine_finish(struct page_cosine *p);

/* The same in two steps, for who wants to see the cosines as they come: page_cosine_begin
 * makes the rows and bias_row, page_cosine_look the rest; each piece that it has looked at
 * goes to `also` (may be NULL), on any thread, as match_tiles gives it. */
bool page_cosine_begin(const struct sae *sae, const struct cosine_against *against,
                       struct page_cosine *out, struct err *err);
bool page_cosine_look(struct page_cosine *p, int threads, const struct progress *progress,
                      void (*also)(void *ctx, const struct match_tile *tile), void *ctx,
                      struct err *err);

/* The rows that are the columns of the matrix: other, or decoder. */
const struct match_rows *page_cosine_columns(const struct page_cosine *p);

/* Rows [first, first + n) of the matrix of cosines into out [n, columns]. For who shows or
 * prints it piece by piece: it is never held as a whole. */
void page_cosine_rows(const struct page_cosine *p, int64_t first, int64_t n, float *out);

/* One of them. */
float page_cosine_at(const struct page_cosine *p, int64_t row, int64_t column);

/* The only two-dimensional array of floats in a file, or FILE:KEY: directions, a row each.
 * *c is opened, the caller closes it; the tensor is borrowed from it. NULL on failure. */
const struct tensor *cosine_open_rows(const char *word, const struct progress *progress,
                                      struct container **c, struct err *err);
