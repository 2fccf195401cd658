/* test_lm_backward.c - gradients of every family at every hook, against tests/ref/lm (made
 * by PyTorch in double) and against differences of the losses themselves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/container.h"
#include "io/mem.h"
#include "model/kern.h"
#include "model/lm.h"
#include "arrays.h"

/* f32 against double: sums of up to 140 positions times 100 terms, relative to the
 * greatest element of the gradient. */
#define CLOSE 1e-4

#define GRAD_STEP 7 /* every so many positions are in the reference */

static const char *const models[] = {
    "gpt2",   "gpt2_f16",     "neox",          "neox_sequential", "llama2",
    "llama3", "llama_linear", "llama_dynamic", "llama_yarn",      "gemma2",
    "gemma2_types",
};
#define N_MODELS (sizeof models / sizeof *models)

static const char *const sites[] = {"resid_pre", "attn_out", "resid_mid", "mlp_out",
                                    "resid_post"};
#define N_SITES (sizeof sites / sizeof *sites)

/* A model, its reference, and one sequence's room. */
struct subject {
    struct lm *lm;
    struct container *expected;
    struct lm_run *run;
    struct lm_hook hook;
    int64_t T, d, *ids;
    double *weight, *ce;
    float *x, *rest, *resid, *grad;
};

static void subject_open(struct subject *s, const char *model)
{
    char path[512];
    struct err err = {0};
    *s = (struct subject){0};
    snprintf(path, sizeof path, "%s/lm/%s", getenv("TEST_REF"), model);
    s->lm = lm_open(path, NULL, &err);
    snprintf(path, sizeof path, "%s/lm/%s/expected.safetensors", getenv("TEST_REF"), model);
    s->expected = container_open(path, NULL, &err);
    if (!s->lm || !s->expected)
        fail_msg("%s", err.msg);
    const struct tensor *ids = container_find(s->expected, "ids");
    s->T = ids->shape[1], s->d = lm_d_model(s->lm);
    s->run = lm_run_new(s->lm, s->T, NULL, &err);
    s->ids = xmalloc((size_t)s->T * sizeof *s->ids);
    s->weight = xmalloc((size_t)s->T * sizeof *s->weight);
    s->ce = xmalloc((size_t)s->T * sizeof *s->ce);
    float **arrays[] = {&s->x, &s->rest, &s->resid, &s->grad};
    for (int i = 0; i < 4; i++)
        *arrays[i] = xmalloc((size_t)(s->T * s->d) * sizeof(float));
    tensor_read_i64(ids, 0, s->T, s->ids);
    for (int64_t p = 0; p < s->T; p++)
        s->weight[p] = p >= 5 ? (double)(1 + p % 3) : 0;
}

static void subject_close(struct subject *s)
{
    free(s->ids), free(s->weight), free(s->ce);
    free(s->x), free(s->rest), free(s->resid), free(s->grad);
    lm_run_free(s->run);
    container_close(s->expected);
    lm_close(s->lm);
}

/* What is at the hook, halved, into resid; false: this model has no such hook. */
static bool subject_at(struct subject *s, int layer, const char *site, char *name,
                       size_t size)
{
    struct err err = {0};
    snprintf(name, size, "blocks.%d.hook_%s", layer, site);
    if (!lm_hook_parse(s->lm, name, &s->hook, &err)) {
        assert_int_equal(err.code, ERR_UNSUPPORTED); /* resid_mid of parallel blocks */
        return false;
    }
    assert_true(lm_run_to(s->run, s->ids, s->T, &s->hook, s->x, s->rest, &err));
    for (int64_t i = 0; i < s->T * s->d; i++)
        s->resid[i] = s->rest[i] + s->x[i] * 0.5f;
    return true;
}

static void subject_gradient(struct subject *s)
{
    struct err err = {0};
    struct lm_back *b = lm_back_new(s->lm, &s->hook, s->T, &err);
    assert_non_null(b);
    assert_true(lm_run_back(s->run, b, &s->hook, s->resid, s->ids, s->T, s->weight, s->ce,
                            s->grad, &err));
    lm_back_free(b);
}

/* ---- against the reference */

static void check_reference(struct subject *s, const char *model, const char *hook)
{
    char name[128];
    snprintf(name, sizeof name, "%s.grad", hook);
    const struct tensor *t = container_find(s->expected, name);
    if (!t)
        fail_msg("%s has no %s", model, name);
    int64_t n = t->shape[0];
    assert_int_equal(t->shape[1], s->d);
    float *want = xmalloc((size_t)(n * s->d) * sizeof *want), greatest = 0, worst = 0;
    tensor_read_f32(t, 0, n * s->d, want);
    for (int64_t i = 0; i < n * s->d; i++) {
        float got = s->grad[i / s->d * GRAD_STEP * s->d + i % s->d];
        greatest = fmaxf(greatest, fabsf(want[i]));
        worst = fmaxf(worst, fabsf(got - want[i]));
        assert_true(isfinite(got));
    }
    if (!(worst <= (float)CLOSE * greatest) || greatest == 0)
        fail_msg("%s %s: off by %.3g of %.3g", model, hook, (double)worst,
                 (double)greatest);
    free(want);
}

static void gradients_agree_with_the_reference(void **state)
{
    (void)state;
    char hook[64];
    for (size_t m = 0; m < N_MODELS; m++) {
        struct subject s;
        int checked = 0;
        subject_open(&s, models[m]);
        for (size_t i = 0; i < N_SITES; i++) {
            if (!subject_at(&s, 1, sites[i], hook, sizeof hook))
                continue;
            subject_gradient(&s);
            check_reference(&s, models[m], hook);
            checked++;
        }
        assert_true(checked >= 4);
        assert_true(subject_at(&s, 0, "resid_pre", hook, sizeof hook));
        subject_gradient(&s);
        check_reference(&s, models[m], hook);
        subject_close(&s);
    }
}

/* ---- against differences */

static double total_loss(struct subject *s, const float *step, float size)
{
    struct err err = {0};
    size_t n = (size_t)(s->T * s->d);
    float *stream = xmalloc(n * sizeof *stream);
    const float *final = stream;
    double sum = 0, *ce = xmalloc((size_t)s->T * sizeof *ce);
    for (size_t i = 0; i < n; i++)
        stream[i] = s->resid[i] + size * step[i];
    assert_true(lm_run_from(s->run, &s->hook, stream, s->T, &err));
    assert_true(lm_losses(s->run, 1, &final, s->ids, s->T, &ce, NULL, &err));
    for (int64_t p = 0; p < s->T - 1; p++)
        sum += s->weight[p] * ce[p];
    free(stream), free(ce);
    return sum;
}

static double difference(struct subject *s, const float *v, float h)
{
    return (total_loss(s, v, h) - total_loss(s, v, -h)) / (2 * (double)h);
}

/* Along the gradient itself, where the slope is |gradient|, and along a direction that is
 * not. Steps change the loss by about 1, whose rounding is some 1e-5; two of them take the
 * third derivative out. What is left is about 1e-3 of |gradient|. */
static void check_differences(struct subject *s, const char *model, const char *hook)
{
    int64_t n = s->T * s->d;
    double length = sqrt(kern_sum_squares(s->grad, n));
    float *v = xmalloc((size_t)n * sizeof *v), h = fminf(1e-2f, 0.5f / (float)length);
    for (int turn = 0; turn < 2; turn++) {
        for (int64_t i = 0; i < n; i++)
            v[i] = turn ? (float)((i * 7919 % 101) - 50) : s->grad[i];
        double unit = 1 / sqrt(kern_sum_squares(v, n));
        for (int64_t i = 0; i < n; i++)
            v[i] *= (float)unit;
        double slope = kern_dot_double(v, s->grad, n);
        double measured = (4 * difference(s, v, h) - difference(s, v, 2 * h)) / 3;
        if (!(fabs(slope - measured) <= 5e-3 * length))
            fail_msg("%s %s: slope %.6g, measured %.6g, of %.6g", model, hook, slope,
                     measured, length);
    }
    free(v);
}

static void gradients_agree_with_differences(void **state)
{
    (void)state;
    char hook[64];
    for (size_t m = 0; m < N_MODELS; m++) {
        struct subject s;
        subject_open(&s, models[m]);
        for (int layer = 0; layer < 2; layer++)
            for (size_t i = 0; i < N_SITES; i++) {
                if (!subject_at(&s, layer, sites[i], hook, sizeof hook))
                    continue;
                subject_gradient(&s);
                check_differences(&s, models[m], hook);
            }
        subject_close(&s);
    }
}

/* ---- what else is promised */

static void losses_are_those_of_a_run_forwards(void **state)
{
    (void)state;
    char hook[64];
    struct subject s;
    struct err err = {0};
    subject_open(&s, "gemma2");
    assert_true(subject_at(&s, 1, "resid_pre", hook, sizeof hook));
    size_t bytes = (size_t)(s.T * s.d) * sizeof(float);
    float *before = xmalloc(bytes);
    double *ce = xmalloc((size_t)s.T * sizeof *ce);
    const float *final = before;
    memcpy(before, s.resid, bytes);
    subject_gradient(&s);
    assert_memory_equal(before, s.resid, bytes);
    assert_true(lm_run_from(s.run, &s.hook, before, s.T, &err));
    assert_true(lm_losses(s.run, 1, &final, s.ids, s.T, &ce, NULL, &err));
    for (int64_t p = 0; p < s.T - 1; p++)
        assert_true(ce[p] == s.ce[p]);
    free(before), free(ce);
    subject_close(&s);
}

/* A loss cannot depend on what comes after it. */
static void later_positions_have_no_gradient(void **state)
{
    (void)state;
    char hook[64];
    for (size_t m = 0; m < N_MODELS; m++) {
        struct subject s;
        subject_open(&s, models[m]);
        for (int64_t p = 0; p < s.T; p++)
            s.weight[p] = p == 60;
        assert_true(subject_at(&s, 0, "resid_pre", hook, sizeof hook));
        subject_gradient(&s);
        assert_true(kern_sum_squares(s.grad + 60 * s.d, s.d) > 0);
        for (int64_t i = 61 * s.d; i < s.T * s.d; i++)
            assert_true(s.grad[i] == 0);
        subject_close(&s);
    }
}

static bool stop(void *ctx, const char *what, int64_t done, int64_t of)
{
    (void)what, (void)done, (void)of;
    return --*(int *)ctx > 0;
}

static void it_can_be_cancelled(void **state)
{
    (void)state;
    char hook[64];
    struct subject s;
    subject_open(&s, "llama3");
    assert_true(subject_at(&s, 0, "resid_pre", hook, sizeof hook));
    struct err err = {0};
    struct lm_back *b = lm_back_new(s.lm, &s.hook, s.T, &err);
    lm_run_free(s.run);
    int finished = 0;
    for (int steps = 1; !finished && steps < 100; steps++) {
        int left = steps;
        struct progress progress = {stop, &left};
        struct lm_work work = {.progress = &progress, .what = "tokens", .of = 1, .tokens = 1};
        s.run = lm_run_new(s.lm, s.T, &work, &err);
        err = (struct err){0};
        finished = lm_run_back(s.run, b, &s.hook, s.resid, s.ids, s.T, s.weight, s.ce,
                               s.grad, &err);
        assert_true(finished || err.code == ERR_CANCELLED);
        assert_true(finished == (left > 0));
        lm_run_free(s.run);
    }
    assert_true(finished);
    s.run = NULL;
    lm_back_free(b);
    subject_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_the_reference),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(losses_are_those_of_a_run_forwards),
        cmocka_unit_test(later_positions_have_no_gradient),
        cmocka_unit_test(it_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
