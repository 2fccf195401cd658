/* labels.c - what is in a file of labels; see labels.h. Changing it is labels_save.c. */
#include "io/labels_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/jscan.h"
#include "io/mem.h"
#include "io/str.h"

/* --- tables ----------------------------------------------------------------------------------- */

static void entry_finish(struct entry *e)
{
    free(e->label);
    free(e->note);
    free(e->line);
}

void labels_table_finish(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        entry_finish(&t->entries[i]);
    for (size_t i = 0; i < t->n_others; i++)
        free(t->others[i]);
    free(t->entries);
    free(t->others);
    *t = (struct table){0};
}

static int compare_keys(const struct entry *a, const struct entry *b)
{
    if (a->checkpoint != b->checkpoint)
        return a->checkpoint < b->checkpoint ? -1 : 1;
    return (a->feature > b->feature) - (a->feature < b->feature);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int keys = compare_keys(x, y);
    return keys ? keys : (x->order > y->order) - (x->order < y->order);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* `later` is the later line of the two. */
static bool later_wins(const struct entry *earlier, const struct entry *later)
{
    return earlier->time == LABELS_NO_TIME || later->time == LABELS_NO_TIME ||
           later->time >= earlier->time;
}

void labels_table_settle(struct table *t)
{
    size_t kept = 0;
    if (t->n)
        qsort(t->entries, t->n, sizeof *t->entries, compare_entries);
    for (size_t i = 0; i < t->n; i++) {
        struct entry *e = &t->entries[i], *last = kept ? &t->entries[kept - 1] : NULL;
        if (!last || compare_keys(last, e) != 0) {
            t->entries[kept++] = *e;
        } else if (later_wins(last, e)) {
            entry_finish(last);
            *last = *e;
        } else {
            entry_finish(e);
        }
    }
    t->n = kept;

    kept = 0;
    if (t->n_others)
        qsort(t->others, t->n_others, sizeof *t->others, compare_lines);
    for (size_t i = 0; i < t->n_others; i++) {
        if (kept && strcmp(t->others[kept - 1], t->others[i]) == 0)
            free(t->others[i]);
        else
            t->others[kept++] = t->others[i];
    }
    t->n_others = kept;
}

size_t labels_table_find(const struct table *t, uint64_t checkpoint, int64_t feature,
                         bool *found)
{
    struct entry key = {.checkpoint = checkpoint, .feature = feature};
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_keys(&t->entries[mid], &key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = lo < t->n && compare_keys(&t->entries[lo], &key) == 0;
    return lo;
}

static bool has_content(const struct entry *e)
{
    return e->label || e->note || e->favourite;
}

/* --- reading lines ---------------------------------------------------------------------------- */

enum line { LINE_LABEL, LINE_OTHER, LINE_FOREIGN };

/* What the keys of one line gave. */
struct fields {
    struct str checkpoint, label, note;
    bool has_checkpoint, has_feature, favourite;
    int64_t feature, time;
};

static void fields_finish(struct fields *f)
{
    str_finish(&f->checkpoint);
    str_finish(&f->label);
    str_finish(&f->note);
}

/* A string into *out (emptied first), any other value passed over. *is (may be NULL) tells
 * which it was. */
static bool string_or_skip(struct jscan *js, struct str *out, bool *is)
{
    bool string = jscan_peek(js) == '"';
    if (is)
        *is = string;
    str_reset(out);
    return string ? jscan_string(js, out, NULL) : jscan_skip(js, NULL);
}

static bool int_or_skip(struct jscan *js, int64_t *out, bool *is)
{
    struct jscan try = *js;
    *is = jscan_int(&try, out, NULL);
    return jscan_skip(js, NULL);
}

static bool read_field(struct jscan *js, const char *key, struct fields *f)
{
    bool is;
    if (strcmp(key, "checkpoint") == 0)
        return string_or_skip(js, &f->checkpoint, &f->has_checkpoint);
    if (strcmp(key, "feature") == 0)
        return int_or_skip(js, &f->feature, &f->has_feature);
    if (strcmp(key, "label") == 0)
        return string_or_skip(js, &f->label, NULL);
    if (strcmp(key, "note") == 0)
        return string_or_skip(js, &f->note, NULL);
    if (strcmp(key, "time") == 0) {
        int64_t time;
        bool ok = int_or_skip(js, &time, &is);
        f->time = is ? time : LABELS_NO_TIME;
        return ok;
    }
    if (strcmp(key, "favourite") == 0)
        f->favourite = jscan_peek(js) == 't';
    return jscan_skip(js, NULL);
}

static bool read_object(struct jscan *js, struct fields *f)
{
    struct str key = {0};
    bool first = true, ok = jscan_enter(js, '{', NULL);
    int more = -1;
    while (ok && (more = jscan_next(js, '}', &first, NULL)) > 0)
        ok = jscan_key(js, &key, NULL) && read_field(js, str_text(&key), f);
    str_finish(&key);
    return ok && more == 0;
}

/* 16 lower-case hexadecimal digits. */
static bool read_id(const struct str *s, uint64_t *id)
{
    static const char digits[] = "0123456789abcdef";
    *id = 0;
    for (size_t i = 0; i < s->len; i++) {
        const char *d = s->data[i] ? strchr(digits, s->data[i]) : NULL;
        if (!d)
            return false;
        *id = *id << 4 | (uint64_t)(d - digits);
    }
    return s->len == 16;
}

/* The text up to a 0 byte, which no label of ours holds; NULL when empty. */
static char *owned_text(const struct str *s)
{
    return s->len && s->data[0] ? xstrdup(s->data) : NULL;
}

static enum line read_line(const char *line, size_t n, struct entry *out)
{
    struct fields f = {.time = LABELS_NO_TIME};
    struct jscan js;
    jscan_init(&js, line, n);
    bool ok = !memchr(line, 0, n) && read_object(&js, &f) && jscan_finish(&js, NULL) &&
              f.has_checkpoint;
    enum line kind = ok ? LINE_OTHER : LINE_FOREIGN;
    uint64_t id;
    if (ok && f.has_feature && f.feature >= 0 && read_id(&f.checkpoint, &id)) {
        kind = LINE_LABEL;
        *out = (struct entry){.checkpoint = id, .feature = f.feature, .time = f.time,
                              .favourite = f.favourite, .label = owned_text(&f.label),
                              .note = owned_text(&f.note), .line = xstrndup(line, n)};
    }
    fields_finish(&f);
    return kind;
}

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", line[i]) || !line[i])
            return false;
    return true;
}

static bool foreign_line(struct err *err, size_t number, const char *line, size_t n)
{
    struct str shown = {0};
    str_visible(&shown, line, n > 40 ? 40 : n, STR_ESCAPED);
    err_set(err, ERR_FORMAT, "not a labels file, left alone (found line %zu, '%s', expected "
            "an object with \"checkpoint\" and \"feature\")", number, str_text(&shown));
    str_finish(&shown);
    return false;
}

/* The lines of text into *t. strict: a foreign line is an error, else passed over. */
static bool read_lines(struct table *t, const char *text, size_t n, bool strict,
                       struct err *err)
{
    size_t number = 0;
    for (const char *p = text, *end = text + n, *next; p < end; p = next) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((newline ? newline : end) - p);
        next = newline ? newline + 1 : end;
        number++;
        struct entry e;
        enum line kind = is_blank(p, len) ? LINE_FOREIGN : read_line(p, len, &e);
        if (kind == LINE_LABEL) {
            e.order = number;
            array_grow(t->entries, t->n, t->cap);
            t->entries[t->n++] = e;
        } else if (kind == LINE_OTHER) {
            array_grow(t->others, t->n_others, t->cap_others);
            t->others[t->n_others++] = xstrndup(p, len);
        } else if (strict && !is_blank(p, len)) {
            return foreign_line(err, number, p, len);
        }
    }
    labels_table_settle(t);
    return true;
}

/* A file into the zeroed *t, which stays zeroed on failure. */
bool labels_table_read(struct table *t, const char *path, bool strict, struct err *err)
{
    size_t n;
    char *text = fs_read_file(path, LABELS_MAX_FILE, &n, err);
    if (!text)
        return false;
    bool ok = read_lines(t, text, n, strict, err);
    free(text);
    if (!ok) {
        err_path(err, path);
        labels_table_finish(t);
    }
    return ok;
}

/* --- opening and asking ----------------------------------------------------------------------- */

static char *default_path(struct err *err)
{
    char *dir = fs_state_dir(err);
    char *path = dir ? xasprintf("%s/labels.jsonl", dir) : NULL;
    free(dir);
    return path;
}

struct labels *labels_open(const char *path, struct err *err)
{
    struct labels *l = xcalloc(1, sizeof *l);
    l->path = path ? xstrdup(path) : default_path(err);
    struct err why = {0};
    if (l->path && (labels_table_read(&l->own, l->path, true, &why) || why.os_errno == ENOENT))
        return l;
    if (l->path && err)
        *err = why;
    labels_close(l);
    return NULL;
}

void labels_close(struct labels *l)
{
    if (!l)
        return;
    labels_table_finish(&l->own);
    labels_table_finish(&l->read_only);
    for (size_t i = 0; i < l->n_pending; i++)
        labels_change_finish(&l->pending[i]);
    free(l->pending);
    free(l->path);
    free(l);
}

bool labels_add_read_only(struct labels *l, const char *path, struct err *err)
{
    struct table t = {0};
    if (!labels_table_read(&t, path, false, err))
        return false;
    labels_table_finish(&l->read_only);
    l->read_only = t;
    return true;
}

bool labels_get(const struct labels *l, uint64_t checkpoint, int64_t feature,
                struct label *out)
{
    bool found;
    const struct table *t = &l->own;
    size_t at = labels_table_find(t, checkpoint, feature, &found);
    if (!found) {
        t = &l->read_only;
        at = labels_table_find(t, checkpoint, feature, &found);
    }
    *out = (struct label){"", "", false};
    if (!found || !has_content(&t->entries[at]))
        return false;
    const struct entry *e = &t->entries[at];
    *out = (struct label){e->label ? e->label : "", e->note ? e->note : "", e->favourite};
    return true;
}

int64_t labels_count(const struct labels *l, uint64_t checkpoint)
{
    int64_t count = 0;
    bool found;
    for (size_t i = labels_table_find(&l->own, checkpoint, INT64_MIN, &found);
         i < l->own.n && l->own.entries[i].checkpoint == checkpoint; i++)
        count += has_content(&l->own.entries[i]);
    const struct table *t = &l->read_only;
    for (size_t i = labels_table_find(t, checkpoint, INT64_MIN, &found);
         i < t->n && t->entries[i].checkpoint == checkpoint; i++) {
        labels_table_find(&l->own, checkpoint, t->entries[i].feature, &found);
        count += !found && has_content(&t->entries[i]);
    }
    return count;
}
