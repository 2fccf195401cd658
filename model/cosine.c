/* cosine.c - see cosine.h. */
#include "model/cosine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/mem.h"
#include "model/kern.h"

/* What the pieces that share rows make of them; added in order at the end. */
struct band {
    double sum, squares, min, max;
};

struct look {
    struct page_cosine *page;
    struct band *bands;
    void (*also)(void *ctx, const struct match_tile *tile);
    void *ctx;
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
    if (s->also)
        s->also(s->ctx, t);
}

const struct match_rows *page_cosine_columns(const struct page_cosine *p)
{
    return p->self ? &p->decoder : &p->other;
}

bool page_cosine_look(struct page_cosine *p, int threads, const struct progress *progress,
                      void (*also)(void *ctx, const struct match_tile *tile), void *ctx,
                      struct err *err)
{
    int64_t n = (p->rows + MATCH_TILE_ROWS - 1) / MATCH_TILE_ROWS;
    struct look s = {p, xmalloc((size_t)n * sizeof *s.bands), also, ctx};
    for (int64_t i = 0; i < n; i++)
        s.bands[i] = (struct band){0, 0, INFINITY, -INFINITY};
    for (int64_t i = 0; i < p->rows; i++)
        p->best[i] = (struct cosine_best){-1, NAN};
    bool ok = match_tiles(&p->decoder, page_cosine_columns(p), threads, progress, look_at_tile,
                          &s, err);
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
    const struct match_rows *c = page_cosine_columns(p);
    double squares = sae->b_dec ? kern_sum_squares(sae->b_dec, sae->d_out) : 0;
    bool some = squares > 0 && isfinite(squares), fits = c->cols == sae->d_out;
    for (int64_t j = 0; j < c->rows; j++) {
        double dot = some && fits ? kern_dot_double(sae->b_dec, c->unit + j * c->cols, c->cols)
                                  : 0;
        p->bias_row[j] = !fits  ? NAN
                         : some ? (float)fmin(fmax(dot / sqrt(squares), -1), 1)
                                : 0;
    }
}

const struct mat *cosine_rows(const struct sae *sae, enum cosine_weights weights)
{
    return weights == COSINE_ENCODER ? &sae->W_enc : &sae->W_dec;
}

static bool check_directions(const struct sae *sae, const struct cosine_against *against,
                             struct err *err)
{
    char own[64], rows[64];
    const struct mat *m = cosine_rows(sae, against->weights);
    if (!against->rows || against->rows->cols == m->cols)
        return true;
    return err_set(err, ERR_SHAPE, "%s: %s does not fit %s (found %s with rows of %lld and %s "
                   "with rows of %lld, expected equal ones)", sae->path,
                   against->weights == COSINE_ENCODER ? "W_enc" : "W_dec", against->path,
                   tensor_shape_text(m->t, own, sizeof own), (long long)m->cols,
                   tensor_shape_text(against->rows->t, rows, sizeof rows),
                   (long long)against->rows->cols);
}

bool page_cosine_begin(const struct sae *sae, const struct cosine_against *against,
                       struct page_cosine *out, struct err *err)
{
    struct page_cosine p = {.self = !against->rows, .rows = sae->d_sae,
                            .columns = against->rows ? against->rows->rows : sae->d_sae};
    bool ok = check_directions(sae, against, err) &&
              match_rows_init(&p.decoder, cosine_rows(sae, against->weights), err) &&
              (p.self || match_rows_init(&p.other, against->rows, err));
    if (ok) {
        p.best = mem_try((size_t)p.rows, sizeof *p.best, "best cosines", err);
        p.bias_row = mem_try((size_t)p.columns, sizeof *p.bias_row, "cosines", err);
        ok = p.best && p.bias_row;
    }
    if (!ok) {
        page_cosine_finish(&p);
        return false;
    }
    look_at_bias(&p, sae);
    *out = p;
    return true;
}

bool page_cosine_make(const struct sae *sae, const struct cosine_against *against,
                      int threads, const struct progress *progress,
                      struct page_cosine *out, struct err *err)
{
    struct page_cosine p;
    if (!page_cosine_begin(sae, against, &p, err))
        return false;
    if (!page_cosine_look(&p, threads, progress, NULL, NULL, err)) {
        page_cosine_finish(&p);
        return false;
    }
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
    const struct match_rows *a = &p->decoder, *b = page_cosine_columns(p);
    kern_gemm_nt(n, b->rows, a->cols, a->unit + first * a->cols, a->cols, b->unit, b->cols,
                 out, b->rows);
    for (int64_t k = 0; k < n * b->rows; k++)
        out[k] = fminf(fmaxf(out[k], -1), 1);
}

float page_cosine_at(const struct page_cosine *p, int64_t row, int64_t column)
{
    const struct match_rows *a = &p->decoder, *b = page_cosine_columns(p);
    float c = kern_best()->dot(a->unit + row * a->cols, b->unit + column * b->cols, a->cols);
    return fminf(fmaxf(c, -1), 1);
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
        err_set(err, ERR_SHAPE, "%s: '%s' holds no directions (found %s %s, expected floats, one in "
                "each row)",
                container_path(c), key, dtype_info[t->dtype].name,
                tensor_shape_text(t, shape, sizeof shape));
    else
        err_set(err, ERR_MISSING, "%s: there is no array '%s' (found others, expected that name)", container_path(c), key);
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
