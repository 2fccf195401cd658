/* wid_table.c - see wid_table.h. */
#include "tui/wid_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/input.h"
#include "tui/wid_hist.h"

enum { MAX_COLUMNS = 64, GAP = 2 };

/* Where columns stand: one answer for painter and mouse. */
struct layout {
    int n;
    int index[MAX_COLUMNS], at[MAX_COLUMNS], width[MAX_COLUMNS];
};

static bool is_scrolled_away(const struct table *t, const struct table_state *s, int column)
{
    int scrollable = 0;

    if (t->columns[column].rank == 0)
        return false;
    for (int i = 0; i < column; i++)
        scrollable += t->columns[i].rank != 0;
    return scrollable < s->first;
}

static int wanted_width(const struct table *t, const bool *shown)
{
    int width = 0;

    for (int i = 0; i < t->n_columns; i++)
        if (shown[i])
            width += t->columns[i].width + (width > 0 ? GAP : 0);
    return width;
}

/* Columns of the highest rank go until the rest fits; the chosen one stays, for the user
 * has asked for it. */
static void drop_columns(const struct table *t, const struct table_state *s, int cols,
                         bool *shown)
{
    while (wanted_width(t, shown) > cols) {
        int worst = -1;
        for (int i = 0; i < t->n_columns; i++)
            if (shown[i] && t->columns[i].rank > 0 && i != s->column &&
                (worst < 0 || t->columns[i].rank >= t->columns[worst].rank))
                worst = i;
        if (worst < 0)
            return;
        shown[worst] = false;
    }
}

static struct layout lay_out(const struct table *t, const struct table_state *s, int cols)
{
    struct layout l = {0};
    bool shown[MAX_COLUMNS] = {false};
    int spare, grow = 0, at = 0;

    for (int i = 0; i < t->n_columns && i < MAX_COLUMNS; i++)
        shown[i] = !is_scrolled_away(t, s, i);
    drop_columns(t, s, cols, shown);
    spare = cols - wanted_width(t, shown);
    for (int i = 0; i < t->n_columns; i++)
        grow += shown[i] ? t->columns[i].grow : 0;
    for (int i = 0; i < t->n_columns && i < MAX_COLUMNS; i++) {
        if (!shown[i])
            continue;
        int share = spare > 0 && grow > 0 ? spare * t->columns[i].grow / grow : 0;
        spare -= share;
        grow -= t->columns[i].grow;
        l.index[l.n] = i;
        l.at[l.n] = at;
        l.width[l.n] = t->columns[i].width + share;
        at += l.width[l.n++] + GAP;
    }
    return l;
}

/* -- state ------------------------------------------------------------------------------ */

void table_fix(const struct table *t, struct table_state *s, int rows)
{
    int64_t page = rows > 1 ? rows - 1 : 1;

    if (s->cursor >= t->n_rows)
        s->cursor = t->n_rows - 1;
    if (s->cursor < 0)
        s->cursor = 0;
    if (s->top > s->cursor)
        s->top = s->cursor;
    if (s->top < s->cursor - page + 1)
        s->top = s->cursor - page + 1;
    if (s->top > t->n_rows - page) /* no blank rows while there are some above */
        s->top = t->n_rows - page;
    if (s->top < 0)
        s->top = 0;
    if (s->column >= t->n_columns)
        s->column = t->n_columns - 1;
    if (s->column < 0)
        s->column = 0;
}

static void sort_by(struct table_state *s, int column)
{
    s->ascending = s->sort == column && !s->ascending;
    s->sort = column;
}

static void choose_column(const struct table *t, struct table_state *s, int step)
{
    int to = s->column + step;

    if (to < 0 || to >= t->n_columns)
        return;
    s->column = to;
    if (is_scrolled_away(t, s, to)) /* come back to it */
        while (s->first > 0 && is_scrolled_away(t, s, to))
            s->first--;
}

static int scrollable_columns(const struct table *t)
{
    int n = 0;

    for (int i = 0; i < t->n_columns; i++)
        n += t->columns[i].rank != 0;
    return n;
}

bool table_act(const struct table *t, struct table_state *s, const struct press *p, int rows)
{
    int64_t page = rows > 2 ? rows - 1 : 1, half = page > 1 ? page / 2 : 1;
    int64_t from = s->cursor;

    switch (p->action) {
    case ACT_UP: s->cursor -= p->count; break;
    case ACT_DOWN: s->cursor += p->count; break;
    case ACT_HALF_UP: s->cursor -= half * p->count; break;
    case ACT_HALF_DOWN: s->cursor += half * p->count; break;
    case ACT_PAGE_UP: s->cursor -= page * p->count; break;
    case ACT_PAGE_DOWN: s->cursor += page * p->count; break;
    case ACT_FIRST: s->cursor = 0; break;
    case ACT_LAST: s->cursor = p->counted ? p->count - 1 : t->n_rows - 1; break;
    case ACT_COLUMN_PREV: choose_column(t, s, -p->count); break;
    case ACT_COLUMN_NEXT: choose_column(t, s, p->count); break;
    case ACT_LEFT: s->first -= s->first > 0; break;
    case ACT_RIGHT: s->first += s->first < scrollable_columns(t) - 1; break;
    case ACT_SORT:
        if (t->n_columns > 0 && t->columns[s->column].is_sortable)
            sort_by(s, s->column);
        break;
    case ACT_INVERT: s->ascending = !s->ascending; break;
    default: return false;
    }
    if (p->action == ACT_HALF_UP || p->action == ACT_HALF_DOWN ||
        p->action == ACT_PAGE_UP || p->action == ACT_PAGE_DOWN)
        s->top += s->cursor - from; /* the page moves, the cursor stays where it is on it */
    table_fix(t, s, rows);
    return true;
}

/* -- painting ---------------------------------------------------------------------------- */

static void paint_title(struct canvas *c, const struct table *t, const struct table_state *s,
                        int column, int at, int width)
{
    const struct table_column *col = &t->columns[column];
    uint32_t ink = column == s->column ? INK_HEADER_ON : INK_HEADER;
    const char *mark = column != s->sort ? "" : s->ascending ? "↑" : "↓";
    char title[128];

    snprintf(title, sizeof title, "%s%s", col->title, mark);
    if (text_width(title) == width + 1 && at > 0) { /* one column of the gap */
        at -= col->align == ALIGN_RIGHT;
        width++;
    }
    if (*mark && text_width(title) > width) { /* rather the mark than all of the name */
        canvas_fit(c, 0, at, width - 1, col->align, ink, col->title);
        canvas_text(c, 0, at + width - 1, ink, mark);
    } else {
        canvas_fit(c, 0, at, width, col->align, ink, title);
    }
}

static void paint_row(struct canvas *c, const struct table *t, const struct layout *l,
                      int64_t row, int y)
{
    for (int i = 0; i < l->n; i++) {
        struct canvas cell = canvas_sub(c, y, l->at[i], 1, l->width[i]);
        if (cell.cols > 0)
            t->cell(t->ctx, row, l->index[i], &cell);
    }
    if (t->is_selected && t->is_selected(t->ctx, row))
        for (int i = 0; i < c->cols; i++)
            c->cells[(ptrdiff_t)y * c->stride + i].style |= STYLE_BOLD | STYLE_UNDERLINE;
}

void table_paint(struct canvas *c, const struct table *t, const struct table_state *state,
                 bool focused)
{
    struct table_state s = *state;
    struct layout l;

    if (c->rows < 1 || c->cols < 1)
        return;
    table_fix(t, &s, c->rows);
    l = lay_out(t, &s, c->cols);
    for (int i = 0; i < c->cols; i++)
        canvas_text(c, 0, i, INK_HEADER, " ");
    for (int i = 0; i < l.n; i++)
        paint_title(c, t, &s, l.index[i], l.at[i], l.width[i]);
    if (t->n_rows == 0) {
        struct canvas body = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
        canvas_wrap(&body, 0, INK_DIM, t->empty ? t->empty : "nothing here");
        return;
    }
    for (int y = 1; y < c->rows && s.top + y - 1 < t->n_rows; y++) {
        int64_t row = s.top + y - 1;
        paint_row(c, t, &l, row, y);
        if (row == s.cursor)
            canvas_ground(c, y, 0, c->cols, focused ? INK_CURSOR : INK_CURSOR_OFF);
    }
}

/* -- mouse --------------------------------------------------------------------------------- */

struct table_hit table_at(const struct table *t, const struct table_state *state, int rows,
                          int cols, int row, int col)
{
    struct table_state s = *state;
    struct table_hit hit = {.row = -1, .column = -1};
    struct layout l;

    table_fix(t, &s, rows);
    l = lay_out(t, &s, cols);
    for (int i = 0; i < l.n; i++)
        if (col >= l.at[i] && col < l.at[i] + l.width[i])
            hit.column = l.index[i];
    hit.header = row == 0;
    if (row > 0 && row < rows && s.top + row - 1 < t->n_rows)
        hit.row = s.top + row - 1;
    return hit;
}

bool table_mouse(const struct table *t, struct table_state *s, const struct mouse *m,
                 int rows, int cols, bool *opened)
{
    struct table_hit hit = table_at(t, s, rows, cols, m->row, m->col);

    *opened = false;
    if (m->kind == MOUSE_WHEEL) {
        s->cursor += m->button * 3;
        s->top += m->button * 3;
        table_fix(t, s, rows);
        return true;
    }
    if (m->kind != MOUSE_PRESS || m->button != 1)
        return false;
    if (hit.header && hit.column >= 0) {
        s->column = hit.column;
        if (t->columns[hit.column].is_sortable)
            sort_by(s, hit.column);
        return true;
    }
    if (hit.row < 0)
        return false;
    *opened = hit.row == s->cursor;
    s->cursor = hit.row;
    table_fix(t, s, rows);
    return true;
}

/* -- cells ---------------------------------------------------------------------------------- */

void table_cell_text(struct canvas *c, enum align align, uint32_t style, const char *s)
{
    canvas_fit(c, 0, 0, c->cols, align, style, s);
}

void table_cell_number(struct canvas *c, double x, int digits, uint32_t style)
{
    char buf[40];

    if (isnan(x)) {
        table_cell_text(c, ALIGN_RIGHT, INK_DIM, "·");
        return;
    }
    snprintf(buf, sizeof buf, x == 0 ? "0" : "%#.*g", digits, x);
    size_t n = strlen(buf);
    if (n > 0 && buf[n - 1] == '.') /* "1234." */
        buf[n - 1] = 0;
    if (strchr(buf, 'e') || text_width(buf) > c->cols)
        number_text(x, c->cols < 5 ? 5 : c->cols, buf, sizeof buf);
    table_cell_text(c, ALIGN_RIGHT, style, buf);
}
