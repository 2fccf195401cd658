/* zip.c - see zip.h. */
#include "io/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

#define EOCD_SIZE 22
#define EOCD_REACH (EOCD_SIZE + 65535)
#define LOCATOR_SIZE 20
#define EOCD64_SIZE 56
#define CENTRAL_SIZE 46
#define LOCAL_SIZE 30

/* A deflate block of only the longest matches (258 bytes) takes 2 bits for each. */
#define DEFLATE_MAX_RATIO 1032

static uint32_t u16(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

static bool has_magic(const unsigned char *p, const char *magic)
{
    return memcmp(p, magic, 4) == 0;
}

bool zip_is(const unsigned char *bytes, size_t n)
{
    return n >= 4 && (has_magic(bytes, "PK\3\4") || has_magic(bytes, "PK\5\6"));
}

/* What the end of the file says about the directory. */
struct ending {
    uint64_t n, size, offset; /* members, bytes, place */
    int64_t at;               /* where the end records begin */
};

/* Into *at: where the end record is. Its comment must reach to the end of the file, so
 * that a signature inside a comment is not taken for it. */
static bool find_eocd(const struct map *m, unsigned char *eocd, int64_t *at, struct err *err)
{
    size_t n = m->size < EOCD_REACH ? (size_t)m->size : EOCD_REACH;
    int64_t base = m->size - (int64_t)n;
    unsigned char *tail = xmalloc(n);
    bool found = false;
    if (!map_pread(m, tail, n, base, err)) {
        free(tail);
        return false;
    }
    for (size_t i = n < EOCD_SIZE ? 0 : n - EOCD_SIZE + 1; i-- > 0 && !found;) {
        if (!has_magic(tail + i, "PK\5\6") || i + EOCD_SIZE + u16(tail + i + 20) != n)
            continue;
        memcpy(eocd, tail + i, EOCD_SIZE);
        *at = base + (int64_t)i;
        found = true;
    }
    free(tail);
    return found || err_format(err, (uint64_t)m->size,
                               "zip directory not found (found none, expected one at the end: "
                               "is the file truncated?)");
}

/* The zip64 end record takes the place of the plain one where that is saturated. */
static bool read_eocd64(const struct map *m, struct ending *end, struct err *err)
{
    unsigned char locator[LOCATOR_SIZE], record[EOCD64_SIZE];
    if (end->at < LOCATOR_SIZE)
        return true;
    if (!map_pread(m, locator, sizeof locator, end->at - LOCATOR_SIZE, err))
        return false;
    if (!has_magic(locator, "PK\6\7"))
        return true; /* the fields really are that large */
    uint64_t at = u64(locator + 8);
    if (at > (uint64_t)(end->at - LOCATOR_SIZE) ||
        (uint64_t)(end->at - LOCATOR_SIZE) - at < EOCD64_SIZE)
        return err_format(err, (uint64_t)end->at - LOCATOR_SIZE,
                          "bad zip64 locator (found offset %" PRIu64
                          ", expected one before it)", at);
    if (!map_pread(m, record, sizeof record, (int64_t)at, err))
        return false;
    if (!has_magic(record, "PK\6\6"))
        return err_format(err, at, "bad zip64 end record (found other bytes, expected PK\\6\\6)");
    if (u32(record + 16) != 0 || u32(record + 20) != 0)
        return err_set(err, ERR_UNSUPPORTED, "zip files split over disks are not read (found "
                       "a part, expected one file)");
    *end = (struct ending){u64(record + 32), u64(record + 40), u64(record + 48), (int64_t)at};
    return true;
}

static bool read_ending(const struct map *m, struct ending *end, struct err *err)
{
    unsigned char p[EOCD_SIZE] = {0};
    if (!find_eocd(m, p, &end->at, err))
        return false;
    end->n = u16(p + 10);
    end->size = u32(p + 12);
    end->offset = u32(p + 16);
    bool saturated = u16(p + 4) == 0xffff || u16(p + 8) == 0xffff || end->n == 0xffff ||
                     end->size == 0xffffffff || end->offset == 0xffffffff;
    if (!saturated && (u16(p + 4) != 0 || u16(p + 6) != 0 || u16(p + 8) != end->n))
        return err_set(err, ERR_UNSUPPORTED, "zip files split over disks are not read (found "
                       "a part, expected one file)");
    if (saturated && !read_eocd64(m, end, err))
        return false;
    if (end->offset > (uint64_t)end->at || end->size > (uint64_t)end->at - end->offset)
        return err_format(err, (uint64_t)end->at,
                          "zip directory lies outside the file (found %" PRIu64
                          " bytes at %" PRIu64 ", expected them before this)", end->size,
                          end->offset);
    uint64_t room = end->size / CENTRAL_SIZE;
    uint64_t most = room < ZIP_MAX_MEMBERS ? room : ZIP_MAX_MEMBERS;
    if (end->size > ZIP_MAX_DIRECTORY || end->n > most)
        return err_format(err, (uint64_t)end->at,
                          "bad zip directory (found %" PRIu64 " members in %" PRIu64
                          " bytes, expected at most %" PRIu64 " in %d)", end->n, end->size, most,
                          ZIP_MAX_DIRECTORY);
    return true;
}

/* Zip64 extra field: 64-bit values, in order, for those fields that are saturated. */
static bool read_extra(const unsigned char *p, size_t n, uint64_t *fields[3], uint64_t at,
                       struct err *err)
{
    while (n >= 4) {
        size_t id = u16(p), len = u16(p + 2);
        p += 4, n -= 4;
        if (len > n)
            break; /* some writers pad with what is no field */
        if (id == 1) {
            const unsigned char *q = p, *end = p + len;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != 0xffffffff)
                    continue;
                if (end - q < 8)
                    return err_format(err, at, "bad zip64 field (found its end, expected 8 bytes)");
                *fields[i] = u64(q);
                q += 8;
            }
            return true;
        }
        p += len, n -= len;
    }
    return true;
}

static bool check_name(const char *name, size_t len, uint64_t at, struct err *err)
{
    if (len == 0 || memchr(name, 0, len) || memchr(name, '\\', len) || name[0] == '/')
        return err_format(err, at, "bad name in the zip (found '%.100s', expected a "
                          "relative path)", name);
    for (const char *p = name; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == 0))
            return err_format(err, at, "bad name in the zip (found '%.100s', expected a "
                          "relative path)", name);
    }
    return true;
}

/* One record of the directory; *used gets its length, *names where the next name goes. */
static bool read_record(const unsigned char *p, size_t n, uint64_t at, char **names,
                        struct zip_member *out, size_t *used, struct err *err)
{
    if (n < CENTRAL_SIZE || !has_magic(p, "PK\1\2"))
        return err_format(err, at, "bad record in the zip directory (found other bytes, "
                          "expected PK\\1\\2)");
    size_t name_len = u16(p + 28), extra_len = u16(p + 30), comment_len = u16(p + 32);
    if (n - CENTRAL_SIZE < name_len + extra_len + comment_len)
        return err_format(err, at, "zip directory ends early (found %zu bytes, expected %zu)",
                          n - CENTRAL_SIZE, name_len + extra_len + comment_len);
    char *name = *names;
    memcpy(name, p + CENTRAL_SIZE, name_len);
    name[name_len] = 0;
    *names += name_len + 1;
    if (!check_name(name, name_len, at, err))
        return false;
    if (u16(p + 8) & 1)
        return err_set(err, ERR_UNSUPPORTED, "member '%.100s' is encrypted (found its flag, "
                       "expected none)", name);
    uint64_t packed = u32(p + 20), size = u32(p + 24), local = u32(p + 42);
    uint64_t *fields[3] = {&size, &packed, &local};
    if (!read_extra(p + CENTRAL_SIZE + name_len, extra_len, fields, at, err))
        return false;
    if (packed > INT64_MAX || size > INT64_MAX || local > INT64_MAX)
        return err_format(err, at, "member '%.100s' is too large (found 2^63 bytes or more, "
                          "expected less)", name);
    *out = (struct zip_member){.name = name, .method = (int)u16(p + 10), .crc = u32(p + 16),
                               .packed = (int64_t)packed, .size = (int64_t)size,
                               .local = (int64_t)local};
    *used = CENTRAL_SIZE + name_len + extra_len + comment_len;
    return true;
}

static bool check_sizes(const struct zip_member *z, struct err *err)
{
    if (z->method == ZIP_STORED && z->packed != z->size)
        return err_format(err, (uint64_t)z->local,
                          "member '%.100s' is stored, but its sizes differ (found %" PRId64
                          " and %" PRId64 ", expected equal ones)", z->name, z->packed, z->size);
    if (z->method == ZIP_DEFLATED && z->size / DEFLATE_MAX_RATIO > z->packed)
        return err_format(err, (uint64_t)z->local,
                          "member '%.100s' cannot be that large (found %" PRId64
                          " bytes out of %" PRId64 ", expected at most %d for one)",
                          z->name, z->size, z->packed, DEFLATE_MAX_RATIO);
    return true;
}

/* Where the data begins: the local header's own name and extra lengths say so. */
static bool locate(const struct map *m, struct zip_member *z, int64_t limit,
                   struct err *err)
{
    if (z->local > limit - LOCAL_SIZE)
        return err_format(err, (uint64_t)limit,
                          "member '%.100s' lies outside the file (found its start at %" PRId64
                          ", expected it before this)", z->name, z->local);
    const unsigned char *p = m->data + z->local;
    if (!has_magic(p, "PK\3\4"))
        return err_format(err, (uint64_t)z->local, "bad local header of member '%.100s' "
                          "(found other bytes, expected PK\\3\\4)",
                          z->name);
    z->data = z->local + LOCAL_SIZE + u16(p + 26) + u16(p + 28);
    if (z->data > limit || z->packed > limit - z->data)
        return err_format(err, (uint64_t)limit,
                          "member '%.100s' lies outside the file (found %" PRId64
                          " bytes at %" PRId64 ", expected them before this)", z->name,
                          z->packed, z->data);
    return true;
}

static int by_name(const void *a, const void *b)
{
    const struct zip_member *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_place(const void *a, const void *b)
{
    const struct zip_member *const *x = a, *const *y = b;
    return ((*x)->local > (*y)->local) - ((*x)->local < (*y)->local);
}

static bool check_apart(const struct zip *z, struct err *err)
{
    const struct zip_member **order = xcalloc(z->n, sizeof *order);
    bool ok = true;
    for (size_t i = 0; i < z->n; i++)
        order[i] = &z->member[i];
    qsort(order, z->n, sizeof *order, by_name);
    for (size_t i = 1; ok && i < z->n; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            ok = err_format(err, (uint64_t)order[i]->local, "member '%.100s' comes twice "
                            "(found it again, expected one of a name)",
                            order[i]->name);
    qsort(order, z->n, sizeof *order, by_place);
    for (size_t i = 1; ok && i < z->n; i++)
        if (order[i]->local < order[i - 1]->data + order[i - 1]->packed)
            ok = err_format(err, (uint64_t)order[i]->local,
                            "members '%.100s' and '%.100s' overlap (found the second inside "
                            "the first, expected it behind)", order[i - 1]->name,
                            order[i]->name);
    free(order);
    return ok;
}

struct reading {
    struct zip *z;
    const struct map *m;
    const struct ending *end;
    const unsigned char *dir; /* [end->size] */
    struct err *err;
    bool ok;
};

/* Guarded: each record of the directory, and in the file the member's own header. A record
 * is longer than its name and the name's final 0, so z->names has room. */
static void read_directory(void *ctx)
{
    struct reading *r = ctx;
    struct zip *z = r->z;
    int64_t limit = (int64_t)r->end->offset;
    const unsigned char *dir = r->dir;
    char *names = z->names;
    size_t left = (size_t)r->end->size;
    r->ok = true;
    for (size_t used = 0; r->ok && z->n < r->end->n; dir += used, left -= used, z->n++) {
        struct zip_member *member = &z->member[z->n];
        uint64_t at = r->end->offset + r->end->size - left;
        r->ok = read_record(dir, left, at, &names, member, &used, r->err) &&
                check_sizes(member, r->err) && locate(r->m, member, limit, r->err);
    }
}

bool zip_open(struct zip *z, const struct map *m, struct err *err)
{
    struct ending end = {0};
    struct zip zip = {0};
    if (!read_ending(m, &end, err))
        return false;
    unsigned char *dir = mem_try((size_t)end.size, 1, "zip directory", err);
    if (!dir)
        return false;
    zip.member = xcalloc((size_t)end.n, sizeof *zip.member);
    zip.names = xmalloc((size_t)end.size);
    struct reading r = {.z = &zip, .m = m, .end = &end, .dir = dir, .err = err};
    bool ok = map_pread(m, dir, (size_t)end.size, (int64_t)end.offset, err) &&
              map_guard(read_directory, &r, err) && r.ok && check_apart(&zip, err);
    free(dir);
    if (ok)
        *z = zip;
    else
        zip_close(&zip);
    return ok;
}

void zip_close(struct zip *z)
{
    free(z->member);
    free(z->names);
    *z = (struct zip){0};
}

const struct zip_member *zip_find(const struct zip *z, const char *name)
{
    for (size_t i = 0; i < z->n; i++)
        if (strcmp(z->member[i].name, name) == 0)
            return &z->member[i];
    return NULL;
}
