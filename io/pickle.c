/* pickle.c - see pickle.h. */
#include "io/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "io/mem.h"

#define PIECE ((size_t)1 << 16) /* bytes of the tree that are asked for at a time */

enum op {
    OP_MARK = '(', OP_STOP = '.', OP_POP = '0', OP_POP_MARK = '1', OP_DUP = '2',
    OP_BINFLOAT = 'G', OP_BININT = 'J', OP_BININT1 = 'K', OP_BININT2 = 'M', OP_NONE = 'N',
    OP_BINPERSID = 'Q', OP_REDUCE = 'R', OP_BINSTRING = 'T', OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X', OP_BINBYTES = 'B', OP_SHORT_BINBYTES = 'C', OP_APPEND = 'a',
    OP_BUILD = 'b', OP_GLOBAL = 'c', OP_DICT = 'd', OP_APPENDS = 'e', OP_BINGET = 'h',
    OP_INST = 'i', OP_LONG_BINGET = 'j', OP_LIST = 'l', OP_OBJ = 'o', OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r', OP_SETITEM = 's', OP_TUPLE = 't', OP_SETITEMS = 'u',
    OP_EMPTY_TUPLE = ')', OP_EMPTY_LIST = ']', OP_EMPTY_DICT = '}',
    /* protocol 2 */
    OP_PROTO = 0x80, OP_NEWOBJ = 0x81, OP_TUPLE1 = 0x85, OP_TUPLE2 = 0x86, OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88, OP_NEWFALSE = 0x89, OP_LONG1 = 0x8a, OP_LONG4 = 0x8b,
    /* protocol 4 */
    OP_SHORT_BINUNICODE = 0x8c, OP_BINUNICODE8 = 0x8d, OP_BINBYTES8 = 0x8e,
    OP_EMPTY_SET = 0x8f, OP_ADDITEMS = 0x90, OP_FROZENSET = 0x91, OP_NEWOBJ_EX = 0x92,
    OP_STACK_GLOBAL = 0x93, OP_MEMOIZE = 0x94, OP_FRAME = 0x95,
    /* protocol 5 */
    OP_BYTEARRAY8 = 0x96,
};

/* Callables that make an empty dictionary, or one of their argument. */
static const char *const dict_makers[] = {
    "collections.OrderedDict", "collections.defaultdict", "collections.Counter",
    "builtins.dict", "__builtin__.dict",
};

struct pickle_piece {
    struct pickle_piece *next;
};

struct pickle_machine {
    struct pickle *p;
    const unsigned char *data;
    size_t size, at;   /* at: of the next byte */
    size_t op_at;      /* of the instruction at work */
    uint64_t base;
    struct err *err;

    struct pickle_value **stack, **memo;
    size_t *marks; /* heights of the stack */
    size_t n_stack, cap_stack, n_memo, cap_memo, n_marks, cap_marks;
    struct pickle_cell *last_persistent;

    struct pickle_piece *pieces; /* the tree's memory */
    unsigned char *room;
    size_t room_left, memory;
};

/* ---- failing */

/* At the present instruction. */
static bool broken(struct pickle_machine *m, const char *found, const char *expected)
{
    return err_format(m->err, m->base + m->op_at, "bad pickle (found %s, expected %s)", found,
                      expected);
}

static bool too_much(struct pickle_machine *m, const char *what, size_t limit)
{
    return err_format(m->err, m->base + m->op_at,
                      "pickle holds too much (found more %s, expected at most %zu)", what,
                      limit);
}

static bool ends_early(struct pickle_machine *m)
{
    return err_format(m->err, m->base + m->size,
                      "bad pickle (found its end, expected more of it)");
}

/* ---- the tree */

static void *tree_alloc(struct pickle_machine *m, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if (size > m->room_left) {
        size_t n = sizeof(struct pickle_piece) + (size > PIECE / 4 ? size : PIECE);
        if (n > PICKLE_MAX_MEMORY || m->memory > PICKLE_MAX_MEMORY - n) {
            too_much(m, "bytes of memory", PICKLE_MAX_MEMORY);
            return NULL;
        }
        struct pickle_piece *piece = xmalloc(n);
        piece->next = m->pieces;
        m->pieces = piece;
        m->memory += n;
        if (size > PIECE / 4)
            return piece + 1;
        m->room = (unsigned char *)(piece + 1);
        m->room_left = n - sizeof *piece;
    }
    void *p = m->room;
    m->room += size;
    m->room_left -= size;
    return p;
}

static struct pickle_value *new_value(struct pickle_machine *m, enum pickle_kind kind)
{
    struct pickle_value *v = tree_alloc(m, sizeof *v);
    if (v)
        *v = (struct pickle_value){.kind = (uint8_t)kind, .at = m->base + m->op_at};
    return v;
}

static bool add_child(struct pickle_machine *m, struct pickle_value *parent,
                      struct pickle_value *child)
{
    struct pickle_cell *cell = tree_alloc(m, sizeof *cell);
    if (!cell)
        return false;
    *cell = (struct pickle_cell){child, NULL};
    if (parent->last)
        parent->last->next = cell;
    else
        parent->first = cell;
    parent->last = cell;
    parent->n++;
    return true;
}

/* A 0-terminated copy of text, or of two with a dot between. */
static struct pickle_value *new_text(struct pickle_machine *m, enum pickle_kind kind,
                                     const void *a, size_t n, const void *b, size_t n_b)
{
    struct pickle_value *v = new_value(m, kind);
    size_t len = b ? n + 1 + n_b : n;
    char *text = v ? tree_alloc(m, len + 1) : NULL;
    if (!text)
        return NULL;
    memcpy(text, a, n);
    if (b) {
        text[n] = '.';
        memcpy(text + n + 1, b, n_b);
    }
    text[len] = 0;
    v->text = text;
    v->n = len;
    return v;
}

/* ---- the input */

static const unsigned char *take(struct pickle_machine *m, size_t n)
{
    if (n > m->size - m->at) {
        ends_early(m);
        return NULL;
    }
    const unsigned char *p = m->data + m->at;
    m->at += n;
    return p;
}

/* A little-endian number of n bytes. */
static bool take_number(struct pickle_machine *m, size_t n, uint64_t *out)
{
    const unsigned char *p = take(m, n);
    if (!p)
        return false;
    *out = 0;
    for (size_t i = n; i-- > 0;)
        *out = *out << 8 | p[i];
    return true;
}

/* Bytes behind their length of n_len bytes. */
static const unsigned char *take_counted(struct pickle_machine *m, size_t n_len, size_t *n)
{
    uint64_t len;
    if (!take_number(m, n_len, &len))
        return NULL;
    *n = (size_t)len;
    return take(m, (size_t)len);
}

static const unsigned char *take_line(struct pickle_machine *m, size_t *n)
{
    const unsigned char *p = m->data + m->at;
    const unsigned char *end = m->at < m->size ? memchr(p, '\n', m->size - m->at) : NULL;
    if (!end) {
        ends_early(m);
        return NULL;
    }
    *n = (size_t)(end - p);
    m->at += *n + 1;
    return p;
}

/* ---- the stack */

static bool push(struct pickle_machine *m, struct pickle_value *v)
{
    if (!v)
        return false;
    if (m->n_stack >= PICKLE_MAX_STACK)
        return too_much(m, "values on the stack", PICKLE_MAX_STACK);
    array_grow(m->stack, m->n_stack, m->cap_stack);
    m->stack[m->n_stack++] = v;
    return true;
}

/* How many values there are above the last mark. */
static size_t above_mark(const struct pickle_machine *m)
{
    return m->n_stack - (m->n_marks ? m->marks[m->n_marks - 1] : 0);
}

static struct pickle_value *pop(struct pickle_machine *m)
{
    if (above_mark(m) > 0)
        return m->stack[--m->n_stack];
    broken(m, "an empty stack", "a value on it");
    return NULL;
}

static struct pickle_value *top(struct pickle_machine *m)
{
    if (above_mark(m) > 0)
        return m->stack[m->n_stack - 1];
    broken(m, "an empty stack", "a value on it");
    return NULL;
}

static bool push_mark(struct pickle_machine *m)
{
    if (m->n_marks >= PICKLE_MAX_STACK)
        return too_much(m, "marks", PICKLE_MAX_STACK);
    array_grow(m->marks, m->n_marks, m->cap_marks);
    m->marks[m->n_marks++] = m->n_stack;
    return true;
}

/* The values above the last mark leave the stack; *items stays good until the next push. */
static bool pop_mark(struct pickle_machine *m, struct pickle_value ***items, size_t *n)
{
    if (m->n_marks == 0)
        return broken(m, "no mark on the stack", "one");
    *n = above_mark(m);
    m->n_stack = m->marks[--m->n_marks];
    *items = m->stack + m->n_stack;
    return true;
}

static bool memo_put(struct pickle_machine *m, uint64_t id)
{
    if (!top(m))
        return false;
    if (id >= PICKLE_MAX_MEMO)
        return too_much(m, "memo numbers", PICKLE_MAX_MEMO);
    while (id >= m->cap_memo) {
        size_t cap = m->cap_memo ? m->cap_memo * 2 : 64;
        m->memo = xreallocarray(m->memo, cap, sizeof *m->memo);
        memset(m->memo + m->cap_memo, 0, (cap - m->cap_memo) * sizeof *m->memo);
        m->cap_memo = cap;
    }
    m->n_memo += !m->memo[id];
    m->memo[id] = top(m);
    return true;
}

static bool memo_get(struct pickle_machine *m, uint64_t id)
{
    if (id >= m->cap_memo || !m->memo[id])
        return broken(m, "a memo number that was never put", "one that was");
    return push(m, m->memo[id]);
}

/* ---- instructions */

static bool push_int(struct pickle_machine *m, enum pickle_kind kind, int64_t i)
{
    struct pickle_value *v = new_value(m, kind);
    if (v)
        v->i = i;
    return push(m, v);
}

static bool push_text(struct pickle_machine *m, size_t n_len)
{
    size_t n;
    const unsigned char *p = take_counted(m, n_len, &n);
    return p && push(m, new_text(m, PICKLE_STR, p, n, NULL, 0));
}

static bool push_bytes(struct pickle_machine *m, size_t n_len)
{
    size_t n;
    const unsigned char *p = take_counted(m, n_len, &n);
    struct pickle_value *v = p ? new_value(m, PICKLE_BYTES) : NULL;
    if (v) {
        v->bytes = p;
        v->n = n;
    }
    return push(m, v);
}

/* Two's complement, little-endian, of any length. */
static bool push_long(struct pickle_machine *m, size_t n_len)
{
    size_t n;
    const unsigned char *p = take_counted(m, n_len, &n);
    if (!p)
        return false;
    if (n > 8) {
        struct pickle_value *v = new_text(m, PICKLE_BIGINT, p, n, NULL, 0);
        return push(m, v);
    }
    uint64_t bits = n > 0 && p[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; i-- > 0;)
        bits = bits << 8 | p[i];
    return push_int(m, PICKLE_INT, (int64_t)bits);
}

static bool push_float(struct pickle_machine *m)
{
    const unsigned char *p = take(m, 8);
    struct pickle_value *v = p ? new_value(m, PICKLE_FLOAT) : NULL;
    if (!v)
        return false;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    memcpy(&v->f, &bits, sizeof v->f);
    return push(m, v);
}

static bool push_global(struct pickle_machine *m)
{
    size_t n_module, n_name;
    const unsigned char *module = take_line(m, &n_module);
    const unsigned char *name = module ? take_line(m, &n_name) : NULL;
    return name &&
           push(m, new_text(m, PICKLE_GLOBAL, module, n_module, name, n_name));
}

static bool push_stack_global(struct pickle_machine *m)
{
    struct pickle_value *name = pop(m), *module = name ? pop(m) : NULL;
    if (!module)
        return false;
    if (name->kind != PICKLE_STR || module->kind != PICKLE_STR)
        return broken(m, "a global whose name is no string", "a string");
    return push(m, new_text(m, PICKLE_GLOBAL, module->text, module->n, name->text,
                            name->n));
}

static bool add_children(struct pickle_machine *m, struct pickle_value *parent,
                         struct pickle_value *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!add_child(m, parent, items[i]))
            return false;
    return true;
}

static bool push_sequence(struct pickle_machine *m, enum pickle_kind kind,
                          struct pickle_value *const *items, size_t n)
{
    struct pickle_value *v = new_value(m, kind);
    return v && add_children(m, v, items, n) && push(m, v);
}

/* The n values on top of the stack as a tuple. */
static bool push_small_tuple(struct pickle_machine *m, size_t n)
{
    if (above_mark(m) < n)
        return broken(m, "an empty stack", "a value on it");
    m->n_stack -= n;
    return push_sequence(m, PICKLE_TUPLE, m->stack + m->n_stack, n);
}

static bool push_marked(struct pickle_machine *m, enum pickle_kind kind)
{
    struct pickle_value **items = NULL;
    size_t n = 0;
    if (!pop_mark(m, &items, &n))
        return false;
    if (kind == PICKLE_DICT && n % 2)
        return broken(m, "a key without a value", "pairs");
    return push_sequence(m, kind, items, n);
}

static bool push_persistent(struct pickle_machine *m)
{
    struct pickle_value *id = pop(m), *v = id ? new_value(m, PICKLE_PERSISTENT) : NULL;
    struct pickle_cell *cell = v ? tree_alloc(m, sizeof *cell) : NULL;
    if (!cell || !add_child(m, v, id))
        return false;
    *cell = (struct pickle_cell){v, NULL};
    if (m->last_persistent)
        m->last_persistent->next = cell;
    else
        m->p->persistent = cell;
    m->last_persistent = cell;
    return push(m, v);
}

static bool makes_dict(const struct pickle_value *callable)
{
    if (callable->kind != PICKLE_GLOBAL)
        return false;
    for (size_t i = 0; i < sizeof dict_makers / sizeof *dict_makers; i++)
        if (strcmp(callable->text, dict_makers[i]) == 0)
            return true;
    return false;
}

/* What a dictionary is made of: another one, or a list of pairs. */
static bool fill_dict(struct pickle_machine *m, struct pickle_value *dict,
                      const struct pickle_value *from)
{
    if (from->kind != PICKLE_DICT && from->kind != PICKLE_LIST)
        return true;
    for (struct pickle_cell *c = from->first; c; c = c->next) {
        if (from->kind == PICKLE_DICT) {
            if (!add_child(m, dict, c->value))
                return false;
            continue;
        }
        struct pickle_value *pair = c->value;
        if ((pair->kind == PICKLE_TUPLE || pair->kind == PICKLE_LIST) && pair->n == 2 &&
            (!add_child(m, dict, pair->first->value) ||
             !add_child(m, dict, pair->first->next->value)))
            return false;
    }
    return true;
}

/* What calling would give: nothing is called. */
static bool push_call(struct pickle_machine *m, struct pickle_value *callable,
                      struct pickle_value *args)
{
    if (makes_dict(callable)) {
        struct pickle_value *dict = new_value(m, PICKLE_DICT);
        return dict &&
               (args->kind != PICKLE_TUPLE || args->n == 0 ||
                fill_dict(m, dict, args->first->value)) &&
               push(m, dict);
    }
    struct pickle_value *none = new_value(m, PICKLE_NONE);
    struct pickle_value *parts[PICKLE_PARTS] = {callable, args, none, none};
    return none && push_sequence(m, PICKLE_OBJECT, parts, PICKLE_PARTS);
}

static bool call(struct pickle_machine *m)
{
    struct pickle_value *args = pop(m), *callable = args ? pop(m) : NULL;
    return callable && push_call(m, callable, args);
}

/* A class, positional arguments, keyword arguments. */
static bool call_keywords(struct pickle_machine *m)
{
    return pop(m) && call(m);
}

/* A class and its arguments above a mark. */
static bool call_marked(struct pickle_machine *m)
{
    struct pickle_value **items = NULL;
    size_t n = 0;
    if (!pop_mark(m, &items, &n))
        return false;
    if (n == 0)
        return broken(m, "an empty stack", "a value on it");
    struct pickle_value *callable = items[0], *args = new_value(m, PICKLE_TUPLE);
    return args && add_children(m, args, items + 1, n - 1) && push_call(m, callable, args);
}

/* The class's name in the stream, its arguments above a mark. */
static bool call_named(struct pickle_machine *m)
{
    struct pickle_value *args;
    if (!push_marked(m, PICKLE_TUPLE) || !(args = pop(m)) || !push_global(m))
        return false;
    return push_call(m, pop(m), args);
}

static bool build(struct pickle_machine *m)
{
    struct pickle_value *state = pop(m), *v = state ? top(m) : NULL;
    if (!v)
        return false;
    if (v->kind == PICKLE_OBJECT)
        v->first->next->next->value = state;
    return true; /* of dictionaries, attributes mean nothing here */
}

/* Put items into the container on top of the stack; kind is what it should be. */
static bool insert(struct pickle_machine *m, enum pickle_kind kind,
                   struct pickle_value *const *items, size_t n)
{
    struct pickle_value *v = top(m);
    if (!v)
        return false;
    if (kind == PICKLE_DICT && n % 2)
        return broken(m, "a key without a value", "pairs");
    if (v->kind == PICKLE_OBJECT) {
        struct pickle_cell *part = v->last;
        if (part->value->kind == PICKLE_NONE && !(part->value = new_value(m, kind)))
            return false;
        v = part->value;
    }
    if (v->kind != kind)
        return broken(m, "items for what holds none", "a container");
    return add_children(m, v, items, n);
}

static bool insert_few(struct pickle_machine *m, enum pickle_kind kind, size_t n)
{
    if (above_mark(m) < n + 1)
        return broken(m, "an empty stack", "a value on it");
    m->n_stack -= n;
    return insert(m, kind, m->stack + m->n_stack, n);
}

static bool insert_marked(struct pickle_machine *m, enum pickle_kind kind)
{
    struct pickle_value **items = NULL;
    size_t n = 0;
    return pop_mark(m, &items, &n) && insert(m, kind, items, n);
}

/* A number in the stream that goes with one of these instructions. */
static bool number_op(struct pickle_machine *m, enum op op)
{
    static const struct {
        unsigned char op, bytes;
    } sizes[] = {
        {OP_PROTO, 1},   {OP_FRAME, 8},  {OP_BININT, 4},      {OP_BININT1, 1},
        {OP_BININT2, 2}, {OP_BINGET, 1}, {OP_LONG_BINGET, 4}, {OP_BINPUT, 1},
        {OP_LONG_BINPUT, 4},
    };
    size_t i = 0;
    while (sizes[i].op != op)
        i++;
    uint64_t v;
    if (!take_number(m, sizes[i].bytes, &v))
        return false;
    switch (op) {
    case OP_PROTO:
        return v <= 5 || err_set(m->err, ERR_UNSUPPORTED,
                                 "pickle protocol is not read (found %d, expected 2 to 5)",
                                 (int)v);
    case OP_FRAME: return true; /* only says how much to read ahead */
    case OP_BINGET:
    case OP_LONG_BINGET: return memo_get(m, v);
    case OP_BINPUT:
    case OP_LONG_BINPUT: return memo_put(m, v);
    case OP_BININT: return push_int(m, PICKLE_INT, (int32_t)(uint32_t)v);
    default: return push_int(m, PICKLE_INT, (int64_t)v);
    }
}

static bool step(struct pickle_machine *m, enum op op)
{
    struct pickle_value **items = NULL;
    size_t n = 0;
    switch (op) {
    case OP_PROTO: case OP_FRAME: case OP_BININT: case OP_BININT1: case OP_BININT2:
    case OP_BINGET: case OP_LONG_BINGET: case OP_BINPUT: case OP_LONG_BINPUT:
        return number_op(m, op);
    case OP_MEMOIZE: return memo_put(m, m->n_memo);

    case OP_NONE: return push(m, new_value(m, PICKLE_NONE));
    case OP_NEWTRUE: return push_int(m, PICKLE_BOOL, 1);
    case OP_NEWFALSE: return push_int(m, PICKLE_BOOL, 0);
    case OP_LONG1: return push_long(m, 1);
    case OP_LONG4: return push_long(m, 4);
    case OP_BINFLOAT: return push_float(m);
    case OP_SHORT_BINSTRING: case OP_SHORT_BINUNICODE: return push_text(m, 1);
    case OP_BINSTRING: case OP_BINUNICODE: return push_text(m, 4);
    case OP_BINUNICODE8: return push_text(m, 8);
    case OP_SHORT_BINBYTES: return push_bytes(m, 1);
    case OP_BINBYTES: return push_bytes(m, 4);
    case OP_BINBYTES8: case OP_BYTEARRAY8: return push_bytes(m, 8);

    case OP_EMPTY_TUPLE: return push_small_tuple(m, 0);
    case OP_TUPLE1: return push_small_tuple(m, 1);
    case OP_TUPLE2: return push_small_tuple(m, 2);
    case OP_TUPLE3: return push_small_tuple(m, 3);
    case OP_TUPLE: case OP_FROZENSET: return push_marked(m, PICKLE_TUPLE);
    case OP_LIST: return push_marked(m, PICKLE_LIST);
    case OP_DICT: return push_marked(m, PICKLE_DICT);
    case OP_EMPTY_LIST: case OP_EMPTY_SET: return push(m, new_value(m, PICKLE_LIST));
    case OP_EMPTY_DICT: return push(m, new_value(m, PICKLE_DICT));
    case OP_APPEND: return insert_few(m, PICKLE_LIST, 1);
    case OP_SETITEM: return insert_few(m, PICKLE_DICT, 2);
    case OP_APPENDS: case OP_ADDITEMS: return insert_marked(m, PICKLE_LIST);
    case OP_SETITEMS: return insert_marked(m, PICKLE_DICT);

    case OP_MARK: return push_mark(m);
    case OP_POP: /* what is on top may be a mark */
        if (m->n_marks > 0 && above_mark(m) == 0) {
            m->n_marks--;
            return true;
        }
        return pop(m) != NULL;
    case OP_POP_MARK: return pop_mark(m, &items, &n);
    case OP_DUP: return push(m, top(m));

    case OP_GLOBAL: return push_global(m);
    case OP_STACK_GLOBAL: return push_stack_global(m);
    case OP_BINPERSID: return push_persistent(m);
    case OP_REDUCE: case OP_NEWOBJ: return call(m);
    case OP_NEWOBJ_EX: return call_keywords(m);
    case OP_OBJ: return call_marked(m);
    case OP_INST: return call_named(m);
    case OP_BUILD: return build(m);
    case OP_STOP: break;
    }
    return err_set(m->err, ERR_UNSUPPORTED,
                   "pickle instruction at byte %llu is not read (found 0x%02x, expected one "
                   "of protocols 2 to 5)", (unsigned long long)(m->base + m->op_at),
                   (unsigned)op);
}

static bool run(struct pickle_machine *m)
{
    for (size_t ops = 0; ops < PICKLE_MAX_OPS; ops++) {
        m->op_at = m->at;
        const unsigned char *op = take(m, 1);
        if (!op)
            return false;
        if (*op == OP_STOP)
            return (m->p->root = pop(m)) != NULL;
        if (!step(m, (enum op)*op))
            return false;
    }
    return too_much(m, "instructions", PICKLE_MAX_OPS);
}

bool pickle_parse(struct pickle *p, const unsigned char *data, size_t size, uint64_t base,
                  struct err *err)
{
    struct pickle_machine *m = p->machine = xcalloc(1, sizeof *m);
    m->p = p;
    m->data = data;
    m->size = size;
    m->base = base;
    m->err = err;
    array_grow(m->stack, m->n_stack, m->cap_stack); /* never NULL from here on */
    if (!run(m))
        return false;
    p->size = m->at;
    return true;
}

void pickle_free(struct pickle *p)
{
    struct pickle_machine *m = p->machine;
    if (m) {
        for (struct pickle_piece *next, *piece = m->pieces; piece; piece = next) {
            next = piece->next;
            free(piece);
        }
        free(m->stack);
        free(m->memo);
        free(m->marks);
        free(m);
    }
    *p = (struct pickle){0};
}

/* ---- looking at the tree */

static bool has_children(const struct pickle_value *v)
{
    return v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_DICT ||
           v->kind == PICKLE_OBJECT || v->kind == PICKLE_PERSISTENT;
}

const struct pickle_value *pickle_child(const struct pickle_value *v, size_t i)
{
    if (!v || !has_children(v) || i >= v->n)
        return NULL;
    const struct pickle_cell *c = v->first;
    while (i-- > 0)
        c = c->next;
    return c->value;
}

const struct pickle_value *pickle_find(const struct pickle_value *dict, const char *key)
{
    const struct pickle_value *found = NULL;
    if (!dict || dict->kind != PICKLE_DICT)
        return NULL;
    for (const struct pickle_cell *c = dict->first; c; c = c->next->next)
        if (c->value->kind == PICKLE_STR && strcmp(c->value->text, key) == 0)
            found = c->next->value;
    return found;
}

bool pickle_is_global(const struct pickle_value *v, const char *name)
{
    return v && v->kind == PICKLE_GLOBAL && strcmp(v->text, name) == 0;
}
