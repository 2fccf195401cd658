/* worker.c - see worker.h. One mutex guards queues and what lanes report. */
#include "tui/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/mem.h"

void *job_new(const struct job_ops *ops, size_t size)
{
    struct job *job = xcalloc(1, size);

    job->ops = ops;
    atomic_init(&job->cancel, false);
    return job;
}

void job_free(struct job *job)
{
    if (job)
        job->ops->free(job);
}

bool job_run_now(struct job *job, const struct progress *p)
{
    struct err err = {0};

    if (job_cancelled(job)) {
        job->state = JOB_CANCELLED;
        return false;
    }
    if (job->ops->run(job, p, &err)) {
        job->state = JOB_DONE;
        return true;
    }
    job->state = err.code == ERR_CANCELLED || job_cancelled(job) ? JOB_CANCELLED : JOB_FAILED;
    job->err = err;
    return false;
}

struct queue {
    struct job *first, *last;
};

struct lane_state {
    struct worker *worker;
    pthread_t thread;
    bool has_thread;
    pthread_cond_t wake;
    struct queue queue;
    int n_queued;
    struct job *running; /* NULL: idle */
    struct job_status status;
    struct timespec since;
};

struct worker {
    pthread_mutex_t mutex;
    struct lane_state lanes[LANE_COUNT];
    struct queue ended;
    int pending; /* submitted, not reaped */
    uint64_t last_id;
    bool stopping;
    int pipe[2];
};

static void queue_put(struct queue *q, struct job *job)
{
    job->next = NULL;
    if (q->last)
        q->last->next = job;
    else
        q->first = job;
    q->last = job;
}

static struct job *queue_take(struct queue *q)
{
    struct job *job = q->first;

    if (job) {
        q->first = job->next;
        if (!q->first)
            q->last = NULL;
        job->next = NULL;
    }
    return job;
}

static double seconds_since(const struct timespec *t)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - t->tv_sec) + (double)(now.tv_nsec - t->tv_nsec) * 1e-9;
}

/* -- on a lane's thread ---------------------------------------------------------------- */

struct watch {
    struct lane_state *lane;
    struct job *job;
};

static bool report(void *ctx, const char *what, int64_t done, int64_t of)
{
    struct watch *w = ctx;
    struct lane_state *lane = w->lane;

    pthread_mutex_lock(&lane->worker->mutex);
    if (strncmp(lane->status.what, what ? what : "", sizeof lane->status.what - 1) != 0 ||
        done < lane->status.done) { /* another stage: its rate is its own */
        snprintf(lane->status.what, sizeof lane->status.what, "%s", what ? what : "");
        clock_gettime(CLOCK_MONOTONIC, &lane->since);
    }
    lane->status.done = done;
    lane->status.of = of;
    pthread_mutex_unlock(&lane->worker->mutex);
    return !job_cancelled(w->job);
}

static void begin(struct lane_state *lane, struct job *job)
{
    lane->running = job;
    lane->status = (struct job_status){.id = job->id, .name = job->ops->name};
    clock_gettime(CLOCK_MONOTONIC, &lane->since);
}

/* With the mutex held. The pipe is never full: a byte is written only when the list of
 * ended jobs was empty. */
static void give_back(struct worker *w, struct job *job)
{
    bool was_empty = !w->ended.first;

    queue_put(&w->ended, job);
    if (was_empty)
        while (write(w->pipe[1], "j", 1) < 0 && errno == EINTR)
            ;
}

static void *lane_main(void *ctx)
{
    struct lane_state *lane = ctx;
    struct worker *w = lane->worker;

    pthread_mutex_lock(&w->mutex);
    for (;;) {
        struct job *job = queue_take(&lane->queue);
        if (!job && w->stopping)
            break;
        if (!job) {
            pthread_cond_wait(&lane->wake, &w->mutex);
            continue;
        }
        lane->n_queued--;
        begin(lane, job);
        pthread_mutex_unlock(&w->mutex);

        struct watch watch = {lane, job};
        struct progress progress = {report, &watch};
        job_run_now(job, &progress);

        pthread_mutex_lock(&w->mutex);
        lane->running = NULL;
        give_back(w, job);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* -- on the UI thread ------------------------------------------------------------------- */

static bool start_lane(struct worker *w, enum lane i, struct err *err)
{
    struct lane_state *lane = &w->lanes[i];
    sigset_t all, old;
    int error;

    /* Signals are the UI thread's. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&lane->thread, NULL, lane_main, lane);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return err_os(err, error, "worker", "starting a thread");
    lane->has_thread = true;
    return true;
}

struct worker *worker_new(struct err *err)
{
    struct worker *w = xcalloc(1, sizeof *w);

    if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        err_os(err, errno, "worker", "pipe");
        free(w);
        return NULL;
    }
    pthread_mutex_init(&w->mutex, NULL);
    for (int i = 0; i < LANE_COUNT; i++) {
        w->lanes[i].worker = w;
        pthread_cond_init(&w->lanes[i].wake, NULL);
    }
    for (int i = 0; i < LANE_COUNT; i++)
        if (!start_lane(w, (enum lane)i, err)) {
            worker_free(w);
            return NULL;
        }
    return w;
}

static void cancel_job(struct job *job)
{
    atomic_store_explicit(&job->cancel, true, memory_order_relaxed);
}

void worker_free(struct worker *w)
{
    struct job *job;

    if (!w)
        return;
    for (int i = 0; i < LANE_COUNT; i++)
        worker_cancel_lane(w, (enum lane)i);
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    for (int i = 0; i < LANE_COUNT; i++)
        pthread_cond_signal(&w->lanes[i].wake);
    pthread_mutex_unlock(&w->mutex);
    for (int i = 0; i < LANE_COUNT; i++) {
        if (w->lanes[i].has_thread)
            pthread_join(w->lanes[i].thread, NULL);
        pthread_cond_destroy(&w->lanes[i].wake);
    }
    while ((job = queue_take(&w->ended)))
        job_free(job);
    pthread_mutex_destroy(&w->mutex);
    close(w->pipe[0]);
    close(w->pipe[1]);
    free(w);
}

uint64_t worker_submit(struct worker *w, enum lane lane, struct job *job)
{
    uint64_t id;

    pthread_mutex_lock(&w->mutex);
    id = job->id = ++w->last_id;
    w->pending++;
    w->lanes[lane].n_queued++;
    queue_put(&w->lanes[lane].queue, job);
    pthread_cond_signal(&w->lanes[lane].wake);
    pthread_mutex_unlock(&w->mutex);
    return id;
}

void worker_cancel(struct worker *w, uint64_t id)
{
    pthread_mutex_lock(&w->mutex);
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane_state *lane = &w->lanes[i];
        if (lane->running && lane->running->id == id)
            cancel_job(lane->running);
        for (struct job *job = lane->queue.first; job; job = job->next)
            if (job->id == id)
                cancel_job(job);
    }
    pthread_mutex_unlock(&w->mutex);
}

void worker_cancel_lane(struct worker *w, enum lane i)
{
    struct lane_state *lane = &w->lanes[i];

    pthread_mutex_lock(&w->mutex);
    if (lane->running)
        cancel_job(lane->running);
    for (struct job *job = lane->queue.first; job; job = job->next)
        cancel_job(job);
    pthread_mutex_unlock(&w->mutex);
}

int worker_fd(const struct worker *w)
{
    return w->pipe[0];
}

struct job *worker_reap(struct worker *w)
{
    struct job *job;

    pthread_mutex_lock(&w->mutex);
    job = queue_take(&w->ended);
    if (job) {
        char byte[8];
        w->pending--;
        if (!w->ended.first)
            while (read(w->pipe[0], byte, sizeof byte) > 0)
                ;
    }
    pthread_mutex_unlock(&w->mutex);
    return job;
}

int worker_pending(struct worker *w)
{
    pthread_mutex_lock(&w->mutex);
    int n = w->pending;
    pthread_mutex_unlock(&w->mutex);
    return n;
}

bool worker_status(struct worker *w, enum lane i, struct job_status *out)
{
    struct lane_state *lane = &w->lanes[i];

    pthread_mutex_lock(&w->mutex);
    bool busy = lane->running != NULL;
    if (busy) {
        *out = lane->status;
        out->seconds = seconds_since(&lane->since);
        out->waiting = lane->n_queued;
    }
    pthread_mutex_unlock(&w->mutex);
    return busy;
}

static const char *rate_text(double rate, char *buf, size_t size)
{
    static const char *const unit[] = {"", "k", "M", "G", "T"};
    int i = 0;

    for (; rate >= 1000 && i < 4; i++)
        rate /= 1000;
    snprintf(buf, size, rate < 10 ? "%.1f %s" : "%.0f %s", rate, unit[i]);
    return buf;
}

/* Stages that are called by what they count have a rate; others only a name. */
static bool is_unit(const char *what)
{
    static const char *const units[] = {"tokens", "features", "sequences", "pairs", "rows",
                                        "bytes", "positions", "steps"};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(what, units[i]) == 0)
            return true;
    return false;
}

const char *job_status_text(const struct job_status *s, char *buf, size_t size)
{
    double rate = s->seconds > 0.3 && s->done > 0 ? (double)s->done / s->seconds : 0;
    char number[32];
    bool counts = !*s->what || is_unit(s->what);
    size_t n = (size_t)snprintf(buf, size, "%s%s%s", s->name, counts ? "" : ": ",
                                counts ? "" : s->what);

    if (s->of > 0 && n < size)
        n += (size_t)snprintf(buf + n, size - n, " %d %%",
                              (int)(100.0 * (double)s->done / (double)s->of));
    if (rate > 0 && counts && n < size)
        n += (size_t)snprintf(buf + n, size - n, " %s%s/s",
                              rate_text(rate, number, sizeof number), s->what);
    if (rate > 0 && s->of > s->done && n < size) {
        long left = (long)((double)(s->of - s->done) / rate + .5);
        if (left < 3600)
            snprintf(buf + n, size - n, " %ld:%02ld left", left / 60, left % 60);
        else
            snprintf(buf + n, size - n, " %ld:%02ld:%02ld left", left / 3600,
                     left / 60 % 60, left % 60);
    }
    return buf;
}
