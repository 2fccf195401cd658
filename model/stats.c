/* stats.c - summaries, histograms and intervals. */
#include "model/stats.h"

#include <math.h>
#include <stdlib.h>

#include "io/mem.h"

double hist_edge(const struct hist *h, int i)
{
    return i == h->n ? h->hi : h->lo + i * (h->hi - h->lo) / h->n;
}

void hist_finish(struct hist *h)
{
    free(h->counts);
    *h = (struct hist){0};
}

/* The bin of lo <= v <= hi by the edges themselves: division alone can be one off. */
static int bin_of(const struct hist *h, double v)
{
    if (!(h->hi > h->lo))
        return h->n - 1;
    int bin = (int)((v - h->lo) / (h->hi - h->lo) * h->n);
    bin = bin < 0 ? 0 : bin >= h->n ? h->n - 1 : bin;
    while (bin > 0 && v < hist_edge(h, bin))
        bin--;
    while (bin < h->n - 1 && v >= hist_edge(h, bin + 1))
        bin++;
    return bin;
}

/* What is binned of a value: itself or its logarithm. NaN: nothing. */
static double binned(double v, const struct summary_options *o)
{
    if (!isfinite(v) || (o->ranged && !(v >= o->lo && v <= o->hi)) || (o->log && v <= 0))
        return NAN;
    return o->log ? log10(v) : v;
}

static void make_hist(const double *v, int64_t n, const struct summary_options *o,
                      struct summary *out)
{
    double min = INFINITY, max = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double b = binned(v[i], o);
        min = b < min ? b : min;
        max = b > max ? b : max;
    }
    if (o->ranged) { /* a logarithmic range that starts at 0 starts at the least value */
        min = !o->log ? o->lo : o->lo > 0 ? log10(o->lo) : min;
        max = !o->log ? o->hi : o->hi > 0 ? log10(o->hi) : max;
    }
    struct hist *h = &out->hist;
    if (min <= max)
        *h = (struct hist){.n = o->bins > 0 ? o->bins : STATS_BINS, .lo = min, .hi = max,
                           .log = o->log};
    h->counts = h->n ? xcalloc((size_t)h->n, sizeof *h->counts) : NULL;
    for (int64_t i = 0; i < n; i++) {
        double b = binned(v[i], o);
        if (isnan(b))
            out->excluded++;
        else
            h->counts[bin_of(h, b)]++;
    }
}

void summary_of(const double *v, int64_t n, const struct summary_options *options,
                struct summary *out)
{
    static const struct summary_options plain = {0};
    struct summary s = {.min = INFINITY, .max = -INFINITY};
    double sum = 0, squares = 0;
    int64_t negative = 0, zero = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            continue;
        s.count++;
        sum += v[i];
        s.min = v[i] < s.min ? v[i] : s.min;
        s.max = v[i] > s.max ? v[i] : s.max;
        negative += v[i] < 0;
        zero += v[i] == 0;
    }
    double count = s.count ? (double)s.count : NAN;
    s.mean = sum / count;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]))
            squares += (v[i] - s.mean) * (v[i] - s.mean);
    s.std = sqrt(squares / count);
    s.negative_fraction = (double)negative / count;
    s.zero_fraction = (double)zero / count;
    if (!s.count)
        s.min = s.max = NAN;
    make_hist(v, n, options ? options : &plain, &s);
    *out = s;
}

void summary_finish(struct summary *s)
{
    hist_finish(&s->hist);
    *s = (struct summary){0};
}

/* Hoare's selection: afterwards v[k] is what sorting would put there, nothing before it is
 * greater and nothing behind it less. */
static void select_nth(double *v, int64_t n, int64_t k)
{
    for (int64_t lo = 0, hi = n - 1; lo < hi;) {
        double pivot = v[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                double t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (k > j)
            lo = i;
        if (k < i)
            hi = j;
    }
}

double stats_median(double *v, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]))
            v[kept++] = v[i];
    if (!kept)
        return NAN;
    int64_t middle = kept / 2;
    select_nth(v, kept, middle);
    if (kept % 2)
        return v[middle];
    double below = v[0];
    for (int64_t i = 1; i < middle; i++)
        below = v[i] > below ? v[i] : below;
    return (below + v[middle]) / 2;
}

const double stats_quantile_at[STATS_QUANTILES] = {.05, .25, .5, .75, .95};

void stats_quantiles(double *v, int64_t n, double out[STATS_QUANTILES])
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(v[i]))
            v[kept++] = v[i];
    for (int q = 0; q < STATS_QUANTILES; q++) {
        double at = stats_quantile_at[q] * (double)(kept - 1);
        int64_t k = (int64_t)at;
        out[q] = NAN;
        if (!kept)
            continue;
        select_nth(v, kept, k);
        double next = INFINITY; /* the least of what is behind */
        for (int64_t i = k + 1; i < kept; i++)
            next = v[i] < next ? v[i] : next;
        double part = at - (double)k;
        out[q] = part > 0 ? v[k] + part * (next - v[k]) : v[k];
    }
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Quickselect by middle elements. */
float stats_kth_largest(float *keys, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1;
    while (hi - lo > 16) {
        float pivot = keys[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (keys[i] > pivot)
                i++;
            while (keys[j] < pivot)
                j--;
            if (i <= j) {
                float t = keys[i];
                keys[i++] = keys[j];
                keys[j--] = t;
            }
        }
        if (k - 1 <= j)
            hi = j;
        else if (k - 1 >= i)
            lo = i;
        else
            return keys[k - 1];
    }
    qsort(keys + lo, (size_t)(hi - lo + 1), sizeof *keys, descending);
    return keys[k - 1];
}

void stats_wilson(double k, double n, double *low, double *high)
{
    const double z = 1.959964;
    *low = 0;
    *high = 1;
    if (!(n > 0))
        return;
    double p = k / n, scale = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / scale;
    double half = z / scale * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *low = k > 0 ? fmax(0, middle - half) : 0;
    *high = k < n ? fmin(1, middle + half) : 1;
}
