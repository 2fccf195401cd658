/* assign.c - see assign.h. */
#include "model/assign.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/kern.h"

/* ---- optimal -------------------------------------------------------------------------- */

#define NONE (-1)
/* Reduction steps a row before paths take over: near ties could go on for long. */
#define REDUCTION_STEPS 4
#define CHECK_STEPS 64 /* between two looks at the progress */

/*
 * Minimises sums of cost = -value. Dual variables: u of rows is implied, v [m] of columns,
 * v <= 0 and 0 for columns that are free, so that cost - v is what a row sees.
 */
struct assignment {
    const float *value;
    int64_t n, m;
    double *v;          /* [m] */
    int64_t *row_of;    /* [m], NONE: free */
    int64_t *column_of; /* [n], NONE: free */
    const struct progress *progress;

    /* of one search for a path */
    double *distance;   /* [m] */
    int64_t *from;      /* [m] the row before the column */
    int64_t *left;      /* [m] columns not reached for good, the first n_left */
    int64_t *done;      /* [m] columns reached for good */
};

static double cost(const struct assignment *s, int64_t i, int64_t j)
{
    return -(double)s->value[i * s->m + j] - s->v[j];
}

/* The column that is cheapest for row i, and how much the second costs more. */
static int64_t cheapest(const struct assignment *s, int64_t i, double *margin)
{
    double least = INFINITY, second = INFINITY;
    int64_t best = 0;
    for (int64_t j = 0; j < s->m; j++) {
        double c = cost(s, i, j);
        if (c < least) {
            second = least;
            least = c;
            best = j;
        } else if (c < second) {
            second = c;
        }
    }
    *margin = second - least; /* infinite when there is one column */
    return best;
}

/* Rows take their cheapest column from whoever has it and make it dearer by the margin. A
 * row without a margin takes only what is free. False: cancelled. */
static bool reduce_rows(struct assignment *s)
{
    int64_t steps = 0, most = REDUCTION_STEPS * s->n;
    for (int64_t first = 0; first < s->n; first++) {
        for (int64_t i = first; i != NONE && steps < most; steps++) {
            double margin;
            int64_t j = cheapest(s, i, &margin), loser = s->row_of[j];
            if (steps % CHECK_STEPS == 0 &&
                !progress_step(s->progress, "assigning", 0, s->n))
                return false;
            if (loser != NONE && !(margin > 0))
                break;
            if (isfinite(margin))
                s->v[j] -= margin;
            s->row_of[j] = i;
            s->column_of[i] = j;
            if (loser != NONE)
                s->column_of[loser] = NONE;
            i = loser;
        }
    }
    return true;
}

/* One step of the search: the ways over `row`, which is `base` away. Returns where in
 * left[] the nearest column is. */
static int64_t look_from(struct assignment *s, int64_t row, double base, int64_t n_left)
{
    int64_t own = s->column_of[row], nearest = 0;
    double u = own != NONE ? cost(s, row, own) : 0, least = INFINITY;
    for (int64_t k = 0; k < n_left; k++) {
        int64_t j = s->left[k];
        double d = base + (cost(s, row, j) - u);
        if (d < s->distance[j]) {
            s->distance[j] = d;
            s->from[j] = row;
        }
        /* of equals a free column ends the search */
        if (s->distance[j] < least ||
            (s->distance[j] == least && s->row_of[j] == NONE)) {
            least = s->distance[j];
            nearest = k;
        }
    }
    return nearest;
}

/* The shortest path from row i, which is free, to a free column, and along it. */
static void augment(struct assignment *s, int64_t i)
{
    int64_t n_left = s->m, n_done = 0, row = i, j;
    double base = 0;
    for (j = 0; j < s->m; j++) {
        s->distance[j] = INFINITY;
        s->left[j] = j;
    }
    for (;;) {
        int64_t k = look_from(s, row, base, n_left);
        j = s->left[k];
        base = s->distance[j];
        s->left[k] = s->left[--n_left];
        if (s->row_of[j] == NONE)
            break;
        s->done[n_done++] = j;
        row = s->row_of[j];
    }
    for (int64_t k = 0; k < n_done; k++)
        s->v[s->done[k]] -= base - s->distance[s->done[k]];
    for (row = NONE; row != i;) { /* back along the path: each row takes the next column */
        row = s->from[j];
        int64_t before = s->column_of[row];
        s->row_of[j] = row;
        s->column_of[row] = j;
        j = before;
    }
}

static bool assign_rows(struct assignment *s)
{
    for (int64_t j = 0; j < s->m; j++) {
        s->v[j] = 0;
        s->row_of[j] = NONE;
    }
    for (int64_t i = 0; i < s->n; i++)
        s->column_of[i] = NONE;
    if (!reduce_rows(s))
        return false;
    for (int64_t i = 0; i < s->n; i++) {
        if (s->column_of[i] == NONE)
            augment(s, i);
        if (!progress_step(s->progress, "assigning", i + 1, s->n))
            return false;
    }
    return true;
}

bool assign_optimal(const float *value, int64_t n, int64_t m,
                    const struct progress *progress, int64_t *column_of, struct err *err)
{
    struct assignment s = {.value = value, .n = n, .m = m, .column_of = column_of,
                           .progress = progress};
    assert(n <= m);
    size_t columns = (size_t)m;
    double *numbers = mem_try(2 * columns, sizeof *numbers, "assignment", err);
    int64_t *places = numbers ? mem_try(4 * columns, sizeof *places, "assignment", err) : NULL;
    bool ok = places != NULL;
    if (ok) {
        s.v = numbers;
        s.distance = numbers + m;
        s.row_of = places;
        s.from = places + m;
        s.left = places + 2 * m;
        s.done = places + 3 * m;
        ok = assign_rows(&s) || err_set(err, ERR_CANCELLED, "cancelled");
    }
    free(places);
    free(numbers);
    return ok;
}

/* ---- greedy ---------------------------------------------------------------------------- */

#define CANDIDATES 16 /* kept for a row */

struct candidates {
    struct match_near v[CANDIDATES]; /* by cosine descending, then id */
    int n, at;                       /* v[at] is the next to be tried */
};

struct greedy {
    const struct match_rows *a, *b;
    struct candidates *rows;  /* [a->rows] */
    int64_t *heap;            /* [n_heap] rows, the one that goes next at the top */
    int64_t n_heap;
    int64_t *left, *place;    /* [b->rows] the free rows of b, the first n_left; where each
                                 is in left, NONE: taken */
    int64_t n_left;
};

static bool is_better(float cosine, int64_t id, const struct match_near *than)
{
    return cosine > than->cosine || (cosine == than->cosine && id < than->id);
}

static void offer(struct candidates *c, int64_t id, float cosine)
{
    if (c->n == CANDIDATES && !is_better(cosine, id, &c->v[CANDIDATES - 1]))
        return;
    int k = c->n < CANDIDATES ? c->n++ : CANDIDATES - 1;
    for (; k > 0 && is_better(cosine, id, &c->v[k - 1]); k--)
        c->v[k] = c->v[k - 1];
    c->v[k] = (struct match_near){id, cosine};
}

static void offer_tile(void *ctx, const struct match_tile *t)
{
    struct greedy *s = ctx;
    for (int64_t i = 0; i < t->n_i; i++)
        for (int64_t j = 0; j < t->n_j; j++)
            offer(&s->rows[t->i0 + i], t->j0 + j, t->cosine[i * t->n_j + j]);
}

/* Candidates of row i among what is left. */
static void look_again(struct greedy *s, int64_t i)
{
    const float *row = s->a->unit + i * s->a->cols;
    struct candidates *c = &s->rows[i];
    c->n = c->at = 0;
    for (int64_t k = 0; k < s->n_left; k++) {
        int64_t j = s->left[k];
        float cosine = kern_best()->dot(row, s->b->unit + j * s->b->cols, s->b->cols);
        offer(c, j, fminf(fmaxf(cosine, -1), 1));
    }
}

/* Does row i go before row k? */
static bool goes_before(const struct greedy *s, int64_t i, int64_t k)
{
    const struct candidates *x = &s->rows[i], *y = &s->rows[k];
    float cx = x->v[x->at].cosine, cy = y->v[y->at].cosine;
    return cx > cy || (cx == cy && i < k);
}

static void sift_down(struct greedy *s, int64_t at)
{
    int64_t row = s->heap[at];
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= s->n_heap)
            break;
        if (child + 1 < s->n_heap && goes_before(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (!goes_before(s, s->heap[child], row))
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = row;
}

static void take(struct greedy *s, int64_t j)
{
    int64_t at = s->place[j], last = s->left[--s->n_left];
    s->left[at] = last;
    s->place[last] = at;
    s->place[j] = NONE;
}

/* The row at the top takes its next candidate, or finds itself another. */
static void step(struct greedy *s, int64_t *b_of_a)
{
    int64_t i = s->heap[0];
    struct candidates *c = &s->rows[i];
    int64_t j = c->v[c->at].id;
    if (s->place[j] != NONE) {
        b_of_a[i] = j;
        take(s, j);
        s->heap[0] = s->heap[--s->n_heap];
    } else if (++c->at == c->n) {
        look_again(s, i);
    }
    if (s->n_heap > 0)
        sift_down(s, 0);
}

static bool pair_up(struct greedy *s, const struct progress *progress, int64_t *b_of_a)
{
    int64_t of = s->a->rows < s->b->rows ? s->a->rows : s->b->rows;
    s->n_left = s->b->rows;
    for (int64_t j = 0; j < s->n_left; j++)
        s->left[j] = s->place[j] = j;
    s->n_heap = s->a->rows;
    for (int64_t i = 0; i < s->n_heap; i++) {
        s->heap[i] = i;
        b_of_a[i] = NONE;
    }
    for (int64_t k = s->n_heap / 2; k-- > 0;)
        sift_down(s, k);
    while (s->n_heap > 0 && s->n_left > 0) {
        step(s, b_of_a);
        if (!progress_step(progress, "assigning", s->b->rows - s->n_left, of))
            return false;
    }
    return true;
}

bool assign_greedy(const struct match_rows *a, const struct match_rows *b, int threads,
                   const struct progress *progress, int64_t *b_of_a, struct err *err)
{
    struct greedy s = {.a = a, .b = b};
    bool ok = false;
    s.rows = mem_try((size_t)a->rows, sizeof *s.rows, "candidates", err);
    if (!s.rows)
        return false;
    s.heap = mem_try((size_t)(a->rows + 2 * b->rows), sizeof *s.heap, "candidates", err);
    if (s.heap) {
        s.left = s.heap + a->rows;
        s.place = s.left + b->rows;
        for (int64_t i = 0; i < a->rows; i++)
            s.rows[i].n = s.rows[i].at = 0;
        ok = match_tiles(a, b, threads, progress, offer_tile, &s, err) &&
             (pair_up(&s, progress, b_of_a) || err_set(err, ERR_CANCELLED, "cancelled"));
    }
    free(s.heap);
    free(s.rows);
    return ok;
}
