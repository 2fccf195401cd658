/*
 * token_split.c - see token_encoder_impl.h: pre-tokenizers (tokenizers, pre_tokenizers/) as
 * a table. A piece is cut where its matches begin and end, as the behaviour says
 * (tokenizer/normalizer.rs, split).
 */
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/mem.h"
#include "io/token_encoder_impl.h"

enum token_behavior {
    ISOLATED,
    REMOVED,
    MERGED_WITH_PREVIOUS,
    MERGED_WITH_NEXT,
    CONTIGUOUS,
};
static const char *const behavior_name[] = {"Isolated", "Removed", "MergedWithPrevious",
                                            "MergedWithNext", "Contiguous"};

struct token_step_type {
    const char *name;
    bool (*read)(struct token_step *step, const json_t *tree, struct err *err); /* or NULL */
    /* One piece of text into *out. */
    bool (*run)(const struct token_step *step, struct token_run *run, const char *s, size_t n,
                bool first, struct token_text *out);
};

void token_text_finish(struct token_text *t)
{
    str_finish(&t->text);
    free(t->piece);
    *t = (struct token_text){0};
}

void token_text_put(struct token_text *t, size_t start, int32_t id, bool first)
{
    array_grow(t->piece, t->n, t->cap);
    t->piece[t->n++] = (struct token_piece){start, t->text.len - start, id, first};
}

/* --- cutting at matches ------------------------------------------------------------------------ */

struct span {
    size_t start, end;
    bool match;
};

struct spans {
    struct span *at; /* owned */
    size_t n, cap;
};

static void add_span(struct spans *spans, size_t start, size_t end, bool match)
{
    array_grow(spans->at, spans->n, spans->cap);
    spans->at[spans->n++] = (struct span){start, end, match};
}

static bool spans_of_regex(const struct token_regex *re, struct token_run *run, const char *s,
                           size_t n, struct spans *out)
{
    size_t from = 0, start, end;
    int found;
    token_match_reset(run->match);
    while ((found = token_regex_next(re, run->match, s, n, from, &start, &end, run->err)) > 0) {
        if (start > from)
            add_span(out, from, start, false);
        add_span(out, start, end, true);
        from = end;
    }
    if (from < n)
        add_span(out, from, n, false);
    return found == 0;
}

static void spans_of_chars(bool (*is)(uint32_t cp, const struct token_step *step),
                           const struct token_step *step, const char *s, size_t n,
                           struct spans *out)
{
    size_t from = 0;
    uint32_t cp;
    for (size_t i = 0, len; i < n; i += len) {
        len = (size_t)str_utf8_next(s + i, n - i, &cp);
        if (!is(cp, step))
            continue;
        if (i > from)
            add_span(out, from, i, false);
        add_span(out, i, i + len, true);
        from = i + len;
    }
    if (from < n)
        add_span(out, from, n, false);
}

/* Is span i glued to the one before it? A match that merges is one whose neighbour on the
 * other side is none: of a run of matches only the first (the last) is merged. */
static void glue(const struct spans *spans, int behavior, bool *to_previous)
{
    bool before = false;
    size_t n = spans->n;
    if (behavior == MERGED_WITH_NEXT) {
        for (size_t i = n; i-- > 0; before = spans->at[i].match)
            if (i + 1 < n)
                to_previous[i + 1] = spans->at[i].match && !before;
        return;
    }
    for (size_t i = 0; i < n; before = spans->at[i++].match)
        to_previous[i] = i && (behavior == CONTIGUOUS ? spans->at[i].match == before
                               : behavior == MERGED_WITH_PREVIOUS ? spans->at[i].match && !before
                                                                  : false);
}

static void put_spans(const struct spans *spans, int behavior, const char *s, bool first,
                      struct token_text *out)
{
    bool *to_previous = xcalloc(spans->n ? spans->n : 1, sizeof *to_previous);
    glue(spans, behavior, to_previous);
    for (size_t i = 0, next; i < spans->n; i = next) {
        size_t end = spans->at[i].end;
        for (next = i + 1; next < spans->n && to_previous[next]; next++)
            end = spans->at[next].end;
        size_t begin = spans->at[i].start, start = out->text.len;
        if (begin >= end || (behavior == REMOVED && spans->at[i].match))
            continue;
        str_append(&out->text, s + begin, end - begin);
        token_text_put(out, start, -1, first && begin == 0);
    }
    free(to_previous);
}

static void invert(struct spans *spans)
{
    for (size_t i = 0; i < spans->n; i++)
        spans->at[i].match = !spans->at[i].match;
}

static bool cut_by_regex(const struct token_step *step, struct token_run *run, const char *s,
                         size_t n, bool first, struct token_text *out)
{
    struct spans spans = {0};
    bool ok = spans_of_regex(step->regex, run, s, n, &spans);
    if (step->invert)
        invert(&spans);
    if (ok)
        put_spans(&spans, step->behavior, s, first, out);
    free(spans.at);
    return ok;
}

static bool cut_by_chars(bool (*is)(uint32_t cp, const struct token_step *step),
                         const struct token_step *step, int behavior, const char *s, size_t n,
                         bool first, struct token_text *out)
{
    struct spans spans = {0};
    spans_of_chars(is, step, s, n, &spans);
    put_spans(&spans, behavior, s, first, out);
    free(spans.at);
    return true;
}

/* --- one by one ------------------------------------------------------------------------------------ */

static bool read_behavior(struct token_step *step, const json_t *tree, struct err *err)
{
    const char *name = behavior_name[ISOLATED];
    if (!json_get_string(tree, "behavior", &name, err))
        return false;
    for (int i = 0; i <= CONTIGUOUS; i++)
        if (strcmp(name, behavior_name[i]) == 0) {
            step->behavior = i;
            return true;
        }
    return err_set(err, ERR_FORMAT, "bad 'behavior' (found '%s', expected Isolated, Removed, "
                   "MergedWithPrevious, MergedWithNext or Contiguous)", name);
}

static bool read_split(struct token_step *step, const json_t *tree, struct err *err)
{
    if (!read_behavior(step, tree, err) || !json_get_bool(tree, "invert", &step->invert, err))
        return false;
    step->regex = token_read_pattern(tree, err);
    return step->regex;
}

static bool read_byte_level(struct token_step *step, const json_t *tree, struct err *err)
{
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                               "\\s+(?!\\S)|\\s+";
    step->prefix = step->use_regex = true;
    if (!json_get_bool(tree, "add_prefix_space", &step->prefix, err) ||
        !json_get_bool(tree, "use_regex", &step->use_regex, err))
        return false;
    step->behavior = ISOLATED;
    return !step->use_regex || (step->regex = token_regex_new(gpt2, err));
}

static bool run_byte_level(const struct token_step *step, struct token_run *run, const char *s,
                           size_t n, bool first, struct token_text *out)
{
    struct str text = {0};
    struct token_text cut = {0};
    if (step->prefix && s[0] != ' ' && !(run->continues && first))
        str_putc(&text, ' ');
    str_append(&text, s, n);
    bool ok = true;
    if (step->use_regex) {
        ok = cut_by_regex(step, run, str_text(&text), text.len, first, &cut);
    } else {
        str_append(&cut.text, str_text(&text), text.len);
        token_text_put(&cut, 0, -1, first);
    }
    for (size_t i = 0; ok && i < cut.n; i++) {
        size_t start = out->text.len;
        for (size_t k = 0; k < cut.piece[i].len; k++)
            token_put_byte_char(&out->text, (unsigned char)cut.text.data[cut.piece[i].start + k]);
        token_text_put(out, start, -1, cut.piece[i].first);
    }
    str_finish(&text);
    token_text_finish(&cut);
    return ok;
}

static bool read_metaspace(struct token_step *step, const json_t *tree, struct err *err)
{
    const char *mark = "\u2581", *scheme = "always";
    bool prefix = true;
    step->split = true;
    if (!json_get_string(tree, "replacement", &mark, err) ||
        !json_get_string(tree, "prepend_scheme", &scheme, err) ||
        !json_get_bool(tree, "add_prefix_space", &prefix, err) ||
        !json_get_bool(tree, "split", &step->split, err))
        return false;
    step->text = xstrdup(mark);
    step->first_only = strcmp(scheme, "first") == 0;
    step->prefix = prefix && strcmp(scheme, "never") != 0;
    uint32_t cp;
    return (*mark && str_utf8_next(mark, strlen(mark), &cp) == (int)strlen(mark)) ||
           err_set(err, ERR_FORMAT, "bad 'replacement' (found '%s', expected one character)", mark);
}

static bool starts_with(const char *s, size_t n, const char *what)
{
    size_t len = strlen(what);
    return n >= len && memcmp(s, what, len) == 0;
}

static bool run_metaspace(const struct token_step *step, struct token_run *run, const char *s,
                          size_t n, bool first, struct token_text *out)
{
    struct str text = {0};
    struct spans spans = {0};
    size_t mark = strlen(step->text);
    bool wanted = step->prefix && (!step->first_only || first) && !(run->continues && first);
    if (wanted && s[0] != ' ' && !starts_with(s, n, step->text))
        str_puts(&text, step->text);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == ' ')
            str_puts(&text, step->text);
        else
            str_putc(&text, s[i]);
    }
    size_t from = 0;
    for (size_t i = 0; step->split && i < text.len;) {
        const char *at = memmem(text.data + i, text.len - i, step->text, mark);
        if (!at)
            break;
        size_t start = (size_t)(at - text.data);
        if (start > from)
            add_span(&spans, from, start, false);
        add_span(&spans, start, start + mark, true);
        i = from = start + mark;
    }
    if (from < text.len)
        add_span(&spans, from, text.len, false);
    put_spans(&spans, step->split ? MERGED_WITH_NEXT : ISOLATED, str_text(&text), first, out);
    free(spans.at);
    str_finish(&text);
    return true;
}

static bool is_numeric(uint32_t cp, const struct token_step *step)
{
    (void)step;
    return token_is_numeric(cp);
}

static bool is_punctuation(uint32_t cp, const struct token_step *step)
{
    (void)step;
    return token_is_punctuation(cp);
}

static bool is_space(uint32_t cp, const struct token_step *step)
{
    (void)step;
    return token_is_space(cp);
}

static bool read_digits(struct token_step *step, const json_t *tree, struct err *err)
{
    bool individual = false;
    bool ok = json_get_bool(tree, "individual_digits", &individual, err);
    step->behavior = individual ? ISOLATED : CONTIGUOUS;
    return ok;
}

static bool run_digits(const struct token_step *step, struct token_run *run, const char *s,
                       size_t n, bool first, struct token_text *out)
{
    (void)run;
    return cut_by_chars(is_numeric, step, step->behavior, s, n, first, out);
}

static bool run_punctuation(const struct token_step *step, struct token_run *run,
                            const char *s, size_t n, bool first, struct token_text *out)
{
    (void)run;
    return cut_by_chars(is_punctuation, step, step->behavior, s, n, first, out);
}

static bool run_whitespace_split(const struct token_step *step, struct token_run *run,
                                 const char *s, size_t n, bool first, struct token_text *out)
{
    (void)run;
    return cut_by_chars(is_space, step, REMOVED, s, n, first, out);
}

/* Rust's \w+|[^\w\s]+, all else removed: runs of one of the two kinds. */
static bool run_whitespace(const struct token_step *step, struct token_run *run, const char *s,
                           size_t n, bool first, struct token_text *out)
{
    (void)step;
    (void)run;
    uint32_t cp;
    for (size_t i = 0, len; i < n; i += len) {
        len = (size_t)str_utf8_next(s + i, n - i, &cp);
        if (token_is_space(cp))
            continue;
        bool word = token_is_word(cp);
        size_t end = i + len;
        for (size_t more; end < n; end += more) {
            more = (size_t)str_utf8_next(s + end, n - end, &cp);
            if (token_is_word(cp) != word || (!word && token_is_space(cp)))
                break;
        }
        size_t start = out->text.len;
        len = end - i;
        str_append(&out->text, s + i, len);
        token_text_put(out, start, -1, first && i == 0);
    }
    return true;
}

static bool run_bert(const struct token_step *step, struct token_run *run, const char *s,
                     size_t n, bool first, struct token_text *out)
{
    struct token_text words = {0};
    (void)run;
    cut_by_chars(is_space, step, REMOVED, s, n, first, &words);
    for (size_t i = 0; i < words.n; i++)
        cut_by_chars(is_punctuation, step, ISOLATED, words.text.data + words.piece[i].start,
                     words.piece[i].len, words.piece[i].first, out);
    token_text_finish(&words);
    return true;
}

static bool read_delimiter(struct token_step *step, const json_t *tree, struct err *err)
{
    const char *text = "";
    if (!json_get_string(tree, "delimiter", &text, err))
        return false;
    step->text = xstrdup(text);
    return *text || err_set(err, ERR_FORMAT, "bad 'delimiter' (found '', expected a character)");
}

static bool is_delimiter(uint32_t cp, const struct token_step *step)
{
    uint32_t own;
    str_utf8_next(step->text, strlen(step->text), &own);
    return cp == own;
}

static bool run_delimiter(const struct token_step *step, struct token_run *run, const char *s,
                          size_t n, bool first, struct token_text *out)
{
    (void)run;
    return cut_by_chars(is_delimiter, step, REMOVED, s, n, first, out);
}

static bool read_fixed_length(struct token_step *step, const json_t *tree, struct err *err)
{
    step->length = 5;
    return json_get_int(tree, "length", &step->length, err) &&
           (step->length > 0 || err_set(err, ERR_RANGE, "bad 'length' (found %lld, expected at least 1)",
                                        (long long)step->length));
}

static bool run_fixed_length(const struct token_step *step, struct token_run *run,
                             const char *s, size_t n, bool first, struct token_text *out)
{
    (void)run;
    uint32_t cp;
    for (size_t i = 0, end; i < n; i = end) {
        end = i;
        for (int64_t k = 0; k < step->length && end < n; k++)
            end += (size_t)str_utf8_next(s + end, n - end, &cp);
        size_t start = out->text.len;
        str_append(&out->text, s + i, end - i);
        token_text_put(out, start, -1, first && i == 0);
    }
    return true;
}

static const struct token_step_type types[] = {
    {"ByteLevel", read_byte_level, run_byte_level},
    {"Split", read_split, cut_by_regex},
    {"Metaspace", read_metaspace, run_metaspace},
    {"Digits", read_digits, run_digits},
    {"Punctuation", read_behavior, run_punctuation},
    {"Whitespace", NULL, run_whitespace},
    {"WhitespaceSplit", NULL, run_whitespace_split},
    {"BertPreTokenizer", NULL, run_bert},
    {"CharDelimiterSplit", read_delimiter, run_delimiter},
    {"Delimiter", read_delimiter, run_delimiter},
    {"FixedLength", read_fixed_length, run_fixed_length},
};

/* --- all of them -------------------------------------------------------------------------------------- */

static const struct token_step_type *find_type(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool token_split_read(const json_t *tree, struct token_steps *out, struct err *err)
{
    if (!tree)
        return true;
    const char *name = json_string_value(json_object_get(tree, "type"));
    if (!name)
        return err_set(err, ERR_FORMAT, "bad 'pre_tokenizer' (found no type, expected one)");
    if (strcmp(name, "Sequence") == 0) {
        size_t i;
        json_t *inner;
        json_array_foreach(json_object_get(tree, "pretokenizers"), i, inner)
            if (!token_split_read(inner, out, err))
                return false;
        return true;
    }
    const struct token_step_type *type = find_type(name);
    if (!type)
        return err_set(err, ERR_UNSUPPORTED, "pre_tokenizer not read (found %s, expected ByteLevel, "
                       "Split, Metaspace, ...)", name);
    if (out->n == TOKEN_MAX_STEPS)
        return err_set(err, ERR_RANGE, "too many pre-tokenizers (found more, expected at most %d)",
                       TOKEN_MAX_STEPS);
    struct token_step *step = &out->step[out->n++];
    step->type = type;
    return !type->read || type->read(step, tree, err) ||
           err_wrap(err, "pre_tokenizer %s", name);
}

bool token_split_run(const struct token_steps *s, struct token_run *run,
                     struct token_text *t)
{
    bool ok = true;
    for (int i = 0; ok && i < s->n; i++) {
        const struct token_step *step = &s->step[i];
        struct token_text out = {0};
        for (size_t k = 0; ok && k < t->n; k++) {
            const struct token_piece *piece = &t->piece[k];
            if (piece->id < 0)
                ok = step->type->run(step, run, str_text(&t->text) + piece->start, piece->len,
                                     piece->first, &out);
            else
                token_text_put(&out, out.text.len, piece->id, false);
            if (ok && out.text.len > TOKEN_MAX_NORMALIZED)
                ok = err_set(run->err, ERR_RANGE, "the pre-tokenizer makes the text too large (found "
                             "more, expected at most %zu bytes)", TOKEN_MAX_NORMALIZED);
        }
        token_text_finish(t);
        *t = out;
    }
    return ok;
}
