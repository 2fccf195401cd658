/* app_places.c - views, the history of places one came through, marks. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/app_impl.h"
#include "tui/desk.h"

int app_view_index(const struct app *app, const char *name)
{
    for (int i = 0; i < app->n_views; i++)
        if (strcmp(app->views[i].ops->name, name) == 0)
            return i;
    return -1;
}

struct view *app_view(struct app *app, const char *name)
{
    int i = app_view_index(app, name);
    return i >= 0 && app->is_open[i] ? &app->views[i] : NULL;
}

static bool ensure_open(struct app *app, int i)
{
    struct view *v = &app->views[i];
    struct err err = {0};

    if (app->is_open[i])
        return true;
    v->state = xcalloc(1, v->ops->state_size ? v->ops->state_size : 1);
    if (v->ops->open && !v->ops->open(v, &err)) {
        app_error(app, &err);
        free(v->state);
        v->state = NULL;
        return false;
    }
    app->is_open[i] = true;
    return true;
}

/* Where one is now goes into the history with the cursor as it stands. */
static void note_present(struct app *app)
{
    if (app->shown >= 0 && app->n_history > 0) {
        struct place *p = &app->history[app->at_history];
        *p = (struct place){app->shown, app->views[app->shown].target};
        p->at.filter[0] = p->at.of[0] = 0; /* the view keeps its own */
    }
}

static bool show(struct app *app, const struct place *to)
{
    struct view *v = &app->views[to->view];
    struct target at = to->at;

    bool asks = at.feature >= 0 || at.token >= 0 || at.filter[0] || at.of[0];
    if (!app->is_open[to->view] && !asks && app->shown >= 0) {
        at = app->views[app->shown].target;
        at.filter[0] = at.of[0] = 0;
        if (v->ops->own_place)
            at.feature = at.token = -1;
    }
    if (!ensure_open(app, to->view))
        return false;
    app->shown = to->view;
    if (v->ops->go)
        v->ops->go(v, &at);
    return true;
}

bool app_visit(struct app *app, int view, const struct target *at)
{
    struct place to = {view, *at};

    note_present(app);
    if (!show(app, &to))
        return false;
    if (app->n_history > 0)
        app->n_history = app->at_history + 1; /* what was ahead is forgotten */
    if (app->n_history == APP_HISTORY)
        memmove(app->history, app->history + 1,
                (size_t)--app->n_history * sizeof *app->history);
    app->at_history = app->n_history;
    app->history[app->n_history++] = to;
    return true;
}

void app_travel(struct app *app, int step)
{
    int to = app->at_history + step;

    if (to < 0 || to >= app->n_history) {
        app_message(app, step < 0 ? "this is where you began; Q quits" : "nothing ahead");
        return;
    }
    note_present(app);
    if (show(app, &app->history[to]))
        app->at_history = to;
}

bool app_show(struct app *app, const char *view, const struct target *at)
{
    int i = app_view_index(app, view);
    return i >= 0 && app_visit(app, i, at);
}

void app_open(struct app *app, const char *view, const struct target *at)
{
    app->wants_open = true;
    app->open_at = *at;
    snprintf(app->open_name, sizeof app->open_name, "%s", view);
}

/* Do what a view has asked for while it was handling something. */
void app_settle(struct app *app)
{
    if (!app->wants_open)
        return;
    app->wants_open = false;
    int i = app_view_index(app, app->open_name);
    if (i < 0)
        app_warning(app, "there is no view \"%s\"", app->open_name);
    else
        app_visit(app, i, &app->open_at);
}

void app_changed(struct app *app)
{
    for (int i = 0; i < app->n_views; i++)
        if (app->is_open[i] && app->views[i].ops->changed)
            app->views[i].ops->changed(&app->views[i]);
}

bool app_go_feature(struct app *app, const char *number, struct err *err)
{
    struct view *v = app_shown(app);
    struct target at = TARGET_NONE;
    struct err refused = {0};
    char *end;

    if (v && v->ops->answer && v->ops->answer(v, ASK_GOTO, number, &refused))
        return true;
    if (v && v->ops->answer && refused.code != ERR_USAGE && refused.code != ERR_NONE) {
        *err = refused;
        return false;
    }
    number += strspn(number, " #");
    at.feature = strtoll(number, &end, 10);
    if (end == number || *end || at.feature < 0)
        return err_set(err, ERR_USAGE, "not the number of a feature (found \"%s\")", number);
    at.sae = v ? v->target.sae : 0;
    const struct sae *sae = app->options.session && at.sae < app->options.session->n_saes
                                ? app->options.session->saes[at.sae].sae : NULL;
    if (sae && at.feature >= sae->d_sae)
        return err_set(err, ERR_RANGE, "there is no feature %s (expected 0 to %lld)", number,
                       (long long)sae->d_sae - 1);
    app_open(app, "feature", &at);
    return true;
}

void app_mark_set(struct app *app, int32_t letter)
{
    int i = 0;

    note_present(app);
    if (app->n_history == 0)
        return;
    while (i < app->n_marks && app->marks[i].letter != letter)
        i++;
    if (i == APP_MARKS) {
        app_warning(app, "no room for more marks");
        return;
    }
    app->n_marks += i == app->n_marks;
    app->marks[i] = (struct app_mark){letter, app->history[app->at_history]};
    app_message(app, "marked");
}

void app_mark_go(struct app *app, int32_t letter)
{
    for (int i = 0; i < app->n_marks; i++)
        if (app->marks[i].letter == letter) {
            struct place to = app->marks[i].place;
            app_visit(app, to.view, &to.at);
            return;
        }
    app_warning(app, "no such mark");
}
