/* replace.c - see replace.h. */
#include "model/replace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"

/* ---- what fits together */

static bool check_sae(const struct replace *r, struct err *err)
{
    const struct sae *sae = r->sae;
    if (sae->d_in != sae->d_out || strcmp(sae->kind, "sae") != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: its output does not replace its input "
                       "(found a %s, expected an SAE)", sae->path, sae->kind);
    if (sae->d_in != r->d)
        return err_set(err, ERR_SHAPE, "%s: the SAE does not fit the language model %s "
                       "(found d_in = %lld, expected %lld)", sae->path, lm_path(r->lm),
                       (long long)sae->d_in, (long long)r->d);
    if (!r->samples || !r->samples->tokens)
        return err_set(err, ERR_MISSING, "%s: no token ids to run the language model on (found none, "
                "expected --tokens)", sae->path);
    return true;
}

static bool check_tokens(const struct replace *r, struct err *err)
{
    const char *tokens = samples_tokens_path(r->samples);
    if (r->T < 2 || r->n_seq < 1)
        return err_set(err, ERR_RANGE, "%s: no next token to predict (found %lld whole "
                       "sequences of %lld, expected at least one of 2 or more)", tokens,
                       (long long)r->n_seq, (long long)r->T);
    if (!lm_check_length(r->lm, tokens, r->T, err))
        return false;
    int64_t *ids = xmalloc((size_t)r->T * sizeof *ids);
    bool ok = true;
    for (int64_t i = 0; i < r->n_seq && ok; i++) {
        samples_ids(r->samples, i * r->T, r->T, ids);
        ok = lm_check_ids(r->lm, tokens, ids, r->T, err);
    }
    free(ids);
    return ok;
}

static int wanted_threads(const struct replace *r)
{
    return r->scan->threads > 0 ? r->scan->threads : team_default_threads();
}

bool replace_init(struct replace *r, const struct progress *progress, struct err *err)
{
    r->d = lm_d_model(r->lm);
    if (!check_sae(r, err))
        return false;
    r->T = r->samples->seq_len;
    r->n_seq = r->T > 0 ? r->samples->n_tok / r->T : 0;
    if (!check_tokens(r, err) ||
        !reconstructor_init(&r->reconstructor, r->sae, wanted_threads(r), progress, err))
        return false;
    r->work = (struct lm_work){.progress = progress, .what = "tokens",
                               .tokens = r->n_seq * r->T};
    return true;
}

void replace_finish(struct replace *r)
{
    reconstructor_finish(&r->reconstructor);
    *r = (struct replace){0};
}

bool replace_counts(const struct replace *r, int64_t sequence, int64_t p,
                    const int64_t *ids)
{
    return scan_counts(r->scan, r->samples, sequence * r->T + p, ids[p]);
}

bool replace_check(const struct replace *r, int64_t positions, bool finite,
                   const struct progress *progress, struct err *err)
{
    if (positions == 0)
        return err_set(err, ERR_MISSING, "%s: every position is left out (found 0, expected "
                       "at least 1; see --skip-first and --skip-tokens)",
                       samples_tokens_path(r->samples));
    if (finite)
        return true;
    if (!lm_check_finite(r->lm, progress, err))
        return false;
    return err_set(err, ERR_FORMAT, "%s: the loss is not finite (found NaN or infinity, "
                   "expected a number)", lm_path(r->lm));
}

/* ---- threads */

struct running {
    const struct replace_ops *ops;
    void *ctx;
    int64_t next, end;
    pthread_mutex_t lock;
    bool failed;
    struct err err;
};

struct thread {
    struct running *s;
    void *worker;
    bool ok;
    struct err err;
};

static void work(void *ctx)
{
    struct thread *t = ctx;
    struct running *s = t->s;
    while (t->ok) {
        pthread_mutex_lock(&s->lock);
        int64_t i = s->failed ? s->end : s->next++;
        pthread_mutex_unlock(&s->lock);
        if (i >= s->end)
            break;
        t->ok = s->ops->one(t->worker, i, &t->err);
    }
}

static void thread_main(void *ctx, int number)
{
    struct running *s = ctx;
    struct thread t = {.s = s, .ok = true};
    (void)number;
    t.worker = s->ops->open(s->ctx, &t.err);
    if (!t.worker || !map_guard(work, &t, &t.err) || !t.ok) {
        pthread_mutex_lock(&s->lock);
        if (!s->failed)
            s->err = t.err;
        s->failed = true;
        pthread_mutex_unlock(&s->lock);
    }
    s->ops->close(t.worker);
}

bool replace_run(const struct replace *r, int64_t first, int64_t n,
                 const struct replace_ops *ops, void *ctx, struct err *err)
{
    struct running s = {.ops = ops, .ctx = ctx, .next = first, .end = first + n};
    int64_t threads = wanted_threads(r);
    if (r->scan->memory) {
        size_t room = r->scan->memory / ops->bytes(ctx);
        if (room < (size_t)threads)
            threads = room > 0 ? (int64_t)room : 1;
    }
    pthread_mutex_init(&s.lock, NULL);
    team_run((int)(threads < n ? threads : n), thread_main, &s);
    pthread_mutex_destroy(&s.lock);
    if (s.failed && err)
        *err = s.err;
    return !s.failed;
}
