/*
 * feature_impl.h - the making of a feature's page, shared by feature*.c only.
 */
#pragma once

#include "model/page.h"

/* What the making of a page needs at hand. */
struct maker {
    const struct sae *sae;
    const struct samples *samples;
    const struct index *ix;
    const struct page_feature_options *options;
    const struct progress *progress;
    struct page_feature *p;
    float *w_enc, *w_dec, *x; /* [d_in], [d_out], [d_in] */
    struct err *err;
    bool ok;
};

static inline int feature_option(int given, int otherwise)
{
    return given > 0 ? given : otherwise;
}

/* p->top; p->intervals and their examples. */
bool feature_make_top(struct maker *m);
bool feature_make_intervals(struct maker *m);

/* Up to n hits with low < |a| <= high (exact), by random order, then strongest first. */
bool feature_band(struct maker *m, double low, double high, int n, uint64_t seed,
                  struct page_example **out, int *n_out);
