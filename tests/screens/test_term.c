/*
 * The explorer on a pseudo-terminal: what is sent, and that the terminal comes back
 * whatever way the program ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

#include "toy.h"
#include "io/mem.h"
#include "model/session.h"
#include "tui/loop.h"

struct host {
    pid_t pid;
    int fd;
    int slave; /* kept open, so that its settings can be asked after the end */
    struct termios before;
    char out[1 << 20];
    size_t n;
};

static struct host h;

/* A handler that was there before the terminal was taken, and that puts itself in front
 * again later and passes on to whom it has replaced: what map.c does with SIGBUS. */
static void (*replaced)(int);

static void pass_on(int sig)
{
    replaced(sig);
}

static void draw_and_step_in(const struct view *v, struct canvas *c)
{
    struct sigaction now, ours = {.sa_handler = pass_on};

    sigaction(SIGBUS, NULL, &now);
    if (now.sa_handler != pass_on) {
        replaced = now.sa_handler;
        sigaction(SIGBUS, &ours, NULL);
    }
    toy_views[0]->draw(v, c);
}

/* What takes its time to open: three seconds, unless it is told to stop or fails before. */
static struct session *open_slowly(void *fails, const struct progress *progress,
                                   struct err *err)
{
    for (int i = 0; i < 300; i++) {
        if (!progress_step(progress, "unpacking", i, 300)) {
            err_set(err, ERR_CANCELLED, "cancelled");
            return NULL;
        }
        if (fails && i == 30) {
            err_set(err, ERR_FORMAT, "x.npz: it is damaged");
            return NULL;
        }
        if (!fails && i == 30)
            return xcalloc(1, sizeof(struct session));
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return NULL;
}

static void child(const char *term, const char *colour)
{
    struct config config;
    struct err err = {0};

    if (term)
        setenv("TERM", term, 1);
    else
        unsetenv("TERM");
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("COLORTERM");
    unsetenv("NO_COLOR");
    for (int sig = 1; sig < 32; sig++) /* cmocka's would run the other tests here */
        signal(sig, SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0}); /* crashing is part of the test */
    config_init(&config);
    config_set(&config, "color", colour, NULL);
    struct view_ops list = *toy_views[0];
    const struct view_ops *views[] = {&list, toy_views[1], NULL};
    struct tui_options o = {.config = &config, .views = views, .title = "toy"};
    if (strcmp(colour, "chained") == 0) {
        signal(SIGBUS, pass_on);
        list.draw = draw_and_step_in;
    }
    if (strncmp(colour, "slow", 4) == 0) {
        o.open = open_slowly;
        o.open_ctx = strcmp(colour, "slow, fails") == 0 ? &o : NULL;
        o.title = "some/params.npz";
    }
    bool ok = tui_run(&o, &err);
    if (!ok)
        dprintf(STDOUT_FILENO, "saescope: %s\n", err.msg);
    config_finish(&config);
    _exit(ok ? 0 : 1);
}

static void start(const char *term, const char *colour)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    int master, slave;

    memset(&h, 0, sizeof h);
    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    tcgetattr(slave, &h.before);
    h.fd = master;
    h.slave = slave;
    h.pid = fork();
    assert_true(h.pid >= 0);
    if (h.pid == 0) {
        close(master);
        login_tty(slave);
        child(term, colour);
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Read what comes within `ms`, appended to h.out. False: nothing came. */
static bool hear(int ms)
{
    struct pollfd p = {h.fd, POLLIN, 0};

    if (poll(&p, 1, ms) <= 0)
        return false;
    ssize_t k = read(h.fd, h.out + h.n, sizeof h.out - 1 - h.n);
    if (k <= 0)
        return false;
    h.n += (size_t)k;
    h.out[h.n] = 0;
    return true;
}

/* Wait until text (after `from`) has been sent. */
static void await(const char *text, size_t from)
{
    double end = now() + 10;

    while (h.n < from || !strstr(h.out + from, text)) {
        hear(100);
        if (now() > end)
            fail_msg("never sent: %s; sent: %s", text, h.out + from);
    }
}

static void send_keys(const char *keys)
{
    assert_int_equal(write(h.fd, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* Wait for the end; returns its status. The rest of what was sent is in h.out. */
static int finish(void)
{
    double end = now() + 10;
    int status;
    pid_t got;

    while ((got = waitpid(h.pid, &status, WNOHANG)) == 0) {
        hear(20);
        if (now() > end) {
            kill(h.pid, SIGKILL);
            fail_msg("it did not end; sent: %s", h.out);
        }
    }
    assert_int_equal(got, h.pid);
    while (hear(20))
        ;
    return status;
}

static void assert_given_back(size_t from)
{
    struct termios after;

    assert_non_null(strstr(h.out + from, "\033[?1049l")); /* the shell's screen */
    assert_non_null(strstr(h.out + from, "\033[?25h"));   /* its cursor */
    assert_non_null(strstr(h.out + from, "\033[?1002l")); /* its mouse */
    assert_int_equal(tcgetattr(h.slave, &after), 0);
    assert_int_equal(after.c_lflag, h.before.c_lflag);
    assert_int_equal(after.c_iflag, h.before.c_iflag);
    assert_int_equal(after.c_oflag, h.before.c_oflag);
    close(h.fd);
    close(h.slave);
}

static void quitting_gives_the_terminal_back(void **state)
{
    (void)state;
    start("xterm-256color", "auto");
    await("1/1000", 0);
    assert_non_null(strstr(h.out, "\033[?1049h"));
    assert_non_null(strstr(h.out, "row 20"));
    size_t from = h.n;
    send_keys("Q");
    int status = finish();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_given_back(from);
}

static void every_end_gives_the_terminal_back(void **state)
{
    static const int signals[] = {SIGTERM, SIGHUP, SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGQUIT,
                                  SIGUSR1, SIGALRM};

    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        start("xterm-256color", "auto");
        await("1/1000", 0);
        size_t from = h.n;
        kill(h.pid, signals[i]);
        int status = finish();
        if (signals[i] == SIGTERM || signals[i] == SIGHUP)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        else /* and the parent learns why */
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
        assert_given_back(from);
    }
}

static void handlers_of_others_end_too(void **state)
{
    (void)state;
    start("xterm-256color", "chained");
    await("1/1000", 0);
    size_t from = h.n;
    kill(h.pid, SIGBUS);
    int status = finish();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    assert_given_back(from);
}

static void only_differences_are_sent(void **state)
{
    (void)state;
    start("xterm-256color", "auto");
    await("1/1000", 0);
    while (hear(50))
        ;
    size_t from = h.n;
    send_keys("j");
    while (hear(100))
        ;
    assert_true(h.n > from);
    assert_true(h.n - from < 700); /* two rows of 80, and a figure */
    from = h.n;
    send_keys("\033[1;1R"); /* means nothing: nothing changes */
    while (hear(100))
        ;
    assert_true(h.n - from < 20);
    send_keys("Q");
    finish();
    assert_given_back(from);
}

static void a_lone_escape_goes_back(void **state)
{
    (void)state;
    start("xterm-256color", "auto");
    await("1/1000", 0);
    send_keys("j\r");
    await("1 squared is 1", 0);
    size_t from = h.n;
    send_keys("\033");
    await("2/1000", from);
    send_keys("\033[B");
    await("3", from);
    send_keys("Q");
    finish();
    assert_given_back(from);
}

static void it_follows_the_window(void **state)
{
    struct winsize size = {.ws_row = 40, .ws_col = 100};

    (void)state;
    start("xterm-256color", "auto");
    await("1/1000", 0);
    size_t from = h.n;
    ioctl(h.fd, TIOCSWINSZ, &size);
    await("row 36", from);
    size.ws_row = 10;
    ioctl(h.fd, TIOCSWINSZ, &size);
    await("100x10)", from);
    size.ws_row = 24;
    from = h.n;
    ioctl(h.fd, TIOCSWINSZ, &size);
    await("row 20", from);
    send_keys("Q");
    finish();
    assert_given_back(from);
}

/* A process group without a parent in its session cannot be stopped, so this one gets a
 * shell of sorts: it says through `stopped` that its child has stopped, and lets it go on
 * when a byte comes through `go`. */
static void shell(int stopped, int go)
{
    pid_t pid = fork();
    int status;
    char byte;

    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(STDIN_FILENO, getpgrp());
        signal(SIGTTOU, SIG_DFL);
        child("xterm-256color", "auto");
    }
    while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status))
        if (write(stopped, "s", 1) != 1 || read(go, &byte, 1) != 1 || kill(pid, SIGCONT))
            break;
    _exit(0);
}

static void it_stops_and_comes_back(void **state)
{
    int stopped[2], go[2], master, slave;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char byte;

    (void)state;
    assert_int_equal(pipe(stopped), 0);
    assert_int_equal(pipe(go), 0);
    memset(&h, 0, sizeof h);
    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    tcgetattr(slave, &h.before);
    h.fd = master;
    h.slave = slave;
    h.pid = fork();
    if (h.pid == 0) {
        close(master);
        login_tty(slave);
        shell(stopped[1], go[0]);
    }
    await("1/1000", 0);
    size_t from = h.n;
    send_keys("\032");
    await("\033[?1049l", from);
    struct pollfd p = {stopped[0], POLLIN, 0};
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(read(stopped[0], &byte, 1), 1);
    from = h.n;
    assert_int_equal(write(go[1], "g", 1), 1);
    await("\033[?1049h", from);
    await("row 20", from);
    from = h.n;
    send_keys("Q");
    finish();
    assert_given_back(from);
    for (int i = 0; i < 2; i++) {
        close(stopped[i]);
        close(go[i]);
    }
}

static void colours_follow_the_terminal(void **state)
{
    static const struct {
        const char *term, *colour, *has, *has_not;
    } cases[] = {
        {"xterm-256color", "truecolor", "\033[38;2;", NULL},
        {"xterm-256color", "256", "\033[38;5;", "\033[38;2;"},
        {"xterm-256color", "never", "\033[", "\033[38;"},
        {"xterm", "auto", "\033[", "\033[38;"},
        {"screen-256color", "auto", "\033[38;5;", "\033[38;2;"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(cases[i].term, cases[i].colour);
        await("1/1000", 0);
        send_keys("Q");
        finish();
        assert_non_null(strstr(h.out, cases[i].has));
        if (cases[i].has_not)
            assert_null(strstr(h.out, cases[i].has_not));
        close(h.fd);
        close(h.slave);
    }
}

static void useless_terminals_are_refused(void **state)
{
    static const char *const terms[] = {"dumb", "nonesuch-terminal", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        start(terms[i], "auto");
        int status = finish();
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        assert_memory_equal(h.out, "saescope: TERM: ", 16);
        assert_null(strchr(h.out, '\033'));
        close(h.fd);
        close(h.slave);
    }
}

/* A screen while it opens; then the first view, an error behind the terminal given back, or
 * nothing more. */
static void slow_opening_has_a_screen(void **state)
{
    static const struct {
        const char *how, *keys;
        int status;
        const char *says;
    } cases[] = {
        {"slow", "", 0, "row 20"},
        {"slow, fails", "", 1, "saescope: x.npz: it is damaged"},
        {"slow", "\003", 1, "saescope: cancelled"},
        {"slow", "Q", 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start("xterm-256color", cases[i].how);
        await("opening some/params.npz", 0);
        await("unpacking", 0);
        size_t from = h.n;
        send_keys(cases[i].keys);
        if (i == 0) {
            await(cases[i].says, from);
            send_keys("Q");
        }
        int status = finish();
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == cases[i].status);
        if (cases[i].says)
            assert_non_null(strstr(h.out + from, cases[i].says));
        assert_true(i == 0 || !strstr(h.out, "row 20"));
        assert_given_back(from);
    }
}

static void no_terminal_is_an_error(void **state)
{
    struct config config;
    struct err err = {0};
    int fds[2], keep = dup(STDIN_FILENO);

    (void)state;
    assert_int_equal(pipe(fds), 0);
    dup2(fds[0], STDIN_FILENO);
    config_init(&config);
    struct tui_options o = {.config = &config, .views = toy_views};
    assert_false(tui_run(&o, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_memory_equal(err.msg, "stdin: no terminal", 18);
    config_finish(&config);
    dup2(keep, STDIN_FILENO);
    close(keep);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quitting_gives_the_terminal_back),
        cmocka_unit_test(every_end_gives_the_terminal_back),
        cmocka_unit_test(handlers_of_others_end_too),
        cmocka_unit_test(only_differences_are_sent),
        cmocka_unit_test(a_lone_escape_goes_back),
        cmocka_unit_test(it_follows_the_window),
        cmocka_unit_test(it_stops_and_comes_back),
        cmocka_unit_test(colours_follow_the_terminal),
        cmocka_unit_test(useless_terminals_are_refused),
        cmocka_unit_test(slow_opening_has_a_screen),
        cmocka_unit_test(no_terminal_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
