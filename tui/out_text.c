/* out_text.c - what a command prints for people: aligned lines, tables, charts. See out.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/out_form.h"

#define KEY_WIDTH 24
#define WAITING_ROWS 500 /* after so many rows the widths are taken as they are */
#define INDENT 2

/* --- styles ------------------------------------------------------------------------------ */

static void style(struct out *o, enum out_style s)
{
    static const char *const sequence[] = {
        [OUT_PLAIN] = "\033[0m",
        [OUT_BOLD] = "\033[1m",
        [OUT_DIM] = "\033[2m",
        [OUT_LIT] = "\033[1;7m",
    };
    if (o->options.color)
        str_puts(&o->text, sequence[s]);
}

static void visible(const struct out *o, struct str *to, const char *bytes, size_t n)
{
    str_visible(to, bytes, n, o->options.ascii ? STR_ASCII : STR_ESCAPED);
}

void out_span(struct out *o, enum out_style s, const char *bytes, size_t n)
{
    if (out_form(o) != OUT_TEXT)
        return;
    if (s != OUT_PLAIN)
        style(o, s);
    visible(o, &o->text, bytes, n);
    if (s != OUT_PLAIN)
        style(o, OUT_PLAIN);
}

static void put_line(struct out *o, enum out_style s, const char *fmt, va_list ap)
{
    struct str line = {0};
    str_append_va(&line, fmt, ap);
    out_span(o, s, str_text(&line), line.len);
    str_putc(&o->text, '\n');
    str_finish(&line);
}

void out_line(struct out *o, const char *fmt, ...)
{
    if (out_form(o) != OUT_TEXT)
        return;
    va_list ap;
    va_start(ap, fmt);
    put_line(o, OUT_PLAIN, fmt, ap);
    va_end(ap);
}

void out_heading(struct out *o, const char *fmt, ...)
{
    if (out_form(o) != OUT_TEXT)
        return;
    va_list ap;
    va_start(ap, fmt);
    if (o->text.len)
        str_putc(&o->text, '\n');
    put_line(o, OUT_BOLD, fmt, ap);
    va_end(ap);
}

/* --- names and values --------------------------------------------------------------------- */

static void put_value(const struct out *o, struct str *to, const struct out_value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        str_puts(to, "-");
        break;
    case VALUE_NUM:
        str_appendf(to, "%.5g", v->d);
        break;
    case VALUE_TEXT:
        visible(o, to, v->s, v->n);
        break;
    default:
        out_put_json_value(to, v);
    }
}

static void pad(struct str *to, int64_t cells)
{
    for (; cells > 0; cells--)
        str_putc(to, ' ');
}

static void put_key(struct out *o, const char *key)
{
    int indent = 0;
    for (int i = 1; i < o->depth; i++)
        indent += o->levels[i].key && o->levels[i].nest == NEST_OBJECT ? INDENT : 0;
    pad(&o->text, indent);
    out_span(o, OUT_DIM, key, strlen(key));
    pad(&o->text, KEY_WIDTH - indent - str_width(key, strlen(key)));
    str_puts(&o->text, "  ");
}

/* --- tables ------------------------------------------------------------------------------- */

static void open_rows(struct out *o, const char *key, const char *columns)
{
    out_heading(o, "%s", key);
    out_cells_init(&o->cells, columns);
    free(o->width);
    o->width = xcalloc((size_t)o->cells.n, sizeof *o->width);
    for (int i = 0; i < o->cells.n; i++)
        o->width[i] = (int)strlen(o->cells.name[i]);
    o->headed = false;
}

static void put_row_cell(struct out *o, int i, enum out_style s, const char *text)
{
    const struct out_cells *c = &o->cells;
    int64_t room = o->width[i] - str_width(text, strlen(text));
    pad(&o->text, INDENT);
    if (c->right[i])
        pad(&o->text, room);
    if (s != OUT_PLAIN)
        style(o, s);
    str_puts(&o->text, text); /* made visible when it was taken */
    if (s != OUT_PLAIN)
        style(o, OUT_PLAIN);
    if (!c->right[i] && i + 1 < c->n)
        pad(&o->text, room);
}

static void flush_rows(struct out *o)
{
    const struct out_cells *c = &o->cells;
    if (!o->headed) {
        for (int i = 0; i < c->n; i++)
            put_row_cell(o, i, OUT_DIM, c->name[i]);
        str_putc(&o->text, '\n');
    }
    o->headed = true;
    const char *cell = str_text(&o->waiting);
    for (int r = 0; r < o->n_waiting; r++) {
        for (int i = 0; i < c->n; i++, cell += strlen(cell) + 1)
            put_row_cell(o, i, OUT_PLAIN, cell);
        str_putc(&o->text, '\n');
    }
    str_reset(&o->waiting);
    o->n_waiting = 0;
}

static void take_row(struct out *o)
{
    struct out_cells *c = &o->cells;
    for (int i = 0; i < c->n; i++) {
        int64_t w = str_width(str_text(&c->cell[i]), c->cell[i].len);
        if (w > o->width[i])
            o->width[i] = (int)w;
        str_append(&o->waiting, str_text(&c->cell[i]), c->cell[i].len + 1);
    }
    if (++o->n_waiting == WAITING_ROWS)
        flush_rows(o);
}

/* --- events ------------------------------------------------------------------------------- */

static void text_open(struct out *o, const char *key, enum out_nest nest,
                      const char *columns)
{
    if (!o->depth || o->row_depth || o->list_depth)
        return;
    if (nest == NEST_ROWS && columns) {
        open_rows(o, key, columns);
        o->table_depth = o->depth + 1;
    } else if (nest == NEST_OBJECT && o->table_depth == o->depth) {
        o->row_depth = o->depth + 1;
        out_cells_reset(&o->cells);
    } else if (nest == NEST_LIST && key) {
        put_key(o, key);
        o->list_depth = o->depth + 1;
    } else if (nest == NEST_OBJECT && key) {
        put_key(o, key);
        str_putc(&o->text, '\n');
    }
}

static void text_value(struct out *o, const char *key, const struct out_value *v)
{
    if (o->row_depth) {
        const struct out_level *level = &o->levels[o->depth - 1];
        bool list = level->nest == NEST_LIST;
        bool number = v->kind == VALUE_NUM || v->kind == VALUE_INT;
        o->depth -= list; /* a list's cell is named by the list */
        struct str *cell = out_cell(o, list ? level->key : key, number && !list, false);
        o->depth += list;
        if (cell && list && level->items)
            str_putc(cell, ' ');
        if (cell)
            put_value(o, cell, v);
    } else if (o->list_depth) {
        if (o->levels[o->depth - 1].items)
            str_putc(&o->text, ' ');
        put_value(o, &o->text, v);
    } else {
        put_key(o, key);
        put_value(o, &o->text, v);
        str_putc(&o->text, '\n');
    }
}

static void text_close(struct out *o)
{
    if (o->list_depth == o->depth) {
        str_putc(&o->text, '\n');
        o->list_depth = 0;
    } else if (o->row_depth == o->depth) {
        take_row(o);
        o->row_depth = 0;
    } else if (o->table_depth == o->depth) {
        flush_rows(o);
        o->table_depth = 0;
    }
}

const struct out_ops out_text_ops = {text_open, text_value, text_close};

/* --- charts -------------------------------------------------------------------------------- */

#define CHART_ROWS 8
#define CHART_MAX 100 /* columns; more bins are joined */
#define LABEL_WIDTH 10

const char *out_block(int eighths, bool ascii)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const signs[] = {" ", ".", ".", ":", ":", "|", "|", "#", "#"};
    eighths = eighths < 0 ? 0 : eighths > 8 ? 8 : eighths;
    return ascii ? signs[eighths] : blocks[eighths];
}

/* The counts of h joined to n columns; returns the greatest. */
static int64_t join(const struct hist *h, int n, int64_t *column)
{
    int64_t most = 0;
    memset(column, 0, (size_t)n * sizeof *column);
    for (int i = 0; i < h->n; i++) {
        int64_t *c = &column[(int64_t)i * n / h->n];
        *c += h->counts[i];
        most = *c > most ? *c : most;
    }
    return most;
}

/* Eighths of a column that is `rows` high; what is not 0 is seen. */
static int height(int64_t count, int64_t most, int rows)
{
    if (!count)
        return 0;
    int eighths = (int)lround(8.0 * rows * (double)count / (double)most);
    return eighths ? eighths : 1;
}

static void chart_row(struct out *o, const int64_t *column, int n, int64_t most, int row)
{
    if (row == CHART_ROWS - 1)
        str_appendf(&o->text, "%*lld ", LABEL_WIDTH, (long long)most);
    else
        pad(&o->text, LABEL_WIDTH + 1);
    str_puts(&o->text, o->options.ascii ? "|" : "│");
    for (int i = 0; i < n; i++)
        str_puts(&o->text, out_block(height(column[i], most, CHART_ROWS) - 8 * row,
                                     o->options.ascii));
    str_putc(&o->text, '\n');
}

static void chart_axis(struct out *o, const struct hist *h, int n)
{
    bool ascii = o->options.ascii;
    double at = h->hi > h->lo ? -h->lo / (h->hi - h->lo) * n : -1;
    int zero = !h->log && at > 0 && at < n ? (int)at : -1;
    str_appendf(&o->text, "%*s %s", LABEL_WIDTH, "0", ascii ? "+" : "└");
    for (int i = 0; i < n; i++)
        str_puts(&o->text, i == zero ? ascii ? "0" : "┴" : ascii ? "-" : "─");
    str_putc(&o->text, '\n');
    char lo[32], mid[32], hi[32];
    snprintf(lo, sizeof lo, "%.4g", h->lo);
    snprintf(mid, sizeof mid, "%.4g", hist_edge(h, h->n / 2));
    snprintf(hi, sizeof hi, "%.4g%s", h->hi, h->log ? " (log10)" : "");
    int left = n / 2 - (int)strlen(lo);
    pad(&o->text, LABEL_WIDTH + 2);
    str_appendf(&o->text, "%s%*s%*s\n", lo, left + (int)strlen(mid) / 2, n > 24 ? mid : "",
                n - n / 2 - (int)strlen(mid) / 2, hi);
}

void out_chart(struct out *o, const struct hist *h)
{
    if (!h || !h->n)
        return;
    int n = h->n < CHART_MAX ? h->n : h->n / ((h->n + CHART_MAX - 1) / CHART_MAX);
    int64_t *column = xcalloc((size_t)n, sizeof *column);
    int64_t most = join(h, n, column);
    for (int row = CHART_ROWS - 1; row >= 0; row--)
        chart_row(o, column, n, most ? most : 1, row);
    chart_axis(o, h, n);
    free(column);
}

/* --- summaries ------------------------------------------------------------------------------ */

#define SPARK_CELLS 32

void out_summary_line(struct out *o, const char *key, const struct summary *s)
{
    if (!s)
        return;
    if (!o->summary_headed) {
        out_heading(o, "parameters");
        out_line(o, "  %-14s %9s %10s %10s %10s %10s %7s %7s", "", "count", "mean", "std",
                 "min", "max", "< 0", "= 0");
    }
    o->summary_headed = true;
    str_appendf(&o->text, "  %-14s %9lld %10.4g %10.4g %10.4g %10.4g %5.1f %% %5.1f %%  ", key,
                (long long)s->count, s->mean, s->std, s->min, s->max,
                100 * s->negative_fraction, 100 * s->zero_fraction);
    if (s->hist.n) {
        int64_t column[SPARK_CELLS];
        int n = s->hist.n < SPARK_CELLS ? s->hist.n : SPARK_CELLS;
        int64_t most = join(&s->hist, n, column);
        for (int i = 0; i < n; i++)
            str_puts(&o->text, out_block(height(column[i], most, 1), o->options.ascii));
    }
    str_putc(&o->text, '\n');
}
