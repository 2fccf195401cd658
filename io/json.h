/*
 * json.h - JSON files and typed access to their values, over jansson.
 *
 * Reading is as tolerant as Python's json module, whose files these are: the words NaN,
 * Infinity and -Infinity become null, integers beyond int64 become reals
 * (tokenizer_config.json holds 1e30 in digits), \u0000 is allowed in strings. It is stricter
 * about size and depth, because files are hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "io/err.h"

#define JSON_MAX_DEPTH 256              /* of nested arrays and objects */
#define JSON_MAX_TEXT ((size_t)4 << 20) /* for files of settings: a hostile text's tree takes
                                         * up to 100 times its size */

enum json_duplicates {
    JSON_LAST_WINS,  /* of two equal keys the later one counts, as in Python */
    JSON_DUPLICATES_REFUSED,
};

/*
 * The value in the n bytes `text`: an array or object, a new reference. NULL: ERR_FORMAT,
 * with the offset, "line 3, column 7: problem"; no file is named.
 */
json_t *json_parse(const char *text, size_t n, enum json_duplicates duplicates,
                   struct err *err);

/* The same from a regular file of at most max_bytes. Messages start with "PATH: ". Beyond
 * json_parse: ERR_OS, and ERR_FORMAT for other kinds of files and larger ones. */
json_t *json_load_path(const char *path, size_t max_bytes,
                       enum json_duplicates duplicates, struct err *err);

/*
 * obj[key] into *out. A key that is missing or null leaves *out as it was, so what stood
 * there is the default, and gives true. A value of another type is ERR_FORMAT, e.g.
 * "'d_in' is \"many\", expected an integer".
 *
 * string: borrowed from obj; one with a 0 byte in it is refused. int: also reals without a
 * fraction. double: also integers.
 */
bool json_get_string(const json_t *obj, const char *key, const char **out,
                     struct err *err);
bool json_get_int(const json_t *obj, const char *key, int64_t *out, struct err *err);
bool json_get_double(const json_t *obj, const char *key, double *out, struct err *err);
bool json_get_bool(const json_t *obj, const char *key, bool *out, struct err *err);

/* The value on one line, for messages, at most `size` bytes with the final 0; a longer one
 * ends in "...". Returns buf. NULL is "nothing". */
const char *json_brief(const json_t *value, char *buf, size_t size);
