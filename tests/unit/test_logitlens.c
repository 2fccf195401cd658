/* test_logitlens.c - tokens that features promote, against loops in double over the stored
 * tensors, and against a trained model when it is there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/container.h"
#include "io/json.h"
#include "io/mem.h"
#include "model/logitlens.h"
#include "arrays.h"

#define F 150 /* features: more than one block of logitlens_promoted, and a rest */
#define N 7

static const char *ref_path(const char *model, const char *file)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/lm/%s/%s", getenv("TEST_REF"), model, file);
    return path[turn];
}

static float *floats(const struct container *c, const char *name)
{
    const struct tensor *t = container_find(c, name);
    assert_non_null(t);
    float *v = xmalloc((size_t)tensor_count(t) * sizeof *v);
    tensor_read_f32(t, 0, tensor_count(t), v);
    return v;
}

/* A random SAE for streams of d. */
static struct sae *make_sae(int64_t d, float *W_dec)
{
    struct err err = {0};
    char cfg[128];
    fill_random(W_dec, F * d, 5);
    const struct array a[] = {{"W_enc", DTYPE_F32, 2, {d, F}, NULL},
                              {"W_dec", DTYPE_F32, 2, {F, d}, W_dec},
                              {"b_enc", DTYPE_F32, 1, {F}, NULL},
                              {"b_dec", DTYPE_F32, 1, {d}, NULL}};
    snprintf(cfg, sizeof cfg, "{\"architecture\":\"standard\",\"d_in\":%d,\"d_sae\":%d}",
             (int)d, F);
    const char *dir = make_dir("sae");
    write_text("sae/cfg.json", cfg);
    write_safetensors("sae/sae_weights.safetensors", a, 4);
    struct sae *sae = sae_open(dir, &(struct sae_options){0}, NULL, &err);
    if (!sae)
        fail_msg("%s", err.msg);
    return sae;
}

/* Where a model keeps what the lens is made of. */
struct lens {
    const char *model, *gain, *unembedding;
    double plus; /* the gain is plus + w */
    float *w, *u, *W_dec;
    int64_t d, vocab;
};

static double logit_of(const struct lens *l, int64_t feature, int64_t token, bool raw)
{
    double sum = 0;
    for (int64_t k = 0; k < l->d; k++)
        sum += (double)l->W_dec[feature * l->d + k] * (double)l->u[token * l->d + k] *
               (raw ? 1 : l->plus + (double)l->w[k]);
    return sum;
}

/* Each entry has its own logit, in order, and nothing that was left out is beyond the
 * last. */
static void assert_list(const struct lens *l, int64_t feature, bool raw, double sign,
                        const struct logit *list, int n)
{
    for (int i = 0; i < n; i++) {
        double want = logit_of(l, feature, list[i].token, raw);
        assert_true(fabs((double)list[i].logit - want) < 1e-4); /* f32, |terms| < 100 */
        assert_true(i == 0 || sign * (double)list[i - 1].logit >=
                                  sign * (double)list[i].logit);
    }
    for (int64_t v = 0; v < l->vocab; v++) {
        bool listed = false;
        for (int i = 0; i < n; i++)
            listed |= list[i].token == v;
        assert_true(listed || sign * logit_of(l, feature, v, raw) <=
                                  sign * (double)list[n - 1].logit + 1e-4);
    }
}

static void check_lens(struct lens *l)
{
    struct err err = {0};
    char dir[512];
    strcpy(dir, ref_path(l->model, ""));
    struct lm *lm = lm_open(dir, NULL, &err);
    struct container *c =
        container_open(ref_path(l->model, "model.safetensors"), NULL, &err);
    assert_true(lm && c);
    l->d = lm_d_model(lm), l->vocab = lm_vocab(lm);
    l->w = floats(c, l->gain), l->u = floats(c, l->unembedding);
    l->W_dec = xmalloc((size_t)(F * l->d) * sizeof(float));
    struct sae *sae = make_sae(l->d, l->W_dec);
    uint32_t *promoted = xmalloc((size_t)F * N * sizeof *promoted);
    for (int raw = 0; raw < 2; raw++) {
        assert_true(logitlens_promoted(lm, sae, N, raw, 1 + raw, NULL, promoted, &err));
        for (int64_t i = 0; i < F; i++) {
            struct logits some;
            assert_true(logitlens_feature(lm, sae, i, N, raw, &some, &err));
            assert_int_equal(some.n, N);
            assert_list(l, i, raw, 1, some.top, N);
            assert_list(l, i, raw, -1, some.bottom, N);
            for (int k = 0; k < N; k++) { /* products of other shapes round otherwise */
                int64_t token = promoted[i * N + k];
                assert_true(token == some.top[k].token ||
                            fabs(logit_of(l, i, token, raw) - (double)some.top[k].logit) <
                                1e-4);
            }
            logits_finish(&some);
        }
    }
    free(promoted), free(l->w), free(l->u), free(l->W_dec);
    sae_close(sae);
    container_close(c);
    lm_close(lm);
}

static void lists_are_the_extremes(void **state)
{
    (void)state;
    struct lens lenses[] = {
        {.model = "gpt2", .gain = "ln_f.weight", .unembedding = "wte.weight"},
        {.model = "neox", .gain = "gpt_neox.final_layer_norm.weight",
         .unembedding = "embed_out.weight"},
        {.model = "gemma2", .gain = "model.norm.weight",
         .unembedding = "model.embed_tokens.weight", .plus = 1},
    };
    for (size_t i = 0; i < sizeof lenses / sizeof *lenses; i++)
        check_lens(&lenses[i]);
}

static void edges(void **state)
{
    (void)state;
    static float W_dec[F * 24];
    struct err err = {0};
    struct logits some;
    struct lm *lm = lm_open(ref_path("gpt2", ""), NULL, &err);
    struct sae *sae = make_sae(24, W_dec);
    assert_false(logitlens_feature(lm, sae, 0, N, false, &some, &err));
    assert_int_equal(err.code, ERR_SHAPE);
    assert_non_null(strstr(err.msg, "found W_dec of 24 columns, expected 16"));
    sae_close(sae);
    sae = make_sae(16, W_dec);
    assert_true(logitlens_feature(lm, sae, 0, 1000, false, &some, &err));
    assert_int_equal(some.n, 61); /* no more than there are */
    logits_finish(&some);
    assert_true(logitlens_feature(lm, sae, 0, 0, false, &some, &err));
    assert_int_equal(some.n, 0);
    logits_finish(&some);
    sae_close(sae);
    lm_close(lm);
}

/* ---- a trained model, when it is there */

static void assert_expected(const json_t *list, const struct logit *got, int n)
{
    assert_int_equal(json_array_size(list), (size_t)n);
    for (int i = 0; i < n; i++) {
        json_t *want = json_array_get(list, (size_t)i);
        double logit = json_number_value(json_object_get(want, "logit"));
        assert_true(fabs((double)got[i].logit - logit) < 1e-3 * fabs(logit));
    }
}

static void trained_model_agrees(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    char path[512];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/A/model", fixtures());
    struct lm *lm = lm_open(path, NULL, &err);
    snprintf(path, sizeof path, "%s/A/sae/saelens_standard", fixtures());
    struct sae *sae = sae_open(path, &(struct sae_options){0}, NULL, &err);
    snprintf(path, sizeof path, "%s/expected/A_standard.json", fixtures());
    json_t *all = json_load_path(path, 64 << 20, JSON_LAST_WINS, &err), *f;
    assert_true(lm && sae && all);
    size_t i;
    json_array_foreach(json_object_get(all, "features"), i, f) {
        for (int raw = 0; raw < 2; raw++) {
            struct logits some;
            json_t *want = json_object_get(f, raw ? "logits" : "logits_folded");
            int64_t id = json_integer_value(json_object_get(f, "feature"));
            assert_true(logitlens_feature(lm, sae, id, 10, raw, &some, &err));
            assert_expected(json_object_get(want, "highest"), some.top, 10);
            assert_expected(json_object_get(want, "lowest"), some.bottom, 10);
            logits_finish(&some);
        }
    }
    assert_true(i >= 16);
    json_decref(all);
    sae_close(sae);
    lm_close(lm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_the_extremes),
        cmocka_unit_test(edges),
        cmocka_unit_test(trained_model_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
