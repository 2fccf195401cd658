/* out.c - see out.h; what all forms share, and JSON. */
#include "tui/out.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utf8proc.h>

#include "io/mem.h"
#include "tui/out_form.h"

static const struct out_ops *const forms[] = {
    [OUT_TEXT] = &out_text_ops,
    [OUT_TSV] = &out_tsv_ops,
    [OUT_JSON] = &out_json_ops,
};

/* --- nesting ---------------------------------------------------------------------------- */

static void open_nest(struct out *o, const char *key, enum out_nest nest,
                      const char *columns)
{
    o->ops->open(o, key, nest, columns);
    if (o->depth)
        o->levels[o->depth - 1].items++;
    array_grow(o->levels, o->depth, o->cap);
    o->levels[o->depth++] = (struct out_level){nest, key, 0, -1};
}

static void put(struct out *o, const char *key, struct out_value v)
{
    o->ops->value(o, key, &v);
    struct out_level *level = &o->levels[o->depth - 1];
    level->items++;
    if (v.kind == VALUE_INT && key && !strcmp(key, "id"))
        level->id = v.i;
}

struct out *out_new(const struct out_options *options)
{
    struct out *o = xcalloc(1, sizeof *o);
    o->options = *options;
    o->ops = forms[options->form];
    open_nest(o, NULL, NEST_OBJECT, NULL);
    return o;
}

void out_free(struct out *o)
{
    if (!o)
        return;
    out_cells_finish(&o->cells);
    str_finish(&o->text);
    free(o->levels);
    free(o->width);
    str_finish(&o->waiting);
    free(o);
}

enum out_form out_form(const struct out *o)
{
    return o->options.form;
}

void out_begin(struct out *o, const char *key)
{
    open_nest(o, key, NEST_OBJECT, NULL);
}

void out_rows(struct out *o, const char *key, const char *columns)
{
    open_nest(o, key, NEST_ROWS, columns);
}

void out_list(struct out *o, const char *key)
{
    open_nest(o, key, NEST_LIST, NULL);
}

void out_end(struct out *o)
{
    o->ops->close(o);
    o->depth--;
}

/* --- values ----------------------------------------------------------------------------- */

void out_int(struct out *o, const char *key, int64_t v)
{
    put(o, key, (struct out_value){.kind = VALUE_INT, .i = v});
}

void out_num(struct out *o, const char *key, double v)
{
    put(o, key, (struct out_value){.kind = isfinite(v) ? VALUE_NUM : VALUE_NULL, .d = v});
}

void out_bytes(struct out *o, const char *key, const char *v, size_t n)
{
    put(o, key, (struct out_value){.kind = VALUE_TEXT, .s = v, .n = n});
}

void out_text(struct out *o, const char *key, const char *v)
{
    if (v)
        out_bytes(o, key, v, strlen(v));
    else
        out_null(o, key);
}

void out_bool(struct out *o, const char *key, bool v)
{
    put(o, key, (struct out_value){.kind = VALUE_BOOL, .i = v});
}

void out_null(struct out *o, const char *key)
{
    put(o, key, (struct out_value){.kind = VALUE_NULL});
}

void out_json(struct out *o, const char *key, const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT: {
        const char *name;
        json_t *member;
        out_begin(o, key);
        json_object_foreach((json_t *)v, name, member)
            out_json(o, name, member);
        out_end(o);
        break;
    }
    case JSON_ARRAY:
        out_list(o, key);
        for (size_t i = 0; i < json_array_size(v); i++)
            out_json(o, NULL, json_array_get(v, i));
        out_end(o);
        break;
    case JSON_STRING:
        out_bytes(o, key, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        out_int(o, key, json_integer_value(v));
        break;
    case JSON_REAL:
        out_num(o, key, json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        out_bool(o, key, json_is_true(v));
        break;
    case JSON_NULL:
        out_null(o, key);
        break;
    }
}

void out_summary_keys(struct out *o, const struct summary *s)
{
    out_int(o, "count", s->count);
    out_num(o, "mean", s->mean);
    out_num(o, "std", s->std);
    out_num(o, "min", s->min);
    out_num(o, "max", s->max);
    out_num(o, "negative_fraction", s->negative_fraction);
    out_num(o, "zero_fraction", s->zero_fraction);
}

void out_hist(struct out *o, const char *key, const struct hist *h)
{
    if (out_form(o) == OUT_TEXT) {
        out_chart(o, h);
    } else if (!h || !h->n) {
        out_null(o, key);
    } else if (out_form(o) == OUT_TSV) {
        out_rows(o, key, "low,high,count");
        for (int i = 0; i < h->n; i++) {
            out_begin(o, NULL);
            out_num(o, "low", hist_edge(h, i));
            out_num(o, "high", hist_edge(h, i + 1));
            out_int(o, "count", h->counts[i]);
            out_end(o);
        }
        out_end(o);
    } else {
        out_begin(o, key);
        out_list(o, "edges");
        for (int i = 0; i <= h->n; i++)
            out_num(o, NULL, hist_edge(h, i));
        out_end(o);
        out_list(o, "counts");
        for (int i = 0; i < h->n; i++)
            out_int(o, NULL, h->counts[i]);
        out_end(o);
        out_end(o);
    }
}

void out_summary(struct out *o, const char *key, const struct summary *s)
{
    if (out_form(o) == OUT_TEXT) {
        out_summary_line(o, key, s);
    } else if (!s) {
        out_null(o, key);
    } else {
        out_begin(o, key);
        out_summary_keys(o, s);
        out_hist(o, "histogram", &s->hist);
        out_end(o);
    }
}

/* --- writing ---------------------------------------------------------------------------- */

const char *out_finish(struct out *o, size_t *len)
{
    while (o->depth)
        out_end(o);
    *len = o->text.len;
    return str_text(&o->text);
}

bool out_flush(struct out *o, int fd, struct err *err)
{
    size_t left = o->text.len;
    const char *p = str_text(&o->text);
    while (left) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno != EINTR)
            return err_os(err, errno, "standard output", NULL);
        if (n > 0) {
            p += n;
            left -= (size_t)n;
        }
    }
    str_reset(&o->text);
    return true;
}

bool out_write(struct out *o, int fd, struct err *err)
{
    size_t len;
    out_finish(o, &len);
    return out_flush(o, fd, err);
}

/* --- tables in TSV and text --------------------------------------------------------------- */

/* Takes `name` over. */
static int add_column(struct out_cells *c, char *name)
{
    c->name = xreallocarray(c->name, (size_t)c->n + 1, sizeof *c->name);
    c->cell = xreallocarray(c->cell, (size_t)c->n + 1, sizeof *c->cell);
    c->right = xreallocarray(c->right, (size_t)c->n + 1, sizeof *c->right);
    c->name[c->n] = name;
    c->cell[c->n] = (struct str){0};
    c->right[c->n] = false;
    return c->n++;
}

void out_cells_init(struct out_cells *c, const char *columns)
{
    out_cells_finish(c);
    while (*columns) {
        size_t n = strcspn(columns, ",");
        add_column(c, xstrndup(columns, n));
        columns += n + (columns[n] == ',');
    }
}

void out_cells_reset(struct out_cells *c)
{
    for (int i = 0; i < c->n; i++)
        str_reset(&c->cell[i]);
    c->next = 0;
}

void out_cells_finish(struct out_cells *c)
{
    for (int i = 0; i < c->n; i++) {
        str_finish(&c->cell[i]);
        free(c->name[i]);
    }
    free(c->name);
    free(c->cell);
    free(c->right);
    *c = (struct out_cells){0};
}

/* The dotted name of `key` in the row that is open. */
static void dotted(const struct out *o, const char *key, struct str *name)
{
    for (int i = o->row_depth; i < o->depth; i++)
        if (o->levels[i].key)
            str_appendf(name, "%s.", o->levels[i].key);
    str_puts(name, key ? key : "");
}

static int find_column(struct out_cells *c, const char *name)
{
    for (int k = 0; k < c->n; k++) {
        int i = (c->next + k) % c->n;
        if (!strcmp(c->name[i], name))
            return i;
    }
    return -1;
}

struct str *out_cell(struct out *o, const char *key, bool right, bool grow)
{
    struct out_cells *c = &o->cells;
    struct str name = {0};
    dotted(o, key, &name);
    int i = find_column(c, str_text(&name));
    if (i < 0 && grow)
        i = add_column(c, str_take(&name));
    str_finish(&name);
    if (i < 0)
        return NULL;
    c->next = i + 1;
    c->right[i] |= right;
    return &c->cell[i];
}

/* --- JSON ------------------------------------------------------------------------------- */

/* Could this character mislead who reads the JSON on a terminal or in an editor? */
static bool escaped(uint32_t cp)
{
    if (cp < 0x80)
        return cp < 0x20 || cp == 0x7f;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    default:
        return false;
    }
}

static void put_escape(struct str *s, uint32_t cp)
{
    if (cp < 0x10000) {
        str_appendf(s, "\\u%04x", (unsigned)cp);
        return;
    }
    cp -= 0x10000;
    str_appendf(s, "\\u%04x\\u%04x", (unsigned)(0xd800 + (cp >> 10)),
                (unsigned)(0xdc00 + (cp & 0x3ff)));
}

static void put_json_string(struct str *s, const char *bytes, size_t n)
{
    static const char plain[] = "\"\\\n\t\r\b\f", letter[] = "\"\\ntrbf";
    str_putc(s, '"');
    while (n) {
        uint32_t cp;
        int len = str_utf8_next(bytes, n, &cp);
        const char *two = cp && cp < 0x80 ? strchr(plain, (int)cp) : NULL;
        if (two)
            str_appendf(s, "\\%c", letter[two - plain]);
        else if (escaped(cp))
            put_escape(s, cp);
        else
            str_put_utf8(s, cp);
        len = len < 0 ? -len : len;
        bytes += len;
        n -= (size_t)len;
    }
    str_putc(s, '"');
}

void out_put_json_value(struct str *s, const struct out_value *v)
{
    switch (v->kind) {
    case VALUE_NULL:
        str_puts(s, "null");
        break;
    case VALUE_INT:
        str_appendf(s, "%lld", (long long)v->i);
        break;
    case VALUE_NUM:
        str_appendf(s, "%.9g", v->d);
        break;
    case VALUE_TEXT:
        put_json_string(s, v->s, v->n);
        break;
    case VALUE_BOOL:
        str_puts(s, v->i ? "true" : "false");
        break;
    }
}

/* Comma, line break where it helps the eye (keys of the outermost object, rows), key. */
static void json_lead(struct out *o, const char *key)
{
    const struct out_level *level = o->depth ? &o->levels[o->depth - 1] : NULL;
    if (!level)
        return;
    bool line = o->depth == 1 || level->nest == NEST_ROWS;
    if (level->items)
        str_puts(&o->text, line ? "," : ", ");
    if (line)
        str_puts(&o->text, "\n");
    if (key) {
        put_json_string(&o->text, key, strlen(key));
        str_puts(&o->text, ": ");
    }
}

static void json_open(struct out *o, const char *key, enum out_nest nest,
                      const char *columns)
{
    (void)columns;
    json_lead(o, key);
    str_putc(&o->text, nest == NEST_OBJECT ? '{' : '[');
}

static void json_put(struct out *o, const char *key, const struct out_value *v)
{
    json_lead(o, key);
    out_put_json_value(&o->text, v);
}

static void json_shut(struct out *o)
{
    str_putc(&o->text, o->levels[o->depth - 1].nest == NEST_OBJECT ? '}' : ']');
    if (o->depth == 1)
        str_putc(&o->text, '\n');
}

const struct out_ops out_json_ops = {json_open, json_put, json_shut};
