/* spool.c - see spool.h. */
#include "io/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/fs.h"

bool spool_open(struct spool *s, struct err *err)
{
    char *where = NULL;
    int fd = fs_unlinked_file(NULL, &where, err);
    if (fd < 0)
        return false;
    *s = (struct spool){fd, where};
    return true;
}

bool spool_room(const struct spool *s, int64_t size, struct err *err)
{
    struct statvfs fs;
    if (fstatvfs(s->fd, &fs) != 0 || fs.f_frsize == 0)
        return true; /* unknown: writing will tell */
    uint64_t free_blocks = fs.f_bavail, wanted = (uint64_t)size / fs.f_frsize;
    uint64_t left = SPOOL_LEFT_FREE / fs.f_frsize, share = fs.f_blocks / SPOOL_LEFT_SHARE;
    left = left < share ? left : share;
    if (wanted + left < free_blocks)
        return true;
    err_set(err, ERR_OS, "%s: no room for decompressed data (found %.1f MB free, expected %.1f "
            "MB and %.1f MB left)", s->where, (double)free_blocks * (double)fs.f_frsize / 1e6,
            (double)size / 1e6, (double)left * (double)fs.f_frsize / 1e6);
    if (err)
        err->os_errno = ENOSPC;
    return false;
}

bool spool_write(const struct spool *s, const void *p, size_t n, int64_t offset,
                 struct err *err)
{
    return fs_pwrite(s->fd, s->where, p, n, offset, err);
}

bool spool_reserve(const struct spool *s, int64_t size, struct map *m, struct err *err)
{
    if (!spool_room(s, size, err))
        return false;
    int rc = posix_fallocate(s->fd, 0, size);
    if (rc != 0)
        return err_os(err, rc, s->where, "no room for decompressed data");
    int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_os(err, errno, s->where, "cannot map");
    return map_fd_for_writing(m, fd, s->where, err);
}

bool spool_map(struct spool *s, const char *path, struct map *m, struct err *err)
{
    int fd = s->fd;
    s->fd = -1;
    spool_close(s);
    return map_fd(m, fd, path, err);
}

void spool_close(struct spool *s)
{
    if (s->where && s->fd >= 0)
        close(s->fd);
    free(s->where);
    *s = (struct spool){.fd = -1};
}
