/* out_cosine.h - the keys of command cosine (docs/commands.md), for it and for view 6. */
#pragma once

#include "model/mixture.h"
#include "tui/out.h"

/* Into the open object: all but the matrix. mixtures: NULL unless against true features. */
void out_cosine(struct out *o, const struct page_cosine *p, const struct cosine_against *against,
                const struct mixtures *mixtures);
