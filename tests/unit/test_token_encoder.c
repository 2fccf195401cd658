/*
 * test_token_encoder.c - text to ids: the small tokenizers of tests/ref/tokenizers, each with
 * one part of what a tokenizer.json can say; three real ones where they are at hand
 * ($SHARED_FIXTURES); BPE against the obvious loop; long words, broken and hostile files.
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
#include "io/token_encoder.h"
#include "io/tokenizer.h"

#include "files.h"

/* Files are named as a user names them: in the working directory. */
static int set_up(void **state)
{
    (void)state;
    return chdir(test_dir());
}

static struct token_encoder *open_bytes(const char *name, const void *bytes, size_t n,
                                        struct err *err)
{
    write_bytes(name, bytes, n);
    return token_encoder_open(name, err);
}

static struct token_encoder *open_tree(const json_t *tree, struct err *err)
{
    char *text = json_dumps(tree, JSON_COMPACT);
    struct token_encoder *te = open_bytes("tokenizer.json", text, strlen(text), err);
    free(text);
    return te;
}

static void show(struct str *out, const struct token_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        str_appendf(out, "%s%d", i ? " " : "", ids->id[i]);
}

/* The ids of text [n] are those of the list. */
static void encodes(const struct token_encoder *te, const char *name, size_t number,
                    const char *text, size_t n, unsigned flags, const json_t *want)
{
    struct token_ids got = {0};
    struct err err = {0};
    if (!token_encoder_run(te, text, n, flags, &got, &err))
        fail_msg("%s, case %zu: %s", name, number, err.msg);
    bool same = got.n == json_array_size(want);
    for (size_t i = 0; same && i < got.n; i++)
        same = got.id[i] == json_integer_value(json_array_get(want, i));
    if (!same) {
        struct str line = {0};
        show(&line, &got);
        char *wanted = json_dumps(want, JSON_COMPACT);
        fail_msg("%s, case %zu: '%s': %s, expected %s", name, number, text, str_text(&line),
                 wanted);
    }
    free(got.id);
}

/* --- references ------------------------------------------------------------------------- */

static json_t *small;

static json_t *small_tokenizers(void)
{
    char path[4096];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/tokenizers/cases.json", getenv("TEST_REF"));
    if (!small && !(small = json_load_path(path, JSON_MAX_TEXT, JSON_LAST_WINS, &err)))
        fail_msg("%s", err.msg);
    return small;
}

/* The tokenizer.json of one of them. */
static json_t *small_file(const json_t *one)
{
    const json_t *models = json_object_get(small_tokenizers(), "models");
    json_t *model =
        json_copy(json_object_get(models, json_string_value(json_object_get(one, "model"))));
    json_object_update(model, json_object_get(one, "options"));
    return json_pack("{s:O, s:O, s:O, s:O, s:o}", "added_tokens",
                     json_object_get(one, "added_tokens"), "normalizer",
                     json_object_get(one, "normalizer"), "pre_tokenizer",
                     json_object_get(one, "pre_tokenizer"), "post_processor",
                     json_object_get(one, "post_processor"), "model", model);
}

static struct token_encoder *open_small(const char *name)
{
    size_t i;
    json_t *one;
    struct err err = {0};
    json_array_foreach(json_object_get(small_tokenizers(), "tokenizers"), i, one) {
        if (strcmp(json_string_value(json_object_get(one, "name")), name) != 0)
            continue;
        json_t *file = small_file(one);
        struct token_encoder *te = open_tree(file, &err);
        json_decref(file);
        if (!te)
            fail_msg("%s: %s", name, err.msg);
        return te;
    }
    fail_msg("no tokenizer '%s'", name);
    return NULL;
}

static void every_part(void **state)
{
    (void)state;
    json_t *list = json_object_get(small_tokenizers(), "tokenizers"), *one, *pair, *id;
    size_t i, k;
    assert_true(json_array_size(list) >= 40);
    json_array_foreach(list, i, one) {
        const char *name = json_string_value(json_object_get(one, "name"));
        struct token_encoder *te = open_small(name);
        size_t n_bos;
        const int32_t *bos = token_encoder_bos(te, &n_bos);
        assert_int_equal(n_bos, json_array_size(json_object_get(one, "bos")));
        json_array_foreach(json_object_get(one, "bos"), k, id)
            assert_int_equal(bos[k], json_integer_value(id));
        json_array_foreach(json_object_get(one, "cases"), k, pair) {
            const json_t *text = json_array_get(pair, 0);
            encodes(te, name, k, json_string_value(text), json_string_length(text), 0,
                    json_array_get(pair, 1));
        }
        token_encoder_close(te);
    }
}

static void real_tokenizers(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama2", "llama3"};
    static const char *const files[] = {"cases.json", "plain_cases.json"};
    struct err err = {0};
    char path[4096];
    if (!fixtures())
        skip();
    for (size_t k = 0; k < 3; k++) {
        snprintf(path, sizeof path, "%s/tokenizers/%s/tokenizer.json", fixtures(), names[k]);
        struct token_encoder *te = token_encoder_open(path, &err);
        if (!te)
            fail_msg("%s", err.msg);
        for (unsigned plain = 0; plain < 2; plain++) {
            snprintf(path, sizeof path, "%s/tokenizers/%s/%s", fixtures(), names[k], files[plain]);
            json_t *cases = json_load_path(path, JSON_MAX_TEXT, JSON_LAST_WINS, &err), *one;
            assert_non_null(cases);
            size_t i;
            json_array_foreach(cases, i, one) {
                const json_t *text = json_object_get(one, "text");
                encodes(te, path, i, json_string_value(text), json_string_length(text),
                        plain ? TOKEN_SPECIALS_AS_TEXT : 0, json_object_get(one, "ids"));
            }
            assert_true(i >= 10);
            json_decref(cases);
        }
        token_encoder_close(te);
    }
}

/* --- the algorithm ------------------------------------------------------------------------ */

/* Tokens over the letters a and b, merges in random order: every merge's parts and result
 * are tokens. Returned as the file; the merges as a list of pairs of ids into pairs. */
static json_t *random_model(int pairs[][3], int n_pairs)
{
    json_t *vocab = json_object(), *merges = json_array();
    char names[64][80] = {"a", "b"};
    int n = 2;
    json_object_set_new(vocab, "a", json_integer(0));
    json_object_set_new(vocab, "b", json_integer(1));
    for (int m = 0; m < n_pairs;) {
        int l = rand() % n, r = rand() % n;
        char joined[160];
        snprintf(joined, sizeof joined, "%s%s", names[l], names[r]);
        bool known = strlen(joined) > 60;
        for (int i = 0; i < m; i++)
            known |= pairs[i][0] == l && pairs[i][1] == r;
        if (known)
            continue;
        const json_t *id = json_object_get(vocab, joined);
        if (!id) {
            snprintf(names[n], sizeof names[n], "%.79s", joined);
            json_object_set_new(vocab, joined, json_integer(n));
            id = json_object_get(vocab, joined);
            n++;
        }
        pairs[m][0] = l;
        pairs[m][1] = r;
        pairs[m][2] = (int)json_integer_value(id);
        json_array_append_new(merges, json_pack("[s, s]", names[l], names[r]));
        m++;
    }
    return json_pack("{s:{s:s, s:o, s:o}}", "model", "type", "BPE", "vocab", vocab, "merges",
                     merges);
}

/* As it is defined: of all adjacent pairs the one of lowest rank, of equals the leftmost. */
static size_t obvious_bpe(int *ids, size_t n, int pairs[][3], int n_pairs)
{
    for (;;) {
        int best = n_pairs;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (int m = 0; m < best; m++)
                if (pairs[m][0] == ids[i] && pairs[m][1] == ids[i + 1]) {
                    best = m;
                    at = i;
                }
        if (best == n_pairs)
            return n;
        ids[at] = pairs[best][2];
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void equals_the_obvious_loop(void **state)
{
    (void)state;
    srand(11);
    for (int round = 0; round < 60; round++) {
        int pairs[40][3], n_pairs = 1 + rand() % 40;
        json_t *file = random_model(pairs, n_pairs);
        struct err err = {0};
        struct token_encoder *te = open_tree(file, &err);
        if (!te)
            fail_msg("%s", err.msg);
        for (int k = 0; k < 30; k++) {
            char text[256];
            int want[256];
            size_t n = (size_t)rand() % sizeof text;
            for (size_t i = 0; i < n; i++)
                text[i] = "ab"[want[i] = rand() % 2];
            size_t n_want = obvious_bpe(want, n, pairs, n_pairs);
            struct token_ids got = {0};
            assert_true(token_encoder_run(te, text, n, 0, &got, &err));
            assert_int_equal(got.n, n_want);
            if (n_want)
                assert_memory_equal(got.id, want, n_want * sizeof *want);
            free(got.id);
        }
        token_encoder_close(te);
        json_decref(file);
    }
}

/* A word of a million letters is one piece. The obvious loop would take hours; this has
 * the test's time limit. */
static void long_words(void **state)
{
    (void)state;
    size_t n = 1000000;
    char *text = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = "thein"[(i * i / 7 + i) % 5];
    static const char *const names[] = {"gpt2", "llama2", "llama3", "o200k"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct token_encoder *te = open_small(names[k]);
        struct token_ids ids = {0};
        struct err err = {0};
        assert_true(token_encoder_run(te, text, n, 0, &ids, &err));
        assert_in_range(ids.n, n / 10, n + 1);
        ids.n = 0;
        char *spaces = memset(xmalloc(n), ' ', n);
        assert_true(token_encoder_run(te, spaces, n, 0, &ids, &err));
        assert_in_range(ids.n, 1, n / 3);
        free(spaces);
        free(ids.id);
        token_encoder_close(te);
    }
    free(text);
}

static void invalid_utf8(void **state)
{
    (void)state;
    struct token_encoder *te = open_small("gpt2");
    static const struct {
        const char *text, *same;
    } cases[] = {
        {"a\xff" "b", "a\xef\xbf\xbd" "b"},
        {"\xe4\xb8", "\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\x80x", "\xef\xbf\xbd\xef\xbf\xbdx"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct token_ids a = {0}, b = {0};
        assert_true(token_encoder_run(te, cases[i].text, strlen(cases[i].text), 0, &a, NULL));
        assert_true(token_encoder_run(te, cases[i].same, strlen(cases[i].same), 0, &b, NULL));
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.id, b.id, a.n * sizeof *a.id);
        free(a.id);
        free(b.id);
    }
    token_encoder_close(te);
}

static void too_long(void **state)
{
    (void)state;
    struct token_encoder *te = open_small("gpt2");
    struct token_ids ids = {0};
    struct err err = {0};
    char *text = xcalloc(TOKEN_ENCODER_MAX_TEXT + 1, 1);
    assert_false(token_encoder_run(te, text, TOKEN_ENCODER_MAX_TEXT + 1, 0, &ids, &err));
    assert_int_equal(err.code, ERR_RANGE);
    assert_int_equal(ids.n, 0);
    free(text);
    token_encoder_close(te);
}

/* A text cut where token_encoder_cut says has the ids of the whole. */
static void cuts_change_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "gpt2 with a space in front", "neox", "llama3",
                                        "llama2", "gemma", "metaspace always", "o200k",
                                        "deepseek 3"};
    static const char *const words[] = {"the", "house", "\n", "\n\n", " ", "  ", "it's", "!", "12",
                                        "\u00e9", "\u4e16", "<|end|>", "<s>", "\t", "\u00a0", "A"};
    struct str text = {0};
    srand(5);
    for (int i = 0; i < 6000; i++) {
        str_puts(&text, words[(size_t)rand() % (sizeof words / sizeof *words)]);
        str_puts(&text, rand() % 3 ? " " : rand() % 2 ? "" : "\n");
    }
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct token_encoder *te = open_small(names[k]);
        struct token_ids whole = {0}, parts = {0};
        assert_true(token_encoder_run(te, str_text(&text), text.len, 0, &whole, NULL));
        size_t n_parts = 0;
        for (size_t at = 0, n; at < text.len; at += n, n_parts++) {
            n = text.len - at < 200 ? text.len - at : 200;
            size_t cut = n < 200 ? 0 : token_encoder_cut(text.data + at, n);
            n = cut ? cut : text.len - at;
            assert_true(token_encoder_run(te, text.data + at, n, at ? TOKEN_CONTINUES : 0,
                                          &parts, NULL));
        }
        assert_true(n_parts > 50);
        assert_int_equal(parts.n, whole.n);
        assert_memory_equal(parts.id, whole.id, whole.n * sizeof *whole.id);
        free(whole.id);
        free(parts.id);
        token_encoder_close(te);
    }
    str_finish(&text);
    assert_int_equal(token_encoder_cut("aaaa", 4), 0);
    assert_int_equal(token_encoder_cut("aa\nbb cc", 8), 3);
    assert_int_equal(token_encoder_cut("aa\n\nbb cc", 9), 6);
    assert_int_equal(token_encoder_cut("", 0), 0);
}

/* --- other files ---------------------------------------------------------------------------- */

static void vocab_and_merges(void **state)
{
    (void)state;
    json_t *list = json_object_get(small_tokenizers(), "tokenizers");
    json_t *one = json_array_get(list, 0), *pair; /* gpt2 */
    json_t *model = json_object_get(json_object_get(small_tokenizers(), "models"), "bytes");
    json_t *vocab = json_copy(json_object_get(model, "vocab"));
    json_object_set_new(vocab, "<|endoftext|>", json_integer(7000));
    struct bytes merges = {0};
    put_text(&merges, "#version: 0.2\n");
    size_t i;
    json_array_foreach(json_object_get(model, "merges"), i, pair) {
        put_text(&merges, json_string_value(json_array_get(pair, 0)));
        put_text(&merges, " ");
        put_text(&merges, json_string_value(json_array_get(pair, 1)));
        put_text(&merges, i % 2 ? "\n" : "\r\n");
    }
    char *text = json_dumps(vocab, 0);
    struct err err = {0};
    mkdir("own", 0700);
    write_bytes("own/vocab.json", text, strlen(text));
    assert_null(token_encoder_open("own/vocab.json", &err));
    assert_non_null(strstr(err.msg, "own/merges.txt: "));
    write_bytes("own/merges.txt", merges.p, merges.n);
    for (int by_dir = 0; by_dir < 2; by_dir++) {
        struct token_encoder *te = token_encoder_open(by_dir ? "own" : "own/vocab.json", &err);
        if (!te)
            fail_msg("%s", err.msg);
        json_array_foreach(json_object_get(one, "cases"), i, pair) {
            const json_t *t = json_array_get(pair, 0);
            if (!strstr(json_string_value(t), "<|")) /* its added token is another one */
                encodes(te, "vocab.json", i, json_string_value(t), json_string_length(t), 0,
                        json_array_get(pair, 1));
        }
        json_t *end = json_pack("[i, i]", 97, 7000);
        encodes(te, "vocab.json", 0, "a<|endoftext|>", 14, 0, end);
        json_decref(end);
        token_encoder_close(te);
    }
    put_text(&merges, "a b c\n");
    write_bytes("own/merges.txt", merges.p, merges.n);
    assert_null(token_encoder_open("own/vocab.json", &err));
    char says[80];
    snprintf(says, sizeof says, "own/merges.txt: line %zu: bad merge (found 'a b c', "
             "expected two tokens)",
             json_array_size(json_object_get(model, "merges")) + 2);
    assert_non_null(strstr(err.msg, says));
    bytes_free(&merges);
    free(text);
    json_decref(vocab);
}

static void put_field(struct bytes *b, int number, const void *bytes, size_t n)
{
    put_le(b, (uint64_t)(number << 3 | 2), 1);
    assert_true(n < 16384);
    put_le(b, (n & 0x7f) | (n > 0x7f ? 0x80 : 0), 1);
    if (n > 0x7f)
        put_le(b, n >> 7, 1);
    put(b, bytes, n);
}

static void put_piece(struct bytes *b, const char *text, float score, int type)
{
    struct bytes piece = {0};
    put_field(&piece, 1, text, strlen(text));
    put_le(&piece, 2 << 3 | 5, 1);
    put(&piece, &score, sizeof score);
    if (type != 1) {
        put_le(&piece, 3 << 3, 1);
        put_le(&piece, (uint64_t)type, 1);
    }
    put_field(b, 1, piece.p, piece.n);
    bytes_free(&piece);
}

/* A tokenizer.model: unk, s, /s, bytes, then pieces whose scores fall (or as given). */
static void put_sp_model(struct bytes *b, int model_type, bool dummy_prefix, bool trim)
{
    static const struct {
        const char *text;
        float score;
        int type;
    } pieces[] = {
        {"\u2581a", -1, 1}, {"ab", -2, 1}, {"abc", -3, 1}, {"\u2581\u2581", -4, 4}, {"bc", -1.5f, 1},
        {"a", -10, 1},      {"b", -11, 1}, {"c", -12, 1},  {"\u2581", -13, 1},      {"d", -9, 5},
        {"\u00e9", -8, 1},  {"cc", -7, 1},       {"y", -6.269973278045654f, 1},
        {"yy", -7.935608863830566f, 1},        {"w", -6.752366542816162f, 1},
        {"ww", -8.863482475280762f, 1},
    };
    put_piece(b, "<unk>", 0, 2);
    put_piece(b, "<s>", 0, 3);
    put_piece(b, "</s>", 0, 3);
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        put_piece(b, name, 0, 6);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        put_piece(b, pieces[i].text, pieces[i].score, pieces[i].type);
    unsigned char trainer[] = {3 << 3, (unsigned char)model_type, 0x98, 0x02, 1};
    put_field(b, 2, trainer, sizeof trainer); /* 35: byte_fallback */
    unsigned char normalizer[] = {3 << 3, dummy_prefix, 4 << 3, trim};
    put_field(b, 3, normalizer, sizeof normalizer);
}

static void sentencepiece_models(void **state)
{
    (void)state;
    /* ids: pieces begin at 259 in the order above */
    static const struct {
        int model;
        bool prefix, trim;
        const char *text;
        int n, ids[8];
    } cases[] = {
        /* BPE: best score first: _a (-1), then bc (-1.5); ab comes too late */
        {2, true, false, "abc", 2, {259, 263}},
        {2, false, false, "abc", 1, {261}}, /* bc, then abc */
        {2, false, false, "ab", 1, {260}},
        {2, true, false, "", 0, {0}},
        {2, true, false, "a", 1, {259}},
        {2, true, false, "  a", 2, {262, 259}}, /* the user's piece, then _a */
        {2, true, true, "  a  ", 1, {259}},
        {2, true, true, "b  b", 4, {267, 265, 267, 265}},
        {2, false, false, "d\u00e9", 2, {3 + 'd', 269}}, /* d is unused: its byte */
        {2, false, false, "\u4e16", 3, {3 + 0xe4, 3 + 0xb8, 3 + 0x96}},
        {2, false, false, "ccc", 2, {270, 266}},
        {2, false, false, "a<s>b", 3, {264, 1, 265}},
        /* unigram: the greatest sum: _a + bc = -2.5 beats _ + abc = -16 */
        {1, true, false, "abc", 2, {259, 263}},
        {1, false, false, "abc", 1, {261}}, /* -3 beats a + bc = -11.5 */
        {1, false, false, "ccc", 2, {266, 270}}, /* equal sums: the first found stays */
        {1, false, false, "\u4e16" "a", 4, {3 + 0xe4, 3 + 0xb8, 3 + 0x96, 264}},
        /* sums that are equal but for their rounding, as sentencepiece 0.1.97 decides them */
        {1, false, false, "wwwyyy", 4, {273, 274, 272, 271}},
        {1, false, false, "yyy", 2, {271, 272}},
        /* the mark in the text itself is a space at its end only (0.1.97) */
        {2, true, true, "\u2581", 0, {0}},
        {2, true, true, " b \u2581 ", 2, {267, 265}},
        {2, true, true, "\u2581" "b", 2, {262, 265}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = {0};
        struct err err = {0};
        put_sp_model(&b, cases[i].model, cases[i].prefix, cases[i].trim);
        struct token_encoder *te = open_bytes("tokenizer.model", b.p, b.n, &err);
        if (!te)
            fail_msg("%s", err.msg);
        json_t *want = json_array();
        for (int k = 0; k < cases[i].n; k++)
            json_array_append_new(want, json_integer(cases[i].ids[k]));
        encodes(te, "tokenizer.model", i, cases[i].text, strlen(cases[i].text), 0, want);
        json_decref(want);
        token_encoder_close(te);

        struct tokenizer *tk = tokenizer_open("tokenizer.model", &err);
        assert_non_null(tk);
        assert_int_equal(tokenizer_count(tk), 275);
        size_t len;
        assert_string_equal(tokenizer_bytes(tk, 259, &len), " a");
        assert_string_equal(tokenizer_bytes(tk, 3 + 'x', &len), "x");
        assert_string_equal(tokenizer_bytes(tk, 1, &len), "<s>");
        assert_true(tokenizer_is_special(tk, 1));
        assert_false(tokenizer_is_special(tk, 259));
        tokenizer_close(tk);
        bytes_free(&b);
    }
}

static void bos_beside(void **state)
{
    (void)state;
    static const char model[] = "{\"model\": {\"vocab\": {\"a\": 0, \"<s>\": 1}, \"merges\": []}}";
    static const struct {
        const char *config;
        size_t n;
    } cases[] = {
        {"{\"add_bos_token\": true, \"bos_token\": \"<s>\"}", 1},
        {"{\"add_bos_token\": true, \"bos_token\": {\"content\": \"<s>\"}}", 1},
        {"{\"add_bos_token\": false, \"bos_token\": \"<s>\"}", 0},
        {"{\"add_bos_token\": true, \"bos_token\": \"none\"}", 0},
        {"{\"add_bos_token\": true, \"bos_token\": \"<s>\"", 0},
    };
    mkdir("beside", 0700);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_bytes("beside/tokenizer_config.json", cases[i].config, strlen(cases[i].config));
        struct err err = {0};
        struct token_encoder *te = open_bytes("beside/tokenizer.json", model, sizeof model - 1, &err);
        assert_non_null(te);
        size_t n;
        const int32_t *bos = token_encoder_bos(te, &n);
        assert_int_equal(n, cases[i].n);
        if (n)
            assert_int_equal(bos[0], 1);
        token_encoder_close(te);
    }
}

/* --- broken and hostile ----------------------------------------------------------------------- */

static void refusals(void **state)
{
    (void)state;
#define MODEL "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}"
    static const struct {
        const char *text, *says;
        enum err_code code;
    } cases[] = {
        {"", "not JSON", ERR_FORMAT},
        {"{}", "no 'model'", ERR_FORMAT},
        {"[\"a\"]", "found a list of tokens", ERR_UNSUPPORTED},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", -1]]}}", "found Unigram",
         ERR_UNSUPPORTED},
        {"{\"model\": {\"type\": \"BPE\"}}", "model.vocab", ERR_FORMAT},
        {"{\"model\": {\"vocab\": {}}}", "no tokens", ERR_FORMAT},
        {"{\"a\": 0, \"<0x0A>\": 1}", "found a vocab.json with byte tokens", ERR_UNSUPPORTED},
        {"{" MODEL ", \"merges\": [\"a b\", \"a c\"]}}",
         "merges[1]: unknown token (found 'c',", ERR_FORMAT},
        {"{" MODEL ", \"merges\": [\"b a\"]}}", "merges[0]: unknown token (found 'ba',",
         ERR_FORMAT},
        {"{" MODEL ", \"merges\": [\"ab\"]}}", "merges[0]: bad merge (found 'ab',", ERR_FORMAT},
        {"{" MODEL ", \"merges\": [\"a b b\"]}}", "merges[0]: bad merge (found 'a b b',",
         ERR_FORMAT},
        {"{" MODEL ", \"merges\": [[\"a\"]]}}", "merges[0]: bad merge (found no pair,", ERR_FORMAT},
        {"{" MODEL ", \"merges\": [[\"a\", \"b\", \"b\"]]}}", "merges[0]: bad merge (found no pair,", ERR_FORMAT},
        {"{" MODEL ", \"merges\": [7]}}", "merges[0]: bad merge (found no pair,", ERR_FORMAT},
        {"{" MODEL ", \"merges\": {}}}", "found '{}}}', expected '['", ERR_FORMAT},
        {"{" MODEL ", \"unk_token\": \"x\"}}", "bad unk_token (found 'x',", ERR_FORMAT},
        {"{" MODEL ", \"dropout\": 0.1}}", "found dropout 0.1", ERR_UNSUPPORTED},
        {"{" MODEL "}, \"normalizer\": {\"type\": \"Precompiled\"}}",
         "found Precompiled,", ERR_UNSUPPORTED},
        {"{" MODEL "}, \"normalizer\": {}}", "bad 'normalizer' (found no type,", ERR_FORMAT},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}}",
         "found UnicodeScripts,", ERR_UNSUPPORTED},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"Split\"}}", "bad 'pattern' (found none,", ERR_FORMAT},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"Split\", \"behavior\": \"Odd\"}}",
         "bad 'behavior' (found 'Odd',", ERR_FORMAT},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a\"}}}",
         "pre_tokenizer Split: pattern not read (found '(a':", ERR_UNSUPPORTED},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": "
         "\"[a&&b]\"}}}", "found && inside of [..]", ERR_UNSUPPORTED},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": "
         "\"a{1,2}+\"}}}", "found {..}+", ERR_UNSUPPORTED},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"FixedLength\", \"length\": 0}}",
         "bad 'length' (found 0,", ERR_RANGE},
        {"{" MODEL "}, \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"xx\"}}",
         "bad 'replacement' (found 'xx',", ERR_FORMAT},
        {"{" MODEL "}, \"added_tokens\": [{\"id\": 1}]}", "added_tokens[0]: no 'content'", ERR_FORMAT},
        {"{" MODEL "}, \"added_tokens\": [{\"id\": -3, \"content\": \"x\"}]}", "found -3", ERR_RANGE},
        {"{" MODEL "}, \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
         "[{\"SpecialToken\": {\"id\": \"<s>\"}}]}}", "found '<s>' without ids", ERR_FORMAT},
        {"\n\x7f\n\x04" "abcd", "longer than its message", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        struct token_encoder *te =
            open_bytes("refused.json", cases[i].text, strlen(cases[i].text), &err);
        if (te || !strstr(err.msg, cases[i].says) || err.code != cases[i].code)
            fail_msg("%s: code %d: %s", cases[i].text, err.code, err.msg);
        assert_memory_equal(err.msg, "refused.json: ", 14);
    }
    assert_null(token_encoder_open("does-not-exist.json", NULL));
}

/* Merges that lead in circles or stand twice, vocabularies with one id for two strings, and
 * steps that make a text grow without end: all end. */
static void cycles_and_growth(void **state)
{
    (void)state;
    struct err err = {0};
    static const char odd[] =
        "{\"model\": {\"vocab\": {\"a\": 0, \"aa\": 0, \"b\": 1, \"b\": 2, \"ab\": 2},"
        "\"merges\": [\"a a\", \"a a\", \"a b\", [\"a\", \"b\"]]}}";
    struct token_encoder *te = open_bytes("odd.json", odd, sizeof odd - 1, &err);
    if (!te)
        fail_msg("%s", err.msg);
    struct token_ids ids = {0};
    char text[5000];
    memset(text, 'a', sizeof text);
    assert_true(token_encoder_run(te, text, sizeof text, 0, &ids, &err));
    assert_int_equal(ids.n, 1); /* a a -> a, again and again */
    free(ids.id);
    token_encoder_close(te);

    struct str grow = {0};
    str_puts(&grow, "{\"model\": {\"vocab\": {\"a\": 0}}, \"pre_tokenizer\": {\"type\": \"Sequence\","
                    "\"pretokenizers\": [{\"type\": \"ByteLevel\", \"use_regex\": false}");
    for (int i = 0; i < 40; i++)
        str_puts(&grow, ",{\"type\": \"ByteLevel\", \"use_regex\": false}");
    str_puts(&grow, "]}}");
    te = open_bytes("grow.json", str_text(&grow), grow.len, &err);
    assert_non_null(te);
    ids = (struct token_ids){0};
    assert_false(token_encoder_run(te, "\u00e9 \u00e9", 5, 0, &ids, &err));
    assert_non_null(strstr(err.msg, "too large"));
    token_encoder_close(te);
    str_reset(&grow);
    str_puts(&grow, "{\"model\": {\"vocab\": {\"a\": 0}}, \"normalizer\": {\"type\": \"Replace\","
                    "\"pattern\": {\"Regex\": \"(x+x+)+[yz]\"}, \"content\": \"z\"}}");
    te = open_bytes("slow.json", str_text(&grow), grow.len, &err);
    assert_non_null(te);
    memset(text, 'x', sizeof text);
    assert_false(token_encoder_run(te, text, sizeof text, 0, &ids, &err));
    assert_non_null(strstr(err.msg, "gives up"));
    token_encoder_close(te);
    str_finish(&grow);
}

/* Every truncation and many random changes of good files: refused with one line, or opened
 * and used. Under the sanitizers this is the safety test. */
static void mutations(void **state)
{
    (void)state;
    static const char bits[] = "{}[],:\"\\u0tfn9<>\xff\x80 -1(?s+";
    static const char sample[] = "The <s> the<|end|> \u2581 12 \u00e9 caf\u00e9 \n\n x";
    struct bytes base[4] = {{0}};
    static const char *const names[] = {"llama3", "llama2", "added, all kinds"};
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(small_tokenizers(), "tokenizers"), i, one)
        for (int k = 0; k < 3; k++)
            if (strcmp(json_string_value(json_object_get(one, "name")), names[k]) == 0) {
                json_t *file = small_file(one);
                char *text = json_dumps(file, JSON_COMPACT);
                put_text(&base[k], text);
                free(text);
                json_decref(file);
            }
    put_sp_model(&base[3], 2, true, false);
    srand(9);
    for (int round = 0; round < 1600; round++) {
        const struct bytes *b = &base[round % 4];
        size_t n = b->n;
        char *text = xmalloc(n);
        memcpy(text, b->p, n);
        /* the vocabulary fills most of the file: half of the changes are to the rest */
        size_t head = round % 4 == 3 ? n : n < 1500 ? n : 1500;
        if (round < 400)
            n = (size_t)rand() % (n + 1);
        else
            for (int k = 1 + rand() % 4; k > 0; k--)
                text[(size_t)rand() % (round & 16 ? head : n)] =
                    round % 4 == 3 ? (char)rand() : bits[(size_t)rand() % (sizeof bits - 1)];
        struct err err = {0};
        struct token_encoder *te = open_bytes("mutated", text, n, &err);
        if (!te) {
            assert_true(err.code != ERR_NONE && err.msg[0] && !strchr(err.msg, '\n'));
        } else {
            struct token_ids ids = {0};
            token_encoder_run(te, sample, sizeof sample - 1, 0, &ids, &err);
            for (size_t k = 0; k < ids.n; k++)
                assert_in_range(ids.id[k], 0, TOKENIZER_MAX_ID - 1);
            free(ids.id);
        }
        token_encoder_close(te);
        free(text);
    }
    for (int k = 0; k < 4; k++)
        bytes_free(&base[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part),
        cmocka_unit_test(real_tokenizers),
        cmocka_unit_test(equals_the_obvious_loop),
        cmocka_unit_test(long_words),
        cmocka_unit_test(invalid_utf8),
        cmocka_unit_test(too_long),
        cmocka_unit_test(cuts_change_nothing),
        cmocka_unit_test(vocab_and_merges),
        cmocka_unit_test(sentencepiece_models),
        cmocka_unit_test(bos_beside),
        cmocka_unit_test(refusals),
        cmocka_unit_test(cycles_and_growth),
        cmocka_unit_test(mutations),
    };
    int failed = cmocka_run_group_tests(tests, set_up, test_dir_remove);
    json_decref(small);
    return failed;
}
