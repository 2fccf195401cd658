/* wid_scatter.c - see wid_scatter.h. */
#include "tui/wid_scatter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/mem.h"
#include "tui/wid_hist.h"

/* What falls into one cell. */
struct spot {
    uint32_t points, lit; /* how many, of them lit */
    unsigned char dots;   /* bits of U+2800 */
};

struct cloud {
    const struct wid_scatter *s;
    int rows, cols; /* the field, without the row of the floor */
    bool floor;
    double y_lo, y_hi;
    struct spot *spots; /* [rows + floor, cols] */
};

static void find_range(const struct wid_scatter *s, struct cloud *cloud)
{
    cloud->y_lo = s->y_lo;
    cloud->y_hi = s->y_hi;
    bool given = s->y_lo < s->y_hi;
    if (!given)
        cloud->y_lo = INFINITY, cloud->y_hi = -INFINITY;
    for (int64_t i = 0; i < s->n; i++) {
        double y = (double)s->y[i];
        if (isnan(s->x[i]))
            continue;
        cloud->floor |= y == -INFINITY;
        if (!given && isfinite(y)) {
            cloud->y_lo = y < cloud->y_lo ? y : cloud->y_lo;
            cloud->y_hi = y > cloud->y_hi ? y : cloud->y_hi;
        }
    }
    if (!(cloud->y_lo <= cloud->y_hi))
        cloud->y_lo = 0, cloud->y_hi = 1;
    if (cloud->y_lo == cloud->y_hi) {
        cloud->y_lo -= .5;
        cloud->y_hi += .5;
    }
}

/* The dot of a point: column 0 .. 2 cols - 1, row 0 .. 4 rows - 1, or 4 rows for the
 * floor. */
static bool find_dot(const struct cloud *cloud, int64_t i, int *x, int *y)
{
    const struct wid_scatter *s = cloud->s;
    double fx = s->x_hi > s->x_lo ? ((double)s->x[i] - s->x_lo) / (s->x_hi - s->x_lo) : .5;
    double fy = ((double)s->y[i] - cloud->y_lo) / (cloud->y_hi - cloud->y_lo);

    if (!(fx >= 0 && fx <= 1) || isnan(fy) || (isinf(fy) && !cloud->floor))
        return false;
    *x = fx < 1 ? (int)(fx * 2 * cloud->cols) : 2 * cloud->cols - 1;
    if (isinf(fy)) {
        *y = 4 * cloud->rows;
        return fy < 0;
    }
    if (fy < 0 || fy > 1)
        return false;
    *y = (int)((1 - fy) * (4 * cloud->rows - 1) + .5);
    return true;
}

static void collect(struct cloud *cloud)
{
    static const unsigned char bit[4][2] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    const struct wid_scatter *s = cloud->s;
    int x, y;

    for (int64_t i = 0; i < s->n; i++) {
        if (!find_dot(cloud, i, &x, &y))
            continue;
        struct spot *spot = &cloud->spots[y / 4 * cloud->cols + x / 2];
        spot->dots |= bit[y % 4][x % 2];
        spot->points++;
        spot->lit += (double)s->x[i] >= s->lit_lo && (double)s->x[i] <= s->lit_hi;
    }
}

static int bits(unsigned char b)
{
    int n = 0;

    for (; b; b &= (unsigned char)(b - 1))
        n++;
    return n;
}

static void paint_spots(struct canvas *field, const struct cloud *cloud)
{
    uint32_t most = 1;
    int n = (cloud->rows + cloud->floor) * cloud->cols;

    for (int i = 0; i < n; i++)
        most = cloud->spots[i].points > most ? cloud->spots[i].points : most;
    for (int i = 0; i < n; i++) {
        const struct spot *spot = &cloud->spots[i];
        char text[] = {(char)0xe2, (char)(0xa0 | spot->dots >> 6),
                       (char)(0x80 | (spot->dots & 63)), 0};
        if (!spot->points)
            continue;
        double share = log1p(spot->points) / log1p(most);
        uint32_t crowd = share < .4 ? STYLE_FAINT : share > .8 ? STYLE_BOLD : 0;
        uint32_t ink = spot->lit ? (uint32_t)INK_BRUSH : INK_BAR | crowd;
        const char *plain = bits(spot->dots) < 2 ? "." : bits(spot->dots) < 4 ? ":" : "*";
        canvas_text(field, i / cloud->cols, i % cloud->cols, ink,
                    field->ascii ? plain : text);
    }
}

static void paint_lines(struct canvas *field, const struct cloud *cloud)
{
    const struct wid_scatter *s = cloud->s;
    double at = (0 - s->x_lo) / (s->x_hi - s->x_lo) * cloud->cols;

    for (int row = 0; s->zero_line && at >= 0 && at < cloud->cols && row < field->rows; row++)
        canvas_text(field, row, (int)at, INK_MARKER, "┊");
}

static void paint_cursor(struct canvas *field, const struct cloud *cloud)
{
    int x, y;

    if (cloud->s->cursor >= 0 && cloud->s->cursor < cloud->s->n &&
        find_dot(cloud, cloud->s->cursor, &x, &y))
        canvas_text(field, y / 4, x / 2, INK_BRUSH | STYLE_BOLD, field->ascii ? "X" : "◆");
}

static void figure(struct canvas *c, int row, int width, bool is_log, double y)
{
    char buf[32];

    number_text(is_log ? pow(10, y) : y, width, buf, sizeof buf);
    canvas_fit(c, row, 0, width, ALIGN_RIGHT, INK_AXIS, buf);
}

/* The decades inside; false: there are fewer than two. */
static bool paint_decades(struct canvas *c, const struct cloud *cloud, int width)
{
    double first = ceil(cloud->y_lo - 1e-9), last = floor(cloud->y_hi + 1e-9);
    int free_to = cloud->rows;

    if (last <= first)
        return false;
    for (double y = first; y <= last; y++) {
        double f = (y - cloud->y_lo) / (cloud->y_hi - cloud->y_lo);
        int row = (int)((1 - f) * (cloud->rows - 1) + .5);
        if (row < 0 || row >= free_to)
            continue;
        figure(c, row, width, true, y);
        free_to = row;
    }
    return true;
}

static void paint_y_axis(struct canvas *c, const struct cloud *cloud, int left)
{
    const struct wid_scatter *s = cloud->s;

    if (left < 2)
        return;
    if (cloud->floor && s->floor_label)
        canvas_fit(c, cloud->rows, 0, left - 1, ALIGN_RIGHT, INK_AXIS, s->floor_label);
    if (s->log_y && paint_decades(c, cloud, left - 1))
        return;
    figure(c, 0, left - 1, s->log_y, cloud->y_hi);
    if (cloud->rows > 1)
        figure(c, cloud->rows - 1, left - 1, s->log_y, cloud->y_lo);
    if (cloud->rows >= 5)
        figure(c, cloud->rows / 2, left - 1, s->log_y, (cloud->y_lo + cloud->y_hi) / 2);
}

void wid_scatter_paint(struct canvas *c, const struct wid_scatter *s)
{
    int left = wid_hist_left(c->rows, c->cols), axis = c->rows >= 3;
    struct canvas field = canvas_sub(c, 0, left, c->rows - axis, c->cols - left);
    struct cloud cloud = {.s = s};

    if (field.rows < 1 || field.cols < 1)
        return;
    find_range(s, &cloud);
    cloud.floor &= field.rows > 2;
    cloud.rows = field.rows - cloud.floor;
    cloud.cols = field.cols;
    cloud.spots = xcalloc((size_t)field.rows * (size_t)field.cols, sizeof *cloud.spots);
    collect(&cloud);
    paint_lines(&field, &cloud);
    paint_spots(&field, &cloud);
    paint_cursor(&field, &cloud);
    paint_y_axis(c, &cloud, left);
    if (axis) {
        struct canvas row = canvas_sub(c, c->rows - 1, left, 1, c->cols - left);
        axis_paint(&row, s->x_lo, s->x_hi, s->log_x, s->x_label);
    }
    free(cloud.spots);
}
