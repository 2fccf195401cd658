/* token_encoder_impl.h - what the files of token_encoder.h share. */
#pragma once

#include <jansson.h>

#include "io/jscan.h"
#include "io/str.h"
#include "io/token_encoder.h"

/* --- vocabulary: strings to ids (token_vocab.c) --------------------------------------- */

struct token_entry {
    uint32_t start, len;
    int32_t id;
};

struct token_vocab {
    struct str arena;
    struct token_entry *entries; /* [n], in the order of the file */
    size_t n, cap;
    uint32_t *slots; /* [n_slots] entry + 1, 0: free */
    size_t n_slots;  /* a power of 2 */
};

/* Of two equal strings the later id counts. ERR_RANGE for the id. */
bool token_vocab_add(struct token_vocab *v, const char *s, size_t n, int64_t id,
                     struct err *err);
int32_t token_vocab_find(const struct token_vocab *v, const char *s, size_t n); /* -1 */
void token_vocab_finish(struct token_vocab *v);

/* --- model: a piece to tokens (token_bpe.c, token_unigram.c) --------------------------- */

struct token_merge {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank;
    int32_t id;    /* of what they make; -1: a free slot */
};

enum token_model {
    TOKEN_BPE,          /* pairs from a list of merges */
    TOKEN_PIECES,       /* sentencepiece's BPE: pairs that make a piece, by its score */
    TOKEN_UNIGRAM,
};

struct token_bpe {
    enum token_model model;
    struct token_vocab vocab;
    struct token_merge *merges; /* [n_merges], open addressing; a power of 2 */
    size_t n_merges, n_used;
    float *score;               /* [n_ids] of sentencepiece's pieces; else NULL */
    unsigned char *kind;        /* [n_ids] enum sp_type */
    size_t n_ids;
    float least, most;          /* scores of normal pieces */
    size_t longest;             /* bytes of the longest piece */
    int32_t byte_id[256];       /* <0xHH>; -1: not in the vocabulary */
    int32_t unk;                /* -1: none; unknown characters then vanish */
    bool byte_fallback, fuse_unk, ignore_merges;
    char *prefix, *suffix;      /* continuing_subword_prefix, end_of_word_suffix; owned */
};

void token_bpe_finish(struct token_bpe *b);
void token_bpe_find_bytes(struct token_bpe *b);

/* The merge of two tokens; ERR_FORMAT when one of the three is not in the vocabulary. */
bool token_bpe_add_merge(struct token_bpe *b, const char *left, size_t n_left,
                         const char *right, size_t n_right, uint32_t rank,
                         struct err *err);

bool token_bpe_run(const struct token_bpe *b, const char *s, size_t n, struct token_ids *ids,
                   struct err *err);
bool token_unigram_run(const struct token_bpe *b, const char *s, size_t n,
                       struct token_ids *ids, struct err *err);

/* --- patterns (token_regex.c) ------------------------------------------------------------ */

struct token_regex;

/* Oniguruma's (Ruby's) syntax, in which tokenizer.json's patterns are written: \s is the
 * property White_Space, \w Alphabetic, Mark, Nd and Pc, \h a hexadecimal digit.
 * ERR_UNSUPPORTED for what PCRE2 has no words for. */
struct token_regex *token_regex_new(const char *pattern, struct err *err);
void token_regex_free(struct token_regex *re);

/* A match buffer of one thread, to be reset before the first match of every text. */
struct token_match;
struct token_match *token_match_new(void);
void token_match_free(struct token_match *m);
void token_match_reset(struct token_match *m);

/* The next match of a text from `from` on; 1 and [*start, *end), 0: none, -1: it gave up. */
int token_regex_next(const struct token_regex *re, struct token_match *m, const char *s,
                     size_t n, size_t from, size_t *start, size_t *end, struct err *err);

/* --- what stands between the text and the model (token_norm.c, token_split.c) ----------- */

#define TOKEN_MAX_NORMALIZED ((size_t)16 << 20) /* bytes that a text may grow to */
#define TOKEN_MAX_STEPS 64 /* normalizers, pre-tokenizers, flattened */

struct token_step {
    const struct token_step_type *type;
    struct token_regex *regex; /* owned; of patterns, also of plain strings */
    char *text;                /* owned: prepend, content, replacement, delimiter */
    int behavior;              /* enum token_behavior */
    bool invert, left, right, prefix, use_regex, split, first_only;
    bool clean, chinese, accents, lower;
    int64_t length;
};

struct token_steps {
    struct token_step step[TOKEN_MAX_STEPS];
    int n;
};

/* A stretch of text. Those of added tokens have an id. */
struct token_piece {
    size_t start, len;
    int32_t id; /* -1: text */
    bool first; /* begins where the whole text begins */
};

struct token_text {
    struct str text;
    struct token_piece *piece; /* owned */
    size_t n, cap;
};

void token_text_finish(struct token_text *t);
void token_text_put(struct token_text *t, size_t start, int32_t id, bool first);

struct token_run {
    struct token_match *match;
    bool continues; /* TOKEN_CONTINUES: nothing is put in front */
    struct err *err;
};

bool token_norm_read(const json_t *tree, struct token_steps *out, struct err *err);
bool token_split_read(const json_t *tree, struct token_steps *out, struct err *err);
void token_steps_finish(struct token_steps *s);

/* s [n] through all normalizers, into *out (replaced). `first`: it begins the text. */
bool token_norm_run(const struct token_steps *s, struct token_run *run, const char *text,
                    size_t n, bool first, struct str *out);
/* All pieces that are text through all pre-tokenizers, in place. */
bool token_split_run(const struct token_steps *s, struct token_run *run,
                     struct token_text *t);

/* The character that stands for a byte (GPT-2's table), as UTF-8, appended. */
void token_put_byte_char(struct str *out, unsigned char byte);

/* White_Space; what Rust's \w matches; Nd, Nl and No; punctuation, ASCII symbols too. */
bool token_is_space(uint32_t cp);
bool token_is_word(uint32_t cp);
bool token_is_numeric(uint32_t cp);
bool token_is_punctuation(uint32_t cp);

/* {"String": s} or {"Regex": s}, compiled; ERR_FORMAT, ERR_UNSUPPORTED. */
struct token_regex *token_read_pattern(const json_t *part, struct err *err);

/* --- added tokens (token_added.c) --------------------------------------------------------- */

struct token_added {
    uint32_t start, len; /* in the arena: the pattern, normalised if it is to be */
    int32_t id;
    bool special, single_word, lstrip, rstrip;
};

struct token_set {
    struct str arena;
    struct token_added *added; /* [n], by pattern */
    size_t n, cap;
    size_t begin[257];         /* those whose first byte is b: [begin[b], begin[b + 1]) */
};

void token_set_add(struct token_set *set, const char *s, size_t n, struct token_added how);
void token_set_sort(struct token_set *set);
void token_set_finish(struct token_set *set);
/* Cut s [n], which goes to out, around the tokens of the set. */
void token_set_split(const struct token_set *set, const char *s, size_t n, bool first,
                     unsigned flags, struct token_text *out);

/* --- the whole ------------------------------------------------------------------------------ */

struct token_encoder {
    char *path, *merges; /* owned; merges: the file of a vocab.json, else NULL */
    struct token_bpe bpe;
    struct token_steps norm, split;
    struct token_set raw, normalized; /* added tokens by their `normalized` */
    struct token_ids bos;
    bool sp;                          /* sentencepiece's own normalisation: */
    bool sp_prefix, sp_trim;          /* add_dummy_prefix, remove_extra_whitespaces */
};

/* Fill a zeroed encoder from the file's text (token_encoder_read.c). */
bool token_encoder_read(struct token_encoder *te, const char *text, size_t n,
                        struct err *err);
