/* torch_stream.c - pickles of PyTorch, and where the storages that they name lie; see torch.c. */
#include "io/torch_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

#define MAX_STORAGES ((size_t)1 << 20)

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

bool torch_storage_dtype(const struct pickle_value *v, enum dtype *dtype)
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
    if (torch_storage_dtype(v, &dtype))
        return dtype_info[dtype].size;
    const char *dot = v && v->kind == PICKLE_GLOBAL ? strrchr(v->text, '.') : NULL;
    for (size_t i = 0; dot && i < sizeof other_types / sizeof *other_types; i++)
        if (strcmp(dot + 1, other_types[i].storage) == 0)
            return other_types[i].size;
    return 1;
}

bool torch_named_dtype(const struct pickle_value *v, enum dtype *dtype)
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
    const struct torch_storage *x = a, *y = b;
    return strcmp(x->key, y->key);
}

struct torch_storage *torch_find_storage(const struct torch_stream *s, const char *key)
{
    struct torch_storage wanted = {.key = key};
    return s->n ? bsearch(&wanted, s->storage, s->n, sizeof wanted, by_key) : NULL;
}

const char *torch_id_key(const struct pickle_value *id)
{
    const struct pickle_value *tag = pickle_child(id, ID_TAG), *key = pickle_child(id, ID_KEY);
    const struct pickle_value *n = pickle_child(id, ID_ELEMENTS);
    return tag && tag->kind == PICKLE_STR && strcmp(tag->text, "storage") == 0 && key &&
                   key->kind == PICKLE_STR && strlen(key->text) == key->n && n &&
                   n->kind == PICKLE_INT && n->i >= 0
               ? key->text
               : NULL;
}

bool torch_list_storages(struct torch_stream *s, const struct pickle *object,
                         struct err *err)
{
    size_t cap = 0, n = 0;
    for (const struct pickle_cell *c = object->persistent; c; c = c->next) {
        const struct pickle_value *id = pickle_child(c->value, 0);
        const char *key = torch_id_key(id);
        if (!key)
            return err_format(err, c->value->at, "bad reference to a storage (found no key, expected a "
                              "tuple with one)");
        if (n >= MAX_STORAGES)
            return err_format(err, c->value->at, "too many storages (found more, expected at most "
                              "%zu)", MAX_STORAGES);
        array_grow(s->storage, n, cap);
        s->storage[n++] = (struct torch_storage){
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

void torch_stream_free(struct torch_stream *s)
{
    for (int i = 0; i < N_PICKLES; i++)
        pickle_free(&s->pickle[i]);
    free(s->storage);
    *s = (struct torch_stream){0};
}

static bool check_machine(const struct torch_stream *s, struct err *err)
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
static bool locate_storages(struct torch_stream *s, const unsigned char *data, size_t size,
                            uint64_t base, struct err *err)
{
    const struct pickle_value *keys = s->pickle[KEYS].root;
    size_t at = s->cost;
    if (keys->kind != PICKLE_LIST)
        return err_format(err, keys->at, "bad list of storages (found no list, expected "
                          "one)");
    for (const struct pickle_cell *c = keys->first; c; c = c->next) {
        const char *key = c->value->kind == PICKLE_STR ? c->value->text : "";
        struct torch_storage *storage = torch_find_storage(s, key);
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
    struct torch_stream *s;
    const unsigned char *data;
    size_t size;
    uint64_t base;
    struct err *err;
    bool ok;
};

static bool parse_next(struct parse *p, int i)
{
    struct torch_stream *s = p->s;
    if (!pickle_parse(&s->pickle[i], p->data + s->cost, p->size - s->cost, p->base + s->cost,
                      p->err))
        return false;
    s->cost += s->pickle[i].size;
    return true;
}

static bool parse_all(struct parse *p)
{
    struct torch_stream *s = p->s;
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
           torch_list_storages(s, &s->pickle[OBJECT], p->err) &&
           locate_storages(s, p->data, p->size, p->base, p->err);
}

static void parse_guarded(void *ctx)
{
    struct parse *p = ctx;
    p->ok = parse_all(p);
}

bool torch_parse(struct torch_stream *s, const struct map *m, const unsigned char *data,
                 size_t size, struct err *err)
{
    struct parse p = {.s = s, .data = data, .size = size, .err = err};
    p.base = (uint64_t)(data - m->data);
    return map_guard(parse_guarded, &p, err) && p.ok;
}
