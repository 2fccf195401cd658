/* cmd_hist.c - `saescope hist`: one quantity over all features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/cmd_table.h"

/* What --of knows: a vector of the checkpoint, or a column of the table. */
struct quantity {
    const char *name;
    const float *(*vector)(const struct sae *sae, int64_t *n); /* NULL: a column */
    int column;
    bool scanned; /* the column needs samples */
};

static const float *b_enc(const struct sae *sae, int64_t *n)
{
    *n = sae->d_sae;
    return sae->b_enc;
}

static const float *b_dec(const struct sae *sae, int64_t *n)
{
    *n = sae->d_out;
    return sae->b_dec;
}

/* BatchTopK has one threshold, however often it is repeated. */
static const float *threshold(const struct sae *sae, int64_t *n)
{
    *n = strcmp(sae->arch->name, "batchtopk") ? sae->d_sae : 1;
    return sae->threshold;
}

static const struct quantity quantities[] = {
    {"b_enc", b_enc, 0, false},
    {"b_dec", b_dec, 0, false},
    {"threshold", threshold, 0, false},
    {"density", NULL, FCOL_DENSITY, true},
    {"max", NULL, FCOL_MAX, true},
    {"decoder_norm", NULL, FCOL_DECODER_NORM, false},
    {"encoder_decoder_cosine", NULL, FCOL_ENCODER_DECODER_COSINE, false},
    {"delta_fvu", NULL, FCOL_DELTA_FVU, true},
};
#define N_QUANTITIES ((int)(sizeof quantities / sizeof *quantities))

static const char *quantity_name(int i)
{
    return quantities[i].name;
}

static const struct quantity *find_quantity(const char *name, struct err *err)
{
    if (!name) {
        err_set(err, ERR_USAGE, "hist: no --of given (expected b_enc, b_dec, threshold, "
                                "density, max, decoder_norm, ...)");
        return NULL;
    }
    for (int i = 0; i < N_QUANTITIES; i++)
        if (!strcmp(quantities[i].name, name))
            return &quantities[i];
    const char *near = opt_nearest(name, quantity_name, N_QUANTITIES);
    err_set(err, ERR_USAGE, "--of: found '%s', expected %s", name,
            near ? near : "b_enc, b_dec, threshold, density, max, decoder_norm, "
                          "encoder_decoder_cosine or delta_fvu");
    return NULL;
}

static double *copy_vector(const struct cmd *c, const struct quantity *q, int64_t *n,
                           struct err *err)
{
    const float *v = q->vector(c->sae, n);
    if (!v) {
        err_set(err, ERR_MISSING, "%s: no %s (found none, a checkpoint of architecture %s "
                                  "has none)", c->sae->path, q->name, c->sae->arch->name);
        return NULL;
    }
    double *copy = mem_try((size_t)*n, sizeof *copy, q->name, err);
    for (int64_t i = 0; copy && i < *n; i++)
        copy[i] = v[i];
    return copy;
}

/* A column that is not known has no values. */
static double *copy_column(struct cmd *c, const struct quantity *q, int64_t *n,
                           struct err *err)
{
    struct feature_table table;
    if (!cmd_table_make(c, q->scanned, &table, err))
        return NULL;
    *n = table.v[q->column] ? table.n : 0;
    double *copy = mem_try((size_t)*n + 1, sizeof *copy, q->name, err);
    if (copy && *n)
        memcpy(copy, table.v[q->column], (size_t)*n * sizeof *copy);
    else if (copy)
        session_warn(c->session, "%s: warning: no activation samples, so %s is not known "
                                 "(--acts FILE)", c->sae->path, q->name);
    feature_table_finish(&table);
    return copy;
}

bool cmd_hist(struct cmd *c, struct err *err)
{
    const struct opts *opts = &c->opts;
    const struct quantity *q = find_quantity(opts->of, err);
    if (!q)
        return false;
    int64_t n;
    double *v = q->vector ? copy_vector(c, q, &n, err) : copy_column(c, q, &n, err);
    if (!v)
        return false;
    struct summary_options options = {
        .bins = (int)opts->bins,
        .ranged = opts->range.given,
        .lo = opts->range.lo,
        .hi = opts->range.hi,
        .log = opts->log,
    };
    struct summary s;
    summary_of(v, n, &options, &s);
    free(v);
    out_text(c->out, "of", q->name);
    out_summary_keys(c->out, &s);
    out_int(c->out, "excluded", s.excluded);
    out_line(c->out, "%s", "");
    out_hist(c->out, "histogram", &s.hist);
    summary_finish(&s);
    return true;
}
