/*
 * zstream.h - a whole zstd file, decompressed into a mapped temporary file.
 *
 * A zstd file is a row of frames (RFC 8878); some are skippable and carry no content.
 * Frames that say how much they hold are decompressed in parallel, each to its place: most
 * writers say it in the frame's header, the seekable format in a table at the end
 * (facebook/zstd contrib/seekable_format), which is believed when it agrees with the
 * frames. The others come one after the other.
 *
 * The output is bounded before and while it is made: a file that holds an npy array may
 * become as large as the array's header promises (and ZSTREAM_NPY_SLACK more), and nothing
 * more than ZSTREAM_MAX_RATIO times its packed size (and ZSTREAM_SLACK, arrays
 * ZSTREAM_NPY_ZEROS more). Frames and blocks are walked first: what contradicts itself, or
 * promises more than its blocks can hold, is refused before anything is decompressed; what
 * claims to have shrunk as numbers never do is decompressed to nowhere first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "io/err.h"
#include "io/map.h"
#include "io/progress.h"

#define ZSTREAM_MAX_WINDOW ((int64_t)128 << 20) /* bytes a frame may look back */
#define ZSTREAM_MAX_FRAMES (1 << 20)
#define ZSTREAM_NPY_SLACK 65536
#define ZSTREAM_MAX_RATIO 1000
#define ZSTREAM_SLACK ((int64_t)64 << 20)
#define ZSTREAM_NPY_ZEROS ((int64_t)1 << 30)

/* Does a file that begins with these bytes look like zstd? */
bool zstream_is(const unsigned char *bytes, size_t n);

/* Decompress `in` into *out, which messages call by in's path. Checksums of frames that
 * have one are verified. ERR_OS (also a full disk), ERR_FORMAT with the offset in the
 * packed file, ERR_UNSUPPORTED (window, dictionary), ERR_NOMEM, ERR_CANCELLED. */
bool zstream_map(const struct map *in, struct map *out, const struct progress *progress,
                 struct err *err);
