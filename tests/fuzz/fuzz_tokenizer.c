/* fuzz_tokenizer.c - tokenizer.json and vocab.json. */
#include <stdlib.h>

#include "io/tokenizer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct tokenizer *tk = tokenizer_open(fuzz_file("tokenizer.json", data, size), &err);
    if (!tk) {
        fuzz_refused(&err);
        return 0;
    }
    int32_t ids[64];
    size_t n = 0;
    for (int64_t id = -1; id <= tokenizer_count(tk) && n < 64; id++) {
        size_t len;
        const char *bytes = tokenizer_bytes(tk, id, &len);
        if (bytes)
            fuzz_touch(bytes, len + 1);
        ids[n++] = (int32_t)id;
    }
    struct str text = {0};
    tokenizer_decode_bytes(tk, ids, n, &text);
    tokenizer_decode_text(tk, ids, n, &text);
    fuzz_touch(text.data, text.len);
    str_finish(&text);
    tokenizer_close(tk);
    return 0;
}
