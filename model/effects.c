/*
 * effects.c - see effects.h.
 *
 * The file is a container of io/fidx.h:
 *
 *   key         the text that names the inputs
 *   scores      struct saved_score [any number]
 *   estimate.M  f64 [d_sae], mode M: 0 reconstruction, 1 error-kept
 *   exact.M     struct page_ablation [any number], no feature twice
 *   promoted    u32 [d_sae, n], n of 1 to EFFECTS_PROMOTED
 *
 * All but the key may be missing.
 */
#include "model/effects.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/fidx.h"
#include "io/map.h"
#include "io/mem.h"
#include "model/estimate.h"
#include "model/logitlens.h"

struct saved_score {
    int64_t from_samples;
    struct page_score page;
};

#define EFFECTS_VERSION                                                                    \
    (1 << 24 | sizeof(struct page_ablation) << 12 | sizeof(struct saved_score))

#define MAX_SCORES (2 * SCORE_BASELINE_COUNT)

/* One mode of ablation. */
struct mode {
    double *estimate;            /* [d_sae]; NULL: none yet */
    struct page_ablation *exact; /* [n] */
    int64_t n, cap;
    int32_t *at;                 /* [d_sae]; index into exact, -1: not there; NULL: n = 0 */
};

/* Everything that is kept; also what a file held. */
struct store {
    struct saved_score scores[MAX_SCORES];
    int n_scores;
    struct mode modes[2];
    uint32_t *promoted;          /* [d_sae, n_promoted]; NULL: not there */
    int n_promoted;
};

struct effects {
    char *path, *key; /* owned; path NULL: in memory only */
    int64_t d_sae;
    pthread_mutex_t lock; /* of what follows */
    struct store store;
    uint64_t saved; /* the version that is on the disk */
    _Atomic uint64_t version;
};

/* ---- the store */

static void store_finish(struct store *s)
{
    for (int m = 0; m < 2; m++) {
        free(s->modes[m].estimate);
        free(s->modes[m].exact);
        free(s->modes[m].at);
    }
    free(s->promoted);
    *s = (struct store){0};
}

static struct saved_score *find_score(struct store *s, const struct score_options *o)
{
    for (int i = 0; i < s->n_scores; i++)
        if (s->scores[i].page.baseline == o->baseline &&
            s->scores[i].from_samples == (int64_t)o->from_samples)
            return &s->scores[i];
    return NULL;
}

static bool add_score(struct store *s, const struct score_options *o,
                      const struct page_score *page)
{
    if (find_score(s, o) || s->n_scores == MAX_SCORES)
        return false;
    struct saved_score *one = &s->scores[s->n_scores++];
    memset(one, 0, sizeof *one); /* what lies between goes to the file too */
    one->from_samples = o->from_samples;
    one->page = *page;
    return true;
}

static bool add_estimate(struct mode *m, const double *estimate, int64_t d_sae)
{
    if (m->estimate)
        return false;
    m->estimate = xmalloc((size_t)d_sae * sizeof *m->estimate);
    memcpy(m->estimate, estimate, (size_t)d_sae * sizeof *m->estimate);
    return true;
}

static bool has_exact(const struct mode *m, int64_t id)
{
    return m->at && m->at[id] >= 0;
}

static bool add_exact(struct mode *m, const struct page_ablation *f, int64_t d_sae)
{
    if (has_exact(m, f->id))
        return false;
    if (!m->at) {
        m->at = xmalloc((size_t)d_sae * sizeof *m->at);
        memset(m->at, 0xff, (size_t)d_sae * sizeof *m->at); /* -1 */
    }
    array_grow(m->exact, m->n, m->cap);
    m->at[f->id] = (int32_t)m->n;
    m->exact[m->n++] = *f;
    return true;
}

static bool add_promoted(struct store *s, const uint32_t *tokens, int n, int64_t d_sae)
{
    size_t bytes = (size_t)d_sae * (size_t)n * sizeof *tokens;
    if (s->promoted)
        return false;
    s->promoted = xmalloc(bytes);
    s->n_promoted = n;
    memcpy(s->promoted, tokens, bytes);
    return true;
}

/* What `to` does not have. */
static void store_merge(struct store *to, const struct store *from, int64_t d_sae)
{
    for (int i = 0; i < from->n_scores; i++) {
        const struct saved_score *one = &from->scores[i];
        struct score_options o = {.baseline = one->page.baseline,
                                  .from_samples = one->from_samples != 0};
        add_score(to, &o, &one->page);
    }
    for (int m = 0; m < 2; m++) {
        const struct mode *mode = &from->modes[m];
        if (mode->estimate)
            add_estimate(&to->modes[m], mode->estimate, d_sae);
        for (int64_t i = 0; i < mode->n; i++)
            add_exact(&to->modes[m], &mode->exact[i], d_sae);
    }
    if (from->promoted)
        add_promoted(to, from->promoted, from->n_promoted, d_sae);
}

/* ---- the file */

struct reading {
    const char *path, *key;
    int64_t d_sae;
    struct store *store;
    bool ok;
    struct err *err;
};

static bool damaged(const struct reading *r, const char *section)
{
    return err_set(r->err, ERR_FORMAT, "%s: the saved effects are damaged (found section '%s', "
                   "expected it as it was written)", r->path, section);
}

/* A section of n records (-1: any number) of a size; NULL and true: it is not there. */
static bool read_section(const struct reading *r, const struct fidx *f, const char *name,
                         size_t record, int64_t n, const void **data, int64_t *count)
{
    struct err e = {0};
    size_t size = 0;
    *data = fidx_section(f, name, &size, &e);
    if (!*data)
        return e.code == ERR_MISSING || damaged(r, name);
    *count = (int64_t)(size / record);
    return (size % record == 0 && (n < 0 || *count == n)) || damaged(r, name);
}

static bool read_scores(const struct reading *r, const struct fidx *f)
{
    const void *data;
    int64_t n = 0;
    if (!read_section(r, f, "scores", sizeof(struct saved_score), -1, &data, &n))
        return false;
    for (int64_t i = 0; i < n; i++) {
        const struct saved_score *one = (const struct saved_score *)data + i;
        struct score_options o = {.baseline = one->page.baseline,
                                  .from_samples = one->from_samples != 0};
        if ((unsigned)one->page.baseline >= SCORE_BASELINE_COUNT ||
            !add_score(r->store, &o, &one->page))
            return damaged(r, "scores");
    }
    return true;
}

static bool read_mode(const struct reading *r, const struct fidx *f, int m)
{
    char name[16];
    const void *data;
    int64_t n = 0;
    snprintf(name, sizeof name, "estimate.%d", m);
    if (!read_section(r, f, name, sizeof(double), r->d_sae, &data, &n))
        return false;
    if (data)
        add_estimate(&r->store->modes[m], data, r->d_sae);
    n = 0;
    snprintf(name, sizeof name, "exact.%d", m);
    if (!read_section(r, f, name, sizeof(struct page_ablation), -1, &data, &n))
        return false;
    for (int64_t i = 0; i < n; i++) {
        const struct page_ablation *one = (const struct page_ablation *)data + i;
        if (one->id < 0 || one->id >= r->d_sae || one->n_worst < 0 ||
            one->n_worst > ABLATE_WORST || !add_exact(&r->store->modes[m], one, r->d_sae))
            return damaged(r, name);
    }
    return true;
}

static bool read_promoted(const struct reading *r, const struct fidx *f)
{
    const void *data;
    int64_t n = 0;
    if (!read_section(r, f, "promoted", sizeof(uint32_t), -1, &data, &n))
        return false;
    if (!data)
        return true;
    int64_t each = n / r->d_sae;
    if (n % r->d_sae != 0 || each < 1 || each > EFFECTS_PROMOTED)
        return damaged(r, "promoted");
    return add_promoted(r->store, data, (int)each, r->d_sae);
}

/* Inside map_guard. */
static void read_file(void *ctx)
{
    struct reading *r = ctx;
    struct fidx *f = fidx_open(r->path, EFFECTS_VERSION, r->err);
    size_t size;
    const char *key = f ? fidx_section(f, "key", &size, r->err) : NULL;
    if (key && (strlen(r->key) != size || memcmp(r->key, key, size) != 0))
        err_set(r->err, ERR_RANGE, "%s: the saved effects are of other inputs (found another key, "
                "expected that of these)", r->path);
    else if (key)
        r->ok = read_scores(r, f) && read_mode(r, f, 0) && read_mode(r, f, 1) &&
                read_promoted(r, f);
    fidx_close(f);
}

/* What is on the disk for this key; nothing if there is none, or none that is whole. */
static void load(const struct effects *e, struct store *out, struct err *err)
{
    struct err own = {0};
    struct reading r = {.path = e->path, .key = e->key, .d_sae = e->d_sae, .store = out,
                        .err = &own};
    if (map_guard(read_file, &r, &own) && r.ok)
        return;
    store_finish(out);
    if (err && own.code != ERR_MISSING)
        *err = own;
}

static bool put(struct fidx_writer *w, const char *name, const void *data, size_t n,
                struct err *err)
{
    return n == 0 || (fidx_begin(w, name, true, err) && fidx_append(w, data, n, err));
}

static bool put_mode(struct fidx_writer *w, const struct mode *m, int number, int64_t d_sae,
                     struct err *err)
{
    char name[16], exact[16];
    snprintf(name, sizeof name, "estimate.%d", number);
    snprintf(exact, sizeof exact, "exact.%d", number);
    return put(w, name, m->estimate, m->estimate ? (size_t)d_sae * sizeof(double) : 0,
               err) &&
           put(w, exact, m->exact, (size_t)m->n * sizeof *m->exact, err);
}

static bool write_file(const struct effects *e, const struct store *s, struct err *err)
{
    size_t promoted = (size_t)e->d_sae * (size_t)s->n_promoted * sizeof *s->promoted;
    struct fidx_writer *w = fidx_create(e->path, EFFECTS_VERSION, err);
    if (!w)
        return false;
    if (put(w, "key", e->key, strlen(e->key), err) &&
        put(w, "scores", s->scores, (size_t)s->n_scores * sizeof *s->scores, err) &&
        put_mode(w, &s->modes[0], 0, e->d_sae, err) &&
        put_mode(w, &s->modes[1], 1, e->d_sae, err) &&
        put(w, "promoted", s->promoted, promoted, err))
        return fidx_commit(w, err);
    fidx_abort(w);
    return false;
}

static bool may_replace(const char *path, struct err *err)
{
    struct stat st;
    return stat(path, &st) != 0 || st.st_size == 0 || fidx_is(path) ||
           err_set(err, ERR_FORMAT, "%s: this file is not overwritten (found another program's, "
                "expected one of saescope)",
                   path);
}

/* ---- open, save, close */

struct effects *effects_open(const char *path, const char *key, int64_t d_sae, bool anew,
                             struct err *err)
{
    struct effects *e = xcalloc(1, sizeof *e);
    e->path = xstrdup(path);
    e->key = xstrdup(key);
    e->d_sae = d_sae;
    pthread_mutex_init(&e->lock, NULL);
    if (path && !anew)
        load(e, &e->store, err);
    return e;
}

void effects_close(struct effects *e)
{
    if (!e)
        return;
    store_finish(&e->store);
    pthread_mutex_destroy(&e->lock);
    free(e->path);
    free(e->key);
    free(e);
}

bool effects_save(struct effects *e, struct err *err)
{
    struct store all = {0};
    if (!e->path)
        return true;
    pthread_mutex_lock(&e->lock);
    uint64_t version = e->version;
    bool fresh = version != e->saved;
    if (fresh)
        store_merge(&all, &e->store, e->d_sae);
    pthread_mutex_unlock(&e->lock);
    if (!fresh)
        return true;
    struct store others = {0};
    bool ok = may_replace(e->path, err);
    if (ok) {
        load(e, &others, NULL);
        store_merge(&all, &others, e->d_sae);
        ok = write_file(e, &all, err);
    }
    if (ok) {
        pthread_mutex_lock(&e->lock);
        e->saved = version;
        pthread_mutex_unlock(&e->lock);
    }
    store_finish(&others);
    store_finish(&all);
    return ok;
}

/* ---- what is there */

uint64_t effects_version(const struct effects *e)
{
    return e->version;
}

bool effects_score(struct effects *e, const struct score_options *options,
                   struct page_score *out)
{
    pthread_mutex_lock(&e->lock);
    const struct saved_score *one = find_score(&e->store, options);
    if (one)
        *out = one->page;
    pthread_mutex_unlock(&e->lock);
    return one != NULL;
}

bool effects_exact(struct effects *e, bool kept, int64_t id, struct page_ablation *out)
{
    assert(id >= 0 && id < e->d_sae);
    pthread_mutex_lock(&e->lock);
    const struct mode *m = &e->store.modes[kept];
    bool there = has_exact(m, id);
    if (there)
        *out = m->exact[m->at[id]];
    pthread_mutex_unlock(&e->lock);
    return there;
}

int effects_promoted(struct effects *e, uint32_t *tokens)
{
    pthread_mutex_lock(&e->lock);
    int n = e->store.n_promoted;
    if (n > 0)
        memcpy(tokens, e->store.promoted,
               (size_t)e->d_sae * (size_t)n * sizeof *tokens);
    pthread_mutex_unlock(&e->lock);
    return n;
}

int64_t effects_columns(struct effects *e, bool kept, double *estimate, double *delta_ce)
{
    pthread_mutex_lock(&e->lock);
    const struct mode *m = &e->store.modes[kept];
    int64_t n = m->n;
    for (int64_t i = 0; i < e->d_sae; i++) {
        if (estimate)
            estimate[i] = m->estimate ? m->estimate[i] : NAN;
        if (delta_ce)
            delta_ce[i] = has_exact(m, i) ? m->exact[m->at[i]].delta_ce : NAN;
    }
    pthread_mutex_unlock(&e->lock);
    return n;
}

struct strength {
    double of;
    int64_t id;
};

static int stronger(const void *x, const void *y)
{
    const struct strength *a = x, *b = y;
    if (a->of != b->of)
        return a->of > b->of ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

int64_t effects_next(struct effects *e, bool kept, int64_t *ids, int64_t max)
{
    struct strength *left = xmalloc((size_t)e->d_sae * sizeof *left);
    int64_t n = 0;
    pthread_mutex_lock(&e->lock);
    const struct mode *m = &e->store.modes[kept];
    for (int64_t i = 0; i < e->d_sae && m->estimate; i++)
        if (!has_exact(m, i))
            left[n++] = (struct strength){fabs(m->estimate[i]), i};
    pthread_mutex_unlock(&e->lock);
    qsort(left, (size_t)n, sizeof *left, stronger);
    n = n < max ? n : max;
    for (int64_t i = 0; i < n; i++)
        ids[i] = left[i].id;
    free(left);
    return n;
}

/* ---- computing what is not */

bool effects_need_score(struct effects *e, const struct effects_inputs *in,
                        const struct score_options *options,
                        const struct progress *progress, struct err *err)
{
    struct page_score page;
    if (effects_score(e, options, &page))
        return true;
    if (!score_run(in->lm, in->hook, in->sae, in->samples, options, progress, &page, err))
        return false;
    pthread_mutex_lock(&e->lock);
    e->version += add_score(&e->store, options, &page);
    pthread_mutex_unlock(&e->lock);
    return true;
}

bool effects_need_estimates(struct effects *e, const struct effects_inputs *in, bool kept,
                            const struct progress *progress, struct err *err)
{
    struct ablate_options options = {.scan = in->scan, .error_kept = kept};
    pthread_mutex_lock(&e->lock);
    bool there = e->store.modes[kept].estimate != NULL;
    pthread_mutex_unlock(&e->lock);
    if (there)
        return true;
    double *estimate = xmalloc((size_t)e->d_sae * sizeof *estimate);
    bool ok = estimate_run(in->lm, in->hook, in->sae, in->samples, &options, progress,
                           estimate, err);
    if (ok) {
        pthread_mutex_lock(&e->lock);
        e->version += add_estimate(&e->store.modes[kept], estimate, e->d_sae);
        pthread_mutex_unlock(&e->lock);
    }
    free(estimate);
    return ok;
}

bool effects_need_exact(struct effects *e, const struct effects_inputs *in, bool kept,
                        const int64_t *ids, int64_t n, const struct progress *progress,
                        struct err *err)
{
    struct ablate_options options = {.scan = in->scan, .error_kept = kept};
    struct page_ablations page = {0};
    struct mode *m = &e->store.modes[kept];
    int64_t *missing = xmalloc((size_t)n * sizeof *missing), count = 0;
    pthread_mutex_lock(&e->lock);
    for (int64_t i = 0; i < n; i++)
        if (!has_exact(m, ids[i]))
            missing[count++] = ids[i];
    pthread_mutex_unlock(&e->lock);
    bool ok = count == 0 || ablate_run(in->lm, in->hook, in->sae, in->samples, missing,
                                       count, &options, progress, &page, err);
    if (ok) {
        pthread_mutex_lock(&e->lock);
        for (int64_t i = 0; i < page.n; i++)
            e->version += add_exact(m, &page.features[i], e->d_sae);
        pthread_mutex_unlock(&e->lock);
    }
    page_ablations_finish(&page);
    free(missing);
    return ok;
}

bool effects_need_promoted(struct effects *e, const struct effects_inputs *in,
                           const struct progress *progress, struct err *err)
{
    pthread_mutex_lock(&e->lock);
    bool there = e->store.promoted != NULL;
    pthread_mutex_unlock(&e->lock);
    if (there)
        return true;
    int64_t vocab = lm_vocab(in->lm);
    int n = vocab < EFFECTS_PROMOTED ? (int)vocab : EFFECTS_PROMOTED;
    uint32_t *tokens = mem_try((size_t)(e->d_sae * n), sizeof *tokens, "promoted tokens",
                               err);
    bool ok = tokens && logitlens_promoted(in->lm, in->sae, n, false, in->scan.threads,
                                           progress, tokens, err);
    if (ok) {
        pthread_mutex_lock(&e->lock);
        e->version += add_promoted(&e->store, tokens, n, e->d_sae);
        pthread_mutex_unlock(&e->lock);
    }
    free(tokens);
    return ok;
}
