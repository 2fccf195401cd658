/* fuzz_tokenizer.c - tokenizer.json, vocab.json and tokenizer.model, decoding and encoding. */
#include <stdlib.h>

#include "io/token_encoder.h"
#include "io/tokenizer.h"
#include "tests/fuzz/fuzz.h"

static void encode(const char *path)
{
    static const char text[] = "The <s> the<|end|> it's 12 caf\u00e9 \u4e16\n\n  x\xff";
    struct err err = {0};
    struct token_encoder *te = token_encoder_open(path, &err);
    struct token_ids ids = {0};
    if (!te) {
        fuzz_refused(&err);
        return;
    }
    if (!token_encoder_run(te, text, sizeof text - 1, 0, &ids, &err))
        fuzz_refused(&err);
    fuzz_touch(ids.id, ids.n * sizeof *ids.id);
    free(ids.id);
    token_encoder_close(te);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    const char *path = fuzz_file("tokenizer.json", data, size);
    encode(path);
    struct tokenizer *tk = tokenizer_open(path, &err);
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
