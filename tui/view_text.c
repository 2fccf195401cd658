/* view_text.c - view 8: see view_text.h. The questions, their jobs and the keys. */
#include "tui/view_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/str.h"
#include "tui/desk.h"

/* -- what is shown ------------------------------------------------------------------------ */

const struct prompt_token *text_token(const struct text_view *s)
{
    return s->token >= 0 && s->token < s->shown.page.n ? &s->shown.page.tokens[s->token] : NULL;
}

const struct prompt_feature *text_feature(const struct text_view *s)
{
    const struct prompt_token *t = text_token(s);
    return t && s->feature >= 0 && s->feature < t->n_features ? &t->features[s->feature] : NULL;
}

bool text_is_out(const struct text_ask *ask, int64_t feature)
{
    for (int i = 0; i < ask->n_out; i++)
        if (ask->out[i] == feature)
            return true;
    return false;
}

float text_activation(const struct prompt_token *t, int64_t feature)
{
    for (int32_t i = 0; i < t->n_features; i++)
        if (t->features[i].id == feature)
            return t->features[i].activation;
    return 0;
}

void text_kit_unref(struct text_kit *kit)
{
    if (!kit || atomic_fetch_sub(&kit->users, 1) > 1)
        return;
    token_encoder_close(kit->te);
    prompt_engine_unref(kit->engine);
    free(kit);
}

static struct text_kit *kit_ref(struct text_kit *kit)
{
    if (kit)
        atomic_fetch_add(&kit->users, 1);
    return kit;
}

/* -- running a text ------------------------------------------------------------------------ */

struct run_job {
    struct job job;
    const struct lm *lm; /* borrowed, like all that is const here */
    const struct sae *sae;
    const struct samples *samples;
    const struct tokenizer *tokenizer;
    struct lm_hook hook;
    int i, threads;
    struct text_kit *kit; /* a reference of its own; NULL: to be made */
    struct text_ask ask;  /* owns its text */
    struct text_shown shown;
};

static struct text_kit *make_kit(const struct run_job *j, const struct progress *p,
                                 struct err *err)
{
    struct prompt_engine *engine =
        prompt_engine_new(j->lm, &j->hook, j->sae, j->threads, p, err);
    if (!engine)
        return NULL;
    struct text_kit *kit = xcalloc(1, sizeof *kit);
    atomic_init(&kit->users, 1);
    kit->engine = engine;
    kit->sae = j->i;
    if (j->tokenizer)
        kit->te = token_encoder_open(tokenizer_path(j->tokenizer), &kit->te_err);
    else
        err_set(&kit->te_err, ERR_MISSING, "no tokenizer (found none, expected --tokenizer FILE)");
    return kit;
}

static bool sequence_ids(const struct run_job *j, struct prompt_ids *out, struct err *err)
{
    int64_t T = j->samples->seq_len;
    if (T > PROMPT_MAX_TOKENS || !lm_fits(j->lm, T))
        T = lm_fits(j->lm, PROMPT_MAX_TOKENS) ? PROMPT_MAX_TOKENS : lm_context(j->lm);
    *out = (struct prompt_ids){.n = T < j->samples->seq_len ? T : j->samples->seq_len};
    out->id = xmalloc((size_t)(out->n + 1) * sizeof *out->id);
    samples_ids(j->samples, j->ask.sequence * j->samples->seq_len, out->n, out->id);
    return lm_check_ids(j->lm, "token ids", out->id, out->n, err);
}

static bool run_run(struct job *job, const struct progress *p, struct err *err)
{
    struct run_job *j = (struct run_job *)job;
    struct prompt_ids ids = {0};
    bool ok;
    if (!j->kit && !(j->kit = make_kit(j, p, err)))
        return false;
    if (!j->ask.text) {
        ok = sequence_ids(j, &ids, err);
    } else if (j->kit->te) {
        ok = prompt_encode(j->kit->te, j->sae, j->lm, j->ask.bos, j->ask.text,
                           strlen(j->ask.text), &ids, err);
    } else {
        *err = j->kit->te_err;
        return false;
    }
    struct prompt_options options = {.top = (int)j->sae->d_sae, .ablate = j->ask.out,
                                     .n_ablate = j->ask.out_off ? 0 : j->ask.n_out,
                                     .reconstruction = j->ask.mode == TEXT_RECONSTRUCTION};
    ok = ok && prompt_run(j->kit->engine, ids.id, ids.n, &options, p, &j->shown.page, err);
    prompt_ids_finish(&ids);
    if (!ok)
        return false;
    j->shown.known = true;
    j->shown.sequence = j->ask.text ? -1 : j->ask.sequence;
    j->shown.mode = j->ask.mode;
    j->shown.n_out = options.n_ablate;
    memcpy(j->shown.out, j->ask.out, sizeof j->shown.out);
    return true;
}

static void run_free(struct job *job)
{
    struct run_job *j = (struct run_job *)job;
    page_prompt_finish(&j->shown.page);
    text_kit_unref(j->kit);
    free(j->ask.text);
    free(j);
}

static const struct job_ops run_ops = {"text", run_run, run_free};

static bool has_tokens(const struct view *v)
{
    const struct samples *samples = v->session ? v->session->samples : NULL;
    return samples && samples->tokens && samples->seq_len > 0 && samples->n_seq > 0;
}

/* Ask again what is asked; nothing when something that it takes is not there yet. */
static void ask(struct view *v)
{
    struct text_view *s = v->state;
    struct lm_hook hook;
    if (!v->desk)
        return;
    int i = v->target.sae;
    desk_need(v->desk, i);
    desk_need_lm(v->desk);
    const struct lm *lm = desk_lm_at(v->desk, i, &hook, NULL);
    if (!lm || (!s->ask.text && s->ask.sequence < 0))
        return;
    s->ready = true;
    if (s->kit && s->kit->sae != i) {
        text_kit_unref(s->kit);
        s->kit = NULL;
    }
    struct run_job *j = job_new(&run_ops, sizeof *j);
    j->lm = lm;
    j->sae = v->session->saes[i].sae;
    j->samples = v->session->samples;
    j->tokenizer = v->session->tokenizer;
    j->hook = hook;
    j->i = i;
    j->threads = v->session->options.threads;
    j->kit = kit_ref(s->kit);
    j->ask = s->ask;
    j->ask.text = xstrdup(s->ask.text);
    view_start(v, TEXT_SLOT_RUN, LANE_QUICK, &j->job);
}

/* -- the next token --------------------------------------------------------------------------- */

struct next_job {
    struct job job;
    const struct lm *lm;
    float *rows[2]; /* owned [d]; the second NULL when nothing is taken out */
    int64_t at;
    struct page_next next;
};

static bool next_run(struct job *job, const struct progress *p, struct err *err)
{
    struct next_job *j = (struct next_job *)job;
    (void)p;
    return prompt_next(j->lm, j->rows[0], j->rows[1], TEXT_NEXT, &j->next, err);
}

static void next_free(struct job *job)
{
    struct next_job *j = (struct next_job *)job;
    page_next_finish(&j->next);
    free(j->rows[0]);
    free(j->rows[1]);
    free(j);
}

static const struct job_ops next_ops = {"next token", next_run, next_free};

static float *row_of(const struct page_prompt *page, int stream, int64_t at)
{
    size_t bytes = (size_t)page->d * sizeof(float);
    if (!page->final[stream])
        return NULL;
    return memcpy(xmalloc(bytes), page->final[stream] + at * page->d, bytes);
}

static void ask_next(struct view *v)
{
    struct text_view *s = v->state;
    const struct page_prompt *page = &s->shown.page;
    if (!text_token(s) || !v->desk || !desk_lm(v->desk)) {
        view_start(v, TEXT_SLOT_NEXT, LANE_QUICK, NULL);
        s->next_at = -1;
        return;
    }
    struct next_job *j = job_new(&next_ops, sizeof *j);
    j->lm = desk_lm(v->desk);
    j->at = s->token;
    j->rows[0] = row_of(page, page->final[1] ? 1 : 0, s->token);
    j->rows[1] = row_of(page, 2, s->token);
    view_start(v, TEXT_SLOT_NEXT, LANE_QUICK, &j->job);
}

static void clamp_cursor(struct text_view *s)
{
    int64_t n = s->shown.page.n;
    s->token = s->token >= n ? n - 1 : s->token;
    s->token = s->token < 0 ? 0 : s->token;
    const struct prompt_token *t = text_token(s);
    int64_t features = t ? t->n_features : 0;
    s->feature = s->feature >= features ? features - 1 : s->feature;
    s->feature = s->feature < 0 ? 0 : s->feature;
}

/* The page of the feature under the cursor, where an index has it at hand. */
static void ask_page(struct view *v)
{
    struct text_view *s = v->state;
    const struct desk_sae *e = desk_sae(v->desk, v->target.sae);
    if (s->version != e->version) {
        s->version = e->version;
        pane_decimals(&e->table, s->decimals);
    }
    pane_ask(v, TEXT_SLOT_PAGE, &s->page, v->target.sae, v->target.feature, false);
}

static void follow(struct view *v)
{
    struct text_view *s = v->state;
    clamp_cursor(s);
    const struct prompt_feature *f = text_feature(s);
    v->target.feature = f ? f->id : -1;
    ask_page(v);
}

static void text_tick(struct view *v)
{
    struct text_view *s = v->state;
    s->page.slow = view_busy(v, TEXT_SLOT_PAGE);
}

static void text_loaded(struct view *v, int slot, struct job *job)
{
    struct text_view *s = v->state;
    if (slot == TEXT_SLOT_NEXT) {
        struct next_job *j = (struct next_job *)job;
        page_next_finish(&s->next);
        s->next = j->next;
        s->next_at = j->at;
        j->next = (struct page_next){0};
        return;
    }
    if (slot == TEXT_SLOT_PAGE) {
        pane_loaded(&s->page, job);
        return;
    }
    struct run_job *j = (struct run_job *)job;
    bool at_end = j->ask.text && s->token == s->shown.page.n - 1;
    page_prompt_finish(&s->shown.page);
    s->shown = j->shown;
    j->shown.page = (struct page_prompt){0};
    if (!s->kit)
        s->kit = kit_ref(j->kit);
    if (s->typing || at_end) /* one writes at the end, and looks there */
        s->token = s->shown.page.n - 1;
    follow(v);
    ask_next(v);
}

/* -- which text ---------------------------------------------------------------------------------- */

static void set_text(struct view *v, const char *text)
{
    struct text_view *s = v->state;
    char *copy = xstrdup(text);
    free(s->ask.text);
    s->ask.text = copy;
    ask(v);
}

static void set_sequence(struct view *v, int64_t sequence)
{
    struct text_view *s = v->state;
    if (!has_tokens(v)) {
        app_message(v->app, "no token ids: a text is typed with e");
        return;
    }
    int64_t n = v->session->samples->n_seq;
    free(s->ask.text);
    s->ask.text = NULL;
    s->ask.sequence = (sequence % n + n) % n;
    s->token = 0;
    ask(v);
}

/* The text that is shown, without what was put in front. */
static char *shown_text(const struct view *v)
{
    const struct text_view *s = v->state;
    const struct page_prompt *page = &s->shown.page;
    struct str text = {0};
    if (s->ask.text)
        return xstrdup(s->ask.text);
    for (int64_t p = 0; p < page->n; p++) {
        size_t len;
        const char *bytes = desk_token_bytes(v->desk, page->tokens[p].id, &len);
        bool special = v->session->tokenizer &&
                       tokenizer_is_special(v->session->tokenizer, page->tokens[p].id);
        if (!(p == 0 && special))
            str_append(&text, bytes, len);
    }
    for (size_t i = 0; i < text.len; i++) /* one line is typed */
        if (text.data[i] == '\n' || !text.data[i])
            text.data[i] = ' ';
    return str_take(&text);
}

static void begin_typing(struct view *v)
{
    struct text_view *s = v->state;
    char *text = shown_text(v);
    free(s->before);
    s->before = xstrdup(s->ask.text);
    s->before_sequence = s->ask.sequence;
    s->typing = true;
    view_ask(v, ASK_LABEL, "text", text);
    free(text);
}

/* After every key of the line; NULL: it was cancelled. */
static void text_typing(struct view *v, enum ask what, const char *text)
{
    struct text_view *s = v->state;
    if (what != ASK_LABEL)
        return;
    if (text) {
        if (!s->ask.text || strcmp(s->ask.text, text) != 0)
            set_text(v, text);
        return;
    }
    s->typing = false;
    if (s->before) {
        set_text(v, s->before);
    } else {
        free(s->ask.text);
        s->ask.text = NULL;
        s->ask.sequence = s->before_sequence;
        ask(v);
    }
}

/* -- options ---------------------------------------------------------------------------------------- */

static const char *const mode_choices[] = {"error-kept", "reconstruction", NULL};
static const char *const bos_choices[] = {"auto", "yes", "no", NULL};
static const char *const colour_choices[] = {"loss", "feature", NULL};

static const struct view_option text_options[] = {
    {"mode", "features are taken out of the activation itself, or of the reconstruction",
     mode_choices},
    {"bos", "begin-of-text in front of what is typed", bos_choices},
    {"colour", "tokens are lit by their loss, or by the feature under the cursor",
     colour_choices},
    {0},
};

static void text_option_get(const struct view *v, int i, char *buf, size_t size)
{
    const struct text_view *s = v->state;
    snprintf(buf, size, "%s",
             i == 0 ? mode_choices[s->ask.mode] : i == 1 ? bos_choices[s->ask.bos]
                                                         : colour_choices[s->colour]);
}

static bool text_option_set(struct view *v, int i, const char *value, struct err *err)
{
    struct text_view *s = v->state;
    const char *const *choices = text_options[i].choices;
    int n = 0;
    while (choices[n] && strcmp(choices[n], value) != 0)
        n++;
    if (!choices[n])
        return err_set(err, ERR_USAGE, "%s: found \"%s\" (expected %s or %s)",
                       text_options[i].name, value, choices[0], choices[1]);
    if (i == 0)
        s->ask.mode = (enum text_mode)n;
    else if (i == 1)
        s->ask.bos = (enum prompt_bos)n;
    else
        s->colour = (enum text_colour)n;
    if (i < 2)
        ask(v);
    return true;
}

static bool text_answer(struct view *v, enum ask what, const char *text, struct err *err)
{
    struct text_view *s = v->state;
    long long number;
    if (what == ASK_LABEL) {
        s->typing = false;
        if (!s->ask.text || strcmp(s->ask.text, text) != 0)
            set_text(v, text);
        return true;
    }
    if (what == ASK_COMMAND && sscanf(text, "sequence %lld", &number) == 1) {
        if (!has_tokens(v) || number < 0 || number >= v->session->samples->n_seq)
            return err_set(err, ERR_RANGE, "no such sequence (found %lld, expected 0 to %lld)",
                           number, has_tokens(v) ? (long long)v->session->samples->n_seq - 1 : 0);
        set_sequence(v, number);
        return true;
    }
    return err_set(err, ERR_USAGE, "no such command (found \"%s\")", text);
}

static const char *text_word(const struct view *v, enum ask what, int i)
{
    (void)v;
    return what == ASK_COMMAND && i == 0 ? "sequence" : NULL;
}

/* -- keys ---------------------------------------------------------------------------------------------- */

static void toggle_out(struct view *v)
{
    struct text_view *s = v->state;
    const struct prompt_feature *f = text_feature(s);
    if (!f)
        return;
    if (text_is_out(&s->ask, f->id)) {
        int n = 0;
        for (int i = 0; i < s->ask.n_out; i++)
            if (s->ask.out[i] != f->id)
                s->ask.out[n++] = s->ask.out[i];
        s->ask.n_out = n;
    } else if (s->ask.n_out == TEXT_MAX_OUT) {
        app_message(v->app, "%d features are out already: I puts them back", TEXT_MAX_OUT);
        return;
    } else {
        s->ask.out[s->ask.n_out++] = f->id;
    }
    s->ask.out_off = false;
    ask(v);
}

static bool is_target_in(struct view *v)
{
    struct text_view *s = v->state;
    const struct prompt_feature *f = text_feature(s);
    if (!f)
        return false;
    v->target.feature = f->id;
    app_open(v->app, "feature", &v->target);
    return true;
}

/* The next token where the feature under the cursor is strongest is more than a key; here
 * the cursor keeps to the feature when it moves, if it is active there too. */
static void move_token(struct view *v, int64_t by)
{
    struct text_view *s = v->state;
    const struct prompt_feature *f = text_feature(s);
    int64_t id = f ? f->id : -1, before = s->token;
    s->token += by;
    clamp_cursor(s);
    const struct prompt_token *t = text_token(s);
    s->feature = 0;
    for (int32_t i = 0; t && s->colour == TEXT_BY_FEATURE && i < t->n_features; i++)
        if (t->features[i].id == id)
            s->feature = i;
    follow(v);
    if (s->token != before)
        ask_next(v);
}

static void move_feature(struct view *v, int64_t by)
{
    struct text_view *s = v->state;
    s->feature += by;
    follow(v);
}

static enum outcome text_act(struct view *v, const struct press *p)
{
    struct text_view *s = v->state;
    int64_t n = p->count;
    switch (p->action) {
    case ACT_LEFT: move_token(v, -n); break;
    case ACT_RIGHT: move_token(v, n); break;
    case ACT_FIRST: move_token(v, -s->token); break;
    case ACT_LAST: move_token(v, s->shown.page.n); break;
    case ACT_UP: move_feature(v, -n); break;
    case ACT_DOWN: move_feature(v, n); break;
    case ACT_HALF_UP: case ACT_PAGE_UP: move_feature(v, -8 * n); break;
    case ACT_HALF_DOWN: case ACT_PAGE_DOWN: move_feature(v, 8 * n); break;
    case ACT_OPEN: return is_target_in(v) ? OUT_DONE : OUT_IGNORED;
    case ACT_LABEL: begin_typing(v); break;
    case ACT_ABLATE: toggle_out(v); break;
    case ACT_INVERT:
        s->ask.out_off = !s->ask.out_off;
        ask(v);
        break;
    case ACT_AXIS: s->colour = s->colour == TEXT_BY_LOSS ? TEXT_BY_FEATURE : TEXT_BY_LOSS; break;
    case ACT_SEARCH_NEXT: set_sequence(v, s->ask.sequence + n); break;
    case ACT_SEARCH_PREV: set_sequence(v, s->ask.sequence - n); break;
    case ACT_RANDOM: set_sequence(v, rand()); break;
    case ACT_RELOAD:
        desk_retry(v->desk, v->target.sae);
        ask(v);
        break;
    default: return OUT_IGNORED;
    }
    return OUT_DONE;
}

static enum outcome text_mouse(struct view *v, const struct mouse *m)
{
    struct text_view *s = v->state;
    int64_t feature, token;
    if (m->kind != MOUSE_PRESS || m->button != 1)
        return OUT_IGNORED;
    token = text_at(v, m->row, m->col, &feature);
    if (token >= 0 && token != s->token)
        move_token(v, token - s->token);
    else if (feature >= 0 && feature == s->feature)
        is_target_in(v);
    else if (feature >= 0)
        move_feature(v, feature - s->feature);
    else
        return OUT_IGNORED;
    return OUT_DONE;
}

/* -- coming and going -------------------------------------------------------------------------------------- */

static bool text_open(struct view *v, struct err *err)
{
    struct text_view *s = v->state;
    (void)err;
    s->ask.sequence = has_tokens(v) ? 0 : -1;
    s->next_at = -1;
    s->page = PANE_EMPTY;
    s->version = UINT64_MAX;
    return true;
}

static void text_go(struct view *v, const struct target *at)
{
    struct text_view *s = v->state;
    if (!v->desk)
        return;
    int was = v->target.sae;
    v->target.sae = desk_go(v->desk, at);
    if (v->target.sae != was)
        s->ask.n_out = 0;
    if (at->token >= 0 && has_tokens(v)) {
        const struct samples *samples = v->session->samples;
        set_sequence(v, samples_sequence(samples, at->token));
        s->token = samples_position(samples, at->token);
    } else if (!s->ready || v->target.sae != was) {
        ask(v);
    }
}

static void text_changed(struct view *v)
{
    struct text_view *s = v->state;
    if (!v->desk)
        return;
    int i = desk_current(v->desk);
    if (i != v->target.sae) { /* another dictionary: other features */
        v->target.sae = i;
        s->ask.n_out = 0;
        s->ready = false;
        s->shown.known = false;
        page_prompt_finish(&s->shown.page);
    }
    if (!s->ready)
        ask(v);
    if (s->shown.known)
        ask_page(v); /* of an index that is there now */
}

static void text_status(const struct view *v, char *buf, size_t size)
{
    const struct text_view *s = v->state;
    const struct page_prompt *page = &s->shown.page;
    if (!s->shown.known)
        return;
    char what[48] = "typed";
    if (s->shown.sequence >= 0)
        snprintf(what, sizeof what, "sequence %lld", (long long)s->shown.sequence);
    snprintf(buf, size, "token %lld/%lld · %s%s", (long long)s->token + 1, (long long)page->n,
             what, view_busy(v, TEXT_SLOT_RUN) ? " · computing" : "");
}

static void text_close(struct view *v)
{
    struct text_view *s = v->state;
    text_kit_unref(s->kit);
    free(s->ask.text);
    free(s->before);
    page_prompt_finish(&s->shown.page);
    page_next_finish(&s->next);
    pane_finish(&s->page);
}

static const struct view_key text_keys[] = {
    {ACT_LABEL, "edit the text|edit the text; tokens, losses and features follow"},
    {ACT_RIGHT, "token|the next token (h: the one before)"},
    {ACT_DOWN, "feature|the next feature of the token (k: the one before)"},
    {ACT_OPEN, "open the feature"},
    {ACT_ABLATE, "take it out|take the feature out of the text, or put it back: losses, next token"},
    {ACT_INVERT, "all in, out|with all features for a moment, and without those taken out again"},
    {ACT_SEARCH_NEXT, "next sequence|the next sequence of the samples (N: the one before)"},
    {ACT_AXIS, "colour|coloured by the loss, or by the feature under the cursor"},
    {ACT_RANDOM, "random|a random sequence of the samples"},
    {ACT_OPTIONS, "options"},
    {ACT_NONE, NULL},
};

static const struct view_term text_terms[] = {
    {"loss", "cross-entropy in nats of predicting the token that follows this one; it belongs "
             "to this one. The mean is over all but the last token."},
    {"next", "the most probable tokens behind the token under the cursor, before and after "
             "the features are taken out"},
    {"taken out", "what the feature adds at the hook is taken off at all positions: of the "
                  "activation itself (mode error-kept), or of the reconstruction"},
    {"KL", "KL(before || after) of the next-token distributions, in nats"},
    {0},
};

const struct view_ops view_text_ops = {
    .name = "text",
    .digit = 8,
    .purpose = "a text of your own, or of the samples: its features, its losses, the next token",
    .state_size = sizeof(struct text_view),
    .keys = text_keys,
    .terms = text_terms,
    .options = text_options,
    .open = text_open,
    .go = text_go,
    .loaded = text_loaded,
    .changed = text_changed,
    .tick = text_tick,
    .draw = text_draw,
    .status = text_status,
    .act = text_act,
    .mouse = text_mouse,
    .answer = text_answer,
    .typing = text_typing,
    .word = text_word,
    .option_get = text_option_get,
    .option_set = text_option_set,
    .copy = text_copy,
    .export = text_export,
    .close = text_close,
};
