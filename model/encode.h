/*
 * encode.h - from activations to hits: the door behind which an encode may be as clever as
 * it likes.
 *
 * encoder_block gives, for a block of inputs u, every (feature, row, activation) that is
 * not 0, sorted by feature, then row; never a dense matrix beyond a tile. The value of a
 * hit comes from kern's fixed-order dot product, whatever was used to find it.
 *
 * Here: a tile of the plain product (one block of rows by ENCODE_PANEL features), one compare
 * against the feature's level less the greatest rounding error that the product can have,
 * and the exact rule for the few that are left. Where they are not few, the tile is made of
 * those dot products themselves (kern_dots). Which way is taken does not show.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/scratch.h"
#include "model/kern.h"
#include "model/sae.h"

/* Features a tile: with 1024 rows of u it stays in the second cache until it has been looked
 * through. Measured with tests/bench. */
#define ENCODE_PANEL 168

/* Above this part of a panel's pre-activations that fire, dot products of all of them cost
 * less than the plain product and those of the ones that fire. Measured likewise. */
#define ENCODE_DENSE 0.04

struct encode_hit {
    uint32_t feature, row;
    float value;
};

/* Weights made ready for many blocks; shared by threads. */
struct encoder {
    const struct sae *sae;   /* borrowed */
    const float *W;          /* [d_sae, d_in] f32, contiguous rows: the checkpoint's own
                                bytes, or a converted copy in an unlinked mapped file */
    float *level, *norm;     /* [d_sae] of arch->level, |W[j]| (scaled if act_scale is) */
    const float *W_glu;      /* the same of a GLU encoder's other matrix; NULL: none */
    struct scratch copy, glu_copy; /* owned; zeroed when these are the checkpoint's own */
};

bool encoder_init(struct encoder *e, const struct sae *sae, int threads,
                  const struct progress *progress, struct err *err);
/* What is left of an activation a of feature j for the input u: a itself but for GLU encoders. */
float encoder_glu(const struct encoder *e, int64_t j, float a, const float *u);
void encoder_finish(struct encoder *e); /* a zeroed one is fine */

/* Rows of f32 for random access: m itself when it lies so, else *copy, converted in
 * parallel (used for W_dec too). *copy is zeroed when nothing was copied. */
const float *encode_rows(const struct mat *m, int threads, const char *what,
                         const struct progress *progress, struct scratch *copy,
                         struct err *err);

/* A thread's own memory, for blocks of up to `rows` inputs. */
struct encode_scratch {
    int64_t rows;
    float *tile;          /* [ENCODE_PANEL, rows] */
    float *packed;        /* [kern_right_floats(rows, d_in)] */
    struct kern_right right; /* the block's inputs, packed there */
    float *norm, *floor;  /* [rows] |u|; what a pre-activation must reach (TopK, else 0) */
    uint32_t *found;      /* [rows] */
    signed char *dense;   /* [panels] did more than ENCODE_DENSE fire in the block before?
                             -1: there was none */
    struct top_list *top; /* TopK only: what is left of each row; see encode.c */
    struct group_list *group; /* groupmax only: encode_group.h */
};
size_t encode_scratch_bytes(const struct encoder *e, int64_t rows);
bool encode_scratch_init(struct encode_scratch *s, const struct encoder *e, int64_t rows,
                         struct err *err);
void encode_scratch_finish(struct encode_scratch *s); /* a zeroed one is fine */

/*
 * Hits of u [n, d_in] (contiguous), n <= scratch->rows, into hits [cap]; *n_hits gets
 * their number. False when there are more than cap: the caller takes a smaller block.
 */
bool encoder_block(const struct encoder *e, struct encode_scratch *s, const float *u,
                   int64_t n, struct encode_hit *hits, int64_t cap, int64_t *n_hits);
