/*
 * view_token.h - the parts of the view token that its own files share; no other file
 * includes it.
 *
 *   view_token.c        state, the job, keys and mouse, the table of operations
 *   view_token_paint.c  painting, copies and files
 */
#pragma once

#include "model/contributions.h"
#include "tui/desk.h"
#include "tui/view.h"
#include "tui/wid_table.h"

enum { SLOT_PARTS, HEAD_ROWS = 3 };

enum token_column {
    TCOL_PART, TCOL_NAME, TCOL_ACTIVATION, TCOL_NORM, TCOL_PROJECTION, TCOL_SHARE,
    TCOL_CUMULATIVE, TCOL_LEFT,
    TCOL_COUNT
};

struct token_view {
    struct page_contributions page; /* owned; parts NULL: nothing yet */
    int64_t page_token;             /* of which token, */
    int page_sae;                   /* which checkpoint */
    float *x, *cumulative, *left;   /* [page.n] owned: the curve */
    struct table_state table;
};

/* Are the parts at hand those of the target? */
bool token_is_shown(const struct view *v);

struct table token_table(const struct view *v);
int token_table_cols(int cols); /* the curve stands right of it where there is room */
void token_draw(const struct view *v, struct canvas *c);

char *token_copy(const struct view *v, bool all);
bool token_export(const struct view *v, enum export_format format, FILE *f,
                  struct err *err);
