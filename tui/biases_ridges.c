/* biases_ridges.c - how a series of checkpoints looks: a ridge each, and what moves with
 * the step as lines. See biases.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/biases.h"
#include "tui/wid_hist.h"
#include "tui/wid_line.h"

enum { WIDE = 100, LABEL_COLS = 12, FIGURE_COLS = 9, RIDGE_ROWS_MAX = 4, HEAD_ROWS = 3 };

static const char *axis_name(enum series_by by)
{
    return by == SERIES_BY_STEP ? "step" : by == SERIES_BY_L1 ? "L1 coefficient" : "checkpoint";
}

/* "step 4000", "L1 0.7", or its name. */
static void name_of(const struct view *v, int k, char *buf, size_t size)
{
    const struct biases *b = v->state;
    const struct series_member *m = &b->run.series.members[k];
    char number[32];

    if (b->run.series.by == SERIES_BY_STEP)
        snprintf(buf, size, "%s", count_text(m->step, number, sizeof number));
    else if (b->run.series.by == SERIES_BY_L1)
        snprintf(buf, size, "L1 %s", number_text(m->l1, 8, number, sizeof number));
    else
        snprintf(buf, size, "%s", v->session->saes[m->sae].name);
}

/* What share is worth following: below zero of signed quantities, else exactly zero. */
static double share_of(const struct biases *b, const struct biases_point *p)
{
    return quantities[b->run.of].is_signed ? p->summary.negative_fraction
                                           : p->summary.zero_fraction;
}

static const char *share_name(const struct biases *b)
{
    enum quantity q = b->run.of;
    return quantities[q].is_signed                        ? "< 0"
           : q == QUANTITY_DENSITY || q == QUANTITY_MAX ? "dead"
                                                          : "= 0";
}

/* -- head ------------------------------------------------------------------------------------ */

static const struct biases_point *known_from(const struct biases_run *r, int from, int by)
{
    for (int k = from; k >= 0 && k < r->series.n; k += by)
        if (r->points[k].state == POINT_KNOWN)
            return &r->points[k];
    return NULL;
}

static void paint_head(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    const struct biases_run *r = &b->run;
    const struct series *s = &r->series;
    char first[48], last[48], mean[2][32], share[2][32], text[320];
    int known = biases_run_known(r);

    name_of(v, 0, first, sizeof first);
    name_of(v, s->n - 1, last, sizeof last);
    int n = snprintf(text, sizeof text, "%s of %d checkpoints by %s, %s to %s",
                     quantities[r->of].name, s->n, axis_name(s->by), first, last);
    if (known < s->n)
        n += snprintf(text + n, sizeof text - (size_t)n, " · %d known", known);
    if (s->left_out)
        snprintf(text + n, sizeof text - (size_t)n, " · %d more left out", s->left_out);
    canvas_fit(c, 0, 1, c->cols - 2, ALIGN_LEFT, INK_VALUE | STYLE_BOLD, text);
    const struct biases_point *a = known_from(r, 0, 1), *z = known_from(r, s->n - 1, -1);
    if (!a)
        return;
    number_text(a->summary.mean, 8, mean[0], sizeof mean[0]);
    number_text(z->summary.mean, 8, mean[1], sizeof mean[1]);
    percent_text(share_of(b, a), share[0], sizeof share[0]);
    percent_text(share_of(b, z), share[1], sizeof share[1]);
    snprintf(text, sizeof text, "mean %s → %s · %s: %s → %s", mean[0], mean[1], share_name(b),
             share[0], share[1]);
    canvas_fit(c, 1, 1, c->cols - 2, ALIGN_LEFT, INK_VALUE, text);
}

/* -- ridges ------------------------------------------------------------------------------------ */

static int rows_each(int rows, int n)
{
    int each = n > 0 ? (rows - HEAD_ROWS) / n : 1;
    return each < 1 ? 1 : each > RIDGE_ROWS_MAX ? RIDGE_ROWS_MAX : each;
}

int biases_run_rows(const struct view *v, int rows)
{
    const struct biases *b = v->state;
    int body = rows - 2 - HEAD_ROWS; /* tabs are above, the axis is below */

    return body > 0 ? (rows - 2 - HEAD_ROWS) / rows_each(rows - 2, b->run.series.n) : 1;
}

/* Heights of a column each; bins that share one add up. Each ridge to its own height. */
static void heights(const struct biases *b, const struct hist *h, float *out, int cols)
{
    double most = 0;

    for (int col = 0; col < cols; col++) {
        int first = (int)((int64_t)col * h->n / cols), last = (int)((int64_t)(col + 1) * h->n / cols);
        double count = 0;
        for (int i = first; i < last || i == first; i++)
            count += (double)h->counts[i];
        out[col] = (float)(b->log_counts ? log10(1 + count) : count);
        most = (double)out[col] > most ? (double)out[col] : most;
    }
    for (int col = 0; col < cols && most > 0; col++)
        out[col] /= (float)most;
}

static void paint_figures(const struct biases *b, const struct biases_point *p, struct canvas *c,
                          int row, uint32_t ink)
{
    char text[32];
    double x = p->summary.mean;

    number_text(x, FIGURE_COLS - 1, text, sizeof text);
    canvas_fit(c, row, c->cols - 2 * FIGURE_COLS, FIGURE_COLS - 1, ALIGN_RIGHT,
               ink ? ink : !quantities[b->run.of].is_signed || x == 0 ? INK_VALUE
                       : x < 0                                        ? INK_NEGATIVE
                                                                      : INK_POSITIVE, text);
    canvas_fit(c, row, c->cols - FIGURE_COLS, FIGURE_COLS - 1, ALIGN_RIGHT, INK_VALUE,
               percent_text(share_of(b, p), text, sizeof text));
}

static void paint_ridge(const struct view *v, struct canvas *c, int row, int rows, int k)
{
    const struct biases *b = v->state;
    const struct biases_run *r = &b->run;
    const struct biases_point *p = &r->points[k];
    int left = LABEL_COLS, cols = c->cols - LABEL_COLS - 2 * FIGURE_COLS - 1, base = row + rows - 1;
    float height[1024];
    char name[64];

    name_of(v, k, name, sizeof name);
    canvas_fit(c, base, 0, LABEL_COLS - 1, ALIGN_RIGHT,
               k == r->cursor ? INK_BRUSH : INK_LABEL, name);
    cols = cols > 1024 ? 1024 : cols;
    if (p->state == POINT_FAILED)
        canvas_fit(c, base, left, c->cols - left, ALIGN_LEFT,
                   p->err.code == ERR_CANCELLED ? INK_DIM : INK_WARNING, p->err.msg);
    else if (p->state == POINT_WAITING)
        canvas_text(c, base, left, INK_DIM, p->wants_scan ? "to be scanned" : "…");
    if (p->state != POINT_KNOWN || cols < 1)
        return;
    const struct hist *h = &p->summary.hist;
    if (h->n > 0) {
        double at = r->log_values ? -1 : (0 - h->lo) / (h->hi - h->lo) * cols;
        heights(b, h, height, cols);
        if (at >= 0 && at < cols)
            canvas_vline(c, row, left + (int)at, rows, INK_MARKER);
        canvas_vbars(c, row, left, rows, height, cols,
                     k == r->cursor ? INK_BRUSH : k % 2 ? INK_BAR_3 : INK_BAR);
    }
    paint_figures(b, p, c, base, 0);
}

static void paint_axis(const struct biases *b, struct canvas *c, int row)
{
    const struct biases_run *r = &b->run;
    struct canvas axis = canvas_sub(c, row, LABEL_COLS, 1,
                                    c->cols - LABEL_COLS - 2 * FIGURE_COLS - 1);

    if (r->lo <= r->hi)
        axis_paint(&axis, r->log_values ? log10(r->lo) : r->lo,
                   r->log_values ? log10(r->hi) : r->hi, r->log_values,
                   quantities[r->of].heading);
}

static void paint_ridges(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    const struct biases_run *r = &b->run;
    int each = rows_each(c->rows + HEAD_ROWS - 2, r->series.n), fit = (c->rows - 2) / each;
    int top = r->top;

    if (r->cursor < top)
        top = r->cursor;
    if (fit > 0 && r->cursor >= top + fit)
        top = r->cursor - fit + 1;
    canvas_fit(c, 0, 0, LABEL_COLS - 1, ALIGN_RIGHT, INK_DIM,
               r->series.by == SERIES_BY_L1 ? "" : axis_name(r->series.by));
    canvas_fit(c, 0, c->cols - 2 * FIGURE_COLS, FIGURE_COLS - 1, ALIGN_RIGHT, INK_DIM, "mean");
    canvas_fit(c, 0, c->cols - FIGURE_COLS, FIGURE_COLS - 1, ALIGN_RIGHT, INK_DIM,
               share_name(b));
    int row = 1;
    for (int k = top; k < r->series.n && k < top + fit; k++, row += each)
        paint_ridge(v, c, row, each, k);
    if (row < c->rows)
        paint_axis(b, c, row);
}

/* -- lines -------------------------------------------------------------------------------------- */

enum { LINE_MEAN = STATS_QUANTILES, LINE_SHARE, LINES };

/* y [LINES][n] by member; NaN where it is not known. Steps span decades. */
struct lines {
    float x[SERIES_MAX], y[LINES][SERIES_MAX];
    int n;
    bool log_x, log_y;
};

static void collect(const struct biases *b, struct lines *l)
{
    const struct biases_run *r = &b->run;
    const struct series_member *m = r->series.members;

    l->n = r->series.n;
    l->log_x = r->series.by != SERIES_BY_ORDER && m[0].x > 0 && m[l->n - 1].x / m[0].x > 20;
    l->log_y = r->log_values;
    for (int k = 0; k < l->n; k++) {
        const struct biases_point *p = &r->points[k];
        l->x[k] = (float)(l->log_x ? log10(m[k].x) : m[k].x);
        for (int q = 0; q < LINES; q++) {
            double y = p->state != POINT_KNOWN ? NAN
                       : q == LINE_SHARE      ? share_of(b, p)
                       : q == LINE_MEAN       ? p->summary.mean
                                              : p->quantiles[q];
            l->y[q][k] = (float)(l->log_y && q != LINE_SHARE ? log10(y) : y);
        }
    }
}

static void paint_values(const struct biases *b, const struct lines *l, struct canvas *c)
{
    static const uint32_t inks[STATS_QUANTILES] = {INK_BAR_4, INK_BAR_3, INK_BAR, INK_BAR_3,
                                                   INK_BAR_4};
    static const char *const names[STATS_QUANTILES] = {"5–95 %", "25–75 %", "median", NULL, NULL};
    struct plot_series series[STATS_QUANTILES + 1];
    char title[64];

    for (int q = 0; q < STATS_QUANTILES; q++)
        series[q] = (struct plot_series){l->x, l->y[q], l->n, 1, inks[q],
                                         c->cols >= 46 ? names[q] : NULL};
    series[LINE_MEAN] = (struct plot_series){l->x, l->y[LINE_MEAN], l->n, 1, INK_BAR_2, "mean"};
    snprintf(title, sizeof title, "%s by %s", quantities[b->run.of].heading,
             axis_name(b->run.series.by));
    canvas_rule(c, 0, title, INK_RULE);
    struct canvas body = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    plot_paint(&body, &(struct plot){.series = series, .n_series = STATS_QUANTILES + 1,
                                     .x_lo = (double)l->x[0],
                                     .x_hi = (double)l->x[l->n - 1],
                                     .log_x = l->log_x, .log_y = l->log_y,
                                     .x_label = axis_name(b->run.series.by),
                                     .cursor_series = LINE_MEAN, .cursor = b->run.cursor,
                                     .zero_lines = !l->log_y});
}

static void paint_share(const struct biases *b, const struct lines *l, struct canvas *c)
{
    struct plot_series series = {l->x, l->y[LINE_SHARE], l->n, 1, INK_BAR_2, NULL};
    float least = INFINITY, most = -INFINITY;
    char title[64];

    for (int k = 0; k < l->n; k++)
        if (isfinite(series.y[k])) {
            least = series.y[k] < least ? series.y[k] : least;
            most = series.y[k] > most ? series.y[k] : most;
        }
    bool narrow = least <= most && most - least < .05f && least < most; /* else from 0 to 1 */
    snprintf(title, sizeof title, "fraction %s", share_name(b));
    canvas_rule(c, 0, title, INK_RULE);
    struct canvas body = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    plot_paint(&body, &(struct plot){.series = &series, .n_series = 1,
                                     .x_lo = (double)l->x[0],
                                     .x_hi = (double)l->x[l->n - 1], .log_x = l->log_x,
                                     .y_lo = narrow ? (double)least : 0,
                                     .y_hi = narrow ? (double)most : 1,
                                     .x_label = axis_name(b->run.series.by),
                                     .cursor_series = 0, .cursor = b->run.cursor});
}

static void paint_lines(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    struct lines l;
    int upper = c->rows * 3 / 5;

    collect(b, &l);
    struct canvas values = canvas_sub(c, 0, 0, upper, c->cols);
    struct canvas share = canvas_sub(c, upper, 0, c->rows - upper, c->cols);
    paint_values(b, &l, &values);
    paint_share(b, &l, &share);
}

void biases_run_paint(const struct view *v, struct canvas *c)
{
    const struct biases *b = v->state;
    struct canvas body = canvas_sub(c, 2, 0, c->rows - 2, c->cols);

    if (b->run.series.n == 0 || c->rows < 3 || c->cols < LABEL_COLS)
        return;
    paint_head(v, c);
    if (c->cols < WIDE) {
        if (b->pane == BIASES_LIST)
            paint_lines(v, &body);
        else
            paint_ridges(v, &body);
        return;
    }
    int right = c->cols * 2 / 5;
    struct canvas ridges = canvas_sub(&body, 0, 0, body.rows, c->cols - right - 1);
    struct canvas lines = canvas_sub(&body, 0, c->cols - right, body.rows, right);
    canvas_vline(&body, 0, c->cols - right - 1, body.rows, INK_RULE);
    paint_ridges(v, &ridges);
    paint_lines(v, &lines);
}
