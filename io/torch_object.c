/* torch_object.c - tensors, and what stands beside them, out of a pickled object; see torch.c. */
#include "io/torch_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/pickle_numpy.h"

#define MAX_DEPTH 64              /* of objects in objects */
#define MAX_COST ((size_t)64 << 20)
#define COST_VALUE 128            /* about what a leaf, or a tensor with its name, takes */
#define COST_STREAM 4096          /* what a stream in a bytes object takes */

/* ---- tensors */

/* What a call would give: a tensor, or what is inside a wrapping. */
enum maker { MAKE_TENSOR, MAKE_TENSOR_TYPED, UNWRAP, UNWRAP_CALL };

static const struct {
    const char *callable;
    enum maker maker;
} makers[] = {
    {"torch._utils._rebuild_tensor", MAKE_TENSOR},
    {"torch._utils._rebuild_tensor_v2", MAKE_TENSOR},
    {"torch._utils._rebuild_tensor_v3", MAKE_TENSOR_TYPED},
    {"torch._utils._rebuild_parameter", UNWRAP},
    {"torch._utils._rebuild_parameter_with_state", UNWRAP},
    {"torch._tensor._rebuild_from_type", UNWRAP_CALL},
    {"torch._tensor._rebuild_from_type_v2", UNWRAP_CALL},
};

/* Arguments of _rebuild_tensor and its successors. */
enum { ARG_STORAGE, ARG_OFFSET, ARG_SIZE, ARG_STRIDE, ARG_DTYPE_V3 = 6 };

/* The callable and arguments that make the tensor in v; false: there is none in it. */
static bool find_maker(const struct pickle_value *v, enum maker *maker,
                       const struct pickle_value **args)
{
    if (v->kind != PICKLE_OBJECT)
        return false;
    const struct pickle_value *callable = pickle_child(v, PICKLE_CALLABLE);
    *args = pickle_child(v, PICKLE_ARGS);
    for (int depth = 0; depth < 4 && callable && *args; depth++) {
        size_t i = 0, n = sizeof makers / sizeof *makers;
        while (i < n && !pickle_is_global(callable, makers[i].callable))
            i++;
        if (i == n)
            return false;
        *maker = makers[i].maker;
        if (*maker == MAKE_TENSOR || *maker == MAKE_TENSOR_TYPED)
            return true;
        const struct pickle_value *inner = pickle_child(*args, 0);
        if (*maker == UNWRAP_CALL) {
            callable = inner;
            *args = pickle_child(*args, 2);
        } else {
            callable = pickle_child(inner, PICKLE_CALLABLE);
            *args = pickle_child(inner, PICKLE_ARGS);
            if (!inner || inner->kind != PICKLE_OBJECT)
                return false;
        }
    }
    return false;
}

/* (3, 4), or torch.Size((3, 4)). */
static bool read_dims(const struct pickle_value *v, int64_t out[TENSOR_MAX_DIMS], int *n)
{
    if (v && v->kind == PICKLE_OBJECT &&
        pickle_is_global(pickle_child(v, PICKLE_CALLABLE), "torch.Size"))
        v = pickle_child(pickle_child(v, PICKLE_ARGS), 0);
    if (!v || (v->kind != PICKLE_TUPLE && v->kind != PICKLE_LIST) || v->n > TENSOR_MAX_DIMS)
        return false;
    *n = 0;
    for (const struct pickle_cell *c = v->first; c; c = c->next) {
        if (c->value->kind != PICKLE_INT || c->value->i < 0)
            return false;
        out[(*n)++] = c->value->i;
    }
    return true;
}

/* Does every element of t, from `offset` on, lie within `elements`? */
static bool lies_within(const struct tensor *t, int64_t offset, int64_t elements)
{
    int64_t last = offset, count;
    if (!mem_mul_dims(t->shape, t->ndim, &count) || offset < 0)
        return false;
    if (count == 0)
        return offset <= elements;
    for (int i = 0; i < t->ndim; i++) {
        int64_t reach;
        if (__builtin_mul_overflow(t->shape[i] - 1, t->stride[i], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return false;
    }
    return last < elements;
}

static bool bad_tensor(struct torch_load *l, const struct pickle_value *v,
                       const char *what, const char *found, const char *expected)
{
    return err_format(l->err, v->at, "tensor '%.100s': %s (found %s, expected %s)", l->path,
                      what, found, expected);
}

/* Sharing lets a small file hold endless values: all that is made is paid for. */
static bool spend(struct torch_load *l, const struct pickle_value *v, size_t cost)
{
    l->cost += cost;
    if (l->cost > MAX_COST && l->ok)
        l->ok = err_format(l->err, v->at, "it holds too many values (found more, expected "
                           "at most %zu)", MAX_COST);
    return l->ok;
}

/* What a persistent id, or a stream in a bytes object, says about the elements. */
struct elements {
    const struct torch_storage *storage;
    enum dtype dtype;
    int64_t first, n;
};

/* False: of a type that is not read, or l->ok is false. */
static bool read_id(struct torch_load *l, const struct torch_stream *s,
                    const struct pickle_value *v, struct elements *out)
{
    const struct pickle_value *id = pickle_child(v, 0), *view = pickle_child(id, ID_VIEW);
    const char *key = torch_id_key(id);
    if (!torch_storage_dtype(pickle_child(id, ID_TYPE), &out->dtype))
        return false;
    out->storage = key ? torch_find_storage(s, key) : NULL;
    if (!out->storage || !out->storage->data)
        return l->ok = bad_tensor(l, v, "its storage is not in the file", "none",
                                  "one of its key");
    out->n = pickle_child(id, ID_ELEMENTS)->i;
    if (view && view->kind == PICKLE_TUPLE) { /* (key, offset, elements) */
        const struct pickle_value *first = pickle_child(view, 1), *n = pickle_child(view, 2);
        if (!first || first->kind != PICKLE_INT || !n || n->kind != PICKLE_INT || n->i < 0)
            return l->ok = bad_tensor(l, v, "bad view of a storage", "another tuple",
                                      "key, offset, elements");
        out->first = first->i;
        out->n = n->i;
    }
    return true;
}

/* A storage that was saved by itself, into a bytes object: a pickle of its id, then it. */
static bool read_bytes(struct torch_load *l, const struct pickle_value *v, struct elements *out)
{
    const struct pickle_value *bytes = pickle_child(pickle_child(v, PICKLE_ARGS), 0);
    struct torch_stream s = {0};
    if (!bytes || bytes->kind != PICKLE_BYTES) {
        l->has_text = l->has_text || (bytes && bytes->kind == PICKLE_OBJECT);
        return false;
    }
    bool ok = l->ok = torch_parse(&s, l->m, bytes->bytes, bytes->n, l->err) &&
                      spend(l, v, COST_STREAM + s.cost);
    ok = ok && s.pickle[OBJECT].root->kind == PICKLE_PERSISTENT &&
         read_id(l, &s, s.pickle[OBJECT].root, out);
    if (ok) { /* the table of storages goes, the bytes stay */
        l->inner = *out->storage;
        l->inner.key = "in bytes";
        out->storage = &l->inner;
    }
    torch_stream_free(&s);
    return ok;
}

/* Where the elements of a tensor are: t->data, t->dtype and *n. False: of a type that is
 * not read, or l->ok is false. */
static bool find_elements(struct torch_load *l, const struct pickle_value *v,
                          struct tensor *t, int64_t *n)
{
    struct elements e = {0};
    if (!v || !(v->kind == PICKLE_PERSISTENT ? read_id(l, &l->main, v, &e)
                : pickle_is_global(pickle_child(v, PICKLE_CALLABLE),
                                   "torch.storage._load_from_bytes")
                    ? read_bytes(l, v, &e)
                    : false))
        return false;
    int64_t size = dtype_info[e.dtype].size, stored = e.storage->size / size;
    if (e.first < 0 || e.n > stored || e.first > stored - e.n ||
        (l->zipped && e.n * size != e.storage->size))
        return l->ok = err_format(l->err, v->at,
                                  "tensor '%.100s': its storage has the wrong size (found %"
                                  PRId64 " bytes, expected %" PRId64 " elements of %s)",
                                  l->path, e.storage->size, e.n, dtype_info[e.dtype].name);
    t->dtype = e.dtype;
    t->data = e.storage->data + e.first * size;
    *n = e.n;
    return true;
}

/* Add the tensor that is made of `args`, under the name l->path. */
static bool add_tensor(struct torch_load *l, const struct pickle_value *v, enum maker maker,
                       const struct pickle_value *args)
{
    struct tensor t = {.swapped = l->swapped};
    int64_t elements = 0, offset;
    const struct pickle_value *at = pickle_child(args, ARG_OFFSET);
    int n_strides = 0;
    if (!at || at->kind != PICKLE_INT ||
        !read_dims(pickle_child(args, ARG_SIZE), t.shape, &t.ndim) ||
        !read_dims(pickle_child(args, ARG_STRIDE), t.stride, &n_strides) ||
        n_strides != t.ndim)
        return bad_tensor(l, v, "bad sizes or strides", "others",
                          "as many strides as sizes, none negative");
    if (!find_elements(l, pickle_child(args, ARG_STORAGE), &t, &elements))
        return l->ok;
    if (maker == MAKE_TENSOR_TYPED) { /* over bytes, whatever the storage says */
        int64_t bytes = elements * dtype_info[t.dtype].size;
        if (!torch_named_dtype(pickle_child(args, ARG_DTYPE_V3), &t.dtype))
            return true;
        elements = bytes / dtype_info[t.dtype].size;
    }
    offset = at->i;
    if (!lies_within(&t, offset, elements))
        return bad_tensor(l, v, "it reaches outside of its storage", "larger strides or offset",
                          "all of it inside");
    t.data += offset * dtype_info[t.dtype].size;
    container_add(l->c, &t, l->path);
    return true;
}

/* ---- the tree */

static json_t *walk(struct torch_load *l, struct pickle_value *v, int depth);

/* Names that nn.Module puts between a parameter and its owner. */
static bool is_plumbing(const char *name)
{
    return strcmp(name, "_modules") == 0 || strcmp(name, "_parameters") == 0 ||
           strcmp(name, "_buffers") == 0;
}

/* One step down, to what is called `name`. NULL: nothing but tensors there, or l->ok is
 * false. */
static json_t *walk_to(struct torch_load *l, struct pickle_value *v, const char *name, int depth)
{
    size_t len = l->path_len, n = is_plumbing(name) ? 0 : strlen(name);
    if (n + 2 > sizeof l->path - len) {
        l->ok = err_format(l->err, v->at, "names are too long (found more, expected at most "
                           "%d bytes)",
                           MAX_PATH_LEN - 1);
        return NULL;
    }
    if (n > 0) {
        if (len > 0)
            l->path[l->path_len++] = '.';
        memcpy(l->path + l->path_len, name, n + 1);
        l->path_len += n;
    }
    json_t *out = walk(l, v, depth + 1);
    l->path_len = len;
    l->path[len] = 0;
    return out;
}

static void walk_dict(struct torch_load *l, const struct pickle_value *dict, json_t *out,
                      int depth)
{
    for (const struct pickle_cell *c = dict->first; c && l->ok; c = c->next->next) {
        char number[32];
        const struct pickle_value *key = c->value;
        const char *name = number;
        if (key->kind == PICKLE_INT)
            snprintf(number, sizeof number, "%" PRId64, key->i);
        else if (key->kind == PICKLE_STR && strlen(key->text) == key->n)
            name = key->text;
        else
            continue;
        json_t *value = walk_to(l, c->next->value, name, depth);
        if (value) /* fails for names that are no UTF-8, and has then let go of it */
            (void)json_object_set_new(out, name, value);
    }
}

static json_t *walk_list(struct torch_load *l, const struct pickle_value *v, int depth)
{
    json_t *out = json_array();
    size_t i = 0;
    for (const struct pickle_cell *c = v->first; c && l->ok; c = c->next) {
        char number[32];
        snprintf(number, sizeof number, "%zu", i++);
        json_t *value = walk_to(l, c->value, number, depth);
        json_array_append_new(out, value ? value : json_null());
    }
    return out;
}

/* The attributes of an object, and what it holds if it is some kind of dictionary. */
static json_t *walk_object(struct torch_load *l, const struct pickle_value *v, int depth)
{
    json_t *out = json_object();
    const struct pickle_value *state = pickle_child(v, PICKLE_STATE);
    if (state->kind == PICKLE_DICT)
        walk_dict(l, state, out, depth);
    for (size_t i = 0; state->kind == PICKLE_TUPLE && i < 2; i++) { /* with __slots__ */
        const struct pickle_value *part = pickle_child(state, i);
        if (part && part->kind == PICKLE_DICT)
            walk_dict(l, part, out, depth);
    }
    const struct pickle_value *items = pickle_child(v, PICKLE_ITEMS);
    if (items->kind == PICKLE_DICT)
        walk_dict(l, items, out, depth);
    if (json_object_size(out) > 0)
        return out;
    json_decref(out);
    return NULL;
}

struct scalar_read {
    const struct pickle_value *v;
    json_t *out;
    bool is_one;
};

static void read_scalar(void *ctx)
{
    struct scalar_read *r = ctx;
    r->is_one = pickle_numpy_scalar(r->v, &r->out);
}

/* A number or an array of NumPy; false: v is neither, or l->ok is false. */
static bool take_numpy(struct torch_load *l, const struct pickle_value *v, json_t **out)
{
    struct tensor t;
    struct scalar_read scalar = {.v = v};
    if (!map_guard(read_scalar, &scalar, l->err))
        return l->ok = false;
    *out = scalar.out;
    if (scalar.is_one)
        return true;
    enum pickle_array array = pickle_numpy_array(v, &t);
    if (array == PICKLE_ARRAY)
        container_add(l->c, &t, l->path);
    l->has_text = l->has_text || array == PICKLE_ARRAY_TEXT;
    return array != PICKLE_NO_ARRAY;
}

static json_t *walk_container(struct torch_load *l, struct pickle_value *v, int depth)
{
    enum maker maker;
    const struct pickle_value *args;
    json_t *out = NULL;
    if (v->kind == PICKLE_DICT) {
        walk_dict(l, v, out = json_object(), depth);
    } else if (v->kind != PICKLE_OBJECT) {
        out = walk_list(l, v, depth);
    } else if (find_maker(v, &maker, &args)) {
        l->ok = add_tensor(l, v, maker, args);
    } else if (!take_numpy(l, v, &out) && l->ok) {
        out = walk_object(l, v, depth);
    }
    return out;
}

/* Add the tensors in v; what else there is is returned, NULL for nothing. */
static json_t *walk(struct torch_load *l, struct pickle_value *v, int depth)
{
    if (!spend(l, v, COST_VALUE + l->path_len))
        return NULL;
    switch (v->kind) {
    case PICKLE_BOOL: return json_boolean(v->i);
    case PICKLE_INT: return json_integer(v->i);
    case PICKLE_FLOAT: return json_real(v->f); /* NULL if not finite */
    case PICKLE_STR: case PICKLE_GLOBAL:
        return spend(l, v, v->n) ? json_stringn(v->text, v->n) : NULL;
    case PICKLE_NONE: return json_null();
    case PICKLE_BIGINT: case PICKLE_BYTES: case PICKLE_PERSISTENT: return NULL;
    }
    if (v->open) /* inside itself */
        return NULL;
    if (depth > MAX_DEPTH) {
        l->ok = err_format(l->err, v->at, "objects in objects (found more, expected at most "
                           "%d deep)",
                           MAX_DEPTH);
        return NULL;
    }
    v->open = true;
    json_t *out = walk_container(l, v, depth);
    v->open = false;
    return out;
}

bool torch_open_object(struct torch_load *l, const struct pickle *object)
{
    l->ok = true;
    json_t *values = walk(l, object->root, 0);
    if (l->ok && container_count(l->c) == 0 && l->has_text)
        l->ok = err_set(l->err, ERR_UNSUPPORTED, "tensors in a plain pickle of protocol 2 are "
                        "not read (found their bytes as text, expected protocol 3 or later)");
    if (l->ok && container_count(l->c) == 0)
        l->ok = err_set(l->err, ERR_FORMAT, "no tensors in this PyTorch file or pickle (found "
                        "none, expected one or more)");
    if (l->ok)
        container_set_values(l->c, values);
    else
        json_decref(values);
    return l->ok;
}
