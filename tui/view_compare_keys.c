/* view_compare_keys.c - view 5: keys, mouse, commands, options; see view_compare.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view_compare.h"

static bool has_both(const struct view *v)
{
    return compare_sae(v, 0) && compare_sae(v, 1);
}

/* -- settings ---------------------------------------------------------------------------------- */

/* Behind the lists of pairs stand all checkpoints, if they are more than two. */
static void show_list(struct view *v, int list)
{
    struct compare *s = v->state;
    int n = LISTS + compare_has_all(v);

    list = (list + n) % n;
    s->all = list == LISTS;
    if (!s->all)
        s->list = (enum compare_list)list;
    compare_default_sort(s);
    s->focus = COMPARE_LIST;
    compare_update(v);
}

static void set_pairing(struct view *v, enum pairing pairing)
{
    struct compare *s = v->state;

    s->pairing = pairing;
    s->pairing_given = true;
    compare_update(v);
    app_message(v->app, "pairs by %s", compare_pairing_text(s));
}

/* Put to work again what was cancelled or has failed. */
static void again(struct view *v)
{
    struct compare *s = v->state;

    for (int slot = 0; slot <= SLOT_PAGE_B; slot++)
        if (v->slots[slot].err.code)
            view_start(v, slot, LANE_LONG, NULL);
    if (s->top && !s->top->whole && !view_busy(v, SLOT_MATCH))
        compare_forget(v, false);
    else if (!view_busy(v, SLOT_FIGURES))
        compare_forget(v, true);
    s->err = (struct err){0};
    compare_update(v);
}

/* -- keys ---------------------------------------------------------------------------------------- */

/* The full page of a feature of the pair; of B's it makes B current. */
static void open_feature(struct view *v)
{
    struct compare *s = v->state;

    s->turned = compare_side(s) == 1;
    app_open(v->app, "feature", &v->target);
}

static void select_row(struct view *v, int count)
{
    struct compare *s = v->state;
    int sae = s->sae[compare_side(s)];

    for (; count > 0 && s->table.cursor < s->n_ids; count--) {
        int64_t id = s->ids[s->table.cursor];
        desk_select(v->desk, sae, id, !desk_selected(v->desk, sae, id));
        if (s->table.cursor == s->n_ids - 1)
            break;
        s->table.cursor++;
    }
    compare_follow(v);
}

static int here(const struct compare *s)
{
    return s->all ? LISTS : (int)s->list;
}

/* Keys of the list of checkpoints; left and right leave it. */
static enum outcome act_on_all(struct view *v, const struct press *p)
{
    struct compare *s = v->state;

    if (p->action != ACT_LEFT && p->action != ACT_RIGHT)
        return compare_all_act(v, p);
    show_list(v, here(s) + (p->action == ACT_LEFT ? -1 : 1));
    return OUT_DONE;
}

static enum outcome act_on_list(struct view *v, const struct press *p)
{
    struct compare *s = v->state;
    struct table_state before = s->table;
    struct compare_table t;
    int rows = compare_places(v).list.rows;

    compare_table(v, &t);
    if (p->action == ACT_LEFT || p->action == ACT_RIGHT) {
        if (s->reading)
            return OUT_IGNORED;
        show_list(v, here(s) + (p->action == ACT_LEFT ? -1 : 1));
        return OUT_DONE;
    }
    if (!table_act(&t.table, &s->table, p, rows > 1 ? rows : v->rows))
        return OUT_IGNORED;
    if (before.sort != s->table.sort || before.ascending != s->table.ascending) {
        s->table.cursor = 0;
        compare_select(v);
    }
    compare_follow(v);
    return OUT_DONE;
}

static enum outcome act_on_hist(struct view *v, const struct press *p)
{
    struct compare *s = v->state;

    switch (p->action) {
    case ACT_LEFT: case ACT_COLUMN_PREV: compare_hist_next(v, -1); break;
    case ACT_RIGHT: case ACT_COLUMN_NEXT: compare_hist_next(v, 1); break;
    default: return act_on_list(v, p);
    }
    s->focus = COMPARE_HIST;
    return OUT_DONE;
}

static void rebin(struct view *v, int bins)
{
    struct compare *s = v->state;

    s->bins = bins < 4 ? 4 : bins > 1024 ? 1024 : bins;
    compare_hist_make(v);
}

static int bins_now(const struct compare *s)
{
    int a = s->series[0].summary.hist.n, b = s->series[1].summary.hist.n;
    return a ? a : b ? b : 64;
}

static void random_row(struct view *v)
{
    struct compare *s = v->state;

    if (s->n_ids)
        s->table.cursor = (int64_t)((uint64_t)random() % (uint64_t)s->n_ids);
    compare_follow(v);
}

enum outcome compare_act(struct view *v, const struct press *p)
{
    struct compare *s = v->state;

    if (s->all)
        return act_on_all(v, p);
    if (!has_both(v)) {
        bool turns = s->sae[1] >= 0 && (p->action == ACT_LEFT || p->action == ACT_RIGHT);
        if (turns)
            show_list(v, here(s) + (p->action == ACT_LEFT ? -1 : 1));
        return turns ? OUT_DONE : OUT_IGNORED;
    }
    switch (p->action) {
    case ACT_ABLATE:
        for (int k = 0; k < 2; k++)
            desk_score_again(v->desk, s->sae[k]);
        break;
    case ACT_RELOAD: again(v); return OUT_IGNORED; /* the frame tries the scans again */
    case ACT_LOCK: set_pairing(v, s->pairing == PAIR_SAME ? PAIR_BEST : PAIR_SAME); break;
    case ACT_OPEN:
        if (s->n_ids == 0) {
            app_message(v->app, "no pair to open");
            return OUT_DONE;
        }
        if (s->reading)
            open_feature(v);
        s->reading = true;
        compare_follow(v);
        break;
    case ACT_BACK:
        if (!s->reading)
            return OUT_IGNORED;
        s->reading = false;
        compare_follow(v);
        break;
    case ACT_PANE_NEXT: case ACT_PANE_PREV:
        s->focus = s->focus == COMPARE_LIST ? COMPARE_HIST : COMPARE_LIST;
        break;
    case ACT_BINS_MORE: rebin(v, bins_now(s) * 2); break;
    case ACT_BINS_LESS: rebin(v, bins_now(s) / 2); break;
    case ACT_AXIS: s->log_counts = !s->log_counts; break;
    case ACT_RANDOM: random_row(v); break;
    case ACT_SELECT: select_row(v, p->count); break;
    case ACT_SEARCH_NEXT: compare_search_go(v, 1); break;
    case ACT_SEARCH_PREV: compare_search_go(v, -1); break;
    default: return s->focus == COMPARE_HIST ? act_on_hist(v, p) : act_on_list(v, p);
    }
    return OUT_DONE;
}

/* -- mouse ------------------------------------------------------------------------------------------ */

static bool is_inside(const struct compare_place *r, const struct mouse *m)
{
    return m->row >= r->row && m->row < r->row + r->rows && m->col >= r->col &&
           m->col < r->col + r->cols;
}

static void mouse_on_list(struct view *v, const struct compare_place *at, struct mouse m)
{
    struct compare *s = v->state;
    struct table_state before = s->table;
    struct compare_table t;
    bool opened = false;

    m.row -= at->row;
    m.col -= at->col;
    compare_table(v, &t);
    table_mouse(&t.table, &s->table, &m, at->rows, at->cols, &opened);
    s->focus = COMPARE_LIST;
    if (before.sort != s->table.sort || before.ascending != s->table.ascending)
        compare_select(v);
    s->reading = opened;
    compare_follow(v);
}

enum outcome compare_mouse(struct view *v, const struct mouse *m)
{
    struct compare *s = v->state;
    struct compare_places p = compare_places(v);

    if (s->all) {
        p.tabs = (struct compare_place){compare_all_tabs_row(v), 0, 1, v->cols};
        if (!is_inside(&p.tabs, m)) {
            compare_all_mouse(v, *m);
            return OUT_DONE;
        }
    } else if (!has_both(v) || s->reading || m->kind == MOUSE_RELEASE) {
        return OUT_IGNORED;
    }
    if (is_inside(&p.tabs, m) && m->kind == MOUSE_PRESS) {
        int list = compare_tab_at(v, m->col);
        if (list >= 0)
            show_list(v, list);
    } else if (s->all) {
        return OUT_IGNORED;
    } else if (is_inside(&p.hist, m) && m->kind == MOUSE_PRESS) {
        s->focus = COMPARE_HIST;
    } else if (is_inside(&p.list, m)) {
        mouse_on_list(v, &p.list, *m);
    } else {
        return OUT_IGNORED;
    }
    return OUT_DONE;
}

/* -- options and commands ------------------------------------------------------------------------------ */

enum { OPT_LIST, OPT_PAIRS, OPT_MATCHING, OPT_NEAR, OPT_DRIFT, OPT_SPLIT, OPT_OF, OPT_EQUAL };

static const char *const list_choices[] = {"matched", "drifted", "split", "only A", "only B",
                                           "died",    "born",    "all",   NULL};
static const char *const pairs_choices[] = {"best", "one", "same", NULL};
static const char *const matching_choices[] = {"auto", "optimal", "greedy", NULL};
static const char *const of_choices[] = {
    "b_enc", "threshold", "density", "max", "decoder_norm", "encoder_decoder_cosine",
    "delta_fvu", NULL};

const struct view_option compare_options[] = {
    [OPT_LIST] = {"list", "which features are listed (h l)", list_choices},
    [OPT_PAIRS] = {"pairs", "partner: of the best cosine, one to one, or of the same number (=)",
                   pairs_choices},
    [OPT_MATCHING] = {"matching", "one to one; auto: optimal up to 4096 features",
                      matching_choices},
    [OPT_NEAR] = {"near", "below this cosine a feature has no match", NULL},
    [OPT_DRIFT] = {"drift", "below this cosine a pair has drifted", NULL},
    [OPT_SPLIT] = {"split", "from this cosine on two features are close", NULL},
    [OPT_OF] = {"of", "what the histograms are of", of_choices},
    [OPT_EQUAL] = {"equal", "so many percent L0 may differ and still be nearly equal", NULL},
    {NULL, NULL, NULL},
};

void compare_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct compare *s = v->state;

    switch (i) {
    case OPT_LIST: snprintf(buf, size, "%s", list_choices[here(s)]); break;
    case OPT_PAIRS: snprintf(buf, size, "%s", pairs_choices[s->pairing]); break;
    case OPT_MATCHING: snprintf(buf, size, "%s", matching_choices[s->matching]); break;
    case OPT_NEAR: snprintf(buf, size, "%g", s->near); break;
    case OPT_DRIFT: snprintf(buf, size, "%g", s->drift); break;
    case OPT_SPLIT: snprintf(buf, size, "%g", s->split); break;
    case OPT_EQUAL: snprintf(buf, size, "%g", 100 * s->equal_l0); break;
    default:
        snprintf(buf, size, "%s", s->of < QUANTITY_COUNT ? quantities[s->of].name : "");
    }
}

static int choice(const struct view_option *o, const char *value, struct err *err)
{
    for (int k = 0; o->choices[k]; k++)
        if (strcmp(o->choices[k], value) == 0)
            return k;
    err_set(err, ERR_USAGE, "%s: found \"%s\" (expected %s, %s, ...)", o->name, value,
            o->choices[0], o->choices[1]);
    return -1;
}

static bool set_cosine(struct view *v, double *to, const char *value, struct err *err)
{
    char *end;
    double x = strtod(value, &end);

    if (end == value || *end || !(x >= -1 && x <= 1))
        return err_set(err, ERR_USAGE, "found \"%s\" (expected a cosine, -1 to 1)", value);
    *to = x;
    compare_update(v);
    return true;
}

static bool set_equal(struct view *v, const char *value, struct err *err)
{
    struct compare *s = v->state;
    char *end;
    double x = strtod(value, &end);

    if (end == value || *end || !(x >= 0 && x <= 100))
        return err_set(err, ERR_USAGE, "equal: found \"%s\" (expected 0 to 100 percent)", value);
    s->equal_l0 = x / 100;
    return true;
}

static bool set_matching(struct view *v, int k)
{
    struct compare *s = v->state;

    s->matching = (enum compare_matching)k;
    for (int side = 0; side < 2; side++) {
        free(s->one[side]);
        s->one[side] = NULL;
    }
    compare_figures_drop(s->figures[PAIR_ONE][0]);
    s->figures[PAIR_ONE][0] = NULL;
    if (s->top && s->top->whole)
        view_start(v, SLOT_MATCH, LANE_LONG, NULL);
    compare_update(v);
    return true;
}

bool compare_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct compare *s = v->state;

    if (!has_both(v))
        return err_set(err, ERR_USAGE, "there are no two checkpoints to compare (yet)");
    switch (i) {
    case OPT_NEAR: return set_cosine(v, &s->near, value, err);
    case OPT_DRIFT: return set_cosine(v, &s->drift, value, err);
    case OPT_SPLIT: return set_cosine(v, &s->split, value, err);
    case OPT_OF: return compare_hist_set(v, value, err);
    case OPT_EQUAL: return set_equal(v, value, err);
    default: break;
    }
    int k = choice(&compare_options[i], value, err);
    if (k < 0)
        return false;
    if (i == OPT_MATCHING)
        return set_matching(v, k);
    if (i == OPT_LIST)
        show_list(v, k);
    else
        set_pairing(v, (enum pairing)k);
    return true;
}

/* Go to a feature of the list's side. */
static bool go_to(struct view *v, const char *text, struct err *err)
{
    struct compare *s = v->state;
    char *end;

    text += strspn(text, " #");
    long long id = strtoll(text, &end, 10);
    if (end == text || *end || id < 0)
        return err_set(err, ERR_USAGE, "not the number of a feature (found \"%s\")", text);
    int64_t row = compare_row_of(s, id);
    if (row < 0)
        return err_set(err, ERR_RANGE, "feature %lld of %c is not in this list", id,
                       "AB"[compare_side(s)]);
    s->table.cursor = row;
    compare_follow(v);
    return true;
}

/* ":drift 0.8", ":only A", ":pairs one" */
bool compare_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    if (!has_both(v))
        return err_set(err, ERR_USAGE, "there are no two checkpoints to compare (yet)");
    switch (what) {
    case ASK_SEARCH: return compare_search(v, text, err);
    case ASK_FILTER: return compare_filter(v, text, err);
    case ASK_GOTO: return go_to(v, text, err);
    default: break;
    }
    for (int l = 0; l < LISTS + compare_has_all(v); l++)
        if (strcmp(text, list_choices[l]) == 0) {
            show_list(v, l);
            return true;
        }
    for (int i = 0; compare_options[i].name; i++) {
        size_t n = strlen(compare_options[i].name);
        if (strncmp(text, compare_options[i].name, n) == 0 && text[n] == ' ')
            return compare_option_set(v, i, text + n + strspn(text + n, " "), err);
    }
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
}

/* -- what ? says ------------------------------------------------------------------------------------------ */

const struct view_key compare_keys[] = {
    {ACT_OPEN, "pages|both pages side by side; again: the feature by itself"},
    {ACT_RIGHT, "list|the next list: matched, drifted, split, ... (h: the one before)"},
    {ACT_LOCK, "by number|pairs by the same number, or by best match"},
    {ACT_PARTNER, "pick B|pick the checkpoint to compare with"},
    {ACT_SWAP, NULL},
    {ACT_FILTER, NULL},
    {ACT_SORT, NULL},
    {ACT_COLUMN_NEXT, NULL},
    {ACT_PANE_NEXT, "histogram|to the histograms, where h l choose the quantity"},
    {ACT_SEARCH, "search names"},
    {ACT_ABLATE, "scores|compute the reconstruction scores"},
    {ACT_AXIS, "logarithmic counts; of all checkpoints: FVU or reconstruction score"},
    {ACT_BINS_MORE, NULL},
    {ACT_OPTIONS, NULL},
    {ACT_SELECT, NULL},
    {ACT_WRITE, "write the list as it is shown, to a .tsv or .json file"},
    {ACT_COPY_ALL, "copy the list"},
    {ACT_RELOAD, "go on with what was cancelled"},
    {ACT_NONE, NULL},
};

const struct view_term compare_terms[] = {
    {"A", "A is the current checkpoint, B its partner: c picks B, x swaps the two, :sae picks "
          "A. In a list the number of A's feature."},
    {"B", "B is the partner of the current checkpoint. In a list the number of the partner."},
    {"matched", "Every feature of A with its partner in B."},
    {"drifted", "Pairs that belong together and point another way: each other's best match "
                "with a cosine of at least 0.5 (:near) and below 0.9 (:drift). By number: "
                "every pair below 0.9."},
    {"split", "Features of A to which two or more of B are close: cosine of at least 0.7 "
              "(:split). x shows those of B that are split in A."},
    {"only A", "Features of A whose best cosine with any of B is below 0.5 (:near)."},
    {"only B", "Features of B whose best cosine with any of A is below 0.5 (:near)."},
    {"died", "Alive in A (density above 0), and the partner in B is dead."},
    {"born", "Alive in B (density above 0), and the partner in A is dead."},
    {"partner", "By best match: the feature of the other side with the greatest decoder "
                "cosine. One to one: the matching that maximises the summed cosine (above "
                "4096 features greedy: the greatest cosine first). By number: the feature of "
                "the same number, which is usual for checkpoints of one training run."},
    {"cosine", "Of the two decoder rows; 0 with a zero vector."},
    {"encoder", "Cosine of the two encoder rows."},
    {"corr", "Pearson's correlation of the two activations over all tokens of the samples, "
             "those where they are 0 included. Needs both scans."},
    {"mutual", "Each is the other's best match."},
    {"1 to 1", "The partner in the one-to-one matching."},
    {"close", "How many features of the other side have a cosine of at least 0.7 (:split) "
              "with it; 8 at most are counted."},
    {"MMCS", "Mean of the greatest cosine: A→B over all of A's features, of the greatest "
             "cosine with any of B's."},
    {"L0", "Mean number of active features of a token."},
    {"FVU", "Fraction of variance unexplained by the reconstruction; explained variance is "
            "1 - FVU."},
    {"L1", "Mean sum of activations of a token."},
    {"all checkpoints", "One point a checkpoint: L0 against FVU and against the reconstruction "
                        "score. Points of one architecture are joined by L0, those of a "
                        "training run by their steps. The dotted line is the front: those that "
                        "no other beats in both. Architectures can only be compared where they "
                        "are equally sparse, or along the curve: underlined are those whose L0 "
                        "is nearly equal to that of the one under the cursor, within 5 % "
                        "(:equal). Enter compares A with the one under the cursor, c makes it "
                        "B."},
    {"reconstruction score", "(CE with zeros - CE with the reconstruction) / (CE with zeros - "
                             "CE of the model as it is). Needs a language model (--model)."},
    {"nats lost", "CE with the reconstruction - CE of the model as it is."},
    {"KL", "Mean KL divergence of the next-token distributions, original against "
           "reconstructed, in nats."},
    {"filter", "cosine < 0.8 and density_a > 0.01; name ~ \"king\" looks at both names. "
               "Columns: a b cosine encoder_cosine correlation mutual one_to_one close "
               "density_a density_b max_a max_b bias_a bias_b threshold_a threshold_b."},
    {NULL, NULL},
};
