/* view_features.c - view 2: the table of all features, and one of them in small. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/clock.h"
#include "model/rows.h"
#include "model/session.h"
#include "tui/view_features.h"
#include "tui/wid_hist.h"

static struct table table_of(const struct view *v)
{
    const struct features *f = v->state;

    return (struct table){.columns = f->heads, .n_columns = f->n_columns,
                          .n_rows = f->n_ids, .ctx = v, .cell = features_paint_cell};
}

/* -- draw -------------------------------------------------------------------------- */

static int pane_cols(int cols)
{
    int wanted = cols * 38 / 100;

    if (cols < PANE_FROM)
        return 0;
    return wanted < 44 ? 44 : wanted > 80 ? 80 : wanted;
}

static void features_draw(const struct view *v, struct canvas *c)
{
    const struct features *f = v->state;
    char text[1200], empty[1500];
    int pane = pane_cols(c->cols);
    struct canvas left = canvas_sub(c, 0, 0, c->rows, c->cols - (pane ? pane + 1 : 0));
    struct canvas right = canvas_sub(c, 0, c->cols - pane + 1, c->rows, pane - 1);

    if (desk_count(v->desk) == 0) {
        canvas_wrap(c, 0, INK_DIM, "no checkpoint is open");
        return;
    }
    struct table t = table_of(v);
    if (features_sae(v)->table.n == 0) {
        desk_state_text(v->desk, v->target.sae, text, sizeof text);
        snprintf(empty, sizeof empty, "%s%s", text,
                 features_sae(v)->err.code ? "\nR tries again" : " ...");
        t.empty = empty;
    } else if (v->target.filter[0]) {
        snprintf(empty, sizeof empty, "no feature fulfils  %s\n& and an empty line: all "
                 "features again", v->target.filter);
        t.empty = empty;
    }
    table_paint(&left, &t, &f->table, true);
    if (pane) {
        canvas_vline(c, 0, left.cols, c->rows, INK_RULE);
        pane_paint(v, SLOT_PAGE, &f->pane, f->decimals, &right);
    }
}

static void features_status(const struct view *v, char *buf, size_t size)
{
    const struct features *f = v->state;
    char row[32], rows[32], all[32], state[600];
    struct str s = {0};

    if (desk_count(v->desk) == 0)
        return;
    int64_t n = features_sae(v)->table.n;
    int64_t selected = desk_selected_count(v->desk, v->target.sae);
    count_text(f->n_ids ? f->table.cursor + 1 : 0, row, sizeof row);
    count_text(f->n_ids, rows, sizeof rows);
    count_text(n, all, sizeof all);
    str_appendf(&s, "%s/%s", row, rows);
    if (v->target.filter[0])
        str_appendf(&s, " of %s · filter %s", all, v->target.filter);
    str_appendf(&s, " · sort %s %s", features_column_title(f->sort),
                f->table.ascending ? "↑" : "↓");
    if (f->pattern[0])
        str_appendf(&s, " · /%s %lld", f->pattern, (long long)f->n_found);
    if (selected)
        str_appendf(&s, " · %lld selected", (long long)selected);
    desk_state_text(v->desk, v->target.sae, state, sizeof state);
    if (state[0])
        str_appendf(&s, " · %s", state);
    snprintf(buf, size, "%s", str_text(&s));
    str_finish(&s);
}

/* -- the cursor -------------------------------------------------------------------- */

/* Without an index a page is a pass over the samples: not while the scan makes one and
 * the cursor only happens to be where it is, nor where there is no room for the pane. */
static void ask_pane(struct view *v)
{
    struct features *f = v->state;
    bool now = v->cols >= PANE_FROM &&
               (f->moved || features_sae(v)->state != DESK_SCANNING);

    pane_ask(v, SLOT_PAGE, &f->pane, v->target.sae, v->target.feature, now);
}

void features_follow(struct view *v)
{
    struct features *f = v->state;
    struct table t = table_of(v);

    table_fix(&t, &f->table, v->rows);
    v->target.feature = f->n_ids ? (int64_t)f->ids[f->table.cursor] : -1;
    ask_pane(v);
}

static void move_to(struct view *v, int64_t row)
{
    struct features *f = v->state;

    f->table.cursor = row;
    f->moved = true;
    features_follow(v);
}

static bool move_to_feature(struct view *v, int64_t feature, struct err *err)
{
    int64_t row = features_row_of(v, feature), n = features_sae(v)->table.n;

    if (feature < 0 || feature >= n)
        return err_set(err, ERR_RANGE, "there is no feature %lld (expected 0 to %lld)",
                       (long long)feature, (long long)n - 1);
    if (row < 0)
        return err_set(err, ERR_RANGE, "feature %lld does not fulfil the filter; & and an "
                       "empty line: all features", (long long)feature);
    move_to(v, row);
    return true;
}

/* Another checkpoint: nothing of the old one is worth keeping. */
static void show_sae(struct view *v, int sae)
{
    struct features *f = v->state;

    v->target.sae = sae;
    f->shown = true;
    f->n_ids = 0;
    f->moved = false;
    f->table.cursor = f->table.top = 0;
    v->target.feature = -1;
    view_start(v, SLOT_ROWS, LANE_QUICK, NULL);
    view_start(v, SLOT_SEARCH, LANE_QUICK, NULL);
    free(f->found);
    f->found = NULL;
    f->pattern[0] = 0;
    pane_reset(v, SLOT_PAGE, &f->pane);
    features_fit_columns(v);
    features_select(v);
}

static void features_go(struct view *v, const struct target *at)
{
    struct features *f = v->state;
    struct err err = {0};

    if (desk_count(v->desk) == 0)
        return;
    int sae = desk_go(v->desk, at);
    if (!f->shown || sae != v->target.sae)
        show_sae(v, sae);
    if (at->filter[0]) {
        f->moved = false;
        if (!features_filter(v, at->filter, &err))
            app_error(v->app, &err);
    } else if (f->version != features_sae(v)->version ||
               f->labels != desk_labels_version(v->desk)) {
        features_select(v);
    }
    if (at->feature >= 0 && features_row_of(v, at->feature) >= 0)
        move_to(v, features_row_of(v, at->feature));
}

static void features_changed(struct view *v)
{
    struct features *f = v->state;
    int sae = desk_count(v->desk) ? desk_current(v->desk) : -1;

    if (!f->shown || sae < 0)
        return;
    if (sae != v->target.sae) {
        show_sae(v, sae);
        return;
    }
    features_fit_columns(v);
    if (v->slots[SLOT_PAGE].err.code) /* try again */
        pane_reset(v, SLOT_PAGE, &f->pane);
    features_select(v);
}

/* Numbers move at every tick; rows change places twice a second, or nobody could read. */
static void features_tick(struct view *v)
{
    struct features *f = v->state;

    if (desk_count(v->desk) == 0)
        return;
    f->pane.slow = view_busy(v, SLOT_PAGE);
    if (f->version != features_sae(v)->version && clock_seconds() - f->sorted_at >= 0.5)
        features_select(v);
}

static bool features_open(struct view *v, struct err *err)
{
    struct features *f = v->state;

    (void)err;
    bool has_samples = v->session && samples_have_features(v->session->samples);
    f->sort = has_samples ? FCOL_DENSITY : FCOL_ID;
    f->table.ascending = !has_samples;
    f->pane = PANE_EMPTY;
    v->target.filter[0] = 0;
    return true;
}

static void features_loaded(struct view *v, int slot, struct job *job)
{
    if (slot == SLOT_PAGE)
        pane_loaded(&((struct features *)v->state)->pane, job);
    else
        features_rows_loaded(v, slot, job);
}

static void features_close(struct view *v)
{
    struct features *f = v->state;

    pane_finish(&f->pane);
    free(f->ids);
    free(f->found);
}

/* -- keys -------------------------------------------------------------------------- */

static void select_row(struct view *v, int count)
{
    struct features *f = v->state;

    for (; count > 0 && f->table.cursor < f->n_ids; count--) {
        int64_t id = f->ids[f->table.cursor++];
        desk_select(v->desk, v->target.sae, id, !desk_selected(v->desk, v->target.sae, id));
    }
}

static void random_row(struct view *v)
{
    struct features *f = v->state;

    if (f->n_ids > 0)
        move_to(v, arc4random_uniform((uint32_t)f->n_ids));
}

static void toggle_favourite(struct view *v)
{
    int64_t id = v->target.feature;
    bool now = !desk_favourite(v->desk, v->target.sae, id);

    if (id >= 0 && desk_set_favourite(v->desk, v->target.sae, id, now))
        app_message(v->app, now ? "#%lld is a favourite" : "#%lld is no favourite any more",
                    (long long)id);
}

static void ask_label(struct view *v)
{
    char label[64];

    snprintf(label, sizeof label, "label of #%lld", (long long)v->target.feature);
    view_ask(v, ASK_LABEL, label, desk_label(v->desk, v->target.sae, v->target.feature));
}

/* The exact effect on the loss of the features selected, or of the one under the cursor. */
static void ablate(struct view *v)
{
    int sae = v->target.sae;
    int64_t d_sae = features_sae(v)->table.n, n = 0;
    int64_t *ids = xmalloc((size_t)(desk_selected_count(v->desk, sae) + 1) * sizeof *ids);

    for (int64_t i = 0; i < d_sae; i++)
        if (desk_selected(v->desk, sae, i))
            ids[n++] = i;
    if (n == 0)
        ids[n++] = v->target.feature;
    desk_ablate(v->desk, sae, false, ids, n);
    free(ids);
}

/* The order has been changed: what comes first is what one wants to see. */
static void sort_anew(struct view *v)
{
    struct features *f = v->state;

    if (f->table.sort >= 0)
        f->sort = f->columns[f->table.sort];
    f->moved = false;
    features_select(v);
    if (f->sort == FCOL_NEAREST_COSINE && features_sae(v)->nearest_busy)
        app_message(v->app, "nearest: cosines of all pairs are being computed");
}

/* The table's own keys, and what follows from them. */
static bool act_table(struct view *v, const struct press *p)
{
    struct features *f = v->state;
    struct table t = table_of(v);
    int sort = f->table.sort;
    bool ascending = f->table.ascending;
    int64_t cursor = f->table.cursor;

    if (!table_act(&t, &f->table, p, v->rows))
        return false;
    f->moved |= cursor != f->table.cursor || p->action == ACT_DOWN;
    if (p->action == ACT_SORT && f->columns[f->table.column] >= FCOL_COUNT)
        app_message(v->app, "%s is no order",
                    features_column_title(f->columns[f->table.column]));
    if (sort != f->table.sort || ascending != f->table.ascending)
        sort_anew(v);
    features_follow(v);
    return true;
}

static enum outcome features_act(struct view *v, const struct press *p)
{
    struct features *f = v->state;

    if (desk_count(v->desk) == 0)
        return OUT_IGNORED;
    if (act_table(v, p))
        return OUT_DONE;
    if (v->target.feature < 0)
        return OUT_IGNORED;
    switch (p->action) {
    case ACT_OPEN: app_open(v->app, "feature", &v->target); break;
    case ACT_SELECT:
        select_row(v, p->count);
        f->moved = true;
        features_follow(v);
        break;
    case ACT_SEARCH_NEXT: features_search_go(v, 1); break;
    case ACT_SEARCH_PREV: features_search_go(v, -1); break;
    case ACT_RANDOM: random_row(v); break;
    case ACT_FAVOURITE: toggle_favourite(v); break;
    case ACT_LABEL: ask_label(v); break;
    case ACT_ABLATE: ablate(v); break;
    default: return OUT_IGNORED;
    }
    return OUT_DONE;
}

static enum outcome features_mouse(struct view *v, const struct mouse *m)
{
    struct features *f = v->state;
    struct table t = table_of(v);
    int pane = pane_cols(v->cols), cols = v->cols - (pane ? pane + 1 : 0);
    int sort = f->table.sort;
    bool ascending = f->table.ascending, opened = false;
    int64_t cursor = f->table.cursor;

    if (desk_count(v->desk) == 0 || m->col >= cols ||
        !table_mouse(&t, &f->table, m, v->rows, cols, &opened))
        return OUT_IGNORED;
    f->moved |= m->kind == MOUSE_WHEEL || cursor != f->table.cursor;
    if (sort != f->table.sort || ascending != f->table.ascending)
        sort_anew(v);
    features_follow(v);
    if (opened && v->target.feature >= 0)
        app_open(v->app, "feature", &v->target);
    return OUT_DONE;
}

/* -- lines ------------------------------------------------------------------------- */

static bool go_to_number(struct view *v, const char *text, struct err *err)
{
    char *end;

    text += strspn(text, " #");
    long long id = strtoll(text, &end, 10);
    if (end == text || *end)
        return err_set(err, ERR_RANGE, "expected the number of a feature (found \"%s\")", text);
    return move_to_feature(v, id, err);
}

static bool set_label(struct view *v, const char *text)
{
    int64_t id = v->target.feature;
    char *note = xstrdup(desk_note(v->desk, v->target.sae, id));
    bool ok = id < 0 || desk_set_label(v->desk, v->target.sae, id, text, note);

    free(note);
    if (v->target.filter[0]) /* it may ask for labels */
        features_select(v);
    return ok;
}

static bool set_note(struct view *v, const char *text)
{
    int64_t id = v->target.feature;
    char *label = xstrdup(desk_label(v->desk, v->target.sae, id));
    bool ok = id < 0 || desk_set_label(v->desk, v->target.sae, id, label, text);

    free(label);
    return ok;
}

static bool command(struct view *v, const char *text, struct err *err)
{
    if (strncmp(text, "note", 4) == 0 && (text[4] == ' ' || !text[4])) {
        set_note(v, text + 4 + strspn(text + 4, " "));
        return true;
    }
    if (strcmp(text, "select none") == 0) {
        desk_select_none(v->desk, v->target.sae);
        return true;
    }
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
}

static bool features_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    if (desk_count(v->desk) == 0)
        return err_set(err, ERR_USAGE, "no checkpoint is open");
    switch (what) {
    case ASK_FILTER: return features_filter(v, text, err);
    case ASK_GOTO: return go_to_number(v, text, err);
    case ASK_LABEL: return set_label(v, text);
    case ASK_COMMAND: return command(v, text, err);
    case ASK_SEARCH:
        if (!features_search(v, text, err))
            return false;
        if (*text)
            features_search_go(v, 1);
        return true;
    default: return true;
    }
}

static const char *features_word(const struct view *v, enum ask what, int i)
{
    static const char *const logic[] = {"and", "or", "not", NULL};
    static const char *const commands[] = {"note", "select none", NULL};

    (void)v;
    if (what == ASK_FILTER)
        return i < ROWS_COLUMNS ? rows_column_key(i)
               : i < ROWS_COLUMNS + 3 ? logic[i - ROWS_COLUMNS] : NULL;
    return what == ASK_COMMAND && i < 2 ? commands[i] : NULL;
}

/* -- help -------------------------------------------------------------------------- */

static const struct view_option options[] = {
    {"columns", "keys of the columns after the id, in this order; \"usual\": as at first",
     NULL},
    {NULL, NULL, NULL},
};

static const struct view_key keys[] = {
    {ACT_OPEN, NULL},
    {ACT_FILTER, NULL},
    {ACT_SEARCH, NULL},
    {ACT_SORT, NULL},
    {ACT_COLUMN_NEXT, NULL},
    {ACT_LABEL, "label|edit the label; :note TEXT keeps a note"},
    {ACT_FAVOURITE, NULL},
    {ACT_SELECT, NULL},
    {ACT_ABLATE, "ablate|what taking out the feature, or those selected, does to the loss"},
    {ACT_RANDOM, NULL},
    {ACT_GOTO, "go to a feature of the table"},
    {ACT_INVERT, NULL},
    {ACT_SEARCH_NEXT, NULL},
    {ACT_SEARCH_PREV, NULL},
    {ACT_WRITE, "write the rows shown, or those selected, to a .tsv or .json file"},
    {ACT_COPY, "copy the row to the clipboard"},
    {ACT_COPY_ALL, "copy the rows shown, or those selected"},
    {ACT_RELOAD, "start a cancelled or failed scan again"},
    {ACT_OPTIONS, "columns|choose the columns and their order"},
    {ACT_NONE, NULL},
};

static const struct view_term terms[] = {
    {"feature", "Number of the feature, from 0. + is selected, * a favourite, ! owns weights "
                "that are NaN or infinite."},
    {"name", "The label, if it has one. Else the tokens that it fires on in its 20 strongest "
             "examples, the most frequent first; that needs a finished scan and token ids "
             "(--tokens, and --tokenizer for their text)."},
    {"density", "Fraction of the tokens counted where the feature is active (activation other "
                "than 0). The bar is logarithmic: from a single firing to the densest "
                "feature. Needs samples (--acts)."},
    {"histogram", "Activations where it is active, 40 equal bins from 0 to its own greatest. "
                  "Needs a finished scan."},
    {"mean", "Mean activation over the tokens where it is active. Needs samples (--acts)."},
    {"max", "Greatest activation (of |a| for signed kinds). Needs samples (--acts)."},
    {"bias", "The learned bias: b_enc; gated: b_gate."},
    {"threshold", "Threshold of JumpReLU and BatchTopK; other kinds have none."},
    {"Δ FVU", "Rise of the fraction of variance unexplained when this feature alone is taken "
              "out of the reconstruction; exact. Below 0: the reconstruction is better "
              "without it. Needs a finished scan."},
    {"Δ CE", "Rise of the mean next-token cross-entropy, in nats, when this feature is taken "
             "out of the reconstruction at all positions; exact. a computes it, for all that "
             "are selected if some are. Needs a language model (--model)."},
    {"Δ CE est.", "The same to first order, from one run backwards through the model. Computed "
                  "for all features when you sort or filter by it."},
    {"enc·dec", "Cosine of the feature's encoder and decoder rows."},
    {"|W_dec|", "Length of the decoder row."},
    {"nearest", "Greatest cosine of its decoder row with that of another feature. Computed "
                "for all pairs when you sort or filter by it."},
    {"count", "Tokens where it is active. Needs samples (--acts)."},
    {"filter", "density < 0.01 and max > 3; label ~ \"king\"; token = \" king\" (among the "
               "tokens of its 20 strongest examples); promotes = \" king\" (among its top 10 "
               "logits; needs --model); not, or, parentheses. Columns go by "
               "their keys: density count mean max bias threshold decoder_norm "
               "encoder_decoder_cosine nearest_cosine delta_fvu delta_ce estimate. What is not known makes a "
               "comparison false."},
    {"search", "/ looks in labels and in the tokens of the 20 strongest examples; a regular "
               "expression, case ignored unless a capital is typed."},
    {"·", "Not known (yet). ? on the column says what it needs."},
    {NULL, NULL},
};

static const char *features_explain(const struct view *v)
{
    const struct features *f = v->state;
    return f->n_columns ? features_column_title(f->columns[f->table.column]) : NULL;
}

const struct view_ops view_features_ops = {
    .name = "features",
    .digit = 2,
    .purpose = "all features of a checkpoint: sort, filter, search, select",
    .state_size = sizeof(struct features),
    .keys = keys,
    .terms = terms,
    .options = options,
    .open = features_open,
    .go = features_go,
    .loaded = features_loaded,
    .changed = features_changed,
    .tick = features_tick,
    .draw = features_draw,
    .status = features_status,
    .act = features_act,
    .mouse = features_mouse,
    .answer = features_answer,
    .word = features_word,
    .explain = features_explain,
    .option_get = features_option_get,
    .option_set = features_option_set,
    .copy = features_copy,
    .export = features_export,
    .close = features_close,
};
