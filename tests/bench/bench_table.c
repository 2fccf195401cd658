/*
 * bench_table.c - sorting and filtering the table of features, against what
 * fits into a frame of the screen.
 */
#include <string.h>

#include "io/mem.h"
#include "model/filter.h"
#include "model/page.h"
#include "bench.h"

struct bench {
    struct feature_table table;
    uint32_t *ids;
    struct filter *filter;
    int column;
};

static void sort(void *ctx)
{
    struct bench *b = ctx;
    for (int64_t i = 0; i < b->table.n; i++)
        b->ids[i] = (uint32_t)i;
    feature_table_sort(&b->table, b->column, false, b->ids, b->table.n);
}

static void filter(void *ctx)
{
    struct bench *b = ctx;
    struct filter_rows rows = {.numbers = (const double *const *)b->table.v};
    filter_select(b->filter, &rows, b->table.n, b->ids);
}

static void run(int64_t n, double limit_ms)
{
    struct filter_column columns[FCOL_COUNT];
    struct bench b = {.table = {.n = n}, .column = FCOL_DENSITY};
    struct err err = {0};
    uint64_t s = 7;
    for (int c = 0; c < FCOL_COUNT; c++)
        columns[c] = (struct filter_column){feature_columns[c].key, FILTER_NUMBER};
    b.ids = xmalloc((size_t)n * sizeof *b.ids);
    for (int c = FCOL_DENSITY; c <= FCOL_BIAS; c++) {
        b.table.v[c] = xmalloc((size_t)n * sizeof(double));
        for (int64_t i = 0; i < n; i++)
            b.table.v[c][i] = exp(2 * bench_normal(&s));
    }
    b.filter = filter_parse("density < 0.5 and max > 3 or bias >= 20", columns, FCOL_COUNT,
                            &err);
    bench_need(b.filter, &err);
    double sorted = bench_least(sort, &b, 5), filtered = bench_least(filter, &b, 5);
    printf("%8lld features: sort %.1f ms, filter %.1f ms (must %.0f): ratios %.3f, %.3f\n",
           (long long)n, sorted, filtered, limit_ms, sorted / limit_ms,
           filtered / limit_ms);
    filter_free(b.filter);
    free(b.ids);
    feature_table_finish(&b.table);
}

int main(void)
{
    run(131072, 50);
    run(1048576, 400);
    return 0;
}
