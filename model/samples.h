/*
 * samples.h - activation samples with their token ids: what a scan streams.
 *
 * Samples are [n_seq, seq_len, d_in] or flat [n_tok, d_in], in one array or in shards that
 * follow each other; token t = sequence * seq_len + position, row-major, as everywhere.
 * All sequences have the same length. What a word of the command line stands for: sources.h.
 * Ids that lie beside the samples in every shard ("tokens", "token_ids", "input_ids") are
 * taken where no file of tokens is given. Values are read with pread by blocks and converted
 * to f32; nothing is kept. Thread-safe after opening.
 *
 * In their place there may be a cache of firings (firings.h), or token ids alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/container.h"
#include "io/err.h"
#include "io/scratch.h"
#include "model/firings.h"

struct samples_options {
    const char *const *acts; /* files or globs, "FILE:KEY" picks an array */
    int n_acts;
    const char *tokens;      /* files, as acts, or NULL */
    enum dtype token_dtype;  /* of a file of nothing but numbers; DTYPE_F32: the file says */
    int64_t seq_len;         /* --seq-len, 0: as the data says */
    int64_t sequences;       /* --sequences, 0: all */
    int64_t tokens_limit;    /* --tokens-limit, 0: all */
};

struct samples_shard {
    struct container *container; /* one of files */
    const struct tensor *tensor;
    int64_t first, n_tok;        /* tokens [first, first + n_tok) of the whole */
};

struct samples {
    int64_t n_tok, n_seq, seq_len, d_in; /* after the limits */
    int64_t n_tok_stored;                /* before them */
    struct container **files;            /* owned; each once */
    int n_files, cap_files;
    struct samples_shard *shards;        /* owned; n_shards 0: no inputs of an SAE */
    int n_shards, cap_shards;
    struct firings *firings;             /* owned; NULL: none. n_shards and d_in are 0 then */
    char *path;                          /* of the first file, for messages */
    struct container **token_files;      /* owned; none: no ids, or they lie beside the samples */
    int n_token_files;
    struct scratch ids;                  /* of several parts: their copy, one behind the other */
    struct tensor ids_tensor;
    const struct tensor *tokens;         /* n_tok_stored ids in logical order */
    int64_t masked;                      /* of them, by a "mask" or "attention_mask" beside them */
    enum dtype dtype;
};

/* Messages name both files and both shapes where tokens and samples disagree, or shards
 * among themselves. NULL on failure. */
struct samples *samples_open(const struct samples_options *options,
                             const struct progress *progress, struct err *err);
void samples_close(struct samples *s); /* NULL is fine */

/* Is there what an SAE reads? And is there what its features do, be it computed from that
 * or as a cache has it? False of NULL. */
static inline bool samples_have_inputs(const struct samples *s)
{
    return s && s->n_shards > 0;
}
static inline bool samples_have_features(const struct samples *s)
{
    return s && (s->n_shards > 0 || s->firings);
}

/* Are all files as they were when they were opened? ERR_FORMAT names the one that is not. */
bool samples_unchanged(const struct samples *s, struct err *err);

/* The (first) file that the token ids are from, for messages. There must be some. */
const char *samples_tokens_path(const struct samples *s);

/* Rows [first, first + n) as f32 into out [n, d_in]. ERR_OS when a file shrank. */
bool samples_read(const struct samples *s, int64_t first, int64_t n, float *out,
                  struct err *err);

/* A point near the samples' mean into out [d_in]: the mean of a few that are spread over
 * them. Sums of squares are taken around it, so that little of them cancels. */
bool samples_near_mean(const struct samples *s, float *out, struct err *err);

/* Ids of tokens [first, first + n); -1 in all when there are none. */
void samples_ids(const struct samples *s, int64_t first, int64_t n, int64_t *out);

/* ERR_MISSING: no token is left to count, `skipped` of them because of NaN or Inf. */
bool samples_none_left(const struct samples *s, int64_t skipped, struct err *err);

static inline int64_t samples_sequence(const struct samples *s, int64_t t)
{
    return t / s->seq_len;
}
static inline int64_t samples_position(const struct samples *s, int64_t t)
{
    return t % s->seq_len;
}
