/* main.c - saescope: which command, or the explorer. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#include "io/mem.h"
#include "tui/cmd.h"
#include "tui/explore.h"

static void help(void)
{
    struct str text = {0};
    str_puts(&text,
             "saescope - explore sparse autoencoders in the terminal\n\n"
             "usage: saescope [OPTIONS] PATH...            the explorer\n"
             "       saescope COMMAND [OPTIONS] PATH...    one question, one answer\n\n"
             "PATH is an SAE checkpoint (a file or directory of any supported format), or a\n"
             "bundle: a directory that holds SAEs, activation samples, tokens, tokenizer.\n\n");
    for (const struct command *c = commands; c->name; c++)
        str_appendf(&text, "  %-10s %-16s  %s\n", c->name, c->usage, c->purpose);
    str_puts(&text, "\nOptions of a command: saescope COMMAND --help. For all:\n\n");
    opt_help(&text, OPT_GENERAL);
    str_puts(&text, "\nExit status: 0 done; 1 bad input or failed; 2 cannot be parsed; "
                    "130 interrupted.\n");
    fputs(str_text(&text), stdout);
    str_finish(&text);
}

/* Without this, the first files opened would be taken for the closed stdin, stdout or
 * stderr, and be written to. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            _exit(EXIT_FAILURE);
}

/* Was this word meant to be a command? Only if it is nothing that could be opened. */
static const char *mistyped(const char *word)
{
    return access(word, F_OK) != 0 && !strchr(word, '/') ? command_nearest(word) : NULL;
}

static int run_explorer(int argc, char *const *argv)
{
    struct opts opts;
    struct err err = {0};
    const char *near;
    int status = EXIT_SUCCESS;
    opt_init(&opts);
    if (!opt_parse(&opts, argc, argv, 0, "the explorer", &err)) {
        status = cmd_fail(&err);
    } else if (opts.help) {
        help();
    } else if (opts.version) {
        puts("saescope " SAESCOPE_VERSION);
    } else if (!opts.n_words && !opts.n_saes && !opts.n_acts) {
        err_set(&err, ERR_USAGE, "nothing to open (expected PATH or COMMAND; see saescope "
                                 "--help)");
        status = cmd_fail(&err);
    } else if (opts.n_words && (near = mistyped(opts.words[0]))) {
        err_set(&err, ERR_USAGE, "%s: unknown command (did you mean %s?)", opts.words[0],
                near);
        status = cmd_fail(&err);
    } else if (!explore(&opts, &err)) {
        status = cmd_fail(&err);
    }
    opt_finish(&opts);
    return status;
}

/* The command's name is taken out of the words; options may stand before it. */
static int run_command(const struct command *command, int argc, char *const *argv, int at)
{
    char **words = xcalloc((size_t)argc + 1, sizeof *words);
    for (int i = 0, n = 0; i < argc; i++)
        if (i != at)
            words[n++] = argv[i];
    cmd_catch_signals();
    int status = cmd_main(command, argc - 1, words);
    free(words);
    return status;
}

/* Help and version go through stdio: a full disk is found here. */
static int flush(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    struct err err = {0};
    err_os(&err, errno, "standard output", NULL);
    return cmd_fail(&err);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    setlocale(LC_CTYPE, ""); /* not LC_NUMERIC: numbers in files have points */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* beyond ulimit -f a write fails, as on a full disk */
    argc--;
    argv++;
    int at = opt_first_word(argc, argv);
    const struct command *command = at < argc ? command_find(argv[at]) : NULL;
    return flush(command ? run_command(command, argc, argv, at)
                         : run_explorer(argc, argv));
}
