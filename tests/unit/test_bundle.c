/* test_bundle.c - what belongs together, by bundle.json and by name; hostile bundles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/bundle.h"
#include "files.h"

static void dir(const char *name)
{
    if (mkdir(test_path(name), 0700) != 0 && errno != EEXIST)
        abort();
}

static void file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

/* What is enough to be recognised as a checkpoint. */
static void checkpoint(const char *name)
{
    char inner[200];
    dir(name);
    snprintf(inner, sizeof inner, "%s/cfg.json", name);
    file(inner, "{}");
    snprintf(inner, sizeof inner, "%s/sae_weights.safetensors", name);
    file(inner, "");
}

static void by_name_two_levels_deep(void **state)
{
    (void)state;
    dir("n");
    dir("n/saes");
    checkpoint("n/saes/relu");
    checkpoint("n/saes/b10");
    checkpoint("n/saes/b9");
    dir("n/saes/run");
    checkpoint("n/saes/run/step_100");
    checkpoint("n/saes/run/step_20");
    dir("n/saes/run/deep");
    checkpoint("n/saes/run/deep/er");
    dir("n/saes/.hidden");
    dir("n/model");
    file("n/acts-1.npy", "");
    file("n/acts-0.npy", "");
    file("n/acts-10.npy", "");
    file("n/acts-.txt", "");
    file("n/tokens.npy", "");
    file("n/tokenizer.json", "");
    file("n/ground_truth.npy", "");
    assert_true(bundle_recognise(test_path("n")));
    struct bundle b = {0};
    assert_true(bundle_open(&b, test_path("n"), NULL));
    static const char *const names[] = {"b9", "b10", "relu", "run/step_20", "run/step_100"};
    assert_int_equal(b.n_saes, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(b.saes[i].name, names[i]);
    assert_int_equal(b.saes[3].step, 20);
    assert_int_equal(b.saes[0].step, -1);
    assert_false(b.series);
    assert_string_equal(b.name, "n");
    assert_int_equal(b.n_acts, 3);
    assert_string_equal(b.acts[0], test_path("n/acts-0.npy"));
    assert_string_equal(b.acts[2], test_path("n/acts-10.npy"));
    assert_string_equal(b.tokens, test_path("n/tokens.npy"));
    assert_string_equal(b.tokenizer, test_path("n/tokenizer.json"));
    assert_string_equal(b.model, test_path("n/model"));
    assert_string_equal(b.ground_truth, test_path("n/ground_truth.npy"));
    assert_int_equal(bundle_find_sae(&b, "relu"), 2);
    assert_int_equal(bundle_find_sae(&b, "step_20"), 3);
    assert_int_equal(bundle_find_sae(&b, "run/step_20"), 3);
    assert_int_equal(bundle_find_sae(&b, "tep_20"), -1);
    assert_int_equal(bundle_find_sae(&b, ""), -1);
    bundle_finish(&b);

    file("n/acts.npy", ""); /* one file comes before shards */
    assert_true(bundle_open(&b, test_path("n"), NULL));
    assert_int_equal(b.n_acts, 1);
    assert_string_equal(b.acts[0], test_path("n/acts.npy"));
    bundle_finish(&b);

    char *holding = bundle_holding(test_path("n/saes/run/step_20"));
    assert_non_null(holding);
    assert_non_null(strstr(holding, "/n"));
    free(holding);
    assert_null(bundle_holding(test_path("n/saes/run/deep/er")));
}

static void a_directory_of_steps_is_a_series(void **state)
{
    (void)state;
    dir("run");
    checkpoint("run/step_1000");
    checkpoint("run/step_9");
    checkpoint("run/other");
    struct bundle b = {0};
    assert_true(bundle_recognise(test_path("run")));
    assert_true(bundle_open(&b, test_path("run"), NULL));
    assert_int_equal(b.n_saes, 2);
    assert_int_equal(b.saes[0].step, 9);
    assert_int_equal(b.saes[1].step, 1000);
    assert_true(b.series);
    bundle_finish(&b);

    dir("dl");
    file("dl/ae_250.pt", "");
    file("dl/ae_1000.pt", "");
    assert_true(bundle_open(&b, test_path("dl"), NULL));
    assert_int_equal(b.n_saes, 2);
    assert_int_equal(b.saes[0].step, 250);
    assert_true(b.series);
    bundle_finish(&b);
}

/* A repository of several, as it was downloaded: whatever is below, in order. */
static void a_tree_of_checkpoints(void **state)
{
    (void)state;
    static const char *const names[] = {"layers.2", "layers.10", "suite/resid_post_layer_8/trainer_0"};
    dir("tree");
    checkpoint("tree/layers.10");
    checkpoint("tree/layers.2");
    dir("tree/suite");
    dir("tree/suite/resid_post_layer_8");
    checkpoint("tree/suite/resid_post_layer_8/trainer_0");
    checkpoint("tree/suite/resid_post_layer_8/trainer_0/inside"); /* belongs to trainer_0 */
    file("tree/config.json", "{}");
    file("tree/model.safetensors", "");
    struct bundle b = {0};
    assert_true(bundle_recognise(test_path("tree")));
    assert_true(bundle_open(&b, test_path("tree"), NULL));
    assert_int_equal(b.n_saes, 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(b.saes[i].name, names[i]);
    assert_int_equal(bundle_find_sae(&b, "trainer_0"), 2);
    assert_false(b.series);
    bundle_finish(&b);
    assert_null(bundle_holding(test_path("tree/layers.2"))); /* nothing to offer it */
    file("tree/acts.npy", "");
    char *holding = bundle_holding(test_path("tree/layers.2"));
    assert_non_null(holding);
    free(holding);

    char deep[100] = "deep"; /* one level too far down */
    dir(deep);
    for (int i = 0; i < 6; i++)
        dir(strcat(deep, "/x"));
    checkpoint(strcat(deep, "/y"));
    assert_false(bundle_recognise(test_path("deep")));
    assert_true(bundle_recognise(test_path("deep/x")));
}

static void a_checkpoint_alone_is_no_bundle(void **state)
{
    (void)state;
    checkpoint("alone");
    assert_false(bundle_recognise(test_path("alone")));
    file("alone/acts.npy", ""); /* now it is both */
    assert_true(bundle_recognise(test_path("alone")));
    struct bundle b = {0};
    assert_true(bundle_open(&b, test_path("alone"), NULL));
    assert_int_equal(b.n_saes, 1);
    assert_string_equal(b.saes[0].path, test_path("alone"));
    bundle_finish(&b);
    dir("nothing");
    assert_false(bundle_recognise(test_path("nothing")));
    assert_false(bundle_recognise(test_path("nowhere")));
    struct err err = {0};
    assert_false(bundle_open(&b, test_path("nothing"), &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_null(b.path);
}

static void json_decides_names_and_order(void **state)
{
    (void)state;
    dir("j");
    dir("j/data");
    checkpoint("j/z");
    checkpoint("j/a");
    file("j/data/x-1.npy", "");
    file("j/data/x-2.npy", "");
    file("j/data/y.npz", "");
    file("j/t.npy", "");
    file("j/l.jsonl", "");
    file("j/bundle.json",
         "{\"name\":\"toys\",\"hook\":\"blocks.2.hook_resid_pre\",\"tokens\":\"t.npy\","
         "\"acts\":[\"data/x-*.npy\",\"data/y.npz:resid\"],\"labels\":\"l.jsonl\","
         "\"saes\":{\"zed\":\"z\",\"run/step_3\":\"a\"},\"tokenizer\":null,\"more\":1}");
    struct bundle b = {0};
    struct err err = {0};
    if (!bundle_open(&b, test_path("j"), &err))
        fail_msg("%s", err.msg);
    assert_string_equal(b.name, "toys");
    assert_string_equal(b.hook, "blocks.2.hook_resid_pre");
    assert_int_equal(b.n_acts, 3);
    assert_string_equal(b.acts[1], test_path("j/data/x-2.npy"));
    assert_string_equal(b.acts[2], test_path("j/data/y.npz:resid"));
    assert_int_equal(b.n_saes, 2);
    assert_string_equal(b.saes[0].name, "zed");
    assert_int_equal(b.saes[1].step, 3);
    assert_false(b.series);
    assert_null(b.tokenizer);
    assert_string_equal(b.labels, test_path("j/l.jsonl"));
    bundle_finish(&b);
}

static void hostile_descriptions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"", ERR_FORMAT, "bundle.json"},
        {"[]", ERR_FORMAT, "not a bundle (found a list, expected an object)"},
        {"{}", ERR_MISSING, "found neither 'saes' nor 'acts'"},
        {"{\"acts\":\"../j/t.npy\"}", ERR_FORMAT, "'acts'"},
        {"{\"acts\":\"/etc/passwd\"}", ERR_FORMAT, "'acts'"},
        {"{\"acts\":\"out\"}", ERR_FORMAT, "'acts'"},
        {"{\"acts\":\"../j/*.npy\"}", ERR_FORMAT, "'acts'"},
        {"{\"acts\":\"missing.npy\"}", ERR_OS, "'acts'"},
        {"{\"acts\":\"m*.npy\"}", ERR_MISSING, "m*.npy"},
        {"{\"acts\":[1]}", ERR_FORMAT, "bad 'acts' (found 1, expected a path)"},
        {"{\"acts\":{}}", ERR_FORMAT, "bad 'acts' (found {}, expected a path)"},
        {"{\"acts\":\"\"}", ERR_FORMAT, "bad 'acts' (found nothing"},
        {"{\"acts\":\"t.npy\\u0000x\"}", ERR_FORMAT, "'acts'"},
        {"{\"saes\":[]}", ERR_FORMAT, "bad 'saes' (found [], expected an object of paths)"},
        {"{\"saes\":{\"a\":1}}", ERR_FORMAT, "bad 'saes' (found 'a': 1"},
        {"{\"saes\":{\"\":\"t.npy\"}}", ERR_FORMAT, "bad 'saes' (found ''"},
        {"{\"saes\":{\"a\":\"..\"}}", ERR_FORMAT, "'a'"},
        {"{\"acts\":\"t.npy\",\"tokens\":7}", ERR_FORMAT, "bad 'tokens' (found 7"},
        {"{\"acts\":\"t.npy\",\"model\":\"../../..\"}", ERR_FORMAT, "'model'"},
        {"{\"acts\":\"t.npy\",\"acts\":\"t.npy\"}", ERR_FORMAT, "bundle.json"},
    };
    dir("h");
    file("h/t.npy", "");
    if (symlink("/etc/passwd", test_path("h/out")) != 0)
        abort();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bundle b = {0};
        struct err err = {0};
        file("h/bundle.json", cases[i].json);
        assert_true(bundle_recognise(test_path("h")));
        if (bundle_open(&b, test_path("h"), &err))
            fail_msg("%s was opened", cases[i].json);
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("%s: '%s' (%d), expected '%s'", cases[i].json, err.msg, err.code,
                     cases[i].says);
        assert_memory_equal(err.msg, test_path("h/bundle.json"),
                            strlen(test_path("h/bundle.json")));
        assert_null(b.path);
    }
}

static void damaged_descriptions_never_crash(void **state)
{
    (void)state;
    static const char good[] = "{\"name\":\"x\",\"acts\":[\"t.npy\",\"*.npy\"],\"saes\":"
                               "{\"a\":\"t.npy\",\"b\":\"./t.npy\"},\"tokens\":\"t.npy\"}";
    unsigned char bad[2 * sizeof good];
    uint64_t seed = 5;
    for (int i = 0; i < 500; i++) {
        size_t n = mutate((const unsigned char *)good, sizeof good - 1, bad, &seed);
        write_bytes("h/bundle.json", bad, n);
        struct bundle b = {0};
        struct err err = {0};
        if (bundle_open(&b, test_path("h"), &err))
            assert_true(b.n_saes > 0 || b.n_acts > 0);
        else
            assert_true(err.code != ERR_NONE);
        bundle_finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_name_two_levels_deep),
        cmocka_unit_test(a_directory_of_steps_is_a_series),
        cmocka_unit_test(a_tree_of_checkpoints),
        cmocka_unit_test(a_checkpoint_alone_is_no_bundle),
        cmocka_unit_test(json_decides_names_and_order),
        cmocka_unit_test(hostile_descriptions_are_refused),
        cmocka_unit_test(damaged_descriptions_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
