/*
 * lm_files.h - for tests with a language model: where the small references lie, and what a
 * score needs, opened.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/lm.h"
#include "model/sae.h"
#include "model/samples.h"

/* Good until six more have been asked for. */
static inline const char *path_in(const char *dir, const char *file)
{
    static char path[6][512];
    static int turn;
    turn = (turn + 1) % 6;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, file);
    return path[turn];
}

static inline const char *ref_path(const char *file)
{
    static char dir[512];
    snprintf(dir, sizeof dir, "%s/lm", getenv("TEST_REF"));
    return path_in(dir, file);
}

/* What a score needs, opened. */
struct inputs {
    struct lm *lm;
    struct sae *sae;
    struct samples *samples;
};

static inline void inputs_open(struct inputs *in, const char *model, const char *sae,
                               const char *tokens, const char *acts, int64_t sequences)
{
    struct err err = {0};
    struct samples_options o = {.acts = &acts, .n_acts = acts != NULL, .tokens = tokens,
                                .sequences = sequences};
    in->lm = lm_open(model, NULL, &err);
    in->sae = in->lm ? sae_open(sae, &(struct sae_options){0}, NULL, &err) : NULL;
    in->samples = in->sae ? samples_open(&o, NULL, &err) : NULL;
    if (!in->samples)
        fail_msg("%s", err.msg);
}

static inline void inputs_close(struct inputs *in)
{
    samples_close(in->samples);
    sae_close(in->sae);
    lm_close(in->lm);
}
