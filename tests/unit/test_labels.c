/*
 * test_labels.c - nothing that a user wrote is lost: not to another process, not to a kill,
 * not in a file that is not ours.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/fs.h"
#include "io/labels.h"
#include "io/mem.h"

#define ID 0x00c0ffee00c0ffeeull

static char dir[] = "labels_test_XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char *command = xasprintf("rm -rf '%s'", dir);
    int rc = system(command);
    free(command);
    return rc;
}

/* A path in the test's directory; overwritten by the fourth call after. */
static const char *at(const char *name)
{
    static char buf[4][256];
    static int k;
    k = (k + 1) % 4;
    snprintf(buf[k], sizeof buf[k], "%s/%s", dir, name);
    return buf[k];
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void file_is(const char *path, const char *want)
{
    char *text = fs_read_file(path, 1 << 20, NULL, NULL);
    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static struct labels *open_good(const char *path)
{
    struct err err = {0};
    struct labels *l = labels_open(path, &err);
    if (!l)
        fail_msg("%s", err.msg);
    return l;
}

static void set(struct labels *l, uint64_t id, int64_t feature, const char *text,
                const char *note, bool favourite)
{
    struct err err = {0};
    struct label label = {text, note, favourite};
    if (!labels_set(l, id, feature, &label, &err))
        fail_msg("%s", err.msg);
}

static void label_is(const struct labels *l, int64_t feature, const char *text,
                     const char *note, bool favourite)
{
    struct label got;
    assert_int_equal(labels_get(l, ID, feature, &got), *text || *note || favourite);
    assert_string_equal(got.text, text);
    assert_string_equal(got.note, note);
    assert_int_equal(got.favourite, favourite);
}

static void kept_and_found_again(void **state)
{
    (void)state;
    const char *path = at("new.jsonl");
    struct labels *l = open_good(path);
    label_is(l, 7, "", "", false);
    assert_int_equal(access(path, F_OK), -1); /* opening writes nothing */
    set(l, ID, 7, "the \"king\"\n\u00e9", "a note", true);
    set(l, ID, 3, "", "", true);
    set(l, ID + 1, 7, "other checkpoint", "", false);
    set(l, ID, 7, "changed", "", false);
    set(l, ID, 9, "bad \xff byte", "", false);
    for (int round = 0; round < 2; round++) {
        label_is(l, 7, "changed", "", false);
        label_is(l, 3, "", "", true);
        label_is(l, 9, "bad \xef\xbf\xbd byte", "", false);
        assert_int_equal(labels_count(l, ID), 3);
        assert_int_equal(labels_count(l, ID + 1), 1);
        assert_int_equal(labels_count(l, 5), 0);
        labels_close(l);
        l = open_good(path);
    }
    set(l, ID, 7, "", "", false);
    label_is(l, 7, "", "", false);
    assert_int_equal(labels_count(l, ID), 2);
    labels_close(l);
    labels_close(NULL);
}

static void lines_stay_as_they_are(void **state)
{
    (void)state;
    const char *path = at("merge.jsonl");
    put(path,
        "{\"checkpoint\":\"00c0ffee00c0ffee\",\"feature\":9,\"label\":\"nine\",\"colour\":\"red\"}\r\n"
        "{\"checkpoint\": \"future format\", \"what\": [1, 2]}\n"
        "\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 2, \"label\": \"old\", \"time\": 50}\n"
        "{\"checkpoint\": \"0000000000000001\", \"feature\": 1, \"label\": \"first\"}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 2, \"label\": \"new\", \"time\": 60}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 2, \"label\": \"older\", \"time\": 40}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 4, \"label\": \"a\"}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 4, \"label\": \"b\"}");
    struct labels *l = open_good(path);
    label_is(l, 9, "nine", "", false);
    label_is(l, 2, "new", "", false); /* by time */
    label_is(l, 4, "b", "", false);   /* without times: by line */
    set(l, ID, 3, "three", "", false);
    char *text = fs_read_file(path, 1 << 20, NULL, NULL), *three = strstr(text, "\"three\"");
    assert_non_null(three);
    char *stamp = strstr(three, "\"time\": ") + 8;
    memset(stamp, '#', strspn(stamp, "0123456789"));
    char *want = xasprintf(
        "{\"checkpoint\": \"0000000000000001\", \"feature\": 1, \"label\": \"first\"}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 2, \"label\": \"new\", \"time\": 60}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 3, \"label\": \"three\", "
        "\"note\": \"\", \"favourite\": false, \"time\": %.*s}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 4, \"label\": \"b\"}\n"
        "{\"checkpoint\":\"00c0ffee00c0ffee\",\"feature\":9,\"label\":\"nine\",\"colour\":\"red\"}\r\n"
        "{\"checkpoint\": \"future format\", \"what\": [1, 2]}\n",
        (int)strspn(stamp, "#"), stamp);
    assert_string_equal(text, want);
    free(text);
    free(want);

    set(l, ID, 9, "ten", "", false); /* its unknown key survives its change */
    labels_close(l);
    text = fs_read_file(path, 1 << 20, NULL, NULL);
    assert_non_null(strstr(text, "\"label\": \"ten\", \"colour\": \"red\""));
    free(text);
}

static void foreign_files_are_left_alone(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "hello\n",
        "[{\"index\": \"3\", \"description\": \"x\"}]",
        "{\"feature\": 3}\n",
        "{\"checkpoint\": 3, \"feature\": 3}\n",
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 1}\n<<<<<<< HEAD\n",
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 1} x\n",
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 1\n",
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"label\": \"\xff\"}\n",
    };
    const char *path = at("foreign.jsonl");
    unlink(path);
    struct labels *before = open_good(path);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        struct err err = {0};
        struct label label = {"x", "", false};
        put(path, foreign[i]);
        assert_null(labels_open(path, &err));
        assert_int_equal(err.code, ERR_FORMAT);
        assert_memory_equal(err.msg, path, strlen(path));
        assert_non_null(strstr(err.msg, i == 4 ? "line 2, '<<<<<<< HEAD'" : "line 1, '"));
        /* Nor is it written by whoever opened it before it became foreign. */
        assert_false(labels_set(before, ID, 1, &label, &err));
        assert_int_equal(err.code, ERR_FORMAT);
        label_is(before, 1, "", "", false);
        file_is(path, foreign[i]);
    }
    labels_close(before);
    struct err err = {0};
    assert_null(labels_open(dir, &err));
    assert_int_equal(err.code, ERR_FORMAT);
}

static void failed_changes_change_nothing(void **state)
{
    (void)state;
    struct err err = {0};
    struct labels *l = open_good(at("missing/labels.jsonl"));
    struct label label = {"x", "", false};
    assert_false(labels_set(l, ID, 1, &label, &err));
    assert_int_equal(err.code, ERR_OS);
    label_is(l, 1, "", "", false);
    char *huge = xcalloc(1, LABELS_MAX_STRING + 2);
    memset(huge, 'x', LABELS_MAX_STRING + 1);
    label.note = huge;
    assert_false(labels_set(l, ID, 1, &label, &err));
    assert_int_equal(err.code, ERR_RANGE);
    free(huge);
    labels_close(l);
}

static void put_label(struct labels *l, int64_t feature, const char *text)
{
    struct label label = {text, "", false};
    assert_true(labels_put(l, ID, feature, &label, NULL));
}

/* What is put is there at once, and in the file when a save has succeeded; what is put while
 * one runs, or when one fails, is in the next. */
static void saved_in_two_steps(void **state)
{
    (void)state;
    struct err err = {0};
    char *home = xstrdup(at("later"));
    char *path = xasprintf("%s/labels.jsonl", home);
    struct labels *l = open_good(path);
    assert_null(labels_save_new(l));
    put_label(l, 1, "first");
    put_label(l, 2, "second");
    put_label(l, 1, "first again");
    label_is(l, 1, "first again", "", false);

    struct labels_save *save = labels_save_new(l);
    assert_false(labels_save_run(save, &err)); /* there is no such directory */
    assert_int_equal(err.code, ERR_OS);
    labels_save_take(l, save);
    labels_save_free(save);
    label_is(l, 1, "first again", "", false);

    assert_int_equal(mkdir(home, 0700), 0);
    struct labels *other = open_good(path);
    set(other, ID, 7, "of another process", "", false);
    save = labels_save_new(l);
    put_label(l, 2, "second again");
    put_label(l, 3, "third");
    assert_true(labels_save_run(save, &err));
    label_is(l, 7, "", "", false);
    labels_save_take(l, save);
    labels_save_free(save);
    label_is(l, 1, "first again", "", false);
    label_is(l, 2, "second again", "", false);
    label_is(l, 3, "third", "", false);
    label_is(l, 7, "of another process", "", false);
    struct labels *reader = open_good(path);
    label_is(reader, 2, "second", "", false);
    label_is(reader, 3, "", "", false);
    labels_close(reader);

    assert_true(labels_save(l, &err));
    assert_null(labels_save_new(l));
    reader = open_good(path);
    label_is(reader, 1, "first again", "", false);
    label_is(reader, 2, "second again", "", false);
    label_is(reader, 3, "third", "", false);
    label_is(reader, 7, "of another process", "", false);
    labels_close(reader);
    labels_close(other);
    labels_close(l);
    free(path);
    free(home);
}

static void users_labels_win_over_the_bundles(void **state)
{
    (void)state;
    const char *bundle = at("bundle.jsonl");
    static const char text[] =
        "# made by hand\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 1, \"label\": \"one\"}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 2, \"label\": \"two\"}\n"
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 3, \"label\": \"three\"}\n";
    put(bundle, text);
    struct labels *l = open_good(at("over.jsonl"));
    assert_true(labels_add_read_only(l, bundle, NULL));
    label_is(l, 1, "one", "", false);
    set(l, ID, 2, "mine", "", true);
    set(l, ID, 3, "", "", false);
    set(l, ID, 4, "four", "", false);
    label_is(l, 1, "one", "", false);
    label_is(l, 2, "mine", "", true);
    label_is(l, 3, "", "", false); /* an emptied label hides the bundle's */
    assert_int_equal(labels_count(l, ID), 3);
    struct err err = {0};
    assert_false(labels_add_read_only(l, at("nowhere"), &err));
    assert_int_equal(err.code, ERR_OS);
    label_is(l, 1, "one", "", false);
    labels_close(l);
    file_is(bundle, text);
}

static void imports_neuronpedia(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t taken;
    } files[] = {
        {"[{\"modelId\": \"gpt2-small\", \"index\": \"5\", \"description\": \"five\", "
         "\"scores\": [{\"index\": 9}]}, {\"index\": 2, \"description\": \"two\"},"
         "{\"index\": 5, \"description\": \"second\"}, {\"index\": \"x\", \"description\": \"no\"},"
         "{\"index\": 1, \"description\": \"one\"}, 7]", 2},
        {"{\"index\": \"5\", \"description\": \"five\"}\n{\"index\":\"2\",\"description\":\"two\"}\n", 2},
        {"{\"explanations\": [{\"index\": 2, \"description\": \"two\"}, {\"index\": 5, "
         "\"description\": \"five\"}]}", 2},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = at("import.jsonl"), *export = at("export.json");
        unlink(path);
        struct labels *l = open_good(path);
        set(l, ID, 1, "mine", "", false);
        set(l, ID, 2, "", "note", true);
        put(export, files[i].text);
        assert_int_equal(labels_import(l, ID, export, NULL), files[i].taken);
        label_is(l, 1, "mine", "", false);
        label_is(l, 2, "two", "note", true);
        label_is(l, 5, "five", "", false);
        assert_int_equal(labels_count(l, ID), 3);
        assert_int_equal(labels_import(l, ID, export, NULL), 0);
        labels_close(l);
    }
    struct labels *l = open_good(at("import.jsonl"));
    static const char *const bad[] = {"", "{}", "[1, 2]", "[{\"index\": 1]", "{\"index\": \"1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        put(at("export.json"), bad[i]);
        assert_int_equal(labels_import(l, ID, at("export.json"), &err), -1);
        assert_int_equal(err.code, ERR_FORMAT);
    }
    assert_int_equal(labels_count(l, ID), 3);
    labels_close(l);
}

enum { WRITERS = 4, EACH = 25 };

static void writers_lose_nothing(void **state)
{
    (void)state;
    const char *path = at("many.jsonl");
    pid_t child[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        if ((child[w] = fork()) != 0)
            continue;
        struct labels *l = labels_open(path, NULL);
        bool ok = l != NULL;
        for (int i = 0; ok && i < EACH; i++) {
            char text[32];
            snprintf(text, sizeof text, "%d", w * 1000 + i);
            struct label label = {text, "", false};
            ok = labels_set(l, ID, w * 1000 + i, &label, NULL);
        }
        _exit(ok ? 0 : 1);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(child[w], &status, 0), child[w]);
        assert_int_equal(status, 0);
    }
    struct labels *l = open_good(path);
    assert_int_equal(labels_count(l, ID), WRITERS * EACH);
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < EACH; i++) {
            char text[32];
            snprintf(text, sizeof text, "%d", w * 1000 + i);
            label_is(l, w * 1000 + i, text, "", false);
        }
    labels_close(l);
}

/* A writer is killed again and again; what it had saved is there each time. */
static void kills_lose_nothing_saved(void **state)
{
    (void)state;
    const char *path = at("killed.jsonl");
    int64_t saved = 0;
    srand(5);
    for (int round = 0; round < 12; round++) {
        int said[2];
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        if (child == 0) {
            struct labels *l = labels_open(path, NULL);
            for (int64_t i = saved; l; i++) {
                struct label label = {"saved", "", false};
                if (!labels_set(l, ID, i, &label, NULL) || write(said[1], "+", 1) != 1)
                    break;
            }
            _exit(1);
        }
        close(said[1]);
        nanosleep(&(struct timespec){.tv_nsec = 1000000 + rand() % 20000000}, NULL);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        char c;
        while (read(said[0], &c, 1) == 1)
            saved++;
        close(said[0]);
        struct labels *l = open_good(path);
        /* One more may be in the file than the child came to say. */
        assert_in_range(labels_count(l, ID), saved, saved + 1);
        for (int64_t i = 0; i < saved; i++)
            label_is(l, i, "saved", "", false);
        saved = labels_count(l, ID);
        labels_close(l);
    }
    assert_true(saved > 0);
}

static void mutations(void **state)
{
    (void)state;
    static const char seed[] =
        "{\"checkpoint\": \"00c0ffee00c0ffee\", \"feature\": 7, \"label\": \"k\\u00e9\", "
        "\"note\": \"\", \"favourite\": true, \"time\": 1764000000}\n"
        "{\"checkpoint\": \"0000000000000001\", \"feature\": 0, \"index\": 3, "
        "\"description\": \"d\"}\n";
    static const char bits[] = "{}[]:,\"\\\n u09ft-.e\xff\x01";
    const char *path = at("mutant.jsonl"), *none = at("none.jsonl"),
               *export = at("mutant.json");
    srand(13);
    for (int round = 0; round < 1500; round++) {
        char text[sizeof seed];
        memcpy(text, seed, sizeof text);
        for (int k = rand() % 4; k >= 0; k--)
            text[(size_t)rand() % (sizeof text - 1)] = bits[(size_t)rand() % (sizeof bits - 1)];
        if (round % 4 == 0)
            text[rand() % (int)sizeof text] = 0;
        put(path, text);
        struct err err = {0};
        struct labels *l = labels_open(path, &err), *bundle = open_good(none);
        assert_true(l || (err.code == ERR_FORMAT && err.msg[0]));
        assert_true(labels_add_read_only(bundle, path, NULL));
        if (l && round % 8 == 1) { /* what opened can be changed, and opens again */
            set(l, ID, 7, "changed", "", false);
            labels_close(l);
            l = open_good(path);
            label_is(l, 7, "changed", "", false);
        }
        put(export, text);
        labels_import(bundle, ID, export, NULL);
        unlink(none);
        labels_close(bundle);
        labels_close(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_and_found_again),
        cmocka_unit_test(lines_stay_as_they_are),
        cmocka_unit_test(foreign_files_are_left_alone),
        cmocka_unit_test(failed_changes_change_nothing),
        cmocka_unit_test(saved_in_two_steps),
        cmocka_unit_test(users_labels_win_over_the_bundles),
        cmocka_unit_test(imports_neuronpedia),
        cmocka_unit_test(writers_lose_nothing),
        cmocka_unit_test(kills_lose_nothing_saved),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
