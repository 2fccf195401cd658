/*
 * dialect.h - how the checkpoints of different libraries spell the same weights.
 *
 * A dialect recognises a checkpoint by its names and a few bytes and binds it: it opens the
 * containers, reads the configuration and fills struct sae. Each is one file
 * (dialect_NAME.c) and one row of the table in dialect.c. What they share is here.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/tensor.h"
#include "model/sae.h"

#define DIALECT_MAX_CONFIG ((size_t)16 << 20)   /* bytes of a configuration file */
#define DIALECT_MAX_D_SAE  ((int64_t)1 << 23)   /* features */
#define DIALECT_MAX_D_IN   ((int64_t)1 << 20)   /* input and output dimensions */

/* What lies at the path that was asked for. */
struct checkpoint {
    const char *path; /* as given; borrowed */
    char *dir;        /* path itself, or the directory that holds it; owned */
    const char *file; /* the name of the file in dir, when path is one; else NULL */
    struct peek *peek; /* what checkpoint_peek remembers; owned */
};

bool checkpoint_init(struct checkpoint *c, const char *path, struct err *err);
void checkpoint_finish(struct checkpoint *c);

/* Is dir/name a regular file? */
bool checkpoint_has(const struct checkpoint *c, const char *name);
/* Can dir/name be the weights: is it there, and is it `file` if the path is a file? */
bool checkpoint_offers(const struct checkpoint *c, const char *name);
/* Is the path a file whose name ends so? */
bool checkpoint_is_file(const struct checkpoint *c, const char *tail);
/* Where the weights are: the path if it is a file, else dir/name. Owned. */
char *checkpoint_weights(const struct checkpoint *c, const char *name);
/* dir/name, owned. */
char *checkpoint_sibling(const struct checkpoint *c, const char *name);
/* The JSON object in dir/name, a new reference; messages name it. */
json_t *checkpoint_json(const struct checkpoint *c, const char *name, struct err *err);

/* What is in the file at the path, if it is one of PyTorch's, whatever it is called, or a
 * .safetensors, and can be read; else NULL. Opened once and borrowed: for formats that only their contents tell. */
const struct container *checkpoint_peek(const struct checkpoint *c);

struct dialect {
    const char *name; /* as in docs/commands.md, info: "gemma-scope" */

    /* Why this is one ("cfg.json and sae_weights.safetensors"), or NULL: it is not. */
    const char *(*recognise)(const struct checkpoint *c);

    /* Fill *sae (zeroed but for path, format, kind, rule and neutral defaults). Whatever
     * has been opened belongs to sae, also on failure. Messages name the file. */
    bool (*bind)(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err);
};

/* The dialect called `format` (NULL: the first that recognises the checkpoint) and the
 * rule by which. NULL: ERR_USAGE (no such name), ERR_UNSUPPORTED (a format that is known
 * but not read), ERR_MISSING (nothing that is known). */
const struct dialect *dialect_choose(const struct checkpoint *c, const char *format,
                                     const char **rule, struct err *err);

/*
 * The parameters where they are stored; NULL: there is none. The matrices are given with
 * the way round in which they lie. W_enc, W_dec and, unless no_b_dec, b_dec must
 * be there.
 */
struct dialect_tensors {
    const struct tensor *W_enc, *W_dec, *b_dec, *b_enc, *threshold, *b_gate, *b_mag, *r_mag;
    bool W_enc_is_d_in_first;  /* stored [d_in, d_sae] */
    bool W_dec_is_d_out_first; /* stored [d_out, d_sae] */
    bool no_b_dec;             /* it is zero, and not stored */
    bool transcodes;           /* d_out may differ from d_in; sets the kind */
    const struct tensor *W_glu, *b_glu; /* of a GLU encoder, stored as W_enc; NULL: none */
    const struct tensor *W_skip; /* of a transcoder: y += W_skip x; NULL: none */
    bool W_skip_is_d_in_first; /* stored [d_in, d_out] */
};

/* Check the shapes against each other and fill W_enc, W_dec, the vectors, d_in, d_out,
 * d_sae and dtype. `path` is for messages. ERR_MISSING, ERR_SHAPE, ERR_UNSUPPORTED. */
bool dialect_bind(struct sae *sae, const struct dialect_tensors *t, const char *path,
                  struct err *err);

/* A vector of n elements as an owned f32 copy in *out; t NULL leaves *out alone. */
bool dialect_vector(const struct tensor *t, const char *name, int64_t n, float **out,
                    struct err *err);

/* Open `path` and add it to sae->containers. NULL on failure. */
struct container *dialect_container(struct sae *sae, const char *path,
                                    const struct progress *progress, struct err *err);

/* Divide the decoder by the lengths of its rows and multiply the pre-activations by them
 * (act_scale, out_scale; what is stored stays as it is). Touches W_dec once. */
bool dialect_scale_by_norms(struct sae *sae, const struct progress *progress,
                            struct err *err);

/* Add the keys of `object` that are none of described [n] to sae->ignored. */
void dialect_ignore_others(struct sae *sae, const json_t *object,
                           const char *const *described, size_t n);

/* Where a checkpoint with SAELens' cfg.json has its tensors. */
typedef const struct tensor *dialect_find_fn(const struct sae *sae, const char *name);
struct dialect_source {
    dialect_find_fn *find;
    const char *path, *cfg_path; /* for messages about tensors and about keys */
    double input_factor;         /* what x was multiplied by in training; 0: not known */
    bool extended;               /* decoder norms may belong to the activations of every
                                    architecture, not of TopK and its kin alone */
};

/* The factor in activation_scaler.json, which lies beside the weights of an interrupted
 * training run; 0: there is no such file. */
bool dialect_read_scaler(const struct checkpoint *c, double *factor, struct err *err);

/* Bind by a configuration in SAELens' keys, any version: it decides the architecture and
 * everything that changes a number. cfg becomes sae->config. */
bool dialect_bind_saelens(struct sae *sae, json_t *cfg, const struct dialect_source *from,
                          const struct progress *progress, struct err *err);

extern const struct dialect dialect_saelens, dialect_gemma, dialect_npy, dialect_sparsify,
    dialect_dictlearn, dialect_openai, dialect_llama_scope, dialect_openmoss, dialect_mats,
    dialect_kissane, dialect_deepseek, dialect_goodfire, dialect_tracer, dialect_circuits,
    dialect_crosscoder;
