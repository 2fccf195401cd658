/*
 * labels_impl.h - the inside of struct labels, shared by labels*.c only.
 */
#pragma once

#include "io/labels.h"

#define LABELS_NO_TIME INT64_MIN

struct entry {
    uint64_t checkpoint;
    int64_t feature;
    int64_t time;       /* LABELS_NO_TIME: the line has none */
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

struct change {
    uint64_t checkpoint;
    int64_t feature;
    size_t order;       /* of changes to one feature the first counts */
    struct label label; /* in `pending` owned */
};

struct labels {
    char *path;
    struct table own, read_only;
    struct change *pending; /* owned; in `own` already, but not in the file */
    size_t n_pending, cap_pending;
};

/* labels.c */
void labels_table_finish(struct table *t);
/* Sort, and leave one entry a feature and one of equal other lines. */
void labels_table_settle(struct table *t);
/* Where the feature is, or would be; *found says which. */
size_t labels_table_find(const struct table *t, uint64_t checkpoint, int64_t feature,
                         bool *found);
/* strict: a line that is not ours is an error. */
bool labels_table_read(struct table *t, const char *path, bool strict, struct err *err);

/* labels_save.c */
void labels_change_finish(struct change *c); /* of `pending` */

/* Lock the file, read it again, apply the changes (sorted by checkpoint and
 * feature; only_missing: where there is no label yet, keeping note and star), replace it. *t
 * gets what is in it then. Returns how many were applied, or -1. Any thread. */
int64_t labels_commit(const char *path, const struct change *changes, size_t n,
                      bool only_missing, struct table *t, struct err *err);
