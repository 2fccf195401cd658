/*
 * zstream.h - a whole zstd file, decompressed into a mapped temporary file.
 *
 * A zstd file is a row of frames (RFC 8878); some are skippable and carry no content.
 * Frames that say how much they hold are decompressed in parallel, each to its place: most
 * writers say it in the frame's header, the seekable format in a table at the end
 * (facebook/zstd contrib/seekable_format), which is believed when it agrees with the
 * frames. The others come one after the other.
 *
 * The output is bounded before and while it is made, as bound.h says. Frames and blocks
 * are walked first: what contradicts itself, or promises more than its blocks can hold, is
 * refused before anything is decompressed; what claims to have shrunk as numbers never do
 * is decompressed to nowhere first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "io/err.h"
#include "io/map.h"
#include "io/progress.h"

#define ZSTREAM_MAX_WINDOW ((int64_t)128 << 20) /* bytes a frame may look back */
#define ZSTREAM_MAX_FRAMES (1 << 20) /* with those that are skipped */
#define ZSTREAM_MAX_BLOCKS (1 << 24) /* full ones: 2 TiB of content */

/* Does a file that begins with these bytes look like zstd? */
bool zstream_is(const unsigned char *bytes, size_t n);

/* The first *n bytes of the content, as far as they stand near the beginning, into buf.
 * ERR_FORMAT when the file changes meanwhile; damage is left to zstream_map. */
bool zstream_beginning(const struct map *in, unsigned char *buf, size_t *n, struct err *err);

/* Decompress `in` into *out, which messages call by in's path. Checksums of frames that
 * have one are verified. ERR_OS (also a full disk), ERR_FORMAT with the offset in the
 * packed file, ERR_UNSUPPORTED (window, dictionary), ERR_NOMEM, ERR_CANCELLED. */
bool zstream_map(const struct map *in, struct map *out, const struct progress *progress,
                 struct err *err);
