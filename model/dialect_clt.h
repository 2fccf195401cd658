/*
 * dialect_clt.h - cross-layer transcoders, one layer at a time.
 *
 * A layer's features read one place and write to the outputs of that layer and of all layers
 * behind it: W_dec [d_sae, targets, d_out]. Their activations need that layer's encoder
 * alone. Of the decoders one is taken, the layer's own unless --decoder-layer says another;
 * b_dec and a skip connection belong to the own layer's output. What stands at an output is
 * the sum over all layers before it, so that one layer's error says little; a note says so.
 *
 *   circuit-tracer   W_enc_L.safetensors with W_enc_L [d_sae, d_in], b_enc_L, b_dec_L and
 *                    perhaps threshold_L beside W_dec_L.safetensors with W_dec_L, whose target
 *                    t is layer L + t
 *   Gemma Scope 2    params.safetensors whose w_dec has a target for every layer of the
 *                    model; those before L mean nothing
 *
 * Source: circuit-tracer's loader of both forms.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "model/dialect.h"

/* The layer of a file W_enc_L.safetensors; -1: not such a name. */
long clt_layer_of(const char *file);

/*
 * W_dec [d_sae, targets, d_out] as the decoder to one layer: *decoder is a view that lives
 * as long as sae. `first` is the layer of target 0, `own` the layer that the features read.
 * *is_own: b_dec and a skip connection apply. Notes which of them it is, and moves hook_out
 * there. ERR_RANGE: no
 * target for --decoder-layer; ERR_SHAPE.
 */
bool clt_decoder(struct sae *sae, const struct tensor *W_dec, long first, long own,
                 const struct tensor **decoder, bool *is_own, struct err *err);

/* The files of circuit-tracer: `file` is W_enc_L.safetensors in c->dir. */
bool clt_bind(struct sae *sae, const struct checkpoint *c, const char *file,
              const struct progress *progress, struct err *err);
