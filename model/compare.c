/* compare.c - see compare.h. */
#include "model/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/mem.h"
#include "model/assign.h"
#include "model/kern.h"

/* ---- two checkpoints ---------------------------------------------------------------- */

bool compare_check(const struct sae *a, const struct sae *b, struct err *err)
{
    if (a->d_in == b->d_in && a->d_out == b->d_out)
        return true;
    bool in = a->d_in != b->d_in;
    return err_set(err, ERR_SHAPE, "%s: has %s = %lld, but %s has %s = %lld (expected equal)",
                   a->path, in ? "d_in" : "d_out", (long long)(in ? a->d_in : a->d_out),
                   b->path, in ? "d_in" : "d_out", (long long)(in ? b->d_in : b->d_out));
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

static float cosine_of(const struct match_rows *a, int64_t i, const struct match_rows *b,
                       int64_t j)
{
    float c = kern_best()->dot(a->unit + i * a->cols, b->unit + j * b->cols, a->cols);
    return fminf(fmaxf(c, -1), 1);
}

static int compare_pairs(const void *x, const void *y)
{
    const struct compare_pair *a = x, *b = y;
    return (a->a > b->a) - (a->a < b->a);
}

/* partner [rows of few], -1: none. turned: few is b. */
static void take_pairs(struct page_compare *p, const struct match_rows *few,
                       const struct match_rows *many, const int64_t *partner, bool turned)
{
    double sum = 0;
    p->one_to_one = xmalloc((size_t)few->rows * sizeof *p->one_to_one);
    for (int64_t i = 0; i < few->rows; i++) {
        if (partner[i] < 0)
            continue;
        float cosine = cosine_of(few, i, many, partner[i]);
        sum += (double)cosine;
        p->one_to_one[p->n_one_to_one++] =
            (struct compare_pair){turned ? partner[i] : i, turned ? i : partner[i], cosine};
    }
    qsort(p->one_to_one, (size_t)p->n_one_to_one, sizeof *p->one_to_one, compare_pairs);
    p->one_to_one_mean = p->n_one_to_one ? sum / (double)p->n_one_to_one : NAN;
}

/* Is the assignment to be optimal, and does it fit? */
static bool choose_matching(const struct compare_options *o, const struct page_compare *p,
                            bool *optimal, struct err *err)
{
    const struct sae *a = p->side[0].sae, *b = p->side[1].sae;
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

static bool pair_up(struct page_compare *p, const struct match_rows *a,
                    const struct match_rows *b, int threads, const struct progress *progress,
                    struct err *err)
{
    bool turned = p->optimal && a->rows > b->rows;
    const struct match_rows *few = turned ? b : a, *many = turned ? a : b;
    int64_t *partner = mem_try((size_t)few->rows, sizeof *partner, "matching", err);
    bool ok = partner && (p->optimal
                              ? assign_all(few, many, threads, progress, partner, err)
                              : assign_greedy(a, b, threads, progress, partner, err));
    if (ok)
        take_pairs(p, few, many, partner, turned);
    free(partner);
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
              choose_matching(options, &p, &p.optimal, err) &&
              match_rows_init(&rows[0], &a->sae->W_dec, err) &&
              match_rows_init(&rows[1], &b->sae->W_dec, err) &&
              match(&p, &rows[0], &rows[1], options->threads, progress, err) &&
              pair_up(&p, &rows[0], &rows[1], options->threads, progress, err);
    match_rows_finish(&rows[0]);
    match_rows_finish(&rows[1]);
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
    free(p->matches);
    free(p->one_to_one);
    *p = (struct page_compare){0};
}

/* ---- a decoder against directions ---------------------------------------------------- */

/* What the pieces that share rows make of them; added in order at the end. */
struct band {
    double sum, squares, min, max;
};

struct look {
    struct page_cosine *page;
    struct band *bands;
};

static void look_at_tile(void *ctx, const struct match_tile *t)
{
    struct look *s = ctx;
    struct band *band = &s->bands[t->i0 / MATCH_TILE_ROWS];
    for (int64_t i = 0; i < t->n_i; i++) {
        struct cosine_best *best = &s->page->best[t->i0 + i];
        for (int64_t j = 0; j < t->n_j; j++) {
            double c = (double)t->cosine[i * t->n_j + j];
            if (s->page->self && t->i0 + i == t->j0 + j)
                continue;
            band->sum += c;
            band->squares += c * c;
            band->min = fmin(band->min, c);
            band->max = fmax(band->max, c);
            if (best->column < 0 || c > (double)best->cosine)
                *best = (struct cosine_best){t->j0 + j, (float)c};
        }
    }
}

static const struct match_rows *columns_of(const struct page_cosine *p)
{
    return p->self ? &p->decoder : &p->other;
}

static bool look(struct page_cosine *p, int threads, const struct progress *progress,
                 struct err *err)
{
    int64_t n = (p->rows + MATCH_TILE_ROWS - 1) / MATCH_TILE_ROWS;
    struct look s = {p, xmalloc((size_t)n * sizeof *s.bands)};
    for (int64_t i = 0; i < n; i++)
        s.bands[i] = (struct band){0, 0, INFINITY, -INFINITY};
    bool ok = match_tiles(&p->decoder, columns_of(p), threads, progress, look_at_tile, &s, err);
    struct band all = {0, 0, INFINITY, -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        all.sum += s.bands[i].sum;
        all.squares += s.bands[i].squares;
        all.min = fmin(all.min, s.bands[i].min);
        all.max = fmax(all.max, s.bands[i].max);
    }
    double count = (double)p->rows * (double)(p->columns - p->self);
    bool some = count > 0;
    p->mean = some ? all.sum / count : NAN;
    p->std = some ? sqrt(fmax(all.squares / count - p->mean * p->mean, 0)) : NAN;
    p->min = some ? all.min : NAN;
    p->max = some ? all.max : NAN;
    free(s.bands);
    return ok;
}

static void look_at_bias(struct page_cosine *p, const struct sae *sae)
{
    const struct match_rows *c = columns_of(p);
    double squares = sae->b_dec ? kern_sum_squares(sae->b_dec, c->cols) : 0;
    bool some = squares > 0 && isfinite(squares);
    for (int64_t j = 0; j < c->rows; j++) {
        double dot = some ? kern_dot_double(sae->b_dec, c->unit + j * c->cols, c->cols) : 0;
        p->bias_row[j] = some ? (float)fmin(fmax(dot / sqrt(squares), -1), 1) : 0;
    }
}

static bool check_directions(const struct sae *sae, const struct cosine_against *against,
                             struct err *err)
{
    char dec[64], rows[64];
    if (!against->rows || against->rows->cols == sae->d_out)
        return true;
    return err_set(err, ERR_SHAPE, "%s: W_dec is %s with rows of %lld, but %s is %s with rows "
                   "of %lld (expected equal)", sae->path,
                   tensor_shape_text(sae->W_dec.t, dec, sizeof dec), (long long)sae->d_out,
                   against->path, tensor_shape_text(against->rows->t, rows, sizeof rows),
                   (long long)against->rows->cols);
}

bool page_cosine_make(const struct sae *sae, const struct cosine_against *against,
                      int threads, const struct progress *progress,
                      struct page_cosine *out, struct err *err)
{
    struct page_cosine p = {.self = !against->rows, .rows = sae->d_sae,
                            .columns = against->rows ? against->rows->rows : sae->d_sae};
    bool ok = check_directions(sae, against, err) &&
              match_rows_init(&p.decoder, &sae->W_dec, err) &&
              (p.self || match_rows_init(&p.other, against->rows, err));
    if (ok) {
        p.best = mem_try((size_t)p.rows, sizeof *p.best, "best cosines", err);
        p.bias_row = mem_try((size_t)p.columns, sizeof *p.bias_row, "cosines", err);
        ok = p.best && p.bias_row;
    }
    for (int64_t i = 0; ok && i < p.rows; i++)
        p.best[i] = (struct cosine_best){-1, NAN};
    ok = ok && look(&p, threads, progress, err);
    if (!ok) {
        page_cosine_finish(&p);
        return false;
    }
    look_at_bias(&p, sae);
    *out = p;
    return true;
}

void page_cosine_finish(struct page_cosine *p)
{
    match_rows_finish(&p->decoder);
    match_rows_finish(&p->other);
    free(p->bias_row);
    free(p->best);
    *p = (struct page_cosine){0};
}

void page_cosine_rows(const struct page_cosine *p, int64_t first, int64_t n, float *out)
{
    const struct match_rows *a = &p->decoder, *b = columns_of(p);
    kern_gemm_nt(n, b->rows, a->cols, a->unit + first * a->cols, a->cols, b->unit, b->cols,
                 out, b->rows);
    for (int64_t k = 0; k < n * b->rows; k++)
        out[k] = fminf(fmaxf(out[k], -1), 1);
}

/* ---- a file of directions -------------------------------------------------------------- */

static bool is_matrix(const struct tensor *t)
{
    return dtype_info[t->dtype].is_float && t->ndim == 2 && t->shape[0] > 0 && t->shape[1] > 0;
}

static const struct tensor *only_matrix(const struct container *c, struct err *err)
{
    const struct tensor *found = NULL;
    int n = 0;
    for (size_t i = 0; i < container_count(c); i++)
        if (is_matrix(container_at(c, i))) {
            found = container_at(c, i);
            n++;
        }
    if (n == 1)
        return found;
    err_set(err, n ? ERR_MISSING : ERR_SHAPE, "%s: found %d two-dimensional arrays of floats, "
            "expected one, a direction in each row%s", container_path(c), n,
            n ? " (FILE:KEY picks it)" : "");
    return NULL;
}

static const struct tensor *named_matrix(const struct container *c, const char *key,
                                         struct err *err)
{
    const struct tensor *t = container_find(c, key);
    char shape[64];
    if (t && is_matrix(t))
        return t;
    if (t)
        err_set(err, ERR_SHAPE, "%s: '%s' is %s %s, expected floats, a direction in each row",
                container_path(c), key, dtype_info[t->dtype].name,
                tensor_shape_text(t, shape, sizeof shape));
    else
        err_set(err, ERR_MISSING, "%s: there is no array '%s'", container_path(c), key);
    return NULL;
}

const struct tensor *cosine_open_rows(const char *word, const struct progress *progress,
                                      struct container **c, struct err *err)
{
    struct stat st;
    const char *colon = stat(word, &st) == 0 ? NULL : strrchr(word, ':');
    char *path = colon && colon != word ? xstrndup(word, (size_t)(colon - word)) : NULL;
    bool keyed = path && stat(path, &st) == 0;
    struct container *opened = container_open(keyed ? path : word, progress, err);
    const struct tensor *t = !opened ? NULL
                             : keyed ? named_matrix(opened, colon + 1, err)
                                     : only_matrix(opened, err);
    free(path);
    if (!t)
        container_close(opened);
    else
        *c = opened;
    return t;
}
