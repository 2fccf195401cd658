/* test_contributions.c - the parts of an activation add up to it, and each is what it says;
 * against the reconstruction that score and ablate use, and against loops. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/mem.h"
#include "model/contributions.h"
#include "model/kern.h"
#include "model/reconstruct.h"
#include "arrays.h"
#include "lm_files.h"

static struct sae *open_sae(const char *path)
{
    struct err err = {0};
    struct sae *sae = sae_open(path, &(struct sae_options){0}, NULL, &err);
    if (!sae)
        fail_msg("%s", err.msg);
    return sae;
}

static struct page_contributions make(const struct sae *sae, const float *x,
                                      enum contributions_order order)
{
    struct page_contributions p;
    struct err err = {0};
    if (!contributions_make(sae, x, order, 1, NULL, &p, &err))
        fail_msg("%s", err.msg);
    return p;
}

/* |x - reconstruction| and how many features are active, as score has them. */
static double error_of(const struct sae *sae, const float *x, int64_t *l0)
{
    struct reconstructor r;
    struct reconstruct_scratch s;
    struct err err = {0};
    assert_true(reconstructor_init(&r, sae, 1, NULL, &err));
    assert_true(reconstruct_scratch_init(&s, &r, &err));
    float *y = xmalloc((size_t)sae->d_in * sizeof *y);
    reconstruct(&r, &s, x, 1, y, l0, NULL);
    for (int64_t k = 0; k < sae->d_in; k++)
        y[k] = x[k] - y[k];
    double norm = sqrt(kern_sum_squares(y, sae->d_in));
    free(y);
    reconstruct_scratch_finish(&s);
    reconstructor_finish(&r);
    return norm;
}

/* What is true of any token, in either order. */
static void check_token(const struct sae *sae, const float *x)
{
    int64_t l0;
    double error = error_of(sae, x, &l0), close = 1e-5; /* f32 sums of up to 128 terms */
    for (int order = 0; order < 2; order++) {
        struct page_contributions p = make(sae, x, (enum contributions_order)order);
        double last = INFINITY;
        int errors = 0, biases = 0;
        assert_int_equal(p.l0, l0);
        assert_int_equal(p.n, l0 + 2);
        assert_true(fabs(p.norm - sqrt(kern_sum_squares(x, sae->d_in))) < 1e-9 * p.norm);
        for (int64_t i = 0; i < p.n; i++) {
            const struct contribution *c = &p.parts[i];
            double key = order == CONTRIBUTIONS_NORM ? c->norm : c->projection;
            assert_true(key <= last);
            last = key;
            errors += c->kind == PART_ERROR, biases += c->kind == PART_B_DEC;
            if (c->kind == PART_ERROR)
                assert_true(fabs(c->norm - error) < close * p.norm);
            assert_true((c->kind == PART_FEATURE) == (c->id >= 0));
            assert_true((c->kind == PART_FEATURE) == !isnan(c->activation));
            assert_true(fabs(c->projection) <= c->norm * (1 + 1e-6));
            assert_true(fabs(c->share * p.norm - c->projection) < 1e-9 * p.norm);
        }
        assert_int_equal(errors, 1);
        assert_int_equal(biases, 1);
        assert_true(fabs(p.parts[p.n - 1].cumulative - 1) < close);
        assert_true(p.parts[p.n - 1].left < close);
        page_contributions_finish(&p);
    }
}

static void fill(float *x, int64_t n, uint32_t seed)
{
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        x[i] = (float)(int32_t)seed / 1e9f;
    }
}

static void parts_add_up(void **state)
{
    (void)state;
    struct sae *sae = open_sae(ref_path("score/sae"));
    float x[16];
    for (uint32_t seed = 1; seed < 20; seed++) {
        fill(x, 16, seed);
        check_token(sae, x);
    }
    sae_close(sae);
}

/* Every kind of encoder and of normalisation, where the fixtures are. */
static void parts_of_all_kinds_add_up(void **state)
{
    (void)state;
    static const char *const saes[] = {
        "saelens_standard_f16", "saelens_jumprelu",      "saelens_topk_f16",
        "saelens_gated",        "saelens_prolu_ste",     "openai_topk_ln_f16.pt",
        "dictlearn_standard",   "dictlearn_batchtopk",   "gemma_scope_jumprelu",
    };
    if (!fixtures())
        skip();
    struct err err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/A/acts.npy", fixtures());
    const char *acts = path;
    struct samples *samples =
        samples_open(&(struct samples_options){.acts = &acts, .n_acts = 1}, NULL, &err);
    assert_non_null(samples);
    for (size_t i = 0; i < sizeof saes / sizeof *saes; i++) {
        char at[512];
        float x[128];
        snprintf(at, sizeof at, "%s/A/sae/%s", fixtures(), saes[i]);
        struct sae *sae = open_sae(at);
        for (int64_t s = 0; s < 3; s++) {
            assert_true(contributions_x(samples, NULL, NULL, sae->d_in, 70 * s, 40 * s,
                                        NULL, x, &err));
            check_token(sae, x);
        }
        sae_close(sae);
    }
    samples_close(samples);
}

/* A token that can be followed by hand. */
static void parts_are_what_they_say(void **state)
{
    (void)state;
    struct sae *sae = open_sae(ref_path("score/sae"));
    enum { D = 16, F = 40 };
    float x[D], W_enc[F * D], W_dec[F * D];
    fill(x, D, 7);
    mat_read_rows(&sae->W_enc, 0, F, W_enc);
    mat_read_rows(&sae->W_dec, 0, F, W_dec);
    struct page_contributions p = make(sae, x, CONTRIBUTIONS_PROJECTION);
    assert_true(p.l0 > 3 && p.l0 < F);
    double sum = 0;
    for (int64_t i = 0; i < p.n; i++) {
        const struct contribution *c = &p.parts[i];
        double a = 1, squares = 0, along = 0;
        sum += c->share;
        assert_true(fabs(c->cumulative - sum) < 1e-12);
        if (c->kind == PART_ERROR)
            continue;
        const float *row = c->kind == PART_B_DEC ? sae->b_dec : &W_dec[c->id * D];
        if (c->kind == PART_FEATURE) {
            a = sae->b_enc[c->id];
            for (int k = 0; k < D; k++)
                a += ((double)x[k] - (double)sae->b_dec[k]) *
                     (double)W_enc[c->id * D + k];
            assert_true(a > 0 && fabs(a - (double)c->activation) < 1e-5);
        }
        for (int k = 0; k < D; k++) {
            double v = a * (double)row[k];
            squares += v * v, along += v * (double)x[k];
        }
        assert_true(fabs(c->norm - sqrt(squares)) < 1e-5);
        assert_true(fabs(c->projection - along / p.norm) < 1e-5);
    }
    page_contributions_finish(&p);
    sae_close(sae);
}

static void x_is_of_the_model_where_there_are_no_samples(void **state)
{
    (void)state;
    struct err err = {0};
    struct lm_hook hook = {1, LM_MLP_OUT};
    struct samples_options o = {.tokens = ref_path("score/tokens.npy")};
    struct lm *lm = lm_open(ref_path("gpt2"), NULL, &err);
    struct samples *samples = samples_open(&o, NULL, &err);
    int64_t T = samples->seq_len, d = lm_d_model(lm), ids[256];
    float x[16], *all = xmalloc((size_t)(T * d) * 4), *rest = xmalloc((size_t)(T * d) * 4);
    struct lm_run *r = lm_run_new(lm, T, NULL, &err);
    samples_ids(samples, T, T, ids);
    assert_true(lm_run_to(r, ids, T, &hook, all, rest, &err));
    for (int64_t p = 0; p < T; p += 69) {
        assert_true(contributions_x(samples, lm, &hook, d, 1, p, NULL, x, &err));
        for (int64_t k = 0; k < d; k++) /* a shorter product, other roundings */
            assert_true(fabsf(x[k] - all[p * d + k]) < 1e-5f);
    }
    static const int64_t bad[][2] = {{2, 0}, {0, 140}, {-1, 0}, {INT64_MAX, 5}};
    for (size_t i = 0; i < 4; i++) {
        err = (struct err){0};
        assert_false(contributions_x(samples, lm, &hook, d, bad[i][0], bad[i][1], NULL, x,
                                     &err));
        assert_int_equal(err.code, ERR_RANGE);
    }
    assert_false(contributions_x(samples, NULL, NULL, d, 0, 0, NULL, x, &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_false(contributions_x(NULL, lm, &hook, d, 0, 0, NULL, x, &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_false(contributions_x(samples, lm, &hook, d + 1, 0, 0, NULL, x, &err));
    assert_int_equal(err.code, ERR_SHAPE);
    lm_run_free(r);
    free(all), free(rest);
    samples_close(samples);
    lm_close(lm);
}

static void tokens_without_a_reconstruction_fail(void **state)
{
    (void)state;
    struct sae *sae = open_sae(ref_path("score/sae"));
    struct page_contributions p;
    struct err err = {0};
    float x[16] = {[3] = NAN};
    assert_false(contributions_make(sae, x, CONTRIBUTIONS_NORM, 1, NULL, &p, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    x[3] = 0; /* nothing to be relative to, but parts there are */
    p = make(sae, x, CONTRIBUTIONS_NORM);
    assert_true(p.norm == 0 && isnan(p.parts[0].share) && p.parts[0].norm > 0);
    page_contributions_finish(&p);
    sae_close(sae);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(parts_of_all_kinds_add_up),
        cmocka_unit_test(parts_are_what_they_say),
        cmocka_unit_test(x_is_of_the_model_where_there_are_no_samples),
        cmocka_unit_test(tokens_without_a_reconstruction_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
