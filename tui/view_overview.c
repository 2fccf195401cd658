/*
 * view_overview.c - view 1: a card for every open checkpoint, rows for the others.
 *
 * The page is as long as it has to be. build() walks over it once and puts down, beside
 * the paint, what the cursor can stand on; keys and mouse use the same walk on a canvas of
 * one row, where all paint is clipped.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "tui/checks.h"
#include "tui/desk.h"
#include "tui/out_info.h"
#include "tui/quantity.h"
#include "tui/view.h"
#include "tui/wid_hist.h"

enum { SMALL_HISTS = 4, SMALL_BINS = 28, SLOT_FACTS = 0 };

/* What the cursor can stand on, in the order of a card. */
enum item_kind {
    ITEM_CARD,
    ITEM_METRIC,
    ITEM_CHECK = ITEM_METRIC + 16,
    ITEM_HIST = ITEM_CHECK + 16,
    ITEM_OTHER = ITEM_HIST + 16, /* a checkpoint that is not open */
};

struct place {
    int sae, key; /* which card, enum item_kind + number */
};

struct item {
    struct place place;
    int row, col, rows, cols;
    const char *view, *of, *filter; /* what Enter opens */
    const char *term;               /* what ? explains */
};

struct card {
    bool has_info, has_check;
    struct page_info info;
    struct check check;
    struct summary small[SMALL_HISTS];
    bool has_small[SMALL_HISTS];
    double live_l0, live_dead; /* of the table, while a scan runs */
    uint64_t version;          /* of the desk when these were made */
};

struct overview {
    struct card *cards; /* [desk_count], owned */
    int n_cards;
    struct place cursor;
    int top;     /* row of the page at the top of the screen */
    bool follow; /* the card under the cursor has been asked for: show it as it grows */
};

static bool is_loaded(const struct view *v, int i)
{
    return v->session->saes[i].sae != NULL;
}

static const struct scan_totals *totals_of(const struct view *v, int i)
{
    const struct index *ix = v->session->saes[i].index;

    return ix ? index_totals(ix) : NULL;
}

static bool has_samples(const struct view *v)
{
    return v->session->samples && v->session->samples->n_shards > 0;
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

/* One checkpoint after the other. */
static void start_facts(struct view *v)
{
    struct overview *o = v->state;

    if (view_busy(v, SLOT_FACTS) || v->slots[SLOT_FACTS].err.code)
        return;
    for (int i = 0; i < o->n_cards; i++) {
        if (!is_loaded(v, i) || o->cards[i].has_info)
            continue;
        struct facts_job *f = job_new(&facts_ops, sizeof *f);
        f->sae = v->session->saes[i].sae;
        f->i = i;
        f->threads = v->session->options.threads;
        if (has_samples(v) && v->session->samples->d_in == f->sae->d_in)
            f->samples = v->session->samples;
        view_start(v, SLOT_FACTS, LANE_QUICK, &f->job);
        return;
    }
}

static void overview_loaded(struct view *v, int slot, struct job *job)
{
    struct overview *o = v->state;
    struct facts_job *f = (struct facts_job *)job;
    struct card *card = &o->cards[f->i];

    (void)slot;
    card->info = f->info;
    card->has_info = true;
    card->check = f->check;
    card->has_check = f->samples != NULL;
    f->info = (struct page_info){0};
    start_facts(v);
}

/* -- small histograms, as the tables fill --------------------------------------------- */

static enum quantity small_quantity(const struct sae *sae, int i)
{
    static const enum quantity others[] = {QUANTITY_DENSITY, QUANTITY_MAX,
                                           QUANTITY_DECODER_NORM};

    return i == 0 ? quantity_default(sae) : others[i - 1];
}

static void drop_small(struct card *card)
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

    drop_small(card);
    card->version = desk_sae(v->desk, i)->version;
    card->live_l0 = card->live_dead = NAN;
    for (int k = 0; sae && k < SMALL_HISTS; k++) {
        enum quantity q = small_quantity(sae, k);
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

static void derive_cards(struct view *v)
{
    struct overview *o = v->state;

    for (int i = 0; i < o->n_cards; i++)
        if (is_loaded(v, i) && (o->cards[i].version != desk_sae(v->desk, i)->version ||
                                !o->cards[i].has_small[0]))
            derive_card(v, i);
}

/* -- the page ------------------------------------------------------------------------- */

struct page {
    const struct view *v;
    struct canvas *c;
    int cols, row;
    struct item *items; /* owned */
    int n, cap;
};

static void put_item(struct page *p, struct item item)
{
    array_grow(p->items, p->n, p->cap);
    p->items[p->n++] = item;
}

static bool is_at(const struct page *p, int sae, int key)
{
    const struct overview *o = p->v->state;

    return o->cursor.sae == sae && o->cursor.key == key;
}

/* The cursor's ground over a line. */
static void light(struct page *p, int sae, int key, int row, int rows, int col, int cols)
{
    if (!is_at(p, sae, key))
        return;
    for (int i = 0; i < rows; i++)
        canvas_ground(p->c, row + i, col, cols, INK_CURSOR);
}

/* A path cut to `width` columns keeps its end. */
static void put_path(struct page *p, int col, uint32_t ink, const char *path)
{
    int width = p->cols - col - 1;

    if (text_width(path) > width) {
        for (int left = text_width(path) - width + 1; *path && left > 0; path++)
            left -= (*path & 0xc0) != 0x80;
        col = canvas_text(p->c, p->row, col, ink, "…");
    }
    canvas_fit(p->c, p->row, col, p->cols - col - 1, ALIGN_LEFT, ink, path);
}

static void put_identity(struct page *p, int i)
{
    const struct sae *sae = p->v->session->saes[i].sae;
    const struct samples *s = p->v->session->samples;
    char d_sae[32], tokens[32], line[512];
    size_t n;

    count_text(sae->d_sae, d_sae, sizeof d_sae);
    n = (size_t)snprintf(line, sizeof line, "%s · %lld → %s", sae->arch->name,
                         (long long)sae->d_in, d_sae);
    if (sae->d_out != sae->d_in)
        n += (size_t)snprintf(line + n, sizeof line - n, " → %lld", (long long)sae->d_out);
    n += (size_t)snprintf(line + n, sizeof line - n, " (x %.3g) · %s",
                          (double)sae->d_sae / (double)sae->d_in, dtype_info[sae->dtype].name);
    if (sae->k)
        n += (size_t)snprintf(line + n, sizeof line - n, " · k %lld", (long long)sae->k);
    if (sae->step >= 0)
        n += (size_t)snprintf(line + n, sizeof line - n, " · step %lld", (long long)sae->step);
    if (strcmp(sae->kind, "sae") != 0)
        n += (size_t)snprintf(line + n, sizeof line - n, " · %s", sae->kind);
    snprintf(line + n, sizeof line - n, " · %s, by %s", sae->format, sae->rule);
    canvas_fit(p->c, p->row++, 2, p->cols - 3, ALIGN_LEFT, INK_VALUE, line);
    const char *hook = session_hook(p->v->session, i);
    n = (size_t)snprintf(line, sizeof line, "%s · ", hook ? hook : "hook not known (--hook NAME)");
    if (!has_samples(p->v))
        snprintf(line + n, sizeof line - n, "no samples (--acts FILE)");
    else
        snprintf(line + n, sizeof line - n, "%s tokens in %lld x %lld · %s",
                 count_text(s->n_tok, tokens, sizeof tokens), (long long)s->n_seq,
                 (long long)s->seq_len, dtype_info[s->dtype].name);
    canvas_fit(p->c, p->row++, 2, p->cols - 3, ALIGN_LEFT, INK_TEXT, line);
    if (has_samples(p->v)) {
        snprintf(line, sizeof line, s->n_shards > 1 ? "%s and %d more" : "%s", s->path,
                 s->n_shards - 1);
        put_path(p, 2, INK_DIM, line);
        p->row++;
    }
    put_path(p, 2, INK_DIM, sae->path);
    p->row++;
}

/* -- numbers of the scan */

struct metric {
    const char *name, *term, *view, *of, *filter;
    size_t offset; /* in struct scan_totals */
};

static const struct metric metrics[] = {
    {"L0", "l0", "biases", "density", NULL, offsetof(struct scan_totals, l0)},
    {"FVU", "fvu", "biases", "delta_fvu", NULL, offsetof(struct scan_totals, fvu)},
    {"explained variance", "explained_variance", "biases", "delta_fvu", NULL,
     offsetof(struct scan_totals, explained_variance)},
    {"mse", "mse", "features", NULL, NULL, offsetof(struct scan_totals, mse)},
    {"cosine", "cosine", "features", NULL, NULL, offsetof(struct scan_totals, cosine)},
    {"dead features", "dead_fraction", "features", NULL, "density = 0",
     offsetof(struct scan_totals, dead_fraction)},
};
enum { METRICS = sizeof metrics / sizeof *metrics };

/* The value as text; false: not known. */
static bool metric_text(const struct view *v, int i, int m, char *buf, size_t size)
{
    const struct card *card = &((const struct overview *)v->state)->cards[i];
    const struct scan_totals *t = totals_of(v, i);
    double x = NAN;
    char part[32];
    bool is_dead = strcmp(metrics[m].term, "dead_fraction") == 0;

    if (t)
        memcpy(&x, (const char *)t + metrics[m].offset, sizeof x);
    else if (is_dead)
        x = card->live_dead;
    else if (m == 0)
        x = card->live_l0;
    if (isnan(x))
        return false;
    if (is_dead)
        snprintf(buf, size, "%s  %.0f", percent_text(x, part, sizeof part),
                 x * (double)v->session->saes[i].sae->d_sae);
    else
        snprintf(buf, size, "%.4g", x);
    return true;
}

static void put_metric(struct page *p, int i, int m, int row, int col, int cols)
{
    char text[64], state[160];
    int name = 19, key = ITEM_METRIC + m;
    bool known = metric_text(p->v, i, m, text, sizeof text);

    canvas_fit(p->c, row, col, name, ALIGN_LEFT, INK_LABEL, metrics[m].name);
    if (!known) {
        desk_state_text(p->v->desk, i, state, sizeof state);
        canvas_fit(p->c, row, col + name, cols - name, ALIGN_LEFT, INK_DIM,
                   !has_samples(p->v) ? "needs --acts" : state[0] ? state : "·");
    } else {
        uint32_t ink = totals_of(p->v, i) ? INK_VALUE | STYLE_BOLD : INK_DIM;
        canvas_fit(p->c, row, col + name, cols - name, ALIGN_LEFT, ink, text);
    }
    light(p, i, key, row, 1, col, cols);
    put_item(p, (struct item){{i, key}, row, col, 1, cols, metrics[m].view, metrics[m].of,
                              metrics[m].filter, metrics[m].term});
}

static const char *const verdict_mark[] = {
    [CHECK_GOOD] = "✓", [CHECK_INFO] = "·", [CHECK_WARNING] = "!", [CHECK_BAD] = "✗",
    [CHECK_WAITING] = "…"};
static const enum ink verdict_ink[] = {
    [CHECK_GOOD] = INK_GOOD, [CHECK_INFO] = INK_TEXT, [CHECK_WARNING] = INK_WARNING,
    [CHECK_BAD] = INK_ERROR, [CHECK_WAITING] = INK_DIM};

/* Returns the row after. */
static int put_checks(struct page *p, int i, int row, int col, int cols)
{
    const struct card *card = &((const struct overview *)p->v->state)->cards[i];
    char state[160];
    struct check_line lines[CHECK_LINES];
    struct check_facts facts = {
        .session = p->v->session,
        .sae = i,
        .info = card->has_info ? &card->info : NULL,
        .check = card->has_check ? &card->check : NULL,
        .totals = totals_of(p->v, i),
        .state = desk_state_text(p->v->desk, i, state, sizeof state),
    };
    int n = checks_make(&facts, lines), name = 16;

    for (int k = 0; k < n; k++) {
        struct canvas text = canvas_sub(p->c, 0, col + name, p->c->rows, cols - name);
        bool quiet = lines[k].verdict == CHECK_GOOD || lines[k].verdict == CHECK_INFO;
        int first = row, key = ITEM_CHECK + k;
        canvas_text(p->c, row, col, verdict_ink[lines[k].verdict],
                    verdict_mark[lines[k].verdict]);
        canvas_fit(p->c, row, col + 2, name - 3, ALIGN_LEFT, INK_LABEL, lines[k].name);
        row = canvas_wrap(&text, row, quiet ? INK_TEXT : verdict_ink[lines[k].verdict],
                          lines[k].text);
        light(p, i, key, first, row - first, col, cols);
        put_item(p, (struct item){{i, key}, first, col, row - first, cols, lines[k].view,
                                  lines[k].of, NULL, lines[k].name});
    }
    return row;
}

static void small_title(const struct summary *s, enum quantity q, char *buf, size_t size)
{
    char part[32];

    switch (q) {
    case QUANTITY_DENSITY:
        snprintf(buf, size, "density %s dead",
                 percent_text(s->zero_fraction, part, sizeof part));
        break;
    case QUANTITY_MAX: snprintf(buf, size, "max activation"); break;
    case QUANTITY_DECODER_NORM:
        snprintf(buf, size, "decoder norm%s",
                 fabs(s->min - 1) <= .01 && fabs(s->max - 1) <= .01 ? " all 1" : "");
        break;
    default:
        snprintf(buf, size, "%s %s < 0", quantities[q].heading,
                 percent_text(s->negative_fraction, part, sizeof part));
    }
}

static void put_small(struct page *p, int i, int k, int row, int col, int cols)
{
    const struct card *card = &((const struct overview *)p->v->state)->cards[i];
    enum quantity q = small_quantity(p->v->session->saes[i].sae, k);
    const struct summary *s = &card->small[k];
    struct canvas c = canvas_sub(p->c, row + 1, col, 5, cols);
    int key = ITEM_HIST + k;
    char title[64];

    snprintf(title, sizeof title, "%s", quantities[q].heading);
    if (card->has_small[k] && s->count)
        small_title(s, q, title, sizeof title);
    canvas_fit(p->c, row, col, cols, ALIGN_LEFT, INK_LABEL, title);
    light(p, i, key, row, 1, col, cols);
    put_item(p, (struct item){{i, key}, row, col, 6, cols, "biases", quantities[q].name, NULL,
                              quantities[q].name});
    if (c.rows < 1 || c.cols < 1)
        return;
    if (!card->has_small[k] || !s->hist.n) {
        canvas_wrap(&c, 0, INK_DIM, card->has_small[k]  ? "no value above 0"
                                    : has_samples(p->v) ? "comes with the scan"
                                                        : "needs samples (--acts FILE)");
        return;
    }
    struct wid_hist_series series = {s->hist.counts, NULL, INK_BAR};
    struct wid_hist_marker zero = {0, NULL};
    struct wid_hist h = {
        .n_bins = s->hist.n,
        .lo = s->hist.lo,
        .hi = s->hist.hi,
        .series = &series,
        .n_series = 1,
        .log_values = s->hist.log,
        .markers = &zero,
        .n_markers = !s->hist.log,
        .cursor = -1,
        .brush_first = -1,
        .brush_last = -1,
    };
    wid_hist_paint(&c, &h);
}

static void put_smalls(struct page *p, int i)
{
    int across = p->cols >= 76 ? 4 : 2, width = (p->cols - 3) / across;

    for (int k = 0; k < SMALL_HISTS; k++)
        put_small(p, i, k, p->row + k / across * 7, 2 + k % across * width, width - 1);
    p->row += SMALL_HISTS / across * 7 - 1;
}

static void put_metrics(struct page *p, int i, int col, int cols, int across)
{
    int rows = METRICS / across, width = cols / across;

    for (int m = 0; m < METRICS; m++)
        put_metric(p, i, m, p->row + m % rows, col + m / rows * width, width - 2);
}

/* Numbers beside the checks, then histograms, where there is room; else numbers and
 * histograms first, so that they stand on the first screen. */
static void put_panels(struct page *p, int i)
{
    enum { LEFT = 36 };

    if (p->cols >= 100) {
        put_metrics(p, i, 2, LEFT - 2, 1);
        int row = put_checks(p, i, p->row, LEFT, p->cols - LEFT - 1);
        p->row = row > p->row + METRICS ? row + 1 : p->row + METRICS + 1;
        put_smalls(p, i);
        return;
    }
    put_metrics(p, i, 2, p->cols - 2, 2);
    p->row += METRICS / 2 + 1;
    put_smalls(p, i);
    p->row = put_checks(p, i, p->row + 1, 2, p->cols - 3);
}

static void put_notes(struct page *p, const struct sae *sae)
{
    struct canvas text = canvas_sub(p->c, 0, 4, p->c->rows, p->cols - 5);

    for (int i = 0; i < sae->n_notes; i++) {
        canvas_text(p->c, p->row, 2, INK_WARNING, "!");
        p->row = canvas_wrap(&text, p->row, INK_WARNING, sae->notes[i].text);
    }
}

static void put_card(struct page *p, int i)
{
    const struct session_sae *s = &p->v->session->saes[i];
    bool current = desk_current(p->v->desk) == i;
    char title[256];

    snprintf(title, sizeof title, "%s%s", s->name, current ? " · current" : "");
    canvas_rule(p->c, p->row, title, current ? INK_TITLE : INK_RULE);
    light(p, i, ITEM_CARD, p->row, 1, 2, text_width(title) + 2);
    put_item(p, (struct item){{i, ITEM_CARD}, p->row++, 0, 1, p->cols, "features", NULL, NULL,
                              NULL});
    put_identity(p, i);
    put_notes(p, s->sae);
    if (p->v->slots[SLOT_FACTS].err.code)
        canvas_fit(p->c, p->row++, 2, p->cols - 3, ALIGN_LEFT, INK_ERROR,
                   p->v->slots[SLOT_FACTS].err.msg);
    p->row++;
    put_panels(p, i);
    p->row++;
}

static void put_others(struct page *p)
{
    char title[64], state[160];
    int n = 0, name = p->cols / 3 < 24 ? 24 : p->cols / 3;

    for (int i = 0; i < desk_count(p->v->desk); i++)
        n += !is_loaded(p->v, i);
    if (!n)
        return;
    snprintf(title, sizeof title, "not open: %d · Enter loads", n);
    canvas_rule(p->c, p->row++, title, INK_RULE);
    for (int i = 0; i < desk_count(p->v->desk); i++) {
        const struct session_sae *s = &p->v->session->saes[i];
        if (is_loaded(p->v, i))
            continue;
        desk_state_text(p->v->desk, i, state, sizeof state);
        bool failed = desk_sae(p->v->desk, i)->err.code != ERR_NONE;
        bool idle = strcmp(state, "not loaded") == 0;
        canvas_fit(p->c, p->row, 2, name - 1, ALIGN_LEFT, INK_TEXT, s->name);
        canvas_fit(p->c, p->row, 2 + name, p->cols - name - 3, ALIGN_LEFT,
                   failed ? INK_ERROR : INK_DIM, idle ? s->path : state);
        light(p, i, ITEM_OTHER, p->row, 1, 0, p->cols);
        put_item(p, (struct item){{i, ITEM_OTHER}, p->row++, 0, 1, p->cols, NULL, NULL, NULL,
                                  NULL});
    }
    p->row++;
}

/* Does a card say it already? A session's warning ends in the checkpoint's note. */
static bool is_on_card(const struct session *s, const char *warning)
{
    size_t len = strlen(warning);

    for (int i = 0; i < s->n_saes; i++)
        for (int k = 0; s->saes[i].sae && k < s->saes[i].sae->n_notes; k++) {
            const char *note = s->saes[i].sae->notes[k].text;
            size_t n = strlen(note);
            if (n <= len && strcmp(warning + len - n, note) == 0)
                return true;
        }
    return false;
}

static void put_warnings(struct page *p)
{
    const struct session *s = p->v->session;
    struct canvas text = canvas_sub(p->c, 0, 2, p->c->rows, p->cols - 3);
    bool any = false;

    for (int i = 0; i < s->n_warnings; i++) {
        if (is_on_card(s, s->warnings[i]))
            continue;
        if (!any)
            canvas_rule(p->c, p->row++, "warnings", INK_RULE);
        any = true;
        p->row = canvas_wrap(&text, p->row, INK_WARNING, s->warnings[i]);
    }
}

static bool is_chosen(const struct session *s, int i)
{
    for (int k = 0; k < s->n_chosen; k++)
        if (s->chosen[k] == i)
            return true;
    return false;
}

/* Those asked for in their order, then what was opened later. */
static void build(struct page *p)
{
    const struct session *s = p->v->session;

    for (int k = 0; k < s->n_chosen; k++)
        if (is_loaded(p->v, s->chosen[k]))
            put_card(p, s->chosen[k]);
    for (int i = 0; i < s->n_saes; i++)
        if (is_loaded(p->v, i) && !is_chosen(s, i))
            put_card(p, i);
    put_others(p);
    put_warnings(p);
}

/* The walk without paint: items (the caller's to free) and rows. */
static struct page measure(const struct view *v, struct canvas *scratch)
{
    struct page p = {.v = v, .c = scratch, .cols = v->cols};

    canvas_init(scratch, 1, v->cols);
    build(&p);
    return p;
}

static void forget(struct page *p)
{
    free(p->items);
    canvas_finish(p->c);
}

static int find_item(const struct page *p)
{
    const struct overview *o = p->v->state;

    for (int i = 0; i < p->n; i++)
        if (p->items[i].place.sae == o->cursor.sae && p->items[i].place.key == o->cursor.key)
            return i;
    for (int i = 0; i < p->n; i++) /* it has been opened since, or another has */
        if (p->items[i].place.sae == o->cursor.sae)
            return i;
    return p->n ? 0 : -1;
}

static void overview_draw(const struct view *v, struct canvas *c)
{
    const struct overview *o = v->state;
    struct view sized = *v; /* of the canvas at hand */
    struct canvas whole;

    if (!v->desk || desk_count(v->desk) == 0) {
        canvas_wrap(c, 0, INK_DIM, "no checkpoint is open");
        return;
    }
    sized.cols = c->cols;
    struct page p = measure(&sized, &whole);
    int rows = p.row;
    forget(&p);
    canvas_init(&whole, rows > c->rows ? rows : c->rows, c->cols);
    whole.ascii = c->ascii;
    whole.mono = c->mono;
    p = (struct page){.v = &sized, .c = &whole, .cols = c->cols};
    build(&p);
    int top = o->top > rows - c->rows ? rows - c->rows : o->top;
    top = top < 0 ? 0 : top;
    for (int row = 0; row < c->rows; row++)
        memcpy(c->cells + (ptrdiff_t)row * c->stride,
               whole.cells + (ptrdiff_t)(row + top) * whole.stride,
               (size_t)c->cols * sizeof *c->cells);
    forget(&p);
}

/* The row after an item; a card's is after all that it holds. */
static int end_of(const struct page *p, int i)
{
    int end = p->items[i].row + p->items[i].rows;

    if (p->items[i].place.key == ITEM_CARD)
        for (int k = i + 1; k < p->n && p->items[k].place.sae == p->items[i].place.sae; k++)
            end = p->items[k].row + p->items[k].rows > end
                      ? p->items[k].row + p->items[k].rows : end;
    return end;
}

static void show_item(struct view *v, const struct page *p, int i)
{
    struct overview *o = v->state;
    const struct item *item = &p->items[i];
    int last = p->row - v->rows, end = end_of(p, i);

    o->cursor = item->place;
    if (i == 0)
        o->top = 0;
    if (end > o->top + v->rows)
        o->top = end - v->rows;
    if (item->row < o->top) /* of what is higher than the screen the top */
        o->top = item->row;
    o->top = o->top > last ? last : o->top;
    o->top = o->top < 0 ? 0 : o->top;
}

/* A card that was asked for arrives and fills step by step. */
static void follow(struct view *v)
{
    struct overview *o = v->state;
    struct canvas scratch;

    if (!o->follow || !is_loaded(v, o->cursor.sae))
        return;
    struct page p = measure(v, &scratch);
    int at = find_item(&p);
    if (at >= 0)
        show_item(v, &p, at);
    forget(&p);
}

/* -- life ----------------------------------------------------------------------------- */

static bool overview_open(struct view *v, struct err *err)
{
    struct overview *o = v->state;

    (void)err;
    v->target = TARGET_NONE;
    o->n_cards = v->desk ? desk_count(v->desk) : 0;
    o->cards = xcalloc((size_t)o->n_cards + 1, sizeof *o->cards);
    o->cursor.sae = v->desk ? desk_current(v->desk) : 0;
    return true;
}

static void refresh(struct view *v)
{
    v->target.sae = desk_current(v->desk);
    derive_cards(v);
    start_facts(v);
}

static void overview_go(struct view *v, const struct target *at)
{
    if (!v->desk)
        return;
    desk_go(v->desk, at);
    refresh(v);
}

static void overview_changed(struct view *v)
{
    if (!v->desk)
        return;
    refresh(v);
    follow(v);
}

static void overview_tick(struct view *v)
{
    if (v->desk)
        derive_cards(v);
}

static void overview_close(struct view *v)
{
    struct overview *o = v->state;

    for (int i = 0; i < o->n_cards; i++) {
        page_info_finish(&o->cards[i].info);
        drop_small(&o->cards[i]);
    }
    free(o->cards);
}

/* -- keys ----------------------------------------------------------------------------- */

/* The nearest item in a direction: down and up take the next row, there the column that is
 * nearest; left and right stay among the items that share a row. */
static int neighbour(const struct page *p, int from, enum action a)
{
    const struct item *at = &p->items[from];
    bool vertical = a == ACT_DOWN || a == ACT_UP;
    int best = -1, best_cost = 0;

    for (int i = 0; i < p->n; i++) {
        const struct item *to = &p->items[i];
        int dr = to->row - at->row, dc = to->col - at->col;
        int off = a == ACT_DOWN ? dr : a == ACT_UP ? -dr : a == ACT_RIGHT ? dc : -dc;
        if (off <= 0)
            continue;
        int across = vertical ? abs(dc) : abs(dr);
        int cost = vertical ? off + 8 * across : 64 * across + off;
        if (!vertical && across > 3 * (at->rows > to->rows ? at->rows : to->rows))
            continue;
        if (best < 0 || cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best < 0 ? from : best;
}

static int next_card(const struct page *p, int from, int by)
{
    int i = from + by;

    while (i >= 0 && i < p->n && p->items[i].place.key != ITEM_CARD &&
           p->items[i].place.key != ITEM_OTHER)
        i += by;
    return i < 0 ? 0 : i >= p->n ? p->n - 1 : i;
}

static void scroll(struct view *v, const struct page *p, int *at, int rows)
{
    struct overview *o = v->state;
    int want = p->items[*at].row + rows, best = *at;

    for (int i = 0; i < p->n; i++)
        if (abs(p->items[i].row - want) < abs(p->items[best].row - want))
            best = i;
    o->top += rows;
    *at = best;
}

static void open_item(struct view *v, const struct item *item)
{
    struct target at = TARGET_NONE;

    if (item->place.key == ITEM_OTHER) {
        ((struct overview *)v->state)->follow = true;
        desk_retry(v->desk, item->place.sae); /* after a failure; else it does nothing */
        desk_choose(v->desk, item->place.sae);
        return;
    }
    desk_choose(v->desk, item->place.sae);
    at.sae = item->place.sae;
    if (item->of)
        snprintf(at.of, sizeof at.of, "%s", item->of);
    if (item->filter)
        snprintf(at.filter, sizeof at.filter, "%s", item->filter);
    if (item->view && strcmp(item->view, v->ops->name) != 0)
        app_open(v->app, item->view, &at);
}

static void again(struct view *v)
{
    struct overview *o = v->state;

    v->slots[SLOT_FACTS].err = (struct err){0};
    desk_retry(v->desk, o->cursor.sae);
    start_facts(v);
}

static bool act_on(struct view *v, const struct page *p, const struct press *press)
{
    int at = find_item(p), from = at;

    if (at < 0)
        return false;
    ((struct overview *)v->state)->follow = false;
    switch (press->action) {
    case ACT_DOWN:
    case ACT_UP:
    case ACT_LEFT:
    case ACT_RIGHT:
        for (int i = 0; i < press->count; i++)
            at = neighbour(p, at, press->action);
        break;
    case ACT_PANE_NEXT: at = next_card(p, at, 1); break;
    case ACT_PANE_PREV: at = next_card(p, at, -1); break;
    case ACT_HALF_DOWN: scroll(v, p, &at, v->rows / 2); break;
    case ACT_HALF_UP: scroll(v, p, &at, -(v->rows / 2)); break;
    case ACT_PAGE_DOWN: scroll(v, p, &at, v->rows); break;
    case ACT_PAGE_UP: scroll(v, p, &at, -v->rows); break;
    case ACT_FIRST: at = 0; break;
    case ACT_LAST: at = p->n - 1; break;
    case ACT_OPEN: open_item(v, &p->items[from]); return true;
    case ACT_SELECT: desk_choose(v->desk, p->items[from].place.sae); return true;
    case ACT_RELOAD: again(v); return true;
    default: return false;
    }
    show_item(v, p, at);
    return true;
}

static enum outcome overview_act(struct view *v, const struct press *press)
{
    struct canvas scratch;

    if (!v->desk)
        return OUT_IGNORED;
    struct page p = measure(v, &scratch);
    bool taken = act_on(v, &p, press);
    forget(&p);
    return taken ? OUT_DONE : OUT_IGNORED;
}

static bool is_on(const struct item *i, int row, int col)
{
    return row >= i->row && row < i->row + i->rows && col >= i->col && col < i->col + i->cols;
}

static enum outcome overview_mouse(struct view *v, const struct mouse *m)
{
    struct overview *o = v->state;
    struct canvas scratch;

    if (!v->desk || (m->kind != MOUSE_PRESS && m->kind != MOUSE_WHEEL))
        return OUT_IGNORED;
    struct page p = measure(v, &scratch);
    int last = p.row > v->rows ? p.row - v->rows : 0;
    if (m->kind == MOUSE_WHEEL) {
        o->top += 3 * m->button;
        o->top = o->top < 0 ? 0 : o->top > last ? last : o->top;
    }
    for (int i = 0; m->kind == MOUSE_PRESS && m->button == 1 && i < p.n; i++) {
        if (!is_on(&p.items[i], m->row + o->top, m->col))
            continue;
        if (i == find_item(&p))
            open_item(v, &p.items[i]);
        else
            o->cursor = p.items[i].place;
        break;
    }
    forget(&p);
    return OUT_DONE;
}

/* -- words ---------------------------------------------------------------------------- */

static void overview_status(const struct view *v, char *buf, size_t size)
{
    const struct overview *o = v->state;
    int loaded = 0;
    char state[160];

    if (!v->desk || !desk_count(v->desk))
        return;
    for (int i = 0; i < o->n_cards; i++)
        loaded += is_loaded(v, i);
    desk_state_text(v->desk, o->cursor.sae, state, sizeof state);
    snprintf(buf, size, "%s · %d of %d open%s%s", v->session->saes[o->cursor.sae].name, loaded,
             o->n_cards, state[0] ? " · " : "", state);
}

static const char *overview_explain(const struct view *v)
{
    struct canvas scratch;
    const char *term = NULL;

    if (!v->desk)
        return NULL;
    struct page p = measure(v, &scratch);
    int at = find_item(&p);
    if (at >= 0)
        term = p.items[at].term;
    forget(&p);
    return term;
}

/* -- copy and write ------------------------------------------------------------------- */

static void copy_card(const struct view *v, int i, struct str *out)
{
    const struct session_sae *s = &v->session->saes[i];
    char text[64];

    str_appendf(out, "%s\t%s", s->name, s->path);
    for (int m = 0; s->sae && m < METRICS; m++)
        str_appendf(out, "\t%s %s", metrics[m].name,
                    metric_text(v, i, m, text, sizeof text) ? text : "null");
    str_putc(out, '\n');
}

static char *overview_copy(const struct view *v, bool all)
{
    const struct overview *o = v->state;
    struct str out = {0};

    for (int i = 0; i < o->n_cards; i++)
        if (all || i == o->cursor.sae)
            copy_card(v, i, &out);
    return out.len ? str_take(&out) : NULL;
}

/* What `saescope info` and `scan` say of the card under the cursor. */
static bool overview_export(const struct view *v, enum export_format format, FILE *f,
                            struct err *err)
{
    const struct overview *o = v->state;
    struct out_options options = {.form = format == EXPORT_JSON ? OUT_JSON : OUT_TSV};
    int i = o->cursor.sae;

    if (i >= o->n_cards || !o->cards[i].has_info)
        return err_set(err, ERR_MISSING, "the checkpoint is not open yet: nothing to write");
    struct out *out = out_new(&options);
    out_info(out, &o->cards[i].info, session_hook(v->session, i));
    if (totals_of(v, i)) {
        out_begin(out, "scan");
        out_totals(out, totals_of(v, i));
        out_end(out);
    }
    fflush(f);
    bool ok = out_write(out, fileno(f), err);
    out_free(out);
    return ok;
}

/* -- the table of it ------------------------------------------------------------------ */

static const struct view_key overview_keys[] = {
    {ACT_OPEN, "open"},
    {ACT_SELECT, "make current"},
    {ACT_PANE_NEXT, "next card"},
    {ACT_DOWN, NULL},
    {ACT_RELOAD, "again"},
    {ACT_WRITE, "write what `saescope info` and `scan` print, to a .tsv or .json file"},
    {ACT_NONE, NULL},
};

static const struct view_term overview_terms[] = {
    {"l0", "Mean number of active features a token. Active: activation not 0."},
    {"fvu", "Fraction of variance unexplained: sum |x - x_hat|^2 / sum |x - mean(x)|^2 over the "
            "tokens counted (mean per dimension). Above 1, the reconstruction is worse than "
            "saying the mean."},
    {"explained_variance", "1 - FVU."},
    {"mse", "Mean over tokens and dimensions of (x - x_hat)^2."},
    {"cosine", "Mean of cos(x, x_hat) over tokens where neither is 0."},
    {"dead_fraction", "Fraction of features that are active on none of these tokens: density "
                      "0."},
    {"b_enc", "The learned bias of a feature's encoder; ProLU: it gates and is not added."},
    {"b_gate", "Bias of a gated SAE's gate."},
    {"density", "Fraction of tokens where the feature is active; here over log10."},
    {"max", "Greatest activation of a feature."},
    {"decoder_norm", "Length of the decoder row of a feature."},
    {"samples", "Do the activations suit the checkpoint? FVU far above 1 means the wrong layer, "
                "the wrong model or a normalisation that is missing. |x| is of up to 2048 tokens "
                "spread over the samples."},
    {"sparsity", "L0 far above d_in / 2, or most features dead, says that samples and checkpoint "
                 "do not belong together, or that training went wrong."},
    {"hook", "Where in the language model the samples were taken, against where the checkpoint "
             "says that it was trained."},
    {"orientation", "Median cosine of encoder and decoder row. Near 0 the encoder is probably "
                    "transposed or of another checkpoint."},
    {"decoder norms", "Unit decoder rows make activations of different features comparable."},
    {"b_dec", "The decoder bias often starts at, and stays near, the mean of the samples."},
    {"weights", "NaN and Inf in the weights. Features that own one are left out."},
    {"equal rows", "Decoder rows that equal an earlier one bit by bit: features that were never "
                   "trained, or were copied."},
    {NULL, NULL},
};

const struct view_ops view_overview_ops = {
    .name = "overview",
    .digit = 1,
    .purpose = "what is open, whether it is sound, and how well it reconstructs",
    .searched_in = "features",
    .state_size = sizeof(struct overview),
    .keys = overview_keys,
    .terms = overview_terms,
    .open = overview_open,
    .go = overview_go,
    .loaded = overview_loaded,
    .changed = overview_changed,
    .tick = overview_tick,
    .draw = overview_draw,
    .status = overview_status,
    .act = overview_act,
    .mouse = overview_mouse,
    .explain = overview_explain,
    .copy = overview_copy,
    .export = overview_export,
    .close = overview_close,
};
