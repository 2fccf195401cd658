/* view_feature_terms.c - what the words of view 3 mean. */
#include "tui/view_feature.h"

const struct view_term feature_terms[] = {
    {"density", "Fraction of the tokens where the feature is active (activation != 0), with "
                "its 95 % Wilson interval and the number of these tokens."},
    {"by step", "Bias, threshold and density of this feature at the steps of the training run that "
                "the checkpoint is of, each bar between its least and its greatest; then its first "
                "and last value. Density of the steps that have been scanned."},
    {"mean", "Mean activation over the tokens where it is active."},
    {"max", "Greatest activation."},
    {"Δ FVU", "Rise of the fraction of variance unexplained when the feature is taken out: "
              "sum_t (2 e_t . c_t + |c_t|^2) / sum |x - mean(x)|^2 with e = x - x_hat and c_t "
              "what the feature adds to x_hat. Exact. Its rank is among all features, greatest "
              "first."},
    {"Δ CE", "Rise of the mean next-token cross-entropy (nats) when the feature is taken out of "
             "the reconstruction at all positions, exact; and by how much the reconstruction "
             "score rises. Before it is computed, its estimate to first order, if there is one."},
    {"promotes", "Tokens with the greatest logits of the decoder row, put through the final "
                 "norm's gain and the unembedding of the language model."},
    {"suppress.", "Tokens with the least logits."},
    {"ablation", "What the language model loses without the feature. Mode reconstruction: x_hat "
                 "without its contribution against x_hat; error-kept (x switches): x without "
                 "it against x. Below, the positions whose loss rises most: by how much, the text up "
                 "to the token that is harder to predict, sequence:position of the one before it."},
    {"bias", "The learned bias: b_enc; gated: b_gate. It gates when it only decides whether "
             "the feature fires (ProLU: m counts where m > 0 and m + b_enc > 0); else it is "
             "added to the pre-activation."},
    {"threshold", "Of JumpReLU and BatchTopK: activations at or below it are 0."},
    {"enc·dec", "Cosine of the encoder row and the decoder row."},
    {"|W_dec|", "Length of the decoder row."},
    {"fires on", "The tokens on which it is active most often, each with its share of the "
                 "tokens where the feature is active (of 65 536 of them, evenly spread, when "
                 "there are more)."},
    {"activation", "Histogram over (0, max], tokens where the feature is active. The dotted "
                   "line is the activation below which it cannot fire. Enter shows examples "
                   "of a bar, Space begins a range of bars."},
    {"response", "What the architecture makes of the bias-free pre-activation m = W_enc . u. "
                 "Where the curve leaves 0 is the gate."},
    {"top", "The strongest activations. Colour (or a digit from 0 to 9 below the text) is the "
            "activation of each token, relative to the feature's maximum; the brackets are "
            "around the token that the line is about; at the right its sequence:position. ×N: "
            "N examples with the same tokens and activation."},
    {"interval", "Ten bands of equal width over (0, max]; examples are drawn at random (--seed) "
                 "among the tokens whose activation is in the band."},
    {"neighbours", "Features whose decoder row, or encoder row, has the greatest cosine with "
                   "this one's, and those most often active on the same tokens."},
    {"together", "Jaccard index of two features: n_ij / (n_i + n_j - n_ij), n the numbers of "
                 "tokens where they are active."},
    {NULL, NULL},
};
