/* cmd.c - see cmd.h. */
#include "tui/cmd.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/mem.h"
#include "model/compare.h"
#include "tui/meter.h"
#include "tui/verbose.h"

#define EXIT_BAD_USAGE 2

const struct command commands[] = {
    {
        .name = "info",
        .usage = "SAE",
        .purpose = "what a checkpoint is: format, shapes, biases, norms",
        .tables = "tensors,histogram,checks",
        .run = cmd_info,
    },
    {
        .name = "scan",
        .usage = "PATH",
        .purpose = "run the samples through the SAE and keep an index of all firings",
        .run = cmd_scan,
    },
    {
        .name = "features",
        .usage = "PATH",
        .purpose = "the table of all features; scans first when there is no index",
        .detail = "Filters: or < and < not, parentheses; = != < <= > >= on numbers; = and ~ "
                  "(regular\nexpression) on strings. Names are the columns' keys, and label, "
                  "token (among the tokens\nof its 20 strongest examples), promotes "
                  "(among the 10 that its decoder raises most;\nneeds a language model).\n",
        .groups = OPT_TABLE,
        .tables = "features",
        .table = "features",
        .run = cmd_features,
    },
    {
        .name = "feature",
        .usage = "PATH ID...",
        .purpose = "all about one or several features",
        .detail = "ID is a number, or several: 3,5,8 or 10-19.\n",
        .ids = true,
        .groups = OPT_PAGE,
        .tables = "features,histogram,top,intervals,examples,neighbours,"
                  "encoder_neighbours,promotes,suppresses,coactive,series",
        .run = cmd_feature,
    },
    {
        .name = "hist",
        .usage = "PATH... --of WHAT",
        .purpose = "histogram of one quantity over all features",
        .detail = "Of several SAEs (PATHs, or --sae repeated) the histograms have common edges. "
                  "Without\n--acts, samples come from the bundle that the first of several lies "
                  "in.\n",
        .many = true,
        .groups = OPT_HIST,
        .tables = "histogram,histograms",
        .run = cmd_hist,
    },
    {
        .name = "token",
        .usage = "PATH SEQUENCE:POSITION",
        .purpose = "what the activation at one token is made of",
        .detail = "b_dec, the active features and the error, which add up to it. The "
                  "activation is of the\nsamples, else of the language model at the hook.\n",
        .more = 1,
        .groups = OPT_TOKEN,
        .tables = "parts",
        .table = "parts",
        .run = cmd_token,
    },
    {
        .name = "score",
        .usage = "PATH",
        .purpose = "what the language model loses with the reconstruction in place",
        .detail = "Needs a language model (--model), token ids (--tokens) and the hook "
                  "(--hook), or a\nbundle that has them.\n",
        .groups = OPT_LM,
        .run = cmd_score,
    },
    {
        .name = "ablate",
        .usage = "PATH ID...",
        .purpose = "what the loss loses when a feature is taken out",
        .detail = "ID is a number, or several: 3,5,8 or 10-19; or --top N --by KEY instead.\n",
        .ids = true,
        .groups = OPT_ABLATE,
        .tables = "features,worst,tokens",
        .table = "features",
        .run = cmd_ablate,
    },
    {
        .name = "labels",
        .usage = "SAE",
        .purpose = "labels and notes of its features; takes over exported explanations",
        .groups = OPT_LABELS,
        .tables = "labels",
        .table = "labels",
        .run = cmd_labels,
    },
    {
        .name = "prompt",
        .usage = "PATH --text STR",
        .purpose = "the features of a text, the loss at each of its tokens",
        .detail = "Needs a language model (--model), its tokenizer (--tokenizer) and the hook "
                  "(--hook), or a\nbundle that has them.\n",
        .groups = OPT_PROMPT,
        .tables = "tokens,features,next",
        .table = "tokens",
        .run = cmd_prompt,
    },
    {
        .name = "compare",
        .usage = "[BUNDLE] A B",
        .purpose = "two checkpoints side by side, and their features matched",
        .detail = "A and B are paths, or names in the BUNDLE. Without one, samples come from "
                  "--acts or\nfrom the bundle that A or B lies in. With --pareto "
                  "[BUNDLE] [SAE ...]:\nL0, FVU and reconstruction score of each, and which "
                  "have nearly the same L0; a BUNDLE\nalone stands for all that is in it.\n",
        .two = true,
        .groups = OPT_COMPARE,
        .tables = "matches,one_to_one,split,saes,near_l0",
        .run = cmd_compare,
    },
    {
        .name = "cosine",
        .usage = "PATH",
        .purpose = "cosines of decoder rows with true features, another SAE, each other",
        .groups = OPT_COSINE,
        .tables = "best,composites,alone,matrix",
        .run = cmd_cosine,
    },
    {
        .name = "convert",
        .usage = "SAE OUT",
        .purpose = "write a checkpoint as a SAELens or npy directory",
        .detail = "OUT is a directory to be made; nothing is overwritten. The values stay what "
                  "they are, bit for\nbit: what was written is read back and compared.\n",
        .more = 1,
        .groups = OPT_CONVERT,
        .tables = "files",
        .table = "files",
        .run = cmd_convert,
    },
    {
        .name = "capture",
        .usage = "[PATH] --text FILE -o DIR",
        .purpose = "activation samples of a text, as a bundle",
        .detail = "Needs --model, --tokenizer and --hook; or PATH, a bundle or an SAE, says what "
                  "is not given.\nWhat was begun goes on from where it was: DIR.partial.\n",
        .alone = true,
        .groups = OPT_CAPTURE,
        .run = cmd_capture,
    },
    {0},
};

static const char *command_name(int i)
{
    return commands[i].name;
}

const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

const char *command_nearest(const char *name)
{
    int n = (int)(sizeof commands / sizeof *commands) - 1;
    return opt_nearest(name, command_name, n);
}

/* --- stderr and signals -------------------------------------------------------------------- */

static volatile sig_atomic_t caught; /* the signal that asked to stop; 0: none */

static void catch(int number)
{
    caught = number;
}

void cmd_catch_signals(void)
{
    struct sigaction action = {.sa_handler = catch, .sa_flags = (int)(SA_RESETHAND)};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static bool step(void *ctx, const char *what, int64_t done, int64_t of)
{
    if (ctx)
        meter_step(what, done, of);
    return !caught;
}

struct progress cmd_progress(bool quiet, bool verbose)
{
    static bool drawn;
    drawn = !quiet && isatty(STDERR_FILENO);
    meter_start(drawn, verbose);
    return (struct progress){step, drawn || verbose ? &drawn : NULL};
}

static void say(const char *message)
{
    struct str line = {0};
    str_puts(&line, "saescope: ");
    str_visible(&line, message, strlen(message), STR_ESCAPED);
    str_putc(&line, '\n');
    const char *p = str_text(&line);
    for (size_t left = line.len; left;) { /* one write: lines of two programs do not mix */
        ssize_t n = write(STDERR_FILENO, p, left);
        if (n <= 0)
            break;
        p += n;
        left -= (size_t)n;
    }
    str_finish(&line);
}

void cmd_say(const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    meter_clear();
    say(text);
}

int cmd_fail(const struct err *err)
{
    if (err->code == ERR_CANCELLED)
        return 128 + (caught ? caught : SIGINT);
    if (err->code == ERR_OS && err->os_errno == EPIPE) /* "| head": who reads has enough, */
        return EXIT_FAILURE;                           /* and nobody wants to hear of it */
    say(err->msg);
    return err->code == ERR_USAGE ? EXIT_BAD_USAGE : EXIT_FAILURE;
}

/* --- one run -------------------------------------------------------------------------------- */

static bool is_one_of(const char *list, const char *word)
{
    for (size_t n; *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        if (n == strlen(word) && !memcmp(list, word, n))
            return true;
    }
    return false;
}

/* The bundle that one of these two lies in, for its samples; NULL: there is none. */
static char *find_holder(const char *const *saes)
{
    char *holder = bundle_holding(saes[0]);
    return holder ? holder : bundle_holding(saes[1]);
}

/* [BUNDLE] A B, or A and B by --sae. */
static bool sort_two(struct cmd *c, struct err *err)
{
    const struct command *command = c->command;
    struct opts *o = &c->opts;
    bool by_option = o->n_saes == 2 && o->n_words <= 1;
    if (!by_option && !(o->n_saes == 0 && (o->n_words == 2 || o->n_words == 3)))
        return err_set(err, ERR_USAGE, "%s: found %d words and --sae %d times (expected "
                       "saescope %s %s, or --sae twice)", command->name, o->n_words,
                       o->n_saes, command->name, command->usage);
    bool bundle = by_option ? o->n_words == 1 : o->n_words == 3;
    o->session.paths = o->words;
    o->session.n_paths = bundle;
    if (!by_option) {
        o->session.saes = o->words + bundle;
        o->session.n_saes = 2;
    }
    if (!bundle && !o->n_acts)
        c->holder = find_holder(o->session.saes);
    if (c->holder) {
        o->session.paths = (const char *const *)&c->holder;
        o->session.n_paths = 1;
    }
    return true;
}

/* All words are PATHs; of several without samples the first may lie in a bundle. */
static bool sort_many(struct cmd *c, struct err *err)
{
    struct opts *o = &c->opts;
    if (o->n_words + o->n_saes == 0)
        return err_set(err, ERR_USAGE, "%s: no PATH given (expected saescope %s %s)",
                       c->command->name, c->command->name, c->command->usage);
    o->session.paths = o->words;
    o->session.n_paths = o->n_words;
    int bundles = 0;
    for (int i = 0; i < o->n_words; i++)
        bundles += bundle_recognise(o->words[i]);
    c->n_saes = o->n_words + o->n_saes - bundles;
    const char *const *saes = o->n_words ? o->words : o->saes;
    if (c->n_saes > 1 && !(o->n_words && o->n_saes) && bundles == 0 && o->n_acts == 0)
        c->holder = bundle_holding(saes[0]);
    if (!c->holder)
        return true;
    o->session.saes = saes;
    o->session.n_saes = c->n_saes;
    o->session.paths = (const char *const *)&c->holder;
    o->session.n_paths = 1;
    return true;
}

/* PATH and numbers apart. Where --sae says which SAE, PATH may be left out. */
static bool sort_words(struct cmd *c, struct err *err)
{
    const struct command *command = c->command;
    struct opts *o = &c->opts;
    if (command->two)
        return o->pareto ? sort_many(c, err) : sort_two(c, err);
    if (command->many)
        return sort_many(c, err);
    if (o->n_words < command->more)
        return err_set(err, ERR_USAGE, "%s: found %d words (expected saescope %s %s)",
                       command->name, o->n_words, command->name, command->usage);
    if (command->alone && o->n_words == 0)
        return true;
    bool no_path = o->n_words == command->more ||
                   (command->ids && o->n_saes && opt_is_ids(o->words[0]));
    if (no_path && !o->n_saes)
        return err_set(err, ERR_USAGE, "%s: no PATH given (expected saescope %s %s)",
                       command->name, command->name, command->usage);
    o->session.paths = o->words;
    o->session.n_paths = no_path ? 0 : 1;
    int i = o->session.n_paths + command->more;
    if (!command->ids && i < o->n_words)
        return err_set(err, ERR_USAGE, "%s: unexpected word (expected saescope %s %s)",
                       o->words[i], command->name, command->usage);
    if (command->ids && i == o->n_words && !o->by)
        return err_set(err, ERR_USAGE, "%s: no ID given (expected saescope %s %s)",
                       command->name, command->name, command->usage);
    for (; i < o->n_words; i++)
        if (!opt_ids_parse(&c->ids, o->words[i], err))
            return false;
    return true;
}

static bool check_options(struct cmd *c, struct err *err)
{
    const struct command *command = c->command;
    struct opts *o = &c->opts;
    if (o->n_saes > 1 && !command->two && !command->many)
        return err_set(err, ERR_USAGE, "--sae: given %d times (expected once: %s is about "
                                       "one SAE)", o->n_saes, command->name);
    if (o->table && !(command->tables && is_one_of(command->tables, o->table)))
        return err_set(err, ERR_USAGE, "--table: found '%s', expected %s", o->table,
                       command->tables ? command->tables : "none: the answer is one row");
    return true;
}

bool cmd_has_many(const struct cmd *c)
{
    return c->ids.n_spans > 1 ||
           (c->ids.n_spans == 1 && c->ids.spans[0].first != c->ids.spans[0].last);
}

static void make_out(struct cmd *c)
{
    const struct opts *o = &c->opts;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool wanted = o->color && strcmp(o->color, "auto") != 0
                      ? strcmp(o->color, "never") != 0
                      : !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    struct out_options options = {
        .form = o->json ? OUT_JSON : o->tsv ? OUT_TSV : OUT_TEXT,
        .table = o->table         ? o->table
                 : cmd_has_many(c) ? "features"
                 : o->pareto       ? "saes"
                 : c->n_saes > 1   ? "histograms"
                 : o->matrix       ? "matrix"
                                   : c->command->table,
        .color = wanted && isatty(STDOUT_FILENO),
        .ascii = o->ascii,
    };
    c->out = out_new(&options);
}

/* The SAE that a word of --sae means, NULL when it does not open. */
static struct sae *open_word(const struct cmd *c, const char *word)
{
    const struct session_options *o = &c->opts.session;
    struct bundle b = {0};
    int i = o->n_paths && bundle_open(&b, o->paths[0], NULL) ? bundle_find_sae(&b, word) : -1;
    struct sae *sae = sae_open(i >= 0 ? b.saes[i].path : word, &o->sae, &c->progress, NULL);
    bundle_finish(&b);
    return sae;
}

/* One of two did not fit the samples: where they do not fit each other, that is the news. */
static bool blame_the_other(const struct cmd *c, struct err *err)
{
    struct sae *a = open_word(c, c->opts.session.saes[0]);
    struct sae *b = open_word(c, c->opts.session.saes[1]);
    if (a && b)
        compare_check(a, b, err);
    sae_close(a);
    sae_close(b);
    return false;
}

bool cmd_choose(struct cmd *c, int k, struct err *err)
{
    c->i = c->session->chosen[k];
    if (!session_load(c->session, c->i, &c->progress, err))
        return false;
    c->sae = c->session->saes[c->i].sae;
    return true;
}

static bool open_session(struct cmd *c, struct err *err)
{
    bool two = c->command->two && !c->opts.pareto;
    c->session = session_open(&c->opts.session, &c->progress, err);
    if (!c->session)
        return two && err->code == ERR_SHAPE ? blame_the_other(c, err) : false;
    if (!c->session->n_chosen)
        return err_set(err, ERR_MISSING, "%s: no SAE in it (found none, expected saes in the bundle, or "
                                         "--sae PATH)", c->session->bundle.path);
    if (two && c->session->n_chosen != 2)
        return err_set(err, ERR_MISSING, "%s: not a bundle (found another path, expected a bundle and two SAEs)",
                       c->opts.words[0]);
    return cmd_choose(c, 0, err);
}

static bool run(struct cmd *c, struct err *err)
{
    if (!sort_words(c, err) || !check_options(c, err))
        return false;
    if (c->opts.table && !strcmp(c->opts.table, "matrix"))
        c->opts.matrix = true;
    make_out(c);
    bool verbose = c->opts.verbose;
    struct verbose_index index = {0};
    c->progress = cmd_progress(c->opts.quiet, verbose);
    bool alone = c->command->alone && !c->opts.n_words && !c->opts.n_saes;
    bool ok = alone || open_session(c, err);
    if (ok && verbose && c->session) {
        verbose_inputs(c->session, c->i);
        index = verbose_index_before(c->session, c->i);
    }
    ok = ok && c->command->run(c, err);
    meter_clear();
    if (c->sae && verbose)
        verbose_index_after(&index, c->session, c->i);
    meter_finish();
    if (ok && caught)
        ok = err_set(err, ERR_CANCELLED, "cancelled");
    if (!ok || !out_write(c->out, STDOUT_FILENO, err))
        return false;
    for (int i = 0; c->session && i < c->session->n_warnings; i++)
        say(c->session->warnings[i]);
    return true;
}

static void help(const struct command *command)
{
    struct str text = {0};
    str_appendf(&text, "saescope %s - %s\n\nusage: saescope %s [OPTIONS] %s\n",
                command->name, command->purpose, command->name, command->usage);
    if (command->detail)
        str_appendf(&text, "%s", command->detail);
    if (command->groups) {
        str_puts(&text, "\n");
        opt_help(&text, command->groups);
    }
    if (command->tables)
        str_appendf(&text, "\n  tables of --tsv: %s\n", command->tables);
    str_puts(&text, "\nInputs and output, for all commands:\n\n");
    opt_help(&text, OPT_GENERAL);
    fputs(str_text(&text), stdout);
    str_finish(&text);
}

int cmd_main(const struct command *command, int argc, char *const *argv)
{
    struct cmd c = {.command = command};
    struct err err = {0};
    opt_init(&c.opts);
    int status = EXIT_SUCCESS;
    if (!opt_parse(&c.opts, argc, argv, command->groups, command->name, &err))
        status = cmd_fail(&err);
    else if (c.opts.help)
        help(command);
    else if (c.opts.version)
        puts("saescope " SAESCOPE_VERSION);
    else if (!run(&c, &err))
        status = cmd_fail(&err);
    out_free(c.out);
    session_close(c.session);
    free(c.holder);
    opt_ids_finish(&c.ids);
    opt_finish(&c.opts);
    return status;
}

const struct samples *cmd_samples(const struct cmd *c)
{
    const struct samples *samples = c->session->samples;
    return samples_have_features(samples) ? samples : NULL;
}

const struct index *cmd_need_index(struct cmd *c, struct err *err)
{
    struct session *s = c->session;
    if (!cmd_samples(c)) {
        err_set(err, ERR_MISSING, "%s: no activation samples (found none, expected --acts "
                                  "FILE or a bundle that has them)", s->saes[c->i].path);
        return NULL;
    }
    if (!session_need_index(s, c->i, &c->progress, NULL, err))
        return NULL;
    const struct index *ix = s->saes[c->i].index;
    int64_t skipped = index_totals(ix)->skipped_tokens;
    if (skipped)
        session_warn(s, "%s: warning: %lld tokens are left out (NaN, Inf or nothing to "
                        "normalise in the sample)", s->samples->path, (long long)skipped);
    return ix;
}
