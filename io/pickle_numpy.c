/* pickle_numpy.c - see pickle_numpy.h. */
#include "io/pickle_numpy.h"

#include <string.h>

#include "io/mem.h"
#include "io/npy.h"

#define MAX_SCALAR 8 /* bytes of a number */

/* NumPy 2 has another name for its inner module. */
static bool is_core(const struct pickle_value *v, const char *name)
{
    static const char *const modules[] = {"numpy.core.", "numpy._core."};
    for (size_t i = 0; v && v->kind == PICKLE_GLOBAL && i < 2; i++) {
        size_t n = strlen(modules[i]);
        if (strncmp(v->text, modules[i], n) == 0 && strcmp(v->text + n, name) == 0)
            return true;
    }
    return false;
}

/* The arguments of a call of that function; NULL: v is something else. */
static const struct pickle_value *arguments(const struct pickle_value *v, const char *name)
{
    return v && v->kind == PICKLE_OBJECT && is_core(pickle_child(v, PICKLE_CALLABLE), name)
               ? pickle_child(v, PICKLE_ARGS)
               : NULL;
}

/* dtype('f4', ..), whose state has the byte order second. */
static bool read_dtype(const struct pickle_value *v, struct tensor *t)
{
    if (!v || v->kind != PICKLE_OBJECT ||
        !pickle_is_global(pickle_child(v, PICKLE_CALLABLE), "numpy.dtype"))
        return false;
    const struct pickle_value *code = pickle_child(pickle_child(v, PICKLE_ARGS), 0);
    const struct pickle_value *order = pickle_child(pickle_child(v, PICKLE_STATE), 1);
    if (!code || code->kind != PICKLE_STR || !npy_dtype(code->text, &t->dtype))
        return false;
    t->swapped = order && order->kind == PICKLE_STR && order->text[0] == '>' &&
                 dtype_info[t->dtype].size > 1;
    return true;
}

static const struct pickle_value *encoded_text(const struct pickle_value *v)
{
    if (!v || v->kind != PICKLE_OBJECT ||
        !pickle_is_global(pickle_child(v, PICKLE_CALLABLE), "_codecs.encode"))
        return NULL;
    const struct pickle_value *text = pickle_child(pickle_child(v, PICKLE_ARGS), 0);
    return text && text->kind == PICKLE_STR ? text : NULL;
}

/* Characters below 256, in UTF-8, as one byte each. */
static bool bytes_of_text(const struct pickle_value *text, unsigned char *out, size_t n)
{
    const unsigned char *s = (const unsigned char *)text->text, *end = s + text->n;
    for (size_t i = 0; i < n; i++) {
        if (s < end && *s < 0x80)
            out[i] = *s++;
        else if (end - s >= 2 && (s[0] & 0xfe) == 0xc2 && (s[1] & 0xc0) == 0x80)
            out[i] = (unsigned char)(s[0] << 6 | (s[1] & 0x3f)), s += 2;
        else
            return false;
    }
    return s == end;
}

static json_t *number_of(const struct tensor *t)
{
    double f64;
    float f32;
    int64_t i64;
    if (!dtype_info[t->dtype].is_float) {
        tensor_read_i64(t, 0, 1, &i64);
        return t->dtype == DTYPE_BOOL ? json_boolean(i64 != 0) : json_integer(i64);
    }
    if (t->dtype == DTYPE_F64) {
        tensor_copy(t, 0, 1, &f64);
        return json_real(f64); /* NULL if not finite */
    }
    tensor_read_f32(t, 0, 1, &f32);
    return json_real(f32);
}

bool pickle_numpy_scalar(const struct pickle_value *v, json_t **out)
{
    struct tensor t = {0};
    unsigned char bytes[MAX_SCALAR];
    const struct pickle_value *args = arguments(v, "multiarray.scalar");
    *out = NULL;
    if (!args)
        return false;
    if (!read_dtype(pickle_child(args, 0), &t))
        return true;
    size_t size = (size_t)dtype_info[t.dtype].size;
    const struct pickle_value *data = pickle_child(args, 1), *text = encoded_text(data);
    t.data = bytes;
    if (text) {
        if (!bytes_of_text(text, bytes, size))
            return true;
    } else if (data && data->kind == PICKLE_BYTES && data->n == size) {
        memcpy(bytes, data->bytes, size);
    } else {
        return true;
    }
    *out = number_of(&t);
    return true;
}

static bool read_shape(const struct pickle_value *v, struct tensor *t)
{
    if (!v || v->kind != PICKLE_TUPLE || v->n > TENSOR_MAX_DIMS)
        return false;
    for (const struct pickle_cell *c = v->first; c; c = c->next) {
        if (c->value->kind != PICKLE_INT || c->value->i < 0)
            return false;
        t->shape[t->ndim++] = c->value->i;
    }
    return true;
}

/* Shape, type and bytes of an array, however it was written. */
static bool find_parts(const struct pickle_value *v, const struct pickle_value *part[3],
                       bool *fortran)
{
    const struct pickle_value *args, *order;
    if (arguments(v, "multiarray._reconstruct")) {
        const struct pickle_value *state = pickle_child(v, PICKLE_STATE);
        for (size_t i = 0; i < 2; i++)
            part[i] = pickle_child(state, i + 1);
        part[2] = pickle_child(state, 4);
        order = pickle_child(state, 3);
        *fortran = order && order->kind == PICKLE_BOOL && order->i;
        return true;
    }
    if (!(args = arguments(v, "numeric._frombuffer")))
        return false;
    part[0] = pickle_child(args, 2);
    part[1] = pickle_child(args, 1);
    part[2] = pickle_child(args, 0);
    order = pickle_child(args, 3);
    *fortran = order && order->kind == PICKLE_STR && strcmp(order->text, "F") == 0;
    return true;
}

enum pickle_array pickle_numpy_array(const struct pickle_value *v, struct tensor *t)
{
    const struct pickle_value *part[3];
    bool fortran;
    int64_t n, size;
    if (!find_parts(v, part, &fortran))
        return PICKLE_NO_ARRAY;
    *t = (struct tensor){0};
    if (!read_shape(part[0], t) || !read_dtype(part[1], t))
        return PICKLE_ARRAY_BAD;
    if (encoded_text(part[2]))
        return PICKLE_ARRAY_TEXT;
    if (!part[2] || part[2]->kind != PICKLE_BYTES ||
        !mem_mul_dims(t->shape, t->ndim, &n) ||
        __builtin_mul_overflow(n, dtype_info[t->dtype].size, &size) ||
        (uint64_t)size != part[2]->n)
        return PICKLE_ARRAY_BAD;
    t->data = part[2]->bytes;
    tensor_set_strides(t, fortran);
    return PICKLE_ARRAY;
}
