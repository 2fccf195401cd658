/* app_prompt.c - the line that is being typed, and what becomes of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/app_impl.h"

static const char *view_word(void *ctx, int i)
{
    struct app *app = ctx;
    struct view *v = &app->views[app->prompt.view];

    return v->ops->word ? v->ops->word(v, app->prompt.ask, i) : NULL;
}

static struct edit_history *history_of(struct app *app, enum prompt_kind kind, enum ask ask)
{
    if (kind != PROMPT_VIEW)
        return &app->histories[kind];
    return ask < ASK_OTHER ? &app->histories[PROMPT_KINDS + (int)ask] : NULL;
}

static void begin(struct app *app, enum prompt_kind kind, enum ask ask, int view,
                  const char *label, const char *initial)
{
    struct prompt *p = &app->prompt;

    edit_finish(&p->edit);
    *p = (struct prompt){.kind = kind, .ask = ask, .view = view, .back_to = app->mode};
    snprintf(p->label, sizeof p->label, "%s", label);
    edit_init(&p->edit, initial, history_of(app, kind, ask));
    p->edit.words = kind == PROMPT_COMMAND ? app_command_word
                    : kind == PROMPT_VIEW  ? view_word
                                           : NULL;
    p->edit.words_ctx = app;
    app->mode = MODE_PROMPT;
    app->message[0] = 0;
}

void prompt_open(struct app *app, enum prompt_kind kind, const char *label,
                 const char *initial)
{
    begin(app, kind, ASK_OTHER, app->shown, label, initial);
}

void view_ask(struct view *v, enum ask what, const char *label, const char *initial)
{
    char text[64];

    snprintf(text, sizeof text, "%s: ", label);
    begin(v->app, PROMPT_VIEW, what, (int)(v - v->app->views), text, initial);
}

static bool answer(struct app *app, const char *line, struct err *err)
{
    const struct prompt *p = &app->prompt;
    struct view *v = p->view >= 0 ? &app->views[p->view] : NULL;

    switch (p->kind) {
    case PROMPT_COMMAND: return app_command(app, line, err);
    case PROMPT_GOTO: return !*line || app_go_feature(app, line, err);
    case PROMPT_WRITE: return !*line || app_write(app, line, false, err);
    case PROMPT_OPTION: return options_answer(app, p->option, line, err);
    default: return v->ops->answer(v, p->ask, line, err);
    }
}

/* The answer may open the next prompt, so the present one is put away before. */
static void done(struct app *app)
{
    struct edit edit = app->prompt.edit;
    struct prompt before = app->prompt;
    struct err err = {0};

    app->prompt.edit = (struct edit){0};
    app->mode = before.back_to;
    if (!answer(app, edit.text, &err)) {
        app->prompt = before;
        app->prompt.edit = edit;
        app->prompt.edit.recalled = edit.history ? edit.history->n : 0;
        snprintf(app->prompt.error, sizeof app->prompt.error, "%s", err.msg);
        app->mode = MODE_PROMPT;
        return;
    }
    edit_finish(&edit);
}

/* The view that asked sees what is typed. */
static void tell(struct app *app, const char *text)
{
    const struct prompt *p = &app->prompt;
    struct view *v = p->kind == PROMPT_VIEW ? &app->views[p->view] : NULL;

    if (v && v->ops->typing)
        v->ops->typing(v, p->ask, text);
}

void prompt_key(struct app *app, int32_t key)
{
    app->prompt.error[0] = 0;
    switch (edit_key(&app->prompt.edit, key)) {
    case EDIT_GOES_ON: tell(app, app->prompt.edit.text); break;
    case EDIT_DONE: done(app); break;
    case EDIT_CANCELLED:
        app->mode = app->prompt.back_to;
        edit_finish(&app->prompt.edit);
        tell(app, NULL);
        break;
    }
}
