/* cmd_token.c - `saescope token`: what the activation at one token is made of. */
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "model/contributions.h"
#include "model/rows.h"
#include "tui/cmd_lm.h"
#include "tui/out_token.h"

#define DEFAULT_TOP 20

/* "30:101" */
static bool read_place(const char *word, int64_t *sequence, int64_t *position,
                       struct err *err)
{
    char *end;
    *sequence = strtoll(word, &end, 10);
    bool ok = end > word && *end == ':' && *sequence >= 0;
    const char *second = ok ? end + 1 : word;
    *position = strtoll(second, &end, 10);
    ok = ok && end > second && *end == '\0' && *position >= 0;
    return ok || err_set(err, ERR_USAGE, "%s: not a token (expected SEQUENCE:POSITION, as "
                         "30:101)", word);
}

/* x of the token: of the samples, else of the model. */
static bool find_x(struct cmd *c, int64_t sequence, int64_t position, float *x,
                   struct err *err)
{
    const struct samples *samples = c->session->samples;
    struct lm *lm = NULL;
    struct lm_hook hook;
    bool run = samples && !samples_have_inputs(samples) && cmd_model_path(c);
    if (run)
        lm = cmd_need_lm(c, err);
    bool ok = !run || (lm && cmd_need_hook(c, lm, &hook, err));
    ok = ok && contributions_x(samples, lm, lm ? &hook : NULL, c->sae->d_in, sequence,
                               position, &c->progress, x, err);
    lm_close(lm);
    return ok;
}

static void put_part(struct cmd *c, const struct contribution *p)
{
    struct out *o = c->out;
    const struct session *s = c->session;
    out_begin(o, NULL);
    out_contribution(o, p);
    out_text(o, "label", p->id < 0 ? NULL : rows_label(s->labels, s->saes[c->i].id, p->id));
    out_end(o);
}

bool cmd_token(struct cmd *c, struct err *err)
{
    int64_t sequence, position, id = -1;
    struct page_contributions page = {0};
    const char *order = c->opts.order;
    if (!read_place(c->opts.words[c->opts.n_words - 1], &sequence, &position, err))
        return false;
    float *x = xmalloc((size_t)c->sae->d_in * sizeof *x);
    bool ok = find_x(c, sequence, position, x, err) &&
              contributions_make(c->sae, x,
                                 order && strcmp(order, "projection") == 0
                                     ? CONTRIBUTIONS_PROJECTION
                                     : CONTRIBUTIONS_NORM,
                                 c->opts.session.threads, &c->progress, &page, err);
    free(x);
    if (!ok)
        return false;
    const struct samples *samples = c->session->samples;
    int64_t top = c->opts.top < 0 ? DEFAULT_TOP : c->opts.top;
    samples_ids(samples, sequence * samples->seq_len + position, 1, &id);
    out_int(c->out, "sequence", sequence);
    out_int(c->out, "position", position);
    out_token(c->out, c->session->tokenizer, id);
    out_num(c->out, "norm", page.norm);
    out_int(c->out, "l0", page.l0);
    out_rows(c->out, "parts",
             "kind,id,activation,norm,projection,share,cumulative,left,label");
    for (int64_t i = 0; i < page.n && i < top; i++)
        put_part(c, &page.parts[i]);
    out_end(c->out);
    page_contributions_finish(&page);
    return true;
}
