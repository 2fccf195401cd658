/* app_write.c - what a view shows, into a file: beside it first, then renamed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/mem.h"
#include "tui/app_impl.h"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static bool fill(const struct view *v, const char *path, int fd, struct err *err)
{
    FILE *f = fdopen(fd, "w");
    bool ok;

    if (!f) {
        err_os(err, errno, path, "writing");
        close(fd);
        return false;
    }
    ok = v->ops->export(v, ends_with(path, ".json") ? EXPORT_JSON : EXPORT_TSV, f, err);
    if (ok && (fflush(f) != 0 || ferror(f) || fsync(fd) != 0))
        ok = err_os(err, errno, path, "writing");
    if (fclose(f) != 0 && ok)
        ok = err_os(err, errno, path, "writing");
    return ok;
}

/* Without force, never over a file that is there: RENAME_NOREPLACE where the file system
 * has it, a look beforehand where not. */
static bool place(const char *temporary, const char *path, bool force, struct err *err)
{
    struct stat st;

    if (force) {
        if (rename(temporary, path) == 0)
            return true;
        return err_os(err, errno, path, "writing");
    }
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return true;
    if (errno == EINVAL || errno == ENOSYS) {
        if (lstat(path, &st) != 0 && errno == ENOENT && rename(temporary, path) == 0)
            return true;
        if (lstat(path, &st) == 0)
            errno = EEXIST;
    }
    if (errno == EEXIST)
        return err_set(err, ERR_USAGE, "%s: exists (:write! %s replaces it)", path, path);
    return err_os(err, errno, path, "writing");
}

bool app_write(struct app *app, const char *path, bool force, struct err *err)
{
    struct view *v = app_shown(app);
    char *temporary;
    int fd;
    bool ok;

    if (!v || !v->ops->export)
        return err_set(err, ERR_USAGE, "nothing to write here");
    temporary = xasprintf("%s.XXXXXX", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        err_os(err, errno, path, "writing");
        free(temporary);
        return false;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask); /* mkostemp's 0600 is for secrets */
    ok = fill(v, path, fd, err) && place(temporary, path, force, err);
    if (!ok)
        unlink(temporary);
    else
        app_message(app, "%s: written", path);
    free(temporary);
    return ok;
}
