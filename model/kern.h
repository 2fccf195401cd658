/*
 * kern.h - kernels over raw pointers, sizes and strides: no allocation, no errors.
 *
 * kern_ref.c defines them by obvious loops; kern_x86.c has AVX2 and AVX-512 twins, chosen
 * once by what the processor can do. All variants of a kernel give the same bits: the
 * order of additions is part of its definition, so that an activation does not depend on
 * the machine, on the block that it was computed in, or on the number of threads.
 *
 * The dot product. Lane l (0 <= l < 32) sums a[k] b[k] for k = l, l + 32, l + 64, ... by
 * fused multiply-add, in that order; the lanes are then added pairwise: l and l + 16,
 * l and l + 8, + 4, + 2, + 1. Everything f32.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KERN_LANES 32

/* Rows and columns of a tile: as many sums as AVX-512 has registers for. */
#define KERN_TILE_ROWS 12
#define KERN_TILE_COLS 32

/* Dot products at once, of so many rows by so many. */
#define KERN_DOTS 4

struct kern {
    const char *name; /* "avx512", "avx2", "portable" */

    /* a . b, n elements. */
    float (*dot)(const float *a, const float *b, int64_t n);

    /* out[i] = x[i] . w for four vectors at once: w is loaded once. */
    void (*dot4)(float out[4], const float *const x[4], const float *w, int64_t n);

    /* c[i ldc + j] = (w + i ldw) . (x + j ldx) for i, j < KERN_DOTS: the bits of dot. */
    void (*dots)(float *c, int64_t ldc, const float *w, int64_t ldw, const float *x,
                 int64_t ldx, int64_t n);

    /* y += a x, n elements, fused. */
    void (*axpy)(float *y, float a, const float *x, int64_t n);

    /* y += a[0] x[0], then a[1] x[1], a[2] x[2], a[3] x[3]: the bits of four axpy. */
    void (*axpy4)(float *y, const float a[4], const float *const x[4], int64_t n);

    /* x[i] = exp(x[i]), n elements, within 2e-7 relative; 0 below -104, NaN stays. No
     * fused operations: kern_impl.h has the polynomial. */
    void (*exp)(float *x, int64_t n);

    /* The indices t < n where c[t] > floor[t] + level - slack norm[t], ascending, into
     * out [n]; returns how many. NaN compares false. */
    int64_t (*above)(const float *c, const float *floor, const float *norm, float level,
                     float slack, int64_t n, uint32_t *out);

    /* Maxima as rows go by: where c[j] > best[j], best[j] = c[j] and who[j] = id. Returns
     * the greatest of c, -INFINITY for n = 0. No NaN. */
    float (*best)(const float *c, int64_t n, uint32_t id, float *best, uint32_t *who);

    /* dot[i] += w[l] c[l][i], squares[i] += c[l][i]^2 for l = 0, 1, 2, 3 in turn, none of it
     * fused, i < n: rows that lie along memory by columns. */
    void (*columns4)(float *dot, float *squares, const float w[4], const float *const c[4],
                     int64_t n);

    /* A tile of a product: c[i ldc + j] = sum over p < k of a[p ROWS + i] b[p COLS + j], in
     * order of p; add: that is added to what is in c, term by term. Fused but in the
     * portable variant, which may thus differ by a rounding a term. */
    void (*tile)(float *c, int64_t ldc, const float *a, const float *b, int64_t k,
                 bool add);
};

/* The fastest variant of this processor. */
const struct kern *kern_best(void);

/* All variants that this processor can run, for tests; NULL-terminated. The last is the
 * portable one. */
const struct kern *const *kern_all(void);

/* Greatest possible |dot - exact| / (|a| |b|), and so half the greatest difference of two
 * dot products of n elements summed in any two orders. Higham, Accuracy and Stability of
 * Numerical Algorithms, 3.1: gamma_n. */
static inline float kern_dot_error(int64_t n)
{
    return (float)(n + 8) * 5.97e-8f;
}

/* Is none of n values NaN or infinite? */
bool kern_all_finite(const float *a, int64_t n);

/* Sums in double, for statistics. */
double kern_sum_squares(const float *a, int64_t n);
double kern_dot_double(const float *a, const float *b, int64_t n);

/* C [m, n] (ldc) = W [m, k] (ldw) . X [n, k]' (ldx), every element with the bits of dot:
 * nearly as fast as kern_gemm_nt unless k is short. */
void kern_dots(int64_t m, int64_t n, int64_t k, const float *W, int64_t ldw, const float *X,
               int64_t ldx, float *C, int64_t ldc);

/* Is a product's element the sum of its terms in order, by fused multiply-add, so that it
 * has the bits of axpy after axpy? With AVX2 or AVX-512. */
bool kern_gemm_is_axpy(void);

/* What a thread that has made a product keeps to work in, until it ends. */
#define KERN_GEMM_BYTES ((size_t)4 << 20)

/*
 * C [m, n] (row stride ldc) = A [m, k] (lda) . B [n, k]' (ldb), on the calling
 * thread. With AVX2 or AVX-512 an element is the sum of its k terms in order: it depends on
 * its row and column alone, not on the shape that they are part of. Elsewhere OpenBLAS
 * makes the product (kern_blas.h), in an order of its own.
 */
void kern_gemm_nt(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                  const float *B, int64_t ldb, float *C, int64_t ldc);

/* A right side B [n, k] (ldb) of many products, packed once into `packed`, room for
 * kern_right_floats(n, k). Both are borrowed. */
struct kern_right {
    int64_t n, k, ldb;
    const float *B;
    float *packed;
};
int64_t kern_right_floats(int64_t n, int64_t k);
void kern_right_init(struct kern_right *r, int64_t n, int64_t k, const float *B,
                     int64_t ldb, float *packed);

/* kern_gemm_nt with it: the same bits. */
void kern_gemm_right(int64_t m, const float *A, int64_t lda, const struct kern_right *r,
                     float *C, int64_t ldc);

/* C [m, n] (ldc) = A [m, k] (lda) . B [k, n] (ldb); add: += instead. Likewise. */
void kern_gemm_nn(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                  const float *B, int64_t ldb, float *C, int64_t ldc, bool add);

/* C [m, n] (ldc) += A [k, m]' (lda) . B [k, n] (ldb). Likewise. */
void kern_gemm_tn(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                  const float *B, int64_t ldb, float *C, int64_t ldc);
