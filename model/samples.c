/* samples.c - finding, checking and reading activation samples; see samples.h. */
#include "model/samples.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/map.h"
#include "io/mem.h"
#include "model/kern.h"
#include "model/samples_impl.h"
#include "model/sources.h"

#define MAX_SHARDS  65536
#define MAX_TOKENS  ((int64_t)UINT32_MAX) /* struct hit counts tokens with 32 bits */
#define MAX_D_IN    ((int64_t)1 << 20)
#define READ_BYTES  ((size_t)256 << 10) /* of a file at a time */

/* --- shards --- */

static bool is_samples(const struct tensor *t)
{
    return dtype_info[t->dtype].is_float && t->ndim >= 2 && t->ndim <= 4;
}

static const char *const usual_names[] = {"activations", "activation", "acts", "states", NULL};
static const struct source_want want = {
    is_samples, "floating point [n_seq, seq_len, d_in] or [n_tok, d_in]", usual_names};

/* Tokens, values a token and the length of the sequences (0: flat) of one array. */
static void layout_of(const struct tensor *t, int64_t *n_tok, int64_t *seq_len,
                      int64_t *d_in)
{
    bool flat = t->ndim == 2;
    *seq_len = flat ? 0 : t->shape[1];
    *n_tok = flat ? t->shape[0] : t->shape[0] * t->shape[1];
    *d_in = 1;
    for (int i = flat ? 1 : 2; i < t->ndim; i++)
        *d_in *= t->shape[i]; /* [.., n_heads, d_head]: head-major, flattened */
}

static bool shards_disagree(const struct samples *s, const struct container *c,
                            const struct tensor *t, struct err *err)
{
    char a[64], b[64];
    return err_set(err, ERR_SHAPE, "%s: another form than %s (found %s and %s, expected shards of "
                   "one form)", container_path(c), s->path, tensor_shape_text(t, a, sizeof a),
                   tensor_shape_text(s->shards[0].tensor, b, sizeof b));
}

static bool add_part(struct samples *s, struct container *c, const struct tensor *t,
                     struct err *err)
{
    int64_t n_tok, seq_len, d_in;
    char shape[64];
    layout_of(t, &n_tok, &seq_len, &d_in);
    if (n_tok < 1 || d_in < 1 || d_in > MAX_D_IN)
        return err_set(err, ERR_SHAPE, "%s: no samples (found %s, expected 1 token or more of 1 to "
                       "%lld values)", container_path(c), tensor_shape_text(t, shape, sizeof shape),
                       (long long)MAX_D_IN);
    struct samples_shard shard = {c, t, s->n_tok, n_tok};
    array_grow(s->shards, s->n_shards, s->cap_shards);
    s->shards[s->n_shards++] = shard;
    if (s->n_shards == 1) {
        s->d_in = d_in;
        s->seq_len = seq_len;
        s->dtype = t->dtype;
    } else if (d_in != s->d_in || seq_len != s->seq_len) {
        return shards_disagree(s, c, t, err);
    }
    s->n_tok += n_tok; /* no overflow: every shard lies in a file */
    return true;
}

/* A file of samples is not followed by one of firings, nor the other way round. */
static bool mixed(const struct samples *s, const struct container *c, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "%s: activations and firings do not go together (found "
                   "both, the others in %s, expected files of one kind)", container_path(c),
                   s->path);
}

static bool add_firings(struct samples *s, const struct container *c, struct err *err)
{
    if (s->n_shards)
        return mixed(s, c, err);
    if (!s->firings)
        s->firings = xcalloc(1, sizeof *s->firings);
    return firings_add(s->firings, c, err);
}

/* The next shard, or as many as its array has batches. */
static bool add_shard(struct samples *s, struct container *c, const char *key,
                      struct err *err)
{
    if (s->firings)
        return mixed(s, c, err);
    const struct tensor *t = source_pick(c, key, &want, err);
    bool ok = t != NULL;
    for (size_t i = 0; ok && i < container_count(c); i++) {
        const struct tensor *part = container_at(c, i);
        if (strcmp(part->name, t->name) != 0 || !is_samples(part))
            continue;
        ok = add_part(s, c, part, err);
    }
    return ok;
}

/* The container now belongs to s. */
static bool add_file(struct samples *s, struct container *c, const char *key,
                     struct err *err)
{
    array_grow(s->files, s->n_files, s->cap_files);
    s->files[s->n_files++] = c;
    if (!s->path)
        s->path = xstrdup(container_path(c));
    return !key && firings_are(c) ? add_firings(s, c, err) : add_shard(s, c, key, err);
}

static bool open_shards(struct samples *s, const struct samples_options *o,
                        const struct progress *progress, struct err *err)
{
    struct sources sources = {0};
    bool ok = true;
    for (int i = 0; i < o->n_acts && ok; i++)
        ok = sources_add(&sources, o->acts[i], err);
    if (ok && sources.n > MAX_SHARDS)
        ok = err_set(err, ERR_UNSUPPORTED, "%s: too many shards (found %zu, expected at most %d)",
                     o->acts[0], sources.n, MAX_SHARDS);
    for (size_t i = 0; i < sources.n && ok; i++) {
        struct container *c = container_open(sources.v[i].path, progress, err);
        ok = c && add_file(s, c, sources.v[i].key, err);
    }
    sources_finish(&sources);
    return ok;
}

/* --- sequences and limits --- */

/* --seq-len N cuts flat data; what has sequences must have that length already. */
static bool cut_sequences(struct samples *s, int64_t n, struct err *err)
{
    int64_t shaped = s->seq_len                                ? s->seq_len
                     : s->tokens && s->tokens->ndim == 2 ? s->tokens->shape[1]
                                                         : 0;
    char shape[64];
    const struct tensor *t =
        s->n_shards && (s->seq_len || !s->tokens) ? s->shards[0].tensor : s->tokens;
    const char *path = t && t == s->tokens ? samples_tokens_path(s) : s->path;
    snprintf(shape, sizeof shape, "sequences of %lld", (long long)s->seq_len);
    if (t)
        tensor_shape_text(t, shape, sizeof shape);
    if (n && shaped && n != shaped)
        return err_set(err, ERR_SHAPE, "%s: sequences of another length (found %s, expected --seq-len "
                       "%lld)", path, shape, (long long)n);
    s->seq_len = n ? n : shaped ? shaped : s->n_tok;
    if (s->n_tok % s->seq_len)
        return err_set(err, ERR_SHAPE,
                       "%s: does not cut into sequences (found %lld tokens, expected a "
                       "multiple of --seq-len %lld)", path,
                       (long long)s->n_tok, (long long)s->seq_len);
    return true;
}

static bool apply_limits(struct samples *s, const struct samples_options *o,
                         struct err *err)
{
    s->n_tok_stored = s->n_tok;
    if (o->sequences > 0 && o->sequences < s->n_tok / s->seq_len)
        s->n_tok = o->sequences * s->seq_len;
    if (o->tokens_limit > 0 && o->tokens_limit < s->n_tok)
        s->n_tok = o->tokens_limit;
    if (s->n_tok > MAX_TOKENS)
        return err_set(err, ERR_RANGE,
                       "%s: too many tokens (found %lld, expected at most %lld; --tokens-limit takes "
                       "fewer)", s->path, (long long)s->n_tok, (long long)MAX_TOKENS);
    s->n_seq = (s->n_tok + s->seq_len - 1) / s->seq_len;
    return true;
}

struct samples *samples_open(const struct samples_options *o, const struct progress *progress,
                             struct err *err)
{
    struct samples *s = xcalloc(1, sizeof *s);
    bool ok = open_shards(s, o, progress, err) &&
              (!s->firings || firings_complete(s->firings, err)) &&
              samples_find_ids(s, o, progress, err);
    if (ok && !samples_have_features(s) && !s->tokens)
        ok = err_set(err, ERR_MISSING, "no samples and no tokens (found none, expected --acts)");
    if (ok && !samples_have_features(s)) {
        s->n_tok = tensor_count(s->tokens);
        s->path = xstrdup(samples_tokens_path(s));
    }
    ok = ok && cut_sequences(s, o->seq_len, err) && apply_limits(s, o, err) &&
         (!s->tokens || samples_check_ids(s, err));
    if (ok)
        return s;
    samples_close(s);
    return NULL;
}

void samples_close(struct samples *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n_files; i++)
        container_close(s->files[i]);
    free(s->files);
    firings_free(s->firings);
    samples_close_ids(s);
    free(s->shards);
    free(s->path);
    free(s);
}

/* --- reading --- */

/* n values of a shard from `first` on, by pread: a file that shrank is an error then and
 * no fault, and pages of the samples do not stay mapped. */
static bool read_stored(const struct samples_shard *shard, int64_t first, int64_t n,
                        float *out, struct err *err)
{
    int64_t offset;
    const struct tensor *t = shard->tensor;
    const char *path = container_path(shard->container);
    int fd = container_fd(shard->container, t, &offset);
    size_t size = (size_t)dtype_info[t->dtype].size;
    offset += first * (int64_t)size;
    if (t->dtype == DTYPE_F32 && !t->swapped)
        return fs_pread(fd, path, out, (size_t)n * size, offset, err);

    int64_t step = (int64_t)(READ_BYTES / size);
    unsigned char *raw = xmalloc(READ_BYTES);
    struct tensor part = {.name = t->name, .dtype = t->dtype, .swapped = t->swapped,
                          .ndim = 1, .stride = {1}, .data = raw};
    bool ok = true;
    for (int64_t i = 0; i < n && ok; i += step) {
        part.shape[0] = n - i < step ? n - i : step;
        ok = fs_pread(fd, path, raw, (size_t)part.shape[0] * size,
                      offset + i * (int64_t)size, err);
        if (ok)
            tensor_read_f32(&part, 0, part.shape[0], out + i);
    }
    free(raw);
    return ok;
}

/* Values out of order are read through the mapping, guarded against a file that shrank. */
struct mapped_read {
    const struct tensor *t;
    int64_t first, n;
    float *out;
};

static void read_mapped(void *ctx)
{
    const struct mapped_read *r = ctx;
    tensor_read_f32(r->t, r->first, r->n, r->out);
}

static bool read_shard(const struct samples *s, const struct samples_shard *shard,
                       int64_t first, int64_t n, float *out, struct err *err)
{
    struct err cause = {0};
    if (!tensor_is_contiguous(shard->tensor)) {
        struct mapped_read r = {shard->tensor, first * s->d_in, n * s->d_in, out};
        return map_guard(read_mapped, &r, err);
    }
    if (read_stored(shard, first * s->d_in, n * s->d_in, out, &cause))
        return true;
    if (cause.code == ERR_FORMAT)
        return err_set(err, ERR_OS, "%s: changed or truncated while open (found another size, "
                       "time or end, expected the file as it was opened)",
                       container_path(shard->container));
    if (err)
        *err = cause;
    return false;
}

bool samples_read(const struct samples *s, int64_t first, int64_t n, float *out,
                  struct err *err)
{
    assert(first >= 0 && n >= 0 && first + n <= s->n_tok_stored);
    for (int i = 0; i < s->n_shards && n > 0; i++) {
        const struct samples_shard *shard = &s->shards[i];
        int64_t skip = first - shard->first;
        if (skip >= shard->n_tok)
            continue;
        int64_t here = shard->n_tok - skip < n ? shard->n_tok - skip : n;
        if (!read_shard(s, shard, skip, here, out, err))
            return false;
        first += here;
        n -= here;
        out += here * s->d_in;
    }
    return true;
}

bool samples_near_mean(const struct samples *s, float *out, struct err *err)
{
    enum { LOOKED_AT = 64 };
    int64_t n = s->n_tok < LOOKED_AT ? s->n_tok : LOOKED_AT, finite = 0;
    float *x = xmalloc((size_t)s->d_in * sizeof *x);
    double *sum = xcalloc((size_t)s->d_in, sizeof *sum);
    bool ok = true;
    for (int64_t i = 0; ok && i < n; i++) {
        ok = samples_read(s, i * (s->n_tok / n), 1, x, err);
        if (!ok || !kern_all_finite(x, s->d_in))
            continue;
        finite++;
        for (int64_t k = 0; k < s->d_in; k++)
            sum[k] += (double)x[k];
    }
    for (int64_t k = 0; ok && k < s->d_in; k++)
        out[k] = finite ? (float)(sum[k] / (double)finite) : 0;
    free(sum);
    free(x);
    return ok;
}

bool samples_unchanged(const struct samples *s, struct err *err)
{
    for (int i = 0; i < s->n_files; i++)
        if (!container_unchanged(s->files[i], err))
            return false;
    for (int i = 0; i < s->n_token_files; i++)
        if (!container_unchanged(s->token_files[i], err))
            return false;
    return true;
}

bool samples_none_left(const struct samples *s, int64_t skipped, struct err *err)
{
    return err_set(err, ERR_MISSING, "%s: no token is left to count (found %lld tokens, %lld "
                   "of them left out for NaN or Inf, expected one that is counted)", s->path,
                   (long long)s->n_tok, (long long)skipped);
}
