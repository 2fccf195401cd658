/* npy.c - see npy.h. */
#include "io/npy.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "io/mem.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_LEN 6

/* descr without its byte order. */
static const struct {
    const char *code;
    enum dtype dtype;
} descrs[] = {
    {"f4", DTYPE_F32}, {"f8", DTYPE_F64}, {"f2", DTYPE_F16}, {"V2", DTYPE_BF16},
    {"i1", DTYPE_I8},  {"u1", DTYPE_U8},  {"i2", DTYPE_I16}, {"u2", DTYPE_U16},
    {"i4", DTYPE_I32}, {"u4", DTYPE_U32}, {"i8", DTYPE_I64}, {"u8", DTYPE_U64},
    {"?", DTYPE_BOOL}, {"b1", DTYPE_BOOL}, /* the last of a type is what is written */
};

/* The header's text, and where in it reading has come to. */
struct scan {
    const unsigned char *text;
    size_t n, at;
    uint64_t base; /* offset of text in the file */
    struct npy *out;
    bool has_descr, has_order, has_shape;
    struct err *err;
};

static bool fail(const struct scan *s, const char *expected)
{
    char found[ERR_EXCERPT];
    return err_format(s->err, s->base + s->at, "bad npy header (found %s, expected %s)",
                      err_excerpt(s->text + s->at, s->n - s->at, found), expected);
}

static void skip_space(struct scan *s)
{
    while (s->at < s->n && s->text[s->at] && strchr(" \t\r\n\f\v", s->text[s->at]))
        s->at++;
}

/* Take the character c if it comes next. */
static bool take(struct scan *s, char c)
{
    skip_space(s);
    if (s->at >= s->n || s->text[s->at] != (unsigned char)c)
        return false;
    s->at++;
    return true;
}

/* Take a word that no letter or digit follows. */
static bool take_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    skip_space(s);
    if (s->n - s->at < len || memcmp(s->text + s->at, word, len) != 0)
        return false;
    if (s->n - s->at > len) {
        unsigned char c = s->text[s->at + len];
        if (c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
            return false;
    }
    s->at += len;
    return true;
}

/* A string in either quote, without escapes: none of the words of a header has any. */
static bool take_string(struct scan *s, char *buf, size_t size)
{
    skip_space(s);
    if (s->at >= s->n || (s->text[s->at] != '\'' && s->text[s->at] != '"'))
        return fail(s, "a string");
    unsigned char quote = s->text[s->at++];
    size_t len = 0;
    while (s->at < s->n && s->text[s->at] != quote) {
        unsigned char c = s->text[s->at];
        if (c < 0x20 || c == '\\' || len + 1 >= size)
            return fail(s, "plain text in quotes");
        buf[len++] = (char)c;
        s->at++;
    }
    if (s->at >= s->n)
        return fail(s, "a closing quote");
    s->at++;
    buf[len] = 0;
    return true;
}

bool npy_dtype(const char *code, enum dtype *dtype)
{
    for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++)
        if (strcmp(code, descrs[i].code) == 0) {
            *dtype = descrs[i].dtype;
            return true;
        }
    return false;
}

static bool parse_descr(struct scan *s)
{
    if (take(s, '['))
        return err_set(s->err, ERR_UNSUPPORTED,
                       "structured npy arrays are not read (found a list of fields, "
                       "expected one number type)");
    char descr[64];
    if (!take_string(s, descr, sizeof descr))
        return false;
    const char *code = descr;
    if (*code && strchr("<>|=", *code))
        code++;
    enum dtype dtype;
    if (npy_dtype(code, &dtype)) {
        s->out->array.dtype = dtype;
        s->out->array.swapped = descr[0] == '>' && dtype_info[dtype].size > 1;
        return true;
    }
    const char *what = code[0] == 'O'   ? " (pickled Python objects)"
                       : code[0] == 'U' || code[0] == 'S' ? " (text)"
                       : code[0] == 'M' || code[0] == 'm' ? " (dates)"
                       : code[0] == 'c' ? " (complex numbers)"
                       : code[0] == 'V' ? " (raw bytes)"
                                        : "";
    return err_set(s->err, ERR_UNSUPPORTED,
                   "npy dtype is not read (found '%s'%s, expected a float, integer or bool)",
                   descr, what);
}

static bool parse_order(struct scan *s)
{
    bool fortran = take_word(s, "True");
    if (!fortran && !take_word(s, "False"))
        return fail(s, "True or False");
    s->out->fortran = fortran;
    return true;
}

static bool take_dim(struct scan *s, int64_t *dim)
{
    size_t start = s->at;
    int64_t v = 0;
    while (s->at < s->n && s->text[s->at] >= '0' && s->text[s->at] <= '9') {
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, s->text[s->at] - '0', &v))
            return fail(s, "a dimension below 2^63");
        s->at++;
    }
    if (s->at == start)
        return fail(s, "a dimension");
    if (s->at < s->n && s->text[s->at] == 'L') /* Python 2's long */
        s->at++;
    *dim = v;
    return true;
}

static bool parse_shape(struct scan *s)
{
    struct tensor *t = &s->out->array;
    t->ndim = 0;
    if (!take(s, '('))
        return fail(s, "a tuple");
    bool comma = true;
    while (!take(s, ')')) {
        if (!comma)
            return fail(s, "',' or ')' in 'shape'");
        if (t->ndim == TENSOR_MAX_DIMS)
            return err_set(s->err, ERR_UNSUPPORTED,
                           "too many dimensions (found more, expected at most %d)",
                           TENSOR_MAX_DIMS);
        if (!take_dim(s, &t->shape[t->ndim]))
            return false;
        t->ndim++;
        comma = take(s, ',');
    }
    if (t->ndim == 1 && !comma)
        return fail(s, "a comma in a tuple of one"); /* (5) is a number in Python */
    return true;
}

static const struct {
    const char *name;
    bool (*parse)(struct scan *s);
    size_t seen; /* offset of its flag in struct scan */
} keys[] = {
    {"descr", parse_descr, offsetof(struct scan, has_descr)},
    {"fortran_order", parse_order, offsetof(struct scan, has_order)},
    {"shape", parse_shape, offsetof(struct scan, has_shape)},
};

static bool parse_entry(struct scan *s)
{
    char name[64];
    if (!take_string(s, name, sizeof name))
        return false;
    if (!take(s, ':'))
        return fail(s, "':'");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(name, keys[i].name) != 0)
            continue;
        bool *seen = (bool *)((char *)s + keys[i].seen);
        if (*seen)
            return fail(s, "no key twice");
        *seen = true;
        return keys[i].parse(s);
    }
    return fail(s, "'descr', 'fortran_order' or 'shape' before it");
}

static bool parse_dict(struct scan *s)
{
    if (!take(s, '{'))
        return fail(s, "'{'");
    bool comma = true;
    while (!take(s, '}')) {
        if (!comma)
            return fail(s, "',' or '}'");
        if (!parse_entry(s))
            return false;
        comma = take(s, ',');
    }
    skip_space(s);
    if (s->at != s->n)
        return fail(s, "nothing behind the dictionary");
    if (!s->has_descr || !s->has_order || !s->has_shape)
        return fail(s, "the keys 'descr', 'fortran_order' and 'shape' before it");
    return true;
}

static bool check_size(struct npy *npy, int64_t file_size, struct err *err)
{
    const struct tensor *t = &npy->array;
    int64_t count, bytes;
    char shape[128];
    tensor_shape_text(t, shape, sizeof shape);
    if (!mem_mul_dims(t->shape, t->ndim, &count) ||
        __builtin_mul_overflow(count, dtype_info[t->dtype].size, &bytes))
        return err_format(err, 8, "array is too large (found %s, expected less than 2^63 bytes)",
                          shape);
    if (bytes > file_size - npy->data_offset)
        return err_format(err, (uint64_t)file_size,
                          "npy data ends early (found %lld bytes, expected %lld for %s %s)",
                          (long long)(file_size - npy->data_offset), (long long)bytes,
                          dtype_info[t->dtype].name, shape);
    npy->data_size = bytes;
    return true;
}

bool npy_is(const unsigned char *bytes, size_t n)
{
    return n >= MAGIC_LEN && memcmp(bytes, MAGIC, MAGIC_LEN) == 0;
}

bool npy_parse(const unsigned char *bytes, size_t n, int64_t file_size, struct npy *out,
               struct err *err)
{
    if (!npy_is(bytes, n))
        return err_format(err, 0, "not an npy file (found other bytes, expected \\x93NUMPY)");
    if (n < 10)
        return err_format(err, n, "npy header ends early (found %zu bytes, expected 10)", n);
    unsigned version = bytes[6];
    if (version < 1 || version > 3 || bytes[7] != 0)
        return err_format(err, 6, "npy version is not known (found %u.%u, expected 1.0 to 3.0)",
                          version, bytes[7]);
    size_t start = version == 1 ? 10 : 12;
    if (n < start)
        return err_format(err, n, "npy header ends early (found %zu bytes, expected %zu)", n,
                          start);
    uint32_t len = bytes[8] | (uint32_t)bytes[9] << 8;
    if (version > 1)
        len |= (uint32_t)bytes[10] << 16 | (uint32_t)bytes[11] << 24;
    if (len > NPY_MAX_HEADER)
        return err_format(err, 8, "npy header is too long (found %u bytes, expected at most %d)",
                          len, NPY_MAX_HEADER);
    if (n - start < len)
        return err_format(err, n, "npy header ends early (found %zu bytes, expected %u)",
                          n - start, len);

    struct npy npy = {.data_offset = (int64_t)(start + len)};
    struct scan s = {.text = bytes + start, .n = len, .base = start, .out = &npy, .err = err};
    if (!parse_dict(&s) || !check_size(&npy, file_size, err))
        return false;
    tensor_set_strides(&npy.array, npy.fortran);
    *out = npy;
    return true;
}

size_t npy_write_header(enum dtype dtype, int ndim, const int64_t *shape,
                        unsigned char *buf, size_t size)
{
    assert(size >= NPY_HEADER_ROOM && ndim >= 0 && ndim <= TENSOR_MAX_DIMS);
    const char *code = "";
    for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++)
        if (descrs[i].dtype == dtype)
            code = descrs[i].code;
    char *text = (char *)buf;
    int n = 10;
    n += snprintf(text + n, size - (size_t)n,
                  "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                  dtype_info[dtype].size > 1 ? '<' : '|', code);
    for (int i = 0; i < ndim; i++)
        n += snprintf(text + n, size - (size_t)n, "%s%lld", i ? ", " : "",
                      (long long)shape[i]);
    n += snprintf(text + n, size - (size_t)n, "%s), }", ndim == 1 ? "," : "");
    while ((n + 1) % 64 != 0)
        text[n++] = ' ';
    text[n++] = '\n';
    memcpy(buf, MAGIC "\1\0", 8);
    buf[8] = (unsigned char)(n - 10);
    buf[9] = (unsigned char)((n - 10) >> 8);
    return (size_t)n;
}
