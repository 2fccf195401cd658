#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <poll.h>

#include "tui/worker.h"

/* Counts steps of 0.1 ms; fails or waits for ever when asked to. */
struct count_job {
    struct job job;
    int steps, done;
    bool fails, waits;
    int *freed; /* touched on the reaping thread only */
};

static bool count_run(struct job *job, const struct progress *p, struct err *err)
{
    struct count_job *c = (struct count_job *)job;

    for (c->done = 0; c->done < c->steps || c->waits; c->done++) {
        if (!progress_step(p, "steps", c->done, c->steps))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (c->waits)
            usleep(100);
    }
    return !c->fails || err_set(err, ERR_FORMAT, "x.npy: bad");
}

static void count_free(struct job *job)
{
    struct count_job *c = (struct count_job *)job;

    if (c->freed)
        ++*c->freed;
    free(c);
}

static const struct job_ops count_ops = {"count", count_run, count_free};

static struct count_job *count_new(int steps, int *freed)
{
    struct count_job *c = job_new(&count_ops, sizeof *c);

    c->steps = steps;
    c->freed = freed;
    return c;
}

static struct job *reap(struct worker *w)
{
    struct pollfd p = {worker_fd(w), POLLIN, 0};
    struct job *job = worker_reap(w);

    while (!job) {
        assert_int_equal(poll(&p, 1, 20000), 1);
        job = worker_reap(w);
    }
    return job;
}

static void a_job_runs_without_threads(void **state)
{
    struct count_job *c = count_new(5, NULL);

    (void)state;
    assert_true(job_run_now(&c->job, NULL));
    assert_int_equal(c->job.state, JOB_DONE);
    assert_int_equal(c->done, 5);
    c->fails = true;
    assert_false(job_run_now(&c->job, NULL));
    assert_int_equal(c->job.state, JOB_FAILED);
    assert_string_equal(c->job.err.msg, "x.npy: bad");
    job_free(&c->job);
}

static void results_come_back_once_and_in_order(void **state)
{
    struct worker *w = worker_new(NULL);
    uint64_t ids[50];
    int freed = 0;

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct count_job *c = count_new(i, &freed);
        c->fails = i % 7 == 0;
        ids[i] = worker_submit(w, LANE_QUICK, &c->job);
    }
    for (int i = 0; i < 50; i++) {
        struct job *job = reap(w);
        assert_int_equal(job->id, ids[i]);
        assert_int_equal(job->state, i % 7 == 0 ? JOB_FAILED : JOB_DONE);
        assert_int_equal(((struct count_job *)job)->done, i);
        job_free(job);
    }
    assert_null(worker_reap(w));
    assert_int_equal(worker_pending(w), 0);
    assert_int_equal(freed, 50);
    worker_free(w);
}

static void lanes_do_not_wait_for_each_other(void **state)
{
    struct worker *w = worker_new(NULL);
    struct count_job *scan = count_new(100, NULL);
    struct job_status status;
    struct job *job;

    (void)state;
    scan->waits = true;
    uint64_t scan_id = worker_submit(w, LANE_LONG, &scan->job);
    uint64_t page_id = worker_submit(w, LANE_QUICK, &count_new(3, NULL)->job);
    job = reap(w);
    assert_int_equal(job->id, page_id);
    job_free(job);
    while (!worker_status(w, LANE_LONG, &status) || status.done == 0)
        usleep(1000);
    assert_int_equal(status.id, scan_id);
    assert_string_equal(status.name, "count");
    assert_string_equal(status.what, "steps");
    assert_int_equal(status.of, 100);
    assert_false(worker_status(w, LANE_QUICK, &status));
    worker_cancel(w, scan_id);
    job = reap(w);
    assert_int_equal(job->id, scan_id);
    assert_int_equal(job->state, JOB_CANCELLED);
    job_free(job);
    worker_free(w);
}

static void waiting_jobs_cancel_without_running(void **state)
{
    struct worker *w = worker_new(NULL);
    struct count_job *first = count_new(1, NULL), *second = count_new(1, NULL);

    (void)state;
    first->waits = true;
    second->done = -1;
    worker_submit(w, LANE_LONG, &first->job);
    worker_submit(w, LANE_LONG, &second->job);
    worker_cancel(w, second->job.id);
    worker_cancel_lane(w, LANE_LONG);
    worker_cancel(w, 12345);
    for (int i = 0; i < 2; i++) {
        struct job *job = reap(w);
        assert_int_equal(job->state, JOB_CANCELLED);
        if (job == &second->job)
            assert_int_equal(second->done, -1);
        job_free(job);
    }
    worker_free(w);
}

static void freeing_frees_everything(void **state)
{
    struct worker *w = worker_new(NULL);
    int freed = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct count_job *c = count_new(1, &freed);
        c->waits = true;
        worker_submit(w, (enum lane)(i % LANE_COUNT), &c->job);
    }
    worker_free(w);
    assert_int_equal(freed, 20);
    worker_free(NULL);
}

/* Moving quickly through a table: every job is cancelled by the next. */
static void stress_with_cancellation(void **state)
{
    struct worker *w = worker_new(NULL);
    struct job_status status;
    uint64_t last = 0;
    int freed = 0, submitted = 0, done = 0;
    unsigned seed = 1;

    (void)state;
    while (submitted < 5000) {
        seed = seed * 1103515245 + 12345;
        struct count_job *c = count_new((int)(seed >> 16) % 300, &freed);
        c->fails = seed >> 8 & 1;
        if (seed >> 9 & 1)
            worker_cancel(w, last);
        last = worker_submit(w, (enum lane)(seed >> 10 & 1), &c->job);
        submitted++;
        worker_status(w, LANE_QUICK, &status);
        if (seed >> 11 & 1)
            for (struct job *job; (job = worker_reap(w)); job_free(job))
                done++;
    }
    for (; done < submitted; done++)
        job_free(reap(w));
    assert_int_equal(freed, submitted);
    assert_null(worker_reap(w));
    worker_free(w);
}

static void progress_reads_well(void **state)
{
    static const struct {
        struct job_status s;
        const char *text;
    } cases[] = {
        {{.name = "scan", .what = "tokens", .done = 37, .of = 100, .seconds = 0.1}, "scan 37 %"},
        {{.name = "scan", .what = "tokens", .done = 37000000, .of = 100000000, .seconds = 30},
         "scan 37 % 1.2 Mtokens/s 0:51 left"},
        {{.name = "scan", .what = "tokens", .done = 500, .of = 3600500, .seconds = 1},
         "scan 0 % 500 tokens/s 2:00:00 left"},
        {{.name = "page", .what = "", .seconds = 9}, "page"},
        {{.name = "count", .what = "pairs", .done = 20000, .seconds = 2},
         "count 10 kpairs/s"},
        {{.name = "scan", .what = "writing the index", .done = 1, .of = 4, .seconds = 1},
         "scan: writing the index 25 % 0:03 left"},
    };
    char buf[128];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(job_status_text(&cases[i].s, buf, sizeof buf), cases[i].text);
    for (size_t size = 1; size < 40; size++)
        assert_true(strlen(job_status_text(&cases[1].s, buf, size)) < size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_without_threads),
        cmocka_unit_test(results_come_back_once_and_in_order),
        cmocka_unit_test(lanes_do_not_wait_for_each_other),
        cmocka_unit_test(waiting_jobs_cancel_without_running),
        cmocka_unit_test(freeing_frees_everything),
        cmocka_unit_test(stress_with_cancellation),
        cmocka_unit_test(progress_reads_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
