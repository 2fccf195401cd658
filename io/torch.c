/*
 * torch.c - what torch.save writes, in all its forms, as a container.
 *
 *   zip       since torch 1.6: X/data.pkl, X/data/KEY (the bytes of one storage each, stored
 *             without compression), X/byteorder; X is whatever the file was called once
 *   stream    before: five pickles (a magic number, 1001, the machine, the object, the keys
 *             of the storages), then for each key i64 elements and the bytes
 *   pickle    a plain one of protocol 3 and later (before, bytes were written as text), whose
 *             storages are streams of their own in bytes objects
 *
 * In all of them there may be numbers and arrays of NumPy (io/pickle_numpy.h).
 *
 * Nothing is executed: io/pickle reads the object as a tree, and what torch would call to
 * build a tensor is looked up in a table here. Tensors borrow from the mapping: storages
 * may be shared, views have their strides and offsets. A tensor is named by its way through
 * dictionaries, lists and objects' attributes with dots between ("state_dict.W_enc"); other
 * leaves are what container_value gives.
 *
 * Source: torch/serialization.py, torch/_utils.py, torch/storage.py, torch/_tensor.py.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/pickle.h"
#include "io/pickle_numpy.h"
#include "io/reader.h"
#include "io/zip.h"

#define MAX_DEPTH 64              /* of objects in objects */
#define MAX_PATH_LEN 1024         /* bytes of a tensor's name */
#define MAX_COST ((size_t)64 << 20)
#define COST_VALUE 128            /* about what a leaf, or a tensor with its name, takes */
#define MAX_STORAGES ((size_t)1 << 20)
#define COST_STREAM 4096          /* what a stream in a bytes object takes */

/* One storage: bytes of the file. */
struct storage {
    const char *key;          /* borrowed from the pickle */
    int element;              /* bytes of one, by the type of the first mention */
    const unsigned char *data; /* NULL: not found yet */
    int64_t size;             /* bytes */
};

enum { MAGIC, VERSION, MACHINE, OBJECT, KEYS, N_PICKLES };

struct stream {
    struct pickle pickle[N_PICKLES];
    struct storage *storage; /* [n], sorted by key */
    size_t n, cost;          /* cost: bytes that all the pickles have */
};

struct load {
    struct container *c;
    const struct map *m;
    struct stream main;
    bool zipped, swapped;
    char path[MAX_PATH_LEN];
    size_t path_len, cost;
    struct storage inner; /* the one in the bytes object at hand */
    bool has_text;        /* somewhere there are elements that were written as text */
    struct err *err;
    bool ok;
};

/* ---- types */

/* By the last part of the class's name: the module has moved over the years. */
static const struct {
    const char *storage, *name; /* torch.FloatStorage, torch.float32 */
    enum dtype dtype;
} types[] = {
    {"FloatStorage", "torch.float32", DTYPE_F32},
    {"DoubleStorage", "torch.float64", DTYPE_F64},
    {"HalfStorage", "torch.float16", DTYPE_F16},
    {"BFloat16Storage", "torch.bfloat16", DTYPE_BF16},
    {"LongStorage", "torch.int64", DTYPE_I64},
    {"IntStorage", "torch.int32", DTYPE_I32},
    {"ShortStorage", "torch.int16", DTYPE_I16},
    {"CharStorage", "torch.int8", DTYPE_I8},
    {"ByteStorage", "torch.uint8", DTYPE_U8},
    {"BoolStorage", "torch.bool", DTYPE_BOOL},
    {"UntypedStorage", NULL, DTYPE_U8},
    {NULL, "torch.uint16", DTYPE_U16},
    {NULL, "torch.uint32", DTYPE_U32},
    {NULL, "torch.uint64", DTYPE_U64},
};
#define N_TYPES (sizeof types / sizeof *types)

/* Types that are not read, but have to be passed by in a stream. */
static const struct {
    const char *storage;
    int size;
} other_types[] = {
    {"ComplexFloatStorage", 8}, {"ComplexDoubleStorage", 16}, {"QInt32Storage", 4},
};

static bool storage_dtype(const struct pickle_value *v, enum dtype *dtype)
{
    const char *dot = v && v->kind == PICKLE_GLOBAL ? strrchr(v->text, '.') : NULL;
    for (size_t i = 0; dot && i < N_TYPES; i++)
        if (types[i].storage && strcmp(dot + 1, types[i].storage) == 0) {
            *dtype = types[i].dtype;
            return true;
        }
    return false;
}

/* Bytes of an element. */
static int storage_element(const struct pickle_value *v)
{
    enum dtype dtype;
    if (storage_dtype(v, &dtype))
        return dtype_info[dtype].size;
    const char *dot = v && v->kind == PICKLE_GLOBAL ? strrchr(v->text, '.') : NULL;
    for (size_t i = 0; dot && i < sizeof other_types / sizeof *other_types; i++)
        if (strcmp(dot + 1, other_types[i].storage) == 0)
            return other_types[i].size;
    return 1;
}

static bool named_dtype(const struct pickle_value *v, enum dtype *dtype)
{
    for (size_t i = 0; v && i < N_TYPES; i++)
        if (types[i].name && pickle_is_global(v, types[i].name)) {
            *dtype = types[i].dtype;
            return true;
        }
    return false;
}

/* ---- storages */

static int by_key(const void *a, const void *b)
{
    const struct storage *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static struct storage *find_storage(const struct stream *s, const char *key)
{
    struct storage wanted = {.key = key};
    return s->n ? bsearch(&wanted, s->storage, s->n, sizeof wanted, by_key) : NULL;
}

/* Parts of a persistent id: ('storage', type, key, location, elements[, view]). */
enum { ID_TAG, ID_TYPE, ID_KEY, ID_LOCATION, ID_ELEMENTS, ID_VIEW };

static const char *id_key(const struct pickle_value *id)
{
    const struct pickle_value *tag = pickle_child(id, ID_TAG), *key = pickle_child(id, ID_KEY);
    const struct pickle_value *n = pickle_child(id, ID_ELEMENTS);
    return tag && tag->kind == PICKLE_STR && strcmp(tag->text, "storage") == 0 && key &&
                   key->kind == PICKLE_STR && strlen(key->text) == key->n && n &&
                   n->kind == PICKLE_INT && n->i >= 0
               ? key->text
               : NULL;
}

/* The storages that the object mentions, each once, in order of their keys. */
static bool list_storages(struct stream *s, const struct pickle *object, struct err *err)
{
    size_t cap = 0, n = 0;
    for (const struct pickle_cell *c = object->persistent; c; c = c->next) {
        const struct pickle_value *id = pickle_child(c->value, 0);
        const char *key = id_key(id);
        if (!key)
            return err_format(err, c->value->at, "bad reference to a storage (found no key, expected a "
                              "tuple with one)");
        if (n >= MAX_STORAGES)
            return err_format(err, c->value->at, "too many storages (found more, expected at most "
                              "%zu)", MAX_STORAGES);
        array_grow(s->storage, n, cap);
        s->storage[n++] = (struct storage){
            .key = key, .element = storage_element(pickle_child(id, ID_TYPE))};
    }
    if (n > 0)
        qsort(s->storage, n, sizeof *s->storage, by_key);
    s->n = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(s->storage[i].key, s->storage[s->n - 1].key) != 0)
            s->storage[s->n++] = s->storage[i];
    return true;
}

/* ---- streams */

static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                      0x20, 0x6a, 0xa8, 0x50, 0x19};

static void stream_free(struct stream *s)
{
    for (int i = 0; i < N_PICKLES; i++)
        pickle_free(&s->pickle[i]);
    free(s->storage);
    *s = (struct stream){0};
}

static bool check_machine(const struct stream *s, struct err *err)
{
    const struct pickle_value *version = s->pickle[VERSION].root;
    if (version->kind != PICKLE_INT || version->i != 1001)
        return err_set(err, ERR_UNSUPPORTED, "old PyTorch file of a version that is not read "
                       "(found another, expected 1001)");
    const struct pickle_value *little = pickle_find(s->pickle[MACHINE].root, "little_endian");
    if (little && little->kind == PICKLE_BOOL && !little->i)
        return err_set(err, ERR_UNSUPPORTED, "old PyTorch file of a big-endian machine is not "
                       "read (found little_endian False, expected True)");
    return true;
}

/* The bytes behind the pickles: for each key the number of elements, and these. */
static bool locate_storages(struct stream *s, const unsigned char *data, size_t size,
                            uint64_t base, struct err *err)
{
    const struct pickle_value *keys = s->pickle[KEYS].root;
    size_t at = s->cost;
    if (keys->kind != PICKLE_LIST)
        return err_format(err, keys->at, "bad list of storages (found no list, expected "
                          "one)");
    for (const struct pickle_cell *c = keys->first; c; c = c->next) {
        const char *key = c->value->kind == PICKLE_STR ? c->value->text : "";
        struct storage *storage = find_storage(s, key);
        uint64_t n = 0;
        if (!storage)
            return err_format(err, c->value->at, "storage '%.40s' belongs to nothing (found "
                              "its key, expected one that a tensor names)", key);
        if (size - at < 8)
            return err_format(err, base + size, "storage '%.40s' lies outside the file (found "
                              "its end, expected 8 bytes)", key);
        for (int i = 7; i >= 0; i--)
            n = n << 8 | data[at + (size_t)i];
        at += 8;
        if (n > (size - at) / (size_t)storage->element)
            return err_format(err, base + at, "storage '%.40s' lies outside the file (found %"
                              PRIu64 " elements of %d bytes, expected at most %zu bytes)",
                              key, n, storage->element, size - at);
        storage->data = data + at;
        storage->size = (int64_t)n * storage->element;
        at += (size_t)storage->size;
    }
    return true;
}

struct parse {
    struct stream *s;
    const unsigned char *data;
    size_t size;
    uint64_t base;
    struct err *err;
    bool ok;
};

static bool parse_next(struct parse *p, int i)
{
    struct stream *s = p->s;
    if (!pickle_parse(&s->pickle[i], p->data + s->cost, p->size - s->cost, p->base + s->cost,
                      p->err))
        return false;
    s->cost += s->pickle[i].size;
    return true;
}

static bool parse_all(struct parse *p)
{
    struct stream *s = p->s;
    if (!parse_next(p, MAGIC))
        return false;
    const struct pickle_value *first = s->pickle[MAGIC].root;
    if (first->kind != PICKLE_BIGINT || first->n != sizeof magic ||
        memcmp(first->bytes, magic, sizeof magic) != 0) { /* a plain one */
        s->pickle[OBJECT] = s->pickle[MAGIC];
        s->pickle[MAGIC] = (struct pickle){0};
        return true;
    }
    return parse_next(p, VERSION) && parse_next(p, MACHINE) && check_machine(s, p->err) &&
           parse_next(p, OBJECT) && parse_next(p, KEYS) &&
           list_storages(s, &s->pickle[OBJECT], p->err) &&
           locate_storages(s, p->data, p->size, p->base, p->err);
}

static void parse_guarded(void *ctx)
{
    struct parse *p = ctx;
    p->ok = parse_all(p);
}

/* A stream, or a plain pickle, in mapped bytes of m. s is the caller's to free. */
static bool parse_stream(struct stream *s, const struct map *m, const unsigned char *data,
                         size_t size, struct err *err)
{
    struct parse p = {.s = s, .data = data, .size = size, .err = err};
    p.base = (uint64_t)(data - m->data);
    return map_guard(parse_guarded, &p, err) && p.ok;
}

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

static bool bad_tensor(struct load *l, const struct pickle_value *v, const char *what,
                       const char *found, const char *expected)
{
    return err_format(l->err, v->at, "tensor '%.100s': %s (found %s, expected %s)", l->path,
                      what, found, expected);
}

/* Sharing lets a small file hold endless values: all that is made is paid for. */
static bool spend(struct load *l, const struct pickle_value *v, size_t cost)
{
    l->cost += cost;
    if (l->cost > MAX_COST && l->ok)
        l->ok = err_format(l->err, v->at, "it holds too many values (found more, expected "
                           "at most %zu)", MAX_COST);
    return l->ok;
}

/* What a persistent id, or a stream in a bytes object, says about the elements. */
struct elements {
    const struct storage *storage;
    enum dtype dtype;
    int64_t first, n;
};

/* False: of a type that is not read, or l->ok is false. */
static bool read_id(struct load *l, const struct stream *s, const struct pickle_value *v,
                    struct elements *out)
{
    const struct pickle_value *id = pickle_child(v, 0), *view = pickle_child(id, ID_VIEW);
    const char *key = id_key(id);
    if (!storage_dtype(pickle_child(id, ID_TYPE), &out->dtype))
        return false;
    out->storage = key ? find_storage(s, key) : NULL;
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
static bool read_bytes(struct load *l, const struct pickle_value *v, struct elements *out)
{
    const struct pickle_value *bytes = pickle_child(pickle_child(v, PICKLE_ARGS), 0);
    struct stream s = {0};
    if (!bytes || bytes->kind != PICKLE_BYTES) {
        l->has_text = l->has_text || (bytes && bytes->kind == PICKLE_OBJECT);
        return false;
    }
    bool ok = l->ok = parse_stream(&s, l->m, bytes->bytes, bytes->n, l->err) &&
                      spend(l, v, COST_STREAM + s.cost);
    ok = ok && s.pickle[OBJECT].root->kind == PICKLE_PERSISTENT &&
         read_id(l, &s, s.pickle[OBJECT].root, out);
    if (ok) { /* the table of storages goes, the bytes stay */
        l->inner = *out->storage;
        l->inner.key = "in bytes";
        out->storage = &l->inner;
    }
    stream_free(&s);
    return ok;
}

/* Where the elements of a tensor are: t->data, t->dtype and *n. False: of a type that is
 * not read, or l->ok is false. */
static bool find_elements(struct load *l, const struct pickle_value *v, struct tensor *t,
                          int64_t *n)
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
static bool add_tensor(struct load *l, const struct pickle_value *v, enum maker maker,
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
        if (!named_dtype(pickle_child(args, ARG_DTYPE_V3), &t.dtype))
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

static json_t *walk(struct load *l, struct pickle_value *v, int depth);

/* Names that nn.Module puts between a parameter and its owner. */
static bool is_plumbing(const char *name)
{
    return strcmp(name, "_modules") == 0 || strcmp(name, "_parameters") == 0 ||
           strcmp(name, "_buffers") == 0;
}

/* One step down, to what is called `name`. NULL: nothing but tensors there, or l->ok is
 * false. */
static json_t *walk_to(struct load *l, struct pickle_value *v, const char *name, int depth)
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

static void walk_dict(struct load *l, const struct pickle_value *dict, json_t *out,
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

static json_t *walk_list(struct load *l, const struct pickle_value *v, int depth)
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
static json_t *walk_object(struct load *l, const struct pickle_value *v, int depth)
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
static bool take_numpy(struct load *l, const struct pickle_value *v, json_t **out)
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

static json_t *walk_container(struct load *l, struct pickle_value *v, int depth)
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
static json_t *walk(struct load *l, struct pickle_value *v, int depth)
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

static bool open_object(struct load *l, const struct pickle *object)
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

/* ---- streams and plain pickles as containers */

static bool is_pickle(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return n >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5;
}

static bool open_stream(struct container *c, const struct progress *progress,
                        struct err *err)
{
    (void)progress;
    struct load l = {.c = c, .m = container_source(c), .err = err};
    bool ok = parse_stream(&l.main, l.m, l.m->data, (size_t)l.m->size, err) &&
              open_object(&l, &l.main.pickle[OBJECT]);
    stream_free(&l.main);
    return ok;
}

/* ---- the zip form */

/* X/data.pkl, or NULL. */
static const struct zip_member *find_object(const struct zip *zip)
{
    for (size_t i = 0; i < zip->n; i++) {
        const char *slash = strchr(zip->member[i].name, '/');
        if (slash && strcmp(slash, "/data.pkl") == 0)
            return &zip->member[i];
    }
    return NULL;
}

static bool is_torch_zip(const unsigned char *head, size_t n, const struct map *m)
{
    struct zip zip = {0};
    if (!zip_is(head, n) || !zip_open(&zip, m, NULL))
        return false;
    bool found = find_object(&zip);
    zip_close(&zip);
    return found;
}

static int by_name(const void *a, const void *b)
{
    const struct zip_member *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The members of a zip, to be found by their names below its one folder. */
struct folder {
    const struct zip_member **member; /* [n], sorted by name */
    size_t n, len;                    /* len: of the folder's name with its slash */
    const char *name;                 /* begins with it */
};

static const struct zip_member *folder_find(const struct folder *f, const char *sub,
                                            const char *name)
{
    char full[1024];
    int n = snprintf(full, sizeof full, "%.*s%s%s", (int)f->len, f->name, sub, name);
    if (n < 0 || n >= (int)sizeof full)
        return NULL;
    struct zip_member wanted = {.name = full}, *key = &wanted;
    const struct zip_member **found = bsearch(&key, f->member, f->n, sizeof key, by_name);
    return found ? *found : NULL;
}

static bool is_script(const struct zip *zip, const struct folder *f)
{
    if (folder_find(f, "", "constants.pkl"))
        return true;
    for (size_t i = 0; i < zip->n; i++)
        if (strlen(zip->member[i].name) > f->len &&
            strncmp(zip->member[i].name + f->len, "code/", 5) == 0)
            return true;
    return false;
}

static bool check_stored(const struct zip_member *z, struct err *err)
{
    return z->method == ZIP_STORED ||
           err_set(err, ERR_UNSUPPORTED, "member '%.100s' is compressed, as PyTorch does not "
                   "(found method %d, expected 0)", z->name, z->method);
}

static bool read_byteorder(struct load *l, const struct folder *f)
{
    const struct zip_member *z = folder_find(f, "", "byteorder");
    char order[8] = "";
    if (!z)
        return true; /* before torch 2.1: little */
    if (!check_stored(z, l->err))
        return false;
    if (z->size < (int64_t)sizeof order &&
        !map_pread(l->m, order, (size_t)z->size, z->data, l->err))
        return false;
    l->swapped = strcmp(order, "big") == 0;
    return l->swapped || strcmp(order, "little") == 0 ||
           err_format(l->err, (uint64_t)z->data, "bad byte order (found '%s', expected little or big)",
                      order);
}

/* Where the storages lie. One that is missing is an error when a tensor wants it. */
static bool place_storages(struct load *l, const struct folder *f)
{
    for (size_t i = 0; i < l->main.n; i++) {
        struct storage *s = &l->main.storage[i];
        const struct zip_member *z = folder_find(f, "data/", s->key);
        if (!z)
            continue;
        if (!check_stored(z, l->err))
            return false;
        s->data = l->m->data + z->data;
        s->size = z->size;
        if (z->crc != 0) /* 0: torch.serialization.set_crc32_options(False) */
            container_add_check(l->c, z->name, z->data, z->size, z->crc);
    }
    return true;
}

static bool open_folder(struct load *l, const struct zip *zip,
                        const struct zip_member *object)
{
    struct folder f = {.name = object->name, .n = zip->n};
    f.len = (size_t)(strchr(object->name, '/') - object->name) + 1;
    f.member = xcalloc(zip->n, sizeof *f.member);
    for (size_t i = 0; i < zip->n; i++)
        f.member[i] = &zip->member[i];
    qsort(f.member, f.n, sizeof *f.member, by_name);
    bool ok = is_script(zip, &f)
                  ? err_set(l->err, ERR_UNSUPPORTED, "a TorchScript program is not read "
                            "(found code/, expected a file of torch.save)")
                  : check_stored(object, l->err) && read_byteorder(l, &f) &&
                        parse_stream(&l->main, l->m, l->m->data + object->data,
                                     (size_t)object->size, l->err) &&
                        list_storages(&l->main, &l->main.pickle[OBJECT], l->err) &&
                        place_storages(l, &f);
    free(f.member);
    return ok;
}

static bool open_zip(struct container *c, const struct progress *progress, struct err *err)
{
    (void)progress;
    struct load l = {.c = c, .m = container_source(c), .err = err, .zipped = true};
    struct zip zip = {0};
    bool ok = zip_open(&zip, l.m, err) && open_folder(&l, &zip, find_object(&zip)) &&
              open_object(&l, &l.main.pickle[OBJECT]);
    stream_free(&l.main);
    zip_close(&zip);
    return ok;
}

const struct reader torch_reader = {
    .kind = "torch", .recognise = is_torch_zip, .open = open_zip};
const struct reader pickle_reader = {
    .kind = "torch", .recognise = is_pickle, .open = open_stream};
