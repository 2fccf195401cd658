/*
 * opening.h - the screen before the first one: what is being opened, and how far that is.
 *
 * Opening reads headers, which takes no time, unless weights or samples are compressed: then
 * they are unpacked, which takes seconds. It is a job of this view's.
 */
#pragma once

#include <stdbool.h>

#include "io/err.h"
#include "io/progress.h"

struct session;
struct view;
struct view_ops;

/* Makes the session on the worker's thread. */
typedef struct session *opening_fn(void *ctx, const struct progress *progress,
                                   struct err *err);

extern const struct view_ops opening_view_ops;

/* Begin. `what` is for the screen, borrowed; ctx outlives the job. */
void opening_start(struct view *v, const char *what, opening_fn *fn, void *ctx);

/* Has it ended? *session (the caller's now; NULL when it failed: *err says why) is set. */
bool opening_ended(struct view *v, struct session **session, struct err *err);
