/* view_cosine_lists.c - the lists beside the map of view 6; see view_cosine.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/mem.h"
#include "io/str.h"
#include "tui/view_cosine.h"
#include "tui/wid_hist.h"

/* Columns of the three lists. */
enum { BEST_ROW, BEST_NAME, BEST_COLUMN, BEST_COLUMN_NAME, BEST_COSINE, BEST_COLUMNS };
enum { COMPOSITE_ROW, COMPOSITE_PARTS };
enum { TRUTH_COLUMN, TRUTH_ROW, TRUTH_COSINE, TRUTH_FATE };

static bool is_truth(const struct cosine_source *s)
{
    return s->subject.kind == AGAINST_TRUTH;
}

/* -- sorting ------------------------------------------------------------------------------ */

struct keyed {
    double key;
    int64_t id;
};

static int compare_keys(const void *x, const void *y)
{
    const struct keyed *a = x, *b = y;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* 0 .. n - 1 by ascending key, of equals the smaller id first. Owned by the caller. */
static int64_t *sorted(const struct cosine_source *s, int64_t n, int column, bool descending,
                       double (*key)(const struct cosine_source *s, int64_t id, int column))
{
    struct keyed *rows = xmalloc((size_t)n * sizeof *rows);
    int64_t *at = xmalloc((size_t)n * sizeof *at);

    for (int64_t i = 0; i < n; i++) {
        double k = key(s, i, column);
        rows[i] = (struct keyed){isnan(k) ? INFINITY : descending ? -k : k, i};
    }
    qsort(rows, (size_t)n, sizeof *rows, compare_keys);
    for (int64_t i = 0; i < n; i++)
        at[i] = rows[i].id;
    free(rows);
    return at;
}

static double best_key(const struct cosine_source *s, int64_t id, int column)
{
    const struct cosine_best *b = &s->page.best[id];

    return column == BEST_COSINE ? (double)b->cosine
           : column == BEST_COLUMN ? (double)b->column
                                   : (double)id;
}

static int fate(const struct mixture_column *c)
{
    return mixture_is_alone(c) ? 0 : mixture_is_missed(c) ? 2 : 1;
}

static double truth_key(const struct cosine_source *s, int64_t id, int column)
{
    const struct mixture_column *c = &s->mixtures.columns[id];

    switch (column) {
    case TRUTH_ROW: return (double)c->row;
    case TRUTH_COSINE: return fabs((double)c->cosine);
    case TRUTH_FATE: return fate(c);
    default: return (double)id;
    }
}

/* Ids and words from the least, cosines from the greatest; turned by `ascending`, which a
 * table sets when the same column is sorted by again. */
void cosine_sort_lists(struct view *v)
{
    struct cosine *s = v->state;
    const struct cosine_source *from = cosine_source(v);

    free(s->best_at);
    free(s->truth_at);
    s->best_at = s->truth_at = NULL;
    if (!from || !from->looked)
        return;
    if (is_truth(from)) {
        int column = s->truths.sort < 0 ? TRUTH_COLUMN : s->truths.sort;
        s->truth_at = sorted(from, from->page.columns, column,
                             (column == TRUTH_COSINE) != s->truths.ascending, truth_key);
    } else {
        int column = s->list.sort < 0 ? BEST_COSINE : s->list.sort;
        s->best_at = sorted(from, from->page.rows, column,
                            (column == BEST_COSINE) != s->list.ascending, best_key);
    }
}

/* -- cells ---------------------------------------------------------------------------------- */

static void put_id(struct canvas *c, int64_t id)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)id);
    table_cell_text(c, ALIGN_RIGHT, id < 0 ? INK_DIM : INK_TEXT, id < 0 ? "·" : text);
}

static void put_cosine(struct canvas *c, double x)
{
    char text[32];

    snprintf(text, sizeof text, "%.3f", x);
    table_cell_text(c, ALIGN_RIGHT, x < 0 ? INK_NEGATIVE : INK_POSITIVE, text);
}

static void put_name(const struct view *v, struct canvas *c, int sae, int64_t id)
{
    bool is_label = false;
    const char *name = id < 0 ? "" : desk_name(v->desk, sae, id, &is_label);

    table_cell_text(c, ALIGN_LEFT, is_label ? INK_NOTE : INK_DIM, name);
}

static void best_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ((const struct cosine_table *)ctx)->view;
    const struct cosine *s = v->state;
    int64_t id = s->best_at[row];
    const struct cosine_best *b = &cosine_source(v)->page.best[id];

    const struct cosine_subject *subject = &cosine_source(v)->subject;
    int other = subject->kind == AGAINST_SAE ? subject->other : subject->sae;
    switch (column) {
    case BEST_COSINE: put_cosine(c, (double)b->cosine); break;
    case BEST_NAME: put_name(v, c, subject->sae, id); break;
    case BEST_COLUMN_NAME: put_name(v, c, other, b->column); break;
    default: put_id(c, column == BEST_ROW ? id : b->column);
    }
}

/* "11 0.83 · 3 0.41": the true features that it mixes. */
static void composite_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ((const struct cosine_table *)ctx)->view;
    const struct mixture *m = &cosine_source(v)->mixtures.composites[row];
    struct str text = {0};

    if (column == COMPOSITE_ROW) {
        put_id(c, m->row);
        return;
    }
    for (int k = 0; k < m->n && k < MIXTURE_PARTS; k++)
        str_appendf(&text, "%s%lld %.2f", k ? " · " : "", (long long)m->parts[k].column,
                    (double)m->parts[k].cosine);
    if (m->n > MIXTURE_PARTS)
        str_appendf(&text, " · %lld more", (long long)(m->n - MIXTURE_PARTS));
    table_cell_text(c, ALIGN_LEFT, INK_VALUE, str_text(&text));
    str_finish(&text);
}

static void truth_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    static const char *const words[] = {"alone", "mixed", "missed"};
    static const uint32_t inks[] = {INK_GOOD, INK_TEXT, INK_WARNING};
    const struct view *v = ((const struct cosine_table *)ctx)->view;
    const struct cosine *s = v->state;
    int64_t id = s->truth_at[row];
    const struct mixture_column *m = &cosine_source(v)->mixtures.columns[id];

    switch (column) {
    case TRUTH_COLUMN: put_id(c, id); break;
    case TRUTH_ROW: put_id(c, m->row); break;
    case TRUTH_COSINE: put_cosine(c, (double)m->cosine); break;
    default: table_cell_text(c, ALIGN_LEFT, inks[fate(m)], words[fate(m)]); break;
    }
}

/* -- the tables ------------------------------------------------------------------------------ */

void cosine_list(const struct view *v, struct cosine_table *out)
{
    static const struct table_column best[BEST_COLUMNS] = {
        {"row", 6, 0, ALIGN_RIGHT, 0, true},
        {"name", 8, 1, ALIGN_LEFT, 3, false},
        {"best", 6, 0, ALIGN_RIGHT, 1, true},
        {"name", 8, 1, ALIGN_LEFT, 4, false},
        {"cosine", 7, 0, ALIGN_RIGHT, 2, true},
    };
    static const struct table_column composites[] = {
        {"feature", 7, 0, ALIGN_RIGHT, 0, false},
        {"mixes (cosine)", 16, 1, ALIGN_LEFT, 1, false},
    };
    const struct cosine_source *s = cosine_source(v);
    bool truth = s && is_truth(s), known = s && s->looked;

    *out = (struct cosine_table){.view = v};
    out->table = (struct table){.columns = out->columns, .n_columns = truth ? 2 : BEST_COLUMNS,
                                .ctx = out, .cell = truth ? composite_cell : best_cell,
                                .empty = !known ? "not known yet"
                                         : truth ? "none: no feature has |cosine| > 0.4 with "
                                                   "two true features"
                                                 : "no rows"};
    if (known)
        out->table.n_rows = truth ? s->mixtures.n_composites : s->page.rows;
    for (int i = 0; i < out->table.n_columns; i++)
        out->columns[i] = truth ? composites[i] : best[i];
}

void cosine_truths(const struct view *v, struct cosine_table *out)
{
    static const struct table_column columns[] = {
        {"true", 5, 0, ALIGN_RIGHT, 0, true},
        {"feature", 7, 0, ALIGN_RIGHT, 1, true},
        {"cosine", 6, 0, ALIGN_RIGHT, 2, true},
        {"is", 6, 0, ALIGN_LEFT, 3, true},
    };
    const struct cosine_source *s = cosine_source(v);

    *out = (struct cosine_table){.view = v};
    out->table = (struct table){.columns = out->columns, .n_columns = 4, .ctx = out,
                                .cell = truth_cell, .empty = "not known yet"};
    if (s && s->looked && is_truth(s))
        out->table.n_rows = s->page.columns;
    for (int i = 0; i < 4; i++)
        out->columns[i] = columns[i];
}

void cosine_list_title(const struct view *v, char *buf, size_t size)
{
    const struct cosine_source *s = cosine_source(v);

    if (!is_truth(s))
        snprintf(buf, size, "best match of every row");
    else if (!s->looked)
        snprintf(buf, size, "composites");
    else
        snprintf(buf, size, "%lld of %lld are composites", (long long)s->mixtures.n_composites,
                 (long long)s->page.rows);
}

void cosine_truths_title(const struct view *v, char *buf, size_t size)
{
    const struct cosine_source *s = cosine_source(v);

    if (!s->looked)
        snprintf(buf, size, "true features");
    else
        snprintf(buf, size, "%lld of %lld alone, %lld missed", (long long)s->mixtures.n_alone,
                 (long long)s->page.columns, (long long)s->mixtures.n_missed);
}

bool cosine_listed(const struct view *v, int64_t *row, int64_t *column)
{
    const struct cosine *s = v->state;
    const struct cosine_source *from = cosine_source(v);

    if (!from || !from->looked || s->pane == COSINE_MAP)
        return false;
    if (s->pane == COSINE_TRUTH) {
        *column = s->truth_at[s->truths.cursor];
        *row = from->mixtures.columns[*column].row;
    } else if (is_truth(from)) {
        if (s->list.cursor >= from->mixtures.n_composites)
            return false;
        const struct mixture *m = &from->mixtures.composites[s->list.cursor];
        *row = m->row;
        *column = m->parts[0].column;
    } else {
        *row = s->best_at[s->list.cursor];
        *column = from->page.best[*row].column;
    }
    return true;
}
