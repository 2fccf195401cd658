/* test_kern.c - every variant gives the bits of the portable definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/kern.h"
#include "model/kern_blas.h"

#define MAX_N 1100
#define RIGHT_K 801

static const int64_t sizes[] = {0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 100, 128,
                                255, 768, 1000, 1057};
#define N_SIZES (sizeof sizes / sizeof *sizes)

/* Values of very different size, so that a different order of additions would show. */
static void fill(float *a, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        float unit = (float)(seed >> 40) / (float)(1 << 24) - 0.5f;
        a[i] = ldexpf(unit, (int)(seed >> 33 & 15) - 8);
    }
}

static const struct kern *portable(void)
{
    const struct kern *const *k = kern_all();
    while (k[1])
        k++;
    return *k;
}

static void dots_have_equal_bits(void **state)
{
    (void)state;
    static float a[4][MAX_N + 1], b[MAX_N + 1];
    for (size_t s = 0; s < N_SIZES; s++) {
        int64_t n = sizes[s];
        for (int i = 0; i < 4; i++)
            fill(a[i] + 1, n, 7 * s + (uint64_t)i); /* + 1: unaligned */
        fill(b, n, 1000 + s);
        for (const struct kern *const *k = kern_all(); *k; k++) {
            const float *x[4] = {a[0] + 1, a[1] + 1, a[2] + 1, a[3] + 1};
            float four[4];
            (*k)->dot4(four, x, b, n);
            for (int i = 0; i < 4; i++) {
                float want = portable()->dot(x[i], b, n);
                float one = (*k)->dot(x[i], b, n), swapped = (*k)->dot(b, x[i], n);
                assert_memory_equal(&one, &want, sizeof want);
                assert_memory_equal(&swapped, &want, sizeof want);
                assert_memory_equal(&four[i], &want, sizeof want);
            }
        }
    }
}

/* Products of any shape, their rows further apart than they are long: the bits of dot, and
 * nothing beside them is touched. */
static void many_dots_have_equal_bits(void **state)
{
    (void)state;
    enum { M = 13, N = 150, LDW = MAX_N + 1, LDX = MAX_N + 3, LDC = N + 2 };
    static float w[M * LDW], x[N * LDX], c[M * LDC];
    static const int64_t shapes[][2] = {{M, N}, {4, 4}, {3, 7}, {8, 1}, {1, 8}, {0, 5}};
    fill(w, M * LDW, 31);
    fill(x, N * LDX, 32);
    for (size_t s = 0; s < N_SIZES; s++) {
        for (const struct kern *const *k = kern_all(); *k; k++) {
            memset(c, 0, sizeof c);
            (*k)->dots(c, LDC, w + 1, LDW, x, LDX, sizes[s]);
            for (int i = 0; i < KERN_DOTS; i++)
                for (int j = 0; j < KERN_DOTS; j++) {
                    float want = portable()->dot(w + 1 + i * LDW, x + j * LDX, sizes[s]);
                    assert_memory_equal(&c[i * LDC + j], &want, sizeof want);
                }
        }
        for (size_t at = 0; at < sizeof shapes / sizeof *shapes; at++) {
            int64_t m = shapes[at][0], n = shapes[at][1];
            for (int i = 0; i < M * LDC; i++)
                c[i] = 0.5f;
            kern_dots(m, n, sizes[s], w, LDW, x, LDX, c, LDC);
            for (int64_t i = 0; i < M; i++)
                for (int64_t j = 0; j < LDC; j++) {
                    float want = 0.5f;
                    if (i < m && j < n)
                        want = kern_best()->dot(w + i * LDW, x + j * LDX, sizes[s]);
                    assert_memory_equal(&c[i * LDC + j], &want, sizeof want);
                }
        }
    }
}

static void dot_is_within_its_bound(void **state)
{
    (void)state;
    static float a[MAX_N], b[MAX_N];
    for (size_t s = 0; s < N_SIZES; s++) {
        int64_t n = sizes[s];
        fill(a, n, 3 * s + 1);
        fill(b, n, 5 * s + 2);
        double exact = kern_dot_double(a, b, n);
        double bound = sqrt(kern_sum_squares(a, n) * kern_sum_squares(b, n)) *
                       (double)kern_dot_error(n);
        assert_true(fabs((double)kern_best()->dot(a, b, n) - exact) <= bound);
    }
}

static void axpy_has_equal_bits(void **state)
{
    (void)state;
    static float x[MAX_N], want[MAX_N], got[MAX_N];
    for (size_t s = 0; s < N_SIZES; s++)
        for (const struct kern *const *k = kern_all(); *k; k++) {
            fill(x, MAX_N, s);
            fill(want, MAX_N, s + 50);
            memcpy(got, want, sizeof got);
            portable()->axpy(want, 0.37f, x, sizes[s]);
            (*k)->axpy(got, 0.37f, x, sizes[s]);
            assert_memory_equal(got, want, sizeof want);
        }
}

static void axpy4_is_four_axpy(void **state)
{
    (void)state;
    static float x[4][MAX_N], want[MAX_N], got[MAX_N];
    static const float a[4] = {0.37f, -1.5f, 1e-3f, 12};
    for (int i = 0; i < 4; i++)
        fill(x[i], MAX_N, 80 + (uint64_t)i);
    for (size_t s = 0; s < N_SIZES; s++)
        for (const struct kern *const *k = kern_all(); *k; k++) {
            const float *rows[4] = {x[0] + 1, x[1], x[2], x[3]};
            fill(want, MAX_N, s + 90);
            memcpy(got, want, sizeof got);
            for (int i = 0; i < 4; i++)
                portable()->axpy(want, a[i], rows[i], sizes[s]);
            (*k)->axpy4(got, a, rows, sizes[s]);
            assert_memory_equal(got, want, sizeof want);
        }
}

static void above_finds_the_same(void **state)
{
    (void)state;
    static float c[MAX_N], floors[MAX_N], norm[MAX_N];
    static uint32_t want[MAX_N], got[MAX_N];
    for (size_t s = 0; s < N_SIZES; s++)
        for (const struct kern *const *k = kern_all(); *k; k++) {
            fill(c, MAX_N, s);
            fill(floors, MAX_N, s + 60);
            fill(norm, MAX_N, s + 70);
            if (sizes[s] > 20)
                c[3] = NAN, c[19] = INFINITY;
            int64_t n = portable()->above(c, floors, norm, 0.1f, 0.02f, sizes[s], want);
            assert_int_equal((*k)->above(c, floors, norm, 0.1f, 0.02f, sizes[s], got), n);
            assert_memory_equal(got, want, (size_t)n * sizeof *want);
            for (int64_t i = 0; i < n; i++)
                assert_int_not_equal(want[i], sizes[s] > 20 ? 3 : -1);
        }
}

static void best_keeps_the_first_of_the_greatest(void **state)
{
    (void)state;
    static float c[MAX_N], want[MAX_N + 1], got[MAX_N + 1];
    static uint32_t want_who[MAX_N + 1], who[MAX_N + 1];
    for (size_t s = 0; s < N_SIZES; s++)
        for (const struct kern *const *k = kern_all(); *k; k++) {
            int64_t n = sizes[s];
            for (int64_t j = 0; j <= n; j++) {
                want[j] = got[j] = -INFINITY;
                want_who[j] = who[j] = 99;
            }
            for (uint32_t id = 0; id < 9; id++) {
                float most = -INFINITY;
                fill(c, n, 10 * s + id / 2); /* pairs of rows are equal */
                for (int64_t j = 0; j < n; j++) {
                    most = c[j] > most ? c[j] : most;
                    want_who[j] = c[j] > want[j] ? id : want_who[j];
                    want[j] = c[j] > want[j] ? c[j] : want[j];
                }
                assert_true((*k)->best(c, n, id, got, who) == most);
            }
            assert_memory_equal(got, want, (size_t)(n + 1) * sizeof *got);
            assert_memory_equal(who, want_who, (size_t)(n + 1) * sizeof *who);
        }
}

static void columns4_is_loops(void **state)
{
    (void)state;
    static float c[4][MAX_N + 1], want[2][MAX_N], got[2][MAX_N];
    static const float w[4] = {0.37f, -1.5f, 1e-3f, 12};
    for (int l = 0; l < 4; l++)
        fill(c[l], MAX_N + 1, 180 + (uint64_t)l);
    for (size_t s = 0; s < N_SIZES; s++)
        for (const struct kern *const *k = kern_all(); *k; k++) {
            const float *columns[4] = {c[0] + 1, c[1], c[2], c[3]};
            fill(want[0], MAX_N, s + 190);
            fill(want[1], MAX_N, s + 200);
            memcpy(got, want, sizeof got);
            for (int l = 0; l < 4; l++)
                for (int64_t i = 0; i < sizes[s]; i++) {
                    want[0][i] += w[l] * columns[l][i];
                    want[1][i] += columns[l][i] * columns[l][i];
                }
            (*k)->columns4(got[0], got[1], w, columns, sizes[s]);
            assert_memory_equal(got, want, sizeof want);
        }
}

static void gemm_agrees_with_dots(void **state)
{
    (void)state;
    enum { M = 37, N = 29, K = 131 };
    static float A[M * K], B[N * K], C[M * N];
    fill(A, M * K, 1);
    fill(B, N * K, 2);
    kern_gemm_nt(M, N, K, A, K, B, K, C, N);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double bound = 2 * (double)kern_dot_error(K) *
                           sqrt(kern_sum_squares(A + i * K, K) *
                                kern_sum_squares(B + j * K, K));
            double want = (double)kern_best()->dot(A + i * K, B + j * K, K);
            assert_true(fabs((double)C[i * N + j] - want) <= bound);
        }
}

/* Against loops in double; rows lie further apart than they are long. */
static void products_are_products(void **state)
{
    (void)state;
    enum { M = 5, N = 9, K = 33, LD = 40 };
    static float a[M * LD], b[LD * LD], c[M * LD];
    fill(a, M * LD, 1);
    fill(b, LD * LD, 2);
    for (int turned = 0; turned < 2; turned++)
        for (int add = 0; add <= turned; add++) {
            for (int i = 0; i < M * LD; i++)
                c[i] = 0.5f;
            if (turned)
                kern_gemm_nn(M, N, K, a, LD, b, LD, c, LD, add);
            else
                kern_gemm_nt(M, N, K, a, LD, b, LD, c, LD);
            for (int i = 0; i < M; i++)
                for (int j = 0; j < N; j++) {
                    double want = add ? 0.5 : 0, size = 1;
                    for (int k = 0; k < K; k++) {
                        double term = (double)a[i * LD + k] *
                                      (double)(turned ? b[k * LD + j] : b[j * LD + k]);
                        want += term;
                        size += fabs(term);
                    }
                    assert_true(fabs((double)c[i * LD + j] - want) <=
                                (double)kern_dot_error(K) * size);
                }
            assert_true(c[N] == 0.5f);
        }
}

/* Which way round a side lies changes no bit. */
static void turned_products_are_products(void **state)
{
    (void)state;
    enum { M = 131, N = 70, K = 801, LD = 140 };
    static float a[M * K], turned[K * LD], b[K * LD], want[M * LD], got[M * LD];
    static const int shapes[][3] = {{1, 1, 1}, {M, N, K}, {128, 64, 128}, {7, 5, 0}};
    fill(a, M * K, 3);
    fill(b, K * LD, 4);
    for (int i = 0; i < M; i++)
        for (int k = 0; k < K; k++)
            turned[k * LD + i] = a[i * K + k];
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        fill(want, M * LD, 5);
        memcpy(got, want, sizeof got);
        kern_gemm_nn(shapes[s][0], shapes[s][1], shapes[s][2], a, K, b, LD, want, LD, true);
        kern_gemm_tn(shapes[s][0], shapes[s][1], shapes[s][2], turned, LD, b, LD, got, LD);
        assert_memory_equal(got, want, sizeof got);
    }
}

/* OpenBLAS in all four ways to lie, stored and added, against our own. */
static void openblas_gives_the_same_products(void **state)
{
    (void)state;
    enum { M = 37, N = 29, K = 131, LD = 140 };
    static float a[K * LD], b[K * LD], want[M * LD], got[M * LD];
    static float a_turned[K * LD], b_turned[K * LD];
    fill(a, M * LD, 1);
    fill(b, N * LD, 2);
    for (int k = 0; k < K; k++) {
        for (int i = 0; i < M; i++)
            a_turned[k * LD + i] = a[i * LD + k];
        for (int j = 0; j < N; j++)
            b_turned[k * LD + j] = b[j * LD + k];
    }
    for (int way = 0; way < 8; way++) {
        bool ta = way & 1, tb = way & 2, add = way & 4;
        fill(want, M * LD, 3);
        memcpy(got, want, sizeof got);
        if (!kern_blas_gemm(M, N, K, ta ? a_turned : a, LD, ta, tb ? b_turned : b, LD, tb, got,
                            LD, add))
            skip();
        kern_gemm_nn(M, N, K, a, LD, b_turned, LD, want, LD, add);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < LD; j++) {
                double bound = j >= N ? 0
                                      : 4 * (double)kern_dot_error(K) *
                                            sqrt(kern_sum_squares(a + i * LD, K) *
                                                 kern_sum_squares(b + j * LD, K));
                assert_true(fabs((double)got[i * LD + j] - (double)want[i * LD + j]) <= bound);
            }
    }
    assert_false(kern_blas_gemm(1, 1, (int64_t)1 << 31, a, 1, false, b, 1, false, got, 1, false));
}

/* Sides packed as kern_gemm.c packs them. */
static void tiles_have_equal_bits(void **state)
{
    (void)state;
    enum { M = KERN_TILE_ROWS, N = KERN_TILE_COLS, K = 300, LD = N + 5 };
    static float a[M * K], b[N * K], before[M * LD], got[M * LD];
    fill(a, M * K, 11);
    fill(b, N * K, 12);
    fill(before, M * LD, 13);
    for (int64_t k = 0; k <= K; k = 3 * k + 1)
        for (int add = 0; add < 2; add++)
            for (const struct kern *const *kern = kern_all(); *kern; kern++) {
                memcpy(got, before, sizeof got);
                (*kern)->tile(got, LD, a, b, k, add);
                for (int i = 0; i < M * LD; i++) {
                    float want = add || i % LD >= N ? before[i] : 0, size = fabsf(want);
                    for (int64_t p = 0; p < k && i % LD < N; p++) {
                        float x = a[p * M + i / LD], y = b[p * N + i % LD];
                        want = fmaf(x, y, want);
                        size += fabsf(x * y);
                    }
                    if (*kern == portable()) /* two roundings a term in place of one */
                        assert_true(fabsf(got[i] - want) <=
                                    (float)(2 * k) * 5.97e-8f * size);
                    else
                        assert_memory_equal(&got[i], &want, sizeof want);
                }
            }
}

/* B [n, k] of rows RIGHT_K long, until the next call. */
static const struct kern_right *packed_right(int64_t n, int64_t k, const float *B)
{
    static struct kern_right right;
    static float *packed;
    free(packed);
    packed = malloc((size_t)kern_right_floats(n, k) * sizeof *packed + 1);
    kern_right_init(&right, n, k, B, RIGHT_K, packed);
    return &right;
}

/* C, of any shape, is [rows of A] x [rows of B] cut out of the whole product: the same
 * bits, and nothing beside it is touched. */
static void gemm_elements_do_not_depend_on_the_shape(void **state)
{
    (void)state;
    enum { M = 187, N = 1061, K = RIGHT_K, LD = N + 3 };
    static const int64_t ms[] = {0, 1, 11, 12, 13, 168, 169, M};
    static const int64_t ns[] = {0, 1, 31, 32, 33, 70, 1024, 1025, N};
    static const int64_t ks[] = {0, 1, 15, 16, 17, 100, 768, 769, K};
    float *A = malloc(M * K * sizeof *A), *B = malloc(N * K * sizeof *B);
    float *T = malloc(N * K * sizeof *T); /* B' */
    float *whole = malloc(M * LD * sizeof *whole), *C = malloc(M * LD * sizeof *C);
    float *beside = malloc(M * LD * sizeof *beside); /* what C held */
    fill(A, M * K, 21);
    fill(B, N * K, 22);
    fill(beside, M * LD, 23);
    for (int64_t j = 0; j < N; j++)
        for (int64_t p = 0; p < K; p++)
            T[p * N + j] = B[j * K + p];
    for (size_t s = 0; s < sizeof ks / sizeof *ks; s++) {
        int64_t k = ks[s];
        kern_gemm_nt(M, N, k, A, K, B, K, whole, LD);
        for (int64_t i = 0; i < M; i += 31)
            for (int64_t j = 0; j < N; j += 17) {
                double bound = (double)kern_dot_error(k) *
                               sqrt(kern_sum_squares(A + i * K, k) *
                                    kern_sum_squares(B + j * K, k));
                double want = kern_dot_double(A + i * K, B + j * K, k);
                assert_true(fabs((double)whole[i * LD + j] - want) <= bound);
            }
        for (size_t n_m = 0; n_m < sizeof ms / sizeof *ms; n_m++)
            for (size_t n_n = 0; n_n < sizeof ns / sizeof *ns; n_n++)
                for (int turned = 0; turned < 3; turned++) {
                    int64_t m = ms[n_m], n = ns[n_n], i0 = M - m, j0 = N - n;
                    memcpy(C, beside, M * LD * sizeof *C);
                    if (turned == 2)
                        kern_gemm_right(m, A + i0 * K, K, packed_right(n, k, B + j0 * K), C,
                                        LD);
                    else if (turned)
                        kern_gemm_nn(m, n, k, A + i0 * K, K, T + j0, N, C, LD, false);
                    else
                        kern_gemm_nt(m, n, k, A + i0 * K, K, B + j0 * K, K, C, LD);
                    for (int64_t i = 0; i < m; i++)
                        assert_memory_equal(C + i * LD, whole + (i0 + i) * LD + j0,
                                            (size_t)n * sizeof *C);
                    for (int64_t i = 0; i < M; i++) {
                        int64_t first = i < m ? n : 0;
                        assert_memory_equal(C + i * LD + first, beside + i * LD + first,
                                            (size_t)(LD - first) * sizeof *C);
                    }
                }
    }
    free(A);
    free(B);
    free(T);
    free(whole);
    free(beside);
    free(C);
}

static void exp_has_equal_bits_and_is_exp(void **state)
{
    (void)state;
    enum { N = 1003 };
    static float x[N], want[N], got[N];
    for (int i = 0; i < N; i++)
        want[i] = x[i] = -104.5f + 0.194f * (float)i; /* to 89.9 */
    x[500] = want[500] = 0, x[501] = want[501] = -INFINITY, x[502] = want[502] = NAN;
    portable()->exp(want, N);
    for (const struct kern *const *k = kern_all(); *k; k++) {
        memcpy(got, x, sizeof x);
        (*k)->exp(got, N);
        assert_memory_equal(got, want, 502 * sizeof *got);
        assert_memory_equal(got + 503, want + 503, (N - 503) * sizeof *got);
        assert_true(isnan(got[502]));
        for (int n = 0; n < 40; n++) { /* what comes before and behind stays */
            memcpy(got, x, sizeof x);
            (*k)->exp(got + 1, n);
            assert_memory_equal(got + 1, want + 1, (size_t)n * sizeof *got);
            assert_true(got[0] == x[0] && got[n + 1] == x[n + 1]);
        }
    }
    assert_true(want[500] == 1 && want[501] < 1e-45f);
    for (int i = 0; i < N; i++) {
        double right = exp((double)x[i]);
        if (i != 502 && right > 1.2e-38 && right < 3.4e38)
            assert_true(fabs((double)want[i] - right) < 2e-7 * right);
        else if (i != 502) /* subnormal, 0 or beyond the range */
            assert_true(right > 1 ? want[i] > 3.3e38f
                                  : fabs((double)want[i] - right) < 3e-45);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dots_have_equal_bits),
        cmocka_unit_test(many_dots_have_equal_bits),
        cmocka_unit_test(dot_is_within_its_bound),
        cmocka_unit_test(axpy_has_equal_bits),
        cmocka_unit_test(axpy4_is_four_axpy),
        cmocka_unit_test(above_finds_the_same),
        cmocka_unit_test(best_keeps_the_first_of_the_greatest),
        cmocka_unit_test(columns4_is_loops),
        cmocka_unit_test(gemm_agrees_with_dots),
        cmocka_unit_test(products_are_products),
        cmocka_unit_test(turned_products_are_products),
        cmocka_unit_test(tiles_have_equal_bits),
        cmocka_unit_test(openblas_gives_the_same_products),
        cmocka_unit_test(gemm_elements_do_not_depend_on_the_shape),
        cmocka_unit_test(exp_has_equal_bits_and_is_exp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
