/* view_cosine_keys.c - keys, mouse, commands and options of view 6; see view_cosine.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view_cosine.h"

const char *const cosine_order_names[] = {"id", "match", "cluster", NULL};

/* -- what stands against what ------------------------------------------------------------- */

/* The next of: itself, the partner, the true features. */
static void next_against(struct view *v, int by)
{
    struct cosine *s = v->state;

    for (int step = 1; step < AGAINST_COUNT; step++) {
        int to = ((int)s->want.kind + (by + AGAINST_COUNT) * step) % AGAINST_COUNT;
        if (!cosine_can(v, (enum cosine_kind)to, NULL))
            continue;
        s->chosen = true;
        s->want.kind = (enum cosine_kind)to;
        cosine_update(v);
        return;
    }
    app_message(v->app, "nothing else to stand against: open another SAE, or --truth FILE");
}

static void set_order(struct view *v, enum cosine_order order)
{
    struct cosine *s = v->state;

    s->order = order;
    if (s->map && s->map->source->looked)
        cosine_start_order(v);
}

static void reload(struct view *v)
{
    struct cosine *s = v->state;

    desk_retry(v->desk, v->target.sae);
    if (view_busy(v, COSINE_SLOT_MAP))
        return;
    if (!s->map) {
        view_start(v, COSINE_SLOT_MAP, LANE_QUICK, NULL); /* forget why it failed */
        cosine_update(v);
    } else if (!s->map->is_complete) {
        cosine_start_look(v);
    } else if (s->order != s->map->order) {
        cosine_start_order(v);
    }
}

/* -- keys ------------------------------------------------------------------------------------ */

static void open_here(struct view *v)
{
    if (v->state && ((struct cosine *)v->state)->pane == COSINE_MAP && !cosine_is_single(v))
        cosine_zoom_in(v);
    else if (v->target.feature >= 0)
        app_open(v->app, "feature", &v->target);
}

static void next_pane(struct view *v, int by)
{
    struct cosine *s = v->state;
    int n = s->map && s->map->source->subject.kind == AGAINST_TRUTH ? 3 : 2;

    s->pane = (enum cosine_pane)(((int)s->pane + by + n) % n);
}

static bool act_on_map(struct view *v, const struct press *p)
{
    struct cosine *s = v->state;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    int page = l.visible_r > 1 ? l.visible_r - 1 : 1;

    switch (p->action) {
    case ACT_UP: cosine_move(v, -p->count, 0); break;
    case ACT_DOWN: cosine_move(v, p->count, 0); break;
    case ACT_LEFT: cosine_move(v, 0, -p->count); break;
    case ACT_RIGHT: cosine_move(v, 0, p->count); break;
    case ACT_HALF_UP: cosine_move(v, -(int64_t)(page / 2) * p->count, 0); break;
    case ACT_HALF_DOWN: cosine_move(v, (int64_t)(page / 2) * p->count, 0); break;
    case ACT_PAGE_UP: cosine_move(v, -(int64_t)page * p->count, 0); break;
    case ACT_PAGE_DOWN: cosine_move(v, (int64_t)page * p->count, 0); break;
    case ACT_FIRST: cosine_move(v, -l.zoom.n_r, 0); break;
    case ACT_LAST: cosine_move(v, l.zoom.n_r, 0); break;
    case ACT_COLUMN_NEXT: next_against(v, 1); break;
    case ACT_COLUMN_PREV: next_against(v, -1); break;
    case ACT_SORT: set_order(v, (enum cosine_order)((s->order + 1) % ORDER_COUNT)); break;
    case ACT_RANDOM:
        s->row = rand() % s->map->heat.blocks.rows;
        s->column = rand() % s->map->heat.blocks.columns;
        break;
    default: return false;
    }
    return true;
}

/* The map follows the lists. */
static void follow_list(struct view *v)
{
    int64_t row, column;

    if (cosine_listed(v, &row, &column))
        cosine_go_to(v, row, column);
}

static struct table_state *focused(struct view *v, struct cosine_table *t, int *rows)
{
    struct cosine *s = v->state;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);

    if (s->pane == COSINE_TRUTH) {
        cosine_truths(v, t);
        *rows = l.truths.rows - 1;
        return &s->truths;
    }
    cosine_list(v, t);
    *rows = l.list.rows - 1;
    return &s->list;
}

static bool act_on_list(struct view *v, const struct press *p)
{
    struct cosine_table t;
    int rows;
    struct table_state *state = focused(v, &t, &rows);

    if (!table_act(&t.table, state, p, rows))
        return false;
    cosine_sort_lists(v);
    follow_list(v);
    return true;
}

/* What can be chosen while the rows are still being read. */
static enum outcome act_before_map(struct view *v, const struct press *p)
{
    struct cosine *s = v->state;

    switch (p->action) {
    case ACT_AXIS: s->pool = s->pool == HEAT_MEAN ? HEAT_STRONGEST : HEAT_MEAN; break;
    case ACT_COLUMN_NEXT: next_against(v, 1); break;
    case ACT_COLUMN_PREV: next_against(v, -1); break;
    case ACT_SORT: set_order(v, (enum cosine_order)((s->order + 1) % ORDER_COUNT)); break;
    default: return OUT_IGNORED;
    }
    return OUT_DONE;
}

enum outcome cosine_act(struct view *v, const struct press *p)
{
    struct cosine *s = v->state;

    if (!v->desk)
        return OUT_IGNORED;
    if (p->action == ACT_RELOAD) {
        reload(v);
        return OUT_DONE;
    }
    if (!s->map)
        return act_before_map(v, p);
    switch (p->action) {
    case ACT_OPEN: open_here(v); break;
    case ACT_PANE_NEXT: next_pane(v, 1); break;
    case ACT_PANE_PREV: next_pane(v, -1); break;
    case ACT_BINS_MORE: cosine_zoom_in(v); break;
    case ACT_BINS_LESS: cosine_zoom_out(v); break;
    case ACT_AXIS: s->pool = s->pool == HEAT_MEAN ? HEAT_STRONGEST : HEAT_MEAN; break;
    default:
        if (!(s->pane == COSINE_MAP ? act_on_map(v, p) : act_on_list(v, p)))
            return OUT_IGNORED;
    }
    cosine_settle(v);
    return OUT_DONE;
}

/* -- mouse ------------------------------------------------------------------------------------ */

static void mouse_on_map(struct view *v, const struct cosine_layout *l, const struct mouse *m)
{
    struct cosine *s = v->state;
    struct heat_window w = cosine_window(s, l);
    int64_t before_row, before_column, row, column;

    s->pane = COSINE_MAP;
    cosine_cell(s, &l->zoom, &before_row, &before_column);
    int64_t i = (int64_t)(m->row - l->map.row) * (l->zoom.half ? 2 : 1);
    int64_t j = (m->col - l->map.col) / l->zoom.cell_cols;
    if (i >= w.n_r || j >= w.n_c)
        return;
    row = w.row + i * w.block_r;
    column = w.column + j * w.block_c;
    bool again = column == before_column && before_row >= row &&
                 before_row <= row + (l->zoom.half ? w.block_r : 0);
    if (!again || m->kind == MOUSE_WHEEL) {
        s->row = row;
        s->column = column;
    }
    if (m->kind == MOUSE_WHEEL && m->button < 0)
        cosine_zoom_in(v);
    else if (m->kind == MOUSE_WHEEL)
        cosine_zoom_out(v);
    else if (again)
        open_here(v);
}

static void mouse_on_list(struct view *v, const struct rect *r, struct mouse m,
                          enum cosine_pane pane)
{
    struct cosine *s = v->state;
    struct cosine_table t;
    bool opened = false;
    int rows;

    s->pane = pane;
    m.row -= r->row + 1;
    m.col -= r->col;
    struct table_state *state = focused(v, &t, &rows);
    if (m.row >= 0)
        table_mouse(&t.table, state, &m, rows, r->cols, &opened);
    cosine_sort_lists(v);
    follow_list(v);
    cosine_settle(v);
    if (opened)
        open_here(v);
}

enum outcome cosine_mouse(struct view *v, const struct mouse *m)
{
    struct cosine *s = v->state;

    if (!v->desk || !s->map || m->kind == MOUSE_RELEASE || m->kind == MOUSE_DRAG)
        return OUT_IGNORED;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    if (rect_has(&l.map, m->row, m->col))
        mouse_on_map(v, &l, m);
    else if (rect_has(&l.list, m->row, m->col))
        mouse_on_list(v, &l.list, *m, COSINE_LIST);
    else if (rect_has(&l.truths, m->row, m->col))
        mouse_on_list(v, &l.truths, *m, COSINE_TRUTH);
    else
        return OUT_IGNORED;
    cosine_settle(v);
    return OUT_DONE;
}

/* -- options and commands ----------------------------------------------------------------------- */

enum { OPT_AGAINST, OPT_WEIGHTS, OPT_ORDER, OPT_POOL, OPT_SCALE };
static const char *const weights_choices[] = {"decoder", "encoder", NULL};
static const char *const pool_choices[] = {"strongest", "mean", NULL};
static const char *const scale_choices[] = {"auto", "full", NULL};

const struct view_option cosine_options[] = {
    [OPT_AGAINST] = {"against", "self, truth, or the name of another SAE ([ ])", NULL},
    [OPT_WEIGHTS] = {"weights", "rows of the decoder or of the encoder", weights_choices},
    [OPT_ORDER] = {"order", "of rows and columns: by id, best match, clusters (s)",
                   cosine_order_names},
    [OPT_POOL] = {"pool", "what a cell of many cosines shows: the strongest or the mean (t)",
                  pool_choices},
    [OPT_SCALE] = {"scale", "colours up to the strongest on the screen, or from -1 to 1",
                   scale_choices},
    {NULL, NULL, NULL},
};

static int choice(const char *const *choices, const char *value)
{
    for (int i = 0; choices[i]; i++)
        if (strcmp(choices[i], value) == 0)
            return i;
    return -1;
}

void cosine_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct cosine *s = v->state;

    switch (i) {
    case OPT_AGAINST:
        snprintf(buf, size, "%s", s->want.kind == AGAINST_SELF    ? "self"
                                  : s->want.kind == AGAINST_TRUTH ? "truth"
                                  : v->session->saes[s->want.other].name);
        break;
    case OPT_WEIGHTS: snprintf(buf, size, "%s", weights_choices[s->want.weights]); break;
    case OPT_ORDER: snprintf(buf, size, "%s", cosine_order_names[s->order]); break;
    case OPT_POOL: snprintf(buf, size, "%s", pool_choices[s->pool]); break;
    default: snprintf(buf, size, "%s", scale_choices[s->full_scale]); break;
    }
}

static bool set_against(struct view *v, const char *value, struct err *err)
{
    struct cosine *s = v->state;
    enum cosine_kind kind = strcmp(value, "self") == 0    ? AGAINST_SELF
                            : strcmp(value, "truth") == 0 ? AGAINST_TRUTH
                                                          : AGAINST_SAE;
    int other = kind == AGAINST_SAE ? desk_find(v->desk, value) : -1;

    if (kind == AGAINST_SAE && other < 0)
        return err_set(err, ERR_USAGE, "against: found \"%s\" (expected self, truth, or the "
                                       "name of an open SAE)", value);
    if (other >= 0 && other == s->want.sae)
        kind = AGAINST_SELF;
    if (!cosine_can(v, kind, err))
        return false;
    s->chosen = true;
    s->want.kind = kind;
    if (kind == AGAINST_SAE)
        desk_set_partner(v->desk, other); /* changed() follows */
    cosine_update(v);
    return true;
}

bool cosine_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct cosine *s = v->state;

    if (!v->desk)
        return err_set(err, ERR_USAGE, "no checkpoint is open");
    if (i == OPT_AGAINST)
        return set_against(v, value, err);
    const char *const *choices = cosine_options[i].choices;
    int n = choice(choices, value);
    if (n < 0)
        return err_set(err, ERR_USAGE, "%s: found \"%s\" (expected %s, %s%s%s)",
                       cosine_options[i].name, value, choices[0], choices[1],
                       i == OPT_ORDER ? ", " : "", i == OPT_ORDER ? choices[2] : "");
    switch (i) {
    case OPT_WEIGHTS:
        s->want.weights = (enum cosine_weights)n;
        cosine_update(v);
        break;
    case OPT_ORDER: set_order(v, (enum cosine_order)n); break;
    case OPT_POOL: s->pool = (enum heat_pool)n; break;
    default: s->full_scale = n == 1; break;
    }
    cosine_settle(v);
    return true;
}

static bool go_to_row(struct view *v, const char *text, struct err *err)
{
    struct cosine *s = v->state;
    char *end;
    int64_t id = strtoll(text + strspn(text, " #"), &end, 10);

    if (!s->map || end == text || *end || id < 0)
        return err_set(err, ERR_USAGE, "not the number of a row (found \"%s\")", text);
    if (id >= s->map->heat.blocks.rows)
        return err_set(err, ERR_RANGE, "there is no row %s (expected 0 to %lld)", text,
                       (long long)s->map->heat.blocks.rows - 1);
    cosine_go_to(v, id, -1);
    cosine_settle(v);
    return true;
}

/* ":against topk", ":order cluster", "#17" */
bool cosine_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    if (what == ASK_GOTO)
        return go_to_row(v, text, err);
    if (what == ASK_COMMAND)
        for (int i = 0; cosine_options[i].name; i++) {
            size_t n = strlen(cosine_options[i].name);
            if (strncmp(text, cosine_options[i].name, n) == 0 && (!text[n] || text[n] == ' '))
                return cosine_option_set(v, i, text + n + strspn(text + n, " "), err);
        }
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
}

const char *cosine_word(const struct view *v, enum ask what, int i)
{
    const int n = OPT_SCALE + 1;

    if (what != ASK_COMMAND)
        return NULL;
    if (i < n)
        return cosine_options[i].name;
    return i - n < v->session->n_saes ? v->session->saes[i - n].name : NULL;
}
