/*
 * pareto.h - several checkpoints as points: how sparse against how good.
 *
 * Architectures may only be compared where they are equally sparse, or along the curve:
 * which of the points are equally sparse, and which does no other beat in both?
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Points whose L0 differ by at most this part of the greater one are nearly equal. */
#define PARETO_NEAR 0.05

struct pareto_pair {
    int a, b;   /* a has the smaller L0; of equals the smaller number */
    double gap; /* (l0 of b - l0 of a) / l0 of b; 0 when both are 0 */
};

/* All pairs of n points whose L0 (NaN: not known, in no pair) is nearly equal, by gap, then
 * a, then b. *pairs is the caller's to free; NULL when there are none. Returns how many. */
int pareto_pairs(const double *l0, int n, double near, struct pareto_pair **pairs);

/* on[i]: no other point has an L0 as small or smaller and is as good or better, one of them
 * strictly. good [n]: what is better the greater it is (for FVU: its negative). Points with
 * a NaN are not on the front and keep nobody off it. */
void pareto_front(const double *l0, const double *good, int n, bool *on);
