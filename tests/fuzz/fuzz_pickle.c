/* fuzz_pickle.c - pickles of every protocol, and walks over what they build. */
#include <stdlib.h>

#include "io/pickle.h"
#include "tests/fuzz/fuzz.h"

/* Depth first, every value of a path once, as pickle.h asks of walkers. */
static void walk(struct pickle_value *v, int depth, int *budget)
{
    if (v->open || depth > 64 || --*budget < 0)
        return;
    switch (v->kind) {
    case PICKLE_STR: case PICKLE_GLOBAL: fuzz_touch(v->text, v->n + 1); return;
    case PICKLE_BYTES: case PICKLE_BIGINT: fuzz_touch(v->bytes, v->n); return;
    case PICKLE_TUPLE: case PICKLE_LIST: case PICKLE_DICT: case PICKLE_PERSISTENT:
    case PICKLE_OBJECT: break;
    default: return;
    }
    size_t n = 0;
    v->open = true;
    for (struct pickle_cell *c = v->first; c; c = c->next, n++)
        walk(c->value, depth + 1, budget);
    v->open = false;
    if (*budget > 0 && n != v->n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct pickle p = {0};
    int budget = 10000;
    if (!pickle_parse(&p, data, size, 0, &err))
        fuzz_refused(&err);
    else if (p.size > size)
        abort();
    else
        walk(p.root, 0, &budget);
    pickle_free(&p);
    return 0;
}
