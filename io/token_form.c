/* token_form.c - see token_form.h. Decoders: those of tokenizers 0.13 to 0.23. */
#include "io/token_form.h"

#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "io/tokenizer_impl.h"

void token_form_finish(struct token_form *f)
{
    free(f->replaced);
    free(f->replacement);
    free(f->joined);
    free(f->strip);
    *f = (struct token_form){0};
}

/* --- decoders ----------------------------------------------------------------------------- */

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

static void strip_a_space(struct token_form *f)
{
    set_text(&f->strip, " ");
    f->strip_max = 1;
}

static void use_byte_tokens(struct token_form *f)
{
    f->kind = FORM_PIECES;
    f->byte_tokens = true;
}

void token_form_set_pieces(struct token_form *f, bool space_in_front)
{
    use_byte_tokens(f);
    set_text(&f->replaced, "\u2581");
    set_text(&f->replacement, " ");
    if (space_in_front)
        strip_a_space(f);
}

/* Metaspace: U+2581 for spaces, one of them in front of the text unless told otherwise. */
static void use_metaspace(struct token_form *f, const json_t *d)
{
    const char *mark = json_string_value(json_object_get(d, "replacement"));
    const char *scheme = json_string_value(json_object_get(d, "prepend_scheme"));
    set_text(&f->replaced, mark ? mark : "\u2581");
    set_text(&f->replacement, " ");
    bool prefix = scheme ? strcmp(scheme, "never") != 0
                         : !json_is_false(json_object_get(d, "add_prefix_space"));
    if (prefix)
        strip_a_space(f);
    f->kind = FORM_PIECES;
}

static bool use_replace(struct token_form *f, const json_t *d, struct err *err)
{
    const char *from =
        json_string_value(json_object_get(json_object_get(d, "pattern"), "String"));
    const char *to = json_string_value(json_object_get(d, "content"));
    if (!from || !*from || !to)
        return err_set(err, ERR_UNSUPPORTED,
                       "decoder 'Replace' is not read (found a pattern, expected a plain string)");
    if (f->replaced)
        return err_set(err, ERR_UNSUPPORTED, "decoder is not read (found a second 'Replace', expected one)");
    set_text(&f->replaced, from);
    set_text(&f->replacement, to);
    f->kind = FORM_PIECES;
    return true;
}

static bool use_strip(struct token_form *f, const json_t *d, struct err *err)
{
    const char *content = json_string_value(json_object_get(d, "content"));
    int64_t start = 0, stop = 0;
    if (!json_get_int(d, "start", &start, err) || !json_get_int(d, "stop", &stop, err))
        return false;
    if (!content || !*content || start < 0 || stop != 0)
        return err_set(err, ERR_UNSUPPORTED, "decoder 'Strip' is not read (found one at the end, expected the start)");
    set_text(&f->strip, content);
    f->strip_max = start;
    return true;
}

/* WordPiece: a space between words, whose parts say that they go on. */
static void use_words(struct token_form *f, const char *joined, bool punctuation)
{
    f->kind = FORM_WORDS;
    free(f->joined);
    f->joined = xstrdup(joined);
    f->punctuation = punctuation;
    strip_a_space(f);
}

/* BPEDecoder of GPT-1 and its like: a suffix ends a word. */
static void use_suffix(struct token_form *f, const json_t *d)
{
    const char *suffix = json_string_value(json_object_get(d, "suffix"));
    f->kind = FORM_PIECES;
    set_text(&f->replaced, suffix && *suffix ? suffix : "</w>");
    set_text(&f->replacement, " ");
}

static bool use_decoder(struct token_form *f, const json_t *d, int depth, struct err *err)
{
    const char *type = json_string_value(json_object_get(d, "type"));
    if (!type)
        return err_set(err, ERR_FORMAT, "bad 'decoder' (found no type, expected one)");
    if (strcmp(type, "Sequence") == 0 && depth == 0) {
        size_t i;
        json_t *inner;
        json_array_foreach(json_object_get(d, "decoders"), i, inner)
            if (!use_decoder(f, inner, 1, err))
                return false;
        return true;
    }
    if (strcmp(type, "Fuse") == 0)
        return true;
    if (strcmp(type, "Replace") == 0)
        return use_replace(f, d, err);
    if (strcmp(type, "Strip") == 0)
        return use_strip(f, d, err);
    if (strcmp(type, "ByteLevel") == 0)
        f->kind = FORM_BYTE_LEVEL;
    else if (strcmp(type, "ByteFallback") == 0)
        use_byte_tokens(f);
    else if (strcmp(type, "Metaspace") == 0)
        use_metaspace(f, d);
    else if (strcmp(type, "WordPiece") == 0)
        use_words(f, json_string_value(json_object_get(d, "prefix")),
                  !json_is_false(json_object_get(d, "cleanup")));
    else if (strcmp(type, "BPEDecoder") == 0)
        use_suffix(f, d);
    else
        return err_set(err, ERR_UNSUPPORTED, "decoder not read (found %s, expected ByteLevel, "
                       "ByteFallback, Metaspace, WordPiece or BPEDecoder)", type);
    return true;
}

/* Without a decoder the rest of the file tells what the tokens are. */
bool token_form_read(struct token_form *f, const struct token_form_parts *parts,
                     struct err *err)
{
    const char *model = parts->model ? parts->model : "BPE";
    if (json_is_object(parts->decoder))
        return use_decoder(f, parts->decoder, 0, err);
    if (has_type(parts->pre_tokenizer, "pretokenizers", "ByteLevel"))
        f->kind = FORM_BYTE_LEVEL;
    else if (strcmp(model, "WordPiece") == 0 || strcmp(model, "WordLevel") == 0)
        use_words(f, parts->joined, false);
    else if (parts->byte_fallback || strcmp(model, "Unigram") == 0)
        token_form_set_pieces(f, false);
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

/* False, and nothing appended, when a character stands for no byte. */
static bool put_bytes_of_chars(const char *s, size_t n, struct str *out)
{
    size_t before = out->len;
    uint32_t cp;
    for (size_t i = 0; i < n;) {
        int len = str_utf8_next(s + i, n - i, &cp);
        if (len < 0 || token_byte_of(cp) < 0) {
            out->len = before;
            return false;
        }
        str_putc(out, (char)token_byte_of(cp));
        i += (size_t)len;
    }
    return true;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int token_form_byte(const char *s, size_t n)
{
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    int hi = hex_value(s[3]), lo = hex_value(s[4]);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

/* Append s [n] with every `replaced` replaced. */
static void put_replaced(const struct token_form *f, const char *s, size_t n, struct str *out)
{
    size_t len = f->replaced ? strlen(f->replaced) : 0;
    while (n) {
        const char *at = len ? memmem(s, n, f->replaced, len) : NULL;
        size_t before = at ? (size_t)(at - s) : n;
        str_append(out, s, before);
        if (!at)
            return;
        str_puts(out, f->replacement);
        s += before + len;
        n -= before + len;
    }
}

/* Does nothing stand between the word before and this? (decoders/wordpiece.rs, cleanup) */
static bool is_punctuation(const char *s, size_t n)
{
    static const char *const marks[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (n >= strlen(marks[i]) && memcmp(s, marks[i], strlen(marks[i])) == 0)
            return true;
    return false;
}

static void put_word(const struct token_form *f, const char *s, size_t n, struct str *out)
{
    size_t joined = f->joined ? strlen(f->joined) : 0;
    bool goes_on = joined && n >= joined && memcmp(s, f->joined, joined) == 0;
    if (goes_on)
        s += joined, n -= joined;
    else if (!f->punctuation || !is_punctuation(s, n))
        str_putc(out, ' ');
    str_append(out, s, n);
}

bool token_form_put(const struct token_form *f, const char *s, size_t n, struct str *out)
{
    int byte = f->kind == FORM_PIECES && f->byte_tokens ? token_form_byte(s, n) : -1;
    if (byte >= 0)
        str_putc(out, (char)byte);
    else if (f->kind == FORM_PIECES)
        put_replaced(f, s, n, out);
    else if (f->kind == FORM_WORDS)
        put_word(f, s, n, out);
    else if (f->kind == FORM_LITERAL || !put_bytes_of_chars(s, n, out))
        str_append(out, s, n);
    return byte >= 0;
}

size_t token_form_strip(const struct token_form *f, const struct str *text)
{
    size_t len = f->strip ? strlen(f->strip) : 0, off = 0;
    for (int64_t k = 0; len && k < f->strip_max && text->len - off >= len &&
                        memcmp(str_text(text) + off, f->strip, len) == 0; k++)
        off += len;
    return off;
}
