/* wid_edit.c - see wid_edit.h. */
#include "tui/wid_edit.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "io/mem.h"
#include "tui/input.h"

enum { HISTORY_LINES = 200, LINE_BYTES = 4096 };

void edit_history_add(struct edit_history *h, const char *line)
{
    if (!*line || (h->n > 0 && strcmp(h->lines[h->n - 1], line) == 0))
        return;
    if (h->n == HISTORY_LINES) {
        free(h->lines[0]);
        memmove(h->lines, h->lines + 1, (size_t)--h->n * sizeof *h->lines);
    }
    array_grow(h->lines, h->n, h->cap);
    h->lines[h->n++] = xstrdup(line);
}

void edit_history_finish(struct edit_history *h)
{
    for (int i = 0; i < h->n; i++)
        free(h->lines[i]);
    free(h->lines);
    *h = (struct edit_history){0};
}

static void set_text(struct edit *e, const char *text)
{
    e->len = strlen(text);
    e->cap = e->len + 64;
    char *copy = xmalloc(e->cap);
    memcpy(copy, text, e->len + 1);
    free(e->text);
    e->text = copy;
    e->cursor = e->len;
}

void edit_init(struct edit *e, const char *initial, struct edit_history *history)
{
    *e = (struct edit){.history = history, .candidate = -1};
    e->recalled = history ? history->n : 0;
    set_text(e, initial ? initial : "");
}

void edit_finish(struct edit *e)
{
    free(e->text);
    free(e->typed);
    free(e->stem);
    *e = (struct edit){0};
}

static void insert(struct edit *e, const char *s, size_t n)
{
    if (e->len + n > LINE_BYTES)
        return;
    if (e->len + n + 1 > e->cap) {
        e->cap = (e->len + n + 1) * 2;
        e->text = xrealloc(e->text, e->cap);
    }
    memmove(e->text + e->cursor + n, e->text + e->cursor, e->len - e->cursor + 1);
    memcpy(e->text + e->cursor, s, n);
    e->len += n;
    e->cursor += n;
}

static void erase(struct edit *e, size_t from, size_t to)
{
    memmove(e->text + from, e->text + to, e->len - to + 1);
    e->len -= to - from;
    e->cursor = from;
}

/* Byte after the grapheme cluster that starts at `at`. */
static size_t next_at(const struct edit *e, size_t at)
{
    struct glyphs it = {.s = e->text + at, .len = e->len - at};
    struct glyph g;
    size_t bytes = 0;

    while (bytes == 0 && glyph_next(&it, &g))
        bytes = g.bytes;
    return at + bytes;
}

static size_t prev_at(const struct edit *e, size_t at)
{
    size_t before = 0;

    for (size_t i = 0; i < at; i = next_at(e, i))
        before = i;
    return before;
}

static size_t word_start(const struct edit *e, size_t at)
{
    while (at > 0 && e->text[at - 1] == ' ')
        at--;
    while (at > 0 && e->text[at - 1] != ' ')
        at--;
    return at;
}

static void recall(struct edit *e, int step)
{
    int to = e->recalled + step;

    if (!e->history || to < 0 || to > e->history->n)
        return;
    if (e->recalled == e->history->n) {
        free(e->typed);
        e->typed = xstrdup(e->text);
    }
    e->recalled = to;
    set_text(e, to == e->history->n ? e->typed : e->history->lines[to]);
}

/* Was word i offered before? One name may be a command, a view and an action. */
static bool is_repeated(const struct edit *e, int i, const char *word)
{
    for (int k = 0; k < i; k++)
        if (strcmp(e->words(e->words_ctx, k), word) == 0)
            return true;
    return false;
}

const char *edit_candidate(const struct edit *e, int n)
{
    const char *word;

    if (!e->words || !e->stem)
        return NULL;
    for (int i = 0; (word = e->words(e->words_ctx, i)); i++)
        if (strncmp(word, e->stem, strlen(e->stem)) == 0 && !is_repeated(e, i, word) &&
            n-- == 0)
            return word;
    return NULL;
}

static bool is_word_byte(char c)
{
    return (c & 0x80) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/';
}

static void complete(struct edit *e)
{
    if (!e->words)
        return;
    if (e->candidate < 0) {
        e->word_at = e->cursor;
        while (e->word_at > 0 && is_word_byte(e->text[e->word_at - 1]))
            e->word_at--;
        free(e->stem);
        e->stem = xstrndup(e->text + e->word_at, e->cursor - e->word_at);
    }
    const char *word = edit_candidate(e, ++e->candidate);
    if (!word) { /* once round: what was typed */
        word = e->stem;
        e->candidate = -1;
    }
    erase(e, e->word_at, e->cursor);
    insert(e, word, strlen(word));
}

static enum edit_result done(struct edit *e)
{
    if (e->history)
        edit_history_add(e->history, e->text);
    return EDIT_DONE;
}

enum edit_result edit_key(struct edit *e, int32_t key)
{
    char utf8[8];

    if (key == K_TAB) {
        complete(e);
        return EDIT_GOES_ON;
    }
    e->candidate = -1;
    switch (key) {
    case K_ENTER: return done(e);
    case K_ESC:
    case K_CTRL | 'c':
    case K_CTRL | 'g': return EDIT_CANCELLED;
    case K_BACKSPACE:
        if (e->len == 0)
            return EDIT_CANCELLED;
        erase(e, prev_at(e, e->cursor), e->cursor);
        break;
    case K_CTRL | 'd':
    case K_DELETE: {
        size_t at = e->cursor;
        erase(e, at, next_at(e, at));
        break;
    }
    case K_LEFT:
    case K_CTRL | 'b': e->cursor = prev_at(e, e->cursor); break;
    case K_RIGHT:
    case K_CTRL | 'f': e->cursor = next_at(e, e->cursor); break;
    case K_HOME:
    case K_CTRL | 'a': e->cursor = 0; break;
    case K_END:
    case K_CTRL | 'e': e->cursor = e->len; break;
    case K_CTRL | 'w': erase(e, word_start(e, e->cursor), e->cursor); break;
    case K_CTRL | 'u': erase(e, 0, e->cursor); break;
    case K_CTRL | 'k': {
        size_t at = e->cursor;
        erase(e, at, e->len);
        break;
    }
    case K_UP:
    case K_CTRL | 'p': recall(e, -1); break;
    case K_DOWN:
    case K_CTRL | 'n': recall(e, 1); break;
    default:
        if (key >= ' ' && key < K_UP)
            insert(e, utf8,
                   (size_t)utf8proc_encode_char(key, (utf8proc_uint8_t *)utf8));
    }
    return EDIT_GOES_ON;
}

static int width_between(const struct edit *e, size_t from, size_t to)
{
    struct glyphs it = {.s = e->text + from, .len = to - from};
    struct glyph g;
    int width = 0;

    while (glyph_next(&it, &g))
        width += g.width;
    return width;
}

int edit_paint(struct canvas *c, int row, const char *label, const struct edit *e)
{
    int at = canvas_text(c, row, 0, INK_LABEL, label);
    struct canvas line = canvas_sub(c, row, at, 1, c->cols - at);
    size_t from = 0;

    while (from < e->cursor && width_between(e, from, e->cursor) >= line.cols)
        from = next_at(e, from);
    canvas_bytes(&line, 0, 0, INK_TEXT, e->text + from, e->len - from);
    at += width_between(e, from, e->cursor);
    return at < c->cols ? at : c->cols - 1;
}
