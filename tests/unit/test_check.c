/* test_check.c - what a look at some of the samples says about a checkpoint. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arrays.h"
#include "model/check.h"

enum { D = 4 };

static struct samples *samples_of(const float *x, int64_t n)
{
    struct array a = {"", DTYPE_F32, 2, {n, D}, x};
    const char *path = write_npy("x.npy", &a);
    struct samples_options o = {.acts = &path, .n_acts = 1};
    struct err err = {0};
    struct samples *s = samples_open(&o, NULL, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

static struct check check_of(const float *x, int64_t n, float *b_dec, int64_t d_out)
{
    struct sae sae = {.d_in = D, .d_out = d_out, .b_dec = b_dec};
    struct samples *s = samples_of(x, n);
    struct check c;
    struct err err = {0};
    if (!check_make(&sae, s, NULL, &c, &err))
        fail_msg("%s", err.msg);
    samples_close(s);
    return c;
}

static void lengths_and_mean_are_those_of_the_tokens(void **state)
{
    static const float x[] = {3, 4, 0, 0, 1, 0, 0, 0, 2, 2, 3, 0, NAN, 0, 0, 0};
    float b_dec[D] = {6, 6, 3, 0}; /* along the mean (2, 2, 1, 0) */
    (void)state;
    struct check c = check_of(x, 4, b_dec, D);
    assert_int_equal(c.tokens, 3);
    assert_int_equal(c.broken, 1);
    assert_true(fabs(c.median_length - sqrt(17)) < 1e-12); /* of 5, 1, sqrt 17 */
    assert_true(fabs(c.mean_length - 3) < 1e-12);
    assert_true(fabs(c.b_dec_length - 9) < 1e-12);
    assert_true(fabs(c.b_dec_cosine - 1) < 1e-12);
}

static void what_cannot_be_said_is_nan_or_0(void **state)
{
    static const float none[] = {INFINITY, 0, 0, 0}, x[] = {1, 0, 0, 0};
    float zero[D] = {0}, other[D] = {1, 0, 0, 0};
    (void)state;
    struct check c = check_of(none, 1, other, D);
    assert_int_equal(c.tokens, 0);
    assert_true(isnan(c.median_length) && isnan(c.mean_length));
    c = check_of(x, 1, zero, D);
    assert_true(c.b_dec_cosine == 0 && c.b_dec_length == 0);
    c = check_of(x, 1, other, D + 1); /* a transcoder's is of another space */
    assert_true(c.b_dec_cosine == 0 && c.b_dec_length == 0);
}

/* Token t is (t, 0, 0, 0): the tokens looked at come from all of the file, evenly. */
static void many_samples_are_looked_at_in_part(void **state)
{
    enum { N = 100000 };
    static float x[N * D];
    float b_dec[D] = {1, 0, 0, 0};
    (void)state;
    for (int t = 0; t < N; t++)
        x[t * D] = (float)t;
    struct check c = check_of(x, N, b_dec, D);
    assert_int_equal(c.tokens, CHECK_TOKENS);
    /* 32 runs of 64 at multiples of N / 32: the mean is off by half a part at most */
    assert_true(fabs(c.mean_length - N / 2.) <= N / 64.);
    assert_true(fabs(c.median_length - N / 2.) <= N / 32.);
    c = check_of(x, CHECK_TOKENS - 1, b_dec, D); /* few enough: all */
    assert_int_equal(c.tokens, CHECK_TOKENS - 1);
    assert_true(fabs(c.mean_length - (CHECK_TOKENS - 2) / 2.) < 1e-9);
}

static bool stop(void *ctx, const char *what, int64_t done, int64_t of)
{
    (void)ctx;
    (void)what;
    (void)done;
    (void)of;
    return false;
}

static void it_can_be_cancelled(void **state)
{
    static const float x[D] = {1};
    float b_dec[D] = {0};
    struct sae sae = {.d_in = D, .d_out = D, .b_dec = b_dec};
    struct samples *s = samples_of(x, 1);
    struct progress progress = {stop, NULL};
    struct check c;
    struct err err = {0};
    (void)state;
    assert_false(check_make(&sae, s, &progress, &c, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    samples_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_mean_are_those_of_the_tokens),
        cmocka_unit_test(what_cannot_be_said_is_nan_or_0),
        cmocka_unit_test(many_samples_are_looked_at_in_part),
        cmocka_unit_test(it_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
