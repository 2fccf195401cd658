/* screen.c - see screen.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#include "screen.h"

void screen_start(struct screen *s, const struct screen_options *o)
{
    struct err err = {0};
    struct app_options ao = {.views = o->views ? o->views : view_table,
                             .session = o->session, .config = &s->config,
                             .title = o->title};

    *s = (struct screen){0};
    config_init(&s->config);
    s->config.ascii = o->ascii;
    s->app = app_new(&ao, &err);
    if (!s->app)
        fail_msg("%s", err.msg);
    canvas_init(&s->canvas, o->rows ? o->rows : 24, o->cols ? o->cols : 80);
    s->canvas.ascii = o->ascii;
    s->canvas.mono = o->mono;
    app_resize(s->app, s->canvas.rows, s->canvas.cols);
    app_draw(s->app, &s->canvas, &s->cursor_row, &s->cursor_col);
    app_show(s->app, o->view ? o->view : ao.views[0]->name, o->at ? o->at : &TARGET_NONE);
    screen_wait(s);
}

void screen_stop(struct screen *s)
{
    app_free(s->app);
    canvas_finish(&s->canvas);
    config_finish(&s->config);
}

void screen_wait(struct screen *s)
{
    struct pollfd p = {app_worker_fd(s->app), POLLIN, 0};

    for (app_reap(s->app); app_busy(s->app); app_reap(s->app))
        if (poll(&p, 1, 20000) != 1)
            fail_msg("a job did not end within 20 s");
}

void screen_press(struct screen *s, int32_t key)
{
    app_event(s->app, &(struct event){.kind = EVENT_KEY, .key = key});
    s->canvas.ascii = app_config(s->app)->ascii;
}

void screen_mouse(struct screen *s, enum mouse_kind kind, int button, int row, int col)
{
    app_event(s->app, &(struct event){.kind = EVENT_MOUSE,
                                      .mouse = {.kind = kind, .button = button,
                                                .row = row, .col = col}});
    screen_wait(s);
}

/* A key by name, else its first character. */
static const char *type_one(struct screen *s, const char *keys)
{
    size_t used;
    int32_t key = key_parse(keys, &used);

    if (key == K_NONE)
        fail_msg("no such key: %s", keys);
    screen_press(s, key);
    screen_wait(s);
    return keys + used;
}

void screen_type(struct screen *s, const char *keys)
{
    while (*(keys += strspn(keys, " "))) {
        if (*keys != '"') {
            keys = type_one(s, keys);
            continue;
        }
        for (keys++; *keys && *keys != '"'; keys++) {
            screen_press(s, (unsigned char)*keys);
            screen_wait(s);
        }
        keys += *keys == '"';
    }
}

void screen_resize(struct screen *s, int rows, int cols)
{
    bool ascii = s->canvas.ascii, mono = s->canvas.mono;

    canvas_finish(&s->canvas);
    canvas_init(&s->canvas, rows, cols);
    s->canvas.ascii = ascii;
    s->canvas.mono = mono;
    app_resize(s->app, rows, cols);
}

char *screen_text(struct screen *s)
{
    app_draw(s->app, &s->canvas, &s->cursor_row, &s->cursor_col);
    return canvas_dump(&s->canvas);
}

char *screen_inks(struct screen *s)
{
    app_draw(s->app, &s->canvas, &s->cursor_row, &s->cursor_col);
    return canvas_dump_inks(&s->canvas);
}

char *screen_row(struct screen *s, int row)
{
    char *text = screen_text(s), *line = text, *copy;

    while (row-- > 0 && *line)
        line += strcspn(line, "\n") + 1;
    copy = strndup(line, strcspn(line, "\n"));
    free(text);
    return copy;
}

static void expect(struct screen *s, const char *text, bool wanted)
{
    char *screen = screen_text(s);
    bool found = strstr(screen, text) != NULL;

    if (found != wanted) {
        fputs(screen, stderr); /* cmocka would cut it */
        free(screen);
        fail_msg("the screen %s: %s", wanted ? "does not show" : "shows", text);
    }
    free(screen);
}

void screen_expect(struct screen *s, const char *text)
{
    expect(s, text, true);
}

void screen_expect_not(struct screen *s, const char *text)
{
    expect(s, text, false);
}
