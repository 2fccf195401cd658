/* session_lm.c - see session_lm.h. */
#include "model/session_lm.h"

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
