/*
 * stats.h - summaries and histograms of the values of one quantity over features.
 *
 * Definitions are docs/commands.md's: std is the population's (divisor n); a histogram has
 * equal bins over [min, max], each [lo, hi), the last [lo, hi]; when min = max all edges
 * are equal and all counts are in the last bin.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define STATS_BINS 64

struct hist {
    int n;           /* bins; 0: there is no histogram (null) */
    double lo, hi;   /* edge i is lo + i (hi - lo) / n, edge n is hi */
    int64_t *counts; /* [n], owned */
    bool log;        /* edges are log10 of the values */
};

double hist_edge(const struct hist *h, int i);
void hist_finish(struct hist *h);

/* Summary of n values. NaN and infinite values are left out and counted in `excluded`. */
struct summary {
    int64_t count, excluded;
    double mean, std, min, max;              /* NaN when count is 0 */
    double negative_fraction, zero_fraction; /* of count; NaN when count is 0 */
    struct hist hist;                        /* owned */
};

struct summary_options {
    int bins;      /* 0: STATS_BINS */
    bool ranged;   /* bin only values within [lo, hi]; the others count as excluded */
    double lo, hi;
    bool log;      /* bin log10(value); values <= 0 count as excluded. lo and hi are then
                      of the plain values. */
};

/* count, mean, ... are of all finite values, whatever the histogram leaves out. options
 * may be NULL. */
void summary_of(const double *v, int64_t n, const struct summary_options *options,
                struct summary *out);
void summary_finish(struct summary *s);

/* The middle of n values (the mean of the two middle ones when n is even); NaN and infinite
 * ones are left out. Reorders v. NaN when nothing is left. O(n). */
double stats_median(double *v, int64_t n);

/* The values at 5, 25, 50, 75 and 95 % of n values, between neighbours linearly (as NumPy's
 * quantile); NaN and infinite ones are left out. Reorders v. NaN when nothing is left. */
enum { STATS_QUANTILES = 5 };
extern const double stats_quantile_at[STATS_QUANTILES]; /* 0.05 .. 0.95 */
void stats_quantiles(double *v, int64_t n, double out[STATS_QUANTILES]);

/* The k-th largest of n keys, 1 <= k <= n; reorders them. O(n). */
float stats_kth_largest(float *keys, int64_t n, int64_t k);

/* Wilson score interval of a proportion k / n, z = 1.959964; [0, 1] when n = 0. */
void stats_wilson(double k, double n, double *low, double *high);
