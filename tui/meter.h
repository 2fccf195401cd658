/*
 * meter.h - one line on stderr that says how far work is: stage, rate, time left.
 *
 * Drawn at most ten times a second, on a terminal only (the caller sees to that). Any
 * thread may step.
 */
#pragma once

#include <stdint.h>

void meter_step(const char *what, int64_t done, int64_t of);
void meter_clear(void); /* take the line off the screen, if there is one */
