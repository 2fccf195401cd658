/* biases_paint.c - how the Biases view looks. See biases.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/biases.h"
#include "tui/wid_hist.h"
#include "tui/wid_scatter.h"

static const uint32_t series_inks[BIASES_SERIES] = {INK_BAR, INK_BAR_2, INK_BAR_3, INK_BAR_4};

/* -- the head: tabs of quantities, headline, meaning ---------------------------------- */

static int tabs_width(const struct sae *sae, int gap)
{
    int width = 0;

    for (int q = 0; q < QUANTITY_COUNT; q++)
        if (quantity_applies(sae, (enum quantity)q))
            width += text_width(quantities[q].heading) + 2 + gap;
    return width;
}

/* Tab q stands at [*at, *at + *width). */
static void place_tab(const struct sae *sae, int cols, int q, int *at, int *width)
{
    int gap = tabs_width(sae, 1) <= cols ? 1 : 0;

    *at = 0;
    for (int i = 0; i <= q; i++) {
        if (!quantity_applies(sae, (enum quantity)i))
            continue;
        *width = text_width(quantities[i].heading) + 2;
        if (i < q)
            *at += *width + gap;
    }
}

int biases_tab_at(const struct view *v, int cols, int col)
{
    const struct sae *sae = biases_sae(v);
    int at, width;

    for (int q = 0; sae && q < QUANTITY_COUNT; q++) {
        place_tab(sae, cols, q, &at, &width);
        if (quantity_applies(sae, (enum quantity)q) && col >= at && col < at + width)
            return q;
    }
    return -1;
}

static bool is_known(const struct view *v, enum quantity q)
{
    return quantities[q].is_stored ||
           desk_sae(v->desk, v->target.sae)->table.v[quantities[q].column];
}

static void paint_tabs(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    const struct sae *sae = biases_sae(v);
    int at = 0, width = 0;

    for (int q = 0; q < QUANTITY_COUNT; q++) {
        if (!quantity_applies(sae, (enum quantity)q))
            continue;
        place_tab(sae, c->cols, q, &at, &width);
        uint32_t ink = q == (int)b->of                    ? INK_TAB_ON
                       : is_known(v, (enum quantity)q) ? INK_TAB
                                                       : INK_DIM;
        canvas_printf(c, 0, at, ink, " %s ", quantities[q].heading);
    }
}

static void moments(const struct biases_series *s, char *buf, size_t size)
{
    const struct summary *m = &s->summary;
    double value[] = {m->mean, s->median, m->std, m->min, m->max};
    char t[5][32];

    for (int i = 0; i < 5; i++)
        number_text(value[i], 8, t[i], sizeof t[i]);
    if (m->count == 1)
        snprintf(buf, size, "value %s", t[0]);
    else
        snprintf(buf, size, "mean %s · median %s · std %s · min %s · max %s", t[0], t[1],
                 t[2], t[3], t[4]);
}

/* Which mark is whose, when several are overlaid, each with its own figures in short. */
static void paint_legend(const struct view *v, struct canvas *c, int row, int cols)
{
    static const char *const mark[BIASES_SERIES] = {"█", "•", "×", "+"};
    const struct biases *b = v->state;
    int at = 1, width = (cols - 2) / b->n_series;
    char text[256], median[32], part[32];

    for (int i = 0; i < b->n_series; i++, at += width) {
        const struct biases_series *s = &b->series[i];
        const char *name = v->session->saes[s->sae].name;
        number_text(s->median, 8, median, sizeof median);
        if (quantities[b->of].is_signed)
            snprintf(text, sizeof text, "%s < 0 · median %s",
                     percent_text(s->summary.negative_fraction, part, sizeof part), median);
        else
            snprintf(text, sizeof text, "median %s", median);
        if (text_width(name) + 2 + text_width(text) > width - 4 && strstr(text, " · "))
            *strstr(text, " · ") = 0; /* rather than the name */
        int room = width - 6 - text_width(text);
        int used = text_width(name) < room ? text_width(name) : room;
        canvas_text(c, row, at, series_inks[i], mark[i]);
        canvas_fit(c, row, at + 2, used, ALIGN_LEFT, INK_TEXT, name);
        canvas_fit(c, row, at + 4 + used, width - 6 - used, ALIGN_LEFT, INK_VALUE, text);
    }
}

/* Headline and figures on one row or two, then the meaning, then the legend. Returns the
 * row after. With c NULL only counts rows. */
static int paint_head(const struct view *v, struct canvas *c, int rows, int cols)
{
    const struct biases *b = v->state;
    char head[160], figures[160], meaning[200];
    int row = 1;

    if (b->n_series == 0)
        return row;
    const struct biases_series *s = &b->series[0];
    quantity_headline(b->of, s->v, s->n, &s->summary, head, sizeof head);
    moments(s, figures, sizeof figures);
    quantity_meaning(biases_sae(v), b->of, &s->summary, meaning, sizeof meaning);
    bool one = text_width(head) + 3 + text_width(figures) + 2 <= cols;
    if (c) {
        int at = canvas_text(c, row, 1, INK_VALUE | STYLE_BOLD, head);
        if (one)
            canvas_printf(c, row, at, INK_VALUE, " · %s", figures);
        else
            canvas_fit(c, row + 1, 1, cols - 2, ALIGN_LEFT, INK_VALUE, figures);
    }
    row += one ? 1 : 2;
    if (meaning[0] && rows >= 14) {
        if (c)
            canvas_fit(c, row, 1, cols - 2, ALIGN_LEFT, INK_DIM, meaning);
        row++;
    }
    if (b->n_series > 1) {
        if (c)
            paint_legend(v, c, row, cols);
        row++;
    }
    return row;
}

/* -- layout --------------------------------------------------------------------------- */

static void lay_out_wide(const struct biases *b, struct biases_layout *l, int top, int rows,
                         int cols)
{
    int list = cols * 2 / 5 < 48 ? 48 : cols * 2 / 5 > 76 ? 76 : cols * 2 / 5;
    int left = cols - list - 1, body = rows - top;
    int scatter = b->x && body >= 20 ? body * 2 / 5 : 0;

    l->hist = (struct rect){top, 0, body - scatter, left};
    l->scatter = (struct rect){top + body - scatter, 0, scatter, left};
    l->list = (struct rect){top, left + 1, body, list};
}

static void lay_out_narrow(const struct biases *b, struct biases_layout *l, int top,
                           int rows, int cols)
{
    int body = rows - top, list = body / 3 < 4 ? 4 : body / 3;
    int scatter = b->x && body >= 30 ? body / 3 : 0;

    if (list > body - 3)
        list = body > 3 ? body - 3 : 0;
    l->hist = (struct rect){top, 0, body - list - scatter, cols};
    l->scatter = (struct rect){top + l->hist.rows, 0, scatter, cols};
    l->list = (struct rect){top + body - list, 0, list, cols};
}

struct biases_layout biases_lay_out(const struct view *v, int rows, int cols)
{
    const struct biases *b = v->state;
    struct biases_layout l = {.head_rows = paint_head(v, NULL, rows, cols)};

    if (cols >= 100)
        lay_out_wide(b, &l, l.head_rows, rows, cols);
    else
        lay_out_narrow(b, &l, l.head_rows, rows, cols);
    if (b->pane == BIASES_SCATTER && l.scatter.rows == 0) { /* in turn, for want of room */
        l.scatter = l.hist;
        l.hist.rows = 0;
    }
    return l;
}

/* -- histogram ------------------------------------------------------------------------ */

static void describe(const struct biases *b, struct wid_hist *h,
                     struct wid_hist_series *series, struct wid_hist_marker *marker)
{
    const struct hist *first = &b->series[0].summary.hist;

    for (int i = 0; i < b->n_series; i++)
        series[i] = (struct wid_hist_series){
            b->series[i].summary.hist.counts, NULL, series_inks[i]};
    *marker = b->of == QUANTITY_DECODER_NORM ? (struct wid_hist_marker){1, "1"}
                                             : (struct wid_hist_marker){0, "0"};
    *h = (struct wid_hist){
        .n_bins = first->n,
        .lo = first->lo,
        .hi = first->hi,
        .series = series,
        .n_series = b->n_series,
        .log_counts = b->log_counts,
        .log_values = b->log_values,
        .markers = marker,
        .n_markers = !b->log_values,
        .cursor = b->cursor,
        .brush_first = b->anchor < 0 ? -1 : b->anchor < b->cursor ? b->anchor : b->cursor,
        .brush_last = b->anchor < 0 ? -1 : b->anchor < b->cursor ? b->cursor : b->anchor,
        .unit = quantities[b->of].heading,
    };
}

int biases_bin_at(const struct view *v, const struct rect *r, int col)
{
    const struct biases *b = v->state;
    struct wid_hist_series series[BIASES_SERIES];
    struct wid_hist_marker marker;
    struct wid_hist h;

    if (b->n_series == 0)
        return -1;
    describe(b, &h, series, &marker);
    return wid_hist_bin_at(&h, r->rows, r->cols, col - r->col);
}

static void paint_missing(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    const struct quantity_info *q = &quantities[b->of];
    char state[160];

    canvas_printf(c, 1, 1, INK_LABEL, "%s: ", q->name);
    struct canvas in = canvas_sub(c, 1, 3 + text_width(q->name), c->rows - 1, c->cols);
    desk_state_text(v->desk, v->target.sae, state, sizeof state);
    if (q->is_scanned && !samples_have_features(v->session->samples))
        canvas_wrap(&in, 0, INK_DIM, "not known without activation samples (--acts FILE)");
    else if (state[0])
        canvas_wrap(&in, 0, INK_DIM, state);
    else
        canvas_wrap(&in, 0, INK_DIM, "not known for this checkpoint");
}

static void paint_hist(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    struct wid_hist_series series[BIASES_SERIES];
    struct wid_hist_marker marker;
    struct wid_hist h;

    if (b->n_series == 0) {
        paint_missing(v, c);
        return;
    }
    if (b->series[0].summary.hist.n == 0) {
        canvas_text(c, 1, 1, INK_DIM, "no value that can be shown here");
        return;
    }
    describe(b, &h, series, &marker);
    wid_hist_paint(c, &h);
    if (!b->log_values && h.lo < h.hi && h.hi < 0) /* where zero is, if not on the axis */
        canvas_fit(c, 0, 0, c->cols, ALIGN_RIGHT, INK_MARKER, "0 →");
    else if (!b->log_values && h.lo < h.hi && h.lo > 0 && quantities[b->of].is_stored)
        canvas_text(c, 0, wid_hist_left(c->rows, c->cols), INK_MARKER, "← 0");
}

/* -- scatter -------------------------------------------------------------------------- */

/* The edges of the bins taken, as the scatter has its x. Just below the upper one, but for
 * the last. */
static void lit_range(const struct biases *b, double *lo, double *hi)
{
    const struct hist *h = &b->series[0].summary.hist;
    int first, last;

    *lo = *hi = NAN;
    if (!biases_taken(b, &first, &last))
        return;
    *lo = hist_edge(h, first);
    *hi = hist_edge(h, last + 1);
    if (last < h->n - 1)
        *hi = nextafter(*hi, -INFINITY);
}

static void paint_scatter(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    const struct hist *h = b->n_series ? &b->series[0].summary.hist : NULL;
    struct canvas body = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    char title[96];

    if (!b->x || !h) {
        canvas_rule(c, 0, "scatter", INK_RULE);
        canvas_wrap(&body, 0, INK_DIM, "nothing to set it against: density needs activation "
                                       "samples (--acts FILE)");
        return;
    }
    const struct quantity_info *y = &quantities[b->against];
    snprintf(title, sizeof title, "%s against %s", y->heading, quantities[b->of].heading);
    canvas_rule(c, 0, title, INK_RULE);
    struct wid_scatter s = {
        .x = b->x,
        .y = b->y,
        .n = b->series[0].n,
        .x_lo = h->lo,
        .x_hi = h->hi,
        .log_x = b->log_values,
        .log_y = y->log_values,
        .x_label = quantities[b->of].heading,
        .floor_label = y->log_values ? "0" : NULL,
        .zero_line = !b->log_values,
        .cursor = b->list.cursor < b->n_ids ? (int64_t)b->ids[b->list.cursor] : -1,
    };
    lit_range(b, &s.lit_lo, &s.lit_hi);
    wid_scatter_paint(&body, &s);
}

/* -- list ----------------------------------------------------------------------------- */

/* "31 features in [-0.412, -0.4)"; a bar that is cut from the histogram's end is closed. */
static void list_title(const struct view *v, char *buf, size_t size)
{
    const struct biases *b = v->state;
    char lo[32], hi[32], count[32];
    int first, last;
    const char *what = quantity_is_per_feature(biases_sae(v), b->of) ? "feature" : "value";

    if (!biases_taken(b, &first, &last)) {
        snprintf(buf, size, "%ss behind the bar", what);
        return;
    }
    number_text(biases_edge(b, first), 8, lo, sizeof lo);
    number_text(biases_edge(b, last + 1), 8, hi, sizeof hi);
    count_text(b->n_ids, count, sizeof count);
    bool closed = last == b->series[0].summary.hist.n - 1;
    double percent = 100 * (double)b->n_ids / (double)b->series[0].n;
    snprintf(buf, size, "%s %s%s in [%s, %s%s · %.*f %%", count, what,
             b->n_ids == 1 ? "" : "s", lo, hi, closed ? "]" : ")", percent < 10, percent);
}

static void paint_list(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    struct canvas body = canvas_sub(c, 1, 1, c->rows - 1, c->cols - 2);
    bool focused = b->pane == BIASES_LIST;
    struct biases_table t;
    char title[128];

    list_title(v, title, sizeof title);
    canvas_rule(c, 0, title, focused ? INK_TITLE : INK_RULE);
    if (b->n_series == 0)
        return;
    biases_table(v, &t);
    table_paint(&body, &t.table, &b->list, focused);
}

/* -- all ------------------------------------------------------------------------------ */

static void paint_pane(const struct view *v, struct canvas *c, const struct rect *r,
                       void (*paint)(const struct view *, struct canvas *))
{
    struct canvas pane = canvas_sub(c, r->row, r->col, r->rows, r->cols);

    if (r->rows > 0 && pane.rows > 0 && pane.cols > 0)
        paint(v, &pane);
}

static void paint_unloaded(const struct view *v, struct canvas *c)
{
    char state[160] = "";

    if (!v->desk || desk_count(v->desk) == 0) {
        canvas_wrap(c, 0, INK_DIM, "no checkpoint is open");
        return;
    }
    const struct err *err = &desk_sae(v->desk, v->target.sae)->err;
    if (err->code)
        canvas_wrap(c, 0, INK_ERROR, err->msg);
    else
        canvas_wrap(c, 0, INK_DIM,
                    desk_state_text(v->desk, v->target.sae, state, sizeof state));
}

void biases_paint(const struct view *v, struct canvas *c)
{
    if (!biases_sae(v)) {
        paint_unloaded(v, c);
        return;
    }
    const struct biases *b = v->state;
    if (b->run_shown) {
        struct canvas body = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
        paint_tabs(v, c);
        biases_run_paint(v, &body);
        return;
    }
    struct biases_layout l = biases_lay_out(v, c->rows, c->cols);
    paint_tabs(v, c);
    paint_head(v, c, c->rows, c->cols);
    paint_pane(v, c, &l.hist, paint_hist);
    paint_pane(v, c, &l.scatter, paint_scatter);
    if (l.list.col > 0)
        canvas_vline(c, l.list.row, l.list.col - 1, l.list.rows, INK_RULE);
    paint_pane(v, c, &l.list, paint_list);
}
