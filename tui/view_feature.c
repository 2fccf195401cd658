/*
 * view_feature.c - view 3: all about one feature; see view_feature.h.
 *
 * A page is made in up to three steps, each of which replaces the one before: what the
 * weights say (only where there is no index, for then the samples take a while), the page
 * without co-occurrence, all of it. Whatever comes first is painted.
 */
#include "tui/view_feature.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/wid_hist.h"

/* -- what is shown --------------------------------------------------------------------- */

const struct sae *feature_sae(const struct view *v)
{
    return v->session->saes[v->target.sae].sae;
}

bool feature_has_samples(const struct view *v)
{
    return v->session->samples && v->session->samples->n_shards > 0;
}

int feature_examples(const struct view *v)
{
    return v->rows >= 40 ? 12 : 5;
}

struct example_list *feature_list(struct feature_view *s, enum pane pane)
{
    if (pane == PANE_TOP)
        return &s->page->top;
    return s->band == PAGE_INTERVALS ? &s->brush : &s->page->intervals[s->band];
}

static struct rows_state *rows_of(struct feature_view *s, enum pane pane)
{
    return pane == PANE_TOP ? &s->top : &s->interval;
}

static void fold_all(struct view *v)
{
    struct feature_view *s = v->state;

    s->shown_context = s->context > 0        ? s->context
                       : v->cols >= 160 ? FEATURE_CONTEXT_WIDE
                                        : FEATURE_CONTEXT;
    examples_fold(&s->brush, s->shown_context);
    if (!s->page)
        return;
    examples_fold(&s->page->top, s->shown_context);
    for (int i = 0; i < PAGE_INTERVALS; i++)
        examples_fold(&s->page->intervals[i], s->shown_context);
}

static double near_value(const struct feature_near *n, int column)
{
    switch (column) {
    case 0: return -(double)n->id;
    case 3: return (double)n->encoder;
    case 4: return n->together;
    default: return (double)n->decoder;
    }
}

/* By the chosen column, greatest first; what is not known comes last. */
static void sort_near(struct feature_view *s)
{
    int n = s->page->n_near < NEAR_ROWS ? s->page->n_near : NEAR_ROWS;
    double sign = s->near_table.ascending ? -1 : 1;

    for (int i = 0; i < n; i++) {
        double x = sign * near_value(&s->page->near[i], s->near_table.sort);
        int at = i;
        for (; at > 0; at--) {
            double y = sign * near_value(&s->page->near[s->near_order[at - 1]],
                                         s->near_table.sort);
            if (!(x > y || (isnan(y) && !isnan(x))))
                break;
            s->near_order[at] = s->near_order[at - 1];
        }
        s->near_order[at] = (uint32_t)i;
    }
}

/* -- jobs ------------------------------------------------------------------------------ */

static struct feature_query query_of(const struct view *v, enum feature_stage stage)
{
    const struct session *session = v->session;

    return (struct feature_query){
        .sae = feature_sae(v),
        .samples = feature_has_samples(v) ? session->samples : NULL,
        .index = session->saes[v->target.sae].index,
        .id = v->target.feature,
        .stage = stage,
        .context = FEATURE_REACH / 2,
        .examples = feature_examples(v),
        .seed = session->options.seed,
        .scan = session_scan_options(session),
    };
}

static void start_page(struct view *v, enum feature_stage stage)
{
    struct feature_query q = query_of(v, stage);

    view_start(v, SLOT_PAGE, LANE_QUICK, &feature_job_new(&q)->job);
}

static bool is_settled(const struct view *v)
{
    enum desk_state state = desk_sae(v->desk, v->target.sae)->state;

    return state != DESK_UNLOADED && state != DESK_LOADING && state != DESK_OPENING;
}

static bool shows_target(const struct view *v)
{
    const struct feature_view *s = v->state;

    return s->page && s->page->p.id == v->target.feature && s->page_sae == v->target.sae;
}

/* See to it that the target is on the screen, or will be. again: even if it is. */
static void load(struct view *v, bool again)
{
    struct feature_view *s = v->state;
    const struct index *index = v->session->saes[v->target.sae].index;

    if (!feature_sae(v) || !is_settled(v) || v->target.feature < 0)
        return;
    if (!again && shows_target(v) && s->page_index == index && v->slots[SLOT_PAGE].err.code == 0)
        return;
    if (shows_target(v) && s->page->stage == STAGE_FULL) /* without going back in between */
        start_page(v, STAGE_FULL);
    else
        start_page(v, index ? STAGE_QUICK : STAGE_WEIGHTS);
}

static void go_to(struct view *v, int64_t id)
{
    const struct sae *sae = feature_sae(v);

    if (sae && id >= sae->d_sae) {
        app_warning(v->app, "there is no feature %lld (0 to %lld)", (long long)id,
                    (long long)sae->d_sae - 1);
        id = v->target.feature < sae->d_sae && v->target.feature >= 0 ? v->target.feature : 0;
    }
    v->target.feature = id < 0 ? 0 : id;
    load(v, false);
}

static void feature_go(struct view *v, const struct target *at)
{
    if (!v->desk)
        return;
    v->target.sae = desk_go(v->desk, at);
    desk_need(v->desk, v->target.sae);
    go_to(v, at->feature >= 0 ? at->feature : v->target.feature);
}

static void feature_changed(struct view *v)
{
    struct feature_view *s = v->state;

    if (!v->desk)
        return;
    v->target.sae = desk_current(v->desk);
    if (s->page && s->page_sae != v->target.sae) {
        feature_page_free(s->page);
        s->page = NULL;
    }
    go_to(v, v->target.feature);
}

/* -- results --------------------------------------------------------------------------- */

static void keep_unfolded(const struct example_list *from, struct example_list *to)
{
    if (from->n == to->n && to->n > 0)
        memcpy(to->unfolded, from->unfolded, (size_t)to->n * sizeof *to->unfolded);
}

/* The same feature, more of it: nothing moves. */
static void keep_place(const struct feature_view *s, struct feature_page *page)
{
    keep_unfolded(&s->page->top, &page->top);
    for (int i = 0; i < PAGE_INTERVALS; i++)
        keep_unfolded(&s->page->intervals[i], &page->intervals[i]);
}

static void begin_anew(struct view *v)
{
    struct feature_view *s = v->state;

    view_start(v, SLOT_BAND, LANE_QUICK, NULL);
    examples_finish(&s->brush);
    s->top = s->interval = (struct rows_state){0};
    s->near_table.cursor = s->near_table.top = 0;
    s->reading = false;
    s->anchor = -1;
    if (s->band == PAGE_INTERVALS)
        s->band = PAGE_INTERVALS / 2;
}

static void take_page(struct view *v, struct feature_job *job)
{
    struct feature_view *s = v->state;
    struct feature_page *page = job->page;

    job->page = NULL;
    if (s->page && s->page->p.id == page->p.id && s->page_sae == v->target.sae)
        keep_place(s, page);
    else
        begin_anew(v);
    feature_page_free(s->page);
    s->page = page;
    s->page_sae = v->target.sae;
    s->page_index = job->query.index;
    fold_all(v);
    sort_near(s);
    if (page->stage == STAGE_WEIGHTS && feature_has_samples(v))
        start_page(v, STAGE_QUICK);
    else if (page->stage == STAGE_QUICK && !v->session->options.quick)
        start_page(v, STAGE_FULL);
}

static void take_band(struct view *v, struct band_job *job)
{
    struct feature_view *s = v->state;

    examples_finish(&s->brush);
    s->brush = job->list;
    job->list = (struct example_list){0};
    s->interval = (struct rows_state){0};
    fold_all(v);
}

static void feature_loaded(struct view *v, int slot, struct job *job)
{
    if (slot == SLOT_PAGE)
        take_page(v, (struct feature_job *)job);
    else
        take_band(v, (struct band_job *)job);
}

/* -- moving between features ------------------------------------------------------------ */

static void step_feature(struct view *v, int64_t step)
{
    const struct sae *sae = feature_sae(v);
    int64_t id = v->target.feature + step;

    if (!sae)
        return;
    if (id < 0 || id >= sae->d_sae)
        app_message(v->app, step < 0 ? "this is the first feature" : "this is the last feature");
    go_to(v, id < 0 ? 0 : id >= sae->d_sae ? sae->d_sae - 1 : id);
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

static void focus(struct view *v, enum pane pane)
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

    focus(v, (enum pane)(((int)s->focus + step % PANE_COUNT + PANE_COUNT) % PANE_COUNT));
}

/* Rows of examples, or of the table with its titles, in the focused pane. */
static int focused_rows(const struct view *v)
{
    const struct feature_view *s = v->state;
    struct place at[PANE_COUNT];

    feature_places(v, at);
    int rows = at[s->focus].rows - 1;
    if (s->focus == PANE_NEIGHBOURS)
        return rows;
    if (s->page && feature_list((struct feature_view *)s, s->focus)->at_start && rows > 3)
        rows--;
    return examples_rows(rows, v->mono);
}

/* Lists of examples move as tables do. */
static bool move_in_list(struct view *v, const struct press *p)
{
    struct feature_view *s = v->state;
    struct rows_state *at = rows_of(s, s->focus);
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
    sort_near(s);
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
    s->stat = to < 0 ? 0 : to >= STAT_COUNT ? STAT_COUNT - 1 : to;
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

static bool move(struct view *v, const struct press *p)
{
    const struct feature_view *s = v->state;

    switch (s->focus) {
    case PANE_STATS: return move_in_stats(v, p);
    case PANE_HIST: return move_in_hist(v, p);
    case PANE_TOP: return p->action != ACT_LEFT && p->action != ACT_RIGHT && move_in_list(v, p);
    case PANE_INTERVAL: return move_in_interval(v, p);
    case PANE_NEIGHBOURS: return move_in_near(v, p);
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
    struct feature_query q = query_of(v, STAGE_FULL);
    q.id = s->page->p.id;
    q.examples = 4 * feature_examples(v);
    struct band_job *job = band_job_new(&q, &s->page->p, s->brush_low, s->brush_high, count);
    examples_finish(&s->brush);
    s->band = PAGE_INTERVALS;
    s->interval = (struct rows_state){0};
    focus(v, PANE_INTERVAL);
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

/* On a folded line: unfold. */
static enum outcome unfold(struct view *v)
{
    struct feature_view *s = v->state;

    if ((s->focus != PANE_TOP && s->focus != PANE_INTERVAL) || !s->page || s->reading)
        return OUT_IGNORED;
    struct example_list *l = feature_list(s, s->focus);
    int line = rows_of(s, s->focus)->cursor;
    if (line >= l->n_lines || l->lines[line].count == 1)
        return OUT_IGNORED;
    while (l->lines[line].count == 0) /* on one of them: back to where they began */
        line--;
    bool *open = &l->unfolded[l->lines[line].example];
    *open = !*open;
    rows_of(s, s->focus)->cursor = line;
    examples_fold(l, s->shown_context);
    return OUT_DONE;
}

static void change_context(struct view *v, int by)
{
    struct feature_view *s = v->state;
    int to = s->shown_context + by;

    s->context = to < 1 ? 1 : to > FEATURE_REACH ? FEATURE_REACH : to;
    fold_all(v);
    s->top.cursor = s->interval.cursor = s->top.top = s->interval.top = 0;
    app_message(v->app, "context %d tokens each side", s->shown_context);
}

static void set_bins(struct feature_view *s, int bins)
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
    struct feature_view *s = v->state;

    switch (p->action) {
    case ACT_OPEN: return open_cursor(v);
    case ACT_BACK: return go_back(v);
    case ACT_OPTIONS: return unfold(v);
    case ACT_PANE_NEXT: cycle(v, p->count); return OUT_DONE;
    case ACT_PANE_PREV: cycle(v, -p->count); return OUT_DONE;
    case ACT_CONTEXT_LESS: change_context(v, s->shown_context > 10 ? -5 : -2); return OUT_DONE;
    case ACT_CONTEXT_MORE: change_context(v, s->shown_context >= 10 ? 5 : 2); return OUT_DONE;
    case ACT_BINS_MORE: set_bins(s, s->bins * 2); return OUT_DONE;
    case ACT_BINS_LESS: set_bins(s, s->bins / 2); return OUT_DONE;
    case ACT_AXIS: next_axis(s); return OUT_DONE;
    default: return move(v, p) ? OUT_DONE : OUT_IGNORED;
    }
}

static void toggle_favourite(struct view *v)
{
    bool on = desk_favourite(v->desk, v->target.sae, v->target.feature);

    desk_set_favourite(v->desk, v->target.sae, v->target.feature, !on);
}

static enum outcome feature_act(struct view *v, const struct press *p)
{
    if (!v->desk || v->target.feature < 0)
        return OUT_IGNORED;
    switch (p->action) {
    case ACT_COLUMN_PREV: step_feature(v, -p->count); return OUT_DONE;
    case ACT_COLUMN_NEXT: step_feature(v, p->count); return OUT_DONE;
    case ACT_RANDOM: open_random(v); return OUT_DONE;
    case ACT_FAVOURITE: toggle_favourite(v); return OUT_DONE;
    case ACT_LABEL:
        view_ask(v, ASK_LABEL, "label", desk_label(v->desk, v->target.sae, v->target.feature));
        return OUT_DONE;
    case ACT_RELOAD:
        desk_retry(v->desk, v->target.sae);
        load(v, true);
        return OUT_DONE;
    default: break;
    }
    if (shows_target(v) && act_on_page(v, p) == OUT_DONE)
        return OUT_DONE;
    if (p->action == ACT_LEFT || p->action == ACT_RIGHT) {
        step_feature(v, p->action == ACT_LEFT ? -p->count : p->count);
        return OUT_DONE;
    }
    return OUT_IGNORED;
}

static bool feature_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    const char *label = desk_label(v->desk, v->target.sae, v->target.feature);
    const char *note = desk_note(v->desk, v->target.sae, v->target.feature);

    if (what == ASK_LABEL)
        return desk_set_label(v->desk, v->target.sae, v->target.feature, text, note) ||
               err_set(err, ERR_OS, "not saved");
    if (what == ASK_COMMAND && strncmp(text, "note", 4) == 0 && (!text[4] || text[4] == ' '))
        return desk_set_label(v->desk, v->target.sae, v->target.feature, label,
                              text + 4 + strspn(text + 4, " ")) ||
               err_set(err, ERR_OS, "not saved");
    if (what == ASK_SEARCH || what == ASK_FILTER)
        return err_set(err, ERR_RANGE, "2 (Features) searches and filters");
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
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
        struct rows_state *at = rows_of(s, pane);
        const struct example_list *l = feature_list(s, pane);
        int line = at->top + (row - (l->at_start && rows > 3)) / (v->mono ? 2 : 1);
        if (line >= 0 && line < l->n_lines)
            at->cursor = line;
    } else if (pane == PANE_NEIGHBOURS) {
        bool opened;
        struct mouse m = {.kind = MOUSE_PRESS, .button = 1, .row = row, .col = col};
        feature_near_table(v, &table);
        table_mouse(&table, &s->near_table, &m, rows, cols, &opened);
        sort_near(s);
    }
}

static enum outcome feature_mouse(struct view *v, const struct mouse *m)
{
    struct feature_view *s = v->state;
    struct place at[PANE_COUNT];

    if (!v->desk || !shows_target(v))
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
        focus(v, pane);
    if (row < 0 || s->reading)
        return OUT_DONE;
    point(v, pane, row, m->col - at[pane].col, at[pane].rows - 1, at[pane].cols);
    if (again && before[0] == s->bin && before[1] == s->top.cursor &&
        before[2] == s->interval.cursor && before[3] == s->near_table.cursor)
        open_cursor(v);
    return OUT_DONE;
}

/* -- words and settings ------------------------------------------------------------------ */

static void feature_status(const struct view *v, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    const struct sae *sae = v->desk ? feature_sae(v) : NULL;
    const char *from = !s->page                   ? ""
                       : s->page->p.from_index  ? ""
                       : s->page->p.has_samples ? " · no index: from the samples"
                                                : " · weights only";
    char of[32];

    if (!sae)
        snprintf(buf, size, "%s", "");
    else
        snprintf(buf, size, "#%lld of %s by number%s%s%s", (long long)v->target.feature,
                 count_text(sae->d_sae, of, sizeof of), from,
                 s->page && s->page->p.warning && !view_busy(v, SLOT_PAGE) ? " · " : "",
                 s->page && s->page->p.warning && !view_busy(v, SLOT_PAGE) ? s->page->p.warning
                                                                          : "");
}

static const char *feature_explain(const struct view *v)
{
    static const char *const of_pane[PANE_COUNT] = {
        [PANE_HIST] = "activation", [PANE_CURVE] = "response", [PANE_TOP] = "top",
        [PANE_INTERVAL] = "interval", [PANE_NEIGHBOURS] = "neighbours"};
    const struct feature_view *s = v->state;

    return s->focus == PANE_STATS ? feature_stat_name[s->stat] : of_pane[s->focus];
}

static const char *feature_word(const struct view *v, enum ask what, int i)
{
    (void)v;
    return what == ASK_COMMAND && i == 0 ? "note" : NULL;
}

static const char *const bin_choices[] = {"10", "20", "40", "80", "160", NULL};
static const char *const scale_choices[] = {"linear", "log", NULL};

static const struct view_option feature_options[] = {
    {"context", "tokens shown to each side of an example; 0: by the width", NULL},
    {"bins", "of the activation histogram", bin_choices},
    {"counts", "axis of the histogram's counts", scale_choices},
    {"values", "axis of the histogram's activations", scale_choices},
    {0},
};

static void feature_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct feature_view *s = v->state;

    switch (i) {
    case 0: snprintf(buf, size, "%d", s->context); break;
    case 1: snprintf(buf, size, "%d", s->bins); break;
    case 2: snprintf(buf, size, "%s", scale_choices[s->log_counts]); break;
    default: snprintf(buf, size, "%s", scale_choices[s->log_values]); break;
    }
}

static bool feature_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct feature_view *s = v->state;
    int choice = -1;
    char *end;

    if (i == 0) {
        long n = strtol(value, &end, 10);
        if (end == value || *end || n < 0 || n > FEATURE_REACH)
            return err_set(err, ERR_USAGE, "context: expected 0 to %d (found \"%s\")",
                           FEATURE_REACH, value);
        s->context = (int)n;
        fold_all(v);
        return true;
    }
    const char *const *choices = feature_options[i].choices;
    for (int j = 0; choices[j]; j++)
        if (strcmp(choices[j], value) == 0)
            choice = j;
    if (choice < 0)
        return err_set(err, ERR_USAGE, "%s: not a choice (found \"%s\")",
                       feature_options[i].name, value);
    if (i == 1)
        set_bins(s, atoi(choices[choice]));
    else
        *(i == 2 ? &s->log_counts : &s->log_values) = choice == 1;
    return true;
}

/* -- the view ---------------------------------------------------------------------------- */

static bool feature_open(struct view *v, struct err *err)
{
    struct feature_view *s = v->state;

    (void)err;
    s->bins = INDEX_BINS;
    s->band = PAGE_INTERVALS / 2;
    s->anchor = -1;
    s->random = 88172645463325252u;
    s->near_table.sort = s->near_table.column = 2;
    v->target.feature = -1;
    focus(v, PANE_TOP);
    fold_all(v);
    return true;
}

static void feature_close(struct view *v)
{
    struct feature_view *s = v->state;

    feature_page_free(s->page);
    examples_finish(&s->brush);
}

static const struct view_key feature_keys[] = {
    {ACT_PANE_NEXT, NULL},
    {ACT_COLUMN_NEXT, "next feature"},
    {ACT_COLUMN_PREV, "previous feature"},
    {ACT_LABEL, "label"},
    {ACT_FAVOURITE, NULL},
    {ACT_OPEN, "open: read an example, examples of a bar, a neighbour"},
    {ACT_CONTEXT_MORE, "context"},
    {ACT_AXIS, "linear or logarithmic counts and values"},
    {ACT_BINS_MORE, "bins"},
    {ACT_SELECT, "in the histogram: begin a range of bars; Enter takes it"},
    {ACT_OPTIONS, "on a line marked ×N: unfold it; else options"},
    {ACT_LEFT, "histogram: bars; intervals: the one below; else the previous feature"},
    {ACT_RIGHT, "the same to the right"},
    {ACT_RANDOM, "random"},
    {ACT_SORT, "neighbours: sort by the chosen column"},
    {ACT_COMMAND, ":note TEXT writes a note"},
    {0},
};

const struct view_ops view_feature_ops = {
    .name = "feature",
    .digit = 3,
    .purpose = "all about one feature",
    .state_size = sizeof(struct feature_view),
    .keys = feature_keys,
    .terms = feature_terms,
    .options = feature_options,
    .open = feature_open,
    .go = feature_go,
    .loaded = feature_loaded,
    .changed = feature_changed,
    .draw = feature_draw,
    .status = feature_status,
    .act = feature_act,
    .mouse = feature_mouse,
    .answer = feature_answer,
    .word = feature_word,
    .explain = feature_explain,
    .option_get = feature_option_get,
    .option_set = feature_option_set,
    .close = feature_close,
};
