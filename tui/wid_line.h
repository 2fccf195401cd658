/*
 * wid_line.h - curves and clouds in small: a function over x, points over x and y.
 *
 * Drawn in braille dots (2 x 4 a cell); with --ascii in '.', ':' and '*'. Axes carry
 * figures at their ends. For response curves, training series, bias against density, and
 * the Pareto scatter.
 */
#pragma once

#include <stdbool.h>

#include "tui/canvas.h"

struct plot_series {
    const float *x, *y; /* [n], borrowed; NaN leaves a gap */
    int n;
    int line;           /* points joined: 1 by a line, n by every n-th dot of one; 0: a cloud */
    uint32_t style;
    const char *name;   /* legend, or NULL */
};

/* A point with its name beside it, where there is room that no other name has taken: those
 * that come first choose first. */
struct plot_label {
    float x, y;       /* NaN: nowhere */
    const char *text;
    uint32_t style;
    const char *mark; /* of the point, one column; NULL: a full circle */
};

struct plot {
    const struct plot_series *series;
    int n_series;
    double x_lo, x_hi, y_lo, y_hi; /* lo == hi: taken from the data */
    bool log_x, log_y;             /* x, y are log10 of what the axis shows: figures as 10^x */
    const char *x_label, *y_label; /* or NULL */
    int cursor_series, cursor;     /* a point to point out; cursor < 0: none */
    bool zero_lines;               /* x = 0 and y = 0, if inside */
    const struct plot_label *labels; /* [n_labels], borrowed */
    int n_labels;
};

void plot_paint(struct canvas *c, const struct plot *p);
