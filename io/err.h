/*
 * err.h - how every fallible function in this program reports failure.
 *
 * A function that can fail returns bool (true: done) or a pointer (NULL: failed)
 * and takes `struct err *err` as its last argument. err may be NULL when the caller
 * does not care why. On success *err is left alone; on failure all output arguments
 * are left as they were.
 *
 * Nothing below tui/ prints or exits: the message travels up, each layer adding what
 * it knows, and the front end shows it once, in the one form that users see:
 *
 *   saescope: PATH: problem (found X, expected Y)
 *
 * The program's name is put in front by the front end; everything from PATH on is the
 * message. Who first names the file writes the path (err_path).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum err_code {
    ERR_NONE = 0,
    ERR_OS,          /* a system call failed; .os_errno says which way */
    ERR_NOMEM,       /* a large, input-sized allocation was refused */
    ERR_FORMAT,      /* the bytes break the file format; .offset says where */
    ERR_UNSUPPORTED, /* valid, but a feature that is not read (dtype, method, ...) */
    ERR_SHAPE,       /* tensors that do not fit together */
    ERR_MISSING,     /* a name looked up and not there, an input not given */
    ERR_RANGE,       /* an id or number outside what there is */
    ERR_USAGE,       /* words of the command line that cannot be parsed */
    ERR_CANCELLED,   /* the user moved on; never shown */
};

struct err {
    enum err_code code;
    int os_errno;    /* 0 unless code is ERR_OS */
    uint64_t offset; /* byte offset in the input, for ERR_FORMAT; else 0 */
    char msg[1024];  /* one line, no final newline, always terminated; its middle is left
                        out when it is longer */
};

/* Fill *err (if not NULL) with a formatted message. Newlines and control characters that
 * came in through %s are made visible, so that the message stays one line. Always
 * returns false, so that a check reads
 * `return err_set(err, ERR_SHAPE, "W_dec is %s, expected %s", got, want);` */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ERR_FORMAT at byte `offset`: " at byte N" comes behind the problem, before a closing
 * "(found X, expected Y)" where there is one. */
bool err_format(struct err *err, uint64_t offset, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* What stands at p [n], for "(found %s": its first bytes in quotes, or "its end". Returns
 * buf. */
#define ERR_EXCERPT 24
const char *err_excerpt(const void *p, size_t n, char buf[ERR_EXCERPT]);

/* ERR_OS from errno_value: "PATH: what: strerror". `what` may be NULL. */
bool err_os(struct err *err, int errno_value, const char *path, const char *what);

/* Put "context: " in front of the message already in *err. Always returns false. */
bool err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "path: " in front unless the message begins with it already. Returns false. */
bool err_path(struct err *err, const char *path);
