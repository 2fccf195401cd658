/* cmd_lm.h - the language model of a command, for those that need one. */
#pragma once

#include "model/session_lm.h"
#include "tui/cmd.h"

/* Where it is; NULL: none. Borrowed. */
static inline const char *cmd_model_path(const struct cmd *c)
{
    return session_lm_path(c->session);
}

/* Open it. ERR_MISSING names --model. The caller closes it. A tokenizer that does not fit
 * is a warning. */
struct lm *cmd_need_lm(struct cmd *c, struct err *err);

/* The hook that the SAE belongs to. ERR_MISSING names --hook. */
static inline bool cmd_need_hook(const struct cmd *c, const struct lm *lm,
                                 struct lm_hook *hook, struct err *err)
{
    return session_lm_hook(c->session, c->i, lm, hook, err);
}

/* What is known of the SAE in this model, and what it takes to find out more. */
struct cmd_effects {
    struct effects *kept;
    struct effects_inputs in;
};

/* hook may be NULL for what needs none (promoted tokens). lm and hook are borrowed. */
bool cmd_effects_open(struct cmd *c, const struct lm *lm, const struct lm_hook *hook,
                      struct cmd_effects *out, struct err *err);
struct feature_table;
/* Fill the columns estimate and delta_ce of the table, for both modes: estimates are
 * computed for the modes that are wanted (by error_kept), else they and the exact effects
 * are those that are known. */
bool cmd_effects_columns(struct cmd *c, struct cmd_effects *e, const bool wanted[2],
                         struct feature_table *table, struct err *err);
/* Saves what is new; where that fails, a warning. A zeroed one is fine. */
void cmd_effects_close(struct cmd *c, struct cmd_effects *e);
