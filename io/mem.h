/*
 * mem.h - allocation with the two policies of this program.
 *
 * Small and structural memory: x* functions, which abort when the machine has none.
 * Memory whose size comes from an input: mem_try, which reports ERR_NOMEM instead.
 * Every product of sizes that come from a file goes through mem_mul.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

void *xmalloc(size_t size);            /* never NULL; size 0 is allowed */
void *xcalloc(size_t n, size_t size);  /* zeroed; the product is checked */
void *xrealloc(void *p, size_t size);
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);          /* NULL in, NULL out */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* *out = a * b; false (and *out untouched) when the product does not fit. */
bool mem_mul(size_t a, size_t b, size_t *out);
/* The same for dimensions: negative factors are refused too. */
bool mem_mul_dims(const int64_t *dims, int n, int64_t *out);

/* n * size bytes, 64-byte aligned, not zeroed; NULL and ERR_NOMEM ("what: N MB") when
 * refused. Release with free(). */
void *mem_try(size_t n, size_t size, const char *what, struct err *err);

/* Grow the array *p of n elements so that one more fits; capacity doubles. */
#define array_grow(p, n, cap)                                                           \
    do {                                                                                \
        if ((size_t)(n) >= (size_t)(cap)) {                                             \
            (cap) = (cap) ? (cap) * 2 : 16;                                             \
            (p) = xreallocarray((p), (size_t)(cap), sizeof *(p));                       \
        }                                                                               \
    } while (0)
