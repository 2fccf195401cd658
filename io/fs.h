/*
 * fs.h - files and directories: where ours live, how they are written, what is opened.
 *
 * Nothing that a user made is ever lost: fs_write replaces a file only when the new one
 * is whole and on the disk. Errors name the path first ("PATH: what: why").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "io/err.h"

/* ---- where ours live: $XDG_*_HOME/saescope, else ~/.cache, ~/.local/state, ~/.config.
 * Made on demand with mode 0700; relative values are ignored, as the XDG base directory
 * specification asks. Owned by the caller; NULL on failure. */
char *fs_cache_dir(struct err *err);
char *fs_state_dir(struct err *err);
char *fs_config_dir(struct err *err);

/* ---- reading */

/* Open for reading, regular files only (links are followed); *st (may be NULL) gets its
 * fstat. Never hangs on a fifo and never becomes a controlling terminal. -1 on failure:
 * ERR_OS, or ERR_FORMAT for what is no regular file. */
int fs_open_regular(const char *path, struct stat *st, struct err *err);

/* Exactly n bytes at `offset`; `path` is for messages. ERR_OS, or ERR_FORMAT when the
 * file ends before them. */
bool fs_pread(int fd, const char *path, void *buf, size_t n, int64_t offset,
              struct err *err);

/* A small file as a whole, owned, with a 0 byte behind it; *size (may be NULL) gets its
 * length. ERR_FORMAT when it is longer than max. NULL on failure. */
char *fs_read_file(const char *path, size_t max, size_t *size, struct err *err);

/* ---- writing */

/* All n bytes at `offset`. ERR_OS (ENOSPC and the like). */
bool fs_pwrite(int fd, const char *path, const void *buf, size_t n, int64_t offset,
               struct err *err);

/* A new file that has no name any more, open for reading and writing: gone as soon as
 * it is closed, whatever happens. In `dir`; NULL: in the cache directory, or where that
 * cannot be written, in $TMPDIR or /tmp. -1 on failure (that of the first place).
 * *where (may be NULL) gets the directory, owned, for messages. */
int fs_unlinked_file(const char *dir, char **where, struct err *err);

/* A file written beside its final name. */
struct fs_write {
    int fd;     /* write here, in any way */
    char *path; /* owned; the final name, links resolved */
    char *temp; /* owned; the name until then */
    bool named; /* temp is in the directory. Where the system can, a file gets it only on
                   its commit, so that a program that is killed leaves nothing behind. */
};

/* An existing `path` keeps its permissions and is not touched before the commit; one that
 * is no regular file is refused. */
bool fs_write_open(struct fs_write *w, const char *path, struct err *err);
/* To the disk, then to its name in one step. On failure the file is as it was and *w is
 * aborted. */
bool fs_write_commit(struct fs_write *w, struct err *err);
/* Forget it. Fine on a zeroed, committed or aborted one. */
void fs_write_abort(struct fs_write *w);

/* The three in one, for content that is in memory. */
bool fs_write_atomic(const char *path, const void *data, size_t n, struct err *err);

/* ---- names */

/* `path`, taken relative to `base` unless absolute, with every link resolved. It must
 * exist (ERR_OS) and lie below base (ERR_FORMAT). Owned; NULL on failure. */
char *fs_resolve_below(const char *base, const char *path, struct err *err);

/* Is there something of that name (links are followed)? */
bool fs_exists(const char *path);

/* `name` in the directory that the file `path` is in. Owned. */
char *fs_beside(const char *path, const char *name);

/* The last component of a path, trailing slashes aside; "." and ".." by their real names.
 * Owned. */
char *fs_base_name(const char *path);

struct fs_names {
    char **name; /* owned */
    size_t n;
};

#define FS_GLOB_ENTRIES 131072 /* of all directories that a pattern leads through */

/* The paths that match `pattern` (glob(7)), in order of their bytes. A file whose literal
 * name is the pattern is itself the only match. None: ERR_MISSING; ERR_FORMAT when there is
 * too much to look through. */
bool fs_glob(const char *pattern, struct fs_names *out, struct err *err);
/* The same in the directory `dir`, whose own name is no pattern. */
bool fs_glob_in(const char *dir, const char *pattern, struct fs_names *out, struct err *err);
void fs_names_free(struct fs_names *names); /* a zeroed one is fine */
