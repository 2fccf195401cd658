/* outdir.c - see outdir.h. */
#include "io/outdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fs.h"
#include "io/mem.h"

static bool refuse_existing(const char *path, struct err *err)
{
    struct stat st;
    bool is_dir = lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
    return err_set(err, ERR_FORMAT, "%s: is there already (found %s, expected a name that "
                   "is free)", path, is_dir ? "a directory" : "a file");
}

/* The directory that path is in, with its slash; owned. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup("./");
}

static char *name_beside(const char *path)
{
    static atomic_uint count;
    const char *slash = strrchr(path, '/');
    char *parent = parent_of(path);
    char *name = xasprintf("%s.%s.saescope-%ld-%u", parent, slash ? slash + 1 : path,
                           (long)getpid(), atomic_fetch_add(&count, 1));
    free(parent);
    return name;
}

bool outdir_open(struct outdir *d, const char *path, struct err *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    struct outdir made = {.path = xstrndup(path, n), .dir = -1, .fd = -1};
    struct stat st;
    bool ok = true;
    if (lstat(made.path, &st) == 0)
        ok = refuse_existing(made.path, err);
    for (int tries = 0; ok && !made.temp; tries++) {
        made.temp = name_beside(made.path);
        if (mkdir(made.temp, 0777) == 0)
            break;
        int why = errno;
        free(made.temp);
        made.temp = NULL;
        if (why != EEXIST || tries == 100)
            ok = err_os(err, why, made.path, "cannot make the directory");
    }
    if (ok && (made.dir = open(made.temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        ok = err_os(err, errno, made.path, "cannot make the directory");
    if (!ok) {
        outdir_finish(&made);
        return false;
    }
    *d = made;
    return true;
}

bool outdir_begin(struct outdir *d, const char *name, struct err *err)
{
    int fd = openat(d->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_os(err, errno, d->path, "cannot write");
    d->fd = fd;
    d->files = xreallocarray(d->files, (size_t)d->n_files + 1, sizeof *d->files);
    d->files[d->n_files++] = (struct outdir_file){.name = xstrdup(name)};
    return true;
}

bool outdir_put(struct outdir *d, const void *bytes, size_t n, struct err *err)
{
    struct outdir_file *f = &d->files[d->n_files - 1];
    if (!fs_pwrite(d->fd, d->path, bytes, n, f->bytes, err))
        return false;
    f->bytes += (int64_t)n;
    return true;
}

bool outdir_end(struct outdir *d, struct err *err)
{
    bool ok = fsync(d->fd) == 0;
    int why = errno;
    if (close(d->fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    d->fd = -1;
    return ok || err_os(err, why, d->path, "cannot write");
}

bool outdir_file(struct outdir *d, const char *name, const void *bytes, size_t n,
                 struct err *err)
{
    return outdir_begin(d, name, err) && outdir_put(d, bytes, n, err) && outdir_end(d, err);
}

/* Where the system cannot rename without replacing, a directory that is empty could be
 * replaced, which costs nobody anything. */
static bool rename_free(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    struct stat st;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return false;
    }
    return rename(from, to) == 0;
}

bool outdir_commit(struct outdir *d, struct err *err)
{
    if (fsync(d->dir) != 0 && errno != EINVAL)
        return err_os(err, errno, d->path, "cannot write");
    if (!rename_free(d->temp, d->path))
        return errno == EEXIST ? refuse_existing(d->path, err)
                               : err_os(err, errno, d->path, "cannot write");
    free(d->temp);
    d->temp = NULL;
    char *parent = parent_of(d->path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    /* Not every file system syncs a directory: then the rename is as safe as it gets. */
    bool ok = fd < 0 || fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    int why = errno;
    if (fd >= 0)
        close(fd);
    return ok || err_os(err, why, d->path, "written, but its directory could not be synced");
}

void outdir_finish(struct outdir *d)
{
    if (!d->path)
        return;
    if (d->fd >= 0)
        close(d->fd);
    for (int i = 0; i < d->n_files; i++) {
        if (d->temp)
            unlinkat(d->dir, d->files[i].name, 0);
        free(d->files[i].name);
    }
    if (d->temp)
        rmdir(d->temp);
    if (d->dir >= 0)
        close(d->dir);
    free(d->files);
    free(d->temp);
    free(d->path);
    *d = (struct outdir){.dir = -1, .fd = -1};
}
