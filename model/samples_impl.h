/* samples_impl.h - what the halves of samples share: samples.c the values, samples_ids.c the
 * token ids. */
#pragma once

#include "model/samples.h"

/* The ids of the files that the options name, else those beside the samples, else none;
 * they are as many as the samples. Before the samples are cut into sequences. */
bool samples_find_ids(struct samples *s, const struct samples_options *o,
                      const struct progress *progress, struct err *err);

/* All ids in use are 0 or more. */
bool samples_check_ids(const struct samples *s, struct err *err);

void samples_close_ids(struct samples *s);
