/* fuzz_filter.c - filter expressions, and rows with everything that a row can lack. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/filter.h"
#include "tests/fuzz/fuzz.h"

enum { ID, DENSITY, MAX, LABEL, TOKEN, N_COLUMNS, N_ROWS = 4 };
static const struct filter_column columns[N_COLUMNS] = {
    {"id", FILTER_NUMBER},  {"density", FILTER_NUMBER}, {"max", FILTER_NUMBER},
    {"label", FILTER_TEXT}, {"token", FILTER_TEXT},
};

static double number(void *ctx, int64_t row, int column)
{
    (void)ctx;
    static const double values[N_ROWS][2] = {{0.5, 2}, {NAN, 0}, {0, INFINITY}, {1e-3, -1}};
    return column == ID ? (double)row : values[row][column - DENSITY];
}

static bool text(void *ctx, int64_t row, int column, int i, const char **out, size_t *len)
{
    (void)ctx;
    static const char *const values[N_ROWS][2] = {
        {"the king", " king"}, {NULL, "\xff\xc3"}, {"", "\n"}, {"aaaaaaaaaaaaaaaaaaaaaaaa!", NULL}};
    *out = i == 0 ? values[row][column - LABEL] : NULL;
    *len = *out ? strlen(*out) : 0;
    return *out != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    const struct filter_rows rows = {NULL, number, text, NULL};
    char *expression = malloc(size + 1);
    memcpy(expression, data, size);
    expression[size] = 0;
    struct filter *f = filter_parse(expression, columns, N_COLUMNS, &err);
    free(expression);
    if (!f) {
        fuzz_refused(&err);
        return 0;
    }
    uint32_t found[N_ROWS];
    int64_t n = filter_select(f, &rows, N_ROWS, found);
    for (int64_t row = 0, i = 0; row < N_ROWS; row++) {
        bool in = i < n && found[i] == row;
        i += in;
        if (filter_given_up(f) == 0 && filter_eval(f, &rows, row) != in)
            abort();
    }
    filter_free(f);
    return 0;
}
