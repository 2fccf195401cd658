/* view_compare_write.c - view 5: the list for files and the clipboard; see view_compare.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/str.h"
#include "model/session.h"
#include "tui/out.h"
#include "tui/view_compare.h"

static const char *name_of(const struct view *v, int side, int64_t id)
{
    const struct compare *s = v->state;
    return id < 0 ? "" : desk_name(v->desk, s->sae[side], id, NULL);
}

static void copy_row(const struct view *v, int64_t id, struct str *out)
{
    const struct compare *s = v->state;
    int columns[CMP_COLUMNS], n = compare_list_columns(v, columns), side = compare_side(s);
    int64_t partner = compare_partner(s, side, id);
    char which[160];

    for (int k = 0; k < n; k++) {
        str_puts(out, k ? "\t" : "");
        double x = compare_value(v, columns[k], id);
        if (columns[k] == CMP_NAME_A)
            str_puts(out, name_of(v, 0, side ? partner : id));
        else if (columns[k] == CMP_NAME_B)
            str_puts(out, name_of(v, 1, side ? id : partner));
        else if (columns[k] == CMP_WHICH) {
            compare_which(s, side, id, which, sizeof which);
            str_puts(out, which);
        } else if (!isnan(x))
            str_appendf(out, "%.9g", x);
    }
    str_putc(out, '\n');
}

char *compare_copy(const struct view *v, bool all)
{
    const struct compare *s = v->state;
    struct str out = {0};

    for (int64_t r = 0; r < s->n_ids; r++)
        if (all || r == s->table.cursor)
            copy_row(v, s->ids[r], &out);
    return out.len ? str_take(&out) : NULL;
}

static const char *key_of(int column)
{
    return column == CMP_NAME_A   ? "name_a"
           : column == CMP_NAME_B ? "name_b"
           : column == CMP_WHICH  ? "close_to"
                                  : compare_columns[column].key;
}

static void put_row(const struct view *v, struct out *o, int64_t id)
{
    const struct compare *s = v->state;
    int columns[CMP_COLUMNS], n = compare_list_columns(v, columns), side = compare_side(s);
    int64_t partner = compare_partner(s, side, id);
    char which[160];

    out_begin(o, NULL);
    for (int k = 0; k < n; k++) {
        const char *key = key_of(columns[k]);
        if (columns[k] == CMP_NAME_A)
            out_text(o, key, name_of(v, 0, side ? partner : id));
        else if (columns[k] == CMP_NAME_B)
            out_text(o, key, name_of(v, 1, side ? id : partner));
        else if (columns[k] == CMP_WHICH) {
            compare_which(s, side, id, which, sizeof which);
            out_text(o, key, which);
        } else
            out_num(o, key, compare_value(v, columns[k], id));
    }
    out_end(o);
}

static void put_side(const struct view *v, struct out *o, int side)
{
    const struct compare *s = v->state;
    const struct sae *sae = compare_sae(v, side);
    const struct scan_totals *t = s->index[side] ? index_totals(s->index[side]) : NULL;

    out_begin(o, side ? "b" : "a");
    out_text(o, "name", v->session->saes[s->sae[side]].name);
    out_text(o, "path", sae->path);
    out_text(o, "architecture", sae->arch->name);
    out_int(o, "d_sae", sae->d_sae);
    out_num(o, "l0", t ? t->l0 : NAN);
    out_num(o, "fvu", t ? t->fvu : NAN);
    out_num(o, "dead_fraction", t ? t->dead_fraction : NAN);
    out_end(o);
}

static bool write_all(const struct view *v, enum export_format format, FILE *f,
                      struct err *err)
{
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV,
                                  .table = "saes"};
    struct out *o = out_new(&options);

    compare_all_put(v, o);
    fflush(f);
    bool ok = out_write(o, fileno(f), err);
    out_free(o);
    return ok;
}

/* The two, what the matching says as a whole, and the rows of the list. */
bool compare_export(const struct view *v, enum export_format format, FILE *f, struct err *err)
{
    const struct compare *s = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV,
                                  .table = "rows"};
    struct str heads = {0};
    int columns[CMP_COLUMNS], n = compare_list_columns(v, columns);

    if (s->all)
        return write_all(v, format, f, err);
    if (s->n_ids == 0)
        return err_set(err, ERR_MISSING, "no rows to write");
    for (int k = 0; k < n; k++)
        str_appendf(&heads, "%s%s", k ? "," : "", key_of(columns[k]));
    struct out *o = out_new(&options);
    put_side(v, o, 0);
    put_side(v, o, 1);
    out_begin(o, "mmcs");
    out_num(o, "a_to_b", s->mmcs[0]);
    out_num(o, "b_to_a", s->mmcs[1]);
    out_end(o);
    out_text(o, "list", compare_list_name[s->list]);
    out_text(o, "pairs", compare_pairing_text(s));
    out_rows(o, "rows", str_text(&heads));
    for (int64_t r = 0; r < s->n_ids; r++)
        put_row(v, o, s->ids[r]);
    out_end(o);
    fflush(f);
    bool ok = out_write(o, fileno(f), err);
    out_free(o);
    str_finish(&heads);
    return ok;
}
