/*
 * wid_table.h - a table of any length: sort marks, cursor row, columns that give way.
 *
 * Only the rows on the screen are asked for, through the callback, so a million rows cost
 * what thirty do. The painter keeps nothing: cursor and scrolling are a struct
 * table_state in the view, and where things are is a pure function of state and size,
 * used by painter and mouse alike.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tui/canvas.h"
#include "tui/keymap.h"

struct table_column {
    const char *title;
    int width;        /* columns it needs */
    int grow;         /* share of the width left over; 0: never wider */
    enum align align; /* of the title; cells align themselves */
    int rank;         /* 0: always there (never scrolled away: ids); 1: goes last when
                         space is short; higher ranks go earlier */
    bool is_sortable;
};

struct table {
    const struct table_column *columns;
    int n_columns;
    int64_t n_rows;
    const void *ctx;

    /* Paint one cell: a canvas of one row as wide as the column. */
    void (*cell)(const void *ctx, int64_t row, int column, struct canvas *c);

    bool (*is_selected)(const void *ctx, int64_t row); /* may be NULL */
    const char *empty;                                 /* said when n_rows is 0 */
};

struct table_state {
    int64_t cursor, top; /* rows; kept in range by table_move and table_fix */
    int column;          /* the chosen column ([ ]) */
    int first;           /* scrolled sideways: scrollable columns skipped (h l) */
    int sort;            /* column sorted by; -1: none */
    bool ascending;
};

/* Paint header and rows. focused: the cursor row shows as such, else dimly. */
void table_paint(struct canvas *c, const struct table *t, const struct table_state *s,
                 bool focused);

/* Bring cursor and top in range for a canvas of `rows` rows (header included). Call it
 * when n_rows has changed; the painter does the same to its copy. */
void table_fix(const struct table *t, struct table_state *s, int rows);

/* Up, down, pages, first, last, [ ] h l and, on the chosen column, s and I. True if the
 * key was the table's. When sort or ascending differ afterwards, the owner sorts. */
bool table_act(const struct table *t, struct table_state *s, const struct press *p,
               int rows);

/* What is at (row, col) of a canvas of rows x cols. */
struct table_hit {
    int64_t row; /* -1: none */
    int column;  /* -1: none */
    bool header;
};
struct table_hit table_at(const struct table *t, const struct table_state *s, int rows,
                          int cols, int row, int col);

/* Click: cursor to the row; on a header: sort by it (again: turn). Wheel: three rows.
 * True if it was the table's; *opened when the click fell on the cursor row. */
struct mouse;
bool table_mouse(const struct table *t, struct table_state *s, const struct mouse *m,
                 int rows, int cols, bool *opened);

/* A cell of text, number or nothing in the column's manner. */
void table_cell_text(struct canvas *c, enum align align, uint32_t style, const char *s);
/* Right-aligned, `digits` significant digits (24 is 24.00: those below one another are as
 * exact), as k, M, G or with an exponent where that does not fit; NaN is a dim dot. */
void table_cell_number(struct canvas *c, double x, int digits, uint32_t style);
