/* biases_keys.c - keys and mouse of the Biases view. See biases.h. */
#include <math.h>
#include <stdlib.h>

#include "tui/biases.h"
#include "tui/wid_hist.h"

static int list_rows(const struct view *v)
{
    struct biases_layout l = biases_lay_out(v, v->rows, v->cols);

    return l.list.rows - 1;
}

/* -- keys ----------------------------------------------------------------------------- */

bool biases_has_bins(const struct biases *b)
{
    return b->n_series > 0 && b->series[0].summary.hist.n > 0;
}

static void move_to(struct view *v, int64_t bin)
{
    struct biases *b = v->state;
    int n = biases_has_bins(b) ? b->series[0].summary.hist.n : 1;

    b->cursor = bin < 0 ? 0 : bin >= n ? n - 1 : (int)bin;
    b->list.cursor = b->list.top = 0;
    biases_take(v);
}

/* Bins that one key moves: where many share a column, about a column. */
static int step(const struct view *v)
{
    const struct biases *b = v->state;
    struct biases_layout l = biases_lay_out(v, v->rows, v->cols);
    const struct rect *r = l.hist.rows > 0 ? &l.hist : &l.scatter;
    int width = r->cols - wid_hist_left(r->rows, r->cols);
    int n = biases_has_bins(b) ? b->series[0].summary.hist.n : 1;

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
    biases_choose(v, q);
}

void biases_rebin(struct view *v, int bins)
{
    struct biases *b = v->state;

    b->bins = bins < 1 ? 1 : bins > BIASES_MAX_BINS ? BIASES_MAX_BINS : bins;
    b->anchor = -1;
    biases_derive(v, true);
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
    case ACT_SORT: biases_run_show(v, true); break;
    case ACT_SELECT:
        b->anchor = b->anchor < 0 ? b->cursor : -1;
        biases_take(v);
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
        biases_sort_list(v);
    return true;
}

static void move_member(struct view *v, int64_t by)
{
    struct biases *b = v->state;
    struct biases_run *r = &b->run;
    int64_t to = r->cursor + by, fit = biases_run_rows(v, v->rows);

    r->cursor = (int)(to < 0 ? 0 : to >= r->series.n ? r->series.n - 1 : to);
    r->top = r->cursor < r->top ? r->cursor : r->top;
    r->top = r->cursor >= r->top + fit ? (int)(r->cursor - fit + 1) : r->top;
}

/* The histogram of a member: it becomes current. */
static void open_member(struct view *v)
{
    struct biases *b = v->state;
    int to = b->run.series.members[b->run.cursor].sae;

    biases_run_show(v, false);
    desk_choose(v->desk, to);
    biases_derive(v, false);
}

/* In the place of the histogram stands a series. */
static enum outcome act_on_run(struct view *v, const struct press *p)
{
    struct biases *b = v->state;
    int page = biases_run_rows(v, v->rows);

    switch (p->action) {
    case ACT_OPEN: open_member(v); break;
    case ACT_UP: move_member(v, -p->count); break;
    case ACT_DOWN: move_member(v, p->count); break;
    case ACT_HALF_UP:
    case ACT_PAGE_UP: move_member(v, -page); break;
    case ACT_HALF_DOWN:
    case ACT_PAGE_DOWN: move_member(v, page); break;
    case ACT_FIRST: move_member(v, -SERIES_MAX); break;
    case ACT_LAST: move_member(v, SERIES_MAX); break;
    case ACT_PANE_NEXT:
    case ACT_PANE_PREV: b->pane = b->pane == BIASES_LIST ? BIASES_HIST : BIASES_LIST; break;
    case ACT_COLUMN_NEXT: next_quantity(v, 1); break;
    case ACT_COLUMN_PREV: next_quantity(v, -1); break;
    case ACT_BINS_MORE: biases_rebin(v, (b->bins ? b->bins : STATS_BINS) * 2); break;
    case ACT_BINS_LESS: biases_rebin(v, (b->bins ? b->bins : STATS_BINS) / 2); break;
    case ACT_AXIS: b->log_counts = !b->log_counts; break;
    case ACT_SORT: biases_run_show(v, false); break;
    case ACT_RELOAD: biases_run_retry(v); break;
    default: return OUT_IGNORED;
    }
    return OUT_DONE;
}

enum outcome biases_act(struct view *v, const struct press *p)
{
    struct biases *b = v->state;

    if (!biases_sae(v))
        return OUT_IGNORED;
    if (b->run_shown)
        return act_on_run(v, p);
    switch (p->action) {
    case ACT_OPEN: open_here(v); break;
    case ACT_PANE_NEXT: next_pane(v, 1); break;
    case ACT_PANE_PREV: next_pane(v, -1); break;
    case ACT_BINS_MORE: biases_rebin(v, biases_bins_now(v) * 2); break;
    case ACT_BINS_LESS: biases_rebin(v, biases_bins_now(v) / 2); break;
    case ACT_AXIS: b->log_counts = !b->log_counts; break;
    case ACT_RELOAD: desk_retry(v->desk, v->target.sae); break;
    case ACT_RANDOM:
        move_to(v, rand() % (biases_has_bins(b) ? b->series[0].summary.hist.n : 1));
        break;
    default:
        if (!(b->pane == BIASES_LIST ? act_on_list(v, p) : act_on_bars(v, p)))
            return OUT_IGNORED;
    }
    biases_set_target(v);
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
        biases_sort_list(v);
    biases_set_target(v);
    if (opened)
        open_here(v);
}

enum outcome biases_mouse(struct view *v, const struct mouse *m)
{
    const struct biases *b = v->state;
    struct biases_layout l;

    if (!biases_sae(v) || m->kind == MOUSE_RELEASE)
        return OUT_IGNORED;
    l = biases_lay_out(v, v->rows, v->cols);
    if (m->row == 0 && m->kind == MOUSE_PRESS) {
        int q = biases_tab_at(v, v->cols, m->col);
        if (q >= 0)
            biases_choose(v, q);
    } else if (b->run_shown) {
        if (m->kind != MOUSE_WHEEL)
            return OUT_IGNORED;
        move_member(v, m->button);
    } else if (rect_has(&l.hist, m->row, m->col)) {
        mouse_on_bars(v, &l.hist, m, BIASES_HIST);
    } else if (rect_has(&l.scatter, m->row, m->col)) {
        mouse_on_bars(v, &l.scatter, m, l.hist.rows ? BIASES_HIST : BIASES_SCATTER);
    } else if (rect_has(&l.list, m->row, m->col)) {
        mouse_on_list(v, &l.list, *m);
    } else {
        return OUT_IGNORED;
    }
    biases_set_target(v);
    return OUT_DONE;
}
