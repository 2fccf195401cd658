/* view_compare_paint.c - view 5: how it looks, and where; see view_compare.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/str.h"
#include "model/session.h"
#include "tui/view_compare.h"
#include "tui/wid_hist.h"

/* -- metrics --------------------------------------------------------------------------------- */

struct metric {
    const char *name, *brief;
    size_t offset;   /* in struct scan_totals; */
    bool is_score;   /* in struct page_score */
    bool is_percent;
};

static const struct metric metrics[] = {
    {"L0", "L0", offsetof(struct scan_totals, l0), false, false},
    {"FVU", "FVU", offsetof(struct scan_totals, fvu), false, false},
    {"explained variance", "expl. var.", offsetof(struct scan_totals, explained_variance), false, false},
    {"dead features", "dead", offsetof(struct scan_totals, dead_fraction), false, true},
    {"reconstruction score", "rec. score", offsetof(struct page_score, reconstruction_score),
     true, false},
    {"nats lost", "nats lost", offsetof(struct page_score, nats_lost), true, false},
    {"KL", "KL", offsetof(struct page_score, kl), true, false},
    {"L1", "L1", offsetof(struct scan_totals, l1), false, false},
    {"cosine", "cosine", offsetof(struct scan_totals, cosine), false, false},
};
enum { METRICS = sizeof metrics / sizeof *metrics };

static double metric_value(const struct view *v, int side, int m)
{
    const struct compare *s = v->state;
    const struct desk_score *score = desk_score(v->desk, s->sae[side]);
    double x = NAN;

    if (metrics[m].is_score && score->known)
        memcpy(&x, (const char *)&score->page + metrics[m].offset, sizeof x);
    else if (!metrics[m].is_score && s->index[side])
        memcpy(&x, (const char *)index_totals(s->index[side]) + metrics[m].offset, sizeof x);
    return x;
}

static void value_text(double x, bool is_percent, int width, char *buf, size_t size)
{
    if (isnan(x))
        snprintf(buf, size, "·");
    else if (is_percent)
        percent_text(x, buf, size);
    else if (snprintf(buf, size, "%.4g", x) > width)
        number_text(x, width, buf, size);
}

static void difference_text(double d, bool is_percent, int width, char *buf, size_t size)
{

    if (isnan(d))
        snprintf(buf, size, "·");
    else if (is_percent)
        snprintf(buf, size, "%+.1f pt", 100 * d);
    else if (snprintf(buf, size, "%+.4g", d) > width) {
        buf[0] = d < 0 ? '-' : '+';
        number_text(fabs(d), width - 1, buf + 1, size - 1);
    }
}

enum {
    METRIC_NAME = 22, METRIC_BRIEF = 10, METRIC_FIGURES = 9,
    METRICS_LEFT = METRIC_BRIEF + 3 * METRIC_FIGURES + 2, /* and what stands beside them */
};

static int name_cols(int cols)
{
    return cols >= METRIC_NAME + 3 * METRIC_FIGURES ? METRIC_NAME : METRIC_BRIEF;
}

/* In the first row of those that there cannot be, or not yet. */
static bool paint_why(const struct view *v, struct canvas *c, int row, int m, int name)
{
    const struct compare *s = v->state;
    bool samples = samples_have_features(v->session->samples);
    bool first_score = metrics[m].is_score && !metrics[m - 1].is_score;
    char text[600];

    if (first_score)
        desk_score_text(v->desk, s->sae[0], text, sizeof text);
    else if (m == 0 && !samples)
        snprintf(text, sizeof text, "needs --acts");
    else
        return false;
    canvas_fit(c, row, name + 1, c->cols - name - 1, ALIGN_RIGHT, INK_DIM, text);
    return true;
}

static void paint_metric(const struct view *v, struct canvas *c, int row, int m)
{
    int name = name_cols(c->cols), width = (c->cols - name) / 3;
    double x[] = {metric_value(v, 0, m), metric_value(v, 1, m)};
    char text[64];

    canvas_fit(c, row, 0, name, ALIGN_LEFT, INK_LABEL,
               name < METRIC_NAME ? metrics[m].brief : metrics[m].name);
    if (isnan(x[0]) && isnan(x[1]) && paint_why(v, c, row, m, name))
        return;
    for (int k = 0; k < 2; k++) {
        value_text(x[k], metrics[m].is_percent, width - 1, text, sizeof text);
        canvas_fit(c, row, name + k * width, width - 1, ALIGN_RIGHT,
                   isnan(x[k]) ? INK_DIM : INK_VALUE | STYLE_BOLD, text);
    }
    double d = x[1] - x[0];
    difference_text(d, metrics[m].is_percent, width, text, sizeof text);
    canvas_fit(c, row, name + 2 * width, width, ALIGN_RIGHT,
               isnan(d) || d == 0 ? INK_DIM : d < 0 ? INK_NEGATIVE : INK_POSITIVE, text);
}

static void paint_metrics(const struct view *v, struct canvas *c)
{
    int name = name_cols(c->cols), width = (c->cols - name) / 3;

    canvas_fit(c, 0, name, width - 1, ALIGN_RIGHT, INK_BAR, "A");
    canvas_fit(c, 0, name + width, width - 1, ALIGN_RIGHT, INK_BAR_2, "B");
    canvas_fit(c, 0, name + 2 * width, width, ALIGN_RIGHT, INK_HEADER, "B - A");
    for (int m = 0; m < METRICS && m + 1 < c->rows; m++)
        paint_metric(v, c, m + 1, m);
}

/* -- places ------------------------------------------------------------------------------------- */

enum { HEAD = 1, SUMMARY = 1, LIST_MIN = 8, WIDE = 150, TOP_ROWS = 14 };

struct compare_places compare_places(const struct view *v)
{
    const struct compare *s = v->state;
    struct compare_places p = {0};
    int rows = v->rows, cols = v->cols, half = cols / 2;
    int top = rows - HEAD - SUMMARY - 1 - LIST_MIN;

    if (s->reading) {
        p.pages[0] = (struct compare_place){3, 0, rows - 3, half - 1};
        p.pages[1] = (struct compare_place){3, half + 1, rows - 3, cols - half - 1};
        return p;
    }
    top = top > TOP_ROWS ? TOP_ROWS : top;
    if (top < METRICS + 1 && rows - METRICS - 1 > HEAD + SUMMARY + 6)
        top = METRICS + 1;
    top = top < 0 ? 0 : top;
    int left = cols >= 120 ? cols * 2 / 5 : cols >= 80 ? cols * 45 / 100 : METRICS_LEFT;
    left = left < cols ? left : cols;
    p.metrics = (struct compare_place){HEAD, 1, top, left - 2};
    p.hist = (struct compare_place){HEAD, left + 1, top, cols - left - 1};
    int at = HEAD + top + SUMMARY;
    p.tabs = (struct compare_place){at, 0, 1, cols};
    p.list = (struct compare_place){at + 1, 0, rows - at - 1, cols};
    if (cols >= WIDE) {
        int page = cols * 3 / 10;
        p.list.cols = cols - 2 * page - 2;
        p.pages[0] = (struct compare_place){at + 1, p.list.cols + 1, p.list.rows, page};
        p.pages[1] = (struct compare_place){at + 1, cols - page, p.list.rows, page};
    }
    return p;
}

/* -- head, summary, tabs -------------------------------------------------------------------------- */

static void paint_side(const struct view *v, struct canvas *c, int side, int col, int width)
{
    const struct compare *s = v->state;
    const struct sae *sae = compare_sae(v, side);
    uint32_t ink = (side ? INK_BAR_2 : INK_BAR) | STYLE_BOLD;
    char text[600], d_sae[32];

    snprintf(text, sizeof text, "%c %s", "AB"[side], v->session->saes[s->sae[side]].name);
    int used = text_width(text) < width ? text_width(text) : width;
    canvas_fit(c, 0, col, used, ALIGN_LEFT, ink, text);
    if (sae)
        snprintf(text, sizeof text, "%s %lld → %s", sae->arch->name, (long long)sae->d_in,
                 count_text(sae->d_sae, d_sae, sizeof d_sae));
    else
        desk_state_text(v->desk, s->sae[side], text, sizeof text);
    canvas_fit(c, 0, col + used + 1, width - used - 1, ALIGN_LEFT, INK_TEXT, text);
}

const char *compare_pairing_text(const struct compare *s)
{
    static const char *const texts[] = {
        [PAIR_BEST] = "best match", [PAIR_ONE] = "one to one", [PAIR_SAME] = "same number"};
    return texts[s->pairing];
}

/* Behind what is there, if it has room. */
static void append_if(struct str *text, int room, const char *more)
{
    if (text_width(str_text(text)) + text_width(more) <= room)
        str_puts(text, more);
}

static void describe_matching(const struct compare *s, int room, struct str *text)
{
    const char *one = room < 108 ? "1 to 1" : "one to one";
    char n[32], more[600];

    str_appendf(text, "MMCS A→B %.4f · B→A %.4f · mutual %s", s->mmcs[0], s->mmcs[1],
                count_text(s->n_mutual, n, sizeof n));
    if (room >= 108)
        str_appendf(text, " of %s", count_text(s->top->n[0], n, sizeof n));
    snprintf(more, sizeof more, " · %s ...", one);
    if (s->one[0])
        snprintf(more, sizeof more, " · %s %.4f", one, s->one_mean);
    append_if(text, room, more);
    if (s->one[0])
        append_if(text, room, s->optimal ? " optimal" : " greedy");
    snprintf(more, sizeof more, room < 108 ? " · %s" : " · pairs by %s", compare_pairing_text(s));
    append_if(text, room, more);
}

/* What the matching says as a whole. */
static void paint_summary(const struct view *v, struct canvas *c, int row)
{
    const struct compare *s = v->state;
    const struct err *err = &v->slots[SLOT_MATCH].err;
    struct str text = {0};

    if (!s->top || !s->top->whole) {
        double known = s->top && s->top->n[0] ? (double)compare_known(s, 0) / (double)s->top->n[0]
                                              : 0;
        str_appendf(&text, "best matches: %.0f %% of A", floor(100 * known));
        if (err->code)
            str_appendf(&text, ", %s: R goes on", err->msg);
    } else if (err->code && !s->one[0]) {
        str_appendf(&text, "1 to 1: %s · mutual %lld · R tries again", err->msg,
                    (long long)s->n_mutual);
    } else {
        describe_matching(s, c->cols - 2, &text);
    }
    canvas_fit(c, row, 1, c->cols - 2, ALIGN_LEFT, INK_VALUE, str_text(&text));
    str_finish(&text);
}

/* How much the tabs say: all counts, that of the list shown, or none and short words. */
enum tabs { TABS_COUNTED, TABS_ONE, TABS_BRIEF };

/* list LISTS: all checkpoints. */
static void tab_text(const struct view *v, int list, enum tabs tabs, char *buf, size_t size)
{
    const struct compare *s = v->state;
    bool shown = s->top && !s->all && list == (int)s->list;
    char count[32];

    if (list == LISTS)
        snprintf(buf, size, "%s", !compare_has_all(v)  ? ""
                                  : tabs == TABS_BRIEF ? " all "
                                                       : " all checkpoints ");
    else if (tabs == TABS_COUNTED || (tabs == TABS_ONE && shown))
        snprintf(buf, size, " %s %s ", compare_list_name[list],
                 count_text(s->counts[list], count, sizeof count));
    else
        snprintf(buf, size, " %s ", compare_list_name[list]);
}

/* Where tab `list` begins; of LISTS + 1: where the last one ends. A gap sets off the one
 * that is no list. */
static int tab_col(const struct view *v, int list, enum tabs tabs)
{
    char text[64];
    int col = list >= LISTS && tabs != TABS_BRIEF;

    for (int l = 0; l < list; l++) {
        tab_text(v, l, tabs, text, sizeof text);
        col += text_width(text);
    }
    return col;
}

/* The most that there is room for. */
static enum tabs tabs_of(const struct view *v, int cols)
{
    const struct compare *s = v->state;
    enum tabs tabs = s->top ? TABS_COUNTED : TABS_ONE; /* nothing has been counted */

    while (tabs < TABS_BRIEF && tab_col(v, LISTS + 1, tabs) > cols)
        tabs++;
    return tabs;
}

int compare_tab_at(const struct view *v, int col)
{
    enum tabs tabs = tabs_of(v, v->cols);

    for (int l = LISTS; l >= 0; l--)
        if (col >= tab_col(v, l, tabs))
            return col < tab_col(v, l + 1, tabs) ? l : -1;
    return -1;
}

static void paint_tabs(const struct view *v, struct canvas *c, int row)
{
    const struct compare *s = v->state;
    enum tabs tabs = tabs_of(v, c->cols);
    char text[64];

    for (int l = 0; l <= LISTS; l++) {
        tab_text(v, l, tabs, text, sizeof text);
        bool on = s->all ? l == LISTS : l == (int)s->list;
        bool empty = l < LISTS && s->counts[l] == 0;
        canvas_text(c, row, tab_col(v, l, tabs), on ? INK_TAB_ON : empty ? INK_DIM : INK_TAB,
                    text);
    }
}

/* -- pages ----------------------------------------------------------------------------------------- */

/* The pair of both pages in one line. */
static void paint_pair(const struct view *v, struct canvas *c, int row)
{
    const struct compare *s = v->state;
    int side = compare_side(s);
    int64_t id = v->target.feature;
    struct pair_figures f = compare_figures_of(s, side, id);
    struct str text = {0};

    str_appendf(&text, "%s %s", compare_list_name[s->list], compare_pairing_text(s));
    if (!isnan(f.decoder))
        str_appendf(&text, " · decoder cosine %.3f", (double)f.decoder);
    if (!isnan(f.encoder))
        str_appendf(&text, " · encoder cosine %.3f", (double)f.encoder);
    if (!isnan(f.correlation))
        str_appendf(&text, " · correlation %.3f", (double)f.correlation);
    if (compare_is_mutual(s, side, id))
        str_puts(&text, " · each other's best match");
    canvas_fit(c, row, 1, c->cols - 2, ALIGN_LEFT, INK_VALUE, str_text(&text));
    str_finish(&text);
}

static void paint_pages(const struct view *v, struct canvas *c, const struct compare_places *p)
{
    const struct compare *s = v->state;

    for (int k = 0; k < 2; k++) {
        const struct compare_place *at = &p->pages[k];
        struct canvas page = canvas_sub(c, at->row, at->col, at->rows, at->cols);
        if (page.rows < 1 || page.cols < 1)
            continue;
        if (s->pages[k].feature < 0)
            canvas_wrap(&page, 0, INK_DIM, s->n_ids ? "no partner on this side" : "");
        pane_paint(v, SLOT_PAGE_A + k, &s->pages[k], s->decimals[k], &page);
        canvas_vline(c, at->row, at->col - 1, at->rows, INK_RULE);
    }
}

/* -- all --------------------------------------------------------------------------------------------- */

static void paint_list(const struct view *v, struct canvas *c, const struct compare_place *at)
{
    const struct compare *s = v->state;
    struct canvas body = canvas_sub(c, at->row, at->col, at->rows, at->cols);
    struct compare_table t;

    if (body.rows < 1)
        return;
    compare_table(v, &t);
    if (!s->top && view_paint_missing(v, SLOT_MATCH, &body))
        return;
    table_paint(&body, &t.table, &s->table, s->focus == COMPARE_LIST);
}

static void paint_two(const struct view *v, struct canvas *c)
{
    const struct compare *s = v->state;
    struct compare_places p = compare_places(v);
    struct canvas left = canvas_sub(c, p.metrics.row, p.metrics.col, p.metrics.rows,
                                    p.metrics.cols);
    struct canvas right = canvas_sub(c, p.hist.row, p.hist.col, p.hist.rows, p.hist.cols);

    if (left.rows > 0)
        paint_metrics(v, &left);
    if (right.rows > 0)
        compare_hist_paint(v, &right, s->focus == COMPARE_HIST);
    paint_summary(v, c, p.tabs.row - 1);
    paint_tabs(v, c, p.tabs.row);
    paint_list(v, c, &p.list);
    paint_pages(v, c, &p);
}

static const char nothing_to_compare[] =
    "only one checkpoint is open: saescope A B, --sae given twice, or a bundle with several";

void compare_paint(const struct view *v, struct canvas *c)
{
    const struct compare *s = v->state;
    struct canvas body = canvas_sub(c, 2, 1, c->rows - 2, c->cols - 2);

    if (!v->desk || desk_count(v->desk) == 0 || s->sae[1] < 0) {
        canvas_wrap(c, 0, INK_DIM, v->desk && desk_count(v->desk) ? nothing_to_compare
                                                                  : "no checkpoint is open");
        return;
    }
    paint_side(v, c, 0, 1, c->cols / 2 - 2);
    paint_side(v, c, 1, c->cols / 2 + 1, c->cols - c->cols / 2 - 2);
    if (s->all) {
        compare_all_paint(v, c);
        paint_tabs(v, c, compare_all_tabs_row(v));
    } else if (s->err.code)
        canvas_wrap(&body, 0, INK_ERROR, s->err.msg);
    else if (!compare_sae(v, 0) || !compare_sae(v, 1))
        canvas_wrap(&body, 0, INK_DIM, "loading ...");
    else if (s->reading) {
        struct compare_places p = compare_places(v);
        paint_pair(v, c, 1);
        paint_pages(v, c, &p);
    } else {
        paint_two(v, c);
    }
}
