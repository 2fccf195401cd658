/*
 * rows.h - which rows of the table of features, in which order: command features, view 2.
 *
 * Filters (filter.h) see the columns of the table by their JSON keys, and
 *
 *   label      what the user called the feature
 *   token      the tokens of its ROWS_TOP strongest examples, as bytes
 *   promotes   the tokens that its decoder row raises most; needs a language model
 *   labelled   1 when it has a label; may stand alone: labelled and density > 0.1
 *   favourite  1 when it is one; likewise
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "model/filter.h"
#include "model/page.h"

#define ROWS_TOP 20

/* Columns of a filter: those of enum feature_column, then these. */
enum rows_text { ROWS_LABEL = FCOL_COUNT, ROWS_TOKEN, ROWS_PROMOTES,
                 ROWS_LABELLED, ROWS_FAVOURITE, ROWS_COLUMNS };

/* The key of a column of a filter, NULL past the end: for completion. */
const char *rows_column_key(int column);

/* The label of a feature, NULL when it has none (or labels is NULL). Borrowed until the
 * labels change. */
struct labels;
const char *rows_label(const struct labels *labels, uint64_t sae, int64_t feature);

/* Where rows take their values. All borrowed. What is NULL has no texts. */
struct rows_source {
    const struct feature_table *table;
    const struct labels *labels;
    uint64_t sae;                  /* session_sae.id: whose labels */
    const struct index *index;     /* for token */
    const struct samples *samples;
    const struct tokenizer *tokenizer;
    const uint32_t *promoted;      /* [d_sae, n_promoted], for promotes: logitlens.h */
    int n_promoted;
};

/* filter_parse over these columns. ERR_MISSING for promotes, */
struct filter *rows_filter_parse(const char *text, struct err *err);
/* but not where the caller has a language model, and so fills in source.promoted. */
struct filter *rows_filter_parse_lm(const char *text, struct err *err);

/* Does the filter (NULL: none) need this column? */
bool rows_filter_uses(const struct filter *f, int column);

/* Does it look at labels, which may change? */
bool rows_filter_uses_labels(const struct filter *f);

/*
 * The rows that fit `f` (NULL: all), sorted by `column` (-1: by id), greatest first unless
 * reverse; by id: smallest first unless reverse. ids has room for table->n. Returns how
 * many. Reads the index and the token ids where the filter asks for tokens.
 */
int64_t rows_select(const struct rows_source *source, struct filter *f, int column,
                    bool reverse, uint32_t *ids);
