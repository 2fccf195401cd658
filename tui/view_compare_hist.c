/* view_compare_hist.c - view 5: the same quantity of both, over one another; see
 * view_compare.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/session.h"
#include "tui/view_compare.h"
#include "tui/wid_hist.h"

static const enum quantity offered[] = {
    QUANTITY_B_ENC, QUANTITY_THRESHOLD, QUANTITY_DENSITY, QUANTITY_MAX,
    QUANTITY_DECODER_NORM, QUANTITY_COSINE, QUANTITY_DELTA_FVU,
};
enum { OFFERED = sizeof offered / sizeof *offered };

/* The learned bias is b_enc in one and b_gate in another. */
static enum quantity quantity_of(const struct sae *sae, enum quantity q)
{
    return q == QUANTITY_B_ENC ? quantity_default(sae) : q;
}

static bool applies(const struct view *v, enum quantity q)
{
    for (int k = 0; k < 2; k++) {
        const struct sae *sae = compare_sae(v, k);
        if (sae && quantity_applies(sae, quantity_of(sae, q)))
            return true;
    }
    return false;
}

void compare_hist_finish(struct compare *s)
{
    for (int k = 0; k < 2; k++) {
        free(s->series[k].v);
        summary_finish(&s->series[k].summary);
        s->series[k] = (struct compare_series){0};
    }
}

static bool is_binned(const struct compare *s, double x)
{
    return isfinite(x) && (!s->log_values || x > 0);
}

/* Both have the same bins: over the values of both. */
static void summarise(struct view *v)
{
    struct compare *s = v->state;
    struct compare_place at = compare_places(v).hist;
    int room = at.cols - wid_hist_left(at.rows - 1, at.cols);
    struct summary_options o = {.bins = s->bins      ? s->bins
                                        : room >= 64 ? 64
                                                     : 32,
                                .log = s->log_values, .lo = INFINITY, .hi = -INFINITY};

    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; s->series[k].v && i < s->series[k].n; i++) {
            double x = s->series[k].v[i];
            if (is_binned(s, x)) {
                o.lo = fmin(o.lo, x);
                o.hi = fmax(o.hi, x);
            }
        }
    o.ranged = o.lo <= o.hi;
    for (int k = 0; k < 2; k++)
        if (s->series[k].v)
            summary_of(s->series[k].v, s->series[k].n, &o, &s->series[k].summary);
}

void compare_hist_make(struct view *v)
{
    struct compare *s = v->state;

    compare_hist_finish(s);
    if (s->of == QUANTITY_COUNT || !applies(v, s->of))
        s->of = QUANTITY_B_ENC;
    s->log_values = quantities[s->of].log_values;
    for (int k = 0; k < 2; k++) {
        const struct sae *sae = compare_sae(v, k);
        enum quantity q = sae ? quantity_of(sae, s->of) : s->of;
        if (sae && quantity_applies(sae, q))
            s->series[k].v = quantity_values(sae, compare_table_of(v, k), q, &s->series[k].n);
    }
    summarise(v);
}

void compare_hist_next(struct view *v, int by)
{
    struct compare *s = v->state;
    int i = 0;

    while (i < OFFERED && offered[i] != s->of)
        i++;
    do
        i = (i + by + OFFERED) % OFFERED;
    while (!applies(v, offered[i]));
    s->of = offered[i];
    compare_hist_make(v);
}

bool compare_hist_set(struct view *v, const char *name, struct err *err)
{
    struct compare *s = v->state;
    int q = quantity_find(name);

    for (int i = 0; i < OFFERED; i++)
        if ((int)offered[i] == q && applies(v, offered[i])) {
            s->of = offered[i];
            compare_hist_make(v);
            return true;
        }
    return err_set(err, ERR_USAGE, "of: found \"%s\" (expected b_enc, threshold, density, max, "
                                   "decoder_norm, encoder_decoder_cosine or delta_fvu, if they "
                                   "have it)", name);
}

/* -- paint ------------------------------------------------------------------------------------- */

/* "█ A mean -0.41, 87 % < 0": in short what the bars say. Returns the column after. */
static int paint_legend(const struct compare *s, int k, struct canvas *c, int row, int col)
{
    const struct summary *m = &s->series[k].summary;
    uint32_t ink = k ? INK_BAR_2 : INK_BAR;
    char mean[32], part[32];

    col = canvas_printf(c, row, col, ink, "%s %c", k ? "•" : "█", "AB"[k]);
    if (!s->series[k].v)
        return canvas_text(c, row, col, INK_DIM, " ·");
    if (!m->count)
        return canvas_text(c, row, col, INK_DIM, " none");
    if (c->cols < 36)
        return col;
    col = canvas_printf(c, row, col, INK_TEXT, " mean %s",
                        number_text(m->mean, 8, mean, sizeof mean));
    if (c->cols < 60) /* the rest would be cut off */
        return col;
    if (quantities[s->of].is_signed)
        return canvas_printf(c, row, col, INK_TEXT, ", %s < 0",
                             percent_text(m->negative_fraction, part, sizeof part));
    if (m->zero_fraction > 0)
        return canvas_printf(c, row, col, INK_TEXT, ", %s are 0",
                             percent_text(m->zero_fraction, part, sizeof part));
    return col;
}

static void paint_missing(const struct view *v, struct canvas *c)
{
    const struct compare *s = v->state;
    bool samples = samples_have_features(v->session->samples);

    if (quantities[s->of].is_scanned && !samples)
        canvas_wrap(c, 0, INK_DIM, "not known without activation samples (--acts FILE)");
    else
        canvas_wrap(c, 0, INK_DIM, "not known yet");
}

void compare_hist_paint(const struct view *v, struct canvas *c, bool focused)
{
    const struct compare *s = v->state;
    const struct hist *bins = NULL;
    struct wid_hist_series series[2];
    struct canvas body = canvas_sub(c, 2, 0, c->rows - 2, c->cols);
    int n = 0;

    if (s->of == QUANTITY_COUNT)
        return;
    canvas_rule(c, 0, s->of == QUANTITY_B_ENC ? "bias" : quantities[s->of].heading,
                focused ? INK_TITLE : INK_RULE);
    paint_legend(s, 1, c, 1, paint_legend(s, 0, c, 1, 1) + 3);
    for (int k = 0; k < 2; k++) {
        const struct hist *h = &s->series[k].summary.hist;
        if (!s->series[k].v || !h->n)
            continue;
        bins = h;
        series[n++] = (struct wid_hist_series){h->counts, NULL, k ? INK_BAR_2 : INK_BAR};
    }
    if (!n) {
        paint_missing(v, &body);
        return;
    }
    struct wid_hist_marker zero = {0, "0"};
    struct wid_hist h = {
        .n_bins = bins->n, .lo = bins->lo, .hi = bins->hi, .series = series, .n_series = n,
        .log_counts = s->log_counts, .log_values = s->log_values, .markers = &zero,
        .n_markers = !s->log_values, .cursor = -1, .brush_first = -1, .brush_last = -1,
    };
    wid_hist_paint(&body, &h);
}
