/*
 * dialect_saelens.c - SAELens (decoderesearch/SAELens), versions 2 to 6.
 *
 * A directory of cfg.json and sae_weights.safetensors. Version 6 has nested "metadata" and
 * always writes the options; the flat configurations before it leave out what is at its
 * default and use older names (hook_point, activation_fn_str). Both are read by the same
 * code, because the defaults are the same. cfg.json decides:
 *
 *   architecture                  with activation_fn(_str) "topk" of old TopK checkpoints,
 *                                 "tanh-relu" of some old ReLU ones
 *   apply_b_dec_to_input          true when absent
 *   normalize_activations         none, constant_norm_rescale, layer_norm,
 *                                 expected_average_only_in; old: true, false, null
 *   finetuning_scaling_factor     a vector that multiplies f before the decoder
 *   rescale_acts_by_decoder_norm  the decoder's norms belong to the activations
 *   k
 *
 * The tensors, not the configuration, decide the shapes and the precision.
 */
#include "model/dialect.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/dialect_keys.h"

#define CFG     "cfg.json"
#define WEIGHTS "sae_weights.safetensors"
#define SCALER  "activation_scaler.json"

/* --- keys --- */

/* Keys that describe the run, the model or the data and change no number here. */
static const char *const described_keys[] = {
    "act_store_device", "activation_fn", "activation_fn_kwargs", "activation_fn_str",
    "activation_fn_str_kwargs", "adam_beta1", "adam_beta2", "apply_b_dec_to_input",
    "architecture", "autocast", "autocast_lm", "aux_loss_coefficient",
    "b_dec_init_method", "batch_size", "cached_activations_path",
    "center_writing_weights", "checkpoint_path", "compile_llm", "compile_sae",
    "context_size", "d_in", "d_out", "d_sae", "dataset_path", "dataset_trust_remote_code",
    "dead_feature_estimation_method", "dead_feature_threshold", "dead_feature_window",
    "decoder_heuristic_init", "decoder_heuristic_init_norm", "decoder_init_norm",
    "decoder_orthogonal_init", "device", "disable_concat_sequences", "dtype",
    "eval_batch_size_prompts", "eval_every_n_wandb_logs", "exclude_special_tokens",
    "expansion_factor", "feature_reinit_scale", "feature_sampling_method",
    "feature_sampling_window", "finetuning_method", "finetuning_scaling_factor",
    "finetuning_tokens", "from_pretrained_path", "hf_hook_name", "hf_hook_name_out",
    "hook_eval", "hook_head_index", "hook_head_index_out", "hook_layer", "hook_layer_out",
    "hook_name", "hook_name_out", "hook_point", "hook_point_head_index",
    "hook_point_layer", "init_encoder_as_decoder_transpose", "is_dataset_tokenized",
    "jumprelu_bandwidth", "jumprelu_init_threshold", "jumprelu_sparsity_loss_mode",
    "jumprelu_tanh_scale", "k", "l0_coefficient", "l0_lambda", "l0_warm_up_steps",
    "l1_coefficient", "l1_warm_up_steps", "llm_compilation_mode",
    "log_activations_store_to_wandb", "log_optimizer_state_to_wandb", "log_to_wandb",
    "lp_norm", "lr", "lr_decay_steps", "lr_end", "lr_scheduler_name", "lr_warm_up_steps",
    "matryoshka_widths", "metadata", "model_class_name", "model_from_pretrained_kwargs",
    "model_kwargs", "model_name", "mse_loss_normalization", "n_batches_in_buffer",
    "n_checkpoints", "n_eval_batches", "n_restart_cycles", "neuronpedia_id",
    "noise_activation", "noise_scale", "normalize_activations", "normalize_sae_decoder",
    "pre_act_loss_coefficient", "prepend_bos", "resample_batches",
    "rescale_acts_by_decoder_norm", "reshape_activations", "resume", "run_name",
    "sae_compilation_mode", "sae_lens_training_version", "sae_lens_version",
    "scale_sparsity_penalty_by_decoder_norm", "seed", "seqpos_slice",
    "sequence_separator_token", "sparsity_penalty_decoder_norm_lookback",
    "sparsity_warm_up_steps", "step", "store_batch_size", "store_batch_size_prompts",
    "streaming", "tokens_per_buffer", "topk_threshold_lr", "total_training_tokens",
    "train_batch_size", "train_batch_size_tokens", "training", "training_tokens",
    "use_cached_activations", "use_ghost_grads", "use_sparse_activations", "verbose",
    "wandb_entity", "wandb_id", "wandb_log_frequency", "wandb_project",
};

static void list_ignored(struct sae *sae, const json_t *object)
{
    dialect_ignore_others(sae, object, described_keys,
                          sizeof described_keys / sizeof *described_keys);
}

/* cfg[key], else cfg.metadata[key]; NULL when it is in neither, or null. */
static const json_t *cfg_find(const json_t *cfg, const char *key)
{
    const json_t *v = json_object_get(cfg, key);
    if (!v || json_is_null(v))
        v = json_object_get(json_object_get(cfg, "metadata"), key);
    return v && !json_is_null(v) ? v : NULL;
}

static bool refuse(const json_t *cfg, const char *key, const char *expected,
                   struct err *err)
{
    char found[128];
    return err_set(err, ERR_UNSUPPORTED, "%s is not read (found %s, expected %s)", key,
                   json_brief(cfg_find(cfg, key), found, sizeof found), expected);
}

/* A string under either name, the newer first. */
static bool cfg_string(const json_t *cfg, const char *key, const char *old_key,
                       const char **out, struct err *err)
{
    const json_t *metadata = json_object_get(cfg, "metadata");
    return (!old_key || json_get_string(cfg, old_key, out, err)) &&
           json_get_string(metadata, key, out, err) && json_get_string(cfg, key, out, err);
}

/* --- what the configuration says --- */

enum threshold_form {
    THRESHOLD_NONE,
    THRESHOLD_VECTOR, /* threshold, or log_threshold: one a feature */
    THRESHOLD_SCALAR, /* topk_threshold, in checkpoints of running training */
};

struct saelens {
    const char *architecture; /* in sae_archs */
    enum sae_norm norm;
    bool expected_average; /* trained on x * s, s not in the configuration */
    bool subtracts_b_dec, scaling_factor, rescale;
    bool is_signed, saturates;
    bool transcodes, has_skip; /* b_dec is of the output then, never taken off the input */
    enum threshold_form threshold;
    int64_t k;
};

/* Architectures as cfg.json spells them. */
static const struct {
    const char *cfg, *ours;
    enum threshold_form threshold;
    bool has_k, transcodes, has_skip, is_signed;
} architectures[] = {
    {"standard",                 "standard",   THRESHOLD_NONE,   false, false, false, false},
    {"prolu",                    "prolu",      THRESHOLD_NONE,   false, false, false, false},
    {"gated",                    "gated",      THRESHOLD_NONE,   false, false, false, false},
    {"jumprelu",                 "jumprelu",   THRESHOLD_VECTOR, false, false, false, false},
    {"topk",                     "topk",       THRESHOLD_NONE,   true,  false, false, false},
    {"abstopk",                  "topk",       THRESHOLD_NONE,   true,  false, false, true},
    {"batchtopk",                "batchtopk",  THRESHOLD_SCALAR, true,  false, false, false},
    {"matryoshka_batchtopk",     "matryoshka", THRESHOLD_SCALAR, true,  false, false, false},
    {"transcoder",               "standard",   THRESHOLD_NONE,   false, true,  false, false},
    {"skip_transcoder",          "standard",   THRESHOLD_NONE,   false, true,  true,  false},
    {"jumprelu_transcoder",      "jumprelu",   THRESHOLD_VECTOR, false, true,  false, false},
    {"jumprelu_skip_transcoder", "jumprelu",   THRESHOLD_VECTOR, false, true,  true,  false},
};
#define N_ARCHITECTURES (sizeof architectures / sizeof *architectures)

/* k, as an option of the architecture or of the activation function it once was. */
static bool read_k(const json_t *cfg, struct saelens *s, struct err *err)
{
    const json_t *kwargs = cfg_find(cfg, "activation_fn_kwargs");
    if (!kwargs)
        kwargs = cfg_find(cfg, "activation_fn_str_kwargs");
    double k = NAN;
    if (!json_get_double(kwargs, "k", &k, err) || !json_get_double(cfg, "k", &k, err))
        return false;
    if (isnan(k))
        return err_set(err, ERR_MISSING, "no k (found none, expected 1 to d_sae)");
    if (strcmp(s->architecture, "topk") == 0 && k != floor(k))
        return err_set(err, ERR_RANGE, "bad k (found %.9g, expected a whole number)", k);
    if (!(k >= 1 && k <= (double)DIALECT_MAX_D_SAE))
        return err_set(err, ERR_RANGE, "bad k (found %.9g, expected 1 to d_sae)", k);
    s->k = (int64_t)k; /* BatchTopK may have half a feature a token on average */
    return true;
}

static bool read_architecture(const json_t *cfg, struct saelens *s, struct err *err)
{
    const char *name = "standard", *fn = "relu";
    if (!json_get_string(cfg, "architecture", &name, err) ||
        !cfg_string(cfg, "activation_fn", "activation_fn_str", &fn, err))
        return false;
    s->saturates = strcmp(fn, "tanh-relu") == 0;
    if (strcmp(fn, "topk") != 0 && strcmp(fn, "relu") != 0 && !s->saturates)
        return refuse(cfg, cfg_find(cfg, "activation_fn") ? "activation_fn"
                                                          : "activation_fn_str",
                      "relu, topk or tanh-relu", err);
    if (s->saturates && strcmp(name, "standard") != 0)
        return refuse(cfg, "architecture", "standard, as the activation function is tanh-relu",
                      err);
    if (strcmp(fn, "topk") == 0 && strcmp(name, "standard") == 0)
        name = "topk"; /* before version 6 */
    for (size_t i = 0; i < N_ARCHITECTURES; i++)
        if (strcmp(architectures[i].cfg, name) == 0) {
            s->architecture = architectures[i].ours;
            s->threshold = architectures[i].threshold;
            s->transcodes = architectures[i].transcodes;
            s->has_skip = architectures[i].has_skip;
            s->is_signed = architectures[i].is_signed;
            return !architectures[i].has_k || read_k(cfg, s, err);
        }
    return refuse(cfg, "architecture",
                  "standard, gated, jumprelu, topk, abstopk, batchtopk, matryoshka_batchtopk, prolu or a "
                  "transcoder", err);
}

static bool read_norm(const json_t *cfg, struct saelens *s, struct err *err)
{
    const json_t *v = cfg_find(cfg, "normalize_activations");
    const char *name = !v || json_is_false(v) ? "none"
                       : json_is_true(v)      ? "expected_average_only_in"
                       : json_is_string(v)    ? json_string_value(v)
                                              : "";
    if (strcmp(name, "constant_norm_rescale") == 0)
        s->norm = SAE_NORM_CONSTANT;
    else if (strcmp(name, "layer_norm") == 0)
        s->norm = SAE_NORM_LAYER;
    else if (strcmp(name, "expected_average_only_in") == 0)
        s->expected_average = true;
    else if (strcmp(name, "none") != 0)
        return refuse(cfg, "normalize_activations",
                      "none, constant_norm_rescale, layer_norm or expected_average_only_in",
                      err);
    return true;
}

/* Values that must be known because the input depends on them, and change nothing else. */
static bool check_reshape(const json_t *cfg, struct err *err)
{
    const char *reshape = "none";
    if (!json_get_string(cfg, "reshape_activations", &reshape, err))
        return false;
    if (strcmp(reshape, "none") != 0 && strcmp(reshape, "hook_z") != 0)
        return refuse(cfg, "reshape_activations", "none or hook_z", err);
    return true;
}

static bool read_options(const json_t *cfg, struct saelens *s, struct err *err)
{
    *s = (struct saelens){.subtracts_b_dec = true};
    if (!read_architecture(cfg, s, err) || !read_norm(cfg, s, err) ||
        !check_reshape(cfg, err))
        return false;
    s->rescale = s->threshold == THRESHOLD_SCALAR; /* on for SAELens' training classes */
    return json_get_bool(cfg, "apply_b_dec_to_input", &s->subtracts_b_dec, err) &&
           json_get_bool(cfg, "finetuning_scaling_factor", &s->scaling_factor, err) &&
           json_get_bool(cfg, "rescale_acts_by_decoder_norm", &s->rescale, err);
}

/* --- what is only told --- */

static bool note_dtype(struct sae *sae, const json_t *cfg, struct err *err)
{
    const char *name = dtype_info[sae->dtype].name;
    if (!json_get_string(cfg, "dtype", &name, err))
        return false;
    const char *plain = strncmp(name, "torch.", 6) == 0 ? name + 6 : name;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (!dtype_info[d].is_float || strcmp(dtype_info[d].name, plain) != 0)
            continue;
        if (d != (int)sae->dtype && dtype_info[d].size <= dtype_info[sae->dtype].size)
            sae_add_note(sae, "cfg.json: dtype is %s, the weights are stored and used as %s",
                         plain, dtype_info[sae->dtype].name);
        return true;
    }
    return refuse(cfg, "dtype", "float64, float32, float16 or bfloat16", err);
}

static bool note_size(struct sae *sae, const json_t *cfg, const char *key, int64_t stored,
                      struct err *err)
{
    int64_t said = stored;
    if (!json_get_int(cfg, key, &said, err))
        return false;
    if (said != stored)
        sae_add_note(sae, "cfg.json: %s is %lld, the weights have %lld", key,
                     (long long)said, (long long)stored);
    return true;
}

static bool read_metadata(struct sae *sae, const json_t *cfg, const struct saelens *s,
                          struct err *err)
{
    const json_t *metadata = json_object_get(cfg, "metadata");
    const char *hook = NULL, *hook_out = NULL;
    if (!cfg_string(cfg, "hook_name", "hook_point", &hook, err) ||
        !cfg_string(cfg, "hook_name_out", NULL, &hook_out, err) ||
        !json_get_bool(metadata, "prepend_bos", &sae->prepend_bos, err) ||
        !json_get_bool(cfg, "prepend_bos", &sae->prepend_bos, err) ||
        !json_get_double(json_object_get(metadata, "training"), "l1_coefficient", &sae->l1,
                         err) ||
        !json_get_double(metadata, "l1_coefficient", &sae->l1, err) ||
        !json_get_double(cfg, "l1_coefficient", &sae->l1, err) ||
        !note_size(sae, cfg, "d_in", sae->d_in, err) ||
        !note_size(sae, cfg, "d_sae", sae->d_sae, err) ||
        (s->transcodes && !note_size(sae, cfg, "d_out", sae->d_out, err)))
        return false;
    sae->hook = xstrdup(hook);
    sae->hook_out = sae_rebuilds_input(sae) ? NULL : xstrdup(hook_out);
    const json_t *head = cfg_find(cfg, "hook_head_index");
    if (!head)
        head = cfg_find(cfg, "hook_point_head_index");
    if (json_is_integer(head))
        sae_add_note(sae, "it reads attention head %lld only",
                     (long long)json_integer_value(head));
    const json_t *kwargs = cfg_find(cfg, "model_from_pretrained_kwargs");
    if (json_is_true(json_object_get(kwargs, "center_writing_weights")))
        sae_add_note(sae, "trained with center_writing_weights: it expects activations with "
                          "their mean over d_in taken off");
    list_ignored(sae, cfg);
    if (json_is_object(metadata))
        list_ignored(sae, metadata);
    return true;
}

/* --- parameters that not every checkpoint has --- */

/* log_threshold of JumpReLU in training: threshold = exp(log_threshold). */
static bool bind_log_threshold(struct sae *sae, const struct tensor *t, struct err *err)
{
    if (sae->threshold || !t)
        return true;
    if (!dialect_vector(t, "log_threshold", sae->d_sae, &sae->threshold, err))
        return false;
    for (int64_t j = 0; j < sae->d_sae; j++)
        sae->threshold[j] = expf(sae->threshold[j]);
    return true;
}

/* topk_threshold of BatchTopK in training: one number for all features. */
static bool bind_topk_threshold(struct sae *sae, const struct tensor *t, struct saelens *s,
                                struct err *err)
{
    if (sae->threshold)
        return true;
    if (!t) {
        sae_add_note(sae, "there is no topk_threshold: the k = %lld largest of every token "
                          "are taken instead", (long long)s->k);
        s->architecture = "topk";
        return true;
    }
    char shape[64];
    if (!dtype_info[t->dtype].is_float || tensor_count(t) != 1)
        return err_set(err, ERR_SHAPE, "bad topk_threshold (found %s %s, expected one number)",
                       dtype_info[t->dtype].name, tensor_shape_text(t, shape, sizeof shape));
    float value;
    tensor_read_f32(t, 0, 1, &value);
    sae->threshold = mem_try((size_t)sae->d_sae, sizeof(float), "threshold", err);
    for (int64_t j = 0; sae->threshold && j < sae->d_sae; j++)
        sae->threshold[j] = value;
    return sae->threshold != NULL;
}

/* The factor of fine-tuned SAEs: y = (f * factor) W_dec + b_dec. All ones says nothing. */
static bool bind_scaling_factor(struct sae *sae, dialect_find_fn *find,
                                const struct saelens *s, struct err *err)
{
    const char *name = "finetuning_scaling_factor";
    const struct tensor *t = find(sae, name);
    if (!t)
        t = find(sae, name = "scaling_factor");
    if (!t) { /* the library's own loader takes this for no factor */
        if (s->scaling_factor)
            sae_add_note(sae, "cfg.json: finetuning_scaling_factor is true, but the file has "
                              "none: activations count as they are");
        return true;
    }
    if (!dialect_vector(t, name, sae->d_sae, &sae->out_scale, err))
        return false;
    bool ones = true;
    for (int64_t j = 0; j < sae->d_sae; j++)
        ones = ones && sae->out_scale[j] == 1;
    if (!ones && !s->scaling_factor)
        return err_set(err, ERR_FORMAT, "bad %s (found other values than 1, expected ones: in "
                       "cfg.json finetuning_scaling_factor is false)", name);
    if (ones) {
        free(sae->out_scale);
        sae->out_scale = NULL;
    }
    return true;
}

static bool bind_tensors(struct sae *sae, dialect_find_fn *find, struct saelens *s,
                         struct err *err)
{
    if ((s->threshold == THRESHOLD_VECTOR &&
         !bind_log_threshold(sae, find(sae, "log_threshold"), err)) ||
        (s->threshold == THRESHOLD_SCALAR &&
         !bind_topk_threshold(sae, find(sae, "topk_threshold"), s, err)) ||
        !bind_scaling_factor(sae, find, s, err))
        return false;
    sae->arch = sae_arch_find(s->architecture);
    sae->k = s->k;
    sae->norm = s->norm;
    sae->is_signed = s->is_signed;
    sae->saturates = s->saturates;
    return (!s->subtracts_b_dec || s->transcodes || dialect_subtract_b_dec(sae, err)) && sae->arch->check(sae, err);
}

/* The tensors of this architecture; others that the file may hold mean nothing. */
static struct dialect_tensors find_tensors(const struct sae *sae, dialect_find_fn *find,
                                           const struct saelens *s)
{
    struct dialect_tensors t = {
        .W_enc = find(sae, "W_enc"),
        .W_dec = find(sae, "W_dec"),
        .b_dec = find(sae, "b_dec"),
        .W_enc_is_d_in_first = true,
        .transcodes = s->transcodes,
        .W_skip = s->has_skip ? find(sae, "W_skip") : NULL,
    };
    if (strcmp(s->architecture, "gated") == 0) {
        t.b_gate = find(sae, "b_gate");
        t.b_mag = find(sae, "b_mag");
        t.r_mag = find(sae, "r_mag");
    } else {
        t.b_enc = find(sae, "b_enc");
    }
    if (s->threshold == THRESHOLD_VECTOR)
        t.threshold = find(sae, "threshold");
    return t;
}

/* Parameters of other architectures than the one that cfg.json tells: one of both is wrong. */
static void note_unused(struct sae *sae, dialect_find_fn *find, const struct saelens *s)
{
    bool gated = strcmp(s->architecture, "gated") == 0;
    const struct {
        const char *name;
        bool used;
    } parameters[] = {
        {"threshold", s->threshold == THRESHOLD_VECTOR},
        {"log_threshold", s->threshold == THRESHOLD_VECTOR},
        {"topk_threshold", s->threshold == THRESHOLD_SCALAR},
        {"b_gate", gated}, {"b_mag", gated}, {"r_mag", gated},
        {"W_skip", s->has_skip},
    };
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (!parameters[i].used && find(sae, parameters[i].name))
            sae_add_note(sae, "the file has '%s', which the architecture of cfg.json has no use "
                              "for: is it another one?", parameters[i].name);
}

/* expected_average_only_in: trained on x times one factor that cfg.json does not hold. */
static void apply_input_factor(struct sae *sae, double factor)
{
    if (factor > 0) {
        sae->norm = SAE_NORM_FACTOR;
        sae->norm_factor = (float)factor;
        sae_add_note(sae, "activations are multiplied by %.9g (" SCALER ")", factor);
    } else {
        sae->needs_factor = true;
    }
}

bool dialect_bind_saelens(struct sae *sae, json_t *cfg, const struct dialect_source *from,
                          const struct progress *progress, struct err *err)
{
    const char *path = from->path, *cfg_path = from->cfg_path;
    struct saelens s;
    json_decref(sae->config);
    sae->config = json_incref(cfg);
    if (!read_options(cfg, &s, err))
        return err_path(err, cfg_path);
    struct dialect_tensors t = find_tensors(sae, from->find, &s);
    if (s.has_skip && !t.W_skip)
        return err_set(err, ERR_MISSING, "%s: there is no W_skip (found none, expected a matrix)",
                       path);
    if (!dialect_bind(sae, &t, path, err))
        return false;
    if (!read_metadata(sae, cfg, &s, err) || !note_dtype(sae, cfg, err))
        return err_path(err, cfg_path);
    if (!bind_tensors(sae, from->find, &s, err))
        return err_path(err, path);
    note_unused(sae, from->find, &s);
    if (s.expected_average)
        apply_input_factor(sae, from->input_factor);
    bool scales = s.rescale && (s.k > 0 || from->extended);
    return !scales || dialect_scale_by_norms(sae, progress, err) || err_path(err, path);
}

/* --- the dialect --- */

static const struct tensor *find_in_file(const struct sae *sae, const char *name)
{
    return container_find(sae->containers[0], name);
}

bool dialect_read_scaler(const struct checkpoint *c, double *factor, struct err *err)
{
    *factor = 0;
    if (!checkpoint_has(c, SCALER))
        return true;
    json_t *scaler = checkpoint_json(c, SCALER, err);
    bool ok = scaler && json_get_double(scaler, "scaling_factor", factor, err);
    json_decref(scaler);
    if (ok && *factor != 0 && !(*factor > FLT_MIN && *factor < FLT_MAX))
        ok = err_set(err, ERR_FORMAT, "bad scaling_factor (found %.9g, expected more than 0)",
                     *factor);
    if (!ok) {
        char *path = checkpoint_sibling(c, SCALER);
        err_path(err, path);
        free(path);
    }
    return ok;
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    char *path = checkpoint_weights(c, WEIGHTS), *cfg_path = checkpoint_sibling(c, CFG);
    struct dialect_source from = {.find = find_in_file, .path = path, .cfg_path = cfg_path};
    json_t *cfg = checkpoint_json(c, CFG, err);
    bool ok = cfg && dialect_read_scaler(c, &from.input_factor, err) &&
              dialect_container(sae, path, progress, err) &&
              dialect_bind_saelens(sae, cfg, &from, progress, err);
    json_decref(cfg);
    free(path);
    free(cfg_path);
    return ok;
}

/* Without its cfg.json it is one all the same, and binding says what is missing; a
 * config.json beside the weights makes it another library's. */
static const char *recognise(const struct checkpoint *c)
{
    if (!checkpoint_offers(c, WEIGHTS))
        return NULL;
    return checkpoint_has(c, CFG)            ? CFG " and " WEIGHTS
           : checkpoint_has(c, "config.json") ? NULL
                                              : WEIGHTS;
}

const struct dialect dialect_saelens = {"saelens", recognise, bind};
