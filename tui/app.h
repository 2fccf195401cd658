/*
 * app.h - the frame: views and the history of places, prompts, help, messages.
 *
 * Knows no terminal and no clock but what it is told: events in, a canvas out. loop.h
 * runs it on a terminal; the screen tests run it on a canvas with a list of keys.
 *
 *   row 0          title, tabs
 *   rows 1 ..      the view
 *   last but one   status: the view's own; job with rate and time left; message
 *   last           key bar, or the line being typed
 */
#pragma once

#include <stdbool.h>

#include "tui/config.h"
#include "tui/view.h"

struct app_options {
    const struct view_ops *const *views; /* up to NULL */
    struct session *session;             /* borrowed; may be NULL */
    const struct config *config;         /* borrowed; keys and options */
    const char *title;                   /* may be NULL */

    /* ":rescan WORDS": note what is to be different (NAME=VALUE ...; "": scan again), so that
     * the session can be opened anew (APP_REOPEN). ERR_USAGE. NULL: it cannot. */
    bool (*rescan)(void *ctx, const char *words, struct err *err);
    void *rescan_ctx;
};

struct app *app_new(const struct app_options *o, struct err *err);
void app_free(struct app *app); /* cancels and waits for jobs; NULL is fine */

/* A key, mouse report or paste, in coordinates of the whole screen. */
void app_event(struct app *app, const struct event *e);

/* The worker's descriptor is readable (or may be): take results. */
int app_worker_fd(const struct app *app);
void app_reap(struct app *app);

/* Are jobs running? Then app_tick is due every 100 ms. */
bool app_busy(const struct app *app);
void app_tick(struct app *app);

/* Size of the screen, before the first event and draw and whenever it changes. */
void app_resize(struct app *app, int rows, int cols);

/* Paint everything. *cursor_row, *cursor_col: where the terminal's cursor goes, -1 to
 * hide it. Below 60 x 16: says what it needs. */
void app_draw(struct app *app, struct canvas *c, int *cursor_row, int *cursor_col);

/* What the terminal has to do; each asks once. */
enum app_request {
    APP_NOTHING,
    APP_QUIT,
    APP_SUSPEND,
    APP_REPAINT,  /* ^L: forget what is on the screen */
    APP_COPY,     /* app_clipboard */
    APP_REOPEN,   /* another session: app_options.rescan has been told which */
    APP_RESTYLE,  /* theme, colours or ascii have changed in the config */
};
enum app_request app_next_request(struct app *app);
const char *app_clipboard(const struct app *app); /* borrowed, until the next event */
const struct config *app_config(const struct app *app); /* as changed in the options */

/* What is shown: the view's name (NULL: none) and its target, for app_show of another app. */
const char *app_where(const struct app *app, struct target *at);

/* Open a view at a target, as if chosen by the user. False: no such view. */
bool app_show(struct app *app, const char *view, const struct target *at);
