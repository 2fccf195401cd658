/*
 * out.h - what a command prints: one traversal, three forms.
 *
 * A command walks through its answer once, as nested objects, rows and named values. The
 * form decides what becomes of it:
 *
 *   JSON  one object, all of it. Numbers as %.9g, NaN and infinities as null, characters
 *         that a terminal or a reader could stumble over as \u escapes.
 *   TSV   one table: a header line and rows. Without --table it is the command's main
 *         rows, or the values of the outermost object as one row; with it, the rows of
 *         that name, wherever they are, with the number of the feature that they belong
 *         to in front. Nested objects are flattened ("context.start"), arrays of plain
 *         values are JSON in a cell. \t \n \r \\ are escaped.
 *   text  for people: aligned, with bars; characters that are unsafe on a terminal are
 *         shown as visible text. Where a list reads better another way, the command asks
 *         for out_form() and writes lines of its own (out_line).
 *
 * Everything is kept in memory until out_write, so that a command that fails has printed
 * nothing. Keys are static strings. Strings are bytes of any kind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "io/err.h"
#include "io/str.h"
#include "model/stats.h"

enum out_form { OUT_TEXT, OUT_TSV, OUT_JSON };

struct out_options {
    enum out_form form;
    const char *table; /* TSV: which rows; NULL: the outermost object */
    bool color;        /* text: escape sequences may be used */
    bool ascii;        /* text: nothing beyond ASCII */
};

struct out;
struct out *out_new(const struct out_options *options);
void out_free(struct out *o); /* NULL is fine */
enum out_form out_form(const struct out *o);

/* Objects: a key inside an object, NULL inside rows. The outermost is opened by out_new and
 * closed by out_write. */
void out_begin(struct out *o, const char *key);
void out_end(struct out *o);

/* A list of objects, closed by out_end. columns: the keys of its objects, nested ones
 * flattened, "id,cosine": what heads the table. */
void out_rows(struct out *o, const char *key, const char *columns);

/* A list of plain values (with key NULL), closed by out_end. */
void out_list(struct out *o, const char *key);

void out_int(struct out *o, const char *key, int64_t v);
void out_num(struct out *o, const char *key, double v); /* NaN, Inf: null */
void out_text(struct out *o, const char *key, const char *v); /* NULL: null */
void out_bytes(struct out *o, const char *key, const char *v, size_t n);
void out_bool(struct out *o, const char *key, bool v);
void out_null(struct out *o, const char *key);

/* Any JSON value, with all that is in it. */
void out_json(struct out *o, const char *key, const json_t *v);

/* {edges, counts}; null when there are no bins. Text: a chart of columns. */
void out_hist(struct out *o, const char *key, const struct hist *h);

/* The keys of docs/commands.md, "info", into the open object: count, mean, ..., histogram. */
void out_summary_keys(struct out *o, const struct summary *s);

/* The same as an object; NULL: null. Text: one line of a table. */
void out_summary(struct out *o, const char *key, const struct summary *s);

/* --- for the text form only: ignored by the others ------------------------------------- */

enum out_style { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_LIT };

void out_line(struct out *o, const char *fmt, ...) /* a line; control characters stay out */
    __attribute__((format(printf, 2, 3)));
void out_heading(struct out *o, const char *fmt, ...) /* an empty line, then a bold one */
    __attribute__((format(printf, 2, 3)));
/* The bytes made visible, in a style, without ending the line. */
void out_span(struct out *o, enum out_style style, const char *bytes, size_t n);

/* -------------------------------------------------------------------------------------- */

/* Close what is open. All of the answer; borrowed until out_free. */
const char *out_finish(struct out *o, size_t *len);

/* Write what there is so far and let go of it: for answers too large to be kept, when nothing
 * is left that could fail. */
bool out_flush(struct out *o, int fd, struct err *err);

/* Write all to the descriptor. ERR_OS when it does not take it. */
bool out_write(struct out *o, int fd, struct err *err);

/* A count of cells 0..8 eighths high as UTF-8 blocks or ASCII; for sparklines. */
const char *out_block(int eighths, bool ascii);
