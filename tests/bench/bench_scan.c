/*
 * bench_scan.c - the scan against the bare product that it is made of, in one run.
 *
 *   bench_scan DIR [d_in d_sae tokens l0]
 *
 * peer:  sgemm of the same shape, blocks of 4096 tokens, OpenBLAS on the same threads
 * ours:  the whole scan: samples, activations, statistics, top examples, histograms, L0,
 *        FVU, delta_fvu, index written and renamed
 *
 * Prints the ratio, the greatest anonymous memory of the scan, and bytes a nonzero.
 */
#include <cblas.h>

#include "io/team.h"
#include "model/index.h"
#include "model/sae.h"
#include "model/samples.h"
#include "model/scan.h"
#include "memory.h"
#include "workload.h"

/* Seconds of all threads' processor time: steadier than the clock on a busy machine. */
static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Wall and processor seconds. */
struct cost {
    double wall, cpu;
};

static struct cost cost_now(void)
{
    return (struct cost){clock_seconds(), processor_seconds()};
}

static void cost_add(struct cost *sum, struct cost from)
{
    sum->wall += clock_seconds() - from.wall;
    sum->cpu += processor_seconds() - from.cpu;
}

static void cost_least(struct cost *least, struct cost c)
{
    least->wall = c.wall < least->wall ? c.wall : least->wall;
    least->cpu = c.cpu < least->cpu ? c.cpu : least->cpu;
}

static struct cost bare_sgemm(const struct samples *s, int64_t d_sae, const float *W)
{
    enum { BLOCK = 4096 };
    int64_t d = s->d_in;
    float *x = malloc((size_t)(BLOCK * d) * sizeof *x);
    float *c = malloc((size_t)(BLOCK * d_sae) * sizeof *c), sum = 0;
    struct cost cost = {0};
    openblas_set_num_threads(team_default_threads());
    for (int64_t t = 0; t < s->n_tok; t += BLOCK) {
        int64_t n = s->n_tok - t < BLOCK ? s->n_tok - t : BLOCK;
        samples_read(s, t, n, x, NULL);
        struct cost start = cost_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)n, (blasint)d_sae,
                    (blasint)d, 1, x, (blasint)d, W, (blasint)d_sae, 0, c, (blasint)d_sae);
        cost_add(&cost, start);
        sum += c[0];
    }
    openblas_set_num_threads(1);
    free(x);
    free(c);
    if (sum == 1.2345f) /* the products are used */
        puts("");
    return cost;
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 6) {
        fputs("usage: bench_scan DIR [d_in d_sae tokens l0]\n", stderr);
        return 2;
    }
    struct workload w = {768, 24576, 16384, 49.5};
    if (argc == 6)
        w = (struct workload){atoll(argv[2]), atoll(argv[3]), atoll(argv[4]), atof(argv[5])};
    openblas_set_num_threads(1);
    bench_make(argv[1], &w);

    char acts[1024], sae_path[1024], index_path[1024];
    snprintf(acts, sizeof acts, "%s/acts.npy", argv[1]);
    snprintf(sae_path, sizeof sae_path, "%s/sae", argv[1]);
    snprintf(index_path, sizeof index_path, "%s/index", argv[1]);
    const char *paths[] = {acts};
    struct samples_options so = {.acts = paths, .n_acts = 1};
    struct err err = {0};
    struct samples *s = samples_open(&so, NULL, &err);
    bench_need(s, &err);
    struct sae *sae = sae_open(sae_path, NULL, NULL, &err);
    bench_need(sae, &err);
    const float *W = tensor_f32(sae->W_enc.t);

    /* Twice each, in turn: the faster of each pair counts. */
    struct cost peer = {1e9, 1e9}, ours = {1e9, 1e9};
    struct scan_totals totals = {0};
    double greatest = 0;
    for (int i = 0; i < 2; i++) {
        cost_least(&peer, bare_sgemm(s, w.d_sae, W));
        struct scan_options o = {.memory = (size_t)384 << 20};
        memory_watch();
        struct cost start = cost_now(), spent = {0};
        if (!scan_run(sae, s, &o, index_path, "bench", NULL, NULL, &totals, &err))
            bench_need(NULL, &err);
        cost_add(&spent, start);
        cost_least(&ours, spent);
        double now = memory_greatest();
        greatest = now > greatest ? now : greatest;
    }
    struct index *ix = index_open(index_path, "bench", &err);
    bench_need(ix, &err);
    printf("scan %lld -> %lld, %lld tokens, L0 %.1f (%.2f %%), %d threads\n",
           (long long)w.d_in, (long long)w.d_sae, (long long)totals.tokens, totals.l0,
           100 * totals.l0 / (double)w.d_sae, team_default_threads());
    /* Where much fires: encode, decode and errors x W_dec' as products. */
    bool dense = totals.l0 > 0.005 * (double)w.d_sae;
    printf("  bare sgemm %.2f s (%.0f GFLOP/s), scan %.2f s: ratio %.2f (must %s)\n",
           peer.wall, 2e-9 * (double)w.n_tok * (double)w.d_in * (double)w.d_sae / peer.wall,
           ours.wall, ours.wall / peer.wall, dense ? "3.45" : "1.15");
    printf("  processor time %.2f s and %.2f s: ratio %.2f\n", peer.cpu, ours.cpu,
           ours.cpu / peer.cpu);
    printf("  anonymous memory at most %.0f MiB (must 384 + 10 %%)\n", greatest);
    printf("  index %.2f bytes a nonzero in postings, %.2f with examples and records\n",
           (double)index_posting_bytes(ix) / (double)totals.nonzeros,
           (double)index_bytes(ix) / (double)totals.nonzeros);
    index_close(ix);
    sae_close(sae);
    samples_close(s);
    return 0;
}
