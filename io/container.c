/* container.c - see container.h; formats plug in through reader.h. */
#include "io/container.h"

#include <stdlib.h>
#include <string.h>

#include <libdeflate.h>

#include "io/gzip.h"
#include "io/mem.h"
#include "io/npy.h"
#include "io/reader.h"
#include "io/zip.h"
#include "io/zstream.h"

/* The file, what zstd or gzip made of it, what the members of an npz became. */
#define MAX_MAPS 3

struct check {
    char *name;
    int64_t offset, size;
    uint32_t crc;
};

struct meta {
    char *key, *value;
};

struct left_out {
    char *name;
    const char *why;
};

struct container {
    char *path;
    const struct reader *reader;
    struct map map[MAX_MAPS];
    int n_maps, source; /* source: which of them the format is in */
    struct tensor *tensors; /* names owned */
    size_t n_tensors, cap_tensors;
    struct check *checks;
    size_t n_checks, cap_checks;
    struct meta *meta;
    size_t n_meta, cap_meta;
    struct left_out *left_out;
    size_t n_left_out, cap_left_out;
    json_t *values;
};

/* ---- the table of formats */

static bool starts(const unsigned char *head, size_t n, const char *magic, size_t len)
{
    return n >= len && memcmp(head, magic, len) == 0;
}

static bool is_hdf5(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return starts(head, n, "\x89HDF\r\n\x1a\n", 8);
}

/* PyTorch before 0.1.10. */
static bool is_tar(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return n >= 262 && memcmp(head + 257, "ustar", 5) == 0;
}

static const struct reader tar_reader = {
    .kind = "tar", .recognise = is_tar,
    .refusal = "this is not read (found a tar file, expected npy, npz, safetensors or PyTorch)"};
static const struct reader hdf5_reader = {
    .kind = "hdf5", .recognise = is_hdf5,
    .refusal = "this is not read (found an HDF5 file, expected npy, npz, safetensors or PyTorch)"};

/* Asked in this order; the safetensors magic is the weakest and comes last. */
static const struct reader *const readers[] = {
    &npy_reader,     &torch_reader, &npz_reader, &pickle_reader,      &arrow_reader,
    &parquet_reader, &hdf5_reader,  &tar_reader, &llmc_reader,        &safetensors_reader,
};

/* The beginning of m, zero padded; *n gets how much of it is the file's. */
static bool read_head(const struct map *m, unsigned char head[READER_HEAD], size_t *n,
                      struct err *err)
{
    memset(head, 0, READER_HEAD);
    *n = m->size < READER_HEAD ? (size_t)m->size : READER_HEAD;
    return map_pread(m, head, *n, 0, err);
}

static const struct reader *reader_of(const unsigned char head[READER_HEAD], size_t n,
                                      const struct map *m, struct err *err)
{
    if (n == 0) {
        err_set(err, ERR_FORMAT, "nothing in it (found 0 bytes, expected a file of arrays)");
        return NULL;
    }
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (readers[i]->recognise(head, n, m))
            return readers[i];
    err_set(err, ERR_FORMAT,
            "unknown format (found bytes %02x %02x %02x %02x, expected npy, npz, "
            "safetensors, PyTorch, or one of them in zstd or gzip)", head[0], head[1], head[2], head[3]);
    return NULL;
}

static const struct reader *recognise(const struct map *m, struct err *err)
{
    unsigned char head[READER_HEAD];
    size_t n;
    return read_head(m, head, &n, err) ? reader_of(head, n, m, err) : NULL;
}

/* ---- npy, the simplest of them */

static bool is_npy(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return npy_is(head, n);
}

static bool open_npy(struct container *c, const struct progress *progress, struct err *err)
{
    (void)progress;
    const struct map *m = container_source(c);
    size_t n = m->size < NPY_MAX_PREFIX ? (size_t)m->size : NPY_MAX_PREFIX;
    unsigned char *head = xmalloc(n);
    struct npy npy;
    bool ok = map_pread(m, head, n, 0, err) && npy_parse(head, n, m->size, &npy, err);
    free(head);
    if (!ok)
        return false;
    npy.array.data = m->data + npy.data_offset;
    container_add(c, &npy.array, "");
    return true;
}

const struct reader npy_reader = {.kind = "npy", .recognise = is_npy, .open = open_npy};

/* ---- numbers and nothing else */

static const struct reader raw_reader = {.kind = "raw"};

static bool add_raw(struct container *c, enum dtype dtype, struct err *err)
{
    const struct map *m = container_source(c);
    struct tensor t = {.dtype = dtype, .ndim = 1, .data = m->data};
    t.shape[0] = m->size / dtype_info[dtype].size;
    tensor_set_strides(&t, false);
    if (!t.shape[0] || m->size % dtype_info[dtype].size)
        return err_set(err, ERR_FORMAT, "not raw %s numbers (found %lld bytes, expected a multiple "
                       "of %d)", dtype_info[dtype].name, (long long)m->size,
                       dtype_info[dtype].size);
    container_add(c, &t, "");
    return true;
}

struct container *container_open_raw(const char *path, enum dtype dtype, struct err *err)
{
    struct container *c = xcalloc(1, sizeof *c);
    unsigned char head[READER_HEAD];
    size_t n;
    c->path = xstrdup(path);
    c->reader = &raw_reader;
    bool ok = map_open(&c->map[0], path, err);
    c->n_maps = ok;
    ok = ok && read_head(&c->map[0], head, &n, err);
    if (ok && llmc_reader.recognise(head, n, &c->map[0])) { /* its header is no token */
        c->reader = &llmc_reader;
        ok = llmc_reader.open(c, NULL, err);
    } else {
        ok = ok && add_raw(c, dtype, err);
    }
    if (ok)
        return c;
    err_path(err, path);
    container_close(c);
    return NULL;
}

/* ---- for readers */

const struct map *container_source(const struct container *c)
{
    return &c->map[c->source];
}

const struct map *container_push_map(struct container *c, struct map *m)
{
    c->map[c->n_maps] = *m;
    *m = (struct map){.fd = -1};
    return &c->map[c->n_maps++];
}

void container_add(struct container *c, const struct tensor *t, const char *name)
{
    array_grow(c->tensors, c->n_tensors, c->cap_tensors);
    c->tensors[c->n_tensors] = *t;
    c->tensors[c->n_tensors++].name = xstrdup(name);
}

void container_leave_out(struct container *c, const char *name, const char *why)
{
    array_grow(c->left_out, c->n_left_out, c->cap_left_out);
    c->left_out[c->n_left_out++] = (struct left_out){xstrdup(name), why};
}

void container_add_meta(struct container *c, const char *key, const char *value)
{
    array_grow(c->meta, c->n_meta, c->cap_meta);
    c->meta[c->n_meta++] = (struct meta){xstrdup(key), xstrdup(value)};
}

void container_add_check(struct container *c, const char *name, int64_t offset,
                         int64_t size, uint32_t crc)
{
    array_grow(c->checks, c->n_checks, c->cap_checks);
    c->checks[c->n_checks++] = (struct check){xstrdup(name), offset, size, crc};
}

void container_set_values(struct container *c, json_t *values)
{
    json_decref(c->values);
    c->values = values;
}

/* ---- for everyone */

/* Is what begins in a packed file one of ours? Asked before it is unpacked, which may be
 * much work for nothing. A zip is looked at when it is there. */
static bool may_be_read(const struct map *m, bool zstd, struct err *err)
{
    unsigned char head[READER_HEAD] = {0};
    size_t n = sizeof head;
    return (zstd ? zstream_beginning : gzip_beginning)(m, head, &n, err) &&
           (n == 0 || zip_is(head, n) || reader_of(head, n, m, err));
}

/* If zstd or gzip is around the file, what is in it becomes the source. Once: no one packs twice,
 * but for harm. */
static bool unwrap(struct container *c, const struct progress *progress, struct err *err)
{
    unsigned char head[READER_HEAD];
    size_t n;
    struct map m;
    if (!read_head(&c->map[0], head, &n, err))
        return false;
    bool zstd = zstream_is(head, n);
    if (!zstd && !gzip_is(head, n))
        return true;
    if (!may_be_read(&c->map[0], zstd, err) || !(zstd ? zstream_map : gzip_map)(&c->map[0], &m, progress, err))
        return false;
    container_push_map(c, &m);
    c->source = 1;
    return true;
}

struct container *container_open(const char *path, const struct progress *progress,
                                 struct err *err)
{
    struct container *c = xcalloc(1, sizeof *c);
    c->path = xstrdup(path);
    bool ok = map_open(&c->map[0], path, err);
    if (ok) {
        c->n_maps = 1;
        ok = unwrap(c, progress, err) && (c->reader = recognise(container_source(c), err));
    }
    if (ok && !c->reader->open)
        ok = err_set(err, ERR_UNSUPPORTED, "%s", c->reader->refusal);
    if (ok && c->reader->open(c, progress, err))
        return c;
    err_path(err, path);
    container_close(c);
    return NULL;
}

void container_close(struct container *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_maps; i++)
        map_close(&c->map[i]);
    for (size_t i = 0; i < c->n_tensors; i++)
        free((char *)c->tensors[i].name);
    for (size_t i = 0; i < c->n_checks; i++)
        free(c->checks[i].name);
    for (size_t i = 0; i < c->n_meta; i++) {
        free(c->meta[i].key);
        free(c->meta[i].value);
    }
    for (size_t i = 0; i < c->n_left_out; i++)
        free(c->left_out[i].name);
    json_decref(c->values);
    free(c->tensors);
    free(c->checks);
    free(c->meta);
    free(c->left_out);
    free(c->path);
    free(c);
}

static bool verify_one(const struct container *c, const struct check *check,
                       int64_t *done, int64_t of, const struct progress *progress,
                       struct err *err)
{
    enum { PIECE = 1 << 20 };
    unsigned char *buf = xmalloc(PIECE);
    uint32_t crc = 0;
    bool ok = true;
    for (int64_t at = 0; ok && at < check->size; at += PIECE) {
        size_t n = check->size - at < PIECE ? (size_t)(check->size - at) : PIECE;
        ok = map_pread(container_source(c), buf, n, check->offset + at, err);
        if (ok)
            crc = libdeflate_crc32(crc, buf, n);
        *done += (int64_t)n;
        if (ok && !progress_step(progress, "verifying", *done, of))
            ok = err_set(err, ERR_CANCELLED, "cancelled");
    }
    free(buf);
    if (ok && crc != check->crc)
        ok = err_format(err, (uint64_t)check->offset,
                        "member '%.100s' is damaged (found CRC-32 %08x, expected %08x)",
                        check->name, crc, check->crc);
    return ok;
}

bool container_verify(const struct container *c, const struct progress *progress,
                      struct err *err)
{
    int64_t done = 0, of = 0;
    for (size_t i = 0; i < c->n_checks; i++)
        of += c->checks[i].size;
    for (size_t i = 0; i < c->n_checks; i++)
        if (!verify_one(c, &c->checks[i], &done, of, progress, err))
            return err_path(err, c->path);
    return true;
}

bool container_unchanged(const struct container *c, struct err *err)
{
    return map_unchanged(&c->map[0], err);
}

bool container_unpacked(const struct container *c)
{
    return c->n_maps > 1;
}

const char *container_path(const struct container *c)
{
    return c->path;
}

const char *container_kind(const struct container *c)
{
    return c->reader->kind;
}

size_t container_count(const struct container *c)
{
    return c->n_tensors;
}

const struct tensor *container_at(const struct container *c, size_t i)
{
    return i < c->n_tensors ? &c->tensors[i] : NULL;
}

const struct tensor *container_find(const struct container *c, const char *name)
{
    for (size_t i = 0; i < c->n_tensors; i++)
        if (strcmp(c->tensors[i].name, name) == 0)
            return &c->tensors[i];
    return NULL;
}

const char *container_left_out(const struct container *c, const char **name)
{
    for (size_t i = 0; i < c->n_left_out; i++)
        if (!*name || strcmp(c->left_out[i].name, *name) == 0) {
            *name = c->left_out[i].name;
            return c->left_out[i].why;
        }
    return NULL;
}

int container_fd(const struct container *c, const struct tensor *t, int64_t *offset)
{
    for (int i = 0; i < c->n_maps; i++) {
        const struct map *m = &c->map[i];
        if (t->data >= m->data && t->data <= m->data + m->size) {
            *offset = t->data - m->data;
            return m->fd;
        }
    }
    return -1;
}

const char *container_meta(const struct container *c, const char *key)
{
    for (size_t i = 0; i < c->n_meta; i++)
        if (strcmp(c->meta[i].key, key) == 0)
            return c->meta[i].value;
    return NULL;
}

/* name below v. Keys may have dots in them themselves: all ways to cut it are tried. */
static const json_t *value_below(const json_t *v, const char *name)
{
    const json_t *found = json_object_get(v, name);
    for (const char *dot = strchr(name, '.'); !found && dot; dot = strchr(dot + 1, '.')) {
        char *key = xstrndup(name, (size_t)(dot - name));
        const json_t *inner = json_object_get(v, key);
        free(key);
        if (inner)
            found = value_below(inner, dot + 1);
    }
    return found;
}

const json_t *container_value(const struct container *c, const char *name)
{
    return *name ? value_below(c->values, name) : c->values;
}
