/* wid_line.c - see wid_line.h. */
#include "tui/wid_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/wid_hist.h"

/* A raster of dots, 2 x 4 a cell; each cell remembers the style of its last dot. */
struct raster {
    int rows, cols;
    unsigned char *dots; /* bits of U+2800 */
    uint32_t *style;
};

static void dot(struct raster *r, int x, int y, uint32_t style)
{
    static const unsigned char bit[4][2] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    int cell;

    if (x < 0 || y < 0 || x >= r->cols * 2 || y >= r->rows * 4)
        return;
    cell = y / 4 * r->cols + x / 2;
    r->dots[cell] |= bit[y % 4][x % 2];
    r->style[cell] = style;
}

static void segment(struct raster *r, int x0, int y0, int x1, int y1, uint32_t style, int step)
{
    int dx = abs(x1 - x0), dy = abs(y1 - y0), n = dx > dy ? dx : dy;

    for (int i = 0; i <= n; i += step)
        dot(r, x0 + (int)lround((double)(x1 - x0) * i / (n ? n : 1)),
            y0 + (int)lround((double)(y1 - y0) * i / (n ? n : 1)), style);
}

static void range_of(const struct plot *p, bool is_y, double *lo, double *hi)
{
    *lo = is_y ? p->y_lo : p->x_lo;
    *hi = is_y ? p->y_hi : p->x_hi;
    if (*lo < *hi)
        return;
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int s = 0; s < p->n_series; s++)
        for (int i = 0; i < p->series[s].n; i++) {
            double x = p->series[s].x[i], y = p->series[s].y[i], v = is_y ? y : x;
            if (isfinite(x) && isfinite(y)) {
                *lo = fmin(*lo, v);
                *hi = fmax(*hi, v);
            }
        }
    if (!(*lo <= *hi))
        *lo = 0, *hi = 1;
    if (*lo == *hi) {
        *lo -= .5;
        *hi += .5;
    }
}

struct scale {
    double x_lo, x_hi, y_lo, y_hi;
    int width, height; /* in dots */
};

static bool to_dot(const struct scale *s, double x, double y, int *dx, int *dy)
{
    double fx = (x - s->x_lo) / (s->x_hi - s->x_lo), fy = (y - s->y_lo) / (s->y_hi - s->y_lo);

    if (!isfinite(fx) || !isfinite(fy) || fx < 0 || fx > 1 || fy < 0 || fy > 1)
        return false;
    *dx = (int)lround(fx * (s->width - 1));
    *dy = (int)lround((1 - fy) * (s->height - 1));
    return true;
}

static void draw_series(struct raster *r, const struct scale *s, const struct plot_series *p)
{
    int x, y, px = 0, py = 0;
    bool has_previous = false;

    for (int i = 0; i < p->n; i++) {
        if (!to_dot(s, p->x[i], p->y[i], &x, &y)) {
            has_previous = false;
            continue;
        }
        if (p->line && has_previous)
            segment(r, px, py, x, y, p->style, p->line);
        else
            dot(r, x, y, p->style);
        px = x;
        py = y;
        has_previous = true;
    }
}

static void draw_zero_lines(struct canvas *c, const struct scale *s)
{
    int x, y;

    if (to_dot(s, s->x_lo, 0, &x, &y))
        for (int col = 0; col < c->cols; col++)
            canvas_text(c, y / 4, col, INK_RULE, "┈");
    if (to_dot(s, 0, s->y_lo, &x, &y))
        for (int row = 0; row < c->rows; row++)
            canvas_text(c, row, x / 2, INK_RULE, "┊");
}

static int bits(unsigned char b)
{
    int n = 0;

    for (; b; b &= (unsigned char)(b - 1))
        n++;
    return n;
}

static void put_raster(struct canvas *c, const struct raster *r)
{
    for (int row = 0; row < r->rows; row++)
        for (int col = 0; col < r->cols; col++) {
            unsigned char dots = r->dots[row * r->cols + col];
            char utf8[4] = {(char)0xe2, (char)(0xa0 | dots >> 6), (char)(0x80 | (dots & 63)), 0};
            if (dots == 0)
                continue;
            if (c->ascii)
                strcpy(utf8, bits(dots) < 2 ? "." : bits(dots) < 4 ? ":" : "*");
            canvas_text(c, row, col, r->style[row * r->cols + col], utf8);
        }
}

static void draw_cursor(struct canvas *c, const struct scale *s, const struct plot *p)
{
    int x, y;

    if (p->cursor < 0 || p->cursor_series < 0 || p->cursor_series >= p->n_series ||
        p->cursor >= p->series[p->cursor_series].n)
        return;
    const struct plot_series *series = &p->series[p->cursor_series];
    if (to_dot(s, series->x[p->cursor], series->y[p->cursor], &x, &y))
        canvas_text(c, y / 4, x / 2, INK_BRUSH, c->ascii ? "X" : "◆");
}

/* May `width` cells from (row, col) on take a name? The cells at its sides stay free, but
 * for the name's own point at (p_row, p_col). */
static bool is_vacant(const struct canvas *c, const bool *taken, int row, int col, int width,
                      int p_row, int p_col)
{
    if (row < 0 || row >= c->rows || col < 0 || col + width > c->cols)
        return false;
    for (int i = col - 1; i <= col + width; i++)
        if (i >= 0 && i < c->cols && taken[row * c->cols + i] && !(row == p_row && i == p_col))
            return false;
    return true;
}

/* Right of the point, left of it, above and below to the right. */
static void draw_name(struct canvas *c, bool *taken, const struct plot_label *l, int row,
                      int col)
{
    int width = text_width(l->text);
    const struct {
        int row, col;
    } places[] = {{row, col + 2}, {row, col - 1 - width}, {row - 1, col + 1}, {row + 1, col + 1},
                  {row - 1, col - width}, {row + 1, col - width}};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!is_vacant(c, taken, places[i].row, places[i].col, width, row, col))
            continue;
        canvas_text(c, places[i].row, places[i].col, l->style, l->text);
        if (i < 2) /* no line between the two */
            canvas_text(c, row, i == 0 ? col + 1 : col - 1, l->style, " ");
        for (int k = 0; k < width; k++)
            taken[places[i].row * c->cols + places[i].col + k] = true;
        return;
    }
}

static void draw_labels(struct canvas *c, const struct scale *s, const struct plot *p)
{
    bool *taken = xcalloc((size_t)c->rows * (size_t)c->cols, sizeof *taken);
    int x, y;

    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < p->n_labels; i++) {
            const struct plot_label *l = &p->labels[i];
            if (!to_dot(s, l->x, l->y, &x, &y))
                continue;
            if (pass == 0) { /* points before names: no name hides a point */
                canvas_text(c, y / 4, x / 2, l->style | STYLE_BOLD,
                            l->mark    ? l->mark
                            : c->ascii ? "o"
                                       : "●");
                taken[y / 4 * c->cols + x / 2] = true;
            } else {
                draw_name(c, taken, l, y / 4, x / 2);
            }
        }
    free(taken);
}

static void draw_legend(struct canvas *c, const struct plot *p)
{
    int width = 0, at;

    for (int i = 0; i < p->n_series; i++)
        width += p->series[i].name ? text_width(p->series[i].name) + 3 : 0;
    at = c->cols - width;
    for (int i = 0; i < p->n_series && at >= 0; i++)
        if (p->series[i].name) {
            at = canvas_text(c, 0, at, p->series[i].style, "•") + 1;
            at = canvas_text(c, 0, at, INK_DIM, p->series[i].name) + 1;
        }
}

static void draw_axes(struct canvas *c, const struct scale *s, const struct plot *p, int left)
{
    char lo[32], hi[32];
    int last = c->rows - 1, room = c->cols - left;

    number_text(p->log_x ? pow(10, s->x_lo) : s->x_lo, 8, lo, sizeof lo);
    number_text(p->log_x ? pow(10, s->x_hi) : s->x_hi, 8, hi, sizeof hi);
    canvas_text(c, last, left, INK_AXIS, lo);
    canvas_fit(c, last, left, room, ALIGN_RIGHT, INK_AXIS, hi);
    if (p->x_label && room > text_width(p->x_label) + text_width(lo) + text_width(hi) + 4)
        canvas_fit(c, last, left, room, ALIGN_CENTRE, INK_LABEL, p->x_label);
    if (left == 0)
        return;
    number_text(p->log_y ? pow(10, s->y_hi) : s->y_hi, left - 1, hi, sizeof hi);
    number_text(p->log_y ? pow(10, s->y_lo) : s->y_lo, left - 1, lo, sizeof lo);
    canvas_fit(c, 0, 0, left - 1, ALIGN_RIGHT, INK_AXIS, hi);
    canvas_fit(c, last - 1, 0, left - 1, ALIGN_RIGHT, INK_AXIS, lo);
    if (p->y_label && last >= 4)
        canvas_fit(c, last / 2, 0, left - 1, ALIGN_RIGHT, INK_LABEL, p->y_label);
}

void plot_paint(struct canvas *c, const struct plot *p)
{
    bool axes = c->rows >= 4;
    int left = axes && c->cols >= 24 ? 8 : 0;
    struct canvas field = canvas_sub(c, 0, left, axes ? c->rows - 1 : c->rows, c->cols - left);
    struct scale s = {.width = field.cols * 2, .height = field.rows * 4};
    struct raster r = {.rows = field.rows, .cols = field.cols};

    if (field.rows < 1 || field.cols < 1)
        return;
    range_of(p, false, &s.x_lo, &s.x_hi);
    range_of(p, true, &s.y_lo, &s.y_hi);
    r.dots = xcalloc((size_t)r.rows * (size_t)r.cols, sizeof *r.dots);
    r.style = xcalloc((size_t)r.rows * (size_t)r.cols, sizeof *r.style);
    if (p->zero_lines)
        draw_zero_lines(&field, &s);
    for (int i = 0; i < p->n_series; i++)
        draw_series(&r, &s, &p->series[i]);
    put_raster(&field, &r);
    draw_labels(&field, &s, p);
    draw_cursor(&field, &s, p);
    draw_legend(&field, p);
    if (axes)
        draw_axes(c, &s, p, left);
    free(r.dots);
    free(r.style);
}
