/* opt_word.c - single words of the command line: numbers, sizes, features, near misses; see
 * opt.h. */
#include "tui/opt_impl.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

/* --- numbers ---------------------------------------------------------------------------- */

bool opt_digits(const char **s, int64_t *value)
{
    const char *p = *s;
    int64_t v = 0;
    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
            v = INT64_MAX;
    if (p == *s)
        return false;
    *s = p;
    *value = v;
    return true;
}

bool opt_count(const char *s, int64_t *value)
{
    return opt_digits(&s, value) && !*s;
}

/* 384M, 1.5G, 512k, 1000000; also with iB or B behind. */
bool opt_size(const char *s, int64_t *value)
{
    static const char units[] = "kmgt";
    int64_t whole, part = 0, scale = 1;
    if (!opt_digits(&s, &whole))
        return false;
    if (*s == '.') {
        const char *from = ++s;
        if (!opt_digits(&s, &part) || s - from > 9)
            return false;
        for (; from < s; from++)
            scale *= 10;
    }
    const char *unit = *s ? strchr(units, tolower((unsigned char)*s)) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    s += unit != NULL;
    s += unit && *s == 'i';
    s += *s == 'B';
    if (*s || whole > (INT64_MAX >> shift) - 1 || (!unit && part))
        return false;
    int64_t size = (whole << shift) + (int64_t)((double)part / (double)scale *
                                                (double)((int64_t)1 << shift));
    if (size <= 0)
        return false;
    *value = size;
    return true;
}

/* A place in a language model as TransformerLens names it; which of them there are is the
 * model's to say. */
bool opt_is_hook(const char *s)
{
    int64_t layer;
    if (strncmp(s, "blocks.", 7) != 0)
        return false;
    s += 7;
    if (!opt_digits(&s, &layer) || *s++ != '.')
        return false;
    const char *name = strstr(s, "hook_");
    return name && name[5] && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_.")] == 0;
}

bool opt_double(const char **s, double *value)
{
    char *end;
    *value = strtod(*s, &end);
    bool ok = end != *s && isfinite(*value);
    *s = end;
    return ok;
}

bool opt_range(const char *s, double *lo, double *hi)
{
    return opt_double(&s, lo) && *s++ == ',' && opt_double(&s, hi) && !*s && *lo < *hi;
}

static bool ids_span(const char **s, struct opt_span *span)
{
    bool negative = **s == '-';
    *s += negative;
    if (!opt_digits(s, &span->first))
        return false;
    if (negative)
        span->first = -span->first;
    span->last = span->first;
    if (**s != '-')
        return true;
    ++*s;
    return opt_digits(s, &span->last) && span->first <= span->last;
}

bool opt_is_ids(const char *word)
{
    struct opt_span span;
    const char *s = word;
    while (ids_span(&s, &span)) {
        if (!*s)
            return true;
        if (*s++ != ',')
            return false;
    }
    return false;
}

bool opt_ids_parse(struct opt_ids *ids, const char *word, struct err *err)
{
    if (!opt_is_ids(word))
        return err_set(err, ERR_USAGE, "%s: not the number of a feature (expected 7, "
                                       "3,5,8 or 10-19)", word);
    const char *s = word;
    for (;; s++) {
        ids->spans = xreallocarray(ids->spans, (size_t)ids->n_spans + 1,
                                   sizeof *ids->spans);
        ids_span(&s, &ids->spans[ids->n_spans++]);
        if (!*s)
            return true;
    }
}

void opt_ids_finish(struct opt_ids *ids)
{
    free(ids->spans);
    *ids = (struct opt_ids){0};
}

/* --- names ------------------------------------------------------------------------------- */

/* Edits (insert, delete, replace) between two short words. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > NAME_MAX_LEN || m > NAME_MAX_LEN)
        return INT_MAX;
    int row[NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = corner + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *opt_nearest(const char *word, const char *(*name)(int i), int n)
{
    const char *best = NULL;
    int least = INT_MAX;
    for (int i = 0; i < n; i++) {
        int d = distance(word, name(i));
        if (d < least) {
            least = d;
            best = name(i);
        }
    }
    /* Half of the letters wrong is another word. */
    return least <= (int)(strlen(word) + 2) / 3 ? best : NULL;
}
