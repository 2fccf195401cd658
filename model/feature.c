/* feature.c - everything about one feature; see page.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/kern.h"
#include "model/match.h"
#include "model/page.h"
#include "model/probe.h"

/* What the making of a page needs at hand. */
struct maker {
    const struct sae *sae;
    const struct samples *samples;
    const struct index *ix;
    const struct page_feature_options *options;
    const struct progress *progress;
    struct page_feature *p;
    float *w_enc, *w_dec, *x; /* [d_in], [d_out], [d_in] */
    struct err *err;
    bool ok;
};

static int option(int given, int otherwise)
{
    return given > 0 ? given : otherwise;
}

/* ---- values ----------------------------------------------------------------------- */

static struct hit *find_hit(struct hit *hits, int64_t n, int64_t token)
{
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (hits[mid].token < token)
            lo = mid + 1;
        else
            hi = mid;
    }
    return hits + lo;
}

/* An index keeps values in half precision: compute hit h again where it is shown. */
static bool make_exact(struct maker *m, struct hit *h)
{
    return !m->ix || probe_exact(m->sae, m->samples, m->p->id, h->token, m->w_enc, m->x,
                                 &h->value, m->err);
}

/* All hits within the shown context of a token. */
static bool make_context_exact(struct maker *m, int64_t token)
{
    int64_t length = m->samples->seq_len, reach = option(m->options->context, 10);
    int64_t first = token - token % length, last = first + length - 1;
    first = token - reach > first ? token - reach : first;
    last = token + reach < last ? token + reach : last;
    struct hit *h = find_hit(m->p->hits, m->p->n_hits, first);
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

static bool make_top(struct maker *m)
{
    struct page_feature *p = m->p;
    int wanted = m->options->top < 0 ? 0 : option(m->options->top, 20);
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

/* Up to n hits with low < |a| <= high (exact), by random order, then strongest first. */
static bool draw(struct maker *m, double low, double high, int n, uint64_t seed,
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

static bool make_intervals(struct maker *m)
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
        if (!draw(m, band_edge(i * each, (float)p->max),
                  band_edge((i + 1) * each, (float)p->max),
                  option(m->options->examples, 5), m->options->seed, &v->examples,
                  &v->n_examples))
            return false;
        for (int e = 0; e < v->n_examples; e++)
            if (!make_context_exact(m, v->examples[e].token))
                return false;
    }
    return true;
}

/* ---- statistics ------------------------------------------------------------------- */

static void no_numbers(struct page_feature *p)
{
    p->density = p->wilson_low = p->wilson_high = p->delta_fvu = p->mean = p->max = NAN;
    p->n_coactive = -1;
}

static void start_histogram(struct page_feature *p)
{
    if (p->count == 0)
        return;
    p->histogram = (struct hist){.n = INDEX_BINS, .lo = 0, .hi = p->max};
    p->histogram.counts = xcalloc(INDEX_BINS, sizeof *p->histogram.counts);
}

static void set_density(struct page_feature *p)
{
    p->density = (double)p->count / (double)p->tokens;
    stats_wilson((double)p->count, (double)p->tokens, &p->wilson_low, &p->wilson_high);
}

/* Eight bytes a firing; of features that fire very often in a file without a name, so that
 * the memory of a page is bounded. */
static bool room_for_hits(struct page_feature *p, int64_t n, struct err *err)
{
    size_t size = (size_t)n * sizeof *p->hits;
    if (size <= PAGE_HITS_MEMORY)
        p->hits = xmalloc(size);
    else if (scratch_init(&p->hits_file, NULL, size, "firings of a feature", err))
        p->hits = p->hits_file.data;
    else
        return false;
    p->n_hits = n;
    return true;
}

static bool from_index(struct maker *m)
{
    struct page_feature *p = m->p;
    const struct index_record *r = index_record(m->ix, p->id);
    p->from_index = true;
    p->tokens = index_totals(m->ix)->tokens;
    p->count = (int64_t)r->count;
    p->mean = r->count ? r->sum / (double)r->count : NAN;
    p->max = (double)r->max;
    p->delta_fvu = r->delta_fvu;
    start_histogram(p);
    for (int b = 0; b < p->histogram.n; b++)
        p->histogram.counts[b] = r->histogram[b];
    if (!room_for_hits(p, (int64_t)r->count, m->err))
        return false;
    return index_hits(m->ix, p->id, p->hits, m->err);
}

static bool from_samples(struct maker *m)
{
    struct page_feature *p = m->p;
    struct probe probe;
    double sum = 0;
    if (!probe_feature(m->sae, m->samples, &m->options->scan, p->id, m->progress, &probe,
                       m->err))
        return false;
    if (probe.tokens == 0) {
        probe_finish(&probe);
        return samples_none_left(m->samples, probe.skipped, m->err);
    }
    p->tokens = probe.tokens;
    p->hits = probe.hits;
    p->count = p->n_hits = probe.n_hits;
    p->max = 0;
    for (int64_t i = 0; i < p->n_hits; i++) {
        double a = fabs((double)p->hits[i].value);
        sum += a;
        p->max = a > p->max ? a : p->max;
    }
    p->mean = p->count ? sum / (double)p->count : NAN;
    start_histogram(p);
    for (int64_t i = 0; i < p->n_hits; i++)
        p->histogram.counts[index_bin(fabsf(p->hits[i].value), (float)p->max)]++;
    return true;
}

/* ---- co-occurrence ---------------------------------------------------------------- */

#define COACTIVE_LEAST 5
#define COACTIVE_SHOWN 10

static void add_coactive(struct page_feature *p, int64_t j, int64_t both, int64_t count)
{
    double n_i = (double)p->count, n_j = (double)count, n_ij = (double)both;
    struct page_coactive c = {.id = j, .count = both, .jaccard = n_ij / (n_i + n_j - n_ij),
                              .pmi = log(n_ij * (double)p->tokens / (n_i * n_j))};
    if (both < COACTIVE_LEAST ||
        (p->n_coactive == COACTIVE_SHOWN &&
         c.jaccard <= p->coactive[COACTIVE_SHOWN - 1].jaccard))
        return;
    int i = p->n_coactive < COACTIVE_SHOWN ? p->n_coactive++ : COACTIVE_SHOWN - 1;
    for (; i > 0 && p->coactive[i - 1].jaccard < c.jaccard; i--)
        p->coactive[i] = p->coactive[i - 1];
    p->coactive[i] = c;
}

static void start_coactive(struct page_feature *p)
{
    p->coactive = xcalloc(COACTIVE_SHOWN, sizeof *p->coactive);
    p->n_coactive = 0;
}

static bool coactive_from_index(struct maker *m)
{
    struct page_feature *p = m->p;
    int64_t d_sae = m->sae->d_sae;
    int threads = option(m->options->scan.threads, team_default_threads());
    uint32_t *both = xmalloc((size_t)d_sae * sizeof *both);
    bool ok = index_coactive(m->ix, p->id, threads, m->progress, both, m->err);
    if (ok)
        start_coactive(p);
    for (int64_t j = 0; j < d_sae && ok; j++)
        if (j != p->id)
            add_coactive(p, j, both[j], (int64_t)index_record(m->ix, j)->count);
    free(both);
    return ok;
}

/* Without an index: a full encode of the tokens where it fires. */
static bool extra_from_samples(struct maker *m)
{
    struct page_feature *p = m->p;
    struct probe probe = {.tokens = p->tokens, .hits = p->hits, .n_hits = p->n_hits};
    struct probe_extra extra;
    if (p->count > PROBE_EXTRA_TOKENS) {
        p->warning = xasprintf("feature %lld fires at %lld tokens: delta_fvu and coactive "
                               "need an index (more than %d)",
                               (long long)p->id, (long long)p->count, PROBE_EXTRA_TOKENS);
        return true;
    }
    if (!probe_extra(m->sae, m->samples, &m->options->scan, p->id, &probe, m->progress,
                     &extra, m->err))
        return false;
    p->delta_fvu = extra.delta_fvu;
    if (m->sae->d_in == m->sae->d_out && !isfinite(p->delta_fvu))
        p->warning = xstrdup("delta_fvu is null: the reconstruction is not finite, or the "
                             "samples do not vary");
    if (m->sae->arch->selects && m->samples->n_tok > PROBE_SELECT_TOKENS) {
        free(p->warning);
        p->warning = xasprintf("coactive of %s needs an index (more than %d tokens)",
                               m->sae->arch->name, PROBE_SELECT_TOKENS);
    } else {
        start_coactive(p);
        for (int64_t j = 0; j < m->sae->d_sae; j++)
            if (j != p->id && extra.counts[j] > 0)
                add_coactive(p, j, extra.both[j], extra.counts[j]);
    }
    probe_extra_finish(&extra);
    return true;
}

/* ---- the weights ------------------------------------------------------------------ */

static bool make_neighbours(struct maker *m, const struct mat *mat,
                            struct page_neighbour **out, int *n_out)
{
    int n = option(m->options->neighbours, 10);
    struct match_near *near = xmalloc((size_t)n * sizeof *near);
    *n_out = match_nearest_rows(mat, m->p->id, n, m->options->scan.threads, m->progress,
                                near, m->err);
    bool ok = *n_out >= 0;
    *n_out = ok ? *n_out : 0;
    *out = xcalloc((size_t)n, sizeof **out);
    for (int i = 0; i < *n_out; i++)
        (*out)[i] = (struct page_neighbour){.id = near[i].id, .cosine = near[i].cosine};
    free(near);
    return ok;
}

static void read_weights(struct maker *m)
{
    const struct sae *sae = m->sae;
    struct page_feature *p = m->p;
    mat_read_rows(&sae->W_enc, p->id, 1, m->w_enc);
    mat_read_rows(&sae->W_dec, p->id, 1, m->w_dec);
    double dd = kern_sum_squares(m->w_dec, sae->d_out);
    double ee = kern_sum_squares(m->w_enc, sae->d_in);
    p->decoder_norm = sqrt(dd);
    p->encoder_decoder_cosine = NAN;
    if (sae_rebuilds_input(sae))
        p->encoder_decoder_cosine =
            dd > 0 && ee > 0 ? kern_dot_double(m->w_enc, m->w_dec, sae->d_in) / sqrt(dd * ee)
                             : 0;
    p->bias = sae_bias(sae) ? (double)sae_bias(sae)[p->id] : NAN;
    p->threshold = sae->threshold ? (double)sae->threshold[p->id] : NAN;
}

/* ---- the page --------------------------------------------------------------------- */

static bool make_samples_part(struct maker *m)
{
    struct page_feature *p = m->p;
    p->has_samples = true;
    if (!(m->ix ? from_index(m) : from_samples(m)))
        return false;
    if (m->sae->broken && m->sae->broken[p->id]) {
        p->max = p->delta_fvu = NAN; /* left out, which is not to be dead */
        return true;
    }
    set_density(p);
    if (!make_top(m) || (p->count > 0 && !make_intervals(m)))
        return false;
    if (m->ix)
        return m->options->quick || coactive_from_index(m);
    return m->options->quick || extra_from_samples(m);
}

static void make_guarded(void *ctx)
{
    struct maker *m = ctx;
    read_weights(m);
    m->ok = (!m->samples || m->samples->n_shards == 0 || make_samples_part(m)) &&
            make_neighbours(m, &m->sae->W_dec, &m->p->decoder_neighbours,
                            &m->p->n_decoder_neighbours) &&
            (m->options->quick ||
             make_neighbours(m, &m->sae->W_enc, &m->p->encoder_neighbours,
                             &m->p->n_encoder_neighbours));
}

static void maker_init(struct maker *m)
{
    m->w_enc = xmalloc((size_t)m->sae->d_in * sizeof *m->w_enc);
    m->w_dec = xmalloc((size_t)m->sae->d_out * sizeof *m->w_dec);
    m->x = xmalloc((size_t)m->sae->d_in * sizeof *m->x);
}

static void maker_finish(struct maker *m)
{
    free(m->w_enc);
    free(m->w_dec);
    free(m->x);
}

bool page_feature_make(const struct sae *sae, const struct samples *samples,
                       const struct index *ix, int64_t id,
                       const struct page_feature_options *options,
                       const struct progress *progress, struct page_feature *out,
                       struct err *err)
{
    if (id < 0 || id >= sae->d_sae)
        return err_set(err, ERR_RANGE,
                       "%s: no feature %lld (found 0 to %lld)", sae->path, (long long)id,
                       (long long)sae->d_sae - 1);
    struct page_feature p = {.id = id};
    struct maker m = {.sae = sae, .samples = samples, .ix = ix, .options = options,
                      .progress = progress, .p = &p, .err = err};
    no_numbers(&p);
    maker_init(&m);
    bool ok = map_guard(make_guarded, &m, err) && m.ok;
    maker_finish(&m);
    if (ok)
        *out = p;
    else
        page_feature_finish(&p);
    return ok;
}

void page_feature_finish(struct page_feature *p)
{
    hist_finish(&p->histogram);
    for (int i = 0; i < PAGE_INTERVALS; i++)
        free(p->intervals[i].examples);
    if (!p->hits_file.data)
        free(p->hits);
    scratch_finish(&p->hits_file);
    free(p->top);
    free(p->decoder_neighbours);
    free(p->encoder_neighbours);
    free(p->coactive);
    free(p->warning);
    *p = (struct page_feature){0};
}

void page_feature_histogram(const struct page_feature *p, int n, double lo, double hi,
                            bool log, struct hist *out)
{
    double start = log ? log10(lo) : lo, width = (log ? log10(hi) : hi) - start;
    *out = (struct hist){.n = n, .lo = start, .hi = start + width, .log = log};
    out->counts = xcalloc((size_t)n, sizeof *out->counts);
    for (int64_t i = 0; i < p->n_hits; i++) {
        double a = fabs((double)p->hits[i].value);
        /* The greatest value may be rounded up beyond max by an index. */
        a = a > p->max ? p->max : a;
        if (!(a > lo || (log && a >= lo)) || a > hi || !(width > 0))
            continue;
        double v = ((log ? log10(a) : a) - start) / width * n;
        out->counts[v >= n ? n - 1 : v < 0 ? 0 : (int)v]++;
    }
}

struct band {
    struct maker m;
    double low, high;
    int n;
    uint64_t seed;
    struct page_example *examples;
    int n_examples;
};

static void band_guarded(void *ctx)
{
    struct band *b = ctx;
    mat_read_rows(&b->m.sae->W_enc, b->m.p->id, 1, b->m.w_enc);
    b->m.ok = draw(&b->m, b->low, b->high, b->n, b->seed, &b->examples, &b->n_examples);
}

bool page_feature_band(const struct sae *sae, const struct samples *samples,
                       const struct index *ix, struct page_feature *p, double low,
                       double high, int n, uint64_t seed, struct page_example **out,
                       int *n_out, struct err *err)
{
    struct band b = {.m = {.sae = sae, .samples = samples, .ix = ix, .p = p, .err = err},
                     .low = low, .high = high, .n = n, .seed = seed};
    maker_init(&b.m);
    bool ok = map_guard(band_guarded, &b, err) && b.m.ok;
    maker_finish(&b.m);
    if (ok) {
        *out = b.examples;
        *n_out = b.n_examples;
    } else {
        free(b.examples);
    }
    return ok;
}

/* ---- context ---------------------------------------------------------------------- */

void page_context_make(const struct samples *samples, const struct hit *hits,
                       int64_t n_hits, int64_t token, int context,
                       struct page_context *out)
{
    int64_t length = samples->seq_len, position = samples_position(samples, token);
    int64_t start = position > context ? position - context : 0;
    int64_t end = length - 1 - position > context ? position + context : length - 1;
    int64_t first = token - position + start;
    if (first + (end - start) >= samples->n_tok) /* a last sequence that is cut */
        end = start + samples->n_tok - 1 - first;
    *out = (struct page_context){.sequence = samples_sequence(samples, token),
                                 .start = start,
                                 .n = (int)(end - start + 1),
                                 .lit = (int)(position - start)};
    out->ids = xmalloc((size_t)out->n * sizeof *out->ids);
    out->activations = xcalloc((size_t)out->n, sizeof *out->activations);
    samples_ids(samples, first, out->n, out->ids);
    const struct hit *h = find_hit((struct hit *)hits, n_hits, first);
    for (; h < hits + n_hits && h->token < first + out->n; h++)
        out->activations[h->token - first] = h->value;
}

void page_context_finish(struct page_context *c)
{
    free(c->ids);
    free(c->activations);
    *c = (struct page_context){0};
}
