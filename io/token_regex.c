/*
 * token_regex.c - see token_encoder_impl.h: patterns in Oniguruma's words put into PCRE2's.
 *
 * Alike in both and left as they are: alternation, groups, look-around, \p{..}, possessive
 * and lazy quantifiers, (?i:..). Different, and translated:
 *   \s \S [:space:]  White_Space; PCRE2's has U+180E besides
 *   \w \W \b \B      Alphabetic, Mark, Nd, Pc, and Latin-1's No; PCRE2's is L, N and _
 *   [:alpha:] ..     by properties; so are \p{Alpha} ..
 *   \d \D            Nd
 *   \h \H            a hexadecimal digit; PCRE2's is horizontal space
 *   {,n}             {0,n}; PCRE2 takes it literally
 *   \uHHHH           \x{HHHH}
 * Refused, because the words mean something else there: [a[b]], [a&&b], \W \S \H inside of
 * [..] where that cannot be listed, {n,m}+ and (?m).
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/mem.h"
#include "io/token_encoder_impl.h"

#define MAX_PATTERN  (64u << 10)
#define MATCH_LIMIT  10000000u /* PCRE2's own */
#define DEPTH_LIMIT  100000u   /* without the JIT: heap of a match below 100 MB */

#define SPACES "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}" \
               "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACES "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}" \
                  "\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}" \
                  "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}" \
                  "\\x{3001}-\\x{10ffff}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define HEX "0-9a-fA-F"

struct token_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

struct token_match {
    pcre2_match_data *data;
    bool matched;    /* an earlier call on this text found something, */
    size_t last_end; /* and it ended here */
};

struct reader {
    const char *p, *end;
    struct str *out;
    bool in_class;
    struct err *err;
};

static bool refuse(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_UNSUPPORTED, "pattern not read (found %s, expected what both "
                   "Oniguruma and PCRE2 read)", what);
}

static bool put(struct reader *r, const char *text)
{
    str_puts(r->out, text);
    return true;
}

/* \uHHHH, r->p behind the u. */
static bool unicode_escape(struct reader *r)
{
    if (r->end - r->p < 4)
        return refuse(r, "an unfinished \\u");
    str_appendf(r->out, "\\x{%.4s}", r->p);
    r->p += 4;
    return true;
}

/* Oniguruma's classes by name; NULL: none of them. */
static const char *class_name(const char *name, size_t n)
{
    static const struct {
        const char *name, *members;
    } classes[] = {
        {"alpha", "\\p{Alphabetic}"}, {"alnum", "\\p{Alphabetic}\\p{Nd}"},
        {"digit", "\\p{Nd}"},         {"space", SPACES},
        {"upper", "\\p{Uppercase}"},  {"lower", "\\p{Lowercase}"},
        {"punct", "\\p{P}\\p{S}"},    {"word", "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strlen(classes[i].name) == n && strncasecmp(classes[i].name, name, n) == 0)
            return classes[i].members;
    return NULL;
}

/* \p{..}, \P{..}, \x{..} and the like; r->p behind the letter. */
static bool braced(struct reader *r, char letter)
{
    const char *close = memchr(r->p, '}', (size_t)(r->end - r->p));
    if (r->p == r->end || *r->p != '{') {
        str_append(r->out, r->p - 2, 2);
        return true;
    }
    if (!close)
        return refuse(r, "an unfinished {");
    const char *own = letter == 'p' || letter == 'P'
                          ? class_name(r->p + 1, (size_t)(close - r->p) - 1) : NULL;
    if (own && letter == 'P' && r->in_class)
        return refuse(r, "\\P of a class inside of [..]");
    if (own)
        str_appendf(r->out, r->in_class ? "%s%s" : "[%s%s]", letter == 'P' ? "^" : "", own);
    else
        str_append(r->out, r->p - 2, (size_t)(close + 1 - (r->p - 2)));
    r->p = close + 1;
    return true;
}

/* r->p is at the backslash. */
static bool escape(struct reader *r)
{
    if (r->end - r->p < 2)
        return refuse(r, "a backslash at its end");
    char c = r->p[1];
    bool in = r->in_class;
    r->p += 2;
    switch (c) {
    case 's': return put(r, in ? SPACES : "[" SPACES "]");
    case 'S': return put(r, in ? NO_SPACES : "[" NO_SPACES "]");
    case 'd': return put(r, "\\p{Nd}");
    case 'D': return put(r, "\\P{Nd}");
    case 'w': return put(r, in ? WORD : "[" WORD "]");
    case 'W': return in ? refuse(r, "\\W inside of [..]") : put(r, "[^" WORD "]");
    case 'h': return put(r, in ? HEX : "[" HEX "]");
    case 'H': return in ? refuse(r, "\\H inside of [..]") : put(r, "[^" HEX "]");
    case 'u': return unicode_escape(r);
    case 'b':
        return put(r, in ? "\\x08" : "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))");
    case 'B':
        return in ? refuse(r, "\\B inside of [..]")
                  : put(r, "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
    case 'C': case 'M': case 'c': case 'y': case 'Y': case 'O':
        return refuse(r, "an escape that PCRE2 does not have");
    default:
        if (strchr("pPxgk", c))
            return braced(r, c);
        str_append(r->out, r->p - 2, 2);
        return true;
    }
}

/* Inside of [..]: everything that is no escape. */
static bool class_char(struct reader *r)
{
    char c = *r->p;
    size_t left = (size_t)(r->end - r->p);
    if (c == '&' && left > 1 && r->p[1] == '&')
        return refuse(r, "&& inside of [..]");
    if (c == '[' && (left < 2 || r->p[1] != ':'))
        return refuse(r, "[ inside of [..]");
    if (c == '[') {
        const char *close = memmem(r->p, left, ":]", 2);
        const char *own = close ? class_name(r->p + 2, (size_t)(close - r->p) - 2) : NULL;
        if (!own)
            return refuse(r, "an unknown class [:..:]");
        r->p = close + 2;
        return put(r, own);
    }
    if (c == ']')
        r->in_class = false;
    str_putc(r->out, c);
    r->p++;
    return true;
}

/* At '{': a quantifier or literal text. */
static bool brace(struct reader *r)
{
    const char *close = memchr(r->p, '}', (size_t)(r->end - r->p));
    if (close && close + 1 < r->end && close[1] == '+')
        return refuse(r, "{..}+");
    str_putc(r->out, *r->p++);
    if (r->p < r->end && *r->p == ',' && close && close > r->p + 1)
        str_putc(r->out, '0');
    return true;
}

/* At '(': (?m) means something else here. */
static bool group(struct reader *r)
{
    const char *p = r->p + 1;
    if (r->end - p > 1 && *p == '?')
        for (p++; p < r->end && ((*p >= 'a' && *p <= 'z') || *p == '-'); p++)
            if (*p == 'm')
                return refuse(r, "(?m)");
    str_putc(r->out, *r->p++);
    return true;
}

static bool translate(struct reader *r)
{
    while (r->p < r->end) {
        bool ok = true;
        char c = *r->p;
        if (c == '\\') {
            ok = escape(r);
        } else if (r->in_class) {
            ok = class_char(r);
        } else if (c == '[') {
            str_putc(r->out, *r->p++);
            r->in_class = true;
            if (r->p < r->end && *r->p == '^')
                str_putc(r->out, *r->p++);
            if (r->p < r->end && *r->p == ']')
                str_putc(r->out, *r->p++);
        } else if (c == '{') {
            ok = brace(r);
        } else if (c == '(') {
            ok = group(r);
        } else {
            str_putc(r->out, *r->p++);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool compile(struct token_regex *re, const struct str *text, struct err *err)
{
    int code;
    PCRE2_SIZE offset;
    re->code = pcre2_compile((PCRE2_SPTR)str_text(text), text->len,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE |
                                 PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK,
                             &code, &offset, NULL);
    if (!re->code) {
        PCRE2_UCHAR message[200] = "";
        pcre2_get_error_message(code, message, sizeof message);
        return err_set(err, ERR_UNSUPPORTED, "pattern not read (found '%.60s': %s, expected a "
                       "regular expression)", str_text(text), (const char *)message);
    }
    pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without it, it is only slower */
    re->limits = pcre2_match_context_create(NULL);
    if (!re->limits)
        return err_set(err, ERR_NOMEM, "pattern: no memory");
    pcre2_set_match_limit(re->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(re->limits, DEPTH_LIMIT);
    return true;
}

struct token_regex *token_regex_new(const char *pattern, struct err *err)
{
    struct str text = {0};
    struct reader r = {pattern, pattern + strlen(pattern), &text, false, err};
    struct token_regex *re = xcalloc(1, sizeof *re);
    bool ok = strlen(pattern) <= MAX_PATTERN || refuse(&r, "more than 64 KiB");
    ok = ok && translate(&r) && compile(re, &text, err);
    str_finish(&text);
    if (ok)
        return re;
    token_regex_free(re);
    return NULL;
}

void token_regex_free(struct token_regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    pcre2_match_context_free(re->limits);
    free(re);
}

struct token_match *token_match_new(void)
{
    struct token_match *m = xcalloc(1, sizeof *m);
    m->data = pcre2_match_data_create(1, NULL);
    return m;
}

void token_match_free(struct token_match *m)
{
    if (!m)
        return;
    pcre2_match_data_free(m->data);
    free(m);
}

void token_match_reset(struct token_match *m)
{
    m->matched = false;
}

int token_regex_next(const struct token_regex *re, struct token_match *m, const char *s,
                     size_t n, size_t from, size_t *start, size_t *end, struct err *err)
{
    while (from <= n) {
        int found = m->data ? pcre2_match(re->code, (PCRE2_SPTR)s, n, from, PCRE2_NO_UTF_CHECK,
                                          m->data, re->limits)
                            : PCRE2_ERROR_NOMEMORY;
        if (found == PCRE2_ERROR_NOMATCH)
            return 0;
        if (found < 0) {
            err_set(err, ERR_RANGE, "the tokenizer's pattern gives up on this text (found too many "
                    "ways to try, expected fewer)");
            return -1;
        }
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
        /* No empty match directly behind the last one: onig's find_iter. */
        if (at[0] < at[1] || !m->matched || at[1] != m->last_end) {
            *start = at[0] < at[1] ? at[0] : at[1]; /* \K can turn them round */
            *end = at[1];
            m->matched = true;
            m->last_end = *end;
            return 1;
        }
        uint32_t cp;
        from += from < n ? (size_t)str_utf8_next(s + from, n - from, &cp) : 1;
    }
    return 0;
}
