/*
 * config.h - the user's settings: options and keys, from a file and the command line.
 *
 * The file is $XDG_CONFIG_HOME/saescope/config (~/.config/...), see keymap.h for its
 * form. A mistake in it is a warning with its line, never a reason not to start. It is
 * read, never written.
 */
#pragma once

#include <stdbool.h>

#include "io/err.h"
#include "tui/keymap.h"
#include "tui/theme.h"

struct config {
    struct keymap keys;
    const struct theme *theme;
    enum colour_level colour; /* COLOUR_AUTO: ask the terminal */
    bool ascii;
    bool mouse;               /* report clicks; off leaves selecting to the terminal */
    char **warnings;          /* owned: "PATH: warning: line 3: ..." */
    int n_warnings, cap_warnings;
};

void config_init(struct config *c); /* defaults; NO_COLOR (non-empty) is honoured */
void config_finish(struct config *c);

/* Read a file; path NULL: the usual place, where having none is fine. False only when the
 * file cannot be read (ERR_OS); mistakes in it become warnings. */
bool config_read(struct config *c, const char *path, struct err *err);

/* One option as after "--": "theme", "color", "ascii", "mouse". False with ERR_USAGE and
 * what would be right. */
bool config_set(struct config *c, const char *name, const char *value, struct err *err);

/* The i-th option's name, NULL past the end; its value as config_set takes it. */
const char *config_name(int i);
const char *config_value(const struct config *c, const char *name);
const char *config_help(const char *name);
const char *const *config_choices(const char *name); /* up to NULL */
