/* match.c - see match.h. */
#include "model/match.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/kern.h"
#include "model/weights.h"

/* ---- one row against all ---------------------------------------------------------- */

#define ROWS 256
/* Where features lie along memory an item is a stretch of 8 KiB of each column. */
#define STRETCH 2048

struct nearest {
    const struct mat *m;
    const float *w;  /* [cols] the row asked for */
    float *cosine;   /* [rows] */
    int64_t each;    /* rows an item */
    const struct progress *progress;
    _Atomic int64_t done;
    _Atomic bool stop;
    struct err *errs; /* [threads] */
};

struct nearest_part {
    struct nearest *n;
    int64_t first, count;
    float *rows;           /* [ROWS, cols] room, when they do not lie as f32 */
    float *dot, *squares;  /* [STRETCH] */
};

/* The matrix as stored with features along memory and f32, else NULL. */
static const float *by_columns(const struct mat *m)
{
    return m->row_stride == 1 ? tensor_f32(m->t) : NULL;
}

static void dots_by_columns(struct nearest_part *p, const float *data)
{
    const struct mat *m = p->n->m;
    float *restrict dot = p->dot, *restrict squares = p->squares;
    memset(dot, 0, (size_t)p->count * sizeof *dot);
    memset(squares, 0, (size_t)p->count * sizeof *squares);
    int64_t k = 0;
    data += p->first;
    for (; k + 4 <= m->cols; k += 4) {
        const float *columns[4];
        for (int l = 0; l < 4; l++)
            columns[l] = data + (k + l) * m->col_stride;
        kern_best()->columns4(dot, squares, p->n->w + k, columns, p->count);
    }
    for (; k < m->cols; k++) {
        const float *restrict column = data + k * m->col_stride;
        float w = p->n->w[k];
        for (int64_t i = 0; i < p->count; i++) {
            dot[i] += w * column[i];
            squares[i] += column[i] * column[i];
        }
    }
}

static void dots_by_rows(struct nearest_part *p)
{
    const struct mat *m = p->n->m;
    int64_t ld, cols = m->cols;
    const float *rows = mat_f32(m, &ld);
    if (rows) {
        rows += p->first * ld;
    } else {
        mat_read_rows(m, p->first, p->count, p->rows);
        rows = p->rows;
        ld = cols;
    }
    for (int64_t i = 0; i < p->count; i++) {
        p->dot[i] = kern_best()->dot(p->n->w, rows + i * ld, cols);
        p->squares[i] = kern_best()->dot(rows + i * ld, rows + i * ld, cols);
    }
}

static void nearest_guarded(void *ctx)
{
    struct nearest_part *p = ctx;
    const struct mat *m = p->n->m;
    const float *data = by_columns(m);
    if (data)
        dots_by_columns(p, data);
    else
        dots_by_rows(p);
    double ww = (double)kern_best()->dot(p->n->w, p->n->w, m->cols);
    for (int64_t i = 0; i < p->count; i++) {
        double d = ww * (double)p->squares[i];
        p->n->cosine[p->first + i] = d > 0 ? (float)((double)p->dot[i] / sqrt(d)) : 0;
    }
}

static void nearest_item(void *ctx, size_t i, int thread)
{
    struct nearest *n = ctx;
    if (n->stop)
        return;
    float dot[STRETCH], squares[STRETCH];
    struct nearest_part p = {.n = n, .first = (int64_t)i * n->each, .dot = dot,
                             .squares = squares};
    p.count = n->m->rows - p.first < n->each ? n->m->rows - p.first : n->each;
    if (!by_columns(n->m))
        p.rows = xmalloc((size_t)(ROWS * n->m->cols) * sizeof *p.rows);
    if (!map_guard(nearest_guarded, &p, &n->errs[thread]))
        n->stop = true;
    free(p.rows);
    int64_t done = atomic_fetch_add(&n->done, p.count) + p.count;
    if (!progress_step(n->progress, "neighbours", done, n->m->rows)) {
        err_set(&n->errs[thread], ERR_CANCELLED, "cancelled");
        n->stop = true;
    }
}

/* The n greatest of cosine[], `self` left out, into out. */
static int greatest(const float *cosine, int64_t rows, int64_t self, int n,
                    struct match_near *out)
{
    int have = 0;
    for (int64_t j = 0; j < rows; j++) {
        float c = isfinite(cosine[j]) ? cosine[j] : 0;
        if (j == self || (have == n && c <= out[n - 1].cosine))
            continue;
        int i = have < n ? have++ : n - 1;
        for (; i > 0 && out[i - 1].cosine < c; i--)
            out[i] = out[i - 1];
        out[i] = (struct match_near){.id = j, .cosine = c};
    }
    return have;
}

int match_nearest_rows(const struct mat *m, int64_t id, int n, int threads,
                       const struct progress *progress, struct match_near *out,
                       struct err *err)
{
    int found = -1;
    threads = threads > 0 ? threads : team_default_threads();
    float *w = xmalloc((size_t)m->cols * sizeof *w);
    struct nearest s = {.m = m, .w = w, .progress = progress,
                        .each = by_columns(m) ? STRETCH : ROWS};
    s.cosine = xmalloc((size_t)m->rows * sizeof *s.cosine);
    s.errs = xcalloc((size_t)threads, sizeof *s.errs);
    if (weights_row(m, id, w, err)) {
        team_each(threads, (size_t)((m->rows + s.each - 1) / s.each), nearest_item, &s);
        for (int t = threads - 1; s.stop && t >= 0; t--)
            if (s.errs[t].code && err)
                *err = s.errs[t];
        if (!s.stop)
            found = greatest(s.cosine, m->rows, id, n, out);
    }
    free(s.errs);
    free(s.cosine);
    free(w);
    return found;
}

/* ---- all pairs -------------------------------------------------------------------- */

#define TILE 1024

struct pairs {
    const float *unit; /* [rows, cols] rows of length 1 (or 0) */
    int64_t rows, cols, tiles;
    float *best;       /* [rows] */
    pthread_mutex_t lock;
    const struct progress *progress;
    _Atomic int64_t done;
    _Atomic bool cancelled;
};

/* Tile row i: against itself and all tile rows below it. A maximum does not depend on the
 * order in which it is taken, so threads may merge theirs as they come. */
static void pairs_item(void *ctx, size_t item, int thread)
{
    struct pairs *p = ctx;
    int64_t i0 = (int64_t)item * TILE, n_i = p->rows - i0 < TILE ? p->rows - i0 : TILE;
    (void)thread;
    float *tile = xmalloc((size_t)TILE * TILE * sizeof *tile);
    float *best = xmalloc((size_t)p->rows * sizeof *best);
    uint32_t who[TILE]; /* nobody asks */
    for (int64_t j = 0; j < p->rows; j++)
        best[j] = -INFINITY;
    for (int64_t j0 = i0; j0 < p->rows && !p->cancelled; j0 += TILE) {
        int64_t n_j = p->rows - j0 < TILE ? p->rows - j0 : TILE;
        kern_gemm_nt(n_i, n_j, p->cols, p->unit + i0 * p->cols, p->cols,
                     p->unit + j0 * p->cols, p->cols, tile, n_j);
        for (int64_t i = 0; i < n_i; i++) {
            float *c = tile + i * n_j;
            if (i0 == j0)
                c[i] = -INFINITY; /* self left out */
            float row_best = kern_best()->best(c, n_j, (uint32_t)i, best + j0, who);
            best[i0 + i] = row_best > best[i0 + i] ? row_best : best[i0 + i];
        }
        int64_t done = atomic_fetch_add(&p->done, n_i * n_j) + n_i * n_j;
        if (!progress_step(p->progress, "nearest cosines", done,
                           p->rows * (p->rows + TILE) / 2))
            p->cancelled = true;
    }
    pthread_mutex_lock(&p->lock);
    for (int64_t j = i0; j < p->rows; j++)
        p->best[j] = best[j] > p->best[j] ? best[j] : p->best[j];
    pthread_mutex_unlock(&p->lock);
    free(best);
    free(tile);
}

bool match_nearest_all(const struct mat *m, int threads, const struct progress *progress,
                       float *out, struct err *err)
{
    threads = threads > 0 ? threads : team_default_threads();
    struct match_rows unit;
    if (!match_rows_init(&unit, m, err))
        return false;
    struct pairs p = {.unit = unit.unit, .rows = m->rows, .cols = m->cols, .best = out,
                      .progress = progress};
    for (int64_t j = 0; j < m->rows; j++)
        out[j] = -INFINITY;
    pthread_mutex_init(&p.lock, NULL);
    team_each(threads, (size_t)((m->rows + TILE - 1) / TILE), pairs_item, &p);
    pthread_mutex_destroy(&p.lock);
    match_rows_finish(&unit);
    if (p.cancelled)
        return err_set(err, ERR_CANCELLED, "cancelled");
    for (int64_t j = 0; j < m->rows; j++)
        out[j] = isfinite(out[j]) ? out[j] : 0;
    return true;
}
