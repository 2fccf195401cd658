/* flat.c - see flat.h. */
#include "io/flat.h"

/* The n bytes at `at`, if they are there; 0 where not. */
static bool get(struct flat in, size_t at, size_t n, uint64_t *out)
{
    if (at > in.n || n > in.n - at)
        return false;
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)in.p[at + i] << (8 * i);
    return true;
}

static bool table_at(struct flat in, size_t at, struct flat_table *out)
{
    uint64_t back, size;
    if (!get(in, at, 4, &back))
        return false;
    int64_t vtable = (int64_t)at - (int32_t)(uint32_t)back;
    if (vtable < 0 || !get(in, (size_t)vtable, 2, &size) || size < 4 ||
        size > in.n - (size_t)vtable)
        return false;
    *out = (struct flat_table){in, at, (size_t)vtable + 4, (size_t)(size - 4) / 2};
    return true;
}

bool flat_root(struct flat in, struct flat_table *out)
{
    uint64_t at;
    return get(in, 0, 4, &at) && table_at(in, (size_t)at, out);
}

/* Where a field is; 0: absent (no field is at the beginning). */
static size_t field_at(const struct flat_table *t, int field)
{
    uint64_t offset;
    if (field < 0 || (size_t)field >= t->slots ||
        !get(t->in, t->vtable + 2 * (size_t)field, 2, &offset) || offset == 0)
        return 0;
    return t->at + (size_t)offset;
}

int64_t flat_int(const struct flat_table *t, int field, int size, int64_t otherwise)
{
    uint64_t v;
    size_t at = field_at(t, field);
    if (!at || !get(t->in, at, (size_t)size, &v))
        return otherwise;
    int shift = 64 - 8 * size; /* the sign is the highest bit of these bytes */
    return (int64_t)(v << shift) >> shift;
}

/* What the u32 at `at` points to. */
static bool follow(struct flat in, size_t at, size_t *to)
{
    uint64_t offset;
    if (!get(in, at, 4, &offset) || offset > in.n - at)
        return false;
    *to = at + (size_t)offset;
    return true;
}

bool flat_child(const struct flat_table *t, int field, struct flat_table *out)
{
    size_t at = field_at(t, field), to;
    return at && follow(t->in, at, &to) && table_at(t->in, to, out);
}

bool flat_list(const struct flat_table *t, int field, size_t size, struct flat_vector *out)
{
    uint64_t n;
    size_t at = field_at(t, field), to;
    if (!at || !follow(t->in, at, &to) || !get(t->in, to, 4, &n) ||
        n > (t->in.n - to - 4) / size)
        return false;
    *out = (struct flat_vector){t->in, to + 4, (uint32_t)n};
    return true;
}

bool flat_element(const struct flat_vector *v, uint32_t i, struct flat_table *out)
{
    size_t to;
    return i < v->n && follow(v->in, v->at + 4 * (size_t)i, &to) && table_at(v->in, to, out);
}

int64_t flat_i64(const struct flat_vector *v, size_t offset)
{
    uint64_t value;
    return get(v->in, v->at + offset, 8, &value) ? (int64_t)value : -1;
}
