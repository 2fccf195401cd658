/* cmd_score.c - `saescope score`: what the language model loses with the SAE in place. */
#include <string.h>

#include "model/score.h"
#include "tui/cmd_lm.h"
#include "tui/out_score.h"

static void warn_of_difference(struct cmd *c, const struct page_score *p)
{
    char text[1024];
    if (score_warning(p, c->session->samples->path, text, sizeof text))
        session_warn(c->session, "%s", text);
}

static enum score_baseline baseline_of(const char *name)
{
    enum score_baseline b = SCORE_ZERO;
    while (name && strcmp(score_baseline_names[b], name) != 0)
        b++; /* opt.c has let no other name pass */
    return b;
}

bool cmd_score(struct cmd *c, struct err *err)
{
    struct lm_hook hook;
    struct page_score page;
    struct cmd_effects e = {0};
    struct score_options options = {.scan = session_scan_options(c->session),
                                    .from_samples = c->opts.from_samples,
                                    .baseline = baseline_of(c->opts.baseline)};
    struct lm *lm = cmd_need_lm(c, err);
    bool ok = lm && cmd_need_hook(c, lm, &hook, err) &&
              cmd_effects_open(c, lm, &hook, &e, err) &&
              effects_need_score(e.kept, &e.in, &options, &c->progress, err) &&
              effects_score(e.kept, &options, &page);
    cmd_effects_close(c, &e);
    lm_close(lm);
    if (!ok)
        return false;
    warn_of_difference(c, &page);
    out_score(c->out, &page);
    return true;
}
