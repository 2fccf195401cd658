/* cmd_hist.c - `saescope hist`: one quantity over all features. */
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/cmd_table.h"
#include "tui/quantity.h"

static const char *quantity_name(int i)
{
    return quantities[i].name;
}

static bool find_quantity(const char *name, enum quantity *out, struct err *err)
{
    if (!name)
        return err_set(err, ERR_USAGE, "hist: no --of given (expected b_enc, b_dec, "
                                       "threshold, density, max, decoder_norm, ...)");
    for (int i = 0; i < QUANTITY_COUNT; i++)
        if (!strcmp(quantities[i].name, name)) {
            *out = (enum quantity)i;
            return true;
        }
    const char *near = opt_nearest(name, quantity_name, QUANTITY_COUNT);
    return err_set(err, ERR_USAGE, "--of: found '%s', expected %s", name,
                   near ? near : "b_enc, b_dec, threshold, density, max, decoder_norm, "
                                 "encoder_decoder_cosine or delta_fvu");
}

/* A column that is not known has no values: *n is 0. */
static double *values(struct cmd *c, enum quantity q, int64_t *n, struct err *err)
{
    struct feature_table table = {0};
    double *v;
    if (!quantity_applies(c->sae, q)) {
        err_set(err, ERR_MISSING, "%s: no %s (found none, a checkpoint of architecture %s "
                                  "has none)", c->sae->path, quantities[q].name,
                c->sae->arch->name);
        return NULL;
    }
    if (!quantities[q].is_stored && !cmd_table_make(c, quantities[q].is_scanned, &table, err))
        return NULL;
    v = quantity_values(c->sae, &table, q, n);
    if (!v && !quantities[q].is_stored && !table.v[quantities[q].column]) {
        session_warn(c->session, "%s: warning: no activation samples, so %s is not known "
                                 "(--acts FILE)", c->sae->path, quantities[q].name);
        v = xmalloc(0);
        *n = 0;
    } else if (!v) {
        err_set(err, ERR_NOMEM, "%s: not enough memory", quantities[q].name);
    }
    feature_table_finish(&table);
    return v;
}

bool cmd_hist(struct cmd *c, struct err *err)
{
    const struct opts *opts = &c->opts;
    enum quantity q = QUANTITY_B_ENC;
    int64_t n;
    double *v = find_quantity(opts->of, &q, err) ? values(c, q, &n, err) : NULL;
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
    quantity_put(c->out, q, &s);
    summary_finish(&s);
    return true;
}
