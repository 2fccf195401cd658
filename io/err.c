/* err.c - see err.h. */
#include "io/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/str.h"

#define ELLIPSIS "..."

/* Where `text` can be cut at or before `at`, not inside a character. */
static size_t cut_at(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* The message is `text`. One too long for its buffer loses its middle, which is some name
 * of a file or tensor: what was found and expected is at the end. */
static void set_text(struct err *err, const char *text, size_t n)
{
    size_t room = sizeof err->msg - 1, head = n, tail = n;
    if (n > room) {
        head = cut_at(text, room / 3);
        tail = n - (room - head - strlen(ELLIPSIS));
        while (tail < n && ((unsigned char)text[tail] & 0xc0) == 0x80)
            tail++;
    }
    char *out = err->msg;
    memmove(out, text, head);
    out += head;
    if (n > room) {
        memcpy(out, ELLIPSIS, strlen(ELLIPSIS));
        out += strlen(ELLIPSIS);
        memmove(out, text + tail, n - tail);
        out += n - tail;
    }
    *out = 0;
}

/* Names of files and tensors come from outside, and a message must stay one harmless line. */
static void append_visible(struct str *out, const char *text)
{
    str_visible(out, text, strlen(text), STR_ESCAPED);
}

static void set_va(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
    struct str text = {0}, visible = {0};
    str_append_va(&text, fmt, ap);
    append_visible(&visible, str_text(&text));
    *err = (struct err){.code = code};
    set_text(err, str_text(&visible), visible.len);
    str_finish(&visible);
    str_finish(&text);
}

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list ap;
    va_start(ap, fmt);
    set_va(err, code, fmt, ap);
    va_end(ap);
    return false;
}

/* Bytes of msg before the "(found ..." or "(expected ..." that ends it; all when none does. */
static size_t problem_length(const char *msg)
{
    size_t len = strlen(msg);
    for (const char *p = msg; len && msg[len - 1] == ')' && (p = strstr(p, " (")); p += 2)
        if (strncmp(p, " (found ", 8) == 0 || strncmp(p, " (expected ", 11) == 0)
            return (size_t)(p - msg);
    return len;
}

bool err_format(struct err *err, uint64_t offset, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list ap;
    va_start(ap, fmt);
    set_va(err, ERR_FORMAT, fmt, ap);
    va_end(ap);
    err->offset = offset;
    size_t problem = problem_length(err->msg);
    struct str text = {0};
    str_append(&text, err->msg, problem);
    str_appendf(&text, " at byte %llu%s", (unsigned long long)offset, err->msg + problem);
    set_text(err, str_text(&text), text.len);
    str_finish(&text);
    return false;
}

const char *err_excerpt(const void *p, size_t n, char buf[ERR_EXCERPT])
{
    enum { SHOWN = 16 };
    if (n == 0)
        snprintf(buf, ERR_EXCERPT, "its end");
    else
        snprintf(buf, ERR_EXCERPT, "'%.*s'%s", (int)(n < SHOWN ? n : SHOWN),
                 (const char *)p, n > SHOWN ? "..." : "");
    return buf;
}

static const char *wanted(int errno_value)
{
    return errno_value == ENOENT ? "one that exists"
           : errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG
               ? "room for it"
               : "success";
}

bool err_os(struct err *err, int errno_value, const char *path, const char *what)
{
    if (!err)
        return false;
    err_set(err, ERR_OS, "%s: %s (found '%s', expected %s)", path, what ? what : "cannot be used",
            strerror(errno_value), wanted(errno_value));
    err->os_errno = errno_value;
    return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err)
        return false;
    struct str head = {0}, text = {0};
    va_list ap;
    va_start(ap, fmt);
    str_append_va(&head, fmt, ap);
    va_end(ap);
    append_visible(&text, str_text(&head));
    str_appendf(&text, ": %s", err->msg);
    set_text(err, str_text(&text), text.len);
    str_finish(&text);
    str_finish(&head);
    return false;
}

bool err_path(struct err *err, const char *path)
{
    if (!err)
        return false;
    struct str shown = {0};
    append_visible(&shown, path);
    if (strncmp(err->msg, str_text(&shown), shown.len) != 0 || err->msg[shown.len] != ':')
        err_wrap(err, "%s", path);
    str_finish(&shown);
    return false;
}
