/* cmd_scan.c - `saescope scan`: make the index, say what the whole looks like. */
#include "tui/cmd.h"

bool cmd_scan(struct cmd *c, struct err *err)
{
    struct out *o = c->out;
    const struct index *ix = cmd_need_index(c, err);
    if (!ix)
        return false;
    const struct scan_totals *t = index_totals(ix);
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
    if (c->opts.session.no_index) {
        out_null(o, "index");
        return true;
    }
    out_begin(o, "index");
    out_text(o, "path", index_path(ix));
    out_int(o, "bytes", index_bytes(ix));
    out_end(o);
    return true;
}
