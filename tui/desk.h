/*
 * desk.h - what all views of the open checkpoints share: tables, scans, names, marks.
 *
 * The frame makes one desk for its session; every view has it as v->desk (NULL in tests
 * without a session). UI thread only. The desk loads checkpoints, looks for their indexes
 * and scans where there is none, all in jobs of its own; the session is changed here,
 * between events, and nowhere else in the explorer:
 *
 *   UNLOADED -> LOADING -> OPENING -> COMPLETE            there was an index
 *                             |-> WEIGHTS                 there are no samples
 *                             '-> SCANNING -> COMPLETE    WEIGHTS again if it failed or
 *                                                         was cancelled; R tries again
 *
 * Each step calls app_changed, so `changed` of a view is where it looks again. What moves
 * while a scan runs is seen in desk_sae.version, in `tick`.
 *
 * All views show the current checkpoint (but those that show several). A view's go()
 * begins with v->target.sae = desk_go(v->desk, at); its changed() with
 * v->target.sae = desk_current(v->desk).
 *
 * Jobs of views take const pointers: session->saes[i].sae and .index once they are there,
 * samples, tokenizer. These stay until the program ends. Tables do not: a job copies the
 * columns that it needs. And where many large checkpoints are open, only the tables of the
 * current one, its partner and those that were last needed are kept whole: of the others
 * what no index has stays (bias, threshold, nearest), and desk_need brings the rest back from the index. A view that
 * shows many at once takes what it needs of one and keeps that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "model/effects.h"
#include "model/page.h"

struct app;
struct desk;
struct target;

enum desk_state {
    DESK_UNLOADED, /* nobody has asked for it */
    DESK_LOADING,
    DESK_OPENING,  /* loaded; looking for its index */
    DESK_WEIGHTS,  /* what the weights say is all there is, see err */
    DESK_SCANNING,
    DESK_COMPLETE, /* session->saes[i].index is there */
};

struct desk_sae {
    enum desk_state state;
    struct feature_table table;   /* n = 0 until loaded; columns come as they are known */
    uint64_t version;             /* grows whenever something in the table changes */
    const struct scan_live *live; /* while SCANNING, else NULL */
    struct err err;               /* why it went no further; code 0: nothing went wrong,
                                     ERR_CANCELLED: the user stopped it */
    bool nearest_busy;            /* the column nearest_cosine is being computed */
};

struct desk *desk_new(struct app *app, struct session *session);
void desk_free(struct desk *d); /* after the worker is gone; NULL is fine */

struct session *desk_session(const struct desk *d);

/* -- checkpoints ------------------------------------------------------------------- */

/* i counts session->saes, from 0 to desk_count - 1. Borrowed; valid while the desk is. */
int desk_count(const struct desk *d);
const struct desk_sae *desk_sae(const struct desk *d, int i);

/* Which one is current. desk_choose makes another one so: loads it if need be, sets the
 * title, calls app_changed. desk_go is for view_ops.go: where `at` names a feature, token
 * or filter its checkpoint becomes current; returns the current one. */
int desk_current(const struct desk *d);
void desk_choose(struct desk *d, int i);
int desk_go(struct desk *d, const struct target *at);

/* The checkpoint of a name ("" or unknown: -1): exact, else the only one that begins or,
 * failing that, contains it. */
int desk_find(const struct desk *d, const char *name);

/* See to it that checkpoint i is loaded and has its index, unless that failed before. */
void desk_need(struct desk *d, int i);

/* The one that the current one is compared with: as picked, else the next of those asked
 * for, else the next there is; -1: there is no other. Loaded and scanned when it is needed
 * (desk_need). desk_set_partner calls app_changed. */
int desk_partner(const struct desk *d);
void desk_set_partner(struct desk *d, int i);

/* A becomes B and B becomes A. False: there is no other. */
bool desk_swap(struct desk *d);

/* Try again what failed or was cancelled (R), the language model too. */
void desk_retry(struct desk *d, int i);

/* Have nearest_cosine of checkpoint i computed, if it is not there (all pairs of decoder
 * rows; minutes for large dictionaries). */
void desk_need_nearest(struct desk *d, int i);

/* "weights only", "scan 37 %", "scan cancelled: R starts it again", "" when complete. */
const char *desk_state_text(const struct desk *d, int i, char *buf, size_t size);

/* For the frame: at most 10 times a second while jobs run. */
void desk_tick(struct desk *d);

/* -- the language model ------------------------------------------------------------- */

/*
 * One for all checkpoints: --model, else the bundle's. It is opened when it is first asked
 * for; what that says (app_changed) is the same as for checkpoints. Jobs may take the
 * pointer once it is there: it stays until the program ends, and every job has an lm_run of
 * its own.
 */
enum desk_lm_state {
    DESK_LM_CLOSED,  /* nobody has asked for it */
    DESK_LM_OPENING,
    DESK_LM_FAILED,  /* or there is none: why */
    DESK_LM_OPEN,
};

/* Have it opened, unless that failed before (desk_retry tries again). */
void desk_need_lm(struct desk *d);

/* NULL until it is open. Borrowed. */
const struct lm *desk_lm(const struct desk *d);
enum desk_lm_state desk_lm_state(const struct desk *d);

/*
 * All that it takes to run the model with checkpoint i in its place: the model, and the
 * hook that the checkpoint sits at into *hook. NULL as long as one of them is not there;
 * then *err (may be NULL) says why, with the option that would supply it:
 *
 *   ERR_CANCELLED  wait: the model or the checkpoint is being opened, or was not asked for
 *   ERR_MISSING    no model (--model), no hook (--hook)
 *   others         of lm_open and lm_hook_parse
 */
const struct lm *desk_lm_at(const struct desk *d, int i, struct lm_hook *hook,
                            struct err *err);

/* -- what the language model says of a checkpoint ------------------------------------ */

/*
 * All of it is kept in one store a checkpoint (model/effects.h: score, estimates, exact
 * effects, promoted tokens), from the cache as far as it was computed before. Wishes open
 * model, checkpoint and store, and are granted one after the other by jobs of LANE_LONG;
 * app_changed says when one is, desk_sae.version when single results are there. ^C takes all
 * wishes of the checkpoint back.
 */
struct effects *desk_effects(const struct desk *d, int i); /* NULL: not open yet */
void desk_need_effects(struct desk *d, int i);

enum desk_work_kind {
    DESK_OPEN_EFFECTS, DESK_SCORE, DESK_ESTIMATES, DESK_EXACT, DESK_STRONGEST, DESK_PROMOTED
};

struct desk_work {
    uint64_t job;        /* app_job_text; 0: nothing is under way */
    enum desk_work_kind kind;
    bool error_kept;     /* mode of ablation */
    int64_t first;       /* DESK_EXACT: the first of the features; else -1 */
    struct err err;      /* why the last wish came to nothing; ERR_CANCELLED: the user */
};
const struct desk_work *desk_work(const struct desk *d, int i);

/* The score: model/score.h. */
struct desk_score {
    bool known;             /* page is the whole */
    struct page_score page; /* sequences = 0: nothing yet; else of so many sequences */
    uint64_t job;           /* app_job_text; 0: none is under way */
    struct err err;         /* why there is none; ERR_CANCELLED: the user stopped it */
};
const struct desk_score *desk_score(const struct desk *d, int i);

/* Have it computed; nothing if it is known, under way or has failed. desk_score_again is
 * for a key: it does not mind that it has failed, and the user is told when it does. */
void desk_need_score(struct desk *d, int i);
void desk_score_again(struct desk *d, int i);

/* Would it take no longer than one likes to wait unasked? False until model and checkpoint
 * are open. */
bool desk_score_is_cheap(const struct desk *d, int i);

/* Why there is no number, in a few words: "score 37 % ...", "needs --model", "a computes
 * it"; "" when there is one. Returns buf. */
const char *desk_score_text(const struct desk *d, int i, char *buf, size_t size);

/* Estimates of all features; exact effects of these, or of the n whose estimates are
 * strongest among those that have none; the tokens that every feature promotes. */
void desk_need_estimates(struct desk *d, int i, bool error_kept);
void desk_ablate(struct desk *d, int i, bool error_kept, const int64_t *ids, int64_t n);
void desk_ablate_strongest(struct desk *d, int i, bool error_kept, int64_t n);
void desk_need_promoted(struct desk *d, int i);

/* These, [d_sae, *n]; NULL: not there. Borrowed; valid while the desk is. */
const uint32_t *desk_promoted(const struct desk *d, int i, int *n);

/* -- names ------------------------------------------------------------------------- */

/* What the user (or the bundle) calls it; "" if nothing. Text of files: neutralised when
 * painted. Borrowed until the labels change. */
const char *desk_label(const struct desk *d, int i, int64_t feature);
const char *desk_note(const struct desk *d, int i, int64_t feature);
bool desk_favourite(const struct desk *d, int i, int64_t feature);

/* The automatic name: the token that it fires on most often among its strongest examples,
 * fit to be shown; "" as long as there is no index, and for dead features. Borrowed. */
const char *desk_auto_name(struct desk *d, int i, int64_t feature);

/* The label if there is one (*is_label, which may be NULL), else the automatic name. */
const char *desk_name(struct desk *d, int i, int64_t feature, bool *is_label);

/* Change them and save. False: it was not saved, and the user has been told why. */
bool desk_set_label(struct desk *d, int i, int64_t feature, const char *label,
                    const char *note);
bool desk_set_favourite(struct desk *d, int i, int64_t feature, bool favourite);

/* Grows with every change of labels, notes and favourites. */
uint64_t desk_labels_version(const struct desk *d);

/* The bytes of a token, and the same fit to be shown (newlines as symbols, controls
 * visible, "\xe2" for bytes that are only part of a character); "<123>" for ids that the tokenizer does not have and without a tokenizer, ""
 * for -1. Borrowed; valid while the desk is. */
const char *desk_token_bytes(struct desk *d, int64_t id, size_t *len);
const char *desk_token_text(struct desk *d, int64_t id);

/* -- selection (Space): for export and compare ------------------------------------- */

bool desk_selected(const struct desk *d, int i, int64_t feature);
void desk_select(struct desk *d, int i, int64_t feature, bool selected);
int64_t desk_selected_count(const struct desk *d, int i);
void desk_select_none(struct desk *d, int i);
