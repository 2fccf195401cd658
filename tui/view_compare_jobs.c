/* view_compare_jobs.c - view 5: what takes long; see view_compare.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/session.h"
#include "tui/view_compare.h"

/* -- objects that jobs write to ------------------------------------------------------------ */

void compare_top_drop(struct compare_top *t)
{
    if (!t || --t->holders > 0)
        return;
    free(t->v[0]);
    free(t->v[1]);
    free(t);
}

void compare_figures_drop(struct compare_figures *f)
{
    if (!f || --f->holders > 0)
        return;
    free(f->v);
    free(f);
}

void compare_forget(struct view *v, bool only_figures)
{
    struct compare *s = v->state;

    view_start(v, SLOT_FIGURES, LANE_LONG, NULL);
    for (int p = 0; p < PAIRINGS; p++)
        for (int k = 0; k < 2; k++) {
            compare_figures_drop(s->figures[p][k]);
            s->figures[p][k] = NULL;
        }
    if (only_figures)
        return;
    view_start(v, SLOT_MATCH, LANE_LONG, NULL);
    compare_top_drop(s->top);
    s->top = NULL;
    for (int k = 0; k < 2; k++) {
        free(s->one[k]);
        s->one[k] = NULL;
    }
    s->one_mean = s->mmcs[0] = s->mmcs[1] = NAN;
    s->n_ids = 0;
    s->seen = s->seen_figures = 0;
    memset(s->counts, 0, sizeof s->counts);
}

/* Up to so many multiplications it takes less than a second, and need not wait behind
 * scans and scores. */
#define QUICK_WORK 5e9

static enum lane lane_of(const struct view *v)
{
    const struct sae *a = compare_sae(v, 0), *b = compare_sae(v, 1);
    double work = (double)a->d_sae * (double)b->d_sae * (double)a->d_out;

    return work <= QUICK_WORK ? LANE_QUICK : LANE_LONG;
}

/* -- candidates, and the one-to-one matching ------------------------------------------------ */

struct match_job {
    struct job job;
    const struct sae *sae[2];
    int threads;
    struct compare_top *top;  /* held */
    bool optimal;
    int64_t *b_of_a;          /* the answer of the second kind; owned until taken */
    double mean;              /* cosine of these pairs */
};

static void match_free(struct job *job)
{
    struct match_job *j = (struct match_job *)job;

    compare_top_drop(j->top);
    free(j->b_of_a);
    free(j);
}

static bool unit_rows(const struct match_job *j, struct match_rows rows[2], struct err *err)
{
    rows[0] = rows[1] = (struct match_rows){0};
    return match_rows_init(&rows[0], &j->sae[0]->W_dec, err) &&
           match_rows_init(&rows[1], &j->sae[1]->W_dec, err);
}

static bool match_run(struct job *job, const struct progress *p, struct err *err)
{
    struct match_job *j = (struct match_job *)job;
    struct compare_top *t = j->top;
    struct match_rows rows[2];
    bool ok = unit_rows(j, rows, err) &&
              match_top(&rows[0], &rows[1], j->threads, p, t->v[0], t->v[1], &t->rows, err);

    match_rows_finish(&rows[0]);
    match_rows_finish(&rows[1]);
    return ok;
}

static bool assign_run(struct job *job, const struct progress *p, struct err *err)
{
    struct match_job *j = (struct match_job *)job;
    struct match_rows rows[2];
    int64_t n = j->sae[0]->d_sae, pairs = 0;
    double sum = 0;
    bool ok = unit_rows(j, rows, err) &&
              (j->b_of_a = mem_try((size_t)n, sizeof *j->b_of_a, "matching", err)) &&
              compare_assign(&rows[0], &rows[1], j->optimal, j->threads, p, j->b_of_a, err);

    for (int64_t i = 0; i < n && ok; i++)
        if (j->b_of_a[i] >= 0) {
            sum += (double)match_cosine(&rows[0], i, &rows[1], j->b_of_a[i]);
            pairs++;
        }
    j->mean = pairs ? sum / (double)pairs : NAN;
    match_rows_finish(&rows[0]);
    match_rows_finish(&rows[1]);
    return ok;
}

static const struct job_ops match_ops = {"best matches", match_run, match_free};
static const struct job_ops assign_ops = {"one to one", assign_run, match_free};

static void start_match(struct view *v, const struct job_ops *ops)
{
    struct compare *s = v->state;
    struct match_job *j = job_new(ops, sizeof *j);

    for (int k = 0; k < 2; k++)
        j->sae[k] = compare_sae(v, k);
    j->threads = v->session->options.threads;
    j->optimal = s->optimal;
    j->top = s->top;
    j->top->holders++;
    view_start(v, SLOT_MATCH, lane_of(v), &j->job);
}

static void begin(struct view *v)
{
    struct compare *s = v->state;

    s->top = xcalloc(1, sizeof *s->top);
    s->top->holders = 1;
    for (int k = 0; k < 2; k++) {
        s->top->n[k] = compare_sae(v, k)->d_sae;
        s->top->v[k] = xmalloc((size_t)s->top->n[k] * MATCH_TOP * sizeof *s->top->v[k]);
    }
    start_match(v, &match_ops);
}

static void start_assign(struct view *v)
{
    struct compare *s = v->state;
    struct compare_options o = {.matching = s->matching,
                                .memory = v->session->options.memory};
    struct err err = {0};

    if (compare_matching(compare_sae(v, 0), compare_sae(v, 1), &o, &s->optimal, &err))
        start_match(v, &assign_ops);
    else
        v->slots[SLOT_MATCH].err = err;
}

/* What a matching of b's to a's says of b's. */
static void take_one(struct compare *s, struct match_job *j)
{
    int64_t n = s->top->n[0], m = s->top->n[1];

    for (int k = 0; k < 2; k++)
        free(s->one[k]);
    s->one[0] = j->b_of_a;
    s->one[1] = xmalloc((size_t)m * sizeof *s->one[1]);
    s->one_mean = j->mean;
    for (int64_t i = 0; i < m; i++)
        s->one[1][i] = -1;
    for (int64_t i = 0; i < n; i++)
        if (j->b_of_a[i] >= 0)
            s->one[1][j->b_of_a[i]] = i;
    j->b_of_a = NULL;
}

/* -- figures of pairs ------------------------------------------------------------------------ */

struct figures_job {
    struct job job;
    struct pairs_side side[2];
    int threads;
    int64_t *partner;             /* owned [n] */
    struct compare_figures *out;  /* held */
};

static bool figures_run(struct job *job, const struct progress *p, struct err *err)
{
    struct figures_job *j = (struct figures_job *)job;

    return pairs_measure(&j->side[0], &j->side[1], j->partner, j->out->n, j->threads, p,
                         j->out->v, &j->out->done, err);
}

static void figures_free(struct job *job)
{
    struct figures_job *j = (struct figures_job *)job;

    compare_figures_drop(j->out);
    free(j->partner);
    free(j);
}

static const struct job_ops figures_ops = {"pairs", figures_run, figures_free};

static void start_figures(struct view *v, int side)
{
    struct compare *s = v->state;
    struct figures_job *j = job_new(&figures_ops, sizeof *j);
    struct compare_figures *f = xcalloc(1, sizeof *f);

    f->holders = 2;
    f->n = s->top->n[side];
    f->v = xmalloc((size_t)f->n * sizeof *f->v);
    j->partner = xmalloc((size_t)f->n * sizeof *j->partner);
    for (int64_t i = 0; i < f->n; i++)
        j->partner[i] = compare_partner(s, side, i);
    for (int k = 0; k < 2; k++)
        j->side[k] = (struct pairs_side){compare_sae(v, side ? !k : k),
                                         s->index[side ? !k : k]};
    j->threads = v->session->options.threads;
    j->out = s->figures[s->pairing][side] = f;
    view_start(v, SLOT_FIGURES, lane_of(v), &j->job);
}

/* -- what comes next -------------------------------------------------------------------------- */

static bool is_free(const struct view *v, int slot)
{
    return !view_busy(v, slot) && !v->slots[slot].err.code;
}

/* Candidates, then the figures of the pairs shown, then the matching one to one, which may
 * take longest. What was cancelled stays so until it is asked for again. */
void compare_start(struct view *v)
{
    struct compare *s = v->state;
    int side = s->pairing == PAIR_BEST ? compare_side(s) : 0;

    if (!s->top && is_free(v, SLOT_MATCH))
        begin(v);
    if (!s->top || !s->top->whole)
        return;
    bool has_partners = s->pairing != PAIR_ONE || s->one[0];
    if (has_partners && !s->figures[s->pairing][side] && is_free(v, SLOT_FIGURES))
        start_figures(v, side);
    bool is_urgent = s->pairing == PAIR_ONE || !view_busy(v, SLOT_FIGURES);
    if (!s->one[0] && is_free(v, SLOT_MATCH) && is_urgent)
        start_assign(v);
}

static void take_top(struct compare *s)
{
    s->top->whole = true;
    s->n_mutual = 0;
    for (int k = 0; k < 2; k++) {
        double sum = 0;
        for (int64_t i = 0; i < s->top->n[k]; i++)
            sum += (double)s->top->v[k][i * MATCH_TOP].cosine;
        s->mmcs[k] = s->top->n[k] ? sum / (double)s->top->n[k] : NAN;
    }
    for (int64_t i = 0; i < s->top->n[0]; i++)
        s->n_mutual += compare_is_mutual(s, 0, i);
}

void compare_jobs_loaded(struct view *v, int slot, struct job *job)
{
    struct compare *s = v->state;

    if (slot != SLOT_MATCH)
        return; /* figures are where they belong already */
    if (job->ops == &match_ops)
        take_top(s);
    else
        take_one(s, (struct match_job *)job);
}
