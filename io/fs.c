/* fs.c - see fs.h. */
#include "io/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/mem.h"
#include "io/str.h"

/* ---- where ours live */

static const char *home(void)
{
    const char *dir = getenv("HOME");
    if (dir && dir[0] == '/')
        return dir;
    const struct passwd *pw = getpwuid(getuid());
    return pw && pw->pw_dir && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

static bool make_dirs(char *path, struct err *err)
{
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char was = *p;
        *p = 0;
        bool ok = mkdir(path, 0700) == 0 || errno == EEXIST;
        struct stat st;
        if (ok && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) {
            errno = ENOTDIR;
            ok = false;
        }
        if (!ok)
            return err_os(err, errno, path, "cannot make this directory");
        *p = was;
        if (!was)
            return true;
    }
}

static char *xdg_dir(const char *variable, const char *fallback, struct err *err)
{
    const char *base = getenv(variable);
    char *dir;
    if (base && base[0] == '/') {
        dir = xasprintf("%s/saescope", base);
    } else if (home()) {
        dir = xasprintf("%s/%s/saescope", home(), fallback);
    } else {
        err_set(err, ERR_MISSING, "%s: nowhere to keep files (found neither it nor HOME set, "
                "expected one of them)", variable);
        return NULL;
    }
    if (make_dirs(dir, err))
        return dir;
    free(dir);
    return NULL;
}

char *fs_cache_dir(struct err *err)
{
    return xdg_dir("XDG_CACHE_HOME", ".cache", err);
}

char *fs_state_dir(struct err *err)
{
    return xdg_dir("XDG_STATE_HOME", ".local/state", err);
}

char *fs_config_dir(struct err *err)
{
    return xdg_dir("XDG_CONFIG_HOME", ".config", err);
}

/* ---- reading */

static const char *file_kind(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISFIFO(mode) ? "a fifo"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISBLK(mode)  ? "a block device"
                            : "something else";
}

static bool is_regular(const char *path, const struct stat *st, struct err *err)
{
    return S_ISREG(st->st_mode) ||
           err_set(err, ERR_FORMAT, "%s: cannot be read (found %s, expected a regular file)",
                   path, file_kind(st->st_mode));
}

int fs_open_regular(const char *path, struct stat *st, struct err *err)
{
    struct stat here;
    /* Looked at before it is opened: opening alone can disturb a device, or fail in ways
     * that say less (ENXIO for a socket). The fstat is the look that counts. */
    if (stat(path, &here) == 0 && !is_regular(path, &here, err))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        err_os(err, errno, path, "cannot open");
        return -1;
    }
    if (fstat(fd, &here) != 0) {
        err_os(err, errno, path, "cannot stat");
    } else if (is_regular(path, &here, err)) {
        if (st)
            *st = here;
        return fd;
    }
    close(fd);
    return -1;
}

bool fs_pread(int fd, const char *path, void *buf, size_t n, int64_t offset,
              struct err *err)
{
    for (unsigned char *p = buf; n > 0;) {
        ssize_t got = pread(fd, p, n, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_os(err, errno, path, "cannot read");
        if (got == 0)
            return err_format(err, (uint64_t)offset,
                              "%s: ends early (found its end, expected %zu more bytes)",
                              path, n);
        p += got;
        offset += got;
        n -= (size_t)got;
    }
    return true;
}

char *fs_read_file(const char *path, size_t max, size_t *size, struct err *err)
{
    struct stat st;
    int fd = fs_open_regular(path, &st, err);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    size_t n = (size_t)st.st_size;
    if (n > max) {
        err_set(err, ERR_FORMAT, "%s: too large (found %zu bytes, expected at most %zu)",
                path, n, max);
    } else if ((text = mem_try(n + 1, 1, path, err))) {
        if (fs_pread(fd, path, text, n, 0, err)) {
            text[n] = 0;
            if (size)
                *size = n;
        } else {
            free(text);
            text = NULL;
        }
    }
    close(fd);
    return text;
}

/* ---- writing */

bool fs_pwrite(int fd, const char *path, const void *buf, size_t n, int64_t offset,
               struct err *err)
{
    for (const unsigned char *p = buf; n > 0;) {
        ssize_t put = pwrite(fd, p, n, offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return err_os(err, put < 0 ? errno : ENOSPC, path, "cannot write");
        p += put;
        offset += put;
        n -= (size_t)put;
    }
    return true;
}

static int unlinked_in(const char *dir, struct err *err)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    /* Not every file system knows O_TMPFILE (NFS, overlays of old kernels). */
    char *name = xasprintf("%s/saescope.XXXXXX", dir);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    else
        err_os(err, errno, dir, "cannot make a temporary file here");
    free(name);
    return fd;
}

int fs_unlinked_file(const char *dir, char **where, struct err *err)
{
    struct err why = {0};
    char *cache = dir ? NULL : fs_cache_dir(&why);
    const char *places[] = {dir ? dir : cache, dir ? NULL : getenv("TMPDIR"),
                            dir ? NULL : "/tmp"};
    int fd = -1;
    for (int i = 0; i < 3 && fd < 0; i++) {
        if (!places[i] || !places[i][0])
            continue;
        fd = unlinked_in(places[i], why.code ? NULL : &why);
        if (fd >= 0 && where)
            *where = xstrdup(places[i]);
    }
    if (fd < 0 && err)
        *err = why;
    free(cache);
    return fd;
}

/* The file that `path` stands for when links are followed, even if it is not there yet. */
static char *final_name(const char *path)
{
    char *real = realpath(path, NULL);
    return real ? real : xstrdup(path);
}

static char *name_beside(const char *final)
{
    static atomic_uint count;
    const char *slash = strrchr(final, '/');
    int dir_len = slash ? (int)(slash - final) + 1 : 0;
    return xasprintf("%.*s.saescope-%ld-%u", dir_len, final, (long)getpid(),
                     atomic_fetch_add(&count, 1));
}

/* A new file without a name in the directory of `final`, or -1. It is named through
 * /proc, so that must be there. */
static int open_nameless(const char *final)
{
    if (access("/proc/self/fd", X_OK) != 0)
        return -1;
    const char *slash = strrchr(final, '/');
    char *dir = slash ? xstrndup(final, (size_t)(slash - final) + 1) : xstrdup(".");
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    free(dir);
    return fd;
}

/* A new file in the directory of `final`, with the permissions that any new file gets
 * (mkstemp's would be narrower). -1 and errno on failure; *temp gets its name, owned,
 * *named whether it has it yet. */
static int open_beside(const char *final, char **temp, bool *named)
{
    int fd = open_nameless(final);
    *named = fd < 0;
    *temp = name_beside(final);
    for (int tries = 0; fd < 0 && tries < 100; tries++) {
        fd = open(*temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
        if (fd < 0) {
            free(*temp);
            *temp = name_beside(final);
        }
    }
    if (fd < 0) {
        int why = errno;
        free(*temp);
        errno = why;
    }
    return fd;
}

/* Give a nameless file its temporary name. False and errno on failure. */
static bool name_file(struct fs_write *w)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", w->fd);
    for (int tries = 0; !w->named && tries < 100; tries++) {
        w->named = linkat(AT_FDCWD, self, AT_FDCWD, w->temp, AT_SYMLINK_FOLLOW) == 0;
        if (w->named || errno != EEXIST)
            break;
        free(w->temp);
        w->temp = name_beside(w->path);
    }
    return w->named;
}

bool fs_write_open(struct fs_write *w, const char *path, struct err *err)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && !S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT,
                       "%s: cannot be replaced (found %s, expected a regular file)", path,
                       file_kind(st.st_mode));
    char *final = final_name(path), *temp;
    bool named;
    int fd = open_beside(final, &temp, &named);
    if (fd < 0) {
        err_os(err, errno, path, "cannot write");
        free(final);
        return false;
    }
    /* Some file systems have no permissions to set; then theirs have to do. */
    if (exists)
        (void)fchmod(fd, st.st_mode & 07777);
    *w = (struct fs_write){fd, final, temp, named};
    return true;
}

/* A rename is on the disk only once its directory is. */
static bool sync_dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    /* A directory that may be written but not read cannot be opened, and not every file
     * system syncs one: then the rename is as safe as it gets there. */
    bool ok = fd < 0 || fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    if (fd >= 0)
        close(fd);
    return ok;
}

bool fs_write_commit(struct fs_write *w, struct err *err)
{
    bool ok = fsync(w->fd) == 0 && name_file(w);
    int why = errno;
    if (close(w->fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    w->fd = -1;
    if (ok && rename(w->temp, w->path) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok) {
        err_os(err, why, w->path, "cannot write");
        fs_write_abort(w);
        return false;
    }
    free(w->temp);
    w->temp = NULL;
    if (!sync_dir_of(w->path))
        ok = err_os(err, errno, w->path, "written, but its directory could not be synced");
    fs_write_abort(w);
    return ok;
}

void fs_write_abort(struct fs_write *w)
{
    if (w->temp) {
        if (w->fd >= 0)
            close(w->fd);
        if (w->named)
            unlink(w->temp);
    }
    free(w->temp);
    free(w->path);
    *w = (struct fs_write){.fd = -1};
}

bool fs_write_atomic(const char *path, const void *data, size_t n, struct err *err)
{
    struct fs_write w;
    if (!fs_write_open(&w, path, err))
        return false;
    if (!fs_pwrite(w.fd, path, data, n, 0, err)) {
        fs_write_abort(&w);
        return false;
    }
    return fs_write_commit(&w, err);
}

/* ---- names */

char *fs_resolve_below(const char *base, const char *path, struct err *err)
{
    char *joined = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", base, path);
    char *root = realpath(base, NULL), *real = NULL;
    if (!root) {
        err_os(err, errno, base, "cannot resolve");
    } else if (!(real = realpath(joined, NULL))) {
        err_os(err, errno, joined, "cannot resolve");
    } else {
        size_t len = strlen(root);
        bool top = len == 1; /* everything is below "/" */
        if (!top && (strncmp(real, root, len) != 0 || (real[len] && real[len] != '/'))) {
            err_set(err, ERR_FORMAT, "%s: leaves its directory (found %s, expected below %s)",
                    joined, real, root);
            free(real);
            real = NULL;
        }
    }
    free(root);
    free(joined);
    return real;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* glob(3) is called with these instead of the system's, to end a walk over too much. */
static _Thread_local size_t entries_left;

static void *glob_opendir(const char *path)
{
    return opendir(path);
}

static struct dirent *glob_readdir(void *dir)
{
    if (entries_left == 0) {
        errno = 0;
        return NULL;
    }
    entries_left--;
    return readdir(dir);
}

static void glob_closedir(void *dir)
{
    closedir(dir);
}

/* What matches, in order of the bytes; *pattern is what to call it. */
static bool list_matches(const char *glob_pattern, const char *pattern, struct fs_names *out,
                         struct err *err)
{
    glob_t g = {.gl_opendir = glob_opendir, .gl_readdir = glob_readdir,
                .gl_closedir = glob_closedir, .gl_stat = stat, .gl_lstat = lstat};
    entries_left = FS_GLOB_ENTRIES;
    int rc = glob(glob_pattern, GLOB_NOSORT | GLOB_ALTDIRFUNC, NULL, &g);
    if (entries_left == 0) {
        if (rc == 0)
            globfree(&g);
        return err_set(err, ERR_FORMAT, "%s: too many files to look through (found more, expected "
                       "at most %d)", pattern, FS_GLOB_ENTRIES);
    }
    if (rc != 0) {
        if (rc == GLOB_NOMATCH)
            return err_set(err, ERR_MISSING, "%s: no such file (found none, expected one or more)", pattern);
        return err_os(err, rc == GLOB_NOSPACE ? ENOMEM : EIO, pattern, "cannot list");
    }
    out->n = g.gl_pathc;
    out->name = xcalloc(out->n, sizeof *out->name);
    for (size_t i = 0; i < out->n; i++)
        out->name[i] = xstrdup(g.gl_pathv[i]);
    globfree(&g);
    qsort(out->name, out->n, sizeof *out->name, by_bytes);
    return true;
}

bool fs_glob(const char *pattern, struct fs_names *out, struct err *err)
{
    if (!fs_exists(pattern))
        return list_matches(pattern, pattern, out, err);
    out->name = xcalloc(1, sizeof *out->name);
    out->name[0] = xstrdup(pattern);
    out->n = 1;
    return true;
}

bool fs_glob_in(const char *dir, const char *pattern, struct fs_names *out, struct err *err)
{
    struct str escaped = {0};
    for (const char *c = dir; *c; c++) {
        if (strchr("*?[\\", *c))
            str_putc(&escaped, '\\');
        str_putc(&escaped, *c);
    }
    str_appendf(&escaped, "/%s", pattern);
    char *whole = xasprintf("%s/%s", dir, pattern);
    bool ok = list_matches(str_text(&escaped), whole, out, err);
    free(whole);
    str_finish(&escaped);
    return ok;
}

void fs_names_free(struct fs_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->name[i]);
    free(names->name);
    *names = (struct fs_names){0};
}

bool fs_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

char *fs_beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return xasprintf("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name);
}

char *fs_base_name(const char *path)
{
    char real[PATH_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start > 0 && path[start - 1] != '/')
        start--;
    bool dots = strspn(path + start, ".") >= len - start;
    if (dots && realpath(path, real) && strcmp(real, path) != 0)
        return fs_base_name(real);
    return xstrndup(path + start, len - start);
}
