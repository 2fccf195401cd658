/* scratch.c - see scratch.h. */
#include "io/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/fs.h"

bool scratch_init(struct scratch *s, const char *dir, size_t size, const char *what,
                  struct err *err)
{
    char *where = NULL;
    int fd = fs_unlinked_file(dir, &where, err);
    if (fd < 0)
        return false;
    int failure = posix_fallocate(fd, 0, (off_t)size);
    void *p = MAP_FAILED;
    if (!failure) {
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        failure = p == MAP_FAILED ? errno : 0;
    }
    close(fd);
    if (failure)
        err_os(err, failure, where, what);
    else
        *s = (struct scratch){.data = p, .size = size};
    free(where);
    return failure == 0;
}

void scratch_finish(struct scratch *s)
{
    if (s->data)
        munmap(s->data, s->size);
    *s = (struct scratch){0};
}
