/* session_lm.c - see session_lm.h. */
#include "model/session_lm.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "io/mem.h"
#include "io/str.h"

const char *session_lm_path(const struct session *s)
{
    return s->options.model ? s->options.model : s->bundle.model;
}

struct lm *session_lm_open(const struct session *s, int i, const struct progress *progress,
                           struct err *err)
{
    const char *path = session_lm_path(s);
    if (path)
        return lm_open(path, progress, err);
    err_set(err, ERR_MISSING, "%s: no language model (found none, expected --model DIR or a "
            "bundle that has one)", s->saes[i].path);
    return NULL;
}

bool session_lm_warning(const struct session *s, const struct lm *lm, char *buf, size_t size)
{
    int64_t ids = s->tokenizer ? tokenizer_count(s->tokenizer) : 0;
    if (ids <= lm_vocab(lm)) /* a model may have room for more */
        return false;
    snprintf(buf, size, "%s: warning: the tokenizer has tokens that the language model %s "
             "does not have (found %lld ids, expected at most %lld)",
             tokenizer_path(s->tokenizer), lm_path(lm), (long long)ids,
             (long long)lm_vocab(lm));
    return true;
}

bool session_lm_hook(const struct session *s, int i, const struct lm *lm,
                     struct lm_hook *hook, struct err *err)
{
    const char *name = session_hook(s, i);
    if (name)
        return lm_hook_parse(lm, name, hook, err);
    return err_set(err, ERR_MISSING, "%s: not known where in the language model this SAE "
                   "sits (found no hook, expected --hook blocks.L.hook_resid_pre or the "
                   "like)", s->saes[i].path);
}

/* ---- effects */

/* What they stand on: what the index does, the model's files and the hook. */
static char *effects_key(const struct session *s, int i, const struct lm *lm,
                         struct err *err)
{
    struct str key = {0};
    const char *hook = session_hook(s, i), *path;
    char *index = session_index_key(s, i, err);
    bool ok = index != NULL;
    for (int f = 0; ok && (path = lm_file(lm, f)) != NULL; f++) {
        str_puts(&key, "model");
        ok = session_key_file(&key, path, err);
    }
    str_appendf(&key, "hook %s\n%s", hook ? hook : "none", index ? index : "");
    free(index);
    if (ok)
        return str_take(&key);
    str_finish(&key);
    return NULL;
}

/* The index's name, and what tells models and hooks apart. NULL: nowhere. */
static char *effects_path(const struct session *s, int i, const struct lm *lm)
{
    char real[PATH_MAX], *index = session_index_path(s, i, NULL);
    const char *hook = session_hook(s, i);
    if (!index)
        return NULL;
    size_t n = strlen(index), ending = strlen(".index");
    if (n > ending && strcmp(index + n - ending, ".index") == 0)
        index[n - ending] = '\0';
    char *what = xasprintf("%s %s", realpath(lm_path(lm), real) ? real : lm_path(lm),
                           hook ? hook : "");
    char *path = xasprintf("%s-%016llx.effects", index,
                           (unsigned long long)XXH3_64bits(what, strlen(what)));
    free(what);
    free(index);
    return path;
}

struct effects *session_effects_open(const struct session *s, int i, const struct lm *lm,
                                     struct err *remark, struct err *err)
{
    struct err e = {0};
    char *key = effects_key(s, i, lm, err);
    if (!key)
        return NULL;
    char *path = effects_path(s, i, lm);
    struct effects *effects = effects_open(path, key, s->saes[i].sae->d_sae,
                                           s->options.rebuild, &e);
    if (remark && e.code == ERR_FORMAT)
        err_set(remark, e.code, "%s: warning: they are computed again", e.msg);
    free(key);
    free(path);
    return effects;
}
