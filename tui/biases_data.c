/* biases_data.c - where the numbers of the Biases view come from, and the list behind the
 * bars. See biases.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/biases.h"
#include "tui/wid_hist.h"

const struct sae *biases_sae(const struct view *v)
{
    if (!v->desk || v->target.sae < 0 || v->target.sae >= desk_count(v->desk))
        return NULL;
    return v->session->saes[v->target.sae].sae;
}

static const struct feature_table *table_of(const struct view *v)
{
    return &desk_sae(v->desk, v->target.sae)->table;
}

/* -- from tables to series ------------------------------------------------------------ */

void biases_drop(struct biases *b)
{
    for (int i = 0; i < b->n_series; i++) {
        free(b->series[i].v);
        summary_finish(&b->series[i].summary);
    }
    free(b->x);
    free(b->y);
    b->x = b->y = NULL;
    b->n_series = 0;
}

static void add_series(struct view *v, int i)
{
    struct biases *b = v->state;
    const struct sae *sae = v->session->saes[i].sae;
    struct biases_series s = {.sae = i};

    for (int k = 0; k < b->n_series; k++)
        if (b->series[k].sae == i)
            return;
    if (!sae || b->n_series == BIASES_SERIES || !quantity_applies(sae, b->of))
        return;
    s.v = quantity_values(sae, &desk_sae(v->desk, i)->table, b->of, &s.n);
    if (!s.v)
        return;
    b->version += desk_sae(v->desk, i)->version;
    b->series[b->n_series++] = s;
}

static bool is_binned(const struct biases *b, double x)
{
    return isfinite(x) && (!b->log_values || x > 0) &&
           !(x < b->range_lo || x > b->range_hi);
}

static double binned(const struct biases *b, double x)
{
    return !is_binned(b, x) ? NAN : b->log_values ? log10(x) : x;
}

/* The plain range that all series share. */
static bool find_range(struct biases *b)
{
    b->lo = INFINITY;
    b->hi = -INFINITY;
    for (int i = 0; i < b->n_series; i++)
        for (int64_t j = 0; j < b->series[i].n; j++) {
            double x = b->series[i].v[j];
            if (is_binned(b, x)) {
                b->lo = x < b->lo ? x : b->lo;
                b->hi = x > b->hi ? x : b->hi;
            }
        }
    return b->lo <= b->hi;
}

/* The 64 of the definition, unless two would have to share a column. */
int biases_bins_now(const struct view *v)
{
    const struct biases *b = v->state;
    struct biases_layout l = biases_lay_out(v, v->rows, v->cols);
    const struct rect *r = l.hist.rows ? &l.hist : &l.scatter;

    if (b->bins)
        return b->bins;
    return r->cols - wid_hist_left(r->rows, r->cols) >= STATS_BINS ? STATS_BINS
                                                                   : STATS_BINS / 2;
}

static void summarise(struct view *v)
{
    struct biases *b = v->state;
    bool any = find_range(b);
    struct summary_options o = {.bins = biases_bins_now(v), .log = b->log_values, .ranged = any,
                                .lo = b->lo, .hi = b->hi};

    for (int i = 0; i < b->n_series; i++) {
        struct biases_series *s = &b->series[i];
        double *copy = xmalloc((size_t)s->n * sizeof *copy);
        memcpy(copy, s->v, (size_t)s->n * sizeof *copy);
        summary_of(s->v, s->n, &o, &s->summary);
        s->median = stats_median(copy, s->n);
        free(copy);
    }
}

/* The bias against density; a density against the bias. */
static void set_against(struct view *v)
{
    struct biases *b = v->state;
    const struct sae *sae = biases_sae(v);
    const struct biases_series *s = &b->series[0];
    int64_t n;

    if (!quantity_is_per_feature(sae, b->of))
        return;
    b->against = b->of == QUANTITY_DENSITY ? quantity_default(sae) : QUANTITY_DENSITY;
    double *y = quantity_values(sae, table_of(v), b->against, &n);
    bool log_y = quantities[b->against].log_values;
    if (!y)
        return;
    b->x = xmalloc((size_t)n * sizeof *b->x);
    b->y = xmalloc((size_t)n * sizeof *b->y);
    for (int64_t i = 0; i < n; i++) {
        b->x[i] = (float)binned(b, s->v[i]);
        b->y[i] = (float)(log_y ? log10(y[i]) : y[i]);
    }
    free(y);
}

/* -- the bins taken, and the list of what is behind them ------------------------------ */

bool biases_taken(const struct biases *b, int *first, int *last)
{
    if (b->n_series == 0 || b->series[0].summary.hist.n == 0)
        return false;
    *first = b->anchor >= 0 && b->anchor < b->cursor ? b->anchor : b->cursor;
    *last = b->anchor > b->cursor ? b->anchor : b->cursor;
    return true;
}

double biases_edge(const struct biases *b, int i)
{
    const struct hist *h = &b->series[0].summary.hist;

    if (i == 0)
        return b->lo;
    if (i == h->n)
        return b->hi;
    return b->log_values ? pow(10, hist_edge(h, i)) : hist_edge(h, i);
}

double biases_value(const struct view *v, int column, int64_t id)
{
    const struct biases *b = v->state;

    if (column == BCOL_VALUE)
        return id < b->series[0].n ? b->series[0].v[id] : NAN;
    return feature_table_at(table_of(v), column, id);
}

static void choose_columns(const struct view *v)
{
    static const int others[] = {FCOL_BIAS, FCOL_DENSITY, FCOL_MAX, FCOL_DELTA_FVU};
    struct biases *b = v->state;

    b->n_columns = 0;
    b->columns[b->n_columns++] = FCOL_ID;
    if (!quantity_is_per_feature(biases_sae(v), b->of)) {
        b->columns[b->n_columns++] = BCOL_VALUE;
        return;
    }
    b->columns[b->n_columns++] = BCOL_NAME;
    b->columns[b->n_columns++] = BCOL_VALUE;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] != quantities[b->of].column)
            b->columns[b->n_columns++] = others[i];
}

void biases_sort_list(const struct view *v)
{
    struct biases *b = v->state;
    int column = b->list.sort < 0 ? FCOL_ID : b->columns[b->list.sort];
    struct feature_table values = {.n = b->series[0].n};

    if (column == BCOL_VALUE) { /* sorted as a table's column that holds them */
        values.v[FCOL_BIAS] = b->series[0].v;
        feature_table_sort(&values, FCOL_BIAS, b->list.ascending, b->ids, b->n_ids);
    } else if (column == FCOL_ID && !b->list.ascending) { /* ids: the least first */
        feature_table_sort(table_of(v), FCOL_ID, false, b->ids, b->n_ids);
    } else if (column == FCOL_ID) {
        feature_table_sort(table_of(v), FCOL_ID, false, b->ids, b->n_ids);
        for (int64_t i = 0; i < b->n_ids / 2; i++) {
            uint32_t t = b->ids[i];
            b->ids[i] = b->ids[b->n_ids - 1 - i];
            b->ids[b->n_ids - 1 - i] = t;
        }
    } else if (column < FCOL_COUNT) {
        feature_table_sort(table_of(v), column, b->list.ascending, b->ids, b->n_ids);
    }
}

void biases_take(struct view *v)
{
    struct biases *b = v->state;
    int first, last;

    free(b->ids);
    b->ids = NULL;
    b->n_ids = 0;
    if (!biases_taken(b, &first, &last))
        return;
    const struct biases_series *s = &b->series[0];
    const struct hist *h = &s->summary.hist;
    double lo = hist_edge(h, first), hi = hist_edge(h, last + 1);
    bool closed = last == h->n - 1;
    b->ids = xmalloc((size_t)s->n * sizeof *b->ids);
    for (int64_t j = 0; j < s->n; j++) {
        double x = binned(b, s->v[j]);
        if (x >= lo && (x < hi || (closed && x <= hi)))
            b->ids[b->n_ids++] = (uint32_t)j;
    }
    biases_sort_list(v);
}

/* What the cursor is on, for the frame and for the view that opens next. */
void biases_set_target(struct view *v)
{
    struct biases *b = v->state;
    bool features = b->n_ids > 0 && quantity_is_per_feature(biases_sae(v), b->of);

    v->target.feature = features && b->list.cursor < b->n_ids
                            ? (int64_t)b->ids[b->list.cursor]
                            : -1;
}

static int64_t middle_bin(const struct biases *b)
{
    const struct hist *h = &b->series[0].summary.hist;
    double x = binned(b, b->series[0].median);

    if (!(h->hi > h->lo) || isnan(x))
        return h->n - 1;
    int64_t bin = (int64_t)((x - h->lo) / (h->hi - h->lo) * h->n);
    return bin < h->n ? bin : h->n - 1;
}

/* Everything anew from the tables. `keep`: the same quantity has grown, or its bins have
 * changed; the cursor stays at the same value. */
void biases_derive(struct view *v, bool keep)
{
    struct biases *b = v->state;
    int n = b->n_series ? b->series[0].summary.hist.n : 0;
    double at = n ? (b->cursor + .5) / n : -1;

    biases_drop(b);
    b->version = 0;
    const struct sae *sae = biases_sae(v);
    if (!sae) {
        biases_take(v);
        return;
    }
    if (!b->of_given || !quantity_applies(sae, b->of))
        b->of = quantity_default(sae);
    b->log_values = b->scale == SCALE_LOG ||
                    (b->scale == SCALE_AUTO && quantities[b->of].log_values);
    add_series(v, v->target.sae);
    for (int i = 0; b->n_series && b->overlay && i < v->session->n_chosen; i++)
        add_series(v, v->session->chosen[i]);
    summarise(v);
    if (b->n_series) {
        set_against(v);
        n = b->series[0].summary.hist.n;
        b->cursor = !n ? 0 : keep && at >= 0 ? (int)(at * n) : (int)middle_bin(b);
    }
    biases_run_summarise(v);
    if (!keep)
        b->anchor = -1;
    if (b->anchor >= n)
        b->anchor = n - 1;
    choose_columns(v);
    biases_take(v);
    biases_set_target(v);
}

void biases_choose(struct view *v, int q)
{
    struct biases *b = v->state;

    b->of = (enum quantity)q;
    b->of_given = true;
    b->range_lo = b->range_hi = NAN;
    b->list = (struct table_state){.sort = 2, .column = 2};
    if (!quantity_is_per_feature(biases_sae(v), b->of))
        b->list.sort = b->list.column = 1;
    biases_derive(v, false);
    biases_run_update(v);
}

/* -- the list ------------------------------------------------------------------------- */

static void cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ctx;
    const struct biases *b = v->state;
    int64_t id = b->ids[row];
    int what = b->columns[column];
    bool is_label;

    if (what == BCOL_NAME) {
        const char *name = desk_name(v->desk, v->target.sae, id, &is_label);
        table_cell_text(c, ALIGN_LEFT, is_label ? INK_NOTE : INK_DIM, name);
    } else if (what == FCOL_ID) {
        char text[32];
        snprintf(text, sizeof text, "%lld", (long long)id);
        table_cell_text(c, ALIGN_RIGHT, INK_TEXT, text);
    } else {
        double x = biases_value(v, what, id);
        bool is_signed = what == BCOL_VALUE ? quantities[b->of].is_signed
                                            : what == FCOL_BIAS || what == FCOL_DELTA_FVU;
        uint32_t ink = !is_signed || x == 0 ? INK_VALUE
                       : x < 0              ? INK_NEGATIVE
                                            : INK_POSITIVE;
        table_cell_number(c, x, 4, ink);
    }
}

static bool is_selected(const void *ctx, int64_t row)
{
    const struct view *v = ctx;
    const struct biases *b = v->state;

    return quantity_is_per_feature(biases_sae(v), b->of) &&
           desk_selected(v->desk, v->target.sae, b->ids[row]);
}

void biases_table(const struct view *v, struct biases_table *out)
{
    const struct biases *b = v->state;

    *out = (struct biases_table){.table = {.n_columns = b->n_columns, .n_rows = b->n_ids,
                                           .ctx = v, .cell = cell,
                                           .is_selected = is_selected,
                                           .empty = "no value in this bar"}};
    out->table.columns = out->columns;
    for (int i = 0; i < b->n_columns; i++) {
        struct table_column *col = &out->columns[i];
        int what = b->columns[i];
        *col = (struct table_column){.width = 8, .align = ALIGN_RIGHT, .rank = i,
                                     .is_sortable = what != BCOL_NAME};
        if (what == FCOL_ID) {
            col->title = b->of == QUANTITY_B_DEC ? "dim" : "feature";
            col->width = 7;
            col->rank = 0;
        } else if (what == BCOL_NAME) {
            *col = (struct table_column){"name", 8, 1, ALIGN_LEFT, 2, false};
        } else if (what == BCOL_VALUE) {
            col->title = quantities[b->of].heading;
            col->width = 9;
            col->rank = 1;
        } else {
            col->title = feature_columns[what].heading;
        }
    }
}
