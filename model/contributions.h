/*
 * contributions.h - what one token's activation is made of.
 *
 *   x = b_dec + the contribution of every active feature + the error
 *
 * (docs/commands.md, "contribution"; where the SAE normalises its input, b_dec stands for
 * what it gives without any feature.) Of each part c: its length |c|, its projection onto
 * x, c.x / |x|, and its share of x, c.x / |x|^2: the shares of all parts add up to 1. The
 * parts are in an order, and each has what all up to it come to together.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/lm.h"
#include "model/sae.h"
#include "model/samples.h"

enum part_kind { PART_B_DEC, PART_FEATURE, PART_ERROR };
extern const char *const part_kind_names[]; /* "b_dec", "feature", "error" */

/* Greatest first, equals in the order b_dec, features by id, error. */
enum contributions_order { CONTRIBUTIONS_NORM, CONTRIBUTIONS_PROJECTION };

struct contribution {
    enum part_kind kind;
    int64_t id;          /* of a feature, else -1 */
    float activation;    /* of a feature, else NaN */
    double norm, projection, share;
    double cumulative;   /* shares of all parts up to this one */
    double left;         /* |x - these parts| / |x| */
};

struct page_contributions {
    double norm;         /* |x| */
    int64_t l0;          /* active features */
    struct contribution *parts; /* [n] owned */
    int64_t n;           /* l0 + 2 */
};

/*
 * x [d_in]. ERR_UNSUPPORTED (a transcoder), ERR_FORMAT (x is not finite, or has nothing to
 * normalise), ERR_CANCELLED. Where x is 0, what is relative to it is NaN.
 */
bool contributions_make(const struct sae *sae, const float *x,
                        enum contributions_order order, int threads,
                        const struct progress *progress, struct page_contributions *out,
                        struct err *err);
void page_contributions_finish(struct page_contributions *p); /* a zeroed one is fine */

/*
 * x [d_in] of one token: of the samples, and where there are none (only token ids), of the
 * model at the hook; lm and hook may be NULL if there are. ERR_RANGE (no such token),
 * ERR_MISSING (neither), ERR_SHAPE (samples or model of another width than d_in), and as
 * samples_read and lm_run_to.
 */
bool contributions_x(const struct samples *samples, const struct lm *lm,
                     const struct lm_hook *hook, int64_t d_in, int64_t sequence,
                     int64_t position, const struct progress *progress, float *x,
                     struct err *err);
