/* firings_pass.c - see firings_pass.h. */
#include "model/firings_pass.h"

#include <libgen.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/clock.h"
#include "model/merge.h"
#include "model/spill.h"
#include "model/weights.h"

#define IDS_AT_ONCE 65536

struct reader;

/* What a pass does with n firings of a block that count. */
typedef bool (*take_fn)(struct reader *r, const struct firing *f, int64_t n);

/* What one block gave. */
struct block {
    const struct firings_part *part;
    int64_t first, n;   /* firings of it */
    int64_t hits, cut;  /* that count; of all beyond half precision */
    double sum;         /* of |a| */
    struct hit *list;   /* of a probe: owned, [hits] */
};

struct pass {
    const struct sae *sae;
    const struct samples *samples;
    const struct scan_options *options;
    const struct progress *progress;
    const char *what;   /* for the progress */
    take_fn take;
    struct firings_bounds bounds;
    struct block *blocks;
    int64_t n_blocks, cap_blocks, n;
    int threads;
    int64_t id;         /* of a probe */
    const struct probe *probe; /* whose hits are held against all */
    struct probe_extra *extra;
    struct spill spill; /* of a scan */
    struct scan_live *live;
    int64_t buffer_cap;
    _Atomic int64_t next, done;
    atomic_bool failed;
    pthread_mutex_t lock;
    struct err err;
};

/* A thread's own memory. */
struct reader {
    struct pass *p;
    struct block *block;
    struct firings_room *room;
    struct spill_buffer buffer;
    uint32_t *both;  /* [d_sae] */
    int64_t *counts; /* [d_sae] */
    struct err err;
    bool ok;
};

/* ---- blocks of firings ------------------------------------------------------------ */

/* All blocks of the parts, or of the one part that has a feature. */
static void plan_blocks(struct pass *p, int64_t feature)
{
    const struct firings *f = p->samples->firings;
    int only = feature >= 0 ? firings_part_of(f, feature) : -1;
    for (int i = 0; i < f->n_parts; i++) {
        const struct firings_part *part = &f->parts[i];
        if (feature >= 0 && i != only)
            continue;
        for (int64_t first = 0; first < part->n; first += FIRINGS_AT_ONCE) {
            int64_t left = part->n - first;
            array_grow(p->blocks, p->n_blocks, p->cap_blocks);
            p->blocks[p->n_blocks++] = (struct block){
                .part = part, .first = first,
                .n = left < FIRINGS_AT_ONCE ? left : FIRINGS_AT_ONCE};
        }
        p->n += part->n;
    }
}

/* Keep those of a block that count: in the tokens asked for, of whole features. */
static int64_t keep_counted(struct reader *r, int64_t n)
{
    const struct pass *p = r->p;
    bool skips = p->options->skip_first > 0 || p->options->n_skip_tokens > 0;
    struct firing *f = r->room->firing;
    int64_t kept = 0, asked = -1, id = -1;
    bool counts = true;
    for (int64_t i = 0; i < n; i++) {
        if (f[i].token >= p->samples->n_tok || f[i].value == 0 ||
            (p->sae->broken && p->sae->broken[f[i].feature]))
            continue;
        if (skips && f[i].token != asked) {
            asked = f[i].token;
            samples_ids(p->samples, asked, 1, &id);
            counts = scan_counts(p->options, p->samples, asked, id);
        }
        if (!counts)
            continue;
        f[kept++] = f[i];
    }
    return kept;
}

static void read_blocks(void *ctx)
{
    struct reader *r = ctx;
    struct pass *p = r->p;
    while (r->ok && !atomic_load(&p->failed)) {
        int64_t i = atomic_fetch_add(&p->next, 1);
        if (i >= p->n_blocks)
            break;
        struct block *b = r->block = &p->blocks[i];
        r->ok = firings_read(b->part, &p->bounds, b->first, b->n, r->room, &r->err);
        b->cut = r->room->cut;
        r->ok = r->ok && p->take(r, r->room->firing, keep_counted(r, b->n));
        int64_t done = atomic_fetch_add(&p->done, b->n) + b->n;
        if (r->ok && !progress_step(p->progress, p->what, done, p->n))
            r->ok = err_set(&r->err, ERR_CANCELLED, "cancelled");
    }
    if (r->ok && r->buffer.entries)
        r->ok = spill_flush(&p->spill, &r->buffer, &r->err);
}

static bool reader_init(struct reader *r, struct pass *p)
{
    size_t d_sae = (size_t)p->sae->d_sae;
    *r = (struct reader){.p = p, .ok = true, .buffer.cap = p->buffer_cap};
    r->room = xmalloc(sizeof *r->room);
    if (p->extra) {
        r->both = xcalloc(d_sae, sizeof *r->both);
        r->counts = xcalloc(d_sae, sizeof *r->counts);
    }
    if (p->buffer_cap)
        r->buffer.entries = mem_try((size_t)p->buffer_cap, sizeof *r->buffer.entries, "hits",
                                    &r->err);
    return !p->buffer_cap || r->buffer.entries;
}

static void add_counts(struct pass *p, const struct reader *r)
{
    for (int64_t j = 0; p->extra && j < p->sae->d_sae; j++) {
        p->extra->both[j] += r->both[j];
        p->extra->counts[j] += r->counts[j];
    }
}

static void reader_thread(void *ctx, int thread)
{
    struct pass *p = ctx;
    struct reader r;
    (void)thread;
    bool ok = reader_init(&r, p) && map_guard(read_blocks, &r, &r.err) && r.ok;
    pthread_mutex_lock(&p->lock);
    if (ok)
        add_counts(p, &r);
    else if (!atomic_exchange(&p->failed, true))
        p->err = r.err;
    pthread_mutex_unlock(&p->lock);
    free(r.room);
    free(r.buffer.entries);
    free(r.both);
    free(r.counts);
}

static bool pass_run(struct pass *p, struct err *err)
{
    team_run(p->threads, reader_thread, p);
    if (!atomic_load(&p->failed))
        return samples_unchanged(p->samples, err);
    if (err)
        *err = p->err;
    return false;
}

static void pass_init(struct pass *p, int64_t feature)
{
    const struct firings *f = p->samples->firings;
    p->bounds = (struct firings_bounds){.rows = f->rows, .positions = f->positions,
                                        .d_sae = p->sae->d_sae,
                                        .is_signed = p->sae->is_signed};
    pthread_mutex_init(&p->lock, NULL);
    plan_blocks(p, feature);
    p->threads = p->options->threads > 0 ? p->options->threads : team_default_threads();
    if (p->threads > p->n_blocks)
        p->threads = p->n_blocks > 0 ? (int)p->n_blocks : 1;
}

static void pass_finish(struct pass *p)
{
    for (int64_t i = 0; i < p->n_blocks; i++)
        free(p->blocks[i].list);
    free(p->blocks);
    pthread_mutex_destroy(&p->lock);
}

/* Tokens that count: whether anything fires there or not. */
static int64_t count_tokens(const struct pass *p)
{
    const struct samples *s = p->samples;
    int64_t *ids, counted = 0;
    if (p->options->skip_first <= 0 && p->options->n_skip_tokens == 0)
        return s->n_tok;
    ids = xmalloc(IDS_AT_ONCE * sizeof *ids);
    for (int64_t t = 0; t < s->n_tok; t += IDS_AT_ONCE) {
        int64_t n = s->n_tok - t < IDS_AT_ONCE ? s->n_tok - t : IDS_AT_ONCE;
        samples_ids(s, t, n, ids);
        for (int64_t i = 0; i < n; i++)
            counted += scan_counts(p->options, s, t + i, ids[i]);
    }
    free(ids);
    return counted;
}

/* ---- an index --------------------------------------------------------------------- */

static bool take_all(struct reader *r, const struct firing *f, int64_t n)
{
    struct block *b = r->block;
    for (int64_t i = 0; i < n; i++) {
        struct spill_entry e = {.feature = f[i].feature,
                                .hit = {.token = (uint32_t)f[i].token, .value = f[i].value}};
        b->sum += fabs((double)f[i].value);
        if (!spill_add(&r->p->spill, &r->buffer, &e, &r->err))
            return false;
        if (r->p->live)
            scan_live_add(r->p->live, f[i].feature, f[i].value);
    }
    b->hits = n;
    if (r->p->live) /* the share of the firings that are read, as tokens */
        atomic_store(&r->p->live->tokens,
                     (int64_t)((double)r->p->samples->n_tok *
                               ((double)atomic_load(&r->p->done) / (double)r->p->n)));
    return true;
}

static bool totals_of(const struct pass *p, struct scan_totals *t, struct err *err)
{
    double hits = 0, sum = 0;
    *t = (struct scan_totals){.tokens = count_tokens(p),
                              .sequences = p->samples->n_seq,
                              .finite_weights = p->sae->finite,
                              .fvu = NAN, .explained_variance = NAN, .mse = NAN,
                              .cosine = NAN};
    for (int64_t i = 0; i < p->n_blocks; i++) {
        hits += (double)p->blocks[i].hits;
        sum += p->blocks[i].sum;
        t->cut_activations += p->blocks[i].cut;
    }
    if (t->tokens == 0)
        return samples_none_left(p->samples, 0, err);
    bool none = sae_count_broken(p->sae) == p->sae->d_sae;
    t->l0 = none ? NAN : hits / (double)t->tokens;
    t->l1 = none ? NAN : sum / (double)t->tokens;
    return true;
}

/* Features that are in no file are not dead: they were not looked at. */
static bool *not_looked_at(const struct pass *p)
{
    int64_t d_sae = p->sae->d_sae;
    bool *out = xcalloc((size_t)d_sae, sizeof *out);
    for (int64_t j = 0; j < d_sae; j++)
        out[j] = (p->sae->broken && p->sae->broken[j]) ||
                 firings_part_of(p->samples->firings, j) < 0;
    return out;
}

struct scan {
    struct pass pass;
    const char *index_path, *key;
    double started;
    float *decoder_norm, *cosine; /* [d_sae] owned */
    bool *apart;                  /* [d_sae] owned */
    struct scan_totals *totals;
    struct err *err;
    bool ok;
};

static void scan_guarded(void *ctx)
{
    struct scan *s = ctx;
    struct pass *p = &s->pass;
    struct scan_totals t;
    s->ok = weights_geometry(p->sae, p->threads, p->progress, s->decoder_norm, s->cosine,
                             s->err) &&
            pass_run(p, s->err) && totals_of(p, &t, s->err);
    struct merge_input in = {.spill = &p->spill,
                             .decoder_norm = s->decoder_norm,
                             .encoder_decoder_cosine = s->cosine,
                             .broken = s->apart,
                             .started = s->started,
                             .threads = p->threads};
    s->ok = s->ok && merge_run(&in, s->index_path, s->key, &t, p->progress, s->err);
    if (s->ok)
        *s->totals = t;
}

bool firings_scan(const struct sae *sae, const struct samples *samples,
                  const struct scan_options *options, const char *index_path,
                  const char *key, struct scan_live *live, const struct progress *progress,
                  struct scan_totals *totals, struct err *err)
{
    size_t d_sae = (size_t)sae->d_sae;
    char *copy = xstrdup(index_path);
    struct scan s = {.pass = {.sae = sae, .samples = samples, .options = options,
                              .progress = progress, .what = "firings", .take = take_all,
                              .live = live},
                     .index_path = index_path, .key = key, .started = clock_seconds(),
                     .totals = totals, .err = err};
    pass_init(&s.pass, -1);
    s.pass.buffer_cap = spill_buffer_cap(options->memory / (size_t)s.pass.threads);
    spill_init(&s.pass.spill, sae->d_sae, dirname(copy));
    s.decoder_norm = xmalloc(d_sae * sizeof *s.decoder_norm);
    s.cosine = xmalloc(d_sae * sizeof *s.cosine);
    s.apart = not_looked_at(&s.pass);
    if (live)
        atomic_store(&live->tokens_of, samples->n_tok);
    bool ok = map_guard(scan_guarded, &s, err) && s.ok;
    spill_finish(&s.pass.spill);
    pass_finish(&s.pass);
    free(s.decoder_norm);
    free(s.cosine);
    free(s.apart);
    free(copy);
    return ok;
}

/* ---- one feature ------------------------------------------------------------------ */

static bool take_one(struct reader *r, const struct firing *f, int64_t n)
{
    struct block *b = r->block;
    int64_t id = r->p->id, cap = 0;
    for (int64_t i = 0; i < n; i++) {
        if (f[i].feature != id)
            continue;
        array_grow(b->list, b->hits, cap);
        b->list[b->hits++] = (struct hit){.token = (uint32_t)f[i].token, .value = f[i].value};
    }
    return true;
}

bool firings_probe(const struct sae *sae, const struct samples *samples,
                   const struct scan_options *options, int64_t id,
                   const struct progress *progress, struct probe *out, struct err *err)
{
    struct pass p = {.sae = sae, .samples = samples, .options = options, .id = id,
                     .progress = progress, .what = "reading firings", .take = take_one};
    pass_init(&p, id);
    bool ok = pass_run(&p, err);
    struct probe made = {.tokens = ok ? count_tokens(&p) : 0};
    for (int64_t i = 0; ok && i < p.n_blocks; i++)
        made.n_hits += p.blocks[i].hits;
    made.hits = ok ? xmalloc((size_t)made.n_hits * sizeof *made.hits) : NULL;
    for (int64_t i = 0, n = 0; ok && i < p.n_blocks; n += p.blocks[i++].hits)
        if (p.blocks[i].hits)
            memcpy(made.hits + n, p.blocks[i].list,
                   (size_t)p.blocks[i].hits * sizeof *made.hits);
    pass_finish(&p);
    if (ok)
        *out = made;
    return ok;
}

/* Firings of a block come by token, as the probe's hits do: one walk beside the other. */
static bool take_both(struct reader *r, const struct firing *f, int64_t n)
{
    const struct probe *probe = r->p->probe;
    const struct hit *end = probe->hits + probe->n_hits;
    const struct hit *h =
        n ? probe->hits + hits_find(probe->hits, probe->n_hits, f[0].token) : end;
    for (int64_t i = 0; i < n; i++) {
        while (h < end && h->token < f[i].token)
            h++;
        r->counts[f[i].feature]++;
        r->both[f[i].feature] += h < end && h->token == f[i].token;
    }
    return true;
}

bool firings_extra(const struct sae *sae, const struct samples *samples,
                   const struct scan_options *options, const struct probe *probe,
                   const struct progress *progress, struct probe_extra *out,
                   struct err *err)
{
    struct probe_extra made = {.delta_fvu = NAN};
    struct pass p = {.sae = sae, .samples = samples, .options = options, .probe = probe,
                     .extra = &made, .progress = progress, .what = "co-occurrence",
                     .take = take_both};
    made.both = xcalloc((size_t)sae->d_sae, sizeof *made.both);
    made.counts = xcalloc((size_t)sae->d_sae, sizeof *made.counts);
    pass_init(&p, -1);
    bool ok = pass_run(&p, err);
    pass_finish(&p);
    if (ok)
        *out = made;
    else
        probe_extra_finish(&made);
    return ok;
}
