/*
 * decode.h - from the hits of one token to its reconstruction, its error, and what each
 * hit is worth.
 */
#pragma once

#include <stdint.h>

#include "model/encode.h"
#include "model/sae.h"

/* x_hat of one token into y [d_out]: its hits are hits[order[0..n)], by feature. W_dec
 * [d_sae, d_out] rows of f32; scale, shift from sae_input. */
void decode_token(const struct sae *sae, const float *W_dec,
                  const struct encode_hit *hits, const uint32_t *order, int64_t n,
                  float scale, float shift, float *y);

/* Add W_skip x, what a skip transcoder lets past its features. W_skip [d_out, d_in] rows of
 * f32; x [d_in] as it came, not normalised. */
void decode_skip(const struct sae *sae, const float *W_skip, const float *x, float *y);

/* How often W_dec[h->feature] counts in y, before scale: the activation, times out_scale. */
float decode_gain(const struct sae *sae, const struct encode_hit *h);

/* What hit h adds to delta_fvu's sum: with c its contribution (docs/commands.md),
 * 2 e.c + |c|^2, e [d_out] = x - x_hat (of
 * a transcoder its target less x_hat); norm is |W_dec[h->feature]|. */
float decode_delta(const struct sae *sae, const float *W_dec, const struct encode_hit *h,
                   float scale, double norm, const float *e);

/*
 * A block of tokens, its hits as encoder_block gives them: the same bits as token by token.
 * Features are taken by panels of the encoder; where a good part of a panel fires, it is
 * decoded, and held against the error, by a dense product.
 */
struct decoder {
    const struct sae *sae;
    const float *W_dec;  /* [d_sae, d_out] */
    const float *norms;  /* [d_sae] |W_dec[j]| */
    float *tile;         /* [ENCODE_PANEL, rows of the block]: encode_scratch.tile will do */
    uint32_t *order;     /* [n_hits] */
    uint32_t *start;     /* [rows of the block + 1] */
};                       /* all borrowed */

/* x_hat of n tokens into y [n, d_out]; scale, shift [n]. */
void decode_block(const struct decoder *d, const struct encode_hit *hits, int64_t n_hits,
                  const float *scale, const float *shift, int64_t n, float *y);

/* What each hit adds to delta_fvu's sum, into delta [n_hits]; e [n, d_out] as above. */
void decode_block_deltas(const struct decoder *d, const struct encode_hit *hits,
                         int64_t n_hits, const float *scale, int64_t n, const float *e,
                         float *delta);
