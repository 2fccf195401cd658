/* lm.c - opening language models, and the names of their hooks; see lm.h. */
#include "model/lm_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"

static bool read_config(struct lm *lm, struct err *err)
{
    char *path = lm->config_path = xasprintf("%s/config.json", lm->path);
    json_t *cfg = json_load_path(path, JSON_MAX_TEXT, JSON_LAST_WINS, err);
    bool ok = cfg != NULL;
    if (ok) {
        ok = json_is_object(cfg) || err_set(err, ERR_FORMAT, "bad configuration (found no object, expected one)");
        lm->family = ok ? lm_family_of(cfg, err) : NULL;
        ok = lm->family && lm_configure(lm->family, cfg, &lm->c, err);
        const json_t *bos = json_object_get(cfg, "bos_token_id");
        lm->bos = json_is_integer(bos) ? json_integer_value(bos) : -1;
        if (lm->bos < 0 || lm->bos >= LM_MAX_VOCAB)
            lm->bos = -1;
        if (!ok)
            err_path(err, path);
    }
    json_decref(cfg);
    return ok;
}

struct lm *lm_open(const char *dir, const struct progress *progress, struct err *err)
{
    struct lm *lm = xcalloc(1, sizeof *lm);
    lm->path = xstrdup(dir);
    if (read_config(lm, err) && lm_bind(lm, progress, err))
        return lm;
    lm_close(lm);
    return NULL;
}

void lm_close(struct lm *lm)
{
    if (!lm)
        return;
    lm_unbind(lm);
    free(lm->config_path);
    free(lm->path);
    free(lm);
}

const char *lm_path(const struct lm *lm)
{
    return lm->path;
}

const char *lm_file(const struct lm *lm, int i)
{
    return i == 0 ? lm->config_path
                  : i <= lm->n_files ? container_path(lm->files[i - 1]) : NULL;
}

int64_t lm_d_model(const struct lm *lm)
{
    return lm->c.d_model;
}

int64_t lm_vocab(const struct lm *lm)
{
    return lm->c.vocab;
}

const float *lm_final_gain(const struct lm *lm)
{
    return lm->final_norm.w;
}

bool lm_check_ids(const struct lm *lm, const char *what, const int64_t *ids, int64_t n,
                  struct err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= lm->c.vocab)
            return err_set(err, ERR_RANGE, "%s: token id out of the vocabulary of %s (found "
                           "%lld, expected 0 to %lld)", what, lm->path, (long long)ids[i],
                           (long long)lm->c.vocab - 1);
    return true;
}

int64_t lm_context(const struct lm *lm)
{
    return lm->c.context;
}

int64_t lm_bos(const struct lm *lm)
{
    return lm->bos;
}

bool lm_fits(const struct lm *lm, int64_t T)
{
    return !lm->positions.t || T <= lm->c.context; /* rotary positions just go on */
}

bool lm_check_length(const struct lm *lm, const char *what, int64_t T, struct err *err)
{
    if (lm_fits(lm, T))
        return true;
    return err_set(err, ERR_RANGE, "%s: sequences are longer than the context of %s (found "
                   "%lld, expected at most %lld; --seq-len cuts flat data)", what, lm->path,
                   (long long)T, (long long)lm->c.context);
}

/* ---- hooks */

static const char *const site_names[] = {
    [LM_RESID_PRE] = "hook_resid_pre", [LM_ATTN_OUT] = "hook_attn_out",
    [LM_RESID_MID] = "hook_resid_mid", [LM_MLP_OUT] = "hook_mlp_out",
    [LM_RESID_POST] = "hook_resid_post",
};
#define N_SITES (sizeof site_names / sizeof *site_names)

bool lm_hook_parse(const struct lm *lm, const char *name, struct lm_hook *out,
                   struct err *err)
{
    long long layer;
    int end = 0;
    size_t site = N_SITES;
    if (sscanf(name, "blocks.%9lld.%n", &layer, &end) == 1 && end > 0)
        for (site = 0; site < N_SITES && strcmp(name + end, site_names[site]) != 0;)
            site++;
    if (site == N_SITES)
        return err_set(err, ERR_UNSUPPORTED, "%s: cannot replace at this hook (found %s, "
                       "expected blocks.L. with hook_resid_pre, hook_resid_mid, "
                       "hook_resid_post, hook_attn_out or hook_mlp_out)", lm->path, name);
    if (layer < 0 || layer >= lm->c.n_layers)
        return err_set(err, ERR_RANGE, "%s: no such hook (found %s, expected a layer of 0 "
                       "to %lld)", lm->path, name, (long long)lm->c.n_layers - 1);
    if (site == LM_RESID_MID && lm->c.parallel)
        return err_set(err, ERR_UNSUPPORTED, "%s: attention and MLP are parallel in this "
                       "model (found %s, expected hook_resid_pre, hook_resid_post, "
                       "hook_attn_out or hook_mlp_out)", lm->path, name);
    *out = (struct lm_hook){.layer = layer, .site = (enum lm_site)site};
    return true;
}
