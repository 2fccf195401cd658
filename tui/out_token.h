/*
 * out_token.h - tokens in answers. See docs/commands.md, "Strings of tokens". The tokenizer may
 * be NULL: then a token is "<ID>", as are ids that a tokenizer does not have.
 */
#pragma once

#include "io/str.h"
#include "io/tokenizer.h"
#include "model/contributions.h"
#include "tui/out.h"

/* token_id, token and, when bytes of it are invalid, bytes. id -1: not known, null. */
void out_token(struct out *o, const struct tokenizer *tk, int64_t id);

/* Lists of the same: token_ids, tokens, and bytes when one of them needs it. */
void out_tokens(struct out *o, const struct tokenizer *tk, const int64_t *ids, int n);

/* What one part is of the activation at a token, into the open object. */
void out_contribution(struct out *o, const struct contribution *p);

/* Append the bytes of the tokens as one text. */
void token_bytes_of(const struct tokenizer *tk, const int64_t *ids, int n, struct str *text);
