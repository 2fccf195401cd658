/*
 * series.h - checkpoints that belong on one axis: the steps of a training run, or several
 * of one kind with different L1 coefficients.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/session.h"

#define SERIES_MAX 64 /* members; of more the first, the last and evenly many between */

enum series_by {
    SERIES_BY_STEP,  /* all know their step, all different */
    SERIES_BY_L1,    /* likewise their L1 coefficient */
    SERIES_BY_ORDER, /* as they were asked for */
};

struct series_member {
    int sae;      /* in session->saes */
    int64_t step; /* -1: not known */
    double l1;    /* NaN: not known */
    double x;     /* where it stands on the axis: step, coefficient, or 0, 1, 2 .. */
};

struct series {
    struct series_member members[SERIES_MAX]; /* by x */
    int n;        /* 0: there is no series */
    int left_out; /* beyond SERIES_MAX */
    enum series_by by;
};

/*
 * The series around checkpoint i: where several were asked for, these; else the steps of
 * the training run that i is of (steps beside it, session_sae.step); else those of the
 * first run of the session. Steps come from names and, of loaded checkpoints, from their
 * configuration, as the L1 coefficients do (series_place adds what is found later).
 */
void series_around(const struct session *s, int i, struct series *out);

/* Are they steps of a run, and is checkpoint i one of them? */
bool series_has(const struct series *s, int i);

/* What a member knows of one feature; NaN: it has no such number, or no index. */
struct series_feature {
    double bias, threshold, density;
};

/* Of features [first, first + n) of every member, which are the same features in all steps
 * of a run: out [s->n, n]. Opens headers and indexes, one after the other; a member that
 * cannot be opened, or has fewer features, knows nothing. ERR_CANCELLED. */
bool series_features(const struct session *session, const struct series *s, int64_t first,
                     int64_t n, const struct progress *progress, struct series_feature *out,
                     struct err *err);

/* Bring members in order by what is known of them now. */
void series_place(struct series *s);
