/* test_stats.c - summaries and histograms against exact values; Wilson intervals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/stats.h"

#define ROW(...) {__VA_ARGS__}

struct stats_case {
    int n;
    double v[8];
    struct summary_options o;
    int64_t count, excluded;
    double mean, std, min, max, negative, zero;
    int bins; /* 0: no histogram */
    double lo, hi;
    int64_t counts[4];
};

static const struct stats_case cases[] = {
    {.n = 4, .v = ROW(1, 2, 3, 4), .o = {.bins = 3}, .count = 4, .mean = 2.5,
     .std = 1.1180339887498949, .min = 1, .max = 4, .bins = 3, .lo = 1, .hi = 4,
     .counts = ROW(1, 1, 2)},
    {.n = 5, .v = ROW(-1, 0, 0, 1, 5), .o = {.bins = 2}, .count = 5, .mean = 1,
     .std = 2.0976176963403033, .min = -1, .max = 5, .negative = 0.2, .zero = 0.4, .bins = 2,
     .lo = -1, .hi = 5, .counts = ROW(4, 1)},
    /* min = max: all in the last bin */
    {.n = 3, .v = ROW(7, 7, 7), .o = {.bins = 4}, .count = 3, .mean = 7, .min = 7, .max = 7,
     .bins = 4, .lo = 7, .hi = 7, .counts = ROW(0, 0, 0, 3)},
    {.n = 4, .v = ROW(NAN, 1, INFINITY, 3), .o = {.bins = 2}, .count = 2, .excluded = 2,
     .mean = 2, .std = 1, .min = 1, .max = 3, .bins = 2, .lo = 1, .hi = 3,
     .counts = ROW(1, 1)},
    /* a range: its edges belong to it, the mean is of all */
    {.n = 5, .v = ROW(0, 1, 2, 3, 4), .o = {.bins = 2, .ranged = true, .lo = 1, .hi = 3},
     .count = 5, .excluded = 2, .mean = 2, .std = 1.4142135623730951, .max = 4, .zero = 0.2,
     .bins = 2, .lo = 1, .hi = 3, .counts = ROW(1, 2)},
    {.n = 1, .v = ROW(5), .o = {.bins = 2, .ranged = true, .lo = 1, .hi = 3}, .count = 1,
     .excluded = 1, .mean = 5, .min = 5, .max = 5, .bins = 2, .lo = 1, .hi = 3},
    {.n = 4, .v = ROW(-1, 0, 1, 100), .o = {.bins = 4, .log = true}, .count = 4,
     .excluded = 2, .mean = 25, .std = 43.30704330706496, .min = -1, .max = 100,
     .negative = 0.25, .zero = 0.25, .bins = 4, .lo = 0, .hi = 2, .counts = ROW(1, 0, 0, 1)},
    {.n = 3, .v = ROW(0.1, 10, 1000),
     .o = {.bins = 2, .log = true, .ranged = true, .lo = 0, .hi = 100}, .count = 3,
     .excluded = 1, .mean = 336.7, .std = 469.04134146149636, .min = 0.1, .max = 1000, .bins = 2,
     .lo = -1, .hi = 2, .counts = ROW(1, 1)},
    {.n = 2, .v = ROW(0, -3), .o = {.log = true}, .count = 2, .excluded = 2, .mean = -1.5,
     .std = 1.5, .min = -3, .max = 0, .negative = 0.5, .zero = 0.5},
    {.n = 0, .mean = NAN, .std = NAN, .min = NAN, .max = NAN, .negative = NAN, .zero = NAN},
};

static void assert_same(double found, double want, const char *what, size_t i)
{
    if (!(isnan(found) && isnan(want)) && !(fabs(found - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("case %zu: %s is %.17g, expected %.17g", i, what, found, want);
}

static void summaries_follow_the_definitions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct stats_case *c = &cases[i];
        struct summary s;
        summary_of(c->v, c->n, &c->o, &s);
        assert_int_equal(s.count, c->count);
        assert_int_equal(s.excluded, c->excluded);
        assert_same(s.mean, c->mean, "mean", i);
        assert_same(s.std, c->std, "std", i);
        assert_same(s.min, c->min, "min", i);
        assert_same(s.max, c->max, "max", i);
        assert_same(s.negative_fraction, c->negative, "negative", i);
        assert_same(s.zero_fraction, c->zero, "zero", i);
        assert_int_equal(s.hist.n, c->bins);
        for (int b = 0; b < c->bins; b++)
            assert_int_equal(s.hist.counts[b], c->counts[b]);
        if (c->bins) {
            assert_same(hist_edge(&s.hist, 0), c->lo, "lo", i);
            assert_same(hist_edge(&s.hist, c->bins), c->hi, "hi", i);
        }
        summary_finish(&s);
        summary_finish(&s);
    }
}

/* Each bin is [edge, next edge) by the very edges that are shown, the last one closed. */
static void bins_agree_with_their_edges(void **state)
{
    (void)state;
    double v[1000];
    uint32_t seed = 1;
    for (int i = 0; i < 1000; i++) {
        seed = seed * 1664525 + 1013904223;
        v[i] = i < 65 ? -0.7 + i * (1.3 / 64) : (seed >> 8) * (1.3 / (1 << 24)) - 0.7;
    }
    struct summary s;
    summary_of(v, 1000, NULL, &s);
    assert_int_equal(s.hist.n, STATS_BINS);
    for (int b = 0; b < STATS_BINS; b++) {
        double lo = hist_edge(&s.hist, b), hi = hist_edge(&s.hist, b + 1);
        int64_t want = 0;
        for (int i = 0; i < 1000; i++)
            want += v[i] >= lo && (v[i] < hi || (b == STATS_BINS - 1 && v[i] <= hi));
        assert_int_equal(s.hist.counts[b], want);
    }
    summary_finish(&s);
}

/* Roots of (p - k/n)^2 = z^2 p (1 - p) / n, which is what the interval is. */
static void wilson_limits_solve_the_score_equation(void **state)
{
    (void)state;
    static const double table[][2] = {{0, 10}, {10, 10}, {1, 10}, {5, 10}, {3, 28672}, {1, 1}};
    const double z = 1.959964;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double k = table[i][0], n = table[i][1], limit[2];
        stats_wilson(k, n, &limit[0], &limit[1]);
        assert_true(limit[0] <= k / n && k / n <= limit[1]);
        for (int e = 0; e < 2; e++) {
            double p = limit[e], off = p - k / n;
            assert_true(fabs(off * off - z * z * p * (1 - p) / n) < 1e-12);
        }
        assert_true(limit[0] < limit[1]);
    }
    double low, high;
    stats_wilson(0, 0, &low, &high);
    assert_true(low == 0 && high == 1);
    stats_wilson(0, 10, &low, &high);
    assert_true(low == 0 && fabs(high - 0.277533) < 1e-6);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Against sorting: few distinct values, many, sorted ones, every length up to 200. */
static void the_median_is_in_the_middle(void **state)
{
    (void)state;
    double v[202], sorted[200];
    uint32_t seed = 7;
    for (int n = 1; n <= 200; n++) {
        for (int kind = 0; kind < 4; kind++) {
            for (int i = 0; i < n; i++) {
                seed = seed * 1664525 + 1013904223;
                double made[] = {seed >> 30, seed >> 8, i, -i};
                v[i] = made[kind];
            }
            memcpy(sorted, v, (size_t)n * sizeof *v);
            qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
            v[n] = NAN;
            v[n + 1] = INFINITY;
            double want = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
            assert_true(stats_median(v, n + 2) == want);
        }
    }
    assert_true(isnan(stats_median(v, 0)));
    assert_true(isnan(stats_median((double[]){NAN}, 1)));
}

/* As many keys are greater as there may be, and no fewer reach it; none is lost. */
static void the_kth_largest_has_k_reach_it(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 16, 17, 18, 40, 401};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int values = 1; values < 500; values *= 7) /* many equal ones, and few */
            for (int k = 1; k <= sizes[s]; k += 1 + k / 3) {
                float keys[401];
                int n = sizes[s], above = 0, reach = 0;
                double before = 0, after = 0;
                for (int i = 0; i < n; i++)
                    before += (double)(keys[i] = (float)(i * 211 % 409 % values));
                float got = stats_kth_largest(keys, n, k);
                for (int i = 0; i < n; i++) {
                    above += keys[i] > got;
                    reach += keys[i] >= got;
                    after += (double)keys[i];
                }
                assert_true(above < k && reach >= k);
                assert_true(before == after);
            }
}

/* Against sorting, as numpy.quantile defines it. */
static void quantiles_are_between_neighbours(void **state)
{
    (void)state;
    for (int n = 0; n < 40; n++) {
        double v[48], sorted[48], got[STATS_QUANTILES];
        for (int i = 0; i < n; i++) {
            v[i] = sorted[i] = (i * 17 + n * 5) % 23 - 11.5;
            for (int k = i; k > 0 && sorted[k - 1] > sorted[k]; k--) {
                double t = sorted[k];
                sorted[k] = sorted[k - 1];
                sorted[k - 1] = t;
            }
        }
        v[n] = NAN;
        v[n + 1] = -INFINITY;
        stats_quantiles(v, n + 2, got);
        for (int q = 0; q < STATS_QUANTILES; q++) {
            double at = stats_quantile_at[q] * (n - 1);
            int k = (int)at;
            if (n == 0) {
                assert_true(isnan(got[q]));
                continue;
            }
            double next = k + 1 < n ? sorted[k + 1] : sorted[k];
            assert_true(fabs(got[q] - (sorted[k] + (at - k) * (next - sorted[k]))) < 1e-12);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summaries_follow_the_definitions),
        cmocka_unit_test(bins_agree_with_their_edges),
        cmocka_unit_test(the_median_is_in_the_middle),
        cmocka_unit_test(wilson_limits_solve_the_score_equation),
        cmocka_unit_test(the_kth_largest_has_k_reach_it),
        cmocka_unit_test(quantiles_are_between_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
