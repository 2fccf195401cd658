/* view_token_paint.c - the view token: painting, copies and files; see view_token.h. */
#include <math.h>
#include <stdio.h>

#include "io/str.h"
#include "model/session.h"
#include "tui/out_token.h"
#include "tui/view_token.h"
#include "tui/wid_hist.h"
#include "tui/wid_line.h"
#include "tui/wid_tokens.h"

enum { CONTEXT = 24 /* tokens to each side */ };

bool token_is_shown(const struct view *v)
{
    const struct token_view *s = v->state;

    return s->page.parts && s->page_token == v->target.token && s->page_sae == v->target.sae;
}

/* -- painting -------------------------------------------------------------------------- */

static void part_text(const struct contribution *p, char *buf, size_t size)
{
    if (p->kind == PART_FEATURE)
        snprintf(buf, size, "#%lld", (long long)p->id);
    else
        snprintf(buf, size, "%s", part_kind_names[p->kind]);
}

static void put_cell(const void *ctx, int64_t row, int column, struct canvas *c)
{
    const struct view *v = ctx;
    const struct token_view *s = v->state;
    const struct contribution *p = &s->page.parts[row];
    bool is_label = false;
    char text[32];

    switch (column) {
    case TCOL_PART:
        part_text(p, text, sizeof text);
        table_cell_text(c, ALIGN_RIGHT, p->kind == PART_ERROR ? INK_WARNING : INK_VALUE, text);
        break;
    case TCOL_NAME:
        if (p->kind == PART_FEATURE) {
            const char *name = desk_name(v->desk, s->page_sae, p->id, &is_label);
            table_cell_text(c, ALIGN_LEFT, is_label ? INK_NOTE : INK_TEXT, name);
        }
        break;
    case TCOL_ACTIVATION: table_cell_number(c, (double)p->activation, 4, INK_VALUE); break;
    case TCOL_NORM: table_cell_number(c, p->norm, 4, INK_VALUE); break;
    case TCOL_PROJECTION:
        table_cell_number(c, p->projection, 4, p->projection < 0 ? INK_NEGATIVE : INK_VALUE);
        break;
    case TCOL_SHARE:
        snprintf(text, sizeof text, isnan(p->share) ? "·" : "%.1f %%", 100 * p->share);
        table_cell_text(c, ALIGN_RIGHT, INK_VALUE, text);
        break;
    case TCOL_CUMULATIVE: canvas_hbar(c, 0, 0, c->cols, p->cumulative, INK_BAR); break;
    default: table_cell_number(c, p->left, 3, INK_DIM); break;
    }
}

struct table token_table(const struct view *v)
{
    static const struct table_column columns[TCOL_COUNT] = {
        [TCOL_PART] = {"part", 8, 0, ALIGN_RIGHT, 0, false},
        [TCOL_NAME] = {"name", 10, 2, ALIGN_LEFT, 2, false},
        [TCOL_ACTIVATION] = {"activation", 10, 0, ALIGN_RIGHT, 3, false},
        [TCOL_NORM] = {"|c|", 8, 0, ALIGN_RIGHT, 1, true},
        [TCOL_PROJECTION] = {"along x", 8, 0, ALIGN_RIGHT, 2, true},
        [TCOL_SHARE] = {"share", 8, 0, ALIGN_RIGHT, 1, false},
        [TCOL_CUMULATIVE] = {"together", 10, 1, ALIGN_LEFT, 2, false},
        [TCOL_LEFT] = {"left", 7, 0, ALIGN_RIGHT, 4, false},
    };
    const struct token_view *s = v->state;

    return (struct table){.columns = columns, .n_columns = TCOL_COUNT, .ctx = v,
                          .n_rows = token_is_shown(v) ? s->page.n : 0, .cell = put_cell,
                          .empty = "nothing yet"};
}

static void paint_text(const struct view *v, struct canvas *c)
{
    const struct samples *samples = v->session->samples;
    int64_t position = samples_position(samples, v->target.token);
    int64_t first = position > CONTEXT ? position - CONTEXT : 0;
    int64_t end = position + CONTEXT + 1 < samples->seq_len ? position + CONTEXT + 1
                                                           : samples->seq_len;
    int64_t ids[2 * CONTEXT + 1];
    struct token_piece pieces[2 * CONTEXT + 1];
    struct tokens_run run = {.pieces = pieces, .n = (int)(end - first),
                             .lit = (int)(position - first), .cursor = -1, .max = 1};

    if (!samples->tokens)
        return;
    samples_ids(samples, v->target.token - position + first, end - first, ids);
    for (int i = 0; i < run.n; i++) {
        pieces[i].bytes = desk_token_bytes(v->desk, ids[i], &pieces[i].len);
        pieces[i].activation = 0;
    }
    tokens_paint_line(c, 0, &run);
}

static void paint_head(const struct view *v, struct canvas *c)
{
    const struct token_view *s = v->state;
    const struct samples *samples = v->session->samples;
    struct canvas text = canvas_sub(c, 0, 1, 1, c->cols - 2);

    paint_text(v, &text);
    int at = canvas_printf(c, 1, 1, INK_TITLE | STYLE_BOLD, "token %lld:%lld",
                           (long long)samples_sequence(samples, v->target.token),
                           (long long)samples_position(samples, v->target.token)) + 2;
    if (!token_is_shown(v))
        return;
    at = canvas_printf(c, 1, at, INK_TEXT, "|x| %.4g · %lld active features", s->page.norm,
                       (long long)s->page.l0);
    const char *sum = " · x = b_dec + features + error"; /* whole or not at all */
    if (at + text_width(sum) <= c->cols)
        canvas_text(c, 1, at, INK_TEXT, sum);
}

static void paint_curve(const struct view *v, struct canvas *c)
{
    const struct token_view *s = v->state;
    struct plot_series series[] = {
        {s->x, s->cumulative, (int)s->page.n + 1, 1, INK_BAR, "share of x together"},
        {s->x, s->left, (int)s->page.n + 1, 1, INK_BAR_2, "|x - these| / |x|"},
    };
    struct plot plot = {.series = series, .n_series = 2, .x_label = "parts", .cursor_series = 0,
                        .cursor = (int)s->table.cursor + 1, .zero_lines = true};

    canvas_rule(c, 0, "share together, and what is left", INK_TITLE);
    struct canvas in = canvas_sub(c, 1, 0, c->rows - 1, c->cols);
    plot_paint(&in, &plot);
}

int token_table_cols(int cols)
{
    return cols >= 110 ? cols * 3 / 5 : cols;
}

void token_draw(const struct view *v, struct canvas *c)
{
    const struct token_view *s = v->state;
    int cols = token_table_cols(c->cols);

    if (!v->desk || desk_count(v->desk) == 0 || v->target.token < 0) {
        canvas_wrap(c, 0, INK_DIM, "no token has been chosen: v does, on an example of a feature "
                                   "and on a position or token of the view score");
        return;
    }
    paint_head(v, c);
    struct canvas in = canvas_sub(c, HEAD_ROWS, 0, c->rows - HEAD_ROWS, cols);
    if (!token_is_shown(v)) {
        if (!view_paint_missing(v, SLOT_PARTS, &in))
            canvas_wrap(&in, 0, INK_DIM, "opening");
        return;
    }
    struct table t = token_table(v);
    table_paint(&in, &t, &s->table, true);
    if (cols < c->cols) {
        struct canvas right = canvas_sub(c, HEAD_ROWS, cols + 1, c->rows - HEAD_ROWS,
                                         c->cols - cols - 1);
        paint_curve(v, &right);
        canvas_vline(c, HEAD_ROWS, cols, c->rows - HEAD_ROWS, INK_RULE);
    }
}

/* -- copies and files ------------------------------------------------------------------ */

bool token_export(const struct view *v, enum export_format format, FILE *f,
                         struct err *err)
{
    const struct token_view *s = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV,
                                  .table = "parts"};
    size_t len;

    if (!v->desk || !token_is_shown(v))
        return err_set(err, ERR_MISSING, "nothing to write yet");
    struct out *o = out_new(&options);
    out_int(o, "sequence", samples_sequence(v->session->samples, s->page_token));
    out_int(o, "position", samples_position(v->session->samples, s->page_token));
    out_num(o, "norm", s->page.norm);
    out_int(o, "l0", s->page.l0);
    out_rows(o, "parts", "kind,id,activation,norm,projection,share,cumulative,left");
    for (int64_t k = 0; k < s->page.n; k++) {
        out_begin(o, NULL);
        out_contribution(o, &s->page.parts[k]);
        out_end(o);
    }
    out_end(o);
    const char *text = out_finish(o, &len);
    fwrite(text, 1, len, f); /* the caller asks ferror */
    out_free(o);
    return true;
}

char *token_copy(const struct view *v, bool all)
{
    const struct token_view *s = v->state;
    struct str out = {0};
    char part[32];

    if (!v->desk || !token_is_shown(v))
        return NULL;
    for (int64_t k = 0; k < s->page.n; k++) {
        const struct contribution *p = &s->page.parts[k];
        if (!all && k != s->table.cursor)
            continue;
        part_text(p, part, sizeof part);
        str_appendf(&out, "%s%s\t%.6g\t%.6g\t%.6g\t%.6g", out.len ? "\n" : "", part, p->norm,
                    p->projection, p->share, p->cumulative);
    }
    return str_take(&out);
}
