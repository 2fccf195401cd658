/* token_encoder_read.c - see token_encoder.h: the files that say how text becomes tokens. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/json.h"
#include "io/mem.h"
#include "io/sentencepiece.h"
#include "io/token_encoder_impl.h"
#include "io/tokenizer.h"
#include "io/tokenizer_impl.h"

#define LONGEST_PIECE 512u /* bytes of a sentencepiece that is looked for; known: 96 */

/* What a tokenizer.json holds beside the vocabulary. */
struct parts {
    json_t *added, *normalizer, *pre_tokenizer, *post_processor; /* owned; NULL: absent */
    struct str type, unk;                                        /* of the model */
    bool has_unk, has_vocab;
    double dropout;
};

static void parts_finish(struct parts *p)
{
    json_decref(p->added);
    json_decref(p->normalizer);
    json_decref(p->pre_tokenizer);
    json_decref(p->post_processor);
    str_finish(&p->type);
    str_finish(&p->unk);
}

/* --- the model ------------------------------------------------------------------------------ */

static bool read_vocab(struct token_vocab *v, struct jscan *js, struct err *err)
{
    struct str key = {0};
    bool first = true, ok = jscan_enter(js, '{', err);
    int more = ok ? 1 : -1;
    while (ok && (more = jscan_next(js, '}', &first, err)) > 0) {
        int64_t id = 0;
        ok = jscan_key(js, &key, err) && jscan_int(js, &id, err) &&
             token_vocab_add(v, str_text(&key), key.len, id, err);
    }
    str_finish(&key);
    return ok && more == 0;
}

/* "a b" */
static bool add_merge_line(struct token_bpe *b, const char *line, size_t n, uint32_t rank,
                           struct err *err)
{
    const char *space = memchr(line, ' ', n);
    size_t left = space ? (size_t)(space - line) : n;
    if (!space || memchr(space + 1, ' ', n - left - 1))
        return err_set(err, ERR_FORMAT, "bad merge (found '%.*s', expected two tokens)",
                       (int)(n < 80 ? n : 80), line);
    return token_bpe_add_merge(b, line, left, space + 1, n - left - 1, rank, err);
}

/* "a b" or ["a", "b"] at js. */
static bool read_merge(struct token_bpe *b, struct jscan *js, uint32_t rank, struct str *a,
                       struct str *c, struct err *err)
{
    str_reset(a);
    str_reset(c);
    if (jscan_peek(js) == '"')
        return jscan_string(js, a, err) &&
               (strncmp(str_text(a), "#version", 8) == 0 ||
                add_merge_line(b, str_text(a), a->len, rank, err));
    bool first = true;
    if (!jscan_enter(js, '[', err) || jscan_next(js, ']', &first, err) != 1 ||
        !jscan_string(js, a, err) || jscan_next(js, ']', &first, err) != 1 ||
        !jscan_string(js, c, err))
        return err_set(err, ERR_FORMAT, "bad merge (found no pair, expected [\"a\", \"b\"])");
    int more = jscan_next(js, ']', &first, err);
    if (more != 0)
        return err_set(err, ERR_FORMAT, "bad merge (found no pair, expected [\"a\", \"b\"])");
    return token_bpe_add_merge(b, str_text(a), a->len, str_text(c), c->len, rank, err);
}

static bool read_merges(struct token_bpe *b, struct jscan *js, struct err *err)
{
    struct str left = {0}, right = {0};
    bool first = true, ok = jscan_enter(js, '[', err);
    int more = ok ? 1 : -1;
    for (uint32_t rank = 0; ok && (more = jscan_next(js, ']', &first, err)) > 0; rank++) {
        ok = read_merge(b, js, rank, &left, &right, err);
        if (!ok)
            err_wrap(err, "merges[%u]", rank);
    }
    str_finish(&left);
    str_finish(&right);
    return ok && more == 0;
}

static bool read_text(struct jscan *js, struct str *out, bool *has, struct err *err)
{
    str_reset(out);
    *has = jscan_peek(js) == '"';
    return *has ? jscan_string(js, out, err) : jscan_skip(js, err);
}

static bool read_affix(struct jscan *js, char **out, struct err *err)
{
    struct str text = {0};
    bool has, ok = read_text(js, &text, &has, err);
    free(*out);
    *out = ok && has && text.len ? str_take(&text) : NULL;
    str_finish(&text);
    return ok;
}

static bool read_bool(struct jscan *js, bool *out, struct err *err)
{
    *out = jscan_peek(js) == 't';
    return jscan_skip(js, err);
}

static bool read_dropout(struct jscan *js, double *out, struct err *err)
{
    *out = jscan_peek(js) == 'n' ? 0 : strtod(js->p, NULL);
    return jscan_skip(js, err);
}

static bool read_model(struct token_bpe *b, struct jscan *js, struct parts *p, struct err *err)
{
    struct str key = {0};
    struct jscan vocab = {0}, merges = {0};
    bool first = true, has, ok = jscan_enter(js, '{', err);
    int more = ok ? 1 : -1;
    while (ok && (more = jscan_next(js, '}', &first, err)) > 0 && (ok = jscan_key(js, &key, err))) {
        const char *k = str_text(&key);
        jscan_peek(js);
        if (strcmp(k, "type") == 0)
            ok = read_text(js, &p->type, &has, err);
        else if (strcmp(k, "unk_token") == 0)
            ok = read_text(js, &p->unk, &p->has_unk, err);
        else if (strcmp(k, "continuing_subword_prefix") == 0)
            ok = read_affix(js, &b->prefix, err);
        else if (strcmp(k, "end_of_word_suffix") == 0)
            ok = read_affix(js, &b->suffix, err);
        else if (strcmp(k, "fuse_unk") == 0)
            ok = read_bool(js, &b->fuse_unk, err);
        else if (strcmp(k, "byte_fallback") == 0)
            ok = read_bool(js, &b->byte_fallback, err);
        else if (strcmp(k, "ignore_merges") == 0)
            ok = read_bool(js, &b->ignore_merges, err);
        else if (strcmp(k, "dropout") == 0)
            ok = read_dropout(js, &p->dropout, err);
        else {
            if (strcmp(k, "vocab") == 0)
                vocab = *js; /* the merges may stand before the vocabulary that they need */
            else if (strcmp(k, "merges") == 0)
                merges = *js;
            ok = jscan_skip(js, err);
        }
    }
    str_finish(&key);
    p->has_vocab = vocab.p && *vocab.p == '{';
    if (!ok || more != 0)
        return false;
    if (p->type.len && strcmp(str_text(&p->type), "BPE") != 0)
        return err_set(err, ERR_UNSUPPORTED, "no text can be encoded with this model (found %s, "
                       "expected BPE)", str_text(&p->type));
    if (!p->has_vocab)
        return err_set(err, ERR_FORMAT, "bad 'model.vocab' (found none, expected an object of "
                       "token ids)");
    return read_vocab(&b->vocab, &vocab, err) && (!merges.p || read_merges(b, &merges, err));
}

static bool check_model(struct token_bpe *b, const struct parts *p, struct err *err)
{
    if (p->dropout > 0)
        return err_set(err, ERR_UNSUPPORTED, "no text has fixed ids: the model drops merges at "
                       "random (found dropout %g, expected null)", p->dropout);
    if (p->has_unk) {
        b->unk = token_vocab_find(&b->vocab, str_text(&p->unk), p->unk.len);
        if (b->unk < 0)
            return err_set(err, ERR_FORMAT, "bad unk_token (found '%s', expected a token of "
                           "the vocabulary)", str_text(&p->unk));
    }
    token_bpe_find_bytes(b);
    return true;
}

/* --- the parts of tokenizer.json --------------------------------------------------------------- */

struct token_regex *token_read_pattern(const json_t *part, struct err *err)
{
    const json_t *pattern = json_object_get(part, "pattern");
    const char *text = json_string_value(json_object_get(pattern, "Regex"));
    if (text)
        return token_regex_new(text, err);
    text = json_string_value(json_object_get(pattern, "String"));
    if (!text || !*text) {
        err_set(err, ERR_FORMAT, "bad 'pattern' (found none, expected {\"String\": ..} or "
                "{\"Regex\": ..})");
        return NULL;
    }
    struct str quoted = {0};
    for (; *text; text++) {
        if (strchr("\\^$.[]|()?*+{}#-&~", *text) || *text == ' ')
            str_putc(&quoted, '\\');
        str_putc(&quoted, *text);
    }
    struct token_regex *re = token_regex_new(str_text(&quoted), err);
    str_finish(&quoted);
    return re;
}

static bool add_added(struct token_encoder *te, const json_t *one, struct token_run *run,
                      struct err *err)
{
    const json_t *content = json_object_get(one, "content");
    struct token_added how = {0};
    bool normalized = false;
    int64_t id = -1;
    if (!json_is_string(content))
        return err_set(err, ERR_FORMAT, "no 'content' (found none, expected a string)");
    if (!json_get_int(one, "id", &id, err) || !json_get_bool(one, "special", &how.special, err) ||
        !json_get_bool(one, "single_word", &how.single_word, err) ||
        !json_get_bool(one, "lstrip", &how.lstrip, err) ||
        !json_get_bool(one, "rstrip", &how.rstrip, err))
        return false;
    normalized = !how.special;
    if (!json_get_bool(one, "normalized", &normalized, err))
        return false;
    if (id < 0 || id >= TOKENIZER_MAX_ID)
        return err_set(err, ERR_RANGE, "token id out of range (found %lld, expected 0 to %lld)",
                       (long long)id, (long long)TOKENIZER_MAX_ID - 1);
    const char *s = json_string_value(content);
    size_t n = json_string_length(content);
    int32_t own = token_vocab_find(&te->bpe.vocab, s, n); /* the vocabulary's id wins */
    how.id = own >= 0 ? own : (int32_t)id;
    if (!normalized) {
        token_set_add(&te->raw, s, n, how);
        return true;
    }
    struct str text = {0};
    bool ok = token_norm_run(&te->norm, run, s, n, true, &text);
    if (ok)
        token_set_add(&te->normalized, str_text(&text), text.len, how);
    str_finish(&text);
    return ok;
}

static bool add_all_added(struct token_encoder *te, const json_t *added, struct err *err)
{
    struct token_run run = {token_match_new(), false, err};
    size_t i;
    json_t *one;
    bool ok = true;
    json_array_foreach(added, i, one) {
        ok = add_added(te, one, &run, err);
        if (!ok) {
            err_wrap(err, "added_tokens[%zu]", i);
            break;
        }
    }
    token_match_free(run.match);
    return ok;
}

static bool put_bos(struct token_encoder *te, const json_t *id, struct err *err)
{
    json_int_t v = json_integer_value(id);
    if (!json_is_integer(id) || v < 0 || v >= TOKENIZER_MAX_ID)
        return err_set(err, ERR_FORMAT, "post_processor: bad special token (found no id, "
                       "expected a number)");
    token_ids_put(&te->bos, (int32_t)v);
    return true;
}

/* What TemplateProcessing puts in front of sequence A. */
static bool read_template(struct token_encoder *te, const json_t *tree, struct err *err)
{
    size_t i, k;
    json_t *piece, *id;
    json_array_foreach(json_object_get(tree, "single"), i, piece) {
        const char *name = json_string_value(
            json_object_get(json_object_get(piece, "SpecialToken"), "id"));
        if (!name)
            break;
        const json_t *ids = json_object_get(
            json_object_get(json_object_get(tree, "special_tokens"), name), "ids");
        if (!json_array_size(ids))
            return err_set(err, ERR_FORMAT, "post_processor: bad special token (found '%s' without "
                           "ids, expected some)", name);
        json_array_foreach(ids, k, id)
            if (!put_bos(te, id, err))
                return false;
    }
    return true;
}

static bool read_post_processor(struct token_encoder *te, const json_t *tree, struct err *err)
{
    const char *type = json_string_value(json_object_get(tree, "type"));
    if (!type)
        return true;
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(te, tree, err);
    if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0)
        return put_bos(te, json_array_get(json_object_get(tree, "cls"), 1), err);
    size_t i;
    json_t *inner;
    json_array_foreach(json_object_get(tree, "processors"), i, inner)
        if (!read_post_processor(te, inner, err))
            return false;
    return true;
}

static bool read_parts(struct token_encoder *te, struct jscan *js, struct parts *p,
                       struct err *err)
{
    struct str key = {0};
    bool first = true, has_model = false, ok = jscan_enter(js, '{', err);
    int more = ok ? 1 : -1;
    while (ok && (more = jscan_next(js, '}', &first, err)) > 0 && (ok = jscan_key(js, &key, err))) {
        const char *k = str_text(&key);
        if (strcmp(k, "model") == 0 && !has_model) {
            has_model = true;
            ok = read_model(&te->bpe, js, p, err);
        } else if (strcmp(k, "added_tokens") == 0)
            ok = token_read_tree(js, &p->added, err);
        else if (strcmp(k, "normalizer") == 0)
            ok = token_read_tree(js, &p->normalizer, err);
        else if (strcmp(k, "pre_tokenizer") == 0)
            ok = token_read_tree(js, &p->pre_tokenizer, err);
        else if (strcmp(k, "post_processor") == 0)
            ok = token_read_tree(js, &p->post_processor, err);
        else
            ok = jscan_skip(js, err);
    }
    str_finish(&key);
    if (!ok || more != 0 || !jscan_finish(js, err))
        return false;
    return has_model || err_set(err, ERR_FORMAT, "neither a tokenizer.json nor a vocab.json "
                                "(found no 'model', expected one)");
}

static bool read_tokenizer_json(struct token_encoder *te, struct jscan *js, struct err *err)
{
    struct parts p = {0};
    bool ok = read_parts(te, js, &p, err) && check_model(&te->bpe, &p, err) &&
              token_norm_read(p.normalizer, &te->norm, err) &&
              token_split_read(p.pre_tokenizer, &te->split, err) &&
              add_all_added(te, p.added, err) &&
              read_post_processor(te, p.post_processor, err);
    parts_finish(&p);
    return ok;
}

/* --- vocab.json and merges.txt ------------------------------------------------------------------- */

/* merges.txt beside vocab.json, vocab.bpe beside encoder.json; owned. */
static char *merges_path(const char *path)
{
    static const char *const names[][2] = {{"vocab.json", "merges.txt"},
                                           {"encoder.json", "vocab.bpe"}};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i][0]);
        if (n >= len && strcmp(path + n - len, names[i][0]) == 0)
            return xasprintf("%.*s%s", (int)(n - len), path, names[i][1]);
    }
    return fs_beside(path, "merges.txt");
}

static bool read_merges_text(struct token_bpe *b, const char *text, size_t n, struct err *err)
{
    uint32_t rank = 0;
    size_t number = 0;
    for (size_t i = 0, next; i < n; i = next) {
        const char *end = memchr(text + i, '\n', n - i);
        size_t len = end ? (size_t)(end - text) - i : n - i;
        next = i + len + 1;
        number++;
        if (len && text[i + len - 1] == '\r')
            len--;
        if (!len || strncmp(text + i, "#version", 8) == 0)
            continue;
        if (!add_merge_line(b, text + i, len, rank++, err))
            return err_wrap(err, "line %zu", number);
    }
    return true;
}

static bool read_vocab_json(struct token_encoder *te, struct jscan *js, struct err *err)
{
    static const char end_of_text[] = "<|endoftext|>";
    if (!read_vocab(&te->bpe.vocab, js, err) || !jscan_finish(js, err))
        return false;
    if (token_vocab_find(&te->bpe.vocab, "<0x0A>", 6) >= 0)
        return err_set(err, ERR_UNSUPPORTED, "it does not say how text is cut (found a vocab.json "
                       "with byte tokens, expected tokenizer.json or tokenizer.model)");
    const char *path = te->merges = merges_path(te->path);
    size_t n;
    char *text = fs_read_file(path, TOKENIZER_MAX_FILE, &n, err);
    bool ok = text && read_merges_text(&te->bpe, text, n, err);
    if (!ok)
        err_path(err, path);
    free(text);
    if (!ok)
        return false;
    token_bpe_find_bytes(&te->bpe);
    int32_t id = token_vocab_find(&te->bpe.vocab, end_of_text, sizeof end_of_text - 1);
    if (id >= 0)
        token_set_add(&te->raw, end_of_text, sizeof end_of_text - 1,
                      (struct token_added){.id = id, .special = true});
    json_t *gpt2 = json_pack("{s:s, s:b}", "type", "ByteLevel", "add_prefix_space", 0);
    ok = token_split_read(gpt2, &te->split, err);
    json_decref(gpt2);
    return ok;
}

/* --- tokenizer.model -------------------------------------------------------------------------------- */

static bool add_piece(struct token_encoder *te, const struct sp_piece *p, size_t id,
                      struct err *err)
{
    struct token_bpe *b = &te->bpe;
    uint32_t cp;
    for (size_t i = 0, len; i < p->len; i += len) {
        int got = str_utf8_next(p->text + i, p->len - i, &cp);
        if (got < 0)
            return err_set(err, ERR_FORMAT, "bad piece %zu (found bytes that are no UTF-8, "
                           "expected text)", id);
        len = (size_t)got;
    }
    b->score[id] = p->score;
    b->kind[id] = (unsigned char)p->type;
    if (p->type == SP_NORMAL) {
        b->least = p->score < b->least ? p->score : b->least;
        b->longest = p->len > b->longest ? p->len : b->longest;
    }
    if (p->type == SP_USER)
        token_set_add(&te->normalized, p->text, p->len, (struct token_added){.id = (int32_t)id});
    if (p->type == SP_CONTROL)
        token_set_add(&te->raw, p->text, p->len,
                      (struct token_added){.id = (int32_t)id, .special = true});
    return token_vocab_add(&b->vocab, p->text, p->len, (int64_t)id, err);
}

static bool fill_from_pieces(struct token_encoder *te, const struct sentencepiece *sp,
                             struct err *err)
{
    struct token_bpe *b = &te->bpe;
    if (sp->model != SP_BPE && sp->model != SP_UNIGRAM)
        return err_set(err, ERR_UNSUPPORTED, "sentencepiece model not read (found type %d, "
                       "expected 1 (unigram) or 2 (BPE))", (int)sp->model);
    if (sp->has_charsmap)
        return err_set(err, ERR_UNSUPPORTED, "sentencepiece model whose text is normalised by "
                       "a table (found precompiled_charsmap, expected none)");
    if (!sp->escape_whitespaces)
        return err_set(err, ERR_UNSUPPORTED, "sentencepiece model not read (found "
                       "escape_whitespaces false, expected true)");
    if (sp->space_is_suffix)
        return err_set(err, ERR_UNSUPPORTED, "sentencepiece model not read (found "
                       "treat_whitespace_as_suffix, expected spaces in front)");
    b->model = sp->model == SP_BPE ? TOKEN_PIECES : TOKEN_UNIGRAM;
    b->byte_fallback = sp->byte_fallback;
    b->n_ids = sp->n;
    b->score = xcalloc(sp->n, sizeof *b->score);
    b->kind = xcalloc(sp->n, sizeof *b->kind);
    te->sp = true;
    te->sp_prefix = sp->add_dummy_prefix;
    te->sp_trim = sp->remove_extra_whitespaces;
    for (size_t i = 0; i < sp->n; i++)
        if (!add_piece(te, &sp->pieces[i], i, err))
            return false;
    if (b->longest > LONGEST_PIECE)
        b->longest = LONGEST_PIECE;
    b->unk = sp->unk_id >= 0 && (size_t)sp->unk_id < sp->n ? (int32_t)sp->unk_id : -1;
    token_bpe_find_bytes(b);
    return true;
}

/* --- what stands beside -------------------------------------------------------------------------------- */

/* tokenizer_config.json's bos_token, when it says add_bos_token. Nobody asked for the file:
 * where it cannot be used, it says nothing. */
static void read_config_bos(struct token_encoder *te)
{
    char *path = fs_beside(te->path, "tokenizer_config.json");
    json_t *config = json_load_path(path, JSON_MAX_TEXT, JSON_LAST_WINS, NULL);
    free(path);
    const json_t *bos = json_object_get(config, "bos_token");
    if (json_is_object(bos))
        bos = json_object_get(bos, "content");
    if (json_is_true(json_object_get(config, "add_bos_token")) && json_is_string(bos)) {
        int32_t id = token_vocab_find(&te->bpe.vocab, json_string_value(bos),
                                      json_string_length(bos));
        for (size_t i = 0; id < 0 && i < te->raw.n; i++)
            if (te->raw.added[i].len == json_string_length(bos) &&
                memcmp(te->raw.arena.data + te->raw.added[i].start, json_string_value(bos),
                       te->raw.added[i].len) == 0)
                id = te->raw.added[i].id;
        if (id >= 0)
            token_ids_put(&te->bos, id);
    }
    json_decref(config);
}

bool token_encoder_read(struct token_encoder *te, const char *text, size_t n,
                        struct err *err)
{
    bool ok;
    struct jscan js;
    jscan_init(&js, text, n);
    if (sentencepiece_recognise(text, n)) {
        struct sentencepiece sp = {0};
        ok = sentencepiece_read(&sp, text, n, err) && fill_from_pieces(te, &sp, err);
        sentencepiece_finish(&sp);
    } else if (jscan_peek(&js) == '[') {
        ok = err_set(err, ERR_UNSUPPORTED, "it does not say how text is cut (found a list of tokens, "
                     "expected a tokenizer.json)");
    } else if (tokenizer_is_vocab(text, n)) {
        ok = read_vocab_json(te, &js, err);
    } else {
        ok = read_tokenizer_json(te, &js, err);
    }
    if (ok && !te->bpe.vocab.n)
        ok = err_set(err, ERR_FORMAT, "no tokens (found an empty vocabulary, expected some)");
    if (ok && !te->bos.n)
        read_config_bos(te);
    return ok;
}
