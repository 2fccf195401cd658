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

void decode_token(const struct sae *sae, const float *W_dec,
                  const struct encode_hit *hits, const uint32_t *order, int64_t n,
                  float scale, float shift, float *y)
{
    const struct kern *kern = kern_best();
    int64_t d = sae->d_out, i = 0;
    memcpy(y, sae->b_dec, (size_t)d * sizeof *y);
    for (; i + 4 <= n; i += 4) {
        const float *rows[4];
        float gains[4];
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
    if (sae->norm != SAE_NORM_NONE)
        for (int64_t k = 0; k < d; k++)
            y[k] = y[k] * scale + shift;
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

void decode_deltas(const struct sae *sae, const float *W_dec,
                   const struct encode_hit *hits, const uint32_t *order, int64_t n,
                   float scale, const float *norms, const float *e, float *delta)
{
    int64_t d = sae->d_out, i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *rows[4];
        float ew[4];
        for (int l = 0; l < 4; l++)
            rows[l] = W_dec + (int64_t)hits[order[i + l]].feature * d;
        kern_best()->dot4(ew, rows, e, d);
        for (int l = 0; l < 4; l++) {
            const struct encode_hit *h = &hits[order[i + l]];
            delta[order[i + l]] = delta_of(decode_gain(sae, h), scale,
                                           (double)norms[h->feature], ew[l]);
        }
    }
    for (; i < n; i++) {
        const struct encode_hit *h = &hits[order[i]];
        delta[order[i]] =
            decode_delta(sae, W_dec, h, scale, (double)norms[h->feature], e);
    }
}
