/* view_features_rows.c - view 2: filter, sort, search; see view_features.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/clock.h"
#include "model/rows.h"
#include "model/session_lm.h"
#include "tui/view_features.h"
#include "tui/features_order.h"

/* Up to here it is done at once, within a frame. */
enum { ROWS_AT_ONCE = 131072, TOKENS_AT_ONCE = 8192 };

/* -- one selection, here or on a worker -------------------------------------------- */

struct rows_job {
    struct job job;
    char *filter;                /* owned; "": all rows */
    int sort;
    bool ascending;
    struct feature_table table;  /* owned copies of the columns that are needed */
    struct rows_source source;   /* no labels: they belong to the UI thread */
    uint32_t *ids;               /* owned until taken */
    int64_t n;
};

static bool rows_run(struct job *job, const struct progress *p, struct err *err)
{
    struct rows_job *j = (struct rows_job *)job;
    struct filter *f = NULL;

    (void)p;
    if (*j->filter && !(f = rows_filter_parse(j->filter, err)))
        return false;
    j->ids = xmalloc((size_t)j->table.n * sizeof *j->ids);
    j->n = rows_select(&j->source, f, j->sort, j->ascending, j->ids);
    filter_free(f);
    return true;
}

static void rows_free(struct job *job)
{
    struct rows_job *j = (struct rows_job *)job;

    feature_table_finish(&j->table);
    free(j->filter);
    free(j->ids);
    free(j);
}

static const struct job_ops rows_ops = {"sort and filter", rows_run, rows_free};
static const struct job_ops search_ops = {"search", rows_run, rows_free};

static struct rows_source source_of(const struct view *v)
{
    const struct session *s = v->session;
    const struct session_sae *e = &s->saes[v->target.sae];
    int n_promoted = 0;
    const uint32_t *promoted = desk_promoted(v->desk, v->target.sae, &n_promoted);

    return (struct rows_source){
        .table = &features_sae(v)->table,
        .labels = s->labels,
        .sae = e->id,
        .index = e->index,
        .samples = s->samples,
        .tokenizer = s->tokenizer,
        .promoted = promoted,
        .n_promoted = n_promoted,
    };
}

/* promotes is for those that have a language model, or will. */
static struct filter *parse(const struct view *v, const char *text, struct err *err)
{
    return session_lm_path(v->session) ? rows_filter_parse_lm(text, err)
                                       : rows_filter_parse(text, err);
}

/* Have what the order and the filter ask for computed, where it is not there. */
static void need_columns(struct view *v, const struct filter *filter)
{
    const struct features *f = v->state;
    const struct feature_table *t = &features_sae(v)->table;
    int sae = v->target.sae, n;

    if (f->sort == FCOL_NEAREST_COSINE || rows_filter_uses(filter, FCOL_NEAREST_COSINE))
        desk_need_nearest(v->desk, sae);
    if (rows_filter_uses(filter, ROWS_PROMOTES) && !desk_promoted(v->desk, sae, &n))
        desk_need_promoted(v->desk, sae);
    if (session_lm_path(v->session))
        desk_need_effects(v->desk, sae);
    for (int kept = 0; kept < 2; kept++) {
        int c = kept ? FCOL_ESTIMATE_KEPT : FCOL_ESTIMATE;
        bool known = t->v[c] && !isnan(t->v[c][0]);
        if (!known && (f->sort == c || rows_filter_uses(filter, c)))
            desk_need_estimates(v->desk, sae, kept);
    }
}

static void start_job(struct view *v, int slot, const struct job_ops *ops,
                      const char *filter, const struct filter *parsed, int sort)
{
    const struct features *f = v->state;
    const struct feature_table *t = &features_sae(v)->table;
    struct rows_job *j = job_new(ops, sizeof *j);

    j->filter = xstrdup(filter);
    j->sort = sort;
    j->ascending = f->table.ascending;
    j->table = (struct feature_table){.n = t->n, .tokens = t->tokens, .partial = t->partial};
    for (int c = 0; c < FCOL_COUNT; c++)
        if (t->v[c] && (c == sort || rows_filter_uses(parsed, c))) {
            j->table.v[c] = xmalloc((size_t)t->n * sizeof(double));
            memcpy(j->table.v[c], t->v[c], (size_t)t->n * sizeof(double));
        }
    j->source = source_of(v);
    j->source.table = &j->table;
    j->source.labels = NULL;
    view_start(v, slot, LANE_QUICK, &j->job);
}

/* -- rows -------------------------------------------------------------------------- */

int64_t features_row_of(const struct view *v, int64_t feature)
{
    const struct features *f = v->state;

    for (int64_t r = 0; r < f->n_ids; r++)
        if (f->ids[r] == feature)
            return r;
    return -1;
}

bool features_order(struct app *app, int sae, int64_t feature, struct features_order *out)
{
    const struct view *v = app_view(app, "features");
    const struct features *f = v ? v->state : NULL;

    if (!f || !f->shown || v->target.sae != sae || f->n_ids == 0)
        return false;
    *out = (struct features_order){.ids = f->ids, .n = f->n_ids,
                                   .row = features_row_of(v, feature)};
    snprintf(out->text, sizeof out->text, "%s %s%s%s", feature_columns[f->sort].heading,
             f->table.ascending ? "↑" : "↓", v->target.filter[0] ? ", filter " : "",
             v->target.filter);
    return true;
}

/* New rows: the cursor stays on its feature, and that where it is on the screen. */
static void take_rows(struct view *v, uint32_t *ids, int64_t n)
{
    struct features *f = v->state;
    int64_t above = f->table.cursor - f->table.top;

    free(f->ids);
    f->ids = ids;
    f->n_ids = n;
    int64_t row = f->moved ? features_row_of(v, v->target.feature) : -1;
    f->table.cursor = row < 0 ? 0 : row;
    f->table.top = row < 0 ? 0 : row - above;
    features_follow(v);
}

static bool is_quick(const struct feature_table *t, const struct filter *filter)
{
    if (rows_filter_uses_labels(filter)) /* labels are not for other threads */
        return true;
    return t->n <= ROWS_AT_ONCE &&
           (t->n <= TOKENS_AT_ONCE || !rows_filter_uses(filter, ROWS_TOKEN));
}

static void measure(struct view *v)
{
    struct features *f = v->state;
    const struct feature_table *t = &features_sae(v)->table;
    const double *density = t->v[FCOL_DENSITY];

    pane_decimals(t, f->decimals);
    f->densest = 0;
    for (int64_t i = 0; density && i < t->n; i++)
        f->densest = fmax(f->densest, density[i]);
}

void features_select(struct view *v)
{
    struct features *f = v->state;
    const struct desk_sae *e = features_sae(v);
    const struct feature_table *t = &e->table;
    struct filter *filter = NULL;
    struct err err = {0};

    f->version = e->version;
    f->labels = desk_labels_version(v->desk);
    f->sorted_at = clock_seconds();
    if (t->n == 0)
        return;
    measure(v);
    if (v->target.filter[0] && !(filter = parse(v, v->target.filter, &err)))
        app_error(v->app, &err);
    need_columns(v, filter);
    if (is_quick(t, filter)) {
        struct rows_source source = source_of(v);
        uint32_t *ids = xmalloc((size_t)t->n * sizeof *ids);
        view_start(v, SLOT_ROWS, LANE_QUICK, NULL);
        int64_t n = rows_select(&source, filter, f->sort, f->table.ascending, ids);
        take_rows(v, ids, n);
    } else {
        start_job(v, SLOT_ROWS, &rows_ops, v->target.filter, filter, f->sort);
    }
    filter_free(filter);
}

bool features_filter(struct view *v, const char *text, struct err *err)
{
    text += strspn(text, " ");
    if (strlen(text) >= sizeof v->target.filter)
        return err_set(err, ERR_USAGE, "filter: too long (found %zu characters, expected at "
                       "most %zu)", strlen(text), sizeof v->target.filter - 1);
    if (*text) {
        struct filter *f = parse(v, text, err);
        if (!f)
            return false;
        filter_free(f);
    }
    strcpy(v->target.filter, text);
    features_select(v);
    return true;
}

/* -- search ------------------------------------------------------------------------ */

bool features_is_found(const struct view *v, int64_t feature)
{
    const struct features *f = v->state;
    return f->found && (f->found[feature / 64] >> feature % 64 & 1);
}

static void add_found(struct view *v, const uint32_t *ids, int64_t n)
{
    struct features *f = v->state;

    for (int64_t k = 0; k < n; k++)
        if (!features_is_found(v, ids[k])) {
            f->found[ids[k] / 64] |= (uint64_t)1 << ids[k] % 64;
            f->n_found++;
        }
}

void features_search_go(struct view *v, int direction)
{
    struct features *f = v->state;
    int64_t n = f->n_ids, from = f->table.cursor;

    if (!f->found) {
        app_message(v->app, "nothing has been searched for; / does");
        return;
    }
    if (view_busy(v, SLOT_SEARCH)) {
        f->direction = direction;
        return;
    }
    for (int64_t k = 1; k <= n; k++) {
        int64_t row = ((from + direction * k) % n + n) % n;
        if (!features_is_found(v, f->ids[row]))
            continue;
        if (direction > 0 ? row <= from : row >= from)
            app_message(v->app, "the search went on from the other end");
        f->table.cursor = row;
        f->moved = true;
        features_follow(v);
        return;
    }
    if (f->n_found)
        app_warning(v->app, "all %lld features that match %s are outside the filter",
                    (long long)f->n_found, f->pattern);
    else
        app_warning(v->app, "%s: in no label, and in no token of the strongest examples",
                    f->pattern);
}

/* Ignores case unless a capital is typed; quotes are the filter language's. */
static char *search_filter(const char *column, const char *pattern)
{
    struct str s = {0};
    bool capital = false;

    for (const char *p = pattern; *p; p++)
        capital |= *p >= 'A' && *p <= 'Z' && (p == pattern || p[-1] != '\\');
    str_appendf(&s, "%s ~ \"%s", column, capital ? "" : "(?i)");
    for (const char *p = pattern; *p; p++) {
        if (*p == '"')
            str_putc(&s, '\\');
        str_putc(&s, *p);
    }
    str_putc(&s, '"');
    return str_take(&s);
}

/* Add the rows where the column matches. Tokens of many features are a job. */
static bool search_column(struct view *v, const char *column, struct err *err)
{
    struct features *f = v->state;
    const struct feature_table *t = &features_sae(v)->table;
    char *text = search_filter(column, f->pattern);
    struct filter *filter = rows_filter_parse(text, err);

    if (filter && !is_quick(t, filter)) {
        start_job(v, SLOT_SEARCH, &search_ops, text, filter, -1);
    } else if (filter) {
        struct rows_source source = source_of(v);
        uint32_t *ids = xmalloc((size_t)t->n * sizeof *ids);
        add_found(v, ids, rows_select(&source, filter, -1, false, ids));
        free(ids);
    }
    free(text);
    bool ok = filter != NULL;
    filter_free(filter);
    return ok;
}

/* What was wrong with the pattern, without the filter that was made of it. */
static bool bad_pattern(struct err *err)
{
    const char *why = strstr(err->msg, "regex: ");
    char text[256];

    snprintf(text, sizeof text, "%s", why ? why + strlen("regex: ") : err->msg);
    char *where = strstr(text, " (at its character");
    if (where)
        *where = 0;
    return err_set(err, err->code, "search: %s", text);
}

bool features_search(struct view *v, const char *pattern, struct err *err)
{
    struct features *f = v->state;
    const struct feature_table *t = &features_sae(v)->table;

    view_start(v, SLOT_SEARCH, LANE_QUICK, NULL);
    free(f->found);
    f->found = NULL;
    f->n_found = 0;
    snprintf(f->pattern, sizeof f->pattern, "%s", pattern);
    if (!*pattern || t->n == 0)
        return true;
    f->found = xcalloc((size_t)t->n / 64 + 1, sizeof *f->found);
    if (search_column(v, "label", err) && search_column(v, "token", err))
        return true;
    free(f->found);
    f->found = NULL;
    f->pattern[0] = 0;
    return bad_pattern(err);
}

void features_rows_loaded(struct view *v, int slot, struct job *job)
{
    struct features *f = v->state;
    struct rows_job *j = (struct rows_job *)job;

    if (j->table.n != features_sae(v)->table.n)
        return;
    if (slot == SLOT_ROWS) {
        take_rows(v, j->ids, j->n);
        j->ids = NULL;
        return;
    }
    add_found(v, j->ids, j->n);
    if (f->direction)
        features_search_go(v, f->direction);
    f->direction = 0;
}
