/* opt.c - see opt.h. */
#include "tui/opt_impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"

enum kind {
    KIND_FLAG,   /* bool */
    KIND_STRING, /* const char * */
    KIND_LIST,   /* const char ** and an int behind it: appends */
    KIND_COUNT,  /* int64_t >= 0 */
    KIND_AMOUNT, /* int64_t >= 1 */
    KIND_SIZE,   /* int64_t bytes: 384M, 1.5G */
    KIND_HOOK,   /* const char *: blocks.L.NAME */
    KIND_IDS,    /* int64_t * and an int: "1,2,3", appends */
    KIND_RANGE,  /* bool, double, double: "LO,HI" */
    KIND_CHOICE, /* const char *: one of the words of `argument` */
};

struct option {
    const char *name;
    char letter; /* 0: none */
    enum kind kind;
    unsigned group;
    size_t at, count_at;  /* offsets in struct opts; count_at of lists */
    const char *argument; /* its name in the help; for KIND_CHOICE the choices */
    const char *help;
};

#define AT(field) offsetof(struct opts, field), 0
#define LIST_AT(field) offsetof(struct opts, field), offsetof(struct opts, n_##field)

static const struct option options[] = {
    {"sae", 's', KIND_LIST, OPT_GENERAL, LIST_AT(saes), "NAME|PATH",
     "which SAE: a bundle's name for it, or a path; repeatable"},
    {"acts", 'a', KIND_LIST, OPT_GENERAL, LIST_AT(acts), "FILE|GLOB",
     "activation samples [n_seq, seq_len, d_in] or [n_tok, d_in]; FILE:KEY picks an "
     "array; repeatable: shards in order"},
    {"tokens", 't', KIND_STRING, OPT_GENERAL, AT(session.tokens), "FILE",
     "token ids [n_seq, seq_len] or [n_tok]"},
    {"token-dtype", 0, KIND_CHOICE, OPT_GENERAL, AT(token_dtype), "uint16|uint32|int32|int64",
     "the file of --tokens is nothing but such numbers (nanoGPT's .bin: uint16)"},
    {"target", 0, KIND_STRING, OPT_GENERAL, AT(session.target), "FILE",
     "of transcoders: what their output should be, like --acts"},
    {"seq-len", 0, KIND_AMOUNT, OPT_GENERAL, AT(session.seq_len), "N",
     "cut flat samples into sequences of N"},
    {"tokenizer", 0, KIND_STRING, OPT_GENERAL, AT(session.tokenizer), "FILE",
     "tokenizer.json, tokenizer.model or vocab.json, or the directory that has one"},
    {"model", 'm', KIND_STRING, OPT_GENERAL, AT(session.model), "DIR",
     "language model: config.json and model.safetensors"},
    {"truth", 0, KIND_STRING, OPT_GENERAL, AT(session.truth), "FILE",
     "true features to hold the decoder against, one a row (default: the bundle's "
     "ground_truth); FILE:KEY picks an array"},
    {"hook", 0, KIND_HOOK, OPT_GENERAL, AT(session.hook), "NAME",
     "where the SAE sits: blocks.L.hook_resid_pre, hook_resid_mid, hook_resid_post, "
     "hook_mlp_out, hook_attn_out"},
    {"sequences", 0, KIND_AMOUNT, OPT_GENERAL, AT(session.sequences), "N",
     "only the first N sequences"},
    {"tokens-limit", 0, KIND_AMOUNT, OPT_GENERAL, AT(session.tokens_limit), "N",
     "only the first N tokens"},
    {"skip-first", 0, KIND_COUNT, OPT_GENERAL, AT(session.skip_first), "N",
     "leave positions below N out of everything"},
    {"skip-tokens", 0, KIND_IDS, OPT_GENERAL, LIST_AT(skip_tokens), "ID,..",
     "leave these token ids out of everything"},
    {"index", 0, KIND_STRING, OPT_GENERAL, AT(session.index), "FILE",
     "where the scan's index is kept (default: the cache directory)"},
    {"no-index", 0, KIND_FLAG, OPT_GENERAL, AT(session.no_index), NULL,
     "neither read nor keep an index"},
    {"rebuild", 0, KIND_FLAG, OPT_GENERAL, AT(session.rebuild), NULL,
     "scan again even if there is an index"},
    {"labels", 0, KIND_STRING, OPT_GENERAL, AT(session.labels), "FILE",
     "labels of features, one JSON object a line"},
    {"format", 0, KIND_STRING, OPT_GENERAL, AT(session.sae.format), "NAME",
     "read the checkpoint as this format, whatever it looks like"},
    {"fold-decoder-norms", 0, KIND_CHOICE, OPT_GENERAL, AT(fold), "on|off",
     "scale decoder rows to unit length (default: as the format's own loader)"},
    {"norm-factor", 0, KIND_STRING, OPT_GENERAL, AT(factor), "N|estimate",
     "multiply the activations by N for the SAE, or by what brings their mean length to "
     "sqrt(d_in)"},
    {"subtract-mean", 0, KIND_STRING, OPT_GENERAL, AT(session.sae.subtract_mean), "KEY",
     "take this vector of the checkpoint off the input and add it to the output"},
    {"subtract-b-dec", 0, KIND_CHOICE, OPT_GENERAL, AT(subtract), "on|off",
     "take b_dec off the input before encoding (default: as the format says)"},
    {"decoder-layer", 0, KIND_COUNT, OPT_GENERAL, AT(decoder_layer), "N",
     "of a cross-layer transcoder: what it writes to layer N (default: the one it reads)"},
    {"memory", 0, KIND_SIZE, OPT_GENERAL, AT(memory), "SIZE",
     "memory beyond mapped files: 384M (default), 1G"},
    {"threads", 'j', KIND_AMOUNT, OPT_GENERAL, AT(threads), "N",
     "threads (default: all cores)"},
    {"seed", 0, KIND_COUNT, OPT_GENERAL, AT(seed), "N",
     "for what is drawn at random (default 0)"},
    {"quick", 0, KIND_FLAG, OPT_GENERAL, AT(session.quick), NULL,
     "leave out what is slow"},

    {"sort", 0, KIND_STRING, OPT_TABLE, AT(sort), "KEY",
     "sort by this column, greatest first (default: by id)"},
    {"reverse", 0, KIND_FLAG, OPT_TABLE, AT(reverse), NULL, "turn the order around"},
    {"filter", 0, KIND_STRING, OPT_TABLE, AT(filter), "EXPR",
     "only these features: density < 0.01 and max > 3 and label ~ \"king\""},
    {"limit", 0, KIND_COUNT, OPT_TABLE, AT(limit), "N", "at most N rows"},
    {"columns", 0, KIND_STRING, OPT_TABLE, AT(columns), "KEY,..",
     "only these columns, and id"},

    {"top", 0, KIND_COUNT, OPT_PAGE | OPT_ABLATE | OPT_TOKEN | OPT_PROMPT, AT(top), "N",
     "how many: strongest examples, features with --by or of a token, parts (default 20)"},
    {"context", 0, KIND_COUNT, OPT_PAGE, AT(context), "N",
     "tokens shown on each side (default 10)"},
    {"raw-logits", 0, KIND_FLAG, OPT_PAGE, AT(raw_logits), NULL,
     "tokens promoted without the gain of the language model's final norm"},

    {"of", 0, KIND_STRING, OPT_HIST, AT(of), "WHAT",
     "b_enc, b_dec, threshold, density, max, decoder_norm, encoder_decoder_cosine, "
     "relative_decoder_norm, delta_fvu"},
    {"bins", 0, KIND_AMOUNT, OPT_HIST, AT(bins), "N", "number of bins (default 64)"},
    {"range", 0, KIND_RANGE, OPT_HIST, AT(range), "LO,HI", "bin only values within"},
    {"log", 0, KIND_FLAG, OPT_HIST, AT(log), NULL, "bin log10 of the values"},

    {"from-samples", 0, KIND_FLAG, OPT_LM, AT(from_samples), NULL,
     "reconstruct the samples instead of the model's own activations"},
    {"baseline", 0, KIND_CHOICE, OPT_LM, AT(baseline), "zero|mean|b_dec",
     "what stands at the hook at worst: zeros (default, the definition), the mean, b_dec"},

    {"mode", 0, KIND_CHOICE, OPT_ABLATE | OPT_PROMPT, AT(mode), "reconstruction|error-kept",
     "out of the reconstruction (default), or out of the activation itself"},
    {"by", 0, KIND_STRING, OPT_ABLATE, AT(by), "KEY",
     "the features that are greatest in this column of features, instead of IDs; also "
     "estimate, max*density"},
    {"at", 0, KIND_COUNT, OPT_ABLATE, AT(at), "SEQUENCE",
     "what changes at every token of this sequence, beside the rest"},

    {"order", 0, KIND_CHOICE, OPT_TOKEN, AT(order), "norm|projection",
     "greatest parts first (default), or those that point most along the activation"},

    {"text", 0, KIND_STRING, OPT_PROMPT | OPT_CAPTURE, AT(text), "STR|FILE",
     "prompt: the text; capture: the file that holds it"},
    {"bos", 0, KIND_CHOICE, OPT_PROMPT | OPT_CAPTURE, AT(bos), "yes|no",
     "begin-of-text in front of the text or not (default: as tokenizer and checkpoint say)"},
    {"output", 'o', KIND_STRING, OPT_CAPTURE, AT(output), "DIR", "the bundle to be made"},
    {"dtype", 0, KIND_CHOICE, OPT_CAPTURE, AT(dtype), "f16|f32", "of the samples (default f16)"},
    {"ablate", 0, KIND_IDS, OPT_PROMPT, LIST_AT(ablate), "ID,..",
     "take these features out, and show what becomes of losses and next token"},

    {"import", 0, KIND_STRING, OPT_LABELS, AT(import_from), "FILE",
     "take over the explanations of this Neuronpedia export; your own labels stay"},

    {"matching", 0, KIND_CHOICE, OPT_COMPARE, AT(matching), "optimal|greedy",
     "which one-to-one matching (default: optimal up to 4096 features)"},
    {"pareto", 0, KIND_FLAG, OPT_COMPARE, AT(pareto), NULL,
     "several SAEs, or all of a bundle, as points: L0 against FVU and score"},
    {"near-l0", 0, KIND_COUNT, OPT_COMPARE, AT(near_l0), "PERCENT",
     "with --pareto: L0 differing by at most this are nearly equal (default 5)"},

    {"against", 0, KIND_STRING, OPT_COSINE, AT(against), "NAME|PATH",
     "the decoder of another SAE"},
    {"weights", 0, KIND_CHOICE, OPT_COSINE, AT(weights), "decoder|encoder",
     "whose rows (default: decoder); another SAE's too"},
    {"matrix", 0, KIND_FLAG, OPT_COSINE, AT(matrix), NULL, "print all cosines"},

    {"to", 0, KIND_CHOICE, OPT_CONVERT, AT(to), "saelens|npy|jumprelu",
     "the form: SAELens 6 (default), plain arrays, an equivalent JumpReLU in SAELens' form"},
    {"zstd", 0, KIND_FLAG, OPT_CONVERT | OPT_CAPTURE, AT(zstd), NULL,
     "arrays (of --to npy) packed as NAME.npy.zst"},

    {"json", 0, KIND_FLAG, OPT_GENERAL, AT(json), NULL, "print one JSON object"},
    {"tsv", 0, KIND_FLAG, OPT_GENERAL, AT(tsv), NULL, "print tab-separated values"},
    {"table", 0, KIND_STRING, OPT_GENERAL, AT(table), "NAME",
     "which nested list --tsv prints"},
    {"color", 0, KIND_CHOICE, OPT_GENERAL, AT(color),
     "auto|always|never|16|256|truecolor", "colours on a terminal"},
    {"ascii", 0, KIND_FLAG, OPT_GENERAL, AT(ascii), NULL, "draw with ASCII only"},
    {"theme", 0, KIND_CHOICE, OPT_GENERAL, AT(theme), "default|light|dark|mono|contrast",
     "colours of the explorer"},
    {"quiet", 'q', KIND_FLAG, OPT_GENERAL, AT(quiet), NULL, "no progress"},
    {"verbose", 0, KIND_FLAG, OPT_GENERAL, AT(verbose), NULL,
     "say on stderr what was recognised and how, what became of the index, how long each "
     "stage took"},
    {"help", 'h', KIND_FLAG, OPT_GENERAL, AT(help), NULL, "this text"},
    {"version", 'V', KIND_FLAG, OPT_GENERAL, AT(version), NULL, "the version"},
};
#define N_OPTIONS ((int)(sizeof options / sizeof *options))

void opt_init(struct opts *o)
{
    *o = (struct opts){.limit = -1, .top = -1, .context = -1, .at = -1,
                       .near_l0 = -1, .decoder_layer = -1};
}

void opt_finish(struct opts *o)
{
    free(o->words);
    free(o->saes);
    free(o->acts);
    free(o->skip_tokens);
    free(o->ablate);
    *o = (struct opts){0};
}

/* --- names ------------------------------------------------------------------------------- */

static const char *option_name(int i)
{
    return options[i].name;
}

static const struct option *find_long(const char *name, size_t len)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (strlen(options[i].name) == len && !memcmp(options[i].name, name, len))
            return &options[i];
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

static bool unknown(const char *word, struct err *err)
{
    char name[NAME_MAX_LEN + 1];
    strncpy(name, word + 2, sizeof name - 1);
    name[sizeof name - 1] = 0;
    name[strcspn(name, "=")] = 0;
    const char *near = opt_nearest(name, option_name, N_OPTIONS);
    if (near)
        return err_set(err, ERR_USAGE, "--%s: unknown option (did you mean --%s?)", name,
                       near);
    return err_set(err, ERR_USAGE, "--%s: unknown option (see saescope --help)", name);
}

/* --- values ------------------------------------------------------------------------------ */

static bool is_choice(const char *choices, const char *word)
{
    for (;;) {
        size_t n = strcspn(choices, "|");
        if (n == strlen(word) && !memcmp(choices, word, n))
            return true;
        if (!choices[n])
            return false;
        choices += n + 1;
    }
}

static void append_string(struct opts *o, const struct option *option, const char *word)
{
    const char ***list = (const char ***)((char *)o + option->at);
    int *n = (int *)((char *)o + option->count_at);
    *list = xreallocarray(*list, (size_t)*n + 1, sizeof **list);
    (*list)[(*n)++] = word;
}

static bool append_ids(struct opts *o, const struct option *option, const char *word)
{
    int64_t **list = (int64_t **)((char *)o + option->at);
    int *n = (int *)((char *)o + option->count_at);
    for (;; word++) {
        int64_t id;
        if (!opt_digits(&word, &id) || (*word && *word != ','))
            return false;
        *list = xreallocarray(*list, (size_t)*n + 1, sizeof **list);
        (*list)[(*n)++] = id;
        if (!*word)
            return true;
    }
}

static const char *const kind_wants[] = {
    [KIND_COUNT] = "a whole number",
    [KIND_AMOUNT] = "a whole number above 0",
    [KIND_SIZE] = "a size such as 384M or 1.5G",
    [KIND_HOOK] = "a hook such as blocks.2.hook_resid_pre",
    [KIND_IDS] = "token ids such as 0,1",
    [KIND_RANGE] = "two numbers LO,HI with LO below HI",
};

static bool set_value(struct opts *o, const struct option *option, const char *word,
                      struct err *err)
{
    void *at = (char *)o + option->at;
    int64_t v = 0;
    bool ok = true;
    switch (option->kind) {
    case KIND_FLAG:
        *(bool *)at = true;
        break;
    case KIND_STRING:
        *(const char **)at = word;
        break;
    case KIND_LIST:
        append_string(o, option, word);
        break;
    case KIND_COUNT:
    case KIND_AMOUNT:
        ok = opt_count(word, &v) && v >= (option->kind == KIND_AMOUNT);
        if (ok)
            *(int64_t *)at = v;
        break;
    case KIND_SIZE:
        ok = opt_size(word, at);
        break;
    case KIND_HOOK:
        ok = opt_is_hook(word);
        if (ok)
            *(const char **)at = word;
        break;
    case KIND_IDS:
        ok = append_ids(o, option, word);
        break;
    case KIND_RANGE:
        o->range.given = ok = opt_range(word, &o->range.lo, &o->range.hi);
        break;
    case KIND_CHOICE:
        if (!is_choice(option->argument, word))
            return err_set(err, ERR_USAGE, "--%s: found '%s', expected %s", option->name,
                           word, option->argument);
        *(const char **)at = word;
        break;
    }
    return ok || err_set(err, ERR_USAGE, "--%s: found '%s', expected %s", option->name,
                         word, kind_wants[option->kind]);
}

/* --- words ------------------------------------------------------------------------------- */

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && !isdigit((unsigned char)word[1]);
}

struct reader {
    struct opts *o;
    int argc, i;
    char *const *argv;
    unsigned groups;
    const char *command;
};

static bool taken(const struct reader *r, const struct option *option, struct err *err)
{
    return (option->group & r->groups) != 0 ||
           err_set(err, ERR_USAGE, "--%s: not an option of %s (see saescope %s --help)",
                   option->name, r->command, r->command);
}

/* The argument: what is `attached`, else the next word. NULL: there is none. */
static const char *argument_of(struct reader *r, const char *attached)
{
    if (attached)
        return attached;
    return r->i + 1 < r->argc ? r->argv[++r->i] : NULL;
}

static bool read_value(struct reader *r, const struct option *option,
                       const char *attached, struct err *err)
{
    const char *word = NULL;
    if (!taken(r, option, err))
        return false;
    if (option->kind != KIND_FLAG && !(word = argument_of(r, attached)))
        return err_set(err, ERR_USAGE, "--%s: needs an argument (expected %s)",
                       option->name, option->argument);
    return set_value(r->o, option, word, err);
}

static bool read_long(struct reader *r, struct err *err)
{
    const char *word = r->argv[r->i], *name = word + 2;
    size_t len = strcspn(name, "=");
    const struct option *option = find_long(name, len);
    if (!option)
        return unknown(word, err);
    if (option->kind == KIND_FLAG && name[len])
        return err_set(err, ERR_USAGE, "--%s: takes no argument (found '%s')",
                       option->name, name + len + 1);
    return read_value(r, option, name[len] ? name + len + 1 : NULL, err);
}

static bool read_letters(struct reader *r, struct err *err)
{
    for (const char *s = r->argv[r->i] + 1; *s; s++) {
        const struct option *option = find_letter(*s);
        if (!option)
            return err_set(err, ERR_USAGE, "-%.1s: unknown option (see saescope --help)", s);
        if (option->kind != KIND_FLAG)
            return read_value(r, option, s[1] ? s + 1 : NULL, err);
        if (!read_value(r, option, NULL, err))
            return false;
    }
    return true;
}

static int on_off(const char *word)
{
    return !word ? 0 : !strcmp(word, "on") ? 1 : -1;
}

static bool settle_factor(struct opts *o, struct err *err)
{
    struct sae_options *sae = &o->session.sae;
    const char *s = o->factor;
    if (!s)
        return true;
    sae->factor_follows = strcmp(s, "estimate") == 0;
    return sae->factor_follows || (opt_double(&s, &sae->norm_factor) && !*s &&
                                   sae->norm_factor > 0) ||
           err_set(err, ERR_USAGE, "--norm-factor: found '%s', expected a number above 0 or "
                                   "estimate", o->factor);
}

/* What is simpler said than kept: bring it to the form that the session takes. */
static bool settle(struct opts *o, struct err *err)
{
    if (o->json && o->tsv)
        return err_set(err, ERR_USAGE, "--tsv: not together with --json");
    if (o->table && !o->tsv)
        return err_set(err, ERR_USAGE, "--table: only together with --tsv");
    if (o->session.no_index && o->session.rebuild)
        return err_set(err, ERR_USAGE, "--rebuild: not together with --no-index");
    if (o->bins > 1 << 20)
        return err_set(err, ERR_USAGE, "--bins: found %lld, expected at most %d",
                       (long long)o->bins, 1 << 20);
    o->session.saes = o->saes;
    o->session.n_saes = o->n_saes;
    o->session.acts = o->acts;
    o->session.n_acts = o->n_acts;
    o->session.skip_tokens = o->skip_tokens;
    o->session.n_skip_tokens = o->n_skip_tokens;
    o->session.memory = (size_t)o->memory;
    o->session.seed = (uint64_t)o->seed;
    o->session.threads = o->threads > 1024 ? 1024 : (int)o->threads;
    o->session.sae.fold = on_off(o->fold);
    o->session.sae.subtract_b_dec = on_off(o->subtract);
    if (!settle_factor(o, err))
        return false;
    if (o->decoder_layer > 1000000)
        return err_set(err, ERR_USAGE, "--decoder-layer: found %lld, expected at most 1000000",
                       (long long)o->decoder_layer);
    o->session.sae.decoder_layer = (int)o->decoder_layer + 1;
    for (int d = 0; o->token_dtype && d < DTYPE_COUNT; d++)
        if (!strcmp(dtype_info[d].name, o->token_dtype))
            o->session.token_dtype = (enum dtype)d;
    if (o->token_dtype && !o->session.tokens)
        return err_set(err, ERR_USAGE, "--token-dtype: only together with --tokens");
    o->session.sae.transcoder = o->session.target != NULL;
    return true;
}

bool opt_parse(struct opts *o, int argc, char *const *argv, unsigned groups,
               const char *command, struct err *err)
{
    struct reader r = {o, argc, 0, argv, groups | OPT_GENERAL, command};
    bool options_end = false;
    o->words = xcalloc((size_t)argc + 1, sizeof *o->words);
    for (; r.i < argc; r.i++) {
        const char *word = argv[r.i];
        if (options_end || !is_option(word))
            o->words[o->n_words++] = word;
        else if (!strcmp(word, "--"))
            options_end = true;
        else if (!(word[1] == '-' ? read_long(&r, err) : read_letters(&r, err)))
            return false;
    }
    return settle(o, err);
}

/* Does this option word use up the next word too? */
static bool wants_next(const char *word)
{
    if (word[1] == '-') {
        const struct option *option = find_long(word + 2, strlen(word + 2));
        return option && option->kind != KIND_FLAG;
    }
    for (const char *s = word + 1; *s; s++) {
        const struct option *option = find_letter(*s);
        if (!option || option->kind != KIND_FLAG)
            return option && !s[1];
    }
    return false;
}

int opt_first_word(int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        if (!is_option(argv[i]))
            return i;
        if (!strcmp(argv[i], "--"))
            return argc; /* what follows is a PATH, whatever it is called */
        i += wants_next(argv[i]);
    }
    return argc;
}

/* --- help -------------------------------------------------------------------------------- */

#define HELP_INDENT 30
#define HELP_WIDTH 92

/* `text` from column HELP_INDENT on, broken at spaces. */
static void put_wrapped(struct str *out, const char *text)
{
    int room = HELP_WIDTH - HELP_INDENT;
    while ((int)strlen(text) > room) {
        int n = room;
        while (n > 1 && text[n] != ' ')
            n--;
        str_appendf(out, "%.*s\n%*s", n, text, HELP_INDENT, "");
        text += n + (text[n] == ' ');
    }
    str_appendf(out, "%s\n", text);
}

void opt_help(struct str *out, unsigned groups)
{
    for (int i = 0; i < N_OPTIONS; i++) {
        const struct option *option = &options[i];
        if (!(option->group & groups))
            continue;
        size_t start = out->len;
        if (option->letter)
            str_appendf(out, "  -%c, --%s", option->letter, option->name);
        else
            str_appendf(out, "      --%s", option->name);
        if (option->argument)
            str_appendf(out, " %s", option->argument);
        int used = (int)(out->len - start);
        if (used > HELP_INDENT - 2)
            str_appendf(out, "\n%*s", HELP_INDENT, "");
        else
            str_appendf(out, "%*s", HELP_INDENT - used, "");
        put_wrapped(out, option->help);
    }
}
