/* term.c - see term.h. Static state: there is one terminal. */
#include "tui/term.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <curses.h>
#include <term.h>

#include "io/map.h"
#include "io/mem.h"
#include "tui/input.h"

enum { ESC_MS = 25, OSC52_BYTES = 74994 };

static struct {
    bool started;
    struct term_options options;
    enum colour_level colours;
    bool has_mouse, has_256, bright; /* palette of 256; of 16 without bold */
    bool no_last_cell;               /* writing the last cell would scroll */
    bool utf8;

    /* what is on the screen */
    struct cell *shown; /* [rows * cols] */
    int rows, cols;
    bool forgotten; /* nothing is known of it */
    int at_row, at_col; /* of the terminal's cursor; -1: unknown */
    bool cursor_on;
    uint32_t style;     /* in force */
    struct paint paint; /* what that came to */

    /* one write a frame */
    char *out;
    size_t n_out, cap_out;

    /* bytes typed, not understood yet */
    char in[4096];
    size_t n_in;
    struct timespec last_read;
    struct input input;
    struct input_string strings[32];
} term;

/* What the fatal-signal handler needs, ready made: it may do nothing but write. */
static struct {
    volatile sig_atomic_t is_set;
    struct termios modes;
    char leave[4096]; /* slow terminals get padding */
    size_t n_leave;
} saved;

/* -- output ----------------------------------------------------------------------------- */

static void out_bytes(const char *s, size_t n)
{
    if (term.n_out + n > term.cap_out) {
        term.cap_out = (term.n_out + n) * 2;
        term.out = xrealloc(term.out, term.cap_out);
    }
    memcpy(term.out + term.n_out, s, n);
    term.n_out += n;
}

static void out_text(const char *s)
{
    out_bytes(s, strlen(s));
}

static int out_char(int c) /* for tputs */
{
    char byte = (char)c;
    out_bytes(&byte, 1);
    return c;
}

/* A capability by its terminfo name; NULL if the terminal has none. */
static const char *cap(const char *name)
{
    const char *s = tigetstr((char *)(uintptr_t)name);
    return s == (char *)-1 ? NULL : s;
}

static void out_cap(const char *name)
{
    const char *s = cap(name);
    if (s)
        tputs(s, 1, out_char);
}

static void out_cap1(const char *name, int value)
{
    const char *s = cap(name);
    if (s)
        tputs(tparm(s, (long)value, 0L, 0L, 0L, 0L, 0L, 0L, 0L, 0L), 1, out_char);
}

static void write_all(const char *s, size_t n)
{
    while (n > 0) {
        ssize_t k = write(STDOUT_FILENO, s, n);
        if (k >= 0) {
            s += k;
            n -= (size_t)k;
        } else if (errno == EAGAIN) {
            struct pollfd p = {STDOUT_FILENO, POLLOUT, 0};
            poll(&p, 1, -1);
        } else if (errno != EINTR) {
            return; /* the terminal is gone; SIGHUP follows */
        }
    }
}

static void out_send(void)
{
    write_all(term.out, term.n_out);
    term.n_out = 0;
}

/* -- giving it back, whatever happens ----------------------------------------------------- */

static void put_back(void) /* async-signal-safe */
{
    if (!saved.is_set)
        return;
    saved.is_set = 0;
    write_all(saved.leave, saved.n_leave);
    tcsetattr(STDIN_FILENO, TCSANOW, &saved.modes);
}

/* Every signal that ends a program unasked, but for those that main waits for. */
static const int fatal[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT,   SIGQUIT, SIGSYS,
                            SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU, SIGVTALRM, SIGPROF};
enum { N_FATAL = sizeof fatal / sizeof *fatal };
static struct sigaction before[N_FATAL];

/* Whoever was there before us has the next word; should that lead back here (map.c's
 * handler calls the one it has replaced), the signal takes its course. */
static void on_fatal(int sig)
{
    static volatile sig_atomic_t was_here;

    put_back();
    if (was_here)
        signal(sig, SIG_DFL);
    for (int i = 0; i < N_FATAL && !was_here; i++)
        if (fatal[i] == sig)
            sigaction(sig, &before[i], NULL);
    was_here = 1;
    raise(sig);
}

static void catch_fatal(void)
{
    static char stack[64 * 1024]; /* a stack overflow has none left */
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};

    sigaltstack(&alt, NULL);
    sigemptyset(&sa.sa_mask);
    for (int i = 0; i < N_FATAL; i++)
        sigaction(fatal[i], &sa, &before[i]);
    map_guard_first();
}

/* Who has come since (map.c) stays: its work goes on until the jobs have ended. */
static void release_fatal(void)
{
    struct sigaction now;

    for (int i = 0; i < N_FATAL; i++)
        if (sigaction(fatal[i], NULL, &now) == 0 && now.sa_handler == on_fatal)
            sigaction(fatal[i], &before[i], NULL);
}

/* -- taking it over ------------------------------------------------------------------------ */

static bool starts_with(const char *s, const char *start)
{
    return strncmp(s, start, strlen(start)) == 0;
}

/* COLORTERM is inherited through GNU screen, which cannot do what it promises. */
static bool is_truecolor(const char *name)
{
    const char *c = getenv("COLORTERM");
    bool screen = starts_with(name, "screen") && !getenv("TMUX");

    if (tigetflag("Tc") > 0 || tigetflag("RGB") > 0 || tigetnum("RGB") > 0)
        return true;
    return c && (strcmp(c, "truecolor") == 0 || strcmp(c, "24bit") == 0) && !screen &&
           !starts_with(name, "linux") && !starts_with(name, "vt");
}

static void detect(void)
{
    const char *name = getenv("TERM"), *no_color = getenv("NO_COLOR");
    int colors = tigetnum("colors");

    term.has_256 = colors >= 256;
    term.bright = colors >= 16;
    term.has_mouse = cap("kmous") != NULL;
    term.no_last_cell = tigetflag("am") > 0 && tigetflag("xenl") <= 0;
    term.colours = term.options.colour;
    if (term.colours != COLOUR_AUTO)
        return;
    if (no_color && *no_color)
        term.colours = COLOUR_MONO;
    else if (is_truecolor(name))
        term.colours = COLOUR_TRUE;
    else
        term.colours = colors >= 256 ? COLOUR_256 : colors >= 8 ? COLOUR_16 : COLOUR_MONO;
}

static void learn_keys(void)
{
    static const struct {
        const char *cap;
        int32_t key;
    } keys[] = {
        {"kcuu1", K_UP},        {"kcud1", K_DOWN},       {"kcub1", K_LEFT},
        {"kcuf1", K_RIGHT},     {"khome", K_HOME},       {"kend", K_END},
        {"kpp", K_PAGE_UP},     {"knp", K_PAGE_DOWN},    {"kich1", K_INSERT},
        {"kdch1", K_DELETE},    {"kcbt", K_SHIFT | K_TAB}, {"kf1", K_F1},
        {"kf2", K_F1 + 1},      {"kf3", K_F1 + 2},       {"kf4", K_F1 + 3},
        {"kf5", K_F1 + 4},      {"kf6", K_F1 + 5},       {"kf7", K_F1 + 6},
        {"kf8", K_F1 + 7},      {"kf9", K_F1 + 8},       {"kf10", K_F1 + 9},
        {"kf11", K_F1 + 10},    {"kf12", K_F1 + 11},
    };
    int n = 0;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *s = cap(keys[i].cap);
        if (s && s[0] == 27)
            term.strings[n++] = (struct input_string){s, keys[i].key};
    }
    term.input = (struct input){.extra = term.strings, .n_extra = n};
}

static void set_modes(void)
{
    struct termios raw = saved.modes;

    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON | ISTRIP);
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

/* The bytes that undo `enter`, kept for whoever has to leave in a hurry. */
static void prepare_leave(void)
{
    term.n_out = 0;
    if (term.has_mouse)
        out_text("\033[?1002l\033[?1006l\033[?2004l");
    out_cap("sgr0");
    out_cap("rmkx");
    out_cap("cnorm");
    out_cap(cap("rmcup") ? "rmcup" : "clear");
    saved.n_leave = term.n_out < sizeof saved.leave ? term.n_out : sizeof saved.leave;
    memcpy(saved.leave, term.out, saved.n_leave);
    term.n_out = 0;
}

static void enter(void)
{
    prepare_leave();
    saved.is_set = 1;
    set_modes();
    out_cap("smcup");
    out_cap("smkx");
    if (term.has_mouse) {
        out_text("\033[?2004h");
        if (term.options.mouse)
            out_text("\033[?1002h\033[?1006h");
    }
    out_cap("civis");
    term.cursor_on = false;
    term_forget();
    out_send();
}

bool term_start(const struct term_options *o, struct err *err)
{
    const char *name = getenv("TERM");
    int status;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(err, ERR_UNSUPPORTED, "%s: no terminal (the explorer needs one; "
                       "commands such as \"info\" do not)",
                       isatty(STDIN_FILENO) ? "stdout" : "stdin");
    if (!name || !*name)
        return err_set(err, ERR_UNSUPPORTED, "TERM: not set");
    if (setupterm(name, STDOUT_FILENO, &status) != OK)
        return err_set(err, ERR_UNSUPPORTED, "TERM: unknown terminal (found \"%s\")", name);
    if (!cap("cup") || !cap("clear"))
        return err_set(err, ERR_UNSUPPORTED, "TERM: cannot move its cursor (found \"%s\")",
                       name);
    if (tcgetattr(STDIN_FILENO, &saved.modes) != 0)
        return err_os(err, errno, "stdin", "reading the terminal's settings");
    setlocale(LC_CTYPE, ""); /* LC_NUMERIC stays: numbers in files have dots */
    term.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    term.options = *o;
    detect();
    learn_keys();
    catch_fatal();
    static bool at_exit;
    if (!at_exit)
        at_exit = atexit(term_stop) == 0;
    term.started = true;
    enter();
    return true;
}

void term_stop(void)
{
    if (!term.started)
        return;
    put_back();
    release_fatal();
    del_curterm(cur_term);
    free(term.shown);
    free(term.out);
    memset(&term, 0, sizeof term);
}

void term_restyle(const struct term_options *o)
{
    bool mouse = term.options.mouse;

    term.options = *o;
    detect();
    if (term.has_mouse && mouse != o->mouse)
        out_text(o->mouse ? "\033[?1002h\033[?1006h" : "\033[?1002l\033[?1006l");
    term_forget();
}

enum colour_level term_colours(void)
{
    return term.colours;
}

bool term_is_utf8(void)
{
    return term.utf8;
}

void term_size(int *rows, int *cols)
{
    struct winsize w;

    *rows = 24;
    *cols = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0) {
        *rows = w.ws_row;
        *cols = w.ws_col;
    } else if (tigetnum("lines") > 0 && tigetnum("cols") > 0) { /* a serial line */
        *rows = tigetnum("lines");
        *cols = tigetnum("cols");
    }
}

void term_suspend(void)
{
    struct sigaction stop = {.sa_handler = SIG_DFL}, old;

    put_back();
    sigemptyset(&stop.sa_mask);
    sigaction(SIGTSTP, &stop, &old);
    kill(0, SIGTSTP); /* as the terminal's own ^Z: the whole job stops */
    sigaction(SIGTSTP, &old, NULL);
    tcgetattr(STDIN_FILENO, &saved.modes);
    enter();
}

void term_resume(void)
{
    if (term.started)
        enter();
}

/* -- keys ----------------------------------------------------------------------------------- */

static long ms_since(const struct timespec *t)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000;
}

/* False: end of input. *fresh: something came. */
static bool fill(bool *fresh)
{
    struct pollfd p = {STDIN_FILENO, POLLIN, 0};
    ssize_t k;

    *fresh = false;
    if (term.n_in == sizeof term.in || poll(&p, 1, 0) <= 0)
        return true;
    k = read(STDIN_FILENO, term.in + term.n_in, sizeof term.in - term.n_in);
    if (k == 0 || (k < 0 && errno == EIO))
        return false;
    if (k > 0) {
        term.n_in += (size_t)k;
        clock_gettime(CLOCK_MONOTONIC, &term.last_read);
        *fresh = true;
    }
    return true;
}

bool term_read(struct event *out, int max, int *n, int *timeout_ms)
{
    bool fresh, flush;
    size_t used = 0;

    *n = 0;
    *timeout_ms = -1;
    if (!fill(&fresh))
        return false;
    flush = term.n_in > 0 && !fresh && ms_since(&term.last_read) >= ESC_MS;
    while (*n < max && used < term.n_in) {
        struct event e;
        size_t k = input_next(&term.input, term.in + used, term.n_in - used, flush, &e);
        if (k == 0)
            break;
        used += k;
        if (e.kind != EVENT_NONE)
            out[(*n)++] = e;
    }
    memmove(term.in, term.in + used, term.n_in - used);
    term.n_in -= used;
    if (term.n_in > 0)
        *timeout_ms = *n == max ? 0 : ESC_MS;
    return true;
}

/* -- the screen ------------------------------------------------------------------------------ */

void term_forget(void)
{
    term.forgotten = true;
}

static void out_colour(int32_t colour, bool is_back, uint32_t *attr)
{
    char text[32];

    if (colour == COLOUR_DEFAULT)
        return;
    if (colour & COLOUR_RGB) {
        snprintf(text, sizeof text, "\033[%d;2;%d;%d;%dm", is_back ? 48 : 38,
                 colour >> 16 & 0xff, colour >> 8 & 0xff, colour & 0xff);
        out_text(text);
    } else if (colour >= 16 && !term.has_256) { /* asked for by --color */
        snprintf(text, sizeof text, "\033[%d;5;%dm", is_back ? 48 : 38, colour);
        out_text(text);
    } else {
        if (colour >= 8 && colour < 16 && !term.bright) {
            colour -= 8;
            if (!is_back)
                *attr |= STYLE_BOLD;
        }
        out_cap1(is_back ? "setab" : "setaf", colour);
    }
}

static void out_style(uint32_t style)
{
    struct paint p;

    if (style == term.style)
        return;
    p = theme_paint(term.options.theme, term.colours, style);
    term.style = style;
    if (p.front == term.paint.front && p.back == term.paint.back &&
        p.attr == term.paint.attr)
        return; /* another word for the same */
    term.paint = p;
    out_cap("sgr0");
    out_colour(p.front, false, &p.attr);
    out_colour(p.back, true, &p.attr);
    if (p.attr & STYLE_BOLD)
        out_cap("bold");
    if (p.attr & STYLE_FAINT)
        out_cap("dim");
    if (p.attr & STYLE_UNDERLINE)
        out_cap("smul");
    if (p.attr & STYLE_REVERSE)
        out_cap("rev");
    if (p.attr & STYLE_ITALIC)
        out_cap("sitm");
}

static void out_move(int row, int col)
{
    if (row == term.at_row && col == term.at_col)
        return;
    tputs(tparm(cap("cup"), (long)row, (long)col, 0L, 0L, 0L, 0L, 0L, 0L, 0L), 1, out_char);
    term.at_row = row;
    term.at_col = col;
}

/* Terminals agree about the width of one character, less so about clusters and emoji: the
 * cursor is placed anew after those. */
static void out_cell(const struct cell *cell, int row, int col)
{
    out_move(row, col);
    out_style(cell->style);
    out_text(cell->text);
    term.at_col += cell->width;
    if (cell->width == 2 || strlen(cell->text) > 3 || term.at_col >= term.cols)
        term.at_row = term.at_col = -1;
}

static bool same(const struct cell *a, const struct cell *b)
{
    return a->style == b->style && a->width == b->width && strcmp(a->text, b->text) == 0;
}

static void start_anew(int rows, int cols)
{
    static const struct cell blank = {.text = " ", .width = 1, .style = INK_TEXT};

    free(term.shown);
    term.shown = xcalloc((size_t)rows * (size_t)cols, sizeof *term.shown);
    for (int i = 0; i < rows * cols; i++)
        term.shown[i] = blank;
    term.rows = rows;
    term.cols = cols;
    out_cap("sgr0");
    out_cap("clear");
    term.style = INK_TEXT;
    term.paint = theme_paint(term.options.theme, term.colours, INK_TEXT);
    term.at_row = term.at_col = -1;
    term.forgotten = false;
}

/* Cells that stand as they are, sent once more to get over them; unless that needs more
 * than their characters. */
static void repeat(const struct cell *cells, int row, int from, int to)
{
    for (int col = from; col < to; col++)
        if (cells[col].width != 1 || cells[col].style != term.style ||
            strlen(cells[col].text) > 1)
            return;
    for (int col = from; col < to; col++)
        out_cell(&cells[col], row, col);
}

static void flush_row(const struct canvas *c, int row)
{
    const struct cell *want = c->cells + (ptrdiff_t)row * c->stride;
    struct cell *have = term.shown + (ptrdiff_t)row * term.cols;
    enum { NEAR = 4 }; /* so few cells are shorter than a movement over them */
    int last = row == c->rows - 1 && term.no_last_cell ? c->cols - 1 : c->cols;

    for (int col = 0; col < last; col++) {
        if (same(&want[col], &have[col]))
            continue;
        int from = want[col].width == 0 && col > 0 ? col - 1 : col;
        if (term.at_row == row && term.at_col < from && term.at_col >= from - NEAR)
            repeat(want, row, term.at_col, from);
        out_cell(&want[from], row, from);
        for (int i = from; i < from + want[from].width && i < c->cols; i++)
            have[i] = want[i];
    }
}

void term_flush(const struct canvas *c, int cursor_row, int cursor_col)
{
    if (term.forgotten || c->rows != term.rows || c->cols != term.cols)
        start_anew(c->rows, c->cols);
    for (int row = 0; row < c->rows; row++)
        flush_row(c, row);
    if (cursor_row >= 0)
        out_move(cursor_row, cursor_col);
    if ((cursor_row >= 0) != term.cursor_on) {
        term.cursor_on = cursor_row >= 0;
        out_cap(term.cursor_on ? "cnorm" : "civis");
    }
    out_send();
}

/* -- clipboard ------------------------------------------------------------------------------- */

static void out_base64(const unsigned char *s, size_t n)
{
    static const char digit[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)s[i] << 16 | (i + 1 < n ? (uint32_t)s[i + 1] << 8 : 0) |
                     (i + 2 < n ? s[i + 2] : 0);
        char four[4] = {digit[v >> 18], digit[v >> 12 & 63],
                        i + 1 < n ? digit[v >> 6 & 63] : '=', i + 2 < n ? digit[v & 63] : '='};
        out_bytes(four, 4);
    }
}

void term_copy(const char *text)
{
    const char *name = getenv("TERM");
    bool wrap = name && starts_with(name, "screen") && !getenv("TMUX");

    if (strlen(text) > OSC52_BYTES)
        return;
    out_text(wrap ? "\033P\033]52;c;" : "\033]52;c;"); /* GNU screen passes DCS on */
    out_base64((const unsigned char *)text, strlen(text));
    out_text(wrap ? "\a\033\\" : "\a");
    out_send();
}
