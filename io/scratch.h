/*
 * scratch.h - large working memory that is backed by an unlinked file.
 *
 * What may grow with the input (converted weights, spilled hits) lies here: the kernel
 * writes it out when memory is short, so it does not count against the program's own
 * memory, and nothing is left behind whatever happens.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "io/err.h"

struct scratch {
    void *data; /* page-aligned, zeroed, readable and writable; NULL: none */
    size_t size;
};

/* `dir` as in fs_unlinked_file. The room is reserved first, so that a full disk is
 * ERR_OS here ("DIR: what: ...") and never a fault later. size > 0. */
bool scratch_init(struct scratch *s, const char *dir, size_t size, const char *what,
                  struct err *err);
void scratch_finish(struct scratch *s); /* a zeroed one is fine */
