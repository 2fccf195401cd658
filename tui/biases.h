/*
 * biases.h - the state of the Biases view, shared by its files:
 *
 *   view_biases.c     life, the table of the view
 *   biases_data.c     where the numbers come from, the list behind the bars
 *   biases_run.c      several checkpoints on an axis: steps of a training run, or L1
 *   biases_keys.c     keys and mouse
 *   biases_options.c  words, commands and options
 *   biases_paint.c    how it looks, and where on the screen
 *   biases_ridges.c   how a series looks
 *   biases_write.c    copy and write
 */
#pragma once

#include "model/series.h"
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

/* The quantity of one member of a series. */
struct biases_point {
    enum { POINT_WAITING, POINT_KNOWN, POINT_FAILED } state;
    struct err err;         /* of POINT_FAILED */
    bool wants_scan;        /* its index was looked for: there is none */
    float *v;               /* [n] owned */
    int64_t n;
    struct summary summary; /* owned; of all members with the same bins */
    double quantiles[STATS_QUANTILES];
};

/* Several checkpoints on an axis. */
struct biases_run {
    struct series series;
    struct biases_point points[SERIES_MAX]; /* [series.n] */
    enum quantity of;                       /* what the points are of */
    double lo, hi;                          /* the range of the bins, plain values */
    int bins, known;                        /* what the summaries were made with */
    double range_lo, range_hi;
    bool log_values;
    int cursor, top;                        /* members */
};

struct biases {
    /* settings */
    enum quantity of;
    bool of_given; /* chosen by the user, not the default of the checkpoint */
    int bins; /* 0: as many as fit, 64 or 32 */
    bool log_counts, overlay;
    enum biases_scale scale;
    bool run_shown; /* the series instead of the histogram */
    double range_lo, range_hi; /* given by the user; NaN: all values */

    /* derived from the tables */
    struct biases_series series[BIASES_SERIES]; /* the first is the current checkpoint's */
    int n_series;              /* 0: nothing is known */
    bool log_values;           /* bins are of log10 */
    double lo, hi;             /* the range of the bins, plain values */
    enum quantity against;     /* of the scatter's y axis */
    float *x, *y;              /* [series[0].n], owned; NULL: nothing to set it against */
    uint64_t version;          /* of the desk when all this was made */

    struct biases_run run;     /* while it is shown, and kept afterwards */

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

/* -- biases_data.c --------------------------------------------------------------------- */

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

void biases_drop(struct biases *b); /* the series of all checkpoints shown */

/* Everything anew from the tables. `keep`: the same quantity has grown, or its bins have
 * changed; the cursor stays at the same value. */
void biases_derive(struct view *v, bool keep);

void biases_choose(struct view *v, int q);  /* another quantity */
void biases_take(struct view *v);           /* the list anew, from the bins taken */
void biases_sort_list(const struct view *v);
void biases_set_target(struct view *v);     /* what the cursor is on */
int biases_bins_now(const struct view *v);  /* the 64 of the definition, unless two would
                                               have to share a column */

/* -- biases_run.c: members one by one, loaded and scanned as needed -------------------------- */

enum { BIASES_SLOT_RUN };
void biases_run_show(struct view *v, bool shown); /* says so if there is no series */
void biases_run_update(struct view *v); /* after any change: what is missing is asked for */
void biases_run_summarise(struct view *v); /* bins anew */
void biases_run_loaded(struct view *v, struct job *job);
void biases_run_retry(struct view *v); /* what failed */
void biases_run_drop(struct biases_run *r);
int biases_run_known(const struct biases_run *r); /* points */

/* -- biases_ridges.c -------------------------------------------------------------------------- */

void biases_run_paint(const struct view *v, struct canvas *c); /* below the tabs */
int biases_run_rows(const struct view *v, int rows); /* members that fit */

/* -- view_biases.c, biases_keys.c, biases_options.c, biases_write.c ----------------------- */

void biases_need_chosen(struct view *v); /* the checkpoints that are overlaid */

bool biases_has_bins(const struct biases *b);
void biases_rebin(struct view *v, int bins);
enum outcome biases_act(struct view *v, const struct press *p);
enum outcome biases_mouse(struct view *v, const struct mouse *m);

void biases_status(const struct view *v, char *buf, size_t size);
const char *biases_explain(const struct view *v);
void biases_option_get(const struct view *v, int i, char *buf, size_t size);
bool biases_option_set(struct view *v, int i, const char *value, struct err *err);
bool biases_answer(struct view *v, enum ask what, const char *text, struct err *err);
const char *biases_word(const struct view *v, enum ask what, int i);
extern const struct view_option biases_options[];

char *biases_copy(const struct view *v, bool all);
bool biases_export(const struct view *v, enum export_format format, FILE *f, struct err *err);

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
