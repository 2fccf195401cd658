/* test_torch.c - what torch.save and pickle write, in all forms; hostile variations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/container.h"
#include "io/map.h"
#include "arrays.h"

/* ---- files of the real thing (tests/ref/torch/make.py) */

static const char *ref(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/torch/%s", getenv("TEST_REF"), name);
    return path;
}

static struct container *open_good(const char *path)
{
    struct err err = {0};
    struct container *c = container_open(path, NULL, &err);
    if (!c)
        fail_msg("%s", err.msg);
    assert_string_equal(container_kind(c), "torch");
    return c;
}

static void assert_tensor(const struct container *c, const char *name, enum dtype dtype,
                          int ndim, const int64_t *shape, const float *values)
{
    const struct tensor *t = container_find(c, name);
    float out[16];
    if (!t)
        fail_msg("%s: no tensor '%s'", container_path(c), name);
    assert_int_equal(t->dtype, dtype);
    assert_int_equal(t->ndim, ndim);
    assert_memory_equal(t->shape, shape, (size_t)ndim * sizeof *shape);
    tensor_read_f32(t, 0, tensor_count(t), out);
    for (int64_t i = 0; i < tensor_count(t); i++)
        if (out[i] != values[i])
            fail_msg("%s: '%s'[%d] is %g, expected %g", container_path(c), name, (int)i,
                     (double)out[i], (double)values[i]);
}

#define SHAPE(...) (int64_t[]){__VA_ARGS__}
#define VALUES(...) (float[]){__VA_ARGS__}

static void assert_tensors(const struct container *c)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } types[] = {
        {"types.float64", DTYPE_F64},   {"types.float16", DTYPE_F16},
        {"types.bfloat16", DTYPE_BF16}, {"types.int8", DTYPE_I8},
        {"types.uint8", DTYPE_U8},      {"types.int16", DTYPE_I16},
        {"types.int32", DTYPE_I32},     {"types.int64", DTYPE_I64},
    };
    assert_tensor(c, "a", DTYPE_F32, 2, SHAPE(3, 4),
                  VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    assert_tensor(c, "transposed", DTYPE_F32, 2, SHAPE(4, 3),
                  VALUES(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11));
    assert_tensor(c, "column", DTYPE_F32, 1, SHAPE(3), VALUES(1, 5, 9));
    assert_tensor(c, "expanded", DTYPE_F32, 2, SHAPE(3, 2),
                  VALUES(2.5, 2.5, 2.5, 2.5, 2.5, 2.5));
    assert_tensor(c, "scalar", DTYPE_I64, 0, NULL, VALUES(7));
    assert_tensor(c, "empty", DTYPE_F32, 2, SHAPE(0, 3), NULL);
    assert_tensor(c, "parameter", DTYPE_F32, 2, SHAPE(2, 2), VALUES(6, 7, 10, 11));
    assert_null(container_find(c, "complex"));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_tensor(c, types[i].name, types[i].dtype, 1, SHAPE(3), VALUES(0, 1, 3));
    assert_tensor(c, "types.bool", DTYPE_BOOL, 1, SHAPE(3), VALUES(0, 1, 1));
    assert_tensor(c, "list.0", DTYPE_F32, 1, SHAPE(1), VALUES(1));
    assert_tensor(c, "list.2", DTYPE_F32, 1, SHAPE(1), VALUES(2));
    assert_tensor(c, "cfg.mean", DTYPE_F32, 1, SHAPE(2), VALUES(0.25, -0.5));
    assert_int_equal(container_count(c), 19);
}

static void assert_value(const struct container *c, const char *name, const char *expected)
{
    const json_t *v = container_value(c, name);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!expected) {
        assert_null(v);
    } else if (!text || strcmp(text, expected) != 0) {
        fail_msg("%s: '%s' is %s, expected %s", container_path(c), name,
                 text ? text : "nothing", expected);
    }
    free(text);
}

static void assert_values(const struct container *c)
{
    assert_value(c, "cfg.hook_point", "\"blocks.2.hook_resid_pre\"");
    assert_value(c, "cfg.d_in", "4");
    assert_value(c, "cfg.lr", "0.5");
    assert_value(c, "cfg.dtype", "\"torch.float32\"");
    assert_value(c, "cfg.device", NULL);
    assert_value(c, "cfg.itself", NULL);
    assert_value(c, "command", NULL);
    assert_value(c, "list", "[null,\"between\",null]");
    assert_value(c, "a", NULL);
    assert_value(c, "state.dict.k", "32"); /* "state.dict" is one key */
    assert_value(c, "state.dict",
                 "{\"5\":\"five\",\"float\":-0.5,\"k\":32,\"name\":\"TopK\","
                 "\"negative\":-70000,\"none\":null,\"text\":\"\u00e9\\n\","
                 "\"tuple\":[1,[2,3]],\"yes\":true}");
    assert_value(c, "state", NULL);
    assert_value(c, "state.dict.", NULL);
}

static void every_form_gives_the_same(void **state)
{
    (void)state;
    static const char *const files[] = {
        "zip.pt", "cuda.pt", "big-endian.pt", "stream.pt", "protocol3.pkl", "protocol4.pkl",
        "protocol5.pkl", "protocol4.pkl.gz",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct err err = {0};
        struct container *c = open_good(ref(files[i]));
        assert_tensors(c);
        assert_values(c);
        if (!container_verify(c, NULL, &err))
            fail_msg("%s", err.msg);
        container_close(c);
    }
}

static void storages_are_shared_and_mapped_where_they_lie(void **state)
{
    (void)state;
    struct container *c = open_good(ref("zip.pt"));
    const struct tensor *a = container_find(c, "a"), *t = container_find(c, "transposed");
    const struct tensor *column = container_find(c, "column");
    int64_t offset;
    assert_ptr_equal(a->data, t->data);
    assert_ptr_equal(column->data, a->data + 4);
    assert_int_equal(t->stride[0], 1);
    assert_int_equal(t->stride[1], 4);
    assert_int_equal(container_find(c, "expanded")->stride[0], 0);
    assert_true(container_fd(c, a, &offset) >= 0);
    assert_int_equal(offset % 64, 0); /* torch aligns them */
    assert_non_null(tensor_f32(a));
    container_close(c);
}

static void other_things_than_dictionaries(void **state)
{
    (void)state;
    struct container *c = open_good(ref("tensor.pt"));
    assert_tensor(c, "", DTYPE_F32, 2, SHAPE(3, 4),
                  VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    assert_value(c, "", NULL);
    container_close(c);
    c = open_good(ref("module.pt")); /* the class is not there, nor asked for */
    assert_tensor(c, "encoder.weight", DTYPE_F32, 2, SHAPE(3, 4),
                  VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    assert_tensor(c, "k", DTYPE_I64, 0, NULL, VALUES(7));
    assert_non_null(container_find(c, "encoder.bias"));
    container_close(c);
}

/* NumPy's numbers are values, its arrays tensors, as far as they lie there as bytes. */
static void numbers_and_arrays_of_numpy(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        bool arrays;
    } files[] = {{"numpy.pt", false}, {"numpy4.pkl", true}, {"numpy5.pkl", true}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct container *c = open_good(ref(files[i].file));
        assert_tensor(c, "tensor", DTYPE_F32, 1, SHAPE(1), VALUES(1.5f));
        if (files[i].arrays) {
            assert_tensor(c, "array", DTYPE_F32, 2, SHAPE(3, 2), VALUES(0, 3, 1, 4, 2, 5));
            assert_tensor(c, "big", DTYPE_I16, 1, SHAPE(3), VALUES(0, 1, 2));
        }
        assert_int_equal(container_count(c), files[i].arrays ? 3 : 1);
        assert_value(c, "scalars.f8", "0.10000000000000001");
        assert_value(c, "scalars.f4", "0.10000000149011612");
        assert_value(c, "scalars.f2", "-2.0");
        assert_value(c, "scalars.i8", "-7");
        assert_value(c, "scalars.u1", "200");
        assert_value(c, "scalars.b1", "true");
        assert_value(c, "scalars.big", "258");
        assert_value(c, "scalars.nan", NULL);
        assert_value(c, "scalars.text", NULL);
        container_close(c);
    }
}

static void assert_refused(const char *path, enum err_code code, const char *text)
{
    struct err err = {0};
    assert_null(container_open(path, NULL, &err));
    if (err.code != code || !strstr(err.msg, text))
        fail_msg("found '%s' (%d), expected '%s' (%d)", err.msg, err.code, text, code);
    assert_memory_equal(err.msg, path, strlen(path));
}

static void what_is_not_read(void **state)
{
    (void)state;
    struct bytes tar = {0};
    put_zeros(&tar, 257);
    put_text(&tar, "ustar");
    put_zeros(&tar, 762);
    assert_refused(write_bytes("old.pt", tar.p, tar.n), ERR_UNSUPPORTED, "tar file");
    bytes_free(&tar);
    assert_refused(ref("script.pt"), ERR_UNSUPPORTED, "TorchScript");
    assert_refused(ref("nothing.pt"), ERR_FORMAT, "no tensors");
    assert_refused(ref("numpy2.pkl"), ERR_UNSUPPORTED, "a plain pickle of protocol 2");
}

/* ---- tensors that lie about their storage */

/* A zip with one storage of 12 f32, and a tensor "t" over it. The numbers are pickled. */
static const char *write_tensor(const char *storage, const char *key, int elements,
                                const char *offset, const char *size, const char *stride)
{
    struct bytes file = {0}, directory = {0}, pickle = {0}, data = {0};
    put_text(&pickle, "\x80\2}U\1tctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\n");
    put_text(&pickle, storage);
    put_text(&pickle, "\n");
    put_pickled_text(&pickle, key);
    put_text(&pickle, "U\3cpuJ");
    put_le(&pickle, (uint64_t)elements, 4);
    put_text(&pickle, "tQ"), put_text(&pickle, offset), put_text(&pickle, size);
    put_text(&pickle, stride), put_text(&pickle, "\x89}tRs.");
    for (int i = 0; i < 12; i++)
        put_value(&data, DTYPE_F32, (float)i);
    put_zip_member(&file, &directory, "x/data.pkl", &pickle);
    put_zip_member(&file, &directory, "x/data/0", &data);
    size_t at = file.n;
    put(&file, directory.p, directory.n);
    put_text(&file, "PK\5\6");
    put_le(&file, 0, 4), put_le(&file, 2, 2), put_le(&file, 2, 2);
    put_le(&file, directory.n, 4), put_le(&file, at, 4), put_le(&file, 0, 2);
    const char *path = write_bytes("t.pt", file.p, file.n);
    bytes_free(&file);
    bytes_free(&directory);
    bytes_free(&pickle);
    bytes_free(&data);
    return path;
}

#define F32 "FloatStorage"

static void tensors_stay_within_their_storage(void **state)
{
    (void)state;
    static const struct {
        const char *storage, *key;
        int elements;
        const char *offset, *size, *stride, *says; /* NULL: fine */
    } cases[] = {
        {F32, "0", 12, "K\1", "K\3K\3\x86", "K\4K\1\x86", NULL},
        {F32, "0", 12, "K\1", "K\3K\4\x86", "K\4K\1\x86", "outside of its storage"},
        {F32, "0", 12, "K\14", "K\1\x85", "K\1\x85", "outside of its storage"},
        {F32, "0", 12, "K\13", "K\1\x85", "K\1\x85", NULL},
        {F32, "0", 12, "K\1", "K\2K\2K\2\x87", "K\1K\2K\1\x87", NULL}, /* overlapping */
        {F32, "0", 12, "\x8a\1\xff", "K\1\x85", "K\1\x85", "outside of its storage"},
        {F32, "0", 12, "K\1", "K\2\x85", "\x8a\1\xff\x85", "bad sizes or strides"},
        {F32, "0", 12, "K\1", "\x8a\1\xff\x85", "K\1\x85", "bad sizes or strides"},
        {F32, "0", 12, "K\1", "K\2K\2\x86", "K\1\x85", "bad sizes or strides"},
        {F32, "0", 12, "N", "K\1\x85", "K\1\x85", "bad sizes or strides"},
        {F32, "0", 12, "K\1", "K\2\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85",
         "outside of its storage"},
        {F32, "0", 12, "K\1",
         "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x86",
         "K\1K\1\x86", "outside of its storage"},
        {F32, "0", 13, "K\1", "K\1\x85", "K\1\x85", "wrong size"},
        {F32, "0", -1, "K\1", "K\1\x85", "K\1\x85", "bad reference to a storage"},
        {"DoubleStorage", "0", 12, "K\1", "K\1\x85", "K\1\x85", "wrong size"},
        {F32, "1", 12, "K\1", "K\1\x85", "K\1\x85", "not in the file"},
        {"FancyStorage", "0", 12, "K\1", "K\1\x85", "K\1\x85", "no tensors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        const char *path = write_tensor(cases[i].storage, cases[i].key, cases[i].elements,
                                        cases[i].offset, cases[i].size, cases[i].stride);
        struct container *c = container_open(path, NULL, &err);
        if (!c != !!cases[i].says)
            fail_msg("%d: %s", (int)i, c ? "opened" : err.msg);
        if (c)
            assert_int_equal(container_count(c), 1);
        else if (!strstr(err.msg, cases[i].says) || err.code != ERR_FORMAT)
            fail_msg("%d: found '%s', expected '%s'", (int)i, err.msg, cases[i].says);
        container_close(c);
    }
}

/* Small files that would be endless if they were walked to the end. */
static void small_files_of_endless_content(void **state)
{
    (void)state;
    struct bytes b = {0};
    put_text(&b, "\x80\2]q"), put_le(&b, 0, 1);
    for (int i = 0; i < 60; i++) { /* a list of the last one, twice */
        put_text(&b, "h"), put_le(&b, (uint64_t)i, 1);
        put_text(&b, "h"), put_le(&b, (uint64_t)i, 1);
        put_text(&b, "\x86q"), put_le(&b, (uint64_t)i + 1, 1);
    }
    put_text(&b, ".");
    assert_refused(write_bytes("twice.pkl", b.p, b.n), ERR_FORMAT, "too many values");
    bytes_free(&b);
    put_text(&b, "\x80\2N");
    for (int i = 0; i < 100000; i++)
        put_text(&b, "\x85");
    put_text(&b, ".");
    assert_refused(write_bytes("deep.pkl", b.p, b.n), ERR_FORMAT, "64 deep");
    bytes_free(&b);
    put_text(&b, "\x80\2]q"), put_le(&b, 0, 1); /* a list in itself, a thousand times */
    for (int i = 0; i < 1000; i++)
        put_text(&b, "h"), put_le(&b, 0, 1), put_text(&b, "a");
    put_text(&b, ".");
    assert_refused(write_bytes("self.pkl", b.p, b.n), ERR_FORMAT, "no tensors");
    bytes_free(&b);
}

/* ---- hostile variations */

static struct bytes read_file(const char *path)
{
    struct bytes b = {0};
    unsigned char buf[4096];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        put(&b, buf, n);
    fclose(f);
    return b;
}

/* Reads all that a container lets be read: nothing of it may lie outside the file. */
static void read_everything(const struct container *c)
{
    for (size_t i = 0; i < container_count(c); i++) {
        const struct tensor *t = container_at(c, i);
        float out[64];
        int64_t n = tensor_count(t);
        for (int64_t k = 0; k < n && k < 100000; k += 64)
            tensor_read_f32(t, k, n - k < 64 ? n - k : 64, out);
        if (n > 0)
            tensor_read_f32(t, n - 1, 1, out);
    }
}

static void try_bytes(const unsigned char *p, size_t n)
{
    const char *path = write_bytes("hostile.pt", p, n);
    struct err err = {0};
    struct container *c = container_open(path, NULL, &err);
    if (c) {
        read_everything(c);
        container_close(c);
        return;
    }
    assert_true(err.code == ERR_FORMAT || err.code == ERR_UNSUPPORTED);
    assert_memory_equal(err.msg, path, strlen(path));
    assert_null(strchr(err.msg, '\n'));
}

static void damaged_files(void **state)
{
    (void)state;
    static const char *const files[] = {"zip.pt", "stream.pt", "protocol4.pkl",
                                        "protocol4.pkl.gz"};
    uint64_t seed = 7;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct bytes good = read_file(ref(files[i]));
        unsigned char *bad = malloc(2 * good.n);
        for (size_t n = 0; n < good.n; n++)
            try_bytes(good.p, n);
        for (int k = 0; k < 3000; k++)
            try_bytes(bad, mutate(good.p, good.n, bad, &seed));
        free(bad);
        bytes_free(&good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_the_same),
        cmocka_unit_test(storages_are_shared_and_mapped_where_they_lie),
        cmocka_unit_test(other_things_than_dictionaries),
        cmocka_unit_test(numbers_and_arrays_of_numpy),
        cmocka_unit_test(what_is_not_read),
        cmocka_unit_test(tensors_stay_within_their_storage),
        cmocka_unit_test(small_files_of_endless_content),
        cmocka_unit_test(damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
