/* test_score.c - reconstruction scores against tests/ref/lm/score, computed in double by an
 * independent implementation, and against a trained model when it is there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/score.h"
#include "arrays.h"
#include "lm_files.h"

static struct page_score score(const struct inputs *in, const char *hook_name,
                               const struct score_options *options)
{
    struct lm_hook hook;
    struct page_score p;
    struct err err = {0};
    if (!lm_hook_parse(in->lm, hook_name, &hook, &err) ||
        !score_run(in->lm, &hook, in->sae, in->samples, options, NULL, &p, &err))
        fail_msg("%s", err.msg);
    return p;
}

static double real(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

#define NEAR(what, got, want, tolerance)                                                   \
    do {                                                                                   \
        double g_ = (got), w_ = (want);                                                    \
        if (!(fabs(g_ - w_) <= (tolerance)))                                               \
            fail_msg("%s: %.9g, expected %.9g", what, g_, w_);                             \
    } while (0)

static void assert_score(const char *what, const struct page_score *p, const json_t *want)
{
    static const double close = 3e-5; /* means of losses of about 7 in f32; see test_lm.c */
    assert_int_equal(p->sequences, (int)real(want, "sequences"));
    assert_int_equal(p->positions, (int)real(want, "positions"));
    NEAR(what, p->ce_original, real(want, "ce_original"), close);
    NEAR(what, p->ce_reconstructed, real(want, "ce_reconstructed"), close);
    NEAR(what, p->ce_zero, real(want, "ce_zero"), close);
    NEAR(what, p->kl, real(want, "kl"), close);
    NEAR(what, p->fvu, real(want, "fvu"), close);
    NEAR(what, p->l0, real(want, "l0"), 1e-9);
    NEAR(what, p->reconstruction_score, real(want, "reconstruction_score"),
         2 * close / fabs(p->ce_zero - p->ce_original));
    NEAR(what, p->nats_lost, p->ce_reconstructed - p->ce_original, 1e-15);
    NEAR(what, p->bits_lost * log(2), p->nats_lost, 1e-12);
}

static void scores_agree_with_the_reference(void **state)
{
    (void)state;
    struct inputs in;
    struct err err = {0};
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    json_t *want = json_load_path(ref_path("score/score.json"), JSON_MAX_TEXT,
                                  JSON_LAST_WINS, &err);
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(want, "scores"), i, one) {
        const char *hook = json_string_value(json_object_get(one, "hook"));
        struct score_options o = {.scan.skip_first = (int64_t)real(one, "skip_first")};
        struct page_score first = {0};
        for (o.scan.threads = 1; o.scan.threads <= 3; o.scan.threads++) {
            struct page_score p = score(&in, hook, &o);
            assert_score(hook, &p, one);
            assert_true(isnan(p.samples_difference));
            p.seconds = 0;
            if (o.scan.threads == 1)
                first = p;
            assert_true(p.ce_original == first.ce_original && p.kl == first.kl &&
                        p.ce_reconstructed == first.ce_reconstructed &&
                        p.fvu == first.fvu && p.ce_zero == first.ce_zero);
        }
    }
    assert_int_equal(i, 3);
    json_decref(want);
    inputs_close(&in);
}

/* Skipped tokens are left out of the means: what is left is the mean over the others. */
struct told {
    const struct inputs *in;
    int n;
    int64_t sequences[8];
    double ce[8];
};

static void hear(void *ctx, const struct page_score *p)
{
    struct told *t = ctx;
    assert_true(t->n < 8);
    t->sequences[t->n] = p->sequences;
    t->ce[t->n++] = p->ce_reconstructed;
}

/* What is told on the way is the score of the sequences so far, and changes nothing. */
static void partial_scores_are_those_of_fewer_sequences(void **state)
{
    enum { N = 60, LEN = 9 };
    static float ids[N * LEN];
    struct inputs in;
    struct told told = {0};
    (void)state;
    for (int i = 0; i < N * LEN; i++)
        ids[i] = (float)(i * 7 % 61);
    struct array a = {"", DTYPE_I32, 2, {N, LEN}, ids};
    write_npy("many.npy", &a);
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), test_path("many.npy"), NULL, 0);
    struct score_options o = {.scan.threads = 2};
    struct page_score plain = score(&in, "blocks.1.hook_resid_pre", &o);
    o.partial = hear;
    o.ctx = &told;
    struct page_score whole = score(&in, "blocks.1.hook_resid_pre", &o);
    assert_true(whole.ce_reconstructed == plain.ce_reconstructed);
    inputs_close(&in);
    assert_int_equal(told.n, 2); /* after 16 and 16 + 32 */
    for (int k = 0; k < told.n; k++) {
        assert_int_equal(told.sequences[k], k == 0 ? 16 : 48);
        inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), test_path("many.npy"), NULL,
                    told.sequences[k]);
        struct page_score some = score(&in, "blocks.1.hook_resid_pre",
                                       &(struct score_options){.scan.threads = 1});
        assert_true(some.ce_reconstructed == told.ce[k]);
        inputs_close(&in);
    }
}

static void skipped_tokens_do_not_count(void **state)
{
    (void)state;
    struct inputs in;
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    const char *hook = "blocks.1.hook_resid_pre";
    int64_t skip[30], others[31];
    for (int64_t i = 0; i < 61; i++)
        *(i < 30 ? &skip[i] : &others[i - 30]) = i;
    struct page_score all = score(&in, hook, &(struct score_options){0});
    struct page_score a = score(&in, hook, &(struct score_options){
                              .scan = {.skip_tokens = skip, .n_skip_tokens = 30}});
    struct page_score b = score(&in, hook, &(struct score_options){
                              .scan = {.skip_tokens = others, .n_skip_tokens = 31}});
    assert_true(a.positions > 0 && b.positions > 0);
    assert_int_equal(a.positions + b.positions, all.positions);
    double na = (double)a.positions, nb = (double)b.positions;
    NEAR("ce", (a.ce_reconstructed * na + b.ce_reconstructed * nb) / (na + nb),
         all.ce_reconstructed, 1e-12);
    NEAR("kl", (a.kl * na + b.kl * nb) / (na + nb), all.kl, 1e-12);
    inputs_close(&in);
}

/* The mean loss of all sequences with the same v [d] at every position of the hook. */
static double constant_loss(const struct inputs *in, const struct lm_hook *hook,
                            const float *v)
{
    struct err err = {0};
    int64_t T = in->samples->seq_len, d = lm_d_model(in->lm), n = in->samples->n_seq;
    struct lm_run *r = lm_run_new(in->lm, T, NULL, &err);
    float *x = xmalloc((size_t)(T * d) * 4), *stream = xmalloc((size_t)(T * d) * 4);
    double sum = 0, *ce = xmalloc((size_t)T * sizeof *ce);
    int64_t *ids = xmalloc((size_t)T * sizeof *ids);
    for (int64_t s = 0; s < n; s++) {
        const float *final = stream;
        samples_ids(in->samples, s * T, T, ids);
        assert_true(lm_run_to(r, ids, T, hook, x, stream, &err));
        for (int64_t i = 0; i < T * d; i++)
            stream[i] += v[i % d];
        assert_true(lm_run_from(r, hook, stream, T, &err) &&
                    lm_losses(r, 1, &final, ids, T, &ce, NULL, &err));
        for (int64_t p = 0; p < T - 1; p++)
            sum += ce[p];
    }
    free(x), free(stream), free(ce), free(ids);
    lm_run_free(r);
    return sum / (double)(n * (T - 1));
}

/* The mean of what is at the hook. */
static void plain_mean(const struct inputs *in, const struct lm_hook *hook, float *mean)
{
    struct err err = {0};
    int64_t T = in->samples->seq_len, d = lm_d_model(in->lm), n = in->samples->n_seq;
    struct lm_run *r = lm_run_new(in->lm, T, NULL, &err);
    float *x = xmalloc((size_t)(T * d) * 4), *rest = xmalloc((size_t)(T * d) * 4);
    double *sum = xcalloc((size_t)d, sizeof *sum);
    int64_t *ids = xmalloc((size_t)T * sizeof *ids);
    for (int64_t s = 0; s < n; s++) {
        samples_ids(in->samples, s * T, T, ids);
        assert_true(lm_run_to(r, ids, T, hook, x, rest, &err));
        for (int64_t i = 0; i < T * d; i++)
            sum[i % d] += (double)x[i];
    }
    for (int64_t k = 0; k < d; k++)
        mean[k] = (float)(sum[k] / (double)(n * T));
    free(x), free(rest), free(sum), free(ids);
    lm_run_free(r);
}

/* What stands at the hook instead of zeros, and nothing else is another. */
static void baselines_are_what_they_say(void **state)
{
    (void)state;
    static const char *const hooks[] = {"blocks.1.hook_resid_pre", "blocks.0.hook_mlp_out"};
    struct inputs in;
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    for (int h = 0; h < 2; h++) {
        struct err err = {0};
        struct lm_hook hook;
        float mean[16], zero[16] = {0};
        assert_true(lm_hook_parse(in.lm, hooks[h], &hook, &err));
        assert_int_equal(in.sae->d_in, 16);
        plain_mean(&in, &hook, mean);
        const float *at[SCORE_BASELINE_COUNT] = {zero, mean, in.sae->b_dec};
        struct page_score p[SCORE_BASELINE_COUNT];
        for (int b = 0; b < SCORE_BASELINE_COUNT; b++) {
            p[b] = score(&in, hooks[h], &(struct score_options){.baseline = b});
            NEAR(score_baseline_names[b], p[b].ce_zero, constant_loss(&in, &hook, at[b]),
                 1e-6);
            assert_true(p[b].ce_original == p[0].ce_original && p[b].kl == p[0].kl &&
                        p[b].ce_reconstructed == p[0].ce_reconstructed);
            assert_true(b == 0 || p[b].ce_zero != p[b - 1].ce_zero);
            NEAR("score", p[b].reconstruction_score,
                 (p[b].ce_zero - p[b].ce_reconstructed) / (p[b].ce_zero - p[b].ce_original),
                 1e-12);
        }
    }
    inputs_close(&in);
}

/* Samples that are the model's own activations change nothing; others are told. */
static void samples_are_compared_and_taken(void **state)
{
    (void)state;
    enum { S = 2, T = 140, D = 16 };
    static float x[S * T * D], rest[T * D];
    struct inputs in;
    struct err err = {0};
    struct lm_hook hook;
    const char *name = "blocks.1.hook_mlp_out";
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    struct page_score own = score(&in, name, &(struct score_options){0});
    struct lm_run *r = lm_run_new(in.lm, T, NULL, &err);
    assert_true(lm_hook_parse(in.lm, name, &hook, &err));
    for (int s = 0; s < S; s++) {
        int64_t ids[T];
        samples_ids(in.samples, s * T, T, ids);
        assert_true(lm_run_to(r, ids, T, &hook, x + s * T * D, rest, &err));
    }
    lm_run_free(r);
    inputs_close(&in);
    for (int scaled = 0; scaled < 2; scaled++) {
        struct array a = {"", DTYPE_F32, 3, {S, T, D}, x};
        inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"),
                    ref_path("score/tokens.npy"), write_npy("acts.npy", &a), 0);
        struct page_score model = score(&in, name, &(struct score_options){0});
        struct page_score given =
            score(&in, name, &(struct score_options){.from_samples = true});
        assert_true(model.ce_reconstructed == own.ce_reconstructed);
        assert_true(given.ce_original == own.ce_original);
        assert_int_equal(given.ce_reconstructed == own.ce_reconstructed, !scaled);
        NEAR("difference", model.samples_difference, scaled ? 0.5 : 0, 1e-6);
        inputs_close(&in);
        for (int i = 0; i < S * T * D; i++)
            x[i] *= 1.5f;
    }
}

static void assert_refused(const struct inputs *in, const struct score_options *o,
                           enum err_code code, const char *part)
{
    struct lm_hook hook;
    struct page_score p;
    struct err err = {0};
    assert_true(lm_hook_parse(in->lm, "blocks.0.hook_resid_pre", &hook, &err));
    assert_false(score_run(in->lm, &hook, in->sae, in->samples, o, NULL, &p, &err));
    if (err.code != code || !strstr(err.msg, part))
        fail_msg("code %d: '%s', expected '%s'", (int)err.code, err.msg, part);
}

static void bad_inputs_are_refused(void **state)
{
    (void)state;
    struct inputs in;
    struct score_options o = {0};
    char sae[512];
    strcpy(sae, ref_path("score/sae"));
    inputs_open(&in, ref_path("gemma2"), sae, ref_path("score/tokens.npy"), NULL, 0);
    assert_refused(&in, &o, ERR_SHAPE, "found d_in = 16, expected 24");
    inputs_close(&in);

    inputs_open(&in, ref_path("gpt2"), sae, ref_path("score/tokens.npy"), NULL, 0);
    assert_refused(&in, &(struct score_options){.from_samples = true}, ERR_MISSING,
                   "expected --acts");
    assert_refused(&in, &(struct score_options){.scan.skip_first = 1000}, ERR_MISSING,
                   "every position is left out");
    struct samples *samples = in.samples;
    in.samples = NULL;
    assert_refused(&in, &o, ERR_MISSING, "expected --tokens");
    in.samples = samples;
    inputs_close(&in);

    static const float ids[] = {1, 2, 61, 3}, fine[] = {1, 2, 3, 4};
    struct array a = {"", DTYPE_I32, 2, {2, 2}, ids};
    inputs_open(&in, ref_path("gpt2"), sae, write_npy("ids.npy", &a), NULL, 0);
    assert_refused(&in, &o, ERR_RANGE, "found 61, expected 0 to 60");
    inputs_close(&in);
    a = (struct array){"", DTYPE_I32, 2, {4, 1}, fine};
    inputs_open(&in, ref_path("gpt2"), sae, write_npy("ids.npy", &a), NULL, 0);
    assert_refused(&in, &o, ERR_RANGE, "no next token to predict");
    inputs_close(&in);
    a = (struct array){"", DTYPE_I32, 2, {1, 151}, NULL};
    inputs_open(&in, ref_path("gpt2"), sae, write_npy("ids.npy", &a), NULL, 0);
    assert_refused(&in, &o, ERR_RANGE, "found 151, expected at most 150");
    inputs_close(&in);
}

static bool cancel(void *ctx, const char *what, int64_t done, int64_t of)
{
    int *left = ctx;
    (void)what;
    assert_true(done >= 0 && done <= of);
    return (*left)-- > 0;
}

static void it_can_be_cancelled(void **state)
{
    (void)state;
    struct inputs in;
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    struct lm_hook hook = {0, LM_RESID_PRE};
    int refused = 0;
    for (int steps = 0; steps < 60; steps += 3) {
        int left = steps;
        struct progress progress = {cancel, &left};
        struct page_score p;
        struct err err = {0};
        struct score_options o = {.scan.threads = 1};
        if (score_run(in.lm, &hook, in.sae, in.samples, &o, &progress, &p, &err))
            continue;
        assert_int_equal(err.code, ERR_CANCELLED);
        refused++;
    }
    assert_true(refused > 5 && refused < 20);
    inputs_close(&in);
}

/* ---- a trained model and its SAEs, when they are there */

/* The file with what is expected of an SAE of the fixtures; owned. */
static json_t *expected_of(const json_t *entry)
{
    char dir[512];
    struct err err = {0};
    snprintf(dir, sizeof dir, "%s/expected", fixtures());
    return json_load_path(
        path_in(dir, json_string_value(json_object_get(entry, "expected"))), 64 << 20,
        JSON_LAST_WINS, &err);
}

/* Files that hold the same SAE in other formats, and early checkpoints, are for others. */
static bool is_repeated(const json_t *list, size_t i)
{
    const json_t *entry = json_array_get(list, i);
    const char *path = json_string_value(json_object_get(entry, "path"));
    for (size_t k = 0; k < i; k++)
        if (json_equal(json_object_get(json_array_get(list, k), "expected"),
                       json_object_get(entry, "expected")))
            return true;
    return strstr(path, "checkpoints") != NULL;
}

static bool check_fixture(const char *dir, const json_t *entry)
{
    const char *path = json_string_value(json_object_get(entry, "path"));
    struct err err = {0};
    struct sae *sae = sae_open(path_in(dir, path), &(struct sae_options){0}, NULL, &err);
    sae_close(sae);
    if (!sae && err.code == ERR_UNSUPPORTED)
        return false; /* another format than those that are read */
    struct inputs in;
    json_t *all = expected_of(entry), *want = json_object_get(all, "lm_first_32");
    inputs_open(&in, path_in(dir, "model"), path_in(dir, path), path_in(dir, "tokens.npy"),
                path_in(dir, "acts.npy"), 32);
    struct page_score p = score(&in, "blocks.2.hook_resid_pre", &(struct score_options){0});
    NEAR(path, p.ce_original, real(want, "ce_orig"), 1e-4);
    NEAR(path, p.ce_zero, real(want, "ce_zero"), 1e-4);
    NEAR(path, p.ce_reconstructed, real(want, "ce_recon"), 1e-3);
    NEAR(path, p.reconstruction_score, real(want, "reconstruction_score"), 1e-3);
    assert_true(p.samples_difference < 1e-3);
    inputs_close(&in);
    json_decref(all);
    return true;
}

static void trained_saes_agree(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    char dir[512];
    struct err err = {0};
    snprintf(dir, sizeof dir, "%s/A", fixtures());
    json_t *index = json_load_path(path_in(dir, "index.json"), JSON_MAX_TEXT,
                                   JSON_LAST_WINS, &err), *entry;
    assert_non_null(index);
    size_t i;
    int checked = 0;
    const json_t *list = json_object_get(index, "saes");
    json_array_foreach(list, i, entry)
        checked += !is_repeated(list, i) && check_fixture(dir, entry);
    assert_true(checked >= 8);
    json_decref(index);
}

/* One of them on all 128 sequences, which has the divergence too. */
static void trained_sae_has_its_divergence(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    char dir[512];
    struct inputs in;
    snprintf(dir, sizeof dir, "%s/A", fixtures());
    json_t *entry = json_pack("{s:s}", "expected", "A_standard.json");
    json_t *all = expected_of(entry), *want = json_object_get(all, "lm");
    inputs_open(&in, path_in(dir, "model"), path_in(dir, "sae/saelens_standard"),
                path_in(dir, "tokens.npy"), NULL, 128);
    struct page_score p = score(&in, "blocks.1.hook_resid_post", &(struct score_options){0});
    assert_int_equal(p.positions, 128 * 127);
    NEAR("ce_orig", p.ce_original, real(want, "ce_orig"), 1e-4);
    NEAR("ce_recon", p.ce_reconstructed, real(want, "ce_recon"), 1e-3);
    NEAR("ce_zero", p.ce_zero, real(want, "ce_zero"), 1e-4);
    NEAR("kl", p.kl, real(want, "kl_orig_recon"), 1e-3 * p.kl);
    inputs_close(&in);
    json_decref(all);
    json_decref(entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_agree_with_the_reference),
        cmocka_unit_test(partial_scores_are_those_of_fewer_sequences),
        cmocka_unit_test(skipped_tokens_do_not_count),
        cmocka_unit_test(baselines_are_what_they_say),
        cmocka_unit_test(samples_are_compared_and_taken),
        cmocka_unit_test(bad_inputs_are_refused),
        cmocka_unit_test(it_can_be_cancelled),
        cmocka_unit_test(trained_saes_agree),
        cmocka_unit_test(trained_sae_has_its_divergence),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
