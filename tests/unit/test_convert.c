/* test_convert.c - what is converted is the source again: values bit for bit in the dtype
 * that they had, and activations with them; what cannot be said is refused by name. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/container.h"
#include "io/json.h"
#include "io/mem.h"
#include "model/convert.h"
#include "arrays.h"

#define D 6
#define F 70 /* more than one tile of 64, and a part of one */

static float W_enc[D * F], W_dec[F * D], b_enc[F], b_dec[D], factor[F], threshold[F],
    one[1] = {0.625f};

static const struct array arrays[] = {
    {"W_enc", DTYPE_F32, 2, {D, F}, W_enc},      {"W_dec", DTYPE_F32, 2, {F, D}, W_dec},
    {"b_enc", DTYPE_F32, 1, {F}, b_enc},         {"b_dec", DTYPE_F32, 1, {D}, b_dec},
    {"b_gate", DTYPE_F32, 1, {F}, b_enc},        {"b_mag", DTYPE_F32, 1, {F}, factor},
    {"r_mag", DTYPE_F32, 1, {F}, threshold},     {"threshold", DTYPE_F32, 1, {F}, threshold},
    {"log_threshold", DTYPE_F32, 1, {F}, b_enc}, {"topk_threshold", DTYPE_F64, 0, {0}, one},
    {"scaling_factor", DTYPE_F32, 1, {F}, factor},
};
#define N_ARRAYS ((int)(sizeof arrays / sizeof *arrays))

static int setup(void **state)
{
    (void)state;
    fill_random(W_enc, D * F, 1);
    fill_random(W_dec, F * D, 2);
    fill_random(b_enc, F, 3);
    fill_random(b_dec, D, 4);
    fill_random(factor, F, 5);
    fill_random(threshold, F, 6);
    W_enc[5] = -0.0f;
    W_enc[77] = INFINITY;
    b_enc[3] = -0.0f;
    b_enc[4] = 0;
    return 0;
}

/* A SAELens directory with the arrays of these names, all of one dtype. */
static struct sae *open_source(const char *cfg, const char *names, enum dtype dtype)
{
    struct array chosen[N_ARRAYS];
    struct err err = {0};
    char list[256], word[64];
    int n = 0;
    snprintf(list, sizeof list, " %s ", names);
    for (int i = 0; i < N_ARRAYS; i++) {
        snprintf(word, sizeof word, " %s ", arrays[i].name);
        if (!strstr(list, word))
            continue;
        chosen[n] = arrays[i];
        chosen[n++].dtype = arrays[i].ndim ? dtype : arrays[i].dtype;
    }
    const char *dir = make_dir("source");
    write_safetensors("source/sae_weights.safetensors", chosen, n);
    write_text("source/cfg.json", cfg);
    struct sae *sae = sae_open(dir, NULL, NULL, &err);
    if (!sae)
        fail_msg("%s: %s", cfg, err.msg);
    return sae;
}

static void remove_out(const char *name)
{
    nftw(test_path(name), remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* All entries of the test's directory but the sources. */
static int leftovers(void)
{
    DIR *dir = opendir(test_dir());
    int n = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, "source");
    closedir(dir);
    return n;
}

/* --- the same again --- */

#define BASE "W_enc W_dec b_dec "
#define V6(rest) "{\"metadata\":{\"hook_name\":\"blocks.1.hook_resid_pre\"},\"architecture\":" rest "}"

static const struct source_case {
    const char *cfg, *names;
    const char *saelens, *jumprelu; /* its architecture then, NULL: refused */
    const char *scaler;
} sources[] = {
    {V6("\"standard\""), BASE "b_enc", "standard", "jumprelu", NULL},
    {V6("\"standard\",\"apply_b_dec_to_input\":false,\"normalize_activations\":"
        "\"constant_norm_rescale\""), BASE "b_enc", "standard", "jumprelu", NULL},
    {V6("\"standard\",\"normalize_activations\":\"expected_average_only_in\""), BASE "b_enc",
     "standard", "jumprelu", NULL},
    {V6("\"standard\",\"normalize_activations\":\"expected_average_only_in\""), BASE "b_enc",
     "standard", "jumprelu", "{\"scaling_factor\": 0.1234567}"},
    {V6("\"standard\",\"finetuning_scaling_factor\":true"), BASE "b_enc scaling_factor",
     "standard", "jumprelu", NULL},
    {V6("\"prolu\""), BASE "b_enc", "prolu", "jumprelu", NULL},
    {V6("\"jumprelu\""), BASE "b_enc threshold", "jumprelu", "jumprelu", NULL},
    {V6("\"jumprelu\""), BASE "b_enc log_threshold", "jumprelu", "jumprelu", NULL},
    {V6("\"gated\""), BASE "b_gate b_mag r_mag", "gated", NULL, NULL},
    {V6("\"topk\",\"k\":3,\"normalize_activations\":\"layer_norm\""), BASE "b_enc", "topk",
     NULL, NULL},
    {V6("\"topk\",\"k\":3,\"rescale_acts_by_decoder_norm\":true"), BASE "b_enc", "topk", NULL,
     NULL},
    {V6("\"abstopk\",\"k\":3"), BASE "b_enc", "abstopk", NULL, NULL},
    {V6("\"abstopk\",\"k\":3,\"rescale_acts_by_decoder_norm\":true"), BASE "b_enc", "abstopk",
     NULL, NULL},
    {V6("\"batchtopk\",\"k\":3,\"rescale_acts_by_decoder_norm\":false"),
     BASE "b_enc topk_threshold", "jumprelu", "jumprelu", NULL},
    {V6("\"batchtopk\",\"k\":3"), BASE "b_enc topk_threshold", "batchtopk", NULL, NULL},
    {V6("\"matryoshka_batchtopk\",\"k\":3"), BASE "b_enc topk_threshold",
     "matryoshka_batchtopk", NULL, NULL},
};

static void assert_vector(const char *what, const float *a, const float *b, int64_t n)
{
    if (!a != !b || (a && memcmp(a, b, (size_t)n * sizeof *a) != 0))
        fail_msg("%s differs", what);
}

static void assert_matrix(const struct mat *a, const struct mat *b)
{
    unsigned char x[F * 8], y[F * 8];
    assert_int_equal(a->t->dtype, b->t->dtype);
    assert_int_equal(a->rows, b->rows);
    for (int64_t i = 0; i < a->rows; i++) {
        size_t n = (size_t)(a->cols * dtype_info[a->t->dtype].size);
        mat_copy_rows(a, i, 1, x);
        mat_copy_rows(b, i, 1, y);
        assert_memory_equal(x, y, n);
    }
}

/* A JumpReLU of a ProLU has other parameters; activations are compared instead. */
static void assert_same(const struct sae *a, const struct sae *b, bool prolu)
{
    assert_matrix(&a->W_enc, &b->W_enc);
    assert_matrix(&a->W_dec, &b->W_dec);
    assert_vector("b_dec", a->b_dec, b->b_dec, D);
    assert_vector("b_in", a->b_in, b->b_in, D);
    assert_vector("b_gate", a->b_gate, b->b_gate, F);
    assert_vector("b_mag", a->b_mag, b->b_mag, F);
    assert_vector("r_mag", a->r_mag, b->r_mag, F);
    assert_vector("act_scale", a->act_scale, b->act_scale, F);
    assert_vector("out_scale", a->out_scale, b->out_scale, F);
    if (!prolu)
        assert_vector("b_enc", a->b_enc, b->b_enc, F);
    if (a->threshold)
        assert_vector("threshold", a->threshold, b->threshold, F);
    assert_int_equal(a->norm, b->norm);
    assert_true(a->norm_factor == b->norm_factor && a->needs_factor == b->needs_factor);
    assert_string_equal(a->hook, b->hook);
    if (a->arch->selects)
        assert_int_equal(a->k, b->k);
    static const float m[] = {-3, -0.75f, -0.0f, 0, 1e-30f, 0.015625f, 0.5f, 1, 1.984375f, 3};
    for (int64_t j = 0; j < F; j++)
        for (size_t i = 0; i < sizeof m / sizeof *m; i++) {
            float x = a->arch->activate(a, j, m[i]), y = b->arch->activate(b, j, m[i]);
            if (x != y && !(isnan(x) && isnan(y)))
                fail_msg("feature %lld at %g: %g, expected %g", (long long)j, m[i], y, x);
        }
}

static void convert_and_compare(const struct source_case *s, const struct sae *source,
                                struct convert_options options)
{
    struct converted done = {0};
    struct err err = {0};
    const char *expected = options.to == CONVERT_JUMPRELU ? s->jumprelu : s->saelens;
    if (!convert_sae(source, test_path("out"), &options, NULL, &done, &err))
        fail_msg("%s to %d: %s", s->cfg, options.to, err.msg);
    assert_string_equal(done.architecture, expected);
    assert_int_equal(leftovers(), 1);
    struct sae *back = sae_open(test_path("out"), NULL, NULL, &err);
    if (!back)
        fail_msg("%s to %d: %s", s->cfg, options.to, err.msg);
    assert_string_equal(back->format, options.to == CONVERT_NPY ? "npy" : "saelens");
    assert_int_equal(json_array_size(back->ignored), 0);
    assert_same(source, back, strcmp(source->arch->name, "prolu") == 0);
    sae_close(back);

    struct err again = {0};
    struct converted none = {0};
    assert_false(convert_sae(source, test_path("out"), &options, NULL, &none, &again));
    char says[400];
    snprintf(says, sizeof says, "%s/out: is there already (found a directory, expected a name "
             "that is free)", test_dir());
    assert_string_equal(again.msg, says);
    assert_int_equal(leftovers(), 1);
    converted_finish(&done);
    remove_out("out");
}

static void every_architecture_in_every_form(void **state)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F64, DTYPE_F16, DTYPE_BF16};
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        for (int d = 0; d < 4; d++) {
            const struct source_case *s = &sources[i];
            make_dir("source");
            unlink(test_path("source/activation_scaler.json"));
            if (s->scaler)
                write_text("source/activation_scaler.json", s->scaler);
            struct sae *source = open_source(s->cfg, s->names, dtypes[d]);
            convert_and_compare(s, source, (struct convert_options){.to = CONVERT_SAELENS});
            convert_and_compare(s, source, (struct convert_options){.to = CONVERT_NPY});
            convert_and_compare(s, source,
                                (struct convert_options){.to = CONVERT_NPY, .zstd = true});
            if (s->jumprelu)
                convert_and_compare(s, source,
                                    (struct convert_options){.to = CONVERT_JUMPRELU});
            sae_close(source);
        }
    unlink(test_path("source/activation_scaler.json"));
}

/* The stored elements themselves, as another program would read them. */
static void the_file_holds_what_its_source_holds(void **state)
{
    (void)state;
    struct converted done = {0};
    struct convert_options options = {.to = CONVERT_SAELENS};
    struct sae *source = open_source(V6("\"standard\""), BASE "b_enc", DTYPE_F64);
    assert_true(convert_sae(source, test_path("out"), &options, NULL, &done, NULL));
    assert_int_equal(done.dtype, DTYPE_F64);
    assert_int_equal(done.n_files, 2);
    struct container *a = container_open(test_path("source/sae_weights.safetensors"), NULL, NULL);
    struct container *b = container_open(test_path("out/sae_weights.safetensors"), NULL, NULL);
    static const char *const names[] = {"W_enc", "W_dec", "b_enc", "b_dec"};
    for (int i = 0; i < 4; i++) {
        const struct tensor *x = container_find(a, names[i]), *y = container_find(b, names[i]);
        assert_int_equal(y->dtype, DTYPE_F64);
        assert_int_equal(tensor_count(x), tensor_count(y));
        assert_int_equal((uintptr_t)y->data % 8, 0);
        assert_memory_equal(x->data, y->data, (size_t)tensor_count(x) * 8);
    }
    container_close(a);
    container_close(b);
    sae_close(source);
    converted_finish(&done);
    remove_out("out");
}

static void prolu_becomes_a_threshold_without_a_bias(void **state)
{
    (void)state;
    struct converted done = {0};
    struct convert_options options = {.to = CONVERT_JUMPRELU};
    struct sae *source = open_source(V6("\"prolu\""), BASE "b_enc", DTYPE_F32);
    assert_true(convert_sae(source, test_path("out"), &options, NULL, &done, NULL));
    struct sae *back = sae_open(test_path("out"), NULL, NULL, NULL);
    assert_string_equal(back->arch->name, "jumprelu");
    for (int j = 0; j < F; j++) {
        assert_true(back->b_enc[j] == 0);
        assert_true(back->threshold[j] == (b_enc[j] < 0 ? -b_enc[j] : 0));
    }
    sae_close(back);
    sae_close(source);
    converted_finish(&done);
    remove_out("out");
}

/* --- refusals --- */

static void what_cannot_be_said_is_refused_by_name(void **state)
{
    static const struct {
        const char *cfg, *names;
        enum convert_to to;
        const char *says;
    } cases[] = {
        {V6("\"gated\""), BASE "b_gate b_mag r_mag", CONVERT_JUMPRELU,
         "no JumpReLU does the same (found gated, expected prolu, standard, jumprelu or "
         "batchtopk)"},
        {V6("\"topk\",\"k\":3"), BASE "b_enc", CONVERT_JUMPRELU,
         "no JumpReLU does the same (found topk, expected prolu, standard, jumprelu or "
         "batchtopk)"},
        {V6("\"batchtopk\",\"k\":3"), BASE "b_enc topk_threshold", CONVERT_JUMPRELU,
         "decoder norms are part of its activations (found jumprelu, expected topk; --to npy "
         "can say it, or --fold-decoder-norms off)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        struct converted done = {0};
        struct convert_options options = {.to = cases[i].to};
        struct sae *source = open_source(cases[i].cfg, cases[i].names, DTYPE_F32);
        char says[500];
        snprintf(says, sizeof says, "%s/source: cannot be converted: %s", test_dir(),
                 cases[i].says);
        assert_false(convert_sae(source, test_path("out"), &options, NULL, &done, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        assert_string_equal(err.msg, says);
        assert_int_equal(leftovers(), 0);
        sae_close(source);
    }
}

/* AutoEncoderNew reports f times the decoder's norm: an npy directory can say so. */
static void norms_that_belong_to_the_activations(void **state)
{
    static const struct array tensors[] = {
        {"encoder.weight", DTYPE_F32, 2, {F, D}, W_dec},
        {"decoder.weight", DTYPE_F32, 2, {D, F}, W_enc},
        {"encoder.bias", DTYPE_F32, 1, {F}, b_enc},
        {"decoder.bias", DTYPE_F32, 1, {D}, b_dec},
    };
    (void)state;
    W_enc[77] = 1;
    make_dir("source");
    write_text("source/config.json", "{\"trainer\":{\"dict_class\":\"AutoEncoderNew\"}}");
    const char *path = write_pt("source/ae.pt", tensors, 4, NULL, NULL, NULL);
    struct sae_options off = {.fold = -1};
    struct convert_options saelens = {.to = CONVERT_SAELENS}, npy = {.to = CONVERT_NPY};
    struct converted done = {0};
    struct err err = {0};

    struct sae *source = sae_open(path, NULL, NULL, &err);
    assert_non_null(source);
    assert_false(convert_sae(source, test_path("out"), &saelens, NULL, &done, &err));
    assert_non_null(strstr(err.msg, "decoder norms are part of its activations (found "
                                    "standard"));
    assert_true(convert_sae(source, test_path("out"), &npy, NULL, &done, &err));
    struct sae *back = sae_open(test_path("out"), NULL, NULL, NULL);
    assert_vector("act_scale", source->act_scale, back->act_scale, F);
    assert_vector("out_scale", source->out_scale, back->out_scale, F);
    assert_matrix(&source->W_enc, &back->W_enc);
    sae_close(back);
    sae_close(source);
    converted_finish(&done);
    remove_out("out");

    source = sae_open(path, &off, NULL, &err);
    assert_null(source->act_scale);
    assert_true(convert_sae(source, test_path("out"), &saelens, NULL, &done, &err));
    sae_close(source);
    converted_finish(&done);
    remove_out("out");
}

static bool stop_while_writing(void *ctx, const char *what, int64_t done, int64_t of)
{
    (void)ctx, (void)done, (void)of;
    return strcmp(what, "writing") != 0;
}

static void giving_up_leaves_nothing(void **state)
{
    (void)state;
    struct progress stop = {stop_while_writing, NULL};
    struct converted done = {0};
    struct sae *source = open_source(V6("\"standard\""), BASE "b_enc", DTYPE_F32);
    for (int zstd = 0; zstd < 3; zstd++) {
        struct err err = {0};
        struct convert_options options = {zstd ? CONVERT_NPY : CONVERT_SAELENS, zstd == 2};
        assert_false(convert_sae(source, test_path("out"), &options, &stop, &done, &err));
        assert_int_equal(err.code, ERR_CANCELLED);
        assert_int_equal(leftovers(), 0);
    }
    struct err err = {0};
    struct convert_options options = {.to = CONVERT_NPY};
    assert_false(convert_sae(source, test_path("no/out"), &options, NULL, &done, &err));
    assert_int_equal(err.code, ERR_OS);
    sae_close(source);
}

/* --- the checkpoints beside the source tree --- */

static void every_fixture(void **state)
{
    (void)state;
    if (!fixtures())
        skip();
    char *dir = xasprintf("%s/A/sae", fixtures());
    DIR *entries = opendir(dir);
    int n = 0;
    for (struct dirent *e; (e = readdir(entries)) != NULL;) {
        char *path = xasprintf("%s/%s", dir, e->d_name);
        struct sae *source = e->d_name[0] == '.' ? NULL : sae_open(path, NULL, NULL, NULL);
        for (int form = 0; source && form < 3; form++) {
            struct convert_options options = {form ? CONVERT_NPY : CONVERT_SAELENS, form == 2};
            struct converted done = {0};
            struct err err = {0};
            if (!convert_sae(source, test_path("out"), &options, NULL, &done, &err))
                fail_msg("%s", err.msg);
            struct sae *back = sae_open(test_path("out"), NULL, NULL, &err);
            if (!back)
                fail_msg("%s", err.msg);
            assert_int_equal(sae_id(source), sae_id(back));
            assert_vector("b_enc", source->b_enc, back->b_enc, source->d_sae);
            sae_close(back);
            converted_finish(&done);
            remove_out("out");
            n++;
        }
        sae_close(source);
        free(path);
    }
    closedir(entries);
    free(dir);
    assert_true(n >= 3 * 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture_in_every_form),
        cmocka_unit_test(the_file_holds_what_its_source_holds),
        cmocka_unit_test(prolu_becomes_a_threshold_without_a_bias),
        cmocka_unit_test(what_cannot_be_said_is_refused_by_name),
        cmocka_unit_test(norms_that_belong_to_the_activations),
        cmocka_unit_test(giving_up_leaves_nothing),
        cmocka_unit_test(every_fixture),
    };
    return cmocka_run_group_tests(tests, setup, test_dir_remove);
}
