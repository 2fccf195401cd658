/* cmd_prompt.c - `saescope prompt`: the features of a text, its losses, the next token. */
#include <math.h>
#include <string.h>

#include "io/labels.h"
#include "model/prompt.h"
#include "tui/cmd_lm.h"
#include "tui/out_token.h"

#define NEXT_TOKENS 10

static const char *label_of(const struct cmd *c, int64_t feature)
{
    struct label label;
    const struct session *s = c->session;
    if (!s->labels || !labels_get(s->labels, s->saes[c->i].id, feature, &label) || !*label.text)
        return NULL;
    return label.text;
}

static void put_feature(struct cmd *c, int64_t position, const struct prompt_feature *f)
{
    out_begin(c->out, NULL);
    if (out_form(c->out) == OUT_TSV) /* else it stands inside its token */
        out_int(c->out, "position", position);
    out_int(c->out, "id", f->id);
    out_num(c->out, "activation", (double)f->activation);
    out_text(c->out, "label", label_of(c, f->id));
    out_end(c->out);
}

/* The strongest few as one string: "#12 1.74  #7 0.3". */
static void put_features_line(struct cmd *c, const struct prompt_token *t)
{
    struct str line = {0};
    for (int i = 0; i < t->n_features && i < 5; i++)
        str_appendf(&line, "%s#%lld %.3g", i ? "  " : "", (long long)t->features[i].id,
                    (double)t->features[i].activation);
    out_text(c->out, "features", str_text(&line));
    str_finish(&line);
}

static void put_tokens(struct cmd *c, const struct page_prompt *page)
{
    struct out *o = c->out;
    bool ablated = page->final[1] != NULL, text = out_form(o) == OUT_TEXT;
    out_rows(o, "tokens",
             text ? ablated ? "token_id,token,ce,ce_before,ce_after,kl,active,features"
                            : "token_id,token,ce,active,features"
             : ablated ? "token_id,token,bytes,ce,ce_before,ce_after,kl,active"
                       : "token_id,token,bytes,ce,active");
    for (int64_t p = 0; p < page->n; p++) {
        const struct prompt_token *t = &page->tokens[p];
        out_begin(o, NULL);
        out_token(o, c->session->tokenizer, t->id);
        out_num(o, "ce", t->ce);
        if (ablated) {
            out_num(o, "ce_before", t->before);
            out_num(o, "ce_after", t->after);
            out_num(o, "kl", t->kl);
        }
        out_int(o, "active", t->n_active);
        if (text) {
            put_features_line(c, t);
        } else {
            out_rows(o, "features", "position,id,activation,label");
            for (int i = 0; i < t->n_features; i++)
                put_feature(c, p, &t->features[i]);
            out_end(o);
        }
        out_end(o);
    }
    out_end(o);
}

static void put_ablated(struct cmd *c, const struct page_prompt *page, bool reconstruction)
{
    struct out *o = c->out;
    if (!page->final[1])
        return;
    out_begin(o, "ablated");
    out_list(o, "ids");
    for (int i = 0; i < c->opts.n_ablate; i++)
        out_int(o, NULL, c->opts.ablate[i]);
    out_end(o);
    out_text(o, "mode", reconstruction ? "reconstruction" : "error-kept");
    out_num(o, "ce_before", page->before);
    out_num(o, "ce_after", page->after);
    out_num(o, "kl", page->kl);
    out_end(o);
}

static void put_next(struct cmd *c, const struct page_next *next)
{
    struct out *o = c->out;
    bool ablated = !isnan(next->kl);
    out_rows(o, "next",
             out_form(o) == OUT_TEXT ? ablated ? "token_id,token,probability,probability_after"
                                               : "token_id,token,probability"
             : ablated ? "token_id,token,bytes,probability,probability_after"
                       : "token_id,token,bytes,probability");
    for (int i = 0; i < next->n; i++) {
        out_begin(o, NULL);
        out_token(o, c->session->tokenizer, next->tokens[i].id);
        out_num(o, "probability", next->tokens[i].before);
        if (ablated)
            out_num(o, "probability_after", next->tokens[i].after);
        out_end(o);
    }
    out_end(o);
    if (ablated)
        out_num(o, "next_kl", next->kl);
}

static void put_all(struct cmd *c, const struct page_prompt *page, const struct page_next *next,
                    bool reconstruction)
{
    out_num(c->out, "ce", page->ce);
    put_ablated(c, page, reconstruction);
    put_tokens(c, page);
    put_next(c, next);
}

/* The distribution behind the last token. */
static bool find_next(const struct lm *lm, const struct page_prompt *page,
                      struct page_next *next, struct err *err)
{
    next->kl = NAN;
    if (page->n == 0)
        return true;
    int64_t at = (page->n - 1) * page->d;
    const float *before = page->final[page->final[1] ? 1 : 0] + at;
    return prompt_next(lm, before, page->final[2] ? page->final[2] + at : NULL, NEXT_TOKENS,
                       next, err);
}

static bool check_ablate(const struct cmd *c, struct err *err)
{
    for (int i = 0; i < c->opts.n_ablate; i++)
        if (c->opts.ablate[i] < 0 || c->opts.ablate[i] >= c->sae->d_sae)
            return err_set(err, ERR_RANGE, "%s: no such feature (found %lld, expected 0 to "
                           "%lld)", c->sae->path, (long long)c->opts.ablate[i],
                           (long long)c->sae->d_sae - 1);
    return true;
}

static bool run_text(struct cmd *c, const struct token_encoder *te, const struct lm *lm,
                     struct err *err)
{
    struct lm_hook hook;
    struct prompt_ids ids = {0};
    struct prompt_engine *engine = NULL;
    struct page_prompt page = {0};
    struct page_next next = {0};
    const char *text = c->opts.text, *bos = c->opts.bos, *mode = c->opts.mode;
    struct prompt_options options = {
        .top = c->opts.top > 0 ? (int)(c->opts.top < 1000000 ? c->opts.top : 1000000) : 0,
        .ablate = c->opts.ablate,
        .n_ablate = c->opts.n_ablate,
        .reconstruction = !mode || strcmp(mode, "reconstruction") == 0,
    };
    enum prompt_bos how = !bos ? PROMPT_BOS_AUTO : *bos == 'y' ? PROMPT_BOS_YES : PROMPT_BOS_NO;
    bool ok = cmd_need_hook(c, lm, &hook, err) &&
              prompt_encode(te, c->sae, lm, how, text, strlen(text), &ids, err) &&
              (engine = prompt_engine_new(lm, &hook, c->sae, c->opts.session.threads,
                                          &c->progress, err)) &&
              prompt_run(engine, ids.id, ids.n, &options, &c->progress, &page, err) &&
              find_next(lm, &page, &next, err);
    if (ok)
        put_all(c, &page, &next, options.reconstruction);
    page_next_finish(&next);
    page_prompt_finish(&page);
    prompt_engine_unref(engine);
    prompt_ids_finish(&ids);
    return ok;
}

bool cmd_prompt(struct cmd *c, struct err *err)
{
    const struct session *s = c->session;
    if (!c->opts.text)
        return err_set(err, ERR_USAGE, "prompt: no text given (expected --text STR)");
    if (!check_ablate(c, err))
        return false;
    if (!s->tokenizer)
        return err_set(err, ERR_MISSING, "%s: no tokenizer (found none, expected --tokenizer "
                       "FILE or a bundle that has one)", c->sae->path);
    struct token_encoder *te = token_encoder_open(tokenizer_path(s->tokenizer), err);
    struct lm *lm = te ? cmd_need_lm(c, err) : NULL;
    bool ok = lm && run_text(c, te, lm, err);
    lm_close(lm);
    token_encoder_close(te);
    return ok;
}
