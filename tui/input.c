/* input.c - see input.h. Sequences as in xterm's ctlseqs and ECMA-48. */
#include "tui/input.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

/* -- names ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int32_t key;
} names[] = {
    {"Up", K_UP},           {"Down", K_DOWN},         {"Left", K_LEFT},
    {"Right", K_RIGHT},     {"PageUp", K_PAGE_UP},    {"PageDown", K_PAGE_DOWN},
    {"Home", K_HOME},       {"End", K_END},           {"Insert", K_INSERT},
    {"Delete", K_DELETE},   {"Tab", K_TAB},           {"Enter", K_ENTER},
    {"Esc", K_ESC},         {"Backspace", K_BACKSPACE}, {"Space", ' '},
    {"Hash", '#'},
};

static const struct {
    const char *prefix;
    int32_t bit;
} modifiers[] = {{"Shift-", K_SHIFT}, {"Alt-", K_ALT}, {"Ctrl-", K_CTRL}};

static int32_t named(const char *s, size_t *len)
{
    int number, used = 0;

    if (sscanf(s, "F%2d%n", &number, &used) == 1 && number >= 1 && number <= 12) {
        *len = (size_t)used;
        return K_F1 + number - 1;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *len = strlen(names[i].name);
        if (strncmp(s, names[i].name, *len) == 0)
            return names[i].key;
    }
    return K_NONE;
}

static int32_t printable(const char *s, size_t *len)
{
    utf8proc_int32_t cp;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, -1, &cp);

    if (n <= 0 || cp <= ' ' || cp == 127)
        return K_NONE;
    *len = (size_t)n;
    return cp;
}

int32_t key_parse(const char *s, size_t *used)
{
    const char *start = s;
    int32_t bits = 0, key;
    size_t len = 0;

    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < sizeof modifiers / sizeof *modifiers; i++) {
            size_t n = strlen(modifiers[i].prefix);
            if (strncmp(s, modifiers[i].prefix, n) == 0 && s[n]) {
                bits |= modifiers[i].bit;
                s += n;
                again = true;
            }
        }
    }
    if (s[0] == '^' && isalpha((unsigned char)s[1])) {
        bits |= K_CTRL;
        key = tolower((unsigned char)s[1]);
        len = 2;
    } else if ((key = named(s, &len)) == K_NONE) {
        key = printable(s, &len);
    }
    if (key == K_NONE || (!used && s[len]))
        return K_NONE;
    if (used)
        *used = (size_t)(s - start) + len;
    return key | bits;
}

const char *key_text(int32_t key, char *buf, size_t size)
{
    int32_t base = key & 0xffffff;
    const char *name = NULL;
    char plain[8] = {0};
    bool caret = (key & K_CTRL) && base >= 'a' && base <= 'z';

    for (size_t i = 0; i < sizeof names / sizeof *names && !name; i++)
        if (names[i].key == base && base != '#')
            name = names[i].name;
    if (base >= K_F1 && base <= K_F12)
        snprintf(plain, sizeof plain, "F%d", base - K_F1 + 1);
    else if (caret)
        snprintf(plain, sizeof plain, "^%c", toupper(base));
    else if (!name && base < 0x110000)
        plain[utf8proc_encode_char(base, (utf8proc_uint8_t *)plain)] = 0;
    snprintf(buf, size, "%s%s%s%s", key & K_SHIFT ? "Shift-" : "",
             key & K_ALT ? "Alt-" : "", (key & K_CTRL) && !caret ? "Ctrl-" : "",
             name ? name : plain);
    return buf;
}

/* -- sequences ------------------------------------------------------------------------ */

static void event_key(struct event *out, int32_t key)
{
    *out = (struct event){.kind = EVENT_KEY, .key = key};
}

/* The parameter of xterm: 1 + shift 1 + alt 2 + ctrl 4. */
static int32_t modifier_bits(int parameter)
{
    int m = parameter > 0 ? parameter - 1 : 0;
    return (m & 1 ? K_SHIFT : 0) | (m & 2 ? K_ALT : 0) | (m & 4 ? K_CTRL : 0);
}

static int32_t final_key(char final)
{
    switch (final) {
    case 'A': return K_UP;
    case 'B': return K_DOWN;
    case 'C': return K_RIGHT;
    case 'D': return K_LEFT;
    case 'H': return K_HOME;
    case 'F': return K_END;
    case 'P': return K_F1;
    case 'Q': return K_F1 + 1;
    case 'R': return K_F1 + 2;
    case 'S': return K_F1 + 3;
    case 'M': return K_ENTER; /* of the keypad, after SS3 */
    default: return K_NONE;
    }
}

static int32_t tilde_key(int number)
{
    static const int32_t keys[] = {
        [1] = K_HOME, [2] = K_INSERT, [3] = K_DELETE, [4] = K_END, [5] = K_PAGE_UP,
        [6] = K_PAGE_DOWN, [7] = K_HOME, [8] = K_END,
        [11] = K_F1, [12] = K_F1 + 1, [13] = K_F1 + 2, [14] = K_F1 + 3, [15] = K_F1 + 4,
        [17] = K_F1 + 5, [18] = K_F1 + 6, [19] = K_F1 + 7, [20] = K_F1 + 8,
        [21] = K_F1 + 9, [23] = K_F1 + 10, [24] = K_F1 + 11,
    };
    return number > 0 && number < (int)(sizeof keys / sizeof *keys) ? keys[number] : K_NONE;
}

/* SGR report: ESC [ < button ; col ; row M (press) or m (release). */
static void event_mouse(struct event *out, const int *p, bool release)
{
    struct mouse m = {.row = p[2] - 1, .col = p[1] - 1};
    int b = p[0];

    m.modifiers = (b & 4 ? K_SHIFT : 0) | (b & 8 ? K_ALT : 0) | (b & 16 ? K_CTRL : 0);
    if (m.row < 0 || m.col < 0 || b >= 128)
        return;
    if (b & 64) {
        if ((b & 3) > 1 || release)
            return; /* sideways */
        m.kind = MOUSE_WHEEL;
        m.button = b & 1 ? 1 : -1;
    } else {
        m.kind = release ? MOUSE_RELEASE : b & 32 ? MOUSE_DRAG : MOUSE_PRESS;
        if ((b & 3) == 3)
            return; /* moved with no button down */
        m.button = (b & 3) + 1;
    }
    *out = (struct event){.kind = EVENT_MOUSE, .mouse = m};
}

static void event_csi(struct input *in, const char *body, size_t len, char final,
                      struct event *out)
{
    int p[4] = {0}, n = 0;
    bool mouse = len > 0 && body[0] == '<';

    for (size_t i = mouse; i < len; i++) {
        if (body[i] == ';' && n < 3)
            n++;
        else if (isdigit((unsigned char)body[i]) && p[n] < 100000)
            p[n] = p[n] * 10 + (body[i] - '0');
    }
    if (mouse && (final == 'M' || final == 'm')) {
        event_mouse(out, p, final == 'm');
    } else if (final == 'Z') {
        event_key(out, K_SHIFT | K_TAB);
    } else if (final == '~' && (p[0] == 200 || p[0] == 201)) {
        in->pasting = p[0] == 200;
    } else {
        int32_t key = final == '~' ? tilde_key(p[0]) : final_key(final);
        if (key != K_NONE && (final != 'M'))
            event_key(out, key | modifier_bits(p[1]));
    }
}

/* After ESC [: parameters 0x30-0x3f, intermediates 0x20-0x2f, one final byte. */
static size_t take_csi(struct input *in, const char *s, size_t n, bool flush,
                       struct event *out)
{
    size_t i = 2;

    if (n > 2 && s[2] == '[' && n > 3) { /* the Linux console's F1-F5: ESC [ [ A */
        if (s[3] >= 'A' && s[3] <= 'E')
            event_key(out, K_F1 + s[3] - 'A');
        return 4;
    }
    while (i < n && (s[i] & 0x60) == 0x20 && i < 64)
        i++;
    if (i >= n || (n == 3 && s[2] == '['))
        return flush ? n : 0;
    event_csi(in, s + 2, i - 2, s[i], out);
    return i + 1;
}

static size_t take_extra(const struct input *in, const char *s, size_t n, struct event *out)
{
    for (int i = 0; i < in->n_extra; i++) {
        size_t len = strlen(in->extra[i].bytes);
        if (len > 1 && len <= n && memcmp(s, in->extra[i].bytes, len) == 0) {
            event_key(out, in->extra[i].key);
            return len;
        }
    }
    return 0;
}

static size_t take_char(const struct input *in, const char *s, size_t n, bool flush,
                        struct event *out)
{
    unsigned char c = (unsigned char)s[0];
    utf8proc_int32_t cp = c;
    size_t len = 1;

    if (c >= 0x80) {
        int want = utf8proc_utf8class[c];
        if (want > 1 && (size_t)want > n && !flush)
            return 0;
        utf8proc_ssize_t got =
            utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &cp);
        if (got <= 0)
            return 1; /* no UTF-8: dropped */
        len = (size_t)got;
    }
    if (in->pasting) {
        *out = (struct event){.kind = EVENT_PASTE, .key = cp};
        return len;
    }
    if (c == '\n' || c == '\r')
        cp = K_ENTER;
    else if (c == 8 || c == 127)
        cp = K_BACKSPACE;
    else if (c == 0)
        cp = K_CTRL | ' ';
    else if (c < 27 && c != K_TAB)
        cp = K_CTRL | ('a' + c - 1);
    else if (c > 27 && c < 32)
        cp = K_CTRL | (c + 64);
    event_key(out, cp);
    return len;
}

size_t input_next(struct input *in, const char *bytes, size_t n, bool flush,
                  struct event *out)
{
    size_t used;

    *out = (struct event){0};
    if (n == 0)
        return 0;
    if (bytes[0] != 27)
        return take_char(in, bytes, n, flush, out);
    if (n == 1) {
        if (flush)
            event_key(out, K_ESC);
        return flush;
    }
    if (bytes[1] == '[')
        if (n == 2 && flush) {
            event_key(out, K_ALT | '[');
            return 2;
        }
    if ((used = take_extra(in, bytes, n, out)))
        return used;
    if (bytes[1] == '[')
        return n == 2 ? 0 : take_csi(in, bytes, n, flush, out);
    if (bytes[1] == 'O') {
        if (n == 2 && !flush)
            return 0;
        if (n > 2 && final_key(bytes[2]) != K_NONE) {
            event_key(out, final_key(bytes[2]));
            return 3;
        }
    }
    if (bytes[1] == 27) { /* Esc twice, or Alt with an arrow from old terminals */
        if (n == 2 && !flush)
            return 0;
        event_key(out, K_ESC);
        return 1;
    }
    used = take_char(in, bytes + 1, n - 1, flush, out);
    if (used && out->kind == EVENT_KEY)
        out->key |= K_ALT;
    return used ? used + 1 : 0;
}
