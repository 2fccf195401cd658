/* labels.c - see labels.h. */
#include "io/labels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "io/fs.h"
#include "io/jscan.h"
#include "io/mem.h"
#include "io/str.h"

#define NO_TIME INT64_MIN

struct entry {
    uint64_t checkpoint;
    int64_t feature;
    int64_t time;       /* NO_TIME: the line has none */
    bool favourite;
    char *label, *note; /* owned; NULL: empty */
    char *line;         /* owned; as it stands in the file, without the newline */
    size_t order;       /* of lines in the file */
};

/* A file's content: the labels sorted by checkpoint and feature, and the other lines. */
struct table {
    struct entry *entries;
    size_t n, cap;
    char **others; /* owned */
    size_t n_others, cap_others;
};

struct labels {
    char *path;
    struct table own, read_only;
};

/* --- tables ----------------------------------------------------------------------------------- */

static void entry_finish(struct entry *e)
{
    free(e->label);
    free(e->note);
    free(e->line);
}

static void table_finish(struct table *t)
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
    return earlier->time == NO_TIME || later->time == NO_TIME ||
           later->time >= earlier->time;
}

/* Sort, and leave one entry a feature and one of equal other lines. */
static void table_settle(struct table *t)
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

/* Where the feature is, or would be; *found says which. */
static size_t table_find(const struct table *t, uint64_t checkpoint, int64_t feature,
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
        f->time = is ? time : NO_TIME;
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
    struct fields f = {.time = NO_TIME};
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
    table_settle(t);
    return true;
}

/* A file into the zeroed *t, which stays zeroed on failure. */
static bool read_table(struct table *t, const char *path, bool strict, struct err *err)
{
    size_t n;
    char *text = fs_read_file(path, LABELS_MAX_FILE, &n, err);
    if (!text)
        return false;
    bool ok = read_lines(t, text, n, strict, err);
    free(text);
    if (!ok) {
        err_path(err, path);
        table_finish(t);
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
    if (l->path && (read_table(&l->own, l->path, true, &why) || why.os_errno == ENOENT))
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
    table_finish(&l->own);
    table_finish(&l->read_only);
    free(l->path);
    free(l);
}

bool labels_add_read_only(struct labels *l, const char *path, struct err *err)
{
    struct table t = {0};
    if (!read_table(&t, path, false, err))
        return false;
    table_finish(&l->read_only);
    l->read_only = t;
    return true;
}

bool labels_get(const struct labels *l, uint64_t checkpoint, int64_t feature,
                struct label *out)
{
    bool found;
    const struct table *t = &l->own;
    size_t at = table_find(t, checkpoint, feature, &found);
    if (!found) {
        t = &l->read_only;
        at = table_find(t, checkpoint, feature, &found);
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
    for (size_t i = table_find(&l->own, checkpoint, INT64_MIN, &found);
         i < l->own.n && l->own.entries[i].checkpoint == checkpoint; i++)
        count += has_content(&l->own.entries[i]);
    const struct table *t = &l->read_only;
    for (size_t i = table_find(t, checkpoint, INT64_MIN, &found);
         i < t->n && t->entries[i].checkpoint == checkpoint; i++) {
        table_find(&l->own, checkpoint, t->entries[i].feature, &found);
        count += !found && has_content(&t->entries[i]);
    }
    return count;
}

/* --- changing --------------------------------------------------------------------------------- */

struct change {
    int64_t feature;
    size_t order;       /* of changes to one feature the first counts */
    struct label label;
};

static void set_string(json_t *object, const char *key, const char *text)
{
    struct str valid = {0};
    str_utf8(&valid, text, strlen(text));
    json_object_set_new(object, key, json_stringn(str_text(&valid), valid.len));
    str_finish(&valid);
}

/* The new line of an entry: the old one's other keys stay. */
static void rewrite_line(struct entry *e)
{
    char id[17];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)e->checkpoint);
    json_t *object = e->line ? json_loads(e->line, JSON_ALLOW_NUL, NULL) : NULL;
    if (!object)
        object = json_object();
    set_string(object, "checkpoint", id);
    json_object_set_new(object, "feature", json_integer(e->feature));
    set_string(object, "label", e->label ? e->label : "");
    set_string(object, "note", e->note ? e->note : "");
    json_object_set_new(object, "favourite", json_boolean(e->favourite));
    json_object_set_new(object, "time", json_integer(e->time));
    free(e->line);
    e->line = json_dumps(object, 0);
    json_decref(object);
}

static char *copy_or_null(const char *text)
{
    struct str valid = {0};
    if (!*text)
        return NULL;
    str_utf8(&valid, text, strlen(text));
    return str_take(&valid);
}

/* The entry that `old` (NULL: none) becomes by the change. */
static struct entry changed_entry(const struct entry *old, uint64_t checkpoint,
                                  const struct change *c)
{
    /* Never before what it replaces, even where a clock went back. */
    int64_t now = (int64_t)time(NULL);
    struct entry e = {.checkpoint = checkpoint, .feature = c->feature,
                      .time = old && old->time > now ? old->time : now,
                      .favourite = c->label.favourite,
                      .label = copy_or_null(c->label.text),
                      .note = copy_or_null(c->label.note),
                      .line = old ? xstrdup(old->line) : NULL,
                      .order = SIZE_MAX};
    rewrite_line(&e);
    return e;
}

/* Apply the changes, sorted by feature; only_missing: where there is no label yet, keeping
 * note and star. Returns how many were applied. */
static int64_t apply(struct table *t, uint64_t checkpoint, const struct change *changes,
                     size_t n, bool only_missing)
{
    struct table fresh = {0};
    for (size_t i = 0; i < n; i++) {
        bool found;
        size_t at = table_find(t, checkpoint, changes[i].feature, &found);
        const struct entry *old = found ? &t->entries[at] : NULL;
        struct change c = changes[i];
        if (only_missing && old) {
            if (old->label)
                continue;
            c.label.note = old->note ? old->note : "";
            c.label.favourite = old->favourite;
        }
        if (i && changes[i - 1].feature == c.feature)
            continue;
        array_grow(fresh.entries, fresh.n, fresh.cap);
        fresh.entries[fresh.n++] = changed_entry(old, checkpoint, &c);
    }
    for (size_t i = 0; i < fresh.n; i++) {
        array_grow(t->entries, t->n, t->cap);
        t->entries[t->n++] = fresh.entries[i];
    }
    table_settle(t);
    free(fresh.entries);
    return (int64_t)fresh.n;
}

static bool write_table(const struct table *t, const char *path, struct err *err)
{
    struct str text = {0};
    for (size_t i = 0; i < t->n; i++) {
        str_puts(&text, t->entries[i].line);
        str_putc(&text, '\n');
    }
    for (size_t i = 0; i < t->n_others; i++) {
        str_puts(&text, t->others[i]);
        str_putc(&text, '\n');
    }
    bool ok = text.len <= LABELS_MAX_FILE
                  ? fs_write_atomic(path, str_text(&text), text.len, err)
                  : err_set(err, ERR_RANGE, "%s: too large (found %zu bytes, expected at "
                            "most %zu)", path, text.len, LABELS_MAX_FILE);
    str_finish(&text);
    return ok;
}

/* flock, for LABELS_LOCK_MS at most. */
static bool lock_wait(int fd, const char *path, struct err *err)
{
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += 5) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_os(err, errno, path, "cannot lock");
        if (waited >= LABELS_LOCK_MS)
            return err_os(err, errno, path, "locked by another process");
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return true;
}

/*
 * The file itself, locked, made when it is not there. Whoever changes the file replaces
 * it, so after the wait the name may stand for another file than the one that is locked:
 * then again. -1 on failure.
 */
static int lock_file(const char *path, struct err *err)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
        struct stat locked, named;
        if (fd < 0 || fstat(fd, &locked) != 0) {
            err_os(err, errno, path, "cannot open for writing");
        } else if (!S_ISREG(locked.st_mode)) {
            err_set(err, ERR_FORMAT, "%s: not a regular file", path);
        } else if (lock_wait(fd, path, err)) {
            if (stat(path, &named) == 0 && named.st_dev == locked.st_dev &&
                named.st_ino == locked.st_ino)
                return fd;
            close(fd);
            continue;
        }
        if (fd >= 0)
            close(fd);
        return -1;
    }
}

/* Read again under the lock, apply, replace. Returns how many were applied, or -1. */
static int64_t commit(struct labels *l, uint64_t checkpoint, const struct change *changes,
                      size_t n, bool only_missing, struct err *err)
{
    struct table t = {0};
    int64_t applied = -1;
    int fd = lock_file(l->path, err);
    if (fd < 0)
        return -1;
    bool ok = read_table(&t, l->path, true, err);
    if (ok) {
        applied = apply(&t, checkpoint, changes, n, only_missing);
        ok = write_table(&t, l->path, err);
    }
    close(fd);
    if (!ok) {
        table_finish(&t);
        return -1;
    }
    table_finish(&l->own);
    l->own = t;
    return applied;
}

bool labels_set(struct labels *l, uint64_t checkpoint, int64_t feature,
                const struct label *label, struct err *err)
{
    if (strlen(label->text) > LABELS_MAX_STRING || strlen(label->note) > LABELS_MAX_STRING)
        return err_set(err, ERR_RANGE, "%s: label or note longer than %d bytes", l->path,
                       LABELS_MAX_STRING);
    struct change change = {feature, 0, *label};
    return commit(l, checkpoint, &change, 1, false, err) >= 0;
}

/* --- importing -------------------------------------------------------------------------------- */

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
        im->changes[im->n] = (struct change){index, im->n, {str_take(&text), "", false}};
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
        ok = err_set(err, ERR_FORMAT, "no explanations (expected objects with \"index\" and "
                     "\"description\")");
    int64_t applied = -1;
    if (!ok) {
        err_path(err, path);
    } else {
        qsort(im.changes, im.n, sizeof *im.changes, compare_changes);
        applied = commit(l, checkpoint, im.changes, im.n, true, err);
    }
    for (size_t i = 0; i < im.n; i++)
        free((char *)im.changes[i].label.text);
    free(im.changes);
    free(text);
    return applied;
}
