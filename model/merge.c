/* merge.c - see merge.h. */
#include "model/merge.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

#include "io/fidx.h"
#include "io/mem.h"
#include "io/scratch.h"
#include "io/team.h"
#include "model/clock.h"
#include "model/index_format.h"
#include "model/stats.h"

#define MERGE_CHUNK 65536 /* hits */
#define ZSTD_LEVEL 3
#define FLUSH_BYTES ((size_t)4 << 20) /* of a chunk's output before it waits for its turn */
/* One feature's hits above this lie in scratch memory. */
#define GATHER_HITS ((int64_t)1 << 20)

/* Beyond this many features fewer examples are kept, so that their list stays small. */
#define MANY_FEATURES 131072
#define TOP_OF_MANY 25

struct chunk {
    int64_t first, end;  /* features */
    uint64_t hits, tops; /* hits before it; top entries before it */
};

struct merge {
    const struct merge_input *in;
    const struct progress *progress;
    struct fidx_writer *writer;
    struct index_record *records;   /* [d_sae], scratch */
    struct hit *top;                /* scratch */
    struct chunk *chunks;
    int64_t n_chunks, cap_chunks;
    uint64_t n_hits, n_top;
    int top_limit;

    /* Whose turn it is to write; everything below belongs to who has it. */
    pthread_mutex_t lock;
    pthread_cond_t turn_changed;
    int64_t turn;
    struct index_block *blocks;
    int64_t n_blocks, cap_blocks;
    int64_t posting_bytes;
    bool failed;
    struct err err;
};

/* A chunk being made. */
struct maker {
    struct merge *m;
    int64_t chunk;
    bool has_turn;
    ZSTD_CCtx *zstd;
    /* The present block, not yet packed. */
    unsigned char gaps[INDEX_BLOCK * 5], values[INDEX_BLOCK * 2];
    float scaled[INDEX_BLOCK];
    uint16_t halves[INDEX_BLOCK];
    int64_t n_hits;
    size_t n_gaps;
    uint32_t first_feature;
    /* Packed blocks that wait for the chunk's turn; offsets count from `out`. */
    unsigned char *out;
    size_t n_out, cap_out;
    struct index_block *blocks;
    int64_t n_blocks, cap_blocks, written_blocks;
};

int index_exponent(float max)
{
    return max > 0 && isfinite(max) ? ilogbf(max) : 0;
}

static void fail(struct merge *m, const struct err *err)
{
    pthread_mutex_lock(&m->lock);
    if (!m->failed)
        m->err = *err;
    m->failed = true;
    pthread_cond_broadcast(&m->turn_changed);
    pthread_mutex_unlock(&m->lock);
}

/* ---- writing in order ------------------------------------------------------------- */

static bool take_turn(struct maker *k)
{
    struct merge *m = k->m;
    pthread_mutex_lock(&m->lock);
    while (m->turn != k->chunk && !m->failed)
        pthread_cond_wait(&m->turn_changed, &m->lock);
    k->has_turn = !m->failed;
    pthread_mutex_unlock(&m->lock);
    return k->has_turn;
}

static void pass_turn(struct maker *k)
{
    struct merge *m = k->m;
    pthread_mutex_lock(&m->lock);
    m->turn++;
    pthread_cond_broadcast(&m->turn_changed);
    pthread_mutex_unlock(&m->lock);
    k->has_turn = false;
}

/* Write what is packed. Waits for the turn and keeps it. */
static bool write_out(struct maker *k, struct err *err)
{
    struct merge *m = k->m;
    if (!k->has_turn && !take_turn(k))
        return err_set(err, ERR_CANCELLED, "cancelled");
    for (int64_t i = k->written_blocks; i < k->n_blocks; i++) {
        struct index_block block = k->blocks[i];
        block.offset += (uint64_t)m->posting_bytes;
        array_grow(m->blocks, m->n_blocks, m->cap_blocks);
        m->blocks[m->n_blocks++] = block;
    }
    k->written_blocks = k->n_blocks;
    if (!fidx_append(m->writer, k->out, k->n_out, err))
        return false;
    m->posting_bytes += (int64_t)k->n_out;
    k->n_out = 0;
    return true;
}

/* ---- packing ---------------------------------------------------------------------- */

static uint32_t pack_frame(struct maker *k, const void *src, size_t n)
{
    size_t bound = ZSTD_compressBound(n);
    if (k->cap_out - k->n_out < bound) {
        k->cap_out = 2 * k->cap_out + bound;
        k->out = xrealloc(k->out, k->cap_out);
    }
    size_t packed =
        ZSTD_compressCCtx(k->zstd, k->out + k->n_out, bound, src, n, ZSTD_LEVEL);
    if (ZSTD_isError(packed)) /* the buffer is large enough: only memory can be missing */
        abort();
    k->n_out += packed;
    return (uint32_t)packed;
}

static bool end_block(struct maker *k, struct err *err)
{
    if (k->n_hits == 0)
        return true;
    f16_from_f32(k->scaled, k->halves, (size_t)k->n_hits);
    for (int64_t i = 0; i < k->n_hits; i++) {
        k->values[i] = (unsigned char)(k->halves[i] & 0xff);
        k->values[k->n_hits + i] = (unsigned char)(k->halves[i] >> 8);
    }
    struct index_block block = {.offset = k->n_out,
                                .gaps = (uint32_t)k->n_gaps,
                                .hits = (uint32_t)k->n_hits,
                                .first_feature = k->first_feature};
    size_t start = k->n_out;
    block.gaps_packed = pack_frame(k, k->gaps, k->n_gaps);
    block.values_packed = pack_frame(k, k->values, (size_t)k->n_hits * 2);
    block.check = (uint32_t)XXH3_64bits(k->out + start, k->n_out - start);
    array_grow(k->blocks, k->n_blocks, k->cap_blocks);
    k->blocks[k->n_blocks++] = block;
    k->n_hits = 0;
    k->n_gaps = 0;
    return k->n_out < FLUSH_BYTES || write_out(k, err);
}

static size_t put_varint(unsigned char *p, uint32_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (unsigned char)(v | 0x80);
    p[n++] = (unsigned char)v;
    return n;
}

static bool put_hits(struct maker *k, int64_t feature, const struct spill_hit *hits,
                     int64_t n, float max, struct err *err)
{
    float scale = ldexpf(1, 14 - index_exponent(max));
    uint32_t before = 0;
    for (int64_t i = 0; i < n; i++) {
        if (k->n_hits == INDEX_BLOCK) {
            if (!end_block(k, err))
                return false;
            before = 0;
        }
        if (k->n_hits == 0)
            k->first_feature = (uint32_t)feature;
        k->n_gaps += put_varint(k->gaps + k->n_gaps, hits[i].token - before);
        before = hits[i].token;
        k->scaled[k->n_hits++] = hits[i].value * scale;
    }
    return true;
}

/* ---- one feature ------------------------------------------------------------------ */

static bool weaker(const struct hit *a, const struct hit *b)
{
    float x = fabsf(a->value), y = fabsf(b->value);
    return x != y ? x < y : a->token > b->token;
}

static int by_strength(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    return weaker(x, y) ? 1 : weaker(y, x) ? -1 : 0;
}

/* Candidates for the strongest that are gathered before the weaker ones go. */
#define CANDIDATES (4 * INDEX_TOP)

/* Leave the `limit` strongest of n > limit candidates, which are by token. Returns how
 * strong the weakest of them is. */
static float keep_strongest(struct hit *room, int n, int limit)
{
    float keys[CANDIDATES];
    int above = 0, kept = 0;
    for (int i = 0; i < n; i++)
        keys[i] = fabsf(room[i].value);
    float least = stats_kth_largest(keys, n, limit);
    for (int i = 0; i < n; i++)
        above += fabsf(room[i].value) > least;
    int equal = limit - above;
    for (int i = 0; i < n; i++) {
        float a = fabsf(room[i].value);
        if (a > least || (a == least && equal-- > 0))
            room[kept++] = room[i];
    }
    return least;
}

/* The `limit` strongest of n hits into top, strongest first. */
static void strongest(const struct spill_hit *hits, int64_t n, struct hit *top, int limit)
{
    struct hit room[CANDIDATES];
    float least = -1; /* no weaker one can be among them */
    int have = 0;
    for (int64_t i = 0; i < n; i++) {
        if (fabsf(hits[i].value) <= least)
            continue;
        room[have++] = (struct hit){.token = hits[i].token, .value = hits[i].value};
        if (have == CANDIDATES) {
            least = keep_strongest(room, have, limit);
            have = limit;
        }
    }
    if (have > limit) {
        keep_strongest(room, have, limit);
        have = limit;
    }
    qsort(room, (size_t)have, sizeof *room, by_strength);
    memcpy(top, room, (size_t)have * sizeof *top);
}

/* Apart, so that divisions go together and counts do not wait for one another. */
static void count_bins(struct index_record *r, const struct spill_hit *hits, int64_t n)
{
    enum { STEP = 256 };
    uint32_t twin[INDEX_BINS] = {0};
    int bins[STEP];
    for (int64_t first = 0; first < n; first += STEP) {
        int m = n - first < STEP ? (int)(n - first) : STEP;
        for (int i = 0; i < m; i++)
            bins[i] = index_bin(fabsf(hits[first + i].value), r->max);
        int i = 0;
        for (; i + 2 <= m; i += 2) {
            r->histogram[bins[i]]++;
            twin[bins[i + 1]]++;
        }
        if (i < m)
            r->histogram[bins[i]]++;
    }
    for (int b = 0; b < INDEX_BINS; b++)
        r->histogram[b] += twin[b];
}

static void record_hits(struct index_record *r, const struct spill_hit *hits, int64_t n,
                        const struct merge_input *in)
{
    double delta = 0;
    for (int64_t i = 0; i < n; i++) {
        float a = fabsf(hits[i].value);
        r->max = a > r->max ? a : r->max;
        r->sum += (double)a;
        delta += (double)hits[i].delta;
    }
    r->delta_fvu = in->has_delta && in->sum_squares > 0 ? delta / in->sum_squares : NAN;
    count_bins(r, hits, n);
}

static bool make_feature(struct maker *k, int64_t j, struct hit *top,
                         struct spill_hit *hits, int64_t n, struct err *err)
{
    const struct merge_input *in = k->m->in;
    struct index_record *r = &k->m->records[j];
    spill_gather(in->spill, j, hits);
    *r = (struct index_record){
        .count = (uint64_t)n,
        .decoder_norm = in->decoder_norm[j],
        .encoder_decoder_cosine = in->encoder_decoder_cosine[j],
        .n_top = (uint32_t)(n < k->m->top_limit ? n : k->m->top_limit),
        .top = (uint64_t)(top - k->m->top),
        /* When the present block is full, the feature starts in the one after it. */
        .block = (uint32_t)(k->n_blocks + (k->n_hits == INDEX_BLOCK)),
        .gap_offset = k->n_hits == INDEX_BLOCK ? 0 : (uint32_t)k->n_gaps,
        .value_index = k->n_hits == INDEX_BLOCK ? 0 : (uint32_t)k->n_hits};
    record_hits(r, hits, n, in);
    strongest(hits, n, top, k->m->top_limit);
    return put_hits(k, j, hits, n, r->max, err);
}

static bool make_hits(struct maker *k, int64_t j, int64_t n, struct hit *top,
                      struct err *err)
{
    struct scratch large = {0};
    struct spill_hit *hits;
    if (n > GATHER_HITS) {
        if (!scratch_init(&large, k->m->in->spill->dir, (size_t)n * sizeof *hits,
                          "room to sort hits", err))
            return false;
        hits = large.data;
    } else {
        hits = xmalloc((size_t)n * sizeof *hits);
    }
    bool ok = make_feature(k, j, top, hits, n, err);
    if (large.data)
        scratch_finish(&large);
    else
        free(hits);
    return ok;
}

/* ---- chunks ----------------------------------------------------------------------- */

static void make_chunk(void *ctx, size_t i, int thread)
{
    struct merge *m = ctx;
    const struct chunk *c = &m->chunks[i];
    (void)thread;
    if (m->failed)
        return;
    struct maker *k = xcalloc(1, sizeof *k);
    k->m = m;
    k->chunk = (int64_t)i;
    k->zstd = ZSTD_createCCtx();
    struct err err = {0};
    bool ok = k->zstd != NULL || err_set(&err, ERR_NOMEM, "no memory to compress");
    struct hit *top = m->top + c->tops;
    for (int64_t j = c->first; j < c->end && ok; j++) {
        int64_t n = spill_count(m->in->spill, j);
        ok = make_hits(k, j, n, top, &err);
        top += m->records[j].n_top;
    }
    ok = ok && end_block(k, &err);
    ok = ok && (k->has_turn || take_turn(k) ||
                err_set(&err, ERR_CANCELLED, "cancelled"));
    int64_t base = m->n_blocks - k->written_blocks; /* before this chunk's first block */
    ok = ok && write_out(k, &err);
    ok = ok && (progress_step(m->progress, "writing the index",
                              (int64_t)c->hits, (int64_t)m->n_hits) ||
                err_set(&err, ERR_CANCELLED, "cancelled"));
    if (ok) {
        for (int64_t j = c->first; j < c->end; j++)
            m->records[j].block += (uint32_t)base;
        pass_turn(k);
    } else {
        fail(m, &err);
    }
    ZSTD_freeCCtx(k->zstd);
    free(k->out);
    free(k->blocks);
    free(k);
}

/* Cut the features into chunks; the cut depends on the hits alone. */
static void plan(struct merge *m)
{
    const struct spill *spill = m->in->spill;
    struct chunk c = {0};
    for (int64_t j = 0; j < spill->d_sae; j++) {
        int64_t n = spill_count(spill, j);
        m->n_hits += (uint64_t)n;
        m->n_top += (uint64_t)(n < m->top_limit ? n : m->top_limit);
        c.end = j + 1;
        if (m->n_hits - c.hits >= MERGE_CHUNK || c.end - c.first >= MERGE_CHUNK / 4 ||
            c.end == spill->d_sae) {
            array_grow(m->chunks, m->n_chunks, m->cap_chunks);
            m->chunks[m->n_chunks++] = c;
            c = (struct chunk){.first = c.end, .hits = m->n_hits, .tops = m->n_top};
        }
    }
}

static bool write_sections(struct merge *m, const char *key, struct scan_totals *totals,
                           struct err *err)
{
    int64_t d_sae = m->in->spill->d_sae;
    totals->nonzeros = (int64_t)m->n_hits;
    const bool *broken = m->in->broken;
    int64_t whole = 0;
    totals->dead = 0;
    for (int64_t j = 0; j < d_sae; j++) {
        bool counts = !broken || !broken[j];
        whole += counts;
        totals->dead += counts && m->records[j].count == 0;
    }
    totals->dead_fraction = whole ? (double)totals->dead / (double)whole : NAN;
    totals->seconds = clock_seconds() - m->in->started;
    totals->tokens_per_second = (double)totals->tokens / totals->seconds;
    const struct {
        const char *name;
        const void *data;
        size_t size;
    } sections[] = {
        {"blocks", m->blocks, (size_t)m->n_blocks * sizeof *m->blocks},
        {"top", m->top, (size_t)m->n_top * sizeof *m->top},
        {"records", m->records, (size_t)d_sae * sizeof *m->records},
        {"totals", totals, sizeof *totals},
        {"key", key, strlen(key)},
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (!fidx_begin(m->writer, sections[i].name, true, err) ||
            !fidx_append(m->writer, sections[i].data, sections[i].size, err))
            return false;
    return true;
}

bool merge_run(const struct merge_input *in, const char *path, const char *key,
               struct scan_totals *totals, const struct progress *progress,
               struct err *err)
{
    struct merge m = {.in = in, .progress = progress};
    struct scratch records = {0}, top = {0};
    int64_t d_sae = in->spill->d_sae;
    bool ok = false;
    m.top_limit = d_sae > MANY_FEATURES ? TOP_OF_MANY : INDEX_TOP;
    pthread_mutex_init(&m.lock, NULL);
    pthread_cond_init(&m.turn_changed, NULL);
    plan(&m);
    if (!scratch_init(&records, in->spill->dir, (size_t)d_sae * sizeof *m.records,
                      "room for the index", err) ||
        !scratch_init(&top, in->spill->dir, (size_t)(m.n_top + 1) * sizeof *m.top,
                      "room for the examples", err))
        goto out;
    m.records = records.data;
    m.top = top.data;
    m.writer = fidx_create(path, INDEX_VERSION, err);
    if (!m.writer || !fidx_begin(m.writer, "postings", false, err))
        goto out;
    team_each(in->threads, (size_t)m.n_chunks, make_chunk, &m);
    if (m.failed) {
        if (err)
            *err = m.err;
        goto out;
    }
    ok = write_sections(&m, key, totals, err);
    if (ok) {
        ok = fidx_commit(m.writer, err);
        m.writer = NULL;
    }
out:
    fidx_abort(m.writer);
    scratch_finish(&records);
    scratch_finish(&top);
    free(m.chunks);
    free(m.blocks);
    pthread_mutex_destroy(&m.lock);
    pthread_cond_destroy(&m.turn_changed);
    return ok;
}
