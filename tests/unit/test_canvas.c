#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tui/canvas.h"

static struct canvas c;

static int setup_10x4(void **state)
{
    (void)state;
    canvas_init(&c, 4, 10);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    canvas_finish(&c);
    return 0;
}

static void expect(const char *want)
{
    char *got = canvas_dump(&c);
    assert_string_equal(got, want);
    free(got);
}

static void text_is_clipped(void **state)
{
    (void)state;
    assert_int_equal(canvas_text(&c, 0, 8, INK_TEXT, "abcd"), 12);
    assert_int_equal(canvas_text(&c, 1, -2, INK_TEXT, "abcd"), 2);
    canvas_text(&c, -1, 0, INK_TEXT, "x");
    canvas_text(&c, 4, 0, INK_TEXT, "x");
    expect("        ab\ncd\n\n\n");
}

static void wide_characters_take_two_cells(void **state)
{
    (void)state;
    assert_int_equal(canvas_text(&c, 0, 0, INK_TEXT, "日本x"), 5);
    canvas_text(&c, 1, 0, INK_TEXT, "日本x");
    canvas_text(&c, 1, 1, INK_TEXT, "a"); /* over a right half */
    canvas_text(&c, 2, 0, INK_TEXT, "日本x");
    canvas_text(&c, 2, 2, INK_TEXT, "b"); /* over a left half */
    assert_int_equal(canvas_text(&c, 3, 9, INK_TEXT, "日"), 11); /* half outside */
    expect("日本x\n a本x\n日b x\n\n");
    assert_int_equal(text_width("日本x"), 5);
}

static void windows_keep_wide_characters_whole(void **state)
{
    (void)state;
    canvas_text(&c, 0, 0, INK_TEXT, "日本語");
    struct canvas sub = canvas_sub(&c, 0, 1, 1, 2);
    canvas_clear(&sub, INK_TEXT);
    expect("    語\n\n\n\n");
}

static void marks_stay_with_their_base(void **state)
{
    (void)state;
    assert_int_equal(canvas_text(&c, 0, 0, INK_TEXT, "e\xcc\x81x"), 2);
    assert_int_equal(canvas_text(&c, 1, 0, INK_TEXT, "\xcc\x81x"), 2); /* no base */
    expect("e\xcc\x81x\n◌\xcc\x81x\n\n\n");
    char many[400] = "e";
    for (int i = 0; i < 100; i++)
        strcat(many, "\xcc\x81");
    assert_int_equal(text_width(many), 1);
}

static void harm_never_reaches_a_cell(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb", "a↵b"},
        {"\033[31m", "\\x1b[31m"},
        {"a\tb\x7f", "a⇥b\\x7f"},
        {"\xe2\x80\xae" "abc", "<U+202E>abc"},
        {"a\xe2\x80\x8b" "b", "a<U+200B>b"},
        {"\xc2\x9b" "31m", "<U+009B>31m"},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe6\x97", "\xef\xbf\xbd"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct canvas line;
        canvas_init(&line, 1, 20);
        canvas_text(&line, 0, 0, INK_TEXT, cases[i].in);
        char *got = canvas_dump(&line);
        got[strlen(got) - 1] = 0;
        assert_string_equal(got, cases[i].out);
        free(got);
        canvas_finish(&line);
    }
}

static void any_bytes_fit(void **state)
{
    unsigned seed = 7;

    (void)state;
    for (int n = 0; n < 20000; n++) {
        char s[12];
        for (size_t i = 0; i < sizeof s; i++)
            s[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
        struct glyphs it = {.s = s, .len = sizeof s};
        struct glyph g;
        size_t bytes = 0;
        while (glyph_next(&it, &g)) {
            assert_in_range(g.width, 1, 2);
            assert_true(strlen(g.text) > 0 && strlen(g.text) < CELL_TEXT);
            assert_true((unsigned char)g.text[0] >= 0x20);
            bytes += g.bytes;
        }
        assert_int_equal(bytes, sizeof s);
        canvas_bytes(&c, n % 4, n % 13 - 3, INK_TEXT, s, sizeof s);
    }
    for (int i = 0; i < c.rows * c.cols; i++) /* halves come in pairs */
        if (c.cells[i].width == 2)
            assert_true(i % c.cols < c.cols - 1 && c.cells[i + 1].width == 0);
}

static void fitting_aligns_and_cuts(void **state)
{
    (void)state;
    canvas_fit(&c, 0, 0, 10, ALIGN_RIGHT, INK_TEXT, "1.5");
    canvas_fit(&c, 1, 0, 9, ALIGN_CENTRE, INK_TEXT, "abc");
    canvas_fit(&c, 2, 2, 4, ALIGN_RIGHT, INK_TEXT, "123456");
    canvas_fit(&c, 3, 0, 4, ALIGN_LEFT, INK_TEXT, "日本語");
    expect("       1.5\n   abc\n  123…\n日…\n");
}

static void wrapping_breaks_between_words(void **state)
{
    (void)state;
    assert_int_equal(canvas_wrap(&c, 0, INK_TEXT, "one two three\nfour"), 3);
    expect("one two\nthree\nfour\n\n");
    canvas_clear(&c, INK_TEXT);
    assert_int_equal(canvas_wrap(&c, 0, INK_TEXT, "a 0123456789abc d"), 3);
    expect("a\n0123456789\nabc d\n\n");
}

static void bars_have_eighths(void **state)
{
    static const float heights[] = {0, 1e-6f, .25f, .5f, 1, NAN, 2};

    (void)state;
    canvas_hbar(&c, 0, 0, 4, 0.5 + 1.0 / 32, INK_BAR);
    canvas_hbar(&c, 0, 5, 4, 1e-9, INK_BAR);
    canvas_hbar(&c, 1, 0, 4, NAN, INK_BAR);
    canvas_hbar(&c, 1, 5, 3, 7, INK_BAR);
    canvas_vbars(&c, 2, 0, 2, heights, 7, INK_BAR);
    expect("██▏  ▏\n     ███\n    █ █\n ▁▄██ █\n");
}

static void ascii_stays_ascii(void **state)
{
    static const float heights[] = {.2f, .5f, 1};

    (void)state;
    c.ascii = true;
    canvas_box(&c, "é…", INK_RULE);
    canvas_text(&c, 1, 1, INK_TEXT, "−日→│");
    canvas_vbars(&c, 2, 1, 1, heights, 3, INK_BAR);
    canvas_halves(&c, 2, 6, style_heat(1), style_heat(0));
    expect("+- ?~ ---+\n|-?" "?>|   |\n|_=# " " #  |\n+--------+\n");
}

static void boxes_and_rules(void **state)
{
    (void)state;
    struct canvas in = canvas_box(&c, "ab", INK_RULE);
    assert_int_equal(in.rows, 2);
    assert_int_equal(in.cols, 8);
    canvas_rule(&in, 1, "too long a title", INK_RULE);
    expect("┌─ ab ───┐\n│        │\n│── too… │\n└────────┘\n");
}

static void inks_can_be_seen(void **state)
{
    (void)state;
    canvas_text(&c, 0, 0, INK_DIM, "ab");
    canvas_ground(&c, 0, 1, 2, INK_CURSOR);
    canvas_text(&c, 1, 0, INK_TEXT | STYLE_ON(style_heat(1)), "x");
    canvas_text(&c, 1, 1, style_heat(0), "x");
    canvas_text(&c, 1, 2, style_diverge(-1), "x");
    canvas_text(&c, 1, 3, style_diverge(0), "x");
    canvas_text(&c, 1, 4, style_diverge(.5), "x");
    char *got = canvas_dump_inks(&c);
    assert_string_equal(got, "ahh.......\n90-=+.....\n..........\n..........\n");
    free(got);
}

static void every_size_is_fine(void **state)
{
    static const float heights[] = {.1f, .5f, 1};

    (void)state;
    for (int rows = 1; rows < 5; rows++)
        for (int cols = 1; cols < 9; cols++) {
            struct canvas s, in;
            canvas_init(&s, rows, cols);
            in = canvas_box(&s, "title", INK_RULE);
            canvas_wrap(&in, 0, INK_TEXT, "some words 日本 here");
            canvas_vbars(&in, 0, 0, in.rows, heights, 3, INK_BAR);
            in = canvas_sub(&s, -1, -1, 100, 100);
            assert_true(in.rows <= rows && in.cols <= cols);
            canvas_finish(&s);
        }
}

static void themes_resolve(void **state)
{
    (void)state;
    for (int i = 0; theme_at(i); i++) {
        const struct theme *t = theme_at(i);
        assert_ptr_equal(theme_find(theme_name(t)), t);
        struct paint plain = theme_paint(t, COLOUR_TRUE, INK_TEXT);
        assert_int_equal(plain.front, COLOUR_DEFAULT);
        assert_int_equal(plain.back, COLOUR_DEFAULT);
        for (uint32_t front = 0; front < INK_COUNT; front++)
            for (uint32_t back = 0; back < INK_COUNT; back++) {
                struct paint p = theme_paint(t, COLOUR_MONO, front | STYLE_ON(back));
                assert_int_equal(p.front, COLOUR_DEFAULT);
                assert_int_equal(p.back, COLOUR_DEFAULT);
                p = theme_paint(t, COLOUR_16, front | STYLE_ON(back));
                assert_true(p.front < 16 && p.back < 16);
                p = theme_paint(t, COLOUR_256, front | STYLE_ON(back));
                assert_true(p.front < 256 && p.back < 256);
            }
        struct paint lit = theme_paint(t, COLOUR_16, INK_LIT | STYLE_ON(style_heat(1)));
        assert_true(lit.front != 0 || !(lit.attr & STYLE_BOLD)); /* grey on many terminals */
        /* The cursor row shows whatever there is to show it with. */
        for (int level = COLOUR_MONO; level <= COLOUR_TRUE; level++) {
            struct paint p = theme_paint(t, (enum colour_level)level,
                                         INK_TEXT | STYLE_ON(INK_CURSOR));
            assert_true(p.back != COLOUR_DEFAULT || (p.attr & STYLE_REVERSE));
        }
    }
    assert_null(theme_find("nonesuch"));
    assert_int_equal(theme_paint(theme_at(0), COLOUR_TRUE, INK_BAR).front,
                     COLOUR_RGB | 0x4f8fd0);
}

static void ramps_are_monotone(void **state)
{
    (void)state;
    assert_int_equal(style_heat(0), INK_HEAT);
    assert_int_equal(style_heat(NAN), INK_HEAT);
    assert_int_equal(style_heat(1e-9), INK_HEAT + 1);
    assert_int_equal(style_heat(5), INK_HEAT + THEME_HEAT_STEPS - 1);
    assert_int_equal(style_diverge(-9), INK_DIVERGE);
    assert_int_equal(style_diverge(NAN), INK_DIVERGE + 16);
    assert_int_equal(style_diverge(9), INK_COUNT - 1);
    for (double x = -1; x < 1; x += .01) {
        assert_true(style_heat(x) <= style_heat(x + .01));
        assert_true(style_diverge(x) <= style_diverge(x + .01));
    }
}

/* CIE lightness, 0 to 100, of a resolved colour. */
static double lightness(int32_t colour)
{
    static const int cube[6] = {0, 95, 135, 175, 215, 255};
    int rgb[3];
    double y = 0;

    if (colour & COLOUR_RGB) {
        for (int i = 0; i < 3; i++)
            rgb[i] = colour >> (16 - 8 * i) & 0xff;
    } else if (colour >= 232) {
        rgb[0] = rgb[1] = rgb[2] = 8 + 10 * (colour - 232);
    } else {
        assert_in_range(colour, 16, 231);
        rgb[0] = cube[(colour - 16) / 36], rgb[1] = cube[(colour - 16) / 6 % 6];
        rgb[2] = cube[(colour - 16) % 6];
    }
    for (int i = 0; i < 3; i++) {
        double v = rgb[i] / 255., weight[3] = {.2126, .7152, .0722};
        y += weight[i] * (v <= .04045 ? v / 12.92 : pow((v + .055) / 1.055, 2.4));
    }
    return y > .008856 ? 116 * cbrt(y) - 16 : 903.3 * y;
}

/* Different colours from one ink to another, and whether the lightness goes one way. */
static int steps_between(const struct theme *t, enum colour_level level, int from, int to)
{
    int n = 0, way = 0;
    int32_t before = 0;

    for (int ink = from; ink != to + (from < to ? 1 : -1); ink += from < to ? 1 : -1) {
        int32_t colour = theme_paint(t, level, (uint32_t)ink).front;
        if (n > 0 && colour == before)
            continue;
        double d = n > 0 ? lightness(colour) - lightness(before) : 0;
        if (n > 0 && way == 0)
            way = d > 0 ? 1 : -1;
        assert_true(d * way >= 0);
        before = colour;
        n++;
    }
    return n;
}

/* How strong a cell is can be told by its lightness alone, on either side of 0, and the
 * palette of 256 has more than a handful of steps for it. */
static void ramps_have_steps(void **state)
{
    (void)state;
    const int middle = INK_DIVERGE + (THEME_DIVERGE_STEPS - 1) / 2;
    for (int i = 0; theme_at(i); i++) {
        const struct theme *t = theme_at(i);
        if (t == theme_find("mono"))
            continue;
        for (int level = COLOUR_256; level <= COLOUR_TRUE; level++) {
            enum colour_level many = (enum colour_level)level;
            int least = many == COLOUR_TRUE ? 17 : 9;
            assert_true(steps_between(t, many, middle, INK_DIVERGE) >= least);
            assert_true(steps_between(t, many, middle, INK_COUNT - 1) >= least);
            least = many == COLOUR_TRUE ? THEME_HEAT_STEPS - 1 : 6;
            assert_true(steps_between(t, many, INK_HEAT + 1, INK_DIVERGE - 1) >= least);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup_10x4, teardown)
    const struct CMUnitTest tests[] = {
        T(text_is_clipped),
        T(wide_characters_take_two_cells),
        T(windows_keep_wide_characters_whole),
        T(marks_stay_with_their_base),
        T(harm_never_reaches_a_cell),
        T(any_bytes_fit),
        T(fitting_aligns_and_cuts),
        T(wrapping_breaks_between_words),
        T(bars_have_eighths),
        T(ascii_stays_ascii),
        T(boxes_and_rules),
        T(inks_can_be_seen),
        T(every_size_is_fine),
        T(themes_resolve),
        T(ramps_are_monotone),
        T(ramps_have_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
