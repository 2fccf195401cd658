/* quantity.c - see quantity.h. */
#include "tui/quantity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/wid_hist.h"

const struct quantity_info quantities[QUANTITY_COUNT] = {
    [QUANTITY_B_ENC] = {"b_enc", "b_enc", FCOL_BIAS, .is_stored = true, .is_signed = true},
    [QUANTITY_B_GATE] = {"b_gate", "b_gate", FCOL_BIAS, .is_stored = true, .is_signed = true},
    [QUANTITY_B_MAG] = {"b_mag", "b_mag", -1, .is_stored = true, .is_signed = true},
    [QUANTITY_THRESHOLD] = {"threshold", "threshold", FCOL_THRESHOLD, .is_stored = true},
    [QUANTITY_B_DEC] = {"b_dec", "b_dec", -1, .is_stored = true, .is_signed = true},
    [QUANTITY_DECODER_NORM] = {"decoder_norm", "norm", FCOL_DECODER_NORM},
    [QUANTITY_RELATIVE_NORM] = {"relative_decoder_norm", "2nd norm", FCOL_RELATIVE_NORM,
                                .is_stored = true},
    [QUANTITY_COSINE] = {"encoder_decoder_cosine", "enc·dec", FCOL_ENCODER_DECODER_COSINE,
                         .is_signed = true},
    [QUANTITY_DENSITY] = {"density", "density", FCOL_DENSITY, .is_scanned = true,
                          .log_values = true},
    [QUANTITY_MAX] = {"max", "max", FCOL_MAX, .is_scanned = true},
    [QUANTITY_DELTA_FVU] = {"delta_fvu", "ΔFVU", FCOL_DELTA_FVU, .is_scanned = true,
                            .is_signed = true, .log_values = true},
};

int quantity_find(const char *name)
{
    for (int q = 0; q < QUANTITY_COUNT; q++)
        if (!strcmp(quantities[q].name, name) || !strcmp(quantities[q].heading, name))
            return q;
    return -1;
}

/* The vector of the checkpoint; NULL: it has none. */
static const float *stored(const struct sae *sae, enum quantity q, int64_t *n)
{
    *n = sae->d_sae;
    switch (q) {
    case QUANTITY_B_ENC: return sae->b_enc;
    case QUANTITY_B_GATE: return sae->b_gate;
    case QUANTITY_B_MAG: return sae->b_mag;
    case QUANTITY_THRESHOLD:
        if (!quantity_is_per_feature(sae, q))
            *n = 1;
        return sae->threshold;
    case QUANTITY_B_DEC: *n = sae->d_out; return sae->b_dec;
    case QUANTITY_RELATIVE_NORM: return sae->relative_norm;
    default: return NULL;
    }
}

bool quantity_applies(const struct sae *sae, enum quantity q)
{
    int64_t n;

    return !quantities[q].is_stored || stored(sae, q, &n) != NULL;
}

enum quantity quantity_default(const struct sae *sae)
{
    int q = 0;

    while (q < QUANTITY_DECODER_NORM && !quantity_applies(sae, (enum quantity)q))
        q++;
    return (enum quantity)q;
}

bool quantity_is_per_feature(const struct sae *sae, enum quantity q)
{
    bool one = q == QUANTITY_THRESHOLD && strcmp(sae->arch->name, "batchtopk") == 0;

    return q != QUANTITY_B_DEC && !one;
}

double *quantity_values(const struct sae *sae, const struct feature_table *table,
                        enum quantity q, int64_t *n)
{
    const float *v = stored(sae, q, n);
    const double *column = NULL;

    if (!v && table && !quantities[q].is_stored) {
        column = table->v[quantities[q].column];
        *n = table->n;
    }
    if (!v && !column)
        return NULL;
    double *copy = mem_try((size_t)*n, sizeof *copy, quantities[q].name, NULL);
    for (int64_t i = 0; copy && i < *n; i++)
        copy[i] = v ? (double)v[i] : column[i];
    return copy;
}

/* -- words ---------------------------------------------------------------------------- */

static double share(const double *v, int64_t n, bool (*holds)(double))
{
    int64_t yes = 0, of = 0;

    for (int64_t i = 0; i < n; i++) {
        of += isfinite(v[i]);
        yes += isfinite(v[i]) && holds(v[i]);
    }
    return of ? (double)yes / (double)of : 0;
}

static bool is_unit(double x)
{
    return fabs(x - 1) <= .01;
}

static bool is_common(double x)
{
    return x > .1;
}

static bool is_of_first(double x)
{
    return x < .1;
}

static bool is_of_second(double x)
{
    return x > .9;
}

static const char *noun(enum quantity q, int64_t n)
{
    switch (q) {
    case QUANTITY_THRESHOLD: return n == 1 ? "threshold" : "thresholds";
    case QUANTITY_B_DEC: return "components of b_dec";
    case QUANTITY_COSINE: return "encoder-decoder cosines";
    case QUANTITY_DECODER_NORM: return "decoder rows";
    case QUANTITY_RELATIVE_NORM:
    case QUANTITY_DENSITY:
    case QUANTITY_MAX:
    case QUANTITY_DELTA_FVU: return n == 1 ? "feature" : "features";
    default: return n == 1 ? "bias" : "biases";
    }
}

void quantity_headline(enum quantity q, const double *v, int64_t n,
                       const struct summary *s, char *buf, size_t size)
{
    char count[32], zero[32], part[32], other[32];
    const char *what = noun(q, s->count), *is = s->count == 1 ? "is" : "are";
    double zeros = s->count ? s->zero_fraction : 0;
    double negative = s->count ? s->negative_fraction : 0;

    count_text(s->count, count, sizeof count);
    count_text((int64_t)llround(zeros * (double)s->count), zero, sizeof zero);
    switch (q) {
    case QUANTITY_DECODER_NORM:
        snprintf(buf, size, "%s of %s %s have unit length (± 1 %%) · %s of length 0",
                 percent_text(share(v, n, is_unit), part, sizeof part), count, what, zero);
        break;
    case QUANTITY_RELATIVE_NORM:
        snprintf(buf, size, "%s of %s %s are in model 1 alone (< 0.1) · %s in 2 (> 0.9)", percent_text(share(v, n, is_of_first), part, sizeof part), count,
                 what, percent_text(share(v, n, is_of_second), other, sizeof other));
        break;
    case QUANTITY_DENSITY:
        snprintf(buf, size, "%s of %s %s %s dead · %s fire on more than a tenth of the "
                 "tokens", percent_text(zeros, part, sizeof part), count, what, is,
                 percent_text(share(v, n, is_common), other, sizeof other));
        break;
    case QUANTITY_MAX:
        snprintf(buf, size, "%s of %s %s never fire",
                 percent_text(zeros, part, sizeof part), count, what);
        break;
    case QUANTITY_DELTA_FVU:
        snprintf(buf, size, "%s of %s %s make the reconstruction worse · %s change nothing",
                 percent_text(negative, part, sizeof part), count, what, zero);
        break;
    default:
        snprintf(buf, size, "%s of %s %s %s negative · %s exactly zero",
                 percent_text(negative, part, sizeof part), count, what, is, zero);
    }
}

static void prolu_meaning(const struct summary *s, char *buf, size_t size)
{
    double positive = s->count ? 1 - s->negative_fraction - s->zero_fraction : 0;
    char count[32];

    count_text((int64_t)llround(positive * (double)s->count), count, sizeof count);
    snprintf(buf, size, "ProLU: gates, is not added: on where m > 0 and m > -b_enc · a "
             "positive bias acts like zero (%s)", count);
}

void quantity_meaning(const struct sae *sae, enum quantity q, const struct summary *s,
                      char *buf, size_t size)
{
    static const struct {
        const char *arch;
        enum quantity q;
        const char *text;
    } meanings[] = {
        {"standard", QUANTITY_B_ENC, "added before the ReLU: on where m > -b_enc"},
        {"topk", QUANTITY_B_ENC, "added before the k greatest are chosen"},
        {"jumprelu", QUANTITY_B_ENC, "added: on where m + b_enc > threshold and > 0"},
        {"jumprelu", QUANTITY_THRESHOLD, "on where m + b_enc > threshold and > 0 · a "
                                         "negative threshold acts like zero"},
        {"batchtopk", QUANTITY_B_ENC, "added: on where m + b_enc > threshold and > 0"},
        {"matryoshka", QUANTITY_B_ENC, "added: on where m + b_enc > threshold and > 0"},
        {"gated", QUANTITY_B_GATE, "the gate: on where m > -b_gate; b_mag is added to what "
                                   "passes"},
        {"gated", QUANTITY_B_MAG, "the magnitude: relu(m exp(r_mag) + b_mag) where the gate "
                                  "is open"},
    };

    buf[0] = 0;
    if (q == QUANTITY_RELATIVE_NORM)
        snprintf(buf, size, "0: the first model's alone · 0.5: both alike · 1: the second's");
    if (q == QUANTITY_B_ENC && strcmp(sae->arch->name, "prolu") == 0)
        prolu_meaning(s, buf, size);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].q == q && strcmp(meanings[i].arch, sae->arch->name) == 0)
            snprintf(buf, size, "%s", meanings[i].text);
}

/* -- filters -------------------------------------------------------------------------- */

/* x with so many digits, written out where that is no longer than a number should be. */
static double decimal(double x, int digits, char *buf, size_t size)
{
    snprintf(buf, size, "%.*g", digits, x);
    double y = strtod(buf, NULL);
    if (strchr(buf, 'e') && fabs(y) >= 1 && fabs(y) < 1e9)
        snprintf(buf, size, "%.0f", y);
    return y;
}

/* The shortest decimal near `edge` with above < x <= upto; upto itself if none has. */
static void short_decimal(double edge, double above, double upto, char *buf, size_t size)
{
    for (int digits = 1; digits <= 17; digits++) {
        double x = decimal(edge, digits, buf, size);
        if (x > above && x <= upto)
            return;
    }
    snprintf(buf, size, "%.17g", upto);
}

/* Likewise with from <= x. */
static void short_decimal_over(double from, char *buf, size_t size)
{
    for (int digits = 1; digits <= 17; digits++)
        if (decimal(from, digits, buf, size) >= from)
            return;
}

bool quantity_filter(enum quantity q, const double *v, int64_t n, double lo, double hi,
                     bool closed, char *buf, size_t size)
{
    double below = -INFINITY, least = INFINITY, greatest = -INFINITY, above = INFINITY;
    char from[40], to[40];

    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i]))
            continue;
        if (v[i] < lo) {
            below = fmax(below, v[i]);
        } else if (v[i] < hi || (closed && v[i] <= hi)) {
            least = fmin(least, v[i]);
            greatest = fmax(greatest, v[i]);
        } else {
            above = fmin(above, v[i]);
        }
    }
    if (quantities[q].column < 0 || !(least <= greatest))
        return false;
    const char *name = feature_columns[quantities[q].column].key;
    short_decimal(lo, below, least, from, sizeof from);
    if (isinf(above)) {
        short_decimal_over(greatest, to, sizeof to);
        snprintf(buf, size, "%s >= %s and %s <= %s", name, from, name, to);
    } else {
        short_decimal(hi, greatest, above, to, sizeof to);
        snprintf(buf, size, "%s >= %s and %s < %s", name, from, name, to);
    }
    return true;
}

void quantity_put(struct out *o, enum quantity q, const struct summary *s)
{
    out_text(o, "of", quantities[q].name);
    out_summary_keys(o, s);
    out_int(o, "excluded", s->excluded);
    out_line(o, "%s", "");
    out_hist(o, "histogram", &s->hist);
}

/* -- several checkpoints ---------------------------------------------------------------- */

bool quantity_range(const double *v, int64_t n, bool log, double *lo, double *hi)
{
    double least = INFINITY, greatest = -INFINITY;

    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(v[i]) || (log && v[i] <= 0) || v[i] < *lo || v[i] > *hi)
            continue;
        least = v[i] < least ? v[i] : least;
        greatest = v[i] > greatest ? v[i] : greatest;
    }
    if (!(least <= greatest))
        return false;
    *lo = least;
    *hi = greatest;
    return true;
}

static void put_quantiles(struct out *o, const double q[STATS_QUANTILES])
{
    static const char *const keys[STATS_QUANTILES] = {"p5", "p25", "p50", "p75", "p95"};

    out_begin(o, "quantiles");
    for (int k = 0; k < STATS_QUANTILES; k++)
        out_num(o, keys[k], q[k]);
    out_end(o);
}

/* For TSV and people: a line a checkpoint; the bins are a table of their own. */
static void put_entry(struct out *o, enum quantity q, const struct quantity_entry *e)
{
    out_begin(o, NULL);
    out_text(o, "name", e->name);
    if (out_form(o) == OUT_JSON) {
        out_text(o, "path", e->path);
        out_text(o, "of", quantities[q].name);
    }
    if (e->step >= 0)
        out_int(o, "step", e->step);
    else
        out_null(o, "step");
    out_num(o, "l1", e->l1);
    out_summary_keys(o, e->summary);
    out_int(o, "excluded", e->summary->excluded);
    put_quantiles(o, e->quantiles);
    if (out_form(o) == OUT_JSON)
        out_hist(o, "histogram", &e->summary->hist);
    out_end(o);
}

static void put_bins(struct out *o, const struct quantity_entry *e, int n)
{
    out_rows(o, "histogram", "name,low,high,count");
    for (int k = 0; k < n; k++)
        for (int i = 0; i < e[k].summary->hist.n; i++) {
            const struct hist *h = &e[k].summary->hist;
            out_begin(o, NULL);
            out_text(o, "name", e[k].name);
            out_num(o, "low", hist_edge(h, i));
            out_num(o, "high", hist_edge(h, i + 1));
            out_int(o, "count", h->counts[i]);
            out_end(o);
        }
    out_end(o);
}

void quantity_put_many(struct out *o, enum quantity q, const struct quantity_entry *e, int n)
{
    out_text(o, "of", quantities[q].name);
    out_rows(o, "histograms", "name,step,l1,count,mean,std,min,max,negative_fraction,"
                              "zero_fraction,excluded,quantiles.p5,quantiles.p25,"
                              "quantiles.p50,quantiles.p75,quantiles.p95");
    for (int k = 0; k < n; k++)
        put_entry(o, q, &e[k]);
    out_end(o);
    if (out_form(o) == OUT_TSV)
        put_bins(o, e, n);
    for (int k = 0; out_form(o) == OUT_TEXT && k < n; k++) {
        out_heading(o, "%s", e[k].name);
        out_hist(o, "histogram", &e[k].summary->hist);
    }
}
