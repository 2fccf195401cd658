/*
 * inflate.h - deflate data into a spool, in parallel, with progress and a way to stop.
 *
 * libdeflate is fast because it has the whole input and the whole output before it, and it
 * tells nothing until it is done. So the output is a mapping of the spool's file: a watcher
 * sees in the process's page table how far it has been written, and stops the work by taking
 * the file's bytes away, at which the next write is left as map.h describes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/map.h"
#include "io/progress.h"
#include "io/spool.h"

/* One stretch of deflate data (RFC 1951), or a gzip member (RFC 1952). */
struct inflate_part {
    const char *name; /* for messages: "member 'W_enc.npy'" */
    int64_t in;       /* where it begins in the file */
    int64_t packed;   /* bytes there are to read */
    int64_t out;      /* where its content goes in the spool */
    int64_t size;     /* of the content */
    bool gzip;        /* has its own checksum; may end before `packed` */
    uint32_t crc;     /* CRC-32 of the content, unless gzip */
    int64_t used;     /* result: bytes that were read */
};

/* Inflate n parts of `in` into spool `s`, which becomes `size` bytes long. ERR_FORMAT with
 * the offset of the part, ERR_OS (no room), ERR_NOMEM, ERR_CANCELLED. */
bool inflate_parts(const struct map *in, const struct spool *s, int64_t size,
                   struct inflate_part *part, size_t n, const struct progress *progress,
                   struct err *err);

/* The first bytes of a part, up to `size` of them, into buf; returns how many. What is wrong
 * with the data is left to inflate_parts. Runs inside map_guard. */
size_t inflate_beginning(const struct map *in, const struct inflate_part *part,
                         unsigned char *buf, size_t size);
