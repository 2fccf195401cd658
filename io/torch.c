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
#include "io/torch_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/zip.h"

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
    struct torch_load l = {.c = c, .m = container_source(c), .err = err};
    bool ok = torch_parse(&l.main, l.m, l.m->data, (size_t)l.m->size, err) &&
              torch_open_object(&l, &l.main.pickle[OBJECT]);
    torch_stream_free(&l.main);
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

static bool read_byteorder(struct torch_load *l, const struct folder *f)
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
static bool place_storages(struct torch_load *l, const struct folder *f)
{
    for (size_t i = 0; i < l->main.n; i++) {
        struct torch_storage *s = &l->main.storage[i];
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

static bool open_folder(struct torch_load *l, const struct zip *zip,
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
                        torch_parse(&l->main, l->m, l->m->data + object->data,
                                     (size_t)object->size, l->err) &&
                        torch_list_storages(&l->main, &l->main.pickle[OBJECT], l->err) &&
                        place_storages(l, &f);
    free(f.member);
    return ok;
}

static bool open_zip(struct container *c, const struct progress *progress, struct err *err)
{
    (void)progress;
    struct torch_load l = {.c = c, .m = container_source(c), .err = err, .zipped = true};
    struct zip zip = {0};
    bool ok = zip_open(&zip, l.m, err) && open_folder(&l, &zip, find_object(&zip)) &&
              torch_open_object(&l, &l.main.pickle[OBJECT]);
    torch_stream_free(&l.main);
    zip_close(&zip);
    return ok;
}

const struct reader torch_reader = {
    .kind = "torch", .recognise = is_torch_zip, .open = open_zip};
const struct reader pickle_reader = {
    .kind = "torch", .recognise = is_pickle, .open = open_stream};
