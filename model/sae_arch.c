/*
 * sae_arch.c - the table of architectures: what the activation does.
 *
 * Formulas: formats of the libraries that define them. All comparisons are strict, as in
 * every one of these libraries: a value that equals its threshold is off.
 *
 *   standard   relu(m + b_enc), of some the tanh of it           arXiv:2309.08600
 *   prolu      m where m > 0 and m + b_enc > 0                   Taggart 2024
 *   jumprelu   h = m + b_enc where h > 0 and h > threshold       arXiv:2407.14435
 *   topk       the k largest m + b_enc, then relu                arXiv:2406.04093
 *   batchtopk  as jumprelu, with one threshold for all           arXiv:2412.06410
 *   matryoshka batchtopk, trained with nested dictionaries       arXiv:2503.17547
 *   groupmax   the greatest of each of k groups, then relu       sparsify
 *   identity   m + b_enc, whatever its sign; pca the same, of principal components
 *   gated      m + b_gate > 0 ? relu(m exp(r_mag) + b_mag) : 0   arXiv:2404.16014
 *
 * act_scale multiplies the pre-activation; where a threshold is compared, it is compared
 * with the product.
 */
#include "model/sae.h"

#include <math.h>
#include <string.h>

static bool need(const struct sae *sae, const float *v, const char *name, struct err *err)
{
    return v || err_set(err, ERR_MISSING, "there is no '%s', which architecture '%s' needs (found none, "
                        "expected a vector)",
                        name, sae->arch->name);
}

static bool check_biased(const struct sae *sae, struct err *err)
{
    return need(sae, sae->b_enc, "b_enc", err);
}

static bool check_threshold(const struct sae *sae, struct err *err)
{
    return check_biased(sae, err) && need(sae, sae->threshold, "threshold", err);
}

static bool check_topk(const struct sae *sae, struct err *err)
{
    if (!check_biased(sae, err))
        return false;
    if (sae->k < 1 || sae->k > sae->d_sae)
        return err_set(err, ERR_RANGE, "bad k (found %lld, expected 1 to d_sae = %lld)",
                       (long long)sae->k, (long long)sae->d_sae);
    return true;
}

static bool check_groupmax(const struct sae *sae, struct err *err)
{
    if (!check_topk(sae, err))
        return false;
    if (sae->d_sae % sae->k)
        return err_set(err, ERR_RANGE, "bad k (found %lld, expected a divisor of d_sae = %lld)",
                       (long long)sae->k, (long long)sae->d_sae);
    return true;
}

static bool check_gated(const struct sae *sae, struct err *err)
{
    return need(sae, sae->b_gate, "b_gate", err) && need(sae, sae->r_mag, "r_mag", err) &&
           need(sae, sae->b_mag, "b_mag", err);
}

/* A feature that never fires: it is broken, or its scale makes everything 0. */
static bool is_off(const struct sae *sae, int64_t j)
{
    return (sae->broken && sae->broken[j]) || (sae->act_scale && sae->act_scale[j] == 0);
}

static float scaled(const struct sae *sae, int64_t j, float h)
{
    return sae->act_scale ? h * sae->act_scale[j] : h;
}

static float level_biased(const struct sae *sae, int64_t j)
{
    return is_off(sae, j) ? INFINITY : -sae->b_enc[j];
}

static float activate_standard(const struct sae *sae, int64_t j, float m)
{
    float h = m + sae->b_enc[j];
    if (!(h > 0) || is_off(sae, j))
        return 0;
    return scaled(sae, j, sae->saturates ? tanhf(h) : h);
}

static float activate_topk(const struct sae *sae, int64_t j, float m)
{
    return is_off(sae, j) ? 0 : scaled(sae, j, m + sae->b_enc[j]);
}

static float level_none(const struct sae *sae, int64_t j)
{
    return is_off(sae, j) ? INFINITY : -INFINITY;
}

static float level_prolu(const struct sae *sae, int64_t j)
{
    return is_off(sae, j) ? INFINITY : fmaxf(0, -sae->b_enc[j]);
}

static float activate_prolu(const struct sae *sae, int64_t j, float m)
{
    bool on = m > 0 && m + sae->b_enc[j] > 0 && !is_off(sae, j);
    return on ? scaled(sae, j, m) : 0;
}

static float level_jumprelu(const struct sae *sae, int64_t j)
{
    if (is_off(sae, j))
        return INFINITY;
    float h = fmaxf(0, sae->threshold[j]);
    if (sae->act_scale)
        h /= sae->act_scale[j];
    return h - sae->b_enc[j];
}

static float activate_jumprelu(const struct sae *sae, int64_t j, float m)
{
    float h = scaled(sae, j, m + sae->b_enc[j]);
    return h > 0 && h > sae->threshold[j] && !is_off(sae, j) ? h : 0;
}

static float level_gated(const struct sae *sae, int64_t j)
{
    if (is_off(sae, j))
        return INFINITY;
    return fmaxf(-sae->b_gate[j], -sae->b_mag[j] * expf(-sae->r_mag[j]));
}

static float activate_gated(const struct sae *sae, int64_t j, float m)
{
    float h = m * expf(sae->r_mag[j]) + sae->b_mag[j];
    bool on = m + sae->b_gate[j] > 0 && h > 0 && !is_off(sae, j);
    return on ? scaled(sae, j, h) : 0;
}

const struct sae_arch_ops *sae_arch_find(const char *name)
{
    for (const struct sae_arch_ops *a = sae_archs; a->name; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

const struct sae_arch_ops sae_archs[] = {
    {"standard",   check_biased,    level_biased,   activate_standard, false, false, false},
    {"prolu",      check_biased,    level_prolu,    activate_prolu,    false, false, false},
    {"jumprelu",   check_threshold, level_jumprelu, activate_jumprelu, false, false, false},
    {"topk",       check_topk,      level_biased,   activate_topk,     true,  false, false},
    {"batchtopk",  check_threshold, level_jumprelu, activate_jumprelu, false, false, false},
    {"matryoshka", check_threshold, level_jumprelu, activate_jumprelu, false, false, false},
    {"gated",      check_gated,     level_gated,    activate_gated,    false, false, false},
    {"groupmax",   check_groupmax,  level_biased,   activate_topk,     true,  true,  false},
    {"identity",   check_biased,    level_none,     activate_topk,     false, false, true},
    {"pca",        check_biased,    level_none,     activate_topk,     false, false, true},
    {NULL,         NULL,            NULL,           NULL,              false, false, false},
};
