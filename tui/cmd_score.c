/* cmd_score.c - `saescope score`: what the language model loses with the SAE in place. */
#include "model/score.h"
#include "tui/cmd_lm.h"
#include "tui/out_score.h"

static void warn_of_difference(struct cmd *c, const struct page_score *p)
{
    char text[1024];
    if (score_warning(p, c->session->samples->path, text, sizeof text))
        session_warn(c->session, "%s", text);
}

bool cmd_score(struct cmd *c, struct err *err)
{
    struct lm_hook hook;
    struct page_score page;
    struct score_options options = {.scan = session_scan_options(c->session),
                                    .from_samples = c->opts.from_samples};
    struct lm *lm = cmd_need_lm(c, err);
    bool ok = lm && cmd_need_hook(c, lm, &hook, err) &&
              score_run(lm, &hook, c->sae, c->session->samples, &options, &c->progress,
                        &page, err);
    lm_close(lm);
    if (!ok)
        return false;
    warn_of_difference(c, &page);
    out_score(c->out, &page);
    return true;
}
