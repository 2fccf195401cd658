/*
 * npz.c - a zip of npy files as a container.
 *
 * Stored members are used where they lie (possibly at odd addresses). Deflated ones are
 * inflated once, one member a thread, into a spool that is then mapped. Members that are
 * not npy are left alone. The CRC-32 of a deflated member is checked at once; that of a
 * stored one would cost reading it, and is left to container_verify.
 *
 * Source: numpy/lib/npyio.py (np.savez, np.savez_compressed).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <libdeflate.h>

#include "io/mem.h"
#include "io/npy.h"
#include "io/reader.h"
#include "io/spool.h"
#include "io/team.h"
#include "io/zip.h"

#define ALIGN 64 /* of a member in the spool, as numpy aligns data in a file */

struct job {
    const struct zip_member *member;
    int64_t out; /* where its content goes in the spool */
    bool ok;
    struct err err;
};

struct inflate {
    const struct map *in;
    struct job *job;
    size_t n;
    int64_t size;       /* of the spool */
    unsigned char *out; /* the spool, mapped for writing */
    struct libdeflate_decompressor **tool; /* one a thread */
    const struct progress *progress;
    atomic_llong done;
    atomic_bool stop;
};

struct one {
    struct inflate *f;
    struct job *job;
    struct libdeflate_decompressor *tool;
};

/* ---- members that are compressed */

static bool inflate_member(struct inflate *f, struct job *job,
                           struct libdeflate_decompressor *tool)
{
    const struct zip_member *z = job->member;
    unsigned char *out = f->out + job->out;
    enum libdeflate_result r = libdeflate_deflate_decompress(
        tool, f->in->data + z->data, (size_t)z->packed, out, (size_t)z->size, NULL);
    if (r != LIBDEFLATE_SUCCESS)
        return err_format(&job->err, (uint64_t)z->data,
                          "member '%.100s' is damaged (%s, expected %" PRId64 " bytes)", z->name,
                          r == LIBDEFLATE_BAD_DATA ? "bad deflate data"
                          : r == LIBDEFLATE_SHORT_OUTPUT ? "found fewer bytes"
                                                         : "found more bytes",
                          z->size);
    uint32_t crc = libdeflate_crc32(0, out, (size_t)z->size);
    if (crc != z->crc)
        return err_format(&job->err, (uint64_t)z->data,
                          "member '%.100s' is damaged (found CRC-32 %08x, expected %08x)", z->name,
                          crc, z->crc);
    int64_t done = atomic_fetch_add(&f->done, z->size) + z->size;
    return progress_step(f->progress, "inflating", done, f->size) ||
           err_set(&job->err, ERR_CANCELLED, "cancelled");
}

static void inflate_guarded(void *ctx)
{
    struct one *o = ctx;
    o->job->ok = inflate_member(o->f, o->job, o->tool);
}

static void inflate_nth(void *ctx, size_t i, int thread)
{
    struct inflate *f = ctx;
    struct job *job = &f->job[i];
    if (atomic_load(&f->stop))
        return;
    struct one o = {f, job, f->tool[thread]};
    if (!map_guard(inflate_guarded, &o, &job->err))
        job->ok = false;
    if (!job->ok)
        atomic_store(&f->stop, true);
}

static bool inflate_jobs(struct inflate *f, struct err *err)
{
    int n_threads = team_default_threads();
    bool ok = true;
    f->tool = xcalloc((size_t)n_threads, sizeof *f->tool);
    for (int i = 0; ok && i < n_threads; i++)
        ok = (f->tool[i] = libdeflate_alloc_decompressor()) ||
             err_set(err, ERR_NOMEM, "libdeflate: no memory");
    if (ok)
        team_each(n_threads, f->n, inflate_nth, f);
    for (int i = 0; i < n_threads; i++)
        if (f->tool[i])
            libdeflate_free_decompressor(f->tool[i]);
    free(f->tool);
    for (size_t i = 0; ok && i < f->n; i++) {
        if (!f->job[i].ok && f->job[i].err.code) {
            ok = false;
            if (err)
                *err = f->job[i].err;
        }
    }
    return ok;
}

/* The spool gets all its blocks first: a write into a mapping cannot say that the disk is
 * full. */
static bool inflate_to_spool(struct inflate *f, const struct spool *s, struct err *err)
{
    if (!spool_room(s, f->size, err))
        return false;
    int rc = posix_fallocate(s->fd, 0, f->size);
    if (rc != 0)
        return err_os(err, rc, s->where, "no room for decompressed data");
    void *p = mmap(NULL, (size_t)f->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (p == MAP_FAILED)
        return err_os(err, errno, s->where, "cannot map");
    f->out = p;
    bool ok = inflate_jobs(f, err);
    munmap(p, (size_t)f->size);
    return ok;
}

/* ---- the container */

static bool is_npy_name(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".npy") == 0;
}

static bool add_member(struct container *c, const struct map *m, const struct zip_member *z,
                       int64_t at, struct err *err)
{
    size_t n = z->size < NPY_MAX_PREFIX ? (size_t)z->size : NPY_MAX_PREFIX;
    unsigned char *head = xmalloc(n);
    struct npy npy;
    bool ok = map_pread(m, head, n, at, err) && npy_parse(head, n, z->size, &npy, err);
    free(head);
    if (!ok) /* offsets are counted from the beginning of the member */
        return err_wrap(err, "member '%.100s'", z->name);
    char *name = xstrndup(z->name, strlen(z->name) - 4);
    npy.array.data = m->data + at + npy.data_offset;
    container_add(c, &npy.array, name);
    free(name);
    return true;
}

/* Lay the compressed members out in the spool, in f. */
static bool plan(const struct zip *zip, struct inflate *f, struct err *err)
{
    f->job = xcalloc(zip->n, sizeof *f->job);
    for (size_t i = 0; i < zip->n; i++) {
        const struct zip_member *z = &zip->member[i];
        if (!is_npy_name(z->name) || z->method == ZIP_STORED)
            continue;
        if (z->method != ZIP_DEFLATED)
            return err_set(err, ERR_UNSUPPORTED,
                           "member '%.100s': compression method is not read (found %d, "
                           "expected 0 or 8)", z->name, z->method);
        f->job[f->n++] = (struct job){.member = z, .out = f->size};
        if (__builtin_add_overflow(f->size, z->size, &f->size) ||
            f->size > INT64_MAX - ALIGN)
            return err_set(err, ERR_FORMAT, "members are too large in all");
        /* Always some bytes on: an empty member has a place too. */
        f->size = (f->size / ALIGN + 1) * ALIGN;
    }
    return true;
}

static bool add_members(struct container *c, const struct zip *zip, const struct inflate *f,
                        const struct map *inflated, struct err *err)
{
    const struct map *m = container_source(c);
    size_t job = 0;
    for (size_t i = 0; i < zip->n; i++) {
        const struct zip_member *z = &zip->member[i];
        if (!is_npy_name(z->name))
            continue;
        bool stored = z->method == ZIP_STORED;
        if (stored)
            container_add_check(c, z->name, z->data, z->size, z->crc);
        bool ok = stored ? add_member(c, m, z, z->data, err)
                         : add_member(c, inflated, z, f->job[job++].out, err);
        if (!ok)
            return false;
    }
    return container_count(c) > 0 ||
           err_set(err, ERR_FORMAT, "no .npy members in this zip (found %zu others)", zip->n);
}

static bool open_npz(struct container *c, const struct progress *progress, struct err *err)
{
    struct zip zip = {0};
    struct inflate f = {.in = container_source(c), .progress = progress};
    struct spool spool = {.fd = -1};
    const struct map *inflated = NULL;
    bool ok = zip_open(&zip, f.in, err) && plan(&zip, &f, err);
    if (ok && f.n > 0) {
        struct map m;
        ok = spool_open(&spool, err) && inflate_to_spool(&f, &spool, err) &&
             spool_map(&spool, container_path(c), &m, err);
        if (ok)
            inflated = container_push_map(c, &m);
    }
    ok = ok && add_members(c, &zip, &f, inflated, err);
    spool_close(&spool);
    free(f.job);
    zip_close(&zip);
    return ok;
}

static bool recognise(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return zip_is(head, n);
}

const struct reader npz_reader = {.kind = "npz", .recognise = recognise, .open = open_npz};
