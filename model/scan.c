/* scan.c - see scan.h. */
#include "model/scan.h"

#include <assert.h>
#include <libgen.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/clock.h"
#include "model/decode.h"
#include "model/encode.h"
#include "model/firings_pass.h"
#include "model/kern.h"
#include "model/merge.h"
#include "model/spill.h"
#include "model/weights.h"

/* Tokens that a thread claims at once; sums are merged in units of it. Within it a thread
 * works on as many rows at a time as its share of the memory allows. */
#define SCAN_BLOCK 1024
/* Finished blocks that may wait for an earlier one to be merged. */
#define SCAN_PENDING 64

/* What one token adds to the totals. */
struct token_sums {
    double l0, l1, error, cosine;
    bool counts, has_cosine;
};

/* A finished block, merged into the totals when all earlier ones are. */
struct block_sums {
    int64_t block;
    int64_t n, skipped;
    double *sum, *squares; /* [d_out] sum and sum of squares of target - reference */
    struct token_sums tokens[SCAN_BLOCK];
    struct block_sums *next;
};

struct scan {
    const struct sae *sae;
    const struct samples *samples;
    const struct scan_options *options;
    const struct progress *progress;
    struct scan_live *live;
    struct encoder encoder;
    const float *W_dec;      /* [d_sae, d_out] rows of f32 */
    struct scratch W_dec_copy;
    const float *W_skip;     /* [d_out, d_in] of skip transcoders with a target, else NULL */
    struct scratch W_skip_copy;
    const struct samples *target; /* what y is held against: the samples, for transcoders
                                     the given ones; NULL: nothing */
    float *decoder_norm, *cosine; /* [d_sae] */
    float *reference;        /* [d_out] near the mean of the target: keeps the sums of squares
                                small */
    struct spill spill;
    int64_t rows;            /* that a thread works on at a time */
    int64_t hits_cap;        /* hits of these rows */
    int64_t buffer_cap;      /* entries of a thread's spill buffer */

    pthread_mutex_t lock;
    pthread_cond_t merged_changed;
    int64_t next_block, n_blocks;
    int64_t merged;          /* blocks merged: all below it */
    struct block_sums *pending;
    bool failed;
    struct err err;

    /* Totals over merged blocks. */
    int64_t tokens, skipped, cosines;
    double l0, l1, error, cosine_sum;
    double *sum, *squares;   /* [d_out] */
};

/* A thread's own memory. */
struct scanner {
    struct scan *s;
    struct encode_scratch scratch;
    float *x, *u, *y;          /* [rows, d_in], [rows, d_in], [rows, d_out] */
    float *t;                  /* [rows, d_out] the target: x, or of its own */
    float *scale, *shift;      /* [rows] of sae_input */
    int64_t *ids;              /* [rows] */
    uint32_t *token;           /* [rows] of the samples */
    struct encode_hit *hits;   /* [hits_cap] */
    float *delta;              /* [hits_cap] */
    struct decoder decoder;    /* what it works in is owned, but the tile */
    int64_t fits;              /* rows whose hits are likely to fit into hits_cap */
    struct spill_buffer buffer;
    struct err err;
    bool ok;
    int64_t block;             /* being worked on */
    struct block_sums *sums;
};

/* ---- live view -------------------------------------------------------------------- */

struct scan_live *scan_live_new(int64_t d_sae)
{
    struct scan_live *live = xcalloc(1, sizeof *live);
    live->d_sae = d_sae;
    live->count = xcalloc((size_t)d_sae, sizeof *live->count);
    live->max = xcalloc((size_t)d_sae, sizeof *live->max);
    live->sum = xcalloc((size_t)d_sae, sizeof *live->sum);
    return live;
}

void scan_live_free(struct scan_live *live)
{
    if (!live)
        return;
    free((void *)live->count);
    free((void *)live->max);
    free((void *)live->sum);
    free(live);
}

/* Plain loads and stores: an update that two threads make at once may be lost, which an
 * approximate view can bear and a scan's speed cannot. */
void scan_live_add(struct scan_live *live, uint32_t j, float value)
{
    float a = fabsf(value);
    float max = atomic_load_explicit(&live->max[j], memory_order_relaxed);
    float sum = atomic_load_explicit(&live->sum[j], memory_order_relaxed);
    uint32_t count = atomic_load_explicit(&live->count[j], memory_order_relaxed);
    atomic_store_explicit(&live->count[j], count + 1, memory_order_relaxed);
    atomic_store_explicit(&live->sum[j], sum + a, memory_order_relaxed);
    if (a > max)
        atomic_store_explicit(&live->max[j], a, memory_order_relaxed);
}

/* ---- the totals ------------------------------------------------------------------- */

static void scan_fail(struct scan *s, const struct err *err)
{
    pthread_mutex_lock(&s->lock);
    if (!s->failed)
        s->err = *err;
    s->failed = true;
    pthread_cond_broadcast(&s->merged_changed);
    pthread_mutex_unlock(&s->lock);
}

static void block_sums_free(struct block_sums *b)
{
    if (!b)
        return;
    free(b->sum);
    free(b->squares);
    free(b);
}

static void merge_block(struct scan *s, const struct block_sums *b)
{
    for (int64_t i = 0; i < SCAN_BLOCK; i++) {
        const struct token_sums *t = &b->tokens[i];
        if (!t->counts)
            continue;
        s->l0 += t->l0;
        s->l1 += t->l1;
        s->error += t->error;
        if (t->has_cosine) {
            s->cosine_sum += t->cosine;
            s->cosines++;
        }
    }
    for (int64_t k = 0; k < s->sae->d_out; k++) {
        s->sum[k] += b->sum[k];
        s->squares[k] += b->squares[k];
    }
    s->tokens += b->n;
    s->skipped += b->skipped;
}

/* Hand a finished block over; merge all whose turn it is. Waits when too many wait. */
static void merge_in_order(struct scan *s, struct block_sums *b)
{
    pthread_mutex_lock(&s->lock);
    while (!s->failed && b->block >= s->merged + SCAN_PENDING)
        pthread_cond_wait(&s->merged_changed, &s->lock);
    b->next = s->pending;
    s->pending = b;
    for (struct block_sums **p = &s->pending; *p;) {
        struct block_sums *found = *p;
        if (found->block != s->merged) {
            p = &found->next;
            continue;
        }
        *p = found->next;
        merge_block(s, found);
        block_sums_free(found);
        s->merged++;
        p = &s->pending;
    }
    if (s->live)
        atomic_store(&s->live->tokens, s->tokens);
    pthread_cond_broadcast(&s->merged_changed);
    pthread_mutex_unlock(&s->lock);
}

/* ---- one thread's work on a few rows ---------------------------------------------- */

bool scan_counts(const struct scan_options *options, const struct samples *samples,
                 int64_t t, int64_t id)
{
    if (samples_position(samples, t) < options->skip_first)
        return false;
    for (int i = 0; i < options->n_skip_tokens; i++)
        if (id == options->skip_tokens[i])
            return false;
    return true;
}

/* Where the totals of a row go. */
static struct token_sums *sums_of(const struct scanner *w, int64_t row)
{
    return &w->sums->tokens[w->token[row] - w->block * SCAN_BLOCK];
}

static void add_moments(const struct scanner *w, const float *t)
{
    const float *reference = w->s->reference;
    for (int64_t k = 0; k < w->s->sae->d_out; k++) {
        double d = (double)t[k] - (double)reference[k];
        w->sums->sum[k] += d;
        w->sums->squares[k] += d * d;
    }
}

/* Read tokens [first, first + n) and keep those that count: x, u, scale, shift, token of
 * the first *rows rows. */
static bool read_rows(struct scanner *w, int64_t first, int64_t n, int64_t *rows)
{
    const struct scan *s = w->s;
    int64_t d = s->sae->d_in, d_out = s->sae->d_out, kept = 0;
    bool apart = s->target && w->t != w->x;
    if (!samples_read(s->samples, first, n, w->x, &w->err) ||
        (apart && !samples_read(s->target, first, n, w->t, &w->err)))
        return false;
    samples_ids(s->samples, first, n, w->ids);
    for (int64_t i = 0; i < n; i++) {
        float *x = w->x + kept * d, *t = w->t + kept * d_out;
        if (!scan_counts(s->options, s->samples, first + i, w->ids[i]))
            continue;
        if (kept != i)
            memcpy(x, w->x + i * d, (size_t)d * sizeof *x);
        if (apart && kept != i)
            memcpy(t, w->t + i * d_out, (size_t)d_out * sizeof *t);
        if (!kern_all_finite(x, d) || (apart && !kern_all_finite(t, d_out)) ||
            !sae_input(s->sae, x, w->u + kept * d, &w->scale[kept], &w->shift[kept])) {
            w->sums->skipped++;
            continue;
        }
        if (s->target)
            add_moments(w, t);
        w->token[kept++] = (uint32_t)(first + i);
    }
    w->sums->n += kept;
    *rows = kept;
    return true;
}

/* What is said of each of n rows, whose hits have been counted: x_hat in y becomes the
 * error. */
static void account_rows(struct scanner *w, int64_t row, int64_t n)
{
    int64_t d = w->s->sae->d_out;
    for (int64_t r = row; r < row + n; r++) {
        const float *x = w->t + r * d;
        float *y = w->y + r * d;
        struct token_sums *t = sums_of(w, r);
        if (w->s->W_skip)
            decode_skip(w->s->sae, w->s->W_skip, w->x + r * w->s->sae->d_in, y);
        double xx = kern_sum_squares(x, d), yy = kern_sum_squares(y, d);
        if (xx > 0 && yy > 0) {
            t->cosine = kern_dot_double(x, y, d) / sqrt(xx * yy);
            t->has_cosine = true;
        }
        for (int64_t k = 0; k < d; k++)
            y[k] = x[k] - y[k];
        t->error = kern_sum_squares(y, d);
    }
}

static void count_hits(struct scanner *w, int64_t row, int64_t n, int64_t n_hits)
{
    for (int64_t r = row; r < row + n; r++)
        *sums_of(w, r) = (struct token_sums){.counts = true};
    for (int64_t i = 0; i < n_hits; i++) {
        struct token_sums *t = sums_of(w, row + w->hits[i].row);
        t->l0++;
        t->l1 += fabs((double)w->hits[i].value);
    }
}

static struct spill_hit to_spill(const struct scanner *w, int64_t row, int64_t i)
{
    return (struct spill_hit){.token = w->token[row + w->hits[i].row],
                              .value = w->hits[i].value,
                              .delta = w->delta[i]};
}

/* Very many hits are a run of their own: they come sorted. */
static bool spill_sorted(struct scanner *w, int64_t row, int64_t n_hits)
{
    struct spill_run run;
    if (!spill_run_init(&run, &w->s->spill, n_hits, &w->err))
        return false;
    for (int64_t i = 0; i < n_hits; i++) {
        run.start[w->hits[i].feature + 1]++;
        run.hits[i] = to_spill(w, row, i);
    }
    for (int64_t j = 0; j < w->s->sae->d_sae; j++)
        run.start[j + 1] += run.start[j];
    spill_run_add(&w->s->spill, &run);
    return true;
}

static bool spill_hits(struct scanner *w, int64_t row, int64_t n_hits)
{
    if (n_hits > w->buffer.cap / 4)
        return spill_sorted(w, row, n_hits);
    for (int64_t i = 0; i < n_hits; i++) {
        struct spill_entry e = {.feature = w->hits[i].feature, .hit = to_spill(w, row, i)};
        if (!spill_add(&w->s->spill, &w->buffer, &e, &w->err))
            return false;
    }
    return true;
}

/* Encode rows [row, row + n), or fewer when their hits do not fit; n gets how many. One row
 * always fits. */
static int64_t encode_some(struct scanner *w, int64_t row, int64_t *n)
{
    const struct scan *s = w->s;
    int64_t n_hits;
    *n = *n < w->fits ? *n : w->fits;
    while (!encoder_block(&s->encoder, &w->scratch, w->u + row * s->sae->d_in, *n, w->hits,
                          s->hits_cap, &n_hits))
        w->fits = *n /= 2;
    if (*n == w->fits && n_hits < s->hits_cap / 4 && w->fits < s->rows)
        w->fits *= 2;
    return n_hits;
}

/* Rows [0, n): encode, decode, account, spill. */
static bool scan_rows(struct scanner *w, int64_t n)
{
    const struct scan *s = w->s;
    for (int64_t row = 0, some; row < n; row += some) {
        some = n - row;
        int64_t n_hits = encode_some(w, row, &some);
        float *y = w->y + row * s->sae->d_out;
        count_hits(w, row, some, n_hits);
        memset(w->delta, 0, (size_t)n_hits * sizeof *w->delta);
        if (s->target) {
            decode_block(&w->decoder, w->hits, n_hits, w->scale + row, w->shift + row, some,
                         y);
            account_rows(w, row, some);
            decode_block_deltas(&w->decoder, w->hits, n_hits, w->scale + row, some, y,
                                w->delta);
        }
        for (int64_t i = 0; s->live && i < n_hits; i++)
            scan_live_add(s->live, w->hits[i].feature, w->hits[i].value);
        if (!spill_hits(w, row, n_hits))
            return false;
    }
    return true;
}

static bool scan_block(struct scanner *w)
{
    const struct scan *s = w->s;
    int64_t first = w->block * SCAN_BLOCK, end = first + SCAN_BLOCK;
    end = end < s->samples->n_tok ? end : s->samples->n_tok;
    for (int64_t t = first; t < end; t += s->rows) {
        int64_t n = end - t < s->rows ? end - t : s->rows, rows;
        if (!read_rows(w, t, n, &rows))
            return false;
        if (!scan_rows(w, rows))
            return false;
        if (!progress_step(s->progress, "tokens", s->tokens, s->samples->n_tok))
            return err_set(&w->err, ERR_CANCELLED, "cancelled");
    }
    return true;
}

/* ---- the threads ------------------------------------------------------------------ */

static struct block_sums *block_sums_new(const struct scan *s, int64_t block)
{
    struct block_sums *b = xcalloc(1, sizeof *b);
    b->block = block;
    b->sum = xcalloc((size_t)s->sae->d_out, sizeof *b->sum);
    b->squares = xcalloc((size_t)s->sae->d_out, sizeof *b->squares);
    return b;
}

static void scanner_work(void *ctx)
{
    struct scanner *w = ctx;
    struct scan *s = w->s;
    while (w->ok) {
        pthread_mutex_lock(&s->lock);
        w->block = s->next_block++;
        bool stop = s->failed || w->block >= s->n_blocks;
        pthread_mutex_unlock(&s->lock);
        if (stop)
            break;
        w->sums = block_sums_new(s, w->block);
        w->ok = scan_block(w);
        if (w->ok) {
            merge_in_order(s, w->sums);
            w->sums = NULL;
        }
    }
    if (w->ok)
        w->ok = spill_flush(&s->spill, &w->buffer, &w->err);
}

static bool scanner_init(struct scanner *w, struct scan *s)
{
    size_t rows = (size_t)s->rows, d_in = (size_t)s->sae->d_in;
    bool apart = s->target && s->target != s->samples;
    *w = (struct scanner){.s = s, .ok = true, .fits = s->rows};
    w->buffer.cap = s->buffer_cap;
    w->scale = xmalloc(rows * sizeof *w->scale);
    w->shift = xmalloc(rows * sizeof *w->shift);
    w->ids = xmalloc(rows * sizeof *w->ids);
    w->token = xmalloc(rows * sizeof *w->token);
    w->decoder = (struct decoder){
        .sae = s->sae, .W_dec = s->W_dec, .norms = s->decoder_norm};
    w->decoder.start = xmalloc((rows + 1) * sizeof *w->decoder.start);
    return encode_scratch_init(&w->scratch, &s->encoder, s->rows, &w->err) &&
           (w->decoder.tile = w->scratch.tile) &&
           (w->x = mem_try(rows * d_in, sizeof *w->x, "activations", &w->err)) &&
           (w->u = mem_try(rows * d_in, sizeof *w->u, "activations", &w->err)) &&
           (w->y = mem_try(rows * (size_t)s->sae->d_out, sizeof *w->y, "reconstructions",
                           &w->err)) &&
           (w->t = apart ? mem_try(rows * (size_t)s->sae->d_out, sizeof *w->t, "targets",
                                   &w->err)
                         : w->x) &&
           (w->hits = mem_try((size_t)s->hits_cap, sizeof *w->hits, "hits", &w->err)) &&
           (w->delta = mem_try((size_t)s->hits_cap, sizeof *w->delta, "hits", &w->err)) &&
           (w->decoder.order =
                mem_try((size_t)s->hits_cap, sizeof *w->decoder.order, "hits", &w->err)) &&
           (w->buffer.entries = mem_try((size_t)s->buffer_cap, sizeof *w->buffer.entries,
                                        "hits", &w->err));
}

static void scanner_finish(struct scanner *w)
{
    encode_scratch_finish(&w->scratch);
    block_sums_free(w->sums);
    if (w->t != w->x)
        free(w->t);
    free(w->x);
    free(w->u);
    free(w->y);
    free(w->scale);
    free(w->shift);
    free(w->ids);
    free(w->token);
    free(w->hits);
    free(w->delta);
    free(w->decoder.order);
    free(w->decoder.start);
    free(w->buffer.entries);
}

static void scan_thread(void *ctx, int thread)
{
    struct scan *s = ctx;
    struct scanner w;
    (void)thread;
    bool ok = scanner_init(&w, s) && map_guard(scanner_work, &w, &w.err) && w.ok;
    if (!ok)
        scan_fail(s, &w.err);
    scanner_finish(&w);
}

/* ---- memory ----------------------------------------------------------------------- */

/*
 * A thread's share is spent on rows first (wide blocks keep the product efficient), half
 * of what is left on the hits of these rows and half on the spill buffer. The floor below
 * keeps a scan possible, if slow, however small --memory is.
 */
static void plan_memory(struct scan *s, int threads)
{
    size_t d = (size_t)(2 * s->sae->d_in + 2 * s->sae->d_out) * sizeof(float);
    size_t hit = sizeof(struct encode_hit) + sizeof(float) + sizeof(uint32_t);
    size_t share = s->options->memory / (size_t)threads;
    share = share > KERN_GEMM_BYTES ? share - KERN_GEMM_BYTES : 0;
    s->rows = SCAN_BLOCK;
    while (s->rows > 16 && (size_t)s->rows * d + encode_scratch_bytes(&s->encoder, s->rows) >
                               share / 2)
        s->rows /= 2;
    size_t spent = (size_t)s->rows * d + encode_scratch_bytes(&s->encoder, s->rows);
    size_t left = share > spent ? share - spent : 0;
    int64_t most = s->rows * s->sae->d_sae;
    s->hits_cap = (int64_t)(left / 2 / hit);
    s->hits_cap = s->hits_cap < s->sae->d_sae ? s->sae->d_sae : s->hits_cap;
    s->hits_cap = s->hits_cap > most ? most : s->hits_cap;
    s->hits_cap = s->hits_cap > (4 << 20) && most > (4 << 20) ? 4 << 20 : s->hits_cap;
    s->buffer_cap = spill_buffer_cap(left / 2);
}

/* Threads that the memory feeds and the work occupies. */
static int plan_threads(const struct scan *s)
{
    int threads = s->options->threads > 0 ? s->options->threads : team_default_threads();
    int64_t fed = (int64_t)(s->options->memory / (KERN_GEMM_BYTES + ((size_t)16 << 20)));
    fed = fed < 1 ? 1 : fed;
    threads = threads < fed ? threads : (int)fed;
    return threads < s->n_blocks ? threads : (int)(s->n_blocks > 0 ? s->n_blocks : 1);
}

/* ---- the whole -------------------------------------------------------------------- */

static bool prepare(struct scan *s, int threads, struct err *err)
{
    const struct sae *sae = s->sae;
    size_t n = (size_t)sae->d_sae;
    s->decoder_norm = xmalloc(n * sizeof *s->decoder_norm);
    s->cosine = xmalloc(n * sizeof *s->cosine);
    s->reference = xcalloc((size_t)sae->d_out, sizeof *s->reference);
    s->sum = xcalloc((size_t)sae->d_out, sizeof *s->sum);
    s->squares = xcalloc((size_t)sae->d_out, sizeof *s->squares);
    if ((s->target && !samples_near_mean(s->target, s->reference, err)) ||
        !weights_geometry(sae, threads, s->progress, s->decoder_norm, s->cosine, err) ||
        !encoder_init(&s->encoder, sae, threads, s->progress, err))
        return false;
    s->W_dec = encode_rows(&sae->W_dec, threads, "reading W_dec", s->progress,
                           &s->W_dec_copy, err);
    if (s->W_dec && s->target && sae->W_skip.t)
        s->W_skip = encode_rows(&sae->W_skip, threads, "reading W_skip", s->progress,
                                &s->W_skip_copy, err);
    return s->W_dec && (s->W_skip || !s->target || !sae->W_skip.t);
}

static bool finish_totals(const struct scan *s, struct scan_totals *t, struct err *err)
{
    double n = (double)s->tokens;
    *t = (struct scan_totals){.tokens = s->tokens,
                              .sequences = s->samples->n_seq,
                              .skipped_tokens = s->skipped,
                              .finite_weights = s->sae->finite};
    if (s->tokens == 0)
        return samples_none_left(s->samples, s->skipped, err);
    for (int64_t k = 0; k < s->sae->d_out; k++)
        t->sum_squares += s->squares[k] - s->sum[k] * s->sum[k] / n;
    bool judged = s->target != NULL;
    bool none = sae_count_broken(s->sae) == s->sae->d_sae;
    t->l0 = none ? NAN : s->l0 / n;
    t->l1 = none ? NAN : s->l1 / n;
    t->fvu = judged && t->sum_squares > 0 ? s->error / t->sum_squares : NAN;
    t->explained_variance = 1 - t->fvu;
    t->mse = judged ? s->error / n / (double)s->sae->d_out : NAN;
    t->cosine = s->cosines ? s->cosine_sum / (double)s->cosines : NAN;
    return true;
}

static void scan_finish(struct scan *s)
{
    for (struct block_sums *b = s->pending, *next; b; b = next) {
        next = b->next;
        block_sums_free(b);
    }
    encoder_finish(&s->encoder);
    scratch_finish(&s->W_dec_copy);
    scratch_finish(&s->W_skip_copy);
    spill_finish(&s->spill);
    free(s->decoder_norm);
    free(s->cosine);
    free(s->reference);
    free(s->sum);
    free(s->squares);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->merged_changed);
}

/* Files that changed during the pass make its numbers belong to no file. */
static bool inputs_unchanged(const struct scan *s, struct err *err)
{
    if (s->target && !samples_unchanged(s->target, err))
        return false;
    if (!samples_unchanged(s->samples, err))
        return false;
    for (int i = 0; i < s->sae->n_containers; i++)
        if (!container_unchanged(s->sae->containers[i], err))
            return false;
    return true;
}

static bool run(struct scan *s, const char *index_path, const char *key, double started,
                struct scan_totals *totals, struct err *err)
{
    int threads = plan_threads(s);
    if (!prepare(s, threads, err))
        return false;
    plan_memory(s, threads);
    if (s->live)
        atomic_store(&s->live->tokens_of, s->samples->n_tok);
    team_run(threads, scan_thread, s);
    if (s->failed) {
        if (err)
            *err = s->err;
        return false;
    }
    struct scan_totals t;
    if (!inputs_unchanged(s, err) || !finish_totals(s, &t, err))
        return false;
    struct merge_input in = {.spill = &s->spill,
                             .sum_squares = t.sum_squares,
                             .decoder_norm = s->decoder_norm,
                             .encoder_decoder_cosine = s->cosine,
                             .broken = s->sae->broken,
                             .has_delta = s->target != NULL,
                             .started = started,
                             .threads = threads};
    if (!merge_run(&in, index_path, key, &t, s->progress, err))
        return false;
    *totals = t;
    return true;
}

struct guarded_run {
    struct scan *s;
    const char *index_path, *key;
    double started;
    struct scan_totals *totals;
    struct err *err;
    bool ok;
};

static void run_guarded(void *ctx)
{
    struct guarded_run *g = ctx;
    g->ok = run(g->s, g->index_path, g->key, g->started, g->totals, g->err);
}

bool scan_run(const struct sae *sae, const struct samples *samples,
              const struct scan_options *options, const char *index_path, const char *key,
              struct scan_live *live, const struct progress *progress,
              struct scan_totals *totals, struct err *err)
{
    if (samples->firings)
        return firings_scan(sae, samples, options, index_path, key, live, progress, totals,
                            err);
    assert(sae->d_in == samples->d_in);
    if (samples->n_tok > UINT32_MAX)
        return err_set(err, ERR_UNSUPPORTED, "%s: too many tokens (found %lld, expected at most %u; "
                       "--tokens-limit takes fewer)", samples->path, (long long)samples->n_tok,
                       UINT32_MAX);
    struct scan s = {.sae = sae,
                     .samples = samples,
                     .options = options,
                     .progress = progress,
                     .live = live,
                     .target = sae_rebuilds_input(sae) ? samples : options->target,
                     .n_blocks = (samples->n_tok + SCAN_BLOCK - 1) / SCAN_BLOCK};
    char *copy = xstrdup(index_path);
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.merged_changed, NULL);
    spill_init(&s.spill, sae->d_sae, dirname(copy));
    struct guarded_run g = {.s = &s,
                            .index_path = index_path,
                            .key = key,
                            .started = clock_seconds(),
                            .totals = totals,
                            .err = err};
    bool ok = map_guard(run_guarded, &g, err) && g.ok;
    scan_finish(&s);
    free(copy);
    return ok;
}
