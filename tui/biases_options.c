/* biases_options.c - words, commands and options of the Biases view. See biases.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/biases.h"

/* -- words ---------------------------------------------------------------------------- */

void biases_status(const struct view *v, char *buf, size_t size)
{
    const struct biases *b = v->state;
    char state[160] = "";
    int first, last;
    size_t n;

    if (!biases_sae(v))
        return;
    if (b->run_shown) {
        const struct biases_run *r = &b->run;
        const char *name = r->series.n ? v->session->saes[r->series.members[r->cursor].sae].name
                                       : "";
        bool stopped = v->slots[BIASES_SLOT_RUN].err.code == ERR_CANCELLED;
        snprintf(buf, size, "series · %d/%d %s%s", r->cursor + 1, r->series.n, name,
                 stopped ? " · cancelled: R goes on" : "");
        return;
    }
    n = (size_t)snprintf(buf, size, "%s", quantities[b->of].name);
    if (biases_taken(b, &first, &last) && n < size)
        n += (size_t)snprintf(buf + n, size - n, first == last ? " · bar %d/%d" :
                              " · bars %d-%d/%d", first + 1,
                              first == last ? b->series[0].summary.hist.n : last + 1,
                              b->series[0].summary.hist.n);
    if (b->log_counts && n < size)
        n += (size_t)snprintf(buf + n, size - n, " · log counts");
    if (!isnan(b->range_lo) && n < size)
        n += (size_t)snprintf(buf + n, size - n, " · range %g, %g", b->range_lo,
                              b->range_hi);
    if (b->n_series && b->series[0].summary.excluded && n < size)
        n += (size_t)snprintf(buf + n, size - n, " · %lld%s left out",
                              (long long)b->series[0].summary.excluded,
                              b->log_values && isnan(b->range_lo) ? " of 0 or less" : "");
    desk_state_text(v->desk, v->target.sae, state, sizeof state);
    if (state[0] && n < size)
        snprintf(buf + n, size - n, " · %s", state);
}

const char *biases_explain(const struct view *v)
{
    const struct biases *b = v->state;

    if (b->pane == BIASES_LIST && b->list.column < b->n_columns &&
        b->columns[b->list.column] < FCOL_COUNT)
        return feature_columns[b->columns[b->list.column]].key;
    return quantities[b->of].name;
}

/* -- commands and options ------------------------------------------------------------- */

static bool set_of(struct view *v, const char *name, struct err *err)
{
    int q = quantity_find(name);

    if (q < 0)
        return err_set(err, ERR_USAGE, "of: found \"%s\" (expected b_enc, b_dec, threshold, "
                                       "decoder_norm, density, max, ...)", name);
    if (!biases_sae(v) || !quantity_applies(biases_sae(v), (enum quantity)q))
        return err_set(err, ERR_USAGE, "of: this checkpoint has no %s", name);
    biases_choose(v, q);
    return true;
}

static bool set_bins(struct view *v, const char *value, struct err *err)
{
    char *end;
    long bins = strtol(value, &end, 10);

    if (end == value || *end || bins < 1 || bins > BIASES_MAX_BINS)
        return err_set(err, ERR_USAGE, "bins: found \"%s\" (expected 1 to %d)", value,
                       BIASES_MAX_BINS);
    biases_rebin(v, (int)bins);
    return true;
}

static bool set_range(struct view *v, const char *value, struct err *err)
{
    struct biases *b = v->state;
    double lo = NAN, hi = NAN;
    int used = 0;

    if (*value && (sscanf(value, "%lf , %lf %n", &lo, &hi, &used) < 2 || value[used] ||
                   !(lo < hi)))
        return err_set(err, ERR_USAGE, "range: found \"%s\" (expected LO,HI or nothing)",
                       value);
    b->range_lo = lo;
    b->range_hi = hi;
    biases_derive(v, false);
    return true;
}

enum { OPT_OF, OPT_BINS, OPT_RANGE, OPT_COUNTS, OPT_VALUES, OPT_OVERLAY, OPT_SERIES };
static const char *const of_choices[] = {
    "b_enc", "b_gate", "b_mag", "threshold", "b_dec", "decoder_norm", "relative_decoder_norm",
    "encoder_decoder_cosine", "density", "max", "delta_fvu", NULL};
static const char *const counts_choices[] = {"linear", "log", NULL};
static const char *const values_choices[] = {"auto", "linear", "log", NULL};
static const char *const switch_choices[] = {"on", "off", NULL};

const struct view_option biases_options[] = {
    [OPT_OF] = {"of", "what the histogram is of", of_choices},
    [OPT_BINS] = {"bins", "number of bars, 1 to 1024", NULL},
    [OPT_RANGE] = {"range", "only values in LO,HI; empty: all", NULL},
    [OPT_COUNTS] = {"counts", "axis of counts (t)", counts_choices},
    [OPT_VALUES] = {"values", "bins of the value or of its log10; auto: of log10 for density "
                              "and ΔFVU", values_choices},
    [OPT_OVERLAY] = {"overlay", "the other chosen checkpoints over the first",
                     switch_choices},
    [OPT_SERIES] = {"series", "several checkpoints by step or L1 coefficient: ridges and lines (s)",
                    switch_choices},
    {NULL, NULL, NULL},
};

void biases_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct biases *b = v->state;

    switch (i) {
    case OPT_OF: snprintf(buf, size, "%s", quantities[b->of].name); break;
    case OPT_BINS: snprintf(buf, size, "%d", biases_bins_now(v)); break;
    case OPT_RANGE:
        buf[0] = 0;
        if (!isnan(b->range_lo))
            snprintf(buf, size, "%g,%g", b->range_lo, b->range_hi);
        break;
    case OPT_COUNTS: snprintf(buf, size, "%s", counts_choices[b->log_counts]); break;
    case OPT_VALUES: snprintf(buf, size, "%s", values_choices[b->scale]); break;
    case OPT_SERIES: snprintf(buf, size, "%s", switch_choices[!b->run_shown]); break;
    default: snprintf(buf, size, "%s", switch_choices[!b->overlay]); break;
    }
}

static int choice(const char *const *choices, const char *value)
{
    for (int i = 0; choices[i]; i++)
        if (strcmp(choices[i], value) == 0)
            return i;
    return -1;
}

bool biases_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct biases *b = v->state;
    int n;

    switch (i) {
    case OPT_OF: return set_of(v, value, err);
    case OPT_BINS: return set_bins(v, value, err);
    case OPT_RANGE: return set_range(v, value, err);
    default: break;
    }
    n = choice(biases_options[i].choices, value);
    if (n < 0)
        return err_set(err, ERR_USAGE, "%s: found \"%s\" (expected %s, %s%s%s)",
                       biases_options[i].name, value, biases_options[i].choices[0],
                       biases_options[i].choices[1], i == OPT_VALUES ? ", " : "",
                       i == OPT_VALUES ? biases_options[i].choices[2] : "");
    if (i == OPT_COUNTS)
        b->log_counts = n == 1;
    else if (i == OPT_VALUES)
        b->scale = (enum biases_scale)n;
    else if (i == OPT_SERIES)
        biases_run_show(v, n == 0);
    else
        b->overlay = n == 0;
    if (v->desk)
        biases_need_chosen(v);
    biases_derive(v, i == OPT_COUNTS);
    return true;
}

/* ":of density", ":bins 40", ":range -1,0" */
bool biases_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    if (what == ASK_COMMAND)
        for (int i = 0; i <= OPT_RANGE; i++) {
            size_t n = strlen(biases_options[i].name);
            if (strncmp(text, biases_options[i].name, n) == 0 && (!text[n] || text[n] == ' '))
                return biases_option_set(v, i, text + n + strspn(text + n, " "), err);
        }
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
}

const char *biases_word(const struct view *v, enum ask what, int i)
{
    (void)v;
    if (what != ASK_COMMAND)
        return NULL;
    if (i <= OPT_RANGE)
        return biases_options[i].name;
    return i - OPT_RANGE - 1 < QUANTITY_COUNT ? quantities[i - OPT_RANGE - 1].name : NULL;
}
