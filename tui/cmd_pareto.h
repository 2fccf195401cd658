/* cmd_pareto.h - what `compare` does about more than two, and shares with two. */
#pragma once

#include "model/score.h"
#include "tui/cmd.h"

struct lm;

/* saescope compare --pareto */
bool cmd_pareto(struct cmd *c, struct err *err);

/* The reconstruction score of `one` into *out; where something about the inputs leaves it
 * null that is a warning, *scored is false, and it is no failure. */
bool cmd_try_score(struct cmd *one, const struct lm *lm, struct page_score *out, bool *scored,
                   struct err *err);
