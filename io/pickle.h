/*
 * pickle.h - Python pickles, read without executing anything.
 *
 * A pickle is a program for a small stack machine. Here its instructions only build a tree
 * of values. What Python would import stays a name (PICKLE_GLOBAL), what it would call or
 * construct becomes a PICKLE_OBJECT that remembers the callable and its arguments, and what
 * lies outside of the pickle (tensor data) a PICKLE_PERSISTENT with its id. No name has a
 * meaning here, but those of dictionaries: collections.OrderedDict and its kind are
 * PICKLE_DICT.
 *
 * Source: pickletools.py and Modules/_pickle.c of CPython, protocols 2 to 5. Left out are
 * instructions that no writer of protocol 2 and later uses: numbers and strings as text,
 * the extension registry, out-of-band buffers.
 *
 * Values can be shared, and a container can be inside itself: whoever walks the tree needs
 * a bound (`open` is there to mark the way down).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

#define PICKLE_MAX_MEMORY ((size_t)96 << 20) /* of the tree with its strings */
#define PICKLE_MAX_OPS    50000000            /* instructions */
#define PICKLE_MAX_STACK  ((size_t)1 << 20)
#define PICKLE_MAX_MEMO   ((size_t)1 << 22)

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,       /* .i */
    PICKLE_INT,        /* .i */
    PICKLE_BIGINT,     /* .bytes [.n]: little-endian two's complement, more than 8 bytes */
    PICKLE_FLOAT,      /* .f */
    PICKLE_STR,        /* .text [.n], 0-terminated copy; any bytes, whatever they should be */
    PICKLE_BYTES,      /* .bytes [.n], borrowed from the input */
    PICKLE_TUPLE,      /* children; also frozensets */
    PICKLE_LIST,       /* children; also sets */
    PICKLE_DICT,       /* children: key, value, key, value, ... */
    PICKLE_GLOBAL,     /* .text "module.name" */
    PICKLE_PERSISTENT, /* one child: the id */
    PICKLE_OBJECT,     /* four children, see pickle_part */
};

/* Children of a PICKLE_OBJECT; parts that there are not are PICKLE_NONE. */
enum pickle_part {
    PICKLE_CALLABLE,
    PICKLE_ARGS,
    PICKLE_STATE, /* its attributes, mostly: the argument of BUILD */
    PICKLE_ITEMS, /* what was put into it: a list or dict */
    PICKLE_PARTS
};

struct pickle_value;
struct pickle_cell {
    struct pickle_value *value;
    struct pickle_cell *next;
};

struct pickle_value {
    uint8_t kind;
    bool open;   /* for walkers: false when they come and when they leave */
    size_t n;    /* children, or bytes */
    uint64_t at; /* offset of the instruction that made it */
    union {
        int64_t i;
        double f;
        const char *text;
        const unsigned char *bytes;
        struct {
            struct pickle_cell *first, *last;
        };
    };
};

struct pickle {
    struct pickle_value *root;
    struct pickle_cell *persistent; /* all ids in the order of the pickle */
    size_t size;                    /* bytes of the input up to and with STOP */
    struct pickle_machine *machine; /* pickle.c's */
};

/*
 * Read one pickle at the beginning of data [size], which it borrows. `base` is added to the
 * offsets in messages and values. *p is zeroed by the caller and released by pickle_free
 * also after a failure, or when a map_guard around this has been left.
 *
 * ERR_FORMAT with the offset (broken pickles, and such as go beyond the limits above),
 * ERR_UNSUPPORTED (instructions that are not read).
 */
bool pickle_parse(struct pickle *p, const unsigned char *data, size_t size, uint64_t base,
                  struct err *err);
void pickle_free(struct pickle *p); /* a zeroed one is fine */

/* Child i of a tuple, list, dict, object or persistent id, NULL: there is none. */
const struct pickle_value *pickle_child(const struct pickle_value *v, size_t i);

/* The value of a string key of a dict; the last one if there are several. NULL: none. */
const struct pickle_value *pickle_find(const struct pickle_value *dict, const char *key);

/* Is v the global "module.name"? (False for NULL.) */
bool pickle_is_global(const struct pickle_value *v, const char *name);
