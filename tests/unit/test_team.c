/* test_team.c - every index once, on several threads, with signals left to the caller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "io/team.h"

enum { N = 1000 };

static atomic_int hits[N];

static void hit(void *ctx, int thread)
{
    assert_ptr_equal(ctx, hits);
    atomic_fetch_add(&hits[thread], 1);
}

static void every_thread_runs_once(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 7, 64, 0, -5};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        int n = counts[c] < 1 ? 1 : counts[c];
        for (int i = 0; i < N; i++)
            hits[i] = 0;
        team_run(counts[c], hit, hits);
        for (int i = 0; i < N; i++)
            assert_int_equal(hits[i], i < n);
    }
}

static atomic_int greatest;

static void hit_item(void *ctx, size_t i, int thread)
{
    (void)ctx;
    atomic_fetch_add(&hits[i], 1);
    if (thread > greatest)
        greatest = thread;
}

static void every_item_is_taken_once(void **state)
{
    (void)state;
    static const struct { int threads; size_t n; } cases[] = {
        {1, N}, {4, N}, {16, 3}, {4, 0}, {0, 5}, {3, 1},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (int i = 0; i < N; i++)
            hits[i] = 0;
        greatest = 0;
        team_each(cases[c].threads, cases[c].n, hit_item, NULL);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(hits[i], i < cases[c].n);
        assert_true(greatest < (cases[c].threads > 1 ? cases[c].threads : 1));
        assert_true(cases[c].n == 0 || greatest < (int)cases[c].n);
    }
}

static atomic_int wrong;

static void check_mask(void *ctx, int thread)
{
    sigset_t set;
    pthread_t caller = *(pthread_t *)ctx;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    int is_caller = pthread_equal(caller, pthread_self());
    if (is_caller != (thread == 0) || sigismember(&set, SIGBUS) ||
        sigismember(&set, SIGINT) != !is_caller || sigismember(&set, SIGWINCH) != !is_caller)
        wrong++;
}

static void signals_but_faults_go_to_the_caller(void **state)
{
    (void)state;
    pthread_t self = pthread_self();
    team_run(4, check_mask, &self);
    assert_int_equal(wrong, 0);
}

static void the_affinity_mask_counts(void **state)
{
    (void)state;
    cpu_set_t was, one;
    int all = team_default_threads();
    assert_true(all >= 1);
    if (sched_getaffinity(0, sizeof was, &was) != 0)
        skip();
    assert_int_equal(all, CPU_COUNT(&was));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &was)) {
            CPU_SET(i, &one);
            break;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(team_default_threads(), 1);
    sched_setaffinity(0, sizeof was, &was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_runs_once),
        cmocka_unit_test(every_item_is_taken_once),
        cmocka_unit_test(signals_but_faults_go_to_the_caller),
        cmocka_unit_test(the_affinity_mask_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
