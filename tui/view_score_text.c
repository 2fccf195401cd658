/* view_score_text.c - view 7: where the loss changes; see view_score.h. */
#include <stdio.h>

#include "model/session.h"
#include "tui/view_score.h"
#include "tui/wid_tokens.h"

enum { DELTA_WIDTH = 8 };

/* The text up to the token that is predicted, which is lit. */
static void paint_context(const struct view *v, struct canvas *c,
                          const struct ablate_worst *w)
{
    const struct samples *samples = v->session->samples;
    int64_t end = w->position + 2, first = end > SCORE_CONTEXT ? end - SCORE_CONTEXT : 0;
    int64_t ids[SCORE_CONTEXT];
    struct token_piece pieces[SCORE_CONTEXT];
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

void score_paint_worst(const struct view *v, struct canvas *c)
{
    const struct score_view *s = v->state;
    int each = tokens_line_rows(c);
    int rows = c->rows / each, top = s->worst >= rows ? s->worst - rows + 1 : 0;

    for (int i = 0; i < rows && top + i < s->exact.n_worst; i++) {
        struct canvas line = canvas_sub(c, i * each, 0, each, c->cols);
        paint_row(v, &line, &s->exact.worst[top + i]);
        if (top + i == s->worst)
            canvas_ground(&line, 0, 0, DELTA_WIDTH,
                          s->focus == FOCUS_WORST ? INK_CURSOR : INK_CURSOR_OFF);
    }
}
