/* out_score.c - see out_score.h. */
#include "tui/out_score.h"

#include <math.h>

void out_score(struct out *o, const struct page_score *p)
{
    out_int(o, "sequences", p->sequences);
    out_int(o, "positions", p->positions);
    out_num(o, "ce_original", p->ce_original);
    out_num(o, "ce_reconstructed", p->ce_reconstructed);
    out_num(o, "ce_zero", p->baseline == SCORE_ZERO ? p->ce_zero : NAN);
    out_num(o, "reconstruction_score", p->reconstruction_score);
    out_num(o, "nats_lost", p->nats_lost);
    out_num(o, "bits_lost", p->bits_lost);
    out_num(o, "kl", p->kl);
    out_num(o, "l0", p->l0);
    out_num(o, "fvu", p->fvu);
    out_num(o, "seconds", p->seconds);
    out_text(o, "baseline", score_baseline_names[p->baseline]);
    out_num(o, "ce_baseline", p->ce_zero);
}
