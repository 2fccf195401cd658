/* Crosscoders of two models in the explorer: how much of a feature's decoder is the second
 * model's stands where other checkpoints have nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/session.h"
#include "../unit/files.h"
#include "screen.h"

/* tests/ref/dialects/make.py: 2 x 8 -> 24; row 3 of the decoder is 0 in the second model, row
 * 4 in the first. */
static struct session *session;

static void start(struct screen *s, int cols, bool samples)
{
    static char path[600], acts[600];
    static const char *paths[] = {path}, *files[] = {acts};
    struct session_options o = {.paths = paths, .n_paths = 1, .threads = 1, .acts = files,
                                .n_acts = samples};
    struct err err = {0};
    setenv("XDG_CACHE_HOME", test_path("cache"), 1);
    setenv("XDG_STATE_HOME", test_path("state"), 1);
    snprintf(path, sizeof path, "%s/dialects/crosscoder/3.pt", getenv("TEST_REF"));
    snprintf(acts, sizeof acts, "%s/dialects/pair.npy", getenv("TEST_REF"));
    session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    screen_start(s, &(struct screen_options){.rows = 40, .cols = cols, .session = session});
    screen_wait(s);
}

static void stop(struct screen *s)
{
    screen_stop(s);
    session_close(session);
}

/* The first row of the table, which has the cursor. */
static void expect_first(struct screen *s, const char *id, const char *norm)
{
    char *row = screen_row(s, 2), *text = row + strspn(row, " ");
    if (strncmp(text, id, strlen(id)) != 0 || !strstr(text, norm))
        fail_msg("found '%s', expected #%s with %s", row, id, norm);
    free(row);
}

static void the_table_has_relative_norms(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 160, true);
    screen_type(&s, "2");
    screen_expect(&s, "2nd norm");
    screen_type(&s, ":\"set columns=relative_decoder_norm,density\" Enter ] s");
    expect_first(&s, "4", " 1.00 ");
    screen_type(&s, "I");
    expect_first(&s, "3", " 0.00 ");
    screen_type(&s, "& \"relative_decoder_norm > 0.99\" Enter");
    expect_first(&s, "4", " 1.00 ");
    screen_expect(&s, "1/1");
    screen_type(&s, "Enter"); /* and its page */
    screen_expect(&s, "#4");
    screen_expect(&s, "2nd norm  1");
    stop(&s);
}

static void cards_and_histograms_have_them(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 120, true);
    screen_expect(&s, "2 x 8 → 24 (x 3)");
    screen_expect(&s, "2nd model's norm");
    screen_type(&s, "4 :\"set of=relative_decoder_norm\" Enter");
    screen_expect(&s, "4.2 % of 24 features are in model 1 alone (< 0.1) · 4.2 % in 2 (> 0.9)");
    screen_expect(&s, "0.5: both alike");
    screen_expect(&s, "min 0 · max 1");
    stop(&s);
}

/* They are known without samples: only weights are needed. */
static void weights_are_enough(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 120, false);
    screen_type(&s, "2");
    screen_expect(&s, "2nd norm");
    screen_type(&s, "4 :\"set of=relative_decoder_norm\" Enter");
    screen_expect(&s, "min 0 · max 1");
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_relative_norms),
        cmocka_unit_test(cards_and_histograms_have_them),
        cmocka_unit_test(weights_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
