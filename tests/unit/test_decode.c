/*
 * test_decode.c - blocks of tokens against token after token: the same bits, however
 * many features fire, and so whichever way a panel of them is taken.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/mem.h"
#include "model/decode.h"
#include "model/encode.h"
#include "arrays.h"

#define D    75
#define F    (5 * ENCODE_PANEL + 31)
#define ROWS 90

static float W_enc[D * F], W_dec[F * D], b_enc[F], b_dec[D], u[ROWS * D], norms[F];

/* How often the features of a panel fire: all ways to take it, side by side. */
static const double share[] = {0.001, 0.3, 0.05, 0.9, 0.001, 0};

static struct sae *sae;

static int setup(void **state)
{
    (void)state;
    static float spread[ROWS];
    fill_random(W_enc, D * F, 1);
    fill_random(W_dec, F * D, 2);
    fill_random(b_dec, D, 3);
    fill_random(u, ROWS * D, 4);
    fill_random(spread, ROWS, 5);
    for (int i = 0; i < ROWS * D; i++) /* no longer exact: an order of additions shows */
        u[i] *= 0.7357f + 0.1f * fabsf(spread[i / D]);
    for (int j = 0; j < F; j++) {
        double norm = sqrt(kern_sum_squares(W_dec + j * D, D));
        norms[j] = (float)norm;
        /* Pre-activations are nearly normal, with about this deviation. */
        double p = share[j / ENCODE_PANEL], deviation = 0.92 * norm;
        double bias = p > 0.5 ? 1.3 : p > 0.2 ? -0.5 : p > 0.01 ? -1.6 : -3.1;
        b_enc[j] = (float)(p == 0 ? -1e6 : bias * deviation);
    }
    const struct array arrays[] = {{"W_enc", DTYPE_F32, 2, {D, F}, W_enc},
                                   {"W_dec", DTYPE_F32, 2, {F, D}, W_dec},
                                   {"b_enc", DTYPE_F32, 1, {F}, b_enc},
                                   {"b_dec", DTYPE_F32, 1, {D}, b_dec}};
    const char *dir = make_dir("sae");
    write_safetensors("sae/sae_weights.safetensors", arrays, 4);
    write_text("sae/cfg.json", "{\"architecture\": \"standard\"}");
    struct err err = {0};
    sae = sae_open(dir, NULL, NULL, &err);
    return sae ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sae_close(sae);
    return 0;
}

/* Hits of the first n rows, every panel taken as `dense` says. */
static int64_t encode(int64_t n, signed char dense, struct encode_hit *hits)
{
    struct encoder e;
    struct encode_scratch s;
    struct err err = {0};
    int64_t n_hits;
    assert_true(encoder_init(&e, sae, 1, NULL, &err));
    assert_true(encode_scratch_init(&s, &e, ROWS, &err));
    memset(s.dense, dense, (F + ENCODE_PANEL - 1) / ENCODE_PANEL);
    assert_true(encoder_block(&e, &s, u, n, hits, ROWS * F, &n_hits));
    for (int p = 0; p < 5 && n == ROWS; p++) /* what it has learned for the next block */
        assert_int_equal(s.dense[p], share[p] > ENCODE_DENSE);
    encode_scratch_finish(&s);
    encoder_finish(&e);
    return n_hits;
}

static void both_ways_to_encode_give_the_same_hits(void **state)
{
    (void)state;
    struct encode_hit *want = xmalloc(ROWS * F * sizeof *want);
    struct encode_hit *got = xmalloc(ROWS * F * sizeof *got);
    int64_t n = encode(ROWS, 0, want);
    assert_true(n > ROWS * F / 6 && n < ROWS * F / 2);
    for (int dense = -1; dense < 2; dense++) {
        assert_int_equal(encode(ROWS, (signed char)dense, got), n);
        assert_memory_equal(got, want, (size_t)n * sizeof *got);
    }
    free(want);
    free(got);
}

/* Against the hits one by one; scales and shifts differ from row to row. */
static void check_block(const struct encode_hit *hits, int64_t n_hits, int64_t n)
{
    static float y[ROWS * D], want[D], tile[ENCODE_PANEL * ROWS], scale[ROWS], shift[ROWS];
    static uint32_t start[ROWS + 1];
    uint32_t *order = xmalloc((size_t)n_hits * sizeof *order + 1);
    float *delta = xmalloc((size_t)n_hits * sizeof *delta + 1);
    const struct decoder d = {.sae = sae, .W_dec = W_dec, .norms = norms, .tile = tile,
                              .order = order, .start = start};
    for (int64_t r = 0; r < n; r++) {
        scale[r] = 1 + 0.01f * (float)r;
        shift[r] = -0.3f * (float)r;
    }
    decode_block(&d, hits, n_hits, scale, shift, n, y);
    decode_block_deltas(&d, hits, n_hits, scale, n, y, delta);
    for (int64_t r = 0; r < n; r++) {
        uint32_t mine[F];
        int64_t count = 0;
        for (int64_t i = 0; i < n_hits; i++)
            if (hits[i].row == r)
                mine[count++] = (uint32_t)i;
        decode_token(sae, W_dec, hits, mine, count, scale[r], shift[r], want);
        assert_memory_equal(y + r * D, want, sizeof want);
        for (int64_t i = 0; i < count; i++) {
            const struct encode_hit *h = &hits[mine[i]];
            float one = decode_delta(sae, W_dec, h, scale[r], (double)norms[h->feature], want);
            assert_memory_equal(&delta[mine[i]], &one, sizeof one);
        }
    }
    free(order);
    free(delta);
}

static void a_block_is_its_tokens(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 2, 37, ROWS};
    struct encode_hit *hits = xmalloc(ROWS * F * sizeof *hits);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_block(hits, encode(rows[i], 0, hits), rows[i]);
    check_block(hits, 0, ROWS);
    free(hits);
}

static void normalised_inputs_are_scaled_back(void **state)
{
    (void)state;
    struct encode_hit *hits = xmalloc(ROWS * F * sizeof *hits);
    int64_t n_hits = encode(ROWS, 0, hits);
    sae->norm = SAE_NORM_LAYER;
    check_block(hits, n_hits, ROWS);
    sae->norm = SAE_NORM_NONE;
    free(hits);
}

/* A row that is not finite and never fires leaves no trace. */
static void broken_rows_are_not_touched(void **state)
{
    (void)state;
    const int j = 3 * ENCODE_PANEL + 5; /* of a panel that is taken as a product */
    struct encode_hit *hits = xmalloc(ROWS * F * sizeof *hits);
    int64_t n_hits = encode(ROWS, 0, hits), kept = 0;
    float norm = norms[j], weight = W_dec[j * D];
    for (int64_t i = 0; i < n_hits; i++)
        if (hits[i].feature != j)
            hits[kept++] = hits[i];
    assert_true(kept < n_hits);
    W_dec[j * D] = norms[j] = NAN;
    check_block(hits, kept, ROWS);
    W_dec[j * D] = weight;
    norms[j] = norm;
    free(hits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_to_encode_give_the_same_hits),
        cmocka_unit_test(a_block_is_its_tokens),
        cmocka_unit_test(normalised_inputs_are_scaled_back),
        cmocka_unit_test(broken_rows_are_not_touched),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
