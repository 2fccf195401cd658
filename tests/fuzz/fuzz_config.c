/* fuzz_config.c - cfg.json beside weights that are in order: what a checkpoint's settings
 * can do to the program that believes them. */
#include <stdlib.h>
#include <string.h>

#include "io/npy.h"
#include "model/sae.h"
#include "tests/fuzz/fuzz.h"

enum { D_IN = 3, D_SAE = 5 };

static void array(const char *name, int ndim, int64_t rows, int64_t cols)
{
    int64_t shape[2] = {rows, cols}, n = ndim == 2 ? rows * cols : rows;
    unsigned char bytes[NPY_HEADER_ROOM + 4 * D_IN * D_SAE];
    size_t header = npy_write_header(DTYPE_F32, ndim, shape, bytes, sizeof bytes);
    for (int64_t i = 0; i < n; i++) {
        float value = 0.25f * (float)(i % 7) - 0.5f;
        memcpy(bytes + header + 4 * i, &value, 4);
    }
    fuzz_file(name, bytes, header + 4 * (size_t)n);
}

static void weights(void)
{
    array("W_enc.npy", 2, D_IN, D_SAE);
    array("W_dec.npy", 2, D_SAE, D_IN);
    array("b_enc.npy", 1, D_SAE, 0);
    array("b_dec.npy", 1, D_IN, 0);
    array("threshold.npy", 1, D_SAE, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int made;
    if (!made++)
        weights();
    struct err err = {0};
    struct sae_options options = {0};
    char dir[128];
    strcpy(dir, fuzz_file("cfg.json", data, size));
    *strrchr(dir, '/') = 0;
    struct sae *sae = sae_open(dir, &options, NULL, &err);
    if (!sae) {
        fuzz_refused(&err);
        return 0;
    }
    if (!sae_check_finite(sae, NULL, &err))
        fuzz_refused(&err);
    sae_id(sae);
    sae_close(sae);
    return 0;
}
