/* test_compare.c - cosines between decoders, matches, assignments: against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/json.h"
#include "model/assign.h"
#include "model/compare.h"
#include "model/cosine.h"
#include "arrays.h"

/* Dot products of unit rows of up to 128 f32 in any order: gamma_n of kern.h, rounded up. */
#define CLOSE 1e-5

/* A decoder in memory, as a checkpoint that has nothing else. */
struct decoder {
    struct tensor t;
    struct sae sae;
    float *v;
};

static struct decoder *decoder_new(const char *path, int64_t rows, int64_t cols,
                                   uint64_t seed)
{
    struct decoder *d = calloc(1, sizeof *d);
    d->v = calloc((size_t)(rows * cols), sizeof *d->v);
    fill_random(d->v, rows * cols, seed);
    d->t = (struct tensor){.name = "W_dec", .dtype = DTYPE_F32, .ndim = 2,
                           .shape = {rows, cols}, .data = (const unsigned char *)d->v};
    tensor_set_strides(&d->t, false);
    d->sae = (struct sae){.arch = sae_arch_find("standard"), .d_in = cols, .d_out = cols,
                          .d_sae = rows, .W_dec = mat_of(&d->t, false),
                          .path = (char *)(uintptr_t)path};
    return d;
}

static void decoder_free(struct decoder *d)
{
    free(d->v);
    free(d);
}

static double cosine(const struct decoder *a, int64_t i, const struct decoder *b, int64_t j)
{
    int64_t n = a->sae.d_out;
    const float *x = a->v + i * n, *y = b->v + j * n;
    double xy = 0, xx = 0, yy = 0;
    for (int64_t k = 0; k < n; k++) {
        xy += (double)x[k] * (double)y[k];
        xx += (double)x[k] * (double)x[k];
        yy += (double)y[k] * (double)y[k];
    }
    return xx > 0 && yy > 0 && isfinite(xx) && isfinite(yy) ? xy / sqrt(xx * yy) : 0;
}

static bool cancel(void *ctx, const char *what, int64_t done, int64_t of)
{
    int *left = ctx;
    (void)what;
    assert_true(done >= 0 && done <= of);
    return (*left)-- > 0;
}

/* ---- assignments */

/* The greatest sum, by trying all. */
static double try_all(const float *value, int n, int m, int row, unsigned taken)
{
    double best = -INFINITY;
    if (row == n)
        return 0;
    for (int j = 0; j < m; j++)
        if (!(taken >> j & 1))
            best = fmax(best, (double)value[row * m + j] +
                                  try_all(value, n, m, row + 1, taken | 1u << j));
    return best;
}

#define REF_MAX 130

/* The same by the Hungarian method, row by row in O(n^2 m), in double. */
static double hungarian(const float *value, int n, int m)
{
    double u[REF_MAX] = {0}, v[REF_MAX] = {0}, sum = 0;
    int p[REF_MAX] = {0}, way[REF_MAX] = {0};
    assert_true(n <= m && m + 1 < REF_MAX);
    for (int i = 1; i <= n; i++) {
        double least[REF_MAX];
        bool used[REF_MAX] = {0};
        int j0 = 0;
        for (int j = 0; j <= m; j++)
            least[j] = INFINITY;
        p[0] = i;
        do {
            int i0 = p[j0], j1 = 0;
            double delta = INFINITY;
            used[j0] = true;
            for (int j = 1; j <= m; j++) {
                if (used[j])
                    continue;
                double c = -(double)value[(i0 - 1) * m + j - 1] - u[i0] - v[j];
                if (c < least[j])
                    least[j] = c, way[j] = j0;
                if (least[j] < delta)
                    delta = least[j], j1 = j;
            }
            for (int j = 0; j <= m; j++)
                if (used[j])
                    u[p[j]] += delta, v[j] -= delta;
                else
                    least[j] -= delta;
            j0 = j1;
        } while (p[j0]);
        for (; j0; j0 = way[j0])
            p[j0] = p[way[j0]];
    }
    for (int j = 1; j <= m; j++)
        if (p[j])
            sum += (double)value[(p[j] - 1) * m + j - 1];
    return sum;
}

static double assigned_sum(const float *value, int64_t n, int64_t m)
{
    int64_t *column = malloc((size_t)n * sizeof *column);
    bool *taken = calloc((size_t)m, sizeof *taken);
    double sum = 0;
    assert_true(assign_optimal(value, n, m, NULL, column, NULL));
    for (int64_t i = 0; i < n; i++) {
        assert_in_range(column[i], 0, m - 1);
        assert_false(taken[column[i]]);
        taken[column[i]] = true;
        sum += (double)value[i * m + column[i]];
    }
    free(taken);
    free(column);
    return sum;
}

/* Values: few different ones (ties everywhere), many, all equal, or as cosines are. */
static void fill_values(float *v, int64_t n, int kind, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = next_random(&seed);
        v[i] = kind == 0   ? (float)(r % 3) / 2 - 0.5f
               : kind == 1 ? (float)(r >> 40) / 8388608.0f - 1
               : kind == 2 ? 0.25f
                           : powf((float)(r >> 40) / 16777216.0f, 8);
    }
}

static void small_assignments_are_the_best_of_all(void **state)
{
    (void)state;
    float value[7 * 8];
    for (uint64_t seed = 0; seed < 400; seed++) {
        int n = 1 + (int)(seed % 6), m = n + (int)(seed / 6 % 3);
        fill_values(value, n * m, (int)(seed % 4), seed);
        double want = try_all(value, n, m, 0, 0);
        assert_true(fabs(assigned_sum(value, n, m) - want) < 1e-9);
        assert_true(fabs(hungarian(value, n, m) - want) < 1e-9);
    }
}

static void larger_assignments_agree_with_the_hungarian_method(void **state)
{
    (void)state;
    static float value[REF_MAX * REF_MAX];
    for (uint64_t seed = 0; seed < 60; seed++) {
        int n = 20 + (int)(seed * 37 % 100), m = seed % 3 ? n : n + (int)(seed % 8);
        m = m < REF_MAX - 2 ? m : REF_MAX - 2;
        fill_values(value, n * m, (int)(seed % 4), seed);
        assert_true(fabs(assigned_sum(value, n, m) - hungarian(value, n, m)) < 1e-9 * n);
    }
}

static void assignments_can_be_cancelled(void **state)
{
    (void)state;
    static float value[50 * 60];
    int64_t column[50];
    fill_values(value, 50 * 60, 1, 3);
    for (int steps = 0; steps < 40; steps++) {
        int left = steps;
        struct err err = {0};
        assert_false(assign_optimal(value, 50, 60, &(struct progress){cancel, &left}, column,
                                    &err));
        assert_int_equal(err.code, ERR_CANCELLED);
    }
}

/* Take the greatest of all cosines that are left, again and again. */
static void greedy_takes_the_greatest_first(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {40, 40}, {30, 90}, {90, 30}, {300, 290}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s][0], m = sizes[s][1], few = n < m ? n : m;
        struct decoder *a = decoder_new("a", n, 3, 10 + s), *b = decoder_new("b", m, 3, 20 + s);
        struct match_rows x, y;
        int64_t *got = malloc((size_t)n * sizeof *got), pairs = 0;
        bool *row_taken = calloc((size_t)n, 1), *taken = calloc((size_t)m, 1);
        assert_true(match_rows_init(&x, &a->sae.W_dec, NULL));
        assert_true(match_rows_init(&y, &b->sae.W_dec, NULL));
        assert_true(assign_greedy(&x, &y, 2, NULL, got, NULL));
        for (; pairs < few; pairs++) {
            double best = -2, mine = -2;
            int64_t i0 = -1;
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j < m && !row_taken[i]; j++) {
                    double c = taken[j] ? -2 : cosine(a, i, b, j);
                    best = fmax(best, c);
                    if (!taken[j] && got[i] == j && c > mine)
                        mine = c, i0 = i;
                }
            /* of those that are equal up to rounding any may come first */
            assert_true(i0 >= 0 && best - mine < CLOSE);
            row_taken[i0] = taken[got[i0]] = true;
        }
        for (int64_t i = 0; i < n; i++)
            assert_int_equal(got[i] >= 0, row_taken[i]);
        match_rows_finish(&x);
        match_rows_finish(&y);
        free(row_taken), free(taken), free(got);
        decoder_free(a), decoder_free(b);
    }
}

/* ---- best matches */

static void assert_best(const struct decoder *a, const struct decoder *b,
                        const struct match_near *best)
{
    for (int64_t i = 0; i < a->sae.d_sae; i++) {
        double want = -2;
        for (int64_t j = 0; j < b->sae.d_sae; j++)
            want = fmax(want, cosine(a, i, b, j));
        assert_in_range(best[i].id, 0, b->sae.d_sae - 1);
        assert_true(fabs((double)best[i].cosine - want) < CLOSE);
        assert_true(fabs(cosine(a, i, b, best[i].id) - want) < CLOSE);
    }
}

/* Sizes on both sides of those of the pieces; rows of zeros and of NaN among them. */
static void best_matches_are_found_both_ways(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {3, 700}, {256, 1024}, {257, 1025},
                                        {600, 5}, {2100, 40}, {5000, 30}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s][0], m = sizes[s][1];
        struct decoder *a = decoder_new("a", n, 6, 30 + s), *b = decoder_new("b", m, 6, 40 + s);
        memset(b->v + (m - 1) * 6, 0, 6 * sizeof *b->v);
        if (n > 2) {
            memset(a->v + 6, 0, 6 * sizeof *a->v);
            a->v[2 * 6 + 3] = NAN;
        }
        struct match_rows x, y;
        struct match_near *best = malloc((size_t)(n + m) * sizeof *best), *again;
        again = malloc((size_t)(n + m) * sizeof *again);
        assert_true(match_rows_init(&x, &a->sae.W_dec, NULL));
        assert_true(match_rows_init(&y, &b->sae.W_dec, NULL));
        assert_true(match_best(&x, &y, 1, NULL, best, best + n, NULL));
        assert_true(match_best(&x, &y, 3, NULL, again, again + n, NULL));
        for (int64_t i = 0; i < n + m; i++)
            assert_true(best[i].id == again[i].id && best[i].cosine == again[i].cosine);
        assert_best(a, b, best);
        assert_best(b, a, best + n);
        int left = 0;
        struct err err = {0};
        assert_false(match_best(&x, &y, 1, &(struct progress){cancel, &left}, best, best + n,
                                &err));
        assert_int_equal(err.code, ERR_CANCELLED);
        match_rows_finish(&x);
        match_rows_finish(&y);
        free(best), free(again);
        decoder_free(a), decoder_free(b);
    }
}

/* ---- two checkpoints */

static struct page_compare compare(const struct decoder *a, const struct decoder *b,
                                   enum compare_matching matching)
{
    struct page_compare p;
    struct err err = {0};
    struct compare_side x = {.sae = &a->sae}, y = {.sae = &b->sae};
    struct compare_options o = {.matching = matching, .memory = (size_t)1 << 24};
    if (!page_compare_make(&x, &y, &o, NULL, &p, &err))
        fail_msg("%s", err.msg);
    return p;
}

static void a_checkpoint_equals_itself(void **state)
{
    (void)state;
    struct decoder *a = decoder_new("a", 300, 64, 50);
    for (int how = COMPARE_AUTO; how <= COMPARE_GREEDY; how++) {
        struct page_compare p = compare(a, a, (enum compare_matching)how);
        assert_int_equal(p.optimal, how != COMPARE_GREEDY);
        assert_int_equal(p.n_one_to_one, 300);
        assert_int_equal(p.n_mutual, 300);
        assert_int_equal(p.n_unmatched[0] + p.n_unmatched[1], 0);
        assert_true(fabs(p.mmcs[0] - 1) < CLOSE && p.mmcs[0] == p.mmcs[1]);
        assert_true(fabs(p.one_to_one_mean - 1) < CLOSE);
        for (int64_t i = 0; i < 300; i++) {
            assert_true(p.matches[i].a == i && p.matches[i].b == i && p.matches[i].mutual);
            assert_true(fabs((double)p.matches[i].cosine - 1) < CLOSE);
            assert_true(p.one_to_one[i].a == i && p.one_to_one[i].b == i);
        }
        page_compare_finish(&p);
    }
    decoder_free(a);
}

/* Rows in another order and of other lengths; one is another direction altogether. */
static void a_permutation_is_found(void **state)
{
    (void)state;
    struct decoder *a = decoder_new("a", 211, 64, 51), *b = decoder_new("b", 211, 64, 52);
    for (int i = 0; i < 211; i++)
        for (int k = 0; k < 64 && i != 7; k++)
            b->v[i * 101 % 211 * 64 + k] = a->v[i * 64 + k] * (0.5f + (float)i);
    for (int how = COMPARE_OPTIMAL; how <= COMPARE_GREEDY; how++) {
        struct page_compare p = compare(a, b, (enum compare_matching)how);
        for (int64_t i = 0; i < 211; i++) {
            assert_int_equal(p.one_to_one[i].b, i * 101 % 211);
            if (i != 7)
                assert_int_equal(p.matches[i].b, i * 101 % 211);
        }
        assert_int_equal(p.n_mutual, 210);
        assert_int_equal(p.n_unmatched[0], 1);
        assert_int_equal(p.n_unmatched[1], 1);
        assert_int_equal(p.unmatched[0][0], 7);
        assert_int_equal(p.unmatched[1][0], 7 * 101 % 211);
        page_compare_finish(&p);
    }
    decoder_free(a), decoder_free(b);
}

/* Of different sizes: what is said of a and b is said of b and a too. */
static void sides_can_be_swapped(void **state)
{
    (void)state;
    struct decoder *a = decoder_new("a", 130, 8, 53), *b = decoder_new("b", 90, 8, 54);
    memset(a->v + 5 * 8, 0, 8 * sizeof *a->v); /* a dead one on each side */
    memset(b->v + 9 * 8, 0, 8 * sizeof *b->v);
    struct page_compare p = compare(a, b, COMPARE_AUTO), q = compare(b, a, COMPARE_AUTO);
    double sum = 0;
    for (int64_t i = 0; i < 130; i++) {
        double want = -2;
        for (int64_t j = 0; j < 90; j++)
            want = fmax(want, cosine(a, i, b, j));
        sum += want;
        assert_true(fabs((double)p.matches[i].cosine - want) < CLOSE);
    }
    assert_true(fabs(p.mmcs[0] - sum / 130) < CLOSE);
    assert_true(fabs(p.mmcs[0] - q.mmcs[1]) < CLOSE && fabs(p.mmcs[1] - q.mmcs[0]) < CLOSE);
    assert_int_equal(p.n_one_to_one, 90);
    assert_int_equal(q.n_one_to_one, 90);
    assert_int_equal(p.n_mutual, q.n_mutual);
    assert_true(fabs(p.one_to_one_mean - q.one_to_one_mean) < CLOSE);
    assert_int_equal(p.n_unmatched[0], q.n_unmatched[1]);
    assert_true(p.matches[5].cosine == 0 && !p.matches[5].mutual);
    struct page_compare g = compare(a, b, COMPARE_GREEDY);
    assert_true(g.n_one_to_one == 90 && g.one_to_one_mean <= p.one_to_one_mean + CLOSE);
    page_compare_finish(&p);
    page_compare_finish(&q);
    page_compare_finish(&g);
    decoder_free(a), decoder_free(b);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct decoder *a = decoder_new("first", 20, 8, 55), *b = decoder_new("second", 20, 9, 56);
    struct page_compare p;
    struct err err = {0};
    struct compare_side x = {.sae = &a->sae}, y = {.sae = &b->sae};
    struct compare_options o = {.memory = 100};
    assert_false(page_compare_make(&x, &y, &o, NULL, &p, &err));
    assert_int_equal(err.code, ERR_SHAPE);
    assert_string_equal(err.msg, "first: does not fit second (found d_in = 8 and d_in = 9, "
                                 "expected equal ones)");
    o.matching = COMPARE_OPTIMAL;
    assert_false(page_compare_make(&x, &x, &o, NULL, &p, &err));
    assert_int_equal(err.code, ERR_RANGE);
    o.matching = COMPARE_AUTO; /* falls back */
    assert_true(page_compare_make(&x, &x, &o, NULL, &p, &err));
    assert_false(p.optimal);
    page_compare_finish(&p);
    struct page_cosine c;
    struct cosine_against against = {.rows = &b->sae.W_dec, .path = "second"};
    assert_false(page_cosine_make(&a->sae, &against, 1, NULL, &c, &err));
    assert_int_equal(err.code, ERR_SHAPE);
    assert_string_equal(err.msg, "first: W_dec does not fit second (found [20, 8] with rows of 8 "
                                 "and [20, 9] with rows of 9, expected equal ones)");
    decoder_free(a), decoder_free(b);
}

static void comparing_can_be_cancelled(void **state)
{
    (void)state;
    struct decoder *a = decoder_new("a", 300, 8, 57);
    struct compare_side x = {.sae = &a->sae};
    struct compare_options o = {.memory = (size_t)1 << 24, .threads = 1};
    for (int steps = 0; steps < 300; steps += 7) {
        int left = steps;
        struct page_compare p;
        struct err err = {0};
        assert_false(page_compare_make(&x, &x, &o, &(struct progress){cancel, &left}, &p,
                                       &err));
        assert_int_equal(err.code, ERR_CANCELLED);
    }
    decoder_free(a);
}

/* ---- a decoder against directions */

static void check_cosines(const struct decoder *a, const struct decoder *b, const float *b_dec)
{
    bool self = b == NULL;
    struct page_cosine p;
    struct err err = {0};
    struct cosine_against against = {.rows = self ? NULL : &b->sae.W_dec, .path = "b"};
    double sum = 0, squares = 0, n = 0;
    int64_t d = a->sae.d_out;
    if (!page_cosine_make(&a->sae, &against, 2, NULL, &p, &err))
        fail_msg("%s", err.msg);
    b = self ? a : b;
    float *row = malloc((size_t)p.columns * sizeof *row);
    for (int64_t i = 0; i < p.rows; i++) {
        double best = -2;
        page_cosine_rows(&p, i, 1, row);
        for (int64_t j = 0; j < p.columns; j++) {
            double c = cosine(a, i, b, j);
            assert_true(fabs((double)row[j] - c) < CLOSE);
            if (self && i == j)
                continue;
            sum += c, squares += c * c, n++;
            best = fmax(best, c);
        }
        assert_int_equal(p.best[i].column >= 0, p.columns > self);
        if (p.best[i].column < 0)
            continue;
        assert_true(fabs((double)p.best[i].cosine - best) < CLOSE);
        assert_true(!self || p.best[i].column != i);
    }
    struct decoder bias = {.sae.d_out = d, .v = (float *)(uintptr_t)b_dec};
    for (int64_t j = 0; j < p.columns; j++)
        assert_true(fabs((double)p.bias_row[j] - cosine(&bias, 0, b, j)) < CLOSE);
    if (n > 0) {
        assert_true(fabs(p.mean - sum / n) < CLOSE);
        assert_true(fabs(p.std * p.std - (squares / n - sum / n * sum / n)) < CLOSE);
    } else {
        assert_true(isnan(p.mean) && isnan(p.std));
    }
    free(row);
    page_cosine_finish(&p);
}

static void cosines_are_those_of_the_definition(void **state)
{
    (void)state;
    static const float zeros[7];
    static const int64_t sizes[][2] = {{1, 1}, {24, 16}, {300, 9}, {9, 1100}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        float b_dec[7];
        struct decoder *a = decoder_new("a", sizes[s][0], 7, 60 + s);
        struct decoder *b = decoder_new("b", sizes[s][1], 7, 70 + s);
        fill_random(b_dec, 7, 80 + s);
        if (sizes[s][0] > 3)
            memset(a->v + 3 * 7, 0, 7 * sizeof *a->v);
        a->sae.b_dec = b_dec;
        check_cosines(a, b, b_dec);
        check_cosines(a, NULL, b_dec);
        a->sae.b_dec = (float *)(uintptr_t)zeros;
        check_cosines(a, b, zeros);
        decoder_free(a), decoder_free(b);
    }
}

static void directions_are_picked_from_files(void **state)
{
    (void)state;
    float v[12];
    struct container *c = NULL;
    struct err err = {0};
    char word[300];
    fill_random(v, 12, 90);
    struct array a[] = {{"x", DTYPE_F32, 2, {3, 4}, v}, {"y", DTYPE_F16, 2, {2, 4}, v},
                        {"z", DTYPE_F32, 1, {4}, v}, {"i", DTYPE_I32, 2, {2, 2}, v}};
    const char *two = write_npz("two.npz", a, 4);
    assert_null(cosine_open_rows(two, NULL, &c, &err));
    assert_int_equal(err.code, ERR_MISSING);
    snprintf(word, sizeof word, "%s:y", two);
    const struct tensor *t = cosine_open_rows(word, NULL, &c, &err);
    assert_non_null(t);
    assert_int_equal(t->shape[0], 2);
    container_close(c);
    static const char *const wrong[] = {"z", "i", "nothing", ""};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        snprintf(word, sizeof word, "%s:%s", two, wrong[k]);
        assert_null(cosine_open_rows(word, NULL, &c, &err));
    }
    t = cosine_open_rows(write_npy("one.npy", &a[0]), NULL, &c, &err);
    assert_non_null(t);
    assert_int_equal(t->shape[0], 3);
    container_close(c);
    assert_null(cosine_open_rows(write_npy("flat.npy", &a[2]), NULL, &c, &err));
    assert_int_equal(err.code, ERR_SHAPE);
}

/* ---- trained SAEs, when they are there */

static json_t *load(const char *name)
{
    char path[512];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/%s", fixtures(), name);
    json_t *v = json_load_path(path, 64 << 20, JSON_LAST_WINS, &err);
    if (!v)
        fail_msg("%s", err.msg);
    return v;
}

static struct sae *open_fixture(const char *set, const char *name)
{
    char path[512];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/%s/%s", fixtures(), set, name);
    struct sae *sae = sae_open(path, &(struct sae_options){0}, NULL, &err);
    if (!sae && err.code != ERR_UNSUPPORTED)
        fail_msg("%s", err.msg);
    return sae;
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

/* The fixture whose expected values are those of `name`; the first format that opens. */
static struct sae *open_expected(const json_t *index, const char *name)
{
    char expected[128];
    size_t i;
    const json_t *entry;
    struct sae *sae = NULL;
    snprintf(expected, sizeof expected, "A_%s.json", name);
    json_array_foreach(json_object_get(index, "saes"), i, entry)
        if (!sae && !strcmp(json_string_value(json_object_get(entry, "expected")), expected))
            sae = open_fixture("A", json_string_value(json_object_get(entry, "path")));
    return sae;
}

static void check_pair(const struct sae *a, const struct sae *b, const json_t *want)
{
    struct page_compare p;
    struct compare_side x = {.sae = a}, y = {.sae = b};
    struct compare_options o = {.matching = COMPARE_GREEDY};
    size_t i;
    const json_t *match;
    assert_true(page_compare_make(&x, &y, &o, NULL, &p, NULL));
    assert_true(fabs(p.mmcs[0] - number(want, "mmcs_first_to_second")) < 1e-4);
    assert_true(fabs(p.mmcs[1] - number(want, "mmcs_second_to_first")) < 1e-4);
    json_array_foreach(json_object_get(want, "matches"), i, match) {
        const struct compare_match *m = &p.matches[(int64_t)number(match, "first_feature")];
        assert_true(fabs((double)m->cosine - number(match, "cosine")) < 1e-4);
        assert_int_equal(m->b, (int64_t)number(match, "second_feature"));
    }
    assert_int_equal(i, 16);
    page_compare_finish(&p);
}

static void trained_pairs_agree(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    json_t *index = load("A/index.json"), *pairs = load("expected/A_pairs.json"), *pair;
    size_t i;
    int checked = 0;
    json_array_foreach(pairs, i, pair) {
        struct sae *a = open_expected(index, json_string_value(json_object_get(pair, "first")));
        struct sae *b = open_expected(index, json_string_value(json_object_get(pair, "second")));
        if (a && b) {
            check_pair(a, b, pair);
            checked++;
        }
        sae_close(a);
        sae_close(b);
    }
    assert_true(checked >= 15);
    json_decref(pairs);
    json_decref(index);
}

static void check_heat_map(const char *name, const json_t *want)
{
    char truth[512];
    struct container *c = NULL;
    struct page_cosine p;
    struct sae *sae = open_fixture("toy", name);
    snprintf(truth, sizeof truth, "%s/toy/ground_truth.npy", fixtures());
    struct mat rows = mat_of(cosine_open_rows(truth, NULL, &c, NULL), false);
    struct cosine_against against = {.rows = &rows, .path = truth};
    assert_true(page_cosine_make(sae, &against, 1, NULL, &p, NULL));
    assert_true(p.rows == 24 && p.columns == 16);
    for (int64_t i = 0; i <= p.rows; i++) {
        float row[16];
        const json_t *line = json_array_get(json_object_get(want, "heat_map"), (size_t)i);
        if (i < p.rows)
            page_cosine_rows(&p, i, 1, row);
        else
            memcpy(row, p.bias_row, sizeof row);
        for (size_t j = 0; j < 16; j++)
            assert_true(fabs((double)row[j] - json_number_value(json_array_get(line, j))) < 1e-4);
    }
    double sum = 0;
    for (int64_t i = 0; i < p.rows; i++)
        sum += (double)p.best[i].cosine;
    assert_true(fabs(sum / 24 - number(want, "mean_max_cosine_sae_to_ground_truth")) < 1e-4);
    page_cosine_finish(&p);
    container_close(c);
    sae_close(sae);
}

static void trained_heat_maps_agree(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    json_t *all = load("toy/expected.json"), *want;
    const char *name;
    json_object_foreach(json_object_get(all, "saes"), name, want)
        check_heat_map(name, want);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_assignments_are_the_best_of_all),
        cmocka_unit_test(larger_assignments_agree_with_the_hungarian_method),
        cmocka_unit_test(assignments_can_be_cancelled),
        cmocka_unit_test(greedy_takes_the_greatest_first),
        cmocka_unit_test(best_matches_are_found_both_ways),
        cmocka_unit_test(a_checkpoint_equals_itself),
        cmocka_unit_test(a_permutation_is_found),
        cmocka_unit_test(sides_can_be_swapped),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(comparing_can_be_cancelled),
        cmocka_unit_test(cosines_are_those_of_the_definition),
        cmocka_unit_test(directions_are_picked_from_files),
        cmocka_unit_test(trained_pairs_agree),
        cmocka_unit_test(trained_heat_maps_agree),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
