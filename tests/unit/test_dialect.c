/* test_dialect.c - checkpoints of other libraries than SAELens mean what these compute: the
 * formulas in double, on small files made as they make them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/json.h"
#include "model/encode.h"
#include "model/sae.h"
#include "arrays.h"

#define D   6  /* d_in */
#define F   10 /* d_sae */
#define K   3
#define N_X 40

/* Both ways round of each matrix. */
static float W_enc[D * F], W_enc_T[F * D], W_dec[F * D], W_dec_T[D * F], b_enc[F], b_dec[D],
    threshold[F], r_mag[F], b_mag[F], mean[D], x_all[N_X * D];
static float k_value[1] = {K}, low[1] = {-1}, high[1] = {0.75f}, groups[2] = {4, 6};

static const struct array arrays[] = {
    {"W_enc", DTYPE_F32, 2, {D, F}, W_enc},
    {"W_dec", DTYPE_F32, 2, {F, D}, W_dec},
    {"W_E", DTYPE_F32, 2, {D, F}, W_enc},
    {"W_D", DTYPE_F32, 2, {F, D}, W_dec},
    {"b_E", DTYPE_F32, 1, {F}, b_enc},
    {"W_E_glu", DTYPE_F32, 2, {D, F}, W_enc},
    {"b_E_glu", DTYPE_F32, 1, {F}, b_enc},
    {"b_D", DTYPE_F32, 1, {D}, b_dec},
    {"encoder.weight", DTYPE_F32, 2, {F, D}, W_enc_T},
    {"decoder.weight", DTYPE_F32, 2, {D, F}, W_dec_T},
    {"decoder.linear.weight", DTYPE_F32, 2, {F, D}, W_dec},
    {"decoder", DTYPE_F32, 2, {F, D}, W_dec},
    {"encoder.bias", DTYPE_F32, 1, {F}, b_enc},
    {"b_enc", DTYPE_F32, 1, {F}, b_enc},
    {"latent_bias", DTYPE_F16, 1, {F}, b_enc},
    {"bias", DTYPE_F32, 1, {D}, b_dec},
    {"b_dec", DTYPE_F32, 1, {D}, b_dec},
    {"pre_bias", DTYPE_F16, 1, {D}, b_dec},
    {"decoder_bias", DTYPE_F32, 1, {D}, b_dec},
    {"decoder.bias", DTYPE_F32, 1, {D}, b_dec},
    {"gate_bias", DTYPE_F32, 1, {F}, b_enc},
    {"r_mag", DTYPE_F32, 1, {F}, r_mag},
    {"mag_bias", DTYPE_F32, 1, {F}, b_mag},
    {"threshold", DTYPE_F32, 1, {F}, threshold},
    {"log_jumprelu_threshold", DTYPE_F32, 1, {F}, threshold},
    {"activation_function.log_jumprelu_threshold", DTYPE_F32, 1, {F}, threshold},
    {"dataset_average_activation_norm.h", DTYPE_F32, 0, {0}, high},
    {"k", DTYPE_I32, 0, {0}, k_value},
    {"group_sizes", DTYPE_I64, 1, {2}, groups},
    {"act_mean", DTYPE_F32, 1, {D}, mean},
    {"b_dec_out", DTYPE_F32, 1, {D}, b_dec},
};
#define N_ARRAYS (sizeof arrays / sizeof *arrays)

static const struct array scalar_thresholds[] = {
    {"threshold", DTYPE_F32, 0, {0}, low}, {"threshold", DTYPE_F32, 0, {0}, high}};

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
        for (int c = 0; c < D; c++) {
            W_enc_T[j * D + c] = W_enc[c * F + j];
            W_dec_T[c * F + j] = W_dec[j * D + c];
        }
    }
}

/* The arrays of these names (space separated; "low" and "high" are scalar thresholds). */
static int choose(const char *names, struct array *chosen)
{
    int n = 0;
    char list[512], word[64];
    snprintf(list, sizeof list, " %s ", names);
    for (size_t i = 0; i < N_ARRAYS; i++) {
        snprintf(word, sizeof word, " %s ", arrays[i].name);
        if (strstr(list, word))
            chosen[n++] = arrays[i];
    }
    if (strstr(list, " low "))
        chosen[n++] = scalar_thresholds[0];
    if (strstr(list, " high "))
        chosen[n++] = scalar_thresholds[1];
    return n;
}

/* --- the formulas --- */

enum { RELU, JUMP, TOP, GATED };

struct meaning {
    int kind;
    bool subtracts, layer_norm;
    const float *threshold;
    double constant_threshold;
    bool exp_threshold;   /* threshold = exp(stored) */
    bool times_norm;      /* the activation is f |W_dec[j]|, and counts f */
    bool gates_with_norm; /* h |W_dec[j]| > threshold, or is ranked */
    double biases;        /* all of them times this; 0: 1 */
    double x_factor;      /* the input times this, the output over it; 0: 1 */
};

static double decoder_norm(int j)
{
    double sum = 0;
    for (int c = 0; c < D; c++)
        sum += (double)W_dec[j * D + c] * W_dec[j * D + c];
    return sqrt(sum);
}

/* The K features whose key is greatest keep what is above 0. */
static void keep_top(const double *key, double *a)
{
    for (int j = 0; j < F; j++) {
        int above = 0;
        for (int i = 0; i < F; i++)
            above += key[i] > key[j];
        a[j] = above < K ? fmax(a[j], 0) : 0;
    }
}

/* Activations as they are reported, and how many times a row of the decoder each counts. */
static void reference(const struct meaning *m, const float *x, double *a, double *y)
{
    double mu = 0, s = 0, b = m->biases ? m->biases : 1, by = m->x_factor ? m->x_factor : 1;
    for (int c = 0; c < D; c++)
        mu += x[c] / (double)D;
    for (int c = 0; c < D; c++)
        s += (x[c] - mu) * (x[c] - mu) / (D - 1);
    s = sqrt(s);
    double key[F];
    for (int j = 0; j < F; j++) {
        double p = 0, norm = m->gates_with_norm ? decoder_norm(j) : 1;
        for (int c = 0; c < D; c++) {
            double u = m->layer_norm ? (x[c] - mu) / (s + 1e-5) : x[c] * by;
            p += (u - (m->subtracts ? b_dec[c] * b : 0)) * W_enc[c * F + j];
        }
        double h = p + b_enc[j] * b, t = m->threshold ? m->threshold[j] : m->constant_threshold;
        if (m->exp_threshold)
            t = exp(t);
        switch (m->kind) {
        case RELU: a[j] = fmax(h, 0); break;
        case JUMP: a[j] = h > 0 && h * norm > t * b ? h : 0; break;
        case TOP: a[j] = h; break;
        case GATED: a[j] = h > 0 ? fmax(0, exp(r_mag[j]) * p + b_mag[j] * b) : 0; break;
        }
        key[j] = h * norm;
    }
    if (m->kind == TOP)
        keep_top(key, a);
    for (int c = 0; c < D; c++) {
        y[c] = b_dec[c] * b;
        for (int j = 0; j < F; j++)
            y[c] += a[j] * W_dec[j * D + c];
        y[c] = m->layer_norm ? y[c] * s + mu : y[c] / by;
    }
    for (int j = 0; j < F; j++)
        a[j] *= m->times_norm ? decoder_norm(j) : 1;
}

/* By way of the encoder that scans use. Numbers are of order 1 to 30, sums have at most 10
 * terms: f32 keeps 1e-5. */
static void assert_means(const struct sae *sae, const struct meaning *m, const char *what)
{
    struct encoder e;
    struct encode_scratch s;
    assert_true(encoder_init(&e, sae, 1, NULL, NULL));
    assert_true(encode_scratch_init(&s, &e, 1, NULL));
    for (int t = 0; t < N_X; t++) {
        float u[D], scale, shift, row[D];
        double a[F] = {0}, a_ref[F], y[D], y_ref[D];
        struct encode_hit hits[F];
        int64_t n;
        reference(m, x_all + t * D, a_ref, y_ref);
        assert_true(sae_input(sae, x_all + t * D, u, &scale, &shift));
        assert_true(encoder_block(&e, &s, u, 1, hits, F, &n));
        for (int c = 0; c < D; c++)
            y[c] = sae->b_dec[c];
        for (int64_t i = 0; i < n; i++) {
            uint32_t j = hits[i].feature;
            a[j] = hits[i].value;
            mat_read_rows(&sae->W_dec, j, 1, row);
            for (int c = 0; c < D; c++)
                y[c] += a[j] * (sae->out_scale ? sae->out_scale[j] : 1) * row[c];
        }
        for (int j = 0; j < F; j++)
            if (fabs(a[j] - a_ref[j]) > 2e-5 * (1 + fabs(a_ref[j])))
                fail_msg("%s: token %d, feature %d: %g, expected %g", what, t, j, a[j],
                         a_ref[j]);
        for (int c = 0; c < D; c++)
            if (fabs(y[c] * scale + shift - y_ref[c]) > 1e-4 * (1 + fabs(y_ref[c])))
                fail_msg("%s: token %d, dimension %d: %g, expected %g", what, t, c,
                         y[c] * scale + shift, y_ref[c]);
    }
    encode_scratch_finish(&s);
    encoder_finish(&e);
}

/* --- files and what they mean --- */

#define LINEAR "encoder.weight encoder.bias decoder.weight "
#define MATRIX "W_enc W_dec b_enc b_dec "
#define OPENAI "encoder.weight decoder.weight latent_bias pre_bias "
/* pickled items: "activation" and "activation_state_dict" with a k of 3 */
#define TOPK_ITEMS "U\12activationU\4TopKU\25activation_state_dict}(U\1kK\3U\12postact_fnU\4ReLUu"
#define CLASS(name) "{\"trainer\":{\"dict_class\":\"" name "\"}}"

/* OpenMOSS' configuration since 2025 */
#define MOSS(act_fn, norm, with_norm) \
    "{\"sae_type\":\"sae\",\"d_model\":6,\"act_fn\":\"" act_fn "\",\"top_k\":3," \
    "\"norm_activation\":\"" norm "\",\"sparsity_include_decoder_norm\":" with_norm "," \
    "\"hook_point_in\":\"h\",\"hook_point_out\":\"h\",\"use_glu_encoder\":false}"

struct file_case {
    const char *file, *config_name, *config; /* file: .pt or .safetensors */
    const char *tensors, *wrapping, *items, *around;
    struct meaning meaning;
    const char *format, *architecture, *hook;
    int notes;
};

static const struct file_case files[] = {
    {"a/ae.pt", "a/config.json",
     "{\"trainer\":{\"dict_class\":\"AutoEncoder\",\"activation_dim\":6,\"dict_size\":10,"
     "\"submodule_name\":\"resid_post_layer_8\"},\"buffer\":{\"io\":\"out\"}}",
     LINEAR "bias", NULL, NULL, NULL, {.subtracts = true}, "dictionary-learning", "standard",
     "blocks.8.hook_resid_post", 0},
    {"a/ae.pt", "a/config.json", CLASS("AutoEncoderNew"), LINEAR "decoder.bias", NULL, NULL,
     NULL, {.times_norm = true}, "dictionary-learning", "standard", NULL, 0},
    {"a/ae.pt", "a/config.json",
     "{\"trainer\":{\"dict_class\":\"AutoEncoder\",\"trainer_class\":"
     "\"StandardTrainerAprilUpdate\"}}", LINEAR "bias", NULL, NULL, NULL,
     {.subtracts = true, .times_norm = true}, "dictionary-learning", "standard", NULL, 1},
    {"a/ae.pt", "a/config.json", CLASS("GatedAutoEncoder"),
     "encoder.weight decoder.weight decoder_bias r_mag gate_bias mag_bias", NULL, NULL, NULL,
     {.kind = GATED, .subtracts = true}, "dictionary-learning", "gated", NULL, 0},
    {"a/ae.pt", "a/config.json", CLASS("JumpReluAutoEncoder"), MATRIX "threshold", NULL, NULL,
     NULL, {.kind = JUMP, .threshold = threshold}, "dictionary-learning", "jumprelu", NULL, 0},
    {"a/ae.pt", "a/config.json", CLASS("AutoEncoderTopK"), LINEAR "b_dec k high", NULL, NULL,
     NULL, {.kind = TOP, .subtracts = true}, "dictionary-learning", "topk", NULL, 0},
    {"a/ae.pt", "a/config.json", /* July 2024: a bare decoder, k only in the configuration */
     "{\"trainer\":{\"dict_class\":\"AutoEncoderTopK\",\"k\":3}}",
     "encoder.weight encoder.bias decoder b_dec", NULL, NULL, NULL,
     {.kind = TOP, .subtracts = true}, "dictionary-learning", "topk", NULL, 0},
    {"a/ae.pt", "a/config.json", CLASS("BatchTopKSAE"), LINEAR "b_dec k high", NULL, NULL,
     NULL, {.kind = JUMP, .subtracts = true, .constant_threshold = 0.75},
     "dictionary-learning", "batchtopk", NULL, 0},
    {"a/ae.pt", "a/config.json", CLASS("BatchTopKSAE"), LINEAR "b_dec k low", NULL, NULL, NULL,
     {.kind = TOP, .subtracts = true}, "dictionary-learning", "topk", NULL, 1},
    {"a/ae.pt", "a/config.json", CLASS("BatchTopKSAE"), LINEAR "b_dec k", NULL, NULL, NULL,
     {.kind = TOP, .subtracts = true}, "dictionary-learning", "topk", NULL, 1},
    {"a/ae.pt", "a/config.json", CLASS("MatryoshkaBatchTopKSAE"), MATRIX "k high group_sizes",
     NULL, NULL, NULL, {.kind = JUMP, .subtracts = true, .constant_threshold = 0.75},
     "dictionary-learning", "matryoshka", NULL, 0},
    {"a/ae.pt", "a/config.json",
     "{\"trainer\":{\"trainer_class\":\"BatchTopKTrainer\",\"submodule_name\":"
     "\"mlp_out_layer3\"}}", LINEAR "b_dec k high", NULL, NULL, NULL,
     {.kind = JUMP, .subtracts = true, .constant_threshold = 0.75}, "dictionary-learning",
     "batchtopk", "blocks.3.hook_mlp_out", 0},
    /* spellings of their day; a class that is not known, one that the tensors belie, another k */
    {"a/ae.pt", "a/config.json", CLASS("MatroyshkaBatchTopKSAE"), MATRIX "k high group_sizes",
     NULL, NULL, NULL, {.kind = JUMP, .subtracts = true, .constant_threshold = 0.75},
     "dictionary-learning", "matryoshka", NULL, 0},
    {"a/ae.pt", "a/config.json", CLASS("<class 'x.batch_top_k.BatchTopKSAE'>"),
     LINEAR "b_dec k high", NULL, NULL, NULL,
     {.kind = JUMP, .subtracts = true, .constant_threshold = 0.75}, "dictionary-learning",
     "batchtopk", NULL, 0},
    {"a/ae.pt", "a/config.json", CLASS("MyAutoEncoder"), LINEAR "bias", NULL, NULL, NULL,
     {.subtracts = true}, "dictionary-learning", "standard", NULL, 1},
    {"a/ae.pt", "a/config.json", CLASS("AutoEncoderNew"), LINEAR "bias", NULL, NULL, NULL,
     {.times_norm = true}, "dictionary-learning", "standard", NULL, 1},
    {"a/ae.pt", "a/config.json", "{\"trainer\":{\"dict_class\":\"AutoEncoderTopK\",\"k\":4}}",
     LINEAR "b_dec k low", NULL, NULL, NULL, {.kind = TOP, .subtracts = true},
     "dictionary-learning", "topk", NULL, 1},
    /* places that only directories tell */
    {"mlp_out_layer3/10_32768/ae.pt", NULL, NULL, LINEAR "bias", NULL, NULL, NULL,
     {.subtracts = true}, "dictionary-learning", "standard", "blocks.3.hook_mlp_out", 1},
    {"resid_post_layer_8/trainer_3/checkpoints/ae_9.pt", NULL, NULL, LINEAR "bias", NULL, NULL,
     NULL, {.subtracts = true}, "dictionary-learning", "standard", "blocks.8.hook_resid_post", 1},
    /* without a configuration the names decide */
    {"b/sae.pt", NULL, NULL, LINEAR "bias", NULL, NULL, NULL, {.subtracts = true},
     "dictionary-learning", "standard", NULL, 1},
    {"b/sae.pt", NULL, NULL, LINEAR "b_dec k high", NULL, NULL, NULL,
     {.kind = JUMP, .subtracts = true, .constant_threshold = 0.75}, "dictionary-learning",
     "batchtopk", NULL, 1},
    {"b/sae.pt", NULL, NULL, LINEAR "b_dec k low", NULL, NULL, NULL,
     {.kind = TOP, .subtracts = true}, "dictionary-learning", "topk", NULL, 1},
    {"b/sae.pt", NULL, NULL, "encoder.weight decoder.weight decoder_bias r_mag gate_bias mag_bias",
     NULL, NULL, NULL, {.kind = GATED, .subtracts = true}, "dictionary-learning", "gated",
     NULL, 1},
    {"b/sae.pt", NULL, NULL, MATRIX "threshold", NULL, NULL, NULL,
     {.kind = JUMP, .threshold = threshold}, "dictionary-learning", "jumprelu", NULL, 1},
    {"b/sae.pt", NULL, NULL, LINEAR "bias act_mean", "state_dict", NULL, "U\3cfg}U\1kK\3s",
     {.subtracts = true}, "dictionary-learning", "standard", NULL, 2},
    {"b/sae.pt", NULL, NULL, LINEAR "b_dec low", "model", NULL, "U\3cfg}U\1kK\3s",
     {.kind = TOP, .subtracts = true}, "dictionary-learning", "topk", NULL, 1},
    /* a backup: biases times norm_factor */
    {"b/ae_500.pt", NULL, NULL, LINEAR "bias", "ae", NULL,
     "U\4stepM\364\1U\13norm_factorK\2", {.subtracts = true, .biases = 2},
     "dictionary-learning", "standard", NULL, 2},
    {"c/8.pt", NULL, NULL, OPENAI, NULL, NULL, NULL, {.subtracts = true}, "openai", "standard",
     NULL, 0},
    {"c/8.pt", NULL, NULL, OPENAI, NULL, TOPK_ITEMS, NULL,
     {.kind = TOP, .subtracts = true, .layer_norm = true}, "openai", "topk", NULL, 0},
    {"resid_post_mlp_v5_32k/autoencoders/8.pt", NULL, NULL,
     "encoder.weight decoder.linear.weight latent_bias pre_bias", NULL, NULL, NULL,
     {.subtracts = true}, "openai", "standard", "blocks.8.hook_resid_post", 0},
    {"layers.10/sae.safetensors", "layers.10/cfg.json", "{\"k\":3,\"d_in\":6}",
     "encoder.weight encoder.bias W_dec b_dec", NULL, NULL, NULL,
     {.kind = TOP, .subtracts = true}, "sparsify", "topk", "blocks.10.hook_resid_post", 0},
    {"h.0.attn/sae.safetensors", "h.0.attn/cfg.json",
     "{\"k\":3,\"d_in\":6,\"activation\":\"topk\",\"signed\":false}",
     "encoder.weight encoder.bias W_dec b_dec", NULL, NULL, NULL,
     {.kind = TOP, .subtracts = true}, "sparsify", "topk", "blocks.0.hook_attn_out", 0},
    {"h.2.mlp.act/seed1/sae.safetensors", "h.2.mlp.act/seed1/cfg.json", "{\"k\":3,\"d_in\":6}",
     "encoder.weight encoder.bias W_dec b_dec", NULL, NULL, NULL,
     {.kind = TOP, .subtracts = true}, "sparsify", "topk", "blocks.2.mlp.hook_post", 0},
    {"d/x.pt", "d/x_cfg.json", "{\"act_size\":6,\"dict_size\":10,\"act_name\":\"blocks.0.attn.hook_z\"}",
     MATRIX, NULL, NULL, NULL, {.subtracts = true}, "kissane", "standard",
     "blocks.0.attn.hook_z", 0},
    {"d/y.pt", NULL, NULL, MATRIX, NULL, NULL, NULL, {.subtracts = true}, "kissane", "standard",
     NULL, 1},
    {"d/z.pt", NULL, NULL, MATRIX, "state_dict", NULL,
     "U\3cfgcsae_training.config\nRunnerConfig\n)\x81}(U\12hook_pointU\5h.1.xU\5d_saeNu" "b",
     {.subtracts = true}, "mats", "standard", "h.1.x", 0},
    {"d/SAE-R1_l19.pt", NULL, NULL, LINEAR "decoder.bias", NULL, NULL, NULL, {0}, "deepseek",
     "standard", "blocks.19.hook_resid_post", 0},
    {"e/checkpoints/final.safetensors", "e/hyperparams.json",
     "{\"act_fn\":\"topk\",\"top_k\":3,\"jump_relu_threshold\":0.75,\"norm_activation\":"
     "\"dataset-wise\",\"dataset_average_activation_norm\":{\"in\":2.449489742783178,"
     "\"out\":2.449489742783178},\"hook_point_in\":\"h\",\"hook_point_out\":\"h\"}",
     LINEAR "decoder.bias", NULL, NULL, NULL, {.kind = JUMP, .constant_threshold = 0.75},
     "llama-scope", "jumprelu", "h", 0},
    {"f/sae_weights.safetensors", "f/config.json", "{\"hook_point_in\":\"h\"}",
     LINEAR "decoder.bias log_jumprelu_threshold", NULL, NULL, NULL,
     {.kind = JUMP, .threshold = threshold, .exp_threshold = true}, "llama-scope", "jumprelu",
     "h", 1},
    {"g/sae_weights.safetensors", "g/config.json",
     "{\"hook_point_in\":\"h\",\"act_fn\":\"jumprelu\",\"sparsity_include_decoder_norm\":true,"
     "\"norm_activation\":\"dataset-wise\"}",
     "W_E b_E W_D b_D activation_function.log_jumprelu_threshold "
     "dataset_average_activation_norm.h", NULL, NULL, NULL,
     {.kind = JUMP, .threshold = threshold, .exp_threshold = true, .gates_with_norm = true,
      .x_factor = 3.265986323710904 /* sqrt(6) / 0.75 */}, "openmoss", "jumprelu", "h", 0},
    /* R1-Distill as released: the names of 2024, but the mean norm is a tensor */
    {"f/sae_weights.safetensors", "f/config.json", MOSS("jumprelu", "dataset-wise", "true"),
     LINEAR "decoder.bias log_jumprelu_threshold dataset_average_activation_norm.h", NULL, NULL,
     NULL, {.kind = JUMP, .threshold = threshold, .exp_threshold = true, .gates_with_norm = true,
            .x_factor = 3.265986323710904}, "llama-scope", "jumprelu", "h", 0},
    {"f/sae_weights.safetensors", "f/config.json", MOSS("jumprelu", "dataset-wise", "false"),
     LINEAR "decoder.bias activation_function.log_jumprelu_threshold", NULL, NULL,
     NULL, {.kind = JUMP, .threshold = threshold, .exp_threshold = true}, "llama-scope",
     "jumprelu", "h", 1},
    {"g/sae_weights.safetensors", "g/config.json", MOSS("topk", "dataset-wise", "true"),
     "W_E b_E W_D b_D dataset_average_activation_norm.h", NULL, NULL, NULL,
     {.kind = TOP, .gates_with_norm = true, .x_factor = 3.265986323710904}, "openmoss", "topk",
     "h", 0},
    {"g/sae_weights.safetensors", "g/config.json", MOSS("batchtopk", "inference", "false"),
     "W_E b_E W_D b_D", NULL, NULL, NULL, {.kind = TOP}, "openmoss", "topk", "h", 1},
    {"g/sae_weights.safetensors", "g/config.json", MOSS("relu", "batch-wise", "true"),
     "W_E b_E W_D b_D", NULL, NULL, NULL, {0}, "openmoss", "standard", "h", 1},
    {"g/sae_weights.pt", "g/config.json", MOSS("relu", "dataset-wise", "true"),
     "W_E b_E W_D b_D dataset_average_activation_norm.h", "sae", NULL, NULL,
     {.x_factor = 3.265986323710904}, "openmoss", "standard", "h", 0},
};

/* The directories in a file's name. */
static void make_dirs(const char *file)
{
    char dir[128];
    snprintf(dir, sizeof dir, "%s", file);
    for (char *slash = dir; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        make_dir(dir);
    }
}

static const char *write_case(const struct file_case *c)
{
    struct array chosen[N_ARRAYS + 2];
    int n = choose(c->tensors, chosen);
    make_dirs(c->file);
    if (c->config)
        write_text(c->config_name, c->config);
    return strstr(c->file, ".pt") ? write_pt(c->file, chosen, n, c->wrapping, c->items, c->around)
                                  : write_safetensors(c->file, chosen, n);
}

static void remove_case(const struct file_case *c)
{
    unlink(test_path(c->file));
    if (c->config)
        unlink(test_path(c->config_name));
}

static void every_checkpoint_means_what_its_library_computes(void **state)
{
    (void)state;
    fill_weights();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const struct file_case *c = &files[i];
        const char *path = write_case(c);
        struct err err = {0};
        assert_true(sae_recognise(path));
        struct sae *sae = sae_open(path, NULL, NULL, &err);
        char what[200];
        snprintf(what, sizeof what, "%d: %s of %s", (int)i, c->file, c->tensors);
        if (!sae)
            fail_msg("%s: %s", what, err.msg);
        assert_string_equal(sae->format, c->format);
        assert_string_equal(sae->arch->name, c->architecture);
        assert_string_equal(sae->hook ? sae->hook : "none", c->hook ? c->hook : "none");
        if (sae->n_notes != c->notes)
            fail_msg("%s: %d notes, the first '%s'", what, sae->n_notes,
                     sae->n_notes ? sae->notes[0].text : "");
        assert_means(sae, &c->meaning, what);
        sae_close(sae);
        remove_case(c);
    }
}

static void what_is_not_read_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct file_case file;
        enum err_code code;
        const char *says;
    } cases[] = {
        {{.file = "a/ae.pt", .config_name = "a/config.json", .config = CLASS("IdentityDict"),
          .tensors = LINEAR "bias"}, ERR_RANGE,
         "bad activation_dim of an IdentityDict (found 0, expected 1 to 8192)"},
        {{.file = "a/ae.pt", .config_name = "a/config.json", .config = CLASS("AutoEncoderTopK"),
          .tensors = LINEAR "b_dec"}, ERR_MISSING, "there is no k"},
        {{.file = "a/ae.pt", .tensors = "b_dec k"}, ERR_MISSING, "there is no 'encoder.weight'"},
        {{.file = "a/ae.pt", .tensors = "encoder.weight decoder.weight bias"}, ERR_MISSING,
         "b_enc"},
        {{.file = "a/x.pt", .tensors = "act_mean"}, ERR_MISSING,
         "not a checkpoint (found 1 tensors, the first called 'act_mean'"},
        {{.file = "a/8.pt", .tensors = OPENAI, .items = "U\12activationU\4Tanh"},
         ERR_UNSUPPORTED, "activation is not read (found Tanh, expected ReLU, TopK or Identity)"},
        {{.file = "a/8.pt", .tensors = OPENAI, .items = "U\12activationU\4TopK"}, ERR_MISSING,
         "activation_state_dict.k"},
        {{.file = "l/sae.safetensors", .config_name = "l/cfg.json", .config = "{\"k\":3,"
          "\"skip_connection\":true}", .tensors = LINEAR "W_dec b_dec"}, ERR_MISSING,
         "there is no W_skip, though skip_connection is true (found none, expected a matrix)"},
        {{.file = "l/sae.safetensors", .config_name = "l/cfg.json", .config = "{\"k\":3,"
          "\"signed\":true,\"activation\":\"groupmax\"}", .tensors = LINEAR "W_dec b_dec"},
         ERR_UNSUPPORTED, "signed is true (found activation groupmax, expected topk)"},
        {{.file = "l/sae.safetensors", .config_name = "l/cfg.json", .config = "{\"k\":3,"
          "\"activation\":\"relu\"}", .tensors = LINEAR "W_dec b_dec"}, ERR_UNSUPPORTED,
         "l/cfg.json: activation is not read (found relu, expected topk or groupmax)"},
        {{.file = "l/sae.safetensors", .config_name = "l/cfg.json", .config = "{\"k\":3,"
          "\"activation\":\"groupmax\"}", .tensors = LINEAR "W_dec b_dec"}, ERR_RANGE,
         "bad k (found 3, expected a divisor of d_sae = 10)"},
        {{.file = "l/sae.safetensors", .config_name = "l/cfg.json", .config = "{\"k\":11}",
          .tensors = LINEAR "W_dec b_dec"}, ERR_RANGE, "bad k (found 11, expected 1 to d_sae = 10)"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json",
          .config = "{\"sae_type\":\"clt\"}", .tensors = "W_E W_D b_E b_D"}, ERR_UNSUPPORTED,
         "sae_type is not read (found clt"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json",
          .config = "{\"sae_type\":\"lorsa\"}", .tensors = "b_dec k"}, ERR_UNSUPPORTED,
         "g/sae_weights.safetensors: sae_type is not read (found lorsa, expected sae)"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json",
          .config = MOSS("layertopk", "none", "true"), .tensors = "W_E W_D b_E b_D"},
         ERR_UNSUPPORTED, "act_fn is not read (found layertopk, expected relu, jumprelu, topk "
         "or batchtopk)"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json",
          .config = MOSS("relu", "odd", "true"), .tensors = "W_E W_D b_E b_D"},
         ERR_UNSUPPORTED, "norm_activation is not read (found odd, expected token-wise, "
         "batch-wise, dataset-wise or inference)"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json",
          .config = "{\"hook_point_in\":\"a\",\"hook_point_out\":\"b\",\"norm_activation\":"
          "\"token-wise\"}", .tensors = "W_E W_D b_E b_D"}, ERR_UNSUPPORTED,
         "norm_activation of a transcoder is not read (found token-wise, expected"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json",
          .config = "{\"use_glu_encoder\":true}", .tensors = "W_E W_D b_E b_D"},
         ERR_MISSING, "there is no W_E_glu, though use_glu_encoder is true (found none, expected "
         "a matrix)"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json",
          .config = "{\"use_glu_encoder\":true}", .tensors = "W_E W_D b_E b_D W_E_glu"},
         ERR_MISSING, "there is no b_glu (found none, expected a vector)"},
        {{.file = "g/sae_weights.safetensors", .config_name = "g/config.json", .config =
          "{\"use_glu_encoder\":true,\"act_fn\":\"topk\",\"top_k\":3}",
          .tensors = "W_E W_D b_E b_D W_E_glu b_E_glu"}, ERR_UNSUPPORTED,
         "act_fn is not read (found topk with use_glu_encoder, expected relu or jumprelu)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        const char *path = write_case(&cases[i].file);
        assert_null(sae_open(path, NULL, NULL, &err));
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("%d: found '%s' (%d), expected '%s'", (int)i, err.msg, err.code,
                     cases[i].says);
        assert_memory_equal(err.msg, test_dir(), strlen(test_dir()));
        remove_case(&cases[i].file);
    }
}

/* Crosscoders as dictionary_learning has them, each with one thing wrong. */
static void crosscoders_that_do_not_fit(void **state)
{
    (void)state;
    enum { N = 2, D1 = 3 };
    static float two[N] = {1, 2}, five[1] = {5}, scale[1] = {0};
    static const struct {
        struct array changed; /* in place of that of the same name, or one more */
        enum err_code code;
        const char *says;
    } cases[] = {
        {{"encoder.weight", DTYPE_F32, 3, {0, D1, F}, W_enc}, ERR_SHAPE,
         "encoder.weight has a wrong shape (found [0, 3, 10], expected [models, d_in, d_sae])"},
        {{"decoder.weight", DTYPE_F32, 3, {F, N, D1}, W_dec}, ERR_SHAPE,
         "decoder.weight has a wrong shape (found [10, 2, 3], expected [models, d_sae, d_in]"},
        {{"decoder.weight", DTYPE_F32, 3, {N, F - 1, D1}, W_dec}, ERR_SHAPE,
         "W_enc and W_dec do not fit"},
        {{"decoder.weight", DTYPE_F32, 2, {F, N * D1}, W_dec}, ERR_SHAPE,
         "decoder.weight has a wrong shape"},
        {{"decoder.bias", DTYPE_F32, 1, {N * D1}, b_dec}, ERR_SHAPE,
         "decoder.bias has a wrong shape (found [6], expected [models, d_in]"},
        {{"encoder.bias", DTYPE_F32, 1, {F - 1}, b_enc}, ERR_SHAPE, "b_enc has a wrong shape"},
        {{"threshold", DTYPE_F32, 1, {N}, two}, ERR_UNSUPPORTED,
         "a threshold a model is not read (found 2 of them, expected one)"},
        {{"code_normalization_id", DTYPE_I64, 0, {0}, five}, ERR_UNSUPPORTED,
         "code_normalization_id is not read (found 5, expected 1 to 4)"},
        {{"activation_global_scale", DTYPE_F32, 0, {0}, scale}, ERR_MISSING,
         "there is an activation_mean without its scale"},
    };
    fill_weights();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct array a[] = {
            {"encoder.weight", DTYPE_F32, 3, {N, D1, F}, W_enc},
            {"decoder.weight", DTYPE_F32, 3, {N, F, D1}, W_dec},
            {"encoder.bias", DTYPE_F32, 1, {F}, b_enc},
            {"decoder.bias", DTYPE_F32, 2, {N, D1}, b_dec},
            {"threshold", DTYPE_F32, 0, {0}, high},
            {"activation_mean", DTYPE_F32, 2, {N, D1}, mean},
            {"activation_global_scale", DTYPE_F32, 0, {0}, high},
            {"code_normalization_id", DTYPE_I64, 0, {0}, five},
        };
        const int all = sizeof a / sizeof *a;
        int n = all - 1; /* the last: only if it is changed */
        for (int k = 0; k < all; k++)
            if (strcmp(a[k].name, cases[i].changed.name) == 0) {
                a[k] = cases[i].changed;
                n = k == all - 1 ? all : n;
            }
        struct err err = {0};
        const char *path = write_pt("cc.pt", a, n, NULL, NULL, NULL);
        assert_null(sae_open(path, &(struct sae_options){.format = "crosscoder"}, NULL, &err));
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("%d: found '%s' (%d), expected '%s'", (int)i, err.msg, err.code,
                     cases[i].says);
        assert_memory_equal(err.msg, path, strlen(path));
        unlink(path);
    }
}

/* The same weights twice: in the file, and once more in what is wrapped around. */
static void weights_that_are_there_twice(void **state)
{
    (void)state;
    struct err err = {0};
    const char *path = write_case(&(struct file_case){
        .file = "b/ae.pt", .tensors = LINEAR "bias", .wrapping = "sae",
        .around = "U\2ae}U\16encoder.weightctorch._utils\n_rebuild_tensor_v2\n((U\7storage"
                  "ctorch\nFloatStorage\nU\1" "0U\3cpuK<tQK\1K\5K\6\x86K\6K\1\x86\x89}tRs"});
    assert_null(sae_open(path, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "found both"));
}

static void a_format_can_be_asked_for(void **state)
{
    (void)state;
    struct err err = {0};
    struct sae_options dl = {.format = "dictionary-learning"}, none = {.format = "x"};
    const char *path = write_case(&(struct file_case){
        .file = "b/l7.pt", .tensors = LINEAR "decoder.bias"});
    struct sae *sae = sae_open(path, &dl, NULL, &err);
    struct meaning new = {.times_norm = true};
    assert_non_null(sae);
    assert_means(sae, &new, "AutoEncoderNew by --format");
    sae_close(sae);
    assert_null(sae_open(path, &none, NULL, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.msg, "sparsify"));
}

/* --- the checkpoints beside the source tree, when they are there --- */

static struct sae *open_fixture(const char *name)
{
    char path[600];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/A/sae/%s", fixtures(), name);
    struct sae *sae = sae_open(path, NULL, NULL, &err);
    if (!sae)
        fail_msg("%s", err.msg);
    return sae;
}

static void assert_same_vector(const float *a, const float *b, int64_t n)
{
    assert_int_equal(a != NULL, b != NULL);
    if (a)
        assert_memory_equal(a, b, (size_t)n * sizeof *a);
}

static void assert_same_matrix(const struct mat *a, const struct mat *b)
{
    float x[128], y[128];
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, 128);
    for (int64_t j = 0; j < a->rows; j++) {
        mat_read_rows(a, j, 1, x);
        mat_read_rows(b, j, 1, y);
        assert_memory_equal(x, y, sizeof x);
    }
}

/* Files that hold the same values give the same bits, whatever their form. */
static void the_same_weights_in_every_form(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"dictlearn_standard", "saelens_standard"},
        {"dictlearn_standard_legacy_f16", "saelens_standard_f16"},
        {"dictlearn_gated_bf16", "saelens_gated"},
        {"dictlearn_jumprelu_f16", "gemma_scope_jumprelu"},
        {"dictlearn_topk_f16", "saelens_topk_f16"},
        {"sparsify_topk", "saelens_topk_f16"},
    };
    if (!fixtures())
        skip();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct sae *a = open_fixture(same[i][0]), *b = open_fixture(same[i][1]);
        assert_same_matrix(&a->W_enc, &b->W_enc);
        assert_same_matrix(&a->W_dec, &b->W_dec);
        assert_same_vector(a->b_in, b->b_in, a->d_in);
        assert_same_vector(a->b_enc, b->b_enc, a->d_sae);
        assert_same_vector(a->b_dec, b->b_dec, a->d_out);
        assert_same_vector(a->threshold, b->threshold, a->d_sae);
        assert_same_vector(a->b_gate, b->b_gate, a->d_sae);
        assert_same_vector(a->b_mag, b->b_mag, a->d_sae);
        assert_same_vector(a->r_mag, b->r_mag, a->d_sae);
        assert_ptr_equal(a->arch, b->arch);
        assert_int_equal(a->k, b->k);
        assert_int_equal(sae_id(a), sae_id(b));
        sae_close(a);
        sae_close(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_checkpoint_means_what_its_library_computes),
        cmocka_unit_test(what_is_not_read_is_refused_by_name),
        cmocka_unit_test(crosscoders_that_do_not_fit),
        cmocka_unit_test(weights_that_are_there_twice),
        cmocka_unit_test(a_format_can_be_asked_for),
        cmocka_unit_test(the_same_weights_in_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
