/*
 * features_order.h - the rows of the table of features (view 2), for views that walk
 * through them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct app;

struct features_order {
    const uint32_t *ids; /* [n] features from the first row on; borrowed until the next event */
    int64_t n;
    int64_t row;         /* of the feature asked about; -1: not among them */
    char text[320];      /* "density ↓, filter max > 3" */
};

/* False: the table has not been opened, or shows another checkpoint, or is empty. */
bool features_order(struct app *app, int sae, int64_t feature, struct features_order *out);
