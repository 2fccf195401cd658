/*
 * labels.h - what the user calls features: labels, notes, favourites.
 *
 * One file holds them for all checkpoints, one JSON object a line, sorted by checkpoint and
 * feature, so that it can be kept in git and merged by lines:
 *
 *   {"checkpoint": "00c0ffee00c0ffee", "feature": 7, "label": "kings", "note": "",
 *    "favourite": true, "time": 1764000000}
 *
 * checkpoint is the 16 lower-case hexadecimal digits of its id, time is seconds since 1970.
 * Of two lines for one feature the one with the greater time counts, the later line when
 * a time is missing or they are equal. Every other key of a line, and lines of objects that have a
 * checkpoint but no feature number, are kept as they are.
 *
 * What the user wrote is never lost: each change locks the file, reads it again, changes
 * the one line and replaces the file in one step. A file in which any line is not like the
 * above is somebody else's: it is refused, and never written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

#define LABELS_MAX_FILE   ((size_t)32 << 20)
#define LABELS_MAX_STRING 65536 /* bytes of a label or a note */
#define LABELS_LOCK_MS    2000  /* how long a change waits for other processes */

struct labels;

struct label {
    const char *text, *note; /* UTF-8, never NULL, "" when there is none */
    bool favourite;
};

/*
 * path NULL: labels.jsonl in the state directory (fs_state_dir). A file that is not there
 * is an empty one; nothing is written before the first change. NULL: ERR_OS; ERR_FORMAT
 * names the line of a file that is not ours.
 */
struct labels *labels_open(const char *path, struct err *err);
void labels_close(struct labels *l); /* NULL is fine */

/* Labels that come with a bundle, shown where the user has nothing of his own. The file
 * is only read; lines that are no labels are passed over. One at a time: a second call
 * replaces the first. On failure nothing changes. */
bool labels_add_read_only(struct labels *l, const char *path, struct err *err);

/* False, and *out empty, when there is nothing about this feature. Borrowed until the next
 * change. */
bool labels_get(const struct labels *l, uint64_t checkpoint, int64_t feature,
                struct label *out);

/* Features of the checkpoint that have a label, a note or are favourites. */
int64_t labels_count(const struct labels *l, uint64_t checkpoint);

/*
 * Change a feature's label and save. An empty label stays in the file, so that it hides
 * the bundle's and survives a merge. Bytes that are not UTF-8 become U+FFFD. What other
 * processes saved meanwhile is taken over. On failure nothing changes, here or on disk:
 * ERR_OS (also: locked for longer than LABELS_LOCK_MS), ERR_RANGE (text too long, the
 * file would grow beyond LABELS_MAX_FILE), ERR_FORMAT (the file is not ours any more).
 */
bool labels_set(struct labels *l, uint64_t checkpoint, int64_t feature,
                const struct label *label, struct err *err);

/*
 * The same in two steps, so that nobody waits for the disk: labels_put changes what
 * labels_get gives at once, and the file is written by a labels_save on any thread.
 *
 *   save = labels_save_new(l)            what is not in the file yet; NULL: nothing
 *   labels_save_run(save, err)           writes it; any thread; errors as of labels_set
 *   labels_save_take(l, save)            it is written (if it is) and no longer pending
 *   labels_save_free(save)               NULL is fine
 *
 * What was put stays, and is saved with the next one, until a save has succeeded. labels_save
 * is all of it here and now: true when there is nothing left to write.
 */
bool labels_put(struct labels *l, uint64_t checkpoint, int64_t feature,
                const struct label *label, struct err *err);
struct labels_save;
struct labels_save *labels_save_new(const struct labels *l);
bool labels_save_run(struct labels_save *s, struct err *err);
void labels_save_take(struct labels *l, struct labels_save *s);
void labels_save_free(struct labels_save *s);
bool labels_save(struct labels *l, struct err *err);

/*
 * Take over explanations exported from Neuronpedia: objects with "index" (a number, or one
 * in quotes) and "description", in a list, one a line, or in a list called "explanations".
 * The first of a feature counts; labels that the user has stay. Returns how many were
 * taken, -1 on failure: as labels_set, and ERR_FORMAT when there are none in the file.
 */
int64_t labels_import(struct labels *l, uint64_t checkpoint, const char *path,
                      struct err *err);
