/* test_npy.c - headers as numpy writes them and as it does not; damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/npy.h"
#include "files.h"

/* A whole file: header text as given, then n zero bytes of data. */
static struct bytes file_of(int version, const char *text, size_t n)
{
    struct bytes b = {0};
    put(&b, "\x93NUMPY", 6);
    put_le(&b, (uint64_t)version, 2);
    put_le(&b, strlen(text), version == 1 ? 2 : 4);
    put_text(&b, text);
    put_zeros(&b, n);
    return b;
}

static bool parse(int version, const char *text, size_t n, struct npy *npy, struct err *err)
{
    struct bytes b = file_of(version, text, n);
    bool ok = npy_parse(b.p, b.n, (int64_t)b.n, npy, err);
    bytes_free(&b);
    return ok;
}

static void good_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum dtype dtype;
        bool swapped, fortran;
        int ndim;
        int64_t shape[3];
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n", DTYPE_F32, 0, 0, 2, {3, 4}},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }\n", DTYPE_F32, 0, 1, 2, {3, 4}},
        {"{'descr': '>f8', 'fortran_order': False, 'shape': (5,), }\n", DTYPE_F64, 1, 0, 1, {5}},
        {"{'shape':(5,),'fortran_order':False,'descr':'<f2'}", DTYPE_F16, 0, 0, 1, {5}},
        {"{\"descr\": \"<V2\", \"shape\": (2,2,2), \"fortran_order\": False}", DTYPE_BF16, 0, 0, 3, {2, 2, 2}},
        {"{'descr': '|V2', 'fortran_order': False, 'shape': (1L, 2L)}", DTYPE_BF16, 0, 0, 2, {1, 2}},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': ()}", DTYPE_I64, 0, 0, 0, {0}},
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (0, 7)}", DTYPE_BOOL, 0, 0, 2, {0, 7}},
        {"{'descr': '?', 'fortran_order': False, 'shape': (7,)}", DTYPE_BOOL, 0, 0, 1, {7}},
        {"{'descr': '|i1', 'fortran_order': False, 'shape': (2,)}", DTYPE_I8, 0, 0, 1, {2}},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}", DTYPE_U8, 0, 0, 1, {2}},
        {"{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}", DTYPE_I16, 1, 0, 1, {2}},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (2,)}", DTYPE_U16, 0, 0, 1, {2}},
        {"{'descr': '=i4', 'fortran_order': False, 'shape': (2,)}", DTYPE_I32, 0, 0, 1, {2}},
        {"{'descr': '<u4', 'fortran_order': False, 'shape': (2,)}", DTYPE_U32, 0, 0, 1, {2}},
        {"{'descr': '>u8', 'fortran_order': False, 'shape': (2,)}", DTYPE_U64, 1, 0, 1, {2}},
        {" { 'descr' : '<f4' ,\t'fortran_order' :False, 'shape' : ( 2 , ) , } \n", DTYPE_F32, 0, 0, 1, {2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int version = 1; version <= 3; version++) {
            struct npy npy;
            struct err err = {0};
            /* Bytes behind the array are allowed. */
            if (!parse(version, cases[i].text, 200, &npy, &err))
                fail_msg("%s: %s", cases[i].text, err.msg);
            assert_int_equal(npy.array.dtype, cases[i].dtype);
            assert_int_equal(npy.array.swapped, cases[i].swapped);
            assert_int_equal(npy.fortran, cases[i].fortran);
            assert_int_equal(npy.array.ndim, cases[i].ndim);
            for (int k = 0; k < cases[i].ndim; k++)
                assert_int_equal(npy.array.shape[k], cases[i].shape[k]);
            assert_int_equal(npy.data_offset, strlen(cases[i].text) + (version == 1 ? 10 : 12));
            assert_int_equal(npy.data_size,
                             tensor_count(&npy.array) * dtype_info[cases[i].dtype].size);
        }
    }
}

static void fortran_order_is_in_the_strides(void **state)
{
    (void)state;
    struct npy npy;
    assert_true(parse(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4)}", 48,
                      &npy, NULL));
    assert_int_equal(npy.array.stride[0], 1);
    assert_int_equal(npy.array.stride[1], 3);
}

#define HEAD(d, s) "{'descr': " d ", 'fortran_order': False, 'shape': " s "}"

static void bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *says;
    } cases[] = {
        {HEAD("'|O'", "(2,)"), ERR_UNSUPPORTED, "pickled Python objects"},
        {HEAD("'<U3'", "(2,)"), ERR_UNSUPPORTED, "text"},
        {HEAD("'|S3'", "(2,)"), ERR_UNSUPPORTED, "text"},
        {HEAD("'<M8[ns]'", "(2,)"), ERR_UNSUPPORTED, "dates"},
        {HEAD("'<m8[ns]'", "(2,)"), ERR_UNSUPPORTED, "dates"},
        {HEAD("'<c8'", "(2,)"), ERR_UNSUPPORTED, "complex"},
        {HEAD("'|V1'", "(2,)"), ERR_UNSUPPORTED, "found '|V1'"},
        {HEAD("'<f16'", "(2,)"), ERR_UNSUPPORTED, "found '<f16'"},
        {HEAD("'<f1'", "(2,)"), ERR_UNSUPPORTED, "found '<f1'"},
        {HEAD("''", "(2,)"), ERR_UNSUPPORTED, "found ''"},
        {HEAD("[('a', '<f4')]", "(2,)"), ERR_UNSUPPORTED, "structured"},
        {HEAD("'<f4'", "(1,1,1,1,1,1,1,1,1)"), ERR_UNSUPPORTED, "dimensions"},
        {HEAD("'<f4'", "(99999,)"), ERR_FORMAT, "ends early"},
        {HEAD("'<f4'", "(3037000500, 3037000500)"), ERR_FORMAT, "too large"},
        {HEAD("'<f4'", "(4611686018427387904, 4611686018427387904, 0)"), ERR_FORMAT, "too large"},
        {HEAD("'<f4'", "(9223372036854775808,)"), ERR_FORMAT, "below 2^63"},
        {HEAD("'<f4'", "(-1,)"), ERR_FORMAT, "dimension"},
        {HEAD("'<f4'", "(5)"), ERR_FORMAT, "a tuple of one"},
        {HEAD("'<f4'", "5"), ERR_FORMAT, "tuple"},
        {HEAD("'<f4'", "(5,"), ERR_FORMAT, "dimension"},
        {HEAD("'<f4'", "(5 6)"), ERR_FORMAT, "expected ','"},
        {HEAD("'<f4'", "(5.0,)"), ERR_FORMAT, "expected ','"},
        {"{'descr': '<f4", ERR_FORMAT, "closing quote"},
        {HEAD("4", "(5,)"), ERR_FORMAT, "string"},
        {HEAD("'<f4'", "(5,)") "x", ERR_FORMAT, "behind"},
        {"{'descr': '<f4', 'fortran_order': Truex, 'shape': (1,)}", ERR_FORMAT, "True"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", ERR_FORMAT, "True"},
        {"{'descr': '<f4', 'shape': (1,)}", ERR_FORMAT, "expected the keys"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", ERR_FORMAT, "twice"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", ERR_FORMAT, "before it"},
        {"{'descr' '<f4'}", ERR_FORMAT, "':'"},
        {"{'descr': '<f4' 'shape': (1,)}", ERR_FORMAT, "','"},
        {"{}", ERR_FORMAT, "expected the keys"},
        {"[]", ERR_FORMAT, "'{'"},
        {"", ERR_FORMAT, "'{'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct npy npy = {.data_size = -7};
        struct err err = {0};
        assert_false(parse(1, cases[i].text, 64, &npy, &err));
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("%s: %d %s", cases[i].text, err.code, err.msg);
        assert_int_equal(npy.data_size, -7);
    }
}

static void bad_beginnings(void **state)
{
    (void)state;
    struct npy npy;
    struct err err = {0};
    struct bytes b = file_of(1, HEAD("'<f4'", "(2,)"), 8);
    b.p[6] = 4;
    assert_false(npy_parse(b.p, b.n, (int64_t)b.n, &npy, &err));
    assert_non_null(strstr(err.msg, "version"));
    assert_int_equal(err.offset, 6);
    b.p[6] = 1, b.p[7] = 1;
    assert_false(npy_parse(b.p, b.n, (int64_t)b.n, &npy, &err));
    b.p[6] = 2, b.p[7] = 0; /* now the length has two bytes of the text as its upper half */
    assert_false(npy_parse(b.p, b.n, (int64_t)b.n, &npy, &err));
    assert_non_null(strstr(err.msg, "too long"));
    b.p[0] = 'x';
    assert_false(npy_parse(b.p, b.n, (int64_t)b.n, &npy, &err));
    bytes_free(&b);
}

/* Of every beginning of a file only the whole is good. The bytes sit at the end of their
 * allocation, so that a sanitizer sees every read behind them. */
static void truncated_anywhere(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct bytes b = file_of(version, HEAD("'<f4'", "(2, 2)"), 16);
        for (size_t n = 0; n < b.n; n++) {
            unsigned char *cut = malloc(n ? n : 1);
            memcpy(cut, b.p, n);
            struct npy npy;
            struct err err = {0};
            assert_false(npy_parse(cut, n, (int64_t)n, &npy, &err));
            assert_int_equal(err.code, ERR_FORMAT);
            assert_true(err.offset <= n);
            free(cut);
        }
        bytes_free(&b);
    }
}

/* Whatever is accepted is inside the file. */
static void mutations(void **state)
{
    (void)state;
    uint64_t seed = 1;
    struct bytes b = file_of(1, HEAD("'<f4'", "(2, 2)") "  \n", 16);
    unsigned char *out = malloc(b.n);
    int good = 0;
    for (int i = 0; i < 20000; i++) {
        size_t n = mutate(b.p, b.n, out, &seed);
        struct npy npy;
        if (npy_parse(out, n, (int64_t)n, &npy, NULL)) {
            assert_true(npy.data_offset >= 0 && npy.data_size >= 0);
            assert_true(npy.data_offset + npy.data_size <= (int64_t)n);
            assert_int_equal(npy.data_size,
                             tensor_count(&npy.array) * dtype_info[npy.array.dtype].size);
            good++;
        }
    }
    assert_true(good > 0 && good < 20000);
    free(out);
    bytes_free(&b);
}

static void written_headers_read_back(void **state)
{
    (void)state;
    static const int64_t shape[TENSOR_MAX_DIMS] = {3, 0, INT32_MAX, 1, 7, 1, 2, 5};
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        for (int ndim = 0; ndim <= TENSOR_MAX_DIMS; ndim++) {
            unsigned char buf[NPY_HEADER_ROOM];
            size_t n = npy_write_header((enum dtype)dtype, ndim, shape, buf, sizeof buf);
            assert_int_equal(n % 64, 0);
            assert_int_equal(buf[n - 1], '\n');
            struct npy npy;
            assert_true(npy_parse(buf, n, INT64_MAX, &npy, NULL));
            assert_int_equal(npy.array.dtype, dtype);
            assert_int_equal(npy.array.ndim, ndim);
            assert_int_equal(npy.data_offset, n);
            assert_false(npy.fortran || npy.array.swapped);
            for (int i = 0; i < ndim; i++)
                assert_int_equal(npy.array.shape[i], shape[i]);
        }
    }
    /* The greatest numbers have room. */
    int64_t big[TENSOR_MAX_DIMS];
    for (int i = 0; i < TENSOR_MAX_DIMS; i++)
        big[i] = INT64_MAX;
    unsigned char buf[NPY_HEADER_ROOM];
    assert_true(npy_write_header(DTYPE_F32, TENSOR_MAX_DIMS, big, buf, sizeof buf) <= sizeof buf);
    assert_int_equal(buf[8] + 256 * buf[9] + 10, 256);
    /* As numpy 1.26 writes np.save(f, np.zeros((3, 4), 'f4')), to the byte. */
    static const int64_t plain[] = {3, 4};
    size_t n = npy_write_header(DTYPE_F32, 2, plain, buf, sizeof buf);
    char want[129];
    snprintf(want, sizeof want, "%-117s\n",
             "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
    assert_int_equal(n, 128);
    assert_memory_equal(buf, "\x93NUMPY\1\0\x76\0", 10);
    assert_memory_equal(buf + 10, want, 118);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_headers),
        cmocka_unit_test(fortran_order_is_in_the_strides),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(bad_beginnings),
        cmocka_unit_test(truncated_anywhere),
        cmocka_unit_test(mutations),
        cmocka_unit_test(written_headers_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
