/*
 * team.h - the same function on several threads, joined before it returns.
 *
 * Threads are made for the call and end with it: calls are long (a block of a scan, a
 * file to inflate), so that making them costs nothing that shows.
 */
#pragma once

#include <stddef.h>

/* The processors this process may run on (its affinity mask), at least 1. */
int team_default_threads(void);

/* Run fn(ctx, 0) ... fn(ctx, n_threads - 1), all at once where the system has threads to
 * give, and return when all are done. Thread 0 is the caller. The calls must not wait for
 * each other: when a thread cannot be made, its call runs on the caller afterwards.
 * n_threads below 1 counts as 1. Signals other than faults are left to the caller. */
void team_run(int n_threads, void (*fn)(void *ctx, int thread), void *ctx);

/* Run fn(ctx, i, thread) once for every i of [0, n), the next free thread taking the next
 * i. Never more threads than items. */
void team_each(int n_threads, size_t n, void (*fn)(void *ctx, size_t i, int thread),
               void *ctx);
