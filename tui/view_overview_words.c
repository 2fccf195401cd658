/* view_overview_words.c - what the words of view 1 mean, copies, files; see
 * view_overview.h. */
#include <stdio.h>

#include "io/str.h"
#include "tui/out_info.h"
#include "tui/out_score.h"
#include "tui/view_overview.h"

const struct view_term overview_terms[] = {
    {"l0", "Mean number of active features a token. Active: activation not 0."},
    {"fvu", "Fraction of variance unexplained: sum |x - x_hat|^2 / sum |x - mean(x)|^2 over the "
            "tokens counted (mean per dimension). Above 1, the reconstruction is worse than "
            "saying the mean."},
    {"explained_variance", "1 - FVU."},
    {"mse", "Mean over tokens and dimensions of (x - x_hat)^2."},
    {"cosine", "Mean of cos(x, x_hat) over tokens where neither is 0."},
    {"dead_fraction", "Fraction of features that are active on none of these tokens: density "
                      "0."},
    {"reconstruction_score", "(CE zero - CE reconstructed) / (CE zero - CE original): 1 when the "
                             "language model does not notice that the SAE is in its place, 0 when "
                             "it might as well be given zeros. a computes it."},
    {"nats_lost", "CE reconstructed - CE original."},
    {"kl", "Mean KL(original || reconstructed) of the next-token distributions, in nats."},
    {"ce", "Next-token cross-entropy in nats, mean over positions 0 .. T-2 of every sequence: with "
           "the hook untouched (original), replaced by x_hat at all positions (reconstructed), by "
           "zeros (zero)."},
    {"b_enc", "The learned bias of a feature's encoder; ProLU: it gates and is not added."},
    {"b_gate", "Bias of a gated SAE's gate."},
    {"density", "Fraction of tokens where the feature is active; here over log10."},
    {"max", "Greatest activation of a feature."},
    {"decoder_norm", "Length of the decoder row of a feature."},
    {"samples", "Do the activations suit the checkpoint? FVU far above 1 means the wrong layer, "
                "the wrong model or a normalisation that is missing. |x| is of up to 2048 tokens "
                "spread over the samples."},
    {"sparsity", "L0 far above d_in / 2, or most features dead, says that samples and checkpoint "
                 "do not belong together, or that training went wrong."},
    {"hook", "Where in the language model the samples were taken, against where the checkpoint "
             "says that it was trained."},
    {"orientation", "Median cosine of encoder and decoder row. Near 0 the encoder is probably "
                    "transposed or of another checkpoint."},
    {"decoder norms", "Unit decoder rows make activations of different features comparable."},
    {"b_dec", "The decoder bias often starts at, and stays near, the mean of the samples."},
    {"weights", "NaN and Inf in the weights. Features that own one are left out."},
    {"equal rows", "Decoder rows that equal an earlier one bit by bit: features that were never "
                   "trained, or were copied."},
    {NULL, NULL},
};

/* -- copy and write ------------------------------------------------------------------- */

static void copy_card(const struct view *v, int i, struct str *out)
{
    const struct session_sae *s = &v->session->saes[i];
    const char *name;
    char text[64];
    bool whole;

    str_appendf(out, "%s\t%s", s->name, s->path);
    for (int m = 0; s->sae && (name = overview_metric_name(m)); m++)
        str_appendf(out, "\t%s %s", name,
                    overview_metric_text(v, i, m, text, sizeof text, &whole) ? text : "null");
    str_putc(out, '\n');
}

char *overview_copy(const struct view *v, bool all)
{
    const struct overview *o = v->state;
    struct str out = {0};

    for (int i = 0; i < o->n_cards; i++)
        if (all || i == o->cursor.sae)
            copy_card(v, i, &out);
    return out.len ? str_take(&out) : NULL;
}

/* What `saescope info`, `scan` and `score` say of the card under the cursor. */
bool overview_export(const struct view *v, enum export_format format, FILE *f,
                            struct err *err)
{
    const struct overview *o = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV};
    int i = o->cursor.sae;

    if (i >= o->n_cards || !o->cards[i].has_info)
        return err_set(err, ERR_MISSING, "the checkpoint is not open yet: nothing to write");
    struct out *out = out_new(&options);
    out_info(out, &o->cards[i].info, session_hook(v->session, i));
    if (overview_totals(v, i)) {
        out_begin(out, "scan");
        out_totals(out, overview_totals(v, i));
        out_end(out);
    }
    if (desk_score(v->desk, i)->known) {
        out_begin(out, "score");
        out_score(out, &desk_score(v->desk, i)->page);
        out_end(out);
    }
    fflush(f);
    bool ok = out_write(out, fileno(f), err);
    out_free(out);
    return ok;
}
