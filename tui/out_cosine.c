/* out_cosine.c - see out_cosine.h. */
#include "tui/out_cosine.h"

#define TEXT_COLUMNS 12 /* of the row of b_dec, for people */

static void put_best(struct out *o, const struct page_cosine *p)
{
    out_rows(o, "best", "row,column,cosine");
    for (int64_t i = 0; i < p->rows; i++) {
        if (p->best[i].column < 0)
            continue;
        out_begin(o, NULL);
        out_int(o, "row", i);
        out_int(o, "column", p->best[i].column);
        out_num(o, "cosine", (double)p->best[i].cosine);
        out_end(o);
    }
    out_end(o);
}

static void put_bias_row(struct out *o, const struct page_cosine *p)
{
    int64_t n = out_form(o) == OUT_TEXT && p->columns > TEXT_COLUMNS ? TEXT_COLUMNS
                                                                    : p->columns;
    out_list(o, "bias_row");
    for (int64_t j = 0; j < n; j++)
        out_num(o, NULL, (double)p->bias_row[j]);
    if (n < p->columns)
        out_text(o, NULL, "...");
    out_end(o);
}

static void put_composites(struct out *o, const struct mixtures *m)
{
    out_int(o, "composite_count", m->n_composites);
    out_rows(o, "composites", "row,parts,columns,cosines");
    for (int64_t i = 0; i < m->n_composites; i++) {
        const struct mixture *one = &m->composites[i];
        int64_t n = one->n < MIXTURE_PARTS ? one->n : MIXTURE_PARTS;
        out_begin(o, NULL);
        out_int(o, "row", one->row);
        out_int(o, "parts", one->n);
        out_list(o, "columns");
        for (int64_t k = 0; k < n; k++)
            out_int(o, NULL, one->parts[k].column);
        out_end(o);
        out_list(o, "cosines");
        for (int64_t k = 0; k < n; k++)
            out_num(o, NULL, (double)one->parts[k].cosine);
        out_end(o);
        out_end(o);
    }
    out_end(o);
}

static void put_columns(struct out *o, const struct mixtures *m)
{
    out_int(o, "alone_count", m->n_alone);
    out_rows(o, "alone", "column,row,cosine");
    for (int64_t j = 0; j < m->n_columns; j++) {
        if (!mixture_is_alone(&m->columns[j]))
            continue;
        out_begin(o, NULL);
        out_int(o, "column", j);
        out_int(o, "row", m->columns[j].row);
        out_num(o, "cosine", (double)m->columns[j].cosine);
        out_end(o);
    }
    out_end(o);
    out_int(o, "missed_count", m->n_missed);
    out_list(o, "missed");
    for (int64_t j = 0; j < m->n_columns; j++)
        if (mixture_is_missed(&m->columns[j]))
            out_int(o, NULL, j);
    out_end(o);
}

void out_cosine(struct out *o, const struct page_cosine *p, const struct cosine_against *against,
                const struct mixtures *mixtures)
{
    out_text(o, "weights", against->weights == COSINE_ENCODER ? "encoder" : "decoder");
    out_text(o, "against", against->path);
    out_int(o, "rows", p->rows);
    out_int(o, "columns", p->columns);
    out_num(o, "mean", p->mean);
    out_num(o, "std", p->std);
    out_num(o, "min", p->min);
    out_num(o, "max", p->max);
    put_bias_row(o, p);
    put_best(o, p);
    if (!mixtures)
        return;
    put_composites(o, mixtures);
    put_columns(o, mixtures);
}
