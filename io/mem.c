/* mem.c - see mem.h. */
#include "io/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *need(void *p)
{
    if (!p) {
        fputs("saescope: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t size)
{
    return need(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
    return need(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return need(realloc(p, size ? size : 1));
}

void *xreallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!mem_mul(n, size, &bytes))
        need(NULL);
    return xrealloc(p, bytes);
}

char *xstrdup(const char *s)
{
    return s ? need(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
    return need(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return need(n < 0 ? NULL : s);
}

bool mem_mul(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

bool mem_mul_dims(const int64_t *dims, int n, int64_t *out)
{
    int64_t r = 1;
    for (int i = 0; i < n; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(r, dims[i], &r))
            return false;
    *out = r;
    return true;
}

void *mem_try(size_t n, size_t size, const char *what, struct err *err)
{
    size_t bytes;
    void *p = NULL;
    if (!mem_mul(n, size, &bytes) || bytes > SIZE_MAX - 64) {
        err_set(err, ERR_NOMEM, "%s: size overflows (%zu x %zu bytes)", what, n, size);
        return NULL;
    }
    if (posix_memalign(&p, 64, bytes ? bytes : 64) != 0) {
        err_set(err, ERR_NOMEM, "%s: no memory for %.1f MB", what, (double)bytes / 1e6);
        return NULL;
    }
    return p;
}
