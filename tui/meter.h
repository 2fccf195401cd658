/*
 * meter.h - one line on stderr that says how far work is: stage, rate, time left.
 *
 * Drawn at most ten times a second. Any thread may step. With `tells`, a line for each
 * stage that has ended says how long it took.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void meter_start(bool draws, bool tells);
void meter_step(const char *what, int64_t done, int64_t of);
void meter_finish(void); /* the last stage has ended */
void meter_clear(void); /* take the line off the screen, if there is one */
