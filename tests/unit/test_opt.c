/* test_opt.c - the words of the command line: what is read, what is refused, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tui/opt.h"

static int count(char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    return n;
}

static bool parse(struct opts *o, char **words, unsigned groups, struct err *err)
{
    opt_init(o);
    return opt_parse(o, count(words), words, groups, "features", err);
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void values_are_read_in_every_spelling(void **state)
{
    (void)state;
    struct opts o;
    struct err err = {0};
    char **words = WORDS((char *)"a.npy", (char *)"--acts=x=y", (char *)"-ssae",
                         (char *)"-s", (char *)"two", (char *)"-qj2", (char *)"--memory",
                         (char *)"1G", (char *)"--skip-tokens=0,5", (char *)"--sort",
                         (char *)"-density", (char *)"--", (char *)"--json");
    assert_true(parse(&o, words, OPT_TABLE, &err));
    assert_int_equal(o.n_words, 2);
    assert_string_equal(o.words[0], "a.npy");
    assert_string_equal(o.words[1], "--json");
    assert_false(o.json);
    assert_int_equal(o.session.n_acts, 1);
    assert_string_equal(o.session.acts[0], "x=y");
    assert_int_equal(o.session.n_saes, 2);
    assert_string_equal(o.session.saes[0], "sae");
    assert_string_equal(o.session.saes[1], "two");
    assert_true(o.quiet);
    assert_int_equal(o.session.threads, 2);
    assert_int_equal(o.session.memory, 1u << 30);
    assert_int_equal(o.session.n_skip_tokens, 2);
    assert_int_equal(o.session.skip_tokens[1], 5);
    assert_string_equal(o.sort, "-density");
    assert_int_equal(o.limit, -1);
    opt_finish(&o);
}

static void negative_numbers_are_words(void **state)
{
    (void)state;
    struct opts o;
    struct err err = {0};
    assert_true(parse(&o, WORDS((char *)"p", (char *)"-1", (char *)"--range", (char *)"-2,1e1"),
                      OPT_HIST, &err));
    assert_int_equal(o.n_words, 2);
    assert_string_equal(o.words[1], "-1");
    assert_true(o.range.given);
    assert_true(o.range.lo == -2 && o.range.hi == 10);
    opt_finish(&o);
}

static void fold_says_three_things(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        int fold;
    } cases[] = {
        {"--quick", 0}, {"--fold-decoder-norms=on", 1}, {"--fold-decoder-norms=off", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct opts o;
        struct err err = {0};
        assert_true(parse(&o, WORDS((char *)cases[i].word), 0, &err));
        assert_int_equal(o.session.sae.fold, cases[i].fold);
        opt_finish(&o);
    }
}

static void bad_words_are_refused_with_a_hint(void **state)
{
    (void)state;
    static const struct {
        const char *words[3], *message;
    } cases[] = {
        {{"--jsn"}, "--jsn: unknown option (did you mean --json?)"},
        {{"--xylophone=3"}, "--xylophone: unknown option (see saescope --help)"},
        {{"-Z"}, "-Z: unknown option (see saescope --help)"},
        {{"-"}, NULL},
        {{"--of", "max"}, "--of: not an option of features (see saescope features --help)"},
        {{"--json=1"}, "--json: takes no argument (found '1')"},
        {{"--acts"}, "--acts: needs an argument (expected FILE|GLOB)"},
        {{"--limit", "-1"}, "--limit: found '-1', expected a whole number"},
        {{"--limit", "1e3"}, "--limit: found '1e3', expected a whole number"},
        {{"--limit", ""}, "--limit: found '', expected a whole number"},
        {{"--seq-len", "0"}, "--seq-len: found '0', expected a whole number above 0"},
        {{"--memory", "12X"}, "--memory: found '12X', expected a size such as 384M or 1.5G"},
        {{"--memory", "0"}, "--memory: found '0', expected a size such as 384M or 1.5G"},
        {{"--memory=99999999999G"},
         "--memory: found '99999999999G', expected a size such as 384M or 1.5G"},
        {{"--memory", "1.5"}, "--memory: found '1.5', expected a size such as 384M or 1.5G"},
        {{"--memory", "1.G"}, "--memory: found '1.G', expected a size such as 384M or 1.5G"},
        {{"--memory", "0.5k"}, NULL},
        {{"--hook", "zz"},
         "--hook: found 'zz', expected a hook such as blocks.2.hook_resid_pre"},
        {{"--hook", "blocks.x.hook_resid_pre"},
         "--hook: found 'blocks.x.hook_resid_pre', expected a hook such as "
         "blocks.2.hook_resid_pre"},
        {{"--hook", "blocks.2.hook_"},
         "--hook: found 'blocks.2.hook_', expected a hook such as blocks.2.hook_resid_pre"},
        {{"--hook", "blocks.12.ln2.hook_normalized"}, NULL},
        {{"--theme", "zz"}, "--theme: found 'zz', expected default|light|dark|mono|contrast"},
        {{"--skip-tokens", "1,,2"},
         "--skip-tokens: found '1,,2', expected token ids such as 0,1"},
        {{"--skip-tokens", "1,"}, "--skip-tokens: found '1,', expected token ids such as 0,1"},
        {{"--color", "blue"},
         "--color: found 'blue', expected auto|always|never|16|256|truecolor"},
        {{"--json", "--tsv"}, "--tsv: not together with --json"},
        {{"--table", "top"}, "--table: only together with --tsv"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct opts o;
        struct err err = {0};
        bool ok = parse(&o, (char **)cases[i].words, OPT_TABLE, &err);
        opt_finish(&o);
        assert_int_equal(ok, cases[i].message == NULL);
        if (ok)
            continue;
        assert_string_equal(err.msg, cases[i].message);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

static void ranges_need_order(void **state)
{
    (void)state;
    static const char *const bad[] = {"1", "1,", ",1", "2,1", "1,1", "nan,1", "0,inf", "0,1x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct opts o;
        struct err err = {0};
        assert_false(parse(&o, WORDS((char *)"--range", (char *)bad[i]), OPT_HIST, &err));
        assert_int_equal(err.code, ERR_USAGE);
        opt_finish(&o);
    }
}

static void numbers_of_features(void **state)
{
    (void)state;
    struct opt_ids ids = {0};
    struct err err = {0};
    assert_true(opt_ids_parse(&ids, "3", &err));
    assert_true(opt_ids_parse(&ids, "5,10-12", &err));
    assert_true(opt_ids_parse(&ids, "-4", &err));
    assert_true(opt_ids_parse(&ids, "99999999999999999999", &err));
    assert_int_equal(ids.n_spans, 5);
    assert_int_equal(ids.spans[2].first, 10);
    assert_int_equal(ids.spans[2].last, 12);
    assert_int_equal(ids.spans[3].first, -4);
    assert_true(ids.spans[4].first == INT64_MAX);
    static const char *const bad[] = {"", "x", "1x", "3-", "5-2", "1,,2", "1.5", "0x3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(opt_ids_parse(&ids, bad[i], &err));
    assert_int_equal(ids.n_spans, 5);
    opt_ids_finish(&ids);
}

static void the_command_is_the_first_word(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        int at;
    } cases[] = {
        {{"scan", "x"}, 0},
        {{"--acts", "scan", "info"}, 2},
        {{"--acts=scan", "info"}, 1},
        {{"-s", "scan", "-q", "info"}, 3},
        {{"-sscan", "info"}, 1},
        {{"-qs", "scan", "info"}, 2},
        {{"--", "scan"}, 2}, /* a PATH, whatever it is called: no command */
        {{"-q"}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n = count((char *const *)cases[i].words);
        assert_int_equal(opt_first_word(n, (char *const *)cases[i].words), cases[i].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_in_every_spelling),
        cmocka_unit_test(negative_numbers_are_words),
        cmocka_unit_test(fold_says_three_things),
        cmocka_unit_test(bad_words_are_refused_with_a_hint),
        cmocka_unit_test(ranges_need_order),
        cmocka_unit_test(numbers_of_features),
        cmocka_unit_test(the_command_is_the_first_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
