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

bool explore(const struct opts *opts, struct err *err)
{
    struct config config;
    struct session_options options = opts->session;
    struct progress progress = cmd_progress(opts->quiet);
    options.paths = opts->words;
    options.n_paths = opts->n_words;
    options.deferred = true; /* the screen first, the weights behind it */
    config_init(&config);
    bool ok = false;
    struct session *session = NULL;
    if (read_config(&config, opts, err) &&
        (session = session_open(&options, &progress, err))) {
        struct tui_options tui = {.config = &config, .session = session};
        ok = tui_run(&tui, err);
    }
    session_close(session);
    config_finish(&config);
    return ok;
}
