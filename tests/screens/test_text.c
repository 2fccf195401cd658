/* View 8 on the screen: typing, the samples' sequences, features taken out, what goes wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "little.h"
#include "model/prompt.h"
#include "model/session_lm.h"
#include "screen.h"
#include "tui/desk.h"
#include "tui/view_text.h"

/* Words of the little bundle, each with its space, found whole. */
static void put_tokenizer(void)
{
    char text[2048], *p = text;
    p += sprintf(p, "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":"
                    "{\"Regex\":\" \\\\w+\"}},\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,"
                    "\"merges\":[],\"vocab\":");
    for (int i = 0; i < LITTLE_WORDS; i++)
        p += sprintf(p, "%c\"%s\":%d", i ? ',' : '{', little_word[i], i);
    sprintf(p, "}}}");
    write_text("little/tokenizer.json", text);
}

static int setup(void **state)
{
    (void)state;
    little_make();
    put_tokenizer();
    return 0;
}

static void start(struct screen *s, struct session *session, int rows, int cols)
{
    screen_start(s, &(struct screen_options){.rows = rows, .cols = cols, .session = session,
                                             .view = "text"});
    screen_wait(s);
}

static void stop(struct screen *s, struct session *session)
{
    screen_stop(s);
    session_close(session);
}

/* The same by itself. */
static struct page_prompt page_of(struct session *session, const int64_t *ids, int64_t n,
                                  const struct prompt_options *o)
{
    struct lm_hook hook;
    struct page_prompt page = {0};
    struct err err = {0};
    struct lm *lm = session_lm_open(session, 0, NULL, &err);
    assert_true(lm && session_load(session, 0, NULL, &err) &&
                session_lm_hook(session, 0, lm, &hook, &err));
    struct prompt_engine *e =
        prompt_engine_new(lm, &hook, session->saes[0].sae, 1, NULL, &err);
    assert_true(e && prompt_run(e, ids, n, o, NULL, &page, &err));
    prompt_engine_unref(e);
    lm_close(lm);
    return page;
}

static void expect_loss(struct screen *s, double loss)
{
    char text[64];
    snprintf(text, sizeof text, "loss %.4f nats", loss);
    screen_expect(s, text);
}

static const struct text_view *state_of(struct screen *s)
{
    return app_view(s->app, "text")->state;
}

static void a_sequence_of_the_samples(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open_lm(), *other = little_open_lm();
    int64_t ids[LITTLE_LEN];
    start(&s, session, 36, 120);
    for (int64_t q = 0; q < 2; q++) {
        samples_ids(other->samples, q * LITTLE_LEN, LITTLE_LEN, ids);
        struct page_prompt want = page_of(other, ids, LITTLE_LEN, &(struct prompt_options){0});
        screen_expect(&s, "16 tokens");
        expect_loss(&s, want.ce);
        screen_expect(&s, q ? "sequence 1" : "sequence 0");
        screen_expect(&s, "token 1/16");
        page_prompt_finish(&want);
        screen_type(&s, "n");
    }
    screen_type(&s, "N N");
    screen_expect(&s, "sequence 0");
    screen_type(&s, "N");
    screen_expect(&s, "sequence 7");
    screen_type(&s, ": \"sequence 3\" Enter");
    screen_expect(&s, "sequence 3");
    screen_type(&s, ": \"sequence 8\" Enter");
    screen_expect(&s, "expected 0 to 7");
    stop(&s, session);
    session_close(other);
}

/* Where there is room, what the feature under the cursor is stands beside the list. */
static void the_feature_stands_beside_the_list(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open_lm();
    char text[64];
    start(&s, session, 60, 200);
    const struct text_view *v = state_of(&s);
    while (text_token(v)->n_features < 2)
        screen_type(&s, "l");
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "#%lld ", (long long)text_token(v)->features[i].id);
        screen_expect(&s, "── activation ──");
        screen_expect(&s, "── strongest ──");
        assert_int_equal(v->page.feature, text_token(v)->features[i].id);
        assert_true(v->page.ready);
        screen_type(&s, "j");
    }
    screen_resize(&s, 24, 80);
    screen_expect_not(&s, "── strongest ──");
    stop(&s, session);
}

static void the_cursor_moves_over_tokens_and_features(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open_lm();
    start(&s, session, 36, 120);
    screen_type(&s, "l l");
    screen_expect(&s, "token 3/16");
    const struct text_view *v = state_of(&s);
    assert_int_equal(v->next_at, 2);
    assert_int_equal(v->token, 2);
    screen_type(&s, "G");
    screen_expect(&s, "token 16/16");
    screen_type(&s, "l gg h");
    screen_expect(&s, "token 1/16");
    while (text_token(v)->n_features < 2)
        screen_type(&s, "l");
    int64_t second = text_token(v)->features[1].id;
    screen_type(&s, "j");
    assert_int_equal(text_feature(v)->id, second);
    screen_type(&s, "j j j j j j j k k k k k k k k j Enter");
    char text[32];
    snprintf(text, sizeof text, "#%lld", (long long)second);
    screen_expect(&s, text);
    screen_expect(&s, "3 Feature");
    screen_type(&s, "q");
    screen_expect(&s, "8 Text");
    assert_int_equal(text_feature(v)->id, second);
    stop(&s, session);
}

static void typing_shows_what_is_typed(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open_lm(), *other = little_open_lm();
    start(&s, session, 36, 120);
    const struct text_view *v = state_of(&s);
    screen_type(&s, "e ^U \" the LORD\"");
    int64_t bos = v->shown.page.n - 2;
    assert_in_range(bos, 0, 1);
    assert_int_equal(v->shown.page.tokens[bos].id, 0);
    assert_int_equal(v->shown.page.tokens[bos + 1].id, 1);
    assert_int_equal(v->token, bos + 1); /* the cursor is where one writes */
    screen_type(&s, "\" king\" Enter");
    assert_int_equal(v->shown.page.n, bos + 3);
    screen_expect(&s, "typed");
    struct page_prompt want;
    int64_t ids[4];
    for (int64_t i = 0; i < bos + 3; i++)
        ids[i] = v->shown.page.tokens[i].id;
    want = page_of(other, ids, bos + 3, &(struct prompt_options){0});
    expect_loss(&s, want.ce);
    page_prompt_finish(&want);
    /* Esc: as it was. */
    screen_type(&s, "e \" sea sea sea\"");
    assert_int_equal(v->shown.page.n, bos + 6);
    screen_type(&s, "Esc");
    assert_int_equal(v->shown.page.n, bos + 3);
    /* Nothing typed. */
    screen_type(&s, "e ^U Enter");
    assert_int_equal(v->shown.page.n, bos);
    screen_type(&s, "n"); /* sequences again */
    screen_expect(&s, "16 tokens");
    stop(&s, session);
    session_close(other);
}

static void features_are_taken_out(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open_lm(), *other = little_open_lm();
    int64_t ids[LITTLE_LEN];
    char text[96];
    start(&s, session, 36, 120);
    const struct text_view *v = state_of(&s);
    while (text_token(v)->n_features == 0)
        screen_type(&s, "l");
    int64_t id = text_feature(v)->id;
    screen_type(&s, "a");
    samples_ids(other->samples, 0, LITTLE_LEN, ids);
    for (int mode = 0; mode < 2; mode++) {
        struct prompt_options o = {.ablate = &id, .n_ablate = 1, .reconstruction = mode == 1};
        struct page_prompt want = page_of(other, ids, LITTLE_LEN, &o);
        snprintf(text, sizeof text, "without #%lld %.4f → %.4f · KL %.4f", (long long)id,
                 want.before, want.after, want.kl);
        screen_expect(&s, text);
        screen_expect(&s, "next: before, after · KL");
        screen_resize(&s, 16, 60); /* no loss is cut off */
        snprintf(text, sizeof text, "without #%lld %.4f → %.4f", (long long)id, want.before,
                 want.after);
        screen_expect(&s, text);
        screen_resize(&s, 36, 120);
        page_prompt_finish(&want);
        screen_type(&s, ": \"set mode=reconstruction\" Enter");
    }
    screen_type(&s, "I");
    screen_expect(&s, "put back in");
    screen_expect_not(&s, "without #");
    screen_type(&s, "I");
    screen_expect(&s, "without #");
    screen_type(&s, "a");
    screen_expect_not(&s, "without #");
    assert_int_equal(v->ask.n_out, 0);
    stop(&s, session);
    session_close(other);
}

static void what_goes_wrong_is_said(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open(false); /* no language model */
    start(&s, session, 24, 80);
    screen_expect(&s, "--model");
    stop(&s, session);

    session = little_open_lm();
    start(&s, session, 24, 80);
    screen_type(&s, "e ^U");
    for (int i = 0; i < 20; i++) /* longer than the model's context */
        screen_type(&s, "\" the the the the the the the the the the\"");
    screen_expect(&s, "longer than the context");
    assert_true(state_of(&s)->shown.known); /* the last that fitted is there still */
    screen_type(&s, "Esc");
    screen_expect_not(&s, "longer than the context");
    stop(&s, session);
}

/* The columns of tokens show whole numbers or nothing: no "1.3" of 1.342. */
static void columns_are_whole(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open_lm();
    start(&s, session, 24, 80);
    struct view *v = app_view(s.app, "text");
    for (int cols = 60; cols < 90; cols++) {
        int64_t feature, ce_row = -1;
        screen_resize(&s, 24, cols);
        for (int row = 0; row < 24 && ce_row < 0; row++) {
            char *text = screen_row(&s, row);
            ce_row = strstr(text, "tokens: loss of the next") ? row + 2 : -1;
            free(text);
        }
        assert_true(ce_row > 0);
        char *text = screen_row(&s, (int)ce_row);
        int numbers = 0;
        for (char *word = strtok(text, " "); word; word = strtok(NULL, " "), numbers++)
            assert_true(strcmp(word, "-") == 0 || strlen(strchr(word, '.')) == 4);
        assert_int_equal(numbers, (cols + 1) / 11);
        free(text);
        assert_true(text_at(v, (int)ce_row - 1, numbers * 11 - 2, &feature) >= 0);
        if (cols > numbers * 11)
            assert_int_equal(text_at(v, (int)ce_row - 1, numbers * 11, &feature), -1);
    }
    stop(&s, session);
}

static void every_size(void **state)
{
    (void)state;
    struct screen s;
    struct session *session = little_open_lm();
    start(&s, session, 36, 120);
    screen_type(&s, "a t");
    static const int sizes[][2] = {{16, 60}, {24, 80}, {17, 61}, {60, 200}, {20, 300}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        screen_resize(&s, sizes[i][0], sizes[i][1]);
        screen_type(&s, "l j h k");
        screen_expect(&s, "16 tokens");
        for (int row = 0; row < sizes[i][0]; row += 3)
            for (int col = 0; col < sizes[i][1]; col += 7) {
                int64_t feature;
                struct view *v = app_view(s.app, "text");
                text_at(v, row, col, &feature);
            }
    }
    stop(&s, session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_of_the_samples),
        cmocka_unit_test(the_feature_stands_beside_the_list),
        cmocka_unit_test(the_cursor_moves_over_tokens_and_features),
        cmocka_unit_test(typing_shows_what_is_typed),
        cmocka_unit_test(features_are_taken_out),
        cmocka_unit_test(what_goes_wrong_is_said),
        cmocka_unit_test(columns_are_whole),
        cmocka_unit_test(every_size),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
