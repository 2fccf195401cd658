/* ablate.c - see ablate.h. */
#include "model/ablate.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "model/kern.h"
#include "model/replace.h"

/* Sums kept apart until they are added in order: features times sequences of a round. */
#define ROUND_CELLS ((int64_t)1 << 20)
#define MAX_ROUND   256

enum stream { ORIGINAL, ZERO, RECONSTRUCTED, N_STREAMS };

/* Of one feature in one sequence, and in all. */
struct cell {
    int64_t active;
    double delta_fvu, delta_ce;
};

/* Of one sequence, and of all. */
struct base {
    int64_t positions, tokens;
    double ce[N_STREAMS];
    double *x, *squares; /* [d] of the tokens that count */
};

struct ablating {
    struct replace r;
    const struct ablate_options *options;
    const struct progress *progress;
    int64_t n;            /* features */
    int32_t *slot;        /* [d_sae] */
    float *norm;          /* [d_sae] |W_dec[i]| of those asked for */
    const int64_t *ids;   /* [n] */
    int n_streams;        /* x_hat is not needed where the error is kept */
    enum stream before;   /* the stream that features are taken out of */
    int64_t first;        /* this round's first sequence */
    struct base *bases;   /* [round] */
    struct cell *cells;   /* [round, n] */
    double *vectors;
    struct page_ablation *features; /* [n]; worst is filled under the lock */
    struct page_ablation_tokens *tokens; /* of the only sequence; NULL: not wanted */
    pthread_mutex_t lock;
    _Atomic int64_t done; /* sequences */
};

/* A thread's own. */
struct ablater {
    struct ablating *a;
    struct lm_run *run;
    struct lm_cache *cache;
    struct reconstruct_scratch scratch;
    struct reconstruct_hits hits;
    int64_t *start;                  /* [n + 1] */
    uint32_t *order;                 /* hits by slot */
    int64_t order_cap;
    float *memory, *x, *rest, *y, *before, *changed, *final[N_STREAMS]; /* [T, d] each */
    int64_t *ids, *l0;
    double *ce[N_STREAMS], *after;
};

/* ---- one feature in one sequence */

static int worse(const struct ablate_worst *a, const struct ablate_worst *b)
{
    if (a->delta != b->delta)
        return a->delta > b->delta ? -1 : 1;
    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

/* The order is total, so the list does not depend on who comes first. */
static void add_worst(struct page_ablation *f, const struct ablate_worst *w)
{
    if (f->n_worst == ABLATE_WORST && worse(&f->worst[ABLATE_WORST - 1], w) <= 0)
        return;
    int at = f->n_worst < ABLATE_WORST ? f->n_worst++ : ABLATE_WORST - 1;
    for (; at > 0 && worse(w, &f->worst[at - 1]) < 0; at--)
        f->worst[at] = f->worst[at - 1];
    f->worst[at] = *w;
}

static void add_deltas(struct ablater *w, int64_t sequence, int64_t slot, int64_t first,
                       struct cell *cell)
{
    struct ablating *a = w->a;
    struct page_ablation mine = {0};
    for (int64_t p = first; p < a->r.T - 1; p++) {
        if (!replace_counts(&a->r, sequence, p, w->ids))
            continue;
        struct ablate_worst one = {sequence, p, w->ids[p + 1],
                                   w->after[p] - w->ce[a->before][p]};
        cell->delta_ce += one.delta;
        add_worst(&mine, &one);
    }
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < mine.n_worst; i++)
        add_worst(&a->features[slot], &mine.worst[i]);
    pthread_mutex_unlock(&a->lock);
}

/* Take the feature of a slot out, whose hits are order[0..n), and run from the first. */
static bool ablate_feature(struct ablater *w, int64_t sequence, int64_t slot,
                           const uint32_t *order, int64_t n, struct cell *cell,
                           struct err *err)
{
    const struct replace *r = &w->a->r;
    int64_t T = r->T, d = r->d, first = w->hits.hits[order[0]].row;
    const float *row = r->reconstructor.W_dec + w->a->ids[slot] * d;
    memcpy(w->changed + first * d, w->before + first * d,
           (size_t)((T - first) * d) * sizeof *w->changed);
    for (int64_t i = 0; i < n; i++) {
        const struct reconstruct_hit *h = &w->hits.hits[order[i]];
        kern_best()->axpy(w->changed + h->row * d, -h->factor, row, d);
        if (w->a->tokens)
            w->a->tokens->taken[h->row] =
                fabs((double)h->factor) * (double)w->a->norm[w->a->ids[slot]];
        if (!replace_counts(r, sequence, h->row, w->ids))
            continue;
        cell->active++;
        cell->delta_fvu += (double)h->delta;
    }
    if (first == T - 1)
        return true; /* nothing is predicted from there on */
    const float *final = w->changed + first * d;
    double *after = w->after + first;
    if (!lm_run_again(w->run, r->hook, w->changed, first, T, w->cache, err) ||
        !lm_losses(w->run, 1, &final, w->ids + first, T - first, &after, NULL, err))
        return false;
    add_deltas(w, sequence, slot, first, cell);
    for (int64_t p = first; w->a->tokens && p < T - 1; p++)
        w->a->tokens->delta[p] = w->after[p] - w->ce[w->a->before][p];
    return true;
}

/* Index the hits by slot, each slot's by row. */
static void sort_hits(struct ablater *w)
{
    int64_t n = w->a->n;
    if (w->hits.n > w->order_cap) {
        w->order_cap = w->hits.cap;
        w->order = xreallocarray(w->order, (size_t)w->order_cap, sizeof *w->order);
    }
    memset(w->start, 0, (size_t)(n + 1) * sizeof *w->start);
    for (int64_t i = 0; i < w->hits.n; i++)
        w->start[w->hits.hits[i].slot + 1]++;
    for (int64_t s = 0; s < n; s++)
        w->start[s + 1] += w->start[s];
    for (int64_t i = 0; i < w->hits.n; i++)
        w->order[w->start[w->hits.hits[i].slot]++] = (uint32_t)i;
    for (int64_t s = n; s > 0; s--)
        w->start[s] = w->start[s - 1];
    w->start[0] = 0;
}

/* ---- one sequence */

static void add_base(const struct ablater *w, int64_t sequence, struct base *b)
{
    const struct replace *r = &w->a->r;
    for (int64_t p = 0; p < r->T; p++) {
        if (!replace_counts(r, sequence, p, w->ids))
            continue;
        if (p < r->T - 1) {
            b->positions++;
            for (int i = 0; i < w->a->n_streams; i++)
                b->ce[i] += w->ce[i][p];
        }
        if (w->l0[p] < 0)
            continue;
        b->tokens++;
        for (int64_t k = 0; k < r->d; k++) {
            double v = (double)w->x[p * r->d + k];
            b->x[k] += v;
            b->squares[k] += v * v;
        }
    }
}

/* The streams that ablations are compared with; the one before them leaves its keys and
 * values in the cache. */
static bool run_base(struct ablater *w, int64_t sequence, struct err *err)
{
    struct ablating *a = w->a;
    const struct replace *r = &a->r;
    int64_t T = r->T;
    for (int64_t i = 0; i < T * r->d; i++) {
        w->final[ORIGINAL][i] = w->rest[i] + w->x[i];
        w->final[ZERO][i] = w->rest[i];
        w->final[RECONSTRUCTED][i] = w->rest[i] + w->y[i];
    }
    memcpy(w->before, w->final[a->before], (size_t)(T * r->d) * sizeof *w->before);
    for (int i = 0; i < a->n_streams; i++)
        if (!(i == (int)a->before
                  ? lm_run_keep(w->run, r->hook, w->final[i], T, w->cache, err)
                  : lm_run_from(w->run, r->hook, w->final[i], T, err)))
            return false;
    if (!lm_losses(w->run, a->n_streams, (const float *const *)w->final, w->ids, T, w->ce,
                   NULL, err))
        return false;
    add_base(w, sequence, &a->bases[sequence - a->first]);
    return true;
}

/* What is known of every token before a feature is taken out. */
static void begin_tokens(const struct ablater *w, struct page_ablation_tokens *t)
{
    int64_t n = w->a->r.T;
    for (int64_t p = 0; p < n; p++) {
        t->ids[p] = w->ids[p];
        t->taken[p] = 0;
        t->before[p] = p < n - 1 ? w->ce[w->a->before][p] : NAN;
        t->delta[p] = p < n - 1 ? 0 : NAN;
    }
}

static bool ablate_sequence(void *worker, int64_t sequence, struct err *err)
{
    struct ablater *w = worker;
    struct ablating *a = w->a;
    const struct replace *r = &a->r;
    struct cell *cells = a->cells + (sequence - a->first) * a->n;
    samples_ids(r->samples, sequence * r->T, r->T, w->ids);
    /* Checked before, but the file may have been written to since. */
    if (!lm_check_ids(r->lm, "token ids", w->ids, r->T, err) ||
        !lm_run_to(w->run, w->ids, r->T, r->hook, w->x, w->rest, err))
        return false;
    reconstruct(&r->reconstructor, &w->scratch, w->x, r->T, w->y, w->l0, &w->hits);
    if (!run_base(w, sequence, err))
        return false;
    if (a->tokens)
        begin_tokens(w, a->tokens);
    sort_hits(w);
    for (int64_t s = 0; s < a->n; s++) {
        int64_t n = w->start[s + 1] - w->start[s];
        if (n > 0 && !ablate_feature(w, sequence, s, w->order + w->start[s], n, &cells[s],
                                     err))
            return false;
    }
    a->done++;
    return true;
}

/* ---- a thread's memory */

#define N_ARRAYS (5 + N_STREAMS) /* of [T, d] */

static size_t ablater_bytes(const void *ctx)
{
    const struct replace *r = &((const struct ablating *)ctx)->r;
    return lm_run_bytes(r->lm, r->T) + lm_cache_bytes(r->lm, r->hook, r->T) +
           reconstruct_scratch_bytes(&r->reconstructor) +
           N_ARRAYS * (size_t)(r->T * r->d) * sizeof(float);
}

static void ablater_close(void *worker)
{
    struct ablater *w = worker;
    if (!w)
        return;
    lm_run_free(w->run);
    lm_cache_free(w->cache);
    reconstruct_scratch_finish(&w->scratch);
    free(w->hits.hits);
    free(w->start);
    free(w->order);
    free(w->memory);
    free(w->ids);
    free(w->l0);
    free(w->after);
    for (int i = 0; i < N_STREAMS; i++)
        free(w->ce[i]);
    free(w);
}

static void *ablater_open(void *ctx, struct err *err)
{
    struct ablating *a = ctx;
    const struct replace *r = &a->r;
    size_t T = (size_t)r->T, size = T * (size_t)r->d;
    struct ablater *w = xcalloc(1, sizeof *w);
    w->a = a;
    w->hits = (struct reconstruct_hits){.slot = a->slot, .norm = a->norm};
    w->memory = mem_try(N_ARRAYS * size, sizeof *w->memory, "activations", err);
    w->run = w->memory ? lm_run_new(r->lm, r->T, &a->r.work, err) : NULL;
    w->cache = w->run ? lm_cache_new(r->lm, r->hook, r->T, err) : NULL;
    if (!w->cache || !reconstruct_scratch_init(&w->scratch, &r->reconstructor, err)) {
        ablater_close(w);
        return NULL;
    }
    float **arrays[N_ARRAYS] = {&w->x, &w->rest, &w->y, &w->before, &w->changed};
    for (int i = 0; i < N_STREAMS; i++)
        arrays[5 + i] = &w->final[i];
    for (size_t i = 0; i < N_ARRAYS; i++)
        *arrays[i] = w->memory + i * size;
    w->start = xmalloc((size_t)(a->n + 1) * sizeof *w->start);
    w->ids = xmalloc(T * sizeof *w->ids);
    w->l0 = xmalloc(T * sizeof *w->l0);
    w->after = xmalloc(T * sizeof *w->after);
    for (int i = 0; i < N_STREAMS; i++)
        w->ce[i] = xmalloc(T * sizeof **w->ce);
    return w;
}

static const struct replace_ops ablater_ops = {
    .bytes = ablater_bytes,
    .open = ablater_open,
    .one = ablate_sequence,
    .close = ablater_close,
};

/* ---- sums */

static void base_reset(struct base *b, double *vectors, int64_t d)
{
    memset(vectors, 0, (size_t)(2 * d) * sizeof *vectors);
    *b = (struct base){.x = vectors, .squares = vectors + d};
}

static void base_add(struct base *a, const struct base *b, int64_t d)
{
    a->positions += b->positions;
    a->tokens += b->tokens;
    for (int i = 0; i < N_STREAMS; i++)
        a->ce[i] += b->ce[i];
    for (int64_t k = 0; k < d; k++) {
        a->x[k] += b->x[k];
        a->squares[k] += b->squares[k];
    }
}

/* All sequences, by rounds, into *all and totals [n]. */
static bool run_rounds(struct ablating *a, struct base *all, struct cell *totals,
                       struct err *err)
{
    const struct replace *r = &a->r;
    int64_t round = ROUND_CELLS / a->n, each = 2 * r->d;
    round = round < 1 ? 1 : round > MAX_ROUND ? MAX_ROUND : round;
    round = round < r->n_seq ? round : r->n_seq;
    a->bases = xcalloc((size_t)round, sizeof *a->bases);
    a->vectors = xmalloc((size_t)(round * each) * sizeof *a->vectors);
    a->cells = xmalloc((size_t)(round * a->n) * sizeof *a->cells);
    bool ok = true;
    for (a->first = 0; a->first < r->n_seq && ok; a->first += round) {
        int64_t n = r->n_seq - a->first < round ? r->n_seq - a->first : round;
        memset(a->cells, 0, (size_t)(n * a->n) * sizeof *a->cells);
        for (int64_t i = 0; i < n; i++)
            base_reset(&a->bases[i], a->vectors + i * each, r->d);
        ok = replace_run(r, a->first, n, &ablater_ops, a, err);
        for (int64_t i = 0; i < n && ok; i++) {
            base_add(all, &a->bases[i], r->d);
            for (int64_t s = 0; s < a->n; s++) {
                const struct cell *c = &a->cells[i * a->n + s];
                totals[s].active += c->active;
                totals[s].delta_fvu += c->delta_fvu;
                totals[s].delta_ce += c->delta_ce;
            }
        }
    }
    free(a->bases);
    free(a->vectors);
    free(a->cells);
    return ok;
}

static double ratio(double a, double b)
{
    return b != 0 ? a / b : NAN;
}

static void summarise(struct ablating *a, const struct base *all, const struct cell *totals)
{
    double n = (double)all->positions, spread = 0;
    for (int64_t k = 0; k < a->r.d; k++)
        spread += all->squares[k] - ratio(all->x[k] * all->x[k], (double)all->tokens);
    double zero = all->ce[ZERO] / n, before = all->ce[a->before] / n;
    double room = zero - all->ce[ORIGINAL] / n;
    for (int64_t s = 0; s < a->n; s++) {
        struct page_ablation *f = &a->features[s];
        f->id = a->ids[s];
        f->active_tokens = totals[s].active;
        f->delta_fvu = ratio(totals[s].delta_fvu, spread);
        f->ce_before = before;
        f->delta_ce = totals[s].delta_ce / n;
        f->ce_after = before + f->delta_ce;
        f->score_before = ratio(zero - before, room);
        f->score_after = ratio(zero - f->ce_after, room);
        f->delta_score = ratio(-f->delta_ce, room);
    }
}

/* ---- the whole */

static bool check_result(const struct ablating *a, const struct base *all, struct err *err)
{
    bool finite = true;
    for (int i = 0; i < N_STREAMS; i++) /* 0 where there is no such stream */
        finite = finite && isfinite(all->ce[i]);
    for (int64_t s = 0; s < a->n; s++)
        finite = finite && isfinite(a->features[s].delta_ce);
    return replace_check(&a->r, all->positions, finite, a->progress, err);
}

/* Inside map_guard: the decoder may lie in its file. */
static void find_norms(void *ctx)
{
    struct ablating *a = ctx;
    int64_t d = a->r.d;
    for (int64_t s = 0; s < a->n; s++)
        a->norm[a->ids[s]] =
            (float)sqrt(kern_sum_squares(a->r.reconstructor.W_dec + a->ids[s] * d, d));
}

static bool find_slots(struct ablating *a, struct err *err)
{
    int64_t d_sae = a->r.sae->d_sae;
    a->slot = xmalloc((size_t)d_sae * sizeof *a->slot);
    a->norm = xcalloc((size_t)d_sae, sizeof *a->norm);
    memset(a->slot, 0xff, (size_t)d_sae * sizeof *a->slot); /* -1 */
    for (int64_t s = 0; s < a->n; s++) {
        assert(a->ids[s] >= 0 && a->ids[s] < d_sae && a->slot[a->ids[s]] < 0);
        a->slot[a->ids[s]] = (int32_t)s;
    }
    return map_guard(find_norms, a, err);
}

/* How long an ablation takes is known only when it is done: progress is by sequences. */
static bool step(void *ctx, const char *what, int64_t done, int64_t of)
{
    const struct ablating *a = ctx;
    (void)done;
    return progress_step(a->progress, what, a->done * a->r.T, of);
}

static void ablating_init(struct ablating *a, const struct lm *lm,
                          const struct lm_hook *hook, const struct sae *sae,
                          const struct samples *samples, const int64_t *ids, int64_t n,
                          const struct ablate_options *options,
                          const struct progress *progress)
{
    *a = (struct ablating){.options = options, .progress = progress, .ids = ids, .n = n,
                           .r = {.lm = lm, .hook = hook, .sae = sae, .samples = samples,
                                 .scan = &options->scan},
                           .n_streams = options->error_kept ? 2 : N_STREAMS,
                           .before = options->error_kept ? ORIGINAL : RECONSTRUCTED};
    pthread_mutex_init(&a->lock, NULL);
}

static void ablating_finish(struct ablating *a)
{
    pthread_mutex_destroy(&a->lock);
    free(a->features);
    free(a->slot);
    free(a->norm);
    replace_finish(&a->r);
}

bool ablate_run(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
                const struct samples *samples, const int64_t *ids, int64_t n,
                const struct ablate_options *options, const struct progress *progress,
                struct page_ablations *out, struct err *err)
{
    assert(n > 0);
    struct ablating a;
    ablating_init(&a, lm, hook, sae, samples, ids, n, options, progress);
    if (!replace_init(&a.r, progress, err)) {
        ablating_finish(&a);
        return false;
    }
    struct progress by_sequences = {step, &a};
    a.r.work.progress = &by_sequences;
    a.features = xcalloc((size_t)n, sizeof *a.features);
    struct cell *totals = xcalloc((size_t)n, sizeof *totals);
    struct base all;
    double *vectors = xmalloc((size_t)(2 * a.r.d) * sizeof *vectors);
    base_reset(&all, vectors, a.r.d);
    bool ok = find_slots(&a, err) && run_rounds(&a, &all, totals, err);
    if (ok) {
        summarise(&a, &all, totals);
        ok = check_result(&a, &all, err);
    }
    if (ok) {
        *out = (struct page_ablations){a.r.n_seq, all.positions, a.features, n};
        a.features = NULL;
    }
    free(totals);
    free(vectors);
    ablating_finish(&a);
    return ok;
}

void page_ablations_finish(struct page_ablations *p)
{
    free(p->features);
    *p = (struct page_ablations){0};
}

/* ---- one sequence, token by token */

static bool tokens_finite(const struct page_ablation_tokens *t)
{
    bool finite = true;
    for (int64_t p = 0; p < t->n - 1; p++)
        finite = finite && isfinite(t->before[p]) && isfinite(t->delta[p]);
    return finite;
}

/* The sequence alone, as the only one of a round. */
static bool run_tokens(struct ablating *a, struct page_ablation_tokens *t, struct err *err)
{
    size_t n = (size_t)a->r.T;
    struct page_ablation feature = {0};
    struct cell cell = {0};
    struct base base;
    double *vectors = xmalloc((size_t)(2 * a->r.d) * sizeof *vectors);
    base_reset(&base, vectors, a->r.d);
    t->n = a->r.T;
    t->ids = xmalloc(n * sizeof *t->ids);
    t->taken = xmalloc(n * sizeof *t->taken);
    t->before = xmalloc(n * sizeof *t->before);
    t->delta = xmalloc(n * sizeof *t->delta);
    a->first = t->sequence;
    a->bases = &base;
    a->cells = &cell;
    a->features = &feature;
    a->tokens = t;
    bool ok = find_slots(a, err) &&
              replace_run(&a->r, t->sequence, 1, &ablater_ops, a, err) &&
              replace_check(&a->r, 1, tokens_finite(t), a->progress, err);
    a->features = NULL;
    free(vectors);
    return ok;
}

bool ablate_tokens(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
                   const struct samples *samples, int64_t id, int64_t sequence,
                   const struct ablate_options *options, const struct progress *progress,
                   struct page_ablation_tokens *out, struct err *err)
{
    struct ablating a;
    struct page_ablation_tokens made = {.id = id, .sequence = sequence};
    ablating_init(&a, lm, hook, sae, samples, &id, 1, options, progress);
    bool ok = replace_init(&a.r, progress, err);
    if (ok && (sequence < 0 || sequence >= a.r.n_seq))
        ok = err_set(err, ERR_RANGE, "%s: no such sequence (found %lld, expected 0 to %lld)",
                     samples_tokens_path(samples), (long long)sequence,
                     (long long)a.r.n_seq - 1);
    ok = ok && run_tokens(&a, &made, err);
    ablating_finish(&a);
    if (ok)
        *out = made;
    else
        page_ablation_tokens_finish(&made);
    return ok;
}

void page_ablation_tokens_finish(struct page_ablation_tokens *p)
{
    free(p->ids);
    free(p->taken);
    free(p->before);
    free(p->delta);
    *p = (struct page_ablation_tokens){0};
}
