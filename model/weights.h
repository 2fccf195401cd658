/*
 * weights.h - what the two matrices say per feature, in one pass over them.
 */
#pragma once

#include "io/err.h"
#include "io/progress.h"
#include "model/sae.h"

/* Lengths of decoder rows and cosines of encoder and decoder rows (0 with a zero row; NaN
 * for a transcoder, whose rows are of different spaces), both [d_sae], caller-owned. The
 * cosines may be NULL: the encoder is not read then.
 * ERR_CANCELLED, ERR_FORMAT (a file that shrank). */
bool weights_geometry(const struct sae *sae, int threads, const struct progress *progress,
                      float *decoder_norm, float *encoder_decoder_cosine,
                      struct err *err);

/* Row `row` of a matrix as f32 into out [cols]; ERR_FORMAT when its file has shrunk. */
bool weights_row(const struct mat *m, int64_t row, float *out, struct err *err);
