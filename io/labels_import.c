/* labels_import.c - explanations exported from Neuronpedia; see labels.h. */
#include "io/labels_impl.h"

#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/jscan.h"
#include "io/mem.h"
#include "io/str.h"

struct import {
    struct change *changes; /* texts owned */
    size_t n, cap;
    struct err *err;
};

static bool import_value(struct import *im, struct jscan *js, int depth);

static bool import_list(struct import *im, struct jscan *js, int depth)
{
    bool first = true, ok = jscan_enter(js, '[', im->err);
    int more = -1;
    while (ok && (more = jscan_next(js, ']', &first, im->err)) > 0)
        ok = import_value(im, js, depth + 1);
    return ok && more == 0;
}

/* "650" or 650; -1 for anything else. */
static bool import_index(struct jscan *js, int64_t *index, struct err *err)
{
    struct jscan number = *js;
    struct str quoted = {0};
    bool is_quoted = jscan_peek(js) == '"';
    bool ok = is_quoted ? jscan_string(js, &quoted, err) : jscan_skip(js, err);
    if (is_quoted)
        jscan_init(&number, str_text(&quoted), quoted.len);
    if (!jscan_int(&number, index, NULL))
        *index = -1;
    str_finish(&quoted);
    return ok;
}

static bool import_object(struct import *im, struct jscan *js, int depth)
{
    struct str key = {0}, text = {0};
    bool first = true, ok = jscan_enter(js, '{', im->err);
    int64_t index = -1;
    int more = -1;
    while (ok && (more = jscan_next(js, '}', &first, im->err)) > 0 &&
           (ok = jscan_key(js, &key, im->err))) {
        char c = jscan_peek(js);
        if (strcmp(str_text(&key), "index") == 0) {
            ok = import_index(js, &index, im->err);
        } else if (strcmp(str_text(&key), "description") == 0 && c == '"') {
            str_reset(&text);
            ok = jscan_string(js, &text, im->err);
        } else if (strcmp(str_text(&key), "explanations") == 0 && c == '[') {
            ok = import_list(im, js, depth + 1);
        } else {
            ok = jscan_skip(js, im->err);
        }
    }
    ok = ok && more == 0;
    if (ok && index >= 0 && *str_text(&text) && text.len <= LABELS_MAX_STRING) {
        array_grow(im->changes, im->n, im->cap);
        im->changes[im->n] = (struct change){
            .feature = index, .order = im->n, .label = {str_take(&text), "", false}};
        im->n++;
    }
    str_finish(&key);
    str_finish(&text);
    return ok;
}

/* Lists and objects nest a few levels in any real export; deeper ones hold no labels. */
static bool import_value(struct import *im, struct jscan *js, int depth)
{
    char c = jscan_peek(js);
    if (depth > 4 || (c != '[' && c != '{'))
        return jscan_skip(js, im->err);
    return c == '[' ? import_list(im, js, depth) : import_object(im, js, depth);
}

static int compare_changes(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->feature != y->feature)
        return x->feature < y->feature ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

int64_t labels_import(struct labels *l, uint64_t checkpoint, const char *path,
                      struct err *err)
{
    size_t n;
    char *text = fs_read_file(path, LABELS_MAX_FILE, &n, err);
    if (!text)
        return -1;
    struct import im = {.err = err};
    struct jscan js;
    bool ok = true;
    jscan_init(&js, text, n);
    while (ok && jscan_peek(&js)) /* one value, or one a line */
        ok = import_value(&im, &js, 0);
    if (ok && !im.n)
        ok = err_set(err, ERR_FORMAT, "no explanations (found none, expected objects with \"index\" and "
                     "\"description\")");
    int64_t applied = -1;
    if (!ok) {
        err_path(err, path);
    } else {
        struct table t;
        for (size_t i = 0; i < im.n; i++)
            im.changes[i].checkpoint = checkpoint;
        qsort(im.changes, im.n, sizeof *im.changes, compare_changes);
        if (labels_save(l, err))
            applied = labels_commit(l->path, im.changes, im.n, true, &t, err);
        if (applied >= 0) {
            labels_table_finish(&l->own);
            l->own = t;
        }
    }
    for (size_t i = 0; i < im.n; i++)
        free((char *)im.changes[i].label.text);
    free(im.changes);
    free(text);
    return applied;
}
