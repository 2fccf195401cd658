/*
 * view_feature.h - the parts of view 3 that its own files share; no other file includes it.
 *
 *   view_feature_page.c   jobs: the page of a feature, examples of a brushed bar
 *   view_feature_list.c   lists of examples: folding, painting
 *   view_feature_places.c where panes stand
 *   view_feature_stats.c  the numbers
 *   view_feature_series.c the feature at the steps of a training run
 *   view_feature_ablate.c what taking the feature out does
 *   view_feature_draw.c   all other panes
 *   view_feature_export.c copies and files
 *   view_feature_keys.c   keys and mouse
 *   view_feature.c        state, jobs, the table of operations
 *
 * Everything shown of one feature is a struct feature_page, made by a job and then only
 * read. The first one is made quickly; a full one takes its place when it is there.
 */
#pragma once

#include "model/logitlens.h"
#include "model/page.h"
#include "tui/desk.h"
#include "tui/view.h"
#include "tui/wid_table.h"

enum {
    FEATURE_REACH = 64,     /* tokens to each side that are kept of an example */
    FEATURE_CONTEXT = 10,   /* of these shown at first; on wide screens */
    FEATURE_CONTEXT_WIDE = 24,
    FEATURE_TOP = 100,      /* examples in the list of the strongest */
    FEATURE_BINS = 160,     /* finest histogram; all others are sums of its bins */
    CURVE_POINTS = 512,
    COMMON_TOKENS = 8,      /* listed of those it fires on */
    COMMON_HITS = 65536,    /* looked at for that, evenly spread */
    NEAR_ROWS = 64,         /* room for neighbours of all three kinds */
};

/* -- examples ----------------------------------------------------------------------- */

struct example {
    struct page_example e;
    struct page_context context; /* owned; FEATURE_REACH tokens to each side */
};

/* A row of a list: an example, or several that look the same. */
struct example_line {
    int example;
    int count;      /* alike, this one included; 0: one of those unfolded above it */
};

struct example_list {
    struct example *v;           /* owned */
    int n;
    bool *unfolded;              /* [n] owned; of the first of those alike */
    struct example_line *lines;  /* owned */
    int n_lines;
    bool at_start;               /* half of them or more are at position 0 */
};

void examples_make(const struct samples *samples, const struct page_feature *p,
                   const struct page_example *from, int n, struct example_list *out);
void examples_finish(struct example_list *l); /* a zeroed one is fine */

/* Make the lines anew for `context` shown tokens to each side. */
void examples_fold(struct example_list *l, int context);

/* -- the page ----------------------------------------------------------------------- */

enum feature_stage {
    STAGE_WEIGHTS, /* without samples: at once */
    STAGE_QUICK,   /* without what needs all postings or a full encode */
    STAGE_FULL,
};

struct feature_near {
    int64_t id;
    float decoder, encoder; /* cosines */
    double together;        /* jaccard; NaN: not known */
};

/* A token that it fires on. */
struct feature_token {
    int64_t id;
    double share; /* of its firings */
};

struct feature_page {
    enum feature_stage stage;
    struct page_feature p;
    struct example_list top, intervals[PAGE_INTERVALS];
    struct hist fine, fine_log; /* FEATURE_BINS bins of activation and of its log10 */
    int64_t delta_rank;         /* of delta_fvu among all features, from 1; 0: not known */
    struct feature_near *near;  /* neighbours of all three kinds */
    int n_near;
    struct feature_token common[COMMON_TOKENS]; /* by share, then id */
    int n_common;
    float curve_x[CURVE_POINTS], curve_y[CURVE_POINTS];
    int n_curve;                /* 0: it has none */
    double gate;                /* greatest pre-activation at which it is off */
    struct logits logits;       /* n = 0: no model, or not yet */
};

void feature_page_free(struct feature_page *page); /* NULL is fine */

/* What a job is asked; all pointers borrowed, outlive the worker. */
struct feature_query {
    const struct sae *sae;
    const struct samples *samples; /* NULL: none */
    const struct index *index;     /* NULL: none */
    const struct lm *lm;           /* NULL: none, or it does not fit */
    int64_t id;
    enum feature_stage stage;
    int context, examples;
    uint64_t seed;
    struct scan_options scan;
};

struct feature_job {
    struct job job;
    struct feature_query query;
    struct feature_page *page; /* owned; take it and leave NULL */
};
struct feature_job *feature_job_new(const struct feature_query *query);

/* Examples with low < activation <= high. */
struct band_job {
    struct job job;
    struct feature_query query;
    struct page_feature p;     /* a copy of what the model needs of the page */
    double low, high;
    int64_t count;             /* tokens in the band */
    struct example_list list;  /* owned; take it and leave it zeroed */
};
struct band_job *band_job_new(const struct feature_query *query,
                              const struct page_feature *p, double low, double high,
                              int64_t count);

/* -- state -------------------------------------------------------------------------- */

enum pane {
    PANE_STATS, PANE_HIST, PANE_CURVE, PANE_TOP, PANE_INTERVAL, PANE_NEIGHBOURS,
    PANE_ABLATE,
    PANE_COUNT
};

/* The numbers of the first pane. */
enum feature_stat {
    STAT_DENSITY, STAT_MEAN, STAT_MAX, STAT_DELTA, STAT_DELTA_CE, STAT_BIAS,
    STAT_THRESHOLD, STAT_COSINE, STAT_NORM, STAT_RELATIVE, STAT_TOKENS, STAT_PROMOTES, STAT_SUPPRESSES,
    STAT_SERIES,
    STAT_COUNT
};
extern const char *const feature_stat_name[STAT_COUNT];

struct rows_state {
    int cursor, top;
};

enum { SLOT_PAGE, SLOT_BAND, SLOT_SERIES };

struct feature_view {
    struct feature_page *page; /* owned; NULL: nothing yet */
    int page_sae;              /* of which checkpoint, */
    const struct index *page_index; /* from which index */
    const struct lm *page_lm;       /* and model */
    uint64_t random;           /* state of r */
    enum pane focus;
    unsigned visited[PANE_COUNT], visits; /* of panes that share a place the last one
                                             visited shows */
    bool reading;              /* the example under the cursor, in full */
    int stat;
    struct rows_state top, interval, near;
    struct table_state near_table;
    uint32_t near_order[NEAR_ROWS]; /* rows of the neighbours' table -> page->near */
    int band;                  /* the interval shown; PAGE_INTERVALS: the brushed one */
    int context;               /* as chosen; 0: by the size of the screen */
    int shown_context;         /* what the lists are folded for */
    int bins;
    bool log_counts, log_values;
    int bin, anchor;           /* cursor, other end of the range; anchor -1: none */
    bool kept;                 /* mode of ablation: error-kept */
    struct page_ablation exact[2]; /* of the target, by mode, */
    bool has_exact[2];             /* if it is there */
    int worst;                 /* cursor in the positions of the mode shown */
    struct feature_series *series; /* owned; NULL: none, or not known yet */
    struct example_list brush; /* owned */
    double brush_low, brush_high;
    int64_t brush_count;
};

/* The list of a pane of examples, and where its cursor is. */
struct example_list *feature_list(struct feature_view *s, enum pane pane);
struct rows_state *feature_rows(struct feature_view *s, enum pane pane);

/* The histogram in the bins chosen; counts [FEATURE_BINS] is filled. */
void feature_bins(const struct feature_view *s, int64_t *counts, double *lo, double *hi);

struct feature_query feature_query(const struct view *v, enum feature_stage stage);

/* Is the page at hand that of the target? */
bool feature_shows_target(const struct view *v);
/* Make a feature the target, and its page come. */
void feature_show(struct view *v, int64_t id);
/* See to it that the target's page is there, or will be. again: even if it is. */
void feature_load(struct view *v, bool again);
/* Take what is known of the target's ablation. */
void feature_take_effects(struct view *v);
/* Fold all lists for the context as it is now. */
void feature_fold(struct view *v);
void feature_sort_near(struct feature_view *s);

/* -- keys --------------------------------------------------------------------------- */

enum outcome feature_act(struct view *v, const struct press *p);
enum outcome feature_mouse(struct view *v, const struct mouse *m);
void feature_focus(struct view *v, enum pane pane);
void feature_set_bins(struct feature_view *s, int bins); /* others than 10 to 160: no */

/* -- drawing ------------------------------------------------------------------------ */

struct place {
    int row, col, rows, cols; /* rows 0: not shown */
    unsigned others;          /* bits of the panes that it shares its place with */
};

/* The checkpoint shown, once it is loaded; else NULL. */
const struct sae *feature_sae(const struct view *v);
bool feature_has_samples(const struct view *v);
int feature_examples(const struct view *v); /* drawn from each interval */

/* The neighbours as a table over v; its rows are s->near_order. */
void feature_near_table(const struct view *v, struct table *out);

/* Where panes stand. One answer for painter, keys and mouse. */
void feature_places(const struct view *v, struct place at[PANE_COUNT]);
void feature_draw(const struct view *v, struct canvas *c);

const char *feature_tokens_text(int64_t n, char *buf, size_t size); /* "1 904 tokens" */
void feature_paint_stats(const struct view *v, struct canvas *c);

/* Rows that the numbers take in so many columns, and the text of one; lists of tokens take
 * 1 line each, or FEATURE_STAT_LINES where there is room to spare. */
enum { FEATURE_STAT_LINES = 2 };
int feature_stat_rows(const struct view *v, int cols, int lines);
bool feature_stat_is_there(const struct view *v, int stat); /* has it a place at all? */
void feature_stat_text(const struct view *v, enum feature_stat stat, char *buf, size_t size);

/* All features at all steps of the run that the checkpoint is of: read once, and again when
 * another step has been scanned. */
void feature_series_need(struct view *v);
void feature_series_loaded(struct view *v, struct job *job);
void feature_series_free(struct feature_series *s); /* NULL is fine */
bool feature_has_series(const struct view *v);
void feature_series_text(const struct view *v, char *buf, size_t size);

/* The pane below its title, and that. */
void feature_ablate_title(const struct view *v, char *buf, size_t size);
void feature_paint_ablate(const struct view *v, struct canvas *c);
bool feature_has_model(const struct view *v);
/* a: the mode shown; x: show the other one. */
void feature_ablate(struct view *v);
void feature_other_mode(struct view *v);

/* Rows of a list's pane that hold examples, and rows of one example. */
int examples_rows(int rows, bool mono);
void examples_paint(struct canvas *c, const struct view *v, const struct example_list *l,
                    const struct rows_state *at, bool focused);
/* One example, wrapped, as much of it as there is. */
void example_read(struct canvas *c, const struct view *v, const struct example *x);

char *feature_copy(const struct view *v, bool all);
bool feature_export(const struct view *v, enum export_format format, FILE *out,
                    struct err *err);

extern const struct view_term feature_terms[];
