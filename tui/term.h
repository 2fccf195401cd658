/*
 * term.h - the terminal, and the only file that knows curses (its terminfo half).
 *
 * ncursesw supplies what the terminal understands (cursor movement, attributes, keys,
 * padding). Cells, differences and colours are ours: a flush sends only cells that
 * changed, in one write, with 24-bit colours where the terminal has them, which curses'
 * colour pairs cannot express.
 *
 * There is one terminal, and one at a time. Whatever way the program ends - return, exit,
 * SIGSEGV, SIGABRT, SIGTERM - the screen, the modes and the tty settings are put back by a
 * handler that uses write and tcsetattr only.
 */
#pragma once

#include <stdbool.h>

#include "io/err.h"
#include "tui/canvas.h"
#include "tui/input.h"
#include "tui/theme.h"

struct term_options {
    const struct theme *theme;
    enum colour_level colour; /* COLOUR_AUTO: COLORTERM, terminfo, NO_COLOR decide */
    bool mouse;
};

/* Take the screen over. ERR_UNSUPPORTED: stdin or stdout is no terminal, TERM is unset,
 * unknown or cannot move the cursor. */
bool term_start(const struct term_options *o, struct err *err);
void term_stop(void); /* give it back; no harm if not started */

/* Change theme or colours; the next flush draws everything. */
void term_restyle(const struct term_options *o);

enum colour_level term_colours(void); /* resolved */
bool term_is_utf8(void);              /* LC_CTYPE says so: else draw ASCII */

void term_size(int *rows, int *cols);

/* Bytes are there on stdin: read and turn them into events, *n at most max. timeout_ms
 * comes back as how long to wait before calling again with nothing new to read (a lone
 * ESC), -1: no need. False: end of input. */
bool term_read(struct event *out, int max, int *n, int *timeout_ms);

/* Make the screen show c. cursor_row < 0 hides the cursor. */
void term_flush(const struct canvas *c, int cursor_row, int cursor_col);
void term_forget(void); /* the next flush draws everything */

void term_copy(const char *text); /* OSC 52; at most 74 994 bytes of text, else nothing */
void term_suspend(void);          /* give back, SIGTSTP, take again on SIGCONT */
void term_resume(void);           /* somebody else may have used it: take it again */
