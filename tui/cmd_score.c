/* cmd_score.c - `saescope score`: what the language model loses with the SAE in place. */
#include <math.h>

#include "model/score.h"
#include "tui/cmd_lm.h"

static void warn_of_difference(struct cmd *c, const struct page_score *p)
{
    if (!(p->samples_difference > SCORE_DIFFERENCE))
        return;
    session_warn(c->session, "%s: warning: the samples are not what the language model "
                 "gives at the hook (relative difference %.3g on the first sequences, "
                 "expected at most %g)", c->session->samples->path, p->samples_difference,
                 SCORE_DIFFERENCE);
}

static void put_score(struct out *o, const struct page_score *p)
{
    out_int(o, "sequences", p->sequences);
    out_int(o, "positions", p->positions);
    out_num(o, "ce_original", p->ce_original);
    out_num(o, "ce_reconstructed", p->ce_reconstructed);
    out_num(o, "ce_zero", p->ce_zero);
    out_num(o, "reconstruction_score", p->reconstruction_score);
    out_num(o, "nats_lost", p->nats_lost);
    out_num(o, "bits_lost", p->bits_lost);
    out_num(o, "kl", p->kl);
    out_num(o, "l0", p->l0);
    out_num(o, "fvu", p->fvu);
    out_num(o, "seconds", p->seconds);
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
    put_score(c->out, &page);
    return true;
}
