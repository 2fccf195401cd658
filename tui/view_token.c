/*
 * view_token.c - what the activation at one token is made of: x = b_dec + features + error.
 *
 * A view without a tab: v opens it from an example of view 3 and from the positions and
 * the text of view 7. The parts are sorted, and what all up to each come to together is a
 * curve. Left and right go to the tokens beside it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/contributions.h"
#include "model/session_lm.h"
#include "tui/desk.h"
#include "tui/out.h"
#include "tui/view.h"
#include "tui/wid_hist.h"
#include "tui/wid_line.h"
#include "tui/wid_table.h"
#include "tui/wid_tokens.h"

enum { SLOT_PARTS, HEAD_ROWS = 3, CONTEXT = 24 /* tokens to each side */ };

enum token_column {
    TCOL_PART, TCOL_NAME, TCOL_ACTIVATION, TCOL_NORM, TCOL_PROJECTION, TCOL_SHARE,
    TCOL_CUMULATIVE, TCOL_LEFT,
    TCOL_COUNT
};

struct token_view {
    struct page_contributions page; /* owned; parts NULL: nothing yet */
    int64_t page_token;             /* of which token, */
    int page_sae;                   /* which checkpoint */
    float *x, *cumulative, *left;   /* [page.n] owned: the curve */
    struct table_state table;
};

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
    return v->session->samples && v->session->samples->n_shards > 0;
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

static bool is_shown(const struct view *v)
{
    const struct token_view *s = v->state;

    return s->page.parts && s->page_token == v->target.token && s->page_sae == v->target.sae;
}

static void token_go(struct view *v, const struct target *at)
{
    if (!v->desk || desk_count(v->desk) == 0)
        return;
    v->target.sae = desk_go(v->desk, at);
    desk_need(v->desk, v->target.sae);
    if (at->token >= 0 && v->session->samples && at->token < v->session->samples->n_tok)
        v->target.token = at->token;
    if (!is_shown(v))
        start(v);
}

static void token_changed(struct view *v)
{
    if (!v->desk || desk_count(v->desk) == 0)
        return;
    v->target.sae = desk_current(v->desk);
    if (!is_shown(v) && !view_busy(v, SLOT_PARTS))
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

/* -- painting -------------------------------------------------------------------------- */

static void part_text(const struct contribution *p, char *buf, size_t size)
{
    if (p->kind == PART_FEATURE)
        snprintf(buf, size, "#%lld", (long long)p->id);
    else
        snprintf(buf, size, "%s", part_kind_names[p->kind]);
}

static void put_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ctx;
    const struct token_view *s = v->state;
    const struct contribution *p = &s->page.parts[row];
    bool is_label = false;
    char text[32];

    switch (column) {
    case TCOL_PART:
        part_text(p, text, sizeof text);
        table_cell_text(c, ALIGN_RIGHT, p->kind == PART_ERROR ? INK_WARNING : INK_VALUE, text);
        break;
    case TCOL_NAME:
        if (p->kind == PART_FEATURE) {
            const char *name = desk_name(v->desk, s->page_sae, p->id, &is_label);
            table_cell_text(c, ALIGN_LEFT, is_label ? INK_NOTE : INK_TEXT, name);
        }
        break;
    case TCOL_ACTIVATION: table_cell_number(c, (double)p->activation, 4, INK_VALUE); break;
    case TCOL_NORM: table_cell_number(c, p->norm, 4, INK_VALUE); break;
    case TCOL_PROJECTION:
        table_cell_number(c, p->projection, 4, p->projection < 0 ? INK_NEGATIVE : INK_VALUE);
        break;
    case TCOL_SHARE:
        snprintf(text, sizeof text, isnan(p->share) ? "·" : "%.1f %%", 100 * p->share);
        table_cell_text(c, ALIGN_RIGHT, INK_VALUE, text);
        break;
    case TCOL_CUMULATIVE: canvas_hbar(c, 0, 0, c->cols, p->cumulative, INK_BAR); break;
    default: table_cell_number(c, p->left, 3, INK_DIM); break;
    }
}

static struct table table_of(const struct view *v)
{
    static const struct table_column columns[TCOL_COUNT] = {
        [TCOL_PART] = {"part", 8, 0, ALIGN_RIGHT, 0, false},
        [TCOL_NAME] = {"name", 10, 2, ALIGN_LEFT, 2, false},
        [TCOL_ACTIVATION] = {"activation", 10, 0, ALIGN_RIGHT, 3, false},
        [TCOL_NORM] = {"|c|", 8, 0, ALIGN_RIGHT, 1, true},
        [TCOL_PROJECTION] = {"along x", 8, 0, ALIGN_RIGHT, 2, true},
        [TCOL_SHARE] = {"share", 8, 0, ALIGN_RIGHT, 1, false},
        [TCOL_CUMULATIVE] = {"together", 10, 1, ALIGN_LEFT, 2, false},
        [TCOL_LEFT] = {"left", 7, 0, ALIGN_RIGHT, 4, false},
    };
    const struct token_view *s = v->state;

    return (struct table){.columns = columns, .n_columns = TCOL_COUNT, .ctx = v,
                          .n_rows = is_shown(v) ? s->page.n : 0, .cell = put_cell,
                          .empty = "nothing yet"};
}

static void paint_text(const struct view *v, struct canvas *c)
{
    const struct samples *samples = v->session->samples;
    int64_t position = samples_position(samples, v->target.token);
    int64_t first = position > CONTEXT ? position - CONTEXT : 0;
    int64_t end = position + CONTEXT + 1 < samples->seq_len ? position + CONTEXT + 1
                                                           : samples->seq_len;
    int64_t ids[2 * CONTEXT + 1];
    struct token_piece pieces[2 * CONTEXT + 1];
    struct tokens_run run = {.pieces = pieces, .n = (int)(end - first),
                             .lit = (int)(position - first), .cursor = -1, .max = 1};

    if (!samples->tokens)
        return;
    samples_ids(samples, v->target.token - position + first, end - first, ids);
    for (int i = 0; i < run.n; i++) {
        pieces[i].bytes = desk_token_bytes(v->desk, ids[i], &pieces[i].len);
        pieces[i].activation = 0;
    }
    tokens_paint_line(c, 0, &run);
}

static void paint_head(const struct view *v, struct canvas *c)
{
    const struct token_view *s = v->state;
    const struct samples *samples = v->session->samples;
    struct canvas text = canvas_sub(c, 0, 1, 1, c->cols - 2);

    paint_text(v, &text);
    int at = canvas_printf(c, 1, 1, INK_TITLE | STYLE_BOLD, "token %lld:%lld",
                           (long long)samples_sequence(samples, v->target.token),
                           (long long)samples_position(samples, v->target.token)) + 2;
    if (is_shown(v))
        canvas_printf(c, 1, at, INK_TEXT, "|x| %.4g · %lld active features · x = b_dec + their "
                      "contributions + error", s->page.norm, (long long)s->page.l0);
}

static void paint_curve(const struct view *v, struct canvas *c)
{
    const struct token_view *s = v->state;
    struct plot_series series[] = {
        {s->x, s->cumulative, (int)s->page.n + 1, true, INK_BAR, "share of x together"},
        {s->x, s->left, (int)s->page.n + 1, true, INK_BAR_2, "|x - these| / |x|"},
    };
    struct plot plot = {.series = series, .n_series = 2, .x_label = "parts", .cursor_series = 0,
                        .cursor = (int)s->table.cursor + 1, .zero_lines = true};

    canvas_rule(c, 0, "share together, and what is left", INK_TITLE);
    struct canvas in = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    plot_paint(&in, &plot);
}

/* Columns of the table; the curve stands right of it where there is room. */
static int table_cols(int cols)
{
    return cols >= 110 ? cols * 3 / 5 : cols;
}

static void token_draw(const struct view *v, struct canvas *c)
{
    const struct token_view *s = v->state;
    int cols = table_cols(c->cols);

    if (!v->desk || desk_count(v->desk) == 0 || v->target.token < 0) {
        canvas_wrap(c, 0, INK_DIM, "no token has been chosen: v does, on an example of a feature "
                                   "and on a position or token of the view score");
        return;
    }
    paint_head(v, c);
    struct canvas in = canvas_sub(c, HEAD_ROWS, 0, c->rows - HEAD_ROWS, cols);
    if (!is_shown(v)) {
        if (!view_paint_missing(v, SLOT_PARTS, &in))
            canvas_wrap(&in, 0, INK_DIM, "opening");
        return;
    }
    struct table t = table_of(v);
    table_paint(&in, &t, &s->table, true);
    if (cols < c->cols) {
        struct canvas right = canvas_sub(c, HEAD_ROWS, cols + 1, c->rows - HEAD_ROWS,
                                         c->cols - cols - 1);
        paint_curve(v, &right);
        canvas_vline(c, HEAD_ROWS, cols, c->rows - HEAD_ROWS, INK_RULE);
    }
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
        if (is_shown(v))
            open_part(v);
        return OUT_DONE;
    default: break;
    }
    t = table_of(v);
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
    t = table_of(v);
    inside.row -= HEAD_ROWS;
    if (!table_mouse(&t, &s->table, &inside, v->rows - HEAD_ROWS, table_cols(v->cols), &opened))
        return OUT_IGNORED;
    s->table.ascending = false;
    if (s->table.sort != sort)
        start(v);
    else if (opened && is_shown(v))
        open_part(v);
    return OUT_DONE;
}

/* -- words, copies, files ---------------------------------------------------------------- */

static void token_status(const struct view *v, char *buf, size_t size)
{
    const struct token_view *s = v->state;

    if (is_shown(v))
        snprintf(buf, size, "%lld/%lld · by %s", (long long)s->table.cursor + 1,
                 (long long)s->page.n,
                 order_of(s) == CONTRIBUTIONS_NORM ? "length" : "projection on x");
}

static const char *token_explain(const struct view *v)
{
    const struct token_view *s = v->state;

    return table_of(v).columns[s->table.column].title;
}

static void put_part(struct out *o, const struct contribution *p)
{
    out_begin(o, NULL);
    out_text(o, "kind", part_kind_names[p->kind]);
    if (p->id >= 0)
        out_int(o, "id", p->id);
    else
        out_null(o, "id");
    out_num(o, "activation", (double)p->activation);
    out_num(o, "norm", p->norm);
    out_num(o, "projection", p->projection);
    out_num(o, "share", p->share);
    out_num(o, "cumulative", p->cumulative);
    out_num(o, "left", p->left);
    out_end(o);
}

static bool token_export(const struct view *v, enum export_format format, FILE *f,
                         struct err *err)
{
    const struct token_view *s = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV,
                                  .table = "parts"};
    size_t len;

    if (!v->desk || !is_shown(v))
        return err_set(err, ERR_MISSING, "nothing to write yet");
    struct out *o = out_new(&options);
    out_int(o, "sequence", samples_sequence(v->session->samples, s->page_token));
    out_int(o, "position", samples_position(v->session->samples, s->page_token));
    out_num(o, "norm", s->page.norm);
    out_int(o, "l0", s->page.l0);
    out_rows(o, "parts", "kind,id,activation,norm,projection,share,cumulative,left");
    for (int64_t k = 0; k < s->page.n; k++)
        put_part(o, &s->page.parts[k]);
    out_end(o);
    const char *text = out_finish(o, &len);
    fwrite(text, 1, len, f); /* the caller asks ferror */
    out_free(o);
    return true;
}

static char *token_copy(const struct view *v, bool all)
{
    const struct token_view *s = v->state;
    struct str out = {0};
    char part[32];

    if (!v->desk || !is_shown(v))
        return NULL;
    for (int64_t k = 0; k < s->page.n; k++) {
        const struct contribution *p = &s->page.parts[k];
        if (!all && k != s->table.cursor)
            continue;
        part_text(p, part, sizeof part);
        str_appendf(&out, "%s%s\t%.6g\t%.6g\t%.6g\t%.6g", out.len ? "\n" : "", part, p->norm,
                    p->projection, p->share, p->cumulative);
    }
    return str_take(&out);
}

/* -- the view ---------------------------------------------------------------------------- */

static const struct view_key keys[] = {
    {ACT_OPEN, "open the feature"},
    {ACT_LEFT, "the token before"},
    {ACT_RIGHT, "the next token"},
    {ACT_COLUMN_NEXT, NULL},
    {ACT_SORT, "sort by length or by projection"},
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
