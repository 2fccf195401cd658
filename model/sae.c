/* sae.c - opening a checkpoint, what holds for all of them, and the way in for an x. */
#include "model/sae.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/dialect.h"
#include "model/dialect_keys.h"
#include "model/kern.h"

#define BLOCK_VALUES 65536 /* weights that are converted at a time */

void sae_add_note(struct sae *sae, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sae->notes = xreallocarray(sae->notes, (size_t)sae->n_notes + 1, sizeof *sae->notes);
    sae->notes[sae->n_notes++] = (struct sae_note){xstrdup(text)};
}

struct tensor *sae_add_view(struct sae *sae)
{
    assert(sae->n_views < SAE_MAX_VIEWS);
    return sae->views[sae->n_views++] = xcalloc(1, sizeof(struct tensor));
}

/* --- opening --- */

static struct sae *sae_new(const char *path, const struct dialect *dialect,
                           const char *rule)
{
    struct sae *sae = xcalloc(1, sizeof *sae);
    sae->norm_factor = 1;
    sae->models = 1;
    sae->path = xstrdup(path);
    sae->format = dialect->name;
    sae->kind = "sae";
    sae->rule = xstrdup(rule);
    sae->step = -1;
    sae->l1 = NAN;
    sae->prepend_bos = true;
    sae->config = json_object();
    sae->ignored = json_array();
    return sae;
}

/* Decoder rows of length 1: g_j = |W_dec[j]| moves from the decoder to the activation, and
 * thresholds with it (formats: W_dec /= g, W_enc, biases and threshold *= g). */
static bool fold_decoder_norms(struct sae *sae, const struct progress *progress,
                               struct err *err)
{
    if (sae->act_scale && !sae->scale_ranks) {
        sae_add_note(sae, "decoder norms are part of the activations already: "
                          "--fold-decoder-norms changes nothing");
        return true;
    }
    if (sae->arch->selects && !sae->scale_ranks)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: --fold-decoder-norms on would change which features are "
                       "selected (found %s, expected another architecture)",
                       sae->path, sae->arch->name);
    if (!dialect_scale_by_norms(sae, progress, err))
        return err_path(err, sae->path);
    sae->scale_ranks = false;
    for (int64_t j = 0; j < sae->d_sae; j++) {
        if (sae->act_scale[j] == 0) /* a zero row has no direction to fold */
            sae->act_scale[j] = 1;
        if (sae->threshold)
            sae->threshold[j] *= sae->act_scale[j];
    }
    sae_add_note(sae, "decoder norms are folded into the activations "
                      "(--fold-decoder-norms on)");
    return true;
}

/* b_dec taken off the input or not, whatever the format says. */
static bool override_b_dec(struct sae *sae, struct err *err)
{
    if (sae->options.subtract_b_dec < 0) {
        free(sae->b_in);
        sae->b_in = NULL;
    } else if (sae->options.subtract_b_dec > 0 && !sae->b_in) {
        return dialect_subtract_b_dec(sae, err) || err_path(err, sae->path);
    }
    return true;
}

bool sae_set_norm_factor(struct sae *sae, double factor, const char *whence, struct err *err)
{
    if (sae->norm == SAE_NORM_CONSTANT || sae->norm == SAE_NORM_LAYER)
        return err_set(err, ERR_UNSUPPORTED, "%s: --norm-factor: every input is normalised by "
                       "itself (found %s, expected none)", sae->path,
                       sae->norm == SAE_NORM_LAYER ? "layer_norm" : "constant_norm_rescale");
    if (!(factor > FLT_MIN && factor < FLT_MAX))
        return err_set(err, ERR_RANGE, "%s: bad factor of the activations (found %.9g, expected "
                       "a number above 0)", sae->path, factor);
    sae->norm = SAE_NORM_FACTOR;
    sae->norm_factor = (float)factor;
    sae->needs_factor = false;
    sae_add_note(sae, "activations are multiplied by %.9g (%s)", factor, whence);
    return true;
}

/* The vector called KEY, wrapped or not; NULL: there is none. */
static const struct tensor *find_vector(const struct sae *sae, const char *key)
{
    size_t n = strlen(key);
    for (int c = 0; c < sae->n_containers; c++)
        for (size_t i = 0; i < container_count(sae->containers[c]); i++) {
            const struct tensor *t = container_at(sae->containers[c], i);
            size_t len = strlen(t->name);
            if (len >= n && strcmp(t->name + len - n, key) == 0 &&
                (len == n || t->name[len - n - 1] == '.'))
                return t;
        }
    return NULL;
}

/* Trained on x - mean: the mean comes off the input and is added to the output. */
static bool subtract_mean(struct sae *sae, struct err *err)
{
    const char *key = sae->options.subtract_mean;
    float *mean = NULL;
    if (!key)
        return true;
    const struct tensor *t = find_vector(sae, key);
    if (!t)
        return err_set(err, ERR_MISSING, "%s: --subtract-mean %s: no such vector (found none, "
                       "expected its name in the file)", sae->path, key);
    if (sae->norm != SAE_NORM_NONE || !sae_rebuilds_input(sae))
        return err_set(err, ERR_UNSUPPORTED, "%s: --subtract-mean %s: not together with a %s "
                       "(found one, expected none)", sae->path, key,
                       sae->norm != SAE_NORM_NONE ? "normalised input" : "transcoder");
    if (!dialect_vector(t, key, sae->d_in, &mean, err))
        return err_path(err, sae->path);
    if (!sae->b_in)
        sae->b_in = xcalloc((size_t)sae->d_in, sizeof *sae->b_in);
    for (int64_t k = 0; k < sae->d_in; k++) {
        sae->b_in[k] += mean[k];
        sae->b_dec[k] += mean[k];
    }
    free(mean);
    sae_add_note(sae, "'%s' is taken off the input and added to the output (--subtract-mean)",
                 key);
    return true;
}

static bool check_decoder_layer(const struct sae *sae, struct err *err)
{
    return !sae->options.decoder_layer || sae->cross_layer ||
           err_set(err, ERR_UNSUPPORTED, "%s: --decoder-layer: its features write to one place "
                   "(found %s, expected a cross-layer transcoder)", sae->path, sae->kind);
}

static bool override_norm(struct sae *sae, struct err *err)
{
    const struct sae_options *o = &sae->options;
    if (!subtract_mean(sae, err) ||
        (o->norm_factor > 0 && !sae_set_norm_factor(sae, o->norm_factor, "--norm-factor", err)))
        return false;
    if (sae->needs_factor && !o->factor_follows)
        sae_add_note(sae, "trained on activations times a factor that is not in the files: they "
                          "are used as they are and may be too small or too large "
                          "(--norm-factor N, or estimate)");
    return true;
}

struct sae *sae_open(const char *path, const struct sae_options *options,
                     const struct progress *progress, struct err *err)
{
    static const struct sae_options none = {0};
    if (!options)
        options = &none;

    struct checkpoint c = {0};
    struct sae *sae = NULL;
    if (!checkpoint_init(&c, path, err))
        return NULL;
    const char *rule;
    const struct dialect *dialect = dialect_choose(&c, options->format, &rule, err);
    if (!dialect)
        goto out;
    sae = sae_new(path, dialect, rule);
    sae->options = *options;
    if (!dialect->bind(sae, &c, progress, err) || !check_decoder_layer(sae, err) ||
        !override_b_dec(sae, err) ||
        !override_norm(sae, err) ||
        (options->fold > 0 && !fold_decoder_norms(sae, progress, err))) {
        sae_close(sae);
        sae = NULL;
    }
out:
    checkpoint_finish(&c);
    if (sae)
        sae->options = none;
    return sae;
}

void sae_close(struct sae *sae)
{
    if (!sae)
        return;
    float *vectors[] = {sae->b_in,   sae->b_enc, sae->b_dec,     sae->threshold, sae->b_gate,
                        sae->b_mag,  sae->r_mag, sae->act_scale, sae->out_scale,
                        sae->relative_norm, sae->b_glu};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        free(vectors[i]);
    free(sae->broken);
    for (int i = 0; i < sae->n_notes; i++)
        free(sae->notes[i].text);
    free(sae->notes);
    for (int i = 0; i < sae->n_containers; i++)
        container_close(sae->containers[i]);
    free(sae->containers);
    for (int i = 0; i < sae->n_views; i++)
        free(sae->views[i]);
    scratch_finish(&sae->made);
    json_decref(sae->config);
    json_decref(sae->ignored);
    free(sae->path);
    free(sae->rule);
    free(sae->hook);
    free(sae->hook_out);
    free(sae);
}

bool sae_recognise(const char *path)
{
    struct checkpoint c = {0};
    const char *rule;
    struct err err = {0};
    if (!checkpoint_init(&c, path, NULL))
        return false;
    bool yes = dialect_choose(&c, NULL, &rule, &err) || err.code == ERR_UNSUPPORTED;
    checkpoint_finish(&c);
    return yes;
}

/* --- weights that are no numbers --- */

struct finite_check {
    struct sae *sae;
    const struct progress *progress;
    float *block; /* [BLOCK_VALUES] */
    int64_t count, first; /* of the tensor at hand */
    struct err *err;
    bool ok;
};

static void mark_broken(struct sae *sae, int64_t feature)
{
    if (!sae->broken)
        sae->broken = xcalloc((size_t)sae->d_sae, sizeof *sae->broken);
    sae->broken[feature] = true;
}

static void found_broken(struct finite_check *f, int64_t at, int64_t feature)
{
    if (f->count++ == 0)
        f->first = at;
    if (feature >= 0)
        mark_broken(f->sae, feature);
}

static bool check_matrix(struct finite_check *f, const struct mat *m, const char *name,
                         bool of_features, struct err *err)
{
    const struct tensor *t = m->t;
    int64_t n = tensor_count(t);
    bool features_first = t->shape[0] == m->rows && m->row_stride == t->stride[0];
    f->count = 0;
    for (int64_t i = 0; i < n; i += BLOCK_VALUES) {
        int64_t len = n - i < BLOCK_VALUES ? n - i : BLOCK_VALUES;
        tensor_read_f32(t, i, len, f->block);
        if (!progress_step(f->progress, "weights", i + len, n))
            return err_set(err, ERR_CANCELLED, "cancelled");
        if (kern_all_finite(f->block, len))
            continue;
        for (int64_t k = 0; k < len; k++)
            if (!isfinite(f->block[k]))
                found_broken(f, i + k,
                             !of_features     ? -1
                             : features_first ? (i + k) / t->shape[1] : (i + k) % t->shape[1]);
    }
    if (f->count)
        sae_add_note(f->sae, "%s has %lld NaN or infinite values, the first at [%lld, %lld]",
                     name, (long long)f->count, (long long)(f->first / t->shape[1]),
                     (long long)(f->first % t->shape[1]));
    return true;
}

static void check_vector(struct finite_check *f, const float *v, int64_t n, bool features,
                         const char *name)
{
    f->count = 0;
    for (int64_t i = 0; v && i < n; i++)
        if (!isfinite(v[i]))
            found_broken(f, i, features ? i : -1);
    if (f->count)
        sae_add_note(f->sae, "%s has %lld NaN or infinite values, the first at [%lld]", name,
                     (long long)f->count, (long long)f->first);
}

static void check_matrices(void *ctx)
{
    struct finite_check *f = ctx;
    f->ok = check_matrix(f, &f->sae->W_enc, "W_enc", true, f->err) &&
            check_matrix(f, &f->sae->W_dec, "W_dec", true, f->err) &&
            (!f->sae->W_glu.t || check_matrix(f, &f->sae->W_glu, "W_glu", true, f->err)) &&
            (!f->sae->W_skip.t || check_matrix(f, &f->sae->W_skip, "W_skip", false, f->err));
}

/* A quick look on all cores, which is all that healthy weights need. */
struct quick_check {
    const struct tensor *t;
    const struct progress *progress;
    struct err *errs;      /* [threads] */
    _Atomic bool suspect;  /* or could not be read, or cancelled: look closely */
};

struct quick_part {
    const struct tensor *t;
    int64_t first, n;
    float *block;
    bool finite;
};

static void quick_guarded(void *ctx)
{
    struct quick_part *p = ctx;
    const float *data = tensor_f32(p->t);
    if (!data)
        tensor_read_f32(p->t, p->first, p->n, p->block);
    p->finite = kern_all_finite(data ? data + p->first : p->block, p->n);
}

static void quick_item(void *ctx, size_t i, int thread)
{
    struct quick_check *q = ctx;
    int64_t n = tensor_count(q->t), first = (int64_t)i * BLOCK_VALUES;
    struct quick_part p = {.t = q->t, .first = first,
                           .n = n - first < BLOCK_VALUES ? n - first : BLOCK_VALUES};
    if (q->suspect)
        return;
    if (!tensor_f32(q->t))
        p.block = xmalloc(BLOCK_VALUES * sizeof *p.block);
    if (!map_guard(quick_guarded, &p, &q->errs[thread]) || !p.finite ||
        !progress_step(q->progress, "weights", first, n))
        q->suspect = true;
    free(p.block);
}

static bool surely_finite(const struct mat *m, const struct progress *progress)
{
    int threads = team_default_threads();
    struct quick_check q = {.t = m->t, .progress = progress};
    q.errs = xcalloc((size_t)threads, sizeof *q.errs);
    team_each(threads, (size_t)((tensor_count(m->t) + BLOCK_VALUES - 1) / BLOCK_VALUES),
              quick_item, &q);
    free(q.errs);
    return !q.suspect;
}

/* Of the scales: what the formats make them from has other names in each, so the note says
 * what they are. */
static void check_scales(struct finite_check *f)
{
    struct sae *sae = f->sae;
    check_vector(f, sae->act_scale, sae->d_sae, true, "the scale of the pre-activations");
    check_vector(f, sae->out_scale, sae->d_sae, true, "the scale of the activations");
}

/* A NaN that is taken off every input is in every activation: no feature has one. It is kept
 * out of the inputs, which would look like broken samples else. */
static void check_input_bias(struct sae *sae)
{
    bool bad = false;
    for (int64_t i = 0; sae->b_in && i < sae->d_in; i++)
        if (!isfinite(sae->b_in[i])) {
            sae->b_in[i] = 0;
            bad = true;
        }
    if (!bad)
        return;
    for (int64_t j = 0; j < sae->d_sae; j++)
        mark_broken(sae, j);
    sae_add_note(sae, "b_dec is taken off the input, so that no feature has an activation");
}

void sae_check_vectors(struct sae *sae)
{
    struct finite_check f = {.sae = sae};
    check_vector(&f, sae->b_enc, sae->d_sae, true, "b_enc");
    check_vector(&f, sae->b_glu, sae->d_sae, true, "b_glu");
    check_vector(&f, sae->b_dec, sae->d_out, false, "b_dec");
    check_vector(&f, sae->threshold, sae->d_sae, true, "threshold");
    check_vector(&f, sae->b_gate, sae->d_sae, true, "b_gate");
    check_vector(&f, sae->b_mag, sae->d_sae, true, "b_mag");
    check_vector(&f, sae->r_mag, sae->d_sae, true, "r_mag");
    check_scales(&f);
    check_input_bias(sae);
}

bool sae_check_finite(struct sae *sae, const struct progress *progress, struct err *err)
{
    struct finite_check f = {.sae = sae, .progress = progress, .err = err};
    int notes = sae->n_notes;
    if (!surely_finite(&sae->W_enc, progress) || !surely_finite(&sae->W_dec, progress) ||
        (sae->W_glu.t && !surely_finite(&sae->W_glu, progress))) {
        f.block = mem_try(BLOCK_VALUES, sizeof *f.block, "weights", err);
        bool ok = f.block && map_guard(check_matrices, &f, err) && f.ok;
        free(f.block);
        if (!ok)
            return false;
    }
    sae_check_vectors(sae);
    sae->finite = sae->n_notes == notes;
    return true;
}

int64_t sae_count_broken(const struct sae *sae)
{
    int64_t n = 0;
    for (int64_t j = 0; sae->broken && j < sae->d_sae; j++)
        n += sae->broken[j];
    return n;
}

/* --- identity --- */

uint64_t sae_id(const struct sae *sae)
{
    XXH3_state_t *h = XXH3_createState();
    float *row = xmalloc((size_t)sae->d_out * sizeof *row);
    int64_t shape[3] = {sae->d_in, sae->d_out, sae->d_sae};
    XXH3_64bits_reset(h);
    XXH3_64bits_update(h, shape, sizeof shape);
    XXH3_64bits_update(h, sae_bias(sae), (size_t)sae->d_sae * sizeof(float));
    XXH3_64bits_update(h, sae->b_dec, (size_t)sae->d_out * sizeof(float));
    for (int last = 0; last < 2; last++) {
        mat_read_rows(&sae->W_dec, last ? sae->d_sae - 1 : 0, 1, row);
        XXH3_64bits_update(h, row, (size_t)sae->d_out * sizeof(float));
    }
    uint64_t id = XXH3_64bits_digest(h);
    XXH3_freeState(h);
    free(row);
    return id ? id : 1; /* 0 stands for "not known" */
}

bool sae_rebuilds_input(const struct sae *sae)
{
    return !sae->kind || strstr(sae->kind, "transcoder") == NULL;
}

void sae_set_transcoder(struct sae *sae)
{
    sae->kind = sae->W_skip.t ? "skip-transcoder" : "transcoder";
}

float sae_glu(const struct sae *sae, int64_t j, float a, float g)
{
    float h = a * (1 / (1 + expf(-(g + sae->b_glu[j]))));
    return h > (sae->threshold ? fmaxf(0, sae->threshold[j]) : 0) ? h : 0;
}

float sae_activation(const struct sae *sae, int64_t j, float m)
{
    float a = sae->arch->activate(sae, j, m);
    return sae->scale_ranks && a != 0 ? a / sae->act_scale[j] : a;
}

const float *sae_bias(const struct sae *sae)
{
    return sae->b_enc ? sae->b_enc : sae->b_gate;
}

/* --- the way in --- */

static double mean_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

static double squares_of(const float *x, int64_t n, double mean)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

bool sae_input(const struct sae *sae, const float *x, float *u, float *scale, float *shift)
{
    int64_t d = sae->d_in;
    double mean = 0, factor = 1, back = 1; /* u = (x - mean) factor, y = u back + mean */
    switch (sae->norm) {
    case SAE_NORM_NONE:
        break;
    case SAE_NORM_CONSTANT:
        factor = sqrt((double)d / squares_of(x, d, 0));
        back = 1 / factor;
        break;
    case SAE_NORM_LAYER:
        mean = mean_of(x, d);
        back = sqrt(squares_of(x, d, mean) / (double)(d - 1));
        factor = 1 / (back + 1e-5);
        break;
    case SAE_NORM_FACTOR:
        factor = sae->norm_factor;
        back = 1 / factor;
        break;
    }
    if (!isfinite(mean) || !isfinite(factor) || !isfinite(back))
        return false;
    if (sae->norm != SAE_NORM_NONE)
        for (int64_t i = 0; i < d; i++)
            u[i] = (float)((x[i] - mean) * factor);
    else if (u != x)
        memmove(u, x, (size_t)d * sizeof *u);
    if (sae->b_in) {
        const float *restrict b_in = sae->b_in;
        for (int64_t i = 0; i < d; i++)
            u[i] -= b_in[i];
    }
    bool undone = sae_rebuilds_input(sae);
    *scale = undone ? (float)back : 1;
    *shift = undone ? (float)mean : 0;
    return true;
}
