/* inflate.c - see inflate.h. */
#include "io/inflate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libdeflate.h>

#include "io/mem.h"
#include "io/team.h"

#define WATCH_MS 50

struct state {
    _Atomic int64_t done; /* bytes written, as far as the watcher knows */
    bool ok;
    struct err err;
};

struct inflate {
    const struct map *in;
    struct map out;
    struct inflate_part *part;
    struct state *state; /* [n] */
    size_t n;
    struct libdeflate_decompressor **tool; /* one a thread */
    atomic_bool stop;
    bool cancelled; /* the watcher's, and after it the caller's */

    const struct progress *progress;
    int pagemap; /* -1: cannot be had */
    int64_t page;
    pthread_mutex_t lock; /* of the next one */
    bool finished;
    pthread_cond_t wake;
};

/* ---- one part */

static bool damaged(const struct inflate_part *p, enum libdeflate_result r, struct err *err)
{
    const char *what = r == LIBDEFLATE_BAD_DATA      ? "found bad deflate data"
                       : r == LIBDEFLATE_SHORT_OUTPUT ? "found fewer bytes"
                                                      : "found more bytes";
    return err_format(err, (uint64_t)p->in, "%s is damaged (%s, expected %" PRId64 " bytes)",
                      p->name, what, p->size);
}

static enum libdeflate_result decompress(const struct map *in, struct inflate_part *p,
                                         struct libdeflate_decompressor *tool, void *out,
                                         size_t size, size_t *made)
{
    const unsigned char *data = in->data + p->in;
    size_t n = (size_t)p->packed, used = n;
    enum libdeflate_result r =
        p->gzip ? libdeflate_gzip_decompress_ex(tool, data, n, out, size, &used, made)
                : libdeflate_deflate_decompress_ex(tool, data, n, out, size, &used, made);
    p->used = (int64_t)used;
    return r;
}

static bool inflate_part(struct inflate *f, struct inflate_part *p,
                         struct libdeflate_decompressor *tool, struct err *err)
{
    unsigned char *out = (unsigned char *)f->out.data + p->out;
    enum libdeflate_result r = decompress(f->in, p, tool, out, (size_t)p->size, NULL);
    if (r != LIBDEFLATE_SUCCESS)
        return damaged(p, r, err);
    uint32_t crc = p->gzip ? p->crc : libdeflate_crc32(0, out, (size_t)p->size);
    return crc == p->crc ||
           err_format(err, (uint64_t)p->in, "%s is damaged (found CRC-32 %08x, expected %08x)",
                      p->name, crc, p->crc);
}

struct one {
    struct inflate *f;
    size_t i;
    int thread;
};

static void inflate_guarded(void *ctx)
{
    struct one *o = ctx;
    struct state *s = &o->f->state[o->i];
    s->ok = inflate_part(o->f, &o->f->part[o->i], o->f->tool[o->thread], &s->err);
}

static void inflate_nth(void *ctx, size_t i, int thread)
{
    struct inflate *f = ctx;
    struct state *s = &f->state[i];
    struct one o = {f, i, thread};
    if (atomic_load(&f->stop))
        return;
    if (!map_guard(inflate_guarded, &o, &s->err))
        s->ok = false;
    if (s->ok)
        atomic_store(&s->done, f->part[i].size);
    else
        atomic_store(&f->stop, true);
}

/* ---- the watcher */

/* Has the page of this process at p been written to? */
static bool is_touched(const struct inflate *f, const unsigned char *p)
{
    uint64_t entry = 0;
    off_t at = (off_t)((uint64_t)(uintptr_t)p / (uint64_t)f->page * sizeof entry);
    return pread(f->pagemap, &entry, sizeof entry, at) == sizeof entry && entry >> 63;
}

/* Output is written from the front to the back: the first page that is not there yet is
 * searched by halves. */
static int64_t touched(const struct inflate *f, const struct inflate_part *p)
{
    int64_t lo = 0, hi = p->size / f->page;
    while (f->pagemap >= 0 && lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (is_touched(f, f->out.data + p->out + mid * f->page))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo * f->page < p->size ? lo * f->page : p->size;
}

/* Never less than before, whatever the system has done with the pages meanwhile. */
static int64_t all_done(struct inflate *f)
{
    int64_t sum = 0;
    for (size_t i = 0; i < f->n; i++) {
        int64_t was = atomic_load(&f->state[i].done);
        int64_t now = was < f->part[i].size ? touched(f, &f->part[i]) : was;
        if (now > was)
            atomic_compare_exchange_strong(&f->state[i].done, &was, now);
        sum += now > was ? now : was;
    }
    return sum;
}

static bool is_finished(struct inflate *f)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WATCH_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&f->lock);
    int rc = 0;
    while (!f->finished && rc == 0)
        rc = pthread_cond_timedwait(&f->wake, &f->lock, &until);
    bool finished = f->finished;
    pthread_mutex_unlock(&f->lock);
    return finished;
}

static bool step(struct inflate *f)
{
    return progress_step(f->progress, "inflating", all_done(f), f->out.size);
}

static void *watch(void *ctx)
{
    struct inflate *f = ctx;
    while (!is_finished(f)) {
        if (step(f))
            continue;
        f->cancelled = true;
        atomic_store(&f->stop, true);
        /* What is being written, and whoever writes it. If that fails it ends by itself. */
        if (ftruncate(f->out.fd, 0) != 0)
            continue;
        break;
    }
    return NULL;
}

static void finish_watch(struct inflate *f, pthread_t watcher)
{
    pthread_mutex_lock(&f->lock);
    f->finished = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    pthread_join(watcher, NULL);
}

/* ---- all parts */

static bool open_tools(struct inflate *f, int n, struct err *err)
{
    for (int i = 0; i < n; i++)
        if (!(f->tool[i] = libdeflate_alloc_decompressor()))
            return err_set(err, ERR_NOMEM, "libdeflate: no memory");
    return true;
}

static bool first_failure(const struct inflate *f, struct err *err)
{
    for (size_t i = 0; i < f->n; i++) {
        if (!f->state[i].ok && f->state[i].err.code) {
            if (err)
                *err = f->state[i].err;
            return false;
        }
    }
    return true;
}

static bool run(struct inflate *f, struct err *err)
{
    int n_threads = team_default_threads();
    pthread_t watcher;
    if (!step(f))
        return err_set(err, ERR_CANCELLED, "cancelled");
    f->tool = xcalloc((size_t)n_threads, sizeof *f->tool);
    bool ok = open_tools(f, n_threads, err);
    if (ok) {
        bool watched = pthread_create(&watcher, NULL, watch, f) == 0;
        team_each(n_threads, f->n, inflate_nth, f);
        if (watched)
            finish_watch(f, watcher);
        /* Asked once more: for a stop that came last, or when there was no watcher. */
        ok = !f->cancelled && step(f) ? first_failure(f, err)
                                      : err_set(err, ERR_CANCELLED, "cancelled");
    }
    for (int i = 0; i < n_threads; i++)
        if (f->tool[i])
            libdeflate_free_decompressor(f->tool[i]);
    free(f->tool);
    return ok;
}

bool inflate_parts(const struct map *in, const struct spool *s, int64_t size,
                   struct inflate_part *part, size_t n, const struct progress *progress,
                   struct err *err)
{
    struct inflate f = {.in = in, .part = part, .n = n, .progress = progress,
                        .page = sysconf(_SC_PAGESIZE), .lock = PTHREAD_MUTEX_INITIALIZER,
                        .wake = PTHREAD_COND_INITIALIZER};
    if (!spool_reserve(s, size, &f.out, err))
        return false;
    f.state = xcalloc(n, sizeof *f.state);
    f.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    bool ok = run(&f, err);
    if (f.pagemap >= 0)
        close(f.pagemap);
    free(f.state);
    map_close(&f.out);
    pthread_cond_destroy(&f.wake);
    pthread_mutex_destroy(&f.lock);
    return ok;
}

size_t inflate_beginning(const struct map *in, const struct inflate_part *part,
                         unsigned char *buf, size_t size)
{
    struct inflate_part p = *part;
    struct libdeflate_decompressor *tool = libdeflate_alloc_decompressor();
    size_t made = 0;
    if (!tool)
        return 0;
    memset(buf, 0, size);
    if (decompress(in, &p, tool, buf, size, &made) == LIBDEFLATE_INSUFFICIENT_SPACE)
        made = size;
    libdeflate_free_decompressor(tool);
    return made;
}
