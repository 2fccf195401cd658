/*
 * token_form.h - what the strings of a vocabulary stand for. For tokenizer.c.
 *
 *   literal     themselves
 *   byte level  a byte a character (GPT-2's table)
 *   pieces      sentencepiece's: a mark for a space, <0xHH> for a byte
 *   words       WordPiece's: a word has a space in front, unless it goes on with the last
 *               ("##ing") or is punctuation
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/str.h"

enum token_form_kind { FORM_LITERAL, FORM_BYTE_LEVEL, FORM_PIECES, FORM_WORDS };

struct token_form {
    enum token_form_kind kind;
    bool byte_tokens;             /* pieces: <0xHH> is a byte */
    char *replaced, *replacement; /* pieces: what stands for what, owned */
    char *joined;                 /* words: in front of what goes on, owned; NULL: nothing does */
    bool punctuation;             /* words: no space in front of it */
    char *strip;                  /* taken off the start of a text, owned; NULL: nothing */
    int64_t strip_max;            /* at most that many times */
};

void token_form_finish(struct token_form *f); /* a zeroed one is fine */

/* What of a tokenizer.json tells the form. Borrowed; NULL: absent. */
struct token_form_parts {
    const json_t *decoder, *pre_tokenizer;
    const char *model, *joined; /* model.type and model.continuing_subword_prefix */
    bool byte_fallback;
};

/* ERR_UNSUPPORTED: a decoder that is not read, by name; ERR_FORMAT. */
bool token_form_read(struct token_form *f, const struct token_form_parts *parts,
                     struct err *err);

/* sentencepiece's own: U+2581 for spaces, byte tokens, perhaps a space before all. */
void token_form_set_pieces(struct token_form *f, bool space_in_front);

/* The byte of "<0xHH>", else -1. */
int token_form_byte(const char *s, size_t n);

/* Append the bytes of the string s [n]. True: it is a byte token. */
bool token_form_put(const struct token_form *f, const char *s, size_t n, struct str *out);

/* How much of the start of a decoded text is taken off. */
size_t token_form_strip(const struct token_form *f, const struct str *text);
