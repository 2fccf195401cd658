/* out_feature.c - see out_feature.h. */
#include "tui/out_feature.h"

#include <stdio.h>
#include <string.h>

#include "io/str.h"
#include "model/rows.h"
#include "tui/out_token.h"

#define LEFT_CELLS 40 /* text: of context before the token */
#define RIGHT_CELLS 40

#define EXAMPLE_COLUMNS                                                                 \
    "sequence,position,activation,token_id,token,bytes,context.start,"                  \
    "context.token_ids,context.tokens,context.bytes,context.activations"

static const char *label_of(const struct feature_printer *f, int64_t id)
{
    const struct session *s = f->session;
    return rows_label(s->labels, s->saes[f->i].id, id);
}

/* --- examples --------------------------------------------------------------------------- */

static void make_context(const struct feature_printer *f, const struct page_feature *p,
                         const struct page_example *e, struct page_context *context)
{
    page_context_make(f->session->samples, p->hits, p->n_hits, e->token, f->context, context);
}

static void put_example(const struct feature_printer *f, const struct page_feature *p,
                        const struct page_example *e)
{
    struct out *o = f->out;
    struct page_context context;
    make_context(f, p, e, &context);
    out_begin(o, NULL);
    out_int(o, "sequence", e->sequence);
    out_int(o, "position", e->position);
    out_num(o, "activation", e->activation);
    out_token(o, f->session->tokenizer, context.ids[context.lit]);
    out_begin(o, "context");
    out_int(o, "start", context.start);
    out_tokens(o, f->session->tokenizer, context.ids, context.n);
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
static void put_side(const struct feature_printer *f, const int64_t *ids, int n, bool left, int cells)
{
    struct str bytes = {0}, text = {0};
    token_bytes_of(f->session->tokenizer, ids, n, &bytes);
    str_visible(&text, str_text(&bytes), bytes.len,
                f->ascii ? STR_ASCII : STR_SYMBOLS);
    const char *s = str_text(&text);
    size_t len = text.len;
    while (left && str_width(s, len) > cells) {
        int width;
        size_t first = str_grapheme(s, len, &width);
        s += first;
        len -= first;
    }
    if (left)
        put_blanks(f->out, cells - str_width(s, len));
    else
        len = str_fit(s, len, cells);
    out_span(f->out, OUT_PLAIN, s, len);
    str_finish(&text);
    str_finish(&bytes);
}

static void put_lit(const struct feature_printer *f, int64_t id)
{
    const char *open = f->ascii ? "[" : "▐", *close = f->ascii ? "]" : "▌";
    struct str bytes = {0}, text = {0};
    token_bytes_of(f->session->tokenizer, &id, 1, &bytes);
    str_visible(&text, str_text(&bytes), bytes.len,
                f->ascii ? STR_ASCII : STR_SYMBOLS);
    out_span(f->out, OUT_DIM, open, strlen(open));
    out_span(f->out, OUT_BOLD, str_text(&text), text.len);
    out_span(f->out, OUT_DIM, close, strlen(close));
    str_finish(&text);
    str_finish(&bytes);
}

static void line_example(const struct feature_printer *f, const struct page_feature *p,
                         const struct page_example *e)
{
    struct page_context context;
    make_context(f, p, e, &context);
    const int64_t *ids = context.ids;
    int lit = context.lit;
    char number[64];
    int n = snprintf(number, sizeof number, "  %9.4g %6lld:%-6lld ", e->activation,
                     (long long)e->sequence, (long long)e->position);
    out_span(f->out, OUT_PLAIN, number, (size_t)n);
    if (ids[lit] >= 0) {
        put_side(f, ids, lit, true, LEFT_CELLS);
        put_lit(f, ids[lit]);
        put_side(f, ids + lit + 1, context.n - lit - 1, false, RIGHT_CELLS);
    }
    out_line(f->out, "%s", "");
    page_context_finish(&context);
}

static void put_examples(const struct feature_printer *f, const char *key, const struct page_feature *p,
                         const struct page_example *e, int n)
{
    if (out_form(f->out) == OUT_TEXT) {
        for (int i = 0; i < n; i++)
            line_example(f, p, &e[i]);
        return;
    }
    out_rows(f->out, key, EXAMPLE_COLUMNS);
    for (int i = 0; i < n; i++)
        put_example(f, p, &e[i]);
    out_end(f->out);
}

/* --- the parts of a page ------------------------------------------------------------------- */

static void put_numbers(const struct feature_printer *f, const struct page_feature *p)
{
    struct out *o = f->out;
    out_int(o, "id", p->id);
    out_text(o, "label", label_of(f, p->id));
    const struct sae *sae = f->session->saes[f->i].sae;
    if (sae->broken && sae->broken[p->id] && out_form(o) != OUT_TSV)
        out_bool(o, "broken", true); /* it owns a NaN or Inf weight */
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
    if (sae->relative_norm && out_form(o) != OUT_TSV)
        out_num(o, "relative_decoder_norm", p->relative_norm);
}

static void put_top(const struct feature_printer *f, const struct page_feature *p)
{
    if (p->n_top)
        out_heading(f->out, "top %d of %lld", p->n_top, (long long)p->count);
    if (p->has_samples || out_form(f->out) == OUT_TSV)
        put_examples(f, "top", p, p->top, p->n_top);
    else
        out_null(f->out, "top");
}

static void put_interval(const struct feature_printer *f, const struct page_feature *p,
                         const struct page_interval *in)
{
    struct out *o = f->out;
    if (out_form(o) == OUT_TEXT) {
        out_line(o, "  (%.4g, %.4g]  %lld tokens", in->low, in->high, (long long)in->count);
        put_examples(f, "examples", p, in->examples, in->n_examples);
        return;
    }
    out_begin(o, NULL);
    out_num(o, "low", in->low);
    out_num(o, "high", in->high);
    out_int(o, "count", in->count);
    put_examples(f, "examples", p, in->examples, in->n_examples);
    out_end(o);
}

static void put_intervals(const struct feature_printer *f, const struct page_feature *p)
{
    bool text = out_form(f->out) == OUT_TEXT;
    if (!p->has_samples && out_form(f->out) == OUT_JSON) {
        out_null(f->out, "intervals");
        return;
    }
    if (text && p->n_intervals)
        out_heading(f->out, "intervals");
    else if (!text)
        out_rows(f->out, "intervals", "low,high,count");
    for (int i = p->n_intervals - 1; i >= 0 && text; i--) /* strongest first, as in top */
        put_interval(f, p, &p->intervals[i]);
    for (int i = 0; i < p->n_intervals && !text; i++)
        put_interval(f, p, &p->intervals[i]);
    if (!text)
        out_end(f->out);
}

static void put_neighbours(const struct feature_printer *f, const char *key,
                           const struct page_neighbour *list, int n)
{
    out_rows(f->out, key, "id,cosine,label");
    for (int i = 0; i < n; i++) {
        out_begin(f->out, NULL);
        out_int(f->out, "id", list[i].id);
        out_num(f->out, "cosine", list[i].cosine);
        out_text(f->out, "label", label_of(f, list[i].id));
        out_end(f->out);
    }
    out_end(f->out);
}

static void put_coactive(const struct feature_printer *f, const struct page_feature *p)
{
    struct out *o = f->out;
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
        out_text(o, "label", label_of(f, a->id));
        out_end(o);
    }
    out_end(o);
}

static void put_logit_list(const struct feature_printer *f, const char *key,
                           const struct logit *list, int n)
{
    out_rows(f->out, key, "token_id,token,bytes,logit");
    for (int i = 0; i < n; i++) {
        out_begin(f->out, NULL);
        out_token(f->out, f->session->tokenizer, list[i].token);
        out_num(f->out, "logit", list[i].logit);
        out_end(f->out);
    }
    out_end(f->out);
}

/* The keys of the contract are for JSON; a table of its own needs a name of its own. */
static void put_logits(const struct feature_printer *f)
{
    struct out *o = f->out;
    bool json = out_form(o) == OUT_JSON;
    const struct logits *l = f->logits;
    if (!l && json) {
        out_null(o, "logits");
        return;
    }
    if (json)
        out_begin(o, "logits");
    if (l || out_form(o) == OUT_TSV) {
        put_logit_list(f, json ? "top" : "promotes", l ? l->top : NULL, l ? l->n : 0);
        put_logit_list(f, json ? "bottom" : "suppresses", l ? l->bottom : NULL,
                       l ? l->n : 0);
    }
    if (json)
        out_end(o);
}

void out_feature(const struct feature_printer *f, const struct page_feature *p)
{
    put_numbers(f, p);
    if (p->histogram.n)
        out_heading(f->out, "activation");
    out_hist(f->out, "histogram", &p->histogram);
    put_top(f, p);
    put_intervals(f, p);
    put_neighbours(f, "neighbours", p->decoder_neighbours, p->n_decoder_neighbours);
    put_neighbours(f, "encoder_neighbours", p->encoder_neighbours,
                   p->n_encoder_neighbours);
    put_logits(f);
    put_coactive(f, p);
}
