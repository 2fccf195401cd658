/* convert_plan.c - see convert_plan.h. */
#include "model/convert_plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "model/weights.h"

/* The configurations of version 6 are told by it; readers need it. */
#define SAELENS_VERSION "6.0.0"

static void note(struct convert_plan *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct convert_plan *p, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->notes = xreallocarray(p->notes, (size_t)p->n_notes + 1, sizeof *p->notes);
    p->notes[p->n_notes++] = xstrdup(text);
}

/* ---- arrays */

static struct convert_item *add(struct convert_plan *p, const char *name, enum dtype dtype,
                                int ndim, int64_t n)
{
    struct convert_item *item = &p->item[p->n_items++];
    *item = (struct convert_item){.name = name, .dtype = dtype, .ndim = ndim, .shape = {n}};
    return item;
}

static void add_matrix(struct convert_plan *p, const char *name, const struct mat *m,
                       bool transposed)
{
    struct convert_item *item = add(p, name, m->t->dtype, 2, m->rows);
    item->mat = *m;
    if (transposed)
        item->mat = (struct mat){m->t, m->cols, m->rows, m->col_stride, m->row_stride};
    item->shape[0] = item->mat.rows;
    item->shape[1] = item->mat.cols;
}

struct same_check {
    const struct tensor *t;
    const float *v;
    float *read;
    bool same;
};

static void check_same(void *ctx)
{
    struct same_check *c = ctx;
    int64_t n = tensor_count(c->t);
    tensor_read_f32(c->t, 0, n, c->read);
    c->same = memcmp(c->read, c->v, (size_t)n * sizeof *c->v) == 0;
}

/* The vector as it is stored, unless opening has made something else of it. */
static bool add_vector(struct convert_plan *p, const char *name, const float *v, int64_t n,
                       const struct tensor *stored, struct err *err)
{
    if (!v)
        return true;
    struct same_check c = {stored, v, NULL, false};
    if (stored && stored->ndim == 1 && stored->shape[0] == n) {
        c.read = xmalloc((size_t)n * sizeof *c.read);
        bool ok = map_guard(check_same, &c, err);
        free(c.read);
        if (!ok)
            return false;
    }
    struct convert_item *item = add(p, name, c.same ? stored->dtype : DTYPE_F32, 1, n);
    item->stored = c.same ? stored : NULL;
    item->values = c.same ? NULL : v;
    return true;
}

/* ---- what can be said */

static bool cannot(const struct sae *sae, const char *what, const char *found,
                   const char *expected, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "%s: cannot be converted: %s (found %s, expected %s)",
                   sae->path, what, found, expected);
}

static bool is_constant(const float *v, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (memcmp(&v[i], &v[0], sizeof *v) != 0)
            return false;
    return true;
}

/* act_scale and out_scale as a reader of rescale_acts_by_decoder_norm will make them? */
static bool scales_are_norms(const struct sae *sae, const struct progress *progress,
                             bool *yes, struct err *err)
{
    size_t n = (size_t)sae->d_sae;
    float *norms = mem_try(n, sizeof *norms, "decoder norms", err);
    bool ok = norms && weights_geometry(sae, 0, progress, norms, NULL, err);
    *yes = ok && sae->out_scale;
    for (size_t j = 0; j < n && *yes; j++)
        *yes = sae->act_scale[j] == norms[j] &&
               sae->out_scale[j] == 1 / (norms[j] > 0 ? norms[j] : 1);
    free(norms);
    return ok;
}

static bool plan_scales(struct convert_plan *p, const struct sae *sae, bool npy,
                        const struct progress *progress, struct err *err)
{
    bool norms;
    if (sae->scale_ranks)
        return cannot(sae, "decoder norms rank its features and are in no activation", "such a TopK",
                      "--fold-decoder-norms on, which makes them part of both", err);
    if (sae->act_scale) {
        if (!scales_are_norms(sae, progress, &norms, err))
            return false;
        if (!norms)
            return cannot(sae, "its activations have scales of their own",
                          "other factors", "decoder norms", err);
        if (!npy && !strstr(p->architecture, "topk"))
            return cannot(sae, "decoder norms are part of its activations",
                          p->architecture, "topk; --to npy can say it, or "
                          "--fold-decoder-norms off", err);
        json_object_set_new(p->cfg, "rescale_acts_by_decoder_norm", json_true());
        return true;
    }
    if (strstr(p->architecture, "topk"))
        json_object_set_new(p->cfg, "rescale_acts_by_decoder_norm", json_false());
    if (!sae->out_scale)
        return true;
    json_object_set_new(p->cfg, "finetuning_scaling_factor", json_true());
    note(p, "the factors of its activations are finetuning_scaling_factor, which SAELens "
            "reads before version 6 only");
    return add_vector(p, "finetuning_scaling_factor", sae->out_scale, sae->d_sae, NULL, err);
}

static bool plan_input(struct convert_plan *p, const struct sae *sae, struct err *err)
{
    static const char *const names[] = {
        [SAE_NORM_NONE] = "none",
        [SAE_NORM_CONSTANT] = "constant_norm_rescale",
        [SAE_NORM_LAYER] = "layer_norm",
        [SAE_NORM_FACTOR] = "expected_average_only_in",
    };
    if (sae->b_in && sae_rebuilds_input(sae) && (sae->d_in != sae->d_out ||
                      memcmp(sae->b_in, sae->b_dec, (size_t)sae->d_in * sizeof(float)) != 0))
        return cannot(sae, "what it takes off the input", "a vector of its own", "b_dec",
                      err);
    const char *norm = sae->needs_factor ? names[SAE_NORM_FACTOR] : names[sae->norm];
    if (sae->norm == SAE_NORM_FACTOR) {
        p->scaler = (double)sae->norm_factor;
        note(p, "activations are multiplied by %.9g, which activation_scaler.json says: SAELens "
                "does not read that file", p->scaler);
    }
    json_object_set_new(p->cfg, "apply_b_dec_to_input", json_boolean(sae->b_in != NULL));
    json_object_set_new(p->cfg, "normalize_activations", json_string(norm));
    return true;
}

/* ---- architectures */

static bool plan_thresholds(struct convert_plan *p, const struct sae *sae, struct err *err)
{
    p->architecture = "jumprelu";
    return add_vector(p, "b_enc", sae->b_enc, sae->d_sae, sae->stored.b_enc, err) &&
           add_vector(p, "threshold", sae->threshold, sae->d_sae, sae->stored.threshold, err);
}

/* BatchTopK: see convert.h. */
static bool plan_batch(struct convert_plan *p, const struct sae *sae, struct err *err)
{
    bool matryoshka = strcmp(sae->arch->name, "matryoshka") == 0;
    if (!sae->act_scale || sae->k < 1 || !is_constant(sae->threshold, sae->d_sae)) {
        note(p, "%s is written as a JumpReLU with its threshold for every feature, as SAELens "
                "exports it", sae->arch->name);
        return plan_thresholds(p, sae, err);
    }
    p->architecture = matryoshka ? "matryoshka_batchtopk" : "batchtopk";
    json_object_set_new(p->cfg, "k", json_integer(sae->k));
    add(p, "topk_threshold", DTYPE_F32, 0, 1)->values = sae->threshold;
    return add_vector(p, "b_enc", sae->b_enc, sae->d_sae, sae->stored.b_enc, err);
}

static bool plan_biased(struct convert_plan *p, const struct sae *sae, struct err *err)
{
    p->architecture = sae->is_signed ? "abstopk" : sae->arch->name;
    if (sae->is_signed)
        note(p, "signed TopK is written as abstopk, which only late versions of SAELens read");
    if (sae->arch->selects)
        json_object_set_new(p->cfg, "k", json_integer(sae->k));
    return add_vector(p, "b_enc", sae->b_enc, sae->d_sae, sae->stored.b_enc, err);
}

static bool plan_gated(struct convert_plan *p, const struct sae *sae, struct err *err)
{
    p->architecture = "gated";
    return add_vector(p, "b_gate", sae->b_gate, sae->d_sae, sae->stored.b_gate, err) &&
           add_vector(p, "b_mag", sae->b_mag, sae->d_sae, sae->stored.b_mag, err) &&
           add_vector(p, "r_mag", sae->r_mag, sae->d_sae, sae->stored.r_mag, err);
}

static const struct {
    const char *name; /* in sae_archs */
    bool (*plan)(struct convert_plan *p, const struct sae *sae, struct err *err);
} plans[] = {
    {"standard", plan_biased},     {"prolu", plan_biased},    {"topk", plan_biased},
    {"jumprelu", plan_thresholds}, {"batchtopk", plan_batch}, {"matryoshka", plan_batch},
    {"gated", plan_gated},
};

/* The threshold that makes a JumpReLU of it: ProLU is one without a bias, ReLU one whose
 * threshold is 0. A bias that is NaN gates everything off, and so does a threshold. */
static bool plan_as_jumprelu(struct convert_plan *p, const struct sae *sae, struct err *err)
{
    size_t n = (size_t)sae->d_sae;
    bool prolu = strcmp(sae->arch->name, "prolu") == 0;
    if (sae->threshold)
        return plan_thresholds(p, sae, err);
    if (!prolu && strcmp(sae->arch->name, "standard") != 0)
        return cannot(sae, "no JumpReLU does the same", sae->arch->name,
                      "prolu, standard, jumprelu or batchtopk", err);
    p->architecture = "jumprelu";
    p->threshold = mem_try(n, sizeof *p->threshold, "threshold", err);
    if (!p->threshold)
        return false;
    for (size_t j = 0; j < n; j++)
        p->threshold[j] = prolu && !(sae->b_enc[j] >= 0) ? -sae->b_enc[j] : 0;
    if (!prolu)
        return add_vector(p, "b_enc", sae->b_enc, sae->d_sae, sae->stored.b_enc, err) &&
               add_vector(p, "threshold", p->threshold, sae->d_sae, NULL, err);
    p->zeros = mem_try(n, sizeof *p->zeros, "b_enc", err);
    if (!p->zeros)
        return false;
    memset(p->zeros, 0, n * sizeof *p->zeros);
    return add_vector(p, "b_enc", p->zeros, sae->d_sae, NULL, err) &&
           add_vector(p, "threshold", p->threshold, sae->d_sae, NULL, err);
}

static bool plan_architecture(struct convert_plan *p, const struct sae *sae,
                              enum convert_to to, struct err *err)
{
    if (to == CONVERT_JUMPRELU)
        return plan_as_jumprelu(p, sae, err);
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        if (strcmp(plans[i].name, sae->arch->name) == 0)
            return plans[i].plan(p, sae, err);
    return cannot(sae, "SAELens' configuration has no word for its architecture",
                  sae->arch->name,
                  "standard, prolu, jumprelu, topk, batchtopk, matryoshka or gated", err);
}

/* Transcoders have architectures of their own, for two of ours. */
static bool plan_transcoder(struct convert_plan *p, const struct sae *sae, struct err *err)
{
    static const struct {
        const char *name, *plain, *skip;
    } names[] = {
        {"standard", "transcoder", "skip_transcoder"},
        {"jumprelu", "jumprelu_transcoder", "jumprelu_skip_transcoder"},
    };
    const char *name = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, p->architecture) == 0)
            name = sae->W_skip.t ? names[i].skip : names[i].plain;
    if (!name)
        return cannot(sae, "SAELens has no such transcoder", sae->arch->name,
                      "standard or jumprelu", err);
    if (sae->b_in)
        return cannot(sae, "SAELens' transcoders take nothing off the input", "a vector", "none",
                      err);
    p->architecture = name;
    json_object_set_new(p->cfg, "d_out", json_integer(sae->d_out));
    if (sae->W_skip.t)
        add_matrix(p, "W_skip", &sae->W_skip, false);
    return true;
}

/* ---- configuration */

/* What the source says about the model and the data is kept under its name. */
static json_t *metadata_of(const struct sae *sae)
{
    static const char *const kept[] = {
        "model_name", "hook_head_index", "model_class_name", "model_from_pretrained_kwargs",
        "context_size", "seqpos_slice", "dataset_path", "exclude_special_tokens",
        "neuronpedia_id",
    };
    const json_t *nested = json_object_get(sae->config, "metadata");
    json_t *out = json_object();
    json_object_set_new(out, "sae_lens_version", json_string(SAELENS_VERSION));
    if (sae->hook)
        json_object_set_new(out, "hook_name", json_string(sae->hook));
    if (sae->hook_out)
        json_object_set_new(out, "hook_name_out", json_string(sae->hook_out));
    json_object_set_new(out, "prepend_bos", json_boolean(sae->prepend_bos));
    if (isfinite(sae->l1))
        json_object_set_new(out, "l1_coefficient", json_real(sae->l1));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        json_t *v = json_object_get(sae->config, kept[i]);
        if (!v || json_is_null(v))
            v = json_object_get(nested, kept[i]);
        if (v && !json_is_null(v))
            json_object_set(out, kept[i], v);
    }
    return out;
}

static const char *reshape_of(const struct sae *sae)
{
    const char *said = json_string_value(json_object_get(sae->config, "reshape_activations"));
    if (said)
        return said;
    return sae->hook && strstr(sae->hook, "hook_z") ? "hook_z" : "none";
}

/* The narrowest dtype that holds all of them: readers bring every tensor to it. */
static enum dtype widest(const struct convert_plan *p)
{
    enum dtype dtype = p->item[0].dtype;
    for (int i = 1; i < p->n_items; i++) {
        enum dtype d = p->item[i].dtype;
        if (d != dtype)
            dtype = d == DTYPE_F64 || dtype == DTYPE_F64 ? DTYPE_F64 : DTYPE_F32;
    }
    return dtype;
}

static void plan_config(struct convert_plan *p, const struct sae *sae)
{
    p->dtype = widest(p);
    json_object_set_new(p->cfg, "architecture", json_string(p->architecture));
    json_object_set_new(p->cfg, "d_in", json_integer(sae->d_in));
    json_object_set_new(p->cfg, "d_sae", json_integer(sae->d_sae));
    json_object_set_new(p->cfg, "dtype", json_string(dtype_info[p->dtype].name));
    json_object_set_new(p->cfg, "device", json_string("cpu"));
    json_object_set_new(p->cfg, "reshape_activations", json_string(reshape_of(sae)));
    json_object_set_new(p->cfg, "metadata", metadata_of(sae));
}

bool convert_plan_make(struct convert_plan *p, const struct sae *sae,
                       const struct convert_options *options,
                       const struct progress *progress, struct err *err)
{
    struct convert_plan made = {.cfg = json_object()};
    bool npy = options->to == CONVERT_NPY, ok = true;
    bool transcodes = !sae_rebuilds_input(sae);
    if (sae->models != 1 || (transcodes && options->to == CONVERT_JUMPRELU))
        ok = cannot(sae, "the form has no word for its kind", sae->kind,
                    transcodes ? "sae" : "sae or transcoder", err);
    else if (sae->W_glu.t)
        ok = cannot(sae, "the form has no word for its encoder", "a GLU", "one matrix", err);
    else if (sae->saturates)
        ok = cannot(sae, "version 6 of SAELens has no word for its activation", "tanh-relu",
                    "relu", err);
    if (ok) {
        add_matrix(&made, "W_enc", &sae->W_enc, true);
        add_matrix(&made, "W_dec", &sae->W_dec, false);
    }
    ok = ok && plan_architecture(&made, sae, options->to, err) &&
         (!transcodes || plan_transcoder(&made, sae, err)) &&
         add_vector(&made, "b_dec", sae->b_dec, sae->d_out, sae->stored.b_dec, err) &&
         plan_input(&made, sae, err) && plan_scales(&made, sae, npy, progress, err);
    if (!ok) {
        err_path(err, sae->path);
        convert_plan_finish(&made);
        return false;
    }
    plan_config(&made, sae);
    *p = made;
    return true;
}

void convert_plan_finish(struct convert_plan *p)
{
    for (int i = 0; i < p->n_notes; i++)
        free(p->notes[i]);
    free(p->notes);
    free(p->zeros);
    free(p->threshold);
    json_decref(p->cfg);
    *p = (struct convert_plan){0};
}
