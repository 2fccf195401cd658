/* desk_score.c - the reconstruction score of checkpoints; see desk.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/desk_impl.h"

/* Multiplications of some ten seconds on two cores. */
#define CHEAP 500000000000

struct score_job {
    struct job job;
    int i;
    const struct lm *lm;           /* borrowed, as the others */
    const struct sae *sae;
    const struct samples *samples;
    struct lm_hook hook;
    struct scan_options scan;
    struct page_score page;

    pthread_mutex_t lock;
    struct page_score so_far;      /* under lock */
};

static void note(void *ctx, const struct page_score *so_far)
{
    struct score_job *j = ctx;

    pthread_mutex_lock(&j->lock);
    j->so_far = *so_far;
    pthread_mutex_unlock(&j->lock);
}

static bool score_job_run(struct job *job, const struct progress *p, struct err *err)
{
    struct score_job *j = (struct score_job *)job;
    struct score_options options = {.scan = j->scan, .partial = note, .ctx = j};

    return score_run(j->lm, &j->hook, j->sae, j->samples, &options, p, &j->page, err);
}

static void score_job_free(struct job *job)
{
    pthread_mutex_destroy(&((struct score_job *)job)->lock);
    free(job);
}

static const struct job_ops score_ops = {"score", score_job_run, score_job_free};

static void warn(struct desk *d, const struct page_score *page)
{
    char text[1024];

    if (!score_warning(page, d->session->samples->path, text, sizeof text))
        return;
    session_warn(d->session, "%s", text);
    desk_say_warnings(d);
}

static void score_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct score_job *j = (struct score_job *)job;
    struct desk_entry *e = &d->entries[j->i];

    e->scoring = NULL;
    e->score.job = 0;
    if (job->state == JOB_DONE) {
        e->score.page = j->page;
        e->score.known = true;
        warn(d, &j->page);
    } else if (job->state == JOB_CANCELLED) {
        err_set(&e->score.err, ERR_CANCELLED, "cancelled");
    } else {
        e->score.err = job->err;
        if (e->score_asked)
            app_error(d->app, &job->err);
    }
    app_changed(d->app);
}

/* Model and checkpoint are open, or will never be. */
void desk_score_settle(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];
    struct lm_hook hook;
    struct err err = {0};

    if (!e->wants_score)
        return;
    const struct lm *lm = desk_lm_at(d, i, &hook, &err);
    if (!lm && err.code == ERR_CANCELLED && !e->shown.err.code)
        return;
    e->wants_score = false;
    if (!lm) {
        e->score.err = err.code == ERR_CANCELLED ? e->shown.err : err;
        return;
    }
    struct score_job *j = job_new(&score_ops, sizeof *j);
    j->i = i;
    j->lm = lm;
    j->hook = hook;
    j->sae = d->session->saes[i].sae;
    j->samples = d->session->samples;
    j->scan = session_scan_options(d->session);
    pthread_mutex_init(&j->lock, NULL);
    e->scoring = j;
    e->score.job = app_start(d->app, LANE_LONG, &j->job, score_done, d);
}

void desk_need_score(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    if (e->score.known || e->score.job || e->score.err.code || e->wants_score)
        return;
    e->wants_score = true;
    desk_need(d, i);
    desk_need_lm(d);
    desk_score_settle(d, i);
}

void desk_score_retry(struct desk *d, int i)
{
    bool again = d->entries[i].score.err.code != ERR_NONE;

    d->entries[i].score.err = (struct err){0};
    if (again)
        desk_need_score(d, i);
}

void desk_score_again(struct desk *d, int i)
{
    d->entries[i].score_asked = true;
    desk_lm_retry(d);
    desk_score_retry(d, i);
    desk_need_score(d, i);
}

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

void desk_score_tick(struct desk *d)
{
    for (int i = 0; i < d->session->n_saes; i++) {
        struct desk_entry *e = &d->entries[i];
        if (!e->scoring)
            continue;
        pthread_mutex_lock(&e->scoring->lock);
        e->score.page = e->scoring->so_far;
        pthread_mutex_unlock(&e->scoring->lock);
    }
}

/* Why there is none, in as few words as a cell has room for. */
static const char *brief(const struct desk *d, const struct err *err)
{
    switch (err->code) {
    case ERR_CANCELLED: return "cancelled: R computes it";
    case ERR_SHAPE: return "does not fit the model";
    case ERR_UNSUPPORTED: return "not for this kind";
    case ERR_MISSING:
        return !session_lm_path(d->session)  ? "needs --model"
               : strstr(err->msg, "--hook")  ? "needs --hook"
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
    if (err.code == ERR_NONE && desk_lm_at(d, i, &hook, &err))
        snprintf(buf, size, "a computes it");
    else if (err.code == ERR_CANCELLED && e->score.err.code == ERR_NONE)
        snprintf(buf, size, "%s", d->lm_state == DESK_LM_OPENING ? "opening" : "a computes it");
    else
        snprintf(buf, size, "%s", brief(d, &err));
    return buf;
}
