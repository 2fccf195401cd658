/*
 * index.h - what a scan found, on disk: per-feature records and every firing.
 *
 * Opening is a map and a check of the header; one feature is one small read. Reading is
 * thread-safe. The layout of the file is written out at the top of index.c and in
 * io/fidx.h, its container.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/scan.h"

#define INDEX_BINS 40 /* docs/commands.md: histogram of a feature */
#define INDEX_TOP 100 /* examples kept in full precision */

/* One firing. */
struct hit {
    uint32_t token;
    float value; /* activation; signed for signed kinds */
};

/* Of n hits by token: the first at `token` or after it; n when there is none. */
static inline int64_t hits_find(const struct hit *hits, int64_t n, int64_t token)
{
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (hits[mid].token < token)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Per feature, fixed size, in the file as here (little-endian). */
struct index_record {
    uint64_t count;     /* tokens where it is active */
    double sum;         /* of |a| over them */
    double delta_fvu;   /* NaN: not defined (transcoder without a target) */
    float max;          /* of |a|; 0 for a dead feature */
    float decoder_norm;
    float encoder_decoder_cosine;
    uint32_t n_top;     /* entries in the top list */
    uint64_t top;       /* first of them */
    uint32_t block;     /* of postings */
    uint32_t gap_offset, value_index; /* of its first hit in the unpacked block */
    uint32_t histogram[INDEX_BINS];
};

/* The bin of |a| = a > 0 in a feature's histogram, and so its interval (bin / 4):
 * min(39, floor(40 a / max)), in double, where the quotient is exact enough that bins
 * nest in intervals. */
static inline int index_bin(float a, float max)
{
    int bin = (int)(INDEX_BINS * (double)a / (double)max);
    return bin < INDEX_BINS ? bin : INDEX_BINS - 1;
}

struct index;

/* NULL with ERR_FORMAT when it is damaged, ERR_MISSING when there is none, ERR_RANGE when
 * it is whole but `key` (NULL: any) is not its key: it is stale. */
struct index *index_open(const char *path, const char *key, struct err *err);
void index_close(struct index *ix); /* NULL is fine */

const char *index_path(const struct index *ix);
int64_t index_bytes(const struct index *ix);         /* of the whole file */
int64_t index_posting_bytes(const struct index *ix); /* of it, the postings */
int64_t index_d_sae(const struct index *ix);
const struct scan_totals *index_totals(const struct index *ix);
const struct index_record *index_record(const struct index *ix, int64_t feature);

/* The strongest firings, by activation descending, then token ascending; record->n_top of
 * them, values exact. Borrowed from the mapping. */
const struct hit *index_top(const struct index *ix, int64_t feature);

/* All firings by token, values rounded to half precision (relative to the feature's
 * maximum): record->count of them into out. ERR_FORMAT when the block is damaged. */
bool index_hits(const struct index *ix, int64_t feature, struct hit *out,
                struct err *err);

/* For every feature j: how many of the tokens where `feature` fires has j too; out
 * [d_sae]. Reads all postings, in parallel. */
bool index_coactive(const struct index *ix, int64_t feature, int threads,
                    const struct progress *progress, uint32_t *out, struct err *err);
