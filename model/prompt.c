/* prompt.c - see prompt.h. */
#include "model/prompt.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/kern.h"
#include "model/reconstruct.h"

#define DEFAULT_TOP 20

/* ---- the text's tokens */

bool prompt_bos_ids(const struct token_encoder *te, const struct sae *sae,
                    const struct lm *lm, enum prompt_bos bos, struct token_ids *out,
                    struct err *err)
{
    size_t n;
    const int32_t *own = token_encoder_bos(te, &n);
    if (bos == PROMPT_BOS_NO)
        return true;
    for (size_t i = 0; i < n; i++)
        token_ids_put(out, own[i]);
    bool wanted = bos == PROMPT_BOS_YES || !sae || sae->prepend_bos;
    if (n || !wanted)
        return true;
    if (lm_bos(lm) >= 0)
        token_ids_put(out, (int32_t)lm_bos(lm));
    else if (bos == PROMPT_BOS_YES)
        return err_set(err, ERR_MISSING, "%s: no token to put in front (found none, expected "
                       "a post_processor in the tokenizer, or bos_token_id in config.json)",
                       lm_path(lm));
    return true;
}

static bool check_ids(const struct lm *lm, const struct prompt_ids *ids, struct err *err)
{
    if (ids->n > PROMPT_MAX_TOKENS)
        return err_set(err, ERR_RANGE, "text: too long (found %lld tokens, expected at most "
                       "%d)", (long long)ids->n, PROMPT_MAX_TOKENS);
    if (!lm_fits(lm, ids->n))
        return err_set(err, ERR_RANGE, "text: longer than the context of %s (found %lld "
                       "tokens, expected at most %lld)", lm_path(lm), (long long)ids->n,
                       (long long)lm_context(lm));
    return lm_check_ids(lm, "text", ids->id, ids->n, err);
}

bool prompt_encode(const struct token_encoder *te, const struct sae *sae,
                   const struct lm *lm, enum prompt_bos bos, const char *text, size_t n,
                   struct prompt_ids *out, struct err *err)
{
    struct token_ids ids = {0};
    struct prompt_ids made = {0};
    bool ok = prompt_bos_ids(te, sae, lm, bos, &ids, err);
    made.n_bos = (int64_t)ids.n;
    ok = ok && token_encoder_run(te, text, n, 0, &ids, err);
    if (ok) {
        made.n = (int64_t)ids.n;
        made.id = xcalloc(ids.n + 1, sizeof *made.id);
        for (size_t i = 0; i < ids.n; i++)
            made.id[i] = ids.id[i];
        ok = check_ids(lm, &made, err);
    }
    free(ids.id);
    if (!ok) {
        free(made.id);
        return false;
    }
    *out = made;
    return true;
}

void prompt_ids_finish(struct prompt_ids *ids)
{
    free(ids->id);
    *ids = (struct prompt_ids){0};
}

/* ---- the engine */

struct prompt_engine {
    const struct lm *lm;
    const struct sae *sae;
    struct lm_hook hook;
    struct reconstructor reconstructor;
    bool decodes; /* its output replaces its input */
    atomic_int users;
};

struct prompt_engine *prompt_engine_new(const struct lm *lm, const struct lm_hook *hook,
                                        const struct sae *sae, int threads,
                                        const struct progress *progress, struct err *err)
{
    if (sae->d_in != lm_d_model(lm)) {
        err_set(err, ERR_SHAPE, "%s: the SAE does not fit the language model %s (found d_in = "
                "%lld, expected %lld)", sae->path, lm_path(lm), (long long)sae->d_in,
                (long long)lm_d_model(lm));
        return NULL;
    }
    struct prompt_engine *e = xcalloc(1, sizeof *e);
    *e = (struct prompt_engine){.lm = lm, .sae = sae, .hook = *hook,
                                .decodes = sae->d_in == sae->d_out &&
                                           strcmp(sae->kind, "sae") == 0};
    atomic_init(&e->users, 1);
    if (reconstructor_init(&e->reconstructor, sae, threads > 0 ? threads : team_default_threads(),
                           progress, err))
        return e;
    free(e);
    return NULL;
}

struct prompt_engine *prompt_engine_ref(struct prompt_engine *e)
{
    atomic_fetch_add(&e->users, 1);
    return e;
}

void prompt_engine_unref(struct prompt_engine *e)
{
    if (!e || atomic_fetch_sub(&e->users, 1) > 1)
        return;
    reconstructor_finish(&e->reconstructor);
    free(e);
}

/* ---- one text */

struct running {
    const struct prompt_engine *e;
    const int64_t *ids;
    int64_t n, d;
    const struct prompt_options *options;
    struct page_prompt *page;
    struct lm_work work;
    struct lm_run *run;
    struct reconstruct_scratch scratch;
    struct reconstruct_hits hits;   /* of the features taken out */
    int32_t *slot;                  /* [d_sae] */
    float *memory, *x, *rest, *y, *u; /* [n, d]; u: [RECONSTRUCT_ROWS, d] */
    int64_t *l0;
    double *ce[3], *kl;
    struct prompt_feature *row;     /* [d_sae] of one token */
    int64_t n_features, cap;        /* of page->features */
    struct err *err;
    bool ok;
};

static int by_strength(const void *a, const void *b)
{
    const struct prompt_feature *x = a, *y = b;
    float s = fabsf(x->activation), t = fabsf(y->activation);
    if (s != t)
        return s > t ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The strongest of a token's features into the page; `features` is set when all are there,
 * because they may move until then. */
static void keep_strongest(struct running *r, int64_t n_active, struct prompt_token *token)
{
    int64_t top = r->options->top > 0 ? r->options->top : DEFAULT_TOP;
    qsort(r->row, (size_t)n_active, sizeof *r->row, by_strength);
    token->n_active = (int32_t)n_active;
    token->n_features = (int32_t)(n_active < top ? n_active : top);
    for (int32_t i = 0; i < token->n_features; i++) {
        array_grow(r->page->features, r->n_features, r->cap);
        r->page->features[r->n_features++] = r->row[i];
    }
}

/* Features of tokens [first, first + n); by halves when their hits do not fit. */
static void encode_some(struct running *r, int64_t first, int64_t n)
{
    const struct sae *sae = r->e->sae;
    struct reconstruct_scratch *s = &r->scratch;
    int64_t n_hits = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *x = r->x + (first + i) * r->d;
        float *u = r->u + i * r->d, scale, shift;
        if (!kern_all_finite(x, r->d) || !sae_input(sae, x, u, &scale, &shift)) {
            r->l0[first + i] = -1;
            memset(u, 0, (size_t)r->d * sizeof *u);
        }
    }
    if (!encoder_block(&r->e->reconstructor.encoder, &s->encode, r->u, n, s->hits, s->cap,
                       &n_hits)) {
        assert(n > 1);
        encode_some(r, first, n / 2);
        encode_some(r, first + n / 2, n - n / 2);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t n_active = 0;
        for (int64_t k = 0; k < n_hits && r->l0[first + i] >= 0; k++)
            if (s->hits[k].row == i)
                r->row[n_active++] =
                    (struct prompt_feature){s->hits[k].feature, s->hits[k].value};
        keep_strongest(r, n_active, &r->page->tokens[first + i]);
    }
}

static void encode_all(struct running *r)
{
    const struct prompt_feature *at;
    memset(r->l0, 0, (size_t)r->n * sizeof *r->l0);
    for (int64_t p = 0; p < r->n; p += RECONSTRUCT_ROWS)
        encode_some(r, p, r->n - p < RECONSTRUCT_ROWS ? r->n - p : RECONSTRUCT_ROWS);
    at = r->page->features;
    for (int64_t p = 0; p < r->n; p++) {
        r->page->tokens[p].features = at;
        at = at ? at + r->page->tokens[p].n_features : NULL;
    }
}

/* final[1] and final[2]: the streams before and after the features are taken out. */
static void take_out(struct running *r)
{
    const struct prompt_options *o = r->options;
    float **final = r->page->final;
    size_t size = (size_t)(r->n * r->d);
    memset(r->slot, -1, (size_t)r->e->sae->d_sae * sizeof *r->slot);
    for (int i = 0; i < o->n_ablate; i++) {
        assert(o->ablate[i] >= 0 && o->ablate[i] < r->e->sae->d_sae);
        r->slot[o->ablate[i]] = (int32_t)o->ablate[i];
    }
    r->hits.slot = r->slot;
    reconstruct(&r->e->reconstructor, &r->scratch, r->x, r->n, r->y, r->l0, &r->hits);
    const float *base = o->reconstruction ? r->y : r->x;
    for (size_t i = 0; i < size; i++)
        final[1][i] = final[2][i] = r->rest[i] + base[i];
    for (int64_t k = 0; k < r->hits.n; k++) {
        const struct reconstruct_hit *h = &r->hits.hits[k];
        const float *w = r->e->reconstructor.W_dec + h->slot * r->d;
        float *to = final[2] + h->row * r->d;
        for (int64_t i = 0; i < r->d; i++)
            to[i] -= h->factor * w[i];
    }
}

static double mean(const double *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i];
    return n > 0 ? sum / (double)n : NAN;
}

static void fill_losses(struct running *r, int streams)
{
    struct page_prompt *page = r->page;
    for (int64_t p = 0; p < r->n - 1; p++) {
        page->tokens[p].ce = r->ce[0][p];
        if (streams > 1) {
            page->tokens[p].before = r->ce[1][p];
            page->tokens[p].after = r->ce[2][p];
            page->tokens[p].kl = r->kl[p];
        }
    }
    page->ce = mean(r->ce[0], r->n - 1);
    if (streams > 1) {
        page->before = mean(r->ce[1], r->n - 1);
        page->after = mean(r->ce[2], r->n - 1);
        page->kl = mean(r->kl, r->n - 1);
    }
}

/* lm_losses compares streams 0 and 1: the two that features are taken out of come first. */
static bool losses(struct running *r, int streams)
{
    float *const *f = r->page->final;
    const float *order[3] = {f[streams > 1 ? 1 : 0], f[2], f[0]};
    double *ce[3] = {r->ce[streams > 1 ? 1 : 0], r->ce[2], r->ce[0]};
    return r->n < 2 || lm_losses(r->run, streams, order, r->ids, r->n, ce,
                                 streams > 1 ? r->kl : NULL, r->err);
}

/* Inside map_guard. */
static void run_text(void *ctx)
{
    struct running *r = ctx;
    float **final = r->page->final;
    int streams = r->options->n_ablate > 0 ? 3 : 1;
    r->ok = lm_run_to(r->run, r->ids, r->n, &r->e->hook, r->x, r->rest, r->err);
    if (!r->ok)
        return;
    encode_all(r);
    for (int64_t i = 0; i < r->n * r->d; i++)
        final[0][i] = r->rest[i] + r->x[i];
    if (streams > 1)
        take_out(r);
    for (int i = 0; i < streams && r->ok; i++) {
        if (i == 1 && !r->options->reconstruction) /* it is the model's own */
            memcpy(final[1], final[0], (size_t)(r->n * r->d) * sizeof *final[1]);
        else
            r->ok = lm_run_from(r->run, &r->e->hook, final[i], r->n, r->err);
    }
    r->ok = r->ok && losses(r, streams);
    if (r->ok)
        fill_losses(r, streams);
}

static bool make_room(struct running *r, struct err *err)
{
    size_t n = (size_t)r->n, size = n * (size_t)r->d;
    size_t d_sae = (size_t)r->e->sae->d_sae;
    int streams = r->options->n_ablate > 0 ? 3 : 1;
    size_t u = RECONSTRUCT_ROWS * (size_t)r->d;
    r->memory = mem_try(3 * size + u, sizeof *r->memory, "activations", err);
    r->run = r->memory ? lm_run_new(r->e->lm, r->n, &r->work, err) : NULL;
    if (!r->run || !reconstruct_scratch_init(&r->scratch, &r->e->reconstructor, err))
        return false;
    r->x = r->memory;
    r->rest = r->x + size;
    r->y = r->rest + size;
    r->u = r->y + size;
    r->row = xmalloc(d_sae * sizeof *r->row);
    r->slot = xmalloc(d_sae * sizeof *r->slot);
    r->l0 = xmalloc(n * sizeof *r->l0);
    r->kl = xmalloc(n * sizeof *r->kl);
    for (int i = 0; i < streams; i++) {
        r->ce[i] = xmalloc(n * sizeof **r->ce);
        r->page->final[i] = mem_try(size, sizeof(float), "activations", err);
        if (!r->page->final[i])
            return false;
    }
    return true;
}

static void running_finish(struct running *r)
{
    lm_run_free(r->run);
    reconstruct_scratch_finish(&r->scratch);
    free(r->hits.hits);
    free(r->slot);
    free(r->memory);
    free(r->row);
    free(r->l0);
    free(r->kl);
    for (int i = 0; i < 3; i++)
        free(r->ce[i]);
}

static bool check_finite(const struct running *r, const struct progress *progress,
                         struct err *err)
{
    if (r->n < 2 || isfinite(r->page->ce))
        return true;
    return lm_check_finite(r->e->lm, progress, err) &&
           err_set(err, ERR_FORMAT, "%s: the loss is not finite (found NaN or infinity, "
                   "expected a number)", lm_path(r->e->lm));
}

bool prompt_run(const struct prompt_engine *e, const int64_t *ids, int64_t n,
                const struct prompt_options *options, const struct progress *progress,
                struct page_prompt *out, struct err *err)
{
    if (options->n_ablate > 0 && !e->decodes)
        return err_set(err, ERR_UNSUPPORTED, "%s: its output does not replace its input "
                       "(found a %s, expected an SAE)", e->sae->path, e->sae->kind);
    struct page_prompt page = {.n = n, .d = lm_d_model(e->lm), .ce = NAN, .before = NAN,
                               .after = NAN, .kl = NAN};
    page.tokens = xcalloc((size_t)n + 1, sizeof *page.tokens);
    for (int64_t p = 0; p < n; p++)
        page.tokens[p] = (struct prompt_token){.id = ids[p], .ce = NAN, .before = NAN,
                                               .after = NAN, .kl = NAN};
    int streams = options->n_ablate > 0 ? 3 : 1;
    struct running r = {.e = e, .ids = ids, .n = n, .d = page.d, .options = options,
                        .page = &page, .err = err,
                        .work = {.progress = progress, .what = "tokens", .tokens = n}};
    r.work.of = n * (lm_cost_to(e->lm, &e->hook) +
                     streams * (lm_cost_from(e->lm, &e->hook) + lm_cost_losses(e->lm)));
    bool ok = n == 0 || (make_room(&r, err) && map_guard(run_text, &r, err) && r.ok &&
                         check_finite(&r, progress, err));
    running_finish(&r);
    if (!ok) {
        page_prompt_finish(&page);
        return false;
    }
    *out = page;
    return true;
}

void page_prompt_finish(struct page_prompt *p)
{
    free(p->tokens);
    free(p->features);
    for (int i = 0; i < 3; i++)
        free(p->final[i]);
    *p = (struct page_prompt){0};
}

/* ---- the next token */

struct next_running {
    const struct lm *lm;
    const float *h[2];
    float *logits[2]; /* [vocab]; become log probabilities */
    struct lm_run *run;
};

static void run_logits(void *ctx)
{
    struct next_running *r = ctx;
    for (int i = 0; i < 2; i++)
        if (r->h[i])
            lm_logits(r->run, r->h[i], r->logits[i]);
}

static void log_softmax(float *v, int64_t n)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        max = (double)v[i] > max ? (double)v[i] : max;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)v[i] - max);
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)((double)v[i] - max - log(sum));
}

static double greater(const struct prompt_next *t)
{
    return t->after > t->before ? t->after : t->before;
}

static int by_probability(const void *a, const void *b)
{
    const struct prompt_next *x = a, *y = b;
    double p = greater(x), q = greater(y);
    if (p != q)
        return p > q ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Both distributions' `top`: of each the least that belongs to them is found by taking the
 * greatest again and again; few are wanted. */
static void put_top(const float *v, int64_t n, int top, bool *taken)
{
    for (int k = 0; k < top && k < n; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (!taken[i] && (best < 0 || v[i] > v[best]))
                best = i;
        if (best >= 0)
            taken[best] = true;
    }
}

static void fill_next(const struct next_running *r, int64_t vocab, int top,
                      struct page_next *out)
{
    bool *wanted = xcalloc((size_t)vocab, sizeof *wanted), *second = NULL;
    int cap = 0;
    put_top(r->logits[0], vocab, top, wanted);
    out->kl = r->h[1] ? 0 : NAN;
    if (r->h[1]) {
        second = xcalloc((size_t)vocab, sizeof *second);
        put_top(r->logits[1], vocab, top, second);
    }
    for (int64_t i = 0; i < vocab; i++) {
        double before = (double)r->logits[0][i];
        double after = r->h[1] ? (double)r->logits[1][i] : NAN;
        if (r->h[1])
            out->kl += exp(before) * (before - after);
        if (!wanted[i] && !(second && second[i]))
            continue;
        array_grow(out->tokens, out->n, cap);
        out->tokens[out->n++] = (struct prompt_next){i, exp(before), exp(after)};
    }
    qsort(out->tokens, (size_t)out->n, sizeof *out->tokens, by_probability);
    free(wanted);
    free(second);
}

bool prompt_next(const struct lm *lm, const float *before, const float *after, int top,
                 struct page_next *out, struct err *err)
{
    int64_t vocab = lm_vocab(lm);
    struct lm_work work = {.what = "tokens"};
    struct next_running r = {.lm = lm, .h = {before, after}};
    struct page_next made = {0};
    float *memory = mem_try(2 * (size_t)vocab, sizeof *memory, "logits", err);
    r.run = memory ? lm_run_new(lm, 1, &work, err) : NULL;
    r.logits[0] = memory;
    r.logits[1] = memory + vocab;
    bool ok = r.run && map_guard(run_logits, &r, err);
    if (ok) {
        log_softmax(r.logits[0], vocab);
        if (after)
            log_softmax(r.logits[1], vocab);
        fill_next(&r, vocab, top, &made);
        *out = made;
    }
    lm_run_free(r.run);
    free(memory);
    return ok;
}

void page_next_finish(struct page_next *p)
{
    free(p->tokens);
    *p = (struct page_next){0};
}
