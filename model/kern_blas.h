/*
 * kern_blas.h - products by OpenBLAS, on processors that we have no tiles for.
 *
 * OpenBLAS has kernels for every processor that is around; ours are for AVX2 and AVX-512,
 * where they are faster and give an element the same bits in any shape. The library is
 * loaded when the first product asks for it: its threads, which nobody needs, would
 * otherwise start with every command and spin for 20 ms.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* C [m, n] (ldc) = or += op(A) . op(B), on the calling thread. A is [m, k] or, if turned,
 * [k, m]; B is [n, k] or, if turned, [k, n]. False, and C as it was: there is no OpenBLAS,
 * or a size is beyond its integers. */
bool kern_blas_gemm(int64_t m, int64_t n, int64_t k, const float *A, int64_t lda,
                    bool a_turned, const float *B, int64_t ldb, bool b_turned, float *C,
                    int64_t ldc, bool add);
