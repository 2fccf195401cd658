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
#include <stdlib.h>
#include <string.h>

#include "io/inflate.h"
#include "io/mem.h"
#include "io/npy.h"
#include "io/reader.h"
#include "io/spool.h"
#include "io/zip.h"

#define LARGE ((int64_t)16 << 20)
#define ALIGN 64 /* of a member in the spool, as numpy aligns data in a file */

/* What has to be inflated. */
struct plan {
    struct inflate_part *part; /* owned */
    size_t n;
    int64_t size; /* of the spool */
};

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

/* Lay the compressed members out in the spool. */
static bool plan(const struct zip *zip, struct plan *p, struct err *err)
{
    p->part = xcalloc(zip->n, sizeof *p->part);
    for (size_t i = 0; i < zip->n; i++) {
        const struct zip_member *z = &zip->member[i];
        if (!is_npy_name(z->name) || z->method == ZIP_STORED)
            continue;
        if (z->method != ZIP_DEFLATED)
            return err_set(err, ERR_UNSUPPORTED,
                           "member '%.100s': compression method is not read (found %d, "
                           "expected 0 or 8)", z->name, z->method);
        p->part[p->n++] = (struct inflate_part){
            .name = xasprintf("member '%.100s'", z->name), .in = z->data,
            .packed = z->packed, .out = p->size, .size = z->size, .crc = z->crc};
        if (__builtin_add_overflow(p->size, z->size, &p->size) ||
            p->size > INT64_MAX - ALIGN)
            return err_set(err, ERR_FORMAT, "members are too large in all (found 2^63 bytes or more, "
                       "expected less)");
        /* Always some bytes on: an empty member has a place too. */
        p->size = (p->size / ALIGN + 1) * ALIGN;
    }
    return true;
}

static bool add_members(struct container *c, const struct zip *zip, const struct plan *p,
                        const struct map *inflated, struct err *err)
{
    const struct map *m = container_source(c);
    size_t part = 0;
    for (size_t i = 0; i < zip->n; i++) {
        const struct zip_member *z = &zip->member[i];
        if (!is_npy_name(z->name))
            continue;
        bool stored = z->method == ZIP_STORED;
        if (stored)
            container_add_check(c, z->name, z->data, z->size, z->crc);
        bool ok = stored ? add_member(c, m, z, z->data, err)
                         : add_member(c, inflated, z, p->part[part++].out, err);
        if (!ok)
            return false;
    }
    return container_count(c) > 0 ||
           err_set(err, ERR_FORMAT, "no .npy members in this zip (found %zu others, expected "
                       "an npz or a PyTorch file)", zip->n);
}

struct promise {
    const struct map *in;
    const struct zip_member *z;
    struct inflate_part *part;
    unsigned char *head; /* [NPY_MAX_PREFIX] */
    size_t n;
};

/* Guarded. */
static void begin(void *ctx)
{
    struct promise *p = ctx;
    p->n = inflate_beginning(p->in, p->part, p->head, NPY_MAX_PREFIX);
}

/* Is a large member as large as the npy header in it says? Asked before the disk is filled
 * with it. */
static bool check_promise(const struct map *in, struct inflate_part *part,
                          unsigned char *head, struct err *err)
{
    struct promise p = {.in = in, .part = part, .head = head};
    struct npy npy;
    if (part->size < LARGE)
        return true;
    if (!map_guard(begin, &p, err))
        return false;
    return p.n < NPY_MAX_PREFIX || npy_parse(head, p.n, part->size, &npy, err) ||
           err_wrap(err, "%s", part->name);
}

static bool check_promises(const struct map *in, const struct plan *p, struct err *err)
{
    unsigned char *head = xmalloc(NPY_MAX_PREFIX);
    bool ok = true;
    for (size_t i = 0; ok && i < p->n; i++)
        ok = check_promise(in, &p->part[i], head, err);
    free(head);
    return ok;
}

static bool open_npz(struct container *c, const struct progress *progress, struct err *err)
{
    const struct map *in = container_source(c), *inflated = NULL;
    struct zip zip = {0};
    struct plan p = {0};
    struct spool spool = {.fd = -1};
    bool ok = zip_open(&zip, in, err) && plan(&zip, &p, err);
    if (ok && p.n > 0) {
        struct map m;
        ok = check_promises(in, &p, err) && spool_open(&spool, err) &&
             inflate_parts(in, &spool, p.size, p.part, p.n, progress, err) &&
             spool_map(&spool, container_path(c), &m, err);
        if (ok)
            inflated = container_push_map(c, &m);
    }
    ok = ok && add_members(c, &zip, &p, inflated, err);
    spool_close(&spool);
    for (size_t i = 0; i < p.n; i++)
        free((char *)p.part[i].name);
    free(p.part);
    zip_close(&zip);
    return ok;
}

static bool recognise(const unsigned char *head, size_t n, const struct map *m)
{
    (void)m;
    return zip_is(head, n);
}

const struct reader npz_reader = {.kind = "npz", .recognise = recognise, .open = open_npz};
