/* fidx.c - see fidx.h. */
#include "io/fidx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/fs.h"
#include "io/map.h"
#include "io/mem.h"

#define ALIGN 64

static const char magic[8] = {'s', 'a', 'e', 's', 'c', 'f', 'x', 1};

struct section {
    char name[16];
    uint64_t offset, size, hash;
};

struct header {
    char magic[8];
    uint64_t version, size;
    uint32_t n_sections, zero;
    uint64_t hash;
    char pad[24];
    struct section sections[FIDX_SECTIONS];
};
_Static_assert(sizeof(struct section) == 40, "layout of fidx.h");
_Static_assert(offsetof(struct header, sections) == 64, "layout of fidx.h");

struct fidx_writer {
    struct fs_write file;
    struct header header;
    XXH3_state_t *state; /* of the present section, when it is checked */
    bool checked;
    int64_t end;         /* of what is written */
};

static uint64_t header_hash(const struct header *h)
{
    struct header copy = *h;
    copy.hash = 0;
    return XXH3_64bits(&copy, sizeof copy);
}

struct fidx_writer *fidx_create(const char *path, uint64_t version, struct err *err)
{
    struct fidx_writer *w = xcalloc(1, sizeof *w);
    if (!fs_write_open(&w->file, path, err)) {
        free(w);
        return NULL;
    }
    memcpy(w->header.magic, magic, sizeof magic);
    w->header.version = version;
    w->end = sizeof w->header;
    w->state = XXH3_createState();
    if (!w->state)
        abort();
    return w;
}

static struct section *present(struct fidx_writer *w)
{
    return &w->header.sections[w->header.n_sections - 1];
}

static void close_section(struct fidx_writer *w)
{
    if (w->header.n_sections == 0)
        return;
    struct section *s = present(w);
    s->size = (uint64_t)w->end - s->offset;
    s->hash = w->checked ? XXH3_64bits_digest(w->state) : 0;
}

bool fidx_begin(struct fidx_writer *w, const char *name, bool checked, struct err *err)
{
    if (w->header.n_sections == FIDX_SECTIONS)
        return err_set(err, ERR_RANGE, "%s: more than %d sections", w->file.path,
                       FIDX_SECTIONS);
    close_section(w);
    w->header.n_sections++;
    w->end = (w->end + ALIGN - 1) / ALIGN * ALIGN;
    struct section *s = present(w);
    strncpy(s->name, name, sizeof s->name - 1);
    s->offset = (uint64_t)w->end;
    w->checked = checked;
    XXH3_64bits_reset(w->state);
    return true;
}

bool fidx_append(struct fidx_writer *w, const void *data, size_t n, struct err *err)
{
    if (!fs_pwrite(w->file.fd, w->file.temp, data, n, w->end, err))
        return false;
    if (w->checked)
        XXH3_64bits_update(w->state, data, n);
    w->end += (int64_t)n;
    return true;
}

void fidx_abort(struct fidx_writer *w)
{
    if (!w)
        return;
    fs_write_abort(&w->file);
    XXH3_freeState(w->state);
    free(w);
}

bool fidx_commit(struct fidx_writer *w, struct err *err)
{
    close_section(w);
    w->header.size = (uint64_t)w->end;
    w->header.hash = header_hash(&w->header);
    bool ok = fs_pwrite(w->file.fd, w->file.temp, &w->header, sizeof w->header, 0, err) &&
              fs_write_commit(&w->file, err);
    fidx_abort(w);
    return ok;
}

bool fidx_is(const char *path)
{
    char start[sizeof magic];
    int fd = fs_open_regular(path, NULL, NULL);
    bool is = fd >= 0 && fs_pread(fd, path, start, sizeof start, 0, NULL) &&
              memcmp(start, magic, sizeof magic) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

struct fidx {
    struct map map;
    const struct header *header;
};

static bool check(const struct fidx *f, uint64_t version, struct err *err)
{
    const char *path = f->map.path;
    if (f->map.size < (int64_t)sizeof *f->header)
        return err_set(err, ERR_FORMAT, "%s: not an index of saescope (found %lld bytes, expected a "
                       "header)", path, (long long)f->map.size);
    const struct header *h = f->header;
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return err_format(err, 0, "%s: not an index of saescope (found other bytes, "
                          "expected its header)", path);
    if (h->hash != header_hash(h) || h->n_sections > FIDX_SECTIONS)
        return err_format(err, 32, "%s: header of the index is damaged (found another "
                          "checksum, expected the one written)", path);
    if (h->size != (uint64_t)f->map.size)
        return err_set(err, ERR_FORMAT, "%s: index is cut (found %lld bytes, expected %llu)",
                       path, (long long)f->map.size, (unsigned long long)h->size);
    for (uint32_t i = 0; i < h->n_sections; i++) {
        const struct section *s = &h->sections[i];
        if (s->offset % ALIGN || s->offset > h->size || s->size > h->size - s->offset)
            return err_format(err, 64 + 40 * i, "%s: section of the index lies outside (found its end, "
                              "expected more)",
                              path);
    }
    if (h->version != version)
        return err_set(err, ERR_RANGE, "%s: index of another version (found %llu, expected %llu)", path,
                       (unsigned long long)h->version, (unsigned long long)version);
    return true;
}

struct fidx *fidx_open(const char *path, uint64_t version, struct err *err)
{
    struct stat st;
    if (stat(path, &st) != 0 && errno == ENOENT) {
        err_set(err, ERR_MISSING, "%s: no index yet (found no such file, expected one)", path);
        return NULL;
    }
    struct fidx *f = xcalloc(1, sizeof *f);
    if (map_open(&f->map, path, err)) {
        f->header = (const struct header *)(const void *)f->map.data;
        if (check(f, version, err))
            return f;
    }
    fidx_close(f);
    return NULL;
}

void fidx_close(struct fidx *f)
{
    if (!f)
        return;
    map_close(&f->map);
    free(f);
}

const void *fidx_section(const struct fidx *f, const char *name, size_t *size,
                         struct err *err)
{
    for (uint32_t i = 0; i < f->header->n_sections; i++) {
        const struct section *s = &f->header->sections[i];
        if (strncmp(s->name, name, sizeof s->name) != 0)
            continue;
        const void *data = f->map.data + s->offset;
        if (s->hash && XXH3_64bits(data, s->size) != s->hash) {
            err_format(err, s->offset, "%s: section '%s' of the index is damaged (found another "
                       "checksum, expected the one written)", f->map.path, name);
            return NULL;
        }
        *size = s->size;
        return data;
    }
    err_set(err, ERR_MISSING, "%s: index lacks a section (found no '%s', expected one)",
            f->map.path, name);
    return NULL;
}

int64_t fidx_bytes(const struct fidx *f)
{
    return f->map.size;
}
