/* cmd_token.c - see cmd_token.h. */
#include "tui/cmd_token.h"

#include <stdio.h>
#include <stdlib.h>

/* What stands for one token: its bytes, or "<ID>" in `number`. */
struct token {
    const char *bytes;
    size_t n;
    char number[32];
};

static void find_token(const struct cmd *c, int64_t id, struct token *t)
{
    t->bytes = c->session->tokenizer ? tokenizer_bytes(c->session->tokenizer, id, &t->n)
                                     : NULL;
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

void cmd_put_token(struct cmd *c, int64_t id)
{
    if (id < 0) {
        out_null(c->out, "token_id");
        out_null(c->out, "token");
        return;
    }
    struct token t;
    find_token(c, id, &t);
    out_int(c->out, "token_id", id);
    if (!put_text(c->out, "token", &t))
        put_hex(c->out, "bytes", &t);
}

static void put_all_bytes(struct cmd *c, const int64_t *ids, int n)
{
    out_list(c->out, "bytes");
    for (int i = 0; i < n; i++) {
        struct token t;
        struct str text = {0};
        find_token(c, ids[i], &t);
        if (str_utf8(&text, t.bytes, t.n))
            out_null(c->out, NULL);
        else
            put_hex(c->out, NULL, &t);
        str_finish(&text);
    }
    out_end(c->out);
}

void cmd_put_tokens(struct cmd *c, const int64_t *ids, int n)
{
    if (n && ids[0] < 0) {
        out_null(c->out, "token_ids");
        out_null(c->out, "tokens");
        return;
    }
    bool valid = true;
    out_list(c->out, "token_ids");
    for (int i = 0; i < n; i++)
        out_int(c->out, NULL, ids[i]);
    out_end(c->out);
    out_list(c->out, "tokens");
    for (int i = 0; i < n; i++) {
        struct token t;
        find_token(c, ids[i], &t);
        valid &= put_text(c->out, NULL, &t);
    }
    out_end(c->out);
    if (!valid)
        put_all_bytes(c, ids, n);
}

void cmd_token_text(const struct cmd *c, const int64_t *ids, int n, struct str *text)
{
    for (int i = 0; i < n; i++) {
        struct token t;
        find_token(c, ids[i], &t);
        str_append(text, t.bytes, t.n);
    }
}
