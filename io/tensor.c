/* tensor.c - see tensor.h. The f16 conversions live in f16.c. */
#include "io/tensor.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensor.swapped means big-endian bytes on a little-endian machine");

const struct dtype_info dtype_info[DTYPE_COUNT] = {
    [DTYPE_F32]  = {"float32",  "F32",  4, true},
    [DTYPE_F64]  = {"float64",  "F64",  8, true},
    [DTYPE_F16]  = {"float16",  "F16",  2, true},
    [DTYPE_BF16] = {"bfloat16", "BF16", 2, true},
    [DTYPE_I8]   = {"int8",     "I8",   1, false},
    [DTYPE_U8]   = {"uint8",    "U8",   1, false},
    [DTYPE_I16]  = {"int16",    "I16",  2, false},
    [DTYPE_U16]  = {"uint16",   "U16",  2, false},
    [DTYPE_I32]  = {"int32",    "I32",  4, false},
    [DTYPE_U32]  = {"uint32",   "U32",  4, false},
    [DTYPE_I64]  = {"int64",    "I64",  8, false},
    [DTYPE_U64]  = {"uint64",   "U64",  8, false},
    [DTYPE_BOOL] = {"bool",     "BOOL", 1, false},
};

/* Elements gathered at a time on their way through a conversion. */
#define BATCH 256

int64_t tensor_count(const struct tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

const char *tensor_shape_text(const struct tensor *t, char *buf, size_t size)
{
    size_t len = (size_t)snprintf(buf, size, "[");
    for (int i = 0; i < t->ndim && len < size; i++)
        len += (size_t)snprintf(buf + len, size - len, "%s%lld", i ? ", " : "",
                                (long long)t->shape[i]);
    if (len < size)
        snprintf(buf + len, size - len, "]");
    return buf;
}

bool tensor_is_contiguous(const struct tensor *t)
{
    if (tensor_count(t) == 0)
        return true;
    int64_t want = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->stride[i] != want)
            return false;
        want *= t->shape[i];
    }
    return true;
}

void tensor_set_strides(struct tensor *t, bool fortran)
{
    int64_t step = 1;
    for (int k = 0; k < t->ndim; k++) {
        int i = fortran ? k : t->ndim - 1 - k;
        t->stride[i] = step;
        /* A tensor without elements has no step that matters, and must not overflow. */
        if (__builtin_mul_overflow(step, t->shape[i], &step))
            step = 0;
    }
}

static bool is_plain_f32(const struct tensor *t)
{
    return t->dtype == DTYPE_F32 && !t->swapped && (uintptr_t)t->data % _Alignof(float) == 0;
}

const float *tensor_f32(const struct tensor *t)
{
    return is_plain_f32(t) && tensor_is_contiguous(t) ? (const void *)t->data : NULL;
}

/* A copy whose size the compiler knows is one move. */
#define GATHER(size)                                                                    \
    for (size_t i = 0; i < n; i++)                                                      \
        memcpy(out + i * (size), src + (int64_t)i * step, (size));                      \
    break

/* n elements, `stride` elements apart, to `out` in native order without gaps. */
static void gather(const struct tensor *t, const unsigned char *src, int64_t stride,
                   size_t n, unsigned char *out)
{
    const size_t size = (size_t)dtype_info[t->dtype].size;
    const int64_t step = stride * (int64_t)size;
    if (t->swapped) {
        for (size_t i = 0; i < n; i++)
            for (size_t b = 0; b < size; b++)
                out[i * size + b] = src[(int64_t)i * step + (int64_t)(size - 1 - b)];
        return;
    }
    switch (size) {
    case 1: GATHER(1);
    case 2: GATHER(2);
    case 4: GATHER(4);
    case 8: GATHER(8);
    }
}

/* One loop a type; the bytes may be unaligned. */
#define CONVERT(type, out, expr)                                                        \
    for (size_t i = 0; i < n; i++) {                                                    \
        type v;                                                                         \
        memcpy(&v, src + i * sizeof v, sizeof v);                                       \
        (out)[i] = (expr);                                                              \
    }                                                                                   \
    break

static void to_f32(enum dtype dtype, const unsigned char *src, size_t n, float *out)
{
    switch (dtype) {
    case DTYPE_F32: memcpy(out, src, n * sizeof *out); break;
    case DTYPE_F16: f32_from_f16(src, out, n); break;
    case DTYPE_BF16: f32_from_bf16(src, out, n); break;
    case DTYPE_F64: CONVERT(double, out, (float)v);
    case DTYPE_I8: CONVERT(int8_t, out, (float)v);
    case DTYPE_U8: CONVERT(uint8_t, out, (float)v);
    case DTYPE_I16: CONVERT(int16_t, out, (float)v);
    case DTYPE_U16: CONVERT(uint16_t, out, (float)v);
    case DTYPE_I32: CONVERT(int32_t, out, (float)v);
    case DTYPE_U32: CONVERT(uint32_t, out, (float)v);
    case DTYPE_I64: CONVERT(int64_t, out, (float)v);
    case DTYPE_U64: CONVERT(uint64_t, out, (float)v);
    case DTYPE_BOOL: CONVERT(uint8_t, out, v != 0 ? 1.0f : 0.0f);
    case DTYPE_COUNT: break;
    }
}

static void to_i64(enum dtype dtype, const unsigned char *src, size_t n, int64_t *out)
{
    switch (dtype) {
    case DTYPE_I8: CONVERT(int8_t, out, v);
    case DTYPE_U8: CONVERT(uint8_t, out, v);
    case DTYPE_I16: CONVERT(int16_t, out, v);
    case DTYPE_U16: CONVERT(uint16_t, out, v);
    case DTYPE_I32: CONVERT(int32_t, out, v);
    case DTYPE_U32: CONVERT(uint32_t, out, v);
    case DTYPE_I64: CONVERT(int64_t, out, v);
    case DTYPE_U64: CONVERT(uint64_t, out, v > INT64_MAX ? INT64_MAX : (int64_t)v);
    case DTYPE_BOOL: CONVERT(uint8_t, out, v != 0);
    default: assert(!"tensor_read_i64 of a float tensor");
    }
}

/* n elements that lie `stride` elements apart, as f32. */
static void run_f32(const struct tensor *t, const unsigned char *src, int64_t stride,
                    size_t n, float *out)
{
    if (stride == 1 && !t->swapped) {
        to_f32(t->dtype, src, n, out);
        return;
    }
    unsigned char batch[BATCH * 8];
    for (size_t i = 0; i < n; i += BATCH) {
        size_t m = n - i < BATCH ? n - i : BATCH;
        gather(t, src + (int64_t)i * stride * dtype_info[t->dtype].size, stride, m, batch);
        to_f32(t->dtype, batch, m, out + i);
    }
}

static void run_i64(const struct tensor *t, const unsigned char *src, int64_t stride,
                    size_t n, int64_t *out)
{
    unsigned char batch[BATCH * 8];
    for (size_t i = 0; i < n; i += BATCH) {
        size_t m = n - i < BATCH ? n - i : BATCH;
        gather(t, src + (int64_t)i * stride * dtype_info[t->dtype].size, stride, m, batch);
        to_i64(t->dtype, batch, m, out + i);
    }
}

/* A stretch of logical elements as the runs that it is made of in memory. */
struct walk {
    const struct tensor *t;
    int64_t first, left; /* logical element, elements still to come */
};

/* The next run: where it starts, its stride, its length (0: the end). */
static size_t walk_next(struct walk *w, const unsigned char **src, int64_t *stride)
{
    const struct tensor *t = w->t;
    if (w->left <= 0)
        return 0;
    int64_t n = w->left, at = 0, index = w->first;
    if (tensor_is_contiguous(t)) {
        at = index;
        *stride = 1;
    } else {
        int last = t->ndim - 1;
        int64_t column = index % t->shape[last];
        if (n > t->shape[last] - column)
            n = t->shape[last] - column;
        *stride = t->stride[last];
        for (int i = last; i >= 0; i--) {
            at += index % t->shape[i] * t->stride[i];
            index /= t->shape[i];
        }
    }
    *src = t->data + at * dtype_info[t->dtype].size;
    w->first += n;
    w->left -= n;
    return (size_t)n;
}

void tensor_read_f32(const struct tensor *t, int64_t first, int64_t n, float *out)
{
    assert(first >= 0 && n >= 0 && first <= tensor_count(t) - n);
    struct walk w = {t, first, n};
    const unsigned char *src;
    int64_t stride;
    for (size_t m; (m = walk_next(&w, &src, &stride)) > 0; out += m)
        run_f32(t, src, stride, m, out);
}

void tensor_read_i64(const struct tensor *t, int64_t first, int64_t n, int64_t *out)
{
    assert(!dtype_info[t->dtype].is_float);
    assert(first >= 0 && n >= 0 && first <= tensor_count(t) - n);
    struct walk w = {t, first, n};
    const unsigned char *src;
    int64_t stride;
    for (size_t m; (m = walk_next(&w, &src, &stride)) > 0; out += m)
        run_i64(t, src, stride, m, out);
}

void tensor_copy(const struct tensor *t, int64_t first, int64_t n, void *out)
{
    assert(first >= 0 && n >= 0 && first <= tensor_count(t) - n);
    struct walk w = {t, first, n};
    const unsigned char *src;
    unsigned char *to = out;
    int64_t stride;
    for (size_t m; (m = walk_next(&w, &src, &stride)) > 0;) {
        gather(t, src, stride, m, to);
        to += m * (size_t)dtype_info[t->dtype].size;
    }
}

struct mat mat_of(const struct tensor *t, bool transposed)
{
    assert(t->ndim == 2);
    int r = transposed, c = !transposed;
    return (struct mat){.t = t, .rows = t->shape[r], .cols = t->shape[c],
                        .row_stride = t->stride[r], .col_stride = t->stride[c]};
}

const float *mat_f32(const struct mat *m, int64_t *ld)
{
    if (!m->t || !is_plain_f32(m->t) || (m->cols > 1 && m->col_stride != 1))
        return NULL;
    if (m->rows > 1 && m->row_stride < m->cols)
        return NULL;
    *ld = m->row_stride > m->cols ? m->row_stride : m->cols;
    return (const void *)m->t->data;
}

/* Rows of a matrix whose columns are what lies together in memory: by tiles of TILE
 * rows, each column's piece read as one run and scattered into rows that stay in cache. */
static void read_tiles(const struct mat *m, int64_t first, int64_t n, float *out)
{
    enum { TILE = 64 };
    const int64_t size = dtype_info[m->t->dtype].size;
    float piece[TILE];
    for (int64_t j0 = 0; j0 < m->cols; j0 += TILE) {
        int64_t j1 = j0 + TILE < m->cols ? j0 + TILE : m->cols;
        for (int64_t i0 = 0; i0 < n; i0 += TILE) {
            int64_t rows = n - i0 < TILE ? n - i0 : TILE;
            for (int64_t j = j0; j < j1; j++) {
                int64_t at = (first + i0) * m->row_stride + j * m->col_stride;
                run_f32(m->t, m->t->data + at * size, m->row_stride, (size_t)rows, piece);
                for (int64_t i = 0; i < rows; i++)
                    out[(i0 + i) * m->cols + j] = piece[i];
            }
        }
    }
}

void mat_read_rows(const struct mat *m, int64_t first, int64_t n, float *out)
{
    assert(m->t && first >= 0 && n >= 0 && first <= m->rows - n);
    if (m->col_stride > m->row_stride && n > 1) {
        read_tiles(m, first, n, out);
        return;
    }
    const int64_t size = dtype_info[m->t->dtype].size;
    for (int64_t i = 0; i < n; i++)
        run_f32(m->t, m->t->data + (first + i) * m->row_stride * size, m->col_stride,
                (size_t)m->cols, out + i * m->cols);
}

/* As read_tiles. */
static void copy_tiles(const struct mat *m, int64_t first, int64_t n, unsigned char *out)
{
    enum { TILE = 64 };
    const int64_t size = dtype_info[m->t->dtype].size;
    unsigned char piece[TILE * 8];
    for (int64_t j0 = 0; j0 < m->cols; j0 += TILE) {
        int64_t j1 = j0 + TILE < m->cols ? j0 + TILE : m->cols;
        for (int64_t i0 = 0; i0 < n; i0 += TILE) {
            int64_t rows = n - i0 < TILE ? n - i0 : TILE;
            for (int64_t j = j0; j < j1; j++) {
                int64_t at = (first + i0) * m->row_stride + j * m->col_stride;
                gather(m->t, m->t->data + at * size, m->row_stride, (size_t)rows, piece);
                for (int64_t i = 0; i < rows; i++)
                    memcpy(out + ((i0 + i) * m->cols + j) * size, piece + i * size,
                           (size_t)size);
            }
        }
    }
}

void mat_copy_rows(const struct mat *m, int64_t first, int64_t n, void *out)
{
    assert(m->t && first >= 0 && n >= 0 && first <= m->rows - n);
    if (m->col_stride > m->row_stride && n > 1) {
        copy_tiles(m, first, n, out);
        return;
    }
    const int64_t size = dtype_info[m->t->dtype].size;
    for (int64_t i = 0; i < n; i++)
        gather(m->t, m->t->data + (first + i) * m->row_stride * size, m->col_stride,
               (size_t)m->cols, (unsigned char *)out + i * m->cols * size);
}
