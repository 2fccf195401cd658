/*
 * files.h - for tests of readers: a directory of their own, files made byte by byte, and
 * hostile variations of good bytes.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes being put together. */
struct bytes {
    unsigned char *p;
    size_t n, cap;
};

static inline void put(struct bytes *b, const void *src, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2;
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            abort();
    }
    if (n > 0)
        memcpy(b->p + b->n, src, n);
    b->n += n;
}

static inline void put_le(struct bytes *b, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) {
        unsigned char c = (unsigned char)(v >> (8 * i));
        put(b, &c, 1);
    }
}

static inline void put_text(struct bytes *b, const char *s)
{
    put(b, s, strlen(s));
}

static inline void put_zeros(struct bytes *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(b, "", 1);
}

static inline void bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){0};
}

/* The test's directory; made by the first call, removed by test_dir_remove. */
static char test_dir_name[64];

static inline const char *test_dir(void)
{
    if (!test_dir_name[0]) {
        strcpy(test_dir_name, "/tmp/saescope-test-XXXXXX");
        if (!mkdtemp(test_dir_name))
            abort();
    }
    return test_dir_name;
}

static inline int remove_entry(const char *path, const struct stat *st, int type,
                               struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int test_dir_remove(void **state)
{
    (void)state;
    if (test_dir_name[0])
        nftw(test_dir_name, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* The path of `name` in the test's directory; good until the 8th call from here. */
static inline const char *test_path(const char *name)
{
    static char path[8][256];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", test_dir(), name);
    return path[turn];
}

static inline const char *write_bytes(const char *name, const void *p, size_t n)
{
    const char *path = test_path(name);
    unlink(path); /* file systems hurry a file that is cut and rewritten to the disk */
    FILE *f = fopen(path, "wb");
    if (!f || (n > 0 && fwrite(p, 1, n, f) != n) || fclose(f) != 0)
        abort();
    return path;
}

/* Numbers that are the same in every run. */
static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* A damaged copy of good [n] in out [2 n]: bytes set, bits flipped, 32-bit fields made
 * extreme, pieces copied over others, the end cut off. Returns its length. */
static inline size_t mutate(const unsigned char *good, size_t n, unsigned char *out,
                            uint64_t *seed)
{
    memcpy(out, good, n);
    int changes = 1 + (int)(next_random(seed) % 4);
    for (int i = 0; i < changes && n > 8; i++) {
        size_t at = next_random(seed) % n;
        uint64_t r = next_random(seed);
        switch (next_random(seed) % 6) {
        case 0: out[at] = (unsigned char)r; break;
        case 1: out[at] ^= (unsigned char)(1 << r % 8); break;
        case 2: memset(out + at, r & 1 ? 0xff : 0, n - at < 4 ? n - at : 4); break;
        case 3: memset(out + at, r & 1 ? 0xff : 0, n - at < 8 ? n - at : 8); break;
        case 4: {
            size_t from = r % n, len = 1 + r / n % 16;
            len = len < n - at ? len : n - at;
            len = len < n - from ? len : n - from;
            memmove(out + at, out + from, len);
            break;
        }
        case 5: n = r % 4 == 0 ? at : n; break;
        }
    }
    return n;
}

/* The directory of samples beside the source tree, or NULL when it is not there. */
static inline const char *fixtures(void)
{
    const char *path = getenv("SHARED_FIXTURES");
    return path && access(path, R_OK) == 0 ? path : NULL;
}
