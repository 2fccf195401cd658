/* filter.c - from the text of an expression to its nodes; see filter.h. */
#include "model/filter_impl.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/mem.h"

static const char *const op_name[OP_COUNT] = {"=", "!=", "<", "<=", ">", ">=", "~"};

/* --- words ---------------------------------------------------------------------------------- */

enum word { WORD_END, WORD_NAME, WORD_NUMBER, WORD_TEXT, WORD_OP, WORD_OPEN, WORD_CLOSE,
            WORD_BAD };

struct parser {
    struct filter *f;
    const struct filter_column *columns;
    int n_columns;
    struct err *err;
    const char *text, *end;
    const char *at, *after; /* the current word */
    enum word word;
    enum op op;             /* of WORD_OP */
    int depth;
};

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static const char *skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The end of the number at p, or p when there is none. */
static const char *span_number(const char *p)
{
    const char *start = p, *digits;
    p += *p == '-' || *p == '+';
    digits = p;
    p = skip_digits(p);
    size_t n = (size_t)(p - digits);
    if (*p == '.') {
        digits = ++p;
        p = skip_digits(p);
        n += (size_t)(p - digits);
    }
    if (!n)
        return start;
    if (*p == 'e' || *p == 'E') {
        const char *e = p + 1;
        e += *e == '-' || *e == '+';
        if (skip_digits(e) > e)
            p = skip_digits(e);
    }
    return p;
}

/* The end of the quoted text at p, or NULL when it has none. */
static const char *span_text(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : NULL;
}

static enum word word_op(struct parser *ps)
{
    static const struct {
        char name[3];
        enum op op;
    } ops[] = {{"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}, {"==", OP_EQ},
               {"=", OP_EQ},  {"<", OP_LT},  {">", OP_GT},  {"~", OP_SEARCH}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        size_t len = strlen(ops[i].name);
        if (strncmp(ps->at, ops[i].name, len) == 0) {
            ps->op = ops[i].op;
            ps->after = ps->at + len;
            return WORD_OP;
        }
    }
    return WORD_BAD;
}

static enum word read_word(struct parser *ps)
{
    char c = *ps->at;
    ps->after = ps->at + 1;
    if (ps->at == ps->end) {
        ps->after = ps->at;
        return WORD_END;
    }
    if (c == '(' || c == ')')
        return c == '(' ? WORD_OPEN : WORD_CLOSE;
    if (is_name(c, true)) {
        while (is_name(*ps->after, false))
            ps->after++;
        return WORD_NAME;
    }
    if (c == '"') {
        const char *close = span_text(ps->at);
        ps->after = close ? close : ps->end;
        return close ? WORD_TEXT : WORD_BAD;
    }
    const char *number = span_number(ps->at);
    if (number > ps->at) {
        ps->after = number;
        return WORD_NUMBER;
    }
    return word_op(ps);
}

static void next_word(struct parser *ps)
{
    ps->at = ps->after;
    while (*ps->at == ' ' || *ps->at == '\t' || *ps->at == '\n' || *ps->at == '\r')
        ps->at++;
    ps->word = read_word(ps);
}

static bool is_keyword(const struct parser *ps, const char *keyword)
{
    size_t len = (size_t)(ps->after - ps->at);
    return ps->word == WORD_NAME && len == strlen(keyword) &&
           strncasecmp(ps->at, keyword, len) == 0;
}

/* --- messages ------------------------------------------------------------------------------- */

static int column_of(const struct parser *ps, const char *p)
{
    int column = 1;
    for (const char *q = ps->text; q < p; q++)
        column += (*q & 0xc0) != 0x80;
    return column;
}

/* Returns -1, as the parsing functions do. */
static int fail(struct parser *ps, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct parser *ps, const char *at, const char *fmt, ...)
{
    struct str message = {0};
    va_list ap;
    va_start(ap, fmt);
    str_append_va(&message, fmt, ap);
    va_end(ap);
    err_set(ps->err, ERR_USAGE, "filter: column %d: %s", column_of(ps, at),
            str_text(&message));
    str_finish(&message);
    return -1;
}

static int unexpected(struct parser *ps, const char *expected)
{
    if (ps->word == WORD_END)
        return fail(ps, ps->at, "expected %s, found the end", expected);
    if (ps->word == WORD_BAD && *ps->at == '"')
        return fail(ps, ps->at, "text without its closing '\"'");
    struct str found = {0};
    size_t len = (size_t)(ps->after - ps->at);
    if (ps->word == WORD_BAD) { /* a whole character, not its first byte */
        uint32_t cp;
        len = (size_t)abs(str_utf8_next(ps->at, (size_t)(ps->end - ps->at), &cp));
    }
    str_visible(&found, ps->at, len, STR_ESCAPED);
    fail(ps, ps->at, "expected %s, found '%s'", expected, str_text(&found));
    str_finish(&found);
    return -1;
}

static int unknown_name(struct parser *ps)
{
    struct str known = {0};
    for (int i = 0; i < ps->n_columns; i++)
        str_appendf(&known, "%s%s", i ? ", " : "", ps->columns[i].name);
    fail(ps, ps->at, "unknown name '%.*s' (expected one of %s)",
         (int)(ps->after - ps->at), ps->at, str_text(&known));
    str_finish(&known);
    return -1;
}

/* --- parsing: functions return the index of a node, -1 after an error ------------------------- */

static int add_node(struct filter *f, enum node_kind kind)
{
    array_grow(f->nodes, f->n, f->cap);
    f->nodes[f->n] = (struct node){.kind = kind, .child = -1, .next = -1, .other = -1};
    return f->n++;
}

static int find_column(const struct parser *ps)
{
    size_t len = (size_t)(ps->after - ps->at);
    for (int i = 0; i < ps->n_columns; i++)
        if (strlen(ps->columns[i].name) == len &&
            memcmp(ps->columns[i].name, ps->at, len) == 0)
            return i;
    return -1;
}

static double number_of(const struct parser *ps)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    double v = strtod_l(ps->at, NULL, c);
    freelocale(c);
    return v;
}

static int parse_number(struct parser *ps, int node)
{
    int column;
    if (ps->f->nodes[node].op == OP_SEARCH)
        return fail(ps, ps->at, "'~' searches text, '%s' is a number",
                    ps->columns[ps->f->nodes[node].column].name);
    next_word(ps);
    if (ps->word == WORD_NAME) {
        if ((column = find_column(ps)) < 0)
            return unknown_name(ps);
        if (ps->columns[column].kind == FILTER_TEXT)
            return unexpected(ps, "a number");
        ps->f->nodes[node].other = column;
    } else if (ps->word == WORD_NUMBER) {
        ps->f->nodes[node].number = number_of(ps);
    } else {
        return unexpected(ps, "a number");
    }
    next_word(ps);
    return node;
}

/* The hexadecimal value of n digits at p into *out. */
static bool read_hex(const char *p, int n, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        const char *digits = "0123456789abcdef";
        const char *d = p[i] ? strchr(digits, p[i] | 0x20) : NULL;
        if (!d)
            return false;
        *out = *out << 4 | (uint32_t)(d - digits);
    }
    return true;
}

/* Append what the escape at p (a backslash) stands for. Its length, 0 when unknown. */
static size_t unescape(const char *p, struct str *out)
{
    static const char from[] = "\"\\nrt", to[] = "\"\\\n\r\t";
    const char *at = strchr(from, p[1]);
    uint32_t v;
    if (at && p[1]) {
        str_putc(out, to[at - from]);
        return 2;
    }
    if (p[1] == 'x' && read_hex(p + 2, 2, &v)) {
        str_putc(out, (char)v);
        return 4;
    }
    if (p[1] == 'u' && read_hex(p + 2, 4, &v) && !(v >= 0xd800 && v <= 0xdfff)) {
        str_put_utf8(out, v);
        return 6;
    }
    return 0;
}

static int take_text(struct parser *ps, int node)
{
    struct str *out = &ps->f->nodes[node].text;
    for (const char *p = ps->at + 1; p < ps->after - 1;) {
        size_t len = 1;
        if (*p != '\\')
            str_putc(out, *p);
        else if (!(len = unescape(p, out)))
            return fail(ps, p, "unknown escape in text");
        p += len;
    }
    return node;
}

static int take_regex(struct parser *ps, int node)
{
    struct node *nd = &ps->f->nodes[node];
    struct str pattern = {0};
    for (const char *p = ps->at + 1; p < ps->after - 1; p++) {
        if (*p == '\\' && p[1] == '"')
            p++;
        else if (*p == '\\')
            str_putc(&pattern, *p++);
        str_putc(&pattern, *p);
    }
    int code;
    size_t offset;
    nd->regex = pcre2_compile((PCRE2_SPTR)str_text(&pattern), pattern.len,
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF |
                                  PCRE2_NEVER_BACKSLASH_C,
                              &code, &offset, NULL);
    str_finish(&pattern);
    if (!nd->regex) {
        PCRE2_UCHAR message[256];
        pcre2_get_error_message(code, message, sizeof message);
        return fail(ps, ps->at, "regex: %s (at its character %zu)", (char *)message,
                    offset + 1);
    }
    /* Without JIT (not built in, no executable memory) matching is slower, not different. */
    pcre2_jit_compile(nd->regex, PCRE2_JIT_COMPLETE);
    nd->match = pcre2_match_data_create(1, NULL);
    return node;
}

static int parse_text(struct parser *ps, int node)
{
    enum op op = ps->f->nodes[node].op;
    if (op != OP_EQ && op != OP_NE && op != OP_SEARCH)
        return fail(ps, ps->at, "expected = != or ~, found '%s': '%s' is text", op_name[op],
                    ps->columns[ps->f->nodes[node].column].name);
    next_word(ps);
    if (ps->word != WORD_TEXT)
        return unexpected(ps, "text in double quotes");
    node = op == OP_SEARCH ? take_regex(ps, node) : take_text(ps, node);
    if (node >= 0)
        next_word(ps);
    return node;
}

/* "favourite": favourite != 0. */
static int add_flag(struct parser *ps, int column)
{
    int node = add_node(ps->f, NODE_NUMBER);
    ps->f->nodes[node].column = column;
    ps->f->nodes[node].op = OP_NE;
    return node;
}

static int parse_comparison(struct parser *ps)
{
    if (ps->word != WORD_NAME)
        return unexpected(ps, "a name, 'not' or '('");
    int column = find_column(ps);
    if (column < 0)
        return unknown_name(ps);
    bool number = ps->columns[column].kind != FILTER_TEXT;
    next_word(ps);
    if (ps->word != WORD_OP && ps->columns[column].kind == FILTER_FLAG)
        return add_flag(ps, column);
    if (ps->word != WORD_OP)
        return unexpected(ps, number ? "= != < <= > or >=" : "= != or ~");
    int node = add_node(ps->f, number ? NODE_NUMBER : NODE_TEXT);
    ps->f->nodes[node].column = column;
    ps->f->nodes[node].op = ps->op;
    return number ? parse_number(ps, node) : parse_text(ps, node);
}

static int parse_or(struct parser *ps);

static int parse_not(struct parser *ps)
{
    bool negated = is_keyword(ps, "not");
    if (!negated && ps->word != WORD_OPEN)
        return parse_comparison(ps);
    if (++ps->depth > FILTER_MAX_DEPTH)
        return fail(ps, ps->at, "nested too deeply");
    next_word(ps);
    int node = negated ? parse_not(ps) : parse_or(ps);
    ps->depth--;
    if (node < 0)
        return -1;
    if (negated) {
        int outer = add_node(ps->f, NODE_NOT);
        ps->f->nodes[outer].child = node;
        return outer;
    }
    if (ps->word != WORD_CLOSE)
        return unexpected(ps, "'and', 'or' or ')'");
    next_word(ps);
    return node;
}

/* part, or part keyword part ..., as one node with all the parts as children. */
static int parse_chain(struct parser *ps, enum node_kind kind, const char *keyword,
                       int (*part)(struct parser *))
{
    int first = part(ps), last = first, outer = first;
    while (last >= 0 && is_keyword(ps, keyword)) {
        next_word(ps);
        int node = part(ps);
        if (node < 0)
            return -1;
        if (outer == first) {
            outer = add_node(ps->f, kind);
            ps->f->nodes[outer].child = first;
        }
        ps->f->nodes[last].next = node;
        last = node;
    }
    return outer;
}

static int parse_and(struct parser *ps)
{
    return parse_chain(ps, NODE_AND, "and", parse_not);
}

static int parse_or(struct parser *ps)
{
    return parse_chain(ps, NODE_OR, "or", parse_and);
}

struct filter *filter_parse(const char *text, const struct filter_column *columns, int n,
                            struct err *err)
{
    struct filter *f = xcalloc(1, sizeof *f);
    struct parser ps = {.f = f, .columns = columns, .n_columns = n, .err = err,
                        .text = text, .end = text + strlen(text), .after = text};
    f->limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(f->limits, FILTER_MATCH_LIMIT);
    if (ps.end - text > FILTER_MAX_TEXT) {
        f->root = fail(&ps, text, "longer than %d bytes", FILTER_MAX_TEXT);
    } else {
        next_word(&ps);
        f->root = parse_or(&ps);
        if (f->root >= 0 && ps.word != WORD_END)
            f->root = unexpected(&ps, "'and', 'or' or the end");
    }
    if (f->root >= 0)
        return f;
    filter_free(f);
    return NULL;
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n; i++) {
        str_finish(&f->nodes[i].text);
        pcre2_match_data_free(f->nodes[i].match);
        pcre2_code_free(f->nodes[i].regex);
    }
    pcre2_match_context_free(f->limits);
    free(f->nodes);
    free(f);
}

bool filter_uses(const struct filter *f, int column)
{
    for (int i = 0; i < f->n; i++) {
        const struct node *nd = &f->nodes[i];
        if ((nd->kind == NODE_NUMBER || nd->kind == NODE_TEXT) &&
            (nd->column == column || nd->other == column))
            return true;
    }
    return false;
}
