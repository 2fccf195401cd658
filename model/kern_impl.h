/* kern_impl.h - the variants of the kernels, for kern.c only. */
#pragma once

#include <math.h>
#include <string.h>

#include "model/kern.h"

extern const struct kern kern_portable;
#if defined(__x86_64__)
extern const struct kern kern_avx2, kern_avx512;
#endif

/*
 * exp of KERN_EXP values: 2^k exp(r), k = round(x / ln 2), |r| <= ln 2 / 2, exp(r) by a
 * polynomial of degree 7 (coefficients of S. Moshier's Cephes, expf.c). Written so that
 * compilers turn the loop into vector instructions; 2^k is made in two steps, because k
 * alone may be beyond the exponents that there are.
 */
#define KERN_EXP 16

static inline __attribute__((always_inline)) void kern_exp_block(float x[KERN_EXP])
{
    for (int l = 0; l < KERN_EXP; l++) {
        const float shift = 12582912.0f; /* 1.5 2^23: its last bits count in ones */
        float v = x[l];
        v = v < -104.0f ? -104.0f : v;
        v = v > 89.0f ? 89.0f : v;
        float k = v * 1.44269504f + shift;
        uint32_t bits, half;
        memcpy(&bits, &k, sizeof bits);
        bits -= 0x4b400000;
        k -= shift;
        float r = v - k * 0.693359375f - k * -2.12194440e-4f;
        float p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        p = p * (r * r) + r + 1.0f;
        half = (uint32_t)((int32_t)bits >> 1);
        uint32_t first = (half + 127) << 23, second = (bits - half + 127) << 23;
        float a, b;
        memcpy(&a, &first, sizeof a);
        memcpy(&b, &second, sizeof b);
        x[l] = p * a * b;
    }
}

/* As many maxima at once as make vector instructions of the loop. */
#define KERN_BEST 32

static inline __attribute__((always_inline)) float
kern_best_all(const float *restrict c, int64_t n, uint32_t id, float *restrict best,
              uint32_t *restrict who)
{
    float most[KERN_BEST];
    for (int l = 0; l < KERN_BEST; l++)
        most[l] = -INFINITY;
    int64_t j = 0;
    for (; j + KERN_BEST <= n; j += KERN_BEST)
        for (int l = 0; l < KERN_BEST; l++) {
            float v = c[j + l], b = best[j + l];
            best[j + l] = v > b ? v : b;
            who[j + l] = v > b ? id : who[j + l];
            most[l] = v > most[l] ? v : most[l];
        }
    for (; j < n; j++) {
        who[j] = c[j] > best[j] ? id : who[j];
        best[j] = c[j] > best[j] ? c[j] : best[j];
        most[0] = c[j] > most[0] ? c[j] : most[0];
    }
    for (int l = 1; l < KERN_BEST; l++)
        most[0] = most[l] > most[0] ? most[l] : most[0];
    return most[0];
}

static inline __attribute__((always_inline)) void
kern_columns4_all(float *restrict dot, float *restrict squares, const float w[4],
                  const float *const c[4], int64_t n)
{
    const float *a = c[0], *b = c[1], *p = c[2], *q = c[3];
    float wa = w[0], wb = w[1], wp = w[2], wq = w[3];
    for (int64_t i = 0; i < n; i++) {
        dot[i] = dot[i] + wa * a[i] + wb * b[i] + wp * p[i] + wq * q[i];
        squares[i] = squares[i] + a[i] * a[i] + b[i] * b[i] + p[i] * p[i] + q[i] * q[i];
    }
}

/* Whole blocks, then the rest in a block of its own. */
static inline __attribute__((always_inline)) void kern_exp_all(float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + KERN_EXP <= n; i += KERN_EXP)
        kern_exp_block(x + i);
    if (i < n) {
        float rest[KERN_EXP] = {0};
        memcpy(rest, x + i, (size_t)(n - i) * sizeof *rest);
        kern_exp_block(rest);
        memcpy(x + i, rest, (size_t)(n - i) * sizeof *rest);
    }
}
