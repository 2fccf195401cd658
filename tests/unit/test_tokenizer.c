/*
 * test_tokenizer.c - decoding: small vocabularies of each kind, the reference cases of three
 * real ones where they are at hand ($SHARED_FIXTURES), refusals, and mutated files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/json.h"
#include "io/mem.h"
#include "io/tokenizer.h"

#define FFFD "\xef\xbf\xbd"

/* A byte-level vocabulary: "A", space + "the", newline, the halves of U+00E9 (C3 A9), and
 * added tokens, one of them over a vocabulary entry and one behind a hole. */
static const char byte_level[] =
    "{\"version\": \"1.0\", \"added_tokens\": ["
    "{\"id\": 6, \"content\": \"<|end|>\", \"special\": true},"
    "{\"id\": 9, \"content\": \"\u0120x y\", \"special\": false}],"
    "\"decoder\": {\"type\": \"ByteLevel\"},"
    "\"model\": {\"type\": \"BPE\", \"merges\": [\"a b\", [\"c\", \"d\"]], \"vocab\": {"
    "\"A\": 0, \"\u0120the\": 1, \"\\u010a\": 2, \"\u00c3\": 3, \"\u00a9\": 4, \"\u4e16\": 5,"
    "\"over\": 6, \"\u0143\": 7}}}";

/* Byte-fallback with Llama 2's decoder. */
static const char llama[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true}],"
    "\"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"vocab\": {\"<s>\": 0,"
    "\"\u2581the\": 1, \"cat\": 2, \"<0xC3>\": 3, \"<0xA9>\": 4, \"<0x41>\": 5, \"\u2581\u2581\": 6,"
    "\"<0xc3>\": 7}, \"merges\": []},"
    "\"decoder\": {\"type\": \"Sequence\", \"decoders\": ["
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\u2581\"}, \"content\": \" \"},"
    "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"},"
    "{\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}}";

static struct tokenizer *open_text(const char *text, size_t n, struct err *err)
{
    char path[] = "tokenizer_test_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
    struct tokenizer *tk = tokenizer_open(path, err);
    unlink(path);
    return tk;
}

static struct tokenizer *open_good(const char *text)
{
    struct err err = {0};
    struct tokenizer *tk = open_text(text, strlen(text), &err);
    if (!tk)
        fail_msg("%s", err.msg);
    return tk;
}

static void bytes_are(const struct tokenizer *tk, int64_t id, const char *want)
{
    size_t len;
    const char *got = tokenizer_bytes(tk, id, &len);
    if (!want) {
        assert_null(got);
        assert_int_equal(len, 0);
        return;
    }
    assert_non_null(got);
    assert_string_equal(got, want);
    assert_int_equal(len, strlen(want));
}

static void decodes_to(const struct tokenizer *tk, const int32_t *ids, size_t n,
                       const char *want_bytes, const char *want_text)
{
    struct str bytes = {0}, text = {0};
    tokenizer_decode_bytes(tk, ids, n, &bytes);
    tokenizer_decode_text(tk, ids, n, &text);
    assert_string_equal(str_text(&bytes), want_bytes);
    assert_string_equal(str_text(&text), want_text);
    str_finish(&bytes);
    str_finish(&text);
}
#define IDS(...) (int32_t[]){__VA_ARGS__}, sizeof (int32_t[]){__VA_ARGS__} / sizeof(int32_t)

static void byte_level_tokens(void **state)
{
    (void)state;
    struct tokenizer *tk = open_good(byte_level);
    assert_int_equal(tokenizer_count(tk), 10);
    static const char *const want[] = {
        "A", " the", "\n", "\xc3", "\xa9", "\u4e16", "<|end|>", "\xad", NULL, "\u0120x y"};
    for (int64_t id = 0; id < 10; id++)
        bytes_are(tk, id, want[id]);
    bytes_are(tk, -1, NULL);
    bytes_are(tk, 10, NULL);
    bytes_are(tk, INT64_MAX, NULL);
    assert_true(tokenizer_is_special(tk, 6));
    assert_false(tokenizer_is_special(tk, 9));
    assert_false(tokenizer_is_special(tk, -1));
    decodes_to(tk, IDS(1, 3, 4, 2), " the\u00e9\n", " the\u00e9\n");
    decodes_to(tk, IDS(3, 0, 4, 4), "\xc3" "A\xa9\xa9", FFFD "A" FFFD FFFD);
    decodes_to(tk, IDS(6, 8, 99), "<|end|><8><99>", "<|end|><8><99>");
    tokenizer_close(tk);
}

/* All 256 bytes have a character, and it is that of GPT-2's table: the decoded vocabulary
 * of the 256 characters is a permutation of the bytes, identity on printable Latin-1. */
static void byte_table_is_gpt2s(void **state)
{
    (void)state;
    struct str json = {0};
    str_puts(&json, "{\"\u0120\": 0");
    uint32_t next = 0x100;
    uint32_t of_byte[256];
    for (int b = 0; b < 256; b++) {
        bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        of_byte[b] = printable ? (uint32_t)b : next++;
        str_appendf(&json, ", \"\\u%04x\": %d", (unsigned)of_byte[b], b + 1);
    }
    str_puts(&json, "}");
    struct tokenizer *tk = open_good(str_text(&json));
    for (int b = 0; b < 256; b++) {
        size_t len;
        const char *got = tokenizer_bytes(tk, b + 1, &len);
        assert_int_equal(len, 1);
        assert_int_equal((unsigned char)got[0], b);
    }
    bytes_are(tk, 0, " ");
    tokenizer_close(tk);
    str_finish(&json);
}

static void byte_fallback_tokens(void **state)
{
    (void)state;
    struct tokenizer *tk = open_good(llama);
    bytes_are(tk, 1, " the");
    bytes_are(tk, 6, "  ");
    bytes_are(tk, 3, "\xc3");
    bytes_are(tk, 7, "<0xc3>"); /* the digits are upper case */
    decodes_to(tk, IDS(1, 2), " thecat", "thecat");
    decodes_to(tk, IDS(6, 2), "  cat", " cat"); /* one space is stripped, not two */
    decodes_to(tk, IDS(0, 1), "<s> the", "<s> the");
    decodes_to(tk, IDS(3, 4, 5), "\u00e9A", "\u00e9A");
    /* A run that is not valid as a whole: one U+FFFD a byte, the good ones too. */
    decodes_to(tk, IDS(3, 4, 3, 5, 2), "\u00e9\xc3" "Acat", FFFD FFFD FFFD FFFD "cat");
    decodes_to(tk, IDS(3, 2, 4), "\xc3" "cat\xa9", FFFD "cat" FFFD);
    tokenizer_close(tk);
}

static void plain_vocabularies(void **state)
{
    (void)state;
    struct tokenizer *tk = open_good("[\"a\", \"\u0120b\", \"<0x0A>\", \"\\u0000\"]");
    bytes_are(tk, 1, "\u0120b");
    bytes_are(tk, 2, "<0x0A>");
    size_t len;
    assert_non_null(tokenizer_bytes(tk, 3, &len));
    assert_int_equal(len, 1);
    tokenizer_close(tk);

    tk = open_good("{\"a\": 0, \"\u0120b\": 3, \"<|endoftext|>\": 2}");
    bytes_are(tk, 3, " b");
    bytes_are(tk, 2, "<|endoftext|>");
    bytes_are(tk, 1, NULL);
    tokenizer_close(tk);

    tk = open_good("{\"model\": 0, \"\u2581b\": 1, \"<0x0A>\": 2}");
    bytes_are(tk, 0, "model");
    bytes_are(tk, 1, " b");
    bytes_are(tk, 2, "\n");
    tokenizer_close(tk);

    tk = open_good("{\"a b\": 0, \"\u00e9\": 1}"); /* a raw space: no byte-level file */
    bytes_are(tk, 0, "a b");
    bytes_are(tk, 1, "\u00e9");
    tokenizer_close(tk);
}

/* Without a decoder: the pre-tokeniser, else byte_fallback, says what it is. */
static void other_decoders(void **state)
{
    (void)state;
    struct tokenizer *tk = open_good(
        "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\"},"
        "{\"type\": \"ByteLevel\"}]}, \"decoder\": null,"
        "\"model\": {\"vocab\": {\"\u0120b\": 0}, \"merges\": []}}");
    bytes_are(tk, 0, " b");
    tokenizer_close(tk);
    tk = open_good("{\"model\": {\"byte_fallback\": true, \"vocab\": {\"\u2581b\": 0}}}");
    bytes_are(tk, 0, " b");
    tokenizer_close(tk);
    tk = open_good("{\"decoder\": {\"type\": \"Metaspace\", \"replacement\": \"\u2581\","
                   "\"prepend_scheme\": \"first\"},"
                   "\"model\": {\"type\": \"BPE\", \"vocab\": {\"\u2581b\": 0, \"<0x41>\": 1}}}");
    decodes_to(tk, IDS(0, 0, 1), " b b<0x41>", "b b<0x41>");
    tokenizer_close(tk);
}

/* The texts are those of tokenizers 0.23. */
static void words_and_scored_pieces(void **state)
{
    (void)state;
#define WORDS "\"added_tokens\": [{\"id\": 0, \"content\": \"[SEP]\", \"special\": true}]," \
    "\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"##\", \"vocab\": {" \
    "\"[SEP]\": 0, \"un\": 1, \"##able\": 2, \".\": 3, \"n't\": 4, \"(\": 5, \"the\": 6}}"
#define SCORED "\"model\": {\"unk_id\": 0, \"vocab\": [[\"<unk>\", 0.0], [\"\\u2581the\", -1.5]," \
    "[\"cat\", -2], [\"<0xC3>\", -3], [\"<0xA9>\", -3, {}]], \"type\": \"Unigram\"}"
    static const struct {
        const char *json;
        int32_t ids[6];
        int n;
        const char *bytes, *text;
    } cases[] = {
        {"{" WORDS ", \"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}}",
         {6, 1, 2, 4, 5, 3}, 6, " the unablen't (.", "the unablen't (."},
        {"{" WORDS ", \"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": false}}",
         {6, 2, 3, 4, 5, 0}, 6, " theable . n't ([SEP]", "theable . n't ( [SEP]"},
        {"{" WORDS "}", {0, 1, 2, 3}, 4, "[SEP] unable .", "[SEP] unable ."},
        {"{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"the\": 0, \"cat\": 1}}}",
         {0, 1, 0}, 3, " the cat the", "the cat the"},
        {"{" SCORED "}", {1, 2, 1, 3}, 4, " thecat the\xc3", " thecat the" FFFD},
        {"{" SCORED ", \"decoder\": {\"type\": \"Metaspace\", \"replacement\": \"\u2581\"}}",
         {1, 2, 1}, 3, " thecat the", "thecat the"},
        {"{" SCORED ", \"decoder\": {\"type\": \"ByteFallback\"}}", {2, 3, 4}, 3,
         "cat\u00e9", "cat\u00e9"},
        {"{\"decoder\": {\"type\": \"BPEDecoder\", \"suffix\": \"</w>\"}, \"model\": {\"vocab\":"
         "{\"un\": 0, \"able</w>\": 1}}}", {0, 1, 0}, 3, "unable un", "unable un"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *tk = open_good(cases[i].json);
        decodes_to(tk, cases[i].ids, (size_t)cases[i].n, cases[i].bytes, cases[i].text);
        tokenizer_close(tk);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        enum err_code code;
    } cases[] = {
        {"", "not JSON", ERR_FORMAT},
        {"7", "not JSON", ERR_FORMAT},
        {"[]", "no tokens", ERR_FORMAT},
        {"{}", "no 'model'", ERR_FORMAT},
        {"[\"a\"] x", "nothing behind the value", ERR_FORMAT},
        {"[1]", "not JSON", ERR_FORMAT},
        {"{\"a\": 1.5}", "expected an integer", ERR_FORMAT},
        {"{\"a\": 0, \"b\": {}}", "expected an integer", ERR_FORMAT},
        {"{\"a\": -1}", "found -1", ERR_RANGE},
        {"{\"a\": 4000000000}", "found 4000000000", ERR_RANGE},
        {"{\"version\": \"1.0\"}", "no 'model'", ERR_FORMAT},
        {"{\"model\": {\"type\": \"Wordy\", \"vocab\": {\"a\": 0}}}", "found Wordy",
         ERR_UNSUPPORTED},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [\"a\"]}}", "not JSON", ERR_FORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[1, \"a\"]]}}", "not JSON", ERR_FORMAT},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -1]", "not JSON", ERR_FORMAT},
        {"{\"model\": {\"type\": \"BPE\"}}", "model.vocab", ERR_FORMAT},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}, \"decoder\": {\"type\": \"CTC\"}}",
         "found CTC", ERR_UNSUPPORTED},
        {"{\"model\": {\"vocab\": {\"a\": 0}}, \"added_tokens\": [{\"id\": 1}]}", "no content",
         ERR_FORMAT},
        {"{\"model\": {\"vocab\": {\"a\": 0}}, \"added_tokens\": [{\"content\": \"x\"}]}",
         "found -1", ERR_RANGE},
        {"{\"model\": {\"vocab\": {\"\\ud800\": 0}}}", "surrogate pair", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        assert_null(open_text(cases[i].text, strlen(cases[i].text), &err));
        if (!strstr(err.msg, cases[i].says) || err.code != cases[i].code)
            fail_msg("%s: code %d: %s", cases[i].text, err.code, err.msg);
        assert_memory_equal(err.msg, "tokenizer_test_", 15);
    }
    assert_null(tokenizer_open("does-not-exist.json", NULL));
}

/* Every truncation and many random changes of the two files: opened or refused with one
 * line, and what opened can be read. Run under the sanitizers this is the safety test. */
static void mutations(void **state)
{
    (void)state;
    static const char bits[] = "{}[],:\"\\u0tfn9<>\xff\x80 -1";
    srand(7);
    for (int round = 0; round < 3000; round++) {
        const char *base = round & 1 ? byte_level : llama;
        size_t n = strlen(base);
        char *text = xstrndup(base, n);
        if (round < 1000)
            n = (size_t)rand() % (n + 1);
        else
            for (int k = 1 + rand() % 4; k > 0; k--)
                text[(size_t)rand() % n] = bits[(size_t)rand() % (sizeof bits - 1)];
        struct err err = {0};
        struct tokenizer *tk = open_text(text, n, &err);
        if (!tk) {
            assert_true(err.code != ERR_NONE && err.msg[0] && !strchr(err.msg, '\n'));
        } else {
            assert_in_range(tokenizer_count(tk), 1, TOKENIZER_MAX_ID);
            struct str out = {0}, copy = {0};
            int32_t ids[] = {0, 3, 5, 1, 4, -7, 6, 7, 9, INT32_MAX};
            tokenizer_decode_text(tk, ids, sizeof ids / sizeof *ids, &out);
            assert_true(str_utf8(&copy, str_text(&out), out.len));
            str_finish(&out);
            str_finish(&copy);
        }
        tokenizer_close(tk);
        free(text);
    }
}

static void reference_cases(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama2", "llama3"};
    const char *fixtures = getenv("SHARED_FIXTURES");
    struct err err = {0};
    char path[4096];
    for (size_t k = 0; k < 3; k++) {
        snprintf(path, sizeof path, "%s/tokenizers/%s/decode_cases.json",
                 fixtures ? fixtures : "", names[k]);
        if (!fixtures || access(path, R_OK) != 0)
            skip();
        json_t *cases = json_load_path(path, JSON_MAX_TEXT, JSON_LAST_WINS, &err), *one;
        snprintf(path, sizeof path, "%s/tokenizers/%s/tokenizer.json", fixtures, names[k]);
        struct tokenizer *tk = tokenizer_open(path, &err);
        if (!cases || !tk)
            fail_msg("%s", err.msg);
        assert_true(json_array_size(cases) >= 100);
        size_t i;
        json_array_foreach(cases, i, one) {
            json_t *list = json_object_get(one, "ids"), *text = json_object_get(one, "text");
            int32_t ids[4096];
            size_t n = json_array_size(list);
            assert_true(n <= 4096);
            for (size_t j = 0; j < n; j++)
                ids[j] = (int32_t)json_integer_value(json_array_get(list, j));
            struct str bytes = {0}, hex = {0}, got = {0};
            tokenizer_decode_bytes(tk, ids, n, &bytes);
            str_hex(&hex, str_text(&bytes), bytes.len);
            tokenizer_decode_text(tk, ids, n, &got);
            if (strcmp(str_text(&hex), json_string_value(json_object_get(one, "hex"))) != 0 ||
                got.len != json_string_length(text) ||
                memcmp(str_text(&got), json_string_value(text), got.len) != 0)
                fail_msg("%s, case %zu: %s | %s", names[k], i, str_text(&hex), str_text(&got));
            str_finish(&bytes);
            str_finish(&hex);
            str_finish(&got);
        }
        tokenizer_close(tk);
        json_decref(cases);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_tokens),
        cmocka_unit_test(byte_table_is_gpt2s),
        cmocka_unit_test(byte_fallback_tokens),
        cmocka_unit_test(plain_vocabularies),
        cmocka_unit_test(other_decoders),
        cmocka_unit_test(words_and_scored_pieces),
        cmocka_unit_test(refusals),
        cmocka_unit_test(mutations),
        cmocka_unit_test(reference_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
