/* desk.c - loading, indexes and scans of what is open; see desk.h. */
#include "tui/desk.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/mem.h"
#include "io/str.h"
#include "tui/desk_impl.h"
#include "tui/wid_hist.h"

/* -- jobs: what they read of the session does not change while they run ------------ */

struct desk_job {
    struct job job;
    const struct session *session;
    int i;
    struct scan_live *live; /* borrowed, of a scan */
    struct sae *sae;        /* results; owned until taken */
    struct index *index;
    struct feature_table table;
    struct err why;         /* there is no index because */
};

static void desk_job_free(struct job *job)
{
    struct desk_job *j = (struct desk_job *)job;

    feature_table_finish(&j->table);
    index_close(j->index);
    sae_close(j->sae);
    free(j);
}

static bool load_run(struct job *job, const struct progress *p, struct err *err)
{
    struct desk_job *j = (struct desk_job *)job;

    j->sae = session_read_sae(j->session, j->i, p, err);
    return j->sae != NULL;
}

static bool take_table(struct desk_job *j, struct err *err)
{
    return feature_table_from_index(j->session->saes[j->i].sae, j->index, &j->table, err);
}

/* Having found no index is an answer too. */
static bool open_run(struct job *job, const struct progress *p, struct err *err)
{
    struct desk_job *j = (struct desk_job *)job;

    (void)p;
    j->index = session_read_index(j->session, j->i, &j->why);
    return !j->index || take_table(j, err);
}

static bool scan_run_job(struct job *job, const struct progress *p, struct err *err)
{
    struct desk_job *j = (struct desk_job *)job;

    j->index = session_make_index(j->session, j->i, p, j->live, err);
    return j->index && take_table(j, err);
}

static bool weights_run(struct job *job, const struct progress *p, struct err *err)
{
    struct desk_job *j = (struct desk_job *)job;

    return feature_table_from_weights(j->session->saes[j->i].sae,
                                      j->session->options.threads, p, &j->table, err);
}

static bool nearest_run(struct job *job, const struct progress *p, struct err *err)
{
    struct desk_job *j = (struct desk_job *)job;
    const struct sae *sae = j->session->saes[j->i].sae;

    j->table.n = sae->d_sae;
    return feature_table_nearest(&j->table, sae, j->session->options.threads, p, err);
}

/* The index stays open while tables come and go. */
static bool table_run(struct job *job, const struct progress *p, struct err *err)
{
    struct desk_job *j = (struct desk_job *)job;
    const struct session_sae *e = &j->session->saes[j->i];

    (void)p;
    return feature_table_from_index(e->sae, e->index, &j->table, err);
}

static const struct job_ops load_ops = {"loading", load_run, desk_job_free};
static const struct job_ops open_ops = {"index", open_run, desk_job_free};
static const struct job_ops scan_ops = {"scan", scan_run_job, desk_job_free};
static const struct job_ops table_ops = {"table", table_run, desk_job_free};
static const struct job_ops weights_ops = {"weights", weights_run, desk_job_free};
static const struct job_ops nearest_ops = {"nearest", nearest_run, desk_job_free};

static uint64_t start(struct desk *d, int i, const struct job_ops *ops, enum lane lane,
                      app_done_fn *done)
{
    struct desk_job *j = job_new(ops, sizeof *j);

    j->session = d->session;
    j->i = i;
    j->live = d->entries[i].live;
    return app_start(d->app, lane, &j->job, done, d);
}

/* -- what the user is told --------------------------------------------------------- */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void set_title(struct desk *d)
{
    const struct session *s = d->session;
    const struct session_sae *e = &s->saes[d->current];
    const char *hook = session_hook(s, d->current);
    struct str title = {0};
    char number[32];

    if (s->bundle.path)
        str_appendf(&title, "%s · ", s->bundle.name && *s->bundle.name
                                         ? s->bundle.name : last_part(s->bundle.path));
    str_puts(&title, e->name);
    if (s->samples && s->options.skip_first)
        str_appendf(&title, " · from position %lld", (long long)s->options.skip_first);
    if (e->sae) {
        str_appendf(&title, " · %s ", e->sae->arch->name);
        if (e->sae->models > 1)
            str_appendf(&title, "%d x ", e->sae->models);
        str_appendf(&title, "%lld → %s", (long long)(e->sae->d_in / e->sae->models),
                    count_text(e->sae->d_sae, number, sizeof number));
    }
    if (hook)
        str_appendf(&title, " · %s", hook);
    if (s->samples)
        str_appendf(&title, " · %s tokens",
                    count_text(s->samples->n_tok, number, sizeof number));
    app_title(d->app, str_text(&title));
    str_finish(&title);
}

void desk_say_warnings(struct desk *d)
{
    const struct session *s = d->session;
    int n = s->n_warnings - d->n_warnings;

    if (n == 1)
        app_warning(d->app, "%s", s->warnings[d->n_warnings]);
    else if (n > 1)
        app_warning(d->app, "%s (and %d more)", s->warnings[d->n_warnings], n - 1);
    d->n_warnings = s->n_warnings;
}

static bool is_open(const struct session *s, int i)
{
    return i >= 0 && i < s->n_saes;
}

const char *desk_state_text(const struct desk *d, int i, char *buf, size_t size)
{
    const struct desk_sae *e = desk_sae(d, i);
    char partial[32];

    snprintf(partial, sizeof partial, "partial, %.0f %%, ", floor(100 * e->table.partial));
    switch (e->state) {
    case DESK_UNLOADED:
        snprintf(buf, size, "%s", e->err.code ? e->err.msg : "not loaded");
        break;
    case DESK_LOADING: snprintf(buf, size, "loading"); break;
    case DESK_OPENING: snprintf(buf, size, "looking for an index"); break;
    case DESK_WEIGHTS:
        if (e->err.code == ERR_CANCELLED)
            snprintf(buf, size, "%sscan cancelled: R starts it again",
                     e->table.partial < 1 ? partial : "");
        else if (e->err.code)
            snprintf(buf, size, "%s", e->err.msg);
        else
            snprintf(buf, size, "weights only: no samples");
        break;
    case DESK_SCANNING:
        if (atomic_load(&e->live->tokens) == 0) {
            snprintf(buf, size, "waiting for its scan");
            break;
        }
        snprintf(buf, size, "partial, %.0f %%", floor(100 * e->table.partial));
        break;
    case DESK_COMPLETE: buf[0] = 0; break;
    }
    return buf;
}

/* -- steps ------------------------------------------------------------------------- */

static bool has_samples(const struct desk *d)
{
    return samples_have_features(d->session->samples);
}

static void changed(struct desk *d, int i)
{
    d->entries[i].shown.version++;
    app_changed(d->app);
}

/* Let `from` be the table; what it does not know stays from the one before. Owned by the
 * desk afterwards. */
static void replace_table(struct desk_sae *e, struct feature_table *from)
{
    for (int c = 0; c < FCOL_COUNT; c++)
        if (!from->v[c] && e->table.n == from->n) {
            from->v[c] = e->table.v[c];
            e->table.v[c] = NULL;
        }
    feature_table_finish(&e->table);
    e->table = *from;
    *from = (struct feature_table){0};
}

/* Add the columns of `from` to the table. */
static void add_columns(struct desk_sae *e, struct feature_table *from)
{
    for (int c = 0; c < FCOL_COUNT; c++)
        if (from->v[c]) {
            free(e->table.v[c]);
            e->table.v[c] = from->v[c];
            from->v[c] = NULL;
        }
}

/* -- tables that nobody looks at ----------------------------------------------------- */

/* Of the memory that the session may take, tables may have one part in so many. */
enum { TABLES_PART = 6 };

static size_t table_bytes(const struct desk_sae *e)
{
    size_t columns = 0;

    for (int c = 0; c < FCOL_COUNT; c++)
        columns += e->table.v[c] != NULL;
    return columns * (size_t)e->table.n * sizeof(double);
}

static bool may_go(const struct desk *d, int i)
{
    return d->entries[i].shown.state == DESK_COMPLETE && !d->entries[i].let_go &&
           i != d->current && i != desk_partner(d);
}

static void let_go(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    for (int c = 0; c < FCOL_COUNT; c++)
        if (c != FCOL_BIAS && c != FCOL_THRESHOLD && c != FCOL_NEAREST_COSINE) {
            free(e->shown.table.v[c]);
            e->shown.table.v[c] = NULL;
        }
    desk_names_reset(d, i);
    e->let_go = true;
}

/* The table that has not been needed for longest goes first. */
static void make_room(struct desk *d)
{
    size_t total = 0;

    for (int i = 0; i < desk_count(d); i++)
        total += table_bytes(&d->entries[i].shown);
    while (total > d->session->options.memory / TABLES_PART) {
        int oldest = -1;
        for (int i = 0; i < desk_count(d); i++)
            if (may_go(d, i) &&
                (oldest < 0 || d->entries[i].needed < d->entries[oldest].needed))
                oldest = i;
        if (oldest < 0)
            return;
        total -= table_bytes(&d->entries[oldest].shown);
        let_go(d, oldest);
        total += table_bytes(&d->entries[oldest].shown);
    }
}

static void table_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct desk_job *j = (struct desk_job *)job;
    struct desk_entry *e = &d->entries[j->i];

    e->coming_back = false;
    if (job->state == JOB_DONE) {
        replace_table(&e->shown, &j->table);
        e->let_go = false;
        make_room(d);
    } else if (job->state == JOB_FAILED) {
        app_error(d->app, &job->err);
    }
    changed(d, j->i);
}

static void bring_back(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    if (!e->let_go || e->coming_back)
        return;
    e->coming_back = true;
    start(d, i, &table_ops, LANE_QUICK, table_done);
}

/* -- what comes back ----------------------------------------------------------------- */

static void fail(struct desk *d, int i, enum desk_state state, const struct job *job)
{
    struct desk_sae *e = &d->entries[i].shown;

    e->state = state;
    if (job->state == JOB_CANCELLED)
        err_set(&e->err, ERR_CANCELLED, "cancelled");
    else
        e->err = job->err;
    app_error(d->app, &e->err);
    changed(d, i);
}

static void complete(struct desk *d, struct desk_job *j)
{
    struct desk_entry *e = &d->entries[j->i];

    session_set_index(d->session, j->i, j->index);
    j->index = NULL;
    replace_table(&e->shown, &j->table);
    e->shown.state = DESK_COMPLETE;
    desk_names_reset(d, j->i);
    make_room(d);
    changed(d, j->i);
}

static void scan_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct desk_job *j = (struct desk_job *)job;
    struct desk_entry *e = &d->entries[j->i];

    e->shown.live = NULL;
    scan_live_free(e->live);
    e->live = NULL;
    if (job->state == JOB_DONE) {
        complete(d, j);
        return;
    }
    fail(d, j->i, DESK_WEIGHTS, job);
    if (job->state == JOB_CANCELLED)
        app_message(d->app, "scan cancelled: R starts it again");
}

static void weights_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct desk_job *j = (struct desk_job *)job;
    struct desk_entry *e = &d->entries[j->i];

    e->weights = 0;
    if (job->state == JOB_DONE) {
        if (e->shown.state != DESK_COMPLETE)
            add_columns(&e->shown, &j->table);
        changed(d, j->i);
    } else if (e->shown.state == DESK_WEIGHTS) {
        fail(d, j->i, DESK_WEIGHTS, job);
    }
}

static void start_weights(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    if (!e->weights && !e->shown.table.v[FCOL_DECODER_NORM])
        e->weights = start(d, i, &weights_ops, LANE_LONG, weights_done);
}

static void start_scan(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    e->live = scan_live_new(d->session->saes[i].sae->d_sae);
    e->shown.live = e->live;
    e->shown.state = DESK_SCANNING;
    e->shown.table.partial = 0;
    start(d, i, &scan_ops, LANE_LONG, scan_done);
}

/* Without an index: the weights first, for they are quick, then the scan. */
static void make_do(struct desk *d, int i)
{
    start_weights(d, i);
    if (has_samples(d))
        start_scan(d, i);
    else
        d->entries[i].shown.state = DESK_WEIGHTS;
    changed(d, i);
}

static void open_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct desk_job *j = (struct desk_job *)job;

    if (job->state == JOB_DONE && j->index) {
        complete(d, j);
        return;
    }
    if (job->state == JOB_CANCELLED) {
        start_weights(d, j->i);
        fail(d, j->i, DESK_WEIGHTS, job);
        return;
    }
    const struct err *why = job->state == JOB_FAILED ? &job->err : &j->why;
    if (why->code != ERR_MISSING)
        session_warn(d->session, "%s", why->msg);
    desk_say_warnings(d);
    make_do(d, j->i);
}

static void loaded(struct desk *d, int i)
{
    struct desk_sae *e = &d->entries[i].shown;

    feature_table_from_parameters(d->session->saes[i].sae, &e->table);
    e->state = DESK_OPENING;
    e->err = (struct err){0};
    start(d, i, &open_ops, LANE_QUICK, open_done);
}

static void load_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct desk_job *j = (struct desk_job *)job;

    if (job->state != JOB_DONE) {
        fail(d, j->i, DESK_UNLOADED, job);
        desk_lm_settled(d);
        return;
    }
    session_set_sae(d->session, j->i, j->sae);
    j->sae = NULL;
    loaded(d, j->i);
    desk_say_warnings(d);
    if (j->i == d->current)
        set_title(d);
    desk_lm_settled(d);
    changed(d, j->i);
}

void desk_need(struct desk *d, int i)
{
    struct desk_sae *e = &d->entries[i].shown;

    if (!is_open(d->session, i))
        return;
    d->entries[i].needed = ++d->clock;
    bring_back(d, i);
    if (e->state != DESK_UNLOADED || e->err.code)
        return;
    if (d->session->saes[i].sae) {
        loaded(d, i);
    } else {
        e->state = DESK_LOADING;
        start(d, i, &load_ops, LANE_QUICK, load_done);
    }
}

void desk_retry(struct desk *d, int i)
{
    struct desk_sae *e = &d->entries[i].shown;

    desk_lm_retry(d);
    desk_effects_retry(d, i);
    if (!is_open(d->session, i) || !e->err.code)
        return;
    e->err = (struct err){0};
    if (e->state == DESK_UNLOADED)
        desk_need(d, i);
    else if (e->state == DESK_WEIGHTS)
        make_do(d, i);
}

static void nearest_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;
    struct desk_job *j = (struct desk_job *)job;
    struct desk_sae *e = &d->entries[j->i].shown;

    e->nearest_busy = false;
    if (job->state == JOB_DONE)
        add_columns(e, &j->table);
    else if (job->state == JOB_FAILED)
        app_error(d->app, &job->err);
    changed(d, j->i);
}

void desk_need_nearest(struct desk *d, int i)
{
    struct desk_sae *e = &d->entries[i].shown;

    if (e->nearest_busy || e->table.n == 0 || e->table.v[FCOL_NEAREST_COSINE])
        return;
    e->nearest_busy = true;
    start(d, i, &nearest_ops, LANE_LONG, nearest_done);
}

void desk_tick(struct desk *d)
{
    desk_effects_tick(d);
    for (int i = 0; i < desk_count(d); i++) {
        struct desk_sae *e = &d->entries[i].shown;
        if (e->state != DESK_SCANNING || atomic_load(&e->live->tokens) == 0)
            continue;
        feature_table_from_live(d->session->saes[i].sae, e->live, &e->table);
        e->version++;
    }
}

/* -- which one is current ---------------------------------------------------------- */

struct session *desk_session(const struct desk *d)
{
    return d->session;
}

int desk_count(const struct desk *d)
{
    return d->session->n_saes;
}

const struct desk_sae *desk_sae(const struct desk *d, int i)
{
    assert(is_open(d->session, i));
    return &d->entries[i].shown;
}

int desk_current(const struct desk *d)
{
    return d->current;
}

static void set_current(struct desk *d, int i)
{
    d->current = i;
    desk_need(d, i);
    set_title(d);
}

/* Who becomes current and was the partner has the one before as its partner. */
static void choose(struct desk *d, int i)
{
    if (i == desk_partner(d))
        d->picked = d->current;
    set_current(d, i);
}

void desk_choose(struct desk *d, int i)
{
    if (!is_open(d->session, i) || i == d->current)
        return;
    choose(d, i);
    app_changed(d->app);
}

/* The one after the current one, of those asked for, then of all. */
static int next_of(const struct desk *d)
{
    const struct session *s = d->session;

    for (int c = 0; c < s->n_chosen; c++)
        if (s->chosen[c] == d->current && s->n_chosen > 1)
            return s->chosen[(c + 1) % s->n_chosen];
    return s->n_saes > 1 ? (d->current + 1) % s->n_saes : -1;
}

int desk_partner(const struct desk *d)
{
    return d->picked >= 0 && d->picked != d->current ? d->picked : next_of(d);
}

void desk_set_partner(struct desk *d, int i)
{
    if (!is_open(d->session, i) || i == d->current)
        return;
    d->picked = i;
    desk_need(d, i);
    app_changed(d->app);
}

bool desk_swap(struct desk *d)
{
    int partner = desk_partner(d);

    desk_choose(d, partner);
    return partner >= 0;
}

int desk_go(struct desk *d, const struct target *at)
{
    bool names_one = at->feature >= 0 || at->token >= 0 || at->filter[0];

    if (names_one && at->sae != d->current && is_open(d->session, at->sae))
        choose(d, at->sae);
    return d->current;
}

int desk_find(const struct desk *d, const char *name)
{
    const struct session *s = d->session;
    int begins = -1, contains = -1, n_begins = 0, n_contains = 0;

    for (int i = 0; i < s->n_saes && *name; i++) {
        const char *has = s->saes[i].name;
        if (strcmp(has, name) == 0)
            return i;
        if (strncasecmp(has, name, strlen(name)) == 0) {
            begins = i;
            n_begins++;
        }
        if (strcasestr(has, name)) {
            contains = i;
            n_contains++;
        }
    }
    return n_begins == 1 ? begins : n_begins == 0 && n_contains == 1 ? contains : -1;
}

/* -- life -------------------------------------------------------------------------- */

struct desk *desk_new(struct app *app, struct session *session)
{
    struct desk *d = xcalloc(1, sizeof *d);

    d->app = app;
    d->session = session;
    d->picked = -1;
    d->entries = xcalloc((size_t)session->n_saes + 1, sizeof *d->entries);
    for (int c = 0; c < session->n_chosen; c++)
        desk_need(d, session->chosen[c]);
    if (session->n_saes) {
        d->current = session->n_chosen ? session->chosen[0] : 0;
        set_current(d, d->current);
    }
    desk_say_warnings(d);
    return d;
}

void desk_free(struct desk *d)
{
    if (!d)
        return;
    desk_save_labels(d);
    desk_names_finish(d);
    desk_effects_finish(d);
    lm_close(d->lm);
    for (int i = 0; i < desk_count(d); i++) {
        feature_table_finish(&d->entries[i].shown.table);
        scan_live_free(d->entries[i].live);
        free(d->entries[i].selected);
    }
    free(d->entries);
    free(d);
}
