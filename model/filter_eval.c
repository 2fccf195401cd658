/* filter_eval.c - a filter evaluated by blocks of rows; see filter.h. */
#include "model/filter_impl.h"

#include <math.h>
#include <string.h>

#define BLOCK 512 /* rows evaluated together: the masks and operands stay in the cache */

/*
 * A block is rows [first, first + n), n <= BLOCK. mask[i] is 1 for the rows that are still
 * open; evaluating a node clears those that do not fit. So each term sees only the rows
 * for which it can still make a difference.
 */
struct block {
    struct filter *f;
    const struct filter_rows *rows;
    int64_t first;
    int n;
};

/* The column's values of the block: where they lie, or gathered into buf. */
static const double *column_values(const struct block *b, int column, const uint8_t *mask,
                                   double *buf)
{
    const struct filter_rows *r = b->rows;
    if (r->numbers && r->numbers[column])
        return r->numbers[column] + b->first;
    for (int i = 0; i < b->n; i++)
        buf[i] = mask[i] ? r->number(r->ctx, b->first + i, column) : 0;
    return buf;
}

/* What the literal y means beside x: numbers are printed with nine digits, and what was
 * printed for x is x. Half a unit of the ninth digit is well below the step of a float. */
static double literal_beside(double y, double x)
{
    return fabs(x - y) <= 5e-9 * fabs(x) && x != rint(x) ? x : y;
}

static void eval_number(const struct block *b, const struct node *nd, uint8_t *mask)
{
    double left[BLOCK], right[BLOCK];
    const double *x = column_values(b, nd->column, mask, left), *y = right;
    int n = b->n;
    if (nd->other >= 0)
        y = column_values(b, nd->other, mask, right);
    else
        for (int i = 0; i < n; i++)
            right[i] = literal_beside(nd->number, x[i]);

#define COMPARE(expression)                                                             \
    for (int i = 0; i < n; i++)                                                         \
        mask[i] &= (uint8_t)(expression);                                               \
    break
    switch (nd->op) {
    case OP_EQ: COMPARE(x[i] == y[i]);
    case OP_NE: COMPARE((x[i] < y[i]) | (x[i] > y[i])); /* false for NaN */
    case OP_LT: COMPARE(x[i] < y[i]);
    case OP_LE: COMPARE(x[i] <= y[i]);
    case OP_GT: COMPARE(x[i] > y[i]);
    case OP_GE: COMPARE(x[i] >= y[i]);
    default: break; /* the parser allows no other */
    }
#undef COMPARE
}

static bool fits(struct filter *f, const struct node *nd, const char *text, size_t len)
{
    if (nd->op != OP_SEARCH)
        return len == nd->text.len && memcmp(text, str_text(&nd->text), len) == 0;
    if (f->given_up >= FILTER_MAX_GIVEN_UP) {
        f->given_up++;
        return false;
    }
    int found = pcre2_match(nd->regex, (PCRE2_SPTR)text, len, 0, 0, nd->match, f->limits);
    f->given_up += found < PCRE2_ERROR_NOMATCH && found != PCRE2_ERROR_PARTIAL;
    return found >= 0;
}

static bool eval_text(const struct block *b, const struct node *nd, int64_t row)
{
    const struct filter_rows *r = b->rows;
    const char *text;
    size_t len;
    int i = 0;
    for (; r->text(r->ctx, row, nd->column, i, &text, &len); i++)
        if (fits(b->f, nd, text, len))
            return nd->op != OP_NE;
    return nd->op == OP_NE && i > 0;
}

static void eval(const struct block *b, int node, uint8_t *mask);

static void eval_or(const struct block *b, const struct node *nd, uint8_t *mask)
{
    uint8_t open[BLOCK], found[BLOCK] = {0}, term[BLOCK];
    memcpy(open, mask, (size_t)b->n);
    for (int c = nd->child; c >= 0; c = b->f->nodes[c].next) {
        memcpy(term, open, (size_t)b->n);
        eval(b, c, term);
        for (int i = 0; i < b->n; i++) {
            found[i] |= term[i];
            open[i] &= !term[i];
        }
    }
    memcpy(mask, found, (size_t)b->n);
}

static void eval(const struct block *b, int node, uint8_t *mask)
{
    const struct node *nd = &b->f->nodes[node];
    uint8_t inner[BLOCK];
    switch (nd->kind) {
    case NODE_OR:
        eval_or(b, nd, mask);
        break;
    case NODE_AND:
        for (int c = nd->child; c >= 0; c = b->f->nodes[c].next)
            eval(b, c, mask);
        break;
    case NODE_NOT:
        memcpy(inner, mask, (size_t)b->n);
        eval(b, nd->child, inner);
        for (int i = 0; i < b->n; i++)
            mask[i] &= !inner[i];
        break;
    case NODE_NUMBER:
        eval_number(b, nd, mask);
        break;
    case NODE_TEXT:
        for (int i = 0; i < b->n; i++)
            mask[i] = mask[i] && eval_text(b, nd, b->first + i);
        break;
    }
}

int64_t filter_select(struct filter *f, const struct filter_rows *rows, int64_t n,
                      uint32_t *out)
{
    int64_t found = 0;
    uint8_t mask[BLOCK];
    for (int64_t first = 0; first < n; first += BLOCK) {
        struct block b = {f, rows, first, n - first < BLOCK ? (int)(n - first) : BLOCK};
        memset(mask, 1, sizeof mask);
        eval(&b, f->root, mask);
        /* Without a branch: the write is kept only when the row fits. */
        for (int i = 0; i < b.n; i++) {
            out[found] = (uint32_t)(first + i);
            found += mask[i];
        }
    }
    return found;
}

bool filter_eval(struct filter *f, const struct filter_rows *rows, int64_t row)
{
    uint8_t mask[1] = {1};
    struct block b = {f, rows, row, 1};
    eval(&b, f->root, mask);
    return mask[0];
}

int64_t filter_given_up(const struct filter *f)
{
    return f->given_up;
}
