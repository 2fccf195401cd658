/* test_mixture.c - composites, and true features found alone: against brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/json.h"
#include "model/mixture.h"
#include "arrays.h"

struct rows {
    struct tensor t;
    struct mat m;
};

static void rows_of(struct rows *r, float *v, int64_t rows, int64_t cols)
{
    r->t = (struct tensor){.name = "rows", .dtype = DTYPE_F32, .ndim = 2,
                           .shape = {rows, cols}, .data = (const unsigned char *)v};
    tensor_set_strides(&r->t, false);
    r->m = mat_of(&r->t, false);
}

/* The page of one decoder against directions, both in memory. */
static struct page_cosine page_of(const struct rows *decoder, const struct rows *truth)
{
    struct sae sae = {.d_in = decoder->m.cols, .d_out = decoder->m.cols,
                      .d_sae = decoder->m.rows, .W_dec = decoder->m,
                      .path = (char *)(uintptr_t)"decoder"};
    struct cosine_against against = {.rows = &truth->m, .path = "truth"};
    struct page_cosine page;
    struct err err = {0};
    if (!page_cosine_make(&sae, &against, 2, NULL, &page, &err))
        fail_msg("%s", err.msg);
    return page;
}

/* All by the definition, from the page's own cosines. */
static void check_by_force(const struct page_cosine *p, const struct mixtures *m)
{
    float *c = malloc((size_t)(p->rows * p->columns) * sizeof *c);
    int64_t *of = calloc((size_t)p->columns, sizeof *of), n = 0, alone = 0, missed = 0;
    page_cosine_rows(p, 0, p->rows, c);
    for (int64_t i = 0; i < p->rows; i++) {
        int64_t parts = 0;
        for (int64_t j = 0; j < p->columns; j++)
            parts += fabs((double)c[i * p->columns + j]) > MIXTURE_PART;
        if (parts < 2)
            continue;
        assert_true(n < m->n_composites);
        assert_int_equal(m->composites[n].row, i);
        assert_int_equal(m->composites[n].n, parts);
        for (int k = 0; k < parts && k < MIXTURE_PARTS; k++) {
            const struct mixture_part *part = &m->composites[n].parts[k];
            assert_true(fabs((double)(part->cosine - c[i * p->columns + part->column])) < 1e-5);
            assert_true(k == 0 || fabsf(part->cosine) <= fabsf(part[-1].cosine));
        }
        for (int64_t j = 0; j < p->columns; j++)
            of[j] += fabs((double)c[i * p->columns + j]) > MIXTURE_PART;
        n++;
    }
    assert_int_equal(n, m->n_composites);
    for (int64_t j = 0; j < p->columns; j++) {
        double best = -1;
        for (int64_t i = 0; i < p->rows; i++)
            best = fmax(best, fabs((double)c[i * p->columns + j]));
        assert_int_equal(of[j], m->columns[j].composites);
        assert_true(fabs(fabs((double)m->columns[j].cosine) - best) < 1e-5);
        assert_int_equal(mixture_is_alone(&m->columns[j]), best > MIXTURE_ALONE);
        alone += best > MIXTURE_ALONE;
        missed += best <= MIXTURE_ALONE && of[j] == 0;
    }
    assert_int_equal(alone, m->n_alone);
    assert_int_equal(missed, m->n_missed);
    free(of);
    free(c);
}

static void random_directions_agree_with_the_definition(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 3}, {40, 12, 5}, {300, 1100, 4}, {600, 30, 2}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s][0], m = sizes[s][1], d = sizes[s][2];
        float *a = calloc((size_t)(n * d), sizeof *a), *b = calloc((size_t)(m * d), sizeof *b);
        struct rows decoder, truth;
        struct mixtures got;
        fill_random(a, n * d, 5 + s);
        fill_random(b, m * d, 50 + s);
        if (n > 20) { /* one row of zeros, one that is broken, one that is minus a column */
            memset(a + 3 * d, 0, (size_t)d * sizeof *a);
            a[4 * d] = NAN;
            for (int64_t k = 0; k < d; k++)
                a[5 * d + k] = -2 * b[7 * d + k];
        }
        rows_of(&decoder, a, n, d);
        rows_of(&truth, b, m, d);
        struct page_cosine page = page_of(&decoder, &truth);
        assert_true(mixtures_make(&page, 2, NULL, &got, NULL));
        check_by_force(&page, &got);
        if (n > 20)
            assert_true(mixture_is_alone(&got.columns[7]));
        mixtures_finish(&got);
        page_cosine_finish(&page);
        free(a), free(b);
    }
}

/* The toy set: pairs that occur together, from the heat map that is given with it. */
static void the_toy_set_is_told(void **state)
{
    (void)state;
    char path[600];
    const char *dir = getenv("SHARED_FIXTURES");
    snprintf(path, sizeof path, "%s/toy/expected.json", dir ? dir : "");
    json_t *all = dir ? json_load_file(path, 0, NULL) : NULL;
    if (!all)
        skip();
    static const char *const names[] = {"standard", "prolu"};
    for (int k = 0; k < 2; k++) {
        const json_t *map = json_object_get(
            json_object_get(json_object_get(all, "saes"), names[k]), "heat_map");
        assert_int_equal(json_array_size(map), 25);
        snprintf(path, sizeof path, "%s/toy/%s", dir, names[k]);
        struct sae *sae = sae_open(path, &(struct sae_options){0}, NULL, NULL);
        snprintf(path, sizeof path, "%s/toy/ground_truth.npy", dir);
        struct container *file = NULL;
        const struct tensor *t = cosine_open_rows(path, NULL, &file, NULL);
        assert_true(sae && t);
        struct mat rows = mat_of(t, false);
        struct cosine_against against = {.rows = &rows, .path = path};
        struct page_cosine page;
        struct mixtures got;
        float c[24 * 16];
        assert_true(page_cosine_make(sae, &against, 1, NULL, &page, NULL));
        assert_true(mixtures_make(&page, 1, NULL, &got, NULL));
        page_cosine_rows(&page, 0, 24, c);
        int64_t composites = 0;
        for (size_t i = 0; i < 25; i++) {
            int parts = 0;
            for (size_t j = 0; j < 16; j++) {
                double want = json_number_value(json_array_get(json_array_get(map, i), j));
                double is = (double)(i < 24 ? c[i * 16 + j] : page.bias_row[j]);
                assert_true(fabs(is - want) < 1e-4);
                parts += i < 24 && fabs(want) > MIXTURE_PART;
            }
            composites += parts > 1;
        }
        assert_int_equal(got.n_composites, composites);
        check_by_force(&page, &got);
        mixtures_finish(&got);
        page_cosine_finish(&page);
        container_close(file);
        sae_close(sae);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_directions_agree_with_the_definition),
        cmocka_unit_test(the_toy_set_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
