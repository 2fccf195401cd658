/* view_feature_export.c - what view 3 copies and writes; see view_feature.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/str.h"
#include "tui/out_feature.h"
#include "tui/view_feature.h"
#include "tui/wid_hist.h"
#include "tui/worst.h"

/* -- pieces of text -------------------------------------------------------------------- */

static void put_tokens(struct str *s, const struct view *v, const struct page_context *c,
                       int first, int end)
{
    struct str bytes = {0};

    for (int i = first; i < end; i++) {
        size_t len;
        const char *token = desk_token_bytes(v->desk, c->ids[i], &len);
        str_append(&bytes, token, len);
    }
    str_visible(s, str_text(&bytes), bytes.len, STR_ESCAPED);
    str_finish(&bytes);
}

/* "6.83  84:31  and said unto the <<LORD>> God of Israel" */
static void put_example(struct str *s, const struct view *v, const struct example *x)
{
    const struct feature_view *state = v->state;
    const struct page_context *c = &x->context;
    int context = state->shown_context;
    int first = c->lit > context ? c->lit - context : 0;
    int end = c->n - c->lit > context ? c->lit + context + 1 : c->n;

    str_appendf(s, "%.6g\t%lld:%lld", (double)x->e.activation, (long long)x->e.sequence,
                (long long)x->e.position);
    if (c->ids[c->lit] >= 0) {
        str_puts(s, "\t");
        put_tokens(s, v, c, first, c->lit);
        str_puts(s, "<<");
        put_tokens(s, v, c, c->lit, c->lit + 1);
        str_puts(s, ">>");
        put_tokens(s, v, c, c->lit + 1, end);
    }
    str_putc(s, '\n');
}

static void put_examples(struct str *s, const struct view *v, const struct example_list *l)
{
    for (int i = 0; i < l->n; i++)
        put_example(s, v, &l->v[i]);
}

static void put_stat(struct str *s, const struct view *v, enum feature_stat stat)
{
    char value[512];

    feature_stat_text(v, stat, value, sizeof value);
    str_appendf(s, "%s\t%s\n", feature_stat_name[stat], value);
}

static void put_near(struct str *s, const struct view *v, int row)
{
    const struct feature_view *state = v->state;
    const struct feature_near *n = &state->page->near[state->near_order[row]];
    const char *name = desk_name(v->desk, state->page_sae, n->id, NULL);

    str_appendf(s, "#%lld\t", (long long)n->id);
    str_visible(s, name, strlen(name), STR_ESCAPED);
    str_appendf(s, "\t%.4g\t%.4g\t%.4g\n", (double)n->decoder, (double)n->encoder, n->together);
}

static void put_bins(struct str *s, const struct feature_view *state)
{
    int64_t counts[FEATURE_BINS] = {0};
    struct wid_hist h = {.n_bins = state->bins};

    feature_bins(state, counts, &h.lo, &h.hi);
    for (int i = 0; i < h.n_bins; i++) {
        double low = wid_hist_edge(&h, i), high = wid_hist_edge(&h, i + 1);
        str_appendf(s, "%.6g\t%.6g\t%lld\n", state->log_values ? pow(10, low) : low,
                    state->log_values ? pow(10, high) : high, (long long)counts[i]);
    }
}

/* -- the clipboard --------------------------------------------------------------------- */

static void put_cursor(struct str *s, const struct view *v)
{
    struct feature_view *state = v->state;
    const struct example_list *l;
    int line;

    switch (state->focus) {
    case PANE_STATS: put_stat(s, v, (enum feature_stat)state->stat); break;
    case PANE_HIST: put_bins(s, state); break;
    case PANE_TOP:
    case PANE_INTERVAL:
        l = feature_list(state, state->focus);
        line = feature_rows(state, state->focus)->cursor;
        if (line < l->n_lines)
            put_example(s, v, &l->v[l->lines[line].example]);
        break;
    case PANE_NEIGHBOURS:
        if (state->page->n_near > 0)
            put_near(s, v, (int)state->near_table.cursor);
        break;
    case PANE_ABLATE:
        if (state->has_exact[state->kept] && state->exact[state->kept].n_worst > 0)
            worst_put(v, &state->exact[state->kept], state->worst, s);
        break;
    default: break;
    }
}

static void put_all(struct str *s, const struct view *v)
{
    const struct feature_view *state = v->state;
    const struct feature_page *page = state->page;

    str_appendf(s, "#%lld\t", (long long)page->p.id);
    const char *name = desk_name(v->desk, state->page_sae, page->p.id, NULL);
    str_visible(s, name, strlen(name), STR_ESCAPED);
    str_putc(s, '\n');
    for (int i = 0; i < STAT_COUNT; i++)
        if (feature_stat_is_there(v, i))
            put_stat(s, v, (enum feature_stat)i);
    for (int kept = 0; kept < 2; kept++) {
        const struct page_ablation *e = &state->exact[kept];
        if (!state->has_exact[kept])
            continue;
        str_appendf(s, "\nablation, %s\tdelta CE %.6g\tdelta score %.6g\n",
                    kept ? "error-kept" : "reconstruction", e->delta_ce, e->delta_score);
        for (int i = 0; i < e->n_worst; i++)
            worst_put(v, e, i, s);
    }
    str_puts(s, "\ntop\n");
    put_examples(s, v, &page->top);
    for (int i = page->p.n_intervals - 1; i >= 0; i--) {
        const struct page_interval *in = &page->p.intervals[i];
        str_appendf(s, "\ninterval\t(%.6g, %.6g]\t%lld\n", in->low, in->high,
                    (long long)in->count);
        put_examples(s, v, &page->intervals[i]);
    }
    str_puts(s, "\nneighbours\tname\tdecoder\tencoder\ttogether\n");
    for (int i = 0; i < page->n_near; i++)
        put_near(s, v, i);
}

char *feature_copy(const struct view *v, bool all)
{
    struct str s = {0};

    if (!v->desk || !feature_shows_target(v))
        return NULL;
    if (all)
        put_all(&s, v);
    else
        put_cursor(&s, v);
    if (s.len > 0 && s.data[s.len - 1] == '\n' && !all) /* one line is pasted as one */
        s.data[--s.len] = 0;
    if (s.len > 0)
        return str_take(&s);
    str_finish(&s);
    return NULL;
}

/* -- files ----------------------------------------------------------------------------- */

/* JSON has all of it; TSV one table, that of the pane with the focus. */
bool feature_export(const struct view *v, enum export_format format, FILE *out,
                    struct err *err)
{
    static const char *const table[PANE_COUNT] = {
        [PANE_HIST] = "histogram", [PANE_TOP] = "top", [PANE_INTERVAL] = "examples",
        [PANE_NEIGHBOURS] = "neighbours"};
    const struct feature_view *s = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV,
                                  .table = table[s->focus]};

    if (!v->desk || !feature_shows_target(v))
        return err_set(err, ERR_MISSING, "nothing to write yet");
    struct feature_printer f = {.out = out_new(&options), .session = v->session,
                                .i = s->page_sae, .context = s->shown_context};
    size_t len;
    f.logits = s->page->logits.n > 0 ? &s->page->logits : NULL;
    out_feature(&f, &s->page->p);
    const char *text = out_finish(f.out, &len);
    fwrite(text, 1, len, out); /* the caller asks ferror */
    out_free(f.out);
    return true;
}
