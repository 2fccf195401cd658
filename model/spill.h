/*
 * spill.h - hits on their way from the pass to the merge.
 *
 * Every thread collects hits in a buffer; a full buffer is sorted by feature (stably, so
 * that tokens stay ascending) into a run, which lies in scratch memory (io/scratch.h).
 * The merge then takes each feature's hits out of all runs, by token.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/scratch.h"

struct spill_hit {
    uint32_t token;
    float value; /* activation */
    float delta; /* 2 e.c + |c|^2 of this firing: what delta_fvu sums */
};

struct spill_run {
    struct scratch memory;  /* owned */
    uint64_t *start;        /* [d_sae + 1]: feature j's hits are [start j, start j+1) */
    struct spill_hit *hits; /* by feature, then token */
};

struct spill {
    int64_t d_sae;
    const char *dir; /* borrowed; where scratch files go */
    pthread_mutex_t lock;
    struct spill_run *runs;
    int n_runs, cap_runs;
};

void spill_init(struct spill *s, int64_t d_sae, const char *dir);
void spill_finish(struct spill *s);

/* A thread's buffer. */
struct spill_entry {
    uint32_t feature;
    struct spill_hit hit;
};
struct spill_buffer {
    struct spill_entry *entries; /* owned, [cap] */
    int64_t n, cap;
};

/* Entries of a buffer that has so many bytes for them: within what is worth a run. */
int64_t spill_buffer_cap(size_t bytes);

/* Sort the buffer into a run of s and empty it; an empty one makes no run. */
bool spill_flush(struct spill *s, struct spill_buffer *b, struct err *err);

/* One more hit, after a flush when the buffer is full. */
static inline bool spill_add(struct spill *s, struct spill_buffer *b,
                             const struct spill_entry *entry, struct err *err)
{
    if (b->n == b->cap && !spill_flush(s, b, err))
        return false;
    b->entries[b->n++] = *entry;
    return true;
}

/* Room for a run of n > 0 hits, start all 0; who has filled it adds it. */
bool spill_run_init(struct spill_run *run, const struct spill *s, int64_t n,
                    struct err *err);
void spill_run_add(struct spill *s, const struct spill_run *run);

/* Hits of feature j in all runs. */
int64_t spill_count(const struct spill *s, int64_t j);

/* Them, by token, into out [spill_count]. Runs hold disjoint tokens. */
void spill_gather(const struct spill *s, int64_t j, struct spill_hit *out);
