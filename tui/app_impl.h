/*
 * app_impl.h - the inside of the frame, shared by app_*.c only.
 */
#pragma once

#include "tui/app.h"
#include "tui/wid_edit.h"

enum { APP_HISTORY = 256, APP_MARKS = 64, APP_MIN_ROWS = 16, APP_MIN_COLS = 60 };

struct place {
    int view; /* index */
    struct target at;
};

enum app_mode { MODE_VIEW, MODE_PROMPT, MODE_HELP, MODE_OPTIONS };

/* What a typed line is for. */
enum prompt_kind { PROMPT_COMMAND, PROMPT_WRITE, PROMPT_GOTO, PROMPT_OPTION, PROMPT_VIEW,
                   PROMPT_KINDS };

struct prompt {
    enum prompt_kind kind;
    enum app_mode back_to; /* mode after it */
    enum ask ask;          /* PROMPT_VIEW */
    int view;              /* PROMPT_VIEW: who asked */
    int option;            /* PROMPT_OPTION */
    char label[64];
    char error[256]; /* why the line was not taken; "" at first */
    struct edit edit;
};

struct app {
    struct app_options options;
    struct config config; /* keys and warnings are borrowed from options.config */
    struct worker *worker;
    struct view *views;   /* owned [n_views] */
    bool *is_open;
    int n_views;
    int shown; /* index; -1: there is no view */
    int rows, cols;

    struct place history[APP_HISTORY];
    int n_history, at_history;
    struct app_mark {
        int32_t letter;
        struct place place;
    } marks[APP_MARKS];
    int n_marks;

    struct desk *desk; /* owned; NULL without a session */
    struct app_waiter {
        uint64_t job;
        app_done_fn *done;
        void *ctx;
    } *waiters; /* of app_start */
    int n_waiters, cap_waiters;

    bool wants_open; /* app_open was called during the present event */
    char open_name[32];
    struct target open_at;

    enum app_mode mode;
    struct keymap_typed typed;
    struct prompt prompt;
    struct edit_history histories[PROMPT_KINDS + ASK_OTHER];
    int help_top, option_cursor;

    char message[512];
    enum ink message_ink;
    char *title;
    unsigned requests; /* bits 1 << enum app_request */
    char *clipboard;
};

struct view *app_shown(struct app *app); /* NULL: none */
int app_content_rows(const struct app *app);

/* app.c */
void app_request_set(struct app *app, enum app_request r);
void app_press(struct app *app, const struct press *p);
bool app_handles(enum action a); /* in every view */
void app_settings_changed(struct app *app);
struct view *app_searched(struct app *app); /* goes where / and & of this view lead */

/* app_places.c */
int app_view_index(const struct app *app, const char *name); /* -1 */
bool app_visit(struct app *app, int view, const struct target *at); /* a step of history */
void app_travel(struct app *app, int step);                         /* along it */
void app_settle(struct app *app); /* after an event: open what views have asked for */
void app_mark_set(struct app *app, int32_t letter);
void app_mark_go(struct app *app, int32_t letter);
bool app_go_feature(struct app *app, const char *number, struct err *err);

/* app_command.c: a ":" line, completion for it */
bool app_command(struct app *app, const char *line, struct err *err);
const char *app_command_word(void *app, int i);

/* app_write.c: run export into a new file; force: one that exists is replaced */
bool app_write(struct app *app, const char *path, bool force, struct err *err);

/* app_prompt.c */
void prompt_open(struct app *app, enum prompt_kind kind, const char *label,
                 const char *initial);
void prompt_key(struct app *app, int32_t key);

/* app_pages.c: help and options */
void help_paint(struct app *app, struct canvas *c);
void help_act(struct app *app, const struct press *p);
void help_open(struct app *app);
void options_paint(struct app *app, struct canvas *c);
void options_act(struct app *app, const struct press *p);
bool options_set(struct app *app, const char *name, const char *value, struct err *err);
const char *options_word(struct app *app, const char *typed, int i); /* after ":set " */
bool options_answer(struct app *app, int option, const char *value, struct err *err);

/* app_frame.c: tabs, for the mouse: the digit of the tab at a column of row 0, or 0 */
int frame_tab_at(const struct app *app, int col);
