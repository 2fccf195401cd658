/* team.c - see team.h. */
#include "io/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/mem.h"

int team_default_threads(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    /* More processors than a cpu_set_t names: the kernel refuses, the count still holds. */
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

struct member {
    pthread_t id;
    bool started;
    int thread;
    void (*fn)(void *, int);
    void *ctx;
};

static void *member_main(void *arg)
{
    struct member *m = arg;
    m->fn(m->ctx, m->thread);
    return NULL;
}

/* Everything but the signals that a thread raises by itself; those must find their
 * handler, or the process dies. */
static void block_signals(sigset_t *old)
{
    sigset_t set;
    sigfillset(&set);
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&set, faults[i]);
    pthread_sigmask(SIG_SETMASK, &set, old);
}

void team_run(int n_threads, void (*fn)(void *ctx, int thread), void *ctx)
{
    size_t n = n_threads > 1 ? (size_t)n_threads : 1;
    struct member *members = xcalloc(n, sizeof *members);
    sigset_t old;
    block_signals(&old);
    for (size_t i = 1; i < n; i++) {
        members[i] = (struct member){.thread = (int)i, .fn = fn, .ctx = ctx};
        members[i].started =
            pthread_create(&members[i].id, NULL, member_main, &members[i]) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    fn(ctx, 0);
    for (size_t i = 1; i < n; i++) {
        if (members[i].started)
            pthread_join(members[i].id, NULL);
        else
            fn(ctx, (int)i);
    }
    free(members);
}

struct each {
    atomic_size_t next;
    size_t n;
    void (*fn)(void *, size_t, int);
    void *ctx;
};

static void each_main(void *ctx, int thread)
{
    struct each *e = ctx;
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&e->next, 1, memory_order_relaxed);
        if (i >= e->n)
            return;
        e->fn(e->ctx, i, thread);
    }
}

void team_each(int n_threads, size_t n, void (*fn)(void *ctx, size_t i, int thread),
               void *ctx)
{
    struct each e = {.n = n, .fn = fn, .ctx = ctx};
    if (n > 0)
        team_run((size_t)n_threads < n || n_threads < 1 ? n_threads : (int)n, each_main, &e);
}
