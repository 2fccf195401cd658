/*
 * bound.h - how much a compressed file may become.
 *
 * A few bytes of zstd or deflate can stand for as many as one likes. What an npy or a
 * safetensors file holds is said in its header, at the beginning: that is asked for before
 * the rest is unpacked, and neither less nor more may come. Such a file may be all zeros and
 * shrink to almost nothing, up to BOUND_ARRAY_RATIO (and BOUND_ARRAY_ROOM more). Everything
 * else may become BOUND_RATIO times what it is (and BOUND_ROOM more): weights do not shrink
 * to half, files that mean harm to a thousandth.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

#define BOUND_RATIO       64
#define BOUND_ROOM        ((int64_t)64 << 20)
#define BOUND_ARRAY_RATIO 1000
#define BOUND_ARRAY_ROOM  ((int64_t)1 << 30)
#define BOUND_NPY_SLACK   65536 /* bytes that may stand behind an npy array */

struct bound {
    const char *header; /* "npy" or "safetensors"; NULL: nothing says how much there is */
    int64_t promised;   /* bytes, by that header; else 0 */
    int64_t limit;      /* bytes allowed */
    int ratio;          /* where the limit comes from; 0: the header */
};

/* How many bytes of the content bound_set wants to see, judged by the first n. */
#define BOUND_HEAD 16
size_t bound_needs(const unsigned char *head, size_t n);

/* head [n]: the beginning of what is in a file of `packed` bytes; bound_needs of them, or all
 * there are. Errors, without a path: those of npy_parse and safetensors_parse. */
bool bound_set(struct bound *b, const unsigned char *head, size_t n, int64_t packed,
               struct err *err);

/* `size` bytes are all that there can be, in a file of `packed`: is the promise kept? */
bool bound_kept(const struct bound *b, int64_t size, bool exact, int64_t packed,
                struct err *err);

/* ERR_FORMAT: it is more than b->limit. Always returns false. */
bool bound_exceeded(const struct bound *b, struct err *err);
