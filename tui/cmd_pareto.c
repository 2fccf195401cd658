/* cmd_pareto.c - `saescope compare --pareto`: how sparse against how good, of several. */
#include "tui/cmd_pareto.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/pareto.h"
#include "tui/cmd_lm.h"
#include "tui/out_compare.h"

/* --- the score ------------------------------------------------------------------------------ */

/* Something about the inputs that leaves the score null, rather than a failure. */
static bool is_excuse(enum err_code code)
{
    return code == ERR_MISSING || code == ERR_RANGE || code == ERR_SHAPE ||
           code == ERR_UNSUPPORTED;
}

bool cmd_try_score(struct cmd *one, const struct lm *lm, struct page_score *out, bool *scored,
                   struct err *err)
{
    struct lm_hook hook;
    struct err why = {0};
    struct cmd_effects e = {0};
    struct score_options options = {.scan = session_scan_options(one->session)};
    *scored = cmd_need_hook(one, lm, &hook, &why) &&
              cmd_effects_open(one, lm, &hook, &e, &why) &&
              effects_need_score(e.kept, &e.in, &options, &one->progress, &why) &&
              effects_score(e.kept, &options, out);
    cmd_effects_close(one, &e);
    if (*scored)
        return true;
    if (!is_excuse(why.code)) {
        *err = why;
        return false;
    }
    session_warn(one->session, "%s: warning: no reconstruction score: %s", one->sae->path,
                 why.msg);
    return true;
}

/* --- the points ----------------------------------------------------------------------------- */

/* A word of the command line chose the first one, or nothing did: then it is about all. */
static bool is_about_all(const struct cmd *c)
{
    const struct session *s = c->session;
    return s->bundle.path && s->n_chosen == 1 && !c->opts.n_saes &&
           c->opts.session.n_paths == 1 && !c->holder;
}

static bool find_point(struct cmd *c, int i, const struct lm *lm, struct page_score *score,
                       struct compare_point *out, struct err *err)
{
    struct cmd one = *c;
    bool scored = false;
    if (!session_load(c->session, i, &c->progress, err))
        return false;
    const struct session_sae *e = &c->session->saes[i];
    one.i = i;
    one.sae = e->sae;
    if (cmd_samples(c) && !cmd_need_index(&one, err))
        return false;
    if (lm && !cmd_try_score(&one, lm, score, &scored, err))
        return false;
    int64_t step = e->step >= 0 ? e->step : e->sae->step;
    *out = (struct compare_point){
        .name = e->name,
        .path = e->path,
        .sae = e->sae,
        .totals = e->index ? index_totals(e->index) : NULL,
        .score = scored ? score : NULL,
        .step = step >= 0 ? (double)step : NAN,
    };
    return true;
}

/* --- for people ----------------------------------------------------------------------------- */

static const char *number(char *buf, size_t size, double x)
{
    snprintf(buf, size, isfinite(x) ? "%.4g" : "-", x);
    return buf;
}

static void show(struct out *o, const struct compare_point *points, int n, double near)
{
    struct pareto_pair *pairs;
    double *l0 = xmalloc((size_t)n * sizeof *l0);
    char t[4][32];
    int name = 4;
    for (int i = 0; i < n; i++)
        name = (int)strlen(points[i].name) > name ? (int)strlen(points[i].name) : name;
    out_heading(o, "%-*s  %-10s %9s %9s %9s %11s", name, "", "kind", "L0", "FVU", "dead",
                "rec. score");
    for (int i = 0; i < n; i++) {
        const struct scan_totals *s = points[i].totals;
        l0[i] = s ? s->l0 : NAN;
        out_line(o, "%-*s  %-10s %9s %9s %9s %11s", name, points[i].name,
                 points[i].sae->arch->name, number(t[0], sizeof t[0], l0[i]),
                 number(t[1], sizeof t[1], s ? s->fvu : NAN),
                 number(t[2], sizeof t[2], s ? s->dead_fraction : NAN),
                 number(t[3], sizeof t[3],
                        points[i].score ? points[i].score->reconstruction_score : NAN));
    }
    int n_pairs = pareto_pairs(l0, n, near, &pairs);
    out_heading(o, "L0 nearly equal (within %g %%)", 100 * near);
    for (int k = 0; k < n_pairs; k++)
        out_line(o, "%s  %s  (%.1f %%)", points[pairs[k].a].name, points[pairs[k].b].name,
                 100 * pairs[k].gap);
    if (!n_pairs)
        out_line(o, "none");
    free(pairs);
    free(l0);
}

static bool find_points(struct cmd *c, const int *which, int n, struct page_score *scores,
                        struct compare_point *points, struct err *err)
{
    const struct samples *samples = c->session->samples;
    bool wants = cmd_model_path(c) && !c->opts.session.quick && samples && samples->tokens;
    struct lm *lm = wants ? cmd_need_lm(c, err) : NULL;
    bool ok = lm || !wants;
    for (int k = 0; k < n && ok; k++)
        ok = find_point(c, which[k], lm, &scores[k], &points[k], err);
    lm_close(lm);
    return ok;
}

bool cmd_pareto(struct cmd *c, struct err *err)
{
    const struct session *s = c->session;
    bool all = is_about_all(c);
    int n = all ? s->n_saes : s->n_chosen;
    int *which = xmalloc((size_t)n * sizeof *which);
    for (int k = 0; k < n; k++)
        which[k] = all ? k : s->chosen[k];
    struct compare_point *points = xcalloc((size_t)n, sizeof *points);
    struct page_score *scores = xcalloc((size_t)n, sizeof *scores);
    double near = c->opts.near_l0 < 0 ? PARETO_NEAR : (double)c->opts.near_l0 / 100;
    bool ok = find_points(c, which, n, scores, points, err);
    if (ok && out_form(c->out) == OUT_TEXT)
        show(c->out, points, n, near);
    else if (ok)
        out_pareto(c->out, points, n, near);
    free(scores);
    free(points);
    free(which);
    return ok;
}
