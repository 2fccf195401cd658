/* view_feature_list.c - lists of examples; see view_feature.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/view_feature.h"
#include "tui/wid_hist.h"
#include "tui/wid_tokens.h"

/* -- making ---------------------------------------------------------------------------- */

/* Everything that is allocated hangs on *out at once: the reading of tokens may be left
 * (map_guard). */
void examples_make(const struct samples *samples, const struct page_feature *p,
                   const struct page_example *from, int n, struct example_list *out)
{
    int at_start = 0;

    *out = (struct example_list){.n = n};
    out->v = xcalloc((size_t)n, sizeof *out->v);
    out->unfolded = xcalloc((size_t)n, sizeof *out->unfolded);
    for (int i = 0; i < n; i++) {
        out->v[i].e = from[i];
        page_context_make(samples, p->hits, p->n_hits, from[i].token, FEATURE_REACH,
                          &out->v[i].context);
        at_start += from[i].position == 0;
    }
    out->at_start = n > 0 && 2 * at_start >= n;
}

void examples_finish(struct example_list *l)
{
    for (int i = 0; i < l->n; i++)
        page_context_finish(&l->v[i].context);
    free(l->v);
    free(l->unfolded);
    free(l->lines);
    *l = (struct example_list){0};
}

/* -- folding --------------------------------------------------------------------------- */

/* Tokens [*first, *end) of a context are within `context` of the lit one. */
static void shown_part(const struct page_context *c, int context, int *first, int *end)
{
    *first = c->lit > context ? c->lit - context : 0;
    *end = c->n - c->lit > context ? c->lit + context + 1 : c->n;
}

/* The same tokens shown, and the same activation: 1e-5 counts as equal (contract). */
static bool look_alike(const struct example *a, const struct example *b, int context)
{
    int a_first, a_end, b_first, b_end;

    shown_part(&a->context, context, &a_first, &a_end);
    shown_part(&b->context, context, &b_first, &b_end);
    if (a_end - a_first != b_end - b_first || a->context.lit - a_first != b->context.lit - b_first)
        return false;
    if (fabsf(a->e.activation - b->e.activation) > 1e-5f * fabsf(a->e.activation))
        return false;
    return a->context.ids[a->context.lit] >= 0 &&
           memcmp(a->context.ids + a_first, b->context.ids + b_first,
                  (size_t)(a_end - a_first) * sizeof *a->context.ids) == 0;
}

void examples_fold(struct example_list *l, int context)
{
    int *head = xmalloc(((size_t)l->n + 1) * sizeof *head);

    l->lines = xreallocarray(l->lines, (size_t)l->n + 1, sizeof *l->lines);
    l->n_lines = 0;
    for (int i = 0; i < l->n; i++) {
        head[i] = i;
        for (int j = 0; j < i && head[i] == i; j++)
            if (head[j] == j && look_alike(&l->v[j], &l->v[i], context))
                head[i] = j;
    }
    for (int i = 0; i < l->n; i++) {
        if (head[i] != i)
            continue;
        struct example_line *first = &l->lines[l->n_lines++];
        *first = (struct example_line){i, 1};
        for (int j = i + 1; j < l->n; j++) {
            if (head[j] != i)
                continue;
            first->count++;
            if (l->unfolded[i])
                l->lines[l->n_lines++] = (struct example_line){j, 0};
        }
    }
    free(head);
}

/* -- painting -------------------------------------------------------------------------- */

int examples_rows(int rows, bool mono)
{
    return mono ? (rows > 1 ? rows / 2 : 1) : rows;
}

static void make_pieces(const struct view *v, const struct page_context *c, int first, int n,
                        struct token_piece *pieces)
{
    for (int i = 0; i < n; i++) {
        struct token_piece *p = &pieces[i];
        p->bytes = desk_token_bytes(v->desk, c->ids[first + i], &p->len);
        p->activation = c->activations[first + i];
        if (c->ids[first + i] < 0) { /* no token ids: where it fires can still be seen */
            p->bytes = "·";
            p->len = strlen(p->bytes);
        }
    }
}

static void paint_text(struct canvas *c, const struct view *v, const struct example *x,
                       int context)
{
    const struct feature_view *s = v->state;
    struct token_piece pieces[2 * FEATURE_REACH + 1];
    struct tokens_run run = {.pieces = pieces, .cursor = -1, .max = (float)s->page->p.max};
    int first, end;

    shown_part(&x->context, context, &first, &end);
    make_pieces(v, &x->context, first, end - first, pieces);
    run.n = end - first;
    run.lit = x->context.lit - first;
    tokens_paint_line(c, 0, &run);
}

/* Widest "sequence:position" of the lines in view. */
static int place_width(const struct example_list *l, int from, int to)
{
    int widest = 0;

    for (int i = from; i < to && i < l->n_lines; i++) {
        const struct page_example *e = &l->v[l->lines[i].example].e;
        int width = snprintf(NULL, 0, "%lld:%lld", (long long)e->sequence,
                             (long long)e->position);
        widest = width > widest ? width : widest;
    }
    return widest;
}

enum { VALUE_WIDTH = 7, FOLD_WIDTH = 5 };

/* Points of a column of activations stand below one another. */
static void value_text(double a, double max, char *buf, size_t size)
{
    if (max >= 0.1 && max < 1e4)
        snprintf(buf, size, "%.*f", max < 10 ? 3 : max < 100 ? 2 : max < 1000 ? 1 : 0, a);
    else
        number_text(a, VALUE_WIDTH - 1, buf, size);
}

static void paint_line(struct canvas *c, const struct view *v, const struct example_list *l,
                       const struct example_line *line, int place, bool folds)
{
    const struct feature_view *s = v->state;
    const struct example *x = &l->v[line->example];
    int left = VALUE_WIDTH + 1, right = c->cols - place - 1;
    char buf[48];

    value_text((double)x->e.activation, s->page->p.max, buf, sizeof buf);
    canvas_fit(c, 0, 0, VALUE_WIDTH - 1, ALIGN_RIGHT, line->count ? INK_VALUE : INK_DIM, buf);
    if (c->cols >= 48) {
        snprintf(buf, sizeof buf, "%lld:%lld", (long long)x->e.sequence,
                 (long long)x->e.position);
        canvas_fit(c, 0, right + 1, place, ALIGN_RIGHT, INK_DIM, buf);
    } else {
        right = c->cols;
    }
    if (folds && line->count > 1) {
        snprintf(buf, sizeof buf, "×%d", line->count);
        canvas_fit(c, 0, right - FOLD_WIDTH + 1, FOLD_WIDTH - 1, ALIGN_RIGHT, INK_NOTE, buf);
    }
    right -= folds ? FOLD_WIDTH : 0;
    struct canvas text = canvas_sub(c, 0, left, c->rows, right - left);
    if (text.cols > 0)
        paint_text(&text, v, x, s->shown_context);
}

void examples_paint(struct canvas *c, const struct view *v, const struct example_list *l,
                    const struct rows_state *at, bool focused)
{
    int each = c->mono ? 2 : 1, n = examples_rows(c->rows, c->mono), top = at->top;
    bool folds = l->n_lines != l->n;

    for (int i = 0; i < l->n_lines; i++)
        folds |= l->lines[i].count > 1;
    if (at->cursor < top)
        top = at->cursor;
    if (at->cursor >= top + n)
        top = at->cursor - n + 1;
    int place = place_width(l, top, top + n);
    for (int i = 0; i < n && top + i < l->n_lines; i++) {
        struct canvas line = canvas_sub(c, i * each, 0, each, c->cols);
        if (line.rows < 1)
            break;
        paint_line(&line, v, l, &l->lines[top + i], place, folds);
        if (top + i == at->cursor && focused) {
            canvas_ground(&line, 0, 0, VALUE_WIDTH, INK_CURSOR);
        }
    }
}

void example_read(struct canvas *c, const struct view *v, const struct example *x)
{
    const struct feature_view *s = v->state;
    struct token_piece pieces[2 * FEATURE_REACH + 1];
    struct tokens_run run = {.pieces = pieces, .n = x->context.n, .lit = x->context.lit,
                             .cursor = x->context.lit, .max = (float)s->page->p.max};
    char buf[32];

    number_text((double)x->e.activation, 8, buf, sizeof buf);
    canvas_printf(c, 0, 0, INK_DIM, "%s at sequence %lld, position %lld · tokens %lld to %lld",
                  buf, (long long)x->e.sequence, (long long)x->e.position,
                  (long long)x->context.start, (long long)(x->context.start + x->context.n - 1));
    make_pieces(v, &x->context, 0, x->context.n, pieces);
    tokens_paint_wrapped(c, 1, &run);
}
