/*
 * desk_impl.h - the inside of the desk, shared by desk*.c only.
 */
#pragma once

#include "model/session_lm.h"
#include "tui/desk.h"
#include "tui/view.h"

struct desk_entry {
    struct desk_sae shown;
    struct scan_live *live;       /* owned; outlives the scan that writes to it */
    uint64_t weights, nearest;    /* jobs; 0: none */
    uint64_t *selected;           /* owned bits [d_sae]; NULL: none */
    int64_t n_selected;
    char **names;                 /* owned [d_sae], automatic names; NULL: not made yet */
};

struct desk_token {
    int64_t id;
    const char *bytes; /* the tokenizer's, or owned when it has none: own */
    size_t len;
    char *own, *text;  /* owned */
};

struct desk {
    struct app *app;
    struct session *session;
    struct desk_entry *entries;   /* owned [session->n_saes] */
    int current;
    int n_warnings;               /* of the session that have been said */
    uint64_t labels_version;
    struct desk_token *tokens;    /* owned, hashed by id; text NULL: free */
    size_t n_tokens, cap_tokens;  /* a power of 2 */

    struct lm *lm;                /* owned; NULL until DESK_LM_OPEN */
    enum desk_lm_state lm_state;
    struct err lm_err;            /* of DESK_LM_FAILED */
};

/* The index of an entry is there, or another: what came from the old one is void. */
void desk_names_reset(struct desk *d, int i);
void desk_names_finish(struct desk *d);

/* Open the language model again if that failed. */
void desk_lm_retry(struct desk *d);
