/* view_overview.c - view 1: a card for every open checkpoint, rows for the others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/view_overview.h"

/* The walk without paint: items (the caller's to free) and rows. */
static struct page measure(const struct view *v, struct canvas *scratch)
{
    struct page p = {.v = v, .c = scratch, .cols = v->cols};

    canvas_init(scratch, 1, v->cols);
    overview_build(&p);
    return p;
}

static void forget(struct page *p)
{
    free(p->items);
    canvas_finish(p->c);
}

static int find_item(const struct page *p)
{
    const struct overview *o = p->v->state;

    for (int i = 0; i < p->n; i++)
        if (p->items[i].place.sae == o->cursor.sae && p->items[i].place.key == o->cursor.key)
            return i;
    for (int i = 0; i < p->n; i++) /* it has been opened since, or another has */
        if (p->items[i].place.sae == o->cursor.sae)
            return i;
    return p->n ? 0 : -1;
}

static void overview_draw(const struct view *v, struct canvas *c)
{
    const struct overview *o = v->state;
    struct view sized = *v; /* of the canvas at hand */
    struct canvas whole;

    if (!v->desk || desk_count(v->desk) == 0) {
        canvas_wrap(c, 0, INK_DIM, "no checkpoint is open");
        return;
    }
    sized.cols = c->cols;
    struct page p = measure(&sized, &whole);
    int rows = p.row;
    forget(&p);
    canvas_init(&whole, rows > c->rows ? rows : c->rows, c->cols);
    whole.ascii = c->ascii;
    whole.mono = c->mono;
    p = (struct page){.v = &sized, .c = &whole, .cols = c->cols};
    overview_build(&p);
    int top = o->top > rows - c->rows ? rows - c->rows : o->top;
    top = top < 0 ? 0 : top;
    for (int row = 0; row < c->rows; row++)
        memcpy(c->cells + (ptrdiff_t)row * c->stride,
               whole.cells + (ptrdiff_t)(row + top) * whole.stride,
               (size_t)c->cols * sizeof *c->cells);
    forget(&p);
}

/* The row after an item; a card's is after all that it holds. */
static int end_of(const struct page *p, int i)
{
    int end = p->items[i].row + p->items[i].rows;

    if (p->items[i].place.key == ITEM_CARD)
        for (int k = i + 1; k < p->n && p->items[k].place.sae == p->items[i].place.sae; k++)
            end = p->items[k].row + p->items[k].rows > end
                      ? p->items[k].row + p->items[k].rows : end;
    return end;
}

static void show_item(struct view *v, const struct page *p, int i)
{
    struct overview *o = v->state;
    const struct item *item = &p->items[i];
    int last = p->row - v->rows, end = end_of(p, i);

    o->cursor = item->place;
    if (i == 0)
        o->top = 0;
    if (end > o->top + v->rows)
        o->top = end - v->rows;
    if (item->row < o->top) /* of what is higher than the screen the top */
        o->top = item->row;
    o->top = o->top > last ? last : o->top;
    o->top = o->top < 0 ? 0 : o->top;
}

/* A card that was asked for arrives and fills step by step. */
static void follow(struct view *v)
{
    struct overview *o = v->state;
    struct canvas scratch;

    if (!o->follow || !overview_is_loaded(v, o->cursor.sae))
        return;
    struct page p = measure(v, &scratch);
    int at = find_item(&p);
    if (at >= 0)
        show_item(v, &p, at);
    forget(&p);
}

/* -- life ----------------------------------------------------------------------------- */

static void overview_loaded(struct view *v, int slot, struct job *job)
{
    (void)slot; /* there is one */
    overview_take_facts(v, job);
}

static bool overview_open(struct view *v, struct err *err)
{
    struct overview *o = v->state;

    (void)err;
    v->target = TARGET_NONE;
    o->n_cards = v->desk ? desk_count(v->desk) : 0;
    o->cards = xcalloc((size_t)o->n_cards + 1, sizeof *o->cards);
    o->cursor.sae = v->desk ? desk_current(v->desk) : 0;
    return true;
}

static void refresh(struct view *v)
{
    v->target.sae = desk_current(v->desk);
    overview_derive_cards(v);
    overview_start_facts(v);
}

static void overview_go(struct view *v, const struct target *at)
{
    if (!v->desk)
        return;
    desk_go(v->desk, at);
    refresh(v);
}

static void overview_changed(struct view *v)
{
    if (!v->desk)
        return;
    refresh(v);
    follow(v);
}

static void overview_tick(struct view *v)
{
    if (v->desk)
        overview_derive_cards(v);
}

static void overview_close(struct view *v)
{
    struct overview *o = v->state;

    for (int i = 0; i < o->n_cards; i++) {
        page_info_finish(&o->cards[i].info);
        overview_drop_small(&o->cards[i]);
    }
    free(o->cards);
}

/* -- keys ----------------------------------------------------------------------------- */

/* The nearest item in a direction: down and up take the next row, there the column that is
 * nearest; left and right stay among the items that share a row. */
static int neighbour(const struct page *p, int from, enum action a)
{
    const struct item *at = &p->items[from];
    bool vertical = a == ACT_DOWN || a == ACT_UP;
    int best = -1, best_cost = 0;

    for (int i = 0; i < p->n; i++) {
        const struct item *to = &p->items[i];
        int dr = to->row - at->row, dc = to->col - at->col;
        int off = a == ACT_DOWN ? dr : a == ACT_UP ? -dr : a == ACT_RIGHT ? dc : -dc;
        if (off <= 0)
            continue;
        int across = vertical ? abs(dc) : abs(dr);
        int cost = vertical ? off + 8 * across : 64 * across + off;
        if (!vertical && across > 3 * (at->rows > to->rows ? at->rows : to->rows))
            continue;
        if (best < 0 || cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best < 0 ? from : best;
}

static int next_card(const struct page *p, int from, int by)
{
    int i = from + by;

    while (i >= 0 && i < p->n && p->items[i].place.key != ITEM_CARD &&
           p->items[i].place.key != ITEM_OTHER)
        i += by;
    return i < 0 ? 0 : i >= p->n ? p->n - 1 : i;
}

static void scroll(struct view *v, const struct page *p, int *at, int rows)
{
    struct overview *o = v->state;
    int want = p->items[*at].row + rows, best = *at;

    for (int i = 0; i < p->n; i++)
        if (abs(p->items[i].row - want) < abs(p->items[best].row - want))
            best = i;
    o->top += rows;
    *at = best;
}

static void open_item(struct view *v, const struct item *item)
{
    struct target at = TARGET_NONE;

    if (item->place.key == ITEM_OTHER) {
        ((struct overview *)v->state)->follow = true;
        desk_retry(v->desk, item->place.sae); /* after a failure; else it does nothing */
        desk_choose(v->desk, item->place.sae);
        return;
    }
    desk_choose(v->desk, item->place.sae);
    at.sae = item->place.sae;
    if (item->of)
        snprintf(at.of, sizeof at.of, "%s", item->of);
    if (item->filter)
        snprintf(at.filter, sizeof at.filter, "%s", item->filter);
    if (item->view && strcmp(item->view, v->ops->name) != 0)
        app_open(v->app, item->view, &at);
}

static void again(struct view *v)
{
    struct overview *o = v->state;

    v->slots[SLOT_FACTS].err = (struct err){0};
    desk_retry(v->desk, o->cursor.sae);
    overview_start_facts(v);
}

static bool act_on(struct view *v, const struct page *p, const struct press *press)
{
    int at = find_item(p), from = at;

    if (at < 0)
        return false;
    ((struct overview *)v->state)->follow = false;
    switch (press->action) {
    case ACT_DOWN:
    case ACT_UP:
    case ACT_LEFT:
    case ACT_RIGHT:
        for (int i = 0; i < press->count; i++)
            at = neighbour(p, at, press->action);
        break;
    case ACT_PANE_NEXT: at = next_card(p, at, 1); break;
    case ACT_PANE_PREV: at = next_card(p, at, -1); break;
    case ACT_HALF_DOWN: scroll(v, p, &at, v->rows / 2); break;
    case ACT_HALF_UP: scroll(v, p, &at, -(v->rows / 2)); break;
    case ACT_PAGE_DOWN: scroll(v, p, &at, v->rows); break;
    case ACT_PAGE_UP: scroll(v, p, &at, -v->rows); break;
    case ACT_FIRST: at = 0; break;
    case ACT_LAST: at = p->n - 1; break;
    case ACT_OPEN: open_item(v, &p->items[from]); return true;
    case ACT_SELECT: desk_choose(v->desk, p->items[from].place.sae); return true;
    case ACT_RELOAD: again(v); return true;
    case ACT_ABLATE: desk_score_again(v->desk, p->items[from].place.sae); return true;
    default: return false;
    }
    show_item(v, p, at);
    return true;
}

static enum outcome overview_act(struct view *v, const struct press *press)
{
    struct canvas scratch;

    if (!v->desk)
        return OUT_IGNORED;
    struct page p = measure(v, &scratch);
    bool taken = act_on(v, &p, press);
    forget(&p);
    return taken ? OUT_DONE : OUT_IGNORED;
}

static bool is_on(const struct item *i, int row, int col)
{
    return row >= i->row && row < i->row + i->rows && col >= i->col && col < i->col + i->cols;
}

static enum outcome overview_mouse(struct view *v, const struct mouse *m)
{
    struct overview *o = v->state;
    struct canvas scratch;

    if (!v->desk || (m->kind != MOUSE_PRESS && m->kind != MOUSE_WHEEL))
        return OUT_IGNORED;
    struct page p = measure(v, &scratch);
    int last = p.row > v->rows ? p.row - v->rows : 0;
    if (m->kind == MOUSE_WHEEL) {
        o->top += 3 * m->button;
        o->top = o->top < 0 ? 0 : o->top > last ? last : o->top;
    }
    for (int i = 0; m->kind == MOUSE_PRESS && m->button == 1 && i < p.n; i++) {
        if (!is_on(&p.items[i], m->row + o->top, m->col))
            continue;
        if (i == find_item(&p))
            open_item(v, &p.items[i]);
        else
            o->cursor = p.items[i].place;
        break;
    }
    forget(&p);
    return OUT_DONE;
}

/* -- words ---------------------------------------------------------------------------- */

static void overview_status(const struct view *v, char *buf, size_t size)
{
    const struct overview *o = v->state;
    int loaded = 0;
    char state[160];

    if (!v->desk || !desk_count(v->desk))
        return;
    for (int i = 0; i < o->n_cards; i++)
        loaded += overview_is_loaded(v, i);
    desk_state_text(v->desk, o->cursor.sae, state, sizeof state);
    snprintf(buf, size, "%s · %d of %d open%s%s", v->session->saes[o->cursor.sae].name, loaded,
             o->n_cards, state[0] ? " · " : "", state);
}

static const char *overview_explain(const struct view *v)
{
    struct canvas scratch;
    const char *term = NULL;

    if (!v->desk)
        return NULL;
    struct page p = measure(v, &scratch);
    int at = find_item(&p);
    if (at >= 0)
        term = p.items[at].term;
    forget(&p);
    return term;
}

/* -- the table of it ------------------------------------------------------------------ */

static const struct view_key overview_keys[] = {
    {ACT_OPEN, "open|open what a number or histogram is about; load a checkpoint"},
    {ACT_SELECT, "make current|make this checkpoint the current one: the other views show it"},
    {ACT_PANE_NEXT, "next card"},
    {ACT_DOWN, NULL},
    {ACT_ABLATE, "score|compute the reconstruction score"},
    {ACT_RELOAD, "again|again, after it failed or was cancelled"},
    {ACT_WRITE, "write what `saescope info`, `scan` and `score` print, to a .tsv or .json file"},
    {ACT_NONE, NULL},
};

const struct view_ops view_overview_ops = {
    .name = "overview",
    .digit = 1,
    .purpose = "what is open, whether it is sound, and how well it reconstructs",
    .searched_in = "features",
    .state_size = sizeof(struct overview),
    .keys = overview_keys,
    .terms = overview_terms,
    .open = overview_open,
    .go = overview_go,
    .loaded = overview_loaded,
    .changed = overview_changed,
    .tick = overview_tick,
    .draw = overview_draw,
    .status = overview_status,
    .act = overview_act,
    .mouse = overview_mouse,
    .explain = overview_explain,
    .copy = overview_copy,
    .export = overview_export,
    .close = overview_close,
};
