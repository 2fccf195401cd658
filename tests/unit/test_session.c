/* test_session.c - from options to what is open, and whose index belongs to what. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/session.h"
#include "arrays.h"

#define D 4
#define F 8

static float W_enc[D * F], W_dec[F * D], b_enc[F], b_dec[D], acts[6 * 5 * D];

static void put_checkpoint(const char *name, int64_t d_in)
{
    char inner[200];
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {d_in, F}, W_enc},
                        {"W_dec", DTYPE_F32, 2, {F, d_in}, W_dec},
                        {"b_enc", DTYPE_F32, 1, {F}, b_enc},
                        {"b_dec", DTYPE_F32, 1, {d_in}, b_dec}};
    make_dir(name);
    snprintf(inner, sizeof inner, "%s/sae_weights.safetensors", name);
    write_safetensors(inner, a, 4);
    snprintf(inner, sizeof inner, "%s/cfg.json", name);
    write_text(inner, "{\"hook_name\":\"blocks.0.hook_mlp_out\"}");
}

static void put_acts(const char *name)
{
    struct array a = {"", DTYPE_F32, 3, {6, 5, D}, acts};
    write_npy(name, &a);
}

static int setup(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", test_path("cache"), 1);
    setenv("XDG_STATE_HOME", test_path("state"), 1);
    fill_random(W_enc, D * F, 1);
    fill_random(W_dec, F * D, 2);
    fill_random(b_enc, F, 3);
    fill_random(b_dec, D, 4);
    fill_random(acts, 6 * 5 * D, 5);
    float ids[30];
    for (int i = 0; i < 30; i++)
        ids[i] = (float)(i % 7);
    struct array tokens = {"", DTYPE_I32, 2, {6, 5}, ids};
    make_dir("b");
    make_dir("b/saes");
    make_dir("b/saes/run");
    put_checkpoint("b/saes/relu", D);
    put_checkpoint("b/saes/run/step_1", D);
    put_checkpoint("b/saes/run/step_2", D);
    put_checkpoint("narrow", D - 1);
    put_checkpoint("other", D);
    put_acts("b/acts.npy");
    write_npy("b/tokens.npy", &tokens);
    write_text("b/tokenizer.json", "{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4}");
    return 0;
}

/* A session of a bundle and words of --sae. */
static struct session *open_named(const char *a, const char *b, struct err *err)
{
    static char path[256];
    static const char *paths[1], *words[2];
    strcpy(path, test_path("b"));
    paths[0] = path;
    words[0] = a;
    words[1] = b;
    struct session_options o = {.paths = paths, .n_paths = 1, .saes = words,
                                .n_saes = (a != NULL) + (b != NULL), .threads = 1};
    return session_open(&o, NULL, err);
}

static void names_choose_saes(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *chosen[2];
    } cases[] = {
        {NULL, NULL, {"relu", NULL}},
        {"step_2", NULL, {"run/step_2", NULL}},
        {"run/step_1", "relu", {"run/step_1", "relu"}},
        {"PATH", "relu", {"other", "relu"}},
        {"SAME", NULL, {"run/step_1", NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char other[256], same[256];
        strcpy(other, test_path("other"));
        strcpy(same, test_path("b/saes/run/../run/step_1"));
        const char *a = cases[i].a && !strcmp(cases[i].a, "PATH")   ? other
                        : cases[i].a && !strcmp(cases[i].a, "SAME") ? same
                                                                    : cases[i].a;
        struct err err = {0};
        struct session *s = open_named(a, cases[i].b, &err);
        if (!s)
            fail_msg("%s", err.msg);
        int n = 1 + (cases[i].chosen[1] != NULL);
        assert_int_equal(s->n_chosen, n);
        for (int c = 0; c < n; c++) {
            const struct session_sae *e = &s->saes[s->chosen[c]];
            assert_string_equal(e->name, cases[i].chosen[c]);
            assert_non_null(e->sae);
            assert_true(e->id != 0 && e->id == sae_id(e->sae));
        }
        assert_int_equal(s->n_saes, 3 + (a == other));
        assert_string_equal(session_hook(s, 0) ? session_hook(s, 0) : "",
                            s->saes[0].sae ? "blocks.0.hook_mlp_out" : "");
        session_close(s);
    }
    struct err err = {0};
    assert_null(open_named("nobody", NULL, &err));
    assert_string_equal(err.msg, "nobody: no such SAE (found relu, run/step_1, run/step_2, "
                                 "expected one of them or a path)");
    assert_null(open_named("step", NULL, &err));
    struct session_options none = {0};
    assert_null(session_open(&none, NULL, &err));
    assert_int_equal(err.code, ERR_USAGE);
}

static void what_does_not_fit_names_both_files(void **state)
{
    (void)state;
    char narrow[256], want[900];
    struct err err = {0};
    strcpy(narrow, test_path("narrow"));
    assert_null(open_named(narrow, NULL, &err));
    assert_int_equal(err.code, ERR_SHAPE);
    snprintf(want, sizeof want, "%s: W_enc does not fit the samples in %s (found [3, 8] and "
             "[6, 5, 4], expected samples of d_in = 3)", narrow, test_path("b/acts.npy"));
    assert_string_equal(err.msg, want);
}

static void unknown_ids_are_one_warning(void **state)
{
    (void)state;
    struct session *s = open_named(NULL, NULL, NULL);
    assert_non_null(s);
    char want[900];
    snprintf(want, sizeof want, "%s: warning: 8 token ids are not in the tokenizer %s, the "
             "first is 5", test_path("b/tokens.npy"), test_path("b/tokenizer.json"));
    assert_int_equal(s->n_warnings, 1);
    assert_string_equal(s->warnings[0], want);
    assert_int_equal(s->samples->n_seq, 6);
    session_close(s);
}

/* Every option that changes a number gives another key and another file. */
static void options_have_their_own_index(void **state)
{
    (void)state;
    static const int64_t skip[] = {3};
    struct session_options variants[] = {
        {.threads = 1},       {.seq_len = 5, .skip_first = 1}, {.sequences = 2},
        {.tokens_limit = 11}, {.skip_tokens = skip, .n_skip_tokens = 1},
        {.sae = {.fold = 1}},
    };
    enum { N = sizeof variants / sizeof *variants };
    char *keys[N], *files[N], path[256];
    const char *paths[] = {path};
    strcpy(path, test_path("b"));
    for (int i = 0; i < N; i++) {
        variants[i].paths = paths;
        variants[i].n_paths = 1;
        struct session *s = session_open(&variants[i], NULL, NULL);
        assert_non_null(s);
        keys[i] = session_index_key(s, 0, NULL);
        files[i] = session_index_path(s, 0, NULL);
        assert_non_null(keys[i]);
        assert_memory_equal(files[i], test_path("cache/"), strlen(test_path("cache/")));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(keys[i], keys[j]);
            assert_string_not_equal(files[i], files[j]);
        }
        session_close(s);
    }
    for (int i = 0; i < N; i++) {
        free(keys[i]);
        free(files[i]);
    }
}

static void an_index_is_made_once_and_again_when_inputs_change(void **state)
{
    (void)state;
    struct err err = {0};
    struct session *s = open_named(NULL, NULL, &err);
    assert_non_null(s);
    assert_false(session_open_index(s, 0));
    if (!session_need_index(s, 0, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    const struct scan_totals *totals = index_totals(s->saes[0].index);
    assert_int_equal(totals->tokens, 30);
    session_close(s);

    s = open_named(NULL, NULL, &err);
    int warned = s->n_warnings;
    assert_true(session_open_index(s, 0));
    assert_int_equal(s->n_warnings, warned);
    assert_false(session_open_index(s, 1)); /* not loaded */
    session_close(s);

    acts[17] += 1;
    put_acts("b/acts.npy");
    s = open_named(NULL, NULL, &err);
    assert_false(session_open_index(s, 0));
    assert_int_equal(s->n_warnings, warned + 1);
    assert_non_null(strstr(s->warnings[warned], "the index is of other inputs"));
    assert_true(session_need_index(s, 0, NULL, NULL, &err));
    char *index = session_index_path(s, 0, NULL);
    session_close(s);

    assert_int_equal(truncate(index, 300), 0);
    s = open_named(NULL, NULL, &err);
    assert_false(session_open_index(s, 0));
    assert_non_null(strstr(s->warnings[warned], "warning: the index is not used"));
    assert_true(session_need_index(s, 0, NULL, NULL, &err));
    assert_true(session_open_index(s, 0));
    free(index);
    session_close(s);
}

/* Weights that an index says to be finite are not looked at again; others are. */
static void an_index_spares_the_look_for_nan(void **state)
{
    (void)state;
    struct err err = {0};
    struct session *s = open_named(NULL, NULL, &err);
    assert_true(session_need_index(s, 0, NULL, NULL, &err));
    assert_int_equal(index_totals(s->saes[0].index)->finite_weights, 1);
    session_close(s);

    s = open_named(NULL, NULL, &err);
    assert_true(s->saes[0].sae->finite && !s->saes[0].sae->broken);
    const struct index *known = s->saes[0].known;
    assert_true(known && session_open_index(s, 0) && s->saes[0].index == known);
    int warned = s->n_warnings;
    session_close(s);

    W_dec[5] = NAN;
    put_checkpoint("b/saes/relu", D);
    for (int again = 0; again < 2; again++) { /* before and after it has an index */
        s = open_named(NULL, NULL, &err);
        const struct sae *sae = s->saes[0].sae;
        assert_null(s->saes[0].known);
        assert_true(!sae->finite && sae->broken && sae->broken[5 / D]);
        assert_int_equal(s->n_warnings, warned + 1);
        assert_non_null(strstr(s->warnings[0], "W_dec has 1 NaN"));
        assert_true(again ? session_open_index(s, 0)
                          : session_need_index(s, 0, NULL, NULL, &err));
        assert_int_equal(index_totals(s->saes[0].index)->finite_weights, 0);
        session_close(s);
    }
    fill_random(W_dec, F * D, 2);
    put_checkpoint("b/saes/relu", D);
}

static void without_an_index_nothing_is_left_behind(void **state)
{
    (void)state;
    char path[256], acts_path[256], tmp[256];
    const char *paths[] = {path}, *words[] = {acts_path};
    strcpy(path, test_path("other"));
    strcpy(acts_path, test_path("b/acts.npy"));
    strcpy(tmp, make_dir("tmp"));
    setenv("TMPDIR", tmp, 1);
    struct session_options o = {.paths = paths, .n_paths = 1, .acts = words, .n_acts = 1,
                                .no_index = true, .threads = 1};
    struct err err = {0};
    struct session *s = session_open(&o, NULL, &err);
    assert_non_null(s);
    assert_null(session_index_path(s, 0, NULL));
    if (!session_need_index(s, 0, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(rmdir(tmp), 0); /* it is empty */
    session_close(s);
    unsetenv("TMPDIR");

    o.n_acts = 0;
    s = session_open(&o, NULL, &err);
    assert_non_null(s);
    assert_null(s->samples);
    assert_false(session_need_index(s, 0, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_MISSING);
    session_close(s);
}

static void a_cache_that_cannot_be_written_stops_nothing(void **state)
{
    struct err err = {0};
    (void)state;
    setenv("XDG_CACHE_HOME", test_path("b/acts.npy"), 1);
    struct session *s = open_named("relu", NULL, &err);
    setenv("XDG_CACHE_HOME", test_path("cache"), 1);
    assert_non_null(s);
    assert_true(s->options.no_index);
    assert_non_null(strstr(s->warnings[s->n_warnings - 1], "b/acts.npy"));
    assert_non_null(strstr(s->warnings[s->n_warnings - 1], "the index is not kept"));
    if (!session_need_index(s, 0, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    assert_non_null(s->saes[0].index);
    session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_choose_saes),
        cmocka_unit_test(what_does_not_fit_names_both_files),
        cmocka_unit_test(unknown_ids_are_one_warning),
        cmocka_unit_test(options_have_their_own_index),
        cmocka_unit_test(an_index_is_made_once_and_again_when_inputs_change),
        cmocka_unit_test(an_index_spares_the_look_for_nan),
        cmocka_unit_test(without_an_index_nothing_is_left_behind),
        cmocka_unit_test(a_cache_that_cannot_be_written_stops_nothing),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
