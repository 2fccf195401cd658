/*
 * dialect_npy.c - a directory of plain arrays, as NumPy saves them.
 *
 *   W_enc.npy [d_in, d_sae]   W_dec.npy [d_sae, d_in]   b_enc.npy   b_dec.npy
 *   threshold.npy, b_gate.npy, b_mag.npy, r_mag.npy, topk_threshold.npy, k.npy, ...
 *   cfg.json                  in SAELens' keys; may be missing
 *
 * Each array may be NAME.npy.zst. Without cfg.json a threshold makes it a JumpReLU whose
 * b_dec is not taken off the input, as in Gemma Scope; else it is a standard SAE.
 */
#include "model/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

#define CFG "cfg.json"

/* All the arrays that a checkpoint may have. */
static const char *const arrays[] = {
    "W_enc", "W_dec", "b_enc", "b_dec", "threshold", "log_threshold", "topk_threshold",
    "b_gate", "b_mag", "r_mag", "W_skip", "scaling_factor", "finetuning_scaling_factor", "k",
};
#define N_ARRAYS (sizeof arrays / sizeof *arrays)

/* Is the file NAME.npy or NAME.npy.zst? */
static bool is_file_of(const char *file, const char *name)
{
    size_t n = strlen(name);
    return strncmp(file, name, n) == 0 &&
           (strcmp(file + n, ".npy") == 0 || strcmp(file + n, ".npy.zst") == 0);
}

static const struct tensor *find(const struct sae *sae, const char *name)
{
    for (int i = 0; i < sae->n_containers; i++) {
        const char *path = container_path(sae->containers[i]);
        const char *slash = strrchr(path, '/');
        if (is_file_of(slash ? slash + 1 : path, name))
            return container_at(sae->containers[i], 0);
    }
    return NULL;
}

/* NAME.npy or NAME.npy.zst in the directory, the plain one first; NULL: neither. */
static char *array_path(const struct checkpoint *c, const char *name)
{
    static const char *const tails[] = {".npy", ".npy.zst"};
    char file[64];
    for (size_t i = 0; i < 2; i++) {
        strcpy(file, name);
        strcat(file, tails[i]);
        if (checkpoint_has(c, file))
            return checkpoint_sibling(c, file);
    }
    return NULL;
}

static bool open_arrays(struct sae *sae, const struct checkpoint *c,
                        const struct progress *progress, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; i < N_ARRAYS && ok; i++) {
        char *path = array_path(c, arrays[i]);
        struct container *npy = path ? dialect_container(sae, path, progress, err) : NULL;
        if (path && !npy)
            ok = false;
        else if (npy && container_count(npy) != 1)
            ok = err_set(err, ERR_FORMAT, "%s: not one array (found %zu, expected one)", path,
                         container_count(npy));
        free(path);
    }
    return ok;
}

/* The configuration that stands for a missing one. */
static json_t *default_config(const struct sae *sae)
{
    if (find(sae, "threshold"))
        return json_pack("{s:s, s:b}", "architecture", "jumprelu", "apply_b_dec_to_input", 0);
    return json_pack("{s:s}", "architecture", "standard");
}

/* k.npy, one number, where cfg.json does not say it. */
static void take_k(const struct sae *sae, json_t *cfg)
{
    const struct tensor *t = find(sae, "k");
    if (!t || tensor_count(t) != 1 || json_object_get(cfg, "k"))
        return;
    float k;
    tensor_read_f32(t, 0, 1, &k);
    json_object_set_new(cfg, "k", json_real((double)k));
}

static bool bind(struct sae *sae, const struct checkpoint *c,
                 const struct progress *progress, struct err *err)
{
    if (!open_arrays(sae, c, progress, err))
        return false;
    bool has_config = checkpoint_has(c, CFG);
    json_t *cfg = has_config ? checkpoint_json(c, CFG, err) : default_config(sae);
    if (!cfg)
        return false;
    take_k(sae, cfg);
    char *cfg_path = checkpoint_sibling(c, CFG);
    struct dialect_source from = {.find = find, .path = c->dir, .cfg_path = cfg_path, .extended = true};
    bool ok = dialect_read_scaler(c, &from.input_factor, err) &&
              dialect_bind_saelens(sae, cfg, &from, progress, err);
    if (ok && !has_config)
        sae_add_note(sae, "there is no cfg.json: taken for %s, b_dec is %s the input",
                     sae->arch->name, sae->b_in ? "taken off" : "not taken off");
    json_decref(cfg);
    free(cfg_path);
    return ok;
}

static const char *recognise(const struct checkpoint *c)
{
    if (c->file)
        return is_file_of(c->file, "W_enc") || is_file_of(c->file, "W_dec") ? "W_enc.npy"
                                                                            : NULL;
    return checkpoint_has(c, "W_enc.npy")       ? "W_enc.npy"
           : checkpoint_has(c, "W_enc.npy.zst") ? "W_enc.npy.zst"
                                                : NULL;
}

const struct dialect dialect_npy = {"npy", recognise, bind};
