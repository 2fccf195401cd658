/*
 * torch_impl.h - what torch*.c share: torch_stream.c reads pickles and finds their storages,
 * torch_object.c makes tensors of them, torch.c knows the files that hold them.
 */
#pragma once

#include "io/map.h"
#include "io/pickle.h"
#include "io/reader.h"
#include "io/tensor.h"

#define MAX_PATH_LEN 1024 /* bytes of a tensor's name */

/* One storage: bytes of the file. */
struct torch_storage {
    const char *key;          /* borrowed from the pickle */
    int element;              /* bytes of one, by the type of the first mention */
    const unsigned char *data; /* NULL: not found yet */
    int64_t size;             /* bytes */
};

enum { MAGIC, VERSION, MACHINE, OBJECT, KEYS, N_PICKLES };

struct torch_stream {
    struct pickle pickle[N_PICKLES];
    struct torch_storage *storage; /* [n], sorted by key */
    size_t n, cost;          /* cost: bytes that all the pickles have */
};

struct torch_load {
    struct container *c;
    const struct map *m;
    struct torch_stream main;
    bool zipped, swapped;
    char path[MAX_PATH_LEN];
    size_t path_len, cost;
    struct torch_storage inner; /* the one in the bytes object at hand */
    bool has_text;        /* somewhere there are elements that were written as text */
    struct err *err;
    bool ok;
};

/* Parts of a persistent id: ('storage', type, key, location, elements[, view]). */
enum { ID_TAG, ID_TYPE, ID_KEY, ID_LOCATION, ID_ELEMENTS, ID_VIEW };

/* ---- torch_stream.c */

/* The type of a storage's class, of a torch.dtype. False: it is not read. */
bool torch_storage_dtype(const struct pickle_value *v, enum dtype *dtype);
bool torch_named_dtype(const struct pickle_value *v, enum dtype *dtype);

/* The key of a storage in a persistent id; NULL: it is no such id. */
const char *torch_id_key(const struct pickle_value *id);

/* The storages that the object mentions, each once, in order of their keys. */
bool torch_list_storages(struct torch_stream *s, const struct pickle *object,
                         struct err *err);

/* One of them; NULL: there is none of that key. */
struct torch_storage *torch_find_storage(const struct torch_stream *s, const char *key);

/* A stream, or a plain pickle, in mapped bytes of m. s is the caller's to free. */
bool torch_parse(struct torch_stream *s, const struct map *m, const unsigned char *data,
                 size_t size, struct err *err);
void torch_stream_free(struct torch_stream *s);

/* ---- torch_object.c */

/* Add the tensors in the object to l->c, and what else there is as its values. */
bool torch_open_object(struct torch_load *l, const struct pickle *object);
