/* spill.c - see spill.h. */
#include "model/spill.h"

#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

void spill_init(struct spill *s, int64_t d_sae, const char *dir)
{
    *s = (struct spill){.d_sae = d_sae, .dir = dir};
    pthread_mutex_init(&s->lock, NULL);
}

void spill_finish(struct spill *s)
{
    for (int r = 0; r < s->n_runs; r++)
        scratch_finish(&s->runs[r].memory);
    free(s->runs);
    pthread_mutex_destroy(&s->lock);
}

int64_t spill_buffer_cap(size_t bytes)
{
    int64_t cap = (int64_t)(bytes / sizeof(struct spill_entry));
    return cap < 65536 ? 65536 : cap > (4 << 20) ? 4 << 20 : cap;
}

bool spill_run_init(struct spill_run *run, const struct spill *s, int64_t n,
                    struct err *err)
{
    size_t head = (size_t)(s->d_sae + 1) * sizeof(uint64_t);
    size_t size = head + (size_t)n * sizeof(struct spill_hit);
    *run = (struct spill_run){0};
    if (!scratch_init(&run->memory, s->dir, size, "room for the hits of the scan", err))
        return false;
    run->start = run->memory.data;
    run->hits = (struct spill_hit *)((char *)run->memory.data + head);
    return true;
}

void spill_run_add(struct spill *s, const struct spill_run *run)
{
    pthread_mutex_lock(&s->lock);
    array_grow(s->runs, s->n_runs, s->cap_runs);
    s->runs[s->n_runs++] = *run;
    pthread_mutex_unlock(&s->lock);
}

bool spill_flush(struct spill *s, struct spill_buffer *b, struct err *err)
{
    struct spill_run run;
    if (b->n == 0)
        return true;
    if (!spill_run_init(&run, s, b->n, err))
        return false;

    /* Counting sort: next holds where feature j's next hit goes. */
    uint64_t *next = xcalloc((size_t)s->d_sae, sizeof *next);
    for (int64_t i = 0; i < b->n; i++)
        next[b->entries[i].feature]++;
    for (int64_t j = 0; j < s->d_sae; j++) {
        run.start[j + 1] = run.start[j] + next[j];
        next[j] = run.start[j];
    }
    for (int64_t i = 0; i < b->n; i++)
        run.hits[next[b->entries[i].feature]++] = b->entries[i].hit;
    free(next);
    b->n = 0;
    spill_run_add(s, &run);
    return true;
}

int64_t spill_count(const struct spill *s, int64_t j)
{
    uint64_t n = 0;
    for (int r = 0; r < s->n_runs; r++)
        n += s->runs[r].start[j + 1] - s->runs[r].start[j];
    return (int64_t)n;
}

/* Two neighbours of `out`, each by token, become one. Runs are made in about the order of
 * their tokens: only the end of the left one is later than the beginning of the right. */
static void merge_two(struct spill_hit *out, int64_t n_left, int64_t n)
{
    if (n_left == 0 || n_left == n)
        return;
    int64_t first = 0, end = n_left; /* the left one's first that is later */
    while (first < end) {
        int64_t middle = first + (end - first) / 2;
        if (out[middle].token < out[n_left].token)
            first = middle + 1;
        else
            end = middle;
    }
    int64_t late = n_left - first, i = 0, j = n_left, k = first;
    if (late == 0)
        return;
    struct spill_hit *left = xmalloc((size_t)late * sizeof *left);
    memcpy(left, out + first, (size_t)late * sizeof *left);
    while (i < late)
        out[k++] = j < n && out[j].token < left[i].token ? out[j++] : left[i++];
    free(left);
}

void spill_gather(const struct spill *s, int64_t j, struct spill_hit *out)
{
    int64_t n = 0;
    for (int r = 0; r < s->n_runs; r++) {
        const struct spill_run *run = &s->runs[r];
        uint64_t count = run->start[j + 1] - run->start[j];
        memcpy(out + n, run->hits + run->start[j], count * sizeof *out);
        merge_two(out, n, n + (int64_t)count);
        n += (int64_t)count;
    }
}
