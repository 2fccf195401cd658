/*
 * bench_match.c - decoders matched with each other, against the bare product of all pairs;
 * and the optimal assignment, on one core.
 *
 *   bench_match [rows d_in]
 *
 * peer:  sgemm of all pairs, blocks of 2048 rows, OpenBLAS on the same threads
 * ours:  the best match of every row, both ways
 */
#include <cblas.h>
#include <string.h>

#include "io/mem.h"
#include "io/team.h"
#include "model/assign.h"
#include "memory.h"
#include "rows.h"

enum { BLOCK = 2048, ASSIGNED = 4096 };

/* Directions; b holds those of a in another order and turned by noise. */
static void fill(float *a, float *b, int64_t rows, int64_t cols, double noise)
{
    uint64_t s = 3;
    for (int64_t i = 0; i < rows * cols; i++)
        a[i] = (float)bench_normal(&s);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++)
            b[i * cols + k] = a[i * 7919 % rows * cols + k] + (float)(noise * bench_normal(&s));
}

static double bare_sgemm(const struct match_rows *a, const struct match_rows *b)
{
    float *c = xmalloc((size_t)BLOCK * (size_t)b->rows * sizeof *c);
    openblas_set_num_threads(team_default_threads());
    double start = clock_seconds();
    for (int64_t i = 0; i < a->rows; i += BLOCK) {
        int64_t n = a->rows - i < BLOCK ? a->rows - i : BLOCK;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n, (blasint)b->rows,
                    (blasint)a->cols, 1, a->unit + i * a->cols, (blasint)a->cols, b->unit,
                    (blasint)a->cols, 0, c, (blasint)b->rows);
    }
    double seconds = clock_seconds() - start;
    openblas_set_num_threads(1);
    free(c);
    return seconds;
}

static void all_pairs(int64_t rows, int64_t cols)
{
    struct match_rows a, b;
    float *va = xmalloc((size_t)(rows * cols) * sizeof *va);
    float *vb = xmalloc((size_t)(rows * cols) * sizeof *vb);
    struct match_near *of_a = xmalloc((size_t)rows * sizeof *of_a);
    struct match_near *of_b = xmalloc((size_t)rows * sizeof *of_b);
    struct err err = {0};
    fill(va, vb, rows, cols, 1);
    bench_unit_rows(&a, va, rows, cols);
    bench_unit_rows(&b, vb, rows, cols);
    free(va);
    free(vb);
    double peer = 1e9, ours = 1e9, greatest = 0;
    for (int i = 0; i < 2; i++) {
        peer = fmin(peer, bare_sgemm(&a, &b));
        memory_watch();
        double start = clock_seconds();
        bench_need(match_best(&a, &b, 0, NULL, of_a, of_b, &err) ? &a : NULL, &err);
        ours = fmin(ours, clock_seconds() - start);
        greatest = fmax(greatest, memory_greatest());
    }
    printf("best match both ways, %lld x %lld at %lld: sgemm %.2f s, ours %.2f s: ratio %.2f "
           "(must 1.1), anonymous memory at most %.0f MiB (must 256)\n", (long long)rows,
           (long long)rows, (long long)cols, peer, ours, ours / peer, greatest);
    match_rows_finish(&a);
    match_rows_finish(&b);
    free(of_a);
    free(of_b);
}

struct assigning {
    const float *value;
    int64_t n, *column_of;
};

static void assign(void *ctx)
{
    struct assigning *s = ctx;
    struct err err = {0};
    bench_need(assign_optimal(s->value, s->n, s->n, NULL, s->column_of, &err) ? s : NULL,
               &err);
}

/* Cosines of n directions with the same ones under noise, or with others. */
static void assignment(int64_t n, int64_t cols, double noise, const char *what)
{
    float *a = xmalloc((size_t)(n * cols) * sizeof *a);
    float *b = xmalloc((size_t)(n * cols) * sizeof *b);
    float *value = xmalloc((size_t)(n * n) * sizeof *value);
    int64_t *column_of = xmalloc((size_t)n * sizeof *column_of);
    struct match_rows ua, ub;
    fill(a, b, n, cols, noise);
    bench_unit_rows(&ua, a, n, cols);
    bench_unit_rows(&ub, b, n, cols);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n, (blasint)n,
                (blasint)cols, 1, ua.unit, (blasint)cols, ub.unit, (blasint)cols, 0, value,
                (blasint)n);
    struct assigning s = {value, n, column_of};
    double ms = bench_least(assign, &s, 1);
    printf("optimal assignment of %lld x %lld, %s: %.2f s on one core (must 10): ratio %.2f\n",
           (long long)n, (long long)n, what, ms / 1e3, ms / 1e4);
    match_rows_finish(&ua);
    match_rows_finish(&ub);
    free(a);
    free(b);
    free(value);
    free(column_of);
}

int main(int argc, char **argv)
{
    if (argc != 1 && argc != 3) {
        fputs("usage: bench_match [rows d_in]\n", stderr);
        return 2;
    }
    openblas_set_num_threads(1);
    int64_t rows = argc == 3 ? atoll(argv[1]) : 24576, cols = argc == 3 ? atoll(argv[2]) : 768;
    all_pairs(rows, cols);
    assignment(ASSIGNED, 256, 1, "the same features under noise");
    assignment(ASSIGNED, 256, 4, "hardly related");
    assignment(ASSIGNED, 256, 1e9, "unrelated");
    return 0;
}
