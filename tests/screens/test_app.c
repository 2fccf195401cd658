/* The frame with two small views of its own: a list, and what is behind a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/mem.h"
#include "screen.h"

/* -- a list of 1000 rows ------------------------------------------------------------------ */

struct list {
    int64_t cursor;
    char filter[64];
    char width[16];
};

static void list_go(struct view *v, const struct target *at)
{
    struct list *l = v->state;

    if (at->feature >= 0)
        l->cursor = at->feature;
    if (at->filter[0])
        snprintf(l->filter, sizeof l->filter, "%s", at->filter);
    v->target.feature = l->cursor;
}

static bool list_open(struct view *v, struct err *err)
{
    struct list *l = v->state;

    (void)err;
    snprintf(l->width, sizeof l->width, "wide");
    return true;
}

static void list_draw(const struct view *v, struct canvas *c)
{
    const struct list *l = v->state;

    for (int i = 0; i < c->rows; i++)
        canvas_printf(c, i, 0, INK_VALUE, "row %d", i);
    canvas_ground(c, (int)l->cursor, 0, c->cols, INK_CURSOR);
}

static void list_status(const struct view *v, char *buf, size_t size)
{
    const struct list *l = v->state;

    snprintf(buf, size, "%d/1000 filter %s width %s", (int)l->cursor + 1,
             l->filter[0] ? l->filter : "none", l->width);
}

static enum outcome list_act(struct view *v, const struct press *p)
{
    struct list *l = v->state;

    switch (p->action) {
    case ACT_DOWN: l->cursor += p->count; break;
    case ACT_UP: l->cursor -= p->count; break;
    case ACT_LAST: l->cursor = 999; break;
    case ACT_OPEN: app_open(v->app, "feature", &v->target); break;
    case ACT_LABEL: view_ask(v, ASK_LABEL, "label", "old"); break;
    default: return OUT_IGNORED;
    }
    v->target.feature = l->cursor;
    return OUT_DONE;
}

static enum outcome list_mouse(struct view *v, const struct mouse *m)
{
    struct list *l = v->state;

    if (m->kind != MOUSE_PRESS)
        return OUT_IGNORED;
    v->target.feature = l->cursor = m->row;
    return OUT_DONE;
}

static bool list_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    struct list *l = v->state;

    if (what == ASK_COMMAND || what == ASK_GOTO)
        return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
    if (strchr(text, '!'))
        return err_set(err, ERR_FORMAT, "filter: a mistake at character %zu",
                       strcspn(text, "!"));
    if (what == ASK_FILTER)
        snprintf(l->filter, sizeof l->filter, "%s", text);
    else
        app_message(v->app, "%s: %s", what == ASK_LABEL ? "labelled" : "searched", text);
    return true;
}

static const char *list_word(const struct view *v, enum ask what, int i)
{
    static const char *const words[] = {"density", "decoder_norm"};

    (void)v;
    return what == ASK_FILTER && i < 2 ? words[i] : NULL;
}

static char *list_copy(const struct view *v, bool all)
{
    return xasprintf("%s %d", all ? "all" : "row", (int)v->target.feature);
}

static bool list_export(const struct view *v, enum export_format format, FILE *out,
                        struct err *err)
{
    (void)err;
    fprintf(out, format == EXPORT_JSON ? "{\"row\": %d}\n" : "row\n%d\n",
            (int)v->target.feature);
    return true;
}

static void list_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct list *l = v->state;

    (void)i;
    snprintf(buf, size, "%s", l->width);
}

static bool list_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct list *l = v->state;

    (void)i;
    if (strcmp(value, "wide") != 0 && strcmp(value, "narrow") != 0)
        return err_set(err, ERR_USAGE, "width: expected wide or narrow");
    snprintf(l->width, sizeof l->width, "%s", value);
    return true;
}

static const char *const widths[] = {"wide", "narrow", NULL};
static const struct view_key list_keys[] = {{ACT_OPEN, NULL}, {ACT_FILTER, NULL}, {0}};
static const struct view_term list_terms[] = {
    {"density", "Fraction of tokens where a feature is active."}, {NULL, NULL}};
static const struct view_option list_options[] = {{"width", "of rows", widths}, {0}};

static const struct view_ops list_ops = {
    .name = "features", .digit = 2, .purpose = "all rows", .state_size = sizeof(struct list),
    .keys = list_keys, .terms = list_terms, .options = list_options, .open = list_open,
    .go = list_go, .draw = list_draw, .status = list_status, .act = list_act,
    .mouse = list_mouse, .answer = list_answer, .word = list_word, .copy = list_copy,
    .export = list_export, .option_get = list_option_get, .option_set = list_option_set,
};

/* -- one row, computed by a job -------------------------------------------------------------- */

struct square_job {
    struct job job;
    int64_t n, square;
};

static bool square_run(struct job *job, const struct progress *p, struct err *err)
{
    struct square_job *s = (struct square_job *)job;

    if (s->n == 13)
        return err_set(err, ERR_RANGE, "row 13: no such row");
    while (s->n == 500) { /* for ever, until it is told to stop */
        if (!progress_step(p, "steps", 37, 100))
            return err_set(err, ERR_CANCELLED, "cancelled");
        usleep(1000);
    }
    s->square = s->n * s->n;
    return true;
}

static void square_free(struct job *job)
{
    free(job);
}

static const struct job_ops square_ops = {"square", square_run, square_free};

struct detail {
    int64_t n, square;
    int loads;
};

static void detail_go(struct view *v, const struct target *at)
{
    struct detail *d = v->state;
    struct square_job *job;

    if (at->feature < 0)
        return;
    v->target.feature = d->n = at->feature;
    job = job_new(&square_ops, sizeof *job);
    job->n = d->n;
    view_start(v, 0, LANE_QUICK, &job->job);
}

static void detail_loaded(struct view *v, int slot, struct job *job)
{
    struct detail *d = v->state;

    assert_int_equal(slot, 0);
    d->square = ((struct square_job *)job)->square;
    d->loads++;
}

static void detail_draw(const struct view *v, struct canvas *c)
{
    const struct detail *d = v->state;

    if (!view_paint_missing(v, 0, c))
        canvas_printf(c, 0, 0, INK_VALUE, "%d squared is %d (%d loads)", (int)d->n,
                      (int)d->square, d->loads);
}

static const struct view_ops detail_ops = {
    .name = "feature", .digit = 3, .purpose = "one row", .go = detail_go,
    .state_size = sizeof(struct detail), .loaded = detail_loaded, .draw = detail_draw,
};

static const struct view_ops *const views[] = {&list_ops, &detail_ops, NULL};

static void start(struct screen *s)
{
    screen_start(s, &(struct screen_options){.views = views, .title = "toy 8 → 16"});
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
    assert_string_equal(row, " ? keys  : command  q back  Q quit  Enter open  & filter");
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
    screen_expect(&s, "no number of a feature (found \"x\")");
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
