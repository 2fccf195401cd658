/* json.c - see json.h. */
#include "io/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/mem.h"
#include "io/str.h"

/* Digits of the largest integers that always fit into int64. */
#define INT_DIGITS 18

/*
 * jansson takes only the JSON of the standard. The bytes are copied with the words of
 * json.dump replaced; what is longer or shorter afterwards is noted, so that an offset in
 * the copy can be told as one in the file.
 */
struct tolerant {
    struct str text;
    size_t stop;  /* stop once the copy has this length */
    size_t at;    /* where in the original that was */
    int depth;
};

static size_t span_string(const char *s, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (s[i] == '"')
            return i + 1;
        if (s[i] == '\\')
            i++;
    }
    return n;
}

static size_t span_word(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && ((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') ||
                     (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '+' || s[i] == '-' ||
                     s[i] == '.'))
        i++;
    return i;
}

static void copy_word(struct str *out, const char *s, size_t n)
{
    static const char *const not_finite[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof not_finite / sizeof *not_finite; i++)
        if (n == strlen(not_finite[i]) && memcmp(s, not_finite[i], n) == 0) {
            str_puts(out, "null");
            return;
        }
    str_append(out, s, n);
    size_t digits = s[0] == '-';
    while (digits < n && s[digits] >= '0' && s[digits] <= '9')
        digits++;
    if (digits < n || n <= INT_DIGITS)
        return;
    char *copy = xstrndup(s, n);
    errno = 0;
    strtoll(copy, NULL, 10);
    if (errno == ERANGE)
        str_puts(out, "e0");
    free(copy);
}

/* False when nested too deeply; t->at says where. */
static bool tolerant_copy(struct tolerant *t, const char *s, size_t n)
{
    size_t i = 0;
    bool fine = true;
    while (i < n && t->text.len < t->stop && fine) {
        size_t len = 1;
        if (s[i] == '"') {
            len = span_string(s + i, n - i);
            str_append(&t->text, s + i, len);
        } else if ((len = span_word(s + i, n - i)) > 0) {
            copy_word(&t->text, s + i, len);
        } else {
            len = 1;
            t->depth += (s[i] == '{' || s[i] == '[') - (s[i] == '}' || s[i] == ']');
            fine = t->depth <= JSON_MAX_DEPTH;
            str_append(&t->text, s + i, 1);
        }
        i += len;
        /* Inside a copied string or word both texts run in step. */
        t->at = i - (t->text.len > t->stop ? t->text.len - t->stop : 0);
    }
    return fine;
}

static void fail_at(const char *text, size_t n, size_t at, const char *problem,
                    struct err *err)
{
    size_t line = 1, column = 1;
    at = at > n ? n : at;
    for (size_t i = 0; i < at; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    /* jansson says "X expected near 'Y'", or what is wrong. */
    const char *near = strstr(problem, " expected near ");
    if (near)
        err_set(err, ERR_FORMAT, "not JSON at line %zu, column %zu (found %s, expected %.*s)",
                line, column, near + strlen(" expected near "), (int)(near - problem), problem);
    else
        err_set(err, ERR_FORMAT, "not JSON at line %zu, column %zu (found '%s', expected JSON)",
                line, column, problem);
    if (err)
        err->offset = at;
}

json_t *json_parse(const char *text, size_t n, enum json_duplicates duplicates,
                   struct err *err)
{
    struct tolerant t = {.stop = SIZE_MAX};
    json_t *value = NULL;
    if (!tolerant_copy(&t, text, n)) {
        fail_at(text, n, t.at, "less nesting expected near more", err);
        goto out;
    }
    json_error_t problem;
    size_t flags = JSON_ALLOW_NUL;
    if (duplicates == JSON_DUPLICATES_REFUSED)
        flags |= JSON_REJECT_DUPLICATES;
    value = json_loadb(str_text(&t.text), t.text.len, flags, &problem);
    if (!value) {
        struct tolerant again = {.stop = (size_t)problem.position};
        tolerant_copy(&again, text, n);
        fail_at(text, n, again.at, problem.text, err);
        str_finish(&again.text);
    }
out:
    str_finish(&t.text);
    return value;
}

json_t *json_load_path(const char *path, size_t max_bytes,
                       enum json_duplicates duplicates, struct err *err)
{
    size_t n;
    char *text = fs_read_file(path, max_bytes, &n, err);
    if (!text)
        return NULL;
    json_t *value = json_parse(text, n, duplicates, err);
    free(text);
    if (!value)
        err_path(err, path);
    return value;
}

const char *json_brief(const json_t *value, char *buf, size_t size)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    size_t len = strlen(text ? text : "nothing");
    snprintf(buf, size, "%s", text ? text : "nothing");
    if (len >= size && size >= 4) {
        size_t end = size - 4;
        while (end && (buf[end] & 0xc0) == 0x80) /* not inside a character */
            end--;
        memcpy(buf + end, "...", 4);
    }
    free(text);
    return buf;
}

static bool wrong_type(const json_t *value, const char *key, const char *expected,
                       struct err *err)
{
    char brief[80];
    return err_set(err, ERR_FORMAT, "bad '%s' (found %s, expected %s)", key,
                   json_brief(value, brief, sizeof brief), expected);
}

/* The value, or NULL when there is nothing to take over. */
static json_t *present(const json_t *obj, const char *key)
{
    json_t *value = json_object_get(obj, key);
    return value && !json_is_null(value) ? value : NULL;
}

bool json_get_string(const json_t *obj, const char *key, const char **out,
                     struct err *err)
{
    const json_t *value = present(obj, key);
    if (!value)
        return true;
    if (!json_is_string(value) ||
        strlen(json_string_value(value)) != json_string_length(value))
        return wrong_type(value, key, "a string", err);
    *out = json_string_value(value);
    return true;
}

bool json_get_int(const json_t *obj, const char *key, int64_t *out, struct err *err)
{
    const json_t *value = present(obj, key);
    if (!value)
        return true;
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    double real = json_is_real(value) ? json_real_value(value) : 0.5;
    if (real != floor(real) || fabs(real) > 9007199254740992.0)
        return wrong_type(value, key, "an integer", err);
    *out = (int64_t)real;
    return true;
}

bool json_get_double(const json_t *obj, const char *key, double *out, struct err *err)
{
    const json_t *value = present(obj, key);
    if (!value)
        return true;
    if (!json_is_number(value))
        return wrong_type(value, key, "a number", err);
    *out = json_number_value(value);
    return true;
}

bool json_get_bool(const json_t *obj, const char *key, bool *out, struct err *err)
{
    const json_t *value = present(obj, key);
    if (!value)
        return true;
    if (!json_is_boolean(value))
        return wrong_type(value, key, "true or false", err);
    *out = json_is_true(value);
    return true;
}
