/* view_score_rows.c - view 7: which features, in which order; see view_score.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/view_score.h"

static const struct feature_table *table_of(const struct view *v)
{
    return &desk_sae(v->desk, v->target.sae)->table;
}

static int column_of(const struct score_view *s, enum score_column column)
{
    switch (column) {
    case SCOL_DELTA_CE: return s->kept ? FCOL_DELTA_CE_KEPT : FCOL_DELTA_CE;
    case SCOL_ESTIMATE: return s->kept ? FCOL_ESTIMATE_KEPT : FCOL_ESTIMATE;
    case SCOL_DELTA_FVU: return FCOL_DELTA_FVU;
    case SCOL_DENSITY: return FCOL_DENSITY;
    default: return FCOL_ID;
    }
}

double score_value(const struct view *v, enum score_column column, int64_t id)
{
    const struct score_view *s = v->state;

    if (column == SCOL_DELTA_SCORE) {
        const struct page_score *page = &desk_score(v->desk, v->target.sae)->page;
        double room = page->sequences ? page->ce_zero - page->ce_original : NAN;
        return -score_value(v, SCOL_DELTA_CE, id) / (room != 0 ? room : NAN);
    }
    return feature_table_at(table_of(v), column_of(s, column), id);
}

double score_effect(const struct view *v, int64_t id, bool *exact)
{
    double x = score_value(v, SCOL_DELTA_CE, id);

    *exact = !isnan(x);
    return *exact ? x : score_value(v, SCOL_ESTIMATE, id);
}

/* |effect|; as long as nothing is known of it, the rise of FVU, below all that is. */
static double strength(const struct view *v, int64_t id, bool *exact)
{
    double x = fabs(score_effect(v, id, exact));

    return isnan(x) ? feature_table_at(table_of(v), FCOL_DELTA_FVU, id) * 1e-9 : x;
}

/* Of an estimate and an exact effect neither can be called the greater: the exact ones
 * come first, in either direction. Returns how many they are. */
static int64_t exact_first(const struct view *v, uint32_t *ids, int64_t n)
{
    uint32_t *rest = xmalloc((size_t)(n + 1) * sizeof *rest);
    int64_t n_exact = 0, n_rest = 0;
    bool exact;

    for (int64_t k = 0; k < n; k++) {
        score_effect(v, ids[k], &exact);
        if (exact)
            ids[n_exact++] = ids[k];
        else
            rest[n_rest++] = ids[k];
    }
    memcpy(ids + n_exact, rest, (size_t)n_rest * sizeof *rest);
    free(rest);
    return n_exact;
}

/* Features that fire, or might. */
static int64_t alive(const struct feature_table *t, uint32_t *ids)
{
    int64_t n = 0;

    for (int64_t i = 0; i < t->n; i++)
        if (!t->v[FCOL_ACTIVE] || t->v[FCOL_ACTIVE][i] > 0)
            ids[n++] = (uint32_t)i;
    return n;
}

static void sort_by(const struct view *v, enum score_column column, uint32_t *ids, int64_t n)
{
    const struct score_view *s = v->state;
    struct feature_table keys = {.n = table_of(v)->n};

    if (column == SCOL_ID || column == SCOL_NAME) {
        feature_table_sort(table_of(v), FCOL_ID, s->table.ascending, ids, n);
        return;
    }
    double *key = keys.v[FCOL_MAX] = xmalloc((size_t)keys.n * sizeof *key);
    bool exact;
    for (int64_t i = 0; i < keys.n; i++)
        key[i] = column == SCOL_EFFECT ? strength(v, i, &exact) : score_value(v, column, i);
    int64_t first = column == SCOL_EFFECT ? exact_first(v, ids, n) : 0;
    feature_table_sort(&keys, FCOL_MAX, s->table.ascending, ids, first);
    feature_table_sort(&keys, FCOL_MAX, s->table.ascending, ids + first, n - first);
    free(key);
}

void score_sort(struct view *v)
{
    struct score_view *s = v->state;
    const struct feature_table *t = table_of(v);
    int64_t above = s->table.cursor - s->table.top, at = 0;
    bool exact;

    s->version = desk_sae(v->desk, v->target.sae)->version;
    free(s->ids);
    s->ids = xmalloc((size_t)(t->n + 1) * sizeof *s->ids);
    s->n_ids = alive(t, s->ids);
    s->greatest = 0;
    s->n_exact = 0;
    for (int64_t k = 0; k < s->n_ids; k++) {
        s->greatest = fmax(s->greatest, fabs(score_effect(v, s->ids[k], &exact)));
        s->n_exact += exact;
    }
    sort_by(v, (enum score_column)s->table.sort, s->ids, s->n_ids);
    while (s->moved && at < s->n_ids && s->ids[at] != v->target.feature)
        at++;
    if (s->moved && at < s->n_ids) {
        s->table.cursor = at;
        s->table.top = at - above;
    } else {
        s->table.cursor = s->table.top = 0;
    }
    score_follow(v);
}

void score_follow(struct view *v)
{
    struct score_view *s = v->state;
    struct effects *effects = desk_effects(v->desk, v->target.sae);
    struct table t = score_table(v);
    struct place at[FOCUS_COUNT];
    int64_t before = v->target.feature;

    score_places(v, at);
    table_fix(&t, &s->table, at[FOCUS_TABLE].rows);
    v->target.feature = s->n_ids ? (int64_t)s->ids[s->table.cursor] : -1;
    if (before != v->target.feature) {
        s->worst = 0;
        if (s->text.shown)
            score_text_show(v, s->text.sequence, s->text.cursor - 1);
    }
    s->has_exact = effects && v->target.feature >= 0 &&
                   effects_exact(effects, s->kept, v->target.feature, &s->exact);
    if (!s->has_exact || s->worst >= s->exact.n_worst)
        s->worst = 0;
}
