/*
 * view_biases.c - view 4: how are the learned biases (thresholds, norms, densities ..)
 * distributed, which features are behind a bar, and how does it move with training?
 */
#include <math.h>
#include <stdlib.h>

#include "tui/biases.h"

/* -- life ----------------------------------------------------------------------------- */

static bool biases_open(struct view *v, struct err *err)
{
    struct biases *b = v->state;

    (void)err;
    b->overlay = true;
    b->anchor = -1;
    b->range_lo = b->range_hi = NAN;
    b->list = (struct table_state){.sort = 2, .column = 2};
    /* Who opens a directory of checkpoints asks how they moved. */
    b->run_shown = v->session && v->session->bundle.series;
    v->target = TARGET_NONE;
    return true;
}

void biases_need_chosen(struct view *v)
{
    struct biases *b = v->state;

    for (int i = 0; b->overlay && i < v->session->n_chosen; i++)
        desk_need(v->desk, v->session->chosen[i]);
}

static void biases_go(struct view *v, const struct target *at)
{
    struct biases *b = v->state;
    int before = v->target.sae, q = at->of[0] ? quantity_find(at->of) : -1;

    if (!v->desk)
        return;
    if (q >= 0)
        desk_choose(v->desk, at->sae);
    v->target.sae = desk_go(v->desk, at);
    biases_need_chosen(v);
    if (q >= 0 && biases_sae(v) && quantity_applies(biases_sae(v), (enum quantity)q))
        biases_choose(v, q);
    else
        biases_derive(v, before == v->target.sae && b->n_series > 0);
    biases_run_update(v);
}

static uint64_t version_now(const struct view *v)
{
    const struct biases *b = v->state;
    uint64_t version = 0;

    for (int i = 0; i < b->n_series; i++)
        version += desk_sae(v->desk, b->series[i].sae)->version;
    return version;
}

static void biases_changed(struct view *v)
{
    struct biases *b = v->state;
    int before = v->target.sae;

    if (!v->desk)
        return;
    v->target.sae = desk_current(v->desk);
    biases_derive(v, before == v->target.sae && b->n_series > 0);
    biases_run_update(v);
}

static void biases_loaded(struct view *v, int slot, struct job *job)
{
    (void)slot;
    biases_run_loaded(v, job);
}

static void biases_tick(struct view *v)
{
    struct biases *b = v->state;

    if (v->desk && (b->n_series == 0 || b->version != version_now(v)))
        biases_derive(v, b->n_series > 0);
}

static void biases_close(struct view *v)
{
    struct biases *b = v->state;

    biases_drop(b);
    biases_run_drop(&b->run);
    free(b->ids);
}

/* -- the table of it ------------------------------------------------------------------ */

static const struct view_key biases_keys[] = {
    {ACT_OPEN, "filter|filter the table of features to the bars taken; in the list: open the feature"},
    {ACT_PANE_NEXT, "from the bars to the list, and to the scatter where it has no place of "
                    "its own"},
    {ACT_COLUMN_NEXT, "quantity|the next quantity: biases, norms, densities, ..."},
    {ACT_LEFT, "bar|the bar before, l the next one"},
    {ACT_SELECT, "range|take several bars from here on; again: only the one under the cursor"},
    {ACT_BINS_MORE, "bins"},
    {ACT_AXIS, NULL},
    {ACT_SORT, "series|the series: checkpoints by training step or L1 coefficient, as ridges and lines; "
               "again: the histogram"},
    {ACT_SWAP, NULL},
    {ACT_OPTIONS, NULL},
    {ACT_WRITE, "write what `saescope hist` prints, to a .tsv or .json file"},
    {ACT_RELOAD, "scan again after it failed or was cancelled"},
    {ACT_NONE, NULL},
};

static const struct view_term biases_terms[] = {
    {"b_enc", "The learned bias of a feature's encoder. In ProLU it gates and is not added: the "
              "feature is on where m > 0 and m > -b_enc (m: pre-activation without the bias), "
              "and its activation is m. A positive bias acts like zero there. Elsewhere "
              "it is added to m."},
    {"b_gate", "Bias of a gated SAE's gate: on where m + b_gate > 0."},
    {"b_mag", "Bias of a gated SAE's magnitude: relu(m exp(r_mag) + b_mag) where the gate is "
              "open."},
    {"threshold", "JumpReLU, BatchTopK: the pre-activation must exceed it. BatchTopK has one "
                  "number for all features."},
    {"b_dec", "Decoder bias, one value a dimension of the hook: the reconstruction of a token "
              "on which no feature fires."},
    {"decoder_norm", "Length of the decoder row of a feature: how much an activation of 1 "
                     "writes."},
    {"relative_decoder_norm", "Of a crosscoder of two models: |W_dec| in the second over the sum "
                              "of both. 0: the first's alone, 1: the second's alone."},
    {"encoder_decoder_cosine", "Cosine of a feature's encoder and decoder row; with a zero vector "
                               "0."},
    {"density", "Fraction of tokens where the feature is active (activation not 0). Dead: "
                "density 0."},
    {"max", "Greatest activation; 0 for a dead feature."},
    {"delta_fvu", "Rise of FVU when the feature is taken out of the reconstruction and "
                  "everything else stays. Negative: the reconstruction is better without it."},
    {"histogram", "64 equal bins (+ - change that) over [min, max], each [lo, hi), the last "
                  "[lo, hi]. On a logarithmic value axis values <= 0 are left out; the "
                  "figures in the headline are of all finite values."},
    {"std", "Standard deviation of the population (divisor n)."},
    {"scatter", "One dot a feature; the lowest row is density 0. Lit: the features of the bars "
                "taken. Diamond: the row of the list that the cursor is on."},
    {NULL, NULL},
};

const struct view_ops view_biases_ops = {
    .name = "biases",
    .digit = 4,
    .purpose = "how biases, thresholds, norms and densities are distributed, and which "
               "features are behind a bar",
    .searched_in = "features",
    .state_size = sizeof(struct biases),
    .keys = biases_keys,
    .terms = biases_terms,
    .options = biases_options,
    .open = biases_open,
    .go = biases_go,
    .loaded = biases_loaded,
    .changed = biases_changed,
    .tick = biases_tick,
    .draw = biases_paint,
    .status = biases_status,
    .act = biases_act,
    .mouse = biases_mouse,
    .answer = biases_answer,
    .word = biases_word,
    .explain = biases_explain,
    .option_get = biases_option_get,
    .option_set = biases_option_set,
    .copy = biases_copy,
    .export = biases_export,
    .close = biases_close,
};
