/* session_index.c - where the index of an SAE is, what it stands on, and making it; see
 * session.h. */
#include "model/session_impl.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "io/fidx.h"
#include "io/fs.h"
#include "io/mem.h"
#include "io/str.h"
#include "model/index_format.h"
#include "model/kern.h"

#define EDGE_BYTES   ((size_t)1 << 20)  /* of a file's start and end in its fingerprint */
#define MIDDLE_BYTES ((size_t)64 << 10) /* of each block between */
#define MIDDLE_COUNT 16

/* --- what an index stands on --- */

static bool hash_range(XXH3_state_t *h, int fd, const char *path, unsigned char *buf,
                       size_t n, int64_t offset, struct err *err)
{
    if (!fs_pread(fd, path, buf, n, offset, err))
        return false;
    XXH3_64bits_update(h, buf, n);
    return true;
}

/* A hash of the ends and of blocks spread between them. */
bool session_key_file(struct str *key, const char *path, struct err *err)
{
    struct stat st;
    int fd = fs_open_regular(path, &st, err);
    if (fd < 0)
        return false;
    int64_t size = st.st_size;
    size_t edge = size < (int64_t)EDGE_BYTES ? (size_t)size : EDGE_BYTES;
    unsigned char *buf = xmalloc(EDGE_BYTES);
    XXH3_state_t *h = XXH3_createState();
    XXH3_64bits_reset(h);
    bool ok = hash_range(h, fd, path, buf, edge, 0, err) &&
              hash_range(h, fd, path, buf, edge, size - (int64_t)edge, err);
    int64_t between = size - 2 * (int64_t)EDGE_BYTES - (int64_t)MIDDLE_BYTES;
    for (int i = 0; i < MIDDLE_COUNT && between > 0 && ok; i++)
        ok = hash_range(h, fd, path, buf, MIDDLE_BYTES,
                        (int64_t)EDGE_BYTES + between / MIDDLE_COUNT * i, err);
    str_appendf(key, " %lld %lld.%09ld %016llx\n", (long long)size,
                (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                (unsigned long long)XXH3_64bits_digest(h));
    XXH3_freeState(h);
    free(buf);
    close(fd);
    return ok;
}

/* The weights, and what the configuration beside them makes of them. */
static bool key_sae(struct str *key, const struct sae *sae, struct err *err)
{
    for (int i = 0; i < sae->n_containers; i++) {
        str_puts(key, "weights");
        if (!session_key_file(key, container_path(sae->containers[i]), err))
            return false;
    }
    char *config = json_dumps(sae->config, JSON_COMPACT | JSON_SORT_KEYS);
    str_appendf(key, "format %s %s %d %.9g\nconfig %s\n", sae->format, sae->arch->name,
                (int)sae->norm, (double)sae->norm_factor, config ? config : "");
    free(config);
    /* Of a checkpoint that was looked through for NaN, or was not, the numbers differ. */
    if (sae->broken)
        str_appendf(key, "broken %016llx\n",
                    (unsigned long long)XXH3_64bits(sae->broken, (size_t)sae->d_sae *
                                                                     sizeof *sae->broken));
    return true;
}

static bool key_samples(struct str *key, const struct samples *s, struct err *err)
{
    for (int i = 0; i < s->n_shards; i++)
        if (i == 0 || s->shards[i].container != s->shards[i - 1].container)
            str_appendf(key, "samples %s\n", s->shards[i].tensor->name);
    for (int i = 0; i < s->n_files; i++) {
        str_puts(key, s->firings ? "firings" : "file");
        if (!session_key_file(key, container_path(s->files[i]), err))
            return false;
    }
    for (int i = 0; i < s->n_token_files; i++) {
        str_appendf(key, "tokens %s", s->tokens->name);
        if (!session_key_file(key, container_path(s->token_files[i]), err))
            return false;
    }
    return true;
}

static void key_options(struct str *key, const struct session *s)
{
    const struct session_options *o = &s->options;
    str_appendf(key, "fold %d, b_dec %d, transcoder %d, factor %.17g%s, mean %s\n", o->sae.fold,
                o->sae.subtract_b_dec, o->sae.transcoder, o->sae.norm_factor,
                o->sae.factor_follows ? " estimated" : "",
                o->sae.subtract_mean ? o->sae.subtract_mean : "");
    if (o->sae.decoder_layer)
        str_appendf(key, "decoder layer %d\n", o->sae.decoder_layer - 1);
    if (s->samples)
        str_appendf(key, "sequences of %lld, %lld of %lld tokens\n",
                    (long long)s->samples->seq_len, (long long)s->samples->n_tok,
                    (long long)s->samples->n_tok_stored);
    str_appendf(key, "raw tokens %d\n", (int)o->token_dtype);
    str_appendf(key, "skip first %lld, tokens", (long long)o->skip_first);
    for (int i = 0; i < o->n_skip_tokens; i++)
        str_appendf(key, " %lld", (long long)o->skip_tokens[i]);
    str_puts(key, "\n");
}

static char *index_key(const struct session *s, const struct sae *sae, struct err *err)
{
    struct str key = {0};
    str_appendf(&key, "version %d\n", INDEX_VERSION);
    bool ok = key_sae(&key, sae, err) &&
              (!s->samples || key_samples(&key, s->samples, err)) &&
              (!s->target || key_samples(&key, s->target, err));
    key_options(&key, s);
    if (ok)
        return str_take(&key);
    str_finish(&key);
    return NULL;
}

char *session_index_key(const struct session *s, int i, struct err *err)
{
    assert(s->saes[i].sae);
    return index_key(s, s->saes[i].sae, err);
}

static void put_absolute(struct str *out, const char *path)
{
    char real[PATH_MAX];
    str_appendf(out, "%s\n", realpath(path, real) ? real : path);
}

char *session_index_path(const struct session *s, int i, struct err *err)
{
    const struct session_options *o = &s->options;
    const struct session_sae *e = &s->saes[i];
    if (o->no_index)
        return NULL;
    if (o->index) /* one file for one SAE; further ones beside it */
        return s->n_chosen > 1 && s->chosen[0] != i ? xasprintf("%s.%d", o->index, i)
                                                    : xstrdup(o->index);
    char *dir = fs_cache_dir(err);
    if (!dir)
        return NULL;
    struct str what = {0};
    put_absolute(&what, e->path);
    for (int k = 0; s->samples && k < s->samples->n_shards; k++)
        str_appendf(&what, "%s ", s->samples->shards[k].tensor->name);
    for (int k = 0; s->samples && k < s->samples->n_files; k++)
        put_absolute(&what, container_path(s->samples->files[k]));
    for (int k = 0; s->samples && k < s->samples->n_token_files; k++)
        put_absolute(&what, container_path(s->samples->token_files[k]));
    for (int k = 0; s->target && k < s->target->n_files; k++)
        put_absolute(&what, container_path(s->target->files[k]));
    str_appendf(&what, "format %s\n", o->sae.format ? o->sae.format : "");
    key_options(&what, s);

    char *name = fs_base_name(e->path);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_", *c))
            *c = '_';
    char *path = xasprintf("%s/%.64s-%016llx.index", dir, name,
                           (unsigned long long)XXH3_64bits(what.data, what.len));
    str_finish(&what);
    free(name);
    free(dir);
    return path;
}

/* --- indexes --- */

/* Numbers that are null although nothing is missing. */
static void warn_of_nulls(struct session *s, int i)
{
    const struct session_sae *e = &s->saes[i];
    const struct scan_totals *t = index_totals(e->index);
    long long beyond = 0;
    if (t->cut_activations)
        session_warn(s, "%s: warning: %lld activations of the cache were too great for half "
                     "precision and are taken as %g", e->path, (long long)t->cut_activations,
                     (double)FIRINGS_GREATEST);
    if (!e->sae || !samples_have_inputs(s->samples) ||
        (!sae_rebuilds_input(e->sae) && !s->target))
        return;
    for (int64_t j = 0; j < e->sae->d_sae; j++)
        beyond += !isfinite(index_record(e->index, j)->delta_fvu);
    if (!(t->sum_squares > 0))
        session_warn(s, "%s: warning: the samples do not vary: fvu, explained_variance and "
                     "delta_fvu are null", e->path);
    else if (!isfinite(t->fvu))
        session_warn(s, "%s: warning: the reconstruction is not finite (%s): fvu, "
                     "explained_variance, mse, cosine and delta_fvu are null", e->path,
                     kern_all_finite(e->sae->b_dec, e->sae->d_out)
                         ? "numbers beyond single precision" : "NaN or Inf in b_dec");
    else if (beyond)
        session_warn(s, "%s: warning: delta_fvu of %lld features is beyond single precision "
                     "and null", e->path, beyond);
}

void session_set_index(struct session *s, int i, struct index *index)
{
    index_close(s->saes[i].index);
    s->saes[i].index = index;
    if (index)
        warn_of_nulls(s, i);
}

/* "PATH: why" as a warning about PATH. */
static void damaged_index(struct err *err, const struct err *why, const char *path)
{
    size_t n = strlen(path);
    bool named = n && strncmp(why->msg, path, n) == 0 && why->msg[n] == ':';
    err_set(err, why->code, "%s: warning: the index is not used (%s)", path,
            named ? why->msg + n + 2 : why->msg);
}

struct index *session_index_for(const struct session *s, int i, const struct sae *sae,
                                struct err *err)
{
    struct err e = {0};
    char *key = NULL, *path = NULL;
    struct index *index = NULL;
    if (!s->options.rebuild && sae && samples_have_features(s->samples))
        path = session_index_path(s, i, &e);
    if (path && access(path, F_OK) == 0)
        key = index_key(s, sae, &e);
    if (key)
        index = index_open(path, key, &e);
    if (!index && e.code == ERR_RANGE)
        err_set(err, ERR_RANGE, "%s: warning: the index is of other inputs and is made again "
                "%s", path, strstr(e.msg, "(changed: ") ? strstr(e.msg, "(changed: ")
                                                        : "(changed: the format of indexes)");
    else if (!index && e.code && e.code != ERR_MISSING)
        damaged_index(err, &e, path ? path : "");
    else if (!index)
        err_set(err, ERR_MISSING, "%s: no index", s->saes[i].path);
    free(key);
    free(path);
    return index;
}

struct index *session_read_index(const struct session *s, int i, struct err *err)
{
    return session_index_for(s, i, s->saes[i].sae, err);
}

bool session_open_index(struct session *s, int i)
{
    struct err err = {0};
    struct index *index = s->saes[i].known;
    s->saes[i].known = NULL;
    if (!index)
        index = session_read_index(s, i, &err);
    if (index)
        session_set_index(s, i, index);
    else if (err.code != ERR_MISSING)
        session_warn(s, "%s", err.msg);
    return index != NULL;
}

/* Scan SAE i into an index at `path`. */
static struct index *scan(const struct session *s, int i, const char *path,
                          const struct progress *progress, struct scan_live *live,
                          struct err *err)
{
    struct scan_options options = session_scan_options(s);
    struct scan_totals totals;
    char *key = session_index_key(s, i, err);
    bool ok = key && scan_run(s->saes[i].sae, s->samples, &options, path, key, live,
                              progress, &totals, err);
    struct index *index = ok ? index_open(path, key, err) : NULL;
    free(key);
    return index;
}

/* --no-index: an index without a name, for as long as the session lives. */
static char *nameless_path(struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    char *path = xasprintf("%s/saescope-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
    int fd = mkstemp(path);
    if (fd >= 0) {
        close(fd);
        return path;
    }
    err_os(err, errno, path, "cannot make a temporary file");
    free(path);
    return NULL;
}

static bool holds_something(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0;
}

struct index *session_make_index(const struct session *s, int i,
                                 const struct progress *progress, struct scan_live *live,
                                 struct err *err)
{
    bool nameless = s->options.no_index;
    if (!samples_have_features(s->samples)) {
        err_set(err, ERR_MISSING, "%s: no samples to scan (found none, expected --acts)",
                s->saes[i].path);
        return NULL;
    }
    char *path = nameless ? nameless_path(err) : session_index_path(s, i, err);
    if (path && !nameless && s->options.index && holds_something(path) && !fidx_is(path)) {
        err_set(err, ERR_FORMAT, "%s: this file is not overwritten (found another program's, expected an "
                       "index of saescope)", path);
        free(path);
        return NULL;
    }
    struct index *index = path ? scan(s, i, path, progress, live, err) : NULL;
    if (path && nameless)
        unlink(path);
    free(path);
    return index;
}

bool session_need_index(struct session *s, int i, const struct progress *progress,
                        struct scan_live *live, struct err *err)
{
    if (s->saes[i].index)
        return true;
    if (!session_load(s, i, progress, err))
        return false;
    if (samples_have_features(s->samples) && session_open_index(s, i))
        return true;
    struct index *index = session_make_index(s, i, progress, live, err);
    if (index)
        session_set_index(s, i, index);
    return index != NULL;
}
