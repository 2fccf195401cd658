/* decode.c - see decode.h. */
#include "model/decode.h"

#include <string.h>

#include "model/kern.h"

float decode_gain(const struct sae *sae, const struct encode_hit *h)
{
    return sae->out_scale ? h->value * sae->out_scale[h->feature] : h->value;
}

/* Rows lie far apart in memory: ask for the next ones while these are used. */
static void prefetch_rows(const float *W_dec, const struct encode_hit *hits,
                          const uint32_t *order, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n && i < 4; i++) {
        const float *row = W_dec + (int64_t)hits[order[i]].feature * d;
        for (int64_t k = 0; k < d; k += 16)
            __builtin_prefetch(row + k);
    }
}

/* y += the contributions of hits[order[0..n)], before scale. far: their rows are hardly in
 * the cache. */
static void add_hits(const struct sae *sae, const float *W_dec,
                     const struct encode_hit *hits, const uint32_t *order, int64_t n,
                     bool far, float *y)
{
    const struct kern *kern = kern_best();
    int64_t d = sae->d_out, i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *rows[4];
        float gains[4];
        if (far)
            prefetch_rows(W_dec, hits, order + i + 4, n - i - 4, d);
        for (int l = 0; l < 4; l++) {
            const struct encode_hit *h = &hits[order[i + l]];
            rows[l] = W_dec + (int64_t)h->feature * d;
            gains[l] = decode_gain(sae, h);
        }
        kern->axpy4(y, gains, rows, d);
    }
    for (; i < n; i++) {
        const struct encode_hit *h = &hits[order[i]];
        kern->axpy(y, decode_gain(sae, h), W_dec + (int64_t)h->feature * d, d);
    }
}

static void undo_norm(const struct sae *sae, float scale, float shift, float *y)
{
    if (sae->norm != SAE_NORM_NONE)
        for (int64_t k = 0; k < sae->d_out; k++)
            y[k] = y[k] * scale + shift;
}

void decode_token(const struct sae *sae, const float *W_dec,
                  const struct encode_hit *hits, const uint32_t *order, int64_t n,
                  float scale, float shift, float *y)
{
    memcpy(y, sae->b_dec, (size_t)sae->d_out * sizeof *y);
    add_hits(sae, W_dec, hits, order, n, true, y);
    undo_norm(sae, scale, shift, y);
}

void decode_skip(const struct sae *sae, const float *W_skip, const float *x, float *y)
{
    for (int64_t k = 0; k < sae->d_out; k++)
        y[k] += kern_best()->dot(x, W_skip + k * sae->d_in, sae->d_in);
}

/* ew: the decoder row . e */
static float delta_of(float gain, float scale, double norm, float ew)
{
    double g = (double)(gain * scale);
    return (float)(2 * g * (double)ew + g * g * norm * norm);
}

float decode_delta(const struct sae *sae, const float *W_dec, const struct encode_hit *h,
                   float scale, double norm, const float *e)
{
    int64_t d = sae->d_out;
    float ew = kern_best()->dot(e, W_dec + (int64_t)h->feature * d, d);
    return delta_of(decode_gain(sae, h), scale, norm, ew);
}

/* The same of hits[order[0..n)], all of one token, into delta[order[...]]. */
static void deltas(const struct decoder *d, const struct encode_hit *hits,
                   const uint32_t *order, int64_t n, float scale, const float *e,
                   float *delta)
{
    int64_t d_out = d->sae->d_out, i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *rows[4];
        float ew[4];
        for (int l = 0; l < 4; l++)
            rows[l] = d->W_dec + (int64_t)hits[order[i + l]].feature * d_out;
        kern_best()->dot4(ew, rows, e, d_out);
        for (int l = 0; l < 4; l++) {
            const struct encode_hit *h = &hits[order[i + l]];
            delta[order[i + l]] = delta_of(decode_gain(d->sae, h), scale,
                                           (double)d->norms[h->feature], ew[l]);
        }
    }
    for (; i < n; i++) {
        const struct encode_hit *h = &hits[order[i]];
        delta[order[i]] =
            decode_delta(d->sae, d->W_dec, h, scale, (double)d->norms[h->feature], e);
    }
}

/* ---- blocks of tokens ------------------------------------------------------------- */

/* Of a panel's activations that are not 0: from here on its rows of W_dec are used again
 * while they are in the cache, so it is taken by itself; from here on all of them, zeros
 * too, cost less as a product. Measured with tests/bench. */
#define RANGE_ALONE 0.02
#define RANGE_DENSE 0.25

/* Features [first, end) of the block, and their hits. */
struct range {
    int64_t first, end;
    int64_t hit, end_hit;
    bool dense, far;
};

/* The first of hits [from, n) whose feature is not below j. */
static int64_t first_hit(const struct encode_hit *hits, int64_t from, int64_t n, int64_t j)
{
    while (from < n) {
        int64_t middle = from + (n - from) / 2;
        if ((int64_t)hits[middle].feature < j)
            from = middle + 1;
        else
            n = middle;
    }
    return from;
}

/* Zeros in a product must not meet what is not finite. */
static bool is_finite(const struct decoder *d, const struct range *r)
{
    return kern_all_finite(d->norms + r->first, r->end - r->first);
}

/* The range after r (at first: all zero): a panel, or several in which little fires. */
static bool next_range(const struct decoder *d, const struct encode_hit *hits,
                       int64_t n_hits, int64_t n, struct range *r)
{
    int64_t d_sae = d->sae->d_sae;
    *r = (struct range){.first = r->end, .end = r->end, .hit = r->end_hit,
                        .end_hit = r->end_hit, .far = true};
    while (r->end < d_sae) {
        int64_t end = r->end + ENCODE_PANEL < d_sae ? r->end + ENCODE_PANEL : d_sae;
        int64_t end_hit = first_hit(hits, r->end_hit, n_hits, end);
        double share = (double)(end_hit - r->end_hit) / (double)((end - r->end) * n);
        bool alone = share >= RANGE_ALONE;
        if (alone && r->end > r->first)
            break;
        r->end = end;
        r->end_hit = end_hit;
        r->far = !alone;
        r->dense = share >= RANGE_DENSE && is_finite(d, r);
        if (alone)
            break;
    }
    return r->end > r->first;
}

/* The range's hits by row, each row's by feature, into order. */
static void sort_by_row(const struct decoder *d, const struct encode_hit *hits,
                        const struct range *r, int64_t n)
{
    uint32_t *start = d->start;
    memset(start, 0, (size_t)(n + 1) * sizeof *start);
    for (int64_t i = r->hit; i < r->end_hit; i++)
        start[hits[i].row + 1]++;
    for (int64_t row = 0; row < n; row++)
        start[row + 1] += start[row];
    for (int64_t i = r->hit; i < r->end_hit; i++)
        d->order[start[hits[i].row]++] = (uint32_t)i;
    for (int64_t row = n; row > 0; row--)
        start[row] = start[row - 1];
    start[0] = 0;
}

/* y += the range's part, as a product. */
static void add_dense(const struct decoder *d, const struct encode_hit *hits,
                      const struct range *r, int64_t n, float *y)
{
    int64_t d_out = d->sae->d_out, width = r->end - r->first;
    memset(d->tile, 0, (size_t)(width * n) * sizeof *d->tile);
    for (int64_t i = r->hit; i < r->end_hit; i++)
        d->tile[((int64_t)hits[i].feature - r->first) * n + hits[i].row] =
            decode_gain(d->sae, &hits[i]);
    kern_gemm_tn(n, d_out, width, d->tile, n, d->W_dec + r->first * d_out, d_out, y, d_out);
}

void decode_block(const struct decoder *d, const struct encode_hit *hits, int64_t n_hits,
                  const float *scale, const float *shift, int64_t n, float *y)
{
    int64_t d_out = d->sae->d_out;
    for (int64_t row = 0; row < n; row++)
        memcpy(y + row * d_out, d->sae->b_dec, (size_t)d_out * sizeof *y);
    for (struct range r = {0}; next_range(d, hits, n_hits, n, &r);) {
        if (r.dense && kern_gemm_is_axpy()) {
            add_dense(d, hits, &r, n, y);
            continue;
        }
        sort_by_row(d, hits, &r, n);
        for (int64_t row = 0; row < n; row++)
            add_hits(d->sae, d->W_dec, hits, d->order + d->start[row],
                     d->start[row + 1] - d->start[row], r.far, y + row * d_out);
    }
    for (int64_t row = 0; row < n; row++)
        undo_norm(d->sae, scale[row], shift[row], y + row * d_out);
}

/* The range's, by way of all its products with the errors. */
static void deltas_dense(const struct decoder *d, const struct encode_hit *hits,
                         const struct range *r, const float *scale, int64_t n,
                         const float *e, float *delta)
{
    int64_t d_out = d->sae->d_out;
    kern_dots(r->end - r->first, n, d_out, d->W_dec + r->first * d_out, d_out, e, d_out,
              d->tile, n);
    for (int64_t i = r->hit; i < r->end_hit; i++) {
        const struct encode_hit *h = &hits[i];
        delta[i] = delta_of(decode_gain(d->sae, h), scale[h->row],
                            (double)d->norms[h->feature],
                            d->tile[((int64_t)h->feature - r->first) * n + h->row]);
    }
}

void decode_block_deltas(const struct decoder *d, const struct encode_hit *hits,
                         int64_t n_hits, const float *scale, int64_t n, const float *e,
                         float *delta)
{
    for (struct range r = {0}; next_range(d, hits, n_hits, n, &r);) {
        if (r.dense) {
            deltas_dense(d, hits, &r, scale, n, e, delta);
            continue;
        }
        sort_by_row(d, hits, &r, n);
        for (int64_t row = 0; row < n; row++)
            deltas(d, hits, d->order + d->start[row], d->start[row + 1] - d->start[row],
                   scale[row], e + row * d->sae->d_out, delta);
    }
}
