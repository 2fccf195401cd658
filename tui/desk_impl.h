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
    uint64_t needed;              /* when last, on the desk's clock */
    bool let_go;                  /* the columns that only the index has are not there; */
    bool coming_back;             /* a job brings them */
    uint64_t *selected;           /* owned bits [d_sae]; NULL: none */
    int64_t n_selected;
    char **names;                 /* owned [d_sae], automatic names; NULL: not made yet */

    struct desk_score score;
    bool wants_score;             /* as soon as model and checkpoint are open */
    bool score_asked;             /* by the user, who is told when it fails */
    struct score_job *scoring;    /* the worker's; NULL: none is under way */
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
    int current, picked;          /* picked: as partner, -1: none */
    uint64_t clock;               /* one tick a desk_need */
    int n_warnings;               /* of the session that have been said */
    uint64_t labels_version;
    struct desk_token *tokens;    /* owned, hashed by id; text NULL: free */
    size_t n_tokens, cap_tokens;  /* a power of 2 */

    struct lm *lm;                /* owned; NULL until DESK_LM_OPEN */
    enum desk_lm_state lm_state;
    struct err lm_err;            /* of DESK_LM_FAILED */
};

/* Tell the user the session's warnings that have not been told. */
void desk_say_warnings(struct desk *d);

/* The index of an entry is there, or another: what came from the old one is void. */
void desk_names_reset(struct desk *d, int i);
void desk_names_finish(struct desk *d);

/* Open the language model again if that failed. */
void desk_lm_retry(struct desk *d);

/* The model or a checkpoint has been opened, or has failed to: what waited for it. */
void desk_lm_settled(struct desk *d);

/* Copy what running scores have so far. */
void desk_score_tick(struct desk *d);
void desk_score_retry(struct desk *d, int i);
void desk_score_settle(struct desk *d, int i);
