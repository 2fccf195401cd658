/*
 * bench_program.c - the program as a whole process: how fast it starts and answers.
 *
 *   bench_program SAESCOPE DIR
 *
 * Times are medians of whole processes less the median of `saescope --version`. The limit
 * that stands beside them is reading the same bytes of samples from the page cache, by
 * pread on all cores. The explorer's first screen is the first frame that reaches a
 * terminal (a pseudo-terminal of 120 x 36).
 */
#include <fcntl.h>
#include <stdatomic.h>

#include "io/team.h"
#include "process.h"
#include "workload.h"

struct reading {
    int fd;
    int64_t size;
    _Atomic int64_t next;
};

static void read_part(void *ctx, int thread)
{
    struct reading *r = ctx;
    char *block = malloc(1 << 20);
    (void)thread;
    for (int64_t at; (at = atomic_fetch_add(&r->next, 1 << 20)) < r->size;)
        if (pread(r->fd, block, 1 << 20, at) < 0)
            exit(1);
    free(block);
}

static double read_median(const char *path)
{
    double ms[RUNS];
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0)
        exit(1);
    for (int i = 0; i < RUNS; i++) {
        struct reading r = {.fd = fd, .size = st.st_size};
        double start = clock_seconds();
        team_run(team_default_threads(), read_part, &r);
        ms[i] = 1e3 * (clock_seconds() - start);
    }
    close(fd);
    return median(ms, RUNS);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: bench_program SAESCOPE DIR\n", stderr);
        return 2;
    }
    struct workload w = {768, 24576, 131072, 20};
    bench_make(argv[2], &w);
    char acts[1024], sae[1024], index[1024];
    snprintf(acts, sizeof acts, "%s/acts.npy", argv[2]);
    snprintf(sae, sizeof sae, "%s/sae", argv[2]);
    snprintf(index, sizeof index, "%s/index", argv[2]);

    const char *version[] = {argv[1], "--version", NULL};
    const char *quick[] = {argv[1], "feature", sae, "291", "--acts", acts, "--no-index", "--quick",
                     "--json", "-q", NULL};
    const char *small[] = {argv[1], "scan", sae, "--acts", acts, "--tokens-limit", "4096",
                     "--index", index, "-q", NULL};
    const char *indexed[] = {argv[1], "feature", sae, "291", "--acts", acts, "--tokens-limit",
                       "4096", "--index", index, "--json", "-q", NULL};
    const char *explorer[] = {argv[1], sae, NULL};

    double base = run_median(version), floor_ms = read_median(acts);
    double ms = run_median(quick) - base;
    printf("one feature without an index, 131072 x 768 f32: %.0f ms (must 60), "
           "%.1f x reading the samples\n", ms, ms / floor_ms);
    run_once(small);
    printf("one feature with an index: %.0f ms (must 30)\n", run_median(indexed) - base);
    printf("first screen of the explorer: %.1f ms (must 20)\n",
           first_screen_median(explorer) - base);
    return 0;
}
