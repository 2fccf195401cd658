/* fuzz_npy.c - headers of .npy files. */
#include <stdlib.h>

#include "io/npy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct npy npy;
    if (!npy_parse(data, size, (int64_t)size, &npy, &err)) {
        fuzz_refused(&err);
        return 0;
    }
    /* What it promises lies inside the file, and is the size of its elements. */
    int64_t n = tensor_count(&npy.array);
    if (npy.data_offset < 0 || npy.data_size < 0 ||
        npy.data_size > (int64_t)size - npy.data_offset ||
        npy.data_size != n * dtype_info[npy.array.dtype].size)
        abort();
    fuzz_touch(data + npy.data_offset, (size_t)npy.data_size);
    return 0;
}
