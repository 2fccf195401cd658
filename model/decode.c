/* decode.c - see decode.h. */
#include "model/decode.h"

#include <string.h>

#include "model/kern.h"

float decode_gain(const struct sae *sae, const struct encode_hit *h)
{
    return sae->out_scale ? h->value * sae->out_scale[h->feature] : h->value;
}

/* Rows lie far apart in memory: ask for the next one while this one is used. */
static inline void prefetch_row(const float *row, int64_t d)
{
    for (int64_t k = 0; k < d; k += 16)
        __builtin_prefetch(row + k);
}

void decode_token(const struct sae *sae, const float *W_dec,
                  const struct encode_hit *hits, const uint32_t *order, int64_t n,
                  float scale, float shift, float *y)
{
    const struct kern *kern = kern_best();
    int64_t d = sae->d_out;
    memcpy(y, sae->b_dec, (size_t)d * sizeof *y);
    for (int64_t i = 0; i < n; i++) {
        const struct encode_hit *h = &hits[order[i]];
        if (i + 1 < n)
            prefetch_row(W_dec + (int64_t)hits[order[i + 1]].feature * d, d);
        kern->axpy(y, decode_gain(sae, h), W_dec + (int64_t)h->feature * d, d);
    }
    if (sae->norm != SAE_NORM_NONE)
        for (int64_t k = 0; k < d; k++)
            y[k] = y[k] * scale + shift;
}

float decode_delta(const struct sae *sae, const float *W_dec, const struct encode_hit *h,
                   float scale, double norm, const float *e)
{
    int64_t d = sae->d_out;
    double g = (double)(decode_gain(sae, h) * scale);
    double ew = (double)kern_best()->dot(e, W_dec + (int64_t)h->feature * d, d);
    return (float)(2 * g * ew + g * g * norm * norm);
}
