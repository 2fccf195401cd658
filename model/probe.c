/* probe.c - see probe.h. */
#include "model/probe.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/encode.h"
#include "model/firings_pass.h"
#include "model/kern.h"
#include "model/weights.h"

/* Bytes of samples that a thread reads at a time: they stay in its second cache. */
#define PROBE_BYTES ((int64_t)1 << 20)

struct block_hits {
    int64_t n, cap, tokens, skipped;
    struct hit *hits;
};

struct pass {
    const struct sae *sae;
    const struct samples *samples;
    const struct scan_options *options;
    const struct progress *progress;
    const struct encoder *encoder; /* TopK only */
    int64_t id, rows, n_blocks;
    const float *w, *glu;          /* [d_in] W_enc[id]; W_glu[id] or NULL */
    struct block_hits *blocks;     /* [n_blocks] */
    pthread_mutex_t lock;
    int64_t next;
    _Atomic int64_t done;
    bool failed;
    struct err err;
};

struct prober {
    struct pass *p;
    float *x, *scale, *shift, *m;
    int64_t *ids;
    uint32_t *token;
    struct encode_scratch scratch;
    struct encode_hit *hits;
    struct err err;
    bool ok;
};

static void add_hit(struct block_hits *b, uint32_t token, float value)
{
    array_grow(b->hits, b->n, b->cap);
    b->hits[b->n++] = (struct hit){.token = token, .value = value};
}

/* Tokens of a block that count, as inputs u in place of the samples. Samples that are not
 * finite show in the dot product and are found there. */
static bool read_block(struct prober *w, int64_t first, int64_t n, struct block_hits *b,
                       int64_t *kept)
{
    const struct pass *p = w->p;
    int64_t d = p->sae->d_in;
    bool skips = p->options->skip_first > 0 || p->options->n_skip_tokens > 0;
    if (!samples_read(p->samples, first, n, w->x, &w->err))
        return false;
    if (skips)
        samples_ids(p->samples, first, n, w->ids);
    *kept = 0;
    for (int64_t i = 0; i < n; i++) {
        if (skips && !scan_counts(p->options, p->samples, first + i, w->ids[i]))
            continue;
        float *u = w->x + *kept * d;
        if (!sae_input(p->sae, w->x + i * d, u, &w->scale[*kept], &w->shift[*kept])) {
            b->skipped++;
            continue;
        }
        w->token[(*kept)++] = (uint32_t)(first + i);
    }
    return true;
}

static void dots(const struct prober *w, int64_t n)
{
    int64_t d = w->p->sae->d_in, i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *x[4] = {w->x + i * d, w->x + (i + 1) * d, w->x + (i + 2) * d,
                             w->x + (i + 3) * d};
        kern_best()->dot4(w->m + i, x, w->p->w, d);
    }
    for (; i < n; i++)
        w->m[i] = kern_best()->dot(w->x + i * d, w->p->w, d);
}

/* TopK: which of the block's candidates are selected. Their inputs are packed to the
 * front of x. */
static bool select_block(struct prober *w, int64_t n, struct block_hits *b)
{
    const struct pass *p = w->p;
    int64_t d = p->sae->d_in, packed = 0, n_hits;
    for (int64_t i = 0; i < n; i++) {
        float h = p->sae->arch->activate(p->sae, p->id, w->m[i]);
        if (h > 0 || (h < 0 && p->sae->is_signed)) {
            memmove(w->x + packed * d, w->x + i * d, (size_t)d * sizeof *w->x);
            w->token[packed++] = w->token[i];
        }
    }
    if (packed == 0)
        return true;
    if (!encoder_block(p->encoder, &w->scratch, w->x, packed, w->hits,
                       p->rows * p->sae->k, &n_hits))
        return err_set(&w->err, ERR_NOMEM, "more than k features were selected");
    for (int64_t i = 0; i < n_hits; i++)
        if (w->hits[i].feature == p->id)
            add_hit(b, w->token[w->hits[i].row], w->hits[i].value);
    return true;
}

static bool probe_block(struct prober *w, int64_t index)
{
    const struct pass *p = w->p;
    struct block_hits *b = &p->blocks[index];
    int64_t first = index * p->rows, left = p->samples->n_tok - first, kept;
    if (!read_block(w, first, left < p->rows ? left : p->rows, b, &kept))
        return false;
    dots(w, kept);
    int64_t good = 0, d = p->sae->d_in;
    for (int64_t i = 0; i < kept; i++) {
        if (!isfinite(w->m[i]) && !kern_all_finite(w->x + i * d, d)) {
            b->skipped++;
            continue;
        }
        if (!p->sae->arch->selects) {
            float a = p->sae->arch->activate(p->sae, p->id, w->m[i]);
            if (a != 0 && p->glu)
                a = sae_glu(p->sae, p->id, a, kern_best()->dot(w->x + i * d, p->glu, d));
            if (a != 0)
                add_hit(b, w->token[i], a);
        } else if (good < i) {
            memmove(w->x + good * d, w->x + i * d, (size_t)d * sizeof *w->x);
            w->token[good] = w->token[i];
            w->m[good] = w->m[i];
        }
        good++;
    }
    b->tokens = good;
    return !p->sae->arch->selects || select_block(w, good, b);
}

static void prober_work(void *ctx)
{
    struct prober *w = ctx;
    struct pass *p = w->p;
    while (w->ok) {
        pthread_mutex_lock(&p->lock);
        int64_t index = p->failed ? p->n_blocks : p->next++;
        pthread_mutex_unlock(&p->lock);
        if (index >= p->n_blocks)
            break;
        w->ok = probe_block(w, index);
        int64_t done = atomic_fetch_add(&p->done, p->rows) + p->rows;
        if (w->ok && !progress_step(p->progress, "reading samples", done,
                                    p->samples->n_tok))
            w->ok = err_set(&w->err, ERR_CANCELLED, "cancelled");
    }
}

static bool prober_init(struct prober *w, struct pass *p)
{
    size_t rows = (size_t)p->rows;
    *w = (struct prober){.p = p, .ok = true};
    w->x = xmalloc(rows * (size_t)p->sae->d_in * sizeof *w->x);
    w->scale = xmalloc(rows * sizeof *w->scale);
    w->shift = xmalloc(rows * sizeof *w->shift);
    w->m = xmalloc(rows * sizeof *w->m);
    w->ids = xmalloc(rows * sizeof *w->ids);
    w->token = xmalloc(rows * sizeof *w->token);
    if (!p->encoder)
        return true;
    w->hits = mem_try(rows * (size_t)p->sae->k, sizeof *w->hits, "hits", &w->err);
    return w->hits && encode_scratch_init(&w->scratch, p->encoder, p->rows, &w->err);
}

static void prober_finish(struct prober *w)
{
    free(w->x);
    free(w->scale);
    free(w->shift);
    free(w->m);
    free(w->ids);
    free(w->token);
    free(w->hits);
    encode_scratch_finish(&w->scratch);
}

static void pass_thread(void *ctx, int thread)
{
    struct pass *p = ctx;
    struct prober w;
    (void)thread;
    if (!prober_init(&w, p) || !map_guard(prober_work, &w, &w.err) || !w.ok) {
        pthread_mutex_lock(&p->lock);
        if (!p->failed)
            p->err = w.err;
        p->failed = true;
        pthread_mutex_unlock(&p->lock);
    }
    prober_finish(&w);
}

static void join_blocks(const struct pass *p, struct probe *out)
{
    *out = (struct probe){0};
    for (int64_t i = 0; i < p->n_blocks; i++) {
        out->n_hits += p->blocks[i].n;
        out->tokens += p->blocks[i].tokens;
        out->skipped += p->blocks[i].skipped;
    }
    out->hits = xmalloc((size_t)out->n_hits * sizeof *out->hits);
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_blocks; i++) {
        if (p->blocks[i].n)
            memcpy(out->hits + n, p->blocks[i].hits,
                   (size_t)p->blocks[i].n * sizeof *out->hits);
        n += p->blocks[i].n;
    }
}

/* TopK needs the whole encoder, and blocks narrow enough for k hits a row. */
static bool prepare_selection(struct pass *p, struct encoder *encoder, int threads,
                              struct err *err)
{
    if (!p->sae->arch->selects)
        return true;
    if (!encoder_init(encoder, p->sae, threads, p->progress, err))
        return false;
    p->encoder = encoder;
    while (p->rows > 16 && encode_scratch_bytes(encoder, p->rows) > 8 * PROBE_BYTES)
        p->rows /= 2;
    return true;
}

bool probe_feature(const struct sae *sae, const struct samples *samples,
                   const struct scan_options *options, int64_t id,
                   const struct progress *progress, struct probe *out, struct err *err)
{
    if (samples->firings)
        return firings_probe(sae, samples, options, id, progress, out, err);
    assert(id >= 0 && id < sae->d_sae && sae->d_in == samples->d_in);
    int threads = options->threads > 0 ? options->threads : team_default_threads();
    int64_t rows = PROBE_BYTES / ((int64_t)sizeof(float) * sae->d_in);
    float *w = xmalloc((size_t)sae->d_in * sizeof *w);
    struct encoder encoder = {0};
    struct pass p = {.sae = sae, .samples = samples, .options = options,
                     .progress = progress, .id = id, .w = w, .rows = rows < 16 ? 16 : rows};
    float *glu = sae->W_glu.t ? xmalloc((size_t)sae->d_in * sizeof *glu) : NULL;
    p.glu = glu;
    bool ok = weights_row(&sae->W_enc, id, w, err) &&
              (!glu || weights_row(&sae->W_glu, id, glu, err)) &&
              prepare_selection(&p, &encoder, threads, err);
    if (ok) {
        p.n_blocks = (samples->n_tok + p.rows - 1) / p.rows;
        p.blocks = xcalloc((size_t)p.n_blocks, sizeof *p.blocks);
        pthread_mutex_init(&p.lock, NULL);
        team_run(threads < p.n_blocks ? threads : (int)p.n_blocks, pass_thread, &p);
        pthread_mutex_destroy(&p.lock);
        ok = !p.failed;
        if (ok)
            join_blocks(&p, out);
        else if (err)
            *err = p.err;
        for (int64_t i = 0; i < p.n_blocks; i++)
            free(p.blocks[i].hits);
        free(p.blocks);
    }
    encoder_finish(&encoder);
    free(glu);
    free(w);
    return ok;
}

void probe_finish(struct probe *p)
{
    free(p->hits);
    *p = (struct probe){0};
}

bool probe_exact(const struct sae *sae, const struct samples *samples, int64_t id,
                 int64_t t, const float *w, float *x, float *value, struct err *err)
{
    float scale, shift;
    if (samples->firings) {
        *value = firings_find(samples->firings, samples->seq_len, id, t);
        return true;
    }
    if (!samples_read(samples, t, 1, x, err))
        return false;
    if (!sae_input(sae, x, x, &scale, &shift))
        return err_set(err, ERR_FORMAT, "%s: sample of token %lld changed (found NaN or Inf, "
                       "expected numbers)", samples->path, (long long)t);
    *value = sae_activation(sae, id, kern_best()->dot(x, w, sae->d_in));
    if (!sae->W_glu.t || *value == 0)
        return true;
    float *glu = xmalloc((size_t)sae->d_in * sizeof *glu);
    bool ok = weights_row(&sae->W_glu, id, glu, err);
    if (ok)
        *value = sae_glu(sae, id, *value, kern_best()->dot(x, glu, sae->d_in));
    free(glu);
    return ok;
}
