/* reconstruct.c - see reconstruct.h. */
#include "model/reconstruct.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/decode.h"
#include "model/kern.h"

bool reconstructor_init(struct reconstructor *r, const struct sae *sae, int threads,
                        const struct progress *progress, struct err *err)
{
    struct reconstructor made = {0};
    if (!encoder_init(&made.encoder, sae, threads, progress, err))
        return false;
    made.W_dec = encode_rows(&sae->W_dec, threads, "reading W_dec", progress,
                             &made.W_dec_copy, err);
    if (!made.W_dec) {
        encoder_finish(&made.encoder);
        return false;
    }
    *r = made;
    return true;
}

void reconstructor_finish(struct reconstructor *r)
{
    encoder_finish(&r->encoder);
    scratch_finish(&r->W_dec_copy);
    *r = (struct reconstructor){0};
}

/* Hits of one encode: room for some hundreds a token, and for all features of one. */
static int64_t hits_cap(const struct sae *sae)
{
    int64_t some = RECONSTRUCT_ROWS * (int64_t)512;
    return some > sae->d_sae ? some : sae->d_sae;
}

size_t reconstruct_scratch_bytes(const struct reconstructor *r)
{
    const struct sae *sae = r->encoder.sae;
    size_t hit = sizeof(struct encode_hit) + sizeof(uint32_t);
    return encode_scratch_bytes(&r->encoder, RECONSTRUCT_ROWS) +
           (size_t)hits_cap(sae) * hit +
           RECONSTRUCT_ROWS * (size_t)(sae->d_in + 4) * sizeof(float);
}

bool reconstruct_scratch_init(struct reconstruct_scratch *s, const struct reconstructor *r,
                              struct err *err)
{
    const struct sae *sae = r->encoder.sae;
    *s = (struct reconstruct_scratch){.cap = hits_cap(sae)};
    if (!encode_scratch_init(&s->encode, &r->encoder, RECONSTRUCT_ROWS, err))
        return false;
    s->hits = mem_try((size_t)s->cap, sizeof *s->hits, "hits", err);
    s->by_row = s->hits ? mem_try((size_t)s->cap, sizeof *s->by_row, "hits", err) : NULL;
    s->u = s->by_row ? mem_try(RECONSTRUCT_ROWS * (size_t)sae->d_in, sizeof *s->u,
                               "inputs", err)
                     : NULL;
    s->error = xmalloc((size_t)sae->d_in * sizeof *s->error);
    s->scale = xmalloc(RECONSTRUCT_ROWS * sizeof *s->scale);
    s->shift = xmalloc(RECONSTRUCT_ROWS * sizeof *s->shift);
    s->start = xmalloc((RECONSTRUCT_ROWS + 1) * sizeof *s->start);
    if (s->u)
        return true;
    reconstruct_scratch_finish(s);
    return false;
}

void reconstruct_scratch_finish(struct reconstruct_scratch *s)
{
    encode_scratch_finish(&s->encode);
    free(s->u);
    free(s->error);
    free(s->scale);
    free(s->shift);
    free(s->hits);
    free(s->by_row);
    free(s->start);
    *s = (struct reconstruct_scratch){0};
}

/* Index the hits by row, each row's by feature. */
static void sort_by_row(struct reconstruct_scratch *s, int64_t n, int64_t n_hits)
{
    memset(s->start, 0, (size_t)(n + 1) * sizeof *s->start);
    for (int64_t i = 0; i < n_hits; i++)
        s->start[s->hits[i].row + 1]++;
    for (int64_t r = 0; r < n; r++)
        s->start[r + 1] += s->start[r];
    for (int64_t i = 0; i < n_hits; i++)
        s->by_row[s->start[s->hits[i].row]++] = (uint32_t)i;
    for (int64_t r = n; r > 0; r--)
        s->start[r] = s->start[r - 1];
    s->start[0] = 0;
}

/* The wanted ones among the hits of a row, which is `row` to the caller. */
static void keep_hits(const struct reconstructor *r, struct reconstruct_scratch *s,
                      int64_t i, const float *x, const float *y, int64_t row,
                      struct reconstruct_hits *wanted)
{
    const struct sae *sae = r->encoder.sae;
    bool has_error = false;
    for (uint32_t at = s->start[i]; at < s->start[i + 1]; at++) {
        const struct encode_hit *h = &s->hits[s->by_row[at]];
        if (wanted->slot[h->feature] < 0)
            continue;
        for (int64_t k = 0; wanted->norm && k < sae->d_out && !has_error; k++)
            s->error[k] = x[k] - y[k];
        has_error = true;
        array_grow(wanted->hits, wanted->n, wanted->cap);
        wanted->hits[wanted->n++] = (struct reconstruct_hit){
            .slot = wanted->slot[h->feature],
            .row = (int32_t)row,
            .factor = decode_gain(sae, h) * s->scale[i],
            .delta = wanted->norm ? decode_delta(sae, r->W_dec, h, s->scale[i],
                                                 (double)wanted->norm[h->feature], s->error)
                                  : 0,
        };
    }
}

/* At most RECONSTRUCT_ROWS rows; by halves when their hits do not fit. first: what the
 * first of them is to the caller. */
static void few(const struct reconstructor *r, struct reconstruct_scratch *s,
                const float *x, int64_t n, float *y, int64_t *l0, int64_t first,
                struct reconstruct_hits *wanted)
{
    const struct sae *sae = r->encoder.sae;
    int64_t d = sae->d_in, n_hits;
    for (int64_t i = 0; i < n; i++) {
        float *u = s->u + i * d;
        l0[i] = 0;
        if (!kern_all_finite(x + i * d, d) ||
            !sae_input(sae, x + i * d, u, &s->scale[i], &s->shift[i])) {
            l0[i] = -1;
            memset(u, 0, (size_t)d * sizeof *u);
        }
    }
    if (!encoder_block(&r->encoder, &s->encode, s->u, n, s->hits, s->cap, &n_hits)) {
        assert(n > 1);
        int64_t half = n / 2;
        few(r, s, x, half, y, l0, first, wanted);
        few(r, s, x + half * d, n - half, y + half * d, l0 + half, first + half, wanted);
        return;
    }
    sort_by_row(s, n, n_hits);
    for (int64_t i = 0; i < n; i++) {
        int64_t count = s->start[i + 1] - s->start[i];
        if (l0[i] < 0) {
            memcpy(y + i * d, x + i * d, (size_t)d * sizeof *y);
            continue;
        }
        l0[i] = count;
        decode_token(sae, r->W_dec, s->hits, s->by_row + s->start[i], count, s->scale[i],
                     s->shift[i], y + i * d);
        if (wanted)
            keep_hits(r, s, i, x + i * d, y + i * d, first + i, wanted);
    }
}

void reconstruct(const struct reconstructor *r, struct reconstruct_scratch *s,
                 const float *x, int64_t n, float *y, int64_t *l0,
                 struct reconstruct_hits *wanted)
{
    int64_t d = r->encoder.sae->d_in;
    if (wanted)
        wanted->n = 0;
    for (int64_t i = 0; i < n; i += RECONSTRUCT_ROWS) {
        int64_t m = n - i < RECONSTRUCT_ROWS ? n - i : RECONSTRUCT_ROWS;
        few(r, s, x + i * d, m, y + i * d, l0 + i, i, wanted);
    }
}
