/* test_ablate.c - exact ablations against the same done the long way: features one by one
 * by loops, the whole sequence run again; and against a trained model when it is there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/json.h"
#include "io/mem.h"
#include "model/ablate.h"
#include "model/estimate.h"
#include "model/kern.h"
#include "model/score.h"
#include "arrays.h"
#include "lm_files.h"

#define S 2
#define T 140
#define D 16
#define F 40

/* ---- the long way */

struct plain {
    struct lm_run *run;
    const struct lm_hook *hook;
    float x[T * D], rest[T * D], y[T * D], f[T * F], W_dec[F * D];
    int64_t ids[T];
};

/* x, its activations and its reconstruction, of a standard SAE, by loops. */
static void plain_sequence(struct plain *p, const struct inputs *in, int64_t s)
{
    static float W_enc[F * D];
    const struct sae *sae = in->sae;
    struct err err = {0};
    samples_ids(in->samples, s * T, T, p->ids);
    assert_true(lm_run_to(p->run, p->ids, T, p->hook, p->x, p->rest, &err));
    mat_read_rows(&sae->W_enc, 0, F, W_enc);
    mat_read_rows(&sae->W_dec, 0, F, p->W_dec);
    for (int t = 0; t < T; t++) {
        for (int j = 0; j < F; j++) {
            double m = sae->b_enc[j];
            for (int k = 0; k < D; k++)
                m += ((double)p->x[t * D + k] - (double)sae->b_dec[k]) *
                     (double)W_enc[j * D + k];
            p->f[t * F + j] = m > 0 ? (float)m : 0;
        }
        for (int k = 0; k < D; k++) {
            double y = sae->b_dec[k];
            for (int j = 0; j < F; j++)
                y += (double)p->f[t * F + j] * (double)p->W_dec[j * D + k];
            p->y[t * D + k] = (float)y;
        }
    }
}

/* Losses of positions [0, T - 1) with `base` less feature j (-1: none) at the hook. */
static void plain_losses(struct plain *p, const float *base, int j, double *ce)
{
    static float stream[T * D];
    const float *final = stream;
    struct err err = {0};
    for (int i = 0; i < T * D; i++) {
        float c = j < 0 ? 0 : p->f[i / D * F + j] * p->W_dec[j * D + i % D];
        stream[i] = p->rest[i] + base[i] - c;
    }
    assert_true(lm_run_from(p->run, p->hook, stream, T, &err));
    assert_true(lm_losses(p->run, 1, &final, p->ids, T, &ce, NULL, &err));
}

/* Sums over all sequences that the page of feature j should give, from `skip` on. */
static void plain_feature(struct plain *p, const struct inputs *in, int j, bool error_kept,
                          int skip, double *delta, double *worst, int64_t *active,
                          double *delta_fvu)
{
    double before[T], after[T];
    *delta = *delta_fvu = 0, *worst = -INFINITY, *active = 0;
    for (int s = 0; s < S; s++) {
        plain_sequence(p, in, s);
        const float *base = error_kept ? p->x : p->y;
        plain_losses(p, base, -1, before);
        plain_losses(p, base, j, after);
        for (int t = skip; t < T; t++) {
            *active += p->f[t * F + j] > 0;
            for (int k = 0; k < D; k++) {
                double e = (double)p->x[t * D + k] - (double)p->y[t * D + k];
                double c = (double)p->f[t * F + j] * (double)p->W_dec[j * D + k];
                *delta_fvu += 2 * e * c + c * c;
            }
            if (t == T - 1)
                continue;
            *delta += after[t] - before[t];
            *worst = fmax(*worst, after[t] - before[t]);
        }
    }
    *delta /= (double)(S * (T - 1 - skip));
}

static struct page_ablations ablate(const struct inputs *in, const struct lm_hook *hook,
                                    const int64_t *ids, int64_t n,
                                    const struct ablate_options *o)
{
    struct page_ablations page;
    struct err err = {0};
    if (!ablate_run(in->lm, hook, in->sae, in->samples, ids, n, o, NULL, &page, &err))
        fail_msg("%s", err.msg);
    return page;
}

/* f32 sums in another order: an ablation re-runs less than everything. */
#define CLOSE 2e-6

/* Returns how many features changed the loss by much more than rounding. */
static int check_mode(const struct inputs *in, const char *hook_name, bool error_kept,
                      int skip)
{
    int telling = 0;
    double share = NAN;
    static struct plain p;
    static const int64_t ids[] = {7, 0, 39};
    struct err err = {0};
    struct lm_hook hook;
    assert_true(lm_hook_parse(in->lm, hook_name, &hook, &err));
    struct ablate_options o = {.error_kept = error_kept, .scan.skip_first = skip};
    struct score_options so = {.scan.skip_first = skip};
    struct page_score score;
    assert_true(score_run(in->lm, &hook, in->sae, in->samples, &so, NULL, &score, &err));
    struct page_ablations page = ablate(in, &hook, ids, 3, &o);
    assert_int_equal(page.sequences, S);
    assert_int_equal(page.positions, S * (T - 1 - skip));
    p.hook = &hook;
    p.run = lm_run_new(in->lm, T, NULL, &err);
    for (int i = 0; i < 3; i++) {
        const struct page_ablation *f = &page.features[i];
        double delta, worst, delta_fvu;
        int64_t active;
        plain_feature(&p, in, (int)ids[i], error_kept, skip, &delta, &worst, &active,
                      &delta_fvu);
        assert_int_equal(f->id, ids[i]);
        assert_int_equal(f->active_tokens, active);
        telling += fabs(delta) > 50 * CLOSE;
        assert_true(fabs(f->delta_ce - delta) < CLOSE);
        assert_true(fabs(f->ce_after - f->ce_before - f->delta_ce) < 1e-12);
        double before = error_kept ? score.ce_original : score.ce_reconstructed;
        assert_true(fabs(f->ce_before - before) < 1e-9);
        double room = score.ce_zero - score.ce_original;
        assert_true(fabs(f->delta_score + f->delta_ce / room) < 1e-9);
        assert_true(fabs(f->score_after - f->score_before - f->delta_score) < 1e-9);
        assert_true(error_kept ? fabs(f->score_before - 1) < 1e-9
                               : fabs(f->score_before - score.reconstruction_score) < 1e-9);
        assert_true(f->n_worst == ABLATE_WORST || active == 0);
        assert_true(!f->n_worst || fabs(f->worst[0].delta - worst) < 50 * CLOSE);
        if (delta_fvu != 0) { /* shares of one and the same spread */
            double now = f->delta_fvu / delta_fvu;
            assert_true(isnan(share) || fabs(now / share - 1) < 1e-4);
            share = now;
        }
        for (int k = 0; k < f->n_worst; k++) {
            const struct ablate_worst *w = &f->worst[k];
            int64_t next;
            samples_ids(in->samples, w->sequence * T + w->position + 1, 1, &next);
            assert_int_equal(next, w->token);
            assert_true(w->position >= skip && (k == 0 || w[-1].delta >= w->delta));
        }
    }
    lm_run_free(p.run);
    page_ablations_finish(&page);
    return telling;
}

static void ablations_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *model, *hook;
    } cases[] = {
        {"gpt2", "blocks.1.hook_resid_pre"}, {"gpt2", "blocks.0.hook_resid_post"},
        {"gpt2", "blocks.0.hook_resid_mid"}, {"gpt2", "blocks.0.hook_mlp_out"},
        {"gpt2", "blocks.0.hook_attn_out"},  {"neox", "blocks.0.hook_attn_out"},
        {"neox", "blocks.1.hook_resid_pre"}, {"llama2", "blocks.0.hook_resid_pre"},
    };
    int telling = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct inputs in;
        char model[512], sae[512];
        strcpy(model, ref_path(cases[i].model));
        strcpy(sae, ref_path("score/sae"));
        inputs_open(&in, model, sae, ref_path("score/tokens.npy"), NULL, 0);
        for (int kept = 0; kept < 2; kept++)
            telling += check_mode(&in, cases[i].hook, kept, i % 2 ? 5 : 0);
        inputs_close(&in);
    }
    assert_true(telling > 30); /* of 48 */
}

static void threads_change_nothing(void **state)
{
    (void)state;
    struct inputs in;
    struct lm_hook hook = {1, LM_RESID_PRE};
    int64_t ids[F];
    for (int i = 0; i < F; i++)
        ids[i] = F - 1 - i;
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    struct page_ablations one = ablate(&in, &hook, ids, F,
                                       &(struct ablate_options){.scan.threads = 1});
    struct page_ablations three = ablate(&in, &hook, ids, F,
                                         &(struct ablate_options){.scan.threads = 3});
    for (int i = 0; i < F; i++)
        assert_memory_equal(&one.features[i], &three.features[i], sizeof *one.features);
    page_ablations_finish(&one);
    page_ablations_finish(&three);
    inputs_close(&in);
}

static bool cancel(void *ctx, const char *what, int64_t done, int64_t of)
{
    int *left = ctx;
    (void)what;
    assert_true(done >= 0 && done <= of);
    return (*left)-- > 0;
}

static void bad_requests_fail(void **state)
{
    (void)state;
    struct inputs in;
    struct lm_hook hook = {1, LM_RESID_PRE};
    struct page_ablations page;
    struct err err = {0};
    int64_t id = 0;
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    struct ablate_options o = {.scan.skip_first = T};
    assert_false(ablate_run(in.lm, &hook, in.sae, in.samples, &id, 1, &o, NULL, &page, &err));
    assert_int_equal(err.code, ERR_MISSING);
    int left = 4;
    struct progress progress = {cancel, &left};
    o.scan.skip_first = 0;
    assert_false(ablate_run(in.lm, &hook, in.sae, in.samples, &id, 1, &o, &progress, &page,
                            &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    inputs_close(&in);
}

/* ---- one sequence, token by token */

/* Its deltas are those that the means are made of. */
static void tokens_add_up_to_the_effect(void **state)
{
    (void)state;
    static struct plain p;
    struct inputs in;
    struct err err = {0};
    struct lm_hook hook = {1, LM_RESID_PRE};
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    p.hook = &hook;
    p.run = lm_run_new(in.lm, T, NULL, &err);
    for (int kept = 0; kept < 2; kept++) {
        struct ablate_options o = {.error_kept = kept, .scan.skip_first = 3};
        static const int64_t id = 7;
        struct page_ablations page = ablate(&in, &hook, &id, 1, &o);
        double sum = 0, before[T];
        for (int64_t s = 0; s < S; s++) {
            struct page_ablation_tokens t;
            assert_true(ablate_tokens(in.lm, &hook, in.sae, in.samples, id, s, &o, NULL, &t,
                                      &err));
            assert_true(t.n == T && t.id == id && t.sequence == s);
            plain_sequence(&p, &in, (int)s);
            plain_losses(&p, kept ? p.x : p.y, -1, before);
            bool begun = false;
            for (int i = 0; i < T; i++) {
                double a = (double)p.f[i * F + id];
                double norm = sqrt(kern_sum_squares(p.W_dec + id * D, D));
                assert_int_equal(t.ids[i], p.ids[i]);
                assert_true(fabs(t.taken[i] - a * norm) < 1e-4);
                begun |= a > 0;
                if (i == T - 1) {
                    assert_true(isnan(t.before[i]) && isnan(t.delta[i]));
                    continue;
                }
                assert_true(fabs(t.before[i] - before[i]) < 50 * CLOSE);
                assert_true(begun || t.delta[i] == 0); /* nothing has been taken out yet */
                sum += i >= 3 ? t.delta[i] : 0;
            }
            page_ablation_tokens_finish(&t);
        }
        assert_true(fabs(sum / (double)page.positions - page.features[0].delta_ce) < 1e-12);
        page_ablations_finish(&page);
    }
    struct page_ablation_tokens t;
    for (int bad = 0; bad < 2; bad++) {
        assert_false(ablate_tokens(in.lm, &hook, in.sae, in.samples, 7, bad ? -1 : S,
                                   &(struct ablate_options){0}, NULL, &t, &err));
        assert_int_equal(err.code, ERR_RANGE);
    }
    lm_run_free(p.run);
    inputs_close(&in);
}

/* ---- estimates */

static void estimate(const struct inputs *in, const struct lm_hook *hook,
                     const struct ablate_options *o, double *out)
{
    struct err err = {0};
    if (!estimate_run(in->lm, hook, in->sae, in->samples, o, NULL, out, &err))
        fail_msg("%s", err.msg);
}

/* Of every feature, against gradients of PyTorch in double. */
static void estimates_agree_with_the_reference(void **state)
{
    (void)state;
    struct inputs in;
    struct err err = {0};
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    json_t *all = json_load_path(ref_path("score/score.json"), JSON_MAX_TEXT,
                                 JSON_LAST_WINS, &err);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(all, "scores"), i, one) {
        struct lm_hook hook;
        const char *name = json_string_value(json_object_get(one, "hook"));
        assert_true(lm_hook_parse(in.lm, name, &hook, &err));
        for (int kept = 0; kept < 2; kept++) {
            const json_t *want =
                json_object_get(one, kept ? "estimate_error_kept" : "estimate");
            double got[F], greatest = 0;
            struct ablate_options o = {.error_kept = kept};
            o.scan.skip_first = json_integer_value(json_object_get(one, "skip_first"));
            estimate(&in, &hook, &o, got);
            assert_int_equal(json_array_size(want), F);
            for (size_t j = 0; j < F; j++)
                greatest =
                    fmax(greatest, fabs(json_number_value(json_array_get(want, j))));
            for (size_t j = 0; j < F; j++) {
                double w = json_number_value(json_array_get(want, j));
                if (!(fabs(got[j] - w) <= 1e-4 * greatest)) /* f32, as the gradients */
                    fail_msg("%s, feature %d: %.9g, expected %.9g", name, (int)j, got[j],
                             w);
            }
        }
    }
    assert_int_equal(i, 3);
    json_decref(all);
    inputs_close(&in);
}

static void threads_change_no_estimate(void **state)
{
    (void)state;
    struct inputs in;
    struct lm_hook hook = {0, LM_MLP_OUT};
    double one[F], three[F];
    inputs_open(&in, ref_path("neox"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    estimate(&in, &hook, &(struct ablate_options){.scan.threads = 1}, one);
    estimate(&in, &hook, &(struct ablate_options){.scan.threads = 3}, three);
    assert_memory_equal(one, three, sizeof one);
    inputs_close(&in);
}

static void bad_estimates_fail(void **state)
{
    (void)state;
    struct inputs in;
    struct lm_hook hook = {1, LM_RESID_PRE};
    double out[F] = {7};
    struct err err = {0};
    inputs_open(&in, ref_path("gpt2"), ref_path("score/sae"), ref_path("score/tokens.npy"),
                NULL, 0);
    struct ablate_options o = {.scan.skip_first = T};
    assert_false(estimate_run(in.lm, &hook, in.sae, in.samples, &o, NULL, out, &err));
    assert_int_equal(err.code, ERR_MISSING);
    int left = 4;
    struct progress progress = {cancel, &left};
    o.scan.skip_first = 0;
    assert_false(estimate_run(in.lm, &hook, in.sae, in.samples, &o, &progress, out, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_true(out[0] == 7);
    inputs_close(&in);
}

/* ---- a trained model and its SAEs, when they are there */

static double real(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    assert_true(json_is_number(v));
    return json_number_value(v);
}

static void assert_delta(double got, double want)
{
    if (!(fabs(got - want) <= fmax(0.02 * fabs(want), 3e-5)))
        fail_msg("%.9g, expected %.9g", got, want);
}

/* The loss is curved: what a feature does that is always there, is not to be seen to first
 * order. Of features that are rare, the estimates point where the exact effects do. */
static void check_estimates(const struct inputs *in, const struct lm_hook *hook,
                            const struct page_ablations *page, bool kept)
{
    double *all = xmalloc((size_t)in->sae->d_sae * sizeof *all);
    double both = 0, exact = 0, guessed = 0;
    int64_t tokens = page->sequences * in->samples->seq_len, rare = 0;
    estimate(in, hook, &(struct ablate_options){.error_kept = kept}, all);
    for (int64_t i = 0; i < page->n; i++) {
        double e = page->features[i].delta_ce, g = all[page->features[i].id];
        if (page->features[i].active_tokens > tokens / 100)
            continue;
        both += e * g, exact += e * e, guessed += g * g;
        rare++;
    }
    assert_true(rare >= 3);
    if (both / sqrt(exact * guessed) < 0.8)
        fail_msg("%s: cosine %.3g", in->sae->path, both / sqrt(exact * guessed));
    free(all);
}

static void check_fixture(const char *sae, const char *expected)
{
    char dir[512];
    struct err err = {0};
    struct inputs in;
    struct lm_hook hook = {2, LM_RESID_PRE};
    snprintf(dir, sizeof dir, "%s/A", fixtures());
    inputs_open(&in, path_in(dir, "model"), path_in(dir, sae), path_in(dir, "tokens.npy"),
                NULL, 32);
    snprintf(dir, sizeof dir, "%s/expected", fixtures());
    json_t *all = json_load_path(path_in(dir, expected), 64 << 20, JSON_LAST_WINS, &err);
    json_t *list = json_object_get(all, "features");
    int64_t ids[64], n = (int64_t)json_array_size(list);
    assert_true(n >= 4 && n <= 64);
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int64_t)real(json_array_get(list, (size_t)i), "feature");
    for (int kept = 0; kept < 2; kept++) {
        struct page_ablations page =
            ablate(&in, &hook, ids, n, &(struct ablate_options){.error_kept = kept});
        for (int64_t i = 0; i < n; i++) {
            const json_t *f = json_array_get(list, (size_t)i);
            const json_t *want =
                json_object_get(f, kept ? "ablation_keep_error" : "ablation");
            assert_delta(page.features[i].delta_ce,
                         real(want, kept ? "delta_vs_ce_orig" : "delta_vs_ce_recon"));
        }
        check_estimates(&in, &hook, &page, kept);
        page_ablations_finish(&page);
    }
    json_decref(all);
    inputs_close(&in);
}

static void trained_saes_agree(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    check_fixture("sae/saelens_standard", "A_standard.json");
    check_fixture("sae/openai_topk_ln_f16.pt", "A_topk_ln.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ablations_are_exact),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(bad_requests_fail),
        cmocka_unit_test(tokens_add_up_to_the_effect),
        cmocka_unit_test(estimates_agree_with_the_reference),
        cmocka_unit_test(threads_change_no_estimate),
        cmocka_unit_test(bad_estimates_fail),
        cmocka_unit_test(trained_saes_agree),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
