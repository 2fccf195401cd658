/*
 * map.h - a whole file mapped read-only, and what happens when it changes under us.
 *
 * A file that shrinks while it is mapped turns reads of the lost pages into SIGBUS. Work
 * that reads mapped bytes therefore runs inside map_guard, which turns that into an
 * ordinary error. Files that grow or are written to are found by map_unchanged, which a
 * job asks at its start and at its end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "io/err.h"

struct map {
    char *path;                /* owned; what messages call it */
    int fd;                    /* owned; for pread */
    const unsigned char *data; /* [size]; never NULL while open, also when size is 0 */
    int64_t size;
    struct timespec mtime;     /* at the time of opening */
    int slot;                  /* map.c's: its place among the live mappings */
};

/* Open and map a regular file (see fs_open_regular). Messages name the path. */
bool map_open(struct map *m, const char *path, struct err *err);

/* Map a file that is open already. fd is taken over, also on failure. */
bool map_fd(struct map *m, int fd, const char *path, struct err *err);

/* The same, and what `data` points to may be written. */
bool map_fd_for_writing(struct map *m, int fd, const char *path, struct err *err);

void map_close(struct map *m); /* a zeroed one is fine */

/* Has the file the size and time that it had when it was opened? If not, ERR_FORMAT
 * "PATH: changed or truncated while open". */
bool map_unchanged(const struct map *m, struct err *err);

/* n bytes at `offset` read with pread, not through the mapping. */
bool map_pread(const struct map *m, void *buf, size_t n, int64_t offset, struct err *err);

/*
 * Run fn(ctx). When it reads mapped bytes that their file no longer has, fn is left on
 * the spot and the result is false with ERR_FORMAT "PATH: changed or truncated while
 * open". fn reports its own failures through ctx; true only means that it came back.
 *
 * Guards nest, and each thread has its own: a team's threads each run inside one. As fn
 * may be left at any read of mapped bytes, what it allocates or locks belongs into ctx,
 * where the caller can release it. Faults elsewhere, or outside a guard, go to the
 * handler that was there before.
 */
bool map_guard(void (*fn)(void *ctx), void *ctx, struct err *err);

/* Whoever sets a handler of SIGBUS while guarded work may be running calls this after it:
 * the guard comes first, and passes on to that handler what is not its own. */
void map_guard_first(void);
