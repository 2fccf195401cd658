/* What the language model says of a checkpoint, on the screen: views 1, 2, 3, 7. */
#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/json.h"
#include "little.h"
#include "model/contributions.h"
#include "model/logitlens.h"
#include "model/session_lm.h"
#include "screen.h"
#include "tui/desk.h"

static void start(struct screen *s, const char *view, struct session *session)
{
    screen_start(s, &(struct screen_options){.rows = 36, .cols = 120, .session = session,
                                             .view = view});
    screen_wait(s);
}

static void stop(struct screen *s, struct session *session)
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

/* What the command would print, from a session of its own. */
static void score_of(int i, struct page_score *out)
{
    struct session *session = little_open_lm();
    struct score_options options = {.scan = session_scan_options(session)};
    struct lm_hook hook;
    struct err err = {0};
    struct lm *lm = session_lm_open(session, i, NULL, &err);
    if (!lm || !session_load(session, i, NULL, &err) ||
        !session_lm_hook(session, i, lm, &hook, &err) ||
        !score_run(lm, &hook, session->saes[i].sae, session->samples, &options, NULL, out,
                   &err))
        fail_msg("%s", err.msg);
    lm_close(lm);
    session_close(session);
}

static void nothing_was_computed_before(void)
{
    nftw(test_path("cache"), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void expect_number(struct screen *s, const char *name, double x)
{
    char text[64];
    snprintf(text, sizeof text, "%-20s %.4g", name, x);
    screen_expect(s, text);
}

/* -- view 1 -------------------------------------------------------------------------- */

static void a_card_shows_the_score(void **state)
{
    struct page_score page;
    struct screen s;
    (void)state;
    score_of(0, &page);
    struct session *session = little_open_lm();
    start(&s, "overview", session);
    expect_number(&s, "reconstruction score", page.reconstruction_score);
    expect_number(&s, "nats lost", page.nats_lost);
    expect_number(&s, "KL", page.kl);
    expect_number(&s, "CE original", page.ce_original);
    expect_number(&s, "CE reconstructed", page.ce_reconstructed);
    expect_number(&s, "CE zero", page.ce_zero);
    /* The samples of the little bundle are made up, not this model's. */
    screen_expect(&s, "the samples are not what the language model gives at the hook");
    screen_type(&s, "gg");
    screen_resize(&s, 20, 60); /* the names give way, not the numbers */
    char text[64];
    snprintf(text, sizeof text, "rec. score     %.4g\n", page.reconstruction_score);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "FVU            %.4g ", index_totals(session->saes[0].index)->fvu);
    screen_expect(&s, text);
    screen_type(&s, "G ?");
    stop(&s, session);
}

static void a_card_says_what_a_score_needs(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = little_open(false);
    start(&s, "overview", session);
    screen_expect(&s, "reconstruction score needs --model");
    stop(&s, session);

    session = little_open_at("little/saes/relu", little_model());
    start(&s, "overview", session);
    screen_expect(&s, "reconstruction score a computes it");
    screen_type(&s, "a");
    screen_expect(&s, "reconstruction score needs --tokens");
    stop(&s, session);
}

/* Slow work is left out when it was asked for, until a key wants it. */
static void a_score_waits_for_the_key(void **state)
{
    struct page_score page;
    struct screen s;
    (void)state;
    score_of(0, &page);
    struct session *session = little_open_lm();
    session->options.quick = true;
    start(&s, "overview", session);
    screen_expect(&s, "reconstruction score a computes it");
    screen_type(&s, "a");
    expect_number(&s, "reconstruction score", page.reconstruction_score);
    stop(&s, session);
}

/* Holds the lane of long jobs until it is let go. */
struct held_job {
    struct job job;
    atomic_bool *go_on;
};

static bool held_run(struct job *job, const struct progress *p, struct err *err)
{
    (void)p, (void)err;
    while (!atomic_load(((struct held_job *)job)->go_on))
        usleep(1000);
    return true;
}

static void held_free(struct job *job)
{
    free(job);
}

static const struct job_ops held_ops = {"held", held_run, held_free};

static void held_done(void *ctx, struct job *job)
{
    (void)ctx, (void)job;
}

/* Jobs come and go, but for those behind the held one. */
static void let_time_pass(struct screen *s)
{
    for (int i = 0; i < 300; i++) {
        app_reap(s->app);
        app_tick(s->app);
        usleep(1000);
    }
}

/* View 5 asks for the scores before it is known that they are in the cache: it shows
 * these, not the beginning of a computation that is not needed. */
static void scores_of_the_day_before_are_shown(void **state)
{
    atomic_bool go_on = false;
    struct page_score page;
    char text[64];
    struct screen s;
    (void)state;
    score_of(0, &page);
    struct session *session = little_open_lm();
    start(&s, "compare", session);
    stop(&s, session);

    session = little_open_lm();
    screen_start(&s, &(struct screen_options){.rows = 36, .cols = 120, .session = session,
                                              .view = "biases"});
    struct held_job *held = job_new(&held_ops, sizeof *held);
    held->go_on = &go_on;
    app_start(s.app, LANE_LONG, &held->job, held_done, NULL);
    screen_press(&s, '5');
    let_time_pass(&s);
    snprintf(text, sizeof text, "rec. score %10.4g", page.reconstruction_score);
    screen_expect(&s, text);
    atomic_store(&go_on, true);
    screen_wait(&s);
    screen_expect(&s, text);
    stop(&s, session);
}

/* -- view 2 -------------------------------------------------------------------------- */

/* What the commands would print of some features. */
static struct page_ablations effects_of(const int64_t *ids, int64_t n, bool error_kept)
{
    struct session *session = little_open_lm();
    struct ablate_options options = {.scan = session_scan_options(session),
                                     .error_kept = error_kept};
    struct page_ablations out;
    struct lm_hook hook;
    struct err err = {0};
    struct lm *lm = session_lm_open(session, 0, NULL, &err);
    if (!lm || !session_lm_hook(session, 0, lm, &hook, &err) ||
        !ablate_run(lm, &hook, session->saes[0].sae, session->samples, ids, n, &options, NULL,
                    &out, &err))
        fail_msg("%s", err.msg);
    lm_close(lm);
    session_close(session);
    return out;
}

static double value(struct screen *s, int column, int64_t feature)
{
    const struct desk *desk = app_view(s->app, "features")->desk;
    return feature_table_at(&desk_sae(desk, 0)->table, column, feature);
}

static void effects_come_into_the_table(void **state)
{
    struct screen s;
    int64_t ids[] = {0, 1, 5};
    (void)state;
    struct page_ablations want = effects_of(ids, 3, false);
    struct session *session = little_open_lm();
    start(&s, "features", session);
    screen_resize(&s, 36, 160);
    screen_expect(&s, "Δ CE");
    assert_true(isnan(value(&s, FCOL_DELTA_CE, 0)));
    screen_type(&s, "# 5 Enter a"); /* the one under the cursor */
    assert_true(value(&s, FCOL_DELTA_CE, 5) == want.features[2].delta_ce);
    assert_true(isnan(value(&s, FCOL_DELTA_CE, 1)));
    screen_type(&s, "# 0 Enter Space # 1 Enter Space # 5 Enter a"); /* those selected */
    for (int k = 0; k < 3; k++)
        assert_true(value(&s, FCOL_DELTA_CE, ids[k]) == want.features[k].delta_ce);
    screen_type(&s, "& \"delta_ce > -100\" Enter");
    screen_expect(&s, "/3 of 48");
    screen_type(&s, "& ^U \"estimate > -100\" Enter"); /* all, dead ones too */
    screen_expect(&s, "/48 of 48 ");
    assert_true(value(&s, FCOL_ESTIMATE, 40) == 0);
    stop(&s, session);

    /* It was kept: another session has it. */
    session = little_open_lm();
    start(&s, "features", session);
    assert_true(value(&s, FCOL_DELTA_CE, 1) == want.features[1].delta_ce);
    stop(&s, session);
    page_ablations_finish(&want);
}

static void features_are_found_by_what_they_promote(void **state)
{
    enum { N = 10 };
    struct screen s;
    uint32_t tokens[LITTLE_SAE * N];
    struct err err = {0};
    char text[96];
    int fit = 0;
    (void)state;
    struct session *session = little_open_lm();
    start(&s, "features", session);
    struct lm *lm = lm_open(little_model(), NULL, &err);
    if (!lm || !logitlens_promoted(lm, session->saes[0].sae, N, false, 1, NULL, tokens, &err))
        fail_msg("%s", err.msg);
    lm_close(lm);
    for (int i = 0; i < LITTLE_SAE; i++)
        for (int k = 0; k < N; k++)
            fit += tokens[i * N + k] == 3;
    assert_true(fit > 0 && fit < LITTLE_SAE);
    screen_press(&s, '&');
    for (const char *p = "promotes = \" king\""; *p; p++)
        screen_press(&s, *p);
    screen_type(&s, "Enter");
    snprintf(text, sizeof text, "/%d of 48", fit);
    screen_expect(&s, text);
    stop(&s, session);

    session = little_open(false); /* without a model it says what it needs */
    start(&s, "features", session);
    screen_press(&s, '&');
    for (const char *p = "promotes = \" king\""; *p; p++)
        screen_press(&s, *p);
    screen_type(&s, "Enter");
    screen_expect(&s, "promotes needs a language model");
    stop(&s, session);
}

/* -- view 3 -------------------------------------------------------------------------- */

static void a_feature_shows_its_effects(void **state)
{
    struct screen s;
    struct err err = {0};
    struct logits logits;
    int64_t id = 3;
    char text[64];
    (void)state;
    nothing_was_computed_before();
    struct session *session = little_open_lm();
    start(&s, "feature", session);
    screen_resize(&s, 60, 200);
    screen_type(&s, "# 3 Enter");
    struct lm *lm = lm_open(little_model(), NULL, &err);
    assert_true(logitlens_feature(lm, session->saes[0].sae, id, 10, false, &logits, &err));
    lm_close(lm);
    snprintf(text, sizeof text, "%.2f  \"", (double)logits.top[0].logit);
    screen_expect(&s, "promotes");
    screen_expect(&s, text);
    snprintf(text, sizeof text, "%.2f  \"", (double)logits.bottom[0].logit);
    screen_expect(&s, text);
    logits_finish(&logits);
    screen_expect(&s, "Δ CE      a computes it");
    screen_type(&s, "a");
    for (int kept = 0; kept < 2; kept++) {
        struct page_ablations want = effects_of(&id, 1, kept);
        const struct page_ablation *e = &want.features[0];
        screen_expect(&s, kept ? "▸ ablation · error-kept" : "▸ ablation · reconstruction");
        snprintf(text, sizeof text, "Δ CE %+.4g", e->delta_ce);
        screen_expect(&s, text);
        snprintf(text, sizeof text, "Δ score %+.4g", e->delta_score);
        screen_expect(&s, text);
        for (int i = 0; i < e->n_worst; i++) {
            snprintf(text, sizeof text, "%+.3f", e->worst[i].delta);
            screen_expect(&s, text);
            screen_type(&s, "j");
        }
        page_ablations_finish(&want);
        if (!kept)
            screen_type(&s, "x a");
    }
    screen_resize(&s, 24, 80);
    screen_expect(&s, "▸ ablation · error-kept");
    screen_expect(&s, "suppress.");
    stop(&s, session);
}

/* On a tall screen the promoted tokens go on in a second line, from item to item. */
static void promoted_tokens_take_two_lines(void **state)
{
    struct screen s;
    struct target at = TARGET_NONE;
    (void)state;
    struct session *session = little_open_lm();
    at.feature = 3;
    screen_start(&s, &(struct screen_options){.rows = 60, .cols = 120, .session = session,
                                              .view = "feature", .at = &at});
    screen_wait(&s);
    for (int row = 0; row < 20; row++) {
        char *line = screen_row(&s, row);
        bool promotes = strncmp(line, " promotes  \"", 12) == 0;
        free(line);
        if (!promotes)
            continue;
        line = screen_row(&s, row + 1);
        assert_int_equal(strspn(line, " "), 11);
        assert_int_equal(line[11], '"');
        free(line);
        line = screen_row(&s, row + 2);
        assert_memory_equal(line, " suppress. ", 11);
        free(line);
        stop(&s, session);
        return;
    }
    fail_msg("no tokens are promoted");
}

static void a_feature_without_a_model(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = little_open(false);
    start(&s, "feature", session);
    screen_type(&s, "# 3 Enter");
    screen_expect_not(&s, "promotes");
    screen_type(&s, "a");
    screen_expect(&s, "an ablation needs a language model: --model DIR");
    stop(&s, session);
}

/* -- view 7 -------------------------------------------------------------------------- */

static void the_view_computes_score_and_effects(void **state)
{
    struct screen s;
    struct page_score score;
    int64_t ids[32];
    char text[64];
    (void)state;
    nothing_was_computed_before();
    score_of(0, &score);
    for (int i = 0; i < 32; i++) /* all that fire: as many as are computed unasked */
        ids[i] = i;
    struct session *session = little_open_lm();
    start(&s, "score", session);
    for (int kept = 0; kept < 2; kept++) {
        struct page_ablations want = effects_of(ids, 32, kept);
        int best = 0;
        for (int i = 1; i < 32; i++)
            if (fabs(want.features[i].delta_ce) > fabs(want.features[best].delta_ce))
                best = i;
        screen_type(&s, "gg");
        screen_expect(&s, kept ? "1/32 · error-kept" : "1/32 · reconstruction");
        screen_expect(&s, "32 of 32 exact");
        snprintf(text, sizeof text, "── #%d · where the loss rises", best);
        screen_expect(&s, text);
        snprintf(text, sizeof text, " %.5f", want.features[best].delta_ce);
        screen_expect(&s, text);
        snprintf(text, sizeof text, "CE %.4f → %.4f", want.features[best].ce_before,
                 want.features[best].ce_after);
        screen_expect(&s, text);
        const struct ablate_worst *w = &want.features[best].worst[0];
        snprintf(text, sizeof text, "%+.3f", w->delta);
        screen_expect(&s, text);
        snprintf(text, sizeof text, "%s▌", little_word[w->token] + 1); /* lit, at the end */
        screen_expect(&s, text);
        page_ablations_finish(&want);
        screen_type(&s, "x");
    }
    snprintf(text, sizeof text, "reconstruction score %.4g", score.reconstruction_score);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "CE original %.4f", score.ce_original);
    screen_expect(&s, text);
    screen_expect(&s, "120 of 8 sequences");
    stop(&s, session);
}

/* The view without what is computed unasked. */
static struct session *start_quick(struct screen *s)
{
    nothing_was_computed_before();
    struct session *session = little_open_lm();
    session->options.quick = true;
    start(s, "score", session);
    return session;
}

/* Nothing unasked; then one, those selected, and the strongest, by keys. */
static void keys_compute_what_one_wants(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start_quick(&s);
    screen_expect(&s, "0 of 32 exact");
    screen_expect(&s, "a computes its exact effect");
    screen_type(&s, "a");
    screen_expect(&s, "1 of 32 exact");
    screen_expect(&s, "active tokens");
    screen_expect_not(&s, "CE original ·"); /* the score came with it */
    screen_type(&s, "j Space Space Space a");
    screen_expect(&s, "4 of 32 exact");
    screen_type(&s, ": \"set strongest=5\" Enter A");
    screen_expect(&s, "9 of 32 exact");
    screen_type(&s, "] s"); /* by Δ CE: those that are known first */
    screen_expect(&s, "sort Δ CE ↓");
    screen_type(&s, "Enter");
    screen_expect(&s, "3 Feature");
    stop(&s, session);
}

/* An estimate, however great, does not come before an effect that is known exactly. */
static void exact_effects_come_before_estimates(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start_quick(&s);
    screen_expect(&s, "sort Δ FVU, no effect is known yet ↓");
    struct view *v = app_view(s.app, "score");
    desk_need_estimates(v->desk, 0, false);
    screen_wait(&s);
    screen_type(&s, "gg G"); /* the least of all estimates */
    int64_t weak = v->target.feature;
    screen_type(&s, "a ^L");
    screen_expect(&s, "1/32 · reconstruction · sort effect ↓, the 1 exact first");
    assert_int_equal(v->target.feature, weak);
    free(screen_text(&s));
    char *first = screen_row(&s, 8), *second = screen_row(&s, 9);
    assert_null(strstr(first, "≈"));
    assert_non_null(strstr(second, "≈"));
    free(first);
    free(second);
    screen_type(&s, "I"); /* turned round, too */
    screen_expect(&s, "↑, the 1 exact first");
    first = screen_row(&s, 8);
    assert_null(strstr(first, "≈"));
    free(first);
    stop(&s, session);
}

/* Opened from another view, the ranking begins at its top; opened from there once more it
 * is where it was left. */
static void the_ranking_begins_at_its_top(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = little_open_lm();
    start(&s, "features", session);
    screen_type(&s, "j j j j 7");
    screen_expect(&s, "1/32 · reconstruction");
    screen_type(&s, "j j 2 7");
    screen_expect(&s, "3/32 · reconstruction");
    stop(&s, session);
}

/* Of one sequence, as the model says it. */
static struct page_ablation_tokens tokens_of(int64_t id, int64_t sequence, bool error_kept)
{
    struct session *session = little_open_lm();
    struct ablate_options options = {.scan = session_scan_options(session),
                                     .error_kept = error_kept};
    struct page_ablation_tokens out;
    struct lm_hook hook;
    struct err err = {0};
    struct lm *lm = session_lm_open(session, 0, NULL, &err);
    if (!lm || !session_lm_hook(session, 0, lm, &hook, &err) ||
        !ablate_tokens(lm, &hook, session->saes[0].sae, session->samples, id, sequence,
                       &options, NULL, &out, &err))
        fail_msg("%s", err.msg);
    lm_close(lm);
    session_close(session);
    return out;
}

static void work_is_cancelled(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start_quick(&s);
    screen_press(&s, 'A');
    screen_press(&s, K_CTRL | 'c');
    screen_press(&s, K_CTRL | 'c');
    screen_wait(&s);
    screen_type(&s, "j");
    const struct desk *desk = app_view(s.app, "score")->desk;
    if (desk_work(desk, 0)->err.code == ERR_CANCELLED) /* else it was faster than the key */
        screen_expect(&s, "cancelled: a this feature, A the strongest");
    else
        screen_expect(&s, "32 of 32 exact");
    screen_type(&s, "A");
    screen_expect(&s, "32 of 32 exact");
    stop(&s, session);
}

static void losses_stand_in_the_text(void **state)
{
    struct screen s;
    char text[96];
    (void)state;
    struct session *session = little_open_lm();
    start(&s, "score", session);
    screen_resize(&s, 36, 160);
    screen_type(&s, "gg");
    int64_t id = app_view(s.app, "score")->target.feature;
    struct page_ablations all = effects_of(&id, 1, false);
    const struct ablate_worst *w = &all.features[0].worst[1];
    struct page_ablation_tokens plain = tokens_of(id, w->sequence, false);
    struct page_ablation_tokens kept = tokens_of(id, w->sequence, true);
    int64_t p = w->position;
    screen_type(&s, "Tab j Enter"); /* the second of the worst */
    snprintf(text, sizeof text, "sequence %d · without #%d", (int)w->sequence, (int)id);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "\"%s\" at %d: loss %.3f → %.3f (%+.3f)",
             little_word[w->token], (int)p + 1, plain.before[p], plain.before[p] + w->delta,
             w->delta);
    screen_expect(&s, text);
    screen_type(&s, "t"); /* what the reconstruction does: against x itself */
    snprintf(text, sizeof text, "loss %.3f → %.3f", kept.before[p], plain.before[p]);
    screen_expect(&s, text);
    screen_type(&s, "t x");
    snprintf(text, sizeof text, "(%+.3f)", kept.delta[p]);
    screen_expect(&s, text);
    screen_type(&s, "gg");
    screen_expect(&s, "the first token is not predicted");
    for (int k = 0; k < LITTLE_LEN; k++) /* beyond the end is the end */
        screen_type(&s, "l");
    snprintf(text, sizeof text, "at %d: loss", LITTLE_LEN - 1);
    screen_expect(&s, text);
    screen_type(&s, "}");
    snprintf(text, sizeof text, "sequence %d", ((int)w->sequence + 1) % LITTLE_SEQ);
    screen_expect(&s, text);
    screen_type(&s, "Esc x");
    screen_expect(&s, "where the loss rises most");
    page_ablation_tokens_finish(&plain);
    page_ablation_tokens_finish(&kept);
    page_ablations_finish(&all);
    stop(&s, session);
}

static void the_view_says_what_is_missing(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = little_open(false);
    start(&s, "score", session);
    screen_expect(&s, "no language model (found none, expected --model DIR");
    screen_resize(&s, 24, 80); /* where the line above is too short, all of it below */
    screen_expect(&s, "that has one)");
    screen_expect_not(&s, "a computes its exact effect");
    stop(&s, session);
    session = little_open_at("little/saes/relu", little_model());
    start(&s, "score", session);
    screen_type(&s, "a");
    screen_expect(&s, "no token ids");
    stop(&s, session);
}

static void the_view_fits_all_sizes(void **state)
{
    static const int sizes[][2] = {{16, 60}, {24, 80}, {36, 120}, {60, 200}};
    struct screen s;
    (void)state;
    struct session *session = little_open_lm();
    start(&s, "score", session);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        screen_resize(&s, sizes[i][0], sizes[i][1]);
        screen_expect(&s, "reconstruction score");
        screen_expect(&s, "Δ CE");
        screen_expect(&s, "where the loss rises most");
        screen_type(&s, "G gg Tab Enter l t Esc Tab j Tab ? Esc");
    }
    stop(&s, session);
}

static void the_view_is_written(void **state)
{
    struct screen s;
    struct page_score score;
    struct err err = {0};
    char command[512];
    (void)state;
    score_of(0, &score);
    struct session *session = little_open_lm();
    start(&s, "score", session);
    screen_press(&s, 'w');
    screen_type(&s, "^U");
    snprintf(command, sizeof command, "\"%s\" Enter", test_path("score.json"));
    screen_type(&s, command);
    json_t *o = json_load_path(test_path("score.json"), JSON_MAX_TEXT, JSON_LAST_WINS, &err);
    assert_non_null(o);
    assert_true(fabs(json_number_value(json_object_get(o, "reconstruction_score")) /
                     score.reconstruction_score - 1) < 1e-8); /* nine digits */
    json_t *features = json_object_get(o, "features");
    assert_int_equal(json_array_size(features), 32);
    json_t *first = json_array_get(features, 0);
    assert_true(json_is_number(json_object_get(first, "delta_ce")));
    assert_true(json_is_number(json_object_get(first, "estimate")));
    assert_true(json_is_number(json_object_get(first, "delta_reconstruction_score")));
    json_decref(o);
    stop(&s, session);
}

/* -- what a token is made of --------------------------------------------------------- */

static void a_token_is_taken_apart(void **state)
{
    struct screen s;
    struct err err = {0};
    struct page_contributions page;
    float x[LITTLE_WORDS];
    char text[96];
    int n = 0;
    (void)state;
    struct session *session = little_open(false); /* samples will do */
    start(&s, "feature", session);
    screen_type(&s, "# 3 Enter v"); /* the strongest example of " king" */
    const struct view *v = app_view(s.app, "token");
    int64_t token = v->target.token;
    assert_int_equal(little_id((int)token), 3);
    for (int order = 0; order < 2; order++) {
        assert_true(contributions_x(session->samples, NULL, NULL, LITTLE_WORDS,
                                    token / LITTLE_LEN, token % LITTLE_LEN, NULL, x, &err));
        assert_true(contributions_make(session->saes[0].sae, x, order ? CONTRIBUTIONS_PROJECTION
                                                                      : CONTRIBUTIONS_NORM,
                                       1, NULL, &page, &err));
        snprintf(text, sizeof text, "token %d:%d  |x| %.4g · %d active features",
                 (int)token / LITTLE_LEN, (int)token % LITTLE_LEN, page.norm, (int)page.l0);
        screen_expect(&s, text);
        screen_expect(&s, order ? "by projection" : "by length");
        const struct contribution *first = &page.parts[0];
        char *row = screen_row(&s, 5); /* below title, head and the columns' titles */
        if (first->kind == PART_FEATURE)
            snprintf(text, sizeof text, "#%d ", (int)first->id);
        else
            snprintf(text, sizeof text, "%s ", part_kind_names[first->kind]);
        assert_non_null(strstr(row, text));
        snprintf(text, sizeof text, "%.1f %%", 100 * first->share);
        assert_non_null(strstr(row, text));
        free(row);
        n = (int)page.n;
        page_contributions_finish(&page);
        screen_type(&s, "] s");
    }
    assert_true(n > 3); /* b_dec, the error, and the two features that fire on " king" */
    screen_type(&s, "G");
    snprintf(text, sizeof text, "%d/%d", n, n);
    screen_expect(&s, text);
    for (int k = 0; k < LITTLE_LEN; k++)
        screen_type(&s, "l");
    screen_expect(&s, "the sequence ends here");
    snprintf(text, sizeof text, "token %d:%d", (int)token / LITTLE_LEN, LITTLE_LEN - 1);
    screen_expect(&s, text);
    screen_type(&s, "gg");
    for (bool opened = false; !opened;) { /* b_dec and the error open nothing */
        screen_type(&s, "Enter");
        char *title = screen_row(&s, 0);
        opened = strstr(title, "3 Feature") != NULL;
        free(title);
        if (!opened)
            screen_type(&s, "j");
    }
    screen_type(&s, "q");
    screen_expect(&s, text);
    static const int sizes[][2] = {{16, 60}, {24, 80}, {60, 200}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        screen_resize(&s, sizes[i][0], sizes[i][1]);
        screen_expect(&s, "share");
        screen_expect(&s, "b_dec");
    }
    stop(&s, session);
}

static void a_token_without_samples_comes_from_the_model(void **state)
{
    struct screen s;
    struct target at = TARGET_NONE;
    (void)state;
    rename(test_path("little/acts.npy"), test_path("little/away.npy"));
    write_text("little/bundle.json",
               "{\"name\":\"little\",\"tokens\":\"tokens.npy\","
               "\"tokenizer\":\"tokenizer.json\",\"saes\":{\"relu\":\"saes/relu\"}}");
    struct session *session = little_open_lm();
    at.token = 20;
    screen_start(&s, &(struct screen_options){.rows = 36, .cols = 120, .session = session,
                                              .view = "token", .at = &at});
    screen_wait(&s);
    screen_expect(&s, "token 1:4  |x| ");
    screen_expect(&s, "error");
    screen_resize(&s, 24, 80);
    screen_expect(&s, "x = b_dec + features + error");
    screen_resize(&s, 16, 60); /* no part of the sum */
    screen_expect_not(&s, "x = b_dec");
    screen_resize(&s, 36, 120);
    stop(&s, session);
    little_make();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_shows_the_score),
        cmocka_unit_test(a_card_says_what_a_score_needs),
        cmocka_unit_test(a_score_waits_for_the_key),
        cmocka_unit_test(scores_of_the_day_before_are_shown),
        cmocka_unit_test(effects_come_into_the_table),
        cmocka_unit_test(features_are_found_by_what_they_promote),
        cmocka_unit_test(a_feature_shows_its_effects),
        cmocka_unit_test(promoted_tokens_take_two_lines),
        cmocka_unit_test(a_feature_without_a_model),
        cmocka_unit_test(the_view_computes_score_and_effects),
        cmocka_unit_test(keys_compute_what_one_wants),
        cmocka_unit_test(exact_effects_come_before_estimates),
        cmocka_unit_test(the_ranking_begins_at_its_top),
        cmocka_unit_test(work_is_cancelled),
        cmocka_unit_test(losses_stand_in_the_text),
        cmocka_unit_test(the_view_says_what_is_missing),
        cmocka_unit_test(the_view_fits_all_sizes),
        cmocka_unit_test(the_view_is_written),
        cmocka_unit_test(a_token_is_taken_apart),
        cmocka_unit_test(a_token_without_samples_comes_from_the_model),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
