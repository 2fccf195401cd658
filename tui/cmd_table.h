/*
 * cmd_table.h - the table of features as commands see it: from an index where there are
 * samples, from the weights alone where there are none.
 */
#pragma once

#include "model/page.h"
#include "tui/cmd.h"

/* scanned: with the columns that need samples, making an index first if there is none;
 * without samples these columns stay unknown. *table is the caller's to finish. */
bool cmd_table_make(struct cmd *c, bool scanned, struct feature_table *table,
                    struct err *err);
