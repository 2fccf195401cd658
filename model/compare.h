/*
 * compare.h - two checkpoints side by side: what command compare prints. In the style of
 * page.h: made at once, then only read; NaN in a double stands for null.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/match.h"
#include "model/pairs.h"
#include "model/sae.h"
#include "model/score.h"
#include "model/stats.h"

/* Features whose best cosine with the other side is below this are listed as unmatched. */
#define COMPARE_UNMATCHED 0.5
/* A pair that belongs together has drifted when its cosine is below this, */
#define COMPARE_DRIFT 0.9
/* and a feature is split in the other side when two or more there are at least so close. */
#define COMPARE_SPLIT 0.7
/* Up to so many features (of the larger side) the assignment is optimal by default. */
#define COMPARE_OPTIMAL_MAX 4096

enum compare_matching { COMPARE_AUTO, COMPARE_OPTIMAL, COMPARE_GREEDY };

struct compare_options {
    enum compare_matching matching;
    size_t memory; /* an optimal assignment holds all cosines, 4 bytes each: at most that */
    int threads;   /* 0: all cores */
    bool measured; /* close and figures too */
};

/* One side: what is known of it beside its weights is given by the caller. */
struct compare_side {
    const struct sae *sae;            /* borrowed */
    const char *name;                 /* borrowed */
    const struct index *index;        /* borrowed; NULL: no samples */
    const struct page_score *score;   /* borrowed; NULL: no language model */
    struct summary b_enc;             /* owned, made here */
    bool has_b_enc;                   /* gated has none */
};

struct compare_match {
    int64_t a, b;
    float cosine;
    bool mutual; /* a is the best match of b too, and they are not at right angles */
};

struct compare_pair {
    int64_t a, b;
    float cosine;
};

struct page_compare {
    struct compare_side side[2];    /* a, b */
    double mmcs[2];                 /* a to b, b to a */
    struct compare_match *matches;  /* [d_sae of a] best match of every feature of a */
    int64_t n_mutual;
    struct match_near *close;       /* [d_sae of a, MATCH_TOP] candidates of b by cosine; */
    struct pair_figures *figures;   /* [d_sae of a] of the best matches; both NULL unless
                                       measured */
    struct compare_pair *one_to_one; /* [n_one_to_one] by a: as many as the smaller has */
    int64_t n_one_to_one;
    bool optimal;                   /* maximises the summed cosine; else greedy */
    double one_to_one_mean;         /* mean cosine of these pairs */
    int64_t *unmatched[2];          /* [n_unmatched] ids, ascending */
    int64_t n_unmatched[2];
};

/* Are their rows of one length? ERR_SHAPE names both files. */
bool compare_check(const struct sae *a, const struct sae *b, struct err *err);

/* Is the one-to-one matching of the two to be optimal? ERR_RANGE when it was asked for and
 * does not fit into memory. */
bool compare_matching(const struct sae *a, const struct sae *b,
                      const struct compare_options *options, bool *optimal,
                      struct err *err);

/* That matching: b_of_a [a->rows], -1 for those that go without. ERR_NOMEM, ERR_CANCELLED. */
bool compare_assign(const struct match_rows *a, const struct match_rows *b, bool optimal,
                    int threads, const struct progress *progress, int64_t *b_of_a,
                    struct err *err);

/* How many of the candidates of a's feature i are at least COMPARE_SPLIT close. */
int compare_split(const struct page_compare *p, int64_t i);

/* a, b: all but b_enc is read. ERR_SHAPE as
 * compare_check; ERR_RANGE when an optimal assignment was asked for
 * that does not fit into memory; ERR_NOMEM, ERR_OS, ERR_FORMAT, ERR_CANCELLED. */
bool page_compare_make(const struct compare_side *a, const struct compare_side *b,
                       const struct compare_options *options,
                       const struct progress *progress, struct page_compare *out,
                       struct err *err);
void page_compare_finish(struct page_compare *p);
