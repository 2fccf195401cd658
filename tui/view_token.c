/*
 * view_token.c - what the activation at one token is made of: x = b_dec + features + error.
 *
 * A view without a tab: v opens it from an example of view 3 and from the positions and
 * the text of view 7. The parts are sorted, and what all up to each come to together is a
 * curve. Left and right go to the tokens beside it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "io/mem.h"
#include "model/session_lm.h"
#include "tui/view_token.h"

/* -- the job --------------------------------------------------------------------------- */

struct token_job {
    struct job job;
    const struct sae *sae;         /* borrowed, as the others */
    const struct samples *samples;
    const struct lm *lm;           /* NULL where there are samples */
    struct lm_hook hook;
    int64_t token;
    int i, threads;
    enum contributions_order order;
    struct page_contributions page; /* owned until taken */
};

static bool token_run(struct job *job, const struct progress *p, struct err *err)
{
    struct token_job *j = (struct token_job *)job;
    float *x = xmalloc((size_t)j->sae->d_in * sizeof *x);
    bool ok = contributions_x(j->samples, j->lm, j->lm ? &j->hook : NULL, j->sae->d_in,
                              samples_sequence(j->samples, j->token),
                              samples_position(j->samples, j->token), p, x, err) &&
              contributions_make(j->sae, x, j->order, j->threads, p, &j->page, err);

    free(x);
    return ok;
}

static void token_free(struct job *job)
{
    page_contributions_finish(&((struct token_job *)job)->page);
    free(job);
}

static const struct job_ops token_ops = {"parts", token_run, token_free};

static enum contributions_order order_of(const struct token_view *s)
{
    return s->table.sort == TCOL_PROJECTION ? CONTRIBUTIONS_PROJECTION : CONTRIBUTIONS_NORM;
}

static bool has_samples(const struct view *v)
{
    return samples_have_inputs(v->session->samples);
}

/* Have the parts of the target made, as soon as what they need is open. */
static void start(struct view *v)
{
    const struct token_view *s = v->state;
    const struct sae *sae = v->session->saes[v->target.sae].sae;
    struct lm_hook hook = {0};
    const struct lm *lm = NULL;

    if (!sae || v->target.token < 0)
        return;
    if (!has_samples(v)) {
        desk_need_lm(v->desk);
        lm = desk_lm_at(v->desk, v->target.sae, &hook, NULL);
        if (!lm && desk_lm_state(v->desk) != DESK_LM_FAILED)
            return;
    }
    struct token_job *j = job_new(&token_ops, sizeof *j);
    j->sae = sae;
    j->samples = v->session->samples;
    j->lm = lm;
    j->hook = hook;
    j->token = v->target.token;
    j->i = v->target.sae;
    j->threads = v->session->options.threads;
    j->order = order_of(s);
    view_start(v, SLOT_PARTS, LANE_QUICK, &j->job);
}

static void make_curve(struct token_view *s)
{
    size_t n = (size_t)s->page.n;

    s->x = xreallocarray(s->x, n + 1, sizeof *s->x);
    s->cumulative = xreallocarray(s->cumulative, n + 1, sizeof *s->cumulative);
    s->left = xreallocarray(s->left, n + 1, sizeof *s->left);
    s->x[0] = s->cumulative[0] = 0;
    s->left[0] = 1;
    for (size_t k = 0; k < n; k++) {
        s->x[k + 1] = (float)(k + 1);
        s->cumulative[k + 1] = (float)s->page.parts[k].cumulative;
        s->left[k + 1] = (float)s->page.parts[k].left;
    }
}

static void token_loaded(struct view *v, int slot, struct job *job)
{
    struct token_view *s = v->state;
    struct token_job *j = (struct token_job *)job;

    (void)slot; /* there is one */
    page_contributions_finish(&s->page);
    s->page = j->page;
    j->page = (struct page_contributions){0};
    s->page_token = j->token;
    s->page_sae = j->i;
    s->table.cursor = s->table.top = 0;
    make_curve(s);
}

/* -- life ------------------------------------------------------------------------------ */

static bool token_open(struct view *v, struct err *err)
{
    struct token_view *s = v->state;

    (void)err;
    v->target = TARGET_NONE;
    s->table.sort = s->table.column = TCOL_NORM;
    return true;
}

static void token_go(struct view *v, const struct target *at)
{
    if (!v->desk || desk_count(v->desk) == 0)
        return;
    v->target.sae = desk_go(v->desk, at);
    desk_need(v->desk, v->target.sae);
    if (at->token >= 0 && v->session->samples && at->token < v->session->samples->n_tok)
        v->target.token = at->token;
    if (!token_is_shown(v))
        start(v);
}

static void token_changed(struct view *v)
{
    if (!v->desk || desk_count(v->desk) == 0)
        return;
    v->target.sae = desk_current(v->desk);
    if (!token_is_shown(v) && !view_busy(v, SLOT_PARTS))
        start(v);
}

static void token_close(struct view *v)
{
    struct token_view *s = v->state;

    page_contributions_finish(&s->page);
    free(s->x);
    free(s->cumulative);
    free(s->left);
}

/* -- keys ------------------------------------------------------------------------------ */

static void step(struct view *v, int64_t by)
{
    const struct samples *samples = v->session->samples;
    int64_t position = samples_position(samples, v->target.token);

    if (position + by < 0 || position + by >= samples->seq_len ||
        v->target.token + by >= samples->n_tok) {
        app_message(v->app, "the sequence ends here");
        return;
    }
    v->target.token += by;
    start(v);
}

static void open_part(struct view *v)
{
    const struct token_view *s = v->state;
    const struct contribution *p = &s->page.parts[s->table.cursor];
    struct target at = TARGET_NONE;

    if (p->kind != PART_FEATURE)
        return;
    at.sae = s->page_sae;
    at.feature = p->id;
    app_open(v->app, "feature", &at);
}

static enum outcome token_act(struct view *v, const struct press *p)
{
    struct token_view *s = v->state;
    struct table t;
    int sort = s->table.sort;

    if (!v->desk || desk_count(v->desk) == 0 || v->target.token < 0)
        return OUT_IGNORED;
    switch (p->action) {
    case ACT_LEFT: step(v, -p->count); return OUT_DONE;
    case ACT_RIGHT: step(v, p->count); return OUT_DONE;
    case ACT_RELOAD: start(v); return OUT_DONE;
    case ACT_OPEN:
        if (token_is_shown(v))
            open_part(v);
        return OUT_DONE;
    default: break;
    }
    t = token_table(v);
    if (p->action == ACT_INVERT || !table_act(&t, &s->table, p, v->rows - HEAD_ROWS))
        return OUT_IGNORED;
    s->table.ascending = false; /* greatest first: that is what adds up */
    if (s->table.sort != sort)
        start(v);
    return OUT_DONE;
}

static enum outcome token_mouse(struct view *v, const struct mouse *m)
{
    struct token_view *s = v->state;
    struct mouse inside = *m;
    struct table t;
    bool opened = false;
    int sort = s->table.sort;

    if (!v->desk || desk_count(v->desk) == 0 || v->target.token < 0 || m->row < HEAD_ROWS)
        return OUT_IGNORED;
    t = token_table(v);
    inside.row -= HEAD_ROWS;
    if (!table_mouse(&t, &s->table, &inside, v->rows - HEAD_ROWS, token_table_cols(v->cols), &opened))
        return OUT_IGNORED;
    s->table.ascending = false;
    if (s->table.sort != sort)
        start(v);
    else if (opened && token_is_shown(v))
        open_part(v);
    return OUT_DONE;
}

/* -- words ---------------------------------------------------------------------------- */

static void token_status(const struct view *v, char *buf, size_t size)
{
    const struct token_view *s = v->state;

    if (token_is_shown(v))
        snprintf(buf, size, "%lld/%lld · by %s", (long long)s->table.cursor + 1,
                 (long long)s->page.n,
                 order_of(s) == CONTRIBUTIONS_NORM ? "length" : "projection on x");
}

static const char *token_explain(const struct view *v)
{
    const struct token_view *s = v->state;

    return token_table(v).columns[s->table.column].title;
}

/* -- the view ---------------------------------------------------------------------------- */

static const struct view_key keys[] = {
    {ACT_OPEN, "open the feature"},
    {ACT_LEFT, "token before|the token before"},
    {ACT_RIGHT, "next token|the next token"},
    {ACT_COLUMN_NEXT, NULL},
    {ACT_SORT, "sort|sort by length or by projection"},
    {ACT_WRITE, NULL},
    {ACT_NONE, NULL},
};

static const struct view_term terms[] = {
    {"part", "b_dec, a feature's contribution (what x_hat loses when it is taken out), or the "
             "error x - x_hat. They add up to x."},
    {"name", "The feature's label, or the tokens that it fires on."},
    {"activation", "Of the feature at this token."},
    {"|c|", "Length of the part."},
    {"along x", "Projection of the part on x: c.x / |x|."},
    {"share", "c.x / |x|^2. The shares of all parts add up to 1; a part that points away from x "
              "has one below 0."},
    {"together", "Shares of all parts up to this one."},
    {"left", "|x - these parts| / |x|."},
    {NULL, NULL},
};

const struct view_ops view_token_ops = {
    .name = "token",
    .digit = 0,
    .purpose = "what the activation at one token is made of",
    .searched_in = "features",
    .state_size = sizeof(struct token_view),
    .keys = keys,
    .terms = terms,
    .open = token_open,
    .go = token_go,
    .loaded = token_loaded,
    .changed = token_changed,
    .draw = token_draw,
    .status = token_status,
    .act = token_act,
    .mouse = token_mouse,
    .explain = token_explain,
    .copy = token_copy,
    .export = token_export,
    .close = token_close,
};
