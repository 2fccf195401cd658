/* fuzz_zstream.c - zstd files of one and of many frames, seekable or not. */
#include <stdlib.h>

#include "io/zstream.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct map in = {0}, out = {0};
    if (!map_open(&in, fuzz_file("a.zst", data, size), &err))
        abort();
    if (zstream_map(&in, &out, NULL, &err)) {
        fuzz_touch(out.data, (size_t)(out.size < 65536 ? out.size : 65536));
        map_close(&out);
    } else {
        fuzz_refused(&err);
    }
    map_close(&in);
    return 0;
}
