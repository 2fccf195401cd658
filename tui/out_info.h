/*
 * out_info.h - what a checkpoint is and what a scan said, with the keys of docs/commands.md
 * ("info", "scan"), into the open object: for the commands and for what views write.
 */
#pragma once

#include "model/page.h"
#include "tui/out.h"

void out_info(struct out *o, const struct page_info *page, const char *hook);
void out_totals(struct out *o, const struct scan_totals *t);
