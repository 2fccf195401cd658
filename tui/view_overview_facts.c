/* view_overview_facts.c - what the cards of view 1 stand on; see view_overview.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view_overview.h"

enum { SMALL_BINS = 28 };

bool overview_is_loaded(const struct view *v, int i)
{
    return v->session->saes[i].sae != NULL;
}

const struct scan_totals *overview_totals(const struct view *v, int i)
{
    const struct index *ix = v->session->saes[i].index;

    return ix ? index_totals(ix) : NULL;
}

bool overview_has_samples(const struct view *v)
{
    return samples_have_features(v->session->samples);
}

/* -- facts: a job a card -------------------------------------------------------------- */

struct facts_job {
    struct job job;
    const struct sae *sae;         /* borrowed from the session */
    const struct samples *samples; /* likewise; NULL: none */
    int i, threads;
    struct page_info info;
    struct check check;
};

static bool facts_run(struct job *job, const struct progress *p, struct err *err)
{
    struct facts_job *f = (struct facts_job *)job;

    return page_info_make(f->sae, f->threads, p, &f->info, err) &&
           (!f->samples || check_make(f->sae, f->samples, p, &f->check, err));
}

static void facts_free(struct job *job)
{
    page_info_finish(&((struct facts_job *)job)->info);
    free(job);
}

static const struct job_ops facts_ops = {"checkpoint", facts_run, facts_free};

static void start_scores(struct view *v)
{
    const struct overview *o = v->state;

    desk_need_lm(v->desk);
    for (int i = 0; i < o->n_cards && !v->session->options.quick; i++)
        if (overview_is_loaded(v, i) && desk_score_is_cheap(v->desk, i))
            desk_need_score(v->desk, i);
}

void overview_start_facts(struct view *v)
{
    struct overview *o = v->state;

    start_scores(v);
    if (view_busy(v, SLOT_FACTS) || v->slots[SLOT_FACTS].err.code)
        return;
    for (int i = 0; i < o->n_cards; i++) {
        if (!overview_is_loaded(v, i) || o->cards[i].has_info)
            continue;
        struct facts_job *f = job_new(&facts_ops, sizeof *f);
        f->sae = v->session->saes[i].sae;
        f->i = i;
        f->threads = v->session->options.threads;
        if (overview_has_samples(v) && v->session->samples->d_in == f->sae->d_in)
            f->samples = v->session->samples;
        view_start(v, SLOT_FACTS, LANE_QUICK, &f->job);
        return;
    }
}

void overview_take_facts(struct view *v, struct job *job)
{
    struct overview *o = v->state;
    struct facts_job *f = (struct facts_job *)job;
    struct card *card = &o->cards[f->i];

    card->info = f->info;
    card->has_info = true;
    card->check = f->check;
    card->has_check = f->samples != NULL;
    f->info = (struct page_info){0};
    overview_start_facts(v);
}

/* -- small histograms, as the tables fill --------------------------------------------- */

enum quantity overview_small_quantity(const struct sae *sae, int i)
{
    static const enum quantity others[] = {QUANTITY_DENSITY, QUANTITY_MAX,
                                           QUANTITY_DECODER_NORM};

    if (i == 0)
        return quantity_default(sae);
    return others[i - 1] == QUANTITY_DECODER_NORM && sae->relative_norm
               ? QUANTITY_RELATIVE_NORM
               : others[i - 1];
}

void overview_drop_small(struct card *card)
{
    for (int i = 0; i < SMALL_HISTS; i++)
        summary_finish(&card->small[i]);
    memset(card->has_small, 0, sizeof card->has_small);
}

static void derive_card(struct view *v, int i)
{
    struct card *card = &((struct overview *)v->state)->cards[i];
    const struct sae *sae = v->session->saes[i].sae;
    const struct feature_table *t = &desk_sae(v->desk, i)->table;
    int64_t n;

    overview_drop_small(card);
    card->version = desk_sae(v->desk, i)->version;
    card->live_l0 = card->live_dead = NAN;
    for (int k = 0; sae && k < SMALL_HISTS; k++) {
        enum quantity q = overview_small_quantity(sae, k);
        double *x = quantity_values(sae, t, q, &n);
        if (!x)
            continue;
        summary_of(x, n, &(struct summary_options){.bins = SMALL_BINS,
                                                   .log = quantities[q].log_values},
                   &card->small[k]);
        card->has_small[k] = true;
        if (q == QUANTITY_DENSITY && card->small[k].count) {
            card->live_l0 = card->small[k].mean * (double)card->small[k].count;
            card->live_dead = card->small[k].zero_fraction;
        }
        free(x);
    }
}

void overview_derive_cards(struct view *v)
{
    struct overview *o = v->state;

    for (int i = 0; i < o->n_cards; i++)
        if (overview_is_loaded(v, i) && (o->cards[i].version != desk_sae(v->desk, i)->version ||
                                !o->cards[i].has_small[0]))
            derive_card(v, i);
}
