/* kern_ref.c - what the kernels mean: the definition that kern_x86.c is tested against. */
#include "model/kern_impl.h"

#include <math.h>
#include <string.h>

static float reduce(float lane[KERN_LANES])
{
    for (int half = KERN_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static float dot(const float *a, const float *b, int64_t n)
{
    float lane[KERN_LANES] = {0};
    for (int64_t k = 0; k < n; k++)
        lane[k % KERN_LANES] = fmaf(a[k], b[k], lane[k % KERN_LANES]);
    return reduce(lane);
}

static void dot4(float out[4], const float *const x[4], const float *w, int64_t n)
{
    for (int i = 0; i < 4; i++)
        out[i] = dot(x[i], w, n);
}

static void dots(float *c, int64_t ldc, const float *w, int64_t ldw, const float *x,
                 int64_t ldx, int64_t n)
{
    for (int i = 0; i < KERN_DOTS; i++)
        for (int j = 0; j < KERN_DOTS; j++)
            c[i * ldc + j] = dot(w + i * ldw, x + j * ldx, n);
}

static void axpy(float *y, float a, const float *x, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        y[k] = fmaf(a, x[k], y[k]);
}

static void axpy4(float *y, const float a[4], const float *const x[4], int64_t n)
{
    for (int i = 0; i < 4; i++)
        axpy(y, a[i], x[i], n);
}

static int64_t above(const float *c, const float *floor, const float *norm, float level,
                     float slack, int64_t n, uint32_t *out)
{
    int64_t found = 0;
    for (int64_t j = 0; j < n; j++)
        if (c[j] > fmaf(-slack, norm[j], floor[j] + level))
            out[found++] = (uint32_t)j;
    return found;
}

static void exponential(float *x, int64_t n)
{
    kern_exp_all(x, n);
}

static float best(const float *c, int64_t n, uint32_t id, float *most, uint32_t *who)
{
    return kern_best_all(c, n, id, most, who);
}

static void columns4(float *dots, float *squares, const float w[4], const float *const c[4],
                     int64_t n)
{
    kern_columns4_all(dots, squares, w, c, n);
}

/* Vectors of what the compiler's target has, none of them fused: fmaf is a call where the
 * processor lacks it. */
typedef float v4 __attribute__((vector_size(16), aligned(4)));

#define PART_ROWS 6
#define PART_COLS 4 /* vectors */

static void tile_part(float *c, int64_t ldc, const float *a, const float *b, int64_t k,
                      bool add)
{
    v4 sum[PART_ROWS][PART_COLS] = {0};
    for (int i = 0; i < PART_ROWS && add; i++)
        memcpy(sum[i], c + i * ldc, sizeof sum[i]);
    for (int64_t p = 0; p < k; p++)
        for (int i = 0; i < PART_ROWS; i++)
            for (int v = 0; v < PART_COLS; v++)
                sum[i][v] += a[p * KERN_TILE_ROWS + i] *
                             *(const v4 *)(b + p * KERN_TILE_COLS + 4 * v);
    for (int i = 0; i < PART_ROWS; i++)
        memcpy(c + i * ldc, sum[i], sizeof sum[i]);
}

static void tile(float *c, int64_t ldc, const float *a, const float *b, int64_t k, bool add)
{
    for (int i = 0; i < KERN_TILE_ROWS; i += PART_ROWS)
        for (int j = 0; j < KERN_TILE_COLS; j += 4 * PART_COLS)
            tile_part(c + i * ldc + j, ldc, a + i, b + j, k, add);
}

const struct kern kern_portable = {.name = "portable",
                                   .dot = dot,
                                   .dot4 = dot4,
                                   .dots = dots,
                                   .axpy = axpy,
                                   .axpy4 = axpy4,
                                   .exp = exponential,
                                   .above = above,
                                   .best = best,
                                   .columns4 = columns4,
                                   .tile = tile};
