/* rows.h - directions to match, for benchmarks: from plain numbers. */
#pragma once

#include "model/match.h"
#include "bench.h"

/* v [rows, cols] as directions; ends the benchmark when there is no memory. */
static inline void bench_unit_rows(struct match_rows *r, const float *v, int64_t rows,
                                   int64_t cols)
{
    struct tensor t = {.name = "rows", .dtype = DTYPE_F32, .ndim = 2, .shape = {rows, cols},
                       .data = (const unsigned char *)v};
    struct err err = {0};
    tensor_set_strides(&t, false);
    struct mat m = mat_of(&t, false);
    bench_need(match_rows_init(r, &m, &err) ? r : NULL, &err);
}
