/* test_str.c - the Unicode rules by hand-made cases, and properties over random bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/str.h"

#define FFFD "\xef\xbf\xbd"

static void builder(void **state)
{
    (void)state;
    struct str s = {0};
    assert_string_equal(str_text(&s), "");
    str_append(&s, "a\0b", 3);
    assert_int_equal(s.len, 3);
    str_appendf(&s, "%d%s", 42, "x");
    str_putc(&s, '!');
    assert_memory_equal(s.data, "a\0b42x!", 8);
    for (int i = 0; i < 1000; i++)
        str_puts(&s, "0123456789");
    assert_int_equal(s.len, 7 + 10000);
    str_reset(&s);
    assert_string_equal(str_text(&s), "");
    str_puts(&s, "kept");
    char *taken = str_take(&s);
    assert_string_equal(taken, "kept");
    free(taken);
    taken = str_take(&s);
    assert_string_equal(taken, "");
    free(taken);
    str_finish(&s);
}

static void invalid_utf8_by_maximal_parts(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        bool valid;
    } cases[] = {
        {"plain \xc3\xa9 \xf0\x9f\x98\x80", "plain \xc3\xa9 \xf0\x9f\x98\x80", true},
        {"", "", true},
        {"\x80", FFFD, false},
        {"\xc3", FFFD, false},
        {"\xe2\x82", FFFD, false},            /* truncated: one part */
        {"\xe2\x82x", FFFD "x", false},
        {"\xf0\x9f\x98", FFFD, false},
        {"\xc0\xaf", FFFD FFFD, false},       /* overlong: a part each */
        {"\xe0\x80\xaf", FFFD FFFD FFFD, false},
        {"\xed\xa0\x80", FFFD FFFD FFFD, false}, /* surrogate */
        {"\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD, false},
        {"\xff\xfe", FFFD FFFD, false},
        /* The example of Unicode table 3-11. */
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", FFFD FFFD FFFD FFFD "A", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str s = {0};
        assert_int_equal(str_utf8(&s, cases[i].in, strlen(cases[i].in)), cases[i].valid);
        assert_string_equal(str_text(&s), cases[i].out);
        str_finish(&s);
    }
}

static void hex(void **state)
{
    (void)state;
    struct str s = {0};
    str_hex(&s, "\x00\xff\x1a", 3);
    assert_string_equal(str_text(&s), "00ff1a");
    str_finish(&s);
}

static void hostile_text_becomes_visible(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum str_newlines how;
        const char *out;
    } cases[] = {
        {"a\nb\tc\r", STR_ESCAPED, "a\\nb\\tc\\r"},
        {"a\nb\tc\r", STR_SYMBOLS, "a\u21b5b\u21e5c\u240d"},
        {"\x1b[2J\x07\x7f", STR_ESCAPED, "\\x1b[2J\\x07\\x7f"},
        {"\u202eevil\u2066\u200e\u061c", STR_ESCAPED, "<U+202E>evil<U+2066><U+200E><U+061C>"},
        {"a\u200bb\u200dc\ufeff\u00ad", STR_ESCAPED, "a<U+200B>b<U+200D>c<U+FEFF><U+00AD>"},
        {"\xc2\x85\xc2\x9b" "31m", STR_ESCAPED, "<U+0085><U+009B>31m"},
        {"\u2028\u2029\u3164\U000e0041", STR_ESCAPED, "<U+2028><U+2029><U+3164><U+E0041>"},
        {"\uffff", STR_ESCAPED, "<U+FFFF>"},
        {"caf\u00e9 \u4e16\u754c e\u0301 \\n", STR_ESCAPED, "caf\u00e9 \u4e16\u754c e\u0301 \\n"},
        {"\xe2\x82x\xff", STR_ESCAPED, FFFD "x" FFFD},
        {"\u00e9\xff\xe2\x82\nx\u202e", STR_ASCII, "<U+00E9>\\xff\\xe2\\x82\\nx<U+202E>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str s = {0};
        str_visible(&s, cases[i].in, strlen(cases[i].in), cases[i].how);
        assert_string_equal(str_text(&s), cases[i].out);
        str_finish(&s);
    }
}

/* Whatever goes in: valid UTF-8 comes out, without a control character, and making it
 * visible again changes nothing. */
static void visible_is_harmless_and_stable(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        char in[24];
        size_t n = (size_t)rand() % sizeof in;
        for (size_t i = 0; i < n; i++)
            in[i] = (char)(rand() % 3 ? rand() : "\xe2\x80\xae\xf0\x9f\x1b\xc2\x9b"[rand() % 8]);
        enum str_newlines how = (enum str_newlines)(round % 3);
        struct str once = {0}, twice = {0}, copy = {0};
        str_visible(&once, in, n, how);
        assert_true(str_utf8(&copy, str_text(&once), once.len));
        for (size_t i = 0; i < once.len; i++)
            assert_true((unsigned char)once.data[i] >= 0x20 && once.data[i] != 0x7f);
        str_visible(&twice, str_text(&once), once.len, how);
        assert_string_equal(str_text(&once), str_text(&twice));
        str_finish(&once);
        str_finish(&twice);
        str_finish(&copy);
    }
}

static void widths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int width, graphemes;
    } cases[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"\u00e9", 1, 1},
        {"e\u0301x", 2, 2},                  /* e + combining acute */
        {"\u4e16\u754c", 4, 2},
        {"\U0001f600", 2, 1},
        {"\U0001f1e9\U0001f1ea", 2, 1},       /* a flag */
        {"\U0001f44d\U0001f3fd", 2, 1},       /* thumb with a skin tone */
        {"\u1112\u1161\u11ab", 2, 1},         /* a syllable of three jamo */
        {"\u0301", 0, 1},
        {"\xff\xe2\x82" "a", 3, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text), at = 0;
        int graphemes = 0, w;
        for (; at < n; graphemes++)
            at += str_grapheme(cases[i].text + at, n - at, &w);
        assert_int_equal(at, n);
        assert_int_equal(graphemes, cases[i].graphemes);
        assert_int_equal(str_width(cases[i].text, n), cases[i].width);
    }
}

static void fits_whole_graphemes(void **state)
{
    (void)state;
    const char *s = "a\u4e16e\u0301b";
    size_t n = strlen(s);
    static const size_t want[] = {0, 1, 1, 4, 7, 8, 8};
    for (int cells = 0; cells < 7; cells++)
        assert_int_equal(str_fit(s, n, cells), want[cells]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder),
        cmocka_unit_test(invalid_utf8_by_maximal_parts),
        cmocka_unit_test(hex),
        cmocka_unit_test(hostile_text_becomes_visible),
        cmocka_unit_test(visible_is_harmless_and_stable),
        cmocka_unit_test(widths),
        cmocka_unit_test(fits_whole_graphemes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
