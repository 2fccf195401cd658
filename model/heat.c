/* heat.c - see heat.h. */
#include "model/heat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* ---- blocks ------------------------------------------------------------------------ */

void heat_blocks_finish(struct heat_blocks *b)
{
    free(b->mean);
    if (b->strongest != b->mean)
        free(b->strongest);
    *b = (struct heat_blocks){0};
}

/* row, column, rows, columns and block sizes are set. */
static bool blocks_init(struct heat_blocks *b, struct err *err)
{
    b->n_r = ceil_div(b->rows, b->block_r);
    b->n_c = ceil_div(b->columns, b->block_c);
    size_t n = (size_t)b->n_r * (size_t)b->n_c;
    b->mean = mem_try(n, sizeof *b->mean, "cosines", err);
    b->strongest = b->block_r * b->block_c == 1 ? b->mean
                                                : mem_try(n, sizeof *b->strongest, "cosines", err);
    if (b->mean && b->strongest)
        return true;
    heat_blocks_finish(b);
    return false;
}

/* The cosines of r x c places from (row, column) on, without the diagonal; a diagonal
 * that stands alone counts. */
static int64_t count_of(bool self, int64_t row, int64_t column, int64_t r, int64_t c)
{
    int64_t n = r * c;

    if (self) {
        int64_t first = row > column ? row : column;
        int64_t last = least(row + r, column + c);
        n -= last > first ? last - first : 0;
    }
    return n > 0 ? n : 1;
}

struct extent {
    int64_t row, column, r, c;
};

static struct extent extent_of(const struct heat_blocks *b, int64_t i, int64_t j)
{
    return (struct extent){b->row + i * b->block_r, b->column + j * b->block_c,
                           least(b->block_r, b->rows - i * b->block_r),
                           least(b->block_c, b->columns - j * b->block_c)};
}

/* Cosines [0, n) of a row at `row` that fall into one block, from `column` on. */
static void add_run(float *sum, float *strongest, const float *c, int64_t n, int64_t skip)
{
    float lo = *strongest < 0 ? *strongest : 0, hi = *strongest > 0 ? *strongest : 0;
    float s = 0;

    for (int64_t k = 0; k < n; k++) {
        float x = k == skip ? 0 : c[k];
        s += x;
        lo = x < lo ? x : lo;
        hi = x > hi ? x : hi;
    }
    *sum += s;
    *strongest = hi >= -lo ? hi : lo;
}

/* Row r of the part, its cosines with columns [j0, j0 + n) of it. Sums, until divided. */
static void blocks_add(struct heat_blocks *b, bool self, int64_t r, int64_t j0,
                       const float *c, int64_t n)
{
    int64_t i = r / b->block_r;

    if (b->mean == b->strongest) {
        memcpy(b->mean + i * b->n_c + j0, c, (size_t)n * sizeof *c);
        return;
    }
    for (int64_t k = 0, run; k < n; k += run) {
        int64_t j = (j0 + k) / b->block_c;
        struct extent e = extent_of(b, i, j);
        run = least((j + 1) * b->block_c - j0 - k, n - k);
        int64_t skip = self && e.r * e.c > 1 ? b->row + r - b->column - j0 - k : -1;
        add_run(&b->mean[i * b->n_c + j], &b->strongest[i * b->n_c + j], c + k, run, skip);
    }
}

static void blocks_clear(struct heat_blocks *b, int64_t i0, int64_t i1)
{
    for (int64_t k = i0 * b->n_c; k < i1 * b->n_c; k++)
        b->mean[k] = b->strongest[k] = 0;
}

static void blocks_divide(struct heat_blocks *b, bool self, int64_t i0, int64_t i1)
{
    for (int64_t i = i0; b->mean != b->strongest && i < i1; i++)
        for (int64_t j = 0; j < b->n_c; j++) {
            struct extent e = extent_of(b, i, j);
            b->mean[i * b->n_c + j] /= (float)count_of(self, e.row, e.column, e.r, e.c);
        }
}

static float stronger(float a, float b)
{
    return fabsf(b) > fabsf(a) ? b : a;
}

/* A block that is nothing but a piece of the diagonal. */
static bool is_diagonal(const struct heat_blocks *b, int64_t i, int64_t j)
{
    struct extent e = extent_of(b, i, j);
    return e.row == e.column && e.r * e.c == 1;
}

struct span {
    int64_t i0, i1, j0, j1; /* blocks [i0, i1) x [j0, j1) */
};

static float strongest_of(const struct heat_blocks *b, bool self, const struct span *s)
{
    float strongest = 0;

    for (int64_t i = s->i0; i < s->i1; i++)
        for (int64_t j = s->j0; j < s->j1; j++)
            if (!self || i != j || !is_diagonal(b, i, j))
                strongest = stronger(strongest, b->strongest[i * b->n_c + j]);
    return strongest;
}

/* Blocks that are whole and off the diagonal count alike. */
static float plain_mean(const struct heat_blocks *b, const struct span *s)
{
    double sum = 0;

    for (int64_t i = s->i0; i < s->i1; i++)
        for (int64_t j = s->j0; j < s->j1; j++)
            sum += (double)b->mean[i * b->n_c + j];
    return (float)(sum / (double)((s->i1 - s->i0) * (s->j1 - s->j0)));
}

static float mean_of(const struct heat_blocks *b, bool self, const struct span *s)
{
    bool whole = s->i1 * b->block_r <= b->rows && s->j1 * b->block_c <= b->columns;
    double sum = 0, n = 0;

    if (whole && (!self || s->i1 <= s->j0 || s->j1 <= s->i0))
        return plain_mean(b, s);
    for (int64_t i = s->i0; i < s->i1; i++)
        for (int64_t j = s->j0; j < s->j1; j++) {
            if (self && i == j && is_diagonal(b, i, j))
                continue;
            struct extent e = extent_of(b, i, j);
            double count = (double)count_of(self, e.row, e.column, e.r, e.c);
            sum += count * (double)b->mean[i * b->n_c + j];
            n += count;
        }
    return n > 0 ? (float)(sum / n) : 0;
}

/* Blocks of a whole map as one. */
static float pooled(const struct heat_blocks *b, bool self, const struct span *s,
                    enum heat_pool pool)
{
    if ((s->i1 - s->i0) * (s->j1 - s->j0) == 1)
        return (pool == HEAT_MEAN ? b->mean : b->strongest)[s->i0 * b->n_c + s->j0];
    return pool == HEAT_MEAN ? mean_of(b, self, s) : strongest_of(b, self, s);
}

/* The blocks of b that make up r x c places from (row, column) on. */
static struct span span_of(const struct heat_blocks *b, int64_t row, int64_t column,
                           int64_t r, int64_t c)
{
    return (struct span){row / b->block_r, (least(row + r, b->rows) - 1) / b->block_r + 1,
                         column / b->block_c,
                         (least(column + c, b->columns) - 1) / b->block_c + 1};
}

/* A piece of the part; the last one of its rows makes means of their sums. Rows of pieces
 * begin at multiples of block_r, as both are powers of two. */
static bool blocks_take(struct heat_blocks *b, bool self, const struct match_tile *t)
{
    int64_t i0 = t->i0 / b->block_r, i1 = ceil_div(t->i0 + t->n_i, b->block_r);

    if (t->j0 == 0)
        blocks_clear(b, i0, i1);
    for (int64_t i = 0; i < t->n_i; i++)
        blocks_add(b, self, t->i0 + i, t->j0, t->cosine + i * t->n_j, t->n_j);
    if (t->j0 + t->n_j < b->columns)
        return false;
    blocks_divide(b, self, i0, i1);
    return true;
}

/* ---- the map ----------------------------------------------------------------------- */

/* The larger side gives way first; against itself both do. */
static void choose_blocks(struct heat_blocks *b, bool self)
{
    b->block_r = b->block_c = 1;
    for (;;) {
        int64_t n_r = ceil_div(b->rows, b->block_r), n_c = ceil_div(b->columns, b->block_c);
        bool row = (n_r >= n_c || self) && b->block_r < MATCH_TILE_ROWS;
        if (n_r <= HEAT_CELLS / n_c)
            return;
        b->block_r *= row ? 2 : 1;
        b->block_c *= !row || self ? 2 : 1;
    }
}

/* The rows of m in the order of `at` (NULL: as they are), *own what is a copy of them. */
static bool in_order(const struct match_rows *m, const int64_t *at, struct match_rows *out,
                     struct match_rows *own, struct err *err)
{
    size_t bytes = (size_t)m->cols * sizeof(float);

    *out = (struct match_rows){.unit = m->unit, .rows = m->rows, .cols = m->cols};
    if (!at)
        return true;
    if (!scratch_init(&own->room, NULL, (size_t)m->rows * bytes, "room for unit rows", err))
        return false;
    float *unit = own->room.data;
    for (int64_t i = 0; i < m->rows; i++)
        memcpy(unit + i * m->cols, m->unit + at[i] * m->cols, bytes);
    own->unit = out->unit = unit;
    own->rows = m->rows;
    own->cols = m->cols;
    return true;
}

bool heat_init(struct heat *h, const struct match_rows *a, const struct match_rows *b,
               int64_t *row_at, int64_t *column_at, struct err *err)
{
    struct heat m = {.self = !b, .row_at = row_at, .column_at = column_at};
    int64_t bands = ceil_div(a->rows, MATCH_TILE_ROWS);

    m.blocks.rows = a->rows;
    m.blocks.columns = b ? b->rows : a->rows;
    choose_blocks(&m.blocks, m.self);
    m.coarse = m.blocks;
    m.coarse.block_r = least(8 * m.blocks.block_r, MATCH_TILE_ROWS);
    m.coarse.block_c = 8 * m.blocks.block_c;
    bool ok = in_order(a, row_at, &m.a, &m.own[0], err) &&
              (m.self || in_order(b, column_at, &m.b, &m.own[1], err)) &&
              blocks_init(&m.blocks, err) && blocks_init(&m.coarse, err);
    if (m.self)
        m.b = m.a;
    if (ok && m.blocks.mean != m.blocks.strongest) {
        m.sample = mem_try((size_t)(m.blocks.n_r * m.blocks.n_c), sizeof *m.sample,
                           "cosines", err);
        ok = m.sample != NULL;
    }
    if (!ok) {
        heat_finish(&m);
        return false;
    }
    m.exact = xcalloc((size_t)bands, sizeof *m.exact);
    *h = m;
    return true;
}

void heat_finish(struct heat *h)
{
    match_rows_finish(&h->own[0]);
    match_rows_finish(&h->own[1]);
    heat_blocks_finish(&h->blocks);
    heat_blocks_finish(&h->coarse);
    free(h->sample);
    free(h->row_at);
    if (h->column_at != h->row_at)
        free(h->column_at);
    free(h->exact);
    *h = (struct heat){0};
}

int64_t heat_row(const struct heat *h, int64_t place)
{
    return h->row_at ? h->row_at[place] : place;
}

int64_t heat_column(const struct heat *h, int64_t place)
{
    const int64_t *at = h->self ? h->row_at : h->column_at;

    return at ? at[place] : place;
}

/* ---- computing --------------------------------------------------------------------- */

/* Every step-th row, n of them, from `first` on; the last row stands in beyond the end. */
static bool pick_rows(const struct match_rows *m, int64_t first, int64_t step, int64_t n,
                      struct match_rows *out, struct err *err)
{
    size_t bytes = (size_t)m->cols * sizeof(float);

    if (!scratch_init(&out->room, NULL, (size_t)n * bytes, "room for unit rows", err))
        return false;
    float *unit = out->room.data;
    for (int64_t i = 0; i < n; i++)
        memcpy(unit + i * m->cols, m->unit + least(first + i * step, m->rows - 1) * m->cols,
               bytes);
    out->unit = unit;
    out->rows = n;
    out->cols = m->cols;
    return true;
}

static void sample_tile(void *ctx, const struct match_tile *t)
{
    struct heat *h = ctx;

    for (int64_t i = 0; i < t->n_i; i++)
        memcpy(h->sample + (t->i0 + i) * h->blocks.n_c + t->j0, t->cosine + i * t->n_j,
               (size_t)t->n_j * sizeof *h->sample);
}

bool heat_sample(struct heat *h, int threads, const struct progress *progress,
                 struct err *err)
{
    const struct heat_blocks *b = &h->blocks;
    struct match_rows rows, columns;

    if (!h->sample)
        return true;
    memset(&rows, 0, sizeof rows);
    memset(&columns, 0, sizeof columns);
    /* The middle of a block, but never the diagonal. */
    int64_t middle = b->block_c / 2 > 0 ? b->block_c / 2 - 1 : 0;
    bool ok = pick_rows(&h->a, b->block_r / 2, b->block_r, b->n_r, &rows, err) &&
              pick_rows(&h->b, middle, b->block_c, b->n_c, &columns, err) &&
              match_tiles(&rows, &columns, threads, progress, sample_tile, h, err);
    match_rows_finish(&rows);
    match_rows_finish(&columns);
    if (ok)
        atomic_store_explicit(&h->sampled, true, memory_order_release);
    return ok;
}

/* The coarse blocks of a band, from its blocks. */
static void coarsen(struct heat *h, int64_t row, int64_t n)
{
    struct heat_blocks *to = &h->coarse;

    for (int64_t i = row / to->block_r; i * to->block_r < row + n; i++)
        for (int64_t j = 0; j < to->n_c; j++) {
            struct span s = span_of(&h->blocks, i * to->block_r, j * to->block_c, to->block_r,
                                    to->block_c);
            to->mean[i * to->n_c + j] = pooled(&h->blocks, h->self, &s, HEAT_MEAN);
            to->strongest[i * to->n_c + j] = pooled(&h->blocks, h->self, &s, HEAT_STRONGEST);
        }
}

void heat_tile(void *ctx, const struct match_tile *t)
{
    struct heat *h = ctx;

    if (!blocks_take(&h->blocks, h->self, t))
        return;
    coarsen(h, t->i0, t->n_i);
    atomic_store_explicit(&h->exact[t->i0 / MATCH_TILE_ROWS], 1, memory_order_release);
}

bool heat_compute(struct heat *h, int threads, const struct progress *progress,
                  struct err *err)
{
    return match_tiles(&h->a, &h->b, threads, progress, heat_tile, h, err);
}

static bool is_exact(const struct heat *h, int64_t row)
{
    return atomic_load_explicit(&h->exact[row / MATCH_TILE_ROWS], memory_order_acquire);
}

double heat_done(const struct heat *h)
{
    int64_t bands = ceil_div(h->blocks.rows, MATCH_TILE_ROWS), n = 0;

    for (int64_t i = 0; i < bands; i++)
        n += is_exact(h, i * MATCH_TILE_ROWS);
    return bands ? (double)n / (double)bands : 1;
}

struct part {
    struct heat_blocks *blocks;
    bool self;
};

static void part_tile(void *ctx, const struct match_tile *t)
{
    struct part *p = ctx;
    blocks_take(p->blocks, p->self, t);
}

bool heat_part(const struct heat *h, int64_t row, int64_t column, int64_t rows,
               int64_t columns, int64_t block_r, int64_t block_c, int threads,
               const struct progress *progress, struct heat_blocks *out, struct err *err)
{
    struct heat_blocks b = {.row = row, .column = column,
                            .rows = least(rows, h->a.rows - row),
                            .columns = least(columns, h->b.rows - column),
                            .block_r = block_r, .block_c = block_c};
    int64_t cols = h->a.cols;
    struct match_rows x = {.unit = h->a.unit + row * cols, .rows = b.rows, .cols = cols};
    struct match_rows y = {.unit = h->b.unit + column * cols, .rows = b.columns, .cols = cols};

    if (!blocks_init(&b, err))
        return false;
    struct part p = {&b, h->self};
    if (!match_tiles(&x, &y, threads, progress, part_tile, &p, err)) {
        heat_blocks_finish(&b);
        return false;
    }
    *out = b;
    return true;
}

/* ---- looking ----------------------------------------------------------------------- */

static bool has_blocks_of(const struct heat_blocks *b, const struct heat_window *w)
{
    return b && b->block_r == w->block_r && b->block_c == w->block_c;
}

/* Is the cell at this place in the part? Its blocks are the window's. */
static bool is_inside(const struct heat_blocks *b, int64_t row, int64_t column)
{
    return row >= b->row && row < b->row + b->rows && column >= b->column &&
           column < b->column + b->columns;
}

/* The coarsest blocks that such cells are made of; those of the map if they are finer. */
static const struct heat_blocks *source_of(const struct heat *h, const struct heat_window *w)
{
    bool coarse = w->block_r % h->coarse.block_r == 0 && w->block_c % h->coarse.block_c == 0;
    return coarse ? &h->coarse : &h->blocks;
}

static bool is_exact_over(const struct heat *h, int64_t row, int64_t rows)
{
    for (int64_t r = row; r < least(row + rows, h->blocks.rows); r += MATCH_TILE_ROWS)
        if (!is_exact(h, r))
            return false;
    return true;
}

static enum heat_quality look_at_samples(const struct heat *h, const struct heat_window *w,
                                         const struct span *s, float *value)
{
    double sum = 0;
    float strongest = 0;

    *value = NAN;
    if (!h->sample || !atomic_load_explicit(&h->sampled, memory_order_acquire))
        return HEAT_UNKNOWN;
    for (int64_t i = s->i0; i < s->i1; i++)
        for (int64_t j = s->j0; j < s->j1; j++) {
            sum += (double)h->sample[i * h->blocks.n_c + j];
            strongest = stronger(strongest, h->sample[i * h->blocks.n_c + j]);
        }
    *value = w->pool == HEAT_STRONGEST
                 ? strongest
                 : (float)(sum / (double)((s->i1 - s->i0) * (s->j1 - s->j0)));
    return HEAT_SAMPLED;
}

static enum heat_quality look_at(const struct heat *h, const struct heat_blocks *part,
                                 const struct heat_window *w, int64_t row, int64_t column,
                                 float *value)
{
    if (part && is_inside(part, row, column)) {
        int64_t at = (row - part->row) / part->block_r * part->n_c +
                     (column - part->column) / part->block_c;
        *value = (w->pool == HEAT_MEAN ? part->mean : part->strongest)[at];
        return HEAT_EXACT;
    }
    bool exact = is_exact_over(h, row, w->block_r);
    const struct heat_blocks *b = exact ? source_of(h, w) : &h->blocks;
    struct span s = span_of(b, row, column, w->block_r, w->block_c);
    if (!exact)
        return look_at_samples(h, w, &s, value);
    *value = pooled(b, h->self, &s, w->pool);
    return w->block_r < b->block_r || w->block_c < b->block_c ? HEAT_COARSE : HEAT_EXACT;
}

enum heat_quality heat_look(const struct heat *h, const struct heat_blocks *part,
                            const struct heat_window *w, float *value)
{
    const struct heat_blocks *usable = has_blocks_of(part, w) ? part : NULL;
    enum heat_quality worst = HEAT_EXACT;

    for (int64_t i = 0; i < w->n_r; i++)
        for (int64_t j = 0; j < w->n_c; j++) {
            int64_t row = w->row + i * w->block_r, column = w->column + j * w->block_c;
            float *out = &value[i * w->n_c + j];
            *out = NAN;
            if (row >= h->blocks.rows || column >= h->blocks.columns)
                continue;
            enum heat_quality q = look_at(h, usable, w, row, column, out);
            worst = q < worst ? q : worst;
        }
    return worst;
}
