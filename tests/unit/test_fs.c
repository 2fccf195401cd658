/* test_fs.c - our directories, careful writing, careful names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <limits.h>
#include <sys/resource.h>
#include <signal.h>

#include <cmocka.h>

#include "io/fs.h"
#include "files.h"

static void assert_dir(char *dir, const char *want)
{
    struct stat st;
    assert_non_null(dir);
    assert_string_equal(dir, want);
    assert_int_equal(stat(dir, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);
    free(dir);
}

static void directories_follow_xdg(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *fallback;
        char *(*dir)(struct err *err);
    } cases[] = {
        {"XDG_CACHE_HOME", ".cache", fs_cache_dir},
        {"XDG_STATE_HOME", ".local/state", fs_state_dir},
        {"XDG_CONFIG_HOME", ".config", fs_config_dir},
    };
    setenv("HOME", test_path("home"), 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *was = strdup(getenv(cases[i].variable)), want[512];
        struct err err = {0};
        snprintf(want, sizeof want, "%s/xdg%zu/deep/saescope", test_dir(), i);
        char base[512];
        snprintf(base, sizeof base, "%s/xdg%zu/deep", test_dir(), i);
        setenv(cases[i].variable, base, 1);
        assert_dir(cases[i].dir(&err), want);
        assert_dir(cases[i].dir(&err), want); /* there already */
        snprintf(want, sizeof want, "%s/home/%s/saescope", test_dir(), cases[i].fallback);
        setenv(cases[i].variable, "relative", 1);
        assert_dir(cases[i].dir(&err), want);
        unsetenv(cases[i].variable);
        assert_dir(cases[i].dir(&err), want);
        setenv(cases[i].variable, write_bytes("file", "", 0), 1);
        assert_null(cases[i].dir(&err));
        assert_int_equal(err.code, ERR_OS);
        setenv(cases[i].variable, was, 1);
        free(was);
    }
}

static void small_files_are_read_whole(void **state)
{
    (void)state;
    size_t n = 99;
    struct err err = {0};
    char *text = fs_read_file(write_bytes("small", "a\0b", 3), 3, &n, &err);
    assert_non_null(text);
    assert_int_equal(n, 3);
    assert_memory_equal(text, "a\0b", 4);
    free(text);
    assert_null(fs_read_file(test_path("small"), 2, &n, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "small: too large (found 3 bytes, expected at most 2)"));
    assert_null(fs_read_file(test_path("none"), 2, &n, &err));
    assert_int_equal(err.code, ERR_OS);
    assert_int_equal(err.os_errno, ENOENT);
    assert_null(fs_read_file("/dev/zero", 2, &n, &err));
    assert_non_null(strstr(err.msg, "found a character device, expected a regular file"));
    assert_int_equal(n, 3);
}

static int entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void assert_holds(const char *path, const char *want)
{
    char *text = fs_read_file(path, 1000, NULL, NULL);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static void writing_replaces_in_one_step(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("w"), 0700), 0);
    const char *path = test_path("w/labels");
    struct fs_write w;
    assert_true(fs_write_atomic(path, "old", 3, NULL));
    struct stat st;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
    assert_int_equal(chmod(path, 0640), 0);

    assert_true(fs_write_open(&w, path, NULL));
    assert_true(fs_pwrite(w.fd, path, "newer", 5, 0, NULL));
    assert_int_equal(entries(test_path("w")), w.named ? 2 : 1);
    assert_holds(path, "old");
    fs_write_abort(&w);
    fs_write_abort(&w);
    assert_int_equal(entries(test_path("w")), 1);
    assert_holds(path, "old");

    assert_true(fs_write_open(&w, path, NULL));
    assert_true(fs_pwrite(w.fd, path, "newer", 5, 0, NULL));
    assert_true(fs_write_commit(&w, NULL));
    fs_write_abort(&w);
    assert_int_equal(entries(test_path("w")), 1);
    assert_holds(path, "newer");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void writing_follows_links_and_refuses_the_rest(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(mkdir(test_path("l"), 0700), 0);
    assert_int_equal(mkdir(test_path("real"), 0700), 0);
    assert_true(fs_write_atomic(test_path("real/f"), "1", 1, NULL));
    assert_int_equal(symlink("../real/f", test_path("l/f")), 0);
    assert_true(fs_write_atomic(test_path("l/f"), "2", 1, NULL));
    assert_holds(test_path("real/f"), "2");
    struct stat st;
    assert_int_equal(lstat(test_path("l/f"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(entries(test_path("l")), 1);

    assert_false(fs_write_atomic(test_path("real"), "2", 1, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_false(fs_write_atomic("/dev/full", "2", 1, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_false(fs_write_atomic(test_path("no/such"), "2", 1, &err));
    assert_int_equal(err.os_errno, ENOENT);
    assert_non_null(strstr(err.msg, "no/such: cannot write"));
}

/* A disk that is full in the middle of it: the file is as it was, nothing lies around. */
static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("full"), 0700), 0);
    const char *path = test_path("full/f");
    assert_true(fs_write_atomic(path, "old", 3, NULL));
    struct rlimit was, small = {4096, 4096};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small.rlim_max = was.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char *big = calloc(1, 10000);
    struct err err = {0};
    bool ok = fs_write_atomic(path, big, 10000, &err);
    setrlimit(RLIMIT_FSIZE, &was);
    free(big);
    assert_false(ok);
    assert_int_equal(err.os_errno, EFBIG);
    assert_holds(path, "old");
    assert_int_equal(entries(test_path("full")), 1);
}

static void unlinked_files_leave_no_trace(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("u"), 0700), 0);
    char *where = NULL, back[4] = "";
    int fd = fs_unlinked_file(test_path("u"), &where, NULL);
    assert_true(fd >= 0);
    assert_string_equal(where, test_path("u"));
    assert_int_equal(entries(where), 0);
    assert_true(fs_pwrite(fd, where, "abc", 3, 0, NULL));
    assert_true(fs_pread(fd, where, back, 3, 0, NULL));
    assert_string_equal(back, "abc");
    close(fd);
    free(where);
    struct err err = {0};
    assert_int_equal(fs_unlinked_file(test_path("not-there"), &where, &err), -1);
    assert_int_equal(err.code, ERR_OS);
    fd = fs_unlinked_file(NULL, &where, NULL);
    assert_true(fd >= 0);
    char *cache = fs_cache_dir(NULL);
    assert_string_equal(where, cache);
    close(fd);
    free(where), free(cache);
}

static void full_devices_are_reported(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0)
        skip();
    struct err err = {0};
    assert_false(fs_pwrite(fd, "out", "x", 1, 0, &err));
    assert_int_equal(err.os_errno, ENOSPC);
    assert_string_equal(err.msg, "out: cannot write (found 'No space left on device', "
                        "expected room for it)");
    close(fd);
}

static void names_stay_below_their_base(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("base"), 0700), 0);
    assert_int_equal(mkdir(test_path("base/sub"), 0700), 0);
    assert_int_equal(mkdir(test_path("base-2"), 0700), 0);
    write_bytes("base/sub/f", "", 0);
    write_bytes("base-2/f", "", 0);
    assert_int_equal(symlink("../base-2/f", test_path("base/out")), 0);
    assert_int_equal(symlink("sub/f", test_path("base/in")), 0);
    static const struct { const char *path; enum err_code code; const char *want; } cases[] = {
        {"sub/f", ERR_NONE, "base/sub/f"}, {"in", ERR_NONE, "base/sub/f"},
        {"sub/../sub/f", ERR_NONE, "base/sub/f"}, {".", ERR_NONE, "base"},
        {"out", ERR_FORMAT, NULL}, {"../base-2/f", ERR_FORMAT, NULL},
        {"..", ERR_FORMAT, NULL}, {"/etc/passwd", ERR_FORMAT, NULL},
        {"none", ERR_OS, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        char *real = fs_resolve_below(test_path("base"), cases[i].path, &err);
        assert_int_equal(err.code, cases[i].code);
        if (cases[i].want) {
            char want[PATH_MAX];
            assert_non_null(realpath(test_path(cases[i].want), want));
            assert_string_equal(real, want);
        } else {
            assert_null(real);
        }
        free(real);
    }
}

static void globs_are_sorted_and_names_come_first(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("g"), 0700), 0);
    static const char *const files[] = {"g/acts-10.npy", "g/acts-2.npy", "g/acts-B.npy",
                                        "g/acts-a.npy", "g/acts-*.npy"};
    for (size_t i = 0; i < 4; i++)
        write_bytes(files[i], "", 0);
    struct fs_names names = {0};
    assert_true(fs_glob(test_path("g/acts-*.npy"), &names, NULL));
    assert_int_equal(names.n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(names.name[i], test_path(files[i]));
    fs_names_free(&names);
    fs_names_free(&names);
    write_bytes(files[4], "", 0);
    assert_true(fs_glob(test_path("g/acts-*.npy"), &names, NULL));
    assert_int_equal(names.n, 1);
    assert_string_equal(names.name[0], test_path("g/acts-*.npy"));
    fs_names_free(&names);
    struct err err = {0};
    assert_false(fs_glob(test_path("g/none-*"), &names, &err));
    assert_int_equal(err.code, ERR_MISSING);
    assert_null(names.name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories_follow_xdg),
        cmocka_unit_test(small_files_are_read_whole),
        cmocka_unit_test(writing_replaces_in_one_step),
        cmocka_unit_test(writing_follows_links_and_refuses_the_rest),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(unlinked_files_leave_no_trace),
        cmocka_unit_test(full_devices_are_reported),
        cmocka_unit_test(names_stay_below_their_base),
        cmocka_unit_test(globs_are_sorted_and_names_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, test_dir_remove);
}
