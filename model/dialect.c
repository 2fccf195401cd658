/* dialect.c - the table of dialects, and what they share. */
#include "model/dialect.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/json.h"
#include "io/map.h"
#include "io/mem.h"
#include "model/firings.h"
#include "model/weights.h"

static const struct dialect *const dialects[] = {
    &dialect_saelens,
    &dialect_gemma,
    &dialect_sparsify,
    &dialect_llama_scope,
    &dialect_openmoss,
    &dialect_npy,
    &dialect_crosscoder,
    &dialect_circuits,
    &dialect_openai,
    &dialect_dictlearn,
    &dialect_mats,
    &dialect_kissane,
    &dialect_deepseek,
    &dialect_goodfire,
    &dialect_tracer,
};
#define N_DIALECTS (sizeof dialects / sizeof *dialects)

/* --- what lies at a path --- */

struct peek {
    bool done;
    struct container *c; /* NULL: not opened, err says why */
    struct err err;
};

bool checkpoint_init(struct checkpoint *c, const char *path, struct err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_os(err, errno, path, NULL);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT, "%s: not weights (found a device or a pipe, expected a file or "
                       "a directory)", path);
    *c = (struct checkpoint){.path = path, .peek = xcalloc(1, sizeof *c->peek)};
    if (S_ISDIR(st.st_mode)) {
        c->dir = xstrdup(path);
        return true;
    }
    const char *slash = strrchr(path, '/');
    c->file = slash ? slash + 1 : path;
    c->dir = !slash           ? xstrdup(".")
             : slash == path ? xstrdup("/")
                              : xstrndup(path, (size_t)(slash - path));
    return true;
}

void checkpoint_finish(struct checkpoint *c)
{
    if (c->peek)
        container_close(c->peek->c);
    free(c->peek);
    free(c->dir);
    *c = (struct checkpoint){0};
}

char *checkpoint_sibling(const struct checkpoint *c, const char *name)
{
    size_t len = strlen(c->dir);
    bool slash = len && c->dir[len - 1] == '/';
    return xasprintf("%s%s%s", c->dir, slash ? "" : "/", name);
}

bool checkpoint_has(const struct checkpoint *c, const char *name)
{
    struct stat st;
    char *path = checkpoint_sibling(c, name);
    bool has = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    free(path);
    return has;
}

bool checkpoint_offers(const struct checkpoint *c, const char *name)
{
    return c->file ? strcmp(c->file, name) == 0 : checkpoint_has(c, name);
}

bool checkpoint_is_file(const struct checkpoint *c, const char *tail)
{
    size_t n = c->file ? strlen(c->file) : 0, m = strlen(tail);
    return c->file && n >= m && strcmp(c->file + n - m, tail) == 0;
}

/* Is it one of PyTorch's by its name, which then should be true, or by its first bytes? An npz
 * is a zip too, but may have to be unpacked as a whole. */
static bool can_be_peeked(const struct checkpoint *c)
{
    static const char *const tails[] = {".pt", ".pth", ".bin", ".pkl", ".pkl.gz", ".pkl.zst",
                                        ".safetensors"};
    unsigned char head[4] = {0};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (checkpoint_is_file(c, tails[i]))
            return true;
    FILE *file = checkpoint_is_file(c, ".npz") ? NULL : fopen(c->path, "rbe");
    size_t n = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    return (n == sizeof head && memcmp(head, "PK\3\4", sizeof head) == 0) ||
           (n > 1 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5);
}

const struct container *checkpoint_peek(const struct checkpoint *c)
{
    if (c->file && !c->peek->done && can_be_peeked(c)) {
        c->peek->done = true;
        c->peek->c = container_open(c->path, NULL, &c->peek->err);
    }
    return c->peek->c;
}

char *checkpoint_weights(const struct checkpoint *c, const char *name)
{
    return c->file ? xstrdup(c->path) : checkpoint_sibling(c, name);
}

json_t *checkpoint_json(const struct checkpoint *c, const char *name, struct err *err)
{
    char *path = checkpoint_sibling(c, name);
    json_t *root = json_load_path(path, DIALECT_MAX_CONFIG, JSON_LAST_WINS, err);
    if (root && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
        err_set(err, ERR_FORMAT, "%s: no configuration (found a JSON array, expected an object)", path);
    }
    free(path);
    return root;
}

/* --- choosing --- */

/* Formats that are known by a file of theirs and not read. */
static const struct {
    const char *file, *format;
} unread[] = {
    {"sae_weights.pt",          "saelens (PyTorch)"},
    {"sae_weights.safetensors", "openmoss"},
};

static const char *unread_format(const struct checkpoint *c)
{
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++)
        if (checkpoint_offers(c, unread[i].file))
            return unread[i].format;
    return NULL;
}

static const struct dialect *dialect_named(const char *format, struct err *err)
{
    for (size_t i = 0; i < N_DIALECTS; i++)
        if (strcmp(dialects[i]->name, format) == 0)
            return dialects[i];
    char names[256] = "";
    for (size_t i = 0; i < N_DIALECTS; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                 i == 0 ? "" : i + 1 < N_DIALECTS ? ", " : " or ", dialects[i]->name);
    err_set(err, ERR_USAGE, "--format: no such format (found %s, expected %s)", format, names);
    return NULL;
}

const struct dialect *dialect_choose(const struct checkpoint *c, const char *format,
                                     const char **rule, struct err *err)
{
    if (format) {
        *rule = "--format";
        return dialect_named(format, err);
    }
    for (size_t i = 0; i < N_DIALECTS; i++) {
        const char *why = dialects[i]->recognise(c);
        if (why) {
            *rule = why;
            return dialects[i];
        }
    }
    const char *known = unread_format(c);
    const struct container *contents = checkpoint_peek(c);
    if (known) {
        err_set(err, ERR_UNSUPPORTED, "%s: checkpoints of this format are not read (found %s, expected "
                "another)", c->path,
                known);
    } else if (contents ? firings_are(contents) : !c->file && firings_in(c->path)) {
        err_set(err, ERR_MISSING, "%s: not a checkpoint (found a cache of firings, expected the "
                "SAE that it is of; --acts takes the cache)", c->path);
    } else if (c->file && strncmp(c->file, "W_dec_", 6) == 0) {
        err_set(err, ERR_MISSING, "%s: not a checkpoint (found the decoder of a cross-layer "
                "transcoder, expected the path of W_enc_%s beside it)", c->path, c->file + 6);
    } else if (contents) {
        err_set(err, ERR_MISSING, "%s: not a checkpoint (found %zu tensors, the first called "
                "'%.100s', expected the names of an SAE)", c->path, container_count(contents),
                container_at(contents, 0)->name);
    } else if (c->peek->done) {
        if (err)
            *err = c->peek->err;
    } else if (c->file) {
        err_set(err, ERR_MISSING, "%s: not a checkpoint (found a file of another kind, "
                "expected sae_weights.safetensors, params.npz, W_enc.npy, "
                "sae.safetensors or a .pt file)", c->path);
    } else {
        err_set(err, ERR_MISSING, "%s: not a checkpoint (found a directory without weights, "
                "expected sae_weights.safetensors, params.npz, W_enc.npy, sae.safetensors or "
                "ae.pt)", c->path);
    }
    return NULL;
}

/* --- binding --- */

struct container *dialect_container(struct sae *sae, const char *path,
                                    const struct progress *progress, struct err *err)
{
    struct container *c = container_open(path, progress, err);
    if (!c)
        return NULL;
    sae->containers = xreallocarray(sae->containers, (size_t)sae->n_containers + 1,
                                    sizeof *sae->containers);
    sae->containers[sae->n_containers++] = c;
    return c;
}

struct vector_read {
    const struct tensor *t;
    int64_t n;
    float *out;
};

static void read_vector(void *ctx)
{
    const struct vector_read *r = ctx;
    tensor_read_f32(r->t, 0, r->n, r->out);
}

bool dialect_vector(const struct tensor *t, const char *name, int64_t n, float **out,
                    struct err *err)
{
    char shape[64];
    if (!t)
        return true;
    if (!dtype_info[t->dtype].is_float)
        return err_set(err, ERR_UNSUPPORTED, "%s has a wrong dtype (found %s, expected floating point)", name,
                       dtype_info[t->dtype].name);
    if (t->ndim != 1 || t->shape[0] != n)
        return err_set(err, ERR_SHAPE, "%s has a wrong shape (found %s, expected [%lld])", name,
                       tensor_shape_text(t, shape, sizeof shape), (long long)n);
    float *v = mem_try((size_t)n, sizeof *v, name, err);
    if (!v)
        return false;
    struct vector_read read = {t, n, v};
    if (!map_guard(read_vector, &read, err)) {
        free(v);
        return false;
    }
    free(*out);
    *out = v;
    return true;
}

static bool is_matrix(const struct tensor *t, const char *name, struct err *err)
{
    char shape[64];
    if (!t)
        return err_set(err, ERR_MISSING, "there is no %s (found none, expected a matrix)", name);
    if (!dtype_info[t->dtype].is_float)
        return err_set(err, ERR_UNSUPPORTED, "%s has a wrong dtype (found %s, expected floating point)", name,
                       dtype_info[t->dtype].name);
    if (t->ndim != 2 || t->shape[0] < 1 || t->shape[1] < 1)
        return err_set(err, ERR_SHAPE, "%s has a wrong shape (found %s, expected two dimensions)", name,
                       tensor_shape_text(t, shape, sizeof shape));
    return true;
}

/* The matrices, and that they fit each other. */
static bool bind_matrices(struct sae *sae, const struct dialect_tensors *t,
                          struct err *err)
{
    if (!is_matrix(t->W_enc, "W_enc", err) || !is_matrix(t->W_dec, "W_dec", err))
        return false;
    struct mat enc = mat_of(t->W_enc, t->W_enc_is_d_in_first);
    struct mat dec = mat_of(t->W_dec, t->W_dec_is_d_out_first);
    char a[64], b[64];
    tensor_shape_text(t->W_enc, a, sizeof a);
    tensor_shape_text(t->W_dec, b, sizeof b);
    if (enc.rows != dec.rows || (enc.cols != dec.cols && !t->transcodes))
        return err_set(err, ERR_SHAPE, "W_enc and W_dec do not fit (found %s and %s, expected %s and %s)", a, b,
                       t->W_enc_is_d_in_first ? "[d_in, d_sae]" : "[d_sae, d_in]",
                       t->transcodes ? t->W_dec_is_d_out_first ? "[d_out, d_sae]" : "[d_sae, d_out]"
                       : t->W_dec_is_d_out_first ? "[d_in, d_sae]" : "[d_sae, d_in]");
    if (dec.cols > DIALECT_MAX_D_IN)
        return err_set(err, ERR_UNSUPPORTED, "W_dec is too large (found %s, expected at most "
                       "%lld dimensions)", b, (long long)DIALECT_MAX_D_IN);
    if (enc.rows > DIALECT_MAX_D_SAE || enc.cols > DIALECT_MAX_D_IN)
        return err_set(err, ERR_UNSUPPORTED,
                       "W_enc is too large (found %s, expected at most %lld features of %lld dimensions)", a,
                       (long long)DIALECT_MAX_D_SAE, (long long)DIALECT_MAX_D_IN);
    sae->W_enc = enc;
    sae->W_dec = dec;
    sae->d_sae = enc.rows;
    sae->d_in = enc.cols;
    sae->d_out = dec.cols;
    sae->dtype = t->W_enc->dtype;
    return true;
}

/* The other matrix of a GLU encoder. */
static bool bind_glu(struct sae *sae, const struct dialect_tensors *t, struct err *err)
{
    char shape[64];
    if (!t->W_glu)
        return true;
    if (!is_matrix(t->W_glu, "W_glu", err))
        return false;
    struct mat glu = mat_of(t->W_glu, t->W_enc_is_d_in_first);
    if (glu.rows != sae->d_sae || glu.cols != sae->d_in)
        return err_set(err, ERR_SHAPE, "W_glu has a wrong shape (found %s, expected that of "
                       "W_enc)", tensor_shape_text(t->W_glu, shape, sizeof shape));
    if (!t->b_glu)
        return err_set(err, ERR_MISSING, "there is no b_glu (found none, expected a vector)");
    sae->W_glu = glu;
    return dialect_vector(t->b_glu, "b_glu", sae->d_sae, &sae->b_glu, err);
}

/* What goes past the features of a skip transcoder. */
static bool bind_skip(struct sae *sae, const struct dialect_tensors *t, struct err *err)
{
    char shape[64];
    if (!t->transcodes)
        return true;
    if (t->W_skip) {
        if (!is_matrix(t->W_skip, "W_skip", err))
            return false;
        struct mat skip = mat_of(t->W_skip, t->W_skip_is_d_in_first);
        if (skip.rows != sae->d_out || skip.cols != sae->d_in)
            return err_set(err, ERR_SHAPE, "W_skip has a wrong shape (found %s, expected [%lld, "
                           "%lld])", tensor_shape_text(t->W_skip, shape, sizeof shape),
                           (long long)(t->W_skip_is_d_in_first ? sae->d_in : sae->d_out),
                           (long long)(t->W_skip_is_d_in_first ? sae->d_out : sae->d_in));
        sae->W_skip = skip;
    }
    sae_set_transcoder(sae);
    return true;
}

bool dialect_bind(struct sae *sae, const struct dialect_tensors *t, const char *path,
                  struct err *err)
{
    bool ok = bind_matrices(sae, t, err) && bind_skip(sae, t, err);
    if (ok && !t->b_dec && !t->no_b_dec)
        ok = err_set(err, ERR_MISSING, "there is no b_dec (found none, expected a vector)");
    sae->stored = (struct sae_stored){.b_enc = t->b_enc, .b_dec = t->b_dec,
                                      .threshold = t->threshold, .b_gate = t->b_gate,
                                      .b_mag = t->b_mag, .r_mag = t->r_mag};
    if (ok && !t->b_dec)
        sae->b_dec = xcalloc((size_t)sae->d_out, sizeof *sae->b_dec);
    ok = ok && dialect_vector(t->b_dec, "b_dec", sae->d_out, &sae->b_dec, err) &&
         dialect_vector(t->b_enc, "b_enc", sae->d_sae, &sae->b_enc, err) &&
         dialect_vector(t->threshold, "threshold", sae->d_sae, &sae->threshold, err) &&
         dialect_vector(t->b_gate, "b_gate", sae->d_sae, &sae->b_gate, err) &&
         dialect_vector(t->b_mag, "b_mag", sae->d_sae, &sae->b_mag, err) &&
         dialect_vector(t->r_mag, "r_mag", sae->d_sae, &sae->r_mag, err) &&
         bind_glu(sae, t, err);
    return ok || err_path(err, path);
}

bool dialect_scale_by_norms(struct sae *sae, const struct progress *progress,
                            struct err *err)
{
    size_t n = (size_t)sae->d_sae;
    float *norms = mem_try(n, sizeof *norms, "decoder norms", err);
    float *out = mem_try(n, sizeof *out, "decoder norms", err);
    if (!norms || !out || !weights_geometry(sae, 0, progress, norms, NULL, err)) {
        free(norms);
        free(out);
        return false;
    }
    for (size_t j = 0; j < n; j++) /* a zero row never writes anything: any scale will do */
        out[j] = (sae->out_scale ? sae->out_scale[j] : 1) / (norms[j] > 0 ? norms[j] : 1);
    free(sae->out_scale);
    free(sae->act_scale);
    sae->out_scale = out;
    sae->act_scale = norms;
    return true;
}

static bool is_among(const char *key, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

void dialect_ignore_others(struct sae *sae, const json_t *object,
                           const char *const *described, size_t n)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
        if (!is_among(key, described, n))
            json_array_append_new(sae->ignored, json_string(key));
}
