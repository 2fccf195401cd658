/*
 * wid_scatter.h - a cloud of points, as many as there are features.
 *
 * A painter over const data. Points are braille dots (2 x 4 a cell; with --ascii '.', ':'
 * and '*'), faint or bold by how many points fall into their cell, so that a hundred
 * thousand points still show where most of them are. The value axis leaves the same columns at its
 * left as wid_hist's does: a scatter below a histogram of the same range stands on the
 * same axis, and the bars that are taken there are lit here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tui/canvas.h"

struct wid_scatter {
    const float *x, *y; /* [n], borrowed; log10 of the values on a logarithmic axis; NaN:
                           no point. y = -INFINITY (the log of 0) stands in the lowest row */
    int64_t n;
    double x_lo, x_hi;  /* of the axis; points beside it are left out */
    double y_lo, y_hi;  /* of the axis; lo >= hi: taken from the data */
    bool log_x, log_y;  /* figures as 10^ */
    const char *x_label, *floor_label; /* or NULL; the second: at the lowest row */
    bool zero_line;     /* a line at x = 0, if it is inside */
    double lit_lo, lit_hi; /* points with lit_lo <= x <= lit_hi are lit; NaN: none */
    int64_t cursor;     /* the point pointed out, -1: none */
};

void wid_scatter_paint(struct canvas *c, const struct wid_scatter *s);
