/* dialect_keys.c - see dialect_keys.h. */
#include "model/dialect_keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"

#define MAX_WRAPPINGS 3

static const char *const wrappings[] = {
    "state_dict", "model_state_dict", "sae", "ae", "autoencoder", "model", "module",
    "_orig_mod",
};
#define N_WRAPPINGS (sizeof wrappings / sizeof *wrappings)

static bool is_wrapping(const char *part, size_t len)
{
    for (size_t i = 0; i < N_WRAPPINGS; i++)
        if (strlen(wrappings[i]) == len && strncmp(wrappings[i], part, len) == 0)
            return true;
    return len > 0 && strspn(part, "0123456789") == len; /* of a list or tuple */
}

/* Is the first n bytes of name nothing but wrappings, each with its dot? */
static bool is_wrapped(const char *name, size_t n)
{
    const char *end = name + n;
    for (int depth = 0; name < end; depth++) {
        size_t len = strcspn(name, ".");
        if (!is_wrapping(name, len) || depth == MAX_WRAPPINGS)
            return false;
        name += len + 1;
    }
    return true;
}

/* The prefix of `name` if it ends in `wanted` and all before is wrapping; else -1. */
static int wrapping_of(const char *name, const char *wanted)
{
    size_t n = strlen(name), m = strlen(wanted);
    if (n < m || strcmp(name + n - m, wanted) != 0 || (n > m && name[n - m - 1] != '.') ||
        n - m >= sizeof((struct keys *)0)->prefix || !is_wrapped(name, n - m))
        return -1;
    return (int)(n - m);
}

static const char *const *first_wrapped(const struct container *c, const char *const *names)
{
    for (; *names; names++)
        for (size_t i = 0; i < container_count(c); i++)
            if (wrapping_of(container_at(c, i)->name, *names) >= 0)
                return names;
    return NULL;
}

bool keys_find(struct keys *k, const struct container *c, const char *const *names,
               struct err *err)
{
    const char *const *wanted = first_wrapped(c, names);
    if (!wanted)
        return err_set(err, ERR_MISSING, "there is no '%s' (found %zu other tensors, expected it)",
                       names[0], container_count(c));
    struct keys found = {.c = c};
    const char *first = NULL;
    for (size_t i = 0; i < container_count(c); i++) {
        const char *name = container_at(c, i)->name;
        int n = wrapping_of(name, *wanted);
        if (n == 0) { /* what is not wrapped counts before all others */
            *k = (struct keys){.c = c};
            return true;
        }
        if (n < 0)
            continue;
        if (first)
            return err_set(err, ERR_FORMAT, "found both '%.100s' and '%.100s', expected one "
                           "set of weights", first, name);
        first = name;
        memcpy(found.prefix, name, (size_t)n);
    }
    *k = found;
    return true;
}

static const char *prefixed(const struct keys *k, const char *name, char buf[256])
{
    snprintf(buf, 256, "%s%s", k->prefix, name);
    return buf;
}

const struct tensor *keys_tensor(const struct keys *k, const char *name)
{
    char buf[256];
    return container_find(k->c, prefixed(k, name, buf));
}

const json_t *keys_value(const struct keys *k, const char *name)
{
    char buf[256];
    const json_t *v = container_value(k->c, prefixed(k, name, buf));
    return v && !json_is_null(v) ? v : NULL;
}

struct number {
    const struct tensor *t;
    double value;
};

static void read_number(void *ctx)
{
    struct number *n = ctx;
    float f;
    int64_t i;
    if (dtype_info[n->t->dtype].is_float) {
        tensor_read_f32(n->t, 0, 1, &f);
        n->value = f;
    } else {
        tensor_read_i64(n->t, 0, 1, &i);
        n->value = (double)i;
    }
}

bool keys_number(const struct keys *k, const char *name, double *out)
{
    struct number n = {.t = keys_tensor(k, name)};
    if (n.t) {
        if (tensor_count(n.t) != 1 || !map_guard(read_number, &n, NULL))
            return false;
        *out = n.value;
        return true;
    }
    const json_t *v = keys_value(k, name);
    if (!json_is_number(v))
        return false;
    *out = json_number_value(v);
    return true;
}

void keys_note_mean(struct sae *sae, const struct keys *k)
{
    static const char *const names[] = {"act_mean", "mean", "activation_mean", "data_mean",
                                        "mean_activation", "running_mean"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct tensor *t = keys_tensor(k, names[i]);
        if (!t)
            t = container_find(k->c, names[i]);
        if (t && t->ndim == 1 && t->shape[0] == sae->d_in) {
            if (!sae->options.subtract_mean)
                sae_add_note(sae, "'%s' in the file is not taken off the input "
                                  "(--subtract-mean %s)", names[i], names[i]);
            return;
        }
    }
}

/* ---- looking before choosing */

static bool has_key(const struct keys *k, const char *name)
{
    return keys_tensor(k, name) || keys_value(k, name);
}

bool checkpoint_contains(const struct checkpoint *c, const char *const *names)
{
    const struct container *file = checkpoint_peek(c);
    struct keys k;
    if (!file || !keys_find(&k, file, names, NULL))
        return false;
    for (; *names; names++)
        if (!has_key(&k, *names))
            return false;
    return true;
}

/* ---- parameters */

bool dialect_threshold(struct sae *sae, float value, struct err *err)
{
    float *v = mem_try((size_t)sae->d_sae, sizeof *v, "threshold", err);
    for (int64_t j = 0; v && j < sae->d_sae; j++)
        v[j] = value;
    free(sae->threshold);
    sae->threshold = v;
    return v != NULL;
}

bool dialect_zero_bias(struct sae *sae, struct err *err)
{
    free(sae->b_enc);
    sae->b_enc = mem_try((size_t)sae->d_sae, sizeof *sae->b_enc, "b_enc", err);
    for (int64_t j = 0; sae->b_enc && j < sae->d_sae; j++)
        sae->b_enc[j] = 0;
    return sae->b_enc != NULL;
}

bool dialect_subtract_b_dec(struct sae *sae, struct err *err)
{
    if (sae->d_in != sae->d_out)
        return err_set(err, ERR_SHAPE, "b_dec cannot be taken off the input (found d_in %lld and "
                       "d_out %lld, expected the same)", (long long)sae->d_in,
                       (long long)sae->d_out);
    sae->b_in = mem_try((size_t)sae->d_in, sizeof *sae->b_in, "b_dec", err);
    if (sae->b_in)
        memcpy(sae->b_in, sae->b_dec, (size_t)sae->d_in * sizeof *sae->b_in);
    return sae->b_in != NULL;
}

/* ---- hooks */

/* Names with the layer's number behind them, and what hook that is. */
static const struct {
    const char *before, *after, *hook; /* NUMBER between; hook of that block */
} places[] = {
    {"resid_post_layer_", "", "hook_resid_post"},
    {"resid_out_layer_", "", "hook_resid_post"},
    {"resid_out_layer", "", "hook_resid_post"},
    {"resid_post_layer", "", "hook_resid_post"},
    {"resid_pre_layer_", "", "hook_resid_pre"},
    {"resid_mid_layer_", "", "hook_resid_mid"},
    {"mlp_out_layer_", "", "hook_mlp_out"},
    {"mlp_out_layer", "", "hook_mlp_out"},
    {"attn_out_layer_", "", "hook_attn_out"},
    {"attn_out_layer", "", "hook_attn_out"},
    {"attention_out_layer_", "", "hook_attn_out"},
    {"layers.", "", "hook_resid_post"},
    {"layers_", "", "hook_resid_post"},
    {"h.", "", "hook_resid_post"},
    {"layers.", ".mlp", "hook_mlp_out"},
    {"h.", ".mlp", "hook_mlp_out"},
    {"layers.", ".attention", "hook_attn_out"},
    {"layers.", ".self_attn", "hook_attn_out"},
    {"layers.", ".attn", "hook_attn_out"},
    {"h.", ".attn", "hook_attn_out"},
    {"h.", ".mlp.act", "mlp.hook_post"},
    {"layers.", ".mlp.act", "mlp.hook_post"}, /* of NeoX; with gates it is called act_fn */
};

/* Prefixes of modules' names that say nothing. */
static const char *plain_place(const char *place)
{
    static const char *const heads[] = {"model.", "language_model.", "transformer.", "gpt_neox."};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (strncmp(place, heads[i], strlen(heads[i])) == 0)
            place += strlen(heads[i]);
    return place;
}

static bool is_hook(const char *place)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";
    return strncmp(place, "blocks.", 7) == 0 && strstr(place, "hook_") &&
           place[strspn(place, letters)] == 0;
}

char *hook_of_place(const char *place)
{
    if (is_hook(place))
        return xstrdup(place);
    place = plain_place(place);
    if (strcmp(place, "embed_tokens") == 0 || strcmp(place, "embed") == 0 ||
        strcmp(place, "embed_in") == 0 || strcmp(place, "wte") == 0)
        return xstrdup("hook_embed");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t n = strlen(places[i].before);
        if (strncmp(place, places[i].before, n) != 0 || !isdigit((unsigned char)place[n]))
            continue;
        char *end;
        long layer = strtol(place + n, &end, 10);
        if (strcmp(end, places[i].after) == 0)
            return xasprintf("blocks.%ld.%s", layer, places[i].hook);
    }
    return NULL;
}

/* By the last `levels` parts of a path. */
static char *hook_of_path(const char *path, int levels)
{
    size_t end = strlen(path);
    char *hook = NULL;
    for (int i = 0; i < levels && end > 0 && !hook; i++) {
        while (end > 0 && path[end - 1] == '/')
            end--;
        size_t begin = end;
        while (begin > 0 && path[begin - 1] != '/')
            begin--;
        char *name = xstrndup(path + begin, end - begin);
        hook = hook_of_place(name);
        free(name);
        end = begin;
    }
    return hook;
}

char *hook_of_directory(const struct checkpoint *c, int levels)
{
    char *hook = hook_of_path(c->dir, levels);
    char *real = hook ? NULL : realpath(c->dir, NULL); /* "." and links have other names */
    if (real)
        hook = hook_of_path(real, levels);
    free(real);
    return hook;
}
