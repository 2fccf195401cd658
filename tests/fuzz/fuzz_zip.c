/* fuzz_zip.c - the directories of zip files. */
#include <stdlib.h>
#include <string.h>

#include "io/zip.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct map map = {0};
    struct zip zip = {0};
    if (!map_open(&map, fuzz_file("a.zip", data, size), &err))
        abort();
    if (zip_open(&zip, &map, &err)) {
        for (size_t i = 0; i < zip.n; i++) {
            const struct zip_member *m = &zip.member[i];
            if (m->data < 0 || m->packed < 0 || m->packed > map.size - m->data)
                abort();
            const struct zip_member *same = zip_find(&zip, m->name);
            if (!same || strcmp(same->name, m->name) != 0)
                abort();
        }
    } else {
        fuzz_refused(&err);
    }
    zip_close(&zip);
    map_close(&map);
    return 0;
}
