/* test_zip.c - zip directories and npz files: good, odd, hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libdeflate.h>

#include "io/container.h"
#include "io/npy.h"
#include "io/zip.h"
#include "files.h"

/* A member as it is to be written; what is 0 is filled in as it should be. */
struct part {
    const char *name;
    struct bytes content; /* borrowed */
    int method;
    size_t padding;        /* of the local header: bytes of extra field */
    bool zip64;            /* sizes in extra fields, 0xffffffff in the header */
    int flags;
    uint32_t wrong_crc;    /* xor-ed */
    int64_t wrong_size, wrong_packed, wrong_local; /* added */
};

struct made {
    struct bytes file, directory;
    size_t n;
};

static void add(struct made *z, const struct part *p)
{
    unsigned char *packed = p->content.p;
    size_t n = p->content.n;
    if (p->method == ZIP_DEFLATED) {
        struct libdeflate_compressor *tool = libdeflate_alloc_compressor(6);
        size_t bound = libdeflate_deflate_compress_bound(tool, n);
        packed = malloc(bound);
        n = libdeflate_deflate_compress(tool, p->content.p, n, packed, bound);
        libdeflate_free_compressor(tool);
    }
    uint64_t local = z->file.n + (uint64_t)p->wrong_local;
    uint64_t size = p->content.n + (uint64_t)p->wrong_size;
    uint64_t packed_size = n + (uint64_t)p->wrong_packed;
    uint32_t crc = libdeflate_crc32(0, p->content.p, p->content.n) ^ p->wrong_crc;

    put_text(&z->file, "PK\3\4");
    put_le(&z->file, 45, 2), put_le(&z->file, (uint64_t)p->flags, 2);
    put_le(&z->file, (uint64_t)p->method, 2), put_le(&z->file, 0, 4);
    put_le(&z->file, 0, 4); /* the local header lies about CRC and sizes, as real ones do */
    put_le(&z->file, 0xffffffff, 4), put_le(&z->file, 0xffffffff, 4);
    put_le(&z->file, strlen(p->name), 2), put_le(&z->file, p->padding, 2);
    put_text(&z->file, p->name);
    put_zeros(&z->file, p->padding);
    put(&z->file, packed, n);

    struct bytes *d = &z->directory;
    put_text(d, "PK\1\2");
    put_le(d, 45, 2), put_le(d, 45, 2), put_le(d, (uint64_t)p->flags, 2);
    put_le(d, (uint64_t)p->method, 2), put_le(d, 0, 4), put_le(d, crc, 4);
    put_le(d, p->zip64 ? 0xffffffff : packed_size, 4);
    put_le(d, p->zip64 ? 0xffffffff : size, 4);
    put_le(d, strlen(p->name), 2), put_le(d, p->zip64 ? 4 + 5 + 4 + 24 : 0, 2);
    put_le(d, 0, 2), put_le(d, 0, 2), put_le(d, 0, 2), put_le(d, 0, 4);
    put_le(d, p->zip64 ? 0xffffffff : local, 4);
    put_text(d, p->name);
    if (p->zip64) {
        put_le(d, 0x5455, 2), put_le(d, 5, 2), put_zeros(d, 5); /* some other field first */
        put_le(d, 1, 2), put_le(d, 24, 2);
        put_le(d, size, 8), put_le(d, packed_size, 8), put_le(d, local, 8);
    }
    z->n++;
    if (p->method == ZIP_DEFLATED)
        free(packed);
}

static struct bytes finish(struct made *z, bool zip64, const char *comment)
{
    uint64_t at = z->file.n, size = z->directory.n;
    struct bytes *f = &z->file;
    put(f, z->directory.p, z->directory.n);
    if (zip64) {
        uint64_t record = f->n;
        put_text(f, "PK\6\6");
        put_le(f, 44, 8), put_le(f, 45, 2), put_le(f, 45, 2), put_le(f, 0, 8);
        put_le(f, z->n, 8), put_le(f, z->n, 8), put_le(f, size, 8), put_le(f, at, 8);
        put_text(f, "PK\6\7");
        put_le(f, 0, 4), put_le(f, record, 8), put_le(f, 1, 4);
    }
    put_text(f, "PK\5\6");
    put_le(f, 0, 4);
    put_le(f, zip64 ? 0xffff : z->n, 2), put_le(f, zip64 ? 0xffff : z->n, 2);
    put_le(f, zip64 ? 0xffffffff : size, 4), put_le(f, zip64 ? 0xffffffff : at, 4);
    put_le(f, strlen(comment), 2);
    put_text(f, comment);
    bytes_free(&z->directory);
    return *f;
}

static struct bytes header_of(int64_t n)
{
    struct bytes b = {0};
    unsigned char head[NPY_HEADER_ROOM];
    put(&b, head, npy_write_header(DTYPE_F32, 1, &n, head, sizeof head));
    return b;
}

static struct bytes array(int64_t n, float scale)
{
    struct bytes b = header_of(n);
    for (int64_t i = 0; i < n; i++) {
        float f = (float)i * scale;
        put(&b, &f, sizeof f);
    }
    return b;
}

static struct container *open_bytes(const struct bytes *b, struct err *err)
{
    return container_open(write_bytes("test.npz", b->p, b->n), NULL, err);
}

static void assert_counts(const struct container *c, const char *name, int64_t n, float scale)
{
    const struct tensor *t = container_find(c, name);
    assert_non_null(t);
    assert_int_equal(tensor_count(t), n);
    float *out = malloc((size_t)n * sizeof *out + 1);
    tensor_read_f32(t, 0, n, out);
    for (int64_t i = 0; i < n; i++)
        assert_true(out[i] == (float)i * scale);
    free(out);
}

static void stored_and_deflated_in_every_dress(void **state)
{
    (void)state;
    struct bytes a = array(1000, 1), b = array(3, -0.5f), text = {0};
    put_text(&text, "hello");
    for (int variant = 0; variant < 16; variant++) {
        bool zip64 = variant & 1;
        int method = variant & 2 ? ZIP_DEFLATED : ZIP_STORED;
        struct made z = {0};
        add(&z, &(struct part){.name = "W_enc.npy", .content = a, .method = method,
                               .zip64 = zip64, .padding = variant & 8 ? 31 : 0});
        add(&z, &(struct part){.name = "README", .content = text});
        add(&z, &(struct part){.name = "dir/", .content = {0}});
        add(&z, &(struct part){.name = "dir/b_enc.npy", .content = b, .flags = 8,
                               .zip64 = zip64});
        struct bytes f = finish(&z, zip64, variant & 4 ? "a comment with PK\5\6 in it" : "");
        struct err err = {0};
        struct container *c = open_bytes(&f, &err);
        if (!c)
            fail_msg("variant %d: %s", variant, err.msg);
        assert_string_equal(container_kind(c), "npz");
        assert_int_equal(container_count(c), 2);
        assert_string_equal(container_at(c, 0)->name, "W_enc");
        assert_counts(c, "W_enc", 1000, 1);
        assert_counts(c, "dir/b_enc", 3, -0.5f);
        assert_true(container_verify(c, NULL, NULL));
        for (size_t i = 0; i < 2; i++) {
            const struct tensor *t = container_at(c, i);
            float value;
            int64_t offset;
            int fd = container_fd(c, t, &offset);
            assert_int_equal(pread(fd, &value, 4, offset + 8), 4);
            assert_true(value == (i ? -1.0f : 2.0f));
        }
        container_close(c);
        bytes_free(&f);
    }
    bytes_free(&a), bytes_free(&b), bytes_free(&text);
}

static void what_is_wrong_with_a_member_is_said(void **state)
{
    (void)state;
    struct bytes a = array(100, 1);
    static const struct {
        struct part part;
        enum err_code code;
        const char *says;
    } cases[] = {
        {{.name = "/a.npy"}, ERR_FORMAT, "bad name"},
        {{.name = "../a.npy"}, ERR_FORMAT, "bad name"},
        {{.name = "x/../a.npy"}, ERR_FORMAT, "bad name"},
        {{.name = "x\\a.npy"}, ERR_FORMAT, "bad name"},
        {{.name = ""}, ERR_FORMAT, "bad name"},
        {{.name = "a.npy", .flags = 1}, ERR_UNSUPPORTED, "encrypted"},
        {{.name = "a.npy", .method = 14}, ERR_UNSUPPORTED, "found 14, expected 0 or 8"},
        {{.name = "a.npy", .wrong_size = 1}, ERR_FORMAT, "sizes differ"},
        {{.name = "a.npy", .wrong_local = 1}, ERR_FORMAT, "bad local header"},
        {{.name = "a.npy", .wrong_local = 1 << 20}, ERR_FORMAT, "outside the file"},
        {{.name = "a.npy", .wrong_size = 1 << 20, .wrong_packed = 1 << 20}, ERR_FORMAT, "outside the file"},
        {{.name = "a.npy", .zip64 = true, .wrong_local = INT64_MIN}, ERR_FORMAT, "too large"},
        {{.name = "a.npy", .zip64 = true, .wrong_local = INT64_MAX}, ERR_FORMAT, "outside the file"},
        {{.name = "a.npy", .zip64 = true, .wrong_size = INT64_MAX - 1000, .wrong_packed = INT64_MAX - 1000}, ERR_FORMAT, "outside the file"},
        {{.name = "a.npy", .method = 8, .wrong_size = 1}, ERR_FORMAT, "found fewer bytes"},
        {{.name = "a.npy", .method = 8, .wrong_size = -1}, ERR_FORMAT, "found more bytes"},
        {{.name = "a.npy", .method = 8, .wrong_packed = -9}, ERR_FORMAT, "bad deflate data"},
        {{.name = "a.npy", .method = 8, .wrong_crc = 4}, ERR_FORMAT, "found CRC-32"},
        {{.name = "a.npy", .method = 8, .wrong_size = 1 << 30}, ERR_FORMAT, "cannot be that large"},
        {{.name = "a.npy", .method = 8, .zip64 = true, .wrong_size = (int64_t)1 << 60}, ERR_FORMAT, "cannot be that large"},
        {{.name = "a.txt"}, ERR_FORMAT, "no .npy members"},
        {{.name = ".npy"}, ERR_FORMAT, "no .npy members"},
        {{.name = "x/data.pkl"}, ERR_FORMAT, "bad pickle"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct part p = cases[i].part;
        p.content = a;
        struct made z = {0};
        add(&z, &p);
        struct bytes f = finish(&z, false, "");
        struct err err = {0};
        assert_null(open_bytes(&f, &err));
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu: %d %s", i, err.code, err.msg);
        assert_memory_equal(err.msg, test_path("test.npz"), strlen(test_path("test.npz")));
        bytes_free(&f);
    }
    bytes_free(&a);
}

static void what_is_wrong_with_the_whole_is_said(void **state)
{
    (void)state;
    struct bytes a = array(100, 1), npy = {0};
    struct err err = {0};
    struct made twice = {0};
    add(&twice, &(struct part){.name = "a.npy", .content = a});
    add(&twice, &(struct part){.name = "b.npy", .content = a});
    add(&twice, &(struct part){.name = "a.npy", .content = a});
    struct bytes f = finish(&twice, false, "");
    assert_null(open_bytes(&f, &err));
    assert_non_null(strstr(err.msg, "'a.npy' comes twice"));
    bytes_free(&f);

    /* Two members out of the same bytes: how a small zip becomes a large one. */
    struct made overlap = {0};
    add(&overlap, &(struct part){.name = "a.npy", .content = a});
    add(&overlap, &(struct part){.name = "b.npy", .content = a,
                                 .wrong_local = -(int64_t)overlap.file.n});
    f = finish(&overlap, false, "");
    assert_null(open_bytes(&f, &err));
    assert_non_null(strstr(err.msg, "overlap"));
    bytes_free(&f);

    struct made empty = {0};
    f = finish(&empty, false, "");
    assert_null(open_bytes(&f, &err));
    assert_non_null(strstr(err.msg, "no .npy members"));
    bytes_free(&f);

    struct made nothing = {0};
    add(&nothing, &(struct part){.name = "x.npy", .content = npy, .method = ZIP_DEFLATED});
    f = finish(&nothing, false, "");
    assert_null(open_bytes(&f, &err));
    assert_non_null(strstr(err.msg, "member 'x.npy': not an npy file"));
    bytes_free(&f);

    put_text(&npy, "not an array");
    struct made other = {0};
    add(&other, &(struct part){.name = "x.npy", .content = npy});
    f = finish(&other, false, "");
    assert_null(open_bytes(&f, &err));
    assert_non_null(strstr(err.msg, "member 'x.npy': not an npy file"));
    bytes_free(&f);
    bytes_free(&a), bytes_free(&npy);
}

static void stored_members_are_verified_when_asked(void **state)
{
    (void)state;
    struct bytes a = array(100, 1);
    struct made z = {0};
    add(&z, &(struct part){.name = "a.npy", .content = a, .wrong_crc = 1});
    struct bytes f = finish(&z, false, "");
    struct container *c = open_bytes(&f, NULL);
    assert_non_null(c);
    struct err err = {0};
    assert_false(container_verify(c, NULL, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "'a.npy' is damaged at byte"));
    container_close(c);
    bytes_free(&f), bytes_free(&a);
}

static bool never(void *ctx, const char *what, int64_t done, int64_t of)
{
    assert_non_null(what);
    assert_true(done <= of);
    ++*(int *)ctx;
    return false;
}

static void inflating_can_be_cancelled(void **state)
{
    (void)state;
    struct bytes a = array(100000, 1);
    struct made z = {0};
    add(&z, &(struct part){.name = "a.npy", .content = a, .method = ZIP_DEFLATED});
    struct bytes f = finish(&z, false, "");
    int calls = 0;
    struct progress progress = {never, &calls};
    struct err err = {0};
    assert_null(container_open(write_bytes("cancel.npz", f.p, f.n), &progress, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_true(calls > 0);
    bytes_free(&f), bytes_free(&a);
}

struct inside {
    int64_t least; /* bytes done that were told between nothing and all */
    bool cancel;
    int calls;
};

static bool watch_inside(void *ctx, const char *what, int64_t done, int64_t of)
{
    struct inside *inside = ctx;
    assert_non_null(what);
    assert_true(done >= 0 && done <= of);
    inside->calls++;
    if (done > 0 && done < of && !inside->least)
        inside->least = done;
    return !(inside->cancel && inside->least);
}

/* One member, as of a checkpoint: how far it is is told while it is inflated, and that is
 * where it can be stopped. */
static void a_member_is_watched_and_left(void **state)
{
    (void)state;
    enum { N = 64 << 20 };
    struct bytes a = header_of(N / 4);
    put_zeros(&a, N);
    uint64_t seed = 3;
    for (size_t i = a.n - N; i < a.n; i++)
        a.p[i] = (unsigned char)(next_random(&seed) & 31);
    struct made z = {0};
    add(&z, &(struct part){.name = "a.npy", .content = a, .method = ZIP_DEFLATED});
    struct bytes f = finish(&z, false, "");
    const char *path = write_bytes("watched.npz", f.p, f.n);
    for (int cancel = 0; cancel < 2; cancel++) {
        struct inside inside = {.cancel = cancel};
        struct progress progress = {watch_inside, &inside};
        struct err err = {0};
        struct container *c = container_open(path, &progress, &err);
        assert_true(inside.least > 0);
        assert_true((c == NULL) == cancel);
        if (c)
            assert_memory_equal(container_at(c, 0)->data, a.p + a.n - N, N);
        else
            assert_int_equal(err.code, ERR_CANCELLED);
        container_close(c);
    }
    bytes_free(&f), bytes_free(&a);
}

/* A header that promises more than its member holds, found before 128 MiB are written. */
static void a_promise_is_read_before_the_member(void **state)
{
    (void)state;
    enum { N = 64 << 20 };
    struct bytes whole = header_of(N);
    put_zeros(&whole, N);
    struct made z = {0};
    add(&z, &(struct part){.name = "a.npy", .content = whole, .method = ZIP_DEFLATED});
    struct bytes f = finish(&z, false, "");
    struct inside inside = {0};
    struct progress progress = {watch_inside, &inside};
    struct err err = {0};
    assert_null(container_open(write_bytes("promise.npz", f.p, f.n), &progress, &err));
    assert_non_null(strstr(err.msg, "member 'a.npy': npy data ends early"));
    assert_int_equal(inside.calls, 0);
    bytes_free(&f), bytes_free(&whole);
}

static struct bytes mixed(bool zip64)
{
    struct bytes a = array(5, 1), b = array(3, 2);
    struct made z = {0};
    add(&z, &(struct part){.name = "a.npy", .content = a, .zip64 = zip64});
    add(&z, &(struct part){.name = "b.npy", .content = b, .method = ZIP_DEFLATED});
    struct bytes f = finish(&z, zip64, "");
    bytes_free(&a), bytes_free(&b);
    return f;
}

static void truncated_anywhere(void **state)
{
    (void)state;
    struct bytes f = mixed(true);
    for (size_t n = 0; n < f.n; n++) {
        struct bytes cut = {.p = f.p, .n = n};
        struct err err = {0};
        assert_null(open_bytes(&cut, &err));
        assert_int_not_equal(err.code, ERR_NONE);
    }
    bytes_free(&f);
}

static void mutations(void **state)
{
    (void)state;
    uint64_t seed = 4;
    int good = 0;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        struct bytes f = mixed(zip64);
        unsigned char *out = malloc(f.n);
        for (int i = 0; i < 1500; i++) {
            struct bytes m = {.p = out, .n = mutate(f.p, f.n, out, &seed)};
            struct err err = {0};
            struct container *c = open_bytes(&m, &err);
            if (!c) {
                assert_int_not_equal(err.code, ERR_NONE);
                continue;
            }
            for (size_t k = 0; k < container_count(c); k++) {
                float values[64];
                int64_t n = tensor_count(container_at(c, k));
                tensor_read_f32(container_at(c, k), 0, n < 64 ? n : 64, values);
            }
            container_verify(c, NULL, NULL);
            container_close(c);
            good++;
        }
        free(out);
        bytes_free(&f);
    }
    assert_true(good > 0 && good < 3000);
}

static void members_are_found_by_name(void **state)
{
    (void)state;
    struct bytes f = mixed(false);
    struct map m;
    struct zip z;
    assert_true(map_open(&m, write_bytes("find.zip", f.p, f.n), NULL));
    assert_true(zip_open(&z, &m, NULL));
    assert_int_equal(z.n, 2);
    assert_ptr_equal(zip_find(&z, "b.npy"), &z.member[1]);
    assert_null(zip_find(&z, "b"));
    assert_int_equal(z.member[0].data, z.member[0].local + 30 + 5);
    zip_close(&z);
    zip_close(&z);
    map_close(&m);
    bytes_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_and_deflated_in_every_dress),
        cmocka_unit_test(what_is_wrong_with_a_member_is_said),
        cmocka_unit_test(what_is_wrong_with_the_whole_is_said),
        cmocka_unit_test(stored_members_are_verified_when_asked),
        cmocka_unit_test(inflating_can_be_cancelled),
        cmocka_unit_test(a_member_is_watched_and_left),
        cmocka_unit_test(a_promise_is_read_before_the_member),
        cmocka_unit_test(truncated_anywhere),
        cmocka_unit_test(mutations),
        cmocka_unit_test(members_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
