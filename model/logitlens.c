/* logitlens.c - see logitlens.h. */
#include "model/logitlens.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"

#define BLOCK_ROWS 64 /* features at a time, where all are asked for */

bool logitlens_check(const struct lm *lm, const struct sae *sae, struct err *err)
{
    if (sae->d_out == lm_d_model(lm))
        return true;
    return err_set(err, ERR_SHAPE, "%s: the SAE does not fit the language model %s (found "
                   "W_dec of %lld columns, expected %lld)", sae->path, lm_path(lm),
                   (long long)sae->d_out, (long long)lm_d_model(lm));
}

/* ---- decoder rows, as they enter the unembedding */

struct rows {
    const struct lm *lm;
    const struct sae *sae;
    int64_t first, n;
    bool raw;
    float *out;
};

static void read_rows(void *ctx)
{
    struct rows *r = ctx;
    const float *gain = lm_final_gain(r->lm);
    int64_t d = r->sae->d_out;
    mat_read_rows(&r->sae->W_dec, r->first, r->n, r->out);
    for (int64_t i = 0; i < r->n && !r->raw; i++)
        for (int64_t k = 0; k < d; k++)
            r->out[i * d + k] *= gain[k];
}

/* Logits [n, vocab] of features [first, first + n); rows [n, d] is room to work in. */
static bool block_logits(const struct rows *want, float *logits, struct err *err)
{
    struct rows r = *want;
    return map_guard(read_rows, &r, err) && lm_unembed(r.lm, r.out, r.n, logits, err);
}

/* ---- the greatest of them */

/* Keep the n greatest of sign * logits [vocab] in list, greatest first; equals by token.
 * NaN is never kept. Returns how many there are: insertion, as n is small and few tokens
 * get past the last one kept. */
static int greatest(const float *logits, int64_t vocab, float sign, int n,
                    struct logit *list)
{
    int kept = 0;
    for (int64_t v = 0; v < vocab; v++) {
        float value = sign * logits[v];
        if (value != value || (kept == n && !(value > sign * list[kept - 1].logit)))
            continue;
        int at = kept < n ? kept++ : n - 1;
        for (; at > 0 && value > sign * list[at - 1].logit; at--)
            list[at] = list[at - 1];
        list[at] = (struct logit){v, logits[v]};
    }
    return kept;
}

bool logitlens_feature(const struct lm *lm, const struct sae *sae, int64_t id, int n,
                       bool raw, struct logits *out, struct err *err)
{
    assert(id >= 0 && id < sae->d_sae);
    int64_t vocab = lm_vocab(lm);
    n = n < vocab ? n : (int)vocab;
    if (!logitlens_check(lm, sae, err))
        return false;
    float *logits = xmalloc((size_t)vocab * sizeof *logits);
    struct rows want = {.lm = lm, .sae = sae, .first = id, .n = 1, .raw = raw};
    want.out = xmalloc((size_t)sae->d_out * sizeof *want.out);
    bool ok = block_logits(&want, logits, err);
    if (ok) {
        struct logits made = {.top = xcalloc((size_t)n + 1, sizeof *made.top),
                              .bottom = xcalloc((size_t)n + 1, sizeof *made.bottom)};
        made.n = n > 0 ? greatest(logits, vocab, 1, n, made.top) : 0;
        if (n > 0)
            greatest(logits, vocab, -1, n, made.bottom);
        *out = made;
    }
    free(want.out);
    free(logits);
    return ok;
}

void logits_finish(struct logits *l)
{
    free(l->top);
    free(l->bottom);
    *l = (struct logits){0};
}

/* ---- all features */

struct promoting {
    const struct lm *lm;
    const struct sae *sae;
    const struct progress *progress;
    int n;
    bool raw;
    uint32_t *tokens;
    struct promoter {
        float *rows, *logits;
        struct logit *list;
        struct err err;
    } *promoters; /* [threads] */
    _Atomic int64_t done;
    _Atomic bool failed;
};

static void promote_block(void *ctx, size_t index, int thread)
{
    struct promoting *p = ctx;
    struct promoter *w = &p->promoters[thread];
    int64_t vocab = lm_vocab(p->lm), first = (int64_t)index * BLOCK_ROWS;
    int64_t left = p->sae->d_sae - first, n = left < BLOCK_ROWS ? left : BLOCK_ROWS;
    struct rows want = {p->lm, p->sae, first, n, p->raw, w->rows};
    if (p->failed)
        return;
    if (!block_logits(&want, w->logits, &w->err)) {
        p->failed = true;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        memset(w->list, 0, (size_t)p->n * sizeof *w->list); /* what NaN leaves: token 0 */
        greatest(w->logits + i * vocab, vocab, 1, p->n, w->list);
        for (int k = 0; k < p->n; k++)
            p->tokens[(first + i) * p->n + k] = (uint32_t)w->list[k].token;
    }
    int64_t done = atomic_fetch_add(&p->done, n) + n;
    if (!progress_step(p->progress, "promoted tokens", done, p->sae->d_sae)) {
        err_set(&w->err, ERR_CANCELLED, "cancelled");
        p->failed = true;
    }
}

bool logitlens_promoted(const struct lm *lm, const struct sae *sae, int n, bool raw,
                        int threads, const struct progress *progress, uint32_t *tokens,
                        struct err *err)
{
    assert(n > 0 && n <= lm_vocab(lm));
    if (!logitlens_check(lm, sae, err))
        return false;
    threads = threads > 0 ? threads : team_default_threads();
    struct promoting p = {.lm = lm, .sae = sae, .progress = progress, .n = n, .raw = raw,
                          .tokens = tokens};
    p.promoters = xcalloc((size_t)threads, sizeof *p.promoters);
    bool ok = true;
    for (int t = 0; t < threads && ok; t++) {
        struct promoter *w = &p.promoters[t];
        w->rows = xmalloc(BLOCK_ROWS * (size_t)sae->d_out * sizeof *w->rows);
        w->list = xmalloc((size_t)n * sizeof *w->list);
        w->logits = mem_try(BLOCK_ROWS * (size_t)lm_vocab(lm), sizeof *w->logits, "logits",
                            err);
        ok = w->logits != NULL;
    }
    if (ok)
        team_each(threads, (size_t)((sae->d_sae + BLOCK_ROWS - 1) / BLOCK_ROWS),
                  promote_block, &p);
    for (int t = threads - 1; t >= 0; t--) {
        if (p.promoters[t].err.code && err)
            *err = p.promoters[t].err;
        free(p.promoters[t].rows);
        free(p.promoters[t].list);
        free(p.promoters[t].logits);
    }
    free(p.promoters);
    return ok && !p.failed;
}
