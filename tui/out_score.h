/* out_score.h - the reconstruction score, as `score`, views 1 and 7 print it. */
#pragma once

#include "model/score.h"
#include "tui/out.h"

/* The keys of docs/commands.md, `score`, into the open object. */
void out_score(struct out *o, const struct page_score *p);
