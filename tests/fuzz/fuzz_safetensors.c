/* fuzz_safetensors.c - headers of .safetensors files. */
#include <stdlib.h>

#include "io/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void meta(void *ctx, const char *key, const char *value)
{
    size_t *n = ctx;
    while (*key || *value)
        *n += *key ? (unsigned char)*key++ : (unsigned char)*value++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct safetensors st = {0};
    size_t header = 0, sum = 0;
    if (size < 8)
        return 0;
    if (!safetensors_header_size(data, (int64_t)size, &header, &err) ||
        !safetensors_parse((const char *)data + 8, header,
                           (int64_t)(size - 8 - header), &st, &err)) {
        fuzz_refused(&err);
        return 0;
    }
    for (size_t i = 0; i < st.n; i++) {
        const struct safetensors_entry *e = &st.entry[i];
        if (e->begin < 0 || e->end < e->begin || e->end > (int64_t)(size - 8 - header) ||
            tensor_count(&e->array) * dtype_info[e->array.dtype].size != e->end - e->begin)
            abort();
    }
    safetensors_each_meta(&st, meta, &sum);
    safetensors_free(&st);
    return 0;
}
