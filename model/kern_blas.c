/* kern_blas.c - see kern_blas.h. */
#include "model/kern_blas.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <cblas.h>

#define LIBRARY "libopenblas.so.0"

static struct {
    pthread_once_t once;
    __typeof__(cblas_sgemm) *sgemm; /* NULL: not to be had */
} blas = {.once = PTHREAD_ONCE_INIT};

/* A function's address, as POSIX lets it be copied out of dlsym. */
static void find(void *library, const char *name, void *function)
{
    void *p = dlsym(library, name);
    memcpy(function, &p, sizeof p);
}

static void load(void)
{
    __typeof__(openblas_set_num_threads) *set_threads;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    find(library, "openblas_set_num_threads", &set_threads);
    if (set_threads) { /* threads are ours: each works on its own block */
        set_threads(1);
        find(library, "cblas_sgemm", &blas.sgemm);
    }
}

static bool fits(int64_t n)
{
    return n <= INT_MAX;
}

bool kern_blas_gemm(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                    bool a_turned, const float *B, int64_t ldb, bool b_turned, float *C,
                    int64_t ldc, bool add)
{
    pthread_once(&blas.once, load);
    if (!blas.sgemm || !fits(m) || !fits(n) || !fits(k) || !fits(lda) || !fits(ldb) ||
        !fits(ldc))
        return false;
    blas.sgemm(CblasRowMajor, a_turned ? CblasTrans : CblasNoTrans,
               b_turned ? CblasNoTrans : CblasTrans, (blasint)m, (blasint)n, (blasint)k, 1.0f,
               A, (blasint)lda, B, (blasint)ldb, add ? 1.0f : 0.0f, C, (blasint)ldc);
    return true;
}
