/*
 * mixture.h - which true features a learned feature mixes, and which are found alone.
 *
 * A dictionary trained with an L1 penalty joins features that often occur together into
 * one direction. Against known directions (page_cosine of cosine.h, not of itself) a row
 * is a *composite* when two or more |cosine| exceed MIXTURE_PART; a column is *found
 * alone* when some row's |cosine| with it exceeds MIXTURE_ALONE, and *missed* when it is
 * neither found alone nor part of a composite.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/cosine.h"

#define MIXTURE_PART 0.4
#define MIXTURE_ALONE 0.9
#define MIXTURE_PARTS 16 /* the strongest parts of a composite that are kept */

struct mixture_part {
    int64_t column;
    float cosine;
};

struct mixture {
    int64_t row;
    int64_t n;                                /* parts; the first MIXTURE_PARTS are here: */
    struct mixture_part parts[MIXTURE_PARTS]; /* by |cosine| descending, then column */
};

/* What became of a true feature. */
struct mixture_column {
    int64_t row;        /* of the greatest |cosine|, of equals the smallest; -1: no rows */
    float cosine;
    int64_t composites; /* that it is part of */
};

struct mixtures {
    struct mixture *composites; /* [n_composites] by row; owned */
    int64_t n_composites;
    struct mixture_column *columns; /* [n_columns] owned */
    int64_t n_columns;
    int64_t n_alone, n_missed;
};

bool mixture_is_alone(const struct mixture_column *c);
bool mixture_is_missed(const struct mixture_column *c);

/* ERR_NOMEM, ERR_CANCELLED. */
bool mixtures_make(const struct page_cosine *p, int threads, const struct progress *progress,
                   struct mixtures *out, struct err *err);
void mixtures_finish(struct mixtures *m); /* a zeroed one is fine */
