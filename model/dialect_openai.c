/*
 * dialect_openai.c - OpenAI's sparse_autoencoder (GPT-2 small), versions 1, 4 and 5.
 *
 * One file, LOCATION/autoencoders/LAYER.pt, with pre_bias [d_in], latent_bias [d_sae],
 * encoder.weight [d_sae, d_in], decoder.weight [d_in, d_sae] (or, tied to the encoder,
 * decoder.linear.weight [d_sae, d_in]), and beside the tensors:
 *
 *   activation              ReLU (also when absent), Identity, or TopK: then inputs are
 *                           normalised, as nothing else in the file says
 *   activation_state_dict   of TopK: k, postact_fn
 *
 * Source: model.py and paths.py of the library.
 */
#include "model/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/dialect_keys.h"

static const char *const anchors[] = {"latent_bias", NULL};

/* Directories of the releases and their hooks; versions follow as in "_v5_32k". */
static const struct {
    const char *location, *hook;
} locations[] = {
    {"mlp_post_act", "mlp.hook_post"},
    {"resid_delta_attn", "hook_attn_out"},
    {"resid_post_attn", "hook_resid_mid"},
    {"resid_delta_mlp", "hook_mlp_out"},
    {"resid_post_mlp", "hook_resid_post"},
};

/* What is in activation_state_dict, as if it were the configuration. */
static void make_config(struct sae *sae, const struct keys *k)
{
    static const char *const names[] = {"activation", "activation_state_dict"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *v = keys_value(k, names[i]);
        if (v)
            json_object_set(sae->config, names[i], (json_t *)v);
    }
}

static bool bind_topk(struct sae *sae, const struct keys *keys, struct err *err)
{
    double k = 0;
    const json_t *post = keys_value(keys, "activation_state_dict.postact_fn");
    if (!keys_number(keys, "activation_state_dict.k", &k))
        return err_set(err, ERR_MISSING, "there is no activation_state_dict.k (found none, expected "
                       "a number)");
    if (!(k >= 1 && k <= (double)sae->d_sae))
        return err_set(err, ERR_RANGE, "bad activation_state_dict.k (found %.9g, expected 1 to "
                       "%lld)",
                       k, (long long)sae->d_sae);
    sae->k = (int64_t)k;
    sae->norm = SAE_NORM_LAYER;
    if (json_is_string(post) && strcmp(json_string_value(post), "ReLU") != 0)
        sae_add_note(sae, "postact_fn is %s: negative values among the k largest would be "
                          "kept, here they are 0", json_string_value(post));
    return true;
}

/* LOCATION_v5_32k/autoencoders/8.pt */
static void read_path(struct sae *sae, const char *path)
{
    const char *file = strrchr(path, '/'), *at = NULL;
    char *end;
    long layer = strtol(file ? file + 1 : path, &end, 10);
    if (strcmp(end, ".pt") != 0 || end == (file ? file + 1 : path))
        return;
    for (size_t i = 0; i < sizeof locations / sizeof *locations; i++)
        if ((at = strstr(path, locations[i].location)) != NULL && at < file &&
            (at == path || at[-1] == '/')) {
            sae->hook = xasprintf("blocks.%ld.%s", layer, locations[i].hook);
            return;
        }
}

static bool bind_file(struct sae *sae, const char *path, const struct progress *progress,
                      struct err *err)
{
    struct keys k;
    struct container *file = dialect_container(sae, path, progress, err);
    if (!file || !keys_find(&k, file, anchors, err))
        return false;
    const struct tensor *tied = keys_tensor(&k, "decoder.linear.weight");
    struct dialect_tensors t = {
        .W_enc = keys_tensor(&k, "encoder.weight"),
        .W_dec = tied ? tied : keys_tensor(&k, "decoder.weight"),
        .b_dec = keys_tensor(&k, "pre_bias"),
        .b_enc = keys_tensor(&k, "latent_bias"),
        .W_dec_is_d_out_first = !tied,
    };
    const json_t *activation = keys_value(&k, "activation");
    const char *name = activation ? json_string_value(activation) : "ReLU";
    bool topk = name && strcmp(name, "TopK") == 0;
    bool identity = name && strcmp(name, "Identity") == 0;
    if (!topk && !identity && (!name || strcmp(name, "ReLU") != 0))
        return err_set(err, ERR_UNSUPPORTED, "activation is not read (found %s, expected "
                       "ReLU, TopK or Identity)", name ? name : "no string");
    make_config(sae, &k);
    if (!dialect_bind(sae, &t, path, err))
        return false;
    sae->arch = sae_arch_find(topk ? "topk" : identity ? "identity" : "standard");
    read_path(sae, path);
    return (!topk || bind_topk(sae, &k, err)) && dialect_subtract_b_dec(sae, err) &&
           sae->arch->check(sae, err);
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    if (!c->file)
        return err_set(err, ERR_MISSING, "%s: no checkpoint (found a directory, expected the .pt file in "
                "it)",
                       c->path);
    return bind_file(sae, c->path, progress, err) || err_path(err, c->path);
}

static const char *recognise(const struct checkpoint *c)
{
    static const char *const names[] = {"latent_bias", "pre_bias", "encoder.weight", NULL};
    return checkpoint_contains(c, names) ? "latent_bias and pre_bias in the file" : NULL;
}

const struct dialect dialect_openai = {"openai", recognise, bind};
