/* match_top.c - the few best matches of every row, both ways; see match.h. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/team.h"
#include "model/match.h"

/* Rows of a between two looks at how far it is: tiles that a thread takes of them. */
#define ROUND_TILES 4

static inline bool is_better(struct match_near x, struct match_near y)
{
    return x.cosine > y.cosine || (x.cosine == y.cosine && x.id < y.id);
}

/* best [MATCH_TOP] in order; one that is better than the last takes its place in it. */
static inline void insert(struct match_near *best, struct match_near x)
{
    int i = MATCH_TOP - 1;
    for (; i > 0 && is_better(x, best[i - 1]); i--)
        best[i] = best[i - 1];
    best[i] = x;
}

struct top {
    struct match_near *of_a, *of_b;
    int64_t first;        /* row of a where this round begins */
    pthread_mutex_t lock; /* of of_b */
};

/* What this tile adds to the best of its columns; those known so far keep most away. */
static void columns_of_tile(struct top *s, const struct match_tile *t)
{
    size_t bytes = (size_t)t->n_j * MATCH_TOP * sizeof(struct match_near);
    struct match_near *best = xmalloc(bytes);
    struct match_near *of_b = s->of_b + t->j0 * MATCH_TOP;
    pthread_mutex_lock(&s->lock);
    memcpy(best, of_b, bytes);
    pthread_mutex_unlock(&s->lock);
    bool *grown = xcalloc((size_t)t->n_j, sizeof *grown);
    for (int64_t i = 0; i < t->n_i; i++)
        for (int64_t j = 0; j < t->n_j; j++) {
            struct match_near x = {s->first + t->i0 + i, t->cosine[i * t->n_j + j]};
            if (!is_better(x, best[j * MATCH_TOP + MATCH_TOP - 1]))
                continue;
            insert(best + j * MATCH_TOP, x);
            grown[j] = true;
        }
    pthread_mutex_lock(&s->lock);
    for (int64_t j = 0; j < t->n_j; j++)
        for (int k = 0; k < MATCH_TOP && grown[j]; k++) {
            struct match_near x = best[j * MATCH_TOP + k];
            bool mine = x.id >= s->first + t->i0 && x.id < s->first + t->i0 + t->n_i;
            if (mine && is_better(x, of_b[j * MATCH_TOP + MATCH_TOP - 1]))
                insert(of_b + j * MATCH_TOP, x);
        }
    pthread_mutex_unlock(&s->lock);
    free(grown);
    free(best);
}

static void top_of_tile(void *ctx, const struct match_tile *t)
{
    struct top *s = ctx;
    for (int64_t i = 0; i < t->n_i; i++) {
        struct match_near *best = s->of_a + (s->first + t->i0 + i) * MATCH_TOP;
        const float *c = t->cosine + i * t->n_j;
        for (int64_t j = 0; j < t->n_j; j++)
            if (c[j] > best[MATCH_TOP - 1].cosine) /* columns come in order */
                insert(best, (struct match_near){t->j0 + j, c[j]});
    }
    columns_of_tile(s, t);
}

/* A round counts its own; who watches counts all. */
struct share {
    const struct progress *whole;
    int64_t before, of;
};

static bool share_step(void *ctx, const char *what, int64_t done, int64_t of)
{
    const struct share *s = ctx;
    (void)of;
    return progress_step(s->whole, what, s->before + done, s->of);
}

static void clear(struct match_near *best, int64_t rows)
{
    for (int64_t i = 0; i < rows * MATCH_TOP; i++)
        best[i] = (struct match_near){-1, -INFINITY};
}

bool match_top(const struct match_rows *a, const struct match_rows *b, int threads,
               const struct progress *progress, struct match_near *of_a,
               struct match_near *of_b, _Atomic int64_t *rows_done, struct err *err)
{
    struct top s = {.of_a = of_a, .of_b = of_b};
    int64_t round = (int64_t)MATCH_TILE_ROWS * ROUND_TILES *
                    (threads > 0 ? threads : team_default_threads());
    bool ok = true;
    clear(of_a, a->rows);
    clear(of_b, b->rows);
    pthread_mutex_init(&s.lock, NULL);
    for (; s.first < a->rows && ok; s.first += round) {
        struct match_rows part = {.unit = a->unit + s.first * a->cols, .cols = a->cols};
        part.rows = a->rows - s.first < round ? a->rows - s.first : round;
        struct share share = {progress, s.first * b->rows, a->rows * b->rows};
        ok = match_tiles(&part, b, threads, &(struct progress){share_step, &share},
                         top_of_tile, &s, err);
        if (ok && rows_done)
            atomic_store_explicit(rows_done, s.first + part.rows, memory_order_release);
    }
    pthread_mutex_destroy(&s.lock);
    return ok;
}
