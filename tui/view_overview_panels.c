/* view_overview_panels.c - numbers, checks and histograms of a card; see view_overview.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/session_lm.h"
#include "tui/checks.h"
#include "tui/view_overview.h"
#include "tui/wid_hist.h"

/* -- numbers of the scan and of the language model */

struct metric {
    const char *name, *term, *view, *of, *filter;
    bool is_scored; /* in struct page_score; else in struct scan_totals */
    size_t offset;
};

#define SCANNED(member) false, offsetof(struct scan_totals, member)
#define SCORED(member) true, offsetof(struct page_score, member)

static const struct metric metrics[] = {
    {"L0", "l0", "biases", "density", NULL, SCANNED(l0)},
    {"FVU", "fvu", "biases", "delta_fvu", NULL, SCANNED(fvu)},
    {"explained variance", "explained_variance", "biases", "delta_fvu", NULL,
     SCANNED(explained_variance)},
    {"mse", "mse", "features", NULL, NULL, SCANNED(mse)},
    {"cosine", "cosine", "features", NULL, NULL, SCANNED(cosine)},
    {"dead features", "dead_fraction", "features", NULL, "density = 0",
     SCANNED(dead_fraction)},
    {"reconstruction score", "reconstruction_score", "score", NULL, NULL,
     SCORED(reconstruction_score)},
    {"nats lost", "nats_lost", "score", NULL, NULL, SCORED(nats_lost)},
    {"KL", "kl", "score", NULL, NULL, SCORED(kl)},
    {"CE original", "ce", "score", NULL, NULL, SCORED(ce_original)},
    {"CE reconstructed", "ce", "score", NULL, NULL, SCORED(ce_reconstructed)},
    {"CE zero", "ce", "score", NULL, NULL, SCORED(ce_zero)},
};
enum { METRICS = sizeof metrics / sizeof *metrics, FIRST_SCORED = 6 };

const char *overview_metric_name(int m)
{
    return m < METRICS ? metrics[m].name : NULL;
}

/* The score so far is shown as it grows. */
static double score_value(const struct view *v, int i, int m)
{
    const struct desk_score *score = desk_score(v->desk, i);
    double x = NAN;

    if (score->page.sequences)
        memcpy(&x, (const char *)&score->page + metrics[m].offset, sizeof x);
    return x;
}

static double scan_value(const struct view *v, int i, int m)
{
    const struct card *card = &((const struct overview *)v->state)->cards[i];
    const struct scan_totals *t = overview_totals(v, i);
    double x = NAN;

    if (t)
        memcpy(&x, (const char *)t + metrics[m].offset, sizeof x);
    else if (strcmp(metrics[m].term, "dead_fraction") == 0)
        x = card->live_dead;
    else if (m == 0)
        x = card->live_l0;
    return x;
}

bool overview_metric_text(const struct view *v, int i, int m, char *buf, size_t size,
                          bool *whole)
{
    double x = metrics[m].is_scored ? score_value(v, i, m) : scan_value(v, i, m);
    char part[32];

    *whole = metrics[m].is_scored ? desk_score(v->desk, i)->known
                                  : overview_totals(v, i) != NULL;
    if (isnan(x))
        return false;
    if (strcmp(metrics[m].term, "dead_fraction") == 0)
        snprintf(buf, size, "%s  %.0f", percent_text(x, part, sizeof part),
                 x * (double)v->session->saes[i].sae->d_sae);
    else
        snprintf(buf, size, "%.4g", x);
    return true;
}

/* Why there is no number. */
static void put_reason(struct page *p, int i, int m, int row, int col, int cols)
{
    char text[1200] = "";

    if (m == FIRST_SCORED)
        desk_score_text(p->v->desk, i, text, sizeof text);
    else if (!metrics[m].is_scored && !overview_has_samples(p->v))
        snprintf(text, sizeof text, "needs --acts");
    else if (!metrics[m].is_scored && overview_totals(p->v, i) && !p->v->session->target &&
             !sae_rebuilds_input(p->v->session->saes[i].sae))
        snprintf(text, sizeof text, "needs --target");
    else if (!metrics[m].is_scored)
        desk_state_text(p->v->desk, i, text, sizeof text);
    canvas_fit(p->c, row, col, cols, ALIGN_LEFT, INK_DIM, text[0] ? text : "·");
}

/* Where a number would be cut off beside its whole name. */
static const char *brief_name(const char *name)
{
    static const char *const brief[][2] = {{"explained variance", "expl. variance"},
                                           {"reconstruction score", "rec. score"},
                                           {"CE reconstructed", "CE reconstr."}};

    for (size_t k = 0; k < sizeof brief / sizeof *brief; k++)
        if (strcmp(name, brief[k][0]) == 0)
            return brief[k][1];
    return name;
}

static void put_metric(struct page *p, int i, int m, int row, int col, int cols)
{
    enum { NAME = 21, BRIEF = 15, NUMBER = 11 };
    char text[64];
    int name = cols < NAME + NUMBER ? BRIEF : NAME, key = ITEM_METRIC + m;
    bool whole;

    canvas_fit(p->c, row, col, name, ALIGN_LEFT, INK_LABEL,
               name < NAME ? brief_name(metrics[m].name) : metrics[m].name);
    if (overview_metric_text(p->v, i, m, text, sizeof text, &whole))
        canvas_fit(p->c, row, col + name, cols - name, ALIGN_LEFT,
                   whole ? INK_VALUE | STYLE_BOLD : INK_DIM, text);
    else
        put_reason(p, i, m, row, col + name, cols - name);
    overview_light(p, i, key, row, 1, col, cols);
    overview_put_item(p, (struct item){{i, key}, row, col, 1, cols, metrics[m].view,
                                       metrics[m].of, metrics[m].filter, metrics[m].term});
}

static const char *const verdict_mark[] = {
    [CHECK_GOOD] = "✓", [CHECK_INFO] = "·", [CHECK_WARNING] = "!", [CHECK_BAD] = "✗",
    [CHECK_WAITING] = "…"};
static const enum ink verdict_ink[] = {
    [CHECK_GOOD] = INK_GOOD, [CHECK_INFO] = INK_TEXT, [CHECK_WARNING] = INK_WARNING,
    [CHECK_BAD] = INK_ERROR, [CHECK_WAITING] = INK_DIM};

/* Returns the row after. */
static int put_checks(struct page *p, int i, int row, int col, int cols)
{
    const struct card *card = &((const struct overview *)p->v->state)->cards[i];
    char state[160];
    struct check_line lines[CHECK_LINES];
    struct check_facts facts = {
        .session = p->v->session,
        .sae = i,
        .info = card->has_info ? &card->info : NULL,
        .check = card->has_check ? &card->check : NULL,
        .totals = overview_totals(p->v, i),
        .state = desk_state_text(p->v->desk, i, state, sizeof state),
    };
    int n = checks_make(&facts, lines), name = 16;

    for (int k = 0; k < n; k++) {
        struct canvas text = canvas_sub(p->c, 0, col + name, p->c->rows, cols - name);
        bool quiet = lines[k].verdict == CHECK_GOOD || lines[k].verdict == CHECK_INFO;
        int first = row, key = ITEM_CHECK + k;
        bool never = lines[k].verdict == CHECK_WAITING && card->has_info &&
                     !overview_has_samples(p->v); /* nothing is under way */
        canvas_text(p->c, row, col, verdict_ink[lines[k].verdict],
                    verdict_mark[never ? CHECK_INFO : lines[k].verdict]);
        canvas_fit(p->c, row, col + 2, name - 3, ALIGN_LEFT, INK_LABEL, lines[k].name);
        row = canvas_wrap(&text, row, quiet ? INK_TEXT : verdict_ink[lines[k].verdict],
                          lines[k].text);
        overview_light(p, i, key, first, row - first, col, cols);
        overview_put_item(p, (struct item){{i, key}, first, col, row - first, cols, lines[k].view,
                                  lines[k].of, NULL, lines[k].name});
    }
    return row;
}

static void small_title(const struct summary *s, enum quantity q, char *buf, size_t size)
{
    char part[32];

    switch (q) {
    case QUANTITY_DENSITY:
        snprintf(buf, size, "density %s dead",
                 percent_text(s->zero_fraction, part, sizeof part));
        break;
    case QUANTITY_MAX: snprintf(buf, size, "max activation"); break;
    case QUANTITY_RELATIVE_NORM: snprintf(buf, size, "2nd model's norm"); break;
    case QUANTITY_DECODER_NORM:
        snprintf(buf, size, "decoder norm%s",
                 fabs(s->min - 1) <= .01 && fabs(s->max - 1) <= .01 ? " all 1" : "");
        break;
    default:
        snprintf(buf, size, "%s %s < 0", quantities[q].heading,
                 percent_text(s->negative_fraction, part, sizeof part));
    }
}

static void put_small(struct page *p, int i, int k, int row, int col, int rows, int cols)
{
    const struct card *card = &((const struct overview *)p->v->state)->cards[i];
    enum quantity q = overview_small_quantity(p->v->session->saes[i].sae, k);
    const struct summary *s = &card->small[k];
    struct canvas c = canvas_sub(p->c, row + 1, col, rows, cols);
    int key = ITEM_HIST + k;
    char title[64];

    snprintf(title, sizeof title, "%s", quantities[q].heading);
    if (card->has_small[k] && s->count)
        small_title(s, q, title, sizeof title);
    canvas_fit(p->c, row, col, cols, ALIGN_LEFT, INK_LABEL, title);
    overview_light(p, i, key, row, 1, col, cols);
    overview_put_item(p, (struct item){{i, key}, row, col, rows + 1, cols, "biases", quantities[q].name, NULL,
                              quantities[q].name});
    if (c.rows < 1 || c.cols < 1)
        return;
    if (!card->has_small[k] || !s->hist.n) {
        canvas_wrap(&c, 0, INK_DIM, card->has_small[k]  ? "no value above 0"
                                    : overview_has_samples(p->v) ? "comes with the scan"
                                                        : "needs samples (--acts FILE)");
        return;
    }
    struct wid_hist_series series = {s->hist.counts, NULL, INK_BAR};
    struct wid_hist_marker zero = {0, NULL};
    struct wid_hist h = {
        .n_bins = s->hist.n,
        .lo = s->hist.lo,
        .hi = s->hist.hi,
        .series = &series,
        .n_series = 1,
        .log_values = s->hist.log,
        .markers = &zero,
        .n_markers = !s->hist.log,
        .cursor = -1,
        .brush_first = -1,
        .brush_last = -1,
    };
    wid_hist_paint(&c, &h);
}

/* Of one checkpoint alone on a tall screen they are larger. */
static int small_rows(const struct page *p)
{
    enum { USUAL = 5, TALL = 12, TALL_SCREEN = 48 };
    int cards = 0;

    for (int i = 0; i < desk_count(p->v->desk); i++)
        cards += overview_is_loaded(p->v, i);
    return cards == 1 && p->v->rows >= TALL_SCREEN ? TALL : USUAL;
}

static void put_smalls(struct page *p, int i)
{
    int across = p->cols >= 76 ? 4 : 2, width = (p->cols - 3) / across, rows = small_rows(p);

    for (int k = 0; k < SMALL_HISTS; k++)
        put_small(p, i, k, p->row + k / across * (rows + 2), 2 + k % across * width, rows,
                  width - 1);
    p->row += SMALL_HISTS / across * (rows + 2) - 1;
}

/* Without a language model, one line says so. */
static int metrics_shown(const struct view *v)
{
    return session_lm_path(v->session) ? METRICS : FIRST_SCORED + 1;
}

/* Returns the row after. */
static int put_metrics(struct page *p, int i, int col, int cols, int across)
{
    int n = metrics_shown(p->v), rows = (n + across - 1) / across, width = cols / across;

    for (int m = 0; m < n; m++)
        put_metric(p, i, m, p->row + m % rows, col + m / rows * width, width - 2);
    return p->row + rows;
}

/* Numbers beside the checks, then histograms, where there is room; else numbers and
 * histograms first, so that they stand on the first screen. */
void overview_put_panels(struct page *p, int i)
{
    enum { LEFT = 42 };

    if (p->cols >= 100) {
        int numbers = put_metrics(p, i, 2, LEFT - 2, 1);
        int row = put_checks(p, i, p->row, LEFT, p->cols - LEFT - 1);
        p->row = (row > numbers ? row : numbers) + 1;
        put_smalls(p, i);
        return;
    }
    p->row = put_metrics(p, i, 2, p->cols - 2, 2) + 1;
    put_smalls(p, i);
    p->row = put_checks(p, i, p->row + 1, 2, p->cols - 3);
}
