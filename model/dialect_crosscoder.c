/*
 * dialect_crosscoder.c - crosscoders: one dictionary for the activations of several models
 * (or layers) at the same token.
 *
 *   f = relu(sum_m x_m W_enc[m] + b_enc),  y_m = f W_dec[:, m] + b_dec[m]
 *
 * Model diffing (Kissane and others), N.pt beside N_cfg.json, or cc_weights.pt beside cfg.json:
 *
 *   W_enc [n, d, d_sae]   W_dec [d_sae, n, d]   b_enc [d_sae]   b_dec [n, d]
 *
 * dictionary_learning with crosscoders (Minder, Dumas and others), any .pt beside config.json,
 * or model.safetensors of the hub:
 *
 *   encoder.weight [n, d, d_sae]   decoder.weight [n, d_sae, d]   encoder.bias   decoder.bias
 *
 *   threshold, k          f counts where f times its code normalisation is above (BatchTopK)
 *   code_normalization_id what that is: 1 the sum of the decoder's norms in the models, 2 the
 *                         norm of all, 3 a mixture of both, 4 1; 5, one a model, is not read
 *   activation_mean, activation_std, activation_global_scale
 *                         x counts as (x - mean) scale, unless the mean is NaN
 *
 * With x = [x_0, x_1, ...] of n d values that is an SAE of these very matrices, read with n
 * and d as one dimension. Samples are [.., n, d] or [.., n d].
 */
#include "model/dialect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/map.h"
#include "io/mem.h"
#include "model/dialect_keys.h"
#include "model/kern.h"

#define WEIGHTS     "cc_weights.pt"
#define HUB_WEIGHTS "model.safetensors"
#define ROWS        256 /* that are copied at a time */

static const char *const names[] = {"W_enc", "W_dec", "b_enc", "b_dec", NULL};
static const char *const linears[] = {"encoder.weight", "decoder.weight", "encoder.bias",
                                      "decoder.bias", NULL};

enum { CODE_SUM = 1, CODE_NORM, CODE_MIXED, CODE_NONE, CODE_DECOUPLED };

/* The file's tensors by their roles. */
struct parts {
    struct keys keys;
    const struct tensor *enc, *dec, *b_enc, *b_dec;
    bool linear; /* as dictionary_learning calls them */
};

static bool find_parts(struct parts *p, const struct container *file, struct err *err)
{
    const char *const *list = names;
    *p = (struct parts){0};
    if (!keys_find(&p->keys, file, names, NULL) || !keys_tensor(&p->keys, names[0])) {
        p->linear = true;
        list = linears;
        if (!keys_find(&p->keys, file, linears, err))
            return false;
    }
    const struct tensor **parts[] = {&p->enc, &p->dec, &p->b_enc, &p->b_dec};
    for (int i = 0; i < 4; i++)
        if (!(*parts[i] = keys_tensor(&p->keys, list[i])))
            return err_set(err, ERR_MISSING, "there is no %s (found none, expected a tensor)",
                           list[i]);
    return true;
}

/* ---- three dimensions as two */

static bool wrong_shape(const struct tensor *t, const char *expected, struct err *err)
{
    char shape[64];
    return err_set(err, ERR_SHAPE, "%s has a wrong shape (found %s, expected %s)", t->name,
                   tensor_shape_text(t, shape, sizeof shape), expected);
}

/* Do dimensions `at` and at + 1 lie as one? */
static bool lies_merged(const struct tensor *t, int at)
{
    int64_t whole;
    return !__builtin_mul_overflow(t->stride[at + 1], t->shape[at + 1], &whole) &&
           t->stride[at] == whole;
}

/* They as one; owned by the sae. NULL: they do not lie so. */
static const struct tensor *merged(struct sae *sae, const struct tensor *t, int at,
                                   struct err *err)
{
    char shape[64];
    tensor_shape_text(t, shape, sizeof shape);
    if (!lies_merged(t, at)) {
        err_set(err, ERR_UNSUPPORTED, "%s is a view that is not read (found %s with gaps, "
                "expected row-major order)", t->name, shape);
        return NULL;
    }
    struct tensor *view = sae_add_view(sae);
    *view = *t;
    view->ndim--;
    view->shape[at] *= t->shape[at + 1];
    for (int i = at; i < view->ndim; i++) {
        view->stride[i] = t->stride[i + 1];
        if (i > at)
            view->shape[i] = t->shape[i + 1];
    }
    return view;
}

/* Copying a decoder whose models lie one behind the other, so that each feature's rows do. */
struct joining {
    const struct tensor *from; /* [n, d_sae, d] */
    unsigned char *to;         /* [d_sae, n, d] */
    const struct progress *progress;
    struct err *err;
    bool ok;
};

static void join_guarded(void *ctx)
{
    struct joining *j = ctx;
    const struct tensor *t = j->from;
    int64_t n = t->shape[0], rows = t->shape[1], d = t->shape[2];
    size_t size = (size_t)dtype_info[t->dtype].size, row = (size_t)d * size;
    unsigned char *buf = mem_try((size_t)(ROWS * d), size, "decoder rows", j->err);
    j->ok = buf != NULL;
    for (int64_t first = 0; first < rows && j->ok; first += ROWS) {
        int64_t count = rows - first < ROWS ? rows - first : ROWS;
        for (int64_t m = 0; m < n; m++) {
            struct tensor one = *t;
            one.ndim = 2;
            one.data += (size_t)(m * t->stride[0]) * size;
            memmove(one.shape, t->shape + 1, 2 * sizeof *one.shape);
            memmove(one.stride, t->stride + 1, 2 * sizeof *one.stride);
            struct mat mat = mat_of(&one, false);
            mat_copy_rows(&mat, first, count, buf);
            for (int64_t i = 0; i < count; i++)
                memcpy(j->to + (size_t)((first + i) * n + m) * row, buf + (size_t)i * row, row);
        }
        if (!progress_step(j->progress, "decoder", first, rows))
            j->ok = err_set(j->err, ERR_CANCELLED, "cancelled");
    }
    free(buf);
}

static const struct tensor *joined(struct sae *sae, const struct tensor *t,
                                   const struct progress *progress, struct err *err)
{
    size_t bytes = (size_t)tensor_count(t) * (size_t)dtype_info[t->dtype].size;
    struct joining j = {.from = t, .progress = progress, .err = err};
    if (!scratch_init(&sae->made, NULL, bytes, "decoder", err))
        return NULL;
    j.to = sae->made.data;
    if (!map_guard(join_guarded, &j, err) || !j.ok)
        return NULL;
    struct tensor *view = sae_add_view(sae);
    *view = (struct tensor){.name = t->name, .dtype = t->dtype, .ndim = 2, .data = j.to,
                            .shape = {t->shape[1], t->shape[0] * t->shape[2]}};
    tensor_set_strides(view, false);
    return view;
}

/* A small file can claim endless values by strides of 0. */
static bool is_all_stored(const struct tensor *t)
{
    int64_t reach = 1;
    for (int i = 0; i < t->ndim; i++)
        reach += (t->shape[i] - 1) * t->stride[i]; /* the container has checked it */
    return reach >= tensor_count(t);
}

/* [n, d_sae, d] as [d_sae, n d]: where it lies, if its columns are those of a transposed
 * encoder, as training begins; else copied. */
static const struct tensor *models_inside(struct sae *sae, const struct tensor *t,
                                          const struct progress *progress, struct err *err)
{
    struct tensor turned = *t;
    turned.shape[0] = t->shape[1], turned.stride[0] = t->stride[1];
    turned.shape[1] = t->shape[0], turned.stride[1] = t->stride[0];
    if (lies_merged(&turned, 1))
        return merged(sae, &turned, 1, err);
    if (!is_all_stored(t)) {
        wrong_shape(t, "all of its values in the file", err);
        return NULL;
    }
    return joined(sae, t, progress, err);
}

/* ---- dictionary_learning's additions */

/* Of one decoder row [n, d]. */
static double code_norm(const struct sae *sae, const float *row, int kind)
{
    int64_t d = sae->d_out / sae->models;
    double sum = 0, squares = 0, of_all = 1, of_sum = 0.1;
    for (int m = 0; m < sae->models; m++) {
        double s = kern_sum_squares(row + m * d, d);
        squares += s;
        sum += sqrt(s);
    }
    json_get_double(sae->config, "code_normalization_alpha_sae", &of_all, NULL);
    json_get_double(sae->config, "code_normalization_alpha_cc", &of_sum, NULL);
    return kind == CODE_SUM    ? sum
           : kind == CODE_NORM ? sqrt(squares)
           : kind == CODE_NONE ? 1
                               : of_all * sqrt(squares) + of_sum * sum;
}

struct thresholds {
    struct sae *sae;
    double threshold;
    int kind;
    float *row; /* [d_out] */
};

static void divide_guarded(void *ctx)
{
    const struct thresholds *t = ctx;
    for (int64_t j = 0; j < t->sae->d_sae; j++) {
        mat_read_rows(&t->sae->W_dec, j, 1, t->row);
        double norm = code_norm(t->sae, t->row, t->kind);
        t->sae->threshold[j] = norm > 0 ? (float)(t->threshold / norm) : INFINITY;
    }
}

/* BatchTopK: f counts where f norm_j > threshold. */
static bool bind_threshold(struct sae *sae, const struct parts *p, struct err *err)
{
    double threshold = -1, k = 0, kind = 0;
    const struct tensor *t = keys_tensor(&p->keys, "threshold");
    if (!t)
        return true;
    if (tensor_count(t) != 1 || !keys_number(&p->keys, "threshold", &threshold))
        return err_set(err, ERR_UNSUPPORTED, "a threshold a model is not read (found %lld of "
                       "them, expected one)", (long long)tensor_count(t));
    if (!keys_number(&p->keys, "code_normalization_id", &kind)) {
        kind = CODE_SUM;
        sae_add_note(sae, "nothing says its code normalisation: taken for the sum of the "
                          "decoder's norms in the models, as of old");
    }
    if (!(kind >= CODE_SUM && kind < CODE_DECOUPLED))
        return err_set(err, ERR_UNSUPPORTED, "code_normalization_id is not read (found %.9g, "
                       "expected %d to %d)", kind, CODE_SUM, CODE_NONE);
    if (keys_number(&p->keys, "k", &k) && k >= 1 && k <= (double)sae->d_sae)
        sae->k = (int64_t)k;
    sae->arch = sae_arch_find("batchtopk");
    if (!(threshold >= 0))
        sae_add_note(sae, "its threshold was never set: everything above 0 is taken");
    struct thresholds all = {.sae = sae, .threshold = threshold >= 0 ? threshold : 0,
                             .kind = (int)kind};
    all.row = mem_try((size_t)sae->d_out, sizeof *all.row, "decoder row", err);
    bool ok = all.row && dialect_threshold(sae, 0, err) && map_guard(divide_guarded, &all, err);
    free(all.row);
    return ok;
}

/* (x - mean) scale, the output brought back: as factor, b_in and b_dec. */
static bool bind_normaliser(struct sae *sae, const struct parts *p, struct err *err)
{
    const struct tensor *mean = keys_tensor(&p->keys, "activation_mean");
    double scale = 0;
    struct tensor flat;
    if (!mean || tensor_count(mean) != sae->d_in || !tensor_is_contiguous(mean))
        return true;
    flat = *mean;
    flat.ndim = 1;
    flat.shape[0] = sae->d_in;
    flat.stride[0] = 1;
    if (!dialect_vector(&flat, "activation_mean", sae->d_in, &sae->b_in, err))
        return false;
    bool finite = true;
    for (int64_t i = 0; i < sae->d_in; i++)
        finite = finite && isfinite(sae->b_in[i]);
    if (!finite) { /* as much as none */
        free(sae->b_in);
        sae->b_in = NULL;
        return true;
    }
    if (!keys_number(&p->keys, "activation_global_scale", &scale) || !(scale > 0) ||
        !isfinite(scale))
        return err_set(err, ERR_MISSING, "there is an activation_mean without its scale (found "
                       "none, expected activation_global_scale above 0)");
    for (int64_t i = 0; i < sae->d_in; i++) {
        sae->b_in[i] = (float)(sae->b_in[i] * scale);
        sae->b_dec[i] += sae->b_in[i];
    }
    sae->norm = SAE_NORM_FACTOR;
    sae->norm_factor = (float)scale;
    if (scale == 1)
        sae_add_note(sae, "its activation_global_scale is 1: normalised neuron by neuron it "
                          "would be another, which nothing tells");
    return true;
}

/* ---- what all have */

static bool bind_tensors(struct sae *sae, const struct parts *p, const char *path,
                         const struct progress *progress, struct err *err)
{
    const struct tensor *enc = p->enc, *dec = p->dec, *b_dec = p->b_dec;
    int models_at = p->linear ? 0 : 1;
    if (enc->ndim != 3 || tensor_count(enc) < 1)
        return wrong_shape(enc, "[models, d_in, d_sae]", err);
    if (dec->ndim != 3 || dec->shape[models_at] != enc->shape[0] || tensor_count(dec) < 1)
        return wrong_shape(dec, p->linear ? "[models, d_sae, d_in] as encoder.weight has it"
                                          : "[d_sae, models, d_in] as W_enc has it", err);
    if (b_dec->ndim != 2 || b_dec->shape[0] != enc->shape[0] || tensor_count(b_dec) < 1)
        return wrong_shape(b_dec, "[models, d_in] as W_enc has it", err);
    struct dialect_tensors t = {.b_enc = p->b_enc, .W_enc_is_d_in_first = true};
    int64_t models = enc->shape[0];
    if (models > DIALECT_MAX_D_IN || enc->shape[1] > DIALECT_MAX_D_IN)
        return wrong_shape(enc, "at most 1048576 dimensions", err);
    if (!(t.W_enc = merged(sae, enc, 0, err)) ||
        !(t.W_dec = p->linear ? models_inside(sae, dec, progress, err)
                              : merged(sae, dec, 1, err)) ||
        !(t.b_dec = merged(sae, b_dec, 0, err)) || !dialect_bind(sae, &t, path, err))
        return false;
    sae->models = (int)models;
    sae->kind = "crosscoder";
    sae->arch = sae_arch_find("standard");
    return (!p->linear || (bind_threshold(sae, p, err) && bind_normaliser(sae, p, err))) &&
           sae->arch->check(sae, err);
}

/* How much of each decoder row is the second model's. */
struct relative {
    struct sae *sae;
    float *row; /* [2 d] */
    const struct progress *progress;
    struct err *err;
    bool ok;
};

static void relative_guarded(void *ctx)
{
    struct relative *r = ctx;
    struct sae *sae = r->sae;
    int64_t d = sae->d_out / 2;
    r->ok = true;
    for (int64_t j = 0; j < sae->d_sae && r->ok; j++) {
        mat_read_rows(&sae->W_dec, j, 1, r->row);
        double a = sqrt(kern_sum_squares(r->row, d)), b = sqrt(kern_sum_squares(r->row + d, d));
        sae->relative_norm[j] = a + b > 0 ? (float)(b / (a + b)) : NAN;
        if (j % 256 == 0 && !progress_step(r->progress, "decoder norms", j, sae->d_sae))
            r->ok = err_set(r->err, ERR_CANCELLED, "cancelled");
    }
}

static bool compare_models(struct sae *sae, const struct progress *progress, struct err *err)
{
    if (sae->models != 2)
        return true;
    struct relative r = {.sae = sae, .progress = progress, .err = err};
    r.row = mem_try((size_t)sae->d_out, sizeof *r.row, "decoder row", err);
    sae->relative_norm = mem_try((size_t)sae->d_sae, sizeof *sae->relative_norm,
                                 "decoder norms", err);
    bool ok = r.row && sae->relative_norm && map_guard(relative_guarded, &r, err) && r.ok;
    free(r.row);
    return ok;
}

/* N_cfg.json for N.pt, else cfg.json or config.json; NULL: none of them. Owned. */
static char *config_name(const struct checkpoint *c)
{
    const char *dot = c->file ? strrchr(c->file, '.') : NULL;
    char *name = dot ? xasprintf("%.*s_cfg.json", (int)(dot - c->file), c->file) : NULL;
    if (name && checkpoint_has(c, name))
        return name;
    free(name);
    return checkpoint_has(c, "cfg.json")      ? xstrdup("cfg.json")
           : checkpoint_has(c, "config.json") ? xstrdup("config.json")
                                              : NULL;
}

static bool read_config(struct sae *sae, const struct checkpoint *c, struct err *err)
{
    char *name = config_name(c);
    json_t *cfg = name ? checkpoint_json(c, name, err) : NULL;
    bool ok = !name || cfg;
    if (cfg) {
        const char *hook = NULL;
        const json_t *trainer = json_object_get(cfg, "trainer"); /* dictionary_learning */
        json_decref(sae->config);
        sae->config = json_incref(json_is_object(trainer) ? (json_t *)trainer : cfg);
        json_get_string(cfg, "hook_point", &hook, NULL);
        json_get_double(sae->config, trainer ? "l1_penalty" : "l1_coeff", &sae->l1, NULL);
        sae->hook = xstrdup(hook);
        json_decref(cfg);
    }
    if (ok && !sae->hook)
        sae->hook = hook_of_directory(c, 1);
    free(name);
    return ok;
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    struct parts p;
    char *path = checkpoint_weights(c, checkpoint_has(c, WEIGHTS) ? WEIGHTS : HUB_WEIGHTS);
    struct container *file = dialect_container(sae, path, progress, err);
    bool ok = file && (find_parts(&p, file, err) || err_path(err, path)) &&
              read_config(sae, c, err) &&
              (bind_tensors(sae, &p, path, progress, err) || err_path(err, path)) &&
              compare_models(sae, progress, err);
    if (ok && !p.linear)
        sae_add_note(sae, "trained on activations scaled to a mean norm of sqrt(d) in each "
                          "model: samples are used as they are");
    free(path);
    return ok;
}

/* Three dimensions where an SAE has two? */
static const char *look(const struct container *file)
{
    struct parts p;
    if (!file || !find_parts(&p, file, NULL) || p.enc->ndim != 3)
        return NULL;
    return p.linear ? "encoder.weight with three dimensions" : "W_enc with three dimensions";
}

/* model.safetensors is what everything is called on the hub: its configuration tells. */
static const char *look_in_hub(const struct checkpoint *c)
{
    if (!checkpoint_has(c, HUB_WEIGHTS) || !checkpoint_has(c, "config.json"))
        return NULL;
    json_t *cfg = checkpoint_json(c, "config.json", NULL);
    bool ours = json_object_get(cfg, "activation_dim") && json_object_get(cfg, "num_layers");
    json_decref(cfg);
    char *path = ours ? checkpoint_sibling(c, HUB_WEIGHTS) : NULL;
    struct container *file = path ? container_open(path, NULL, NULL) : NULL;
    const char *rule = look(file);
    container_close(file);
    free(path);
    return rule;
}

static const char *recognise(const struct checkpoint *c)
{
    if (!c->file && checkpoint_has(c, WEIGHTS))
        return WEIGHTS;
    if (!c->file || strcmp(c->file, HUB_WEIGHTS) == 0)
        return look_in_hub(c);
    return look(checkpoint_peek(c));
}

const struct dialect dialect_crosscoder = {"crosscoder", recognise, bind};
