/*
 * view_feature.c - view 3: all about one feature; see view_feature.h.
 *
 * A page is made in up to three steps, each of which replaces the one before: what the
 * weights say (only where there is no index, for then the samples take a while), the page
 * without co-occurrence, all of it. Whatever comes first is painted.
 */
#include "tui/features_order.h"
#include "model/session_lm.h"
#include "tui/view_feature.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/wid_hist.h"

/* -- what is shown --------------------------------------------------------------------- */

const struct sae *feature_sae(const struct view *v)
{
    return v->target.sae < v->session->n_saes ? v->session->saes[v->target.sae].sae : NULL;
}

bool feature_has_samples(const struct view *v)
{
    return samples_have_features(v->session->samples);
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

struct rows_state *feature_rows(struct feature_view *s, enum pane pane)
{
    return pane == PANE_TOP ? &s->top : &s->interval;
}

static void keep_in_range(struct feature_view *s, enum pane pane)
{
    struct rows_state *at = feature_rows(s, pane);

    if (at->cursor >= feature_list(s, pane)->n_lines) {
        *at = (struct rows_state){0};
        s->reading = false;
    }
}

void feature_fold(struct view *v)
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
    keep_in_range(s, PANE_TOP);
    keep_in_range(s, PANE_INTERVAL);
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
void feature_sort_near(struct feature_view *s)
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

struct feature_query feature_query(const struct view *v, enum feature_stage stage)
{
    const struct session *session = v->session;
    const struct lm *lm = desk_lm(v->desk);

    return (struct feature_query){
        .sae = feature_sae(v),
        .lm = lm && logitlens_check(lm, feature_sae(v), NULL) ? lm : NULL,
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
    struct feature_query q = feature_query(v, stage);

    view_start(v, SLOT_PAGE, LANE_QUICK, &feature_job_new(&q)->job);
}

static bool is_settled(const struct view *v)
{
    enum desk_state state = desk_sae(v->desk, v->target.sae)->state;

    return state != DESK_UNLOADED && state != DESK_LOADING && state != DESK_OPENING;
}

bool feature_shows_target(const struct view *v)
{
    const struct feature_view *s = v->state;

    return s->page && s->page->p.id == v->target.feature && s->page_sae == v->target.sae;
}

/* See to it that the target is on the screen, or will be. again: even if it is. */
void feature_load(struct view *v, bool again)
{
    struct feature_view *s = v->state;

    if (!feature_sae(v) || !is_settled(v) || v->target.feature < 0)
        return;
    const struct index *index = v->session->saes[v->target.sae].index;
    bool shows = feature_shows_target(v);
    if (!again && shows && s->page_index == index && s->page_lm == desk_lm(v->desk) &&
        v->slots[SLOT_PAGE].err.code == 0)
        return;
    if (shows && s->page->stage == STAGE_FULL) /* without going back in between */
        start_page(v, STAGE_FULL);
    else
        start_page(v, index ? STAGE_QUICK : STAGE_WEIGHTS);
}

void feature_show(struct view *v, int64_t id)
{
    const struct sae *sae = feature_sae(v);

    if (sae && id >= sae->d_sae) {
        app_warning(v->app, "there is no feature %lld (0 to %lld)", (long long)id,
                    (long long)sae->d_sae - 1);
        id = v->target.feature < sae->d_sae && v->target.feature >= 0 ? v->target.feature : 0;
    }
    v->target.feature = id < 0 ? 0 : id;
    feature_take_effects(v);
    feature_load(v, false);
    feature_series_need(v);
}

/* Nothing of one checkpoint is shown with the numbers of another. */
static void set_sae(struct view *v, int sae)
{
    struct feature_view *s = v->state;

    v->target.sae = sae;
    if (s->page && s->page_sae != sae) {
        feature_page_free(s->page);
        s->page = NULL;
    }
}

static void feature_go(struct view *v, const struct target *at)
{
    if (!v->desk || desk_count(v->desk) == 0)
        return;
    set_sae(v, desk_go(v->desk, at));
    desk_need(v->desk, v->target.sae);
    if (session_lm_path(v->session))
        desk_need_effects(v->desk, v->target.sae);
    feature_show(v, at->feature >= 0 ? at->feature : v->target.feature);
}

static void feature_tick(struct view *v)
{
    if (v->desk && v->target.feature >= 0)
        feature_take_effects(v);
}

static void feature_changed(struct view *v)
{
    if (!v->desk || desk_count(v->desk) == 0)
        return;
    set_sae(v, desk_current(v->desk));
    feature_show(v, v->target.feature);
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
    s->worst = 0;
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
    s->page_lm = desk_lm(v->desk);
    feature_take_effects(v);
    feature_fold(v);
    feature_sort_near(s);
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
    feature_fold(v);
}

static void feature_loaded(struct view *v, int slot, struct job *job)
{
    if (slot == SLOT_SERIES)
        feature_series_loaded(v, job);
    else if (slot == SLOT_PAGE)
        take_page(v, (struct feature_job *)job);
    else
        take_band(v, (struct band_job *)job);
}

/* -- words and settings ------------------------------------------------------------------ */

static const char *source_text(const struct view *v)
{
    const struct feature_view *s = v->state;

    if (!s->page || s->page->p.from_index)
        return "";
    return s->page->p.has_samples ? " · no index: from the samples" : "";
}

/* Where it is in the table, if that has been opened; else by number. */
static void feature_status(const struct view *v, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    const struct sae *sae = v->desk ? feature_sae(v) : NULL;
    struct features_order order;
    char row[32], of[32];
    size_t n;

    snprintf(buf, size, "%s", "");
    if (!sae || v->target.feature < 0)
        return;
    bool ordered = features_order(v->app, v->target.sae, v->target.feature, &order) &&
                   order.row >= 0;
    count_text((ordered ? order.row : v->target.feature) + 1, row, sizeof row);
    count_text(ordered ? order.n : sae->d_sae, of, sizeof of);
    n = (size_t)snprintf(buf, size, "#%lld · %s/%s by %s%s", (long long)v->target.feature, row,
                         of, ordered ? order.text : "number", source_text(v));
    if (n < size && s->page && s->page->p.warning && !view_busy(v, SLOT_PAGE))
        snprintf(buf + n, size - n, " · %s", s->page->p.warning);
}

static bool set_label(struct view *v, const char *label, const char *note, struct err *err)
{
    return desk_set_label(v->desk, v->target.sae, v->target.feature, label, note) ||
           err_set(err, ERR_OS, "not saved");
}

static bool feature_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    int64_t id = v->target.feature;
    bool is_note = what == ASK_COMMAND && strncmp(text, "note", 4) == 0 &&
                   (!text[4] || text[4] == ' ');

    if (what == ASK_LABEL && id >= 0)
        return set_label(v, text, desk_note(v->desk, v->target.sae, id), err);
    if (is_note && id >= 0)
        return set_label(v, desk_label(v->desk, v->target.sae, id),
                         text + 4 + strspn(text + 4, " "), err);
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
}

static const char *feature_explain(const struct view *v)
{
    static const char *const of_pane[PANE_COUNT] = {
        [PANE_HIST] = "activation", [PANE_CURVE] = "response", [PANE_TOP] = "top",
        [PANE_INTERVAL] = "interval", [PANE_NEIGHBOURS] = "neighbours",
        [PANE_ABLATE] = "ablation"};
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
        feature_fold(v);
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
        feature_set_bins(s, atoi(choices[choice]));
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
    feature_focus(v, PANE_TOP);
    feature_fold(v);
    return true;
}

static void feature_close(struct view *v)
{
    struct feature_view *s = v->state;

    feature_page_free(s->page);
    examples_finish(&s->brush);
    feature_series_free(s->series);
}

static const struct view_key feature_keys[] = {
    {ACT_PANE_NEXT, NULL},
    {ACT_COLUMN_NEXT, "next feature"},
    {ACT_COLUMN_PREV, "previous feature"},
    {ACT_LABEL, "label|edit the label"},
    {ACT_FAVOURITE, NULL},
    {ACT_OPEN, "open: read an example, examples of a bar, a neighbour"},
    {ACT_CONTEXT_MORE, "context"},
    {ACT_AXIS, "linear or logarithmic counts and values"},
    {ACT_BINS_MORE, "bins"},
    {ACT_SELECT, "range|in the histogram: begin a range of bars; Enter takes it"},
    {ACT_OPTIONS, "unfold|on a line marked ×N: unfold it; else options"},
    {ACT_LEFT, "histogram: bars; intervals: the one below; else the previous feature"},
    {ACT_RIGHT, "the same to the right"},
    {ACT_ABLATE, "ablate|what taking the feature out does to the loss, exactly"},
    {ACT_SWAP, "mode|ablation: the other mode"},
    {ACT_PARTS, "what the activation at the token of an example is made of"},
    {ACT_RANDOM, "random"},
    {ACT_SORT, "neighbours: sort by the chosen column"},
    {ACT_WRITE, "to a .json file all of it, to a .tsv file the table of the pane"},
    {ACT_COMMAND, "note|:note TEXT writes a note"},
    {0},
};

const struct view_ops view_feature_ops = {
    .name = "feature",
    .digit = 3,
    .purpose = "all about one feature",
    .searched_in = "features",
    .state_size = sizeof(struct feature_view),
    .keys = feature_keys,
    .terms = feature_terms,
    .options = feature_options,
    .open = feature_open,
    .go = feature_go,
    .loaded = feature_loaded,
    .changed = feature_changed,
    .tick = feature_tick,
    .draw = feature_draw,
    .status = feature_status,
    .act = feature_act,
    .mouse = feature_mouse,
    .answer = feature_answer,
    .word = feature_word,
    .explain = feature_explain,
    .option_get = feature_option_get,
    .option_set = feature_option_set,
    .copy = feature_copy,
    .export = feature_export,
    .close = feature_close,
};
