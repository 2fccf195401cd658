/*
 * view_compare.h - the inside of view 5; no other file includes it.
 *
 *   view_compare.c        state, what follows from what, the table of operations
 *   view_compare_jobs.c   candidates, figures, one-to-one matching: what takes long
 *   view_compare_rows.c   lists: which features, in which order, filter, search
 *   view_compare_cells.c  columns of the list
 *   view_compare_hist.c   the two histograms
 *   view_compare_paint.c  how it looks and where on the screen
 *   view_compare_keys.c   keys, mouse, commands, options
 *   view_compare_all.c    more than two: L0 against FVU and reconstruction score
 *   view_compare_write.c  files and the clipboard
 *
 * Two checkpoints: A is the current one of the desk, B its partner. A list has features of
 * one side (mostly A), each with its partner on the other, which the pairing says. What
 * jobs work out is in objects of their own, counted by who holds them: a job may write to
 * one that nobody looks at any more.
 */
#pragma once

#include "model/compare.h"
#include "model/pairs.h"
#include "tui/pane.h"
#include "tui/quantity.h"
#include "tui/view.h"
#include "tui/wid_table.h"

/* Which feature of the other side belongs to a feature. */
enum pairing {
    PAIR_BEST, /* the one of the greatest decoder cosine */
    PAIR_ONE,  /* one-to-one matching */
    PAIR_SAME, /* the same number */
    PAIRINGS
};

enum compare_list {
    LIST_MATCHED, LIST_DRIFTED, LIST_SPLIT, LIST_ONLY_A, LIST_ONLY_B, LIST_DIED, LIST_BORN,
    LISTS
};
extern const char *const compare_list_name[LISTS];

enum compare_pane { COMPARE_LIST, COMPARE_HIST, COMPARE_PANES };

/* Columns of a list. */
enum compare_column {
    CMP_A, CMP_NAME_A, CMP_B, CMP_NAME_B, CMP_COSINE, CMP_ENCODER, CMP_CORRELATION,
    CMP_MUTUAL, CMP_ONE, CMP_CLOSE, CMP_WHICH, CMP_DENSITY_A, CMP_DENSITY_B, CMP_MAX_A,
    CMP_MAX_B, CMP_BIAS_A, CMP_BIAS_B, CMP_THRESHOLD_A, CMP_THRESHOLD_B,
    CMP_COLUMNS
};
struct compare_column_info {
    const char *key, *title, *help; /* key NULL: not for filters and files */
    struct table_column head;
};
extern const struct compare_column_info compare_columns[CMP_COLUMNS];

/* -- what jobs work out ----------------------------------------------------------------- */

/* The best of every feature's candidates, both ways: match_top. */
struct compare_top {
    int holders;
    int64_t n[2];
    struct match_near *v[2];   /* [n, MATCH_TOP] */
    _Atomic int64_t rows;      /* of v[0] that are final */
    bool whole;                /* the job is done: v[1] is final too */
};

/* pairs_measure of one side's features with their partners under a pairing. */
struct compare_figures {
    int holders;
    int64_t n;
    struct pair_figures *v;    /* [n] */
    _Atomic int64_t done;      /* of these final */
};

void compare_top_drop(struct compare_top *t); /* NULL is fine */
void compare_figures_drop(struct compare_figures *f);

enum { SLOT_MATCH, SLOT_FIGURES, SLOT_PAGE_A, SLOT_PAGE_B };

/* -- state -------------------------------------------------------------------------------- */

struct compare_series {
    double *v; /* owned */
    int64_t n;
    struct summary summary; /* owned */
};

struct compare {
    bool shown;
    int sae[2];                 /* A, B; B -1: there is none */
    struct err err;             /* why they cannot be compared */
    const struct index *index[2];

    struct compare_top *top;    /* NULL: not begun */
    struct compare_figures *figures[PAIRINGS][2];
    int64_t *one[2];            /* owned [n] partners one to one, -1: none; NULL: not known */
    bool optimal;               /* that matching is (to be) */
    double one_mean;            /* mean cosine of these pairs */
    double mmcs[2];             /* from A to B, from B to A; NaN until whole */
    int64_t n_mutual;

    /* settings */
    enum compare_list list;
    enum pairing pairing;
    bool pairing_given;         /* by the user; else by what is compared */
    double near, drift, split;  /* cosines: below is unmatched, below has drifted, from
                                   there on close */
    enum compare_matching matching;

    /* the list */
    struct table_state table;
    uint32_t *ids;              /* owned: features of the list's side */
    int64_t n_ids;
    int64_t counts[LISTS];      /* features in each, without filter */
    bool turned;                /* a page of B was opened, which made B current: back here, A
                                   is A again */
    int64_t wanted;             /* feature to go to when it is listed; -1: none */
    int64_t seen;               /* rows of top, */
    int64_t seen_figures;       /* and figures that these are of */
    uint64_t versions[2], labels;
    char filter[256], pattern[256];
    int decimals[2][FCOL_COUNT];

    /* histograms */
    enum quantity of;
    bool log_counts;
    int bins;                   /* 0: as many as fit */
    struct compare_series series[2];
    bool log_values;

    /* all of them */
    bool all;                   /* shown instead of two */
    bool against_score;         /* where there is room for one scatter only */
    struct table_state all_table;
    int *all_ids;               /* owned [n_all]: checkpoints in the table's order */
    int n_all;
    double equal_l0;            /* L0 differing by at most that part are nearly equal */

    enum compare_pane focus;
    bool reading;               /* both pages instead of numbers and list */
    struct pane pages[2];
};

/* -- view_compare.c ------------------------------------------------------------------------ */

/* The checkpoint of a side, NULL until it is loaded. */
const struct sae *compare_sae(const struct view *v, int side);
const struct feature_table *compare_table_of(const struct view *v, int side);

/* The side that the features of the list are of. */
int compare_side(const struct compare *s);

/* The partner of a feature of a side; -1: it has none, or it is not known yet. */
int64_t compare_partner(const struct compare *s, int side, int64_t id);

/* How alike the two are; what is not known is NaN. */
struct pair_figures compare_figures_of(const struct compare *s, int side, int64_t id);

/* Are they each other's best match? */
bool compare_is_mutual(const struct compare *s, int side, int64_t id);

/* How many of the other side have a cosine of at least s->split with it; at most
 * MATCH_TOP are counted. */
int compare_close(const struct compare *s, int side, int64_t id);

/* Rows of a side that candidates are known of. */
int64_t compare_known(const struct compare *s, int side);

/* A setting has changed: do what follows. */
void compare_update(struct view *v);
/* The cursor is on another row: the pages, the target. */
void compare_follow(struct view *v);

/* -- view_compare_jobs.c -------------------------------------------------------------------- */

/* Start what is wanted next and can be had. */
void compare_start(struct view *v);
void compare_jobs_loaded(struct view *v, int slot, struct job *job);
/* Forget what jobs have worked out; only what stands on the indexes. */
void compare_forget(struct view *v, bool only_figures);

/* -- view_compare_rows.c -------------------------------------------------------------------- */

void compare_select(struct view *v);
bool compare_filter(struct view *v, const char *text, struct err *err);
bool compare_search(struct view *v, const char *pattern, struct err *err);
void compare_search_go(struct view *v, int direction);
const char *compare_word(const struct view *v, enum ask what, int i);
/* The row of a feature of the list's side, -1: it is not in the list. */
int64_t compare_row_of(const struct compare *s, int64_t id);
void compare_default_sort(struct compare *s);

/* -- view_compare_cells.c ------------------------------------------------------------------- */

/* Columns of the present list in their order; columns [CMP_COLUMNS]. Returns how many. */
int compare_list_columns(const struct view *v, int *columns);

/* The value of a column of numbers for feature `id` of the list's side; NaN: none. */
double compare_value(const struct view *v, int column, int64_t id);
/* "12 .83, 45 .79": those close to it on the other side. */
void compare_which(const struct compare *s, int side, int64_t id, char *buf, size_t size);

struct compare_table {
    int columns[CMP_COLUMNS];
    struct table_column heads[CMP_COLUMNS];
    struct table table;
};
void compare_table(const struct view *v, struct compare_table *out);

/* -- view_compare_hist.c -------------------------------------------------------------------- */

void compare_hist_make(struct view *v);
void compare_hist_next(struct view *v, int by);
bool compare_hist_set(struct view *v, const char *name, struct err *err);
void compare_hist_paint(const struct view *v, struct canvas *c, bool focused);
void compare_hist_finish(struct compare *s);

/* -- view_compare_all.c, view_compare_scatter.c -------------------------------------------------- */

bool compare_has_all(const struct view *v); /* are there more than two? */
void compare_all_need(struct view *v);      /* have all loaded, scanned, scored in turn */
void compare_all_select(struct view *v);    /* which, in which order */
void compare_all_paint(const struct view *v, struct canvas *c); /* but head and tabs */
void compare_all_sort(struct compare *s);   /* as usual: the sparsest first */
void compare_all_status(const struct view *v, char *buf, size_t size);
int compare_all_tabs_row(const struct view *v);
enum outcome compare_all_act(struct view *v, const struct press *p);
void compare_all_mouse(struct view *v, struct mouse m);
struct out;
void compare_all_put(const struct view *v, struct out *o);

enum all_column {
    ALL_SIDE, ALL_NAME, ALL_ARCHITECTURE, ALL_D_SAE, ALL_STEP, ALL_L0, ALL_FVU, ALL_EXPLAINED,
    ALL_DEAD, ALL_SCORE, ALL_NATS, ALL_KL, ALL_NEAR,
    ALL_COLUMNS
};

/* Of checkpoint i; NaN: not known, or no number. Of all in the table's order; the caller's
 * to free. */
double compare_all_value(const struct view *v, int i, enum all_column column);
double *compare_all_values(const struct view *v, enum all_column column);

/* What is long and the same for all of a series does not tell them apart: without it. */
const char *compare_all_name(const struct view *v, int i);

/* L0 against ALL_FVU or ALL_SCORE. Points of one architecture have one mark, and are joined
 * by L0, those of a training run by their steps; the front is a dotted line of its own. */
void compare_scatter_paint(const struct view *v, struct canvas *c, enum all_column column,
                           const char *title);
const char *compare_scatter_mark(const struct sae *sae, bool ascii);

/* -- view_compare_paint.c ------------------------------------------------------------------- */

struct compare_place {
    int row, col, rows, cols; /* rows 0: not shown */
};
struct compare_places {
    struct compare_place metrics, hist, tabs, list, pages[2];
};
struct compare_places compare_places(const struct view *v);
void compare_paint(const struct view *v, struct canvas *c);
/* The list whose tab is at a column of the row of tabs, LISTS: all checkpoints, -1: none. */
int compare_tab_at(const struct view *v, int col);
const char *compare_pairing_text(const struct compare *s);

/* -- view_compare_keys.c, view_compare_write.c ------------------------------------------------ */

enum outcome compare_act(struct view *v, const struct press *p);
enum outcome compare_mouse(struct view *v, const struct mouse *m);
bool compare_answer(struct view *v, enum ask what, const char *text, struct err *err);
extern const struct view_option compare_options[];
void compare_option_get(const struct view *v, int i, char *buf, size_t size);
bool compare_option_set(struct view *v, int i, const char *value, struct err *err);
extern const struct view_key compare_keys[];
extern const struct view_term compare_terms[];

char *compare_copy(const struct view *v, bool all);
bool compare_export(const struct view *v, enum export_format format, FILE *out,
                    struct err *err);
