/* The desk behind the views: what it loads, opens and scans by itself, names, labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "little.h"
#include "screen.h"
#include "model/session_lm.h"
#include "tui/desk.h"

/* A view that counts how often it hears that something has changed. */
static int heard;

static void probe_changed(struct view *v)
{
    (void)v;
    heard++;
}

static void probe_draw(const struct view *v, struct canvas *c)
{
    char text[600];
    canvas_text(c, 0, 0, INK_TEXT,
                desk_state_text(v->desk, desk_current(v->desk), text, sizeof text));
}

static const struct view_ops probe = {.name = "probe", .digit = 1, .draw = probe_draw,
                                      .changed = probe_changed};
static const struct view_ops *const probes[] = {&probe, NULL};

static struct desk *start(struct screen *s, bool weights_only)
{
    screen_start(s, &(struct screen_options){.views = probes, .cols = 120,
                                             .session = little_open(weights_only)});
    return app_view(s->app, "probe")->desk;
}

static void stop(struct screen *s)
{
    struct session *session = desk_session(app_view(s->app, "probe")->desk);
    screen_stop(s);
    session_close(session);
}

static int setup(void **state)
{
    (void)state;
    little_make();
    return 0;
}

static void a_scan_starts_by_itself_and_its_index_is_found_again(void **state)
{
    struct screen s;
    (void)state;
    for (int round = 0; round < 2; round++) {
        heard = 0;
        struct desk *d = start(&s, false);
        const struct desk_sae *e = desk_sae(d, 0);
        struct session *session = desk_session(d);
        assert_int_equal(e->state, DESK_COMPLETE);
        assert_non_null(session->saes[0].index);
        assert_int_equal(heard > 0, 1);
        assert_int_equal(desk_sae(d, 1)->state, DESK_UNLOADED);
        assert_null(session->saes[1].sae);
        /* What the definition of the bundle says, by hand. */
        int64_t count[LITTLE_WORDS] = {0};
        for (int t = 0; t < LITTLE_SEQ * LITTLE_LEN; t++)
            count[little_id(t)]++;
        for (int j = 0; j < LITTLE_SAE; j++) {
            double want = j < 16 ? (double)count[j] : 0;
            if (j >= 16 && j < 32)
                for (int t = 0; t < LITTLE_SEQ * LITTLE_LEN; t++)
                    want += (little_id(t) == j % 16 || little_id(t) == (j + 1) % 16) &&
                            little_strength(t) > 1;
            assert_true(e->table.v[FCOL_ACTIVE][j] == want);
            assert_true(e->table.v[FCOL_DENSITY][j] == want / 128);
        }
        assert_true(e->table.v[FCOL_BIAS][0] == -0.5 && e->table.v[FCOL_BIAS][40] == -10);
        screen_expect(&s, "little · relu · standard 16 → 48 · blocks.0.hook_mlp_out · "
                          "128 tokens");
        stop(&s);
    }
}

static void weights_alone_are_said_to_be_so(void **state)
{
    struct screen s;
    (void)state;
    struct desk *d = start(&s, true);
    const struct desk_sae *e = desk_sae(d, 0);
    assert_int_equal(e->state, DESK_WEIGHTS);
    assert_int_equal(e->table.n, LITTLE_SAE);
    assert_non_null(e->table.v[FCOL_BIAS]);
    assert_true(e->table.v[FCOL_DECODER_NORM][3] == 1);
    assert_null(e->table.v[FCOL_DENSITY]);
    assert_string_equal(desk_auto_name(d, 0, 1), "");
    screen_expect(&s, "weights only: no samples");
    stop(&s);
}

static void others_are_loaded_when_chosen(void **state)
{
    struct screen s;
    (void)state;
    struct desk *d = start(&s, false);
    assert_int_equal(desk_find(d, "other"), 1);
    assert_int_equal(desk_find(d, "OTH"), 1);
    assert_int_equal(desk_find(d, "el"), 0);
    assert_int_equal(desk_find(d, "x"), -1);
    assert_int_equal(desk_find(d, "e"), -1); /* both */
    desk_choose(d, 1);
    assert_int_equal(desk_sae(d, 1)->state, DESK_LOADING);
    screen_wait(&s);
    assert_int_equal(desk_current(d), 1);
    assert_int_equal(desk_sae(d, 1)->state, DESK_COMPLETE);
    assert_true(desk_sae(d, 1)->table.v[FCOL_BIAS][0] == -0.25);
    screen_expect(&s, "little · other · standard");
    assert_int_equal(desk_go(d, &TARGET_NONE), 1); /* wherever one is */
    assert_int_equal(desk_go(d, &(struct target){.sae = 0, .feature = 3, .token = -1}), 0);
    stop(&s);
}

static void a_partner_is_there_picked_and_swapped(void **state)
{
    struct screen s;
    (void)state;
    struct desk *d = start(&s, false);
    assert_int_equal(desk_partner(d), 1);
    assert_int_equal(desk_sae(d, 1)->state, DESK_UNLOADED); /* nobody needs it yet */
    screen_type(&s, "x");
    assert_int_equal(desk_current(d), 1);
    assert_int_equal(desk_partner(d), 0);
    screen_expect(&s, "A is other, B is relu");
    screen_type(&s, "x");
    assert_int_equal(desk_current(d), 0);
    screen_type(&s, "c \"relu\" Enter");
    screen_expect(&s, "relu is A itself");
    screen_type(&s, "Esc c \"oth\" Enter");
    screen_expect(&s, "B is other");
    desk_go(d, &(struct target){.sae = 1, .feature = 3, .token = -1});
    assert_int_equal(desk_partner(d), 0);
    stop(&s);

    d = start(&s, true);
    assert_int_equal(desk_partner(d), -1);
    screen_type(&s, "x");
    screen_expect(&s, "only one checkpoint is open");
    screen_type(&s, "c");
    screen_expect(&s, "only one checkpoint is open");
    stop(&s);
}

/* A third one, so that one is neither current nor partner. */
static void tables_that_nobody_needs_are_let_go_and_come_back(void **state)
{
    struct screen s;
    (void)state;
    little_put_sae("little/saes/third", 0.5f);
    const char *paths[] = {test_path("little")}, *saes[] = {"relu", "other",
                                                            test_path("little/saes/third")};
    struct session_options o = {.paths = paths, .n_paths = 1, .saes = saes, .n_saes = 3,
                                .threads = 1};
    struct session *session = session_open(&o, NULL, NULL);
    assert_int_equal(session->n_chosen, 3);
    screen_start(&s, &(struct screen_options){.views = probes, .session = session});
    struct desk *d = app_view(s.app, "probe")->desk;
    for (int i = 0; i < 3; i++)
        assert_non_null(desk_sae(d, i)->table.v[FCOL_DENSITY]);
    double density = desk_sae(d, 2)->table.v[FCOL_DENSITY][3];

    stop(&s);

    session = session_open(&o, NULL, NULL);
    session->options.memory = 1;
    screen_start(&s, &(struct screen_options){.views = probes, .session = session});
    d = app_view(s.app, "probe")->desk;
    const struct index *index = session->saes[2].index;
    assert_int_equal(desk_sae(d, 2)->state, DESK_COMPLETE);
    assert_null(desk_sae(d, 2)->table.v[FCOL_DENSITY]);
    assert_non_null(desk_sae(d, 2)->table.v[FCOL_BIAS]);
    assert_non_null(desk_sae(d, 0)->table.v[FCOL_DENSITY]);
    assert_non_null(desk_sae(d, 1)->table.v[FCOL_DENSITY]);
    desk_set_partner(d, 2);
    screen_wait(&s);
    assert_true(desk_sae(d, 2)->table.v[FCOL_DENSITY][3] == density);
    assert_ptr_equal(session->saes[2].index, index); /* jobs may have it */
    assert_null(desk_sae(d, 1)->table.v[FCOL_DENSITY]);
    stop(&s);
}

static void a_cancelled_scan_starts_again_with_R(void **state)
{
    struct screen s;
    (void)state;
    nftw(test_path("cache"), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    struct session *session = little_open(false);
    session->options.no_index = true;
    s = (struct screen){0};
    screen_start(&s, &(struct screen_options){.views = probes, .cols = 120,
                                              .session = session});
    struct desk *d = app_view(s.app, "probe")->desk;
    desk_choose(d, 1);
    while (desk_sae(d, 1)->state <= DESK_OPENING)
        app_reap(s.app);
    /* A job that is cancelled before it has begun is as good as one that is running. */
    for (int k = 0; k < 3; k++)
        screen_press(&s, K_CTRL | 'c');
    screen_wait(&s);
    if (desk_sae(d, 1)->state == DESK_WEIGHTS) { /* else it was faster than the key */
        assert_int_equal(desk_sae(d, 1)->err.code, ERR_CANCELLED);
        screen_type(&s, "j");
        screen_expect(&s, "scan cancelled: R starts it again");
        screen_type(&s, "R");
    }
    assert_int_equal(desk_sae(d, 1)->state, DESK_COMPLETE);
    assert_int_equal(desk_sae(d, 1)->err.code, ERR_NONE);
    stop(&s);
}

static void checkpoints_that_do_not_load_say_why(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = little_open(false);
    rename(test_path("little/saes/other"), test_path("little/saes/away"));
    screen_start(&s, &(struct screen_options){.views = probes, .cols = 200,
                                              .session = session});
    struct desk *d = app_view(s.app, "probe")->desk;
    desk_choose(d, 1);
    screen_wait(&s);
    assert_int_equal(desk_sae(d, 1)->state, DESK_UNLOADED);
    assert_int_equal(desk_sae(d, 1)->err.code, ERR_OS);
    screen_expect(&s, "little/saes/other: ");
    screen_expect(&s, "No such file");
    rename(test_path("little/saes/away"), test_path("little/saes/other"));
    screen_type(&s, "R");
    assert_int_equal(desk_sae(d, 1)->state, DESK_COMPLETE);
    stop(&s);
}

static void features_have_names(void **state)
{
    struct screen s;
    bool is_label;
    (void)state;
    struct desk *d = start(&s, false);
    assert_string_equal(desk_auto_name(d, 0, 2), "God");
    assert_string_equal(desk_name(d, 0, 40, &is_label), "");
    const char *pair = desk_auto_name(d, 0, 17);
    assert_non_null(strstr(pair, "LORD"));
    assert_non_null(strstr(pair, " · "));
    assert_non_null(strstr(pair, "God"));

    assert_true(desk_set_favourite(d, 0, 2, true));
    assert_true(desk_set_label(d, 0, 2, "deity", "checked by hand"));
    assert_true(desk_labels_version(d) == 2);
    assert_true(desk_favourite(d, 0, 2));
    assert_string_equal(desk_name(d, 0, 2, &is_label), "deity");
    assert_true(is_label);
    stop(&s);

    d = start(&s, false); /* they were saved */
    assert_string_equal(desk_label(d, 0, 2), "deity");
    assert_string_equal(desk_note(d, 0, 2), "checked by hand");
    assert_true(desk_favourite(d, 0, 2));
    assert_true(desk_set_label(d, 0, 2, "", ""));
    assert_string_equal(desk_name(d, 0, 2, &is_label), "God");
    assert_false(is_label);
    stop(&s);
}

static void tokens_are_fit_to_be_shown(void **state)
{
    struct screen s;
    size_t len;
    (void)state;
    struct desk *d = start(&s, false);
    assert_string_equal(desk_token_text(d, 1), " LORD");
    assert_memory_equal(desk_token_bytes(d, 2, &len), " God", 4);
    assert_int_equal(len, 4);
    assert_string_equal(desk_token_text(d, -1), "");
    for (int64_t id = 100; id < 2000; id++) { /* beyond the vocabulary; many */
        char want[16];
        snprintf(want, sizeof want, "<%d>", (int)id);
        assert_string_equal(desk_token_text(d, id), want);
    }
    assert_string_equal(desk_token_text(d, 1), " LORD");
    stop(&s);
}

/* Bytes that are only part of a character can be told from each other. */
static void bytes_of_characters_are_shown(void **state)
{
    static char path[256], tokenizer[256];
    static const char *paths[] = {path};
    struct screen s;
    struct err err = {0};
    (void)state;
    write_text("bytes.json", "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"decoder\":"
                             "{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"merges\":[],"
                             "\"vocab\":{\"\u00c3\":0,\"\u00e2\":1,\"\u00c3\u00a9\":2,\"a\":3}}}");
    snprintf(path, sizeof path, "%s", test_path("little"));
    snprintf(tokenizer, sizeof tokenizer, "%s", test_path("bytes.json"));
    struct session_options o = {.paths = paths, .n_paths = 1, .threads = 1,
                                .tokenizer = tokenizer};
    struct session *session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    screen_start(&s, &(struct screen_options){.session = session, .view = "features"});
    struct desk *d = app_view(s.app, "features")->desk;
    assert_string_equal(desk_token_text(d, 0), "\\xc3");
    assert_string_equal(desk_token_text(d, 1), "\\xe2");
    assert_string_equal(desk_token_text(d, 2), "\u00e9");
    assert_string_equal(desk_token_text(d, 3), "a");
    screen_stop(&s);
    session_close(session);
}

static void selections_count(void **state)
{
    struct screen s;
    (void)state;
    struct desk *d = start(&s, false);
    assert_false(desk_selected(d, 0, 47));
    desk_select(d, 0, 47, true);
    desk_select(d, 0, 0, true);
    desk_select(d, 0, 0, true);
    assert_int_equal(desk_selected_count(d, 0), 2);
    assert_true(desk_selected(d, 0, 47) && !desk_selected(d, 0, 46));
    assert_false(desk_selected(d, 1, 47));
    desk_select(d, 0, 47, false);
    assert_int_equal(desk_selected_count(d, 0), 1);
    desk_select_none(d, 0);
    assert_false(desk_selected(d, 0, 0));
    assert_int_equal(desk_selected_count(d, 0), 0);
    stop(&s);
}

static void nearest_cosines_come_when_asked_for(void **state)
{
    struct screen s;
    (void)state;
    struct desk *d = start(&s, false);
    const struct desk_sae *e = desk_sae(d, 0);
    assert_null(e->table.v[FCOL_NEAREST_COSINE]);
    desk_need_nearest(d, 0);
    assert_true(e->nearest_busy);
    desk_need_nearest(d, 0);
    screen_wait(&s);
    assert_false(e->nearest_busy);
    assert_true(e->table.v[FCOL_NEAREST_COSINE][0] > 0.999); /* 32 writes the same */
    stop(&s);
}

/* The desk of the bundle with that model. */
static struct desk *start_lm(struct screen *s, const char *model)
{
    screen_start(s, &(struct screen_options){.views = probes, .cols = 200,
                                             .session = little_open_at("little", model)});
    return app_view(s->app, "probe")->desk;
}

static void the_language_model_opens_when_asked_for(void **state)
{
    struct screen s;
    struct lm_hook hook = {0};
    struct err err = {0};
    (void)state;
    struct desk *d = start_lm(&s, little_model());
    assert_int_equal(desk_lm_state(d), DESK_LM_CLOSED);
    assert_null(desk_lm_at(d, 0, &hook, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    desk_need_lm(d);
    desk_need_lm(d);
    assert_int_equal(desk_lm_state(d), DESK_LM_OPENING);
    heard = 0;
    screen_wait(&s);
    assert_int_equal(desk_lm_state(d), DESK_LM_OPEN);
    assert_int_equal(heard, 1);
    assert_true(lm_d_model(desk_lm(d)) == LITTLE_WORDS);
    assert_ptr_equal(desk_lm_at(d, 0, &hook, &err), desk_lm(d));
    assert_int_equal(hook.layer, 0);
    assert_int_equal(hook.site, LM_MLP_OUT);
    assert_null(desk_lm_at(d, 1, &hook, &err)); /* not loaded */
    assert_int_equal(err.code, ERR_CANCELLED);
    desk_choose(d, 1);
    screen_wait(&s);
    assert_non_null(desk_lm_at(d, 1, &hook, &err));
    desk_session(d)->options.hook = "blocks.7.hook_resid_pre";
    assert_null(desk_lm_at(d, 1, &hook, &err));
    assert_int_equal(err.code, ERR_RANGE);
    stop(&s);
}

static void a_missing_language_model_names_the_option(void **state)
{
    struct screen s;
    struct lm_hook hook;
    struct err err = {0};
    (void)state;
    struct desk *d = start(&s, false);
    desk_need_lm(d);
    screen_wait(&s);
    assert_int_equal(desk_lm_state(d), DESK_LM_FAILED);
    assert_null(desk_lm_at(d, 0, &hook, &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_non_null(strstr(err.msg, "--model DIR"));
    stop(&s);
}

static void a_language_model_that_does_not_open_is_tried_again(void **state)
{
    struct screen s;
    struct lm_hook hook;
    struct err err = {0};
    char away[256];
    (void)state;
    snprintf(away, sizeof away, "%s", test_path("model"));
    struct desk *d = start_lm(&s, away);
    desk_need_lm(d);
    screen_wait(&s);
    assert_int_equal(desk_lm_state(d), DESK_LM_FAILED);
    assert_null(desk_lm_at(d, 0, &hook, &err));
    assert_int_equal(err.code, ERR_OS);
    screen_expect(&s, "No such file");
    assert_int_equal(symlink(little_model(), away), 0);
    screen_type(&s, "R");
    assert_int_equal(desk_lm_state(d), DESK_LM_OPEN);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scan_starts_by_itself_and_its_index_is_found_again),
        cmocka_unit_test(weights_alone_are_said_to_be_so),
        cmocka_unit_test(others_are_loaded_when_chosen),
        cmocka_unit_test(a_partner_is_there_picked_and_swapped),
        cmocka_unit_test(tables_that_nobody_needs_are_let_go_and_come_back),
        cmocka_unit_test(a_cancelled_scan_starts_again_with_R),
        cmocka_unit_test(checkpoints_that_do_not_load_say_why),
        cmocka_unit_test(features_have_names),
        cmocka_unit_test(tokens_are_fit_to_be_shown),
        cmocka_unit_test(bytes_of_characters_are_shown),
        cmocka_unit_test(selections_count),
        cmocka_unit_test(nearest_cosines_come_when_asked_for),
        cmocka_unit_test(the_language_model_opens_when_asked_for),
        cmocka_unit_test(a_missing_language_model_names_the_option),
        cmocka_unit_test(a_language_model_that_does_not_open_is_tried_again),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
