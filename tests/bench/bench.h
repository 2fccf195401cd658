/* bench.h - what the benchmarks share: a random stream, the least of several timings. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/err.h"
#include "model/clock.h"

static inline double bench_uniform(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static inline double bench_normal(uint64_t *s)
{
    double r = sqrt(-2 * log(bench_uniform(s) + 1e-300));
    return r * cos(6.283185307179586 * bench_uniform(s));
}

/* Ends the benchmark when something that cannot fail has failed. */
static inline void bench_need(const void *p, const struct err *err)
{
    if (p)
        return;
    fprintf(stderr, "benchmark: %s\n", err->msg);
    exit(1);
}

/* Milliseconds of the fastest of n calls. */
static inline double bench_least(void (*fn)(void *ctx), void *ctx, int n)
{
    double least = 1e9;
    for (int i = 0; i < n; i++) {
        double start = clock_seconds();
        fn(ctx);
        double ms = 1e3 * (clock_seconds() - start);
        least = ms < least ? ms : least;
    }
    return least;
}
