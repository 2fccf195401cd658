/*
 * firings.h - a cache of firings in place of activation samples: where each feature is
 * active, and how much, as delphi keeps it. What is known of the features then comes from
 * the cache; the activations that they were computed from are not there.
 *
 * A cache is one safetensors file, or several that share the features out:
 *
 *   locations    [n, 3] integers: row, position, feature; by row, position, feature
 *   activations  [n] floating point; half precision in the files that share
 *   tokens       [rows, positions] ids, of the same text in every file; may be missing
 *
 * "START_END.safetensors" holds features START to END, both in, and counts them from START;
 * any other name holds all of them. A config.json beside says how many tokens were read,
 * which matters where the ids are not kept. Token t = row * positions + position.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/container.h"
#include "io/err.h"

#define FIRINGS_PATTERN "[0-9]*_[0-9]*.safetensors" /* the names of such files */

struct firings_part {
    const struct container *container;                     /* borrowed */
    const struct tensor *locations, *activations, *tokens; /* tokens NULL: none */
    int64_t first, end; /* features [first, end); end INT64_MAX: not said */
    int64_t n;          /* firings */
};

struct firings {
    struct firings_part *parts; /* owned; by feature, none twice */
    int n_parts, cap_parts;
    int64_t n;                  /* firings of all parts */
    int64_t rows, positions;    /* 0: not known without token ids */
};

/* Are these the arrays of such a file? */
bool firings_are(const struct container *c);

/* Is there a file in the directory that is named as if it shared the features out? */
bool firings_in(const char *dir);

/* One more file, which outlives f. ERR_SHAPE, ERR_FORMAT. */
bool firings_add(struct firings *f, const struct container *c, struct err *err);

/* All files are there: put them in order. ERR_FORMAT where a feature is in two of them,
 * ERR_SHAPE where they disagree about the text. */
bool firings_complete(struct firings *f, struct err *err);

void firings_free(struct firings *f); /* NULL is fine */

/* Can this be a cache of an SAE (at `path`, for the message) of d_sae features? ERR_SHAPE. */
bool firings_fit(const struct firings *f, const char *path, int64_t d_sae,
                 struct err *err);

/* Features below d_sae that are in no file. */
int64_t firings_missing(const struct firings *f, int64_t d_sae);

/* The part that has feature id, or -1. */
int firings_part_of(const struct firings *f, int64_t id);

#define FIRINGS_GREATEST 65504.0f /* of half precision: a cache has Inf for more */

/* One firing. */
struct firing {
    int64_t token; /* row * positions + position */
    uint32_t feature;
    float value;   /* as stored; FIRINGS_GREATEST where half precision could not hold it */
};

/* What one firing of a text of `rows` rows of `positions` may be. */
struct firings_bounds {
    int64_t rows, positions, d_sae;
    bool is_signed; /* activations below 0 too */
};

#define FIRINGS_AT_ONCE 16384

/* Room to read so many in; large, so not on the stack. */
struct firings_room {
    int64_t at[3 * FIRINGS_AT_ONCE];
    float value[FIRINGS_AT_ONCE];
    struct firing firing[FIRINGS_AT_ONCE];
    int64_t cut; /* of those read: beyond half precision */
};

/*
 * Firings [first, first + n) of a part into room->firing; n <= FIRINGS_AT_ONCE. Reads the
 * mapping: under map_guard (io/map.h). ERR_FORMAT names the firing that lies outside of
 * the text or of the part, is not after the one before it, or is no activation.
 */
bool firings_read(const struct firings_part *part, const struct firings_bounds *bounds,
                  int64_t first, int64_t n, struct firings_room *room, struct err *err);

/* The activation of feature id at token t, 0 where it does not fire: a search through the
 * part that has it. Reads the mapping, whose firings have been read before. */
float firings_find(const struct firings *f, int64_t positions, int64_t id, int64_t t);
