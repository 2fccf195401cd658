/*
 * firings_pass.h - a scan's numbers, and one feature's, from a cache of firings.
 *
 * The same index, and the same hits of one feature, as a scan and a probe find
 * (scan.h, probe.h), but for what needs the activation samples: everything about the
 * reconstruction, and delta_fvu, is NaN. Blocks of firings are read on all threads; what
 * is found does not depend on their number.
 */
#pragma once

#include "model/firings.h"
#include "model/probe.h"
#include "model/scan.h"

/* scan_run for samples->firings, which it hands on to here. Besides its errors ERR_FORMAT
 * for a cache that is damaged or of another SAE. */
bool firings_scan(const struct sae *sae, const struct samples *samples,
                  const struct scan_options *options, const char *index_path,
                  const char *key, struct scan_live *live, const struct progress *progress,
                  struct scan_totals *totals, struct err *err);

/* probe_feature likewise: reads the file that has the feature. */
bool firings_probe(const struct sae *sae, const struct samples *samples,
                   const struct scan_options *options, int64_t id,
                   const struct progress *progress, struct probe *out, struct err *err);

/* probe_extra likewise, for any number of hits: reads all files; delta_fvu is NaN. */
bool firings_extra(const struct sae *sae, const struct samples *samples,
                   const struct scan_options *options, const struct probe *p,
                   const struct progress *progress, struct probe_extra *out,
                   struct err *err);
