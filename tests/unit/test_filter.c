/*
 * test_filter.c - what filters select, how they refuse, and that no expression, however
 * mangled, does harm. Rows are checked against the meaning written out in C.
 */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/str.h"
#include "model/filter.h"

enum { ID, DENSITY, MAX, LABEL, TOKEN, STAR, N_COLUMNS };
static const struct filter_column columns[N_COLUMNS] = {
    {"id", FILTER_NUMBER},  {"density", FILTER_NUMBER}, {"max", FILTER_NUMBER},
    {"label", FILTER_TEXT}, {"token", FILTER_TEXT},     {"star", FILTER_FLAG},
};

static const struct row {
    double density, max;
    const char *label; /* NULL: none */
    const char *tokens[3];
} table[] = {
    {0.5, 2, "the king", {" king", " queen"}},
    {0.001, 3.7981751f, NULL, {"\n"}},
    {NAN, 1.5, "", {NULL}},
    {0.02, NAN, "King \"Lear\"", {"\xff\xc3", "x"}},
    {0, 0, "caf\u00e9", {" king"}},
};
#define N_ROWS ((int64_t)(sizeof table / sizeof *table))

static double number(void *ctx, int64_t row, int column)
{
    const struct row *t = ctx;
    assert_true(column == ID || column == DENSITY || column == MAX || column == STAR);
    if (column == STAR)
        return row == 1 || row == 3;
    return column == ID ? (double)row : column == DENSITY ? t[row].density : t[row].max;
}

static bool text(void *ctx, int64_t row, int column, int i, const char **out, size_t *len)
{
    const struct row *t = ctx;
    assert_true(column == LABEL || column == TOKEN);
    const char *s = column == LABEL ? (i == 0 ? t[row].label : NULL)
                                    : (i < 3 ? t[row].tokens[i] : NULL);
    *out = s;
    *len = s ? strlen(s) : 0;
    return s != NULL;
}

static const struct filter_rows rows = {NULL, number, text, (void *)table};

/* The rows that fit as a string of digits. */
static const char *selected(const char *expression)
{
    static char digits[N_ROWS + 1];
    struct err err = {0};
    struct filter *f = filter_parse(expression, columns, N_COLUMNS, &err);
    if (!f)
        fail_msg("%s: %s", expression, err.msg);
    uint32_t out[N_ROWS];
    int64_t n = filter_select(f, &rows, N_ROWS, out);
    for (int64_t i = 0; i < n; i++)
        digits[i] = (char)('0' + out[i]);
    digits[n] = 0;
    for (int64_t row = 0; row < N_ROWS; row++)
        assert_int_equal(filter_eval(f, &rows, row), strchr(digits, '0' + (int)row) != NULL);
    filter_free(f);
    return digits;
}

static void meanings(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *rows;
    } cases[] = {
        /* numbers; row 2 has no density, row 3 no max */
        {"density < 0.01", "14"},
        {"density <= 1e-3", "14"},
        {"density>.02", "0"},
        {"density >= +0.02", "03"},
        {"density = 5e-1", "0"},
        {"density == 0.50", "0"},
        {"density != 0.5", "134"},
        {"id != 3", "0124"},
        /* what a float was printed as is that float, and neither above nor below it */
        {"max = 3.79817510", "1"},
        {"max < 3.79817510", "024"},
        {"max >= 3.7981751 and max <= 3.7981751", "1"},
        {"max > -1", "0124"},
        {"max > density", "01"}, /* of row 2 the density is missing, row 4 has 0 and 0 */
        {"id < max", "01"},
        /* precedence: or < and < not */
        {"id = 0 or id = 1 and id = 2", "0"},
        {"(id = 0 or id = 1) and id = 1", "1"},
        {"not id = 0 and id < 3", "12"},
        {"not (id = 0 and id < 3)", "1234"},
        {"not not id = 4", "4"},
        {"NOT id = 0 AND id < 3 Or id=4", "124"},
        {"id=0 or id=1 or id=2 or id=3", "0123"},
        {"id>0 and id>1 and id>2 and id>3", "4"},
        {"not density < 10", "2"},
        /* what is yes or no may stand alone */
        {"star", "13"},
        {"not star", "024"},
        {"star and density > 0.01 or id = 4", "34"},
        {"(star)", "13"},
        {"star = 0", "024"},
        {"id <= star", "01"},
        /* text */
        {"label = \"the king\"", "0"},
        {"label != \"the king\"", "234"},
        {"label = \"\"", "2"},
        {"label ~ \"\"", "0234"},
        {"not label ~ \"\"", "1"},
        {"label ~ \"king\"", "0"},
        {"label ~ \"(?i)king\"", "03"},
        {"label ~ \"^\\w+$\"", "4"},
        {"label ~ \"\\\"Lear\\\"\"", "3"},
        {"label = \"King \\\"Lear\\\"\"", "3"},
        {"label = \"caf\\u00e9\"", "4"},
        {"label = \"caf\\xc3\\xa9\"", "4"},
        {"label ~ \"caf.$\"", "4"},
        {"label ~ \"caf\\x{e9}\"", "4"},
        /* several texts a row */
        {"token = \" king\"", "04"},
        {"token = \"\\n\"", "1"},
        {"token ~ \"\\n\"", "1"},
        {"token ~ \"ee\"", "0"},
        {"token != \" king\"", "13"},
        {"token = \"x\" and density < 0.1", "3"},
        {"token = \"\\xff\\xc3\"", "3"},
        {"density < 0.1 and max > 3 or label ~ \"king\"", "01"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = selected(cases[i].expression);
        if (strcmp(got, cases[i].rows) != 0)
            fail_msg("%s: rows '%s', expected '%s'", cases[i].expression, got,
                     cases[i].rows);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *message;
    } cases[] = {
        {"", "filter: column 1: expected a name, 'not' or '(', found the end"},
        {"densty < 1", "filter: column 1: unknown name 'densty' (expected one of id, density, "
                       "max, label, token, star)"},
        {"density < x", "filter: column 11: unknown name 'x' (expected one of id, density, "
                        "max, label, token, star)"},
        {"density <", "filter: column 10: expected a number, found the end"},
        {"density < \"a\"", "filter: column 11: expected a number, found '\"a\"'"},
        {"density < label", "filter: column 11: expected a number, found 'label'"},
        {"density ~ \"a\"", "filter: column 9: '~' searches text, 'density' is a number"},
        {"density", "filter: column 8: expected = != < <= > or >=, found the end"},
        {"label < 3", "filter: column 7: expected = != or ~, found '<': 'label' is text"},
        {"label = 3", "filter: column 9: expected text in double quotes, found '3'"},
        {"label = \"abc", "filter: column 9: text without its closing '\"'"},
        {"label = \"a\\q\"", "filter: column 11: unknown escape in text"},
        {"label = \"\\ud800\"", "filter: column 10: unknown escape in text"},
        {"(id = 1", "filter: column 8: expected 'and', 'or' or ')', found the end"},
        {"id = 1)", "filter: column 7: expected 'and', 'or' or the end, found ')'"},
        {"id = 1 id = 2", "filter: column 8: expected 'and', 'or' or the end, found 'id'"},
        {"id = 1 and", "filter: column 11: expected a name, 'not' or '(', found the end"},
        {"label = \"\u00e9\" \u202e", "filter: column 13: expected 'and', 'or' or the end, "
                                      "found '<U+202E>'"},
        {"3 < id", "filter: column 1: expected a name, 'not' or '(', found '3'"},
        {"id = -", "filter: column 6: expected a number, found '-'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        assert_null(filter_parse(cases[i].expression, columns, N_COLUMNS, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_string_equal(err.msg, cases[i].message);
    }
    struct err err = {0};
    assert_null(filter_parse("label ~ \"a(b\"", columns, N_COLUMNS, &err));
    assert_memory_equal(err.msg, "filter: column 9: regex: ", 25);

    struct str long_one = {0};
    for (int i = 0; i < FILTER_MAX_DEPTH + 1; i++)
        str_putc(&long_one, '(');
    str_puts(&long_one, "id = 1");
    assert_null(filter_parse(str_text(&long_one), columns, N_COLUMNS, &err));
    assert_non_null(strstr(err.msg, "nested too deeply"));
    for (int i = 0; i < FILTER_MAX_TEXT; i++)
        str_putc(&long_one, ' ');
    assert_null(filter_parse(str_text(&long_one), columns, N_COLUMNS, &err));
    assert_non_null(strstr(err.msg, "longer than"));
    str_finish(&long_one);
}

static void uses_only_what_is_named(void **state)
{
    (void)state;
    struct filter *f = filter_parse("density < max or token = \"x\"", columns, N_COLUMNS, NULL);
    static const bool want[N_COLUMNS] = {[DENSITY] = true, [MAX] = true, [TOKEN] = true};
    for (int i = 0; i < N_COLUMNS; i++)
        assert_int_equal(filter_uses(f, i), want[i]);
    filter_free(f);
    filter_free(NULL);
}

/* Text is asked for the rows only that the terms before it leave open. */
struct asked {
    bool row[2000];
};
static double row_number(void *ctx, int64_t row, int column)
{
    (void)ctx, (void)column;
    return (double)row;
}
static bool note_text(void *ctx, int64_t row, int column, int i, const char **out, size_t *len)
{
    (void)column;
    ((struct asked *)ctx)->row[row] = true;
    *out = "a";
    *len = 1;
    return i == 0;
}

static void short_circuit(void **state)
{
    (void)state;
    static const char *const expressions[] = {"id >= 1500 and label = \"a\"",
                                              "id < 1500 or label = \"a\"",
                                              "not id < 1500 and not label = \"b\""};
    for (size_t k = 0; k < 3; k++) {
        struct asked asked = {{false}};
        struct filter_rows r = {NULL, row_number, note_text, &asked};
        struct filter *f = filter_parse(expressions[k], columns, N_COLUMNS, NULL);
        uint32_t out[2000];
        assert_int_equal(filter_select(f, &r, 2000, out), k == 1 ? 2000 : 500);
        for (int i = 0; i < 2000; i++)
            assert_int_equal(asked.row[i], i >= 1500);
        filter_free(f);
    }
}

/* Arrays and callbacks give the same, over a size that is no multiple of the block. */
static void arrays_equal_callbacks(void **state)
{
    (void)state;
    enum { N = 3001 };
    static double density[N], max[N];
    static uint32_t fast[N], slow[N];
    static struct row t[N];
    srand(3);
    for (int i = 0; i < N; i++) {
        t[i].density = density[i] = rand() % 10 ? rand() % 100 / 100.0 : NAN;
        t[i].max = max[i] = rand() % 10 ? rand() % 7 : NAN;
    }
    const double *numbers[N_COLUMNS] = {NULL, density, max, NULL, NULL};
    struct filter_rows arrays = {numbers, number, text, t}, callbacks = {NULL, number, text, t};
    struct filter *f = filter_parse("density < 0.3 and (max >= 4 or not id > 1700) or max = 0 "
                                    "and density != 0.5", columns, N_COLUMNS, NULL);
    int64_t n = filter_select(f, &arrays, N, fast), k = 0;
    assert_int_equal(filter_select(f, &callbacks, N, slow), n);
    assert_memory_equal(fast, slow, (size_t)n * sizeof *fast);
    for (int i = 0; i < N; i++) {
        bool want = (density[i] < 0.3 && (max[i] >= 4 || !(i > 1700))) ||
                    (max[i] == 0 && (density[i] < 0.5 || density[i] > 0.5));
        assert_int_equal(k < n && fast[k] == (uint32_t)i, want);
        k += want;
    }
    assert_int_equal(k, n);
    filter_free(f);
}

/* Catastrophic backtracking ends at the limit and is counted. */
static bool long_text(void *ctx, int64_t row, int column, int i, const char **out, size_t *len)
{
    (void)ctx, (void)row, (void)column;
    static const char as[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    *out = as;
    *len = sizeof as - 1;
    return i == 0;
}

static void searches_are_bounded(void **state)
{
    (void)state;
    struct filter *f = filter_parse("label ~ \"^(a+)+$\"", columns, N_COLUMNS, NULL);
    struct filter_rows r = {NULL, number, long_text, (void *)table};
    for (int i = 0; i < FILTER_MAX_GIVEN_UP + 5; i++)
        assert_false(filter_eval(f, &r, 0));
    assert_int_equal(filter_given_up(f), FILTER_MAX_GIVEN_UP + 5);
    filter_free(f);
    f = filter_parse("label ~ \"a!$\"", columns, N_COLUMNS, NULL);
    assert_true(filter_eval(f, &r, 0));
    assert_int_equal(filter_given_up(f), 0);
    filter_free(f);
}

static void numbers_ignore_the_locale(void **state)
{
    (void)state;
    /* Where no such locale is installed the case is the same as the others. */
    setlocale(LC_ALL, "de_DE.UTF-8");
    assert_string_equal(selected("density < 0.01"), "14");
    setlocale(LC_ALL, "C");
}

static void mutations(void **state)
{
    (void)state;
    static const char seed[] = "density < 0.01 and (max > 3 or not label ~ \"k(i|n)+g\\\"\") "
                               "and token = \" \\u00e9\\n\" or id != 1e3";
    static const char bits[] = "()\"\\<>=!~ .e-+*?{}[]9xunoadr\xff\xc3\x01";
    srand(11);
    int parsed = 0;
    for (int round = 0; round < 20000; round++) {
        char s[sizeof seed];
        memcpy(s, seed, sizeof s);
        for (int k = rand() % 4; k >= 0; k--) {
            size_t at = (size_t)rand() % (sizeof s - 1);
            s[at] = bits[(size_t)rand() % (sizeof bits - 1)];
        }
        if (round % 5 == 0)
            s[rand() % (int)sizeof s] = 0;
        struct err err = {0};
        struct filter *f = filter_parse(s, columns, N_COLUMNS, &err);
        if (f) {
            uint32_t out[N_ROWS];
            assert_in_range(filter_select(f, &rows, N_ROWS, out), 0, N_ROWS);
            parsed++;
        } else {
            assert_int_equal(err.code, ERR_USAGE);
            assert_memory_equal(err.msg, "filter: column ", 15);
        }
        filter_free(f);
    }
    assert_in_range(parsed, 100, 19900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meanings),
        cmocka_unit_test(refusals),
        cmocka_unit_test(uses_only_what_is_named),
        cmocka_unit_test(short_circuit),
        cmocka_unit_test(arrays_equal_callbacks),
        cmocka_unit_test(searches_are_bounded),
        cmocka_unit_test(numbers_ignore_the_locale),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
