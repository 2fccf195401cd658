/* fuzz_bundle.c - bundle.json. */
#include <stdlib.h>
#include <string.h>

#include "model/bundle.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct bundle b = {0};
    char dir[128];
    fuzz_file("acts.npy", "", 0);
    strcpy(dir, fuzz_file("bundle.json", data, size));
    *strrchr(dir, '/') = 0;
    if (!bundle_recognise(dir))
        abort();
    if (!bundle_open(&b, dir, &err))
        fuzz_refused(&err);
    for (int i = 0; i < b.n_saes; i++) {
        if (bundle_find_sae(&b, b.saes[i].name) < 0)
            abort();
        fuzz_touch(b.saes[i].path, strlen(b.saes[i].path));
    }
    bundle_finish(&b);
    return 0;
}
