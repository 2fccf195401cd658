/*
 * opt.h - the options of the command line: one table, one parser.
 *
 * Long options take their argument as "--name ARG" or "--name=ARG", short ones as "-n ARG"
 * or "-nARG"; flags may be bundled ("-qj2"). Options and other words may be mixed; "--"
 * ends the options, and a word that begins with "-" and a digit is no option (it may be a
 * number). What cannot be parsed is ERR_USAGE, with the nearest name where one is near;
 * whether the things that are named exist is not looked at here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "model/session.h"

/* Options come in groups; a command says which of them it takes. */
enum opt_group {
    OPT_GENERAL = 1 << 0, /* inputs, index, output: every command */
    OPT_TABLE = 1 << 1,   /* features: which rows and columns */
    OPT_PAGE = 1 << 2,    /* feature: how much of it */
    OPT_HIST = 1 << 3,    /* hist: of what, which bins */
    OPT_LM = 1 << 4,      /* score: what the language model runs on */
    OPT_ABLATE = 1 << 5,  /* ablate: which features, against what */
    OPT_COMPARE = 1 << 6, /* compare: which matching; more than two */
    OPT_COSINE = 1 << 7,  /* cosine: against what */
    OPT_CONVERT = 1 << 8, /* convert: to what */
    OPT_TOKEN = 1 << 9,   /* token: in which order */
    OPT_PROMPT = 1 << 10, /* prompt: which text, what is taken out */
    OPT_CAPTURE = 1 << 11, /* capture: of which text, to where */
    OPT_LABELS = 1 << 12, /* labels: from where */
};

/* All that was said. Zeroed but for what opt_init sets; strings and words are argv's. */
struct opts {
    const char **words; /* what is no option, in order; owned array */
    int n_words;
    bool help, version;

    const char **saes, **acts; /* owned arrays; also in session */
    int n_saes, n_acts;
    int64_t *skip_tokens;
    int n_skip_tokens;
    struct session_options session; /* paths are the command's to fill in */
    int64_t threads, memory, seed;  /* as given, before they go into session */
    const char *fold, *subtract;    /* "on", "off" or NULL */
    int64_t decoder_layer;          /* -1: not given */
    const char *factor;             /* a number, "estimate" or NULL */
    const char *token_dtype;        /* or NULL */

    bool json, tsv, quiet, verbose, ascii;
    const char *table, *theme, *color; /* color: auto, always, never, 16, 256, truecolor */

    const char *sort, *filter, *columns; /* features */
    bool reverse;
    int64_t limit;       /* -1: all */

    int64_t top, context; /* feature; -1: the default */
    bool raw_logits;

    const char *of;      /* hist */
    int64_t bins;        /* 0: the default */
    struct {
        bool given;
        double lo, hi;
    } range;
    bool log;

    bool from_samples;    /* score */
    const char *baseline; /* "zero", "mean", "b_dec" or NULL */

    const char *mode, *by; /* ablate; its N is top */
    int64_t at;            /* ablate: a sequence, -1: none */
    const char *import_from; /* labels: an export to take over, or NULL */
    const char *text, *bos; /* prompt: the text, capture: its file; "yes", "no" or NULL */
    const char *output, *dtype; /* capture; "f16", "f32" or NULL; zstd is below */
    int64_t *ablate;        /* prompt: owned */
    int n_ablate;
    const char *order;     /* token: "norm", "projection" or NULL */
    const char *matching;        /* compare: "optimal", "greedy" or NULL */
    bool pareto;                 /* compare: several, as points */
    int64_t near_l0;             /* compare: percent; -1: not given */
    const char *against, *weights; /* cosine; weights: "decoder", "encoder" or NULL */
    bool matrix;

    const char *to; /* convert: "saelens", "npy", "jumprelu" or NULL */
    bool zstd;
};

void opt_init(struct opts *o);
void opt_finish(struct opts *o);

/* Read the words argv[0 .. argc) (without the program's and the command's name). `groups`
 * are the options that are taken, `command` the name for messages. *o was initialised. */
bool opt_parse(struct opts *o, int argc, char *const *argv, unsigned groups,
               const char *command, struct err *err);

/* Where the first word that is no option stands (the command's name, if it is one);
 * argc when there is none. All options are known here, whatever their group. */
int opt_first_word(int argc, char *const *argv);

/* The help on the options of these groups, for `command` (NULL: the program). */
struct str;
void opt_help(struct str *out, unsigned groups);

/*
 * Numbers of features: "7", "3,5,8", "10-19". Saturates at INT64_MAX: whether they exist
 * is for later. ERR_USAGE names the word.
 */
struct opt_ids {
    struct opt_span {
        int64_t first, last;
    } *spans; /* owned */
    int n_spans;
};
bool opt_ids_parse(struct opt_ids *ids, const char *word, struct err *err); /* appends */
bool opt_is_ids(const char *word);
void opt_ids_finish(struct opt_ids *ids);

/* The one of n names that `word` was perhaps meant to be, or NULL. name(i) gives them. */
const char *opt_nearest(const char *word, const char *(*name)(int i), int n);
