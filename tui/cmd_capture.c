/* cmd_capture.c - `saescope capture`: activation samples of a text, without Python. */
#include <string.h>

#include "model/capture.h"
#include "tui/cmd_lm.h"

/* Where these three are: options first, then what PATH has. */
struct inputs {
    const char *model, *tokenizer, *hook;
    const struct sae *sae;
};

static bool find_inputs(const struct cmd *c, struct inputs *in, struct err *err)
{
    const struct session_options *o = &c->opts.session;
    *in = (struct inputs){o->model, o->tokenizer, o->hook, c->sae};
    if (c->session) {
        in->model = cmd_model_path(c);
        in->hook = session_hook(c->session, c->i);
        if (c->session->tokenizer)
            in->tokenizer = tokenizer_path(c->session->tokenizer);
    }
    if (!c->opts.text || !c->opts.output)
        return err_set(err, ERR_USAGE, "capture: no %s given (expected %s)",
                       c->opts.text ? "directory to write" : "text",
                       c->opts.text ? "-o DIR" : "--text FILE");
    if (!in->model)
        return err_set(err, ERR_MISSING, "%s: no language model (found none, expected --model "
                       "DIR)", c->opts.text);
    if (!in->tokenizer)
        return err_set(err, ERR_MISSING, "%s: no tokenizer (found none, expected --tokenizer "
                       "FILE)", c->opts.text);
    if (!in->hook)
        return err_set(err, ERR_MISSING, "%s: no hook (found none, expected --hook "
                       "blocks.L.hook_resid_pre or the like)", c->opts.text);
    return true;
}

static void put_page(struct cmd *c, const struct inputs *in, const struct page_capture *page,
                     const char *dtype)
{
    struct out *o = c->out;
    int64_t fresh = (page->rows - page->resumed) * page->seq_len;
    out_text(o, "path", c->opts.output);
    out_text(o, "hook", in->hook);
    out_text(o, "dtype", dtype);
    out_int(o, "rows", page->rows);
    out_int(o, "seq_len", page->seq_len);
    out_int(o, "d", page->d);
    out_int(o, "tokens", page->tokens);
    out_int(o, "dropped", page->dropped);
    out_int(o, "resumed", page->resumed);
    out_int(o, "bytes", page->bytes);
    out_num(o, "seconds", page->seconds);
    out_num(o, "tokens_per_second", (double)fresh / page->seconds);
}

static void say_kept(const struct cmd *c, int64_t rows)
{
    cmd_say("%s.partial: %lld rows are kept; the same command goes on from there",
            c->opts.output, (long long)rows);
}

static bool run(struct cmd *c, const struct inputs *in, const struct lm *lm,
                const struct token_encoder *te, struct err *err)
{
    const char *bos = c->opts.bos, *dtype = c->opts.dtype ? c->opts.dtype : "f16";
    struct capture_options options = {
        .text = c->opts.text,
        .out = c->opts.output,
        .hook_name = in->hook,
        .seq_len = c->opts.session.seq_len,
        .tokens_limit = c->opts.session.tokens_limit,
        .dtype = strcmp(dtype, "f16") == 0 ? DTYPE_F16 : DTYPE_F32,
        .zstd = c->opts.zstd,
        .bos = !bos ? PROMPT_BOS_AUTO : *bos == 'y' ? PROMPT_BOS_YES : PROMPT_BOS_NO,
        .sae = in->sae,
        .threads = c->opts.session.threads,
        .memory = c->opts.session.memory,
    };
    struct page_capture page;
    int64_t kept = 0;
    if (!lm_hook_parse(lm, in->hook, &options.hook, err))
        return false;
    if (!capture_run(lm, te, &options, &c->progress, &page, &kept, err)) {
        if (kept > 0 && err->code == ERR_CANCELLED)
            say_kept(c, kept);
        return false;
    }
    put_page(c, in, &page, dtype);
    return true;
}

bool cmd_capture(struct cmd *c, struct err *err)
{
    struct inputs in;
    if (!find_inputs(c, &in, err))
        return false;
    struct token_encoder *te = token_encoder_open(in.tokenizer, err);
    struct lm *lm = te ? lm_open(in.model, &c->progress, err) : NULL;
    bool ok = lm && run(c, &in, lm, te, err);
    lm_close(lm);
    token_encoder_close(te);
    return ok;
}
