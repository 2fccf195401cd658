/* test_safetensors.c - the reference reader's checks, and damaged headers in bulk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/safetensors.h"
#include "files.h"

#define A_B "{\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[8,20]}," \
            "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"

static void collect(void *ctx, const char *key, const char *value)
{
    strcat(ctx, key);
    strcat(ctx, "=");
    strcat(ctx, value);
    strcat(ctx, ";");
}

static void good_headers(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t size; size_t n; } cases[] = {
        {A_B, 20, 2},
        {" \n\t\r" A_B "   \n", 20, 2},
        {"{}", 0, 0},
        {"{\"__metadata__\":{\"format\":\"pt\"}}", 0, 0},
        {"{\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8, 1},
        {"{\"z\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[0,0]},"
         "\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[1,1]}}", 1, 3},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0],\"extra\":1}}", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct safetensors st;
        struct err err = {0};
        if (!safetensors_parse(cases[i].text, strlen(cases[i].text), cases[i].size, &st, &err))
            fail_msg("%s: %s", cases[i].text, err.msg);
        assert_int_equal(st.n, cases[i].n);
        safetensors_free(&st);
    }
}

static void entries_come_in_the_order_of_their_data(void **state)
{
    (void)state;
    static const char text[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},\"b\":{\"dtype\":\"BF16\",\"shape\":"
        "[2,3],\"data_offsets\":[8,20]},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":"
        "[0,8]}}";
    struct safetensors st;
    assert_true(safetensors_parse(text, sizeof text - 1, 20, &st, NULL));
    assert_string_equal(st.entry[0].name, "a");
    assert_string_equal(st.entry[1].name, "b");
    assert_int_equal(st.entry[1].array.dtype, DTYPE_BF16);
    assert_int_equal(st.entry[1].array.ndim, 2);
    assert_int_equal(st.entry[1].array.shape[1], 3);
    assert_int_equal(st.entry[1].array.stride[0], 3);
    assert_int_equal(st.entry[1].begin, 8);
    char meta[64] = "";
    safetensors_each_meta(&st, collect, meta);
    assert_string_equal(meta, "format=pt;k=v;");
    safetensors_free(&st);
}

#define ONE(d, s, o) "{\"t\":{\"dtype\":" d ",\"shape\":" s ",\"data_offsets\":" o "}}"

static void bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t size;
        enum err_code code;
        const char *says;
    } cases[] = {
        {ONE("\"F8_E4M3\"", "[2]", "[0,2]"), 2, ERR_UNSUPPORTED, "found F8_E4M3"},
        {ONE("\"C64\"", "[1]", "[0,8]"), 8, ERR_UNSUPPORTED, "found C64"},
        {ONE("\"F4\"", "[2]", "[0,1]"), 1, ERR_UNSUPPORTED, "found F4"},
        {ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, ERR_UNSUPPORTED, "dimensions"},
        {ONE("\"F33\"", "[1]", "[0,4]"), 4, ERR_FORMAT, "found \"F33\""},
        {ONE("7", "[1]", "[0,4]"), 4, ERR_FORMAT, "dtype"},
        {ONE("\"F32\"", "1", "[0,4]"), 4, ERR_FORMAT, "shape"},
        {ONE("\"F32\"", "[1.0]", "[0,4]"), 4, ERR_FORMAT, "shape"},
        {ONE("\"F32\"", "[-1]", "[0,4]"), 4, ERR_FORMAT, "shape"},
        {ONE("\"F32\"", "[18446744073709551616]", "[0,4]"), 4, ERR_FORMAT, "integer"},
        {ONE("\"F32\"", "[4611686018427387904,4]", "[0,4]"), 4, ERR_FORMAT, "too large"},
        {ONE("\"F32\"", "[4611686018427387904]", "[0,4]"), 4, ERR_FORMAT, "too large"},
        {ONE("\"F32\"", "[2]", "[0,4]"), 4, ERR_FORMAT, "found 4 bytes of data, expected 8"},
        {ONE("\"F32\"", "[1]", "[0]"), 4, ERR_FORMAT, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[0,4,8]"), 4, ERR_FORMAT, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[0,\"4\"]"), 4, ERR_FORMAT, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[4,0]"), 4, ERR_FORMAT, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[-4,0]"), 4, ERR_FORMAT, "data_offsets"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 5, ERR_FORMAT, "behind the last"},
        {ONE("\"F32\"", "[1]", "[0,4]"), 3, ERR_FORMAT, "ends early"},
        {ONE("\"F32\"", "[1]", "[4,8]"), 8, ERR_FORMAT, "hole or overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6, ERR_FORMAT, "hole or overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, ERR_FORMAT, "duplicate"},
        {"{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, ERR_FORMAT, "duplicate"},
        {"{\"t\":1}", 0, ERR_FORMAT, "tensor 't'"},
        {"{\"__metadata__\":{\"a\":1}}", 0, ERR_FORMAT, "map of strings"},
        {"{\"__metadata__\":[]}", 0, ERR_FORMAT, "map of strings"},
        {"[]", 0, ERR_FORMAT, "object"},
        {"{", 0, ERR_FORMAT, "bad safetensors header"},
        {"{} x", 0, ERR_FORMAT, "bad safetensors header"},
        {"{\"\xff\":1}", 0, ERR_FORMAT, "decode"},
        {"", 0, ERR_FORMAT, "bad safetensors header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct safetensors st = {.n = 77};
        struct err err = {0};
        assert_false(safetensors_parse(cases[i].text, strlen(cases[i].text), cases[i].size,
                                       &st, &err));
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("%s: %d %s", cases[i].text, err.code, err.msg);
        assert_int_equal(st.n, 77);
    }
}

static void header_sizes(void **state)
{
    (void)state;
    static const struct { unsigned char b[8]; int64_t file; bool ok; } cases[] = {
        {{2}, 10, true}, {{2}, 9, false}, {{2}, 3, false},
        {{0, 0xe1, 0xf5, 5}, 100000008, true}, {{1, 0xe1, 0xf5, 5}, 100000009, false},
        {{255, 255, 255, 255, 255, 255, 255, 255}, INT64_MAX, false},
        {{248, 255, 255, 255, 255, 255, 255, 127}, INT64_MAX, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        struct err err = {0};
        assert_int_equal(safetensors_header_size(cases[i].b, cases[i].file, &n, &err), cases[i].ok);
        assert_int_equal(err.code, cases[i].ok ? ERR_NONE : ERR_FORMAT);
    }
}

/* Headers made to cost memory: deep, wide, long. */
static void bombs(void **state)
{
    (void)state;
    static const char *const units[] = {"[", "{\"a\":", "[],", "0,"};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct bytes b = {0};
        put_text(&b, "{\"a\":[");
        for (int i = 0; i < 1100000; i++)
            put_text(&b, units[u]);
        struct safetensors st;
        struct err err = {0};
        assert_false(safetensors_parse((char *)b.p, b.n, 0, &st, &err));
        assert_non_null(strstr(err.msg, "too many values"));
        /* The same below the limit on values is refused for what it is, not a crash. */
        b.n = 6 + 200000 * strlen(units[u]);
        assert_false(safetensors_parse((char *)b.p, b.n, 0, &st, &err));
        assert_int_equal(err.code, ERR_FORMAT);
        bytes_free(&b);
    }
    struct bytes b = {0};
    put_text(&b, "{\"");
    put_zeros(&b, SAFETENSORS_MAX_STRING + 1);
    put_text(&b, "\":1}");
    struct safetensors st;
    struct err err = {0};
    assert_false(safetensors_parse((char *)b.p, b.n, 0, &st, &err));
    assert_non_null(strstr(err.msg, "found 8388609 bytes"));
    bytes_free(&b);
}

static void truncated_anywhere(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof A_B - 1; n++) {
        char *cut = malloc(n ? n : 1);
        memcpy(cut, A_B, n);
        struct safetensors st;
        assert_false(safetensors_parse(cut, n, 20, &st, NULL));
        free(cut);
    }
}

static void mutations(void **state)
{
    (void)state;
    uint64_t seed = 2;
    unsigned char out[sizeof A_B];
    int good = 0;
    for (int i = 0; i < 20000; i++) {
        size_t n = mutate((const unsigned char *)A_B, sizeof A_B - 1, out, &seed);
        struct safetensors st;
        if (!safetensors_parse((char *)out, n, 20, &st, NULL))
            continue;
        int64_t at = 0;
        for (size_t k = 0; k < st.n; k++) {
            assert_int_equal(st.entry[k].begin, at);
            at = st.entry[k].end;
        }
        assert_int_equal(at, 20);
        safetensors_free(&st);
        good++;
    }
    assert_true(good > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_headers),
        cmocka_unit_test(entries_come_in_the_order_of_their_data),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(header_sizes),
        cmocka_unit_test(bombs),
        cmocka_unit_test(truncated_anywhere),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
