/*
 * explore.h - `saescope PATH...`: open everything that was named and hand it to the loop.
 */
#pragma once

#include "io/err.h"
#include "tui/opt.h"

/* Run until the user quits. False: what was named does not open, or no terminal. */
bool explore(const struct opts *opts, struct err *err);
