/* view_feature_places.c - where the panes of view 3 stand at every size. */
#include "tui/view_feature.h"

#define HAS(pane) (1u << (pane))

/* A stretch of a column for one pane, or for several of which one shows. */
struct slot {
    unsigned panes;
    int least, most, weight; /* rows; what is left over goes by weight */
};

/* The last one visited; else the first. */
static enum pane pane_of(const struct feature_view *s, unsigned panes)
{
    enum pane best = PANE_COUNT;

    for (int i = 0; i < PANE_COUNT; i++)
        if (panes & HAS(i) && (best == PANE_COUNT || s->visited[i] > s->visited[best]))
            best = (enum pane)i;
    return best;
}

/* What does not fit shares a place with the slot before it, from the end on. */
static int merge(struct slot *slots, int n, int rows)
{
    for (; n > 1; n--) {
        int need = 0;
        for (int i = 0; i < n; i++)
            need += slots[i].least;
        if (need <= rows)
            break;
        struct slot *into = &slots[n - 2], *from = &slots[n - 1];
        into->panes |= from->panes;
        into->least = from->least > into->least ? from->least : into->least;
        into->most = from->most > into->most ? from->most : into->most;
        into->weight += from->weight;
    }
    return n;
}

static void stack(const struct feature_view *s, struct slot *slots, int n, struct place in,
                  struct place at[PANE_COUNT])
{
    int height[PANE_COUNT], spare = in.rows, row = in.row;

    n = merge(slots, n, in.rows);
    for (int i = 0; i < n; i++) {
        height[i] = slots[i].least < in.rows ? slots[i].least : in.rows;
        spare -= height[i];
    }
    for (bool grows = true; spare > 0 && grows;) { /* a row at a time, where it is due most */
        int best = -1;
        for (int i = 0; i < n; i++)
            if (height[i] < slots[i].most &&
                (best < 0 || (height[i] - slots[i].least) * slots[best].weight <
                                 (height[best] - slots[best].least) * slots[i].weight))
                best = i;
        grows = best >= 0;
        if (grows) {
            height[best]++;
            spare--;
        }
    }
    for (int i = 0; i < n; i++) {
        enum pane pane = pane_of(s, slots[i].panes);
        at[pane] = (struct place){row, in.col, height[i], in.cols, slots[i].panes & ~HAS(pane)};
        row += height[i];
    }
}

/* The chosen interval and two more below it. */
static int intervals_most(const struct view *v)
{
    return 3 * (1 + feature_examples(v) * (v->mono ? 2 : 1));
}

enum { ANY = 1000, CHART_ENOUGH = 14, CHART_MOST = 22, NEAR_MOST = 16, ABLATE_MOST = 14 };

static void place_lists(const struct view *v, unsigned others, struct place in,
                        struct place at[PANE_COUNT])
{
    const struct feature_view *s = v->state;
    bool apart = s->has_exact[s->kept]; /* with nothing to show it takes no room */
    struct slot lists[] = {
        {HAS(PANE_TOP) | others, 6, ANY, 5},
        {HAS(PANE_INTERVAL), 5, intervals_most(v), 4},
        {HAS(PANE_NEIGHBOURS) | (apart || !feature_has_model(v) ? 0 : HAS(PANE_ABLATE)), 5,
         NEAR_MOST, 3},
        {HAS(PANE_ABLATE), 6, ABLATE_MOST, 2},
    };
    stack(s, lists, apart ? 4 : 3, in, at);
}

/* Numbers and charts at the left, texts at the right. */
static void place_wide(const struct view *v, struct place at[PANE_COUNT])
{
    int left = v->cols * 9 / 20 > 76 ? 76 : v->cols * 9 / 20;
    int rows = v->rows - 1, stats = feature_stat_rows(v, left - 1, 1);
    int taller = feature_stat_rows(v, left - 1, FEATURE_STAT_LINES);
    if (taller + 2 * CHART_ENOUGH <= rows)
        stats = taller;
    struct slot charts[] = {
        {HAS(PANE_STATS), stats, stats, 1},
        {HAS(PANE_HIST), 6, CHART_MOST, 1},
        {HAS(PANE_CURVE), 6, CHART_MOST, 1},
    };

    stack(v->state, charts, 3, (struct place){1, 0, rows, left - 1, 0}, at);
    place_lists(v, 0, (struct place){1, left, rows, v->cols - left, 0}, at);
}

static void place_narrow(const struct view *v, struct place at[PANE_COUNT])
{
    int stats = feature_stat_rows(v, v->cols, 1), most = v->rows >= 18 ? stats : v->rows >= 12 ? 3 : 1;
    int row = 1, half = v->cols / 2, charts = v->rows >= 18 ? v->rows / 4 + 1 : 0;
    unsigned others = 0;

    stats = stats < most ? stats : most;
    at[PANE_STATS] = (struct place){row, 0, stats, v->cols, 0};
    row += stats;
    if (charts > 0) {
        at[PANE_HIST] = (struct place){row, 0, charts, half - 1, 0};
        at[PANE_CURVE] = (struct place){row, half, charts, v->cols - half, 0};
        row += charts;
    } else {
        others = HAS(PANE_HIST) | HAS(PANE_CURVE);
    }
    place_lists(v, others, (struct place){row, 0, v->rows - row, v->cols, 0}, at);
}

void feature_places(const struct view *v, struct place at[PANE_COUNT])
{
    for (int i = 0; i < PANE_COUNT; i++)
        at[i] = (struct place){0};
    if (v->cols >= 110 && v->rows >= 16)
        place_wide(v, at);
    else
        place_narrow(v, at);
}
