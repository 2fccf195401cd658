/* slurp.h - a regular file of at most max_bytes as one owned block, 0 byte behind it. */
#pragma once
#include <stddef.h>
#include "io/err.h"
char *slurp(const char *path, size_t max_bytes, size_t *n, struct err *err);
