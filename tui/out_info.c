/* out_info.c - see out_info.h. */
#include "tui/out_info.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const norm_names[] = {
    [SAE_NORM_NONE] = "none",
    [SAE_NORM_CONSTANT] = "constant_norm_rescale",
    [SAE_NORM_LAYER] = "layer_norm",
    [SAE_NORM_FACTOR] = "factor",
};

static void put_identity(struct out *o, const struct sae *sae, const char *hook)
{
    char checkpoint[17]; /* as files of labels have it */
    snprintf(checkpoint, sizeof checkpoint, "%016" PRIx64, sae_id(sae));
    out_text(o, "path", sae->path);
    out_text(o, "checkpoint", checkpoint);
    out_text(o, "format", sae->format);
    out_text(o, "rule", sae->rule);
    out_text(o, "kind", sae->kind);
    out_text(o, "architecture", sae->arch->name);
    out_int(o, "d_in", sae->d_in / sae->models);
    out_int(o, "d_out", sae->d_out / sae->models);
    out_int(o, "d_sae", sae->d_sae);
    out_text(o, "dtype", dtype_info[sae->dtype].name);
    out_int(o, "models", sae->models);
    out_text(o, "hook", hook);
    out_text(o, "hook_out", sae->hook_out);
    if (sae->k)
        out_int(o, "k", sae->k);
    else
        out_null(o, "k");
    out_text(o, "normalisation", norm_names[sae->norm]);
    out_num(o, "norm_factor", sae->norm == SAE_NORM_FACTOR ? (double)sae->norm_factor : NAN);
    out_bool(o, "subtracts", sae->b_in != NULL);
    out_bool(o, "decoder_norms_in_activations", sae->act_scale != NULL);
    if (sae->step >= 0)
        out_int(o, "step", sae->step);
    else
        out_null(o, "step");
}

/* A .npy file's only tensor has no name but the file's. */
static void put_name(struct out *o, const struct container *c, const struct tensor *t)
{
    const char *slash = strrchr(container_path(c), '/');
    const char *file = slash ? slash + 1 : container_path(c), *end = strstr(file, ".npy");
    if (*t->name || !end)
        out_text(o, "name", t->name);
    else
        out_bytes(o, "name", file, (size_t)(end - file));
}

static void put_tensors(struct out *o, const struct sae *sae)
{
    out_rows(o, "tensors", "name,shape,dtype");
    for (int c = 0; c < sae->n_containers; c++) {
        for (size_t i = 0; i < container_count(sae->containers[c]); i++) {
            const struct tensor *t = container_at(sae->containers[c], i);
            out_begin(o, NULL);
            put_name(o, sae->containers[c], t);
            out_list(o, "shape");
            for (int d = 0; d < t->ndim; d++)
                out_int(o, NULL, t->shape[d]);
            out_end(o);
            out_text(o, "dtype", dtype_info[t->dtype].name);
            out_end(o);
        }
    }
    out_end(o);
}

void out_info(struct out *o, const struct page_info *page, const char *hook)
{
    const struct sae *sae = page->sae;

    put_identity(o, sae, hook);
    out_json(o, "config", sae->config);
    out_json(o, "ignored", sae->ignored);
    out_list(o, "notes");
    for (int i = 0; i < sae->n_notes; i++)
        out_text(o, NULL, sae->notes[i].text);
    out_end(o);
    for (int p = 0; p < PARAM_COUNT; p++)
        out_summary(o, page_parameter_name[p], page->has[p] ? &page->parameter[p] : NULL);
    out_num(o, "median_encoder_decoder_cosine", page->median_encoder_decoder_cosine);
    out_int(o, "duplicate_decoder_rows", page->duplicate_decoder_rows);
    put_tensors(o, sae);
}

void out_totals(struct out *o, const struct scan_totals *t)
{
    out_int(o, "tokens", t->tokens);
    out_int(o, "sequences", t->sequences);
    out_int(o, "skipped_tokens", t->skipped_tokens);
    out_num(o, "l0", t->l0);
    out_num(o, "l1", t->l1);
    out_num(o, "dead_fraction", t->dead_fraction);
    out_num(o, "fvu", t->fvu);
    out_num(o, "explained_variance", t->explained_variance);
    out_num(o, "mse", t->mse);
    out_num(o, "cosine", t->cosine);
    out_int(o, "nonzeros", t->nonzeros);
    out_num(o, "seconds", t->seconds);
    out_num(o, "tokens_per_second", t->tokens_per_second);
}
