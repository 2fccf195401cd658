/*
 * dialect_transcoder.c - transcoders of libraries that make nothing else.
 *
 *   circuit-tracer       layer_L.safetensors with W_enc [d_sae, d_in], W_dec [d_out, d_sae] or
 *                        [d_sae, d_out], b_enc, b_dec, perhaps W_skip [d_out, d_in] and
 *                        activation_function.threshold, in a directory that may have a
 *                        config.yaml (feature_input_hook, feature_output_hook); also the
 *                        files of mwhanna. relu(x W_enc + b_enc) or JumpReLU. Layers of
 *                        cross-layer transcoders: dialect_clt.h
 *   transcoder-circuits  a .pt file of {"cfg": a pickled object, "state_dict"}, in which
 *                        b_dec_out [d_out] is added to the output and b_dec [d_in] taken off
 *                        the input
 *
 * Which way round a matrix lies in a layer_L.safetensors, the lengths of the biases say.
 */
#include "model/dialect.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/json.h"
#include "io/mem.h"
#include "model/dialect_clt.h"
#include "model/dialect_keys.h"

#define CONFIG     "config.yaml"
#define MAX_CONFIG ((size_t)1 << 20)

/* ---- circuit-tracer */

static const char *const tracer_names[] = {"W_enc", "W_dec", "b_enc", "b_dec"};

static const struct tensor *find(const struct sae *sae, const char *name)
{
    return container_find(sae->containers[0], name);
}

/* The number of layer_L.safetensors, or of W_enc_L.safetensors; -1: no such name. */
static long layer_of(const char *file)
{
    if (clt_layer_of(file) >= 0)
        return clt_layer_of(file);
    char *end;
    if (strncmp(file, "layer_", 6) != 0 || !isdigit((unsigned char)file[6]))
        return -1;
    long layer = strtol(file + 6, &end, 10);
    return strcmp(end, ".safetensors") == 0 ? layer : -1;
}

/* Files of layers in the directory; *file (owned) is the first of them. */
static int count_layers(const struct checkpoint *c, char **file)
{
    int n = 0;
    DIR *dir = opendir(c->dir);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (layer_of(e->d_name) >= 0 && n++ == 0)
            *file = xstrdup(e->d_name);
    if (dir)
        closedir(dir);
    return n;
}

/* KEY: value of a YAML file of plain lines, unquoted; owned, NULL: not there. */
static char *yaml_value(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, n) != 0 || line[n] != ':')
            continue;
        const char *v = line + n + 1;
        v += strspn(v, " \t\"'");
        size_t len = strcspn(v, "\"'#\r\n");
        while (len && v[len - 1] == ' ')
            len--;
        return len ? xstrndup(v, len) : NULL;
    }
    return NULL;
}

/* "mlp.hook_in" of layer 3 is blocks.3.mlp.hook_in. Takes ownership of hook. */
static char *in_block(char *hook, long layer)
{
    if (!hook || layer < 0 || strncmp(hook, "blocks.", 7) == 0)
        return hook;
    char *full = xasprintf("blocks.%ld.%s", layer, hook);
    free(hook);
    return full;
}

/* mwhanna's largest have no config.yaml, but a log of the training that all of them have. */
static void read_without_yaml(struct sae *sae, const struct checkpoint *c, long layer)
{
    if (layer < 0) {
        sae_add_note(sae, "there is no configuration: taken for a transcoder, whose output is "
                          "not its input, and which takes nothing off it");
    } else if (checkpoint_has(c, "wandb-config.yaml") || checkpoint_has(c, "wanb-config.yaml")) {
        sae->hook = xasprintf("blocks.%ld.mlp.hook_in", layer);
        sae->hook_out = xasprintf("blocks.%ld.hook_mlp_out", layer);
    }
}

static bool read_yaml(struct sae *sae, const struct checkpoint *c, long layer, struct err *err)
{
    static const char *const names[] = {"model_name", "feature_input_hook",
                                        "feature_output_hook"};
    if (!checkpoint_has(c, CONFIG)) {
        read_without_yaml(sae, c, layer);
        return true;
    }
    char *path = checkpoint_sibling(c, CONFIG);
    char *text = fs_read_file(path, MAX_CONFIG, NULL, err);
    free(path);
    if (!text)
        return false;
    for (int i = 0; i < 3; i++) {
        char *v = yaml_value(text, names[i]);
        json_t *json = v ? json_string(v) : NULL; /* NULL too for what is no UTF-8 */
        if (json)
            json_object_set_new(sae->config, names[i], json);
        free(v);
    }
    sae->hook = in_block(yaml_value(text, "feature_input_hook"), layer);
    sae->hook_out = in_block(yaml_value(text, "feature_output_hook"), layer);
    free(text);
    return true;
}

/* Is dimension 0 of a matrix the features? Where both fit, it is `usual`. */
static bool features_first(struct sae *sae, const struct tensor *w, const struct tensor *b_enc,
                           const struct tensor *b_other, bool usual, const char *name)
{
    if (!w || !b_enc || !b_other || w->ndim != 2 || b_enc->ndim != 1 || b_other->ndim != 1)
        return usual; /* binding says what is wrong */
    int64_t n = b_enc->shape[0], d = b_other->shape[0];
    bool first = w->shape[0] == n, last = w->shape[1] == n;
    if (first != last)
        return first;
    if (n == d)
        sae_add_note(sae, "%s is square: which way round it lies is not known, taken for "
                          "[%s]", name, usual ? "d_sae, d" : "d, d_sae");
    return usual;
}

static bool bind_tracer_file(struct sae *sae, const char *path, struct err *err)
{
    const struct tensor *W_enc = find(sae, "W_enc"), *W_dec = find(sae, "W_dec");
    const struct tensor *b_enc = find(sae, "b_enc"), *b_dec = find(sae, "b_dec");
    const struct tensor *threshold = find(sae, "activation_function.threshold");
    float jump = 0;
    struct dialect_tensors t = {
        .W_enc = W_enc, .W_dec = W_dec, .b_enc = b_enc, .b_dec = b_dec,
        .W_enc_is_d_in_first = !features_first(sae, W_enc, b_enc, b_dec, true, "W_enc"),
        .W_dec_is_d_out_first = !features_first(sae, W_dec, b_enc, b_dec, true, "W_dec"),
        .transcodes = true, .W_skip = find(sae, "W_skip"),
    };
    bool scalar = threshold && tensor_count(threshold) == 1;
    t.threshold = scalar ? NULL : threshold;
    if (!dialect_bind(sae, &t, path, err))
        return false;
    if (scalar) {
        tensor_read_f32(threshold, 0, 1, &jump);
        if (!dialect_threshold(sae, jump, err))
            return false;
    }
    sae->arch = sae_arch_find(threshold ? "jumprelu" : "standard");
    return sae->arch->check(sae, err) || err_path(err, path);
}

static bool bind_tracer(struct sae *sae, const struct checkpoint *c,
                        const struct progress *progress, struct err *err)
{
    char *file = NULL;
    int n = c->file ? 1 : count_layers(c, &file);
    if (n != 1) {
        free(file);
        return err_set(err, n ? ERR_FORMAT : ERR_MISSING, "%s: one transcoder is meant (found "
                       "%d files layer_L.safetensors or W_enc_L.safetensors, expected the path of "
                       "one)", c->path, n);
    }
    char *path = c->file ? xstrdup(c->path) : checkpoint_sibling(c, file);
    long layer = layer_of(c->file ? c->file : file);
    bool cross = clt_layer_of(c->file ? c->file : file) >= 0;
    bool ok = read_yaml(sae, c, layer, err) &&
              (cross ? clt_bind(sae, c, c->file ? c->file : file, progress, err)
                     : dialect_container(sae, path, progress, err) &&
                           bind_tracer_file(sae, path, err));
    free(path);
    free(file);
    return ok;
}

/* A .safetensors file that no configuration speaks of: its names are looked at. */
static const char *recognise_tracer(const struct checkpoint *c)
{
    char *file = NULL;
    if (!c->file) {
        int n = checkpoint_has(c, "cfg.json") ? 0 : count_layers(c, &file);
        const char *rule = n != 1                     ? NULL /* a tree of them */
                           : clt_layer_of(file) >= 0 ? "W_enc_L.safetensors"
                                                      : "layer_L.safetensors";
        free(file);
        return rule;
    }
    if (clt_layer_of(c->file) >= 0)
        return "W_enc_L.safetensors";
    if (!checkpoint_is_file(c, ".safetensors") || checkpoint_has(c, "cfg.json"))
        return NULL;
    struct container *s = container_open(c->path, NULL, NULL);
    bool has = s != NULL;
    for (int i = 0; i < 4 && has; i++)
        has = container_find(s, tracer_names[i]) != NULL;
    container_close(s);
    return !has                       ? NULL
           : layer_of(c->file) >= 0 ? "layer_L.safetensors"
                                     : "W_enc and b_enc in the file";
}

const struct dialect dialect_tracer = {"circuit-tracer", recognise_tracer, bind_tracer};

/* ---- transcoder-circuits */

static const char *const circuits_names[] = {"W_enc", "W_dec", "b_enc", "b_dec", "b_dec_out",
                                             NULL};

static void read_circuits_config(struct sae *sae, const struct keys *k)
{
    const json_t *cfg = container_value(k->c, "cfg");
    const char *hook = NULL, *out = NULL;
    if (!json_is_object(cfg))
        return;
    json_decref(sae->config);
    sae->config = json_incref((json_t *)cfg);
    json_get_string(cfg, "hook_point", &hook, NULL);
    json_get_string(cfg, "out_hook_point", &out, NULL);
    json_get_double(cfg, "l1_coefficient", &sae->l1, NULL);
    sae->hook = xstrdup(hook);
    sae->hook_out = xstrdup(out);
}

static bool bind_circuits(struct sae *sae, const struct checkpoint *c,
                          const struct progress *progress, struct err *err)
{
    struct keys k;
    if (!c->file)
        return err_set(err, ERR_MISSING, "%s: not a checkpoint (found a directory, expected "
                       "the .pt file in it)", c->path);
    struct container *file = dialect_container(sae, c->path, progress, err);
    if (!file)
        return false;
    if (!keys_find(&k, file, circuits_names, err))
        return err_path(err, c->path);
    const struct tensor *b_in = keys_tensor(&k, "b_dec");
    struct dialect_tensors t = {
        .W_enc = keys_tensor(&k, "W_enc"), .W_dec = keys_tensor(&k, "W_dec"),
        .b_enc = keys_tensor(&k, "b_enc"), .b_dec = keys_tensor(&k, "b_dec_out"),
        .W_enc_is_d_in_first = true, .transcodes = true,
    };
    if (!dialect_bind(sae, &t, c->path, err))
        return false;
    read_circuits_config(sae, &k);
    sae->arch = sae_arch_find("standard");
    return (dialect_vector(b_in, "b_dec", sae->d_in, &sae->b_in, err) &&
            sae->arch->check(sae, err)) || err_path(err, c->path);
}

static const char *recognise_circuits(const struct checkpoint *c)
{
    return checkpoint_contains(c, circuits_names) ? "b_dec_out and W_enc in the file" : NULL;
}

const struct dialect dialect_circuits = {"transcoder-circuits", recognise_circuits,
                                         bind_circuits};
