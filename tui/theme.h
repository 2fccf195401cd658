/*
 * theme.h - what a cell may look like, in words, and how words become colours.
 *
 * Painters speak of *inks*: "a bar", "the cursor row", "heat 0.7". Only term.c asks a
 * theme what that is on this terminal. A style is one number:
 *
 *   INK_BAR                              the front: an ink's own colours and attributes
 *   INK_VALUE | STYLE_ON(INK_CURSOR)     the same text, standing on the cursor row
 *   INK_TEXT | STYLE_ON(style_heat(.7))  text on the activation ramp; the theme sees to
 *                                        it that it stays readable
 *   INK_TITLE | STYLE_BOLD               attributes are added
 *
 * The default background and foreground are the terminal's own, so light and dark
 * terminals both stay what they are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* name in the config file, what it is for */
#define THEME_INKS(X)                                                                   \
    X(TEXT,       "text",       "what is not otherwise named")                          \
    X(DIM,        "dim",        "the unimportant: units, context, what is off")         \
    X(TITLE,      "title",      "the title line, names of panes")                       \
    X(TAB,        "tab",        "a view's tab")                                         \
    X(TAB_ON,     "tab-on",     "the tab of the view shown")                            \
    X(KEY,        "key",        "a key in the key bar and in help")                     \
    X(KEY_TEXT,   "key-text",   "what the key does")                                    \
    X(STATUS,     "status",     "the status line")                                      \
    X(CURSOR,     "cursor",     "the cursor row of the focused pane")                   \
    X(CURSOR_OFF, "cursor-off", "the cursor row of a pane without focus")               \
    X(HEADER,     "header",     "column titles")                                        \
    X(HEADER_ON,  "header-on",  "the title of the chosen column")                       \
    X(LABEL,      "label",      "the name of a number")                                 \
    X(VALUE,      "value",      "a number")                                             \
    X(NOTE,       "note",       "what a user wrote: labels, notes, favourites")         \
    X(GOOD,       "good",       "a check that holds")                                   \
    X(WARNING,    "warning",    "warnings")                                             \
    X(ERROR,      "error",      "errors")                                               \
    X(BAR,        "bar",        "bars and histograms; the first checkpoint (A)")        \
    X(BAR_2,      "bar-2",      "the second checkpoint (B)")                            \
    X(BAR_3,      "bar-3",      "the third")                                            \
    X(BAR_4,      "bar-4",      "the fourth")                                           \
    X(BRUSH,      "brush",      "the bar under the cursor, the range taken")            \
    X(AXIS,       "axis",       "axes and their figures")                               \
    X(RULE,       "rule",       "lines between panes")                                  \
    X(MARKER,     "marker",     "a threshold or zero line in a histogram")              \
    X(NEGATIVE,   "negative",   "numbers below zero (blue)")                            \
    X(POSITIVE,   "positive",   "numbers above zero (orange)")                          \
    X(LIT,        "lit",        "the token an example is about")                        \
    X(MATCH,      "match",      "what the search found")                                \
    X(POPUP,      "popup",      "help and other boxes over the view")

enum { THEME_HEAT_STEPS = 16, THEME_DIVERGE_STEPS = 33 };

enum ink {
#define X(id, name, text) INK_##id,
    THEME_INKS(X)
#undef X
    INK_NAMED_COUNT,
    INK_HEAT = INK_NAMED_COUNT, /* one ink a step of the activation ramp, weak first */
    INK_DIVERGE = INK_HEAT + THEME_HEAT_STEPS, /* blue .. neutral .. orange */
    INK_COUNT = INK_DIVERGE + THEME_DIVERGE_STEPS,
};

/* Styles: front ink | STYLE_ON(back ink) | attributes. */
#define STYLE_ON(ink)   ((uint32_t)(ink) << 8)
#define STYLE_BOLD      (1u << 16)
#define STYLE_UNDERLINE (1u << 17)
#define STYLE_REVERSE   (1u << 18)
#define STYLE_FAINT     (1u << 19)
#define STYLE_ITALIC    (1u << 20)

static inline enum ink style_front(uint32_t style)
{
    return (enum ink)(style & 0xff);
}

static inline enum ink style_back(uint32_t style) /* INK_TEXT: none */
{
    return (enum ink)(style >> 8 & 0xff);
}

/* The ink of intensity x in [0, 1] (clamped; NaN is 0), as front (a coloured half block)
 * or, through STYLE_ON, as ground. Above 0 the weakest step is never step 0. */
enum ink style_heat(double x);

/* The ink of x in [-1, 1] on the blue-orange ramp; 0 is its middle. */
enum ink style_diverge(double x);

/* How many colours the terminal shows. */
enum colour_level {
    COLOUR_MONO, /* bold, underline, reverse; activations become digits 0-9 */
    COLOUR_16,
    COLOUR_256,
    COLOUR_TRUE,
    COLOUR_AUTO, /* ask the environment; never in a resolved theme */
};

/* A colour as term.c emits it: the terminal's default, a palette entry, or RGB. */
#define COLOUR_DEFAULT    (-1)
#define COLOUR_RGB        0x1000000 /* | 0xrrggbb */

struct paint {
    int32_t front, back; /* COLOUR_DEFAULT, 0..255, or COLOUR_RGB | rgb */
    uint32_t attr;       /* STYLE_BOLD | ... */
};

struct theme; /* const tables in theme.c */

/* "default", "light", "dark", "mono", "contrast"; NULL when there is no such theme. */
const struct theme *theme_find(const char *name);
const struct theme *theme_at(int i); /* in that order; NULL past the end */
const char *theme_name(const struct theme *t);

/* What `style` is under a theme on a terminal of so many colours. Pure. */
struct paint theme_paint(const struct theme *t, enum colour_level level, uint32_t style);

/* "auto", "always", "never", "16", "256", "truecolor" of --color; false: another word.
 * "always" gives COLOUR_256. */
bool theme_colour_word(const char *word, enum colour_level *out);
