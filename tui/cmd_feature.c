/* cmd_feature.c - `saescope feature`: all about one or several features. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/page.h"
#include "model/rows.h"
#include "tui/cmd_token.h"

#define DEFAULT_CONTEXT 10
#define LEFT_CELLS 40 /* text: of context before the token */
#define RIGHT_CELLS 40

#define EXAMPLE_COLUMNS                                                                 \
    "sequence,position,activation,token_id,token,bytes,context.start,"                  \
    "context.token_ids,context.tokens,context.bytes,context.activations"

static const char *label_of(const struct cmd *c, int64_t id)
{
    const struct session *s = c->session;
    return rows_label(s->labels, s->saes[c->i].id, id);
}

/* --- examples --------------------------------------------------------------------------- */

/* Tokens shown on each side. */
static int reach(const struct cmd *c)
{
    int64_t n = c->opts.context < 0 ? DEFAULT_CONTEXT : c->opts.context;
    return n > INT_MAX ? INT_MAX : (int)n;
}

static void make_context(const struct cmd *c, const struct page_feature *p,
                         const struct page_example *e, struct page_context *context)
{
    page_context_make(c->session->samples, p->hits, p->n_hits, e->token, reach(c), context);
}

static void put_example(struct cmd *c, const struct page_feature *p,
                        const struct page_example *e)
{
    struct out *o = c->out;
    struct page_context context;
    make_context(c, p, e, &context);
    out_begin(o, NULL);
    out_int(o, "sequence", e->sequence);
    out_int(o, "position", e->position);
    out_num(o, "activation", e->activation);
    cmd_put_token(c, context.ids[context.lit]);
    out_begin(o, "context");
    out_int(o, "start", context.start);
    cmd_put_tokens(c, context.ids, context.n);
    out_list(o, "activations");
    for (int i = 0; i < context.n; i++)
        out_num(o, NULL, context.activations[i]);
    out_end(o);
    out_end(o);
    out_end(o);
    page_context_finish(&context);
}

/* --- examples as text: the token under the eye, its context on both sides ------------------ */

static void put_blanks(struct out *o, int64_t n)
{
    for (; n > 0; n--)
        out_span(o, OUT_PLAIN, " ", 1);
}

/* At most `cells` cells of the tokens' text: its end (left) or its beginning. Line breaks
 * are symbols, so that an example is a line. */
static void put_side(struct cmd *c, const int64_t *ids, int n, bool left, int cells)
{
    struct str bytes = {0}, text = {0};
    cmd_token_text(c, ids, n, &bytes);
    str_visible(&text, str_text(&bytes), bytes.len,
                c->opts.ascii ? STR_ASCII : STR_SYMBOLS);
    const char *s = str_text(&text);
    size_t len = text.len;
    while (left && str_width(s, len) > cells) {
        int width;
        size_t first = str_grapheme(s, len, &width);
        s += first;
        len -= first;
    }
    if (left)
        put_blanks(c->out, cells - str_width(s, len));
    else
        len = str_fit(s, len, cells);
    out_span(c->out, OUT_PLAIN, s, len);
    str_finish(&text);
    str_finish(&bytes);
}

static void put_lit(struct cmd *c, int64_t id)
{
    const char *open = c->opts.ascii ? "[" : "▐", *close = c->opts.ascii ? "]" : "▌";
    struct str bytes = {0}, text = {0};
    cmd_token_text(c, &id, 1, &bytes);
    str_visible(&text, str_text(&bytes), bytes.len,
                c->opts.ascii ? STR_ASCII : STR_SYMBOLS);
    out_span(c->out, OUT_DIM, open, strlen(open));
    out_span(c->out, OUT_BOLD, str_text(&text), text.len);
    out_span(c->out, OUT_DIM, close, strlen(close));
    str_finish(&text);
    str_finish(&bytes);
}

static void line_example(struct cmd *c, const struct page_feature *p,
                         const struct page_example *e)
{
    struct page_context context;
    make_context(c, p, e, &context);
    const int64_t *ids = context.ids;
    int lit = context.lit;
    char number[64];
    int n = snprintf(number, sizeof number, "  %9.4g %6lld:%-6lld ", e->activation,
                     (long long)e->sequence, (long long)e->position);
    out_span(c->out, OUT_PLAIN, number, (size_t)n);
    if (ids[lit] >= 0) {
        put_side(c, ids, lit, true, LEFT_CELLS);
        put_lit(c, ids[lit]);
        put_side(c, ids + lit + 1, context.n - lit - 1, false, RIGHT_CELLS);
    }
    out_line(c->out, "%s", "");
    page_context_finish(&context);
}

static void put_examples(struct cmd *c, const char *key, const struct page_feature *p,
                         const struct page_example *e, int n)
{
    if (out_form(c->out) == OUT_TEXT) {
        for (int i = 0; i < n; i++)
            line_example(c, p, &e[i]);
        return;
    }
    out_rows(c->out, key, EXAMPLE_COLUMNS);
    for (int i = 0; i < n; i++)
        put_example(c, p, &e[i]);
    out_end(c->out);
}

/* --- the parts of a page ------------------------------------------------------------------- */

static void put_numbers(struct cmd *c, const struct page_feature *p)
{
    struct out *o = c->out;
    out_int(o, "id", p->id);
    out_text(o, "label", label_of(c, p->id));
    out_num(o, "density", p->density);
    if (p->has_samples) {
        out_list(o, "wilson");
        out_num(o, NULL, p->wilson_low);
        out_num(o, NULL, p->wilson_high);
        out_end(o);
    } else {
        out_null(o, "wilson");
    }
    out_num(o, "delta_fvu", p->delta_fvu);
    if (p->has_samples)
        out_int(o, "count", p->count);
    else
        out_null(o, "count");
    out_num(o, "mean", p->mean);
    out_num(o, "max", p->max);
    out_num(o, "bias", p->bias);
    out_num(o, "threshold", p->threshold);
    out_num(o, "decoder_norm", p->decoder_norm);
    out_num(o, "encoder_decoder_cosine", p->encoder_decoder_cosine);
}

static void put_top(struct cmd *c, const struct page_feature *p)
{
    if (p->n_top)
        out_heading(c->out, "top %d of %lld", p->n_top, (long long)p->count);
    if (p->has_samples || out_form(c->out) == OUT_TSV)
        put_examples(c, "top", p, p->top, p->n_top);
    else
        out_null(c->out, "top");
}

static void put_interval(struct cmd *c, const struct page_feature *p,
                         const struct page_interval *in)
{
    struct out *o = c->out;
    if (out_form(o) == OUT_TEXT) {
        out_line(o, "  (%.4g, %.4g]  %lld tokens", in->low, in->high, (long long)in->count);
        put_examples(c, "examples", p, in->examples, in->n_examples);
        return;
    }
    out_begin(o, NULL);
    out_num(o, "low", in->low);
    out_num(o, "high", in->high);
    out_int(o, "count", in->count);
    put_examples(c, "examples", p, in->examples, in->n_examples);
    out_end(o);
}

static void put_intervals(struct cmd *c, const struct page_feature *p)
{
    bool text = out_form(c->out) == OUT_TEXT;
    if (!p->has_samples && out_form(c->out) == OUT_JSON) {
        out_null(c->out, "intervals");
        return;
    }
    if (text && p->n_intervals)
        out_heading(c->out, "intervals");
    else if (!text)
        out_rows(c->out, "intervals", "low,high,count");
    for (int i = p->n_intervals - 1; i >= 0 && text; i--) /* strongest first, as in top */
        put_interval(c, p, &p->intervals[i]);
    for (int i = 0; i < p->n_intervals && !text; i++)
        put_interval(c, p, &p->intervals[i]);
    if (!text)
        out_end(c->out);
}

static void put_neighbours(struct cmd *c, const char *key,
                           const struct page_neighbour *list, int n)
{
    out_rows(c->out, key, "id,cosine,label");
    for (int i = 0; i < n; i++) {
        out_begin(c->out, NULL);
        out_int(c->out, "id", list[i].id);
        out_num(c->out, "cosine", list[i].cosine);
        out_text(c->out, "label", label_of(c, list[i].id));
        out_end(c->out);
    }
    out_end(c->out);
}

static void put_coactive(struct cmd *c, const struct page_feature *p)
{
    struct out *o = c->out;
    if (p->n_coactive < 0 && out_form(o) == OUT_JSON) {
        out_null(o, "coactive");
        return;
    }
    out_rows(o, "coactive", "id,jaccard,pmi,count,label");
    for (int i = 0; i < p->n_coactive; i++) {
        const struct page_coactive *a = &p->coactive[i];
        out_begin(o, NULL);
        out_int(o, "id", a->id);
        out_num(o, "jaccard", a->jaccard);
        out_num(o, "pmi", a->pmi);
        out_int(o, "count", a->count);
        out_text(o, "label", label_of(c, a->id));
        out_end(o);
    }
    out_end(o);
}

static void put_page(struct cmd *c, const struct page_feature *p)
{
    put_numbers(c, p);
    if (p->histogram.n)
        out_heading(c->out, "activation");
    out_hist(c->out, "histogram", &p->histogram);
    put_top(c, p);
    put_intervals(c, p);
    put_neighbours(c, "neighbours", p->decoder_neighbours, p->n_decoder_neighbours);
    put_neighbours(c, "encoder_neighbours", p->encoder_neighbours,
                   p->n_encoder_neighbours);
    out_null(c->out, "logits");
    put_coactive(c, p);
}

/* --- the command ---------------------------------------------------------------------------- */

static bool one_page(struct cmd *c, int64_t id, struct err *err)
{
    struct session *s = c->session;
    struct page_feature_options options = {
        .top = c->opts.top > INT_MAX ? INT_MAX : c->opts.top < 0 ? 0 : (int)c->opts.top,
        .context = reach(c),
        .seed = s->options.seed,
        .quick = s->options.quick,
        .scan = session_scan_options(s),
    };
    struct page_feature page;
    if (!page_feature_make(c->sae, cmd_samples(c), s->saes[c->i].index, id, &options,
                           &c->progress, &page, err))
        return false;
    if (page.warning)
        session_warn(s, "%s: warning: %s", c->sae->path, page.warning);
    put_page(c, &page);
    page_feature_finish(&page);
    return true;
}

static bool check_ids(const struct cmd *c, struct err *err)
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

static bool all_pages(struct cmd *c, struct err *err)
{
    out_rows(c->out, "features", out_form(c->out) == OUT_TSV
                                     ? "id,label,density,wilson,delta_fvu,count,mean,max,"
                                       "bias,threshold,decoder_norm,encoder_decoder_cosine"
                                     : NULL);
    for (int i = 0; i < c->ids.n_spans; i++) {
        for (int64_t id = c->ids.spans[i].first; id <= c->ids.spans[i].last; id++) {
            out_begin(c->out, NULL);
            out_heading(c->out, "feature %lld", (long long)id);
            if (!one_page(c, id, err))
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
    if (!check_ids(c, err))
        return false;
    session_open_index(c->session, c->i);
    if (cmd_has_many(c) || (table && !strcmp(table, "features")))
        return all_pages(c, err);
    return one_page(c, c->ids.spans[0].first, err);
}
