/*
 * replace.h - what score and ablate have in common: a language model whose activations at a
 * hook are replaced by something that an SAE makes of them, sequence by sequence.
 *
 * replace_init checks that everything fits; replace_run gives each of some sequences to the
 * next free thread, whose workers keep their own memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/lm.h"
#include "model/reconstruct.h"
#include "model/sae.h"
#include "model/samples.h"
#include "model/scan.h"

struct replace {
    /* The caller's, borrowed. */
    const struct lm *lm;
    const struct lm_hook *hook;
    const struct sae *sae;
    const struct samples *samples;   /* token ids, and perhaps activations */
    const struct scan_options *scan; /* what counts, memory, threads */

    int64_t T, d, n_seq;             /* whole sequences, their length, the stream's width */
    struct reconstructor reconstructor; /* owned */
    struct lm_work work;             /* .of is to be set before running */
};

/* The first group of fields is set. ERR_UNSUPPORTED (a transcoder), ERR_SHAPE (hook and SAE
 * of different sizes), ERR_MISSING (no token ids), ERR_RANGE (ids beyond the vocabulary,
 * sequences too short or longer than the model's context), ERR_CANCELLED and what
 * reconstructor_init gives. */
bool replace_init(struct replace *r, const struct progress *progress, struct err *err);
void replace_finish(struct replace *r); /* a zeroed one is fine */

/* Does position p of a sequence count, whose ids are ids [T]? */
bool replace_counts(const struct replace *r, int64_t sequence, int64_t p,
                    const int64_t *ids);

/* A thread's own. one: work on `sequence`; false with *err stops all. The calls are inside
 * map_guard: what they allocate belongs to the worker. */
struct replace_ops {
    size_t (*bytes)(const void *ctx); /* about what a worker takes */
    void *(*open)(void *ctx, struct err *err);
    bool (*one)(void *worker, int64_t sequence, struct err *err);
    void (*close)(void *worker); /* NULL is fine */
};

/* As many threads as have room in scan->memory, and at least one. */
bool replace_run(const struct replace *r, int64_t first, int64_t n,
                 const struct replace_ops *ops, void *ctx, struct err *err);

/* Is there a result: did positions count, and are the sums finite? ERR_MISSING, or
 * ERR_FORMAT, which says what tensor is to blame if it is one. */
bool replace_check(const struct replace *r, int64_t positions, bool finite,
                   const struct progress *progress, struct err *err);
