/*
 * capture.h - a text file through a language model: activation samples and token ids at a
 * hook, as a bundle that everything else opens.
 *
 *   OUT/bundle.json    name, hook, acts, tokens, tokenizer
 *   OUT/tokens.npy     int32 [rows, T]: each row begins with what goes in front of a text
 *   OUT/acts.npy       f16 or f32 [rows, T, d], or acts.npy.zst: frames of 8 MiB
 *   OUT/tokenizer.*    a copy, because a bundle's paths stay below it
 *
 * The text is one stream of tokens, cut into rows; the last, partial row is dropped. First
 * it is turned into ids, by parts (token_encoder_cut), so that the number of rows is known;
 * then rows run, several at once, and are written in order. Memory does not grow with the
 * text.
 *
 * Until it is whole it lies in OUT.partial, beside OUT, with capture.json, which says from
 * what inputs it is made and how far it is. The same capture goes on from there after a
 * kill, ^C or a full disk. Nothing is ever written over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "io/tensor.h"
#include "model/lm.h"
#include "model/prompt.h"

#define CAPTURE_SEQ_LEN 1024 /* at most, where nothing else is said */

struct capture_options {
    const char *text, *out;      /* files */
    const char *hook_name;
    struct lm_hook hook;
    int64_t seq_len;             /* 0: the model's context, at most CAPTURE_SEQ_LEN */
    int64_t tokens_limit;        /* 0: all; whole rows */
    enum dtype dtype;            /* DTYPE_F16 or DTYPE_F32 */
    bool zstd;
    enum prompt_bos bos;
    const struct sae *sae;       /* whose prepend_bos counts; NULL: none */
    int threads;                 /* 0: all cores */
    size_t memory;               /* 0: no limit on threads */
};

struct page_capture {
    int64_t rows, seq_len, d;
    int64_t tokens, dropped; /* kept in rows (with those put in front), and left over */
    int64_t resumed;         /* rows that were there already */
    int64_t bytes;           /* of the samples' file */
    double seconds;
};

/*
 * ERR_FORMAT (OUT is there; OUT.partial is another capture's), ERR_RANGE (the text is
 * shorter than a row, rows longer than the context, a value beyond f16), ERR_OS,
 * ERR_NOMEM, ERR_CANCELLED. On failure OUT.partial stays only where there are rows in it
 * and the same capture could go on (page->resumed then says so: *kept).
 */
bool capture_run(const struct lm *lm, const struct token_encoder *te,
                 const struct capture_options *options, const struct progress *progress,
                 struct page_capture *out, int64_t *kept, struct err *err);
