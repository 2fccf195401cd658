/*
 * convert_plan.h - what a converted checkpoint will consist of, before a byte of it is
 * written. For convert.c.
 */
#pragma once

#include <jansson.h>

#include "model/convert.h"

#define CONVERT_MAX_ITEMS 16

/* One array to write. Exactly one of the three sources is there. */
struct convert_item {
    const char *name;
    enum dtype dtype;
    int ndim;
    int64_t shape[2];
    struct mat mat;             /* .t not NULL: rows as they are to be written */
    const struct tensor *stored; /* a vector or scalar as it lies in the source */
    const float *values;         /* [shape[0]], or one */
};

struct convert_plan {
    struct convert_item item[CONVERT_MAX_ITEMS];
    int n_items;
    const char *architecture; /* as cfg.json spells it */
    enum dtype dtype;
    json_t *cfg;              /* owned */
    double scaler;            /* of activation_scaler.json; 0: none */
    float *zeros, *threshold; /* owned: what ProLU becomes */
    char **notes;
    int n_notes;
};

/* ERR_UNSUPPORTED: the form cannot express what it names. Borrows from sae. */
bool convert_plan_make(struct convert_plan *p, const struct sae *sae,
                       const struct convert_options *options,
                       const struct progress *progress, struct err *err);
void convert_plan_finish(struct convert_plan *p); /* notes are the caller's if he took them */
