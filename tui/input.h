/*
 * input.h - what terminals send, as events. Pure: bytes in, events out.
 *
 * Knows UTF-8, the xterm / VT sequences that terminals of today share (arrows, Home,
 * function keys, with Shift, Alt, Ctrl as ";2".. parameters), Alt as an ESC before a key,
 * SGR mouse reports and bracketed paste. term.c adds the strings that terminfo names for
 * this terminal, and the rule that a lone ESC is the key Esc after 25 ms.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key: a Unicode code point, or one of these, | modifiers. Ctrl with a letter is
 * K_CTRL | 'c'. */
enum {
    K_NONE = 0,
    K_TAB = 9,
    K_ENTER = 13,
    K_ESC = 27,
    K_BACKSPACE = 127, /* Backspace, whichever of ^H and ^? the terminal sends */
    K_UP = 0x110000,
    K_DOWN,
    K_LEFT,
    K_RIGHT,
    K_PAGE_UP,
    K_PAGE_DOWN,
    K_HOME,
    K_END,
    K_INSERT,
    K_DELETE,
    K_F1,
    K_F12 = K_F1 + 11,
    K_SHIFT = 1 << 24,
    K_ALT = 1 << 25,
    K_CTRL = 1 << 26,
};

enum mouse_kind { MOUSE_PRESS, MOUSE_RELEASE, MOUSE_DRAG, MOUSE_WHEEL };

struct mouse {
    enum mouse_kind kind;
    int row, col;  /* from 0; the frame makes them relative to the view's canvas */
    int button;    /* 1 left, 2 middle, 3 right; wheel: -1 up, +1 down */
    int modifiers; /* K_SHIFT | K_ALT | K_CTRL */
};

enum event_kind { EVENT_NONE, EVENT_KEY, EVENT_MOUSE, EVENT_PASTE };

struct event {
    enum event_kind kind;
    int32_t key;        /* EVENT_KEY; in EVENT_PASTE one character of pasted text */
    struct mouse mouse; /* EVENT_MOUSE */
};

/* A string of terminfo and the key it means. */
struct input_string {
    const char *bytes; /* borrowed */
    int32_t key;
};

struct input {
    bool pasting;                      /* between the brackets of a paste */
    const struct input_string *extra;  /* borrowed; may be NULL */
    int n_extra;
};

/*
 * The next event at the start of bytes[0..n). Returns how many bytes it took, with
 * EVENT_NONE for a sequence that means nothing here; 0: not complete yet, come back with
 * more. `flush`: no more will come, so an ESC alone is the key Esc and a broken sequence
 * is dropped.
 */
size_t input_next(struct input *in, const char *bytes, size_t n, bool flush,
                  struct event *out);

/* The key called "k", "G", "^D", "Alt-Left", "Shift-Tab", "Space", "Enter", "F1", "<"...
 * K_NONE if there is no such name. `used`: bytes of s taken, when not NULL; else the
 * whole of s must be one name. */
int32_t key_parse(const char *s, size_t *used);

/* Its name, as key_parse reads it, into buf (24 bytes are enough); returns buf. */
const char *key_text(int32_t key, char *buf, size_t size);
