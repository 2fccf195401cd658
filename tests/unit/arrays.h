/*
 * arrays.h - for tests of the model: safetensors and npy files made from numbers.
 */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "io/npy.h"
#include "io/tensor.h"
#include "files.h"

/* One array; values are taken as f32 (integers exactly) and stored as dtype. */
struct array {
    const char *name;
    enum dtype dtype;
    int ndim;
    int64_t shape[4];
    const float *v;
};

static inline int64_t array_count(const struct array *a)
{
    int64_t n = 1;
    for (int i = 0; i < a->ndim; i++)
        n *= a->shape[i];
    return n;
}

static inline void put_value(struct bytes *b, enum dtype dtype, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    double wide = v;
    uint16_t half;
    switch (dtype) {
    case DTYPE_F32: put(b, &v, 4); break;
    case DTYPE_F64: put(b, &wide, 8); break;
    case DTYPE_F16: f16_from_f32(&v, &half, 1); put(b, &half, 2); break;
    case DTYPE_BF16: put_le(b, bits >> 16, 2); break;
    default: put_le(b, (uint64_t)(int64_t)v, dtype_info[dtype].size); break;
    }
}

static inline void put_values(struct bytes *b, const struct array *a)
{
    for (int64_t i = 0; i < array_count(a); i++)
        put_value(b, a->dtype, a->v ? a->v[i] : 0);
}

/* The file `name` in the test's directory, with n arrays in this order. Returns its path. */
static inline const char *write_safetensors(const char *name, const struct array *a, int n)
{
    struct bytes b = {0}, body = {0};
    char header[4096], *h = header, *end = header + sizeof header;
    h += snprintf(h, (size_t)(end - h), "{");
    for (int i = 0; i < n; i++) {
        size_t begin = body.n;
        put_values(&body, &a[i]);
        h += snprintf(h, (size_t)(end - h), "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                      i ? "," : "", a[i].name, dtype_info[a[i].dtype].safetensors);
        for (int d = 0; d < a[i].ndim; d++)
            h += snprintf(h, (size_t)(end - h), "%s%lld", d ? "," : "",
                          (long long)a[i].shape[d]);
        h += snprintf(h, (size_t)(end - h), "],\"data_offsets\":[%zu,%zu]}", begin, body.n);
    }
    snprintf(h, (size_t)(end - h), "}");
    put_le(&b, strlen(header), 8);
    put_text(&b, header);
    put(&b, body.p, body.n);
    const char *path = write_bytes(name, b.p, b.n);
    bytes_free(&b);
    bytes_free(&body);
    return path;
}

static inline const char *write_npy(const char *name, const struct array *a)
{
    struct bytes b = {0};
    unsigned char head[NPY_HEADER_ROOM];
    put(&b, head, npy_write_header(a->dtype, a->ndim, a->shape, head, sizeof head));
    put_values(&b, a);
    const char *path = write_bytes(name, b.p, b.n);
    bytes_free(&b);
    return path;
}

static inline uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static inline void put_zip_member(struct bytes *file, struct bytes *directory,
                                  const char *member, const struct bytes *data)
{
    size_t at = file->n;
    for (int central = 0; central < 2; central++) {
        struct bytes *b = central ? directory : file;
        put_text(b, central ? "PK\1\2" : "PK\3\4");
        put_le(b, 20, central ? 4 : 2), put_le(b, 0, 8);
        put_le(b, crc32_of(data->p, data->n), 4), put_le(b, data->n, 4);
        put_le(b, data->n, 4);
        put_le(b, strlen(member), 2), put_zeros(b, central ? 12 : 2);
        if (central)
            put_le(b, at, 4);
        put_text(b, member);
    }
    put(file, data->p, data->n);
}

/* As numpy.savez writes it: members stored, in this order. */
static inline const char *write_npz(const char *name, const struct array *a, int n)
{
    struct bytes file = {0}, directory = {0};
    for (int i = 0; i < n; i++) {
        struct bytes npy = {0};
        char member[64];
        unsigned char head[NPY_HEADER_ROOM];
        put(&npy, head, npy_write_header(a[i].dtype, a[i].ndim, a[i].shape, head,
                                         sizeof head));
        put_values(&npy, &a[i]);
        snprintf(member, sizeof member, "%s.npy", a[i].name);
        put_zip_member(&file, &directory, member, &npy);
        bytes_free(&npy);
    }
    size_t at = file.n;
    put(&file, directory.p, directory.n);
    put_text(&file, "PK\5\6");
    put_le(&file, 0, 4), put_le(&file, (uint64_t)n, 2), put_le(&file, (uint64_t)n, 2);
    put_le(&file, directory.n, 4), put_le(&file, at, 4), put_le(&file, 0, 2);
    bytes_free(&directory);
    const char *path = write_bytes(name, file.p, file.n);
    bytes_free(&file);
    return path;
}

static inline void put_pickled_text(struct bytes *b, const char *s)
{
    put_text(b, "X");
    put_le(b, strlen(s), 4);
    put_text(b, s);
}

static inline void put_pickled_dims(struct bytes *b, const int64_t *dims, int n)
{
    put_text(b, "(");
    for (int i = 0; i < n; i++)
        put_text(b, "J"), put_le(b, (uint64_t)dims[i], 4);
    put_text(b, "t");
}

/* As torch.save: array i lies in storage i. */
static inline void put_pickled_tensor(struct bytes *b, const struct array *a, int i)
{
    static const char *const storages[DTYPE_COUNT] = {
        [DTYPE_F32] = "Float",     [DTYPE_F64] = "Double", [DTYPE_F16] = "Half",
        [DTYPE_BF16] = "BFloat16", [DTYPE_I32] = "Int",    [DTYPE_I64] = "Long",
    };
    int64_t stride[4], step = 1;
    char key[16];
    for (int d = a->ndim - 1; d >= 0; step *= a->shape[d--])
        stride[d] = step;
    snprintf(key, sizeof key, "%d", i);
    put_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_pickled_text(b, "storage");
    put_text(b, "ctorch\n"), put_text(b, storages[a->dtype]), put_text(b, "Storage\n");
    put_pickled_text(b, key);
    put_pickled_text(b, "cpu");
    put_text(b, "J"), put_le(b, (uint64_t)array_count(a), 4);
    put_text(b, "tQK");
    put_le(b, 0, 1);
    put_pickled_dims(b, a->shape, a->ndim);
    put_pickled_dims(b, stride, a->ndim);
    put_text(b, "\x89" "ccollections\nOrderedDict\n)RtR");
}

/*
 * A dictionary of n arrays as torch.save writes it. wrapping: the key of a dictionary around
 * it, or NULL. items: pickled keys and values that lie beside the arrays; around: beside the
 * wrapped dictionary.
 */
static inline const char *write_pt(const char *name, const struct array *a, int n,
                                   const char *wrapping, const char *items,
                                   const char *around)
{
    struct bytes file = {0}, directory = {0}, pickle = {0};
    put_text(&pickle, "\x80\2");
    if (wrapping) {
        put_text(&pickle, "}(");
        put_pickled_text(&pickle, wrapping);
    }
    put_text(&pickle, "}(");
    for (int i = 0; i < n; i++) {
        put_pickled_text(&pickle, a[i].name);
        put_pickled_tensor(&pickle, &a[i], i);
    }
    put_text(&pickle, items ? items : "");
    put_text(&pickle, "u");
    if (wrapping)
        put_text(&pickle, around ? around : ""), put_text(&pickle, "u");
    put_text(&pickle, ".");
    put_zip_member(&file, &directory, "x/data.pkl", &pickle);
    for (int i = 0; i < n; i++) {
        struct bytes data = {0};
        char member[32];
        snprintf(member, sizeof member, "x/data/%d", i);
        put_values(&data, &a[i]);
        put_zip_member(&file, &directory, member, &data);
        bytes_free(&data);
    }
    size_t at = file.n;
    put(&file, directory.p, directory.n);
    put_text(&file, "PK\5\6");
    put_le(&file, 0, 4), put_le(&file, (uint64_t)n + 1, 2), put_le(&file, (uint64_t)n + 1, 2);
    put_le(&file, directory.n, 4), put_le(&file, at, 4), put_le(&file, 0, 2);
    const char *path = write_bytes(name, file.p, file.n);
    bytes_free(&directory);
    bytes_free(&pickle);
    bytes_free(&file);
    return path;
}

static inline const char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, strlen(text));
}

static inline const char *make_dir(const char *name)
{
    const char *path = test_path(name);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        abort();
    return path;
}

/* Small numbers without a pattern, the same in every run: multiples of 1/64 in [-2, 2), so
 * that they are exact in every dtype. */
static inline void fill_random(float *v, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)((int)(next_random(&seed) % 256) - 128) / 64;
}
