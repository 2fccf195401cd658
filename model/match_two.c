/* match_two.c - rows of one matrix against rows of another; see match.h. */
#include "model/match.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/kern.h"

#define READ_ROWS 256
#define TILE_COLS 1024

/* ---- rows of length 1 ---------------------------------------------------------------- */

struct unit_rows {
    const struct mat *m;
    float *out;
};

static void make_unit(float *row, int64_t n)
{
    double squares = kern_sum_squares(row, n);
    float scale = squares > 0 && isfinite(squares) ? (float)(1 / sqrt(squares)) : 0;
    for (int64_t k = 0; k < n; k++)
        row[k] = scale != 0 ? row[k] * scale : 0;
}

static void unit_guarded(void *ctx)
{
    struct unit_rows *u = ctx;
    int64_t cols = u->m->cols;
    for (int64_t first = 0; first < u->m->rows; first += READ_ROWS) {
        int64_t n = u->m->rows - first < READ_ROWS ? u->m->rows - first : READ_ROWS;
        mat_read_rows(u->m, first, n, u->out + first * cols);
        for (int64_t i = first; i < first + n; i++)
            make_unit(u->out + i * cols, cols);
    }
}

bool match_rows_init(struct match_rows *r, const struct mat *m, struct err *err)
{
    struct scratch room = {0};
    size_t bytes = (size_t)m->rows * (size_t)m->cols * sizeof(float);
    if (!scratch_init(&room, NULL, bytes, "room for unit rows", err))
        return false;
    if (!map_guard(unit_guarded, &(struct unit_rows){.m = m, .out = room.data}, err)) {
        scratch_finish(&room);
        return false;
    }
    *r = (struct match_rows){room, room.data, m->rows, m->cols};
    return true;
}

void match_rows_finish(struct match_rows *r)
{
    scratch_finish(&r->room);
    *r = (struct match_rows){0};
}

/* ---- by pieces ------------------------------------------------------------------------ */

struct tiles {
    const struct match_rows *a, *b;
    void (*each)(void *ctx, const struct match_tile *tile);
    void *ctx;
    int64_t rows; /* of a at a time: some pieces' */
    const struct progress *progress;
    _Atomic int64_t done;
    _Atomic bool cancelled;
};

/* Rows [i0, i0 + n_i) of a and some of b as pieces. */
static void give_pieces(struct tiles *s, struct match_tile t)
{
    int64_t end = t.i0 + t.n_i;
    for (; t.i0 < end; t.i0 += t.n_i, t.cosine += t.n_i * t.n_j) {
        t.n_i = end - t.i0 < MATCH_TILE_ROWS ? end - t.i0 : MATCH_TILE_ROWS;
        s->each(s->ctx, &t);
    }
}

static void tiles_item(void *ctx, size_t item, int thread)
{
    struct tiles *s = ctx;
    int64_t cols = s->a->cols, of = s->a->rows * s->b->rows;
    struct match_tile t = {.i0 = (int64_t)item * s->rows};
    (void)thread;
    t.n_i = s->a->rows - t.i0 < s->rows ? s->a->rows - t.i0 : s->rows;
    float *cosine = xmalloc((size_t)(s->rows * TILE_COLS) * sizeof *cosine);
    t.cosine = cosine;
    for (; t.j0 < s->b->rows && !s->cancelled; t.j0 += TILE_COLS) {
        t.n_j = s->b->rows - t.j0 < TILE_COLS ? s->b->rows - t.j0 : TILE_COLS;
        kern_gemm_nt(t.n_i, t.n_j, cols, s->a->unit + t.i0 * cols, cols,
                     s->b->unit + t.j0 * cols, cols, cosine, t.n_j);
        for (int64_t k = 0; k < t.n_i * t.n_j; k++) {
            float c = cosine[k] < -1 ? -1 : cosine[k];
            cosine[k] = c > 1 ? 1 : c;
        }
        give_pieces(s, t);
        int64_t done = atomic_fetch_add(&s->done, t.n_i * t.n_j) + t.n_i * t.n_j;
        if (!progress_step(s->progress, "cosines", done, of))
            s->cancelled = true;
    }
    free(cosine);
}

/* Many rows, as those of b are packed for each item anew, but work for all threads. */
static int64_t rows_an_item(int64_t rows, int threads)
{
    int64_t pieces = rows / MATCH_TILE_ROWS / (4 * threads);
    pieces = pieces < 1 ? 1 : pieces > 4 ? 4 : pieces;
    return pieces * MATCH_TILE_ROWS;
}

bool match_tiles(const struct match_rows *a, const struct match_rows *b, int threads,
                 const struct progress *progress,
                 void (*each)(void *ctx, const struct match_tile *tile), void *ctx,
                 struct err *err)
{
    struct tiles s = {.a = a, .b = b, .each = each, .ctx = ctx, .progress = progress};
    assert(a->cols == b->cols);
    threads = threads > 0 ? threads : team_default_threads();
    s.rows = rows_an_item(a->rows, threads);
    team_each(threads, (size_t)((a->rows + s.rows - 1) / s.rows), tiles_item, &s);
    return !s.cancelled || err_set(err, ERR_CANCELLED, "cancelled");
}

/* ---- best matches ---------------------------------------------------------------------- */

struct best {
    struct match_near *of_a, *of_b;
    pthread_mutex_t lock; /* of of_b */
};

/* The greater cosine, of equals the smaller id: the order in which they come is nothing. */
static inline void keep_better(struct match_near *best, int64_t id, float cosine)
{
    if (cosine > best->cosine || (cosine == best->cosine && id < best->id))
        *best = (struct match_near){id, cosine};
}

static void best_of_tile(void *ctx, const struct match_tile *t)
{
    struct best *s = ctx;
    float of_b[TILE_COLS];
    uint32_t who[TILE_COLS];
    for (int64_t j = 0; j < t->n_j; j++)
        of_b[j] = -INFINITY;
    for (int64_t i = 0; i < t->n_i; i++) {
        const float *c = t->cosine + i * t->n_j;
        struct match_near *of_a = &s->of_a[t->i0 + i];
        float most = kern_best()->best(c, t->n_j, (uint32_t)i, of_b, who);
        if (most > of_a->cosine) { /* seldom: look where it was */
            *of_a = (struct match_near){t->j0, most};
            while (*c++ != most)
                of_a->id++;
        }
    }
    pthread_mutex_lock(&s->lock);
    for (int64_t j = 0; j < t->n_j; j++)
        keep_better(&s->of_b[t->j0 + j], t->i0 + who[j], of_b[j]);
    pthread_mutex_unlock(&s->lock);
}

bool match_best(const struct match_rows *a, const struct match_rows *b, int threads,
                const struct progress *progress, struct match_near *best_of_a,
                struct match_near *best_of_b, struct err *err)
{
    struct best s = {.of_a = best_of_a, .of_b = best_of_b};
    for (int64_t i = 0; i < a->rows; i++)
        best_of_a[i] = (struct match_near){INT64_MAX, -INFINITY};
    for (int64_t j = 0; j < b->rows; j++)
        best_of_b[j] = (struct match_near){INT64_MAX, -INFINITY};
    pthread_mutex_init(&s.lock, NULL);
    bool ok = match_tiles(a, b, threads, progress, best_of_tile, &s, err);
    pthread_mutex_destroy(&s.lock);
    return ok;
}

float match_cosine(const struct match_rows *a, int64_t i, const struct match_rows *b,
                   int64_t j)
{
    float c = kern_best()->dot(a->unit + i * a->cols, b->unit + j * b->cols, a->cols);
    return fminf(fmaxf(c, -1), 1);
}

double match_mean(const struct match_near *best, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)best[i].cosine;
    return n ? sum / (double)n : NAN;
}
