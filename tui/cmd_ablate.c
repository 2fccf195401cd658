/* cmd_ablate.c - `saescope ablate`: what the loss loses when a feature is taken out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/cmd_lm.h"
#include "tui/cmd_table.h"
#include "tui/out_token.h"

#define DEFAULT_TOP 20
#define BATCH 256 /* features taken out in one run over the sequences */

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

/* What features are ranked by. */
static bool is_estimate(const struct cmd *c)
{
    return c->opts.by && strcmp(c->opts.by, "estimate") == 0;
}

static int column_of(const char *key)
{
    int i = 0;
    while (i < FCOL_COUNT && strcmp(feature_columns[i].key, key) != 0)
        i++;
    return i;
}

/* Of all features, by a column of the table, or by max * density. */
static bool keys_of_table(struct cmd *c, struct cmd_effects *e, double *keys,
                          struct err *err)
{
    struct feature_table table = {0};
    bool product = strcmp(c->opts.by, "max*density") == 0;
    int column = product ? FCOL_MAX : column_of(c->opts.by);
    const bool wanted[] = {false, column == FCOL_ESTIMATE_KEPT};
    if (column == FCOL_COUNT)
        return err_set(err, ERR_USAGE, "--by: no column '%s' (expected estimate, max*density "
                       "or one of saescope features --help)", c->opts.by);
    bool ok = cmd_table_make(c, true, &table, err) &&
              (column != FCOL_NEAREST_COSINE ||
               feature_table_nearest(&table, c->sae, c->opts.session.threads, &c->progress,
                                     err)) &&
              (!e->kept || cmd_effects_columns(c, e, wanted, &table, err));
    for (int64_t i = 0; i < table.n && ok; i++)
        keys[i] = feature_table_at(&table, column, i) *
                  (product ? feature_table_at(&table, FCOL_DENSITY, i) : 1);
    feature_table_finish(&table);
    return ok;
}

static bool keys_of_estimates(struct cmd *c, struct cmd_effects *e, bool error_kept,
                              double *keys, struct err *err)
{
    if (!e->kept)
        return err_set(err, ERR_MISSING, "%s: estimates need a language model (found none, "
                       "expected --model DIR)", c->sae->path);
    if (!effects_need_estimates(e->kept, &e->in, error_kept, &c->progress, err))
        return false;
    effects_columns(e->kept, error_kept, keys, NULL);
    return true;
}

/* The greatest of n keys (owned by the caller), in the order that tables are sorted in. */
static void choose_greatest(double *keys, int64_t n, int64_t top, struct choice *out)
{
    struct feature_table table = {.n = n};
    uint32_t *ids = xmalloc((size_t)n * sizeof *ids);
    table.v[FCOL_MAX] = keys;
    for (int64_t i = 0; i < n; i++)
        ids[i] = (uint32_t)i;
    feature_table_sort(&table, FCOL_MAX, false, ids, n);
    out->n = top < n ? top : n;
    out->ids = xmalloc((size_t)out->n * sizeof *out->ids);
    for (int64_t i = 0; i < out->n; i++)
        out->ids[i] = ids[i];
    free(ids);
}

static bool choose_by(struct cmd *c, struct cmd_effects *e, bool error_kept,
                      struct choice *out, struct err *err)
{
    int64_t n = c->sae->d_sae, top = c->opts.top < 0 ? DEFAULT_TOP : c->opts.top;
    double *keys = xmalloc((size_t)n * sizeof *keys);
    bool ok = is_estimate(c) ? keys_of_estimates(c, e, error_kept, keys, err)
                             : keys_of_table(c, e, keys, err);
    if (ok)
        choose_greatest(keys, n, top, out);
    free(keys);
    return ok;
}

static bool choose(struct cmd *c, struct cmd_effects *e, bool error_kept,
                   struct choice *out, struct err *err)
{
    if (c->opts.by && c->ids.n_spans)
        return err_set(err, ERR_USAGE, "--by: given with IDs (expected one of the two)");
    if (c->opts.by)
        return choose_by(c, e, error_kept, out, err);
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

/* --at: what changes at every token of one sequence. */
static void put_tokens(struct cmd *c, const struct page_ablation_tokens *t)
{
    struct out *o = c->out;
    if (out_form(o) == OUT_TEXT)
        return;
    out_rows(o, "tokens", "sequence,position,token_id,token,bytes,taken,ce_before,delta");
    for (int64_t p = 0; p < t->n; p++) {
        out_begin(o, NULL);
        out_int(o, "sequence", t->sequence);
        out_int(o, "position", p);
        out_token(o, c->session->tokenizer, t->ids[p]);
        out_num(o, "taken", t->taken[p]);
        out_num(o, "ce_before", t->before[p]);
        out_num(o, "delta", t->delta[p]);
        out_end(o);
    }
    out_end(o);
}

static void put_feature(struct cmd *c, const struct page_ablation *f, double estimate,
                        const struct page_ablation_tokens *tokens)
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
    out_num(o, "estimate", estimate);
    put_worst(c, f);
    if (tokens)
        put_tokens(c, tokens);
    out_end(o);
}

/* How much of a number of batches is done. */
struct batches {
    const struct progress *progress;
    int64_t i, n;
};

static bool batch_step(void *ctx, const char *what, int64_t done, int64_t of)
{
    const struct batches *b = ctx;
    return progress_step(b->progress, what, b->i * of + done, b->n * of);
}

/* The exact effects, saved after each batch: an interrupted run need not begin anew. */
static bool need_exact(struct cmd *c, struct cmd_effects *e, const struct choice *which,
                       bool error_kept, struct err *err)
{
    struct batches b = {&c->progress, 0, (which->n + BATCH - 1) / BATCH};
    struct progress progress = {batch_step, &b};
    for (; b.i < b.n; b.i++) {
        int64_t first = b.i * BATCH, n = which->n - first < BATCH ? which->n - first : BATCH;
        if (!effects_need_exact(e->kept, &e->in, error_kept, which->ids + first, n,
                                &progress, err))
            return false;
        if (b.i + 1 < b.n)
            effects_save(e->kept, NULL); /* the last one tells whether that fails */
    }
    return true;
}

static bool with_model(struct cmd *c, struct cmd_effects *e, const struct choice *which,
                       bool error_kept, struct page_ablations *out, struct err *err)
{
    const struct samples *samples = e->in.samples;
    bool estimated = !c->opts.session.quick || is_estimate(c);
    if ((estimated &&
         !effects_need_estimates(e->kept, &e->in, error_kept, &c->progress, err)) ||
        !need_exact(c, e, which, error_kept, err))
        return false;
    *out = (struct page_ablations){.sequences = samples->n_tok / samples->seq_len,
                                   .n = which->n};
    out->features = xcalloc((size_t)which->n, sizeof *out->features);
    for (int64_t i = 0; i < which->n; i++)
        effects_exact(e->kept, error_kept, which->ids[i], &out->features[i]);
    return true;
}

static void free_tokens(struct page_ablation_tokens *t, int64_t n)
{
    for (int64_t i = 0; t && i < n; i++)
        page_ablation_tokens_finish(&t[i]);
    free(t);
}

/* --at, of every feature asked for: owned, [which->n]. NULL on failure. */
static struct page_ablation_tokens *find_tokens(struct cmd *c, struct cmd_effects *e,
                                                const struct choice *which, bool error_kept,
                                                struct err *err)
{
    struct ablate_options options = {.scan = e->in.scan, .error_kept = error_kept};
    struct page_ablation_tokens *t = xcalloc((size_t)which->n + 1, sizeof *t);
    bool ok = e->kept || err_set(err, ERR_MISSING, "%s: --at needs a language model (found "
                                 "none, expected --model DIR)", c->sae->path);
    for (int64_t i = 0; i < which->n && ok; i++)
        ok = ablate_tokens(e->in.lm, e->in.hook, e->in.sae, e->in.samples, which->ids[i],
                           c->opts.at, &options, &c->progress, &t[i], err);
    if (ok)
        return t;
    free_tokens(t, which->n);
    return NULL;
}

static void put_answer(struct cmd *c, const struct page_ablations *page,
                       const struct page_ablation_tokens *tokens, struct cmd_effects *e,
                       bool error_kept)
{
    double *estimate = xmalloc((size_t)c->sae->d_sae * sizeof *estimate);
    for (int64_t i = 0; i < c->sae->d_sae; i++)
        estimate[i] = NAN;
    if (e->kept)
        effects_columns(e->kept, error_kept, estimate, NULL);
    out_int(c->out, "sequences", page->sequences);
    out_text(c->out, "mode", error_kept ? "error-kept" : "reconstruction");
    out_rows(c->out, "features", COLUMNS);
    for (int64_t i = 0; i < page->n; i++)
        put_feature(c, &page->features[i], estimate[page->features[i].id],
                    tokens ? &tokens[i] : NULL);
    out_end(c->out);
    free(estimate);
}

/* Without a model there are no effects to be had: e stays zeroed. */
static bool open_effects(struct cmd *c, struct lm **lm, struct lm_hook *hook,
                         struct cmd_effects *e, struct err *err)
{
    if (!cmd_model_path(c))
        return true;
    *lm = cmd_need_lm(c, err);
    return *lm && cmd_need_hook(c, *lm, hook, err) && cmd_effects_open(c, *lm, hook, e, err);
}

bool cmd_ablate(struct cmd *c, struct err *err)
{
    struct lm *lm = NULL;
    struct lm_hook hook;
    struct choice which = {0};
    struct page_ablations page = {0};
    struct page_ablation_tokens *tokens = NULL;
    struct cmd_effects e = {0};
    bool error_kept = c->opts.mode && strcmp(c->opts.mode, "error-kept") == 0;
    bool ok = open_effects(c, &lm, &hook, &e, err) &&
              choose(c, &e, error_kept, &which, err) &&
              (c->opts.at < 0 ||
               (tokens = find_tokens(c, &e, &which, error_kept, err)) != NULL) &&
              (e.kept ? with_model(c, &e, &which, error_kept, &page, err)
                      : from_samples(c, &which, &page, err));
    if (ok)
        put_answer(c, &page, tokens, &e, error_kept);
    free_tokens(tokens, which.n);
    cmd_effects_close(c, &e);
    lm_close(lm);
    page_ablations_finish(&page);
    free(which.ids);
    return ok;
}
