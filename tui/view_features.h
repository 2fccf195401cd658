/*
 * view_features.h - the inside of view 2, shared by view_features*.c only.
 */
#pragma once

#include "model/page.h"
#include "tui/desk.h"
#include "tui/pane.h"
#include "tui/view.h"
#include "tui/wid_table.h"

/* Columns of the table: those of enum feature_column, then these. */
enum { CELL_NAME = FCOL_COUNT, CELL_HISTOGRAM, CELL_COLUMNS };

enum { SLOT_PAGE, SLOT_ROWS, SLOT_SEARCH };

enum { PANE_FROM = 110 }; /* columns of the screen from which there is a right pane */

struct features {
    int columns[CELL_COLUMNS], n_columns; /* shown, in order; [0] is FCOL_ID */
    bool has_chosen;         /* the user has chosen the columns */
    int special;             /* special_columns of the checkpoint that the usual ones fit */
    struct table_column heads[CELL_COLUMNS];
    struct table_state table;
    int sort;                /* column of enum feature_column; table.sort follows */
    bool shown;              /* go() has been called */
    bool moved;              /* the user has; until then the cursor stays on top */

    uint32_t *ids;           /* owned: the rows */
    int64_t n_ids;
    uint64_t version;        /* of the desk's table, and of the labels, that they are of */
    uint64_t labels;
    double sorted_at;        /* clock_seconds */

    char pattern[256];       /* searched for; "": nothing */
    uint64_t *found;         /* owned bits [d_sae]; NULL: nothing searched */
    int64_t n_found;
    int direction;           /* of the next match to go to, once they are there; else 0 */

    int decimals[FCOL_COUNT]; /* of numbers in a column; pane.h */
    double densest;           /* greatest density */

    struct pane pane;
};

/* -- view_features.c --------------------------------------------------------------- */

static inline const struct desk_sae *features_sae(const struct view *v)
{
    return desk_sae(v->desk, v->target.sae);
}

/* The cursor is somewhere else, or the rows are: what it is on, the page of that. */
void features_follow(struct view *v);

/* -- view_features_cells.c: columns ------------------------------------------------ */

const char *features_column_key(int column);   /* as in files and options */
const char *features_column_title(int column);

/* Another checkpoint, or it has been loaded: the usual columns fit to it, unless the user
 * has chosen columns. */
void features_fit_columns(struct view *v);
void features_option_get(const struct view *v, int i, char *buf, size_t size);
bool features_option_set(struct view *v, int i, const char *value, struct err *err);

/* struct table's cell; ctx is the view. */
void features_paint_cell(const void *ctx, int64_t row, int column, struct canvas *c);

/* -- view_features_rows.c: which rows, in which order; search ---------------------- */

/* Filter and sort anew, on a worker when that takes long: the old rows stay until then. */
void features_select(struct view *v);
bool features_filter(struct view *v, const char *text, struct err *err);
bool features_search(struct view *v, const char *pattern, struct err *err);
void features_search_go(struct view *v, int direction);
void features_rows_loaded(struct view *v, int slot, struct job *job);
int64_t features_row_of(const struct view *v, int64_t feature); /* -1: not among them */
bool features_is_found(const struct view *v, int64_t feature);

/* -- view_features_write.c: the rows shown; if some are selected, only these ------- */

bool features_export(const struct view *v, enum export_format format, FILE *out,
                     struct err *err);
char *features_copy(const struct view *v, bool all);
