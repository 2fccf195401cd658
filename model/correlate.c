/* correlate.c - see correlate.h. */
#include "model/correlate.h"

#include <math.h>

/* Below so much of the mean square, a variance is what rounding has left. */
#define NO_VARIANCE 1e-24

static double mean_of(const struct hit *h, int64_t n, int64_t tokens)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)h[i].value;
    return sum / (double)tokens;
}

/* Sum of squared deviations, of the tokens without a hit too; 0 where it does not vary. */
static double spread_of(const struct hit *h, int64_t n, int64_t tokens, double mean)
{
    double squares = 0, spread = (double)(tokens - n) * mean * mean;
    for (int64_t i = 0; i < n; i++) {
        double x = (double)h[i].value;
        squares += x * x;
        spread += (x - mean) * (x - mean);
    }
    return spread > NO_VARIANCE * squares ? spread : 0;
}

double correlate_hits(const struct hit *a, int64_t n_a, const struct hit *b, int64_t n_b,
                      int64_t tokens)
{
    double mean_a = mean_of(a, n_a, tokens), mean_b = mean_of(b, n_b, tokens);
    double spread = sqrt(spread_of(a, n_a, tokens, mean_a)) *
                    sqrt(spread_of(b, n_b, tokens, mean_b));
    double sum = 0;
    int64_t either = 0;
    for (int64_t i = 0, j = 0; i < n_a || j < n_b; either++) {
        bool in_a = i < n_a && (j == n_b || a[i].token <= b[j].token);
        bool in_b = j < n_b && (i == n_a || b[j].token <= a[i].token);
        double x = in_a ? (double)a[i++].value : 0, y = in_b ? (double)b[j++].value : 0;
        sum += (x - mean_a) * (y - mean_b);
    }
    sum += (double)(tokens - either) * mean_a * mean_b;
    return spread > 0 ? fmin(fmax(sum / spread, -1), 1) : NAN;
}
