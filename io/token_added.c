/* token_added.c - see token_encoder_impl.h: tokens that are found in the text itself. */
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/token_encoder_impl.h"

void token_set_add(struct token_set *set, const char *s, size_t n, struct token_added how)
{
    if (!n)
        return;
    how.start = (uint32_t)set->arena.len;
    how.len = (uint32_t)n;
    str_append(&set->arena, s, n);
    array_grow(set->added, set->n, set->cap);
    set->added[set->n++] = how;
}

void token_set_finish(struct token_set *set)
{
    str_finish(&set->arena);
    free(set->added);
    *set = (struct token_set){0};
}

static int by_pattern(const void *a, const void *b, void *arena)
{
    const struct token_added *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = memcmp((const char *)arena + x->start, (const char *)arena + y->start, n);
    if (order)
        return order;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start; /* the later one last */
}

static unsigned char first_byte(const struct token_set *set, size_t i)
{
    return (unsigned char)set->arena.data[set->added[i].start];
}

void token_set_sort(struct token_set *set)
{
    if (set->n)
        qsort_r(set->added, set->n, sizeof *set->added, by_pattern, set->arena.data);
    size_t i = 0;
    for (int b = 0; b <= 256; b++) {
        while (i < set->n && first_byte(set, i) < b)
            i++;
        set->begin[b] = i;
    }
}

/*
 * The longest pattern that s [n] begins with, NULL: none. Patterns that agree with s in k
 * bytes stand together; the range is narrowed byte by byte, and whoever ends there is the
 * longest so far.
 */
static const struct token_added *longest_at(const struct token_set *set, const char *s,
                                            size_t n)
{
    size_t lo = set->begin[(unsigned char)*s], hi = set->begin[(unsigned char)*s + 1];
    const struct token_added *best = NULL;
    for (size_t k = 1; lo < hi; k++) {
        for (; lo < hi && set->added[lo].len == k; lo++)
            best = &set->added[lo];
        if (k >= n)
            break;
        unsigned char c = (unsigned char)s[k];
        size_t a = lo, b = hi;
        while (a < b) { /* the first whose byte k is c or more */
            size_t mid = a + (b - a) / 2;
            if ((unsigned char)set->arena.data[set->added[mid].start + k] < c)
                a = mid + 1;
            else
                b = mid;
        }
        lo = a;
        b = hi;
        while (a < b) { /* the first whose byte k is more */
            size_t mid = a + (b - a) / 2;
            if ((unsigned char)set->arena.data[set->added[mid].start + k] <= c)
                a = mid + 1;
            else
                b = mid;
        }
        hi = a;
    }
    return best;
}

static size_t back(const char *s, size_t i) /* the start of the character before i > 0 */
{
    do
        i--;
    while (i && ((unsigned char)s[i] & 0xc0) == 0x80);
    return i;
}

static bool word_before(const char *s, size_t i)
{
    uint32_t cp;
    if (!i)
        return false;
    size_t at = back(s, i);
    str_utf8_next(s + at, i - at, &cp);
    return token_is_word(cp);
}

static bool word_behind(const char *s, size_t n, size_t i)
{
    uint32_t cp;
    if (i == n)
        return false;
    str_utf8_next(s + i, n - i, &cp);
    return token_is_word(cp);
}

static size_t spaces_before(const char *s, size_t i, size_t least)
{
    uint32_t cp;
    while (i > least) {
        size_t at = back(s, i);
        str_utf8_next(s + at, i - at, &cp);
        if (!token_is_space(cp))
            break;
        i = at;
    }
    return i > least ? i : least;
}

static size_t spaces_behind(const char *s, size_t n, size_t i)
{
    uint32_t cp;
    while (i < n) {
        int len = str_utf8_next(s + i, n - i, &cp);
        if (!token_is_space(cp))
            break;
        i += (size_t)len;
    }
    return i;
}

static void put_text(struct token_text *out, const char *s, size_t from, size_t to, bool first)
{
    if (from >= to)
        return;
    size_t start = out->text.len;
    str_append(&out->text, s + from, to - from);
    token_text_put(out, start, -1, first && from == 0);
}

void token_set_split(const struct token_set *set, const char *s, size_t n, bool first,
                     unsigned flags, struct token_text *out)
{
    size_t done = 0;
    for (size_t i = 0; set->n && i < n;) {
        const struct token_added *a = longest_at(set, s + i, n - i);
        if (!a) {
            i++;
            continue;
        }
        size_t start = i, stop = i + a->len;
        i = stop; /* the search goes on here whatever becomes of this one */
        if ((a->special && (flags & TOKEN_SPECIALS_AS_TEXT)) ||
            (a->single_word && (word_before(s, start) || word_behind(s, n, stop))))
            continue;
        if (a->lstrip)
            start = spaces_before(s, start, done);
        if (a->rstrip)
            stop = spaces_behind(s, n, stop);
        put_text(out, s, done, start, first);
        token_text_put(out, out->text.len, a->id, false);
        done = stop;
    }
    put_text(out, s, done, n, first);
}
