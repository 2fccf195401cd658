/* compare.c - see compare.h. */
#include "model/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/assign.h"
#include "model/kern.h"

/* ---- two checkpoints ---------------------------------------------------------------- */

bool compare_check(const struct sae *a, const struct sae *b, struct err *err)
{
    if (a->d_in == b->d_in && a->d_out == b->d_out)
        return true;
    bool in = a->d_in != b->d_in;
    const char *d = in ? "d_in" : "d_out";
    return err_set(err, ERR_SHAPE, "%s: does not fit %s (found %s = %lld and %s = %lld, expected "
                   "equal ones)", a->path, b->path, d, (long long)(in ? a->d_in : a->d_out), d,
                   (long long)(in ? b->d_in : b->d_out));
}

static void summarise_bias(struct compare_side *side)
{
    const struct sae *sae = side->sae;
    side->has_b_enc = sae->b_enc != NULL;
    if (!side->has_b_enc)
        return;
    double *wide = xmalloc((size_t)sae->d_sae * sizeof *wide);
    for (int64_t j = 0; j < sae->d_sae; j++)
        wide[j] = sae->b_enc[j];
    summary_of(wide, sae->d_sae, NULL, &side->b_enc);
    free(wide);
}

static int64_t *below(const struct match_near *best, int64_t n, int64_t *count)
{
    int64_t *ids = xmalloc((size_t)n * sizeof *ids);
    *count = 0;
    for (int64_t i = 0; i < n; i++)
        if ((double)best[i].cosine < COMPARE_UNMATCHED)
            ids[(*count)++] = i;
    return ids;
}

static void take_best(struct page_compare *p, const struct match_near *of_a, int64_t n,
                      const struct match_near *of_b, int64_t m)
{
    p->mmcs[0] = match_mean(of_a, n);
    p->mmcs[1] = match_mean(of_b, m);
    p->matches = xmalloc((size_t)n * sizeof *p->matches);
    for (int64_t i = 0; i < n; i++) {
        bool mutual = of_b[of_a[i].id].id == i && of_a[i].cosine > 0;
        p->matches[i] = (struct compare_match){i, of_a[i].id, of_a[i].cosine, mutual};
        p->n_mutual += mutual;
    }
    p->unmatched[0] = below(of_a, n, &p->n_unmatched[0]);
    p->unmatched[1] = below(of_b, m, &p->n_unmatched[1]);
}

static bool match(struct page_compare *p, const struct match_rows *a,
                  const struct match_rows *b, int threads, const struct progress *progress,
                  struct err *err)
{
    struct match_near *best = mem_try((size_t)(a->rows + b->rows), sizeof *best,
                                      "best matches", err);
    bool ok = best && match_best(a, b, threads, progress, best, best + a->rows, err);
    if (ok)
        take_best(p, best, a->rows, best + a->rows, b->rows);
    free(best);
    return ok;
}

/* The same, keeping the candidates that come after the best. */
static bool match_close(struct page_compare *p, const struct match_rows *a,
                        const struct match_rows *b, int threads,
                        const struct progress *progress, struct err *err)
{
    int64_t n = a->rows, m = b->rows;
    struct match_near *best = mem_try((size_t)(n + m), sizeof *best, "best matches", err);
    struct match_near *back = mem_try((size_t)m * MATCH_TOP, sizeof *back, "matches", err);
    p->close = mem_try((size_t)n * MATCH_TOP, sizeof *p->close, "matches", err);
    bool ok = best && back && p->close &&
              match_top(a, b, threads, progress, p->close, back, NULL, err);
    for (int64_t i = 0; i < n && ok; i++)
        best[i] = p->close[i * MATCH_TOP];
    for (int64_t j = 0; j < m && ok; j++)
        best[n + j] = back[j * MATCH_TOP];
    if (ok)
        take_best(p, best, n, best + n, m);
    free(back);
    free(best);
    return ok;
}

int compare_split(const struct page_compare *p, int64_t i)
{
    int n = 0;
    while (n < MATCH_TOP && p->close[i * MATCH_TOP + n].id >= 0 &&
           (double)p->close[i * MATCH_TOP + n].cosine >= COMPARE_SPLIT)
        n++;
    return n;
}

static bool measure(struct page_compare *p, int threads, const struct progress *progress,
                    struct err *err)
{
    struct pairs_side a = {p->side[0].sae, p->side[0].index};
    struct pairs_side b = {p->side[1].sae, p->side[1].index};
    int64_t n = a.sae->d_sae;
    int64_t *partner = mem_try((size_t)n, sizeof *partner, "pairs", err);
    p->figures = mem_try((size_t)n, sizeof *p->figures, "pairs", err);
    for (int64_t i = 0; i < n && partner; i++)
        partner[i] = p->matches[i].b;
    bool ok = partner && p->figures &&
              pairs_measure(&a, &b, partner, n, threads, progress, p->figures, NULL, err);
    free(partner);
    return ok;
}

struct dense {
    float *value; /* [rows of the one, columns] */
    int64_t columns;
};

static void copy_tile(void *ctx, const struct match_tile *t)
{
    struct dense *d = ctx;
    for (int64_t i = 0; i < t->n_i; i++)
        memcpy(d->value + (t->i0 + i) * d->columns + t->j0, t->cosine + i * t->n_j,
               (size_t)t->n_j * sizeof *d->value);
}

/* few has at most as many rows as many. */
static bool assign_all(const struct match_rows *few, const struct match_rows *many,
                       int threads, const struct progress *progress, int64_t *many_of_few,
                       struct err *err)
{
    struct dense d = {.columns = many->rows};
    d.value = mem_try((size_t)(few->rows * many->rows), sizeof *d.value, "cosines", err);
    bool ok = d.value &&
              match_tiles(few, many, threads, progress, copy_tile, &d, err) &&
              assign_optimal(d.value, few->rows, many->rows, progress, many_of_few, err);
    free(d.value);
    return ok;
}

static void take_pairs(struct page_compare *p, const struct match_rows *a,
                       const struct match_rows *b, const int64_t *b_of_a)
{
    double sum = 0;
    p->one_to_one = xmalloc((size_t)a->rows * sizeof *p->one_to_one);
    for (int64_t i = 0; i < a->rows; i++) {
        if (b_of_a[i] < 0)
            continue;
        float cosine = match_cosine(a, i, b, b_of_a[i]);
        sum += (double)cosine;
        p->one_to_one[p->n_one_to_one++] = (struct compare_pair){i, b_of_a[i], cosine};
    }
    p->one_to_one_mean = p->n_one_to_one ? sum / (double)p->n_one_to_one : NAN;
}

bool compare_matching(const struct sae *a, const struct sae *b,
                      const struct compare_options *o, bool *optimal, struct err *err)
{
    int64_t larger = a->d_sae > b->d_sae ? a->d_sae : b->d_sae;
    size_t room;
    bool fits = mem_mul((size_t)a->d_sae * sizeof(float), (size_t)b->d_sae, &room) &&
                room <= o->memory;
    *optimal = o->matching == COMPARE_OPTIMAL ||
               (o->matching == COMPARE_AUTO && larger <= COMPARE_OPTIMAL_MAX && fits);
    return !*optimal || fits ||
           err_set(err, ERR_RANGE, "%s: an optimal matching of %lld x %lld features does not "
                   "fit into memory (found --memory %zu MiB, expected %zu MiB, or --matching "
                   "greedy)", a->path, (long long)a->d_sae, (long long)b->d_sae,
                   o->memory >> 20, (room >> 20) + 1);
}

/* Rows of the smaller side are given columns of the larger one. */
static bool assign_turned(const struct match_rows *a, const struct match_rows *b, int threads,
                          const struct progress *progress, int64_t *b_of_a, struct err *err)
{
    int64_t *a_of_b = mem_try((size_t)b->rows, sizeof *a_of_b, "matching", err);
    bool ok = a_of_b && assign_all(b, a, threads, progress, a_of_b, err);
    for (int64_t i = 0; i < a->rows && ok; i++)
        b_of_a[i] = -1;
    for (int64_t j = 0; j < b->rows && ok; j++)
        b_of_a[a_of_b[j]] = j;
    free(a_of_b);
    return ok;
}

bool compare_assign(const struct match_rows *a, const struct match_rows *b, bool optimal,
                    int threads, const struct progress *progress, int64_t *b_of_a,
                    struct err *err)
{
    if (!optimal)
        return assign_greedy(a, b, threads, progress, b_of_a, err);
    return a->rows > b->rows ? assign_turned(a, b, threads, progress, b_of_a, err)
                             : assign_all(a, b, threads, progress, b_of_a, err);
}

static bool pair_up(struct page_compare *p, const struct match_rows *a,
                    const struct match_rows *b, int threads, const struct progress *progress,
                    struct err *err)
{
    int64_t *b_of_a = mem_try((size_t)a->rows, sizeof *b_of_a, "matching", err);
    bool ok = b_of_a && compare_assign(a, b, p->optimal, threads, progress, b_of_a, err);
    if (ok)
        take_pairs(p, a, b, b_of_a);
    free(b_of_a);
    return ok;
}

bool page_compare_make(const struct compare_side *a, const struct compare_side *b,
                       const struct compare_options *options,
                       const struct progress *progress, struct page_compare *out,
                       struct err *err)
{
    struct page_compare p = {.side = {*a, *b}};
    struct match_rows rows[2];
    memset(rows, 0, sizeof rows);
    bool ok = compare_check(a->sae, b->sae, err) &&
              compare_matching(a->sae, b->sae, options, &p.optimal, err) &&
              match_rows_init(&rows[0], &a->sae->W_dec, err) &&
              match_rows_init(&rows[1], &b->sae->W_dec, err) &&
              (options->measured ? match_close : match)(&p, &rows[0], &rows[1],
                                                        options->threads, progress, err) &&
              pair_up(&p, &rows[0], &rows[1], options->threads, progress, err);
    match_rows_finish(&rows[0]);
    match_rows_finish(&rows[1]);
    ok = ok && (!options->measured || measure(&p, options->threads, progress, err));
    if (!ok) {
        page_compare_finish(&p);
        return false;
    }
    summarise_bias(&p.side[0]);
    summarise_bias(&p.side[1]);
    *out = p;
    return true;
}

void page_compare_finish(struct page_compare *p)
{
    for (int i = 0; i < 2; i++) {
        summary_finish(&p->side[i].b_enc);
        free(p->unmatched[i]);
    }
    free(p->close);
    free(p->figures);
    free(p->matches);
    free(p->one_to_one);
    *p = (struct page_compare){0};
}
