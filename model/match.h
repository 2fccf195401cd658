/*
 * match.h - cosines between rows of weight matrices. Cosines with a zero row are 0.
 */
#pragma once

#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
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
