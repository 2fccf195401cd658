/* cmd_info.c - `saescope info`: what a checkpoint is. See contract.md, "info". */
#include "model/page.h"
#include "tui/cmd.h"

static void put_identity(struct out *o, const struct sae *sae, const char *hook)
{
    out_text(o, "path", sae->path);
    out_text(o, "format", sae->format);
    out_text(o, "rule", sae->rule);
    out_text(o, "kind", sae->kind);
    out_text(o, "architecture", sae->arch->name);
    out_int(o, "d_in", sae->d_in);
    out_int(o, "d_out", sae->d_out);
    out_int(o, "d_sae", sae->d_sae);
    out_text(o, "dtype", dtype_info[sae->dtype].name);
    out_text(o, "hook", hook);
    if (sae->k)
        out_int(o, "k", sae->k);
    else
        out_null(o, "k");
    if (sae->step >= 0)
        out_int(o, "step", sae->step);
    else
        out_null(o, "step");
}

static void put_tensors(struct out *o, const struct sae *sae)
{
    out_rows(o, "tensors", "name,shape,dtype");
    for (int c = 0; c < sae->n_containers; c++) {
        for (size_t i = 0; i < container_count(sae->containers[c]); i++) {
            const struct tensor *t = container_at(sae->containers[c], i);
            out_begin(o, NULL);
            out_text(o, "name", t->name);
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

bool cmd_info(struct cmd *c, struct err *err)
{
    const struct sae *sae = c->sae;
    struct out *o = c->out;
    struct page_info page;
    if (!page_info_make(sae, c->opts.session.threads, &c->progress, &page, err))
        return false;
    put_identity(o, sae, session_hook(c->session, c->i));
    out_json(o, "config", sae->config);
    out_json(o, "ignored", sae->ignored);
    out_list(o, "notes");
    for (int i = 0; i < sae->n_notes; i++)
        out_text(o, NULL, sae->notes[i].text);
    out_end(o);
    for (int p = 0; p < PARAM_COUNT; p++)
        out_summary(o, page_parameter_name[p], page.has[p] ? &page.parameter[p] : NULL);
    out_num(o, "median_encoder_decoder_cosine", page.median_encoder_decoder_cosine);
    out_int(o, "duplicate_decoder_rows", page.duplicate_decoder_rows);
    put_tensors(o, sae);
    page_info_finish(&page);
    return true;
}
