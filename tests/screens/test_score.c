/* What the language model says of a checkpoint, on the screen: view 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "little.h"
#include "model/score.h"
#include "model/session_lm.h"
#include "screen.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_shows_the_score),
        cmocka_unit_test(a_card_says_what_a_score_needs),
        cmocka_unit_test(a_score_waits_for_the_key),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
