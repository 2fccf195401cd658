/* test_err.c - messages stay one harmless line and lose their middle, not their ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/err.h"
#include "io/str.h"

static void message_is_one_line(void **state)
{
    (void)state;
    struct err err = {0};
    assert_false(err_set(&err, ERR_FORMAT, "found '%s'", "a\nb\033[2Jc"));
    assert_string_equal(err.msg, "found 'a\\nb\\x1b[2Jc'");
    assert_int_equal(err.code, ERR_FORMAT);
    err_set(&err, ERR_FORMAT, "'%s'", "\u202e\u200b\xff");
    assert_string_equal(err.msg, "'<U+202E><U+200B>\ufffd'");
    err_wrap(&err, "%s", "\x1b");
    err_path(&err, "a\nb\xff");
    err_path(&err, "a\nb\xff");
    assert_string_equal(err.msg, "a\\nb\ufffd: \\x1b: '<U+202E><U+200B>\ufffd'");
}

static void offset_is_kept_and_named(void **state)
{
    (void)state;
    struct err err = {0};
    err_format(&err, 17, "bad magic");
    assert_int_equal(err.offset, 17);
    assert_string_equal(err.msg, "bad magic at byte 17");
    err_path(&err, "x.npy");
    err_path(&err, "x.npy");
    assert_string_equal(err.msg, "x.npy: bad magic at byte 17");
    assert_int_equal(err.offset, 17);
    assert_false(err_format(&err, 9, "'a (b)' ends early (found 0 bytes (%s), expected 3)", "z"));
    assert_string_equal(err.msg,
                        "'a (b)' ends early at byte 9 (found 0 bytes (z), expected 3)");
    assert_false(err_format(&err, 9, "bad header (expected '{')"));
    assert_string_equal(err.msg, "bad header at byte 9 (expected '{')");
}

/* The middle goes: a name that is too long, between whole characters. */
static void long_messages_keep_both_ends(void **state)
{
    (void)state;
    enum { N = 700 };
    char name[3 * N + 4];
    for (int shift = 0; shift < 3; shift++) {
        memset(name, 'x', (size_t)shift);
        for (int i = 0; i < N; i++)
            memcpy(name + shift + 3 * i, "\u4e2d", 4);
        struct err err = {0};
        err_format(&err, 7, "tensor '%s': bad (found 1, expected 2)", name);
        err_path(&err, name);
        size_t len = strlen(err.msg);
        assert_true(len > sizeof err.msg - 8 && len < sizeof err.msg);
        assert_memory_equal(err.msg, name, 300);
        static const char end[] = "\u4e2d': bad at byte 7 (found 1, expected 2)";
        assert_string_equal(err.msg + len - strlen(end), end);
        struct str text = {0};
        assert_true(str_utf8(&text, err.msg, len));
        assert_non_null(strstr(err.msg, "\u4e2d..."));
        str_finish(&text);
    }
}

static void long_context_keeps_its_beginning(void **state)
{
    (void)state;
    struct err err = {0};
    char big[3000];
    memset(big, 'p', sizeof big - 1);
    big[sizeof big - 1] = 0;
    err_set(&err, ERR_MISSING, "%s", big);
    err_wrap(&err, "here");
    assert_memory_equal(err.msg, "here: ppp", 9);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void null_is_allowed(void **state)
{
    (void)state;
    assert_false(err_set(NULL, ERR_OS, "x"));
    assert_false(err_wrap(NULL, "x"));
    assert_false(err_path(NULL, "x"));
    assert_false(err_os(NULL, 2, "x", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_one_line),
        cmocka_unit_test(offset_is_kept_and_named),
        cmocka_unit_test(long_messages_keep_both_ends),
        cmocka_unit_test(long_context_keeps_its_beginning),
        cmocka_unit_test(null_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
