/*
 * view_biases.c - view 4: how are the learned biases (thresholds, norms, densities ..)
 * distributed, and which features are behind a bar?
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "tui/biases.h"
#include "tui/out.h"
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

static void drop_series(struct biases *b)
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
static int bins_now(const struct view *v)
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
    struct summary_options o = {.bins = bins_now(v), .log = b->log_values, .ranged = any,
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

static void sort_list(const struct view *v)
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

static void take(struct view *v)
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
    sort_list(v);
}

/* What the cursor is on, for the frame and for the view that opens next. */
static void set_target(struct view *v)
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
static void derive(struct view *v, bool keep)
{
    struct biases *b = v->state;
    int n = b->n_series ? b->series[0].summary.hist.n : 0;
    double at = n ? (b->cursor + .5) / n : -1;

    drop_series(b);
    b->version = 0;
    const struct sae *sae = biases_sae(v);
    if (!sae) {
        take(v);
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
    if (!keep)
        b->anchor = -1;
    if (b->anchor >= n)
        b->anchor = n - 1;
    choose_columns(v);
    take(v);
    set_target(v);
}

static void choose(struct view *v, int q)
{
    struct biases *b = v->state;

    b->of = (enum quantity)q;
    b->of_given = true;
    b->range_lo = b->range_hi = NAN;
    b->list = (struct table_state){.sort = 2, .column = 2};
    if (!quantity_is_per_feature(biases_sae(v), b->of))
        b->list.sort = b->list.column = 1;
    derive(v, false);
}

/* -- life ----------------------------------------------------------------------------- */

static bool biases_open(struct view *v, struct err *err)
{
    struct biases *b = v->state;

    (void)err;
    b->overlay = true;
    b->anchor = -1;
    b->range_lo = b->range_hi = NAN;
    b->list = (struct table_state){.sort = 2, .column = 2};
    v->target = TARGET_NONE;
    return true;
}

static void need_chosen(struct view *v)
{
    struct biases *b = v->state;

    for (int i = 0; b->overlay && i < v->session->n_chosen; i++)
        desk_need(v->desk, v->session->chosen[i]);
}

static void biases_go(struct view *v, const struct target *at)
{
    struct biases *b = v->state;
    int before = v->target.sae, q = at->of[0] ? quantity_find(at->of) : -1;

    if (!v->desk)
        return;
    if (q >= 0)
        desk_choose(v->desk, at->sae);
    v->target.sae = desk_go(v->desk, at);
    need_chosen(v);
    if (q >= 0 && biases_sae(v) && quantity_applies(biases_sae(v), (enum quantity)q))
        choose(v, q);
    else
        derive(v, before == v->target.sae && b->n_series > 0);
}

static uint64_t version_now(const struct view *v)
{
    const struct biases *b = v->state;
    uint64_t version = 0;

    for (int i = 0; i < b->n_series; i++)
        version += desk_sae(v->desk, b->series[i].sae)->version;
    return version;
}

static void biases_changed(struct view *v)
{
    struct biases *b = v->state;
    int before = v->target.sae;

    if (!v->desk)
        return;
    v->target.sae = desk_current(v->desk);
    derive(v, before == v->target.sae && b->n_series > 0);
}

static void biases_tick(struct view *v)
{
    struct biases *b = v->state;

    if (v->desk && (b->n_series == 0 || b->version != version_now(v)))
        derive(v, b->n_series > 0);
}

static void biases_close(struct view *v)
{
    struct biases *b = v->state;

    drop_series(b);
    free(b->ids);
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

static int list_rows(const struct view *v)
{
    struct biases_layout l = biases_lay_out(v, v->rows, v->cols);

    return l.list.rows - 1;
}

/* -- keys ----------------------------------------------------------------------------- */

static bool has_bins(const struct biases *b)
{
    return b->n_series > 0 && b->series[0].summary.hist.n > 0;
}

static void move_to(struct view *v, int64_t bin)
{
    struct biases *b = v->state;
    int n = has_bins(b) ? b->series[0].summary.hist.n : 1;

    b->cursor = bin < 0 ? 0 : bin >= n ? n - 1 : (int)bin;
    b->list.cursor = b->list.top = 0;
    take(v);
}

/* Bins that one key moves: where many share a column, about a column. */
static int step(const struct view *v)
{
    const struct biases *b = v->state;
    struct biases_layout l = biases_lay_out(v, v->rows, v->cols);
    const struct rect *r = l.hist.rows > 0 ? &l.hist : &l.scatter;
    int width = r->cols - wid_hist_left(r->rows, r->cols);
    int n = has_bins(b) ? b->series[0].summary.hist.n : 1;

    return width > 0 && n > width ? n / width : 1;
}

static void open_here(struct view *v)
{
    struct biases *b = v->state;
    struct target at = TARGET_NONE;
    int first, last;

    at.sae = v->target.sae;
    if (!quantity_is_per_feature(biases_sae(v), b->of)) {
        app_message(v->app, "%s is not a quantity of single features",
                    quantities[b->of].name);
    } else if (b->pane == BIASES_LIST) {
        if (v->target.feature >= 0)
            app_open(v->app, "feature", &v->target);
    } else if (biases_taken(b, &first, &last)) {
        const struct biases_series *s = &b->series[0];
        bool closed = last == s->summary.hist.n - 1;
        if (b->n_ids == 0)
            app_message(v->app, "no feature in this bar");
        else if (quantity_filter(b->of, s->v, s->n, biases_edge(b, first),
                                 biases_edge(b, last + 1), closed, at.filter,
                                 sizeof at.filter))
            app_open(v->app, "features", &at);
        else
            app_message(v->app, "the table of features has no column %s: Tab, then Enter "
                                "opens single features", quantities[b->of].name);
    }
}

static void next_pane(struct view *v, int by)
{
    struct biases *b = v->state;
    struct biases_layout l = biases_lay_out(v, v->rows, v->cols);
    bool in_turn = b->pane == BIASES_SCATTER || l.scatter.rows == 0; /* needs its own place */
    int n = in_turn ? BIASES_PANES : BIASES_SCATTER;

    b->pane = (enum biases_pane)((b->pane + by + n) % n);
}

static void next_quantity(struct view *v, int by)
{
    const struct biases *b = v->state;
    int q = (int)b->of;

    do
        q = (q + by + QUANTITY_COUNT) % QUANTITY_COUNT;
    while (!quantity_applies(biases_sae(v), (enum quantity)q));
    choose(v, q);
}

static void rebin(struct view *v, int bins)
{
    struct biases *b = v->state;

    b->bins = bins < 1 ? 1 : bins > BIASES_MAX_BINS ? BIASES_MAX_BINS : bins;
    b->anchor = -1;
    derive(v, true);
}

/* The next of the SAEs asked for becomes current. */
static void swap(struct view *v)
{
    const struct session *s = v->session;
    int at = 0;

    if (s->n_chosen < 2) {
        app_message(v->app, "no other checkpoint was chosen (--sae NAME)");
        return;
    }
    for (int i = 0; i < s->n_chosen; i++)
        if (s->chosen[i] == v->target.sae)
            at = i + 1;
    desk_choose(v->desk, s->chosen[at % s->n_chosen]);
}

static bool act_on_bars(struct view *v, const struct press *p)
{
    struct biases *b = v->state;
    int by = step(v) * p->count;

    switch (p->action) {
    case ACT_LEFT: move_to(v, (int64_t)b->cursor - by); break;
    case ACT_RIGHT: move_to(v, (int64_t)b->cursor + by); break;
    case ACT_HALF_UP:
    case ACT_PAGE_UP: move_to(v, (int64_t)b->cursor - 8 * by); break;
    case ACT_HALF_DOWN:
    case ACT_PAGE_DOWN: move_to(v, (int64_t)b->cursor + 8 * by); break;
    case ACT_FIRST: move_to(v, 0); break;
    case ACT_LAST: move_to(v, p->counted ? p->count - 1 : BIASES_MAX_BINS); break;
    case ACT_DOWN: b->pane = BIASES_LIST; break;
    case ACT_COLUMN_NEXT: next_quantity(v, 1); break;
    case ACT_COLUMN_PREV: next_quantity(v, -1); break;
    case ACT_SELECT:
        b->anchor = b->anchor < 0 ? b->cursor : -1;
        take(v);
        break;
    default: return false;
    }
    return true;
}

static bool act_on_list(struct view *v, const struct press *p)
{
    struct biases *b = v->state;
    struct biases_table t;
    int sort = b->list.sort;
    bool ascending = b->list.ascending;

    if (p->action == ACT_UP && b->list.cursor == 0) {
        b->pane = BIASES_HIST;
        return true;
    }
    if (p->action == ACT_SELECT && v->target.feature >= 0) {
        desk_select(v->desk, v->target.sae, v->target.feature,
                    !desk_selected(v->desk, v->target.sae, v->target.feature));
        b->list.cursor += b->list.cursor + 1 < b->n_ids;
        return true;
    }
    biases_table(v, &t);
    if (!table_act(&t.table, &b->list, p, list_rows(v)))
        return false;
    if (b->list.sort != sort || b->list.ascending != ascending)
        sort_list(v);
    return true;
}

static enum outcome biases_act(struct view *v, const struct press *p)
{
    struct biases *b = v->state;

    if (!biases_sae(v))
        return OUT_IGNORED;
    switch (p->action) {
    case ACT_OPEN: open_here(v); break;
    case ACT_PANE_NEXT: next_pane(v, 1); break;
    case ACT_PANE_PREV: next_pane(v, -1); break;
    case ACT_BINS_MORE: rebin(v, bins_now(v) * 2); break;
    case ACT_BINS_LESS: rebin(v, bins_now(v) / 2); break;
    case ACT_AXIS: b->log_counts = !b->log_counts; break;
    case ACT_SWAP: swap(v); break;
    case ACT_RELOAD: desk_retry(v->desk, v->target.sae); break;
    case ACT_RANDOM:
        move_to(v, rand() % (has_bins(b) ? b->series[0].summary.hist.n : 1));
        break;
    default:
        if (!(b->pane == BIASES_LIST ? act_on_list(v, p) : act_on_bars(v, p)))
            return OUT_IGNORED;
    }
    set_target(v);
    return OUT_DONE;
}

static void mouse_on_bars(struct view *v, const struct rect *r, const struct mouse *m,
                          enum biases_pane pane)
{
    struct biases *b = v->state;
    int bin = biases_bin_at(v, r, m->col);

    b->pane = pane;
    if (m->kind == MOUSE_WHEEL) {
        move_to(v, (int64_t)b->cursor + m->button * step(v));
    } else if (bin >= 0 && m->kind == MOUSE_DRAG) {
        b->anchor = b->anchor < 0 ? b->cursor : b->anchor;
        move_to(v, bin);
    } else if (bin >= 0 && m->kind == MOUSE_PRESS && m->button == 1) {
        bool again = bin == b->cursor && b->anchor < 0;
        b->anchor = -1;
        move_to(v, bin);
        if (again)
            open_here(v);
    }
}

static void mouse_on_list(struct view *v, const struct rect *r, struct mouse m)
{
    struct biases *b = v->state;
    struct biases_table t;
    int sort = b->list.sort;
    bool ascending = b->list.ascending, opened = false;

    b->pane = BIASES_LIST;
    m.row -= r->row + 1;
    m.col -= r->col + 1;
    biases_table(v, &t);
    if (m.row >= 0)
        table_mouse(&t.table, &b->list, &m, r->rows - 1, r->cols - 2, &opened);
    if (b->list.sort != sort || b->list.ascending != ascending)
        sort_list(v);
    set_target(v);
    if (opened)
        open_here(v);
}

static enum outcome biases_mouse(struct view *v, const struct mouse *m)
{
    struct biases_layout l;

    if (!biases_sae(v) || m->kind == MOUSE_RELEASE)
        return OUT_IGNORED;
    l = biases_lay_out(v, v->rows, v->cols);
    if (m->row == 0 && m->kind == MOUSE_PRESS) {
        int q = biases_tab_at(v, v->cols, m->col);
        if (q >= 0)
            choose(v, q);
    } else if (rect_has(&l.hist, m->row, m->col)) {
        mouse_on_bars(v, &l.hist, m, BIASES_HIST);
    } else if (rect_has(&l.scatter, m->row, m->col)) {
        mouse_on_bars(v, &l.scatter, m, l.hist.rows ? BIASES_HIST : BIASES_SCATTER);
    } else if (rect_has(&l.list, m->row, m->col)) {
        mouse_on_list(v, &l.list, *m);
    } else {
        return OUT_IGNORED;
    }
    set_target(v);
    return OUT_DONE;
}

/* -- words ---------------------------------------------------------------------------- */

static void biases_status(const struct view *v, char *buf, size_t size)
{
    const struct biases *b = v->state;
    char state[160] = "";
    int first, last;
    size_t n;

    if (!biases_sae(v))
        return;
    n = (size_t)snprintf(buf, size, "%s", quantities[b->of].name);
    if (biases_taken(b, &first, &last) && n < size)
        n += (size_t)snprintf(buf + n, size - n, first == last ? " · bar %d/%d" :
                              " · bars %d-%d/%d", first + 1,
                              first == last ? b->series[0].summary.hist.n : last + 1,
                              b->series[0].summary.hist.n);
    if (b->log_counts && n < size)
        n += (size_t)snprintf(buf + n, size - n, " · log counts");
    if (!isnan(b->range_lo) && n < size)
        n += (size_t)snprintf(buf + n, size - n, " · range %g, %g", b->range_lo,
                              b->range_hi);
    if (b->n_series && b->series[0].summary.excluded && n < size)
        n += (size_t)snprintf(buf + n, size - n, " · %lld%s left out",
                              (long long)b->series[0].summary.excluded,
                              b->log_values && isnan(b->range_lo) ? " of 0 or less" : "");
    desk_state_text(v->desk, v->target.sae, state, sizeof state);
    if (state[0] && n < size)
        snprintf(buf + n, size - n, " · %s", state);
}

static const char *biases_explain(const struct view *v)
{
    const struct biases *b = v->state;

    if (b->pane == BIASES_LIST && b->list.column < b->n_columns &&
        b->columns[b->list.column] < FCOL_COUNT)
        return feature_columns[b->columns[b->list.column]].key;
    return quantities[b->of].name;
}

/* -- commands and options ------------------------------------------------------------- */

static bool set_of(struct view *v, const char *name, struct err *err)
{
    int q = quantity_find(name);

    if (q < 0)
        return err_set(err, ERR_USAGE, "of: found \"%s\" (expected b_enc, b_dec, threshold, "
                                       "decoder_norm, density, max, ...)", name);
    if (!biases_sae(v) || !quantity_applies(biases_sae(v), (enum quantity)q))
        return err_set(err, ERR_USAGE, "of: this checkpoint has no %s", name);
    choose(v, q);
    return true;
}

static bool set_bins(struct view *v, const char *value, struct err *err)
{
    char *end;
    long bins = strtol(value, &end, 10);

    if (end == value || *end || bins < 1 || bins > BIASES_MAX_BINS)
        return err_set(err, ERR_USAGE, "bins: found \"%s\" (expected 1 to %d)", value,
                       BIASES_MAX_BINS);
    rebin(v, (int)bins);
    return true;
}

static bool set_range(struct view *v, const char *value, struct err *err)
{
    struct biases *b = v->state;
    double lo = NAN, hi = NAN;
    int used = 0;

    if (*value && (sscanf(value, "%lf , %lf %n", &lo, &hi, &used) < 2 || value[used] ||
                   !(lo < hi)))
        return err_set(err, ERR_USAGE, "range: found \"%s\" (expected LO,HI or nothing)",
                       value);
    b->range_lo = lo;
    b->range_hi = hi;
    derive(v, false);
    return true;
}

enum { OPT_OF, OPT_BINS, OPT_RANGE, OPT_COUNTS, OPT_VALUES, OPT_OVERLAY };
static const char *const of_choices[] = {
    "b_enc", "b_gate", "b_mag", "threshold", "b_dec", "decoder_norm",
    "encoder_decoder_cosine", "density", "max", "delta_fvu", NULL};
static const char *const counts_choices[] = {"linear", "log", NULL};
static const char *const values_choices[] = {"auto", "linear", "log", NULL};
static const char *const switch_choices[] = {"on", "off", NULL};

static const struct view_option biases_options[] = {
    [OPT_OF] = {"of", "what the histogram is of", of_choices},
    [OPT_BINS] = {"bins", "number of bars, 1 to 1024", NULL},
    [OPT_RANGE] = {"range", "only values in LO,HI; empty: all", NULL},
    [OPT_COUNTS] = {"counts", "axis of counts (t)", counts_choices},
    [OPT_VALUES] = {"values", "bins of the value or of its log10; auto: of log10 for density "
                              "and ΔFVU", values_choices},
    [OPT_OVERLAY] = {"overlay", "the other chosen checkpoints over the first",
                     switch_choices},
    {NULL, NULL, NULL},
};

static void biases_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct biases *b = v->state;

    switch (i) {
    case OPT_OF: snprintf(buf, size, "%s", quantities[b->of].name); break;
    case OPT_BINS: snprintf(buf, size, "%d", bins_now(v)); break;
    case OPT_RANGE:
        buf[0] = 0;
        if (!isnan(b->range_lo))
            snprintf(buf, size, "%g,%g", b->range_lo, b->range_hi);
        break;
    case OPT_COUNTS: snprintf(buf, size, "%s", counts_choices[b->log_counts]); break;
    case OPT_VALUES: snprintf(buf, size, "%s", values_choices[b->scale]); break;
    default: snprintf(buf, size, "%s", switch_choices[!b->overlay]); break;
    }
}

static int choice(const char *const *choices, const char *value)
{
    for (int i = 0; choices[i]; i++)
        if (strcmp(choices[i], value) == 0)
            return i;
    return -1;
}

static bool biases_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct biases *b = v->state;
    int n;

    switch (i) {
    case OPT_OF: return set_of(v, value, err);
    case OPT_BINS: return set_bins(v, value, err);
    case OPT_RANGE: return set_range(v, value, err);
    default: break;
    }
    n = choice(biases_options[i].choices, value);
    if (n < 0)
        return err_set(err, ERR_USAGE, "%s: found \"%s\" (expected %s, %s%s%s)",
                       biases_options[i].name, value, biases_options[i].choices[0],
                       biases_options[i].choices[1], i == OPT_VALUES ? ", " : "",
                       i == OPT_VALUES ? biases_options[i].choices[2] : "");
    if (i == OPT_COUNTS)
        b->log_counts = n == 1;
    else if (i == OPT_VALUES)
        b->scale = (enum biases_scale)n;
    else
        b->overlay = n == 0;
    if (v->desk)
        need_chosen(v);
    derive(v, i == OPT_COUNTS);
    return true;
}

/* ":of density", ":bins 40", ":range -1,0" */
static bool biases_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    if (what == ASK_COMMAND)
        for (int i = 0; i <= OPT_RANGE; i++) {
            size_t n = strlen(biases_options[i].name);
            if (strncmp(text, biases_options[i].name, n) == 0 && (!text[n] || text[n] == ' '))
                return biases_option_set(v, i, text + n + strspn(text + n, " "), err);
        }
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
}

static const char *biases_word(const struct view *v, enum ask what, int i)
{
    (void)v;
    if (what != ASK_COMMAND)
        return NULL;
    if (i <= OPT_RANGE)
        return biases_options[i].name;
    return i - OPT_RANGE - 1 < QUANTITY_COUNT ? quantities[i - OPT_RANGE - 1].name : NULL;
}

/* -- copy and write ------------------------------------------------------------------- */

static void copy_row(const struct view *v, int64_t id, struct str *out)
{
    const struct biases *b = v->state;

    str_appendf(out, "%lld", (long long)id);
    for (int i = 1; i < b->n_columns; i++) {
        if (b->columns[i] == BCOL_NAME)
            str_appendf(out, "\t%s", desk_name(v->desk, v->target.sae, id, NULL));
        else
            str_appendf(out, "\t%.9g", biases_value(v, b->columns[i], id));
    }
    str_putc(out, '\n');
}

static void copy_bin(const struct biases *b, int i, struct str *out)
{
    str_appendf(out, "%.9g\t%.9g", biases_edge(b, i), biases_edge(b, i + 1));
    for (int s = 0; s < b->n_series; s++)
        str_appendf(out, "\t%lld", (long long)b->series[s].summary.hist.counts[i]);
    str_putc(out, '\n');
}

/* The bar or the row; all: all bars, or all rows of the list. */
static char *biases_copy(const struct view *v, bool all)
{
    const struct biases *b = v->state;
    struct str out = {0};

    if (!biases_sae(v) || !has_bins(b))
        return NULL;
    if (b->pane == BIASES_LIST) {
        for (int64_t i = 0; i < b->n_ids; i++)
            if (all || i == b->list.cursor)
                copy_row(v, b->ids[i], &out);
    } else {
        for (int i = 0; i < b->series[0].summary.hist.n; i++)
            if (all || i == b->cursor)
                copy_bin(b, i, &out);
    }
    return out.len ? str_take(&out) : NULL;
}

/* What `saescope hist` prints; overlaid checkpoints follow under "overlaid". */
static bool biases_export(const struct view *v, enum export_format format, FILE *f,
                          struct err *err)
{
    const struct biases *b = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV};

    if (b->n_series == 0)
        return err_set(err, ERR_MISSING, "%s is not known: nothing to write",
                       quantities[b->of].name);
    struct out *o = out_new(&options);
    quantity_put(o, b->of, &b->series[0].summary);
    if (b->n_series > 1) {
        out_rows(o, "overlaid", "name");
        for (int i = 1; i < b->n_series; i++) {
            out_begin(o, NULL);
            out_text(o, "name", v->session->saes[b->series[i].sae].name);
            quantity_put(o, b->of, &b->series[i].summary);
            out_end(o);
        }
        out_end(o);
    }
    fflush(f);
    bool ok = out_write(o, fileno(f), err);
    out_free(o);
    return ok;
}

/* -- the table of it ------------------------------------------------------------------ */

static const struct view_key biases_keys[] = {
    {ACT_OPEN, "filter the table of features to the bars taken; in the list: open the feature"},
    {ACT_PANE_NEXT, "from the bars to the list, and to the scatter where it has no place of "
                    "its own"},
    {ACT_COLUMN_NEXT, "quantity"},
    {ACT_LEFT, "bar"},
    {ACT_SELECT, "take several bars from here on; again: only the one under the cursor"},
    {ACT_BINS_MORE, "bins"},
    {ACT_AXIS, NULL},
    {ACT_SWAP, "make the next of the chosen checkpoints current"},
    {ACT_OPTIONS, NULL},
    {ACT_WRITE, "write what `saescope hist` prints, to a .tsv or .json file"},
    {ACT_RELOAD, "scan again after it failed or was cancelled"},
    {ACT_NONE, NULL},
};

static const struct view_term biases_terms[] = {
    {"b_enc", "The learned bias of a feature's encoder. In ProLU it gates and is not added: the "
              "feature is on where m > 0 and m > -b_enc (m: pre-activation without the bias), "
              "and its activation is m. A positive bias acts like zero there. Elsewhere "
              "it is added to m."},
    {"b_gate", "Bias of a gated SAE's gate: on where m + b_gate > 0."},
    {"b_mag", "Bias of a gated SAE's magnitude: relu(m exp(r_mag) + b_mag) where the gate is "
              "open."},
    {"threshold", "JumpReLU, BatchTopK: the pre-activation must exceed it. BatchTopK has one "
                  "number for all features."},
    {"b_dec", "Decoder bias, one value a dimension of the hook: the reconstruction of a token "
              "on which no feature fires."},
    {"decoder_norm", "Length of the decoder row of a feature: how much an activation of 1 "
                     "writes."},
    {"encoder_decoder_cosine", "Cosine of a feature's encoder and decoder row; with a zero vector "
                               "0."},
    {"density", "Fraction of tokens where the feature is active (activation not 0). Dead: "
                "density 0."},
    {"max", "Greatest activation; 0 for a dead feature."},
    {"delta_fvu", "Rise of FVU when the feature is taken out of the reconstruction and "
                  "everything else stays. Negative: the reconstruction is better without it."},
    {"histogram", "64 equal bins (+ - change that) over [min, max], each [lo, hi), the last "
                  "[lo, hi]. On a logarithmic value axis values <= 0 are left out; the "
                  "figures in the headline are of all finite values."},
    {"std", "Standard deviation of the population (divisor n)."},
    {"scatter", "One dot a feature; the lowest row is density 0. Lit: the features of the bars "
                "taken. Diamond: the row of the list that the cursor is on."},
    {NULL, NULL},
};

const struct view_ops view_biases_ops = {
    .name = "biases",
    .digit = 4,
    .purpose = "how biases, thresholds, norms and densities are distributed, and which "
               "features are behind a bar",
    .searched_in = "features",
    .state_size = sizeof(struct biases),
    .keys = biases_keys,
    .terms = biases_terms,
    .options = biases_options,
    .open = biases_open,
    .go = biases_go,
    .changed = biases_changed,
    .tick = biases_tick,
    .draw = biases_paint,
    .status = biases_status,
    .act = biases_act,
    .mouse = biases_mouse,
    .answer = biases_answer,
    .word = biases_word,
    .explain = biases_explain,
    .option_get = biases_option_get,
    .option_set = biases_option_set,
    .copy = biases_copy,
    .export = biases_export,
    .close = biases_close,
};
