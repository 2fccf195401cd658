/* contributions.c - see contributions.h. */
#include "model/contributions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/map.h"
#include "io/mem.h"
#include "model/decode.h"
#include "model/encode.h"
#include "model/kern.h"

const char *const part_kind_names[] = {
    [PART_B_DEC] = "b_dec", [PART_FEATURE] = "feature", [PART_ERROR] = "error",
};

/* ---- one token */

struct splitting {
    const struct sae *sae;
    const float *x;
    enum contributions_order order;
    int threads;
    const struct progress *progress;
    struct page_contributions made;
    struct encode_hit *hits; /* of the token */
    int64_t n_hits;
    float scale, shift;      /* of sae_input */
    float *vector;           /* [d]: the part in hand */
    double *rest;            /* [d]: x less the parts so far */
    bool ok;
    struct err *err;
};

static bool encode_token(struct splitting *s)
{
    const struct sae *sae = s->sae;
    struct encoder encoder = {0};
    struct encode_scratch scratch = {0};
    float *u = xmalloc((size_t)sae->d_in * sizeof *u);
    bool ok = (kern_all_finite(s->x, sae->d_in) &&
               sae_input(sae, s->x, u, &s->scale, &s->shift)) ||
              err_set(s->err, ERR_FORMAT, "%s: this token has no reconstruction (found NaN, "
                      "Inf or nothing to normalise, expected finite activations)",
                      sae->path);
    ok = ok && encoder_init(&encoder, sae, s->threads, s->progress, s->err) &&
         encode_scratch_init(&scratch, &encoder, 1, s->err);
    if (ok) /* there is room for all features: one token cannot have more */
        encoder_block(&encoder, &scratch, u, 1, s->hits, sae->d_sae, &s->n_hits);
    encode_scratch_finish(&scratch);
    encoder_finish(&encoder);
    free(u);
    return ok;
}

/* Part p as a vector, into s->vector; W_dec is read by the row. */
static void part_vector(struct splitting *s, const struct contribution *p)
{
    const struct sae *sae = s->sae;
    int64_t d = sae->d_out;
    if (p->kind == PART_B_DEC) {
        decode_token(sae, NULL, NULL, NULL, 0, s->scale, s->shift, s->vector);
    } else if (p->kind == PART_FEATURE) {
        struct encode_hit h = {(uint32_t)p->id, 0, p->activation};
        float factor = decode_gain(sae, &h) * s->scale;
        mat_read_rows(&sae->W_dec, p->id, 1, s->vector);
        for (int64_t k = 0; k < d; k++)
            s->vector[k] *= factor;
    } else {
        for (int64_t k = 0; k < d; k++)
            s->vector[k] = (float)s->rest[k];
    }
}

/* A part in the order that they are taken off x here: the error is what is left. */
static void add_part(struct splitting *s, enum part_kind kind, int64_t id, float activation)
{
    struct page_contributions *m = &s->made;
    struct contribution *p = &m->parts[m->n++];
    *p = (struct contribution){.kind = kind, .id = id, .activation = activation};
    part_vector(s, p);
    double along = kern_dot_double(s->vector, s->x, s->sae->d_out);
    p->norm = sqrt(kern_sum_squares(s->vector, s->sae->d_out));
    p->projection = m->norm > 0 ? along / m->norm : NAN;
    p->share = m->norm > 0 ? along / (m->norm * m->norm) : NAN;
    for (int64_t k = 0; k < s->sae->d_out; k++)
        s->rest[k] -= (double)s->vector[k];
}

static int by_place(const struct contribution *a, const struct contribution *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static int by_norm(const void *x, const void *y)
{
    const struct contribution *a = x, *b = y;
    return a->norm != b->norm ? (a->norm > b->norm ? -1 : 1) : by_place(a, b);
}

static int by_projection(const void *x, const void *y)
{
    const struct contribution *a = x, *b = y;
    return a->projection > b->projection   ? -1
           : a->projection < b->projection ? 1
                                           : by_place(a, b);
}

/* What the parts come to together, in their order. The error is the last that is known:
 * its vector is kept. */
static void add_up(struct splitting *s, const float *error)
{
    int64_t d = s->sae->d_out;
    double sum = 0;
    for (int64_t k = 0; k < d; k++)
        s->rest[k] = (double)s->x[k];
    for (int64_t i = 0; i < s->made.n; i++) {
        struct contribution *p = &s->made.parts[i];
        double squares = 0;
        if (p->kind != PART_ERROR)
            part_vector(s, p);
        for (int64_t k = 0; k < d; k++) {
            s->rest[k] -= (double)(p->kind == PART_ERROR ? error[k] : s->vector[k]);
            squares += s->rest[k] * s->rest[k];
        }
        p->cumulative = sum += p->share;
        p->left = s->made.norm > 0 ? sqrt(squares) / s->made.norm : NAN;
    }
}

/* Inside map_guard. */
static void split(void *ctx)
{
    struct splitting *s = ctx;
    int64_t d = s->sae->d_out;
    struct page_contributions *m = &s->made;
    if (!encode_token(s))
        return;
    for (int64_t k = 0; k < d; k++)
        s->rest[k] = (double)s->x[k];
    m->norm = sqrt(kern_sum_squares(s->x, d));
    m->l0 = s->n_hits;
    m->parts = xcalloc((size_t)s->n_hits + 2, sizeof *m->parts);
    add_part(s, PART_B_DEC, -1, NAN);
    for (int64_t i = 0; i < s->n_hits; i++)
        add_part(s, PART_FEATURE, s->hits[i].feature, s->hits[i].value);
    add_part(s, PART_ERROR, -1, NAN);
    float *error = xmalloc((size_t)d * sizeof *error);
    memcpy(error, s->vector, (size_t)d * sizeof *error);
    qsort(m->parts, (size_t)m->n, sizeof *m->parts,
          s->order == CONTRIBUTIONS_NORM ? by_norm : by_projection);
    add_up(s, error);
    free(error);
    s->ok = true;
}

bool contributions_make(const struct sae *sae, const float *x,
                        enum contributions_order order, int threads,
                        const struct progress *progress, struct page_contributions *out,
                        struct err *err)
{
    if (sae->d_in != sae->d_out || strcmp(sae->kind, "sae") != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: its output does not add up to its input "
                       "(found a %s, expected an SAE)", sae->path, sae->kind);
    struct splitting s = {.sae = sae, .x = x, .order = order, .threads = threads,
                          .progress = progress, .err = err};
    s.hits = mem_try((size_t)sae->d_sae, sizeof *s.hits, "hits", err);
    if (!s.hits)
        return false;
    s.vector = xmalloc((size_t)sae->d_out * sizeof *s.vector);
    s.rest = xmalloc((size_t)sae->d_out * sizeof *s.rest);
    bool ok = map_guard(split, &s, err) && s.ok;
    if (ok)
        *out = s.made;
    else
        free(s.made.parts);
    free(s.hits);
    free(s.vector);
    free(s.rest);
    return ok;
}

void page_contributions_finish(struct page_contributions *p)
{
    free(p->parts);
    *p = (struct page_contributions){0};
}

/* ---- where x is from */

struct running {
    struct lm_run *run;
    const struct lm_hook *hook;
    int64_t *ids, T;
    float *x, *rest;
    bool ok;
    struct err *err;
};

static void run_to(void *ctx)
{
    struct running *r = ctx;
    r->ok = lm_run_to(r->run, r->ids, r->T, r->hook, r->x, r->rest, r->err);
}

/* Positions up to the one that is wanted: later ones change nothing. */
static bool from_model(const struct samples *samples, const struct lm *lm,
                       const struct lm_hook *hook, int64_t sequence, int64_t position,
                       const struct progress *progress, float *x, struct err *err)
{
    int64_t T = position + 1, d = lm_d_model(lm);
    const char *tokens = samples_tokens_path(samples);
    struct lm_work work = {.progress = progress, .what = "tokens", .tokens = T,
                           .of = T * lm_cost_to(lm, hook)};
    struct running r = {.hook = hook, .T = T, .err = err};
    r.ids = xmalloc((size_t)T * sizeof *r.ids);
    samples_ids(samples, sequence * samples->seq_len, T, r.ids);
    bool ok = lm_check_length(lm, tokens, T, err) && lm_check_ids(lm, tokens, r.ids, T, err);
    r.x = ok ? mem_try((size_t)(2 * T * d), sizeof *r.x, "activations", err) : NULL;
    r.run = r.x ? lm_run_new(lm, samples->seq_len, &work, err) : NULL;
    if (r.run) {
        r.rest = r.x + T * d;
        ok = map_guard(run_to, &r, err) && r.ok;
    }
    ok = ok && r.run;
    if (ok)
        memcpy(x, r.x + position * d, (size_t)d * sizeof *x);
    lm_run_free(r.run);
    free(r.x);
    free(r.ids);
    return ok;
}

bool contributions_x(const struct samples *samples, const struct lm *lm,
                     const struct lm_hook *hook, int64_t d_in, int64_t sequence,
                     int64_t position, const struct progress *progress, float *x,
                     struct err *err)
{
    if (!samples)
        return err_set(err, ERR_MISSING, "no activation samples (found none, expected --acts "
                       "FILE, or --model DIR and --tokens FILE)");
    bool there = sequence >= 0 && position >= 0 && position < samples->seq_len &&
                 sequence <= samples->n_tok / samples->seq_len &&
                 sequence * samples->seq_len + position < samples->n_tok;
    if (!there)
        return err_set(err, ERR_RANGE, "%s: no such token (found %lld:%lld, expected "
                       "SEQUENCE:POSITION of %lld sequences of %lld)", samples->path,
                       (long long)sequence, (long long)position,
                       (long long)samples->n_seq, (long long)samples->seq_len);
    bool given = samples_have_inputs(samples);
    if (!given && !(lm && hook))
        return err_set(err, ERR_MISSING, "%s: no activations (found %s, expected --acts FILE or "
                       "--model DIR)", samples->path,
                       samples->firings ? "a cache of firings" : "token ids only");
    int64_t width = given ? samples->d_in : lm_d_model(lm);
    if (width != d_in)
        return err_set(err, ERR_SHAPE, "%s: the activations do not fit the SAE (found %lld "
                       "values a token, expected %lld)",
                       given ? samples->path : lm_path(lm), (long long)width,
                       (long long)d_in);
    if (given)
        return samples_read(samples, sequence * samples->seq_len + position, 1, x, err);
    return from_model(samples, lm, hook, sequence, position, progress, x, err);
}
