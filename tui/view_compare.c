/* view_compare.c - view 5: two checkpoints on one screen; see view_compare.h. */
#include "tui/view_compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/pareto.h"
#include "model/session.h"
#include "tui/wid_hist.h"

const struct sae *compare_sae(const struct view *v, int side)
{
    const struct compare *s = v->state;
    return s->sae[side] >= 0 ? v->session->saes[s->sae[side]].sae : NULL;
}

const struct feature_table *compare_table_of(const struct view *v, int side)
{
    const struct compare *s = v->state;
    return &desk_sae(v->desk, s->sae[side])->table;
}

int compare_side(const struct compare *s)
{
    return s->list == LIST_ONLY_B || s->list == LIST_BORN;
}

/* -- what is known of pairs ------------------------------------------------------------ */

int64_t compare_known(const struct compare *s, int side)
{
    if (!s->top)
        return 0;
    if (s->top->whole)
        return s->top->n[side];
    return side ? 0 : atomic_load_explicit(&s->top->rows, memory_order_acquire);
}

static const struct match_near *candidates(const struct compare *s, int side, int64_t id)
{
    return id >= 0 && id < compare_known(s, side) ? s->top->v[side] + id * MATCH_TOP : NULL;
}

int64_t compare_partner(const struct compare *s, int side, int64_t id)
{
    const struct match_near *best = candidates(s, side, id);

    if (!best)
        return -1;
    switch (s->pairing) {
    case PAIR_ONE: return s->one[side] ? s->one[side][id] : -1;
    case PAIR_SAME: return id < s->top->n[!side] ? id : -1;
    default: return best[0].id;
    }
}

/* Where the figures of a feature are: those of a pairing that goes both ways are A's. */
static const struct pair_figures *find_figures(const struct compare *s, int side, int64_t id)
{
    bool both_ways = s->pairing != PAIR_BEST;
    int64_t at = both_ways && side ? compare_partner(s, side, id) : id;
    struct compare_figures *f = s->figures[s->pairing][both_ways ? 0 : side];

    if (!f || at < 0 || at >= atomic_load_explicit(&f->done, memory_order_acquire))
        return NULL;
    return &f->v[at];
}

struct pair_figures compare_figures_of(const struct compare *s, int side, int64_t id)
{
    const struct match_near *best = candidates(s, side, id);
    const struct pair_figures *known = find_figures(s, side, id);
    struct pair_figures f = known ? *known : PAIR_UNKNOWN;

    if (best && s->pairing == PAIR_BEST)
        f.decoder = best[0].id < 0 ? NAN : best[0].cosine;
    return f;
}

bool compare_is_mutual(const struct compare *s, int side, int64_t id)
{
    const struct match_near *best = candidates(s, side, id);
    const struct match_near *back = best ? candidates(s, !side, best[0].id) : NULL;

    return back && back[0].id == id && best[0].cosine > 0;
}

int compare_close(const struct compare *s, int side, int64_t id)
{
    const struct match_near *best = candidates(s, side, id);
    int n = 0;

    while (best && n < MATCH_TOP && best[n].id >= 0 && (double)best[n].cosine >= s->split)
        n++;
    return n;
}

/* -- what follows from what -------------------------------------------------------------- */

void compare_follow(struct view *v)
{
    struct compare *s = v->state;
    struct compare_table t;
    struct compare_places at = compare_places(v);
    int side = compare_side(s);

    compare_table(v, &t);
    table_fix(&t.table, &s->table, at.list.rows > 1 ? at.list.rows : 2);
    int64_t id = s->n_ids ? (int64_t)s->ids[s->table.cursor] : -1;
    int64_t partner = compare_partner(s, side, id);
    int64_t ids[2] = {side ? partner : id, side ? id : partner};
    v->target.sae = s->sae[side];
    v->target.feature = id;
    for (int k = 0; k < 2; k++)
        if (at.pages[k].rows > 0 && s->sae[k] >= 0)
            pane_ask(v, SLOT_PAGE_A + k, &s->pages[k], s->sae[k], ids[k], s->reading);
}

/* Checkpoints of one training run keep their features' numbers. */
static enum pairing usual_pairing(const struct view *v)
{
    const struct compare *s = v->state;
    const struct session_sae *a = &v->session->saes[s->sae[0]];
    const struct session_sae *b = &v->session->saes[s->sae[1]];
    bool a_step = a->step >= 0 || a->sae->step >= 0, b_step = b->step >= 0 || b->sae->step >= 0;

    return a_step && b_step && a->sae->d_sae == b->sae->d_sae ? PAIR_SAME : PAIR_BEST;
}

static void show_two(struct view *v, int a, int b)
{
    struct compare *s = v->state;

    compare_forget(v, false);
    for (int k = 0; k < 2; k++)
        pane_reset(v, SLOT_PAGE_A + k, &s->pages[k]);
    s->sae[0] = a;
    s->sae[1] = b;
    s->err = (struct err){0};
    s->index[0] = s->index[1] = NULL;
    s->table.cursor = s->table.top = 0;
    if (b >= 0)
        desk_need(v->desk, b);
}

static bool is_version_old(const struct view *v)
{
    const struct compare *s = v->state;

    for (int k = 0; k < 2; k++)
        if (s->sae[k] >= 0 && s->versions[k] != desk_sae(v->desk, s->sae[k])->version)
            return true;
    return s->labels != desk_labels_version(v->desk);
}

static void look_at_tables(struct view *v)
{
    struct compare *s = v->state;

    for (int k = 0; k < 2; k++) {
        s->versions[k] = desk_sae(v->desk, s->sae[k])->version;
        pane_decimals(compare_table_of(v, k), s->decimals[k]);
    }
    s->labels = desk_labels_version(v->desk);
    compare_hist_make(v);
}

/* Unasked only what does not take long; a asks for it. */
static void need_scores(struct view *v)
{
    const struct compare *s = v->state;

    desk_need_lm(v->desk);
    for (int k = 0; k < 2; k++)
        if (desk_score_is_cheap(v->desk, s->sae[k]))
            desk_need_score(v->desk, s->sae[k]);
}

void compare_update(struct view *v)
{
    struct compare *s = v->state;

    if (s->all) {
        compare_all_select(v);
        compare_all_need(v);
        return;
    }
    if (s->sae[1] < 0 || !compare_sae(v, 0) || !compare_sae(v, 1))
        return;
    if (!s->top && !s->err.code)
        compare_check(compare_sae(v, 0), compare_sae(v, 1), &s->err);
    if (!s->pairing_given)
        s->pairing = usual_pairing(v);
    for (int k = 0; k < 2; k++)
        if (s->index[k] != v->session->saes[s->sae[k]].index) {
            s->index[k] = v->session->saes[s->sae[k]].index;
            compare_forget(v, true);
        }
    if (is_version_old(v))
        look_at_tables(v);
    if (!s->err.code) {
        compare_start(v);
        compare_select(v);
    }
    need_scores(v);
}

/* -- life ---------------------------------------------------------------------------------- */

static bool compare_open(struct view *v, struct err *err)
{
    struct compare *s = v->state;

    (void)err;
    s->sae[0] = s->sae[1] = -1;
    s->near = COMPARE_UNMATCHED;
    s->drift = COMPARE_DRIFT;
    s->split = COMPARE_SPLIT;
    s->equal_l0 = PARETO_NEAR;
    s->wanted = -1;
    s->all = v->session && v->session->n_chosen > 2;
    compare_all_sort(s);
    s->one_mean = s->mmcs[0] = s->mmcs[1] = NAN;
    s->of = QUANTITY_COUNT; /* the first that there is */
    s->pages[0] = s->pages[1] = PANE_EMPTY;
    compare_default_sort(s);
    v->target = TARGET_NONE;
    return true;
}

static void compare_changed(struct view *v)
{
    struct compare *s = v->state;

    if (!s->shown || !v->desk || desk_count(v->desk) == 0)
        return;
    int a = desk_current(v->desk), b = desk_partner(v->desk);
    if (a != s->sae[0] || b != s->sae[1])
        show_two(v, a, b);
    compare_update(v);
}

static void compare_go(struct view *v, const struct target *at)
{
    struct compare *s = v->state;

    if (!v->desk || desk_count(v->desk) == 0)
        return;
    desk_go(v->desk, at);
    if (s->turned && desk_current(v->desk) == s->sae[1] && desk_partner(v->desk) == s->sae[0])
        desk_swap(v->desk);
    s->turned = false;
    s->shown = true;
    compare_changed(v);
    if (at->feature >= 0 && at->sae == s->sae[compare_side(s)]) {
        s->wanted = at->feature;
        compare_update(v);
    }
}

static int64_t figures_done(const struct compare *s)
{
    int64_t done = 0;

    for (int p = 0; p < PAIRINGS; p++)
        for (int k = 0; k < 2; k++)
            if (s->figures[p][k])
                done += atomic_load_explicit(&s->figures[p][k]->done, memory_order_acquire);
    return done;
}

static void compare_tick(struct view *v)
{
    struct compare *s = v->state;

    if (!s->shown || s->sae[1] < 0 || s->err.code || s->all)
        return;
    for (int k = 0; k < 2; k++)
        s->pages[k].slow = view_busy(v, SLOT_PAGE_A + k);
    if (!is_version_old(v) && s->seen == compare_known(s, 0) &&
        s->seen_figures == figures_done(s))
        return;
    s->seen = compare_known(s, 0);
    s->seen_figures = figures_done(s);
    compare_update(v);
}

static void compare_loaded(struct view *v, int slot, struct job *job)
{
    struct compare *s = v->state;

    if (slot == SLOT_PAGE_A || slot == SLOT_PAGE_B) {
        pane_loaded(&s->pages[slot - SLOT_PAGE_A], job);
    } else {
        compare_jobs_loaded(v, slot, job);
        compare_update(v);
    }
}

static void compare_close_view(struct view *v)
{
    struct compare *s = v->state;

    compare_top_drop(s->top);
    for (int p = 0; p < PAIRINGS; p++)
        for (int k = 0; k < 2; k++)
            compare_figures_drop(s->figures[p][k]);
    for (int k = 0; k < 2; k++) {
        free(s->one[k]);
        pane_finish(&s->pages[k]);
    }
    compare_hist_finish(s);
    free(s->ids);
    free(s->all_ids);
}

/* -- words ----------------------------------------------------------------------------------- */

static void compare_status(const struct view *v, char *buf, size_t size)
{
    const struct compare *s = v->state;
    struct str text = {0};
    char row[32], rows[32], state[600];

    if (s->all) {
        compare_all_status(v, buf, size);
        return;
    }
    if (s->sae[1] < 0 || s->err.code)
        return;
    count_text(s->n_ids ? s->table.cursor + 1 : 0, row, sizeof row);
    count_text(s->n_ids, rows, sizeof rows);
    str_appendf(&text, "%s/%s", row, rows);
    struct compare_table t;
    compare_table(v, &t);
    if (s->n_ids && s->table.sort >= 0 && s->table.sort < t.table.n_columns)
        str_appendf(&text, " · sort %s %s", t.heads[s->table.sort].title,
                    s->table.ascending ? "↑" : "↓");
    if (s->filter[0])
        str_appendf(&text, " · filter %s", s->filter);
    if (s->pattern[0])
        str_appendf(&text, " · /%s", s->pattern);
    for (int k = 0; k < 2; k++) {
        desk_state_text(v->desk, s->sae[k], state, sizeof state);
        if (state[0])
            str_appendf(&text, " · %c %s", "AB"[k], state);
    }
    snprintf(buf, size, "%s", str_text(&text));
    str_finish(&text);
}

static const char *compare_explain(const struct view *v)
{
    const struct compare *s = v->state;
    int columns[CMP_COLUMNS], n = compare_list_columns(v, columns);

    if (s->focus == COMPARE_HIST)
        return s->of < QUANTITY_COUNT ? quantities[s->of].name : NULL;
    return s->table.column < n ? compare_columns[columns[s->table.column]].title : NULL;
}

const struct view_ops view_compare_ops = {
    .name = "compare",
    .digit = 5,
    .purpose = "two checkpoints side by side: their numbers, and which of their features "
               "belong together",
    .state_size = sizeof(struct compare),
    .keys = compare_keys,
    .terms = compare_terms,
    .options = compare_options,
    .open = compare_open,
    .go = compare_go,
    .loaded = compare_loaded,
    .changed = compare_changed,
    .tick = compare_tick,
    .draw = compare_paint,
    .status = compare_status,
    .act = compare_act,
    .mouse = compare_mouse,
    .answer = compare_answer,
    .word = compare_word,
    .explain = compare_explain,
    .option_get = compare_option_get,
    .option_set = compare_option_set,
    .copy = compare_copy,
    .export = compare_export,
    .close = compare_close_view,
};
