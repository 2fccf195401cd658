/* mixture.c - see mixture.h. */
#include "model/mixture.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

bool mixture_is_alone(const struct mixture_column *c)
{
    return fabs((double)c->cosine) > MIXTURE_ALONE;
}

bool mixture_is_missed(const struct mixture_column *c)
{
    return !mixture_is_alone(c) && c->composites == 0;
}

/* All rows while the tiles come; the composites among them are copied out at the end. */
struct rows {
    struct mixture *row;
    struct mixture_column *columns;
    pthread_mutex_t lock; /* rows may share a column */
};

/* Columns of a row come in ascending order: of equals the first stays in front. */
static void add_part(struct mixture *m, int64_t column, float cosine)
{
    int kept = m->n < MIXTURE_PARTS ? (int)m->n : MIXTURE_PARTS, at = kept;

    while (at > 0 && fabsf(cosine) > fabsf(m->parts[at - 1].cosine))
        at--;
    m->n++;
    if (at == MIXTURE_PARTS)
        return;
    int last = kept == MIXTURE_PARTS ? kept - 1 : kept;
    memmove(m->parts + at + 1, m->parts + at, (size_t)(last - at) * sizeof *m->parts);
    m->parts[at] = (struct mixture_part){column, cosine};
}

static void keep_stronger(struct mixture_column *c, int64_t row, float cosine)
{
    float is = fabsf(cosine), was = fabsf(c->cosine);

    if (c->row < 0 || is > was || (is == was && row < c->row)) {
        c->row = row;
        c->cosine = cosine;
    }
}

/* A row is a composite from its second part on: then the first counts too. */
static void look_at_one(struct rows *s, int64_t i, int64_t j, float cosine)
{
    struct mixture *m = &s->row[i];

    keep_stronger(&s->columns[j], i, cosine);
    if (!(fabs((double)cosine) > MIXTURE_PART))
        return;
    if (m->n == 1)
        s->columns[m->parts[0].column].composites++;
    add_part(m, j, cosine);
    s->columns[j].composites += m->n > 1;
}

static void look_at_tile(void *ctx, const struct match_tile *t)
{
    struct rows *s = ctx;

    pthread_mutex_lock(&s->lock);
    for (int64_t i = 0; i < t->n_i; i++)
        for (int64_t j = 0; j < t->n_j; j++)
            look_at_one(s, t->i0 + i, t->j0 + j, t->cosine[i * t->n_j + j]);
    pthread_mutex_unlock(&s->lock);
}

static bool take_composites(struct mixtures *m, const struct mixture *row, int64_t rows,
                            struct err *err)
{
    for (int64_t i = 0; i < rows; i++)
        m->n_composites += row[i].n >= 2;
    m->composites = mem_try((size_t)m->n_composites, sizeof *m->composites, "composites",
                            err);
    if (!m->composites)
        return false;
    for (int64_t i = 0, n = 0; i < rows; i++) {
        if (row[i].n < 2)
            continue;
        m->composites[n] = row[i];
        m->composites[n++].row = i;
    }
    return true;
}

bool mixtures_make(const struct page_cosine *p, int threads, const struct progress *progress,
                   struct mixtures *out, struct err *err)
{
    struct mixtures m = {.n_columns = p->columns};
    struct rows s = {0};

    assert(!p->self);
    pthread_mutex_init(&s.lock, NULL);
    s.row = mem_try((size_t)p->rows, sizeof *s.row, "mixtures", err);
    m.columns = mem_try((size_t)p->columns, sizeof *m.columns, "mixtures", err);
    bool ok = s.row && m.columns;
    for (int64_t i = 0; ok && i < p->rows; i++)
        s.row[i].n = 0;
    for (int64_t j = 0; ok && j < p->columns; j++)
        m.columns[j] = (struct mixture_column){.row = -1};
    s.columns = m.columns;
    ok = ok && match_tiles(&p->decoder, &p->other, threads, progress, look_at_tile, &s, err) &&
         take_composites(&m, s.row, p->rows, err);
    pthread_mutex_destroy(&s.lock);
    free(s.row);
    if (!ok) {
        mixtures_finish(&m);
        return false;
    }
    for (int64_t j = 0; j < m.n_columns; j++) {
        m.n_alone += mixture_is_alone(&m.columns[j]);
        m.n_missed += mixture_is_missed(&m.columns[j]);
    }
    *out = m;
    return true;
}

void mixtures_finish(struct mixtures *m)
{
    free(m->composites);
    free(m->columns);
    *m = (struct mixtures){0};
}
