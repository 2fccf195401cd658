/* out_token.c - see out_token.h. */
#include "tui/out_token.h"

#include <stdio.h>
#include <stdlib.h>

/* What stands for one token: its bytes, or "<ID>" in `number`. */
struct token {
    const char *bytes;
    size_t n;
    char number[32];
};

static void find_token(const struct tokenizer *tk, int64_t id, struct token *t)
{
    t->bytes = tk ? tokenizer_bytes(tk, id, &t->n) : NULL;
    if (t->bytes)
        return;
    t->n = (size_t)snprintf(t->number, sizeof t->number, "<%lld>", (long long)id);
    t->bytes = t->number;
}

/* The token as text; true when all its bytes are valid. */
static bool put_text(struct out *o, const char *key, const struct token *t)
{
    struct str text = {0};
    bool valid = str_utf8(&text, t->bytes, t->n);
    out_bytes(o, key, str_text(&text), text.len);
    str_finish(&text);
    return valid;
}

static void put_hex(struct out *o, const char *key, const struct token *t)
{
    struct str hex = {0};
    str_hex(&hex, t->bytes, t->n);
    out_text(o, key, str_text(&hex));
    str_finish(&hex);
}

void out_token(struct out *o, const struct tokenizer *tk, int64_t id)
{
    if (id < 0) {
        out_null(o, "token_id");
        out_null(o, "token");
        return;
    }
    struct token t;
    find_token(tk, id, &t);
    out_int(o, "token_id", id);
    if (!put_text(o, "token", &t))
        put_hex(o, "bytes", &t);
}

static void put_all_bytes(struct out *o, const struct tokenizer *tk, const int64_t *ids, int n)
{
    out_list(o, "bytes");
    for (int i = 0; i < n; i++) {
        struct token t;
        struct str text = {0};
        find_token(tk, ids[i], &t);
        if (str_utf8(&text, t.bytes, t.n))
            out_null(o, NULL);
        else
            put_hex(o, NULL, &t);
        str_finish(&text);
    }
    out_end(o);
}

void out_tokens(struct out *o, const struct tokenizer *tk, const int64_t *ids, int n)
{
    if (n && ids[0] < 0) {
        out_null(o, "token_ids");
        out_null(o, "tokens");
        return;
    }
    bool valid = true;
    out_list(o, "token_ids");
    for (int i = 0; i < n; i++)
        out_int(o, NULL, ids[i]);
    out_end(o);
    out_list(o, "tokens");
    for (int i = 0; i < n; i++) {
        struct token t;
        find_token(tk, ids[i], &t);
        valid &= put_text(o, NULL, &t);
    }
    out_end(o);
    if (!valid)
        put_all_bytes(o, tk, ids, n);
}

void token_bytes_of(const struct tokenizer *tk, const int64_t *ids, int n,
                    struct str *text)
{
    for (int i = 0; i < n; i++) {
        struct token t;
        find_token(tk, ids[i], &t);
        str_append(text, t.bytes, t.n);
    }
}

void out_contribution(struct out *o, const struct contribution *p)
{
    out_text(o, "kind", part_kind_names[p->kind]);
    if (p->id >= 0)
        out_int(o, "id", p->id);
    else
        out_null(o, "id");
    out_num(o, "activation", (double)p->activation);
    out_num(o, "norm", p->norm);
    out_num(o, "projection", p->projection);
    out_num(o, "share", p->share);
    out_num(o, "cumulative", p->cumulative);
    out_num(o, "left", p->left);
}
