/* wid_tokens.c - see wid_tokens.h. */
#include "tui/wid_tokens.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

/* One drawable character and the tokens that it comes from. */
struct mark {
    char text[CELL_TEXT];
    int width;
    int first, last; /* tokens */
    float activation;
    bool newline;
};

struct marks {
    struct mark *v; /* owned */
    int n;
};

static float stronger(float a, float b)
{
    return fabsf(b) > fabsf(a) ? b : a;
}

/* The pieces' bytes joined: characters that tokens cut apart come together again. */
static struct marks marks_of(const struct tokens_run *t)
{
    size_t len = 0, at = 0;
    struct marks m = {0};
    struct glyph g;
    int cap = 0, token = 0;

    for (int i = 0; i < t->n; i++)
        len += t->pieces[i].len;
    char *bytes = xmalloc(len + 1);
    size_t *end = xmalloc(sizeof *end * (size_t)(t->n + 1)); /* of token i in bytes */
    for (int i = 0; i < t->n; i++) {
        if (t->pieces[i].len > 0)
            memcpy(bytes + at, t->pieces[i].bytes, t->pieces[i].len);
        end[i] = at += t->pieces[i].len;
    }
    struct glyphs it = {.s = bytes, .len = len};
    for (at = 0; glyph_next(&it, &g); at += g.bytes) {
        while (token < t->n && end[token] <= at)
            token++;
        struct mark k = {.width = g.width, .first = token, .last = token};
        memcpy(k.text, g.text, sizeof k.text);
        k.newline = g.bytes > 0 && bytes[at] == '\n';
        k.activation = t->pieces[token].activation;
        while (end[k.last] < at + g.bytes && k.last + 1 < t->n) {
            k.last++;
            k.activation = stronger(k.activation, t->pieces[k.last].activation);
        }
        array_grow(m.v, m.n, cap);
        m.v[m.n++] = k;
    }
    free(bytes);
    free(end);
    return m;
}

static float full_intensity(const struct tokens_run *t)
{
    float max = t->max;

    for (int i = 0; i < t->n && !(t->max > 0); i++)
        max = fmaxf(max, fabsf(t->pieces[i].activation));
    return max;
}

static bool covers(const struct mark *k, int token)
{
    return token >= 0 && k->first <= token && token <= k->last;
}

/* Is mark i part of the lit word? A blank in front of the word stays outside. */
static bool is_lit(const struct marks *m, const struct tokens_run *t, int i)
{
    if (i < 0 || i >= m->n || !covers(&m->v[i], t->lit))
        return false;
    return strcmp(m->v[i].text, " ") != 0 || is_lit(m, t, i - 1) || i + 1 == m->n ||
           !covers(&m->v[i + 1], t->lit);
}

/* The colour of a mark's activation; INK_TEXT when it has none, or hardly any. */
static enum ink colour_of(const struct canvas *c, const struct tokens_run *t,
                          const struct mark *k, float max)
{
    if (!(max > 0) || k->activation == 0 || c->mono)
        return INK_TEXT;
    if (!t->is_signed)
        return style_heat(fabsf(k->activation) / max);
    enum ink ink = style_diverge(k->activation / max);
    return ink == style_diverge(0) ? INK_TEXT : ink;
}

static uint32_t style_of(const struct canvas *c, const struct tokens_run *t,
                         const struct mark *k, float max)
{
    uint32_t style = covers(k, t->lit) && strcmp(k->text, " ") != 0 ? INK_LIT : INK_TEXT;

    style |= STYLE_ON(colour_of(c, t, k, max));
    if (covers(k, t->cursor))
        style |= STYLE_REVERSE;
    return style;
}

/* The digit under a character when there is no colour: 0 for what is barely on. Below
 * zero it is written as a letter, a to j. */
static void put_digit(struct canvas *c, int row, int col, const struct tokens_run *t,
                      const struct mark *k, float max)
{
    int level = (int)(fabsf(k->activation) / max * 9.999f);
    char text[2] = {0};

    if (k->activation == 0 || !(max > 0) || isnan(k->activation))
        return;
    level = level > 9 ? 9 : level;
    text[0] = (char)((t->is_signed && k->activation < 0 ? 'a' : '0') + level);
    canvas_text(c, row, col, INK_DIM, text);
}

/* A mark at (row, col): the character (already neutralised) and its digit. */
static void put_mark(struct canvas *c, int row, int col, const struct tokens_run *t,
                     const struct mark *k, float max)
{
    canvas_text(c, row, col, style_of(c, t, k, max), k->text);
    if (c->mono)
        put_digit(c, row + 1, col, t, k, max);
}

int tokens_line_rows(const struct canvas *c)
{
    return c->mono ? 2 : 1;
}

/* -- one line -------------------------------------------------------------------------------- */

/* The lit word stands in brackets, so that it can be told without colour. */
static int opens(const struct marks *m, const struct tokens_run *t, int i)
{
    return is_lit(m, t, i) && !is_lit(m, t, i - 1);
}

static int closes(const struct marks *m, const struct tokens_run *t, int i)
{
    return is_lit(m, t, i) && !is_lit(m, t, i + 1);
}

/* Columns before the lit word and of the lit word with its brackets. */
static void measure(const struct marks *m, const struct tokens_run *t, int *before, int *lit)
{
    *before = *lit = 0;
    for (int i = 0; i < m->n; i++) {
        int width = m->v[i].width + opens(m, t, i) + closes(m, t, i);
        if (is_lit(m, t, i))
            *lit += width;
        else if (t->lit >= 0 && *lit == 0 && m->v[i].first <= t->lit)
            *before += width;
    }
}

/* Half blocks of its colour round the word off. */
static int put_bracket(struct canvas *c, int row, int col, uint32_t style, const char *utf8,
                       const char *ascii)
{
    return canvas_text(c, row, col, style == INK_TEXT ? INK_TEXT | STYLE_BOLD : style,
                       c->ascii ? ascii : utf8);
}

void tokens_paint_line(struct canvas *c, int row, const struct tokens_run *t)
{
    struct marks m = marks_of(t);
    float max = full_intensity(t);
    int before, lit, at = 0;

    measure(&m, t, &before, &lit);
    if (t->lit >= 0) { /* lit tokens of rows stand above one another */
        int centre = (c->cols - lit) / 2;
        at = (centre > 0 ? centre : 0) - before;
    }
    int from = at;
    for (int i = 0; i < m.n; i++) {
        const struct mark *k = &m.v[i];
        uint32_t bracket = c->ascii ? INK_TEXT : colour_of(c, t, k, max);
        if (opens(&m, t, i))
            at = put_bracket(c, row, at, bracket, "▐", "[");
        if (!covers(k, t->lit) || is_lit(&m, t, i)) /* else the blank before the bracket */
            put_mark(c, row, at, t, k, max);
        at += k->width;
        if (closes(&m, t, i))
            at = put_bracket(c, row, at, bracket, "▌", "]");
    }
    if (from < 0)
        canvas_text(c, row, 0, INK_DIM, "…");
    if (at > c->cols)
        canvas_text(c, row, c->cols - 1, INK_DIM, "…");
    free(m.v);
}

/* -- wrapped ----------------------------------------------------------------------------------- */

/* Where mark i goes, given where the last one ended: words stay together when they fit on
 * a line, whatever tokens they are made of. */
struct pen {
    int row, col;
};

static bool is_blank(const struct mark *k)
{
    return strcmp(k->text, " ") == 0;
}

/* A word brings the blank before it. */
static bool starts_word(const struct marks *m, int i)
{
    return i == 0 || m->v[i - 1].newline || is_blank(&m->v[i]);
}

static int word_width(const struct marks *m, int i)
{
    int width = m->v[i].width;

    while (++i < m->n && !starts_word(m, i))
        width += m->v[i].width;
    return width;
}

static void place(const struct marks *m, int i, int cols, int line_rows, struct pen *p)
{
    int need = m->v[i].width;

    if (starts_word(m, i) && word_width(m, i) <= cols)
        need = word_width(m, i);
    if (p->col > 0 && p->col + need > cols) {
        p->row += line_rows;
        p->col = 0;
    }
}

static void after(const struct mark *k, int line_rows, struct pen *p)
{
    p->col += k->width;
    if (k->newline) {
        p->row += line_rows;
        p->col = 0;
    }
}

int tokens_paint_wrapped(struct canvas *c, int row, const struct tokens_run *t)
{
    struct marks m = marks_of(t);
    float max = full_intensity(t);
    int line_rows = tokens_line_rows(c);
    struct pen p = {.row = row};

    for (int i = 0; i < m.n; i++) {
        place(&m, i, c->cols, line_rows, &p);
        put_mark(c, p.row, p.col, t, &m.v[i], max);
        after(&m.v[i], line_rows, &p);
    }
    free(m.v);
    return p.row + (p.col > 0 || m.n == 0 ? line_rows : 0);
}

int tokens_at(const struct tokens_run *t, int cols, bool mono, int row, int col)
{
    struct marks m = marks_of(t);
    int line_rows = mono ? 2 : 1, found = -1;
    struct pen p = {0};

    for (int i = 0; i < m.n && found < 0; i++) {
        place(&m, i, cols, line_rows, &p);
        if (row >= p.row && row < p.row + line_rows && col >= p.col &&
            col < p.col + m.v[i].width)
            found = m.v[i].first;
        after(&m.v[i], line_rows, &p);
    }
    free(m.v);
    return found;
}
