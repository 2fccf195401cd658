/* test_sae.c - what checkpoints of every dialect mean, against a reference in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/json.h"
#include "model/sae.h"
#include "arrays.h"

#define D   6  /* d_in */
#define F   10 /* d_sae */
#define K   3
#define N_X 40

/* The weights of all the small checkpoints here. */
static float W_enc[D * F], W_dec[F * D], b_enc[F], b_dec[D], threshold[F], log_threshold[F],
    factor[F], r_mag[F], b_mag[F], ones[F], topk_threshold[1] = {0.75f}, x_all[N_X * D];

static const struct array arrays[] = {
    {"W_enc", DTYPE_F32, 2, {D, F}, W_enc},
    {"W_dec", DTYPE_F32, 2, {F, D}, W_dec},
    {"b_dec", DTYPE_F32, 1, {D}, b_dec},
    {"b_enc", DTYPE_F32, 1, {F}, b_enc},
    {"threshold", DTYPE_F32, 1, {F}, threshold},
    {"log_threshold", DTYPE_F32, 1, {F}, log_threshold},
    {"topk_threshold", DTYPE_F64, 0, {0}, topk_threshold},
    {"b_gate", DTYPE_F32, 1, {F}, b_enc},
    {"r_mag", DTYPE_F32, 1, {F}, r_mag},
    {"b_mag", DTYPE_F32, 1, {F}, b_mag},
    {"finetuning_scaling_factor", DTYPE_F32, 1, {F}, factor},
    {"scaling_factor", DTYPE_F32, 1, {F}, ones},
};
#define N_ARRAYS (sizeof arrays / sizeof *arrays)

static void fill_weights(void)
{
    fill_random(W_enc, D * F, 1);
    fill_random(W_dec, F * D, 2);
    fill_random(b_enc, F, 3);
    fill_random(b_dec, D, 4);
    fill_random(r_mag, F, 6);
    fill_random(b_mag, F, 7);
    fill_random(x_all, N_X * D, 8);
    for (int j = 0; j < F; j++) {
        threshold[j] = 0.25f * (float)(j % 5);
        log_threshold[j] = threshold[j] - 0.5f;
        factor[j] = 1 + 0.25f * (float)(j % 3);
        ones[j] = 1;
    }
}

/* Write a SAELens checkpoint with these tensors (names, space separated) and open it. */
static struct sae *open_saelens(const char *cfg, const char *names,
                                const struct sae_options *options, struct err *err)
{
    struct array chosen[N_ARRAYS];
    int n = 0;
    for (size_t i = 0; i < N_ARRAYS; i++) {
        char word[64], list[512];
        snprintf(word, sizeof word, " %s ", arrays[i].name);
        snprintf(list, sizeof list, " %s ", names);
        if (strstr(list, word))
            chosen[n++] = arrays[i];
    }
    const char *dir = make_dir("sae");
    write_safetensors("sae/sae_weights.safetensors", chosen, n);
    write_text("sae/cfg.json", cfg);
    return sae_open(dir, options, NULL, err);
}

/* --- the reference, in double, from the formulas alone --- */

enum { STANDARD, PROLU, JUMPRELU, TOPK, ABSTOPK, GATED };

struct meaning {
    int kind;
    bool subtracts, rescales, scaled_decoder;
    enum sae_norm norm;
    const float *threshold;
    double constant_threshold, x_factor;
    bool exp_threshold, folded, saturates;
};

static double decoder_norm(int j)
{
    double sum = 0;
    for (int c = 0; c < D; c++)
        sum += (double)W_dec[j * D + c] * W_dec[j * D + c];
    return sqrt(sum);
}

/* n(x) and what undoes it. */
static void reference_norm(const struct meaning *m, const float *x, double *u,
                           double *scale, double *shift)
{
    double mean = 0, squares = 0, var = 0;
    for (int c = 0; c < D; c++) {
        mean += x[c] / (double)D;
        squares += (double)x[c] * x[c];
    }
    for (int c = 0; c < D; c++)
        var += (x[c] - mean) * (x[c] - mean) / (D - 1);
    *scale = 1;
    *shift = 0;
    for (int c = 0; c < D; c++)
        u[c] = x[c];
    if (m->norm == SAE_NORM_CONSTANT)
        *scale = sqrt(squares / D);
    if (m->norm == SAE_NORM_FACTOR)
        *scale = 1 / m->x_factor;
    if (m->norm == SAE_NORM_LAYER) {
        *scale = sqrt(var);
        *shift = mean;
    }
    for (int c = 0; c < D; c++)
        u[c] = (u[c] - *shift) / (*scale + (m->norm == SAE_NORM_LAYER ? 1e-5 : 0));
}

static double reference_activation(const struct meaning *m, const double *u, int j)
{
    double p = 0, g = m->rescales || m->folded ? decoder_norm(j) : 1;
    for (int c = 0; c < D; c++)
        p += (u[c] - (m->subtracts ? b_dec[c] : 0)) * W_enc[c * F + j];
    double h = p + b_enc[j];
    double limit = m->threshold ? m->threshold[j] : m->constant_threshold;
    if (m->exp_threshold)
        limit = exp(limit);
    if (m->folded)
        limit *= g;
    switch (m->kind) {
    case PROLU: return p > 0 && p + b_enc[j] > 0 ? p * g : 0;
    case JUMPRELU: return h * g > limit && h > 0 ? h * g : 0;
    case TOPK:
    case ABSTOPK: return h * g;
    case GATED: return p + b_enc[j] > 0 ? fmax(0, p * exp(r_mag[j]) + b_mag[j]) * g : 0;
    default: return (m->saturates ? tanh(fmax(0, h)) : fmax(0, h)) * g;
    }
}

/* Keep the K largest (no two are equal here), then relu; or those of greatest magnitude. */
static void reference_topk(double *f, bool is_signed)
{
    double key[F];
    for (int j = 0; j < F; j++)
        key[j] = is_signed ? fabs(f[j]) : f[j];
    for (int j = 0; j < F; j++) {
        int above = 0;
        for (int i = 0; i < F; i++)
            above += key[i] > key[j];
        f[j] = above < K && key[j] > 0 ? f[j] : 0;
    }
}

static void reference(const struct meaning *m, const float *x, double *f, double *y)
{
    double u[D], scale, shift;
    reference_norm(m, x, u, &scale, &shift);
    for (int j = 0; j < F; j++)
        f[j] = reference_activation(m, u, j);
    if (m->kind == TOPK || m->kind == ABSTOPK)
        reference_topk(f, m->kind == ABSTOPK);
    for (int c = 0; c < D; c++) {
        y[c] = b_dec[c];
        for (int j = 0; j < F; j++) {
            double g = m->rescales || m->folded ? decoder_norm(j) : 1;
            y[c] += f[j] * (m->scaled_decoder ? factor[j] : 1) * W_dec[j * D + c] / g;
        }
        y[c] = y[c] * scale + shift;
    }
}

/* --- the same by way of struct sae --- */

static void by_sae(const struct sae *sae, const float *x, float *f, double *y)
{
    float u[D], scale, shift, row[D];
    assert_true(sae_input(sae, x, u, &scale, &shift));
    double wide[F];
    for (int j = 0; j < F; j++) {
        mat_read_rows(&sae->W_enc, j, 1, row);
        float m = 0;
        for (int c = 0; c < D; c++)
            m += row[c] * u[c];
        f[j] = sae->arch->activate(sae, j, m);
        float level = sae->arch->level(sae, j);
        /* At the level and below, it is off; rounding may move it by a few ulps. */
        float below = fminf(m, level - 1e-4f * (1 + fabsf(level)));
        if (isfinite(level))
            assert_true(sae->arch->activate(sae, j, below) <= 0);
        else
            assert_true(f[j] == 0);
        wide[j] = f[j];
    }
    if (sae->arch->selects) {
        assert_int_equal(sae->k, K);
        reference_topk(wide, sae->is_signed);
    }
    for (int c = 0; c < D; c++)
        y[c] = sae->b_dec[c];
    for (int j = 0; j < F; j++) {
        f[j] = (float)wide[j];
        mat_read_rows(&sae->W_dec, j, 1, row);
        for (int c = 0; c < D; c++)
            y[c] += wide[j] * (sae->out_scale ? sae->out_scale[j] : 1) * row[c];
    }
    for (int c = 0; c < D; c++)
        y[c] = y[c] * scale + shift;
}

/* All numbers are of order 1 to 30 and sums have at most 10 terms: f32 keeps 1e-5. */
static void assert_means(const struct sae *sae, const struct meaning *m, const char *what)
{
    for (int t = 0; t < N_X; t++) {
        float f[F];
        double y[D], f_ref[F], y_ref[D];
        reference(m, x_all + t * D, f_ref, y_ref);
        by_sae(sae, x_all + t * D, f, y);
        for (int j = 0; j < F; j++)
            if (fabs(f[j] - f_ref[j]) > 2e-5 * (1 + fabs(f_ref[j])))
                fail_msg("%s: token %d, feature %d: %g, expected %g", what, t, j, f[j],
                         f_ref[j]);
        for (int c = 0; c < D; c++)
            if (fabs(y[c] - y_ref[c]) > 1e-4 * (1 + fabs(y_ref[c])))
                fail_msg("%s: token %d, dimension %d: %g, expected %g", what, t, c, y[c],
                         y_ref[c]);
    }
}

#define BASE "W_enc W_dec b_dec b_enc"

struct option_case {
    const char *cfg, *tensors;
    struct meaning meaning;
    int fold;
    const char *architecture;
};

static const struct option_case options[] = {
    {"{}", BASE, {.subtracts = true}, 0, "standard"},
    {"{\"architecture\":\"standard\",\"apply_b_dec_to_input\":false}", BASE, {0}, 0,
     "standard"},
    {"{\"architecture\":\"prolu\"}", BASE, {.kind = PROLU, .subtracts = true}, 0, "prolu"},
    {"{\"architecture\":\"prolu\",\"apply_b_dec_to_input\":false}", BASE, {.kind = PROLU}, 0,
     "prolu"},
    {"{\"architecture\":\"jumprelu\"}", BASE " threshold",
     {.kind = JUMPRELU, .subtracts = true, .threshold = threshold}, 0, "jumprelu"},
    {"{\"architecture\":\"jumprelu\",\"apply_b_dec_to_input\":false}", BASE " log_threshold",
     {.kind = JUMPRELU, .threshold = log_threshold, .exp_threshold = true}, 0, "jumprelu"},
    {"{\"architecture\":\"gated\"}", "W_enc W_dec b_dec b_gate r_mag b_mag",
     {.kind = GATED, .subtracts = true}, 0, "gated"},
    {"{\"architecture\":\"topk\",\"k\":3}", BASE, {.kind = TOPK, .subtracts = true}, 0,
     "topk"},
    {"{\"architecture\":\"topk\",\"k\":3,\"rescale_acts_by_decoder_norm\":true}", BASE,
     {.kind = TOPK, .subtracts = true, .rescales = true}, 0, "topk"},
    {"{\"activation_fn_str\":\"topk\",\"activation_fn_kwargs\":{\"k\":3}}", BASE,
     {.kind = TOPK, .subtracts = true}, 0, "topk"},
    {"{\"architecture\":\"standard\",\"activation_fn\":\"topk\","
     "\"activation_fn_kwargs\":{\"k\":3.0}}", BASE, {.kind = TOPK, .subtracts = true}, 0,
     "topk"},
    {"{\"architecture\":\"batchtopk\",\"k\":3}", BASE " topk_threshold",
     {.kind = JUMPRELU, .subtracts = true, .rescales = true, .constant_threshold = 0.75}, 0,
     "batchtopk"},
    {"{\"architecture\":\"matryoshka_batchtopk\",\"k\":2.5,"
     "\"rescale_acts_by_decoder_norm\":false,\"matryoshka_widths\":[5,10]}",
     BASE " topk_threshold",
     {.kind = JUMPRELU, .subtracts = true, .constant_threshold = 0.75}, 0, "matryoshka"},
    {"{\"architecture\":\"batchtopk\",\"k\":3,\"rescale_acts_by_decoder_norm\":false}", BASE,
     {.kind = TOPK, .subtracts = true}, 0, "topk"},
    {"{\"normalize_activations\":\"constant_norm_rescale\"}", BASE,
     {.subtracts = true, .norm = SAE_NORM_CONSTANT}, 0, "standard"},
    {"{\"normalize_activations\":\"layer_norm\"}", BASE,
     {.subtracts = true, .norm = SAE_NORM_LAYER}, 0, "standard"},
    {"{\"normalize_activations\":\"layer_norm\",\"apply_b_dec_to_input\":false}", BASE,
     {.norm = SAE_NORM_LAYER}, 0, "standard"},
    {"{\"finetuning_scaling_factor\":true}", BASE, {.subtracts = true}, 0, "standard"},
    {"{\"activation_fn_str\":\"tanh-relu\"}", BASE, {.subtracts = true, .saturates = true}, 0,
     "standard"},
    {"{\"activation_fn_str\":\"tanh-relu\"}", BASE,
     {.subtracts = true, .saturates = true, .folded = true}, 1, "standard"},
    {"{\"architecture\":\"abstopk\",\"k\":3}", BASE, {.kind = ABSTOPK, .subtracts = true}, 0,
     "topk"},
    {"{\"architecture\":\"abstopk\",\"k\":3,\"rescale_acts_by_decoder_norm\":true}", BASE,
     {.kind = ABSTOPK, .subtracts = true, .rescales = true}, 0, "topk"},
    {"{\"normalize_activations\":null}", BASE, {.subtracts = true}, 0, "standard"},
    {"{\"normalize_activations\":false}", BASE, {.subtracts = true}, 0, "standard"},
    {"{\"normalize_activations\":true}", BASE, {.subtracts = true}, 0, "standard"},
    {"{\"finetuning_scaling_factor\":true}", BASE " finetuning_scaling_factor",
     {.subtracts = true, .scaled_decoder = true}, 0, "standard"},
    {"{\"finetuning_scaling_factor\":false}", BASE " scaling_factor", {.subtracts = true}, 0,
     "standard"},
    {"{\"hook_point\":\"blocks.1.hook_z\",\"d_sae\":null,\"l1_coefficient\":NaN}", BASE,
     {.subtracts = true}, 0, "standard"},
    {"{}", BASE, {.subtracts = true, .folded = true}, 1, "standard"},
    {"{\"architecture\":\"prolu\"}", BASE,
     {.kind = PROLU, .subtracts = true, .folded = true}, 1, "prolu"},
    {"{\"architecture\":\"jumprelu\"}", BASE " threshold",
     {.kind = JUMPRELU, .subtracts = true, .threshold = threshold, .folded = true}, 1,
     "jumprelu"},
    {"{\"architecture\":\"gated\"}", "W_enc W_dec b_dec b_gate r_mag b_mag",
     {.kind = GATED, .subtracts = true, .folded = true}, 1, "gated"},
    {"{\"finetuning_scaling_factor\":true}", BASE " finetuning_scaling_factor",
     {.subtracts = true, .scaled_decoder = true, .folded = true}, 1, "standard"},
    {"{\"architecture\":\"topk\",\"k\":3,\"rescale_acts_by_decoder_norm\":true}", BASE,
     {.kind = TOPK, .subtracts = true, .rescales = true}, 1, "topk"},
};

static void every_option_of_saelens_means_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const struct option_case *c = &options[i];
        struct err err = {0};
        struct sae_options fold = {.fold = c->fold};
        struct sae *sae = open_saelens(c->cfg, c->tensors, &fold, &err);
        if (!sae)
            fail_msg("%s: %s", c->cfg, err.msg);
        assert_string_equal(sae->arch->name, c->architecture);
        assert_means(sae, &c->meaning, c->cfg);
        sae_close(sae);
    }
}

static void parameters_that_the_architecture_has_no_use_for_are_told(void **state)
{
    static const struct {
        const char *cfg, *tensors, *note; /* NULL: none */
    } cases[] = {
        {"{}", BASE " threshold", "the file has 'threshold', which the architecture of cfg.json "
                                  "has no use for: is it another one?"},
        {"{\"architecture\":\"topk\",\"k\":3}", BASE " log_threshold", "the file has "
         "'log_threshold', which the architecture of cfg.json has no use for: is it another one?"},
        {"{\"architecture\":\"jumprelu\"}", BASE " threshold r_mag", "the file has 'r_mag', which "
         "the architecture of cfg.json has no use for: is it another one?"},
        {"{\"architecture\":\"jumprelu\"}", BASE " threshold", NULL},
        {"{\"architecture\":\"gated\"}", "W_enc W_dec b_dec b_gate r_mag b_mag", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sae *sae = open_saelens(cases[i].cfg, cases[i].tensors, NULL, NULL);
        assert_non_null(sae);
        assert_int_equal(sae->n_notes, cases[i].note != NULL);
        if (cases[i].note)
            assert_string_equal(sae->notes[0].text, cases[i].note);
        sae_close(sae);
    }
}

static void the_factor_of_an_interrupted_run_is_applied(void **state)
{
    (void)state;
    struct meaning m = {.subtracts = true, .norm = SAE_NORM_FACTOR, .x_factor = 0.375};
    make_dir("sae");
    write_text("sae/activation_scaler.json", "{\"scaling_factor\": 0.375}");
    struct sae *sae = open_saelens(
        "{\"normalize_activations\":\"expected_average_only_in\"}", BASE, NULL, NULL);
    assert_non_null(sae);
    assert_means(sae, &m, "activation_scaler.json");
    sae_close(sae);
    write_text("sae/activation_scaler.json", "{\"scaling_factor\": null}");
    sae = open_saelens("{\"normalize_activations\":\"expected_average_only_in\"}", BASE,
                       NULL, NULL);
    assert_non_null(sae);
    assert_int_equal(sae->norm, SAE_NORM_NONE);
    assert_int_equal(sae->n_notes, 1);
    sae_close(sae);
    struct err err = {0};
    write_text("sae/activation_scaler.json", "{\"scaling_factor\": -1}");
    assert_null(open_saelens("{}", BASE, NULL, &err));
    assert_non_null(strstr(err.msg, "activation_scaler.json: bad scaling_factor (found -1"));
    unlink(test_path("sae/activation_scaler.json"));
}

struct refusal {
    const char *cfg, *tensors;
    enum err_code code;
    const char *says; /* somewhere in the message */
};

static const struct refusal refusals[] = {
    {"{\"architecture\":\"crosscoder\"}", BASE, ERR_UNSUPPORTED,
     "cfg.json: architecture is not read (found \"crosscoder\", expected standard"},
    {"{\"architecture\":7}", BASE, ERR_FORMAT, "cfg.json: bad 'architecture' (found 7"},
    {"{\"activation_fn_str\":\"gelu\"}", BASE, ERR_UNSUPPORTED,
     "cfg.json: activation_fn_str is not read (found \"gelu\", expected relu, topk or tanh-relu)"},
    {"{\"activation_fn\":\"tanh-relu\",\"architecture\":\"jumprelu\"}", BASE, ERR_UNSUPPORTED,
     "cfg.json: architecture is not read (found \"jumprelu\", expected standard, as the "
     "activation function is tanh-relu)"},
    {"{\"architecture\":\"temporal\"}", BASE, ERR_UNSUPPORTED,
     "cfg.json: architecture is not read (found \"temporal\", expected standard, gated, jumprelu, "
     "topk, abstopk, batchtopk, matryoshka_batchtopk, prolu or a transcoder)"},
    {"{\"normalize_activations\":\"batch\"}", BASE, ERR_UNSUPPORTED,
     "cfg.json: normalize_activations is not read (found \"batch\""},
    {"{\"normalize_activations\":3}", BASE, ERR_UNSUPPORTED,
     "cfg.json: normalize_activations is not read (found 3"},
    {"{\"reshape_activations\":\"hook_q\"}", BASE, ERR_UNSUPPORTED,
     "cfg.json: reshape_activations is not read (found \"hook_q\""},
    {"{\"dtype\":\"float8\"}", BASE, ERR_UNSUPPORTED, "cfg.json: dtype is not read (found \"float8\""},
    {"{\"apply_b_dec_to_input\":\"yes\"}", BASE, ERR_FORMAT,
     "cfg.json: bad 'apply_b_dec_to_input' (found \"yes\""},
    {"{\"architecture\":\"topk\"}", BASE, ERR_MISSING, "cfg.json: no k (found none"},
    {"{\"architecture\":\"topk\",\"k\":1.5}", BASE, ERR_RANGE, "bad k (found 1.5, expected a whole"},
    {"{\"architecture\":\"topk\",\"k\":11}", BASE, ERR_RANGE, "bad k (found 11, expected 1 to d_sae"},
    {"{\"architecture\":\"topk\",\"k\":-1}", BASE, ERR_RANGE, "bad k (found -1, "},
    {"{\"architecture\":\"topk\",\"k\":1e300}", BASE, ERR_RANGE, "bad k (found 1e+300, "},
    {"{\"architecture\":\"jumprelu\"}", BASE, ERR_MISSING, "there is no 'threshold'"},
    {"{\"architecture\":\"gated\"}", BASE, ERR_MISSING, "there is no 'b_gate'"},
    {"{}", "W_enc W_dec b_dec", ERR_MISSING, "there is no 'b_enc'"},
    {"{}", "W_enc W_dec b_enc", ERR_MISSING, "there is no b_dec"},
    {"{}", "W_enc b_enc b_dec", ERR_MISSING, "there is no W_dec"},
    {"{}", "W_dec b_enc b_dec", ERR_MISSING, "there is no W_enc"},
    {"{}", BASE " finetuning_scaling_factor", ERR_FORMAT, "found other values than 1"},
    {"[1]", BASE, ERR_FORMAT, "cfg.json"},
    {"{", BASE, ERR_FORMAT, "cfg.json: not JSON at line 1"},
    {"", BASE, ERR_FORMAT, "cfg.json"},
    {"{\"metadata\":[],\"k\":{},\"architecture\":\"topk\"}", BASE, ERR_FORMAT, "bad 'k' (found {}"},
};

static void what_is_not_read_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct err err = {0};
        struct sae *sae = open_saelens(refusals[i].cfg, refusals[i].tensors, NULL, &err);
        if (sae || err.code != refusals[i].code || !strstr(err.msg, refusals[i].says))
            fail_msg("%s: %s (code %d), expected '%s'", refusals[i].cfg,
                     sae ? "was opened" : err.msg, err.code, refusals[i].says);
        assert_memory_equal(err.msg, test_dir(), strlen(test_dir()));
    }
    struct err err = {0};
    struct sae_options fold = {.fold = 1};
    assert_null(open_saelens("{\"architecture\":\"topk\",\"k\":3}", BASE, &fold, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
}

static void shapes_that_do_not_fit_name_both_tensors(void **state)
{
    (void)state;
    static const struct {
        int64_t enc[2], dec[2], b_enc, b_dec;
        const char *says;
    } cases[] = {
        {{D, F}, {D, F}, F, D, "W_enc and W_dec do not fit (found [6, 10] and [6, 10]"},
        {{F, D}, {F, D}, F, D, "W_enc and W_dec do not fit (found [10, 6] and [10, 6]"},
        {{D, F}, {F, D - 1}, F, D, "W_enc and W_dec do not fit (found [6, 10] and [10, 5]"},
        {{D, F}, {F, D}, D, D, "b_enc has a wrong shape (found [6], expected [10])"},
        {{D, F}, {F, D}, F, F, "b_dec has a wrong shape (found [10], expected [6])"},
        {{0, F}, {F, 0}, F, 0, "W_enc has a wrong shape (found [0, 10], expected two"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct array a[] = {
            {"W_enc", DTYPE_F32, 2, {cases[i].enc[0], cases[i].enc[1]}, W_enc},
            {"W_dec", DTYPE_F32, 2, {cases[i].dec[0], cases[i].dec[1]}, W_dec},
            {"b_enc", DTYPE_F32, 1, {cases[i].b_enc}, NULL},
            {"b_dec", DTYPE_F32, 1, {cases[i].b_dec}, NULL}};
        const char *dir = make_dir("sae");
        write_safetensors("sae/sae_weights.safetensors", a, 4);
        write_text("sae/cfg.json", "{}");
        struct err err = {0};
        assert_null(sae_open(dir, NULL, NULL, &err));
        assert_int_equal(err.code, ERR_SHAPE);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s, expected '%s'", err.msg, cases[i].says);
    }
}

static void configurations_tell_what_they_know(void **state)
{
    (void)state;
    struct sae *sae = open_saelens(
        "{\"architecture\":\"standard\",\"d_in\":6,\"d_sae\":99,\"dtype\":\"torch.float16\","
        "\"shoe_size\":42,\"l1_coefficient\":0.25,"
        "\"metadata\":{\"hook_name\":\"blocks.3.hook_mlp_out\",\"prepend_bos\":false,"
        "\"mood\":1,\"model_from_pretrained_kwargs\":{\"center_writing_weights\":true}}}",
        BASE, NULL, NULL);
    assert_non_null(sae);
    assert_string_equal(sae->format, "saelens");
    assert_string_equal(sae->kind, "sae");
    assert_string_equal(sae->hook, "blocks.3.hook_mlp_out");
    assert_false(sae->prepend_bos);
    assert_true(sae->l1 == 0.25);
    assert_int_equal(sae->dtype, DTYPE_F32);
    assert_int_equal(sae->d_sae, F);
    assert_int_equal(json_array_size(sae->ignored), 2);
    assert_string_equal(json_string_value(json_array_get(sae->ignored, 0)), "shoe_size");
    assert_string_equal(json_string_value(json_array_get(sae->ignored, 1)), "mood");
    assert_int_equal(sae->n_notes, 3); /* d_sae, centred writing, dtype */
    assert_int_equal(json_integer_value(json_object_get(sae->config, "shoe_size")), 42);
    sae_close(sae);
}

/* Flat configurations of the versions before 6, as those libraries write them. */
static void older_versions_are_read(void **state)
{
    (void)state;
    static const char *const cfgs[] = {
        "{\"model_name\":\"gpt2\",\"hook_point\":\"blocks.2.hook_resid_pre\","
        "\"hook_point_layer\":2,\"hook_point_head_index\":null,\"d_in\":6,\"d_sae\":null,"
        "\"expansion_factor\":2,\"dtype\":\"torch.float32\",\"device\":\"cuda\","
        "\"l1_coefficient\":0.001,\"lp_norm\":1,\"use_ghost_grads\":false}",
        "{\"architecture\":\"standard\",\"d_in\":6,\"d_sae\":10,\"activation_fn_str\":\"relu\","
        "\"apply_b_dec_to_input\":true,\"finetuning_scaling_factor\":false,"
        "\"hook_name\":\"blocks.2.hook_resid_pre\",\"hook_layer\":2,\"prepend_bos\":true,"
        "\"normalize_activations\":\"none\",\"dtype\":\"float32\","
        "\"sae_lens_training_version\":\"3.22.0\"}",
        "{\"architecture\":\"standard\",\"activation_fn\":\"relu\",\"activation_fn_kwargs\":{},"
        "\"hook_name\":\"blocks.2.hook_resid_pre\",\"hook_layer\":2,\"hook_head_index\":null,"
        "\"model_from_pretrained_kwargs\":{},\"normalize_activations\":null,"
        "\"dtype\":\"float32\",\"seqpos_slice\":[null],\"neuronpedia_id\":null}",
    };
    struct meaning plain = {.subtracts = true};
    for (size_t i = 0; i < sizeof cfgs / sizeof *cfgs; i++) {
        struct err err = {0};
        struct sae *sae = open_saelens(cfgs[i], BASE, NULL, &err);
        if (!sae)
            fail_msg("%s", err.msg);
        assert_string_equal(sae->hook, "blocks.2.hook_resid_pre");
        assert_int_equal(json_array_size(sae->ignored), 0);
        assert_int_equal(sae->n_notes, 0);
        assert_means(sae, &plain, cfgs[i]);
        sae_close(sae);
    }
}

static void plain_arrays_need_no_configuration(void **state)
{
    (void)state;
    char dir[256];
    strcpy(dir, make_dir("npy"));
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "npy/%s.npy", arrays[i].name);
        write_npy(name, &arrays[i]);
    }
    struct meaning standard = {.subtracts = true};
    struct sae *sae = sae_open(dir, NULL, NULL, NULL);
    assert_non_null(sae);
    assert_string_equal(sae->format, "npy");
    assert_int_equal(sae->n_notes, 1);
    assert_means(sae, &standard, "npy");
    uint64_t id = sae_id(sae);
    sae_close(sae);

    sae = sae_open(test_path("npy/W_enc.npy"), NULL, NULL, NULL);
    assert_non_null(sae);
    assert_true(sae_id(sae) == id);
    sae_close(sae);

    write_npy("npy/threshold.npy", &arrays[4]);
    struct meaning jump = {.kind = JUMPRELU, .threshold = threshold};
    sae = sae_open(dir, NULL, NULL, NULL);
    assert_non_null(sae);
    assert_string_equal(sae->arch->name, "jumprelu");
    assert_means(sae, &jump, "npy with threshold");
    sae_close(sae);

    float three = K;
    struct array k = {"k", DTYPE_I64, 0, {0}, &three};
    struct meaning topk = {.kind = TOPK};
    write_npy("npy/k.npy", &k);
    write_text("npy/cfg.json", "{\"architecture\":\"topk\",\"apply_b_dec_to_input\":false}");
    struct err err = {0};
    sae = sae_open(dir, NULL, NULL, &err);
    if (!sae)
        fail_msg("%s", err.msg);
    assert_null(sae->threshold);
    assert_means(sae, &topk, "npy with k");
    assert_true(sae_id(sae) == id);
    sae_close(sae);
}

static void gemma_scope_2_does_not_subtract_b_dec(void **state)
{
    (void)state;
    struct array a[] = {{"w_enc", DTYPE_F32, 2, {D, F}, W_enc},
                        {"w_dec", DTYPE_F32, 2, {F, D}, W_dec},
                        {"b_enc", DTYPE_F32, 1, {F}, b_enc},
                        {"b_dec", DTYPE_F32, 1, {D}, b_dec},
                        {"threshold", DTYPE_F32, 1, {F}, threshold}};
    const char *dir = make_dir("gemma");
    write_safetensors("gemma/params.safetensors", a, 5);
    write_text("gemma/config.json",
               "{\"architecture\":\"jump_relu\",\"width\":10,\"l0\":3,\"new\":1,"
               "\"hf_hook_point_in\":\"model.layers.17.output\","
               "\"hf_hook_point_out\":\"model.layers.17.output\"}");
    struct meaning jump = {.kind = JUMPRELU, .threshold = threshold};
    struct sae *sae = sae_open(dir, NULL, NULL, NULL);
    assert_non_null(sae);
    assert_string_equal(sae->format, "gemma-scope");
    assert_string_equal(sae->hook, "blocks.17.hook_resid_post");
    assert_int_equal(json_array_size(sae->ignored), 1);
    assert_means(sae, &jump, "gemma");
    sae_close(sae);

    struct err err = {0};
    write_text("gemma/config.json", "{\"architecture\":\"relu\"}");
    assert_null(sae_open(dir, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "config.json: architecture is not read (found relu"));
    write_text("gemma/config.json",
               "{\"architecture\":\"jump_relu\",\"hf_hook_point_in\":\"a\","
               "\"hf_hook_point_out\":\"b\"}");
    sae = sae_open(dir, NULL, NULL, &err);
    assert_non_null(sae);
    assert_string_equal(sae->kind, "transcoder");
    assert_string_equal(sae->hook_out, "b");
    assert_false(sae_rebuilds_input(sae));
    sae_close(sae);
}

/* Version 1 tells where it belongs by its path alone. */
static void gemma_scope_1_is_read_from_npz(void **state)
{
    (void)state;
    static const struct {
        const char *dir, *hook;
    } cases[] = {
        {"gemma-scope-2b-pt-res/layer_12", "blocks.12.hook_resid_post"},
        {"gemma-scope-2b-pt-att/layer_3", "blocks.3.attn.hook_z"},
        {"gemma-scope-9b-it-mlp/layer_0", "blocks.0.hook_mlp_out"},
        {"gemma-scope-2b-pt-res/embedding", "hook_embed"},
        {"gemma-scope-2b-pt-transcoders/layer_3", "blocks.3.ln2.hook_normalized"},
        {"my-res-files/layer_7", ""},
    };
    struct meaning jump = {.kind = JUMPRELU, .threshold = threshold};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[128], file[160], *slash;
        snprintf(dir, sizeof dir, "%s/w", cases[i].dir);
        for (slash = dir; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = 0;
            make_dir(dir);
        }
        make_dir(dir);
        snprintf(file, sizeof file, "%s/params.npz", dir);
        write_npz(file, arrays, 5);
        struct err err = {0};
        struct sae *sae = sae_open(test_path(dir), NULL, NULL, &err);
        assert_non_null(sae);
        assert_string_equal(sae->kind, strstr(dir, "transcoders") ? "transcoder" : "sae");
        assert_string_equal(sae->hook ? sae->hook : "", cases[i].hook);
        assert_means(sae, &jump, "npz");
        sae_close(sae);
    }
}

/* Whatever the bytes: an SAE that can be used, or an error, and never anything else. */
static void damaged_checkpoints_never_crash(void **state)
{
    (void)state;
    char dir[256];
    strcpy(dir, make_dir("sae"));
    static const char good[] =
        "{\"architecture\":\"topk\",\"k\":3,\"normalize_activations\":\"layer_norm\","
        "\"dtype\":\"float32\",\"metadata\":{\"hook_name\":\"blocks.1.hook_z\"},"
        "\"rescale_acts_by_decoder_norm\":true,\"d_in\":6,\"prepend_bos\":true}";
    write_safetensors("sae/sae_weights.safetensors", arrays, 5);
    unsigned char weights[8192], bad[16384];
    FILE *f = fopen(test_path("sae/sae_weights.safetensors"), "rb");
    assert_non_null(f);
    size_t size = fread(weights, 1, sizeof weights, f);
    fclose(f);
    uint64_t seed = 7;
    int opened = 0;
    for (int i = 0; i < 600; i++) {
        bool of_weights = i % 2;
        size_t n = of_weights ? mutate(weights, size, bad, &seed)
                              : mutate((const unsigned char *)good, sizeof good - 1, bad, &seed);
        write_bytes("sae/cfg.json", good, sizeof good - 1);
        write_bytes("sae/sae_weights.safetensors", weights, size);
        write_bytes(of_weights ? "sae/sae_weights.safetensors" : "sae/cfg.json", bad, n);
        struct err err = {0};
        struct sae *sae = sae_open(dir, NULL, NULL, &err);
        if (sae) {
            float u[D], scale, shift;
            opened++;
            assert_true(sae_check_finite(sae, NULL, &err));
            assert_true(sae->arch->check(sae, NULL));
            for (int64_t j = 0; j < sae->d_sae; j++)
                sae->arch->activate(sae, j, sae->arch->level(sae, j) + 1);
            if (sae->d_in == D)
                sae_input(sae, x_all, u, &scale, &shift);
        } else {
            assert_true(err.code != ERR_NONE);
            assert_memory_equal(err.msg, dir, strlen(dir));
        }
        sae_close(sae);
    }
    assert_true(opened > 50 && opened < 550);
}

static void what_is_no_checkpoint_is_said_in_one_line(void **state)
{
    (void)state;
    struct err err = {0};
    const char *dir = make_dir("empty");
    assert_null(sae_open(dir, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_false(sae_recognise(dir));
    assert_null(sae_open("/nowhere/at/all", NULL, NULL, &err));
    assert_string_equal(err.msg, "/nowhere/at/all: cannot be used (found "
                        "'No such file or directory', expected one that exists)");
    assert_null(sae_open(write_text("notes.txt", "hello"), NULL, NULL, &err));
    assert_int_equal(err.code, ERR_MISSING);
    make_dir("dl");
    assert_null(sae_open(write_text("dl/ae.pt", "PK"), NULL, NULL, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "dl/ae.pt: unknown format"));
    assert_null(sae_open(write_text("dl/x.pt", "PK"), NULL, NULL, &err));
    assert_non_null(strstr(err.msg, "dl/x.pt: unknown format"));
    char moss[256];
    strcpy(moss, make_dir("moss"));
    write_safetensors("moss/sae_weights.safetensors", arrays, 4);
    assert_null(sae_open(moss, NULL, NULL, &err)); /* nothing says what it is */
    assert_int_equal(err.code, ERR_OS);
    assert_non_null(strstr(err.msg, "moss/cfg.json: "));
    write_text("moss/config.json", "{}");
    assert_null(sae_open(moss, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "openmoss"));
    struct sae_options gemma = {.format = "gemma-scope"};
    struct sae *sae = sae_open(write_npz("renamed.npz", arrays, 5), NULL, NULL, &err);
    assert_non_null(sae);
    sae_close(sae);
    sae = sae_open(write_npz("renamed.data", arrays, 5), &gemma, NULL, &err);
    assert_non_null(sae);
    assert_string_equal(sae->rule, "--format");
    sae_close(sae);
    struct sae_options named = {.format = "nonsense"};
    assert_null(sae_open(dir, &named, NULL, &err));
    assert_int_equal(err.code, ERR_USAGE);
}

static void weights_that_are_no_numbers_are_found(void **state)
{
    (void)state;
    float keep[3] = {W_enc[1 * F + 4], W_dec[7 * D + 2], b_enc[5]};
    W_enc[1 * F + 4] = NAN;
    W_dec[7 * D + 2] = INFINITY;
    b_enc[5] = -INFINITY;
    struct sae *sae = open_saelens("{}", BASE, NULL, NULL);
    W_enc[1 * F + 4] = keep[0];
    W_dec[7 * D + 2] = keep[1];
    b_enc[5] = keep[2];
    assert_non_null(sae);
    assert_null(sae->broken);
    assert_true(sae_check_finite(sae, NULL, NULL));
    for (int j = 0; j < F; j++) {
        assert_int_equal(sae->broken[j], j == 4 || j == 5 || j == 7);
        if (sae->broken[j])
            assert_true(sae->arch->activate(sae, j, 100) == 0);
    }
    assert_int_equal(sae->n_notes, 3);
    assert_string_equal(sae->notes[0].text,
                        "W_enc has 1 NaN or infinite values, the first at [1, 4]");
    assert_string_equal(sae->notes[1].text,
                        "W_dec has 1 NaN or infinite values, the first at [7, 2]");
    assert_string_equal(sae->notes[2].text,
                        "b_enc has 1 NaN or infinite values, the first at [5]");
    sae_close(sae);
}

static void inputs_without_a_norm_are_left_out(void **state)
{
    (void)state;
    float zero[D] = {0}, nan[D] = {1, NAN}, u[D], scale, shift;
    struct sae *sae = open_saelens("{\"normalize_activations\":\"constant_norm_rescale\"}",
                                   BASE, NULL, NULL);
    assert_false(sae_input(sae, zero, u, &scale, &shift));
    assert_false(sae_input(sae, nan, u, &scale, &shift));
    sae_close(sae);
    sae = open_saelens("{\"normalize_activations\":\"layer_norm\"}", BASE, NULL, NULL);
    assert_true(sae_input(sae, zero, u, &scale, &shift));
    assert_true(scale == 0 && shift == 0);
    sae_close(sae);
}

/* --- the checkpoints beside the source tree, when they are there --- */

static void checkpoints_of_the_fixtures_open(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    char path[600];
    snprintf(path, sizeof path, "%s/A/index.json", fixtures());
    json_t *index = json_load_path(path, 1 << 20, JSON_LAST_WINS, NULL);
    assert_non_null(index);
    int opened = 0;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(index, "saes"), i, entry) {
        struct err err = {0};
        snprintf(path, sizeof path, "%s/A/%s", fixtures(),
                 json_string_value(json_object_get(entry, "path")));
        assert_true(sae_recognise(path));
        struct sae *sae = sae_open(path, NULL, NULL, &err);
        if (!sae && err.code == ERR_UNSUPPORTED)
            continue;
        if (!sae)
            fail_msg("%s", err.msg);
        opened++;
        char expected[600];
        snprintf(expected, sizeof expected, "%s/expected/%s", fixtures(),
                 json_string_value(json_object_get(entry, "expected")));
        json_t *want = json_load_path(expected, 16 << 20, JSON_LAST_WINS, NULL);
        assert_non_null(want);
        assert_int_equal(sae->d_sae, 1024);
        assert_int_equal(sae->d_in, 128);
        assert_int_equal(sae->b_in != NULL,
                         json_is_true(json_object_get(want, "subtract_b_dec_from_input")));
        assert_true(sae_check_finite(sae, NULL, NULL));
        assert_int_equal(sae->n_notes, 0);
        json_decref(want);
        sae_close(sae);
    }
    assert_int_equal(opened, json_array_size(json_object_get(index, "saes")));
    json_decref(index);
}

int main(void)
{
    fill_weights();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_of_saelens_means_what_it_says),
        cmocka_unit_test(parameters_that_the_architecture_has_no_use_for_are_told),
        cmocka_unit_test(the_factor_of_an_interrupted_run_is_applied),
        cmocka_unit_test(what_is_not_read_is_refused_by_name),
        cmocka_unit_test(shapes_that_do_not_fit_name_both_tensors),
        cmocka_unit_test(configurations_tell_what_they_know),
        cmocka_unit_test(older_versions_are_read),
        cmocka_unit_test(plain_arrays_need_no_configuration),
        cmocka_unit_test(gemma_scope_2_does_not_subtract_b_dec),
        cmocka_unit_test(gemma_scope_1_is_read_from_npz),
        cmocka_unit_test(damaged_checkpoints_never_crash),
        cmocka_unit_test(what_is_no_checkpoint_is_said_in_one_line),
        cmocka_unit_test(weights_that_are_no_numbers_are_found),
        cmocka_unit_test(inputs_without_a_norm_are_left_out),
        cmocka_unit_test(checkpoints_of_the_fixtures_open),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
