/* keymap.c - see keymap.h. */
#include "tui/keymap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/mem.h"
#include "tui/input.h"

const struct action_info action_info[ACT_COUNT] = {
    [ACT_NONE] = {"none", "", GROUP_FRAME, "", "nothing"},
#define X(id, name, keys, group, brief, help) \
    [ACT_##id] = {name, keys, GROUP_##group, brief, help},
    KEYMAP_ACTIONS(X)
#undef X
};

const char *const action_group_name[GROUP_COUNT] = {
    [GROUP_MOVE] = "moving",     [GROUP_VIEW] = "views and places",
    [GROUP_LIST] = "lists",      [GROUP_NOTE] = "notes",
    [GROUP_WORK] = "computing",  [GROUP_LOOK] = "how it looks",
    [GROUP_FRAME] = "program",
};

enum action action_find(const char *name)
{
    for (int a = 0; a < ACT_COUNT; a++)
        if (strcmp(action_info[a].name, name) == 0)
            return (enum action)a;
    return ACT_NONE;
}

/* "^D", "gg", "Alt-Left" -> up to KEYMAP_KEYS keys. */
static bool parse_keys(const char *s, int32_t keys[KEYMAP_KEYS])
{
    int n = 0;

    memset(keys, 0, KEYMAP_KEYS * sizeof *keys);
    while (*s) {
        size_t used;
        int32_t key = key_parse(s, &used);
        if (key == K_NONE || n == KEYMAP_KEYS)
            return false;
        keys[n++] = key;
        s += used;
    }
    return n > 0;
}

static bool same_keys(const int32_t *a, const int32_t *b)
{
    return memcmp(a, b, KEYMAP_KEYS * sizeof *a) == 0;
}

bool keymap_bind(struct keymap *m, const char *text, enum action action)
{
    int32_t keys[KEYMAP_KEYS];

    if (!parse_keys(text, keys))
        return false;
    for (int i = 0; i < m->n; i++)
        if (same_keys(m->bindings[i].keys, keys)) {
            m->bindings[i].action = action;
            return true;
        }
    array_grow(m->bindings, m->n, m->cap);
    m->bindings[m->n] = (struct keymap_binding){.action = action};
    memcpy(m->bindings[m->n++].keys, keys, sizeof keys);
    return true;
}

void keymap_init(struct keymap *m)
{
    *m = (struct keymap){0};
    for (int a = 1; a < ACT_COUNT; a++) {
        char word[16];
        const char *s = action_info[a].keys;
        for (int used; sscanf(s, "%15s%n", word, &used) == 1; s += used)
            keymap_bind(m, word, (enum action)a);
    }
}

void keymap_finish(struct keymap *m)
{
    free(m->bindings);
    *m = (struct keymap){0};
}

const char *keymap_text(const struct keymap *m, enum action action, bool first, char *buf,
                        size_t size)
{
    size_t n = 0;

    buf[0] = 0;
    for (int i = 0; i < m->n && n < size; i++) {
        if (m->bindings[i].action != action)
            continue;
        if (n > 0 && first)
            break;
        if (n > 0)
            n += (size_t)snprintf(buf + n, size - n, ", ");
        for (int k = 0; k < KEYMAP_KEYS && m->bindings[i].keys[k] && n < size; k++) {
            char name[24];
            n += (size_t)snprintf(buf + n, size - n, "%s",
                                  key_text(m->bindings[i].keys[k], name, sizeof name));
        }
    }
    return buf;
}

/* What the keys typed so far are: a whole binding, the start of one, or nothing. */
static const struct keymap_binding *lookup(const struct keymap *m,
                                           const struct keymap_typed *t, bool *is_prefix)
{
    const struct keymap_binding *whole = NULL;

    *is_prefix = false;
    for (int i = 0; i < m->n; i++) {
        const int32_t *keys = m->bindings[i].keys;
        if (memcmp(keys, t->keys, (size_t)t->n * sizeof *keys) != 0)
            continue;
        if (t->n == KEYMAP_KEYS || keys[t->n] == 0)
            whole = &m->bindings[i];
        else if (m->bindings[i].action != ACT_NONE)
            *is_prefix = true;
    }
    return whole;
}

static bool take_digit(struct keymap_typed *t, int32_t key)
{
    int32_t digit = key & ~K_ALT;

    if (t->n > 0 || digit < '0' || digit > '9')
        return false;
    if (!(key & K_ALT) && t->count == 0)
        return false;
    if (t->count < 100000000)
        t->count = t->count * 10 + (digit - '0');
    return true;
}

static void finish(struct keymap_typed *t, enum action a, int32_t letter, struct press *out)
{
    *out = (struct press){.action = a, .count = t->count > 0 ? t->count : 1,
                          .counted = t->count > 0, .letter = letter};
    *t = (struct keymap_typed){0};
}

bool keymap_feed(const struct keymap *m, struct keymap_typed *t, int32_t key,
                 struct press *out)
{
    const struct keymap_binding *b;
    bool is_prefix;

    if (t->wants_letter != ACT_NONE) {
        enum action a = t->wants_letter;
        if (key <= ' ' || key >= K_UP) { /* anything but a character: never mind */
            *t = (struct keymap_typed){0};
            return false;
        }
        finish(t, a, key, out);
        return true;
    }
    if (take_digit(t, key))
        return false;
    t->keys[t->n++] = key;
    b = lookup(m, t, &is_prefix);
    if (is_prefix && t->n < KEYMAP_KEYS)
        return false; /* "g" waits for "gg" */
    if (!b || b->action == ACT_NONE) {
        *t = (struct keymap_typed){0};
        return false;
    }
    if (b->action == ACT_MARK_SET || b->action == ACT_MARK_GO) {
        t->wants_letter = b->action;
        return false;
    }
    finish(t, b->action, 0, out);
    return true;
}
