/* view_feature_stats.c - the numbers of view 3; see view_feature.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/session_lm.h"
#include "tui/view_feature.h"
#include "tui/wid_hist.h"

const char *const feature_stat_name[STAT_COUNT] = {
    [STAT_DENSITY] = "density", [STAT_MEAN] = "mean",     [STAT_MAX] = "max",
    [STAT_DELTA] = "Δ FVU",     [STAT_DELTA_CE] = "Δ CE", [STAT_BIAS] = "bias",
    [STAT_THRESHOLD] = "threshold", [STAT_COSINE] = "enc·dec", [STAT_NORM] = "|W_dec|",
    [STAT_RELATIVE] = "2nd norm",
    [STAT_TOKENS] = "fires on", [STAT_PROMOTES] = "promotes",
    [STAT_SUPPRESSES] = "suppress.", [STAT_SERIES] = "by step",
};

static const char *short_number(double x, char *buf, size_t size)
{
    return number_text(x, 8, buf, size);
}

const char *feature_tokens_text(int64_t n, char *buf, size_t size)
{
    char number[32];

    snprintf(buf, size, "%s token%s", count_text(n, number, sizeof number), n == 1 ? "" : "s");
    return buf;
}

/* Three figures, so that ends of an interval look alike. */
static const char *percent(double fraction, char *buf, size_t size)
{
    snprintf(buf, size, fraction == 0 || fraction >= 1 ? "%.0f" : "%#.3g", 100 * fraction);
    return buf;
}

static void density_text(const struct page_feature *p, char *buf, size_t size)
{
    char density[24], low[24], high[24], count[48];

    if (!p->has_samples) {
        snprintf(buf, size, "·");
        return;
    }
    snprintf(buf, size, "%s %% [%s, %s]  %s", percent(p->density, density, sizeof density),
             percent(p->wilson_low, low, sizeof low), percent(p->wilson_high, high, sizeof high),
             feature_tokens_text(p->count, count, sizeof count));
}

static const char *ordinal(int64_t n)
{
    if (n % 100 >= 11 && n % 100 <= 13)
        return "th";
    return n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";
}

static void delta_text(const struct view *v, const struct feature_page *page, char *buf,
                       size_t size)
{
    char x[24], rank[32], of[32];

    short_number(page->p.delta_fvu, x, sizeof x);
    if (page->delta_rank > 0)
        snprintf(buf, size, "%s%s (%s%s of %s)", page->p.delta_fvu > 0 ? "+" : "", x,
                 count_text(page->delta_rank, rank, sizeof rank), ordinal(page->delta_rank),
                 count_text(feature_sae(v)->d_sae, of, sizeof of));
    else
        snprintf(buf, size, "%s%s", page->p.delta_fvu > 0 ? "+" : "", x);
}

/* Does the bias decide whether a feature fires, or move its activation too? */
static bool bias_gates(const struct sae *sae)
{
    return strcmp(sae->arch->name, "prolu") == 0 || strcmp(sae->arch->name, "gated") == 0;
}

/* '" LORD" 83 %  " God" 12 %' */
static void common_text(const struct view *v, const struct feature_page *page, char *buf,
                        size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "%s", page->n_common > 0 ? "" : "·");

    for (int i = 0; i < page->n_common && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s\"%s\" %.0f %%", i > 0 ? "  " : "",
                              desk_token_text(v->desk, page->common[i].id),
                              100 * page->common[i].share);
}

/* '" God" 2.10  " thy" 1.70' */
static void logits_text(const struct view *v, const struct feature_page *page,
                        const struct logit *from, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "%s", page->logits.n > 0 ? "" : "·");

    for (int i = 0; i < page->logits.n && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s\"%s\" %.2f", i > 0 ? "  " : "",
                              desk_token_text(v->desk, from[i].token), (double)from[i].logit);
}

/* The exact effect, else the estimate, of mode reconstruction. */
static void delta_ce_text(const struct view *v, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    const struct page_ablation *e = &s->exact[0];
    double estimate = feature_table_at(&desk_sae(v->desk, s->page_sae)->table, FCOL_ESTIMATE,
                                       s->page->p.id);

    if (s->has_exact[0])
        snprintf(buf, size, "%+.3g  Δ score %+.3g", e->delta_ce, e->delta_score);
    else if (!isnan(estimate))
        snprintf(buf, size, "about %+.3g · a: exactly", estimate);
    else
        snprintf(buf, size, "a computes it");
}

void feature_stat_text(const struct view *v, enum feature_stat stat, char *buf, size_t size)
{
    const struct feature_view *s = v->state;
    const struct page_feature *p = &s->page->p;
    char x[24];

    switch (stat) {
    case STAT_DENSITY: density_text(p, buf, size); break;
    case STAT_MEAN: short_number(p->mean, buf, size); break;
    case STAT_MAX: short_number(p->max, buf, size); break;
    case STAT_DELTA: delta_text(v, s->page, buf, size); break;
    case STAT_BIAS:
        snprintf(buf, size, "%s%s", short_number(p->bias, x, sizeof x),
                 isnan(p->bias) ? "" : bias_gates(feature_sae(v)) ? " gates" : " added");
        break;
    case STAT_THRESHOLD: short_number(p->threshold, buf, size); break;
    case STAT_COSINE: short_number(p->encoder_decoder_cosine, buf, size); break;
    case STAT_NORM: short_number(p->decoder_norm, buf, size); break;
    case STAT_RELATIVE: short_number(p->relative_norm, buf, size); break;
    case STAT_TOKENS: common_text(v, s->page, buf, size); break;
    case STAT_DELTA_CE: delta_ce_text(v, buf, size); break;
    case STAT_PROMOTES: logits_text(v, s->page, s->page->logits.top, buf, size); break;
    case STAT_SUPPRESSES: logits_text(v, s->page, s->page->logits.bottom, buf, size); break;
    case STAT_SERIES: feature_series_text(v, buf, size); break;
    default: snprintf(buf, size, "·"); break;
    }
}

/* Numbers flow into cells of equal width; long ones take two, the tokens the rest
 * of a row. */
enum { STAT_CELL = 26, STAT_NAME = 10 };

struct stat_cell {
    int row, col, cols, rows;
};

static bool is_list(int stat)
{
    return stat == STAT_TOKENS || stat == STAT_PROMOTES || stat == STAT_SUPPRESSES;
}

/* Those of the language model, or of two models, only where there are such. */
bool feature_stat_is_there(const struct view *v, int stat)
{
    if (stat == STAT_SERIES)
        return feature_has_series(v);
    if (stat == STAT_RELATIVE)
        return feature_sae(v)->relative_norm != NULL;
    return (stat != STAT_DELTA_CE && stat != STAT_PROMOTES && stat != STAT_SUPPRESSES) ||
           session_lm_path(v->session);
}

static int span_of(int stat, int n, int rest)
{
    switch (stat) {
    case STAT_DENSITY:
    case STAT_DELTA:
    case STAT_DELTA_CE: return 2;
    case STAT_TOKENS: return rest > 1 ? rest : n;
    case STAT_PROMOTES: return n == 3 ? 2 : n; /* a row each, or one for both */
    case STAT_SUPPRESSES: return n == 3 ? 1 : n;
    case STAT_SERIES: return n;
    default: return 1;
    }
}

/* `lines` rows for a list of tokens. Returns the rows of all. */
static int place_stats(const struct view *v, int cols, int lines, struct stat_cell at[STAT_COUNT])
{
    int n = cols / STAT_CELL > 0 ? cols / STAT_CELL : 1, row = 0, cell = 0, rows = 1;

    for (int i = 0; i < STAT_COUNT; i++) {
        at[i] = (struct stat_cell){.row = row};
        if (!feature_stat_is_there(v, i))
            continue;
        int span = span_of(i, n, n - cell);
        span = span < n ? span : n;
        if (cell + span > n) {
            row += rows;
            cell = 0;
            rows = 1;
        }
        int left = cell * cols / n, right = (cell + span) * cols / n;
        rows = is_list(i) ? lines : rows;
        at[i] = (struct stat_cell){row, left, right - left, is_list(i) ? lines : 1};
        cell += span;
    }
    return row + rows;
}

int feature_stat_rows(const struct view *v, int cols, int lines)
{
    struct stat_cell at[STAT_COUNT];

    return place_stats(v, cols, lines, at);
}

/* `" the" 3 %  " of" 2 %`: broken between its items. */
static void paint_items(struct canvas *c, const char *text)
{
    char line[512];

    for (int row = 0; row < c->rows && *text; row++) {
        const char *end = text, *next = text;
        while (*next && row + 1 < c->rows) { /* the last row is cut where it ends */
            const char *item = strstr(next + 1, "  \"");
            item = item ? item : next + strlen(next);
            snprintf(line, sizeof line, "%.*s", (int)(item - text), text);
            if (end > text && text_width(line) > c->cols)
                break;
            end = next = item;
        }
        end = row + 1 < c->rows ? end : text + strlen(text);
        snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
        canvas_fit(c, row, 0, c->cols, ALIGN_LEFT, strcmp(line, "·") == 0 ? INK_DIM : INK_VALUE,
                   line);
        text = end + strspn(end, " ");
    }
}

void feature_paint_stats(const struct view *v, struct canvas *c)
{
    const struct feature_view *s = v->state;
    bool focused = s->focus == PANE_STATS;
    struct stat_cell at[STAT_COUNT];
    char buf[512];

    int lines = place_stats(v, c->cols, FEATURE_STAT_LINES, at) <= c->rows ? FEATURE_STAT_LINES : 1;
    place_stats(v, c->cols, lines, at);
    int above = focused && at[s->stat].row >= c->rows ? at[s->stat].row - c->rows + 1 : 0;
    for (int i = 0; i < STAT_COUNT; i++) {
        struct canvas cell = canvas_sub(c, at[i].row - above, at[i].col, at[i].rows,
                                        at[i].cols - 1);
        if (at[i].row < above || cell.rows < 1 || at[i].cols == 0)
            continue;
        feature_stat_text(v, (enum feature_stat)i, buf, sizeof buf);
        canvas_fit(&cell, 0, 1, STAT_NAME - 1, ALIGN_LEFT, INK_LABEL, feature_stat_name[i]);
        struct canvas value = canvas_sub(&cell, 0, STAT_NAME + 1, cell.rows,
                                         cell.cols - STAT_NAME - 1);
        paint_items(&value, buf);
        for (int row = 0; focused && i == s->stat && row < cell.rows; row++)
            canvas_ground(&cell, row, 0, cell.cols, INK_CURSOR);
    }
}
