/* fuzz_container.c - files of arrays through the door that all of them share: npz with its
 * deflated members, PyTorch's two forms, zstd and gzip around any of them. */
#include <stdlib.h>

#include "io/container.h"
#include "io/map.h"
#include "tests/fuzz/fuzz.h"

enum { SOME = 512 }; /* elements looked at, from each end: strides of 0 make many of one */

static void read_some(const struct tensor *t)
{
    float f32[SOME];
    int64_t i64[SOME], n = tensor_count(t), some = n < SOME ? n : SOME;
    char shape[64];
    tensor_shape_text(t, shape, sizeof shape);
    tensor_read_f32(t, 0, some, f32);
    tensor_read_f32(t, n - some, some, f32);
    if (!dtype_info[t->dtype].is_float)
        tensor_read_i64(t, n - some, some, i64);
}

static void read_all(void *ctx)
{
    struct container *c = ctx;
    for (size_t i = 0; i < container_count(c); i++) {
        const struct tensor *t = container_at(c, i);
        if (!container_find(c, t->name))
            abort();
        read_some(t);
    }
    container_value(c, "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct container *c = container_open(fuzz_file("a", data, size), NULL, &err);
    if (!c) {
        fuzz_refused(&err);
        return 0;
    }
    if (!map_guard(read_all, c, &err))
        abort();
    if (!container_verify(c, NULL, &err))
        fuzz_refused(&err);
    container_close(c);
    return 0;
}
