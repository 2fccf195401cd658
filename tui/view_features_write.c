/* view_features_write.c - view 2: rows for files and the clipboard; see view_features.h. */
#include <math.h>
#include <stdio.h>

#include <jansson.h>

#include "tui/view_features.h"

static void put_escaped(FILE *out, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '\t': fputs("\\t", out); break;
        case '\n': fputs("\\n", out); break;
        case '\r': fputs("\\r", out); break;
        case '\\': fputs("\\\\", out); break;
        default: putc(*s, out);
        }
}

static void put_row(const struct view *v, FILE *out, int64_t id)
{
    const struct features *f = v->state;

    for (int k = 0; k < f->n_columns; k++) {
        int column = f->columns[k];
        if (column == CELL_HISTOGRAM)
            continue;
        if (k > 0)
            putc('\t', out);
        if (column == CELL_NAME) {
            put_escaped(out, desk_name(v->desk, v->target.sae, id, NULL));
            continue;
        }
        double x = feature_table_at(&features_sae(v)->table, column, id);
        if (isfinite(x))
            fprintf(out, "%.9g", x);
    }
    putc('\n', out);
}

static void put_heads(const struct view *v, FILE *out)
{
    const struct features *f = v->state;

    for (int k = 0; k < f->n_columns; k++)
        if (f->columns[k] != CELL_HISTOGRAM)
            fprintf(out, "%s%s", k ? "\t" : "", features_column_key(f->columns[k]));
    putc('\n', out);
}

static void put_json(const struct view *v, FILE *out, int64_t id)
{
    const struct features *f = v->state;
    json_t *row = json_object();

    for (int k = 0; k < f->n_columns; k++) {
        int column = f->columns[k];
        const char *key = features_column_key(column);
        if (column == CELL_HISTOGRAM)
            continue;
        if (column == CELL_NAME) {
            json_object_set_new(row, key,
                                json_string(desk_name(v->desk, v->target.sae, id, NULL)));
            continue;
        }
        double x = feature_table_at(&features_sae(v)->table, column, id);
        bool whole = column == FCOL_ID || column == FCOL_ACTIVE;
        json_object_set_new(row, key, !isfinite(x) ? json_null()
                                      : whole      ? json_integer((json_int_t)x)
                                                   : json_real(x));
    }
    json_dumpf(row, out, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(row);
}

/* The rows shown; if some features are selected, only these. */
static void put_rows(const struct view *v, FILE *out,
                     void (*put)(const struct view *v, FILE *out, int64_t id),
                     const char *between)
{
    const struct features *f = v->state;
    bool all = desk_selected_count(v->desk, v->target.sae) == 0, first = true;

    for (int64_t r = 0; r < f->n_ids; r++) {
        if (!all && !desk_selected(v->desk, v->target.sae, f->ids[r]))
            continue;
        if (!first)
            fputs(between, out);
        put(v, out, f->ids[r]);
        first = false;
    }
}

bool features_export(const struct view *v, enum export_format format, FILE *out,
                            struct err *err)
{
    const struct features *f = v->state;

    if (f->n_ids == 0)
        return err_set(err, ERR_MISSING, "no rows to write");
    if (format == EXPORT_JSON) {
        fputs("{\"features\": [\n", out);
        put_rows(v, out, put_json, ",\n");
        fputs("\n]}\n", out);
    } else {
        put_heads(v, out);
        put_rows(v, out, put_row, "");
    }
    return true;
}

char *features_copy(const struct view *v, bool all)
{
    const struct features *f = v->state;
    char *text = NULL;
    size_t size;
    FILE *out = f->n_ids ? open_memstream(&text, &size) : NULL;

    if (!out)
        return NULL;
    if (all)
        features_export(v, EXPORT_TSV, out, NULL);
    else
        put_row(v, out, v->target.feature);
    fclose(out);
    return text;
}
