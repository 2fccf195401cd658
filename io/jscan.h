/*
 * jscan.h - walk over JSON text without building a tree of it.
 *
 * For files whose bulk is one table: a tokenizer.json has 128 000 vocabulary entries and
 * 280 000 merges, and a tree would cost an allocation for each of them. Small files go
 * through json.h instead.
 *
 *   jscan_enter(js, '{', err)
 *   while ((more = jscan_next(js, '}', &first, err)) > 0) {
 *       jscan_key(js, &key, err);
 *       ... one of jscan_string, jscan_int, jscan_skip, or jscan_enter again ...
 *   }
 *
 * All return false (jscan_next: -1) on text that is not JSON: ERR_FORMAT with the byte
 * offset; the message does not name the file. A struct jscan can be copied, to come back
 * to a place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/str.h"

#define JSCAN_MAX_DEPTH 256 /* of nesting, in jscan_skip */

struct jscan {
    const char *start, *p, *end; /* borrowed */
};

void jscan_init(struct jscan *js, const char *text, size_t n);

/* The next character that is not whitespace, 0 at the end; nothing is consumed. */
char jscan_peek(struct jscan *js);

/* Consume `open`, '{' or '['. */
bool jscan_enter(struct jscan *js, char open, struct err *err);

/* 1: another element follows (its comma consumed); 0: `close` was consumed; -1: error.
 * *first must be true before the first call and is kept here. */
int jscan_next(struct jscan *js, char close, bool *first, struct err *err);

/* Replace *key by the key and consume the colon. */
bool jscan_key(struct jscan *js, struct str *key, struct err *err);

/* Append the string, escapes resolved. It is valid UTF-8: bytes that are not, and lone
 * surrogates, are errors. It may hold 0 bytes. */
bool jscan_string(struct jscan *js, struct str *out, struct err *err);

/* An integer that fits; fractions and exponents are errors. */
bool jscan_int(struct jscan *js, int64_t *out, struct err *err);

/* Any value. Brackets, strings and depth are checked, the words between only roughly:
 * hand [before, js->p) to json_parse where the content matters. */
bool jscan_skip(struct jscan *js, struct err *err);

/* Nothing but whitespace may follow. */
bool jscan_finish(struct jscan *js, struct err *err);
