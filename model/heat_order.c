/* heat_order.c - see heat_order.h. */
#include "model/heat_order.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/kern.h"

/* ---- by best match ----------------------------------------------------------------- */

struct ranked {
    int64_t id, group; /* group: place of its best column */
    float cosine;
};

static int compare_cosines(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->cosine != b->cosine)
        return a->cosine > b->cosine ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* The column that row i matches; -1: none. A row of zeros has best cosine 0. */
static int64_t match_of(const struct page_cosine *p, int64_t i)
{
    return p->best[i].cosine > 0 ? p->best[i].column : -1;
}

/* place [columns] of the columns that are somebody's best, -1 for the others; returns how
 * many. rows are ranked. */
static int64_t place_columns(const struct page_cosine *p, const struct ranked *rows,
                             int64_t *place)
{
    int64_t n = 0;

    for (int64_t j = 0; j < p->columns; j++)
        place[j] = -1;
    for (int64_t i = 0; i < p->rows; i++) {
        int64_t j = match_of(p, rows[i].id);
        if (j >= 0 && place[j] < 0)
            place[j] = n++;
    }
    return n;
}

static void order_sides(const struct page_cosine *p, struct ranked *rows, int64_t *row_at,
                        int64_t *column_at)
{
    int64_t *place = xmalloc((size_t)p->columns * sizeof *place);
    int64_t n = place_columns(p, rows, place);

    for (int64_t j = 0; j < p->columns; j++)
        column_at[place[j] >= 0 ? place[j] : n++] = j;
    for (int64_t i = 0; i < p->rows; i++) {
        int64_t j = match_of(p, rows[i].id);
        rows[i].group = j >= 0 ? place[j] : INT64_MAX;
    }
    qsort(rows, (size_t)p->rows, sizeof *rows, compare_cosines);
    for (int64_t i = 0; i < p->rows; i++)
        row_at[i] = rows[i].id;
    free(place);
}

static void order_self(const struct page_cosine *p, const struct ranked *rows, int64_t *row_at)
{
    bool *placed = xcalloc((size_t)p->rows, sizeof *placed);
    int64_t n = 0;

    for (int64_t i = 0; i < p->rows; i++) {
        int64_t pair[2] = {rows[i].id, match_of(p, rows[i].id)};
        for (int k = 0; k < 2; k++)
            if (pair[k] >= 0 && !placed[pair[k]]) {
                placed[pair[k]] = true;
                row_at[n++] = pair[k];
            }
    }
    free(placed);
}

void heat_order_match(const struct page_cosine *p, int64_t *row_at, int64_t *column_at)
{
    struct ranked *rows = xmalloc((size_t)p->rows * sizeof *rows);

    for (int64_t i = 0; i < p->rows; i++)
        rows[i] = (struct ranked){
            i, 0, p->best[i].column < 0 ? -INFINITY : p->best[i].cosine};
    qsort(rows, (size_t)p->rows, sizeof *rows, compare_cosines);
    if (p->self)
        order_self(p, rows, row_at);
    else
        order_sides(p, rows, row_at, column_at);
    free(rows);
}

/* ---- by clusters ------------------------------------------------------------------- */

/* A cluster stands in the row of one of its leaves. */
struct cluster {
    int64_t *leaves; /* [n] in their order; owned; NULL: it has been joined to another */
    int64_t n;
};

struct clusters {
    const struct match_rows *r;
    float *similar; /* [n, n] mean cosine of the pairs of two clusters */
    struct cluster *c;
    int64_t n;
};

static void copy_tile(void *ctx, const struct match_tile *t)
{
    struct clusters *s = ctx;

    for (int64_t i = 0; i < t->n_i; i++)
        memcpy(s->similar + (t->i0 + i) * s->n + t->j0, t->cosine + i * t->n_j,
               (size_t)t->n_j * sizeof *s->similar);
}

/* The most similar other cluster; `before` where it is as good as any. */
static int64_t nearest(const struct clusters *s, int64_t a, int64_t before)
{
    const float *similar = s->similar + a * s->n;
    int64_t best = before;

    for (int64_t b = 0; b < s->n; b++)
        if (b != a && s->c[b].leaves && (best < 0 || similar[b] > similar[best]))
            best = b;
    return best;
}

static float leaf_cosine(const struct clusters *s, int64_t i, int64_t j)
{
    int64_t cols = s->r->cols;
    return kern_best()->dot(s->r->unit + i * cols, s->r->unit + j * cols, cols);
}

static void reverse(struct cluster *c)
{
    for (int64_t i = 0, j = c->n - 1; i < j; i++, j--) {
        int64_t t = c->leaves[i];
        c->leaves[i] = c->leaves[j];
        c->leaves[j] = t;
    }
}

/* Turn both so that the end of a and the beginning of b are the most similar ends. */
static void turn(const struct clusters *s, struct cluster *a, struct cluster *b)
{
    int64_t a_ends[2] = {a->leaves[a->n - 1], a->leaves[0]};
    int64_t b_ends[2] = {b->leaves[0], b->leaves[b->n - 1]};
    float best = -INFINITY;
    int how = 0;

    for (int k = 0; k < 4; k++) {
        float c = leaf_cosine(s, a_ends[k & 1], b_ends[k >> 1]);
        if (c > best) {
            best = c;
            how = k;
        }
    }
    if (how & 1)
        reverse(a);
    if (how >> 1)
        reverse(b);
}

/* b becomes part of a: the mean over all pairs is that of the two, by their sizes. */
static void join(struct clusters *s, int64_t a, int64_t b)
{
    struct cluster *x = &s->c[a], *y = &s->c[b];
    float wx = (float)x->n / (float)(x->n + y->n), wy = 1 - wx;

    for (int64_t k = 0; k < s->n; k++) {
        float mean = wx * s->similar[a * s->n + k] + wy * s->similar[b * s->n + k];
        s->similar[a * s->n + k] = s->similar[k * s->n + a] = mean;
    }
    turn(s, x, y);
    x->leaves = xreallocarray(x->leaves, (size_t)(x->n + y->n), sizeof *x->leaves);
    memcpy(x->leaves + x->n, y->leaves, (size_t)y->n * sizeof *x->leaves);
    x->n += y->n;
    free(y->leaves);
    y->leaves = NULL;
}

/* Go from cluster to nearest cluster until two are each other's nearest; join them. */
static bool chain(struct clusters *s, const struct progress *progress, struct err *err)
{
    int64_t *stack = xmalloc((size_t)(s->n + 1) * sizeof *stack);
    int64_t n = 0, first = 0, joined = 0;
    bool ok = true;

    while (joined < s->n - 1 && ok) {
        while (n == 0 && !s->c[first].leaves)
            first++;
        if (n == 0)
            stack[n++] = first;
        int64_t a = stack[n - 1], before = n > 1 ? stack[n - 2] : -1;
        int64_t b = nearest(s, a, before);
        if (b != before) {
            stack[n++] = b;
            continue;
        }
        join(s, a < b ? a : b, a < b ? b : a);
        n -= 2;
        joined++;
        ok = progress_step(progress, "clusters", joined, s->n) ||
             err_set(err, ERR_CANCELLED, "cancelled");
    }
    free(stack);
    return ok;
}

bool heat_order_cluster(const struct match_rows *r, int threads,
                        const struct progress *progress, int64_t *at, struct err *err)
{
    struct clusters s = {.r = r, .n = r->rows};

    assert(r->rows <= HEAT_CLUSTER_MAX);
    s.similar = mem_try((size_t)(s.n * s.n), sizeof *s.similar, "cosines", err);
    if (!s.similar)
        return false;
    s.c = xcalloc((size_t)s.n, sizeof *s.c);
    for (int64_t i = 0; i < s.n; i++) {
        s.c[i] = (struct cluster){xmalloc(sizeof(int64_t)), 1};
        s.c[i].leaves[0] = i;
    }
    bool ok = match_tiles(r, r, threads, progress, copy_tile, &s, err) &&
              chain(&s, progress, err);
    for (int64_t i = 0; i < s.n; i++) {
        if (ok && s.c[i].leaves)
            memcpy(at, s.c[i].leaves, (size_t)s.n * sizeof *at);
        free(s.c[i].leaves);
    }
    free(s.c);
    free(s.similar);
    return ok;
}
