/* view_cosine_jobs.c - what view 6 computes; see view_cosine.h. */
#include <stdlib.h>

#include "io/mem.h"
#include "model/session.h"
#include "tui/view_cosine.h"

/* Below so many multiplications it is done before one has looked twice, and need not wait
 * for a scan. */
#define QUICK_WORK 4e10
/* Cosines that a part on the screen may cost; margins are left out above. */
#define PART_PAIRS ((int64_t)1 << 22)

/* ---- what is held in common --------------------------------------------------------- */

static void release_source(struct cosine_source *s)
{
    if (!s || atomic_fetch_sub(&s->holders, 1) > 1)
        return;
    page_cosine_finish(&s->page);
    mixtures_finish(&s->mixtures);
    free(s);
}

void cosine_map_release(struct cosine_map *m)
{
    if (!m || atomic_fetch_sub(&m->holders, 1) > 1)
        return;
    heat_finish(&m->heat);
    release_source(m->source);
    free(m);
}

static struct cosine_map *hold(struct cosine_map *m)
{
    atomic_fetch_add(&m->holders, 1);
    return m;
}

/* A map of a source that is held from now on; with no heat yet. */
static struct cosine_map *map_new(struct cosine_source *source)
{
    struct cosine_map *m = xcalloc(1, sizeof *m);

    atomic_store(&m->holders, 1);
    m->source = source;
    atomic_fetch_add(&source->holders, 1);
    return m;
}

/* ---- the jobs ------------------------------------------------------------------------ */

struct cosine_job {
    struct job job;
    const struct session *session;
    int threads;
    struct cosine_subject subject;
    enum cosine_order order;
    bool looked;
    struct cosine_map *map;   /* held: the one to go on with, or the one made */
    struct heat_window window;
    struct heat_blocks part;
};

static void cosine_job_free(struct job *job)
{
    struct cosine_job *j = (struct cosine_job *)job;

    cosine_map_release(j->map);
    heat_blocks_finish(&j->part);
    free(j);
}

/* The directions that stand as columns; *file is to be closed afterwards. */
static bool find_against(const struct cosine_job *j, const struct progress *p,
                         struct cosine_against *against, struct mat *rows,
                         struct container **file, struct err *err)
{
    const struct session *s = j->session;

    against->weights = j->subject.weights;
    if (j->subject.kind == AGAINST_SELF)
        return true;
    if (j->subject.kind == AGAINST_SAE) {
        *rows = *cosine_rows(s->saes[j->subject.other].sae, j->subject.weights);
        against->path = s->saes[j->subject.other].path;
    } else {
        const struct tensor *t = cosine_open_rows(session_truth(s), p, file, err);
        if (!t)
            return false;
        *rows = mat_of(t, false);
        against->path = container_path(*file);
    }
    against->rows = rows;
    return true;
}

/* Rows of length 1, the row of b_dec, and a map that is still empty. */
static bool rows_run(struct job *job, const struct progress *p, struct err *err)
{
    struct cosine_job *j = (struct cosine_job *)job;
    struct cosine_source *source = xcalloc(1, sizeof *source);
    struct cosine_against against = {0};
    struct container *file = NULL;
    struct mat rows;

    atomic_store(&source->holders, 1);
    source->subject = j->subject;
    bool ok = find_against(j, p, &against, &rows, &file, err) &&
              page_cosine_begin(j->session->saes[j->subject.sae].sae, &against, &source->page,
                                err);
    container_close(file);
    if (ok) {
        j->map = map_new(source);
        ok = heat_init(&j->map->heat, &source->page.decoder,
                       source->page.self ? NULL : &source->page.other, NULL, NULL, err);
    }
    release_source(source);
    return ok;
}

/* All cosines: their map, and the first time also what is known of them beside it. */
static bool look_run(struct job *job, const struct progress *p, struct err *err)
{
    struct cosine_job *j = (struct cosine_job *)job;
    struct cosine_source *s = j->map->source;

    if (!heat_sample(&j->map->heat, j->threads, p, err))
        return false;
    if (j->looked)
        return heat_compute(&j->map->heat, j->threads, p, err);
    return page_cosine_look(&s->page, j->threads, p, heat_tile, &j->map->heat, err) &&
           (s->subject.kind != AGAINST_TRUTH ||
            mixtures_make(&s->page, j->threads, p, &s->mixtures, err));
}

static bool cluster(const struct cosine_job *j, const struct page_cosine *page, int64_t *row_at,
                    int64_t *column_at, const struct progress *p, struct err *err)
{
    return heat_order_cluster(&page->decoder, j->threads, p, row_at, err) &&
           (page->self || heat_order_cluster(&page->other, j->threads, p, column_at, err));
}

/* j->map is the one before; it is replaced by the same source in another order. */
static bool order_run(struct job *job, const struct progress *p, struct err *err)
{
    struct cosine_job *j = (struct cosine_job *)job;
    struct cosine_map *m = map_new(j->map->source);
    const struct page_cosine *page = &m->source->page;
    int64_t *row_at = NULL, *column_at = NULL;
    bool ok = true;

    m->order = j->order;
    if (j->order != ORDER_ID) {
        row_at = mem_try((size_t)page->rows, sizeof *row_at, "the order", err);
        column_at = page->self ? NULL : mem_try((size_t)page->columns, sizeof *column_at,
                                                "the order", err);
        ok = row_at && (page->self || column_at);
    }
    if (ok && j->order == ORDER_MATCH)
        heat_order_match(page, row_at, column_at);
    else if (ok && j->order == ORDER_CLUSTER)
        ok = cluster(j, page, row_at, column_at, p, err);
    if (!ok) {
        free(row_at);
        free(column_at);
    }
    ok = ok && heat_init(&m->heat, &page->decoder, page->self ? NULL : &page->other, row_at,
                         column_at, err);
    cosine_map_release(j->map);
    j->map = m;
    return ok;
}

static bool part_run(struct job *job, const struct progress *p, struct err *err)
{
    struct cosine_job *j = (struct cosine_job *)job;
    const struct heat_window *w = &j->window;

    return heat_part(&j->map->heat, w->row, w->column, w->n_r * w->block_r,
                     w->n_c * w->block_c, w->block_r, w->block_c, j->threads, p, &j->part,
                     err);
}

static const struct job_ops rows_ops = {"rows", rows_run, cosine_job_free};
static const struct job_ops look_ops = {"cosines", look_run, cosine_job_free};
static const struct job_ops order_ops = {"order", order_run, cosine_job_free};
static const struct job_ops part_ops = {"finer cells", part_run, cosine_job_free};

/* ---- starting them ------------------------------------------------------------------- */

static struct cosine_job *new_job(struct view *v, const struct job_ops *ops)
{
    struct cosine *s = v->state;
    struct cosine_job *j = job_new(ops, sizeof *j);

    j->session = v->session;
    j->threads = v->session->options.threads;
    j->subject = s->want;
    j->order = s->order;
    return j;
}

static enum lane lane_of(const struct heat *h)
{
    double work = (double)h->a.rows * (double)h->b.rows * (double)h->a.cols;
    return work <= QUICK_WORK ? LANE_QUICK : LANE_LONG;
}

void cosine_start_rows(struct view *v)
{
    view_start(v, COSINE_SLOT_PART, LANE_QUICK, NULL);
    view_start(v, COSINE_SLOT_MAP, LANE_QUICK, &new_job(v, &rows_ops)->job);
}

void cosine_start_look(struct view *v)
{
    struct cosine *s = v->state;
    struct cosine_job *j = new_job(v, &look_ops);

    j->map = hold(s->map);
    j->looked = s->map->source->looked;
    view_start(v, COSINE_SLOT_MAP, lane_of(&s->map->heat), &j->job);
}

void cosine_start_order(struct view *v)
{
    struct cosine *s = v->state;
    struct cosine_job *j = new_job(v, &order_ops);
    const struct page_cosine *page = &s->map->source->page;

    j->map = hold(s->map);
    int64_t most = page->rows > page->columns ? page->rows : page->columns;
    if (j->order == ORDER_CLUSTER && most > HEAT_CLUSTER_MAX) {
        j->order = ORDER_MATCH;
        if (s->map->order == ORDER_MATCH) {
            cosine_job_free(&j->job);
            return;
        }
    }
    view_start(v, COSINE_SLOT_MAP, lane_of(&s->map->heat), &j->job);
}

static bool covers(const struct heat_window *a, const struct heat_window *b)
{
    return a->block_r == b->block_r && a->block_c == b->block_c && a->row <= b->row &&
           a->column <= b->column &&
           a->row + a->n_r * a->block_r >= b->row + b->n_r * b->block_r &&
           a->column + a->n_c * a->block_c >= b->column + b->n_c * b->block_c;
}

/* As much again on every side, if that is not too much to compute. */
static struct heat_window with_margins(const struct heat_window *w)
{
    struct heat_window m = *w;
    int64_t pairs = w->n_r * w->n_c * w->block_r * w->block_c;

    if (pairs > PART_PAIRS / 9)
        return m;
    int64_t up = m.n_r * m.block_r, aside = m.n_c * m.block_c;
    m.n_r += (up < m.row ? up : m.row) / m.block_r + w->n_r;
    m.n_c += (aside < m.column ? aside : m.column) / m.block_c + w->n_c;
    m.row -= up < m.row ? up : m.row;
    m.column -= aside < m.column ? aside : m.column;
    return m;
}

void cosine_need_part(struct view *v)
{
    struct cosine *s = v->state;

    if (!s->map || v->rows < 1)
        return;
    const struct heat_blocks *b = &s->map->heat.blocks;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    struct heat_window w = cosine_window(s, &l);
    bool finer = w.block_r < b->block_r || w.block_c < b->block_c;
    bool coming = s->part.mean || view_busy(v, COSINE_SLOT_PART); /* not so after ^C */
    if (!finer || w.n_r * w.n_c < 1 || (coming && covers(&s->asked, &w)))
        return;
    struct cosine_job *j = new_job(v, &part_ops);
    j->map = hold(s->map);
    j->window = s->asked = with_margins(&w);
    view_start(v, COSINE_SLOT_PART, LANE_QUICK, &j->job);
}

/* ---- taking what they made ------------------------------------------------------------- */

static void forget_part(struct cosine *s)
{
    heat_blocks_finish(&s->part);
    s->asked = (struct heat_window){0};
}

/* Another map: of another source from its beginning, in another order at the same cell. */
static void adopt(struct view *v, struct cosine_map *m)
{
    struct cosine *s = v->state;
    struct cosine_map *before = s->map;
    bool same = before && before->source == m->source;
    int64_t row = same ? heat_row(&before->heat, s->row) : -1;
    int64_t column = same ? heat_column(&before->heat, s->column) : -1;

    forget_part(s);
    s->map = hold(m);
    if (same) {
        cosine_go_to(v, row, column);
    } else {
        s->row = s->column = s->top = s->left = 0;
        s->list = (struct table_state){.sort = -1};
        s->truths = (struct table_state){.sort = -1};
        s->pane = COSINE_MAP;
    }
    cosine_map_release(before);
    cosine_sort_lists(v);
}

void cosine_loaded(struct view *v, int slot, struct job *job)
{
    struct cosine *s = v->state;
    struct cosine_job *j = (struct cosine_job *)job;

    if (slot == COSINE_SLOT_PART) {
        heat_blocks_finish(&s->part);
        if (j->map == s->map) {
            s->part = j->part;
            j->part = (struct heat_blocks){0};
        }
    } else if (job->ops == &look_ops) {
        j->map->is_complete = true;
        j->map->source->looked = true;
        cosine_sort_lists(v);
        if (s->order != j->map->order)
            cosine_start_order(v);
    } else {
        adopt(v, j->map);
        cosine_start_look(v);
    }
    cosine_settle(v);
}
