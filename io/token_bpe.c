/* token_bpe.c - see token_encoder_impl.h: byte-pair encoding of one piece. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/sentencepiece.h"
#include "io/token_encoder_impl.h"

/* --- the table of merges ------------------------------------------------------------------ */

static size_t merge_slot(const struct token_bpe *b, uint64_t pair)
{
    size_t mask = b->n_merges - 1;
    uint64_t h = pair * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h ^ h >> 32) & mask;
    while (b->merges[i].id >= 0 && b->merges[i].pair != pair)
        i = (i + 1) & mask;
    return i;
}

static void grow_merges(struct token_bpe *b)
{
    struct token_merge *old = b->merges;
    size_t n_old = b->n_merges;
    b->n_merges = n_old ? 2 * n_old : 1024;
    b->merges = xreallocarray(NULL, b->n_merges, sizeof *b->merges);
    for (size_t i = 0; i < b->n_merges; i++)
        b->merges[i].id = -1;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].id >= 0)
            b->merges[merge_slot(b, old[i].pair)] = old[i];
    free(old);
}

static bool find_token(const struct token_bpe *b, const char *s, size_t n, int32_t *id,
                       struct err *err)
{
    *id = token_vocab_find(&b->vocab, s, n);
    return *id >= 0 || err_set(err, ERR_FORMAT, "unknown token (found '%.*s', expected one of "
                               "the vocabulary)", (int)(n < 80 ? n : 80), s);
}

bool token_bpe_add_merge(struct token_bpe *b, const char *left, size_t n_left,
                         const char *right, size_t n_right, uint32_t rank,
                         struct err *err)
{
    int32_t l, r, both;
    size_t skip = b->prefix ? strlen(b->prefix) : 0;
    if (n_right < skip)
        return err_set(err, ERR_FORMAT, "bad merge (found '%.*s', expected "
                       "continuing_subword_prefix first)", (int)n_right, right);
    if (!find_token(b, left, n_left, &l, err) || !find_token(b, right, n_right, &r, err))
        return false;
    struct str joined = {0};
    str_append(&joined, left, n_left);
    str_append(&joined, right + skip, n_right - skip);
    bool ok = find_token(b, str_text(&joined), joined.len, &both, err);
    str_finish(&joined);
    if (!ok)
        return false;
    if (2 * b->n_used >= b->n_merges)
        grow_merges(b);
    uint64_t pair = (uint64_t)(uint32_t)l << 32 | (uint32_t)r;
    struct token_merge *at = &b->merges[merge_slot(b, pair)];
    b->n_used += at->id < 0;
    *at = (struct token_merge){pair, rank, both};
    return true;
}

void token_bpe_find_bytes(struct token_bpe *b)
{
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", i);
        b->byte_id[i] = token_vocab_find(&b->vocab, name, 6);
    }
}

void token_bpe_finish(struct token_bpe *b)
{
    token_vocab_finish(&b->vocab);
    free(b->merges);
    free(b->score);
    free(b->kind);
    free(b->prefix);
    free(b->suffix);
    *b = (struct token_bpe){0};
}

void token_ids_put(struct token_ids *ids, int32_t id)
{
    array_grow(ids->id, ids->n, ids->cap);
    ids->id[ids->n++] = id;
}

/* --- a piece on its way ----------------------------------------------------------------------- */

struct symbol {
    uint32_t start, len;  /* of its bytes in the piece; len 0: merged into its left */
    int32_t id;
    int32_t prev, next;   /* -1: none */
};

struct candidate {
    uint32_t rank, pos; /* of the left symbol */
    int32_t id;
};

struct word {
    const struct token_bpe *b;
    const char *s;
    struct symbol *symbol; /* [n] */
    size_t n;
    struct candidate *heap; /* [n_heap], by `before` */
    size_t n_heap, heap_cap;
};

static void word_add(struct word *w, int32_t id, size_t start, size_t len)
{
    int32_t at = (int32_t)w->n;
    if (at)
        w->symbol[at - 1].next = at;
    w->symbol[w->n++] = (struct symbol){(uint32_t)start, (uint32_t)len, id, at - 1, -1};
}

/* What left and right make, and its rank; false: nothing. */
static bool pair_of(const struct word *w, const struct symbol *left,
                    const struct symbol *right, struct candidate *out)
{
    const struct token_bpe *b = w->b;
    if (b->model == TOKEN_PIECES) {
        size_t len = (size_t)left->len + right->len;
        int32_t id = len <= b->longest ? token_vocab_find(&b->vocab, w->s + left->start, len) : -1;
        if (id < 0 || b->kind[id] != SP_NORMAL)
            return false;
        float score = b->score[id]; /* the greatest first: bits in order, turned round */
        uint32_t bits;
        memcpy(&bits, &score, sizeof bits);
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
        out->rank = ~bits;
        out->id = id;
        return true;
    }
    if (!b->n_merges)
        return false;
    uint64_t pair = (uint64_t)(uint32_t)left->id << 32 | (uint32_t)right->id;
    const struct token_merge *m = &b->merges[merge_slot(b, pair)];
    out->rank = m->rank;
    out->id = m->id;
    return m->id >= 0;
}

static bool before(struct candidate a, struct candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.pos < b.pos;
}

static void push(struct word *w, int32_t pos)
{
    const struct symbol *left = &w->symbol[pos];
    struct candidate c = {.pos = (uint32_t)pos};
    if (left->next < 0 || !pair_of(w, left, &w->symbol[left->next], &c))
        return;
    array_grow(w->heap, w->n_heap, w->heap_cap);
    size_t i = w->n_heap++;
    for (; i && before(c, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static struct candidate pop(struct word *w)
{
    struct candidate top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < w->n_heap; i = k) {
        k += k + 1 < w->n_heap && before(w->heap[k + 1], w->heap[k]);
        if (!before(w->heap[k], last))
            break;
        w->heap[i] = w->heap[k];
    }
    w->heap[i] = last;
    return top;
}

/* Every merge takes one symbol away and brings at most two candidates: no more than 3 n are
 * ever pushed. */
static void merge_all(struct word *w)
{
    for (size_t i = 0; i + 1 < w->n; i++)
        push(w, (int32_t)i);
    while (w->n_heap) {
        struct candidate top = pop(w), now;
        struct symbol *left = &w->symbol[top.pos];
        if (!left->len || left->next < 0)
            continue;
        struct symbol *right = &w->symbol[left->next];
        if (!pair_of(w, left, right, &now) || now.id != top.id)
            continue; /* the pair has changed since */
        left->id = top.id;
        left->len += right->len;
        left->next = right->next;
        right->len = 0;
        if (left->next >= 0)
            w->symbol[left->next].prev = (int32_t)top.pos;
        if (left->prev >= 0)
            push(w, left->prev);
        push(w, (int32_t)top.pos);
    }
}

/* --- from characters -------------------------------------------------------------------------- */

/* The id of one character with what belongs before and behind it. */
static int32_t char_id(const struct token_bpe *b, const char *s, size_t n, bool first,
                       bool last, struct str *tmp)
{
    if ((first || !b->prefix) && (!last || !b->suffix))
        return token_vocab_find(&b->vocab, s, n);
    str_reset(tmp);
    if (!first && b->prefix)
        str_puts(tmp, b->prefix);
    str_append(tmp, s, n);
    if (last && b->suffix)
        str_puts(tmp, b->suffix);
    return token_vocab_find(&b->vocab, str_text(tmp), tmp->len);
}

static bool has_bytes(const struct token_bpe *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->byte_id[(unsigned char)s[i]] < 0)
            return false;
    return true;
}

/* tokenizers, models/bpe/model.rs merge_word: an unknown waits until a known character
 * follows, so that it can be fused with the next. */
static void symbols_of_chars(struct word *w, size_t n)
{
    const struct token_bpe *b = w->b;
    struct str tmp = {0};
    size_t unk_start = 0, unk_len = 0;
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp;
        len = (size_t)str_utf8_next(w->s + i, n - i, &cp);
        int32_t id = char_id(b, w->s + i, len, i == 0, i + len == n, &tmp);
        if (id >= 0) {
            if (unk_len)
                word_add(w, b->unk, unk_start, unk_len);
            unk_len = 0;
            word_add(w, id, i, len);
        } else if (b->byte_fallback && has_bytes(b, w->s + i, len)) {
            for (size_t k = 0; k < len; k++)
                word_add(w, b->byte_id[(unsigned char)w->s[i + k]], i + k, 1);
        } else if (b->unk >= 0) {
            if (unk_len && !b->fuse_unk) {
                word_add(w, b->unk, unk_start, unk_len);
                unk_len = 0;
            }
            if (!unk_len)
                unk_start = i;
            unk_len += len;
        }
    }
    if (unk_len)
        word_add(w, b->unk, unk_start, unk_len);
    str_finish(&tmp);
}

/* sentencepiece, bpe_model.cc: characters that are no piece stay in place (id -1) until the
 * end, because pairs are found by their text. */
static void symbols_of_pieces(struct word *w, size_t n)
{
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t cp;
        len = (size_t)str_utf8_next(w->s + i, n - i, &cp);
        int32_t id = token_vocab_find(&w->b->vocab, w->s + i, len);
        if (id >= 0 && w->b->kind[id] != SP_NORMAL)
            id = -1;
        word_add(w, id, i, len);
    }
}

/* What is no piece: its bytes, or one unknown for a run of them. */
static void put_pieces(const struct word *w, struct token_ids *ids)
{
    const struct token_bpe *b = w->b;
    bool unknown = false;
    for (size_t i = 0; i < w->n; i++) {
        const struct symbol *sym = &w->symbol[i];
        if (!sym->len)
            continue;
        if (sym->id >= 0) {
            token_ids_put(ids, sym->id);
        } else if (b->byte_fallback && has_bytes(b, w->s + sym->start, sym->len)) {
            for (uint32_t k = 0; k < sym->len; k++)
                token_ids_put(ids, b->byte_id[(unsigned char)w->s[sym->start + k]]);
        } else if (b->unk >= 0) {
            if (!unknown)
                token_ids_put(ids, b->unk);
            unknown = true;
            continue;
        }
        unknown = false;
    }
}

bool token_bpe_run(const struct token_bpe *b, const char *s, size_t n, struct token_ids *ids,
                   struct err *err)
{
    if (!n)
        return true;
    if (b->ignore_merges) {
        int32_t id = token_vocab_find(&b->vocab, s, n);
        if (id >= 0) {
            token_ids_put(ids, id);
            return true;
        }
    }
    size_t n_chars = 0;
    for (size_t i = 0; i < n; i++)
        n_chars += ((unsigned char)s[i] & 0xc0) != 0x80;
    struct word w = {.b = b, .s = s};
    size_t most = b->byte_fallback ? n : n_chars; /* a character may become its bytes */
    if (!(w.symbol = mem_try(most, sizeof *w.symbol, "symbols of a text", err)))
        return false;
    if (b->model == TOKEN_PIECES)
        symbols_of_pieces(&w, n);
    else
        symbols_of_chars(&w, n);
    merge_all(&w);
    if (b->model == TOKEN_PIECES)
        put_pieces(&w, ids);
    else
        for (size_t i = 0; i < w.n; i++)
            if (w.symbol[i].len)
                token_ids_put(ids, w.symbol[i].id);
    free(w.symbol);
    free(w.heap);
    return true;
}
