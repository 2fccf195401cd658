/* Widgets: const data in, cells out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tui/input.h"
#include "tui/wid_edit.h"
#include "tui/wid_hist.h"
#include "tui/wid_line.h"
#include "tui/wid_scatter.h"
#include "tui/wid_table.h"
#include "tui/wid_tokens.h"

static void expect(const struct canvas *c, const char *want)
{
    char *got = canvas_dump(c);
    assert_string_equal(got, want);
    free(got);
}

/* -- table ----------------------------------------------------------------------------------- */

static int cells_asked;

static void cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    char buf[32];

    (void)ctx;
    cells_asked++;
    snprintf(buf, sizeof buf, "%c%lld", 'a' + column, (long long)row);
    table_cell_text(c, column == 0 ? ALIGN_RIGHT : ALIGN_LEFT, INK_TEXT, buf);
}

static const struct table_column columns[] = {
    {"id", 5, 0, ALIGN_RIGHT, 0, true},
    {"name", 6, 1, ALIGN_LEFT, 1, false},
    {"more", 4, 0, ALIGN_LEFT, 2, true},
    {"last", 4, 0, ALIGN_LEFT, 3, true},
};
static const struct table table = {columns, 4, 1048576, NULL, cell, NULL, NULL};

static void press(struct table_state *s, enum action a, int count, int rows)
{
    struct press p = {.action = a, .count = count, .counted = count > 1};
    assert_true(table_act(&table, s, &p, rows));
}

static void a_table_shows_its_rows(void **state)
{
    struct table_state s = {.sort = 0};
    struct canvas c;

    (void)state;
    canvas_init(&c, 4, 27);
    cells_asked = 0;
    table_paint(&c, &table, &s, true);
    expect(&c, "  id↓  name      more  last\n"
               "   a0  b0        c0    d0\n"
               "   a1  b1        c1    d1\n"
               "   a2  b2        c2    d2\n");
    assert_int_equal(cells_asked, 12); /* and not a million */
    press(&s, ACT_LAST, 1, 4);
    table_paint(&c, &table, &s, true);
    char *got = canvas_dump(&c);
    assert_non_null(strstr(got, "a104…"));
    free(got);
    canvas_finish(&c);
}

static void columns_give_way_and_scroll(void **state)
{
    struct table_state s = {.sort = -1};
    struct canvas c;

    (void)state;
    canvas_init(&c, 2, 20);
    table_paint(&c, &table, &s, true);
    expect(&c, "   id  name     more\n   a0  b0       c0\n");
    s.column = 3; /* the chosen column stays */
    canvas_clear(&c, INK_TEXT);
    table_paint(&c, &table, &s, true);
    expect(&c, "   id  name     last\n   a0  b0       d0\n");
    s.column = 0;
    s.first = 2;
    canvas_clear(&c, INK_TEXT);
    table_paint(&c, &table, &s, true);
    expect(&c, "   id  last\n   a0  d0\n");
    canvas_finish(&c);
}

static void the_cursor_moves_and_stays_in_range(void **state)
{
    struct table_state s = {.sort = -1};

    (void)state;
    press(&s, ACT_DOWN, 5, 4);
    assert_int_equal(s.cursor, 5);
    assert_int_equal(s.top, 3);
    press(&s, ACT_UP, 100, 4);
    assert_int_equal(s.cursor, 0);
    press(&s, ACT_PAGE_DOWN, 1, 11);
    assert_int_equal(s.cursor, 10);
    assert_int_equal(s.top, 10);
    press(&s, ACT_HALF_UP, 1, 11);
    assert_int_equal(s.cursor, 5);
    press(&s, ACT_LAST, 1, 11);
    assert_int_equal(s.cursor, 1048575);
    assert_int_equal(s.top, 1048566);
    press(&s, ACT_LAST, 77, 11);
    assert_int_equal(s.cursor, 76);
    struct table empty = table;
    empty.n_rows = 0;
    table_fix(&empty, &s, 11);
    assert_int_equal(s.cursor, 0);
    assert_int_equal(s.top, 0);
}

static void sorting_turns(void **state)
{
    struct table_state s = {.sort = -1};

    (void)state;
    press(&s, ACT_SORT, 1, 5);
    assert_int_equal(s.sort, 0);
    assert_false(s.ascending);
    press(&s, ACT_SORT, 1, 5);
    assert_true(s.ascending);
    press(&s, ACT_COLUMN_NEXT, 1, 5);
    press(&s, ACT_SORT, 1, 5); /* not a column to sort by */
    assert_int_equal(s.sort, 0);
    press(&s, ACT_COLUMN_NEXT, 1, 5);
    press(&s, ACT_SORT, 1, 5);
    assert_int_equal(s.sort, 2);
    assert_false(s.ascending);
}

static void the_mouse_hits_what_is_painted(void **state)
{
    struct table_state s = {.sort = -1, .cursor = 7, .top = 5};
    struct mouse m = {.kind = MOUSE_PRESS, .button = 1, .row = 0, .col = 17};
    bool opened;

    (void)state;
    assert_int_equal(table_at(&table, &s, 4, 27, 1, 7).row, 5);
    assert_int_equal(table_at(&table, &s, 4, 27, 1, 7).column, 1);
    assert_int_equal(table_at(&table, &s, 4, 27, 1, 5).column, -1);
    assert_true(table_mouse(&table, &s, &m, 4, 27, &opened));
    assert_int_equal(s.sort, 2);
    m.row = 2;
    assert_true(table_mouse(&table, &s, &m, 4, 27, &opened));
    assert_int_equal(s.cursor, 6);
    assert_false(opened);
    assert_true(table_mouse(&table, &s, &m, 4, 27, &opened));
    assert_true(opened);
    m.kind = MOUSE_WHEEL;
    assert_true(table_mouse(&table, &s, &m, 4, 27, &opened));
    assert_int_equal(s.cursor, 9);
}

static void every_table_size_is_fine(void **state)
{
    struct table_state s = {.sort = 1, .cursor = 500, .top = 3};

    (void)state;
    for (int rows = 1; rows < 8; rows++)
        for (int cols = 1; cols < 40; cols++) {
            struct canvas c;
            canvas_init(&c, rows, cols);
            table_paint(&c, &table, &s, false);
            for (int col = 0; col < cols; col++)
                table_at(&table, &s, rows, cols, rows - 1, col);
            canvas_finish(&c);
        }
}

static void numbers_fit_their_cells(void **state)
{
    static const struct {
        double x;
        int digits, width;
        const char *text;
    } cases[] = {
        {0.0145, 3, 8, "  0.0145"}, {NAN, 3, 4, "   ·"}, {0, 3, 3, "  0"},
        {1234567, 3, 6, "1.235M"},  {-3.4e-5, 2, 7, "-3.4e-5"}, {123456, 9, 5, " 123k"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct canvas c;
        char want[32];
        canvas_init(&c, 1, cases[i].width);
        table_cell_number(&c, cases[i].x, cases[i].digits, INK_TEXT);
        snprintf(want, sizeof want, "%s\n", cases[i].text);
        expect(&c, want);
        canvas_finish(&c);
    }
}

/* -- histogram --------------------------------------------------------------------------------- */

static const int64_t counts[8] = {1, 2, 4, 8, 4, 2, 1, 0};

static struct wid_hist_series series[2] = {
    {counts, "A", INK_BAR}, {(const int64_t[]){8, 0, 0, 0, 0, 0, 0, 4}, "B", INK_BAR_2}};

static struct wid_hist hist(void)
{
    return (struct wid_hist){.n_bins = 8, .lo = -1, .hi = 1, .series = series, .n_series = 1,
                             .cursor = -1, .brush_first = -1, .brush_last = -1};
}

static void bars_stand_on_their_axis(void **state)
{
    struct wid_hist h = hist();
    struct canvas c;

    (void)state;
    canvas_init(&c, 5, 16);
    wid_hist_paint(&c, &h);
    expect(&c, "      ██\n"
               "      ██\n"
               "    ██████\n"
               "▄▄██████████▄▄\n"
               "-1      0      1\n");
    canvas_finish(&c);
    canvas_init(&c, 1, 4); /* a sparkline: 3, 12, 6, 1 of 12 */
    wid_hist_paint(&c, &h);
    expect(&c, "▂█▄▁\n");
    canvas_finish(&c);
}

static void markers_cursor_and_overlay(void **state)
{
    static const struct wid_hist_marker zero = {0, "zero"};
    struct wid_hist h = hist();
    struct canvas c;

    (void)state;
    h.markers = &zero;
    h.n_markers = 1;
    h.cursor = 7;
    canvas_init(&c, 4, 16);
    wid_hist_paint(&c, &h);
    expect(&c, "      ██┊ zero\n"
               "    ▄▄██▄▄\n"
               "▃▃▆▆████┊█▆▆▃▃__\n"
               "-1      0      1\n");
    h.n_series = 2;
    h.n_markers = 0;
    canvas_clear(&c, INK_TEXT);
    wid_hist_paint(&c, &h);
    char *got = canvas_dump(&c);
    assert_non_null(strstr(got, "█ A • B\n"));
    free(got);
    got = canvas_dump_inks(&c);
    assert_true(strchr(got, 'a' + INK_BAR_2 - 1) != NULL);
    assert_true(strchr(got, 'a' + INK_BRUSH - 1) != NULL);
    free(got);
    canvas_finish(&c);
}

static void logarithmic_counts(void **state)
{
    static const int64_t wide[4] = {1, 10, 100, 1000};
    struct wid_hist_series s = {wide, NULL, INK_BAR};
    struct wid_hist h = {.n_bins = 4, .lo = 0, .hi = 4, .series = &s, .n_series = 1,
                         .log_counts = true, .cursor = -1, .brush_first = -1};
    struct canvas c;

    (void)state;
    canvas_init(&c, 1, 4); /* log10(1 + n) / log10(1001) = 0.10 0.35 0.67 1 */
    wid_hist_paint(&c, &h);
    expect(&c, "▁▃▅█\n");
    canvas_finish(&c);
}

static void columns_share_bins_without_loss(void **state)
{
    int64_t many[64];
    struct wid_hist_series s = {many, NULL, INK_BAR};
    struct wid_hist h = {.n_bins = 64, .hi = 1, .series = &s, .n_series = 1};

    (void)state;
    for (int cols = 1; cols < 200; cols++) {
        int last = -1;
        for (int col = 0; col < cols; col++) {
            int bin = wid_hist_bin_at(&h, 1, cols, col);
            assert_true(bin >= last && bin >= 0 && bin < 64);
            assert_true(cols < 64 || bin - last <= 1);
            last = bin;
        }
    }
    assert_int_equal(wid_hist_bin_at(&h, 1, 10, 10), -1);
    assert_int_equal(wid_hist_bin_at(&h, 10, 80, 3), -1); /* on the count axis */
}

static void every_histogram_size_is_fine(void **state)
{
    static const int64_t none[8] = {0};
    static const struct wid_hist_marker marks[] = {{0, "threshold"}, {1, NULL}, {9, "out"}};
    struct wid_hist_series s = {none, NULL, INK_BAR};

    (void)state;
    for (int rows = 1; rows < 9; rows++)
        for (int cols = 1; cols < 60; cols++) {
            struct canvas c;
            struct wid_hist h = hist();
            canvas_init(&c, rows, cols);
            h.n_series = 2;
            h.markers = marks;
            h.n_markers = 3;
            h.unit = "nats";
            wid_hist_paint(&c, &h);
            h.lo = h.hi = 3;
            wid_hist_paint(&c, &h);
            h.series = &s;
            h.n_series = 1;
            wid_hist_paint(&c, &h);
            h.n_bins = 0;
            wid_hist_paint(&c, &h);
            spark_paint(&c, counts, 8, true, INK_BAR);
            canvas_finish(&c);
        }
}

static void figures_are_short(void **state)
{
    static const struct {
        double x;
        int width;
        const char *text;
    } cases[] = {
        {0, 5, "0"},          {-0.0, 5, "0"},         {0.031, 6, "0.031"},
        {1234, 5, "1234"},    {123456, 5, "123k"},    {123456, 8, "123.5k"},
        {1e9, 5, "1G"},       {1e6, 6, "1M"},         {-0.000034, 7, "-3.4e-5"},
        {NAN, 5, "·"},        {-INFINITY, 5, "-inf"}, {1.0 / 3, 5, "0.333"},
    };
    char buf[40];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(number_text(cases[i].x, cases[i].width, buf, sizeof buf),
                            cases[i].text);
    assert_string_equal(count_text(131072, buf, sizeof buf), "131 072");
    assert_string_equal(count_text(-1048576, buf, sizeof buf), "-1 048 576");
    assert_string_equal(count_text(999, buf, sizeof buf), "999");
    assert_true(fabs(axis_step(0, 6.83, 5) - 2) < 1e-12);
    assert_true(fabs(axis_step(0, 1, 10) - .1) < 1e-12);
    assert_true(fabs(axis_step(-3e-4, 1e-4, 4) - 1e-4) < 1e-15);
}

/* -- plot ---------------------------------------------------------------------------------------- */

/* Whatever the range and the width: a figure, where there is room for one. */
static void a_logarithmic_axis_has_figures(void **state)
{
    (void)state;
    for (int cols = 12; cols < 80; cols++)
        for (double span = .3; span < 12; span += .3) {
            struct canvas c;
            canvas_init(&c, 1, cols);
            axis_paint(&c, -4.3, -4.3 + span, true, NULL);
            char *text = canvas_dump(&c);
            assert_true(strlen(text) > 1);
            free(text);
            canvas_finish(&c);
        }
}

static void scatters_stand_on_the_axis_of_a_histogram(void **state)
{
    /* 16 columns: no room for figures at the left; a row of the axis and one of the floor */
    float x[] = {0, 1, .5f, .5f, NAN, 2}, y[] = {0, 1, -INFINITY, .5f, 0, 0};
    struct wid_scatter s = {.x = x, .y = y, .n = 6, .x_lo = 0, .x_hi = 1, .zero_line = true,
                            .lit_lo = NAN, .lit_hi = NAN, .cursor = -1};
    struct canvas c;

    (void)state;
    canvas_init(&c, 5, 16);
    wid_scatter_paint(&c, &s);
    expect(&c, "┊              ⠈\n"
               "┊       ⠄\n"
               "⡀\n"
               "┊       ⠁\n"
               "0       0.5    1\n");
    /* The same range under the same bars: the middle of a bin falls into its bar. */
    x[2] = 8.5f / 16;
    int64_t one[16] = {[8] = 1};
    struct wid_hist_series bar = {one, NULL, INK_BAR};
    struct wid_hist h = {.n_bins = 16, .lo = 0, .hi = 1, .series = &bar, .n_series = 1,
                         .cursor = -1, .brush_first = -1, .brush_last = -1};
    for (int cols = 16; cols < 60; cols++) {
        struct canvas a, b;
        canvas_init(&a, 5, cols);
        canvas_init(&b, 5, cols);
        wid_hist_paint(&a, &h);
        s.zero_line = false;
        wid_scatter_paint(&b, &s);
        for (int col = wid_hist_left(5, cols); col < cols; col++)
            if (strcmp(b.cells[3 * cols + col].text, " ") != 0)
                assert_string_equal(a.cells[3 * cols + col].text, "█");
        canvas_finish(&a);
        canvas_finish(&b);
    }
    canvas_finish(&c);
}

static void scatters_light_what_is_taken(void **state)
{
    float x[] = {0, .3f, .5f, 1}, y[] = {-5, -3, -INFINITY, 0};
    struct wid_scatter s = {.x = x, .y = y, .n = 4, .x_lo = 0, .x_hi = 1, .log_y = true,
                            .floor_label = "0", .lit_lo = .2, .lit_hi = .6, .cursor = 3};
    struct canvas c;

    (void)state;
    canvas_init(&c, 12, 40);
    wid_scatter_paint(&c, &s);
    char *text = canvas_dump(&c), *inks = canvas_dump_inks(&c);
    int lit = 0;
    for (const char *i = inks; *i; i++)
        lit += *i == 'a' + INK_BRUSH - 1;
    assert_int_equal(lit, 3); /* two points in the range, and the diamond */
    assert_non_null(strstr(text, "◆"));
    assert_non_null(strstr(text, "     1")); /* decades */
    assert_non_null(strstr(text, "1e-5"));
    assert_non_null(strstr(text, "\n     0 "));
    free(text);
    free(inks);
    canvas_finish(&c);
}

static void every_scatter_size_is_fine(void **state)
{
    float x[] = {NAN, INFINITY, 0, 1e30f}, y[] = {0, INFINITY, -INFINITY, NAN};
    struct wid_scatter s = {.x = x, .y = y, .n = 4, .zero_line = true, .cursor = 3,
                            .floor_label = "dead", .x_label = "x"};

    (void)state;
    for (int n = 0; n <= 4; n += 2)
        for (int rows = 1; rows < 12; rows++)
            for (int cols = 1; cols < 40; cols++) {
                struct canvas c;
                canvas_init(&c, rows, cols);
                s.n = n;
                s.log_y = cols % 2;
                wid_scatter_paint(&c, &s);
                canvas_finish(&c);
            }
}

static void plots_place_their_points(void **state)
{
    static const float x[] = {0, 1}, y[] = {0, 1};
    struct plot_series s = {x, y, 2, 1, INK_BAR, NULL};
    struct plot p = {.series = &s, .n_series = 1, .cursor = -1};
    struct canvas c;

    (void)state;
    canvas_init(&c, 2, 4); /* a diagonal over 8 x 8 dots */
    plot_paint(&c, &p);
    expect(&c, "  ⡠⠊\n⡠⠊\n");
    canvas_finish(&c);
    canvas_init(&c, 3, 4);
    c.ascii = true;
    s.line = 0;
    plot_paint(&c, &p);
    expect(&c, "   .\n\n.\n");
    canvas_finish(&c);
    canvas_init(&c, 5, 30);
    p.cursor = 1;
    p.zero_lines = true;
    p.x_label = "bias";
    plot_paint(&c, &p);
    char *got = canvas_dump(&c);
    assert_non_null(strstr(got, "      1 ┊                    ◆\n"));
    assert_non_null(strstr(got, "\n        0        bias        1\n"));
    free(got);
    canvas_finish(&c);
}

static void no_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    (void)ctx, (void)row, (void)column, (void)c;
}

/* The mark of the order takes a column of the gap rather than a letter of the name. */
static void a_sorted_title_stays_whole(void **state)
{
    static const struct table_column heads[] = {{"id", 3, 0, ALIGN_RIGHT, 0, true},
                                                  {"density", 7, 0, ALIGN_RIGHT, 1, true},
                                                  {"name", 4, 0, ALIGN_LEFT, 1, true}};
    struct table t = {.columns = heads, .n_columns = 3, .n_rows = 0, .cell = no_cell};
    const char *const want[] = {"id↓  density  name\n", " id density↓  name\n",
                                " id  density  name↓\n"};

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct canvas c;
        canvas_init(&c, 1, 20);
        table_paint(&c, &t, &(struct table_state){.column = -1, .sort = k}, true);
        expect(&c, want[k]);
        canvas_finish(&c);
    }
}

static void cells_keep_their_zeros(void **state)
{
    static const struct {
        double x;
        const char *text;
    } cases[] = {{24, "   24.00"}, {-1.41, "  -1.410"}, {.0114, " 0.01140"}, {1234.4, "    1234"},
                 {0, "       0"}, {NAN, "       ·"}, {1e-7, "    1e-7"}, {123456, "  123.5k"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct canvas c;
        canvas_init(&c, 1, 8);
        table_cell_number(&c, cases[i].x, 4, INK_VALUE);
        char *got = canvas_dump(&c), want[32];
        snprintf(want, sizeof want, "%s\n", cases[i].text);
        assert_string_equal(got, want);
        free(got);
        canvas_finish(&c);
    }
}

static void plots_name_their_points(void **state)
{
    static const float x[] = {0, 1}, y[] = {0, 1};
    struct plot_series s = {x, y, 2, 3, INK_BAR, NULL};
    struct plot_label labels[] = {{0, 0, "first", INK_TEXT, NULL}, {1, 1, "second", INK_TEXT, "◆"},
                                  {.5f, 0, "third", INK_TEXT, "■"}};
    struct plot p = {.series = &s, .n_series = 1, .cursor = -1};
    struct canvas c;

    (void)state;
    canvas_init(&c, 2, 4); /* every third dot of the diagonal over 8 x 8 */
    plot_paint(&c, &p);
    expect(&c, "   ⠂\n⡀⠈\n");
    canvas_finish(&c);
    canvas_init(&c, 3, 20);
    p.n_series = 0;
    p.x_hi = p.y_hi = 1;
    p.labels = labels;
    p.n_labels = 3;
    plot_paint(&c, &p); /* no name touches another, or what is not its own */
    expect(&c, "            second ◆\n\n● first   ■ third\n");
    canvas_finish(&c);
}

static void every_plot_size_is_fine(void **state)
{
    static const float x[] = {NAN, 1, INFINITY, 2}, y[] = {1, 1, 1, NAN};
    struct plot_series s = {x, y, 4, 1, INK_BAR, "series"};
    struct plot p = {.series = &s, .n_series = 1, .cursor = 3, .zero_lines = true};

    (void)state;
    for (int rows = 1; rows < 8; rows++)
        for (int cols = 1; cols < 50; cols++) {
            struct canvas c;
            canvas_init(&c, rows, cols);
            plot_paint(&c, &p);
            p.n_series = !p.n_series;
            canvas_finish(&c);
        }
}

static void no_two_figures_of_an_axis_are_alike(void **state)
{
    struct canvas c;

    (void)state;
    canvas_init(&c, 1, 60);
    axis_paint(&c, .99994, 1.00006, false, NULL);
    char *text = canvas_dump(&c), *rest = text, *word;
    const char *before = "";
    int n = 0;
    for (; (word = strsep(&rest, " \n")); before = *word ? word : before) {
        assert_string_not_equal(word, *before ? before : "none");
        n += *word != 0;
    }
    assert_in_range(n, 1, 8);
    free(text);
    canvas_finish(&c);
}

static void percents_are_none_and_all_only_when_they_are(void **state)
{
    static const struct {
        double fraction;
        const char *text;
    } cases[] = {{0, "0.0 %"}, {1, "100.0 %"}, {.024, "2.4 %"}, {.5, "50.0 %"},
                 {3. / 16384, "0.02 %"}, {16381. / 16384, "99.98 %"},
                 {1e-5, "0.001 %"}, {1 - 1e-5, "99.999 %"}};
    char buf[32];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(percent_text(cases[i].fraction, buf, sizeof buf), cases[i].text);
}

/* -- tokens -------------------------------------------------------------------------------------- */

#define PIECE(s, a) {s, sizeof(s) - 1, a}

static const struct token_piece words[] = {
    PIECE("and", 0), PIECE(" the", 1), PIECE(" LORD", 4), PIECE(" said", 2), PIECE("\n", 0)};

static void the_lit_token_stands_in_the_middle(void **state)
{
    struct tokens_run t = {.pieces = words, .n = 5, .lit = 2, .cursor = -1};
    struct canvas c;

    (void)state;
    canvas_init(&c, 1, 30);
    tokens_paint_line(&c, 0, &t);
    expect(&c, "    and the ▐LORD▌ said↵\n");
    char *inks = canvas_dump_inks(&c); /* 1/4, 4/4, 2/4 of 15 steps, as digits */
    assert_int_equal(inks[8], '2');
    assert_int_equal(inks[14], '9');
    assert_int_equal(inks[20], '4');
    assert_int_equal(inks[4], '.');
    assert_int_equal(inks[11], '.'); /* the blank before the bracket */
    free(inks);
    canvas_finish(&c);
    canvas_init(&c, 1, 10);
    tokens_paint_line(&c, 0, &t);
    expect(&c, "… ▐LORD▌ …\n");
    canvas_finish(&c);
}

static void without_colour_there_are_digits(void **state)
{
    static const struct token_piece signs[] = {
        PIECE("a", -1), PIECE("b", .5f), PIECE("c", 0), PIECE("d", 1e-6f)};
    struct tokens_run t = {.pieces = signs, .n = 4, .lit = -1, .cursor = -1,
                           .is_signed = true};
    struct canvas c;

    (void)state;
    canvas_init(&c, 2, 6);
    c.mono = true;
    assert_int_equal(tokens_line_rows(&c), 2);
    tokens_paint_line(&c, 0, &t);
    expect(&c, "abcd\nj4 0\n");
    canvas_finish(&c);
}

static void split_characters_are_drawn_as_one(void **state)
{
    static const struct token_piece cut[] = { /* U+65E5 and an e with U+0301 */
        PIECE("x\xe6", 1), PIECE("\x97", 3), PIECE("\xa5", 2), PIECE("e", 0),
        PIECE("\xcc\x81", 3), PIECE("\xe6", 0)};
    struct tokens_run t = {.pieces = cut, .n = 6, .lit = -1, .cursor = -1};
    struct canvas c;

    (void)state;
    canvas_init(&c, 1, 8);
    tokens_paint_line(&c, 0, &t);
    expect(&c, "x日e\xcc\x81\xef\xbf\xbd\n");
    char *inks = canvas_dump_inks(&c);
    assert_string_equal(inks, "3999....\n"); /* each by its strongest part */
    free(inks);
    canvas_finish(&c);
}

static void wrapping_keeps_tokens_whole(void **state)
{
    struct tokens_run t = {.pieces = words, .n = 5, .lit = 2, .cursor = 3};
    struct canvas c;

    (void)state;
    canvas_init(&c, 5, 9);
    assert_int_equal(tokens_paint_wrapped(&c, 0, &t), 3);
    expect(&c, "and the\n LORD\n said↵\n\n\n");
    assert_int_equal(tokens_at(&t, 9, false, 0, 5), 1);
    assert_int_equal(tokens_at(&t, 9, false, 1, 2), 2);
    assert_int_equal(tokens_at(&t, 9, false, 1, 8), -1);
    assert_int_equal(tokens_at(&t, 9, false, 2, 5), 4);
    canvas_finish(&c);
    static const struct token_piece cut[] = {PIECE("a", 0), PIECE(" v", 1), PIECE("ow", 1)};
    struct tokens_run vow = {.pieces = cut, .n = 3, .lit = -1, .cursor = -1};
    canvas_init(&c, 2, 4); /* nor a word of two tokens torn apart */
    assert_int_equal(tokens_paint_wrapped(&c, 0, &vow), 2);
    expect(&c, "a\n vow\n");
    canvas_finish(&c);
    for (int cols = 1; cols < 30; cols++)
        for (int lit = -1; lit < 5; lit++) {
            t.lit = lit;
            canvas_init(&c, 2, cols);
            c.mono = cols & 1;
            tokens_paint_line(&c, 0, &t);
            tokens_paint_wrapped(&c, -1, &t);
            canvas_finish(&c);
        }
}

/* -- line edit ------------------------------------------------------------------------------------ */

static enum edit_result type(struct edit *e, const char *keys)
{
    enum edit_result r = EDIT_GOES_ON;

    for (size_t used; *keys && r == EDIT_GOES_ON; keys += used) {
        keys += strspn(keys, " ");
        r = edit_key(e, key_parse(keys, &used));
    }
    return r;
}

static void a_line_is_edited(void **state)
{
    static const struct {
        const char *keys, *text;
        size_t cursor;
    } cases[] = {
        {"abc", "abc", 3},
        {"abc Left Left x", "axbc", 2},
        {"abc Home Delete End z", "bcz", 3},
        {"a Space b Space c ^W", "a b ", 4},
        {"abc Left ^U", "c", 0},
        {"abc Home Right ^K", "a", 1},
        {"é日 Left Backspace", "日", 0},
        {"x ^A y ^E z", "yxz", 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct edit e;
        edit_init(&e, "", NULL);
        assert_int_equal(type(&e, cases[i].keys), EDIT_GOES_ON);
        assert_string_equal(e.text, cases[i].text);
        assert_int_equal(e.cursor, cases[i].cursor);
        edit_finish(&e);
    }
}

static void the_cursor_moves_by_clusters(void **state)
{
    struct edit e;

    (void)state;
    edit_init(&e, "ae\xcc\x81z", NULL);
    type(&e, "Left Backspace");
    assert_string_equal(e.text, "az");
    edit_finish(&e);
    edit_init(&e, "", NULL);
    assert_int_equal(type(&e, "Backspace"), EDIT_CANCELLED);
    assert_int_equal(type(&e, "Esc"), EDIT_CANCELLED);
    edit_finish(&e);
}

static const char *word(void *ctx, int i)
{
    static const char *const list[] = {"density", "decoder_norm", "max"};

    (void)ctx;
    return i < 3 ? list[i] : NULL;
}

static void history_and_completion(void **state)
{
    struct edit_history h = {0};
    struct edit e;

    (void)state;
    edit_history_add(&h, "one");
    edit_history_add(&h, "one");
    edit_history_add(&h, "");
    edit_history_add(&h, "two");
    assert_int_equal(h.n, 2);
    edit_init(&e, "", &h);
    type(&e, "abc Up");
    assert_string_equal(e.text, "two");
    type(&e, "Up Up");
    assert_string_equal(e.text, "one");
    type(&e, "Down Down");
    assert_string_equal(e.text, "abc");
    assert_int_equal(type(&e, "Enter"), EDIT_DONE);
    assert_string_equal(h.lines[2], "abc");
    edit_finish(&e);
    edit_init(&e, "x<1 and d", &h);
    e.words = word;
    type(&e, "Tab");
    assert_string_equal(e.text, "x<1 and density");
    type(&e, "Tab");
    assert_string_equal(e.text, "x<1 and decoder_norm");
    type(&e, "Tab");
    assert_string_equal(e.text, "x<1 and d");
    edit_finish(&e);
    for (int i = 0; i < 1000; i++) {
        char line[16];
        snprintf(line, sizeof line, "%d", i);
        edit_history_add(&h, line);
    }
    assert_in_range(h.n, 100, 500);
    assert_string_equal(h.lines[h.n - 1], "999");
    edit_history_finish(&h);
}

static void long_lines_scroll(void **state)
{
    struct canvas c;
    struct edit e;

    (void)state;
    canvas_init(&c, 1, 10);
    edit_init(&e, "0123456789", NULL);
    assert_int_equal(edit_paint(&c, 0, "f: ", &e), 9);
    expect(&c, "f: 456789\n");
    type(&e, "Home");
    canvas_clear(&c, INK_TEXT);
    assert_int_equal(edit_paint(&c, 0, "f: ", &e), 3);
    expect(&c, "f: 0123456\n");
    edit_finish(&e);
    canvas_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_shows_its_rows),
        cmocka_unit_test(columns_give_way_and_scroll),
        cmocka_unit_test(the_cursor_moves_and_stays_in_range),
        cmocka_unit_test(sorting_turns),
        cmocka_unit_test(the_mouse_hits_what_is_painted),
        cmocka_unit_test(every_table_size_is_fine),
        cmocka_unit_test(numbers_fit_their_cells),
        cmocka_unit_test(no_two_figures_of_an_axis_are_alike),
        cmocka_unit_test(percents_are_none_and_all_only_when_they_are),
        cmocka_unit_test(bars_stand_on_their_axis),
        cmocka_unit_test(markers_cursor_and_overlay),
        cmocka_unit_test(logarithmic_counts),
        cmocka_unit_test(columns_share_bins_without_loss),
        cmocka_unit_test(every_histogram_size_is_fine),
        cmocka_unit_test(figures_are_short),
        cmocka_unit_test(a_logarithmic_axis_has_figures),
        cmocka_unit_test(scatters_stand_on_the_axis_of_a_histogram),
        cmocka_unit_test(scatters_light_what_is_taken),
        cmocka_unit_test(every_scatter_size_is_fine),
        cmocka_unit_test(plots_place_their_points),
        cmocka_unit_test(a_sorted_title_stays_whole),
        cmocka_unit_test(cells_keep_their_zeros),
        cmocka_unit_test(plots_name_their_points),
        cmocka_unit_test(every_plot_size_is_fine),
        cmocka_unit_test(the_lit_token_stands_in_the_middle),
        cmocka_unit_test(without_colour_there_are_digits),
        cmocka_unit_test(split_characters_are_drawn_as_one),
        cmocka_unit_test(wrapping_keeps_tokens_whole),
        cmocka_unit_test(a_line_is_edited),
        cmocka_unit_test(the_cursor_moves_by_clusters),
        cmocka_unit_test(history_and_completion),
        cmocka_unit_test(long_lines_scroll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
