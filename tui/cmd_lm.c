/* cmd_lm.c - see cmd_lm.h. */
#include "tui/cmd_lm.h"

#include "io/mem.h"
#include "model/page.h"

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

bool cmd_effects_columns(struct cmd *c, struct cmd_effects *e, const bool wanted[2],
                         struct feature_table *t, struct err *err)
{
    static const int column[2][2] = {{FCOL_ESTIMATE, FCOL_DELTA_CE},
                                     {FCOL_ESTIMATE_KEPT, FCOL_DELTA_CE_KEPT}};
    for (int kept = 0; kept < 2; kept++) {
        if (wanted[kept] &&
            !effects_need_estimates(e->kept, &e->in, kept, &c->progress, err))
            return false;
        for (int i = 0; i < 2; i++)
            if (!t->v[column[kept][i]])
                t->v[column[kept][i]] = xcalloc((size_t)t->n, sizeof(double));
        effects_columns(e->kept, kept, t->v[column[kept][0]], t->v[column[kept][1]]);
    }
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
