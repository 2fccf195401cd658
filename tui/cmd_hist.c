/* cmd_hist.c - `saescope hist`: one quantity over all features. */
#include <math.h>
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
                                 "encoder_decoder_cosine, relative_decoder_norm or delta_fvu");
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

static struct summary_options options_of(const struct opts *opts)
{
    return (struct summary_options){
        .bins = (int)opts->bins,
        .ranged = opts->range.given,
        .lo = opts->range.lo,
        .hi = opts->range.hi,
        .log = opts->log,
    };
}

/* What is known of one of several. */
struct found {
    double *v; /* [n] owned */
    int64_t n;
    struct summary summary;
};

static bool find_all(struct cmd *c, enum quantity q, struct found *found,
                     struct quantity_entry *entries, struct err *err)
{
    const struct session *s = c->session;
    for (int k = 0; k < s->n_chosen; k++) {
        if (!cmd_choose(c, k, err))
            return false;
        found[k].v = values(c, q, &found[k].n, err);
        if (!found[k].v)
            return false;
        const struct session_sae *e = &s->saes[c->i];
        entries[k] = (struct quantity_entry){e->name, e->path,
                                             e->step >= 0 ? e->step : c->sae->step, c->sae->l1,
                                             .summary = &found[k].summary};
    }
    return true;
}

/* Bins over what all of them span, unless --range says which. */
static void summarise_all(const struct opts *opts, struct found *found,
                          struct quantity_entry *entries, int n)
{
    struct summary_options options = options_of(opts);
    double lo = INFINITY, hi = -INFINITY;
    for (int k = 0; k < n; k++) {
        double a = opts->range.given ? opts->range.lo : NAN;
        double b = opts->range.given ? opts->range.hi : NAN;
        if (quantity_range(found[k].v, found[k].n, opts->log, &a, &b)) {
            lo = a < lo ? a : lo;
            hi = b > hi ? b : hi;
        }
    }
    if (!opts->range.given && lo <= hi) {
        options.ranged = true;
        options.lo = lo;
        options.hi = hi;
    }
    for (int k = 0; k < n; k++) {
        summary_of(found[k].v, found[k].n, &options, &found[k].summary);
        stats_quantiles(found[k].v, found[k].n, entries[k].quantiles);
    }
}

static bool hist_many(struct cmd *c, enum quantity q, struct err *err)
{
    int n = c->session->n_chosen;
    struct found *found = xcalloc((size_t)n, sizeof *found);
    struct quantity_entry *entries = xcalloc((size_t)n, sizeof *entries);
    bool ok = find_all(c, q, found, entries, err);
    if (ok) {
        summarise_all(&c->opts, found, entries, n);
        quantity_put_many(c->out, q, entries, n);
    }
    for (int k = 0; k < n; k++) {
        free(found[k].v);
        summary_finish(&found[k].summary);
    }
    free(found);
    free(entries);
    return ok;
}

static bool hist_one(struct cmd *c, enum quantity q, struct err *err)
{
    struct summary_options options = options_of(&c->opts);
    struct summary s;
    int64_t n;
    double *v = values(c, q, &n, err);
    if (!v)
        return false;
    summary_of(v, n, &options, &s);
    free(v);
    quantity_put(c->out, q, &s);
    summary_finish(&s);
    return true;
}

bool cmd_hist(struct cmd *c, struct err *err)
{
    enum quantity q = QUANTITY_B_ENC;
    return find_quantity(c->opts.of, &q, err) &&
           (c->session->n_chosen > 1 ? hist_many(c, q, err) : hist_one(c, q, err));
}
