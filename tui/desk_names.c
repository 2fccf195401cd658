/* desk_names.c - labels, automatic names, tokens as text, selections; see desk.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/labels.h"
#include "io/mem.h"
#include "io/str.h"
#include "tui/cmd.h"
#include "tui/desk_impl.h"

enum {
    NAME_EXAMPLES = 20, /* strongest examples that an automatic name looks at */
    NAME_TOKENS = 3,    /* different tokens that it has at most */
};

/* -- labels ------------------------------------------------------------------------ */

static struct label label_of(const struct desk *d, int i, int64_t feature)
{
    const struct session *s = d->session;
    struct label l = {.text = "", .note = ""};

    if (s->labels && s->saes[i].sae)
        labels_get(s->labels, s->saes[i].id, feature, &l);
    return l;
}

const char *desk_label(const struct desk *d, int i, int64_t feature)
{
    return label_of(d, i, feature).text;
}

const char *desk_note(const struct desk *d, int i, int64_t feature)
{
    return label_of(d, i, feature).note;
}

bool desk_favourite(const struct desk *d, int i, int64_t feature)
{
    return label_of(d, i, feature).favourite;
}

uint64_t desk_labels_version(const struct desk *d)
{
    return d->labels_version;
}

/* The file is written by a job; until that has ended, and when it fails, what was said stays
 * in memory and is saved with what is said next, or at the end. */
struct save_job {
    struct job job;
    struct labels_save *save; /* owned */
};

static bool save_run(struct job *job, const struct progress *p, struct err *err)
{
    (void)p;
    return labels_save_run(((struct save_job *)job)->save, err);
}

static void save_free(struct job *job)
{
    struct save_job *j = (struct save_job *)job;

    labels_save_free(j->save);
    free(j);
}

static const struct job_ops save_ops = {"labels", save_run, save_free};

static void save_done(void *ctx, struct job *job);

static void start_save(struct desk *d)
{
    struct labels_save *save = d->saving ? NULL : labels_save_new(d->session->labels);
    struct save_job *j;

    if (!save)
        return;
    j = job_new(&save_ops, sizeof *j);
    j->save = save;
    d->saving = true;
    app_start(d->app, LANE_QUICK, &j->job, save_done, d);
}

static void save_done(void *ctx, struct job *job)
{
    struct desk *d = ctx;

    d->saving = false;
    if (job->state == JOB_DONE) {
        labels_save_take(d->session->labels, ((struct save_job *)job)->save);
        d->labels_version++;
    }
    if (job->state == JOB_FAILED)
        app_warning(d->app, "not saved yet, kept until the next change or the end: %s",
                    job->err.msg);
    else
        start_save(d); /* what was said meanwhile; ^C does not take back what was said */
}

void desk_save_labels(struct desk *d)
{
    struct err err = {0};

    if (d->session->labels && !labels_save(d->session->labels, &err))
        cmd_say("%s: labels of this session are not saved", err.msg);
}

static bool save(struct desk *d, int i, int64_t feature, const struct label *l)
{
    struct session *s = d->session;
    struct err err = {0};

    if (!s->saes[i].sae)
        return false;
    if (!session_need_labels(s, &err) ||
        !labels_put(s->labels, s->saes[i].id, feature, l, &err)) {
        app_error(d->app, &err);
        return false;
    }
    d->labels_version++;
    start_save(d);
    return true;
}

bool desk_set_label(struct desk *d, int i, int64_t feature, const char *label,
                    const char *note)
{
    struct label l = {.text = label, .note = note,
                      .favourite = desk_favourite(d, i, feature)};
    return save(d, i, feature, &l);
}

bool desk_set_favourite(struct desk *d, int i, int64_t feature, bool favourite)
{
    /* Copies: what is there is borrowed until the change. */
    char *text = xstrdup(desk_label(d, i, feature));
    char *note = xstrdup(desk_note(d, i, feature));
    struct label l = {.text = text, .note = note, .favourite = favourite};
    bool ok = save(d, i, feature, &l);

    free(text);
    free(note);
    return ok;
}

/* -- tokens: a hash table by id, made as they are asked for ------------------------ */

static size_t place_of(const struct desk *d, int64_t id)
{
    size_t at = (size_t)((uint64_t)id * 0x9e3779b97f4a7c15u >> 20) & (d->cap_tokens - 1);

    while (d->tokens[at].text && d->tokens[at].id != id)
        at = (at + 1) & (d->cap_tokens - 1);
    return at;
}

static void make_room(struct desk *d)
{
    struct desk_token *old = d->tokens;
    size_t n = d->cap_tokens;

    if (2 * (d->n_tokens + 1) <= n)
        return;
    d->cap_tokens = n ? 2 * n : 256;
    d->tokens = xcalloc(d->cap_tokens, sizeof *d->tokens);
    for (size_t k = 0; k < n; k++)
        if (old[k].text)
            d->tokens[place_of(d, old[k].id)] = old[k];
    free(old);
}

static const struct desk_token *token(struct desk *d, int64_t id)
{
    const struct tokenizer *tk = d->session->tokenizer;
    struct str text = {0};

    make_room(d);
    struct desk_token *t = &d->tokens[place_of(d, id)];
    if (t->text)
        return t;
    *t = (struct desk_token){.id = id};
    t->bytes = tk ? tokenizer_bytes(tk, id, &t->len) : NULL;
    if (!t->bytes) {
        t->own = id < 0 ? xstrdup("") : xasprintf("<%lld>", (long long)id);
        t->bytes = t->own;
        t->len = strlen(t->own);
    }
    /* Part of a character: its bytes tell it from the others of its kind. */
    bool whole = str_utf8(&text, t->bytes, t->len);
    str_reset(&text);
    str_visible(&text, t->bytes, t->len, whole ? STR_SYMBOLS : STR_ASCII);
    t->text = str_take(&text);
    d->n_tokens++;
    return t;
}

const char *desk_token_bytes(struct desk *d, int64_t id, size_t *len)
{
    const struct desk_token *t = token(d, id);

    *len = t->len;
    return t->bytes;
}

const char *desk_token_text(struct desk *d, int64_t id)
{
    return token(d, id)->text;
}

/* -- automatic names --------------------------------------------------------------- */

struct vote {
    const char *text;
    size_t len;
    int n;
};

/* A token as a word: without the blanks around it, unless it is nothing else. */
static struct vote word_of(struct desk *d, int64_t id)
{
    const char *s = desk_token_text(d, id);
    const char *from = s + strspn(s, " ");
    size_t len = strlen(from);

    while (len > 0 && from[len - 1] == ' ')
        len--;
    return len ? (struct vote){from, len, 1} : (struct vote){s, strlen(s), 1};
}

static bool same_word(const struct vote *a, const struct vote *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* The tokens of the strongest examples, most frequent first, ties by strength. */
static int count_votes(struct desk *d, int i, int64_t feature, struct vote *votes)
{
    const struct session *s = d->session;
    const struct index *ix = s->saes[i].index;
    uint32_t n_top = index_record(ix, feature)->n_top;
    int n = 0;

    for (uint32_t k = 0; k < n_top && k < NAME_EXAMPLES; k++) {
        int64_t id;
        samples_ids(s->samples, index_top(ix, feature)[k].token, 1, &id);
        struct vote v = word_of(d, id);
        int at = 0;
        while (at < n && !same_word(&votes[at], &v))
            at++;
        if (at == n)
            votes[n++] = v;
        else
            votes[at].n++;
        for (; at > 0 && votes[at].n > votes[at - 1].n; at--) {
            struct vote t = votes[at];
            votes[at] = votes[at - 1];
            votes[at - 1] = t;
        }
    }
    return n;
}

/* "LORD · God": the most frequent one, and others that come more than once. */
static char *make_name(struct desk *d, int i, int64_t feature)
{
    struct vote votes[NAME_EXAMPLES];
    int n = count_votes(d, i, feature, votes);
    struct str name = {0};

    for (int k = 0; k < n && k < NAME_TOKENS && (k == 0 || votes[k].n > 1); k++) {
        str_puts(&name, k ? " · " : "");
        str_append(&name, votes[k].text, votes[k].len);
    }
    return str_take(&name);
}

const char *desk_auto_name(struct desk *d, int i, int64_t feature)
{
    struct desk_entry *e = &d->entries[i];
    const struct session *s = d->session;

    if (!s->saes[i].index || !s->samples || !s->samples->tokens)
        return "";
    if (!e->names)
        e->names = xcalloc((size_t)s->saes[i].sae->d_sae, sizeof *e->names);
    if (!e->names[feature])
        e->names[feature] = make_name(d, i, feature);
    return e->names[feature];
}

const char *desk_name(struct desk *d, int i, int64_t feature, bool *is_label)
{
    const char *label = desk_label(d, i, feature);

    if (is_label)
        *is_label = *label;
    return *label ? label : desk_auto_name(d, i, feature);
}

void desk_names_reset(struct desk *d, int i)
{
    struct desk_entry *e = &d->entries[i];

    for (int64_t f = 0; e->names && f < e->shown.table.n; f++)
        free(e->names[f]);
    free(e->names);
    e->names = NULL;
}

void desk_names_finish(struct desk *d)
{
    for (int i = 0; i < d->session->n_saes; i++)
        desk_names_reset(d, i);
    for (size_t k = 0; k < d->cap_tokens; k++) {
        free(d->tokens[k].own);
        free(d->tokens[k].text);
    }
    free(d->tokens);
}

/* -- selection --------------------------------------------------------------------- */

bool desk_selected(const struct desk *d, int i, int64_t feature)
{
    const uint64_t *bits = d->entries[i].selected;
    return bits && (bits[feature / 64] >> feature % 64 & 1);
}

void desk_select(struct desk *d, int i, int64_t feature, bool selected)
{
    struct desk_entry *e = &d->entries[i];
    uint64_t bit = (uint64_t)1 << feature % 64;

    if (desk_selected(d, i, feature) == selected)
        return;
    if (!e->selected)
        e->selected = xcalloc((size_t)e->shown.table.n / 64 + 1, sizeof *e->selected);
    e->selected[feature / 64] ^= bit;
    e->n_selected += selected ? 1 : -1;
}

int64_t desk_selected_count(const struct desk *d, int i)
{
    return d->entries[i].n_selected;
}

void desk_select_none(struct desk *d, int i)
{
    free(d->entries[i].selected);
    d->entries[i].selected = NULL;
    d->entries[i].n_selected = 0;
}
