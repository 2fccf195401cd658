/* view_text_draw.c - view 8 on the screen; see view_text.h.
 *
 *   summary                what the losses are, what is taken out
 *   the text               lit by loss or by the feature under the cursor
 *   tokens                 as columns: token, loss, change, strongest features under each
 *   features | next token  of the token under the cursor
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "tui/desk.h"
#include "tui/view_text.h"
#include "tui/wid_table.h"
#include "tui/wid_tokens.h"

#define COLUMN  11  /* cells of a token's column */

struct layout {
    struct rect text, strip, list, page, next; /* page.cols 0: no room for it */
    int strip_features;
};

enum { WIDE = 150, TALL = 10, LIST = 46 };

static struct layout lay_out(const struct text_view *s, int rows, int cols)
{
    struct layout l = {0};
    int change = s->shown.n_out > 0;
    l.strip_features = rows >= 44 ? 6 : rows >= 30 ? 4 : rows >= 16 ? 3 : 1;
    int strip = 2 + change + l.strip_features; /* token, loss, change, features */
    int text = rows < 16 ? 2 : rows / 4;
    l.text = (struct rect){1, 0, text, cols};
    l.strip = (struct rect){1 + text + 1, 0, strip, cols};
    int below = l.strip.row + strip + 1;
    int width = cols >= 100 ? cols - 46 : cols / 2;
    l.list = (struct rect){below, 0, rows - below > 0 ? rows - below : 0, width - 1};
    l.next = (struct rect){below, width, l.list.rows, cols - width};
    if (cols >= WIDE && l.list.rows >= TALL) { /* the feature between the two */
        l.list.cols = LIST;
        l.page = (struct rect){below - 1, LIST + 1, l.list.rows + 1, width - LIST - 2};
    }
    return l;
}

/* -- the text -------------------------------------------------------------------------------- */

/* What a token is lit by. */
static float light_of(const struct text_view *s, int64_t p, int64_t feature)
{
    const struct prompt_token *t = &s->shown.page.tokens[p];
    if (s->colour == TEXT_BY_FEATURE)
        return feature < 0 ? 0 : fabsf(text_activation(t, feature));
    /* A token is lit by how badly it was foreseen: that loss belongs to the one before. */
    return p > 0 && isfinite(s->shown.page.tokens[p - 1].ce)
               ? (float)s->shown.page.tokens[p - 1].ce : 0;
}

/* The tokens from which on the text is painted, so that the cursor is in view: about, for
 * lines are broken at tokens. */
static int64_t first_painted(const struct view *v, int rows, int cols)
{
    const struct text_view *s = v->state;
    int lines = v->mono ? rows / 2 : rows; /* without colour digits stand below each */
    int64_t cells = 0, first = s->token;
    int64_t budget = (int64_t)cols * (lines > 2 ? lines - 2 : 1) * 3 / 4;
    for (; first > 0; first--) {
        size_t len;
        const char *bytes = desk_token_bytes(v->desk, s->shown.page.tokens[first - 1].id, &len);
        cells += str_width(bytes, len) + (len == 1 && *bytes == '\n' ? cols : 0);
        if (cells > budget)
            break;
    }
    return first;
}

/* Bytes of the pieces are kept in *text, because the desk's are borrowed for a moment. */
static struct tokens_run pieces_of(const struct view *v, int64_t first, int64_t n,
                                   struct str *text, struct token_piece *pieces)
{
    const struct text_view *s = v->state;
    const struct prompt_feature *f = text_feature(s);
    float max = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t len;
        const char *bytes = desk_token_bytes(v->desk, s->shown.page.tokens[first + i].id, &len);
        str_append(text, bytes, len);
        pieces[i].len = len;
        pieces[i].activation = light_of(s, first + i, f ? f->id : -1);
    }
    for (int64_t p = 0; p < s->shown.page.n; p++)
        max = fmaxf(max, light_of(s, p, f ? f->id : -1));
    size_t at = 0;
    for (int64_t i = 0; i < n; at += pieces[i++].len)
        pieces[i].bytes = str_text(text) + at;
    return (struct tokens_run){.pieces = pieces, .n = (int)n, .lit = -1,
                               .cursor = (int)(s->token - first), .max = max};
}

enum { MOST_PAINTED = 4096 };

static void with_pieces(const struct view *v, const struct rect *r,
                        void (*fn)(const struct tokens_run *run, int64_t first, void *ctx),
                        void *ctx)
{
    const struct text_view *s = v->state;
    int64_t first = first_painted(v, r->rows, r->cols), n = s->shown.page.n - first;
    struct str text = {0};
    if (n > MOST_PAINTED)
        n = MOST_PAINTED;
    struct token_piece *pieces = xcalloc((size_t)(n > 0 ? n : 1), sizeof *pieces);
    struct tokens_run run = pieces_of(v, first, n > 0 ? n : 0, &text, pieces);
    fn(&run, first, ctx);
    free(pieces);
    str_finish(&text);
}

static void paint_run(const struct tokens_run *run, int64_t first, void *ctx)
{
    (void)first;
    tokens_paint_wrapped(ctx, 0, run);
}

/* -- tokens as columns ------------------------------------------------------------------------ */

/* Only whole ones: the beginning of a number would read as another. */
static int64_t columns_shown(int cols)
{
    return (cols + 1) / COLUMN;
}

static int64_t first_column(const struct text_view *s, int cols)
{
    int64_t shown = columns_shown(cols), n = s->shown.page.n;
    int64_t first = s->token - shown / 2;
    first = first > n - shown ? n - shown : first;
    return first < 0 ? 0 : first;
}

static void paint_number(struct canvas *c, int row, int col, double v, bool sign, uint32_t style)
{
    if (isnan(v))
        canvas_text(c, row, col, INK_DIM, "-");
    else
        canvas_printf(c, row, col, style, sign ? "%+.3f" : "%.3f", v);
}

static void paint_column(const struct view *v, struct canvas *c, int col, int64_t p)
{
    const struct text_view *s = v->state;
    const struct prompt_token *t = &s->shown.page.tokens[p];
    bool cursor = p == s->token;
    char text[64];
    int row = 0;
    snprintf(text, sizeof text, "%s", desk_token_text(v->desk, t->id));
    canvas_fit(c, row++, col, COLUMN - 1, ALIGN_LEFT,
               cursor ? INK_LIT | STYLE_BOLD : INK_TEXT, text);
    paint_number(c, row++, col, t->ce, false, INK_VALUE);
    if (s->shown.n_out > 0) {
        double change = t->after - t->before;
        paint_number(c, row++, col, change, true, change < 0 ? INK_NEGATIVE : INK_POSITIVE);
    }
    for (int i = 0; row + i < c->rows && i < t->n_features; i++) {
        const struct prompt_feature *f = &t->features[i];
        uint32_t style = text_is_out(&s->ask, f->id) ? INK_DIM | STYLE_FAINT : INK_LABEL;
        snprintf(text, sizeof text, "#%lld %.2g", (long long)f->id, (double)f->activation);
        canvas_fit(c, row + i, col, COLUMN - 1, ALIGN_LEFT, style, text);
    }
    if (cursor)
        canvas_ground(c, 0, col, COLUMN - 1, INK_CURSOR);
}

static void paint_strip(const struct view *v, struct canvas *c)
{
    const struct text_view *s = v->state;
    int64_t first = first_column(s, c->cols), shown = columns_shown(c->cols);
    for (int64_t p = first; p < s->shown.page.n && p - first < shown; p++)
        paint_column(v, c, (int)(p - first) * COLUMN, p);
}

/* -- features of the token, and the next one ----------------------------------------------------- */

static int64_t first_listed(const struct text_view *s, int rows)
{
    return s->feature >= rows ? s->feature - rows + 1 : 0;
}

static void paint_feature(const struct view *v, struct canvas *c, int row,
                          const struct prompt_feature *f, float strongest, bool cursor)
{
    const struct text_view *s = v->state;
    bool label, out = text_is_out(&s->ask, f->id);
    const char *name = desk_name(v->desk, v->target.sae, f->id, &label);
    uint32_t style = out ? INK_DIM : INK_TEXT;
    canvas_text(c, row, 0, INK_WARNING, out ? "x" : " ");
    canvas_printf(c, row, 2, style, "#%-7lld", (long long)f->id);
    struct canvas number = canvas_sub(c, row, 11, 1, 8);
    table_cell_number(&number, (double)f->activation, 4, out ? INK_DIM : INK_VALUE);
    int bar = c->cols >= 44 ? 12 : 0;
    if (bar)
        canvas_hbar(c, row, 21, bar, (double)(fabsf(f->activation) / strongest), INK_BAR);
    int at = 21 + (bar ? bar + 1 : 0);
    canvas_fit(c, row, at, c->cols - at, ALIGN_LEFT, label ? INK_NOTE : INK_DIM, name);
    if (cursor)
        canvas_ground(c, row, 0, c->cols, INK_CURSOR);
}

static void paint_list(const struct view *v, struct canvas *c)
{
    const struct text_view *s = v->state;
    const struct prompt_token *t = text_token(s);
    if (!t || !c->rows)
        return;
    int64_t first = first_listed(s, c->rows);
    for (int64_t i = first; i < t->n_features && i - first < c->rows; i++)
        paint_feature(v, c, (int)(i - first), &t->features[i], fabsf(t->features[0].activation),
                      i == s->feature);
    if (!t->n_features)
        canvas_text(c, 0, 0, INK_DIM, "no feature is active here");
}

static void paint_next(const struct view *v, struct canvas *c)
{
    const struct text_view *s = v->state;
    bool stale = s->next_at != s->token, both = !isnan(s->next.kl);
    if (s->next_at < 0 || !c->rows)
        return;
    int at = both ? 18 : 9, word = c->cols - at > 40 ? 20 : c->cols - at > 16 ? 12 : c->cols - at;
    for (int i = 0; i < s->next.n && i < c->rows; i++) {
        const struct prompt_next *t = &s->next.tokens[i];
        uint32_t style = stale ? INK_DIM : INK_VALUE;
        char text[64];
        canvas_printf(c, i, 0, style, "%6.2f %%", 100 * t->before);
        if (both)
            canvas_printf(c, i, 9, stale ? INK_DIM : t->after < t->before ? INK_NEGATIVE
                                                                           : INK_POSITIVE,
                          "%6.2f %%", 100 * t->after);
        snprintf(text, sizeof text, "%s", desk_token_text(v->desk, t->id));
        canvas_fit(c, i, at, word, ALIGN_LEFT, stale ? INK_DIM : INK_TEXT, text);
        int bar = c->cols - at - word - 1;
        if (bar > 3)
            canvas_hbar(c, i, at + word + 1, bar, both ? t->after : t->before,
                        both ? INK_BAR_2 : INK_BAR);
    }
}

/* -- the whole -------------------------------------------------------------------------------------- */

/* Losses with and without what is taken out: never a part of them. */
static void paint_without(const struct view *v, struct canvas *c, int col)
{
    const struct text_view *s = v->state;
    const struct page_prompt *page = &s->shown.page;
    int names = c->cols >= 120 ? 4 : c->cols >= 80 ? 2 : 1;
    char kl[32];

    col = canvas_text(c, 0, col, INK_DIM, " · without");
    for (int i = 0; i < s->shown.n_out && i < names; i++)
        col = canvas_printf(c, 0, col, INK_WARNING, " #%lld", (long long)s->shown.out[i]);
    if (s->shown.n_out > names)
        col = canvas_printf(c, 0, col, INK_WARNING, " and %d", s->shown.n_out - names);
    if (isnan(page->after))
        return;
    col = canvas_printf(c, 0, col, INK_DIM, " %.4f", page->before);
    col = canvas_text(c, 0, col, INK_DIM, c->ascii ? " -> " : " → ");
    col = canvas_printf(c, 0, col, INK_VALUE, "%.4f", page->after);
    snprintf(kl, sizeof kl, " · KL %.4f", page->kl);
    if (col + text_width(kl) <= c->cols)
        canvas_text(c, 0, col, INK_DIM, kl);
}

static void paint_summary(const struct view *v, struct canvas *c)
{
    const struct text_view *s = v->state;
    const struct page_prompt *page = &s->shown.page;
    bool out = s->shown.n_out > 0;
    int col = canvas_printf(c, 0, 0, INK_TEXT, "%lld tokens", (long long)page->n);

    if (!isnan(page->ce) && (!out || c->cols >= 72)) {
        col = canvas_text(c, 0, col, INK_DIM, " · loss ");
        col = canvas_printf(c, 0, col, INK_VALUE, "%.4f", page->ce);
        if (!out || c->cols >= 100)
            col = canvas_text(c, 0, col, INK_DIM, " nats a token");
    }
    if (out)
        paint_without(v, c, col);
    else if (s->ask.n_out > 0 && s->ask.out_off)
        canvas_printf(c, 0, col, INK_DIM, " · %d out, put back in (I)", s->ask.n_out);
}

static void paint_titles(const struct view *v, const struct layout *l, struct canvas *c)
{
    const struct text_view *s = v->state;
    const struct prompt_token *t = text_token(s);
    char title[160], token[48] = "";
    canvas_rule(c, l->strip.row - 1, s->shown.n_out > 0
                    ? "tokens: loss of the next, its change, strongest features"
                    : "tokens: loss of the next, strongest features", INK_RULE);
    if (t)
        snprintf(token, sizeof token, "%s", desk_token_text(v->desk, t->id));
    snprintf(title, sizeof title, "%d features at \"%s\"", t ? (int)t->n_active : 0, token);
    struct canvas left = canvas_sub(c, l->list.row - 1, 0, 1, l->list.cols);
    struct canvas right = canvas_sub(c, l->next.row - 1, l->next.col, 1, l->next.cols);
    canvas_rule(&left, 0, title, INK_RULE);
    if (!isnan(s->next.kl) && s->next_at >= 0)
        snprintf(title, sizeof title, "next: before, after · KL %.3g", s->next.kl);
    else
        snprintf(title, sizeof title, "next token");
    canvas_rule(&right, 0, title, INK_RULE);
}

/* Why there is nothing to show, or what is wrong with what was typed. */
static bool paint_trouble(const struct view *v, struct canvas *c)
{
    const struct text_view *s = v->state;
    struct lm_hook hook;
    struct err err = {0};
    if (!v->desk) {
        canvas_text(c, 0, 0, INK_DIM, "no checkpoint is open");
        return true;
    }
    if (!desk_lm_at(v->desk, v->target.sae, &hook, &err)) {
        canvas_wrap(c, 0, err.code == ERR_CANCELLED ? INK_DIM : INK_WARNING,
                    err.code == ERR_CANCELLED ? "opening the language model ..." : err.msg);
        return true;
    }
    if (s->shown.known)
        return false;
    if (!view_paint_missing(v, TEXT_SLOT_RUN, c))
        canvas_text(c, 0, 0, INK_DIM, "no text yet: e types one");
    return true;
}

void text_draw(const struct view *v, struct canvas *c)
{
    const struct text_view *s = v->state;
    if (paint_trouble(v, c))
        return;
    struct layout l = lay_out(s, c->rows, c->cols);
    const struct err *err = &v->slots[TEXT_SLOT_RUN].err;
    if (err->code != ERR_NONE) /* the last good answer stays below it */
        canvas_fit(c, 0, 0, c->cols, ALIGN_LEFT, INK_ERROR, err->msg);
    else
        paint_summary(v, c);
    struct canvas text = canvas_sub(c, l.text.row, 0, l.text.rows, l.text.cols);
    struct canvas strip = canvas_sub(c, l.strip.row, 0, l.strip.rows, l.strip.cols);
    struct canvas list = canvas_sub(c, l.list.row, 0, l.list.rows, l.list.cols);
    struct canvas next = canvas_sub(c, l.next.row, l.next.col, l.next.rows, l.next.cols);
    with_pieces(v, &l.text, paint_run, &text);
    paint_titles(v, &l, c);
    paint_strip(v, &strip);
    paint_list(v, &list);
    paint_next(v, &next);
    if (l.page.cols > 0) {
        struct canvas page = canvas_sub(c, l.page.row, l.page.col, l.page.rows, l.page.cols);
        canvas_vline(c, l.page.row, l.page.col - 1, l.page.rows, INK_RULE);
        canvas_vline(c, l.page.row, l.next.col - 1, l.page.rows, INK_RULE);
        pane_paint(v, TEXT_SLOT_PAGE, &s->page, s->decimals, &page);
    }
}

/* -- the mouse ----------------------------------------------------------------------------------------- */

struct find {
    int row, col, cols;
    bool mono;
    int64_t token;
};

static void find_run(const struct tokens_run *run, int64_t first, void *ctx)
{
    struct find *f = ctx;
    int at = tokens_at(run, f->cols, f->mono, f->row, f->col);
    f->token = at < 0 ? -1 : first + at;
}

int64_t text_at(const struct view *v, int row, int col, int64_t *feature)
{
    const struct text_view *s = v->state;
    struct layout l = lay_out(s, v->rows, v->cols);
    *feature = -1;
    if (!s->shown.known)
        return -1;
    if (rect_has(&l.text, row, col)) {
        struct find f = {row - l.text.row, col, l.text.cols, v->mono, -1};
        with_pieces(v, &l.text, find_run, &f);
        return f.token;
    }
    if (rect_has(&l.strip, row, col)) {
        int64_t p = first_column(s, l.strip.cols) + col / COLUMN;
        return p < s->shown.page.n && col / COLUMN < columns_shown(l.strip.cols) ? p : -1;
    }
    const struct prompt_token *t = text_token(s);
    if (t && rect_has(&l.list, row, col)) {
        int64_t i = first_listed(s, l.list.rows) + row - l.list.row;
        *feature = i < t->n_features ? i : -1;
    }
    return -1;
}

/* -- copy and write --------------------------------------------------------------------------------------- */

char *text_copy(const struct view *v, bool all)
{
    const struct text_view *s = v->state;
    const struct prompt_feature *f = text_feature(s);
    struct str text = {0};
    if (!s->shown.known)
        return NULL;
    if (!all)
        return f ? xasprintf("%lld", (long long)f->id) : NULL;
    for (int64_t p = 0; p < s->shown.page.n; p++) {
        size_t len;
        const char *bytes = desk_token_bytes(v->desk, s->shown.page.tokens[p].id, &len);
        str_append(&text, bytes, len);
    }
    return str_take(&text);
}

static void put_number(FILE *out, const char *before, double x, const char *none)
{
    if (isnan(x))
        fprintf(out, "%s%s", before, none);
    else
        fprintf(out, "%s%.9g", before, x);
}

static void export_tsv(const struct page_prompt *page, FILE *out)
{
    fprintf(out, "position\ttoken_id\tce\tce_before\tce_after\tkl\tactive\tfeatures\n");
    for (int64_t p = 0; p < page->n; p++) {
        const struct prompt_token *t = &page->tokens[p];
        fprintf(out, "%lld\t%lld", (long long)p, (long long)t->id);
        put_number(out, "\t", t->ce, "");
        put_number(out, "\t", t->before, "");
        put_number(out, "\t", t->after, "");
        put_number(out, "\t", t->kl, "");
        fprintf(out, "\t%d\t", (int)t->n_active);
        for (int32_t i = 0; i < t->n_features; i++)
            fprintf(out, "%s%lld:%.9g", i ? " " : "", (long long)t->features[i].id,
                    (double)t->features[i].activation);
        fputc('\n', out);
    }
}

static void export_json(const struct page_prompt *page, FILE *out)
{
    put_number(out, "{\"ce\": ", page->ce, "null");
    fprintf(out, ", \"tokens\": [");
    for (int64_t p = 0; p < page->n; p++) {
        const struct prompt_token *t = &page->tokens[p];
        fprintf(out, "%s\n{\"token_id\": %lld", p ? "," : "", (long long)t->id);
        put_number(out, ", \"ce\": ", t->ce, "null");
        put_number(out, ", \"ce_before\": ", t->before, "null");
        put_number(out, ", \"ce_after\": ", t->after, "null");
        put_number(out, ", \"kl\": ", t->kl, "null");
        fprintf(out, ", \"features\": [");
        for (int32_t i = 0; i < t->n_features; i++)
            fprintf(out, "%s{\"id\": %lld, \"activation\": %.9g}", i ? ", " : "",
                    (long long)t->features[i].id, (double)t->features[i].activation);
        fprintf(out, "]}");
    }
    fprintf(out, "]}\n");
}

bool text_export(const struct view *v, enum export_format format, FILE *out, struct err *err)
{
    const struct text_view *s = v->state;
    if (!s->shown.known)
        return err_set(err, ERR_MISSING, "nothing is shown yet");
    (format == EXPORT_TSV ? export_tsv : export_json)(&s->shown.page, out);
    return true;
}
