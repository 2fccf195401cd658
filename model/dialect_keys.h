/*
 * dialect_keys.h - for the dialects whose weights go by PyTorch's names, in .pt files or
 * others: looking into a file before it is chosen, wrappings around the weights, numbers
 * that may be tensors or plain values, and names of hooks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/container.h"
#include "model/dialect.h"

/* The weights of a file under whatever they are wrapped in. */
struct keys {
    const struct container *c; /* borrowed */
    char prefix[64];           /* "state_dict." and the like, or "" */
};

/*
 * Find the one way to the tensors called by any of names (NULL-terminated; the first that
 * is there will do): as they are; else below at most 3 of state_dict, model_state_dict, sae,
 * ae, autoencoder, model, module, _orig_mod, or numbers in a list. ERR_MISSING: there is none; ERR_FORMAT: there
 * are several.
 */
bool keys_find(struct keys *k, const struct container *c, const char *const *names,
               struct err *err);

/* The tensor, or other value, of that name; NULL: there is none. */
const struct tensor *keys_tensor(const struct keys *k, const char *name);
const json_t *keys_value(const struct keys *k, const char *name);

/* One number, be it a tensor of one element or a value. False: it is not there, or it is
 * something else. */
bool keys_number(const struct keys *k, const char *name, double *out);

/* Note a mean of the data that lies beside the weights and is not applied. */
void keys_note_mean(struct sae *sae, const struct keys *k);

/* Does the file at the checkpoint's path, one of PyTorch's, have all of these tensors or
 * values (NULL-terminated), wrapped or not? */
bool checkpoint_contains(const struct checkpoint *c, const char *const *names);

/* One value of n features as the threshold of each. */
bool dialect_threshold(struct sae *sae, float value, struct err *err);

/* There is no b_enc: it is 0. */
bool dialect_zero_bias(struct sae *sae, struct err *err);

/* b_dec is taken off the input. */
bool dialect_subtract_b_dec(struct sae *sae, struct err *err);

/* "blocks.8.hook_resid_post" for names of places as training libraries write them:
 * resid_post_layer_8, mlp_out_layer3, layers.8, layers.3.mlp, h.0.attn, embed_tokens; that
 * form itself stays. Owned; NULL: none of these. */
char *hook_of_place(const char *place);

/* The place that the checkpoint's directory, or the nearest of those above it, is called by;
 * `levels` of them are asked. Owned; NULL: none. */
char *hook_of_directory(const struct checkpoint *c, int levels);
