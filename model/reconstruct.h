/*
 * reconstruct.h - x -> x_hat for a few tokens at a time, through encode.h and decode.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/encode.h"
#include "model/sae.h"

/* The SAE made ready; shared by threads. */
struct reconstructor {
    struct encoder encoder;
    const float *W_dec;     /* [d_sae, d_out] rows of f32 */
    struct scratch W_dec_copy;
};

bool reconstructor_init(struct reconstructor *r, const struct sae *sae, int threads,
                        const struct progress *progress, struct err *err);
void reconstructor_finish(struct reconstructor *r); /* a zeroed one is fine */

#define RECONSTRUCT_ROWS 128 /* tokens of one encode */

/* A thread's own memory. */
struct reconstruct_scratch {
    struct encode_scratch encode;
    float *u, *scale, *shift, *error;
    struct encode_hit *hits;
    int64_t cap;
    uint32_t *by_row, *start;
};

size_t reconstruct_scratch_bytes(const struct reconstructor *r);
bool reconstruct_scratch_init(struct reconstruct_scratch *s, const struct reconstructor *r,
                              struct err *err);
void reconstruct_scratch_finish(struct reconstruct_scratch *s); /* a zeroed one is fine */

/* The hits of some features. factor W_dec[feature] is what the hit contributes to y
 * (docs/commands.md, "contribution"). */
struct reconstruct_hit {
    int32_t slot, row;
    float factor;
    float delta; /* to delta_fvu's sum: 2 e.c + |c|^2, e = x - y */
};

struct reconstruct_hits {
    const int32_t *slot;      /* [d_sae] the slot of a feature, -1: not wanted; borrowed */
    const float *norm;        /* [d_sae] |W_dec[i]|; borrowed; NULL: delta is left 0 */
    struct reconstruct_hit *hits; /* owned; by row, then feature */
    int64_t n, cap;
};

/*
 * x [n, d_in] -> y [n, d_out] and l0 [n], how many features are active. A token that has
 * no reconstruction (NaN, Inf, no norm) gets l0 -1 and its own x as y. d_in = d_out.
 * wanted (NULL: nothing) is filled anew.
 */
void reconstruct(const struct reconstructor *r, struct reconstruct_scratch *s,
                 const float *x, int64_t n, float *y, int64_t *l0,
                 struct reconstruct_hits *wanted);
