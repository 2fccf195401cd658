/*
 * arrow_unpack.h - buffers of Arrow batches that are compressed. For arrow.c.
 *
 *   i64 size when unpacked, -1: it is not packed; then one zstd frame (codec 1)
 *
 * They are unpacked one behind the other into a spool. Together they may become
 * BOUND_RATIO times the file (and BOUND_ROOM more); LZ4 (codec 0) is refused.
 *
 * Source: arrow format/Message.fbs, BodyCompression.
 */
#pragma once

#include "io/err.h"
#include "io/map.h"
#include "io/progress.h"
#include "io/spool.h"

struct arrow_place {
    bool unpacked; /* in the spool; else in the file */
    int64_t at, length;
};

struct arrow_unpack {
    struct spool spool; /* .fd -1: none yet */
    int64_t size;       /* of what is in it */
    struct ZSTD_DCtx_s *zstd;
};

/* The packed buffer at *p of m becomes the place of what is in it. ERR_FORMAT,
 * ERR_UNSUPPORTED, ERR_OS, ERR_NOMEM, ERR_CANCELLED. */
bool arrow_unpack(struct arrow_unpack *u, const struct map *m, int codec, struct arrow_place *p,
                  const struct progress *progress, struct err *err);
void arrow_unpack_finish(struct arrow_unpack *u); /* a zeroed one with .fd -1 is fine */
