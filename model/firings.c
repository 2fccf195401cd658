/* firings.c - see firings.h. */
#include "model/firings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/json.h"
#include "io/mem.h"

#define MAX_CONFIG ((size_t)4 << 20) /* bytes of a config.json */

bool firings_are(const struct container *c)
{
    return container_find(c, "locations") && container_find(c, "activations");
}

/* ---- one file --------------------------------------------------------------------- */

static bool is_integer(const struct tensor *t)
{
    return !dtype_info[t->dtype].is_float && t->dtype != DTYPE_BOOL;
}

static bool wrong_array(const struct container *c, const struct tensor *t,
                        const char *expected, struct err *err)
{
    char shape[64];
    return err_set(err, ERR_SHAPE, "%s: %s do not fit (found %s %s, expected %s)",
                   container_path(c), t->name, dtype_info[t->dtype].name,
                   tensor_shape_text(t, shape, sizeof shape), expected);
}

/* START and END of "START_END.safetensors", or of ".safetensors.zst"; false: another name. */
static bool features_of_name(const char *path, int64_t *first, int64_t *last)
{
    char *base = fs_base_name(path);
    long long a, b;
    int end = 0;
    bool ok = base[0] >= '0' && base[0] <= '9' &&
              sscanf(base, "%18lld_%18lld%n", &a, &b, &end) == 2 &&
              base[end] == '.';
    if (ok) {
        *first = a;
        *last = b;
    }
    free(base);
    return ok;
}

bool firings_in(const char *dir)
{
    struct fs_names names = {0};
    bool found = fs_glob_in(dir, FIRINGS_PATTERN, &names, NULL);
    fs_names_free(&names);
    return found;
}

static bool name_features(struct firings_part *p, struct err *err)
{
    const char *path = container_path(p->container);
    int64_t last;
    p->end = INT64_MAX;
    if (!features_of_name(path, &p->first, &last))
        return true;
    p->end = last + 1;
    return p->first < p->end ||
           err_set(err, ERR_FORMAT, "%s: the name is of no features (found %lld to %lld, "
                   "expected START_END, both in)", path, (long long)p->first, (long long)last);
}

static bool check_arrays(struct firings_part *p, struct err *err)
{
    const struct container *c = p->container;
    char expected[64];
    if (!is_integer(p->locations) || p->locations->ndim != 2 || p->locations->shape[1] != 3)
        return wrong_array(c, p->locations, "integers [n, 3]: row, position, feature", err);
    p->n = p->locations->shape[0];
    snprintf(expected, sizeof expected, "floating point [%lld], one for every location",
             (long long)p->n);
    if (!dtype_info[p->activations->dtype].is_float || p->activations->ndim != 1 ||
        p->activations->shape[0] != p->n)
        return wrong_array(c, p->activations, expected, err);
    if (p->tokens && (!is_integer(p->tokens) || p->tokens->ndim != 2 ||
                      tensor_count(p->tokens) < 1))
        return wrong_array(c, p->tokens, "integers [rows, positions]", err);
    return true;
}

bool firings_add(struct firings *f, const struct container *c, struct err *err)
{
    struct firings_part p = {.container = c,
                             .locations = container_find(c, "locations"),
                             .activations = container_find(c, "activations"),
                             .tokens = container_find(c, "tokens")};
    array_grow(f->parts, f->n_parts, f->cap_parts);
    struct firings_part *mine = &f->parts[f->n_parts++];
    *mine = p;
    if (!check_arrays(mine, err) || !name_features(mine, err))
        return false;
    f->n += mine->n;
    return true;
}

void firings_free(struct firings *f)
{
    if (!f)
        return;
    free(f->parts);
    free(f);
}

/* ---- all files -------------------------------------------------------------------- */

static int by_feature(const void *a, const void *b)
{
    const struct firings_part *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Rows and positions from config.json: whole batches of n_tokens, as they were read. */
static bool read_config(struct firings *f, struct err *err)
{
    char *path = fs_beside(container_path(f->parts[0].container), "config.json");
    bool ok = true;
    if (fs_exists(path)) {
        json_t *root = json_load_path(path, MAX_CONFIG, JSON_LAST_WINS, err);
        const json_t *positions = json_object_get(root, "cache_ctx_len");
        if (!positions)
            positions = json_object_get(root, "ctx_len");
        int64_t length = json_integer_value(positions), batch, tokens;
        batch = json_integer_value(json_object_get(root, "batch_size"));
        tokens = json_integer_value(json_object_get(root, "n_tokens"));
        ok = root != NULL;
        if (ok && length > 0 && batch > 0 && tokens > 0 && tokens / length / batch > 0) {
            f->positions = length;
            f->rows = tokens / length / batch * batch;
        }
        json_decref(root);
    }
    free(path);
    return ok;
}

static bool check_text(const struct firings_part *a, const struct firings_part *b,
                       struct err *err)
{
    char one[64], other[64];
    if (!a->tokens || !b->tokens)
        return true;
    if (a->tokens->shape[0] == b->tokens->shape[0] && a->tokens->shape[1] == b->tokens->shape[1])
        return true;
    return err_set(err, ERR_SHAPE, "%s: tokens of another text than %s (found %s and %s, "
                   "expected the same)", container_path(b->container),
                   container_path(a->container),
                   tensor_shape_text(b->tokens, other, sizeof other),
                   tensor_shape_text(a->tokens, one, sizeof one));
}

bool firings_complete(struct firings *f, struct err *err)
{
    qsort(f->parts, (size_t)f->n_parts, sizeof *f->parts, by_feature);
    for (int i = 1; i < f->n_parts; i++) {
        const struct firings_part *a = &f->parts[i - 1], *b = &f->parts[i];
        if (b->first < a->end)
            return err_set(err, ERR_FORMAT, "%s: a feature in two files (found %lld in %s too, "
                           "expected files that share the features out)",
                           container_path(b->container), (long long)b->first,
                           container_path(a->container));
        if (!check_text(&f->parts[0], b, err))
            return false;
    }
    const struct tensor *tokens = f->parts[0].tokens;
    if (!tokens)
        return read_config(f, err);
    f->rows = tokens->shape[0];
    f->positions = tokens->shape[1];
    return true;
}

bool firings_fit(const struct firings *f, const char *path, int64_t d_sae,
                 struct err *err)
{
    const struct firings_part *last = &f->parts[f->n_parts - 1];
    if (last->end == INT64_MAX ? last->first < d_sae : last->end <= d_sae)
        return true;
    return err_set(err, ERR_SHAPE, "%s: not the SAE of the firings in %s (found feature %lld "
                   "there, expected 0 to %lld)", path, container_path(last->container),
                   (long long)(last->end == INT64_MAX ? last->first : last->end - 1),
                   (long long)d_sae - 1);
}

int64_t firings_missing(const struct firings *f, int64_t d_sae)
{
    int64_t missing = d_sae;
    for (int i = 0; i < f->n_parts; i++)
        missing -= (f->parts[i].end < d_sae ? f->parts[i].end : d_sae) - f->parts[i].first;
    return missing;
}

int firings_part_of(const struct firings *f, int64_t id)
{
    for (int i = 0; i < f->n_parts; i++)
        if (id >= f->parts[i].first && id < f->parts[i].end)
            return i;
    return -1;
}

/* ---- reading ---------------------------------------------------------------------- */

/* Not a firing at all, or none of this text: say which one and why. */
static bool bad_firing(const struct firings_part *p, const struct firings_bounds *b,
                       int64_t i, const int64_t *at, struct err *err)
{
    int64_t end = p->end < b->d_sae ? p->end : b->d_sae;
    return err_set(err, ERR_FORMAT, "%s: locations[%lld] is outside of the cache (found row %lld, "
                   "position %lld, feature %lld, expected below %lld, %lld, %lld)",
                   container_path(p->container), (long long)i, (long long)at[0],
                   (long long)at[1], (long long)at[2], (long long)b->rows,
                   (long long)b->positions, (long long)(end - p->first));
}

static bool bad_order(const struct firings_part *p, int64_t i, const int64_t *at,
                      struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s: locations[%lld] is not after the one before it (found row "
                   "%lld, position %lld, feature %lld, expected them by row, position, feature)",
                   container_path(p->container), (long long)i, (long long)at[0],
                   (long long)at[1], (long long)at[2]);
}

static bool bad_value(const struct firings_part *p, const struct firings_bounds *b,
                      int64_t i, float value, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s: activations[%lld] is none of this SAE (found %g, expected "
                   "%s)", container_path(p->container), (long long)i, (double)value,
                   b->is_signed ? "a number" : "0 or more");
}

/* Is location a before location b? */
static bool before(const int64_t *a, const int64_t *b)
{
    for (int k = 0; k < 3; k++)
        if (a[k] != b[k])
            return a[k] < b[k];
    return false;
}

static bool is_inside(const struct firings_part *p, const struct firings_bounds *b,
                      const int64_t *at)
{
    int64_t end = p->end < b->d_sae ? p->end : b->d_sae;
    return at[0] >= 0 && at[0] < b->rows && at[1] >= 0 && at[1] < b->positions &&
           at[2] >= 0 && at[2] < end - p->first;
}

/* What stands for an activation that half precision could not hold is its greatest number. */
static float within_half(float value)
{
    return isinf(value) ? copysignf(FIRINGS_GREATEST, value) : value;
}

static bool is_activation(const struct firings_part *p, const struct firings_bounds *b,
                          float value)
{
    return !isnan(value) && (value >= 0 || b->is_signed) &&
           (!isinf(value) || p->activations->dtype == DTYPE_F16);
}

bool firings_read(const struct firings_part *p, const struct firings_bounds *b,
                  int64_t first, int64_t n, struct firings_room *room, struct err *err)
{
    int64_t last[3] = {-1, 0, 0};
    room->cut = 0;
    if (first > 0)
        tensor_read_i64(p->locations, 3 * (first - 1), 3, last);
    tensor_read_i64(p->locations, 3 * first, 3 * n, room->at);
    tensor_read_f32(p->activations, first, n, room->value);
    for (int64_t i = 0; i < n; i++) {
        const int64_t *at = room->at + 3 * i;
        float value = room->value[i];
        if (!is_inside(p, b, at))
            return bad_firing(p, b, first + i, at, err);
        if (!before(i > 0 ? at - 3 : last, at))
            return bad_order(p, first + i, at, err);
        if (!is_activation(p, b, value))
            return bad_value(p, b, first + i, value, err);
        room->firing[i] = (struct firing){.token = at[0] * b->positions + at[1],
                                          .feature = (uint32_t)(p->first + at[2]),
                                          .value = within_half(value)};
        room->cut += isinf(value) != 0;
    }
    return true;
}

float firings_find(const struct firings *f, int64_t positions, int64_t id, int64_t t)
{
    int part = firings_part_of(f, id);
    if (part < 0)
        return 0;
    const struct firings_part *p = &f->parts[part];
    const int64_t want[3] = {t / positions, t % positions, id - p->first};
    int64_t lo = 0, hi = p->n, at[3] = {0};
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        tensor_read_i64(p->locations, 3 * mid, 3, at);
        if (before(at, want))
            lo = mid + 1;
        else
            hi = mid;
    }
    float value = 0;
    if (lo < p->n)
        tensor_read_i64(p->locations, 3 * lo, 3, at);
    if (lo < p->n && !before(want, at))
        tensor_read_f32(p->activations, lo, 1, &value);
    return within_half(value);
}
