/* token_encoder.c - see token_encoder.h: the way of a text. */
#include "io/token_encoder.h"

#include <stdlib.h>
#include <string.h>

#include "io/fs.h"
#include "io/mem.h"
#include "io/token_encoder_impl.h"
#include "io/tokenizer.h"
#include "io/tokenizer_impl.h"

struct token_encoder *token_encoder_open(const char *path, struct err *err)
{
    char *file = tokenizer_file(path);
    size_t n;
    char *text = fs_read_file(file, TOKENIZER_MAX_FILE, &n, err);
    if (!text) {
        free(file);
        return NULL;
    }
    struct token_encoder *te = xcalloc(1, sizeof *te);
    te->path = file;
    te->bpe.unk = -1;
    bool ok = token_encoder_read(te, text, n, err);
    free(text);
    if (ok) {
        token_set_sort(&te->raw);
        token_set_sort(&te->normalized);
        return te;
    }
    err_path(err, te->path);
    token_encoder_close(te);
    return NULL;
}

void token_encoder_close(struct token_encoder *te)
{
    if (!te)
        return;
    token_bpe_finish(&te->bpe);
    token_steps_finish(&te->norm);
    token_steps_finish(&te->split);
    token_set_finish(&te->raw);
    token_set_finish(&te->normalized);
    free(te->bos.id);
    free(te->path);
    free(te->merges);
    free(te);
}

const char *token_encoder_path(const struct token_encoder *te)
{
    return te->path;
}

const char *token_encoder_merges(const struct token_encoder *te)
{
    return te->merges;
}

const int32_t *token_encoder_bos(const struct token_encoder *te, size_t *n)
{
    *n = te->bos.n;
    return te->bos.id;
}

/* --- encoding ------------------------------------------------------------------------------- */

/* What sentencepiece does before it cuts: runs of spaces are one, none at the ends; one in
 * front; U+2581 for a space. */
static void normalise_sp(const struct token_encoder *te, const struct token_run *run,
                         const char *s, size_t n, bool first, struct str *out)
{
    bool trim = te->sp_trim, spaced = trim && !(run->continues && first);
    size_t i = 0, mark = strlen("\u2581");
    str_reset(out);
    if (trim)
        while (n && s[n - 1] == ' ')
            n--;
    while (spaced && i < n && s[i] == ' ')
        i++;
    if (i < n && te->sp_prefix && first && !run->continues)
        str_puts(out, "\u2581");
    for (; i < n; i++) {
        if (s[i] != ' ')
            str_putc(out, s[i]);
        else if (!trim || !i || s[i - 1] != ' ')
            str_puts(out, "\u2581");
    }
    while (trim && out->len >= mark && memcmp(out->data + out->len - mark, "\u2581", mark) == 0)
        out->len -= mark; /* marks in the text itself are spaces too, at its end */
}

static bool normalise(const struct token_encoder *te, struct token_run *run, const char *s,
                      size_t n, bool first, struct str *out)
{
    if (!te->sp)
        return token_norm_run(&te->norm, run, s, n, first, out);
    normalise_sp(te, run, s, n, first, out);
    return true;
}

/* Text between added tokens -> pieces of normalised text and more added tokens. */
static bool normalise_pieces(const struct token_encoder *te, struct token_run *run,
                             const struct token_text *raw, unsigned flags,
                             struct token_text *out)
{
    struct str text = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < raw->n; i++) {
        const struct token_piece *piece = &raw->piece[i];
        if (piece->id >= 0) {
            token_text_put(out, out->text.len, piece->id, false);
            continue;
        }
        ok = normalise(te, run, str_text(&raw->text) + piece->start, piece->len, piece->first, &text);
        if (ok)
            token_set_split(&te->normalized, str_text(&text), text.len, piece->first, flags,
                            out);
        if (ok && out->text.len > TOKEN_MAX_NORMALIZED)
            ok = err_set(run->err, ERR_RANGE, "the normalizer makes the text too large (found "
                         "more, expected at most %zu bytes)", TOKEN_MAX_NORMALIZED);
    }
    str_finish(&text);
    return ok;
}

static bool run_model(const struct token_bpe *b, const struct token_text *t,
                      struct token_ids *ids, struct err *err)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct token_piece *piece = &t->piece[i];
        const char *s = str_text(&t->text) + piece->start;
        if (piece->id >= 0)
            token_ids_put(ids, piece->id);
        else if (b->model == TOKEN_UNIGRAM ? !token_unigram_run(b, s, piece->len, ids, err)
                                           : !token_bpe_run(b, s, piece->len, ids, err))
            return false;
    }
    return true;
}

bool token_encoder_run(const struct token_encoder *te, const char *text, size_t n,
                       unsigned flags, struct token_ids *ids, struct err *err)
{
    if (n > TOKEN_ENCODER_MAX_TEXT)
        return err_set(err, ERR_RANGE, "text too long (found %zu bytes, expected at most %zu)",
                       n, TOKEN_ENCODER_MAX_TEXT);
    struct token_run run = {token_match_new(), flags & TOKEN_CONTINUES, err};
    struct str whole = {0};
    struct token_text raw = {0}, normal = {0};
    size_t before = ids->n;
    str_utf8(&whole, text, n);
    token_set_split(&te->raw, str_text(&whole), whole.len, true, flags, &raw);
    bool ok = normalise_pieces(te, &run, &raw, flags, &normal) &&
              token_split_run(&te->split, &run, &normal) &&
              run_model(&te->bpe, &normal, ids, err);
    if (!ok)
        ids->n = before;
    token_text_finish(&raw);
    token_text_finish(&normal);
    str_finish(&whole);
    token_match_free(run.match);
    return ok;
}

/* --- cutting a long text ------------------------------------------------------------------------ */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Printable ASCII, or part of a character beyond it that is no space: U+0085 is C2 85,
 * U+00A0 C2 A0, all others begin with E1, E2 or E3. */
static bool is_solid(char c)
{
    unsigned char b = (unsigned char)c;
    return (b > 0x20 && b < 0x7f) || (b >= 0xc3 && b <= 0xe0) || b >= 0xe4;
}

size_t token_encoder_cut(const char *text, size_t n)
{
    for (size_t i = n; i-- > 2;)
        if (text[i - 1] == '\n' && is_solid(text[i]) && text[i - 2] > 0x20 && text[i - 2] < 0x7f)
            return i;
    for (size_t i = n; i-- > 2;)
        if (text[i - 1] == ' ' && is_letter(text[i]) && is_letter(text[i - 2]))
            return i - 1;
    return 0;
}
