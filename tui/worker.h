/*
 * worker.h - work that must not hold up the screen.
 *
 * A job is a heap object that starts with a struct job: copies of its inputs, const
 * pointers into what outlives it, and room for its result. It runs on a thread of its
 * lane, one after the other; the two lanes run side by side, so that a scan does not keep
 * a feature page waiting:
 *
 *   struct page_job {
 *       struct job job;            // first
 *       const struct session *s;   // borrowed, outlives the worker
 *       int64_t feature;           // the question
 *       struct page page;          // the answer
 *   };
 *   static bool page_run(struct job *job, const struct progress *p, struct err *err);
 *   static void page_free(struct job *job);
 *   static const struct job_ops page_ops = { "page", page_run, page_free };
 *
 * Every job that was submitted comes back exactly once through worker_reap, on the thread
 * that calls it (the UI thread): done, failed or cancelled. So results are taken and jobs
 * are freed in one place, and nothing is shared while it runs. The same job runs without
 * any thread through job_run_now, in commands and tests.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"

struct job;

struct job_ops {
    const char *name; /* in the status line: "scan", "feature page" */

    /* The work. Calls progress_step(p, ...) at least every 50 ms and returns false with
     * ERR_CANCELLED when that says stop. May leave partial results for free to release. */
    bool (*run)(struct job *job, const struct progress *p, struct err *err);

    void (*free)(struct job *job); /* the object and what it owns */
};

enum job_state { JOB_NEW, JOB_DONE, JOB_FAILED, JOB_CANCELLED };

struct job {
    const struct job_ops *ops;
    enum job_state state; /* read it after worker_reap or job_run_now */
    struct err err;       /* of JOB_FAILED */
    uint64_t id;          /* from worker_submit; 0 before */
    atomic_bool cancel;   /* the rest is the worker's */
    struct job *next;
};

/* xcalloc of `size` bytes (the whole object) with ops set. */
void *job_new(const struct job_ops *ops, size_t size);
void job_free(struct job *job); /* through its ops; NULL is fine */

/* Has somebody asked it to stop? For loops that have no progress to report. */
static inline bool job_cancelled(const struct job *job)
{
    return atomic_load_explicit(&job->cancel, memory_order_relaxed);
}

/* Run it here and now; p may be NULL. True when JOB_DONE; else job->err says why. */
bool job_run_now(struct job *job, const struct progress *p);

enum lane {
    LANE_QUICK, /* what a view needs to show itself */
    LANE_LONG,  /* scans, scores, ablations of many */
    LANE_COUNT
};

struct worker;

struct worker *worker_new(struct err *err); /* ERR_OS: no thread or no descriptor */
void worker_free(struct worker *w);         /* cancels, waits, frees all; NULL is fine */

/* Takes the job; the id is never 0 and never used again. */
uint64_t worker_submit(struct worker *w, enum lane lane, struct job *job);

/* Ask to stop. A waiting job comes back without having run; one that has ended already
 * comes back as it ended. Unknown ids are fine. */
void worker_cancel(struct worker *w, uint64_t id);
void worker_cancel_lane(struct worker *w, enum lane lane);

/* Readable (poll) while worker_reap has something to give. */
int worker_fd(const struct worker *w);

/* The next job that has ended, or NULL. The caller's to take from and job_free. */
struct job *worker_reap(struct worker *w);

/* Submitted and not yet reaped. */
int worker_pending(struct worker *w);

/* What a lane is doing now; false: nothing. */
struct job_status {
    uint64_t id;
    const char *name;  /* ops->name */
    char what[48];     /* stage or unit of the last progress_step, "" before the first */
    int64_t done, of;  /* of == 0: not known */
    double seconds;    /* since this stage began */
    int waiting;       /* jobs queued behind it */
};
bool worker_status(struct worker *w, enum lane lane, struct job_status *out);

/* "scan 37 % 1.2 Mtokens/s 0:41 left", "scan: writing the index 80 %" into buf; returns
 * buf. Pure. */
const char *job_status_text(const struct job_status *s, char *buf, size_t size);
