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

bool spill_flush(struct spill *s, struct spill_buffer *b, struct err *err)
{
    if (b->n == 0)
        return true;
    struct spill_run run = {0};
    size_t head = (size_t)(s->d_sae + 1) * sizeof(uint64_t);
    size_t size = head + (size_t)b->n * sizeof(struct spill_hit);
    if (!scratch_init(&run.memory, s->dir, size, "room for the hits of the scan", err))
        return false;

    /* Counting sort: start[j + 1] counts, then holds where feature j's next hit goes. */
    uint64_t *start = run.memory.data;
    struct spill_hit *hits = (struct spill_hit *)((char *)run.memory.data + head);
    uint64_t *next = xcalloc((size_t)s->d_sae, sizeof *next);
    for (int64_t i = 0; i < b->n; i++)
        next[b->entries[i].feature]++;
    for (int64_t j = 0; j < s->d_sae; j++) {
        start[j + 1] = start[j] + next[j];
        next[j] = start[j];
    }
    for (int64_t i = 0; i < b->n; i++)
        hits[next[b->entries[i].feature]++] = b->entries[i].hit;
    free(next);
    run.start = start;
    run.hits = hits;
    b->n = 0;

    pthread_mutex_lock(&s->lock);
    array_grow(s->runs, s->n_runs, s->cap_runs);
    s->runs[s->n_runs++] = run;
    pthread_mutex_unlock(&s->lock);
    return true;
}

int64_t spill_count(const struct spill *s, int64_t j)
{
    uint64_t n = 0;
    for (int r = 0; r < s->n_runs; r++)
        n += s->runs[r].start[j + 1] - s->runs[r].start[j];
    return (int64_t)n;
}

/* Two neighbours of `out`, each by token, become one. */
static void merge_two(struct spill_hit *out, int64_t n_left, int64_t n)
{
    if (n_left == 0 || n_left == n || out[n_left - 1].token < out[n_left].token)
        return;
    struct spill_hit *left = xmalloc((size_t)n_left * sizeof *left);
    memcpy(left, out, (size_t)n_left * sizeof *left);
    int64_t i = 0, j = n_left, k = 0;
    while (i < n_left)
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
