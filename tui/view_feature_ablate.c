/* view_feature_ablate.c - what taking the feature out does to the language model; see
 * view_feature.h. */
#include <math.h>
#include <stdio.h>

#include "model/session_lm.h"
#include "tui/view_feature.h"
#include "tui/worst.h"

static const char *mode_name(bool kept)
{
    return kept ? "error-kept" : "reconstruction";
}

void feature_take_effects(struct view *v)
{
    struct feature_view *s = v->state;
    struct effects *effects = desk_effects(v->desk, v->target.sae);

    for (int kept = 0; kept < 2; kept++)
        s->has_exact[kept] = effects && v->target.feature >= 0 &&
                             effects_exact(effects, kept, v->target.feature, &s->exact[kept]);
}

bool feature_has_model(const struct view *v)
{
    return session_lm_path(v->session) != NULL;
}

/* Shows the pane; false: there is nothing to show in it. */
static bool show(struct view *v)
{
    if (feature_has_model(v))
        feature_focus(v, PANE_ABLATE);
    else
        app_warning(v->app, "an ablation needs a language model: --model DIR");
    return feature_has_model(v);
}

void feature_other_mode(struct view *v)
{
    struct feature_view *s = v->state;

    if (!show(v))
        return;
    s->kept = !s->kept;
    s->worst = 0;
}

void feature_ablate(struct view *v)
{
    const struct feature_view *s = v->state;

    if (!show(v))
        return;
    desk_ablate(v->desk, v->target.sae, s->kept, &v->target.feature, 1);
}

void feature_ablate_title(const struct view *v, char *buf, size_t size)
{
    const struct feature_view *s = v->state;

    snprintf(buf, size, "ablation · %s%s", mode_name(s->kept),
             s->focus == PANE_ABLATE ? " · x: the other mode" : "");
}

/* Why there is nothing yet. */
static void paint_missing(const struct view *v, struct canvas *c)
{
    const struct desk_work *work = desk_work(v->desk, v->target.sae);
    struct lm_hook hook;
    struct err err = {0};
    char text[1200];

    if (work->job)
        canvas_wrap(c, 0, INK_DIM, app_job_text(v->app, work->job, text, sizeof text));
    else if (!desk_lm_at(v->desk, v->target.sae, &hook, &err) && err.code != ERR_CANCELLED)
        canvas_wrap(c, 0, INK_ERROR, err.msg);
    else if (work->err.code && work->err.code != ERR_CANCELLED)
        canvas_wrap(c, 0, INK_ERROR, work->err.msg);
    else
        canvas_wrap(c, 0, INK_DIM, "a computes what taking the feature out does to the loss");
}

void feature_paint_ablate(const struct view *v, struct canvas *c)
{
    const struct feature_view *s = v->state;
    const struct page_ablation *e = &s->exact[s->kept];
    const struct feature_table *t = &desk_sae(v->desk, v->target.sae)->table;
    double estimate = feature_table_at(t, s->kept ? FCOL_ESTIMATE_KEPT : FCOL_ESTIMATE,
                                       v->target.feature);
    int at;

    if (!s->has_exact[s->kept]) {
        paint_missing(v, c);
        return;
    }
    at = canvas_printf(c, 0, 1, INK_VALUE | STYLE_BOLD, "Δ CE %+.4g", e->delta_ce);
    if (!isnan(estimate))
        at = canvas_printf(c, 0, at + 1, INK_DIM, "(estimate %+.3g)", estimate);
    at = canvas_printf(c, 0, at + 2, INK_VALUE, "Δ score %+.4g", e->delta_score);
    canvas_printf(c, 0, at + 2, INK_TEXT, "CE %.4f → %.4f", e->ce_before, e->ce_after);
    struct canvas list = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    worst_paint(v, &list, e, s->worst, s->focus == PANE_ABLATE);
}
