/*
 * safetensors.h - the header of a .safetensors file.
 *
 *   0      u64   N, the length of the header in bytes, little-endian
 *   8      N     JSON object: tensor name -> {"dtype", "shape", "data_offsets"}, and
 *                optionally "__metadata__", a map of strings; JSON space around it
 *   8+N    ...   the elements, row-major, little-endian; data_offsets [begin, end) count
 *                from here, leave no holes and end with the file
 *
 * Source: github.com/huggingface/safetensors, README and safetensors/src/tensor.rs, whose
 * checks are all made here. Parsing only: no files, so that it can be fuzzed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/tensor.h"

#define SAFETENSORS_MAX_HEADER 100000000 /* bytes, as the reference reader */
#define SAFETENSORS_MAX_VALUES 1000000   /* JSON values, and */
#define SAFETENSORS_MAX_STRING (8 << 20) /* bytes of one string: bound the cost of parsing */

struct safetensors_entry {
    const char *name;    /* borrowed from the parsed header */
    struct tensor array; /* name and data are left NULL for the caller to set */
    int64_t begin, end;  /* bytes from the start of the data */
};

struct safetensors {
    struct safetensors_entry *entry; /* owned; in the order of their data */
    size_t n;
    void *json; /* owned: the parsed header */
};

/* Does a file that begins with bytes [n] look like one, if perhaps a damaged one? */
bool safetensors_is(const unsigned char *bytes, size_t n);

/* The length of the header from the file's first 8 bytes, checked against its size. */
bool safetensors_header_size(const unsigned char bytes[8], int64_t file_size, size_t *n,
                             struct err *err);

/*
 * Parse header [n]. data_size: bytes of the file behind the header, INT64_MAX when that is
 * not known yet. Errors, all without a path: ERR_FORMAT with the offset in the file,
 * ERR_UNSUPPORTED for a dtype that is valid but not read (named) and for more than
 * TENSOR_MAX_DIMS dimensions.
 */
bool safetensors_parse(const char *header, size_t n, int64_t data_size,
                       struct safetensors *out, struct err *err);
void safetensors_free(struct safetensors *st); /* a zeroed one is fine */

/* Calls fn for each string of "__metadata__". */
void safetensors_each_meta(const struct safetensors *st,
                           void (*fn)(void *ctx, const char *key, const char *value),
                           void *ctx);
