/*
 * view_cosine.h - the state of the Cosine view, shared by its files:
 *
 *   view_cosine.c         life: what stands against what, the table of the view
 *   view_cosine_jobs.c    what is computed, and how it arrives
 *   view_cosine_layout.c  zoom, places of things on the screen, the cursor
 *   view_cosine_keys.c    keys, mouse, commands, options
 *   view_cosine_lists.c   lists beside the map: best matches, composites, true features
 *   view_cosine_draw.c    how it looks
 *   view_cosine_write.c   copy and write
 *
 * A *source* is rows against columns with all that is known of their cosines; a *map* is a
 * source in an order. Both are shared with the jobs that fill them, and freed by the last
 * who holds them; what a job writes of a map is read through heat.h while it runs, what it
 * writes of a source only once `looked` is set.
 */
#pragma once

#include "model/heat.h"
#include "model/heat_order.h"
#include "model/mixture.h"
#include "tui/desk.h"
#include "tui/view.h"
#include "tui/wid_table.h"

enum cosine_kind { AGAINST_SELF, AGAINST_SAE, AGAINST_TRUTH, AGAINST_COUNT };
enum cosine_order { ORDER_ID, ORDER_MATCH, ORDER_CLUSTER, ORDER_COUNT };
enum cosine_pane { COSINE_MAP, COSINE_LIST, COSINE_TRUTH };
enum { COSINE_SLOT_MAP, COSINE_SLOT_PART };

/* What stands against what. */
struct cosine_subject {
    int sae;
    enum cosine_kind kind;
    int other;    /* AGAINST_SAE: the desk's partner */
    enum cosine_weights weights;
};

struct cosine_source {
    atomic_int holders;
    struct cosine_subject subject;
    struct page_cosine page;
    struct mixtures mixtures; /* AGAINST_TRUTH */
    bool looked;              /* of the UI thread: all of it is there */
};

struct cosine_map {
    atomic_int holders;
    struct cosine_source *source;
    enum cosine_order order; /* as it is, which may be another than was asked for */
    struct heat heat;
    bool is_complete;        /* of the UI thread */
};

struct cosine {
    /* settings */
    struct cosine_subject want, tried; /* tried: what the last job is or was for */
    bool chosen;              /* `against` was chosen by the user */
    enum cosine_order order;
    enum heat_pool pool;
    bool full_scale;          /* colours from -1 to 1 whatever is shown */
    int zoom;                 /* see cosine_zoom; INT_MAX: the whole */

    /* what there is */
    struct cosine_map *map;   /* held; NULL: nothing yet */
    struct heat_blocks part;  /* of map; finer than its blocks */
    struct heat_window asked; /* what the part's job was started for */

    /* cursor: places in the order shown */
    int64_t row, column;
    int64_t top, left;        /* of the first cell on the screen */
    enum cosine_pane pane;
    struct table_state list, truths;
    int64_t *best_at;         /* [rows] rows of the list of best matches, sorted; owned */
    int64_t *truth_at;        /* [columns] likewise of the list of true features */
};

/* -- view_cosine.c ---------------------------------------------------------------------- */

/* The source shown, NULL: none yet. */
const struct cosine_source *cosine_source(const struct view *v);

/* "decoder of relu", "decoder of topk", "true features": rows (0) or columns (1). */
void cosine_side(const struct view *v, const struct cosine_subject *s, int side, char *buf,
                 size_t size);

/* Make what is wanted current: jobs are started if it is another. */
void cosine_update(struct view *v);

/* Can it be against this? False: says why not in err. */
bool cosine_can(const struct view *v, enum cosine_kind kind, struct err *err);

/* -- view_cosine_jobs.c ------------------------------------------------------------------ */

void cosine_start_rows(struct view *v);  /* a new source: `want`, all that it needs loaded */
void cosine_start_order(struct view *v); /* the same source in the order wanted */
void cosine_start_look(struct view *v);  /* go on with the map */
void cosine_need_part(struct view *v);   /* finer blocks of what is on the screen, if need be */
void cosine_loaded(struct view *v, int slot, struct job *job);
void cosine_map_release(struct cosine_map *m); /* NULL is fine */

/* -- view_cosine_layout.c ---------------------------------------------------------------- */

/* How a map is drawn at a zoom: cells of block_r x block_c cosines. */
struct cosine_zoom {
    int64_t block_r, block_c;
    int64_t n_r, n_c; /* cells of the whole matrix */
    int cell_cols;    /* columns of the screen a cell */
    bool half;        /* two cells above one another share one of the screen */
    bool numbers;
};

struct cosine_layout {
    int head_rows;
    struct rect map;   /* cells only */
    int gutter;        /* columns of row numbers at its left */
    struct rect bias;  /* row of b_dec; rows 0: none */
    struct rect axis;  /* row of column numbers */
    struct rect said;  /* what the cursor is on */
    struct rect list, truths;
    struct cosine_zoom zoom;
    int visible_r, visible_c; /* cells that fit */
};

struct cosine_layout cosine_lay_out(const struct view *v, int rows, int cols);

/* The window of cells on the screen, the cursor inside. */
struct heat_window cosine_window(const struct cosine *s, const struct cosine_layout *l);

/* The cell under the cursor begins here. */
void cosine_cell(const struct cosine *s, const struct cosine_zoom *z, int64_t *row,
                 int64_t *column);

/* Cursor and scroll brought in range for the present size; target set. */
void cosine_settle(struct view *v);

void cosine_move(struct view *v, int64_t rows, int64_t columns); /* by cells */
void cosine_go_to(struct view *v, int64_t row_id, int64_t column_id); /* -1: stay */
void cosine_zoom_in(struct view *v);  /* into the strongest cell of the one under the cursor */
void cosine_zoom_out(struct view *v);
bool cosine_is_single(const struct view *v); /* the cell is one cosine */

/* -- view_cosine_keys.c ------------------------------------------------------------------- */

enum outcome cosine_act(struct view *v, const struct press *p);
enum outcome cosine_mouse(struct view *v, const struct mouse *m);
bool cosine_answer(struct view *v, enum ask what, const char *text, struct err *err);
const char *cosine_word(const struct view *v, enum ask what, int i);
void cosine_option_get(const struct view *v, int i, char *buf, size_t size);
bool cosine_option_set(struct view *v, int i, const char *value, struct err *err);
extern const struct view_option cosine_options[];
extern const char *const cosine_order_names[];

/* -- view_cosine_lists.c ------------------------------------------------------------------- */

struct cosine_table {
    struct table_column columns[5];
    struct table table;
    const struct view *view;
};
void cosine_list(const struct view *v, struct cosine_table *out);   /* matches, composites */
void cosine_truths(const struct view *v, struct cosine_table *out); /* true features */
void cosine_sort_lists(struct view *v);
/* Row and column (-1: none) of the entry that the focused list's cursor is on. */
bool cosine_listed(const struct view *v, int64_t *row, int64_t *column);
void cosine_list_title(const struct view *v, char *buf, size_t size);
void cosine_truths_title(const struct view *v, char *buf, size_t size);

/* -- view_cosine_draw.c, view_cosine_write.c ------------------------------------------------ */

void cosine_draw(const struct view *v, struct canvas *c);
void cosine_status(const struct view *v, char *buf, size_t size);
char *cosine_copy(const struct view *v, bool all);
bool cosine_export(const struct view *v, enum export_format format, FILE *out, struct err *err);
