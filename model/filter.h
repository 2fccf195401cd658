/*
 * filter.h - the expressions that choose features: density < 0.01 and label ~ "king".
 *
 *   or < and < not, parentheses; the three words in any case
 *   NAME = != < <= > >= NUMBER, or the name of another column of numbers
 *   NAME = != "text"     the whole text, byte by byte
 *   NAME                 alone: of a column that is yes or no
 *   NAME ~ "regex"       PCRE2 search, UTF-8 with Unicode classes; (?i) ignores case
 *
 * NAME is one of the caller's columns. A column of text gives a row no, one or several
 * texts (a label; the tokens of its top examples): = and ~ hold when one of them fits, !=
 * when there are some and none is equal. What a row does not have (NaN; no text) makes
 * every comparison false, != too; `not` turns that into true.
 *
 * In text after = and != the escapes are \" \\ \n \r \t \xHH (a byte) and \uXXXX; in a
 * regex only \" is ours, the rest is PCRE2's. Numbers are read without the locale.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

#define FILTER_MAX_TEXT     16384  /* bytes of an expression */
#define FILTER_MAX_DEPTH    64     /* of parentheses and nots */
#define FILTER_MATCH_LIMIT  100000 /* steps of one regex search (PCRE2's match limit) */
#define FILTER_MAX_GIVEN_UP 1000   /* searches that hit it; later ones are not tried */

/* FLAG: a number, 0 or 1, whose name may stand alone. */
enum filter_kind { FILTER_NUMBER, FILTER_TEXT, FILTER_FLAG };

struct filter_column {
    const char *name;
    enum filter_kind kind;
};

struct filter;

/*
 * columns [n] is borrowed for the call only; the filter knows them by index. NULL:
 * ERR_USAGE, "filter: column 14: expected a number, found 'x'", the column counted in
 * characters from 1; an unknown name lists the known ones.
 */
struct filter *filter_parse(const char *text, const struct filter_column *columns, int n,
                            struct err *err);
void filter_free(struct filter *f); /* NULL is fine */

/* Does the filter look at this column? What it does not use need not be computed. */
bool filter_uses(const struct filter *f, int column);

/* Where rows come from. Only what the filter uses is asked. */
struct filter_rows {
    /* numbers[column][row]; the array, or an entry of it, may be NULL: then number() is
     * asked. NaN: the row has none. */
    const double *const *numbers;
    double (*number)(void *ctx, int64_t row, int column);

    /* Text i = 0, 1, ... of a row; false when there are no more. Borrowed until the next
     * call. Any bytes are allowed. */
    bool (*text)(void *ctx, int64_t row, int column, int i, const char **text,
                 size_t *len);
    void *ctx;
};

/*
 * The rows of [0, n) that fit, in order, into out (room for n). Returns how many. Numbers
 * first, as written: text is asked only for rows that the terms before it leave open.
 * A filter belongs to one thread at a time.
 */
int64_t filter_select(struct filter *f, const struct filter_rows *rows, int64_t n,
                      uint32_t *out);

/* Does this row fit? */
bool filter_eval(struct filter *f, const struct filter_rows *rows, int64_t row);

/* Searches given up since filter_parse, at FILTER_MATCH_LIMIT or FILTER_MAX_GIVEN_UP. They
 * counted as not found, which is worth a warning. */
int64_t filter_given_up(const struct filter *f);
