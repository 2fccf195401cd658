/* test_out.c - one traversal, three forms; what comes from files does no harm in any. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tui/out.h"

/* What is written, read back through a pipe: small enough to fit into one. */
static char *written(struct out *o)
{
    static char text[65536];
    int fds[2];
    struct err err = {0};
    assert_int_equal(pipe(fds), 0);
    assert_true(out_write(o, fds[1], &err));
    close(fds[1]);
    ssize_t n = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    assert_true(n >= 0);
    text[n] = 0;
    out_free(o);
    return text;
}

static struct out *make(enum out_form form, const char *table)
{
    return out_new(&(struct out_options){.form = form, .table = table});
}

static void traverse(struct out *o)
{
    static int64_t counts[] = {1, 0, 3};
    struct hist h = {.n = 3, .lo = 0, .hi = 1.5, .counts = counts};
    out_int(o, "id", 7);
    out_num(o, "mean", 0.1f);
    out_num(o, "std", NAN);
    out_text(o, "label", "a\tb\\c\n");
    out_begin(o, "index");
    out_text(o, "path", NULL);
    out_bool(o, "fresh", true);
    out_end(o);
    out_list(o, "wilson");
    out_num(o, NULL, 0.5);
    out_num(o, NULL, INFINITY);
    out_end(o);
    out_hist(o, "histogram", &h);
    out_rows(o, "top", "sequence,token,context.start,context.tokens,bytes");
    for (int i = 0; i < 2; i++) {
        out_begin(o, NULL);
        out_int(o, "sequence", i);
        out_text(o, "token", i ? " king" : "\xff");
        if (!i)
            out_text(o, "bytes", "ff");
        out_begin(o, "context");
        out_int(o, "start", 10 * i);
        out_list(o, "tokens");
        out_text(o, NULL, "x");
        out_text(o, NULL, "\"");
        out_end(o);
        out_end(o);
        out_rows(o, "inner", "id");
        out_end(o);
        out_end(o);
    }
    out_end(o);
}

static void json_holds_everything(void **state)
{
    (void)state;
    struct out *o = make(OUT_JSON, NULL);
    traverse(o);
    char *text = written(o);
    json_t *v = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(v);
    json_t *want = json_pack_ex(
        NULL, 0, "{s:i,s:f,s:n,s:s,s:{s:n,s:b},s:[f,n],s:{s:[f,f,f,f],s:[i,i,i]},"
        "s:[{s:i,s:s,s:s,s:{s:i,s:[s,s]},s:[]},{s:i,s:s,s:{s:i,s:[s,s]},s:[]}]}",
        "id", 7, "mean", 0.100000001, "std", "label", "a\tb\\c\n", "index", "path", "fresh",
        1, "wilson", 0.5, "histogram", "edges", 0.0, 0.5, 1.0, 1.5, "counts", 1, 0, 3, "top",
        "sequence", 0, "token", "\xef\xbf\xbd", "bytes", "ff", "context", "start", 0,
        "tokens", "x", "\"", "inner", "sequence", 1, "token", " king", "context", "start",
        10, "tokens", "x", "\"", "inner");
    assert_non_null(want);
    /* jansson tells 0 from 0.0: the edges are numbers to us */
    json_t *edges = json_object_get(json_object_get(v, "histogram"), "edges");
    for (size_t i = 0; i < json_array_size(edges); i++)
        json_array_set_new(edges, i, json_real(json_number_value(json_array_get(edges, i))));
    assert_true(json_equal(v, want));
    json_decref(v);
    json_decref(want);
}

static void json_strings_cannot_mislead(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"\x1b[31m", "\\u001b[31m"},
        {"\"\\\b\f\n\r\t\x7f", "\\\"\\\\\\b\\f\\n\\r\\t\\u007f"},
        {"\xe2\x80\xae" "x", "\\u202ex"},             /* right-to-left override */
        {"\xe2\x80\x8b", "\\u200b"},                   /* zero-width space */
        {"\xc2\x85", "\\u0085"},                       /* next line, a C1 control */
        {"\xe2\x80\xa8", "\\u2028"},                   /* line separator */
        {"\xf3\xa0\x81\x81", "\\udb40\\udc41"},        /* a tag: two surrogates */
        {"\xf0\x9f\x98\x80 \xc3\xa9", "\xf0\x9f\x98\x80 \xc3\xa9"},
        {"\xe2\x82", "\xef\xbf\xbd"},                  /* cut off: one U+FFFD */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct out *o = make(OUT_JSON, NULL);
        char want[256];
        out_text(o, "s", cases[i].bytes);
        snprintf(want, sizeof want, "{\n\"s\": \"%s\"}\n", cases[i].text);
        assert_string_equal(written(o), want);
    }
}

static void floats_round_trip(void **state)
{
    (void)state;
    static const float values[] = {0.1f, 1.17549435e-38f, 3.40282347e38f, 1 / 3.0f, 16777218};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct out *o = make(OUT_JSON, NULL);
        out_num(o, "v", values[i]);
        assert_true(strtof(strstr(written(o), ": ") + 2, NULL) == values[i]);
    }
}

static void tsv_prints_one_table(void **state)
{
    (void)state;
    static const struct {
        const char *table, *text;
    } cases[] = {
        {NULL, "id\tmean\tstd\tlabel\tindex.path\tindex.fresh\twilson\n"
               "7\t0.100000001\t\ta\\tb\\\\c\\n\t\ttrue\t[0.5,null]\n"},
        {"top", "feature\tsequence\ttoken\tcontext.start\tcontext.tokens\tbytes\n"
                "7\t0\t\xef\xbf\xbd\t0\t[\"x\",\"\\\\\"\"]\tff\n"
                "7\t1\t king\t10\t[\"x\",\"\\\\\"\"]\t\n"},
        {"histogram", "feature\tlow\thigh\tcount\n7\t0\t0.5\t1\n7\t0.5\t1\t0\n7\t1\t1.5\t3\n"},
        {"inner", "feature\tid\n"},
        {"nowhere", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct out *o = make(OUT_TSV, cases[i].table);
        traverse(o);
        assert_string_equal(written(o), cases[i].text);
    }
}

static void text_is_aligned_and_harmless(void **state)
{
    (void)state;
    struct out *o = make(OUT_TEXT, NULL);
    out_text(o, "label", "\x1b[2J\xe2\x80\xae");
    out_rows(o, "neighbours", "id,cosine");
    for (int i = 8; i < 11; i++) {
        out_begin(o, NULL);
        out_int(o, "id", i);
        out_num(o, "cosine", 0.5 * i);
        out_end(o);
    }
    out_end(o);
    assert_string_equal(written(o), "label                     \\x1b[2J<U+202E>\n"
                                    "\nneighbours\n"
                                    "  id  cosine\n"
                                    "   8       4\n"
                                    "   9     4.5\n"
                                    "  10       5\n");
}

static void charts_show_what_is_not_zero(void **state)
{
    (void)state;
    int64_t counts[] = {1, 0, 100000};
    struct hist h = {.n = 3, .lo = -1, .hi = 2, .counts = counts};
    struct out *o = out_new(&(struct out_options){.form = OUT_TEXT, .ascii = true});
    out_hist(o, "histogram", &h);
    char *text = written(o);
    assert_non_null(strstr(text, "    100000 |  #\n"));
    assert_non_null(strstr(text, "|. #\n"));
    assert_non_null(strstr(text, "+-0-\n"));
    for (; *text; text++)
        assert_true(*text == '\n' || (*text >= ' ' && *text < 0x7f));
}

static void a_closed_reader_is_an_error(void **state)
{
    (void)state;
    struct out *o = make(OUT_JSON, NULL);
    struct err err = {0};
    out_int(o, "id", 1);
    assert_false(out_write(o, -1, &err));
    assert_int_equal(err.code, ERR_OS);
    out_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_holds_everything),
        cmocka_unit_test(json_strings_cannot_mislead),
        cmocka_unit_test(floats_round_trip),
        cmocka_unit_test(tsv_prints_one_table),
        cmocka_unit_test(text_is_aligned_and_harmless),
        cmocka_unit_test(charts_show_what_is_not_zero),
        cmocka_unit_test(a_closed_reader_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
