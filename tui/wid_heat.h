/*
 * wid_heat.h - heat maps of signed values: blue below 0, orange above.
 *
 * A painter over the values that are on the screen. With colour a value is a ground, or
 * half a cell, or a number on its ground; without, a mark: . + * # above 0 and , - = %
 * below, in that order from weak to strong.
 */
#pragma once

#include <stdbool.h>

#include "tui/canvas.h"

struct wid_heat {
    const float *value;     /* [n_r, n_c], borrowed; NaN: nothing there */
    int n_r, n_c;
    bool half;              /* two rows of values in one of the screen; only where
                               wid_heat_has_halves */
    int cell_cols;          /* columns of the screen a value */
    bool numbers;           /* written out, from 5 columns a value on */
    double scale;           /* this |value| and above have the strongest colour */
    int cursor_r, cursor_c; /* -1: none */
};

void wid_heat_paint(struct canvas *c, const struct wid_heat *h);

/* Can two values share a cell? Not without colour or block characters. */
bool wid_heat_has_halves(bool ascii, bool mono);

/* "-0.5 ████████ 0.5", the ramp between the ends of the scale: its width is returned, and
 * it is painted from (row, col) on unless c is NULL. */
int wid_heat_legend(struct canvas *c, int row, int col, double scale);

/* The colour or mark of one value in `cols` columns from (row, col) on. */
void wid_heat_cell(struct canvas *c, int row, int col, int cols, double value, double scale);

/* The least of 0.05, 0.1, 0.2, 0.5, 1 that is not below x. */
double wid_heat_scale(double x);
