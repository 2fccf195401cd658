/*
 * token_unigram.c - see token_encoder_impl.h: sentencepiece's unigram model. The pieces of a
 * text are those whose scores have the greatest sum (Viterbi); a character that is no piece
 * costs 10 more than the worst piece (unigram_model.cc, kUnkPenalty).
 */
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/sentencepiece.h"
#include "io/token_encoder_impl.h"

#define UNKNOWN_PENALTY 10.0f

struct place {
    float score;
    uint32_t from; /* where the piece that ends here begins */
    int32_t id;    /* of it; -1: an unknown character, -2: not reached */
};

/* Sums are compared before they are rounded, which decides between paths of equal score as
 * unigram_model.cc does. */
static void offer(struct place *at, double score, size_t from, int32_t id)
{
    if (at->id == -2 || score > (double)at->score)
        *at = (struct place){(float)score, (uint32_t)from, id};
}

/* All pieces that begin at i, and the character there by itself. */
static void extend(const struct token_bpe *b, const char *s, size_t n, size_t i,
                   struct place *place)
{
    uint32_t cp;
    bool single = false;
    size_t one = (size_t)str_utf8_next(s + i, n - i, &cp);
    for (size_t end = i + one; end <= n && end - i <= b->longest;) {
        int32_t id = token_vocab_find(&b->vocab, s + i, end - i);
        if (id >= 0 && b->kind[id] == SP_NORMAL) {
            offer(&place[end], (double)place[i].score + (double)b->score[id], i, id);
            single |= end == i + one;
        }
        if (end == n)
            break;
        end += (size_t)str_utf8_next(s + end, n - end, &cp);
    }
    if (!single)
        offer(&place[i + one], (double)(place[i].score + (b->least - UNKNOWN_PENALTY)), i, -1);
}

static void put_unknown(const struct token_bpe *b, const char *s, size_t n, bool follows,
                        struct token_ids *ids)
{
    bool bytes = b->byte_fallback;
    for (size_t i = 0; i < n; i++)
        bytes &= b->byte_id[(unsigned char)s[i]] >= 0;
    if (bytes) {
        for (size_t i = 0; i < n; i++)
            token_ids_put(ids, b->byte_id[(unsigned char)s[i]]);
    } else if (b->unk >= 0 && !follows) { /* a run of them is one */
        token_ids_put(ids, b->unk);
    }
}

bool token_unigram_run(const struct token_bpe *b, const char *s, size_t n,
                       struct token_ids *ids, struct err *err)
{
    if (!n)
        return true;
    struct place *place = mem_try(n + 1, sizeof *place, "pieces of a text", err);
    uint32_t *cut = place ? mem_try(n + 1, sizeof *cut, "pieces of a text", err) : NULL;
    if (!cut) {
        free(place);
        return false;
    }
    for (size_t i = 0; i <= n; i++)
        place[i] = (struct place){0, 0, -2};
    place[0].id = -1;
    for (size_t i = 0; i < n; i++)
        if (place[i].id != -2)
            extend(b, s, n, i, place);
    size_t n_cuts = 0;
    for (size_t at = n; at; at = place[at].from)
        cut[n_cuts++] = (uint32_t)at;
    bool unknown = false;
    for (size_t k = n_cuts; k-- > 0;) {
        const struct place *p = &place[cut[k]];
        if (p->id >= 0)
            token_ids_put(ids, p->id);
        else
            put_unknown(b, s + p->from, cut[k] - p->from, unknown, ids);
        unknown = p->id < 0;
    }
    free(place);
    free(cut);
    return true;
}
