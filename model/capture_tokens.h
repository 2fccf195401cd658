/* capture_tokens.h - a text file as rows of token ids; see capture.h. */
#pragma once

#include "model/capture.h"

struct capture_rows {
    int64_t rows, dropped;
};

/* The rows of the text into a new file `path`: npy, int32 [rows, T]. front [n_front]: what
 * each row begins with, n_front < T. most: at most so many rows, 0: all. ERR_RANGE when
 * there is not one. */
bool capture_tokens(const struct lm *lm, const struct token_encoder *te, const char *text,
                    const char *path, const struct token_ids *front, int64_t T, int64_t most,
                    const struct progress *progress, struct capture_rows *out,
                    struct err *err);
