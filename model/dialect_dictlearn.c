/*
 * dialect_dictlearn.c - dictionary_learning (saprmarks/dictionary_learning), and the same
 * weights under the names that SAEBench gives them.
 *
 * ae.pt, or checkpoints/ae_STEP.pt, beside or below a config.json with "trainer". The names
 * of the tensors say where they are, "dict_class" what they mean:
 *
 *   AutoEncoder            relu((x - bias) W_enc + b_enc); of the April update's trainer with
 *                          free decoder norms, which its loader folds
 *   AutoEncoderNew         relu(x W_enc + b_enc), reported times the decoder's norms
 *   GatedAutoEncoder
 *   JumpReluAutoEncoder    b_dec is not taken off
 *   AutoEncoderTopK        k, in the file or the configuration
 *   BatchTopKSAE           a scalar threshold; below 0 it was never set
 *   MatryoshkaBatchTopKSAE the same; group_sizes mattered in training
 *   IdentityDict           x itself; it has no weights
 *
 * SAEBench's PCA, W_enc, W_dec and mean: (x - mean) W_enc, of either sign.
 *
 * Without a configuration the names decide. While training runs, a backup may have the
 * weights below "ae", for inputs divided by its norm_factor.
 *
 * Source: dictionary.py, trainers/ and utils.py of the library.
 */
#include "model/dialect.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/dialect_keys.h"

#define WEIGHTS "ae.pt"
#define CONFIG  "config.json"
#define HUB_WEIGHTS "model.safetensors" /* as the hub's mixin saves a model */

#define PLACE_LEVELS 3    /* directories whose names may say the place */
#define MAX_IDENTITY 8192 /* dimensions of an IdentityDict, whose matrices are made */

/* Any of these says where the weights are. */
static const char *const anchors[] = {"encoder.weight", "W_enc", NULL};

static const char *const described_keys[] = {
    "activation_dim", "auxk_alpha", "bandwidth", "buffer", "config", "decay_start",
    "device", "dict_class", "dict_size", "group_fractions", "group_sizes", "group_weights", "k",
    "k_anneal_steps", "l1_penalty", "layer", "lm_name", "lr", "resample_steps", "seed",
    "sparsity_function", "sparsity_penalty", "sparsity_queue_length", "sparsity_update_steps",
    "sparsity_warmup_steps", "steps", "submodule_name", "target_l0", "threshold_beta",
    "threshold_start_step", "trainer", "trainer_class", "use_threshold", "wandb_name",
    "warmup_steps",
};

enum kind {
    STANDARD, STANDARD_NEW, GATED, JUMPRELU, TOPK, BATCHTOPK, MATRYOSHKA, IDENTITY, PCA, N_KINDS
};

static const struct {
    const char *arch;
    bool subtracts_b_dec, has_k;
} kinds[N_KINDS] = {
    [STANDARD]     = {"standard",   true,  false},
    [STANDARD_NEW] = {"standard",   false, false},
    [GATED]        = {"gated",      true,  false},
    [JUMPRELU]     = {"jumprelu",   false, false},
    [TOPK]         = {"topk",       true,  true},
    [BATCHTOPK]    = {"batchtopk",  true,  true},
    [MATRYOSHKA]   = {"matryoshka", true,  true},
    [IDENTITY]     = {"identity",   false, false},
    [PCA]          = {"pca",        true,  false},
};

/* Names of dict_class, then of trainer_class, which old configurations have alone; some with
 * the spellings of their day. */
static const struct {
    const char *name;
    enum kind kind;
} classes[] = {
    {"AutoEncoder", STANDARD},
    {"AutoEncoderNew", STANDARD_NEW},
    {"GatedAutoEncoder", GATED},
    {"JumpReluAutoEncoder", JUMPRELU},
    {"AutoEncoderTopK", TOPK},
    {"BatchTopKSAE", BATCHTOPK},
    {"MatryoshkaBatchTopKSAE", MATRYOSHKA},
    {"MatroyshkaBatchTopKSAE", MATRYOSHKA},
    {"IdentityDict", IDENTITY},
    {"StandardTrainer", STANDARD},
    {"StandardTrainerAprilUpdate", STANDARD},
    {"PAnnealTrainer", STANDARD},
    {"StandardTrainerNew", STANDARD_NEW},
    {"PAnnealTrainerNew", STANDARD_NEW},
    {"GatedSAETrainer", GATED},
    {"GatedTrainerNew", GATED},
    {"GatedAnnealTrainer", GATED},
    {"JumpReluTrainer", JUMPRELU},
    {"TrainerJumpRelu", JUMPRELU},
    {"TopKTrainer", TOPK},
    {"TrainerTopK", TOPK},
    {"BatchTopKTrainer", BATCHTOPK},
    {"MatryoshkaBatchTopKTrainer", MATRYOSHKA},
    {"MatroyshkaBatchTopKTrainer", MATRYOSHKA},
};

struct dictlearn {
    struct keys keys;
    const json_t *trainer; /* NULL: there is no configuration */
    enum kind kind;
    bool april;
    double threshold; /* NaN: there is no scalar one */
    double k;         /* 0: not known */
    double k_said;    /* by the configuration; likewise */
};

static const struct tensor *any_of(const struct keys *k, const char *a, const char *b,
                                   const char *c, const char *d)
{
    const char *const names[] = {a, b, c, d};
    const struct tensor *t = NULL;
    for (int i = 0; i < 4 && names[i] && !t; i++)
        t = keys_tensor(k, names[i]);
    return t;
}

static struct dialect_tensors find_tensors(const struct keys *k)
{
    struct dialect_tensors t = {
        .W_enc = any_of(k, "W_enc", "encoder.weight", NULL, NULL),
        .W_dec = any_of(k, "W_dec", "decoder.weight", "decoder", NULL),
        .b_dec = any_of(k, "b_dec", "bias", "decoder_bias", "decoder.bias"),
        .W_enc_is_d_in_first = keys_tensor(k, "W_enc") != NULL,
        .W_dec_is_d_out_first = !keys_tensor(k, "W_dec") && keys_tensor(k, "decoder.weight"),
    };
    return t;
}

/* --- the class --- */

/* BatchTopKSAE in "<class 'dictionary_learning.trainers.batch_top_k.BatchTopKSAE'>". */
static size_t last_word(const char *name, const char **word)
{
    const char *end = name + strlen(name);
    while (end > name && !isalnum((unsigned char)end[-1]))
        end--;
    *word = end;
    while (*word > name && (isalnum((unsigned char)(*word)[-1]) || (*word)[-1] == '_'))
        --*word;
    return (size_t)(end - *word);
}

static bool kind_by_class(const char *name, enum kind *kind)
{
    const char *word;
    size_t n = name ? last_word(name, &word) : 0;
    for (size_t i = 0; n && i < sizeof classes / sizeof *classes; i++)
        if (strlen(classes[i].name) == n && strncmp(classes[i].name, word, n) == 0) {
            *kind = classes[i].kind;
            return true;
        }
    return false;
}

static enum kind kind_by_names(const struct dictlearn *d)
{
    const struct keys *k = &d->keys;
    const struct tensor *threshold = keys_tensor(k, "threshold");
    if (keys_tensor(k, "gate_bias") || keys_tensor(k, "b_gate"))
        return GATED;
    if (keys_tensor(k, "W_enc") && keys_tensor(k, "mean") && !keys_tensor(k, "b_enc"))
        return PCA;
    if (keys_tensor(k, "group_sizes"))
        return MATRYOSHKA;
    if (threshold && threshold->ndim == 1 && tensor_count(threshold) > 1)
        return JUMPRELU;
    if (keys_tensor(k, "bias") || keys_tensor(k, "decoder.bias"))
        return keys_tensor(k, "bias") ? STANDARD : STANDARD_NEW;
    if (d->threshold >= 0)
        return BATCHTOPK;
    bool selects = !isnan(d->threshold) || d->k > 0 || keys_tensor(k, "encoder.weight");
    return selects ? TOPK : STANDARD;
}

/* Tensors cannot tell TopK from BatchTopK, whose names are the same. */
static bool may_be(enum kind said, enum kind by_names)
{
    return said == by_names || (kinds[said].has_k && kinds[by_names].has_k);
}

static bool choose_kind(struct sae *sae, struct dictlearn *d, struct err *err)
{
    const char *dict_class = NULL, *trainer_class = NULL;
    if (!json_get_string(d->trainer, "dict_class", &dict_class, err) ||
        !json_get_string(d->trainer, "trainer_class", &trainer_class, err))
        return false;
    const char *said = dict_class ? dict_class : trainer_class;
    enum kind by_names = kind_by_names(d);
    d->april = trainer_class && strcmp(trainer_class, "StandardTrainerAprilUpdate") == 0;
    if (kind_by_class(dict_class, &d->kind) || kind_by_class(trainer_class, &d->kind)) {
        if (!may_be(d->kind, by_names))
            sae_add_note(sae, "its class is %.100s, its tensors are those of %s: taken for what "
                              "the class says", said, kinds[by_names].arch);
        return true;
    }
    d->kind = by_names;
    if (said)
        sae_add_note(sae, "its class %.100s is not known: taken for %s by the names of its "
                          "tensors", said, kinds[d->kind].arch);
    else
        sae_add_note(sae, "nothing says its class: taken for %s by the names of its tensors%s",
                     kinds[d->kind].arch,
                     d->kind == BATCHTOPK ? ", which TopK has too" : "");
    return true;
}

/* --- k and thresholds --- */

static void read_scalars(struct dictlearn *d)
{
    static const char *const places[] = {"k", "cfg.k", "config.k", "config.trainer.k"};
    d->threshold = NAN;
    keys_number(&d->keys, "threshold", &d->threshold);
    struct keys top = {.c = d->keys.c};
    if (!keys_number(&d->keys, "k", &d->k))
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (keys_number(&top, places[i], &d->k))
                break;
    const json_t *k = json_object_get(d->trainer, "k");
    d->k_said = json_is_number(k) ? json_number_value(k) : 0;
    if (!(d->k > 0))
        d->k = d->k_said;
}

static bool bind_selection(struct sae *sae, struct dictlearn *d, struct err *err)
{
    if (!kinds[d->kind].has_k)
        return true;
    bool by_threshold = d->kind != TOPK && d->threshold >= 0;
    if (d->k >= 1 && d->k <= (double)sae->d_sae)
        sae->k = (int64_t)d->k;
    else if (!by_threshold)
        return err_set(err, ERR_MISSING, "there is no k in the file or in " CONFIG " (found none, "
                       "expected 1 to %lld)", (long long)sae->d_sae);
    if (d->k_said > 0 && d->k_said != d->k)
        sae_add_note(sae, CONFIG ": k is %.9g, the file has %.9g", d->k_said, d->k);
    if (by_threshold)
        return dialect_threshold(sae, (float)d->threshold, err);
    if (d->kind != TOPK) {
        sae_add_note(sae, "its threshold was never set: the k = %lld largest of every token "
                          "are taken instead", (long long)sae->k);
        sae->arch = sae_arch_find("topk");
    }
    return true;
}

/* --- a backup of running training --- */

static void scale(float *v, int64_t n, double by)
{
    for (int64_t i = 0; v && i < n; i++)
        v[i] = (float)(v[i] * by);
}

/* The library multiplies the biases by norm_factor when it saves the finished weights: they
 * then are for inputs as they are. Here it has not happened yet. */
static void undo_normalisation(struct sae *sae, const struct dictlearn *d)
{
    struct keys top = {.c = d->keys.c};
    double by = 0;
    if (strncmp(d->keys.prefix, "ae.", 3) != 0 || !container_value(top.c, "step"))
        return;
    if (keys_number(&top, "norm_factor", &by) && by > 0 && isfinite(by)) {
        float *of_features[] = {sae->b_enc, sae->threshold, sae->b_gate, sae->b_mag};
        for (size_t i = 0; i < sizeof of_features / sizeof *of_features; i++)
            scale(of_features[i], sae->d_sae, by);
        scale(sae->b_dec, sae->d_out, by);
        sae_add_note(sae, "a backup of running training: biases are multiplied by its "
                          "norm_factor %.9g", by);
    } else {
        sae_add_note(sae, "a backup of running training without norm_factor: its biases may "
                          "be for activations of another scale");
    }
}

/* --- what is only told --- */

static void list_ignored(struct sae *sae, const json_t *object)
{
    dialect_ignore_others(sae, object, described_keys,
                          sizeof described_keys / sizeof *described_keys);
}

/* The place's name as the library writes it; else, as names are free, what its buffer
 * reads: the output of block `layer`. "resid_pre_layer_1" is such a name. Old ones are told
 * by their directories alone: mlp_out_layer3/10_32768, resid_post_layer_8/trainer_0. */
static bool read_hook(struct sae *sae, const struct checkpoint *c, const json_t *cfg,
                      const json_t *trainer, struct err *err)
{
    const char *place = NULL, *io = NULL;
    int64_t layer = -1;
    if (!json_get_string(trainer, "submodule_name", &place, err) ||
        !json_get_string(json_object_get(cfg, "buffer"), "io", &io, err))
        return false;
    if (!json_get_int(trainer, "layer", &layer, NULL))
        layer = -1; /* some runs have a list */
    bool free_name = !place || strncmp(place, "resid_pre_", 10) == 0;
    if (free_name && layer >= 0 && io && strcmp(io, "out") == 0)
        sae->hook = xasprintf("blocks.%lld.hook_resid_post", (long long)layer);
    else if (place)
        sae->hook = hook_of_place(place);
    if (!sae->hook)
        sae->hook = hook_of_directory(c, PLACE_LEVELS);
    return true;
}

static bool note_size(struct sae *sae, const json_t *trainer, const char *key,
                      int64_t stored, struct err *err)
{
    int64_t said = stored;
    if (!json_get_int(trainer, key, &said, err))
        return false;
    if (said != stored)
        sae_add_note(sae, CONFIG ": %s is %lld, the weights have %lld", key, (long long)said,
                     (long long)stored);
    return true;
}

/* N of ae_N.pt and checkpoint_N.pt; -1: another name. */
static int64_t step_in_name(const char *name)
{
    static const char *const heads[] = {"ae_", "checkpoint_"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        size_t n = strlen(heads[i]);
        char *end;
        if (strncmp(name, heads[i], n) != 0 || !isdigit((unsigned char)name[n]))
            continue;
        long long step = strtoll(name + n, &end, 10);
        if (strcmp(end, ".pt") == 0 && step < 1000000000000000)
            return step;
    }
    return -1;
}

static bool read_told(struct sae *sae, const struct checkpoint *c, const struct dictlearn *d,
                      struct err *err)
{
    double step;
    struct keys top = {.c = d->keys.c};
    if (keys_number(&top, "step", &step) && step >= 0 && step < 1e15)
        sae->step = (int64_t)step;
    else if (c->file)
        sae->step = step_in_name(c->file);
    list_ignored(sae, sae->config);
    if (d->trainer != sae->config)
        list_ignored(sae, d->trainer);
    if (d->kind != PCA)
        keys_note_mean(sae, &d->keys);
    return note_size(sae, d->trainer, "activation_dim", sae->d_in, err) &&
           note_size(sae, d->trainer, "dict_size", sae->d_sae, err) &&
           json_get_double(d->trainer, "l1_penalty", &sae->l1, NULL) &&
           read_hook(sae, c, sae->config, d->trainer, err);
}

/* --- the dialect --- */

/* model.safetensors is what everything is called there: the configuration tells. */
static bool is_of_hub(const struct checkpoint *c)
{
    if (checkpoint_has(c, WEIGHTS) || !checkpoint_has(c, HUB_WEIGHTS) ||
        !checkpoint_has(c, CONFIG))
        return false;
    json_t *cfg = checkpoint_json(c, CONFIG, NULL);
    bool ours = json_object_get(cfg, "activation_dim") && json_object_get(cfg, "dict_size");
    json_decref(cfg);
    return ours;
}

/* config.json beside the file, or above its "checkpoints". A new reference; *cfg stays NULL
 * when there is none. */
static bool read_config(const struct checkpoint *c, json_t **cfg, struct err *err)
{
    static const char *const names[] = {CONFIG, "../" CONFIG};
    for (size_t i = 0; i < 2; i++)
        if ((i == 0 || c->file) && checkpoint_has(c, names[i])) {
            *cfg = checkpoint_json(c, names[i], err);
            if (!*cfg || json_is_object(json_object_get(*cfg, "trainer")) ||
                json_object_get(*cfg, "activation_dim"))
                return *cfg != NULL;
            json_decref(*cfg); /* another program's */
            *cfg = NULL;
        }
    return true;
}

static bool bind_tensors(struct sae *sae, struct dictlearn *d, const char *path,
                         struct err *err)
{
    const struct keys *k = &d->keys;
    struct dialect_tensors t = find_tensors(k);
    if (d->kind == PCA) {
        t.b_dec = keys_tensor(k, "mean");
    } else if (d->kind == GATED) {
        t.b_gate = any_of(k, "gate_bias", "b_gate", NULL, NULL);
        t.b_mag = any_of(k, "mag_bias", "b_mag", NULL, NULL);
        t.r_mag = keys_tensor(k, "r_mag");
    } else {
        t.b_enc = any_of(k, "b_enc", "encoder.bias", NULL, NULL);
    }
    if (d->kind == JUMPRELU)
        t.threshold = keys_tensor(k, "threshold");
    if (!dialect_bind(sae, &t, path, err))
        return false;
    sae->arch = sae_arch_find(kinds[d->kind].arch);
    if (d->kind == PCA && !dialect_zero_bias(sae, err))
        return false;
    if (!bind_selection(sae, d, err))
        return false;
    undo_normalisation(sae, d);
    return (!kinds[d->kind].subtracts_b_dec || dialect_subtract_b_dec(sae, err)) &&
           sae->arch->check(sae, err);
}

/* IdentityDict: x as it is, of as many dimensions as the configuration says. */
static bool bind_identity(struct sae *sae, const struct checkpoint *c, const json_t *trainer,
                          struct err *err)
{
    int64_t d = 0;
    if (!json_get_int(trainer, "activation_dim", &d, err))
        return false;
    if (d < 1 || d > MAX_IDENTITY)
        return err_set(err, ERR_RANGE, "bad activation_dim of an IdentityDict (found %lld, "
                       "expected 1 to %d)", (long long)d, MAX_IDENTITY);
    if (!scratch_init(&sae->made, NULL, (size_t)(d * d) * sizeof(float), "identity", err))
        return false;
    float *one = sae->made.data;
    for (int64_t i = 0; i < d; i++)
        one[i * d + i] = 1;
    struct tensor *t = sae_add_view(sae);
    *t = (struct tensor){.name = "identity", .dtype = DTYPE_F32, .ndim = 2, .shape = {d, d},
                         .data = sae->made.data};
    tensor_set_strides(t, false);
    struct dialect_tensors identity = {.W_enc = t, .W_dec = t, .no_b_dec = true};
    sae->arch = sae_arch_find("identity");
    return dialect_bind(sae, &identity, "IdentityDict", err) && dialect_zero_bias(sae, err) &&
           read_hook(sae, c, sae->config, trainer, err);
}

static bool is_identity(const json_t *trainer)
{
    const char *name = json_string_value(json_object_get(trainer, "dict_class"));
    return name && strcmp(name, "IdentityDict") == 0;
}

static bool bind_file(struct sae *sae, const struct checkpoint *c, const char *path,
                      const struct progress *progress, struct err *err)
{
    struct dictlearn d = {.trainer = json_object_get(sae->config, "trainer")};
    if (!d.trainer && json_object_get(sae->config, "activation_dim"))
        d.trainer = sae->config; /* of the hub */
    if (is_identity(d.trainer))
        return bind_identity(sae, c, d.trainer, err);
    struct container *file = dialect_container(sae, path, progress, err);
    if (!file || !keys_find(&d.keys, file, anchors, err))
        return false;
    if (!d.trainer) { /* some write it into the file */
        d.trainer = container_value(file, "config.trainer");
        if (!d.trainer)
            d.trainer = container_value(file, "config");
        if (!json_is_object(d.trainer))
            d.trainer = container_value(file, "cfg");
        if (json_is_object(d.trainer)) {
            json_decref(sae->config);
            sae->config = json_incref((json_t *)d.trainer);
        } else {
            d.trainer = NULL;
        }
    }
    read_scalars(&d);
    if (!choose_kind(sae, &d, err) || !bind_tensors(sae, &d, path, err) ||
        !read_told(sae, c, &d, err))
        return false;
    if (d.april)
        sae_add_note(sae, "trained with free decoder norms (StandardTrainerAprilUpdate): they "
                          "are %sfolded into the activations",
                     sae->options.fold < 0 ? "not " : "");
    bool folds = (d.april || d.kind == STANDARD_NEW) && sae->options.fold >= 0;
    return !folds || dialect_scale_by_norms(sae, progress, err);
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    char *path = checkpoint_weights(c, is_of_hub(c) ? HUB_WEIGHTS : WEIGHTS);
    json_t *cfg = NULL;
    bool ok = read_config(c, &cfg, err);
    if (ok && cfg) {
        json_decref(sae->config);
        sae->config = json_incref(cfg);
    }
    ok = ok && (bind_file(sae, c, path, progress, err) || err_path(err, path));
    json_decref(cfg);
    free(path);
    return ok;
}

static const char *recognise(const struct checkpoint *c)
{
    static const char *const topk[] = {"encoder.weight", "b_dec", NULL};
    static const char *const standard[] = {"encoder.weight", "bias", NULL};
    static const char *const gated[] = {"encoder.weight", "gate_bias", NULL};
    static const char *const saebench[] = {"W_enc", "W_dec", "b_dec", "threshold", NULL};
    static const char *const biased[] = {"W_enc", "b_enc", NULL};
    static const char *const pca[] = {"W_enc", "W_dec", "mean", NULL};
    if (!c->file)
        return is_of_hub(c)                  ? HUB_WEIGHTS " and activation_dim in " CONFIG
               : !checkpoint_has(c, WEIGHTS) ? NULL
               : checkpoint_has(c, CONFIG)   ? WEIGHTS " and " CONFIG
                                             : WEIGHTS;
    if (checkpoint_is_file(c, ".pt") && strncmp(c->file, "ae", 2) == 0 &&
        (c->file[2] == '.' || c->file[2] == '_'))
        return "the name ae*.pt";
    return checkpoint_contains(c, topk)       ? "encoder.weight and b_dec in the file"
           : checkpoint_contains(c, standard) ? "encoder.weight and bias in the file"
           : checkpoint_contains(c, gated)    ? "encoder.weight and gate_bias in the file"
           : checkpoint_contains(c, saebench) ? "W_enc and threshold in the file"
           : checkpoint_contains(c, pca) && !checkpoint_contains(c, biased)
               ? "W_enc and mean in the file"
                                              : NULL;
}

const struct dialect dialect_dictlearn = {"dictionary-learning", recognise, bind};
