/* desk_lm.c - the language model of all views; see desk.h. */
#include <stdlib.h>

#include "tui/desk_impl.h"

struct lm_job {
    struct job job;
    const struct session *session;
    int i; /* the checkpoint that it is opened for */
    struct lm *lm;
};

static bool lm_job_run(struct job *job, const struct progress *p, struct err *err)
{
    struct lm_job *j = (struct lm_job *)job;

    j->lm = session_lm_open(j->session, j->i, p, err);
    return j->lm != NULL;
}

static void lm_job_free(struct job *job)
{
    lm_close(((struct lm_job *)job)->lm);
    free(job);
}

static const struct job_ops lm_job_ops = {"language model", lm_job_run, lm_job_free};

static void lm_job_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct lm_job *j = (struct lm_job *)job;

    if (job->state == JOB_DONE) {
        d->lm = j->lm;
        j->lm = NULL;
        d->lm_state = DESK_LM_OPEN;
    } else {
        d->lm_state = DESK_LM_FAILED;
        if (job->state == JOB_FAILED)
            d->lm_err = job->err;
        else
            err_set(&d->lm_err, ERR_OS, "%s: opening it was cancelled: R tries again",
                    session_lm_path(d->session));
        app_error(d->app, &d->lm_err);
    }
    desk_lm_settled(d);
    app_changed(d->app);
}

void desk_lm_settled(struct desk *d)
{
    for (int i = 0; i < d->session->n_saes; i++)
        desk_effects_settle(d, i);
}

void desk_need_lm(struct desk *d)
{
    if (d->lm_state != DESK_LM_CLOSED || d->session->n_saes == 0)
        return;
    if (!session_lm_path(d->session)) { /* nothing to wait for, and no news to anybody */
        d->lm_state = DESK_LM_FAILED;
        session_lm_open(d->session, d->current, NULL, &d->lm_err);
        return;
    }
    struct lm_job *j = job_new(&lm_job_ops, sizeof *j);
    j->session = d->session;
    j->i = d->current;
    d->lm_state = DESK_LM_OPENING;
    app_start(d->app, LANE_QUICK, &j->job, lm_job_done, d);
}

void desk_lm_retry(struct desk *d)
{
    if (d->lm_state != DESK_LM_FAILED || !session_lm_path(d->session))
        return;
    d->lm_state = DESK_LM_CLOSED;
    d->lm_err = (struct err){0};
    desk_need_lm(d);
}

const struct lm *desk_lm(const struct desk *d)
{
    return d->lm;
}

enum desk_lm_state desk_lm_state(const struct desk *d)
{
    return d->lm_state;
}

const struct lm *desk_lm_at(const struct desk *d, int i, struct lm_hook *hook,
                            struct err *err)
{
    const struct session *s = d->session;
    struct lm_hook found;

    if (d->lm_state == DESK_LM_FAILED) {
        if (err)
            *err = d->lm_err;
        return NULL;
    }
    if (!d->lm) {
        err_set(err, ERR_CANCELLED, "the language model is being opened");
        return NULL;
    }
    if (!s->saes[i].sae) {
        err_set(err, ERR_CANCELLED, "%s: the checkpoint is being opened", s->saes[i].name);
        return NULL;
    }
    if (!session_lm_hook(s, i, d->lm, &found, err))
        return NULL;
    *hook = found;
    return d->lm;
}
