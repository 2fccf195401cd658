/* samples.c - finding, checking and reading activation samples and token ids. */
#include "model/samples.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/fs.h"
#include "io/json.h"
#include "io/map.h"
#include "io/mem.h"
#include "io/str.h"
#include "model/kern.h"

#define MAX_SHARDS  65536
#define MAX_TOKENS  ((int64_t)UINT32_MAX) /* struct hit counts tokens with 32 bits */
#define MAX_D_IN    ((int64_t)1 << 20)
#define READ_BYTES  ((size_t)256 << 10) /* of a file at a time */
#define CHECK_IDS   65536               /* token ids at a time */
#define MAX_STATE   ((size_t)4 << 20)   /* bytes of a state.json */

/* --- names: FILE, FILE:KEY, GLOB --- */

struct source {
    char *path, *key; /* owned; key NULL: none given */
};

/* The ':' that may stand before a KEY, or NULL. */
static const char *key_colon(const char *word)
{
    const char *colon = strrchr(word, ':');
    return colon && colon != word && colon[1] ? colon : NULL;
}

struct sources {
    struct source *v;
    size_t n, cap;
};

static void sources_finish(struct sources *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].path);
        free(s->v[i].key);
    }
    free(s->v);
    *s = (struct sources){0};
}

static void sources_push(struct sources *s, const char *path, const char *key)
{
    array_grow(s->v, s->n, s->cap);
    s->v[s->n++] = (struct source){xstrdup(path), xstrdup(key)};
}

/* The files that a dataset's state.json lists, which lie beside it. */
static bool sources_add_dataset(struct sources *s, const char *dir, const char *state,
                                const char *key, struct err *err)
{
    json_t *root = json_load_path(state, MAX_STATE, JSON_LAST_WINS, err);
    const json_t *files = json_object_get(root, "_data_files");
    bool ok = root != NULL;
    if (ok && (!json_is_array(files) || !json_array_size(files)))
        ok = err_set(err, ERR_FORMAT, "%s: no list of files (found no _data_files, expected "
                     "some)", state);
    for (size_t i = 0; ok && i < json_array_size(files); i++) {
        const char *name = json_string_value(
            json_object_get(json_array_get(files, i), "filename"));
        char *path = name ? fs_resolve_below(dir, name, err) : NULL;
        ok = path || (!name && err_set(err, ERR_FORMAT, "%s: _data_files without a name (found "
                                       "none, expected 'filename')", state));
        if (path)
            sources_push(s, path, key);
        free(path);
    }
    json_decref(root);
    return ok;
}

/* The directory of the one cache of firings below `dir`, which has one for each module of
 * the language model; owned. NULL: there are none (ERR_MISSING) or several to choose from. */
static char *firings_below(const char *dir, struct err *err)
{
    struct fs_names names = {0};
    char *only = NULL;
    size_t from = strlen(dir) + 1, n = 0;
    struct str list = {0};
    bool found = fs_glob_in(dir, "*/" FIRINGS_PATTERN, &names, NULL);
    for (size_t i = 0; i < names.n; i++) {
        int len = (int)(strrchr(names.name[i], '/') - names.name[i]);
        if (only && strncmp(names.name[i], only, (size_t)len) == 0 && !only[len])
            continue;
        free(only);
        only = xstrndup(names.name[i], (size_t)len);
        if (n++ < 8)
            str_appendf(&list, "%s%s", n > 1 ? ", " : "", only + from);
    }
    if (n > 1)
        err_set(err, ERR_MISSING, "%s: several caches of firings (found %s%s, expected one of "
                "these directories)", dir, str_text(&list), n > 8 ? ", ..." : "");
    else if (!found)
        err_set(err, ERR_MISSING, "%s: no samples in the directory (found none, expected "
                ".safetensors, .npy or .arrow files)", dir);
    if (n != 1) {
        free(only);
        only = NULL;
    }
    str_finish(&list);
    fs_names_free(&names);
    return only;
}

static bool sources_add_directory(struct sources *s, const char *dir, const char *key,
                                  struct err *err)
{
    static const char *const patterns[] = {"*.safetensors", "*.npy", "*.npy.zst", "*.arrow"};
    char *state = xasprintf("%s/state.json", dir);
    bool listed = fs_exists(state), ok = listed && sources_add_dataset(s, dir, state, key, err);
    free(state);
    for (size_t i = 0; !listed && !ok && i < sizeof patterns / sizeof *patterns; i++) {
        struct fs_names names = {0};
        ok = fs_glob_in(dir, patterns[i], &names, NULL);
        for (size_t k = 0; k < names.n; k++)
            sources_push(s, names.name[k], key);
        fs_names_free(&names);
    }
    if (ok || listed)
        return ok;
    char *below = firings_below(dir, err);
    ok = below && sources_add_directory(s, below, key, err);
    free(below);
    return ok;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool sources_add_glob(struct sources *s, const char *pattern, const char *key,
                             struct err *err)
{
    struct fs_names names = {0};
    if (is_directory(pattern))
        return sources_add_directory(s, pattern, key, err);
    if (!fs_glob(pattern, &names, err))
        return false;
    for (size_t i = 0; i < names.n; i++)
        sources_push(s, names.name[i], key);
    fs_names_free(&names);
    return true;
}

/* A file of the literal name wins; then FILE:KEY; then a glob of the whole word. */
static bool sources_add(struct sources *s, const char *word, struct err *err)
{
    const char *colon = fs_exists(word) ? NULL : key_colon(word);
    if (!colon)
        return sources_add_glob(s, word, NULL, err);
    char *path = xstrndup(word, (size_t)(colon - word));
    bool ok = sources_add_glob(s, path, colon + 1, NULL);
    free(path);
    return ok || sources_add_glob(s, word, NULL, err);
}

/* --- picking the array --- */

static bool is_samples(const struct tensor *t)
{
    return dtype_info[t->dtype].is_float && t->ndim >= 2 && t->ndim <= 4;
}

static bool is_tokens(const struct tensor *t)
{
    return !dtype_info[t->dtype].is_float && t->dtype != DTYPE_BOOL &&
           (t->ndim == 1 || t->ndim == 2);
}

/* "a, b, c" of the arrays of a container. */
static char *key_list(const struct container *c)
{
    char *list = xstrdup("");
    size_t n = container_count(c);
    for (size_t i = 0; i < n && i < 8; i++) {
        char *longer = xasprintf("%s%s%s", list, i ? ", " : "", container_at(c, i)->name);
        free(list);
        list = longer;
    }
    if (n <= 8)
        return list;
    char *longer = xasprintf("%s, ... (%zu)", list, n);
    free(list);
    return longer;
}

/* The array that `key` names, else the only one of the right kind. */
static const struct tensor *pick(const struct container *c, const char *key,
                                 bool (*fits)(const struct tensor *), const char *expected,
                                 struct err *err)
{
    const struct tensor *found = key ? container_find(c, key) : NULL;
    size_t n_fit = 0, n = container_count(c);
    for (size_t i = 0; i < n && !key; i++) {
        const struct tensor *t = container_at(c, i);
        /* A column of several batches is one array. */
        if (fits(t) && !(found && strcmp(found->name, t->name) == 0)) {
            found = n_fit ? found : t;
            n_fit++;
        }
    }
    if (!key && n == 1) { /* say what is wrong with it rather than that there is none */
        found = container_at(c, 0);
        n_fit = 1;
    }
    if (!found || n_fit > 1) {
        char *list = key_list(c);
        if (key)
            err_set(err, ERR_MISSING, "%s: there is no array '%s' (found %s, expected that name)",
                    container_path(c), key, *list ? list : "an array without a name");
        else
            err_set(err, ERR_MISSING,
                    "%s: FILE:KEY must pick an array (found %s, expected one of %s)",
                    container_path(c), list, expected);
        free(list);
        return NULL;
    }
    if (!fits(found)) {
        char shape[64];
        err_set(err, ERR_SHAPE, "%s: not an array of that kind (found %s %s, expected %s)",
                container_path(c),
                dtype_info[found->dtype].name, tensor_shape_text(found, shape, sizeof shape),
                expected);
        return NULL;
    }
    return found;
}

/* --- shards --- */

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
    const struct tensor *t = pick(c, key, is_samples,
                                  "floating point [n_seq, seq_len, d_in] or [n_tok, d_in]",
                                  err);
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

/* --- tokens --- */

const char *samples_tokens_path(const struct samples *s)
{
    return s->tokens_container ? container_path(s->tokens_container) : s->path;
}

/* The ids that lie beside the samples of shard i; NULL: there are none that fit. */
static const struct tensor *ids_beside(const struct samples *s, int i)
{
    static const char *const names[] = {"tokens", "token_ids", "input_ids"};
    const struct samples_shard *shard = &s->shards[i];
    int batch = 0;
    for (int k = i; k > 0 && s->shards[k - 1].container == shard->container; k--)
        batch++;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t k = 0, seen = 0; k < container_count(shard->container); k++) {
            const struct tensor *t = container_at(shard->container, k);
            if (strcmp(t->name, names[n]) == 0 && (int)seen++ == batch)
                return is_tokens(t) && tensor_count(t) == shard->n_tok ? t : NULL;
        }
    return NULL;
}

struct ids_copy {
    const struct tensor *t;
    int64_t *out;
};

static void copy_ids(void *ctx)
{
    struct ids_copy *c = ctx;
    tensor_read_i64(c->t, 0, tensor_count(c->t), c->out);
}

/* Ids beside the samples of every shard, one behind the other. */
static bool take_ids_beside(struct samples *s, struct err *err)
{
    for (int i = 0; i < s->n_shards; i++)
        if (!ids_beside(s, i))
            return true;
    if (!s->n_shards || !scratch_init(&s->ids, NULL, (size_t)s->n_tok * sizeof(int64_t),
                                      "token ids", err))
        return !s->n_shards;
    for (int i = 0; i < s->n_shards; i++) {
        struct ids_copy copy = {ids_beside(s, i), (int64_t *)s->ids.data + s->shards[i].first};
        if (!map_guard(copy_ids, &copy, err))
            return false;
    }
    s->ids_tensor = (struct tensor){.name = "tokens", .dtype = DTYPE_I64, .ndim = 1,
                                    .shape = {s->n_tok}, .data = s->ids.data};
    tensor_set_strides(&s->ids_tensor, false);
    s->tokens = &s->ids_tensor;
    return true;
}

static bool open_tokens(struct samples *s, const char *word, enum dtype raw,
                        const struct progress *progress, struct err *err)
{
    struct sources sources = {0};
    bool ok = sources_add(&sources, word, err);
    if (ok && sources.n != 1)
        ok = err_set(err, ERR_UNSUPPORTED, "%s: not one file of token ids (found %zu, expected 1)",
                     word, sources.n);
    if (ok) {
        s->tokens_container = raw != DTYPE_F32
                                  ? container_open_raw(sources.v[0].path, raw, err)
                                  : container_open(sources.v[0].path, progress, err);
        if (s->tokens_container)
            s->tokens = pick(s->tokens_container, sources.v[0].key, is_tokens,
                             "integers [n_seq, seq_len] or [n_tok]", err);
        ok = s->tokens != NULL;
    }
    sources_finish(&sources);
    return ok;
}

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

static bool tokens_disagree(const struct samples *s, struct err *err)
{
    char a[64], b[64];
    const char *path = samples_tokens_path(s);
    tensor_shape_text(s->tokens, a, sizeof a);
    if (s->n_shards == 1)
        return err_set(err, ERR_SHAPE, "%s: token ids do not fit the samples in %s (found %s and "
                       "%s, expected an id for every sample)", path, s->path, a,
                       tensor_shape_text(s->shards[0].tensor, b, sizeof b));
    return err_set(err, ERR_SHAPE,
                   "%s: token ids do not fit the samples in %s and %d more files (found %s "
                   "and [%lld, %lld], expected an id for every sample)", path, s->path,
                   s->n_shards - 1, a, (long long)s->n_tok, (long long)s->d_in);
}

static bool check_tokens(const struct samples *s, struct err *err)
{
    int64_t ids = tensor_count(s->tokens);
    bool flat = s->tokens->ndim == 1;
    if (s->firings)
        return ids == s->n_tok ||
               err_set(err, ERR_SHAPE, "%s: token ids do not fit the firings in %s (found %lld "
                       "ids, expected %lld)", samples_tokens_path(s), s->path, (long long)ids,
                       (long long)s->n_tok);
    if (s->n_shards == 0)
        return ids > 0 || err_set(err, ERR_SHAPE, "%s: no token ids (found 0, expected 1 or more)",
                                  samples_tokens_path(s));
    if (ids != s->n_tok || (!flat && s->seq_len && s->tokens->shape[1] != s->seq_len))
        return tokens_disagree(s, err);
    return true;
}

/* All ids in use are 0 or more. */
static bool check_ids(const struct samples *s, struct err *err)
{
    int64_t *ids = xmalloc(CHECK_IDS * sizeof *ids);
    bool ok = true;
    for (int64_t t = 0; t < s->n_tok && ok; t += CHECK_IDS) {
        int64_t n = s->n_tok - t < CHECK_IDS ? s->n_tok - t : CHECK_IDS;
        tensor_read_i64(s->tokens, t, n, ids);
        for (int64_t i = 0; i < n && ok; i++)
            if (ids[i] < 0)
                ok = err_set(err, ERR_RANGE,
                             "%s: bad token id in sequence %lld at position %lld (found "
                             "%lld, expected 0 or more)",
                             samples_tokens_path(s),
                             (long long)samples_sequence(s, t + i),
                             (long long)samples_position(s, t + i), (long long)ids[i]);
    }
    free(ids);
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
                       "%s: %lld tokens (expected at most %lld; --tokens-limit takes fewer)",
                       s->path,
                       (long long)s->n_tok, (long long)MAX_TOKENS);
    s->n_seq = (s->n_tok + s->seq_len - 1) / s->seq_len;
    return true;
}

struct samples *samples_open(const struct samples_options *o, const struct progress *progress,
                             struct err *err)
{
    struct samples *s = xcalloc(1, sizeof *s);
    bool ok = open_shards(s, o, progress, err) &&
              (!s->firings || firings_complete(s->firings, err)) &&
              (o->tokens ? open_tokens(s, o->tokens, o->token_dtype, progress, err)
                         : take_ids_beside(s, err)) &&
              (!s->firings || extent_of_firings(s, err));
    if (ok && !samples_have_features(s) && !s->tokens)
        ok = err_set(err, ERR_MISSING, "no samples and no tokens (found none, expected --acts)");
    ok = ok && (!s->tokens || check_tokens(s, err));
    if (ok && !samples_have_features(s)) {
        s->n_tok = tensor_count(s->tokens);
        s->path = xstrdup(samples_tokens_path(s));
    }
    ok = ok && cut_sequences(s, o->seq_len, err) && apply_limits(s, o, err) &&
         (!s->tokens || check_ids(s, err));
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
    scratch_finish(&s->ids);
    free(s->shards);
    container_close(s->tokens_container);
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
        return err_set(err, ERR_OS, "%s: changed or truncated while open",
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

void samples_ids(const struct samples *s, int64_t first, int64_t n, int64_t *out)
{
    if (s->tokens)
        tensor_read_i64(s->tokens, first, n, out);
    for (int64_t i = 0; !s->tokens && i < n; i++)
        out[i] = -1;
}

bool samples_unchanged(const struct samples *s, struct err *err)
{
    for (int i = 0; i < s->n_files; i++)
        if (!container_unchanged(s->files[i], err))
            return false;
    return !s->tokens_container || container_unchanged(s->tokens_container, err);
}

bool samples_none_left(const struct samples *s, int64_t skipped, struct err *err)
{
    return err_set(err, ERR_MISSING, "%s: no token is left to count (found %lld tokens, %lld "
                   "of them left out for NaN or Inf, expected one that is counted)", s->path,
                   (long long)s->n_tok, (long long)skipped);
}
