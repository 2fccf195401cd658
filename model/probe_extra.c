/* probe_extra.c - delta_fvu and co-occurrence of one feature without an index. */
#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/decode.h"
#include "model/encode.h"
#include "model/firings_pass.h"
#include "model/kern.h"
#include "model/probe.h"

#define READ_ROWS 256  /* samples read at a time */
#define ENCODE_ROWS 128 /* tokens encoded at a time */
#define PAIR_LEAST 5   /* docs/commands.md: pairs with n_ij >= 5 */
#define PAIRS_SHOWN 10
#define COUNT_AT_ONCE 64 /* features counted in one pass */

/* ---- passes over all samples ------------------------------------------------------ */

struct counting;
struct counter;

/* What a pass does with the n tokens of a block that count: w->x as stored, w->u as
 * encoded, its sums into w->mine. */
typedef bool (*visit_fn)(const struct counting *c, struct counter *w, int64_t n);

struct counting {
    const struct sae *sae;
    const struct samples *samples;
    const struct scan_options *options;
    const struct progress *progress;
    const char *what;
    visit_fn visit;
    size_t mine_size;      /* doubles of a thread's own sums */
    double *sums;          /* [mine_size] all threads' */
    float *near_mean;      /* [d_in] of the samples, for their moments */
    const float *W;        /* [n_features, d_in] features to count */
    const int64_t *ids;
    int n_features;
    const struct encoder *encoder; /* to count those that are selected; else NULL */
    const struct encoder *glu;     /* of those that are not */
    pthread_mutex_t lock;
    int64_t next;
    bool failed;
    struct err err;
};

struct counter {
    struct counting *c;
    float *x, *u;
    int64_t *ids;
    double *mine;
    struct encode_scratch scratch;
    struct encode_hit *hits;
    struct err err;
    bool ok;
};

static bool visit_block(struct counter *w, int64_t first, int64_t n)
{
    struct counting *c = w->c;
    int64_t d = c->sae->d_in, kept = 0;
    if (!samples_read(c->samples, first, n, w->x, &w->err))
        return false;
    samples_ids(c->samples, first, n, w->ids);
    for (int64_t i = 0; i < n; i++) {
        const float *x = w->x + i * d;
        float scale, shift;
        if (!scan_counts(c->options, c->samples, first + i, w->ids[i]) ||
            !kern_all_finite(x, d) ||
            !sae_input(c->sae, x, w->u + kept * d, &scale, &shift))
            continue;
        memmove(w->x + kept++ * d, x, (size_t)d * sizeof *x);
    }
    if (!c->visit(c, w, kept))
        return false;
    return progress_step(c->progress, c->what, first + n, c->samples->n_tok) ||
           err_set(&w->err, ERR_CANCELLED, "cancelled");
}

static void counter_work(void *ctx)
{
    struct counter *w = ctx;
    struct counting *c = w->c;
    while (w->ok) {
        pthread_mutex_lock(&c->lock);
        int64_t first = c->failed ? c->samples->n_tok : c->next;
        c->next += READ_ROWS;
        pthread_mutex_unlock(&c->lock);
        int64_t left = c->samples->n_tok - first;
        if (left <= 0)
            break;
        w->ok = visit_block(w, first, left < READ_ROWS ? left : READ_ROWS);
    }
}

static void counter_thread(void *ctx, int thread)
{
    struct counting *c = ctx;
    size_t elements = (size_t)(READ_ROWS * c->sae->d_in);
    struct counter w = {.c = c, .ok = true};
    (void)thread;
    w.x = xmalloc(elements * sizeof *w.x);
    w.u = xmalloc(elements * sizeof *w.u);
    w.ids = xmalloc(READ_ROWS * sizeof *w.ids);
    w.mine = xcalloc(c->mine_size, sizeof *w.mine);
    bool ok = !c->encoder || encode_scratch_init(&w.scratch, c->encoder, READ_ROWS, &w.err);
    if (ok && c->encoder)
        w.hits = xmalloc((size_t)(READ_ROWS * c->sae->k) * sizeof *w.hits);
    ok = ok && map_guard(counter_work, &w, &w.err) && w.ok;
    pthread_mutex_lock(&c->lock);
    for (size_t k = 0; k < c->mine_size; k++)
        c->sums[k] += w.mine[k];
    if (!ok && !c->failed) {
        c->failed = true;
        c->err = w.err;
    }
    pthread_mutex_unlock(&c->lock);
    free(w.x);
    free(w.u);
    free(w.ids);
    free(w.mine);
    free(w.hits);
    encode_scratch_finish(&w.scratch);
}

static bool count_all(struct counting *c, struct err *err)
{
    int threads = c->options->threads > 0 ? c->options->threads : team_default_threads();
    pthread_mutex_init(&c->lock, NULL);
    team_run(threads, counter_thread, c);
    pthread_mutex_destroy(&c->lock);
    if (c->failed && err)
        *err = c->err;
    return !c->failed;
}

/* mine: count, then sums and sums of squares of x - near_mean. */
static bool visit_moments(const struct counting *c, struct counter *w, int64_t n)
{
    int64_t d = c->sae->d_in;
    double *sum = w->mine + 1, *squares = sum + d;
    w->mine[0] += (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < d; k++) {
            double v = (double)w->x[i * d + k] - (double)c->near_mean[k];
            sum[k] += v;
            squares[k] += v * v;
        }
    return true;
}

static bool sum_squares(struct counting c, double *out, struct err *err)
{
    int64_t d = c.sae->d_in;
    c.what = "mean of the samples";
    c.visit = visit_moments;
    c.mine_size = (size_t)(1 + 2 * d);
    c.sums = xcalloc(c.mine_size, sizeof *c.sums);
    c.near_mean = xmalloc((size_t)d * sizeof *c.near_mean);
    bool ok = samples_near_mean(c.samples, c.near_mean, err) && count_all(&c, err);
    double total = 0;
    for (int64_t k = 0; ok && c.sums[0] > 0 && k < d; k++)
        total += c.sums[1 + d + k] - c.sums[1 + k] * c.sums[1 + k] / c.sums[0];
    *out = total;
    free(c.near_mean);
    free(c.sums);
    return ok;
}

/* mine: firings of c->ids. */
static bool visit_firings(const struct counting *c, struct counter *w, int64_t n)
{
    int64_t d = c->sae->d_in;
    for (int f = 0; f < c->n_features; f++)
        for (int64_t i = 0; i < n; i++) {
            float m = kern_best()->dot(w->u + i * d, c->W + f * d, d);
            float a = c->sae->arch->activate(c->sae, c->ids[f], m);
            w->mine[f] += encoder_glu(c->glu, c->ids[f], a, w->u + i * d) != 0;
        }
    return true;
}

/* mine: firings of all features, where they are selected. */
static bool visit_selected(const struct counting *c, struct counter *w, int64_t n)
{
    int64_t n_hits;
    if (!encoder_block(c->encoder, &w->scratch, w->u, n, w->hits, READ_ROWS * c->sae->k,
                       &n_hits))
        return err_set(&w->err, ERR_NOMEM, "more than k features were selected");
    for (int64_t i = 0; i < n_hits; i++)
        w->mine[w->hits[i].feature]++;
    return true;
}

/* ---- the tokens where the feature fires ------------------------------------------- */

struct extra_pass {
    const struct sae *sae;
    const struct samples *samples;
    const struct probe *p;
    int64_t id;
    const struct progress *progress;
    struct encoder encoder;
    const float *W_dec;
    struct scratch W_dec_copy;
    double norm;   /* of the feature's decoder row */
    double delta;
    uint32_t *both;
};

struct extra_room {
    float *x, *u, *y, scale[ENCODE_ROWS], shift[ENCODE_ROWS];
    struct encode_scratch scratch;
    struct encode_hit *hits;
    uint32_t *order;
    int64_t cap;
};

/* Hits come by feature: those of row r, in that order. */
static int64_t hits_of_row(const struct extra_room *room, int64_t n_hits, uint32_t r)
{
    int64_t n = 0;
    for (int64_t i = 0; i < n_hits; i++)
        if (room->hits[i].row == r)
            room->order[n++] = (uint32_t)i;
    return n;
}

static void account(struct extra_pass *f, struct extra_room *room, int64_t n, int64_t n_hits)
{
    int64_t d = f->sae->d_in;
    for (int64_t i = 0; i < n_hits; i++)
        f->both[room->hits[i].feature]++;
    for (int64_t r = 0; r < n && sae_rebuilds_input(f->sae); r++) {
        int64_t count = hits_of_row(room, n_hits, (uint32_t)r);
        decode_token(f->sae, f->W_dec, room->hits, room->order, count, room->scale[r],
                     room->shift[r], room->y);
        for (int64_t k = 0; k < d; k++)
            room->y[k] = room->x[r * d + k] - room->y[k];
        for (int64_t i = 0; i < count; i++) {
            const struct encode_hit *h = &room->hits[room->order[i]];
            if (h->feature == f->id)
                f->delta += (double)decode_delta(f->sae, f->W_dec, h, room->scale[r],
                                                 f->norm, room->y);
        }
    }
}

static bool encode_firings(struct extra_pass *f, struct extra_room *room, struct err *err)
{
    int64_t d = f->sae->d_in, n_hits;
    for (int64_t i = 0; i < f->p->n_hits; i += ENCODE_ROWS) {
        int64_t n = f->p->n_hits - i < ENCODE_ROWS ? f->p->n_hits - i : ENCODE_ROWS;
        for (int64_t r = 0; r < n; r++) {
            if (!samples_read(f->samples, f->p->hits[i + r].token, 1, room->x + r * d, err))
                return false;
            sae_input(f->sae, room->x + r * d, room->u + r * d, &room->scale[r],
                      &room->shift[r]);
        }
        if (!encoder_block(&f->encoder, &room->scratch, room->u, n, room->hits, room->cap,
                           &n_hits))
            return err_set(err, ERR_NOMEM, "more hits than expected");
        account(f, room, n, n_hits);
        if (!progress_step(f->progress, "encoding", i + n, f->p->n_hits))
            return err_set(err, ERR_CANCELLED, "cancelled");
    }
    return true;
}

struct firing_guard {
    struct extra_pass *f;
    struct extra_room *room;
    struct err *err;
    bool ok;
};

static void firing_guarded(void *ctx)
{
    struct firing_guard *g = ctx;
    const struct extra_pass *f = g->f;
    g->f->norm = sqrt(kern_sum_squares(f->W_dec + f->id * f->sae->d_out, f->sae->d_out));
    g->ok = encode_firings(g->f, g->room, g->err);
}

static bool full_encode(struct extra_pass *f, int threads, struct err *err)
{
    const struct sae *sae = f->sae;
    struct extra_room room = {.cap = ENCODE_ROWS * sae->d_sae};
    struct firing_guard guard = {.f = f, .room = &room, .err = err};
    size_t rows = (size_t)(ENCODE_ROWS * sae->d_in);
    bool ok = false;
    if (!encoder_init(&f->encoder, sae, threads, f->progress, err) ||
        !(f->W_dec = encode_rows(&sae->W_dec, threads, "reading W_dec", f->progress,
                                 &f->W_dec_copy, err)) ||
        !encode_scratch_init(&room.scratch, &f->encoder, ENCODE_ROWS, err))
        goto out;
    room.x = xmalloc(rows * sizeof *room.x);
    room.u = xmalloc(rows * sizeof *room.u);
    room.y = xmalloc((size_t)sae->d_out * sizeof *room.y);
    room.order = xmalloc((size_t)sae->d_sae * sizeof *room.order);
    room.hits = mem_try((size_t)room.cap, sizeof *room.hits, "hits", err);
    ok = room.hits && map_guard(firing_guarded, &guard, err) && guard.ok;
out:
    free(room.x);
    free(room.u);
    free(room.y);
    free(room.order);
    free(room.hits);
    encode_scratch_finish(&room.scratch);
    scratch_finish(&f->W_dec_copy);
    return ok;
}

/* ---- how often the others fire ---------------------------------------------------- */

struct candidate {
    int64_t id;
    uint32_t both;
};

static int more_often(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->both != y->both)
        return x->both < y->both ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Candidates by `both`, most first; jaccard <= both / n_i, so counting may stop as soon
 * as that bound falls below the last of the best. */
static bool count_candidates(struct counting c, const struct extra_pass *f,
                             struct probe_extra *out, struct err *err)
{
    int64_t n = 0, d = c.sae->d_in, n_i = f->p->n_hits;
    struct candidate *list = xmalloc((size_t)c.sae->d_sae * sizeof *list);
    for (int64_t j = 0; j < c.sae->d_sae; j++)
        if (j != f->id && out->both[j] >= PAIR_LEAST)
            list[n++] = (struct candidate){.id = j, .both = out->both[j]};
    qsort(list, (size_t)n, sizeof *list, more_often);

    float *W = xmalloc((size_t)(COUNT_AT_ONCE * d) * sizeof *W);
    double *jaccard = xmalloc((size_t)n * sizeof *jaccard);
    int64_t ids[COUNT_AT_ONCE], done = 0;
    double sums[COUNT_AT_ONCE];
    bool ok = true;
    c.what = "co-occurrence";
    c.visit = visit_firings;
    c.glu = &f->encoder;
    c.mine_size = COUNT_AT_ONCE;
    c.sums = sums;
    c.W = W;
    c.ids = ids;
    while (ok && done < n) {
        qsort(jaccard, (size_t)done, sizeof *jaccard, descending);
        if (done >= PAIRS_SHOWN &&
            (double)list[done].both / (double)n_i < jaccard[PAIRS_SHOWN - 1])
            break;
        c.n_features = n - done < COUNT_AT_ONCE ? (int)(n - done) : COUNT_AT_ONCE;
        c.next = 0;
        memset(sums, 0, sizeof sums);
        for (int i = 0; i < c.n_features; i++) {
            ids[i] = list[done + i].id;
            memcpy(W + i * d, f->encoder.W + ids[i] * d, (size_t)d * sizeof *W);
        }
        ok = count_all(&c, err);
        for (int i = 0; i < c.n_features; i++, done++) {
            out->counts[ids[i]] = (int64_t)sums[i];
            jaccard[done] = (double)list[done].both /
                            ((double)n_i + sums[i] - (double)list[done].both);
        }
    }
    free(list);
    free(W);
    free(jaccard);
    return ok;
}

/* Which features TopK selects shows only in a full encode of every token. */
static bool count_selected(struct counting c, const struct extra_pass *f,
                           struct probe_extra *out, struct err *err)
{
    c.what = "co-occurrence";
    c.visit = visit_selected;
    c.encoder = &f->encoder;
    c.mine_size = (size_t)c.sae->d_sae;
    c.sums = xcalloc(c.mine_size, sizeof *c.sums);
    bool ok = count_all(&c, err);
    for (int64_t j = 0; ok && j < c.sae->d_sae; j++)
        out->counts[j] = (int64_t)c.sums[j];
    free(c.sums);
    return ok;
}

bool probe_extra(const struct sae *sae, const struct samples *samples,
                 const struct scan_options *options, int64_t id, const struct probe *p,
                 const struct progress *progress, struct probe_extra *out,
                 struct err *err)
{
    if (samples->firings)
        return firings_extra(sae, samples, options, p, progress, out, err);
    assert(p->n_hits <= PROBE_EXTRA_TOKENS);
    int threads = options->threads > 0 ? options->threads : team_default_threads();
    struct probe_extra made = {.delta_fvu = NAN};
    made.both = xcalloc((size_t)sae->d_sae, sizeof *made.both);
    made.counts = xmalloc((size_t)sae->d_sae * sizeof *made.counts);
    memset(made.counts, -1, (size_t)sae->d_sae * sizeof *made.counts);
    struct extra_pass f = {.sae = sae, .samples = samples, .p = p, .id = id,
                       .progress = progress, .both = made.both};
    struct counting c = {.sae = sae, .samples = samples, .options = options,
                         .progress = progress};
    double total = 0;
    bool ok = full_encode(&f, threads, err) &&
              (!sae_rebuilds_input(sae) || sum_squares(c, &total, err)) &&
              (!sae->arch->selects ? count_candidates(c, &f, &made, err)
               : samples->n_tok > PROBE_SELECT_TOKENS
                   ? true
                   : count_selected(c, &f, &made, err));
    if (total > 0)
        made.delta_fvu = f.delta / total;
    encoder_finish(&f.encoder);
    if (ok)
        *out = made;
    else
        probe_extra_finish(&made);
    return ok;
}

void probe_extra_finish(struct probe_extra *x)
{
    free(x->both);
    free(x->counts);
    *x = (struct probe_extra){0};
}
