/* estimate.c - see estimate.h. */
#include "model/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/kern.h"
#include "model/replace.h"

/* Sums kept apart until they are added in order: features times sequences of a round. */
#define ROUND_CELLS ((int64_t)1 << 22)
#define MAX_ROUND   256

struct estimating {
    struct replace r;
    bool error_kept;
    int32_t *slot;   /* [d_sae]: every feature is its own */
    int64_t first;   /* this round's first sequence */
    double *cells;   /* [round, d_sae] */
    struct base {
        int64_t positions;
        double ce;
    } *bases;        /* [round] */
};

/* A thread's own. */
struct estimator {
    struct estimating *e;
    struct lm_run *run;
    struct lm_back *back;
    struct reconstruct_scratch scratch;
    struct reconstruct_hits hits;
    float *memory, *x, *rest, *y, *grad; /* [T, d] each */
    int64_t *ids, *l0;
    double *weight, *ce;
};

/* ---- one sequence */

/* What every hit is worth where the gradient is grad. */
static void add_hits(const struct estimator *w, double *cells)
{
    const struct replace *r = &w->e->r;
    int64_t d = r->d;
    for (int64_t i = 0; i < w->hits.n; i++) {
        const struct reconstruct_hit *h = &w->hits.hits[i];
        const float *row = r->reconstructor.W_dec + (int64_t)h->slot * d;
        float along = kern_best()->dot(w->grad + (int64_t)h->row * d, row, d);
        cells[h->slot] -= (double)h->factor * (double)along;
    }
}

static bool estimate_sequence(void *worker, int64_t sequence, struct err *err)
{
    struct estimator *w = worker;
    struct estimating *e = w->e;
    const struct replace *r = &e->r;
    struct base *base = &e->bases[sequence - e->first];
    int64_t T = r->T;
    samples_ids(r->samples, sequence * T, T, w->ids);
    /* Checked before, but the file may have been written to since. */
    if (!lm_check_ids(r->lm, "token ids", w->ids, T, err) ||
        !lm_run_to(w->run, w->ids, T, r->hook, w->x, w->rest, err))
        return false;
    reconstruct(&r->reconstructor, &w->scratch, w->x, T, w->y, w->l0, &w->hits);
    const float *replaced = e->error_kept ? w->x : w->y;
    for (int64_t i = 0; i < T * r->d; i++)
        w->rest[i] += replaced[i];
    for (int64_t p = 0; p < T - 1; p++)
        w->weight[p] = replace_counts(r, sequence, p, w->ids);
    if (!lm_run_back(w->run, w->back, r->hook, w->rest, w->ids, T, w->weight, w->ce,
                     w->grad, err))
        return false;
    for (int64_t p = 0; p < T - 1; p++)
        if (w->weight[p] > 0) {
            base->positions++;
            base->ce += w->ce[p];
        }
    add_hits(w, e->cells + (sequence - e->first) * r->sae->d_sae);
    return true;
}

/* ---- a thread's memory */

#define N_ARRAYS 4 /* of [T, d] */

static size_t estimator_bytes(const void *ctx)
{
    const struct replace *r = &((const struct estimating *)ctx)->r;
    return lm_run_bytes(r->lm, r->T) + lm_back_bytes(r->lm, r->hook, r->T) +
           reconstruct_scratch_bytes(&r->reconstructor) +
           N_ARRAYS * (size_t)(r->T * r->d) * sizeof(float);
}

static void estimator_close(void *worker)
{
    struct estimator *w = worker;
    if (!w)
        return;
    lm_run_free(w->run);
    lm_back_free(w->back);
    reconstruct_scratch_finish(&w->scratch);
    free(w->hits.hits);
    free(w->memory);
    free(w->ids);
    free(w->l0);
    free(w->weight);
    free(w->ce);
    free(w);
}

static void *estimator_open(void *ctx, struct err *err)
{
    struct estimating *e = ctx;
    const struct replace *r = &e->r;
    size_t T = (size_t)r->T, size = T * (size_t)r->d;
    struct estimator *w = xcalloc(1, sizeof *w);
    w->e = e;
    w->hits = (struct reconstruct_hits){.slot = e->slot};
    w->memory = mem_try(N_ARRAYS * size, sizeof *w->memory, "activations", err);
    w->run = w->memory ? lm_run_new(r->lm, r->T, &e->r.work, err) : NULL;
    w->back = w->run ? lm_back_new(r->lm, r->hook, r->T, err) : NULL;
    if (!w->back || !reconstruct_scratch_init(&w->scratch, &r->reconstructor, err)) {
        estimator_close(w);
        return NULL;
    }
    float **arrays[N_ARRAYS] = {&w->x, &w->rest, &w->y, &w->grad};
    for (size_t i = 0; i < N_ARRAYS; i++)
        *arrays[i] = w->memory + i * size;
    w->ids = xmalloc(T * sizeof *w->ids);
    w->l0 = xmalloc(T * sizeof *w->l0);
    w->weight = xmalloc(T * sizeof *w->weight);
    w->ce = xmalloc(T * sizeof *w->ce);
    return w;
}

static const struct replace_ops estimator_ops = {
    .bytes = estimator_bytes,
    .open = estimator_open,
    .one = estimate_sequence,
    .close = estimator_close,
};

/* ---- the whole */

/* All sequences, by rounds, into *all and sums [d_sae]. */
static bool run_rounds(struct estimating *e, struct base *all, double *sums, struct err *err)
{
    const struct replace *r = &e->r;
    int64_t d_sae = r->sae->d_sae, round = ROUND_CELLS / d_sae;
    round = round < 1 ? 1 : round > MAX_ROUND ? MAX_ROUND : round;
    round = round < r->n_seq ? round : r->n_seq;
    e->bases = xcalloc((size_t)round, sizeof *e->bases);
    e->cells = mem_try((size_t)(round * d_sae), sizeof *e->cells, "estimates", err);
    bool ok = e->cells != NULL;
    for (e->first = 0; e->first < r->n_seq && ok; e->first += round) {
        int64_t n = r->n_seq - e->first < round ? r->n_seq - e->first : round;
        memset(e->cells, 0, (size_t)(n * d_sae) * sizeof *e->cells);
        memset(e->bases, 0, (size_t)n * sizeof *e->bases);
        ok = replace_run(r, e->first, n, &estimator_ops, e, err);
        for (int64_t i = 0; i < n && ok; i++) {
            all->positions += e->bases[i].positions;
            all->ce += e->bases[i].ce;
            for (int64_t f = 0; f < d_sae; f++)
                sums[f] += e->cells[i * d_sae + f];
        }
    }
    free(e->bases);
    free(e->cells);
    return ok;
}

/* Multiplications, for the progress. */
static int64_t cost(const struct replace *r)
{
    return (lm_cost_to(r->lm, r->hook) + lm_cost_back(r->lm, r->hook)) * r->n_seq * r->T;
}

bool estimate_run(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
                  const struct samples *samples, const struct ablate_options *options,
                  const struct progress *progress, double *estimate, struct err *err)
{
    struct estimating e = {.error_kept = options->error_kept,
                           .r = {.lm = lm, .hook = hook, .sae = sae, .samples = samples,
                                 .scan = &options->scan}};
    struct base all = {0};
    if (!replace_init(&e.r, progress, err))
        return false;
    e.r.work.of = cost(&e.r);
    e.slot = xmalloc((size_t)sae->d_sae * sizeof *e.slot);
    for (int64_t i = 0; i < sae->d_sae; i++)
        e.slot[i] = (int32_t)i;
    double *sums = xcalloc((size_t)sae->d_sae, sizeof *sums);
    bool finite = true, ok = run_rounds(&e, &all, sums, err);
    for (int64_t i = 0; i < sae->d_sae && ok; i++)
        finite = finite && isfinite(sums[i]);
    ok = ok && replace_check(&e.r, all.positions, finite && isfinite(all.ce), progress, err);
    for (int64_t i = 0; i < sae->d_sae && ok; i++)
        estimate[i] = sums[i] / (double)all.positions;
    free(sums);
    free(e.slot);
    replace_finish(&e.r);
    return ok;
}
