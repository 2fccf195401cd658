/* str.c - see str.h. */
#include "io/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "io/mem.h"

void str_finish(struct str *s)
{
    free(s->data);
    *s = (struct str){0};
}

void str_reset(struct str *s)
{
    s->len = 0;
    if (s->data)
        s->data[0] = 0;
}

void str_reserve(struct str *s, size_t more)
{
    size_t need = s->len + more + 1;
    if (need <= s->cap)
        return;
    s->cap = need < 32 ? 32 : need + need / 2;
    s->data = xrealloc(s->data, s->cap);
    s->data[s->len] = 0;
}

void str_append(struct str *s, const void *bytes, size_t n)
{
    str_reserve(s, n);
    if (n)
        memcpy(s->data + s->len, bytes, n);
    s->len += n;
    s->data[s->len] = 0;
}

void str_puts(struct str *s, const char *text)
{
    str_append(s, text, strlen(text));
}

void str_putc(struct str *s, char c)
{
    str_append(s, &c, 1);
}

void str_append_va(struct str *s, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return;
    str_reserve(s, (size_t)n);
    vsnprintf(s->data + s->len, (size_t)n + 1, fmt, ap);
    s->len += (size_t)n;
}

void str_appendf(struct str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_append_va(s, fmt, ap);
    va_end(ap);
}

const char *str_text(const struct str *s)
{
    return s->data ? s->data : "";
}

char *str_take(struct str *s)
{
    char *text = s->data ? s->data : xstrdup("");
    *s = (struct str){0};
    return text;
}

/* Which second bytes a lead byte allows narrows for E0, ED, F0 and F4: that is what keeps
 * overlong forms, surrogates and values above U+10FFFF out (Unicode table 3-7). */
int str_utf8_next(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    *cp = p[0];
    if (p[0] < 0x80)
        return 1;
    int more = p[0] >= 0xc2 && p[0] <= 0xdf ? 1
             : p[0] >= 0xe0 && p[0] <= 0xef ? 2
             : p[0] >= 0xf0 && p[0] <= 0xf4 ? 3 : 0;
    *cp = 0xfffd;
    if (!more)
        return -1;
    uint32_t value = p[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        unsigned lo = 0x80, hi = 0xbf;
        if (i == 1) {
            lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : lo;
            hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : hi;
        }
        if ((size_t)i >= n || p[i] < lo || p[i] > hi)
            return -i;
        value = value << 6 | (p[i] & 0x3f);
    }
    *cp = value;
    return more + 1;
}

void str_put_utf8(struct str *s, uint32_t cp)
{
    utf8proc_uint8_t buf[4];
    str_append(s, buf, (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, buf));
}

bool str_utf8(struct str *out, const char *bytes, size_t n)
{
    bool valid = true;
    str_reserve(out, n);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int len = str_utf8_next(bytes + i, n - i, &cp);
        if (len > 0) {
            str_append(out, bytes + i, (size_t)len);
            i += (size_t)len;
        } else {
            str_put_utf8(out, cp);
            i += (size_t)-len;
            valid = false;
        }
    }
    return valid;
}

void str_hex(struct str *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    str_reserve(out, 2 * n);
    for (size_t i = 0; i < n; i++) {
        str_putc(out, digits[p[i] >> 4]);
        str_putc(out, digits[p[i] & 15]);
    }
}

/* Letters and marks that draw nothing although their category does not say so:
 * combining grapheme joiner, Khmer inherent vowels, Hangul fillers. */
static bool is_invisible_letter(uint32_t cp)
{
    return cp == 0x034f || cp == 0x115f || cp == 0x1160 || cp == 0x17b4 || cp == 0x17b5 ||
           cp == 0x3164 || cp == 0xffa0;
}

static bool is_plain(uint32_t cp, enum str_newlines how)
{
    if (cp < 0x80)
        return cp >= 0x20 && cp != 0x7f;
    if (how == STR_ASCII || is_invisible_letter(cp))
        return false;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

static void put_visible(struct str *out, uint32_t cp, enum str_newlines how)
{
    static const struct {
        char c;
        const char *escaped;
        uint32_t symbol;
    } whitespace[] = {{'\n', "\\n", 0x21b5}, {'\r', "\\r", 0x240d}, {'\t', "\\t", 0x21e5}};

    for (size_t i = 0; i < sizeof whitespace / sizeof *whitespace; i++) {
        if (cp != (uint32_t)whitespace[i].c)
            continue;
        if (how == STR_SYMBOLS)
            str_put_utf8(out, whitespace[i].symbol);
        else
            str_puts(out, whitespace[i].escaped);
        return;
    }
    str_appendf(out, cp < 0x80 ? "\\x%02x" : "<U+%04X>", (unsigned)cp);
}

void str_visible(struct str *out, const char *bytes, size_t n, enum str_newlines how)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int len = str_utf8_next(bytes + i, n - i, &cp);
        size_t step = (size_t)(len > 0 ? len : -len);
        if (len < 0 && how == STR_ASCII)
            for (size_t k = 0; k < step; k++)
                str_appendf(out, "\\x%02x", (unsigned char)bytes[i + k]);
        else if (len < 0)
            str_put_utf8(out, cp);
        else if (is_plain(cp, how))
            str_append(out, bytes + i, step);
        else
            put_visible(out, cp, how);
        i += step;
    }
}

size_t str_grapheme(const char *s, size_t n, int *width)
{
    uint32_t cp, next;
    int len = str_utf8_next(s, n, &cp);
    if (len < 0) {
        *width = 1;
        return (size_t)-len;
    }
    size_t used = (size_t)len;
    int cells = utf8proc_charwidth((utf8proc_int32_t)cp);
    utf8proc_int32_t state = 0;
    while (used < n && (len = str_utf8_next(s + used, n - used, &next)) > 0 &&
           !utf8proc_grapheme_break_stateful((utf8proc_int32_t)cp, (utf8proc_int32_t)next,
                                             &state)) {
        cells += utf8proc_charwidth((utf8proc_int32_t)next);
        used += (size_t)len;
        cp = next;
    }
    *width = cells > 2 ? 2 : cells;
    return used;
}

int64_t str_width(const char *s, size_t n)
{
    int64_t cells = 0;
    for (size_t i = 0; i < n;) {
        int w;
        i += str_grapheme(s + i, n - i, &w);
        cells += w;
    }
    return cells;
}

size_t str_fit(const char *s, size_t n, int64_t cells)
{
    size_t i = 0;
    while (i < n) {
        int w;
        size_t len = str_grapheme(s + i, n - i, &w);
        if (w > cells)
            break;
        cells -= w;
        i += len;
    }
    return i;
}
