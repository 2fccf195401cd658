/* view_cosine_write.c - copy and write of view 6; see view_cosine.h. */
#include <math.h>
#include <stdlib.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/session.h"
#include "tui/out_cosine.h"
#include "tui/view_cosine.h"

/* Cells [first_r, first_r + n_r) x ... of the window as lines: places and their ids (of the
 * first cosine of a cell), how many of each, the value. */
static void put_cells(const struct view *v, const struct heat_window *w, struct str *out)
{
    const struct cosine *s = v->state;
    const struct heat *h = &s->map->heat;
    float *value = xmalloc((size_t)(w->n_r * w->n_c) * sizeof *value);

    heat_look(h, s->part.mean ? &s->part : NULL, w, value);
    for (int64_t i = 0; i < w->n_r; i++)
        for (int64_t j = 0; j < w->n_c; j++) {
            int64_t row = w->row + i * w->block_r, column = w->column + j * w->block_c;
            str_appendf(out, "%lld\t%lld\t%lld\t%lld\t%lld\t%lld\t", (long long)row,
                        (long long)column, (long long)w->block_r, (long long)w->block_c,
                        (long long)heat_row(h, row), (long long)heat_column(h, column));
            double x = (double)value[i * w->n_c + j];
            if (isfinite(x))
                str_appendf(out, "%.9g", x);
            str_putc(out, '\n');
        }
    free(value);
}

static const char heads[] =
    "row_place\tcolumn_place\tcell_rows\tcell_columns\trow\tcolumn\tcosine\n";

/* The cell under the cursor; all: those on the screen, with a head. */
char *cosine_copy(const struct view *v, bool all)
{
    const struct cosine *s = v->state;
    struct str out = {0};

    if (!s->map)
        return NULL;
    struct cosine_layout l = cosine_lay_out(v, v->rows, v->cols);
    if (l.map.rows < 1)
        return NULL;
    struct heat_window w = cosine_window(s, &l);
    if (all) {
        str_puts(&out, heads);
    } else {
        cosine_cell(s, &l.zoom, &w.row, &w.column);
        w.n_r = w.n_c = 1;
    }
    put_cells(v, &w, &out);
    return str_take(&out);
}

/* The answer of `saescope cosine`. */
static bool put_json(const struct view *v, FILE *f, struct err *err)
{
    const struct cosine_source *s = cosine_source(v);
    const struct session *session = v->session;
    struct cosine_against against = {.weights = s->subject.weights};
    struct out_options options = {.form = OUT_JSON};

    if (!s->looked)
        return err_set(err, ERR_MISSING, "the cosines are not all known yet");
    if (s->subject.kind == AGAINST_SAE)
        against.path = session->saes[s->subject.other].path;
    else if (s->subject.kind == AGAINST_TRUTH)
        against.path = session_truth(session);
    struct out *o = out_new(&options);
    out_cosine(o, &s->page, &against,
               s->subject.kind == AGAINST_TRUTH ? &s->mixtures : NULL);
    fflush(f);
    bool ok = out_write(o, fileno(f), err);
    out_free(o);
    return ok;
}

bool cosine_export(const struct view *v, enum export_format format, FILE *out, struct err *err)
{
    const struct cosine *s = v->state;

    if (!s->map)
        return err_set(err, ERR_MISSING, "there are no cosines yet: nothing to write");
    if (format == EXPORT_JSON)
        return put_json(v, out, err);
    char *text = cosine_copy(v, true);
    if (!text)
        return err_set(err, ERR_USAGE, "the map is not on the screen (Tab): nothing to write");
    fputs(text, out);
    free(text);
    return true;
}
