/*
 * session_impl.h - what session*.c share.
 */
#pragma once

#include "model/session.h"

/* session_read_index of an SAE that is not the session's yet. */
struct index *session_index_for(const struct session *s, int i, const struct sae *sae,
                                struct err *err);
