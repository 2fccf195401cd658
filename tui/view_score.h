/*
 * view_score.h - the parts of view 7 that its own files share; no other file includes it.
 *
 *   view_score_rows.c   which features, in which order
 *   view_score_text.c   the losses of one sequence in its text
 *   view_score_paint.c  places and painting
 *   view_score_write.c  copies and files
 *   view_score.c        state, keys and mouse, the table of operations
 *
 * All numbers are the desk's (desk_score, desk_effects) or its table's; the view keeps the
 * order of rows, the cursor, and the losses of the one sequence that it shows.
 */
#pragma once

#include "tui/desk.h"
#include "tui/view.h"
#include "tui/wid_table.h"

enum score_focus { FOCUS_NUMBERS, FOCUS_TABLE, FOCUS_WORST, FOCUS_COUNT };

/* Columns of the table of effects. */
enum score_column {
    SCOL_ID, SCOL_NAME, SCOL_EFFECT, SCOL_DELTA_CE, SCOL_ESTIMATE, SCOL_DELTA_SCORE,
    SCOL_DELTA_FVU, SCOL_DENSITY,
    SCOL_COUNT
};

enum score_number {
    NUMBER_ORIGINAL, NUMBER_RECONSTRUCTED, NUMBER_ZERO, NUMBER_SCORE, NUMBER_NATS,
    NUMBER_BITS, NUMBER_KL, NUMBER_L0, NUMBER_FVU, NUMBER_POSITIONS,
    NUMBER_COUNT
};

/* The sequence in the last pane, instead of the list of worst positions. */
struct score_text {
    bool shown;
    bool whole;              /* the change by the whole reconstruction; else the feature's */
    int64_t sequence;
    int cursor;              /* token */
    struct page_ablation_tokens tokens[2]; /* owned, by mode; of a feature and sequence */
};

enum { SLOT_TEXT };

struct score_view {
    enum score_focus focus;
    bool kept;               /* mode error-kept */
    int number;              /* cursor in the numbers */
    struct table_state table;
    uint32_t *ids;           /* owned: the rows */
    int64_t n_ids, n_exact;
    uint64_t version;        /* of the desk's table that they are of */
    bool moved;              /* the user has; until then the cursor stays on top */
    double greatest;         /* |effect| of all, for the bars */
    int strongest;           /* computed at a time */
    int64_t begun_sae;       /* of which checkpoint the first strongest were asked for */
    bool begun[2];           /* by mode */

    struct page_ablation exact; /* of the feature under the cursor, */
    bool has_exact;             /* if it is there */
    int worst;               /* cursor in its worst positions */
    struct score_text text;
};

/* -- rows --------------------------------------------------------------------------- */

/* The exact effect or, without one, the estimate; NaN: neither is known. */
double score_effect(const struct view *v, int64_t id, bool *exact);

/* The value of a column of the desk's table in the present mode. */
double score_value(const struct view *v, enum score_column column, int64_t id);

void score_sort(struct view *v);  /* rows anew, from the desk's table as it is */
void score_follow(struct view *v); /* the cursor is on another feature, or knows more */

/* -- the text of a sequence --------------------------------------------------------- */

/* Of the feature under the cursor; the first before 0 is the last. Cursor on the token that
 * `position` predicts. */
void score_text_show(struct view *v, int64_t sequence, int64_t position);
void score_text_loaded(struct view *v, struct job *job);
bool score_text_ready(const struct view *v);
double score_text_change(const struct score_view *s, int64_t p); /* NaN: not predicted */
void score_text_title(const struct view *v, char *buf, size_t size);
void score_text_paint(const struct view *v, struct canvas *c);
bool score_text_act(struct view *v, const struct press *p);
void score_text_finish(struct score_text *t);

/* -- painting ----------------------------------------------------------------------- */

struct place {
    int row, col, rows, cols;
};
void score_places(const struct view *v, struct place at[FOCUS_COUNT]);
struct table score_table(const struct view *v);
void score_draw(const struct view *v, struct canvas *c);

extern const char *const score_number_term[NUMBER_COUNT];
void score_number_text(const struct view *v, enum score_number n, char *buf, size_t size);

/* -- copies and files --------------------------------------------------------------- */

char *score_copy(const struct view *v, bool all);
bool score_export(const struct view *v, enum export_format format, FILE *out,
                  struct err *err);
