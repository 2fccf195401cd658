/* Views 1 and 4 over the little bundle, whose numbers can be told by eye. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "little.h"
#include "screen.h"
#include "tui/checks.h"
#include "tui/desk.h"
#include "tui/quantity.h"

extern const struct view_ops view_biases_ops, view_overview_ops;

/* What is opened next, as a view that only says what it was asked for. */
static void asked_go(struct view *v, const struct target *at)
{
    v->target = *at;
}

static void asked_draw(const struct view *v, struct canvas *c)
{
    canvas_printf(c, 0, 0, INK_TEXT, "%s: sae %d feature %d filter <%s>", v->ops->name,
                  v->target.sae, (int)v->target.feature, v->target.filter);
}

static const struct view_ops features = {.name = "features", .digit = 2, .go = asked_go,
                                         .draw = asked_draw};
static const struct view_ops feature = {.name = "feature", .digit = 3, .go = asked_go,
                                        .draw = asked_draw};
static const struct view_ops *const views[] = {&view_overview_ops, &features, &feature,
                                               &view_biases_ops, NULL};

static int setup(void **state)
{
    (void)state;
    little_make();
    return 0;
}

static void start(struct screen *s, struct session *session, const char *view, int cols,
                  int rows)
{
    screen_start(s, &(struct screen_options){.views = views, .cols = cols, .rows = rows,
                                             .view = view, .session = session});
}

static void stop(struct screen *s, struct session *session)
{
    screen_stop(s);
    session_close(session);
}

/* -- view 4 ------------------------------------------------------------------------------ */

/* 16 biases each of -0.5, -1 and -10. */
static void the_headline_answers_at_a_glance(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_expect(&s, "100.0 % of 48 biases are negative · 0 exactly zero · mean -3.833 · "
                      "median -1");
    screen_expect(&s, "min -10 · max -0.5");
    screen_expect(&s, "added before the ReLU: on where m > -b_enc");
    screen_expect(&s, "0 →");
    screen_expect(&s, "density against b_enc");
    stop(&s, session);
}

static void a_bar_lists_its_features_and_filters_the_table(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_expect(&s, "16 features in [-1.094, -0.9453) · 33 %"); /* of the median */
    screen_type(&s, "Enter");
    screen_expect(&s, "features: sae 0 feature -1 filter <bias >= -1 and bias < -0.9>");
    screen_type(&s, "4 G");
    screen_expect(&s, "16 features in [-0.6484, -0.5] · 33 %"); /* the last one is closed */
    screen_type(&s, "Enter");
    screen_expect(&s, "filter <bias >= -0.6 and bias <= -0.5>");
    screen_type(&s, "4 h");
    screen_expect(&s, "0 features in");
    screen_expect(&s, "no value in this bar");
    screen_type(&s, "Enter");
    screen_expect(&s, "no feature in this bar");
    stop(&s, session);
}

static void bars_are_taken_together(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_type(&s, "G Space gg");
    screen_expect(&s, "48 features in [-10, -0.5] · 100 %");
    screen_expect(&s, "bars 1-64/64");
    screen_type(&s, "Space");
    screen_expect(&s, "16 features in [-10, -9.852)");
    stop(&s, session);
}

static void the_list_opens_a_feature(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_type(&s, "G Tab j j");
    screen_expect(&s, "LORD");
    screen_type(&s, "Enter");
    screen_expect(&s, "feature: sae 0 feature 2 filter <>");
    screen_type(&s, "4 gg k k h"); /* back up into the bars, and on */
    screen_expect(&s, "bar 63/64");
    stop(&s, session);
}

static void every_quantity_has_its_headline(void **state)
{
    static const struct {
        const char *command, *expected;
    } cases[] = {
        {":of b_dec", "0.0 % of 16 components of b_dec are negative · 16 exactly zero"},
        {":of decoder_norm", "66.7 % of 48 decoder rows have unit length"},
        {":of encoder_decoder_cosine", "0.0 % of 48 encoder-decoder cosines are negative"},
        {":of density", "33.3 % of 48 features are dead"},
        {":of max", "33.3 % of 48 features never fire"},
        {":of delta_fvu", "features make the reconstruction worse · 16 change nothing"},
    };
    struct session *session = little_open(false);
    struct screen s;
    char keys[80];

    (void)state;
    start(&s, session, "biases", 100, 30);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(keys, sizeof keys, ": \"%s\" Enter", cases[i].command + 1);
        screen_type(&s, keys);
        screen_expect(&s, cases[i].expected);
    }
    screen_type(&s, ": \"of threshold\" Enter");
    screen_expect(&s, "this checkpoint has no threshold");
    screen_type(&s, "Esc : \"of nonsense\" Enter");
    screen_expect(&s, "found \"nonsense\"");
    stop(&s, session);
}

/* b_dec is one value a dimension: no features behind its bars. */
static void what_is_not_of_features_says_so(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 100, 30);
    screen_type(&s, "]");
    screen_expect(&s, "b_dec · bar 32/32"); /* all equal: all in the last */
    screen_expect(&s, "16 values in [0, 0] · 100 %");
    screen_type(&s, "Enter");
    screen_expect(&s, "b_dec is not a quantity of single features");
    stop(&s, session);
}

static void bins_and_axes_change(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 80, 24);
    screen_type(&s, "+");
    screen_expect(&s, "/128");
    screen_type(&s, "- - -");
    screen_expect(&s, "/16");
    screen_type(&s, "t");
    screen_expect(&s, "log counts");
    screen_type(&s, ": \"bins 3\" Enter");
    screen_expect(&s, "/3");
    screen_type(&s, ": \"range -2,0\" Enter");
    screen_expect(&s, "range -2, 0 · 16 left out");
    screen_expect(&s, "min -10"); /* the figures stay those of all */
    screen_type(&s, ": \"range 5\" Enter");
    screen_expect(&s, "expected LO,HI");
    screen_type(&s, "Esc : \"bins 0\" Enter");
    screen_expect(&s, "expected 1 to 1024");
    stop(&s, session);
}

static void without_samples_the_weights_are_shown(void **state)
{
    struct session *session = little_open(true);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_expect(&s, "100.0 % of 48 biases are negative");
    screen_expect(&s, "weights only: no samples");
    screen_type(&s, ": \"of density\" Enter");
    screen_expect(&s, "not known without activation samples (--acts FILE)");
    screen_type(&s, "Enter Tab Enter j G gg h l + - t"); /* nothing there, nothing breaks */
    stop(&s, session);
}

static struct session *open_both(void)
{
    static char path[256];
    static const char *paths[] = {path}, *saes[] = {"relu", "other"};
    struct session_options o = {.paths = paths, .n_paths = 1, .saes = saes, .n_saes = 2,
                                .threads = 1};
    struct err err = {0};

    snprintf(path, sizeof path, "%s", test_path("little"));
    struct session *session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    return session;
}

static void chosen_checkpoints_are_overlaid(void **state)
{
    struct session *session = open_both();
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_expect(&s, "█ relu  100.0 % < 0 · median -1 ");
    screen_expect(&s, "• other  100.0 % < 0 · median -0.75");
    screen_expect(&s, "mean -3.833"); /* of the first */
    screen_type(&s, "x");
    screen_expect(&s, "mean -3.583");
    screen_expect(&s, "█ other");
    screen_type(&s, ": \"set overlay=off\" Enter");
    screen_expect_not(&s, "• relu");
    stop(&s, session);
}

static void the_mouse_takes_bars_tabs_and_rows(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_mouse(&s, MOUSE_PRESS, 1, 8, 7); /* first column of the bars */
    screen_expect(&s, "bar 1/64");
    screen_mouse(&s, MOUSE_DRAG, 1, 8, 20);
    screen_expect(&s, "bars 1-");
    screen_mouse(&s, MOUSE_PRESS, 1, 1, 12); /* the tab of b_dec */
    screen_expect(&s, "components of b_dec");
    screen_mouse(&s, MOUSE_PRESS, 1, 1, 2);
    screen_mouse(&s, MOUSE_PRESS, 1, 8, 7);
    screen_mouse(&s, MOUSE_PRESS, 1, 8, 7); /* again: opens */
    screen_expect(&s, "filter <bias >= -10 and bias < -9.9>");
    stop(&s, session);
}

/* Filters hold exactly what the bar holds, in as few digits as that takes. */
static void filters_are_exact_and_short(void **state)
{
    static const struct {
        double lo, hi;
        bool closed;
        const char *expected; /* NULL: nothing inside */
    } cases[] = {
        {0.1, 0.3, false, "max >= 0.1 and max < 0.3"},
        {0.31, 1, true, "max >= 0.3 and max <= 1"},
        {0.4, 0.9, false, NULL},
        {0.1250001, 1, true, "max >= 0.13 and max <= 1"},
        {-1, 2, true, "max >= -1 and max <= 1"},
    };
    static const double v[] = {0.1f, 0.125, 0.25, 0.3125, 1, NAN};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool any = quantity_filter(QUANTITY_MAX, v, 6, cases[i].lo, cases[i].hi,
                                   cases[i].closed, text, sizeof text);
        assert_int_equal(any, cases[i].expected != NULL);
        if (any)
            assert_string_equal(text, cases[i].expected);
    }
    assert_false(quantity_filter(QUANTITY_B_DEC, v, 6, 0, 1, true, text, sizeof text));
}

/* -- view 1 ------------------------------------------------------------------------------ */

static void a_card_says_what_is_open(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "overview", 120, 36);
    screen_expect(&s, "relu · current");
    screen_expect(&s, "standard · 16 → 48 (x 3) · float32 · saelens");
    screen_expect(&s, "blocks.0.hook_mlp_out · 128 tokens in 8 x 16 · float32");
    screen_expect(&s, "dead features        33.3 %  16");
    screen_expect(&s, "✓ weights       no NaN and no Inf");
    screen_expect(&s, "! equal rows    16 decoder rows equal an earlier one");
    screen_expect(&s, "not open: 1 · Enter loads");
    stop(&s, session);
}

/* L0, FVU and the others are those of the index. */
static void the_numbers_are_the_scans(void **state)
{
    struct session *session = little_open(false);
    struct screen s;
    char text[64];

    (void)state;
    start(&s, session, "overview", 120, 36);
    const struct scan_totals *t = index_totals(session->saes[0].index);
    snprintf(text, sizeof text, "L0                   %.4g ", t->l0);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "FVU                  %.4g ", t->fvu);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "explained variance   %.4g ", t->explained_variance);
    screen_expect(&s, text);
    stop(&s, session);
}

static void rows_load_and_items_open(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "overview", 120, 36);
    screen_type(&s, "j j j j j j Enter"); /* dead features */
    screen_expect(&s, "features: sae 0 feature -1 filter <density = 0>");
    screen_type(&s, "1 G Enter"); /* the row of the other */
    screen_expect(&s, "other · current");
    screen_expect_not(&s, "not open");
    assert_non_null(session->saes[1].sae);
    screen_type(&s, "gg j Enter"); /* L0 of the first card: densities */
    screen_expect(&s, "33.3 % of 48 features are dead");
    screen_expect(&s, "relu · standard");
    stop(&s, session);
}

static void a_card_asked_for_is_brought_into_view(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "overview", 100, 24);
    screen_type(&s, "G Enter");
    screen_expect(&s, "── other · current ──");
    screen_expect(&s, " equal rows ");
    screen_type(&s, "gg Tab");
    screen_expect(&s, "── other · current ──");
    screen_expect(&s, " equal rows ");
    stop(&s, session);
}

static void an_overview_without_samples_says_what_is_missing(void **state)
{
    struct session *session = little_open(true);
    struct screen s;

    (void)state;
    start(&s, session, "overview", 120, 36);
    screen_expect(&s, "no samples (--acts FILE)");
    screen_expect(&s, "L0                   needs --acts");
    screen_expect(&s, "density");
    screen_expect(&s, "needs samples (--acts FILE)");
    screen_expect(&s, "100.0 % < 0");
    stop(&s, session);
}

/* A layer that it was not trained on: said, with what to try. */
static void verdicts_are_plain(void **state)
{
    static const struct {
        struct scan_totals totals;
        double cosine;
        const char *expected;
        enum check_verdict verdict;
    } cases[] = {
        {{.fvu = 4.5, .l0 = 3}, .8, "FVU 4.5 is worse than saying the mean: wrong layer", CHECK_BAD},
        {{.fvu = .7, .l0 = 3}, .8, "FVU 0.7 is high", CHECK_WARNING},
        {{.fvu = .1, .l0 = 3}, .8, "they fit: FVU 0.1", CHECK_GOOD},
        {{.fvu = .1, .l0 = 12}, .8, "L0 12 is not sparse for d_in 16", CHECK_WARNING},
        {{.fvu = .1, .l0 = 3, .dead_fraction = .75}, .8, "75 % of the features are dead",
         CHECK_WARNING},
        {{.fvu = .1, .l0 = 0}, .8, "no feature fires", CHECK_BAD},
        {{.fvu = .1, .l0 = 3}, .02, "is W_enc transposed", CHECK_WARNING},
        {{.fvu = .1, .l0 = 3}, -.6, "is a sign turned", CHECK_BAD},
        {{.fvu = .1, .l0 = 3}, NAN, "reads one space and writes another", CHECK_INFO},
    };
    struct session *session = little_open(false);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct page_info info = {.median_encoder_decoder_cosine = cases[i].cosine};
        struct check check = {.tokens = 8, .median_length = 2};
        struct check_facts facts = {session, 0, &info, &check, &cases[i].totals, ""};
        struct check_line lines[CHECK_LINES];
        int n = checks_make(&facts, lines), found = 0;
        assert_int_equal(n, CHECK_LINES);
        for (int k = 0; k < n; k++)
            if (strstr(lines[k].text, cases[i].expected)) {
                assert_int_equal(lines[k].verdict, cases[i].verdict);
                found++;
            }
        if (found != 1)
            fail_msg("case %zu: not said: %s", i, cases[i].expected);
    }
    session_close(session);
}

/* Without samples nothing is under way: no line looks as if something were to come. */
static void nothing_is_awaited_without_samples(void **state)
{
    struct session *session = little_open(true);
    struct screen s;

    (void)state;
    screen_start(&s, &(struct screen_options){.rows = 36, .cols = 120, .session = session,
                                              .view = "overview"});
    screen_wait(&s);
    screen_expect(&s, "· samples       none (--acts FILE)");
    screen_expect(&s, "· sparsity      ");
    screen_stop(&s);
    session_close(session);
}

/* -- checkpoints that are not like the others --------------------------------------------- */

static struct session *open_only(const char *name)
{
    static char path[256];
    static const char *paths[] = {path};
    struct session_options o = {.paths = paths, .n_paths = 1, .threads = 1};
    struct err err = {0};

    snprintf(path, sizeof path, "%s", test_path(name));
    struct session *session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    return session;
}

static void a_single_feature_is_enough(void **state)
{
    static const float row[] = {.6f, .8f}, bias[] = {-.25f};
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {2, 1}, row},
                        {"W_dec", DTYPE_F32, 2, {1, 2}, row},
                        {"b_enc", DTYPE_F32, 1, {1}, bias},
                        {"b_dec", DTYPE_F32, 1, {2}, NULL}};
    struct screen s;

    (void)state;
    make_dir("single");
    write_safetensors("single/sae_weights.safetensors", a, 4);
    write_text("single/cfg.json", "{}");
    struct session *session = open_only("single");
    start(&s, session, "biases", 80, 24);
    screen_expect(&s, "100.0 % of 1 bias is negative · 0 exactly zero");
    screen_expect(&s, "value -0.25");
    screen_expect(&s, "1 feature in [-0.25, -0.25]");
    screen_type(&s, "h l G gg + - t Space l Space Tab j k Enter");
    screen_type(&s, "1 G gg j j j l h");
    screen_expect(&s, "standard · 2 → 1 (x 0.5)");
    stop(&s, session);
}

enum { H = LITTLE_WORDS, H_SAE = 4 };

/* One of the checkpoints that the panel has something to say about. */
static void put_health(const char *format, const char *cfg, float norm, float bias, bool twice)
{
    static float W_enc[H * H_SAE], W_dec[H_SAE * H], W_clt[H_SAE * 2 * H], b_dec[H];
    static const float b_enc[H_SAE] = {-.5f, -.5f, -.5f, -.5f};
    bool clt = !strcmp(format, "clt"), moss = !strcmp(format, "moss");
    memset(W_dec, 0, sizeof W_dec);
    for (int j = 0; j < H_SAE; j++) {
        W_enc[j * H_SAE + j] = 1;
        W_dec[j * H + (twice && j == 1 ? 0 : j)] = norm;
    }
    for (int j = 0; j < H_SAE; j++)
        memcpy(W_clt + j * 2 * H, W_dec + j * H, H * sizeof *W_clt);
    b_dec[0] = bias;
    struct array all[] = {
        {clt ? "w_enc" : moss ? "W_E" : "W_enc", DTYPE_F32, 2, {H, H_SAE}, W_enc},
        {moss ? "W_D" : "W_dec", DTYPE_F32, 2, {H_SAE, H}, W_dec},
        {moss ? "b_E" : "b_enc", DTYPE_F32, 1, {H_SAE}, b_enc},
        {moss ? "b_D" : "b_dec", DTYPE_F32, 1, {H}, b_dec},
        {"threshold", DTYPE_F32, 1, {H_SAE}, NULL}};
    if (clt)
        all[1] = (struct array){"w_dec", DTYPE_F32, 3, {H_SAE, 2, H}, W_clt};
    make_dir("health");
    make_dir("health/layer_0_clt");
    write_safetensors(clt ? "health/layer_0_clt/params.safetensors"
                          : "health/sae_weights.safetensors", all, clt ? 5 : 4);
    if (cfg)
        write_text(moss ? "health/config.json" : "health/cfg.json", cfg);
}

/* Every line that a checkpoint's own making calls for, as it stands on the screen. */
static void the_health_panel_says_what_is_odd(void **state)
{
    static const struct {
        const char *format, *cfg;
        float norm, bias;
        bool twice, no_samples, target;
        const char *hook, *says[3];
    } cases[] = {
        {"saelens", "{}", 1, 0, false, false, false, NULL,
         {"✓ decoder norms all of unit length", "· b_dec         zero; the samples' mean has length",
          "✓ weights       no NaN and no Inf"}},
        {"saelens", "{\"normalize_activations\":\"expected_average_only_in\"}", 1, 0, false, false,
         false, NULL, {"! samples       trained on activations times a factor that no file has: "
                       "--norm-factor"}},
        {"saelens", "{\"normalize_activations\":\"constant_norm_rescale\"}", 1, 2, false, false,
         false, NULL, {"scaled to that length", "(inputs are normalised: lengths differ)"}},
        {"saelens", "{}", 0, 0, false, false, false, NULL,
         {"! decoder norms 4 of length 0: these features write nothing",
          "! equal rows    3 decoder rows equal an earlier one"}},
        {"saelens", "{}", 2, 1, true, false, false, NULL,
         {"· decoder norms 2 to 2, mean 2: activations of different features are not on one scale "
          "(--fold-decoder-norms on)", "! equal rows    1 decoder row equals an earlier one"}},
        {"saelens", "{\"architecture\":\"topk\",\"k\":2,\"rescale_acts_by_decoder_norm\":true}", 2,
         0, false, false, false, NULL, {"✓ decoder norms 2 to 2, mean 2, folded into the activations"}},
        {"moss", "{\"act_fn\":\"topk\",\"top_k\":2,\"sparsity_include_decoder_norm\":true,"
                 "\"norm_activation\":\"inference\"}", 2, 0, false, false, false, NULL,
         {"· decoder norms 2 to 2, mean 2: activations of different features are not on one scale"}},
        {"saelens", "{}", NAN, 0, false, false, false, NULL,
         {"✗ weights       NaN or Inf in the weights of 4 features: left out"}},
        {"saelens", "{}", 1, NAN, false, false, false, NULL, {"NaN or Inf in the weights of 4 "
                                                               "features: left out"}},
        {"saelens", "{\"hook_name\":\"blocks.3.hook_mlp_out\"}", 1, 0, false, false, false,
         "blocks.1.hook_resid_pre", {"! hook          trained at blocks.3.hook_mlp_out, the samples "
                                      "are said to be from blocks.1.hook_resid_pre"}},
        {"saelens", "{}", 1, 0, false, true, false, NULL,
         {"· samples       none (--acts FILE)", "· b_dec         set against the mean of the samples"}},
        {"saelens", "{\"architecture\":\"transcoder\"}", 1, 0, false, false, false, NULL,
         {"· b_dec         of another space than the samples", "FVU                  needs --target"}},
        {"clt", NULL, 1, 0, false, false, true, NULL,
         {"· samples       FVU 0.", "of what one layer of a cross-layer transcoder adds"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static char path[256], acts[256];
        static const char *paths[] = {path}, *files[] = {acts};
        struct session_options o = {.paths = paths, .n_paths = 1, .threads = 1,
                                    .hook = cases[i].hook, .no_index = true};
        struct err err = {0};
        struct screen s;
        put_health(cases[i].format, cases[i].cfg, cases[i].norm, cases[i].bias, cases[i].twice);
        snprintf(path, sizeof path, "%s", test_path(cases[i].target ? "health/layer_0_clt"
                                                                    : "health"));
        snprintf(acts, sizeof acts, "%s", test_path("little/acts.npy"));
        o.acts = cases[i].no_samples ? NULL : files;
        o.n_acts = !cases[i].no_samples;
        o.target = cases[i].target ? acts : NULL;
        struct session *session = session_open(&o, NULL, &err);
        if (!session)
            fail_msg("case %zu: %s", i, err.msg);
        start(&s, session, "overview", 200, 60);
        for (int k = 0; k < 3 && cases[i].says[k]; k++)
            screen_expect(&s, cases[i].says[k]);
        screen_expect_not(&s, "do not vary");
        stop(&s, session);
        unlink(test_path("health/cfg.json"));
        unlink(test_path("health/config.json"));
    }
}

static void a_gated_one_has_two_biases(void **state)
{
    static const float w[] = {1, 0, 0, 1}, gate[] = {-1, 1}, mag[] = {.5f, .5f};
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {2, 2}, w},
                        {"W_dec", DTYPE_F32, 2, {2, 2}, w},
                        {"b_gate", DTYPE_F32, 1, {2}, gate},
                        {"b_mag", DTYPE_F32, 1, {2}, mag},
                        {"r_mag", DTYPE_F32, 1, {2}, NULL},
                        {"b_dec", DTYPE_F32, 1, {2}, NULL}};
    struct screen s;

    (void)state;
    make_dir("gated");
    write_safetensors("gated/sae_weights.safetensors", a, 6);
    write_text("gated/cfg.json", "{\"architecture\":\"gated\"}");
    struct session *session = open_only("gated");
    start(&s, session, "biases", 80, 24);
    screen_expect(&s, " b_gate   b_mag   b_dec");
    screen_expect(&s, "50.0 % of 2 biases are negative");
    screen_expect(&s, "the gate: on where m > -b_gate");
    screen_type(&s, ": \"of b_enc\" Enter");
    screen_expect(&s, "this checkpoint has no b_enc");
    screen_type(&s, "Esc ]");
    screen_expect(&s, "0.0 % of 2 biases are negative");
    screen_type(&s, "Enter");
    screen_expect(&s, "the table of features has no column b_mag");
    screen_type(&s, "1");
    screen_expect(&s, "b_gate 50.0 % < 0");
    stop(&s, session);
}

/* -- both --------------------------------------------------------------------------------- */

/* Keys and the mouse everywhere, at every size, in ASCII and without colour. */
static void nothing_breaks_at_any_size(void **state)
{
    static const int sizes[][2] = {{60, 16}, {80, 24}, {100, 20}, {120, 36}, {200, 60}};
    static const char *const shown[] = {"overview", "biases"};
    struct session *session = open_both();
    struct screen s;

    (void)state;
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 4; k++) {
            screen_start(&s, &(struct screen_options){
                                 .views = views, .cols = sizes[i][0], .rows = sizes[i][1],
                                 .view = shown[k % 2], .session = session,
                                 .ascii = k / 2, .mono = k / 2});
            screen_type(&s, "l l h j k Tab j j Tab Tab t + + - ] ] ] [ s I ^D ^U ^F ^B G gg ? q");
            for (int row = 1; row < sizes[i][1] - 2; row += 3)
                for (int col = 0; col < sizes[i][0]; col += 17) {
                    screen_mouse(&s, MOUSE_PRESS, 1, row, col);
                    screen_mouse(&s, MOUSE_WHEEL, 1, row, col);
                }
            char *text = screen_text(&s);
            for (const char *p = text; k / 2 && *p; p++)
                assert_true(*p > 0); /* ASCII */
            free(text);
            screen_resize(&s, 1, 1);
            free(screen_text(&s));
            screen_stop(&s);
        }
    session_close(session);
}

/* Painters on canvases smaller than any terminal. */
static void tiny_canvases_are_fine(void **state)
{
    struct session *session = open_both();
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_type(&s, "1 4");
    for (int rows = 1; rows < 30; rows += 2)
        for (int cols = 1; cols < 130; cols += 3) {
            struct canvas c;
            canvas_init(&c, rows, cols);
            view_biases_ops.draw(app_view(s.app, "biases"), &c);
            view_overview_ops.draw(app_view(s.app, "overview"), &c);
            canvas_finish(&c);
        }
    stop(&s, session);
}

/* What w writes has docs/commands.md's keys and the numbers that are shown. */
static json_t *written(struct screen *s, const char *file)
{
    char keys[400];
    const char *path = test_path(file);

    unlink(path);
    snprintf(keys, sizeof keys, ": \"write %s\" Enter", path);
    screen_type(s, keys);
    json_t *j = json_load_file(path, 0, NULL);
    assert_non_null(j);
    return j;
}

static void what_is_written_is_what_the_commands_print(void **state)
{
    struct session *session = little_open(false);
    struct screen s;

    (void)state;
    start(&s, session, "biases", 120, 36);
    json_t *j = written(&s, "hist.json");
    assert_string_equal(json_string_value(json_object_get(j, "of")), "b_enc");
    assert_int_equal(json_integer_value(json_object_get(j, "count")), 48);
    json_t *h = json_object_get(j, "histogram");
    assert_int_equal(json_array_size(json_object_get(h, "edges")), 65);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(h, "counts"), 63)), 16);
    json_decref(j);
    screen_type(&s, "1");
    j = written(&s, "info.json");
    assert_string_equal(json_string_value(json_object_get(j, "architecture")), "standard");
    assert_true(fabs(json_number_value(json_object_get(json_object_get(j, "b_enc"), "mean")) +
                     23. / 6) < 1e-6);
    const struct scan_totals *t = index_totals(session->saes[0].index);
    json_t *scan = json_object_get(j, "scan");
    assert_true(fabs(json_number_value(json_object_get(scan, "fvu")) - t->fvu) < 1e-8);
    json_decref(j);
    stop(&s, session);
}

/* -- view 4, a series ------------------------------------------------------------------------ */

/* Three steps of a run whose biases rise by 1 each time. */
static struct session *open_run(bool samples)
{
    static char path[256], acts[256];
    static const char *paths[] = {path}, *all_acts[] = {acts};
    struct session_options o = {.paths = paths, .n_paths = 1, .threads = 1};
    struct err err = {0};

    little_put_run();
    snprintf(path, sizeof path, "%s", test_path("run"));
    snprintf(acts, sizeof acts, "%s", test_path("little/acts.npy"));
    if (samples) {
        o.acts = all_acts;
        o.n_acts = 1;
    }
    struct session *session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    return session;
}

static void a_series_shows_what_moves(void **state)
{
    static const int sizes[][2] = {{200, 60}, {120, 36}, {80, 24}};
    struct screen s;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct session *session = open_run(false);
        start(&s, session, "biases", sizes[i][0], sizes[i][1]);
        screen_expect(&s, "b_enc of 3 checkpoints by step, 10 to 100");
        /* 16 each of -0.5, -1, -10, and so on */
        screen_expect(&s, "mean -4.833 → -2.833 · < 0: 100.0 % → 33.3 %");
        screen_expect(&s, "-3.833");
        screen_type(&s, "j");
        screen_expect(&s, "series · 2/3 step_20");
        screen_type(&s, "Tab");
        screen_expect(&s, "b_enc by step");
        screen_expect(&s, "fraction < 0");
        screen_type(&s, "Tab G Enter"); /* the histogram of that one */
        screen_expect(&s, "33.3 % of 48 biases are negative");
        stop(&s, session);
    }
}

static void a_series_is_scanned_one_by_one(void **state)
{
    struct session *session = open_run(true);
    struct screen s;
    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_type(&s, ": \"of density\" Enter");
    screen_expect(&s, "density of 3 checkpoints by step, 10 to 100");
    screen_expect_not(&s, "known");
    for (int i = 0; i < 3; i++) /* all of them have an index now */
        assert_int_equal(desk_sae(app_view(s.app, "biases")->desk, i)->state, DESK_COMPLETE);
    screen_expect(&s, "dead: ");
    stop(&s, session);
    session = open_run(false);
    start(&s, session, "biases", 120, 36);
    screen_type(&s, ": \"of density\" Enter");
    screen_expect(&s, "needs activation samples (--acts FILE)");
    stop(&s, session);
}

static void a_broken_member_does_not_stop_the_others(void **state)
{
    struct session *session = open_run(false);
    struct screen s;
    (void)state;
    rename(test_path("run/step_20"), test_path("run/away"));
    start(&s, session, "biases", 120, 36);
    screen_expect(&s, "2 known");
    screen_expect(&s, "run/step_20: ");
    screen_expect(&s, "mean -4.833 → -2.833");
    rename(test_path("run/away"), test_path("run/step_20"));
    screen_type(&s, "R");
    screen_expect_not(&s, "known");
    screen_expect(&s, "-3.833");
    stop(&s, session);
}

static void a_series_is_written_with_its_bins(void **state)
{
    struct session *session = open_run(false);
    struct screen s;
    char keys[400], line[600];
    (void)state;
    start(&s, session, "biases", 120, 36);
    json_t *j = written(&s, "series.json");
    const json_t *all = json_object_get(j, "histograms");
    assert_int_equal(json_array_size(all), 3);
    for (size_t k = 0; k < 3; k++) {
        static const int steps[] = {10, 20, 100};
        const json_t *one = json_array_get(all, k);
        const json_t *edges = json_object_get(json_object_get(one, "histogram"), "edges");
        assert_int_equal(json_integer_value(json_object_get(one, "step")), steps[k]);
        assert_true(json_number_value(json_array_get(edges, 0)) == -11);
        assert_true(json_number_value(json_array_get(edges, 64)) == 0.5);
        assert_true(fabs(json_number_value(json_object_get(
                             json_object_get(one, "quantiles"), "p50")) - ((double)k - 2)) < 1e-6);
    }
    json_decref(j);
    unlink(test_path("series.tsv"));
    snprintf(keys, sizeof keys, ": \"write %s\" Enter", test_path("series.tsv"));
    screen_type(&s, keys);
    FILE *f = fopen(test_path("series.tsv"), "r");
    assert_non_null(f);
    int lines = 0, count = 0;
    while (fgets(line, sizeof line, f))
        if (lines++)
            count += atoi(strrchr(line, '\t'));
    fclose(f);
    assert_int_equal(lines, 1 + 3 * 64);
    assert_int_equal(count, 3 * 48);
    screen_type(&s, "s"); /* the histogram alone has its bins as well */
    unlink(test_path("series.tsv"));
    screen_type(&s, keys);
    f = fopen(test_path("series.tsv"), "r");
    for (lines = 0; fgets(line, sizeof line, f); lines++)
        ;
    fclose(f);
    assert_int_equal(lines, 1 + 64);
    stop(&s, session);
}

static void chosen_ones_are_a_series_too(void **state)
{
    struct session *session = open_both();
    struct screen s;
    (void)state;
    start(&s, session, "biases", 120, 36);
    screen_type(&s, "s");
    screen_expect(&s, "b_enc of 2 checkpoints by checkpoint, relu to other");
    stop(&s, session);
    session = little_open(true);
    start(&s, session, "biases", 120, 36);
    screen_type(&s, "s");
    screen_expect(&s, "no series: open several checkpoints, or a directory of step_*");
    stop(&s, session);
}

static void a_series_fits_any_size(void **state)
{
    struct session *session = open_run(false);
    struct screen s;
    (void)state;
    for (int ascii = 0; ascii < 2; ascii++) {
        screen_start(&s, &(struct screen_options){.views = views, .cols = 120, .rows = 36,
                                                  .view = "biases", .session = session,
                                                  .ascii = ascii, .mono = ascii});
        screen_type(&s, "j + + - t ] ] ] ^D ^U G gg Tab [ s s");
        char *text = screen_text(&s);
        for (const char *p = text; ascii && *p; p++)
            assert_true(*p > 0);
        free(text);
        for (int rows = 1; rows < 40; rows += 2)
            for (int cols = 1; cols < 210; cols += 5) {
                struct canvas c;
                canvas_init(&c, rows, cols);
                view_biases_ops.draw(app_view(s.app, "biases"), &c);
                canvas_finish(&c);
            }
        screen_mouse(&s, MOUSE_WHEEL, 1, 10, 10);
        screen_stop(&s);
    }
    session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_headline_answers_at_a_glance),
        cmocka_unit_test(a_bar_lists_its_features_and_filters_the_table),
        cmocka_unit_test(bars_are_taken_together),
        cmocka_unit_test(the_list_opens_a_feature),
        cmocka_unit_test(every_quantity_has_its_headline),
        cmocka_unit_test(what_is_not_of_features_says_so),
        cmocka_unit_test(bins_and_axes_change),
        cmocka_unit_test(without_samples_the_weights_are_shown),
        cmocka_unit_test(chosen_checkpoints_are_overlaid),
        cmocka_unit_test(the_mouse_takes_bars_tabs_and_rows),
        cmocka_unit_test(filters_are_exact_and_short),
        cmocka_unit_test(a_card_says_what_is_open),
        cmocka_unit_test(the_numbers_are_the_scans),
        cmocka_unit_test(rows_load_and_items_open),
        cmocka_unit_test(a_card_asked_for_is_brought_into_view),
        cmocka_unit_test(an_overview_without_samples_says_what_is_missing),
        cmocka_unit_test(verdicts_are_plain),
        cmocka_unit_test(nothing_is_awaited_without_samples),
        cmocka_unit_test(a_single_feature_is_enough),
        cmocka_unit_test(the_health_panel_says_what_is_odd),
        cmocka_unit_test(a_gated_one_has_two_biases),
        cmocka_unit_test(nothing_breaks_at_any_size),
        cmocka_unit_test(tiny_canvases_are_fine),
        cmocka_unit_test(what_is_written_is_what_the_commands_print),
        cmocka_unit_test(a_series_shows_what_moves),
        cmocka_unit_test(a_series_is_scanned_one_by_one),
        cmocka_unit_test(a_broken_member_does_not_stop_the_others),
        cmocka_unit_test(a_series_is_written_with_its_bins),
        cmocka_unit_test(chosen_ones_are_a_series_too),
        cmocka_unit_test(a_series_fits_any_size),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
