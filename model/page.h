/*
 * page.h - everything to show about one thing, as plain structs.
 *
 * One struct stands behind every screen and the command that prints the same numbers.
 * Pages are made by jobs (or synchronously by commands), own all that they hold but what
 * is said to be borrowed, and are then only read. NaN in a double stands for null.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/scratch.h"
#include "model/session.h"
#include "model/stats.h"

/* --- one checkpoint: command info, view 1 ------------------------------------------- */

enum page_parameter {
    PARAM_B_ENC, PARAM_B_DEC, PARAM_THRESHOLD, PARAM_B_GATE, PARAM_B_MAG, PARAM_R_MAG,
    PARAM_DECODER_NORM,
    PARAM_COUNT
};
extern const char *const page_parameter_name[PARAM_COUNT]; /* the JSON keys */

struct page_info {
    const struct sae *sae;                 /* borrowed */
    bool has[PARAM_COUNT];
    struct summary parameter[PARAM_COUNT]; /* of those that it has */
    double median_encoder_decoder_cosine;  /* orientation check; NaN: not computed */
    int64_t duplicate_decoder_rows;        /* rows equal to an earlier one */
};
bool page_info_make(const struct sae *sae, int threads, const struct progress *progress,
                    struct page_info *out, struct err *err);
void page_info_finish(struct page_info *p);

/* --- all features: command features and hist, views 2 and 4 ------------------------- */

/* The columns of the table of features. X(enum, JSON key, heading, help) */
#define FEATURE_COLUMNS(X)                                                              \
    X(ID, "id", "feature", "number of the feature, from 0")                             \
    X(DENSITY, "density", "density", "fraction of tokens where it is active")           \
    X(ACTIVE, "count", "count", "tokens where it is active")                            \
    X(MEAN, "mean", "mean", "mean activation over the tokens where it is active")       \
    X(MAX, "max", "max", "greatest activation")                                         \
    X(BIAS, "bias", "bias", "learned bias: b_enc, gated: b_gate")                       \
    X(THRESHOLD, "threshold", "threshold", "threshold of JumpReLU and BatchTopK")       \
    X(DECODER_NORM, "decoder_norm", "|W_dec|", "length of the decoder row")             \
    X(ENCODER_DECODER_COSINE, "encoder_decoder_cosine", "enc·dec",                      \
      "cosine of encoder and decoder row")                                              \
    X(NEAREST_COSINE, "nearest_cosine", "nearest",                                      \
      "greatest decoder cosine with another feature")                                   \
    X(DELTA_FVU, "delta_fvu", "Δ FVU", "rise of FVU when the feature is taken out")     \
    X(DELTA_CE, "delta_ce", "Δ CE", "rise of the cross-entropy when it is taken out")   \
    X(ESTIMATE, "estimate", "Δ CE est.", "delta_ce to first order")                     \
    X(DELTA_CE_KEPT, "delta_ce_kept", "Δ CE kept",                                      \
      "rise of the cross-entropy when it is taken out, the error kept")                 \
    X(ESTIMATE_KEPT, "estimate_kept", "kept est.", "delta_ce_kept to first order")      \
    X(RELATIVE_NORM, "relative_decoder_norm", "2nd norm",                               \
      "of crosscoders of two models: |W_dec| in the second over the sum of both: 0 is "  \
      "the first's alone, 1 the second's")

enum feature_column {
#define X(name, key, heading, help) FCOL_##name,
    FEATURE_COLUMNS(X)
#undef X
    FCOL_COUNT
};
struct feature_column_info {
    const char *key, *heading, *help;
};
extern const struct feature_column_info feature_columns[FCOL_COUNT];

/*
 * The table, column by column: v[c] is [n] or NULL where the column is not known (no
 * samples, not computed yet). Doubles for all: counts are exact up to 2^53.
 */
struct feature_table {
    int64_t n;
    double *v[FCOL_COUNT]; /* owned; v[FCOL_ID] is NULL: the row is the id */
    double tokens;         /* n of the densities, for Wilson intervals; NaN: no samples */
    double partial;        /* fraction of the scan that it stands on; 1 when complete */
};

/* From an index (its records hold everything that is not in the small parameters). */
bool feature_table_from_index(const struct sae *sae, const struct index *ix,
                              struct feature_table *out, struct err *err);
/* From the small parameters alone, at once: bias and threshold. */
void feature_table_from_parameters(const struct sae *sae, struct feature_table *out);
/* From the weights alone: bias, threshold, decoder norm, encoder-decoder cosine. */
bool feature_table_from_weights(const struct sae *sae, int threads,
                                const struct progress *progress,
                                struct feature_table *out, struct err *err);
/* Overwrite density, count, mean and max by what a running scan has; fast enough for the
 * UI thread up to 131 072 features. */
void feature_table_from_live(const struct sae *sae, const struct scan_live *live,
                             struct feature_table *t);
/* Fill nearest_cosine: all pairs of decoder rows, cached by checkpoint. */
bool feature_table_nearest(struct feature_table *t, const struct sae *sae, int threads,
                           const struct progress *progress, struct err *err);
void feature_table_finish(struct feature_table *t);

static inline double feature_table_at(const struct feature_table *t, int column,
                                      int64_t id)
{
    return column == FCOL_ID ? (double)id : t->v[column] ? t->v[column][id] : __builtin_nan("");
}

/* Order of rows: ids sorted by column (descending unless reverse; NaN last; equals by id
 * ascending). ids [n] holds the rows to sort. Stable; NULL column (not known) leaves the
 * order by id. */
void feature_table_sort(const struct feature_table *t, int column, bool reverse,
                        uint32_t *ids, int64_t n);

/* --- one feature: command feature, view 3 ------------------------------------------- */

struct page_example {
    int64_t token;              /* index in the samples */
    int64_t sequence, position;
    float activation;           /* exact */
};

struct page_interval {
    double low, high;
    int64_t count;
    struct page_example *examples; /* by activation descending */
    int n_examples;
};

struct page_neighbour {
    int64_t id;
    float cosine;
};

struct page_coactive {
    int64_t id;
    double jaccard, pmi;
    int64_t count;
};

#define PAGE_INTERVALS 10
#define PAGE_HITS_MEMORY ((size_t)32 << 20) /* bytes of hits; more of them lie in a file */

struct page_feature {
    int64_t id;
    bool has_samples, from_index;
    double density, wilson_low, wilson_high, delta_fvu, mean, max;
    int64_t count, tokens;
    double bias, threshold, decoder_norm, encoder_decoder_cosine;
    double relative_norm;            /* of crosscoders of two models; NaN: it is none */
    struct hist histogram;           /* INDEX_BINS bins over (0, max]; n = 0 when dead */
    struct hit *hits;                /* all firings by token; values exact near examples,
                                        else as the index stores them */
    int64_t n_hits;
    struct scratch hits_file;        /* where hits lie when there are very many; else empty */
    struct page_example *top;        /* by |activation| descending, then by token */
    int n_top;
    struct page_interval intervals[PAGE_INTERVALS];
    int n_intervals;                 /* 0 when dead */
    struct page_neighbour *decoder_neighbours, *encoder_neighbours;
    int n_decoder_neighbours, n_encoder_neighbours;
    struct page_coactive *coactive;  /* by jaccard descending, then id */
    int n_coactive;                  /* -1: not computed (null) */
    char *warning;                   /* why something is null, or NULL */
};

struct page_feature_options {
    int top, examples;      /* entries in top, per interval; 0: 20, 5; top < 0: none */
    int neighbours;         /* 0: 10 */
    int context;            /* tokens to each side of an example whose activations shall
                               be exact; 0: 10 */
    uint64_t seed;
    bool quick;             /* leave out coactive, encoder neighbours and, when there is no
                               index, delta_fvu */
    struct scan_options scan;
};

/*
 * All about one feature. With an index everything comes from it (values that are shown are
 * recomputed exactly from the samples); without one, from one pass over the samples.
 * samples may be NULL: only what the weights say. ERR_RANGE for an id out of range.
 */
bool page_feature_make(const struct sae *sae, const struct samples *samples,
                       const struct index *ix, int64_t id,
                       const struct page_feature_options *options,
                       const struct progress *progress, struct page_feature *out,
                       struct err *err);
void page_feature_finish(struct page_feature *p);

/* A re-binned histogram of a page's hits: n bins over (lo, hi], log10 when log. */
void page_feature_histogram(const struct page_feature *p, int n, double lo, double hi,
                            bool log, struct hist *out);

/* Up to n of the hits with low < |activation| <= high, drawn by seed, strongest first,
 * values exact (written to p->hits too). For brushing a bar of the histogram. Reads
 * samples: for a job. *out is owned by the caller. */
bool page_feature_band(const struct sae *sae, const struct samples *samples,
                       const struct index *ix, struct page_feature *p, double low,
                       double high, int n, uint64_t seed, struct page_example **out,
                       int *n_out, struct err *err);

/* --- the text around a hit ------------------------------------------------------------ */

struct page_context {
    int64_t sequence, start; /* position of the first token shown */
    int n, lit;              /* tokens shown; which of them is the hit */
    int64_t *ids;            /* [n]; -1: no token ids */
    float *activations;      /* [n] of the feature, 0 where it is off */
};

/* `context` tokens to each side, cut at the ends of the sequence. hits: the feature's, by
 * token (page->hits): activations at the other tokens come from there. */
void page_context_make(const struct samples *samples, const struct hit *hits,
                       int64_t n_hits, int64_t token, int context,
                       struct page_context *out);
void page_context_finish(struct page_context *c);
