/* view_feature_draw.c - painting the panes of view 3; see view_feature.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/view_feature.h"
#include "tui/wid_hist.h"
#include "tui/wid_line.h"

/* -- what every pane has --------------------------------------------------------------- */

/* The panes that one has to give the focus to before they show. */
static void others_text(unsigned others, char *buf, size_t size)
{
    static const char *const name[PANE_COUNT] = {
        [PANE_STATS] = "numbers", [PANE_HIST] = "activation", [PANE_CURVE] = "response",
        [PANE_TOP] = "top", [PANE_INTERVAL] = "interval", [PANE_NEIGHBOURS] = "neighbours",
        [PANE_ABLATE] = "ablation"};
    size_t n = (size_t)snprintf(buf, size, "Tab:");

    for (int i = 0; i < PANE_COUNT; i++)
        if (others & 1u << i && n < size)
            n += (size_t)snprintf(buf + n, size - n, " %s", name[i]);
}

/* Title of a pane in its first row; what follows is the pane. */
static struct canvas paint_title(const struct view *v, struct canvas *c, enum pane pane,
                                 const char *title)
{
    const struct feature_view *s = v->state;
    bool focused = s->focus == pane;
    struct place at[PANE_COUNT];
    char others[96];
    int end = c->cols - 2;

    feature_places(v, at);
    others_text(at[pane].others, others, sizeof others);
    canvas_hline(c, 0, 0, c->cols, INK_RULE);
    if (at[pane].others && text_width(title) + text_width(others) + 8 <= c->cols) {
        end -= text_width(others) + 2;
        canvas_printf(c, 0, end + 1, INK_DIM, " %s ", others);
    }
    int width = text_width(title) < end - 2 ? text_width(title) : end - 2;
    canvas_text(c, 0, 1, INK_RULE, " ");
    if (focused)
        canvas_text(c, 0, 0, INK_BRUSH, "▸");
    canvas_fit(c, 0, 2, width, ALIGN_LEFT, focused ? INK_HEADER_ON | STYLE_BOLD : INK_TITLE,
               title);
    canvas_text(c, 0, 2 + width, INK_RULE, " ");
    return canvas_sub(c, 1, 0, c->rows - 1, c->cols);
}

/* Why there is nothing to see of the samples; true if it painted. */
static bool paint_nothing(const struct view *v, struct canvas *c)
{
    const struct feature_view *s = v->state;
    const struct sae *sae = feature_sae(v);
    char text[128], n[48];

    if (sae->broken && sae->broken[s->page->p.id]) {
        canvas_wrap(c, 0, INK_WARNING, "left out of everything: owns a NaN weight");
        return true;
    }
    if (!feature_has_samples(v)) {
        canvas_wrap(c, 0, INK_DIM, "needs activation samples: --acts FILE");
        return true;
    }
    if (!s->page->p.has_samples) {
        if (!view_paint_missing(v, SLOT_PAGE, c))
            canvas_wrap(c, 0, INK_DIM, "computing …");
        return true;
    }
    if (s->page->p.count == 0) {
        snprintf(text, sizeof text, "dead: never active on %s",
                 feature_tokens_text(s->page->p.tokens, n, sizeof n));
        canvas_wrap(c, 0, INK_WARNING, text);
        return true;
    }
    return false;
}

/* -- histogram ------------------------------------------------------------------------- */

void feature_bins(const struct feature_view *s, int64_t *counts, double *lo, double *hi)
{
    const struct hist *h = s->log_values ? &s->page->fine_log : &s->page->fine;

    /* Where the bins are those of the definition, they are exact. */
    if (!s->log_values && s->bins <= s->page->p.histogram.n)
        h = &s->page->p.histogram;
    *lo = h->lo;
    *hi = h->hi;
    for (int i = 0; i < s->bins; i++)
        counts[i] = 0;
    for (int i = 0; i < h->n; i++)
        counts[(int64_t)i * s->bins / h->n] += h->counts[i];
}

static double plain(const struct feature_view *s, double edge)
{
    return s->log_values ? pow(10, edge) : edge;
}

static void hist_title(const struct view *v, const int64_t *counts, const struct wid_hist *h,
                       bool narrow, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    char lo[24], hi[24], n[48], gate[32] = "", x[24];
    int first = h->brush_first >= 0 ? h->brush_first : s->bin;
    int last = h->brush_first >= 0 ? h->brush_last : s->bin;
    int64_t count = 0;

    if (h->n_markers > 0)
        snprintf(gate, sizeof gate, " · ┊ gate %s",
                 number_text(plain(s, h->markers[0].x), 5, x, sizeof x));
    if (s->focus != PANE_HIST) {
        snprintf(buf, size, "activation · %d bins%s%s%s", s->bins,
                 s->log_counts                 ? " · log counts"
                 : s->log_values || narrow ? ""
                                           : " · linear",
                 s->log_values ? " · log values" : "", gate);
        return;
    }
    for (int i = first; i <= last; i++)
        count += counts[i];
    number_text(plain(s, wid_hist_edge(h, first)), 7, lo, sizeof lo);
    number_text(plain(s, wid_hist_edge(h, last + 1)), 7, hi, sizeof hi);
    snprintf(buf, size, "activation (%s, %s] · %s · Enter: examples", lo, hi,
             feature_tokens_text(count, n, sizeof n));
}

/* The activation below which it does not fire, where that says something. */
static int gate_marker(const struct view *v, struct wid_hist_marker *m)
{
    const struct feature_view *s = v->state;
    const struct page_feature *p = &s->page->p;
    const struct sae *sae = feature_sae(v);

    *m = (struct wid_hist_marker){.x = p->threshold};
    if (strcmp(sae->arch->name, "prolu") == 0 && p->bias < 0)
        m->x = -p->bias;
    if (!(m->x > 0))
        return 0;
    if (s->log_values)
        m->x = log10(m->x);
    return 1;
}

static void paint_hist(const struct view *v, struct canvas *c)
{
    const struct feature_view *s = v->state;
    int64_t counts[FEATURE_BINS] = {0};
    struct wid_hist_series series = {.counts = counts, .style = INK_BAR};
    struct wid_hist_marker marker;
    struct wid_hist h = {.n_bins = s->bins, .series = &series, .n_series = 1,
                         .log_counts = s->log_counts, .log_values = s->log_values,
                         .markers = &marker, .cursor = s->focus == PANE_HIST ? s->bin : -1,
                         .brush_first = -1, .brush_last = -1};
    char title[160];

    feature_bins(s, counts, &h.lo, &h.hi);
    h.n_markers = gate_marker(v, &marker);
    if (s->anchor >= 0) {
        h.brush_first = s->anchor < s->bin ? s->anchor : s->bin;
        h.brush_last = s->anchor < s->bin ? s->bin : s->anchor;
    }
    hist_title(v, counts, &h, c->cols < 48, title, sizeof title);
    struct canvas in = paint_title(v, c, PANE_HIST, title);
    if (!paint_nothing(v, &in))
        wid_hist_paint(&in, &h);
}

/* -- response -------------------------------------------------------------------------- */

static void curve_title(const struct view *v, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    const struct sae *sae = feature_sae(v);
    char gate[24];

    if (s->page->n_curve == 0) {
        snprintf(buf, size, "response");
        return;
    }
    if (sae->arch->dense) {
        snprintf(buf, size, "response · %s · on everywhere", sae->arch->name);
        return;
    }
    number_text(s->page->gate, 6, gate, sizeof gate);
    snprintf(buf, size, "response · %s%s · off up to %s%s", sae->arch->name,
             sae->W_glu.t ? ", its GLU open" : "", gate,
             sae->arch->selects ? ", and below the k-th" : "");
}

static void paint_curve(const struct view *v, struct canvas *c)
{
    const struct feature_view *s = v->state;
    const struct feature_page *page = s->page;
    struct plot_series line = {.x = page->curve_x, .y = page->curve_y, .n = page->n_curve,
                               .line = 1, .style = INK_BAR};
    struct plot plot = {.series = &line, .n_series = 1, .x_label = "pre-activation m",
                        .cursor = -1, .zero_lines = true};
    char title[96];

    curve_title(v, title, sizeof title);
    struct canvas in = paint_title(v, c, PANE_CURVE, title);
    if (page->n_curve > 0)
        plot_paint(&in, &plot);
    else
        canvas_wrap(&in, 0, INK_WARNING, "never fires: owns a NaN weight, or its scale is 0");
}

/* -- examples -------------------------------------------------------------------------- */

static void top_title(const struct view *v, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    char n[32];

    if (s->page->top.n == 0)
        snprintf(buf, size, "top examples");
    else
        snprintf(buf, size, "top %d of %s · by activation · context %d", s->page->top.n,
                 count_text(s->page->p.count, n, sizeof n), s->shown_context);
}

static void band_title(const struct view *v, int band, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    const struct page_interval *in = &s->page->p.intervals[band % PAGE_INTERVALS];
    bool brush = band == PAGE_INTERVALS;
    char lo[24], hi[24], n[48], which[32] = "brushed";

    number_text(brush ? s->brush_low : in->low, 7, lo, sizeof lo);
    number_text(brush ? s->brush_high : in->high, 7, hi, sizeof hi);
    if (!brush)
        snprintf(which, sizeof which, "interval %d of %d", band + 1, PAGE_INTERVALS);
    snprintf(buf, size, "%s · (%s, %s] · %s", which, lo, hi,
             feature_tokens_text(brush ? s->brush_count : in->count, n, sizeof n));
}

/* Where there is room, the intervals below the chosen one follow. */
static void paint_lower(const struct view *v, struct canvas *c, int row)
{
    const struct feature_view *s = v->state;
    int each = c->mono ? 2 : 1;
    char title[160];

    if (s->band == PAGE_INTERVALS)
        return;
    for (int band = s->band - 1; band >= 0 && row + 1 + each <= c->rows; band--) {
        const struct example_list *l = &s->page->intervals[band];
        struct canvas in = canvas_sub(c, row + 1, 0, l->n_lines * each, c->cols);
        if (l->n == 0)
            continue;
        band_title(v, band, title, sizeof title);
        canvas_fit(c, row, 2, c->cols - 2, ALIGN_LEFT, INK_LABEL, title);
        examples_paint(&in, v, l, &(struct rows_state){0}, false);
        row += 1 + l->n_lines * each;
    }
}

static void paint_list(const struct view *v, struct canvas *c, enum pane pane)
{
    const struct feature_view *s = v->state;
    const struct example_list *l = feature_list((struct feature_view *)s, pane);
    const struct rows_state *at = feature_rows((struct feature_view *)s, pane);
    bool focused = s->focus == pane;
    char title[160];

    if (pane == PANE_TOP)
        top_title(v, title, sizeof title);
    else if (s->page->p.n_intervals == 0)
        snprintf(title, sizeof title, "intervals");
    else
        band_title(v, s->band, title, sizeof title);
    struct canvas in = paint_title(v, c, pane, title);
    if (paint_nothing(v, &in))
        return;
    if (pane == PANE_INTERVAL && s->band == PAGE_INTERVALS && view_paint_missing(v, SLOT_BAND, &in))
        return;
    if (l->n == 0) {
        canvas_text(&in, 0, 1, INK_DIM, "no token in this interval");
        if (pane == PANE_INTERVAL)
            paint_lower(v, &in, 1);
        return;
    }
    if (focused && s->reading) {
        example_read(&in, v, &l->v[l->lines[at->cursor].example]);
        return;
    }
    if (l->at_start && in.rows > 3) {
        canvas_fit(&in, 0, 1, in.cols - 1, ALIGN_LEFT, INK_WARNING,
                   "half or more at position 0: \":rescan skip-first=1\" leaves it out");
        in = canvas_sub(&in, 1, 0, in.rows - 1, in.cols);
    }
    examples_paint(&in, v, l, at, focused);
    if (pane == PANE_INTERVAL && at->top == 0)
        paint_lower(v, &in, l->n_lines * (in.mono ? 2 : 1));
}

/* -- neighbours ------------------------------------------------------------------------ */

enum near_column { NEAR_ID, NEAR_NAME, NEAR_DECODER, NEAR_ENCODER, NEAR_TOGETHER };

static void near_number(struct canvas *c, double x)
{
    char buf[16];

    snprintf(buf, sizeof buf, isnan(x) ? "·" : "%.3f", x);
    table_cell_text(c, ALIGN_RIGHT, isnan(x) ? INK_DIM : INK_VALUE, buf);
}

static void near_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ctx;
    const struct feature_view *s = v->state;
    const struct feature_near *n = &s->page->near[s->near_order[row]];
    bool is_label = false;
    char buf[32];

    switch (column) {
    case NEAR_ID:
        snprintf(buf, sizeof buf, "#%lld", (long long)n->id);
        table_cell_text(c, ALIGN_RIGHT, INK_VALUE, buf);
        break;
    case NEAR_NAME: {
        const char *name = desk_name(v->desk, s->page_sae, n->id, &is_label);
        table_cell_text(c, ALIGN_LEFT, is_label ? INK_NOTE : INK_DIM, name);
        break;
    }
    case NEAR_DECODER: near_number(c, (double)n->decoder); break;
    case NEAR_ENCODER: near_number(c, (double)n->encoder); break;
    default: near_number(c, n->together); break;
    }
}

void feature_near_table(const struct view *v, struct table *out)
{
    static const struct table_column columns[] = {
        [NEAR_ID] = {"feature", 8, 0, ALIGN_RIGHT, 0, true},
        [NEAR_NAME] = {"name", 10, 1, ALIGN_LEFT, 1, false},
        [NEAR_DECODER] = {"decoder", 8, 0, ALIGN_RIGHT, 1, true},
        [NEAR_ENCODER] = {"encoder", 8, 0, ALIGN_RIGHT, 2, true},
        [NEAR_TOGETHER] = {"together", 9, 0, ALIGN_RIGHT, 1, true},
    };
    const struct feature_view *s = v->state;

    *out = (struct table){.columns = columns, .n_columns = 5, .ctx = v, .cell = near_cell,
                          .n_rows = s->page ? s->page->n_near : 0,
                          .empty = "no other feature"};
}

static void paint_near(const struct view *v, struct canvas *c)
{
    const struct feature_view *s = v->state;
    const struct page_feature *p = &s->page->p;
    struct table table;
    char title[160];

    snprintf(title, sizeof title, "neighbours");
    if (p->has_samples && p->n_coactive < 0)
        snprintf(title, sizeof title, "neighbours · together: %s",
                 view_busy(v, SLOT_PAGE)            ? "computing …"
                 : v->slots[SLOT_PAGE].err.code     ? v->slots[SLOT_PAGE].err.msg
                 : v->session->options.quick ? "left out (--quick)"
                                                    : "needs an index");
    struct canvas in = paint_title(v, c, PANE_NEIGHBOURS, title);
    feature_near_table(v, &table);
    table_paint(&in, &table, &s->near_table, s->focus == PANE_NEIGHBOURS);
}

static void paint_ablate(const struct view *v, struct canvas *c)
{
    char title[160];

    feature_ablate_title(v, title, sizeof title);
    struct canvas in = paint_title(v, c, PANE_ABLATE, title);
    feature_paint_ablate(v, &in);
}

/* -- all ------------------------------------------------------------------------------- */

/* The page before stays until the next one is there, unless that failed. */
static bool shows_page(const struct view *v)
{
    const struct feature_view *s = v->state;

    return s->page && feature_sae(v) &&
           (feature_shows_target(v) || v->slots[SLOT_PAGE].err.code == ERR_NONE);
}

static void paint_header(const struct view *v, struct canvas *c)
{
    const struct feature_view *s = v->state;
    int64_t id = shows_page(v) ? s->page->p.id : v->target.feature;
    const struct sae *sae = feature_sae(v);
    bool is_label = false;
    char right[256], state[256];
    int at = canvas_printf(c, 0, 1, INK_TITLE | STYLE_BOLD, "#%lld", (long long)id) + 2, limit;

    desk_state_text(v->desk, v->target.sae, state, sizeof state);
    if (id != v->target.feature)
        snprintf(right, sizeof right, "computing #%lld", (long long)v->target.feature);
    else
        snprintf(right, sizeof right, "%s", state);
    limit = text_width(right) < c->cols / 2 ? text_width(right) : c->cols / 2;
    limit = c->cols - limit - 2;
    canvas_fit(c, 0, limit + 1, c->cols - limit - 2, ALIGN_RIGHT, INK_DIM, right);
    struct canvas left = canvas_sub(c, 0, 0, 1, limit);
    const char *name = desk_name(v->desk, v->target.sae, id, &is_label);
    if (is_label)
        at = canvas_text(&left, 0, at, INK_NOTE | STYLE_BOLD, name) + 2;
    else if (*name)
        at = canvas_printf(&left, 0, at, INK_TEXT, "\"%s\"", name) + 2;
    if (desk_favourite(v->desk, v->target.sae, id))
        at = canvas_text(&left, 0, at, INK_NOTE, c->ascii ? "*" : "★") + 2;
    if (sae && sae->broken && id >= 0 && sae->broken[id])
        at = canvas_text(&left, 0, at, INK_ERROR, "owns a NaN weight") + 2;
    const char *note = desk_note(v->desk, v->target.sae, id);
    if (*note)
        canvas_fit(&left, 0, at, left.cols - at, ALIGN_LEFT, INK_NOTE, note);
}

static void paint_pane(const struct view *v, struct canvas *c, enum pane pane)
{
    switch (pane) {
    case PANE_STATS: feature_paint_stats(v, c); break;
    case PANE_HIST: paint_hist(v, c); break;
    case PANE_CURVE: paint_curve(v, c); break;
    case PANE_NEIGHBOURS: paint_near(v, c); break;
    case PANE_ABLATE: paint_ablate(v, c); break;
    default: paint_list(v, c, pane); break;
    }
}

static void paint_waiting(const struct view *v, struct canvas *c)
{
    const struct desk_sae *d = desk_sae(v->desk, v->target.sae);
    struct canvas in = canvas_sub(c, 2, 1, c->rows - 2, c->cols - 2);
    char text[256];

    if (view_paint_missing(v, SLOT_PAGE, &in))
        return;
    if (!feature_sae(v) && d->err.code)
        canvas_wrap(&in, 0, INK_ERROR, d->err.msg);
    else
        canvas_wrap(&in, 0, INK_DIM,
                    desk_state_text(v->desk, v->target.sae, text, sizeof text));
}

void feature_draw(const struct view *v, struct canvas *c)
{
    struct place at[PANE_COUNT];

    if (!v->desk || desk_count(v->desk) == 0) {
        canvas_wrap(c, 0, INK_DIM, "no checkpoint is open");
        return;
    }
    paint_header(v, c);
    if (!shows_page(v)) {
        paint_waiting(v, c);
        return;
    }
    feature_places(v, at);
    for (int i = 0; i < PANE_COUNT; i++) {
        struct canvas pane = canvas_sub(c, at[i].row, at[i].col, at[i].rows, at[i].cols);
        if (pane.rows > 0 && pane.cols > 0)
            paint_pane(v, &pane, (enum pane)i);
    }
    for (int i = PANE_TOP; i < PANE_COUNT; i++)
        if (at[i].col > 0) /* beside the numbers */
            canvas_vline(c, at[i].row, at[i].col - 1, at[i].rows, INK_RULE);
}
