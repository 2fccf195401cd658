/* session.c - from the words of the command line to what is open; indexes are
 * session_index.c. */
#include "model/session_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fs.h"
#include "io/labels.h"
#include "io/mem.h"
#include "io/str.h"
#include "model/check.h"

#define CHECK_IDS 65536 /* token ids at a time */

void session_warn(struct session *s, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->warnings = xreallocarray(s->warnings, (size_t)s->n_warnings + 1, sizeof *s->warnings);
    s->warnings[s->n_warnings++] = xstrdup(text);
}

/* "PATH: why" becomes "PATH: warning: what (why)", or as it is where there is no PATH. */
static void warn_why(struct session *s, const char *what, const struct err *why)
{
    const char *rest = strstr(why->msg, ": ");
    if (rest)
        session_warn(s, "%.*s: warning: %s: %s", (int)(rest - why->msg), why->msg, what,
                     rest + 2);
    else
        session_warn(s, "warning: %s: %s", what, why->msg);
}

/* --- which SAEs --- */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static int add_sae(struct session *s, const char *name, const char *path, int64_t step)
{
    s->saes = xreallocarray(s->saes, (size_t)s->n_saes + 1, sizeof *s->saes);
    s->saes[s->n_saes] =
        (struct session_sae){.name = xstrdup(name), .path = xstrdup(path), .step = step};
    return s->n_saes++;
}

static void choose(struct session *s, int i)
{
    s->chosen = xreallocarray(s->chosen, (size_t)s->n_chosen + 1, sizeof *s->chosen);
    s->chosen[s->n_chosen++] = i;
}

/* The SAE at a path, which the bundle may have already. */
static int sae_at_path(struct session *s, const char *path)
{
    for (int i = 0; i < s->n_saes; i++)
        if (same_file(s->saes[i].path, path))
            return i;
    char *name = fs_base_name(path);
    int i = add_sae(s, name, path, -1);
    free(name);
    return i;
}

/* A word of --sae: a name in the bundle, else a path. -1 on failure. */
static int sae_by_word(struct session *s, const char *word, struct err *err)
{
    int i = bundle_find_sae(&s->bundle, word);
    if (i >= 0)
        return i;
    if (fs_exists(word))
        return sae_at_path(s, word);
    struct stat st;
    int why = errno; /* of fs_exists */
    if (lstat(word, &st) == 0) { /* there is a name: a link that leads nowhere or in circles */
        err_os(err, why, word, "cannot open");
        return -1;
    }
    struct str names = {0};
    for (i = 0; i < s->bundle.n_saes && i < 16; i++)
        str_appendf(&names, "%s%s", i ? ", " : "", s->bundle.saes[i].name);
    if (s->bundle.n_saes > 16)
        str_appendf(&names, ", ... (%d)", s->bundle.n_saes);
    if (s->bundle.n_saes)
        err_set(err, ERR_MISSING, "%s: no such SAE (found %s, expected one of them or a path)",
                word, str_text(&names));
    else
        err_set(err, ERR_MISSING, "%s: no such SAE (found no file or directory of that name, "
                "expected one)", word);
    str_finish(&names);
    return -1;
}

static bool open_bundle(struct session *s, const char *path, struct err *err)
{
    if (s->bundle.path)
        return err_set(err, ERR_USAGE, "%s: a second bundle (found one after %s, expected one)", path,
                       s->bundle.path);
    if (!bundle_open(&s->bundle, path, err))
        return false;
    for (int i = 0; i < s->bundle.n_saes; i++) {
        const struct bundle_sae *b = &s->bundle.saes[i];
        add_sae(s, b->name, b->path, b->step);
    }
    return true;
}

/* Bundles first, so that the names in the other words can be looked up. */
static bool choose_saes(struct session *s, struct err *err)
{
    const struct session_options *o = &s->options;
    bool *is_bundle = xcalloc((size_t)o->n_paths + 1, sizeof *is_bundle);
    bool ok = true;
    for (int i = 0; i < o->n_paths && ok; i++) {
        is_bundle[i] = bundle_recognise(o->paths[i]);
        if (is_bundle[i])
            ok = open_bundle(s, o->paths[i], err);
    }
    for (int i = 0; i < o->n_paths + o->n_saes && ok; i++) {
        if (i < o->n_paths && is_bundle[i])
            continue;
        int sae = sae_by_word(s, i < o->n_paths ? o->paths[i] : o->saes[i - o->n_paths], err);
        ok = sae >= 0;
        if (ok)
            choose(s, sae);
    }
    free(is_bundle);
    if (ok && !s->n_chosen && s->n_saes)
        choose(s, 0);
    if (ok && !s->n_chosen && !s->bundle.path)
        ok = err_set(err, ERR_USAGE, "no SAE given (found none, expected a PATH)");
    return ok;
}

/* --- samples, tokens, tokenizer, labels --- */

/* What is taken as it is, and may not be what was meant. */
static void look_at_samples(struct session *s)
{
    const struct samples *samples = s->samples;
    if (samples->masked)
        session_warn(s, "%s: warning: %lld tokens are masked out in the file and counted all the "
                     "same (--skip-tokens leaves ids out)", samples_tokens_path(samples),
                     (long long)samples->masked);
    for (int i = 1; i < samples->n_shards; i++) {
        const char *a = container_path(samples->shards[i - 1].container);
        const char *b = container_path(samples->shards[i].container);
        if (strcmp(a, b) < 0 && strverscmp(a, b) > 0 && samples->n_token_files == 1) {
            session_warn(s, "%s: warning: comes before %s, in order of their names (the directory "
                         "as --acts takes them in order of their numbers)", a, b);
            return;
        }
    }
}

static bool open_samples(struct session *s, const struct progress *progress, struct err *err)
{
    const struct session_options *o = &s->options;
    const struct bundle *b = &s->bundle;
    struct samples_options so = {
        .acts = o->n_acts ? o->acts : (const char *const *)b->acts,
        .n_acts = o->n_acts ? o->n_acts : b->n_acts,
        .tokens = o->tokens ? o->tokens : b->tokens,
        .token_dtype = o->tokens ? o->token_dtype : DTYPE_F32,
        .seq_len = o->seq_len,
        .sequences = o->sequences,
        .tokens_limit = o->tokens_limit,
    };
    if (!so.n_acts && !so.tokens)
        return true;
    s->samples = samples_open(&so, progress, err);
    if (s->samples && s->samples->firings && !s->samples->tokens)
        session_warn(s, "%s: warning: no token ids: the text has as many tokens as config.json "
                     "says (%lld)", s->samples->path, (long long)s->samples->n_tok_stored);
    if (s->samples)
        look_at_samples(s);
    return s->samples != NULL;
}

/* What transcoders should give for the samples, token for token. */
static bool open_target(struct session *s, const struct progress *progress, struct err *err)
{
    const struct session_options *o = &s->options;
    const struct samples *samples = s->samples;
    char a[64], b[64];
    if (!o->target)
        return true;
    if (!samples_have_inputs(samples))
        return err_set(err, ERR_MISSING, "%s: a target without samples (found no --acts, "
                       "expected what the transcoder reads)", o->target);
    struct samples_options so = {.acts = &o->target, .n_acts = 1, .seq_len = samples->seq_len,
                                 .sequences = o->sequences, .tokens_limit = o->tokens_limit};
    s->target = samples_open(&so, progress, err);
    if (!s->target || s->target->n_tok_stored == samples->n_tok_stored)
        return s->target != NULL;
    return err_set(err, ERR_SHAPE, "%s: the target does not fit the samples in %s (found %s and "
                   "%s, expected one for every sample)", s->target->path, samples->path,
                   tensor_shape_text(s->target->shards[0].tensor, a, sizeof a),
                   tensor_shape_text(samples->shards[0].tensor, b, sizeof b));
}

/* Samples and SAE must be of one size. */
static bool check_width(const struct session *s, const char *path, const struct sae *sae,
                        struct err *err)
{
    const struct samples *samples = s->samples, *target = s->target;
    char enc[64], acts[64];
    if (target && !sae_rebuilds_input(sae) && target->d_in != sae->d_out)
        return err_set(err, ERR_SHAPE, "%s: W_dec does not fit the target in %s (found %s and "
                       "%s, expected a target of d_out = %lld)", path, target->path,
                       tensor_shape_text(sae->W_dec.t, enc, sizeof enc),
                       tensor_shape_text(target->shards[0].tensor, acts, sizeof acts),
                       (long long)sae->d_out);
    if (samples && samples->firings)
        return firings_fit(samples->firings, path, sae->d_sae, err);
    if (!samples_have_inputs(samples) || samples->d_in == sae->d_in)
        return true;
    return err_set(err, ERR_SHAPE, "%s: W_enc does not fit the samples in %s (found %s and "
                   "%s, expected samples of d_in = %lld)", path, samples->path,
                   tensor_shape_text(sae->W_enc.t, enc, sizeof enc),
                   tensor_shape_text(samples->shards[0].tensor, acts, sizeof acts),
                   (long long)sae->d_in);
}

/* One warning about all the ids that the tokenizer does not know. */
static void check_ids(struct session *s)
{
    const struct samples *samples = s->samples;
    if (!s->tokenizer || !samples || !samples->tokens)
        return;
    int64_t *ids = xmalloc(CHECK_IDS * sizeof *ids), unknown = 0, first = 0;
    for (int64_t t = 0; t < samples->n_tok; t += CHECK_IDS) {
        int64_t n = samples->n_tok - t < CHECK_IDS ? samples->n_tok - t : CHECK_IDS;
        size_t len;
        samples_ids(samples, t, n, ids);
        for (int64_t i = 0; i < n; i++)
            if (!tokenizer_bytes(s->tokenizer, ids[i], &len) && unknown++ == 0)
                first = ids[i];
    }
    free(ids);
    if (unknown)
        session_warn(s, "%s: warning: %lld token ids are not in the tokenizer %s, the first "
                     "is %lld", samples_tokens_path(samples), (long long)unknown,
                     tokenizer_path(s->tokenizer), (long long)first);
}

static bool open_tokenizer(struct session *s, struct err *err)
{
    const char *path =
        s->options.tokenizer ? s->options.tokenizer : s->bundle.tokenizer;
    if (!path)
        return true;
    s->tokenizer = tokenizer_open(path, err);
    if (s->tokenizer)
        check_ids(s);
    return s->tokenizer != NULL;
}

bool session_need_labels(struct session *s, struct err *err)
{
    struct err e = {0};
    if (s->labels)
        return true;
    s->labels = labels_open(s->options.labels, err);
    if (s->labels && s->bundle.labels &&
        !labels_add_read_only(s->labels, s->bundle.labels, &e))
        warn_why(s, "labels of the bundle are not shown", &e);
    return s->labels != NULL;
}

/* Labels are worth having, and nothing to fail for. */
static void open_labels(struct session *s)
{
    struct err err = {0};
    if (!session_need_labels(s, &err))
        warn_why(s, "labels are not shown", &err);
}

/* Nor is a place for indexes: without one they last as long as the session. */
static void look_for_room(struct session *s)
{
    struct session_options *o = &s->options;
    struct err err = {0};
    if (o->no_index || o->index || !samples_have_features(s->samples))
        return;
    char *dir = fs_cache_dir(&err);
    if (dir && access(dir, W_OK | X_OK) != 0)
        err_os(&err, errno, dir, "cannot be written");
    if (err.code) {
        warn_why(s, "the index is not kept", &err);
        o->no_index = true;
    }
    free(dir);
}

/* --- the session --- */

/* Damage that only reading everything can find. */
static bool check_all(struct sae *sae, const struct progress *progress, struct err *err)
{
    for (int i = 0; i < sae->n_containers; i++)
        if (!container_verify(sae->containers[i], progress, err))
            return false;
    return sae_check_finite(sae, progress, err);
}

static bool check_weights(struct sae *sae, bool all, const struct progress *progress,
                          struct err *err)
{
    if (all)
        return check_all(sae, progress, err);
    sae_check_vectors(sae);
    return true;
}

static bool checks_all(const struct session *s)
{
    return !s->options.unchecked && !s->options.quick;
}

/* What brings the samples to a mean length of sqrt(d_in), as training did. */
static bool estimate_factor(const struct session *s, struct sae *sae,
                            const struct progress *progress, struct err *err)
{
    struct check check;
    if (!samples_have_inputs(s->samples))
        return err_set(err, ERR_MISSING, "%s: --norm-factor estimate: no activation samples "
                       "(found none, expected --acts FILE)", sae->path);
    return check_make(sae, s->samples, progress, &check, err) &&
           sae_set_norm_factor(sae, check.factor, "--norm-factor estimate", err);
}

/* The index, if there is one of these very files made when they had been looked at. */
static struct index *index_of_finite(const struct session *s, int i, struct sae *sae)
{
    struct index *index = session_index_for(s, i, sae, NULL);
    sae->finite = index && index_totals(index)->finite_weights;
    if (sae->finite)
        return index;
    index_close(index);
    return NULL;
}

/* *index, if asked for, gets the index that made looking at all weights needless. */
static struct sae *read_sae(const struct session *s, int i, bool checked,
                            struct index **index, const struct progress *progress,
                            struct err *err)
{
    const char *path = s->saes[i].path;
    struct sae *sae = sae_open(path, &s->options.sae, progress, err);
    bool all = checked && checks_all(s), estimated = s->options.sae.factor_follows;
    struct index *found = sae && all && !estimated ? index_of_finite(s, i, sae) : NULL;
    bool ok = sae && (!checked || found || check_weights(sae, all, progress, err)) &&
              check_width(s, path, sae, err) &&
              (!estimated || estimate_factor(s, sae, progress, err));
    if (ok && index) {
        *index = found;
        found = NULL;
    }
    index_close(found);
    if (ok || !sae)
        return sae;
    sae_close(sae);
    err_path(err, path);
    return NULL;
}

struct sae *session_read_sae(const struct session *s, int i,
                             const struct progress *progress, struct err *err)
{
    return read_sae(s, i, true, NULL, progress, err);
}

void session_set_sae(struct session *s, int i, struct sae *sae)
{
    struct session_sae *e = &s->saes[i];
    assert(!e->sae);
    e->sae = sae;
    e->id = sae_id(sae);
    for (int n = 0; n < sae->n_notes; n++)
        session_warn(s, "%s: warning: %s", e->path, sae->notes[n].text);
    const struct firings *firings = s->samples ? s->samples->firings : NULL;
    int64_t missing = firings ? firings_missing(firings, sae->d_sae) : 0;
    if (missing)
        session_warn(s, "%s: warning: %lld of %lld features are in no file of the cache: "
                     "nothing is known of where they fire", s->samples->path,
                     (long long)missing, (long long)sae->d_sae);
    if (s->target && sae_rebuilds_input(sae))
        session_warn(s, "%s: warning: --target is not used (found a %s, expected a "
                     "transcoder)", e->path, sae->kind);
}

bool session_load(struct session *s, int i, const struct progress *progress,
                  struct err *err)
{
    if (s->saes[i].sae)
        return true;
    struct sae *sae = read_sae(s, i, true, &s->saes[i].known, progress, err);
    if (sae)
        session_set_sae(s, i, sae);
    return sae != NULL;
}

static bool was_unpacked(const struct sae *sae)
{
    for (int i = 0; i < sae->n_containers; i++)
        if (container_unpacked(sae->containers[i]))
            return true;
    return false;
}

/* Is SAE i one that will load? Costs its headers, unless it is compressed. */
static bool look_at(struct session *s, int i, const struct progress *progress,
                    struct err *err)
{
    struct sae *sae = read_sae(s, i, false, NULL, progress, err);
    bool keep = sae && was_unpacked(sae);
    bool ok = sae && (!keep || check_weights(sae, checks_all(s), progress, err));
    if (ok && keep)
        session_set_sae(s, i, sae);
    else
        sae_close(sae);
    return ok;
}

struct session *session_open(const struct session_options *options,
                             const struct progress *progress, struct err *err)
{
    struct session *s = xcalloc(1, sizeof *s);
    s->options = *options;
    if (!s->options.memory)
        s->options.memory = SESSION_MEMORY;
    bool ok = choose_saes(s, err) && open_samples(s, progress, err) &&
              open_target(s, progress, err);
    for (int c = 0; c < s->n_chosen && ok; c++)
        ok = options->deferred ? look_at(s, s->chosen[c], progress, err)
                               : session_load(s, s->chosen[c], progress, err);
    ok = ok && open_tokenizer(s, err);
    if (ok) {
        open_labels(s);
        look_for_room(s);
        return s;
    }
    session_close(s);
    return NULL;
}

void session_close(struct session *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n_saes; i++) {
        index_close(s->saes[i].index);
        index_close(s->saes[i].known);
        sae_close(s->saes[i].sae);
        free(s->saes[i].name);
        free(s->saes[i].path);
    }
    free(s->saes);
    free(s->chosen);
    samples_close(s->samples);
    samples_close(s->target);
    tokenizer_close(s->tokenizer);
    labels_close(s->labels);
    bundle_finish(&s->bundle);
    for (int i = 0; i < s->n_warnings; i++)
        free(s->warnings[i]);
    free(s->warnings);
    free(s);
}

const char *session_truth(const struct session *s)
{
    return s->options.truth ? s->options.truth : s->bundle.ground_truth;
}

const char *session_hook(const struct session *s, int i)
{
    const struct sae *sae = i >= 0 && i < s->n_saes ? s->saes[i].sae : NULL;
    return s->options.hook  ? s->options.hook
           : s->bundle.hook ? s->bundle.hook
           : sae            ? sae->hook
                            : NULL;
}

struct scan_options session_scan_options(const struct session *s)
{
    return (struct scan_options){
        .target = s->target,
        .skip_first = s->options.skip_first,
        .skip_tokens = s->options.skip_tokens,
        .n_skip_tokens = s->options.n_skip_tokens,
        .memory = s->options.memory,
        .threads = s->options.threads,
    };
}
