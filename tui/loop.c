/* loop.c - see loop.h. Signals write their number into a pipe that poll watches. */
#include "tui/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/session.h"
#include "tui/app.h"
#include "tui/opening.h"
#include "tui/term.h"

/* Opening that is done within OPENING_MS is not worth a screen of its own. */
enum { TICK_MS = 100, EVENTS = 64, OPENING_MS = 10 };

static int signal_pipe[2] = {-1, -1};

static void on_signal(int sig)
{
    int keep = errno;
    char byte = (char)sig;

    if (write(signal_pipe[1], &byte, 1) < 0) {
        /* full: as many signals as anybody needs are waiting already */
    }
    errno = keep;
}

static const int signals[] = {SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGTSTP, SIGCONT};
enum { N_SIGNALS = sizeof signals / sizeof *signals };

struct loop {
    struct app *app;
    struct canvas canvas;
    struct sigaction before[N_SIGNALS], before_pipe;
    int esc_ms;    /* term_read wants to be called again; -1: not */
    long last_tick; /* ms */
    bool is_started, is_dirty, quits;
    bool reopens;          /* it quits, to begin again with another session */
    const char *view;      /* to begin with; NULL: as the options say */
    struct target at;
    struct err why;        /* the session asked for did not open */
};

static bool catch_signals(struct loop *l, struct err *err)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_os(err, errno, "signals", "pipe");
    sigemptyset(&sa.sa_mask);
    sigemptyset(&ignore.sa_mask);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaction(signals[i], &sa, &l->before[i]);
    sigaction(SIGPIPE, &ignore, &l->before_pipe);
    return true;
}

static void release_signals(struct loop *l)
{
    for (int i = 0; i < N_SIGNALS; i++)
        sigaction(signals[i], &l->before[i], NULL);
    sigaction(SIGPIPE, &l->before_pipe, NULL);
    close(signal_pipe[0]);
    close(signal_pipe[1]);
    signal_pipe[0] = signal_pipe[1] = -1;
}

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct term_options term_options_of(const struct config *c)
{
    return (struct term_options){c->theme, c->colour, c->mouse};
}

/* The canvas follows the terminal's size and the settings. */
static void fit(struct loop *l)
{
    const struct config *c = app_config(l->app);
    int rows, cols;

    term_size(&rows, &cols);
    if (rows != l->canvas.rows || cols != l->canvas.cols) {
        canvas_finish(&l->canvas);
        canvas_init(&l->canvas, rows, cols);
        app_resize(l->app, rows, cols);
    }
    l->canvas.ascii = c->ascii || !term_is_utf8();
    l->canvas.mono = term_colours() == COLOUR_MONO || strcmp(theme_name(c->theme), "mono") == 0;
    l->is_dirty = true;
}

static void handle_requests(struct loop *l)
{
    enum app_request r;

    while ((r = app_next_request(l->app)) != APP_NOTHING) {
        struct term_options o = term_options_of(app_config(l->app));
        switch (r) {
        case APP_QUIT: l->quits = true; break;
        case APP_SUSPEND: term_suspend(); fit(l); break;
        case APP_REPAINT: term_forget(); break;
        case APP_COPY: term_copy(app_clipboard(l->app)); break;
        case APP_REOPEN: l->reopens = l->quits = true; break;
        case APP_RESTYLE: term_restyle(&o); fit(l); break;
        case APP_NOTHING: break;
        }
        l->is_dirty = true;
    }
}

static void take_signals(struct loop *l)
{
    struct event interrupt = {.kind = EVENT_KEY, .key = K_CTRL | 'c'};
    char byte;

    while (read(signal_pipe[0], &byte, 1) == 1) {
        switch (byte) {
        case SIGTERM:
        case SIGHUP: l->quits = true; break;
        case SIGINT: app_event(l->app, &interrupt); break;
        case SIGTSTP: term_suspend(); fit(l); break;
        case SIGCONT: /* stopped from outside: the shell has had the terminal */
            term_resume();
            fit(l);
            break;
        default: fit(l); break; /* SIGWINCH */
        }
        l->is_dirty = true;
    }
}

static void take_keys(struct loop *l)
{
    struct event events[EVENTS];
    int n;

    if (!term_read(events, EVENTS, &n, &l->esc_ms)) {
        l->quits = true; /* the terminal is gone */
        return;
    }
    for (int i = 0; i < n && !l->quits; i++) {
        app_event(l->app, &events[i]);
        handle_requests(l);
        l->is_dirty = true;
    }
}

static void draw(struct loop *l)
{
    int row, col;

    app_draw(l->app, &l->canvas, &row, &col);
    term_flush(&l->canvas, row, col);
    l->is_dirty = false;
}

/* How long poll may sleep: until the next tick of running jobs, or a lone ESC's end. */
static int patience(const struct loop *l)
{
    int tick = -1;

    if (app_busy(l->app)) {
        long due = l->last_tick + TICK_MS - now_ms();
        tick = due < 0 ? 0 : (int)due;
    }
    if (l->esc_ms < 0)
        return tick;
    return tick < 0 || l->esc_ms < tick ? l->esc_ms : tick;
}

static void turn(struct loop *l)
{
    struct pollfd fds[] = {
        {STDIN_FILENO, POLLIN, 0},
        {app_worker_fd(l->app), POLLIN, 0},
        {signal_pipe[0], POLLIN, 0},
    };
    int n = poll(fds, 3, patience(l));

    if (n < 0 && errno != EINTR) {
        l->quits = true;
        return;
    }
    if (n > 0 && fds[2].revents)
        take_signals(l);
    if ((n > 0 && fds[0].revents) || l->esc_ms >= 0)
        take_keys(l);
    if (n > 0 && fds[1].revents) {
        app_reap(l->app);
        l->is_dirty = true;
    }
    if (app_busy(l->app) && now_ms() - l->last_tick >= TICK_MS) {
        app_tick(l->app);
        l->last_tick = now_ms();
        l->is_dirty = true;
    }
    handle_requests(l);
}

static void run(struct loop *l, const struct tui_options *o)
{
    const struct target *at = l->view ? &l->at : o->at ? o->at : &TARGET_NONE;
    const char *view = l->view   ? l->view
                       : o->view ? o->view
                       : o->views[0] ? o->views[0]->name : NULL;

    fit(l);
    if (view && !app_show(l->app, view, at))
        l->is_dirty = true; /* the message line says why */
    if (l->why.code)
        app_error(l->app, &l->why);
    for (int i = 0; i < o->config->n_warnings && i < 1; i++)
        app_warning(l->app, "%s", o->config->warnings[i]);
    while (!l->quits) {
        if (l->is_dirty)
            draw(l);
        turn(l);
    }
}

/* The terminal, once. */
static bool start(struct loop *l, const struct tui_options *o, struct err *err)
{
    struct term_options to = term_options_of(o->config);

    if (l->is_started)
        return true;
    if (!term_start(&to, err))
        return false;
    l->is_started = true;
    return catch_signals(l, err);
}

/* Open the session, on a screen that says how far it is unless it is there at once. *session
 * stays NULL when the user has quit meanwhile. */
static bool open_session(struct loop *l, const struct tui_options *o,
                         struct session **session, struct err *err)
{
    static const struct view_ops *const views[] = {&opening_view_ops, NULL};
    struct app_options ao = {.views = views, .config = o->config};
    struct err why = {0};
    bool ended, ok;

    if (!(l->app = app_new(&ao, err)))
        return false;
    app_show(l->app, opening_view_ops.name, &TARGET_NONE);
    struct view *v = app_view(l->app, opening_view_ops.name);
    opening_start(v, o->title ? o->title : "", o->open, o->open_ctx);
    struct pollfd fd = {app_worker_fd(l->app), POLLIN, 0};
    poll(&fd, 1, OPENING_MS);
    app_reap(l->app);
    ended = opening_ended(v, session, &why);
    ok = ended || start(l, o, err);
    if (ok && !ended)
        fit(l);
    while (ok && !ended && !l->quits) {
        if (l->is_dirty)
            draw(l);
        turn(l);
        ended = opening_ended(v, session, &why);
    }
    app_free(l->app);
    l->app = NULL;
    if (ended && why.code) {
        *err = why;
        return false;
    }
    return ok;
}

/* Views and the session are let go of, and what the user has asked for is opened; what was
 * there before when that fails. */
static bool reopen(struct loop *l, const struct tui_options *o, struct session **session,
                   struct err *err)
{
    l->view = app_where(l->app, &l->at);
    app_free(l->app);
    l->app = NULL;
    session_close(*session);
    *session = NULL;
    l->reopens = l->quits = false;
    l->why = (struct err){0};
    if (open_session(l, o, session, &l->why))
        return true;
    o->undo(o->open_ctx);
    return open_session(l, o, session, err);
}

static bool show(struct loop *l, const struct tui_options *o, struct session *session,
                 struct err *err)
{
    struct app_options ao = {.views = o->views, .session = session, .config = o->config,
                             .title = o->open ? NULL : o->title,
                             .rescan = o->rescan, .rescan_ctx = o->open_ctx};

    canvas_finish(&l->canvas); /* of no size: fit tells the frame how large it is */
    l->app = app_new(&ao, err);
    if (!l->app)
        return false;
    run(l, o);
    return true;
}

bool tui_run(const struct tui_options *options, struct err *err)
{
    struct tui_options o = *options;
    struct loop l = {.esc_ms = -1};
    struct session *opened = NULL;
    bool ok = !o.open || open_session(&l, &o, &opened, err);

    if (!o.views)
        o.views = view_table;
    while (ok && !l.quits) {
        ok = start(&l, &o, err) && show(&l, &o, o.open ? opened : o.session, err);
        if (ok && l.reopens)
            ok = reopen(&l, &o, &opened, err);
    }
    if (l.is_started)
        term_stop(); /* before jobs are waited for */
    app_free(l.app);
    canvas_finish(&l.canvas);
    if (signal_pipe[0] >= 0)
        release_signals(&l);
    session_close(opened);
    return ok;
}
