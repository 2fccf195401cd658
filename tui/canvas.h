/*
 * canvas.h - a grid of styled cells: what every view paints on.
 *
 * No terminal here. A canvas is painted by views and widgets, then flushed to the screen
 * by term.c, which sends only what changed, or dumped as text by tests.
 *
 * Anything outside the canvas is silently clipped, so that painters need no checks; any
 * size from 1 x 1 is fine. (row, col) count from 0 at the top left. A struct canvas is a
 * window on cells owned by whoever made the root; windows (canvas_sub) are passed by
 * value or by pointer as suits and need no release.
 *
 * Text is UTF-8. It is cut into grapheme clusters; wide characters take two cells;
 * combining marks stay with their base. What could harm the screen never reaches it: it is
 * shown as str_visible (io/str.h) writes it: newlines and tabs as U+21B5 and U+21E5, other
 * controls as \x1b, bidi and zero-width characters as <U+202E>, invalid bytes as U+FFFD.
 * With `ascii` set, box drawing, bars and arrows become ASCII look-alikes and everything
 * else outside ASCII becomes '?'.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tui/theme.h"

enum { CELL_TEXT = 19 };

struct cell {
    char text[CELL_TEXT]; /* one grapheme cluster, terminated; "" in the right half of
                             a wide one. Longer clusters lose their last marks. */
    uint8_t width;        /* 1, 2, or 0 for a right half */
    uint32_t style;       /* theme.h */
};

struct canvas {
    struct cell *cells; /* cell (0, 0) of this window */
    int rows, cols;
    int stride;         /* cells from one row to the next */
    int before;         /* cells of the same row that lie left of this window */
    bool ascii;         /* --ascii */
    bool mono;          /* no colour: painters say with characters what colour would */
};

enum align { ALIGN_LEFT, ALIGN_CENTRE, ALIGN_RIGHT };

/* The root: owns its cells, all blank. Sizes below 1 become 1. */
void canvas_init(struct canvas *c, int rows, int cols);
void canvas_finish(struct canvas *c); /* only the root; zeroed is fine */

/* A part of a canvas, or a place for one; rows 0: none. */
struct rect {
    int row, col, rows, cols;
};
bool rect_has(const struct rect *r, int row, int col);

/* The part at (row, col) of rows x cols, cut to what there is (maybe 0 x 0). */
struct canvas canvas_sub(const struct canvas *c, int row, int col, int rows, int cols);

/* -- filling ---------------------------------------------------------------------- */

void canvas_clear(struct canvas *c, uint32_t style);

/* Give the cells of a row another ground, leaving text, front and attributes: the cursor
 * row is canvas_ground(c, row, 0, c->cols, INK_CURSOR). */
void canvas_ground(struct canvas *c, int row, int col, int cols, enum ink back);

/* -- text ------------------------------------------------------------------------- */

/* Draw s from (row, col) on. Returns the column after it, even if that is outside. A
 * newline is shown as a symbol like any other control character. */
int canvas_text(struct canvas *c, int row, int col, uint32_t style, const char *s);
int canvas_bytes(struct canvas *c, int row, int col, uint32_t style, const char *s,
                 size_t len);
int canvas_printf(struct canvas *c, int row, int col, uint32_t style, const char *fmt,
                  ...) __attribute__((format(printf, 5, 6)));

/* Draw s inside `width` columns, aligned; what is too long ends in an ellipsis (numbers
 * and names alike: a cut number is never mistaken for a whole one). */
void canvas_fit(struct canvas *c, int row, int col, int width, enum align align,
                uint32_t style, const char *s);

/* Draw s by words within the canvas from `row` on, '\n' starts a line. Returns the row
 * after the last, even if outside. */
int canvas_wrap(struct canvas *c, int row, uint32_t style, const char *s);

/* Columns that canvas_text would take. */
int text_width(const char *s);

/* One step through text: the next drawable piece of s[0..len), len > 0. */
struct glyph {
    char text[CELL_TEXT]; /* as it will stand in a cell */
    int width;            /* 1 or 2; a neutralised character like <U+202E> comes as
                             several glyphs, all but the last with bytes = 0 */
    size_t bytes;         /* of s that are consumed */
};
struct glyphs {
    const char *s;
    size_t len;
    char visible[16]; /* rest of a neutralised character */
    size_t owed;      /* bytes of s that it stands for */
};
bool glyph_next(struct glyphs *it, struct glyph *out); /* false: the end */

/* -- lines and bars --------------------------------------------------------------- */

void canvas_hline(struct canvas *c, int row, int col, int cols, uint32_t style);
void canvas_vline(struct canvas *c, int row, int col, int rows, uint32_t style);

/* A rule over the whole row with a title in it: "── neighbours ─────". */
void canvas_rule(struct canvas *c, int row, const char *title, uint32_t style);

/* A box around the whole canvas, title in its top line; returns the inside. */
struct canvas canvas_box(struct canvas *c, const char *title, uint32_t style);

/* A bar of `fraction` (clamped to [0, 1]; NaN draws nothing) of `width` columns, in
 * eighths of a column. A positive fraction shows at least one eighth. */
void canvas_hbar(struct canvas *c, int row, int col, int width, double fraction,
                 uint32_t style);

/* Columns of heights fraction[i] of `rows` rows that stand on row + rows - 1, one column
 * each, in eighths of a row; positive ones show at least one eighth. rows = 1 is a
 * sparkline. */
void canvas_vbars(struct canvas *c, int row, int col, int rows, const float *fraction,
                  int n, uint32_t style);

/* Two values above one another in one cell, each an ink of a ramp (heat maps). With no
 * colour the cell shows a shade of the stronger of the two. */
void canvas_halves(struct canvas *c, int row, int col, enum ink top, enum ink bottom);

/* -- looking at it (tests) -------------------------------------------------------- */

/* Rows as lines, blanks at their ends cut. Caller frees. */
char *canvas_dump(const struct canvas *c);

/* The same shape with a letter a cell that says which ink it has: the ground's if there
 * is one, else the front's: '.' text, 'a'.. named inks in their order (then 'A'..),
 * '0'-'9' heat from weak to strong, '-' '=' '+' below, at, above the middle of the
 * diverging ramp. Caller frees. */
char *canvas_dump_inks(const struct canvas *c);
