/*
 * npy.h - the .npy format: headers in, headers out. No files, no allocation.
 *
 *   0      6    "\x93NUMPY"
 *   6      2    version: 1.0, 2.0 or 3.0
 *   8      2|4  header length, u16 (1.0) or u32 (2.0, 3.0), little-endian
 *   10|12  ...  a Python dict literal: {'descr': '<f4', 'fortran_order': False,
 *               'shape': (3, 4), }, padded with spaces and ended by a newline
 *   ...         the elements, without gaps
 *
 * Source: numpy/lib/format.py. The loader is tolerant where writers differ (order of the
 * keys, spaces, either quote, Python 2's 3L, any alignment, bytes behind the array) and
 * strict where it matters (sizes, keys, range). bfloat16 arrays reach the disk as two-byte
 * voids, <V2 or |V2, because numpy has no name for the type; they are read and written so.
 *
 * The pair npy.c, npy.h can be lifted out: it needs only err, mem and tensor beside it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/tensor.h"

#define NPY_MAX_HEADER 65535 /* bytes; numpy itself stops at 10 000 unless asked */
#define NPY_MAX_PREFIX (12 + NPY_MAX_HEADER) /* what npy_parse can want to see */

struct npy {
    struct tensor array; /* name and data are left NULL for the caller to set */
    int64_t data_offset; /* of element 0, in the file */
    int64_t data_size;   /* bytes of all elements */
    bool fortran;        /* stored column-major (the strides say so too) */
};

/* The type that NumPy calls by this code, which has no byte order ("f4", "b1"). */
bool npy_dtype(const char *code, enum dtype *dtype);

/* Does a file that begins with these bytes claim to be npy? */
bool npy_is(const unsigned char *bytes, size_t n);

/*
 * Parse the header. bytes [n] are the beginning of a file of `file_size` bytes (INT64_MAX
 * when that is not known yet): all of it, or at least NPY_MAX_PREFIX. Errors, all without
 * a path: ERR_FORMAT with the offset in the file, ERR_UNSUPPORTED for a dtype that is no
 * number and for more than TENSOR_MAX_DIMS dimensions.
 */
bool npy_parse(const unsigned char *bytes, size_t n, int64_t file_size, struct npy *out,
               struct err *err);

/* Write the header of a native array in row-major order into buf; returns its length, a
 * multiple of 64. NPY_HEADER_ROOM bytes are enough for any. */
#define NPY_HEADER_ROOM 320
size_t npy_write_header(enum dtype dtype, int ndim, const int64_t *shape,
                        unsigned char *buf, size_t size);
