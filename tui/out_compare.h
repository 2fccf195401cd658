/*
 * out_compare.h - several checkpoints as points: what command compare --pareto and view 5
 * print.
 */
#pragma once

#include "model/sae.h"
#include "model/scan.h"
#include "model/score.h"
#include "tui/out.h"

/* What is known of one; all borrowed. */
struct compare_point {
    const char *name, *path;
    const struct sae *sae;            /* NULL: not loaded */
    const struct scan_totals *totals; /* NULL: no samples, or not scanned */
    const struct page_score *score;   /* NULL: no language model */
    double step;                      /* NaN: of no training series */
};

/* "saes", with who is on the front, and "near_l0": docs/commands.md, compare --pareto. */
void out_pareto(struct out *o, const struct compare_point *points, int n, double near);
