/*
 * verbose.h - what --verbose adds on stderr: lines "saescope: PATH: note: ...".
 *
 * What each input was recognised as and by which rule, which keys of a configuration mean
 * nothing, where the index is and what became of it, and (meter.h) how long each stage took.
 */
#pragma once

#include <stdbool.h>

struct session;

/* The inputs of a session, and of its SAE i, which is loaded. */
void verbose_inputs(const struct session *s, int i);

/* The index of SAE i before the work and after it. */
struct verbose_index {
    char *path;          /* owned; NULL: there is no place for one */
    bool was_there;
    long long mtime[2];  /* s, ns */
};
struct verbose_index verbose_index_before(const struct session *s, int i);
void verbose_index_after(struct verbose_index *v, const struct session *s, int i);
