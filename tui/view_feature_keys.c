/* view_feature_keys.c - what keys and the mouse do in view 3; see view_feature.h. */
#include <math.h>
#include <stdio.h>

#include "tui/features_order.h"
#include "tui/view_feature.h"
#include "tui/wid_hist.h"

/* -- moving between features ------------------------------------------------------------ */

/* In the order of the table of features when that has been opened, else by number. */
static void step_feature(struct view *v, int64_t step)
{
    const struct sae *sae = feature_sae(v);
    struct features_order order;

    if (!sae)
        return;
    bool ordered = features_order(v->app, v->target.sae, v->target.feature, &order) &&
                   order.row >= 0;
    int64_t n = ordered ? order.n : sae->d_sae;
    int64_t to = (ordered ? order.row : v->target.feature) + step;
    if (to < 0 || to >= n)
        app_message(v->app, step < 0 ? "this is the first feature" : "this is the last feature");
    to = to < 0 ? 0 : to >= n ? n - 1 : to;
    feature_show(v, ordered ? (int64_t)order.ids[to] : to);
}

/* One that is alive, if one is found soon. */
static void open_random(struct view *v)
{
    struct feature_view *s = v->state;
    const struct desk_sae *d = desk_sae(v->desk, v->target.sae);
    struct target at = v->target;
    const struct sae *sae = feature_sae(v);

    if (!sae)
        return;
    for (int tries = 0; tries < 64; tries++) {
        s->random = s->random * 6364136223846793005u + 1442695040888963407u;
        at.feature = (int64_t)((s->random >> 33) % (uint64_t)sae->d_sae);
        if (!d->table.v[FCOL_ACTIVE] || d->table.v[FCOL_ACTIVE][at.feature] > 0)
            break;
    }
    app_open(v->app, "feature", &at);
}

/* -- within panes ----------------------------------------------------------------------- */

void feature_focus(struct view *v, enum pane pane)
{
    struct feature_view *s = v->state;

    s->focus = pane;
    s->visited[pane] = ++s->visits;
    s->reading = false;
    s->anchor = -1;
}

static void cycle(struct view *v, int step)
{
    struct feature_view *s = v->state;

    int n = feature_has_model(v) ? PANE_COUNT : PANE_ABLATE; /* which is the last */

    feature_focus(v, (enum pane)(((int)s->focus + step % n + n) % n));
}

/* Rows of examples, or of the table with its titles, in the focused pane. */
static int focused_rows(const struct view *v)
{
    const struct feature_view *s = v->state;
    struct place at[PANE_COUNT];

    feature_places(v, at);
    int rows = at[s->focus].rows - 1;
    if (s->focus == PANE_NEIGHBOURS || s->focus == PANE_ABLATE)
        return rows;
    if (s->page && feature_list((struct feature_view *)s, s->focus)->at_start && rows > 3)
        rows--;
    return examples_rows(rows, v->mono);
}

/* Lists of examples move as tables do. */
static bool move_in_list(struct view *v, const struct press *p)
{
    struct feature_view *s = v->state;
    struct rows_state *at = feature_rows(s, s->focus);
    struct table table = {.n_rows = feature_list(s, s->focus)->n_lines};
    struct table_state t = {.cursor = at->cursor, .top = at->top, .sort = -1};

    if (!table_act(&table, &t, p, focused_rows(v) + 1))
        return false;
    at->cursor = (int)t.cursor;
    at->top = (int)t.top;
    return true;
}

static bool move_in_near(struct view *v, const struct press *p)
{
    struct feature_view *s = v->state;
    struct table table;
    struct press press = *p;

    if (p->action == ACT_LEFT || p->action == ACT_RIGHT)
        press.action = p->action == ACT_LEFT ? ACT_COLUMN_PREV : ACT_COLUMN_NEXT;
    feature_near_table(v, &table);
    if (!table_act(&table, &s->near_table, &press, focused_rows(v)))
        return false;
    feature_sort_near(s);
    return true;
}

static bool move_in_stats(struct view *v, const struct press *p)
{
    struct feature_view *s = v->state;
    int to = s->stat;

    switch (p->action) {
    case ACT_UP: to -= p->count; break;
    case ACT_DOWN: to += p->count; break;
    case ACT_FIRST: to = 0; break;
    case ACT_LAST: to = STAT_COUNT - 1; break;
    default: return false;
    }
    to = to < 0 ? 0 : to >= STAT_COUNT ? STAT_COUNT - 1 : to;
    int by = to >= s->stat && p->action != ACT_LAST ? 1 : -1; /* past those not there */
    for (int k = 0; k < STAT_COUNT && !feature_stat_is_there(v, to); k++) {
        to += by;
        if (to < 0 || to >= STAT_COUNT)
            return true;
    }
    s->stat = to;
    return true;
}

static bool move_in_hist(struct view *v, const struct press *p)
{
    struct feature_view *s = v->state;
    int to = s->bin;

    switch (p->action) {
    case ACT_LEFT:
    case ACT_UP: to -= p->count; break;
    case ACT_RIGHT:
    case ACT_DOWN: to += p->count; break;
    case ACT_FIRST: to = 0; break;
    case ACT_LAST: to = s->bins - 1; break;
    case ACT_SELECT: s->anchor = s->anchor >= 0 ? -1 : s->bin; return true;
    default: return false;
    }
    s->bin = to < 0 ? 0 : to >= s->bins ? s->bins - 1 : to;
    return true;
}

/* In circles through the intervals, and the brushed one if there is one. */
static bool move_in_interval(struct view *v, const struct press *p)
{
    struct feature_view *s = v->state;
    int n = PAGE_INTERVALS + (s->brush_high > 0 && s->brush.n > 0), step = p->count % n;

    if (p->action != ACT_LEFT && p->action != ACT_RIGHT)
        return move_in_list(v, p);
    s->band = (s->band + (p->action == ACT_LEFT ? n - step : step)) % n;
    s->interval = (struct rows_state){0};
    s->reading = false;
    return true;
}

static bool move_in_worst(struct view *v, const struct press *p)
{
    struct feature_view *s = v->state;
    int n = s->has_exact[s->kept] ? s->exact[s->kept].n_worst : 0, to = s->worst;

    switch (p->action) {
    case ACT_UP: to -= p->count; break;
    case ACT_DOWN: to += p->count; break;
    case ACT_FIRST: to = 0; break;
    case ACT_LAST: to = n - 1; break;
    default: return false;
    }
    s->worst = to >= n ? (n > 0 ? n - 1 : 0) : to < 0 ? 0 : to;
    return true;
}

static bool move(struct view *v, const struct press *p)
{
    const struct feature_view *s = v->state;

    switch (s->focus) {
    case PANE_STATS: return move_in_stats(v, p);
    case PANE_HIST: return move_in_hist(v, p);
    case PANE_TOP: return p->action != ACT_LEFT && p->action != ACT_RIGHT && move_in_list(v, p);
    case PANE_INTERVAL: return move_in_interval(v, p);
    case PANE_NEIGHBOURS: return move_in_near(v, p);
    case PANE_ABLATE: return move_in_worst(v, p);
    default: return false;
    }
}

/* -- actions ---------------------------------------------------------------------------- */

static void brush(struct view *v)
{
    struct feature_view *s = v->state;
    int64_t counts[FEATURE_BINS] = {0}, count = 0;
    int first = s->anchor >= 0 && s->anchor < s->bin ? s->anchor : s->bin;
    int last = s->anchor > s->bin ? s->anchor : s->bin;
    struct wid_hist h = {.n_bins = s->bins};

    if (s->page->p.count <= 0)
        return;
    feature_bins(s, counts, &h.lo, &h.hi);
    for (int i = first; i <= last; i++)
        count += counts[i];
    s->brush_low = wid_hist_edge(&h, first);
    s->brush_high = wid_hist_edge(&h, last + 1);
    if (s->log_values) { /* the least is in the first bin, which has no lower end */
        s->brush_low = first == 0 ? 0 : pow(10, s->brush_low);
        s->brush_high = pow(10, s->brush_high);
    }
    if (last == s->bins - 1)
        s->brush_high = s->page->p.max;
    s->brush_count = count;
    struct feature_query q = feature_query(v, STAGE_FULL);
    q.id = s->page->p.id;
    q.examples = 4 * feature_examples(v);
    struct band_job *job = band_job_new(&q, &s->page->p, s->brush_low, s->brush_high, count);
    examples_finish(&s->brush);
    s->band = PAGE_INTERVALS;
    s->interval = (struct rows_state){0};
    feature_focus(v, PANE_INTERVAL);
    view_start(v, SLOT_BAND, LANE_QUICK, &job->job);
}

static enum outcome open_cursor(struct view *v)
{
    struct feature_view *s = v->state;
    struct target at = v->target;

    switch (s->focus) {
    case PANE_HIST: brush(v); return OUT_DONE;
    case PANE_TOP:
    case PANE_INTERVAL:
        s->reading = !s->reading && feature_list(s, s->focus)->n_lines > 0;
        return OUT_DONE;
    case PANE_NEIGHBOURS:
        if (s->page->n_near == 0)
            return OUT_DONE;
        at.feature = s->page->near[s->near_order[s->near_table.cursor]].id;
        app_open(v->app, "feature", &at);
        return OUT_DONE;
    default: return OUT_IGNORED;
    }
}

static enum outcome go_back(struct view *v)
{
    struct feature_view *s = v->state;

    if (!s->reading && s->anchor < 0)
        return OUT_IGNORED;
    s->reading = false;
    s->anchor = -1;
    return OUT_DONE;
}

/* What the activation at the token of an example, or of a position, is made of. */
static void open_parts(struct view *v)
{
    struct feature_view *s = v->state;
    const struct page_ablation *e = &s->exact[s->kept];
    struct target at = TARGET_NONE;
    enum pane pane = s->focus == PANE_INTERVAL ? PANE_INTERVAL : PANE_TOP;

    at.sae = v->target.sae;
    if (s->focus == PANE_ABLATE && s->has_exact[s->kept] && e->n_worst > 0) {
        const struct ablate_worst *w = &e->worst[s->worst];
        at.token = w->sequence * v->session->samples->seq_len + w->position;
    } else if (feature_list(s, pane)->n_lines > 0) {
        const struct example_list *l = feature_list(s, pane);
        at.token = l->v[l->lines[feature_rows(s, pane)->cursor].example].e.token;
    }
    if (at.token >= 0)
        app_open(v->app, "token", &at);
    else
        app_message(v->app, "no example is under the cursor");
}

/* On a folded line: unfold. */
static enum outcome unfold(struct view *v)
{
    struct feature_view *s = v->state;

    if ((s->focus != PANE_TOP && s->focus != PANE_INTERVAL) || !s->page || s->reading)
        return OUT_IGNORED;
    struct example_list *l = feature_list(s, s->focus);
    int line = feature_rows(s, s->focus)->cursor;
    if (line >= l->n_lines || l->lines[line].count == 1)
        return OUT_IGNORED;
    while (l->lines[line].count == 0) /* on one of them: back to where they began */
        line--;
    bool *open = &l->unfolded[l->lines[line].example];
    *open = !*open;
    feature_rows(s, s->focus)->cursor = line;
    examples_fold(l, s->shown_context);
    return OUT_DONE;
}

static void change_context(struct view *v, int by)
{
    struct feature_view *s = v->state;
    int to = s->shown_context + by;

    s->context = to < 1 ? 1 : to > FEATURE_REACH ? FEATURE_REACH : to;
    feature_fold(v);
    s->top.cursor = s->interval.cursor = s->top.top = s->interval.top = 0;
    app_message(v->app, "context %d tokens each side", s->shown_context);
}

void feature_set_bins(struct feature_view *s, int bins)
{
    if (bins < 10 || bins > FEATURE_BINS)
        return;
    s->bin = s->bin * bins / s->bins;
    s->anchor = -1;
    s->bins = bins;
}

/* Linear, counts logarithmic, values too, values alone. */
static void next_axis(struct feature_view *s)
{
    bool counts = s->log_counts;

    s->log_counts = !s->log_values;
    s->log_values = counts;
    s->anchor = -1;
}

static enum outcome act_on_page(struct view *v, const struct press *p)
{
    switch (p->action) {
    case ACT_OPEN: return open_cursor(v);
    case ACT_BACK: return go_back(v);
    case ACT_OPTIONS: return unfold(v);
    case ACT_PARTS: open_parts(v); return OUT_DONE;
    default: return move(v, p) ? OUT_DONE : OUT_IGNORED;
    }
}

static void toggle_favourite(struct view *v)
{
    bool on = desk_favourite(v->desk, v->target.sae, v->target.feature);

    desk_set_favourite(v->desk, v->target.sae, v->target.feature, !on);
}

/* How things are shown, whatever is. */
static bool change_look(struct view *v, enum action action, int count)
{
    struct feature_view *s = v->state;

    switch (action) {
    case ACT_PANE_NEXT: cycle(v, count); return true;
    case ACT_PANE_PREV: cycle(v, -count); return true;
    case ACT_CONTEXT_LESS: change_context(v, s->shown_context > 10 ? -5 : -2); return true;
    case ACT_CONTEXT_MORE: change_context(v, s->shown_context >= 10 ? 5 : 2); return true;
    case ACT_BINS_MORE: feature_set_bins(s, s->bins * 2); return true;
    case ACT_BINS_LESS: feature_set_bins(s, s->bins / 2); return true;
    case ACT_AXIS: next_axis(s); return true;
    default: return false;
    }
}

enum outcome feature_act(struct view *v, const struct press *p)
{
    if (!v->desk || v->target.feature < 0)
        return OUT_IGNORED;
    switch (p->action) {
    case ACT_COLUMN_PREV: step_feature(v, -p->count); return OUT_DONE;
    case ACT_COLUMN_NEXT: step_feature(v, p->count); return OUT_DONE;
    case ACT_RANDOM: open_random(v); return OUT_DONE;
    case ACT_ABLATE: feature_ablate(v); return OUT_DONE;
    case ACT_SWAP: feature_other_mode(v); return OUT_DONE;
    case ACT_FAVOURITE: toggle_favourite(v); return OUT_DONE;
    case ACT_LABEL:
        view_ask(v, ASK_LABEL, "label", desk_label(v->desk, v->target.sae, v->target.feature));
        return OUT_DONE;
    case ACT_RELOAD:
        desk_retry(v->desk, v->target.sae);
        feature_load(v, true);
        return OUT_DONE;
    default: break;
    }
    if (change_look(v, p->action, p->count) ||
        (feature_shows_target(v) && act_on_page(v, p) == OUT_DONE))
        return OUT_DONE;
    if (p->action == ACT_LEFT || p->action == ACT_RIGHT) {
        step_feature(v, p->action == ACT_LEFT ? -p->count : p->count);
        return OUT_DONE;
    }
    return OUT_IGNORED;
}

/* -- mouse ------------------------------------------------------------------------------ */

static enum pane pane_at(const struct place at[PANE_COUNT], int row, int col)
{
    for (int i = 0; i < PANE_COUNT; i++)
        if (row >= at[i].row && row < at[i].row + at[i].rows && col >= at[i].col &&
            col < at[i].col + at[i].cols)
            return (enum pane)i;
    return PANE_COUNT;
}

/* (row, col) within the pane, below its title. */
static void point(struct view *v, enum pane pane, int row, int col, int rows, int cols)
{
    struct feature_view *s = v->state;
    struct table table;

    if (pane == PANE_HIST) {
        struct wid_hist h = {.n_bins = s->bins};
        int bin = wid_hist_bin_at(&h, rows, cols, col);
        s->bin = bin >= 0 ? bin : s->bin;
    } else if (pane == PANE_TOP || pane == PANE_INTERVAL) {
        struct rows_state *at = feature_rows(s, pane);
        const struct example_list *l = feature_list(s, pane);
        int line = at->top + (row - (l->at_start && rows > 3)) / (v->mono ? 2 : 1);
        if (line >= 0 && line < l->n_lines)
            at->cursor = line;
    } else if (pane == PANE_NEIGHBOURS) {
        bool opened;
        struct mouse m = {.kind = MOUSE_PRESS, .button = 1, .row = row, .col = col};
        feature_near_table(v, &table);
        table_mouse(&table, &s->near_table, &m, rows, cols, &opened);
        feature_sort_near(s);
    }
}

enum outcome feature_mouse(struct view *v, const struct mouse *m)
{
    struct feature_view *s = v->state;
    struct place at[PANE_COUNT];

    if (!v->desk || !feature_shows_target(v))
        return OUT_IGNORED;
    feature_places(v, at);
    enum pane pane = pane_at(at, m->row, m->col);
    if (pane == PANE_COUNT)
        return OUT_IGNORED;
    if (m->kind == MOUSE_WHEEL) {
        enum pane before = s->focus;
        s->focus = pane;
        move(v, &(struct press){.action = m->button < 0 ? ACT_UP : ACT_DOWN, .count = 3});
        s->focus = before;
        return OUT_DONE;
    }
    if (m->kind != MOUSE_PRESS || m->button != 1)
        return OUT_IGNORED;
    int row = m->row - at[pane].row - (pane != PANE_STATS);
    bool again = s->focus == pane;
    int64_t before[] = {s->bin, s->top.cursor, s->interval.cursor, s->near_table.cursor};
    if (!again)
        feature_focus(v, pane);
    if (row < 0 || s->reading)
        return OUT_DONE;
    point(v, pane, row, m->col - at[pane].col, at[pane].rows - 1, at[pane].cols);
    if (again && before[0] == s->bin && before[1] == s->top.cursor &&
        before[2] == s->interval.cursor && before[3] == s->near_table.cursor)
        open_cursor(v);
    return OUT_DONE;
}
