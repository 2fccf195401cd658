/* cmd_ablate.c - `saescope ablate`: what the loss loses when a feature is taken out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/ablate.h"
#include "tui/cmd_lm.h"
#include "tui/cmd_table.h"
#include "tui/out_token.h"

#define DEFAULT_TOP 20

#define COLUMNS                                                                            \
    "id,active_tokens,delta_fvu,ce_before,ce_after,delta_ce,reconstruction_score_before,"  \
    "reconstruction_score_after,delta_reconstruction_score,estimate"

/* --- which features ----------------------------------------------------------------------- */

struct choice {
    int64_t *ids; /* owned */
    int64_t n;
};

static void choose_given(const struct cmd *c, struct choice *out)
{
    bool *taken = xcalloc((size_t)c->sae->d_sae, sizeof *taken);
    int64_t cap = 0;
    for (int i = 0; i < c->ids.n_spans; i++)
        for (int64_t id = c->ids.spans[i].first; id <= c->ids.spans[i].last; id++) {
            if (taken[id])
                continue;
            taken[id] = true;
            array_grow(out->ids, out->n, cap);
            out->ids[out->n++] = id;
        }
    free(taken);
}

static int column_of(const char *key)
{
    int i = 0;
    while (i < FCOL_COUNT && strcmp(feature_columns[i].key, key) != 0)
        i++;
    return i;
}

/* --top N --by KEY: the greatest of a column. */
static bool choose_by(struct cmd *c, struct choice *out, struct err *err)
{
    struct feature_table table = {0};
    int column = column_of(c->opts.by);
    if (column == FCOL_COUNT)
        return err_set(err, ERR_USAGE, "--by: no column '%s' (see saescope features --help)",
                       c->opts.by);
    bool ok = cmd_table_make(c, true, &table, err) &&
              (column != FCOL_NEAREST_COSINE ||
               feature_table_nearest(&table, c->sae, c->opts.session.threads, &c->progress,
                                     err));
    if (ok) {
        uint32_t *ids = xmalloc((size_t)table.n * sizeof *ids);
        for (int64_t i = 0; i < table.n; i++)
            ids[i] = (uint32_t)i;
        feature_table_sort(&table, column, false, ids, table.n);
        int64_t top = c->opts.top < 0 ? DEFAULT_TOP : c->opts.top;
        out->n = top < table.n ? top : table.n;
        out->ids = xmalloc((size_t)out->n * sizeof *out->ids);
        for (int64_t i = 0; i < out->n; i++)
            out->ids[i] = ids[i];
        free(ids);
    }
    feature_table_finish(&table);
    return ok;
}

static bool choose(struct cmd *c, struct choice *out, struct err *err)
{
    if (c->opts.by && c->ids.n_spans)
        return err_set(err, ERR_USAGE, "--by: given with IDs (expected one of the two)");
    if (c->opts.by)
        return choose_by(c, out, err);
    if (!cmd_check_ids(c, err))
        return false;
    choose_given(c, out);
    return true;
}

/* --- without a language model ---------------------------------------------------------------- */

/* What samples tell: active tokens and delta_fvu; the rest is unknown. */
static bool from_samples(struct cmd *c, const struct choice *which,
                         struct page_ablations *out, struct err *err)
{
    struct session *s = c->session;
    struct page_feature_options options = {.scan = session_scan_options(s),
                                           .quick = s->options.quick};
    const struct samples *samples = cmd_samples(c);
    if (!samples)
        return err_set(err, ERR_MISSING, "%s: neither a language model nor samples (found "
                       "none, expected --model DIR or --acts FILE)", c->sae->path);
    session_open_index(s, c->i);
    struct page_ablations made = {.sequences = samples->n_seq, .n = which->n};
    made.features = xcalloc((size_t)which->n, sizeof *made.features);
    for (int64_t i = 0; i < which->n; i++) {
        struct page_feature page;
        if (!page_feature_make(c->sae, samples, s->saes[c->i].index, which->ids[i], &options,
                               &c->progress, &page, err)) {
            page_ablations_finish(&made);
            return false;
        }
        made.features[i] = (struct page_ablation){
            .id = which->ids[i],
            .active_tokens = page.count,
            .delta_fvu = page.delta_fvu,
            .ce_before = NAN,
            .ce_after = NAN,
            .delta_ce = NAN,
            .score_before = NAN,
            .score_after = NAN,
            .delta_score = NAN,
        };
        page_feature_finish(&page);
    }
    session_warn(s, "%s: warning: no language model, so the effect on the loss is not known "
                 "(expected --model DIR)", c->sae->path);
    *out = made;
    return true;
}

/* --- the command ---------------------------------------------------------------------------- */

static void put_worst(struct cmd *c, const struct page_ablation *f)
{
    struct out *o = c->out;
    if (out_form(o) == OUT_TEXT)
        return; /* a table in a table: --json, or --tsv --table worst */
    out_rows(o, "worst", "sequence,position,token_id,token,bytes,delta");
    for (int i = 0; i < f->n_worst; i++) {
        out_begin(o, NULL);
        out_int(o, "sequence", f->worst[i].sequence);
        out_int(o, "position", f->worst[i].position);
        out_token(o, c->session->tokenizer, f->worst[i].token);
        out_num(o, "delta", f->worst[i].delta);
        out_end(o);
    }
    out_end(o);
}

static void put_feature(struct cmd *c, const struct page_ablation *f)
{
    struct out *o = c->out;
    out_begin(o, NULL);
    out_int(o, "id", f->id);
    out_int(o, "active_tokens", f->active_tokens);
    out_num(o, "delta_fvu", f->delta_fvu);
    out_num(o, "ce_before", f->ce_before);
    out_num(o, "ce_after", f->ce_after);
    out_num(o, "delta_ce", f->delta_ce);
    out_num(o, "reconstruction_score_before", f->score_before);
    out_num(o, "reconstruction_score_after", f->score_after);
    out_num(o, "delta_reconstruction_score", f->delta_score);
    out_null(o, "estimate"); /* the numbers are exact */
    put_worst(c, f);
    out_end(o);
}

static bool with_model(struct cmd *c, const struct choice *which, bool error_kept,
                       struct page_ablations *out, struct err *err)
{
    struct lm_hook hook;
    struct ablate_options options = {.scan = session_scan_options(c->session),
                                     .error_kept = error_kept};
    struct lm *lm = cmd_need_lm(c, err);
    bool ok = lm && cmd_need_hook(c, lm, &hook, err) &&
              ablate_run(lm, &hook, c->sae, c->session->samples, which->ids, which->n,
                         &options, &c->progress, out, err);
    lm_close(lm);
    return ok;
}

bool cmd_ablate(struct cmd *c, struct err *err)
{
    struct choice which = {0};
    struct page_ablations page = {0};
    const char *mode = c->opts.mode ? c->opts.mode : "reconstruction";
    bool ok = choose(c, &which, err) &&
              (cmd_model_path(c)
                   ? with_model(c, &which, strcmp(mode, "error-kept") == 0, &page, err)
                   : from_samples(c, &which, &page, err));
    if (ok) {
        out_int(c->out, "sequences", page.sequences);
        out_text(c->out, "mode", mode);
        out_rows(c->out, "features", COLUMNS);
        for (int64_t i = 0; i < page.n; i++)
            put_feature(c, &page.features[i]);
        out_end(c->out);
    }
    page_ablations_finish(&page);
    free(which.ids);
    return ok;
}
