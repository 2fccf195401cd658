/* view_feature_page.c - the jobs of view 3; see view_feature.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "model/kern.h"
#include "tui/view_feature.h"

/* -- the response curve ---------------------------------------------------------------- */

static double response(const struct sae *sae, int64_t id, double m)
{
    double a = (double)sae_activation(sae, id, (float)m);
    return sae->arch->selects && a < 0 && !sae->is_signed ? 0 : a;
}

/* The pre-activation that gives activation `a`, above `from`. */
static double inverse(const struct sae *sae, int64_t id, double from, double a)
{
    double step = 1e-3, lo, hi;

    while (step < 1e9 && response(sae, id, from + step) < a)
        step *= 2;
    lo = from;
    hi = from + step;
    for (int i = 0; i < 40; i++) {
        double middle = (lo + hi) / 2;
        if (response(sae, id, middle) < a)
            lo = middle;
        else
            hi = middle;
    }
    return hi;
}

/* From well below where it begins to fire to a little above its maximum. */
static void make_curve(const struct sae *sae, struct feature_page *page)
{
    int64_t id = page->p.id;
    double level = (double)sae->arch->level(sae, id);
    double from, to, span;

    page->gate = level;
    if (!isfinite(level) && !(sae->arch->dense && level < 0))
        return;
    if (sae->arch->dense) { /* off nowhere: as far as it goes to either side */
        to = page->p.max > 0 ? page->p.max : 1;
        from = -to;
    } else {
        from = fmin(level, 0);
        to = page->p.max > 0 ? inverse(sae, id, level, page->p.max)
                             : fmax(level, 0) + fmax(2 * fabs(level), 1);
    }
    span = fmax(to - from, 1e-6);
    from -= .35 * span;
    to += .05 * span;
    page->n_curve = CURVE_POINTS;
    for (int i = 0; i < CURVE_POINTS; i++) {
        double m = from + (to - from) * i / (CURVE_POINTS - 1);
        page->curve_x[i] = (float)m;
        page->curve_y[i] = (float)response(sae, id, m);
    }
}

/* -- neighbours ------------------------------------------------------------------------ */

struct nearer {
    const struct feature_query *q;
    struct feature_page *page;
    const struct progress *progress;
    float *own, *other; /* owned */
    struct hit *hits;   /* owned; of another feature */
    struct err *err;
    bool ok;
};

static struct feature_near *near_of(struct feature_page *page, int64_t id)
{
    for (int i = 0; i < page->n_near; i++)
        if (page->near[i].id == id)
            return &page->near[i];
    page->near[page->n_near] = (struct feature_near){id, NAN, NAN, (double)NAN};
    return &page->near[page->n_near++];
}

static float cosine(const float *a, const float *b, int64_t n)
{
    double aa = kern_sum_squares(a, n), bb = kern_sum_squares(b, n);
    return aa > 0 && bb > 0 ? (float)(kern_dot_double(a, b, n) / sqrt(aa * bb)) : 0;
}

/* The cosines that a list of the nearest does not hold. */
static void fill_cosines(struct nearer *n, const struct mat *m, bool encoder)
{
    mat_read_rows(m, n->page->p.id, 1, n->own);
    for (int i = 0; i < n->page->n_near; i++) {
        struct feature_near *near = &n->page->near[i];
        float *value = encoder ? &near->encoder : &near->decoder;
        if (!isnan(*value))
            continue;
        mat_read_rows(m, near->id, 1, n->other);
        *value = cosine(n->own, n->other, m->cols);
    }
}

static int64_t in_both(const struct hit *a, int64_t n_a, const struct hit *b, int64_t n_b)
{
    int64_t both = 0;

    for (int64_t i = 0, j = 0; i < n_a && j < n_b;) {
        uint32_t x = a[i].token, y = b[j].token;
        both += x == y;
        i += x <= y;
        j += y <= x;
    }
    return both;
}

static bool fill_together(struct nearer *n)
{
    const struct page_feature *p = &n->page->p;

    for (int i = 0; i < n->page->n_near; i++) {
        struct feature_near *near = &n->page->near[i];
        if (!isnan(near->together))
            continue;
        if (!progress_step(n->progress, "neighbours", i, n->page->n_near))
            return err_set(n->err, ERR_CANCELLED, "cancelled");
        int64_t count = (int64_t)index_record(n->q->index, near->id)->count;
        n->hits = xreallocarray(n->hits, (size_t)count + 1, sizeof *n->hits);
        if (!index_hits(n->q->index, near->id, n->hits, n->err))
            return false;
        double both = (double)in_both(p->hits, p->n_hits, n->hits, count);
        double either = (double)(p->count + count) - both;
        near->together = either > 0 ? both / either : (double)NAN;
    }
    return true;
}

static void fill_guarded(void *ctx)
{
    struct nearer *n = ctx;

    fill_cosines(n, &n->q->sae->W_dec, false);
    fill_cosines(n, &n->q->sae->W_enc, true);
    n->ok = n->q->stage < STAGE_FULL || !n->q->index || fill_together(n);
}

static bool make_near(const struct feature_query *q, struct feature_page *page,
                      const struct progress *progress, struct err *err)
{
    const struct page_feature *p = &page->p;
    const struct sae *sae = q->sae;
    struct nearer n = {.q = q, .page = page, .progress = progress, .err = err};
    int co = p->n_coactive > 0 ? p->n_coactive : 0;
    bool ok;

    page->near = xcalloc((size_t)(p->n_decoder_neighbours + p->n_encoder_neighbours + co + 1),
                         sizeof *page->near);
    for (int i = 0; i < p->n_decoder_neighbours; i++)
        near_of(page, p->decoder_neighbours[i].id)->decoder = p->decoder_neighbours[i].cosine;
    for (int i = 0; i < p->n_encoder_neighbours; i++)
        near_of(page, p->encoder_neighbours[i].id)->encoder = p->encoder_neighbours[i].cosine;
    for (int i = 0; i < co; i++)
        near_of(page, p->coactive[i].id)->together = p->coactive[i].jaccard;
    size_t widest = (size_t)(sae->d_in > sae->d_out ? sae->d_in : sae->d_out);
    n.own = xmalloc(widest * sizeof *n.own);
    n.other = xmalloc(widest * sizeof *n.other);
    ok = map_guard(fill_guarded, &n, err) && n.ok;
    free(n.own);
    free(n.other);
    free(n.hits);
    return ok;
}

/* -- the page -------------------------------------------------------------------------- */

static void make_histograms(struct feature_page *page)
{
    const struct page_feature *p = &page->p;
    double least = p->max;

    for (int64_t i = 0; i < p->n_hits; i++)
        least = fmin(least, fabs((double)p->hits[i].value));
    if (!(p->max > 0) || p->n_hits == 0)
        return;
    page_feature_histogram(p, FEATURE_BINS, 0, p->max, false, &page->fine);
    if (!(least < p->max)) /* all alike: a width for the bins to have */
        least = p->max / 10;
    page_feature_histogram(p, FEATURE_BINS, least, p->max, true, &page->fine_log);
}

static int64_t rank_of_delta(const struct index *ix, const struct page_feature *p)
{
    int64_t rank = 1;

    if (!ix || isnan(p->delta_fvu))
        return 0;
    for (int64_t j = 0; j < index_d_sae(ix); j++)
        rank += index_record(ix, j)->delta_fvu > p->delta_fvu;
    return rank;
}

/* -- the tokens that it fires on ------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void add_common(struct feature_page *page, struct feature_token t)
{
    int i = page->n_common < COMMON_TOKENS ? page->n_common++ : COMMON_TOKENS;

    for (; i > 0 && page->common[i - 1].share < t.share; i--)
        if (i < COMMON_TOKENS)
            page->common[i] = page->common[i - 1];
    if (i < COMMON_TOKENS)
        page->common[i] = t;
}

/* ids [COMMON_HITS] is room to work in. */
static void count_tokens(const struct samples *samples, struct feature_page *page,
                         int64_t *ids)
{
    const struct page_feature *p = &page->p;
    int64_t n = p->n_hits < COMMON_HITS ? p->n_hits : COMMON_HITS;

    for (int64_t i = 0; i < n; i++)
        samples_ids(samples, p->hits[i * p->n_hits / n].token, 1, &ids[i]);
    qsort(ids, (size_t)n, sizeof *ids, by_id);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && ids[j] == ids[i]; j++)
            ;
        if (ids[i] >= 0)
            add_common(page, (struct feature_token){ids[i], (double)(j - i) / (double)n});
    }
}

/* -- all of it ------------------------------------------------------------------------- */

struct reader {
    const struct feature_query *q;
    struct feature_page *page;
    int64_t *ids;
};

static void read_guarded(void *ctx)
{
    struct reader *r = ctx;
    struct feature_page *page = r->page;
    const struct page_feature *p = &page->p;

    page->delta_rank = rank_of_delta(r->q->index, p);
    examples_make(r->q->samples, p, p->top, p->n_top, &page->top);
    for (int i = 0; i < p->n_intervals; i++)
        examples_make(r->q->samples, p, p->intervals[i].examples,
                      p->intervals[i].n_examples, &page->intervals[i]);
    if (p->n_hits > 0)
        count_tokens(r->q->samples, page, r->ids);
}

static bool feature_run(struct job *job, const struct progress *progress, struct err *err)
{
    struct feature_job *j = (struct feature_job *)job;
    const struct feature_query *q = &j->query;
    bool weights = q->stage == STAGE_WEIGHTS;
    struct page_feature_options options = {
        .top = FEATURE_TOP, .examples = q->examples, .context = q->context,
        .seed = q->seed, .quick = q->stage < STAGE_FULL, .scan = q->scan};
    struct reader r = {q, j->page, NULL};

    j->page->stage = q->stage;
    if (!page_feature_make(q->sae, weights ? NULL : q->samples, weights ? NULL : q->index,
                           q->id, &options, progress, &j->page->p, err))
        return false;
    make_histograms(j->page);
    make_curve(q->sae, j->page);
    if (q->lm && (q->stage == STAGE_FULL || !q->samples) &&
        !logitlens_feature(q->lm, q->sae, q->id, LOGITLENS_SHOWN, false, &j->page->logits, err))
        return false;
    r.ids = xmalloc(COMMON_HITS * sizeof *r.ids);
    bool ok = make_near(q, j->page, progress, err) && map_guard(read_guarded, &r, err);
    free(r.ids);
    return ok;
}

void feature_page_free(struct feature_page *page)
{
    if (!page)
        return;
    page_feature_finish(&page->p);
    examples_finish(&page->top);
    for (int i = 0; i < PAGE_INTERVALS; i++)
        examples_finish(&page->intervals[i]);
    hist_finish(&page->fine);
    hist_finish(&page->fine_log);
    logits_finish(&page->logits);
    free(page->near);
    free(page);
}

static void feature_free(struct job *job)
{
    feature_page_free(((struct feature_job *)job)->page);
    free(job);
}

struct feature_job *feature_job_new(const struct feature_query *query)
{
    static const struct job_ops ops = {"feature", feature_run, feature_free};
    struct feature_job *j = job_new(&ops, sizeof *j);

    j->query = *query;
    j->page = xcalloc(1, sizeof *j->page);
    return j;
}

/* -- a brushed band -------------------------------------------------------------------- */

struct band_reader {
    struct band_job *job;
    const struct page_example *from;
    int n;
};

static void band_guarded(void *ctx)
{
    struct band_reader *r = ctx;

    examples_make(r->job->query.samples, &r->job->p, r->from, r->n, &r->job->list);
}

static bool band_run(struct job *job, const struct progress *progress, struct err *err)
{
    struct band_job *j = (struct band_job *)job;
    const struct feature_query *q = &j->query;
    struct page_example *found = NULL;
    struct band_reader r = {.job = j};

    if (!progress_step(progress, "examples", 0, 1))
        return err_set(err, ERR_CANCELLED, "cancelled");
    if (!page_feature_band(q->sae, q->samples, q->index, &j->p, j->low, j->high,
                           q->examples, q->seed, &found, &r.n, err))
        return false;
    r.from = found;
    bool ok = map_guard(band_guarded, &r, err);
    free(found);
    return ok;
}

static void band_free(struct job *job)
{
    struct band_job *j = (struct band_job *)job;

    free(j->p.hits);
    examples_finish(&j->list);
    free(j);
}

struct band_job *band_job_new(const struct feature_query *query,
                              const struct page_feature *p, double low, double high,
                              int64_t count)
{
    static const struct job_ops ops = {"examples", band_run, band_free};
    struct band_job *j = job_new(&ops, sizeof *j);

    j->query = *query;
    j->p = (struct page_feature){.id = p->id, .max = p->max, .count = p->count,
                                 .n_hits = p->n_hits};
    j->p.hits = xreallocarray(NULL, (size_t)p->n_hits + 1, sizeof *p->hits);
    if (p->n_hits > 0)
        memcpy(j->p.hits, p->hits, (size_t)p->n_hits * sizeof *p->hits);
    j->low = low;
    j->high = high;
    j->count = count;
    return j;
}
