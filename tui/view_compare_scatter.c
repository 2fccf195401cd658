/* view_compare_scatter.c - view 5, all checkpoints as points; see view_compare.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/pareto.h"
#include "model/session.h"
#include "tui/view_compare.h"
#include "tui/wid_line.h"

struct cloud {
    float *x, *y;             /* [n] */
    float *line_x, *line_y;   /* of one series after the other, with gaps between */
    int n_line;
    float *front_x, *front_y; /* by L0 */
    int n_front;
    struct plot_label *labels;
};

static void cloud_finish(struct cloud *c)
{
    free(c->x);
    free(c->y);
    free(c->line_x);
    free(c->line_y);
    free(c->front_x);
    free(c->front_y);
    free(c->labels);
}

/* -- series -------------------------------------------------------------------------------- */

static const char *const marks[][2] = {{"●", "o"}, {"◆", "x"}, {"■", "#"}, {"▲", "^"},
                                       {"○", "c"}, {"◇", "v"}, {"□", "u"}, {"△", "A"},
                                       {"▼", "V"}, {"▽", "w"}};
enum { MARKS = sizeof marks / sizeof *marks };

const char *compare_scatter_mark(const struct sae *sae, bool ascii)
{
    return marks[(sae->arch - sae_archs) % MARKS][ascii];
}

/* Of one series are those of an architecture, and of these the checkpoints of a training
 * run, which have the name of its directory before their own. */
static bool is_of_series(const struct view *v, int a, int b)
{
    const struct session_sae *p = &v->session->saes[a], *q = &v->session->saes[b];
    size_t before = (size_t)(compare_all_name(v, a) - p->name);

    return p->sae && q->sae && p->sae->arch == q->sae->arch &&
           before == (size_t)(compare_all_name(v, b) - q->name) &&
           strncmp(p->name, q->name, before) == 0;
}

static void exchange(int *a, int *b)
{
    int t = *a;

    *a = *b;
    *b = t;
}

/* Rows of the series of row `of` that are on the picture, in the order in which they are
 * joined. Returns how many. */
static int series_rows(const struct view *v, const struct cloud *c, int of, int *rows)
{
    const struct compare *s = v->state;
    double key[2];
    int n = 0;

    for (int k = 0; k < s->n_all; k++)
        if (!isnan(c->x[k]) && is_of_series(v, s->all_ids[of], s->all_ids[k]))
            rows[n++] = k;
    for (int i = 1; i < n; i++)
        for (int at = i; at > 0; at--) {
            for (int e = 0; e < 2; e++) {
                double step = compare_all_value(v, s->all_ids[rows[at - 1 + e]], ALL_STEP);
                key[e] = isnan(step) ? (double)c->x[rows[at - 1 + e]] : step;
            }
            if (!(key[0] > key[1]))
                break;
            exchange(&rows[at - 1], &rows[at]);
        }
    return n;
}

static void join_series(const struct view *v, struct cloud *c)
{
    const struct compare *s = v->state;
    int *rows = xmalloc((size_t)s->n_all * sizeof *rows);
    bool *joined = xcalloc((size_t)s->n_all, sizeof *joined);

    c->line_x = xmalloc((size_t)s->n_all * 2 * sizeof *c->line_x);
    c->line_y = xmalloc((size_t)s->n_all * 2 * sizeof *c->line_y);
    for (int k = 0; k < s->n_all; k++) {
        int n = joined[k] || isnan(c->x[k]) ? 0 : series_rows(v, c, k, rows);
        for (int i = 0; i < n; i++) {
            joined[rows[i]] = true;
            c->line_x[c->n_line] = c->x[rows[i]];
            c->line_y[c->n_line++] = c->y[rows[i]];
        }
        if (n == 0)
            continue;
        c->line_x[c->n_line] = c->line_y[c->n_line] = NAN;
        c->n_line++;
    }
    free(joined);
    free(rows);
}

/* "● prolu ◆ relu", as far as there is room. */
static void name_kinds(const struct view *v, const struct cloud *cloud, bool ascii,
                       struct str *out, int room)
{
    const struct compare *s = v->state;

    for (const struct sae_arch_ops *arch = sae_archs; arch->name; arch++)
        for (int k = 0; k < s->n_all; k++) {
            const struct sae *sae = v->session->saes[s->all_ids[k]].sae;
            char kind[64];
            if (isnan(cloud->x[k]) || !sae || sae->arch != arch)
                continue;
            snprintf(kind, sizeof kind, " %s %s", compare_scatter_mark(sae, ascii), arch->name);
            if (text_width(str_text(out)) + text_width(kind) <= room)
                str_puts(out, kind);
            break;
        }
}

/* -- front, names -------------------------------------------------------------------------- */

/* The front as a line: from the sparsest on. */
static void draw_front(const struct compare *s, const double *l0, const double *good,
                       struct cloud *c)
{
    bool *on = xcalloc((size_t)s->n_all, sizeof *on);

    pareto_front(l0, good, s->n_all, on);
    c->front_x = xmalloc((size_t)s->n_all * sizeof *c->front_x);
    c->front_y = xmalloc((size_t)s->n_all * sizeof *c->front_y);
    for (int k = 0; k < s->n_all; k++) {
        int at = c->n_front;
        if (!on[k])
            continue;
        for (; at > 0 && c->front_x[at - 1] > c->x[k]; at--) {
            c->front_x[at] = c->front_x[at - 1];
            c->front_y[at] = c->front_y[at - 1];
        }
        c->front_x[at] = c->x[k];
        c->front_y[at] = c->y[k];
        c->n_front++;
    }
    free(on);
}

/* Is the L0 of the two nearly equal? */
static bool is_near(const struct compare *s, const double *l0, int a, int b)
{
    struct pareto_pair *pair;
    int n = pareto_pairs((const double[]){l0[a], l0[b]}, 2, s->equal_l0, &pair);

    free(pair);
    return n > 0;
}

/* Underlined are those whose L0 is nearly equal to that of the one under the cursor. */
static void name_points(const struct view *v, const double *l0, bool ascii, struct cloud *c)
{
    const struct compare *s = v->state;
    int cursor = (int)s->all_table.cursor;

    c->labels = xcalloc((size_t)s->n_all, sizeof *c->labels);
    for (int k = 0; k < s->n_all; k++) { /* the one under the cursor first */
        int at = k == 0 ? cursor : k <= cursor ? k - 1 : k;
        int i = s->all_ids[at];
        const struct sae *sae = v->session->saes[i].sae;
        uint32_t ink = at == cursor     ? INK_BRUSH | STYLE_BOLD
                       : i == s->sae[0] ? (uint32_t)INK_BAR
                       : i == s->sae[1] ? (uint32_t)INK_BAR_2
                                        : (uint32_t)INK_TEXT;
        if (at != cursor && is_near(s, l0, at, cursor))
            ink |= STYLE_UNDERLINE;
        c->labels[k] = (struct plot_label){c->x[at], c->y[at], compare_all_name(v, i), ink,
                                           sae ? compare_scatter_mark(sae, ascii) : NULL};
    }
}

/* -- axes ------------------------------------------------------------------------------------ */

/* From so many times the least on, what is far out would press the others together. */
#define LOG_FROM 8

/* Over logarithms where the values, all above 0, span much. */
static bool to_log(float *x, int n)
{
    float lo = INFINITY, hi = -INFINITY;

    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) {
            lo = fminf(lo, x[i]);
            hi = fmaxf(hi, x[i]);
        }
    if (!(lo > 0 && hi > LOG_FROM * lo))
        return false;
    for (int i = 0; i < n; i++)
        x[i] = log10f(x[i]);
    return true;
}

static void spread(const float *x, int n, double *lo, double *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) {
            *lo = fmin(*lo, (double)x[i]);
            *hi = fmax(*hi, (double)x[i]);
        }
    double margin = *hi > *lo ? (*hi - *lo) / 20 : fabs(*hi) / 20 + 1e-3;
    *lo -= margin;
    *hi += margin;
}

/* -- paint ----------------------------------------------------------------------------------- */

/* What lacks one of the two is not there. Returns how many are. */
static int cloud_init(struct cloud *c, const double *l0, const double *y, int n)
{
    int known = 0;

    c->x = xmalloc((size_t)n * sizeof *c->x);
    c->y = xmalloc((size_t)n * sizeof *c->y);
    for (int k = 0; k < n; k++) {
        bool has = !isnan(l0[k]) && !isnan(y[k]);
        c->x[k] = has ? (float)l0[k] : NAN;
        c->y[k] = has ? (float)y[k] : NAN;
        known += has;
    }
    return known;
}

static void paint_points(const struct view *v, struct canvas *c, enum all_column column,
                         const double *l0, const double *good, struct cloud *cloud)
{
    const struct compare *s = v->state;
    bool log_x = to_log(cloud->x, s->n_all);
    bool log_y = column == ALL_FVU && to_log(cloud->y, s->n_all);

    join_series(v, cloud);
    draw_front(s, l0, good, cloud);
    name_points(v, l0, c->ascii, cloud);
    struct plot_series series[] = {
        {cloud->line_x, cloud->line_y, cloud->n_line, 1, INK_AXIS, NULL},
        {cloud->front_x, cloud->front_y, cloud->n_front, 4, INK_MARKER, NULL},
    };
    struct plot p = {.series = series, .n_series = 2, .x_label = "L0", .cursor = -1,
                     .log_x = log_x, .log_y = log_y,
                     .labels = cloud->labels, .n_labels = s->n_all};
    spread(cloud->x, s->n_all, &p.x_lo, &p.x_hi);
    spread(cloud->y, s->n_all, &p.y_lo, &p.y_hi);
    plot_paint(c, &p);
}

static void paint_nothing(const struct view *v, struct canvas *c, enum all_column column)
{
    const struct compare *s = v->state;
    char text[600];

    desk_score_text(v->desk, s->all_ids[0], text, sizeof text);
    canvas_wrap(c, 0, INK_DIM,
                !samples_have_features(v->session->samples)
                    ? "not known without activation samples (--acts FILE)"
                : column == ALL_SCORE && text[0] ? text
                                                 : "...");
}

void compare_scatter_paint(const struct view *v, struct canvas *c, enum all_column column,
                           const char *title)
{
    const struct compare *s = v->state;
    struct canvas body = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    double *l0 = compare_all_values(v, ALL_L0), *y = compare_all_values(v, column);
    struct cloud cloud = {0};
    struct str heading = {0};

    str_puts(&heading, title);
    if (cloud_init(&cloud, l0, y, s->n_all)) {
        for (int k = 0; k < s->n_all && column == ALL_FVU; k++)
            y[k] = -y[k];
        name_kinds(v, &cloud, c->ascii, &heading, c->cols - 6);
        paint_points(v, &body, column, l0, y, &cloud);
    } else {
        paint_nothing(v, &body, column);
    }
    canvas_rule(c, 0, str_text(&heading), INK_RULE);
    str_finish(&heading);
    cloud_finish(&cloud);
    free(l0);
    free(y);
}
