/* kern_x86.c - the kernels in AVX2 + FMA and in AVX-512; same bits as kern_ref.c. */
#if defined(__x86_64__)

#include "model/kern_impl.h"

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512vl,avx2,fma")))

/* So that an array of sums becomes registers, whatever the compiler is asked to optimise. */
#define UNROLL _Pragma("GCC unroll 16")

/* Lanes 0..7 of a, 8..15 of b, as in kern.h: + 8, + 4, + 2, + 1. */
AVX2 static inline float reduce16(__m256 a, __m256 b)
{
    __m256 s = _mm256_add_ps(a, b);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* The last n % 32 elements of both, padded by zeros: + 0 leaves a lane as it is. */
static inline int64_t tail(const float *a, const float *b, int64_t n, float ta[KERN_LANES],
                           float tb[KERN_LANES])
{
    int64_t rest = n % KERN_LANES;
    memset(ta, 0, KERN_LANES * sizeof *ta);
    memset(tb, 0, KERN_LANES * sizeof *tb);
    memcpy(ta, a + (n - rest), (size_t)rest * sizeof *ta);
    memcpy(tb, b + (n - rest), (size_t)rest * sizeof *tb);
    return rest;
}

AVX2 static inline void step_avx2(__m256 acc[4], const float *a, const float *b)
{
    for (int i = 0; i < 4; i++)
        acc[i] = _mm256_fmadd_ps(_mm256_loadu_ps(a + 8 * i), _mm256_loadu_ps(b + 8 * i),
                                 acc[i]);
}

AVX2 static float dot_avx2(const float *a, const float *b, int64_t n)
{
    __m256 acc[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    for (int64_t k = 0; k + KERN_LANES <= n; k += KERN_LANES)
        step_avx2(acc, a + k, b + k);
    if (n % KERN_LANES) {
        float ta[KERN_LANES], tb[KERN_LANES];
        tail(a, b, n, ta, tb);
        step_avx2(acc, ta, tb);
    }
    return reduce16(_mm256_add_ps(acc[0], acc[2]), _mm256_add_ps(acc[1], acc[3]));
}

AVX2 static void dot4_avx2(float out[4], const float *const x[4], const float *w, int64_t n)
{
    for (int i = 0; i < 4; i++)
        out[i] = dot_avx2(x[i], w, n);
}

/* Sums of lanes 8 part .. 8 part + 7 of four products, into sum[part]. */
AVX2 static inline void lanes_avx2(float sum[][KERN_DOTS][8], int part, const float *w,
                                   const float *x, int64_t ldx, int64_t n)
{
    __m256 acc[KERN_DOTS];
    int64_t k = 8 * part;
    UNROLL for (int j = 0; j < KERN_DOTS; j++)
        acc[j] = _mm256_setzero_ps();
    for (; k + 8 <= n; k += KERN_LANES) {
        __m256 a = _mm256_loadu_ps(w + k);
        UNROLL for (int j = 0; j < KERN_DOTS; j++)
            acc[j] = _mm256_fmadd_ps(a, _mm256_loadu_ps(x + j * ldx + k), acc[j]);
    }
    if (k < n) {
        static const int ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
        __m256i mask = _mm256_loadu_si256((const __m256i *)(ones + 8 - (n - k)));
        __m256 a = _mm256_maskload_ps(w + k, mask);
        UNROLL for (int j = 0; j < KERN_DOTS; j++)
            acc[j] = _mm256_fmadd_ps(a, _mm256_maskload_ps(x + j * ldx + k, mask), acc[j]);
    }
    UNROLL for (int j = 0; j < KERN_DOTS; j++)
        _mm256_storeu_ps(sum[part][j], acc[j]);
}

AVX2 static void dots_avx2(float *c, int64_t ldc, const float *w, int64_t ldw,
                           const float *x, int64_t ldx, int64_t n)
{
    float sum[4][KERN_DOTS][8];
    for (int i = 0; i < KERN_DOTS; i++) {
        for (int part = 0; part < 4; part++)
            lanes_avx2(sum, part, w + i * ldw, x, ldx, n);
        for (int j = 0; j < KERN_DOTS; j++) {
            __m256 low = _mm256_add_ps(_mm256_loadu_ps(sum[0][j]), _mm256_loadu_ps(sum[2][j]));
            __m256 high = _mm256_add_ps(_mm256_loadu_ps(sum[1][j]), _mm256_loadu_ps(sum[3][j]));
            c[i * ldc + j] = reduce16(low, high);
        }
    }
}

AVX2 static void axpy_avx2(float *y, float a, const float *x, int64_t n)
{
    __m256 va = _mm256_set1_ps(a);
    int64_t k = 0;
    for (; k + 8 <= n; k += 8)
        _mm256_storeu_ps(y + k, _mm256_fmadd_ps(va, _mm256_loadu_ps(x + k),
                                                _mm256_loadu_ps(y + k)));
    for (; k < n; k++)
        y[k] = __builtin_fmaf(a, x[k], y[k]);
}

AVX2 static void axpy4_avx2(float *y, const float a[4], const float *const x[4],
                            int64_t n)
{
    __m256 va[4];
    int64_t k = 0;
    UNROLL for (int i = 0; i < 4; i++)
        va[i] = _mm256_set1_ps(a[i]);
    for (; k + 8 <= n; k += 8) {
        __m256 sum = _mm256_loadu_ps(y + k);
        UNROLL for (int i = 0; i < 4; i++)
            sum = _mm256_fmadd_ps(va[i], _mm256_loadu_ps(x[i] + k), sum);
        _mm256_storeu_ps(y + k, sum);
    }
    for (; k < n; k++)
        for (int i = 0; i < 4; i++)
            y[k] = __builtin_fmaf(a[i], x[i][k], y[k]);
}

AVX2 static int64_t above_avx2(const float *c, const float *floor, const float *norm,
                               float level, float slack, int64_t n, uint32_t *out)
{
    __m256 vo = _mm256_set1_ps(level), vs = _mm256_set1_ps(slack);
    int64_t found = 0, j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 limit = _mm256_fnmadd_ps(vs, _mm256_loadu_ps(norm + j),
                                        _mm256_add_ps(_mm256_loadu_ps(floor + j), vo));
        int mask = _mm256_movemask_ps(
            _mm256_cmp_ps(_mm256_loadu_ps(c + j), limit, _CMP_GT_OQ));
        for (; mask; mask &= mask - 1)
            out[found++] = (uint32_t)(j + __builtin_ctz((unsigned)mask));
    }
    for (; j < n; j++)
        if (c[j] > __builtin_fmaf(-slack, norm[j], floor[j] + level))
            out[found++] = (uint32_t)j;
    return found;
}

AVX2 static void exp_avx2(float *x, int64_t n)
{
    kern_exp_all(x, n);
}

/* Sixteen registers hold 6 x 16 sums, what is multiplied, and little else. */
#define PART_ROWS 6
#define PART_COLS 2 /* vectors */

AVX2 static void part_avx2(float *c, int64_t ldc, const float *a, const float *b, int64_t k,
                           bool add)
{
    __m256 sum[PART_ROWS][PART_COLS];
    UNROLL for (int i = 0; i < PART_ROWS; i++)
        UNROLL for (int v = 0; v < PART_COLS; v++)
            sum[i][v] = add ? _mm256_loadu_ps(c + i * ldc + 8 * v) : _mm256_setzero_ps();
    for (int64_t p = 0; p < k; p++, a += KERN_TILE_ROWS, b += KERN_TILE_COLS) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
        UNROLL for (int i = 0; i < PART_ROWS; i++) {
            __m256 x = _mm256_set1_ps(a[i]);
            sum[i][0] = _mm256_fmadd_ps(x, b0, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(x, b1, sum[i][1]);
        }
    }
    UNROLL for (int i = 0; i < PART_ROWS; i++)
        UNROLL for (int v = 0; v < PART_COLS; v++)
            _mm256_storeu_ps(c + i * ldc + 8 * v, sum[i][v]);
}

AVX2 static void tile_avx2(float *c, int64_t ldc, const float *a, const float *b, int64_t k,
                           bool add)
{
    for (int j = 0; j < KERN_TILE_COLS; j += 8 * PART_COLS)
        for (int i = 0; i < KERN_TILE_ROWS; i += PART_ROWS)
            part_avx2(c + i * ldc + j, ldc, a + i, b + j, k, add);
}

AVX2 static float best_avx2(const float *c, int64_t n, uint32_t id, float *most,
                            uint32_t *who)
{
    return kern_best_all(c, n, id, most, who);
}

AVX2 static void columns4_avx2(float *dots, float *squares, const float w[4],
                               const float *const c[4], int64_t n)
{
    kern_columns4_all(dots, squares, w, c, n);
}

const struct kern kern_avx2 = {.name = "avx2",
                               .dot = dot_avx2,
                               .dot4 = dot4_avx2,
                               .dots = dots_avx2,
                               .axpy = axpy_avx2,
                               .axpy4 = axpy4_avx2,
                               .exp = exp_avx2,
                               .above = above_avx2,
                               .best = best_avx2,
                               .columns4 = columns4_avx2,
                               .tile = tile_avx2};

/* Lanes 0..15 of a, 16..31 of b. */
AVX512 static inline float reduce32(__m512 a, __m512 b)
{
    __m512 s = _mm512_add_ps(a, b);
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(s), 1));
    return reduce16(_mm512_castps512_ps256(s), high);
}

AVX512 static float dot_avx512(const float *a, const float *b, int64_t n)
{
    __m512 s0 = _mm512_setzero_ps(), s1 = _mm512_setzero_ps();
    int64_t k = 0;
    for (; k + KERN_LANES <= n; k += KERN_LANES) {
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + k), _mm512_loadu_ps(b + k), s0);
        s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + k + 16), _mm512_loadu_ps(b + k + 16), s1);
    }
    if (k < n) {
        float ta[KERN_LANES], tb[KERN_LANES];
        tail(a, b, n, ta, tb);
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(ta), _mm512_loadu_ps(tb), s0);
        s1 = _mm512_fmadd_ps(_mm512_loadu_ps(ta + 16), _mm512_loadu_ps(tb + 16), s1);
    }
    return reduce32(s0, s1);
}

AVX512 static void dot4_avx512(float out[4], const float *const x[4], const float *w,
                               int64_t n)
{
    __m512 s[4][2];
    for (int i = 0; i < 4; i++)
        s[i][0] = s[i][1] = _mm512_setzero_ps();
    int64_t k = 0;
    for (; k + KERN_LANES <= n; k += KERN_LANES) {
        __m512 w0 = _mm512_loadu_ps(w + k), w1 = _mm512_loadu_ps(w + k + 16);
        for (int i = 0; i < 4; i++) {
            s[i][0] = _mm512_fmadd_ps(_mm512_loadu_ps(x[i] + k), w0, s[i][0]);
            s[i][1] = _mm512_fmadd_ps(_mm512_loadu_ps(x[i] + k + 16), w1, s[i][1]);
        }
    }
    for (int i = 0; i < 4; i++) {
        if (k < n) {
            float tx[KERN_LANES], tw[KERN_LANES];
            tail(x[i], w, n, tx, tw);
            s[i][0] = _mm512_fmadd_ps(_mm512_loadu_ps(tx), _mm512_loadu_ps(tw), s[i][0]);
            s[i][1] = _mm512_fmadd_ps(_mm512_loadu_ps(tx + 16), _mm512_loadu_ps(tw + 16),
                                      s[i][1]);
        }
        out[i] = reduce32(s[i][0], s[i][1]);
    }
}

/* acc[4 j + i]: sixteen lanes of (w + i ldw) . (x + j ldx); those from k on, of every 32. */
AVX512 static inline void lanes_avx512(__m512 acc[16], const float *w, int64_t ldw,
                                       const float *x, int64_t ldx, int64_t k, int64_t n)
{
    UNROLL for (int l = 0; l < 16; l++)
        acc[l] = _mm512_setzero_ps();
    for (; k + 16 <= n; k += KERN_LANES) {
        __m512 a[KERN_DOTS];
        UNROLL for (int i = 0; i < KERN_DOTS; i++)
            a[i] = _mm512_loadu_ps(w + i * ldw + k);
        UNROLL for (int j = 0; j < KERN_DOTS; j++) {
            __m512 b = _mm512_loadu_ps(x + j * ldx + k);
            UNROLL for (int i = 0; i < KERN_DOTS; i++)
                acc[4 * j + i] = _mm512_fmadd_ps(a[i], b, acc[4 * j + i]);
        }
    }
    if (k < n) {
        __mmask16 mask = (__mmask16)((1u << (n - k)) - 1);
        UNROLL for (int l = 0; l < 16; l++)
            acc[l] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, w + l % 4 * ldw + k),
                                     _mm512_maskz_loadu_ps(mask, x + l / 4 * ldx + k),
                                     acc[l]);
    }
}

/* Halves, and so on, as in kern.h, of two vectors at a time: lane l and what lies half its
 * group above it, of `a` and of `b` side by side. */
AVX512 static inline __m512 fold8(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

AVX512 static inline __m512 fold4(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

AVX512 static inline __m512 fold2(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}

AVX512 static inline __m512 fold1(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

AVX512 static void dots_avx512(float *c, int64_t ldc, const float *w, int64_t ldw,
                               const float *x, int64_t ldx, int64_t n)
{
    __m512 low[16], high[16], row[KERN_DOTS];
    lanes_avx512(low, w, ldw, x, ldx, 0, n);
    lanes_avx512(high, w, ldw, x, ldx, 16, n);
    UNROLL for (int l = 0; l < 16; l++)
        low[l] = _mm512_add_ps(low[l], high[l]);
    UNROLL for (int j = 0; j < KERN_DOTS; j++)
        row[j] = fold4(fold8(low[4 * j], low[4 * j + 1]),
                       fold8(low[4 * j + 2], low[4 * j + 3]));
    /* Now quarter i of row[j] is what is left of w's row i and x's row j. */
    __m512 all = fold1(fold2(row[0], row[1]), fold2(row[2], row[3]));
    _mm_storeu_ps(c, _mm512_castps512_ps128(all));
    _mm_storeu_ps(c + ldc, _mm512_extractf32x4_ps(all, 1));
    _mm_storeu_ps(c + 2 * ldc, _mm512_extractf32x4_ps(all, 2));
    _mm_storeu_ps(c + 3 * ldc, _mm512_extractf32x4_ps(all, 3));
}

AVX512 static void axpy_avx512(float *y, float a, const float *x, int64_t n)
{
    __m512 va = _mm512_set1_ps(a);
    int64_t k = 0;
    for (; k + 16 <= n; k += 16)
        _mm512_storeu_ps(y + k, _mm512_fmadd_ps(va, _mm512_loadu_ps(x + k),
                                                _mm512_loadu_ps(y + k)));
    for (; k < n; k++)
        y[k] = __builtin_fmaf(a, x[k], y[k]);
}

AVX512 static void axpy4_avx512(float *y, const float a[4], const float *const x[4],
                                int64_t n)
{
    __m512 va[4];
    int64_t k = 0;
    UNROLL for (int i = 0; i < 4; i++)
        va[i] = _mm512_set1_ps(a[i]);
    for (; k + 16 <= n; k += 16) {
        __m512 sum = _mm512_loadu_ps(y + k);
        UNROLL for (int i = 0; i < 4; i++)
            sum = _mm512_fmadd_ps(va[i], _mm512_loadu_ps(x[i] + k), sum);
        _mm512_storeu_ps(y + k, sum);
    }
    for (; k < n; k++)
        for (int i = 0; i < 4; i++)
            y[k] = __builtin_fmaf(a[i], x[i][k], y[k]);
}

AVX512 static int64_t above_avx512(const float *c, const float *floor, const float *norm,
                                   float level, float slack, int64_t n, uint32_t *out)
{
    __m512 vo = _mm512_set1_ps(level), vs = _mm512_set1_ps(slack);
    int64_t found = 0, j = 0;
    for (; j + 16 <= n; j += 16) {
        __m512 limit = _mm512_fnmadd_ps(vs, _mm512_loadu_ps(norm + j),
                                        _mm512_add_ps(_mm512_loadu_ps(floor + j), vo));
        unsigned mask = _mm512_cmp_ps_mask(_mm512_loadu_ps(c + j), limit, _CMP_GT_OQ);
        for (; mask; mask &= mask - 1)
            out[found++] = (uint32_t)(j + __builtin_ctz(mask));
    }
    for (; j < n; j++)
        if (c[j] > __builtin_fmaf(-slack, norm[j], floor[j] + level))
            out[found++] = (uint32_t)j;
    return found;
}

AVX512 static void exp_avx512(float *x, int64_t n)
{
    kern_exp_all(x, n);
}

AVX512 static void tile_avx512(float *c, int64_t ldc, const float *a, const float *b,
                               int64_t k, bool add)
{
    __m512 sum[KERN_TILE_ROWS][2];
    UNROLL for (int i = 0; i < KERN_TILE_ROWS; i++)
        UNROLL for (int v = 0; v < 2; v++)
            sum[i][v] = add ? _mm512_loadu_ps(c + i * ldc + 16 * v) : _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p++, a += KERN_TILE_ROWS, b += KERN_TILE_COLS) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + 16);
        UNROLL for (int i = 0; i < KERN_TILE_ROWS; i++) {
            __m512 x = _mm512_set1_ps(a[i]);
            sum[i][0] = _mm512_fmadd_ps(x, b0, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(x, b1, sum[i][1]);
        }
    }
    UNROLL for (int i = 0; i < KERN_TILE_ROWS; i++)
        UNROLL for (int v = 0; v < 2; v++)
            _mm512_storeu_ps(c + i * ldc + 16 * v, sum[i][v]);
}

AVX512 static float best_avx512(const float *c, int64_t n, uint32_t id, float *most,
                                uint32_t *who)
{
    return kern_best_all(c, n, id, most, who);
}

AVX512 static void columns4_avx512(float *dots, float *squares, const float w[4],
                                   const float *const c[4], int64_t n)
{
    kern_columns4_all(dots, squares, w, c, n);
}

const struct kern kern_avx512 = {.name = "avx512",
                                 .dot = dot_avx512,
                                 .dot4 = dot4_avx512,
                                 .dots = dots_avx512,
                                 .axpy = axpy_avx512,
                                 .axpy4 = axpy4_avx512,
                                 .exp = exp_avx512,
                                 .above = above_avx512,
                                 .best = best_avx512,
                                 .columns4 = columns4_avx512,
                                 .tile = tile_avx512};

#endif
