/*
 * out_feature.h - the page of a feature as the command `feature` and the explorer print it:
 * the keys of docs/commands.md, or text for people.
 */
#pragma once

#include "model/logitlens.h"
#include "model/page.h"
#include "tui/out.h"

struct feature_printer {
    struct out *out;
    const struct session *session;
    int i;       /* the SAE, in session->saes */
    int context; /* tokens shown to each side of an example */
    bool ascii;  /* text: nothing beyond ASCII */
    const struct logits *logits; /* tokens promoted and suppressed; NULL: not known */
};

/* Into the open object. */
void out_feature(const struct feature_printer *f, const struct page_feature *p);
