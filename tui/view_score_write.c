/* view_score_write.c - what view 7 copies and writes; see view_score.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/str.h"
#include "tui/out_score.h"
#include "tui/view_score.h"
#include "tui/worst.h"

static void put_line(struct str *s, const struct view *v, int64_t id)
{
    const char *name = desk_name(v->desk, v->target.sae, id, NULL);

    str_appendf(s, "#%lld\t", (long long)id);
    str_visible(s, name, strlen(name), STR_ESCAPED);
    for (int c = SCOL_DELTA_CE; c < SCOL_COUNT; c++) {
        double x = score_value(v, (enum score_column)c, id);
        str_appendf(s, isnan(x) ? "\t" : "\t%.6g", x);
    }
    str_putc(s, '\n');
}

char *score_copy(const struct view *v, bool all)
{
    const struct score_view *state = v->state;
    struct str s = {0};
    char value[64];

    if (!v->desk || v->target.feature < 0)
        return NULL;
    if (!all && state->focus == FOCUS_NUMBERS) {
        score_number_text(v, (enum score_number)state->number, value, sizeof value);
        str_appendf(&s, "%s\t%s", score_number_term[state->number], value);
        return str_take(&s);
    }
    if (!all && state->focus == FOCUS_WORST && state->has_exact && state->exact.n_worst) {
        worst_put(v, &state->exact, state->worst, &s);
        s.data[--s.len] = 0;
        return str_take(&s);
    }
    if (!all) {
        put_line(&s, v, v->target.feature);
        s.data[--s.len] = 0;
        return str_take(&s);
    }
    for (int n = 0; n < NUMBER_COUNT; n++) {
        score_number_text(v, (enum score_number)n, value, sizeof value);
        str_appendf(&s, "%s\t%s\n", score_number_term[n], value);
    }
    str_puts(&s, "\nfeature\tname\tdelta_ce\testimate\tdelta_reconstruction_score\tdelta_fvu\t"
                 "density\n");
    for (int64_t k = 0; k < state->n_ids; k++)
        put_line(&s, v, state->ids[k]);
    return str_take(&s);
}

static void put_feature(struct out *o, const struct view *v, int64_t id)
{
    out_begin(o, NULL);
    out_int(o, "id", id);
    out_num(o, "delta_ce", score_value(v, SCOL_DELTA_CE, id));
    out_num(o, "estimate", score_value(v, SCOL_ESTIMATE, id));
    out_num(o, "delta_reconstruction_score", score_value(v, SCOL_DELTA_SCORE, id));
    out_num(o, "delta_fvu", score_value(v, SCOL_DELTA_FVU, id));
    out_num(o, "density", score_value(v, SCOL_DENSITY, id));
    out_end(o);
}

/* JSON: the score and the table; TSV: the table. */
bool score_export(const struct view *v, enum export_format format, FILE *f, struct err *err)
{
    const struct score_view *s = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV,
                                  .table = "features"};
    const struct desk_score *score;
    size_t len;

    if (!v->desk || s->n_ids == 0)
        return err_set(err, ERR_MISSING, "nothing to write yet");
    score = desk_score(v->desk, v->target.sae);
    struct out *o = out_new(&options);
    if (score->known)
        out_score(o, &score->page);
    out_text(o, "mode", s->kept ? "error-kept" : "reconstruction");
    out_rows(o, "features", "id,delta_ce,estimate,delta_reconstruction_score,delta_fvu,density");
    for (int64_t k = 0; k < s->n_ids; k++)
        put_feature(o, v, s->ids[k]);
    out_end(o);
    const char *text = out_finish(o, &len);
    fwrite(text, 1, len, f); /* the caller asks ferror */
    out_free(o);
    return true;
}
