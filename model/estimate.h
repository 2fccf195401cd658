/*
 * estimate.h - what the language model would lose without each feature, to first order.
 *
 * With g = the gradient of the mean cross-entropy at the hook, at x_hat (mode
 * reconstruction) or at x (error-kept), and c_t the contribution of feature i on token t:
 *
 *   estimate of i = sum over the tokens t of g_t . (-c_t)
 *
 * which is delta_ce of ablate.h, where the loss is straight enough. One run forwards and
 * one back through the model after the hook give it for all features, so that the exact
 * effects can be computed for the strongest first. ("Attribution patching": Nanda 2023;
 * Syed, Rager and Conmy 2023.)
 */
#pragma once

#include "model/ablate.h"

/* estimate [d_sae], nats; 0 for features that are never active. Errors as ablate_run;
 * the thread count changes nothing. */
bool estimate_run(const struct lm *lm, const struct lm_hook *hook, const struct sae *sae,
                  const struct samples *samples, const struct ablate_options *options,
                  const struct progress *progress, double *estimate, struct err *err);
