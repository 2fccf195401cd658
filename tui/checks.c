/* checks.c - see checks.h. */
#include "tui/checks.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/kern.h"
#include "tui/wid_hist.h"

struct list {
    struct check_line *lines;
    int n;
};

static void say(struct list *l, enum check_verdict verdict, const char *name,
                const char *view, const char *of, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

static void say(struct list *l, enum check_verdict verdict, const char *name,
                const char *view, const char *of, const char *fmt, ...)
{
    struct check_line *line = &l->lines[l->n++];
    va_list ap;

    *line = (struct check_line){.verdict = verdict, .name = name, .view = view, .of = of};
    va_start(ap, fmt);
    vsnprintf(line->text, sizeof line->text, fmt, ap);
    va_end(ap);
}

struct figure {
    char text[32];
};

static struct figure figure(double x)
{
    struct figure f;

    number_text(x, 7, f.text, sizeof f.text);
    return f;
}

static void check_orientation(struct list *l, const struct check_facts *f)
{
    static const char name[] = "orientation";
    static const char view[] = "biases", of[] = "encoder_decoder_cosine";

    if (!f->info) {
        say(l, CHECK_WAITING, name, view, of, "reading the weights");
        return;
    }
    double c = f->info->median_encoder_decoder_cosine;
    if (isnan(c))
        say(l, CHECK_INFO, name, view, of, "reads one space and writes another");
    else if (c <= -.1)
        say(l, CHECK_BAD, name, view, of, "encoder rows point away from decoder rows (median "
            "cosine %.2f): is a sign turned?", c);
    else if (c < .1)
        say(l, CHECK_WARNING, name, view, of, "encoder and decoder rows have little in common "
            "(median cosine %.2f): is W_enc transposed, or of another checkpoint?", c);
    else
        say(l, CHECK_GOOD, name, view, of, "median cosine of encoder and decoder rows %.2f", c);
}

static void check_norms(struct list *l, const struct check_facts *f)
{
    static const char name[] = "decoder norms";
    static const char view[] = "biases", of[] = "decoder_norm";

    if (!f->info) {
        say(l, CHECK_WAITING, name, view, of, "reading the weights");
        return;
    }
    const struct sae *sae = f->session->saes[f->sae].sae;
    const struct summary *s = &f->info->parameter[PARAM_DECODER_NORM];
    long long zero = llround(s->zero_fraction * (double)s->count);
    if (s->count && fabs(s->min - 1) <= .01 && fabs(s->max - 1) <= .01)
        say(l, CHECK_GOOD, name, view, of, "all of unit length");
    else if (s->count && zero)
        say(l, CHECK_WARNING, name, view, of, "%lld of length 0: these features write nothing",
            zero);
    else if (sae->act_scale && !sae->scale_ranks)
        say(l, CHECK_GOOD, name, view, of, "%s to %s, mean %s, folded into the activations",
            figure(s->min).text, figure(s->max).text, figure(s->mean).text);
    else
        say(l, CHECK_INFO, name, view, of, "%s to %s, mean %s: activations of different "
            "features are not on one scale (--fold-decoder-norms on)",
            figure(s->min).text, figure(s->max).text, figure(s->mean).text);
}

static void check_numbers(struct list *l, const struct check_facts *f)
{
    static const char name[] = "weights";
    const struct sae *sae = f->session->saes[f->sae].sae;
    long long broken = sae_count_broken(sae);

    if (f->session->options.unchecked)
        say(l, CHECK_INFO, name, "features", NULL, "not looked through for NaN and Inf");
    else if (broken)
        say(l, CHECK_BAD, name, "features", NULL, "NaN or Inf in the weights of %lld feature%s: "
            "left out", broken, broken == 1 ? "" : "s");
    else if (!kern_all_finite(sae->b_dec, sae->d_out))
        say(l, CHECK_BAD, name, "biases", "b_dec", "NaN or Inf in b_dec: no reconstruction, "
            "fvu and what follows from it are null");
    else
        say(l, CHECK_GOOD, name, "features", NULL, "no NaN and no Inf");
}

static void check_duplicates(struct list *l, const struct check_facts *f)
{
    static const char name[] = "equal rows";

    if (!f->info)
        say(l, CHECK_WAITING, name, "features", NULL, "reading the weights");
    else if (f->info->duplicate_decoder_rows)
        say(l, CHECK_WARNING, name, "features", NULL, "%lld decoder row%s an earlier one",
            (long long)f->info->duplicate_decoder_rows,
            f->info->duplicate_decoder_rows == 1 ? " equals" : "s equal");
    else
        say(l, CHECK_GOOD, name, "features", NULL, "no two decoder rows are equal");
}

static void check_hook(struct list *l, const struct check_facts *f)
{
    static const char name[] = "hook";
    const char *own = f->session->saes[f->sae].sae->hook;
    const char *used = session_hook(f->session, f->sae);

    if (!used)
        say(l, CHECK_INFO, name, "overview", NULL, "not known (--hook NAME)");
    else if (own && strcmp(own, used) != 0)
        say(l, CHECK_WARNING, name, "overview", NULL, "trained at %s, the samples are said to be "
            "from %s", own, used);
    else if (own)
        say(l, CHECK_GOOD, name, "overview", NULL, "%s, as it was trained", own);
    else
        say(l, CHECK_INFO, name, "overview", NULL, "%s; the checkpoint itself does not say", used);
}

static const char *const norm_words[] = {
    [SAE_NORM_NONE] = "not normalised",
    [SAE_NORM_CONSTANT] = "scaled to that length",
    [SAE_NORM_LAYER] = "layer-normalised",
    [SAE_NORM_FACTOR] = "scaled by the checkpoint's factor",
};

/* Whether the samples suit the checkpoint shows in the reconstruction. */
static void check_scale(struct list *l, const struct check_facts *f)
{
    static const char name[] = "samples";
    const struct sae *sae = f->session->saes[f->sae].sae;
    char length[96] = "";

    if (!samples_have_inputs(f->session->samples)) {
        bool firings = samples_have_features(f->session->samples);
        say(l, firings ? CHECK_INFO : CHECK_WAITING, name, "features", NULL, "%s",
            firings ? "a cache of firings: nothing is known of the reconstruction"
                    : "none (--acts FILE)");
        return;
    }
    if (f->check && f->check->tokens)
        snprintf(length, sizeof length, "|x| %s, sqrt(d_in) %s, %s",
                 figure(f->check->median_length).text, figure(sqrt((double)sae->d_in)).text,
                 norm_words[sae->norm]);
    else if (f->check)
        snprintf(length, sizeof length, "NaN or Inf in every token looked at");
    if (sae->needs_factor && f->check && f->check->factor > 0)
        say(l, CHECK_WARNING, name, "features", NULL, "trained on activations times a factor that "
            "no file has: --norm-factor %.4g brings these to sqrt(d_in); %s", f->check->factor,
            length);
    else if (!f->totals || isnan(f->totals->fvu))
        say(l, f->check ? CHECK_INFO : CHECK_WAITING, name, "features", NULL, "%s",
            f->check ? length : "reading some of them");
    else if (sae->cross_layer)
        say(l, CHECK_INFO, name, "features", NULL, "FVU %s of what one layer of a cross-layer "
            "transcoder adds: others write there too; %s", figure(f->totals->fvu).text, length);
    else if (f->totals->fvu > 1)
        say(l, CHECK_BAD, name, "features", NULL, "FVU %s is worse than saying the mean: wrong "
            "layer, or missing normalisation? Try other --acts, --hook, --norm-factor, "
            "--subtract-b-dec; %s",
            figure(f->totals->fvu).text, length);
    else if (f->totals->fvu > .5)
        say(l, CHECK_WARNING, name, "features", NULL, "FVU %s is high: are they from the layer "
            "and the model it was trained on? %s", figure(f->totals->fvu).text, length);
    else
        say(l, CHECK_GOOD, name, "features", NULL, "they fit: FVU %s · %s",
            figure(f->totals->fvu).text, length);
}

static void check_b_dec(struct list *l, const struct check_facts *f)
{
    static const char name[] = "b_dec";
    const struct sae *sae = f->session->saes[f->sae].sae;
    const struct check *c = f->check;

    if (!sae_rebuilds_input(sae))
        say(l, CHECK_INFO, name, "biases", name, "of another space than the samples");
    else if (!c)
        say(l, CHECK_WAITING, name, "biases", name, "set against the mean of the samples when "
            "there are some");
    else if (c->b_dec_length == 0)
        say(l, CHECK_INFO, name, "biases", name, "zero; the samples' mean has length %s",
            figure(c->mean_length).text);
    else if (sae->norm != SAE_NORM_NONE)
        say(l, CHECK_INFO, name, "biases", name, "cosine %.2f with the samples' mean (inputs are "
            "normalised: lengths differ)", c->b_dec_cosine);
    else
        say(l, c->b_dec_cosine > .5 ? CHECK_GOOD : CHECK_INFO, name, "biases", name,
            "cosine %.2f with the samples' mean (lengths %s, %s)",
            c->b_dec_cosine, figure(c->b_dec_length).text, figure(c->mean_length).text);
}

static void check_sparsity(struct list *l, const struct check_facts *f)
{
    static const char name[] = "sparsity";
    static const char view[] = "biases", of[] = "density";
    const struct scan_totals *t = f->totals;
    const struct sae *sae = f->session->saes[f->sae].sae;
    char part[32];

    if (!t)
        say(l, CHECK_WAITING, name, view, of, "%s",
            f->state && *f->state ? f->state : "not known without samples");
    else if (t->l0 > .5 * (double)sae->d_in)
        say(l, CHECK_WARNING, name, view, of, "L0 %s is not sparse for d_in %lld",
            figure(t->l0).text, (long long)sae->d_in);
    else if (t->dead_fraction > .5)
        say(l, CHECK_WARNING, name, view, of, "%.0f %% of the features are dead on these samples",
            100 * t->dead_fraction);
    else if (t->l0 == 0)
        say(l, CHECK_BAD, name, view, of, "no feature fires on any token");
    else
        say(l, CHECK_GOOD, name, view, of, "%s features a token, %s of all dead",
            figure(t->l0).text, percent_text(t->dead_fraction, part, sizeof part));
}

int checks_make(const struct check_facts *f, struct check_line out[CHECK_LINES])
{
    struct list l = {out, 0};

    check_scale(&l, f);
    check_sparsity(&l, f);
    check_hook(&l, f);
    check_orientation(&l, f);
    check_norms(&l, f);
    check_b_dec(&l, f);
    check_numbers(&l, f);
    check_duplicates(&l, f);
    return l.n;
}
