/* view_score_paint.c - view 7: places and painting; see view_score.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/session_lm.h"
#include "tui/pane.h"
#include "tui/view_score.h"
#include "tui/wid_hist.h"
#include "tui/worst.h"

enum { NUMBER_ROWS = 5, DECIMALS = 5 };

static const char *mode_name(const struct score_view *s)
{
    return s->kept ? "error-kept" : "reconstruction";
}

/* -- numbers --------------------------------------------------------------------------- */

const char *const score_number_term[NUMBER_COUNT] = {
    [NUMBER_ORIGINAL] = "CE original", [NUMBER_RECONSTRUCTED] = "CE reconstructed",
    [NUMBER_ZERO] = "CE zero", [NUMBER_SCORE] = "reconstruction score",
    [NUMBER_NATS] = "nats lost", [NUMBER_BITS] = "bits lost", [NUMBER_KL] = "KL",
    [NUMBER_L0] = "L0", [NUMBER_FVU] = "FVU", [NUMBER_POSITIONS] = "positions",
};

/* What stands before the value; short. */
static const char *const label[NUMBER_COUNT] = {
    [NUMBER_ORIGINAL] = "CE original", [NUMBER_RECONSTRUCTED] = "reconstructed",
    [NUMBER_ZERO] = "zero", [NUMBER_SCORE] = "reconstruction score",
    [NUMBER_NATS] = "nats lost", [NUMBER_BITS] = "bits", [NUMBER_KL] = "KL",
    [NUMBER_L0] = "L0", [NUMBER_FVU] = "FVU", [NUMBER_POSITIONS] = "positions",
};

void score_number_text(const struct view *v, enum score_number n, char *buf, size_t size)
{
    const struct desk_score *score = desk_score(v->desk, v->target.sae);
    const struct page_score *p = &score->page;
    const double x[NUMBER_COUNT] = {p->ce_original, p->ce_reconstructed, p->ce_zero,
                                    p->reconstruction_score, p->nats_lost, p->bits_lost, p->kl,
                                    p->l0, p->fvu};
    char count[32];

    if (p->sequences == 0)
        snprintf(buf, size, "·");
    else if (n == NUMBER_POSITIONS)
        snprintf(buf, size, "%s of %lld sequences%s",
                 count_text(p->positions, count, sizeof count), (long long)p->sequences,
                 score->known ? "" : " so far");
    else
        snprintf(buf, size, n < NUMBER_SCORE ? "%.4f" : n == NUMBER_L0 ? "%.4g" : "%.4g", x[n]);
}

/* If it has room. Returns the column after. */
static int put_number(const struct view *v, struct canvas *c, int row, int col,
                      enum score_number n)
{
    const struct score_view *s = v->state;
    const struct desk_score *score = desk_score(v->desk, v->target.sae);
    bool on = s->focus == FOCUS_NUMBERS && s->number == (int)n;
    char value[64];

    score_number_text(v, n, value, sizeof value);
    if (!on && col + text_width(label[n]) + 1 + text_width(value) > c->cols)
        return col;
    int at = canvas_text(c, row, col, INK_LABEL, label[n]) + 1;
    at = canvas_text(c, row, at, !score->known ? INK_DIM
                                 : n == NUMBER_SCORE ? INK_VALUE | STYLE_BOLD : INK_VALUE,
                     value);
    if (on)
        canvas_ground(c, row, col, at - col, INK_CURSOR);
    return at + 3;
}

/* From CE original to CE zero; filled what is kept: the reconstruction score. */
static void paint_scale(const struct view *v, struct canvas *c, int row)
{
    const struct page_score *p = &desk_score(v->desk, v->target.sae)->page;
    char kept[48];
    int width = c->cols - 2;

    if (p->sequences == 0 || width < 10)
        return;
    snprintf(kept, sizeof kept, " %.1f %% kept", 100 * p->reconstruction_score);
    width -= text_width(kept);
    canvas_hline(c, row, 1, width, INK_RULE);
    canvas_hbar(c, row, 1, width, p->reconstruction_score, INK_BAR);
    canvas_text(c, row, 1 + width, INK_DIM, kept);
}

/* Why there are no effects; false: nothing is wrong. */
static bool is_wrong(const struct view *v, struct err *why)
{
    const struct desk_work *work = desk_work(v->desk, v->target.sae);
    struct lm_hook hook;

    if (work->job)
        return false;
    if (!desk_lm_at(v->desk, v->target.sae, &hook, why))
        return why->code != ERR_CANCELLED;
    *why = work->err;
    return why->code && why->code != ERR_CANCELLED;
}

/* What is under way, or what may be. */
static void work_text(const struct view *v, char *buf, size_t size)
{
    const struct score_view *s = v->state;
    const struct desk_work *work = desk_work(v->desk, v->target.sae);
    char part[256] = "", n[32], of[32];
    struct err err = {0};

    if (work->job) {
        app_job_text(v->app, work->job, part, sizeof part);
        snprintf(buf, size, "%s%s", part, strcmp(part, "waiting") == 0 ? " for other work" : "");
        return;
    }
    if (is_wrong(v, &err))
        snprintf(buf, size, "%s", err.msg);
    else if (work->err.code == ERR_CANCELLED)
        snprintf(buf, size, "cancelled: a this feature, A the strongest, R the score again");
    else if (!desk_effects(v->desk, v->target.sae))
        snprintf(buf, size, "opening the language model");
    else
        snprintf(buf, size, "%s of %s exact · a computes this one, A the next %d",
                 count_text(s->n_exact, n, sizeof n),
                 count_text(s->n_ids, of, sizeof of), s->strongest);
}

static void paint_numbers(const struct view *v, struct canvas *c)
{
    const struct desk_work *work = desk_work(v->desk, v->target.sae);
    char text[1200];
    int at = 1;

    for (int n = NUMBER_SCORE; n <= NUMBER_KL; n++)
        at = put_number(v, c, 0, at, (enum score_number)n);
    paint_scale(v, c, 1);
    at = 1;
    for (int n = NUMBER_ORIGINAL; n <= NUMBER_ZERO; n++)
        at = put_number(v, c, 2, at, (enum score_number)n);
    at = 1;
    for (int n = NUMBER_L0; n <= NUMBER_POSITIONS; n++)
        at = put_number(v, c, 3, at, (enum score_number)n);
    work_text(v, text, sizeof text);
    bool bad = work->err.code && work->err.code != ERR_CANCELLED && !work->job;
    canvas_fit(c, 4, 1, c->cols - 2, ALIGN_LEFT, bad ? INK_ERROR : INK_DIM, text);
}

/* -- the table ------------------------------------------------------------------------- */

static void put_effect(const struct view *v, struct canvas *c, int64_t id)
{
    const struct score_view *s = v->state;
    bool exact;
    double x = score_effect(v, id, &exact);
    enum ink ink = x < 0 ? INK_NEGATIVE : INK_POSITIVE;

    if (isnan(x))
        return;
    if (!exact)
        canvas_text(c, 0, 0, INK_DIM, c->ascii ? "~" : "≈");
    if (s->greatest > 0 && x != 0)
        canvas_hbar(c, 0, 1, c->cols - 1, fabs(x) / s->greatest, exact ? ink : INK_DIM);
}

static void put_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ctx;
    const struct score_view *s = v->state;
    int64_t id = s->ids[row];
    bool is_label = false;
    char buf[32];

    switch (column) {
    case SCOL_ID:
        snprintf(buf, sizeof buf, "%s%lld", desk_selected(v->desk, v->target.sae, id) ? "+" : "",
                 (long long)id);
        table_cell_text(c, ALIGN_RIGHT, INK_VALUE, buf);
        break;
    case SCOL_NAME: {
        const char *name = desk_name(v->desk, v->target.sae, id, &is_label);
        table_cell_text(c, ALIGN_LEFT, is_label ? INK_NOTE : INK_TEXT, name);
        break;
    }
    case SCOL_EFFECT: put_effect(v, c, id); break;
    default:
        pane_number(c, score_value(v, (enum score_column)column, id), DECIMALS,
                    column == SCOL_ESTIMATE ? INK_DIM : INK_VALUE);
    }
}

struct table score_table(const struct view *v)
{
    static const struct table_column columns[SCOL_COUNT] = {
        [SCOL_ID] = {"feature", 8, 0, ALIGN_RIGHT, 0, true},
        [SCOL_NAME] = {"name", 10, 2, ALIGN_LEFT, 3, false},
        [SCOL_EFFECT] = {"effect", 8, 1, ALIGN_LEFT, 4, true},
        [SCOL_DELTA_CE] = {"Δ CE", 8, 0, ALIGN_RIGHT, 1, true},
        [SCOL_ESTIMATE] = {"estimate", 8, 0, ALIGN_RIGHT, 1, true},
        [SCOL_DELTA_SCORE] = {"Δ score", 8, 0, ALIGN_RIGHT, 2, true},
        [SCOL_DELTA_FVU] = {"Δ FVU", 8, 0, ALIGN_RIGHT, 2, true},
        [SCOL_DENSITY] = {"density", 9, 0, ALIGN_RIGHT, 5, true},
    };
    const struct score_view *s = v->state;

    return (struct table){.columns = columns, .n_columns = SCOL_COUNT, .n_rows = s->n_ids,
                          .ctx = v, .cell = put_cell, .empty = "no feature is active"};
}

/* -- all ------------------------------------------------------------------------------- */

void score_places(const struct view *v, struct place at[FOCUS_COUNT])
{
    int below = NUMBER_ROWS + 1, rows = v->rows - below;

    at[FOCUS_NUMBERS] = (struct place){0, 0, NUMBER_ROWS, v->cols};
    if (v->cols >= 110) {
        int left = v->cols * 12 / 20 < 100 ? v->cols * 12 / 20 : 100;
        at[FOCUS_TABLE] = (struct place){below, 0, rows, left - 1};
        at[FOCUS_WORST] = (struct place){below, left, rows, v->cols - left};
        return;
    }
    int table = rows * 3 / 5;
    at[FOCUS_TABLE] = (struct place){below, 0, table, v->cols};
    at[FOCUS_WORST] = (struct place){below + table, 0, rows - table, v->cols};
}

static void title(const struct view *v, struct canvas *c, enum score_focus focus,
                  const char *text)
{
    const struct score_view *s = v->state;
    bool on = s->focus == focus;

    canvas_rule(c, 0, text, on ? INK_HEADER_ON | STYLE_BOLD : INK_TITLE);
    if (on)
        canvas_text(c, 0, 0, INK_BRUSH, "▸");
}

static void paint_worst(const struct view *v, struct canvas *c)
{
    const struct score_view *s = v->state;
    const struct page_ablation *e = &s->exact;
    const struct desk_work *work = desk_work(v->desk, v->target.sae);
    struct canvas in = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    char text[160];

    if (v->target.feature < 0)
        return;
    if (s->text.shown) {
        score_text_title(v, text, sizeof text);
        title(v, c, FOCUS_WORST, text);
        score_text_paint(v, &in);
        return;
    }
    snprintf(text, sizeof text, "#%lld · where the loss rises most without it",
             (long long)v->target.feature);
    title(v, c, FOCUS_WORST, text);
    if (!s->has_exact) {
        bool busy = work->job && work->kind == DESK_EXACT && work->first == v->target.feature;
        struct err why = {0};
        canvas_wrap(&in, 0, INK_DIM, /* in full: above there is one line */
                    busy ? app_job_text(v->app, work->job, text, sizeof text)
                    : is_wrong(v, &why)
                        ? why.msg
                        : "a computes its exact effect, and where the loss changes");
        return;
    }
    snprintf(text, sizeof text, "%lld active tokens · CE %.4f → %.4f · score %.4f → %.4f",
             (long long)e->active_tokens, e->ce_before, e->ce_after, e->score_before,
             e->score_after);
    canvas_fit(&in, 0, 1, in.cols - 2, ALIGN_LEFT, INK_TEXT, text);
    struct canvas list = canvas_sub(&in, 1, 0, in.rows - 1, in.cols);
    worst_paint(v, &list, e, s->worst, s->focus == FOCUS_WORST);
}

void score_draw(const struct view *v, struct canvas *c)
{
    const struct score_view *s = v->state;
    struct place at[FOCUS_COUNT];
    struct view sized = *v; /* of the canvas at hand */
    char text[96];

    if (!v->desk || desk_count(v->desk) == 0) {
        canvas_wrap(c, 0, INK_DIM, "no checkpoint is open");
        return;
    }
    sized.rows = c->rows;
    sized.cols = c->cols;
    score_places(&sized, at);
    paint_numbers(v, c);
    struct canvas rule = canvas_sub(c, NUMBER_ROWS, 0, 1, at[FOCUS_TABLE].cols);
    snprintf(text, sizeof text, "effect of taking a feature out · %s · nats a token",
             mode_name(s));
    title(v, &rule, FOCUS_TABLE, text);
    struct place *p = &at[FOCUS_TABLE];
    struct canvas in = canvas_sub(c, p->row, p->col, p->rows, p->cols);
    struct table table = score_table(v);
    table_paint(&in, &table, &s->table, s->focus == FOCUS_TABLE);
    p = &at[FOCUS_WORST];
    if (p->col > 0) /* beside the table, from its title on */
        *p = (struct place){p->row - 1, p->col, p->rows + 1, p->cols};
    in = canvas_sub(c, p->row, p->col, p->rows, p->cols);
    paint_worst(v, &in);
    if (p->col > 0)
        canvas_vline(c, p->row, p->col - 1, p->rows, INK_RULE);
}
