/* cmd_lm.h - the language model of a command, for those that need one. */
#pragma once

#include "model/lm.h"
#include "tui/cmd.h"

/* Where it is: --model, else the bundle's; NULL: none. Borrowed. */
const char *cmd_model_path(const struct cmd *c);

/* Open it. ERR_MISSING names --model. The caller closes it. */
struct lm *cmd_need_lm(const struct cmd *c, struct err *err);

/* The hook that the SAE belongs to. ERR_MISSING names --hook. */
bool cmd_need_hook(const struct cmd *c, const struct lm *lm, struct lm_hook *hook,
                   struct err *err);
