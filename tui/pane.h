/*
 * pane.h - the page of a feature in small, beside a list: views 2, 5 and 8.
 *
 * The numbers come from the desk's table and are there at once; examples and neighbours
 * are made by a job of the view's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/page.h"
#include "tui/canvas.h"
#include "tui/desk.h"
#include "tui/view.h"

enum {
    PANE_TOP = 48,      /* strongest examples that are looked at */
    PANE_EXAMPLES = 12, /* shown at most, those alike as one */
    PANE_CONTEXT = 20,  /* tokens to each side of an example */
    PANE_NEIGHBOURS = 8,
};

struct pane {
    int sae;
    int64_t feature;        /* what it is about; -1: nothing */
    int64_t asked;          /* the feature that the page in work or here is of; -1: none */
    const struct index *asked_index;
    bool ready;             /* page is of `asked` */
    bool slow;              /* it has been in work for a tick: say so */
    struct page_feature page;
    struct page_context context[PANE_TOP];
    int n_contexts;
    struct pane_example {
        int top;            /* of page.top, and its context */
        int alike;          /* so many with the same text and activation */
    } examples[PANE_EXAMPLES];
    int n_examples;
    struct page_context range[PAGE_INTERVALS]; /* one example of each interval that has */
    const struct page_example *range_of[PAGE_INTERVALS];
    int n_range;
};
#define PANE_EMPTY ((struct pane){.feature = -1, .asked = -1})

/* Let it be about a feature, and have its page made in a slot of the view, unless it is
 * here or in work. Without an index that is a pass over the samples, which is made only if
 * it is wanted `now`. */
void pane_ask(struct view *v, int slot, struct pane *p, int sae, int64_t feature, bool now);
void pane_reset(struct view *v, int slot, struct pane *p);
void pane_finish(struct pane *p); /* free what it owns; none is asked for then */
void pane_loaded(struct pane *p, struct job *job);

/* decimals: of pane_decimals. */
void pane_paint(const struct view *v, int slot, const struct pane *p, const int *decimals,
                struct canvas *c);

/* -- numbers of the table of features ------------------------------------------------ */

/* How many decimals the numbers of each column take: decimals [FCOL_COUNT]. */
void pane_decimals(const struct feature_table *t, int *decimals);

/* A value of the table in its column's manner. */
void pane_value(const struct feature_table *t, const int *decimals, int column,
                int64_t feature, struct canvas *c);

/* A number right-aligned with so many decimals: smaller ones with an exponent, larger ones
 * shortened, NaN a dim dot. */
void pane_number(struct canvas *c, double x, int decimals, uint32_t style);
