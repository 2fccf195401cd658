/* worst.c - see worst.h. */
#include "tui/worst.h"

#include <stdio.h>

#include "io/str.h"
#include "model/session.h"
#include "tui/desk.h"
#include "tui/wid_tokens.h"

enum { DELTA_WIDTH = 8, CONTEXT = 24 /* tokens */ };

/* The text up to the token that is predicted, which is lit. */
static void paint_context(const struct view *v, struct canvas *c,
                          const struct ablate_worst *w)
{
    const struct samples *samples = v->session->samples;
    int64_t end = w->position + 2, first = end > CONTEXT ? end - CONTEXT : 0;
    int64_t ids[CONTEXT];
    struct token_piece pieces[CONTEXT];
    struct tokens_run run = {.pieces = pieces, .n = (int)(end - first),
                             .lit = (int)(w->position + 1 - first), .cursor = -1, .max = 1};

    samples_ids(samples, w->sequence * samples->seq_len + first, end - first, ids);
    for (int i = 0; i < run.n; i++) {
        pieces[i].bytes = desk_token_bytes(v->desk, ids[i], &pieces[i].len);
        pieces[i].activation = 0;
    }
    tokens_paint_line(c, 0, &run);
}

static void paint_row(const struct view *v, struct canvas *c, const struct ablate_worst *w)
{
    char place[48];
    int width;

    snprintf(place, sizeof place, "%lld:%lld", (long long)w->sequence, (long long)w->position);
    width = text_width(place);
    canvas_printf(c, 0, 0, w->delta < 0 ? INK_NEGATIVE : INK_POSITIVE, "%+*.3f", DELTA_WIDTH - 1,
                  w->delta);
    struct canvas text = canvas_sub(c, 0, DELTA_WIDTH + 1, c->rows,
                                    c->cols - DELTA_WIDTH - width - 3);
    canvas_fit(c, 0, c->cols - width - 1, width, ALIGN_RIGHT, INK_DIM, place);
    if (text.cols > 0)
        paint_context(v, &text, w);
}

void worst_paint(const struct view *v, struct canvas *c, const struct page_ablation *e,
                 int cursor, bool focused)
{
    int each = tokens_line_rows(c);
    int rows = c->rows / each, top = cursor >= rows ? cursor - rows + 1 : 0;

    for (int i = 0; i < rows && top + i < e->n_worst; i++) {
        struct canvas line = canvas_sub(c, i * each, 0, each, c->cols);
        paint_row(v, &line, &e->worst[top + i]);
        if (top + i == cursor)
            canvas_ground(&line, 0, 0, DELTA_WIDTH, focused ? INK_CURSOR : INK_CURSOR_OFF);
    }
}

void worst_put(const struct view *v, const struct page_ablation *e, int i, struct str *out)
{
    const struct ablate_worst *w = &e->worst[i];
    size_t len;

    str_appendf(out, "%+.6g\t%lld:%lld\t", w->delta, (long long)w->sequence,
                (long long)w->position);
    const char *bytes = desk_token_bytes(v->desk, w->token, &len);
    str_visible(out, bytes, len, STR_ESCAPED);
    str_putc(out, '\n');
}
