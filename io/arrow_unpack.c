/* arrow_unpack.c - see arrow_unpack.h. */
#include "io/arrow_unpack.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "io/bound.h"
#include "io/mem.h"

#define PREFIX     8 /* bytes of the size */
#define ALIGN      64
#define WINDOW_LOG 27 /* 128 MiB, as in zstream.h */
#define PIECE      ((size_t)128 << 10)

enum codec { CODEC_LZ4 = 0, CODEC_ZSTD = 1 };

static bool zstd_failed(struct err *err, int64_t at, const char *why)
{
    return err_format(err, (uint64_t)at, "a damaged zstd buffer (found %s, expected a frame)", why);
}

static bool begin(struct arrow_unpack *u, struct err *err)
{
    if (u->spool.fd < 0 && !spool_open(&u->spool, err))
        return false;
    if (!u->zstd)
        u->zstd = ZSTD_createDCtx();
    if (!u->zstd)
        return err_set(err, ERR_NOMEM, "no memory for zstd");
    ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG);
    return true;
}

/* Promises are held against the file before anything is unpacked. */
static bool check_size(const struct arrow_unpack *u, const struct map *m, int64_t at,
                       int64_t size, struct err *err)
{
    int64_t most = m->size * BOUND_RATIO + BOUND_ROOM;
    if (size < 0 || size > most - u->size)
        return err_format(err, (uint64_t)at, "a buffer's size when unpacked cannot be (found %lld, "
                          "expected 0 to %lld)", (long long)size, (long long)(most - u->size));
    return spool_room(&u->spool, u->size + size, err);
}

/* The frame [at, end) of m into the spool at `to`, all `size` bytes of it. */
static bool unpack_frame(struct arrow_unpack *u, const struct map *m, int64_t at, int64_t end,
                         int64_t to, int64_t size, unsigned char *piece[2],
                         const struct progress *progress, struct err *err)
{
    ZSTD_inBuffer in = {piece[0], 0, 0};
    int64_t done = 0, from = at;
    bool more = false; /* of what was read, which did not fit into the last piece */
    for (size_t left = 1; left;) {
        if (in.pos == in.size && !more) {
            size_t n = end - at < (int64_t)PIECE ? (size_t)(end - at) : PIECE;
            if (!n)
                return zstd_failed(err, from, "its end too soon");
            if (!map_pread(m, piece[0], n, at, err))
                return false;
            in = (ZSTD_inBuffer){piece[0], n, 0};
            at += (int64_t)n;
        }
        ZSTD_outBuffer out = {piece[1], PIECE, 0};
        left = ZSTD_decompressStream(u->zstd, &out, &in);
        if (ZSTD_isError(left))
            return zstd_failed(err, from, ZSTD_getErrorName(left));
        if ((int64_t)out.pos > size - done)
            return zstd_failed(err, from, "more than it should hold");
        if (!spool_write(&u->spool, piece[1], out.pos, to + done, err))
            return false;
        done += (int64_t)out.pos;
        more = out.pos == out.size;
        if (!progress_step(progress, "unpacking", at, m->size))
            return err_set(err, ERR_CANCELLED, "cancelled");
    }
    return done == size || zstd_failed(err, from, "less than it should hold");
}

bool arrow_unpack(struct arrow_unpack *u, const struct map *m, int codec, struct arrow_place *p,
                  const struct progress *progress, struct err *err)
{
    int64_t size;
    if (codec != CODEC_ZSTD)
        return err_set(err, ERR_UNSUPPORTED, "compression is not read (found %s, expected zstd or "
                       "none)", codec == CODEC_LZ4 ? "LZ4" : "an unknown one");
    if (p->length < PREFIX)
        return err_format(err, (uint64_t)p->at, "a damaged buffer (found %lld bytes, expected at "
                          "least %d)", (long long)p->length, PREFIX);
    if (!map_pread(m, &size, PREFIX, p->at, err))
        return false;
    if (size == -1) {
        *p = (struct arrow_place){false, p->at + PREFIX, p->length - PREFIX};
        return true;
    }
    if (!begin(u, err) || !check_size(u, m, p->at, size, err))
        return false;
    unsigned char *piece[2] = {xmalloc(PIECE), xmalloc(PIECE)};
    bool ok = unpack_frame(u, m, p->at + PREFIX, p->at + p->length, u->size, size, piece,
                           progress, err);
    free(piece[0]);
    free(piece[1]);
    if (!ok)
        return false;
    *p = (struct arrow_place){true, u->size, size};
    u->size += (size + ALIGN - 1) / ALIGN * ALIGN;
    return true;
}

void arrow_unpack_finish(struct arrow_unpack *u)
{
    spool_close(&u->spool);
    ZSTD_freeDCtx(u->zstd);
    u->zstd = NULL;
}
