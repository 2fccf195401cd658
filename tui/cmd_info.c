/* cmd_info.c - `saescope info`: what a checkpoint is. See docs/commands.md, "info". */
#include "model/page.h"
#include "tui/cmd.h"
#include "tui/out_info.h"

bool cmd_info(struct cmd *c, struct err *err)
{
    struct page_info page;
    if (!page_info_make(c->sae, c->opts.session.threads, &c->progress, &page, err))
        return false;
    out_info(c->out, &page, session_hook(c->session, c->i));
    page_info_finish(&page);
    return true;
}
