/* bundle.c - reading bundle.json, and finding the parts of a bundle by their names. */
#include "model/bundle.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/fs.h"
#include "io/json.h"
#include "io/mem.h"
#include "model/sae.h"

#define JSON_NAME   "bundle.json"
#define MAX_JSON    ((size_t)4 << 20) /* bytes of a bundle.json */
#define MAX_SAES    4096
#define MAX_ENTRIES 65536 /* listed of one directory */
#define MAX_LOOKS   8192  /* files and directories seen into, to find its SAEs */
#define LEVELS_UP   3     /* from a checkpoint to its bundle */
#define TREE_LEVELS 6     /* of directories in a tree of checkpoints */

/* --- names --- */

static char *join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    return xasprintf("%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name);
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Runs of digits count as numbers: step_9 comes before step_10. */
static int compare_names(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            a += strspn(a, "0");
            b += strspn(b, "0");
            size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
            int order = n != m ? (n < m ? -1 : 1) : strncmp(a, b, n);
            if (order)
                return order;
            a += n;
            b += m;
        } else if (*a != *b) {
            break;
        } else {
            a++, b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}

static int compare_entries(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = compare_names(x, y);
    return order ? order : strcmp(x, y);
}

struct names {
    char **v;
    size_t n, cap;
};

static void names_finish(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->v[i]);
    free(names->v);
}

/* The entries of a directory in order, without hidden ones; none if it is not one. */
static struct names list_dir(const char *path)
{
    struct names names = {0};
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && names.n < MAX_ENTRIES && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        array_grow(names.v, names.n, names.cap);
        names.v[names.n++] = xstrdup(entry->d_name);
    }
    if (dir)
        closedir(dir);
    if (names.n)
        qsort(names.v, names.n, sizeof *names.v, compare_entries);
    return names;
}

/* The training step in the last component of a name: step_N, checkpoint*N, ae_N; -1. */
static int64_t step_of(const char *name)
{
    static const char *const heads[] = {"step_", "checkpoint", "ae_"};
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        size_t len = strlen(heads[i]);
        if (strncmp(base, heads[i], len) != 0)
            continue;
        const char *digits = base + len + strspn(base + len, "_-");
        char *end;
        errno = 0;
        long long step = strtoll(digits, &end, 10);
        if (isdigit((unsigned char)*digits) && !errno && (!*end || *end == '.'))
            return step;
    }
    return -1;
}

/* --- putting a bundle together --- */

static bool add_sae(struct bundle *b, const char *name, char *path, struct err *err)
{
    if (b->n_saes >= MAX_SAES) {
        free(path);
        return err_set(err, ERR_UNSUPPORTED, "too many SAEs (found more, expected at most %d)", MAX_SAES);
    }
    b->saes = xreallocarray(b->saes, (size_t)b->n_saes + 1, sizeof *b->saes);
    b->saes[b->n_saes++] =
        (struct bundle_sae){.name = xstrdup(name), .path = path, .step = step_of(name)};
    return true;
}

static void add_acts(struct bundle *b, char *path)
{
    b->acts = xreallocarray(b->acts, (size_t)b->n_acts + 1, sizeof *b->acts);
    b->acts[b->n_acts++] = path;
}

/* One run: several SAEs, each with a step, in one directory. */
static bool is_series(const struct bundle *b)
{
    for (int i = 0; i < b->n_saes; i++) {
        const char *first = b->saes[0].path, *path = b->saes[i].path;
        const char *end = strrchr(path, '/'), *first_end = strrchr(first, '/');
        if (b->saes[i].step < 0 || !end || !first_end || end - path != first_end - first ||
            strncmp(path, first, (size_t)(end - path)) != 0)
            return false;
    }
    return b->n_saes > 1;
}

/* --- by name --- */

/* Checkpoints in dir/sub (sub may be ""), `levels` deep, called by the names below it.
 * `steps`: only those that are steps of a series. */
static bool find_saes(struct bundle *b, const char *dir, const char *prefix, int levels,
                      bool steps, int *looks, struct err *err)
{
    struct names names = list_dir(dir);
    bool ok = true;
    for (size_t i = 0; i < names.n && ok; i++) {
        char *path = join(dir, names.v[i]);
        char *name = *prefix ? xasprintf("%s/%s", prefix, names.v[i]) : xstrdup(names.v[i]);
        if (steps && step_of(name) < 0)
            ok = true;
        else if (--*looks < 0)
            ok = err_set(err, ERR_UNSUPPORTED, "too many files for one bundle (found more, "
                         "expected at most %d)", MAX_LOOKS);
        else if (sae_recognise(path))
            ok = add_sae(b, name, xstrdup(path), err);
        else if (levels > 1 && !steps && is_dir(path))
            ok = find_saes(b, path, name, levels - 1, steps, looks, err);
        free(name);
        free(path);
    }
    names_finish(&names);
    return ok;
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* acts.npy, else acts.npy.zst, else all acts-*.npy, ... : the first form that is there. */
static void find_acts(struct bundle *b)
{
    static const struct {
        const char *head, *tail;
    } forms[] = {
        {"acts", ".npy"},  {"acts", ".npy.zst"},  {"acts-", ".npy"},
        {"acts-", ".npy.zst"}, {"acts", ".safetensors"},
    };
    struct names names = list_dir(b->path);
    for (size_t f = 0; f < sizeof forms / sizeof *forms && !b->n_acts; f++) {
        const char *head = forms[f].head, *tail = forms[f].tail;
        bool shards = head[strlen(head) - 1] == '-';
        for (size_t i = 0; i < names.n; i++) {
            const char *name = names.v[i];
            size_t len = strlen(name), want = strlen(head) + strlen(tail);
            if (strncmp(name, head, strlen(head)) != 0 || !ends_with(name, tail) ||
                (shards ? len <= want : len != want))
                continue;
            char *path = join(b->path, name);
            if (is_file(path))
                add_acts(b, path);
            else
                free(path);
        }
    }
    names_finish(&names);
}

/* dir/name when it is there, else NULL. */
static char *find_part(const char *dir, const char *name, bool (*is)(const char *))
{
    char *path = join(dir, name);
    if (is(path))
        return path;
    free(path);
    return NULL;
}

/* Can a file of that name hold weights, and be looked into without unpacking it? */
static bool is_loose(const char *name)
{
    static const char *const tails[] = {".pt", ".pth", ".ckpt", ".safetensors"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (ends_with(name, tails[i]))
            return true;
    return false;
}

/* All checkpoints below dir, called by the way there: what a repository of several is when
 * it has been downloaded. What is in a checkpoint's own directory belongs to it. *looks
 * counts down. */
static bool find_tree(struct bundle *b, const char *dir, const char *prefix, int levels,
                      int *looks, struct err *err)
{
    struct names names = list_dir(dir);
    bool ok = true;
    for (size_t i = 0; i < names.n && ok && *looks > 0; i++) {
        char *path = join(dir, names.v[i]);
        char *name = *prefix ? xasprintf("%s/%s", prefix, names.v[i]) : xstrdup(names.v[i]);
        bool deeper = is_dir(path);
        if (deeper || is_loose(name)) {
            --*looks;
            if (sae_recognise(path))
                ok = add_sae(b, name, xstrdup(path), err);
            else if (deeper && levels > 1)
                ok = find_tree(b, path, name, levels - 1, looks, err);
        }
        free(name);
        free(path);
    }
    names_finish(&names);
    return ok;
}

/* The SAEs of a directory without bundle.json. `tree`: if there are none, look for a tree of
 * them even where there are no samples, which say that this is a bundle. */
static bool find_saes_by_name(struct bundle *b, bool tree, struct err *err)
{
    static const char *const folders[] = {"saes", "sae"};
    int looks = MAX_LOOKS;
    for (size_t i = 0; i < 2 && !b->n_saes; i++) {
        char *dir = join(b->path, folders[i]);
        bool ok = find_saes(b, dir, "", 2, false, &looks, err);
        free(dir);
        if (!ok)
            return false;
    }
    if (!b->n_saes && sae_recognise(b->path))
        add_sae(b, b->name, xstrdup(b->path), NULL);
    return (b->n_saes || find_saes(b, b->path, "", 1, true, &looks, err)) &&
           (b->n_saes || !(tree || b->n_acts) ||
            find_tree(b, b->path, "", TREE_LEVELS, &looks, err));
}

static bool open_by_name(struct bundle *b, bool tree, struct err *err)
{
    b->name = fs_base_name(b->path);
    find_acts(b);
    if (!find_saes_by_name(b, tree, err))
        return false;
    b->tokens = find_part(b->path, "tokens.npy", is_file);
    static const char *const tokenizers[] = {"tokenizer.json", "tokenizer.model", "vocab.json"};
    for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers && !b->tokenizer; i++)
        b->tokenizer = find_part(b->path, tokenizers[i], is_file);
    b->model = find_part(b->path, "model", is_dir);
    b->ground_truth = find_part(b->path, "ground_truth.npy", is_file);
    if (b->n_saes || b->n_acts)
        return true;
    return err_set(err, ERR_MISSING, "%s: not a bundle (found neither SAEs nor samples, "
                   "expected saes/ or acts.npy)", b->path);
}

/* --- bundle.json --- */

/* The path that a bundle.json gives for `what`: it must exist and lie below the bundle. */
static char *path_below(const struct bundle *b, const char *what, const char *path,
                        struct err *err)
{
    struct err cause = {0};
    char *real = *path ? fs_resolve_below(b->path, path, &cause) : NULL;
    if (!real) {
        if (!*path)
            err_set(err, ERR_FORMAT, "bad '%s' (found nothing, expected a path)", what);
        else {
            if (err)
                *err = cause;
            err_wrap(err, "'%s'", what);
        }
        return NULL;
    }
    free(real);
    return path[0] == '/' ? xstrdup(path) : join(b->path, path);
}

static bool read_path(const struct bundle *b, const json_t *root, const char *key,
                      char **out, struct err *err)
{
    const char *path = NULL;
    if (!json_get_string(root, key, &path, err))
        return false;
    if (path)
        *out = path_below(b, key, path, err);
    return !path || *out;
}

/* One file below the bundle, or FILE:KEY of one. */
static bool add_acts_file(struct bundle *b, const char *path, struct err *err)
{
    struct err cause = {0};
    char *file = path_below(b, "acts", path, &cause);
    const char *colon = strrchr(path, ':');
    if (!file && colon && colon != path && colon[1]) {
        char *name = xstrndup(path, (size_t)(colon - path));
        char *below = path_below(b, "acts", name, NULL);
        if (below)
            file = xasprintf("%s%s", below, colon);
        free(below);
        free(name);
    }
    if (!file) {
        if (err)
            *err = cause;
        return false;
    }
    add_acts(b, file);
    return true;
}

/* A path, or a glob whose every match lies below the bundle. */
static bool add_acts_entry(struct bundle *b, const json_t *entry, struct err *err)
{
    char text[64];
    const char *word = json_string_value(entry);
    if (!word || strlen(word) != json_string_length(entry))
        return err_set(err, ERR_FORMAT, "bad 'acts' (found %s, expected a path)",
                       json_brief(entry, text, sizeof text));
    char *whole = join(b->path, word);
    bool literal = word[0] == '/' || is_file(whole) || !strpbrk(word, "*?[");
    struct fs_names found = {0};
    bool ok = literal ? add_acts_file(b, word, err) : fs_glob_in(b->path, word, &found, err);
    size_t skip = strlen(whole) - strlen(word);
    for (size_t i = 0; i < found.n && ok; i++)
        ok = add_acts_file(b, found.name[i] + skip, err);
    fs_names_free(&found);
    free(whole);
    return ok;
}

static bool read_acts(struct bundle *b, const json_t *acts, struct err *err)
{
    if (!acts || json_is_null(acts))
        return true;
    if (!json_is_array(acts))
        return add_acts_entry(b, acts, err);
    size_t i;
    const json_t *entry;
    json_array_foreach(acts, i, entry)
        if (!add_acts_entry(b, entry, err))
            return false;
    return true;
}

static bool read_saes(struct bundle *b, const json_t *saes, struct err *err)
{
    char text[64];
    if (!saes || json_is_null(saes))
        return true;
    if (!json_is_object(saes))
        return err_set(err, ERR_FORMAT, "bad 'saes' (found %s, expected an object of paths)",
                       json_brief(saes, text, sizeof text));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)saes, name, value) {
        const char *word = json_string_value(value);
        if (!word || !*name || strlen(word) != json_string_length(value))
            return err_set(err, ERR_FORMAT, "bad 'saes' (found '%s': %s, expected a name and a path)",
                           name, json_brief(value, text, sizeof text));
        char *path = path_below(b, name, word, err);
        if (!path || !add_sae(b, name, path, err))
            return false;
    }
    return true;
}

static bool read_json(struct bundle *b, const json_t *root, struct err *err)
{
    const char *name = NULL, *hook = NULL;
    if (!json_is_object(root))
        return err_set(err, ERR_FORMAT, "not a bundle (found a list, expected an object)");
    if (!json_get_string(root, "name", &name, err) ||
        !json_get_string(root, "hook", &hook, err) ||
        !read_acts(b, json_object_get(root, "acts"), err) ||
        !read_saes(b, json_object_get(root, "saes"), err) ||
        !read_path(b, root, "tokens", &b->tokens, err) ||
        !read_path(b, root, "tokenizer", &b->tokenizer, err) ||
        !read_path(b, root, "model", &b->model, err) ||
        !read_path(b, root, "ground_truth", &b->ground_truth, err) ||
        !read_path(b, root, "labels", &b->labels, err))
        return false;
    b->name = name ? xstrdup(name) : fs_base_name(b->path);
    b->hook = xstrdup(hook);
    if (!b->n_saes && sae_recognise(b->path)) /* both bundle and checkpoint */
        add_sae(b, b->name, xstrdup(b->path), NULL);
    return b->n_saes || b->n_acts ||
           err_set(err, ERR_MISSING, "not a bundle (found neither 'saes' nor 'acts', expected "
                                     "one of them)");
}

static bool open_by_json(struct bundle *b, const char *json_path, struct err *err)
{
    json_t *root = json_load_path(json_path, MAX_JSON, JSON_DUPLICATES_REFUSED, err);
    bool ok = root && (read_json(b, root, err) || err_path(err, json_path));
    json_decref(root);
    return ok;
}

/* --- the door --- */

static bool open_either(struct bundle *out, const char *path, bool tree, struct err *err)
{
    struct bundle b = {.path = xstrdup(path)};
    char *json_path = join(path, JSON_NAME);
    bool ok;
    if (!is_dir(path))
        ok = err_set(err, ERR_MISSING, "%s: not a bundle (found no directory, expected one)", path);
    else if (is_file(json_path))
        ok = open_by_json(&b, json_path, err);
    else
        ok = open_by_name(&b, tree, err) || err_path(err, path);
    free(json_path);
    if (!ok) {
        bundle_finish(&b);
        return false;
    }
    b.series = is_series(&b);
    *out = b;
    return true;
}

bool bundle_open(struct bundle *b, const char *path, struct err *err)
{
    return open_either(b, path, true, err);
}

void bundle_finish(struct bundle *b)
{
    char *strings[] = {b->path,      b->name,  b->hook,         b->tokens,
                       b->tokenizer, b->model, b->ground_truth, b->labels};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    for (int i = 0; i < b->n_acts; i++)
        free(b->acts[i]);
    free(b->acts);
    for (int i = 0; i < b->n_saes; i++) {
        free(b->saes[i].name);
        free(b->saes[i].path);
    }
    free(b->saes);
    *b = (struct bundle){0};
}

static bool recognise(const char *path, bool tree)
{
    char *json_path = join(path, JSON_NAME);
    bool described = is_file(json_path);
    free(json_path);
    struct bundle b = {0};
    struct err why = {0};
    if (described || !is_dir(path))
        return described;
    if (!open_either(&b, path, tree, &why)) /* a broken one is one, to be told what is wrong */
        return why.code != ERR_MISSING;
    /* A checkpoint alone is itself the only SAE of what could be called a bundle. */
    bool alone = b.n_saes == 1 && !b.n_acts && strcmp(b.saes[0].path, path) == 0;
    bundle_finish(&b);
    return !alone;
}

bool bundle_recognise(const char *path)
{
    return recognise(path, true);
}

static bool holds(const char *dir, const char *real)
{
    struct bundle b = {0};
    char other[PATH_MAX];
    bool found = false;
    if (!recognise(dir, false) || !open_either(&b, dir, false, NULL))
        return false; /* a tree without samples has nothing to offer, and is long to walk */
    for (int i = 0; i < b.n_saes && !found; i++)
        found = realpath(b.saes[i].path, other) && strcmp(other, real) == 0;
    bundle_finish(&b);
    return found;
}

char *bundle_holding(const char *path)
{
    char real[PATH_MAX], dir[PATH_MAX];
    if (!realpath(path, real))
        return NULL;
    strcpy(dir, real);
    for (int level = 0; level < LEVELS_UP; level++) {
        char *slash = strrchr(dir, '/');
        if (!slash || slash == dir)
            return NULL;
        *slash = 0;
        if (holds(dir, real))
            return xstrdup(dir);
    }
    return NULL;
}

int bundle_find_sae(const struct bundle *b, const char *name)
{
    int found = -1, n_found = 0;
    size_t len = strlen(name);
    for (int i = 0; i < b->n_saes; i++) {
        const char *other = b->saes[i].name;
        size_t n = strlen(other);
        if (strcmp(other, name) == 0)
            return i;
        if (len && n > len && other[n - len - 1] == '/' && strcmp(other + n - len, name) == 0) {
            found = i;
            n_found++;
        }
    }
    return n_found == 1 ? found : -1;
}
