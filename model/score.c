/* score.c - see score.h. */
#include "model/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/clock.h"
#include "model/decode.h"
#include "model/kern.h"
#include "model/replace.h"

/* Sequences whose sums are kept apart until they are added in order: in the first round,
 * for there is something to show after each, and at most. */
#define FIRST_ROUND 16
#define ROUND 256

enum stream { ORIGINAL, RECONSTRUCTED, BASELINE, N_STREAMS };

const char *const score_baseline_names[SCORE_BASELINE_COUNT] = {
    [SCORE_ZERO] = "zero", [SCORE_MEAN] = "mean", [SCORE_B_DEC] = "b_dec",
};

/* Of one sequence, and of all. */
struct sums {
    int64_t positions, tokens;
    double ce[N_STREAMS], kl, l0, error;
    double *x, *squares;   /* [d] of the tokens that count */
    double difference, own; /* |samples - x|^2 and |x|^2, where they are compared */
};

struct scoring {
    struct replace r;
    const struct score_options *options;
    int64_t first;       /* this round's first sequence */
    struct sums *round;  /* [ROUND] */
    double *vectors;     /* what their x and squares point to */
    float *mean;         /* [d] of x, for SCORE_MEAN */
};

/* A thread's own. */
struct scorer {
    struct scoring *s;
    struct lm_run *run;
    struct reconstruct_scratch scratch;
    float *memory, *x, *rest, *given, *y, *final[N_STREAMS]; /* [T, d] each */
    int64_t *ids, *l0;                                       /* [T] */
    double *ce[N_STREAMS], *kl;
};

/* ---- one sequence */

static void compare_samples(const struct scorer *w, struct sums *sums)
{
    for (int64_t i = 0; i < w->s->r.T * w->s->r.d; i++) {
        double e = (double)w->given[i] - (double)w->x[i];
        sums->difference += e * e;
        sums->own += (double)w->x[i] * (double)w->x[i];
    }
}

/* The samples of the sequence, where they are wanted. */
static bool read_given(struct scorer *w, int64_t sequence, struct sums *sums,
                       struct err *err)
{
    const struct replace *r = &w->s->r;
    bool compared = samples_have_inputs(r->samples) && sequence < SCORE_COMPARED;
    if (!compared && !w->s->options->from_samples)
        return true;
    if (!samples_read(r->samples, sequence * r->T, r->T, w->given, err))
        return false;
    if (compared)
        compare_samples(w, sums);
    return true;
}

/* l0 and the parts of FVU, of the x that were reconstructed. */
static void add_tokens(const struct scorer *w, const float *x, int64_t sequence,
                       struct sums *sums)
{
    int64_t d = w->s->r.d;
    for (int64_t p = 0; p < w->s->r.T; p++) {
        if (w->l0[p] < 0 || !replace_counts(&w->s->r, sequence, p, w->ids))
            continue;
        sums->tokens++;
        sums->l0 += (double)w->l0[p];
        for (int64_t k = p * d; k < (p + 1) * d; k++) {
            double v = (double)x[k], e = v - (double)w->y[k];
            sums->error += e * e;
            sums->x[k - p * d] += v;
            sums->squares[k - p * d] += v * v;
        }
    }
}

static void add_losses(const struct scorer *w, int64_t sequence, struct sums *sums)
{
    for (int64_t p = 0; p < w->s->r.T - 1; p++) {
        if (!replace_counts(&w->s->r, sequence, p, w->ids))
            continue;
        sums->positions++;
        for (int i = 0; i < N_STREAMS; i++)
            sums->ce[i] += w->ce[i][p];
        sums->kl += w->kl[p];
    }
}

/* What the SAE is to see: the model's own activations, or the samples. NULL on failure. */
static const float *run_to_hook(struct scorer *w, int64_t sequence, struct sums *sums,
                                struct err *err)
{
    const struct replace *r = &w->s->r;
    samples_ids(r->samples, sequence * r->T, r->T, w->ids);
    /* Checked before, but the file may have been written to since. */
    if (!lm_check_ids(r->lm, "token ids", w->ids, r->T, err) ||
        !lm_run_to(w->run, w->ids, r->T, r->hook, w->x, w->rest, err) ||
        !read_given(w, sequence, sums, err))
        return NULL;
    return w->s->options->from_samples ? w->given : w->x;
}

/* What stands at the hook at position p, into y [d]. */
static void baseline_at(const struct scorer *w, int64_t p, const float *x, float *y)
{
    const struct replace *r = &w->s->r;
    size_t bytes = (size_t)r->d * sizeof *y;
    enum score_baseline baseline = w->s->options->baseline;
    float scale, shift;
    if (baseline == SCORE_ZERO)
        memset(y, 0, bytes);
    else if (baseline == SCORE_MEAN)
        memcpy(y, w->s->mean, bytes);
    else if (w->l0[p] >= 0 && sae_input(r->sae, x + p * r->d, y, &scale, &shift))
        decode_token(r->sae, r->reconstructor.W_dec, NULL, NULL, 0, scale, shift, y);
    else /* no reconstruction: the hook is left as it is */
        memcpy(y, w->x + p * r->d, bytes);
}

/* For SCORE_MEAN: the sums of the inputs. */
static bool sum_sequence(void *worker, int64_t sequence, struct err *err)
{
    struct scorer *w = worker;
    const struct replace *r = &w->s->r;
    struct sums *sums = &w->s->round[sequence - w->s->first];
    const float *x = run_to_hook(w, sequence, sums, err);
    for (int64_t p = 0; x && p < r->T; p++) {
        if (!kern_all_finite(x + p * r->d, r->d) ||
            !replace_counts(r, sequence, p, w->ids))
            continue;
        sums->tokens++;
        for (int64_t k = 0; k < r->d; k++)
            sums->x[k] += (double)x[p * r->d + k];
    }
    return x != NULL;
}

static bool score_sequence(void *worker, int64_t sequence, struct err *err)
{
    struct scorer *w = worker;
    const struct replace *r = &w->s->r;
    struct sums *sums = &w->s->round[sequence - w->s->first];
    int64_t T = r->T, size = T * r->d;
    const float *x = run_to_hook(w, sequence, sums, err);
    if (!x)
        return false;
    reconstruct(&r->reconstructor, &w->scratch, x, T, w->y, w->l0, NULL);
    add_tokens(w, x, sequence, sums);
    for (int64_t p = 0; p < T; p++)
        if (w->l0[p] < 0) /* no reconstruction: the hook is left as it is */
            memcpy(w->y + p * r->d, w->x + p * r->d, (size_t)r->d * sizeof *w->y);
    for (int64_t i = 0; i < size; i++) {
        w->final[ORIGINAL][i] = w->rest[i] + w->x[i];
        w->final[RECONSTRUCTED][i] = w->rest[i] + w->y[i];
    }
    for (int64_t p = 0; p < T; p++)
        baseline_at(w, p, x, w->final[BASELINE] + p * r->d);
    for (int64_t i = 0; i < size; i++)
        w->final[BASELINE][i] += w->rest[i];
    for (int i = 0; i < N_STREAMS; i++)
        if (!lm_run_from(w->run, r->hook, w->final[i], T, err))
            return false;
    if (!lm_losses(w->run, N_STREAMS, (const float *const *)w->final, w->ids, T, w->ce,
                   w->kl, err))
        return false;
    add_losses(w, sequence, sums);
    return true;
}

/* ---- a thread's memory */

#define N_ARRAYS (4 + N_STREAMS) /* of [T, d] */

static size_t scorer_bytes(const void *ctx)
{
    const struct replace *r = &((const struct scoring *)ctx)->r;
    return lm_run_bytes(r->lm, r->T) + reconstruct_scratch_bytes(&r->reconstructor) +
           N_ARRAYS * (size_t)(r->T * r->d) * sizeof(float);
}

static void scorer_close(void *worker)
{
    struct scorer *w = worker;
    if (!w)
        return;
    lm_run_free(w->run);
    reconstruct_scratch_finish(&w->scratch);
    free(w->memory);
    free(w->ids);
    free(w->l0);
    free(w->kl);
    for (int i = 0; i < N_STREAMS; i++)
        free(w->ce[i]);
    free(w);
}

static void *scorer_open(void *ctx, struct err *err)
{
    struct scoring *s = ctx;
    size_t T = (size_t)s->r.T, size = T * (size_t)s->r.d;
    struct scorer *w = xcalloc(1, sizeof *w);
    w->s = s;
    w->memory = mem_try(N_ARRAYS * size, sizeof *w->memory, "activations", err);
    w->run = w->memory ? lm_run_new(s->r.lm, s->r.T, &s->r.work, err) : NULL;
    if (!w->run || !reconstruct_scratch_init(&w->scratch, &s->r.reconstructor, err)) {
        scorer_close(w);
        return NULL;
    }
    float **arrays[N_ARRAYS] = {&w->x, &w->rest, &w->given, &w->y};
    for (int i = 0; i < N_STREAMS; i++)
        arrays[4 + i] = &w->final[i];
    for (size_t i = 0; i < N_ARRAYS; i++)
        *arrays[i] = w->memory + i * size;
    w->ids = xmalloc(T * sizeof *w->ids);
    w->l0 = xmalloc(T * sizeof *w->l0);
    w->kl = xmalloc(T * sizeof *w->kl);
    for (int i = 0; i < N_STREAMS; i++)
        w->ce[i] = xmalloc(T * sizeof **w->ce);
    return w;
}

static const struct replace_ops scorer_ops = {
    .bytes = scorer_bytes,
    .open = scorer_open,
    .one = score_sequence,
    .close = scorer_close,
};

static const struct replace_ops mean_ops = {
    .bytes = scorer_bytes,
    .open = scorer_open,
    .one = sum_sequence,
    .close = scorer_close,
};

/* ---- sums */

static void sums_reset(struct sums *a, double *vectors, int64_t d)
{
    memset(vectors, 0, (size_t)(2 * d) * sizeof *vectors);
    *a = (struct sums){.x = vectors, .squares = vectors + d};
}

static void sums_add(struct sums *a, const struct sums *b, int64_t d)
{
    a->positions += b->positions;
    a->tokens += b->tokens;
    for (int i = 0; i < N_STREAMS; i++)
        a->ce[i] += b->ce[i];
    a->kl += b->kl;
    a->l0 += b->l0;
    a->error += b->error;
    for (int64_t k = 0; k < d; k++) {
        a->x[k] += b->x[k];
        a->squares[k] += b->squares[k];
    }
    a->difference += b->difference;
    a->own += b->own;
}

/* The sequences of one round, added to *all. */
static bool run_round(struct scoring *s, int64_t n, const struct replace_ops *ops,
                      struct sums *all, struct err *err)
{
    const struct replace *r = &s->r;
    for (int64_t i = 0; i < n; i++)
        sums_reset(&s->round[i], s->vectors + (size_t)i * (size_t)(2 * r->d), r->d);
    bool ok = replace_run(r, s->first, n, ops, s, err);
    for (int64_t i = 0; i < n && ok; i++)
        sums_add(all, &s->round[i], r->d);
    return ok;
}

static double ratio(double a, double b)
{
    return b != 0 ? a / b : NAN;
}

static void summarise(const struct sums *a, int64_t d, struct page_score *out)
{
    double n = (double)a->positions, spread = 0;
    for (int64_t k = 0; k < d; k++)
        spread += a->squares[k] - ratio(a->x[k] * a->x[k], (double)a->tokens);
    out->positions = a->positions;
    out->ce_original = a->ce[ORIGINAL] / n;
    out->ce_reconstructed = a->ce[RECONSTRUCTED] / n;
    out->ce_zero = a->ce[BASELINE] / n;
    out->reconstruction_score = ratio(out->ce_zero - out->ce_reconstructed,
                                      out->ce_zero - out->ce_original);
    out->nats_lost = out->ce_reconstructed - out->ce_original;
    out->bits_lost = out->nats_lost / M_LN2;
    out->kl = a->kl / n;
    out->l0 = ratio(a->l0, (double)a->tokens);
    out->fvu = ratio(a->error, spread);
    out->samples_difference = sqrt(ratio(a->difference, a->own));
}

static void tell(const struct scoring *s, const struct sums *all)
{
    struct page_score so_far = {.sequences = s->first,
                                .baseline = s->options->baseline};
    if (all->positions == 0)
        return;
    summarise(all, s->r.d, &so_far);
    s->options->partial(s->options->ctx, &so_far);
}

/* All sequences, by rounds, into *all; told: what there is so far is shown. */
static bool run_rounds(struct scoring *s, const struct replace_ops *ops, bool told,
                       struct sums *all, struct err *err)
{
    const struct replace *r = &s->r;
    int64_t widest = r->n_seq < ROUND ? r->n_seq : ROUND, round = FIRST_ROUND;
    s->round = xcalloc((size_t)widest, sizeof *s->round);
    s->vectors = xmalloc((size_t)(widest * 2 * r->d) * sizeof *s->vectors);
    bool ok = true;
    s->first = 0;
    while (s->first < r->n_seq && ok) {
        int64_t n = r->n_seq - s->first < round ? r->n_seq - s->first : round;
        ok = run_round(s, n, ops, all, err);
        s->first += n;
        round = 2 * round < ROUND ? 2 * round : ROUND;
        if (ok && told && s->options->partial && s->first < r->n_seq)
            tell(s, all);
    }
    free(s->round);
    free(s->vectors);
    return ok;
}

/* ---- the whole */

static bool check_result(const struct replace *r, const struct page_score *p,
                         const struct progress *progress, struct err *err)
{
    bool finite = isfinite(p->ce_original) && isfinite(p->ce_reconstructed) &&
                  isfinite(p->ce_zero);
    return replace_check(r, p->positions, finite, progress, err);
}

int64_t score_cost(const struct lm *lm, const struct lm_hook *hook,
                   const struct samples *samples)
{
    int64_t token = lm_cost_to(lm, hook) +
                    N_STREAMS * (lm_cost_from(lm, hook) + lm_cost_losses(lm));
    if (!samples || !samples->tokens || samples->seq_len <= 0)
        return 0;
    return token * (samples->n_tok - samples->n_tok % samples->seq_len);
}

bool score_warning(const struct page_score *p, const char *samples, char *buf, size_t size)
{
    if (!(p->samples_difference > SCORE_DIFFERENCE))
        return false;
    snprintf(buf, size, "%s: warning: the samples are not what the language model gives at "
             "the hook (relative difference %.3g on the first sequences, expected at most "
             "%g)", samples, p->samples_difference, SCORE_DIFFERENCE);
    return true;
}

/* s->mean, where it is asked for. sums: scratch, reset after. */
static bool find_mean(struct scoring *s, struct sums *sums, double *vectors, struct err *err)
{
    int64_t d = s->r.d;
    if (s->options->baseline != SCORE_MEAN)
        return true;
    s->r.work.of += lm_cost_to(s->r.lm, s->r.hook) * s->r.n_seq * s->r.T;
    if (!run_rounds(s, &mean_ops, false, sums, err))
        return false;
    s->mean = xmalloc((size_t)d * sizeof *s->mean);
    for (int64_t k = 0; k < d; k++) /* no tokens: an error later */
        s->mean[k] = (float)ratio(sums->x[k], (double)sums->tokens);
    sums_reset(sums, vectors, d);
    return true;
}

bool score_run(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
               const struct samples *samples, const struct score_options *options,
               const struct progress *progress, struct page_score *out, struct err *err)
{
    double start = clock_seconds();
    struct scoring s = {.options = options,
                        .r = {.lm = lm, .hook = hook, .sae = sae, .samples = samples,
                              .scan = &options->scan}};
    struct page_score made = {.baseline = options->baseline};
    if (options->from_samples && !samples_have_inputs(samples))
        return err_set(err, ERR_MISSING, "%s: no samples (found none, expected --acts)", sae->path);
    if (!replace_init(&s.r, progress, err))
        return false;
    s.r.work.of = score_cost(lm, hook, samples);
    made.sequences = s.r.n_seq;
    struct sums all;
    double *vectors = xmalloc((size_t)(2 * s.r.d) * sizeof *vectors);
    sums_reset(&all, vectors, s.r.d);
    bool ok = find_mean(&s, &all, vectors, err) &&
              run_rounds(&s, &scorer_ops, true, &all, err);
    if (ok) {
        summarise(&all, s.r.d, &made);
        ok = check_result(&s.r, &made, progress, err);
    }
    free(vectors);
    free(s.mean);
    replace_finish(&s.r);
    if (!ok)
        return false;
    made.seconds = clock_seconds() - start;
    *out = made;
    return true;
}
