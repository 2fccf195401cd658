/*
 * index_format.h - how an index lies in its container (io/fidx.h); for index.c, merge.c.
 *
 *   key       the text that names inputs and options
 *   totals    struct scan_totals
 *   records   struct index_record [d_sae]
 *   top       struct hit [sum of n_top], each feature's by activation descending
 *   blocks    struct index_block [n]
 *   postings  the blocks' bytes
 *
 * Postings are all hits by (feature, token), cut into blocks of at most INDEX_BLOCK hits; a
 * feature may go on in the blocks that follow. A block has two zstd frames:
 *
 *   gaps    LEB128 varints: the distance from the feature's hit before in this block, for
 *           the first one of a feature in the block the token itself
 *   values  the low bytes of all half-precision values, then the high bytes; a value is
 *           activation * 2^(14 - e), e = floor(log2(max)) of its feature
 */
#pragma once

#include <stdint.h>

#include "model/index.h"

#define INDEX_VERSION 3
#define INDEX_BLOCK 16384

struct index_block {
    uint64_t offset;         /* of the gaps in `postings`; the values follow */
    uint32_t gaps, gaps_packed;
    uint32_t hits, values_packed;
    uint32_t first_feature;
    uint32_t check;          /* low half of the XXH3 of both frames */
};
_Static_assert(sizeof(struct index_block) == 32, "layout of the index");
_Static_assert(sizeof(struct index_record) == 224, "layout of the index");

/* floor(log2(max)); 0 for a dead feature. */
int index_exponent(float max);
