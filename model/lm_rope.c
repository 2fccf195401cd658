/*
 * lm_rope.c - rotary positions: how fast each pair of dimensions turns.
 *
 *   plain     base^(-2 i / dims)                        Su et al. 2021
 *   linear    divided by the factor                     Chen et al. 2023
 *   dynamic   a base that grows with the length of what is longer than the context
 *   llama3    long waves divided, short ones kept       Llama 3.1
 *   yarn      slow pairs divided, fast ones kept, cosines and sines scaled
 *                                                       Peng et al. 2023
 *
 * with the names and defaults of Hugging Face transformers' rope_scaling (newer files:
 * rope_parameters).
 */
#include "model/lm_impl.h"

#include <math.h>
#include <string.h>

#include "io/json.h"

/* ---- reading config.json */

static const struct {
    const char *name;
    enum lm_rope_kind kind;
} kinds[] = {
    {"default", LM_ROPE_PLAIN},  {"linear", LM_ROPE_LINEAR}, {"dynamic", LM_ROPE_DYNAMIC},
    {"llama3", LM_ROPE_LLAMA3},  {"yarn", LM_ROPE_YARN},
};

static bool read_kind(const json_t *s, struct lm_rope *r, struct err *err)
{
    const char *type = "default";
    if (!json_get_string(s, "type", &type, err) ||
        !json_get_string(s, "rope_type", &type, err))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, type) == 0) {
            r->kind = kinds[i].kind;
            return true;
        }
    return err_set(err, ERR_UNSUPPORTED, "rope_scaling is not read (found \"%s\", expected "
                   "default, linear, dynamic, llama3 or yarn)", type);
}

static bool read_llama3(const json_t *s, struct lm_rope *r, struct err *err)
{
    r->low = 1, r->high = 4, r->original = 8192;
    return lm_get_positive(s, "low_freq_factor", &r->low, err) &&
           lm_get_positive(s, "high_freq_factor", &r->high, err) &&
           lm_get_positive(s, "original_max_position_embeddings", &r->original, err) &&
           (r->high > r->low ||
            err_set(err, ERR_RANGE, "'high_freq_factor' is too small (found %.9g, expected "
                    "more than low_freq_factor, %.9g)", r->high, r->low));
}

/* How much longer dot products are made for a context `scale` times as long. */
static double magnitude(double scale, double weight)
{
    return scale > 1 ? 0.1 * weight * log(scale) + 1 : 1;
}

/* *out stays as it is where there is no such key. */
static bool may_have(const json_t *s, const char *key, double *out, struct err *err)
{
    const json_t *v = json_object_get(s, key);
    double found = 1;
    if (!v || json_is_null(v))
        return true;
    if (!lm_get_positive(s, key, &found, err))
        return false;
    *out = found;
    return true;
}

static bool read_yarn(const json_t *s, struct lm_rope *r, struct err *err)
{
    double all = 0, one = 0, given = 0;
    r->low = 1, r->high = 32; /* turns within the context: slow and fast pairs */
    r->whole = true;
    if (!lm_get_positive(s, "beta_slow", &r->low, err) ||
        !lm_get_positive(s, "beta_fast", &r->high, err) ||
        !may_have(s, "attention_factor", &given, err) ||
        !may_have(s, "mscale", &one, err) ||
        !may_have(s, "mscale_all_dim", &all, err) ||
        !json_get_bool(s, "truncate", &r->whole, err))
        return false;
    r->attention = given > 0            ? given
                   : one > 0 && all > 0 ? magnitude(r->factor, one) / magnitude(r->factor, all)
                                        : magnitude(r->factor, 1);
    return true;
}

bool lm_rope_read(const json_t *cfg, const char *base_key, int64_t context,
                  struct lm_rope *out, struct err *err)
{
    struct lm_rope r = {.kind = LM_ROPE_PLAIN, .base = 10000, .factor = 1, .attention = 1,
                        .original = (double)context};
    const json_t *s = json_object_get(cfg, "rope_parameters");
    if (!lm_get_positive(cfg, base_key, &r.base, err) ||
        !lm_get_positive(s, "rope_theta", &r.base, err))
        return false;
    if (!json_is_object(s))
        s = json_object_get(cfg, "rope_scaling");
    bool ok = !json_is_object(s) ||
              (read_kind(s, &r, err) &&
               (r.kind == LM_ROPE_PLAIN ||
                (lm_get_positive(s, "original_max_position_embeddings", &r.original, err) &&
                 lm_get_positive(s, "factor", &r.factor, err))) &&
               (r.kind != LM_ROPE_LLAMA3 || read_llama3(s, &r, err)) &&
               (r.kind != LM_ROPE_YARN || read_yarn(s, &r, err)));
    if (ok)
        *out = r;
    return ok;
}

/* ---- frequencies */

/* The base for T positions: NTK-aware, so that the slowest pair is stretched in full. */
static double dynamic_base(const struct lm_rope *r, int64_t T)
{
    double length = (double)T > r->original ? (double)T : r->original;
    double growth = r->factor * length / r->original - (r->factor - 1);
    double dims = (double)r->dims;
    return r->dims > 2 ? r->base * pow(growth, dims / (dims - 2)) : r->base;
}

/* Which pair makes so many turns within the original context. */
static double pair_of_turns(const struct lm_rope *r, double turns)
{
    return (double)r->dims * log(r->original / (turns * 2 * M_PI)) / (2 * log(r->base));
}

/* How much of the factor pair i gets: 0 for fast ones, 1 for slow ones. */
static double yarn_share(const struct lm_rope *r, int64_t i)
{
    double first = pair_of_turns(r, r->high), last = pair_of_turns(r, r->low);
    first = r->whole ? floor(first) : first;
    last = r->whole ? ceil(last) : last;
    first = first > 0 ? first : 0;
    last = last < (double)r->dims - 1 ? last : (double)r->dims - 1;
    if (first == last)
        last += 0.001;
    double share = ((double)i - first) / (last - first);
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static double llama3_share(const struct lm_rope *r, double f)
{
    double share = (r->original * f / (2 * M_PI) - r->low) / (r->high - r->low);
    return share < 0 ? 1 : share > 1 ? 0 : 1 - share;
}

double lm_rope_frequency(const struct lm_rope *r, int64_t T, int64_t i)
{
    double base = r->kind == LM_ROPE_DYNAMIC ? dynamic_base(r, T) : r->base;
    double f = pow(base, -2.0 * (double)i / (double)r->dims);
    double share = r->kind == LM_ROPE_LINEAR   ? 1
                   : r->kind == LM_ROPE_LLAMA3 ? llama3_share(r, f)
                   : r->kind == LM_ROPE_YARN   ? yarn_share(r, i)
                                               : 0;
    /* in float, as the tables of transformers are */
    return (double)(float)(f * (share / r->factor + 1 - share));
}
