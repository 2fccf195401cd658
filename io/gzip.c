/* gzip.c - see gzip.h. */
#include "io/gzip.h"

#include <stdlib.h>

#include "io/bound.h"
#include "io/inflate.h"
#include "io/mem.h"
#include "io/spool.h"

#define MAX_RATIO 1032 /* of deflate: 258 bytes for 2 bits */
#define MIN_SIZE  18   /* header and trailer */

bool gzip_is(const unsigned char *bytes, size_t n)
{
    return n >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8;
}

struct beginning {
    const struct map *in;
    unsigned char *buf;
    size_t n;
};

/* Guarded. */
static void begin(void *ctx)
{
    struct beginning *b = ctx;
    struct inflate_part part = {.packed = b->in->size, .gzip = true};
    b->n = inflate_beginning(b->in, &part, b->buf, b->n);
}

bool gzip_beginning(const struct map *in, unsigned char *buf, size_t *n, struct err *err)
{
    struct beginning b = {in, buf, *n};
    if (!map_guard(begin, &b, err))
        return false;
    *n = b.n;
    return true;
}

/* Is that much allowed to come out of it? */
static bool check_bound(const struct map *in, int64_t size, struct err *err)
{
    unsigned char first[BOUND_HEAD];
    struct bound bound;
    size_t n = sizeof first;
    if (!gzip_beginning(in, first, &n, err))
        return false;
    n = bound_needs(first, n);
    unsigned char *head = mem_try(n, 1, "header", err);
    bool ok = head && gzip_beginning(in, head, &n, err) &&
              bound_set(&bound, head, n, in->size, err) &&
              bound_kept(&bound, size, true, in->size, err) &&
              (size <= bound.limit || bound_exceeded(&bound, err));
    free(head);
    return ok;
}

/* The length at the end, modulo 2^32. */
static bool read_length(const struct map *in, int64_t *length, struct err *err)
{
    unsigned char p[4];
    if (in->size < MIN_SIZE)
        return err_format(err, (uint64_t)in->size, "gzip file ends early (found %lld bytes, "
                          "expected %d or more)", (long long)in->size, MIN_SIZE);
    if (!map_pread(in, p, sizeof p, in->size - 4, err))
        return false;
    *length = (int64_t)(p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24);
    return *length / MAX_RATIO <= in->size ||
           err_format(err, (uint64_t)in->size - 4, "gzip file cannot hold that much (found "
                      "a length of %lld bytes, expected at most %d times its own)",
                      (long long)*length, MAX_RATIO);
}

bool gzip_map(const struct map *in, struct map *out, const struct progress *progress,
              struct err *err)
{
    int64_t size = 0;
    struct spool spool = {.fd = -1};
    if (!read_length(in, &size, err))
        return false;
    if (size == 0)
        return err_format(err, 0, "nothing in the gzip file (found a length of 0, expected "
                          "a file of arrays)");
    if (!check_bound(in, size, err))
        return false;
    struct inflate_part part = {.name = "gzip data", .packed = in->size, .size = size,
                                .gzip = true};
    bool ok = spool_open(&spool, err) &&
              inflate_parts(in, &spool, size, &part, 1, progress, err);
    if (ok && part.used != in->size)
        ok = err_format(err, (uint64_t)part.used, "data behind the gzip member (found %lld "
                        "bytes, expected none)", (long long)(in->size - part.used));
    ok = ok && spool_map(&spool, in->path, out, err);
    spool_close(&spool);
    return ok;
}
