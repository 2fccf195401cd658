/* fuzz_firings.c - a cache of firings: its file, every firing in it, and a search for some. */
#include <math.h>
#include <stdlib.h>

#include "io/container.h"
#include "model/firings.h"
#include "tests/fuzz/fuzz.h"

enum { D_SAE = 40 };

/* Every firing is of the text and of the SAE, and is found again. */
static void check(const struct firings *f, const struct firings_bounds *b,
                  const struct firing *x)
{
    if (x->token < 0 || x->token >= b->rows * b->positions || x->feature >= D_SAE ||
        !isfinite(x->value) || x->value < 0)
        abort();
    if (firings_find(f, b->positions, x->feature, x->token) != x->value)
        abort();
}

static void read_part(const struct firings *f, int part, const struct firings_bounds *b,
                      struct firings_room *room)
{
    struct err err = {0};
    const struct firings_part *p = &f->parts[part];
    int64_t n = p->n < FIRINGS_AT_ONCE ? p->n : FIRINGS_AT_ONCE;
    if (!firings_read(p, b, 0, n, room, &err)) {
        fuzz_refused(&err);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        check(f, b, &room->firing[i]);
}

static void read_all(const struct container *c)
{
    struct err err = {0};
    struct firings f = {0};
    if (!firings_add(&f, c, &err) || !firings_complete(&f, &err) ||
        !firings_fit(&f, "sae", D_SAE, &err)) {
        fuzz_refused(&err);
    } else if (f.rows > 0 && f.positions > 0 && f.rows <= INT64_MAX / f.positions) {
        struct firings_bounds bounds = {f.rows, f.positions, D_SAE, false};
        struct firings_room *room = malloc(sizeof *room);
        read_part(&f, 0, &bounds, room);
        free(room);
    }
    free(f.parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    struct container *c = container_open(fuzz_file("4_39.safetensors", data, size), NULL, &err);
    if (!c)
        fuzz_refused(&err);
    else if (firings_are(c))
        read_all(c);
    container_close(c);
    return 0;
}
