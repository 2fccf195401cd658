/*
 * reader.h - what a file format has to offer to container.c. Not for the layers above.
 *
 * To add a format: one file that defines a `const struct reader`, one line in the table of
 * container.c. A reader finds the file mapped in container_source(c) and adds tensors that
 * point into it; when it has to decompress, it pushes the mapping of the decompressed
 * bytes with container_push_map and points there.
 *
 * Headers are read with pread, not through the mapping, so that a file that shrinks
 * meanwhile is a plain error; mapped bytes are read inside map_guard.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/container.h"
#include "io/map.h"

#define READER_HEAD 512 /* bytes of the beginning that recognition sees, zero padded */

struct reader {
    const char *kind; /* container_kind */

    /* Does this look like ours? head [READER_HEAD] are the first bytes, of which n are the
     * file's; m is there for the few formats that need a second look. */
    bool (*recognise)(const unsigned char *head, size_t n, const struct map *m);

    /* Add the tensors. NULL: recognised, but not read; `refusal` says it to the user. */
    bool (*open)(struct container *c, const struct progress *progress, struct err *err);
    const char *refusal;
};

extern const struct reader arrow_reader, llmc_reader, npy_reader, npz_reader, parquet_reader,
    pickle_reader, safetensors_reader, torch_reader;

/* The bytes that the container's format is in: the file, or what zstd made of it. */
const struct map *container_source(const struct container *c);

/* Another mapping of this container; *m moves in. Returns where it is now. */
const struct map *container_push_map(struct container *c, struct map *m);

/* Add a tensor; the name is copied. */
void container_add(struct container *c, const struct tensor *t, const char *name);

/* A column that is no tensor, and `why` (static), for messages. The name is copied. */
void container_leave_out(struct container *c, const char *name, const char *why);

/* A string for container_meta; both are copied. */
void container_add_meta(struct container *c, const char *key, const char *value);

/* What container_value looks into, a new reference; NULL: nothing. */
void container_set_values(struct container *c, json_t *values);

/* Bytes of the source that container_verify will hold against a CRC-32. `name` is for the
 * message, copied. */
void container_add_check(struct container *c, const char *name, int64_t offset,
                         int64_t size, uint32_t crc);
