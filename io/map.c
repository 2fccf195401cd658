/* map.c - see map.h. */
#include "io/map.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fs.h"
#include "io/mem.h"

/*
 * The live mappings. Written under a lock, read by the signal handler without: the array
 * grows by blocks that never move, and a slot counts only while `end` is not 0.
 */
#define BLOCK 256

struct slot {
    _Atomic uintptr_t begin, end;
    char *path; /* borrowed from the map; read outside the handler, under the lock */
};

struct block {
    struct slot slot[BLOCK];
    struct block *_Atomic next;
};

static struct block first_block;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int slot_take(const unsigned char *data, int64_t size, char *path)
{
    pthread_mutex_lock(&lock);
    int index = 0;
    for (struct block *b = &first_block;; b = b->next) {
        for (int i = 0; i < BLOCK; i++, index++) {
            if (b->slot[i].end != 0)
                continue;
            b->slot[i].path = path;
            b->slot[i].begin = (uintptr_t)data;
            b->slot[i].end = (uintptr_t)data + (uintptr_t)size;
            pthread_mutex_unlock(&lock);
            return index;
        }
        if (!b->next)
            b->next = xcalloc(1, sizeof *b);
    }
}

static void slot_give(int index)
{
    pthread_mutex_lock(&lock);
    struct block *b = &first_block;
    for (; index >= BLOCK; index -= BLOCK)
        b = b->next;
    b->slot[index].end = 0;
    pthread_mutex_unlock(&lock);
}

static struct slot *slot_at(uintptr_t address)
{
    for (struct block *b = &first_block; b; b = b->next)
        for (int i = 0; i < BLOCK; i++)
            if (address >= b->slot[i].begin && address < b->slot[i].end)
                return &b->slot[i];
    return NULL;
}

static bool map_as(struct map *m, int fd, int protection, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        err_os(err, errno, path, "cannot stat");
        close(fd);
        return false;
    }
    static const unsigned char nothing[1];
    void *data = (void *)nothing;
    if (st.st_size > 0) {
        data = mmap(NULL, (size_t)st.st_size, protection, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) {
            err_os(err, errno, path, "cannot map");
            close(fd);
            return false;
        }
    }
    *m = (struct map){.path = xstrdup(path), .fd = fd, .data = data, .size = st.st_size,
                      .mtime = st.st_mtim, .slot = -1};
    if (m->size > 0)
        m->slot = slot_take(m->data, m->size, m->path);
    return true;
}

bool map_fd(struct map *m, int fd, const char *path, struct err *err)
{
    return map_as(m, fd, PROT_READ, path, err);
}

bool map_fd_for_writing(struct map *m, int fd, const char *path, struct err *err)
{
    return map_as(m, fd, PROT_READ | PROT_WRITE, path, err);
}

bool map_open(struct map *m, const char *path, struct err *err)
{
    int fd = fs_open_regular(path, NULL, err);
    return fd >= 0 && map_fd(m, fd, path, err);
}

void map_close(struct map *m)
{
    if (!m->path)
        return;
    if (m->size > 0) {
        slot_give(m->slot);
        munmap((void *)m->data, (size_t)m->size);
    }
    close(m->fd);
    free(m->path);
    *m = (struct map){.fd = -1};
}

static bool changed(const char *path, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s: changed or truncated while open (found another size, "
                   "time or end, expected the file as it was opened)", path);
}

bool map_unchanged(const struct map *m, struct err *err)
{
    struct stat st;
    if (fstat(m->fd, &st) != 0)
        return err_os(err, errno, m->path, "cannot stat");
    if (st.st_size != m->size || st.st_mtim.tv_sec != m->mtime.tv_sec ||
        st.st_mtim.tv_nsec != m->mtime.tv_nsec)
        return changed(m->path, err);
    return true;
}

bool map_pread(const struct map *m, void *buf, size_t n, int64_t offset, struct err *err)
{
    return fs_pread(m->fd, m->path, buf, n, offset, err);
}

/* ---- the guard */

struct guard {
    sigjmp_buf env;
    struct guard *outer;
    uintptr_t address; /* of the read that failed */
};

static _Thread_local struct guard *volatile guard_top;
static struct sigaction previous;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    struct guard *g = guard_top;
    uintptr_t address = (uintptr_t)info->si_addr;
    if (g && slot_at(address)) {
        g->address = address;
        siglongjmp(g->env, 1);
    }
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(sig, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(sig);
    } else {
        /* Nobody wants it: let it happen again without us, so that the process ends the
         * way it would have. One that was sent, not raised by a read, comes back too. */
        signal(sig, SIG_DFL);
        if (info->si_code <= 0)
            raise(sig);
    }
}

/* Make sure that our handler is the one in place: others may have come since. */
void map_guard_first(void)
{
    struct sigaction now;
    if (sigaction(SIGBUS, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
        now.sa_sigaction == on_sigbus)
        return;
    pthread_mutex_lock(&lock);
    if (sigaction(SIGBUS, NULL, &now) == 0 &&
        !((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)) {
        previous = now;
        struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
        ours.sa_sigaction = on_sigbus;
        sigemptyset(&ours.sa_mask);
        sigaction(SIGBUS, &ours, NULL);
    }
    pthread_mutex_unlock(&lock);
}

bool map_guard(void (*fn)(void *ctx), void *ctx, struct err *err)
{
    map_guard_first();
    struct guard g = {.outer = guard_top};
    if (sigsetjmp(g.env, 1) == 0) {
        guard_top = &g;
        fn(ctx);
        guard_top = g.outer;
        return true;
    }
    guard_top = g.outer;
    pthread_mutex_lock(&lock);
    const struct slot *slot = slot_at(g.address);
    changed(slot ? slot->path : "a mapped file", err);
    pthread_mutex_unlock(&lock);
    return false;
}
