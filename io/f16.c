/* f16.c - conversions from and to half precision; see tensor.h and f16.h. */
#include "io/f16.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "io/tensor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static uint32_t bits_of_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) /* infinity, or a NaN made quiet */
        return sign | 0x7f800000 | fraction << 13 | (fraction ? 0x00400000 : 0);
    if (exponent != 0)
        return sign | (exponent + 127 - 15) << 23 | fraction << 13;
    if (fraction == 0)
        return sign;
    /* A subnormal half is fraction * 2^-24: bring its highest bit to the hidden one. */
    int shift = __builtin_clz(fraction) - 21;
    return sign | (uint32_t)(127 - 14 - shift) << 23 | (fraction << shift & 1023) << 13;
}

static uint16_t half_of_bits(uint32_t b)
{
    uint16_t sign = (uint16_t)(b >> 16 & 0x8000);
    uint32_t mag = b & 0x7fffffff;
    if (mag > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x1ff));
    if (mag >= 0x477ff000) /* 65520 and above round to infinity */
        return sign | 0x7c00;
    if (mag < 0x33000000) /* below 2^-25: zero; 2^-25 itself is a tie that goes to even */
        return sign;
    uint32_t exponent = mag >> 23;
    uint32_t fraction = (mag & 0x7fffff) | 0x800000;
    /* Normal halves drop 13 bits of the fraction, subnormal ones as many as it takes. */
    uint32_t drop = exponent >= 113 ? 13 : 126 - exponent;
    uint32_t kept = fraction >> drop;
    uint32_t rest = fraction & ((1u << drop) - 1), tie = 1u << (drop - 1);
    kept += rest > tie || (rest == tie && (kept & 1));
    /* The hidden bit and a carry out of the fraction both add to the exponent field. */
    if (exponent >= 113)
        kept += (exponent - 113) << 10;
    return (uint16_t)(sign | kept);
}

void f32_from_f16_plain(const void *src, float *out, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        uint32_t b = bits_of_half(h);
        memcpy(&out[i], &b, sizeof b);
    }
}

void f16_from_f32_plain(const float *src, uint16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t b;
        memcpy(&b, &src[i], sizeof b);
        out[i] = half_of_bits(b);
    }
}

#if defined(__x86_64__)
static bool ask_f16c(void)
{
    unsigned a, b, c, d;
    /* __builtin_cpu_supports knows whether the system saves AVX registers, but not every
     * compiler's knows the name "f16c". */
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* Asked once: a virtual machine traps cpuid, which then takes microseconds. */
static bool has_f16c(void)
{
    static _Atomic int known; /* 0: not yet, 1: no, 2: yes */
    int k = atomic_load_explicit(&known, memory_order_relaxed);
    if (!k) {
        k = 1 + ask_f16c();
        atomic_store_explicit(&known, k, memory_order_relaxed);
    }
    return k == 2;
}

__attribute__((target("avx,f16c")))
static size_t from_f16_f16c(const unsigned char *src, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm_loadu_si128((const void *)(src + 2 * i));
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(h));
    }
    return i;
}

__attribute__((target("avx,f16c")))
static size_t to_f16_f16c(const float *src, uint16_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 f = _mm256_loadu_ps(src + i);
        _mm_storeu_si128((void *)(out + i),
                         _mm256_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
    return i;
}
#else
static bool has_f16c(void)
{
    return false;
}

static size_t from_f16_f16c(const unsigned char *src, float *out, size_t n)
{
    (void)src, (void)out, (void)n;
    return 0;
}

static size_t to_f16_f16c(const float *src, uint16_t *out, size_t n)
{
    (void)src, (void)out, (void)n;
    return 0;
}
#endif

void f32_from_f16(const void *src, float *out, size_t n)
{
    const unsigned char *p = src;
    size_t done = has_f16c() ? from_f16_f16c(p, out, n) : 0;
    f32_from_f16_plain(p + 2 * done, out + done, n - done);
}

void f16_from_f32(const float *src, uint16_t *out, size_t n)
{
    size_t done = has_f16c() ? to_f16_f16c(src, out, n) : 0;
    f16_from_f32_plain(src + done, out + done, n - done);
}

void f32_from_bf16(const void *src, float *out, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        uint32_t b = (uint32_t)h << 16;
        memcpy(&out[i], &b, sizeof b);
    }
}
