/* token_vocab.c - see token_encoder_impl.h: the hash table of a vocabulary. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "io/mem.h"
#include "io/token_encoder_impl.h"
#include "io/tokenizer.h"

/* The slot of the string: its own, or the free one where it would go. */
static size_t slot_of(const struct token_vocab *v, const char *s, size_t n)
{
    size_t mask = v->n_slots - 1, i = (size_t)XXH3_64bits(s, n) & mask;
    for (;; i = (i + 1) & mask) {
        uint32_t k = v->slots[i];
        if (!k)
            return i;
        const struct token_entry *e = &v->entries[k - 1];
        if (e->len == n && memcmp(v->arena.data + e->start, s, n) == 0)
            return i;
    }
}

static void grow(struct token_vocab *v)
{
    v->n_slots = v->n_slots ? 2 * v->n_slots : 1024;
    free(v->slots);
    v->slots = xcalloc(v->n_slots, sizeof *v->slots);
    for (size_t i = 0; i < v->n; i++) {
        const struct token_entry *e = &v->entries[i];
        v->slots[slot_of(v, v->arena.data + e->start, e->len)] = (uint32_t)i + 1;
    }
}

bool token_vocab_add(struct token_vocab *v, const char *s, size_t n, int64_t id,
                     struct err *err)
{
    if (id < 0 || id >= TOKENIZER_MAX_ID)
        return err_set(err, ERR_RANGE, "token id out of range (found %lld, expected 0 to %lld)",
                       (long long)id, (long long)TOKENIZER_MAX_ID - 1);
    if (2 * v->n >= v->n_slots)
        grow(v);
    size_t slot = slot_of(v, s, n);
    if (v->slots[slot]) {
        v->entries[v->slots[slot] - 1].id = (int32_t)id;
        return true;
    }
    array_grow(v->entries, v->n, v->cap);
    v->entries[v->n++] = (struct token_entry){(uint32_t)v->arena.len, (uint32_t)n, (int32_t)id};
    str_append(&v->arena, s, n);
    v->slots[slot] = (uint32_t)v->n;
    return true;
}

int32_t token_vocab_find(const struct token_vocab *v, const char *s, size_t n)
{
    if (!v->n)
        return -1;
    uint32_t k = v->slots[slot_of(v, s, n)];
    return k ? v->entries[k - 1].id : -1;
}

void token_vocab_finish(struct token_vocab *v)
{
    str_finish(&v->arena);
    free(v->entries);
    free(v->slots);
    *v = (struct token_vocab){0};
}
