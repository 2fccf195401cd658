/*
 * bench_lm.c - the language model from the hook on, against PyTorch on the same threads.
 *
 *   bench_lm DIR PEER.py [PYTHON]
 *
 * A model of the size of GPT-2 small with random weights, hook blocks.6.hook_resid_pre:
 * six layers, the final norm, the unembedding and the cross-entropy of every next token.
 *
 * peer:  peer_lm.py beside this file: the same in PyTorch, same weights and inputs
 * ours:  lm_run_from and lm_losses, one sequence a thread
 *
 * Prints the ratio, the difference of the losses, the greatest anonymous memory, and what
 * the gradient at the hook (lm_run_back) costs in runs forwards.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/team.h"
#include "model/lm.h"
#include "lm_model.h"
#include "memory.h"

/* Two sequences of the longest keep two threads at work; all of it takes a minute. */
enum { TOKENS = 2048, LM_D = 768, REPEATS = 2 };

struct tail {
    const struct lm *lm;
    struct lm_hook hook;
    int64_t T, n; /* length and number of the sequences; n T <= TOKENS */
    const float *resid; /* [TOKENS, LM_D] */
    const int64_t *ids; /* [TOKENS] */
    double *ce;         /* [n, T - 1] */
    bool back;          /* the gradient too */
    _Atomic int64_t next;
};

static void tail_thread(void *ctx, int thread)
{
    struct tail *t = ctx;
    struct err err = {0};
    int64_t T = t->T;
    struct lm_run *run = lm_run_new(t->lm, T, NULL, &err);
    bench_need(run, &err);
    float *x = xmalloc((size_t)(T * LM_D) * sizeof *x);
    double *weight = xmalloc((size_t)T * sizeof *weight);
    struct lm_back *back = t->back ? lm_back_new(t->lm, &t->hook, T, &err) : NULL;
    bench_need(back || !t->back ? run : NULL, &err);
    for (int64_t p = 0; p < T; p++)
        weight[p] = 1;
    (void)thread;
    for (int64_t s; (s = atomic_fetch_add(&t->next, 1)) < t->n;) {
        const float *final[] = {x};
        double *ce[] = {t->ce + s * (T - 1)};
        const float *resid = t->resid + s * T * LM_D;
        const int64_t *sequence = t->ids + s * T;
        bool ok = true;
        if (back) {
            ok = lm_run_back(run, back, &t->hook, resid, sequence, T, weight, ce[0], x, &err);
        } else {
            memcpy(x, resid, (size_t)(T * LM_D) * sizeof *x);
            ok = lm_run_from(run, &t->hook, x, T, &err) &&
                 lm_losses(run, 1, final, sequence, T, ce, NULL, &err);
        }
        bench_need(ok ? run : NULL, &err);
    }
    free(x);
    free(weight);
    lm_back_free(back);
    lm_run_free(run);
}

static double tail_seconds(struct tail *t, double *mean)
{
    double start = clock_seconds();
    t->next = 0;
    team_run(team_default_threads(), tail_thread, t);
    double seconds = clock_seconds() - start, sum = 0;
    int64_t n = t->n * (t->T - 1);
    for (int64_t i = 0; i < n; i++)
        sum += t->ce[i];
    *mean = sum / (double)n;
    return seconds;
}

static void write_array(const char *dir, const char *name, const void *v, size_t bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(v, 1, bytes, f) != bytes) {
        perror(path);
        exit(1);
    }
    fclose(f);
}

/* Seconds and mean loss of the peer; false when it cannot run. */
static bool peer(const char *python, const char *script, const char *dir,
                 const struct tail *t, double *seconds, double *mean)
{
    char command[4096];
    snprintf(command, sizeof command, "'%s' '%s' '%s' %lld %lld %d", python, script, dir,
             (long long)t->n, (long long)t->T, team_default_threads());
    FILE *p = popen(command, "r");
    bool ok = p && fscanf(p, "%lf %lf", seconds, mean) == 2;
    if (p)
        pclose(p);
    return ok;
}

static void compare(struct tail *t, int64_t n, int64_t T, const char *dir,
                    const char *script, const char *python)
{
    double ours = 1e9, theirs = 1e9, mean = 0, peer_mean = NAN, greatest = 0;
    t->T = T;
    t->n = n;
    for (int i = 0; i < REPEATS; i++) { /* in turn: the fastest of each counts */
        double seconds, before = memory_now();
        memory_watch();
        ours = fmin(ours, tail_seconds(t, &mean));
        greatest = fmax(greatest, memory_greatest() - before);
        if (peer(python, script, dir, t, &seconds, &peer_mean))
            theirs = fmin(theirs, seconds);
    }
    printf("tail of GPT-2 small, %d sequences of %lld: %.2f s, %.0f tokens/s, loss %.4f, "
           "anonymous memory %.0f MiB (must 512)\n", (int)n, (long long)T, ours,
           (double)(n * T) / ours, mean, greatest);
    if (theirs < 1e9)
        printf("  PyTorch %.2f s, loss %.4f: ratio %.2f (must 1)\n", theirs, peer_mean,
               ours / theirs);
    else
        puts("  no peer: PyTorch is not there");
}

static void gradients(struct tail *t, int64_t n, int64_t T)
{
    double forwards = 1e9, back = 1e9, greatest = 0, mean;
    t->T = T;
    t->n = n;
    for (int i = 0; i < REPEATS; i++) {
        double before = memory_now();
        t->back = false;
        forwards = fmin(forwards, tail_seconds(t, &mean));
        t->back = true;
        memory_watch();
        back = fmin(back, tail_seconds(t, &mean));
        greatest = fmax(greatest, memory_greatest() - before);
    }
    t->back = false;
    printf("gradient at its hook, sequences of %lld: %.2f s, %.1f runs forwards, anonymous "
           "memory %.0f MiB\n", (long long)T, back, back / forwards, greatest);
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        fputs("usage: bench_lm DIR PEER.py [PYTHON]\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* who stops it has what there is */
    lm_make(argv[1], &lm_gpt2_small);
    struct err err = {0};
    struct lm *lm = lm_open(argv[1], NULL, &err);
    bench_need(lm, &err);
    float *resid = xmalloc((size_t)(TOKENS * LM_D) * sizeof *resid);
    int64_t *ids = xmalloc(TOKENS * sizeof *ids);
    uint64_t seed = 9;
    for (int64_t i = 0; i < TOKENS * LM_D; i++)
        resid[i] = (float)bench_normal(&seed);
    for (int64_t i = 0; i < TOKENS; i++)
        ids[i] = (int64_t)(bench_uniform(&seed) * lm_gpt2_small.vocab);
    write_array(argv[1], "resid.f32", resid, (size_t)(TOKENS * LM_D) * sizeof *resid);
    write_array(argv[1], "ids.i64", ids, TOKENS * sizeof *ids);
    struct tail t = {.lm = lm, .hook = {6, LM_RESID_PRE}, .resid = resid, .ids = ids};
    t.ce = xmalloc(TOKENS * sizeof *t.ce);
    compare(&t, 8, 128, argv[1], argv[2], argc == 4 ? argv[3] : "python3");
    compare(&t, 2, 1024, argv[1], argv[2], argc == 4 ? argv[3] : "python3");
    gradients(&t, 8, 128);
    gradients(&t, 2, 1024);
    free(t.ce);
    free(resid);
    free(ids);
    lm_close(lm);
    return 0;
}
