/*
 * worst.h - where the loss rises most when a feature is taken out: a list, for views 3 and 7.
 *
 * A line has the rise, the text up to the token that is harder to predict, which is lit, and
 * sequence:position of the token before it.
 */
#pragma once

#include "model/ablate.h"
#include "tui/view.h"

struct str;

/* Scrolls so that the line under the cursor shows. */
void worst_paint(const struct view *v, struct canvas *c, const struct page_ablation *e,
                 int cursor, bool focused);

/* Line i as text: rise, place, token, separated by tabs. */
void worst_put(const struct view *v, const struct page_ablation *e, int i, struct str *out);
