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

enum token_form {
    FORM_LITERAL,    /* the strings themselves */
    FORM_BYTE_LEVEL, /* a byte a character */
    FORM_PIECES,     /* sentencepiece's: with replacements and byte tokens */
};

struct tokenizer {
    char *path;
    enum token_form form;
    struct str arena;     /* the tokens' bytes, each followed by a 0 */
    struct token *tokens; /* [n] */
    size_t n, cap;
    bool byte_tokens;             /* FORM_PIECES: <0xHH> is a byte */
    char *replaced, *replacement; /* FORM_PIECES: what stands for what, owned */
    char *strip;                  /* taken off the start of a text; NULL: nothing */
    int64_t strip_max;            /* at most that many times */
};

/* What reading gathers beside the vocabulary. */
struct parts {
    json_t *added, *decoder, *pre_tokenizer; /* owned; NULL: absent */
    bool has_model, has_vocab, byte_fallback;
    char *model_type; /* owned; NULL: absent */
};

static void parts_finish(struct parts *parts)
{
    json_decref(parts->added);
    json_decref(parts->decoder);
    json_decref(parts->pre_tokenizer);
    free(parts->model_type);
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

/* ["token", ...] at js. */
static bool read_list(struct tokenizer *tk, struct jscan *js, struct err *err)
{
    bool first = true;
    int more;
    if (!jscan_enter(js, '[', err))
        return false;
    for (int64_t id = 0; (more = jscan_next(js, ']', &first, err)) > 0; id++) {
        size_t start = tk->arena.len;
        if (!jscan_string(js, &tk->arena, err) || !add_token(tk, id, start, 0, err))
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

static bool read_model_type(struct jscan *js, struct parts *parts, struct err *err)
{
    if (jscan_peek(js) != '"')
        return jscan_skip(js, err);
    struct str type = {0};
    bool ok = jscan_string(js, &type, err);
    free(parts->model_type);
    parts->model_type = str_take(&type);
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
            ok = read_model_type(js, parts, err);
        } else if (strcmp(k, "vocab") == 0 && c == '{') {
            parts->has_vocab = true;
            ok = read_vocab(tk, js, err);
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
    const char *type = parts->model_type;
    if (!parts->has_model)
        return err_set(err, ERR_FORMAT, "neither a tokenizer.json nor a vocab.json "
                       "(found no 'model', expected one)");
    if (type && strcmp(type, "BPE") != 0)
        return err_set(err, ERR_UNSUPPORTED, "tokenizer model not read (found %s, expected BPE)",
                       type);
    if (!parts->has_vocab)
        return err_set(err, ERR_FORMAT, "bad 'model.vocab' (found none, expected an object of "
                       "token ids)");
    return true;
}

/* Is `type` the type of this part or, in a Sequence, of one inside it? */
static bool has_type(const json_t *part, const char *list_key, const char *type)
{
    const char *t = json_string_value(json_object_get(part, "type"));
    if (t && strcmp(t, type) == 0)
        return true;
    size_t i;
    json_t *inner;
    json_array_foreach(json_object_get(part, list_key), i, inner) {
        const char *it = json_string_value(json_object_get(inner, "type"));
        if (it && strcmp(it, type) == 0)
            return true;
    }
    return false;
}

static void set_text(char **to, const char *text)
{
    free(*to);
    *to = xstrdup(text);
}

static void use_byte_tokens(struct tokenizer *tk)
{
    tk->form = FORM_PIECES;
    tk->byte_tokens = true;
}

/* What Llama's and Gemma's decoders say. */
static void use_spaces_and_byte_tokens(struct tokenizer *tk)
{
    use_byte_tokens(tk);
    set_text(&tk->replaced, "\u2581");
    set_text(&tk->replacement, " ");
}

/* Metaspace: U+2581 for spaces, one of them in front of the text unless told otherwise. */
static void use_metaspace(struct tokenizer *tk, const json_t *d)
{
    const char *mark = json_string_value(json_object_get(d, "replacement"));
    const char *scheme = json_string_value(json_object_get(d, "prepend_scheme"));
    set_text(&tk->replaced, mark ? mark : "\u2581");
    set_text(&tk->replacement, " ");
    bool prefix = scheme ? strcmp(scheme, "never") != 0
                         : !json_is_false(json_object_get(d, "add_prefix_space"));
    if (prefix) {
        set_text(&tk->strip, " ");
        tk->strip_max = 1;
    }
    tk->form = FORM_PIECES;
}

static bool use_replace(struct tokenizer *tk, const json_t *d, struct err *err)
{
    const char *from =
        json_string_value(json_object_get(json_object_get(d, "pattern"), "String"));
    const char *to = json_string_value(json_object_get(d, "content"));
    if (!from || !*from || !to)
        return err_set(err, ERR_UNSUPPORTED,
                       "decoder 'Replace' is not read (found a pattern, expected a plain string)");
    if (tk->replaced)
        return err_set(err, ERR_UNSUPPORTED, "decoder is not read (found a second 'Replace', expected one)");
    set_text(&tk->replaced, from);
    set_text(&tk->replacement, to);
    tk->form = FORM_PIECES;
    return true;
}

static bool use_strip(struct tokenizer *tk, const json_t *d, struct err *err)
{
    const char *content = json_string_value(json_object_get(d, "content"));
    int64_t start = 0, stop = 0;
    if (!json_get_int(d, "start", &start, err) || !json_get_int(d, "stop", &stop, err))
        return false;
    if (!content || !*content || start < 0 || stop != 0)
        return err_set(err, ERR_UNSUPPORTED, "decoder 'Strip' is not read (found one at the end, expected the start)");
    set_text(&tk->strip, content);
    tk->strip_max = start;
    return true;
}

static bool use_decoder(struct tokenizer *tk, const json_t *d, int depth, struct err *err)
{
    const char *type = json_string_value(json_object_get(d, "type"));
    if (!type)
        return err_set(err, ERR_FORMAT, "bad 'decoder' (found no type, expected one)");
    if (strcmp(type, "Sequence") == 0 && depth == 0) {
        size_t i;
        json_t *inner;
        json_array_foreach(json_object_get(d, "decoders"), i, inner)
            if (!use_decoder(tk, inner, 1, err))
                return false;
        return true;
    }
    if (strcmp(type, "Fuse") == 0)
        return true;
    if (strcmp(type, "Replace") == 0)
        return use_replace(tk, d, err);
    if (strcmp(type, "Strip") == 0)
        return use_strip(tk, d, err);
    if (strcmp(type, "ByteLevel") == 0)
        tk->form = FORM_BYTE_LEVEL;
    else if (strcmp(type, "ByteFallback") == 0)
        use_byte_tokens(tk);
    else if (strcmp(type, "Metaspace") == 0)
        use_metaspace(tk, d);
    else
        return err_set(err, ERR_UNSUPPORTED, "decoder not read (found %s, expected ByteLevel, "
                       "ByteFallback or Metaspace)", type);
    return true;
}

/* Without a decoder the rest of the file tells what the tokens are. */
static bool choose_form(struct tokenizer *tk, const struct parts *parts, struct err *err)
{
    if (parts->decoder)
        return use_decoder(tk, parts->decoder, 0, err);
    if (has_type(parts->pre_tokenizer, "pretokenizers", "ByteLevel"))
        tk->form = FORM_BYTE_LEVEL;
    else if (parts->byte_fallback)
        use_spaces_and_byte_tokens(tk);
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

/* --- token strings to bytes --------------------------------------------------------------- */

int token_byte_of(uint32_t cp)
{
    if ((cp >= 0x21 && cp <= 0x7e) || (cp >= 0xa1 && cp <= 0xac) || (cp >= 0xae && cp <= 0xff))
        return (int)cp;
    if (cp < 0x100 || cp >= 0x100 + 68)
        return -1;
    uint32_t k = cp - 0x100; /* bytes 0-20, 7f-a0, ad */
    return (int)(k < 0x21 ? k : k < 0x43 ? 0x7f + k - 0x21 : 0xad);
}

uint32_t token_char_of_byte(unsigned char byte)
{
    if (token_byte_of(byte) == byte)
        return byte;
    return 0x100 + (byte < 0x21 ? byte : byte < 0xa1 ? byte - 0x7fu + 0x21 : 0x43u);
}

/* In place: a character never takes less bytes than the byte it stands for. False, and the
 * token untouched, when a character stands for none. */
static bool bytes_from_chars(char *s, size_t n, size_t *out_len)
{
    size_t i, out = 0;
    uint32_t cp;
    for (i = 0; i < n;) {
        int len = str_utf8_next(s + i, n - i, &cp);
        if (len < 0 || token_byte_of(cp) < 0)
            return false;
        i += (size_t)len;
    }
    for (i = 0; i < n; out++) {
        i += (size_t)str_utf8_next(s + i, n - i, &cp);
        s[out] = (char)token_byte_of(cp);
    }
    *out_len = out;
    return true;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* <0xHH> -> the byte, else -1. */
static int fallback_byte(const char *s, size_t n)
{
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    int hi = hex_value(s[3]), lo = hex_value(s[4]);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

/* Append s [n] with every `replaced` replaced. */
static void append_replaced(const struct tokenizer *tk, struct str *out, const char *s,
                            size_t n)
{
    size_t len = tk->replaced ? strlen(tk->replaced) : 0;
    while (n) {
        const char *at = len ? memmem(s, n, tk->replaced, len) : NULL;
        size_t before = at ? (size_t)(at - s) : n;
        str_append(out, s, before);
        if (!at)
            return;
        str_puts(out, tk->replacement);
        s += before + len;
        n -= before + len;
    }
}

static void decode_byte_level(struct tokenizer *tk)
{
    for (size_t i = 0; i < tk->n; i++) {
        struct token *t = &tk->tokens[i];
        size_t len = t->len;
        if ((t->flags & TOKEN_PRESENT) && !(t->flags & TOKEN_ADDED) &&
            bytes_from_chars(tk->arena.data + t->start, len, &len)) {
            t->len = (uint32_t)len;
            tk->arena.data[t->start + len] = 0;
        }
    }
}

/* Into a new arena, because a replacement may be longer than what it replaces. */
static bool decode_pieces(struct tokenizer *tk, struct err *err)
{
    struct str arena = {0};
    str_reserve(&arena, tk->arena.len);
    for (size_t i = 0; i < tk->n; i++) {
        struct token *t = &tk->tokens[i];
        const char *s = tk->arena.data + t->start;
        if (!(t->flags & TOKEN_PRESENT))
            continue;
        int byte = tk->byte_tokens ? fallback_byte(s, t->len) : -1;
        size_t start = arena.len;
        if (byte >= 0) {
            t->flags |= TOKEN_BYTE;
            str_putc(&arena, (char)byte);
        } else {
            append_replaced(tk, &arena, s, t->len);
        }
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
        if (fallback_byte(s, n) == '\n') {
            use_spaces_and_byte_tokens(tk);
            return;
        }
        uint32_t cp;
        for (size_t k = 0; k < n && in_table; beyond_ascii |= cp >= 0x80) {
            k += (size_t)str_utf8_next(s + k, n - k, &cp);
            in_table = token_byte_of(cp) >= 0;
        }
    }
    if (in_table && beyond_ascii)
        tk->form = FORM_BYTE_LEVEL;
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
    if (ok) {
        use_spaces_and_byte_tokens(tk);
        if (sp.add_dummy_prefix) {
            set_text(&tk->strip, " ");
            tk->strip_max = 1;
        }
    }
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
        return read_list(tk, &js, err) && jscan_finish(&js, err);
    if (tokenizer_is_vocab(text, n)) {
        if (!read_vocab(tk, &js, err) || !jscan_finish(&js, err))
            return false;
        guess_form(tk);
        return true;
    }
    struct parts parts = {0};
    bool ok = read_tokenizer_json(tk, &js, &parts, err) && check_model(&parts, err) &&
              add_added(tk, parts.added, err) && choose_form(tk, &parts, err);
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
    if (ok && tk->form == FORM_BYTE_LEVEL)
        decode_byte_level(tk);
    if (ok && tk->form == FORM_PIECES)
        ok = decode_pieces(tk, err);
    if (ok)
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
    free(tk->replaced);
    free(tk->replacement);
    free(tk->strip);
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

/* How much of the start of `text` the decoder's Strip takes off. */
static size_t strip_length(const struct tokenizer *tk, const struct str *text)
{
    size_t len = tk->strip ? strlen(tk->strip) : 0, off = 0;
    for (int64_t k = 0; len && k < tk->strip_max && text->len - off >= len &&
                        memcmp(str_text(text) + off, tk->strip, len) == 0; k++)
        off += len;
    return off;
}

void tokenizer_decode_text(const struct tokenizer *tk, const int32_t *ids, size_t n,
                           struct str *out)
{
    struct str text = {0};
    if (tk->form == FORM_PIECES) {
        for (size_t i = 0, run; i < n; i += run) {
            for (run = 0; i + run < n && flags_of(tk, ids[i + run]) & TOKEN_BYTE;)
                run++;
            if (run)
                append_byte_run(tk, ids + i, run, &text);
            else
                append_token(tk, ids[i + run++], &text);
        }
    } else {
        tokenizer_decode_bytes(tk, ids, n, &text);
    }
    size_t off = strip_length(tk, &text);
    str_utf8(out, str_text(&text) + off, text.len - off);
    str_finish(&text);
}
