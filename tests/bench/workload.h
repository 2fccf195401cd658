/*
 * workload.h - a deterministic workload for the benchmarks: activations that are sparse
 * combinations of decoder directions, with heavy-tailed densities, a mean with a few
 * massive dimensions, and noise; a JumpReLU SAE whose thresholds give the L0 asked for.
 * Files are made in a directory of the benchmark's own and kept for the next run.
 */
#pragma once

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/npy.h"
#include "io/tensor.h"
#include "model/kern.h"
#include "bench.h"

struct workload {
    int64_t d_in, d_sae, n_tok;
    double l0;
};

static inline void bench_write(FILE *f, const void *p, size_t n)
{
    if (fwrite(p, 1, n, f) != n) {
        perror("benchmark data");
        exit(1);
    }
}

static inline FILE *bench_create(const char *dir, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f) {
        perror(path);
        exit(1);
    }
    return f;
}

static inline void bench_npy(const char *dir, const char *name, const float *v,
                             int64_t rows, int64_t cols)
{
    unsigned char head[NPY_HEADER_ROOM];
    int64_t shape[2] = {rows, cols};
    FILE *f = bench_create(dir, name);
    bench_write(f, head, npy_write_header(DTYPE_F32, cols ? 2 : 1, shape, head, sizeof head));
    bench_write(f, v, (size_t)(rows * (cols ? cols : 1)) * sizeof *v);
    fclose(f);
}

/* Thresholds at which the average token has about l0 active features: from the
 * pre-activations of some tokens, each feature scaled alike. */
static inline float bench_threshold(const struct workload *w, const float *D,
                                    const float *x, const float *mean, int64_t tokens)
{
    int64_t n = tokens * w->d_sae, bins = 1 << 16;
    float *u = malloc((size_t)(tokens * w->d_in) * sizeof *u);
    float *h = malloc((size_t)n * sizeof *h);
    int64_t *count = calloc((size_t)bins, sizeof *count);
    for (int64_t i = 0; i < tokens * w->d_in; i++)
        u[i] = x[i] - mean[i % w->d_in];
    kern_gemm_nt(tokens, w->d_sae, w->d_in, u, w->d_in, D, w->d_in, h, w->d_sae);
    for (int64_t i = 0; i < n; i++)
        if (h[i] > 0)
            count[(int64_t)fmin((double)h[i] * 1024, (double)bins - 1)]++;
    int64_t bin = bins - 1, seen = 0;
    while (bin > 0 && seen < (int64_t)(w->l0 * (double)tokens))
        seen += count[bin--];
    free(u);
    free(h);
    free(count);
    return (float)bin / 1024;
}

/* dir/sae is an npy checkpoint, dir/acts.npy the samples. */
static inline void bench_make(const char *dir, const struct workload *w)
{
    char path[1024];
    struct stat st;
    snprintf(path, sizeof path, "%s/done", dir);
    if (stat(path, &st) == 0)
        return;
    fprintf(stderr, "making %lld tokens, %lld -> %lld\n", (long long)w->n_tok,
            (long long)w->d_in, (long long)w->d_sae);
    mkdir(dir, 0700);
    snprintf(path, sizeof path, "%s/sae", dir);
    mkdir(path, 0700);
    uint64_t s = 1;
    int64_t d = w->d_in, F = w->d_sae;
    float *D = malloc((size_t)(F * d) * sizeof *D), *mean = malloc((size_t)d * sizeof *mean);
    double *cumulative = malloc((size_t)F * sizeof *cumulative), sum = 0;
    for (int64_t j = 0; j < F; j++) {
        double squares = 0;
        for (int64_t k = 0; k < d; k++) {
            D[j * d + k] = (float)bench_normal(&s);
            squares += (double)D[j * d + k] * (double)D[j * d + k];
        }
        for (int64_t k = 0; k < d; k++)
            D[j * d + k] /= (float)sqrt(squares);
        sum += bench_uniform(&s) < 0.03 ? 0 : exp(1.8 * bench_normal(&s));
        cumulative[j] = sum;
    }
    for (int64_t k = 0; k < d; k++)
        mean[k] = (float)(0.5 * bench_normal(&s)) + (k % 256 == 17 ? 60.f : 0);

    /* Samples, by blocks. */
    enum { BLOCK = 512 };
    unsigned char head[NPY_HEADER_ROOM];
    int64_t shape[2] = {w->n_tok, d};
    float *x = malloc((size_t)(BLOCK * d) * sizeof *x), level = 0;
    FILE *f = bench_create(dir, "acts.npy");
    bench_write(f, head, npy_write_header(DTYPE_F32, 2, shape, head, sizeof head));
    for (int64_t t0 = 0; t0 < w->n_tok; t0 += BLOCK) {
        int64_t n = w->n_tok - t0 < BLOCK ? w->n_tok - t0 : BLOCK;
        for (int64_t t = 0; t < n; t++) {
            float *row = x + t * d;
            for (int64_t k = 0; k < d; k++)
                row[k] = mean[k] + (float)(6.93 / sqrt((double)d) * (bench_uniform(&s) - 0.5));
            for (int i = 0; i < (int)(0.7 * w->l0); i++) {
                double u = bench_uniform(&s) * sum;
                int64_t lo = 0, hi = F - 1;
                while (lo < hi) {
                    int64_t mid = (lo + hi) / 2;
                    if (cumulative[mid] < u)
                        lo = mid + 1;
                    else
                        hi = mid;
                }
                kern_best()->axpy(row, (float)exp(0.9 + 0.4 * bench_normal(&s)), D + lo * d,
                                  d);
            }
        }
        if (t0 == 0)
            level = bench_threshold(w, D, x, mean, n < 256 ? n : 256);
        bench_write(f, x, (size_t)(n * d) * sizeof *x);
    }
    fclose(f);

    /* The checkpoint: W_enc as SAELens stores it, [d_in, d_sae]. */
    float *T = malloc((size_t)(F * d) * sizeof *T), *row = calloc((size_t)F, sizeof *row);
    for (int64_t j = 0; j < F; j++)
        for (int64_t k = 0; k < d; k++)
            T[k * F + j] = D[j * d + k];
    bench_npy(path, "W_enc.npy", T, d, F);
    bench_npy(path, "W_dec.npy", D, F, d);
    bench_npy(path, "b_enc.npy", row, F, 0);
    bench_npy(path, "b_dec.npy", mean, d, 0);
    for (int64_t j = 0; j < F; j++)
        row[j] = level;
    bench_npy(path, "threshold.npy", row, F, 0);
    f = bench_create(path, "cfg.json");
    fputs("{\"architecture\": \"jumprelu\", \"apply_b_dec_to_input\": true}\n", f);
    fclose(f);
    fclose(bench_create(dir, "done"));
    free(D);
    free(T);
    free(x);
    free(row);
    free(mean);
    free(cumulative);
}
