/* canvas.c - see canvas.h. */
#include "tui/canvas.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "io/mem.h"
#include "io/str.h"

static const struct cell blank = {.text = " ", .width = 1};

void canvas_init(struct canvas *c, int rows, int cols)
{
    rows = rows < 1 ? 1 : rows;
    cols = cols < 1 ? 1 : cols;
    *c = (struct canvas){.rows = rows, .cols = cols, .stride = cols};
    c->cells = xcalloc((size_t)rows * (size_t)cols, sizeof *c->cells);
    canvas_clear(c, INK_TEXT);
}

void canvas_finish(struct canvas *c)
{
    free(c->cells);
    *c = (struct canvas){0};
}

static int clamp(int x, int lo, int hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

bool rect_has(const struct rect *r, int row, int col)
{
    return row >= r->row && row < r->row + r->rows && col >= r->col && col < r->col + r->cols;
}

struct canvas canvas_sub(const struct canvas *c, int row, int col, int rows, int cols)
{
    int top = clamp(row, 0, c->rows), left = clamp(col, 0, c->cols);
    int bottom = clamp(rows < 0 ? row : row + rows, top, c->rows);
    int right = clamp(cols < 0 ? col : col + cols, left, c->cols);
    struct canvas sub = *c;

    sub.cells = c->cells + (ptrdiff_t)top * c->stride + left;
    sub.rows = bottom - top;
    sub.cols = right - left;
    sub.before = c->before + left;
    return sub;
}

static struct cell *cell_at(const struct canvas *c, int row, int col)
{
    return c->cells + (ptrdiff_t)row * c->stride + col;
}

static bool inside(const struct canvas *c, int row, int col)
{
    return row >= 0 && row < c->rows && col >= 0 && col < c->cols;
}

/* Writing over one half of a wide character leaves a blank in place of the other. */
static void break_wide(const struct canvas *c, struct cell *cell, int col)
{
    if (cell->width == 0 && c->before + col > 0) {
        cell[-1].width = 1;
        strcpy(cell[-1].text, " ");
    }
    if (cell->width == 2) {
        cell[1].width = 1;
        strcpy(cell[1].text, " ");
    }
}

static void put(struct canvas *c, int row, int col, uint32_t style, const char *text,
                int width)
{
    struct cell *cell;

    if (!inside(c, row, col))
        return;
    if (width == 2 && col + 1 >= c->cols) { /* half of it would be outside */
        text = " ";
        width = 1;
    }
    cell = cell_at(c, row, col);
    break_wide(c, cell, col);
    if (width == 2)
        break_wide(c, cell + 1, col + 1);
    memcpy(cell->text, text, strlen(text) + 1); /* a glyph: fits by construction */
    cell->width = (uint8_t)width;
    cell->style = style;
    if (width == 2)
        cell[1] = (struct cell){.width = 0, .style = style};
}

void canvas_clear(struct canvas *c, uint32_t style)
{
    for (int row = 0; row < c->rows; row++)
        for (int col = 0; col < c->cols; col++) {
            struct cell *cell = cell_at(c, row, col);
            if (col == 0 || col == c->cols - 1)
                break_wide(c, cell, col);
            *cell = blank;
            cell->style = style;
        }
}

void canvas_ground(struct canvas *c, int row, int col, int cols, enum ink back)
{
    for (int i = col < 0 ? 0 : col; row >= 0 && row < c->rows && i < col + cols; i++) {
        if (i >= c->cols)
            break;
        struct cell *cell = cell_at(c, row, i);
        cell->style = (cell->style & ~0xff00u) | STYLE_ON(back);
    }
}

/* -- text --------------------------------------------------------------------------- */

/* What stands in for a character when only ASCII may be sent. */
struct look_alike {
    uint32_t first, last;
    const char *ascii; /* one character for all, or one for each */
};

static const struct look_alike look_alikes[] = {
    {0x00a0, 0x00a0, " "},         {0x00b7, 0x00b7, "."}, /* nbsp, middle dot */
    {0x00d7, 0x00d7, "x"},         {0x0394, 0x0394, "D"}, /* times, Delta */
    {0x2010, 0x2015, "-"},         {0x2018, 0x2019, "'"}, /* dashes, quotes */
    {0x201c, 0x201d, "\""},        {0x2022, 0x2022, "*"}, /* bullet */
    {0x2026, 0x2026, "~"},                                /* ellipsis: cut here */
    {0x2190, 0x2193, "<^>v"},      {0x2212, 0x2212, "-"}, /* arrows, minus */
    {0x21b5, 0x21b5, "^"},         {0x21e5, 0x21e5, "^"}, /* newline, tab */
    {0x2192, 0x2192, ">"},         {0x2400, 0x243f, "^"}, /* pictures of controls */
    {0x2500, 0x2501, "-"},         {0x2502, 0x2503, "|"},
    {0x2504, 0x2505, "-"},         {0x2506, 0x2507, ":"},
    {0x2508, 0x2509, "-"},         {0x250a, 0x250b, ":"},
    {0x250c, 0x254b, "+"},         {0x254c, 0x254d, "-"},
    {0x254e, 0x254f, ":"},         {0x2550, 0x2550, "="},
    {0x2551, 0x2551, "|"},         {0x2552, 0x256c, "+"},
    {0x256d, 0x2570, "+"},         {0x2580, 0x2580, "\""},
    {0x2581, 0x2588, "._-=+*##"},  {0x2589, 0x258f, "##==--."}, /* eighths */
    {0x2590, 0x2590, "["},         {0x2591, 0x2593, ".:#"},     /* half block, shades */
    {0x25a0, 0x25ff, "o"},         {0x2605, 0x2606, "*"},       /* shapes, stars */
    {0x2713, 0x2714, "v"},         {0x2717, 0x2718, "x"},       /* check, cross */
    {0x27e8, 0x27e9, "<>"},        {0x2800, 0x2800, " "},
    {0x2801, 0x28ff, "."},         {0xfffd, 0xfffd, "?"}, /* braille */
};

static char ascii_for(uint32_t cp)
{
    for (size_t i = 0; i < sizeof look_alikes / sizeof *look_alikes; i++) {
        const struct look_alike *l = &look_alikes[i];
        if (cp >= l->first && cp <= l->last)
            return l->ascii[l->ascii[1] ? cp - l->first : 0];
    }
    return '?';
}

/* The character at s[0..len): its length, and in `visible` what it must be written out as;
 * "" if it may be shown as it is. Invalid bytes come as U+FFFD. */
static size_t decode(const char *s, size_t len, uint32_t *cp, char visible[16])
{
    int n = str_utf8_next(s, len, cp);
    struct str out = {0};

    visible[0] = 0;
    if (n < 0 || (n == 1 && *s >= 0x20 && *s < 0x7f))
        return (size_t)(n < 0 ? -n : n);
    str_visible(&out, s, (size_t)n, STR_SYMBOLS);
    if (out.len != (size_t)n || memcmp(out.data, s, out.len) != 0)
        snprintf(visible, 16, "%s", str_text(&out));
    str_finish(&out);
    return (size_t)n;
}

static void glyph_char(struct glyph *g, uint32_t cp, size_t bytes)
{
    int n = (int)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)g->text);
    g->text[n] = 0;
    g->bytes = bytes;
    g->width = utf8proc_charwidth((utf8proc_int32_t)cp) >= 2 ? 2 : 1;
}

/* Marks that follow belong to the cell as long as they fit. */
static void glyph_marks(struct glyphs *it, struct glyph *g, uint32_t cp)
{
    utf8proc_int32_t state = 0;
    size_t used = strlen(g->text);
    char harmful[16];

    while (g->bytes < it->len) {
        uint32_t next;
        size_t n = decode(it->s + g->bytes, it->len - g->bytes, &next, harmful);
        if (next == 0xfffd || harmful[0] ||
            utf8proc_grapheme_break_stateful((utf8proc_int32_t)cp, (utf8proc_int32_t)next,
                                             &state))
            break;
        if (used + n < CELL_TEXT) {
            memcpy(g->text + used, it->s + g->bytes, n);
            g->text[used += n] = 0;
            if (utf8proc_charwidth((utf8proc_int32_t)next) >= 2)
                g->width = 2;
        }
        g->bytes += n;
        cp = next;
    }
}

static bool glyph_owed(struct glyphs *it, struct glyph *out)
{
    int n = utf8proc_utf8class[(unsigned char)it->visible[0]];

    memset(out, 0, sizeof *out);
    memcpy(out->text, it->visible, (size_t)n);
    memmove(it->visible, it->visible + n, strlen(it->visible + n) + 1);
    out->width = 1;
    if (!it->visible[0]) {
        out->bytes = it->owed;
        it->s += it->owed;
        it->len -= it->owed;
    }
    return true;
}

bool glyph_next(struct glyphs *it, struct glyph *out)
{
    uint32_t cp;
    size_t n;

    if (it->visible[0])
        return glyph_owed(it, out);
    if (it->len == 0)
        return false;
    unsigned char first = (unsigned char)it->s[0];
    if (first >= 0x20 && first < 0x7f && (it->len == 1 || !(it->s[1] & 0x80))) {
        *out = (struct glyph){.text = {it->s[0]}, .width = 1, .bytes = 1};
        it->s++;
        it->len--;
        return true;
    }
    n = decode(it->s, it->len, &cp, it->visible);
    if (it->visible[0]) {
        it->owed = n;
        return glyph_owed(it, out);
    }
    if (utf8proc_charwidth((utf8proc_int32_t)cp) == 0) { /* a mark without a base gets one */
        glyph_char(out, 0x25cc, 0);
        size_t used = strlen(out->text);
        memcpy(out->text + used, it->s, n);
        out->text[used + n] = 0;
        out->bytes = n;
    } else {
        glyph_char(out, cp, n);
    }
    if (cp != 0xfffd)
        glyph_marks(it, out, cp);
    it->s += out->bytes;
    it->len -= out->bytes;
    return true;
}

static void put_glyph(struct canvas *c, int row, int col, uint32_t style,
                      const struct glyph *g)
{
    uint32_t cp;
    char plain[2] = {0};

    if (!c->ascii || !(g->text[0] & 0x80)) {
        put(c, row, col, style, c->ascii ? (plain[0] = g->text[0], plain) : g->text,
            g->width);
        return;
    }
    str_utf8_next(g->text, strlen(g->text), &cp);
    plain[0] = ascii_for(cp);
    for (int i = 0; i < g->width; i++)
        put(c, row, col + i, style, plain, 1);
}

int canvas_bytes(struct canvas *c, int row, int col, uint32_t style, const char *s,
                 size_t len)
{
    struct glyphs it = {.s = s, .len = len};
    struct glyph g;

    while (glyph_next(&it, &g)) {
        put_glyph(c, row, col, style, &g);
        col += g.width;
        if (col > c->cols + 4096) /* far outside: the end no longer matters */
            break;
    }
    return col;
}

int canvas_text(struct canvas *c, int row, int col, uint32_t style, const char *s)
{
    return canvas_bytes(c, row, col, style, s, strlen(s));
}

int canvas_printf(struct canvas *c, int row, int col, uint32_t style, const char *fmt,
                  ...)
{
    char buf[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    return canvas_text(c, row, col, style, buf);
}

static int bytes_width(const char *s, size_t len)
{
    struct glyphs it = {.s = s, .len = len};
    struct glyph g;
    int width = 0;

    while (glyph_next(&it, &g))
        width += g.width;
    return width;
}

int text_width(const char *s)
{
    return bytes_width(s, strlen(s));
}

void canvas_fit(struct canvas *c, int row, int col, int width, enum align align,
                uint32_t style, const char *s)
{
    struct glyphs it = {.s = s, .len = strlen(s)};
    struct glyph g;
    int w = text_width(s), at = col;

    if (width <= 0)
        return;
    if (w <= width) {
        int free = width - w;
        canvas_text(c, row,
                    col + (align == ALIGN_RIGHT    ? free
                           : align == ALIGN_CENTRE ? free / 2
                                                   : 0),
                    style, s);
        return;
    }
    while (glyph_next(&it, &g) && at + g.width <= col + width - 1) {
        put_glyph(c, row, at, style, &g);
        at += g.width;
    }
    canvas_text(c, row, at, style, "…");
}

int canvas_wrap(struct canvas *c, int row, uint32_t style, const char *s)
{
    int col = 0;

    while (*s) {
        size_t word = strcspn(s, " \n"), gap = strspn(s + word, " ");
        int width = bytes_width(s, word);
        if (col > 0 && col + width > c->cols) {
            row++;
            col = 0;
        }
        for (; width > c->cols && c->cols > 0; row++) { /* longer than a line: cut */
            struct glyphs it = {.s = s, .len = word};
            struct glyph g;
            for (col = 0; glyph_next(&it, &g) && col + g.width <= c->cols;
                 col += g.width) {
                put_glyph(c, row, col, style, &g);
                s += g.bytes;
                word -= g.bytes;
            }
            if (col == 0)
                return row;
            col = 0;
            width = bytes_width(s, word);
        }
        col = canvas_bytes(c, row, col, style, s, word) + (int)gap;
        s += word + gap;
        if (*s == '\n') {
            s++;
            row++;
            col = 0;
        }
    }
    return row + 1;
}

/* -- lines and bars ------------------------------------------------------------------- */

static struct glyph glyph_of(const char *text)
{
    struct glyph g = {.width = 1};
    memcpy(g.text, text, strlen(text) + 1);
    return g;
}

void canvas_hline(struct canvas *c, int row, int col, int cols, uint32_t style)
{
    struct glyph g = glyph_of("─");
    for (int i = 0; i < cols; i++)
        put_glyph(c, row, col + i, style, &g);
}

void canvas_vline(struct canvas *c, int row, int col, int rows, uint32_t style)
{
    struct glyph g = glyph_of("│");
    for (int i = 0; i < rows; i++)
        put_glyph(c, row + i, col, style, &g);
}

void canvas_rule(struct canvas *c, int row, const char *title, uint32_t style)
{
    canvas_hline(c, row, 0, c->cols, style);
    if (title && *title && c->cols > 4) {
        int width = text_width(title);
        int room = c->cols - 4 < width ? c->cols - 4 : width;
        canvas_text(c, row, 2, style, " ");
        canvas_fit(c, row, 3, room, ALIGN_LEFT, INK_TITLE, title);
        canvas_text(c, row, 3 + room, style, " ");
    }
}

struct canvas canvas_box(struct canvas *c, const char *title, uint32_t style)
{
    int last = c->rows - 1, right = c->cols - 1;

    canvas_rule(c, 0, title, style);
    canvas_hline(c, last, 0, c->cols, style);
    canvas_vline(c, 0, 0, c->rows, style);
    canvas_vline(c, 0, right, c->rows, style);
    canvas_text(c, 0, 0, style, "┌");
    canvas_text(c, 0, right, style, "┐");
    canvas_text(c, last, 0, style, "└");
    canvas_text(c, last, right, style, "┘");
    return canvas_sub(c, 1, 1, c->rows - 2, c->cols - 2);
}

/* x of `cells` cells in eighths; what is positive shows. */
static int eighths(double x, int cells)
{
    int n;

    if (!(x > 0))
        return 0;
    n = (int)lround((x > 1 ? 1 : x) * cells * 8);
    return n < 1 ? 1 : n;
}

void canvas_hbar(struct canvas *c, int row, int col, int width, double fraction,
                 uint32_t style)
{
    static const char *const part[] = {"█", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int n = width > 0 ? eighths(fraction, width) : 0;

    for (int i = 0; i * 8 < n; i++) {
        struct glyph g = glyph_of(part[n - i * 8 >= 8 ? 0 : n - i * 8]);
        put_glyph(c, row, col + i, style, &g);
    }
}

void canvas_vbars(struct canvas *c, int row, int col, int rows, const float *fraction,
                  int n, uint32_t style)
{
    static const char *const part[] = {"█", "▁", "▂", "▃", "▄", "▅", "▆", "▇"};

    for (int i = 0; i < n; i++) {
        int height = rows > 0 ? eighths(fraction[i], rows) : 0;
        for (int up = 0; up * 8 < height; up++) {
            struct glyph g = glyph_of(part[height - up * 8 >= 8 ? 0 : height - up * 8]);
            put_glyph(c, row + rows - 1 - up, col + i, style, &g);
        }
    }
}

/* How strong a ramp ink is, 0 .. 1, for shades. */
static double ink_strength(enum ink ink)
{
    if (ink >= INK_DIVERGE && ink < INK_COUNT) {
        double middle = (THEME_DIVERGE_STEPS - 1) / 2.0;
        return fabs((double)(ink - INK_DIVERGE) - middle) / middle;
    }
    if (ink >= INK_HEAT && ink < INK_DIVERGE)
        return (double)(ink - INK_HEAT) / (THEME_HEAT_STEPS - 1);
    return 0;
}

void canvas_halves(struct canvas *c, int row, int col, enum ink top, enum ink bottom)
{
    static const char *const shade[] = {" ", "░", "▒", "▓", "█"};
    struct glyph g;

    if (!c->mono && !c->ascii) {
        g = glyph_of("▀");
        put_glyph(c, row, col, (uint32_t)top | STYLE_ON(bottom), &g);
        return;
    }
    enum ink strong = ink_strength(top) >= ink_strength(bottom) ? top : bottom;
    g = glyph_of(shade[(int)lround(ink_strength(strong) * 4)]);
    put_glyph(c, row, col, (uint32_t)strong, &g);
}

/* -- dumps ---------------------------------------------------------------------------- */

static size_t dump_row(const struct canvas *c, int row, char *out,
                       size_t (*one)(const struct cell *, char *))
{
    size_t n = 0, keep = 0;

    for (int col = 0; col < c->cols; col++) {
        n += one(cell_at(c, row, col), out + n);
        if (n > 0 && out[n - 1] != ' ')
            keep = n;
    }
    out[keep] = '\n';
    return keep + 1;
}

static char *dump(const struct canvas *c, size_t (*one)(const struct cell *, char *))
{
    char *out = xmalloc((size_t)c->rows * ((size_t)c->cols * CELL_TEXT + 1) + 1);
    size_t n = 0;

    for (int row = 0; row < c->rows; row++)
        n += dump_row(c, row, out + n, one);
    out[n] = 0;
    return out;
}

static size_t one_text(const struct cell *cell, char *out)
{
    size_t n = strlen(cell->text);
    memcpy(out, cell->text, n);
    return n;
}

static size_t one_ink(const struct cell *cell, char *out)
{
    enum ink ink = style_back(cell->style);

    if (ink == INK_TEXT)
        ink = style_front(cell->style);
    if (ink >= INK_DIVERGE) {
        int off = (int)ink - INK_DIVERGE - (THEME_DIVERGE_STEPS - 1) / 2;
        *out = off < 0 ? '-' : off > 0 ? '+' : '=';
    } else if (ink >= INK_HEAT) {
        *out = (char)('0' + (ink - INK_HEAT) * 9 / (THEME_HEAT_STEPS - 1));
    } else if (ink == INK_TEXT) {
        *out = '.';
    } else {
        *out = (char)(ink <= 26 ? 'a' + (int)ink - 1 : 'A' + (int)ink - 27);
    }
    return 1;
}

char *canvas_dump(const struct canvas *c)
{
    return dump(c, one_text);
}

char *canvas_dump_inks(const struct canvas *c)
{
    return dump(c, one_ink);
}
