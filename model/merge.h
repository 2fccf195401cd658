/*
 * merge.h - from spilled hits to an index.
 *
 * Features are taken in chunks of about MERGE_CHUNK hits, in parallel; what a chunk
 * gives is written in the order of the chunks, so the file does not depend on the number
 * of threads.
 */
#pragma once

#include "model/scan.h"
#include "model/spill.h"

struct merge_input {
    const struct spill *spill;
    double sum_squares;               /* what delta_fvu is divided by */
    const float *decoder_norm;        /* [d_sae] */
    const float *encoder_decoder_cosine; /* [d_sae] */
    const bool *broken;                  /* [d_sae] as in struct sae; NULL: none */
    bool has_delta;                   /* else delta_fvu is null */
    double started;                   /* clock_seconds() at the start of the scan */
    int threads;
};

/* Write a new index at `path`, with *totals completed by what only the merge knows
 * (nonzeros, dead, dead_fraction, seconds). On failure nothing is left. */
bool merge_run(const struct merge_input *in, const char *path, const char *key,
               struct scan_totals *totals, const struct progress *progress,
               struct err *err);
