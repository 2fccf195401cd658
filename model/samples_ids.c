/* samples_ids.c - the token ids of samples; see samples.h. */
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "model/firings.h"
#include "model/samples_impl.h"
#include "model/sources.h"

#define MAX_FILES 65536
#define CHECK_IDS 65536 /* token ids at a time */

static const char *const usual_names[] = {"tokens", "token_ids", "input_ids", NULL};

static bool is_tokens(const struct tensor *t)
{
    return !dtype_info[t->dtype].is_float && t->dtype != DTYPE_BOOL &&
           (t->ndim == 1 || t->ndim == 2);
}

static const struct source_want want = {is_tokens, "integers [n_seq, seq_len] or [n_tok]",
                                        usual_names};

const char *samples_tokens_path(const struct samples *s)
{
    return s->n_token_files ? container_path(s->token_files[0]) : s->path;
}

/* --- parts, one behind the other --- */

struct part {
    const struct tensor *t;
    const struct container *in;
};

struct parts {
    struct part *v; /* owned */
    int n, cap;
};

static void add_part(struct parts *p, const struct tensor *t, const struct container *in)
{
    array_grow(p->v, p->n, p->cap);
    p->v[p->n++] = (struct part){t, in};
}

struct copy {
    const struct tensor *t;
    int64_t *out;
};

static void copy_ids(void *ctx)
{
    struct copy *c = ctx;
    tensor_read_i64(c->t, 0, tensor_count(c->t), c->out);
}

/* Rows of one length follow each other, and flat arrays do. */
static bool one_form(const struct parts *p, struct err *err)
{
    char a[64], b[64];
    const struct tensor *first = p->v[0].t;
    for (int i = 1; i < p->n; i++) {
        const struct tensor *t = p->v[i].t;
        if (t->ndim == first->ndim && (t->ndim == 1 || t->shape[1] == first->shape[1]))
            continue;
        return err_set(err, ERR_SHAPE, "%s: token ids of another form than %s (found %s and %s, "
                       "expected parts of one form)", container_path(p->v[i].in),
                       container_path(p->v[0].in), tensor_shape_text(t, a, sizeof a),
                       tensor_shape_text(first, b, sizeof b));
    }
    return true;
}

/* One array of them all: the part itself where there is one, else a copy. */
static bool join(struct samples *s, const struct parts *p, struct err *err)
{
    if (p->n == 1 || !one_form(p, err)) {
        s->tokens = p->n == 1 ? p->v[0].t : NULL;
        return p->n == 1;
    }
    struct tensor *all = &s->ids_tensor;
    *all = (struct tensor){.name = p->v[0].t->name, .dtype = DTYPE_I64, .ndim = p->v[0].t->ndim,
                           .shape = {0, p->v[0].t->shape[1]}};
    int64_t n = 0;
    for (int i = 0; i < p->n; i++) {
        all->shape[0] += p->v[i].t->shape[0];
        n += tensor_count(p->v[i].t); /* no overflow: all lie in files */
    }
    if (n && !scratch_init(&s->ids, NULL, (size_t)n * sizeof(int64_t), "token ids", err))
        return false;
    int64_t *out = s->ids.data;
    for (int i = 0; i < p->n; i++) {
        struct copy copy = {p->v[i].t, out};
        if (!map_guard(copy_ids, &copy, err))
            return false;
        out += tensor_count(p->v[i].t);
    }
    all->data = s->ids.data;
    tensor_set_strides(all, false);
    s->tokens = all;
    return true;
}

/* --- files of ids --- */

/* A file of nothing but numbers does not say of which kind they are. */
static bool not_arrays(const char *path, struct err *err)
{
    size_t n = strlen(path);
    if (err && strstr(err->msg, ": unknown format (") && n > 4 &&
        strcmp(path + n - 4, ".bin") == 0)
        err_set(err, ERR_FORMAT, "%s: raw numbers do not say their kind (found a .bin file, expected "
                "--token-dtype, uint16 for most)", path);
    return false;
}

static bool open_file(struct samples *s, const struct source *source, enum dtype raw,
                      struct parts *parts, const struct progress *progress, struct err *err)
{
    struct container *c = raw != DTYPE_F32 ? container_open_raw(source->path, raw, err)
                                           : container_open(source->path, progress, err);
    if (!c)
        return raw != DTYPE_F32 ? false : not_arrays(source->path, err);
    s->token_files = xreallocarray(s->token_files, (size_t)s->n_token_files + 1,
                                   sizeof *s->token_files);
    s->token_files[s->n_token_files++] = c;
    const struct tensor *t = source_pick(c, source->key, &want, err);
    for (size_t i = 0; t && i < container_count(c); i++) {
        const struct tensor *part = container_at(c, i); /* a column comes in batches */
        if (part == t || (strcmp(part->name, t->name) == 0 && is_tokens(part)))
            add_part(parts, part, c);
    }
    return t != NULL;
}

static bool open_files(struct samples *s, const struct samples_options *o, struct parts *parts,
                       const struct progress *progress, struct err *err)
{
    struct sources sources = {0};
    bool ok = sources_add(&sources, o->tokens, err);
    if (ok && sources.n > MAX_FILES)
        ok = err_set(err, ERR_UNSUPPORTED, "%s: too many files of token ids (found %zu, expected "
                     "at most %d)", o->tokens, sources.n, MAX_FILES);
    for (size_t i = 0; ok && i < sources.n; i++)
        ok = open_file(s, &sources.v[i], o->token_dtype, parts, progress, err);
    sources_finish(&sources);
    return ok;
}

/* --- ids beside the samples --- */

/* The ids that lie beside the samples of shard i; NULL: there are none. */
static const struct tensor *ids_beside(const struct samples *s, int i)
{
    const struct samples_shard *shard = &s->shards[i];
    int batch = 0;
    for (int k = i; k > 0 && s->shards[k - 1].container == shard->container; k--)
        batch++;
    for (int n = 0; usual_names[n]; n++)
        for (size_t k = 0, seen = 0; k < container_count(shard->container); k++) {
            const struct tensor *t = container_at(shard->container, k);
            if (strcmp(t->name, usual_names[n]) == 0 && is_tokens(t) && (int)seen++ == batch)
                return t;
        }
    return NULL;
}

static bool disagree(const char *tokens, const struct tensor *ids, const char *samples,
                     const struct tensor *values, struct err *err)
{
    char a[64], b[64];
    return err_set(err, ERR_SHAPE, "%s: token ids do not fit the samples in %s (found %s and %s, "
                   "expected an id for every sample)", tokens, samples,
                   tensor_shape_text(ids, a, sizeof a), tensor_shape_text(values, b, sizeof b));
}

/* Those of every shard; none where a shard has none. */
static bool find_beside(struct samples *s, struct parts *parts, struct err *err)
{
    for (int i = 0; i < s->n_shards; i++) {
        const struct samples_shard *shard = &s->shards[i];
        const struct tensor *t = ids_beside(s, i);
        const char *path = container_path(shard->container);
        if (!t) {
            parts->n = 0;
            return true;
        }
        if (tensor_count(t) != shard->n_tok)
            return disagree(path, t, path, shard->tensor, err);
        add_part(parts, t, shard->container);
    }
    return true;
}

/* --- ids of firings --- */

/* Rows and positions of a cache of firings, and that its token ids have as many. */
static bool extent_of_firings(struct samples *s, struct err *err)
{
    struct firings *f = s->firings;
    const struct tensor *first = f->parts[0].tokens;
    char a[64], b[64];
    s->dtype = f->parts[0].activations->dtype;
    if (!s->tokens)
        s->tokens = first;
    if (s->tokens && s->tokens->ndim == 2) {
        if (first && tensor_count(first) != tensor_count(s->tokens))
            return err_set(err, ERR_SHAPE, "%s: token ids do not fit the firings in %s (found %s, "
                           "expected %s)", samples_tokens_path(s), s->path,
                           tensor_shape_text(s->tokens, a, sizeof a),
                           tensor_shape_text(first, b, sizeof b));
        f->rows = s->tokens->shape[0];
        f->positions = s->tokens->shape[1];
    }
    if (f->positions < 1 || f->rows < 1 || f->rows > INT64_MAX / f->positions)
        return err_set(err, ERR_MISSING, "%s: a cache of firings of how many tokens? (found no "
                       "token ids and no cache_ctx_len, batch_size and n_tokens in config.json, "
                       "expected --tokens of [rows, positions])", s->path);
    s->seq_len = f->positions;
    s->n_tok = f->rows * f->positions;
    return true;
}

/* --- masks: what their writer does not count is counted here, and told --- */

struct mask_count {
    const struct tensor *t;
    int64_t zeros;
};

static void count_zeros(void *ctx)
{
    struct mask_count *m = ctx;
    int64_t values[512], n = tensor_count(m->t);
    for (int64_t i = 0; i < n; i += 512) {
        int64_t k = n - i < 512 ? n - i : 512;
        tensor_read_i64(m->t, i, k, values);
        for (int64_t j = 0; j < k; j++)
            m->zeros += values[j] == 0;
    }
}

/* The mask beside these ids, all batches of it. */
static bool count_masked(struct samples *s, const struct container *c, struct err *err)
{
    static const char *const names[] = {"mask", "attention_mask"};
    for (int k = 0, found = 0; k < 2 && !found; k++)
        for (size_t i = 0; i < container_count(c); i++) {
            struct mask_count m = {container_at(c, i), 0};
            if (strcmp(m.t->name, names[k]) != 0 || dtype_info[m.t->dtype].is_float)
                continue;
            found = 1;
            if (!map_guard(count_zeros, &m, err))
                return false;
            s->masked += m.zeros;
        }
    return true;
}

/* --- the whole --- */

static bool check_count(const struct samples *s, struct err *err)
{
    const struct tensor *t = s->tokens;
    const char *path = samples_tokens_path(s);
    char a[64];
    if (s->firings)
        return tensor_count(t) == s->n_tok ||
               err_set(err, ERR_SHAPE, "%s: token ids do not fit the firings in %s (found %lld "
                       "ids, expected %lld)", path, s->path, (long long)tensor_count(t),
                       (long long)s->n_tok);
    if (s->n_shards == 0)
        return tensor_count(t) > 0 || err_set(err, ERR_SHAPE, "%s: no token ids (found 0, expected "
                                              "1 or more)", path);
    if (tensor_count(t) == s->n_tok && (t->ndim == 1 || !s->seq_len || t->shape[1] == s->seq_len))
        return true;
    if (s->n_shards == 1)
        return disagree(path, t, s->path, s->shards[0].tensor, err);
    return err_set(err, ERR_SHAPE,
                   "%s: token ids do not fit the samples in %s and %d more files (found %s "
                   "and [%lld, %lld], expected an id for every sample)", path, s->path,
                   s->n_shards - 1, tensor_shape_text(t, a, sizeof a), (long long)s->n_tok,
                   (long long)s->d_in);
}

bool samples_find_ids(struct samples *s, const struct samples_options *o,
                      const struct progress *progress, struct err *err)
{
    struct parts parts = {0};
    bool ok = o->tokens ? open_files(s, o, &parts, progress, err) : find_beside(s, &parts, err);
    ok = ok && (!parts.n || join(s, &parts, err)) && (!s->firings || extent_of_firings(s, err)) &&
         (!s->tokens || check_count(s, err));
    for (int i = 0; ok && i < parts.n; i++)
        if (i == 0 || parts.v[i].in != parts.v[i - 1].in)
            ok = count_masked(s, parts.v[i].in, err);
    free(parts.v);
    return ok;
}

bool samples_check_ids(const struct samples *s, struct err *err)
{
    int64_t *ids = xmalloc(CHECK_IDS * sizeof *ids);
    bool ok = true;
    for (int64_t t = 0; t < s->n_tok && ok; t += CHECK_IDS) {
        int64_t n = s->n_tok - t < CHECK_IDS ? s->n_tok - t : CHECK_IDS;
        samples_ids(s, t, n, ids);
        for (int64_t i = 0; i < n && ok; i++)
            if (ids[i] < 0)
                ok = err_set(err, ERR_RANGE,
                             "%s: bad token id in sequence %lld at position %lld (found "
                             "%lld, expected 0 or more)", samples_tokens_path(s),
                             (long long)samples_sequence(s, t + i),
                             (long long)samples_position(s, t + i), (long long)ids[i]);
    }
    free(ids);
    return ok;
}

void samples_close_ids(struct samples *s)
{
    for (int i = 0; i < s->n_token_files; i++)
        container_close(s->token_files[i]);
    free(s->token_files);
    scratch_finish(&s->ids);
}

void samples_ids(const struct samples *s, int64_t first, int64_t n, int64_t *out)
{
    if (s->tokens)
        tensor_read_i64(s->tokens, first, n, out);
    for (int64_t i = 0; !s->tokens && i < n; i++)
        out[i] = -1;
}
