/*
 * view_text.h - the inside of view 8: a text that is typed or taken from the samples, what is
 * active at each of its tokens, what each loss is, and what the next token would be with
 * features taken out.
 *
 * What is asked (struct text_ask) and what is shown (struct text_shown) are apart: while one
 * types, jobs of older texts are cancelled and the last answer stays until the next comes.
 */
#pragma once

#include <stdatomic.h>

#include "model/prompt.h"
#include "tui/pane.h"
#include "tui/view.h"

#define TEXT_MAX_OUT  16   /* features taken out at a time */
#define TEXT_NEXT     12   /* most probable tokens shown */

/* Encoder and engine, made by the first job and used by all; counted. */
struct text_kit {
    atomic_int users;
    struct token_encoder *te;  /* owned; NULL: ids of the samples only, why */
    struct err te_err;
    struct prompt_engine *engine;
    int sae;                   /* of session->saes */
};
void text_kit_unref(struct text_kit *kit); /* NULL is fine */

enum text_mode { TEXT_ERROR_KEPT, TEXT_RECONSTRUCTION };

struct text_ask {
    char *text;          /* owned; NULL: the sequence */
    int64_t sequence;    /* of the samples; -1: none */
    int64_t out[TEXT_MAX_OUT]; /* features taken out */
    int n_out;
    bool out_off;        /* they stay in for now */
    enum text_mode mode;
    enum prompt_bos bos;
};

/* An answer. */
struct text_shown {
    bool known;
    struct page_prompt page;
    int64_t sequence;    /* that it is, or -1 */
    int64_t out[TEXT_MAX_OUT];
    int n_out;           /* 0: nothing was taken out */
    enum text_mode mode;
};

enum text_colour { TEXT_BY_LOSS, TEXT_BY_FEATURE };

struct text_view {
    struct text_kit *kit;
    struct text_ask ask;
    struct text_shown shown;
    char *before;        /* owned: the text when typing began, for Esc */
    int64_t before_sequence;
    bool typing;
    int64_t token;       /* cursor: position in the text */
    int64_t feature;     /* cursor: place in the token's list */
    enum text_colour colour;
    struct page_next next;
    int64_t next_at;     /* position that it is of; -1: none */
    bool ready;          /* something was asked already */
    struct pane page;    /* the feature under the cursor in small, on wide screens */
    int decimals[FCOL_COUNT];
    uint64_t version;    /* of the table that these are of */
};

enum { TEXT_SLOT_RUN, TEXT_SLOT_NEXT, TEXT_SLOT_PAGE };

/* The token under the cursor, and the feature; NULL when there is none. */
const struct prompt_token *text_token(const struct text_view *s);
const struct prompt_feature *text_feature(const struct text_view *s);
bool text_is_out(const struct text_ask *ask, int64_t feature);

/* The activation of a feature at a token, 0 where it is not active. */
float text_activation(const struct prompt_token *t, int64_t feature);

void text_draw(const struct view *v, struct canvas *c);
/* The token at a place of the canvas, -1: none. *feature gets the row of the list, or -1. */
int64_t text_at(const struct view *v, int row, int col, int64_t *feature);

char *text_copy(const struct view *v, bool all);
bool text_export(const struct view *v, enum export_format format, FILE *out, struct err *err);
