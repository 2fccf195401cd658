/* view_compare_all.c - view 5, more than two: how sparse against how good; see
 * view_compare.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/pareto.h"
#include "model/session.h"
#include "tui/out.h"
#include "tui/out_compare.h"
#include "tui/view_compare.h"
#include "tui/wid_hist.h"
#include "tui/wid_line.h"

/* -- which, and what is known of them ------------------------------------------------------ */

/* Those that were asked for, if they are several; else all there are. */
static int members(const struct view *v, int *out)
{
    const struct session *s = v->session;
    int n = s->n_chosen > 2 ? s->n_chosen : s->n_saes;

    for (int k = 0; k < n && out; k++)
        out[k] = s->n_chosen > 2 ? s->chosen[k] : k;
    return n;
}

bool compare_has_all(const struct view *v)
{
    return members(v, NULL) > 2;
}

void compare_all_need(struct view *v)
{
    struct compare *s = v->state;

    for (int k = 0; k < s->n_all; k++) {
        int i = s->all_ids[k];
        desk_need(v->desk, i);
        desk_need_lm(v->desk);
        if (desk_score_is_cheap(v->desk, i))
            desk_need_score(v->desk, i);
    }
}

static const struct scan_totals *totals_of(const struct view *v, int i)
{
    const struct index *ix = v->session->saes[i].index;
    return ix ? index_totals(ix) : NULL;
}

enum all_column {
    ALL_SIDE, ALL_NAME, ALL_ARCHITECTURE, ALL_D_SAE, ALL_STEP, ALL_L0, ALL_FVU, ALL_EXPLAINED,
    ALL_DEAD, ALL_SCORE, ALL_NATS, ALL_KL, ALL_NEAR,
    ALL_COLUMNS
};

static const struct table_column heads[ALL_COLUMNS] = {
    [ALL_SIDE] = {"", 1, 0, ALIGN_LEFT, 0, false},
    [ALL_NAME] = {"checkpoint", 14, 2, ALIGN_LEFT, 0, true},
    [ALL_ARCHITECTURE] = {"kind", 9, 0, ALIGN_LEFT, 6, false},
    [ALL_D_SAE] = {"d_sae", 7, 0, ALIGN_RIGHT, 7, true},
    [ALL_STEP] = {"step", 7, 0, ALIGN_RIGHT, 8, true},
    [ALL_L0] = {"L0", 8, 0, ALIGN_RIGHT, 1, true},
    [ALL_FVU] = {"FVU", 8, 0, ALIGN_RIGHT, 1, true},
    [ALL_EXPLAINED] = {"expl. var", 9, 0, ALIGN_RIGHT, 9, true},
    [ALL_DEAD] = {"dead", 7, 0, ALIGN_RIGHT, 5, true},
    [ALL_SCORE] = {"rec. score", 10, 0, ALIGN_RIGHT, 2, true},
    [ALL_NATS] = {"nats lost", 9, 0, ALIGN_RIGHT, 4, true},
    [ALL_KL] = {"KL", 8, 0, ALIGN_RIGHT, 5, true},
    [ALL_NEAR] = {"L0 nearly equal to", 18, 3, ALIGN_LEFT, 3, false},
};

static double value(const struct view *v, int i, int column)
{
    const struct session_sae *e = &v->session->saes[i];
    const struct scan_totals *t = totals_of(v, i);
    const struct desk_score *score = desk_score(v->desk, i);
    bool scored = score->known;

    switch (column) {
    case ALL_NAME: return i;
    case ALL_D_SAE: return e->sae ? (double)e->sae->d_sae : NAN;
    case ALL_STEP:
        return e->step >= 0                 ? (double)e->step
               : e->sae && e->sae->step >= 0 ? (double)e->sae->step
                                             : NAN;
    case ALL_L0: return t ? t->l0 : NAN;
    case ALL_FVU: return t ? t->fvu : NAN;
    case ALL_EXPLAINED: return t ? t->explained_variance : NAN;
    case ALL_DEAD: return t ? t->dead_fraction : NAN;
    case ALL_SCORE: return scored ? score->page.reconstruction_score : NAN;
    case ALL_NATS: return scored ? score->page.nats_lost : NAN;
    case ALL_KL: return scored ? score->page.kl : NAN;
    default: return NAN;
    }
}

/* A column of all members; the caller's to free. */
static double *values(const struct view *v, int column)
{
    const struct compare *s = v->state;
    double *x = xmalloc((size_t)s->n_all * sizeof *x);

    for (int k = 0; k < s->n_all; k++)
        x[k] = value(v, s->all_ids[k], column);
    return x;
}

/* What is long and the same for all of a series does not tell them apart. */
static const char *short_name(const struct view *v, int i)
{
    const char *name = v->session->saes[i].name, *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

/* -- rows ----------------------------------------------------------------------------------- */

void compare_all_select(struct view *v)
{
    struct compare *s = v->state;
    int on = s->n_all ? s->all_ids[s->all_table.cursor] : -1;

    s->all_ids = xreallocarray(s->all_ids, (size_t)members(v, NULL) + 1, sizeof *s->all_ids);
    s->n_all = members(v, s->all_ids);
    struct feature_table t = {.n = s->n_all};
    uint32_t *order = xmalloc((size_t)s->n_all * sizeof *order);
    int *sorted = xmalloc((size_t)s->n_all * sizeof *sorted);
    t.v[FCOL_BIAS] = values(v, s->all_table.sort);
    for (int k = 0; k < s->n_all; k++)
        order[k] = (uint32_t)k;
    feature_table_sort(&t, FCOL_BIAS, s->all_table.ascending, order, s->n_all);
    for (int k = 0; k < s->n_all; k++)
        sorted[k] = s->all_ids[order[k]];
    free(t.v[FCOL_BIAS]);
    free(order);
    free(s->all_ids);
    s->all_ids = sorted;
    for (int k = 0; k < s->n_all; k++)
        if (sorted[k] == on)
            s->all_table.cursor = k;
}

static void paint_near(const struct view *v, int row, struct canvas *c)
{
    const struct compare *s = v->state;
    struct pareto_pair *pairs;
    struct str text = {0};
    double *l0 = values(v, ALL_L0);
    int n = pareto_pairs(l0, s->n_all, s->equal_l0, &pairs);

    for (int k = 0; k < n; k++) {
        int with = pairs[k].a == row ? pairs[k].b : pairs[k].b == row ? pairs[k].a : -1;
        if (with >= 0)
            str_appendf(&text, "%s%s", text.len ? ", " : "", short_name(v, s->all_ids[with]));
    }
    table_cell_text(c, ALIGN_LEFT, INK_MARKER, str_text(&text));
    str_finish(&text);
    free(pairs);
    free(l0);
}

static void paint_number(const struct view *v, int i, int column, struct canvas *c)
{
    double x = value(v, i, column);
    char text[600];

    if (column == ALL_DEAD && !isnan(x))
        table_cell_text(c, ALIGN_RIGHT, INK_VALUE, percent_text(x, text, sizeof text));
    else if (column == ALL_D_SAE || column == ALL_STEP)
        pane_number(c, x, 0, INK_VALUE);
    else
        table_cell_number(c, x, 4, INK_VALUE);
}

static void paint_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ctx;
    const struct compare *s = v->state;
    int i = s->all_ids[row];
    const struct sae *sae = v->session->saes[i].sae;
    uint32_t ink = i == s->sae[0] ? INK_BAR : i == s->sae[1] ? INK_BAR_2 : INK_TEXT;

    switch (column) {
    case ALL_SIDE:
        canvas_text(c, 0, 0, ink, i == s->sae[0] ? "A" : i == s->sae[1] ? "B" : " ");
        break;
    case ALL_NAME: {
        const char *name = v->session->saes[i].name;
        table_cell_text(c, ALIGN_LEFT, ink, text_width(name) > c->cols ? short_name(v, i) : name);
        break;
    }
    case ALL_ARCHITECTURE:
        table_cell_text(c, ALIGN_LEFT, INK_TEXT, sae ? sae->arch->name : "");
        break;
    case ALL_NEAR: {
        char state[600];
        desk_state_text(v->desk, i, state, sizeof state);
        if (state[0])
            table_cell_text(c, ALIGN_LEFT, INK_DIM, state);
        else
            paint_near(v, (int)row, c);
        break;
    }
    default: paint_number(v, i, column, c);
    }
}

static struct table table_of(const struct view *v)
{
    const struct compare *s = v->state;

    return (struct table){.columns = heads, .n_columns = ALL_COLUMNS, .n_rows = s->n_all,
                          .ctx = v, .cell = paint_cell};
}

void compare_all_sort(struct compare *s)
{
    s->all_table = (struct table_state){.sort = ALL_L0, .column = ALL_L0, .ascending = true};
}

void compare_all_status(const struct view *v, char *buf, size_t size)
{
    const struct compare *s = v->state;
    int scanned = 0, scored = 0;

    for (int k = 0; k < s->n_all; k++) {
        scanned += totals_of(v, s->all_ids[k]) != NULL;
        scored += desk_score(v->desk, s->all_ids[k])->known;
    }
    snprintf(buf, size, "%lld/%d · %d scanned · %d scored · joined: L0 within %g %%",
             (long long)s->all_table.cursor + 1, s->n_all, scanned, scored,
             100 * s->equal_l0);
}

/* -- the scatter ------------------------------------------------------------------------------ */

struct cloud {
    float *x, *y;             /* [n] */
    float *line_x, *line_y;   /* pairs of nearly equal L0, with gaps between */
    int n_line;
    float *front_x, *front_y; /* by L0 */
    int n_front;
    struct plot_label *labels;
};

static void cloud_finish(struct cloud *c)
{
    free(c->x);
    free(c->y);
    free(c->line_x);
    free(c->line_y);
    free(c->front_x);
    free(c->front_y);
    free(c->labels);
}

static void join_pairs(const struct compare *s, const double *l0, struct cloud *c)
{
    struct pareto_pair *pairs;
    int n = pareto_pairs(l0, s->n_all, s->equal_l0, &pairs);

    c->line_x = xmalloc((size_t)n * 3 * sizeof *c->line_x);
    c->line_y = xmalloc((size_t)n * 3 * sizeof *c->line_y);
    for (int k = 0; k < n; k++) {
        int ends[] = {pairs[k].a, pairs[k].b};
        for (int e = 0; e < 2; e++) {
            c->line_x[c->n_line] = c->x[ends[e]];
            c->line_y[c->n_line++] = c->y[ends[e]];
        }
        c->line_x[c->n_line] = c->line_y[c->n_line] = NAN;
        c->n_line++;
    }
    free(pairs);
}

/* The front as a line: from the sparsest on. */
static void draw_front(const struct compare *s, const double *l0, const double *good,
                       struct cloud *c)
{
    bool *on = xcalloc((size_t)s->n_all, sizeof *on);

    pareto_front(l0, good, s->n_all, on);
    c->front_x = xmalloc((size_t)s->n_all * sizeof *c->front_x);
    c->front_y = xmalloc((size_t)s->n_all * sizeof *c->front_y);
    for (int k = 0; k < s->n_all; k++) {
        int at = c->n_front;
        if (!on[k])
            continue;
        for (; at > 0 && c->front_x[at - 1] > c->x[k]; at--) {
            c->front_x[at] = c->front_x[at - 1];
            c->front_y[at] = c->front_y[at - 1];
        }
        c->front_x[at] = c->x[k];
        c->front_y[at] = c->y[k];
        c->n_front++;
    }
    free(on);
}

static void name_points(const struct view *v, struct cloud *c)
{
    const struct compare *s = v->state;

    c->labels = xcalloc((size_t)s->n_all, sizeof *c->labels);
    for (int k = 0; k < s->n_all; k++) { /* the one under the cursor first */
        int at = k == 0 ? (int)s->all_table.cursor
                        : k <= s->all_table.cursor ? k - 1
                                                   : k;
        int i = s->all_ids[at];
        uint32_t ink = at == s->all_table.cursor ? INK_BRUSH | STYLE_BOLD
                       : i == s->sae[0]          ? (uint32_t)INK_BAR
                       : i == s->sae[1]          ? (uint32_t)INK_BAR_2
                                                 : (uint32_t)INK_TEXT;
        c->labels[k] = (struct plot_label){c->x[at], c->y[at], short_name(v, i), ink};
    }
}

/* From so many times the least on, what is far out would press the others together. */
#define LOG_FROM 8

/* Over logarithms where the values, all above 0, span much. */
static bool to_log(float *x, int n)
{
    float lo = INFINITY, hi = -INFINITY;

    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) {
            lo = fminf(lo, x[i]);
            hi = fmaxf(hi, x[i]);
        }
    if (!(lo > 0 && hi > LOG_FROM * lo))
        return false;
    for (int i = 0; i < n; i++)
        x[i] = log10f(x[i]);
    return true;
}

static void spread(const float *x, int n, double *lo, double *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) {
            *lo = fmin(*lo, (double)x[i]);
            *hi = fmax(*hi, (double)x[i]);
        }
    double margin = *hi > *lo ? (*hi - *lo) / 20 : fabs(*hi) / 20 + 1e-3;
    *lo -= margin;
    *hi += margin;
}

/* L0 against FVU or the score; what lacks one of them is not there. */
static void paint_scatter(const struct view *v, struct canvas *c, int column, const char *title)
{
    const struct compare *s = v->state;
    struct canvas body = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    double *l0 = values(v, ALL_L0), *y = values(v, column);
    struct cloud cloud = {0};
    int n = s->n_all, known = 0;

    canvas_rule(c, 0, title, INK_RULE);
    cloud.x = xmalloc((size_t)n * sizeof *cloud.x);
    cloud.y = xmalloc((size_t)n * sizeof *cloud.y);
    for (int k = 0; k < n; k++) {
        bool has = !isnan(l0[k]) && !isnan(y[k]);
        cloud.x[k] = has ? (float)l0[k] : NAN;
        cloud.y[k] = has ? (float)y[k] : NAN;
        known += has;
        if (column == ALL_FVU)
            y[k] = -y[k];
    }
    bool log_x = to_log(cloud.x, n), log_y = column == ALL_FVU && to_log(cloud.y, n);
    if (known) {
        join_pairs(s, l0, &cloud);
        draw_front(s, l0, y, &cloud);
        name_points(v, &cloud);
        struct plot_series series[] = {
            {cloud.front_x, cloud.front_y, cloud.n_front, true, INK_RULE, NULL},
            {cloud.line_x, cloud.line_y, cloud.n_line, true, INK_MARKER, NULL},
        };
        struct plot p = {.series = series, .n_series = 2, .x_label = "L0", .cursor = -1,
                         .log_x = log_x, .log_y = log_y,
                         .labels = cloud.labels, .n_labels = n};
        spread(cloud.x, n, &p.x_lo, &p.x_hi);
        spread(cloud.y, n, &p.y_lo, &p.y_hi);
        plot_paint(&body, &p);
    } else {
        char text[600];
        desk_score_text(v->desk, s->all_ids[0], text, sizeof text);
        canvas_wrap(&body, 0, INK_DIM,
                    !samples_have_features(v->session->samples)
                        ? "not known without activation samples (--acts FILE)"
                    : column == ALL_SCORE && text[0] ? text
                                                     : "...");
    }
    cloud_finish(&cloud);
    free(l0);
    free(y);
}

/* -- the screen -------------------------------------------------------------------------------- */

enum { TWO_SCATTERS = 100 };

/* Rows of the scatters, then tabs, then the table. */
static int scatter_rows(const struct view *v)
{
    const struct compare *s = v->state;
    int rows = v->rows - 3, table = s->n_all + 1;

    return table < rows / 2 ? rows - table : rows - rows / 2;
}

int compare_all_tabs_row(const struct view *v)
{
    return 1 + scatter_rows(v);
}

void compare_all_paint(const struct view *v, struct canvas *c)
{
    const struct compare *s = v->state;
    int top = scatter_rows(v), half = c->cols / 2, at = compare_all_tabs_row(v) + 1;
    struct canvas body = canvas_sub(c, at, 0, c->rows - at, c->cols);
    struct table t = table_of(v);

    if (c->cols >= TWO_SCATTERS) {
        struct canvas left = canvas_sub(c, 1, 0, top, half - 1);
        struct canvas right = canvas_sub(c, 1, half, top, c->cols - half);
        paint_scatter(v, &left, ALL_FVU, "FVU against L0");
        paint_scatter(v, &right, ALL_SCORE, "reconstruction score against L0");
    } else {
        struct canvas one = canvas_sub(c, 1, 0, top, c->cols);
        paint_scatter(v, &one, s->against_score ? ALL_SCORE : ALL_FVU,
                      s->against_score ? "reconstruction score against L0 (t: FVU)"
                                       : "FVU against L0 (t: reconstruction score)");
    }
    table_paint(&body, &t, &s->all_table, true);
}

/* -- keys ----------------------------------------------------------------------------------------- */

static int under_cursor(const struct compare *s)
{
    return s->all_ids[s->all_table.cursor];
}

/* A against the one under the cursor; A itself against B as it is. */
static void compare_with(struct view *v)
{
    struct compare *s = v->state;
    int i = under_cursor(s);

    s->all = false;
    if (i != s->sae[0])
        desk_set_partner(v->desk, i);
    compare_update(v);
}

static void pick(struct view *v)
{
    struct compare *s = v->state;

    if (under_cursor(s) == s->sae[0])
        app_message(v->app, "this is A; x makes B of it");
    else
        desk_set_partner(v->desk, under_cursor(s));
}

enum outcome compare_all_act(struct view *v, const struct press *p)
{
    struct compare *s = v->state;
    struct table t = table_of(v);
    int before = s->all_table.sort;
    bool ascending = s->all_table.ascending;

    switch (p->action) {
    case ACT_OPEN: compare_with(v); return OUT_DONE;
    case ACT_PARTNER: pick(v); return OUT_DONE;
    case ACT_AXIS: s->against_score = !s->against_score; return OUT_DONE;
    case ACT_ABLATE: desk_score_again(v->desk, under_cursor(s)); return OUT_DONE;
    case ACT_RELOAD: /* the frame tries the current one */
        desk_retry(v->desk, under_cursor(s));
        return OUT_IGNORED;
    default: break;
    }
    if (!table_act(&t, &s->all_table, p, v->rows - compare_all_tabs_row(v) - 1))
        return OUT_IGNORED;
    if (before != s->all_table.sort || ascending != s->all_table.ascending)
        compare_all_select(v);
    return OUT_DONE;
}

void compare_all_mouse(struct view *v, struct mouse m)
{
    struct compare *s = v->state;
    struct table t = table_of(v);
    int at = compare_all_tabs_row(v) + 1;
    bool opened = false;

    m.row -= at;
    if (m.row < 0)
        return;
    table_mouse(&t, &s->all_table, &m, v->rows - at, v->cols, &opened);
    compare_all_select(v);
    if (opened)
        compare_with(v);
}

/* -- files ------------------------------------------------------------------------------------------ */

static void describe(const struct view *v, int i, struct compare_point *out)
{
    const struct desk_score *score = desk_score(v->desk, i);

    *out = (struct compare_point){
        .name = v->session->saes[i].name,
        .path = v->session->saes[i].path,
        .sae = v->session->saes[i].sae,
        .totals = totals_of(v, i),
        .score = score->known ? &score->page : NULL,
        .step = value(v, i, ALL_STEP),
    };
}

/* What `saescope compare --pareto` prints. */
void compare_all_put(const struct view *v, struct out *o)
{
    const struct compare *s = v->state;
    struct compare_point *points = xcalloc((size_t)s->n_all, sizeof *points);

    for (int k = 0; k < s->n_all; k++)
        describe(v, s->all_ids[k], &points[k]);
    out_pareto(o, points, s->n_all, s->equal_l0);
    free(points);
}
