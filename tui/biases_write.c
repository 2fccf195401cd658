/* biases_write.c - copy and write of the Biases view. See biases.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "tui/biases.h"
#include "tui/out.h"

/* -- copy and write ------------------------------------------------------------------- */

static void copy_row(const struct view *v, int64_t id, struct str *out)
{
    const struct biases *b = v->state;

    str_appendf(out, "%lld", (long long)id);
    for (int i = 1; i < b->n_columns; i++) {
        if (b->columns[i] == BCOL_NAME)
            str_appendf(out, "\t%s", desk_name(v->desk, v->target.sae, id, NULL));
        else
            str_appendf(out, "\t%.9g", biases_value(v, b->columns[i], id));
    }
    str_putc(out, '\n');
}

static void copy_bin(const struct biases *b, int i, struct str *out)
{
    str_appendf(out, "%.9g\t%.9g", biases_edge(b, i), biases_edge(b, i + 1));
    for (int s = 0; s < b->n_series; s++)
        str_appendf(out, "\t%lld", (long long)b->series[s].summary.hist.counts[i]);
    str_putc(out, '\n');
}

/* The bar or the row; all: all bars, or all rows of the list. */
char *biases_copy(const struct view *v, bool all)
{
    const struct biases *b = v->state;
    struct str out = {0};

    if (!biases_sae(v) || b->run_shown || !biases_has_bins(b))
        return NULL;
    if (b->pane == BIASES_LIST) {
        for (int64_t i = 0; i < b->n_ids; i++)
            if (all || i == b->list.cursor)
                copy_row(v, b->ids[i], &out);
    } else {
        for (int i = 0; i < b->series[0].summary.hist.n; i++)
            if (all || i == b->cursor)
                copy_bin(b, i, &out);
    }
    return out.len ? str_take(&out) : NULL;
}

/* -- files --------------------------------------------------------------------------------- */

static struct quantity_entry entry_of(const struct view *v, int sae, const struct summary *s)
{
    const struct session_sae *e = &v->session->saes[sae];
    int64_t step = e->step < 0 && e->sae ? e->sae->step : e->step;

    return (struct quantity_entry){e->name, e->path, step, e->sae ? e->sae->l1 : NAN,
                                   .summary = s};
}

/* What is shown, one entry a checkpoint; returns how many. The series that are overlaid
 * have no quantiles of their own yet. */
static int entries_of(const struct view *v, struct quantity_entry *e)
{
    const struct biases *b = v->state;
    int n = 0;

    for (int k = 0; b->run_shown && k < b->run.series.n; k++) {
        const struct biases_point *p = &b->run.points[k];
        const struct series_member *m = &b->run.series.members[k];
        if (p->state != POINT_KNOWN)
            continue;
        e[n] = entry_of(v, m->sae, &p->summary);
        e[n].step = m->step;
        e[n].l1 = m->l1;
        memcpy(e[n].quantiles, p->quantiles, sizeof e[n].quantiles);
        n++;
    }
    for (int k = 0; !b->run_shown && k < b->n_series; k++) {
        const struct biases_series *s = &b->series[k];
        double *copy = xmalloc((size_t)s->n * sizeof *copy);
        memcpy(copy, s->v, (size_t)s->n * sizeof *copy);
        e[n] = entry_of(v, s->sae, &s->summary);
        stats_quantiles(copy, s->n, e[n++].quantiles);
        free(copy);
    }
    return n;
}

static void put_number(FILE *f, double x)
{
    fputc('\t', f);
    if (isfinite(x))
        fprintf(f, "%.9g", x);
}

static void put_name(FILE *f, const char *s)
{
    for (; *s; s++)
        fputs(*s == '\t' ? "\\t" : *s == '\n' ? "\\n" : *s == '\\' ? "\\\\"
                                                                   : (char[]){*s, 0}, f);
}

/* A line a bin, with the figures of its checkpoint. */
static void put_tsv(FILE *f, enum quantity q, const struct quantity_entry *e, int n)
{
    fputs("name\tof\tstep\tl1\tcount\tmean\tstd\tmin\tmax\tnegative_fraction\tzero_fraction"
          "\texcluded\tp5\tp25\tp50\tp75\tp95\tlow\thigh\tbin_count\n", f);
    for (int k = 0; k < n; k++) {
        const struct summary *s = e[k].summary;
        for (int i = 0; i < s->hist.n; i++) {
            put_name(f, e[k].name);
            fprintf(f, "\t%s", quantities[q].name);
            put_number(f, e[k].step < 0 ? NAN : (double)e[k].step);
            const double figures[] = {e[k].l1, (double)s->count, s->mean, s->std, s->min, s->max,
                                      s->negative_fraction, s->zero_fraction,
                                      (double)s->excluded};
            for (size_t j = 0; j < sizeof figures / sizeof *figures; j++)
                put_number(f, figures[j]);
            for (int j = 0; j < STATS_QUANTILES; j++)
                put_number(f, e[k].quantiles[j]);
            put_number(f, hist_edge(&s->hist, i));
            put_number(f, hist_edge(&s->hist, i + 1));
            fprintf(f, "\t%lld\n", (long long)s->hist.counts[i]);
        }
    }
}

static void put_json(const struct view *v, struct out *o, const struct quantity_entry *e, int n)
{
    const struct biases *b = v->state;

    if (b->run_shown) {
        quantity_put_many(o, b->run.of, e, n);
        return;
    }
    quantity_put(o, b->of, e[0].summary);
    if (n < 2)
        return;
    out_rows(o, "overlaid", "name");
    for (int k = 1; k < n; k++) {
        out_begin(o, NULL);
        out_text(o, "name", e[k].name);
        quantity_put(o, b->of, e[k].summary);
        out_end(o);
    }
    out_end(o);
}

/* What `saescope hist` prints; checkpoints that are overlaid follow under "overlaid". */
bool biases_export(const struct view *v, enum export_format format, FILE *f, struct err *err)
{
    const struct biases *b = v->state;
    struct out_options options = {.form = OUT_JSON};
    struct quantity_entry entries[SERIES_MAX];
    int n = entries_of(v, entries);

    if (n == 0)
        return err_set(err, ERR_MISSING, "%s is not known: nothing to write",
                       quantities[b->of].name);
    if (format == EXPORT_TSV) {
        put_tsv(f, b->run_shown ? b->run.of : b->of, entries, n);
        return true;
    }
    struct out *o = out_new(&options);
    put_json(v, o, entries, n);
    fflush(f);
    bool ok = out_write(o, fileno(f), err);
    out_free(o);
    return ok;
}
