/* test_tensor.c - conversions bit for bit, strides, byte orders, matrices either way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/f16.h"
#include "io/tensor.h"

static uint32_t bits(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

static float f32(uint32_t b)
{
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

static void half_values_are_exact(void **state)
{
    (void)state;
    static const struct { uint16_t half; double value; } cases[] = {
        {0x0000, 0}, {0x3c00, 1}, {0xc000, -2}, {0x7bff, 65504}, {0x0400, 0x1p-14},
        {0x0001, 0x1p-24}, {0x03ff, 1023 * 0x1p-24}, {0x8001, -0x1p-24},
        {0x7c00, INFINITY}, {0xfc00, -INFINITY}, {0x3555, 1365 * 0x1p-12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float f;
        f32_from_f16(&cases[i].half, &f, 1);
        assert_true((double)f == cases[i].value);
    }
    uint16_t zero = 0x8000;
    float f;
    f32_from_f16(&zero, &f, 1);
    assert_int_equal(bits(f), 0x80000000);
}

/* All 65536 halves, from every alignment: the fast way gives what the plain one gives, and
 * the way back gives the half (NaNs: made quiet). */
static void all_halves_agree_and_come_back(void **state)
{
    (void)state;
    enum { N = 65536 };
    unsigned char *src = malloc(2 * N + 1);
    float *fast = malloc(N * sizeof *fast), *plain = malloc(N * sizeof *plain);
    uint16_t *back = malloc(N * sizeof *back), *back_plain = malloc(N * sizeof *back);
    for (size_t shift = 0; shift < 2; shift++) {
        for (uint32_t h = 0; h < N; h++) {
            uint16_t half = (uint16_t)h;
            memcpy(src + shift + 2 * h, &half, 2);
        }
        f32_from_f16(src + shift, fast, N);
        f32_from_f16_plain(src + shift, plain, N);
        assert_memory_equal(fast, plain, N * sizeof *fast);
    }
    f16_from_f32(fast, back, N);
    f16_from_f32_plain(fast, back_plain, N);
    assert_memory_equal(back, back_plain, N * sizeof *back);
    for (uint32_t h = 0; h < N; h++) {
        int nan = (h & 0x7fff) > 0x7c00;
        assert_int_equal(back[h], nan ? h | 0x0200 : h);
    }
    free(src), free(fast), free(plain), free(back), free(back_plain);
}

/* Around every half: the value, the midpoint to the next, and their neighbours in f32. */
static void rounding_to_half_is_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        uint16_t a = (uint16_t)h, b = (uint16_t)(h + 1), got[5];
        float lo, hi;
        f32_from_f16_plain(&a, &lo, 1);
        f32_from_f16_plain(&b, &hi, 1);
        float mid = (lo + hi) / 2; /* exact: 12 bits of fraction */
        float in[5] = {lo, nextafterf(mid, 0), mid, nextafterf(mid, INFINITY), hi};
        uint16_t even = (h & 1) ? b : a;
        uint16_t want[5] = {a, a, even, b, b};
        f16_from_f32_plain(in, got, 5);
        assert_memory_equal(got, want, sizeof want);
    }
    static const struct { uint32_t f; uint16_t half; } edges[] = {
        {0x477fefff, 0x7bff}, {0x477ff000, 0x7c00}, {0x7f7fffff, 0x7c00},
        {0xc77ff000, 0xfc00}, {0x7f800000, 0x7c00}, {0xff800001, 0xfe00},
        {0x7fffffff, 0x7fff}, {0x00000001, 0}, {0x80000001, 0x8000},
        {0x33000000, 0}, {0x33000001, 1},
    };
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        float in[8];
        uint16_t fast[8], plain[8];
        for (int k = 0; k < 8; k++)
            in[k] = f32(edges[i].f);
        f16_from_f32(in, fast, 8);
        f16_from_f32_plain(in, plain, 8);
        for (int k = 0; k < 8; k++) {
            assert_int_equal(fast[k], edges[i].half);
            assert_int_equal(plain[k], edges[i].half);
        }
    }
}

static void rounding_agrees_over_all_exponents(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    float *in = malloc(N * sizeof *in);
    uint16_t *fast = malloc(N * sizeof *fast), *plain = malloc(N * sizeof *plain);
    uint32_t x = 12345;
    for (int round = 0; round < 16; round++) {
        for (int i = 0; i < N; i++) {
            x = x * 1664525 + 1013904223;
            in[i] = f32(x ^ x >> 15);
        }
        f16_from_f32(in, fast, N);
        f16_from_f32_plain(in, plain, N);
        assert_memory_equal(fast, plain, N * sizeof *fast);
    }
    free(in), free(fast), free(plain);
}

static void bf16_is_the_upper_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t half = (uint16_t)h;
        float f;
        f32_from_bf16(&half, &f, 1);
        assert_int_equal(bits(f), h << 16);
    }
}

/* Element [i, j] of a 5 x 7 table is i * 7 + j, in every dtype, byte order and layout. */
enum { ROWS = 5, COLS = 7 };

static void store(unsigned char *p, enum dtype dtype, int v, bool swapped)
{
    unsigned char b[8];
    union { float f; double d; int8_t i8; int16_t i16; int32_t i32; int64_t i64; } u = {0};
    uint16_t h;
    float f = (float)v;
    switch (dtype) {
    case DTYPE_F32: u.f = f; break;
    case DTYPE_F64: u.d = v; break;
    case DTYPE_F16: f16_from_f32_plain(&f, &h, 1); memcpy(&u, &h, 2); break;
    case DTYPE_BF16: h = (uint16_t)(bits(f) >> 16); memcpy(&u, &h, 2); break;
    case DTYPE_BOOL: u.i8 = v != 0; break;
    default: u.i64 = v; break;
    }
    memcpy(b, &u, 8);
    int size = dtype_info[dtype].size;
    for (int i = 0; i < size; i++)
        p[i] = b[swapped ? size - 1 - i : i];
}

static void every_dtype_order_and_layout_reads_the_same(void **state)
{
    (void)state;
    unsigned char buf[ROWS * COLS * 8 + 1];
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        for (int variant = 0; variant < 8; variant++) {
            bool swapped = variant & 1, fortran = variant & 2;
            unsigned char *data = buf + (variant >> 2); /* aligned and not */
            struct tensor t = {.dtype = (enum dtype)dtype, .swapped = swapped, .ndim = 2,
                               .shape = {ROWS, COLS}, .data = data};
            tensor_set_strides(&t, fortran);
            for (int i = 0; i < ROWS; i++)
                for (int j = 0; j < COLS; j++)
                    store(data + (i * t.stride[0] + j * t.stride[1]) * dtype_info[dtype].size,
                          t.dtype, i * COLS + j, swapped);
            float out[ROWS * COLS];
            int64_t ints[ROWS * COLS];
            for (int first = 0; first < ROWS * COLS; first++) {
                int n = ROWS * COLS - first;
                tensor_read_f32(&t, first, n, out);
                if (!dtype_info[dtype].is_float)
                    tensor_read_i64(&t, first, n, ints);
                for (int k = 0; k < n; k++) {
                    int want = dtype == DTYPE_BOOL ? first + k != 0 : first + k;
                    assert_true(out[k] == (float)want);
                    if (!dtype_info[dtype].is_float)
                        assert_int_equal(ints[k], want);
                }
            }
        }
    }
}

static void integers_keep_their_range(void **state)
{
    (void)state;
    uint64_t u[3] = {UINT64_MAX, (uint64_t)INT64_MAX, 5};
    int64_t i[3] = {INT64_MIN, -1, INT64_MAX};
    struct tensor t = {.dtype = DTYPE_U64, .ndim = 1, .shape = {3}, .stride = {1},
                       .data = (void *)u};
    int64_t out[3];
    tensor_read_i64(&t, 0, 3, out);
    assert_int_equal(out[0], INT64_MAX);
    assert_int_equal(out[1], INT64_MAX);
    assert_int_equal(out[2], 5);
    t.dtype = DTYPE_I64;
    t.data = (void *)i;
    tensor_read_i64(&t, 0, 3, out);
    assert_memory_equal(out, i, sizeof i);
}

static void matrices_read_either_way_round(void **state)
{
    (void)state;
    enum { R = 130, C = 67 }; /* more than a tile each way, and no multiple of it */
    float *data = malloc(R * C * sizeof *data), *out = malloc(R * C * sizeof *out);
    for (int i = 0; i < R * C; i++)
        data[i] = (float)i;
    struct tensor t = {.dtype = DTYPE_F32, .ndim = 2, .shape = {R, C}, .data = (void *)data};
    for (int fortran = 0; fortran < 2; fortran++) {
        tensor_set_strides(&t, fortran);
        for (int transposed = 0; transposed < 2; transposed++) {
            struct mat m = mat_of(&t, transposed);
            assert_int_equal(m.rows, transposed ? C : R);
            static const int64_t pieces[][2] = {{0, 1}, {0, 67}, {3, 64}, {1, 2}, {66, 1}, {5, 0}};
            for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
                mat_read_rows(&m, pieces[p][0], pieces[p][1], out);
                for (int64_t i = 0; i < pieces[p][1]; i++)
                    for (int64_t j = 0; j < m.cols; j++)
                        assert_true(out[i * m.cols + j] ==
                                    data[(pieces[p][0] + i) * m.row_stride + j * m.col_stride]);
            }
            int64_t ld = -1;
            const float *direct = mat_f32(&m, &ld);
            assert_ptr_equal(direct, transposed == fortran ? data : NULL);
            assert_int_equal(ld, direct ? m.cols : -1);
        }
    }
    free(data), free(out);
}

static void only_plain_f32_is_handed_out(void **state)
{
    (void)state;
    float data[8] = {0};
    struct tensor t = {.dtype = DTYPE_F32, .ndim = 2, .shape = {2, 3}, .stride = {3, 1},
                       .data = (void *)data};
    assert_ptr_equal(tensor_f32(&t), data);
    t.swapped = true;
    assert_null(tensor_f32(&t));
    t.swapped = false;
    t.data = (unsigned char *)data + 1;
    assert_null(tensor_f32(&t));
    t.data = (void *)data;
    t.stride[0] = 4;
    assert_null(tensor_f32(&t));
    struct mat m = mat_of(&t, false);
    int64_t ld = 0;
    assert_ptr_equal(mat_f32(&m, &ld), data);
    assert_int_equal(ld, 4);
    t.stride[0] = 0; /* one row seen twice: no leading dimension says that */
    m = mat_of(&t, false);
    assert_null(mat_f32(&m, &ld));
    t.dtype = DTYPE_F16;
    assert_null(tensor_f32(&t));
}

static void shapes_count_and_print(void **state)
{
    (void)state;
    char buf[64];
    struct tensor t = {.ndim = 0};
    assert_int_equal(tensor_count(&t), 1);
    assert_string_equal(tensor_shape_text(&t, buf, sizeof buf), "[]");
    assert_true(tensor_is_contiguous(&t));
    t = (struct tensor){.ndim = 3, .shape = {2, 0, 4}};
    assert_int_equal(tensor_count(&t), 0);
    assert_string_equal(tensor_shape_text(&t, buf, sizeof buf), "[2, 0, 4]");
    assert_true(tensor_is_contiguous(&t));
    t = (struct tensor){.ndim = 2, .shape = {128, 1024}};
    tensor_set_strides(&t, true);
    assert_false(tensor_is_contiguous(&t));
    assert_string_equal(tensor_shape_text(&t, buf, 8), "[128, 1");
    t = (struct tensor){.ndim = 3, .shape = {1, 5, 1}, .stride = {99, 1, 77}};
    assert_true(tensor_is_contiguous(&t)); /* strides of single rows do not matter */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_values_are_exact),
        cmocka_unit_test(all_halves_agree_and_come_back),
        cmocka_unit_test(rounding_to_half_is_to_nearest_even),
        cmocka_unit_test(rounding_agrees_over_all_exponents),
        cmocka_unit_test(bf16_is_the_upper_half),
        cmocka_unit_test(every_dtype_order_and_layout_reads_the_same),
        cmocka_unit_test(integers_keep_their_range),
        cmocka_unit_test(matrices_read_either_way_round),
        cmocka_unit_test(only_plain_f32_is_handed_out),
        cmocka_unit_test(shapes_count_and_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
