/* gzip.c - see gzip.h. */
#include "io/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <libdeflate.h>

#include "io/spool.h"

#define MAX_RATIO 1032 /* of deflate: 258 bytes for 2 bits */
#define MIN_SIZE  18   /* header and trailer */

bool gzip_is(const unsigned char *bytes, size_t n)
{
    return n >= 3 && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8;
}

/* The length at the end, modulo 2^32. */
static bool read_length(const struct map *in, int64_t *length, struct err *err)
{
    unsigned char p[4];
    if (in->size < MIN_SIZE)
        return err_format(err, (uint64_t)in->size, "gzip file ends early");
    if (!map_pread(in, p, sizeof p, in->size - 4, err))
        return false;
    *length = (int64_t)(p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24);
    return *length / MAX_RATIO <= in->size ||
           err_format(err, (uint64_t)in->size - 4, "gzip file cannot hold that much (found "
                      "a length of %lld bytes)", (long long)*length);
}

struct inflate {
    const struct map *in;
    struct libdeflate_decompressor *tool;
    void *out;
    size_t size, used;
    enum libdeflate_result result;
};

static void inflate_guarded(void *ctx)
{
    struct inflate *f = ctx;
    f->result = libdeflate_gzip_decompress_ex(f->tool, f->in->data, (size_t)f->in->size,
                                              f->out, f->size, &f->used, NULL);
}

static bool inflate(struct inflate *f, struct err *err)
{
    f->tool = libdeflate_alloc_decompressor();
    if (!f->tool)
        return err_set(err, ERR_NOMEM, "libdeflate: no memory");
    bool ok = map_guard(inflate_guarded, f, err);
    libdeflate_free_decompressor(f->tool);
    if (ok && f->result != LIBDEFLATE_SUCCESS)
        return err_format(err, 0, "gzip data is damaged");
    if (ok && f->used != (size_t)f->in->size)
        return err_format(err, f->used, "data behind the gzip member (found %lld bytes)",
                          (long long)(f->in->size - (int64_t)f->used));
    return ok;
}

/* The spool gets all its blocks first: a write into a mapping cannot say that the disk is
 * full. */
static bool inflate_to_spool(const struct map *in, const struct spool *s, int64_t size,
                             struct err *err)
{
    if (!spool_room(s, size, err))
        return false;
    int rc = posix_fallocate(s->fd, 0, size);
    if (rc != 0)
        return err_os(err, rc, s->where, "no room for decompressed data");
    void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (p == MAP_FAILED)
        return err_os(err, errno, s->where, "cannot map");
    struct inflate f = {.in = in, .out = p, .size = (size_t)size};
    bool ok = inflate(&f, err);
    munmap(p, (size_t)size);
    return ok;
}

bool gzip_map(const struct map *in, struct map *out, const struct progress *progress,
              struct err *err)
{
    int64_t size = 0;
    struct spool spool = {.fd = -1};
    if (!read_length(in, &size, err))
        return false;
    if (size == 0)
        return err_format(err, 0, "nothing in the gzip file");
    if (!progress_step(progress, "inflating", 0, size))
        return err_set(err, ERR_CANCELLED, "cancelled");
    bool ok = spool_open(&spool, err) && inflate_to_spool(in, &spool, size, err) &&
              spool_map(&spool, in->path, out, err);
    spool_close(&spool);
    return ok;
}
