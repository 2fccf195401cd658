/* pairs.c - see pairs.h. */
#include "model/pairs.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/correlate.h"
#include "model/match.h"

enum { EACH = 64, ROUND = 32 }; /* pairs an item; items a thread between two looks */

struct measure {
    const struct pairs_side *a, *b;
    struct match_rows decoder[2], encoder[2];
    const int64_t *partner;
    int64_t n, first; /* pairs; where the present round begins */
    int64_t tokens;
    struct pair_figures *out;
    const struct progress *progress;
    _Atomic int64_t measured;
    _Atomic bool failed;
    pthread_mutex_t lock; /* of err */
    struct err err;
};

static void fail(struct measure *m, const struct err *err)
{
    pthread_mutex_lock(&m->lock);
    if (!m->failed)
        m->err = *err;
    m->failed = true;
    pthread_mutex_unlock(&m->lock);
}

/* All hits of a feature; room grows. -1 on failure. */
static int64_t read_hits(const struct index *ix, int64_t feature, struct hit **room,
                         int64_t *cap, struct err *err)
{
    int64_t n = (int64_t)index_record(ix, feature)->count;
    if (n > *cap) {
        *cap = 2 * n;
        *room = xreallocarray(*room, (size_t)*cap, sizeof **room);
    }
    return index_hits(ix, feature, *room, err) ? n : -1;
}

static void measure_item(void *ctx, size_t item, int thread)
{
    struct measure *m = ctx;
    int64_t first = m->first + (int64_t)item * EACH, cap_a = 0, cap_b = 0;
    int64_t last = first + EACH < m->n ? first + EACH : m->n;
    struct hit *hits_a = NULL, *hits_b = NULL;
    struct err err = {0};
    (void)thread;
    for (int64_t i = first; i < last && !m->failed; i++) {
        int64_t j = m->partner[i], n_a = 0, n_b = 0;
        m->out[i] = PAIR_UNKNOWN;
        if (j < 0)
            continue;
        m->out[i].decoder = match_cosine(&m->decoder[0], i, &m->decoder[1], j);
        m->out[i].encoder = match_cosine(&m->encoder[0], i, &m->encoder[1], j);
        if (!m->tokens)
            continue;
        n_a = read_hits(m->a->index, i, &hits_a, &cap_a, &err);
        n_b = n_a < 0 ? -1 : read_hits(m->b->index, j, &hits_b, &cap_b, &err);
        if (n_b < 0)
            fail(m, &err);
        else
            m->out[i].correlation =
                (float)correlate_hits(hits_a, n_a, hits_b, n_b, m->tokens);
    }
    free(hits_a);
    free(hits_b);
    int64_t done = atomic_fetch_add(&m->measured, last - first) + last - first;
    if (!progress_step(m->progress, "pairs", done, m->n)) {
        err_set(&err, ERR_CANCELLED, "cancelled");
        fail(m, &err);
    }
}

/* Of tokens that one of them leaves out (no norm), it has no hits. */
static int64_t count_tokens(const struct pairs_side *a, const struct pairs_side *b)
{
    if (!a->index || !b->index)
        return 0;
    int64_t x = index_totals(a->index)->tokens, y = index_totals(b->index)->tokens;
    return x > y ? x : y;
}

static bool measure(struct measure *m, int threads, _Atomic int64_t *done, struct err *err)
{
    threads = threads > 0 ? threads : team_default_threads();
    int64_t round = (int64_t)EACH * ROUND * threads;
    pthread_mutex_init(&m->lock, NULL);
    for (; m->first < m->n && !m->failed; m->first += round) {
        int64_t n = m->n - m->first < round ? m->n - m->first : round;
        team_each(threads, (size_t)((n + EACH - 1) / EACH), measure_item, m);
        if (done && !m->failed)
            atomic_store_explicit(done, m->first + n, memory_order_release);
    }
    pthread_mutex_destroy(&m->lock);
    if (m->failed && err)
        *err = m->err;
    return !m->failed;
}

bool pairs_measure(const struct pairs_side *a, const struct pairs_side *b,
                   const int64_t *partner, int64_t n, int threads,
                   const struct progress *progress, struct pair_figures *out,
                   _Atomic int64_t *done, struct err *err)
{
    struct measure m = {.a = a, .b = b, .partner = partner, .n = n, .out = out,
                        .tokens = count_tokens(a, b), .progress = progress};
    const struct sae *sae[] = {a->sae, b->sae};
    bool ok = true;
    for (int s = 0; s < 2 && ok; s++)
        ok = match_rows_init(&m.decoder[s], &sae[s]->W_dec, err) &&
             match_rows_init(&m.encoder[s], &sae[s]->W_enc, err);
    ok = ok && measure(&m, threads, done, err);
    for (int s = 0; s < 2; s++) {
        match_rows_finish(&m.decoder[s]);
        match_rows_finish(&m.encoder[s]);
    }
    return ok;
}
