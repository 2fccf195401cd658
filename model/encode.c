/* encode.c - see encode.h. */
#include "model/encode.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/encode_group.h"
#include "model/kern.h"
#include "model/stats.h"

/* ---- weights as rows of f32 ------------------------------------------------------- */

struct convert {
    const struct mat *m;
    float *out;
    const char *what;
    const struct progress *progress;
    _Atomic int64_t done;
    _Atomic bool failed;
    struct err *errs; /* [threads] */
};

/* Wide enough that a transposed matrix is read by whole cache lines. */
#define CONVERT_ROWS 256

struct convert_part {
    struct convert *c;
    int64_t first, n;
};

static void convert_guarded(void *ctx)
{
    struct convert_part *p = ctx;
    mat_read_rows(p->c->m, p->first, p->n, p->c->out + p->first * p->c->m->cols);
}

static void convert_rows(void *ctx, size_t i, int thread)
{
    struct convert *c = ctx;
    struct convert_part p = {.c = c, .first = (int64_t)i * CONVERT_ROWS};
    int64_t left = c->m->rows - p.first;
    p.n = left < CONVERT_ROWS ? left : CONVERT_ROWS;
    if (c->failed)
        return;
    if (!map_guard(convert_guarded, &p, &c->errs[thread]))
        c->failed = true;
    int64_t done = atomic_fetch_add(&c->done, p.n) + p.n;
    if (!progress_step(c->progress, c->what, done, c->m->rows)) {
        err_set(&c->errs[thread], ERR_CANCELLED, "cancelled");
        c->failed = true;
    }
}

const float *encode_rows(const struct mat *m, int threads, const char *what,
                         const struct progress *progress, struct scratch *copy,
                         struct err *err)
{
    int64_t ld;
    const float *in_place = mat_f32(m, &ld);
    *copy = (struct scratch){0};
    if (in_place && ld == m->cols)
        return in_place;

    size_t bytes = (size_t)m->rows * (size_t)m->cols * sizeof(float);
    if (!scratch_init(copy, NULL, bytes, "room for the weights", err))
        return NULL;
    struct convert c = {.m = m, .out = copy->data, .what = what, .progress = progress};
    c.errs = xcalloc((size_t)threads, sizeof *c.errs);
    team_each(threads, (size_t)((m->rows + CONVERT_ROWS - 1) / CONVERT_ROWS), convert_rows,
              &c);
    for (int t = threads - 1; c.failed && t >= 0; t--)
        if (c.errs[t].code && err)
            *err = c.errs[t];
    free(c.errs);
    if (!c.failed)
        return copy->data;
    scratch_finish(copy);
    return NULL;
}

/* ---- the encoder ------------------------------------------------------------------ */

bool encoder_init(struct encoder *e, const struct sae *sae, int threads,
                  const struct progress *progress, struct err *err)
{
    struct encoder made = {.sae = sae};
    made.W = encode_rows(&sae->W_enc, threads, "reading W_enc", progress, &made.copy,
                         err);
    if (made.W && sae->W_glu.t)
        made.W_glu = encode_rows(&sae->W_glu, threads, "reading W_glu", progress,
                                 &made.glu_copy, err);
    if (!made.W || (sae->W_glu.t && !made.W_glu)) {
        scratch_finish(&made.copy);
        return false;
    }
    int64_t n = sae->d_sae;
    made.level = xmalloc((size_t)n * sizeof *made.level);
    made.norm = xmalloc((size_t)n * sizeof *made.norm);
    for (int64_t j = 0; j < n; j++) {
        float scale = sae->act_scale && sae->arch->selects ? sae->act_scale[j] : 1;
        double squares = kern_sum_squares(made.W + j * sae->d_in, sae->d_in);
        made.norm[j] = (float)sqrt(squares) * scale;
        made.level[j] = sae->arch->level(sae, j) * scale;
        if (sae->broken && sae->broken[j])
            made.level[j] = INFINITY;
    }
    *e = made;
    return true;
}

void encoder_finish(struct encoder *e)
{
    scratch_finish(&e->copy);
    scratch_finish(&e->glu_copy);
    free(e->level);
    free(e->norm);
    *e = (struct encoder){0};
}

/* ---- selection of the k largest --------------------------------------------------- */

/*
 * A row's candidates while the panels go by. approx is within slack of the exact
 * pre-activation. `floor` is a lower bound of the k-th largest exact one, never below 0,
 * as what is not positive becomes 0 in the end.
 */
struct top_entry {
    uint32_t feature;
    float approx, slack;
};

struct top_list {
    int64_t n, cap;
    struct top_entry *entries; /* [cap] */
    float *keys;               /* [cap], shared by all rows: room to select in */
    uint32_t *start;           /* [d_sae + 1], shared likewise: counting sort of hits */
};

static int64_t top_cap(const struct sae *sae)
{
    int64_t k = sae->k < sae->d_sae ? sae->k : sae->d_sae;
    return 4 * k + 64;
}

/* What an entry is ranked by. */
static float strength(const struct sae *sae, float approx)
{
    return sae->is_signed ? fabsf(approx) : approx;
}

/* By pre-activation descending, then by feature. */
static int stronger(const void *a, const void *b)
{
    const struct top_entry *x = a, *y = b;
    if (x->approx != y->approx)
        return x->approx < y->approx ? 1 : -1;
    return (x->feature > y->feature) - (x->feature < y->feature);
}

/* The same by its magnitude. */
static int stronger_signed(const void *a, const void *b)
{
    const struct top_entry *x = a, *y = b;
    float p = fabsf(x->approx), q = fabsf(y->approx);
    if (p != q)
        return p < q ? 1 : -1;
    return (x->feature > y->feature) - (x->feature < y->feature);
}

/* Replace every approximation of the row by the exact value; keep the k largest. */
static void top_exact(const struct encoder *e, struct top_list *top, const float *u)
{
    const struct sae *sae = e->sae;
    const struct kern *kern = kern_best();
    int64_t d = sae->d_in, i = 0, kept = 0;
    for (; i < top->n; i += 4) {
        const float *w[4];
        float m[4];
        int64_t count = top->n - i < 4 ? top->n - i : 4;
        for (int64_t l = 0; l < 4; l++)
            w[l] = e->W + (int64_t)top->entries[l < count ? i + l : i].feature * d;
        kern->dot4(m, w, u, d);
        for (int64_t l = 0; l < count; l++) {
            struct top_entry *entry = &top->entries[i + l];
            entry->approx = sae->arch->activate(sae, entry->feature, m[l]);
            entry->slack = 0;
        }
    }
    for (i = 0; i < top->n; i++)
        if (strength(sae, top->entries[i].approx) > 0)
            top->entries[kept++] = top->entries[i];
    top->n = kept;
    qsort(top->entries, (size_t)top->n, sizeof *top->entries,
          sae->is_signed ? stronger_signed : stronger);
    if (top->n > sae->k)
        top->n = sae->k;
}

/* Raise the floor of a full row and drop what is surely below it. */
static float top_prune(const struct encoder *e, struct top_list *top, const float *u,
                       float floor)
{
    int64_t k = e->sae->k, kept = 0;
    if (top->n < k)
        return floor;
    for (int64_t i = 0; i < top->n; i++)
        top->keys[i] = strength(e->sae, top->entries[i].approx) - top->entries[i].slack;
    float kth = stats_kth_largest(top->keys, top->n, k);
    floor = kth > floor ? kth : floor;
    for (int64_t i = 0; i < top->n; i++)
        if (strength(e->sae, top->entries[i].approx) + top->entries[i].slack >= floor)
            top->entries[kept++] = top->entries[i];
    top->n = kept;
    /* So many within rounding of each other: let the exact values decide. */
    if (top->n > top->cap / 2) {
        top_exact(e, top, u);
        if (top->n == k && strength(e->sae, top->entries[k - 1].approx) > floor)
            floor = strength(e->sae, top->entries[k - 1].approx);
    }
    return floor;
}

/* ---- scratch ---------------------------------------------------------------------- */

size_t encode_scratch_bytes(const struct encoder *e, int64_t rows)
{
    size_t row = ENCODE_PANEL * sizeof(float) + 2 * sizeof(float) + sizeof(uint32_t);
    size_t packed = (size_t)kern_right_floats(rows, e->sae->d_in) * sizeof(float);
    if (e->sae->arch->groups)
        row += encode_group_bytes(1);
    else if (e->sae->arch->selects)
        row += sizeof(struct top_list) + (size_t)top_cap(e->sae) * sizeof(struct top_entry);
    return row * (size_t)rows + packed;
}

static int64_t panels_of(const struct encoder *e)
{
    return (e->sae->d_sae + ENCODE_PANEL - 1) / ENCODE_PANEL;
}

static bool top_init(struct encode_scratch *s, const struct encoder *e, struct err *err)
{
    int64_t cap = top_cap(e->sae), rows = s->rows;
    struct top_entry *entries = mem_try((size_t)(rows * cap), sizeof *entries,
                                        "candidates of TopK", err);
    if (!entries)
        return false;
    s->top = xcalloc((size_t)rows, sizeof *s->top);
    float *keys = xmalloc((size_t)cap * sizeof *keys);
    uint32_t *start = xmalloc((size_t)(e->sae->d_sae + 1) * sizeof *start);
    for (int64_t r = 0; r < rows; r++)
        s->top[r] = (struct top_list){
            .cap = cap, .entries = entries + r * cap, .keys = keys, .start = start};
    return true;
}

bool encode_scratch_init(struct encode_scratch *s, const struct encoder *e, int64_t rows,
                         struct err *err)
{
    assert(rows > 0);
    *s = (struct encode_scratch){.rows = rows};
    s->tile = mem_try((size_t)rows * ENCODE_PANEL, sizeof *s->tile, "tile", err);
    s->packed = mem_try((size_t)kern_right_floats(rows, e->sae->d_in), sizeof *s->packed,
                        "inputs", err);
    s->norm = xmalloc((size_t)rows * sizeof *s->norm);
    s->floor = xmalloc((size_t)rows * sizeof *s->floor);
    s->found = xmalloc((size_t)rows * sizeof *s->found);
    s->dense = xmalloc((size_t)panels_of(e));
    memset(s->dense, -1, (size_t)panels_of(e));
    if (s->tile && s->packed &&
        (e->sae->arch->groups    ? (s->group = encode_group_new(rows, err)) != NULL
         : e->sae->arch->selects ? top_init(s, e, err)
                                 : true))
        return true;
    encode_scratch_finish(s);
    return false;
}

void encode_scratch_finish(struct encode_scratch *s)
{
    if (s->top) {
        free(s->top[0].entries);
        free(s->top[0].keys);
        free(s->top[0].start);
    }
    free(s->top);
    free(s->group);
    free(s->tile);
    free(s->packed);
    free(s->norm);
    free(s->floor);
    free(s->found);
    free(s->dense);
    *s = (struct encode_scratch){0};
}

/* ---- a block ---------------------------------------------------------------------- */

struct block {
    const struct encoder *e;
    struct encode_scratch *s;
    const float *u;
    int64_t n;
    struct encode_hit *hits;
    int64_t cap, n_hits;
};

float encoder_glu(const struct encoder *e, int64_t j, float a, const float *u)
{
    int64_t d = e->sae->d_in;
    return a == 0 || !e->W_glu ? a
                               : sae_glu(e->sae, j, a,
                                         kern_best()->dot(u, e->W_glu + j * d, d));
}

static void append_hit(struct block *b, int64_t j, uint32_t row, float m)
{
    float a = b->e->sae->arch->activate(b->e->sae, j, m);
    a = encoder_glu(b->e, j, a, b->u + (int64_t)row * b->e->sae->d_in);
    if (a != 0)
        b->hits[b->n_hits++] =
            (struct encode_hit){.feature = (uint32_t)j, .row = row, .value = a};
}

/* The exact rule for the rows found for feature j, whose pre-activations m [n] are exact
 * or, NULL, not known. */
static bool append_hits(struct block *b, int64_t j, int64_t found, const float *exact)
{
    const struct sae *sae = b->e->sae;
    const float *w = b->e->W + j * sae->d_in;
    const uint32_t *rows = b->s->found;
    if (b->n_hits + found > b->cap)
        return false;
    for (int64_t i = 0; i < found && exact; i++)
        append_hit(b, j, rows[i], exact[rows[i]]);
    for (int64_t i = 0; i < found && !exact; i += 4) {
        const float *x[4];
        float m[4];
        int64_t count = found - i < 4 ? found - i : 4;
        for (int64_t l = 0; l < 4; l++)
            x[l] = b->u + (int64_t)rows[l < count ? i + l : i] * sae->d_in;
        if (count == 1)
            m[0] = kern_best()->dot(x[0], w, sae->d_in);
        else
            kern_best()->dot4(m, x, w, sae->d_in);
        for (int64_t l = 0; l < count; l++)
            append_hit(b, j, rows[i + l], m[l]);
    }
    return true;
}

/* The rows found for feature j, with their approximate pre-activations sign * c. */
static void append_candidates(struct block *b, int64_t j, int64_t found, const float *c,
                              float level, float slack, float sign)
{
    bool is_signed = b->e->sae->is_signed;
    for (int64_t i = 0; i < found; i++) {
        uint32_t r = b->s->found[i];
        struct top_list *top = &b->s->top[r];
        float approx = c[r] - level;
        /* Near 0 a row may be found on both sides of it: it counts once. */
        if (is_signed && (sign > 0 ? approx < 0 : approx <= 0))
            continue;
        if (top->n == top->cap)
            b->s->floor[r] =
                top_prune(b->e, top, b->u + (int64_t)r * b->e->sae->d_in, b->s->floor[r]);
        top->entries[top->n++] = (struct top_entry){.feature = (uint32_t)j,
                                                    .approx = sign * approx,
                                                    .slack = slack * b->s->norm[r]};
    }
}

/* Those below 0, which is what is above 0 of the product turned over. */
static void append_negative(struct block *b, int64_t j, float *c, float slack)
{
    float level = -b->e->level[j];
    for (int64_t r = 0; r < b->n; r++)
        c[r] = -c[r];
    int64_t found = kern_best()->above(c, b->s->floor, b->s->norm, level, slack, b->n,
                                       b->s->found);
    append_candidates(b, j, found, c, level, slack, -1);
}

static bool panel(struct block *b, int64_t first, int64_t width)
{
    const struct encoder *e = b->e;
    const struct sae *sae = e->sae;
    struct encode_scratch *s = b->s;
    int64_t d = sae->d_in, before = b->n_hits;
    float error = 2 * kern_dot_error(d);
    signed char *dense = &s->dense[first / ENCODE_PANEL];
    if (*dense < 0) /* the next best guess: as the panel before */
        *dense = first > 0 && dense[-1];
    bool exact = *dense;
    if (exact)
        kern_dots(width, b->n, d, e->W + first * d, d, b->u, d, s->tile, b->n);
    else
        kern_gemm_right(width, e->W + first * d, d, &s->right, s->tile, b->n);
    for (int64_t p = 0; p < width; p++) {
        int64_t j = first + p;
        float *c = s->tile + p * b->n, slack = error * e->norm[j];
        if (sae->act_scale && sae->arch->selects)
            for (int64_t r = 0; r < b->n; r++)
                c[r] *= sae->act_scale[j];
        int64_t found = kern_best()->above(c, s->floor, s->norm, e->level[j], slack, b->n,
                                           s->found);
        if (!sae->arch->selects) {
            if (found && !append_hits(b, j, found, exact ? c : NULL))
                return false;
            continue;
        }
        append_candidates(b, j, found, c, e->level[j], slack, 1);
        if (sae->is_signed && isfinite(e->level[j]))
            append_negative(b, j, c, slack);
    }
    *dense = (double)(b->n_hits - before) > ENCODE_DENSE * (double)(width * b->n);
    return true;
}

/* What a selected feature was ranked by, as its activation. */
static float activation_of(const struct sae *sae, const struct top_entry *entry)
{
    return sae->scale_ranks ? entry->approx / sae->act_scale[entry->feature] : entry->approx;
}

/* What the selection left, sorted by feature, then row (counting sort). */
static bool select_hits(struct block *b)
{
    struct top_list *top = b->s->top;
    int64_t d_sae = b->e->sae->d_sae, total = 0;
    uint32_t *start = top[0].start;
    memset(start, 0, (size_t)(d_sae + 1) * sizeof *start);
    for (int64_t r = 0; r < b->n; r++) {
        top_exact(b->e, &top[r], b->u + r * b->e->sae->d_in);
        total += top[r].n;
        for (int64_t i = 0; i < top[r].n; i++)
            start[top[r].entries[i].feature + 1]++;
    }
    if (total > b->cap)
        return false;
    for (int64_t j = 0; j < d_sae; j++)
        start[j + 1] += start[j];
    for (int64_t r = 0; r < b->n; r++)
        for (int64_t i = 0; i < top[r].n; i++) {
            const struct top_entry *entry = &top[r].entries[i];
            b->hits[start[entry->feature]++] = (struct encode_hit){
                .feature = entry->feature, .row = (uint32_t)r,
                .value = activation_of(b->e->sae, entry)};
        }
    b->n_hits = total;
    return true;
}

bool encoder_block(const struct encoder *e, struct encode_scratch *s, const float *u,
                   int64_t n, struct encode_hit *hits, int64_t cap, int64_t *n_hits)
{
    assert(n <= s->rows);
    struct block b = {.e = e, .s = s, .u = u, .n = n, .hits = hits, .cap = cap};
    for (int64_t r = 0; r < n; r++) {
        s->norm[r] = (float)sqrt(kern_sum_squares(u + r * e->sae->d_in, e->sae->d_in));
        s->floor[r] = 0;
        if (s->top)
            s->top[r].n = 0;
    }
    kern_right_init(&s->right, n, e->sae->d_in, u, e->sae->d_in, s->packed);
    if (e->sae->arch->groups)
        return encode_group_block(e, s, u, n, hits, cap, n_hits);
    for (int64_t first = 0; first < e->sae->d_sae; first += ENCODE_PANEL) {
        int64_t left = e->sae->d_sae - first;
        if (!panel(&b, first, left < ENCODE_PANEL ? left : ENCODE_PANEL))
            return false;
    }
    if (e->sae->arch->selects && !select_hits(&b))
        return false;
    *n_hits = b.n_hits;
    return true;
}
