/*
 * gzip.h - a gzip file as a mapping of what is in it (RFC 1952).
 *
 * As zstream.h for zstd: inflated once, into an unlinked file that is then mapped. One member
 * of less than 4 GB; the length at its end says how much room there has to be, and is held
 * against the greatest ratio that deflate can reach, and bound.h, before any is taken.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "io/err.h"
#include "io/map.h"
#include "io/progress.h"

bool gzip_is(const unsigned char *bytes, size_t n);

/* The first *n bytes of what is in it, as far as they can be had, into buf. ERR_FORMAT when
 * the file changes meanwhile; damage is left to gzip_map. */
bool gzip_beginning(const struct map *in, unsigned char *buf, size_t *n, struct err *err);

/* ERR_FORMAT, ERR_OS (no room), ERR_CANCELLED. */
bool gzip_map(const struct map *in, struct map *out, const struct progress *progress,
              struct err *err);
