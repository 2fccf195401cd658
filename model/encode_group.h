/*
 * encode_group.h - groupmax: of each of k groups of neighbouring features the one whose
 * pre-activation is greatest stays, if that is above 0. For encode.c.
 *
 * Within a group a row keeps the features that may still be its winner, by approximate
 * pre-activations and how far these can be off; the exact ones decide at the group's end. Of
 * equals the first wins.
 */
#pragma once

#include "model/encode.h"

struct group_list; /* a row's candidates in the present group */

size_t encode_group_bytes(int64_t rows);
struct group_list *encode_group_new(int64_t rows, struct err *err);

/* encoder_block for groupmax; s->group and s->tile are used. */
bool encode_group_block(const struct encoder *e, struct encode_scratch *s, const float *u,
                        int64_t n, struct encode_hit *hits, int64_t cap, int64_t *n_hits);
