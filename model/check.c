/* check.c - see check.h. */
#include "model/check.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "io/mem.h"
#include "model/stats.h"

#define RUN 64 /* tokens read together */

struct looking {
    int64_t d;
    float *rows;    /* [RUN, d] */
    double *sum;    /* [d] */
    double *length; /* [CHECK_TOKENS] */
    struct check check;
};

static void look_at(struct looking *l, const float *x)
{
    double squares = 0;
    for (int64_t i = 0; i < l->d; i++)
        squares += (double)x[i] * (double)x[i];
    if (!isfinite(squares)) {
        l->check.broken++;
        return;
    }
    for (int64_t i = 0; i < l->d; i++)
        l->sum[i] += (double)x[i];
    l->length[l->check.tokens++] = sqrt(squares);
}

/* Run i of n starts where the i-th of n equal parts does. */
static bool read_runs(struct looking *l, const struct samples *s,
                      const struct progress *progress, struct err *err)
{
    int64_t n = s->n_tok < CHECK_TOKENS ? (s->n_tok + RUN - 1) / RUN : CHECK_TOKENS / RUN;
    for (int64_t i = 0; i < n; i++) {
        int64_t first = s->n_tok < CHECK_TOKENS ? i * RUN : i * (s->n_tok / n);
        int64_t len = s->n_tok - first < RUN ? s->n_tok - first : RUN;
        if (!samples_read(s, first, len, l->rows, err))
            return false;
        for (int64_t t = 0; t < len; t++)
            look_at(l, l->rows + t * l->d);
        if (!progress_step(progress, "samples", i + 1, n))
            return err_set(err, ERR_CANCELLED, "cancelled");
    }
    return true;
}

static void conclude(struct looking *l, const float *b_dec)
{
    double mean = 0, bias = 0, dot = 0, lengths = 0, n = l->check.tokens ? (double)l->check.tokens : NAN;
    for (int64_t i = 0; i < l->d; i++) {
        double m = l->sum[i] / n, b = (double)b_dec[i];
        mean += m * m;
        bias += b * b;
        dot += m * b;
    }
    for (int64_t t = 0; t < l->check.tokens; t++)
        lengths += l->length[t];
    l->check.factor = sqrt((double)l->d) / (lengths / n);
    l->check.median_length = stats_median(l->length, l->check.tokens);
    l->check.mean_length = sqrt(mean);
    l->check.b_dec_length = sqrt(bias);
    l->check.b_dec_cosine = mean == 0 || bias == 0 ? 0 : dot / sqrt(mean) / sqrt(bias);
}

bool check_make(const struct sae *sae, const struct samples *samples,
                const struct progress *progress, struct check *out, struct err *err)
{
    assert(samples->d_in == sae->d_in);
    struct looking l = {.d = sae->d_in};
    l.rows = mem_try(RUN * (size_t)l.d, sizeof *l.rows, "samples", err);
    if (!l.rows)
        return false;
    l.sum = xcalloc((size_t)l.d, sizeof *l.sum);
    l.length = xcalloc(CHECK_TOKENS, sizeof *l.length);
    bool ok = read_runs(&l, samples, progress, err);
    if (ok) {
        /* A transcoder's b_dec is of another space than its input. */
        float *none = xcalloc((size_t)l.d, sizeof *none);
        bool comparable = sae_rebuilds_input(sae) && sae->d_out == sae->d_in;
        conclude(&l, comparable ? sae->b_dec : none);
        free(none);
        *out = l.check;
    }
    free(l.length);
    free(l.sum);
    free(l.rows);
    return ok;
}
