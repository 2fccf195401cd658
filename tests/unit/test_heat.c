/* test_heat.c - maps of cosines: pooled, in part, in an order; against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/team.h"
#include "model/heat.h"
#include "model/heat_order.h"
#include "arrays.h"

/* Dot products of unit rows in any order, and sums of up to 2^16 of them in f32. */
#define CLOSE 2e-5

struct rows {
    struct tensor t;
    struct match_rows unit;
    float *v;
    int64_t n, d;
};

static struct rows *rows_new(int64_t n, int64_t d, uint64_t seed)
{
    struct rows *r = calloc(1, sizeof *r);
    r->n = n;
    r->d = d;
    r->v = calloc((size_t)(n * d), sizeof *r->v);
    fill_random(r->v, n * d, seed);
    if (n > 8) { /* dead and broken rows are at home in every decoder */
        memset(r->v + 3 * d, 0, (size_t)d * sizeof *r->v);
        r->v[5 * d] = NAN;
    }
    return r;
}

static void rows_make(struct rows *r)
{
    r->t = (struct tensor){.name = "rows", .dtype = DTYPE_F32, .ndim = 2,
                           .shape = {r->n, r->d}, .data = (const unsigned char *)r->v};
    tensor_set_strides(&r->t, false);
    struct mat m = mat_of(&r->t, false);
    assert_true(match_rows_init(&r->unit, &m, NULL));
}

static void rows_free(struct rows *r)
{
    match_rows_finish(&r->unit);
    free(r->v);
    free(r);
}

static double cosine(const struct rows *a, int64_t i, const struct rows *b, int64_t j)
{
    double xy = 0, xx = 0, yy = 0;
    for (int64_t k = 0; k < a->d; k++) {
        xy += (double)a->v[i * a->d + k] * (double)b->v[j * b->d + k];
        xx += (double)a->v[i * a->d + k] * (double)a->v[i * a->d + k];
        yy += (double)b->v[j * b->d + k] * (double)b->v[j * b->d + k];
    }
    return xx > 0 && yy > 0 && isfinite(xx) && isfinite(yy) ? xy / sqrt(xx * yy) : 0;
}

/* One cell by the definition. Near equals of opposite sign may be told apart either way. */
static void check_cell(const struct heat *h, const struct rows *a, const struct rows *b,
                       const struct heat_window *w, int64_t i, int64_t j, double is)
{
    int64_t r0 = w->row + i * w->block_r, c0 = w->column + j * w->block_c, n = 0;
    double sum = 0, strongest = 0;
    if (r0 >= a->n || c0 >= b->n) {
        assert_true(isnan(is));
        return;
    }
    bool one = w->block_r * w->block_c == 1 || (r0 == a->n - 1 && c0 == b->n - 1);
    for (int64_t r = r0; r < r0 + w->block_r && r < a->n; r++)
        for (int64_t c = c0; c < c0 + w->block_c && c < b->n; c++) {
            if (h->self && r == c && !one)
                continue;
            double x = cosine(a, heat_row(h, r), b, heat_column(h, c));
            sum += x;
            n++;
            strongest = fabs(x) > fabs(strongest) ? x : strongest;
        }
    if (w->pool == HEAT_MEAN)
        assert_true(fabs(is - (n ? sum / (double)n : 0)) < CLOSE);
    else
        assert_true(fabs(fabs(is) - fabs(strongest)) < CLOSE);
}

static void check_window(const struct heat *h, const struct rows *a, const struct rows *b,
                         const struct heat_blocks *part, const struct heat_window *w)
{
    float *value = malloc((size_t)(w->n_r * w->n_c) * sizeof *value);
    assert_int_equal(heat_look(h, part, w, value), HEAT_EXACT);
    for (int64_t i = 0; i < w->n_r; i++)
        for (int64_t j = 0; j < w->n_c; j++)
            check_cell(h, a, b, w, i, j, (double)value[i * w->n_c + j]);
    free(value);
}

/* A permutation that is not its own inverse. */
static int64_t *shuffled(int64_t n, uint64_t seed)
{
    int64_t *at = malloc((size_t)n * sizeof *at);
    for (int64_t i = 0; i < n; i++)
        at[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(next_random(&seed) % (uint64_t)(i + 1)), t = at[i];
        at[i] = at[j];
        at[j] = t;
    }
    return at;
}

static void small_maps_agree_with_the_definition_at_every_zoom(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {24, 16}, {16, 24}, {300, 5}, {257, 1025}};
    for (int k = 0; k < 20; k++) {
        int64_t n = sizes[k % 5][0], m = sizes[k % 5][1];
        bool self = k >= 10, ordered = k / 5 % 2;
        struct rows *a = rows_new(n, 7, 60 + (uint64_t)k), *b = rows_new(m, 7, 90);
        struct heat h;
        rows_make(a), rows_make(b);
        assert_true(heat_init(&h, &a->unit, self ? NULL : &b->unit, ordered ? shuffled(n, 7) : NULL,
                              ordered && !self ? shuffled(m, 8) : NULL, NULL));
        assert_int_equal(h.blocks.block_r * h.blocks.block_c, 1);
        assert_true(heat_sample(&h, 2, NULL, NULL));
        assert_true(heat_compute(&h, 2, NULL, NULL));
        assert_true(heat_done(&h) == 1);
        for (int64_t block = 1; block <= 512; block += 1 + block / 3)
            for (int pool = HEAT_STRONGEST; pool <= HEAT_MEAN; pool++) {
                struct heat_window w = {0, 0, block, block > 8 ? block / 8 : 1, 40, 40,
                                        (enum heat_pool)pool};
                check_window(&h, a, self ? a : b, NULL, &w);
            }
        heat_finish(&h);
        rows_free(a), rows_free(b);
    }
}

static bool stop_after(void *ctx, const char *what, int64_t done, int64_t of)
{
    int64_t *pairs = ctx;
    (void)what;
    return *pairs >= of || done < *pairs;
}

/* More than HEAT_CELLS: blocks, first by one cosine each, then band by band. */
static void large_maps_are_pooled(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        bool self = k == 0;
        int64_t n = 2901, m = self ? n : k == 1 ? 2053 : 1700;
        struct rows *a = rows_new(n, 4, 70), *b = self ? a : rows_new(m, 4, 71);
        struct heat h;
        int64_t pairs = 1000 * m;
        struct heat_window w = {512, 256, 16, 8, 10, 20, HEAT_STRONGEST};
        float value[200];
        rows_make(a);
        if (!self)
            rows_make(b);
        assert_true(heat_init(&h, &a->unit, self ? NULL : &b->unit, shuffled(n, 4), NULL, NULL));
        int64_t br = h.blocks.block_r, bc = h.blocks.block_c;
        assert_true(br * bc > 1 && h.blocks.n_r * h.blocks.n_c <= HEAT_CELLS);
        assert_int_equal(heat_look(&h, NULL, &w, value), HEAT_UNKNOWN);
        assert_true(isnan(value[0]));
        assert_true(heat_sample(&h, 2, NULL, NULL));
        assert_int_equal(heat_look(&h, NULL, &w, value), HEAT_SAMPLED);
        struct heat_window one = {br * 700, bc * 300, br, bc, 1, 1, HEAT_STRONGEST};
        assert_int_equal(heat_look(&h, NULL, &one, value), HEAT_SAMPLED);
        double want = cosine(a, heat_row(&h, br * 700 + br / 2), b,
                             heat_column(&h, bc * 300 + (bc > 1 ? bc / 2 - 1 : 0)));
        assert_true(fabs((double)value[0] - want) < CLOSE);

        struct err err = {0};
        assert_false(heat_compute(&h, 1, &(struct progress){stop_after, &pairs}, &err));
        assert_int_equal(err.code, ERR_CANCELLED);
        assert_true(heat_done(&h) > 0 && heat_done(&h) < 1);
        w.row = 0; /* what is done stays */
        check_window(&h, a, b, NULL, &w);
        w.row = 2048;
        assert_int_equal(heat_look(&h, NULL, &w, value), HEAT_SAMPLED);

        assert_true(heat_compute(&h, 3, NULL, NULL));
        for (int pool = HEAT_STRONGEST; pool <= HEAT_MEAN; pool++) {
            struct heat_window whole = {0, 0, 64, 64, 48, 48, (enum heat_pool)pool};
            check_window(&h, a, b, NULL, &whole);
            struct heat_window odd = {0, 0, 18 * br, 13 * bc, 90, 80, (enum heat_pool)pool};
            check_window(&h, a, b, NULL, &odd);
            struct heat_window end = {2880, 1664, br, bc, 20, 60, (enum heat_pool)pool};
            check_window(&h, a, b, NULL, &end);
        }
        heat_finish(&h);
        rows_free(a);
        if (!self)
            rows_free(b);
    }
}

static void parts_are_finer(void **state)
{
    (void)state;
    struct rows *a = rows_new(2901, 4, 72);
    struct heat h;
    struct heat_blocks part;
    float value[64];
    rows_make(a);
    assert_true(heat_init(&h, &a->unit, NULL, shuffled(2901, 9), NULL, NULL));
    assert_true(heat_compute(&h, 2, NULL, NULL));
    struct heat_window w = {2890, 2890, 1, 1, 8, 8, HEAT_MEAN};
    assert_int_equal(heat_look(&h, NULL, &w, value), HEAT_COARSE);
    assert_true(heat_part(&h, 2880, 2800, 300, 300, 1, 1, 2, NULL, &part, NULL));
    assert_int_equal(part.n_r, 21);
    check_window(&h, a, a, &part, &w);
    w.row = 2876; /* not all of it is inside */
    assert_int_equal(heat_look(&h, &part, &w, value), HEAT_COARSE);
    w.block_r = 2; /* a part of other blocks is of no use */
    assert_int_equal(heat_look(&h, &part, &w, value), HEAT_COARSE);
    int64_t none = 0;
    struct heat_blocks other;
    assert_false(heat_part(&h, 0, 0, 9, 9, 1, 1, 1, &(struct progress){stop_after, &none},
                           &other, NULL));
    heat_blocks_finish(&part);
    heat_finish(&h);
    rows_free(a);
}

static void compute_beside(void *ctx, int thread)
{
    struct heat *h = ctx;
    float value[40 * 40];
    struct heat_window w = {0, 0, 64, 64, 40, 40, HEAT_MEAN};
    if (thread == 0) {
        assert_true(heat_sample(h, 2, NULL, NULL) && heat_compute(h, 2, NULL, NULL));
        return;
    }
    enum heat_quality q = HEAT_UNKNOWN, worst = HEAT_UNKNOWN;
    for (int k = 0; q != HEAT_EXACT && k < 100000; k++) {
        q = heat_look(h, NULL, &w, value);
        assert_true(q >= worst); /* it only gets better */
        worst = q;
        for (int i = 0; i < 40 * 40; i++)
            assert_true(isnan(value[i]) || fabsf(value[i]) <= 1);
    }
}

/* The screen looks while a job computes. */
static void it_can_be_looked_at_while_it_is_computed(void **state)
{
    (void)state;
    struct rows *a = rows_new(2560, 4, 73);
    struct heat h;
    rows_make(a);
    assert_true(heat_init(&h, &a->unit, NULL, NULL, NULL, NULL));
    team_run(2, compute_beside, &h);
    assert_true(heat_done(&h) == 1);
    heat_finish(&h);
    rows_free(a);
}

/* ---- orders */

static void check_permutation(const int64_t *at, int64_t n)
{
    bool *seen = calloc((size_t)n, 1);
    for (int64_t i = 0; i < n; i++) {
        assert_in_range(at[i], 0, n - 1);
        assert_false(seen[at[i]]);
        seen[at[i]] = true;
    }
    free(seen);
}

static struct page_cosine page_of(struct rows *a, struct rows *b)
{
    struct page_cosine page;
    rows_make(a);
    struct sae sae = {.d_in = a->d, .d_out = a->d, .d_sae = a->n, .W_dec = mat_of(&a->t, false),
                      .path = (char *)(uintptr_t)"a"};
    struct cosine_against against = {0};
    struct mat m;
    if (b) {
        rows_make(b);
        m = mat_of(&b->t, false);
        against = (struct cosine_against){.rows = &m, .path = "b"};
    }
    assert_true(page_cosine_make(&sae, &against, 2, NULL, &page, NULL));
    return page;
}

static void a_permuted_copy_has_its_matches_on_the_diagonal(void **state)
{
    (void)state;
    enum { N = 300, D = 40 };
    struct rows *a = rows_new(N, D, 80), *b = rows_new(N, D, 81);
    int64_t *to = shuffled(N, 3), row_at[N], column_at[N];
    for (int64_t i = 0; i < N; i++)
        memcpy(b->v + to[i] * D, a->v + i * D, D * sizeof *a->v);
    struct page_cosine p = page_of(a, b);
    heat_order_match(&p, row_at, column_at);
    check_permutation(row_at, N);
    check_permutation(column_at, N);
    for (int64_t i = 0; i < N; i++)
        if (row_at[i] != 3 && row_at[i] != 5) /* rows of zeros and of NaN match nothing */
            assert_int_equal(column_at[i], to[row_at[i]]);
    page_cosine_finish(&p);
    free(to);
    rows_free(a), rows_free(b);
}

static void matches_form_a_staircase(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{40, 9}, {9, 40}, {1, 3}, {50, 50}};
    for (int k = 0; k < 8; k++) {
        int64_t n = sizes[k % 4][0], m = k < 4 ? sizes[k % 4][1] : n;
        struct rows *a = rows_new(n, 5, 82), *b = k < 4 ? rows_new(m, 5, 83) : NULL;
        struct page_cosine p = page_of(a, b);
        int64_t *row_at = malloc((size_t)n * sizeof *row_at), stair = 0;
        int64_t *column_at = malloc((size_t)m * sizeof *column_at);
        heat_order_match(&p, row_at, column_at);
        check_permutation(row_at, n);
        if (b)
            check_permutation(column_at, m);
        for (int64_t i = 0; b && i < n; i++) {
            int64_t best = p.best[row_at[i]].column;
            if (p.best[row_at[i]].cosine <= 0)
                continue;
            assert_true(column_at[stair] == best || column_at[++stair] == best);
        }
        if (!b && n > 1) /* the most similar two stand first */
            assert_true(row_at[1] == p.best[row_at[0]].column);
        page_cosine_finish(&p);
        free(row_at), free(column_at);
        rows_free(a);
        if (b)
            rows_free(b);
    }
}

enum { TREE = 60 };

/* Join the two most similar clusters, by all pairs of leaves, again and again; every
 * cluster on the way must stand together in the order. */
static void check_clusters(const struct rows *r, const int64_t *at)
{
    int of[TREE];
    for (int i = 0; i < r->n; i++)
        of[i] = i;
    for (int left = (int)r->n; left > 1; left--) {
        double best = -INFINITY;
        int x = 0, y = 0;
        for (int a = 0; a < r->n; a++)
            for (int b = a + 1; b < r->n; b++) {
                double sum = 0;
                int n = 0;
                for (int i = 0; i < r->n; i++)
                    for (int j = 0; j < r->n; j++)
                        if (of[i] == a && of[j] == b)
                            sum += cosine(r, i, r, j), n++;
                if (n && sum / n > best)
                    best = sum / n, x = a, y = b;
            }
        for (int i = 0; i < r->n; i++)
            of[i] = of[i] == y ? x : of[i];
        int runs = 0;
        for (int64_t p = 0; p < r->n; p++)
            runs += of[at[p]] == x && (p == 0 || of[at[p - 1]] != x);
        assert_int_equal(runs, 1);
    }
}

static void clusters_stand_together(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct rows *r = rows_new(seed ? 8 : 1, 6, 100 + seed);
        int64_t at[TREE];
        if (seed > 3) { /* three bundles of directions, rows mixed up */
            r->n = 8;
            for (int64_t i = 0; i < 8; i++)
                for (int64_t k = 0; k < 6; k++)
                    r->v[i * 6 + k] = r->v[i * 6 + k] * 0.1f + (k == i * 5 % 3);
        }
        rows_make(r);
        assert_true(heat_order_cluster(&r->unit, 1, NULL, at, NULL));
        check_permutation(at, r->n);
        check_clusters(r, at);
        rows_free(r);
    }
    struct rows *r = rows_new(TREE, 12, 120);
    int64_t at[TREE], none = 0;
    struct err err = {0};
    memset(r->v + 3 * 12, 1, 12 * sizeof *r->v); /* ties of zero rows could go either way */
    r->v[5 * 12] = 1;
    rows_make(r);
    assert_true(heat_order_cluster(&r->unit, 2, NULL, at, NULL));
    check_permutation(at, TREE);
    check_clusters(r, at);
    assert_false(heat_order_cluster(&r->unit, 1, &(struct progress){stop_after, &none}, at, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    rows_free(r);
}

/* Rows of zeros are as similar to one another as to the rest: nothing but an order. */
static void dead_rows_are_put_somewhere(void **state)
{
    (void)state;
    struct rows *r = rows_new(40, 6, 121);
    int64_t at[40];
    memset(r->v, 0, 30 * 6 * sizeof *r->v);
    rows_make(r);
    assert_true(heat_order_cluster(&r->unit, 1, NULL, at, NULL));
    check_permutation(at, 40);
    rows_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_maps_agree_with_the_definition_at_every_zoom),
        cmocka_unit_test(large_maps_are_pooled),
        cmocka_unit_test(parts_are_finer),
        cmocka_unit_test(it_can_be_looked_at_while_it_is_computed),
        cmocka_unit_test(a_permuted_copy_has_its_matches_on_the_diagonal),
        cmocka_unit_test(matches_form_a_staircase),
        cmocka_unit_test(clusters_stand_together),
        cmocka_unit_test(dead_rows_are_put_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
