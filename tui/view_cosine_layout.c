/* view_cosine_layout.c - zoom, places and the cursor of view 6; see view_cosine.h. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/mem.h"
#include "tui/view_cosine.h"
#include "tui/wid_heat.h"

enum {
    NUMBER_COLS = 6, /* "-0.43 " */
    CELL_COLS_MAX = 7,
    LIST_COLS = 34,
    WIDE = 110,      /* columns from which on the list stands beside the map */
    ZOOM_HALVES = 2, /* the zoom of half a cell a cosine; blocks grow from here */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t clamp(int64_t x, int64_t lo, int64_t hi)
{
    return x > hi ? hi : x < lo ? lo : x;
}

/* -- zoom ------------------------------------------------------------------------------- */

/* Room for a map, in cells of the screen. */
struct room {
    int64_t n_r, n_c;         /* the matrix */
    int64_t block_r, block_c; /* of which the map holds blocks */
    int rows, cols;
    bool halves;
};

/* The smallest block with which n cosines fill so many cells: a multiple of those that are
 * held, or, as finer ones are computed by powers of two, such a power. */
static int64_t whole_block(int64_t n, int64_t held, int64_t cells)
{
    int64_t need = ceil_div(n, cells), power = 1;

    if (need >= held)
        return ceil_div(need, held) * held;
    while (power < need)
        power *= 2;
    return power;
}

static int64_t whole_down(const struct room *r)
{
    return whole_block(r->n_r, r->block_r, r->halves ? 2 * r->rows : r->rows);
}

static int64_t whole_across(const struct room *r)
{
    return whole_block(r->n_c, r->block_c, r->cols);
}

/* In how many steps blocks of one cosine grow to such a block: by doubling, the last step
 * by 1.5 to 3 so that none hardly changes the picture. */
static int steps_to(int64_t block)
{
    int k = 0;

    while (k < 40 && ((int64_t)3 << k) <= 2 * block)
        k++;
    return k;
}

/* The block after k steps towards `whole`. */
static int64_t block_after(int k, int64_t whole)
{
    return k < steps_to(whole) ? (int64_t)1 << k : whole;
}

/* Zoom 0 is numbers, 1 wide cells, 2 half cells, each one cosine; from there on blocks
 * grow. This is the zoom at which all of it is there. */
static int whole_zoom(const struct room *r)
{
    if (r->n_r <= r->rows && r->n_c * NUMBER_COLS <= r->cols)
        return 0;
    if (r->n_r <= r->rows && r->n_c * 2 <= r->cols)
        return 1;
    int down = steps_to(whole_down(r)), across = steps_to(whole_across(r));
    return ZOOM_HALVES + (down > across ? down : across);
}

/* A side that fits is not pooled further; room that is left over makes cells wider. */
static struct cosine_zoom zoom_of(const struct room *r, int zoom)
{
    struct cosine_zoom z = {.block_r = 1, .block_c = 1};
    int k = zoom > ZOOM_HALVES ? zoom - ZOOM_HALVES : 0;

    z.block_r = block_after(k, whole_down(r));
    z.block_c = block_after(k, whole_across(r));
    while (z.block_c < r->block_c && (z.block_r & (z.block_r - 1)))
        z.block_r += z.block_r & -z.block_r; /* what is computed again: a power of two */
    z.n_r = ceil_div(r->n_r, z.block_r);
    z.n_c = ceil_div(r->n_c, z.block_c);
    z.cell_cols = zoom == 0 ? NUMBER_COLS : zoom == 1 ? 2 : 1;
    z.half = r->halves && zoom >= ZOOM_HALVES && z.n_r > r->rows;
    if (z.n_c * (z.cell_cols + 1) <= r->cols)
        z.cell_cols = (int)clamp(r->cols / z.n_c, z.cell_cols, CELL_COLS_MAX);
    z.numbers = !z.half && z.block_r * z.block_c == 1 && z.cell_cols >= 5;
    return z;
}

/* -- layout ------------------------------------------------------------------------------ */

static int digits(int64_t n)
{
    int d = 1;

    for (; n > 9; n /= 10)
        d++;
    return d;
}

static struct room room_of(const struct view *v, const struct cosine_layout *l)
{
    const struct cosine *s = v->state;

    const struct heat_blocks *b = &s->map->heat.blocks;

    return (struct room){b->rows, b->columns, b->block_r, b->block_c,
                         l->map.rows > 0 ? l->map.rows : 1, l->map.cols > 0 ? l->map.cols : 1,
                         wid_heat_has_halves(v->ascii, v->mono)};
}

static void place_lists(const struct view *v, struct cosine_layout *l, struct rect area)
{
    const struct cosine *s = v->state;
    bool truth = s->map->source->subject.kind == AGAINST_TRUTH;
    int upper = truth ? area.rows / 2 : area.rows;

    l->list = (struct rect){area.row, area.col, upper, area.cols};
    if (truth)
        l->truths = (struct rect){area.row + upper, area.col, area.rows - upper, area.cols};
}

struct cosine_layout cosine_lay_out(const struct view *v, int rows, int cols)
{
    const struct cosine *s = v->state;
    struct cosine_layout l = {.head_rows = rows >= 8 ? 2 : rows >= 4 ? 1 : 0};
    int below = rows >= 8 ? 3 : 0; /* b_dec, column numbers, the cursor in words */

    if (!s->map)
        return l;
    int body = rows - l.head_rows;
    int list = cols >= WIDE ? cols >= 160 ? cols / 4 : LIST_COLS : 0;
    if (list || s->pane != COSINE_MAP)
        place_lists(v, &l, (struct rect){l.head_rows, list ? cols - list : 0, body,
                                         list ? list : cols});
    if (!list && s->pane != COSINE_MAP)
        return l; /* in turn, for want of room */
    int width = digits(s->map->heat.blocks.rows - 1);
    l.gutter = cols >= 30 ? (width > 5 ? width : 5) + 1 : 0;
    l.map = (struct rect){l.head_rows, l.gutter, body - below, cols - l.gutter - list - !!list};
    struct room r = room_of(v, &l);
    int whole = whole_zoom(&r);
    l.zoom = zoom_of(&r, s->zoom < whole ? s->zoom : whole);
    int64_t up = l.zoom.half ? 2 : 1, n_r = ceil_div(l.zoom.n_r, up);
    l.map.rows = l.map.rows < 0 ? 0 : l.map.rows < n_r ? l.map.rows : (int)n_r;
    l.map.cols = l.map.cols < 0 ? 0 : l.map.cols;
    l.visible_r = l.map.rows * (int)up;
    l.visible_c = l.map.cols / l.zoom.cell_cols;
    if (below) {
        int end = l.map.row + l.map.rows;
        l.bias = (struct rect){end, l.map.col, 1, l.map.cols};
        l.axis = (struct rect){end + 1, l.map.col, 1, l.map.cols};
        l.said = (struct rect){rows - 1, 0, 1, cols - list - !!list};
    }
    return l;
}

/* -- the cursor ---------------------------------------------------------------------------- */

void cosine_cell(const struct cosine *s, const struct cosine_zoom *z, int64_t *row,
                 int64_t *column)
{
    *row = s->row / z->block_r * z->block_r;
    *column = s->column / z->block_c * z->block_c;
}

/* Where a window of `visible` of n cells begins so that cell `at` is inside. */
static int64_t scrolled(int64_t from, int64_t at, int64_t visible, int64_t n)
{
    if (visible >= n || visible < 1)
        return 0;
    if (at < from)
        from = at;
    if (at >= from + visible)
        from = at - visible + 1;
    return clamp(from, 0, n - visible);
}

struct heat_window cosine_window(const struct cosine *s, const struct cosine_layout *l)
{
    const struct cosine_zoom *z = &l->zoom;
    struct heat_window w = {.block_r = z->block_r, .block_c = z->block_c, .pool = s->pool};

    if (l->map.rows < 1 || z->block_r < 1)
        return w;
    int64_t top = scrolled(s->top / z->block_r, s->row / z->block_r, l->visible_r, z->n_r);
    int64_t left = scrolled(s->left / z->block_c, s->column / z->block_c, l->visible_c, z->n_c);
    w.row = top * z->block_r;
    w.column = left * z->block_c;
    w.n_r = clamp(z->n_r - top, 0, l->visible_r);
    w.n_c = clamp(z->n_c - left, 0, l->visible_c);
    return w;
}

bool cosine_is_single(const struct view *v)
{
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    return l.zoom.block_r == 1 && l.zoom.block_c == 1;
}

void cosine_settle(struct view *v)
{
    struct cosine *s = v->state;

    if (!s->map)
        return;
    const struct heat_blocks *b = &s->map->heat.blocks;
    s->row = clamp(s->row, 0, b->rows - 1);
    s->column = clamp(s->column, 0, b->columns - 1);
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    if (l.map.rows > 0) {
        struct heat_window w = cosine_window(s, &l);
        s->top = w.row;
        s->left = w.column;
    }
    v->target.feature = heat_row(&s->map->heat, s->row);
    cosine_need_part(v);
}

void cosine_move(struct view *v, int64_t rows, int64_t columns)
{
    struct cosine *s = v->state;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);

    if (l.zoom.block_r < 1)
        return;
    cosine_cell(s, &l.zoom, &s->row, &s->column);
    s->row = clamp(s->row / l.zoom.block_r + rows, 0, l.zoom.n_r - 1) * l.zoom.block_r;
    s->column = clamp(s->column / l.zoom.block_c + columns, 0, l.zoom.n_c - 1) *
                l.zoom.block_c;
}

void cosine_go_to(struct view *v, int64_t row_id, int64_t column_id)
{
    struct cosine *s = v->state;
    const struct heat *h = &s->map->heat;

    for (int64_t p = 0; row_id >= 0 && p < h->blocks.rows; p++)
        if (heat_row(h, p) == row_id) {
            s->row = p;
            break;
        }
    for (int64_t p = 0; column_id >= 0 && p < h->blocks.columns; p++)
        if (heat_column(h, p) == column_id) {
            s->column = p;
            break;
        }
}

/* To the strongest of the cell at (row, column): of the blocks held that it is made of, or
 * of the finer cells that it becomes. */
static void follow(struct cosine *s, const struct cosine_zoom *from,
                   const struct cosine_zoom *to)
{
    const struct heat_blocks *held = &s->map->heat.blocks;
    struct heat_window w = {.pool = s->pool};
    float best = -1;

    cosine_cell(s, from, &w.row, &w.column);
    w.block_r = from->block_r < held->block_r ? to->block_r : held->block_r;
    w.block_c = from->block_c < held->block_c ? to->block_c : held->block_c;
    w.n_r = from->block_r / w.block_r;
    w.n_c = from->block_c / w.block_c;
    float *value = xmalloc((size_t)(w.n_r * w.n_c) * sizeof *value);
    heat_look(&s->map->heat, s->part.mean ? &s->part : NULL, &w, value);
    for (int64_t k = 0; k < w.n_r * w.n_c; k++) {
        int64_t row = w.row + k / w.n_c * w.block_r, column = w.column + k % w.n_c * w.block_c;
        bool diagonal = s->map->heat.self && row == column && w.block_r * w.block_c == 1;
        if (diagonal || !(fabsf(value[k]) > best))
            continue;
        best = fabsf(value[k]);
        s->row = row;
        s->column = column;
    }
    free(value);
}

static bool same_look(const struct cosine_zoom *a, const struct cosine_zoom *b)
{
    return a->block_r == b->block_r && a->block_c == b->block_c && a->half == b->half &&
           a->cell_cols == b->cell_cols;
}

static void centre(struct view *v)
{
    struct cosine *s = v->state;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);

    s->top = s->row - l.visible_r / 2 * l.zoom.block_r;
    s->left = s->column - l.visible_c / 2 * l.zoom.block_c;
    s->top = s->top < 0 ? 0 : s->top;
    s->left = s->left < 0 ? 0 : s->left;
}

/* The nearest zoom in the direction of `step` that looks different, else the last there is.
 * *before and *to: how it looks now and then; *whole: that of the whole. -1: there is none,
 * because nothing is laid out. */
static int zoom_towards(const struct view *v, int step, struct cosine_zoom *before,
                        struct cosine_zoom *to, int *whole)
{
    const struct cosine *s = v->state;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    struct room r = room_of(v, &l);

    if (l.zoom.block_r < 1)
        return -1;
    r.rows = v->rows - l.head_rows - (l.bias.rows ? 3 : 0);
    *whole = whole_zoom(&r);
    *before = *to = l.zoom;
    int zoom = s->zoom < *whole ? s->zoom : *whole, last = step < 0 ? 0 : *whole;
    while (zoom != last && same_look(before, to))
        *to = zoom_of(&r, zoom += step);
    return zoom;
}

void cosine_zoom_in(struct view *v)
{
    struct cosine *s = v->state;
    struct cosine_zoom before, to;
    int whole, zoom = zoom_towards(v, -1, &before, &to, &whole);

    if (zoom < 0)
        return;
    s->zoom = zoom;
    if (to.block_r < before.block_r || to.block_c < before.block_c)
        follow(s, &before, &to);
    centre(v);
}

void cosine_zoom_out(struct view *v)
{
    struct cosine *s = v->state;
    struct cosine_zoom before, to;
    int whole, zoom = zoom_towards(v, 1, &before, &to, &whole);

    if (zoom < 0)
        return;
    s->zoom = zoom >= whole ? INT_MAX : zoom;
    centre(v);
}
