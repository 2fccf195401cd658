/* score.c - see score.h. */
#include "model/score.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/clock.h"
#include "model/kern.h"
#include "model/reconstruct.h"

/* Sequences whose sums are kept apart until they are added in order. */
#define ROUND 256

enum stream { ORIGINAL, RECONSTRUCTED, ZERO, N_STREAMS };

/* Of one sequence, and of all. */
struct sums {
    int64_t positions, tokens;
    double ce[N_STREAMS], kl, l0, error;
    double *x, *squares;   /* [d] of the tokens that count */
    double difference, own; /* |samples - x|^2 and |x|^2, where they are compared */
};

struct scoring {
    const struct lm *lm;
    const struct lm_hook *hook;
    const struct sae *sae;
    const struct samples *samples;
    const struct score_options *options;
    struct reconstructor reconstructor;
    struct lm_work work;
    int64_t T, d, first, n; /* sequences [first, first + n) are this round's */
    struct sums *round;     /* [ROUND] */
    double *vectors;        /* what their x and squares point to */
    pthread_mutex_t lock;
    int64_t next;
    bool failed;
    struct err err;
};

/* A thread's own. */
struct scorer {
    struct scoring *s;
    struct lm_run *run;
    struct reconstruct_scratch scratch;
    float *memory, *x, *rest, *given, *y, *final[N_STREAMS]; /* [T, d] each */
    int64_t *ids, *l0;                                       /* [T] */
    double *ce[N_STREAMS], *kl;
    struct err err;
    bool ok;
};

/* ---- one sequence */

static bool counts(const struct scorer *w, int64_t sequence, int64_t p)
{
    const struct scoring *s = w->s;
    return scan_counts(&s->options->scan, s->samples, sequence * s->T + p, w->ids[p]);
}

static void compare_samples(const struct scorer *w, struct sums *sums)
{
    for (int64_t i = 0; i < w->s->T * w->s->d; i++) {
        double e = (double)w->given[i] - (double)w->x[i];
        sums->difference += e * e;
        sums->own += (double)w->x[i] * (double)w->x[i];
    }
}

/* The samples of the sequence, where they are wanted. */
static bool read_given(struct scorer *w, int64_t sequence, struct sums *sums)
{
    const struct scoring *s = w->s;
    bool compared = s->samples->n_shards > 0 && sequence < SCORE_COMPARED;
    if (!compared && !s->options->from_samples)
        return true;
    if (!samples_read(s->samples, sequence * s->T, s->T, w->given, &w->err))
        return false;
    if (compared)
        compare_samples(w, sums);
    return true;
}

/* l0 and the parts of FVU, of the x that were reconstructed. */
static void add_tokens(const struct scorer *w, const float *x, int64_t sequence,
                       struct sums *sums)
{
    int64_t d = w->s->d;
    for (int64_t p = 0; p < w->s->T; p++) {
        if (w->l0[p] < 0 || !counts(w, sequence, p))
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
    for (int64_t p = 0; p < w->s->T - 1; p++) {
        if (!counts(w, sequence, p))
            continue;
        sums->positions++;
        for (int i = 0; i < N_STREAMS; i++)
            sums->ce[i] += w->ce[i][p];
        sums->kl += w->kl[p];
    }
}

static bool score_sequence(struct scorer *w, int64_t sequence, struct sums *sums)
{
    struct scoring *s = w->s;
    int64_t T = s->T, size = T * s->d;
    samples_ids(s->samples, sequence * T, T, w->ids);
    /* Checked before, but the file may have been written to since. */
    if (!lm_check_ids(s->lm, "token ids", w->ids, T, &w->err) ||
        !lm_run_to(w->run, w->ids, T, s->hook, w->x, w->rest, &w->err) ||
        !read_given(w, sequence, sums))
        return false;
    const float *x = s->options->from_samples ? w->given : w->x;
    reconstruct(&s->reconstructor, &w->scratch, x, T, w->y, w->l0);
    add_tokens(w, x, sequence, sums);
    for (int64_t p = 0; p < T; p++)
        if (w->l0[p] < 0) /* no reconstruction: the hook is left as it is */
            memcpy(w->y + p * s->d, w->x + p * s->d, (size_t)s->d * sizeof *w->y);
    for (int64_t i = 0; i < size; i++) {
        w->final[ORIGINAL][i] = w->rest[i] + w->x[i];
        w->final[RECONSTRUCTED][i] = w->rest[i] + w->y[i];
        w->final[ZERO][i] = w->rest[i];
    }
    for (int i = 0; i < N_STREAMS; i++)
        if (!lm_run_from(w->run, s->hook, w->final[i], T, &w->err))
            return false;
    if (!lm_losses(w->run, N_STREAMS, (const float *const *)w->final, w->ids, T, w->ce,
                   w->kl, &w->err))
        return false;
    add_losses(w, sequence, sums);
    return true;
}

/* ---- threads */

#define N_ARRAYS (4 + N_STREAMS) /* of [T, d] */

static size_t scorer_bytes(const struct scoring *s)
{
    return lm_run_bytes(s->lm, s->T) + reconstruct_scratch_bytes(&s->reconstructor) +
           N_ARRAYS * (size_t)(s->T * s->d) * sizeof(float);
}

static bool scorer_init(struct scorer *w, struct scoring *s)
{
    size_t T = (size_t)s->T, size = T * (size_t)s->d;
    *w = (struct scorer){.s = s, .ok = true};
    w->memory = mem_try(N_ARRAYS * size, sizeof *w->memory, "activations", &w->err);
    w->run = w->memory ? lm_run_new(s->lm, s->T, &s->work, &w->err) : NULL;
    if (!w->run || !reconstruct_scratch_init(&w->scratch, &s->reconstructor, &w->err))
        return false;
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
    return true;
}

static void scorer_finish(struct scorer *w)
{
    lm_run_free(w->run);
    reconstruct_scratch_finish(&w->scratch);
    free(w->memory);
    free(w->ids);
    free(w->l0);
    free(w->kl);
    for (int i = 0; i < N_STREAMS; i++)
        free(w->ce[i]);
}

static void scorer_work(void *ctx)
{
    struct scorer *w = ctx;
    struct scoring *s = w->s;
    while (w->ok) {
        pthread_mutex_lock(&s->lock);
        int64_t i = s->failed ? s->n : s->next++;
        pthread_mutex_unlock(&s->lock);
        if (i >= s->n)
            break;
        w->ok = score_sequence(w, s->first + i, &s->round[i]);
    }
}

static void score_thread(void *ctx, int thread)
{
    struct scoring *s = ctx;
    struct scorer w;
    (void)thread;
    if (!scorer_init(&w, s) || !map_guard(scorer_work, &w, &w.err) || !w.ok) {
        pthread_mutex_lock(&s->lock);
        if (!s->failed)
            s->err = w.err;
        s->failed = true;
        pthread_mutex_unlock(&s->lock);
    }
    scorer_finish(&w);
}

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

/* All sequences, by rounds, into *all. */
static bool run_rounds(struct scoring *s, int64_t n_seq, int threads, struct sums *all,
                       struct err *err)
{
    size_t each = (size_t)(2 * s->d);
    int64_t widest = n_seq < ROUND ? n_seq : ROUND;
    s->round = xcalloc((size_t)widest, sizeof *s->round);
    s->vectors = xmalloc((size_t)widest * each * sizeof *s->vectors);
    pthread_mutex_init(&s->lock, NULL);
    for (s->first = 0; s->first < n_seq && !s->failed; s->first += ROUND) {
        s->n = n_seq - s->first < ROUND ? n_seq - s->first : ROUND;
        s->next = 0;
        for (int64_t i = 0; i < s->n; i++)
            sums_reset(&s->round[i], s->vectors + (size_t)i * each, s->d);
        team_run(threads < s->n ? threads : (int)s->n, score_thread, s);
        for (int64_t i = 0; i < s->n && !s->failed; i++)
            sums_add(all, &s->round[i], s->d);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->round);
    free(s->vectors);
    if (s->failed && err)
        *err = s->err;
    return !s->failed;
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
    out->ce_zero = a->ce[ZERO] / n;
    out->reconstruction_score = ratio(out->ce_zero - out->ce_reconstructed,
                                      out->ce_zero - out->ce_original);
    out->nats_lost = out->ce_reconstructed - out->ce_original;
    out->bits_lost = out->nats_lost / M_LN2;
    out->kl = a->kl / n;
    out->l0 = ratio(a->l0, (double)a->tokens);
    out->fvu = ratio(a->error, spread);
    out->samples_difference = sqrt(ratio(a->difference, a->own));
}

/* ---- what can be scored */

static bool check_fit(const struct scoring *s, int64_t *n_seq, struct err *err)
{
    const struct samples *samples = s->samples;
    const char *lm = lm_path(s->lm);
    if (s->sae->d_in != s->sae->d_out || strcmp(s->sae->kind, "sae") != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: its output does not replace its input "
                       "(found a %s, expected an SAE)", s->sae->path, s->sae->kind);
    if (s->sae->d_in != s->d)
        return err_set(err, ERR_SHAPE, "%s: the SAE does not fit the language model %s "
                       "(found d_in = %lld, expected %lld)", s->sae->path, lm,
                       (long long)s->sae->d_in, (long long)s->d);
    if (!samples || !samples->tokens)
        return err_set(err, ERR_MISSING, "%s: no token ids to run the language model on "
                       "(expected --tokens)", s->sae->path);
    if (s->options->from_samples && !samples->n_shards)
        return err_set(err, ERR_MISSING, "%s: no samples (expected --acts)", s->sae->path);
    const char *tokens = container_path(samples->tokens_container);
    *n_seq = samples->n_tok / samples->seq_len;
    if (samples->seq_len < 2 || *n_seq < 1)
        return err_set(err, ERR_RANGE, "%s: no next token to predict (found %lld whole "
                       "sequences of %lld, expected at least one of 2 or more)", tokens,
                       (long long)*n_seq, (long long)samples->seq_len);
    if (!lm_check_length(s->lm, tokens, s->T, err))
        return false;
    int64_t *ids = xmalloc((size_t)s->T * sizeof *ids);
    bool ok = true;
    for (int64_t i = 0; i < *n_seq && ok; i++) {
        samples_ids(samples, i * s->T, s->T, ids);
        ok = lm_check_ids(s->lm, tokens, ids, s->T, err);
    }
    free(ids);
    return ok;
}

static bool check_result(const struct scoring *s, const struct page_score *p,
                         const struct progress *progress, struct err *err)
{
    if (p->positions == 0)
        return err_set(err, ERR_MISSING, "%s: every position is left out (expected at least "
                       "one; see --skip-first and --skip-tokens)",
                       container_path(s->samples->tokens_container));
    if (isfinite(p->ce_original) && isfinite(p->ce_reconstructed) && isfinite(p->ce_zero))
        return true;
    if (!lm_check_finite(s->lm, progress, err))
        return false;
    return err_set(err, ERR_FORMAT, "%s: the loss is not finite (found %g, %g with the "
                   "reconstruction, %g with zeros, expected numbers)", lm_path(s->lm),
                   p->ce_original, p->ce_reconstructed, p->ce_zero);
}

static int64_t cost(const struct scoring *s, int64_t n_seq)
{
    int64_t token = lm_cost_to(s->lm, s->hook) +
                    N_STREAMS * (lm_cost_from(s->lm, s->hook) + lm_cost_losses(s->lm));
    return token * n_seq * s->T;
}

/* As many threads as have room in the memory that is allowed, and at least one. */
static int fitting_threads(const struct scoring *s)
{
    const struct scan_options *o = &s->options->scan;
    int threads = o->threads > 0 ? o->threads : team_default_threads();
    size_t room = o->memory / scorer_bytes(s);
    if (o->memory && room < (size_t)threads)
        threads = room > 0 ? (int)room : 1;
    return threads;
}

bool score_run(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
               const struct samples *samples, const struct score_options *options,
               const struct progress *progress, struct page_score *out, struct err *err)
{
    double start = clock_seconds();
    struct scoring s = {.lm = lm, .hook = hook, .sae = sae, .samples = samples,
                        .options = options, .T = samples ? samples->seq_len : 0,
                        .d = lm_d_model(lm)};
    struct page_score made = {0};
    int threads =
        options->scan.threads > 0 ? options->scan.threads : team_default_threads();
    if (!check_fit(&s, &made.sequences, err) ||
        !reconstructor_init(&s.reconstructor, sae, threads, progress, err))
        return false;
    s.work = (struct lm_work){.progress = progress, .what = "tokens",
                              .of = cost(&s, made.sequences),
                              .tokens = made.sequences * s.T};
    struct sums all;
    double *vectors = xmalloc((size_t)(2 * s.d) * sizeof *vectors);
    sums_reset(&all, vectors, s.d);
    bool ok = run_rounds(&s, made.sequences, fitting_threads(&s), &all, err);
    if (ok) {
        summarise(&all, s.d, &made);
        ok = check_result(&s, &made, progress, err);
    }
    free(vectors);
    reconstructor_finish(&s.reconstructor);
    if (!ok)
        return false;
    made.seconds = clock_seconds() - start;
    *out = made;
    return true;
}
