/* explore.c - see explore.h. */
#include "tui/explore.h"

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

static struct session *open_session(void *ctx, const struct progress *progress,
                                    struct err *err)
{
    return session_open(ctx, progress, err);
}

bool explore(const struct opts *opts, struct err *err)
{
    struct config config;
    struct session_options options = opts->session;
    options.paths = opts->words;
    options.n_paths = opts->n_words;
    options.deferred = true; /* the screen first, the weights behind it */
    config_init(&config);
    const char *what = opts->n_words ? opts->words[0]
                       : opts->n_saes ? opts->saes[0]
                                      : opts->acts[0];
    struct tui_options tui = {.config = &config, .open = open_session, .open_ctx = &options,
                              .title = what};
    bool ok = read_config(&config, opts, err) && tui_run(&tui, err);
    config_finish(&config);
    return ok;
}
