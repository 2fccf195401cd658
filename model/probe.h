/*
 * probe.h - one feature without an index: a pass of matrix x vector over the samples.
 *
 * Samples are read by blocks of about 1 MiB a thread; an activation that depends on its
 * own pre-activation alone costs one dot product a token. TopK's selection needs the full
 * row of every token where the pre-activation is positive.
 */
#pragma once

#include "model/index.h"
#include "model/sae.h"
#include "model/samples.h"
#include "model/scan.h"

struct probe {
    int64_t tokens, skipped; /* counted; left out because of NaN or Inf */
    struct hit *hits;        /* owned; by token, values exact */
    int64_t n_hits;
};

bool probe_feature(const struct sae *sae, const struct samples *samples,
                   const struct scan_options *options, int64_t id,
                   const struct progress *progress, struct probe *out, struct err *err);
void probe_finish(struct probe *p); /* a zeroed one is fine */

/* The activation of feature id at token t, where it is known to fire (for TopK: to be
 * selected): the same bits as the scan's. x [d_in] is room to work in. */
bool probe_exact(const struct sae *sae, const struct samples *samples, int64_t id,
                 int64_t t, const float *w, float *x, float *value, struct err *err);

/* What else can be said of a feature without an index: rise of FVU when it is taken out,
 * and the features that fire together with it. */
struct probe_extra {
    double delta_fvu;
    uint32_t *both;  /* [d_sae] owned: tokens where both fire */
    int64_t *counts; /* [d_sae] owned: tokens where j fires, -1: not counted (both < 5, or
                        surely not among the `most` of greatest jaccard) */
};

#define PROBE_EXTRA_TOKENS 20000
/* TopK's co-occurrence needs a full encode of all tokens; of more than so many it is left
 * to a scan. */
#define PROBE_SELECT_TOKENS 200000

/* From a full encode of the tokens of p; at most PROBE_EXTRA_TOKENS of them (assert). */
bool probe_extra(const struct sae *sae, const struct samples *samples,
                 const struct scan_options *options, int64_t id, const struct probe *p,
                 const struct progress *progress, struct probe_extra *out,
                 struct err *err);
void probe_extra_finish(struct probe_extra *x); /* a zeroed one is fine */
