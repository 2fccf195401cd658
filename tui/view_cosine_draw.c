/* view_cosine_draw.c - how view 6 looks; see view_cosine.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/view_cosine.h"
#include "tui/wid_heat.h"
#include "tui/wid_hist.h"

/* The cells on the screen, and how they are coloured. */
struct picture {
    struct cosine_layout l;
    struct heat_window w;
    float *value; /* [w.n_r, w.n_c] owned */
    enum heat_quality quality;
    double scale;
};

static double greatest(const float *value, int64_t n)
{
    double most = 0;

    for (int64_t k = 0; k < n; k++)
        if (fabs((double)value[k]) > most)
            most = fabs((double)value[k]);
    return most;
}

static void picture_init(struct picture *p, const struct view *v, int rows, int cols)
{
    const struct cosine *s = v->state;

    *p = (struct picture){.l = cosine_lay_out(v, rows, cols)};
    p->w = cosine_window(s, &p->l);
    p->value = xmalloc((size_t)(p->w.n_r * p->w.n_c) * sizeof *p->value);
    p->quality = HEAT_EXACT;
    if (p->w.n_r * p->w.n_c > 0)
        p->quality = heat_look(&s->map->heat, s->part.mean ? &s->part : NULL, &p->w, p->value);
    p->scale = s->full_scale ? 1 : wid_heat_scale(greatest(p->value, p->w.n_r * p->w.n_c));
}

/* -- head ------------------------------------------------------------------------------------ */

static void paint_subject(const struct view *v, struct canvas *c)
{
    const struct cosine_source *s = cosine_source(v);
    char rows[160], columns[160], n[32], m[32], figures[96] = "";

    cosine_side(v, &s->subject, 0, rows, sizeof rows);
    cosine_side(v, &s->subject, 1, columns, sizeof columns);
    count_text(s->page.rows, n, sizeof n);
    count_text(s->page.columns, m, sizeof m);
    double mean = fabs(s->page.mean) < 5e-5 ? 0 : s->page.mean; /* no -0.0000 */
    if (s->looked && !isnan(mean)) /* of one row there is nothing off the diagonal */
        snprintf(figures, sizeof figures, "mean %.4f · std %.4f%s", mean, s->page.std,
                 s->page.self ? " off the diagonal" : "");
    if (c->cols < 70 && s->page.self && figures[0]) /* room for what it is of */
        snprintf(figures, sizeof figures, "mean %.4f · std %.4f", mean, s->page.std);
    int room = c->cols - text_width(figures) - 4;
    char text[480], of[40] = "";
    if (!s->page.self)
        snprintf(of, sizeof of, " (%s)", m);
    snprintf(text, sizeof text, "%s (%s) against %s%s", rows, n, columns, of);
    if (text_width(text) > room)
        snprintf(text, sizeof text, "%s (%s) × %s%s", rows, n, columns, of);
    if (text_width(text) > room && s->page.self)
        snprintf(text, sizeof text, "%s × itself", rows);
    canvas_fit(c, 0, 1, room, ALIGN_LEFT, INK_VALUE | STYLE_BOLD, text);
    canvas_fit(c, 0, 1, c->cols - 2, ALIGN_RIGHT, INK_VALUE, figures);
}

static void describe_order(const struct view *v, char *buf, size_t size)
{
    static const char *const words[] = {"by id", "by best match", "by clusters"};
    const struct cosine *s = v->state;
    const struct cosine_map *m = s->map;

    if (s->order == ORDER_CLUSTER && m->order == ORDER_MATCH && m->is_complete)
        snprintf(buf, size, "by best match (clusters: at most %d rows)", HEAT_CLUSTER_MAX);
    else
        snprintf(buf, size, "%s", words[m->order]);
}

/* "each cell 16 × 8, the strongest · by id · sampled". */
static void describe_cells(const struct view *v, const struct picture *p, bool brief, char *buf,
                           size_t size)
{
    static const char *const quality[] = {" · computing", " · sampled: one cosine a cell so far",
                                          " · coarse, finer cells are coming", ""};
    const struct cosine *s = v->state;
    char order[96], state[64] = "";

    describe_order(v, order, sizeof order);
    if (!s->map->is_complete)
        snprintf(state, sizeof state, " · partial, %.0f %%",
                 floor(100 * heat_done(&s->map->heat)));
    if (p->w.block_r * p->w.block_c == 1)
        snprintf(buf, size, "a cell a cosine · %s%s%s", order, state, quality[p->quality]);
    else
        snprintf(buf, size, "%s%lld × %lld, %s · %s%s%s", brief ? "" : "a cell is ",
                 (long long)p->w.block_r, (long long)p->w.block_c,
                 s->pool == HEAT_MEAN ? "their mean" : "the strongest",
                 order, state, quality[p->quality]);
}

static void paint_head(const struct view *v, const struct picture *p, struct canvas *c)
{
    char text[256];
    int legend = wid_heat_legend(NULL, 0, 0, p->scale);

    if (p->l.head_rows > 0)
        paint_subject(v, c);
    if (p->l.head_rows < 2 || p->w.n_r * p->w.n_c == 0) /* no cell is shown */
        return;
    describe_cells(v, p, c->cols < 70, text, sizeof text);
    canvas_fit(c, 1, 1, c->cols - legend - 4, ALIGN_LEFT, INK_LABEL, text);
    if (c->cols > legend + 2)
        wid_heat_legend(c, 1, c->cols - legend - 1, p->scale);
}

/* -- the map and its axes ----------------------------------------------------------------------- */

/* What stands at a place: its id, but of a cell of several in another order than by id the
 * place itself. */
static int64_t label_of(const struct cosine_map *m, int64_t place, int64_t block, bool row)
{
    if (block > 1 && m->order != ORDER_ID)
        return place;
    return row ? heat_row(&m->heat, place) : heat_column(&m->heat, place);
}

static void paint_rows(const struct view *v, const struct picture *p, struct canvas *c)
{
    const struct cosine *s = v->state;
    int up = p->l.zoom.half ? 2 : 1;
    char text[32];

    for (int y = 0; y < p->l.map.rows && p->l.gutter > 0; y++) {
        int64_t place = p->w.row + y * up * p->w.block_r;
        bool cursor = s->row >= place && s->row < place + up * p->w.block_r;
        if (cursor) /* of two in one cell, the one that it is on */
            place = s->row / p->w.block_r * p->w.block_r;
        if (y * up >= p->w.n_r || (!cursor && !p->l.zoom.numbers && y % 4))
            continue;
        snprintf(text, sizeof text, "%lld", (long long)label_of(s->map, place, p->w.block_r, true));
        canvas_fit(c, p->l.map.row + y, 0, p->l.gutter - 1, ALIGN_RIGHT,
                   cursor ? INK_BRUSH : INK_AXIS, text);
    }
}

/* The number of the j-th cell on the screen; its width. */
static int column_label(const struct cosine *s, const struct picture *p, int64_t j, char *buf,
                        size_t size)
{
    int64_t place = p->w.column + j * p->w.block_c;
    return snprintf(buf, size, "%lld", (long long)label_of(s->map, place, p->w.block_c, false));
}

/* Above it figures end at a column before the next cell, and so does the label. */
static int column_label_at(const struct picture *p, int64_t j, int width)
{
    int cell = p->l.zoom.cell_cols;
    int shift = p->l.zoom.numbers && cell - 1 > width ? cell - 1 - width : 0;
    return (int)j * cell + shift;
}

static void paint_columns(const struct view *v, const struct picture *p, struct canvas *c)
{
    const struct cosine *s = v->state;
    struct canvas axis = canvas_sub(c, p->l.axis.row, p->l.axis.col, p->l.axis.rows,
                                    p->l.axis.cols);
    int64_t at = (s->column - p->w.column) / p->w.block_c;
    int cell = p->l.zoom.cell_cols, free_from = 0;
    char text[32];

    int width = column_label(s, p, at, text, sizeof text);
    int cursor = column_label_at(p, at, width);
    if (cursor + width > axis.cols)
        cursor = axis.cols - width;
    canvas_text(&axis, 0, cursor, INK_BRUSH, text);
    for (int64_t j = 0; j < p->w.n_c; j++) {
        int end = column_label(s, p, j, text, sizeof text), col = column_label_at(p, j, end);
        end += col;
        bool clear = end < cursor || col > cursor + width;
        if (col < free_from || !clear || end > axis.cols)
            continue;
        canvas_text(&axis, 0, col, INK_AXIS, text);
        free_from = cell > 1 ? end + 1 : col + 10;
    }
}

/* The bias-only row: pooled like the columns above it. */
static void paint_bias(const struct view *v, const struct picture *p, struct canvas *c)
{
    const struct cosine *s = v->state;
    const float *bias = s->map->source->page.bias_row;
    float *value = xmalloc((size_t)(p->w.n_c + 1) * sizeof *value);

    for (int64_t j = 0; j < p->w.n_c; j++) {
        double sum = 0, strongest = 0;
        int64_t n = 0, first = p->w.column + j * p->w.block_c;
        for (int64_t k = first; k < first + p->w.block_c && k < s->map->heat.blocks.columns; k++) {
            double x = (double)bias[heat_column(&s->map->heat, k)];
            sum += x;
            strongest = fabs(x) > fabs(strongest) || isnan(x) ? x : strongest;
            n++;
        }
        value[j] = (float)(s->pool == HEAT_MEAN ? sum / (double)n : strongest);
    }
    struct wid_heat h = {.value = value, .n_r = 1, .n_c = (int)p->w.n_c,
                         .cell_cols = p->l.zoom.cell_cols, .numbers = p->l.zoom.numbers,
                         .scale = p->scale, .cursor_r = -1, .cursor_c = -1};
    struct canvas row = canvas_sub(c, p->l.bias.row, p->l.bias.col, p->l.bias.rows,
                                   p->l.bias.cols);
    wid_heat_paint(&row, &h);
    if (p->l.gutter > 0)
        canvas_fit(c, p->l.bias.row, 0, p->l.gutter - 1, ALIGN_RIGHT, INK_LABEL, "b_dec");
    free(value);
}

static void paint_map(const struct view *v, const struct picture *p, struct canvas *c)
{
    const struct cosine *s = v->state;
    struct canvas map = canvas_sub(c, p->l.map.row, p->l.map.col, p->l.map.rows, p->l.map.cols);
    struct wid_heat h = {.value = p->value, .n_r = (int)p->w.n_r, .n_c = (int)p->w.n_c,
                         .half = p->l.zoom.half, .cell_cols = p->l.zoom.cell_cols,
                         .numbers = p->l.zoom.numbers, .scale = p->scale};

    h.cursor_r = (int)((s->row - p->w.row) / p->w.block_r);
    h.cursor_c = (int)((s->column - p->w.column) / p->w.block_c);
    wid_heat_paint(&map, &h);
    paint_rows(v, p, c);
    if (p->l.axis.rows == 0)
        return;
    paint_columns(v, p, c);
    paint_bias(v, p, c);
}

/* -- what the cursor is on ------------------------------------------------------------------------ */

/* "#17 the LORD", "true 3". */
static void name_one(const struct view *v, int side, int64_t id, char *buf, size_t size)
{
    const struct cosine_subject *s = &cosine_source(v)->subject;
    int sae = side == 1 && s->kind == AGAINST_SAE ? s->other : s->sae;

    if (side == 1 && s->kind == AGAINST_TRUTH) {
        snprintf(buf, size, "true %lld", (long long)id);
        return;
    }
    const char *name = desk_name(v->desk, sae, id, NULL);
    snprintf(buf, size, "#%lld%s%s", (long long)id, *name ? " " : "", name);
}

/* "rows 64 to 79", "rows at places 64 to 79", "row 17". */
static void name_span(const struct cosine_map *m, bool row, int64_t first, int64_t block,
                      int64_t n, char *buf, size_t size)
{
    int64_t last = (first + block < n ? first + block : n) - 1;
    const char *what = row ? "row" : "column";

    if (block == 1)
        snprintf(buf, size, "%s %lld", what, (long long)label_of(m, first, block, row));
    else
        snprintf(buf, size, "%ss%s %lld to %lld", what,
                 m->order == ORDER_ID ? "" : " at places", (long long)first, (long long)last);
}

static void paint_said(const struct view *v, const struct picture *p, struct canvas *c)
{
    const struct cosine *s = v->state;
    const struct heat *h = &s->map->heat;
    int64_t row, column;
    char left[160], right[160];

    if (p->l.said.rows == 0)
        return;
    struct canvas in = canvas_sub(c, p->l.said.row, p->l.said.col, 1, p->l.said.cols);
    cosine_cell(s, &p->l.zoom, &row, &column);
    int64_t at = (row - p->w.row) / p->w.block_r * p->w.n_c + (column - p->w.column) / p->w.block_c;
    double value = p->w.n_r * p->w.n_c > 0 ? (double)p->value[at] : NAN;
    bool single = p->w.block_r * p->w.block_c == 1;
    if (single) { /* known before its cell is */
        name_one(v, 0, heat_row(h, row), left, sizeof left);
        name_one(v, 1, heat_column(h, column), right, sizeof right);
        value = (double)page_cosine_at(&s->map->source->page, heat_row(h, row),
                                       heat_column(h, column));
    } else {
        name_span(s->map, true, row, p->w.block_r, h->blocks.rows, left, sizeof left);
        name_span(s->map, false, column, p->w.block_c, h->blocks.columns, right,
                  sizeof right);
    }
    int col = canvas_printf(&in, 0, 1, INK_TEXT, "%s × %s  ", left, right);
    if (!isnan(value))
        col = canvas_printf(&in, 0, col, value < 0 ? INK_NEGATIVE : INK_POSITIVE, "%.4f", value);
    if (!single)
        canvas_printf(&in, 0, col + 1, INK_DIM, "%s", s->pool == HEAT_MEAN ? "mean" : "strongest");
    else
        canvas_printf(&in, 0, col + 2, INK_DIM, "b_dec %.4f",
                      (double)s->map->source->page.bias_row[heat_column(h, column)]);
}

/* -- lists ----------------------------------------------------------------------------------------- */

static void paint_list(struct canvas *c, const struct rect *r, const char *title,
                       const struct cosine_table *t, const struct table_state *s, bool focused)
{
    struct canvas pane = canvas_sub(c, r->row, r->col, r->rows, r->cols);

    if (pane.rows < 1)
        return;
    struct canvas body = canvas_sub(&pane, 1, 0, pane.rows - 1, pane.cols);
    canvas_rule(&pane, 0, title, focused ? INK_TITLE : INK_RULE);
    table_paint(&body, &t->table, s, focused);
}

static void paint_lists(const struct view *v, const struct cosine_layout *l, struct canvas *c)
{
    const struct cosine *s = v->state;
    struct cosine_table t;
    char title[96];

    if (l->list.col > 0)
        canvas_vline(c, l->list.row, l->list.col - 1, l->list.rows + l->truths.rows, INK_RULE);
    if (l->list.rows > 0) {
        cosine_list(v, &t);
        cosine_list_title(v, title, sizeof title);
        paint_list(c, &l->list, title, &t, &s->list, s->pane == COSINE_LIST);
    }
    if (l->truths.rows > 0) {
        cosine_truths(v, &t);
        cosine_truths_title(v, title, sizeof title);
        paint_list(c, &l->truths, title, &t, &s->truths, s->pane == COSINE_TRUTH);
    }
}

/* -- all ------------------------------------------------------------------------------------------- */

static void paint_waiting(const struct view *v, struct canvas *c)
{
    const struct cosine *s = v->state;
    char state[160];

    if (!v->desk || desk_count(v->desk) == 0) {
        canvas_wrap(c, 0, INK_DIM, "no checkpoint is open");
        return;
    }
    int wanted[2] = {s->want.sae, s->want.kind == AGAINST_SAE ? s->want.other : -1};
    for (int k = 0; k < 2; k++) {
        if (wanted[k] < 0 || v->session->saes[wanted[k]].sae)
            continue;
        const struct err *err = &desk_sae(v->desk, wanted[k])->err;
        canvas_wrap(c, 0, err->code ? INK_ERROR : INK_DIM,
                    err->code ? err->msg
                              : desk_state_text(v->desk, wanted[k], state, sizeof state));
        return;
    }
    const struct err *err = &v->slots[COSINE_SLOT_MAP].err;
    if (!view_busy(v, COSINE_SLOT_MAP) && err->code == ERR_SHAPE && s->want.kind != AGAINST_SELF) {
        int row = canvas_wrap(c, 0, INK_ERROR, err->msg);
        canvas_wrap(c, row + 1, INK_DIM,
                    "Rows of different length have no cosine. [ ] hold the rows against something "
                    "else: themselves, another checkpoint, true features; c picks another "
                    "checkpoint.");
        return;
    }
    view_paint_missing(v, COSINE_SLOT_MAP, c);
}

void cosine_draw(const struct view *v, struct canvas *c)
{
    const struct cosine *s = v->state;
    struct picture p;

    if (!s->map) {
        paint_waiting(v, c);
        return;
    }
    picture_init(&p, v, c->rows, c->cols);
    paint_head(v, &p, c);
    if (p.w.n_r * p.w.n_c > 0) {
        paint_map(v, &p, c);
        paint_said(v, &p, c);
    }
    paint_lists(v, &p.l, c);
    free(p.value);
}

void cosine_status(const struct view *v, char *buf, size_t size)
{
    const struct cosine *s = v->state;
    char order[96];

    if (!s->map)
        return;
    const struct heat_blocks *b = &s->map->heat.blocks;
    describe_order(v, order, sizeof order);
    size_t n = (size_t)snprintf(buf, size, "%lld/%lld × %lld/%lld · %s", (long long)s->row + 1,
                                (long long)b->rows, (long long)s->column + 1,
                                (long long)b->columns, order);
    if (n < size && !s->map->is_complete && !view_busy(v, COSINE_SLOT_MAP))
        snprintf(buf + n, size - n, " · partial, %.0f %%: R goes on",
                 floor(100 * heat_done(&s->map->heat)));
}
