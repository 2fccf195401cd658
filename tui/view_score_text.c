/*
 * view_score_text.c - view 7: the losses of one sequence in its text; see view_score.h.
 *
 * Both modes of ablation are run over the sequence. What they are compared with is x_hat in
 * one and x in the other, so that the difference of these losses is what the whole
 * reconstruction does to each token.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/session_lm.h"
#include "tui/view_score.h"
#include "tui/wid_tokens.h"

#define LEAST 0.03 /* of the greatest change */

/* -- the job --------------------------------------------------------------------------- */

struct text_job {
    struct job job;
    const struct lm *lm;           /* borrowed, as the others */
    const struct sae *sae;
    const struct samples *samples;
    struct lm_hook hook;
    struct scan_options scan;
    int64_t feature, sequence;
    struct page_ablation_tokens tokens[2]; /* owned until taken */
};

static bool text_run(struct job *job, const struct progress *p, struct err *err)
{
    struct text_job *j = (struct text_job *)job;

    for (int kept = 0; kept < 2; kept++) {
        struct ablate_options options = {.scan = j->scan, .error_kept = kept};
        if (!ablate_tokens(j->lm, &j->hook, j->sae, j->samples, j->feature, j->sequence,
                           &options, p, &j->tokens[kept], err))
            return false;
    }
    return true;
}

static void text_free(struct job *job)
{
    struct text_job *j = (struct text_job *)job;

    for (int kept = 0; kept < 2; kept++)
        page_ablation_tokens_finish(&j->tokens[kept]);
    free(j);
}

static const struct job_ops text_ops = {"losses", text_run, text_free};

void score_text_finish(struct score_text *t)
{
    for (int kept = 0; kept < 2; kept++)
        page_ablation_tokens_finish(&t->tokens[kept]);
}

void score_text_show(struct view *v, int64_t sequence, int64_t position)
{
    struct score_view *s = v->state;
    const struct samples *samples = v->session->samples;
    struct lm_hook hook;
    struct err err = {0};
    const struct lm *lm = desk_lm_at(v->desk, v->target.sae, &hook, &err);
    int64_t n = samples && samples->seq_len > 0 ? samples->n_tok / samples->seq_len : 0;

    if (!lm || n == 0 || v->target.feature < 0) {
        app_error(v->app, &err);
        return;
    }
    s->text.shown = true;
    s->text.sequence = (sequence % n + n) % n;
    s->text.cursor = (int)(position + 1 < samples->seq_len ? position + 1 : 0);
    struct text_job *j = job_new(&text_ops, sizeof *j);
    j->lm = lm;
    j->hook = hook;
    j->sae = v->session->saes[v->target.sae].sae;
    j->samples = samples;
    j->scan = session_scan_options(v->session);
    j->feature = v->target.feature;
    j->sequence = s->text.sequence;
    view_start(v, SLOT_TEXT, LANE_QUICK, &j->job);
}

void score_text_loaded(struct view *v, struct job *job)
{
    struct score_view *s = v->state;
    struct text_job *j = (struct text_job *)job;

    score_text_finish(&s->text);
    for (int kept = 0; kept < 2; kept++) {
        s->text.tokens[kept] = j->tokens[kept];
        j->tokens[kept] = (struct page_ablation_tokens){0};
    }
}

bool score_text_ready(const struct view *v)
{
    const struct score_view *s = v->state;
    const struct page_ablation_tokens *t = &s->text.tokens[0];

    return t->ids && t->sequence == s->text.sequence && t->id == v->target.feature;
}

/* -- what it shows --------------------------------------------------------------------- */

/* The change of the loss of predicting token p. */
double score_text_change(const struct score_view *s, int64_t p)
{
    const struct page_ablation_tokens *t = s->text.tokens;

    if (p < 1 || p >= t[0].n)
        return NAN;
    return s->text.whole ? t[0].before[p - 1] - t[1].before[p - 1] : t[s->kept].delta[p - 1];
}

static void info_text(const struct view *v, char *buf, size_t size)
{
    const struct score_view *s = v->state;
    const struct page_ablation_tokens *t = &s->text.tokens[s->kept];
    int64_t p = s->text.cursor;
    double change = score_text_change(s, p), before;
    size_t n;

    if (isnan(change)) {
        n = (size_t)snprintf(buf, size, "the first token is not predicted");
    } else {
        before = s->text.whole ? s->text.tokens[1].before[p - 1] : t->before[p - 1];
        n = (size_t)snprintf(buf, size, "\"%s\" at %lld: loss %.3f → %.3f (%+.3f)",
                             desk_token_text(v->desk, t->ids[p]), (long long)p, before,
                             before + change, change);
    }
    if (t->taken[p] > 0 && n < size)
        snprintf(buf + n, size - n, " · active here, |c| %.3g", t->taken[p]);
}

void score_text_title(const struct view *v, char *buf, size_t size)
{
    const struct score_view *s = v->state;

    const char *form = s->text.whole ? "sequence %lld · reconstructed (t: without #%lld)"
                                     : "sequence %lld · without #%lld (t: reconstructed)";

    snprintf(buf, size, form, (long long)s->text.sequence, (long long)v->target.feature);
}

static double greatest(const struct score_view *s)
{
    double max = 0;

    for (int64_t p = 1; p < s->text.tokens[0].n; p++)
        max = fmax(max, fabs(score_text_change(s, p)));
    return max > 0 ? max : 1;
}

/* The row of the wrapped text that the token under the cursor stands in. */
static int row_of(const struct tokens_run *run, const struct canvas *c)
{
    for (int row = 0; row <= 2 * run->n; row++)
        for (int col = 0; col < c->cols; col++)
            if (tokens_at(run, c->cols, c->mono, row, col) == run->cursor)
                return row;
    return 0;
}

void score_text_paint(const struct view *v, struct canvas *c)
{
    const struct score_view *s = v->state;
    const struct page_ablation_tokens *t = &s->text.tokens[0];
    char info[256];

    if (!score_text_ready(v)) {
        if (!view_paint_missing(v, SLOT_TEXT, c))
            canvas_wrap(c, 0, INK_DIM, "computing …");
        return;
    }
    struct token_piece *pieces = xcalloc((size_t)t->n, sizeof *pieces);
    double max = greatest(s);
    for (int64_t p = 0; p < t->n; p++) {
        double change = score_text_change(s, p);
        pieces[p].bytes = desk_token_bytes(v->desk, t->ids[p], &pieces[p].len);
        /* What is hardly changed has no ground, so that the rest stands out. */
        pieces[p].activation = fabs(change) > LEAST * max ? (float)change : 0;
    }
    struct tokens_run run = {.pieces = pieces, .n = (int)t->n, .lit = -1,
                             .cursor = s->text.cursor, .max = (float)max, .is_signed = true};
    info_text(v, info, sizeof info);
    canvas_fit(c, 0, 1, c->cols - 2, ALIGN_LEFT, INK_TEXT, info);
    struct canvas in = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    if (in.rows > 0) {
        int row_at = row_of(&run, &in), each = tokens_line_rows(&in);
        int top = row_at + each > in.rows ? row_at + each - in.rows : 0;
        struct canvas whole;
        canvas_init(&whole, top + in.rows, in.cols);
        whole.ascii = c->ascii;
        whole.mono = c->mono;
        tokens_paint_wrapped(&whole, 0, &run);
        for (int row = 0; row < in.rows; row++)
            memcpy(in.cells + (ptrdiff_t)row * in.stride,
                   whole.cells + (ptrdiff_t)(row + top) * whole.stride,
                   (size_t)in.cols * sizeof *in.cells);
        canvas_finish(&whole);
    }
    free(pieces);
}

/* -- keys ------------------------------------------------------------------------------ */

bool score_text_act(struct view *v, const struct press *p)
{
    struct score_view *s = v->state;
    int to = s->text.cursor, n = (int)s->text.tokens[0].n;

    switch (p->action) {
    case ACT_LEFT:
    case ACT_UP: to -= p->count; break;
    case ACT_RIGHT:
    case ACT_DOWN: to += p->count; break;
    case ACT_FIRST: to = 0; break;
    case ACT_LAST: to = n - 1; break;
    case ACT_AXIS: s->text.whole = !s->text.whole; return true;
    case ACT_CONTEXT_LESS: score_text_show(v, s->text.sequence - p->count, 0); return true;
    case ACT_CONTEXT_MORE: score_text_show(v, s->text.sequence + p->count, 0); return true;
    case ACT_OPEN:
    case ACT_BACK: s->text.shown = false; return true;
    default: return false;
    }
    if (n > 0)
        s->text.cursor = to < 0 ? 0 : to >= n ? n - 1 : to;
    return true;
}
