/* View 6: heat maps of cosines, over the little bundle. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "little.h"
#include "screen.h"
#include "tui/desk.h"
#include "tui/view_cosine.h"

extern const struct view_ops view_cosine_ops;

static void other_draw(const struct view *v, struct canvas *c)
{
    canvas_printf(c, 0, 0, INK_TEXT, "feature %d of sae %d", (int)v->target.feature,
                  v->target.sae);
}

static void other_go(struct view *v, const struct target *at)
{
    v->target = *at;
}

static const struct view_ops feature = {.name = "feature", .digit = 3, .draw = other_draw,
                                        .go = other_go};
static const struct view_ops *const views[] = {&feature, &view_cosine_ops, NULL};

static int setup(void **state)
{
    float axes[LITTLE_WORDS * LITTLE_WORDS] = {0};
    (void)state;
    little_make();
    for (int i = 0; i < LITTLE_WORDS; i++)
        axes[i * LITTLE_WORDS + i] = 1 + (float)i;
    struct array truth = {"", DTYPE_F32, 2, {LITTLE_WORDS, LITTLE_WORDS}, axes};
    write_npy("truth.npy", &truth);
    return 0;
}

static struct session *session;

/* "truth", "both" SAEs, or "self". */
static void start(struct screen *s, const char *what, int rows, int cols)
{
    static char path[256], truth[256];
    static const char *paths[] = {path}, *saes[] = {"relu", "other"};
    struct session_options o = {.paths = paths, .n_paths = 1, .threads = 2};
    struct err err = {0};
    snprintf(path, sizeof path, "%s", test_path("little"));
    snprintf(truth, sizeof truth, "%s", test_path("truth.npy"));
    if (*what == 't')
        o.truth = truth;
    if (*what == 'b') {
        o.saes = saes;
        o.n_saes = 2;
    }
    session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    screen_start(s, &(struct screen_options){.views = views, .rows = rows, .cols = cols,
                                             .session = session, .view = "cosine"});
    screen_wait(s);
}

static void stop(struct screen *s)
{
    screen_stop(s);
    session_close(session);
}

static const struct cosine *state_of(struct screen *s)
{
    return app_view(s->app, "cosine")->state;
}

static void true_features_are_counted_and_listed(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "truth", 60, 200);
    screen_expect(&s, "decoder of relu (48) against true features (16)");
    /* Features 16 to 31 write two axes, 1 and 0.5: cosines 0.894 and 0.447. */
    screen_expect(&s, "16 of 48 are composites");
    screen_expect(&s, "16  0 0.89 · 1 0.45");
    screen_expect(&s, "31  15 0.89 · 0 0.45");
    screen_expect(&s, "16 of 16 alone, 0 missed");
    screen_expect(&s, "a cell a cosine · by id");
    screen_expect(&s, "b_dec   0.00   0.00");
    screen_expect(&s, "#0 "); /* and its name */
    screen_expect(&s, "× true 0  1.0000");
    screen_type(&s, "Tab j"); /* the map follows the list */
    screen_expect(&s, "#17 ");
    screen_expect(&s, "× true 1  0.8944");
    screen_type(&s, "Tab j j");
    screen_expect(&s, "× true 2  1.0000");
    screen_type(&s, "Enter");
    screen_expect(&s, "feature 2 of sae 0");
    stop(&s);
}

/* Names tell what two rows have to do with each other, where there is room for them. */
static void the_list_names_both_rows(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "self", 60, 200);
    screen_expect(&s, "row  name           best  name           cosine");
    desk_need(app_view(s.app, "cosine")->desk, 0);
    screen_wait(&s);
    screen_expect(&s, "  0  the              32                  1.000");
    stop(&s);
    start(&s, "self", 36, 120);
    screen_expect(&s, "row  name         best   cosine");
    stop(&s);
    start(&s, "self", 20, 60); /* in place of the map: nothing is said of its cells */
    screen_expect(&s, " × 1, the strongest");
    screen_type(&s, "Tab");
    screen_expect(&s, "best match of every row");
    screen_expect_not(&s, "the strongest");
    stop(&s);
}

/* Two that cannot be held against each other: the first look is at one of them, and that
 * there are two different lengths is said with what can be done. */
static void rows_of_other_length_are_no_dead_end(void **state)
{
    enum { D = 8, F = 4 };
    static float W[D * F], b[D];
    struct screen s;
    struct err err = {0};
    (void)state;
    for (int i = 0; i < F; i++)
        W[i * D + i] = 1;
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {D, F}, W}, {"W_dec", DTYPE_F32, 2, {F, D}, W},
                        {"b_enc", DTYPE_F32, 1, {F}, b}, {"b_dec", DTYPE_F32, 1, {D}, b}};
    make_dir("short");
    write_safetensors("short/sae_weights.safetensors", a, 4);
    write_text("short/cfg.json", "{\"hook_name\":\"blocks.0.hook_mlp_out\"}");
    char one[256], two[256];
    snprintf(one, sizeof one, "%s", test_path("little/saes/relu"));
    snprintf(two, sizeof two, "%s", test_path("short"));
    const char *paths[] = {one, two};
    struct session_options o = {.paths = paths, .n_paths = 2, .threads = 1};
    session = session_open(&o, NULL, &err);
    if (!session)
        fail_msg("%s", err.msg);
    screen_start(&s, &(struct screen_options){.views = views, .rows = 24, .cols = 80,
                                              .session = session, .view = "cosine"});
    screen_wait(&s);
    screen_expect(&s, "decoder of relu (48) against itself");
    screen_type(&s, "]");
    screen_expect(&s, "rows of 8, expected equal ones)");
    screen_expect(&s, "Rows of different length have no cosine. [ ] hold");
    screen_expect_not(&s, "R tries again");
    screen_type(&s, "[");
    screen_expect(&s, "decoder of relu (48) against itself");
    stop(&s);
}

static void the_list_has_its_own_place_on_small_screens(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "truth", 24, 80);
    screen_expect_not(&s, "composites");
    screen_expect(&s, "rows 0 to 1 × column 0  1.0000 strongest");
    screen_type(&s, "Tab");
    screen_expect(&s, "16 of 48 are composites");
    screen_expect(&s, "16 of 16 alone");
    screen_expect_not(&s, "column 0");
    screen_type(&s, "Tab G Tab");
    screen_expect(&s, "rows 14 to 15 × column 15  1.0000 strongest");
    screen_type(&s, "+");
    screen_expect(&s, "#15 ");
    screen_expect(&s, "× true 15  1.0000");
    stop(&s);
}

static void two_checkpoints_stand_against_each_other(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "both", 36, 120);
    screen_expect(&s, "decoder of relu (48) against decoder of other (48)");
    screen_expect(&s, "best match of every row");
    screen_type(&s, "x");
    screen_expect(&s, "decoder of other (48) against decoder of relu (48)");
    screen_type(&s, "]"); /* itself, as there is no truth */
    screen_expect(&s, "decoder of other (48) against itself ");
    screen_expect(&s, "off the diagonal");
    screen_type(&s, "]");
    screen_expect(&s, "decoder of other (48) against decoder of relu (48)");
    screen_type(&s, ": \"against truth\" Enter");
    screen_expect(&s, "no true features are given");
    screen_type(&s, "Esc : \"against nothing\" Enter");
    screen_expect(&s, "expected self, truth, or the name of an open SAE");
    screen_type(&s, "Esc : \"against relu\" Enter : \"weights encoder\" Enter");
    screen_expect(&s, "encoder of other (48) against encoder of relu (48)");
    screen_type(&s, ": \"weights both\" Enter");
    screen_expect(&s, "expected decoder, encoder");
    stop(&s);
}

/* What the view shows is what the definition says, at every zoom on the way. */
static void enter_leads_to_the_strongest(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "self", 16, 60);
    struct view *v = app_view(s.app, "cosine");
    const struct cosine *c = state_of(&s);
    const struct page_cosine *page = &c->map->source->page;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    screen_expect(&s, ", the strongest · by id");
    for (int k = 0; k < 5; k++) {
        int64_t row, column;
        double most = 0;
        screen_type(&s, "- - - - - - - - - gg h h h h h h h h h h h h h h h");
        assert_int_equal(c->zoom, INT_MAX);
        for (int i = 0; i < k; i++)
            screen_type(&s, "l l l j");
        cosine_cell(c, &l.zoom, &row, &column);
        for (int64_t i = row; i < row + l.zoom.block_r && i < 48; i++)
            for (int64_t j = column; j < column + l.zoom.block_c && j < 48; j++)
                if (i != j) /* the diagonal is left out of cells of several */
                    most = fmax(most, fabs((double)page_cosine_at(page, i, j)));
        while (!cosine_is_single(v))
            screen_type(&s, "Enter");
        /* Finer cells reach over the edge of the coarse one, and may hold more. */
        assert_true(llabs(c->row - row) < 2 * l.zoom.block_r);
        assert_true(llabs(c->column - column) < 2 * l.zoom.block_c);
        assert_true(c->row != c->column);
        assert_true(fabs((double)page_cosine_at(page, c->row, c->column)) > most - 1e-6);
    }
    screen_type(&s, "+ + + + + + + +");
    l = cosine_lay_out(v, v->rows, v->cols);
    assert_true(l.zoom.numbers);
    screen_expect(&s, "a cell a cosine");
    stop(&s);
}

/* Whatever the size: all of it is there, no smaller block would do, every step shows more. */
static void the_whole_fills_its_place(void **state)
{
    (void)state;
    for (int rows = 9; rows < 40; rows += 3)
        for (int cols = 20; cols < 150; cols += 13) {
            struct screen s;
            start(&s, "self", rows, cols);
            struct view *v = app_view(s.app, "cosine");
            struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
            int64_t room = (v->rows - l.head_rows - 3) * (l.zoom.half ? 2 : 1);
            assert_true(l.zoom.n_r <= l.visible_r && l.zoom.n_c <= l.visible_c);
            if (l.zoom.block_r > 1)
                assert_true((48 + l.zoom.block_r - 2) / (l.zoom.block_r - 1) > room);
            if (l.zoom.block_c > 1)
                assert_true((48 + l.zoom.block_c - 2) / (l.zoom.block_c - 1) > l.map.cols);
            for (int step = 0; step < 9 && !l.zoom.numbers; step++) {
                struct cosine_zoom before = l.zoom;
                screen_type(&s, "+");
                l = cosine_lay_out(v, v->rows, v->cols);
                assert_true(l.zoom.block_r <= before.block_r && l.zoom.block_c <= before.block_c);
                assert_true(l.zoom.block_r == 1 || 3 * l.zoom.block_r <= 2 * before.block_r ||
                            3 * l.zoom.block_c <= 2 * before.block_c);
            }
            assert_true(l.zoom.block_r * l.zoom.block_c == 1);
            stop(&s);
        }
}

static void orders_keep_the_cursor_on_its_cell(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "both", 60, 200);
    const struct cosine *c = state_of(&s);
    screen_type(&s, "# \"20\" Enter l l l");
    for (int order = ORDER_MATCH; order < ORDER_COUNT; order++) {
        screen_type(&s, "s");
        assert_int_equal(c->map->order, order);
        assert_true(c->map->is_complete);
        assert_int_equal(heat_row(&c->map->heat, c->row), 20);
        assert_int_equal(heat_column(&c->map->heat, c->column), 3);
    }
    screen_expect(&s, "by clusters");
    screen_expect(&s, "#20 ");
    screen_type(&s, ": \"order match\" Enter");
    screen_expect(&s, "by best match");
    /* identical decoders: every row and its best on the staircase */
    for (int64_t p = 0; p < 32; p++) {
        const struct page_cosine *page = &c->map->source->page;
        assert_true(page->best[heat_row(&c->map->heat, p)].cosine > 0.999f);
    }
    screen_type(&s, "s s");
    screen_expect(&s, "by id");
    assert_int_equal(c->row, 20);
    screen_type(&s, "# \"48\" Enter");
    screen_expect(&s, "there is no row 48 (expected 0 to 47)");
    stop(&s);
}

static void the_pool_is_said(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "self", 16, 60);
    screen_expect(&s, "the strongest");
    screen_type(&s, "t");
    screen_expect(&s, "their mean");
    screen_type(&s, "t");
    screen_expect(&s, "the strongest");
    stop(&s);
}

static void json_and_tsv_have_the_numbers_shown(void **state)
{
    struct screen s;
    char keys[400];
    (void)state;
    start(&s, "truth", 60, 200);
    snprintf(keys, sizeof keys, ": \"write %s\" Enter", test_path("cosine.json"));
    unlink(test_path("cosine.json"));
    screen_type(&s, keys);
    json_t *j = json_load_file(test_path("cosine.json"), 0, NULL);
    assert_non_null(j);
    assert_int_equal(json_integer_value(json_object_get(j, "composite_count")), 16);
    assert_int_equal(json_array_size(json_object_get(j, "best")), 48);
    assert_string_equal(json_string_value(json_object_get(j, "against")), test_path("truth.npy"));
    json_decref(j);
    snprintf(keys, sizeof keys, ": \"write %s\" Enter", test_path("cosine.tsv"));
    unlink(test_path("cosine.tsv"));
    screen_type(&s, keys);
    FILE *f = fopen(test_path("cosine.tsv"), "r");
    assert_non_null(f);
    char line[200];
    int lines = 0;
    double sum = 0;
    assert_non_null(fgets(line, sizeof line, f));
    assert_string_equal(line, "row_place\tcolumn_place\tcell_rows\tcell_columns\trow\tcolumn\tcosine\n");
    while (fgets(line, sizeof line, f)) {
        lines++;
        sum += strtod(strrchr(line, '\t'), NULL);
    }
    fclose(f);
    assert_int_equal(lines, 48 * 16);
    /* 32 rows of one axis, 16 of (1 + 0.5) / sqrt(1.25) */
    assert_true(fabs(sum - (32 + 16 * 1.5 / sqrt(1.25))) < 1e-4);
    stop(&s);
}

static void dead_rows_are_zeros_not_nan(void **state)
{
    enum { D = LITTLE_WORDS, F = LITTLE_SAE };
    static float W_dec[F * D];
    struct screen s;
    (void)state;
    for (int j = 0; j < F; j++)
        W_dec[j * D + j % D] = j % 3 ? 1 : 0;
    W_dec[5] = NAN;
    little_put_sae("little/saes/other", 0.25f);
    static float W_enc[D * F], b_enc[F], b_dec[D];
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {D, F}, W_enc},
                        {"W_dec", DTYPE_F32, 2, {F, D}, W_dec},
                        {"b_enc", DTYPE_F32, 1, {F}, b_enc},
                        {"b_dec", DTYPE_F32, 1, {D}, b_dec}};
    write_safetensors("little/saes/other/sae_weights.safetensors", a, 4);
    start(&s, "both", 60, 200);
    static const char *const keys[] = {"+", "+ +", "s", "s", "t", "] t", "Tab G j", "- -"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        screen_type(&s, keys[k]);
        screen_expect_not(&s, "nan");
        screen_expect_not(&s, "inf");
    }
    stop(&s);
    little_put_sae("little/saes/other", 0.25f);
}

static void one_row_has_no_mean_off_the_diagonal(void **state)
{
    float W_enc[LITTLE_WORDS] = {1}, W_dec[LITTLE_WORDS] = {1}, b_enc[1] = {0};
    float b_dec[LITTLE_WORDS] = {0};
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {LITTLE_WORDS, 1}, W_enc},
                        {"W_dec", DTYPE_F32, 2, {1, LITTLE_WORDS}, W_dec},
                        {"b_enc", DTYPE_F32, 1, {1}, b_enc},
                        {"b_dec", DTYPE_F32, 1, {LITTLE_WORDS}, b_dec}};
    struct screen s;
    (void)state;
    make_dir("single");
    write_safetensors("single/sae_weights.safetensors", a, 4);
    write_text("single/cfg.json", "{}");
    session = little_open_at("single", NULL);
    screen_start(&s, &(struct screen_options){.views = views, .session = session,
                                             .view = "cosine"});
    screen_wait(&s);
    screen_expect(&s, "(1) against itself");
    screen_expect(&s, "1.00");
    screen_expect_not(&s, "nan");
    stop(&s);
}

/* Keys and the mouse everywhere, at every size, in ASCII and without colour. */
static void nothing_breaks_at_any_size(void **state)
{
    static const int sizes[][2] = {{60, 16}, {80, 24}, {100, 20}, {120, 36}, {200, 60}};
    static const char *const whats[] = {"truth", "both", "self"};
    struct screen s;
    (void)state;
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 6; k++) {
            start(&s, whats[k % 3], sizes[i][1], sizes[i][0]);
            screen_stop(&s);
            screen_start(&s, &(struct screen_options){
                                 .views = views, .cols = sizes[i][0], .rows = sizes[i][1],
                                 .view = "cosine", .session = session,
                                 .ascii = k / 3, .mono = k / 3});
            screen_type(&s, "l j + l j + + l ^D ^F h k G gg s t - Tab j s ] s Tab j I Tab r - ] ~ ~");
            for (int row = 1; row < sizes[i][1] - 2; row += 3)
                for (int col = 0; col < sizes[i][0]; col += 17) {
                    screen_mouse(&s, MOUSE_PRESS, 1, row, col);
                    screen_mouse(&s, MOUSE_WHEEL, row % 2 ? 1 : -1, row, col);
                }
            char *text = screen_text(&s);
            for (const char *p = text; k / 3 && *p; p++)
                assert_true(*p > 0); /* ASCII */
            free(text);
            screen_resize(&s, 1, 1);
            free(screen_text(&s));
            stop(&s);
        }
}

static void tiny_canvases_are_fine(void **state)
{
    struct screen s;
    (void)state;
    start(&s, "truth", 36, 120);
    for (int zoom = 0; zoom < 3; zoom++, screen_type(&s, "+"))
        for (int rows = 1; rows < 30; rows += 2)
            for (int cols = 1; cols < 130; cols += 3) {
                struct canvas c;
                canvas_init(&c, rows, cols);
                view_cosine_ops.draw(app_view(s.app, "cosine"), &c);
                canvas_finish(&c);
            }
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_features_are_counted_and_listed),
        cmocka_unit_test(the_list_names_both_rows),
        cmocka_unit_test(rows_of_other_length_are_no_dead_end),
        cmocka_unit_test(the_list_has_its_own_place_on_small_screens),
        cmocka_unit_test(two_checkpoints_stand_against_each_other),
        cmocka_unit_test(enter_leads_to_the_strongest),
        cmocka_unit_test(the_whole_fills_its_place),
        cmocka_unit_test(orders_keep_the_cursor_on_its_cell),
        cmocka_unit_test(the_pool_is_said),
        cmocka_unit_test(json_and_tsv_have_the_numbers_shown),
        cmocka_unit_test(dead_rows_are_zeros_not_nan),
        cmocka_unit_test(one_row_has_no_mean_off_the_diagonal),
        cmocka_unit_test(nothing_breaks_at_any_size),
        cmocka_unit_test(tiny_canvases_are_fine),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
