/* view_compare_rows.c - view 5: which features a list has, in which order; see
 * view_compare.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/clock.h"
#include "model/filter.h"
#include "model/session.h"
#include "tui/view_compare.h"

const char *const compare_list_name[LISTS] = {
    [LIST_MATCHED] = "matched", [LIST_DRIFTED] = "drifted", [LIST_SPLIT] = "split",
    [LIST_ONLY_A] = "only A",   [LIST_ONLY_B] = "only B",   [LIST_DIED] = "died",
    [LIST_BORN] = "born",
};

/* -- which list a feature is in ------------------------------------------------------------- */

static double best_cosine(const struct compare *s, int side, int64_t id)
{
    return (double)s->top->v[side][id * MATCH_TOP].cosine;
}

/* They belong together, and do not point the same way any more. */
static bool has_drifted(const struct compare *s, int64_t id)
{
    double cosine = (double)compare_figures_of(s, 0, id).decoder;

    switch (s->pairing) {
    case PAIR_BEST: return compare_is_mutual(s, 0, id) && cosine >= s->near && cosine < s->drift;
    case PAIR_ONE: return cosine >= s->near && cosine < s->drift;
    default: return cosine < s->drift;
    }
}

static double density(const struct view *v, int side, int64_t id)
{
    return id < 0 ? NAN : feature_table_at(compare_table_of(v, side), FCOL_DENSITY, id);
}

/* Alive on this side, dead on the other. */
static bool is_alive_here(const struct view *v, int side, int64_t id)
{
    const struct compare *s = v->state;

    return density(v, side, id) > 0 &&
           density(v, !side, compare_partner(s, side, id)) == 0;
}

/* Of a feature of side A. */
static bool is_in(const struct view *v, enum compare_list list, int64_t id)
{
    const struct compare *s = v->state;

    switch (list) {
    case LIST_MATCHED: return compare_partner(s, 0, id) >= 0;
    case LIST_DRIFTED: return has_drifted(s, id);
    case LIST_SPLIT: return compare_close(s, 0, id) >= 2;
    case LIST_ONLY_A: return best_cosine(s, 0, id) < s->near;
    case LIST_ONLY_B: return best_cosine(s, 1, id) < s->near;
    case LIST_DIED: return is_alive_here(v, 0, id);
    default: return is_alive_here(v, 1, id);
    }
}

static int side_of(enum compare_list list)
{
    return list == LIST_ONLY_B || list == LIST_BORN;
}

/* Count all lists, and put down the features of the one shown. */
static void collect(struct view *v)
{
    struct compare *s = v->state;

    s->n_ids = 0;
    for (int l = 0; l < LISTS; l++) {
        int64_t n = compare_known(s, side_of((enum compare_list)l));
        s->counts[l] = 0;
        for (int64_t id = 0; id < n; id++) {
            if (!is_in(v, (enum compare_list)l, id))
                continue;
            s->counts[l]++;
            if (l == (int)s->list)
                s->ids[s->n_ids++] = (uint32_t)id;
        }
    }
}

/* -- filter ------------------------------------------------------------------------------------ */

/* Columns of a filter: those of the list that have a key, then the text "name". */
static int filter_columns(struct filter_column *out, int *column)
{
    int n = 0;

    for (int c = 0; c < CMP_COLUMNS; c++)
        if (compare_columns[c].key) {
            out[n] = (struct filter_column){compare_columns[c].key, FILTER_NUMBER};
            column[n++] = c;
        }
    out[n] = (struct filter_column){"name", FILTER_TEXT};
    column[n++] = CMP_COLUMNS;
    return n;
}

struct filtering {
    const struct view *v;
    int column[CMP_COLUMNS + 1];
};

static double number(void *ctx, int64_t row, int column)
{
    const struct filtering *f = ctx;
    return compare_value(f->v, f->column[column], row);
}

/* The names of both. */
static bool text(void *ctx, int64_t row, int column, int i, const char **out, size_t *len)
{
    const struct filtering *f = ctx;
    const struct compare *s = f->v->state;
    int side = compare_side(s);
    int64_t id = i == 0 ? row : compare_partner(s, side, row);

    (void)column;
    if (i > 1 || id < 0)
        return false;
    *out = desk_name(f->v->desk, s->sae[i == 0 ? side : !side], id, NULL);
    *len = strlen(*out);
    return true;
}

static struct filter *parse(const struct view *v, const char *expression, struct filtering *f,
                            struct err *err)
{
    struct filter_column columns[CMP_COLUMNS + 1];
    int n = filter_columns(columns, f->column);

    f->v = v;
    return filter_parse(expression, columns, n, err);
}

static void apply_filter(struct view *v)
{
    struct compare *s = v->state;
    struct filtering f;
    struct filter *filter = s->filter[0] ? parse(v, s->filter, &f, NULL) : NULL;
    struct filter_rows rows = {.number = number, .text = text, .ctx = &f};
    int64_t n = 0;

    if (!filter)
        return;
    for (int64_t i = 0; i < s->n_ids; i++)
        if (filter_eval(filter, &rows, s->ids[i]))
            s->ids[n++] = s->ids[i];
    s->n_ids = n;
    filter_free(filter);
}

bool compare_filter(struct view *v, const char *expression, struct err *err)
{
    struct compare *s = v->state;
    struct filtering f;

    expression += strspn(expression, " ");
    if (strlen(expression) >= sizeof s->filter)
        return err_set(err, ERR_USAGE, "filter: too long (found %zu characters, expected at "
                       "most %zu)", strlen(expression), sizeof s->filter - 1);
    struct filter *filter = *expression ? parse(v, expression, &f, err) : NULL;
    if (*expression && !filter)
        return false;
    filter_free(filter);
    strcpy(s->filter, expression);
    compare_select(v);
    return true;
}

/* -- order ---------------------------------------------------------------------------------- */

/* As good a first look as any: what is worth seeing stands on top. */
void compare_default_sort(struct compare *s)
{
    static const struct {
        enum compare_column by;
        bool ascending;
    } usual[LISTS] = {
        [LIST_MATCHED] = {CMP_COSINE, false},   [LIST_DRIFTED] = {CMP_COSINE, true},
        [LIST_SPLIT] = {CMP_CLOSE, false},      [LIST_ONLY_A] = {CMP_DENSITY_A, false},
        [LIST_ONLY_B] = {CMP_DENSITY_B, false}, [LIST_DIED] = {CMP_DENSITY_A, false},
        [LIST_BORN] = {CMP_DENSITY_B, false},
    };

    s->table = (struct table_state){.sort = -1, .ascending = usual[s->list].ascending};
    s->table.column = -1 - (int)usual[s->list].by; /* compare_select finds it */
}

/* table.sort and .column count the columns of the list, which come and go. */
static int sort_column(struct view *v)
{
    struct compare *s = v->state;
    int columns[CMP_COLUMNS], n = compare_list_columns(v, columns);

    if (s->table.column < 0) {
        int wanted = -1 - s->table.column;
        s->table.column = 0;
        for (int k = 0; k < n; k++)
            if (columns[k] == wanted)
                s->table.column = s->table.sort = k;
    }
    return s->table.sort >= 0 && s->table.sort < n ? columns[s->table.sort] : -1;
}

static void sort(struct view *v)
{
    struct compare *s = v->state;
    int column = sort_column(v), side = compare_side(s);
    struct feature_table values = {.n = s->top->n[side]};

    if (column < 0)
        return;
    values.v[FCOL_BIAS] = xmalloc((size_t)values.n * sizeof(double));
    for (int64_t i = 0; i < s->n_ids; i++)
        values.v[FCOL_BIAS][s->ids[i]] = compare_value(v, column, s->ids[i]);
    feature_table_sort(&values, FCOL_BIAS, s->table.ascending, s->ids, s->n_ids);
    free(values.v[FCOL_BIAS]);
}

int64_t compare_row_of(const struct compare *s, int64_t id)
{
    for (int64_t r = 0; r < s->n_ids; r++)
        if (s->ids[r] == id)
            return r;
    return -1;
}

/* The cursor stays on its feature if that is still there and not at the top, where one
 * wants to see what comes first. */
void compare_select(struct view *v)
{
    struct compare *s = v->state;
    int64_t on = s->table.cursor > 0 && s->table.cursor < s->n_ids
                     ? (int64_t)s->ids[s->table.cursor] : -1;
    int64_t above = s->table.cursor - s->table.top;

    if (!s->top)
        return;
    int64_t n = s->top->n[0] > s->top->n[1] ? s->top->n[0] : s->top->n[1];
    s->ids = xreallocarray(s->ids, (size_t)n, sizeof *s->ids);
    collect(v);
    apply_filter(v);
    sort(v);
    int64_t row = on < 0 ? -1 : compare_row_of(s, on);
    int64_t wanted = s->wanted < 0 ? -1 : compare_row_of(s, s->wanted);
    if (wanted >= 0 || s->top->whole) /* not again */
        s->wanted = -1;
    row = wanted >= 0 ? wanted : row;
    s->table.cursor = row < 0 ? 0 : row;
    s->table.top = row < 0 ? 0 : row - above;
    compare_follow(v);
}

/* -- search: a filter on names, looked for from the cursor on ---------------------------------- */

/* Names are made as they are asked for; so long may one keystroke take, in seconds. */
#define SEARCH_TIME 0.2

void compare_search_go(struct view *v, int direction)
{
    struct compare *s = v->state;
    struct filtering f;
    struct str expression = {0};
    struct err err = {0};
    double until = clock_seconds() + SEARCH_TIME;

    if (!s->pattern[0]) {
        app_message(v->app, "nothing has been searched for; / does");
        return;
    }
    bool capital = strpbrk(s->pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
    str_appendf(&expression, "name ~ \"%s", capital ? "" : "(?i)");
    for (const char *p = s->pattern; *p; p++)
        str_appendf(&expression, "%s%c", *p == '"' ? "\\" : "", *p);
    str_puts(&expression, "\"");
    struct filter *filter = parse(v, str_text(&expression), &f, &err);
    struct filter_rows rows = {.number = number, .text = text, .ctx = &f};
    str_finish(&expression);
    int64_t n = s->n_ids, k = 1;
    for (; filter && k <= n && clock_seconds() < until; k++) {
        int64_t row = ((s->table.cursor + direction * k) % n + n) % n;
        if (!filter_eval(filter, &rows, s->ids[row]))
            continue;
        s->table.cursor = row;
        compare_follow(v);
        break;
    }
    if (err.code)
        app_error(v->app, &err);
    else if (k > n)
        app_warning(v->app, "%s: in no name of this list", s->pattern);
    else if (clock_seconds() >= until)
        app_message(v->app, "%s: not in the next %lld rows", s->pattern, (long long)k);
    filter_free(filter);
}

bool compare_search(struct view *v, const char *pattern, struct err *err)
{
    struct compare *s = v->state;

    if (strlen(pattern) >= sizeof s->pattern - 8)
        return err_set(err, ERR_USAGE, "search: too long (expected at most %zu characters)",
                       sizeof s->pattern - 9);
    strcpy(s->pattern, pattern);
    if (*pattern)
        compare_search_go(v, 1);
    return true;
}

const char *compare_word(const struct view *v, enum ask what, int i)
{
    static const char *words[CMP_COLUMNS + 1];
    struct filter_column columns[CMP_COLUMNS + 1];
    int column[CMP_COLUMNS + 1], n = filter_columns(columns, column);

    (void)v;
    for (int k = 0; k < n; k++)
        words[k] = columns[k].name;
    if (what == ASK_FILTER)
        return i < n ? words[i] : NULL;
    return what == ASK_COMMAND && i < LISTS ? compare_list_name[i] : NULL;
}
