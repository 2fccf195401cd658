/* err.c - see err.h. */
#include "io/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/str.h"

/* Into out [size]: names of files and tensors come from outside, and a message must stay
 * one harmless line. A message too long for the buffer loses its end, never its beginning. */
static void neutralise(char *out, size_t size, const char *text)
{
    struct str visible = {0};
    str_visible(&visible, text, strlen(text), STR_ESCAPED);
    snprintf(out, size, "%s", str_text(&visible));
    str_finish(&visible);
}

static void set_va(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
    char msg[sizeof err->msg];
    vsnprintf(msg, sizeof msg, fmt, ap);
    *err = (struct err){.code = code};
    neutralise(err->msg, sizeof err->msg, msg);
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
    char details[sizeof err->msg];
    char *at = err->msg + problem_length(err->msg);
    memcpy(details, at, strlen(at) + 1);
    snprintf(at, sizeof err->msg - (size_t)(at - err->msg), " at byte %llu%s",
             (unsigned long long)offset, details);
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
    char head[sizeof err->msg], old[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    memcpy(old, err->msg, sizeof old);
    neutralise(err->msg, sizeof err->msg, head);
    size_t len = strlen(err->msg);
    snprintf(err->msg + len, sizeof err->msg - len, ": %s", old);
    return false;
}

bool err_path(struct err *err, const char *path)
{
    if (!err)
        return false;
    char shown[sizeof err->msg];
    neutralise(shown, sizeof shown, path);
    size_t len = strlen(shown);
    if (strncmp(err->msg, shown, len) == 0 && err->msg[len] == ':')
        return false;
    return err_wrap(err, "%s", path);
}
