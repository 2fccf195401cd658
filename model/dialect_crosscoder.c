/*
 * dialect_crosscoder.c - crosscoders: one dictionary for the activations of several models
 * (or layers) at the same token.
 *
 *   W_enc [n, d, d_sae]   W_dec [d_sae, n, d]   b_enc [d_sae]   b_dec [n, d]
 *
 *   f = relu(sum_m x_m W_enc[m] + b_enc),  y_m = f W_dec[:, m] + b_dec[m]
 *
 * in N.pt beside N_cfg.json, or cc_weights.pt beside cfg.json (model diffing, Kissane and
 * others). With x = [x_0, x_1, ...] of n d values that is an SAE of these very matrices, read
 * with n and d as one dimension. Samples are [.., n, d] or [.., n d].
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

static const char *const names[] = {"W_enc", "W_dec", "b_enc", "b_dec", NULL};

/* Dimensions `at` and at + 1 of a tensor as one; owned by the sae. NULL: they do not lie so. */
static const struct tensor *merged(struct sae *sae, const struct tensor *t, int at,
                                   struct err *err)
{
    char shape[64];
    tensor_shape_text(t, shape, sizeof shape);
    if (t->stride[at] != t->stride[at + 1] * t->shape[at + 1]) {
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

static bool wrong_shape(const struct tensor *t, const char *expected, struct err *err)
{
    char shape[64];
    return err_set(err, ERR_SHAPE, "%s has a wrong shape (found %s, expected %s)", t->name,
                   tensor_shape_text(t, shape, sizeof shape), expected);
}

static bool bind_tensors(struct sae *sae, const struct keys *k, const char *path,
                         struct err *err)
{
    const struct tensor *enc = keys_tensor(k, "W_enc"), *dec = keys_tensor(k, "W_dec");
    const struct tensor *b_dec = keys_tensor(k, "b_dec");
    if (!enc || !dec || !b_dec)
        return err_set(err, ERR_MISSING, "there is no %s (found none, expected a tensor)",
                       !enc ? "W_enc" : !dec ? "W_dec" : "b_dec");
    if (enc->ndim != 3 || enc->shape[0] < 1)
        return wrong_shape(enc, "[models, d_in, d_sae]", err);
    if (dec->ndim != 3 || dec->shape[1] != enc->shape[0])
        return wrong_shape(dec, "[d_sae, models, d_in] as W_enc has it", err);
    if (b_dec->ndim != 2 || b_dec->shape[0] != enc->shape[0])
        return wrong_shape(b_dec, "[models, d_in] as W_enc has it", err);
    struct dialect_tensors t = {.b_enc = keys_tensor(k, "b_enc"), .W_enc_is_d_in_first = true};
    int64_t models = enc->shape[0];
    if (models > DIALECT_MAX_D_IN || enc->shape[1] > DIALECT_MAX_D_IN)
        return wrong_shape(enc, "at most 1048576 dimensions", err);
    if (!(t.W_enc = merged(sae, enc, 0, err)) || !(t.W_dec = merged(sae, dec, 1, err)) ||
        !(t.b_dec = merged(sae, b_dec, 0, err)) || !dialect_bind(sae, &t, path, err))
        return false;
    sae->models = (int)models;
    sae->kind = "crosscoder";
    sae->arch = sae_arch_find("standard");
    return sae->arch->check(sae, err);
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

/* N_cfg.json for N.pt, else cfg.json; NULL: neither. Owned. */
static char *config_name(const struct checkpoint *c)
{
    const char *dot = c->file ? strrchr(c->file, '.') : NULL;
    char *name = dot ? xasprintf("%.*s_cfg.json", (int)(dot - c->file), c->file) : NULL;
    if (name && checkpoint_has(c, name))
        return name;
    free(name);
    return checkpoint_has(c, "cfg.json") ? xstrdup("cfg.json") : NULL;
}

static bool read_config(struct sae *sae, const struct checkpoint *c, struct err *err)
{
    char *name = config_name(c);
    json_t *cfg = name ? checkpoint_json(c, name, err) : NULL;
    bool ok = !name || cfg;
    if (cfg) {
        json_decref(sae->config);
        sae->config = cfg;
        const char *hook = NULL;
        json_get_string(cfg, "hook_point", &hook, NULL);
        json_get_double(cfg, "l1_coeff", &sae->l1, NULL);
        sae->hook = xstrdup(hook);
    }
    free(name);
    return ok;
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    struct keys k;
    char *path = checkpoint_weights(c, "cc_weights.pt");
    struct container *file = dialect_container(sae, path, progress, err);
    bool ok = file && (keys_find(&k, file, names, err) || err_path(err, path)) &&
              read_config(sae, c, err) &&
              (bind_tensors(sae, &k, path, err) || err_path(err, path)) &&
              compare_models(sae, progress, err);
    if (ok)
        sae_add_note(sae, "trained on activations scaled to a mean norm of sqrt(d) in each "
                          "model: samples are used as they are");
    free(path);
    return ok;
}

static const char *recognise(const struct checkpoint *c)
{
    struct keys k;
    if (!c->file)
        return checkpoint_has(c, "cc_weights.pt") ? "cc_weights.pt" : NULL;
    const struct container *file = checkpoint_peek(c);
    if (!file || !keys_find(&k, file, names, NULL))
        return NULL;
    const struct tensor *enc = keys_tensor(&k, "W_enc");
    return enc && enc->ndim == 3 ? "W_enc with three dimensions" : NULL;
}

const struct dialect dialect_crosscoder = {"crosscoder", recognise, bind};
