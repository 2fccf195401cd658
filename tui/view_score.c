/*
 * view_score.c - view 7: what the language model loses with the SAE in its place, and
 * without each of its features; see view_score.h.
 *
 * Where it takes no time worth asking for, the score, the estimates of all features and
 * the exact effects of the strongest are computed as soon as the view is shown; else keys
 * do. What there is stands in the table at once.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/view_score.h"

enum { STRONGEST = 32 };

/* -- what is computed unasked ---------------------------------------------------------- */

static bool has_estimates(const struct view *v)
{
    const struct feature_table *t = &desk_sae(v->desk, v->target.sae)->table;
    const struct score_view *s = v->state;
    const double *x = t->v[s->kept ? FCOL_ESTIMATE_KEPT : FCOL_ESTIMATE];

    return x && t->n > 0 && !isnan(x[0]);
}

/* The strongest of a checkpoint and mode, once, unless there are as many already. */
static void begin(struct view *v)
{
    struct score_view *s = v->state;
    int sae = v->target.sae;
    struct effects *effects = desk_effects(v->desk, sae);

    if (s->begun_sae != sae)
        s->begun[0] = s->begun[1] = false;
    s->begun_sae = sae;
    if (!effects || s->begun[s->kept] || v->session->options.quick ||
        !desk_score_is_cheap(v->desk, sae))
        return;
    s->begun[s->kept] = true;
    desk_need_score(v->desk, sae);
    int64_t n = effects_columns(effects, s->kept, NULL, NULL);
    if (n < s->strongest)
        desk_ablate_strongest(v->desk, sae, s->kept, s->strongest - n);
    else if (!has_estimates(v))
        desk_need_estimates(v->desk, sae, s->kept);
}

/* -- life ------------------------------------------------------------------------------ */

static bool score_open(struct view *v, struct err *err)
{
    struct score_view *s = v->state;

    (void)err;
    v->target.feature = -1;
    s->focus = FOCUS_TABLE;
    s->table.sort = s->table.column = SCOL_EFFECT;
    s->strongest = STRONGEST;
    s->begun_sae = -1;
    return true;
}

static void refresh(struct view *v)
{
    desk_need(v->desk, v->target.sae);
    desk_need_lm(v->desk);
    desk_need_effects(v->desk, v->target.sae);
    begin(v);
    score_sort(v);
}

static void score_go(struct view *v, const struct target *at)
{
    struct score_view *s = v->state;

    if (!v->desk || desk_count(v->desk) == 0)
        return;
    v->target.sae = desk_go(v->desk, at);
    if (at->feature >= 0) {
        v->target.feature = at->feature;
        s->moved = true;
    }
    refresh(v);
}

static void score_changed(struct view *v)
{
    if (!v->desk || desk_count(v->desk) == 0)
        return;
    v->target.sae = desk_current(v->desk);
    refresh(v);
}

static void score_tick(struct view *v)
{
    const struct score_view *s = v->state;

    if (v->desk && desk_count(v->desk) && s->version != desk_sae(v->desk, v->target.sae)->version)
        score_sort(v);
}

static void score_loaded(struct view *v, int slot, struct job *job)
{
    (void)slot; /* there is one */
    score_text_loaded(v, job);
}

static void score_close(struct view *v)
{
    struct score_view *s = v->state;

    free(s->ids);
    score_text_finish(&s->text);
}

/* -- keys ------------------------------------------------------------------------------ */

/* Those selected, or the one under the cursor; in the numbers: the score. */
static void compute(struct view *v)
{
    const struct score_view *s = v->state;
    int sae = v->target.sae;
    int64_t d_sae = desk_sae(v->desk, sae)->table.n, n = 0, *ids;

    if (!desk_score(v->desk, sae)->known)
        desk_score_again(v->desk, sae);
    if (s->focus == FOCUS_NUMBERS || v->target.feature < 0)
        return;
    ids = xmalloc((size_t)(desk_selected_count(v->desk, sae) + 1) * sizeof *ids);
    for (int64_t i = 0; i < d_sae; i++)
        if (desk_selected(v->desk, sae, i))
            ids[n++] = i;
    if (n == 0)
        ids[n++] = v->target.feature;
    desk_ablate(v->desk, sae, s->kept, ids, n);
    free(ids);
}

static void other_mode(struct view *v)
{
    struct score_view *s = v->state;

    s->kept = !s->kept;
    begin(v);
    score_sort(v);
    app_message(v->app, s->kept ? "x without the feature's contribution, against x"
                                : "x_hat without the feature's contribution, against x_hat");
}

static bool move_in_table(struct view *v, const struct press *p)
{
    struct score_view *s = v->state;
    struct table t = score_table(v);
    struct table_state before = s->table;
    struct place at[FOCUS_COUNT];

    score_places(v, at);
    if (!table_act(&t, &s->table, p, at[FOCUS_TABLE].rows))
        return false;
    if (s->table.sort != before.sort || s->table.ascending != before.ascending) {
        s->moved = false;
        score_sort(v);
    } else {
        s->moved |= s->table.cursor != before.cursor;
        score_follow(v);
    }
    return true;
}

/* Steps in a list of n. */
static bool move_in(int *cursor, int n, const struct press *p)
{
    int to = *cursor;

    switch (p->action) {
    case ACT_UP:
    case ACT_LEFT: to -= p->count; break;
    case ACT_DOWN:
    case ACT_RIGHT: to += p->count; break;
    case ACT_FIRST: to = 0; break;
    case ACT_LAST: to = n - 1; break;
    default: return false;
    }
    *cursor = to >= n ? n > 0 ? n - 1 : 0 : to < 0 ? 0 : to;
    return true;
}

static bool move(struct view *v, const struct press *p)
{
    struct score_view *s = v->state;

    switch (s->focus) {
    case FOCUS_NUMBERS: return move_in(&s->number, NUMBER_COUNT, p);
    case FOCUS_WORST:
        if (s->text.shown)
            return score_text_act(v, p);
        return move_in(&s->worst, s->has_exact ? s->exact.n_worst : 0, p);
    default: return move_in_table(v, p);
    }
}

static void select_row(struct view *v)
{
    int sae = v->target.sae;

    if (v->target.feature < 0)
        return;
    desk_select(v->desk, sae, v->target.feature,
                !desk_selected(v->desk, sae, v->target.feature));
    move_in_table(v, &(struct press){.action = ACT_DOWN, .count = 1});
}

/* The feature; in the list of positions: the text around one, and back. */
static void open_cursor(struct view *v)
{
    struct score_view *s = v->state;
    const struct ablate_worst *w = &s->exact.worst[s->worst];
    bool any = s->has_exact && s->exact.n_worst > 0;

    if (v->target.feature < 0)
        return;
    if (s->focus != FOCUS_WORST)
        app_open(v->app, "feature", &v->target);
    else if (s->text.shown)
        s->text.shown = false;
    else
        score_text_show(v, any ? w->sequence : 0, any ? w->position : 0);
}

/* Of the token whose prediction changes: of the list, or under the cursor in the text. */
static void open_parts(struct view *v)
{
    const struct score_view *s = v->state;
    const struct ablate_worst *w = &s->exact.worst[s->worst];
    struct target at = TARGET_NONE;
    int64_t T = v->session->samples ? v->session->samples->seq_len : 0;

    at.sae = v->target.sae;
    if (s->text.shown)
        at.token = s->text.sequence * T + s->text.cursor;
    else if (s->has_exact && s->exact.n_worst > 0)
        at.token = w->sequence * T + w->position;
    if (at.token >= 0)
        app_open(v->app, "token", &at);
    else
        app_message(v->app, "no token is under the cursor");
}

static enum outcome score_act(struct view *v, const struct press *p)
{
    struct score_view *s = v->state;

    if (!v->desk || desk_count(v->desk) == 0)
        return OUT_IGNORED;
    switch (p->action) {
    case ACT_PANE_NEXT: s->focus = (s->focus + 1) % FOCUS_COUNT; return OUT_DONE;
    case ACT_PANE_PREV: s->focus = (s->focus + FOCUS_COUNT - 1) % FOCUS_COUNT; return OUT_DONE;
    case ACT_ABLATE: compute(v); return OUT_DONE;
    case ACT_ABLATE_MORE:
        desk_ablate_strongest(v->desk, v->target.sae, s->kept, s->strongest);
        return OUT_DONE;
    case ACT_SWAP: other_mode(v); return OUT_DONE;
    case ACT_PARTS: open_parts(v); return OUT_DONE;
    case ACT_SELECT: select_row(v); return OUT_DONE;
    case ACT_RELOAD:
        s->begun[0] = s->begun[1] = false;
        desk_retry(v->desk, v->target.sae);
        refresh(v);
        return OUT_DONE;
    case ACT_OPEN: open_cursor(v); return OUT_DONE;
    default: return move(v, p) ? OUT_DONE : OUT_IGNORED;
    }
}

static bool is_in(const struct place *p, const struct mouse *m)
{
    return m->row >= p->row && m->row < p->row + p->rows && m->col >= p->col &&
           m->col < p->col + p->cols;
}

static enum outcome score_mouse(struct view *v, const struct mouse *m)
{
    struct score_view *s = v->state;
    struct place at[FOCUS_COUNT];
    bool opened = false;

    if (!v->desk || desk_count(v->desk) == 0)
        return OUT_IGNORED;
    score_places(v, at);
    if (m->kind == MOUSE_PRESS)
        for (int i = 0; i < FOCUS_COUNT; i++)
            if (is_in(&at[i], m))
                s->focus = (enum score_focus)i;
    if (!is_in(&at[FOCUS_TABLE], m))
        return OUT_DONE;
    struct mouse inside = *m;
    struct table t = score_table(v);
    struct table_state before = s->table;
    inside.row -= at[FOCUS_TABLE].row;
    inside.col -= at[FOCUS_TABLE].col;
    if (!table_mouse(&t, &s->table, &inside, at[FOCUS_TABLE].rows, at[FOCUS_TABLE].cols, &opened))
        return OUT_IGNORED;
    if (s->table.sort != before.sort || s->table.ascending != before.ascending) {
        s->moved = false;
        score_sort(v);
        return OUT_DONE;
    }
    s->moved = true;
    score_follow(v);
    if (opened)
        app_open(v->app, "feature", &v->target);
    return OUT_DONE;
}

/* -- words and settings ------------------------------------------------------------------ */

static void score_status(const struct view *v, char *buf, size_t size)
{
    const struct score_view *s = v->state;

    if (!v->desk || s->n_ids == 0)
        return;
    struct table t = score_table(v);
    bool by_effect = s->table.sort == SCOL_EFFECT;
    char exact[64] = "";
    if (by_effect && s->n_exact > 0 && s->n_exact < s->n_ids)
        snprintf(exact, sizeof exact, ", the %lld exact first", (long long)s->n_exact);
    snprintf(buf, size, "%lld/%lld · %s · sort %s %s%s", (long long)s->table.cursor + 1,
             (long long)s->n_ids, s->kept ? "error-kept" : "reconstruction",
             by_effect && !(s->greatest > 0) ? "Δ FVU, no effect is known yet"
                                             : t.columns[s->table.sort].title,
             s->table.ascending ? "↑" : "↓", exact);
}

static const char *score_explain(const struct view *v)
{
    const struct score_view *s = v->state;

    if (s->focus == FOCUS_NUMBERS)
        return score_number_term[s->number];
    if (s->focus == FOCUS_WORST && s->text.shown)
        return "sequence";
    return s->focus == FOCUS_WORST ? "worst" : score_table(v).columns[s->table.column].title;
}

static const char *const mode_choices[] = {"reconstruction", "error-kept", NULL};

static const struct view_option options[] = {
    {"mode", "what a feature is taken out of: x_hat, or x", mode_choices},
    {"strongest", "features whose exact effect A computes at a time", NULL},
    {0},
};

static void score_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct score_view *s = v->state;

    if (i == 0)
        snprintf(buf, size, "%s", mode_choices[s->kept]);
    else
        snprintf(buf, size, "%d", s->strongest);
}

static bool score_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct score_view *s = v->state;
    char *end;
    long n = strtol(value, &end, 10);

    if (i == 0 && strcmp(value, mode_choices[!s->kept]) == 0) {
        other_mode(v);
        return true;
    }
    if (i == 0)
        return strcmp(value, mode_choices[s->kept]) == 0 ||
               err_set(err, ERR_USAGE, "mode: expected reconstruction or error-kept (found "
                       "\"%s\")", value);
    if (end == value || *end || n < 1 || n > 1000000)
        return err_set(err, ERR_USAGE, "strongest: expected 1 to 1000000 (found \"%s\")", value);
    s->strongest = (int)n;
    return true;
}

/* -- the view ---------------------------------------------------------------------------- */

static const struct view_key keys[] = {
    {ACT_OPEN, "open|open the feature; in the list of positions: the losses in the text"},
    {ACT_ABLATE, "exact effect|the exact effect of the feature under the cursor, or of those selected"},
    {ACT_ABLATE_MORE, "of the strongest|exact effects of the strongest estimates that have none yet"},
    {ACT_SWAP, "other mode|the other mode: out of the reconstruction, or of x with the error kept"},
    {ACT_SORT, NULL},
    {ACT_COLUMN_NEXT, NULL},
    {ACT_PANE_NEXT, NULL},
    {ACT_SELECT, "select|select: a computes all that are selected"},
    {ACT_PARTS, "what the activation at the token is made of"},
    {ACT_AXIS, "in the text|text: what the feature does, or the whole reconstruction"},
    {ACT_CONTEXT_MORE, "next text|text: the next sequence"},
    {ACT_CONTEXT_LESS, "text before|text: the sequence before"},
    {ACT_CANCEL, "stop|stop what is being computed"},
    {ACT_RELOAD, "again|again, after it failed or was cancelled"},
    {ACT_OPTIONS, NULL},
    {ACT_WRITE, "to a .json file the score and the table, to a .tsv file the table"},
    {ACT_NONE, NULL},
};

static const struct view_term terms[] = {
    {"CE original", "Mean next-token cross-entropy in nats with the hook untouched, over "
                    "positions 0 .. T-2 of every sequence used; a loss at position p is that of "
                    "predicting token p + 1. --skip-first and --skip-tokens leave positions "
                    "out."},
    {"CE reconstructed", "The same with the hook replaced by x_hat at all positions."},
    {"CE zero", "The same with the hook replaced by zeros at all positions."},
    {"reconstruction score", "(CE zero - CE reconstructed) / (CE zero - CE original). 1: the "
                             "model does not notice; 0: it might as well be given zeros."},
    {"nats lost", "CE reconstructed - CE original."},
    {"bits lost", "nats lost / ln 2."},
    {"KL", "Mean KL(original || reconstructed) of the next-token distributions, in nats."},
    {"L0", "Mean number of active features a token, of the model's own activations over the "
           "sequences used."},
    {"FVU", "Fraction of variance unexplained of the model's own activations, over the sequences "
            "used."},
    {"positions", "Losses in the means, and sequences used."},
    {"effect", "The size of Δ CE (orange: the loss rises without the feature; blue: it falls) "
               "or, in grey behind ≈, of its estimate. Sorted by it the exact ones come first: "
               "an estimate is not to be compared with them."},
    {"Δ CE", "Rise of CE when the feature's contribution is taken out at all positions, exact. "
             "Mode reconstruction: x_hat - c against x_hat; error-kept: x - c against x."},
    {"estimate", "Δ CE to first order, for all features at once: the gradient of the mean loss "
                 "at the hook, times minus the contribution, summed over the tokens."},
    {"Δ score", "Rise of the reconstruction score when the feature is taken out: -Δ CE / "
                "(CE zero - CE original)."},
    {"Δ FVU", "Rise of the fraction of variance unexplained when the feature is taken out; exact, "
              "of the samples."},
    {"density", "Fraction of tokens where the feature is active."},
    {"worst", "The positions whose loss rises most when the feature is taken out, by how much, "
              "with the text before them. The token that becomes harder to predict is in "
              "brackets; at the right sequence:position, of the token before it. Enter shows "
              "the whole sequence."},
    {"sequence", "Every token coloured by the change of the loss of predicting it: orange, or "
                 "digits from 0, where it is harder to predict without the feature (or, after t, "
                 "with the reconstruction in place of x); blue, or letters from a, where it is "
                 "easier."},
    {NULL, NULL},
};

const struct view_ops view_score_ops = {
    .name = "score",
    .digit = 7,
    .purpose = "what the language model loses with the SAE in its place, and without each "
               "feature",
    .searched_in = "features",
    .own_place = true,
    .state_size = sizeof(struct score_view),
    .keys = keys,
    .terms = terms,
    .options = options,
    .open = score_open,
    .go = score_go,
    .loaded = score_loaded,
    .changed = score_changed,
    .tick = score_tick,
    .draw = score_draw,
    .status = score_status,
    .act = score_act,
    .mouse = score_mouse,
    .explain = score_explain,
    .option_get = score_option_get,
    .option_set = score_option_set,
    .copy = score_copy,
    .export = score_export,
    .close = score_close,
};
