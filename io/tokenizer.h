/*
 * tokenizer.h - token ids to bytes and text, from a Hugging Face tokenizer.json, a vocab.json
 * or sentencepiece's tokenizer.model; a directory stands for what of these is in it. The
 * other way round: token_encoder.h.
 *
 * Tokens are byte strings: one character can span tokens. What is shown of one token is
 * its bytes alone; what is shown of a run is decoded together.
 *
 *   byte-level BPE      GPT-2, NeoX, Llama 3, Qwen: every character of a token string stands
 *                       for one byte (tokenizers, pre_tokenizers/byte_level.rs). A token
 *                       with a character that stands for none is its own UTF-8, and so are
 *                       added tokens.
 *   byte-fallback BPE   Llama 1/2, Mistral, Gemma: U+2581 is a space, <0xHH> one byte.
 *   vocab.json          {token: id}: byte-level when all its characters are in the byte
 *                       table and one is beyond ASCII, byte-fallback when <0x0A> is there,
 *                       else the strings themselves. A list of strings is the strings
 *                       themselves, the index is the id.
 *   tokenizer.model     as byte-fallback; control pieces are the special tokens.
 *
 *   Unigram             as byte-fallback, or what its decoder says.
 *   WordPiece, WordLevel  a word has a space in front of it; "##ing" goes on with the last,
 *                       and where the decoder cleans up, punctuation has none either.
 *
 * A tokenizer is immutable after opening and may be read from several threads. In memory
 * it is one block of bytes and eight bytes an id; merges are not kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"
#include "io/str.h"

#define TOKENIZER_MAX_FILE ((size_t)64 << 20) /* twice the largest known */
#define TOKENIZER_MAX_ID   ((int64_t)1 << 22)  /* 4 times the largest vocabulary known */

struct tokenizer;

/* NULL: ERR_OS, ERR_FORMAT, ERR_RANGE (an id), ERR_UNSUPPORTED; "PATH: " in front. */
struct tokenizer *tokenizer_open(const char *path, struct err *err);
void tokenizer_close(struct tokenizer *tk); /* NULL is fine */

const char *tokenizer_path(const struct tokenizer *tk);
int64_t tokenizer_count(const struct tokenizer *tk); /* highest id + 1, holes counted */

/* The bytes of one token, nothing stripped, followed by a 0 that *len does not count.
 * Borrowed. NULL, and *len 0, for holes and for ids outside [0, count). */
const char *tokenizer_bytes(const struct tokenizer *tk, int64_t id, size_t *len);

/* Marked "special" in added_tokens: begin of text and the like. */
bool tokenizer_is_special(const struct tokenizer *tk, int64_t id);

/* Append the bytes of the tokens one after another. Ids without a token are "<ID>". */
void tokenizer_decode_bytes(const struct tokenizer *tk, const int32_t *ids, size_t n,
                            struct str *out);

/*
 * Append the text that the Hugging Face decoder gives, special tokens kept: valid UTF-8.
 * Invalid bytes become U+FFFD: byte-level, one for each maximal invalid part of the whole;
 * byte-fallback, one for each byte of a run of byte tokens that is not valid as a whole.
 * The decoder's Strip (Llama 2: one leading space of the whole) is applied. A WordPiece text
 * that begins in a word begins without its "##".
 */
void tokenizer_decode_text(const struct tokenizer *tk, const int32_t *ids, size_t n,
                           struct str *out);
