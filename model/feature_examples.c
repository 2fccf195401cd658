/* feature_examples.c - the strongest examples of a feature, and those of its intervals. */
#include "model/feature_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/probe.h"

/* ---- values ----------------------------------------------------------------------- */

/* An index keeps values in half precision: compute hit h again where it is shown. */
static bool make_exact(struct maker *m, struct hit *h)
{
    return !m->ix || probe_exact(m->sae, m->samples, m->p->id, h->token, m->w_enc, m->x,
                                 &h->value, m->err);
}

/* All hits within the shown context of a token. */
static bool make_context_exact(struct maker *m, int64_t token)
{
    int64_t length = m->samples->seq_len, reach = feature_option(m->options->context, 10);
    int64_t first = token - token % length, last = first + length - 1;
    first = token - reach > first ? token - reach : first;
    last = token + reach < last ? token + reach : last;
    struct hit *h = m->p->hits + hits_find(m->p->hits, m->p->n_hits, first);
    for (; h < m->p->hits + m->p->n_hits && h->token <= last; h++)
        if (!make_exact(m, h))
            return false;
    return true;
}

static struct page_example example_of(const struct samples *samples, struct hit h)
{
    return (struct page_example){.token = h.token,
                                 .sequence = samples_sequence(samples, h.token),
                                 .position = samples_position(samples, h.token),
                                 .activation = h.value};
}

/* Strongest first, then by token. */
static int by_strength(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    float p = fabsf(x->value), q = fabsf(y->value);
    if (p != q)
        return p < q ? 1 : -1;
    return (x->token > y->token) - (x->token < y->token);
}

/* ---- top -------------------------------------------------------------------------- */

/* The hits of the `cap` smallest keys, whatever number of them pass by: a heap with the
 * greatest at its root. */
struct keyed {
    uint64_t key;
    struct hit *hit;
};

struct smallest {
    struct keyed *list; /* owned [cap] */
    int64_t n, cap;
};

static void smallest_add(struct smallest *s, uint64_t key, struct hit *hit)
{
    struct keyed *l = s->list;
    int64_t i = 0;
    if (s->n < s->cap) {
        for (i = s->n++; i > 0 && l[(i - 1) / 2].key < key; i = (i - 1) / 2)
            l[i] = l[(i - 1) / 2];
    } else if (s->cap == 0 || key >= l[0].key) {
        return;
    } else {
        for (int64_t c = 1; c < s->n; c = 2 * i + 1) {
            c += c + 1 < s->n && l[c + 1].key > l[c].key;
            if (l[c].key <= key)
                break;
            l[i] = l[c];
            i = c;
        }
    }
    l[i] = (struct keyed){key, hit};
}

static int by_key(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static void smallest_sort(struct smallest *s)
{
    if (s->n > 0)
        qsort(s->list, (size_t)s->n, sizeof *s->list, by_key);
}

/* The order of by_strength as a number. */
static uint64_t strength_key(const struct hit *h)
{
    float a = fabsf(h->value);
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return (uint64_t)~bits << 32 | h->token;
}

/* What rounding cannot tell from the n-th or stronger: exact values decide among these. */
static bool close_hits(struct maker *m, float least, struct hit **out, int64_t *n_out)
{
    struct page_feature *p = m->p;
    int64_t n = 0;
    for (int64_t i = 0; i < p->n_hits; i++)
        n += fabsf(p->hits[i].value) >= least;
    struct hit *list = xmalloc((size_t)n * sizeof *list);
    bool ok = true;
    n = 0;
    for (int64_t i = 0; ok && i < p->n_hits; i++)
        if (fabsf(p->hits[i].value) >= least) {
            list[n] = p->hits[i];
            ok = make_exact(m, &list[n++]);
        }
    if (!ok) {
        free(list);
        return false;
    }
    qsort(list, (size_t)n, sizeof *list, by_strength);
    *out = list;
    *n_out = n;
    return true;
}

/* The n strongest of the hits at hand, which an index has rounded. */
static bool top_of_hits(struct maker *m, int n, struct hit **out, int64_t *n_out)
{
    struct page_feature *p = m->p;
    struct smallest best = {.cap = p->n_hits < n ? p->n_hits : n};
    best.list = xmalloc((size_t)best.cap * sizeof *best.list);
    for (int64_t i = 0; i < p->n_hits; i++)
        smallest_add(&best, strength_key(&p->hits[i]), &p->hits[i]);
    smallest_sort(&best);
    bool ok = true;
    if (m->ix && best.n > 0) {
        float least = fabsf(best.list[best.n - 1].hit->value) * (1 - 0x1p-9f);
        ok = close_hits(m, least, out, n_out);
        if (ok && *n_out > n)
            *n_out = n;
    } else {
        *out = xmalloc((size_t)best.n * sizeof **out);
        *n_out = best.n;
        for (int64_t i = 0; i < best.n; i++)
            (*out)[i] = *best.list[i].hit;
    }
    free(best.list);
    return ok;
}

bool feature_make_top(struct maker *m)
{
    struct page_feature *p = m->p;
    int wanted = m->options->top < 0 ? 0 : feature_option(m->options->top, 20);
    struct hit *own = NULL;
    const struct hit *top;
    int64_t n;
    if (m->ix && ((uint32_t)wanted <= index_record(m->ix, p->id)->n_top ||
                  index_record(m->ix, p->id)->n_top == (uint64_t)p->count)) {
        top = index_top(m->ix, p->id);
        n = index_record(m->ix, p->id)->n_top;
        n = n < wanted ? n : wanted;
    } else {
        if (!top_of_hits(m, wanted, &own, &n))
            return false;
        top = own;
    }
    p->top = xcalloc((size_t)n, sizeof *p->top);
    p->n_top = (int)n;
    for (int64_t i = 0; i < n; i++)
        p->top[i] = example_of(m->samples, top[i]);
    free(own);
    for (int i = 0; i < p->n_top; i++)
        if (!make_context_exact(m, p->top[i].token))
            return false;
    return true;
}

/* ---- intervals -------------------------------------------------------------------- */

/* A hit's place in the random order of a seed: it does not depend on the other hits, so
 * the same examples are drawn with an index and without. */
static uint64_t priority(uint64_t seed, int64_t id, uint32_t token)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15u + (uint64_t)id * 0xbf58476d1ce4e5b9u + token;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u; /* splitmix64 */
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The `most` hits of lowest priority whose values, rounded as they are, may lie in the band.
 * False: there are more. */
static bool candidates(struct maker *m, double low, double high, uint64_t seed, int64_t most,
                       struct smallest *s)
{
    struct page_feature *p = m->p;
    double slack = m->ix ? 0x1p-10 : 0;
    int64_t found = 0;
    *s = (struct smallest){.cap = most, .list = xmalloc((size_t)most * sizeof *s->list)};
    for (int64_t i = 0; i < p->n_hits; i++) {
        double a = fabs((double)p->hits[i].value);
        if (a > low * (1 - slack) && a <= high * (1 + slack)) {
            smallest_add(s, priority(seed, p->id, p->hits[i].token), &p->hits[i]);
            found++;
        }
    }
    smallest_sort(s);
    return found <= most;
}

bool feature_band(struct maker *m, double low, double high, int n, uint64_t seed,
                  struct page_example **out, int *n_out)
{
    struct hit *chosen = xmalloc((size_t)n * sizeof *chosen);
    int have = 0;
    bool ok = true, all = false;
    /* Few lie so near an edge that they fall out; if too many do, the list was too short. */
    for (int64_t most = 4 * n + 64; ok && !all && have < n; most *= 16) {
        struct smallest s;
        all = candidates(m, low, high, seed, most, &s);
        have = 0;
        for (int64_t i = 0; i < s.n && have < n && ok; i++) {
            ok = make_exact(m, s.list[i].hit);
            double a = fabs((double)s.list[i].hit->value);
            if (ok && a > low && a <= high)
                chosen[have++] = *s.list[i].hit;
        }
        free(s.list);
    }
    qsort(chosen, (size_t)have, sizeof *chosen, by_strength);
    *out = xcalloc((size_t)have, sizeof **out);
    *n_out = have;
    for (int i = 0; i < have; i++)
        (*out)[i] = example_of(m->samples, chosen[i]);
    free(chosen);
    return ok;
}

/* The greatest float whose bin is below `bin`: where a band ends, so that bands and bins
 * agree to the last bit. */
static double band_edge(int bin, float max)
{
    double edge = (double)max * bin / INDEX_BINS;
    float f = (float)edge;
    if (bin == 0)
        return 0;
    while (f > 0 && index_bin(f, max) >= bin && bin < INDEX_BINS)
        f = nextafterf(f, 0);
    return bin == INDEX_BINS ? (double)max : (double)f;
}

bool feature_make_intervals(struct maker *m)
{
    struct page_feature *p = m->p;
    int each = INDEX_BINS / PAGE_INTERVALS;
    p->n_intervals = PAGE_INTERVALS;
    for (int i = 0; i < PAGE_INTERVALS; i++) {
        struct page_interval *v = &p->intervals[i];
        v->low = p->max * i / PAGE_INTERVALS;
        v->high = p->max * (i + 1) / PAGE_INTERVALS;
        for (int b = 0; b < each; b++)
            v->count += p->histogram.counts[i * each + b];
        if (!feature_band(m, band_edge(i * each, (float)p->max),
                  band_edge((i + 1) * each, (float)p->max),
                  feature_option(m->options->examples, 5), m->options->seed, &v->examples,
                  &v->n_examples))
            return false;
        for (int e = 0; e < v->n_examples; e++)
            if (!make_context_exact(m, v->examples[e].token))
                return false;
    }
    return true;
}
