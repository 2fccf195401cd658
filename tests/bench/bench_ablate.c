/*
 * bench_ablate.c - the cost of ablating one feature, for features of density 1e-4 to 1e-1.
 *
 *   bench_ablate DIR
 *
 * A random language model (6 layers of 256, vocabulary 8192), hook blocks.2.hook_resid_pre,
 * and a JumpReLU SAE whose thresholds give groups of features a density each. An ablation
 * changes the positions from the first firing of a sequence on; its time is that of a run
 * with the group less that of a run with a feature that never fires. The cost a position
 * should be the same for all densities.
 */
#include <stdlib.h>
#include <string.h>

#include "io/team.h"
#include "model/ablate.h"
#include "lm_model.h"
#include "workload.h"

enum { SEQUENCES = 80, T = 128, TOKENS = SEQUENCES * T, D = 256, GROUP = 4, GROUPS = 4,
       FEATURES = GROUP * GROUPS + 1, SILENT = FEATURES - 1 };

static const double density[GROUPS] = {1e-4, 1e-3, 1e-2, 1e-1};

/* ---- the data */

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Activations at the hook, [TOKENS, D]. */
static void activations(const struct lm *lm, const struct lm_hook *hook, const int64_t *ids,
                        float *x)
{
    struct err err = {0};
    struct lm_run *run = lm_run_new(lm, T, NULL, &err);
    float *rest = xmalloc(T * D * sizeof *rest);
    bench_need(run, &err);
    for (int64_t s = 0; s < SEQUENCES; s++) {
        bool ok = lm_run_to(run, ids + s * T, T, hook, x + s * T * D, rest, &err);
        bench_need(ok ? run : NULL, &err);
    }
    free(rest);
    lm_run_free(run);
}

static void make_sae(const char *dir, const float *x)
{
    static float W[FEATURES * D], T_[D * FEATURES], b[D], zero[FEATURES], level[FEATURES];
    float *h = xmalloc(TOKENS * FEATURES * sizeof *h);
    uint64_t seed = 17;
    for (int i = 0; i < FEATURES * D; i++)
        W[i] = (float)bench_normal(&seed);
    for (int j = 0; j < FEATURES; j++)
        for (int k = 0; k < D; k++)
            T_[k * FEATURES + j] = W[j * D + k];
    kern_gemm_nt(FEATURES, TOKENS, D, W, D, x, D, h, TOKENS);
    for (int j = 0; j < FEATURES; j++) {
        float *row = h + (int64_t)j * TOKENS;
        qsort(row, TOKENS, sizeof *row, descending);
        level[j] = j == SILENT ? 1e30f : row[(int)(density[j / GROUP] * TOKENS)];
    }
    for (int i = 0; i < FEATURES * D; i++)
        W[i] *= 0.01f; /* the decoder */
    bench_npy(dir, "W_enc.npy", T_, D, FEATURES);
    bench_npy(dir, "W_dec.npy", W, FEATURES, D);
    bench_npy(dir, "b_enc.npy", zero, FEATURES, 0);
    bench_npy(dir, "b_dec.npy", b, D, 0);
    bench_npy(dir, "threshold.npy", level, FEATURES, 0);
    FILE *f = bench_create(dir, "cfg.json");
    fputs("{\"architecture\": \"jumprelu\"}\n", f);
    fclose(f);
    free(h);
}

static void make_tokens(const char *dir, int vocab, int64_t *ids)
{
    unsigned char head[NPY_HEADER_ROOM];
    int64_t shape[2] = {SEQUENCES, T};
    uint64_t seed = 23;
    for (int64_t i = 0; i < TOKENS; i++)
        ids[i] = (int64_t)(bench_uniform(&seed) * vocab);
    FILE *f = bench_create(dir, "tokens.npy");
    bench_write(f, head, npy_write_header(DTYPE_I64, 2, shape, head, sizeof head));
    bench_write(f, ids, TOKENS * sizeof *ids);
    fclose(f);
}

/* ---- the benchmark */

struct bench {
    const struct lm *lm;
    struct lm_hook hook;
    const struct sae *sae;
    const struct samples *samples;
    const int64_t *ids;
    int64_t n;
    struct page_ablations page;
};

static void ablate(void *ctx)
{
    struct bench *b = ctx;
    struct ablate_options o = {0};
    struct err err = {0};
    page_ablations_finish(&b->page);
    bool ok = ablate_run(b->lm, &b->hook, b->sae, b->samples, b->ids, b->n, &o, NULL,
                         &b->page, &err);
    bench_need(ok ? b : NULL, &err);
}

/* Positions that ablating feature j changes. */
static int64_t affected(const float *x, const float *w, float level)
{
    int64_t n = 0;
    for (int64_t s = 0; s < SEQUENCES; s++)
        for (int64_t p = 0; p < T; p++)
            if (kern_best()->dot(x + (s * T + p) * D, w, D) > level) {
                n += T - p;
                break;
            }
    return n;
}

static void run(struct bench *b, const float *x)
{
    const int64_t silent[] = {SILENT};
    float w[D];
    b->ids = silent, b->n = 1;
    double base = bench_least(ablate, b, 3), most = 0, least = 1e9;
    printf("%d sequences of %d, all of them without an ablation: %.0f ms\n", SEQUENCES, T,
           base);
    for (int g = 0; g < GROUPS; g++) {
        int64_t ids[GROUP], positions = 0;
        for (int i = 0; i < GROUP; i++) {
            ids[i] = g * GROUP + i;
            mat_read_rows(&b->sae->W_enc, ids[i], 1, w);
            positions += affected(x, w, b->sae->threshold[ids[i]]);
        }
        b->ids = ids, b->n = GROUP;
        double ms = (bench_least(ablate, b, 2) - base) / GROUP;
        double each = 1e3 * ms * GROUP / (double)positions;
        printf("  density %.0e: %6.0f positions change, %8.2f ms a feature, %6.1f us a "
               "position\n", density[g], (double)positions / GROUP, ms, each);
        if (positions / GROUP >= 500) { /* below, the difference of the runs is noise */
            most = fmax(most, each);
            least = fmin(least, each);
        }
    }
    printf("  greatest over least cost a position, 500 of them or more: ratio %.2f\n",
           most / least);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: bench_ablate DIR\n", stderr);
        return 2;
    }
    static const struct lm_size size = {6, D, 8192, T};
    static int64_t ids[TOKENS];
    char path[1024];
    struct err err = {0};
    lm_make(argv[1], &size);
    make_tokens(argv[1], size.vocab, ids);
    struct bench b = {.hook = {2, LM_RESID_PRE}};
    b.lm = lm_open(argv[1], NULL, &err);
    bench_need(b.lm, &err);
    float *x = xmalloc(TOKENS * D * sizeof *x);
    activations(b.lm, &b.hook, ids, x);
    snprintf(path, sizeof path, "%s/sae", argv[1]);
    mkdir(path, 0700);
    make_sae(path, x);
    b.sae = sae_open(path, NULL, NULL, &err);
    bench_need(b.sae, &err);
    snprintf(path, sizeof path, "%s/tokens.npy", argv[1]);
    b.samples = samples_open(&(struct samples_options){.tokens = path}, NULL, &err);
    bench_need(b.samples, &err);
    run(&b, x);
    page_ablations_finish(&b.page);
    free(x);
    samples_close((struct samples *)b.samples);
    sae_close((struct sae *)b.sae);
    lm_close((struct lm *)b.lm);
    return 0;
}
