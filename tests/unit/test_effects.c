/* test_effects.c - what has been computed with a language model and is kept: computed once,
 * in the right order, saved whole or not at all. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/mem.h"
#include "model/effects.h"
#include "model/estimate.h"
#include "model/logitlens.h"
#include "arrays.h"
#include "lm_files.h"

#define F   40 /* features of the SAE */
#define KEY "the inputs\n"

struct open {
    struct lm *lm;
    struct sae *sae;
    struct samples *samples;
    struct lm_hook hook;
    struct effects_inputs in;
};

static void open_all(struct open *o)
{
    struct err err = {0};
    struct samples_options options = {.tokens = ref_path("score/tokens.npy")};
    o->lm = lm_open(ref_path("gpt2"), NULL, &err);
    o->sae = sae_open(ref_path("score/sae"), &(struct sae_options){0}, NULL, &err);
    o->samples = samples_open(&options, NULL, &err);
    if (!o->lm || !o->sae || !o->samples)
        fail_msg("%s", err.msg);
    o->hook = (struct lm_hook){1, LM_RESID_PRE};
    o->in = (struct effects_inputs){.lm = o->lm, .hook = &o->hook, .sae = o->sae,
                                    .samples = o->samples};
}

static void close_all(struct open *o)
{
    samples_close(o->samples);
    sae_close(o->sae);
    lm_close(o->lm);
}

static bool never(void *ctx, const char *what, int64_t done, int64_t of)
{
    (void)ctx, (void)what, (void)done, (void)of;
    return false;
}
static const struct progress idle = {never, NULL}; /* work fails at its first step */

static void fill_all(struct effects *e, const struct open *o)
{
    static const int64_t ids[] = {7, 0, 39};
    static const struct score_options score = {.scan.threads = 2};
    struct err err = {0};
    bool ok = effects_need_score(e, &o->in, &score, NULL, &err) &&
              effects_need_promoted(e, &o->in, NULL, &err);
    for (int kept = 0; kept < 2; kept++)
        ok = ok && effects_need_estimates(e, &o->in, kept, NULL, &err) &&
             effects_need_exact(e, &o->in, kept, ids, 2 + kept, NULL, &err);
    if (!ok)
        fail_msg("%s", err.msg);
}

/* Everything is there that fill_all makes, and is what it should be. */
static void check_all(struct effects *e, const struct open *o)
{
    struct err err = {0};
    struct page_score score, plain_score;
    static const struct score_options options;
    assert_true(effects_score(e, &options, &score));
    assert_true(score_run(o->lm, &o->hook, o->sae, o->samples, &options, NULL, &plain_score,
                          &err));
    score.seconds = plain_score.seconds;
    assert_memory_equal(&score, &plain_score, sizeof score);
    uint32_t tokens[F * EFFECTS_PROMOTED], plain_tokens[F * EFFECTS_PROMOTED];
    assert_int_equal(effects_promoted(e, tokens), EFFECTS_PROMOTED);
    assert_true(logitlens_promoted(o->lm, o->sae, EFFECTS_PROMOTED, false, 1, NULL,
                                   plain_tokens, &err));
    assert_memory_equal(tokens, plain_tokens, sizeof tokens);
    for (int kept = 0; kept < 2; kept++) {
        double estimate[F], plain[F], delta[F];
        struct ablate_options a = {.error_kept = kept};
        assert_int_equal(effects_columns(e, kept, estimate, delta), 2 + kept);
        assert_true(estimate_run(o->lm, &o->hook, o->sae, o->samples, &a, NULL, plain,
                                 &err));
        assert_memory_equal(estimate, plain, sizeof plain);
        struct page_ablation f;
        assert_true(effects_exact(e, kept, 7, &f));
        assert_int_equal(f.id, 7);
        assert_true(f.delta_ce == delta[7] && isnan(delta[8]) && f.n_worst > 0);
        assert_int_equal(effects_exact(e, kept, 39, &f), kept);
        assert_false(effects_exact(e, kept, 1, &f));
    }
}

static void results_are_computed_once(void **state)
{
    (void)state;
    static const int64_t known[] = {0, 7, 0}, more[] = {0, 8};
    static const struct score_options zero, mean = {.baseline = SCORE_MEAN};
    struct open o;
    struct err err = {0};
    open_all(&o);
    struct effects *e = effects_open(NULL, KEY, F, false, NULL);
    assert_int_equal(effects_version(e), 0);
    assert_false(effects_need_estimates(e, &o.in, false, &idle, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_false(effects_need_exact(e, &o.in, false, known, 2, &idle, &err));
    assert_int_equal(effects_version(e), 0);
    fill_all(e, &o);
    check_all(e, &o);
    uint64_t version = effects_version(e);
    assert_true(version >= 6);
    /* what is there needs no work; what is not, does */
    assert_true(effects_need_score(e, &o.in, &zero, &idle, &err));
    assert_false(effects_need_score(e, &o.in, &mean, &idle, &err));
    assert_true(effects_need_promoted(e, &o.in, &idle, &err));
    for (int kept = 0; kept < 2; kept++) {
        assert_true(effects_need_estimates(e, &o.in, kept, &idle, &err));
        assert_true(effects_need_exact(e, &o.in, kept, known, 3, &idle, &err));
        assert_false(effects_need_exact(e, &o.in, kept, more, 2, &idle, &err));
    }
    assert_int_equal(effects_version(e), version);
    assert_true(effects_save(e, &err)); /* nowhere */
    effects_close(e);
    close_all(&o);
}

static void the_strongest_come_first(void **state)
{
    (void)state;
    struct open o;
    struct err err = {0};
    double estimate[F], last = INFINITY;
    int64_t ids[16], n, seen = 0;
    bool taken[F] = {0};
    open_all(&o);
    struct effects *e = effects_open(NULL, KEY, F, false, NULL);
    assert_int_equal(effects_next(e, true, ids, 16), 0); /* no estimates yet */
    assert_true(effects_need_estimates(e, &o.in, true, NULL, &err));
    effects_columns(e, true, estimate, NULL);
    while ((n = effects_next(e, true, ids, 16)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            assert_false(taken[ids[i]]);
            taken[ids[i]] = true;
            assert_true(fabs(estimate[ids[i]]) <= last);
            last = fabs(estimate[ids[i]]);
        }
        seen += n;
        assert_true(effects_need_exact(e, &o.in, true, ids, n, NULL, &err));
        assert_int_equal(effects_columns(e, true, NULL, NULL), seen);
    }
    assert_int_equal(seen, F);
    effects_close(e);
    close_all(&o);
}

static void what_was_saved_is_there_again(void **state)
{
    (void)state;
    struct open o;
    struct err err = {0};
    char path[512];
    open_all(&o);
    make_dir("saved");
    strcpy(path, test_path("saved/a.effects"));
    struct effects *e = effects_open(path, KEY, F, false, &err);
    assert_int_equal(err.code, ERR_NONE);
    assert_true(effects_save(e, &err)); /* nothing: no file */
    assert_int_not_equal(access(path, F_OK), 0);
    fill_all(e, &o);
    assert_true(effects_save(e, &err));
    effects_close(e);
    e = effects_open(path, KEY, F, false, &err);
    assert_int_equal(err.code, ERR_NONE);
    check_all(e, &o);
    effects_close(e);
    e = effects_open(path, KEY, F, true, &err); /* made anew */
    assert_int_equal(effects_columns(e, false, NULL, NULL), 0);
    effects_close(e);
    /* other inputs, another size */
    e = effects_open(path, "other inputs\n", F, false, &err);
    assert_int_equal(err.code, ERR_RANGE);
    assert_int_equal(effects_columns(e, false, NULL, NULL), 0);
    effects_close(e);
    err = (struct err){0};
    e = effects_open(path, KEY, F - 1, false, &err);
    assert_int_equal(err.code, ERR_FORMAT);
    assert_int_equal(effects_columns(e, false, NULL, NULL), 0);
    effects_close(e);
    close_all(&o);
}

/* Two runs that do not know of each other: nothing of either is lost. */
static void runs_add_to_each_other(void **state)
{
    (void)state;
    static const int64_t mine[] = {1, 2}, theirs[] = {2, 3};
    static const struct score_options zero;
    struct open o;
    struct err err = {0};
    struct page_ablation f;
    struct page_score score;
    char path[512];
    open_all(&o);
    make_dir("both");
    strcpy(path, test_path("both/a.effects"));
    struct effects *a = effects_open(path, KEY, F, false, NULL);
    struct effects *b = effects_open(path, KEY, F, false, NULL);
    assert_true(effects_need_exact(a, &o.in, false, mine, 2, NULL, &err));
    assert_true(effects_need_score(a, &o.in, &zero, NULL, &err));
    assert_true(effects_need_exact(b, &o.in, false, theirs, 2, NULL, &err));
    assert_true(effects_save(a, &err) && effects_save(b, &err));
    effects_close(a);
    effects_close(b);
    a = effects_open(path, KEY, F, false, NULL);
    for (int64_t id = 1; id <= 3; id++)
        assert_true(effects_exact(a, false, id, &f));
    assert_true(effects_score(a, &zero, &score));
    effects_close(a);
    close_all(&o);
}

/* A job that fills it, strongest first. */
struct filling {
    struct effects *e;
    const struct open *o;
    _Atomic bool done;
};

static void *fill_strongest(void *ctx)
{
    struct filling *f = ctx;
    int64_t ids[4], n;
    bool ok = effects_need_estimates(f->e, &f->o->in, false, NULL, NULL);
    while (ok && (n = effects_next(f->e, false, ids, 4)) > 0)
        ok = effects_need_exact(f->e, &f->o->in, false, ids, n, NULL, NULL);
    f->done = true;
    return NULL;
}

/* Readers see whole results while the job goes on, and may save what there is. */
static void readers_do_not_wait(void **state)
{
    (void)state;
    struct open o;
    struct err err = {0};
    pthread_t thread;
    char path[512];
    open_all(&o);
    make_dir("readers");
    strcpy(path, test_path("readers/a.effects"));
    struct filling f = {.e = effects_open(path, KEY, F, false, NULL), .o = &o};
    assert_int_equal(pthread_create(&thread, NULL, fill_strongest, &f), 0);
    int64_t seen = 0;
    while (!f.done) {
        double estimate[F], delta[F];
        int64_t n = effects_columns(f.e, false, estimate, delta), known = 0;
        assert_true(n >= seen);
        seen = n;
        for (int64_t i = 0; i < F; i++) {
            struct page_ablation page;
            known += !isnan(delta[i]);
            if (!isnan(delta[i])) {
                assert_true(effects_exact(f.e, false, i, &page));
                assert_true(page.delta_ce == delta[i]);
            }
        }
        assert_int_equal(known, n);
        assert_true(effects_save(f.e, &err));
        usleep(2000);
    }
    pthread_join(thread, NULL);
    assert_true(effects_save(f.e, &err));
    effects_close(f.e);
    struct effects *again = effects_open(path, KEY, F, false, &err);
    assert_int_equal(effects_columns(again, false, NULL, NULL), F);
    effects_close(again);
    close_all(&o);
}

/* Bytes changed at random: all that was saved, or nothing, and never a crash. */
static void damage_counts_as_nothing(void **state)
{
    (void)state;
    struct open o;
    struct err err = {0};
    char path[512];
    static unsigned char good[1 << 16], bad[2 * sizeof good];
    uint64_t seed = 5;
    int whole = 0;
    open_all(&o);
    make_dir("damaged");
    strcpy(path, test_path("damaged/a.effects"));
    struct effects *e = effects_open(path, KEY, F, false, NULL);
    fill_all(e, &o);
    assert_true(effects_save(e, &err));
    effects_close(e);
    FILE *f = fopen(path, "rb");
    size_t n = fread(good, 1, sizeof good, f);
    assert_true(n > 4096 && n < sizeof good);
    fclose(f);
    for (int i = 0; i < 500; i++) {
        double estimate[F];
        size_t m = mutate(good, n, bad, &seed);
        write_bytes("damaged/a.effects", bad, m);
        e = effects_open(path, KEY, F, false, NULL);
        int64_t exact = effects_columns(e, false, estimate, NULL);
        assert_true(exact == 2 || (exact == 0 && isnan(estimate[0])));
        whole += exact == 2;
        effects_close(e);
    }
    assert_true(whole < 500);
    /* a file of somebody else's is not replaced */
    write_text("damaged/a.effects", "dear diary");
    e = effects_open(path, KEY, F, false, &err);
    assert_int_equal(err.code, ERR_FORMAT);
    fill_all(e, &o);
    assert_false(effects_save(e, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    effects_close(e);
    close_all(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_computed_once),
        cmocka_unit_test(the_strongest_come_first),
        cmocka_unit_test(what_was_saved_is_there_again),
        cmocka_unit_test(runs_add_to_each_other),
        cmocka_unit_test(readers_do_not_wait),
        cmocka_unit_test(damage_counts_as_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
