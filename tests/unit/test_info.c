/* test_info.c - the page about a checkpoint: parameters, norms, orientation, copies. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/json.h"
#include "model/page.h"
#include "model/sae.h"
#include "arrays.h"

#define D 5
#define F 150 /* more than one block of rows, and a part of one */

static float W_enc[D * F], W_dec[F * D], b_enc[F], b_dec[D], threshold[1] = {0.5f};

static struct sae *open_small(const char *cfg)
{
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {D, F}, W_enc},
                        {"W_dec", DTYPE_F64, 2, {F, D}, W_dec},
                        {"b_enc", DTYPE_F32, 1, {F}, b_enc},
                        {"b_dec", DTYPE_F32, 1, {D}, b_dec},
                        {"topk_threshold", DTYPE_F64, 0, {0}, threshold}};
    const char *dir = make_dir("sae");
    write_safetensors("sae/sae_weights.safetensors", a, 5);
    write_text("sae/cfg.json", cfg);
    return sae_open(dir, NULL, NULL, NULL);
}

static void a_page_says_what_the_weights_are(void **state)
{
    (void)state;
    fill_random(W_dec, F * D, 1);
    fill_random(b_enc, F, 2);
    fill_random(b_dec, D, 3);
    for (int j = 0; j < F; j++) /* the encoder is the decoder, so that all cosines are 1 */
        for (int c = 0; c < D; c++)
            W_enc[c * F + j] = 3 * W_dec[j * D + c];
    memcpy(W_dec + 140 * D, W_dec + 3 * D, D * sizeof *W_dec);
    memcpy(W_dec + 141 * D, W_dec + 3 * D, D * sizeof *W_dec);
    memset(W_dec + 77 * D, 0, D * sizeof *W_dec);
    struct sae *sae = open_small("{\"architecture\":\"batchtopk\",\"k\":2}");
    assert_non_null(sae);
    double sum = 0, mean = 0;
    for (int j = 0; j < F; j++) {
        double squares = 0;
        for (int c = 0; c < D; c++)
            squares += (double)W_dec[j * D + c] * W_dec[j * D + c];
        sum += sqrt(squares);
        mean += b_enc[j] / (double)F;
    }
    for (int threads = 1; threads <= 3; threads += 2) {
        struct page_info p;
        assert_true(page_info_make(sae, threads, NULL, &p, NULL));
        assert_int_equal(p.duplicate_decoder_rows, 2);
        assert_true(fabs(p.median_encoder_decoder_cosine - 1) < 1e-6);
        const struct summary *norm = &p.parameter[PARAM_DECODER_NORM];
        assert_int_equal(norm->count, F);
        assert_true(norm->min == 0 && fabs(norm->mean - sum / F) < 1e-6);
        assert_true(norm->zero_fraction == 1.0 / F);
        assert_true(fabs(p.parameter[PARAM_B_ENC].mean - mean) < 1e-12);
        assert_int_equal(p.parameter[PARAM_B_DEC].count, D);
        assert_int_equal(p.parameter[PARAM_THRESHOLD].count, 1);
        assert_true(p.parameter[PARAM_THRESHOLD].mean == 0.5);
        assert_false(p.has[PARAM_B_GATE] || p.has[PARAM_B_MAG] || p.has[PARAM_R_MAG]);
        page_info_finish(&p);
    }
    sae_close(sae);
}

static bool stop_at_once(void *ctx, const char *what, int64_t done, int64_t of)
{
    (void)ctx, (void)what, (void)done, (void)of;
    return false;
}

static void cancelling_is_no_damage(void **state)
{
    (void)state;
    struct sae *sae = open_small("{}");
    struct progress stop = {stop_at_once, NULL};
    struct page_info p;
    struct err err = {0};
    assert_false(page_info_make(sae, 2, &stop, &p, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    sae_close(sae);
}

/* --- the checkpoints beside the source tree, when they are there --- */

static void assert_near(double found, const json_t *object, const char *key, double tolerance,
                        const char *what)
{
    const json_t *expected = json_object_get(object, key);
    double want = json_number_value(expected);
    if (!json_is_number(expected) || fabs(found - want) > tolerance * (1 + fabs(want)))
        fail_msg("%s: %s is %.9g, expected %.9g", what, key, found, want);
}

/* The reference has the same f32 values in double, so that 1e-9 is rounding of sums. A
 * value on an edge may fall to either side of it: edges are computed differently. */
static void assert_summary(const struct summary *s, const json_t *want, const char *what)
{
    assert_near(s->mean, want, "mean", 1e-9, what);
    assert_near(s->std, want, "std", 1e-9, what);
    assert_near(s->min, want, "min", 1e-9, what);
    assert_near(s->max, want, "max", 1e-9, what);
    assert_near(s->negative_fraction, want, "fraction_negative", 1e-9, what);
    const json_t *counts = json_object_get(want, "histogram_64");
    assert_int_equal(json_array_size(counts), s->hist.n);
    int64_t moved = 0;
    for (int b = 0; b < s->hist.n; b++)
        moved += llabs(s->hist.counts[b] -
                       json_integer_value(json_array_get(counts, (size_t)b)));
    if (moved > 2)
        fail_msg("%s: %lld counts of the histogram differ", what, (long long)moved);
}

static int check_fixture(const char *path, const char *expected)
{
    struct err err = {0};
    struct sae *sae = sae_open(path, NULL, NULL, &err);
    if (!sae && err.code == ERR_UNSUPPORTED)
        return 0;
    if (!sae)
        fail_msg("%s", err.msg);
    json_t *want = json_load_path(expected, 16 << 20, JSON_LAST_WINS, NULL);
    const json_t *bias = json_object_get(want, "bias");
    assert_non_null(bias);
    struct page_info p;
    assert_true(page_info_make(sae, 0, NULL, &p, NULL));
    for (int i = 0; i < PARAM_DECODER_NORM; i++) {
        const json_t *parameter = json_object_get(bias, page_parameter_name[i]);
        bool one_threshold = i == PARAM_THRESHOLD && sae->k > 0 && !parameter;
        assert_int_equal(p.has[i], parameter != NULL || (one_threshold && sae->threshold));
        if (one_threshold && sae->threshold)
            assert_near(p.parameter[i].mean, want, "threshold", 1e-6, path);
        if (parameter)
            assert_summary(&p.parameter[i], parameter, path);
    }
    const json_t *norm = json_object_get(want, "decoder_norm");
    assert_near(p.parameter[PARAM_DECODER_NORM].mean, norm, "mean", 1e-6, path);
    assert_true(p.median_encoder_decoder_cosine > 0.3);
    assert_int_equal(p.duplicate_decoder_rows, 0);
    page_info_finish(&p);
    json_decref(want);
    sae_close(sae);
    return 1;
}

static void parameters_of_the_fixtures_are_as_expected(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    char path[600], expected[600];
    snprintf(path, sizeof path, "%s/A/index.json", fixtures());
    json_t *index = json_load_path(path, 1 << 20, JSON_LAST_WINS, NULL);
    assert_non_null(index);
    int checked = 0;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(index, "saes"), i, entry) {
        snprintf(path, sizeof path, "%s/A/%s", fixtures(),
                 json_string_value(json_object_get(entry, "path")));
        snprintf(expected, sizeof expected, "%s/expected/%s", fixtures(),
                 json_string_value(json_object_get(entry, "expected")));
        checked += check_fixture(path, expected);
    }
    assert_int_equal(checked, json_array_size(json_object_get(index, "saes")));
    json_decref(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_says_what_the_weights_are),
        cmocka_unit_test(cancelling_is_no_damage),
        cmocka_unit_test(parameters_of_the_fixtures_are_as_expected),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
