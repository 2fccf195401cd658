/* out_tsv.c - tab-separated values: one table of what a command answers. See out.h. */
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/out_form.h"

static void put_cell(struct str *out, const char *bytes, size_t n)
{
    while (n) {
        const char *slash = memchr(bytes, '\\', n);
        size_t run = slash ? (size_t)(slash - bytes) : n;
        str_visible(out, bytes, run, STR_ESCAPED);
        bytes += run;
        n -= run;
        if (slash) {
            str_puts(out, "\\\\");
            bytes++;
            n--;
        }
    }
}

static void put_line(struct out *o, bool names)
{
    const struct out_cells *c = &o->cells;
    for (int i = 0; i < c->n; i++) {
        if (i)
            str_putc(&o->text, '\t');
        if (names)
            put_cell(&o->text, c->name[i], strlen(c->name[i])); /* config's are a file's */
        else
            str_append(&o->text, str_text(&c->cell[i]), c->cell[i].len);
    }
    str_putc(&o->text, '\n');
}

/* The number of the feature, and the name of the object, that the rows about to open
 * belong to. */
static int64_t owner_id(const struct out *o)
{
    for (int i = o->depth - 1; i >= 0; i--)
        if (o->levels[i].id >= 0)
            return o->levels[i].id;
    return -1;
}

static const char *owner_key(const struct out *o)
{
    const char *key = o->levels[o->depth - 1].key;
    return o->depth > 1 ? key : NULL;
}

static void open_rows(struct out *o, const char *columns)
{
    struct str all = {0};
    if (owner_id(o) >= 0)
        str_puts(&all, "feature,");
    if (owner_key(o))
        str_puts(&all, "of,");
    str_puts(&all, columns);
    out_cells_init(&o->cells, str_text(&all));
    str_finish(&all);
    if (!o->headed)
        put_line(o, true);
    o->headed = true;
}

static void fill_owner(struct out *o)
{
    int i = 0;
    if (owner_id(o) >= 0)
        str_appendf(&o->cells.cell[i++], "%lld", (long long)owner_id(o));
    if (owner_key(o))
        put_cell(&o->cells.cell[i++], owner_key(o), strlen(owner_key(o)));
    o->cells.next = i;
}

static bool is_table(const struct out *o, const char *key, enum out_nest nest)
{
    return nest == NEST_ROWS && o->options.table && key && !strcmp(key, o->options.table);
}

/* A list inside a row is JSON in its cell. */
static struct str *list_lead(struct out *o, const char *key, bool first)
{
    struct str *cell = out_cell(o, key, false, !o->options.table);
    if (cell && !first)
        str_putc(cell, ',');
    return cell;
}

static void tsv_open(struct out *o, const char *key, enum out_nest nest,
                     const char *columns)
{
    int depth = o->depth + 1;
    if (o->skip_depth)
        return;
    if (!o->depth) { /* the outermost object: the row, unless there is a table */
        o->row_depth = o->options.table ? 0 : 1;
    } else if (is_table(o, key, nest)) {
        open_rows(o, columns);
    } else if (o->row_depth && (nest == NEST_ROWS || o->list_depth)) {
        o->skip_depth = depth;
    } else if (o->row_depth && nest == NEST_LIST) {
        struct str *cell = list_lead(o, key, true);
        o->list_depth = depth;
        if (cell)
            str_putc(cell, '[');
    } else if (!o->row_depth && nest == NEST_OBJECT &&
               is_table(o, o->levels[o->depth - 1].key, o->levels[o->depth - 1].nest)) {
        o->row_depth = depth;
        out_cells_reset(&o->cells);
        o->depth--; /* the rows themselves own nothing */
        fill_owner(o);
        o->depth++;
    }
}

static void tsv_value(struct out *o, const char *key, const struct out_value *v)
{
    if (o->skip_depth || !o->row_depth)
        return;
    struct str *cell;
    if (o->list_depth) {
        const struct out_level *list = &o->levels[o->list_depth - 1];
        o->depth--;
        cell = list_lead(o, list->key, list->items == 0);
        o->depth++;
        struct str json = {0};
        out_put_json_value(&json, v);
        if (cell)
            put_cell(cell, str_text(&json), json.len);
        str_finish(&json);
        return;
    }
    cell = out_cell(o, key, false, !o->options.table);
    if (!cell || v->kind == VALUE_NULL)
        return;
    if (v->kind == VALUE_TEXT)
        put_cell(cell, v->s, v->n);
    else
        out_put_json_value(cell, v);
}

static void tsv_close(struct out *o)
{
    if (o->skip_depth) {
        if (o->skip_depth == o->depth)
            o->skip_depth = 0;
        return;
    }
    if (o->list_depth == o->depth && o->depth) {
        const char *key = o->levels[o->depth - 1].key;
        o->list_depth = 0;
        o->depth--;
        struct str *cell = out_cell(o, key, false, false);
        o->depth++;
        if (cell)
            str_putc(cell, ']');
    } else if (o->row_depth == o->depth) {
        if (!o->options.table)
            put_line(o, true);
        put_line(o, false);
        o->row_depth = 0;
    }
}

const struct out_ops out_tsv_ops = {tsv_open, tsv_value, tsv_close};
