/* convert.c - see convert.h. */
#include "model/convert.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "io/map.h"
#include "io/mem.h"
#include "io/npy.h"
#include "io/str.h"
#include "model/convert_plan.h"

#define BLOCK_BYTES ((int64_t)8 << 20) /* rows that are brought into order at a time */
#define FRAME_BYTES ((size_t)8 << 20)  /* of one zstd frame: readers unpack them in parallel */
#define ZSTD_LEVEL  3                  /* weights are noise: more effort gains nothing */

/* ---- bytes on their way to a file, perhaps packed */

struct sink {
    struct outdir *dir;
    ZSTD_CCtx *zstd; /* NULL: as they are */
    unsigned char *frame, *packed;
    size_t n, packed_cap;
};

static bool sink_init(struct sink *s, struct outdir *dir, bool zstd, struct err *err)
{
    *s = (struct sink){.dir = dir};
    if (!zstd)
        return true;
    s->packed_cap = ZSTD_compressBound(FRAME_BYTES);
    s->zstd = ZSTD_createCCtx();
    s->frame = mem_try(FRAME_BYTES, 1, "zstd frame", err);
    s->packed = mem_try(s->packed_cap, 1, "zstd frame", err);
    return s->zstd && s->frame && s->packed;
}

static void sink_finish(struct sink *s)
{
    ZSTD_freeCCtx(s->zstd);
    free(s->frame);
    free(s->packed);
}

static bool sink_flush(struct sink *s, struct err *err)
{
    if (!s->n)
        return true;
    size_t n = ZSTD_compressCCtx(s->zstd, s->packed, s->packed_cap, s->frame, s->n, ZSTD_LEVEL);
    s->n = 0;
    return ZSTD_isError(n) ? err_set(err, ERR_NOMEM, "%s: zstd: %s", s->dir->path,
                                     ZSTD_getErrorName(n))
                           : outdir_put(s->dir, s->packed, n, err);
}

static bool sink_put(struct sink *s, const void *bytes, size_t n, struct err *err)
{
    const unsigned char *p = bytes;
    if (!s->zstd)
        return outdir_put(s->dir, bytes, n, err);
    while (n) {
        size_t room = FRAME_BYTES - s->n, m = n < room ? n : room;
        memcpy(s->frame + s->n, p, m);
        s->n += m;
        p += m;
        n -= m;
        if (s->n == FRAME_BYTES && !sink_flush(s, err))
            return false;
    }
    return true;
}

/* ---- arrays */

static int64_t item_bytes(const struct convert_item *item)
{
    int64_t n = dtype_info[item->dtype].size;
    for (int i = 0; i < item->ndim; i++)
        n *= item->shape[i];
    return n;
}

/* Rows of an item as they will lie in the file. */
struct piece {
    const struct convert_item *item;
    int64_t first, n;
    void *out;
};

static void piece_guarded(void *ctx)
{
    struct piece *p = ctx;
    const struct convert_item *item = p->item;
    if (item->mat.t)
        mat_copy_rows(&item->mat, p->first, p->n, p->out);
    else if (item->stored)
        tensor_copy(item->stored, p->first, p->n, p->out);
    else
        memcpy(p->out, item->values + p->first, (size_t)p->n * sizeof *item->values);
}

static bool put_item(struct sink *s, const struct convert_item *item, int64_t *done,
                     int64_t total, const struct progress *progress, struct err *err)
{
    int64_t rows = item->ndim ? item->shape[0] : 1, row = item_bytes(item) / rows;
    int64_t each = BLOCK_BYTES / row < rows ? BLOCK_BYTES / row : rows;
    each = each > 0 ? each : 1;
    void *block = mem_try((size_t)each, (size_t)row, item->name, err);
    bool ok = block != NULL;
    for (int64_t i = 0; i < rows && ok; i += each) {
        struct piece p = {item, i, rows - i < each ? rows - i : each, block};
        ok = map_guard(piece_guarded, &p, err) &&
             sink_put(s, block, (size_t)(p.n * row), err);
        *done += p.n * row;
        if (ok && !progress_step(progress, "writing", *done, total))
            ok = err_set(err, ERR_CANCELLED, "cancelled");
    }
    free(block);
    return ok;
}

static int64_t total_bytes(const struct convert_plan *p)
{
    int64_t total = 0;
    for (int i = 0; i < p->n_items; i++)
        total += item_bytes(&p->item[i]);
    return total;
}

/* ---- safetensors */

/* As the reference writer orders them: wide elements first, so that all are aligned. */
static int by_width(const void *a, const void *b)
{
    const struct convert_item *x = *(const struct convert_item *const *)a;
    const struct convert_item *y = *(const struct convert_item *const *)b;
    int wide = dtype_info[y->dtype].size - dtype_info[x->dtype].size;
    return wide ? wide : strcmp(x->name, y->name);
}

static void put_header(struct str *out, const struct convert_item *const *item, int n)
{
    struct str json = {0};
    int64_t at = 0;
    str_puts(&json, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < n; i++) {
        str_appendf(&json, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", item[i]->name,
                    dtype_info[item[i]->dtype].safetensors);
        for (int d = 0; d < item[i]->ndim; d++)
            str_appendf(&json, "%s%lld", d ? "," : "", (long long)item[i]->shape[d]);
        str_appendf(&json, "],\"data_offsets\":[%lld,%lld]}", (long long)at,
                    (long long)(at + item_bytes(item[i])));
        at += item_bytes(item[i]);
    }
    str_puts(&json, "}");
    while (json.len % 8)
        str_putc(&json, ' ');
    for (int b = 0; b < 8; b++)
        str_putc(out, (char)(json.len >> (8 * b)));
    str_append(out, json.data, json.len);
    str_finish(&json);
}

static bool write_safetensors(struct outdir *dir, const struct convert_plan *p,
                              const struct progress *progress, struct err *err)
{
    const struct convert_item *sorted[CONVERT_MAX_ITEMS];
    struct str header = {0};
    struct sink sink;
    int64_t done = 0, total = total_bytes(p);
    for (int i = 0; i < p->n_items; i++)
        sorted[i] = &p->item[i];
    qsort(sorted, (size_t)p->n_items, sizeof *sorted, by_width);
    put_header(&header, sorted, p->n_items);
    bool ok = sink_init(&sink, dir, false, err) &&
              outdir_begin(dir, "sae_weights.safetensors", err) &&
              sink_put(&sink, header.data, header.len, err);
    for (int i = 0; i < p->n_items && ok; i++)
        ok = put_item(&sink, sorted[i], &done, total, progress, err);
    str_finish(&header);
    return ok && outdir_end(dir, err);
}

/* ---- npy */

static bool write_npy(struct outdir *dir, const struct convert_plan *p, bool zstd,
                      const struct progress *progress, struct err *err)
{
    unsigned char header[NPY_HEADER_ROOM];
    struct sink sink;
    int64_t done = 0, total = total_bytes(p);
    bool ok = sink_init(&sink, dir, zstd, err);
    for (int i = 0; i < p->n_items && ok; i++) {
        const struct convert_item *item = &p->item[i];
        char name[64];
        snprintf(name, sizeof name, "%s.npy%s", item->name, zstd ? ".zst" : "");
        size_t n = npy_write_header(item->dtype, item->ndim, item->shape, header,
                                    sizeof header);
        ok = outdir_begin(dir, name, err) && sink_put(&sink, header, n, err) &&
             put_item(&sink, item, &done, total, progress, err) &&
             sink_flush(&sink, err) && outdir_end(dir, err);
    }
    sink_finish(&sink);
    return ok;
}

/* ---- configuration */

static bool write_json(struct outdir *dir, const char *name, const json_t *value,
                       struct err *err)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    bool ok = outdir_file(dir, name, text, strlen(text), err);
    free(text);
    return ok;
}

static bool write_configs(struct outdir *dir, const struct convert_plan *p, struct err *err)
{
    if (p->scaler != 0) {
        json_t *scaler = json_pack("{s:f}", "scaling_factor", p->scaler);
        bool ok = write_json(dir, "activation_scaler.json", scaler, err);
        json_decref(scaler);
        if (!ok)
            return false;
    }
    return write_json(dir, "cfg.json", p->cfg, err);
}

/* ---- reading back */

struct mat_check {
    struct mat a, b;
    unsigned char *x, *y; /* room for BLOCK_BYTES of either, or one row */
    bool same;
};

static void check_mats(void *ctx)
{
    struct mat_check *c = ctx;
    int64_t row = c->a.cols * dtype_info[c->a.t->dtype].size, each = BLOCK_BYTES / row;
    each = each > 0 ? each : 1;
    c->same = true;
    for (int64_t i = 0; i < c->a.rows && c->same; i += each) {
        int64_t n = c->a.rows - i < each ? c->a.rows - i : each;
        mat_copy_rows(&c->a, i, n, c->x);
        mat_copy_rows(&c->b, i, n, c->y);
        c->same = memcmp(c->x, c->y, (size_t)(n * row)) == 0;
    }
}

static bool same_mat(const struct mat *a, const struct mat *b, bool *same, struct err *err)
{
    *same = a->rows == b->rows && a->cols == b->cols && a->t->dtype == b->t->dtype;
    if (!*same)
        return true;
    int64_t row = a->cols * dtype_info[a->t->dtype].size;
    size_t room = (size_t)(row > BLOCK_BYTES ? row : BLOCK_BYTES);
    struct mat_check c = {.a = *a, .b = *b};
    c.x = mem_try(room, 1, "block", err);
    c.y = c.x ? mem_try(room, 1, "block", err) : NULL;
    bool ok = c.y && map_guard(check_mats, &c, err);
    *same = c.same;
    free(c.x);
    free(c.y);
    return ok;
}

static bool same_vector(const float *a, const float *b, int64_t n)
{
    return !a || !b ? a == b : memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

/* What differs between the source and what was written, as it is opened; NULL: nothing.
 * b_enc and threshold are those planned, which a JumpReLU from ProLU has instead. */
static const char *difference(const struct sae *a, const struct sae *b,
                              const struct convert_plan *p)
{
    int64_t d = a->d_in, n = a->d_sae;
    const float *b_enc = p->zeros ? p->zeros : a->b_enc;
    const float *threshold = p->threshold ? p->threshold : a->threshold;
    return a->d_in != b->d_in || a->d_out != b->d_out ? "d_in"
           : !same_vector(b_enc, b->b_enc, n)           ? "b_enc"
           : !same_vector(a->b_dec, b->b_dec, a->d_out) ? "b_dec"
           : !same_vector(a->b_in, b->b_in, d)          ? "what is taken off the input"
           : !same_vector(threshold, b->threshold, n)   ? "threshold"
           : !same_vector(a->b_gate, b->b_gate, n)      ? "b_gate"
           : !same_vector(a->b_mag, b->b_mag, n)        ? "b_mag"
           : !same_vector(a->r_mag, b->r_mag, n)        ? "r_mag"
           : !same_vector(a->act_scale, b->act_scale, n) ||
                   !same_vector(a->out_scale, b->out_scale, n)
               ? "scales of the activations"
           : a->norm != b->norm || a->norm_factor != b->norm_factor ? "normalisation"
           : a->arch->selects != b->arch->selects || a->is_signed != b->is_signed ||
                   (a->arch->selects && a->k != b->k)
               ? "k"
               : NULL;
}

struct identity {
    const struct sae *sae;
    uint64_t id;
};

static void identify(void *ctx)
{
    struct identity *i = ctx;
    i->id = sae_id(i->sae);
}

static bool read_back(const struct sae *sae, const struct outdir *dir,
                      const struct convert_plan *p, const struct progress *progress,
                      uint64_t *id, struct err *err)
{
    struct sae *back = sae_open(dir->temp, NULL, progress, err);
    bool same = true, ok = back != NULL;
    const char *what = NULL;
    if (ok) {
        ok = same_mat(&sae->W_enc, &back->W_enc, &same, err);
        what = ok && !same ? "W_enc" : NULL;
    }
    if (ok && !what) {
        ok = same_mat(&sae->W_dec, &back->W_dec, &same, err);
        what = ok && !same ? "W_dec" : difference(sae, back, p);
    }
    if (ok && !what && (!sae->W_skip.t != !back->W_skip.t || strcmp(sae->kind, back->kind) != 0))
        what = "kind";
    if (ok && !what && sae->W_skip.t) {
        ok = same_mat(&sae->W_skip, &back->W_skip, &same, err);
        what = ok && !same ? "W_skip" : NULL;
    }
    struct identity identity = {back, 0};
    ok = ok && map_guard(identify, &identity, err);
    *id = identity.id;
    sae_close(back);
    if (ok && what)
        ok = err_set(err, ERR_FORMAT, "%s: not written (found another %s on reading it back, "
                     "expected that of %s)", dir->path, what, sae->path);
    return ok;
}

/* ---- the whole */

bool convert_sae(const struct sae *sae, const char *path,
                 const struct convert_options *options, const struct progress *progress,
                 struct converted *out, struct err *err)
{
    assert(!options->zstd || options->to == CONVERT_NPY);
    struct convert_plan plan = {0};
    struct outdir dir = {0};
    uint64_t id = 0;
    if (!convert_plan_make(&plan, sae, options, progress, err))
        return false;
    bool ok = outdir_open(&dir, path, err) &&
              (options->to == CONVERT_NPY
                   ? write_npy(&dir, &plan, options->zstd, progress, err)
                   : write_safetensors(&dir, &plan, progress, err)) &&
              write_configs(&dir, &plan, err) &&
              read_back(sae, &dir, &plan, progress, &id, err) && outdir_commit(&dir, err);
    if (ok) {
        *out = (struct converted){plan.architecture, plan.dtype, id, dir.files, dir.n_files,
                                  plan.notes, plan.n_notes};
        dir.files = NULL;
        dir.n_files = 0;
        plan.notes = NULL;
        plan.n_notes = 0;
    }
    outdir_finish(&dir);
    convert_plan_finish(&plan);
    return ok;
}

void converted_finish(struct converted *c)
{
    for (int i = 0; i < c->n_files; i++)
        free(c->files[i].name);
    for (int i = 0; i < c->n_notes; i++)
        free(c->notes[i]);
    free(c->files);
    free(c->notes);
    *c = (struct converted){0};
}
