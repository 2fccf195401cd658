/* pane.c - see pane.h. */
#include "tui/pane.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/session.h"
#include "tui/wid_hist.h"
#include "tui/wid_table.h"
#include "tui/wid_tokens.h"

/* -- the page, by a job ------------------------------------------------------------ */

struct pane_job {
    struct job job;
    const struct sae *sae;
    const struct samples *samples;
    const struct index *index;
    struct page_feature_options options;
    struct pane pane; /* asked says which; the rest is the result, owned until taken */
};

void pane_finish(struct pane *p)
{
    page_feature_finish(&p->page);
    for (int i = 0; i < p->n_contexts; i++)
        page_context_finish(&p->context[i]);
    for (int i = 0; i < p->n_range; i++)
        page_context_finish(&p->range[i]);
    *p = PANE_EMPTY;
}

static bool is_alike(const struct pane *p, int a, int b)
{
    const struct page_context *x = &p->context[a], *y = &p->context[b];

    return p->page.top[a].activation == p->page.top[b].activation && x->n == y->n &&
           x->lit == y->lit && x->ids[x->lit] >= 0 &&
           memcmp(x->ids, y->ids, (size_t)x->n * sizeof *x->ids) == 0;
}

/* Repeated text would fill the pane with one example. */
static void fold(struct pane *p)
{
    for (int i = 0; i < p->n_contexts; i++) {
        int at = 0;
        while (at < p->n_examples && !is_alike(p, p->examples[at].top, i))
            at++;
        if (at < p->n_examples)
            p->examples[at].alike++;
        else if (at < PANE_EXAMPLES)
            p->examples[p->n_examples++] = (struct pane_example){i, 1};
    }
}

static bool pane_run(struct job *job, const struct progress *progress, struct err *err)
{
    struct pane_job *j = (struct pane_job *)job;
    struct pane *p = &j->pane;
    const struct page_feature *page = &p->page;

    if (!page_feature_make(j->sae, j->samples, j->index, p->asked, &j->options, progress,
                           &p->page, err))
        return false;
    for (int i = 0; i < page->n_top && i < PANE_TOP; i++)
        page_context_make(j->samples, page->hits, page->n_hits, page->top[i].token,
                          PANE_CONTEXT, &p->context[p->n_contexts++]);
    fold(p);
    for (int i = page->n_intervals - 1; i >= 0; i--) {
        if (page->intervals[i].n_examples == 0)
            continue;
        const struct page_example *e = &page->intervals[i].examples[0];
        p->range_of[p->n_range] = e;
        page_context_make(j->samples, page->hits, page->n_hits, e->token, PANE_CONTEXT,
                          &p->range[p->n_range++]);
    }
    p->ready = true;
    return true;
}

static void pane_free(struct job *job)
{
    struct pane_job *j = (struct pane_job *)job;

    pane_finish(&j->pane);
    free(j);
}

static const struct job_ops pane_ops = {"feature", pane_run, pane_free};

void pane_reset(struct view *v, int slot, struct pane *p)
{
    view_start(v, slot, LANE_QUICK, NULL);
    pane_finish(p);
}

void pane_ask(struct view *v, int slot, struct pane *p, int sae, int64_t feature, bool now)
{
    const struct session *s = v->session;
    const struct session_sae *e = &s->saes[sae];

    if (p->sae == sae && p->asked == feature && p->asked_index == e->index &&
        (p->ready || view_busy(v, slot) || v->slots[slot].err.code))
        return;
    pane_reset(v, slot, p);
    p->sae = sae;
    p->feature = feature;
    if (feature < 0 || !e->sae || !(now || e->index || !s->samples))
        return;
    struct pane_job *j = job_new(&pane_ops, sizeof *j);
    j->sae = e->sae;
    j->samples = samples_have_features(s->samples) ? s->samples : NULL;
    j->index = e->index;
    j->options = (struct page_feature_options){
        .top = PANE_TOP,
        .examples = 1,
        .neighbours = PANE_NEIGHBOURS,
        .context = PANE_CONTEXT,
        .quick = true,
        .scan = session_scan_options(s),
    };
    p->asked = feature;
    p->asked_index = e->index;
    j->pane = *p;
    view_start(v, slot, LANE_QUICK, &j->job);
}

void pane_loaded(struct pane *p, struct job *job)
{
    struct pane_job *j = (struct pane_job *)job;

    pane_finish(p);
    *p = j->pane;
    j->pane = PANE_EMPTY;
}

/* -- numbers ----------------------------------------------------------------------- */

/* Of densities and delta_fvu: most are far below the greatest. */
enum { SMALL_DECIMALS = 5 };

/* Decimals that give the greatest value of the column `figures` figures. */
static int decimals_for(const double *x, int64_t n, int figures)
{
    double max = 0;

    for (int64_t i = 0; x && i < n; i++)
        if (fabs(x[i]) > max && isfinite(x[i]))
            max = fabs(x[i]);
    int above = max > 0 ? (int)floor(log10(max)) + 1 : 1;
    int decimals = figures - above;
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

void pane_decimals(const struct feature_table *t, int *decimals)
{
    static const int figures[FCOL_COUNT] = {
        [FCOL_MAX] = 3,          [FCOL_BIAS] = 3, [FCOL_THRESHOLD] = 3,
        [FCOL_DECODER_NORM] = 4, [FCOL_ENCODER_DECODER_COSINE] = 3,
        [FCOL_NEAREST_COSINE] = 3, [FCOL_RELATIVE_NORM] = 3,
    };

    for (int c = 0; c < FCOL_COUNT; c++)
        decimals[c] = decimals_for(t->v[c], t->n, figures[c]);
    decimals[FCOL_MEAN] = decimals[FCOL_MAX]; /* stand side by side */
    decimals[FCOL_DENSITY] = decimals[FCOL_DELTA_FVU] = SMALL_DECIMALS;
    for (int c = FCOL_DELTA_CE; c <= FCOL_ESTIMATE_KEPT; c++)
        decimals[c] = SMALL_DECIMALS;
}

void pane_number(struct canvas *c, double x, int decimals, uint32_t style)
{
    char buf[64];

    if (isnan(x)) {
        table_cell_text(c, ALIGN_RIGHT, INK_DIM, "·");
        return;
    }
    snprintf(buf, sizeof buf, "%.*f", decimals, x == 0 ? 0. : x); /* no -0.000 */
    if (x != 0 && strspn(buf, "-0.") == strlen(buf))
        snprintf(buf, sizeof buf, "%.0e", x);
    if (text_width(buf) > c->cols)
        number_text(x, c->cols < 5 ? 5 : c->cols, buf, sizeof buf);
    table_cell_text(c, ALIGN_RIGHT, style, buf);
}

static void paint_count(double x, struct canvas *c)
{
    char text[32];

    if (isnan(x))
        pane_number(c, x, 0, INK_VALUE);
    else
        table_cell_text(c, ALIGN_RIGHT, x > 0 ? INK_VALUE : INK_DIM,
                        count_text((int64_t)x, text, sizeof text));
}

void pane_value(const struct feature_table *t, const int *decimals, int column,
                int64_t feature, struct canvas *c)
{
    double x = feature_table_at(t, column, feature);

    if (column == FCOL_ACTIVE)
        paint_count(x, c);
    else
        pane_number(c, x, decimals[column], x < 0 ? INK_NEGATIVE : INK_VALUE);
}

/* What is being painted, and of what. */
struct painting {
    const struct view *v;
    int slot;
    const struct pane *p;
    const int *decimals;
    const struct feature_table *table;
};

/* -- painting: each part takes rows from the top of what is left ------------------- */

static void cut(struct canvas *c, int rows)
{
    *c = canvas_sub(c, rows, 0, c->rows - rows, c->cols);
}

static bool rule(struct canvas *c, const char *title, int rows_below)
{
    if (c->rows < 1 + rows_below)
        return false;
    canvas_rule(c, 0, title, INK_RULE);
    cut(c, 1);
    return true;
}

static void paint_name(const struct painting *g, struct canvas *c)
{
    const struct view *v = g->v;
    int sae = g->p->sae;
    int64_t id = g->p->feature;
    const char *note = desk_note(v->desk, sae, id);
    bool is_label;
    const char *name = desk_name(v->desk, sae, id, &is_label);
    int at = canvas_printf(c, 0, 0, INK_TITLE, "#%lld", (long long)id) + 1;

    if (desk_favourite(v->desk, sae, id))
        at = canvas_text(c, 0, at, INK_NOTE, "*") + 1;
    canvas_fit(c, 0, at, c->cols - at, ALIGN_LEFT, is_label ? INK_NOTE : INK_TEXT, name);
    cut(c, 1);
    if (*note) {
        canvas_fit(c, 0, 0, c->cols, ALIGN_LEFT, INK_NOTE, note);
        cut(c, 1);
    }
}

/* The numbers of the row that may not have fitted into the table, two by two. */
static void paint_numbers(const struct painting *g, struct canvas *c)
{
    static const int shown[] = {FCOL_DENSITY, FCOL_ACTIVE, FCOL_MEAN, FCOL_MAX, FCOL_BIAS,
                                FCOL_DELTA_FVU, FCOL_ENCODER_DECODER_COSINE,
                                FCOL_DECODER_NORM, FCOL_THRESHOLD, FCOL_RELATIVE_NORM};
    const struct feature_table *t = g->table;
    int width = c->cols < 60 ? (c->cols - 3) / 2 : 28, k = 0;

    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        int column = shown[i];
        if ((column == FCOL_THRESHOLD || column == FCOL_RELATIVE_NORM) && !t->v[column])
            continue;
        int row = k / 2, col = k++ % 2 * (width + 3);
        struct canvas cell = canvas_sub(c, row, col + 10, 1, width - 10);
        canvas_text(c, row, col, INK_LABEL, feature_columns[column].heading);
        pane_value(t, g->decimals, column, g->p->feature, &cell);
    }
    double low, high, count = feature_table_at(t, FCOL_ACTIVE, g->p->feature);
    if (!isnan(count)) {
        stats_wilson(count, t->tokens, &low, &high);
        canvas_text(c, (k + 1) / 2, 0, INK_LABEL, "95 %");
        canvas_printf(c, (k + 1) / 2, 10, INK_DIM, "density in [%.*f, %.*f]",
                      g->decimals[FCOL_DENSITY], low, g->decimals[FCOL_DENSITY], high);
        k += 2;
    }
    cut(c, (k + 1) / 2);
}

static void paint_histogram(const struct painting *g, struct canvas *c)
{
    const struct pane *p = g->p;
    const struct index *ix = g->v->session->saes[p->sae].index;
    int64_t counts[INDEX_BINS] = {0};
    struct wid_hist_series series = {.counts = counts, .style = INK_BAR};
    struct wid_hist h = {.n_bins = INDEX_BINS, .series = &series, .n_series = 1,
                         .cursor = -1, .brush_first = -1, .brush_last = -1};
    int rows = c->rows >= 24 ? 7 : c->rows >= 17 ? 5 : 3;

    if (ix) { /* there at once, so that nothing flickers */
        const struct index_record *r = index_record(ix, p->feature);
        for (int i = 0; i < INDEX_BINS; i++)
            counts[i] = r->histogram[i];
        h.hi = r->max;
    } else if (p->ready && p->page.histogram.n == INDEX_BINS) {
        series.counts = p->page.histogram.counts;
        h.hi = p->page.histogram.hi;
    }
    if (!(h.hi > 0) || !rule(c, "activation", rows))
        return;
    struct canvas bars = canvas_sub(c, 0, 0, rows, c->cols);
    wid_hist_paint(&bars, &h);
    cut(c, rows);
}

static bool has_alike(const struct pane *p)
{
    for (int i = 0; i < p->n_examples; i++)
        if (p->examples[i].alike > 1)
            return true;
    return false;
}

/* One line: activation, text around it, and how many there are like it (0: not said). */
static void paint_example(const struct painting *g, struct canvas *c, int count_cols,
                          const struct page_example *e, const struct page_context *x,
                          int alike)
{
    const struct pane *p = g->p;
    struct token_piece pieces[2 * PANE_CONTEXT + 1];
    struct canvas number = canvas_sub(c, 0, 0, 1, 6);
    struct canvas text = canvas_sub(c, 0, 7, c->rows, c->cols - 7 - count_cols);

    pane_number(&number, (double)e->activation, g->decimals[FCOL_MAX], INK_VALUE);
    if (alike > 1)
        canvas_printf(c, 0, c->cols - count_cols + 1, INK_DIM, "×%d", alike);
    if (!g->v->session->samples->tokens) {
        canvas_printf(&text, 0, 0, INK_DIM, "sequence %lld, position %lld",
                      (long long)e->sequence, (long long)e->position);
        return;
    }
    for (int k = 0; k < x->n; k++) {
        pieces[k].activation = x->activations[k];
        pieces[k].bytes = desk_token_bytes(g->v->desk, x->ids[k], &pieces[k].len);
    }
    struct tokens_run run = {.pieces = pieces, .n = x->n, .lit = x->lit, .cursor = -1,
                             .max = (float)p->page.max};
    tokens_paint_line(&text, 0, &run);
}

static void paint_examples(const struct painting *g, struct canvas *c)
{
    const struct pane *p = g->p;
    int rows = tokens_line_rows(c);

    if (!p->ready) {
        bool failed = g->v->slots[g->slot].err.code != ERR_NONE;
        if ((failed || (p->slow && view_busy(g->v, g->slot))) && rule(c, "strongest", 1))
            view_paint_missing(g->v, g->slot, c);
        return;
    }
    if (p->n_examples == 0 || !rule(c, "strongest", rows))
        return;
    /* Five at least, more where the neighbours leave room. */
    int room = (c->rows - 1 - p->page.n_decoder_neighbours) / rows;
    int n = room < 5 ? 5 : room;
    for (int i = 0; i < p->n_examples && i < n && c->rows >= rows; i++) {
        const struct pane_example *e = &p->examples[i];
        struct canvas line = canvas_sub(c, 0, 0, rows, c->cols);
        paint_example(g, &line, has_alike(p) ? 4 : 0, &p->page.top[e->top],
                      &p->context[e->top], e->alike);
        cut(c, rows);
    }
}

/* Where there is room: how it fires when it fires less. */
static void paint_range(const struct painting *g, struct canvas *c)
{
    const struct pane *p = g->p;
    int rows = tokens_line_rows(c), neighbours = p->page.n_decoder_neighbours;

    if (!p->ready || p->n_range < 2 ||
        c->rows < 1 + p->n_range * rows + (neighbours ? neighbours + 1 : 0) ||
        !rule(c, "from strong to weak, one of each tenth of the range", rows))
        return;
    for (int i = 0; i < p->n_range; i++) {
        struct canvas line = canvas_sub(c, 0, 0, rows, c->cols);
        paint_example(g, &line, 0, p->range_of[i], &p->range[i], 0);
        cut(c, rows);
    }
}

static void paint_neighbours(const struct painting *g, struct canvas *c)
{
    const struct page_feature *p = &g->p->page;

    if (!g->p->ready || p->n_decoder_neighbours == 0 || !rule(c, "nearest by decoder", 1))
        return;
    for (int i = 0; i < p->n_decoder_neighbours && i < c->rows; i++) {
        const struct page_neighbour *n = &p->decoder_neighbours[i];
        struct canvas number = canvas_sub(c, i, 0, 1, 6);
        bool is_label;
        const char *name = desk_name(g->v->desk, g->p->sae, n->id, &is_label);
        pane_number(&number, (double)n->cosine, 3, INK_VALUE);
        int at = canvas_printf(c, i, 7, INK_LABEL, "#%lld", (long long)n->id) + 1;
        at = at < 14 ? 14 : at;
        canvas_fit(c, i, at, c->cols - at, ALIGN_LEFT, is_label ? INK_NOTE : INK_TEXT, name);
    }
}

void pane_paint(const struct view *v, int slot, const struct pane *p, const int *decimals,
                struct canvas *c)
{
    struct canvas left = *c;

    if (p->feature < 0 || p->feature >= desk_sae(v->desk, p->sae)->table.n)
        return;
    struct painting g = {v, slot, p, decimals, &desk_sae(v->desk, p->sae)->table};
    paint_name(&g, &left);
    paint_numbers(&g, &left);
    paint_histogram(&g, &left);
    paint_examples(&g, &left);
    paint_range(&g, &left);
    paint_neighbours(&g, &left);
}
