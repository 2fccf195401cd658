/* View 2: the table of all features, over the little bundle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "little.h"
#include "screen.h"
#include "tui/desk.h"

extern const struct view_ops view_features_ops;

static void other_draw(const struct view *v, struct canvas *c)
{
    canvas_printf(c, 0, 0, INK_TEXT, "this is feature %d", (int)v->target.feature);
}

static void other_go(struct view *v, const struct target *at)
{
    v->target = *at;
}

static const struct view_ops other = {.name = "feature", .digit = 3, .draw = other_draw,
                                      .go = other_go};
static const struct view_ops *const views[] = {&view_features_ops, &other, NULL};

static struct session *session;

static void start(struct screen *s, int rows, int cols, bool weights_only)
{
    session = little_open(weights_only);
    screen_start(s, &(struct screen_options){.views = views, .rows = rows, .cols = cols,
                                             .session = session});
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

/* The text from (row, column) of the screen on, to its end or to two blanks. */
static const char *at(struct screen *s, int row, int col)
{
    static char text[512];
    char *line = screen_row(s, row), *p = line;
    for (int skip = 0; skip < col && *p; p++) /* bytes of one character are one column */
        skip += (p[1] & 0xc0) != 0x80;
    snprintf(text, sizeof text, "%s", p);
    free(line);
    char *end = strstr(text + strspn(text, " "), "  ");
    if (end)
        *end = 0;
    return text + strspn(text, " ");
}

static void expect_ids(struct screen *s, int n, const char *const *ids)
{
    for (int i = 0; i < n; i++)
        assert_string_equal(at(s, 2 + i, 0), ids[i]);
}

static void densest_first_with_names_and_numbers(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    /* Features 20 and 21 share 19 or more firings; ties go by id. */
    int64_t best = 0, count[LITTLE_SAE] = {0};
    for (int t = 0; t < LITTLE_SEQ * LITTLE_LEN; t++) {
        int id = little_id(t);
        count[id]++;
        if (little_strength(t) > 1) {
            count[16 + id]++;
            count[16 + (id + 15) % 16]++;
        }
    }
    for (int j = 0; j < LITTLE_SAE; j++)
        best = count[j] > count[best] ? j : best;
    char id[16], density[16];
    snprintf(id, sizeof id, "%d", (int)best);
    snprintf(density, sizeof density, "%.5f", (double)count[best] / 128);
    assert_string_equal(at(&s, 2, 0), id);
    screen_expect(&s, density);
    screen_expect(&s, "density↓");
    screen_expect(&s, "1/48 · sort density ↓");
    stop(&s);
}

static void columns_sort_both_ways(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    screen_type(&s, "s"); /* the chosen column is the first: ids, greatest first */
    expect_ids(&s, 3, (const char *const[]){"47", "46", "45"});
    screen_type(&s, "s");
    expect_ids(&s, 3, (const char *const[]){"0", "1", "2"});
    screen_expect(&s, "sort feature ↑");
    screen_type(&s, "I");
    expect_ids(&s, 1, (const char *const[]){"47"});
    screen_type(&s, "I ] s");
    screen_expect(&s, "name is no order");
    screen_type(&s, "] s");
    screen_expect(&s, "sort density ↓");
    screen_type(&s, ":\"set columns=bias,name\" Enter s s");
    screen_expect(&s, "sort bias ↑");
    expect_ids(&s, 2, (const char *const[]){"32", "33"});
    screen_type(&s, ":\"set columns=nonsense\" Enter");
    screen_expect(&s, "no column \"nonsense\"");
    screen_type(&s, "Esc :\"set columns=usual\" Enter");
    screen_expect(&s, "density           mean      max");
    stop(&s);
}

static void the_cursor_stays_on_its_feature(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    screen_type(&s, "# \"37\" Enter");
    screen_type(&s, "& \"bias < -5\" Enter");
    screen_expect(&s, "6/16 of 48");
    screen_type(&s, "& ^U Enter s s"); /* a new order is seen from its beginning */
    screen_expect(&s, "1/48 · sort feature ↑");
    screen_type(&s, "# \"48\" Enter");
    screen_expect(&s, "there is no feature 48 (expected 0 to 47)");
    screen_type(&s, "Esc & \"count > 0\" Enter # \"37\" Enter");
    screen_expect(&s, "feature 37 does not fulfil the filter");
    screen_type(&s, "Esc # \"5\" Enter Enter");
    screen_expect(&s, "this is feature 5");
    screen_type(&s, "q");
    screen_expect(&s, "6/32 of 48 · filter count > 0");
    stop(&s);
}

/* Typed by characters, for quotes within. */
static void filter(struct screen *s, const char *text)
{
    screen_type(s, "& ^U");
    while (*text)
        screen_press(s, (unsigned char)*text++);
    screen_type(s, "Enter");
}

static void filters_leave_what_fulfils_them(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    filter(&s, "bias = -0.5 and token ~ \"king|sea\"");
    screen_expect(&s, "1/2 of 48 · filter bias = -0.5 and token ~ \"king|sea\"");
    screen_type(&s, "& ^U \"bias = -0.5 and max > 0\" Enter");
    screen_expect(&s, "1/16 of 48 · filter bias = -0.5 and max > 0 · sort density ↓");
    screen_type(&s, "& ^U \"bias = \" Enter");
    screen_expect(&s, "filter: column ");
    screen_type(&s, "Esc");
    screen_expect(&s, "1/16 of 48");
    screen_type(&s, "& ^U \"density > 2\" Enter");
    screen_expect(&s, "no feature fulfils  density > 2");
    screen_expect(&s, "0/0 of 48");
    screen_type(&s, "j k Enter Space * e r n & ^U Enter"); /* nothing to do it to */
    screen_expect(&s, "/48 · sort density");
    stop(&s);
}

static void searching_finds_labels_and_tokens(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    screen_type(&s, "s s / \"bread\" Enter"); /* 7 and 8: water bread; 8 9; 23, 24 */
    screen_expect(&s, "9/48 · sort feature ↑ · /bread 3");
    screen_type(&s, "n");
    screen_expect(&s, "24/48");
    screen_type(&s, "n");
    screen_expect(&s, "25/48");
    screen_type(&s, "n");
    screen_expect(&s, "the search went on from the other end");
    screen_type(&s, "N N");
    screen_expect(&s, "24/48");
    screen_type(&s, "/ ^U \"Bread\" Enter");
    screen_expect(&s, "Bread: in no label");
    screen_type(&s, "/ ^U \"[\" Enter");
    screen_expect(&s, "search: missing terminating ] for character class");
    screen_type(&s, "Esc");
    stop(&s);
}

static void labels_and_selections(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    screen_type(&s, "s s # \"3\" Enter e \"monarchs\" Enter");
    assert_string_equal(at(&s, 5, 11), "monarchs");
    screen_type(&s, ":\"note seen often\" Enter");
    screen_type(&s, "*");
    screen_expect(&s, "#3 is a favourite");
    assert_string_equal(at(&s, 5, 0), "*");
    screen_type(&s, "gg Space Space");
    screen_expect(&s, "3/48 · sort feature ↑ · 2 selected");
    screen_type(&s, "k Space");
    screen_expect(&s, "1 selected");
    screen_resize(&s, 36, 120);
    screen_type(&s, "# \"3\" Enter");
    screen_expect(&s, "#3 * monarchs");
    screen_expect(&s, "seen often");
    screen_type(&s, "& \"favourite\" Enter");
    screen_expect(&s, "1/1 of 48 · filter favourite");
    screen_type(&s, "& ^U Enter");
    stop(&s);
    start(&s, 24, 80, false); /* kept */
    screen_expect(&s, "monarchs");
    screen_type(&s, "# \"3\" Enter e ^U Enter *");
    screen_expect_not(&s, "monarchs");
    stop(&s);
}

static void the_pane_shows_the_feature(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 40, 120, false);
    screen_type(&s, "# \"1\" Enter");
    screen_expect(&s, "#1 LORD");
    screen_expect(&s, "── activation ");
    screen_expect(&s, "── strongest ");
    screen_expect(&s, "▐LORD▌");
    screen_expect(&s, "── nearest by decoder ");
    screen_expect(&s, "1.000 #33");
    screen_type(&s, "# \"40\" Enter"); /* dead: no examples, but neighbours */
    screen_expect_not(&s, "strongest");
    screen_expect(&s, "1.000 #8 ");
    stop(&s);
}

static void weights_alone_make_a_table(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 36, 120, true);
    screen_expect(&s, "1/48 · sort feature ↑ · weights only: no samples");
    expect_ids(&s, 2, (const char *const[]){"0", "1"});
    screen_expect_not(&s, "density↓"); /* nothing that samples would have to fill */
    screen_expect(&s, "enc·dec");
    screen_expect(&s, " -0.5"); /* the bias */
    screen_type(&s, "& \"decoder_norm > 1.1\" Enter");
    screen_expect(&s, "1/16 of 48");
    screen_type(&s, ": \"set columns=density\" Enter");
    assert_string_equal(at(&s, 2, 11), "·");
    screen_type(&s, "] ?");
    screen_expect(&s, "Needs samples (--acts)");
    stop(&s);
}

static void nearest_is_computed_when_sorted_by(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    screen_type(&s, ":\"set columns=nearest_cosine,name\" Enter ]");
    assert_string_equal(at(&s, 2, 10), "·");
    screen_type(&s, "s");
    assert_string_equal(at(&s, 2, 9), "1.00");
    stop(&s);
}

static void rows_are_written_and_copied(void **state)
{
    struct screen s;
    char line[256];
    (void)state;
    start(&s, 24, 80, false);
    screen_type(&s, ":\"set columns=name,count,bias\" Enter s s # \"40\" Enter y");
    assert_string_equal(app_clipboard(s.app), "40\t\t0\t-10\n");
    screen_type(&s, "gg Space j Space Y");
    snprintf(line, sizeof line, "id\tname\tcount\tbias\n0\tthe\t%d\t-0.5\n2\tGod\t", 0);
    assert_memory_equal(app_clipboard(s.app), line, 22);
    const char *two = strchr(strchr(app_clipboard(s.app), '\n') + 1, '\n') + 1;
    assert_memory_equal(two, "2\tGod\t", 6);
    assert_int_equal(strlen(strchr(two, '\n')), 1);
    screen_type(&s, ":\"select none\" Enter w");
    screen_type(&s, "Esc");
    snprintf(line, sizeof line, ":\"write %s\" Enter", test_path("out.json"));
    screen_type(&s, line);
    screen_expect(&s, "out.json: written");
    json_t *j = json_load_file(test_path("out.json"), 0, NULL);
    json_t *rows = json_object_get(j, "features");
    assert_int_equal(json_array_size(rows), 48);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 2), "id")), 2);
    assert_true(json_real_value(json_object_get(json_array_get(rows, 47), "bias")) == -10);
    json_decref(j);
    stop(&s);
}

static void headers_sort_by_mouse(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    screen_mouse(&s, MOUSE_PRESS, 1, 1, 4);
    screen_expect(&s, "sort feature ↓");
    screen_mouse(&s, MOUSE_PRESS, 1, 6, 4);
    screen_expect(&s, "5/48");
    screen_mouse(&s, MOUSE_PRESS, 1, 6, 4);
    screen_expect(&s, "this is feature 43");
    stop(&s);
}

static void another_checkpoint_can_be_chosen(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    screen_type(&s, ":\"sae other\" Enter");
    screen_expect(&s, "little · other · ");
    screen_expect(&s, "-0.75");
    screen_type(&s, ":\"sae nobody\" Enter");
    screen_expect(&s, "no checkpoint \"nobody\" (found relu, other");
    stop(&s);
}

static void every_size_is_drawn(void **state)
{
    struct screen s;
    (void)state;
    start(&s, 24, 80, false);
    for (int rows = 16; rows < 60; rows += 3)
        for (int cols = 60; cols < 230; cols += 7) {
            screen_resize(&s, rows, cols);
            screen_expect(&s, "feature");
        }
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(densest_first_with_names_and_numbers),
        cmocka_unit_test(columns_sort_both_ways),
        cmocka_unit_test(the_cursor_stays_on_its_feature),
        cmocka_unit_test(filters_leave_what_fulfils_them),
        cmocka_unit_test(searching_finds_labels_and_tokens),
        cmocka_unit_test(labels_and_selections),
        cmocka_unit_test(the_pane_shows_the_feature),
        cmocka_unit_test(weights_alone_make_a_table),
        cmocka_unit_test(nearest_is_computed_when_sorted_by),
        cmocka_unit_test(rows_are_written_and_copied),
        cmocka_unit_test(headers_sort_by_mouse),
        cmocka_unit_test(another_checkpoint_can_be_chosen),
        cmocka_unit_test(every_size_is_drawn),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
