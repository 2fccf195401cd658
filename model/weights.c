/* weights.c - see weights.h. */
#include "model/weights.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/team.h"
#include "model/kern.h"

/* Wide enough that a transposed matrix is read by whole cache lines. */
#define ROWS 64

struct geometry {
    const struct sae *sae;
    const struct progress *progress;
    float *norm, *cosine;
    _Atomic int64_t done;
    _Atomic bool stop;
    struct err *errs; /* [threads] */
};

struct part {
    struct geometry *g;
    int64_t first, n;
    float *enc, *dec; /* [ROWS, d_in], [ROWS, d_out] */
};

static void part_guarded(void *ctx)
{
    struct part *p = ctx;
    const struct sae *sae = p->g->sae;
    int64_t d_in = sae->d_in, d_out = sae->d_out;
    mat_read_rows(&sae->W_dec, p->first, p->n, p->dec);
    bool compare = p->g->cosine && sae_rebuilds_input(sae);
    if (compare)
        mat_read_rows(&sae->W_enc, p->first, p->n, p->enc);
    for (int64_t i = 0; i < p->n; i++) {
        const float *dec = p->dec + i * d_out, *enc = p->enc + i * d_in;
        double dd = kern_sum_squares(dec, d_out);
        p->g->norm[p->first + i] = (float)sqrt(dd);
        double cosine = NAN;
        if (compare) {
            double ee = kern_sum_squares(enc, d_in);
            cosine = dd > 0 && ee > 0 ? kern_dot_double(enc, dec, d_in) / sqrt(dd * ee) : 0;
        }
        if (p->g->cosine)
            p->g->cosine[p->first + i] = (float)cosine;
    }
}

static void geometry_item(void *ctx, size_t i, int thread)
{
    struct geometry *g = ctx;
    const struct sae *sae = g->sae;
    if (g->stop)
        return;
    int64_t first = (int64_t)i * ROWS, left = sae->d_sae - first;
    struct part p = {.g = g, .first = first, .n = left < ROWS ? left : ROWS};
    p.enc = xmalloc((size_t)(ROWS * sae->d_in) * sizeof *p.enc);
    p.dec = xmalloc((size_t)(ROWS * sae->d_out) * sizeof *p.dec);
    if (!map_guard(part_guarded, &p, &g->errs[thread]))
        g->stop = true;
    free(p.enc);
    free(p.dec);
    int64_t done = atomic_fetch_add(&g->done, p.n) + p.n;
    if (!progress_step(g->progress, "reading weights", done, sae->d_sae)) {
        err_set(&g->errs[thread], ERR_CANCELLED, "cancelled");
        g->stop = true;
    }
}

bool weights_geometry(const struct sae *sae, int threads, const struct progress *progress,
                      float *decoder_norm, float *encoder_decoder_cosine, struct err *err)
{
    threads = threads > 0 ? threads : team_default_threads();
    struct geometry g = {.sae = sae,
                         .progress = progress,
                         .norm = decoder_norm,
                         .cosine = encoder_decoder_cosine};
    g.errs = xcalloc((size_t)threads, sizeof *g.errs);
    team_each(threads, (size_t)((sae->d_sae + ROWS - 1) / ROWS), geometry_item, &g);
    for (int t = threads - 1; g.stop && t >= 0; t--)
        if (g.errs[t].code && err)
            *err = g.errs[t];
    free(g.errs);
    return !g.stop;
}

struct row_read {
    const struct mat *m;
    int64_t row;
    float *out;
};

static void row_guarded(void *ctx)
{
    struct row_read *r = ctx;
    mat_read_rows(r->m, r->row, 1, r->out);
}

bool weights_row(const struct mat *m, int64_t row, float *out, struct err *err)
{
    return map_guard(row_guarded, &(struct row_read){m, row, out}, err);
}
