/*
 * outdir.h - a new directory of files that is there as a whole or not at all.
 *
 * It grows under a temporary name beside its own. Its commit brings every file to the
 * disk and gives the directory its name in one step; nothing that is there already is ever
 * replaced. What is given up is removed. (A program that is killed leaves the
 * temporary directory, ".NAME.saescope-PID-N", and never a NAME that is half of one.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

struct outdir_file {
    char *name;    /* owned; in the directory */
    int64_t bytes; /* written so far */
};

struct outdir {
    char *path, *temp; /* owned: the name to be, and the name until then */
    int dir, fd;       /* the directory; the file that is open, -1: none */
    struct outdir_file *files; /* owned; in the order of their making */
    int n_files;
};

/* Ready to make `path`, which must not exist (ERR_FORMAT), in a directory that does. */
bool outdir_open(struct outdir *d, const char *path, struct err *err);

/* Begin the file `name`; it is open until outdir_end, which brings it to the disk. */
bool outdir_begin(struct outdir *d, const char *name, struct err *err);
bool outdir_put(struct outdir *d, const void *bytes, size_t n, struct err *err);
bool outdir_end(struct outdir *d, struct err *err);

/* The three in one. */
bool outdir_file(struct outdir *d, const char *name, const void *bytes, size_t n,
                 struct err *err);

/* Give it its name. ERR_FORMAT when there is such a one by now. On failure nothing is
 * left of it; *d still wants outdir_finish. */
bool outdir_commit(struct outdir *d, struct err *err);

/* Release; what was not committed is removed. A zeroed or failed one is fine. */
void outdir_finish(struct outdir *d);
