/* View 5: two checkpoints, their lists of pairs, both pages; against what a loop says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "little.h"
#include "screen.h"
#include "tui/view_compare.h"

/* -- checkpoints beside those of little.h, of its 16 inputs --------------------------------- */

enum { D = LITTLE_WORDS, MANY = 64 };

struct weights {
    int n;
    float enc[MANY][D], dec[MANY][D], bias[MANY];
};

static void write_sae(const char *name, const struct weights *w, int64_t d)
{
    static float W_enc[D * MANY], b_dec[D];
    char inner[200];
    for (int j = 0; j < w->n; j++)
        for (int i = 0; i < d; i++)
            W_enc[i * w->n + j] = w->enc[j][i];
    static float W_dec[MANY * D];
    for (int j = 0; j < w->n; j++)
        memcpy(W_dec + j * d, w->dec[j], (size_t)d * sizeof(float));
    struct array a[] = {{"W_enc", DTYPE_F32, 2, {d, w->n}, W_enc},
                        {"W_dec", DTYPE_F32, 2, {w->n, d}, W_dec},
                        {"b_enc", DTYPE_F32, 1, {w->n}, w->bias},
                        {"b_dec", DTYPE_F32, 1, {d}, b_dec}};
    make_dir(name);
    snprintf(inner, sizeof inner, "%s/sae_weights.safetensors", name);
    write_safetensors(inner, a, 4);
    snprintf(inner, sizeof inner, "%s/cfg.json", name);
    write_text(inner, "{\"hook_name\":\"blocks.0.hook_mlp_out\"}");
}

/* Features that fire on one word each, more or less, with decoders of their own. */
static struct weights some_weights(int n, uint64_t seed)
{
    struct weights w = {.n = n};
    fill_random(&w.dec[0][0], (int64_t)n * D, seed);
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < D; i++)
            w.enc[j][i] = i == j % D ? 1 : w.dec[j][i] / 4;
        w.bias[j] = -0.25f - (float)(j / D);
    }
    return w;
}

static int permuted(int j, int n)
{
    return (j * 7 + 3) % n;
}

static struct weights permutation(const struct weights *w)
{
    struct weights p = {.n = w->n};
    for (int j = 0; j < w->n; j++) {
        int to = permuted(j, w->n);
        memcpy(p.enc[to], w->enc[j], sizeof p.enc[to]);
        memcpy(p.dec[to], w->dec[j], sizeof p.dec[to]);
        p.bias[to] = w->bias[j];
    }
    return p;
}

static struct weights one, other;

/* `other` has some rows of `one`, moved by a little or more, two close to one, a dead
 * feature, and rows of zeros on both sides. */
static void make_weights(void)
{
    one = some_weights(40, 1);
    other = some_weights(30, 2);
    for (int j = 0; j < 20; j++)
        for (int i = 0; i < D; i++)
            other.dec[j][i] = one.dec[j + 3][i] + (float)j / 40 * other.dec[j][i];
    for (int i = 0; i < D; i++)
        other.dec[25][i] = 2 * one.dec[5][i] + other.dec[25][i] / 4;
    memset(one.dec[39], 0, sizeof one.dec[39]);
    memset(other.dec[29], 0, sizeof other.dec[29]);
    other.bias[2] = other.bias[11] = -50; /* dead */
    one.bias[9] = -50;
    for (int j = 0; j < other.n; j++)
        memcpy(other.enc[j], one.enc[j + 3], sizeof other.enc[j]);
    struct weights p = permutation(&one), wide = some_weights(20, 5);
    write_sae("one", &one, D);
    write_sae("same", &one, D);
    write_sae("permuted", &p, D);
    write_sae("other", &other, D);
    write_sae("narrow", &wide, D - 1);
}

static int setup(void **state)
{
    (void)state;
    little_make();
    make_weights();
    return 0;
}

static struct session *open_two(const char *a, const char *b, bool samples)
{
    static char path[3][256];
    static const char *paths[3], *acts[1], *tokens;
    struct err err = {0};
    snprintf(path[0], sizeof path[0], "%s", test_path(a));
    snprintf(path[1], sizeof path[1], "%s", test_path(b));
    snprintf(path[2], sizeof path[2], "%s", test_path("little/acts.npy"));
    paths[0] = path[0], paths[1] = path[1], acts[0] = path[2];
    static char ids[256], names[256];
    snprintf(ids, sizeof ids, "%s", test_path("little/tokens.npy"));
    snprintf(names, sizeof names, "%s", test_path("little/tokenizer.json"));
    tokens = ids;
    struct session_options o = {.paths = paths, .n_paths = 2, .threads = 1};
    if (samples)
        o.acts = acts, o.n_acts = 1, o.tokens = tokens, o.tokenizer = names;
    struct session *s = session_open(&o, NULL, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

static struct session *start(struct screen *s, const char *a, const char *b, bool samples,
                             int rows, int cols)
{
    struct session *session = open_two(a, b, samples);
    screen_start(s, &(struct screen_options){.rows = rows, .cols = cols, .view = "compare",
                                             .session = session});
    return session;
}

static void stop(struct screen *s, struct session *session)
{
    screen_stop(s);
    session_close(session);
}

static struct compare *state_of(struct screen *s)
{
    return app_view(s->app, "compare")->state;
}

/* -- what a loop says -------------------------------------------------------------------------- */

static double cosine(const float *x, const float *y)
{
    double xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < D; i++)
        xy += (double)x[i] * (double)y[i], xx += (double)x[i] * (double)x[i],
            yy += (double)y[i] * (double)y[i];
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

static int best(const struct weights *a, int i, const struct weights *b, double *c)
{
    int at = 0;
    for (int j = 1; j < b->n; j++)
        if (cosine(a->dec[i], b->dec[j]) > cosine(a->dec[i], b->dec[at]))
            at = j;
    *c = cosine(a->dec[i], b->dec[at]);
    return at;
}

static bool is_dead(const struct weights *w, int j)
{
    for (int t = 0; t < LITTLE_SEQ * LITTLE_LEN; t++)
        if (w->enc[j][little_id(t)] * little_strength(t) + w->bias[j] > 0)
            return false;
    return true;
}

/* How many each list has to have, by best match. */
static void expected_counts(const struct weights *a, const struct weights *b, int64_t *n)
{
    memset(n, 0, LISTS * sizeof *n);
    n[LIST_MATCHED] = a->n;
    for (int i = 0; i < a->n; i++) {
        double c, back;
        int j = best(a, i, b, &c), close = 0;
        for (int k = 0; k < b->n; k++)
            close += cosine(a->dec[i], b->dec[k]) >= 0.7;
        bool mutual = best(b, j, a, &back) == i && c > 0;
        n[LIST_DRIFTED] += mutual && c >= 0.5 && c < 0.9;
        n[LIST_SPLIT] += close >= 2;
        n[LIST_ONLY_A] += c < 0.5;
        n[LIST_DIED] += !is_dead(a, i) && is_dead(b, j);
    }
    for (int j = 0; j < b->n; j++) {
        double c;
        int i = best(b, j, a, &c);
        n[LIST_ONLY_B] += c < 0.5;
        n[LIST_BORN] += !is_dead(b, j) && is_dead(a, i);
    }
}

static void check_counts(struct screen *s, const struct weights *a, const struct weights *b)
{
    int64_t want[LISTS];
    char text[64];
    expected_counts(a, b, want);
    for (int l = 0; l < LISTS; l++) {
        assert_int_equal(state_of(s)->counts[l], want[l]);
        snprintf(text, sizeof text, " %s %lld", compare_list_name[l], (long long)want[l]);
        screen_expect(s, text);
    }
}

static void lists_are_what_a_loop_finds(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start(&s, "one", "other", true, 36, 120);
    check_counts(&s, &one, &other);
    assert_true(state_of(&s)->counts[LIST_DRIFTED] > 2);
    assert_true(state_of(&s)->counts[LIST_SPLIT] > 0);
    assert_true(state_of(&s)->counts[LIST_DIED] > 0);
    assert_true(state_of(&s)->counts[LIST_BORN] > 0);
    double sum = 0, c;
    for (int i = 0; i < one.n; i++) {
        assert_int_equal(compare_partner(state_of(&s), 0, i), best(&one, i, &other, &c));
        sum += c;
    }
    assert_true(fabs(state_of(&s)->mmcs[0] - sum / one.n) < 1e-5);

    screen_type(&s, "x"); /* A and B change places, and so do the lists */
    screen_expect(&s, "A other");
    check_counts(&s, &other, &one);
    assert_true(fabs(state_of(&s)->mmcs[1] - sum / one.n) < 1e-5);
    stop(&s, session);
}

static void metrics_stand_side_by_side(void **state)
{
    struct screen s;
    char text[64];
    (void)state;
    struct session *session = start(&s, "one", "other", true, 36, 120);
    const struct scan_totals *a = index_totals(session->saes[0].index);
    const struct scan_totals *b = index_totals(session->saes[1].index);
    const double pairs[][2] = {{a->l0, b->l0}, {a->fvu, b->fvu}, {a->l1, b->l1}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        snprintf(text, sizeof text, " %.4g ", pairs[i][0]);
        screen_expect(&s, text);
        snprintf(text, sizeof text, " %.4g ", pairs[i][1]);
        screen_expect(&s, text);
        snprintf(text, sizeof text, " %+.4g ", pairs[i][1] - pairs[i][0]);
        screen_expect(&s, text);
    }
    stop(&s, session);
}

/* All cosines are 1, all differences 0. */
static void a_copy_is_the_same(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start(&s, "one", "same", true, 36, 120);
    struct compare *c = state_of(&s);
    for (int i = 0; i < one.n; i++) {
        bool zero = i == 39; /* a row of zeros is like nothing */
        bool dead = is_dead(&one, i);
        struct pair_figures f = compare_figures_of(c, 0, i);
        assert_true(zero || compare_partner(c, 0, i) == i);
        assert_true(fabs((double)f.decoder - !zero) < 1e-5);
        assert_true(zero || fabs((double)f.encoder - 1) < 1e-5);
        if (!zero && !dead)
            assert_true(fabs((double)f.correlation - 1) < 1e-5);
        else if (dead)
            assert_true(isnan(f.correlation));
        assert_int_equal(compare_is_mutual(c, 0, i), !zero);
        assert_int_equal(c->one[0][i], i);
    }
    screen_expect(&s, "mutual 39 of 40");
    screen_expect(&s, "+0 ");
    assert_int_equal(c->counts[LIST_DRIFTED], 0);
    assert_int_equal(c->counts[LIST_ONLY_A], 1);
    assert_int_equal(c->counts[LIST_DIED] + c->counts[LIST_BORN], 0);
    stop(&s, session);
}

static void a_permuted_copy_is_found_as_one(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start(&s, "one", "permuted", true, 36, 120);
    struct compare *c = state_of(&s);
    for (int i = 0; i < 39; i++) {
        struct pair_figures f = compare_figures_of(c, 0, i);
        assert_int_equal(compare_partner(c, 0, i), permuted(i, 40));
        assert_int_equal(c->one[0][i], permuted(i, 40));
        assert_int_equal(c->one[1][permuted(i, 40)], i);
        assert_true(fabs((double)f.decoder - 1) < 1e-5);
        assert_true(is_dead(&one, i) || fabs((double)f.correlation - 1) < 1e-5);
    }
    screen_type(&s, "="); /* by number they have nothing to do with each other */
    screen_expect(&s, "pairs by same number");
    assert_int_equal(compare_partner(c, 0, 7), 7);
    assert_true(fabs((double)compare_figures_of(c, 0, 7).decoder -
                     cosine(one.dec[7], one.dec[(7 + 40 * 3 - 3) * 23 % 40])) < 1e-5);
    screen_type(&s, "=");
    screen_expect(&s, "pairs by best match");
    stop(&s, session);
}

/* -- keys --------------------------------------------------------------------------------------------- */

static void both_pages_go_in_lock_step(void **state)
{
    struct screen s;
    double c;
    char text[64];
    (void)state;
    struct session *session = start(&s, "one", "other", true, 36, 120);
    screen_type(&s, "Enter");
    for (int k = 0; k < 5; k++) {
        struct compare *at = state_of(&s);
        int i = (int)at->ids[at->table.cursor], j = best(&one, i, &other, &c);
        assert_int_equal(at->pages[0].feature, i);
        assert_int_equal(at->pages[1].feature, j);
        assert_true(at->pages[0].ready && at->pages[1].ready);
        snprintf(text, sizeof text, "#%d", i);
        screen_expect(&s, text);
        snprintf(text, sizeof text, "#%d", j);
        screen_expect(&s, text);
        snprintf(text, sizeof text, "decoder cosine %.3f", c);
        screen_expect(&s, text);
        screen_type(&s, "j");
    }
    screen_type(&s, "=");
    assert_int_equal(state_of(&s)->pages[1].feature, state_of(&s)->pages[0].feature);
    screen_type(&s, "q");
    screen_expect(&s, "MMCS");
    screen_type(&s, "G Enter Enter"); /* the feature by itself */
    screen_expect(&s, "3 Feature");
    stop(&s, session);
}

/* C goes from a feature to the pair that it is in, as soon as it is known. */
static void C_shows_the_match_of_a_feature(void **state)
{
    struct screen s;
    double c;
    (void)state;
    struct session *session = open_two("one", "other", true);
    screen_start(&s, &(struct screen_options){.rows = 36, .cols = 120, .view = "features",
                                              .session = session});
    screen_type(&s, "# \"12\" Enter C");
    assert_int_equal(state_of(&s)->ids[state_of(&s)->table.cursor], 12);
    assert_int_equal(compare_partner(state_of(&s), 0, 12), best(&one, 12, &other, &c));
    screen_type(&s, "2 # \"7\" Enter C");
    assert_int_equal(state_of(&s)->ids[state_of(&s)->table.cursor], 7);
    /* A page of B makes B current, and coming back makes it B again. */
    screen_type(&s, ": \"only B\" Enter j Enter Enter");
    assert_int_equal(desk_current(app_view(s.app, "compare")->desk), 1);
    screen_expect(&s, "3 Feature");
    screen_type(&s, "q");
    screen_expect(&s, "A one");
    assert_int_equal(desk_current(app_view(s.app, "compare")->desk), 0);
    assert_int_equal(state_of(&s)->list, LIST_ONLY_B);
    stop(&s, session);
}

static void lists_are_filtered_sorted_and_searched(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start(&s, "one", "other", true, 36, 120);
    struct compare *c = state_of(&s);
    for (int64_t r = 1; r < c->n_ids; r++) /* strongest first */
        assert_true(compare_value(app_view(s.app, "compare"), CMP_COSINE, c->ids[r - 1]) >=
                    compare_value(app_view(s.app, "compare"), CMP_COSINE, c->ids[r]));
    screen_type(&s, "& \"cosine < 0.6 and a > 10\" Enter");
    int64_t want = 0;
    for (int i = 11; i < one.n; i++) {
        double x;
        best(&one, i, &other, &x);
        want += x < 0.6;
    }
    assert_true(c->n_ids == want && want > 0);
    screen_type(&s, "& Enter");
    screen_type(&s, "& ^U \"nothing = 3\" Enter");
    screen_expect(&s, "nothing");
    screen_type(&s, "^U Enter");
    assert_int_equal(c->n_ids, one.n);
    screen_type(&s, "# \"12\" Enter");
    assert_int_equal(c->ids[c->table.cursor], 12);
    screen_type(&s, "gg / \"king\" Enter");
    const char *name = desk_name(app_view(s.app, "compare")->desk, 0,
                                 c->ids[c->table.cursor], NULL);
    assert_true(strstr(name, "king") || strstr(desk_name(app_view(s.app, "compare")->desk, 1,
                compare_partner(c, 0, c->ids[c->table.cursor]), NULL), "king"));
    screen_type(&s, "/ \"xyzzy\" Enter");
    screen_expect(&s, "xyzzy: in no name of this list");
    screen_type(&s, "h");
    assert_int_equal(c->list, LIST_BORN);
    screen_type(&s, ": \"drifted\" Enter : \"drift 0.95\" Enter");
    assert_int_equal(c->list, LIST_DRIFTED);
    assert_true(c->drift == 0.95);
    screen_type(&s, ": \"drift 2\" Enter");
    screen_expect(&s, "expected a cosine");
    stop(&s, session);
}

static void what_was_cancelled_goes_on_with_R(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = open_two("one", "other", false);
    screen_start(&s, &(struct screen_options){.session = session});
    screen_press(&s, '5');
    while (!state_of(&s)->top)
        app_reap(s.app);
    for (int k = 0; k < 3; k++)
        screen_press(&s, K_CTRL | 'c');
    screen_wait(&s);
    struct compare *c = state_of(&s);
    if (!c->top->whole) { /* else it was faster than the key */
        screen_expect(&s, "cancelled: R goes on");
        screen_type(&s, "R");
    }
    assert_true(c->top->whole);
    screen_type(&s, "R");
    assert_non_null(c->one[0]);
    screen_expect(&s, "MMCS");
    stop(&s, session);
}

/* -- what does not fit, what is missing, all sizes ------------------------------------------------------ */

static void different_inputs_are_refused_in_one_line(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start(&s, "one", "narrow", false, 24, 200);
    screen_expect(&s, "one: does not fit ");
    screen_expect(&s, "narrow (found d_in = 16 and d_in = 15, expected equal ones)");
    screen_type(&s, "j Enter l = x & \"a > 3\" Enter R Tab l w Esc");
    screen_expect(&s, "expected equal ones");
    stop(&s, session);

    session = little_open(true);
    screen_start(&s, &(struct screen_options){.view = "compare", .session = session});
    screen_expect(&s, "only one checkpoint is open");
    screen_type(&s, "j Enter l = x c q");
    stop(&s, session);
}

static void weights_alone_are_compared_too(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start(&s, "one", "other", false, 36, 120);
    struct compare *c = state_of(&s);
    assert_true(c->top->whole && c->counts[LIST_MATCHED] == one.n);
    assert_true(isnan(compare_figures_of(c, 0, 4).correlation));
    assert_false(isnan(compare_figures_of(c, 0, 4).encoder));
    screen_expect(&s, "--acts");
    screen_type(&s, ": \"died\" Enter");
    screen_expect(&s, "not known without activation samples");
    stop(&s, session);
}

/* One, the other and a permuted copy, with samples. */
static struct session *start_three(struct screen *s, int rows, int cols)
{
    static const char *const names[] = {"one", "other", "permuted", "little/acts.npy"};
    static char path[4][256];
    for (int i = 0; i < 4; i++)
        snprintf(path[i], sizeof path[i], "%s", test_path(names[i]));
    static const char *paths[] = {path[0], path[1], path[2]}, *acts[] = {path[3]};
    struct session_options o = {.paths = paths, .n_paths = 3, .acts = acts, .n_acts = 1,
                                .threads = 1};
    struct session *session = session_open(&o, NULL, NULL);
    screen_start(s, &(struct screen_options){.rows = rows, .cols = cols, .view = "compare",
                                             .session = session});
    return session;
}

/* Three: points, a table, and from there to two of them. */
static void more_than_two_are_points(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start_three(&s, 36, 120);
    struct compare *c = state_of(&s);
    assert_true(c->all && c->n_all == 3);
    screen_expect(&s, "3 scanned");
    screen_expect(&s, "● other");
    screen_expect(&s, "needs --model");
    const double l0[] = {index_totals(session->saes[0].index)->l0,
                         index_totals(session->saes[1].index)->l0};
    assert_int_equal(c->all_ids[l0[1] < l0[0] ? 0 : 2], 1); /* the sparsest first */
    screen_expect(&s, "permuted"); /* as sparse as the one it is a copy of */
    screen_type(&s, l0[1] < l0[0] ? "gg Enter" : "G Enter");
    assert_false(c->all);
    screen_expect(&s, "B other");
    screen_expect(&s, "all checkpoints");
    screen_type(&s, ": \"all\" Enter");
    assert_true(c->all);
    screen_type(&s, ": \"equal 100\" Enter");
    screen_expect(&s, "within 100 %");
    screen_type(&s, ": \"equal x\" Enter");
    screen_expect(&s, "expected 0 to 100");
    screen_type(&s, "Esc l");
    assert_true(!c->all && c->list == LIST_MATCHED);
    screen_type(&s, "h t ] s s I R c");
    for (int rows = 1; rows < 40; rows += 3)
        for (int cols = 1; cols < 160; cols += 7) {
            screen_resize(&s, rows, cols);
            free(screen_text(&s));
        }
    stop(&s, session);
}

/* At 60 columns: whole numbers, and every tab. */
static void nothing_is_cut_off_at_60_columns(void **state)
{
    struct screen s;
    (void)state;
    struct session *session = start_three(&s, 20, 60);
    screen_type(&s, "l");
    screen_expect(&s, " matched  drifted  split  only A  only B  died  born  all\n");
    double l0[2], fvu[2];
    char text[64], values[2][16];
    for (int k = 0; k < 2; k++) {
        l0[k] = index_totals(session->saes[k].index)->l0;
        fvu[k] = index_totals(session->saes[k].index)->fvu;
        snprintf(values[k], sizeof values[k], "%.4g", fvu[k]);
    }
    snprintf(text, sizeof text, "FVU %14s %8s %+9.4g", values[0], values[1], fvu[1] - fvu[0]);
    screen_expect(&s, text);
    snprintf(text, sizeof text, "%+9.4g", l0[1] - l0[0]);
    screen_expect(&s, text);
    char *summary = screen_row(&s, 8);
    assert_non_null(strstr(summary, "MMCS"));
    assert_null(strstr(summary, "…"));
    free(summary);
    /* A click on the last tab is one on it. */
    screen_mouse(&s, MOUSE_PRESS, 0, 9, 55);
    assert_true(state_of(&s)->all);
    stop(&s, session);
}

/* Cells of the picture in this ink that are braille dots. */
static int dots_in(struct screen *s, uint32_t ink)
{
    int n = 0;
    free(screen_text(s));
    for (int i = 0; i < s->canvas.rows * s->canvas.cols; i++) {
        const struct cell *cell = &s->canvas.cells[i];
        bool braille = memcmp(cell->text, "\xe2\xa0", 2) >= 0 && memcmp(cell->text, "\xe2\xa4", 2) < 0;
        n += braille && cell->style == ink;
    }
    return n;
}

/* Which architecture a point is of can be seen, and only those of one are joined. */
static void points_are_joined_by_kind(void **state)
{
    static char path[4][256];
    struct screen s;
    (void)state;
    write_sae("gate", &other, D);
    write_text("gate/cfg.json", "{\"hook_name\":\"blocks.0.hook_mlp_out\","
                                "\"architecture\":\"prolu\"}");
    const char *names[] = {"one", "gate", "other", "little/acts.npy"};
    for (int i = 0; i < 4; i++)
        snprintf(path[i], sizeof path[i], "%s", test_path(names[i]));
    for (int with = 0; with < 2; with++) { /* two of one kind, or three of two */
        const char *paths[] = {path[0], path[1], path[with ? 2 : 1]}, *acts[] = {path[3]};
        struct session_options o = {.paths = paths, .n_paths = 3, .acts = acts, .n_acts = 1,
                                    .threads = 1};
        struct session *session = session_open(&o, NULL, NULL);
        screen_start(&s, &(struct screen_options){.rows = 36, .cols = 120, .view = "compare",
                                                  .session = session});
        screen_expect(&s, "◆ gate");
        screen_expect(&s, "◆ prolu");
        screen_expect(&s, "FVU against L0 ● standard ◆ prolu");
        assert_true(with ? dots_in(&s, INK_AXIS) > 3 : dots_in(&s, INK_AXIS) <= 3);
        stop(&s, session);
    }
}

/* Everything, at all sizes: nothing that is not a number, and nothing falls over. */
static void no_screen_shows_what_is_no_number(void **state)
{
    static const int sizes[][2] = {{16, 60}, {24, 80}, {36, 120}, {60, 200}};
    static const char *const pairs[][2] = {{"one", "other"}, {"other", "one"}, {"one", "one"},
                                           {"permuted", "little/saes/relu"}};
    struct screen s;
    (void)state;
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
            struct session *session = start(&s, pairs[p][0], pairs[p][1], true, sizes[z][0],
                                            sizes[z][1]);
            for (int l = 0; l < LISTS; l++) {
                screen_expect_not(&s, "nan");
                screen_type(&s, "G k Enter");
                screen_expect_not(&s, "nan");
                screen_type(&s, "Esc");
                if (session->n_chosen > 1 && desk_partner(app_view(s.app, "compare")->desk) >= 0)
                    screen_type(&s, "l Tab l Tab = ] s");
            }
            stop(&s, session);
        }
    }
    struct session *session = start(&s, "one", "other", true, 36, 120);
    for (int rows = 1; rows < 40; rows += 3)
        for (int cols = 1; cols < 160; cols += 7) {
            screen_resize(&s, rows, cols);
            free(screen_text(&s));
        }
    stop(&s, session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_what_a_loop_finds),
        cmocka_unit_test(metrics_stand_side_by_side),
        cmocka_unit_test(a_copy_is_the_same),
        cmocka_unit_test(a_permuted_copy_is_found_as_one),
        cmocka_unit_test(both_pages_go_in_lock_step),
        cmocka_unit_test(C_shows_the_match_of_a_feature),
        cmocka_unit_test(lists_are_filtered_sorted_and_searched),
        cmocka_unit_test(what_was_cancelled_goes_on_with_R),
        cmocka_unit_test(different_inputs_are_refused_in_one_line),
        cmocka_unit_test(weights_alone_are_compared_too),
        cmocka_unit_test(more_than_two_are_points),
        cmocka_unit_test(points_are_joined_by_kind),
        cmocka_unit_test(nothing_is_cut_off_at_60_columns),
        cmocka_unit_test(no_screen_shows_what_is_no_number),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
