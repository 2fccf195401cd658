/* process.h - times of the program as a whole process: medians of several runs. */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { RUNS = 9 };

static inline int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

/* Milliseconds of a run with its output thrown away. */
static inline double run_once(const char *const argv[])
{
    double start = clock_seconds();
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0) {
        fprintf(stderr, "benchmark: %s %s failed\n", argv[0], argv[1]);
        exit(1);
    }
    return 1e3 * (clock_seconds() - start);
}

static inline double run_median(const char *const argv[])
{
    double ms[RUNS];
    run_once(argv); /* warm */
    for (int i = 0; i < RUNS; i++)
        ms[i] = run_once(argv);
    return median(ms, RUNS);
}

/* Milliseconds from exec until the tabs of the frame have come out of the terminal. */
static inline double first_screen(const char *const argv[])
{
    struct winsize size = {.ws_row = 36, .ws_col = 120};
    char seen[1 << 16];
    size_t n = 0;
    int fd;
    double start = clock_seconds(), ms = -1;
    pid_t pid = forkpty(&fd, NULL, NULL, &size);
    if (pid == 0) {
        setenv("TERM", "xterm-256color", 1);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    while (ms < 0 && n < sizeof seen - 1) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t got = poll(&p, 1, 5000) > 0 ? read(fd, seen + n, sizeof seen - 1 - n) : -1;
        if (got <= 0)
            break;
        n += (size_t)got;
        seen[n] = 0;
        if (strstr(seen, "Features"))
            ms = 1e3 * (clock_seconds() - start);
    }
    kill(pid, SIGTERM);
    while (read(fd, seen, sizeof seen) > 0)
        ;
    waitpid(pid, NULL, 0);
    close(fd);
    if (ms < 0) {
        fputs("benchmark: the explorer has drawn nothing\n", stderr);
        exit(1);
    }
    return ms;
}

static inline double first_screen_median(const char *const argv[])
{
    double ms[RUNS];
    first_screen(argv);
    for (int i = 0; i < RUNS; i++)
        ms[i] = first_screen(argv);
    return median(ms, RUNS);
}
