/*
 * sources.h - which files, and which arrays in them, a word of the command line stands for.
 *
 *   FILE       that file
 *   FILE:KEY   an array of it (a file of that literal name wins)
 *   GLOB       the files that match, in order of their bytes
 *   DIRECTORY  what it holds: the files that state.json of Hugging Face's datasets lists; else
 *              the .safetensors, .npy, .npy.zst, .npz, .arrow or .pt files, the first of these
 *              kinds that there is, numbers in their names counted as numbers. Of a dataset
 *              in splits (dataset_dict.json) the split, if there is one only; of a cache that
 *              SAELens has not finished, the shards in .tmp_shards
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "io/container.h"
#include "io/err.h"

struct source {
    char *path, *key; /* owned; key NULL: none given */
};

struct sources {
    struct source *v; /* owned */
    size_t n, cap;
};

/* Append the files of `word`. ERR_MISSING, ERR_FORMAT (of a state.json). */
bool sources_add(struct sources *s, const char *word, struct err *err);
void sources_finish(struct sources *s); /* a zeroed one is fine */

/* What an array has to be, and what it is called where several are. */
struct source_want {
    bool (*fits)(const struct tensor *t);
    const char *expected;     /* for messages */
    const char *const *names; /* of several that fit, the first of these; ends in NULL */
};

/*
 * The array that `key` names, else the only one that fits, else the one with the usual name.
 * In a file of several batches (container.h: arrow) it is the first of that name. ERR_MISSING
 * and ERR_SHAPE say what is there instead.
 */
const struct tensor *source_pick(const struct container *c, const char *key,
                                 const struct source_want *want, struct err *err);
