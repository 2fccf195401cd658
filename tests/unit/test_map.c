/* test_map.c - only regular files, changes noticed, SIGBUS turned into an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "io/map.h"
#include "io/team.h"
#include "files.h"

enum { SIZE = 1 << 20 };

static const char *big_file(const char *name)
{
    char *zeros = calloc(1, SIZE);
    const char *path = write_bytes(name, zeros, SIZE);
    free(zeros);
    return path;
}

static void what_is_no_regular_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(test_path("fifo"), 0600), 0);
    assert_int_equal(symlink("fifo", test_path("link")), 0);
    static const struct { const char *path; enum err_code code; const char *says; } cases[] = {
        {"fifo", ERR_FORMAT, "found a fifo, expected a regular file"},
        {"link", ERR_FORMAT, "found a fifo"},
        {"", ERR_FORMAT, "found a directory"},
        {"/dev/zero", ERR_FORMAT, "found a character device"},
        {"missing", ERR_OS, "No such file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = cases[i].path[0] == '/' ? cases[i].path : test_path(cases[i].path);
        struct map m = {0};
        struct err err = {0};
        assert_false(map_open(&m, path, &err));
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.msg, cases[i].says));
        assert_memory_equal(err.msg, path, strlen(path));
        assert_null(m.path);
    }
}

static void maps_files_and_links_to_them(void **state)
{
    (void)state;
    write_bytes("plain", "hello", 5);
    assert_int_equal(symlink("plain", test_path("plain-link")), 0);
    struct map m = {0}, empty = {0};
    assert_true(map_open(&m, test_path("plain-link"), NULL));
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.data, "hello", 5);
    char buf[8];
    assert_true(map_pread(&m, buf, 3, 2, NULL));
    assert_memory_equal(buf, "llo", 3);
    struct err err = {0};
    assert_false(map_pread(&m, buf, 4, 2, &err));
    assert_int_equal(err.offset, 5);
    assert_non_null(strstr(err.msg, "ends early"));
    map_close(&m);
    assert_true(map_open(&empty, write_bytes("empty", "", 0), NULL));
    assert_int_equal(empty.size, 0);
    assert_non_null(empty.data);
    assert_true(map_unchanged(&empty, NULL));
    map_close(&empty);
    map_close(&empty);
}

static void changes_are_noticed(void **state)
{
    (void)state;
    const char *path = write_bytes("changing", "hello", 5);
    struct map m = {0};
    struct err err = {0};
    assert_true(map_open(&m, path, NULL));
    assert_true(map_unchanged(&m, &err));
    struct timespec times[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_false(map_unchanged(&m, &err));
    char want[300];
    snprintf(want, sizeof want, "%s: changed or truncated while open (found another "
                 "size, time or end, expected the file as it was opened)", path);
    assert_string_equal(err.msg, want);
    map_close(&m);
}

static void touch_all(void *ctx)
{
    const struct map *m = ctx;
    volatile unsigned char sum = 0;
    for (int64_t i = 0; i < m->size; i += 512)
        sum = (unsigned char)(sum + m->data[i]);
}

static void assert_caught(struct map *m)
{
    struct err err = {0};
    assert_false(map_guard(touch_all, m, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_memory_equal(err.msg, m->path, strlen(m->path));
    assert_non_null(strstr(err.msg, ": changed or truncated while open"));
}

static void truncation_is_an_error_not_a_death(void **state)
{
    (void)state;
    const char *path = big_file("shrinks");
    struct map m = {0};
    assert_true(map_open(&m, path, NULL));
    struct err err = {0};
    assert_true(map_guard(touch_all, &m, &err));
    assert_int_equal(err.code, ERR_NONE);
    assert_int_equal(truncate(path, 4096), 0);
    for (int i = 0; i < 100; i++)
        assert_caught(&m);
    assert_false(map_unchanged(&m, NULL));
    map_close(&m);
}

struct nest {
    struct map *m;
    bool inner, after;
};

static void nested(void *ctx)
{
    struct nest *n = ctx;
    n->inner = map_guard(touch_all, n->m, NULL);
    n->after = true;
    touch_all(n->m);
}

static void guards_nest(void **state)
{
    (void)state;
    const char *path = big_file("nested");
    struct map m = {0};
    assert_true(map_open(&m, path, NULL));
    assert_int_equal(truncate(path, 0), 0);
    struct nest n = {.m = &m, .inner = true};
    assert_false(map_guard(nested, &n, NULL));
    assert_false(n.inner);
    assert_true(n.after);
    map_close(&m);
}

/* Threads open, shrink, fault and close files of their own while the others do the same. */
static atomic_int failures;

static void worker(void *ctx, int thread)
{
    (void)ctx;
    char path[300];
    snprintf(path, sizeof path, "%s/thread-%d", test_dir(), thread);
    for (int i = 0; i < 50; i++) {
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        struct map m = {0};
        struct err err = {0};
        if (fd < 0 || ftruncate(fd, SIZE) != 0 || !map_open(&m, path, NULL) ||
            ftruncate(fd, 4096 * (thread % 3)) != 0 || map_guard(touch_all, &m, &err) ||
            strncmp(err.msg, path, strlen(path)) != 0 || err.msg[strlen(path)] != ':')
            atomic_fetch_add(&failures, 1);
        map_close(&m);
        close(fd);
    }
}

static void every_thread_has_its_own(void **state)
{
    (void)state;
    test_dir();
    team_run(8, worker, NULL);
    assert_int_equal(failures, 0);
}

/* More mappings than fit into one block of the registry. */
static void many_mappings(void **state)
{
    (void)state;
    enum { N = 600 };
    static struct map m[N];
    const char *path = big_file("many");
    for (int i = 0; i < N; i++)
        assert_true(map_open(&m[i], path, NULL));
    assert_int_equal(truncate(path, 0), 0);
    assert_caught(&m[N - 1]);
    assert_caught(&m[0]);
    assert_caught(&m[300]);
    for (int i = 0; i < N; i++)
        map_close(&m[i]);
}

static void fault_outside(void *unguarded)
{
    const char *path = big_file("unguarded");
    struct map m = {0};
    if (!map_open(&m, path, NULL) || !map_guard(touch_all, &m, NULL) ||
        truncate(path, 0) != 0)
        _exit(99);
    if (unguarded) {
        touch_all(&m);
    } else {
        /* Inside a guard, but in a mapping that is not ours. */
        int fd = open(path, O_RDWR);
        void *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
        struct map foreign = {.path = (char *)"foreign", .data = p, .size = SIZE};
        map_guard(touch_all, &foreign, NULL);
    }
    _exit(98);
}

static void other_handler(int sig)
{
    (void)sig;
    _exit(42);
}

static int child_status(void *unguarded, void (*handler)(int))
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGBUS, handler);
        fault_outside(unguarded);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
}

static void other_faults_go_to_the_handler_before(void **state)
{
    (void)state;
    for (int unguarded = 0; unguarded < 2; unguarded++) {
        void *how = unguarded ? (void *)"" : NULL;
        int status = child_status(how, SIG_DFL);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
        status = child_status(how, other_handler);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_regular_file_is_refused),
        cmocka_unit_test(maps_files_and_links_to_them),
        cmocka_unit_test(changes_are_noticed),
        cmocka_unit_test(truncation_is_an_error_not_a_death),
        cmocka_unit_test(guards_nest),
        cmocka_unit_test(every_thread_has_its_own),
        cmocka_unit_test(many_mappings),
        cmocka_unit_test(other_faults_go_to_the_handler_before),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
