/* wid_heat.c - see wid_heat.h. */
#include "tui/wid_heat.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEGEND_STEPS = 16 };

bool wid_heat_has_halves(bool ascii, bool mono)
{
    return !ascii && !mono;
}

double wid_heat_scale(double x)
{
    static const double steps[] = {.05, .1, .2, .5};

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (x <= steps[i])
            return steps[i];
    return 1;
}

static enum ink ink_of(double value, double scale)
{
    return style_diverge(isnan(value) ? 0 : value / scale);
}

/* Without colour: sign and strength in one character. */
static char mark_of(double value, double scale)
{
    int level = isnan(value) ? 0 : (int)lround(fmin(fabs(value) / scale, 1) * 4);

    return value < 0 ? " ,-=%"[level] : " .+*#"[level];
}

void wid_heat_cell(struct canvas *c, int row, int col, int cols, double value, double scale)
{
    char text[2] = {c->mono ? mark_of(value, scale) : ' ', 0};
    uint32_t style = c->mono ? INK_TEXT : INK_TEXT | STYLE_ON(ink_of(value, scale));

    for (int k = 0; k < cols && !isnan(value); k++)
        canvas_text(c, row, col + k, style, text);
}

/* "-0.43" or, where there is no room, "-.43". */
static void number_of(double value, int cols, char *buf, size_t size)
{
    double hundredths = round(value * 100);

    snprintf(buf, size, "%.2f", hundredths == 0 ? 0. : hundredths / 100);
    char *zero = strstr(buf, "0.");
    if (cols < 6 && zero && zero <= buf + 1)
        memmove(zero, zero + 1, strlen(zero));
}

static void paint_number(struct canvas *c, int row, int col, const struct wid_heat *h,
                         double value, bool cursor)
{
    char text[16];
    uint32_t ground = c->mono ? 0 : STYLE_ON(ink_of(value, h->scale));

    wid_heat_cell(c, row, col, h->cell_cols, c->mono ? 0 : value, h->scale);
    number_of(value, h->cell_cols, text, sizeof text);
    uint32_t style = cursor ? INK_TEXT | STYLE_BOLD | STYLE_REVERSE : INK_TEXT | ground;
    canvas_fit(c, row, col, h->cell_cols - 1, ALIGN_RIGHT, style, text);
}

static void paint_full(struct canvas *c, const struct wid_heat *h, int i, int j)
{
    double value = (double)h->value[i * h->n_c + j];
    bool cursor = i == h->cursor_r && j == h->cursor_c;
    int col = j * h->cell_cols;

    if (isnan(value)) {
        if (cursor)
            canvas_text(c, i, col, INK_TEXT, "?");
        return;
    }
    if (h->numbers && h->cell_cols >= 5) {
        paint_number(c, i, col, h, value, cursor);
        return;
    }
    wid_heat_cell(c, i, col, h->cell_cols, value, h->scale);
    if (!cursor)
        return;
    uint32_t style = STYLE_BOLD | INK_TEXT |
                     (c->mono ? STYLE_REVERSE : STYLE_ON(ink_of(value, h->scale)));
    if (h->cell_cols == 1)
        canvas_text(c, i, col, style, c->mono ? (char[]){mark_of(value, h->scale), 0} : "x");
    else
        canvas_text(c, i, col, style, "[");
    if (h->cell_cols > 1)
        canvas_text(c, i, col + h->cell_cols - 1, style, "]");
}

static void paint_halves(struct canvas *c, const struct wid_heat *h, int i, int j)
{
    double top = (double)h->value[i * h->n_c + j];
    double bottom = i + 1 < h->n_r ? (double)h->value[(i + 1) * h->n_c + j] : NAN;
    bool cursor = j == h->cursor_c && (i == h->cursor_r || i + 1 == h->cursor_r);
    int col = j * h->cell_cols;

    for (int k = 0; k < h->cell_cols && !isnan(top); k++)
        if (isnan(bottom))
            canvas_text(c, i / 2, col + k, (uint32_t)ink_of(top, h->scale), "▀");
        else
            canvas_halves(c, i / 2, col + k, ink_of(top, h->scale), ink_of(bottom, h->scale));
    if (!cursor)
        return;
    double value = i == h->cursor_r ? top : bottom;
    uint32_t style = INK_TEXT | STYLE_BOLD | STYLE_ON(ink_of(value, h->scale));
    canvas_text(c, i / 2, col + (h->cell_cols - 1) / 2, style, "◆");
}

void wid_heat_paint(struct canvas *c, const struct wid_heat *h)
{
    int step = h->half ? 2 : 1;

    for (int i = 0; i < h->n_r && i / step < c->rows; i += step)
        for (int j = 0; j < h->n_c && j * h->cell_cols < c->cols; j++)
            if (h->half)
                paint_halves(c, h, i, j);
            else
                paint_full(c, h, i, j);
}

int wid_heat_legend(struct canvas *c, int row, int col, double scale)
{
    char end[16];

    snprintf(end, sizeof end, "%g", scale);
    int width = 2 * (int)strlen(end) + 3 + LEGEND_STEPS;
    if (!c)
        return width;
    col = canvas_printf(c, row, col, INK_AXIS, "-%s ", end);
    for (int i = 0; i < LEGEND_STEPS; i++)
        wid_heat_cell(c, row, col++, 1, (2 * (i + .5) / LEGEND_STEPS - 1) * scale, scale);
    canvas_printf(c, row, col, INK_AXIS, " %s", end);
    return width;
}
