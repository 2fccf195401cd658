/* test_samples.c - shapes, shards, limits and reading of activation samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/samples.h"
#include "arrays.h"

static float counting[4096]; /* 0, 1, 2, ... */

static const char *npy(const char *name, enum dtype dtype, int ndim, int64_t a, int64_t b,
                       int64_t c, int64_t d)
{
    struct array array = {"", dtype, ndim, {a, b, c, d}, counting};
    return write_npy(name, &array);
}

static struct samples *open_words(const char *const *acts, int n_acts, const char *tokens,
                                  int64_t seq_len, struct err *err)
{
    struct samples_options o = {
        .acts = acts, .n_acts = n_acts, .tokens = tokens, .seq_len = seq_len};
    return samples_open(&o, NULL, err);
}

struct shape_case {
    int ndim;
    int64_t acts[4];
    int tokens_ndim; /* 0: none */
    int64_t tokens[2];
    int64_t seq_len; /* option */
    int64_t n_seq, want_len, d_in;
    const char *error;
};

static void shapes_are_understood_or_refused(void **state)
{
    (void)state;
    static const struct shape_case cases[] = {
        {3, {2, 3, 4},     0, {0},    0, 2, 3, 4, NULL},
        {2, {6, 4},        0, {0},    0, 1, 6, 4, NULL},
        {2, {6, 4},        0, {0},    3, 2, 3, 4, NULL},
        {2, {6, 4},        2, {3, 2}, 0, 3, 2, 4, NULL},
        {2, {6, 4},        1, {6},    0, 1, 6, 4, NULL},
        {2, {6, 4},        1, {6},    2, 3, 2, 4, NULL},
        {3, {2, 3, 4},     1, {6},    0, 2, 3, 4, NULL},
        {3, {2, 3, 4},     2, {2, 3}, 3, 2, 3, 4, NULL},
        {4, {2, 3, 2, 2},  0, {0},    0, 2, 3, 4, NULL},
        {2, {6, 4},        0, {0},    4, 0, 0, 0,
         "a.npy: does not cut into sequences (found 6 tokens, expected a multiple of --seq-len 4)"},
        {3, {2, 3, 4},     0, {0},    2, 0, 0, 0,
         "a.npy: sequences of another length (found [2, 3, 4], expected --seq-len 2)"},
        {2, {6, 4},        2, {3, 2}, 3, 0, 0, 0,
         "t.npy: sequences of another length (found [3, 2], expected --seq-len 3)"},
        {3, {2, 3, 4},     2, {3, 2}, 0, 0, 0, 0,
         "t.npy: token ids do not fit the samples in A (found [3, 2] and [2, 3, 4], expected an id for every sample)"},
        {2, {6, 4},        2, {2, 2}, 0, 0, 0, 0,
         "t.npy: token ids do not fit the samples in A (found [2, 2] and [6, 4], expected an id for every sample)"},
        {3, {2, 3, 4},     1, {5},    0, 0, 0, 0,
         "t.npy: token ids do not fit the samples in A (found [5] and [2, 3, 4], expected an id for every sample)"},
        {1, {6},           0, {0},    0, 0, 0, 0,
         "a.npy: not an array of that kind (found float32 [6], expected floating "
         "point [n_seq, seq_len, d_in] or "
         "[n_tok, d_in])"},
        {3, {0, 3, 4},     0, {0},    0, 0, 0, 0,
         "a.npy: no samples (found [0, 3, 4], expected 1 token or more of 1 to 1048576 values)"},
        {2, {6, 0},        0, {0},    0, 0, 0, 0,
         "a.npy: no samples (found [6, 0], expected 1 token or more of 1 to 1048576 values)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct shape_case *c = &cases[i];
        const char *a = npy("a.npy", DTYPE_F32, c->ndim, c->acts[0], c->acts[1], c->acts[2],
                            c->acts[3]);
        const char *t = c->tokens_ndim ? npy("t.npy", DTYPE_I32, c->tokens_ndim,
                                             c->tokens[0], c->tokens[1], 0, 0)
                                       : NULL;
        struct err err = {0};
        struct samples *s = open_words(&a, 1, t, c->seq_len, &err);
        if (c->error) {
            char want[512], *at = want;
            at += snprintf(want, sizeof want, "%s/", test_dir());
            const char *split = strstr(c->error, " in A ");
            if (split)
                snprintf(at, 400, "%.*s in %s%s", (int)(split - c->error), c->error, a,
                         split + 5);
            else
                snprintf(at, 400, "%s", c->error);
            assert_null(s);
            assert_string_equal(err.msg, want);
            continue;
        }
        if (!s)
            fail_msg("case %zu: %s", i, err.msg);
        assert_int_equal(s->n_seq, c->n_seq);
        assert_int_equal(s->seq_len, c->want_len);
        assert_int_equal(s->d_in, c->d_in);
        assert_int_equal(s->n_tok, c->n_seq * c->want_len);
        samples_close(s);
    }
}

/* Every dtype and a Fortran-order array give the same numbers, block by block. */
static void values_do_not_depend_on_how_they_are_stored(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F64, DTYPE_F16, DTYPE_BF16};
    static float v[7 * 5 * 3], out[7 * 5 * 3];
    fill_random(v, 7 * 5 * 3, 1);
    for (size_t i = 0; i < 4; i++) {
        struct array array = {"acts", dtypes[i], 3, {7, 5, 3}, v};
        const char *paths[] = {write_npy("a.npy", &array),
                               write_safetensors("a.safetensors", &array, 1)};
        for (int p = 0; p < 2; p++) {
            struct samples *s = open_words(&paths[p], 1, NULL, 0, NULL);
            assert_non_null(s);
            assert_int_equal(s->dtype, dtypes[i]);
            for (int64_t t = 0; t < 35; t += 4) {
                int64_t n = 35 - t < 4 ? 35 - t : 4;
                memset(out, 0, sizeof out);
                assert_true(samples_read(s, t, n, out, NULL));
                assert_memory_equal(out, v + t * 3, (size_t)(n * 3) * sizeof *v);
            }
            samples_close(s);
        }
    }
}

/* The same values as '>f4' in column-major order, header written by hand. */
static void big_endian_fortran_order_is_read(void **state)
{
    (void)state;
    static const char header[] =
        "{'descr': '>f4', 'fortran_order': True, 'shape': (4, 3), }\n";
    struct bytes b = {0};
    put_text(&b, "\x93NUMPY\x01");
    put_zeros(&b, 1);
    put_le(&b, sizeof header - 1, 2);
    put_text(&b, header);
    for (int c = 0; c < 3; c++)
        for (int r = 0; r < 4; r++) {
            float v = (float)(r * 3 + c);
            unsigned char raw[4];
            memcpy(raw, &v, 4);
            for (int k = 3; k >= 0; k--)
                put(&b, raw + k, 1);
        }
    const char *path = write_bytes("f.npy", b.p, b.n);
    bytes_free(&b);
    struct samples *s = open_words(&path, 1, NULL, 2, NULL);
    assert_non_null(s);
    float out[9];
    assert_true(samples_read(s, 1, 3, out, NULL));
    assert_memory_equal(out, counting + 3, sizeof out);
    samples_close(s);
}

static void shards_follow_each_other(void **state)
{
    (void)state;
    char pattern[300];
    struct array a = {"", DTYPE_F32, 2, {2, 3}, counting};
    struct array b = {"", DTYPE_F64, 2, {1, 3}, counting + 6};
    struct array c = {"", DTYPE_F16, 2, {3, 3}, counting + 9};
    write_npy("s-00.npy", &a);
    write_npy("s-01.npy", &b);
    const char *last = write_npy("s-02.npy", &c);
    snprintf(pattern, sizeof pattern, "%s/s-*.npy", test_dir());
    const char *glob = pattern;
    struct samples *s = open_words(&glob, 1, NULL, 0, NULL);
    assert_non_null(s);
    assert_int_equal(s->n_shards, 3);
    assert_int_equal(s->n_tok, 6);
    float out[18];
    for (int64_t first = 0; first < 6; first++)
        for (int64_t n = 0; first + n <= 6; n++) {
            assert_true(samples_read(s, first, n, out, NULL));
            assert_memory_equal(out, counting + first * 3, (size_t)(n * 3) * sizeof *out);
        }
    samples_close(s);

    const char *both[] = {last, npy("odd.npy", DTYPE_F32, 2, 2, 4, 0, 0)};
    struct err err = {0};
    char want[600];
    assert_null(open_words(both, 2, NULL, 0, &err));
    snprintf(want, sizeof want,
             "%s: another form than %s (found [2, 4] and [3, 3], expected shards of one form)",
             both[1], both[0]);
    assert_string_equal(err.msg, want);
    assert_int_equal(err.code, ERR_SHAPE);

    const char *lengths[] = {npy("l3.npy", DTYPE_F32, 3, 2, 3, 4, 0),
                             npy("l2.npy", DTYPE_F32, 3, 2, 2, 4, 0)};
    assert_null(open_words(lengths, 2, NULL, 0, &err));
    assert_int_equal(err.code, ERR_SHAPE);
}

static void keys_pick_arrays_and_literal_names_win(void **state)
{
    (void)state;
    float tokens[] = {3, 1, 2};
    struct array arrays[] = {{"a", DTYPE_F32, 2, {3, 2}, counting},
                             {"b", DTYPE_F32, 2, {3, 2}, counting + 1},
                             {"ids", DTYPE_U16, 1, {3}, tokens}};
    const char *path = write_safetensors("k.safetensors", arrays, 3);
    char word[300], ids_word[300];
    snprintf(word, sizeof word, "%s:b", path);
    snprintf(ids_word, sizeof ids_word, "%s:ids", path);
    const char *acts = word;
    struct samples *s = open_words(&acts, 1, path, 0, NULL);
    assert_non_null(s); /* the tokens are the only integers in the file */
    float out[6];
    assert_true(samples_read(s, 0, 3, out, NULL));
    assert_true(out[0] == 1 && out[5] == 6);
    int64_t ids[3];
    samples_ids(s, 0, 3, ids);
    assert_true(ids[0] == 3 && ids[1] == 1 && ids[2] == 2);
    samples_close(s);

    struct err err = {0};
    assert_null(open_words(&path, 1, NULL, 0, &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_non_null(strstr(err.msg, "a, b, ids"));
    snprintf(word, sizeof word, "%s:c", path);
    assert_null(open_words(&acts, 1, NULL, 0, &err));
    assert_non_null(strstr(err.msg, "there is no array 'c'"));

    acts = npy("k.safetensors:a", DTYPE_F32, 2, 5, 2, 0, 0); /* a file of that name */
    s = open_words(&acts, 1, NULL, 0, NULL);
    assert_non_null(s);
    assert_int_equal(s->n_tok, 5);
    samples_close(s);
    acts = "/nowhere/x-*.npy";
    assert_null(open_words(&acts, 1, NULL, 0, &err));
    assert_int_equal(err.code, ERR_MISSING);
}

static void limits_take_the_smaller(void **state)
{
    (void)state;
    static const struct {
        int64_t sequences, tokens, n_seq, n_tok;
    } cases[] = {
        {0, 0, 4, 12}, {2, 0, 2, 6},  {9, 0, 4, 12}, {0, 5, 2, 5},
        {1, 5, 1, 3},  {3, 4, 2, 4},  {0, 99, 4, 12},
    };
    const char *path = npy("a.npy", DTYPE_F32, 3, 4, 3, 2, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct samples_options o = {.acts = &path, .n_acts = 1,
                                    .sequences = cases[i].sequences,
                                    .tokens_limit = cases[i].tokens};
        struct samples *s = samples_open(&o, NULL, NULL);
        assert_non_null(s);
        assert_int_equal(s->n_seq, cases[i].n_seq);
        assert_int_equal(s->n_tok, cases[i].n_tok);
        assert_int_equal(s->n_tok_stored, 12);
        assert_int_equal(samples_sequence(s, 7), 2);
        assert_int_equal(samples_position(s, 7), 1);
        samples_close(s);
    }
}

static void tokens_alone_and_of_every_integer_dtype(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_I8,  DTYPE_U8,  DTYPE_I16, DTYPE_U16,
                                        DTYPE_I32, DTYPE_U32, DTYPE_I64, DTYPE_U64};
    for (size_t i = 0; i < 8; i++) {
        const char *path = npy("t.npy", dtypes[i], 2, 3, 4, 0, 0);
        struct samples *s = open_words(NULL, 0, path, 0, NULL);
        assert_non_null(s);
        assert_int_equal(s->n_seq, 3);
        assert_int_equal(s->seq_len, 4);
        assert_int_equal(s->d_in, 0);
        int64_t ids[5];
        samples_ids(s, 7, 5, ids);
        for (int k = 0; k < 5; k++)
            assert_int_equal(ids[k], 7 + k);
        samples_close(s);
    }
    struct err err = {0};
    assert_null(open_words(NULL, 0, npy("t.npy", DTYPE_F32, 2, 3, 4, 0, 0), 0, &err));
    assert_int_equal(err.code, ERR_SHAPE);
    assert_null(open_words(NULL, 0, NULL, 0, &err));
    assert_int_equal(err.code, ERR_MISSING);
}

static void negative_ids_are_refused_where_they_are_used(void **state)
{
    (void)state;
    float v[12] = {0};
    v[7] = -5;
    struct array array = {"", DTYPE_I32, 2, {4, 3}, v};
    const char *path = write_npy("t.npy", &array);
    struct err err = {0};
    assert_null(open_words(NULL, 0, path, 0, &err));
    assert_int_equal(err.code, ERR_RANGE);
    assert_non_null(strstr(err.msg, "t.npy: bad token id in sequence 2 at position 1 (found -5"));
    struct samples_options o = {.tokens = path, .sequences = 2};
    struct samples *s = samples_open(&o, NULL, NULL);
    assert_non_null(s);
    samples_close(s);
}

static void a_file_that_shrinks_is_one_clear_error(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16};
    for (size_t i = 0; i < 2; i++) {
        const char *path = npy("shrink.npy", dtypes[i], 2, 100, 8, 0, 0);
        struct samples *s = open_words(&path, 1, NULL, 0, NULL);
        assert_non_null(s);
        assert_int_equal(truncate(path, 400), 0);
        float out[100 * 8];
        struct err err = {0};
        char want[300];
        assert_false(samples_read(s, 0, 100, out, &err));
        snprintf(want, sizeof want, "%s: changed or truncated while open (found another "
                 "size, time or end, expected the file as it was opened)", path);
        assert_string_equal(err.msg, want);
        samples_close(s);
    }
}

int main(void)
{
    for (int i = 0; i < 4096; i++)
        counting[i] = (float)i;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_understood_or_refused),
        cmocka_unit_test(values_do_not_depend_on_how_they_are_stored),
        cmocka_unit_test(big_endian_fortran_order_is_read),
        cmocka_unit_test(shards_follow_each_other),
        cmocka_unit_test(keys_pick_arrays_and_literal_names_win),
        cmocka_unit_test(limits_take_the_smaller),
        cmocka_unit_test(tokens_alone_and_of_every_integer_dtype),
        cmocka_unit_test(negative_ids_are_refused_where_they_are_used),
        cmocka_unit_test(a_file_that_shrinks_is_one_clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
