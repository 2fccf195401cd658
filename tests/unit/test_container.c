/* test_container.c - one door for all formats: recognition, refusals, values, offsets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>

#include <cmocka.h>
#include <libdeflate.h>
#include <zstd.h>

#include "io/container.h"
#include "io/npy.h"
#include "files.h"

/* An npy file with the numbers 0, 1, 2, ... */
static struct bytes counting_npy(int64_t rows, int64_t cols)
{
    struct bytes b = {0};
    unsigned char head[NPY_HEADER_ROOM];
    int64_t shape[2] = {rows, cols};
    put(&b, head, npy_write_header(DTYPE_F32, 2, shape, head, sizeof head));
    for (int64_t i = 0; i < rows * cols; i++) {
        float f = (float)i;
        put(&b, &f, sizeof f);
    }
    return b;
}

static const char safetensors_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[12,20]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}";

static struct bytes small_safetensors(void)
{
    struct bytes b = {0};
    put_le(&b, sizeof safetensors_header - 1, 8);
    put_text(&b, safetensors_header);
    float a[3] = {1.5f, -2, 3};
    uint16_t h[4] = {0x3c00, 0x4000, 0x4200, 0x4400};
    put(&b, a, sizeof a);
    put(&b, h, sizeof h);
    return b;
}

static void npy_is_mapped_where_it_lies(void **state)
{
    (void)state;
    struct bytes b = counting_npy(3, 4);
    const char *path = write_bytes("a.npy", b.p, b.n);
    struct err err = {0};
    struct container *c = container_open(path, NULL, &err);
    assert_non_null(c);
    assert_string_equal(container_kind(c), "npy");
    assert_string_equal(container_path(c), path);
    assert_int_equal(container_count(c), 1);
    const struct tensor *t = container_find(c, "");
    assert_ptr_equal(t, container_at(c, 0));
    assert_null(container_at(c, 1));
    assert_null(container_find(c, "x"));
    assert_int_equal(t->shape[1], 4);
    assert_true(tensor_f32(t)[11] == 11);
    int64_t offset = -1;
    float value;
    int fd = container_fd(c, t, &offset);
    assert_int_equal(offset, 128);
    assert_int_equal(pread(fd, &value, 4, offset + 20), 4);
    assert_true(value == 5);
    assert_true(container_verify(c, NULL, NULL));
    assert_true(container_unchanged(c, NULL));
    assert_int_equal(truncate(path, 130), 0);
    assert_false(container_unchanged(c, &err));
    assert_non_null(strstr(err.msg, ": changed or truncated while open"));
    container_close(c);
    bytes_free(&b);
}

static void safetensors_has_names_and_metadata(void **state)
{
    (void)state;
    struct bytes b = small_safetensors();
    struct container *c = container_open(write_bytes("a.safetensors", b.p, b.n), NULL, NULL);
    assert_non_null(c);
    assert_string_equal(container_kind(c), "safetensors");
    assert_int_equal(container_count(c), 2);
    assert_string_equal(container_at(c, 0)->name, "a");
    const struct tensor *t = container_find(c, "b");
    float out[4];
    tensor_read_f32(t, 0, 4, out);
    assert_true(out[0] == 1 && out[1] == 2 && out[2] == 3 && out[3] == 4);
    tensor_read_f32(container_find(c, "a"), 0, 3, out);
    assert_true(out[0] == 1.5f && out[1] == -2 && out[2] == 3);
    int64_t offset;
    assert_true(container_fd(c, t, &offset) >= 0);
    assert_int_equal(offset, 8 + sizeof safetensors_header - 1 + 12);
    assert_string_equal(container_meta(c, "format"), "pt");
    assert_null(container_meta(c, "x"));
    container_close(c);
    bytes_free(&b);
}

static void refusals_name_file_and_format(void **state)
{
    (void)state;
    static const struct {
        const char *name, *content;
        size_t n;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"r0", "", 0, ERR_FORMAT, "nothing in it"},
        {"r1", "hello, world", 12, ERR_FORMAT, "unknown format (found bytes 68 65 6c 6c"},
        {"r2", "\x1f\x8b\x08\0", 4, ERR_FORMAT, "gzip file ends early"},
        {"r3", "\x80\x02}q", 4, ERR_FORMAT, "pickle"},
        {"r4", "ARROW1\0\0", 8, ERR_FORMAT, "not an Arrow stream (found no schema"},
        {"r5", "\xff\xff\xff\xff\x10\0\0\0\x10\0\0\0", 12, ERR_FORMAT, "cut off at byte 4 (found metadata of 16 bytes"},
        {"r6", "PAR1\x15\0", 6, ERR_UNSUPPORTED, "Parquet"},
        {"r7", "\x89HDF\r\n\x1a\n", 8, ERR_UNSUPPORTED, "HDF5"},
        {"r8", "\x93NUM", 4, ERR_FORMAT, "unknown format"},
        {"r9", "\x93NUMPY", 6, ERR_FORMAT, "npy header ends early"},
        {"ra", "{\"architecture\": 1}", 19, ERR_FORMAT, "unknown format"},
        {"rb", "\x64\0\0\0\0\0\0\0{}", 10, ERR_FORMAT, "header ends early"},
        {"rc", "\xff\xff\xff\xff\x01\0\0\0{}", 10, ERR_FORMAT, "header"},
        {"rd", "\0\0\0\0\x01\0\0\0{}", 10, ERR_FORMAT, "header is too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_bytes(cases[i].name, cases[i].content, cases[i].n);
        struct err err = {0};
        assert_null(container_open(path, NULL, &err));
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("%s: %d %s", cases[i].name, err.code, err.msg);
        assert_memory_equal(err.msg, path, strlen(path));
        assert_memory_equal(err.msg + strlen(path), ": ", 2);
        assert_null(strstr(err.msg + strlen(path), path));
    }
    struct err err = {0};
    assert_null(container_open(test_path("missing"), NULL, &err));
    assert_int_equal(err.code, ERR_OS);
    assert_null(container_open(test_dir(), NULL, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    container_close(NULL);
}

/* Every beginning of a good file is refused or, where bytes behind the data are allowed,
 * gives the same tensors; damaged ones never read outside. */
static void read_everything(struct container *c)
{
    for (size_t i = 0; i < container_count(c); i++) {
        const struct tensor *t = container_at(c, i);
        int64_t n = tensor_count(t), offset = -1;
        assert_true(n >= 0 && n < 1 << 20);
        float *out = malloc((size_t)n * sizeof *out + 1);
        tensor_read_f32(t, 0, n, out);
        free(out);
        assert_true(container_fd(c, t, &offset) >= 0 && offset >= 0);
    }
}

static void truncations_and_mutations(struct bytes *b)
{
    for (size_t n = 0; n < b->n; n++) {
        struct err err = {0};
        assert_null(container_open(write_bytes("cut", b->p, n), NULL, &err));
        assert_int_not_equal(err.code, ERR_NONE);
    }
    uint64_t seed = 3;
    unsigned char *out = malloc(b->n);
    for (int i = 0; i < 3000; i++) {
        size_t n = mutate(b->p, b->n, out, &seed);
        struct err err = {0};
        struct container *c = container_open(write_bytes("mutant", out, n), NULL, &err);
        if (c) {
            read_everything(c);
            container_verify(c, NULL, NULL);
        } else {
            assert_int_not_equal(err.code, ERR_NONE);
            assert_null(strchr(err.msg, '\n'));
        }
        container_close(c);
    }
    free(out);
    bytes_free(b);
}

static void damaged_npy(void **state)
{
    (void)state;
    struct bytes b = counting_npy(3, 4);
    truncations_and_mutations(&b);
}

static void damaged_safetensors(void **state)
{
    (void)state;
    struct bytes b = small_safetensors();
    truncations_and_mutations(&b);
}

static bool cut_the_file(void *path, const char *what, int64_t done, int64_t of)
{
    (void)what, (void)done, (void)of;
    assert_int_equal(truncate(path, 0), 0);
    return true;
}

static void deflate_member(struct bytes *file, struct bytes *directory, const char *name,
                           const struct bytes *content)
{
    struct libdeflate_compressor *tool = libdeflate_alloc_compressor(1);
    unsigned char *packed = malloc(content->n + 1000);
    size_t n = libdeflate_deflate_compress(tool, content->p, content->n, packed,
                                           content->n + 1000);
    size_t local = file->n;
    put_text(file, "PK\3\4");
    put_zeros(file, 22), put_le(file, strlen(name), 2), put_zeros(file, 2);
    put_text(file, name);
    put(file, packed, n);
    put_text(directory, "PK\1\2");
    put_zeros(directory, 6), put_le(directory, 8, 2), put_zeros(directory, 4);
    put_le(directory, libdeflate_crc32(0, content->p, content->n), 4);
    put_le(directory, n, 4), put_le(directory, content->n, 4);
    put_le(directory, strlen(name), 2), put_zeros(directory, 12);
    put_le(directory, local, 4);
    put_text(directory, name);
    libdeflate_free_compressor(tool);
    free(packed);
}

/* A file that loses its end while it is being decompressed: said, and survived. One
 * processor, so that the work is still going on when the first piece of it is done. */
static void a_file_cut_while_decompressing(void **state)
{
    (void)state;
    cpu_set_t was, one;
    assert_int_equal(sched_getaffinity(0, sizeof was, &was), 0);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        skip();
    uint64_t seed = 9;
    struct bytes npy = {0}, zst = {0}, zip = {0}, directory = {0};
    unsigned char head[NPY_HEADER_ROOM];
    int64_t shape = 1 << 20;
    put(&npy, head, npy_write_header(DTYPE_U8, 1, &shape, head, sizeof head));
    while (npy.n < 128 + (size_t)shape)
        put_le(&npy, next_random(&seed), 8);
    size_t half = npy.n / 2;
    zst.p = malloc(2 * ZSTD_compressBound(npy.n));
    zst.n = ZSTD_compress(zst.p, ZSTD_compressBound(npy.n), npy.p, half, 1);
    zst.n += ZSTD_compress(zst.p + zst.n, ZSTD_compressBound(npy.n), npy.p + half,
                           npy.n - half, 1);
    deflate_member(&zip, &directory, "a.npy", &npy);
    deflate_member(&zip, &directory, "b.npy", &npy);
    size_t at = zip.n;
    put(&zip, directory.p, directory.n);
    put_text(&zip, "PK\5\6");
    put_le(&zip, 0, 4), put_le(&zip, 2, 2), put_le(&zip, 2, 2);
    put_le(&zip, directory.n, 4), put_le(&zip, at, 4), put_le(&zip, 0, 2);

    const struct bytes *files[] = {&zst, &zip};
    for (size_t i = 0; i < 2; i++) {
        char path[300];
        strcpy(path, write_bytes("being-cut", files[i]->p, files[i]->n));
        struct err err = {0};
        struct container *c = container_open(path, NULL, &err);
        if (!c)
            fail_msg("%s", err.msg);
        container_close(c);
        struct progress progress = {cut_the_file, path};
        assert_null(container_open(path, &progress, &err));
        char want[400];
        snprintf(want, sizeof want, "%s: changed or truncated while open (found another "
                 "size, time or end, expected the file as it was opened)", path);
        assert_string_equal(err.msg, want);
    }
    sched_setaffinity(0, sizeof was, &was);
    bytes_free(&npy), bytes_free(&zst), bytes_free(&zip), bytes_free(&directory);
}

/* Opening a huge stored file costs nothing: a sparse terabyte opens at once. */
static void opening_does_not_touch_the_data(void **state)
{
    (void)state;
    unsigned char head[NPY_HEADER_ROOM];
    int64_t shape[2] = {1 << 19, 1 << 19};
    size_t n = npy_write_header(DTYPE_F32, 2, shape, head, sizeof head);
    const char *path = write_bytes("huge.npy", head, n);
    if (truncate(path, (off_t)n + ((off_t)4 << 38)) != 0)
        skip(); /* a file system without sparse files */
    struct err err = {0};
    struct container *c = container_open(path, NULL, &err);
    if (!c && err.code == ERR_OS)
        skip(); /* not this much address space */
    assert_non_null(c);
    assert_int_equal(tensor_count(container_at(c, 0)), (int64_t)1 << 38);
    container_close(c);
}

/* Files of other writers, checked in with the script that made them. */
static void files_of_other_writers(void **state)
{
    (void)state;
    const char *ref = getenv("TEST_REF");
    assert_non_null(ref);
    static const struct { const char *name, *kind; size_t n; } cases[] = {
        {"a.npy", "npy", 1}, {"a.npy.zst", "npy", 1}, {"a.frames.npy.zst", "npy", 1},
        {"a.unknown-size.npy.zst", "npy", 1}, {"stored.npz", "npz", 3},
        {"deflated.npz", "npz", 3}, {"abk.safetensors", "safetensors", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[5000];
        snprintf(path, sizeof path, "%s/containers/%s", ref, cases[i].name);
        struct err err = {0};
        struct container *c = container_open(path, NULL, &err);
        if (!c)
            fail_msg("%s", err.msg);
        assert_string_equal(container_kind(c), cases[i].kind);
        assert_int_equal(container_count(c), cases[i].n);
        assert_true(container_verify(c, NULL, NULL));
        const struct tensor *a = container_at(c, 0);
        assert_int_equal(a->ndim, 2);
        assert_int_equal(a->shape[0], 3);
        float out[12];
        tensor_read_f32(a, 0, 12, out);
        for (int k = 0; k < 12; k++)
            assert_true(out[k] == (float)k);
        if (cases[i].n == 3) {
            assert_string_equal(a->name, "a");
            tensor_read_f32(container_find(c, "b"), 0, 5, out);
            assert_true(out[4] == -2);
            int64_t k;
            assert_int_equal(container_at(c, 2)->ndim, 0);
            tensor_read_i64(container_at(c, 2), 0, 1, &k);
            assert_int_equal(k, 64);
        }
        container_close(c);
    }
}

static struct container *open_fixture(const char *name)
{
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", fixtures(), name);
    struct err err = {0};
    struct container *c = container_open(path, NULL, &err);
    if (!c)
        fail_msg("%s", err.msg);
    return c;
}

/* The same arrays packed and plain are the same bytes. */
static void samples_beside_the_source_agree(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    static const char *const pairs[][2] = {
        {"A/sae/gemma_scope_jumprelu/params.npz", "A/sae/gemma_scope_jumprelu_compressed/params.npz"},
        {"A/sae/npy_prolu_relu/W_enc.npy", "A/sae/npyzst_prolu_relu/W_enc.npy.zst"},
        {"A/sae/npy_prolu_relu/W_dec.npy", "A/sae/npyzst_prolu_relu/W_dec.npy.zst"},
        {"A/sae/npy_prolu_relu/b_enc.npy", "A/sae/npyzst_prolu_relu/b_enc.npy.zst"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct container *a = open_fixture(pairs[i][0]), *b = open_fixture(pairs[i][1]);
        assert_int_equal(container_count(a), container_count(b));
        assert_true(container_verify(a, NULL, NULL));
        for (size_t k = 0; k < container_count(a); k++) {
            const struct tensor *s = container_at(a, k), *t = container_find(b, s->name);
            assert_non_null(t);
            assert_int_equal(s->dtype, t->dtype);
            assert_int_equal(tensor_count(s), tensor_count(t));
            assert_memory_equal(s->data, t->data,
                                (size_t)(tensor_count(s) * dtype_info[s->dtype].size));
        }
        container_close(a), container_close(b);
    }
    static const char *const others[] = {
        "A/acts.npy", "A/tokens.npy", "A/model/model.safetensors",
        "A/sae/saelens_standard/sae_weights.safetensors",
        "A/sae/saelens_standard_bf16/sae_weights.safetensors",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        container_close(open_fixture(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_is_mapped_where_it_lies),
        cmocka_unit_test(safetensors_has_names_and_metadata),
        cmocka_unit_test(refusals_name_file_and_format),
        cmocka_unit_test(damaged_npy),
        cmocka_unit_test(damaged_safetensors),
        cmocka_unit_test(a_file_cut_while_decompressing),
        cmocka_unit_test(opening_does_not_touch_the_data),
        cmocka_unit_test(files_of_other_writers),
        cmocka_unit_test(samples_beside_the_source_agree),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
