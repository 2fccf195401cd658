/*
 * bundle.h - what belongs together: SAEs, samples, tokens, tokenizer, language model.
 *
 * A bundle is a directory, with a bundle.json or by the names of what lies in it
 * (docs/commands.md, "Calling"); a directory of step_*, checkpoint* or ae_* is a training
 * series, and one without SAEs by name is the tree of all checkpoints below it, as the
 * repositories of several are. Opening reads names, and headers of loose .pt files. Paths
 * inside a bundle.json are resolved and must stay below the bundle. All strings are owned;
 * NULL where there is no such thing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"

struct bundle_sae {
    char *name;   /* as bundle.json or the directory calls it: "saes/relu" is "relu" */
    char *path;
    int64_t step; /* training step found in the name, -1: none */
};

struct bundle {
    char *path, *name, *hook, *tokens, *tokenizer, *model, *ground_truth, *labels;
    char **acts; /* files or globs, absolute or relative to the working directory */
    int n_acts;
    struct bundle_sae *saes; /* in bundle.json's order, else by name, steps numerically */
    int n_saes;
    bool series; /* the SAEs are checkpoints of one training run */
};

/* Is the directory `path` a bundle (and not just a checkpoint)? */
bool bundle_recognise(const char *path);

/* ERR_FORMAT, ERR_MISSING (neither saes nor acts), ERR_OS. *b is untouched on failure. */
bool bundle_open(struct bundle *b, const char *path, struct err *err);
void bundle_finish(struct bundle *b); /* a zeroed bundle is fine */

/* The bundle that a checkpoint lies in and that holds it: one of the three directories
 * above `path`. Owned; NULL: there is none. */
char *bundle_holding(const char *path);

/* By its name in the bundle, or the unique SAE whose name ends in "/NAME"; -1: none. */
int bundle_find_sae(const struct bundle *b, const char *name);
