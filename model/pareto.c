/* pareto.c - see pareto.h. */
#include "model/pareto.h"

#include <math.h>
#include <stdlib.h>

#include "io/mem.h"

static int by_gap(const void *x, const void *y)
{
    const struct pareto_pair *p = x, *q = y;
    if (p->gap != q->gap)
        return p->gap < q->gap ? -1 : 1;
    return p->a != q->a ? p->a - q->a : p->b - q->b;
}

int pareto_pairs(const double *l0, int n, double near, struct pareto_pair **pairs)
{
    struct pareto_pair *found = NULL;
    int n_found = 0, cap = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            int a = l0[j] < l0[i] ? j : i, b = a == i ? j : i;
            double gap = l0[b] > 0 ? (l0[b] - l0[a]) / l0[b] : 0;
            if (isnan(l0[i]) || isnan(l0[j]) || gap > near)
                continue;
            array_grow(found, n_found, cap);
            found[n_found++] = (struct pareto_pair){a, b, gap};
        }
    if (n_found)
        qsort(found, (size_t)n_found, sizeof *found, by_gap);
    *pairs = found;
    return n_found;
}

void pareto_front(const double *l0, const double *good, int n, bool *on)
{
    for (int i = 0; i < n; i++) {
        on[i] = !isnan(l0[i]) && !isnan(good[i]);
        for (int j = 0; j < n && on[i]; j++)
            on[i] = !(l0[j] <= l0[i] && good[j] >= good[i] &&
                      (l0[j] < l0[i] || good[j] > good[i]));
    }
}
