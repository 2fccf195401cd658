/*
 * wid_hist.h - histograms: bars, axes in sensible figures, markers, a cursor, a brush.
 *
 * A painter over counts; binning is the model's business. All series share the same equal
 * bins over [lo, hi]. When the canvas is narrower than the bins, neighbouring bins share
 * a bar (their counts are added), equally many each; when it is wider, a bar takes several
 * columns. Several
 * series are overlaid: the first as solid bars, the others as marks at their heights.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tui/canvas.h"

struct wid_hist_series {
    const int64_t *counts; /* [n_bins], borrowed */
    const char *name;      /* in the legend when there are several */
    uint32_t style;        /* INK_BAR, INK_BAR_2, ... */
};

struct wid_hist_marker {
    double x;          /* on the axis */
    const char *label; /* "0", "threshold"; may be NULL */
};

struct wid_hist {
    int n_bins;
    double lo, hi;
    const struct wid_hist_series *series;
    int n_series;
    bool log_counts; /* count axis: log10(1 + n) */
    bool log_values; /* lo, hi are log10 of what the axis shows: figures as 10^x */
    const struct wid_hist_marker *markers;
    int n_markers;
    int cursor;                 /* bin, or -1 */
    int brush_first, brush_last; /* bins taken, or -1 */
    const char *unit;           /* of the axis, or NULL */
};

/* Bars, the value axis below, the count axis at the left if there is room (from 24
 * columns on). From 1 row on: one row is a sparkline. */
void wid_hist_paint(struct canvas *c, const struct wid_hist *h);

/* The bin at column `col` of a canvas `cols` wide; -1: none. */
int wid_hist_bin_at(const struct wid_hist *h, int rows, int cols, int col);

/* Columns that the figures of counts take at the left of such a canvas: what is painted
 * below a histogram leaves as many, and both stand on one axis. */
int wid_hist_left(int rows, int cols);

/* A value axis of one row, lo at its left end and hi at its right: figures at round values
 * that do not touch one another; is_log: lo and hi are log10 of them. unit may be NULL. */
void axis_paint(struct canvas *c, double lo, double hi, bool is_log, const char *unit);

/* Edges of bin i. */
double wid_hist_edge(const struct wid_hist *h, int i);

/* n values as a sparkline over the width of the (one-row) canvas; neighbours share a
 * column by their maximum. */
void spark_paint(struct canvas *c, const int64_t *counts, int n, bool log_counts,
                 uint32_t style);

/* "0.031", "1.2k", "-3.4e-5": at most `width` columns (>= 5), into buf; returns buf. */
const char *number_text(double x, int width, char *buf, size_t size);
/* "131 072" with thin groups of three (a plain space). */
const char *count_text(int64_t n, char *buf, size_t size);

/* "2.4 %" of a fraction: one decimal, and up to four so that "0.0 %" is none and "100.0 %"
 * is all. Returns buf. */
const char *percent_text(double fraction, char *buf, size_t size);

/* A round step (1, 2, 5 x 10^k) that gives at most n ticks over [lo, hi]. */
double axis_step(double lo, double hi, int n);
