/* wid_hist.c - see wid_hist.h. */
#include "tui/wid_hist.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- numbers ------------------------------------------------------------------------------ */

/* "-3.4e-05" -> "-3.4e-5" */
static void shorten_exponent(char *s)
{
    char *e = strchr(s, 'e');

    if (!e)
        return;
    char *digits = e + 1;
    if (*digits == '+')
        memmove(digits, digits + 1, strlen(digits));
    else if (*digits == '-')
        digits++;
    while (digits[0] == '0' && digits[1])
        memmove(digits, digits + 1, strlen(digits));
}

const char *number_text(double x, int width, char *buf, size_t size)
{
    if (isnan(x) || isinf(x)) {
        snprintf(buf, size, "%s", isnan(x) ? "·" : x < 0 ? "-inf" : "inf");
        return buf;
    }
    for (int digits = 4; digits >= 1; digits--) {
        snprintf(buf, size, "%.*g", digits, x == 0 ? 0 : x);
        if (strchr(buf, 'e') && fabs(x) >= 1 && fabs(x) < 1e15) {
            static const char unit[] = "kMGT";
            double y = x;
            int u = -1;
            while (fabs(y) >= 999.5 && u < 3) {
                y /= 1000;
                u++;
            }
            snprintf(buf, size, "%.*g%c", digits < 3 ? 3 : digits, y, unit[u < 0 ? 0 : u]);
        }
        shorten_exponent(buf);
        if ((int)strlen(buf) <= width)
            return buf;
    }
    return buf;
}

const char *count_text(int64_t n, char *buf, size_t size)
{
    char digits[32];
    size_t len, out = 0;

    snprintf(digits, sizeof digits, "%lld", (long long)n);
    len = strlen(digits);
    for (size_t i = 0; i < len && out + 2 < size; i++) {
        size_t left = len - i;
        if (i > 0 && left % 3 == 0 && digits[i - 1] != '-')
            buf[out++] = ' ';
        buf[out++] = digits[i];
    }
    buf[out] = 0;
    return buf;
}

const char *percent_text(double fraction, char *buf, size_t size)
{
    for (int decimals = 1; decimals <= 4; decimals++) {
        snprintf(buf, size, "%.*f %%", decimals, 100 * fraction);
        double shown = strtod(buf, NULL);
        if ((shown > 0 && shown < 100) || fraction <= 0 || fraction >= 1)
            break;
    }
    return buf;
}

double axis_step(double lo, double hi, int n)
{
    static const double round_steps[] = {1, 2, 5, 10};
    double raw, base;

    if (n < 1 || !(hi > lo) || isinf(hi - lo))
        return 1;
    raw = (hi - lo) / n;
    base = pow(10, floor(log10(raw)));
    for (int i = 0; i < 4; i++)
        if (base * round_steps[i] >= raw * (1 - 1e-9))
            return base * round_steps[i];
    return base * 10;
}

/* -- geometry: one answer for painter and mouse --------------------------------------------- */

enum { LEFT = 7, LEFT_FROM = 24 }; /* room for figures of counts; from how many columns on */

int wid_hist_left(int rows, int cols)
{
    return cols >= LEFT_FROM && rows >= 3 ? LEFT : 0;
}

double wid_hist_edge(const struct wid_hist *h, int i)
{
    return h->lo + (h->hi - h->lo) * i / (h->n_bins > 0 ? h->n_bins : 1);
}

/* Bins that share a bar: as few as will do, and if possible a number that divides them all,
 * so that every bar stands for equally many. */
static int bins_a_bar(int n_bins, int width)
{
    int least = (n_bins + width - 1) / width;

    for (int k = least; k < 2 * least; k++)
        if (n_bins % k == 0)
            return k;
    return least;
}

/* Bins [first, last] of the bar at column x of `width`. Every bin is in exactly one bar. */
static void bins_of(const struct wid_hist *h, int x, int width, int *first, int *last)
{
    int share = bins_a_bar(h->n_bins, width), bars = (h->n_bins + share - 1) / share;

    *first = (int)((int64_t)x * bars / width) * share;
    *last = *first + share - 1 < h->n_bins ? *first + share - 1 : h->n_bins - 1;
}

int wid_hist_bin_at(const struct wid_hist *h, int rows, int cols, int col)
{
    int left = wid_hist_left(rows, cols), first, last;

    if (h->n_bins < 1 || col < left || col >= cols)
        return -1;
    bins_of(h, col - left, cols - left, &first, &last);
    return first;
}

static double height(const struct wid_hist *h, double count)
{
    return h->log_counts ? log10(1 + count) : count;
}

static double column_count(const struct wid_hist *h, const struct wid_hist_series *s, int x,
                           int width)
{
    int first, last;
    double sum = 0;

    bins_of(h, x, width, &first, &last);
    for (int i = first; i <= last && i < h->n_bins; i++)
        sum += (double)s->counts[i];
    return sum;
}

static double greatest(const struct wid_hist *h, int width)
{
    double max = 0;

    for (int s = 0; s < h->n_series; s++)
        for (int x = 0; x < width; x++)
            max = fmax(max, column_count(h, &h->series[s], x, width));
    return max;
}

/* Where x stands on an axis of `width` columns, -1: beside it. */
static int column_of(double x, double lo, double hi, int width)
{
    double at = (x - lo) / (hi - lo) * width;

    if (!(at >= 0 && at <= width))
        return -1;
    return at >= width ? width - 1 : (int)at;
}

/* -- painting ----------------------------------------------------------------------------- */

static bool in_brush(const struct wid_hist *h, int x, int width)
{
    int first, last;

    bins_of(h, x, width, &first, &last);
    if (h->cursor >= 0 && h->cursor >= first && h->cursor <= last)
        return true;
    return h->brush_first >= 0 && last >= h->brush_first && first <= h->brush_last;
}

static bool is_blank(const struct canvas *c, int row, int col, int cols)
{
    for (int i = col < 0 ? 0 : col; i < col + cols && i < c->cols; i++)
        if (strcmp(c->cells[(ptrdiff_t)row * c->stride + i].text, " ") != 0)
            return false;
    return true;
}

static bool is_full(const struct canvas *c, int row, int col)
{
    const char *text = c->cells[(ptrdiff_t)row * c->stride + col].text;

    return strcmp(text, "█") == 0 || strcmp(text, "#") == 0;
}

static uint32_t bar_ink(const struct wid_hist *h, int x, int width)
{
    return in_brush(h, x, width) ? (uint32_t)INK_BRUSH : h->series[0].style;
}

/* A mark that leaves no hole in the bar it stands on: there in the bar's own colours,
 * turned round. */
static void put_mark(struct canvas *c, const struct wid_hist *h, int row, int col,
                     uint32_t ink, const char *mark)
{
    bool full = is_full(c, row, col);

    canvas_text(c, row, col, full ? bar_ink(h, col, c->cols) ^ STYLE_REVERSE : ink, mark);
}

static void paint_marker(struct canvas *c, const struct wid_hist *h, int at)
{
    for (int row = 0; row < c->rows; row++)
        if (is_full(c, row, at) || is_blank(c, row, at, 1))
            put_mark(c, h, row, at, INK_MARKER, "┊");
}

/* Its label stands in the first row where there is room beside the line. */
static void paint_marker_label(struct canvas *c, const char *label, int at)
{
    int width = text_width(label), right = at + 2, left = at - 1 - width;

    for (int row = 0; row < c->rows - 1; row++) {
        if (right + width <= c->cols && is_blank(c, row, at + 1, width + 2)) {
            canvas_text(c, row, right, INK_MARKER, label);
            return;
        }
        if (left >= 0 && is_blank(c, row, left - 1, width + 2)) {
            canvas_text(c, row, left, INK_MARKER, label);
            return;
        }
    }
}

static void paint_markers(struct canvas *c, const struct wid_hist *h)
{
    for (int i = 0; i < h->n_markers; i++) {
        int at = column_of(h->markers[i].x, h->lo, h->hi, c->cols);
        if (at < 0)
            continue;
        paint_marker(c, h, at);
        if (h->markers[i].label)
            paint_marker_label(c, h->markers[i].label, at);
    }
}

static void paint_bars(struct canvas *c, const struct wid_hist *h, double max)
{
    for (int x = 0; x < c->cols; x++) {
        float f = (float)(height(h, column_count(h, &h->series[0], x, c->cols)) / max);
        canvas_vbars(c, 0, x, c->rows, &f, 1, bar_ink(h, x, c->cols));
        if (!(f > 0) && in_brush(h, x, c->cols)) /* an empty bin under the cursor */
            canvas_text(c, c->rows - 1, x, INK_BRUSH, "_");
    }
}

static void paint_overlay(struct canvas *c, const struct wid_hist *h, int s, double max)
{
    static const char *const mark[] = {"•", "×", "+", "o"};

    for (int x = 0; x < c->cols; x++) {
        double f = height(h, column_count(h, &h->series[s], x, c->cols)) / max;
        int row = c->rows - 1 - (int)lround(f * (c->rows - 1));
        if (f > 0)
            put_mark(c, h, row, x, h->series[s].style, mark[(s - 1) % 4]);
    }
}

static void paint_legend(struct canvas *c, const struct wid_hist *h)
{
    static const char *const mark[] = {"█", "•", "×", "+", "o"};
    int width = 0, at;

    for (int s = 0; s < h->n_series; s++)
        width += h->series[s].name ? text_width(h->series[s].name) + 3 : 0;
    at = c->cols - width;
    for (int s = 0; s < h->n_series && at >= 0; s++) {
        if (!h->series[s].name)
            continue;
        at = canvas_text(c, 0, at, h->series[s].style, mark[s == 0 ? 0 : 1 + (s - 1) % 4]);
        at = canvas_text(c, 0, at + 1, INK_DIM, h->series[s].name) + 1;
    }
}

/* Figures of an axis, from the left; each keeps a blank to the one before. */
struct ticks {
    struct canvas *c;
    double lo, hi;
    int free_from, end;
    char last[32]; /* on a narrow range the next one may be no different to the digit */
};

static void put_tick(struct ticks *t, double x, double figure)
{
    int at = column_of(x, t->lo, t->hi, t->c->cols), width;
    char buf[32];

    number_text(figure, 8, buf, sizeof buf);
    width = text_width(buf);
    at = at < 0 ? 0 : at;
    if (at >= t->end) /* the unit stands there */
        return;
    if (at + width > t->end)
        at = t->end - width;
    if (at < t->free_from || strcmp(buf, t->last) == 0)
        return;
    strcpy(t->last, buf);
    canvas_text(t->c, 0, at, INK_AXIS, buf);
    t->free_from = at + width + 1;
}

/* Whole decades, at most n of them; less than two: 1, 2 and 5 of each. */
static void put_log_ticks(struct ticks *t, int n)
{
    static const int figures[] = {1, 2, 5};
    double step = ceil((t->hi - t->lo) / n);

    if (t->hi - t->lo >= 2) {
        for (double i = ceil(t->lo / step - 1e-9); i * step <= t->hi + step * 1e-9; i++)
            put_tick(t, i * step, pow(10, i * step));
        return;
    }
    for (double decade = floor(t->lo); decade <= t->hi; decade++)
        for (int i = 0; i < 3; i++) {
            double x = decade + log10(figures[i]);
            if (x >= t->lo - 1e-9 && x <= t->hi + 1e-9)
                put_tick(t, x, figures[i] * pow(10, decade));
        }
}

void axis_paint(struct canvas *c, double lo, double hi, bool is_log, const char *unit)
{
    int n = c->cols / 7 > 0 ? c->cols / 7 : 1;
    double step = axis_step(lo, hi, n);
    int width = unit ? text_width(unit) + 1 : 0;
    struct ticks t = {.c = c, .lo = lo, .hi = hi, .end = c->cols - width};
    char buf[32];

    if (!(hi > lo)) {
        number_text(is_log ? pow(10, lo) : lo, 8, buf, sizeof buf);
        t.free_from = canvas_text(c, 0, 0, INK_AXIS, buf);
    } else if (is_log) {
        put_log_ticks(&t, n);
    } else {
        for (double i = ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++)
            put_tick(&t, i * step, i * step);
    }
    if (t.free_from == 0) /* no round value is inside */
        put_tick(&t, lo, is_log ? pow(10, lo) : lo);
    if (unit && t.free_from <= t.end + 1)
        canvas_text(c, 0, t.end + 1, INK_AXIS, unit);
}

static void paint_count_axis(struct canvas *c, const struct wid_hist *h, double max, int rows)
{
    char buf[32];

    number_text(max, LEFT - 1, buf, sizeof buf);
    canvas_fit(c, 0, 0, LEFT - 1, ALIGN_RIGHT, INK_AXIS, buf);
    canvas_fit(c, rows - 1, 0, LEFT - 1, ALIGN_RIGHT, INK_AXIS, "0");
    if (rows >= 5) {
        double half = h->log_counts ? pow(10, log10(1 + max) / 2) - 1 : max / 2;
        half = half < 10 ? round(half * 10) / 10 : round(half); /* it is of counts */
        number_text(half, LEFT - 1, buf, sizeof buf);
        canvas_fit(c, rows / 2, 0, LEFT - 1, ALIGN_RIGHT, INK_AXIS, buf);
    }
    if (h->log_counts && rows >= 3)
        canvas_fit(c, 1, 0, LEFT - 1, ALIGN_RIGHT, INK_AXIS, "log");
}

void wid_hist_paint(struct canvas *c, const struct wid_hist *h)
{
    int left = wid_hist_left(c->rows, c->cols), rows = c->rows >= 3 ? c->rows - 1 : c->rows;
    struct canvas bars = canvas_sub(c, 0, left, rows, c->cols - left);
    double max;

    if (bars.rows < 1 || bars.cols < 1)
        return;
    if (h->n_bins < 1 || h->n_series < 1) {
        canvas_fit(c, 0, 0, c->cols, ALIGN_LEFT, INK_DIM, "no histogram");
        return;
    }
    max = greatest(h, bars.cols);
    if (max > 0) {
        paint_bars(&bars, h, height(h, max));
        for (int s = 1; s < h->n_series; s++)
            paint_overlay(&bars, h, s, height(h, max));
    }
    paint_markers(&bars, h);
    if (h->n_series > 1 && rows > 1)
        paint_legend(&bars, h);
    if (left)
        paint_count_axis(c, h, max, rows);
    if (rows < c->rows) {
        struct canvas axis = canvas_sub(c, rows, left, 1, c->cols - left);
        axis_paint(&axis, h->lo, h->hi, h->log_values, h->unit);
    }
}

void spark_paint(struct canvas *c, const int64_t *counts, int n, bool log_counts,
                 uint32_t style)
{
    struct wid_hist h = {.n_bins = n, .log_counts = log_counts, .cursor = -1,
                         .brush_first = -1};
    double max = 0;

    for (int i = 0; i < n; i++)
        max = fmax(max, (double)counts[i]);
    for (int x = 0; x < c->cols && n > 0 && max > 0; x++) {
        int first, last;
        double peak = 0;
        bins_of(&h, x, c->cols, &first, &last);
        for (int i = first; i <= last; i++)
            peak = fmax(peak, (double)counts[i]);
        float f = (float)(height(&h, peak) / height(&h, max));
        canvas_vbars(c, 0, x, 1, &f, 1, style);
    }
}
