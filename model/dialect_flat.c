/*
 * dialect_flat.c - four tensors in a .pt file, as several repositories have them.
 *
 *   mats       {"cfg": a pickled object, "state_dict": {W_enc, W_dec, b_enc, b_dec}}, of
 *              mats_sae_training, from which SAELens grew: its attributes are SAELens' keys
 *   kissane    NAME.pt with W_enc, W_dec, b_enc, b_dec, beside NAME_cfg.json ("act_size",
 *              "dict_size", "act_name"): SAEs for attention outputs (Kissane, Krzyzanowski,
 *              Conmy, Nanda), in the layout of Nanda's 1L SAEs; or without a configuration
 *   deepseek   encoder.weight, encoder.bias, decoder.weight, decoder.bias (qresearch's SAEs
 *              for DeepSeek-R1); the layer is in the file's name, "..._l19.pt"
 *   goodfire   the same as encoder_linear.weight, ... (Goodfire's SAEs for Llama 3)
 *
 * All are relu((x - b_dec) W_enc + b_enc) W_dec + b_dec, but that the last two leave x as it
 * is.
 */
#include "model/dialect.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/dialect_keys.h"

static const char *const matrices[] = {"W_enc", "W_dec", "b_enc", "b_dec", NULL};
static const char *const linears[] = {"encoder.weight", "decoder.weight", "encoder.bias",
                                      "decoder.bias", NULL};
static const char *const called_linear[] = {"encoder_linear.weight", "decoder_linear.weight",
                                            "encoder_linear.bias", "decoder_linear.bias",
                                            NULL};

/* Their .safetensors files are others'. */
static bool has(const struct checkpoint *c, const char *const *names)
{
    return !checkpoint_is_file(c, ".safetensors") && checkpoint_contains(c, names);
}

static bool need_file(const struct checkpoint *c, struct err *err)
{
    return c->file || err_set(err, ERR_MISSING, "%s: no checkpoint (found a directory, expected the .pt file in "
                "it)",
                              c->path);
}

/* The file opened and where its weights are. */
static bool open_keys(struct sae *sae, struct keys *k, const struct checkpoint *c,
                      const char *const *names, const struct progress *progress,
                      struct err *err)
{
    if (!need_file(c, err))
        return false;
    struct container *file = dialect_container(sae, c->path, progress, err);
    if (!file)
        return false;
    return keys_find(k, file, names, err) || err_path(err, c->path);
}

/* ---- mats */

static const struct tensor *find_matrix(const struct sae *sae, const char *name)
{
    struct keys k;
    return keys_find(&k, sae->containers[0], matrices, NULL) ? keys_tensor(&k, name) : NULL;
}

static bool bind_mats(struct sae *sae, const struct checkpoint *c,
                      const struct progress *progress, struct err *err)
{
    struct keys k;
    if (!open_keys(sae, &k, c, matrices, progress, err))
        return false;
    const json_t *found = container_value(k.c, "cfg");
    json_t *cfg = json_is_object(found) ? json_deep_copy(found) : json_object();
    struct dialect_source from = {.find = find_matrix, .path = c->path, .cfg_path = c->path};
    bool ok = dialect_bind_saelens(sae, cfg, &from, progress, err);
    json_decref(cfg);
    return ok;
}

static const char *recognise_mats(const struct checkpoint *c)
{
    return has(c, matrices) &&
                   json_is_object(container_value(checkpoint_peek(c), "cfg"))
               ? "cfg and W_enc in the file"
               : NULL;
}

const struct dialect dialect_mats = {"mats", recognise_mats, bind_mats};

/* ---- kissane */

/* NAME_cfg.json for NAME.pt. Owned. */
static char *config_name(const struct checkpoint *c)
{
    const char *dot = strrchr(c->file, '.');
    return xasprintf("%.*s_cfg.json", dot ? (int)(dot - c->file) : (int)strlen(c->file),
                     c->file);
}

static bool read_kissane(struct sae *sae, const struct checkpoint *c, struct err *err)
{
    char *name = config_name(c);
    bool there = checkpoint_has(c, name);
    json_t *cfg = there ? checkpoint_json(c, name, err) : NULL;
    const char *hook = NULL;
    free(name);
    if (!there) {
        sae_add_note(sae, "there is no configuration: taken for a standard SAE, b_dec is "
                          "taken off the input");
        return true;
    }
    if (!cfg)
        return false;
    json_decref(sae->config);
    sae->config = cfg;
    if (!json_get_string(cfg, "act_name", &hook, err) ||
        !json_get_double(cfg, "l1_coeff", &sae->l1, err))
        return err_path(err, c->path);
    sae->hook = xstrdup(hook);
    return true;
}

static bool bind_kissane(struct sae *sae, const struct checkpoint *c,
                         const struct progress *progress, struct err *err)
{
    struct keys k;
    if (!open_keys(sae, &k, c, matrices, progress, err) || !read_kissane(sae, c, err))
        return false;
    struct dialect_tensors t = {
        .W_enc = keys_tensor(&k, "W_enc"), .W_dec = keys_tensor(&k, "W_dec"),
        .b_enc = keys_tensor(&k, "b_enc"), .b_dec = keys_tensor(&k, "b_dec"),
        .W_enc_is_d_in_first = true,
    };
    if (!dialect_bind(sae, &t, c->path, err))
        return false;
    keys_note_mean(sae, &k);
    sae->arch = sae_arch_find("standard");
    return dialect_subtract_b_dec(sae, err) &&
           (sae->arch->check(sae, err) || err_path(err, c->path));
}

static const char *recognise_kissane(const struct checkpoint *c)
{
    if (!has(c, matrices))
        return NULL;
    char *name = config_name(c);
    bool there = checkpoint_has(c, name);
    free(name);
    return there ? "a .pt file and its _cfg.json" : "W_enc and b_enc in the file";
}

const struct dialect dialect_kissane = {"kissane", recognise_kissane, bind_kissane};

/* ---- deepseek and goodfire */

/* The number behind the last 'l' of the file's name that has one; -1: none. */
static long layer_in_name(const char *name)
{
    long layer = -1;
    for (const char *p = name; *p; p++)
        if (*p == 'l' && isdigit((unsigned char)p[1]) &&
            (p == name || !isalnum((unsigned char)p[-1])))
            layer = strtol(p + 1, NULL, 10);
    return layer;
}

/* names: W_enc, W_dec, b_enc, b_dec. */
static bool bind_linears(struct sae *sae, const struct checkpoint *c, const char *const *names,
                         const struct progress *progress, struct err *err)
{
    struct keys k;
    if (!open_keys(sae, &k, c, names, progress, err))
        return false;
    struct dialect_tensors t = {
        .W_enc = keys_tensor(&k, names[0]), .W_dec = keys_tensor(&k, names[1]),
        .b_enc = keys_tensor(&k, names[2]), .b_dec = keys_tensor(&k, names[3]),
        .W_dec_is_d_out_first = true,
    };
    if (!dialect_bind(sae, &t, c->path, err))
        return false;
    long layer = layer_in_name(c->file);
    if (layer >= 0)
        sae->hook = xasprintf("blocks.%ld.hook_resid_post", layer);
    keys_note_mean(sae, &k);
    sae->arch = sae_arch_find("standard");
    return sae->arch->check(sae, err) || err_path(err, c->path);
}

static bool bind_deepseek(struct sae *sae, const struct checkpoint *c,
                          const struct progress *progress, struct err *err)
{
    return bind_linears(sae, c, linears, progress, err);
}

static bool bind_goodfire(struct sae *sae, const struct checkpoint *c,
                          const struct progress *progress, struct err *err)
{
    return bind_linears(sae, c, called_linear, progress, err);
}

static const char *recognise_goodfire(const struct checkpoint *c)
{
    return checkpoint_contains(c, called_linear) ? "encoder_linear.weight in the file" : NULL;
}

static const char *recognise_deepseek(const struct checkpoint *c)
{
    return has(c, linears) ? "encoder.weight and decoder.bias in the file"
                                           : NULL;
}

const struct dialect dialect_deepseek = {"deepseek", recognise_deepseek, bind_deepseek};

const struct dialect dialect_goodfire = {"goodfire", recognise_goodfire, bind_goodfire};
