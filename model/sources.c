/* sources.c - see sources.h. */
#include "model/sources.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/fs.h"
#include "io/json.h"
#include "io/mem.h"
#include "io/str.h"
#include "model/firings.h"

#define MAX_STATE ((size_t)4 << 20) /* bytes of a state.json */
#define MAX_DEPTH 3                 /* of directories in each other */
#define MAX_NAMED 8                 /* in a message */

/* --- files --- */

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The ':' that may stand before a KEY, or NULL. */
static const char *key_colon(const char *word)
{
    const char *colon = strrchr(word, ':');
    return colon && colon != word && colon[1] ? colon : NULL;
}

void sources_finish(struct sources *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].path);
        free(s->v[i].key);
    }
    free(s->v);
    *s = (struct sources){0};
}

static void push(struct sources *s, const char *path, const char *key)
{
    array_grow(s->v, s->n, s->cap);
    s->v[s->n++] = (struct source){xstrdup(path), xstrdup(key)};
}

/* The files that a dataset's state.json lists, which lie beside it. */
static bool add_dataset(struct sources *s, const char *dir, const char *state, const char *key,
                        struct err *err)
{
    json_t *root = json_load_path(state, MAX_STATE, JSON_LAST_WINS, err);
    const json_t *files = json_object_get(root, "_data_files");
    bool ok = root != NULL;
    if (ok && (!json_is_array(files) || !json_array_size(files)))
        ok = err_set(err, ERR_FORMAT, "%s: no list of files (found no _data_files, expected "
                     "some)", state);
    if (ok && json_array_size(json_object_get(root, "_indices_data_files")))
        ok = err_set(err, ERR_UNSUPPORTED, "%s: rows in another order than that of the files "
                     "(found _indices_data_files, expected none: flatten_indices() writes such)",
                     state);
    for (size_t i = 0; ok && i < json_array_size(files); i++) {
        const char *name = json_string_value(
            json_object_get(json_array_get(files, i), "filename"));
        char *path = name ? fs_resolve_below(dir, name, err) : NULL;
        ok = path || (!name && err_set(err, ERR_FORMAT, "%s: _data_files without a name (found "
                                       "none, expected 'filename')", state));
        if (path)
            push(s, path, key);
        free(path);
    }
    json_decref(root);
    return ok;
}

static int by_number(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* The names in `dir` that match, numbers counted as numbers. False: none. */
static bool list(const char *dir, const char *pattern, struct fs_names *out)
{
    bool ok = fs_glob_in(dir, pattern, out, NULL);
    if (ok)
        qsort(out->name, out->n, sizeof *out->name, by_number);
    return ok;
}

static bool add_directory(struct sources *s, const char *dir, const char *key, int depth,
                          struct err *err);

/* The directories in `dir` that match, each as a whole. */
static bool add_directories(struct sources *s, const char *dir, const char *pattern,
                            const char *key, int depth, struct err *err)
{
    struct fs_names names = {0};
    bool ok = list(dir, pattern, &names);
    for (size_t i = 0; ok && i < names.n; i++)
        ok = add_directory(s, names.name[i], key, depth + 1, err);
    fs_names_free(&names);
    return ok;
}

/* The split of a dataset that has but one. */
static bool add_split(struct sources *s, const char *dir, const char *splits, const char *key,
                      int depth, struct err *err)
{
    json_t *root = json_load_path(splits, MAX_STATE, JSON_LAST_WINS, err);
    const json_t *names = json_object_get(root, "splits");
    const char *first = json_string_value(json_array_get(names, 0));
    bool ok = root != NULL;
    if (ok && (json_array_size(names) != 1 || !first))
        ok = err_set(err, ERR_UNSUPPORTED, "%s: a directory of one split must be chosen (found "
                     "%zu, %s and others, expected 1)", dir, json_array_size(names),
                     first ? first : "none");
    char *path = ok ? fs_resolve_below(dir, first, err) : NULL;
    ok = path && add_directory(s, path, key, depth + 1, err);
    free(path);
    json_decref(root);
    return ok;
}

static bool add_files(struct sources *s, const char *dir, const char *key)
{
    static const char *const patterns[] = {"*.safetensors", "*.npy",   "*.npy.zst",
                                           "*.npz",         "*.arrow", "*.pt"};
    bool any = false;
    for (size_t i = 0; !any && i < sizeof patterns / sizeof *patterns; i++) {
        struct fs_names names = {0};
        any = list(dir, patterns[i], &names);
        for (size_t k = 0; k < names.n; k++)
            push(s, names.name[k], key);
        fs_names_free(&names);
    }
    return any;
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
        if (n++ < MAX_NAMED)
            str_appendf(&list, "%s%s", n > 1 ? ", " : "", only + from);
    }
    if (n > 1)
        err_set(err, ERR_MISSING, "%s: several caches of firings (found %s%s, expected one of "
                "these directories)", dir, str_text(&list), n > MAX_NAMED ? ", ..." : "");
    else if (!found)
        err_set(err, ERR_MISSING, "%s: no samples in the directory (found none, expected "
                ".safetensors, .npy, .npz, .arrow or .pt files)", dir);
    if (n != 1) {
        free(only);
        only = NULL;
    }
    str_finish(&list);
    fs_names_free(&names);
    return only;
}

static bool add_directory(struct sources *s, const char *dir, const char *key, int depth,
                          struct err *err)
{
    char *state = xasprintf("%s/state.json", dir), *shards = xasprintf("%s/.tmp_shards", dir);
    char *splits = xasprintf("%s/dataset_dict.json", dir);
    char *below = NULL;
    bool ok;
    if (fs_exists(state))
        ok = add_dataset(s, dir, state, key, err);
    else if (depth < MAX_DEPTH && fs_exists(splits))
        ok = add_split(s, dir, splits, key, depth, err);
    else if (add_files(s, dir, key))
        ok = true;
    else if (depth < MAX_DEPTH && is_directory(shards))
        ok = add_directories(s, shards, "shard_*", key, depth, err);
    else
        ok = (below = firings_below(dir, err)) && add_files(s, below, key);
    free(below);
    free(state);
    free(shards);
    free(splits);
    return ok;
}

static bool add_glob(struct sources *s, const char *pattern, const char *key, struct err *err)
{
    struct fs_names names = {0};
    if (is_directory(pattern))
        return add_directory(s, pattern, key, 0, err);
    if (!fs_glob(pattern, &names, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < names.n; i++) {
        if (is_directory(names.name[i]))
            ok = add_directory(s, names.name[i], key, 0, err);
        else
            push(s, names.name[i], key);
    }
    fs_names_free(&names);
    return ok;
}

/* A file of the literal name wins; then FILE:KEY; then a glob of the whole word. */
bool sources_add(struct sources *s, const char *word, struct err *err)
{
    const char *colon = fs_exists(word) ? NULL : key_colon(word);
    if (!colon)
        return add_glob(s, word, NULL, err);
    char *path = xstrndup(word, (size_t)(colon - word));
    struct err cause = {0};
    bool ok = add_glob(s, path, colon + 1, &cause), there = fs_exists(path);
    free(path);
    if (ok || !there)
        return ok || add_glob(s, word, NULL, err);
    if (err)
        *err = cause;
    return false;
}

/* --- arrays --- */

/* "a, b, c" of the arrays of a container; several of one name are named once. */
static char *key_list(const struct container *c)
{
    struct str list = {0};
    size_t n = container_count(c), shown = 0, names = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = container_at(c, i);
        if (container_find(c, t->name) != t)
            continue;
        if (names++ < MAX_NAMED)
            str_appendf(&list, "%s%s", shown++ ? ", " : "", t->name);
    }
    if (names > shown)
        str_appendf(&list, ", ... (%zu)", names);
    return str_take(&list);
}

static const struct tensor *find_usual(const struct container *c, const struct source_want *want)
{
    for (size_t k = 0; want->names[k]; k++) {
        const struct tensor *t = container_find(c, want->names[k]);
        if (t && want->fits(t))
            return t;
    }
    return NULL;
}

/* The array meant where no key says it; NULL: none, or it could be one of several. */
static const struct tensor *find_meant(const struct container *c, const struct source_want *want)
{
    const struct tensor *found = NULL;
    bool several = false;
    size_t n = container_count(c);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = container_at(c, i);
        if (!want->fits(t))
            continue;
        several |= found && strcmp(found->name, t->name) != 0;
        found = found ? found : t;
    }
    if (several)
        return find_usual(c, want);
    return found || n != 1 ? found : container_at(c, 0); /* the only one: say what is wrong */
}

static bool none_meant(const struct container *c, const char *key,
                       const struct source_want *want, struct err *err)
{
    const char *path = container_path(c), *name = key;
    const char *why = container_left_out(c, &name);
    bool any = false;
    for (size_t i = 0; i < container_count(c); i++)
        any |= want->fits(container_at(c, i));
    if (why && (key || !any))
        return err_set(err, ERR_UNSUPPORTED, "%s: column '%.100s' is not read (found %s, expected "
                       "%s)", path, name, why, want->expected);
    char *list = key_list(c);
    if (key)
        err_set(err, ERR_MISSING, "%s: there is no array '%s' (found %s, expected that name)",
                path, key, *list ? list : "an array without a name");
    else
        err_set(err, ERR_MISSING, "%s: FILE:KEY must pick an array (found %s, expected one of %s)",
                path, *list ? list : "no arrays", want->expected);
    free(list);
    return false;
}

const struct tensor *source_pick(const struct container *c, const char *key,
                                 const struct source_want *want, struct err *err)
{
    const struct tensor *found = key ? container_find(c, key) : find_meant(c, want);
    char shape[64];
    if (found && want->fits(found))
        return found;
    if (!found || (!key && container_left_out(c, &(const char *){NULL})))
        none_meant(c, key, want, err);
    else
        err_set(err, ERR_SHAPE, "%s: not an array of that kind (found %s %s, expected %s)",
                container_path(c), dtype_info[found->dtype].name,
                tensor_shape_text(found, shape, sizeof shape), want->expected);
    return NULL;
}
