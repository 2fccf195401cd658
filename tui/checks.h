/*
 * checks.h - is this checkpoint what it seems, and are these its samples? Plain verdicts.
 *
 * Pure: facts in, lines out. What is not known yet is said, with what would supply it.
 */
#pragma once

#include <stdbool.h>

#include "model/check.h"
#include "model/page.h"
#include "model/session.h"

enum check_verdict {
    CHECK_GOOD, CHECK_INFO, CHECK_WARNING, CHECK_BAD,
    CHECK_WAITING, /* not known (yet) */
};

struct check_line {
    enum check_verdict verdict;
    const char *name; /* "orientation" */
    char text[256];
    const char *view, *of; /* where more of it is: a view and a quantity; of may be NULL */
};

/* What is known; NULL: not yet. */
struct check_facts {
    const struct session *session;
    int sae; /* index in the session; loaded */
    const struct page_info *info;
    const struct check *check;
    const struct scan_totals *totals;
    const char *state; /* why there are no totals: "scan 37 %" */
};

enum { CHECK_LINES = 8 };
int checks_make(const struct check_facts *f, struct check_line out[CHECK_LINES]);
