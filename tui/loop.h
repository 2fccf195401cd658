/*
 * loop.h - the explorer on a terminal: one poll() over keys, worker and signals.
 */
#pragma once

#include "io/err.h"
#include "tui/config.h"
#include "tui/opening.h"

struct session;
struct view_ops;
struct target;

struct tui_options {
    const struct config *config;         /* borrowed: config_init, config_read, and the
                                            command line's --theme --color --ascii */
    struct session *session;             /* borrowed; outlives the call */
    opening_fn *open;                    /* or how to make it, in a job; NULL: it is made */
    void *open_ctx;                      /* for that; outlives the call */
    bool (*rescan)(void *ctx, const char *words, struct err *err); /* as in app.h: what `open`
                                            makes next is different. With open_ctx */
    void (*undo)(void *ctx);             /* it did not open: as before */
    const char *title;                   /* what is opened, for the screen until then */
    const struct view_ops *const *views; /* NULL: view_table */
    const char *view;                    /* to begin with; NULL: the first */
    const struct target *at;             /* where; NULL: TARGET_NONE */
};

/*
 * Run until the user quits (true). The terminal is as it was before on every way out,
 * fatal signals and aborts included. False: stdin or stdout is no terminal, TERM is unset or
 * cannot move its cursor (ERR_UNSUPPORTED); no worker (ERR_OS); what o->open said. SIGTERM and SIGHUP end it like Q.
 */
bool tui_run(const struct tui_options *o, struct err *err);
