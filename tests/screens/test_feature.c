/* View 3: what it shows of features whose numbers can be told by eye, at every size. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "little.h"
#include "screen.h"
#include "tui/desk.h"

static struct session *session;

static void start_at(struct screen *s, struct session *open, int rows, int cols, int64_t feature,
                     bool mono)
{
    struct target at = TARGET_NONE;

    session = open;
    at.sae = session->n_chosen > 0 ? session->chosen[0] : 0;
    at.feature = feature;
    screen_start(s, &(struct screen_options){.rows = rows, .cols = cols, .session = session,
                                             .view = "feature", .at = &at, .mono = mono});
}

static void start(struct screen *s, int rows, int cols, int64_t feature)
{
    start_at(s, little_open(false), rows, cols, feature, false);
}

static void stop(struct screen *s)
{
    screen_stop(s);
    session_close(session);
}

static int setup(void **state)
{
    (void)state;
    little_make();
    return 0;
}

/* -- one feature, the same sequence again and again ------------------------------------ */

/* d_sae = 1: fires with 1 on the first of four tokens, with 0.5 on the third. */
static struct session *one_open(float decoder, bool tokens, bool tokenizer)
{
    static char paths[4][256];
    static const char *path[] = {paths[0]}, *acts[] = {paths[1]};
    static float W[2] = {1, 0}, D[2] = {1, 0}, b_enc[1], b_dec[2], x[6 * 4 * 2], ids[6 * 4];
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {2, 1}, W}, {"W_dec", DTYPE_F32, 2, {1, 2}, D},
                        {"b_enc", DTYPE_F32, 1, {1}, b_enc}, {"b_dec", DTYPE_F32, 1, {2}, b_dec}};
    struct array samples = {"", DTYPE_F32, 3, {6, 4, 2}, x};
    struct array words = {"", DTYPE_I32, 2, {6, 4}, ids};
    struct err err = {0};

    D[0] = decoder;
    for (int t = 0; t < 24; t++) {
        ids[t] = (float)(t % 4);
        x[2 * t] = t % 4 == 0 ? 1 : t % 4 == 2 ? .5f : 0;
        x[2 * t + 1] = 1;
    }
    make_dir("one");
    write_safetensors("one/sae_weights.safetensors", a, 4);
    write_text("one/cfg.json", "{\"hook_name\":\"blocks.0.hook_mlp_out\"}");
    write_npy("one-acts.npy", &samples);
    write_npy("one-tokens.npy", &words);
    write_text("one-vocab.json", "{\" In\":0,\" the\":1,\" beginning\":2,\" God\":3}");
    static const char *const names[] = {"one", "one-acts.npy", "one-tokens.npy", "one-vocab.json"};
    for (int i = 0; i < 4; i++)
        snprintf(paths[i], sizeof paths[i], "%s", test_path(names[i]));
    struct session_options o = {.paths = path, .n_paths = 1, .acts = acts, .n_acts = 1,
                                .tokens = tokens ? paths[2] : NULL,
                                .tokenizer = tokenizer ? paths[3] : NULL, .threads = 1};
    struct session *s = session_open(&o, NULL, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

/* -- the numbers, at every size ---------------------------------------------------------- */

/* How often word j is there, and how strongly at most: counted here, not by the scan. */
static int count_word(int j, float *max)
{
    int n = 0;
    *max = 0;
    for (int t = 0; t < LITTLE_SEQ * LITTLE_LEN; t++)
        if (little_id(t) == j) {
            *max = fmaxf(*max, little_strength(t));
            n++;
        }
    return n;
}

static void numbers_are_the_samples_own(void **state)
{
    struct screen s;
    char text[64];
    float max;
    int n = count_word(3, &max);

    (void)state;
    start(&s, 36, 120, 3);
    snprintf(text, sizeof text, "density   %.3g %% [", 100. * n / (LITTLE_SEQ * LITTLE_LEN));
    screen_expect(&s, text);
    snprintf(text, sizeof text, "]  %d tokens", n);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "max       %.4g ", (double)max - .5);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "top %d of %d · by activation · context 10", n, n);
    screen_expect(&s, text);
    screen_expect(&s, "bias      -0.5 added");
    screen_expect(&s, "#3  \"king\"");
    screen_expect(&s, "fires on  \" king\" 100 %");
    screen_expect(&s, "response · standard · off up to 0.5");
    screen_expect(&s, "▐king▌");
    screen_expect(&s, "decoder↓");
    screen_expect(&s, "#3 · 4/48 by number");
    stop(&s);
}

static void every_size_has_the_numbers_and_the_examples(void **state)
{
    static const int sizes[][2] = {{16, 60}, {24, 80}, {36, 120}, {60, 200}};
    struct screen s;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        start(&s, sizes[i][0], sizes[i][1], 3);
        screen_expect(&s, "density   ");
        screen_expect(&s, "▸ top ");
        screen_expect(&s, "▐king▌");
        screen_type(&s, "Tab");
        screen_expect(&s, "▸ interval 6 of 10");
        screen_type(&s, "Tab");
        screen_expect(&s, "▸ neighbours");
        screen_expect(&s, "#19");
        screen_type(&s, "Tab j");
        screen_expect(&s, "density   ");
        screen_type(&s, "Tab");
        screen_expect(&s, "▸ activation (");
        screen_type(&s, "Tab");
        screen_expect(&s, "▸ response");
        stop(&s);
    }
}

static void small_screens_page_what_does_not_fit(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 24, 80, 3);
    screen_expect(&s, "Tab: interval neighbours");
    screen_expect_not(&s, "decoder↓");
    screen_type(&s, "Tab Tab Tab");
    screen_expect(&s, "decoder↓"); /* it stays when the focus is elsewhere */
    screen_expect_not(&s, "▸ neighbours");
    stop(&s);
    start(&s, 36, 120, 3);
    screen_expect_not(&s, "Tab:");
    stop(&s);
}

static void any_size_can_be_painted(void **state)
{
    struct screen s;

    (void)state;
    for (int mono = 0; mono < 2; mono++) {
        start_at(&s, little_open(false), 24, 80, 16, mono);
        for (int pane = 0; pane < 6; pane++) {
            screen_type(&s, "Tab G Enter");
            for (int rows = 16; rows <= 70; rows += 9)
                for (int cols = 60; cols <= 240; cols += 18) {
                    screen_resize(&s, rows, cols);
                    free(screen_text(&s));
                    screen_type(&s, "j");
                }
            screen_type(&s, "# \"16\" Enter");
        }
        stop(&s);
    }
}

static void a_dead_feature_says_so(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 36, 120, 40);
    screen_expect(&s, "density   0 % [0, ");
    screen_expect(&s, "]  0 tokens");
    screen_expect(&s, "dead: never active on 128 tokens");
    screen_expect(&s, "response · standard · off up to 10");
    screen_type(&s, "Tab Tab Tab Tab Enter G"); /* nothing to brush */
    screen_expect(&s, "dead: never active");
    stop(&s);
}

static void weights_alone_say_what_they_can(void **state)
{
    struct screen s;

    (void)state;
    start_at(&s, little_open(true), 36, 120, 3, false);
    screen_expect(&s, "bias      -0.5 added");
    screen_expect(&s, "density   ·");
    screen_expect(&s, "needs activation samples: --acts FILE");
    screen_expect(&s, "weights only");
    screen_expect(&s, "#19");
    stop(&s);
}

/* No index can be written here: the scan fails, and a page comes from the samples. */
static void forbid_indexes(void)
{
    static char path[256];

    snprintf(path, sizeof path, "%s", test_path("little/bundle.json"));
    setenv("XDG_CACHE_HOME", path, 1);
    setenv("TMPDIR", path, 1);
}

static void allow_indexes(void)
{
    setenv("XDG_CACHE_HOME", test_path("cache"), 1);
    unsetenv("TMPDIR");
}

static void without_an_index_the_samples_are_asked(void **state)
{
    struct screen s;
    char text[64];
    float max;
    int n = count_word(3, &max);

    (void)state;
    forbid_indexes();
    start(&s, 36, 120, 3);
    snprintf(text, sizeof text, "top %d of %d", n, n);
    screen_expect(&s, text);
    screen_type(&s, "j"); /* the message about the scan goes */
    screen_expect(&s, "no index: from the samples");
    screen_expect_not(&s, "computing");
    screen_expect(&s, "Δ FVU     -0.06643 ");
    stop(&s);
    allow_indexes();
}

static void samples_that_shrink_are_said(void **state)
{
    struct screen s;
    const char *path = test_path("little/acts.npy");

    (void)state;
    forbid_indexes();
    struct session *open = little_open(false);
    if (truncate(path, 200) != 0)
        fail_msg("truncate");
    start_at(&s, open, 36, 120, 3, false);
    screen_expect(&s, "acts.npy");
    screen_expect(&s, "R tries again");
    screen_expect(&s, "bias      -0.5 added"); /* what the weights say stays */
    little_put_samples();
    stop(&s);
    allow_indexes();
}

static void features_are_walked_through(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 24, 80, 3);
    screen_type(&s, "]");
    screen_expect(&s, "#4  \"city\"");
    screen_type(&s, "[ [");
    screen_expect(&s, "#2  \"God\"");
    screen_type(&s, "l");
    screen_expect(&s, "#3  \"king\"");
    screen_type(&s, "# \"47\" Enter ]");
    screen_expect(&s, "this is the last feature");
    screen_type(&s, "# \"48\" Enter");
    screen_expect(&s, "there is no feature 48 (expected 0 to 47)");
    screen_type(&s, "Esc"); /* the line stays open, to be mended */
    screen_expect(&s, " #47\n");
    stop(&s);
}

static void the_table_gives_the_order(void **state)
{
    struct screen s;
    char text[64];
    int first = 0, n[LITTLE_WORDS] = {0};

    (void)state;
    for (int t = 0; t < LITTLE_SEQ * LITTLE_LEN; t++)
        for (int j = 0; j < LITTLE_WORDS; j++) {
            bool reads = little_id(t) == j || little_id(t) == (j + 1) % LITTLE_WORDS;
            n[j] += reads && little_strength(t) > 1;
        }
    for (int j = 1; j < LITTLE_WORDS; j++)
        first = n[j] > n[first] ? j : first;
    start(&s, 24, 80, 3);
    screen_type(&s, "2 & \"id >= 16 and count > 0\" Enter gg Enter");
    snprintf(text, sizeof text, "#%d · 1/", first + 16);
    screen_expect(&s, text);
    screen_expect(&s, " by density ↓, filter id >= 16 and count > 0");
    screen_type(&s, "]");
    screen_expect(&s, " · 2/");
    screen_type(&s, "[ [");
    screen_expect(&s, "this is the first feature");
    screen_type(&s, "/"); /* is the table's business */
    screen_expect(&s, "2 Features");
    screen_expect(&s, "search:");
    screen_type(&s, "Esc");
    stop(&s);
}

static void neighbours_open(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 36, 120, 3);
    screen_type(&s, "Tab Tab Enter");
    screen_expect(&s, "#35 · 36/48"); /* its dead twin: cosine 1 */
    screen_type(&s, "<");
    screen_expect(&s, "#3 · 4/48");
    screen_type(&s, ">");
    screen_expect(&s, "#35 · 36/48");
    screen_type(&s, "< l l s");
    screen_expect(&s, "together↓");
    stop(&s);
}

static void a_bar_is_brushed(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 36, 120, 3);
    screen_type(&s, "Tab Tab Tab Tab G");
    screen_expect(&s, "▸ activation (");
    screen_type(&s, "Enter");
    screen_expect(&s, "▸ brushed · (");
    screen_expect(&s, "▐king▌");
    screen_type(&s, "h");
    screen_expect(&s, "interval 10 of 10");
    screen_type(&s, "l l");
    screen_expect(&s, "interval 1 of 10");
    stop(&s);
}

static void a_range_of_bars_takes_all_of_them(void **state)
{
    struct screen s;
    char text[64];
    float max;
    int n = count_word(3, &max);

    (void)state;
    start(&s, 36, 120, 3);
    screen_type(&s, "Tab Tab Tab Tab gg Space G");
    snprintf(text, sizeof text, "(0, %.4g] · %d tokens", (double)max - .5, n);
    screen_expect(&s, text);
    screen_type(&s, "Enter");
    screen_expect(&s, text);
    stop(&s);
}

static void the_histogram_changes_its_bins_and_axes(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 36, 120, 3);
    screen_expect(&s, "activation · 40 bins · linear");
    screen_type(&s, "+");
    screen_expect(&s, "activation · 80 bins · linear");
    screen_type(&s, "- - t");
    screen_expect(&s, "activation · 20 bins · log counts");
    screen_type(&s, "t");
    screen_expect(&s, "activation · 20 bins · log counts · log values");
    screen_type(&s, "t");
    screen_expect(&s, "activation · 20 bins · log values");
    screen_type(&s, "t : \"set bins=160\" Enter");
    screen_expect(&s, "activation · 160 bins · linear");
    screen_type(&s, ": \"set bins=30\" Enter");
    screen_expect(&s, "bins: not a choice (found \"30\")");
    stop(&s);
}

static void contexts_grow_and_examples_are_read(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 36, 120, 3);
    screen_type(&s, "}");
    screen_expect(&s, "context 15");
    screen_type(&s, "{ {");
    screen_expect(&s, "context 8 ");
    screen_type(&s, "Enter");
    screen_expect(&s, "at sequence ");
    screen_expect(&s, "tokens 0 to 15");
    screen_type(&s, "q");
    screen_expect_not(&s, "at sequence ");
    stop(&s);
}

static void labels_notes_and_favourites_are_kept(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 24, 80, 5);
    screen_type(&s, "e \"the sea\" Enter * : \"note of waters\" Enter");
    screen_expect(&s, "#5  the sea  ★  of waters");
    stop(&s);
    start(&s, 24, 80, 5);
    screen_expect(&s, "#5  the sea  ★  of waters");
    screen_type(&s, "*");
    screen_expect(&s, "#5  the sea  of waters");
    stop(&s);
}

static void lines_and_numbers_are_copied(void **state)
{
    struct screen s;

    (void)state;
    start_at(&s, one_open(1, true, true), 36, 120, 0, false);
    screen_type(&s, "y");
    assert_string_equal(app_clipboard(s.app), "1\t0:0\t<< In>> the beginning God");
    screen_type(&s, "Shift-Tab Shift-Tab Shift-Tab gg j y");
    assert_string_equal(app_clipboard(s.app), "mean\t0.75");
    screen_type(&s, "Y");
    assert_non_null(strstr(app_clipboard(s.app), "\nthreshold\t·\n"));
    assert_non_null(strstr(app_clipboard(s.app), "0.5\t5:2\t In the<< beginning>> God\n"));
    assert_non_null(strstr(app_clipboard(s.app), "\ninterval\t(0.9, 1]\t6\n"));
    stop(&s);
}

/* A file of up to 64 KiB, deleted; the caller frees. */
static char *take_file(const char *path)
{
    char *text = calloc(1, 1 << 16);
    FILE *f = fopen(path, "r");

    if (!f || !text)
        fail_msg("%s was not written", path);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    unlink(path);
    return text;
}

static char *written(struct screen *s, const char *name)
{
    char keys[512];

    snprintf(keys, sizeof keys, "w \"%s\" Enter", test_path(name));
    screen_type(s, keys);
    return take_file(test_path(name));
}

static void files_have_the_keys_of_the_command(void **state)
{
    struct screen s;

    (void)state;
    start_at(&s, one_open(1, true, true), 36, 120, 0, false);
    char *json = written(&s, "page.json");
    json_t *page = json_loads(json, 0, NULL);
    assert_non_null(page);
    assert_int_equal(json_integer_value(json_object_get(page, "count")), 12);
    assert_true(json_real_value(json_object_get(page, "density")) == 0.5);
    json_t *first = json_array_get(json_object_get(page, "top"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "token")), " In");
    assert_int_equal(json_array_size(json_object_get(page, "intervals")), 10);
    json_decref(page);
    free(json);
    char *tsv = written(&s, "page.tsv");
    assert_ptr_equal(strstr(tsv, "feature\tsequence\tposition\tactivation\t"), tsv);
    free(tsv);
    screen_type(&s, "Tab Tab Tab");
    tsv = written(&s, "page.tsv");
    assert_non_null(strstr(tsv, "density"));
    free(tsv);
    stop(&s);
}

static void help_opens_at_the_number(void **state)
{
    struct screen s;

    (void)state;
    start(&s, 36, 120, 3);
    screen_type(&s, "Tab Tab Tab gg ?");
    screen_expect(&s, "under the cursor");
    screen_expect(&s, "95 % Wilson");
    stop(&s);
}

static void equal_examples_fold_and_unfold(void **state)
{
    struct screen s;

    (void)state;
    start_at(&s, one_open(1, true, true), 36, 120, 0, false);
    screen_expect(&s, "top 12 of 12");
    screen_expect(&s, "×6");
    screen_expect(&s, "fires on  \" In\" 50 %  \" beginning\" 50 %");
    screen_expect(&s, "half or more at position 0: \":rescan skip-first=1\" leaves it out");
    screen_expect(&s, "no other feature");
    screen_expect(&s, "▐In▌ the beginning God");
    screen_expect_not(&s, "5:0");
    screen_type(&s, "o");
    screen_expect(&s, "5:0");
    screen_type(&s, "j o");
    screen_expect_not(&s, "5:0");
    screen_type(&s, "j o G");
    screen_expect(&s, "5:2");
    stop(&s);
}

static void tokens_may_be_unknown(void **state)
{
    struct screen s;

    (void)state;
    start_at(&s, one_open(1, true, false), 36, 120, 0, false);
    screen_expect(&s, "▐<0>▌<1><2><3>");
    stop(&s);
    start_at(&s, one_open(1, false, false), 36, 120, 0, false);
    screen_expect(&s, "▐·▌···");
    screen_expect_not(&s, "×6");
    stop(&s);
}

static void without_colour_there_are_digits(void **state)
{
    struct screen s;

    (void)state;
    start_at(&s, one_open(1, true, true), 36, 120, 0, true);
    screen_expect(&s, "▐In▌ the beginning God");
    screen_expect(&s, "99     4444444444");
    screen_expect_not(&s, "9 99"); /* the blank before the bracket is no part of the word */
    stop(&s);
}

static void a_broken_feature_is_left_out(void **state)
{
    struct screen s;

    (void)state;
    start_at(&s, one_open(NAN, true, true), 36, 120, 0, false);
    screen_expect(&s, "owns a NaN weight");
    screen_expect(&s, "left out of everything");
    stop(&s);
}

/* Three steps of a run; the biases rise by 1 each time, and features fire more often. */
static void a_step_of_a_run_shows_the_others(void **state)
{
    static char path[256], acts[256];
    static const char *paths[] = {path}, *saes[] = {"step_20"}, *all_acts[] = {acts};
    struct session_options o = {.paths = paths, .n_paths = 1, .saes = saes, .n_saes = 1,
                                .acts = all_acts, .n_acts = 1, .threads = 1};
    struct target at = TARGET_NONE;
    struct err err = {0};
    struct screen s;
    (void)state;
    little_put_run();
    snprintf(path, sizeof path, "%s", test_path("run"));
    snprintf(acts, sizeof acts, "%s", test_path("little/acts.npy"));
    session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    at.feature = 2;
    screen_start(&s, &(struct screen_options){.rows = 60, .cols = 200, .session = session,
                                              .view = "feature", .at = &at});
    screen_wait(&s);
    screen_expect(&s, "by step   bias ▁▅█ -1.5 → 0.5");
    screen_expect_not(&s, "threshold ▁");
    struct desk *d = app_view(s.app, "feature")->desk;
    for (int i = 0; i < 3; i++) /* scanned by somebody: their densities are known too */
        desk_need(d, i);
    screen_wait(&s);
    screen_expect(&s, "bias ▁▅█ -1.5 → 0.5  density ▁");
    screen_type(&s, "# \"40\" Enter");
    screen_expect(&s, "bias ▁▅█ -11 → -9  density ▁▁▁ 0 → 0");
    screen_stop(&s);
    session_close(session);
    session = little_open(false);
    screen_start(&s, &(struct screen_options){.rows = 36, .cols = 120, .session = session,
                                              .view = "feature", .at = &at});
    screen_wait(&s);
    screen_expect_not(&s, "by step");
    screen_stop(&s);
    session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_samples_own),
        cmocka_unit_test(every_size_has_the_numbers_and_the_examples),
        cmocka_unit_test(small_screens_page_what_does_not_fit),
        cmocka_unit_test(any_size_can_be_painted),
        cmocka_unit_test(a_dead_feature_says_so),
        cmocka_unit_test(weights_alone_say_what_they_can),
        cmocka_unit_test(without_an_index_the_samples_are_asked),
        cmocka_unit_test(samples_that_shrink_are_said),
        cmocka_unit_test(features_are_walked_through),
        cmocka_unit_test(the_table_gives_the_order),
        cmocka_unit_test(neighbours_open),
        cmocka_unit_test(a_bar_is_brushed),
        cmocka_unit_test(a_range_of_bars_takes_all_of_them),
        cmocka_unit_test(the_histogram_changes_its_bins_and_axes),
        cmocka_unit_test(contexts_grow_and_examples_are_read),
        cmocka_unit_test(labels_notes_and_favourites_are_kept),
        cmocka_unit_test(lines_and_numbers_are_copied),
        cmocka_unit_test(files_have_the_keys_of_the_command),
        cmocka_unit_test(help_opens_at_the_number),
        cmocka_unit_test(equal_examples_fold_and_unfold),
        cmocka_unit_test(tokens_may_be_unknown),
        cmocka_unit_test(without_colour_there_are_digits),
        cmocka_unit_test(a_broken_feature_is_left_out),
        cmocka_unit_test(a_step_of_a_run_shows_the_others),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
