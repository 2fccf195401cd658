/*
 * test_scan.c - the scan and its index against loops in double, and against itself.
 *
 * All numbers are multiples of 1/64, so that dot products of 24 of them are exact in f32
 * in any order: what fires, and how strongly, must agree to the bit.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "io/mem.h"
#include "model/page.h"
#include "arrays.h"

#define D     24
#ifdef F /* test_scan_wide: more, and still not whole panels of the encoder */
#define WIDE  true
#else
#define WIDE  false
#define F     1060
#endif
#define SEQ   50
#define N_SEQ 24
#define N     (SEQ * N_SEQ) /* more than one block */
#define K     20

static float W_enc[D * F], W_dec[F * D], b_enc[F], b_dec[D], threshold[F], r_mag[F],
    b_mag[F], acts[N * D], ids[N];

/* first, n: which of open_kind's own tensors it has. */
struct kind {
    const char *name, *cfg;
    int first, n;
};

static const struct kind kinds[] = {
    {"standard", "{\"architecture\": \"standard\"}", 0, 1},
    {"prolu", "{\"architecture\": \"prolu\"}", 0, 1},
    {"jumprelu", "{\"architecture\": \"jumprelu\"}", 0, 2},
    {"gated", "{\"architecture\": \"gated\"}", 2, 3},
    {"topk", "{\"architecture\": \"topk\", \"k\": 20}", 0, 1},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

static void fill(void)
{
    fill_random(W_enc, D * F, 1);
    fill_random(W_dec, F * D, 2);
    fill_random(b_enc, F, 3);
    fill_random(b_dec, D, 4);
    fill_random(b_mag, F, 5);
    fill_random(acts, N * D, 6);
    for (int j = 0; j < F; j++) {
        /* Biases and thresholds that keep all but a few per cent of the tokens out; some
         * features are dead, some fire nearly always. */
        b_enc[j] = b_enc[j] * 4 - (float)(j % 23);
        threshold[j] = 12 + (float)(j % 29);
        r_mag[j] = 0;
        if (j % 100 == 7)
            b_enc[j] = -1000, threshold[j] = 1000;
        if (j % 300 == 11)
            b_enc[j] = 20, threshold[j] = 0.25f;
    }
    for (int t = 0; t < N; t++)
        ids[t] = (float)(t * 7 % 31);
    acts[77 * D + 3] = NAN;
    acts[1099 * D] = INFINITY;
}

static struct sae *open_kind(const struct kind *k)
{
    const struct array common[] = {{"W_enc", DTYPE_F32, 2, {D, F}, W_enc},
                                   {"W_dec", DTYPE_F32, 2, {F, D}, W_dec},
                                   {"b_dec", DTYPE_F32, 1, {D}, b_dec}};
    const struct array own[] = {{"b_enc", DTYPE_F32, 1, {F}, b_enc},
                                {"threshold", DTYPE_F32, 1, {F}, threshold},
                                {"b_gate", DTYPE_F32, 1, {F}, b_enc},
                                {"r_mag", DTYPE_F32, 1, {F}, r_mag},
                                {"b_mag", DTYPE_F32, 1, {F}, b_mag}};
    struct array all[6];
    memcpy(all, common, sizeof common);
    memcpy(all + 3, own + k->first, (size_t)k->n * sizeof *own);
    const char *dir = make_dir("sae");
    write_safetensors("sae/sae_weights.safetensors", all, 3 + k->n);
    write_text("sae/cfg.json", k->cfg);
    struct err err = {0};
    struct sae *sae = sae_open(dir, NULL, NULL, &err);
    if (!sae)
        fail_msg("%s", err.msg);
    return sae;
}

static struct samples *open_samples(void)
{
    const struct array a = {"acts", DTYPE_F32, 3, {N_SEQ, SEQ, D}, acts};
    const struct array t = {"tokens", DTYPE_I32, 2, {N_SEQ, SEQ}, ids};
    static char acts_path[512], tokens_path[512];
    snprintf(acts_path, sizeof acts_path, "%s", write_npy("acts.npy", &a));
    snprintf(tokens_path, sizeof tokens_path, "%s", write_npy("tokens.npy", &t));
    static const char *paths[] = {acts_path};
    struct samples_options o = {.acts = paths, .n_acts = 1, .tokens = tokens_path};
    struct err err = {0};
    struct samples *s = samples_open(&o, NULL, &err);
    if (!s)
        fail_msg("%s", err.msg);
    return s;
}

/* ---- the reference ------------------------------------------------------------------ */

struct reference {
    double *f; /* [N, F] activations; 0 at tokens that do not count */
    bool counts[N];
    int64_t tokens, skipped, nonzeros;
    double fvu, sum_squares, *error; /* error [N, D] x - x_hat */
};

struct ranked {
    double h;
    int j;
};

/* Ties to the lower index. */
static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->h != y->h ? (x->h < y->h ? 1 : -1) : (x->j > y->j) - (x->j < y->j);
}

static void reference_row(const struct kind *k, const float *x, double *f)
{
    static double h[F];
    static struct ranked ranked[F];
    for (int j = 0; j < F; j++) {
        double m = 0;
        for (int i = 0; i < D; i++)
            m += ((double)x[i] - (double)b_dec[i]) * (double)W_enc[i * F + j];
        double b = (double)b_enc[j];
        h[j] = m + b;
        if (strcmp(k->name, "standard") == 0)
            f[j] = h[j] > 0 ? h[j] : 0;
        else if (strcmp(k->name, "prolu") == 0)
            f[j] = m > 0 && m + b > 0 ? m : 0;
        else if (strcmp(k->name, "jumprelu") == 0)
            f[j] = h[j] > (double)threshold[j] ? h[j] : 0;
        else if (strcmp(k->name, "gated") == 0)
            f[j] = m + b > 0 && m + (double)b_mag[j] > 0 ? m + (double)b_mag[j] : 0;
    }
    if (strcmp(k->name, "topk") != 0)
        return;
    for (int j = 0; j < F; j++)
        ranked[j] = (struct ranked){h[j], j};
    qsort(ranked, F, sizeof *ranked, by_rank);
    for (int i = 0; i < F; i++)
        f[ranked[i].j] = i < K && ranked[i].h > 0 ? ranked[i].h : 0;
}

static void reference_make(const struct kind *k, int skip_first, int skip_id,
                           struct reference *r)
{
    double mean[D] = {0};
    *r = (struct reference){0};
    r->f = xcalloc((size_t)N * F, sizeof *r->f);
    r->error = xcalloc((size_t)N * D, sizeof *r->error);
    for (int t = 0; t < N; t++) {
        bool finite = t != 77 && t != 1099;
        bool chosen = t % SEQ >= skip_first && (int)ids[t] != skip_id;
        r->skipped += chosen && !finite;
        r->counts[t] = chosen && finite;
        if (!r->counts[t])
            continue;
        r->tokens++;
        double *f = r->f + (size_t)t * F;
        reference_row(k, acts + t * D, f);
        for (int i = 0; i < D; i++) {
            double y = (double)b_dec[i];
            for (int j = 0; j < F; j++)
                if (f[j] != 0)
                    y += f[j] * (double)W_dec[j * D + i];
            r->error[t * D + i] = (double)acts[t * D + i] - y;
            mean[i] += (double)acts[t * D + i];
        }
        for (int j = 0; j < F; j++)
            r->nonzeros += f[j] != 0;
    }
    double error = 0;
    for (int t = 0; t < N; t++)
        for (int i = 0; i < D && r->counts[t]; i++) {
            double d = (double)acts[t * D + i] - mean[i] / (double)r->tokens;
            r->sum_squares += d * d;
            error += r->error[t * D + i] * r->error[t * D + i];
        }
    r->fvu = error / r->sum_squares;
}

static void reference_free(struct reference *r)
{
    free(r->f);
    free(r->error);
}

/* Rise of the summed square error when feature j is taken out, token by token. */
static double reference_delta(const struct reference *r, int j)
{
    double rise = 0;
    for (int t = 0; t < N; t++) {
        double a = r->f[(size_t)t * F + (size_t)j];
        for (int i = 0; i < D && a != 0; i++) {
            double e = r->error[t * D + i], without = e + a * (double)W_dec[j * D + i];
            rise += without * without - e * e;
        }
    }
    return rise / r->sum_squares;
}

/* ---- helpers ------------------------------------------------------------------------ */

static char index_file[512];

static struct index *scan(const struct sae *sae, const struct samples *s,
                          const struct scan_options *o, const char *name)
{
    struct err err = {0};
    struct scan_totals totals;
    snprintf(index_file, sizeof index_file, "%s", test_path(name));
    if (!scan_run(sae, s, o, index_file, "key", NULL, NULL, &totals, &err))
        fail_msg("%s", err.msg);
    struct index *ix = index_open(index_file, "key", &err);
    if (!ix)
        fail_msg("%s", err.msg);
    return ix;
}

static void assert_near(double got, double want, double relative, double absolute)
{
    if (isnan(want) && isnan(got))
        return;
    if (!(fabs(got - want) <= relative * fabs(want) + absolute))
        fail_msg("found %.12g, expected %.12g", got, want);
}

static const struct scan_options plain = {.memory = (size_t)384 << 20, .threads = 2};

/* ---- tests -------------------------------------------------------------------------- */

static void check_feature(const struct index *ix, const struct reference *r, int j)
{
    const struct index_record *record = index_record(ix, j);
    static struct hit hits[N];
    struct err err = {0};
    double sum = 0, max = 0;
    int64_t count = 0;
    uint32_t histogram[INDEX_BINS] = {0};
    if (!index_hits(ix, j, hits, &err))
        fail_msg("%s", err.msg);
    for (int t = 0; t < N; t++) {
        double a = r->f[(size_t)t * F + (size_t)j];
        if (a == 0)
            continue;
        assert_int_equal(hits[count].token, t);
        assert_near((double)hits[count].value, a, 0x1p-11, 0); /* half precision */
        count++;
        sum += a;
        max = a > max ? a : max;
    }
    assert_int_equal(record->count, count);
    assert_near(record->sum, sum, 1e-12, 0);
    assert_true((double)record->max == max);
    for (int t = 0; t < N; t++) {
        double a = r->f[(size_t)t * F + (size_t)j];
        if (a != 0)
            histogram[(int)fmin(39, floor(40 * a / max))]++;
    }
    assert_memory_equal(record->histogram, histogram, sizeof histogram);
    const struct hit *top = index_top(ix, j);
    assert_int_equal(record->n_top, count < INDEX_TOP ? count : INDEX_TOP);
    for (uint32_t i = 0; i < record->n_top; i++) {
        assert_true((double)top[i].value == r->f[(size_t)top[i].token * F + (size_t)j]);
        if (i > 0)
            assert_true(top[i - 1].value > top[i].value ||
                        (top[i - 1].value == top[i].value &&
                         top[i - 1].token < top[i].token));
    }
    if (j % 50 == 0)
        assert_near(record->delta_fvu, reference_delta(r, j), 1e-4, 1e-9);
}

static void check_kind(const struct kind *k, const struct scan_options *o, int skip_id)
{
    struct sae *sae = open_kind(k);
    struct samples *s = open_samples();
    struct index *ix = scan(sae, s, o, "index");
    struct reference r;
    reference_make(k, (int)o->skip_first, skip_id, &r);
    const struct scan_totals *t = index_totals(ix);
    assert_int_equal(t->tokens, r.tokens);
    assert_int_equal(t->skipped_tokens, r.skipped);
    assert_int_equal(t->nonzeros, r.nonzeros);
    assert_true(r.nonzeros > r.tokens); /* the case is not an empty one */
    assert_near(t->l0, (double)r.nonzeros / (double)r.tokens, 1e-12, 0);
    assert_near(t->sum_squares, r.sum_squares, 1e-9, 0);
    assert_near(t->fvu, r.fvu, 1e-5, 0);
    for (int j = 0; j < F; j++)
        check_feature(ix, &r, j);
    reference_free(&r);
    index_close(ix);
    samples_close(s);
    sae_close(sae);
}

static void every_architecture_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_KINDS; i++)
        check_kind(&kinds[i], &plain, -1);
}

static void skipped_tokens_stay_out(void **state)
{
    (void)state;
    const int64_t skip[] = {5};
    struct scan_options o = plain;
    o.skip_first = 2;
    o.skip_tokens = skip;
    o.n_skip_tokens = 1;
    check_kind(&kinds[1], &o, 5);
}

static void assert_equal_indexes(const struct index *a, const struct index *b)
{
    static struct hit x[N], y[N];
    struct scan_totals s = *index_totals(a), t = *index_totals(b);
    s.seconds = t.seconds = s.tokens_per_second = t.tokens_per_second = 0;
    assert_memory_equal(&s, &t, sizeof s);
    for (int j = 0; j < F; j++) {
        size_t n = index_record(a, j)->count;
        assert_memory_equal(index_record(a, j), index_record(b, j),
                            sizeof(struct index_record));
        assert_memory_equal(index_top(a, j), index_top(b, j),
                            index_record(a, j)->n_top * sizeof(struct hit));
        assert_true(index_hits(a, j, x, NULL) && index_hits(b, j, y, NULL));
        assert_memory_equal(x, y, n * sizeof *x);
    }
}

static void check_cutting(const struct kind *k)
{
    const struct scan_options variants[] = {
        {.memory = (size_t)384 << 20, .threads = 1},
        {.memory = (size_t)384 << 20, .threads = 5},
        {.memory = (size_t)1 << 20, .threads = 1}, /* 16 rows at a time, many runs */
        {.memory = (size_t)12 << 20, .threads = 1}, /* of dense ones each block is a run */
        {.memory = (size_t)130 << 20, .threads = 2},
    };
    struct sae *sae = open_kind(k);
    struct samples *s = open_samples();
    struct index *want = scan(sae, s, &plain, "want");
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct index *got = scan(sae, s, &variants[i], "got");
        assert_equal_indexes(want, got);
        index_close(got);
    }
    index_close(want);
    samples_close(s);
    sae_close(sae);
}

/* Threads and memory decide how the work is cut, never what comes out. */
static void cutting_does_not_show(void **state)
{
    (void)state;
    for (size_t k = 1; k < N_KINDS; k += 3) /* prolu, topk */
        check_cutting(&kinds[k]);
}

/* Nor where much fires, and whole panels are taken as products. */
static void cutting_does_not_show_where_much_fires(void **state)
{
    (void)state;
    static float before[F];
    memcpy(before, b_enc, sizeof before);
    for (int j = 0; j < F; j++)
        b_enc[j] *= 0.3001f; /* and sums are not exact any more */
    check_cutting(&kinds[0]);
    memcpy(b_enc, before, sizeof before);
}

static void live_counts_arrive(void **state)
{
    (void)state;
    struct sae *sae = open_kind(&kinds[1]);
    struct samples *s = open_samples();
    struct scan_live *live = scan_live_new(F);
    struct scan_options o = plain;
    struct scan_totals totals;
    o.threads = 1; /* one writer: nothing is lost */
    assert_true(scan_run(sae, s, &o, test_path("live"), "key", live, NULL, &totals, NULL));
    struct index *ix = index_open(test_path("live"), "key", NULL);
    assert_int_equal(live->tokens, totals.tokens);
    for (int j = 0; j < F; j++) {
        assert_int_equal(live->count[j], index_record(ix, j)->count);
        assert_true(live->max[j] == index_record(ix, j)->max);
    }
    index_close(ix);
    scan_live_free(live);
    samples_close(s);
    sae_close(sae);
}

static bool stop_late(void *ctx, const char *what, int64_t done, int64_t of)
{
    (void)what, (void)done, (void)of;
    return (*(_Atomic int *)ctx)-- > 0;
}

/* Wherever it is stopped, no file is left and the index that was there stays. */
static void cancelling_leaves_nothing(void **state)
{
    (void)state;
    struct sae *sae = open_kind(&kinds[1]);
    struct samples *s = open_samples();
    index_close(scan(sae, s, &plain, "kept"));
    bool ended = false;
    for (int steps = 0; steps < 200 && !ended; steps += 3) {
        _Atomic int left = steps;
        struct progress p = {.step = stop_late, .ctx = (void *)&left};
        struct err err = {0};
        struct scan_totals totals;
        ended = scan_run(sae, s, &plain, test_path("kept"), "new", NULL, &p, &totals, &err);
        struct index *ix = index_open(test_path("kept"), ended ? "new" : "key", &err);
        assert_non_null(ix);
        index_close(ix);
        if (!ended)
            assert_int_equal(err.code, ERR_CANCELLED);
    }
    assert_true(ended);
    samples_close(s);
    sae_close(sae);
}

static void nothing_to_count_is_an_error(void **state)
{
    (void)state;
    struct sae *sae = open_kind(&kinds[1]);
    struct samples *s = open_samples();
    struct scan_options o = plain;
    struct scan_totals totals;
    struct err err = {0};
    o.skip_first = SEQ;
    assert_false(scan_run(sae, s, &o, test_path("none"), "key", NULL, NULL, &totals, &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_non_null(strstr(err.msg, "no token is left to count"));
    assert_int_not_equal(access(test_path("none"), F_OK), 0);
    samples_close(s);
    sae_close(sae);
}

static void damaged_indexes_are_found(void **state)
{
    (void)state;
    struct sae *sae = open_kind(&kinds[1]);
    struct samples *s = open_samples();
    index_close(scan(sae, s, &plain, "whole"));
    struct err err = {0};
    assert_null(index_open(test_path("whole"), "other", &err));
    assert_int_equal(err.code, ERR_RANGE);
    assert_null(index_open(test_path("absent"), "key", &err));
    assert_int_equal(err.code, ERR_MISSING);

    static unsigned char bytes[8 << 20];
    FILE *f = fopen(test_path("whole"), "rb");
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    static struct hit hits[N];
    uint64_t seed = 9;
    for (int i = 0; i < 300; i++) {
        size_t at = next_random(&seed) % size, cut = size;
        unsigned char before = bytes[at];
        if (i % 10 == 0)
            cut = at;
        bytes[at] ^= (unsigned char)(1 + next_random(&seed) % 255);
        struct index *ix = index_open(write_bytes("broken", bytes, cut), "key", &err);
        assert_true(cut == size || !ix);
        for (int j = 0; ix && j < F; j++) /* what opens is whole, but for its postings */
            index_hits(ix, j, hits, &err);
        index_close(ix);
        bytes[at] = before;
    }
    samples_close(s);
    sae_close(sae);
}

static void assert_equal_pages(const struct page_feature *a, const struct page_feature *b)
{
    assert_int_equal(a->count, b->count);
    assert_near(a->mean, b->mean, 1e-12, 0);
    assert_true(a->max == b->max);
    assert_near(a->delta_fvu, b->delta_fvu, 1e-6, 1e-12);
    assert_int_equal(a->n_top, b->n_top);
    for (int i = 0; i < a->n_top; i++) {
        assert_int_equal(a->top[i].token, b->top[i].token);
        assert_true(a->top[i].activation == b->top[i].activation);
    }
    assert_int_equal(a->n_intervals, b->n_intervals);
    for (int i = 0; i < a->n_intervals; i++) {
        const struct page_interval *v = &a->intervals[i], *w = &b->intervals[i];
        assert_int_equal(v->count, w->count);
        assert_int_equal(v->n_examples, w->n_examples);
        assert_int_equal(v->n_examples, v->count < 5 ? v->count : 5);
        for (int e = 0; e < v->n_examples; e++) {
            assert_int_equal(v->examples[e].token, w->examples[e].token);
            assert_true(v->examples[e].activation == w->examples[e].activation);
        }
    }
    if (a->n_coactive >= 0 && b->n_coactive >= 0) {
        assert_int_equal(a->n_coactive, b->n_coactive);
        for (int i = 0; i < a->n_coactive; i++) {
            assert_int_equal(a->coactive[i].id, b->coactive[i].id);
            assert_near(a->coactive[i].jaccard, b->coactive[i].jaccard, 1e-12, 0);
            assert_near(a->coactive[i].pmi, b->coactive[i].pmi, 1e-12, 1e-12);
        }
    }
}

/* One feature from the index and from the samples alone: the same page. */
static void index_and_samples_agree(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_KINDS; k++) {
        struct sae *sae = open_kind(&kinds[k]);
        struct samples *s = open_samples();
        struct index *ix = scan(sae, s, &plain, "index");
        for (int64_t id = 0; id < F; id += 211) {
            struct page_feature_options o = {.scan = plain, .seed = 3, .top = 150};
            struct page_feature a, b;
            struct err err = {0};
            if (!page_feature_make(sae, s, ix, id, &o, NULL, &a, &err) ||
                !page_feature_make(sae, s, NULL, id, &o, NULL, &b, &err))
                fail_msg("%s", err.msg);
            assert_equal_pages(&a, &b);
            page_feature_finish(&a);
            page_feature_finish(&b);
        }
        index_close(ix);
        samples_close(s);
        sae_close(sae);
    }
}

static void context_is_cut_at_the_sequence(void **state)
{
    (void)state;
    struct samples *s = open_samples();
    const struct hit hits[] = {{99, 1.5f}, {100, 2.5f}, {103, 0.5f}, {111, 9}};
    struct page_context c;
    page_context_make(s, hits, 4, 100, 10, &c);
    assert_int_equal(c.sequence, 2);
    assert_int_equal(c.start, 0);
    assert_int_equal(c.lit, 0);
    assert_int_equal(c.n, 11);
    assert_true(c.activations[0] == 2.5f && c.activations[3] == 0.5f);
    assert_true(c.activations[1] == 0);
    assert_int_equal(c.ids[4], 104 * 7 % 31);
    page_context_finish(&c);
    page_context_make(s, hits, 4, 99, 3, &c);
    assert_int_equal(c.n, 4);
    assert_int_equal(c.lit, 3);
    assert_int_equal(c.start, 46);
    page_context_finish(&c);
    samples_close(s);
}

static void neighbours_are_the_nearest(void **state)
{
    (void)state;
    struct sae *sae = open_kind(&kinds[1]);
    struct samples *s = open_samples();
    struct feature_table t;
    struct err err = {0};
    assert_true(feature_table_from_weights(sae, 2, NULL, &t, &err));
    if (!feature_table_nearest(&t, sae, 2, NULL, &err))
        fail_msg("%s", err.msg);
    for (int64_t id = 0; id < F; id += 97) {
        double best = -2;
        for (int64_t j = 0; j < F; j++) {
            double dot = 0, aa = 0, bb = 0;
            for (int i = 0; i < D && j != id; i++) {
                double a = (double)W_dec[id * D + i], b = (double)W_dec[j * D + i];
                dot += a * b, aa += a * a, bb += b * b;
            }
            if (j != id)
                best = fmax(best, dot / sqrt(aa * bb));
        }
        struct page_feature_options o = {.scan = plain, .quick = true};
        struct page_feature p;
        assert_true(page_feature_make(sae, NULL, NULL, id, &o, NULL, &p, &err));
        assert_near((double)p.decoder_neighbours[0].cosine, best, 0, 1e-6);
        assert_near(t.v[FCOL_NEAREST_COSINE][id], best, 0, 1e-6);
        assert_int_equal(p.n_decoder_neighbours, 10);
        assert_true(isnan(p.density) && p.n_coactive == -1);
        page_feature_finish(&p);
    }
    feature_table_finish(&t);
    samples_close(s);
    sae_close(sae);
}

static void sorting_is_stable_and_puts_null_last(void **state)
{
    (void)state;
    double v[] = {3, NAN, -1, 3, 0, -0.0, INFINITY, 2};
    struct feature_table t = {.n = 8, .v = {[FCOL_MEAN] = v}};
    uint32_t order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const uint32_t down[] = {6, 0, 3, 7, 4, 5, 2, 1}, up[] = {2, 4, 5, 7, 0, 3, 6, 1};
    feature_table_sort(&t, FCOL_MEAN, false, order, 8);
    assert_memory_equal(order, down, sizeof down);
    feature_table_sort(&t, FCOL_MEAN, true, order, 8);
    assert_memory_equal(order, up, sizeof up);
    feature_table_sort(&t, FCOL_MAX, false, order, 8); /* not known: by id */
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(order[i], i);
}

int main(void)
{
    fill();
    const struct CMUnitTest about_panels[] = {
        cmocka_unit_test(every_architecture_agrees),
        cmocka_unit_test(cutting_does_not_show),
        cmocka_unit_test(cutting_does_not_show_where_much_fires),
        cmocka_unit_test(index_and_samples_agree),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skipped_tokens_stay_out),
        cmocka_unit_test(live_counts_arrive),
        cmocka_unit_test(cancelling_leaves_nothing),
        cmocka_unit_test(nothing_to_count_is_an_error),
        cmocka_unit_test(damaged_indexes_are_found),
        cmocka_unit_test(context_is_cut_at_the_sequence),
        cmocka_unit_test(neighbours_are_the_nearest),
        cmocka_unit_test(sorting_is_stable_and_puts_null_last),
    };
    int failed = cmocka_run_group_tests(about_panels, NULL, NULL);
    if (WIDE)
        return failed;
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
