/* encode_group.c - see encode_group.h. */
#include "model/encode_group.h"

#include <math.h>
#include <stdlib.h>

#include "io/mem.h"
#include "model/kern.h"

#define CANDIDATES 16 /* of a row; when there are more, the exact values are asked for */

struct group_list {
    int n;
    float floor; /* a lower bound of the winner's pre-activation, at least 0 */
    struct {
        uint32_t feature;
        float approx, slack;
    } entry[CANDIDATES];
};

size_t encode_group_bytes(int64_t rows)
{
    return (size_t)rows * sizeof(struct group_list);
}

struct group_list *encode_group_new(int64_t rows, struct err *err)
{
    return mem_try((size_t)rows, sizeof(struct group_list), "candidates of groupmax", err);
}

struct grouping {
    const struct encoder *e;
    struct encode_scratch *s;
    const float *u;
    int64_t n;
    struct encode_hit *hits;
    int64_t cap, n_hits;
};

/* Drop what surely loses. */
static void prune(struct group_list *g)
{
    int kept = 0;
    for (int i = 0; i < g->n; i++)
        if (g->entry[i].approx + g->entry[i].slack >= g->floor)
            g->entry[kept++] = g->entry[i];
    g->n = kept;
}

/* Leave the row's winner so far, exactly, or nothing. */
static void settle(const struct grouping *b, struct group_list *g, const float *u)
{
    const struct sae *sae = b->e->sae;
    int best = -1;
    prune(g);
    for (int i = 0; i < g->n; i++) {
        uint32_t j = g->entry[i].feature;
        float m = kern_best()->dot(u, b->e->W + (int64_t)j * sae->d_in, sae->d_in);
        g->entry[i].approx = sae->arch->activate(sae, j, m);
        g->entry[i].slack = 0;
        if (g->entry[i].approx > 0 && (best < 0 || g->entry[i].approx > g->entry[best].approx))
            best = i;
    }
    if (best >= 0)
        g->entry[0] = g->entry[best];
    g->n = best >= 0;
    if (best >= 0 && g->entry[0].approx > g->floor)
        g->floor = g->entry[0].approx;
}

static void add_candidate(const struct grouping *b, int64_t r, int64_t j, float approx,
                          float slack)
{
    struct group_list *g = &b->s->group[r];
    if (g->n == CANDIDATES)
        prune(g);
    if (g->n == CANDIDATES)
        settle(b, g, b->u + r * b->e->sae->d_in);
    g->entry[g->n].feature = (uint32_t)j;
    g->entry[g->n].approx = approx;
    g->entry[g->n++].slack = slack;
    g->floor = approx - slack > g->floor ? approx - slack : g->floor;
}

static void panel(const struct grouping *b, int64_t first, int64_t width)
{
    const struct encoder *e = b->e;
    int64_t d = e->sae->d_in;
    float error = 2 * kern_dot_error(d);
    kern_gemm_right(width, e->W + first * d, d, &b->s->right, b->s->tile, b->n);
    for (int64_t p = 0; p < width; p++) {
        int64_t j = first + p;
        const float *c = b->s->tile + p * b->n;
        float level = e->level[j];
        float scale = e->sae->act_scale ? e->sae->act_scale[j] : 1;
        for (int64_t r = 0; r < b->n; r++) {
            float approx = c[r] * scale - level, slack = error * e->norm[j] * b->s->norm[r];
            if (approx + slack > b->s->group[r].floor)
                add_candidate(b, r, j, approx, slack);
        }
    }
}

static int by_feature(const void *a, const void *b)
{
    const struct encode_hit *x = a, *y = b;
    if (x->feature != y->feature)
        return x->feature < y->feature ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* The winners of a group, which stands behind all groups before it. */
static bool end_group(struct grouping *b)
{
    int64_t start = b->n_hits;
    for (int64_t r = 0; r < b->n; r++) {
        struct group_list *g = &b->s->group[r];
        settle(b, g, b->u + r * b->e->sae->d_in);
        if (!g->n)
            continue;
        if (b->n_hits == b->cap)
            return false;
        b->hits[b->n_hits++] = (struct encode_hit){
            .feature = g->entry[0].feature, .row = (uint32_t)r, .value = g->entry[0].approx};
    }
    qsort(b->hits + start, (size_t)(b->n_hits - start), sizeof *b->hits, by_feature);
    return true;
}

bool encode_group_block(const struct encoder *e, struct encode_scratch *s, const float *u,
                        int64_t n, struct encode_hit *hits, int64_t cap, int64_t *n_hits)
{
    struct grouping b = {.e = e, .s = s, .u = u, .n = n, .hits = hits, .cap = cap};
    int64_t size = e->sae->d_sae / e->sae->k;
    for (int64_t group = 0; group < e->sae->k; group++) {
        for (int64_t r = 0; r < n; r++) {
            s->group[r].n = 0;
            s->group[r].floor = 0;
        }
        for (int64_t at = 0; at < size; at += ENCODE_PANEL)
            panel(&b, group * size + at, size - at < ENCODE_PANEL ? size - at : ENCODE_PANEL);
        if (!end_group(&b))
            return false;
    }
    *n_hits = b.n_hits;
    return true;
}
