/*
 * cmd_token.h - tokens in the answers of commands. See contract.md, "Strings of tokens".
 */
#pragma once

#include "tui/cmd.h"

/* token_id, token and, when bytes of it are invalid, bytes. id -1: not known, null. */
void cmd_put_token(struct cmd *c, int64_t id);

/* Lists of the same: token_ids, tokens, and bytes when one of them needs it. */
void cmd_put_tokens(struct cmd *c, const int64_t *ids, int n);

/* Append the bytes of the tokens as one text; "<ID>" for those without any. */
void cmd_token_text(const struct cmd *c, const int64_t *ids, int n, struct str *text);
