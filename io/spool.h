/*
 * spool.h - where decompressed bytes go: an unlinked file, mapped when it is whole.
 *
 * The bytes are pages of a file, not memory of the program, and vanish with it. Room is
 * asked for before the work is begun, so that a full disk says so at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/map.h"

struct spool {
    int fd;
    char *where; /* owned; the directory, for messages */
};

/* An empty one in the cache directory (see fs_unlinked_file). ERR_OS. */
bool spool_open(struct spool *s, struct err *err);

#define SPOOL_LEFT_FREE  ((int64_t)64 << 20) /* bytes that others keep, */
#define SPOOL_LEFT_SHARE 16                  /* or this part of a small file system */

/* `size` bytes will be needed. ERR_OS with ENOSPC when the file system would not have
 * that left besides: "DIR: no room for decompressed data (found 1.0 MB free, expected
 * 200.0 MB and 67.1 MB left)". */
bool spool_room(const struct spool *s, int64_t size, struct err *err);

/* Any thread may write; places do not overlap. */
bool spool_write(const struct spool *s, const void *p, size_t n, int64_t offset,
                 struct err *err);

/* Make the file `size` bytes long and map it for writing (m->data, without its const), so
 * that it can be cut off under a writer; see map_guard. All its blocks are taken first: a
 * write into a mapping cannot say that the disk is full. ERR_OS. */
bool spool_reserve(const struct spool *s, int64_t size, struct map *m, struct err *err);

/* The finished file as a mapping; `path` is what messages call it. *s is closed. */
bool spool_map(struct spool *s, const char *path, struct map *m, struct err *err);

void spool_close(struct spool *s); /* without mapping it; fine on a closed one */
