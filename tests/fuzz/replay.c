/* replay.c - main of a target that is not built for libFuzzer: reads each file of the
 * directories named, once, in the order of their names. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/fs.h"
#include "tests/fuzz/fuzz.h"

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void replay(const char *path)
{
    struct err err = {0};
    size_t size;
    char *data = fs_read_file(path, (size_t)64 << 20, &size, &err);
    if (!data) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    free(data);
}

static int replay_all(const char *dir)
{
    struct dirent **names;
    int n = scandir(dir, &names, not_hidden, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        replay(path);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return n;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int n = replay_all(argv[i]);
        printf("%s: %d inputs\n", argv[i], n);
        if (n <= 0)
            return 1; /* a corpus that is not there proves nothing */
    }
    return 0;
}
