/*
 * view_overview.h - the parts of view 1 that its own files share; no other file includes it.
 *
 *   view_overview_facts.c   jobs and what is derived for a card
 *   view_overview_panels.c  numbers, checks, small histograms
 *   view_overview_page.c    the walk over the whole page
 *   view_overview_words.c   terms, copies, files
 *   view_overview.c         state, keys and mouse, the table of operations
 *
 * The page is as long as it has to be. overview_build walks over it once and puts down,
 * beside the paint, what the cursor can stand on; keys and mouse use the same walk on a
 * canvas of one row, where all paint is clipped.
 */
#pragma once

#include "model/check.h"
#include "model/page.h"
#include "tui/desk.h"
#include "tui/quantity.h"
#include "tui/view.h"

enum { SMALL_HISTS = 4, SLOT_FACTS = 0 };

/* What the cursor can stand on, in the order of a card. */
enum item_kind {
    ITEM_CARD,
    ITEM_METRIC,
    ITEM_CHECK = ITEM_METRIC + 16,
    ITEM_HIST = ITEM_CHECK + 16,
    ITEM_OTHER = ITEM_HIST + 16, /* a checkpoint that is not open */
};

struct place {
    int sae, key; /* which card, enum item_kind + number */
};

struct item {
    struct place place;
    int row, col, rows, cols;
    const char *view, *of, *filter; /* what Enter opens */
    const char *term;               /* what ? explains */
};

struct card {
    bool has_info, has_check;
    struct page_info info;
    struct check check;
    struct summary small[SMALL_HISTS];
    bool has_small[SMALL_HISTS];
    double live_l0, live_dead; /* of the table, while a scan runs */
    uint64_t version;          /* of the desk when these were made */
};

struct overview {
    struct card *cards; /* [desk_count], owned */
    int n_cards;
    struct place cursor;
    int top;     /* row of the page at the top of the screen */
    bool follow; /* the card under the cursor has been asked for: show it as it grows */
};

/* -- the page ----------------------------------------------------------------------- */

struct page {
    const struct view *v;
    struct canvas *c;
    int cols, row;
    struct item *items; /* owned */
    int n, cap;
};

/* Walk over the whole: p has v, c and cols, and gets items (the caller's to free) and
 * rows. */
void overview_build(struct page *p);

void overview_put_item(struct page *p, struct item item);

/* The cursor's ground over lines, if it stands there. */
void overview_light(struct page *p, int sae, int key, int row, int rows, int col, int cols);

/* Numbers, checks and histograms of a card, from p->row on. */
void overview_put_panels(struct page *p, int i);

/* -- what cards show ---------------------------------------------------------------- */

bool overview_is_loaded(const struct view *v, int i);
bool overview_has_samples(const struct view *v);

/* NULL: no index yet. */
const struct scan_totals *overview_totals(const struct view *v, int i);

enum quantity overview_small_quantity(const struct sae *sae, int i);

/* Have the facts of all cards made, one after the other, and their scores where that takes
 * no time worth asking for. */
void overview_start_facts(struct view *v);
void overview_take_facts(struct view *v, struct job *job);

/* Make the small histograms of cards whose table has changed. */
void overview_derive_cards(struct view *v);
void overview_drop_small(struct card *card);

/* -- numbers, as they are shown and copied ------------------------------------------ */

/* The name of number m; NULL past the end. */
const char *overview_metric_name(int m);

/* The value as text; false: not known. *whole: not only of a part of the samples. */
bool overview_metric_text(const struct view *v, int i, int m, char *buf, size_t size,
                          bool *whole);

/* -- words -------------------------------------------------------------------------- */

extern const struct view_term overview_terms[];
char *overview_copy(const struct view *v, bool all);
bool overview_export(const struct view *v, enum export_format format, FILE *f,
                     struct err *err);
