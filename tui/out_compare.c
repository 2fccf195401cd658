/* out_compare.c - see out_compare.h. */
#include "tui/out_compare.h"

#include <math.h>
#include <stdlib.h>

#include "io/mem.h"
#include "model/pareto.h"

static void put_point(struct out *o, const struct compare_point *p, bool on_fvu,
                      bool on_score)
{
    const struct scan_totals *t = p->totals;
    const struct page_score *s = p->score;

    out_begin(o, NULL);
    out_text(o, "name", p->name);
    out_text(o, "path", p->path);
    out_text(o, "architecture", p->sae ? p->sae->arch->name : NULL);
    if (p->sae)
        out_int(o, "d_sae", p->sae->d_sae);
    else
        out_null(o, "d_sae");
    out_num(o, "step", p->step);
    out_num(o, "l0", t ? t->l0 : NAN);
    out_num(o, "fvu", t ? t->fvu : NAN);
    out_num(o, "explained_variance", t ? t->explained_variance : NAN);
    out_num(o, "dead_fraction", t ? t->dead_fraction : NAN);
    out_num(o, "reconstruction_score", s ? s->reconstruction_score : NAN);
    out_num(o, "nats_lost", s ? s->nats_lost : NAN);
    out_num(o, "kl", s ? s->kl : NAN);
    out_bool(o, "front_fvu", on_fvu);
    out_bool(o, "front_score", on_score);
    out_end(o);
}

static void put_pairs(struct out *o, const struct compare_point *points, const double *l0,
                      int n, double near)
{
    struct pareto_pair *pairs;
    int n_pairs = pareto_pairs(l0, n, near, &pairs);

    out_rows(o, "near_l0", "a,b,l0_a,l0_b,gap");
    for (int k = 0; k < n_pairs; k++) {
        const struct pareto_pair *p = &pairs[k];
        out_begin(o, NULL);
        out_text(o, "a", points[p->a].name);
        out_text(o, "b", points[p->b].name);
        out_num(o, "l0_a", l0[p->a]);
        out_num(o, "l0_b", l0[p->b]);
        out_num(o, "gap", p->gap);
        out_end(o);
    }
    out_end(o);
    free(pairs);
}

void out_pareto(struct out *o, const struct compare_point *points, int n, double near)
{
    double *l0 = xmalloc((size_t)n * sizeof *l0), *good = xmalloc((size_t)n * sizeof *good);
    bool *on_fvu = xcalloc((size_t)n, sizeof *on_fvu);
    bool *on_score = xcalloc((size_t)n, sizeof *on_score);

    for (int i = 0; i < n; i++) {
        l0[i] = points[i].totals ? points[i].totals->l0 : NAN;
        good[i] = points[i].totals ? -points[i].totals->fvu : NAN;
    }
    pareto_front(l0, good, n, on_fvu);
    for (int i = 0; i < n; i++)
        good[i] = points[i].score ? points[i].score->reconstruction_score : NAN;
    pareto_front(l0, good, n, on_score);
    out_num(o, "near", near);
    out_rows(o, "saes", "name,path,architecture,d_sae,step,l0,fvu,explained_variance,"
                        "dead_fraction,reconstruction_score,nats_lost,kl,front_fvu,"
                        "front_score");
    for (int i = 0; i < n; i++)
        put_point(o, &points[i], on_fvu[i], on_score[i]);
    out_end(o);
    put_pairs(o, points, l0, n, near);
    free(l0);
    free(good);
    free(on_fvu);
    free(on_score);
}
