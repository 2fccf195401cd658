/*
 * wid_edit.h - a line that is being typed: cursor, history, completion.
 *
 * Keys as in a shell: arrows, Home End ^A ^E, ^W ^U ^K, Backspace Delete, Up Down through
 * the history, Tab completes and Tab again walks through the candidates. The cursor moves
 * by grapheme clusters.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tui/canvas.h"

struct edit_history {
    char **lines; /* owned, oldest first */
    int n, cap;
};
void edit_history_add(struct edit_history *h, const char *line); /* "" and repeats: no */
void edit_history_finish(struct edit_history *h);

/* The i-th word that can stand where the cursor is, NULL past the end; need not be
 * filtered. */
typedef const char *(*edit_words_fn)(void *ctx, int i);

struct edit {
    char *text;     /* owned, UTF-8, terminated */
    size_t len, cap;
    size_t cursor;  /* byte */
    struct edit_history *history; /* borrowed, or NULL */
    int recalled;   /* history->n: the line itself */
    char *typed;    /* owned: what was there before the history was walked */
    edit_words_fn words; /* or NULL */
    void *words_ctx;
    int candidate;       /* of repeated Tab; -1: not completing */
    size_t word_at;      /* where the word being completed starts */
    char *stem;          /* owned: what it was before */
};

void edit_init(struct edit *e, const char *initial, struct edit_history *history);
void edit_finish(struct edit *e); /* zeroed is fine */

enum edit_result { EDIT_GOES_ON, EDIT_DONE, EDIT_CANCELLED };

/* Enter: done (and into the history). Esc, ^C, ^G, or Backspace on an empty line:
 * cancelled. */
enum edit_result edit_key(struct edit *e, int32_t key);

/* While Tab completes: the n-th different word that fits, NULL past the last (borrowed from
 * `words`). e->candidate is the one that stands there now. */
const char *edit_candidate(const struct edit *e, int n);

/* "label text" on one row, scrolled so that the cursor is in view; its column comes back
 * for the terminal's cursor. */
int edit_paint(struct canvas *c, int row, const char *label, const struct edit *e);
