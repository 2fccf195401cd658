/* labels_save.c - changing labels and saving them; see labels.h. */
#include "io/labels_impl.h"

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
#include "io/mem.h"
#include "io/str.h"

/* --- changes ----------------------------------------------------------------------------------- */

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
static struct entry changed_entry(const struct entry *old, const struct change *c)
{
    /* Never before what it replaces, even where a clock went back. */
    int64_t now = (int64_t)time(NULL);
    struct entry e = {.checkpoint = c->checkpoint, .feature = c->feature,
                      .time = old && old->time > now ? old->time : now,
                      .favourite = c->label.favourite,
                      .label = copy_or_null(c->label.text),
                      .note = copy_or_null(c->label.note),
                      .line = old ? xstrdup(old->line) : NULL,
                      .order = SIZE_MAX};
    rewrite_line(&e);
    return e;
}

static int64_t apply(struct table *t, const struct change *changes, size_t n,
                     bool only_missing)
{
    struct table fresh = {0};
    for (size_t i = 0; i < n; i++) {
        bool found;
        size_t at = labels_table_find(t, changes[i].checkpoint, changes[i].feature,
                                      &found);
        const struct entry *old = found ? &t->entries[at] : NULL;
        struct change c = changes[i];
        if (only_missing && old) {
            if (old->label)
                continue;
            c.label.note = old->note ? old->note : "";
            c.label.favourite = old->favourite;
        }
        if (i && changes[i - 1].checkpoint == c.checkpoint &&
            changes[i - 1].feature == c.feature)
            continue;
        array_grow(fresh.entries, fresh.n, fresh.cap);
        fresh.entries[fresh.n++] = changed_entry(old, &c);
    }
    for (size_t i = 0; i < fresh.n; i++) {
        array_grow(t->entries, t->n, t->cap);
        t->entries[t->n++] = fresh.entries[i];
    }
    labels_table_settle(t);
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
            err_set(err, ERR_FORMAT, "%s: cannot be written (found no regular file, expected one)", path);
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

int64_t labels_commit(const char *path, const struct change *changes, size_t n,
                      bool only_missing, struct table *t, struct err *err)
{
    struct table made = {0};
    int64_t applied = -1;
    int fd = lock_file(path, err);
    if (fd < 0)
        return -1;
    bool ok = labels_table_read(&made, path, true, err);
    if (ok) {
        applied = apply(&made, changes, n, only_missing);
        ok = write_table(&made, path, err);
    }
    close(fd);
    if (!ok) {
        labels_table_finish(&made);
        return -1;
    }
    *t = made;
    return applied;
}

/* --- at once ------------------------------------------------------------------------------------ */

static bool check_length(const struct labels *l, const struct label *label, struct err *err)
{
    if (strlen(label->text) <= LABELS_MAX_STRING && strlen(label->note) <= LABELS_MAX_STRING)
        return true;
    return err_set(err, ERR_RANGE, "%s: label or note too long (found more, expected at most "
                       "%d bytes)", l->path,
                   LABELS_MAX_STRING);
}

bool labels_set(struct labels *l, uint64_t checkpoint, int64_t feature,
                const struct label *label, struct err *err)
{
    struct change change = {checkpoint, feature, 0, *label};
    struct table t;
    if (!check_length(l, label, err) || !labels_save(l, err) ||
        labels_commit(l->path, &change, 1, false, &t, err) < 0)
        return false;
    labels_table_finish(&l->own);
    l->own = t;
    return true;
}

/* --- in two steps ------------------------------------------------------------------------------- */

void labels_change_finish(struct change *c)
{
    free((char *)c->label.text);
    free((char *)c->label.note);
}

static struct change copy_change(const struct change *c)
{
    struct change copy = *c;
    copy.label.text = xstrdup(c->label.text);
    copy.label.note = xstrdup(c->label.note);
    return copy;
}

/* By checkpoint and feature, what was said last first. */
static int compare_pending(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->checkpoint != y->checkpoint)
        return x->checkpoint < y->checkpoint ? -1 : 1;
    if (x->feature != y->feature)
        return x->feature < y->feature ? -1 : 1;
    return (x->order < y->order) - (x->order > y->order);
}

bool labels_put(struct labels *l, uint64_t checkpoint, int64_t feature,
                const struct label *label, struct err *err)
{
    static size_t order;
    struct change change = {checkpoint, feature, ++order, *label};
    if (!check_length(l, label, err))
        return false;
    array_grow(l->pending, l->n_pending, l->cap_pending);
    l->pending[l->n_pending++] = copy_change(&change);
    apply(&l->own, &change, 1, false);
    return true;
}

struct labels_save {
    char *path;
    struct change *changes; /* owned copies, sorted */
    size_t n, last;         /* last: the greatest order among them */
    struct table t;         /* what the file holds now */
    bool done;
};

struct labels_save *labels_save_new(const struct labels *l)
{
    if (!l->n_pending)
        return NULL;
    struct labels_save *s = xcalloc(1, sizeof *s);
    s->path = xstrdup(l->path);
    s->changes = xcalloc(l->n_pending, sizeof *s->changes);
    for (size_t i = 0; i < l->n_pending; i++)
        s->changes[s->n++] = copy_change(&l->pending[i]);
    s->last = l->pending[l->n_pending - 1].order;
    qsort(s->changes, s->n, sizeof *s->changes, compare_pending);
    return s;
}

bool labels_save_run(struct labels_save *s, struct err *err)
{
    s->done = labels_commit(s->path, s->changes, s->n, false, &s->t, err) >= 0;
    return s->done;
}

void labels_save_take(struct labels *l, struct labels_save *s)
{
    size_t kept = 0;
    if (!s->done)
        return;
    labels_table_finish(&l->own);
    l->own = s->t;
    s->t = (struct table){0};
    s->done = false;
    for (size_t i = 0; i < l->n_pending; i++) {
        if (l->pending[i].order <= s->last) {
            labels_change_finish(&l->pending[i]);
        } else { /* said while that was saved */
            apply(&l->own, &l->pending[i], 1, false);
            l->pending[kept++] = l->pending[i];
        }
    }
    l->n_pending = kept;
}

void labels_save_free(struct labels_save *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        labels_change_finish(&s->changes[i]);
    free(s->changes);
    labels_table_finish(&s->t);
    free(s->path);
    free(s);
}

bool labels_save(struct labels *l, struct err *err)
{
    struct labels_save *s = labels_save_new(l);
    bool ok = !s || labels_save_run(s, err);
    if (s && ok)
        labels_save_take(l, s);
    labels_save_free(s);
    return ok;
}
