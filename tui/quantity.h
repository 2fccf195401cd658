/*
 * quantity.h - what a histogram over one checkpoint can be of.
 *
 * A quantity is a vector that the checkpoint stores (b_enc, threshold, b_dec) or a column
 * of the table of features (density, decoder_norm). Names, meanings and numbers are those
 * of docs/commands.md, `hist --of`; view 4, the small histograms of view 1 and the command
 * share them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/page.h"
#include "tui/out.h"

enum quantity {
    QUANTITY_B_ENC, QUANTITY_B_GATE, QUANTITY_B_MAG, QUANTITY_THRESHOLD, QUANTITY_B_DEC,
    QUANTITY_DECODER_NORM, QUANTITY_RELATIVE_NORM, QUANTITY_COSINE, QUANTITY_DENSITY,
    QUANTITY_MAX, QUANTITY_DELTA_FVU,
    QUANTITY_COUNT
};

struct quantity_info {
    const char *name;    /* "decoder_norm" */
    const char *heading; /* "norm": tabs, columns */
    int column;          /* of the table of features, -1: it has none (b_dec, b_mag) */
    bool is_stored;      /* a vector of the checkpoint; else only the column has it */
    bool is_scanned;     /* needs activation samples */
    bool is_signed;      /* negative ones are worth telling from positive ones */
    bool log_values;     /* spans decades: shown over log10 unless asked otherwise */
};
extern const struct quantity_info quantities[QUANTITY_COUNT];

int quantity_find(const char *name); /* by name or heading; -1: no such quantity */

/* Can this checkpoint have it at all? A gated one has no b_enc, a standard one no
 * threshold, and only a crosscoder of two models relative norms; what needs samples may always come. */
bool quantity_applies(const struct sae *sae, enum quantity q);

/* The first that applies: the learned bias. */
enum quantity quantity_default(const struct sae *sae);

/* Is it one value a feature (b_dec is one a dimension, BatchTopK's threshold one number)?
 * Then value j is feature j's. */
bool quantity_is_per_feature(const struct sae *sae, enum quantity q);

/* A copy of the values, *n of them; NULL when they are not known (yet): the caller's to
 * free. table may be NULL. */
double *quantity_values(const struct sae *sae, const struct feature_table *table,
                        enum quantity q, int64_t *n);

/* "87.3 % of 1 024 biases are negative · 0 exactly zero": the answer at a glance. */
void quantity_headline(enum quantity q, const double *v, int64_t n,
                       const struct summary *s, char *buf, size_t size);

/* What the sign of it does in this architecture, one line; "" if there is nothing to say. */
void quantity_meaning(const struct sae *sae, enum quantity q, const struct summary *s,
                      char *buf, size_t size);

/*
 * A filter expression (docs/commands.md) for exactly the values v[j] with lo <= v[j] < hi (<= hi
 * with `closed`), with as few digits as tell them from the others: "bias >= -0.41 and
 * bias < -0.4". False when the quantity has no column or no value is inside.
 */
bool quantity_filter(enum quantity q, const double *v, int64_t n, double lo, double hi,
                     bool closed, char *buf, size_t size);

/* The keys of docs/commands.md, `hist`, into the open object. */
void quantity_put(struct out *o, enum quantity q, const struct summary *s);

/* One of several checkpoints. All have the same edges. */
struct quantity_entry {
    const char *name, *path; /* borrowed */
    int64_t step;            /* -1: not known */
    double l1;               /* NaN: not known */
    const struct summary *summary;
    double quantiles[STATS_QUANTILES];
};

/* Likewise for several: of, histograms [..]; with TSV a table of the bins too. */
void quantity_put_many(struct out *o, enum quantity q, const struct quantity_entry *e, int n);

/* The range of values that are binned, within *lo and *hi (NaN: no bound), into these.
 * log: only values above 0. False: there are none. */
bool quantity_range(const double *v, int64_t n, bool log, double *lo, double *hi);
