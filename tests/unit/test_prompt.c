/* test_prompt.c - a text through model and SAE against score_run, ablate_run and loops over
 * the same tokens; the next token's distribution against the losses; what goes in front. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/mem.h"
#include "model/ablate.h"
#include "model/prompt.h"
#include "model/score.h"
#include "files.h"

#define T 140
#define D 16
#define F 40

static struct {
    struct lm *lm;
    struct sae *sae;
    struct samples *samples; /* one sequence */
    int64_t ids[T];
} in;

static const char *ref(const char *file)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/lm/%s", getenv("TEST_REF"), file);
    return path[turn];
}

static int set_up(void **state)
{
    (void)state;
    struct err err = {0};
    struct samples_options o = {.tokens = ref("score/tokens.npy"), .sequences = 1};
    in.lm = lm_open(ref("gpt2"), NULL, &err);
    in.sae = sae_open(ref("score/sae"), &(struct sae_options){0}, NULL, &err);
    in.samples = samples_open(&o, NULL, &err);
    if (!in.lm || !in.sae || !in.samples)
        return -1;
    samples_ids(in.samples, 0, T, in.ids);
    return chdir(test_dir());
}

static int tear_down(void **state)
{
    samples_close(in.samples);
    sae_close(in.sae);
    lm_close(in.lm);
    return test_dir_remove(state);
}

static struct prompt_engine *engine_at(const char *name, struct lm_hook *hook)
{
    struct err err = {0};
    struct prompt_engine *e = NULL;
    if (lm_hook_parse(in.lm, name, hook, &err))
        e = prompt_engine_new(in.lm, hook, in.sae, 1, NULL, &err);
    if (!e)
        fail_msg("%s", err.msg);
    return e;
}

static struct page_prompt run(const struct prompt_engine *e, int64_t n,
                              const struct prompt_options *o)
{
    struct err err = {0};
    struct page_prompt page = {0};
    if (!prompt_run(e, in.ids, n, o, NULL, &page, &err))
        fail_msg("%s", err.msg);
    return page;
}

static const char *const hooks[] = {"blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre",
                                    "blocks.1.hook_mlp_out", "blocks.1.hook_attn_out"};
#define N_HOOKS (sizeof hooks / sizeof *hooks)

static void losses_are_those_of_score(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_HOOKS; k++) {
        struct lm_hook hook;
        struct page_score score;
        struct prompt_engine *e = engine_at(hooks[k], &hook);
        struct page_prompt page = run(e, T, &(struct prompt_options){0});
        assert_true(score_run(in.lm, &hook, in.sae, in.samples, &(struct score_options){0},
                              NULL, &score, NULL));
        double active = 0, sum = 0;
        for (int64_t p = 0; p < T; p++)
            active += page.tokens[p].n_active;
        for (int64_t p = 0; p < T - 1; p++)
            sum += page.tokens[p].ce;
        assert_true(isnan(page.tokens[T - 1].ce) && isnan(page.kl) && !page.final[1]);
        assert_true(fabs(page.ce - score.ce_original) < 1e-9);
        assert_true(fabs(sum / (T - 1) - page.ce) < 1e-12);
        assert_true(fabs(active / T - score.l0) < 1e-12);
        page_prompt_finish(&page);
        prompt_engine_unref(e);
    }
}

/* Every activation of a standard SAE by loops in double precision. */
static void features_are_those_of_loops(void **state)
{
    (void)state;
    static float x[T * D], rest[T * D], W_enc[F * D];
    struct lm_hook hook;
    struct prompt_engine *e = engine_at(hooks[1], &hook);
    struct page_prompt all = run(e, T, &(struct prompt_options){.top = F});
    struct page_prompt few = run(e, T, &(struct prompt_options){.top = 3});
    struct lm_work work = {0};
    struct lm_run *lm_run = lm_run_new(in.lm, T, &work, NULL);
    assert_true(lm_run_to(lm_run, in.ids, T, &hook, x, rest, NULL));
    mat_read_rows(&in.sae->W_enc, 0, F, W_enc);
    for (int t = 0; t < T; t++) {
        double want[F];
        int n = 0;
        const struct prompt_token *token = &all.tokens[t];
        for (int j = 0; j < F; j++) {
            double m = in.sae->b_enc[j];
            for (int k = 0; k < D; k++)
                m += ((double)x[t * D + k] - (double)in.sae->b_dec[k]) * (double)W_enc[j * D + k];
            n += (want[j] = m > 0 ? m : 0) > 0;
        }
        assert_int_equal(token->n_active, n);
        assert_int_equal(token->n_features, n);
        for (int i = 0; i < n; i++) {
            const struct prompt_feature *f = &token->features[i];
            assert_true(fabs((double)f->activation - want[f->id]) < 1e-5);
            assert_true(i == 0 || f[-1].activation >= f->activation);
        }
        assert_int_equal(few.tokens[t].n_active, n);
        assert_int_equal(few.tokens[t].n_features, n < 3 ? n : 3);
        for (int i = 0; i < few.tokens[t].n_features; i++)
            assert_int_equal(few.tokens[t].features[i].id, token->features[i].id);
    }
    lm_run_free(lm_run);
    page_prompt_finish(&all);
    page_prompt_finish(&few);
    prompt_engine_unref(e);
}

static void one_feature_out_is_ablate(void **state)
{
    (void)state;
    static const int64_t ids[] = {0, 7, 23, 39};
    for (size_t k = 0; k < N_HOOKS; k++)
        for (int mode = 0; mode < 2; mode++) {
            struct lm_hook hook;
            struct page_ablations want = {0};
            struct ablate_options options = {.error_kept = mode == 1};
            struct prompt_engine *e = engine_at(hooks[k], &hook);
            assert_true(ablate_run(in.lm, &hook, in.sae, in.samples, ids, 4, &options, NULL,
                                   &want, NULL));
            for (int i = 0; i < 4; i++) {
                struct prompt_options o = {.ablate = &ids[i], .n_ablate = 1,
                                           .reconstruction = mode == 0};
                struct page_prompt page = run(e, T, &o);
                assert_true(fabs(page.before - want.features[i].ce_before) < 1e-6);
                assert_true(fabs(page.after - want.features[i].ce_after) < 1e-6);
                assert_true(page.kl >= -1e-9);
                assert_true(mode == 0 || fabs(page.before - page.ce) < 1e-9);
                page_prompt_finish(&page);
            }
            page_ablations_finish(&want);
            prompt_engine_unref(e);
        }
}

/* With all features out, the reconstruction is b_dec: what score measures from with
 * baseline b_dec. */
static void all_features_out_is_b_dec(void **state)
{
    (void)state;
    int64_t ids[F];
    for (int i = 0; i < F; i++)
        ids[i] = i;
    struct lm_hook hook;
    struct page_score score;
    struct prompt_engine *e = engine_at(hooks[1], &hook);
    struct prompt_options o = {.ablate = ids, .n_ablate = F, .reconstruction = true};
    struct page_prompt page = run(e, T, &o);
    assert_true(score_run(in.lm, &hook, in.sae, in.samples,
                          &(struct score_options){.baseline = SCORE_B_DEC}, NULL, &score, NULL));
    assert_true(fabs(page.before - score.ce_reconstructed) < 1e-6);
    assert_true(fabs(page.after - score.ce_zero) < 1e-5);
    page_prompt_finish(&page);
    prompt_engine_unref(e);
}

/* -log p of the token that follows is the loss, and the divergence that of lm_losses. */
static void next_token_agrees_with_the_losses(void **state)
{
    (void)state;
    static const int64_t taken[] = {1, 2, 3, 5, 8, 13};
    struct lm_hook hook;
    struct prompt_engine *e = engine_at(hooks[1], &hook);
    struct prompt_options o = {.ablate = taken, .n_ablate = 6, .reconstruction = true};
    struct page_prompt page = run(e, T, &o);
    int vocab = (int)lm_vocab(in.lm);
    for (int64_t p = 0; p < T - 1; p += 23) {
        struct page_next all = {0}, few = {0};
        double before = 0, after = 0;
        assert_true(prompt_next(in.lm, page.final[1] + p * D, page.final[2] + p * D, vocab, &all,
                                NULL));
        assert_int_equal(all.n, vocab);
        for (int i = 0; i < vocab; i++) {
            const struct prompt_next *t = &all.tokens[i];
            before += t->before;
            after += t->after;
            assert_true(i == 0 || fmax(t[-1].before, t[-1].after) >= fmax(t->before, t->after));
            if (t->id == in.ids[p + 1]) {
                assert_true(fabs(-log(t->before) - page.tokens[p].before) < 1e-5);
                assert_true(fabs(-log(t->after) - page.tokens[p].after) < 1e-5);
            }
        }
        assert_true(fabs(before - 1) < 1e-6 && fabs(after - 1) < 1e-6);
        assert_true(fabs(all.kl - page.tokens[p].kl) < 1e-5);
        assert_true(prompt_next(in.lm, page.final[0] + p * D, NULL, 3, &few, NULL));
        assert_int_equal(few.n, 3);
        assert_true(isnan(few.kl) && isnan(few.tokens[0].after));
        page_next_finish(&all);
        page_next_finish(&few);
    }
    page_prompt_finish(&page);
    prompt_engine_unref(e);
}

/* A text's beginning has the numbers that it has in the whole; no text has none. */
static void shorter_texts(void **state)
{
    (void)state;
    struct lm_hook hook;
    struct prompt_engine *e = engine_at(hooks[1], &hook);
    struct page_prompt whole = run(e, T, &(struct prompt_options){0});
    for (int64_t n = 0; n < 4; n++) {
        struct page_prompt page = run(e, n, &(struct prompt_options){0});
        assert_int_equal(page.n, n);
        assert_true(n > 1 ? fabs(page.tokens[0].ce - whole.tokens[0].ce) < 1e-6 : isnan(page.ce));
        for (int64_t p = 0; p < n; p++)
            assert_int_equal(page.tokens[p].n_active, whole.tokens[p].n_active);
        page_prompt_finish(&page);
    }
    page_prompt_finish(&whole);
    prompt_engine_unref(e);
}

/* --- tokens ------------------------------------------------------------------------------ */

#define VOCAB "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"c\": 900000}}"

static struct token_encoder *encoder(const char *text)
{
    struct err err = {0};
    struct token_encoder *te =
        token_encoder_open(write_bytes("tokenizer.json", text, strlen(text)), &err);
    if (!te)
        fail_msg("%s", err.msg);
    return te;
}

static void what_goes_in_front(void **state)
{
    (void)state;
    static const char with[] = "{" VOCAB ", \"post_processor\": {\"type\": \"TemplateProcessing\","
        "\"single\": [{\"SpecialToken\": {\"id\": \"b\"}}, {\"Sequence\": {\"id\": \"A\"}}],"
        "\"special_tokens\": {\"b\": {\"ids\": [1]}}}}";
    static const char without[] = "{" VOCAB "}";
    const int bos = (int)lm_bos(in.lm);
    const struct {
        const char *file;
        bool trained_with;
        enum prompt_bos how;
        int n, first; /* of the ids of "aa" */
    } cases[] = {
        {with, true, PROMPT_BOS_AUTO, 3, 1},     {with, false, PROMPT_BOS_AUTO, 3, 1},
        {with, true, PROMPT_BOS_NO, 2, 0},       {with, false, PROMPT_BOS_YES, 3, 1},
        {without, true, PROMPT_BOS_AUTO, 3, bos}, {without, false, PROMPT_BOS_AUTO, 2, 0},
        {without, false, PROMPT_BOS_YES, 3, bos}, {without, true, PROMPT_BOS_NO, 2, 0},
    };
    struct sae sae = *in.sae;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_encoder *te = encoder(cases[i].file);
        struct prompt_ids ids = {0};
        struct err err = {0};
        sae.prepend_bos = cases[i].trained_with;
        if (bos < 0 && cases[i].file == without && cases[i].how != PROMPT_BOS_NO) {
            bool ok = prompt_encode(te, &sae, in.lm, cases[i].how, "aa", 2, &ids, &err);
            assert_int_equal(ok, cases[i].how != PROMPT_BOS_YES);
        } else {
            assert_true(prompt_encode(te, &sae, in.lm, cases[i].how, "aa", 2, &ids, &err));
            assert_int_equal(ids.n, cases[i].n);
            assert_int_equal(ids.n_bos, cases[i].n - 2);
            assert_int_equal(ids.id[0], cases[i].first);
        }
        prompt_ids_finish(&ids);
        token_encoder_close(te);
    }
}

static void what_does_not_fit(void **state)
{
    (void)state;
    struct token_encoder *te = encoder("{" VOCAB "}");
    struct prompt_ids ids = {0};
    struct err err = {0};
    char text[PROMPT_MAX_TOKENS + 1];
    assert_false(prompt_encode(te, in.sae, in.lm, PROMPT_BOS_NO, "ac", 2, &ids, &err));
    assert_int_equal(err.code, ERR_RANGE);
    assert_non_null(strstr(err.msg, "found 900000"));
    memset(text, 'a', sizeof text);
    assert_false(prompt_encode(te, in.sae, in.lm, PROMPT_BOS_NO, text, sizeof text, &ids, &err));
    assert_int_equal(err.code, ERR_RANGE);
    assert_false(prompt_encode(te, in.sae, in.lm, PROMPT_BOS_NO, text,
                               (size_t)lm_context(in.lm) + 1, &ids, &err));
    assert_non_null(strstr(err.msg, "longer than the context"));
    assert_true(prompt_encode(te, in.sae, in.lm, PROMPT_BOS_NO, "", 0, &ids, &err));
    assert_int_equal(ids.n, 0);
    prompt_ids_finish(&ids);
    token_encoder_close(te);

    struct sae wide = *in.sae;
    struct lm_hook hook;
    wide.d_in = 24;
    assert_true(lm_hook_parse(in.lm, hooks[0], &hook, &err));
    assert_null(prompt_engine_new(in.lm, &hook, &wide, 1, NULL, &err));
    assert_int_equal(err.code, ERR_SHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_score),
        cmocka_unit_test(features_are_those_of_loops),
        cmocka_unit_test(one_feature_out_is_ablate),
        cmocka_unit_test(all_features_out_is_b_dec),
        cmocka_unit_test(next_token_agrees_with_the_losses),
        cmocka_unit_test(shorter_texts),
        cmocka_unit_test(what_goes_in_front),
        cmocka_unit_test(what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
