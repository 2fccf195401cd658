/* test_zstream.c - zstd files in all their shapes, and bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zstd.h>

#include "io/container.h"
#include "io/npy.h"
#include "io/zstream.h"
#include "files.h"

struct how {
    bool no_size, checksum;
};

static void frame(struct bytes *b, const void *p, size_t n, struct how how)
{
    ZSTD_CCtx *tool = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(n);
    unsigned char *packed = malloc(bound);
    ZSTD_CCtx_setParameter(tool, ZSTD_c_contentSizeFlag, !how.no_size);
    ZSTD_CCtx_setParameter(tool, ZSTD_c_checksumFlag, how.checksum);
    if (!how.no_size)
        ZSTD_CCtx_setPledgedSrcSize(tool, n);
    ZSTD_inBuffer in = {p, n, 0};
    ZSTD_outBuffer out = {packed, bound, 0};
    while (ZSTD_compressStream2(tool, &out, &in, ZSTD_e_end) != 0)
        ;
    put(b, packed, out.pos);
    free(packed);
    ZSTD_freeCCtx(tool);
}

static void skippable(struct bytes *b, const void *p, size_t n)
{
    put_le(b, 0x184d2a50 + 3, 4);
    put_le(b, n, 4);
    put(b, p, n);
}

/* n bytes that do not compress to nothing and are not random either. */
static struct bytes plain(size_t n)
{
    struct bytes b = {0};
    uint64_t seed = 7;
    while (b.n < n)
        put_le(&b, next_random(&seed) & 0x0f0f0f0f, 4);
    b.n = n;
    return b;
}

static bool unpack(const struct bytes *b, struct map *out, struct err *err)
{
    struct map in;
    if (!map_open(&in, write_bytes("test.zst", b->p, b->n), err))
        return false;
    bool ok = zstream_map(&in, out, NULL, err);
    map_close(&in);
    return ok;
}

static void assert_unpacks_to(const struct bytes *b, const struct bytes *want)
{
    struct map out;
    struct err err = {0};
    if (!unpack(b, &out, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(out.size, want->n);
    assert_memory_equal(out.data, want->p, want->n);
    map_close(&out);
}

static void frames_of_all_kinds(void **state)
{
    (void)state;
    static const size_t cuts[][4] = {
        {0}, {1}, {100000}, {1000, 2000, 3000}, {1, 1, 1, 1}, {9000000}, {5000000, 10, 6000000},
    };
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        for (int variant = 0; variant < 16; variant++) {
            size_t total = 0, at = 0;
            for (int i = 0; i < 4; i++)
                total += cuts[c][i];
            if (total > 1000000 && variant > 3)
                continue; /* the large ones once a kind of frame */
            struct bytes content = plain(total), b = {0};
            for (int i = 0; i < 4; i++) {
                /* Bit 0: none says its size; bit 1: the odd ones do not. */
                bool no_size = variant & 1 || (variant & 2 && i % 2);
                if (variant & 4)
                    skippable(&b, "skip me", 7);
                if (cuts[c][i] || i == 0)
                    frame(&b, content.p ? content.p + at : NULL, cuts[c][i],
                          (struct how){.no_size = no_size, .checksum = variant & 8});
                at += cuts[c][i];
            }
            assert_unpacks_to(&b, &content);
            bytes_free(&b), bytes_free(&content);
        }
    }
}

/* Many frames, so that every thread gets several. */
static void many_frames_in_parallel(void **state)
{
    (void)state;
    struct bytes content = plain(2000000), b = {0};
    for (size_t at = 0; at < content.n; at += 5000)
        frame(&b, content.p + at, 5000, (struct how){.checksum = true});
    assert_unpacks_to(&b, &content);
    bytes_free(&b), bytes_free(&content);
}

/* The seekable format's table gives sizes to frames that have none; one that contradicts
 * the frames is not believed, one that lies about the content is found out. */
static void seek_tables(void **state)
{
    (void)state;
    struct bytes content = plain(30000);
    for (int lie = 0; lie < 4; lie++) {
        struct bytes b = {0}, table = {0};
        for (size_t i = 0; i < 3; i++) {
            size_t before = b.n;
            frame(&b, content.p + i * 10000, 10000, (struct how){.no_size = true});
            put_le(&table, b.n - before + (lie == 1 && i == 1), 4);
            put_le(&table, (size_t)(10000 + (lie == 2 ? 1 : 0)), 4);
        }
        put_le(&table, lie == 3 ? 2 : 3, 4), put_le(&table, 0, 1);
        put_le(&table, 0x8f92eab1, 4);
        put_le(&b, 0x184d2a5e, 4), put_le(&b, table.n, 4), put(&b, table.p, table.n);
        if (lie == 2) {
            struct map out;
            struct err err = {0};
            assert_false(unpack(&b, &out, &err));
            assert_non_null(strstr(err.msg, "does not hold what it says"));
        } else {
            assert_unpacks_to(&b, &content);
        }
        bytes_free(&b), bytes_free(&table);
    }
    bytes_free(&content);
}

static struct bytes npy_of(int64_t promised, size_t present)
{
    struct bytes b = {0};
    unsigned char head[NPY_HEADER_ROOM];
    put(&b, head, npy_write_header(DTYPE_U8, 1, &promised, head, sizeof head));
    put_zeros(&b, present);
    return b;
}

/* What begins like a pickle, which says nothing of its size. */
static struct bytes pickle_of(size_t n)
{
    struct bytes b = {calloc(1, n), n, 0};
    memcpy(b.p, "\x80\x02}", 3);
    return b;
}

static void bombs_are_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t promised; /* -1: no npy inside */
        size_t present;
        bool no_size;
        const char *says;
    } cases[] = {
        {10, 10, false, NULL},
        {10, 10 + 60000, false, NULL}, /* bytes behind an array are allowed, a few */
        {10, 10 + 60000, true, NULL},
        {10, 10 + 70000, false, "more than its npy header promises"},
        {10, 10 + 70000, true, "more than its npy header promises"},
        {10, 50000000, true, "more than its npy header promises"},
        {(int64_t)1 << 61, 100, false, "npy data ends early"},
        {(int64_t)1 << 61, 100, true, "npy data ends early"},
        {-1, 100000000, false, "more than 64 times its size"},
        {-1, 100000000, true, "more than 64 times its size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = {0}, content = {0};
        if (cases[i].promised >= 0)
            content = npy_of(cases[i].promised, cases[i].present);
        else
            content = pickle_of(cases[i].present);
        frame(&b, content.p, content.n, (struct how){.no_size = cases[i].no_size});
        struct err err = {0};
        struct container *c = container_open(write_bytes("bomb.zst", b.p, b.n), NULL, &err);
        if (!c != !!cases[i].says || (!c && !strstr(err.msg, cases[i].says)))
            fail_msg("case %zu: %s", i, err.msg);
        container_close(c);
        bytes_free(&b), bytes_free(&content);
    }
}

struct seen {
    bool measured, decompressed;
};

static bool see_stage(void *ctx, const char *what, int64_t done, int64_t of)
{
    struct seen *seen = ctx;
    (void)done, (void)of;
    seen->measured |= strcmp(what, "measuring") == 0;
    seen->decompressed |= strcmp(what, "decompressing") == 0;
    return true;
}

/* An array of which the last byte is missing, and one that is whole, packed as numbers never
 * are: the first is refused before anything is written, however its frame is made. */
static void what_is_missing_is_missed_early(void **state)
{
    (void)state;
    enum { N = 80 << 20 };
    for (int variant = 0; variant < 8; variant++) {
        bool whole = variant & 1, no_size = variant & 2, blocks = variant & 4;
        struct bytes content = npy_of(N, N - !whole), b = {0};
        for (size_t i = 128; blocks && i < content.n; i++)
            content.p[i] = (unsigned char)(i % 251); /* not of one byte: no runs */
        frame(&b, content.p, content.n, (struct how){.no_size = no_size});
        struct seen seen = {0};
        struct progress progress = {see_stage, &seen};
        struct map in, out;
        struct err err = {0};
        assert_true(map_open(&in, write_bytes("early.zst", b.p, b.n), NULL));
        bool ok = zstream_map(&in, &out, &progress, &err);
        if (ok != whole || seen.decompressed != whole)
            fail_msg("variant %d: %s", variant, err.msg);
        if (ok) {
            assert_int_equal(out.size, content.n);
            assert_memory_equal(out.data, content.p, content.n);
            map_close(&out);
        } else {
            assert_non_null(strstr(err.msg, "npy data ends early"));
            assert_true(no_size || !seen.measured);
        }
        map_close(&in);
        bytes_free(&b), bytes_free(&content);
    }
}

/* A frame header may claim any size: refused before a byte is written. */
static void claims_are_checked_first(void **state)
{
    (void)state;
    static const unsigned char huge[] = {
        0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x58, /* 8-byte size, window 2 MiB */
        0, 0, 0, 0, 0, 0, 0, 0x40,          /* 2^62 bytes */
        0x01, 0x00, 0x00};                  /* one empty last block */
    struct bytes b = {.p = (unsigned char *)huge, .n = sizeof huge};
    struct map out;
    struct err err = {0};
    assert_false(unpack(&b, &out, &err));
    assert_non_null(strstr(err.msg, "does not hold what it says"));
    /* Runs of 128 KiB, 4 bytes each: they hold what they say, and it is too much. */
    static const unsigned char head[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58};
    struct bytes runs = {0};
    put(&runs, head, sizeof head);
    for (int last = 0, i = 0; i < 1000; i++) {
        last = i == 999;
        put_le(&runs, (uint64_t)(131072u << 3 | 1u << 1) | (uint64_t)last, 3);
        put_le(&runs, 0, 1);
    }
    assert_false(unpack(&runs, &out, &err));
    assert_non_null(strstr(err.msg, "more than 64 times its size"));
    bytes_free(&runs);
    /* A window of 2 GiB, content size unknown. */
    static const unsigned char window[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0};
    b = (struct bytes){.p = (unsigned char *)window, .n = sizeof window};
    assert_false(unpack(&b, &out, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "found 2048 MiB, expected at most 128"));
}

static void damage_is_found(void **state)
{
    (void)state;
    struct bytes content = plain(3000);
    for (int variant = 0; variant < 4; variant++) {
        struct bytes b = {0};
        struct how how = {.no_size = variant & 1, .checksum = true};
        frame(&b, content.p, 1000, how);
        frame(&b, content.p + 1000, 2000, how);
        if (variant & 2)
            skippable(&b, "x", 1);
        struct map out;
        struct err err = {0};
        /* Every cut but those between frames is an error. */
        size_t whole = 0;
        for (size_t n = 1; n < b.n; n += n < 40 || b.n - n < 60 ? 1 : 3) {
            struct bytes cut = {.p = b.p, .n = n};
            if (unpack(&cut, &out, &err)) {
                assert_true(out.size == 1000 || out.size == 3000);
                whole++;
                map_close(&out);
            } else {
                assert_int_equal(err.code, ERR_FORMAT);
                assert_true(err.offset <= n);
            }
        }
        assert_true(whole <= (variant & 2 ? 2 : 1));
        /* Any changed bit of the content is caught by the checksum. */
        for (size_t at = 20; at < b.n - 20; at += 17) {
            b.p[at] ^= 4;
            if (unpack(&b, &out, &err)) {
                assert_memory_equal(out.data, content.p, (size_t)out.size);
                map_close(&out);
            }
            b.p[at] ^= 4;
        }
        put_text(&b, "junk");
        assert_false(unpack(&b, &out, &err));
        assert_non_null(strstr(err.msg, "not a zstd frame"));
        bytes_free(&b);
    }
    bytes_free(&content);
}

static void mutations(void **state)
{
    (void)state;
    struct bytes content = npy_of(500, 500), b = {0};
    for (size_t i = 128; i < content.n; i++)
        content.p[i] = (unsigned char)(i * i);
    frame(&b, content.p, 300, (struct how){0});
    frame(&b, content.p + 300, content.n - 300, (struct how){.no_size = true});
    unsigned char *out = malloc(b.n);
    uint64_t seed = 5;
    int good = 0;
    for (int i = 0; i < 2000; i++) {
        size_t n = mutate(b.p, b.n, out, &seed);
        struct err err = {0};
        struct container *c = container_open(write_bytes("mutant.zst", out, n), NULL, &err);
        assert_true(c || err.code != ERR_NONE);
        good += c != NULL;
        container_close(c);
    }
    assert_true(good > 0 && good < 2000);
    free(out);
    bytes_free(&b), bytes_free(&content);
}

static bool count_then_stop(void *ctx, const char *what, int64_t done, int64_t of)
{
    (void)what;
    assert_true(done <= of);
    return ++*(int *)ctx < 3;
}

static void can_be_cancelled(void **state)
{
    (void)state;
    struct bytes content = plain(20000000), b = {0};
    frame(&b, content.p, content.n, (struct how){0});
    int calls = 0;
    struct progress progress = {count_then_stop, &calls};
    struct map in, out;
    struct err err = {0};
    assert_true(map_open(&in, write_bytes("cancel.zst", b.p, b.n), NULL));
    assert_false(zstream_map(&in, &out, &progress, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(calls, 3);
    map_close(&in);
    bytes_free(&b), bytes_free(&content);
}

static void zstd_in_zstd_is_not_followed(void **state)
{
    (void)state;
    struct bytes content = npy_of(5, 5), inner = {0}, outer = {0};
    frame(&inner, content.p, content.n, (struct how){0});
    frame(&outer, inner.p, inner.n, (struct how){0});
    struct err err = {0};
    assert_null(container_open(write_bytes("twice.zst", outer.p, outer.n), NULL, &err));
    assert_non_null(strstr(err.msg, "unknown format (found bytes 28 b5 2f fd"));
    bytes_free(&content), bytes_free(&inner), bytes_free(&outer);
}

static void without_a_cache_directory_there_is_tmp(void **state)
{
    (void)state;
    struct bytes content = plain(10000), b = {0};
    frame(&b, content.p, content.n, (struct how){0});
    char *was = strdup(getenv("XDG_CACHE_HOME"));
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    struct map out;
    assert_true(unpack(&b, &out, NULL));
    map_close(&out);
    setenv("XDG_CACHE_HOME", was, 1);
    free(was);
    bytes_free(&b), bytes_free(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_all_kinds),
        cmocka_unit_test(many_frames_in_parallel),
        cmocka_unit_test(seek_tables),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(what_is_missing_is_missed_early),
        cmocka_unit_test(claims_are_checked_first),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(mutations),
        cmocka_unit_test(can_be_cancelled),
        cmocka_unit_test(zstd_in_zstd_is_not_followed),
        cmocka_unit_test(without_a_cache_directory_there_is_tmp),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
