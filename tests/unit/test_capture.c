/* test_capture.c - rows and samples of a text against the encoder and the model run by hand;
 * going on after a cancellation gives the same bytes; what is refused leaves nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/fs.h"
#include "io/mem.h"
#include "model/bundle.h"
#include "model/capture.h"
#include "model/samples.h"
#include "files.h"

#define T 32
#define D 16
#define HOOK "blocks.1.hook_resid_pre"

static struct lm *lm;
static struct token_encoder *te;
static struct token_ids ids; /* of the whole text */

/* Letters, spaces and newlines: ids 0 to 27; <s> is 28, and goes in front. */
static void put_tokenizer(void)
{
    struct bytes b = {0};
    put_text(&b, "{\"added_tokens\": [{\"id\": 28, \"content\": \"<s>\", \"special\": true}],"
                 "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{"
                 "\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}],"
                 "\"special_tokens\": {\"<s>\": {\"ids\": [28]}}},"
                 "\"model\": {\"type\": \"BPE\", \"merges\": [], \"vocab\": {\" \": 0, \"\\n\": 1");
    for (int i = 0; i < 26; i++) {
        char one[16];
        snprintf(one, sizeof one, ",\"%c\":%d", 'a' + i, i + 2);
        put_text(&b, one);
    }
    put_text(&b, "}}}");
    write_bytes("tokenizer.json", b.p, b.n);
    bytes_free(&b);
}

static int set_up(void **state)
{
    (void)state;
    char path[512], text[3000];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/lm/gpt2", getenv("TEST_REF"));
    lm = lm_open(path, NULL, &err);
    if (!lm || chdir(test_dir()) != 0)
        return -1;
    put_tokenizer();
    te = token_encoder_open("tokenizer.json", &err);
    uint64_t seed = 3;
    for (size_t i = 0; i < sizeof text; i++) {
        uint64_t r = next_random(&seed) % 40;
        text[i] = r < 26 ? (char)('a' + r) : r < 38 ? ' ' : '\n';
    }
    write_bytes("text", text, sizeof text);
    return te && token_encoder_run(te, text, sizeof text, 0, &ids, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    free(ids.id);
    token_encoder_close(te);
    lm_close(lm);
    return test_dir_remove(state);
}

static struct capture_options options_to(const char *out)
{
    struct capture_options o = {.text = "text", .out = out,
                                .hook_name = HOOK, .seq_len = T, .dtype = DTYPE_F32,
                                .threads = 2};
    assert_true(lm_hook_parse(lm, HOOK, &o.hook, NULL));
    return o;
}

static struct page_capture capture(const struct capture_options *o)
{
    struct page_capture page;
    struct err err = {0};
    int64_t kept;
    if (!capture_run(lm, te, o, NULL, &page, &kept, &err))
        fail_msg("%s", err.msg);
    return page;
}

static void refused(const struct capture_options *o, enum err_code code, const char *says)
{
    struct page_capture page;
    struct err err = {0};
    int64_t kept;
    assert_false(capture_run(lm, te, o, NULL, &page, &kept, &err));
    if (err.code != code || !strstr(err.msg, says))
        fail_msg("code %d: %s", err.code, err.msg);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The bundle's rows are the text's tokens, <s> in front of each, and its samples what the
 * model gives for them. */
static void check_bundle(const char *out, int64_t rows, double near)
{
    struct bundle b = {0};
    struct err err = {0};
    static float x[T * D], rest[T * D], got[T * D];
    if (!bundle_open(&b, out, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(b.hook, HOOK);
    assert_non_null(b.tokenizer);
    struct samples_options so = {.acts = (const char *const *)b.acts, .n_acts = b.n_acts,
                                 .tokens = b.tokens};
    struct samples *s = samples_open(&so, NULL, &err);
    if (!s)
        fail_msg("%s", err.msg);
    assert_int_equal(s->n_seq, rows);
    assert_int_equal(s->seq_len, T);
    assert_int_equal(s->d_in, D);
    struct lm_hook hook;
    struct lm_work work = {0};
    struct lm_run *run = lm_run_new(lm, T, &work, &err);
    assert_true(lm_hook_parse(lm, HOOK, &hook, &err));
    for (int64_t r = 0; r < rows; r++) {
        int64_t row[T];
        samples_ids(s, r * T, T, row);
        assert_int_equal(row[0], 28);
        for (int p = 1; p < T; p++)
            assert_int_equal(row[p], ids.id[r * (T - 1) + p - 1]);
        assert_true(lm_run_to(run, row, T, &hook, x, rest, &err));
        assert_true(samples_read(s, r * T, T, got, &err));
        for (int i = 0; i < T * D; i++)
            assert_true(fabs((double)got[i] - (double)x[i]) <= near * fabs((double)x[i]));
    }
    lm_run_free(run);
    samples_close(s);
    bundle_finish(&b);
}

static void what_is_captured(void **state)
{
    (void)state;
    int64_t rows = (int64_t)ids.n / (T - 1);
    struct capture_options o = options_to("f32");
    struct page_capture page = capture(&o);
    assert_int_equal(page.rows, rows);
    assert_int_equal(page.tokens, rows * T);
    assert_int_equal(page.dropped, (int64_t)ids.n - rows * (T - 1));
    assert_int_equal(page.resumed, 0);
    check_bundle("f32", rows, 0);
    o = options_to("f16");
    o.dtype = DTYPE_F16;
    o.threads = 1;
    capture(&o);
    check_bundle("f16", rows, 0x1p-11 * 1.001); /* half a unit of the last place */
    o = options_to("packed");
    o.zstd = true;
    capture(&o);
    check_bundle("packed", rows, 0);
    o = options_to("few");
    o.tokens_limit = 3 * T + 5;
    assert_int_equal(capture(&o).rows, 3);
    check_bundle("few", 3, 0);
    assert_false(is_there("f32.partial") || is_there("packed.partial"));
    assert_false(is_there("f32/capture.json"));
}

static void without_anything_in_front(void **state)
{
    (void)state;
    struct capture_options o = options_to("bare");
    o.bos = PROMPT_BOS_NO;
    assert_int_equal(capture(&o).rows, (int64_t)ids.n / T);
}

/* --- stopping and going on ---------------------------------------------------------------- */

struct stop {
    int64_t after; /* tokens of the model; -1: while the text is read */
};

static bool stop_step(void *ctx, const char *what, int64_t done, int64_t of)
{
    const struct stop *s = ctx;
    (void)of;
    if (s->after < 0)
        return strcmp(what, "reading the text") != 0;
    return strcmp(what, "tokens") != 0 || done < s->after;
}

static void same_bytes(const char *a, const char *b)
{
    size_t n, m;
    char *x = fs_read_file(a, 1 << 24, &n, NULL), *y = fs_read_file(b, 1 << 24, &m, NULL);
    assert_true(x && y);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void going_on_gives_the_same(void **state)
{
    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        const char *whole = zstd ? "whole-z" : "whole", *parts = zstd ? "parts-z" : "parts";
        struct capture_options o = options_to(whole);
        o.zstd = zstd;
        o.dtype = DTYPE_F16;
        capture(&o);
        o.out = parts;
        int64_t before = 0;
        for (int round = 1; round < 4; round++) {
            struct stop stop = {.after = 20 * T};
            struct progress progress = {stop_step, &stop};
            struct page_capture page;
            struct err err = {0};
            int64_t kept = 0;
            assert_false(capture_run(lm, te, &o, &progress, &page, &kept, &err));
            assert_int_equal(err.code, ERR_CANCELLED);
            assert_true(kept > before);
            assert_false(is_there(parts));
            before = kept;
        }
        struct page_capture page = capture(&o);
        assert_int_equal(page.resumed, before);
        char a[64], b[64];
        static const char *const files[] = {"tokens.npy", "acts.npy", "tokenizer.json"};
        for (int i = 0; i < 3; i++) {
            bool packed = zstd && i == 1; /* frames are cut elsewhere: compared unpacked */
            snprintf(a, sizeof a, "%s/%s", whole, files[i]);
            snprintf(b, sizeof b, "%s/%s", parts, files[i]);
            if (!packed)
                same_bytes(a, b);
        }
        check_bundle(parts, page.rows, 0x1p-11 * 1.001);
    }
}

static void stopped_before_there_is_a_row(void **state)
{
    (void)state;
    struct capture_options o = options_to("none");
    for (int64_t after = -1; after < 2; after += 2) {
        struct stop stop = {.after = after};
        struct progress progress = {stop_step, &stop};
        struct page_capture page;
        struct err err = {0};
        int64_t kept = 7;
        assert_false(capture_run(lm, te, &o, &progress, &page, &kept, &err));
        assert_int_equal(err.code, ERR_CANCELLED);
        assert_int_equal(kept, 0);
        assert_false(is_there("none") || is_there("none.partial"));
    }
}

/* A program that is killed leaves a note of how far it was, and perhaps bytes behind that. */
static void after_a_kill(void **state)
{
    (void)state;
    struct capture_options o = options_to("killed");
    struct stop stop = {.after = 30 * T};
    struct progress progress = {stop_step, &stop};
    struct page_capture page;
    int64_t kept = 0;
    assert_false(capture_run(lm, te, &o, &progress, &page, &kept, NULL));
    FILE *f = fopen("killed.partial/acts.npy", "ab");
    fputs("half a row", f);
    fclose(f);
    /* meanwhile another may not take it */
    struct capture_options other = o;
    other.dtype = DTYPE_F16;
    refused(&other, ERR_FORMAT, "left by another capture");
    write_bytes("killed.partial/bundle.json", "{", 1); /* written at the very end */
    page = capture(&o);
    assert_int_equal(page.resumed, kept);
    check_bundle("killed", page.rows, 0);
    /* a note that says more than there is */
    o.out = "short";
    assert_false(capture_run(lm, te, &o, &progress, &page, &kept, NULL));
    assert_int_equal(truncate("short.partial/acts.npy", 200), 0);
    page = capture(&o);
    assert_int_equal(page.resumed, 0);
    check_bundle("short", page.rows, 0);
    /* a note that is broken */
    o.out = "broken";
    assert_false(capture_run(lm, te, &o, &progress, &page, &kept, NULL));
    write_bytes("broken.partial/capture.json", "{\"inputs\"", 9);
    refused(&o, ERR_FORMAT, "left by another capture");
    assert_true(is_there("broken.partial/acts.npy"));
}

static void what_is_refused(void **state)
{
    (void)state;
    struct capture_options o = options_to("there");
    mkdir("there", 0700);
    refused(&o, ERR_FORMAT, "there: is there already");
    o = options_to("no-such-dir/x");
    refused(&o, ERR_OS, "cannot make");
    o = options_to("x");
    o.text = "no-such-text";
    refused(&o, ERR_OS, "no-such-text");
    o.text = "there";
    refused(&o, ERR_FORMAT, "there");
    write_bytes("tiny", "abc", 3);
    o.text = "tiny";
    refused(&o, ERR_RANGE, "tiny: too short for one row (found 4 tokens");
    write_bytes("empty", "", 0);
    o.text = "empty";
    refused(&o, ERR_RANGE, "empty: too short");
    o = options_to("x");
    o.seq_len = 1;
    refused(&o, ERR_RANGE, "--seq-len: no room");
    o.seq_len = lm_context(lm) + 1;
    refused(&o, ERR_RANGE, "longer than the context");
    assert_false(is_there("x") || is_there("x.partial"));
}

/* A vocab.json takes its merges along. */
static void vocab_and_merges(void **state)
{
    (void)state;
    static const char vocab[] = "{\"a\": 0, \"b\": 1, \"\u0120\": 2, \"ab\": 3, \"\u010a\": 4}";
    struct err err = {0};
    write_bytes("vocab.json", vocab, sizeof vocab - 1);
    write_bytes("merges.txt", "#version: 0.2\na b\n", 18);
    char text[400];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "ab ba"[i % 5];
    write_bytes("abs", text, sizeof text);
    struct token_encoder *own = token_encoder_open("vocab.json", &err), *was = te;
    assert_non_null(own);
    struct capture_options o = options_to("gpt2");
    o.text = "abs";
    te = own;
    capture(&o);
    te = was;
    token_encoder_close(own);
    own = token_encoder_open("gpt2/vocab.json", &err);
    assert_non_null(own);
    token_encoder_close(own);
}

/* A text of one line that is longer than what is read at once, and one without a space. */
static void long_lines(void **state)
{
    (void)state;
    size_t n = (size_t)5 << 20;
    char *text = xmalloc(n);
    for (int spaces = 0; spaces < 2; spaces++) {
        memset(text, 'a', n);
        for (size_t i = 7; spaces && i < n; i += 11)
            text[i] = ' ';
        write_bytes("long", text, n);
        struct capture_options o = options_to(spaces ? "long-1" : "long-0");
        o.text = "long";
        o.tokens_limit = 4 * T;
        assert_int_equal(capture(&o).rows, 4);
        /* all of it: only counted, for running it would take its time */
        struct stop stop = {.after = 1};
        struct progress progress = {stop_step, &stop};
        struct page_capture page;
        struct err err = {0};
        int64_t kept;
        o.tokens_limit = 0;
        o.out = "long-all";
        assert_false(capture_run(lm, te, &o, &progress, &page, &kept, &err));
        assert_int_equal(err.code, ERR_CANCELLED);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_captured),
        cmocka_unit_test(without_anything_in_front),
        cmocka_unit_test(going_on_gives_the_same),
        cmocka_unit_test(stopped_before_there_is_a_row),
        cmocka_unit_test(after_a_kill),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(vocab_and_merges),
        cmocka_unit_test(long_lines),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
