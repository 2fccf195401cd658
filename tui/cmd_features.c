/* cmd_features.c - `saescope features`: the table of all features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/rows.h"
#include "tui/cmd_lm.h"
#include "tui/cmd_table.h"

bool cmd_table_make(struct cmd *c, bool scanned, struct feature_table *table,
                    struct err *err)
{
    if (!scanned || !cmd_samples(c))
        return feature_table_from_weights(c->sae, c->opts.session.threads, &c->progress,
                                          table, err);
    const struct index *ix = cmd_need_index(c, err);
    return ix && feature_table_from_index(c->sae, ix, table, err);
}

/* Which columns, in which order; FCOL_COUNT stands for the label. */
struct query {
    int column[FCOL_COUNT + 1], n_columns;
    int sort; /* -1: by id */
    struct filter *filter;
    bool nearest;
};

static const char *column_key(int i)
{
    return i < FCOL_COUNT ? feature_columns[i].key : "label";
}

static bool find_column(const char *option, const char *key, int n, int *column,
                        struct err *err)
{
    for (*column = 0; *column < n; ++*column)
        if (!strcmp(column_key(*column), key))
            return true;
    const char *near = opt_nearest(key, column_key, n);
    return err_set(err, ERR_USAGE, "--%s: no column '%s' (%s%s)", option, key,
                   near ? "did you mean " : "see saescope features --help",
                   near ? near : "");
}

static bool add_column(struct query *q, const char *key, struct err *err)
{
    int column;
    if (!find_column("columns", key, FCOL_COUNT + 1, &column, err))
        return false;
    for (int i = 0; i < q->n_columns; i++)
        if (q->column[i] == column)
            return true;
    q->column[q->n_columns++] = column;
    q->nearest |= column == FCOL_NEAREST_COSINE;
    return true;
}

/* These take their time: for those who ask for them. */
static bool is_of_model(int column)
{
    return column == FCOL_DELTA_CE || column == FCOL_ESTIMATE ||
           column == FCOL_DELTA_CE_KEPT || column == FCOL_ESTIMATE_KEPT;
}

static bool read_columns(struct query *q, const char *list, const struct sae *sae,
                         struct err *err)
{
    q->column[q->n_columns++] = FCOL_ID;
    if (!list) {
        for (int i = FCOL_ID + 1; i <= FCOL_COUNT; i++)
            if (!is_of_model(i) && (i != FCOL_RELATIVE_NORM || sae->relative_norm))
                q->column[q->n_columns++] = i;
        return true;
    }
    char *words = xstrdup(list), *rest = words, *key;
    bool ok = true;
    while (ok && (key = strsep(&rest, ",")))
        ok = add_column(q, key, err);
    free(words);
    return ok;
}

static bool read_query(struct query *q, const struct cmd *c, struct err *err)
{
    const struct opts *opts = &c->opts;
    struct filter *(*parse)(const char *, struct err *) =
        cmd_model_path(c) ? rows_filter_parse_lm : rows_filter_parse;
    q->sort = -1;
    if (!read_columns(q, opts->columns, c->sae, err) ||
        (opts->sort && !find_column("sort", opts->sort, FCOL_COUNT, &q->sort, err)) ||
        (opts->filter && !(q->filter = parse(opts->filter, err))))
        return false;
    q->nearest |= q->sort == FCOL_NEAREST_COSINE ||
                  rows_filter_uses(q->filter, FCOL_NEAREST_COSINE);
    return true;
}

static void put_cell(struct cmd *c, const struct feature_table *t, int column, int64_t id)
{
    const struct session *s = c->session;
    if (column == FCOL_COUNT) {
        out_text(c->out, "label", rows_label(s->labels, s->saes[c->i].id, id));
        return;
    }
    double v = feature_table_at(t, column, id);
    if ((column == FCOL_ID || column == FCOL_ACTIVE) && isfinite(v))
        out_int(c->out, feature_columns[column].key, (int64_t)v);
    else
        out_num(c->out, feature_columns[column].key, v);
}

static void put_rows(struct cmd *c, const struct query *q, const struct feature_table *t,
                     const uint32_t *ids, int64_t n)
{
    struct str heads = {0};
    for (int i = 0; i < q->n_columns; i++)
        str_appendf(&heads, "%s%s", i ? "," : "", column_key(q->column[i]));
    out_rows(c->out, "features", str_text(&heads));
    for (int64_t r = 0; r < n; r++) {
        out_begin(c->out, NULL);
        for (int i = 0; i < q->n_columns; i++)
            put_cell(c, t, q->column[i], ids[r]);
        if (c->sae->broken && c->sae->broken[ids[r]] && out_form(c->out) == OUT_JSON)
            out_bool(c->out, "broken", true);
        out_end(c->out);
    }
    out_end(c->out);
    str_finish(&heads);
}

/* --- what a language model tells ------------------------------------------------------------ */

/* Does the query look at this column? */
static bool asks_for(const struct query *q, int column)
{
    bool shown = false;
    for (int i = 0; i < q->n_columns; i++)
        shown |= q->column[i] == column;
    return shown || q->sort == column || rows_filter_uses(q->filter, column);
}

/* The tokens that every feature promotes into *promoted, owned. */
static bool find_promoted(struct cmd *c, const struct lm *lm, uint32_t **promoted, int *n,
                          struct err *err)
{
    struct cmd_effects e = {0};
    uint32_t *tokens = mem_try((size_t)c->sae->d_sae * EFFECTS_PROMOTED, sizeof *tokens,
                               "tokens", err);
    bool ok = tokens && cmd_effects_open(c, lm, NULL, &e, err) &&
              effects_need_promoted(e.kept, &e.in, &c->progress, err);
    if (ok) {
        *n = effects_promoted(e.kept, tokens);
        *promoted = tokens;
    } else {
        free(tokens);
    }
    cmd_effects_close(c, &e);
    return ok;
}

/* Estimates are computed for those who ask; exact effects are those that are known. */
static bool find_effects(struct cmd *c, const struct query *q, const struct lm *lm,
                         struct feature_table *t, struct err *err)
{
    struct lm_hook hook;
    struct cmd_effects e = {0};
    const bool wanted[] = {asks_for(q, FCOL_ESTIMATE), asks_for(q, FCOL_ESTIMATE_KEPT)};
    bool ok = cmd_need_hook(c, lm, &hook, err) && cmd_effects_open(c, lm, &hook, &e, err) &&
              cmd_effects_columns(c, &e, wanted, t, err);
    cmd_effects_close(c, &e);
    return ok;
}

/* Both, where they are asked for. Without a model the effects stay unknown, but a filter by
 * promoted tokens is refused. */
static bool ask_model(struct cmd *c, const struct query *q, struct feature_table *t,
                      uint32_t **promoted, int *n, struct err *err)
{
    bool promotes = rows_filter_uses(q->filter, ROWS_PROMOTES), effects = false;
    for (int i = 0; i < FCOL_COUNT; i++)
        effects |= is_of_model(i) && asks_for(q, i);
    if (effects && !promotes && !cmd_model_path(c)) {
        session_warn(c->session, "%s: warning: no language model, so the effect on the loss "
                     "is not known (expected --model DIR)", c->sae->path);
        return true;
    }
    if (!effects && !promotes)
        return true;
    struct lm *lm = cmd_need_lm(c, err);
    bool ok = lm && (!effects || find_effects(c, q, lm, t, err)) &&
              (!promotes || find_promoted(c, lm, promoted, n, err));
    lm_close(lm);
    return ok;
}

static bool answer(struct cmd *c, const struct query *q, struct feature_table *t,
                   struct err *err)
{
    const struct session *s = c->session;
    uint32_t *promoted = NULL;
    int n_promoted = 0;
    if ((q->nearest && !feature_table_nearest(t, c->sae, c->opts.session.threads,
                                              &c->progress, err)) ||
        !ask_model(c, q, t, &promoted, &n_promoted, err))
        return false;
    uint32_t *ids = mem_try((size_t)t->n, sizeof *ids, "rows", err);
    if (!ids) {
        free(promoted);
        return false;
    }
    struct rows_source source = {
        .table = t,
        .labels = s->labels,
        .sae = s->saes[c->i].id,
        .index = s->saes[c->i].index,
        .samples = s->samples,
        .tokenizer = s->tokenizer,
        .promoted = promoted,
        .n_promoted = n_promoted,
    };
    int64_t n = rows_select(&source, q->filter, q->sort, c->opts.reverse, ids);
    if (q->filter && filter_given_up(q->filter))
        session_warn(c->session, "--filter: warning: %lld searches were given up (the "
                                 "regular expression takes too many steps)",
                     (long long)filter_given_up(q->filter));
    int64_t limit = c->opts.limit;
    put_rows(c, q, t, ids, limit >= 0 && limit < n ? limit : n);
    free(ids);
    free(promoted);
    return true;
}

bool cmd_features(struct cmd *c, struct err *err)
{
    struct query q = {0};
    struct feature_table table = {0};
    bool ok = read_query(&q, c, err) && cmd_table_make(c, true, &table, err) &&
              answer(c, &q, &table, err);
    filter_free(q.filter);
    feature_table_finish(&table);
    return ok;
}
