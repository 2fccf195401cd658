/*
 * dialect_moss.c - OpenMOSS' Language-Model-SAEs: Llama Scope and what came after it.
 *
 *   llama-scope   hyperparams.json and checkpoints/final.safetensors (2024), or config.json
 *                 and sae_weights.safetensors (2025, R1-Distill): encoder.weight,
 *                 encoder.bias, decoder.weight, decoder.bias; one jump_relu_threshold in the
 *                 configuration, or log_jumprelu_threshold of each feature
 *   openmoss      config.json and sae_weights.safetensors (2026): W_E [d_in, d_sae], b_E,
 *                 W_D [d_sae, d_in], b_D, activation_function.log_jumprelu_threshold
 *
 * and since 2025 dataset_average_activation_norm.HOOK among the tensors. A .pt file has the
 * same under "sae".
 *
 * With use_glu_encoder the pre-activation is multiplied by the sigmoid of another one
 * (encoder_glu.*, or W_E_glu and b_E_glu).
 *
 * The loader of 2024 brings the weights to activations as they are: with
 * s = sqrt(d_in) / the data's mean norm, b_enc /= s and b_dec /= s; then it folds the
 * decoder's norms into the encoder; the threshold is for what comes out. Since 2025 the input
 * is multiplied by s instead, and decoder norms only decide what is on: h |W_dec| is what is
 * compared or ranked, and h the activation.
 *
 * Source: sae.py of the library, Nov 2024, Apr 2025 and 2026.
 */
#include "model/dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/map.h"
#include "io/mem.h"
#include "model/dialect_keys.h"
#include "model/weights.h"

#define HYPERPARAMS "hyperparams.json"
#define CONFIG      "config.json"
#define WEIGHTS     "sae_weights.safetensors"
#define WEIGHTS_PT  "sae_weights.pt"

static const char *const old_names[] = {"encoder.weight", NULL};
static const char *const new_names[] = {"W_E", NULL};

/* Where the weights of 2024 may be, the first that is there. */
static const char *const old_files[] = {
    WEIGHTS, WEIGHTS_PT, "checkpoints/pruned.safetensors", "checkpoints/pruned.pt",
    "checkpoints/final.safetensors", "checkpoints/final.pt",
};

struct moss {
    const char *act_fn, *norm, *hook_in, *hook_out, *sae_type;
    int64_t top_k;
    double threshold, norm_in, norm_out;
    bool use_decoder_bias, subtracts, glu, with_decoder_norm;
};

static bool read_options(const json_t *cfg, struct moss *m, struct err *err)
{
    *m = (struct moss){.act_fn = "relu", .sae_type = "sae", .use_decoder_bias = true};
    const json_t *norms = json_object_get(cfg, "dataset_average_activation_norm");
    norms = json_is_object(norms) ? norms : NULL;
    return json_get_string(cfg, "act_fn", &m->act_fn, err) &&
           json_get_string(cfg, "norm_activation", &m->norm, err) &&
           json_get_string(cfg, "hook_point_in", &m->hook_in, err) &&
           json_get_string(cfg, "hook_point_out", &m->hook_out, err) &&
           json_get_string(cfg, "sae_type", &m->sae_type, err) &&
           json_get_int(cfg, "top_k", &m->top_k, err) &&
           json_get_double(cfg, "jump_relu_threshold", &m->threshold, err) &&
           json_get_double(norms, "in", &m->norm_in, err) &&
           json_get_double(norms, "out", &m->norm_out, err) &&
           json_get_bool(cfg, "use_decoder_bias", &m->use_decoder_bias, err) &&
           json_get_bool(cfg, "apply_decoder_bias_to_pre_encoder", &m->subtracts, err) &&
           json_get_bool(cfg, "use_glu_encoder", &m->glu, err) &&
           json_get_bool(cfg, "sparsity_include_decoder_norm", &m->with_decoder_norm, err);
}

static bool is_transcoder(const struct moss *m)
{
    return m->hook_in && m->hook_out && strcmp(m->hook_in, m->hook_out) != 0;
}

static bool check_options(const struct moss *m, struct err *err)
{
    if (strcmp(m->sae_type, "sae") != 0)
        return err_set(err, ERR_UNSUPPORTED, "sae_type is not read (found %s, expected sae)",
                       m->sae_type);
    if (is_transcoder(m) && m->norm && strcmp(m->norm, "token-wise") == 0)
        return err_set(err, ERR_UNSUPPORTED, "norm_activation of a transcoder is not read (found "
                                             "token-wise, expected dataset-wise or inference)");
    return true;
}

/* ---- tensors */

static bool bind_matrices(struct sae *sae, const struct keys *k, const struct moss *m,
                          bool is_new, const char *path, struct err *err)
{
    struct dialect_tensors t = {
        .W_enc = keys_tensor(k, is_new ? "W_E" : "encoder.weight"),
        .W_dec = keys_tensor(k, is_new ? "W_D" : "decoder.weight"),
        .b_enc = keys_tensor(k, is_new ? "b_E" : "encoder.bias"),
        .b_dec = m->use_decoder_bias ? keys_tensor(k, is_new ? "b_D" : "decoder.bias") : NULL,
        .W_glu = m->glu ? keys_tensor(k, is_new ? "W_E_glu" : "encoder_glu.weight") : NULL,
        .b_glu = m->glu ? keys_tensor(k, is_new ? "b_E_glu" : "encoder_glu.bias") : NULL,
        .W_enc_is_d_in_first = is_new,
        .W_dec_is_d_out_first = !is_new,
        .no_b_dec = !m->use_decoder_bias,
        .transcodes = is_transcoder(m),
    };
    if (m->glu && !t.W_glu)
        return err_set(err, ERR_MISSING, "there is no %s, though use_glu_encoder is true (found "
                       "none, expected a matrix)", is_new ? "W_E_glu" : "encoder_glu.weight");
    return dialect_bind(sae, &t, path, err);
}

static bool bind_log_threshold(struct sae *sae, const struct keys *k, struct err *err)
{
    static const char *const names[] = {"log_jumprelu_threshold",
                                        "activation_function.log_jumprelu_threshold"};
    for (size_t i = 0; i < 2 && !sae->threshold; i++) {
        if (!dialect_vector(keys_tensor(k, names[i]), names[i], sae->d_sae, &sae->threshold,
                            err))
            return false;
    }
    for (int64_t j = 0; sae->threshold && j < sae->d_sae; j++)
        sae->threshold[j] = expf(sae->threshold[j]);
    return true;
}

/* BatchTopK has no threshold until it is made a JumpReLU: what it selects depends on the
 * batch. */
static void note_batch(struct sae *sae, const struct moss *m)
{
    sae_add_note(sae, "batchtopk without thresholds selects in a whole batch: the k = %lld "
                      "largest of every token are taken instead", (long long)m->top_k);
}

/* What the activation is: a file with thresholds is a JumpReLU whatever it was trained as. */
static bool bind_activation(struct sae *sae, const struct keys *k, const struct moss *m,
                            struct err *err)
{
    bool jumps = strcmp(m->act_fn, "jumprelu") == 0;
    bool batch = strcmp(m->act_fn, "batchtopk") == 0;
    if (!bind_log_threshold(sae, k, err))
        return false;
    if (!sae->threshold && m->threshold > 0 && strcmp(m->act_fn, "relu") != 0 &&
        !dialect_threshold(sae, (float)m->threshold, err))
        return false;
    if (sae->threshold) {
        sae->arch = sae_arch_find("jumprelu");
    } else if (strcmp(m->act_fn, "topk") == 0 || batch) {
        sae->arch = sae_arch_find("topk");
        sae->k = m->top_k;
        if (batch)
            note_batch(sae, m);
    } else if (strcmp(m->act_fn, "relu") == 0 || jumps) {
        sae->arch = sae_arch_find(jumps ? "jumprelu" : "standard");
    } else {
        return err_set(err, ERR_UNSUPPORTED, "act_fn is not read (found %s, expected relu, "
                                             "jumprelu, topk or batchtopk)", m->act_fn);
    }
    if (sae->arch->selects && m->glu)
        return err_set(err, ERR_UNSUPPORTED, "act_fn is not read (found %s with "
                       "use_glu_encoder, expected relu or jumprelu)", m->act_fn);
    return sae->arch->check(sae, err);
}

/* ---- the forms */

static void divide(float *v, int64_t n, double by)
{
    for (int64_t i = 0; v && i < n; i++)
        v[i] = (float)(v[i] / by);
}

static bool scale_output(struct sae *sae, double by, struct err *err)
{
    sae->out_scale = mem_try((size_t)sae->d_sae, sizeof *sae->out_scale, "scales", err);
    for (int64_t j = 0; sae->out_scale && j < sae->d_sae; j++)
        sae->out_scale[j] = (float)by;
    return sae->out_scale != NULL;
}

static bool is_norm(const struct moss *m, const char *name)
{
    return m->norm && strcmp(m->norm, name) == 0;
}

static bool refuse_norm(const struct moss *m, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "norm_activation is not read (found %s, "
                   "expected token-wise, batch-wise, dataset-wise or inference)", m->norm);
}

/* As the loader of 2024: everything in the units of the activations as they are. */
static bool normalise_old(struct sae *sae, const struct moss *m,
                          const struct progress *progress, struct err *err)
{
    double ratio = 1; /* s_in / s_out, of the decoder */
    if (is_norm(m, "token-wise")) {
        sae->norm = SAE_NORM_CONSTANT;
    } else if (is_norm(m, "batch-wise")) {
        sae->needs_factor = true;
    } else if (is_norm(m, "dataset-wise")) {
        if (!(m->norm_in > 0))
            return err_set(err, ERR_MISSING, "there is no dataset_average_activation_norm.in (found none, "
                       "expected one: norm_activation is dataset-wise)");
        double norm_out = m->norm_out > 0 ? m->norm_out : m->norm_in;
        double s_in = sqrt((double)sae->d_in) / m->norm_in;
        double s_out = sqrt((double)sae->d_out) / norm_out;
        divide(sae->b_enc, sae->d_sae, s_in);
        divide(sae->b_dec, sae->d_out, s_out);
        ratio = s_in / s_out;
    } else if (m->norm && !is_norm(m, "none") && !is_norm(m, "inference")) {
        return refuse_norm(m, err);
    }
    if (m->with_decoder_norm) {
        if (!dialect_scale_by_norms(sae, progress, err))
            return false;
        divide(sae->act_scale, sae->d_sae, 1 / ratio);
    } else if (ratio != 1) {
        return scale_output(sae, ratio, err);
    }
    return true;
}

/* The mean norm of the data at a hook, as sqrt(d) over it: what x was multiplied by. */
static bool read_factor(const struct keys *k, const char *hook, int64_t d, double *factor)
{
    char name[200];
    double norm = 0;
    snprintf(name, sizeof name, "dataset_average_activation_norm.%.120s", hook ? hook : "");
    bool there = keys_number(k, name, &norm) && norm > 0 && isfinite(norm);
    *factor = there ? sqrt((double)d) / norm : 0;
    return there;
}

/* x times one factor, which a checkpoint of an interrupted run does not hold. A transcoder's
 * output is in the units of its own hook. */
static bool normalise_by_dataset(struct sae *sae, const struct keys *k, const struct moss *m,
                                 struct err *err)
{
    double in, out;
    bool transcodes = is_transcoder(m);
    if (!read_factor(k, m->hook_in, sae->d_in, &in) ||
        (transcodes && !read_factor(k, m->hook_out, sae->d_out, &out))) {
        sae->needs_factor = true;
        return true;
    }
    sae->norm = SAE_NORM_FACTOR;
    sae->norm_factor = (float)in;
    if (transcodes)
        divide(sae->b_dec, sae->d_out, out);
    return !transcodes || scale_output(sae, 1 / out, err);
}

/* Decoder norms decide what is on, and are in no activation. */
static bool gate_by_norms(struct sae *sae, const struct progress *progress, struct err *err)
{
    bool ranks = sae->arch->selects;
    if (!ranks && !sae->threshold)
        return true; /* above 0 or not: any scale will do */
    float *norms = mem_try((size_t)sae->d_sae, sizeof *norms, "decoder norms", err);
    bool ok = norms && weights_geometry(sae, 0, progress, norms, NULL, err);
    for (int64_t j = 0; ok && !ranks && j < sae->d_sae; j++)
        sae->threshold[j] = norms[j] > 0 ? sae->threshold[j] / norms[j] : INFINITY;
    if (ok && ranks) {
        sae->act_scale = norms;
        sae->scale_ranks = true;
        norms = NULL;
    }
    free(norms);
    return ok;
}

/* Since 2025 the caller multiplies x, and activations are in these units. */
static bool normalise_new(struct sae *sae, const struct keys *k, const struct moss *m,
                          const struct progress *progress, struct err *err)
{
    bool ok = true;
    if (is_norm(m, "token-wise"))
        sae->norm = SAE_NORM_CONSTANT;
    else if (is_norm(m, "batch-wise"))
        sae->needs_factor = true;
    else if (!m->norm || is_norm(m, "dataset-wise"))
        ok = normalise_by_dataset(sae, k, m, err);
    else if (!is_norm(m, "none") && !is_norm(m, "inference"))
        return refuse_norm(m, err);
    return ok && (!m->with_decoder_norm || gate_by_norms(sae, progress, err));
}

static void take_config(struct sae *sae, json_t *cfg, const struct moss *m)
{
    json_decref(sae->config);
    sae->config = json_incref(cfg);
    sae->hook = xstrdup(m->hook_in);
    sae->hook_out = is_transcoder(m) ? xstrdup(m->hook_out) : NULL;
}

/* is_new: the names of 2026; folds: the loader of 2024. */
static bool bind_file(struct sae *sae, const char *path, json_t *cfg, bool is_new, bool folds,
                      const struct progress *progress, struct err *err)
{
    struct moss m;
    struct keys k;
    if (!read_options(cfg, &m, err) || !check_options(&m, err))
        return false;
    take_config(sae, cfg, &m);
    struct container *file = dialect_container(sae, path, progress, err);
    if (!file || !keys_find(&k, file, is_new ? new_names : old_names, err) ||
        !bind_matrices(sae, &k, &m, is_new, path, err) ||
        !bind_activation(sae, &k, &m, err))
        return false;
    bool ok = folds ? normalise_old(sae, &m, progress, err)
                    : normalise_new(sae, &k, &m, progress, err);
    return ok && (!m.subtracts || !m.use_decoder_bias || dialect_subtract_b_dec(sae, err));
}

static bool bind(struct sae *sae, const struct checkpoint *c, const char *config,
                 const char *weights, bool is_new, const struct progress *progress,
                 struct err *err)
{
    char *path = checkpoint_weights(c, weights);
    json_t *cfg = checkpoint_json(c, config, err);
    bool folds = strcmp(config, CONFIG) != 0;
    bool ok = cfg && (bind_file(sae, path, cfg, is_new, folds, progress, err) ||
                      err_path(err, path));
    json_decref(cfg);
    free(path);
    return ok;
}

static const char *weights_of(const struct checkpoint *c)
{
    return checkpoint_offers(c, WEIGHTS) ? WEIGHTS : WEIGHTS_PT;
}

static bool is_beside_config(const struct checkpoint *c)
{
    return checkpoint_offers(c, weights_of(c)) && !checkpoint_has(c, "cfg.json") &&
           checkpoint_has(c, CONFIG);
}

/* ---- llama-scope */

static bool bind_llama(struct sae *sae, const struct checkpoint *c,
                       const struct progress *progress, struct err *err)
{
    const char *config = checkpoint_has(c, HYPERPARAMS)               ? HYPERPARAMS
                         : c->file && checkpoint_has(c, "../" HYPERPARAMS) ? "../" HYPERPARAMS
                                                                      : CONFIG;
    if (strcmp(config, CONFIG) == 0)
        return bind(sae, c, config, weights_of(c), false, progress, err);
    size_t i = 0, n = sizeof old_files / sizeof *old_files;
    while (!c->file && i < n && !checkpoint_has(c, old_files[i]))
        i++;
    if (i == n)
        return err_set(err, ERR_MISSING, "%s: no weights (found none, expected "
                "checkpoints/final.safetensors)", c->path);
    return bind(sae, c, config, old_files[i], false, progress, err);
}

/* Does the configuration beside sae_weights.safetensors speak of this library, and the file
 * have a tensor of that name? Reads headers alone. */
static bool has_weights(const struct checkpoint *c, const char *const *names)
{
    if (!is_beside_config(c))
        return false;
    char *path = checkpoint_weights(c, weights_of(c));
    struct container *file = container_open(path, NULL, NULL);
    struct keys k;
    bool has = file && keys_find(&k, file, names, NULL);
    container_close(file);
    free(path);
    return has;
}

static const char *recognise_llama(const struct checkpoint *c)
{
    bool below = checkpoint_is_file(c, ".safetensors") && checkpoint_has(c, "../" HYPERPARAMS);
    if (below || (checkpoint_has(c, HYPERPARAMS) &&
                  (!c->file || checkpoint_is_file(c, ".safetensors"))))
        return HYPERPARAMS;
    return has_weights(c, old_names) ? CONFIG " and " WEIGHTS : NULL;
}

const struct dialect dialect_llama_scope = {"llama-scope", recognise_llama, bind_llama};

/* ---- openmoss */

static bool bind_openmoss(struct sae *sae, const struct checkpoint *c,
                          const struct progress *progress, struct err *err)
{
    return bind(sae, c, CONFIG, weights_of(c), true, progress, err);
}

/* What else the library makes is told by its configuration, so that it can be refused. */
static const char *recognise_openmoss(const struct checkpoint *c)
{
    if (has_weights(c, new_names))
        return CONFIG " and " WEIGHTS " with W_E";
    json_t *cfg = is_beside_config(c) ? checkpoint_json(c, CONFIG, NULL) : NULL;
    bool theirs = json_is_string(json_object_get(cfg, "sae_type"));
    json_decref(cfg);
    return theirs ? "sae_type in " CONFIG : NULL;
}

const struct dialect dialect_openmoss = {"openmoss", recognise_openmoss, bind_openmoss};
