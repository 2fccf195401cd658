/*
 * token_norm.c - see token_encoder_impl.h: normalizers (tokenizers, normalizers/) as a table,
 * and what they and the pre-tokenizers know of characters.
 */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "io/json.h"
#include "io/mem.h"
#include "io/token_encoder_impl.h"
#include "io/tokenizer_impl.h"

struct token_step_type {
    const char *name;
    bool (*read)(struct token_step *step, const json_t *tree, struct err *err); /* or NULL */
    bool (*run)(const struct token_step *step, struct token_run *run, const char *s,
                size_t n, bool first, struct str *out);
};

/* --- characters ----------------------------------------------------------------------------- */

bool token_is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

static utf8proc_category_t category(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp);
}

static bool is_mark(uint32_t cp)
{
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}

bool token_is_word(uint32_t cp)
{
    utf8proc_category_t c = category(cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) ||
           c == UTF8PROC_CATEGORY_PC || cp == 0x200c || cp == 0x200d ||
           /* Other_Alphabetic beyond marks */
           (cp >= 0x24b6 && cp <= 0x24e9) || (cp >= 0x1f130 && cp <= 0x1f149) ||
           (cp >= 0x1f150 && cp <= 0x1f169) || (cp >= 0x1f170 && cp <= 0x1f189);
}

bool token_is_numeric(uint32_t cp)
{
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool token_is_punctuation(uint32_t cp)
{
    utf8proc_category_t c = category(cp);
    return (c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO) ||
           (cp < 0x80 && cp && strchr("$+<=>^`|~", (int)cp));
}

void token_put_byte_char(struct str *out, unsigned char byte)
{
    str_put_utf8(out, token_char_of_byte(byte));
}

/* --- one by one ------------------------------------------------------------------------------ */

static bool map_unicode(struct token_run *run, const char *s, size_t n,
                        utf8proc_option_t options, struct str *out)
{
    utf8proc_uint8_t *to = NULL;
    utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &to,
                                        options | UTF8PROC_STABLE);
    if (len < 0)
        return err_set(run->err, len == UTF8PROC_ERROR_NOMEM ? ERR_NOMEM : ERR_RANGE,
                       "text not normalised: %s", utf8proc_errmsg(len));
    str_append(out, to, (size_t)len);
    free(to);
    return true;
}

#define UNICODE_FORM(name, options)                                                      \
    static bool run_##name(const struct token_step *step, struct token_run *run,         \
                           const char *s, size_t n, bool first, struct str *out)         \
    {                                                                                    \
        (void)step;                                                                      \
        (void)first;                                                                     \
        return map_unicode(run, s, n, (options), out);                                   \
    }
UNICODE_FORM(nfc, UTF8PROC_COMPOSE)
UNICODE_FORM(nfd, UTF8PROC_DECOMPOSE)
UNICODE_FORM(nfkc, UTF8PROC_COMPOSE | UTF8PROC_COMPAT)
UNICODE_FORM(nfkd, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT)

/* Every character through fn, which appends what becomes of it. */
static void each(const char *s, size_t n, struct str *out,
                 void (*fn)(uint32_t cp, struct str *out))
{
    uint32_t cp;
    for (size_t i = 0; i < n; fn(cp, out))
        i += (size_t)str_utf8_next(s + i, n - i, &cp);
}

#define CHARACTERS(name)                                                                  \
    static bool run_##name(const struct token_step *step, struct token_run *run,          \
                           const char *s, size_t n, bool first, struct str *out)          \
    {                                                                                     \
        (void)step;                                                                       \
        (void)run;                                                                        \
        (void)first;                                                                      \
        each(s, n, out, name);                                                            \
        return true;                                                                      \
    }

static void lowercase(uint32_t cp, struct str *out)
{
    if (cp == 0x130) /* the one letter whose lower case is two characters */
        str_puts(out, "i\u0307");
    else
        str_put_utf8(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
}
CHARACTERS(lowercase)

static void no_marks(uint32_t cp, struct str *out)
{
    if (!is_mark(cp))
        str_put_utf8(out, cp);
}
CHARACTERS(no_marks)

static void nmt(uint32_t cp, struct str *out)
{
    if ((cp >= 1 && cp <= 8) || cp == 0xb || (cp >= 0xe && cp <= 0x1f) || cp == 0x7f ||
        cp == 0x8f || cp == 0x9f)
        return;
    bool space = cp == 9 || cp == 0xa || cp == 0xc || cp == 0xd || cp == 0x1680 ||
                 (cp >= 0x200b && cp <= 0x200f) || cp == 0x2028 || cp == 0x2029 ||
                 cp == 0x2581 || cp == 0xfeff || cp == 0xfffd;
    str_put_utf8(out, space ? ' ' : cp);
}
CHARACTERS(nmt)

static bool run_byte_level(const struct token_step *step, struct token_run *run, const char *s,
                           size_t n, bool first, struct str *out)
{
    (void)step;
    (void)run;
    (void)first;
    for (size_t i = 0; i < n; i++)
        token_put_byte_char(out, (unsigned char)s[i]);
    return true;
}

static bool read_strip(struct token_step *step, const json_t *tree, struct err *err)
{
    step->left = step->right = true;
    return json_get_bool(tree, "strip_left", &step->left, err) &&
           json_get_bool(tree, "strip_right", &step->right, err);
}

static bool run_strip(const struct token_step *step, struct token_run *run, const char *s,
                      size_t n, bool first, struct str *out)
{
    (void)run;
    (void)first;
    uint32_t cp;
    size_t begin = n, end = 0;
    for (size_t i = 0, len; i < n; i += len) {
        len = (size_t)str_utf8_next(s + i, n - i, &cp);
        if (token_is_space(cp))
            continue;
        if (begin == n)
            begin = i;
        end = i + len;
    }
    if (!step->left)
        begin = 0;
    if (!step->right)
        end = n;
    if (begin < end)
        str_append(out, s + begin, end - begin);
    return true;
}

static bool read_prepend(struct token_step *step, const json_t *tree, struct err *err)
{
    const char *text = "";
    bool ok = json_get_string(tree, "prepend", &text, err);
    step->text = xstrdup(text);
    return ok;
}

static bool run_prepend(const struct token_step *step, struct token_run *run, const char *s,
                        size_t n, bool first, struct str *out)
{
    if (n && !(run->continues && first))
        str_puts(out, step->text);
    str_append(out, s, n);
    return true;
}

static bool read_replace(struct token_step *step, const json_t *tree, struct err *err)
{
    const char *content = "";
    if (!json_get_string(tree, "content", &content, err))
        return false;
    step->text = xstrdup(content);
    step->regex = token_read_pattern(tree, err);
    return step->regex;
}

static bool run_replace(const struct token_step *step, struct token_run *run, const char *s,
                        size_t n, bool first, struct str *out)
{
    (void)first;
    size_t from = 0, start, end;
    int found;
    token_match_reset(run->match);
    while ((found = token_regex_next(step->regex, run->match, s, n, from, &start, &end,
                                     run->err)) > 0) {
        str_append(out, s + from, start > from ? start - from : 0);
        str_puts(out, step->text);
        from = end;
        if (out->len > TOKEN_MAX_NORMALIZED)
            return err_set(run->err, ERR_RANGE, "the normalizer makes the text too large (found "
                         "more, expected at most %zu bytes)", TOKEN_MAX_NORMALIZED);
    }
    str_append(out, s + from, n - from);
    return found == 0;
}

static bool read_bert(struct token_step *step, const json_t *tree, struct err *err)
{
    step->clean = step->chinese = step->lower = true;
    if (!json_get_bool(tree, "clean_text", &step->clean, err) ||
        !json_get_bool(tree, "handle_chinese_chars", &step->chinese, err) ||
        !json_get_bool(tree, "lowercase", &step->lower, err))
        return false;
    step->accents = step->lower; /* where it says nothing */
    return json_get_bool(tree, "strip_accents", &step->accents, err);
}

static bool is_chinese(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
           (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2b73f) ||
           (cp >= 0x2b740 && cp <= 0x2b81f) || (cp >= 0x2b920 && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

static void bert_char(const struct token_step *step, uint32_t cp, struct str *out)
{
    bool space = token_is_space(cp);
    bool named = cp == '\t' || cp == '\n' || cp == '\r';
    utf8proc_category_t c = category(cp);
    bool other = c == UTF8PROC_CATEGORY_CN || c >= UTF8PROC_CATEGORY_CC;
    if (step->clean && !named && (cp == 0 || cp == 0xfffd || other))
        return;
    if (step->clean && space)
        cp = ' ';
    bool chinese = step->chinese && is_chinese(cp);
    if (chinese)
        str_putc(out, ' ');
    str_put_utf8(out, cp);
    if (chinese)
        str_putc(out, ' ');
}

static bool run_bert(const struct token_step *step, struct token_run *run, const char *s,
                     size_t n, bool first, struct str *out)
{
    (void)first;
    struct str text = {0}, next = {0};
    uint32_t cp;
    for (size_t i = 0; i < n; bert_char(step, cp, &text))
        i += (size_t)str_utf8_next(s + i, n - i, &cp);
    bool ok = true;
    if (step->accents) {
        ok = map_unicode(run, str_text(&text), text.len, UTF8PROC_DECOMPOSE, &next);
        str_reset(&text);
        for (size_t i = 0; i < next.len;) {
            i += (size_t)str_utf8_next(next.data + i, next.len - i, &cp);
            if (category(cp) != UTF8PROC_CATEGORY_MN)
                str_put_utf8(&text, cp);
        }
    }
    if (ok && step->lower)
        each(str_text(&text), text.len, out, lowercase);
    else if (ok)
        str_append(out, str_text(&text), text.len);
    str_finish(&text);
    str_finish(&next);
    return ok;
}

static const struct token_step_type types[] = {
    {"NFC", NULL, run_nfc},
    {"NFD", NULL, run_nfd},
    {"NFKC", NULL, run_nfkc},
    {"NFKD", NULL, run_nfkd},
    {"Lowercase", NULL, run_lowercase},
    {"StripAccents", NULL, run_no_marks},
    {"Nmt", NULL, run_nmt},
    {"ByteLevel", NULL, run_byte_level},
    {"Strip", read_strip, run_strip},
    {"Prepend", read_prepend, run_prepend},
    {"Replace", read_replace, run_replace},
    {"BertNormalizer", read_bert, run_bert},
};

/* --- all of them ------------------------------------------------------------------------------ */

static const struct token_step_type *find_type(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool token_norm_read(const json_t *tree, struct token_steps *out, struct err *err)
{
    if (!tree)
        return true;
    const char *name = json_string_value(json_object_get(tree, "type"));
    if (!name)
        return err_set(err, ERR_FORMAT, "bad 'normalizer' (found no type, expected one)");
    if (strcmp(name, "Sequence") == 0) {
        size_t i;
        json_t *inner;
        json_array_foreach(json_object_get(tree, "normalizers"), i, inner)
            if (!token_norm_read(inner, out, err))
                return false;
        return true;
    }
    const struct token_step_type *type = find_type(name);
    if (!type)
        return err_set(err, ERR_UNSUPPORTED, "normalizer not read (found %s, expected NFC, Replace, "
                       "Prepend, ...)", name);
    if (out->n == TOKEN_MAX_STEPS)
        return err_set(err, ERR_RANGE, "too many normalizers (found more, expected at most %d)",
                       TOKEN_MAX_STEPS);
    struct token_step *step = &out->step[out->n++];
    step->type = type;
    return !type->read || type->read(step, tree, err) || err_wrap(err, "normalizer %s", name);
}

void token_steps_finish(struct token_steps *s)
{
    for (int i = 0; i < s->n; i++) {
        token_regex_free(s->step[i].regex);
        free(s->step[i].text);
    }
    s->n = 0;
}

bool token_norm_run(const struct token_steps *s, struct token_run *run, const char *text,
                    size_t n, bool first, struct str *out)
{
    struct str next = {0};
    str_reset(out);
    str_append(out, text, n);
    bool ok = true;
    for (int i = 0; ok && i < s->n; i++) {
        const struct token_step *step = &s->step[i];
        str_reset(&next);
        ok = step->type->run(step, run, str_text(out), out->len, first, &next);
        if (ok && next.len > TOKEN_MAX_NORMALIZED)
            ok = err_set(run->err, ERR_RANGE, "the normalizer makes the text too large (found "
                         "more, expected at most %zu bytes)", TOKEN_MAX_NORMALIZED);
        struct str before = *out;
        *out = next;
        next = before;
    }
    str_finish(&next);
    return ok;
}
