/* kern_impl.h - the variants of the kernels, for kern.c only. */
#pragma once

#include "model/kern.h"

extern const struct kern kern_portable;
#if defined(__x86_64__)
extern const struct kern kern_avx2, kern_avx512;
#endif
