/*
 * wid_tokens.h - text as tokens, coloured by activation.
 *
 * Tokens are bytes. Tokens that only together make a character (byte-level BPE cuts
 * letters, emoji and combining sequences apart) are drawn as that one character, with the
 * greatest activation of its parts. A newline, tab or other control character shows as a
 * symbol. Intensity is the ground's colour; without colour, digits 0-9 stand in the row
 * below (letters a-j for what is below zero), so that a line takes two rows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "tui/canvas.h"

struct token_piece {
    const char *bytes; /* borrowed; not terminated */
    size_t len;
    float activation;  /* |a|, or signed with tokens_run.is_signed */
};

struct tokens_run {
    const struct token_piece *pieces;
    int n;
    int lit;        /* the token it is about: bold, bracketed; -1: none */
    int cursor;     /* token under the cursor; -1: none */
    float max;      /* activation of full intensity; <= 0: the greatest here */
    bool is_signed; /* diverging ramp: blue below 0, orange above */
};

/* Rows that a line takes: 1, or 2 when digits are needed. */
int tokens_line_rows(const struct canvas *c);

/* One line, the lit token in its middle, so that lit tokens of lines above one another
 * stand above one another (lit = -1: from the left). An ellipsis marks the cut ends. */
void tokens_paint_line(struct canvas *c, int row, const struct tokens_run *t);

/* Wrapped from `row` on, breaking before tokens; newline tokens end a line. Returns the
 * row after the last, even if outside. */
int tokens_paint_wrapped(struct canvas *c, int row, const struct tokens_run *t);

/* The token at (row, col) of the wrapped form painted from row 0, or -1. */
int tokens_at(const struct tokens_run *t, int cols, bool mono, int row, int col);
