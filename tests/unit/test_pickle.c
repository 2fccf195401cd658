/* test_pickle.c - every instruction, every error with its place, and pickles that bite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "io/pickle.h"
#include "files.h"

/* ---- the tree as text, as Python would show it */

static void show(const struct pickle_value *v, struct bytes *out);

static void show_children(const struct pickle_value *v, const char *open, const char *close,
                          struct bytes *out)
{
    put_text(out, open);
    size_t i = 0;
    for (const struct pickle_cell *c = v->first; c; c = c->next, i++) {
        put_text(out, i == 0 ? "" : v->kind == PICKLE_DICT && i % 2 ? ":" : ",");
        show(c->value, out);
    }
    assert_int_equal(i, v->n);
    put_text(out, close);
}

static void show_bytes(const char *prefix, const unsigned char *p, size_t n,
                       struct bytes *out)
{
    char text[8];
    put_text(out, prefix);
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%02x", p[i]);
        put_text(out, text);
    }
}

static void show(const struct pickle_value *v, struct bytes *out)
{
    char text[64];
    if (out->n > 500) {
        put_text(out, "...");
        return;
    }
    switch (v->kind) {
    case PICKLE_NONE: put_text(out, "None"); break;
    case PICKLE_BOOL: put_text(out, v->i ? "True" : "False"); break;
    case PICKLE_INT:
        snprintf(text, sizeof text, "%lld", (long long)v->i);
        put_text(out, text);
        break;
    case PICKLE_FLOAT:
        snprintf(text, sizeof text, "%.17g", v->f);
        put_text(out, text);
        break;
    case PICKLE_STR:
        assert_int_equal(v->text[v->n], 0);
        put_text(out, "'");
        put(out, v->text, v->n);
        put_text(out, "'");
        break;
    case PICKLE_BIGINT: show_bytes("0x", v->bytes, v->n, out); break;
    case PICKLE_BYTES: show_bytes("b", v->bytes, v->n, out); break;
    case PICKLE_TUPLE: show_children(v, "(", ")", out); break;
    case PICKLE_LIST: show_children(v, "[", "]", out); break;
    case PICKLE_DICT: show_children(v, "{", "}", out); break;
    case PICKLE_GLOBAL: put_text(out, v->text); break;
    case PICKLE_PERSISTENT: show_children(v, "<", ">", out); break;
    case PICKLE_OBJECT:
        assert_int_equal(v->n, PICKLE_PARTS);
        show_children(v, "call(", ")", out);
        break;
    }
}

#define P(s) (const unsigned char *)(s), sizeof(s) - 1

static const struct {
    const char *shows;
    const unsigned char *p;
    size_t n;
} good[] = {
    {"None", P("\x80\x02N.")},
    {"True", P("\x80\x05\x88.")},
    {"False", P("\x89.")},
    {"-1", P("J\xff\xff\xff\xff.")},
    {"2147483647", P("J\xff\xff\xff\x7f.")},
    {"255", P("K\xff.")},
    {"65535", P("M\xff\xff.")},
    {"0", P("\x8a\0.")},
    {"-128", P("\x8a\1\x80.")},
    {"128", P("\x8a\2\x80\0.")},
    {"-2", P("\x8b\1\0\0\0\xfe.")},
    {"-9223372036854775808", P("\x8a\x08\0\0\0\0\0\0\0\x80.")},
    {"0x6cfc9c46f9206aa85019", P("\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.")},
    {"-0.5", P("G\xbf\xe0\0\0\0\0\0\0.")},
    {"'ab'", P("U\2ab.")},
    {"'ab'", P("T\2\0\0\0ab.")},
    {"'ab'", P("X\2\0\0\0ab.")},
    {"'ab'", P("\x8c\2ab.")},
    {"'ab'", P("\x8d\2\0\0\0\0\0\0\0ab.")},
    {"b6162", P("C\2ab.")},
    {"b6162", P("B\2\0\0\0ab.")},
    {"b6162", P("\x8e\2\0\0\0\0\0\0\0ab.")},
    {"b6162", P("\x96\2\0\0\0\0\0\0\0ab.")},
    {"()", P(").")},
    {"(1)", P("K\1\x85.")},
    {"(1,2)", P("K\1K\2\x86.")},
    {"(1,2,3)", P("K\1K\2K\3\x87.")},
    {"(1,2,3,4)", P("(K\1K\2K\3K\4t.")},
    {"(4)", P("(K\4\x91.")},
    {"[]", P("].")},
    {"[1,2]", P("(K\1K\2l.")},
    {"[1]", P("]K\1a.")},
    {"[1,2,3]", P("](K\1K\2eK\3a.")},
    {"[7]", P("\x8f(K\7\x90.")},
    {"{}", P("}.")},
    {"{1:2}", P("(K\1K\2d.")},
    {"{1:2}", P("}K\1K\2s.")},
    {"{1:2,3:4}", P("}(K\1K\2K\3K\4u.")},
    {"1", P("K\1K\2" "0.")},
    {"1", P("K\1(0.")},          /* POP of a mark */
    {"1", P("K\1(K\2K\3" "1.")}, /* POP_MARK */
    {"(1,1)", P("K\1" "2\x86.")},
    {"(1,2,1,2)", P("(K\1q\0K\2r\xff\0\0\0h\0j\xff\0\0\0t.")},
    {"(8,9,8)", P("\x80\4\x95\x09\0\0\0\0\0\0\0(K\x08\x94K\x09\x94h\0t.")},
    {"os.system", P("cos\nsystem\n.")},
    {"a.b.C", P("\x8c\3a.b\x8c\1C\x93.")},
    {"<('storage',3)>", P("U\7storageK\3\x86Q.")},
    {"call(os.system,('true'),None,None)", P("cos\nsystem\nU\4true\x85R.")},
    {"call(m.C,(),{'x':1},None)", P("cm\nC\n)\x81}U\1xK\1sb.")},
    {"call(m.C,(1),None,None)", P("cm\nC\nK\1\x85}\x92.")},
    {"call(m.C,(1,2),None,None)", P("(cm\nC\nK\1K\2o.")},
    {"call(m.C,(1),None,None)", P("(K\1im\nC\n.")},
    {"call(m.C,(),None,[1,2])", P("cm\nC\n)R(K\1K\2e.")},
    {"call(m.C,(),None,{1:2})", P("cm\nC\n)RK\1K\2s.")},
    {"call(1,2,3,None)", P("K\1K\2RK\3b.")}, /* nothing is called, so nothing can fail */
    {"{}", P("ccollections\nOrderedDict\n)R.")},
    {"{1:2}", P("ccollections\nOrderedDict\n)RK\1K\2s}b.")}, /* _metadata is dropped */
    {"{1:2}", P("ccollections\nOrderedDict\n](K\1K\2\x86" "e\x85R.")},
    {"{1:2}", P("ccollections\nCounter\n}K\1K\2s\x85R.")},
    {"{5:6}", P("ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\5K\6s.")},
};

static void instructions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct pickle p = {0};
        struct err err = {0};
        struct bytes text = {0};
        if (!pickle_parse(&p, good[i].p, good[i].n, 0, &err))
            fail_msg("%zu %s: %s", i, good[i].shows, err.msg);
        assert_int_equal(p.size, good[i].n);
        show(p.root, &text);
        put(&text, "", 1);
        assert_string_equal((char *)text.p, good[i].shows);
        bytes_free(&text);
        pickle_free(&p);
    }
}

static void one_pickle_after_the_other(void **state)
{
    (void)state;
    struct pickle p = {0};
    assert_true(pickle_parse(&p, P("K\1.K\2."), 0, NULL));
    assert_int_equal(p.size, 3);
    assert_int_equal(p.root->i, 1);
    pickle_free(&p);
    pickle_free(&p);
}

static void persistent_ids_in_order(void **state)
{
    (void)state;
    struct pickle p = {0};
    assert_true(pickle_parse(&p, P("(K\1QK\2Qq\0K\3Qh\0t."), 0, NULL));
    int64_t i = 0;
    for (const struct pickle_cell *c = p.persistent; c; c = c->next)
        assert_int_equal(pickle_child(c->value, 0)->i, ++i);
    assert_int_equal(i, 3);
    assert_int_equal(pickle_child(p.root, 3)->at, 6); /* the instruction that made it */
    assert_null(pickle_child(p.root, 4));
    assert_null(pickle_child(pickle_child(pickle_child(p.root, 0), 0), 0));
    pickle_free(&p);
}

static void keys(void **state)
{
    (void)state;
    struct pickle p = {0};
    assert_true(pickle_parse(&p, P("}(U\1aK\1U\1bK\2U\1aK\3K\1K\4u."), 0, NULL));
    assert_int_equal(pickle_find(p.root, "a")->i, 3); /* the later one counts */
    assert_int_equal(pickle_find(p.root, "b")->i, 2);
    assert_null(pickle_find(p.root, "c"));
    assert_null(pickle_find(pickle_child(p.root, 0), "a"));
    assert_null(pickle_find(NULL, "a"));
    assert_false(pickle_is_global(NULL, "a"));
    pickle_free(&p);
}

static const struct {
    const char *says;
    uint64_t at; /* with 100 in front */
    const unsigned char *p;
    size_t n;
} bad[] = {
    {"found its end", 100, P("")},
    {"found its end", 102, P("\x80\2")},
    {"found its end", 103, P("J\0\0")},
    {"found its end", 105, P("X\3\0\0\0")},
    {"found its end", 108, P("X\xff\xff\xff\xff" "abc")},
    {"found its end", 109, P("\x8d\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"found its end", 109, P("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f")},
    {"found its end", 105, P("\x8b\xff\xff\xff\xff")},
    {"found its end", 103, P("cos")},
    {"found its end", 104, P("cos\n")},
    {"found its end", 105, P("G1234")},
    {"an empty stack", 100, P(".")},
    {"an empty stack", 101, P("(.")}, /* a mark is nothing */
    {"an empty stack", 102, P("K\1\x86.")},
    {"an empty stack", 102, P("K\1R.")},
    {"an empty stack", 105, P("K\1(0" "0" "0.")},
    {"an empty stack", 100, P("0.")},
    {"an empty stack", 100, P("q\0.")},
    {"an empty stack", 100, P("2.")},
    {"an empty stack", 100, P("Q.")},
    {"an empty stack", 100, P("b.")},
    {"an empty stack", 102, P("K\1b.")},
    {"an empty stack", 101, P("]a.")},
    {"an empty stack", 103, P("}K\1s.")},
    {"an empty stack", 101, P("(o.")},
    {"an empty stack", 103, P("(K\1e.")},
    {"an empty stack", 102, P("K\1\x93.")},
    {"no mark on the stack", 101, P("]e.")},
    {"no mark on the stack", 100, P("t.")},
    {"no mark on the stack", 100, P("1.")},
    {"no mark on the stack", 100, P("o.")},
    {"a key without a value", 104, P("}(K\1u.")},
    {"a key without a value", 103, P("(K\1d.")},
    {"items for what holds none", 104, P("K\1K\2a.")},
    {"items for what holds none", 103, P("}K\1a.")},
    {"items for what holds none", 105, P("]K\1K\2s.")},
    {"items for what holds none", 114, P("cm\nC\n)RK\1aK\1K\2s.")},
    {"memo number that was never put", 100, P("h\0.")},
    {"memo number that was never put", 104, P("K\1q\2h\1.")},
    {"memo number that was never put", 100, P("j\xff\xff\xff\xff.")},
    {"at byte 102 (found more memo numbers, expected at most 4194304)", 102, P("K\1r\xff\xff\xff\xff.")},
    {"at byte 102 (found more memo numbers, expected at most 4194304)", 102, P("K\1r\0\0\x40\0.")},
    {"a global whose name is no string", 104, P("K\1K\2\x93.")},
    {"instruction at byte 100 is not read (found 0x50", 0, P("Pid\n.")},
    {"instruction at byte 100 is not read (found 0x49", 0, P("I1\n.")},
    {"instruction at byte 102 is not read (found 0x00", 0, P("K\1\0.")},
    {"instruction at byte 100 is not read (found 0x82", 0, P("\x82\1.")},
    {"instruction at byte 102 is not read (found 0x97", 0, P("\x80\5\x97.")},
    {"protocol is not read (found 6, expected 2 to 5)", 0, P("\x80\6N.")},
};

static void errors_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pickle p = {0};
        struct err err = {0};
        if (pickle_parse(&p, bad[i].p, bad[i].n, 100, &err))
            fail_msg("%zu: expected '%s'", i, bad[i].says);
        if (!strstr(err.msg, bad[i].says) || err.offset != bad[i].at)
            fail_msg("%zu: found '%s', expected '%s' at byte %d", i, err.msg, bad[i].says,
                     (int)bad[i].at);
        assert_int_equal(err.code, bad[i].at ? ERR_FORMAT : ERR_UNSUPPORTED);
        pickle_free(&p);
    }
}

/* Every beginning of every good pickle ends early. */
static void truncations(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (size_t n = 0; n < good[i].n; n++) {
            struct pickle p = {0};
            struct err err = {0};
            assert_false(pickle_parse(&p, good[i].p, n, 0, &err));
            assert_int_equal(err.code, ERR_FORMAT);
            assert_int_equal(err.offset, n);
            pickle_free(&p);
        }
}

static void mutations(void **state)
{
    (void)state;
    struct bytes all = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        put(&all, good[i].p, good[i].n - 1);
    put_text(&all, ".");
    unsigned char *b = malloc(2 * all.n);
    uint64_t seed = 1;
    for (int i = 0; i < 3000; i++) {
        size_t n = mutate(all.p, all.n, b, &seed), from = next_random(&seed) % (n + 1);
        struct pickle p = {0};
        struct bytes text = {0};
        if (pickle_parse(&p, b + from, n - from, 0, NULL))
            show(p.root, &text);
        bytes_free(&text);
        pickle_free(&p);
    }
    free(b);
    bytes_free(&all);
}

/* ---- pickles made to exhaust */

/* `body` n times between `head` and `tail`: refused as too much, soon. */
static void assert_too_much(const char *head, size_t n_head, const char *body, size_t n_body,
                            size_t times, const char *says)
{
    struct bytes b = {0};
    struct pickle p = {0};
    struct err err = {0};
    struct timespec start, end;
    put(&b, head, n_head);
    for (size_t i = 0; i < times; i++)
        put(&b, body, n_body);
    put_text(&b, ".");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    assert_false(pickle_parse(&p, b.p, b.n, 0, &err));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    assert_int_equal(err.code, ERR_FORMAT);
    if (!strstr(err.msg, says))
        fail_msg("found '%s', expected '%s'", err.msg, says);
    assert_true(end.tv_sec - start.tv_sec <= 10); /* a sanitizer's time; 1 s without */
    pickle_free(&p);
    bytes_free(&b);
}

static void exhausting(void **state)
{
    (void)state;
    const size_t many = 1 << 24;
    assert_too_much("", 0, "N", 1, many, "values on the stack");
    assert_too_much("", 0, "(", 1, many, "marks");
    assert_too_much("", 0, "N0", 2, many, "bytes of memory");
    assert_too_much("", 0, "\x80\2", 2, 3 * many, "instructions");
    assert_too_much("]q\0", 3, "h\0a", 3, many, "bytes of memory");
    /* each list holds the last one's double: 10 lists of 10 would be 10^10 */
    assert_too_much("(Nl", 3, "2\x86", 2, many, "bytes of memory");
    /* copies of a dictionary */
    assert_too_much("ccollections\nCounter\nq\0}(K\1K\1K\2K\2K\3K\3K\4K\4uq\1" "0", 45,
                    "h\0h\1\x85R0", 7, many, "bytes of memory");
}

/* As deep as memory allows: nothing here recurses, and releasing does not either. */
static void deep(void **state)
{
    (void)state;
    struct bytes b = {0};
    struct pickle p = {0};
    put_text(&b, "N");
    for (int i = 0; i < 500000; i++)
        put_text(&b, "\x85");
    put_text(&b, ".");
    assert_true(pickle_parse(&p, b.p, b.n, 0, NULL));
    const struct pickle_value *v = p.root;
    int depth = 0;
    for (; v->kind == PICKLE_TUPLE; depth++)
        v = pickle_child(v, 0);
    assert_int_equal(depth, 500000);
    pickle_free(&p);
    bytes_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions),
        cmocka_unit_test(one_pickle_after_the_other),
        cmocka_unit_test(persistent_ids_in_order),
        cmocka_unit_test(keys),
        cmocka_unit_test(errors_with_their_place),
        cmocka_unit_test(truncations),
        cmocka_unit_test(mutations),
        cmocka_unit_test(exhausting),
        cmocka_unit_test(deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
