/* view_compare_cells.c - view 5: the columns of a list; see view_compare.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/session.h"
#include "tui/view_compare.h"
#include "tui/wid_hist.h"

#define NUMBER(width, rank) {NULL, width, 0, ALIGN_RIGHT, rank, true}

const struct compare_column_info compare_columns[CMP_COLUMNS] = {
    [CMP_A] = {"a", "A", "feature of A", {NULL, 7, 0, ALIGN_RIGHT, 0, true}},
    [CMP_NAME_A] = {NULL, "name in A", NULL, {NULL, 12, 1, ALIGN_LEFT, 2, false}},
    [CMP_B] = {"b", "B", "its partner in B", {NULL, 7, 0, ALIGN_RIGHT, 0, true}},
    [CMP_NAME_B] = {NULL, "name in B", NULL, {NULL, 12, 1, ALIGN_LEFT, 3, false}},
    [CMP_COSINE] = {"cosine", "cosine", "cosine of their decoder rows", NUMBER(7, 1)},
    [CMP_ENCODER] = {"encoder_cosine", "encoder", "cosine of their encoder rows",
                     NUMBER(7, 4)},
    [CMP_CORRELATION] = {"correlation", "corr", "correlation of their activations",
                         NUMBER(6, 3)},
    [CMP_MUTUAL] = {"mutual", "mutual", "1: each other's best match", NUMBER(6, 5)},
    [CMP_ONE] = {"one_to_one", "1 to 1", "its partner in the one-to-one matching",
                 NUMBER(7, 7)},
    [CMP_CLOSE] = {"close", "close", "how many of the other side are close to it",
                   NUMBER(6, 4)},
    [CMP_WHICH] = {NULL, "those close to it", NULL, {NULL, 30, 3, ALIGN_LEFT, 2, false}},
    [CMP_DENSITY_A] = {"density_a", "density A", "density in A", NUMBER(10, 4)},
    [CMP_DENSITY_B] = {"density_b", "density B", "density in B", NUMBER(10, 4)},
    [CMP_MAX_A] = {"max_a", "max A", "greatest activation in A", NUMBER(7, 8)},
    [CMP_MAX_B] = {"max_b", "max B", "greatest activation in B", NUMBER(7, 8)},
    [CMP_BIAS_A] = {"bias_a", "bias A", "learned bias in A", NUMBER(8, 6)},
    [CMP_BIAS_B] = {"bias_b", "bias B", "learned bias in B", NUMBER(8, 6)},
    [CMP_THRESHOLD_A] = {"threshold_a", "thresh. A", "threshold in A", NUMBER(9, 9)},
    [CMP_THRESHOLD_B] = {"threshold_b", "thresh. B", "threshold in B", NUMBER(9, 9)},
};

/* -- which columns ------------------------------------------------------------------------ */

static bool is_wanted(const struct view *v, int column)
{
    const struct compare *s = v->state;

    switch (column) {
    case CMP_WHICH: return s->list == LIST_SPLIT;
    case CMP_NAME_B: return s->list != LIST_SPLIT;
    case CMP_THRESHOLD_A: return compare_table_of(v, 0)->v[FCOL_THRESHOLD] != NULL;
    case CMP_THRESHOLD_B: return compare_table_of(v, 1)->v[FCOL_THRESHOLD] != NULL;
    default: return true;
    }
}

int compare_list_columns(const struct view *v, int *columns)
{
    /* What the other side is called comes first in lists of B. */
    static const int turned[] = {CMP_B, CMP_NAME_B, CMP_A, CMP_NAME_A};
    const struct compare *s = v->state;
    int n = 0;

    if (s->sae[1] < 0)
        return 0;
    for (int c = 0; c < CMP_COLUMNS; c++) {
        int column = c < 4 && compare_side(s) ? turned[c] : c;
        if (is_wanted(v, column))
            columns[n++] = column;
    }
    return n;
}

/* -- values ---------------------------------------------------------------------------------- */

static double table_value(const struct view *v, int side, int column, int64_t id)
{
    return id < 0 ? NAN : feature_table_at(compare_table_of(v, side), column, id);
}

static double or_nan(int64_t id)
{
    return id < 0 ? NAN : (double)id;
}

double compare_value(const struct view *v, int column, int64_t id)
{
    const struct compare *s = v->state;
    int side = compare_side(s);
    int64_t partner = compare_partner(s, side, id);
    int64_t a = side ? partner : id, b = side ? id : partner;

    switch (column) {
    case CMP_A: return or_nan(a);
    case CMP_B: return or_nan(b);
    case CMP_COSINE: return (double)compare_figures_of(s, side, id).decoder;
    case CMP_ENCODER: return (double)compare_figures_of(s, side, id).encoder;
    case CMP_CORRELATION: return (double)compare_figures_of(s, side, id).correlation;
    case CMP_MUTUAL:
        return s->top && s->top->whole ? compare_is_mutual(s, side, id) : NAN;
    case CMP_ONE: return s->one[side] ? or_nan(s->one[side][id]) : NAN;
    case CMP_CLOSE: return compare_close(s, side, id);
    case CMP_DENSITY_A: return table_value(v, 0, FCOL_DENSITY, a);
    case CMP_DENSITY_B: return table_value(v, 1, FCOL_DENSITY, b);
    case CMP_MAX_A: return table_value(v, 0, FCOL_MAX, a);
    case CMP_MAX_B: return table_value(v, 1, FCOL_MAX, b);
    case CMP_BIAS_A: return table_value(v, 0, FCOL_BIAS, a);
    case CMP_BIAS_B: return table_value(v, 1, FCOL_BIAS, b);
    case CMP_THRESHOLD_A: return table_value(v, 0, FCOL_THRESHOLD, a);
    case CMP_THRESHOLD_B: return table_value(v, 1, FCOL_THRESHOLD, b);
    default: return NAN;
    }
}

void compare_which(const struct compare *s, int side, int64_t id, char *buf, size_t size)
{
    int n = compare_close(s, side, id);
    size_t len = 0;

    buf[0] = 0;
    for (int k = 0; k < n && len < size; k++) {
        const struct match_near *m = &s->top->v[side][id * MATCH_TOP + k];
        len += (size_t)snprintf(buf + len, size - len, "%s#%lld %.2f", k ? "  " : "",
                                (long long)m->id, (double)m->cosine);
    }
    if (n == MATCH_TOP && len < size)
        snprintf(buf + len, size - len, " ...");
}

/* -- cells ------------------------------------------------------------------------------------ */

static void paint_name(const struct view *v, int side, int64_t id, struct canvas *c)
{
    const struct compare *s = v->state;
    bool is_label;

    if (id < 0) {
        table_cell_text(c, ALIGN_LEFT, INK_DIM, "·");
        return;
    }
    const char *name = desk_name(v->desk, s->sae[side], id, &is_label);
    table_cell_text(c, ALIGN_LEFT, is_label ? INK_NOTE : INK_TEXT, name);
}

static void paint_id(double id, uint32_t ink, struct canvas *c)
{
    char text[32];

    if (isnan(id)) {
        table_cell_text(c, ALIGN_RIGHT, INK_DIM, "·");
        return;
    }
    snprintf(text, sizeof text, "%.0f", id);
    table_cell_text(c, ALIGN_RIGHT, ink, text);
}

static void paint_table_value(const struct view *v, int side, int column, double x,
                              struct canvas *c)
{
    const struct compare *s = v->state;
    uint32_t ink = x < 0 ? INK_NEGATIVE : x > 0 ? INK_VALUE : INK_DIM;

    pane_number(c, x, s->decimals[side][column], ink);
}

static void paint_cell(const void *ctx, int64_t row, int at, struct canvas *c)
{
    const struct view *v = ctx;
    const struct compare *s = v->state;
    int columns[CMP_COLUMNS], column, side = compare_side(s);
    int64_t id = s->ids[row], partner = compare_partner(s, side, id);
    char which[160];

    compare_list_columns(v, columns);
    column = columns[at];
    double x = compare_value(v, column, id);
    switch (column) {
    case CMP_A: paint_id(x, INK_BAR, c); break;
    case CMP_B: paint_id(x, INK_BAR_2, c); break;
    case CMP_NAME_A: paint_name(v, 0, side ? partner : id, c); break;
    case CMP_NAME_B: paint_name(v, 1, side ? id : partner, c); break;
    case CMP_MUTUAL:
        table_cell_text(c, ALIGN_RIGHT, INK_DIM, isnan(x) ? "·" : x > 0 ? "yes" : "");
        break;
    case CMP_ONE: paint_id(x, INK_VALUE, c); break;
    case CMP_CLOSE: pane_number(c, x, 0, x > 1 ? INK_VALUE : INK_DIM); break;
    case CMP_WHICH:
        compare_which(s, side, id, which, sizeof which);
        table_cell_text(c, ALIGN_LEFT, INK_BAR_2, which);
        break;
    case CMP_DENSITY_A: paint_table_value(v, 0, FCOL_DENSITY, x, c); break;
    case CMP_DENSITY_B: paint_table_value(v, 1, FCOL_DENSITY, x, c); break;
    case CMP_MAX_A: paint_table_value(v, 0, FCOL_MAX, x, c); break;
    case CMP_MAX_B: paint_table_value(v, 1, FCOL_MAX, x, c); break;
    case CMP_BIAS_A: paint_table_value(v, 0, FCOL_BIAS, x, c); break;
    case CMP_BIAS_B: paint_table_value(v, 1, FCOL_BIAS, x, c); break;
    case CMP_THRESHOLD_A: paint_table_value(v, 0, FCOL_THRESHOLD, x, c); break;
    case CMP_THRESHOLD_B: paint_table_value(v, 1, FCOL_THRESHOLD, x, c); break;
    default: pane_number(c, x, 3, x < 0 ? INK_NEGATIVE : INK_VALUE);
    }
}

static bool is_selected(const void *ctx, int64_t row)
{
    const struct view *v = ctx;
    const struct compare *s = v->state;

    return desk_selected(v->desk, s->sae[compare_side(s)], s->ids[row]);
}

static const char *why_empty(const struct view *v)
{
    static const char *const texts[LISTS] = {
        [LIST_MATCHED] = "no pairs",
        [LIST_DRIFTED] = "no pair that belongs together points another way (:drift sets "
                         "from which cosine on)",
        [LIST_SPLIT] = "no feature of A is close to two or more of B (:split sets how close)",
        [LIST_ONLY_A] = "every feature of A has a match in B",
        [LIST_ONLY_B] = "every feature of B has a match in A",
        [LIST_DIED] = "none is alive in A with a partner in B that is dead",
        [LIST_BORN] = "none is alive in B with a partner in A that is dead",
    };
    const struct compare *s = v->state;
    bool lives = s->list == LIST_DIED || s->list == LIST_BORN;

    if (s->filter[0])
        return "no pair fulfils the filter; & and an empty line: all again";
    if (lives && !samples_have_features(v->session->samples))
        return "not known without activation samples (--acts FILE)";
    if (!s->top || !s->top->whole)
        return "...";
    if (lives && !(s->index[0] && s->index[1]))
        return "not known until both are scanned";
    return texts[s->list];
}

void compare_table(const struct view *v, struct compare_table *out)
{
    const struct compare *s = v->state;
    int n = compare_list_columns(v, out->columns);

    for (int k = 0; k < n; k++) {
        out->heads[k] = compare_columns[out->columns[k]].head;
        out->heads[k].title = compare_columns[out->columns[k]].title;
    }
    out->table = (struct table){.columns = out->heads, .n_columns = n, .n_rows = s->n_ids,
                                .ctx = v, .cell = paint_cell, .is_selected = is_selected,
                                .empty = why_empty(v)};
}
