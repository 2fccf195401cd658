/*
 * effects.h - what has been computed of an SAE in its language model, and is kept.
 *
 * One of these belongs to an SAE, its tokens, a model and a hook (session_effects_open, in
 * session_lm.h). It holds what there is so far of
 *
 *   score      for each baseline
 *   estimates  of all features, for each mode of ablation (estimate.h)
 *   exact      the effects of those features that were taken out, for each mode (ablate.h)
 *   promoted   the EFFECTS_PROMOTED tokens that each feature promotes most (logitlens.h)
 *
 * and lies in the cache directory beside the index, under a key that names all that the
 * numbers stand on: what is stale or damaged counts as nothing and is computed again. A
 * save takes in what other runs have saved since and replaces the file in one step; where
 * two of them are that quick, the last one wins, and no file is ever half written.
 *
 * Any thread may call any function: results go in whole, under a lock, and come out as
 * copies. Only effects_need_* take time; nothing is locked meanwhile. A job fills it like
 * this, strongest estimates first, while the screen shows what is there:
 *
 *   effects_need_estimates(e, &in, kept, progress, err);
 *   while ((n = effects_next(e, kept, ids, EFFECTS_BATCH)) > 0)
 *       effects_need_exact(e, &in, kept, ids, n, progress, err);   // false: stop
 *   effects_save(e, err);                    // when it ends, and now and then before
 *
 * and the screen asks effects_version whether there is something new, effects_columns for
 * its table and effects_exact for the feature under the cursor.
 */
#pragma once

#include "model/ablate.h"
#include "model/score.h"

#define EFFECTS_BATCH    32 /* features that share the runs they are compared with */
#define EFFECTS_PROMOTED 10 /* tokens of each feature: docs/commands.md, promotes */

struct effects;

/* What was saved at `path` (copied) for this key and d_sae; empty if there is none that
 * fits, or if it is to be made anew. path NULL: kept in memory only. Never NULL. *err (may be NULL) gets ERR_RANGE for
 * one of other inputs and ERR_FORMAT for a damaged one: worth no more than a remark. */
struct effects *effects_open(const char *path, const char *key, int64_t d_sae, bool anew,
                             struct err *err);
/* What was not saved is lost. NULL is fine. */
void effects_close(struct effects *e);

/* Write it, if something is new. ERR_OS; ERR_FORMAT where the file is not one of ours (it
 * is left alone). Without a path: true. */
bool effects_save(struct effects *e, struct err *err);

/* -- what is there -------------------------------------------------------------------- */

/* Grows whenever something comes in. */
uint64_t effects_version(const struct effects *e);

/* False, and *out as it was: not there yet. kept: mode error-kept. */
bool effects_score(struct effects *e, const struct score_options *options,
                   struct page_score *out);
bool effects_exact(struct effects *e, bool kept, int64_t id, struct page_ablation *out);

/* The promoted tokens of all features into tokens [d_sae, n]; returns n, EFFECTS_PROMOTED
 * or the size of a smaller vocabulary. 0: not there yet. Room for EFFECTS_PROMOTED. */
int effects_promoted(struct effects *e, uint32_t *tokens);

/* Of all features: estimate and exact delta_ce [d_sae], NaN where they are not known;
 * either may be NULL. Returns how many exact ones there are. */
int64_t effects_columns(struct effects *e, bool kept, double *estimate, double *delta_ce);

/* The features whose estimates are strongest (|estimate| descending, then id) among those
 * without an exact effect: at most max of them into ids. 0: all are there, or no
 * estimates. */
int64_t effects_next(struct effects *e, bool kept, int64_t *ids, int64_t max);

/* -- computing what is not ------------------------------------------------------------ */

/* Borrowed for the call; the same each time, as the key says. */
struct effects_inputs {
    const struct lm *lm;
    const struct lm_hook *hook;
    const struct sae *sae;
    const struct samples *samples;
    struct scan_options scan;
};

/* Each does nothing where the result is there. Errors of score_run, estimate_run,
 * ablate_run and logitlens_promoted; then nothing has changed. */
bool effects_need_score(struct effects *e, const struct effects_inputs *in,
                        const struct score_options *options,
                        const struct progress *progress, struct err *err);
bool effects_need_estimates(struct effects *e, const struct effects_inputs *in, bool kept,
                            const struct progress *progress, struct err *err);
bool effects_need_exact(struct effects *e, const struct effects_inputs *in, bool kept,
                        const int64_t *ids, int64_t n, const struct progress *progress,
                        struct err *err);
/* in->hook, samples and scan but for its threads are not looked at. */
bool effects_need_promoted(struct effects *e, const struct effects_inputs *in,
                           const struct progress *progress, struct err *err);
