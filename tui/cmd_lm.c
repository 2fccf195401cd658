/* cmd_lm.c - see cmd_lm.h. */
#include "tui/cmd_lm.h"

struct lm *cmd_need_lm(struct cmd *c, struct err *err)
{
    char text[1024];
    struct lm *lm = session_lm_open(c->session, c->i, &c->progress, err);
    if (lm && session_lm_warning(c->session, lm, text, sizeof text))
        session_warn(c->session, "%s", text);
    return lm;
}

bool cmd_effects_open(struct cmd *c, const struct lm *lm, const struct lm_hook *hook,
                      struct cmd_effects *out, struct err *err)
{
    struct err remark = {0};
    struct effects *kept = session_effects_open(c->session, c->i, lm, &remark, err);
    if (!kept)
        return false;
    if (remark.code)
        session_warn(c->session, "%s", remark.msg);
    *out = (struct cmd_effects){
        .kept = kept,
        .in = {.lm = lm, .hook = hook, .sae = c->sae, .samples = c->session->samples,
               .scan = session_scan_options(c->session)},
    };
    return true;
}

void cmd_effects_close(struct cmd *c, struct cmd_effects *e)
{
    struct err err = {0};
    if (e->kept && !effects_save(e->kept, &err))
        session_warn(c->session, "%s: warning: what was computed is not kept (%s)",
                     c->sae->path, err.msg);
    effects_close(e->kept);
    *e = (struct cmd_effects){0};
}
