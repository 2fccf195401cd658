/* tokenizer.c - see tokenizer.h. File layouts: those of tokenizers 0.13 to 0.23. */
#include "io/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fs.h"
#include "io/jscan.h"
#include "io/json.h"
#include "io/mem.h"
#include "io/sentencepiece.h"
#include "io/token_form.h"
#include "io/tokenizer_impl.h"

enum token_flags {
    TOKEN_PRESENT = 1,
    TOKEN_ADDED = 2,
    TOKEN_SPECIAL = 4,
    TOKEN_BYTE = 8, /* <0xHH> of a byte-fallback vocabulary */
};

struct token {
    uint32_t start;      /* of its bytes in the arena */
    uint32_t len : 28;   /* the arena has less than 2^28 bytes */
    uint32_t flags : 4;
};

struct tokenizer {
    char *path;
    struct token_form form;
    struct str arena;     /* the tokens' bytes, each followed by a 0 */
    struct token *tokens; /* [n] */
    size_t n, cap;
};

/* What reading gathers beside the vocabulary. */
struct parts {
    json_t *added, *decoder, *pre_tokenizer; /* owned; NULL: absent */
    bool has_model, has_vocab, byte_fallback;
    char *model_type, *joined; /* owned; NULL: absent */
};

static void parts_finish(struct parts *parts)
{
    json_decref(parts->added);
    json_decref(parts->decoder);
    json_decref(parts->pre_tokenizer);
    free(parts->model_type);
    free(parts->joined);
}

/* --- the table of tokens ---------------------------------------------------------------- */

/* Bytes of the token `id`, which end the arena from `start` on. */
static bool add_token(struct tokenizer *tk, int64_t id, size_t start, unsigned flags,
                      struct err *err)
{
    if (id < 0 || id >= TOKENIZER_MAX_ID)
        return err_set(err, ERR_RANGE, "token id out of range (found %lld, expected 0 to %lld)",
                       (long long)id, (long long)TOKENIZER_MAX_ID - 1);
    size_t want = (size_t)id + 1;
    if (want > tk->cap) {
        tk->cap = want + want / 2;
        tk->tokens = xreallocarray(tk->tokens, tk->cap, sizeof *tk->tokens);
    }
    if (want > tk->n) {
        memset(tk->tokens + tk->n, 0, (want - tk->n) * sizeof *tk->tokens);
        tk->n = want;
    }
    tk->tokens[id] = (struct token){.start = (uint32_t)start,
                                    .len = (uint32_t)(tk->arena.len - start),
                                    .flags = flags | TOKEN_PRESENT};
    str_putc(&tk->arena, 0);
    return true;
}

/* {"token": id, ...} at js. */
static bool read_vocab(struct tokenizer *tk, struct jscan *js, struct err *err)
{
    bool first = true;
    int more;
    if (!jscan_enter(js, '{', err))
        return false;
    while ((more = jscan_next(js, '}', &first, err)) > 0) {
        size_t start = tk->arena.len;
        int64_t id;
        if (!jscan_string(js, &tk->arena, err))
            return false;
        if (jscan_peek(js) != ':')
            return err_format(err, (uint64_t)(js->p - js->start), "not JSON (found another character, expected ':')");
        js->p++;
        if (!jscan_int(js, &id, err) || !add_token(tk, id, start, 0, err))
            return false;
    }
    return more == 0;
}

/* ["token", score] at js: the token. */
static bool read_scored(struct tokenizer *tk, struct jscan *js, struct err *err)
{
    bool first = true;
    int more;
    if (!jscan_enter(js, '[', err) || jscan_next(js, ']', &first, err) < 0 ||
        !jscan_string(js, &tk->arena, err))
        return false;
    while ((more = jscan_next(js, ']', &first, err)) > 0)
        if (!jscan_skip(js, err))
            return false;
    return more == 0;
}

/* ["token", ...] at js, or where they are scored (Unigram) [["token", score], ...]. */
static bool read_list(struct tokenizer *tk, struct jscan *js, bool scored, struct err *err)
{
    bool first = true;
    int more;
    if (!jscan_enter(js, '[', err))
        return false;
    for (int64_t id = 0; (more = jscan_next(js, ']', &first, err)) > 0; id++) {
        size_t start = tk->arena.len;
        if (!(scored ? read_scored(tk, js, err) : jscan_string(js, &tk->arena, err)) ||
            !add_token(tk, id, start, 0, err))
            return false;
    }
    return more == 0;
}

/* --- tokenizer.json --------------------------------------------------------------------- */

bool token_read_tree(struct jscan *js, json_t **out, struct err *err)
{
    jscan_peek(js);
    const char *from = js->p;
    if (!jscan_skip(js, err))
        return false;
    if ((size_t)(js->p - from) > JSON_MAX_TEXT)
        return err_format(err, (uint64_t)(from - js->start), "value too large (found more than 4 MiB, expected less)");
    json_t *tree = NULL;
    if ((*from == '{' || *from == '[') &&
        !(tree = json_parse(from, (size_t)(js->p - from), JSON_LAST_WINS, err)))
        return false;
    json_decref(*out);
    *out = tree;
    return true;
}

/* A string at js into *out, whose old value is freed; anything else is passed over. */
static bool read_text(struct jscan *js, char **out, struct err *err)
{
    if (jscan_peek(js) != '"')
        return jscan_skip(js, err);
    struct str text = {0};
    bool ok = jscan_string(js, &text, err);
    free(*out);
    *out = str_take(&text);
    return ok;
}

static bool read_model(struct tokenizer *tk, struct jscan *js, struct parts *parts,
                       struct err *err)
{
    struct str key = {0};
    bool first = true, ok = jscan_enter(js, '{', err);
    int more = ok ? 1 : -1;
    while (ok && (more = jscan_next(js, '}', &first, err)) > 0) {
        ok = jscan_key(js, &key, err);
        if (!ok)
            break;
        const char *k = str_text(&key);
        char c = jscan_peek(js);
        if (strcmp(k, "type") == 0) {
            ok = read_text(js, &parts->model_type, err);
        } else if (strcmp(k, "continuing_subword_prefix") == 0) {
            ok = read_text(js, &parts->joined, err);
        } else if (strcmp(k, "vocab") == 0 && (c == '{' || c == '[')) {
            parts->has_vocab = true;
            ok = c == '{' ? read_vocab(tk, js, err) : read_list(tk, js, true, err);
        } else if (strcmp(k, "byte_fallback") == 0) {
            parts->byte_fallback = c == 't';
            ok = jscan_skip(js, err);
        } else {
            ok = jscan_skip(js, err);
        }
    }
    parts->has_model = true;
    str_finish(&key);
    return ok && more == 0;
}

static bool read_tokenizer_json(struct tokenizer *tk, struct jscan *js,
                                struct parts *parts, struct err *err)
{
    struct str key = {0};
    bool first = true, ok = jscan_enter(js, '{', err);
    int more = ok ? 1 : -1;
    while (ok && (more = jscan_next(js, '}', &first, err)) > 0) {
        ok = jscan_key(js, &key, err);
        const char *k = str_text(&key);
        if (!ok)
            break;
        if (strcmp(k, "model") == 0)
            ok = read_model(tk, js, parts, err);
        else if (strcmp(k, "added_tokens") == 0)
            ok = token_read_tree(js, &parts->added, err);
        else if (strcmp(k, "decoder") == 0)
            ok = token_read_tree(js, &parts->decoder, err);
        else if (strcmp(k, "pre_tokenizer") == 0)
            ok = token_read_tree(js, &parts->pre_tokenizer, err);
        else
            ok = jscan_skip(js, err);
    }
    str_finish(&key);
    return ok && more == 0 && jscan_finish(js, err);
}

static bool check_model(const struct parts *parts, struct err *err)
{
    static const char *const models[] = {"BPE", "Unigram", "WordPiece", "WordLevel"};
    const char *type = parts->model_type ? parts->model_type : models[0];
    bool known = false;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        known |= strcmp(type, models[i]) == 0;
    if (!parts->has_model)
        return err_set(err, ERR_FORMAT, "neither a tokenizer.json nor a vocab.json "
                       "(found no 'model', expected one)");
    if (!known)
        return err_set(err, ERR_UNSUPPORTED, "tokenizer model not read (found %s, expected BPE, "
                       "Unigram, WordPiece or WordLevel)", type);
    if (!parts->has_vocab)
        return err_set(err, ERR_FORMAT, "bad 'model.vocab' (found none, expected an object of "
                       "token ids)");
    return true;
}

/* Added tokens win over the vocabulary's of the same id. */
static bool add_added(struct tokenizer *tk, const json_t *added, struct err *err)
{
    size_t i;
    json_t *one;
    json_array_foreach(added, i, one) {
        const json_t *content = json_object_get(one, "content");
        int64_t id = -1;
        bool special = false;
        if (!json_is_string(content))
            return err_set(err, ERR_FORMAT, "bad added_tokens[%zu] (found no content, expected text)", i);
        if (!json_get_int(one, "id", &id, err) ||
            !json_get_bool(one, "special", &special, err))
            return err_wrap(err, "added_tokens[%zu]", i);
        size_t start = tk->arena.len;
        str_append(&tk->arena, json_string_value(content), json_string_length(content));
        if (!add_token(tk, id, start, TOKEN_ADDED | (special ? TOKEN_SPECIAL : 0u), err))
            return err_wrap(err, "added_tokens[%zu]", i);
    }
    return true;
}

/* The strings of the vocabulary become what they stand for, in a new arena because a
 * replacement may be longer than what it replaces; added tokens are what they are (their
 * pieces' marks aside). */
static bool decode_tokens(struct tokenizer *tk, struct err *err)
{
    struct str arena = {0};
    bool pieces = tk->form.kind == FORM_PIECES;
    str_reserve(&arena, tk->arena.len);
    for (size_t i = 0; i < tk->n; i++) {
        struct token *t = &tk->tokens[i];
        const char *s = tk->arena.data + t->start;
        if (!(t->flags & TOKEN_PRESENT))
            continue;
        size_t start = arena.len;
        if ((t->flags & TOKEN_ADDED) && !pieces)
            str_append(&arena, s, t->len);
        else if (token_form_put(&tk->form, s, t->len, &arena))
            t->flags |= TOKEN_BYTE;
        t->start = (uint32_t)start;
        t->len = (uint32_t)(arena.len - start);
        str_putc(&arena, 0);
        if (arena.len > 2 * TOKENIZER_MAX_FILE) {
            str_finish(&arena);
            return err_set(err, ERR_FORMAT, "the decoder makes the tokens too large (found more, expected less than 2^31 bytes)");
        }
    }
    str_finish(&tk->arena);
    tk->arena = arena;
    return true;
}

/* What a bare {token: id} holds; see the header. */
static void guess_form(struct tokenizer *tk)
{
    bool in_table = true, beyond_ascii = false;
    for (size_t i = 0; i < tk->n; i++) {
        const char *s = tk->arena.data + tk->tokens[i].start;
        size_t n = tk->tokens[i].len;
        if (token_form_byte(s, n) == '\n') {
            token_form_set_pieces(&tk->form, false);
            return;
        }
        uint32_t cp;
        for (size_t k = 0; k < n && in_table; beyond_ascii |= cp >= 0x80) {
            k += (size_t)str_utf8_next(s + k, n - k, &cp);
            in_table = token_byte_of(cp) >= 0;
        }
    }
    if (in_table && beyond_ascii)
        tk->form.kind = FORM_BYTE_LEVEL;
}

/* --- opening ------------------------------------------------------------------------------ */

/* The pieces of a tokenizer.model. */
static bool read_pieces(struct tokenizer *tk, const char *bytes, size_t n, struct err *err)
{
    struct sentencepiece sp = {0};
    bool ok = sentencepiece_read(&sp, bytes, n, err);
    for (size_t i = 0; ok && i < sp.n; i++) {
        const struct sp_piece *p = &sp.pieces[i];
        bool added = p->type == SP_UNKNOWN || p->type == SP_CONTROL;
        size_t start = tk->arena.len;
        str_append(&tk->arena, p->text, p->len);
        ok = add_token(tk, (int64_t)i, start,
                       (added ? TOKEN_ADDED : 0u) | (p->type == SP_CONTROL ? TOKEN_SPECIAL : 0u),
                       err);
    }
    if (ok)
        token_form_set_pieces(&tk->form, sp.add_dummy_prefix);
    sentencepiece_finish(&sp);
    return ok;
}

bool tokenizer_is_vocab(const char *text, size_t n)
{
    struct jscan js;
    struct str key = {0};
    bool first = true, is_vocab = false;
    jscan_init(&js, text, n);
    if (jscan_enter(&js, '{', NULL) && jscan_next(&js, '}', &first, NULL) == 1 &&
        jscan_key(&js, &key, NULL)) {
        char c = jscan_peek(&js);
        is_vocab = c == '-' || (c >= '0' && c <= '9');
    }
    str_finish(&key);
    return is_vocab;
}

static bool read_file(struct tokenizer *tk, const char *text, size_t n, struct err *err)
{
    struct jscan js;
    if (sentencepiece_recognise(text, n))
        return read_pieces(tk, text, n, err);
    jscan_init(&js, text, n);
    if (jscan_peek(&js) == '[')
        return read_list(tk, &js, false, err) && jscan_finish(&js, err);
    if (tokenizer_is_vocab(text, n)) {
        if (!read_vocab(tk, &js, err) || !jscan_finish(&js, err))
            return false;
        guess_form(tk);
        return true;
    }
    struct parts parts = {0};
    bool ok = read_tokenizer_json(tk, &js, &parts, err) && check_model(&parts, err) &&
              add_added(tk, parts.added, err);
    struct token_form_parts form = {parts.decoder, parts.pre_tokenizer, parts.model_type,
                                    parts.joined, parts.byte_fallback};
    ok = ok && token_form_read(&tk->form, &form, err);
    parts_finish(&parts);
    return ok;
}

char *tokenizer_file(const char *path)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "vocab.json"};
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return xstrdup(path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *file = xasprintf("%s/%s", path, names[i]);
        if (access(file, F_OK) == 0)
            return file;
        free(file);
    }
    return xstrdup(path);
}

struct tokenizer *tokenizer_open(const char *path, struct err *err)
{
    char *file = tokenizer_file(path);
    size_t n;
    char *text = fs_read_file(file, TOKENIZER_MAX_FILE, &n, err);
    if (!text) {
        free(file);
        return NULL;
    }
    struct tokenizer *tk = xcalloc(1, sizeof *tk);
    tk->path = file;
    bool ok = read_file(tk, text, n, err);
    free(text);
    if (ok && !tk->n)
        ok = err_set(err, ERR_FORMAT, "no tokens in the vocabulary (found none, expected some)");
    if (ok && (tk->form.kind == FORM_LITERAL || decode_tokens(tk, err)))
        return tk;
    err_path(err, tk->path);
    tokenizer_close(tk);
    return NULL;
}

void tokenizer_close(struct tokenizer *tk)
{
    if (!tk)
        return;
    str_finish(&tk->arena);
    free(tk->tokens);
    token_form_finish(&tk->form);
    free(tk->path);
    free(tk);
}

/* --- reading ------------------------------------------------------------------------------ */

const char *tokenizer_path(const struct tokenizer *tk)
{
    return tk->path;
}

int64_t tokenizer_count(const struct tokenizer *tk)
{
    return (int64_t)tk->n;
}

static unsigned flags_of(const struct tokenizer *tk, int64_t id)
{
    return id >= 0 && id < (int64_t)tk->n ? tk->tokens[id].flags : 0;
}

const char *tokenizer_bytes(const struct tokenizer *tk, int64_t id, size_t *len)
{
    *len = 0;
    if (!(flags_of(tk, id) & TOKEN_PRESENT))
        return NULL;
    *len = tk->tokens[id].len;
    return tk->arena.data + tk->tokens[id].start;
}

bool tokenizer_is_special(const struct tokenizer *tk, int64_t id)
{
    return flags_of(tk, id) & TOKEN_SPECIAL;
}

static void append_token(const struct tokenizer *tk, int64_t id, struct str *out)
{
    size_t len;
    const char *bytes = tokenizer_bytes(tk, id, &len);
    if (bytes)
        str_append(out, bytes, len);
    else
        str_appendf(out, "<%lld>", (long long)id);
}

void tokenizer_decode_bytes(const struct tokenizer *tk, const int32_t *ids, size_t n,
                            struct str *out)
{
    for (size_t i = 0; i < n; i++)
        append_token(tk, ids[i], out);
}

/* A run of byte tokens: as it is when valid as a whole, else U+FFFD for each byte. */
static void append_byte_run(const struct tokenizer *tk, const int32_t *ids, size_t n,
                            struct str *out)
{
    struct str bytes = {0};
    size_t before = out->len;
    tokenizer_decode_bytes(tk, ids, n, &bytes);
    if (!str_utf8(out, str_text(&bytes), bytes.len)) {
        out->len = before;
        for (size_t i = 0; i < n; i++)
            str_put_utf8(out, 0xfffd);
    }
    str_finish(&bytes);
}

void tokenizer_decode_text(const struct tokenizer *tk, const int32_t *ids, size_t n,
                           struct str *out)
{
    struct str text = {0};
    if (tk->form.kind == FORM_PIECES) {
        for (size_t i = 0, run; i < n; i += run) {
            for (run = 0; i + run < n && flags_of(tk, ids[i + run]) & TOKEN_BYTE;)
                run++;
            if (run)
                append_byte_run(tk, ids + i, run, &text);
            else
                append_token(tk, ids[i + run++], &text);
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            if (tk->form.kind == FORM_WORDS && text.len && (flags_of(tk, ids[i]) & TOKEN_ADDED))
                str_putc(&text, ' ');
            append_token(tk, ids[i], &text);
        }
    }
    size_t off = token_form_strip(&tk->form, &text);
    str_utf8(out, str_text(&text) + off, text.len - off);
    str_finish(&text);
}
