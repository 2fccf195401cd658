/* fuzz.c - see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/saescope-fuzz-XXXXXX";

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

static void remove_dir(void)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(void)
{
    must(mkdtemp(dir) != NULL, "mkdtemp");
    must(setenv("XDG_CACHE_HOME", dir, 1) == 0, "setenv");
    must(atexit(remove_dir) == 0, "atexit");
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
    static char path[sizeof dir + 64];
    static int made;
    if (!made++)
        make_dir();
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0, path);
    must(size == 0 || write(fd, data, size) == (ssize_t)size, path);
    must(close(fd) == 0, path);
    return path;
}

void fuzz_refused(const struct err *err)
{
    if (err->code == ERR_NONE || err->msg[0] == 0 || strpbrk(err->msg, "\n\r\x1b")) {
        fprintf(stderr, "refused with code %d and the message '%s'\n", err->code, err->msg);
        abort();
    }
}

void fuzz_touch(const void *data, size_t size)
{
    static volatile unsigned char sum;
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++)
        sum = (unsigned char)(sum + p[i]);
}
