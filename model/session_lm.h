/*
 * session_lm.h - the language model of a session: where it is, and where an SAE sits in it.
 *
 * Opening reads the session only, so that a job may do it; what is opened is the caller's.
 */
#pragma once

#include "model/effects.h"
#include "model/lm.h"
#include "model/session.h"

/* --model, else the bundle's; NULL: none. Borrowed. */
const char *session_lm_path(const struct session *s);

/* Open it; `i` is the SAE that wants it. ERR_MISSING names --model; else as lm_open. */
struct lm *session_lm_open(const struct session *s, int i, const struct progress *progress,
                           struct err *err);

/* Is the tokenizer of another model? The warning that this is worth; false: none. */
bool session_lm_warning(const struct session *s, const struct lm *lm, char *buf, size_t size);

/*
 * What has been computed of SAE i (loaded) in this model, for every thread (effects.h): from
 * the cache directory, beside the index, and kept there by effects_save; --no-index: in
 * memory only, --rebuild: empty at first. NULL: an input could not be read. *remark (may be
 * NULL) gets a warning about what is there and cannot be used, with a code, else stays as
 * it is. Reads the session only.
 */
struct effects *session_effects_open(const struct session *s, int i, const struct lm *lm,
                                     struct err *remark, struct err *err);

/* The hook of SAE i. ERR_MISSING names --hook; else as lm_hook_parse. */
bool session_lm_hook(const struct session *s, int i, const struct lm *lm,
                     struct lm_hook *hook, struct err *err);
