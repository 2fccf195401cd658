/*
 * token_encoder.h - text to token ids, as Hugging Face's tokenizers gives them.
 *
 * The way of a text (tokenizers, tokenizer/added_vocabulary.rs, models/bpe/model.rs):
 *   1 added tokens with normalized = false are taken out, leftmost and longest first
 *   2 what is left is normalised, and added tokens with normalized = true are taken out
 *   3 the pre-tokenizer cuts the rest into pieces
 *   4 the model cuts every piece into tokens
 * What a post_processor would put in front (BOS) is token_encoder_bos; nothing is put there
 * by itself.
 *
 * Read are
 *   tokenizer.json    with a BPE model: byte-level and byte-fallback; all normalizers but
 *                     Precompiled, all pre-tokenizers but UnicodeScripts
 *   vocab.json        with merges.txt beside it: GPT-2's pre-tokenizer
 *   tokenizer.model   sentencepiece's BPE and unigram models (normalisation: identity)
 * A BPE model takes the adjacent pair of lowest rank, the leftmost of equals, until none is
 * left: O(n log n) for a piece of n characters, however long.
 *
 * An encoder is immutable after opening and may be used from several threads. In memory it
 * has the vocabulary (its bytes and 20 bytes a token) and 32 bytes a merge.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

#define TOKEN_ENCODER_MAX_TEXT ((size_t)4 << 20)  /* bytes of one call */

struct token_encoder;

/* NULL: ERR_OS, ERR_FORMAT, ERR_RANGE, ERR_UNSUPPORTED (a part that is not read, named);
 * "PATH: " in front. */
struct token_encoder *token_encoder_open(const char *path, struct err *err);
void token_encoder_close(struct token_encoder *te); /* NULL is fine */

/* The file: of a directory, the one in it. */
const char *token_encoder_path(const struct token_encoder *te);
/* The merges.txt beside a vocab.json; NULL: it has none. */
const char *token_encoder_merges(const struct token_encoder *te);

enum token_encoder_flags {
    TOKEN_SPECIALS_AS_TEXT = 1, /* special tokens in the text are ordinary text */
    TOKEN_CONTINUES = 2,        /* the text goes on behind a cut of token_encoder_cut */
};

struct token_ids {
    int32_t *id; /* owned; free() */
    size_t n, cap;
};

void token_ids_put(struct token_ids *ids, int32_t id);

/*
 * Append the ids of the n bytes of text. Bytes that are not UTF-8 count as U+FFFD, one for
 * each maximal invalid part. ERR_RANGE (text too long, a pattern that gives up), ERR_NOMEM;
 * *ids is then as it was.
 */
bool token_encoder_run(const struct token_encoder *te, const char *text, size_t n,
                       unsigned flags, struct token_ids *ids, struct err *err);

/*
 * Where a text that is read by parts may be cut so that its parts, the later ones with
 * TOKEN_CONTINUES, have the ids of the whole: behind the last single newline between two
 * characters that are no space, else before the last single space between two letters.
 * 0: nowhere in these n bytes.
 */
size_t token_encoder_cut(const char *text, size_t n);

/* The tokens that the file's post_processor (else tokenizer_config.json beside it, by its
 * add_bos_token) puts in front of a text; *n gets their number, 0: none. Borrowed. */
const int32_t *token_encoder_bos(const struct token_encoder *te, size_t *n);
