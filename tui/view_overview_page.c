/* view_overview_page.c - the page of view 1 from top to bottom; see view_overview.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "io/tensor.h"
#include "tui/view_overview.h"
#include "tui/wid_hist.h"

void overview_put_item(struct page *p, struct item item)
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
void overview_light(struct page *p, int sae, int key, int row, int rows, int col, int cols)
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
    n = (size_t)snprintf(line, sizeof line, "%s · ", sae->arch->name);
    if (sae->models > 1)
        n += (size_t)snprintf(line + n, sizeof line - n, "%d x ", sae->models);
    n += (size_t)snprintf(line + n, sizeof line - n, "%lld → %s",
                          (long long)(sae->d_in / sae->models), d_sae);
    if (sae->d_out != sae->d_in)
        n += (size_t)snprintf(line + n, sizeof line - n, " → %lld", (long long)sae->d_out);
    n += (size_t)snprintf(line + n, sizeof line - n, " (x %.3g) · %s",
                          (double)sae->d_sae * sae->models / (double)sae->d_in,
                          dtype_info[sae->dtype].name);
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
    if (!overview_has_samples(p->v))
        snprintf(line + n, sizeof line - n, "no samples (--acts FILE)");
    else
        snprintf(line + n, sizeof line - n, "%s tokens in %lld x %lld · %s%s",
                 count_text(s->n_tok, tokens, sizeof tokens), (long long)s->n_seq,
                 (long long)s->seq_len, s->firings ? "a cache of firings, " : "",
                 dtype_info[s->dtype].name);
    canvas_fit(p->c, p->row++, 2, p->cols - 3, ALIGN_LEFT, INK_TEXT, line);
    if (overview_has_samples(p->v)) {
        snprintf(line, sizeof line, s->n_files > 1 ? "%s and %d more" : "%s", s->path,
                 s->n_files - 1);
        put_path(p, 2, INK_DIM, line);
        p->row++;
    }
    put_path(p, 2, INK_DIM, sae->path);
    p->row++;
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
    overview_light(p, i, ITEM_CARD, p->row, 1, 2, text_width(title) + 2);
    overview_put_item(p, (struct item){{i, ITEM_CARD}, p->row++, 0, 1, p->cols, "features", NULL, NULL,
                              NULL});
    put_identity(p, i);
    put_notes(p, s->sae);
    if (p->v->slots[SLOT_FACTS].err.code)
        canvas_fit(p->c, p->row++, 2, p->cols - 3, ALIGN_LEFT, INK_ERROR,
                   p->v->slots[SLOT_FACTS].err.msg);
    p->row++;
    overview_put_panels(p, i);
    p->row++;
}

static void put_others(struct page *p)
{
    char title[64], state[160];
    int n = 0, name = p->cols / 3 < 24 ? 24 : p->cols / 3;

    for (int i = 0; i < desk_count(p->v->desk); i++)
        n += !overview_is_loaded(p->v, i);
    if (!n)
        return;
    snprintf(title, sizeof title, "not open: %d · Enter loads", n);
    canvas_rule(p->c, p->row++, title, INK_RULE);
    for (int i = 0; i < desk_count(p->v->desk); i++) {
        const struct session_sae *s = &p->v->session->saes[i];
        if (overview_is_loaded(p->v, i))
            continue;
        desk_state_text(p->v->desk, i, state, sizeof state);
        bool failed = desk_sae(p->v->desk, i)->err.code != ERR_NONE;
        bool idle = strcmp(state, "not loaded") == 0;
        canvas_fit(p->c, p->row, 2, name - 1, ALIGN_LEFT, INK_TEXT, s->name);
        canvas_fit(p->c, p->row, 2 + name, p->cols - name - 3, ALIGN_LEFT,
                   failed ? INK_ERROR : INK_DIM, idle ? s->path : state);
        overview_light(p, i, ITEM_OTHER, p->row, 1, 0, p->cols);
        overview_put_item(p, (struct item){{i, ITEM_OTHER}, p->row++, 0, 1, p->cols, NULL, NULL, NULL,
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
void overview_build(struct page *p)
{
    const struct session *s = p->v->session;

    for (int k = 0; k < s->n_chosen; k++)
        if (overview_is_loaded(p->v, s->chosen[k]))
            put_card(p, s->chosen[k]);
    for (int i = 0; i < s->n_saes; i++)
        if (overview_is_loaded(p->v, i) && !is_chosen(s, i))
            put_card(p, i);
    put_others(p);
    put_warnings(p);
}
