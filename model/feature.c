/* feature.c - everything about one feature; see page.h. Its examples: feature_examples.c. */
#include "model/feature_impl.h"

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
    int threads = feature_option(m->options->scan.threads, team_default_threads());
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
    if (!m->samples->firings && p->count > PROBE_EXTRA_TOKENS) {
        p->warning = xasprintf("feature %lld fires at %lld tokens: delta_fvu and coactive "
                               "need an index (more than %d)",
                               (long long)p->id, (long long)p->count, PROBE_EXTRA_TOKENS);
        return true;
    }
    if (!probe_extra(m->sae, m->samples, &m->options->scan, p->id, &probe, m->progress,
                     &extra, m->err))
        return false;
    p->delta_fvu = extra.delta_fvu;
    if (samples_have_inputs(m->samples) && sae_rebuilds_input(m->sae) &&
        !isfinite(p->delta_fvu))
        p->warning = xstrdup("delta_fvu is null: the reconstruction is not finite, or the "
                             "samples do not vary");
    if (!m->samples->firings && m->sae->arch->selects &&
        m->samples->n_tok > PROBE_SELECT_TOKENS) {
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
    int n = feature_option(m->options->neighbours, 10);
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
    p->relative_norm = sae->relative_norm ? (double)sae->relative_norm[p->id] : NAN;
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
    if (!feature_make_top(m) || (p->count > 0 && !feature_make_intervals(m)))
        return false;
    if (m->ix)
        return m->options->quick || coactive_from_index(m);
    return m->options->quick || extra_from_samples(m);
}

static void make_guarded(void *ctx)
{
    struct maker *m = ctx;
    read_weights(m);
    m->ok = (!samples_have_features(m->samples) || make_samples_part(m)) &&
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
                       "%s: no such feature (found %lld, expected 0 to %lld)", sae->path, (long long)id,
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
    b->m.ok = feature_band(&b->m, b->low, b->high, b->n, b->seed, &b->examples, &b->n_examples);
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
    const struct hit *h = hits + hits_find(hits, n_hits, first);
    for (; h < hits + n_hits && h->token < first + out->n; h++)
        out->activations[h->token - first] = h->value;
}

void page_context_finish(struct page_context *c)
{
    free(c->ids);
    free(c->activations);
    *c = (struct page_context){0};
}
