/*
 * view.h - what a full-screen view is, and what the frame does for it.
 *
 * A view is a state struct and a table of functions; adding one is tui/view_NAME.c and a
 * row in views.c. There is one instance of each kind, made when it is first shown and
 * kept until the program ends: 2 always shows the table as it was left. Enter opens the
 * view of what is under the cursor; the frame remembers the places one came through
 * (q, <, >, marks).
 *
 *   open -> go -> draw / act / draw / act ...                            -> close
 *            ^        | view_start(v, slot, lane, job)
 *            |        v
 *            |    a worker runs it -> loaded(v, slot, job)
 *            '-- shown again, with another target
 *
 * All of these run on the UI thread and none may block: what takes longer than about
 * 10 ms is a job (worker.h). draw is a pure function of the view and the canvas, which is
 * what the screen tests rest on. The frame redraws after every event that reaches a view,
 * after loaded, and at most 10 times a second while jobs run; a view never asks for it.
 *
 * The frame (title, tabs, status line, key bar, prompts, help, messages) is not the
 * view's business: it fills the canvas that it is given, of any size from 1 x 1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "io/err.h"
#include "tui/canvas.h"
#include "tui/input.h"
#include "tui/keymap.h"
#include "tui/worker.h"

struct app;     /* the frame; views pass it back to the services below */
struct desk;    /* desk.h: tables, scans, names of what is open */
struct session; /* model/session.h: what is open */

/* What a view is asked to show, and what a view's cursor is on. Copied by value. */
struct target {
    int sae;          /* which open checkpoint, from 0 */
    int64_t feature;  /* 0 <= feature < d_sae, or -1: none in particular */
    int64_t token;    /* position in the samples, or -1 */
    char filter[256]; /* filter expression of docs/commands.md for lists, or "" */
    char of[32];      /* what about it: a quantity of quantity.h ("density"), or "" */
};
#define TARGET_NONE ((struct target){.feature = -1, .token = -1})

enum { VIEW_SLOTS = 4 };

struct view {
    const struct view_ops *ops;
    struct app *app;          /* borrowed */
    struct session *session;  /* borrowed; NULL in tests of views that need none */
    struct desk *desk;        /* borrowed; NULL without a session */
    struct target target;     /* what the cursor is on; the view keeps it right */
    int rows, cols;           /* size of the canvas of the next draw; set before act */
    bool ascii, mono;         /* as in struct canvas */
    struct view_slot {        /* jobs of this view; see view_start */
        uint64_t job;         /* awaited; 0: none */
        struct err err;       /* of the last one, if it failed; code 0 otherwise */
    } slots[VIEW_SLOTS];
    void *state;              /* ops->state_size bytes, zeroed before open */
};

/* What became of a key. */
enum outcome {
    OUT_IGNORED, /* not mine: the frame may know what to do with it */
    OUT_DONE,    /* state may have changed */
};

/* Lines that the user types for a view; see view_ask. */
enum ask {
    ASK_SEARCH, /* "/"  the frame asks by itself when the view has `answer` */
    ASK_FILTER, /* "&"  likewise; "" takes the filter off */
    ASK_GOTO,   /* "#"  likewise, if the view takes it; else the Feature view does */
    ASK_LABEL,
    ASK_COMMAND, /* a ":" line that the frame does not know; refuse with ERR_USAGE */
    ASK_OTHER,   /* for the view's own: 0 .. by `ASK_OTHER + i` */
};

/* An entry of the key bar and of the help page. text: what the action does here, "zoom in|zoom
 * in, to the strongest of the cell": the key bar has what is before the bar, help what is
 * behind; short, one text for both; NULL: what it says in keymap.h. */
struct view_key {
    enum action action;
    const char *text;
};

/* A word on the screen and what it means (definitions of docs/commands.md). */
struct view_term {
    const char *word, *text;
};

/* A row of the options page (o): the view's own settings. */
struct view_option {
    const char *name;           /* "bins"; also ":set bins=80" */
    const char *help;           /* one line */
    const char *const *choices; /* NULL-terminated, or NULL: free text */
};

enum export_format { EXPORT_TSV, EXPORT_JSON };

struct view_ops {
    const char *name;    /* "features": ":features", and "Features" in its tab */
    int digit;           /* 1-9, or 0: no tab */
    const char *purpose; /* one line, top of its help page */
    const char *searched_in; /* the view that / and & go to; NULL: they are for this one */
    bool own_place;      /* shown for the first time it does not begin at the feature that the
                            view before is on: a ranking begins at its top */
    size_t state_size;
    const struct view_key *keys;      /* up to { ACT_NONE }; the first ones that fit stand
                                         in the key bar. May be NULL */
    const struct view_term *terms;    /* up to { NULL }; may be NULL */
    const struct view_option *options; /* up to { NULL }; may be NULL */

    /* Everything below but draw may be NULL. */

    bool (*open)(struct view *v, struct err *err); /* first time; state is zeroed */

    /* It comes into view. `at` says where to go; -1 and "" mean: wherever you are. */
    void (*go)(struct view *v, const struct target *at);

    /* The job of a slot ended well; take its result (it is freed afterwards). A failed
     * one leaves slots[slot].err; a cancelled or replaced one is never seen. */
    void (*loaded)(struct view *v, int slot, struct job *job);

    /* The session has something new (an index, labels, another checkpoint): throw away
     * what was derived from the old and ask again. Called for all views, shown or not. */
    void (*changed)(struct view *v);

    /* At most 10 times a second while any job runs and the view is shown: copy out what a
     * running job shows of its partial results. */
    void (*tick)(struct view *v);

    /* Paint. Pure; any size from 1 x 1. The canvas comes blank. */
    void (*draw)(const struct view *v, struct canvas *c);

    /* Left part of the status line: "311/2048 · filter density<0.02 · sort density ↓". */
    void (*status)(const struct view *v, char *buf, size_t size);

    enum outcome (*act)(struct view *v, const struct press *p);

    /* Row and column are the canvas's, which is v->rows x v->cols. */
    enum outcome (*mouse)(struct view *v, const struct mouse *m);

    /* The user has typed a line. False: it stays open with err->msg below it, so that a
     * mistake in a filter can be mended. */
    bool (*answer)(struct view *v, enum ask what, const char *text, struct err *err);

    /* The line as it is after each key, before it is answered; NULL: it was given up. */
    void (*typing)(struct view *v, enum ask what, const char *text);

    /* The i-th word that may complete such a line, or NULL past the end. */
    const char *(*word)(const struct view *v, enum ask what, int i);

    /* The word of `terms` that the cursor is on: help opens there. May return NULL. */
    const char *(*explain)(const struct view *v);

    /* Settings: the present value of option i into buf; a new one. */
    void (*option_get)(const struct view *v, int i, char *buf, size_t size);
    bool (*option_set)(struct view *v, int i, const char *value, struct err *err);

    /* What y (what is under the cursor) and Y (all) put on the clipboard: heap text or
     * NULL for nothing. */
    char *(*copy)(const struct view *v, bool all);

    /* What w writes: the numbers that are shown, in full precision. Write errors are
     * found by the caller; false is for having nothing to write. */
    bool (*export)(const struct view *v, enum export_format format, FILE *out,
                   struct err *err);

    void (*close)(struct view *v); /* free what state points to, not state */
};

/* The views of the program in the order of their digits, up to NULL (views.c). */
extern const struct view_ops *const view_table[];

/* -- services of the frame, all for the UI thread ---------------------------------- */

/* Run a job for slot 0 .. VIEW_SLOTS - 1. One that is still running there is cancelled
 * and never seen; the slot's err is cleared. Moving quickly through a table thus costs
 * one cancelled job a row, not a queue. NULL only cancels. */
void view_start(struct view *v, int slot, enum lane lane, struct job *job);

static inline bool view_busy(const struct view *v, int slot)
{
    return v->slots[slot].job != 0;
}

/* Run a job that belongs to no view. It comes back to done(ctx, job), whatever became of
 * it, and is freed after that; when the frame ends, it is freed without. */
typedef void app_done_fn(void *ctx, struct job *job);
uint64_t app_start(struct app *app, enum lane lane, struct job *job, app_done_fn *done,
                   void *ctx);

/* What to paint where the result of a slot is not there: "computing: tokens 37 %" while it
 * runs, the error in words and the key that tries again when it failed. True if it
 * painted; false when there is neither job nor error. */
bool view_paint_missing(const struct view *v, int slot, struct canvas *c);

/* What a job is doing: "scan 37 % 1.2 Mtokens/s 0:41 left"; "waiting" while others run
 * before it. Returns buf. */
const char *app_job_text(const struct app *app, uint64_t job, char *buf, size_t size);

/* Open a view at a target after the present event: Enter. Unknown names are said. */
void app_open(struct app *app, const char *view, const struct target *at);

/* Something to say in the message line until the next key. */
void app_message(struct app *app, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void app_warning(struct app *app, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void app_error(struct app *app, const struct err *err); /* not for ERR_CANCELLED */

/* Let the user type a line; what is typed goes to v->ops->answer(v, what, ...). */
void view_ask(struct view *v, enum ask what, const char *label, const char *initial);

/* The session has changed: every view's `changed` is called, now. */
void app_changed(struct app *app);

/* The title line, after "saescope": bundle, hook, architecture, shapes. Copied. */
void app_title(struct app *app, const char *title);

/* The view of that name if it has been opened, else NULL: for what views share (the
 * checkpoint picked as partner). */
struct view *app_view(struct app *app, const char *name);
