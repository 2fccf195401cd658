/* cmd_compare.c - `saescope compare`: two checkpoints side by side. */
#include <math.h>
#include <string.h>

#include "model/compare.h"
#include "tui/cmd_lm.h"
#include "tui/cmd_pareto.h"

#define SHOWN 20 /* matches shown to people; scripts get all */

/* The command as if it were about one side alone. */
static struct cmd side_of(const struct cmd *c, int side)
{
    struct cmd one = *c;
    one.i = c->session->chosen[side];
    one.sae = c->session->saes[one.i].sae;
    return one;
}

/* --- the reconstruction score, where there is all that it takes --------------------------- */

static bool score_sides(struct cmd *c, struct compare_side *sides, struct page_score *pages,
                        struct err *err)
{
    const struct samples *samples = c->session->samples;
    if (!cmd_model_path(c) || c->opts.session.quick || !samples || !samples->tokens)
        return true;
    struct lm *lm = cmd_need_lm(c, err);
    bool ok = lm != NULL;
    for (int i = 0; i < 2 && ok; i++) {
        struct cmd one = side_of(c, i);
        bool scored;
        ok = cmd_try_score(&one, lm, &pages[i], &scored, err);
        if (ok && scored)
            sides[i].score = &pages[i];
    }
    lm_close(lm);
    return ok;
}

/* What is known beside the weights; scans where there are samples. pages [2]: room for
 * scores. */
static bool find_sides(struct cmd *c, struct compare_side *sides, struct page_score *pages,
                       struct err *err)
{
    for (int i = 0; i < 2; i++) {
        struct cmd one = side_of(c, i);
        sides[i] = (struct compare_side){.sae = one.sae,
                                         .name = c->session->saes[one.i].name};
        if (cmd_samples(c) && !(sides[i].index = cmd_need_index(&one, err)))
            return false;
    }
    return score_sides(c, sides, pages, err);
}

/* --- for scripts ----------------------------------------------------------------------------- */

static void put_side(struct out *o, const char *key, const struct compare_side *s)
{
    const struct scan_totals *t = s->index ? index_totals(s->index) : NULL;
    const struct page_score *score = s->score;
    out_begin(o, key);
    out_text(o, "name", s->name);
    out_text(o, "path", s->sae->path);
    out_text(o, "architecture", s->sae->arch->name);
    out_int(o, "d_sae", s->sae->d_sae);
    out_num(o, "l0", t ? t->l0 : NAN);
    out_num(o, "fvu", t ? t->fvu : NAN);
    out_num(o, "explained_variance", t ? t->explained_variance : NAN);
    out_num(o, "dead_fraction", t ? t->dead_fraction : NAN);
    out_num(o, "l1", t ? t->l1 : NAN);
    out_num(o, "cosine", t ? t->cosine : NAN);
    out_summary(o, "b_enc", s->has_b_enc ? &s->b_enc : NULL);
    out_num(o, "reconstruction_score", score ? score->reconstruction_score : NAN);
    out_num(o, "nats_lost", score ? score->nats_lost : NAN);
    out_num(o, "kl", score ? score->kl : NAN);
    out_end(o);
}

static void put_matches(struct out *o, const struct page_compare *p, int64_t n)
{
    out_rows(o, "matches", "a,b,cosine,mutual,encoder_cosine,correlation");
    for (int64_t i = 0; i < n; i++) {
        struct pair_figures f = p->figures ? p->figures[i] : PAIR_UNKNOWN;
        out_begin(o, NULL);
        out_int(o, "a", p->matches[i].a);
        out_int(o, "b", p->matches[i].b);
        out_num(o, "cosine", (double)p->matches[i].cosine);
        out_bool(o, "mutual", p->matches[i].mutual);
        out_num(o, "encoder_cosine", (double)f.encoder);
        out_num(o, "correlation", (double)f.correlation);
        out_end(o);
    }
    out_end(o);
}

/* Features of a to which two or more of b are close; null when nobody has looked. */
static void put_split(struct out *o, const struct page_compare *p)
{
    if (!p->close) {
        out_null(o, "split");
        return;
    }
    out_rows(o, "split", "a,b,cosines");
    for (int64_t i = 0; i < p->side[0].sae->d_sae; i++) {
        int n = compare_split(p, i);
        if (n < 2)
            continue;
        out_begin(o, NULL);
        out_int(o, "a", i);
        out_list(o, "b");
        for (int k = 0; k < n; k++)
            out_int(o, NULL, p->close[i * MATCH_TOP + k].id);
        out_end(o);
        out_list(o, "cosines");
        for (int k = 0; k < n; k++)
            out_num(o, NULL, (double)p->close[i * MATCH_TOP + k].cosine);
        out_end(o);
        out_end(o);
    }
    out_end(o);
}

static void put_pairs(struct out *o, const struct page_compare *p, int64_t n)
{
    out_rows(o, "one_to_one", "a,b,cosine");
    for (int64_t i = 0; i < n; i++) {
        out_begin(o, NULL);
        out_int(o, "a", p->one_to_one[i].a);
        out_int(o, "b", p->one_to_one[i].b);
        out_num(o, "cosine", (double)p->one_to_one[i].cosine);
        out_end(o);
    }
    out_end(o);
}

static void put_ids(struct out *o, const char *key, const int64_t *ids, int64_t n)
{
    out_list(o, key);
    for (int64_t i = 0; i < n; i++)
        out_int(o, NULL, ids[i]);
    out_end(o);
}

static void put_all(struct out *o, const struct page_compare *p)
{
    put_side(o, "a", &p->side[0]);
    put_side(o, "b", &p->side[1]);
    out_begin(o, "mmcs");
    out_num(o, "a_to_b", p->mmcs[0]);
    out_num(o, "b_to_a", p->mmcs[1]);
    out_end(o);
    out_int(o, "mutual", p->n_mutual);
    out_text(o, "matching", p->optimal ? "optimal" : "greedy");
    out_num(o, "one_to_one_mean", p->one_to_one_mean);
    put_matches(o, p, p->side[0].sae->d_sae);
    put_pairs(o, p, p->n_one_to_one);
    out_begin(o, "unmatched");
    out_num(o, "threshold", COMPARE_UNMATCHED);
    put_ids(o, "a", p->unmatched[0], p->n_unmatched[0]);
    put_ids(o, "b", p->unmatched[1], p->n_unmatched[1]);
    out_end(o);
    put_split(o, p);
}

/* --- for people ------------------------------------------------------------------------------ */

#define CELL "%-22s %16s %16s %16s"

static const char *number(char *buf, size_t size, double v)
{
    if (isfinite(v))
        snprintf(buf, size, "%.5g", v);
    else
        snprintf(buf, size, "-");
    return buf;
}

static void line(struct out *o, const char *what, double a, double b)
{
    char x[32], y[32], d[32];
    out_line(o, CELL, what, number(x, sizeof x, a), number(y, sizeof y, b),
             number(d, sizeof d, b - a));
}

static double total(const struct compare_side *s, size_t offset)
{
    if (!s->index)
        return NAN;
    return *(const double *)((const char *)index_totals(s->index) + offset);
}

static void show_sides(struct out *o, const struct compare_side *a,
                       const struct compare_side *b)
{
    out_line(o, "a  %s", a->sae->path);
    out_line(o, "b  %s", b->sae->path);
    out_heading(o, CELL, "", "a", "b", "b - a");
    out_line(o, CELL, "architecture", a->sae->arch->name, b->sae->arch->name, "");
    line(o, "d_sae", (double)a->sae->d_sae, (double)b->sae->d_sae);
    line(o, "l0", total(a, offsetof(struct scan_totals, l0)),
         total(b, offsetof(struct scan_totals, l0)));
    line(o, "fvu", total(a, offsetof(struct scan_totals, fvu)),
         total(b, offsetof(struct scan_totals, fvu)));
    line(o, "dead_fraction", total(a, offsetof(struct scan_totals, dead_fraction)),
         total(b, offsetof(struct scan_totals, dead_fraction)));
    line(o, "l1", total(a, offsetof(struct scan_totals, l1)),
         total(b, offsetof(struct scan_totals, l1)));
    line(o, "reconstruction_score", a->score ? a->score->reconstruction_score : NAN,
         b->score ? b->score->reconstruction_score : NAN);
    line(o, "nats_lost", a->score ? a->score->nats_lost : NAN,
         b->score ? b->score->nats_lost : NAN);
    line(o, "kl", a->score ? a->score->kl : NAN, b->score ? b->score->kl : NAN);
    line(o, "b_enc mean", a->has_b_enc ? a->b_enc.mean : NAN,
         b->has_b_enc ? b->b_enc.mean : NAN);
    line(o, "b_enc std", a->has_b_enc ? a->b_enc.std : NAN,
         b->has_b_enc ? b->b_enc.std : NAN);
    line(o, "b_enc fraction < 0", a->has_b_enc ? a->b_enc.negative_fraction : NAN,
         b->has_b_enc ? b->b_enc.negative_fraction : NAN);
}

static void show_fraction(struct out *o, const char *what, int64_t k, int64_t n)
{
    out_line(o, "%-40s %8lld of %lld (%.1f %%)", what, (long long)k, (long long)n,
             n ? 100.0 * (double)k / (double)n : 0.0);
}

static void show(struct out *o, const struct page_compare *p)
{
    int64_t n = p->side[0].sae->d_sae, m = p->side[1].sae->d_sae;
    show_sides(o, &p->side[0], &p->side[1]);
    out_heading(o, "decoder rows");
    out_line(o, "%-40s %8.4f", "mean best cosine (MMCS), a to b", p->mmcs[0]);
    out_line(o, "%-40s %8.4f", "                         b to a", p->mmcs[1]);
    out_line(o, "%-40s %8.4f", p->optimal ? "mean cosine one to one (optimal)"
                                          : "mean cosine one to one (greedy)",
             p->one_to_one_mean);
    show_fraction(o, "matches that are mutual", p->n_mutual, n);
    show_fraction(o, "of a, best cosine below 0.5", p->n_unmatched[0], n);
    show_fraction(o, "of b, best cosine below 0.5", p->n_unmatched[1], m);
    put_matches(o, p, n < SHOWN ? n : SHOWN);
    put_pairs(o, p, p->n_one_to_one < SHOWN ? p->n_one_to_one : SHOWN);
    if (n > SHOWN)
        out_line(o, "... the first %d; all with --json, or --tsv --table matches|one_to_one",
                 SHOWN);
}

bool cmd_compare(struct cmd *c, struct err *err)
{
    struct compare_side sides[2];
    struct page_score scores[2];
    struct page_compare page;
    const char *how = c->opts.matching;
    struct compare_options options = {
        .matching = !how                    ? COMPARE_AUTO
                    : !strcmp(how, "greedy") ? COMPARE_GREEDY
                                             : COMPARE_OPTIMAL,
        .memory = c->session->options.memory,
        .threads = c->opts.session.threads,
        .measured = !c->opts.session.quick,
    };
    if (c->opts.pareto)
        return cmd_pareto(c, err);
    if (!find_sides(c, sides, scores, err) ||
        !page_compare_make(&sides[0], &sides[1], &options, &c->progress, &page, err))
        return false;
    if (out_form(c->out) == OUT_TEXT)
        show(c->out, &page);
    else
        put_all(c->out, &page);
    page_compare_finish(&page);
    return true;
}
