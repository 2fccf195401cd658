/*
 * str.h - growing strings, and text from files made safe to show.
 *
 * struct str is bytes with a length; a zeroed one is the empty string. Whenever data is not
 * NULL it is followed by a 0 byte, which len does not count. Memory is small and structural
 * (xrealloc); who appends input-sized text checks its size first.
 *
 * Token strings, feature labels and file names may hold anything: escape sequences,
 * characters that reorder the line, bytes that are no UTF-8. The functions below turn them
 * into what a terminal (str_visible) or JSON (str_utf8) can take.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    char *data; /* owned */
    size_t len, cap;
};

void str_finish(struct str *s); /* a zeroed one is fine; leaves it zeroed */
void str_reset(struct str *s);  /* empty, keeps the memory */
void str_reserve(struct str *s, size_t more); /* room for `more` bytes and the 0 */

void str_append(struct str *s, const void *bytes, size_t n);
void str_puts(struct str *s, const char *text);
void str_putc(struct str *s, char c);
void str_appendf(struct str *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void str_append_va(struct str *s, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* The text, never NULL; borrowed until the next change. */
const char *str_text(const struct str *s);
/* The same, now owned by the caller (free); *s is left empty. Never NULL. */
char *str_take(struct str *s);

/*
 * The character at the start of the n bytes s (n > 0). Returns its length and sets *cp, or
 * -k when the first k bytes are a maximal part of no character (Unicode ch. 3.9, "U+FFFD
 * Substitution of Maximal Subparts", as in the WHATWG decoder) and *cp is U+FFFD.
 * Surrogates and overlong forms are invalid.
 */
int str_utf8_next(const char *s, size_t n, uint32_t *cp);

/* Append cp (a Unicode scalar value) as UTF-8. */
void str_put_utf8(struct str *s, uint32_t cp);

/* Append the n bytes as valid UTF-8, U+FFFD for each maximal invalid part. Returns true
 * when all of it was valid already. For the JSON key "bytes" see str_hex. */
bool str_utf8(struct str *out, const char *bytes, size_t n);

/* Append 2 n lower-case hexadecimal digits. */
void str_hex(struct str *out, const void *bytes, size_t n);

enum str_newlines {
    STR_ESCAPED, /* \n \r \t as two characters each */
    STR_SYMBOLS, /* as U+21B5, U+240D, U+21E5, which fonts have: one cell each */
    STR_ASCII,   /* as STR_ESCAPED, and everything beyond ASCII as <U+XXXX> */
};

/*
 * Append the n bytes as text that is harmless on a terminal and shows what is in it:
 *   other control characters below 0x80        \x1b
 *   other control, format (bidi, zero-width, soft hyphen, tags), line separator,
 *   invisible filler and unassigned characters  <U+202E>
 *   invalid bytes                               U+FFFD for each maximal part (ASCII: \xff)
 * All else stays. The result can be told from the original only by eye: it is for showing.
 */
void str_visible(struct str *out, const char *bytes, size_t n, enum str_newlines how);

/*
 * The first grapheme cluster of the n bytes of text s (n > 0): its length in bytes.
 * *width gets its terminal cells, 0 to 2: the sum over its characters, at most 2; a lone
 * combining mark has 0. Invalid parts are one cluster of width 1 each. Width does not
 * depend on the locale.
 */
size_t str_grapheme(const char *s, size_t n, int *width);

/* Cells of n bytes of text. */
int64_t str_width(const char *s, size_t n);

/* Bytes of the longest run of whole graphemes from the start that fits into `cells`. */
size_t str_fit(const char *s, size_t n, int64_t cells);
