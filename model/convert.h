/*
 * convert.h - any checkpoint that opens, written anew in one of three forms:
 *
 *   CONVERT_SAELENS   a directory of cfg.json (SAELens 6) and sae_weights.safetensors
 *   CONVERT_NPY       a directory of cfg.json in the same keys and NAME.npy, or with zstd
 *                     NAME.npy.zst, for each array
 *   CONVERT_JUMPRELU  as CONVERT_SAELENS, an equivalent JumpReLU: of ProLU, which no other
 *                     library reads, b_enc = 0 and threshold = max(0, -b_enc)
 *
 * The values are those of the source bit for bit, in the dtype in which they are stored
 * there. What was computed when it was opened (exp of a log_threshold) is float32. Before
 * the directory gets its name it is opened again and compared with the source.
 *
 * BatchTopK with a threshold is written as SAELens itself exports it: as a JumpReLU with that
 * threshold for every feature; where decoder norms belong to its activations, as the
 * training checkpoint that it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/outdir.h"
#include "io/progress.h"
#include "model/sae.h"

enum convert_to { CONVERT_SAELENS, CONVERT_NPY, CONVERT_JUMPRELU };

struct convert_options {
    enum convert_to to;
    bool zstd; /* of CONVERT_NPY only (assert) */
};

struct converted {
    const char *architecture;  /* as in its cfg.json */
    enum dtype dtype;          /* its cfg.json's: the widest of its tensors */
    uint64_t checkpoint;       /* sae_id of what was written: another one after ProLU's biases
                                * have become thresholds */
    struct outdir_file *files; /* owned; in the order of their writing */
    int n_files;
    char **notes; /* owned; what is not kept, or kept in a way that is worth telling */
    int n_notes;
};

/*
 * Write `sae` as the directory `path`, which must not exist. On failure nothing is left.
 * ERR_UNSUPPORTED names what the form has no words for, ERR_FORMAT says that path exists;
 * ERR_OS, ERR_CANCELLED.
 */
bool convert_sae(const struct sae *sae, const char *path,
                 const struct convert_options *options, const struct progress *progress,
                 struct converted *out, struct err *err);
void converted_finish(struct converted *c); /* a zeroed one is fine */
