/*
 * tensor.h - a named n-dimensional array that lies in somebody else's bytes.
 *
 * All containers (npy, npz, safetensors, ...) yield struct tensor. It borrows: the bytes
 * are a mapping or a block owned by the container, stay where they are and may be
 * unaligned, byte-swapped or strided (Fortran order, transposed views). Reading goes
 * through the functions below, which give f32 in logical (row-major) order, or through
 * tensor_f32(), which hands out the bytes themselves when they already are plain f32.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

enum dtype {
    DTYPE_F32, DTYPE_F64, DTYPE_F16, DTYPE_BF16,
    DTYPE_I8, DTYPE_U8, DTYPE_I16, DTYPE_U16, DTYPE_I32, DTYPE_U32, DTYPE_I64, DTYPE_U64,
    DTYPE_BOOL,
    DTYPE_COUNT
};

struct dtype_info {
    const char *name;        /* "float32", as in docs/commands.md */
    const char *safetensors; /* "F32" */
    int size;                /* bytes of an element */
    bool is_float;
};
extern const struct dtype_info dtype_info[DTYPE_COUNT];

#define TENSOR_MAX_DIMS 8

struct tensor {
    const char *name;               /* borrowed from the container */
    enum dtype dtype;
    bool swapped;                   /* bytes of an element are big-endian */
    int ndim;                       /* 0: a scalar, one element */
    int64_t shape[TENSOR_MAX_DIMS];
    int64_t stride[TENSOR_MAX_DIMS]; /* in elements, >= 0 */
    const unsigned char *data;      /* borrowed; element [0, 0, ...] */
};

/* Elements in all (1 for a scalar). The container has checked that it does not overflow. */
int64_t tensor_count(const struct tensor *t);

/* "[128, 1024]" into buf; returns buf. 64 bytes hold any shape that matters. */
const char *tensor_shape_text(const struct tensor *t, char *buf, size_t size);

/* Row-major without gaps? (True of 1-D with stride 1 and of scalars.) */
bool tensor_is_contiguous(const struct tensor *t);

/* Fill stride[] for row-major (fortran: column-major) order of shape[]. */
void tensor_set_strides(struct tensor *t, bool fortran);

/* The elements where they lie, if they are native, aligned, contiguous f32; else NULL. */
const float *tensor_f32(const struct tensor *t);

/* Copy `n` elements, from logical element `first` on, converted to f32. f64 is rounded
 * to nearest; f16 subnormals, infinities and NaN convert exactly; integers round. */
void tensor_read_f32(const struct tensor *t, int64_t first, int64_t n, float *out);

/* The same to int64. Float tensors are not allowed (assert). U64 above INT64_MAX gives
 * INT64_MAX. */
void tensor_read_i64(const struct tensor *t, int64_t first, int64_t n, int64_t *out);

/* Copy `n` elements as they are stored, in native byte order. */
void tensor_copy(const struct tensor *t, int64_t first, int64_t n, void *out);

/*
 * A 2-D tensor seen as [rows, cols], either way round: struct mat is what the model code
 * works on. Row i, column j is element i * row_stride + j * col_stride.
 */
struct mat {
    const struct tensor *t; /* borrowed; NULL: no such matrix */
    int64_t rows, cols;
    int64_t row_stride, col_stride; /* in elements */
};

/* t must be 2-D (assert). transposed: rows are t's columns. */
struct mat mat_of(const struct tensor *t, bool transposed);

/* The rows where they lie, as f32 with unit column stride, or NULL; *ld gets the row
 * stride. */
const float *mat_f32(const struct mat *m, int64_t *ld);

/* Rows [first, first + n) as f32 into out [n, cols], row-major. Walks memory in the
 * matrix's own order by blocks, so that transposed matrices do not thrash. */
void mat_read_rows(const struct mat *m, int64_t first, int64_t n, float *out);

/* The same rows as they are stored, in native byte order, without gaps. */
void mat_copy_rows(const struct mat *m, int64_t first, int64_t n, void *out);

/* Conversions of n contiguous values; src may be unaligned. */
void f32_from_f16(const void *src, float *out, size_t n);
void f32_from_bf16(const void *src, float *out, size_t n);
void f16_from_f32(const float *src, uint16_t *out, size_t n); /* nearest even */
