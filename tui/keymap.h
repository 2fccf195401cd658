/*
 * keymap.h - what keys mean: one list of actions, their default keys and their help.
 *
 * Adding an action is one line of KEYMAP_ACTIONS; the help overlay, the command line
 * (":NAME") and the config file follow from it. Views never see keys, only actions.
 *
 * Keys of one action are separated by spaces; a name of several printable characters
 * that is no key name is typed one after the other ("gg"). Digits switch views, so a
 * count is begun with Alt: Alt-5 j moves five rows, Alt-1 2 j twelve.
 *
 * The config file, $XDG_CONFIG_HOME/saescope/config, has lines
 *
 *   KEY = ACTION      gl = last        the key means this now ("none": nothing)
 *   OPTION = VALUE    theme = dark     options as on the command line, without --
 *
 * and '#' comments ("#" itself as a key is written Hash). See config.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* id, name, default keys, group, short text for the key bar, help */
#define KEYMAP_ACTIONS(X)                                                                                 \
    X(UP,          "up",          "k Up",              MOVE,  "up",       "one row up")                   \
    X(DOWN,        "down",        "j Down",            MOVE,  "down",     "one row down")                 \
    X(LEFT,        "left",        "h Left",            MOVE,  "left",     "left: columns, bars, cells")   \
    X(RIGHT,       "right",       "l Right",           MOVE,  "right",    "right")                        \
    X(HALF_DOWN,   "half-down",   "^D",                MOVE,  "half page","half a page down")             \
    X(HALF_UP,     "half-up",     "^U",                MOVE,  "half page","half a page up")               \
    X(PAGE_DOWN,   "page-down",   "^F PageDown",       MOVE,  "page",     "a page down")                  \
    X(PAGE_UP,     "page-up",     "^B PageUp",         MOVE,  "page",     "a page up")                    \
    X(FIRST,       "first",       "gg Home",           MOVE,  "first",    "to the first row")             \
    X(LAST,        "last",        "G End",             MOVE,  "last",     "to the last row; with a count, to that row") \
    X(PANE_NEXT,   "pane-next",   "Tab",               MOVE,  "pane",     "the next pane")                \
    X(PANE_PREV,   "pane-prev",   "Shift-Tab",         MOVE,  "pane",     "the pane before")              \
    X(OPEN,        "open",        "Enter",             VIEW,  "open",     "open what is under the cursor")\
    X(BACK,        "back",        "q Esc Backspace",   VIEW,  "back",     "back to where you came from; Esc takes a message away first")  \
    X(HISTORY_BACK,"history-back","< Alt-Left",        VIEW,  "older",    "back in the history")          \
    X(HISTORY_ON,  "history-on",  "> Alt-Right",       VIEW,  "newer",    "forward in the history")       \
    X(VIEW_1,      "view-1",      "1",                 VIEW,  "",         "view 1")                       \
    X(VIEW_2,      "view-2",      "2",                 VIEW,  "",         "view 2")                       \
    X(VIEW_3,      "view-3",      "3",                 VIEW,  "",         "view 3")                       \
    X(VIEW_4,      "view-4",      "4",                 VIEW,  "",         "view 4")                       \
    X(VIEW_5,      "view-5",      "5",                 VIEW,  "",         "view 5")                       \
    X(VIEW_6,      "view-6",      "6",                 VIEW,  "",         "view 6")                       \
    X(VIEW_7,      "view-7",      "7",                 VIEW,  "",         "view 7")                       \
    X(VIEW_8,      "view-8",      "8",                 VIEW,  "",         "view 8")                       \
    X(VIEW_9,      "view-9",      "9",                 VIEW,  "",         "view 9")                       \
    X(PARTS,       "parts",       "v",                 VIEW,  "parts",    "what the activation at this token is made of") \
    X(GOTO,        "goto",        "#",                 VIEW,  "feature",  "open the feature of a number") \
    X(RANDOM,      "random",      "r",                 VIEW,  "random",   "a random feature or row")      \
    X(MARK_SET,    "mark-set",    "m",                 VIEW,  "mark",     "remember this place under a letter") \
    X(MARK_GO,     "mark-go",     "'",                 VIEW,  "to mark",  "go to the place of a letter")  \
    X(SEARCH,      "search",      "/",                 LIST,  "search",   "search (PCRE2, ignores case unless a capital is typed)") \
    X(SEARCH_NEXT, "search-next", "n",                 LIST,  "next",     "the next match")               \
    X(SEARCH_PREV, "search-prev", "N",                 LIST,  "previous", "the match before")             \
    X(FILTER,      "filter",      "&",                 LIST,  "filter",   "show only what fulfils an expression; empty: all") \
    X(COLUMN_PREV, "column-prev", "[",                 LIST,  "column",   "choose the column to the left")\
    X(COLUMN_NEXT, "column-next", "]",                 LIST,  "column",   "choose the column to the right") \
    X(SORT,        "sort",        "s",                 LIST,  "sort",     "sort by the chosen column; again: turn the order") \
    X(INVERT,      "invert",      "I",                 LIST,  "invert",   "turn the order round")         \
    X(SELECT,      "select",      "Space",             LIST,  "select",   "select the row, move on")      \
    X(FAVOURITE,   "favourite",   "*",                 NOTE,  "favourite","favourite on or off")          \
    X(LABEL,       "label",       "e",                 NOTE,  "label",    "edit label and note")          \
    X(ABLATE,      "ablate",      "a",                 WORK,  "ablate",   "compute what taking the feature out does") \
    X(ABLATE_MORE, "ablate-more", "A",                 WORK,  "more",     "compute it for the strongest that have none yet") \
    X(PARTNER,     "partner",     "c",                 WORK,  "partner",  "pick the checkpoint to compare with") \
    X(COMPARE,     "compare",     "C",                 WORK,  "compare",  "open compare")                 \
    X(SWAP,        "swap",        "x",                 WORK,  "swap",     "swap A and B")                 \
    X(LOCK,        "lock",        "=",                 WORK,  "lock",     "lock step on or off")          \
    X(CONTEXT_LESS,"context-less","{",                 LOOK,  "context",  "fewer tokens of context")      \
    X(CONTEXT_MORE,"context-more","}",                 LOOK,  "context",  "more tokens of context")       \
    X(BINS_MORE,   "bins-more",   "+",                 LOOK,  "bins",     "more bins; in maps: zoom in")  \
    X(BINS_LESS,   "bins-less",   "-",                 LOOK,  "bins",     "fewer bins; in maps: zoom out")\
    X(AXIS,        "axis",        "t",                 LOOK,  "axis",     "linear or logarithmic counts") \
    X(OPTIONS,     "options",     "o",                 LOOK,  "options",  "options; on a folded line: unfold") \
    X(ASCII,       "ascii",       "~",                 LOOK,  "ascii",    "ASCII instead of box drawing") \
    X(RELOAD,      "reload",      "R",                 WORK,  "reload",   "compute again what is shown")  \
    X(COPY,        "copy",        "y",                 FRAME, "copy",     "copy what is under the cursor to the clipboard (OSC 52)") \
    X(COPY_ALL,    "copy-all",    "Y",                 FRAME, "copy all", "copy what the view shows")     \
    X(WRITE,       "write",       "w",                 FRAME, "write",    "write what the view shows to a .tsv or .json file") \
    X(COMMAND,     "command",     ":",                 FRAME, "command",  "command line; a number and Enter: that feature") \
    X(HELP,        "help",        "? F1",              FRAME, "keys",     "keys and definitions of this view") \
    X(REDRAW,      "redraw",      "^L",                FRAME, "redraw",   "draw the whole screen again")  \
    X(CANCEL,      "cancel",      "^C",                FRAME, "cancel",   "cancel the running job")       \
    X(SUSPEND,     "suspend",     "^Z",                FRAME, "suspend",  "back to the shell; fg returns")\
    X(QUIT,        "quit",        "Q",                 FRAME, "quit",     "quit")

enum action {
    ACT_NONE,
#define X(id, name, keys, group, brief, help) ACT_##id,
    KEYMAP_ACTIONS(X)
#undef X
    ACT_COUNT
};

enum action_group {
    GROUP_MOVE, GROUP_VIEW, GROUP_LIST, GROUP_NOTE, GROUP_WORK, GROUP_LOOK, GROUP_FRAME,
    GROUP_COUNT
};

struct action_info {
    const char *name;  /* "page-down" */
    const char *keys;  /* defaults */
    enum action_group group;
    const char *brief; /* for the key bar; "" if it never stands there */
    const char *help;  /* one line */
};

extern const struct action_info action_info[ACT_COUNT]; /* [ACT_NONE] is "none" */
extern const char *const action_group_name[GROUP_COUNT];

/* ACT_NONE when there is no such action. */
enum action action_find(const char *name);

enum { KEYMAP_KEYS = 4 }; /* longest sequence */

struct keymap {
    struct keymap_binding {
        int32_t keys[KEYMAP_KEYS]; /* 0 after the last */
        enum action action;
    } *bindings; /* owned; earlier ones win */
    int n, cap;
};

void keymap_init(struct keymap *m); /* the defaults */
void keymap_finish(struct keymap *m);

/* Let a key or a sequence ("gg") mean `action`, ACT_NONE: nothing. It takes the place of
 * what the same keys meant. False: `keys` is no key, or more than KEYMAP_KEYS. */
bool keymap_bind(struct keymap *m, const char *keys, enum action action);

/* The keys of an action as "k, Up" into buf; "" if it has none. first: only the first. */
const char *keymap_text(const struct keymap *m, enum action action, bool first, char *buf,
                        size_t size);

/* Typing. */
struct keymap_typed {
    int32_t keys[KEYMAP_KEYS]; /* of a sequence not complete yet */
    int n;
    int count;                 /* 0: none typed */
    enum action wants_letter;  /* ACT_MARK_SET or ACT_MARK_GO waiting for its letter */
};

struct press {
    enum action action; /* ACT_NONE: nothing (yet) */
    int count;          /* at least 1 */
    bool counted;       /* a count was typed */
    int32_t letter;     /* of mark-set, mark-go; else 0 */
};

/* The next key. True: *out is a press; false: wait for more, or the keys mean nothing
 * (then t->n is 0). */
bool keymap_feed(const struct keymap *m, struct keymap_typed *t, int32_t key,
                 struct press *out);
