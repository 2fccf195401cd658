/* slurp.c - see slurp.h. */
#include "io/slurp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/mem.h"

char *slurp(const char *path, size_t max_bytes, size_t *n, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    char *text = NULL;
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_os(err, errno, path, NULL);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_FORMAT, "%s: not a regular file", path);
    } else if ((uint64_t)st.st_size > max_bytes) {
        err_set(err, ERR_FORMAT, "%s: too large (found %lld bytes, expected at most %zu)",
                path, (long long)st.st_size, max_bytes);
    } else {
        size_t size = (size_t)st.st_size, got = 0;
        ssize_t r = 0;
        text = xmalloc(size + 1);
        while (got < size && (r = read(fd, text + got, size - got)) > 0)
            got += (size_t)r;
        if (r < 0) {
            err_os(err, errno, path, NULL);
            free(text);
            text = NULL;
        } else {
            text[got] = 0;
            *n = got;
        }
    }
    if (fd >= 0)
        close(fd);
    return text;
}
