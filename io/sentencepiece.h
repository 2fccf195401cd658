/*
 * sentencepiece.h - the pieces of a tokenizer.model: sentencepiece's ModelProto
 * (sentencepiece_model.proto), read by hand.
 *
 * Of the message are read pieces (1: piece 1, score 2, type 3), trainer_spec (2: model_type
 * 3, treat_whitespace_as_suffix 24, byte_fallback 35, unk_id 40, bos_id 41) and normalizer_spec (3: precompiled_charsmap 2,
 * add_dummy_prefix 3, remove_extra_whitespaces 4, escape_whitespaces 5). All else is skipped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/err.h"

enum sp_type {
    SP_NORMAL = 1,
    SP_UNKNOWN,
    SP_CONTROL,
    SP_USER,
    SP_UNUSED,
    SP_BYTE,
};

enum sp_model {
    SP_UNIGRAM = 1,
    SP_BPE,
    SP_WORD,
    SP_CHAR,
};

struct sp_piece {
    const char *text; /* [len], in the file's bytes */
    size_t len;
    float score;
    enum sp_type type;
};

struct sentencepiece {
    struct sp_piece *pieces; /* [n], owned; the index is the id */
    size_t n, cap;
    enum sp_model model;
    bool space_is_suffix, byte_fallback, add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    bool has_charsmap;       /* the text is normalised by a table */
    int64_t unk_id, bos_id;
};

/* Could these be the bytes of one? JSON's never are. */
bool sentencepiece_recognise(const char *bytes, size_t n);

/* ERR_FORMAT with the byte offset; *sp borrows from the bytes. */
bool sentencepiece_read(struct sentencepiece *sp, const char *bytes, size_t n,
                        struct err *err);
void sentencepiece_finish(struct sentencepiece *sp);
