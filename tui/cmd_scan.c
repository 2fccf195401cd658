/* cmd_scan.c - `saescope scan`: make the index, say what the whole looks like. */
#include "tui/cmd.h"
#include "tui/out_info.h"

bool cmd_scan(struct cmd *c, struct err *err)
{
    struct out *o = c->out;
    const struct index *ix = cmd_need_index(c, err);
    if (!ix)
        return false;
    out_totals(o, index_totals(ix));
    if (c->session->options.no_index) {
        out_null(o, "index");
        return true;
    }
    out_begin(o, "index");
    out_text(o, "path", index_path(ix));
    out_int(o, "bytes", index_bytes(ix));
    out_end(o);
    return true;
}
