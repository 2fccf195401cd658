/* zstream.c - see zstream.h. */
#include "io/zstream.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "io/bound.h"
#include "io/mem.h"
#include "io/spool.h"
#include "io/team.h"

/* Frames up to SMALL bytes are decompressed in one call into a thread's buffer; larger ones
 * go through it by pieces. */
#define SMALL ((int64_t)4 << 20)
#define PIECE ((int64_t)1 << 20)
/* Where the content begins, if nothing large is skipped first. */
#define NEAR  ((int64_t)1 << 20)
/* From here on, and when the file claims to shrink to less than 1 : 50, it is measured. */
#define MEASURE_FROM ((int64_t)64 << 20)
#define MEASURE_RATIO 50
/* What all threads together may hold for the windows of large frames. */
#define WINDOW_BUDGET ((int64_t)192 << 20)

#define FRAME_HEADER_MAX 18
#define SKIPPABLE 0x184d2a50u
#define SEEK_TABLE 0x184d2a5eu
#define SEEK_MAGIC 0x8f92eab1u

struct frame {
    int64_t at, packed; /* place and size in the file */
    int64_t size;       /* of its content; -1 when it does not say */
    int64_t least, most; /* what its blocks can hold */
    int64_t out;        /* where its content goes; set once it is known */
    int64_t window;     /* bytes it may look back */
};

struct worker {
    ZSTD_DCtx *dctx;
    unsigned char *buf; /* [unpack.buffer] */
};

/* One decompression. What frames and workers hold is released at the end, wherever a
 * guarded function was left. */
struct unpack {
    const struct map *in;
    struct frame *frame;
    size_t n, cap;
    struct bound bound; /* on the bytes of output */
    bool measure;       /* its claims are to be seen to */
    bool dry;           /* decompressing to nowhere, to know how much it is */
    struct spool spool;
    struct worker *worker;
    size_t buffer;    /* bytes of a worker's */
    const struct progress *progress;
    atomic_llong done; /* packed bytes dealt with */
    atomic_bool stop;
    pthread_mutex_t lock; /* of the two below */
    struct err err;
    size_t failed; /* frame that err is about */
};

static uint32_t u32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_skippable(const unsigned char *p)
{
    return (u32(p) & 0xfffffff0u) == SKIPPABLE;
}

bool zstream_is(const unsigned char *bytes, size_t n)
{
    return n >= 4 && (u32(bytes) == ZSTD_MAGICNUMBER || is_skippable(bytes));
}

/* ---- the frames */

static int64_t window_of(const unsigned char *p, size_t n, int64_t size)
{
    if (n < 6 || p[4] & 0x20) /* a single segment: all of the content */
        return size;
    int64_t base = (int64_t)1 << (10 + (p[5] >> 3));
    return base + base / 8 * (p[5] & 7);
}

static bool zstd_failed(struct err *err, uint64_t at, size_t code)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_srcSize_wrong:
        return err_format(err, at, "zstd frame ends early (found the end of the file, "
                          "expected more)");
    case ZSTD_error_memory_allocation:
        return err_set(err, ERR_NOMEM, "zstd: no memory");
    case ZSTD_error_dictionary_wrong:
        return err_set(err, ERR_UNSUPPORTED, "zstd with a dictionary is not read (found one, "
                       "expected none)");
    default:
        return err_format(err, at, "bad zstd frame (found '%s', expected valid data)",
                          ZSTD_getErrorName(code));
    }
}

static size_t header_size(const unsigned char *p)
{
    static const size_t dictionary[] = {0, 1, 2, 4}, content[] = {0, 2, 4, 8};
    bool single = p[4] & 0x20;
    size_t size = content[p[4] >> 6];
    return 5 + !single + dictionary[p[4] & 3] + (size == 0 && single ? 1 : size);
}

/* What the blocks of a frame say of its content without being decompressed: a raw block is
 * as large as it is, a run says how long, a compressed one ends at the block size (RFC 8878,
 * 3.1.1.2). f->packed has been found by walking the same blocks. */
static void bound_content(struct frame *f, const unsigned char *p)
{
    bool small = f->window >= 0 && f->window < ZSTD_BLOCKSIZE_MAX;
    int64_t block = small ? f->window : ZSTD_BLOCKSIZE_MAX;
    const unsigned char *end = p + f->packed;
    for (const unsigned char *b = p + header_size(p); end - b >= 3;) {
        uint32_t head = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
        int64_t n = head >> 3;
        int type = head >> 1 & 3;
        f->least += type < 2 ? n : 0;
        f->most += type < 2 ? n : block;
        b += 3 + (type == 1 ? 1 : n);
        if (head & 1)
            return;
    }
}

/* The blocks of a frame are counted before libzstd walks them: in a hole of a file of
 * terabytes it would find one every three bytes. Whatever is wrong is left to it. */
static bool few_blocks(const unsigned char *p, size_t n, int64_t *blocks)
{
    const unsigned char *end = p + n;
    if (is_skippable(p) || n < FRAME_HEADER_MAX)
        return true;
    for (const unsigned char *b = p + header_size(p); end - b >= 3; ++*blocks) {
        uint32_t head = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
        ptrdiff_t body = (head >> 1 & 3) == 1 ? 1 : (ptrdiff_t)(head >> 3);
        if (*blocks >= ZSTREAM_MAX_BLOCKS)
            return false;
        if (head & 1 || body > end - b - 3)
            break;
        b += 3 + body;
    }
    return true;
}

/* Guarded: fills u->frame, or u->err. */
static void find_frames(void *ctx)
{
    struct unpack *u = ctx;
    const unsigned char *data = u->in->data;
    int64_t frames = 0, blocks = 0;
    for (int64_t at = 0; at < u->in->size; frames++) {
        const unsigned char *p = data + at;
        size_t left = (size_t)(u->in->size - at);
        if (left < 4 || !zstream_is(p, left)) {
            err_format(&u->err, (uint64_t)at, "not a zstd frame (found other bytes "
                       "behind the last one, expected none)");
            return;
        }
        if (frames >= ZSTREAM_MAX_FRAMES || !few_blocks(p, left, &blocks)) {
            err_format(&u->err, (uint64_t)at, "too many zstd frames or blocks (found more, "
                       "expected at most %d and %d)", ZSTREAM_MAX_FRAMES, ZSTREAM_MAX_BLOCKS);
            return;
        }
        size_t packed = ZSTD_findFrameCompressedSize(p, left);
        if (ZSTD_isError(packed)) {
            zstd_failed(&u->err, (uint64_t)at, packed);
            return;
        }
        if (!is_skippable(p)) {
            unsigned long long size = ZSTD_getFrameContentSize(p, left);
            bool known = size <= INT64_MAX;
            array_grow(u->frame, u->n, u->cap);
            struct frame *f = &u->frame[u->n++];
            *f = (struct frame){.at = at, .packed = (int64_t)packed,
                                .size = known ? (int64_t)size : -1,
                                .window = window_of(p, left, (int64_t)size)};
            bound_content(f, p);
        }
        at += (int64_t)packed;
    }
}

/* Guarded: sizes from the seek table at the end, if there is one that fits the frames. */
static void read_seek_table(void *ctx)
{
    struct unpack *u = ctx;
    int64_t end = u->in->size;
    if (end < 17 || u32(u->in->data + end - 4) != SEEK_MAGIC)
        return;
    const unsigned char *footer = u->in->data + end - 9;
    int64_t n = u32(footer), entry = footer[4] & 0x80 ? 12 : 8;
    if (n != (int64_t)u->n || footer[4] & 0x7c || end < 17 + n * entry)
        return;
    const unsigned char *table = footer - n * entry;
    if (u32(table - 8) != SEEK_TABLE || u32(table - 4) != n * entry + 9)
        return;
    for (int64_t i = 0; i < n; i++)
        if (u32(table + i * entry) != u->frame[i].packed)
            return;
    for (int64_t i = 0; i < n; i++)
        if (u->frame[i].size < 0)
            u->frame[i].size = u32(table + i * entry + 4);
}

/* ---- how much may come out */

struct beginning {
    const struct map *in;
    ZSTD_DCtx *dctx;
    unsigned char *p; /* [n] */
    size_t n;
    int64_t within; /* packed bytes to look at */
};

/* Guarded: the first bytes of the content. What is wrong with the frames is left to the
 * decompression proper. */
static void read_beginning(void *ctx)
{
    struct beginning *b = ctx;
    int64_t within = b->in->size < b->within ? b->in->size : b->within;
    ZSTD_inBuffer in = {b->in->data, (size_t)within, 0};
    ZSTD_outBuffer out = {b->p, b->n, 0};
    ZSTD_DCtx_reset(b->dctx, ZSTD_reset_session_only);
    while (out.pos < out.size && in.pos < in.size)
        if (ZSTD_isError(ZSTD_decompressStream(b->dctx, &out, &in)))
            break;
    b->n = out.pos;
    ZSTD_DCtx_reset(b->dctx, ZSTD_reset_session_only);
}

bool zstream_beginning(const struct map *in, unsigned char *buf, size_t *n, struct err *err)
{
    struct beginning b = {in, ZSTD_createDCtx(), buf, *n, NEAR};
    bool ok = b.dctx ? map_guard(read_beginning, &b, err)
                     : err_set(err, ERR_NOMEM, "zstd: no memory");
    ZSTD_freeDCtx(b.dctx);
    if (ok)
        *n = b.n;
    return ok;
}

static bool wrong_size(const struct frame *f, struct err *err)
{
    return err_format(err, (uint64_t)f->at,
                      "zstd frame does not hold what it says (found another size, expected %" PRId64 " bytes)",
                      f->size);
}

/* What the frames can hold: what they say and what their blocks say. False: they contradict
 * themselves. */
static bool bound_all(const struct unpack *u, int64_t *least, int64_t *most, struct err *err)
{
    *least = *most = 0;
    for (size_t i = 0; i < u->n; i++) {
        const struct frame *f = &u->frame[i];
        bool known = f->size >= 0;
        if (known && (f->size < f->least || f->size > f->most))
            return wrong_size(f, err);
        if (__builtin_add_overflow(*least, f->least, least) ||
            __builtin_add_overflow(*most, known ? f->size : f->most, most))
            return bound_exceeded(&u->bound, err);
    }
    return true;
}

static bool set_bound(struct unpack *u, struct err *err)
{
    unsigned char first[BOUND_HEAD];
    struct beginning b = {u->in, u->worker[0].dctx, first, sizeof first, u->in->size};
    if (!map_guard(read_beginning, &b, err))
        return false;
    size_t n = bound_needs(first, b.n);
    unsigned char *head = mem_try(n, 1, "header", err);
    if (!head)
        return false;
    b.p = head;
    b.n = n;
    bool ok = map_guard(read_beginning, &b, err) &&
              bound_set(&u->bound, head, b.n, u->in->size, err);
    free(head);
    return ok;
}

/* ---- decompression */

static void fail(struct unpack *u, size_t i, const struct err *why)
{
    pthread_mutex_lock(&u->lock);
    if (!u->err.code || i < u->failed) {
        u->err = *why;
        u->failed = i;
    }
    pthread_mutex_unlock(&u->lock);
    atomic_store(&u->stop, true);
}

static bool step(struct unpack *u, int64_t packed, struct err *err)
{
    int64_t done = atomic_fetch_add(&u->done, packed) + packed;
    if (progress_step(u->progress, u->dry ? "measuring" : "decompressing", done,
                      u->in->size))
        return true;
    return err_set(err, ERR_CANCELLED, "cancelled");
}

static bool put(struct unpack *u, const void *p, size_t n, int64_t at, struct err *err)
{
    return u->dry || spool_write(&u->spool, p, n, at, err);
}

static bool is_small(const struct frame *f)
{
    return f->size >= 0 && f->size <= SMALL;
}

static bool unpack_small(struct unpack *u, struct worker *w, struct frame *f,
                         struct err *err)
{
    size_t n = ZSTD_decompressDCtx(w->dctx, w->buf, u->buffer, u->in->data + f->at,
                                   (size_t)f->packed);
    if (ZSTD_isError(n))
        return zstd_failed(err, (uint64_t)f->at, n);
    if ((int64_t)n != f->size)
        return wrong_size(f, err);
    return put(u, w->buf, n, f->out, err) && step(u, f->packed, err);
}

/* Piece by piece. A frame that did not say its size has it set. */
static bool unpack_large(struct unpack *u, struct worker *w, struct frame *f,
                         struct err *err)
{
    if (f->window > ZSTREAM_MAX_WINDOW)
        return err_set(err, ERR_UNSUPPORTED, "zstd window is too large (found %" PRId64
                       " MiB, expected at most %" PRId64 ")", f->window >> 20,
                       ZSTREAM_MAX_WINDOW >> 20);
    ZSTD_inBuffer in = {u->in->data + f->at, (size_t)f->packed, 0};
    int64_t n = 0;
    ZSTD_DCtx_reset(w->dctx, ZSTD_reset_session_only);
    for (size_t more = 1; more != 0;) {
        if (atomic_load(&u->stop))
            return err_set(err, ERR_CANCELLED, "cancelled");
        size_t was = in.pos;
        ZSTD_outBuffer out = {w->buf, u->buffer, 0};
        more = ZSTD_decompressStream(w->dctx, &out, &in);
        if (ZSTD_isError(more))
            return zstd_failed(err, (uint64_t)f->at + in.pos, more);
        if (more != 0 && in.pos == was && out.pos == 0)
            return err_format(err, (uint64_t)f->at + in.pos, "zstd frame ends early (found "
                              "the end of the file, expected more)");
        if (f->size >= 0 && (int64_t)out.pos > f->size - n)
            return wrong_size(f, err);
        if ((int64_t)out.pos > u->bound.limit - f->out - n)
            return bound_exceeded(&u->bound, err);
        if (!put(u, w->buf, out.pos, f->out + n, err) ||
            !step(u, (int64_t)(in.pos - was), err))
            return false;
        n += (int64_t)out.pos;
    }
    if (f->size >= 0 && n != f->size)
        return wrong_size(f, err);
    f->size = n;
    return true;
}

struct one {
    struct unpack *u;
    struct worker *w;
    struct frame *f;
    bool ok;
    struct err err;
};

static void unpack_guarded(void *ctx)
{
    struct one *o = ctx;
    o->ok = is_small(o->f) ? unpack_small(o->u, o->w, o->f, &o->err)
                           : unpack_large(o->u, o->w, o->f, &o->err);
}

static void unpack_frame(struct unpack *u, size_t i, int thread)
{
    if (atomic_load(&u->stop))
        return;
    struct one o = {.u = u, .w = &u->worker[thread], .f = &u->frame[i]};
    if (!map_guard(unpack_guarded, &o, &o.err) || !o.ok)
        fail(u, i, &o.err);
}

struct run {
    struct unpack *u;
    size_t first;
};

static void unpack_nth(void *ctx, size_t i, int thread)
{
    struct run *r = ctx;
    unpack_frame(r->u, r->first + i, thread);
}

/* From frame `first` on: the longest run whose sizes are known, at once; or one frame. */
static size_t unpack_run(struct unpack *u, size_t first, int64_t *out, int n_threads)
{
    size_t end = first;
    for (; end < u->n && u->frame[end].size >= 0; end++) {
        u->frame[end].out = *out;
        *out += u->frame[end].size;
    }
    if (end > first) {
        struct run r = {u, first};
        team_each(n_threads, end - first, unpack_nth, &r);
        return end;
    }
    u->frame[first].out = *out;
    unpack_frame(u, first, 0);
    *out += u->frame[first].size >= 0 ? u->frame[first].size : 0;
    return first + 1;
}

/* Refuse what is known to become too large, too small or larger than the disk, before
 * any work. */
static bool check_known(struct unpack *u, struct err *err)
{
    int64_t least, most;
    if (!bound_all(u, &least, &most, err) ||
        !bound_kept(&u->bound, most, least == most, u->in->size, err))
        return false;
    int64_t known = 0;
    for (size_t i = 0; i < u->n; i++)
        known += u->frame[i].size >= 0 ? u->frame[i].size : u->frame[i].least;
    if (known > u->bound.limit)
        return bound_exceeded(&u->bound, err);
    /* Numbers do not compress like this, files that mean harm do, or the disk may not have
     * room for it: see first what it comes to, which costs little. */
    u->measure = least < most && ((most > MEASURE_FROM && most / MEASURE_RATIO > u->in->size) ||
                                  !spool_room(&u->spool, most, NULL));
    return spool_room(&u->spool, known > u->bound.promised ? known : u->bound.promised, err);
}

/* As many threads as there are frames and as the windows of large ones allow. */
static int threads_for(const struct unpack *u)
{
    int64_t window = 1, n = (int64_t)u->n, all = team_default_threads();
    for (size_t i = 0; i < u->n; i++)
        if (!is_small(&u->frame[i]) && u->frame[i].window > window)
            window = u->frame[i].window;
    if (n > WINDOW_BUDGET / window)
        n = WINDOW_BUDGET / window;
    return (int)(n < 1 ? 1 : n < all ? n : all);
}

static bool open_dctx(struct worker *w, struct err *err)
{
    return w->dctx || (w->dctx = ZSTD_createDCtx()) ||
           err_set(err, ERR_NOMEM, "zstd: no memory");
}

static bool open_workers(struct unpack *u, int n, struct err *err)
{
    int64_t buffer = 1;
    for (size_t i = 0; i < u->n; i++) {
        int64_t need = is_small(&u->frame[i]) ? u->frame[i].size : PIECE;
        buffer = need > buffer ? need : buffer;
    }
    u->buffer = (size_t)buffer;
    for (int i = 0; i < n; i++) {
        struct worker *w = &u->worker[i];
        if (!open_dctx(w, err) || !(w->buf = mem_try(u->buffer, 1, "zstd buffer", err)))
            return false;
    }
    return true;
}

static bool unpack_frames(struct unpack *u, int n_threads, struct err *err)
{
    int64_t out = 0;
    atomic_store(&u->done, 0);
    for (size_t i = 0; i < u->n && !u->err.code;)
        i = unpack_run(u, i, &out, n_threads);
    if (u->err.code && err)
        *err = u->err;
    return !u->err.code;
}

/* Afterwards every frame's size is known, and true. */
static bool measure(struct unpack *u, int n_threads, struct err *err)
{
    u->dry = true;
    bool ok = unpack_frames(u, n_threads, err);
    u->dry = false;
    for (size_t i = 0; ok && i < u->n; i++)
        u->frame[i].least = u->frame[i].most = u->frame[i].size;
    return ok && check_known(u, err);
}

static bool unpack_all(struct unpack *u, struct err *err)
{
    if (!open_dctx(&u->worker[0], err) || !map_guard(find_frames, u, err))
        return false;
    if (u->err.code) {
        if (err)
            *err = u->err;
        return false;
    }
    if (!map_guard(read_seek_table, u, err) || !set_bound(u, err) || !check_known(u, err))
        return false;
    int n_threads = threads_for(u);
    return open_workers(u, n_threads, err) &&
           (!u->measure || measure(u, n_threads, err)) && unpack_frames(u, n_threads, err);
}

bool zstream_map(const struct map *in, struct map *out, const struct progress *progress,
                 struct err *err)
{
    struct unpack u = {.in = in, .progress = progress, .spool = {.fd = -1},
                       .lock = PTHREAD_MUTEX_INITIALIZER};
    int n_workers = team_default_threads();
    u.worker = xcalloc((size_t)n_workers, sizeof *u.worker);
    bool ok = spool_open(&u.spool, err) && unpack_all(&u, err) &&
              spool_map(&u.spool, in->path, out, err);
    spool_close(&u.spool);
    for (int i = 0; i < n_workers; i++) {
        ZSTD_freeDCtx(u.worker[i].dctx);
        free(u.worker[i].buf);
    }
    free(u.worker);
    free(u.frame);
    pthread_mutex_destroy(&u.lock);
    return ok;
}
