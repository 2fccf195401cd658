/*
 * desk_effects.c - what the language model says of checkpoints; see desk.h.
 *
 * Each checkpoint has one store (effects.h), wishes, and at most one job under way, which
 * fills the store. When it ends, the next wish is granted: the store itself first, then
 * single features, the score, estimates, the strongest features, promoted tokens.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/desk_impl.h"

/* Multiplications of some ten seconds on two cores. */
#define CHEAP 500000000000

enum { FIRST_BATCH = 8 };

struct effects_job {
    struct job job;
    struct desk_work work;
    const struct session *session; /* borrowed, as all that follows */
    int i;
    struct effects *effects;       /* DESK_OPEN_EFFECTS: made, owned until taken */
    const struct lm *lm;
    struct lm_hook hook;
    int64_t *ids;                  /* owned: DESK_EXACT */
    int64_t n, done;               /* of DESK_STRONGEST: how many, so far */
    struct err remark;
    const struct progress *progress;

    pthread_mutex_t lock;
    struct page_score so_far;      /* under lock */
};

/* -- the jobs ---------------------------------------------------------------------- */

static void note(void *ctx, const struct page_score *so_far)
{
    struct effects_job *j = ctx;

    pthread_mutex_lock(&j->lock);
    j->so_far = *so_far;
    pthread_mutex_unlock(&j->lock);
}

/* How many at once: few at first, for they are shown when all of them are there. */
static int64_t batch_of(const struct effects_job *j)
{
    int64_t most = j->done < FIRST_BATCH ? FIRST_BATCH
                   : j->done < EFFECTS_BATCH ? j->done : EFFECTS_BATCH;

    return j->n - j->done < most ? j->n - j->done : most;
}

/* Of many features, those that are done tell more than tokens. */
static bool step(void *ctx, const char *what, int64_t done, int64_t of)
{
    const struct effects_job *j = ctx;

    if (j->n <= FIRST_BATCH || of <= 0)
        return progress_step(j->progress, what, done, of);
    int64_t part = (int64_t)((double)batch_of(j) * (double)done / (double)of);
    return progress_step(j->progress, "features", j->done + part, j->n);
}

static bool run_strongest(struct effects_job *j, const struct effects_inputs *in,
                          struct err *err)
{
    struct progress by_features = {step, j};
    int64_t ids[EFFECTS_BATCH], n;

    while ((n = batch_of(j)) > 0) {
        n = effects_next(j->effects, j->work.error_kept, ids, n);
        if (n == 0)
            break;
        if (!effects_need_exact(j->effects, in, j->work.error_kept, ids, n, &by_features, err))
            return false;
        j->done += n;
    }
    return true;
}

static bool run_exact(struct effects_job *j, const struct effects_inputs *in, struct err *err)
{
    struct progress by_features = {step, j};

    for (int64_t n; (n = batch_of(j)) > 0; j->done += n)
        if (!effects_need_exact(j->effects, in, j->work.error_kept, j->ids + j->done, n,
                                &by_features, err))
            return false;
    return true;
}

static bool run_score(struct effects_job *j, const struct effects_inputs *in, struct err *err)
{
    struct score_options options = {.scan = in->scan, .partial = note, .ctx = j};

    return effects_need_score(j->effects, in, &options, j->progress, err);
}

static bool run_work(struct effects_job *j, const struct effects_inputs *in, struct err *err)
{
    switch (j->work.kind) {
    case DESK_SCORE: return run_score(j, in, err);
    case DESK_ESTIMATES:
        return effects_need_estimates(j->effects, in, j->work.error_kept, j->progress, err);
    case DESK_EXACT: return run_exact(j, in, err);
    case DESK_STRONGEST: return run_strongest(j, in, err);
    case DESK_PROMOTED: return effects_need_promoted(j->effects, in, j->progress, err);
    default: return true;
    }
}

static bool effects_job_run(struct job *job, const struct progress *p, struct err *err)
{
    struct effects_job *j = (struct effects_job *)job;
    struct effects_inputs in = {.lm = j->lm, .hook = &j->hook,
                                .sae = j->session->saes[j->i].sae,
                                .samples = j->session->samples,
                                .scan = session_scan_options(j->session)};
    struct err unsaved = {0};

    if (j->work.kind == DESK_OPEN_EFFECTS) {
        j->effects = session_effects_open(j->session, j->i, j->lm, &j->remark, err);
        return j->effects != NULL;
    }
    j->progress = p;
    bool ok = run_work(j, &in, err);
    if (!effects_save(j->effects, &unsaved)) /* of a cancelled one, too */
        j->remark = unsaved;
    return ok;
}

static void effects_job_free(struct job *job)
{
    struct effects_job *j = (struct effects_job *)job;

    if (j->work.kind == DESK_OPEN_EFFECTS)
        effects_close(j->effects);
    pthread_mutex_destroy(&j->lock);
    free(j->ids);
    free(j);
}

static const struct job_ops effects_ops[] = {
    [DESK_OPEN_EFFECTS] = {"effects", effects_job_run, effects_job_free},
    [DESK_SCORE] = {"score", effects_job_run, effects_job_free},
    [DESK_ESTIMATES] = {"estimates", effects_job_run, effects_job_free},
    [DESK_EXACT] = {"ablation", effects_job_run, effects_job_free},
    [DESK_STRONGEST] = {"ablations", effects_job_run, effects_job_free},
    [DESK_PROMOTED] = {"promoted tokens", effects_job_run, effects_job_free},
};

/* -- what comes of them ------------------------------------------------------------ */

static void warn_of_samples(struct desk *d, const struct page_score *page)
{
    char text[1024];

    if (!score_warning(page, d->session->samples->path, text, sizeof text))
        return;
    session_warn(d->session, "%s", text);
    desk_say_warnings(d);
}

/* The columns of the table, where there is something new. */
static void take_columns(struct desk_entry *e)
{
    uint64_t version = effects_version(e->effects);
    struct feature_table *t = &e->shown.table;
    static const int column[2][2] = {{FCOL_ESTIMATE, FCOL_DELTA_CE},
                                     {FCOL_ESTIMATE_KEPT, FCOL_DELTA_CE_KEPT}};

    if (version == e->effects_seen || t->n == 0)
        return;
    e->effects_seen = version;
    for (int kept = 0; kept < 2; kept++) {
        for (int c = 0; c < 2; c++)
            if (!t->v[column[kept][c]])
                t->v[column[kept][c]] = xcalloc((size_t)t->n, sizeof(double));
        effects_columns(e->effects, kept, t->v[column[kept][0]], t->v[column[kept][1]]);
    }
    e->shown.version++;
}

/* *score from the store, if it is there; nobody has to compute it then. */
static void take_score(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];
    struct score_options options = {.scan = session_scan_options(d->session)};

    if (e->score.known || !effects_score(e->effects, &options, &e->score.page))
        return;
    e->score.known = true;
    e->wishes.score = false;
    warn_of_samples(d, &e->score.page);
}

static void take_promoted(struct desk_entry *e)
{
    uint32_t *tokens;

    if (e->promoted || e->shown.table.n == 0)
        return;
    tokens = xmalloc((size_t)e->shown.table.n * EFFECTS_PROMOTED * sizeof *tokens);
    e->n_promoted = effects_promoted(e->effects, tokens);
    if (e->n_promoted > 0) {
        e->promoted = tokens;
        e->shown.version++;
    } else {
        free(tokens);
    }
}

static void drop_wishes(struct desk_entry *e)
{
    for (int kept = 0; kept < 2; kept++) {
        free(e->wishes.ids[kept]);
    }
    e->wishes = (struct effects_wishes){0};
}

static void fail(struct desk *d, int i, const struct desk_work *work, const struct err *err)
{
    struct desk_entry *e = &d->entries[i];
    bool of_score = work->kind == DESK_SCORE || e->wishes.score;

    if (of_score)
        e->score.err = *err;
    e->work.err = *err;
    if (err->code != ERR_CANCELLED && e->wishes.asked)
        app_error(d->app, err);
    drop_wishes(e);
}

static void effects_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct effects_job *j = (struct effects_job *)job;
    struct desk_entry *e = &d->entries[j->i];
    struct err cancelled = {0};

    e->running = NULL;
    e->score.job = 0;
    e->work = (struct desk_work){0};
    if (job->state == JOB_DONE && j->work.kind == DESK_OPEN_EFFECTS) {
        e->effects = j->effects;
        e->effects_seen = UINT64_MAX; /* what it has from before is new, too */
        j->effects = NULL;
    }
    if (j->remark.code)
        app_warning(d->app, "%s", j->remark.msg);
    err_set(&cancelled, ERR_CANCELLED, "cancelled");
    if (job->state != JOB_DONE)
        fail(d, j->i, &j->work, job->state == JOB_CANCELLED ? &cancelled : &job->err);
    if (e->effects) {
        take_score(d, j->i);
        take_columns(e);
        take_promoted(e);
    }
    desk_effects_settle(d, j->i);
    app_changed(d->app);
}

/* -- wishes ------------------------------------------------------------------------ */

static bool wants_something(const struct effects_wishes *w)
{
    return w->open || w->score || w->promoted || w->estimates[0] || w->estimates[1] ||
           w->n_ids[0] || w->n_ids[1] || w->strongest[0] || w->strongest[1];
}

/* The next wish, as a job that has what it needs of it; the wish is gone. */
static void take_wish(struct effects_wishes *w, struct effects_job *j)
{
    for (int kept = 0; kept < 2; kept++)
        if (w->n_ids[kept]) {
            j->work = (struct desk_work){.kind = DESK_EXACT, .error_kept = kept};
            j->ids = w->ids[kept];
            j->n = w->n_ids[kept];
            w->ids[kept] = NULL;
            w->n_ids[kept] = w->cap_ids[kept] = 0;
            return;
        }
    if (w->score) {
        j->work = (struct desk_work){.kind = DESK_SCORE};
        w->score = false;
        return;
    }
    for (int kept = 0; kept < 2; kept++)
        if (w->estimates[kept]) {
            j->work = (struct desk_work){.kind = DESK_ESTIMATES, .error_kept = kept};
            w->estimates[kept] = false;
            return;
        }
    for (int kept = 0; kept < 2; kept++)
        if (w->strongest[kept]) {
            j->work = (struct desk_work){.kind = DESK_STRONGEST, .error_kept = kept};
            j->n = w->strongest[kept];
            w->strongest[kept] = 0;
            return;
        }
    j->work = (struct desk_work){.kind = DESK_PROMOTED};
    w->promoted = false;
}

static void start(struct desk *d, int i, const struct lm *lm, const struct lm_hook *hook)
{
    struct desk_entry *e = &d->entries[i];
    struct effects_job *j = job_new(&effects_ops[DESK_OPEN_EFFECTS], sizeof *j);

    pthread_mutex_init(&j->lock, NULL);
    j->session = d->session;
    j->i = i;
    j->lm = lm;
    j->hook = *hook;
    if (e->effects) {
        j->effects = e->effects;
        take_wish(&e->wishes, j);
        j->job.ops = &effects_ops[j->work.kind];
    } else {
        j->work = (struct desk_work){.kind = DESK_OPEN_EFFECTS};
        e->wishes.open = false;
    }
    e->running = j;
    e->work = j->work;
    e->work.first = j->ids ? j->ids[0] : -1;
    e->work.job = app_start(d->app, e->effects ? LANE_LONG : LANE_QUICK, &j->job,
                            effects_done, d);
    e->score.job = j->work.kind == DESK_SCORE ? e->work.job : 0;
}

/* Grant the next wish, once model and checkpoint are open, or say why not. */
void desk_effects_settle(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];
    struct lm_hook hook;
    struct err err = {0};

    if (e->effects)
        e->wishes.open = false;
    if (e->running || !wants_something(&e->wishes))
        return;
    const struct lm *lm = desk_lm_at(d, i, &hook, &err);
    if (!lm && err.code == ERR_CANCELLED && e->shown.err.code == ERR_NONE)
        return;
    if (lm)
        start(d, i, lm, &hook);
    else
        fail(d, i, &(struct desk_work){0}, err.code == ERR_CANCELLED ? &e->shown.err : &err);
}

static struct effects_wishes *wish(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    e->work.err = (struct err){0};
    desk_need(d, i);
    desk_need_lm(d);
    return &e->wishes;
}

void desk_need_effects(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    if (e->effects || e->running || e->wishes.open || e->work.err.code)
        return;
    wish(d, i)->open = true;
    desk_effects_settle(d, i);
}

struct effects *desk_effects(const struct desk *d, int i)
{
    return d->entries[i].effects;
}

const struct desk_work *desk_work(const struct desk *d, int i)
{
    return &d->entries[i].work;
}

void desk_need_score(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    if (e->score.known || e->score.job || e->score.err.code || e->wishes.score)
        return;
    wish(d, i)->score = true;
    desk_effects_settle(d, i);
}

void desk_score_again(struct desk *d, int i)
{
    d->entries[i].score.err = (struct err){0};
    d->entries[i].wishes.asked = true;
    desk_lm_retry(d);
    desk_need_score(d, i);
}

void desk_need_estimates(struct desk *d, int i, bool error_kept)
{
    struct desk_entry *e = &d->entries[i];

    if (e->work.err.code || e->wishes.estimates[error_kept] ||
        (e->work.job && e->work.kind == DESK_ESTIMATES && e->work.error_kept == error_kept))
        return;
    wish(d, i)->estimates[error_kept] = true;
    desk_effects_settle(d, i);
}

void desk_ablate(struct desk *d, int i, bool error_kept, const int64_t *ids, int64_t n)
{
    struct effects_wishes *w = wish(d, i);

    w->asked = true;
    for (int64_t k = 0; k < n; k++) {
        bool known = false;
        for (int64_t q = 0; q < w->n_ids[error_kept] && !known; q++)
            known = w->ids[error_kept][q] == ids[k];
        if (known)
            continue;
        array_grow(w->ids[error_kept], w->n_ids[error_kept], w->cap_ids[error_kept]);
        w->ids[error_kept][w->n_ids[error_kept]++] = ids[k];
    }
    desk_effects_settle(d, i);
}

void desk_ablate_strongest(struct desk *d, int i, bool error_kept, int64_t n)
{
    struct effects_wishes *w = wish(d, i);

    w->asked = true;
    w->estimates[error_kept] = true; /* nothing, if they are there */
    w->strongest[error_kept] = n;
    desk_effects_settle(d, i);
}

void desk_need_promoted(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    if (e->promoted || e->wishes.promoted || e->work.err.code ||
        (e->work.job && e->work.kind == DESK_PROMOTED))
        return;
    wish(d, i)->promoted = true;
    desk_effects_settle(d, i);
}

const uint32_t *desk_promoted(const struct desk *d, int i, int *n)
{
    *n = d->entries[i].n_promoted;
    return d->entries[i].promoted;
}

/* -- reading ----------------------------------------------------------------------- */

const struct desk_score *desk_score(const struct desk *d, int i)
{
    return &d->entries[i].score;
}

bool desk_score_is_cheap(const struct desk *d, int i)
{
    struct lm_hook hook;
    const struct lm *lm = desk_lm_at(d, i, &hook, NULL);
    int64_t cost = lm ? score_cost(lm, &hook, d->session->samples) : 0;

    return cost > 0 && cost < CHEAP;
}

void desk_effects_tick(struct desk *d)
{
    for (int i = 0; i < d->session->n_saes; i++) {
        struct desk_entry *e = &d->entries[i];
        if (!e->running || !e->effects)
            continue;
        take_columns(e);
        if (e->work.kind != DESK_SCORE || e->score.known)
            continue;
        pthread_mutex_lock(&e->running->lock);
        e->score.page = e->running->so_far;
        pthread_mutex_unlock(&e->running->lock);
    }
}

/* R: what the user cancelled, or what failed, is worth another try. */
void desk_effects_retry(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];
    bool again = e->score.err.code != ERR_NONE;

    e->score.err = e->work.err = (struct err){0};
    if (again)
        desk_need_score(d, i);
}

void desk_effects_finish(struct desk *d)
{
    for (int i = 0; i < d->session->n_saes; i++) {
        drop_wishes(&d->entries[i]);
        effects_close(d->entries[i].effects);
        free(d->entries[i].promoted);
    }
}

/* -- words ------------------------------------------------------------------------- */

/* Why there is none, in as few words as a cell has room for. */
static const char *brief(const struct desk *d, const struct err *err)
{
    switch (err->code) {
    case ERR_CANCELLED: return "cancelled: R computes it";
    case ERR_SHAPE: return "does not fit the model";
    case ERR_UNSUPPORTED: return "not for this kind";
    case ERR_MISSING:
        return !session_lm_path(d->session)   ? "needs --model"
               : strstr(err->msg, "--hook")   ? "needs --hook"
               : strstr(err->msg, "--tokens") ? "needs --tokens"
                                              : "no position counts";
    default: return "failed: see Score";
    }
}

const char *desk_score_text(const struct desk *d, int i, char *buf, size_t size)
{
    const struct desk_entry *e = &d->entries[i];
    struct lm_hook hook;
    struct err err = e->score.err;

    buf[0] = 0;
    if (e->score.known)
        return buf;
    if (e->score.job)
        return app_job_text(d->app, e->score.job, buf, size);
    if (e->wishes.score)
        snprintf(buf, size, "waiting");
    else if (err.code == ERR_NONE && desk_lm_at(d, i, &hook, &err))
        snprintf(buf, size, "a computes it");
    else if (err.code == ERR_CANCELLED && e->score.err.code == ERR_NONE)
        snprintf(buf, size, "%s", d->lm_state == DESK_LM_OPENING ? "opening" : "a computes it");
    else
        snprintf(buf, size, "%s", brief(d, &err));
    return buf;
}
