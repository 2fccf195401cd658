/* The frame with two small views (toy.h): keys in, screen out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "screen.h"
#include "toy.h"

static void start(struct screen *s)
{
    screen_start(s, &(struct screen_options){.views = toy_views, .title = "toy 8 → 16"});
}

/* -- tests ------------------------------------------------------------------------------------ */

static void frame_shows_its_parts(void **state)
{
    struct screen s;
    char *row;

    (void)state;
    start(&s);
    row = screen_row(&s, 0);
    assert_string_equal(row, " saescope  toy 8 → 16                                     "
                             "2 Features  3 Feature");
    free(row);
    screen_expect(&s, "\nrow 0\nrow 1\n");
    screen_expect(&s, "1/1000 filter none");
    row = screen_row(&s, 23);
    assert_string_equal(row, " ? keys  q back  Enter open  & filter  : command  Q quit");
    free(row);
    screen_stop(&s);
}

static void counts_move(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "j j Alt-1 0 j k");
    screen_expect(&s, "12/1000");
    screen_type(&s, "G");
    screen_expect(&s, "1000/1000");
    screen_stop(&s);
}

static void places_are_remembered(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "j j j Enter");
    screen_expect(&s, "3 squared is 9 (1 loads)");
    screen_type(&s, "q");
    screen_expect(&s, "4/1000");
    screen_type(&s, "j Enter");
    screen_expect(&s, "4 squared is 16");
    screen_type(&s, "ma q j j Enter");
    screen_expect(&s, "6 squared is 36");
    screen_type(&s, "' a");
    screen_expect(&s, "4 squared is 16");
    screen_type(&s, "<");
    screen_expect(&s, "6 squared is 36");
    screen_type(&s, ">");
    screen_expect(&s, "4 squared is 16");
    screen_type(&s, ">");
    screen_expect(&s, "nothing ahead");
    screen_type(&s, "2 3");
    screen_expect(&s, "4 squared is 16");
    screen_type(&s, "< < < < < < < < <");
    screen_expect(&s, "this is where you began; Q quits");
    screen_type(&s, "3");
    screen_expect(&s, "3 Feature");
    screen_type(&s, "^C"); /* a message: Esc takes it away and stays, once more goes back */
    screen_expect(&s, "nothing is running");
    screen_type(&s, "Esc");
    screen_expect_not(&s, "nothing is running");
    assert_string_equal(app_where(s.app, &(struct target){0}), "feature");
    screen_type(&s, "Esc");
    assert_string_equal(app_where(s.app, &(struct target){0}), "features");
    screen_stop(&s);
}

static void numbers_open_features(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "# \"21\" Enter");
    screen_expect(&s, "21 squared is 441");
    screen_type(&s, ": \"22\" Enter");
    screen_expect(&s, "22 squared is 484");
    screen_type(&s, ": \"feature 23\" Enter");
    screen_expect(&s, "23 squared is 529");
    screen_type(&s, "# \"x\" Enter");
    screen_expect(&s, "not the number of a feature (found \"x\")");
    screen_stop(&s);
}

static void a_failed_job_says_so(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "# \"13\" Enter");
    screen_expect(&s, "row 13: no such row");
    screen_expect(&s, "R tries again");
    screen_type(&s, "q # \"14\" Enter");
    screen_expect(&s, "14 squared is 196");
    screen_stop(&s);
}

static void a_running_job_shows_progress_and_cancels(void **state)
{
    struct screen s;
    struct target at = TARGET_NONE;

    (void)state;
    start(&s);
    at.feature = 500;
    assert_true(app_show(s.app, "feature", &at));
    usleep(50 * 1000);
    assert_true(app_busy(s.app));
    screen_expect(&s, "square 37 %");
    screen_press(&s, K_CTRL | 'c');
    screen_expect(&s, "square: cancelled");
    screen_wait(&s);
    screen_expect(&s, "cancelled");
    screen_type(&s, "^C");
    screen_expect(&s, "nothing is running; Q quits");
    screen_stop(&s);
}

static void a_replaced_job_is_never_seen(void **state)
{
    struct screen s;
    struct target at = TARGET_NONE;

    (void)state;
    start(&s);
    at.feature = 500;
    assert_true(app_show(s.app, "feature", &at));
    for (at.feature = 2; at.feature < 40; at.feature++)
        assert_true(app_show(s.app, "feature", &at));
    screen_wait(&s);
    screen_expect(&s, "39 squared is 1521");
    screen_expect_not(&s, "cancelled");
    screen_stop(&s);
}

static void leaving_does_not_wait_for_jobs(void **state)
{
    struct screen s;
    struct target at = TARGET_NONE;

    (void)state;
    start(&s);
    at.feature = 500;
    assert_true(app_show(s.app, "feature", &at));
    screen_stop(&s);
}

static void a_mistake_keeps_the_line_open(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "& \"de!\" Enter");
    screen_expect(&s, "a mistake at character 2");
    screen_expect(&s, "filter: de!");
    screen_type(&s, "Backspace Tab Enter");
    screen_expect(&s, "filter density width");
    screen_type(&s, "& ^U Up");
    screen_expect(&s, "filter: density");
    screen_type(&s, "Esc");
    screen_expect(&s, "filter density width");
    screen_type(&s, "e");
    screen_expect(&s, "label: old");
    assert_int_equal(s.cursor_row, 23);
    assert_int_equal(s.cursor_col, 10);
    screen_type(&s, "\"er\" Enter");
    screen_expect(&s, "labelled: older");
    screen_stop(&s);
}

static void help_comes_from_the_lists(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "?");
    screen_expect(&s, "features: all rows");
    screen_expect(&s, "Fraction of tokens where a feature is active.");
    screen_expect_not(&s, "back to the shell");
    screen_type(&s, "G");
    screen_expect(&s, "back to the shell; fg returns");
    screen_type(&s, "gg");
    screen_expect(&s, "features: all rows");
    screen_type(&s, "q");
    screen_expect(&s, "row 3");
    screen_stop(&s);
}

static void options_change(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "o");
    screen_expect(&s, "theme            default");
    screen_expect(&s, "one of  default · light · dark");
    screen_type(&s, "Enter");
    screen_expect(&s, "theme            light");
    assert_int_equal(app_next_request(s.app), APP_RESTYLE);
    screen_type(&s, "j j j j l q");
    screen_expect(&s, "width narrow");
    screen_type(&s, ": \"set width=wide\" Enter");
    screen_expect(&s, "width wide");
    screen_type(&s, ": \"set width=odd\" Enter");
    screen_expect(&s, "expected wide or narrow");
    screen_type(&s, "Esc ~");
    assert_true(app_config(s.app)->ascii);
    screen_stop(&s);
}

static void commands_complete_and_refuse(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, ": \"featu\" Tab");
    screen_expect(&s, ":feature");
    screen_type(&s, "^U \"sea\" Tab"); /* once, though command and action have that name */
    screen_expect(&s, " search  search-next  search-prev\n");
    screen_type(&s, "Tab");
    screen_expect(&s, ":search-next");
    screen_type(&s, "^U \"set wi\" Tab");
    screen_expect(&s, ":set width");
    screen_type(&s, "\"=w\" Tab");
    screen_expect(&s, ":set width=wide");
    screen_type(&s, "^U \"nonsense\" Enter");
    screen_expect(&s, "no such command (found \"nonsense\")");
    screen_type(&s, "^U \"down 5\" Enter");
    screen_expect(&s, "6/1000");
    screen_type(&s, ": \"search lord\" Enter");
    screen_expect(&s, "searched: lord");
    screen_type(&s, ": \"quit\" Enter");
    assert_int_equal(app_next_request(s.app), APP_QUIT);
    screen_stop(&s);
}

static void the_mouse_points(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_mouse(&s, MOUSE_PRESS, 1, 6, 3);
    screen_expect(&s, "6/1000");
    screen_mouse(&s, MOUSE_WHEEL, 1, 6, 3);
    screen_expect(&s, "9/1000");
    screen_mouse(&s, MOUSE_PRESS, 1, 0, 75);
    screen_expect(&s, "8 squared is 64");
    screen_stop(&s);
}

static void copies_go_to_the_clipboard(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_type(&s, "j y");
    assert_int_equal(app_next_request(s.app), APP_COPY);
    assert_string_equal(app_clipboard(s.app), "row 1");
    screen_type(&s, "Y");
    assert_string_equal(app_clipboard(s.app), "all 1");
    screen_type(&s, "3 y");
    screen_expect(&s, "nothing to copy here");
    screen_stop(&s);
}

static void assert_file(const char *path, const char *text)
{
    char buf[64] = {0};
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_true(fread(buf, 1, sizeof buf - 1, f) > 0);
    fclose(f);
    assert_string_equal(buf, text);
}

static void writing_replaces_nothing(void **state)
{
    char dir[] = "/tmp/saescope-test-XXXXXX", path[64], keys[128];
    struct screen s;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/rows.tsv", dir);
    snprintf(keys, sizeof keys, "w \"%s\" Enter", path);
    start(&s);
    screen_type(&s, keys);
    assert_file(path, "row\n0\n");
    screen_type(&s, "j");
    screen_type(&s, keys);
    screen_expect(&s, "exists (:write! ");
    assert_file(path, "row\n0\n");
    snprintf(keys, sizeof keys, "Esc : \"write! %s\" Enter", path);
    screen_type(&s, keys);
    assert_file(path, "row\n1\n");
    unlink(path);
    snprintf(path, sizeof path, "%s/rows.json", dir);
    snprintf(keys, sizeof keys, "w \"%s\" Enter", path);
    screen_type(&s, keys);
    assert_file(path, "{\"row\": 1}\n");
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* nothing half-written lies about */
    screen_stop(&s);
}

static void small_screens_say_what_they_need(void **state)
{
    struct screen s;

    (void)state;
    start(&s);
    screen_resize(&s, 15, 60);
    screen_expect(&s, "needs 60x16 (found 60x15)");
    screen_type(&s, "j");
    screen_resize(&s, 16, 60);
    screen_expect(&s, "2/1000");
    for (int rows = 1; rows < 20; rows++)
        for (int cols = 1; cols < 80; cols += 7) {
            screen_resize(&s, rows, cols);
            free(screen_text(&s));
        }
    screen_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_shows_its_parts),
        cmocka_unit_test(counts_move),
        cmocka_unit_test(places_are_remembered),
        cmocka_unit_test(numbers_open_features),
        cmocka_unit_test(a_failed_job_says_so),
        cmocka_unit_test(a_running_job_shows_progress_and_cancels),
        cmocka_unit_test(a_replaced_job_is_never_seen),
        cmocka_unit_test(leaving_does_not_wait_for_jobs),
        cmocka_unit_test(a_mistake_keeps_the_line_open),
        cmocka_unit_test(help_comes_from_the_lists),
        cmocka_unit_test(options_change),
        cmocka_unit_test(commands_complete_and_refuse),
        cmocka_unit_test(the_mouse_points),
        cmocka_unit_test(copies_go_to_the_clipboard),
        cmocka_unit_test(writing_replaces_nothing),
        cmocka_unit_test(small_screens_say_what_they_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
