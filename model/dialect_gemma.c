/*
 * dialect_gemma.c - Gemma Scope (google/gemma-scope-*): JumpReLU without a configuration.
 *
 *   version 1   params.npz: W_enc [d_in, d_sae], W_dec, b_enc, b_dec, threshold; some
 *               files have the names in lower case
 *   version 2   params.safetensors with lower-case names beside a config.json with
 *               "architecture": "jump_relu"
 *
 * b_dec is not taken off the input. Transcoders read what the MLP reads and give what it
 * gives; version 2's may have affine_skip_connection [d_in, d_out] beside them. What else there is to know stands in the path:
 * layer_12/width_16k/average_l0_82.
 */
#include "model/dialect.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"

#define NPZ         "params.npz"
#define SAFETENSORS "params.safetensors"
#define CONFIG      "config.json"

static const char *const described_keys[] = {
    "architecture", "model_name", "width", "l0", "type", "affine_connection",
    "hf_hook_point_in", "hf_hook_point_out",
};

/* Names that files have instead. */
static const struct {
    const char *name, *others[4];
} spellings[] = {
    {"W_enc", {"w_enc", "wenc", "w_e", "W_e"}}, {"W_dec", {"w_dec", "wdec", "w_d", "W_d"}},
    {"b_enc", {"benc", "b_e"}},                 {"b_dec", {"bdec", "b_d"}},
};

/* The tensor of that name, however it is spelled. */
static const struct tensor *find(const struct sae *sae, const char *name)
{
    const struct container *c = sae->containers[0];
    const struct tensor *t = container_find(c, name);
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        for (int k = 0; k < 4 && !t && strcmp(spellings[i].name, name) == 0; k++)
            if (spellings[i].others[k])
                t = container_find(c, spellings[i].others[k]);
    return t;
}

static bool is_hf_layer(const char *hook, const char *tail, long *layer)
{
    if (strncmp(hook, "model.layers.", 13) != 0 || !isdigit((unsigned char)hook[13]))
        return false;
    char *end;
    *layer = strtol(hook + 13, &end, 10);
    return strcmp(end, tail) == 0;
}

/* A place as the model's modules are called, as a hook; owned. */
static char *hook_of(const char *place)
{
    static const struct {
        const char *tail, *hook;
    } tails[] = {
        {".output", "hook_resid_post"},
        {".pre_feedforward_layernorm.output", "ln2.hook_normalized"},
        {".post_feedforward_layernorm.output", "hook_mlp_out"},
    };
    long layer;
    for (size_t i = 0; place && i < sizeof tails / sizeof *tails; i++)
        if (is_hf_layer(place, tails[i].tail, &layer))
            return xasprintf("blocks.%ld.%s", layer, tails[i].hook);
    return xstrdup(place);
}

/* Transcoders have another place for their output; with "affine_connection" x W is added. */
static bool read_config(struct sae *sae, const json_t *cfg, bool *transcodes,
                        struct err *err)
{
    const char *architecture = NULL, *in = NULL, *out = NULL;
    bool affine = false;
    if (!json_get_string(cfg, "architecture", &architecture, err) ||
        !json_get_string(cfg, "hf_hook_point_in", &in, err) ||
        !json_get_string(cfg, "hf_hook_point_out", &out, err) ||
        !json_get_bool(cfg, "affine_connection", &affine, err))
        return false;
    if (!architecture || strcmp(architecture, "jump_relu") != 0)
        return err_set(err, ERR_UNSUPPORTED, "architecture is not read (found %s, expected "
                       "jump_relu)", architecture ? architecture : "missing");
    *transcodes = affine || (in && out && strcmp(in, out) != 0);
    sae->hook = hook_of(in);
    sae->hook_out = *transcodes ? hook_of(out) : NULL;

    dialect_ignore_others(sae, cfg, described_keys,
                          sizeof described_keys / sizeof *described_keys);
    return true;
}

/* The number after `what` in a component of the path, e.g. "layer_12"; -1: none. */
static long number_in_path(const char *path, const char *what)
{
    size_t len = strlen(what);
    for (const char *p = path; (p = strstr(p, what)) != NULL; p += len)
        if ((p == path || p[-1] == '/') && isdigit((unsigned char)p[len]))
            return strtol(p + len, NULL, 10);
    return -1;
}

/* The place of the block that the repository is about. Only the component of the path that
 * is the repository's name is looked at: gemma-scope-2b-pt-res. */
static bool repository_is(const char *path, const char *site)
{
    const char *name = strstr(path, "gemma-scope-");
    const char *found = name ? strstr(name, site) : NULL;
    return found && !memchr(name, '/', (size_t)(found - name));
}

/* Version 1 has no configuration: what there is to know stands in the path. */
static void read_path(struct sae *sae, const char *path, bool *transcodes)
{
    static const struct {
        const char *site, *hook;
    } sites[] = {
        {"-res", "hook_resid_post"}, {"-mlp", "hook_mlp_out"}, {"-att", "attn.hook_z"},
    };
    long layer = number_in_path(path, "layer_");
    *transcodes = repository_is(path, "-transcoders") || sae->options.transcoder;
    if (*transcodes && layer >= 0) {
        sae->hook = xasprintf("blocks.%ld.ln2.hook_normalized", layer);
        sae->hook_out = xasprintf("blocks.%ld.hook_mlp_out", layer);
    }
    for (size_t i = 0; i < sizeof sites / sizeof *sites && layer >= 0 && !sae->hook; i++)
        if (repository_is(path, sites[i].site))
            sae->hook = xasprintf("blocks.%ld.%s", layer, sites[i].hook);
    if (layer < 0 && repository_is(path, "-res") && strstr(path, "/embedding/")) {
        sae->hook = xstrdup("hook_embed");
        sae_add_note(sae, "trained on embeddings before Gemma multiplies them by sqrt(d_in)");
    }
}

static bool bind_tensors(struct sae *sae, const char *path, bool transcodes, struct err *err)
{
    const struct tensor *skip = find(sae, "affine_skip_connection");
    if (find(sae, "W_dec") && find(sae, "W_dec")->ndim == 3)
        return err_set(err, ERR_UNSUPPORTED, "%s: cross-layer transcoders are not read (found "
                       "W_dec with 3 dimensions, expected 2)", path);
    struct dialect_tensors t = {
        .transcodes = transcodes || skip, .W_skip = skip, .W_skip_is_d_in_first = true,
        .W_enc = find(sae, "W_enc"), .W_dec = find(sae, "W_dec"),
        .b_enc = find(sae, "b_enc"), .b_dec = find(sae, "b_dec"),
        .threshold = find(sae, "threshold"), .W_enc_is_d_in_first = true,
    };
    if (!dialect_bind(sae, &t, path, err))
        return false;
    sae->arch = sae_arch_find("jumprelu");
    return sae->arch->check(sae, err) || err_path(err, path);
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    bool v2 = checkpoint_offers(c, SAFETENSORS) && checkpoint_has(c, CONFIG);
    char *path = checkpoint_weights(c, v2 ? SAFETENSORS : NPZ);
    bool ok = true, transcodes = false;
    if (v2) {
        json_t *cfg = checkpoint_json(c, CONFIG, err);
        ok = cfg && read_config(sae, cfg, &transcodes, err);
        if (cfg) {
            json_decref(sae->config);
            sae->config = cfg;
        }
        if (!ok) {
            char *cfg_path = checkpoint_sibling(c, CONFIG);
            err_path(err, cfg_path);
            free(cfg_path);
        }
    } else {
        read_path(sae, path, &transcodes);
    }
    ok = ok && dialect_container(sae, path, progress, err) && bind_tensors(sae, path, transcodes, err);
    free(path);
    return ok;
}

static const char *recognise(const struct checkpoint *c)
{
    if (checkpoint_offers(c, NPZ) || checkpoint_is_file(c, ".npz"))
        return NPZ;
    return checkpoint_offers(c, SAFETENSORS) && checkpoint_has(c, CONFIG)
               ? CONFIG " and " SAFETENSORS
               : NULL;
}

const struct dialect dialect_gemma = {"gemma-scope", recognise, bind};
