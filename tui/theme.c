/* theme.c - see theme.h. Themes are tables; ramps are computed from a few stops. */
#include "tui/theme.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum ink style_heat(double x)
{
    int step;

    if (!(x > 0))
        return INK_HEAT;
    step = (int)lround((x > 1 ? 1 : x) * (THEME_HEAT_STEPS - 1));
    return (enum ink)(INK_HEAT + (step < 1 ? 1 : step));
}

enum ink style_diverge(double x)
{
    const int half = (THEME_DIVERGE_STEPS - 1) / 2;

    if (!(x >= -1)) /* NaN too */
        x = x < -1 ? -1 : 0;
    return (enum ink)(INK_DIVERGE + half + (int)lround((x > 1 ? 1 : x) * half));
}

/* What an ink is: 24-bit, and among the 16 colours every terminal has. The 256-colour
 * palette's nearest entry is computed. */
struct ink_look {
    int32_t rgb, ansi;         /* -1: the terminal's default */
    int32_t back_rgb, back_ansi;
    uint32_t attr;             /* always */
    uint32_t mono;             /* with no colour, instead of attr */
};

enum { PALETTE_STEPS = 14 };

struct theme {
    const char *name;
    struct ink_look inks[INK_NAMED_COUNT];
    /* Ramps of grounds, 0xrrggbb: weakest, middle, strongest; strongest blue, blue, middle,
     * orange, strongest orange. Lightness grows, or falls, from the middle on to both ends:
     * it tells more steps apart than the hue does. */
    uint32_t heat[3], diverge[5];
    /* The same in the palette of 256, up to 0: few entries lie near such a line, so they
     * are chosen by hand. Blue and orange begin beside the middle. */
    uint8_t heat_256[PALETTE_STEPS], middle_256;
    uint8_t blue_256[PALETTE_STEPS], orange_256[PALETTE_STEPS];
    bool is_mono;
};

enum { BOLD = STYLE_BOLD, FAINT = STYLE_FAINT, REV = STYLE_REVERSE,
       UNDER = STYLE_UNDERLINE };

/* Inks that look the same in every theme: attributes on default colours. */
#define LOOK_ATTR(a)      {-1, -1, -1, -1, (a), (a)}
#define LOOK_FG(rgb, ansi, a, m) {rgb, ansi, -1, -1, a, m}
#define LOOK_PLAIN        {-1, -1, -1, -1, 0, 0}
#define LOOK_COMMON                                                                     \
    [INK_TEXT] = LOOK_PLAIN, [INK_TITLE] = LOOK_ATTR(BOLD),                             \
    [INK_TAB] = LOOK_ATTR(0), [INK_TAB_ON] = LOOK_ATTR(BOLD | REV),                     \
    [INK_KEY] = LOOK_ATTR(BOLD), [INK_KEY_TEXT] = LOOK_PLAIN,                           \
    [INK_HEADER] = LOOK_ATTR(UNDER), [INK_HEADER_ON] = LOOK_ATTR(UNDER | BOLD),         \
    [INK_VALUE] = LOOK_PLAIN, [INK_LIT] = LOOK_ATTR(BOLD | UNDER)

/* Colours of mid lightness read on both white and black: what the default theme, which
 * does not know the ground, keeps to. */
static const struct theme themes[] = {
    {
        .name = "default",
        .inks = {
            LOOK_COMMON,
            [INK_DIM] = LOOK_FG(0x808080, -1, 0, FAINT),
            [INK_STATUS] = LOOK_FG(0x808080, -1, 0, 0),
            [INK_CURSOR] = {-1, -1, -1, -1, REV, REV},
            [INK_CURSOR_OFF] = {-1, -1, -1, -1, UNDER, UNDER},
            [INK_LABEL] = LOOK_FG(0x5f87af, 6, 0, 0),
            [INK_NOTE] = LOOK_FG(0xaf7fd7, 5, 0, BOLD),
            [INK_GOOD] = LOOK_FG(0x4a9a9a, 6, 0, 0),
            [INK_WARNING] = LOOK_FG(0xc07a00, 3, BOLD, BOLD),
            [INK_ERROR] = LOOK_FG(0xd7475f, 1, BOLD, BOLD | REV),
            [INK_BAR] = LOOK_FG(0x4f8fd0, 4, 0, 0),
            [INK_BAR_2] = LOOK_FG(0xd08030, 3, 0, BOLD),
            [INK_BAR_3] = LOOK_FG(0x9a6fc0, 5, 0, 0),
            [INK_BAR_4] = LOOK_FG(0x4a9a9a, 6, 0, 0),
            [INK_BRUSH] = LOOK_FG(0xd08030, 3, BOLD, REV),
            [INK_AXIS] = LOOK_FG(0x808080, -1, 0, FAINT),
            [INK_RULE] = LOOK_FG(0x808080, -1, 0, FAINT),
            [INK_MARKER] = LOOK_FG(0xd08030, 3, 0, BOLD),
            [INK_NEGATIVE] = LOOK_FG(0x4f8fd0, 4, 0, 0),
            [INK_POSITIVE] = LOOK_FG(0xd08030, 3, 0, 0),
            [INK_MATCH] = {0x000000, 0, 0xe0c060, 3, 0, UNDER | BOLD},
            [INK_POPUP] = LOOK_PLAIN,
        },
        .heat = {0x8c8278, 0xb9833f, 0xe87a00},
        .diverge = {0xaadcff, 0x4088e0, 0x585858, 0xc87818, 0xffd890},
        .heat_256 = {243, 102, 137, 173, 208, 214},
        .middle_256 = 240,
        .blue_256 = {60, 61, 67, 68, 69, 75, 111, 117, 153, 195},
        .orange_256 = {94, 130, 166, 172, 208, 214, 215, 222, 229},
    },
    {
        .name = "light",
        .inks = {
            LOOK_COMMON,
            [INK_DIM] = LOOK_FG(0x6a6a6a, -1, 0, FAINT),
            [INK_STATUS] = LOOK_FG(0x505050, -1, 0, 0),
            [INK_CURSOR] = {-1, -1, 0xd8e4f4, -1, 0, REV},
            [INK_CURSOR_OFF] = {-1, -1, 0xececec, -1, 0, UNDER},
            [INK_LABEL] = LOOK_FG(0x205a90, 4, 0, 0),
            [INK_NOTE] = LOOK_FG(0x7a3fa0, 5, 0, BOLD),
            [INK_GOOD] = LOOK_FG(0x106a6a, 6, 0, 0),
            [INK_WARNING] = LOOK_FG(0x8a5200, 3, BOLD, BOLD),
            [INK_ERROR] = LOOK_FG(0xb01030, 1, BOLD, BOLD | REV),
            [INK_BAR] = LOOK_FG(0x2060b0, 4, 0, 0),
            [INK_BAR_2] = LOOK_FG(0xb85a00, 3, 0, BOLD),
            [INK_BAR_3] = LOOK_FG(0x7a3fa0, 5, 0, 0),
            [INK_BAR_4] = LOOK_FG(0x106a6a, 6, 0, 0),
            [INK_BRUSH] = LOOK_FG(0xb85a00, 3, BOLD, REV),
            [INK_AXIS] = LOOK_FG(0x6a6a6a, -1, 0, FAINT),
            [INK_RULE] = LOOK_FG(0xa0a0a0, -1, 0, FAINT),
            [INK_MARKER] = LOOK_FG(0xb85a00, 3, 0, BOLD),
            [INK_NEGATIVE] = LOOK_FG(0x2060b0, 4, 0, 0),
            [INK_POSITIVE] = LOOK_FG(0xb85a00, 3, 0, 0),
            [INK_MATCH] = {0x000000, 0, 0xf0d878, 3, 0, UNDER | BOLD},
            [INK_POPUP] = {-1, -1, 0xf4f4f4, -1, 0, 0},
        },
        .heat = {0xfdf0e0, 0xf6b26b, 0xd05a00},
        .diverge = {0x0f3f90, 0x4f9fe8, 0xf0f0f0, 0xf0a040, 0x8a4400},
        .heat_256 = {230, 223, 215, 214, 208, 172, 166},
        .middle_256 = 255,
        .blue_256 = {189, 153, 117, 111, 75, 39, 33, 32, 26, 25},
        .orange_256 = {224, 223, 215, 214, 208, 172, 166, 130, 94},
    },
    {
        .name = "dark",
        .inks = {
            LOOK_COMMON,
            [INK_DIM] = LOOK_FG(0x8a8a8a, -1, 0, FAINT),
            [INK_STATUS] = LOOK_FG(0xa0a0a0, -1, 0, 0),
            [INK_CURSOR] = {-1, -1, 0x2a4060, -1, 0, REV},
            [INK_CURSOR_OFF] = {-1, -1, 0x303030, -1, 0, UNDER},
            [INK_LABEL] = LOOK_FG(0x87afd7, 14, 0, 0),
            [INK_NOTE] = LOOK_FG(0xc79fe7, 13, 0, BOLD),
            [INK_GOOD] = LOOK_FG(0x7fcfcf, 14, 0, 0),
            [INK_WARNING] = LOOK_FG(0xf0b040, 11, BOLD, BOLD),
            [INK_ERROR] = LOOK_FG(0xff6f7f, 9, BOLD, BOLD | REV),
            [INK_BAR] = LOOK_FG(0x6fb0f0, 12, 0, 0),
            [INK_BAR_2] = LOOK_FG(0xf0a050, 11, 0, BOLD),
            [INK_BAR_3] = LOOK_FG(0xc79fe7, 13, 0, 0),
            [INK_BAR_4] = LOOK_FG(0x7fcfcf, 14, 0, 0),
            [INK_BRUSH] = LOOK_FG(0xf0a050, 11, BOLD, REV),
            [INK_AXIS] = LOOK_FG(0x8a8a8a, -1, 0, FAINT),
            [INK_RULE] = LOOK_FG(0x5a5a5a, -1, 0, FAINT),
            [INK_MARKER] = LOOK_FG(0xf0a050, 11, 0, BOLD),
            [INK_NEGATIVE] = LOOK_FG(0x6fb0f0, 12, 0, 0),
            [INK_POSITIVE] = LOOK_FG(0xf0a050, 11, 0, 0),
            [INK_MATCH] = {0x000000, 0, 0xe0c060, 11, 0, UNDER | BOLD},
            [INK_POPUP] = {-1, -1, 0x202020, -1, 0, 0},
        },
        .heat = {0x2a2018, 0x8a4a10, 0xff9a30},
        .diverge = {0x9ad4ff, 0x2070d8, 0x1c1c1c, 0xc06a10, 0xffcf80},
        .heat_256 = {235, 237, 94, 130, 136, 172, 208, 214, 215},
        .middle_256 = 234,
        .blue_256 = {18, 19, 20, 25, 26, 32, 33, 39, 75, 117, 153},
        .orange_256 = {236, 238, 94, 130, 166, 172, 208, 214, 215, 222},
    },
    {
        .name = "mono",
        .inks = {
            LOOK_COMMON,
            [INK_DIM] = LOOK_ATTR(FAINT),
            [INK_STATUS] = LOOK_PLAIN,
            [INK_CURSOR] = LOOK_ATTR(REV),
            [INK_CURSOR_OFF] = LOOK_ATTR(UNDER),
            [INK_LABEL] = LOOK_PLAIN,
            [INK_NOTE] = LOOK_ATTR(BOLD),
            [INK_GOOD] = LOOK_PLAIN,
            [INK_WARNING] = LOOK_ATTR(BOLD),
            [INK_ERROR] = LOOK_ATTR(BOLD | REV),
            [INK_BAR] = LOOK_PLAIN,
            [INK_BAR_2] = LOOK_ATTR(BOLD),
            [INK_BAR_3] = LOOK_PLAIN,
            [INK_BAR_4] = LOOK_ATTR(FAINT),
            [INK_BRUSH] = LOOK_ATTR(REV),
            [INK_AXIS] = LOOK_ATTR(FAINT),
            [INK_RULE] = LOOK_ATTR(FAINT),
            [INK_MARKER] = LOOK_ATTR(BOLD),
            [INK_NEGATIVE] = LOOK_PLAIN,
            [INK_POSITIVE] = LOOK_PLAIN,
            [INK_MATCH] = LOOK_ATTR(UNDER | BOLD),
            [INK_POPUP] = LOOK_PLAIN,
        },
        .is_mono = true,
    },
    {
        .name = "contrast",
        .inks = {
            LOOK_COMMON,
            [INK_DIM] = LOOK_PLAIN,
            [INK_STATUS] = LOOK_ATTR(BOLD),
            [INK_CURSOR] = LOOK_ATTR(REV),
            [INK_CURSOR_OFF] = LOOK_ATTR(UNDER),
            [INK_LABEL] = LOOK_ATTR(BOLD),
            [INK_NOTE] = LOOK_ATTR(BOLD | UNDER),
            [INK_GOOD] = LOOK_PLAIN,
            [INK_WARNING] = {0x000000, 0, 0xffff00, 11, BOLD, BOLD | REV},
            [INK_ERROR] = {0xffffff, 15, 0xc00000, 1, BOLD, BOLD | REV},
            [INK_BAR] = LOOK_PLAIN,
            [INK_BAR_2] = {0xe07000, 3, -1, -1, BOLD, BOLD},
            [INK_BAR_3] = {0xc040c0, 5, -1, -1, BOLD, 0},
            [INK_BAR_4] = {0x00a0a0, 6, -1, -1, BOLD, 0},
            [INK_BRUSH] = LOOK_ATTR(REV),
            [INK_AXIS] = LOOK_PLAIN,
            [INK_RULE] = LOOK_PLAIN,
            [INK_MARKER] = LOOK_ATTR(BOLD),
            [INK_NEGATIVE] = {0x2080ff, 4, -1, -1, BOLD, 0},
            [INK_POSITIVE] = {0xe07000, 3, -1, -1, BOLD, 0},
            [INK_MATCH] = {0x000000, 0, 0xffff00, 11, BOLD, UNDER | BOLD},
            [INK_POPUP] = LOOK_PLAIN,
        },
        .heat = {0xfff0d0, 0xffc000, 0xff8000},
        .diverge = {0x0000d0, 0x50a0ff, 0xffffff, 0xffb040, 0xd04000},
        .heat_256 = {230, 229, 222, 221, 214, 208},
        .middle_256 = 231,
        .blue_256 = {195, 159, 153, 117, 111, 75, 69, 33, 27, 21},
        .orange_256 = {230, 229, 222, 221, 214, 208, 202, 166},
    },
};

enum { N_THEMES = sizeof themes / sizeof *themes };

const struct theme *theme_at(int i)
{
    return i >= 0 && i < N_THEMES ? &themes[i] : NULL;
}

const struct theme *theme_find(const char *name)
{
    for (int i = 0; i < N_THEMES; i++)
        if (strcmp(themes[i].name, name) == 0)
            return &themes[i];
    return NULL;
}

const char *theme_name(const struct theme *t)
{
    return t->name;
}

/* -- colours ------------------------------------------------------------------------ */

static int channel(uint32_t rgb, int i)
{
    return (int)(rgb >> (16 - 8 * i) & 0xff);
}

static uint32_t mix(uint32_t a, uint32_t b, double t)
{
    uint32_t rgb = 0;

    for (int i = 0; i < 3; i++)
        rgb = rgb << 8 | (uint32_t)lround(channel(a, i) + t * (channel(b, i) - channel(a, i)));
    return rgb;
}

static uint32_t ramp(const uint32_t *stops, int n_stops, int step, int steps)
{
    double x = (double)step / (steps - 1) * (n_stops - 1);
    int i = (int)x < n_stops - 1 ? (int)x : n_stops - 2;

    return mix(stops[i], stops[i + 1], x - i);
}

/* Step k of n (from 0 on) of a list that 0 ends. */
static int32_t palette_step(const uint8_t *list, int k, int n)
{
    int len = 0;

    while (len < PALETTE_STEPS && list[len])
        len++;
    return list[(k * (len - 1) + (n - 1) / 2) / (n - 1)];
}

static int distance(int r, int g, int b, uint32_t rgb)
{
    int dr = r - channel(rgb, 0), dg = g - channel(rgb, 1), db = b - channel(rgb, 2);
    return 2 * dr * dr + 4 * dg * dg + 3 * db * db; /* the eye's weights, roughly */
}

static const int cube[6] = {0, 95, 135, 175, 215, 255}; /* of the cube 6x6x6 */

/* What an entry of the xterm palette from 16 on looks like. */
static uint32_t palette_rgb(int32_t i)
{
    int grey = 8 + 10 * (i - 232);

    if (i >= 232)
        return (uint32_t)(grey << 16 | grey << 8 | grey);
    i -= 16;
    return (uint32_t)(cube[i / 36] << 16 | cube[i / 6 % 6] << 8 | cube[i % 6]);
}

/* The nearest of the xterm palette's 6x6x6 cube and its 24 greys. */
static int32_t palette_256(uint32_t rgb)
{
    int index[3], best, grey;

    for (int i = 0; i < 3; i++) {
        int v = channel(rgb, i);
        index[i] = v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40;
    }
    best = 16 + 36 * index[0] + 6 * index[1] + index[2];
    grey = (channel(rgb, 0) + channel(rgb, 1) + channel(rgb, 2)) / 3;
    grey = grey < 8 ? 0 : grey > 238 ? 23 : (grey - 3) / 10;
    int g = 8 + 10 * grey;
    return distance(g, g, g, rgb) <
                   distance(cube[index[0]], cube[index[1]], cube[index[2]], rgb)
               ? 232 + grey
               : best;
}

static double luminance(uint32_t rgb)
{
    return (.299 * channel(rgb, 0) + .587 * channel(rgb, 1) + .114 * channel(rgb, 2)) / 255;
}

static int32_t colour(enum colour_level level, int32_t rgb, int32_t ansi)
{
    if (level == COLOUR_MONO || (level == COLOUR_16 && ansi < 0) || rgb < 0)
        return COLOUR_DEFAULT;
    if (level == COLOUR_16)
        return ansi;
    return level == COLOUR_256 ? palette_256((uint32_t)rgb) : COLOUR_RGB | rgb;
}

static bool is_ramp(enum ink ink)
{
    return ink >= INK_HEAT;
}

static uint32_t ramp_rgb(const struct theme *t, enum ink ink)
{
    return ink >= INK_DIVERGE ? ramp(t->diverge, 5, (int)ink - INK_DIVERGE, THEME_DIVERGE_STEPS)
                              : ramp(t->heat, 3, (int)ink - INK_HEAT, THEME_HEAT_STEPS);
}

static int32_t ramp_256(const struct theme *t, enum ink ink)
{
    const int half = (THEME_DIVERGE_STEPS - 1) / 2;
    int off = (int)ink - INK_DIVERGE - half;

    if (ink < INK_DIVERGE)
        return palette_step(t->heat_256, (int)ink - INK_HEAT, THEME_HEAT_STEPS);
    if (off == 0)
        return t->middle_256;
    return palette_step(off < 0 ? t->blue_256 : t->orange_256, abs(off) - 1, half);
}

/* Ramps in 16 colours: nothing, then two steps to each side. */
static int32_t ramp_ansi(enum ink ink)
{
    int half = (THEME_DIVERGE_STEPS - 1) / 2;

    if (ink >= INK_DIVERGE) {
        int off = (int)ink - INK_DIVERGE - half;
        if (off > -half / 4 && off < half / 4)
            return COLOUR_DEFAULT;
        return off < 0 ? (off < -half * 5 / 8 ? 12 : 4) : (off > half * 5 / 8 ? 11 : 3);
    }
    int step = (int)ink - INK_HEAT;
    return step < THEME_HEAT_STEPS / 4 ? COLOUR_DEFAULT : step < THEME_HEAT_STEPS * 5 / 8 ? 3 : 11;
}

static int32_t ramp_colour(const struct theme *t, enum colour_level level, enum ink ink)
{
    if (level == COLOUR_MONO || ink == INK_HEAT)
        return COLOUR_DEFAULT;
    if (level == COLOUR_16)
        return ramp_ansi(ink);
    return level == COLOUR_256 ? ramp_256(t, ink) : (int32_t)(COLOUR_RGB | ramp_rgb(t, ink));
}

/* Text on a ramp: black or white, whichever can be read. */
static int32_t readable(const struct theme *t, enum colour_level level, enum ink back)
{
    if (level == COLOUR_16)
        return 0; /* on yellow, blue and their bright forms */
    bool is_256 = level == COLOUR_256;
    bool dark = luminance(is_256 ? palette_rgb(ramp_256(t, back)) : ramp_rgb(t, back)) < .5;
    if (is_256)
        return dark ? 231 : 16;
    return COLOUR_RGB | (dark ? 0xffffff : 0);
}

struct paint theme_paint(const struct theme *t, enum colour_level level, uint32_t style)
{
    enum ink front = style_front(style), back = style_back(style);
    struct paint p = {COLOUR_DEFAULT, COLOUR_DEFAULT, style & 0xffff0000u};

    if (t->is_mono)
        level = COLOUR_MONO;
    if (is_ramp(front)) {
        p.front = ramp_colour(t, level, front);
    } else {
        const struct ink_look *look = &t->inks[front];
        p.front = colour(level, look->rgb, look->ansi);
        p.back = colour(level, look->back_rgb, look->back_ansi);
        p.attr |= level == COLOUR_MONO ? look->mono : look->attr;
    }
    if (back == INK_TEXT)
        return p;
    if (is_ramp(back)) {
        p.back = ramp_colour(t, level, back);
        if (!is_ramp(front) && p.back != COLOUR_DEFAULT)
            p.front = readable(t, level, back);
        if (p.front == 0 && level == COLOUR_16)
            p.attr &= ~STYLE_BOLD; /* it makes black grey on level terminals */
        return p;
    }
    const struct ink_look *ground = &t->inks[back];
    p.back = colour(level, ground->back_rgb, ground->back_ansi);
    p.attr |= level == COLOUR_MONO || (p.back == COLOUR_DEFAULT && ground->back_rgb >= 0)
                  ? ground->mono
                  : ground->attr;
    if (p.attr & STYLE_REVERSE) /* coloured text would become patches of ground */
        p.front = COLOUR_DEFAULT;
    return p;
}

bool theme_colour_word(const char *word, enum colour_level *out)
{
    static const struct {
        const char *word;
        enum colour_level level;
    } words[] = {
        {"auto", COLOUR_AUTO}, {"never", COLOUR_MONO}, {"always", COLOUR_256},
        {"16", COLOUR_16},     {"256", COLOUR_256},    {"truecolor", COLOUR_TRUE},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].word, word) == 0) {
            *out = words[i].level;
            return true;
        }
    return false;
}
