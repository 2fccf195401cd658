/*
 * dialect_sparsify.c - sparsify (EleutherAI, once called sae).
 *
 * A directory called like the module that it reads (layers.10, layers.3.mlp, h.0.attn; below
 * it seed0, ... where there are several), with cfg.json and sae.safetensors: encoder.weight
 * [d_sae, d_in], encoder.bias, W_dec [d_sae, d_in], b_dec. The k largest of
 * relu((x - b_dec) W_enc + b_enc).
 *
 *   activation groupmax   of each of k groups of neighbouring features the greatest
 *   signed                (of June to August 2024) the k of greatest |h|, with their signs
 *   transcode             the output is the module's, not its input; b_dec is not taken off,
 *                         as since February 2025. Files of before have no such key, and took
 *                         b_dec off: --subtract-b-dec decides
 *   skip_connection       W_skip [d_out, d_in] times the input is added to the output
 *
 * Source: sparsify/sparse_coder.py and config.py of the library.
 */
#include "model/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/dialect_keys.h"

#define CFG     "cfg.json"
#define WEIGHTS "sae.safetensors"

static const char *const described_keys[] = {
    "activation", "d_in", "expansion_factor", "k", "multi_topk", "normalize_decoder",
    "num_latents", "signed", "skip_connection", "transcode",
};

struct sparsify {
    const char *activation;
    bool is_signed, transcode, skip;
};

static bool read_options(struct sae *sae, const json_t *cfg, struct sparsify *o,
                         struct err *err)
{
    *o = (struct sparsify){.activation = "topk"};
    if (!json_get_string(cfg, "activation", &o->activation, err) ||
        !json_get_bool(cfg, "signed", &o->is_signed, err) ||
        !json_get_bool(cfg, "transcode", &o->transcode, err) ||
        !json_get_bool(cfg, "skip_connection", &o->skip, err) ||
        !json_get_int(cfg, "k", &sae->k, err))
        return false;
    if (strcmp(o->activation, "topk") != 0 && strcmp(o->activation, "groupmax") != 0)
        return err_set(err, ERR_UNSUPPORTED, "activation is not read (found %s, expected topk "
                                             "or groupmax)", o->activation);
    if (o->is_signed && strcmp(o->activation, "topk") != 0)
        return err_set(err, ERR_UNSUPPORTED, "signed is true (found activation %s, expected "
                                             "topk)", o->activation);
    dialect_ignore_others(sae, cfg, described_keys,
                          sizeof described_keys / sizeof *described_keys);
    return true;
}

/* The directory's name, or that above seed0, seed1, ... of one place. */
static void read_place(struct sae *sae, const struct checkpoint *c)
{
    char *hook = hook_of_directory(c, 2);
    if (sae_rebuilds_input(sae)) {
        sae->hook = hook;
        return;
    }
    /* A transcoder of a module reads what the module reads. */
    size_t n = hook ? strlen(hook) : 0, tail = strlen("hook_mlp_out");
    if (n > tail && strcmp(hook + n - tail, "hook_mlp_out") == 0)
        sae->hook = xasprintf("%.*smlp.hook_in", (int)(n - tail), hook);
    sae->hook_out = hook;
}

static bool bind_tensors(struct sae *sae, const struct sparsify *o, const char *path,
                         const struct progress *progress, struct err *err)
{
    struct container *file = dialect_container(sae, path, progress, err);
    if (!file)
        return false;
    const struct tensor *skip = container_find(file, "W_skip");
    if (o->skip && !skip)
        return err_set(err, ERR_MISSING, "there is no W_skip, though skip_connection is true "
                                         "(found none, expected a matrix)");
    bool transcodes = o->transcode || o->skip || skip;
    struct dialect_tensors t = {
        .W_enc = container_find(file, "encoder.weight"),
        .W_dec = container_find(file, "W_dec"),
        .b_enc = container_find(file, "encoder.bias"),
        .b_dec = container_find(file, "b_dec"),
        .transcodes = transcodes, .W_skip = skip,
    };
    if (!dialect_bind(sae, &t, path, err))
        return false;
    sae->arch = sae_arch_find(o->activation);
    sae->is_signed = o->is_signed;
    if (transcodes && !sae->options.subtract_b_dec)
        sae_add_note(sae, "a transcoder: files of before February 2025 take b_dec off the input, "
                          "later ones do not; taken for one that %s (--subtract-b-dec)",
                     o->transcode ? "does not" : "does");
    return (o->transcode || dialect_subtract_b_dec(sae, err)) && sae->arch->check(sae, err);
}

static bool note_d_in(struct sae *sae, const json_t *cfg, struct err *err)
{
    int64_t said = sae->d_in;
    if (!json_get_int(cfg, "d_in", &said, err))
        return false;
    if (said != sae->d_in)
        sae_add_note(sae, CFG ": d_in is %lld, the weights have %lld", (long long)said,
                     (long long)sae->d_in);
    return true;
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    char *path = checkpoint_weights(c, WEIGHTS), *cfg_path = checkpoint_sibling(c, CFG);
    json_t *cfg = checkpoint_json(c, CFG, err);
    struct sparsify options;
    bool ok = cfg != NULL;
    if (cfg) {
        json_decref(sae->config);
        sae->config = cfg;
        ok = read_options(sae, cfg, &options, err) || err_path(err, cfg_path);
    }
    ok = ok && (bind_tensors(sae, &options, path, progress, err) || err_path(err, path)) &&
         (note_d_in(sae, cfg, err) || err_path(err, cfg_path));
    if (ok)
        read_place(sae, c);
    free(path);
    free(cfg_path);
    return ok;
}

static const char *recognise(const struct checkpoint *c)
{
    return checkpoint_offers(c, WEIGHTS) ? CFG " and " WEIGHTS : NULL;
}

const struct dialect dialect_sparsify = {"sparsify", recognise, bind};
