/*
 * cmd.h - commands that answer one question and exit: a table, and what they share.
 *
 * A command opens a session from its options, walks through its answer with out.h, and is
 * done. Nothing is printed unless all went well; a failure is one line on stderr. A new
 * command is tui/cmd_NAME.c, a line here and a row in cmd.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/err.h"
#include "io/progress.h"
#include "model/session.h"
#include "tui/opt.h"
#include "tui/out.h"

struct cmd;

struct command {
    const char *name, *usage, *purpose; /* usage: the words behind the name */
    const char *detail;                 /* more lines for its own help, or NULL */
    bool ids;                           /* its words after PATH are numbers of features */
    bool two;                           /* it is about two SAEs: [BUNDLE] A B */
    bool many;                          /* it can be about several SAEs: PATH ... */
    int more;                           /* words behind PATH that are its own to read */
    bool alone;                         /* PATH may be left out: then session and sae are
                                           NULL */
    unsigned groups;                    /* enum opt_group, beyond OPT_GENERAL */
    const char *tables;                 /* what --table knows, "top,intervals"; or NULL */
    const char *table;                  /* what --tsv prints without it; NULL: one row */
    bool (*run)(struct cmd *c, struct err *err);
};

/* A command as it runs. */
struct cmd {
    const struct command *command;
    struct opts opts;
    struct opt_ids ids;
    struct session *session;
    char *holder;    /* the bundle that was found around an SAE; owned */
    int n_saes;      /* of a command that can be about many: those named */
    int i;           /* the SAE that it is about (of two the first), in session->saes */
    struct sae *sae; /* that one, loaded */
    struct out *out;
    struct progress progress;
};

bool cmd_info(struct cmd *c, struct err *err);
bool cmd_scan(struct cmd *c, struct err *err);
bool cmd_features(struct cmd *c, struct err *err);
bool cmd_feature(struct cmd *c, struct err *err);
bool cmd_hist(struct cmd *c, struct err *err);
bool cmd_token(struct cmd *c, struct err *err);
bool cmd_score(struct cmd *c, struct err *err);
bool cmd_ablate(struct cmd *c, struct err *err);
bool cmd_compare(struct cmd *c, struct err *err);
bool cmd_cosine(struct cmd *c, struct err *err);
bool cmd_convert(struct cmd *c, struct err *err);
bool cmd_prompt(struct cmd *c, struct err *err);
bool cmd_labels(struct cmd *c, struct err *err);
bool cmd_capture(struct cmd *c, struct err *err);

/* The table, up to an entry whose name is NULL. */
extern const struct command commands[];
const struct command *command_find(const char *name); /* NULL: no such command */
const char *command_nearest(const char *name);        /* NULL: none is near */

/* Run a command with its words (without the program's and its own name). Returns the exit
 * status of the program. */
int cmd_main(const struct command *command, int argc, char *const *argv);

/* --- for commands and for main ----------------------------------------------------------- */

/* "saescope: MESSAGE" on stderr; returns the exit status that belongs to the error. */
int cmd_fail(const struct err *err);

/* From now on SIGINT, SIGTERM and SIGHUP ask running work to stop; a second one ends the
 * program at once. Does not return to the signals' former ways. */
void cmd_catch_signals(void);

/* A progress callback that watches for these signals, and draws a line on stderr when that
 * is a terminal and `quiet` is not set; `verbose`: a line for each stage that has ended. */
struct progress cmd_progress(bool quiet, bool verbose);

/* "saescope: ..." on stderr, what could harm a terminal made visible. */
void cmd_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Is it about more than one feature? Then the answer is a list of "features". */
bool cmd_has_many(const struct cmd *c);

/* The k-th of the SAEs asked for becomes the one that it is about. */
bool cmd_choose(struct cmd *c, int k, struct err *err);

/* Are there features of all the numbers asked for? ERR_RANGE. */
bool cmd_check_ids(const struct cmd *c, struct err *err);

/* The samples, NULL when there are none but perhaps tokens. Borrowed. */
const struct samples *cmd_samples(const struct cmd *c);

/* The index of the SAE, made if there is none. ERR_MISSING without samples. Borrowed. */
const struct index *cmd_need_index(struct cmd *c, struct err *err);
