/* cmd_cosine.c - `saescope cosine`: decoder or encoder rows against given directions. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/mem.h"
#include "model/cosine.h"
#include "model/mixture.h"
#include "tui/cmd.h"
#include "tui/out_cosine.h"

#define MATRIX_MAX ((int64_t)1 << 26) /* entries printed; about 900 MB as JSON */
#define BLOCK_BYTES ((int64_t)4 << 20) /* of the matrix at a time */
#define TEXT_COLUMNS 12               /* of the matrix, for people */
#define TEXT_ROWS 64

/* What the decoder (or encoder) stands against, and what has to be closed afterwards. */
struct directions {
    struct mat rows;
    struct cosine_against against; /* of rows, or of nothing */
    struct container *container;
    struct sae *sae;
};

static bool open_truth(struct cmd *c, const char *word, struct directions *d,
                       struct err *err)
{
    const struct tensor *t = cosine_open_rows(word, &c->progress, &d->container, err);
    if (!t)
        return false;
    d->rows = mat_of(t, false);
    d->against.rows = &d->rows;
    d->against.path = container_path(d->container);
    return true;
}

/* A name in the bundle, or a path. */
static bool open_against(struct cmd *c, const char *word, struct directions *d,
                         struct err *err)
{
    const struct session *s = c->session;
    int i = bundle_find_sae(&s->bundle, word);
    const char *path = i >= 0 ? s->bundle.saes[i].path : word;
    d->sae = sae_open(path, &s->options.sae, &c->progress, err);
    if (!d->sae)
        return false;
    d->rows = *cosine_rows(d->sae, d->against.weights);
    d->against.rows = &d->rows;
    d->against.path = d->sae->path;
    return true;
}

static bool open_directions(struct cmd *c, struct directions *d, struct err *err)
{
    const struct opts *o = &c->opts;
    const char *truth = session_truth(c->session);
    if (o->weights && !strcmp(o->weights, "encoder"))
        d->against.weights = COSINE_ENCODER;
    if (o->against)
        return open_against(c, o->against, d, err);
    return !truth || open_truth(c, truth, d, err);
}

/* --- output -------------------------------------------------------------------------------- */

static void put_row(struct out *o, int64_t i, const float *row, int64_t n)
{
    if (out_form(o) != OUT_TSV)
        out_list(o, NULL);
    for (int64_t j = 0; j < n; j++) {
        if (out_form(o) != OUT_TSV) {
            out_num(o, NULL, (double)row[j]);
            continue;
        }
        out_begin(o, NULL);
        out_int(o, "row", i);
        out_int(o, "column", j);
        out_num(o, "cosine", (double)row[j]);
        out_end(o);
    }
    if (out_form(o) != OUT_TSV)
        out_end(o);
}

/* For people: a corner of it, two digits a cell. */
static void put_corner(struct out *o, const struct page_cosine *p)
{
    int64_t rows = p->rows < TEXT_ROWS ? p->rows : TEXT_ROWS;
    int64_t columns = p->columns < TEXT_COLUMNS ? p->columns : TEXT_COLUMNS;
    float *row = xmalloc((size_t)p->columns * sizeof *row);
    out_heading(o, "matrix (%lld of %lld rows, %lld of %lld columns; all with --json or --tsv)",
                (long long)rows, (long long)p->rows, (long long)columns,
                (long long)p->columns);
    for (int64_t i = 0; i < rows; i++) {
        struct str line = {0};
        page_cosine_rows(p, i, 1, row);
        str_appendf(&line, "%8lld ", (long long)i);
        for (int64_t j = 0; j < columns; j++)
            str_appendf(&line, " %5.2f", (double)row[j]);
        out_line(o, "%s", str_text(&line));
        str_finish(&line);
    }
    free(row);
}

/* Piece by piece: neither the matrix nor its text is ever held as a whole. */
static bool put_matrix(struct cmd *c, const struct page_cosine *p, struct err *err)
{
    struct out *o = c->out;
    int64_t each = BLOCK_BYTES / (int64_t)sizeof(float) / p->columns;
    each = each > 0 ? each : 1;
    float *block = xmalloc((size_t)(each * p->columns) * sizeof *block);
    bool ok = true;
    if (out_form(o) == OUT_TSV)
        out_rows(o, "matrix", "row,column,cosine");
    else
        out_list(o, "matrix");
    for (int64_t first = 0; first < p->rows && ok; first += each) {
        int64_t n = p->rows - first < each ? p->rows - first : each;
        page_cosine_rows(p, first, n, block);
        for (int64_t i = 0; i < n; i++)
            put_row(o, first + i, block + i * p->columns, p->columns);
        ok = progress_step(&c->progress, "printing", first + n, p->rows) ||
             err_set(err, ERR_CANCELLED, "cancelled");
        ok = ok && out_flush(o, STDOUT_FILENO, err);
    }
    out_end(o);
    free(block);
    return ok;
}

static bool put_page(struct cmd *c, const struct page_cosine *p,
                     const struct directions *d, struct err *err)
{
    struct mixtures mixtures = {0};
    bool truth = d->container != NULL;
    if (truth && !mixtures_make(p, c->opts.session.threads, &c->progress, &mixtures, err))
        return false;
    out_cosine(c->out, p, &d->against, truth ? &mixtures : NULL);
    mixtures_finish(&mixtures);
    if (!c->opts.matrix)
        return true;
    if (out_form(c->out) != OUT_TEXT)
        return put_matrix(c, p, err);
    put_corner(c->out, p);
    return true;
}

/* The columns of the matrix, before anything is computed. */
static bool check_size(const struct cmd *c, const struct directions *d, struct err *err)
{
    int64_t rows = c->sae->d_sae, columns = d->against.rows ? d->rows.rows : rows, entries;
    if (!c->opts.matrix || out_form(c->out) == OUT_TEXT ||
        (!__builtin_mul_overflow(rows, columns, &entries) && entries <= MATRIX_MAX))
        return true;
    return err_set(err, ERR_RANGE, "%s: --matrix: too many cosines to print (found %lld x "
                   "%lld, expected at most %lld in all)", c->sae->path, (long long)rows,
                   (long long)columns, (long long)MATRIX_MAX);
}

bool cmd_cosine(struct cmd *c, struct err *err)
{
    struct directions d = {0};
    struct page_cosine page = {0};
    if (c->opts.session.truth && c->opts.against)
        return err_set(err, ERR_USAGE, "--against: not together with --truth");
    bool ok = open_directions(c, &d, err) && check_size(c, &d, err) &&
              page_cosine_make(c->sae, &d.against, c->opts.session.threads, &c->progress,
                               &page, err) &&
              put_page(c, &page, &d, err);
    page_cosine_finish(&page);
    container_close(d.container);
    sae_close(d.sae);
    return ok;
}
