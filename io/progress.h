/*
 * progress.h - how long work below tui/ reports and is asked to stop.
 *
 * The caller hands a struct progress down; NULL means nobody watches. Work calls
 * progress_step at least every 50 ms. Any thread may call it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    /* `done` of `of` in the stage called `what`: its unit where that says enough
     * ("tokens"), else words ("writing the index"). Returns false when the work should
     * stop with ERR_CANCELLED. */
    bool (*step)(void *ctx, const char *what, int64_t done, int64_t of);
    void *ctx;
};

static inline bool progress_step(const struct progress *p, const char *what, int64_t done,
                                 int64_t of)
{
    return !p || !p->step || p->step(p->ctx, what, done, of);
}
