/* safetensors.c - see safetensors.h. */
#include "io/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/json.h"
#include "io/mem.h"
#include "io/reader.h"

#define META "__metadata__"

/* Valid dtypes that have no conversion here. */
static const char *const unread_dtypes[] = {
    "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "F4", "F6_E2M3", "F6_E3M2", "C64",
};

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static uint64_t u64_le(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

bool safetensors_is(const unsigned char *bytes, size_t n)
{
    /* Lengths that are wrong but could be meant get through, to be told what is wrong with
     * them; five bytes of length below three zeros are no text of any kind. */
    return n >= 9 && u64_le(bytes) >> 40 == 0 && (bytes[8] == '{' || is_space(bytes[8]));
}

bool safetensors_header_size(const unsigned char bytes[8], int64_t file_size, size_t *n,
                             struct err *err)
{
    uint64_t len = u64_le(bytes);
    if (len > SAFETENSORS_MAX_HEADER)
        return err_format(err, 0,
                          "safetensors header is too long (found %" PRIu64
                          " bytes, expected at most %d)", len, SAFETENSORS_MAX_HEADER);
    if (file_size < 8 || (int64_t)len > file_size - 8)
        return err_format(err, (uint64_t)file_size,
                          "safetensors header ends early (found %" PRId64 " bytes, expected %"
                          PRIu64 ")", file_size < 8 ? 0 : file_size - 8, len);
    *n = (size_t)len;
    return true;
}

/* JSON values cost memory that their few bytes do not show, and long strings are copied
 * often: both are bounded before any is made. Each value but the first stands behind one
 * of , : [ { outside a string. */
static bool check_cost(const char *text, size_t n, struct err *err)
{
    size_t values = 1, string = 0; /* string: where one began, plus 1 */
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '"') {
            if (string && i - string > SAFETENSORS_MAX_STRING)
                return err_format(err, 8 + string, "safetensors header has a long string "
                                  "(found %zu bytes, expected at most %d)", i - string,
                                  SAFETENSORS_MAX_STRING);
            string = string ? 0 : i + 1;
        } else if (string) {
            i += c == '\\';
        } else if (c == ',' || c == ':' || c == '[' || c == '{') {
            values++;
        }
    }
    return values <= SAFETENSORS_MAX_VALUES ||
           err_format(err, 8, "safetensors header has too many values (found %zu, expected "
                      "at most %d)", values, SAFETENSORS_MAX_VALUES);
}

/* A value of the header that is not what it should be. */
static bool wrong(struct err *err, const char *what, const json_t *v, const char *expected)
{
    char brief[64];
    return err_format(err, 8, "bad %s (found %s, expected %s)", what,
                      json_brief(v, brief, sizeof brief), expected);
}

static bool parse_dtype(const json_t *v, enum dtype *dtype, struct err *err)
{
    const char *name = json_string_value(v);
    if (!name)
        return wrong(err, "dtype", v, "a string");
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (strcmp(name, dtype_info[i].safetensors) == 0) {
            *dtype = (enum dtype)i;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof unread_dtypes / sizeof *unread_dtypes; i++)
        if (strcmp(name, unread_dtypes[i]) == 0)
            return err_set(err, ERR_UNSUPPORTED,
                           "dtype is not read (found %s, expected F16, BF16, F32, F64, an "
                           "integer or BOOL)", name);
    return wrong(err, "dtype", v, "a known one");
}

static bool parse_shape(const json_t *v, struct tensor *t, struct err *err)
{
    if (!json_is_array(v))
        return wrong(err, "shape", v, "a list");
    size_t n = json_array_size(v);
    if (n > TENSOR_MAX_DIMS)
        return err_set(err, ERR_UNSUPPORTED,
                       "too many dimensions (found %zu, expected at most %d)", n,
                       TENSOR_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(v, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return wrong(err, "shape", v, "non-negative integers");
        t->shape[i] = json_integer_value(dim);
    }
    t->ndim = (int)n;
    return true;
}

static bool parse_offsets(const json_t *v, struct safetensors_entry *e, struct err *err)
{
    const json_t *begin = json_array_get(v, 0), *end = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return wrong(err, "data_offsets", v, "two integers");
    e->begin = json_integer_value(begin);
    e->end = json_integer_value(end);
    if (e->begin < 0 || e->end < e->begin)
        return wrong(err, "data_offsets", v, "a begin and an end behind it");
    return true;
}

static bool parse_entry(const json_t *v, struct safetensors_entry *e, struct err *err)
{
    if (!json_is_object(v))
        return wrong(err, "description", v, "an object");
    if (!parse_dtype(json_object_get(v, "dtype"), &e->array.dtype, err) ||
        !parse_shape(json_object_get(v, "shape"), &e->array, err) ||
        !parse_offsets(json_object_get(v, "data_offsets"), e, err))
        return false;
    int64_t bytes;
    char shape[128];
    tensor_shape_text(&e->array, shape, sizeof shape);
    if (!mem_mul_dims(e->array.shape, e->array.ndim, &bytes) ||
        __builtin_mul_overflow(bytes, dtype_info[e->array.dtype].size, &bytes))
        return err_format(err, 8, "tensor is too large (found %s, expected less than 2^63 "
                          "bytes)", shape);
    if (bytes != e->end - e->begin)
        return err_format(err, 8, "size does not fit (found %" PRId64 " bytes of data, "
                          "expected %" PRId64 " for %s %s)", e->end - e->begin, bytes,
                          dtype_info[e->array.dtype].name, shape);
    tensor_set_strides(&e->array, false);
    return true;
}

static bool check_meta(const json_t *meta, struct err *err)
{
    if (!json_is_object(meta))
        return wrong(err, "'" META "'", meta, "a map of strings");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)meta, key, value)
        if (!json_is_string(value))
            return wrong(err, "'" META "'", value, "a map of strings");
    return true;
}

static int by_data(const void *a, const void *b)
{
    const struct safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The data must be covered without holes and overlaps. */
static bool check_cover(const struct safetensors *st, uint64_t base, int64_t data_size,
                        struct err *err)
{
    int64_t at = 0;
    for (size_t i = 0; i < st->n; i++) {
        const struct safetensors_entry *e = &st->entry[i];
        if (e->begin != at)
            return err_format(err, base + (uint64_t)at,
                              "tensor '%.100s': data has a hole or overlaps (found its "
                              "start at %" PRId64 ", expected %" PRId64 ")", e->name,
                              e->begin, at);
        at = e->end;
        if (at > data_size)
            return err_format(err, base + (uint64_t)data_size,
                              "tensor '%.100s': data ends early (found %" PRId64
                              " bytes, expected %" PRId64 ")", e->name, data_size, at);
    }
    if (at != data_size && data_size != INT64_MAX)
        return err_format(err, base + (uint64_t)at,
                          "data behind the last tensor (found %" PRId64
                          " bytes, expected %" PRId64 ")", data_size, at);
    return true;
}

static json_t *parse_json(const char *header, size_t n, struct err *err)
{
    if (!check_cost(header, n, err))
        return NULL;
    json_error_t why;
    json_t *root = json_loadb(header, n, JSON_REJECT_DUPLICATES, &why);
    if (!root) {
        err_format(err, 8 + (uint64_t)(why.position > 0 ? why.position : 0),
                   "bad safetensors header (found '%s', expected JSON)", why.text);
    } else if (!json_is_object(root)) {
        err_format(err, 8, "bad safetensors header (found a list, expected an object)");
        json_decref(root);
        root = NULL;
    }
    return root;
}

bool safetensors_parse(const char *header, size_t n, int64_t data_size,
                       struct safetensors *out, struct err *err)
{
    json_t *root = parse_json(header, n, err);
    if (!root)
        return false;
    struct safetensors st = {.json = root};
    st.entry = xcalloc(json_object_size(root), sizeof *st.entry);
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value) {
        if (strcmp(name, META) == 0) {
            if (!check_meta(value, err))
                goto fail;
            continue;
        }
        st.entry[st.n].name = name;
        if (!parse_entry(value, &st.entry[st.n], err)) {
            err_wrap(err, "tensor '%.100s'", name);
            goto fail;
        }
        st.n++;
    }
    qsort(st.entry, st.n, sizeof *st.entry, by_data);
    if (!check_cover(&st, 8 + (uint64_t)n, data_size, err))
        goto fail;
    *out = st;
    return true;
fail:
    safetensors_free(&st);
    return false;
}

void safetensors_free(struct safetensors *st)
{
    free(st->entry);
    json_decref(st->json);
    *st = (struct safetensors){0};
}

void safetensors_each_meta(const struct safetensors *st,
                           void (*fn)(void *ctx, const char *key, const char *value),
                           void *ctx)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(st->json, META), key, value)
        fn(ctx, key, json_string_value(value));
}

/* ---- as a container */

static bool recognise(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return safetensors_is(head, n);
}

static void add_meta(void *c, const char *key, const char *value)
{
    container_add_meta(c, key, value);
}

static bool open_safetensors(struct container *c, const struct progress *progress,
                             struct err *err)
{
    (void)progress;
    const struct map *m = container_source(c);
    unsigned char first[8];
    size_t n = 0;
    if (!map_pread(m, first, sizeof first, 0, err) ||
        !safetensors_header_size(first, m->size, &n, err))
        return false;
    char *header = mem_try(n, 1, "safetensors header", err);
    if (!header)
        return false;
    struct safetensors st = {0};
    int64_t base = 8 + (int64_t)n;
    bool ok = map_pread(m, header, n, 8, err) &&
              safetensors_parse(header, n, m->size - base, &st, err);
    free(header);
    if (!ok)
        return false;
    for (size_t i = 0; i < st.n; i++) {
        struct tensor t = st.entry[i].array;
        t.data = m->data + base + st.entry[i].begin;
        container_add(c, &t, st.entry[i].name);
    }
    safetensors_each_meta(&st, add_meta, c);
    safetensors_free(&st);
    return true;
}

const struct reader safetensors_reader = {
    .kind = "safetensors", .recognise = recognise, .open = open_safetensors};
