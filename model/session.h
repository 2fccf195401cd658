/*
 * session.h - what is open: the SAEs asked for, the samples, the tokenizer, the labels.
 *
 * A session is made from the words of the command line, by commands and by the explorer
 * alike. After session_open it does not change, but for what arrives later and is swapped
 * in on the thread that owns the session: an SAE (session_load), an index
 * (session_set_index). Jobs take the pointers that they need when they are made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/tokenizer.h"
#include "model/bundle.h"
#include "model/index.h"
#include "model/sae.h"
#include "model/samples.h"
#include "model/scan.h"

struct labels; /* io/labels.h */

/* Zeroed is the default of everything. Strings are borrowed from the caller for as long
 * as the session lives (they are argv's). */
struct session_options {
    const char *const *paths; /* positional PATHs */
    int n_paths;
    const char *const *saes;  /* --sae, names or paths */
    int n_saes;
    const char *const *acts;  /* --acts */
    int n_acts;
    const char *tokens, *tokenizer, *model, *hook, *labels, *index;
    const char *truth;        /* --truth, a file of directions (cosine.h) */
    const char *target;       /* of transcoders: what their output should be, as acts */
    enum dtype token_dtype;   /* of a raw file of tokens; DTYPE_F32 (0): it says itself */
    int64_t seq_len, sequences, tokens_limit, skip_first;
    const int64_t *skip_tokens;
    int n_skip_tokens;
    size_t memory;            /* bytes, 0: SESSION_MEMORY */
    bool no_index, rebuild, quick;
    bool deferred;            /* session_open looks at the headers of the chosen SAEs and
                                 lets go of them: who shows them loads them in a job. (What
                                 had to be decompressed for that stays.) */
    bool unchecked;           /* when loading, do not look for damage and NaN in the
                                 weights, which reads all of them */
    uint64_t seed;
    int threads;              /* 0: all cores */
    struct sae_options sae;
};

#define SESSION_MEMORY ((size_t)384 << 20)

struct session_sae {
    char *name, *path;   /* owned */
    int64_t step;        /* of a training series, -1: none */
    struct sae *sae;     /* owned; NULL until loaded */
    struct index *index; /* owned; NULL: none yet */
    struct index *known; /* owned; opened while loading, for session_open_index */
    uint64_t id;         /* sae_id, 0 until loaded */
};

struct session {
    struct session_options options;
    struct bundle bundle;        /* zeroed when nothing is a bundle */
    struct session_sae *saes;    /* all that the bundle has, then those given by path */
    int n_saes;
    int *chosen;                 /* indices into saes, in the order asked for */
    int n_chosen;                /* at least 1 unless the bundle has no SAE */
    struct samples *samples;     /* owned; NULL: no samples and no tokens */
    struct samples *target;      /* owned; NULL: none. As many tokens as samples */
    struct tokenizer *tokenizer; /* owned; NULL: none */
    struct labels *labels;       /* owned; NULL: could not be opened (a warning says why) */
    char **warnings;             /* "PATH: warning: ..." lines, owned */
    int n_warnings;
};

/*
 * Open everything that the options name: the chosen SAEs are loaded, samples and tokenizer
 * opened, ids checked against the samples, d_in of every chosen SAE against the samples
 * (ERR_SHAPE names both files and both shapes). No index is opened or made. Where none can
 * be kept (a cache directory that is read-only), a warning says so and options.no_index is
 * set: what needs an index makes one for as long as the session lives.
 */
struct session *session_open(const struct session_options *options,
                             const struct progress *progress, struct err *err);
void session_close(struct session *s); /* NULL is fine */

/* Load SAE i if it is not loaded yet. Its notes become warnings. */
bool session_load(struct session *s, int i, const struct progress *progress,
                  struct err *err);

/* Open the labels if they are not open, because that failed before. */
bool session_need_labels(struct session *s, struct err *err);

/* The hook: --hook, else bundle.json's, else the checkpoint's own, else NULL. Borrowed. */
const char *session_hook(const struct session *s, int i);

/* The true features: --truth, else the bundle's, else NULL. Borrowed. */
const char *session_truth(const struct session *s);

/* What a scan of this session counts and leaves out. Borrows from the session. */
struct scan_options session_scan_options(const struct session *s);

/* Where the index of SAE i is or would be; owned by the caller. NULL with ERR_OS when
 * there is no cache directory, or without an error when --no-index was given. */
char *session_index_path(const struct session *s, int i, struct err *err);

/*
 * What the numbers of SAE i stand on, as text: size, time and fingerprint of every input
 * (the first and last 1 MiB and 16 blocks between), every option that changes a number and
 * the version of the index. Two equal keys mean equal indexes. Owned by the caller; NULL:
 * an input could not be read.
 */
char *session_index_key(const struct session *s, int i, struct err *err);

/* What such a key says of one file: its size, time and fingerprint, and a newline. */
struct str;
bool session_key_file(struct str *key, const char *path, struct err *err);

/* Open the index of SAE i if there is one that fits; a stale or damaged one is a warning
 * (added to the session) and false, like none at all. */
bool session_open_index(struct session *s, int i);

/* Make sure that SAE i has an index: open it, or scan (unless it would be the same work
 * as before and --rebuild was not given). ERR_MISSING without samples. */
bool session_need_index(struct session *s, int i, const struct progress *progress,
                        struct scan_live *live, struct err *err);

/* Take ownership of a freshly made index, closing the one before. */
void session_set_index(struct session *s, int i, struct index *index);

/*
 * The same in two steps, for jobs: what takes time reads the session only and may run on
 * another thread, what changes it belongs to the session's own thread.
 *
 *   session_read_sae    then session_set_sae      is  session_load
 *   session_read_index, else session_make_index,
 *                       then session_set_index    is  session_need_index
 */
struct sae *session_read_sae(const struct session *s, int i,
                             const struct progress *progress, struct err *err);
void session_set_sae(struct session *s, int i, struct sae *sae); /* not loaded yet */

/* The index of SAE i if there is one that fits. NULL: ERR_MISSING when there is none (no
 * samples, --no-index and --rebuild too); any other error is worth a warning, as it is
 * worded. The index is to be made then. */
struct index *session_read_index(const struct session *s, int i, struct err *err);

/* Scan loaded SAE i and open the index made. ERR_MISSING without samples. */
struct index *session_make_index(const struct session *s, int i,
                                 const struct progress *progress, struct scan_live *live,
                                 struct err *err);

void session_warn(struct session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
