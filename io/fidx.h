/*
 * fidx.h - the container of our own files in the cache: named sections, checksummed.
 *
 * Layout (little-endian; written and read on such machines only):
 *
 *   0    8 bytes  magic "saescfx\1"
 *   8    u64      version of what the sections hold, given by the user of the container
 *   16   u64      size of the whole file
 *   24   u32      number of sections, n <= FIDX_SECTIONS
 *   28   u32      0
 *   32   u64      XXH3 (64 bits) of bytes 0..31 and of the directory
 *   40   24 bytes 0
 *   64   FIDX_SECTIONS x { char name[16]; u64 offset, size, hash; }   the directory
 *   ...  sections, each starting at a multiple of 64
 *
 * `hash` is the XXH3 of a section's bytes. Sections that are read piecemeal are written
 * unchecked (hash 0) and carry checksums of their own.
 *
 * Writing goes to a temporary name and becomes the file on commit, in one step: a reader
 * sees the old file or the new one, and two writers do not disturb each other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

#define FIDX_SECTIONS 16

struct fidx_writer;

/* NULL on failure. `path` may exist: it is replaced on commit. */
struct fidx_writer *fidx_create(const char *path, uint64_t version, struct err *err);

/* Start the next section; name has at most 15 bytes. */
bool fidx_begin(struct fidx_writer *w, const char *name, bool checked, struct err *err);
/* Append to the section that was begun last. */
bool fidx_append(struct fidx_writer *w, const void *data, size_t n, struct err *err);

/* Both release w. */
bool fidx_commit(struct fidx_writer *w, struct err *err);
void fidx_abort(struct fidx_writer *w); /* NULL is fine */

/* Does the file begin as one of ours? A damaged one still does; another program's file
 * does not, and is not for us to replace. False when it cannot be read. */
bool fidx_is(const char *path);

struct fidx;

/* Map the file and check its header. ERR_MISSING when there is no such file, ERR_RANGE for
 * another version, ERR_FORMAT when it is damaged. */
struct fidx *fidx_open(const char *path, uint64_t version, struct err *err);
void fidx_close(struct fidx *f); /* NULL is fine */

/* A section's bytes, 64-byte aligned, borrowed; *size gets its length. Checked sections
 * are verified here, each time. NULL with ERR_FORMAT (damaged) or ERR_MISSING. */
const void *fidx_section(const struct fidx *f, const char *name, size_t *size,
                         struct err *err);
int64_t fidx_bytes(const struct fidx *f);
