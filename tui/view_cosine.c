/*
 * view_cosine.c - view 6: cosines of decoder (or encoder) rows with each other, with those
 * of another checkpoint, with true features, as a heat map; see view_cosine.h.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/session.h"
#include "tui/view_cosine.h"

const struct cosine_source *cosine_source(const struct view *v)
{
    const struct cosine *s = v->state;

    return s->map ? s->map->source : NULL;
}

void cosine_side(const struct view *v, const struct cosine_subject *s, int side, char *buf,
                 size_t size)
{
    static const char *const words[] = {"decoder", "encoder"};
    int sae = side == 1 && s->kind == AGAINST_SAE ? s->other : s->sae;

    if (side == 1 && s->kind == AGAINST_TRUTH)
        snprintf(buf, size, "true features");
    else if (side == 1 && s->kind == AGAINST_SELF)
        snprintf(buf, size, "itself");
    else
        snprintf(buf, size, "%s of %s", words[s->weights], v->session->saes[sae].name);
}

bool cosine_can(const struct view *v, enum cosine_kind kind, struct err *err)
{
    if (kind == AGAINST_TRUTH && !session_truth(v->session))
        return err_set(err, ERR_MISSING, "no true features are given (expected --truth FILE or "
                                         "ground_truth in the bundle)");
    return kind != AGAINST_SAE || desk_partner(v->desk) >= 0 ||
           err_set(err, ERR_MISSING, "no other checkpoint is open");
}

/* -- making it so ------------------------------------------------------------------------- */

static bool same_subject(const struct cosine_subject *a, const struct cosine_subject *b)
{
    return a->sae == b->sae && a->kind == b->kind && a->weights == b->weights &&
           (a->kind != AGAINST_SAE || a->other == b->other);
}

/* Rows of different length have no cosine; true as long as it is not known. */
static bool have_one_length(const struct view *v, const struct cosine_subject *s)
{
    const struct sae *a = v->session->saes[s->sae].sae, *b = v->session->saes[s->other].sae;

    return !a || !b || cosine_rows(a, s->weights)->cols == cosine_rows(b, s->weights)->cols;
}

/* Without a word from the user: true features if there are any, else the partner where
 * several checkpoints were asked for that can be compared, else itself. */
static void choose_against(struct view *v)
{
    struct cosine *s = v->state;
    const struct session *session = v->session;

    if (!s->chosen)
        s->want.kind = session_truth(session)    ? AGAINST_TRUTH
                       : session->n_chosen > 1 ? AGAINST_SAE
                                               : AGAINST_SELF;
    if (s->want.kind == AGAINST_SAE && desk_partner(v->desk) < 0)
        s->want.kind = AGAINST_SELF;
    s->want.other = desk_partner(v->desk);
    if (!s->chosen && s->want.kind == AGAINST_SAE && !have_one_length(v, &s->want))
        s->want.kind = AGAINST_SELF;
}

void cosine_update(struct view *v)
{
    struct cosine *s = v->state;
    const struct session *session = v->session;

    choose_against(v);
    bool tried = view_busy(v, COSINE_SLOT_MAP) || v->slots[COSINE_SLOT_MAP].err.code;
    if (s->map ? same_subject(&s->want, &s->map->source->subject)
               : tried && same_subject(&s->want, &s->tried))
        return;
    desk_need(v->desk, s->want.sae);
    if (s->want.kind == AGAINST_SAE)
        desk_need(v->desk, s->want.other);
    cosine_map_release(s->map);
    s->map = NULL;
    view_start(v, COSINE_SLOT_MAP, LANE_QUICK, NULL);
    if (!session->saes[s->want.sae].sae ||
        (s->want.kind == AGAINST_SAE && !session->saes[s->want.other].sae))
        return; /* changed() comes when they are loaded */
    s->tried = s->want;
    cosine_start_rows(v);
}

/* -- life ----------------------------------------------------------------------------------- */

static bool cosine_open(struct view *v, struct err *err)
{
    struct cosine *s = v->state;

    (void)err;
    s->zoom = INT_MAX;
    s->want.sae = -1;
    s->want.other = s->tried.sae = -1;
    v->target = TARGET_NONE;
    return true;
}

static void cosine_go(struct view *v, const struct target *at)
{
    struct cosine *s = v->state;

    if (!v->desk || desk_count(v->desk) == 0)
        return;
    s->want.sae = v->target.sae = desk_go(v->desk, at);
    cosine_update(v);
    if (s->map && at->feature >= 0 && at->feature < s->map->heat.blocks.rows)
        cosine_go_to(v, at->feature, -1);
    cosine_settle(v);
}

static void cosine_changed(struct view *v)
{
    struct cosine *s = v->state;

    if (!v->desk || desk_count(v->desk) == 0 || s->want.sae < 0)
        return;
    s->want.sae = v->target.sae = desk_current(v->desk);
    cosine_update(v);
    cosine_settle(v);
}

static void cosine_close(struct view *v)
{
    struct cosine *s = v->state;

    cosine_map_release(s->map);
    heat_blocks_finish(&s->part);
    free(s->best_at);
    free(s->truth_at);
}

static const char *cosine_explain(const struct view *v)
{
    const struct cosine *s = v->state;

    return s->pane == COSINE_TRUTH  ? "alone"
           : s->pane == COSINE_LIST ? "composites"
                                    : "strongest";
}

/* -- the table of it -------------------------------------------------------------------------- */

static const struct view_key cosine_keys[] = {
    {ACT_OPEN, "go in|zoom into the strongest of the cell; a single cosine: open the feature of the row"},
    {ACT_BINS_MORE, "zoom in|zoom in, into the strongest of the cell"},
    {ACT_BINS_LESS, "zoom out"},
    {ACT_SORT, "order|order of rows and columns: by id, best match, clusters"},
    {ACT_AXIS, "mean|what a cell of many cosines shows: the strongest, or the mean"},
    {ACT_COLUMN_NEXT, "against|against itself, another checkpoint, true features"},
    {ACT_PANE_NEXT, "the map, the list of matches or composites, the list of true features"},
    {ACT_SWAP, "rows and columns: the other checkpoint becomes current"},
    {ACT_GOTO, "row|to the row of a number"},
    {ACT_OPTIONS, NULL},
    {ACT_WRITE, "write the cells shown as .tsv, or what `saescope cosine` prints as .json"},
    {ACT_RELOAD, "go on computing after it was cancelled"},
    {ACT_NONE, NULL},
};

static const struct view_term cosine_terms[] = {
    {"cosine", "Of two rows: their dot product over their lengths, -1 to 1. With a row of zeros "
               "or one that has a NaN it is 0."},
    {"strongest", "A cell of many cosines shows the one of greatest |cosine|, with its sign. "
                  "Against itself the diagonal, where all are 1, is left out of such cells."},
    {"mean", "A cell of many cosines shows their mean; in the headline mean and std are of all "
             "cosines, of a matrix against itself of those off the diagonal."},
    {"b_dec", "The bias-only row: the cosine of the decoder bias with each column."},
    {"best match", "For each row the column of greatest cosine. In this order the rows come from "
                   "the greatest to the least, each column where the first row that it is best "
                   "of stands."},
    {"clusters", "Rows and columns each in the order of the leaves of a hierarchical clustering "
                 "by their cosines with each other (average linkage); up to 4 096 of them."},
    {"composites", "Features with |cosine| > 0.4 with two or more true features: they mix them."},
    {"alone", "A true feature with |cosine| > 0.9 with some feature. mixed: only part of "
              "composites. missed: neither."},
    {"sampled", "Before a cell of many cosines is computed it shows one of them."},
    {NULL, NULL},
};

const struct view_ops view_cosine_ops = {
    .name = "cosine",
    .digit = 6,
    .purpose = "cosines of decoder rows with each other, another checkpoint or true features",
    .searched_in = "features",
    .state_size = sizeof(struct cosine),
    .keys = cosine_keys,
    .terms = cosine_terms,
    .options = cosine_options,
    .open = cosine_open,
    .go = cosine_go,
    .loaded = cosine_loaded,
    .changed = cosine_changed,
    .draw = cosine_draw,
    .status = cosine_status,
    .act = cosine_act,
    .mouse = cosine_mouse,
    .answer = cosine_answer,
    .word = cosine_word,
    .explain = cosine_explain,
    .option_get = cosine_option_get,
    .option_set = cosine_option_set,
    .copy = cosine_copy,
    .export = cosine_export,
    .close = cosine_close,
};
