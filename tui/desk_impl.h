/*
 * desk_impl.h - the inside of the desk, shared by desk*.c only.
 */
#pragma once

#include "model/session_lm.h"
#include "tui/desk.h"
#include "tui/view.h"

/* What views want of the language model and has not been begun. */
struct effects_wishes {
    bool open, score, promoted, estimates[2];
    bool asked;                   /* by a key: the user is told when it fails */
    int64_t *ids[2];              /* owned; features to take out, by mode */
    int64_t n_ids[2], cap_ids[2], strongest[2];
};

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

    struct effects *effects;      /* owned; NULL: not open yet */
    uint64_t effects_seen;        /* its version when the table was filled */
    struct effects_wishes wishes;
    struct effects_job *running;  /* the worker's; NULL: none is under way */
    struct desk_work work;
    struct desk_score score;
    uint32_t *promoted;           /* owned [d_sae, n_promoted]; NULL: not there */
    int n_promoted;
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
    bool saving;                  /* a job writes labels */
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

/* Write what is not in the labels' file yet, here and now: the end. */
void desk_save_labels(struct desk *d);

/* Open the language model again if that failed. */
void desk_lm_retry(struct desk *d);

/* The model or a checkpoint has been opened, or has failed to: what waited for it. */
void desk_lm_settled(struct desk *d);

/* Copy what running jobs have so far. */
void desk_effects_tick(struct desk *d);
void desk_effects_retry(struct desk *d, int i);
void desk_effects_settle(struct desk *d, int i);
void desk_effects_finish(struct desk *d);
