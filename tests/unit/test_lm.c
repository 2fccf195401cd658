/* test_lm.c - language models of every family against tests/ref/lm, which an independent
 * implementation computed in double, and bad models against one clear line each. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/container.h"
#include "io/json.h"
#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/lm.h"
#include "arrays.h"

/* f32 against double through a few layers: products of at most 100 terms, each rounded to
 * 6e-8, of values up to about 10. */
#define CLOSE 3e-5

static const char *const models[] = {
    "gpt2",   "gpt2_f16",     "neox",          "neox_sequential", "llama2",
    "llama3", "llama_linear", "llama_dynamic", "llama_yarn",      "gemma2",
    "gemma2_types",
};
#define N_MODELS (sizeof models / sizeof *models)

static const char *ref_path(const char *model, const char *file)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/lm/%s%s%s", getenv("TEST_REF"), model,
             file[0] ? "/" : "", file);
    return path[turn];
}

static struct lm *open_good(const char *dir)
{
    struct err err = {0};
    struct lm *lm = lm_open(dir, NULL, &err);
    if (!lm)
        fail_msg("%s", err.msg);
    return lm;
}

/* All of a float tensor. Owned by the caller. */
static float *expected_floats(const struct container *c, const char *name, int64_t *n)
{
    const struct tensor *t = container_find(c, name);
    assert_non_null(t);
    *n = tensor_count(t);
    float *v = xmalloc((size_t)*n * sizeof *v);
    tensor_read_f32(t, 0, *n, v);
    return v;
}

static bool has_tensor(const struct container *c, const char *name)
{
    return container_find(c, name) != NULL;
}

/* One sequence with the hook multiplied by `factor`. */
struct replaced {
    int64_t T;
    float *x, *rest, *final[2];
    double *ce[2], *kl;
};

static void replaced_init(struct replaced *v, const struct lm *lm, int64_t T)
{
    size_t n = (size_t)(T * lm_d_model(lm)) * sizeof(float);
    *v = (struct replaced){.T = T, .x = xmalloc(n), .rest = xmalloc(n),
                           .final = {xmalloc(n), xmalloc(n)}};
    for (int s = 0; s < 2; s++)
        v->ce[s] = xmalloc((size_t)T * sizeof(double));
    v->kl = xmalloc((size_t)T * sizeof(double));
}

static void replaced_finish(struct replaced *v)
{
    free(v->x), free(v->rest), free(v->kl);
    for (int s = 0; s < 2; s++)
        free(v->final[s]), free(v->ce[s]);
}

static void run_replaced(const struct lm *lm, struct lm_run *r, const int64_t *ids,
                         const char *hook_name, float factor, struct replaced *v)
{
    struct lm_hook hook;
    struct err err = {0};
    assert_true(lm_hook_parse(lm, hook_name, &hook, &err));
    assert_true(lm_run_to(r, ids, v->T, &hook, v->x, v->rest, &err));
    for (int64_t i = 0; i < v->T * lm_d_model(lm); i++) {
        v->final[0][i] = v->rest[i] + v->x[i];
        v->final[1][i] = v->rest[i] + v->x[i] * factor;
    }
    for (int s = 0; s < 2; s++)
        assert_true(lm_run_from(r, &hook, v->final[s], v->T, &err));
    assert_true(lm_losses(r, 2, (const float *const *)v->final, ids, v->T, v->ce, v->kl,
                          &err));
}

static void assert_losses(const char *what, const double *ce, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(ce[i] - (double)want[i]) <= CLOSE * (1 + fabs((double)want[i]))))
            fail_msg("%s, position %d: %.9g, expected %.9g", what, (int)i, ce[i],
                     (double)want[i]);
}

static void assert_hook_values(const char *what, const float *x, const float *want, int64_t n)
{
    float scale = 1;
    for (int64_t i = 0; i < n; i++)
        scale = fmaxf(scale, fabsf(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(x[i] - want[i]) <= (float)CLOSE * scale))
            fail_msg("%s, element %d: %.9g, expected %.9g", what, (int)i, (double)x[i],
                     (double)want[i]);
}

/* A hook of one model, all that the reference says of it. */
static void check_hook(const char *model, const struct lm *lm, const struct container *c,
                       struct lm_run *r, const int64_t *ids, int64_t S, int64_t T,
                       const char *hook)
{
    char name[128], what[192];
    struct replaced v;
    int64_t n, d = lm_d_model(lm);
    replaced_init(&v, lm, T);
    for (int half = 0; half < 2; half++) {
        snprintf(name, sizeof name, "%s.%s", hook, half ? "half" : "zero");
        float *ce = expected_floats(c, "ce", &n), *changed = expected_floats(c, name, &n);
        float *x = expected_floats(c, hook, &n);
        snprintf(name, sizeof name, "%s.kl", hook);
        float *kl = expected_floats(c, name, &n);
        for (int64_t s = 0; s < S; s++) {
            snprintf(what, sizeof what, "%s %s sequence %d", model, hook, (int)s);
            run_replaced(lm, r, ids + s * T, hook, half ? 0.5f : 0.0f, &v);
            assert_losses(what, v.ce[0], ce + s * (T - 1), T - 1);
            assert_losses(what, v.ce[1], changed + s * (T - 1), T - 1);
            assert_hook_values(what, v.x + (T - 4) * d, x + s * 4 * d, 4 * d);
            if (half)
                assert_losses(what, v.kl, kl + s * (T - 1), T - 1);
        }
        free(ce), free(changed), free(x), free(kl);
    }
    replaced_finish(&v);
}

static void check_logits(const struct lm *lm, const struct container *c, struct lm_run *r,
                         const int64_t *ids, int64_t T)
{
    struct replaced v;
    int64_t n, d = lm_d_model(lm), vocab = lm_vocab(lm);
    float *want = expected_floats(c, "logits", &n), *got = xmalloc((size_t)n * sizeof *got);
    replaced_init(&v, lm, T);
    run_replaced(lm, r, ids, "blocks.0.hook_resid_pre", 1, &v);
    for (int64_t i = 0; i < 4; i++)
        lm_logits(r, v.final[0] + (T - 4 + i) * d, got + i * vocab);
    assert_hook_values("logits", got, want, n);
    for (int64_t p = 0; p < T - 1; p++) { /* a factor of 1 changes nothing at all */
        assert_true(v.ce[0][p] == v.ce[1][p]);
        assert_true(fabs(v.kl[p]) < 1e-12);
    }
    replaced_finish(&v);
    free(want), free(got);
}

static void families_agree_with_the_reference(void **state)
{
    (void)state;
    static const char *const sites[] = {"resid_pre", "attn_out", "resid_mid", "mlp_out",
                                        "resid_post"};
    for (size_t m = 0; m < N_MODELS; m++) {
        struct err err = {0};
        struct lm *lm = open_good(ref_path(models[m], ""));
        struct container *c =
            container_open(ref_path(models[m], "expected.safetensors"), NULL, &err);
        assert_non_null(c);
        const struct tensor *t = container_find(c, "ids");
        int64_t S = t->shape[0], T = t->shape[1];
        int64_t *ids = xmalloc((size_t)(S * T) * sizeof *ids);
        tensor_read_i64(t, 0, S * T, ids);
        struct lm_run *r = lm_run_new(lm, T, NULL, &err);
        int checked = 0;
        for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
            char hook[64];
            snprintf(hook, sizeof hook, "blocks.1.hook_%s", sites[i]);
            if (!has_tensor(c, hook))
                continue; /* no resid_mid in parallel blocks */
            check_hook(models[m], lm, c, r, ids, S, T, hook);
            checked++;
        }
        assert_true(checked >= 4);
        check_logits(lm, c, r, ids, T);
        lm_run_free(r);
        free(ids);
        container_close(c);
        lm_close(lm);
    }
}

/* ---- a trained model, when it is there */

static double real_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static void check_fixture_logits(const struct lm *lm, struct lm_run *r, const json_t *list,
                                 const struct tensor *tokens, struct replaced *v)
{
    int64_t T = v->T, d = lm_d_model(lm), vocab = lm_vocab(lm);
    float *logits = xmalloc((size_t)vocab * sizeof *logits);
    int64_t *ids = xmalloc((size_t)T * sizeof *ids);
    size_t i, k;
    json_t *entry, *top;
    json_array_foreach(list, i, entry) {
        int64_t s = json_integer_value(json_object_get(entry, "sequence"));
        int64_t p = json_integer_value(json_object_get(entry, "position"));
        tensor_read_i64(tokens, s * T, T, ids);
        run_replaced(lm, r, ids, "blocks.2.hook_resid_pre", 0, v);
        lm_logits(r, v->final[0] + p * d, logits);
        json_array_foreach(json_object_get(entry, "top"), k, top) {
            int64_t token = json_integer_value(json_object_get(top, "token"));
            double want = json_number_value(json_object_get(top, "logit"));
            assert_true(fabs((double)logits[token] - want) < 1e-4 * fmax(1, fabs(want)));
        }
        double sum = 0;
        for (int64_t j = 0; j < vocab; j++)
            sum += exp((double)logits[j]);
        double want = json_number_value(json_object_get(entry, "log_sum_exp"));
        assert_true(fabs(log(sum) - want) < 1e-4);
    }
    free(logits), free(ids);
}

static void trained_model_agrees(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    char path[512];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/A/model", fixtures());
    struct lm *lm = open_good(path);
    snprintf(path, sizeof path, "%s/expected/A_lm.json", fixtures());
    json_t *want = json_load_path(path, JSON_MAX_TEXT, JSON_LAST_WINS, &err);
    assert_non_null(want);
    snprintf(path, sizeof path, "%s/A/tokens.npy", fixtures());
    struct container *c = container_open(path, NULL, &err);
    const struct tensor *tokens = container_at(c, 0);
    int64_t T = tokens->shape[1], *ids = xmalloc((size_t)T * sizeof *ids);
    struct lm_run *r = lm_run_new(lm, T, NULL, &err);
    struct replaced v;
    replaced_init(&v, lm, T);
    for (int64_t s = 0; s < 8; s++) {
        tensor_read_i64(tokens, s * T, T, ids);
        run_replaced(lm, r, ids, "blocks.2.hook_resid_pre", 0, &v);
        double sum = 0;
        for (int64_t p = 0; p < T - 1; p++)
            sum += v.ce[0][p];
        double mean = real_at(json_object_get(want, "ce_per_sequence_first_8"), (size_t)s);
        assert_true(fabs(sum / (double)(T - 1) - mean) < 1e-4);
        for (int64_t p = 0; s == 0 && p < T - 1; p++)
            assert_true(fabs(v.ce[0][p] -
                             real_at(json_object_get(want, "ce_per_position_sequence_0"),
                                     (size_t)p)) < 1e-4);
    }
    check_fixture_logits(lm, r, json_object_get(want, "logits"), tokens, &v);
    replaced_finish(&v);
    lm_run_free(r);
    free(ids);
    container_close(c);
    json_decref(want);
    lm_close(lm);
}

/* ---- bad models */

#define TINY_CONFIG                                                                        \
    "\"model_type\":\"gpt2\",\"n_embd\":4,\"n_head\":2,\"n_layer\":1,\"n_positions\":8,"   \
    "\"vocab_size\":5"

#define NEOX                                                                               \
    "\"model_type\":\"gpt_neox\",\"hidden_size\":4,\"num_hidden_layers\":1,"               \
    "\"intermediate_size\":8,\"vocab_size\":5"
#define RMS                                                                                \
    "\"hidden_size\":4,\"num_hidden_layers\":2,\"num_attention_heads\":2,"                 \
    "\"intermediate_size\":8,\"vocab_size\":5"
#define LLAMA "\"model_type\":\"llama\"," RMS
#define GEMMA "\"model_type\":\"gemma2\"," RMS
#define ROPE(type, more) ",\"rope_scaling\":{\"rope_type\":\"" type "\"" more "}"

static const struct array tiny[] = {
    {"wte.weight", DTYPE_F32, 2, {5, 4}, NULL},
    {"wpe.weight", DTYPE_F32, 2, {8, 4}, NULL},
    {"ln_f.weight", DTYPE_F32, 1, {4}, NULL},
    {"ln_f.bias", DTYPE_F32, 1, {4}, NULL},
    {"h.0.ln_1.weight", DTYPE_F32, 1, {4}, NULL},
    {"h.0.ln_1.bias", DTYPE_F32, 1, {4}, NULL},
    {"h.0.ln_2.weight", DTYPE_F32, 1, {4}, NULL},
    {"h.0.ln_2.bias", DTYPE_F32, 1, {4}, NULL},
    {"h.0.attn.c_attn.weight", DTYPE_F32, 2, {4, 12}, NULL},
    {"h.0.attn.c_attn.bias", DTYPE_F32, 1, {12}, NULL},
    {"h.0.attn.c_proj.weight", DTYPE_F32, 2, {4, 4}, NULL},
    {"h.0.attn.c_proj.bias", DTYPE_F32, 1, {4}, NULL},
    {"h.0.mlp.c_fc.weight", DTYPE_F32, 2, {4, 16}, NULL},
    {"h.0.mlp.c_fc.bias", DTYPE_F32, 1, {16}, NULL},
    {"h.0.mlp.c_proj.weight", DTYPE_F32, 2, {16, 4}, NULL},
    {"h.0.mlp.c_proj.bias", DTYPE_F32, 1, {4}, NULL},
};
#define N_TINY ((int)(sizeof tiny / sizeof *tiny))

/* The tiny model with one tensor changed (or left out: name NULL) and this config. */
static const char *write_tiny(const char *config, int which, const struct array *change)
{
    struct array a[N_TINY];
    int n = 0;
    for (int i = 0; i < N_TINY; i++) {
        if (i == which && !change->name)
            continue;
        a[n++] = i == which ? *change : tiny[i];
    }
    const char *dir = make_dir("tiny");
    write_text("tiny/config.json", config);
    write_safetensors("tiny/model.safetensors", a, n);
    return dir;
}

static void assert_refused(const char *dir, enum err_code code, const char *part)
{
    struct err err = {0};
    struct lm *lm = lm_open(dir, NULL, &err);
    if (lm)
        fail_msg("opened, but should say '%s'", part);
    if (err.code != code || !strstr(err.msg, part))
        fail_msg("code %d: '%s', expected code %d: '%s'", (int)err.code, err.msg, (int)code,
                 part);
    assert_int_equal(strncmp(err.msg, test_dir(), strlen(test_dir())), 0);
}

static void bad_models_are_refused(void **state)
{
    (void)state;
    static const struct array none = {0};
    static const struct {
        const char *config;
        int which;
        struct array change;
        enum err_code code;
        const char *part;
    } cases[] = {
        {"{" TINY_CONFIG "}", 8, {"h.0.attn.c_attn.weight", DTYPE_F32, 2, {12, 4}, NULL},
         ERR_SHAPE, "'h.0.attn.c_attn.weight' is transposed (found [12, 4], expected [4, 12])"},
        {"{" TINY_CONFIG "}", 12, {NULL}, ERR_MISSING, "'h.0.mlp.c_fc.weight' is missing"},
        {"{" TINY_CONFIG "}", 13, {NULL}, ERR_MISSING, "'h.0.mlp.c_fc.bias' is missing"},
        {"{" TINY_CONFIG "}", 0, {"wte.weight", DTYPE_F32, 2, {6, 4}, NULL}, ERR_SHAPE,
         "'wte.weight' has another shape than config.json says (found [6, 4], expected "
         "[5, 4])"},
        {"{" TINY_CONFIG "}", 2, {"ln_f.weight", DTYPE_F32, 2, {2, 2}, NULL}, ERR_SHAPE,
         "(found [2, 2], expected [4])"},
        {"{" TINY_CONFIG "}", 10, {"h.0.attn.c_proj.weight", DTYPE_I32, 2, {4, 4}, NULL},
         ERR_UNSUPPORTED, "found int32"},
        {"{" TINY_CONFIG ",\"n_head\":3}", -1, {NULL}, ERR_SHAPE, "does not divide 'n_embd'"},
        {"{" TINY_CONFIG ",\"n_layer\":0}", -1, {NULL}, ERR_RANGE, "'n_layer'"},
        {"{" TINY_CONFIG ",\"n_layer\":1000000000}", -1, {NULL}, ERR_RANGE, "'n_layer'"},
        {"{" TINY_CONFIG ",\"vocab_size\":\"x\"}", -1, {NULL}, ERR_FORMAT, "'vocab_size'"},
        {"{" TINY_CONFIG ",\"layer_norm_epsilon\":NaN}", -1, {NULL}, ERR_NONE, ""},
        {"{" TINY_CONFIG ",\"layer_norm_epsilon\":-1}", -1, {NULL}, ERR_RANGE,
         "'layer_norm_epsilon'"},
        {"{" TINY_CONFIG ",\"activation_function\":\"snake\"}", -1, {NULL}, ERR_UNSUPPORTED,
         "found \"snake\""},
        {"{" TINY_CONFIG ",\"tie_word_embeddings\":false}", -1, {NULL}, ERR_MISSING,
         "'lm_head.weight' is missing"},
        {"{\"model_type\":\"mamba\"}", -1, {NULL}, ERR_UNSUPPORTED, "found \"mamba\""},
        {"{}", -1, {NULL}, ERR_UNSUPPORTED, "found \"no model_type\""},
        {"{\"model_type\":\"gpt2\"}", -1, {NULL}, ERR_MISSING, "'vocab_size' is missing"},
        {"[1]", -1, {NULL}, ERR_FORMAT, "config.json"},
        {"{" NEOX ",\"num_attention_heads\":3}", -1, {NULL}, ERR_SHAPE,
         "'num_attention_heads' does not divide 'hidden_size' (found 3 and 4"},
        {"{" NEOX ",\"num_attention_heads\":2,\"rotary_pct\":0}", -1, {NULL}, ERR_RANGE,
         "'rotary_pct'"},
        {"{" LLAMA "}", -1, {NULL}, ERR_MISSING, "'embed_tokens.weight' is missing"},
        {"{" LLAMA ",\"num_hidden_layers\":1025}", -1, {NULL}, ERR_RANGE,
         "'num_hidden_layers' is out of range (found 1025, expected 1 to 1024)"},
        {"{" LLAMA ",\"num_hidden_layers\":-1}", -1, {NULL}, ERR_RANGE,
         "'num_hidden_layers'"},
        {"{" LLAMA ",\"num_key_value_heads\":3}", -1, {NULL}, ERR_SHAPE,
         "'num_key_value_heads' does not divide 'num_attention_heads'"},
        {"{" LLAMA ",\"head_dim\":3}", -1, {NULL}, ERR_SHAPE, "rotary dimensions (found 3"},
        {"{" LLAMA ",\"head_dim\":1048576,\"num_attention_heads\":1048576}", -1, {NULL},
         ERR_RANGE, "heads are too large"},
        {"{" LLAMA ",\"rope_theta\":\"x\"}", -1, {NULL}, ERR_FORMAT, "'rope_theta'"},
        {"{" LLAMA ROPE("longrope", "") "}", -1, {NULL}, ERR_UNSUPPORTED,
         "found \"longrope\", expected default, linear, dynamic, llama3 or yarn"},
        {"{" LLAMA ROPE("linear", ",\"factor\":0") "}", -1, {NULL}, ERR_RANGE, "'factor'"},
        {"{" LLAMA ROPE("llama3", ",\"low_freq_factor\":4") "}", -1, {NULL}, ERR_RANGE,
         "'high_freq_factor' is too small"},
        {"{" LLAMA ROPE("yarn", ",\"attention_factor\":-1") "}", -1, {NULL}, ERR_RANGE,
         "'attention_factor'"},
        {"{" GEMMA ",\"layer_types\":[\"full_attention\"]}", -1, {NULL}, ERR_SHAPE,
         "'layer_types' is not a list of all layers (found 1, expected 2)"},
        {"{" GEMMA ",\"layer_types\":[\"full_attention\",\"chunked\"]}", -1, {NULL},
         ERR_UNSUPPORTED, "found \"chunked\", expected sliding_attention"},
        {"{" GEMMA ",\"sliding_window\":0}", -1, {NULL}, ERR_RANGE, "'sliding_window'"},
        {"{" GEMMA ",\"final_logit_softcapping\":-30}", -1, {NULL}, ERR_RANGE,
         "'final_logit_softcapping'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *dir = write_tiny(cases[i].config, cases[i].which, &cases[i].change);
        if (cases[i].code == ERR_NONE)
            lm_close(open_good(dir)); /* NaN is no value: the default counts */
        else
            assert_refused(dir, cases[i].code, cases[i].part);
    }
    const char *dir = write_tiny("{" TINY_CONFIG "}", -1, &none);
    lm_close(open_good(dir));
    unlink(test_path("tiny/model.safetensors"));
    assert_refused(dir, ERR_MISSING, "expected model.safetensors");
    write_text("tiny/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../x\"}}");
    assert_refused(dir, ERR_FORMAT, "expected a name beside this");
    write_text("tiny/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"x\"}}");
    assert_refused(dir, ERR_OS, "/x");
    write_text("tiny/model.safetensors.index.json", "{}");
    assert_refused(dir, ERR_FORMAT, "'weight_map' is missing");
    unlink(test_path("tiny/config.json"));
    assert_refused(dir, ERR_OS, "config.json");
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    static const struct array none = {0};
    static const struct {
        const char *name, *part;
        enum err_code code;
    } hooks[] = {
        {"blocks.1.hook_resid_pre", "expected a layer of 0 to 0", ERR_RANGE},
        {"blocks.99999999999.hook_resid_pre", "hook_mlp_out", ERR_UNSUPPORTED},
        {"blocks.-1.hook_resid_pre", "expected a layer of 0 to 0", ERR_RANGE},
        {"blocks.0.attn.hook_z", "found blocks.0.attn.hook_z", ERR_UNSUPPORTED},
        {"blocks.0.hook_resid_prex", "hook_resid_post", ERR_UNSUPPORTED},
        {"", "expected blocks.L.", ERR_UNSUPPORTED},
    };
    struct lm *lm = open_good(write_tiny("{" TINY_CONFIG "}", -1, &none));
    struct err err = {0};
    struct lm_hook hook;
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
        assert_false(lm_hook_parse(lm, hooks[i].name, &hook, &err));
        assert_int_equal(err.code, hooks[i].code);
        assert_non_null(strstr(err.msg, hooks[i].part));
    }
    static const int64_t good[] = {0, 4}, low[] = {0, -1}, high[] = {5};
    assert_true(lm_check_ids(lm, "tokens.npy", good, 2, &err));
    assert_false(lm_check_ids(lm, "tokens.npy", low, 2, &err));
    assert_false(lm_check_ids(lm, "tokens.npy", high, 1, &err));
    assert_non_null(strstr(err.msg, "tokens.npy: token id out of the vocabulary"));
    assert_true(lm_check_length(lm, "tokens.npy", 8, &err));
    assert_false(lm_check_length(lm, "tokens.npy", 9, &err));
    lm_close(lm);
    lm = open_good(ref_path("neox", ""));
    assert_false(lm_hook_parse(lm, "blocks.0.hook_resid_mid", &hook, &err));
    assert_non_null(strstr(err.msg, "parallel"));
    lm_close(lm);
}

static void damaged_weights_are_named(void **state)
{
    (void)state;
    static const float values[16] = {[5] = NAN, [9] = INFINITY};
    static const struct array bad = {"h.0.attn.c_proj.weight", DTYPE_F32, 2, {4, 4}, values};
    struct lm *lm = open_good(write_tiny("{" TINY_CONFIG "}", 10, &bad));
    struct err err = {0};
    assert_false(lm_check_finite(lm, NULL, &err));
    assert_non_null(strstr(err.msg, "tiny/model.safetensors: tensor 'h.0.attn.c_proj.weight'"
                                    " is damaged (found 2 values"));
    assert_non_null(strstr(err.msg, "at index 5"));
    lm_close(lm);
    lm = open_good(ref_path("neox", "")); /* its masks hold -inf and are no weights */
    assert_true(lm_check_finite(lm, NULL, &err));
    lm_close(lm);
}

/* Bytes of header and configuration changed at random: never a crash. */
static void hostile_files_never_crash(void **state)
{
    (void)state;
    static const struct array none = {0};
    static const char config[] = "{" TINY_CONFIG ",\"n_inner\":16}";
    const char *dir = write_tiny(config, -1, &none);
    FILE *f = fopen(test_path("tiny/model.safetensors"), "rb");
    unsigned char good[8192], bad[2 * sizeof good];
    size_t n = fread(good, 1, sizeof good, f), opened = 0;
    fclose(f);
    uint64_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        struct err err = {0};
        if (i % 2) {
            size_t m = mutate((const unsigned char *)config, sizeof config - 1, bad, &seed);
            write_bytes("tiny/config.json", bad, m);
        } else {
            size_t m = mutate(good, n, bad, &seed);
            write_bytes("tiny/model.safetensors", bad, m);
        }
        struct lm *lm = lm_open(dir, NULL, &err);
        opened += lm != NULL;
        assert_true(lm || (err.code && err.msg[0]));
        lm_close(lm);
        write_text("tiny/config.json", config);
        write_bytes("tiny/model.safetensors", good, n);
    }
    assert_true(opened > 0 && opened < 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_agree_with_the_reference),
        cmocka_unit_test(trained_model_agrees),
        cmocka_unit_test(bad_models_are_refused),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(damaged_weights_are_named),
        cmocka_unit_test(hostile_files_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
