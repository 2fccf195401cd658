/* index.c - reading what scan.c and merge.c wrote; see index.h, index_format.h. */
#include "model/index.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include "io/fidx.h"
#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "io/tensor.h"
#include "model/index_format.h"

struct index {
    char *path;
    struct fidx *file;
    struct scan_totals totals;
    const struct index_record *records;
    const struct hit *top;
    const struct index_block *blocks;
    const unsigned char *postings;
    int64_t d_sae, n_top, n_blocks;
    size_t posting_bytes;
};

static bool damaged(const struct index *ix, struct err *err, const char *found)
{
    return err_set(err, ERR_FORMAT, "%s: index is damaged (found %s, expected what was written; "
                   "--rebuild makes it again)", ix->path, found);
}

/* ERR_RANGE with the first words of the lines in which the keys differ: "weights". */
static bool is_stale(const struct index *ix, const char *stored, size_t size, const char *b,
                     struct err *err)
{
    char *copy = xstrndup(stored, size), what[128] = "";
    size_t used = 0;
    for (const char *a = copy; *a || *b;) {
        size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");
        const char *line = *b ? b : a;
        size_t word = strcspn(line, " \n");
        bool differs = la != lb || memcmp(a, b, la) != 0;
        bool told = used >= word && memcmp(what + used - word, line, word) == 0;
        if (differs && !told && used + word + 3 < sizeof what)
            used += (size_t)snprintf(what + used, sizeof what - used, "%s%.*s",
                                     used ? ", " : "", (int)word, line);
        a += la + (a[la] != 0);
        b += lb + (b[lb] != 0);
    }
    free(copy);
    return err_set(err, ERR_RANGE, "%s: index is stale (changed: %s)", ix->path, what);
}

static bool check_key(const struct index *ix, const char *key, struct err *err)
{
    size_t size;
    const char *stored = fidx_section(ix->file, "key", &size, err);
    if (!stored)
        return false;
    if (key && (strlen(key) != size || memcmp(key, stored, size) != 0))
        return is_stale(ix, stored, size, key, err);
    return true;
}

/* A section of `each`-sized elements. */
static const void *elements(const struct index *ix, const char *name, size_t each,
                            int64_t *n, struct err *err)
{
    size_t size;
    const void *p = fidx_section(ix->file, name, &size, err);
    if (p && size % each != 0) {
        damaged(ix, err, name);
        return NULL;
    }
    *n = p ? (int64_t)(size / each) : 0;
    return p;
}

static bool bind(struct index *ix, const char *key, struct err *err)
{
    int64_t n_totals;
    if (!check_key(ix, key, err))
        return false;
    const struct scan_totals *totals =
        elements(ix, "totals", sizeof *totals, &n_totals, err);
    if (!totals)
        return false;
    if (n_totals != 1)
        return damaged(ix, err, "other totals");
    ix->totals = *totals;
    ix->records = elements(ix, "records", sizeof *ix->records, &ix->d_sae, err);
    ix->top = elements(ix, "top", sizeof *ix->top, &ix->n_top, err);
    ix->blocks = elements(ix, "blocks", sizeof *ix->blocks, &ix->n_blocks, err);
    ix->postings = fidx_section(ix->file, "postings", &ix->posting_bytes, err);
    if (!ix->records || !ix->top || !ix->blocks || !ix->postings)
        return false;
    for (int64_t j = 0; j < ix->d_sae; j++) {
        const struct index_record *r = &ix->records[j];
        if (r->n_top > r->count || r->top + r->n_top > (uint64_t)ix->n_top ||
            (r->count > 0 && r->block >= (uint64_t)ix->n_blocks))
            return damaged(ix, err, "bad records");
    }
    return true;
}

struct opening {
    struct index *ix;
    const char *path, *key;
    struct err *err;
    bool ok;
};

static void open_guarded(void *ctx)
{
    struct opening *o = ctx;
    o->ix->file = fidx_open(o->path, INDEX_VERSION, o->err);
    o->ok = o->ix->file && bind(o->ix, o->key, o->err);
}

struct index *index_open(const char *path, const char *key, struct err *err)
{
    struct index *ix = xcalloc(1, sizeof *ix);
    ix->path = xstrdup(path);
    struct opening o = {.ix = ix, .path = path, .key = key, .err = err};
    if (map_guard(open_guarded, &o, err) && o.ok)
        return ix;
    index_close(ix);
    return NULL;
}

void index_close(struct index *ix)
{
    if (!ix)
        return;
    fidx_close(ix->file);
    free(ix->path);
    free(ix);
}

const char *index_path(const struct index *ix)
{
    return ix->path;
}

int64_t index_bytes(const struct index *ix)
{
    return fidx_bytes(ix->file);
}

int64_t index_posting_bytes(const struct index *ix)
{
    return (int64_t)ix->posting_bytes;
}

int64_t index_d_sae(const struct index *ix)
{
    return ix->d_sae;
}

const struct scan_totals *index_totals(const struct index *ix)
{
    return &ix->totals;
}

const struct index_record *index_record(const struct index *ix, int64_t feature)
{
    return &ix->records[feature];
}

const struct hit *index_top(const struct index *ix, int64_t feature)
{
    return ix->top + ix->records[feature].top;
}

/* ---- postings --------------------------------------------------------------------- */

/* One block unpacked; values only when asked for. */
struct unpacked {
    const struct index_block *block;
    unsigned char gaps[INDEX_BLOCK * 5], values[INDEX_BLOCK * 2];
};

static bool unpack_frame(unsigned char *out, size_t size, const unsigned char *src,
                         size_t packed)
{
    return ZSTD_decompress(out, size, src, packed) == size;
}

static bool unpack(const struct index *ix, int64_t i, bool values, struct unpacked *u,
                   struct err *err)
{
    if (i >= ix->n_blocks)
        return damaged(ix, err, "the end of its postings");
    const struct index_block *b = u->block = &ix->blocks[i];
    uint64_t packed = (uint64_t)b->gaps_packed + b->values_packed;
    if (b->offset > ix->posting_bytes || packed > ix->posting_bytes - b->offset ||
        b->gaps > sizeof u->gaps || b->hits > INDEX_BLOCK)
        return damaged(ix, err, "postings outside");
    const unsigned char *src = ix->postings + b->offset;
    if ((uint32_t)XXH3_64bits(src, packed) != b->check)
        return damaged(ix, err, "postings of another checksum");
    if (!unpack_frame(u->gaps, b->gaps, src, b->gaps_packed) ||
        (values && !unpack_frame(u->values, (size_t)b->hits * 2, src + b->gaps_packed,
                                 b->values_packed)))
        return damaged(ix, err, "bad postings");
    return true;
}

/* The varint at *p, which moves on; reads nothing from `end` on. */
static uint32_t get_varint(const unsigned char **p, const unsigned char *end)
{
    uint32_t v = 0;
    for (int shift = 0; *p < end && shift < 35; shift += 7) {
        unsigned char c = *(*p)++;
        v |= (uint32_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            break;
    }
    return v;
}

static float value_at(const struct unpacked *u, uint32_t i, float scale)
{
    uint16_t half = (uint16_t)(u->values[i] | u->values[u->block->hits + i] << 8);
    float v;
    f32_from_f16(&half, &v, 1);
    return v * scale;
}

/* All hits of a feature, by token; values as NAN unless wanted. */
static bool walk(const struct index *ix, int64_t feature, bool values, struct unpacked *u,
                 struct hit *out, struct err *err)
{
    const struct index_record *r = &ix->records[feature];
    float scale = ldexpf(1, index_exponent(r->max) - 14);
    uint64_t done = 0;
    for (int64_t b = r->block; done < r->count; b++) {
        if (u->block != &ix->blocks[b] && !unpack(ix, b, values, u, err))
            return false;
        bool first = done == 0;
        if (first && (r->gap_offset > u->block->gaps || r->value_index > u->block->hits))
            return damaged(ix, err, "bad records");
        const unsigned char *p = u->gaps + (first ? r->gap_offset : 0);
        const unsigned char *end = u->gaps + u->block->gaps;
        uint32_t token = 0, i = first ? r->value_index : 0;
        for (; i < u->block->hits && done < r->count; i++, done++) {
            token += get_varint(&p, end);
            out[done] = (struct hit){
                .token = token, .value = values ? value_at(u, i, scale) : NAN};
        }
    }
    return true;
}

struct reading {
    const struct index *ix;
    int64_t feature;
    struct hit *out;
    struct unpacked *unpacked;
    struct err *err;
    bool ok;
};

static void read_guarded(void *ctx)
{
    struct reading *r = ctx;
    r->ok = walk(r->ix, r->feature, true, r->unpacked, r->out, r->err);
}

bool index_hits(const struct index *ix, int64_t feature, struct hit *out, struct err *err)
{
    struct reading r = {.ix = ix, .feature = feature, .out = out, .err = err};
    r.unpacked = xcalloc(1, sizeof *r.unpacked);
    bool ok = map_guard(read_guarded, &r, err) && r.ok;
    free(r.unpacked);
    return ok;
}

/* ---- co-occurrence ---------------------------------------------------------------- */

struct coactive {
    const struct index *ix;
    uint64_t *fires;  /* a bit a token: the feature asked for fires there */
    uint32_t n_tokens;
    uint32_t *out;
    const struct progress *progress;
    pthread_mutex_t lock;
    struct err err;
    _Atomic bool failed;
    _Atomic int64_t done;
};

static void coactive_failed(struct coactive *c, const struct err *err)
{
    pthread_mutex_lock(&c->lock);
    if (!c->failed)
        c->err = *err;
    c->failed = true;
    pthread_mutex_unlock(&c->lock);
}

/* Features [first, first + COACTIVE_FEATURES). */
#define COACTIVE_FEATURES 512

struct coactive_part {
    struct coactive *c;
    int64_t first;
    struct unpacked *unpacked;
    struct hit *hits;
    uint64_t cap;
    struct err err;
    bool ok;
};

static void coactive_guarded(void *ctx)
{
    struct coactive_part *p = ctx;
    const struct index *ix = p->c->ix;
    int64_t end = p->first + COACTIVE_FEATURES;
    p->ok = true;
    for (int64_t j = p->first; j < end && j < ix->d_sae && p->ok; j++) {
        uint64_t n = ix->records[j].count;
        if (n > p->cap) {
            p->cap = 2 * n;
            p->hits = xreallocarray(p->hits, p->cap, sizeof *p->hits);
        }
        p->ok = walk(ix, j, false, p->unpacked, p->hits, &p->err);
        uint32_t both = 0;
        for (uint64_t i = 0; i < n && p->ok; i++) {
            uint32_t t = p->hits[i].token;
            if (t < p->c->n_tokens)
                both += (uint32_t)(p->c->fires[t / 64] >> (t % 64) & 1);
        }
        p->c->out[j] = both;
    }
}

static void coactive_item(void *ctx, size_t i, int thread)
{
    struct coactive *c = ctx;
    struct coactive_part p = {.c = c, .first = (int64_t)i * COACTIVE_FEATURES};
    (void)thread;
    if (c->failed)
        return;
    p.unpacked = xcalloc(1, sizeof *p.unpacked);
    if (!map_guard(coactive_guarded, &p, &p.err) || !p.ok)
        coactive_failed(c, &p.err);
    free(p.unpacked);
    free(p.hits);
    int64_t done = atomic_fetch_add(&c->done, COACTIVE_FEATURES) + COACTIVE_FEATURES;
    if (!progress_step(c->progress, "co-occurrence", done, c->ix->d_sae)) {
        struct err err = {.code = ERR_CANCELLED, .msg = "cancelled"};
        coactive_failed(c, &err);
    }
}

bool index_coactive(const struct index *ix, int64_t feature, int threads,
                    const struct progress *progress, uint32_t *out, struct err *err)
{
    struct coactive c = {.ix = ix, .out = out, .progress = progress};
    uint64_t n = ix->records[feature].count;
    struct hit *hits = xmalloc((size_t)n * sizeof *hits);
    bool ok = index_hits(ix, feature, hits, err);
    if (ok) {
        c.n_tokens = n ? hits[n - 1].token + 1 : 0;
        c.fires = xcalloc((size_t)c.n_tokens / 64 + 1, sizeof *c.fires);
        for (uint64_t i = 0; i < n; i++)
            if (hits[i].token < c.n_tokens)
                c.fires[hits[i].token / 64] |= (uint64_t)1 << (hits[i].token % 64);
        pthread_mutex_init(&c.lock, NULL);
        team_each(threads,
                  (size_t)((ix->d_sae + COACTIVE_FEATURES - 1) / COACTIVE_FEATURES),
                  coactive_item, &c);
        pthread_mutex_destroy(&c.lock);
        ok = !c.failed;
        if (!ok && err)
            *err = c.err;
        free(c.fires);
    }
    free(hits);
    return ok;
}
