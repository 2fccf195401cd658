/*
 * biases.h - the state of the Biases view, between view_biases.c (what keys do to it, and
 * where the numbers come from) and biases_paint.c (how it looks, and where on the screen).
 */
#pragma once

#include "tui/desk.h"
#include "tui/quantity.h"
#include "tui/view.h"
#include "tui/wid_table.h"

enum { BIASES_SERIES = 4, BIASES_COLUMNS = 8, BIASES_MAX_BINS = 1024 };

enum biases_pane { BIASES_HIST, BIASES_LIST, BIASES_SCATTER, BIASES_PANES };
enum biases_scale { SCALE_AUTO, SCALE_LINEAR, SCALE_LOG };

/* The quantity of one checkpoint; all series have the same bins. */
struct biases_series {
    int sae;
    double *v; /* [n], owned */
    int64_t n;
    struct summary summary; /* owned */
    double median;
};

struct biases {
    /* settings */
    enum quantity of;
    bool of_given; /* chosen by the user, not the default of the checkpoint */
    int bins; /* 0: as many as fit, 64 or 32 */
    bool log_counts, overlay;
    enum biases_scale scale;
    double range_lo, range_hi; /* given by the user; NaN: all values */

    /* derived from the tables */
    struct biases_series series[BIASES_SERIES]; /* the first is the current checkpoint's */
    int n_series;              /* 0: nothing is known */
    bool log_values;           /* bins are of log10 */
    double lo, hi;             /* the range of the bins, plain values */
    enum quantity against;     /* of the scatter's y axis */
    float *x, *y;              /* [series[0].n], owned; NULL: nothing to set it against */
    uint64_t version;          /* of the desk when all this was made */

    /* cursor */
    enum biases_pane pane;
    int cursor, anchor;        /* bins; anchor -1: only the one under the cursor is taken */
    uint32_t *ids;             /* [n_ids] of the values in the bins taken, in the list's
                                  order; owned */
    int64_t n_ids;
    struct table_state list;
    int columns[BIASES_COLUMNS], n_columns; /* of the list; see enum biases_column */
};

/* Columns of the list: those of the table of features, and these. */
enum biases_column { BCOL_NAME = FCOL_COUNT, BCOL_VALUE };

/* -- view_biases.c --------------------------------------------------------------------- */

/* The first and last of the bins taken. False: there are none. */
bool biases_taken(const struct biases *b, int *first, int *last);

/* The plain value of an edge. */
double biases_edge(const struct biases *b, int i);

/* The sae of the current checkpoint, NULL until loaded. */
const struct sae *biases_sae(const struct view *v);
double biases_value(const struct view *v, int column, int64_t id);

/* The table behind the list, for painting and for its keys. */
struct biases_table {
    struct table_column columns[BIASES_COLUMNS];
    struct table table;
};
void biases_table(const struct view *v, struct biases_table *out);

/* -- biases_paint.c ---------------------------------------------------------------------- */

struct biases_layout {
    int head_rows;                    /* tabs, headline, meaning */
    struct rect hist, list, scatter;  /* rows 0: not shown */
};

struct biases_layout biases_lay_out(const struct view *v, int rows, int cols);
void biases_paint(const struct view *v, struct canvas *c);

/* The quantity whose tab is at this column of the first row, -1: none. */
int biases_tab_at(const struct view *v, int cols, int col);

/* The bin at a column of the histogram or the scatter, -1: none. */
int biases_bin_at(const struct view *v, const struct rect *r, int col);
