/* cmd_feature.c - `saescope feature`: all about one or several features. */
#include <limits.h>
#include <string.h>

#include "model/page.h"
#include "model/series.h"
#include "tui/cmd_lm.h"
#include "tui/out_feature.h"

#define DEFAULT_CONTEXT 10

/* Tokens shown on each side. */
static int reach(const struct cmd *c)
{
    int64_t n = c->opts.context < 0 ? DEFAULT_CONTEXT : c->opts.context;
    return n > INT_MAX ? INT_MAX : (int)n;
}

/* The language model, if there is one that fits. One that only the bundle names is no
 * reason to fail. */
static bool open_lm(struct cmd *c, struct lm **out, struct err *err)
{
    struct err why = {0};
    *out = NULL;
    if (!cmd_model_path(c))
        return true;
    struct lm *lm = cmd_need_lm(c, &why);
    if (lm && logitlens_check(lm, c->sae, &why)) {
        *out = lm;
        return true;
    }
    lm_close(lm);
    if (c->session->options.model || why.code == ERR_CANCELLED) {
        *err = why;
        return false;
    }
    session_warn(c->session, "%s: warning: not used for logits: %s", cmd_model_path(c),
                 why.msg);
    return true;
}

/* Examples in top, as a page takes it: 0 is the default, below 0 is none. */
static int strongest(const struct cmd *c)
{
    int64_t n = c->opts.top;
    return n > INT_MAX ? INT_MAX : n < 0 ? 0 : n == 0 ? -1 : (int)n;
}

/* Where the SAE is a step of a training run: the feature at all steps of it. */
static bool put_series(struct cmd *c, int64_t id, struct err *err)
{
    struct series_feature f[SERIES_MAX];
    struct series s;
    series_around(c->session, c->i, &s);
    if (!series_has(&s, c->i))
        return true;
    if (!series_features(c->session, &s, id, 1, &c->progress, f, err))
        return false;
    out_rows(c->out, "series", "name,step,bias,threshold,density");
    for (int k = 0; k < s.n; k++) {
        out_begin(c->out, NULL);
        out_text(c->out, "name", c->session->saes[s.members[k].sae].name);
        out_int(c->out, "step", s.members[k].step);
        out_num(c->out, "bias", f[k].bias);
        out_num(c->out, "threshold", f[k].threshold);
        out_num(c->out, "density", f[k].density);
        out_end(c->out);
    }
    out_end(c->out);
    return true;
}

static bool one_page(struct cmd *c, const struct lm *lm, int64_t id, struct err *err)
{
    struct session *s = c->session;
    struct page_feature_options options = {
        .top = strongest(c),
        .context = reach(c),
        .seed = s->options.seed,
        .quick = s->options.quick,
        .scan = session_scan_options(s),
    };
    struct feature_printer printer = {.out = c->out, .session = s, .i = c->i,
                                      .context = reach(c), .ascii = c->opts.ascii};
    struct page_feature page;
    struct logits logits = {0};
    if (lm && !logitlens_feature(lm, c->sae, id, LOGITLENS_SHOWN, c->opts.raw_logits,
                                 &logits, err))
        return false;
    if (!page_feature_make(c->sae, cmd_samples(c), s->saes[c->i].index, id, &options,
                           &c->progress, &page, err)) {
        logits_finish(&logits);
        return false;
    }
    printer.logits = lm ? &logits : NULL;
    if (page.warning)
        session_warn(s, "%s: warning: %s", c->sae->path, page.warning);
    out_feature(&printer, &page);
    page_feature_finish(&page);
    logits_finish(&logits);
    return put_series(c, id, err);
}

bool cmd_check_ids(const struct cmd *c, struct err *err)
{
    for (int i = 0; i < c->ids.n_spans; i++) {
        const struct opt_span *span = &c->ids.spans[i];
        int64_t bad = span->first < 0 ? span->first : span->last;
        if (bad < 0 || bad >= c->sae->d_sae)
            return err_set(err, ERR_RANGE, "%s: no such feature (found %lld, expected 0 to "
                                           "%lld)", c->sae->path, (long long)bad,
                           (long long)c->sae->d_sae - 1);
    }
    return true;
}

static bool all_pages(struct cmd *c, const struct lm *lm, struct err *err)
{
    out_rows(c->out, "features", out_form(c->out) == OUT_TSV
                                     ? "id,label,density,wilson,delta_fvu,count,mean,max,"
                                       "bias,threshold,decoder_norm,encoder_decoder_cosine"
                                     : NULL);
    for (int i = 0; i < c->ids.n_spans; i++) {
        for (int64_t id = c->ids.spans[i].first; id <= c->ids.spans[i].last; id++) {
            out_begin(c->out, NULL);
            out_heading(c->out, "feature %lld", (long long)id);
            if (!one_page(c, lm, id, err))
                return false;
            out_end(c->out);
        }
    }
    out_end(c->out);
    return true;
}

bool cmd_feature(struct cmd *c, struct err *err)
{
    const char *table = c->opts.table;
    if (!cmd_check_ids(c, err))
        return false;
    struct lm *lm;
    if (!open_lm(c, &lm, err))
        return false;
    session_open_index(c->session, c->i);
    bool many = cmd_has_many(c) || (table && !strcmp(table, "features"));
    bool ok = many ? all_pages(c, lm, err) : one_page(c, lm, c->ids.spans[0].first, err);
    lm_close(lm);
    return ok;
}
