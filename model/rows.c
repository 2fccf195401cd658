/* rows.c - see rows.h. */
#include "model/rows.h"

#include <stdio.h>
#include <string.h>

#include "io/labels.h"
#include "io/tokenizer.h"

const char *rows_column_key(int column)
{
    static const char *const text[] = {"label", "token", "promotes", "labelled",
                                       "favourite"};
    if (column < FCOL_COUNT)
        return feature_columns[column].key;
    return column < ROWS_COLUMNS ? text[column - FCOL_COUNT] : NULL;
}

struct filter *rows_filter_parse_lm(const char *text, struct err *err)
{
    struct filter_column columns[ROWS_COLUMNS];
    for (int i = 0; i < ROWS_COLUMNS; i++)
        columns[i] = (struct filter_column){
            .name = rows_column_key(i),
            .kind = i < FCOL_COUNT       ? FILTER_NUMBER
                    : i < ROWS_LABELLED ? FILTER_TEXT
                                        : FILTER_FLAG,
        };
    return filter_parse(text, columns, ROWS_COLUMNS, err);
}

struct filter *rows_filter_parse(const char *text, struct err *err)
{
    struct filter *f = rows_filter_parse_lm(text, err);
    if (f && filter_uses(f, ROWS_PROMOTES)) {
        filter_free(f);
        err_set(err, ERR_MISSING, "filter: promotes needs a language model (found none, "
                                  "expected --model DIR)");
        return NULL;
    }
    return f;
}

bool rows_filter_uses(const struct filter *f, int column)
{
    return f && filter_uses(f, column);
}

bool rows_filter_uses_labels(const struct filter *f)
{
    return rows_filter_uses(f, ROWS_LABEL) || rows_filter_uses(f, ROWS_LABELLED) ||
           rows_filter_uses(f, ROWS_FAVOURITE);
}

const char *rows_label(const struct labels *labels, uint64_t sae, int64_t feature)
{
    struct label label;
    return labels && labels_get(labels, sae, feature, &label) && *label.text ? label.text
                                                                             : NULL;
}

/* --- texts of a row ---------------------------------------------------------------------- */

struct reader {
    const struct rows_source *source;
    char number[32]; /* "<123>", for ids without a token */
};

static double number_of(void *ctx, int64_t row, int column)
{
    const struct reader *r = ctx;
    struct label label = {0};
    if (column >= FCOL_COUNT) {
        const struct labels *labels = r->source->labels;
        bool any = labels && labels_get(labels, r->source->sae, row, &label);
        return any && (column == ROWS_FAVOURITE ? label.favourite : *label.text != 0);
    }
    return feature_table_at(r->source->table, column, row);
}

/* The bytes of a token, as answers show it. */
static void text_of_id(struct reader *r, int64_t id, const char **text, size_t *len)
{
    const struct tokenizer *tk = r->source->tokenizer;
    *text = tk ? tokenizer_bytes(tk, id, len) : NULL;
    if (!*text) {
        *len = (size_t)snprintf(r->number, sizeof r->number, "<%lld>", (long long)id);
        *text = r->number;
    }
}

static bool promoted_of(struct reader *r, int64_t row, int i, const char **text, size_t *len)
{
    const struct rows_source *s = r->source;
    if (!s->promoted || i >= s->n_promoted)
        return false;
    text_of_id(r, s->promoted[row * s->n_promoted + i], text, len);
    return true;
}

static bool token_of(struct reader *r, int64_t row, int i, const char **text, size_t *len)
{
    const struct rows_source *s = r->source;
    if (!s->index || !s->samples || i >= ROWS_TOP ||
        (uint32_t)i >= index_record(s->index, row)->n_top)
        return false;
    int64_t id;
    samples_ids(s->samples, index_top(s->index, row)[i].token, 1, &id);
    if (id < 0)
        return false;
    text_of_id(r, id, text, len);
    return true;
}

static bool label_of(const struct reader *r, int64_t row, int i, const char **text,
                     size_t *len)
{
    const struct rows_source *s = r->source;
    *text = i == 0 ? rows_label(s->labels, s->sae, row) : NULL;
    *len = *text ? strlen(*text) : 0;
    return *text != NULL;
}

static bool text_of(void *ctx, int64_t row, int column, int i, const char **text,
                    size_t *len)
{
    return column == ROWS_TOKEN      ? token_of(ctx, row, i, text, len)
           : column == ROWS_PROMOTES ? promoted_of(ctx, row, i, text, len)
                                     : label_of(ctx, row, i, text, len);
}

/* --- selection ----------------------------------------------------------------------------- */

static void turn_around(uint32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n / 2; i++) {
        uint32_t t = ids[i];
        ids[i] = ids[n - 1 - i];
        ids[n - 1 - i] = t;
    }
}

int64_t rows_select(const struct rows_source *source, struct filter *f, int column,
                    bool reverse, uint32_t *ids)
{
    int64_t n = source->table->n;
    if (f) {
        struct reader reader = {.source = source};
        const double *numbers[ROWS_COLUMNS] = {0};
        for (int c = 0; c < FCOL_COUNT; c++)
            numbers[c] = source->table->v[c];
        struct filter_rows rows = {
            .numbers = numbers,
            .number = number_of,
            .text = text_of,
            .ctx = &reader,
        };
        n = filter_select(f, &rows, n, ids);
    } else {
        for (int64_t i = 0; i < n; i++)
            ids[i] = (uint32_t)i;
    }
    if (column >= 0 && column != FCOL_ID)
        feature_table_sort(source->table, column, reverse, ids, n);
    else if (reverse == (column < 0)) /* FCOL_ID, asked for: greatest first */
        turn_around(ids, n);
    return n;
}
