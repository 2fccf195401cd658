/* test_json.c - reading as Python writes it, typed access, and the walk without a tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/json.h"
#include "io/jscan.h"

static json_t *parse(const char *text)
{
    struct err err = {0};
    json_t *v = json_parse(text, strlen(text), JSON_LAST_WINS, &err);
    if (!v)
        print_error("%s\n", err.msg);
    return v;
}

static void pythons_words(void **state)
{
    (void)state;
    json_t *v = parse("{\"a\": NaN, \"b\": [Infinity, -Infinity, -1.5e3], \"c\": \"NaN \\\" Infinity\","
                      "\"d\": 1000000000000000019884624838656, \"e\": 9223372036854775807,"
                      "\"f\": -9223372036854775809, \"g\": \"x\\u0000y\"}");
    assert_non_null(v);
    assert_true(json_is_null(json_object_get(v, "a")));
    assert_true(json_is_null(json_array_get(json_object_get(v, "b"), 1)));
    assert_true(json_real_value(json_array_get(json_object_get(v, "b"), 2)) == -1500.0);
    assert_string_equal(json_string_value(json_object_get(v, "c")), "NaN \" Infinity");
    assert_true(json_real_value(json_object_get(v, "d")) == 1e30);
    assert_true(json_integer_value(json_object_get(v, "e")) == INT64_MAX);
    assert_true(json_real_value(json_object_get(v, "f")) == -9223372036854775808.0);
    assert_int_equal(json_string_length(json_object_get(v, "g")), 3);
    json_decref(v);
}

static void errors_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"", "line 1, column 1"},
        {"{\n \"a\": NaN,\n \"b\": Nan}", "line 3"},
        {"[1, 2", "line 1"},
        {"{\"a\": 1} x", "line 1"},
        {"[NaN, NaN, NaN, }", "line 1, column 18"},
        {"nothing", "line 1"},
        {"\"text\"", "line 1"},
        {"[\"\xff\"]", "line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        assert_null(json_parse(cases[i].text, strlen(cases[i].text), JSON_LAST_WINS, &err));
        assert_int_equal(err.code, ERR_FORMAT);
        if (!strstr(err.msg, cases[i].where))
            fail_msg("'%s': %s", cases[i].text, err.msg);
        assert_null(strchr(err.msg, '\n'));
    }
}

static void depth_and_duplicates(void **state)
{
    (void)state;
    struct err err = {0};
    char deep[2 * JSON_MAX_DEPTH + 8];
    for (int extra = 0; extra < 2; extra++) {
        int n = JSON_MAX_DEPTH + extra;
        memset(deep, '[', (size_t)n);
        memset(deep + n, ']', (size_t)n);
        json_t *v = json_parse(deep, 2 * (size_t)n, JSON_LAST_WINS, &err);
        assert_int_equal(v != NULL, extra == 0);
        json_decref(v);
    }
    assert_non_null(strstr(err.msg, "expected less nesting"));
    assert_int_equal(err.offset, JSON_MAX_DEPTH + 1);

    const char *twice = "{\"a\": 1, \"a\": 2}";
    assert_null(json_parse(twice, strlen(twice), JSON_DUPLICATES_REFUSED, &err));
    assert_non_null(strstr(err.msg, "uplicate"));
    json_t *v = parse(twice);
    assert_int_equal(json_integer_value(json_object_get(v, "a")), 2);
    json_decref(v);
}

static void files(void **state)
{
    (void)state;
    struct err err = {0};
    char path[] = "json_test_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"d_in\": 3}", 11), 11);
    json_t *v = json_load_path(path, 11, JSON_LAST_WINS, &err);
    assert_int_equal(json_integer_value(json_object_get(v, "d_in")), 3);
    json_decref(v);
    assert_null(json_load_path(path, 10, JSON_LAST_WINS, &err));
    assert_memory_equal(err.msg, path, strlen(path));
    assert_int_equal(write(fd, "x", 1), 1);
    assert_null(json_load_path(path, 100, JSON_LAST_WINS, &err));
    assert_memory_equal(err.msg, path, strlen(path));
    assert_int_equal(err.code, ERR_FORMAT);
    close(fd);
    unlink(path);
    assert_null(json_load_path(path, 100, JSON_LAST_WINS, &err));
    assert_int_equal(err.code, ERR_OS);
    assert_null(json_load_path(".", 100, JSON_LAST_WINS, &err));
    assert_int_equal(err.code, ERR_FORMAT);
}

static void getters(void **state)
{
    (void)state;
    struct err err = {0};
    json_t *v = parse("{\"s\": \"x\", \"i\": 7, \"whole\": 768.0, \"d\": 0.5, \"t\": true,"
                      "\"null\": null, \"nan\": NaN, \"nul\": \"a\\u0000\", \"list\": [1]}");
    const char *s = "default";
    int64_t i = -1;
    double d = -1;
    bool b = false;
    assert_true(json_get_string(v, "absent", &s, &err) && json_get_string(v, "null", &s, &err));
    assert_string_equal(s, "default");
    assert_true(json_get_string(v, "s", &s, &err));
    assert_string_equal(s, "x");
    assert_true(json_get_int(v, "i", &i, &err));
    assert_int_equal(i, 7);
    assert_true(json_get_int(v, "whole", &i, &err));
    assert_int_equal(i, 768);
    assert_true(json_get_double(v, "nan", &d, &err));
    assert_true(d == -1);
    assert_true(json_get_double(v, "d", &d, &err));
    assert_true(d == 0.5);
    assert_true(json_get_double(v, "i", &d, &err));
    assert_true(d == 7);
    assert_true(json_get_bool(v, "t", &b, &err));
    assert_true(b);

    assert_false(json_get_int(v, "d", &i, &err));
    assert_string_equal(err.msg, "bad 'd' (found 0.5, expected an integer)");
    assert_int_equal(i, 768);
    assert_false(json_get_string(v, "list", &s, &err));
    assert_string_equal(err.msg, "bad 'list' (found [1], expected a string)");
    assert_false(json_get_string(v, "nul", &s, &err));
    assert_false(json_get_bool(v, "i", &b, &err));
    assert_false(json_get_double(v, "s", &d, &err));
    json_decref(v);
}

static void brief(void **state)
{
    (void)state;
    char buf[12];
    json_t *v = parse("[\"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\"]");
    assert_string_equal(json_brief(v, buf, sizeof buf), "[\"\u00e9\u00e9\u00e9...");
    assert_string_equal(json_brief(NULL, buf, sizeof buf), "nothing");
    json_decref(v);
}

static void scan_walks(void **state)
{
    (void)state;
    const char *text = " {\"skip\": {\"a\": [1, \"]}\", {}], \"b\": NaN}, \"k\\u00e9y\" : -12,"
                       "\"s\":\"\\ud83d\\ude00\\n\\\\\"}  ";
    struct jscan js;
    struct err err = {0};
    struct str key = {0}, s = {0};
    int64_t i = 0;
    bool first = true;
    jscan_init(&js, text, strlen(text));
    assert_true(jscan_enter(&js, '{', &err));
    assert_int_equal(jscan_next(&js, '}', &first, &err), 1);
    assert_true(jscan_key(&js, &key, &err) && jscan_skip(&js, &err));
    assert_int_equal(jscan_next(&js, '}', &first, &err), 1);
    assert_true(jscan_key(&js, &key, &err));
    assert_string_equal(str_text(&key), "k\u00e9y");
    assert_true(jscan_int(&js, &i, &err));
    assert_int_equal(i, -12);
    assert_int_equal(jscan_next(&js, '}', &first, &err), 1);
    assert_true(jscan_key(&js, &key, &err) && jscan_string(&js, &s, &err));
    assert_string_equal(str_text(&s), "\U0001f600\n\\");
    assert_int_equal(jscan_next(&js, '}', &first, &err), 0);
    assert_true(jscan_finish(&js, &err));
    str_finish(&key);
    str_finish(&s);
}

static void scan_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t offset;
    } strings[] = {
        {"x", 0}, {"", 0}, {"\"abc", 4}, {"\"a\nb\"", 2}, {"\"\\x\"", 3}, {"\"\\u12g4\"", 5},
        {"\"\\ud800\"", 7}, {"\"\\udc00\"", 7}, {"\"\\ud800\\u0041\"", 13}, {"\"\xff\"", 1},
        {"\"\\", 1},
    };
    static const char *const skipped[] = {"", "[", "[}", "]", "{\"a\": \"", "[[1]"};
    static const char *const ints[] = {"", "-", "1.5", "1e3", "x", "9223372036854775808"};
    struct jscan js;
    struct str s = {0};
    int64_t i;
    for (size_t k = 0; k < sizeof strings / sizeof *strings; k++) {
        struct err err = {0};
        jscan_init(&js, strings[k].text, strlen(strings[k].text));
        assert_false(jscan_string(&js, &s, &err));
        assert_int_equal(err.code, ERR_FORMAT);
        assert_int_equal(err.offset, strings[k].offset);
    }
    for (size_t k = 0; k < sizeof skipped / sizeof *skipped; k++) {
        jscan_init(&js, skipped[k], strlen(skipped[k]));
        assert_false(jscan_skip(&js, NULL));
    }
    for (size_t k = 0; k < sizeof ints / sizeof *ints; k++) {
        jscan_init(&js, ints[k], strlen(ints[k]));
        assert_false(jscan_int(&js, &i, NULL));
    }
    char deep[JSCAN_MAX_DEPTH + 1];
    memset(deep, '[', sizeof deep);
    jscan_init(&js, deep, sizeof deep);
    assert_false(jscan_skip(&js, NULL));
    str_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pythons_words),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(depth_and_duplicates),
        cmocka_unit_test(files),
        cmocka_unit_test(getters),
        cmocka_unit_test(brief),
        cmocka_unit_test(scan_walks),
        cmocka_unit_test(scan_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
