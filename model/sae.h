/*
 * sae.h - sparse autoencoders: one weight layout, one table of architectures.
 *
 * Whatever the checkpoint (SAELens, Gemma Scope, plain npy, ...), model/dialect_*.c brings
 * it to this form:
 *
 *   W_enc  [d_sae, d_in]    row j: what feature j reads     (a view of the stored tensor)
 *   W_dec  [d_sae, d_out]   row j: what feature j writes    (likewise)
 *   b_in   [d_in]           taken off the input; NULL when the checkpoint does not
 *   b_enc  [d_sae]          NULL for gated
 *   b_dec  [d_out]
 *
 * and for one activation x [d_in], in the units of the model's residual stream:
 *
 *   u   = norm(x) - b_in
 *   m_j = W_enc[j] . u                   the bias-free pre-activation, one f32 dot product
 *   a_j = arch->activate(sae, j, m_j)    the activation: what is ranked, stored and shown
 *         (a GLU encoder's is sae_glu of it, which is never greater)
 *         (TopK: then only the k largest stay, and the negative of these become 0)
 *   y   = unnorm(sum_j a_j out_scale_j W_dec[j] + b_dec) + W_skip x
 *
 * A transcoder's y stands for something else than x (kind says so): there is nothing to
 * undo then, and the error is known only where a target is given.
 *
 * The parameters of d_sae and d_in elements are small and owned f32 copies; the two
 * matrices are borrowed from the container that holds them. An opened struct sae is
 * immutable and may be used by several threads at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "io/container.h"
#include "io/err.h"
#include "io/scratch.h"
#include "io/tensor.h"

/* What the input goes through before b_in is taken off. */
enum sae_norm {
    SAE_NORM_NONE,
    SAE_NORM_CONSTANT, /* x sqrt(d_in) / |x|; the output is divided by that factor */
    SAE_NORM_LAYER,    /* (x - mean) / (s + 1e-5), s unbiased; the output: * s + mean */
    SAE_NORM_FACTOR,   /* x norm_factor; the output is divided by it */
};

struct sae;

/* The vectors where they are stored, as far as they are; borrowed from the containers.
 * What the checkpoint means (struct sae) may have been computed from them. */
struct sae_stored {
    const struct tensor *b_enc, *b_dec, *threshold, *b_gate, *b_mag, *r_mag;
};

/* Options that override what was recognised. Zeroed: nothing is overridden. */
struct sae_options {
    const char *format; /* --format NAME or NULL */
    int fold;           /* --fold-decoder-norms: 0 as the format says, 1 on, -1 off */
    int subtract_b_dec; /* --subtract-b-dec: likewise */
    double norm_factor; /* --norm-factor: x is multiplied by it; 0: as the file says */
    bool factor_follows; /* sae_set_norm_factor will be called: nothing to warn of */
    const char *subtract_mean; /* --subtract-mean: a vector of the file, or NULL */
    int decoder_layer;  /* --decoder-layer: N + 1; 0: the layer's own */
    bool transcoder;    /* a target is given: where the file does not tell, it is one */
};

struct sae_arch_ops {
    const char *name; /* as in docs/commands.md, info: "prolu" */

    /* Are the parameters that this architecture needs there? ERR_MISSING names one. */
    bool (*check)(const struct sae *sae, struct err *err);

    /* The greatest m such that feature j is off at every m' <= it, up to rounding: a scan
     * uses it to discard most of the product before the exact rule is asked. */
    float (*level)(const struct sae *sae, int64_t j);

    /* The activation of feature j from its m. For `selects`: the pre-activation that is
     * ranked (may be negative); the caller keeps the k largest and clips these at 0, or
     * where is_signed those of greatest magnitude as they are. */
    float (*activate)(const struct sae *sae, int64_t j, float m);

    bool selects; /* a feature's activation depends on the others' (TopK, groupmax) */
    bool groups;  /* of each of k equal groups of neighbours the greatest alone stays */
    bool dense;   /* nearly every feature is active, above or below 0, on every token */
};

/* Table of architectures; the last entry's name is NULL. */
extern const struct sae_arch_ops sae_archs[];
const struct sae_arch_ops *sae_arch_find(const char *name); /* NULL: not known */

/* Something worth telling about a checkpoint that opened all the same. */
struct sae_note {
    char *text; /* owned; one line */
};

#define SAE_MAX_VIEWS 4

struct sae {
    const struct sae_arch_ops *arch;
    enum sae_norm norm;
    float norm_factor; /* of SAE_NORM_FACTOR, else 1 */
    int64_t d_in, d_out, d_sae;
    int64_t k; /* TopK, BatchTopK and groupmax, else 0 */
    bool saturates; /* standard: tanh of what is above 0 */
    bool is_signed; /* TopK: the k of greatest |h| stay, with their signs */
    struct mat W_enc, W_dec;
    struct mat W_glu;  /* [d_sae, d_in] of GLU encoders; .t NULL: none */
    struct mat W_skip; /* [d_out, d_in] of skip transcoders: y += W_skip x; .t NULL: none */
    bool cross_layer;  /* W_dec is one of several, each to another layer's output */
    int models;        /* of crosscoders: x and y are theirs, one behind the other; else 1 */
    float *b_in, *b_enc, *b_dec; /* [d_in], [d_sae], [d_out]; see above for NULL */
    float *threshold;            /* [d_sae] JumpReLU, BatchTopK (repeated), else NULL */
    float *b_gate, *b_mag, *r_mag; /* [d_sae] gated, else NULL */
    float *b_glu;     /* [d_sae] of GLU encoders, else NULL */
    float *act_scale; /* [d_sae] the pre-activation is multiplied by it; NULL: by 1 */
    bool scale_ranks; /* TopK: act_scale decides what is selected and is taken out again */
    float *out_scale; /* [d_sae] a_j counts that many times in y; NULL: once */
    float *relative_norm; /* [d_sae] |W_dec| in the second model over the sum of both; NULL
                             but for crosscoders of two */
    bool finite;      /* all weights have been looked at, and no NaN or Inf was found */
    bool *broken;     /* [d_sae] the feature owns a NaN or Inf weight, or has no activation for
                         one that all share; NULL: none. It never fires and is left out */

    bool needs_factor; /* trained on x times a factor that nobody has said */
    struct sae_stored stored;
    struct sae_options options; /* while it is opened */

    /* What `info` tells. All owned. */
    char *path;
    const char *format, *kind; /* static strings of the dialect */
    char *rule;                /* why it was recognised */
    char *hook, *hook_out;     /* NULL: not in the file; hook_out of transcoders */
    enum dtype dtype;          /* of W_enc as stored */
    int64_t step;              /* training step, -1: not known */
    double l1;                 /* L1 coefficient, NaN: not known */
    bool prepend_bos;
    json_t *config;            /* the whole configuration as read; an object */
    json_t *ignored;           /* array of the keys that mean nothing here */
    struct sae_note *notes;
    int n_notes;
    struct container **containers; /* where the tensors lie */
    int n_containers;
    struct tensor *views[SAE_MAX_VIEWS]; /* the same with other shapes; owned */
    int n_views;
    struct scratch made; /* weights that no file has */
};

/*
 * Load the SAE at `path` (a file, or a directory with a configuration beside the
 * weights). Touches nothing of the size of the weights unless they are compressed or must
 * be folded; `progress` covers that case.
 *
 * NULL on failure: ERR_FORMAT, ERR_UNSUPPORTED (key and value named), ERR_SHAPE (both
 * tensors and shapes named), ERR_MISSING, and what container_open gives.
 */
struct sae *sae_open(const char *path, const struct sae_options *options,
                     const struct progress *progress, struct err *err);
void sae_close(struct sae *sae); /* NULL is fine */

/* Is there a checkpoint at `path` that sae_open would try? Reads names and a few bytes. */
bool sae_recognise(const char *path);

void sae_add_note(struct sae *sae, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* x is multiplied by `factor`, and the output divided by it, before the sae is shared.
 * `whence` is for the note. ERR_UNSUPPORTED when inputs are normalised anyway. */
bool sae_set_norm_factor(struct sae *sae, double factor, const char *whence, struct err *err);

/* Room for a tensor that lives as long as the sae (at most SAE_MAX_VIEWS, assert). */
struct tensor *sae_add_view(struct sae *sae);

/* Look for NaN and Inf in all weights; touches everything. Fills sae->finite, sae->broken
 * and adds one note a tensor (name, count, first index). Run once, before the sae is shared. */
bool sae_check_finite(struct sae *sae, const struct progress *progress, struct err *err);

/* The same for all but the two matrices, which costs nothing. When b_dec is taken off the
 * input and is broken, so is every feature. */
void sae_check_vectors(struct sae *sae);

int64_t sae_count_broken(const struct sae *sae);

/* The checkpoint's id: xxHash of the shapes and of b_enc (gated: b_gate), b_dec and the
 * first and last row of W_dec as f32: the same after a copy and in every format. */
uint64_t sae_id(const struct sae *sae);

/* Is y meant to be x? Not so for transcoders. */
bool sae_rebuilds_input(const struct sae *sae);

/* Its output is not its input: the kind, by whether it has W_skip. */
void sae_set_transcoder(struct sae *sae);

/* What a GLU encoder leaves of an activation a of feature j, g = W_glu[j] . u: times
 * sigmoid(g + b_glu), and on where that is above the threshold. */
float sae_glu(const struct sae *sae, int64_t j, float a, float g);

/* The activation of feature j from its m, where it is known to be selected. */
float sae_activation(const struct sae *sae, int64_t j, float m);

/* The bias that the field calls the learned bias: b_enc, gated: b_gate. */
const float *sae_bias(const struct sae *sae);

/*
 * norm(x) - b_in for one x [d_in] into u [d_in] (u may be x). *scale and *shift get what
 * undoes it: y_raw * scale + shift is in x's units. False when the norm is undefined (a
 * zero vector under SAE_NORM_CONSTANT): such a token is left out.
 */
bool sae_input(const struct sae *sae, const float *x, float *u, float *scale,
               float *shift);
