/* Keys: from bytes to events, from names to keys, from keys to actions, from a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tui/config.h"
#include "tui/input.h"
#include "tui/keymap.h"

/* -- input ---------------------------------------------------------------------------------- */

static void sequences_become_keys(void **state)
{
    static const struct {
        const char *bytes;
        int32_t key;
    } cases[] = {
        {"k", 'k'}, {"\xc3\xa9", 0xe9}, {"\r", K_ENTER}, {"\n", K_ENTER}, {"\t", K_TAB},
        {"\x7f", K_BACKSPACE}, {"\b", K_BACKSPACE}, {"\x04", K_CTRL | 'd'},
        {"\x1a", K_CTRL | 'z'}, {"\033[A", K_UP}, {"\033OA", K_UP}, {"\033[D", K_LEFT},
        {"\033[1;3D", K_ALT | K_LEFT}, {"\033[1;5C", K_CTRL | K_RIGHT},
        {"\033[1;2A", K_SHIFT | K_UP}, {"\033[H", K_HOME}, {"\033[1~", K_HOME},
        {"\033[4~", K_END}, {"\033[8~", K_END}, {"\033[5~", K_PAGE_UP},
        {"\033[6~", K_PAGE_DOWN}, {"\033[3~", K_DELETE}, {"\033[Z", K_SHIFT | K_TAB},
        {"\033OP", K_F1}, {"\033[11~", K_F1}, {"\033[[A", K_F1}, {"\033[24~", K_F12},
        {"\033x", K_ALT | 'x'}, {"\0335", K_ALT | '5'}, {"\033\r", K_ALT | K_ENTER},
        {"\033[15;5~", K_CTRL | (K_F1 + 4)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct input in = {0};
        struct event e;
        size_t n = strlen(cases[i].bytes);
        for (size_t k = 1; k < n; k++) { /* never misread while it is coming in */
            size_t used = input_next(&in, cases[i].bytes, k, false, &e);
            assert_int_equal(used, 0);
        }
        assert_int_equal(input_next(&in, cases[i].bytes, n, false, &e), n);
        assert_int_equal(e.kind, EVENT_KEY);
        assert_int_equal(e.key, cases[i].key);
    }
}

static void a_lone_escape_is_a_key(void **state)
{
    struct input in = {0};
    struct event e;

    (void)state;
    assert_int_equal(input_next(&in, "\033", 1, false, &e), 0);
    assert_int_equal(input_next(&in, "\033", 1, true, &e), 1);
    assert_int_equal(e.key, K_ESC);
    assert_int_equal(input_next(&in, "\033\033[A", 4, false, &e), 1);
    assert_int_equal(e.key, K_ESC);
}

static void mouse_reports(void **state)
{
    static const struct {
        const char *bytes;
        struct mouse m;
    } cases[] = {
        {"\033[<0;5;3M", {MOUSE_PRESS, 2, 4, 1, 0}},
        {"\033[<0;5;3m", {MOUSE_RELEASE, 2, 4, 1, 0}},
        {"\033[<32;300;200M", {MOUSE_DRAG, 199, 299, 1, 0}},
        {"\033[<64;1;1M", {MOUSE_WHEEL, 0, 0, -1, 0}},
        {"\033[<65;1;1M", {MOUSE_WHEEL, 0, 0, 1, 0}},
        {"\033[<20;1;1M", {MOUSE_PRESS, 0, 0, 1, K_SHIFT | K_CTRL}},
    };
    struct input in = {0};
    struct event e;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].bytes);
        assert_int_equal(input_next(&in, cases[i].bytes, n, false, &e), n);
        assert_int_equal(e.kind, EVENT_MOUSE);
        assert_memory_equal(&e.mouse, &cases[i].m, sizeof e.mouse);
    }
    assert_int_equal(input_next(&in, "\033[<0;0;0M", 9, false, &e), 9);
    assert_int_equal(e.kind, EVENT_NONE);
}

static void pastes_are_marked(void **state)
{
    const char *s = "\033[200~a\r\xc3\xa9\033[201~b";
    struct input in = {0};
    struct event e;
    int32_t got[8];
    int n = 0;

    (void)state;
    for (size_t len = strlen(s), used; len > 0; s += used, len -= used) {
        used = input_next(&in, s, len, true, &e);
        assert_true(used > 0);
        if (e.kind == EVENT_PASTE)
            got[n++] = e.key;
    }
    assert_int_equal(n, 3);
    assert_int_equal(got[0], 'a');
    assert_int_equal(got[1], '\r');
    assert_int_equal(got[2], 0xe9);
    assert_int_equal(e.kind, EVENT_KEY);
}

static void any_bytes_end(void **state)
{
    unsigned seed = 3;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char s[16];
        struct input in = {0};
        struct event e;
        size_t at = 0;
        for (size_t i = 0; i < sizeof s; i++) {
            seed = seed * 1103515245 + 12345;
            s[i] = seed & 1 << 20 ? "\033[<;0123456789~MmOAZ"[(seed >> 16) % 21]
                                  : (char)(seed >> 16);
        }
        while (at < sizeof s) {
            size_t used = input_next(&in, s + at, sizeof s - at, true, &e);
            assert_true(used > 0 && at + used <= sizeof s);
            at += used;
        }
    }
}

static void key_names_come_back(void **state)
{
    static const char *const names[] = {"k", "G", "^D", "Up", "Alt-Left", "Shift-Tab", "Space",
                                        "Enter", "Esc", "Backspace", "F12", "#", "é", "<",
                                        "Alt-5", "Ctrl-Right", "PageDown", "^"};
    char buf[24];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int32_t key = key_parse(names[i], NULL);
        assert_int_not_equal(key, K_NONE);
        assert_string_equal(key_text(key, buf, sizeof buf), names[i]);
    }
    assert_int_equal(key_parse("Hash", NULL), '#');
    assert_int_equal(key_parse("kk", NULL), K_NONE);
    assert_int_equal(key_parse("", NULL), K_NONE);
    assert_int_equal(key_parse("\x01", NULL), K_NONE);
}

/* -- keymap --------------------------------------------------------------------------------- */

static enum action typed(const struct keymap *m, const char *keys, struct press *p)
{
    struct keymap_typed t = {0};
    bool pressed = false;

    while (*keys) {
        size_t used;
        int32_t key;
        keys += strspn(keys, " ");
        key = key_parse(keys, &used);
        keys += used;
        pressed = keymap_feed(m, &t, key, p);
    }
    return pressed ? p->action : ACT_NONE;
}

static void every_default_key_works(void **state)
{
    struct keymap m;

    (void)state;
    keymap_init(&m);
    for (int a = 1; a < ACT_COUNT; a++) {
        char word[16];
        const char *s = action_info[a].keys;
        assert_int_equal(action_find(action_info[a].name), a);
        for (int used; sscanf(s, "%15s%n", word, &used) == 1; s += used) {
            struct press p;
            if (a == ACT_MARK_SET || a == ACT_MARK_GO)
                strcat(word, "x");
            assert_int_equal(typed(&m, word, &p), a); /* none is taken twice */
            assert_int_equal(p.count, 1);
        }
    }
    keymap_finish(&m);
}

static void counts_letters_and_sequences(void **state)
{
    struct keymap m;
    struct press p;

    (void)state;
    keymap_init(&m);
    assert_int_equal(typed(&m, "Alt-1 2 j", &p), ACT_DOWN);
    assert_int_equal(p.count, 12);
    assert_true(p.counted);
    assert_int_equal(typed(&m, "2", &p), ACT_VIEW_2);
    assert_int_equal(typed(&m, "g g", &p), ACT_FIRST);
    assert_int_equal(typed(&m, "g x", &p), ACT_NONE);
    assert_int_equal(typed(&m, "m a", &p), ACT_MARK_SET);
    assert_int_equal(p.letter, 'a');
    assert_int_equal(typed(&m, "m Esc", &p), ACT_NONE);
    assert_int_equal(typed(&m, "Alt-9 9 9 9 9 9 9 9 9 9 9 9 9 9 j", &p), ACT_DOWN);
    assert_true(p.count > 0);
    keymap_finish(&m);
}

static void keys_can_be_bound_anew(void **state)
{
    struct keymap m;
    struct press p;
    char buf[64];

    (void)state;
    keymap_init(&m);
    assert_string_equal(keymap_text(&m, ACT_UP, false, buf, sizeof buf), "k, Up");
    assert_string_equal(keymap_text(&m, ACT_UP, true, buf, sizeof buf), "k");
    assert_true(keymap_bind(&m, "k", ACT_NONE));
    assert_true(keymap_bind(&m, "zz", ACT_UP));
    assert_string_equal(keymap_text(&m, ACT_UP, false, buf, sizeof buf), "Up, zz");
    assert_int_equal(typed(&m, "k", &p), ACT_NONE);
    assert_int_equal(typed(&m, "zz", &p), ACT_UP);
    assert_false(keymap_bind(&m, "", ACT_UP));
    assert_false(keymap_bind(&m, "abcde", ACT_UP));
    assert_string_equal(keymap_text(&m, ACT_UP, false, buf, 4), "Up,");
    keymap_finish(&m);
}

/* -- config --------------------------------------------------------------------------------- */

static void a_file_sets_keys_and_options(void **state)
{
    char path[] = "/tmp/saescope-config-XXXXXX";
    int fd = mkstemp(path);
    struct config c;
    struct press p;
    char want[128];

    (void)state;
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fputs("# keys\n\ngl = last\nHash = none\n= = sort\nAlt-x = quit\r\n"
          "theme = dark\nascii = on\n"
          "theme = beige\nfoo = bar\nqqqqqqq = up\nnothing\n", f);
    fclose(f);
    config_init(&c);
    assert_true(config_read(&c, path, NULL));
    assert_int_equal(typed(&c.keys, "gl", &p), ACT_LAST);
    assert_int_equal(typed(&c.keys, "gg", &p), ACT_FIRST);
    assert_int_equal(typed(&c.keys, "#", &p), ACT_NONE);
    assert_int_equal(typed(&c.keys, "=", &p), ACT_SORT);
    assert_int_equal(typed(&c.keys, "Alt-x", &p), ACT_QUIT);
    assert_string_equal(theme_name(c.theme), "dark");
    assert_true(c.ascii);
    assert_int_equal(c.n_warnings, 4);
    snprintf(want, sizeof want, "%s: warning: line 9: theme: bad value (found \"beige\"", path);
    assert_memory_equal(c.warnings[0], want, strlen(want));
    snprintf(want, sizeof want, "%s: warning: line 10: no such action", path);
    assert_memory_equal(c.warnings[1], want, strlen(want));
    config_finish(&c);
    unlink(path);
}

static void no_file_is_fine_unless_named(void **state)
{
    struct err err = {0};
    struct config c;

    (void)state;
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    config_init(&c);
    assert_true(config_read(&c, NULL, &err));
    assert_false(config_read(&c, "/nonexistent/config", &err));
    assert_int_equal(err.code, ERR_OS);
    config_finish(&c);
}

static void options_name_what_is_right(void **state)
{
    struct err err = {0};
    struct config c;

    (void)state;
    setenv("NO_COLOR", "1", 1);
    config_init(&c);
    assert_int_equal(c.colour, COLOUR_MONO);
    unsetenv("NO_COLOR");
    for (int i = 0; config_name(i); i++) {
        const char *name = config_name(i);
        for (const char *const *w = config_choices(name); *w; w++) {
            assert_true(config_set(&c, name, *w, &err));
            assert_string_equal(config_value(&c, name), *w);
        }
        assert_true(strlen(config_help(name)) > 0);
    }
    assert_false(config_set(&c, "color", "pink", &err));
    assert_string_equal(err.msg, "color: bad value (found \"pink\", expected one of auto, "
                                 "never, 16, 256, truecolor)");
    config_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_become_keys),
        cmocka_unit_test(a_lone_escape_is_a_key),
        cmocka_unit_test(mouse_reports),
        cmocka_unit_test(pastes_are_marked),
        cmocka_unit_test(any_bytes_end),
        cmocka_unit_test(key_names_come_back),
        cmocka_unit_test(every_default_key_works),
        cmocka_unit_test(counts_letters_and_sequences),
        cmocka_unit_test(keys_can_be_bound_anew),
        cmocka_unit_test(a_file_sets_keys_and_options),
        cmocka_unit_test(no_file_is_fine_unless_named),
        cmocka_unit_test(options_name_what_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
