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

static const struct table_column heads[ALL_COLUMNS] = {
    [ALL_SIDE] = {"", 1, 0, ALIGN_LEFT, 0, false},
    [ALL_NAME] = {"checkpoint", 14, 2, ALIGN_LEFT, 0, true},
    [ALL_ARCHITECTURE] = {"kind", 11, 0, ALIGN_LEFT, 6, false},
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

double compare_all_value(const struct view *v, int i, enum all_column column)
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

double *compare_all_values(const struct view *v, enum all_column column)
{
    const struct compare *s = v->state;
    double *x = xmalloc((size_t)s->n_all * sizeof *x);

    for (int k = 0; k < s->n_all; k++)
        x[k] = compare_all_value(v, s->all_ids[k], column);
    return x;
}

const char *compare_all_name(const struct view *v, int i)
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
    t.v[FCOL_BIAS] = compare_all_values(v, (enum all_column)s->all_table.sort);
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
    double *l0 = compare_all_values(v, ALL_L0);
    int n = pareto_pairs(l0, s->n_all, s->equal_l0, &pairs);

    for (int k = 0; k < n; k++) {
        int with = pairs[k].a == row ? pairs[k].b : pairs[k].b == row ? pairs[k].a : -1;
        if (with >= 0)
            str_appendf(&text, "%s%s", text.len ? ", " : "", compare_all_name(v, s->all_ids[with]));
    }
    table_cell_text(c, ALIGN_LEFT, INK_MARKER, str_text(&text));
    str_finish(&text);
    free(pairs);
    free(l0);
}

static void paint_number(const struct view *v, int i, enum all_column column, struct canvas *c)
{
    double x = compare_all_value(v, i, column);
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
        table_cell_text(c, ALIGN_LEFT, ink, text_width(name) > c->cols ? compare_all_name(v, i) : name);
        break;
    }
    case ALL_ARCHITECTURE:
        if (sae)
            canvas_printf(c, 0, 0, INK_TEXT, "%s %s", compare_scatter_mark(sae, c->ascii),
                          sae->arch->name);
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
    default: paint_number(v, i, (enum all_column)column, c);
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
    snprintf(buf, size, "%lld/%d · %d scanned · %d scored · nearly equal: L0 within %g %%",
             (long long)s->all_table.cursor + 1, s->n_all, scanned, scored,
             100 * s->equal_l0);
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
        compare_scatter_paint(v, &left, ALL_FVU, "FVU against L0");
        compare_scatter_paint(v, &right, ALL_SCORE, "reconstruction score against L0");
    } else {
        struct canvas one = canvas_sub(c, 1, 0, top, c->cols);
        compare_scatter_paint(v, &one, s->against_score ? ALL_SCORE : ALL_FVU,
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
        .step = compare_all_value(v, i, ALL_STEP),
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
