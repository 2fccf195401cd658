/* lm_weights.c - tensors of the files to weights of the model, and products with them. */
#include "model/lm_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/json.h"
#include "io/map.h"
#include "io/mem.h"
#include "model/kern.h"

#define MAX_SHARDS 4096
#define SINGLE     "model.safetensors"
#define INDEX      "model.safetensors.index.json"

/* ---- files */

static bool add_file(struct lm *lm, const char *name, const struct progress *progress,
                     struct err *err)
{
    char *path = xasprintf("%s/%s", lm->path, name);
    for (int i = 0; i < lm->n_files; i++)
        if (strcmp(container_path(lm->files[i]), path) == 0) {
            free(path);
            return true;
        }
    bool ok = lm->n_files < MAX_SHARDS ||
              err_set(err, ERR_RANGE, "%s/" INDEX ": too many files (found more, expected at most %d)",
                      lm->path, MAX_SHARDS);
    struct container *c = ok ? container_open(path, progress, err) : NULL;
    free(path);
    if (!c)
        return false;
    lm->files = xreallocarray(lm->files, (size_t)lm->n_files + 1, sizeof *lm->files);
    lm->files[lm->n_files++] = c;
    return true;
}

/* The shards that the index names: files beside it. */
static bool add_shards(struct lm *lm, const char *index, const struct progress *progress,
                       struct err *err)
{
    const char *tensor;
    json_t *file;
    json_t *root = json_load_path(index, JSON_MAX_TEXT, JSON_LAST_WINS, err);
    if (!root)
        return false;
    json_t *map = json_object_get(root, "weight_map");
    bool ok = json_is_object(map) ||
              err_set(err, ERR_FORMAT, "%s: 'weight_map' is missing (found none, expected an "
                       "object)",
                      index);
    json_object_foreach(map, tensor, file) {
        const char *name = json_string_value(file);
        if (!ok)
            break;
        ok = (name && name[0] && name[0] != '.' && !strchr(name, '/')) ||
             err_set(err, ERR_FORMAT, "%s: '%s' is in no file (found another value, expected "
                       "a name beside this)",
                     index, tensor);
        ok = ok && add_file(lm, name, progress, err);
    }
    json_decref(root);
    return ok;
}

static bool add_files(struct lm *lm, const struct progress *progress, struct err *err)
{
    struct stat st;
    char *index = xasprintf("%s/" INDEX, lm->path);
    char *single = xasprintf("%s/" SINGLE, lm->path);
    bool ok;
    if (stat(single, &st) == 0)
        ok = add_file(lm, SINGLE, progress, err);
    else if (stat(index, &st) == 0)
        ok = add_shards(lm, index, progress, err);
    else
        ok = err_set(err, ERR_MISSING, "%s: no weights (found none, expected " SINGLE " or " INDEX ")",
                     lm->path);
    free(index);
    free(single);
    return ok;
}

/* ---- tensors */

/* Exports differ in whether the names of the inner model have its name in front. */
static const char *without_prefix(const char *name)
{
    static const char *const prefixes[] = {"transformer.", "model.", "gpt_neox."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) == 0)
            return name + n;
    }
    return name;
}

static const struct tensor *find(struct lm *lm, const char *name,
                                 const struct container **file)
{
    for (int f = 0; f < lm->n_files; f++)
        for (size_t i = 0; i < container_count(lm->files[f]); i++) {
            const struct tensor *t = container_at(lm->files[f], i);
            if (strcmp(without_prefix(t->name), name) == 0) {
                *file = lm->files[f];
                return t;
            }
        }
    return NULL;
}

/* A tensor by its name without ".weight" or ".bias"; `layer` fills the "%lld". */
struct want {
    const char *name, *suffix;
    int64_t layer;
    int ndim;
    int64_t shape[2];
    bool optional;
};

static const char *shape_text(const struct want *w, char *buf, size_t size)
{
    if (w->ndim == 1)
        snprintf(buf, size, "[%lld]", (long long)w->shape[0]);
    else
        snprintf(buf, size, "[%lld, %lld]", (long long)w->shape[0], (long long)w->shape[1]);
    return buf;
}

static bool check_tensor(const struct want *w, const struct tensor *t,
                         const struct container *file, struct err *err)
{
    char found[64], expected[64];
    if (!dtype_info[t->dtype].is_float)
        return err_set(err, ERR_UNSUPPORTED, "%s: tensor '%s' does not hold real numbers "
                       "(found %s, expected float32, float16 or bfloat16)",
                       container_path(file), t->name, dtype_info[t->dtype].name);
    bool same = t->ndim == w->ndim && t->shape[0] == w->shape[0] &&
                (w->ndim == 1 || t->shape[1] == w->shape[1]);
    if (same)
        return true;
    bool turned = w->ndim == 2 && t->ndim == 2 && t->shape[0] == w->shape[1] &&
                  t->shape[1] == w->shape[0];
    return err_set(err, ERR_SHAPE, "%s: tensor '%s' %s (found %s, expected %s)",
                   container_path(file), t->name,
                   turned ? "is transposed" : "has another shape than config.json says",
                   tensor_shape_text(t, found, sizeof found),
                   shape_text(w, expected, sizeof expected));
}

/* *out gets the tensor; NULL when it is optional and not there. */
static bool bind_tensor(struct lm *lm, const struct want *w, const struct tensor **out,
                        struct err *err)
{
    char base[128], name[160], expected[64];
    const struct container *file = NULL;
    /* names come from the table of families alone */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(base, sizeof base, w->name, (long long)w->layer);
#pragma GCC diagnostic pop
    snprintf(name, sizeof name, "%s.%s", base, w->suffix);
    *out = find(lm, name, &file);
    if (!*out)
        return w->optional ||
               err_set(err, ERR_MISSING, "%s: tensor '%s' is missing (found none of that "
                       "name, expected %s)",
                       lm->n_files == 1 ? container_path(lm->files[0]) : lm->path, name,
                       shape_text(w, expected, sizeof expected));
    array_grow(lm->used, lm->n_used, lm->cap_used);
    lm->used[lm->n_used++] = (struct lm_used){*out, file};
    return check_tensor(w, *out, file, err);
}

/* A vector, owned by *out. */
static bool bind_vector(struct lm *lm, const char *name, const char *suffix, int64_t layer,
                        int64_t n, bool optional, float **out, struct err *err)
{
    const struct tensor *t;
    struct want w = {.name = name, .suffix = suffix, .layer = layer, .ndim = 1,
                     .shape = {n}, .optional = optional};
    if (!bind_tensor(lm, &w, &t, err))
        return false;
    if (!t)
        return true;
    *out = xmalloc((size_t)n * sizeof **out);
    tensor_read_f32(t, 0, n, *out);
    return true;
}

static bool bind_norm(struct lm *lm, const char *name, int64_t layer, struct lm_norm *norm,
                      struct err *err)
{
    if (!name)
        return true;
    int64_t d = lm->c.d_model;
    if (!bind_vector(lm, name, "weight", layer, d, false, &norm->w, err) ||
        (!lm->family->rms &&
         !bind_vector(lm, name, "bias", layer, d, false, &norm->b, err)))
        return false;
    if (lm->family->one_plus)
        for (int64_t i = 0; i < d; i++)
            norm->w[i] += 1;
    return true;
}

static bool bind_linear(struct lm *lm, const char *name, int64_t layer, int64_t out,
                        int64_t in, struct lm_linear *l, struct err *err)
{
    const struct tensor *t;
    bool turned = lm->family->conv1d;
    struct want w = {.name = name, .suffix = "weight", .layer = layer, .ndim = 2,
                     .shape = {turned ? in : out, turned ? out : in}};
    if (!name)
        return true;
    if (!bind_tensor(lm, &w, &t, err) ||
        !bind_vector(lm, name, "bias", layer, out, !lm->family->biases, &l->b, err))
        return false;
    l->W = mat_of(t, turned);
    return true;
}

static bool bind_table(struct lm *lm, const char *name, int64_t rows, bool optional,
                       struct mat *m, struct err *err)
{
    const struct tensor *t;
    struct want w = {.name = name, .suffix = "weight", .ndim = 2,
                     .shape = {rows, lm->c.d_model}, .optional = optional};
    if (!bind_tensor(lm, &w, &t, err))
        return false;
    if (t)
        *m = mat_of(t, false);
    return true;
}

static bool bind_layer(struct lm *lm, int64_t i, struct err *err)
{
    const struct lm_names *n = &lm->family->names;
    const struct lm_config *c = &lm->c;
    struct lm_layer *l = &lm->layers[i];
    int64_t q = lm_q_width(lm), kv = lm_kv_width(lm), d = c->d_model;
    return bind_norm(lm, n->norm1, i, &l->norm1, err) &&
           bind_norm(lm, n->norm2, i, &l->norm2, err) &&
           bind_norm(lm, n->attn_post, i, &l->attn_post, err) &&
           bind_norm(lm, n->mlp_post, i, &l->mlp_post, err) &&
           bind_linear(lm, n->qkv, i, q + 2 * kv, d, &l->qkv[0], err) &&
           bind_linear(lm, n->q, i, q, d, &l->qkv[0], err) &&
           bind_linear(lm, n->k, i, kv, d, &l->qkv[1], err) &&
           bind_linear(lm, n->v, i, kv, d, &l->qkv[2], err) &&
           bind_linear(lm, n->o, i, d, q, &l->o, err) &&
           bind_linear(lm, n->gate, i, c->d_mlp, d, &l->gate, err) &&
           bind_linear(lm, n->up, i, c->d_mlp, d, &l->up, err) &&
           bind_linear(lm, n->down, i, d, c->d_mlp, &l->down, err);
}

static bool bind_unembedding(struct lm *lm, struct err *err)
{
    bool told = lm->c.tied_said;
    lm->unembed = lm->embed;
    return (told && lm->c.tied) ||
           bind_table(lm, lm->family->names.unembed, lm->c.vocab, !told || lm->c.tied,
                      &lm->unembed, err);
}

struct binding {
    struct lm *lm;
    struct err *err;
    bool ok;
};

static void bind_all(void *ctx)
{
    struct binding *b = ctx;
    struct lm *lm = b->lm;
    const struct lm_names *n = &lm->family->names;
    b->ok = bind_table(lm, n->embed, lm->c.vocab, false, &lm->embed, b->err) &&
            (!n->positions ||
             bind_table(lm, n->positions, lm->c.context, false, &lm->positions, b->err)) &&
            bind_norm(lm, n->final_norm, 0, &lm->final_norm, b->err) &&
            bind_unembedding(lm, b->err);
    for (int64_t i = 0; i < lm->c.n_layers && b->ok; i++)
        b->ok = bind_layer(lm, i, b->err);
}

bool lm_bind(struct lm *lm, const struct progress *progress, struct err *err)
{
    struct binding b = {.lm = lm, .err = err};
    lm->layers = xcalloc((size_t)lm->c.n_layers, sizeof *lm->layers);
    return add_files(lm, progress, err) && map_guard(bind_all, &b, err) && b.ok;
}

static void norm_finish(struct lm_norm *n)
{
    free(n->w);
    free(n->b);
}

void lm_unbind(struct lm *lm)
{
    for (int64_t i = 0; lm->layers && i < lm->c.n_layers; i++) {
        struct lm_layer *l = &lm->layers[i];
        struct lm_norm *norms[] = {&l->norm1, &l->norm2, &l->attn_post, &l->mlp_post};
        struct lm_linear *linears[] = {&l->qkv[0], &l->qkv[1], &l->qkv[2], &l->o,
                                       &l->gate,   &l->up,     &l->down};
        for (size_t k = 0; k < sizeof norms / sizeof *norms; k++)
            norm_finish(norms[k]);
        for (size_t k = 0; k < sizeof linears / sizeof *linears; k++)
            free(linears[k]->b);
    }
    norm_finish(&lm->final_norm);
    free(lm->layers);
    free(lm->used);
    for (int i = 0; i < lm->n_files; i++)
        container_close(lm->files[i]);
    free(lm->files);
}

/* ---- weights that are not finite */

struct finite {
    const struct lm *lm;
    const struct progress *progress;
    float *block;
    struct err *err;
    bool ok;
};

static bool tensor_finite(struct finite *f, const struct lm_used *u)
{
    int64_t n = tensor_count(u->t), bad = 0, first = 0;
    for (int64_t at = 0; at < n; at += LM_BLOCK) {
        int64_t m = n - at < LM_BLOCK ? n - at : LM_BLOCK;
        tensor_read_f32(u->t, at, m, f->block);
        for (int64_t i = 0; i < m; i++)
            if (!isfinite(f->block[i]) && bad++ == 0)
                first = at + i;
    }
    return bad == 0 ||
           err_set(f->err, ERR_FORMAT, "%s: tensor '%s' is damaged (found %lld values that "
                   "are NaN or infinite, the first at index %lld, expected finite numbers)",
                   container_path(u->file), u->t->name, (long long)bad, (long long)first);
}

static void check_all(void *ctx)
{
    struct finite *f = ctx;
    f->ok = true;
    for (int i = 0; i < f->lm->n_used && f->ok; i++)
        f->ok = tensor_finite(f, &f->lm->used[i]) &&
                (progress_step(f->progress, "looking for NaN", i, f->lm->n_used) ||
                 err_set(f->err, ERR_CANCELLED, "cancelled"));
}

bool lm_check_finite(const struct lm *lm, const struct progress *progress, struct err *err)
{
    struct finite f = {.lm = lm, .progress = progress, .err = err};
    f.block = xmalloc((size_t)LM_BLOCK * sizeof *f.block);
    bool ok = map_guard(check_all, &f, err) && f.ok;
    free(f.block);
    return ok;
}

/* ---- products */

size_t lm_block_floats(const struct lm *lm)
{
    int64_t widest = lm->c.d_mlp > lm_qkv_width(lm) ? lm->c.d_mlp : lm_qkv_width(lm);
    if (lm->c.d_model > widest)
        widest = lm->c.d_model;
    return (size_t)(widest > LM_BLOCK ? widest : LM_BLOCK);
}

void lm_multiply(const struct mat *W, int64_t first, int64_t width, const float *x,
                 int64_t ldx, int64_t n, float *y, int64_t ldy, float *block)
{
    struct mat turned = *W;
    turned.rows = W->cols, turned.cols = W->rows;
    turned.row_stride = W->col_stride, turned.col_stride = W->row_stride;
    int64_t in = W->cols, ld;
    const float *w = mat_f32(W, &ld);
    if (w) {
        kern_gemm_nt(n, width, in, x, ldx, w + first * ld, ld, y, ldy);
        return;
    }
    w = mat_f32(&turned, &ld);
    if (w) {
        kern_gemm_nn(n, width, in, x, ldx, w + first, ld, y, ldy, false);
        return;
    }
    /* Converted by blocks of what lies together in the file. */
    if (W->row_stride >= W->col_stride || width < W->rows) {
        int64_t rows = LM_BLOCK > in ? LM_BLOCK / in : 1;
        for (int64_t r = 0; r < width; r += rows) {
            int64_t m = width - r < rows ? width - r : rows;
            mat_read_rows(W, first + r, m, block);
            kern_gemm_nt(n, m, in, x, ldx, block, in, y + r, ldy);
        }
    } else {
        int64_t rows = LM_BLOCK > width ? LM_BLOCK / width : 1;
        for (int64_t r = 0; r < in; r += rows) {
            int64_t m = in - r < rows ? in - r : rows;
            mat_read_rows(&turned, r, m, block);
            kern_gemm_nn(n, width, m, x + r, ldx, block, width, y, ldy, r > 0);
        }
    }
}

void lm_linear(const struct lm_linear *l, const float *x, int64_t ldx, int64_t n, float *y,
               int64_t ldy, float *block)
{
    lm_multiply(&l->W, 0, l->W.rows, x, ldx, n, y, ldy, block);
    for (int64_t i = 0; l->b && i < n; i++)
        for (int64_t j = 0; j < l->W.rows; j++)
            y[i * ldy + j] += l->b[j];
}
