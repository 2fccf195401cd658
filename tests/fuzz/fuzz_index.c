/*
 * fuzz_index.c - the index of a scan. Its checksums would stop nearly every mutation at the
 * door, so they are made right here first: what is let in are damages that a checksum
 * cannot see.
 */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/fidx.h"
#include "model/index.h"
#include "model/index_format.h"
#include "tests/fuzz/fuzz.h"

/* The header of fidx.h. */
enum { HEADER = 64, DIRECTORY_ENTRY = 40, DIRECTORY = FIDX_SECTIONS * DIRECTORY_ENTRY };

struct entry {
    char name[16];
    uint64_t offset, size, hash;
};
_Static_assert(sizeof(struct entry) == DIRECTORY_ENTRY, "layout of the container");

static const struct entry *find(const struct entry *all, const char *name)
{
    for (int i = 0; i < FIDX_SECTIONS; i++)
        if (strncmp(all[i].name, name, sizeof all[i].name) == 0)
            return &all[i];
    return NULL;
}

static bool inside(uint64_t offset, uint64_t n, uint64_t size)
{
    return offset <= size && n <= size - offset;
}

static void seal_blocks(unsigned char *file, size_t size, const struct entry *all)
{
    const struct entry *blocks = find(all, "blocks"), *postings = find(all, "postings");
    if (!blocks || !postings)
        return;
    for (uint64_t at = blocks->offset; at - blocks->offset < blocks->size; at += 32) {
        struct index_block b;
        if (!inside(at, sizeof b, size))
            return;
        memcpy(&b, file + at, sizeof b);
        uint64_t n = (uint64_t)b.gaps_packed + b.values_packed;
        if (!inside(postings->offset, postings->size, size) ||
            !inside(b.offset, n, postings->size))
            continue;
        b.check = (uint32_t)XXH3_64bits(file + postings->offset + b.offset, n);
        memcpy(file + at, &b, sizeof b);
    }
}

static void seal(unsigned char *file, size_t size)
{
    struct entry all[FIDX_SECTIONS];
    if (size < HEADER + DIRECTORY)
        return;
    uint64_t file_size = size;
    memcpy(file + 16, &file_size, sizeof file_size);
    memcpy(all, file + HEADER, DIRECTORY);
    seal_blocks(file, size, all);
    for (int i = 0; i < FIDX_SECTIONS; i++)
        if (all[i].hash != 0 && inside(all[i].offset, all[i].size, size))
            all[i].hash = XXH3_64bits(file + all[i].offset, all[i].size);
    memcpy(file + HEADER, all, DIRECTORY);
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, file, 32);
    XXH3_64bits_update(&state, file + HEADER, DIRECTORY);
    uint64_t hash = XXH3_64bits_digest(&state);
    memcpy(file + 32, &hash, sizeof hash);
}

static void read_feature(const struct index *ix, int64_t feature)
{
    struct err err = {0};
    const struct index_record *r = index_record(ix, feature);
    fuzz_touch(index_top(ix, feature), r->n_top * sizeof(struct hit));
    if (r->count > 100000)
        return;
    struct hit *hits = malloc((size_t)r->count * sizeof *hits + 1);
    if (index_hits(ix, feature, hits, &err))
        fuzz_touch(hits, (size_t)r->count * sizeof *hits);
    else
        fuzz_refused(&err);
    free(hits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    unsigned char *file = malloc(size + 1);
    memcpy(file, data, size);
    seal(file, size);
    const char *path = fuzz_file("a.index", file, size);
    free(file);
    struct index *ix = index_open(path, NULL, &err);
    if (!ix) {
        fuzz_refused(&err);
        return 0;
    }
    int64_t n = index_d_sae(ix);
    for (int64_t i = 0; i < n && i < 64; i++)
        read_feature(ix, i);
    if (n > 0 && n < 100000) {
        uint32_t *together = calloc((size_t)n, sizeof *together);
        if (!index_coactive(ix, 0, 1, NULL, together, &err))
            fuzz_refused(&err);
        free(together);
    }
    index_close(ix);
    return 0;
}
