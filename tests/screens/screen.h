/*
 * screen.h - the whole explorer on a canvas: keys in, screen out. For tests.
 *
 *   struct screen s;
 *   screen_start(&s, &(struct screen_options){.rows = 24, .cols = 80, .session = session});
 *   screen_type(&s, "j j Enter & \"density < 0.1\" Enter");
 *   screen_expect(&s, "filter density < 0.1");
 *   screen_stop(&s);
 *
 * After every key all jobs are waited for, so that what a test sees does not depend on
 * time; screen_press leaves them running.
 */
#pragma once

#include <stdbool.h>

#include "tui/app.h"

struct screen_options {
    int rows, cols;                      /* 0: 24 x 80 */
    const struct view_ops *const *views; /* NULL: view_table */
    struct session *session;
    const char *title;
    const char *view;                    /* to begin with; NULL: the first */
    const struct target *at;             /* NULL: TARGET_NONE */
    bool ascii, mono;
};

struct screen {
    struct config config;
    struct app *app;
    struct canvas canvas;
    int cursor_row, cursor_col; /* of the last screen_draw */
};

void screen_start(struct screen *s, const struct screen_options *o);
void screen_stop(struct screen *s);

/* Keys by their names (input.h), separated by blanks; several characters without a blank
 * are typed one after the other ("gg"); text in double quotes is typed literally. Waits
 * for all jobs after each. A name that is no key fails the test. */
void screen_type(struct screen *s, const char *keys);

/* One key, waiting for nothing. */
void screen_press(struct screen *s, int32_t key);
void screen_mouse(struct screen *s, enum mouse_kind kind, int button, int row, int col);

/* Take results until no job is left. Fails the test after 20 seconds. */
void screen_wait(struct screen *s);

void screen_resize(struct screen *s, int rows, int cols);

/* Draw, and dump: caller frees. */
char *screen_text(struct screen *s);
char *screen_inks(struct screen *s);
char *screen_row(struct screen *s, int row); /* one line, without its end */

/* Fail, printing the screen, unless it shows (does not show) the text. */
void screen_expect(struct screen *s, const char *text);
void screen_expect_not(struct screen *s, const char *text);
