/*
 * opt_impl.h - what opt*.c share: the meaning of single words. False: the word is none.
 */
#pragma once

#include "tui/opt.h"

#define NAME_MAX_LEN 40 /* bytes of an option's name */

/* At *s, which moves behind them: digits, saturated; a finite number. */
bool opt_digits(const char **s, int64_t *value);
bool opt_double(const char **s, double *value);

bool opt_count(const char *s, int64_t *value);            /* digits, saturated */
bool opt_size(const char *s, int64_t *value);             /* 384M, 1.5G, 512k, 1000000 */
bool opt_range(const char *s, double *lo, double *hi);    /* LO,HI */
bool opt_is_hook(const char *s);                          /* blocks.L.hook_NAME */
