/* jscan.c - see jscan.h. */
#include "io/jscan.h"

#include <string.h>

static bool fail(const struct jscan *js, struct err *err, const char *expected)
{
    char found[ERR_EXCERPT];
    return err_format(err, (uint64_t)(js->p - js->start), "not JSON (found %s, expected %s)",
                      err_excerpt(js->p, (size_t)(js->end - js->p), found), expected);
}

void jscan_init(struct jscan *js, const char *text, size_t n)
{
    *js = (struct jscan){text, text, text + n};
}

char jscan_peek(struct jscan *js)
{
    while (js->p < js->end &&
           (*js->p == ' ' || *js->p == '\n' || *js->p == '\r' || *js->p == '\t'))
        js->p++;
    return js->p < js->end ? *js->p : 0;
}

static bool expect(struct jscan *js, char c, struct err *err)
{
    const char name[] = {'\'', c, '\'', 0};
    if (jscan_peek(js) != c || js->p == js->end)
        return fail(js, err, name);
    js->p++;
    return true;
}

bool jscan_enter(struct jscan *js, char open, struct err *err)
{
    return expect(js, open, err);
}

int jscan_next(struct jscan *js, char close, bool *first, struct err *err)
{
    if (jscan_peek(js) == close && js->p < js->end) {
        js->p++;
        return 0;
    }
    if (!*first && !expect(js, ',', err))
        return -1;
    *first = false;
    return 1;
}

bool jscan_key(struct jscan *js, struct str *key, struct err *err)
{
    str_reset(key);
    return jscan_string(js, key, err) && expect(js, ':', err);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits of \uXXXX; js->p is behind the u. */
static bool hex4(struct jscan *js, uint32_t *out, struct err *err)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++, js->p++) {
        int d = js->p < js->end ? hex_digit(*js->p) : -1;
        if (d < 0)
            return fail(js, err, "four hexadecimal digits after \\u");
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return true;
}

static bool unicode_escape(struct jscan *js, struct str *out, struct err *err)
{
    uint32_t hi = 0, lo = 0;
    if (!hex4(js, &hi, err))
        return false;
    if (hi >= 0xd800 && hi <= 0xdbff) {
        if (js->end - js->p < 2 || js->p[0] != '\\' || js->p[1] != 'u')
            return fail(js, err, "both halves of a surrogate pair before it");
        js->p += 2;
        if (!hex4(js, &lo, err))
            return false;
        if (lo < 0xdc00 || lo > 0xdfff)
            return fail(js, err, "both halves of a surrogate pair before it");
        hi = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
    } else if (hi >= 0xdc00 && hi <= 0xdfff) {
        return fail(js, err, "both halves of a surrogate pair before it");
    }
    str_put_utf8(out, hi);
    return true;
}

/* js->p is at the backslash. */
static bool escape(struct jscan *js, struct str *out, struct err *err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (js->end - js->p < 2)
        return fail(js, err, "the string to go on");
    char c = js->p[1];
    js->p += 2;
    if (c == 'u')
        return unicode_escape(js, out, err);
    const char *at = c ? strchr(from, c) : NULL;
    if (!at)
        return fail(js, err, "a known escape before it");
    str_putc(out, to[at - from]);
    return true;
}

bool jscan_string(struct jscan *js, struct str *out, struct err *err)
{
    if (!expect(js, '"', err))
        return false;
    for (;;) {
        const char *run = js->p;
        while (js->p < js->end && *js->p != '"' && *js->p != '\\') {
            unsigned char c = (unsigned char)*js->p;
            uint32_t cp;
            int len = c < 0x80 ? 1 : str_utf8_next(js->p, (size_t)(js->end - js->p), &cp);
            if (c < 0x20)
                return fail(js, err, "no control character in a string");
            if (len < 0)
                return fail(js, err, "UTF-8 in a string");
            js->p += len;
        }
        str_append(out, run, (size_t)(js->p - run));
        if (js->p == js->end)
            return fail(js, err, "the string to go on");
        if (*js->p == '"') {
            js->p++;
            return true;
        }
        if (!escape(js, out, err))
            return false;
    }
}

bool jscan_int(struct jscan *js, int64_t *out, struct err *err)
{
    bool negative = jscan_peek(js) == '-' && js->p < js->end;
    const char *p = js->p + negative;
    int64_t v = 0;
    const char *digits = p;
    for (; p < js->end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            return fail(js, err, "an integer below 2^63");
    if (p == digits || (p < js->end && (*p == '.' || *p == 'e' || *p == 'E')))
        return fail(js, err, "an integer");
    js->p = p;
    *out = negative ? -v : v;
    return true;
}

/* Over a string; nothing is decoded. */
static bool skip_string(struct jscan *js, struct err *err)
{
    for (js->p++; js->p < js->end; js->p++) {
        if (*js->p == '"') {
            js->p++;
            return true;
        }
        if (*js->p == '\\' && js->p + 1 < js->end)
            js->p++;
    }
    return fail(js, err, "the string to go on");
}

/* Over a number, true, false, null (or NaN, which json.dump writes). */
static bool skip_word(struct jscan *js, struct err *err)
{
    const char *start = js->p;
    while (js->p < js->end && *js->p && !strchr(",]}[{:\" \n\r\t", *js->p))
        js->p++;
    return js->p > start || fail(js, err, "a value");
}

bool jscan_skip(struct jscan *js, struct err *err)
{
    char close[JSCAN_MAX_DEPTH];
    int depth = 0;
    do {
        char c = jscan_peek(js);
        if (js->p == js->end)
            return fail(js, err, "a value");
        if (c == '{' || c == '[') {
            if (depth == JSCAN_MAX_DEPTH)
                return fail(js, err, "less nesting");
            close[depth++] = c == '{' ? '}' : ']';
            js->p++;
        } else if (c == '}' || c == ']') {
            if (!depth || close[--depth] != c)
                return fail(js, err, "the bracket that was opened");
            js->p++;
        } else if (depth && (c == ',' || c == ':')) {
            js->p++;
        } else if (!(c == '"' ? skip_string(js, err) : skip_word(js, err))) {
            return false;
        }
    } while (depth);
    return true;
}

bool jscan_finish(struct jscan *js, struct err *err)
{
    jscan_peek(js);
    return js->p == js->end || fail(js, err, "nothing behind the value");
}
