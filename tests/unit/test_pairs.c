/* test_pairs.c - pairs of features: best candidates, cosines, correlations; against loops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../screens/little.h"
#include "model/compare.h"
#include "model/correlate.h"
#include "model/pairs.h"
#include "model/pareto.h"

/* f32 dot products of unit rows of up to 16 elements. */
#define CLOSE 1e-5
/* Values in an index are rounded to 11 bits; a correlation of rounded values is off by about
 * as much. */
#define ROUNDED 1e-3

static bool cancel(void *ctx, const char *what, int64_t done, int64_t of)
{
    int *left = ctx;
    (void)what;
    assert_true(done >= 0 && done <= of);
    return (*left)-- > 0;
}

/* ---- correlation */

static double pearson(const float *x, const float *y, int64_t n)
{
    double mx = 0, my = 0, xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < n; i++)
        mx += (double)x[i] / (double)n, my += (double)y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double a = (double)x[i] - mx, b = (double)y[i] - my;
        xy += a * b, xx += a * a, yy += b * b;
    }
    return xx > 1e-20 && yy > 1e-20 ? xy / sqrt(xx * yy) : NAN;
}

static int64_t hits_of(const float *x, int64_t n, struct hit *out)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0)
            out[k++] = (struct hit){(uint32_t)i, x[i]};
    return k;
}

static void same(double a, double b, double tolerance)
{
    assert_int_equal(isnan(a), isnan(b));
    assert_true(isnan(a) || fabs(a - b) <= tolerance);
}

/* Of all densities, from never to everywhere; signed, constant, equal, opposite. */
static void correlations_are_pearsons_over_all_tokens(void **state)
{
    (void)state;
    enum { N = 200 };
    static float x[N], y[N];
    static struct hit a[N], b[N];
    for (uint64_t seed = 1; seed < 400; seed++) {
        uint64_t s = seed, dense_x = seed % 11, dense_y = seed / 11 % 11;
        for (int i = 0; i < N; i++) {
            x[i] = next_random(&s) % 10 < dense_x ? (float)(next_random(&s) % 64) / 8 - 2 : 0;
            y[i] = next_random(&s) % 10 < dense_y ? x[i] / 2 + (float)(next_random(&s) % 9) : 0;
            if (seed % 13 == 0)
                x[i] = 0.1f; /* everywhere the same */
            if (seed % 17 == 0)
                y[i] = -3 * x[i];
        }
        int64_t n_a = hits_of(x, N, a), n_b = hits_of(y, N, b);
        double c = correlate_hits(a, n_a, b, n_b, N);
        same(c, pearson(x, y, N), 1e-12);
        same(c, correlate_hits(b, n_b, a, n_a, N), 1e-15);
        if (seed % 17 == 0 && !isnan(c))
            assert_true(fabs(c + 1) < 1e-12);
    }
    assert_true(isnan(correlate_hits(NULL, 0, NULL, 0, N)));
}

/* ---- candidates */

static double unit_cosine(const struct match_rows *a, int64_t i, const struct match_rows *b,
                          int64_t j)
{
    double sum = 0;
    for (int64_t k = 0; k < a->cols; k++)
        sum += (double)a->unit[i * a->cols + k] * (double)b->unit[j * b->cols + k];
    return sum;
}

static struct match_rows random_rows(int64_t rows, int64_t cols, uint64_t seed, float **v)
{
    static struct tensor t[16];
    static int turn;
    struct tensor *at = &t[turn++ % 16];
    struct match_rows r;
    *v = calloc((size_t)(rows * cols), sizeof **v);
    fill_random(*v, rows * cols, seed);
    memset(*v + rows / 2 * cols, 0, (size_t)cols * sizeof **v); /* one of zeros */
    *at = (struct tensor){.name = "W_dec", .dtype = DTYPE_F32, .ndim = 2,
                          .shape = {rows, cols}, .data = (const unsigned char *)*v};
    tensor_set_strides(at, false);
    struct mat m = mat_of(at, false);
    assert_true(match_rows_init(&r, &m, NULL));
    return r;
}

/* Each in the list at its place: no one outside is better than the last, none twice. */
static void check_top(const struct match_rows *a, const struct match_rows *b,
                      const struct match_near *top)
{
    for (int64_t i = 0; i < a->rows; i++) {
        const struct match_near *best = top + i * MATCH_TOP;
        bool *in = calloc((size_t)b->rows, sizeof *in);
        int n = b->rows < MATCH_TOP ? (int)b->rows : MATCH_TOP;
        for (int k = 0; k < n; k++) {
            assert_in_range(best[k].id, 0, b->rows - 1);
            assert_false(in[best[k].id]);
            in[best[k].id] = true;
            assert_true(fabs(unit_cosine(a, i, b, best[k].id) - (double)best[k].cosine) < CLOSE);
            if (k > 0)
                assert_true(best[k].cosine < best[k - 1].cosine ||
                            (best[k].cosine == best[k - 1].cosine &&
                             best[k].id > best[k - 1].id));
        }
        for (int k = n; k < MATCH_TOP; k++)
            assert_int_equal(best[k].id, -1);
        for (int64_t j = 0; j < b->rows; j++)
            if (!in[j])
                assert_true(unit_cosine(a, i, b, j) < (double)best[n - 1].cosine + CLOSE);
        free(in);
    }
}

static void candidates_are_the_best_both_ways(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {3, 700}, {2100, 5}, {1100, 1030}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s][0], m = sizes[s][1];
        float *v, *w;
        struct match_rows a = random_rows(n, 6, 60 + s, &v), b = random_rows(m, 6, 70 + s, &w);
        struct match_near *top = malloc((size_t)(n + m) * MATCH_TOP * sizeof *top);
        struct match_near *again = malloc((size_t)(n + m) * MATCH_TOP * sizeof *top);
        struct match_near *best = malloc((size_t)(n + m) * sizeof *best);
        _Atomic int64_t done = 0;
        struct err err = {0};
        int left = 0;
        assert_true(match_top(&a, &b, 1, NULL, top, top + n * MATCH_TOP, &done, NULL));
        assert_int_equal(done, n);
        assert_true(match_top(&a, &b, 3, NULL, again, again + n * MATCH_TOP, NULL, NULL));
        for (int64_t i = 0; i < (n + m) * MATCH_TOP; i++)
            assert_true(top[i].id == again[i].id && top[i].cosine == again[i].cosine);
        check_top(&a, &b, top);
        check_top(&b, &a, top + n * MATCH_TOP);
        assert_true(match_best(&a, &b, 2, NULL, best, best + n, NULL));
        for (int64_t i = 0; i < n + m; i++)
            assert_true(best[i].id == top[i * MATCH_TOP].id &&
                        best[i].cosine == top[i * MATCH_TOP].cosine);
        assert_false(match_top(&a, &b, 1, &(struct progress){cancel, &left}, top,
                               top + n * MATCH_TOP, NULL, &err));
        assert_int_equal(err.code, ERR_CANCELLED);
        match_rows_finish(&a), match_rows_finish(&b);
        free(top), free(again), free(best), free(v), free(w);
    }
}

/* ---- pairs of the little bundle, whose activations are known from its definition */

static float little_activation(int64_t j, int t, float shift)
{
    int a = (int)(j % 16), b = j / 16 == 1 ? (a + 1) % 16 : a;
    float on = little_id(t) == a || little_id(t) == b ? little_strength(t) : 0;
    float z = on + (j < 16 ? -0.5f : j < 32 ? -1 : -10) + shift;
    return z > 0 ? z : 0;
}

static double mat_cosine(const struct mat *a, int64_t i, const struct mat *b, int64_t j)
{
    float x[16], y[16];
    double xy = 0, xx = 0, yy = 0;
    mat_read_rows(a, i, 1, x);
    mat_read_rows(b, j, 1, y);
    for (int k = 0; k < 16; k++)
        xy += (double)(x[k] * y[k]), xx += (double)(x[k] * x[k]), yy += (double)(y[k] * y[k]);
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

static void pairs_are_measured(void **state)
{
    (void)state;
    enum { N = LITTLE_SEQ * LITTLE_LEN };
    struct session *s = little_open(false);
    assert_true(session_need_index(s, 0, NULL, NULL, NULL));
    assert_true(session_need_index(s, 1, NULL, NULL, NULL));
    struct pairs_side a = {s->saes[0].sae, s->saes[0].index};
    struct pairs_side b = {s->saes[1].sae, s->saes[1].index};
    for (int64_t shift = 0; shift < LITTLE_SAE; shift++) {
        int64_t partner[LITTLE_SAE];
        struct pair_figures f[LITTLE_SAE];
        _Atomic int64_t done = 0;
        for (int64_t i = 0; i < LITTLE_SAE; i++)
            partner[i] = i == 5 ? -1 : (i * 7 + shift) % LITTLE_SAE;
        assert_true(pairs_measure(&a, &b, partner, LITTLE_SAE, 2, NULL, f, &done, NULL));
        assert_int_equal(done, LITTLE_SAE);
        assert_true(isnan(f[5].decoder) && isnan(f[5].encoder) && isnan(f[5].correlation));
        for (int64_t i = 0; i < LITTLE_SAE; i++) {
            float x[N], y[N];
            int64_t j = partner[i];
            if (j < 0)
                continue;
            for (int t = 0; t < N; t++) {
                x[t] = little_activation(i, t, 0);
                y[t] = little_activation(j, t, 0.25f);
            }
            same((double)f[i].decoder, mat_cosine(&a.sae->W_dec, i, &b.sae->W_dec, j), CLOSE);
            same((double)f[i].encoder, mat_cosine(&a.sae->W_enc, i, &b.sae->W_enc, j), CLOSE);
            same((double)f[i].correlation, pearson(x, y, N), ROUNDED);
        }
    }
    b.index = NULL; /* without samples: cosines only */
    int64_t partner[] = {0, 1};
    struct pair_figures f[2];
    assert_true(pairs_measure(&a, &b, partner, 2, 1, NULL, f, NULL, NULL));
    assert_true(isnan(f[0].correlation) && fabs((double)f[0].decoder - 1) < CLOSE);
    int left = 0;
    struct err err = {0};
    assert_false(pairs_measure(&a, &b, partner, 2, 1, &(struct progress){cancel, &left}, f,
                               NULL, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    session_close(s);
}

/* ---- points */

static void pairs_of_nearly_equal_L0_are_all_found(void **state)
{
    (void)state;
    const double l0[] = {10, 10.4, NAN, 20, 9.6, 20, 0, 0};
    struct pareto_pair *p;
    int n = pareto_pairs(l0, 8, 0.05, &p);
    static const int want[][2] = {{3, 5}, {6, 7}, {0, 1}, {4, 0}};
    assert_int_equal(n, 4);
    for (int k = 0; k < n; k++) {
        assert_int_equal(p[k].a, want[k][0]);
        assert_int_equal(p[k].b, want[k][1]);
        assert_true(l0[p[k].a] <= l0[p[k].b]);
    }
    assert_true(p[0].gap == 0 && p[1].gap == 0 && fabs(p[2].gap - 0.4 / 10.4) < 1e-12);
    free(p);
    assert_int_equal(pareto_pairs(l0, 2, 0.01, &p), 0);
    assert_null(p);
    assert_int_equal(pareto_pairs(l0, 8, 1, &p), 7 * 6 / 2);
    free(p);
}

static void the_front_is_what_no_other_beats(void **state)
{
    (void)state;
    enum { N = 40 };
    for (uint64_t seed = 1; seed < 60; seed++) {
        double l0[N], good[N];
        bool on[N];
        uint64_t s = seed;
        for (int i = 0; i < N; i++) {
            l0[i] = (double)(next_random(&s) % 12);
            good[i] = (double)(next_random(&s) % 12);
            if (next_random(&s) % 9 == 0)
                good[i] = NAN;
        }
        pareto_front(l0, good, N, on);
        for (int i = 0; i < N; i++) {
            bool beaten = isnan(good[i]);
            for (int j = 0; j < N; j++)
                beaten |= (l0[j] < l0[i] && good[j] >= good[i]) ||
                          (l0[j] <= l0[i] && good[j] > good[i]);
            assert_int_equal(on[i], !beaten);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    little_make();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correlations_are_pearsons_over_all_tokens),
        cmocka_unit_test(candidates_are_the_best_both_ways),
        cmocka_unit_test(pairs_are_measured),
        cmocka_unit_test(pairs_of_nearly_equal_L0_are_all_found),
        cmocka_unit_test(the_front_is_what_no_other_beats),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
