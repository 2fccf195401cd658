/* explore.c - see explore.h. */
#include "tui/explore.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "model/session.h"
#include "tui/cmd.h"
#include "tui/config.h"
#include "tui/loop.h"

static bool read_config(struct config *config, const struct opts *opts, struct err *err)
{
    return config_read(config, NULL, err) &&
           (!opts->theme || config_set(config, "theme", opts->theme, err)) &&
           (!opts->color || config_set(config, "color", opts->color, err)) &&
           (!opts->ascii || config_set(config, "ascii", "on", err));
}

struct explorer {
    struct session_options options, before; /* before the last :rescan */
    int64_t **lists; /* owned, and what they hold: tokens to skip that were ever said */
    int n_lists;
};

static struct session *open_session(void *ctx, const struct progress *progress,
                                    struct err *err)
{
    struct explorer *e = ctx;

    return session_open(&e->options, progress, err);
}

/* What a scan rests on and :rescan may change. */
static const struct {
    const char *name; /* as the option, with its "=" */
    size_t at;        /* int64_t in struct session_options; 0: the tokens to skip */
} rescan_options[] = {
    {"skip-first=", offsetof(struct session_options, skip_first)},
    {"skip-tokens=", 0},
    {"sequences=", offsetof(struct session_options, sequences)},
    {"tokens-limit=", offsetof(struct session_options, tokens_limit)},
    {"seq-len=", offsetof(struct session_options, seq_len)},
};
enum { N_RESCAN_OPTIONS = sizeof rescan_options / sizeof *rescan_options };

static int rescan_option(const char *word)
{
    for (int i = 0; i < N_RESCAN_OPTIONS; i++)
        if (strncmp(word, rescan_options[i].name, strlen(rescan_options[i].name)) == 0)
            return i;
    return -1;
}

/* "skip-first=1", read as "--skip-first=1" is; "skip-tokens=none". */
static bool take_word(struct explorer *e, struct session_options *now, const char *word,
                      struct err *err)
{
    int i = rescan_option(word);
    struct opts said;

    if (i < 0)
        return err_set(err, ERR_USAGE, "rescan: not of a scan (found \"%s\", expected "
                       "skip-first=N, skip-tokens=ID,.., sequences=N, tokens-limit=N or "
                       "seq-len=N)", word);
    char *option = xasprintf("--%s", word);
    bool none = strcmp(word, "skip-tokens=none") == 0;
    opt_init(&said);
    bool ok = none || opt_parse(&said, 1, &option, OPT_GENERAL, "rescan", err);
    free(option);
    if (ok && rescan_options[i].at) {
        size_t at = rescan_options[i].at;
        *(int64_t *)((char *)now + at) = *(int64_t *)((char *)&said.session + at);
    } else if (ok) {
        now->skip_tokens = said.skip_tokens;
        now->n_skip_tokens = said.n_skip_tokens;
        e->lists = xreallocarray(e->lists, (size_t)e->n_lists + 1, sizeof *e->lists);
        e->lists[e->n_lists++] = said.skip_tokens;
        said.skip_tokens = NULL;
    }
    opt_finish(&said);
    return ok;
}

/* Without words: the same once more, whatever index there is. */
static bool rescan(void *ctx, const char *words, struct err *err)
{
    struct explorer *e = ctx;
    struct session_options now = e->options;
    char *copy = xstrdup(words), *rest = copy;
    bool ok = true;

    now.rebuild = !*words && !now.no_index;
    for (char *word; ok && (word = strtok_r(rest, " ", &rest));)
        ok = take_word(e, &now, word, err);
    free(copy);
    if (!ok)
        return false;
    e->before = e->options;
    e->options = now;
    return true;
}

static void undo(void *ctx)
{
    struct explorer *e = ctx;

    e->options = e->before;
}

bool explore(const struct opts *opts, struct err *err)
{
    struct config config;
    struct explorer e = {.options = opts->session};
    e.options.paths = opts->words;
    e.options.n_paths = opts->n_words;
    e.options.deferred = true; /* the screen first, the weights behind it */
    config_init(&config);
    const char *what = opts->n_words ? opts->words[0]
                       : opts->n_saes ? opts->saes[0]
                                      : opts->acts[0];
    struct tui_options tui = {.config = &config, .open = open_session, .open_ctx = &e,
                              .rescan = rescan, .undo = undo, .title = what};
    bool ok = read_config(&config, opts, err) && tui_run(&tui, err);
    for (int i = 0; i < e.n_lists; i++)
        free(e.lists[i]);
    free(e.lists);
    config_finish(&config);
    return ok;
}
