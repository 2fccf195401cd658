/* kern.c - choice of the variant, and the kernels that need none. */
#include "model/kern_impl.h"

#include <pthread.h>
#include <string.h>

static const struct kern *variants[4];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        variants[n++] = &kern_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        variants[n++] = &kern_avx2;
#endif
    variants[n++] = &kern_portable;
    variants[n] = NULL;
}

const struct kern *const *kern_all(void)
{
    pthread_once(&once, choose);
    return variants;
}

const struct kern *kern_best(void)
{
    return kern_all()[0];
}

/* Branch-free over the bits of the exponent, which compilers turn into vectors. */
bool kern_all_finite(const float *a, int64_t n)
{
    enum { STEP = 4096 };
    for (int64_t first = 0; first < n; first += STEP) {
        int64_t end = first + STEP < n ? first + STEP : n;
        uint32_t bad = 0;
        for (int64_t i = first; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, &a[i], sizeof bits);
            bad |= (uint32_t)((bits & 0x7f800000) == 0x7f800000);
        }
        if (bad)
            return false;
    }
    return true;
}

double kern_sum_squares(const float *a, int64_t n)
{
    return kern_dot_double(a, a, n);
}

double kern_dot_double(const float *a, const float *b, int64_t n)
{
    double s[8] = {0};
    int64_t k = 0;
    for (; k + 8 <= n; k += 8)
        for (int l = 0; l < 8; l++)
            s[l] += (double)a[k + l] * (double)b[k + l];
    for (; k < n; k++)
        s[0] += (double)a[k] * (double)b[k];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}
