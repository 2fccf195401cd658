/*
 * dialect_gemma.c - Gemma Scope (google/gemma-scope-*): JumpReLU without a configuration.
 *
 *   version 1   params.npz: W_enc [d_in, d_sae], W_dec, b_enc, b_dec, threshold; some
 *               files have the names in lower case
 *   version 2   params.safetensors with lower-case names beside a config.json with
 *               "architecture": "jump_relu", which some repositories do without
 *
 * b_dec is not taken off the input. Transcoders read what the MLP reads and give what it
 * gives; version 2's may have affine_skip_connection [d_in, d_out] beside them, and decoders
 * to every layer of the model (dialect_clt.h). What else there is to know stands in the path:
 * layer_12/width_16k/average_l0_82, transcoder_all/layer_5_width_16k_l0_big_affine.
 */
#include "model/dialect.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/dialect_clt.h"

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
        {".self_attn.o_proj.input", "attn.hook_z"},
    };
    long layer;
    for (size_t i = 0; place && i < sizeof tails / sizeof *tails; i++)
        if (is_hf_layer(place, tails[i].tail, &layer))
            return xasprintf("blocks.%ld.%s", layer, tails[i].hook);
    return xstrdup(place);
}

/* What is known before the weights are looked at. */
struct gemma {
    bool transcodes, affine;
    long layer; /* -1: not known */
};

/* The layer in the name of a module, -1: none. */
static long layer_of_place(const char *place)
{
    const char *digits = place ? strstr(place, "layers.") : NULL;
    return digits && isdigit((unsigned char)digits[7]) ? strtol(digits + 7, NULL, 10) : -1;
}

/* Transcoders have another place for their output; with "affine_connection" x W is added. */
static bool read_config(struct sae *sae, const json_t *cfg, struct gemma *g, struct err *err)
{
    const char *architecture = NULL, *in = NULL, *out = NULL;
    if (!json_get_string(cfg, "architecture", &architecture, err) ||
        !json_get_string(cfg, "hf_hook_point_in", &in, err) ||
        !json_get_string(cfg, "hf_hook_point_out", &out, err) ||
        !json_get_bool(cfg, "affine_connection", &g->affine, err))
        return false;
    if (!architecture || strcmp(architecture, "jump_relu") != 0)
        return err_set(err, ERR_UNSUPPORTED, "architecture is not read (found %s, expected "
                       "jump_relu)", architecture ? architecture : "missing");
    g->transcodes = g->affine || (in && out && strcmp(in, out) != 0);
    g->layer = layer_of_place(in);
    sae->hook = hook_of(in);
    sae->hook_out = g->transcodes ? hook_of(out) : NULL;

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

/* Is a component of the path `folder`, or that with something behind an underscore? */
static bool is_in_folder(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    for (const char *p = path; (p = strstr(p, folder)) != NULL; p += len)
        if ((p == path || p[-1] == '/') && (p[len] == '/' || p[len] == '_'))
            return true;
    return false;
}

/* The place of the block that the repository is about. Only the component of the path that
 * is the repository's name is looked at: gemma-scope-2b-pt-res. */
static bool repository_is(const char *path, const char *site)
{
    const char *name = strstr(path, "gemma-scope-");
    const char *found = name ? strstr(name, site) : NULL;
    return found && !memchr(name, '/', (size_t)(found - name));
}

static void transcoder_hooks(struct sae *sae, long layer)
{
    if (layer < 0)
        return;
    sae->hook = xasprintf("blocks.%ld.ln2.hook_normalized", layer);
    sae->hook_out = xasprintf("blocks.%ld.hook_mlp_out", layer);
}

/* Version 2 without its configuration: the folder above the checkpoint's says the place. */
static void read_folders(struct sae *sae, const char *path, struct gemma *g)
{
    static const struct {
        const char *folder, *hook; /* NULL: of a transcoder */
    } sites[] = {
        {"resid_post", "hook_resid_post"}, {"attn_out", "attn.hook_z"},
        {"mlp_out", "hook_mlp_out"}, {"transcoder", NULL}, {"clt", NULL},
    };
    g->layer = number_in_path(path, "layer_");
    g->transcodes = sae->options.transcoder;
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        if (!is_in_folder(path, sites[i].folder))
            continue;
        g->transcodes = g->transcodes || !sites[i].hook;
        if (!sites[i].hook)
            transcoder_hooks(sae, g->layer);
        else if (g->layer >= 0)
            sae->hook = xasprintf("blocks.%ld.%s", g->layer, sites[i].hook);
        return;
    }
}

/* Version 1 has no configuration: what there is to know stands in the path. */
static void read_path(struct sae *sae, const char *path, struct gemma *g)
{
    static const struct {
        const char *site, *hook;
    } sites[] = {
        {"-res", "hook_resid_post"}, {"-mlp", "hook_mlp_out"}, {"-att", "attn.hook_z"},
    };
    long layer = g->layer = number_in_path(path, "layer_");
    g->transcodes = repository_is(path, "-transcoders") || sae->options.transcoder;
    if (g->transcodes)
        transcoder_hooks(sae, layer);
    for (size_t i = 0; i < sizeof sites / sizeof *sites && layer >= 0 && !sae->hook; i++)
        if (repository_is(path, sites[i].site))
            sae->hook = xasprintf("blocks.%ld.%s", layer, sites[i].hook);
    if (layer < 0 && repository_is(path, "-res") && strstr(path, "/embedding/")) {
        sae->hook = xstrdup("hook_embed");
        sae_add_note(sae, "trained on embeddings before Gemma multiplies them by sqrt(d_in)");
    }
}

/* Its decoder to one layer; those to the layers of the model are one tensor. */
static bool find_decoder(struct sae *sae, const struct gemma *g, struct dialect_tensors *t,
                         struct err *err)
{
    bool own;
    t->W_dec = find(sae, "W_dec");
    if (!t->W_dec || t->W_dec->ndim != 3)
        return true;
    if (t->W_enc && t->W_enc->ndim != 2)
        return err_set(err, ERR_UNSUPPORTED, "crosscoders are not read (found W_enc with %d "
                       "dimensions, expected 2)", t->W_enc->ndim);
    if (g->layer < 0)
        return err_set(err, ERR_MISSING, "a cross-layer transcoder of which layer (found neither "
                       "layer_L in the path nor hf_hook_point_in, expected one)");
    if (!clt_decoder(sae, t->W_dec, 0, g->layer, &t->W_dec, &own, err))
        return false;
    t->transcodes = true;
    if (!own) { /* these belong to the output of its own layer */
        t->W_skip = t->b_dec = NULL;
        t->no_b_dec = true;
    }
    return true;
}

static bool bind_tensors(struct sae *sae, const char *path, const struct gemma *g,
                         struct err *err)
{
    const struct tensor *skip = find(sae, "affine_skip_connection");
    if (g->affine && !skip)
        return err_set(err, ERR_MISSING, "%s: there is no affine_skip_connection, though "
                       "affine_connection is true (found none, expected a matrix)", path);
    struct dialect_tensors t = {
        .transcodes = g->transcodes || skip, .W_skip = skip, .W_skip_is_d_in_first = true,
        .W_enc = find(sae, "W_enc"),
        .b_enc = find(sae, "b_enc"), .b_dec = find(sae, "b_dec"),
        .threshold = find(sae, "threshold"), .W_enc_is_d_in_first = true,
    };
    if (!find_decoder(sae, g, &t, err))
        return err_path(err, path);
    if (!dialect_bind(sae, &t, path, err))
        return false;
    sae->arch = sae_arch_find("jumprelu");
    return sae->arch->check(sae, err) || err_path(err, path);
}

static bool bind_config(struct sae *sae, const struct checkpoint *c, struct gemma *g,
                        struct err *err)
{
    json_t *cfg = checkpoint_json(c, CONFIG, err);
    bool ok = cfg && read_config(sae, cfg, g, err);
    if (cfg) {
        json_decref(sae->config);
        sae->config = cfg;
    }
    if (!ok) {
        char *path = checkpoint_sibling(c, CONFIG);
        err_path(err, path);
        free(path);
    }
    return ok;
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    bool v2 = checkpoint_offers(c, SAFETENSORS), ok = true;
    char *path = checkpoint_weights(c, v2 ? SAFETENSORS : NPZ);
    struct gemma g = {.layer = -1};
    if (v2 && checkpoint_has(c, CONFIG))
        ok = bind_config(sae, c, &g, err);
    else if (v2)
        read_folders(sae, path, &g);
    else
        read_path(sae, path, &g);
    ok = ok && dialect_container(sae, path, progress, err) && bind_tensors(sae, path, &g, err);
    free(path);
    return ok;
}

static const char *recognise(const struct checkpoint *c)
{
    if (checkpoint_offers(c, NPZ) || checkpoint_is_file(c, ".npz"))
        return NPZ;
    return !checkpoint_offers(c, SAFETENSORS) ? NULL
           : checkpoint_has(c, CONFIG)        ? CONFIG " and " SAFETENSORS
                                              : SAFETENSORS;
}

const struct dialect dialect_gemma = {"gemma-scope", recognise, bind};
