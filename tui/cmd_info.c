/* cmd_info.c - `saescope info`: what a checkpoint is. See docs/commands.md, "info". */
#include "model/check.h"
#include "model/page.h"
#include "tui/checks.h"
#include "tui/cmd.h"
#include "tui/out_info.h"

static const char *const verdict_word[] = {
    [CHECK_GOOD] = "good", [CHECK_INFO] = "info", [CHECK_WARNING] = "warning",
    [CHECK_BAD] = "bad", [CHECK_WAITING] = "unknown"};

/* Is it what it seems, and are these its samples? What a scan told is taken where there has
 * been one; none is made. */
static bool put_checks(struct cmd *c, const struct page_info *page, struct err *err)
{
    struct session *s = c->session;
    const struct samples *samples = s->samples;
    struct check check;
    bool looked = samples_have_inputs(samples) && samples->d_in == c->sae->d_in;
    if (looked && !check_make(c->sae, samples, &c->progress, &check, err))
        return false;
    bool scanned = samples_have_features(samples) && session_open_index(s, c->i);
    struct check_facts facts = {
        .session = s,
        .sae = c->i,
        .info = page,
        .check = looked ? &check : NULL,
        .totals = scanned ? index_totals(s->saes[c->i].index) : NULL,
        .state = samples_have_features(samples) ? "not scanned yet (saescope scan)" : NULL,
    };
    struct check_line lines[CHECK_LINES];
    int n = checks_make(&facts, lines);
    out_rows(c->out, "checks", "name,verdict,text");
    for (int i = 0; i < n; i++) {
        out_begin(c->out, NULL);
        out_text(c->out, "name", lines[i].name);
        out_text(c->out, "verdict", verdict_word[lines[i].verdict]);
        out_text(c->out, "text", lines[i].text);
        out_end(c->out);
    }
    out_end(c->out);
    return true;
}

/* What the samples were taken to be: their files do not always say it in one way. */
static void put_samples(struct out *o, const struct samples *s)
{
    if (!s) {
        out_null(o, "samples");
        return;
    }
    out_begin(o, "samples");
    out_text(o, "path", s->path);
    out_int(o, "files", s->n_files);
    out_text(o, "of", s->firings ? "firings" : s->n_shards ? "activations" : "token ids");
    out_int(o, "sequences", s->n_seq);
    out_int(o, "sequence_length", s->seq_len);
    out_int(o, "tokens", s->n_tok);
    out_int(o, "tokens_stored", s->n_tok_stored);
    if (s->n_shards)
        out_int(o, "d_in", s->d_in);
    else
        out_null(o, "d_in");
    out_text(o, "dtype", samples_have_features(s) ? dtype_info[s->dtype].name : NULL);
    out_text(o, "token_ids", s->tokens ? samples_tokens_path(s) : NULL);
    out_int(o, "masked", s->masked);
    out_end(o);
}

bool cmd_info(struct cmd *c, struct err *err)
{
    struct page_info page;
    if (!page_info_make(c->sae, c->opts.session.threads, &c->progress, &page, err))
        return false;
    out_info(c->out, &page, session_hook(c->session, c->i));
    put_samples(c->out, c->session->samples);
    bool ok = put_checks(c, &page, err);
    page_info_finish(&page);
    return ok;
}
